"""What recordings and evaluations need to know about a classifier: its description, its fingerprint and its cost."""

import hashlib
from typing import Any

import pytest

from triage import Bucket, Buckets, Conversation, Customer, Message, Verdict
from triage.classifiers import Classifier, Claude, NearestExamples, Price, Rules, as_classifier
from triage.classifiers.base import describe_buckets, hash_texts, render_conversation

BUCKETS = Buckets([Bucket("billing", " Invoices ", examples=["I was charged twice."]), Bucket("general", "The rest")])
OTHER_BUCKETS = Buckets([Bucket("billing", "Invoices and refunds"), Bucket("general", "The rest")])
MESSAGE = Message(id="1", role="customer", text="Where is my invoice?")
CONVERSATION = Conversation(id="c1", messages=(MESSAGE,))
CLAUDE = Claude("claude-haiku-5-5", api_key="sk-ant-test")
LONG = CONVERSATION.model_copy(update={"messages": (MESSAGE.model_copy(update={"text": "invoice " * 1_000}),)})


class Minimal(Classifier):
    def classify(self, conversation: Conversation, buckets: Buckets) -> Verdict:
        raise AssertionError


class Informative:
    """Not a subclass of `Classifier`."""

    def classify(self, conversation: Conversation, buckets: Buckets) -> Verdict:
        raise AssertionError

    def describe(self, buckets: Buckets) -> str:
        return f"informative, {len(buckets)} buckets"

    def fingerprint(self, conversation: Conversation, buckets: Buckets) -> str:
        return f"fingerprint of {conversation.id}"

    def estimate_cost(self, conversation: Conversation, buckets: Buckets) -> float:
        return 0.5


def choose(text: str) -> str:
    raise AssertionError


# Defaults


@pytest.mark.parametrize(("value", "name"), [(Minimal(), "Minimal()"), (choose, "as_classifier(choose)")])
def test_by_default_a_classifier_only_knows_its_name_and_the_buckets(value: Any, name: str) -> None:
    classifier = as_classifier(value)
    assert classifier.describe(BUCKETS) == f"{name}\n\n{describe_buckets(BUCKETS)}"
    assert classifier.fingerprint(CONVERSATION, BUCKETS) is None
    assert classifier.estimate_cost(CONVERSATION, BUCKETS) is None


def test_an_object_without_these_methods_has_the_defaults() -> None:
    class Silent:
        def classify(self, conversation: Conversation, buckets: Buckets) -> Verdict:
            raise AssertionError

    classifier = as_classifier(Silent())
    assert classifier.describe(BUCKETS) == f"as_classifier(Silent)\n\n{describe_buckets(BUCKETS)}"
    assert classifier.fingerprint(CONVERSATION, BUCKETS) is None
    assert classifier.estimate_cost(CONVERSATION, BUCKETS) is None


def test_an_object_with_these_methods_is_asked() -> None:
    classifier = as_classifier(Informative())
    assert classifier.describe(BUCKETS) == "informative, 2 buckets"
    assert classifier.fingerprint(CONVERSATION, BUCKETS) == "fingerprint of c1"
    assert classifier.estimate_cost(CONVERSATION, BUCKETS) == 0.5


# Buckets, hashes and conversations


def test_buckets_are_described_by_all_that_classifiers_read() -> None:
    assert describe_buckets(BUCKETS) == (
        "billing: Invoices\n  example: I was charged twice.\ngeneral: The rest\nfallback: general"
    )


def test_a_hash_depends_on_the_boundaries_of_the_texts() -> None:
    assert hash_texts("ab", "c") != hash_texts("a", "bc")
    assert hash_texts("\ud83d") == hash_texts("\ud83d"), "half an emoji can be hashed"


@pytest.mark.parametrize(
    "change",
    [{"id": "other"}, {"customer": Customer(id="7", email="mira@example.com")}, {"assignee": "5"}, {"version": "2"}],
)
def test_a_verdict_does_not_depend_on_ids(change: dict[str, Any]) -> None:
    changed = CONVERSATION.model_copy(update=change)
    assert render_conversation(changed) == render_conversation(CONVERSATION)
    assert CLAUDE.fingerprint(changed, BUCKETS) == CLAUDE.fingerprint(CONVERSATION, BUCKETS)


