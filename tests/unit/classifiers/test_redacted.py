"""A classifier sees no personal data, but everything else in the conversation."""

import asyncio
import json
import threading
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from tests.helpers.api import Api
from tests.helpers.classifiers import BUCKETS, Fixed, classify
from tests.helpers.desks import Desk, IntercomDesk
from tests.helpers.routing import handle
from triage import (
    Bucket,
    Buckets,
    ClassifierError,
    ConfigurationError,
    Conversation,
    Customer,
    Message,
    Note,
    Run,
    RunContext,
    Verdict,
)
from triage.classifiers import Cascade, Classifier, Claude, Redacted, Rules
from triage.testing import FakeClaude

CARD = "4111 1111 1111 1111"
EMAIL = "mira@example.com"
PHONE = "+49 30 1234567"
URGENT = Verdict(bucket="urgent", reason="The card [card number] is lost.", cost_usd=0.5)

CONVERSATION = Conversation(
    id="c1",
    subject=f"Card {CARD}",
    customer=Customer(id="7", name="Mira", email=EMAIL),
    messages=(
        Message(id="1", role="agent", text=f"You wrote {EMAIL}", author="a1"),
        Message(
            id="2",
            role="customer",
            text=f"Call me: {PHONE}",
            quoted=f"> {EMAIL} wrote",
            attachments=(f"statement {CARD}.pdf", "image"),
        ),
    ),
    tags=("vip",),
    channel="email",
)

REDACTED = Conversation(
    id="c1",
    subject="Card [card number]",
    customer=Customer(id="7"),
    messages=(
        Message(id="1", role="agent", text="You wrote [email]", author="a1"),
        Message(
            id="2",
            role="customer",
            text="Call me: [phone number]",
            quoted="> [email] wrote",
            attachments=("statement [card number].pdf", "image"),
        ),
    ),
    tags=("vip",),
    channel="email",
)


def text(value: str) -> Conversation:
    return Conversation(id="1", messages=(Message(id="1", role="customer", text=value),))


def find_text(redacted: Redacted, value: str) -> str:
    return redacted.redact(text(value)).messages[0].text


class FakeAnalyzer:
    """Finds fixed words, like Presidio."""

    def __init__(self, **words: str) -> None:
        self.words = words
        self.calls: list[tuple[str, str]] = []

    def analyze(self, text: str, language: str) -> Sequence[Any]:
        self.calls.append((text, language))
        return list(self._find(text))

    def _find(self, text: str) -> Iterator[Any]:
        for entity_type, word in self.words.items():
            start = text.find(word)
            if start >= 0:
                yield SimpleNamespace(entity_type=entity_type, start=start, end=start + len(word), score=0.85)


# What the classifier sees


def test_the_classifier_sees_placeholders(api: Api) -> None:
    member = Fixed(URGENT)
    assert classify(api, Redacted(member), CONVERSATION) == URGENT
    assert member.conversations == [REDACTED]


def test_only_the_chosen_kinds_are_removed() -> None:
    redacted = Redacted(Fixed(URGENT), kinds=["email"])
    assert find_text(redacted, f"{CARD} {EMAIL}") == f"{CARD} [email]"


def test_the_own_function_is_called_first(api: Api) -> None:
    member = Fixed(URGENT)
    redacted = Redacted(
        member, function=lambda text: text.replace("4111 1111 ", "").replace("K-7", "[customer number]")
    )
    classify(api, redacted, text(f"K-7: {CARD}, {EMAIL}"))
    assert member.conversations[0].messages[0].text == "[customer number]: 1111 1111, [email]"


def test_an_empty_text_is_not_passed_to_the_function() -> None:
    calls: list[str] = []

    def function(text: str) -> str:
        calls.append(text)
        return text

    Redacted(Fixed(URGENT), kinds=[], function=function).redact(text("Hello"))
    assert calls == ["Hello"]


def test_redaction_does_not_block_the_event_loop() -> None:
    threads: list[threading.Thread] = []

    def function(text: str) -> str:
        threads.append(threading.current_thread())
        return text

    asyncio.run(Redacted(Fixed(URGENT), function=function).classify_async(text("Hello"), BUCKETS))
    assert threads[0] is not threading.current_thread()


