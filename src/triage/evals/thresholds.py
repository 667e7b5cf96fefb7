"""Choose a confidence threshold so that the verdicts at or above it have a minimum precision, with a guarantee.

Each distinct confidence is a candidate. The null hypothesis "the precision at this threshold is too low" has an exact
p-value, the binomial tail. To try many thresholds and still keep the guarantee, they are tested as in Learn then Test
(Angelopoulos et al. 2021, arXiv:2110.01052): one after the other, from strict to lenient.

The order alone does not suffice: the strictest thresholds have too few verdicts to reject anything, and a single early
mistake would end the sequence. So the sequence has several starts, and the error budget is divided among them. A
threshold is tested with its own share and with the budget of the previous threshold, if that one was accepted. This is
the fallback procedure (Wiens 2003, Pharmaceutical Statistics 2:211). It keeps the guarantee whatever the dependence
between the tests: as long as no bad threshold is accepted, the budget of a bad one consists of the shares since the
previous bad one, so all their budgets together are at most the whole budget.

The first start is the number of verdicts that suffices if all of them are right; each further start has twice as many
verdicts as the previous one. These numbers depend on how many verdicts there are and on their confidences, but not on
the labels. Given the confidences, the tests are valid although the precision differs from verdict to verdict: of all
sums of independent trials with the same mean, the binomial has the heaviest tails (Hoeffding 1956, Annals of
Mathematical Statistics 27:713). `python -m tests.simulation.calibration` compares this design with others.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, binom

from triage.evals.sample_size import count_needed_verdicts, plan_sample

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]

_ROUNDING = 1e-9  # the relative error of a computed p-value
_MAX_GROWTH = 20


@dataclass(frozen=True)
class Choice:
    """A threshold that keeps the promise."""

    threshold: float
    verdicts: int
    """How many verdicts are at or above the threshold."""
    right: int
    lower_bound: float
    """The lower bound of the precision, at the level at which the threshold was tested. It is at least the promise."""


def choose_threshold(
    confidences: Sequence[float] | Floats,
    correct: Sequence[bool] | NDArray[np.bool_],
    *,
    precision: float,
    error: float,
) -> Choice | None:
    """Return the lowest threshold that keeps the promise, or None if there is none.

    Args:
        confidences: The confidences of the verdicts.
        correct: Whether each of the verdicts is right.
        precision: The minimum precision at or above the threshold, between 0 and 1.
        error: The probability with which the promise may be broken, between 0 and 1.
    """
    thresholds, verdicts, right = _count(confidences, correct)
    p_values = np.asarray(binom.sf(right - 1, verdicts, precision), dtype=np.float64)
    accepted = _test_in_order(p_values, _divide(error, verdicts, precision))
    if accepted is None:
        return None
    index, budget = accepted
    return Choice(
        threshold=float(thresholds[index]),
        verdicts=int(verdicts[index]),
        right=int(right[index]),
        lower_bound=max(precision, bound_precision(int(right[index]), int(verdicts[index]), budget)),
    )


def bound_precision(right: int, verdicts: int, error: float) -> float:
    """Return the exact lower bound of a precision, according to Clopper and Pearson.

    Args:
        right: How many verdicts are right.
        verdicts: How many verdicts there are.
        error: The probability with which the true precision may be lower, between 0 and 1.
    """
    return float(beta.ppf(error, right, verdicts - right + 1)) if right else 0.0


def estimate_growth(
    confidences: Sequence[float] | Floats,
    correct: Sequence[bool] | NDArray[np.bool_],
    *,
    precision: float,
    error: float,
) -> float | None:
    """Estimate how many times as many messages would make a refused promise possible, with a probability of 80%.

    The estimate assumes that the precision at the best threshold stays as it was observed.

    Args:
        confidences: The confidences of the verdicts.
        correct: Whether each of the verdicts is right.
        precision: The minimum precision at or above the threshold, between 0 and 1.
        error: The probability with which the promise may be broken, between 0 and 1.

    Returns:
        None if even 20 times as many would not do, because the observed precision is too low at every threshold.
    """
    _, verdicts, right = _count(confidences, correct)
    level = error / len(_list_starts(verdicts, precision, error))
    is_hopeful = (right > precision * verdicts) & (binom.sf(right - 1, verdicts, precision) > level)
    if not is_hopeful.any():
        return None
    verdicts, right = verdicts[is_hopeful], right[is_hopeful]
    best = int(np.argmax(beta.ppf(level, right, verdicts - right + 1)))
    count = int(verdicts[best])
    needed, _ = plan_sample(precision, 1 - level, int(right[best]) / count)
    growth = max(needed, count + 1) / count
    return growth if growth <= _MAX_GROWTH else None


def _count(
    confidences: Sequence[float] | Floats, correct: Sequence[bool] | NDArray[np.bool_]
) -> tuple[Floats, Integers, Integers]:
    """Return the distinct confidences, highest first, how many verdicts reach each of them, and how many are right."""
    thresholds, positions, counts = np.unique(
        np.asarray(confidences, dtype=np.float64), return_inverse=True, return_counts=True
    )
    right = np.bincount(positions, weights=np.asarray(correct, dtype=np.float64), minlength=len(thresholds))
    return thresholds[::-1], np.cumsum(counts[::-1]), np.cumsum(right[::-1]).astype(np.int64)


def _list_starts(verdicts: Integers, precision: float, error: float) -> list[int]:
    """Return the starts, as numbers of verdicts. There is always one; each has an equal share of the error budget."""

    def find_first(starts: int) -> int:
        return count_needed_verdicts(precision, 1 - error / starts)

    starts = 1
    while find_first(starts + 1) * 2**starts <= verdicts.max(initial=0):
        starts += 1
    return [find_first(starts) * 2**number for number in range(starts)]


def _divide(error: float, verdicts: Integers, precision: float) -> Floats:
    """Return each threshold's own share of the error budget. Most have none."""
    starts = _list_starts(verdicts, precision, error)
    # A start is the strictest threshold with so many verdicts. Several may be the same if many confidences are equal.
    positions = np.searchsorted(verdicts, starts)
    counts = np.bincount(positions[positions < len(verdicts)], minlength=len(verdicts))
    return np.asarray(counts * (error / len(starts)), dtype=np.float64)


def _test_in_order(p_values: Floats, shares: Floats) -> tuple[int, float] | None:
    """Return the last threshold that is accepted, and the budget with which it was tested."""
    accepted: tuple[int, float] | None = None
    budget = 0.0
    for index, (p_value, share) in enumerate(zip(p_values.tolist(), shares.tolist(), strict=True)):
        budget += share
        if p_value <= budget * (1 + _ROUNDING):
            accepted = index, budget
        else:
            budget = 0.0
    return accepted