@pytest.mark.parametrize(
    "change",
    [
        {"subject": "Invoice"},
        {"channel": "email"},
        {"tags": ("vip",)},
        {"messages": (MESSAGE, Message(id="2", role="customer", text="Hello?"))},
        {"messages": (MESSAGE.model_copy(update={"attachments": ("invoice.pdf",)}),)},
    ],
)
def test_a_verdict_may_depend_on_everything_else(change: dict[str, Any]) -> None:
    assert render_conversation(CONVERSATION.model_copy(update=change)) != render_conversation(CONVERSATION)


# Rules


def test_rules_describe_their_keywords() -> None:
    assert Rules({"billing": ["refund*", "invoice"]}).describe(BUCKETS) == (
        "Rules\nbilling: refund*, invoice\nfallback: general"
    )


def test_the_fingerprint_of_rules_depends_on_the_keywords_the_text_and_the_fallback() -> None:
    rules = Rules({"billing": ["refund"]})
    fingerprints = [
        rules.fingerprint(CONVERSATION, BUCKETS),
        Rules({"billing": ["invoice"]}).fingerprint(CONVERSATION, BUCKETS),
        rules.fingerprint(LONG, BUCKETS),
        rules.fingerprint(CONVERSATION, Buckets(BUCKETS, fallback="billing")),
    ]
    assert len(set(fingerprints)) == 4
    assert rules.fingerprint(CONVERSATION, OTHER_BUCKETS) == fingerprints[0], "rules do not read descriptions"


def test_rules_cost_nothing() -> None:
    assert Rules.default().estimate_cost(CONVERSATION, BUCKETS) == 0.0


# Claude


def test_claude_describes_the_model_the_parameters_and_the_prompt() -> None:
    description = CLAUDE.describe(BUCKETS)
    assert description.startswith('model: "claude-haiku-5-5"\n')
    assert "I was charged twice." in description
    assert "sk-ant-test" not in description


def test_claude_describes_the_second_model_and_the_source_of_the_examples() -> None:
    examples = NearestExamples([("A refund, please.", "billing")])
    claude = Claude("claude-haiku-5-5", fallback_model="claude-opus-5-5", api_key="x", examples=examples)
    lines = claude.describe(BUCKETS).splitlines()
    assert 'fallback_model: "claude-opus-5-5"' in lines
    assert f"examples: {examples.describe()}" in lines


def test_the_fingerprint_of_claude_depends_on_everything_in_the_request() -> None:
    options: list[dict[str, Any]] = [
        {},
        {"fallback_model": "claude-opus-5-5"},
        {"instructions": "Be strict."},
        {"extra": {"language": "ISO 639-1"}},
        {"effort": "high"},
        {"max_tokens": 1_000},
    ]
    fingerprints = [
        Claude("claude-haiku-5-5", api_key="x", **option).fingerprint(CONVERSATION, BUCKETS) for option in options
    ]
    fingerprints += [CLAUDE.fingerprint(LONG, BUCKETS), CLAUDE.fingerprint(CONVERSATION, OTHER_BUCKETS)]
    assert len(set(fingerprints)) == len(fingerprints)


def test_the_fingerprint_of_claude_is_the_same_for_every_customer_and_key() -> None:
    named = CONVERSATION.model_copy(update={"customer": Customer(id="42")})
    assert hashlib.sha256(b"42").hexdigest()[:32] in str(CLAUDE.build_request(named, BUCKETS))
    assert CLAUDE.fingerprint(named, BUCKETS) == Claude("claude-haiku-5-5", api_key="another").fingerprint(
        CONVERSATION, BUCKETS
    )


def test_the_estimate_of_claude_grows_with_the_message_and_the_price() -> None:
    price = Price(input=1, output=1, cache_read=1, cache_write=1)
    claude, expensive = (
        Claude("claude-next", api_key="x", prices={"claude-next": each})
        for each in (price, Price(input=2, output=2, cache_read=2, cache_write=2))
    )
    short, long = (claude.estimate_cost(conversation, BUCKETS) or 0.0 for conversation in (CONVERSATION, LONG))
    assert 0 < short < long
    assert expensive.estimate_cost(CONVERSATION, BUCKETS) == pytest.approx(2 * short)


def test_the_estimate_of_an_unknown_model_is_unknown() -> None:
    assert Claude("claude-next", api_key="x").estimate_cost(CONVERSATION, BUCKETS) is None