@pytest.mark.parametrize("error", [ValueError("x"), ClassifierError("x")])
def test_an_exception_of_the_function_keeps_the_conversation_here(api: Api, error: Exception) -> None:
    def fail(text: str) -> str:
        raise error

    member = Fixed(URGENT)
    with pytest.raises(type(error)):
        classify(api, Redacted(member, function=fail), CONVERSATION)
    assert member.conversations == []


def test_a_function_that_returns_no_text_keeps_the_conversation_here(api: Api) -> None:
    member = Fixed(URGENT)
    function: Any = str.split
    with pytest.raises(ClassifierError, match="the `function` of Redacted must return a string, not list"):
        classify(api, Redacted(member, function=function), CONVERSATION)
    assert member.conversations == []


def test_claude_receives_no_personal_data(api: Api, server: FakeClaude) -> None:
    with_key = Redacted(Claude(api_key="sk-ant-test"))

    async def classify_and_close() -> Verdict:
        verdict = await with_key.classify_async(CONVERSATION, BUCKETS)
        await with_key.aclose()
        return verdict

    verdict = with_key.classify(CONVERSATION, BUCKETS) if api.name == "sync" else asyncio.run(classify_and_close())
    with_key.close()
    assert not verdict.fallback
    (request,) = server.requests
    sent = json.dumps(request)
    assert "[phone number]" in sent
    assert not [data for data in (CARD, EMAIL, PHONE, "Mira") if data in sent]


# The Router


def test_the_router_acts_on_the_original_conversation(api: Api) -> None:
    desk: Desk = IntercomDesk()
    member = Fixed(Verdict(bucket="general", reason="About [email]."))
    contexts: list[RunContext] = []
    buckets = [Bucket("general", "Everything", [Note("{customer_name}: {reason}"), Run("remember")])]
    webhook = desk.fake.customer_writes(f"I am {EMAIL}", name="Mira Doe")
    router = desk.router(buckets=buckets, classifier=Redacted(member), functions={"remember": contexts.append})
    assert handle(api, router, webhook)[1].status == "routed"
    (seen,) = member.conversations
    assert (seen.messages[-1].text, seen.customer.name) == ("I am [email]", None)
    (context,) = contexts
    assert (context.conversation.messages[-1].text, context.conversation.customer.name) == (f"I am {EMAIL}", "Mira Doe")
    (note,) = desk.fake.notes(webhook.conversation_id or "")
    assert "Mira Doe: About [email]." in note


# Presidio


def test_the_findings_of_presidio_are_removed(api: Api) -> None:
    member = Fixed(URGENT)
    presidio = FakeAnalyzer(PERSON="Mira Doe", US_SSN="536-90-4399")
    conversation = text(f"I am Mira Doe, 536-90-4399, {EMAIL}.")
    classify(api, Redacted(member, presidio=presidio), conversation)
    assert member.conversations[0].messages[0].text == "I am [person], [us ssn], [email]."
    assert presidio.calls == [(conversation.messages[0].text, "en")]


def test_presidio_gets_the_language_and_the_result_of_the_function() -> None:
    presidio = FakeAnalyzer()
    redacted = Redacted(Fixed(URGENT), presidio=presidio, language="de", function=str.upper)
    redacted.redact(text("Hallo"))
    assert presidio.calls == [("HALLO", "de")]


@pytest.mark.parametrize(
    ("entity_type", "placeholder"),
    [
        ("CREDIT_CARD", "[card number]"),
        ("EMAIL_ADDRESS", "[email]"),
        ("IBAN_CODE", "[IBAN]"),
        ("PHONE_NUMBER", "[phone number]"),
        ("MEDICAL_LICENSE", "[medical license]"),
    ],
)
def test_findings_have_our_names(entity_type: str, placeholder: str) -> None:
    redacted = Redacted(Fixed(URGENT), kinds=[], presidio=FakeAnalyzer(**{entity_type: "secret"}))
    assert find_text(redacted, "a secret.") == f"a {placeholder}."


def test_overlapping_findings_have_the_name_of_the_longest() -> None:
    presidio = FakeAnalyzer(URL="example.com", EMAIL_ADDRESS=EMAIL, PERSON="mira")
    assert find_text(Redacted(Fixed(URGENT), kinds=[], presidio=presidio), f"I am {EMAIL}.") == "I am [email]."


