"""A cascade asks the next classifier if a verdict is doubtful."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

import pytest

from tests.helpers.api import Api
from tests.helpers.classifiers import BUCKETS, CONVERSATION, Fixed, Together, classify, fallback
from triage import ClassifierError, ConfigurationError, Conversation, Verdict
from triage.classifiers import Cascade, Classifier, ClassifierLike, Claude, Rules
from triage.classifiers.base import AsyncOnlyError
from triage.models import Usage
from triage.policy import Buckets
from triage.testing import FakeClaude

SECRET = "4711"


def sure(bucket: str = "billing", confidence: float = 0.9, **fields: Any) -> Verdict:
    return Verdict(bucket=bucket, confidence=confidence, **fields)


def count_asked(api: Api, cascade: Cascade) -> int:
    return len(classify(api, cascade).parts)


# When the next classifier is asked


@pytest.mark.parametrize(
    ("escalate", "verdict", "asked"),
    [
        (0.8, sure(confidence=0.8), 1),
        (0.8, sure(confidence=0.79), 2),
        (0, sure(confidence=0.0), 1),
        (1, sure(confidence=0.99), 2),
        ({"billing": 0.95, "*": 0.5}, sure(confidence=0.9), 2),
        ({"billing": 0.95, "*": 0.5}, sure("urgent", 0.6), 1),
        ({"billing": 0.95, "*": 0.5}, sure("urgent", 0.4), 2),
        ({" Billing": 0.95}, sure("BILLING", 0.9), 2),
        ({"billing": 0.95}, sure("urgent", 0.0), 1),
        (lambda verdict: verdict.bucket == "urgent", sure("urgent"), 2),
        (lambda verdict: verdict.bucket == "urgent", sure("billing", 0.0), 1),
        (0.0, fallback(), 2),
        ({}, fallback(), 2),
        (lambda verdict: False, fallback(), 2),
    ],
)
def test_a_doubtful_verdict_escalates(api: Api, escalate: Any, verdict: Verdict, asked: int) -> None:
    assert count_asked(api, Cascade([Fixed(verdict), Fixed(sure("urgent"))], escalate=escalate)) == asked


def test_the_default_is_a_confidence_of_0_8(api: Api) -> None:
    assert count_asked(api, Cascade([Fixed(sure(confidence=0.79)), Fixed(sure())])) == 2
    assert count_asked(api, Cascade([Fixed(sure(confidence=0.81)), Fixed(sure())])) == 1


def test_doubtful_verdicts_escalate_to_the_last_classifier(api: Api) -> None:
    members = [Fixed(sure(name, 0.5)) for name in ("general", "billing", "urgent")]
    verdict = classify(api, Cascade(members))
    assert verdict.bucket == "urgent"
    assert [part.bucket for part in verdict.parts] == ["general", "billing", "urgent"]


@pytest.mark.parametrize(
    ("answers", "asked", "bucket"),
    [
        (["billing", "billing", "urgent", "urgent"], 2, "billing"),
        (["billing", "urgent", "urgent", "general"], 3, "urgent"),
        (["billing", "urgent", "billing", "general"], 3, "billing"),
        (["billing", "urgent", "general", "urgent"], 4, "urgent"),
        ([None, "urgent", "billing", "urgent"], 4, "urgent"),
        (["urgent", None, "urgent", "billing"], 3, "urgent"),
        ([None, None, "general", "general"], 4, "general"),
        (["billing", "urgent", "general", None], 4, "general"),
    ],
)
def test_disagreement_asks_until_two_verdicts_agree(
    api: Api, answers: list[str | None], asked: int, bucket: str
) -> None:
    members = [Fixed(fallback() if name is None else sure(name, 0.1)) for name in answers]
    verdict = classify(api, Cascade(members, escalate="disagreement"))
    assert (len(verdict.parts), verdict.bucket, verdict.fallback) == (asked, bucket, False)


def test_the_first_two_of_a_disagreement_are_asked_concurrently() -> None:
    member = Together(2, sure())
    cascade = Cascade([member, AsyncOnly(member), Fixed(sure())], escalate="disagreement")
    assert len(classify(Api("async"), cascade).parts) == 2


class AsyncOnly(Classifier):
    """Passes every question on."""

    def __init__(self, inner: Classifier) -> None:
        self._inner = inner

    async def classify_async(self, conversation: Conversation, buckets: Buckets) -> Verdict:
        return await self._inner.classify_async(conversation, buckets)


def test_an_escalate_function_that_raises_escalates(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    def escalate(verdict: Verdict) -> bool:
        raise ValueError(SECRET)

    assert count_asked(api, Cascade([Fixed(sure()), Fixed(sure())], escalate=escalate)) == 2
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "`escalate` function of Cascade raised ValueError at " in record.getMessage()
    assert SECRET not in caplog.text


def test_a_configuration_error_of_an_escalate_function_is_raised(api: Api) -> None:
    def escalate(verdict: Verdict) -> bool:
        raise ConfigurationError("no threshold")

    with pytest.raises(ConfigurationError, match="no threshold"):
        classify(api, Cascade([Fixed(sure()), Fixed(sure())], escalate=escalate))


# The verdict


def test_the_verdict_has_the_total_usage_cost_and_latency(api: Api) -> None:
    first = sure(confidence=0.2, usage=Usage(input_tokens=10, output_tokens=1), cost_usd=0.25, latency=1.0)
    second = sure(
        "urgent",
        0.7,
        usage=Usage(input_tokens=20, cache_read_tokens=5),
        cost_usd=0.5,
        latency=2.0,
        model="m",
        reason="r",
        extra={"language": "en"},
        prompt_version="v",
    )
    assert classify(api, Cascade([Fixed(first), Fixed(second)])) == second.model_copy(
        update={
            "usage": Usage(input_tokens=30, output_tokens=1, cache_read_tokens=5),
            "cost_usd": 0.75,
            "latency": 3.0,
            "parts": (first, second),
        }
    )


def test_concurrent_verdicts_take_as_long_as_the_slowest(api: Api) -> None:
    members = [Fixed(sure(name, latency=latency)) for name, latency in (("urgent", 1.0), ("billing", 2.0))]
    verdict = classify(api, Cascade([*members, Fixed(sure(latency=4.0))], escalate="disagreement"))
    assert verdict.latency == {"sync": 7.0, "async": 6.0}[api.name]


def test_a_single_verdict_is_part_of_the_result(api: Api) -> None:
    assert classify(api, Cascade([Fixed(sure()), Fixed(sure("urgent"))])) == sure(parts=(sure(),))


@pytest.mark.parametrize("costs", [(None, 0.5), (0.5, None)])
def test_the_cost_is_unknown_if_a_part_is(api: Api, costs: tuple[float | None, ...]) -> None:
    members = [Fixed(sure(confidence=0.1, cost_usd=cost)) for cost in costs]
    assert classify(api, Cascade(members)).cost_usd is None


@pytest.mark.parametrize("replayed", [(True, False), (False, True), (True, True)])
def test_the_verdict_is_replayed_if_all_parts_are(api: Api, replayed: tuple[bool, bool]) -> None:
    members = [Fixed(sure(confidence=0.1, replayed=value)) for value in replayed]
    assert classify(api, Cascade(members)).replayed is all(replayed)


def test_the_deciding_verdict_says_whether_to_close(api: Api) -> None:
    doubtful, certain = sure(confidence=0.1, allow_close=False), sure(allow_close=True)
    assert classify(api, Cascade([Fixed(doubtful), Fixed(certain)])).allow_close
    assert not classify(
        api, Cascade([Fixed(certain.model_copy(update={"confidence": 0.1})), Fixed(doubtful)])
    ).allow_close
    assert not classify(api, Cascade([Fixed(doubtful), Fixed(fallback())])).allow_close


def test_a_doubtful_verdict_beats_none(api: Api) -> None:
    doubtful = sure("urgent", 0.3, reason="maybe")
    verdict = classify(api, Cascade([Fixed(doubtful), Fixed(fallback("unavailable", retry_after=9.0))]))
    assert (verdict.bucket, verdict.confidence, verdict.reason) == ("urgent", 0.3, "maybe")
    assert (verdict.fallback, verdict.retry_after) == (False, None)


def test_the_last_usable_verdict_beats_an_earlier_one(api: Api) -> None:
    members = [Fixed(sure("urgent", 0.7)), Fixed(sure("billing", 0.1)), Fixed(fallback())]
    assert classify(api, Cascade(members)).bucket == "billing"


@pytest.mark.parametrize(
    ("kinds", "kind"),
    [
        (["refused", "unavailable", "invalid_answer"], "unavailable"),
        (["invalid_answer", "refused", "invalid_answer"], "refused"),
        (["over_budget", "invalid_answer", "no_text"], "over_budget"),
    ],
)
def test_a_refusal_survives_unless_a_later_call_may_succeed(api: Api, kinds: list[Any], kind: str) -> None:
    members = [Fixed(fallback(reason), name=str(number)) for number, reason in enumerate(kinds)]
    verdict = classify(api, Cascade(members))
    assert (verdict.fallback_reason, verdict.bucket, verdict.confidence) == (kind, "general", 0.0)
    assert verdict.reason == "; ".join(f"Fixed({number}): it was {reason}" for number, reason in enumerate(kinds))
    assert [part.fallback_reason for part in verdict.parts] == kinds


def test_the_shortest_wait_survives(api: Api) -> None:
    members = [Fixed(fallback("unavailable", retry_after=seconds)) for seconds in (9.0, None, 4.0)]
    assert classify(api, Cascade(members)).retry_after == 4.0


def test_a_refusal_has_no_wait(api: Api) -> None:
    assert classify(api, Cascade([Fixed(fallback(retry_after=9.0)), Fixed(fallback())])).retry_after is None


def test_identical_reasons_are_reported_once(api: Api) -> None:
    assert classify(api, Cascade([Fixed(fallback()), Fixed(fallback())])).reason == "Fixed(a): it was refused"


# Exceptions


def test_an_exception_escalates_and_is_logged_without_its_message(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    verdict = classify(api, Cascade([Fixed(ValueError(SECRET)), Fixed(sure("urgent", cost_usd=0.5))]))
    assert (verdict.bucket, verdict.cost_usd) == ("urgent", 0.5)
    assert verdict.parts[0] == Verdict(
        bucket="general", confidence=0.0, fallback_reason="unavailable", reason="it raised ValueError", cost_usd=0.0
    )
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage().startswith("Fixed(a) raised ValueError at ")
    assert SECRET not in caplog.text


def test_our_own_error_messages_are_logged(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    verdict = classify(api, Cascade([Fixed(ClassifierError("not a verdict")), Fixed(sure())]))
    assert verdict.parts[0].fallback_reason == "invalid_answer"
    assert verdict.parts[0].reason == "it raised ClassifierError: not a verdict"
    assert caplog.records[0].getMessage().endswith(": not a verdict")


def test_the_cost_of_an_exception_is_unknown_unless_the_classifier_is_priced(api: Api) -> None:
    members = [Fixed(ValueError(), priced=False), Fixed(sure(cost_usd=0.5))]
    assert classify(api, Cascade(members)).cost_usd is None


def test_an_exception_of_the_last_classifier_leaves_the_verdict_before_it(api: Api) -> None:
    verdict = classify(api, Cascade([Fixed(sure("urgent", 0.3)), Fixed(ValueError())]))
    assert (verdict.bucket, verdict.confidence, verdict.fallback) == ("urgent", 0.3, False)


def test_exceptions_of_all_classifiers_are_like_one_that_reaches_the_router(api: Api) -> None:
    verdict = classify(api, Cascade([Fixed(ValueError()), Fixed(ClassifierError("x"), name="b")]))
    assert (verdict.fallback_reason, verdict.bucket) == ("unavailable", "general")
    assert verdict.reason == "Fixed(a): it raised ValueError; Fixed(b): it raised ClassifierError: x"


def test_an_unknown_bucket_escalates_and_keeps_its_cost(api: Api) -> None:
    verdict = classify(api, Cascade([Fixed(sure("nonsense", cost_usd=0.25)), Fixed(sure("Urgent", cost_usd=0.5))]))
    assert (verdict.bucket, verdict.cost_usd) == ("urgent", 0.75)
    assert (verdict.parts[0].fallback_reason, verdict.parts[0].bucket) == ("invalid_answer", "general")


@pytest.mark.parametrize("escalate", [0.8, "disagreement"])
def test_a_configuration_error_is_raised(api: Api, escalate: Any) -> None:
    members = [Fixed(ConfigurationError("no key")), Fixed(sure(), name="b"), Fixed(sure(), name="c")]
    with pytest.raises(ConfigurationError, match="no key"):
        classify(api, Cascade(members, escalate=escalate))


def test_an_async_only_classifier_is_rejected_in_sync_code() -> None:
    with pytest.raises(AsyncOnlyError, match="AsyncOnly is async only"):
        classify(Api("sync"), Cascade([AsyncOnly(Fixed(sure())), Fixed(sure())]))


def test_cascades_nest(api: Api) -> None:
    inner = Cascade([Fixed(sure(confidence=0.1, cost_usd=0.25)), Fixed(sure(confidence=0.2, cost_usd=0.25))])
    verdict = classify(api, Cascade([inner, Fixed(sure("urgent", cost_usd=0.5))]))
    assert (verdict.bucket, verdict.cost_usd) == ("urgent", 1.0)
    assert [len(part.parts) for part in verdict.parts] == [2, 0]


# The default pair


def test_claude_asks_the_larger_model_if_it_is_in_doubt(api: Api, server: FakeClaude) -> None:
    def answer(request: Mapping[str, Any]) -> Mapping[str, Any]:
        is_large = "sonnet" in request["model"]
        return {"reason": "r", "label": "urgent" if is_large else "billing", "confidence": 0.9 if is_large else 0.4}

    server.answer = answer
    cascade = Cascade([Claude(api_key="sk-ant-test"), Claude("claude-sonnet-5-5", api_key="sk-ant-test")])

    async def classify_and_close() -> Verdict:
        verdict = await cascade.classify_async(CONVERSATION, BUCKETS)
        await cascade.aclose()
        return verdict

    verdict = cascade.classify(CONVERSATION, BUCKETS) if api.name == "sync" else asyncio.run(classify_and_close())
    cascade.close()
    assert (verdict.bucket, verdict.confidence, verdict.model) == ("urgent", 0.9, "claude-sonnet-5-5")
    assert [request["model"] for request in server.requests] == ["claude-haiku-5-5", "claude-sonnet-5-5"]
    costs = [part.cost_usd for part in verdict.parts]
    assert verdict.cost_usd == pytest.approx(sum(cost for cost in costs if cost))
    assert all(costs)
    assert cascade.priced


# Settings


@pytest.mark.parametrize("members", [[], [Fixed(sure())], "claude-haiku-5-5", Fixed(sure()), None])
def test_a_cascade_needs_two_classifiers(members: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"Cascade needs at least 2|Cascade takes a list"):
        Cascade(members)


def test_a_disagreement_needs_three_classifiers() -> None:
    with pytest.raises(ConfigurationError, match="'disagreement' needs at least 3 classifiers, not 2"):
        Cascade([Fixed(sure()), Fixed(sure())], escalate="disagreement")


def test_the_same_classifier_twice_is_rejected() -> None:
    member = Fixed(sure())
    with pytest.raises(ConfigurationError, match="Cascade has the same classifier twice"):
        Cascade([member, Fixed(sure()), member])


@pytest.mark.parametrize(
    "escalate", [-0.1, 1.1, True, None, "always", float("nan"), {"billing": 2}, {"billing": "high"}, {1: 0.5}]
)
def test_an_invalid_escalate_is_rejected(escalate: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"Cascade: escalate .* Write a confidence from 0 to 1"):
        Cascade([Fixed(sure()), Fixed(sure())], escalate=escalate)


async def escalate_async(verdict: Verdict) -> bool:
    return True


class AsyncFunction:
    async def __call__(self, verdict: Verdict) -> bool:
        return True


@pytest.mark.parametrize("escalate", [escalate_async, AsyncFunction()])
def test_an_async_escalate_function_is_rejected(escalate: Any) -> None:
    with pytest.raises(ConfigurationError, match="must not be async"):
        Cascade([Fixed(sure()), Fixed(sure())], escalate=escalate)


def test_confidences_for_an_unknown_bucket_are_rejected() -> None:
    members = [Fixed(sure()), Fixed(sure())]
    with pytest.raises(ConfigurationError, match="'sales', which is not a bucket"):
        Cascade(members, escalate={"sales": 0.5, "*": 0.1}).check(BUCKETS)
    assert [member.events for member in members] == [[], []]
    Cascade(members, escalate={"Billing ": 0.5, "*": 0.1}).check(BUCKETS)
    assert [member.events for member in members] == [["check"], ["check"]]


def escalate_spam(verdict: Verdict) -> bool:
    return verdict.bucket == "spam"


class EscalateSpam:
    def __call__(self, verdict: Verdict) -> bool:
        return escalate_spam(verdict)


@pytest.mark.parametrize(
    ("escalate", "text"),
    [
        (0.8, "0.8"),
        ({"*": 1}, "1.0"),
        ({"urgent": 0.9, "*": 0.5}, "{'urgent': 0.9, '*': 0.5}"),
        ("disagreement", "'disagreement'"),
        (escalate_spam, "escalate_spam"),
        (EscalateSpam(), "EscalateSpam"),
    ],
)
def test_a_cascade_describes_itself(escalate: Any, text: str) -> None:
    members: list[ClassifierLike] = [Fixed(sure()), Fixed(sure(), name="b"), Rules({"billing": ["invoice"]})]
    cascade = Cascade(members, escalate=escalate)
    assert repr(cascade) == f"Cascade([Fixed(a), Fixed(b), Rules()], escalate={text})"
    description = cascade.describe(BUCKETS)
    assert description.startswith(f"Cascade, escalate: {text}\n\n1. Fixed(a)\n\nFixed(a)\n\nurgent: Outages\n")
    assert description.endswith("3. Rules()\n\nRules\nbilling: invoice\nfallback: general")


def fingerprint(*keys: str | None, escalate: Any = 0.8, buckets: Buckets = BUCKETS) -> str | None:
    return Cascade([Fixed(sure(), key=key) for key in keys], escalate=escalate).fingerprint(CONVERSATION, buckets)


def test_the_fingerprint_depends_on_everything_that_the_verdict_depends_on() -> None:
    reordered = Buckets([*BUCKETS[1:], BUCKETS[0]])
    fingerprints = [
        fingerprint("a", "b"),
        fingerprint("b", "a"),
        fingerprint("a", "b", escalate=0.7),
        fingerprint("a", "b", escalate={"urgent": 0.8}),
        fingerprint("a", "b", "c"),
        fingerprint("a", "b", "c", escalate="disagreement"),
        fingerprint("a", "b", buckets=reordered),
    ]
    assert None not in fingerprints
    assert len(set(fingerprints)) == len(fingerprints)
    assert fingerprint("a", "b") == fingerprint("a", "b", escalate={"*": 0.8})


def test_without_a_fingerprint_of_every_part_there_is_none() -> None:
    assert fingerprint("a", None) is None
    assert fingerprint("a", "b", escalate=escalate_spam) is None


def test_the_estimated_cost_is_that_of_all_classifiers() -> None:
    length = len(CONVERSATION.text)
    assert (
        Cascade([Fixed(sure(), cost=1.0), Fixed(sure(), cost=2.0)]).estimate_cost(CONVERSATION, BUCKETS) == 3 * length
    )
    assert Cascade([Fixed(sure()), Fixed(sure(), cost=None)]).estimate_cost(CONVERSATION, BUCKETS) is None
