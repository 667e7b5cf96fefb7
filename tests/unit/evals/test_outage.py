"""An evaluation stops early if the classifier does not work at all."""

import pytest

from triage import ClassifierError, FallbackReason, Verdict
from triage.evals.outage import Outage

GOOD = Verdict(bucket="general")


def fail(kind: FallbackReason = "unavailable", retry_after: float | None = None) -> Verdict:
    reason = "Claude returned 401 (authentication_error)"
    return Verdict(bucket="general", fallback_reason=kind, reason=reason, retry_after=retry_after)


@pytest.mark.parametrize("kind", ["unavailable", "invalid_answer"])
def test_if_none_of_the_first_calls_works_the_error_says_why(kind: FallbackReason) -> None:
    outage = Outage("Claude('claude-haiku-5-5')")
    for _ in range(9):
        outage.record(fail(kind), is_final=False)
    with pytest.raises(ClassifierError, match=r"Claude\('claude-haiku-5-5'\) .* Claude returned 401"):
        outage.record(fail(kind), is_final=False)


def test_a_service_that_asks_to_wait_is_not_broken() -> None:
    outage = Outage("Claude")
    for _ in range(50):
        outage.record(fail(retry_after=1.0), is_final=False)
    assert outage.reason is None


def test_a_service_that_only_ever_asks_to_wait_is_given_up() -> None:
    outage = Outage("Claude")
    for _ in range(9):
        outage.record(fail(retry_after=1.0))
    with pytest.raises(ClassifierError):
        outage.record(fail(retry_after=1.0))


def test_a_refusal_shows_that_the_classifier_works() -> None:
    outage = Outage("Claude")
    outage.record(fail("refused"))
    for _ in range(50):
        outage.record(fail(), is_final=False)
    assert outage.reason is None


def test_an_outage_later_on_stops_the_calls() -> None:
    outage = Outage("Claude")
    outage.record(GOOD)
    for _ in range(9):
        outage.record(fail())
    assert outage.reason is None
    outage.record(fail())
    assert outage.reason == "Claude returned 401 (authentication_error)"


def test_a_usable_verdict_ends_an_outage() -> None:
    outage = Outage("Claude")
    for verdict in [GOOD, *[fail()] * 9, GOOD, *[fail()] * 9]:
        outage.record(verdict)
    assert outage.reason is None


def test_invalid_answers_later_on_are_results_like_any_other() -> None:
    outage = Outage("Claude")
    outage.record(GOOD)
    for _ in range(50):
        outage.record(fail("invalid_answer"))
    assert outage.reason is None