def test_an_exception_of_presidio_keeps_the_conversation_here(api: Api) -> None:
    member = Fixed(URGENT)
    presidio: Any = SimpleNamespace(analyze=lambda **_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        classify(api, Redacted(member, presidio=presidio), CONVERSATION)
    assert member.conversations == []


def test_the_real_presidio_is_accepted() -> None:
    presidio_analyzer = pytest.importorskip("presidio_analyzer", reason="presidio-analyzer is not installed")
    spacy = pytest.importorskip("spacy")
    recognizers = pytest.importorskip("presidio_analyzer.predefined_recognizers")
    nlp_engine = pytest.importorskip("presidio_analyzer.nlp_engine").SpacyNlpEngine()
    nlp_engine.nlp = {"en": spacy.blank("en")}  # finds no names, but needs no download either
    registry = presidio_analyzer.RecognizerRegistry([recognizers.IpRecognizer(), recognizers.CreditCardRecognizer()])
    engine = presidio_analyzer.AnalyzerEngine(registry=registry, nlp_engine=nlp_engine)
    redacted = Redacted(Fixed(URGENT), kinds=[], presidio=engine)
    assert find_text(redacted, f"From 192.168.1.17: {CARD}") == "From [ip address]: [card number]"


# What the Router and recordings need to know


def test_the_fingerprint_is_that_of_the_redacted_conversation() -> None:
    rules = Rules.default()
    assert Redacted(rules).fingerprint(CONVERSATION, BUCKETS) == rules.fingerprint(REDACTED, BUCKETS)
    assert Redacted(Fixed(URGENT, key=None)).fingerprint(CONVERSATION, BUCKETS) is None


def test_the_estimated_cost_is_that_of_the_redacted_conversation() -> None:
    member = Fixed(URGENT, cost=1.0)
    assert Redacted(member).estimate_cost(CONVERSATION, BUCKETS) == len(REDACTED.text)
    assert Redacted(Fixed(URGENT, cost=None)).estimate_cost(CONVERSATION, BUCKETS) is None


def test_the_description_names_what_is_removed() -> None:
    assert Redacted(Rules({"billing": ["invoice"]})).describe(BUCKETS) == (
        "Redacted: card, iban, key, email, phone\n\nRules\nbilling: invoice\nfallback: general"
    )
    redacted = Redacted(Fixed(URGENT), kinds={"phone", "card"}, function=str.upper, presidio=FakeAnalyzer())
    assert redacted.describe(BUCKETS).startswith("Redacted: card, phone, function, presidio\n\n")
    assert repr(redacted) == "Redacted(Fixed(a))"


def test_an_async_only_classifier_is_rejected_in_sync_code() -> None:
    class AsyncOnly(Classifier):
        async def classify_async(self, conversation: Conversation, buckets: Buckets) -> Verdict:
            return URGENT

    with pytest.raises(ConfigurationError, match="AsyncOnly is async only"):
        Redacted(AsyncOnly()).classify(CONVERSATION, BUCKETS)


def test_a_cascade_can_be_redacted_and_parts_of_one_as_well(api: Api) -> None:
    first, second = Fixed(Verdict(bucket="general", confidence=0.1)), Fixed(URGENT)
    classify(api, Redacted(Cascade([first, second])), CONVERSATION)
    assert first.conversations == second.conversations == [REDACTED]
    own, remote = Fixed(Verdict(bucket="general", confidence=0.1)), Fixed(URGENT)
    classify(api, Cascade([own, Redacted(remote)]), CONVERSATION)
    assert (own.conversations, remote.conversations) == ([CONVERSATION], [REDACTED])


# Settings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kinds": ["cards"]}, "there is no kind 'cards'. The kinds are card, iban, key, email, phone"),
        ({"kinds": "card"}, r"kinds must be a list. Write kinds=\['card', "),
        ({"kinds": None}, "kinds must be a list"),
        ({"kinds": []}, "Redacted removes nothing"),
        ({"function": "upper"}, "`function` must be a function"),
        ({"presidio": object()}, "`presidio` must be an analyzer"),
    ],
)
def test_invalid_settings_are_rejected(settings: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Redacted(Fixed(URGENT), **settings)
