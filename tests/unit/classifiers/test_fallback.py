"""A verdict for a bucket that does not exist becomes a fallback verdict."""

import pytest

from triage import Buckets, ClassifierError, ConfigurationError, Verdict
from triage.classifiers.fallback import check_bucket, fall_back_after

BUCKETS = Buckets.default()
SECRET = "5 Elm Street"


def test_the_verdict_for_a_bucket_is_returned_as_it_is() -> None:
    verdict = Verdict(bucket="spam")
    assert check_bucket(verdict, BUCKETS) is verdict


def test_the_bucket_of_a_verdict_is_written_as_in_the_list() -> None:
    assert check_bucket(Verdict(bucket=" Spam"), BUCKETS) == Verdict(bucket="spam")


def test_a_verdict_for_an_unknown_bucket_becomes_a_fallback_verdict_that_keeps_its_cost() -> None:
    verdict = check_bucket(Verdict(bucket=SECRET, confidence=0.9, reason=SECRET, cost_usd=0.5), BUCKETS)
    assert verdict == Verdict(
        bucket="general",
        confidence=0.0,
        reason="the classifier returned an unknown bucket; the buckets are urgent, billing, general, spam",
        fallback_reason="invalid_answer",
        cost_usd=0.5,
    )


def test_a_fallback_verdict_keeps_its_cause_whatever_its_bucket() -> None:
    verdict = Verdict(bucket="", fallback_reason="unavailable", reason="overloaded", retry_after=5.0)
    assert check_bucket(verdict, BUCKETS) == verdict.model_copy(update={"bucket": "general"})


@pytest.mark.parametrize(
    ("error", "kind", "reason"),
    [
        (ValueError(SECRET), "unavailable", "it raised an error"),
        (ConfigurationError("no key"), "unavailable", "it raised an error: no key"),
        (ClassifierError("no answer"), "invalid_answer", "it raised an error: no answer"),
    ],
)
def test_only_our_own_errors_are_quoted(error: Exception, kind: str, reason: str) -> None:
    verdict = fall_back_after(error, "it raised an error", BUCKETS)
    assert (verdict.bucket, verdict.fallback_reason, verdict.reason) == ("general", kind, reason)
