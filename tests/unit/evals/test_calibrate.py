"""Thresholds for the buckets of a report, or reasons why there are none."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from triage import Assign, Bucket, Buckets, ConfigurationError, Conversation, FallbackReason, Message, Router, Verdict
from triage.actions import Close
from triage.evals.calibrate import calibrate
from triage.evals.example import Example, Prediction
from triage.evals.report import Report
from triage.policy import decide
from triage.vendors import Intercom

BUCKETS = Buckets(
    [
        Bucket("billing", "Invoices", [Assign(team="67890")], examples=["I was charged twice."]),
        Bucket("spam", "Advertising", [Close()], min_confidence=0.5),
        Bucket("general", "Anything else", [Assign(team="11111")]),
    ]
)


def predict(
    actual: str,
    expected: str,
    confidence: float,
    *,
    count: int = 1,
    group: str | None = None,
    fallback_reason: FallbackReason | None = None,
) -> list[Prediction]:
    message = Message(id="1", role="customer", text="My card number is 4711.")
    example = Example(Conversation(id="1", messages=(message,)), expected, group)
    verdict = Verdict(bucket=actual, confidence=confidence, fallback_reason=fallback_reason)
    return [Prediction(example, (verdict,))] * count


def report(*predictions: Sequence[Prediction], **options: Any) -> Report:
    return Report([prediction for group in predictions for prediction in group], BUCKETS, **options)


GOOD = (
    *predict("billing", "billing", 0.95, count=200),
    *predict("billing", "billing", 0.8, count=20),
    *predict("billing", "spam", 0.8, count=20),
    *predict("spam", "spam", 0.9, count=40),
    *predict("general", "general", 0.7, count=220),
)


def test_each_bucket_gets_the_lowest_threshold_that_keeps_its_promise() -> None:
    calibration = calibrate(report(GOOD), {"billing": 0.95, "general": 0.9})
    billing = calibration.thresholds["billing"]
    assert (billing.min_confidence, billing.verdicts, billing.right) == (0.95, 200, 200)
    assert billing.share_kept == 200 / 240
    assert billing.is_promised
    assert billing.lower_bound >= billing.precision == 0.95
    assert calibration.thresholds["general"].min_confidence == 0.7
    assert calibration.confidence == 0.95


def test_the_buckets_keep_everything_but_threshold_and_mode() -> None:
    buckets = calibrate(report(GOOD), {"billing": 0.95, "spam": 0.95}).buckets
    billing, spam, general = buckets
    assert billing == Bucket("billing", "Invoices", [Assign(team="67890")], 0.95, "auto", ["I was charged twice."])
    assert spam == Bucket("spam", "Advertising", [Close()], 0.5, "suggest")
    assert general is BUCKETS.fallback
    assert buckets.fallback == general


def test_a_promise_ends_the_trial_of_a_bucket() -> None:
    trial = Buckets([Bucket("billing", "Invoices", mode="shadow")], fallback="billing")
    calibration = calibrate(Report(predict("billing", "billing", 0.9, count=59), trial), 0.95)
    assert calibration.buckets[0].mode == "auto"


def test_the_exact_confidence_becomes_the_threshold() -> None:
    confidence = 0.87654321098765432
    calibration = calibrate(report(predict("billing", "billing", confidence, count=59)), {"billing": 0.95})
    (prediction,) = predict("billing", "billing", confidence)
    assert calibration.buckets[0].min_confidence == confidence
    assert decide(prediction.verdict, calibration.buckets, review=None).status == "routed"


def test_one_number_is_a_promise_for_each_bucket() -> None:
    assert {name: found.precision for name, found in calibrate(report(GOOD), 0.8).thresholds.items()} == {
        "billing": 0.8,
        "spam": 0.8,
        "general": 0.8,
    }


def test_an_asterisk_means_all_other_buckets() -> None:
    thresholds = calibrate(report(GOOD), {"*": 0.8, "spam": 0.9}).thresholds
    assert {name: found.precision for name, found in thresholds.items()} == {
        "billing": 0.8,
        "spam": 0.9,
        "general": 0.8,
    }


def test_all_promises_hold_together_so_each_needs_more_verdicts() -> None:
    """59 right verdicts suffice for one promise of 95%, but with three promises each needs 80."""
    enough_for_one = report(predict("billing", "billing", 0.9, count=79), predict("spam", "spam", 0.9))
    assert calibrate(enough_for_one, {"billing": 0.95}).thresholds["billing"].is_promised
    refused = calibrate(enough_for_one, 0.95).thresholds["billing"]
    assert not refused.is_promised
    assert refused.reason.startswith("needs at least 80 verdicts 'billing', all right; there are 79.")
    enough_for_three = report(predict("billing", "billing", 0.9, count=80))
    assert calibrate(enough_for_three, 0.95).thresholds["billing"].is_promised


def test_a_higher_confidence_needs_more_verdicts() -> None:
    verdicts = report(predict("billing", "billing", 0.9, count=89))
    assert calibrate(verdicts, {"billing": 0.95}, confidence=0.98).thresholds["billing"].is_promised
    assert not calibrate(verdicts, {"billing": 0.95}, confidence=0.99).thresholds["billing"].is_promised


def test_fallback_verdicts_do_not_count() -> None:
    failures = predict("billing", "spam", 1.0, count=50, fallback_reason="unavailable")
    threshold = calibrate(report(GOOD, failures), {"billing": 0.95}).thresholds["billing"]
    assert (threshold.verdicts, threshold.right) == (200, 200)


def test_the_first_of_several_samples_counts() -> None:
    (right,), (wrong,) = predict("billing", "billing", 0.9), predict("spam", "billing", 0.1)
    both = Prediction(right.example, (*right.verdicts, *wrong.verdicts))
    assert calibrate(report([both] * 59), {"billing": 0.95}).thresholds["billing"].min_confidence == 0.9


HOPELESS = "More messages will hardly help: describe the bucket more clearly, or promise less."
REASONS: Mapping[str, tuple[Report, str]] = {
    "no verdict": (
        report(predict("general", "general", 0.9)),
        "needs at least 598 verdicts 'spam', all right; there are 0. Label more messages that belong in 'spam'.",
    ),
    "a single verdict": (
        report(predict("spam", "spam", 0.9), predict("general", "general", 0.9)),
        "needs at least 598 verdicts 'spam', all right; there is 1. Label about 1,200 more messages.",
    ),
    "too few verdicts": (
        report(predict("spam", "spam", 0.9, count=120), predict("general", "general", 0.9, count=880)),
        "needs at least 598 verdicts 'spam', all right; there are 120. Label about 4,000 more messages.",
    ),
    "too few verdicts, and mistakes": (
        report(predict("spam", "spam", 0.9, count=110), predict("spam", "billing", 0.9, count=10)),
        f"needs at least 598 verdicts 'spam', all right; there are 120, 10 of them wrong. {HOPELESS}",
    ),
    "too many mistakes": (
        report(predict("spam", "spam", 0.9, count=588), predict("spam", "billing", 0.9, count=12)),
        f"12 of 600 verdicts are wrong; no threshold is proven to reach 99.5%. {HOPELESS}",
    ),
    "one mistake": (
        report(predict("spam", "spam", 0.9, count=699), predict("spam", "billing", 0.9)),
        "1 of 700 verdicts is wrong; no threshold is proven to reach 99.5%. Label about 850 more messages.",
    ),
    "a few mistakes": (
        report(predict("spam", "spam", 0.9, count=798), predict("spam", "billing", 0.9, count=2)),
        "2 of 800 verdicts are wrong; no threshold is proven to reach 99.5%. Label about 3,100 more messages.",
    ),
}


@pytest.mark.parametrize("case", REASONS)
def test_a_refusal_says_why_and_how_many_messages_are_missing(case: str) -> None:
    evaluation, reason = REASONS[case]
    threshold = calibrate(evaluation, {"spam": 0.995}).thresholds["spam"]
    assert threshold.reason == reason
    assert not threshold.is_promised


def test_a_refused_bucket_reports_all_its_verdicts() -> None:
    evaluation = report(predict("spam", "spam", 0.9, count=9), predict("spam", "billing", 0.5))
    threshold = calibrate(evaluation, {"spam": 0.995}).thresholds["spam"]
    assert (threshold.min_confidence, threshold.verdicts, threshold.right) == (None, 10, 9)
    assert 0.6 < threshold.lower_bound < 0.62
    assert threshold.share_kept == 0.0


def test_the_review_share_is_that_of_the_router() -> None:
    calibration = calibrate(
        report(
            GOOD,  # 40 of 500 messages are below the threshold of billing, and 40 are in spam, which only suggests
            predict("general", "general", 0.0, count=10, fallback_reason="unavailable"),
            predict("general", "general", 0.0, count=30, fallback_reason="refused"),
        ),
        {"billing": 0.95, "spam": 0.95},
    )
    assert calibration.review_share == (40 + 40 + 30) / 540


def test_messages_of_one_group_are_counted() -> None:
    evaluation = report(
        predict("billing", "billing", 0.9, count=3, group="mira"),
        predict("billing", "billing", 0.9, group="jonas"),
        predict("billing", "billing", 0.9, count=60),
    )
    assert calibrate(evaluation).grouped == 3


def test_the_router_accepts_the_buckets() -> None:
    calibration = calibrate(report(GOOD), 0.9)
    desk = Intercom(client_secret="secret", access_token="token", admin_id="814860")
    assert calibration.buckets.fallback.min_confidence == 0.7
    with pytest.raises(ConfigurationError, match="review"):
        Router(desk, buckets=calibration.buckets, classifier=lambda text: "spam")
    review = [Assign(team="11111")]
    router = Router(desk, buckets=calibration.buckets, classifier=lambda text: "spam", review=review)
    assert list(router.buckets) == list(calibration.buckets)


@pytest.mark.parametrize(
    ("precision", "message"),
    [
        ({"bills": 0.9}, "precision contains 'bills', but the buckets are billing, spam, general. Write one of these"),
        ({}, "precision is empty. Write {'spam': 0.995, '*': 0.95}"),
        (0, "precision must lie between 0 and 1, not 0. Write 0.95 for 95%."),
        (1.0, "precision must lie between 0 and 1, not 1.0."),
        (95, "precision must lie between 0 and 1, not 95."),
        (True, "precision must lie between 0 and 1, not True."),
        (float("nan"), "precision must lie between 0 and 1, not nan."),
        ("0.9", "precision must lie between 0 and 1, not '0.9'."),
        ({"spam": 99.5, "*": 0.9}, "precision['spam'] must lie between 0 and 1, not 99.5."),
    ],
)
def test_an_invalid_precision_is_rejected(precision: Any, message: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        calibrate(report(GOOD), precision)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize("confidence", [0.79, 0.99999, 95, 1, True, "0.95", float("nan")])
def test_an_invalid_confidence_is_rejected(confidence: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"confidence must be from 0\.8 to 0\.9999, not .*Write 0\.95 for 95%"):
        calibrate(report(GOOD), confidence=confidence)


def test_an_empty_report_is_rejected() -> None:
    with pytest.raises(ConfigurationError, match=r"no predictions.*evaluate\(classifier, dataset, buckets\)"):
        calibrate(report())


def test_a_report_of_an_evaluation_that_was_not_finished_is_rejected() -> None:
    with pytest.raises(ConfigurationError, match=r"^3 messages have no verdict.*Run evaluate\(\) again"):
        calibrate(report(GOOD, unanswered=3))
