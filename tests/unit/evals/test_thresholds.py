"""The lowest confidence threshold that keeps a promise. `tests/simulation` proves that it does."""

import random
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from triage.evals.sample_size import count_needed_verdicts
from triage.evals.thresholds import Choice, bound_precision, choose_threshold, estimate_growth

Verdicts: TypeAlias = list[tuple[float, bool]]

# Mostly right verdicts with a few different confidences, often enough for a promise of 70%.
VERDICTS = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.5, 0.8, 0.9, 0.95, 1.0]) | st.floats(0, 1),
        st.sampled_from([True, True, True, True, False]),
    ),
    max_size=60,
)


def choose(verdicts: Sequence[tuple[float, bool]], precision: float = 0.7, error: float = 0.1) -> Choice | None:
    confidences = [confidence for confidence, _ in verdicts]
    return choose_threshold(confidences, [is_right for _, is_right in verdicts], precision=precision, error=error)


def get_threshold(choice: Choice | None) -> float:
    return 2.0 if choice is None else choice.threshold  # a refusal is stricter than any threshold


@given(VERDICTS)
def test_the_threshold_is_one_of_the_confidences_and_counts_the_verdicts_that_reach_it(verdicts: Verdicts) -> None:
    choice = choose(verdicts)
    if choice is not None:
        kept = [is_right for confidence, is_right in verdicts if confidence >= choice.threshold]
        assert choice.threshold in [confidence for confidence, _ in verdicts]
        assert (choice.verdicts, choice.right) == (len(kept), sum(kept))


@given(VERDICTS, st.randoms(use_true_random=False))
def test_the_order_of_the_verdicts_does_not_matter(verdicts: Verdicts, rng: random.Random) -> None:
    assert choose(verdicts) == choose(rng.sample(verdicts, len(verdicts)))


@given(VERDICTS, st.data())
def test_a_right_verdict_in_place_of_a_wrong_one_never_raises_the_threshold(
    verdicts: Verdicts, data: st.DataObject
) -> None:
    better = [(confidence, is_right or data.draw(st.booleans())) for confidence, is_right in verdicts]
    assert get_threshold(choose(better)) <= get_threshold(choose(verdicts))


@given(VERDICTS)
def test_the_lower_bound_keeps_the_promise(verdicts: Verdicts) -> None:
    choice = choose(verdicts)
    if choice is not None:
        assert 0.7 <= choice.lower_bound < choice.right / choice.verdicts + 1e-9


@given(st.integers(1, 400), st.integers(0, 20), st.sampled_from([0.8, 0.9, 0.95, 0.99]), st.sampled_from([0.01, 0.05]))
def test_with_a_single_confidence_the_whole_error_budget_is_spent_on_the_exact_test(
    right: int, wrong: int, precision: float, error: float
) -> None:
    choice = choose([(0.9, True)] * right + [(0.9, False)] * wrong, precision, error)
    test = binomtest(right, right + wrong, precision, alternative="greater")
    assert (choice is not None) == (test.pvalue <= error)


@given(st.integers(0, 300), st.integers(0, 20), st.sampled_from([0.01, 0.05]))
def test_the_bound_is_that_of_clopper_and_pearson(right: int, wrong: int, error: float) -> None:
    if right + wrong:
        interval = binomtest(right, right + wrong, alternative="greater").proportion_ci(1 - error, method="exact")
        assert bound_precision(right, right + wrong, error) == pytest.approx(interval.low)


def test_a_bound_without_verdicts_is_zero() -> None:
    assert bound_precision(0, 0, 0.05) == 0.0


@given(st.sampled_from([0.5, 0.8, 0.9, 0.95, 0.99]), st.sampled_from([0.01, 0.05, 0.1, 0.25]))
def test_the_smallest_sample_suffices_if_all_verdicts_are_right(precision: float, error: float) -> None:
    needed = count_needed_verdicts(precision, 1 - error)
    verdicts = [(number / 1000, True) for number in range(needed)]
    choice = choose(verdicts, precision, error)
    assert choice is not None
    assert (choice.threshold, choice.verdicts) == (0.0, needed)
    assert choose(verdicts[1:], precision, error) is None


def test_an_early_mistake_does_not_end_the_search() -> None:
    """The most confident verdict is wrong, so the first start fails, but a later one succeeds."""
    verdicts = [(0.99, False)] + [(0.98 - number / 10_000, True) for number in range(400)]
    choice = choose(verdicts, precision=0.95, error=0.05)
    assert choice is not None
    assert (choice.verdicts, choice.right) == (401, 400)


def test_the_threshold_excludes_the_confidences_with_many_mistakes() -> None:
    verdicts = [(0.9, True)] * 200 + [(0.6, True), (0.6, False)] * 50
    choice = choose(verdicts, precision=0.95, error=0.05)
    assert choice is not None
    assert (choice.threshold, choice.verdicts, choice.right) == (0.9, 200, 200)


def test_without_verdicts_there_is_no_threshold() -> None:
    assert choose([]) is None
    assert estimate_growth([], [], precision=0.9, error=0.05) is None


def estimate(right: int, wrong: int, precision: float) -> float | None:
    return estimate_growth([0.9] * (right + wrong), [True] * right + [False] * wrong, precision=precision, error=0.05)


@pytest.mark.parametrize(("right", "wrong", "precision"), [(97, 3, 0.95), (48, 2, 0.9), (298, 2, 0.99), (40, 0, 0.95)])
def test_with_as_many_messages_as_estimated_most_promises_succeed(right: int, wrong: int, precision: float) -> None:
    growth = estimate(right, wrong, precision)
    assert growth is not None
    rng = np.random.default_rng(0)
    count = round(growth * (right + wrong))
    successes = 0
    for _ in range(300):
        correct = rng.random(count) < right / (right + wrong)
        successes += choose_threshold(np.full(count, 0.9), correct, precision=precision, error=0.05) is not None
    assert successes > 0.7 * 300


def test_the_estimate_uses_the_most_promising_threshold() -> None:
    confidences = [0.9] * 50 + [0.5] * 50
    correct = [True] * 50 + [True, False] * 25
    assert estimate_growth(confidences, correct, precision=0.95, error=0.05) == 59 / 50


@pytest.mark.parametrize(("right", "wrong"), [(0, 10), (90, 10), (95, 5), (951, 49)])
def test_no_number_of_messages_helps_a_precision_that_is_not_clearly_above_the_promise(right: int, wrong: int) -> None:
    assert estimate(right, wrong, 0.95) is None
