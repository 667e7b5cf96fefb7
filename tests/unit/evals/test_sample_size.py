"""The number of verdicts that a claim needs is that of the exact binomial test."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from tests.unit.evals.examples import build_dataset
from triage import ConfigurationError
from triage.errors import DatasetError
from triage.evals.sample_size import count_needed_verdicts, plan_sample


def bound_precision(right: int, total: int, confidence: float) -> float:
    interval = binomtest(right, total, alternative="greater").proportion_ci(confidence, method="exact")
    return float(interval.low)


@pytest.mark.parametrize(
    ("precision", "confidence", "verdicts"),
    [
        (0.99, 0.95, 299),
        (0.95, 0.95, 59),
        (0.9, 0.95, 29),
        (0.5, 0.75, 2),
        (0.5, 0.5, 1),
        (0.1, 0.1, 1),
        (0.999, 0.99, 4603),
    ],
)
def test_known_numbers_without_a_mistake(precision: float, confidence: float, verdicts: int) -> None:
    assert count_needed_verdicts(precision, confidence) == verdicts


@given(st.floats(0.3, 0.995), st.floats(0.5, 0.99))
def test_one_verdict_less_is_not_enough(precision: float, confidence: float) -> None:
    needed = count_needed_verdicts(precision, confidence)
    assert bound_precision(needed, needed, confidence) >= precision - 1e-6
    if needed > 1:
        assert bound_precision(needed - 1, needed - 1, confidence) < precision + 1e-6


@given(st.floats(0.5, 0.95), st.floats(0.3, 0.9), st.sampled_from([0.8, 0.95]))
def test_a_sample_with_mistakes_proves_the_claim_and_has_power(
    precision: float, gain: float, confidence: float
) -> None:
    expected = precision + gain * (1 - precision)
    verdicts, mistakes = plan_sample(precision, confidence, expected)
    assert bound_precision(verdicts - mistakes, verdicts, confidence) >= precision - 1e-6
    assert bound_precision(verdicts - mistakes - 1, verdicts, confidence) < precision
    assert binom.cdf(mistakes, verdicts, 1 - expected) >= 0.8


def test_without_expected_mistakes_none_is_allowed() -> None:
    assert plan_sample(0.99, 0.95, 1) == (299, 0)


def test_a_narrow_claim_needs_many_verdicts() -> None:
    verdicts, mistakes = plan_sample(0.99, 0.95, 0.992)
    assert verdicts > 10_000
    assert math.isclose(mistakes / verdicts, 0.0088, abs_tol=0.001)


@pytest.mark.parametrize("value", [0, 1, 99, -1, float("nan")])
def test_shares_must_lie_between_0_and_1(value: float) -> None:
    with pytest.raises(ConfigurationError, match=r"precision=.* must lie between 0 and 1. Write 0.95 for 95%"):
        count_needed_verdicts(value, 0.95)
    with pytest.raises(ConfigurationError, match="confidence="):
        plan_sample(0.95, value, 1)
    with pytest.raises(ConfigurationError, match="confidence="):
        count_needed_verdicts(0.95, value)
    with pytest.raises(ConfigurationError, match="precision="):
        plan_sample(value, 0.95, 1)


@pytest.mark.parametrize("expected", [0.9, 0.95, 1.1])
def test_a_precision_that_the_classifier_does_not_have_cannot_be_proved(expected: float) -> None:
    with pytest.raises(ConfigurationError, match=r"expected=.* must be more than precision=0.95"):
        plan_sample(0.95, 0.95, expected)


DATASET = build_dataset(*[("Ad", "spam")] * 12, *[("Hi", "general")] * 88)


def test_the_number_of_messages_follows_from_the_share_of_the_bucket() -> None:
    size = DATASET.how_many(0.99, bucket="spam")
    assert (size.verdicts, size.messages, size.labeled, size.labeled_in_bucket) == (299, 2492, 100, 12)
    assert str(size) == (
        "To promise with 95% confidence that 99% of the verdicts 'spam' are right, you need about 299 verdicts "
        "'spam', without a mistake. 12% of your messages are 'spam', so label about 2,492 messages. You have 100, 12 "
        "of them 'spam'."
    )


def test_expected_mistakes_are_explained() -> None:
    assert str(DATASET.how_many(0.9, "general", expected=0.95)).startswith(
        "To promise with 95% confidence that 90% of the verdicts 'general' are right, you need about 179 verdicts "
        "'general', of which at most 11 may be wrong. If 95% of them are really right, this succeeds 8 times in 10. "
    )


def test_without_an_example_the_share_is_not_known() -> None:
    with pytest.raises(DatasetError, match=r"no example of 'urgent'.*Its labels are: 'general' and 'spam'"):
        DATASET.how_many(bucket="urgent")
