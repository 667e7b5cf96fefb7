"""The numbers agree with scikit-learn, SciPy and statsmodels, and are defined for any data."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, confusion_matrix, f1_score, precision_recall_fscore_support
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

from tests.unit.evals.reports import NAMES
from triage.evals.metrics import (
    BucketMetrics,
    CoveragePoint,
    Estimate,
    compute_mcnemar,
    count_confusion,
    estimate_difference,
    estimate_share,
    find_detectable_difference,
    measure_buckets,
    measure_coverage,
    measure_latency,
    measure_macro_f1,
    measure_reliability,
)

PAIRS = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)), min_size=1)
VERDICTS = st.lists(st.tuples(st.integers(0, 999).map(lambda number: (number + 0.5) / 1000), st.booleans()), min_size=1)


def unzip(pairs: Sequence[tuple[str, str]]) -> tuple[list[str], list[str]]:
    return [expected for expected, _ in pairs], [actual for _, actual in pairs]


# Shares


@given(st.integers(0, 500), st.integers(1, 500))
def test_a_share_has_the_wilson_interval_of_statsmodels(successes: int, total: int) -> None:
    successes = min(successes, total)
    low, high = proportion_confint(successes, total, method="wilson")
    estimate = estimate_share(successes, total)
    assert estimate.value == successes / total
    assert (estimate.low, estimate.high) == pytest.approx((low, high), abs=1e-9)
    assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1


def test_nothing_is_known_about_a_share_of_no_messages() -> None:
    assert estimate_share(0, 0) == Estimate(0.0, 0.0, 1.0, 0)
    assert not estimate_share(0, 0).is_known
    assert estimate_share(0, 1).is_known


# Buckets


@given(PAIRS)
def test_the_numbers_of_buckets_are_those_of_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    expected, actual = unzip(pairs)
    columns = precision_recall_fscore_support(expected, actual, labels=NAMES, zero_division=0)
    buckets = measure_buckets(expected, actual, NAMES)
    assert list(buckets) == list(NAMES)
    for bucket, precision, recall, f1, support in zip(buckets.values(), *columns, strict=True):
        assert (bucket.precision.value, bucket.recall.value, bucket.f1.value, bucket.support) == (
            pytest.approx(precision),
            pytest.approx(recall),
            pytest.approx(f1),
            support,
        )
        assert bucket.f1.low <= bucket.f1.value <= bucket.f1.high


@given(PAIRS)
def test_the_confusion_matrix_is_that_of_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    expected, actual = unzip(pairs)
    confusion = count_confusion(expected, actual, NAMES)
    assert [list(row.values()) for row in confusion.values()] == confusion_matrix(
        expected, actual, labels=NAMES
    ).tolist()


@given(PAIRS)
def test_macro_f1_is_that_of_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    expected, actual = unzip(pairs)
    assert measure_macro_f1(expected, actual) == pytest.approx(f1_score(expected, actual, average="macro"))


def test_without_messages_no_bucket_has_numbers() -> None:
    unknown = Estimate(0.0, 0.0, 1.0, 0)
    assert measure_buckets([], [], NAMES) == {name: BucketMetrics(0, unknown, unknown, unknown) for name in NAMES}
    assert measure_macro_f1([], []) == 0


def test_the_interval_of_f1_covers_the_true_value_in_95_percent_of_all_cases() -> None:
    share, involved = 0.8, 100  # the true share of right verdicts, and how many messages the bucket involves
    f1 = 2 * share / (1 + share)
    covered = 0.0
    for right in range(60, 100):
        actual = ["billing"] * right + ["spam"] * (involved - right)
        estimate = measure_buckets(["billing"] * involved, actual, ("billing", "spam"))["billing"].f1
        covered += binom.pmf(right, involved, share) * (estimate.low <= f1 <= estimate.high)
    assert covered == pytest.approx(0.95, abs=0.01)


# Confidence


@given(VERDICTS)
def test_the_reliability_bins_are_those_of_scikit_learn(verdicts: list[tuple[float, bool]]) -> None:
    confidences, right = [confidence for confidence, _ in verdicts], [is_right for _, is_right in verdicts]
    reliability = measure_reliability(confidences, right)
    assert reliability is not None
    accuracies, means = calibration_curve(right, confidences, n_bins=10)
    assert [one.accuracy.value for one in reliability.bins] == pytest.approx(list(accuracies))
    assert [one.confidence for one in reliability.bins] == pytest.approx(list(means))
    assert sum(one.accuracy.total for one in reliability.bins) == len(verdicts)


@given(VERDICTS)
def test_the_brier_score_is_that_of_scikit_learn(verdicts: list[tuple[float, bool]]) -> None:
    confidences, right = [confidence for confidence, _ in verdicts], [is_right for _, is_right in verdicts]
    reliability = measure_reliability(confidences, right)
    assert reliability is not None
    assert reliability.brier == pytest.approx(brier_score_loss(right, confidences, pos_label=True))


def test_the_calibration_error_is_the_weighted_distance_of_confidence_and_accuracy() -> None:
    reliability = measure_reliability([0.8, 0.8, 0.8, 0.8, 0.3], [True, True, False, False, True])
    assert reliability is not None
    assert reliability.ece == pytest.approx((4 * 0.3 + 1 * 0.7) / 5)


def test_each_confidence_from_0_to_1_has_a_bin() -> None:
    reliability = measure_reliability([0.0, 0.1, 0.11, 1.0], [True] * 4)
    assert reliability is not None
    assert [(one.low, one.high, one.accuracy.total) for one in reliability.bins] == [
        (0.0, 0.1, 2),
        (0.1, 0.2, 1),
        (0.9, 1.0, 1),
    ]


def test_there_is_no_reliability_without_verdicts() -> None:
    assert measure_reliability([], []) is None


@given(VERDICTS, st.integers(0, 10))
def test_each_threshold_counts_the_verdicts_that_reach_it(verdicts: list[tuple[float, bool]], missing: int) -> None:
    confidences, right = [confidence for confidence, _ in verdicts], [is_right for _, is_right in verdicts]
    total = len(verdicts) + missing
    points = measure_coverage(confidences, right, total)
    assert [point.threshold for point in points] == sorted(set(confidences), reverse=True)
    for point in points:
        reached = [is_right for confidence, is_right in verdicts if confidence >= point.threshold]
        assert point == CoveragePoint(point.threshold, sum(reached), len(reached), len(reached) / total)
        assert point.accuracy == sum(reached) / len(reached)


def test_there_is_no_coverage_without_verdicts() -> None:
    assert measure_coverage([], [], 0) == ()


# Latency


@given(st.lists(st.floats(0.001, 100), min_size=1))
def test_latencies_are_the_percentiles_of_numpy(seconds: list[float]) -> None:
    latency = measure_latency(seconds)
    assert latency is not None
    assert (latency.p50, latency.p95) == pytest.approx((np.percentile(seconds, 50), np.percentile(seconds, 95)))


def test_a_latency_of_0_was_not_measured() -> None:
    assert measure_latency([]) is None
    assert measure_latency([0.0, 0.0]) is None
    assert measure_latency([0.0, 1.0]) is not None


# Comparison


@given(st.integers(0, 200), st.integers(0, 200))
def test_the_p_value_is_that_of_mcnemars_exact_test_in_statsmodels(fixed: int, broken: int) -> None:
    p_value = mcnemar([[10, fixed], [broken, 10]], exact=True).pvalue
    assert compute_mcnemar(fixed, broken) == pytest.approx(min(1.0, p_value))


@given(st.integers(0, 100), st.integers(0, 100), st.integers(0, 100))
def test_a_difference_lies_in_its_interval_and_changes_its_sign_with_the_order(
    fixed: int, broken: int, same: int
) -> None:
    total = max(1, fixed + broken + same)
    forward, backward = estimate_difference(fixed, broken, total), estimate_difference(broken, fixed, total)
    assert -1 <= forward.low <= forward.value <= forward.high <= 1
    assert (forward.value, forward.low, forward.high) == pytest.approx((-backward.value, -backward.high, -backward.low))


def test_the_interval_of_a_difference_covers_the_true_value_in_95_percent_of_all_cases() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for fixed, broken, _ in rng.multinomial(200, [0.08, 0.03, 0.89], size=2000):
        estimate = estimate_difference(int(fixed), int(broken), 200)
        covered += estimate.low <= 0.05 <= estimate.high
    assert 0.93 <= covered / 2000 <= 0.98


def test_the_detectable_difference_is_found_in_about_80_percent_of_all_cases() -> None:
    total, discordant = 2000, 200
    difference = find_detectable_difference(discordant, total)
    chance = (1 + difference * total / discordant) / 2  # that a message that changes is fixed
    significant = [fixed for fixed in range(discordant + 1) if binomtest(fixed, discordant).pvalue < 0.05]
    power = math.fsum(binom.pmf(fixed, discordant, chance) for fixed in significant)
    assert 0.75 <= power <= 0.85


def test_fewer_than_six_changes_are_never_significant() -> None:
    assert find_detectable_difference(0, 100) == 0.06
    assert find_detectable_difference(0, 5) > 1
    assert compute_mcnemar(5, 0) > 0.05 > compute_mcnemar(6, 0)


def test_numbers_do_not_depend_on_the_order_of_the_messages() -> None:
    pairs = [(NAMES[number % 4], NAMES[number % 3]) for number in range(50)]
    assert measure_buckets(*unzip(pairs), NAMES) == measure_buckets(*unzip(pairs[::-1]), NAMES)
