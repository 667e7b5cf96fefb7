"""How many verdicts are needed to support a claim about a classifier."""

import math
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass

from triage.errors import ConfigurationError

POWER = 0.8
"""The probability with which the planned sample supports a claim that is true."""


@dataclass(frozen=True)
class SampleSize:
    """The number of labeled messages that a claim about the precision of a bucket needs. `str()` explains it.

    Args:
        bucket: The bucket.
        precision: The share of right verdicts to promise, from 0 to 1.
        confidence: The confidence of the promise, from 0 to 1.
        expected: The precision that the classifier really has, from 0 to 1. 1 if no verdict is wrong.
        verdicts: How many verdicts with this bucket are needed.
        mistakes: How many of these verdicts may be wrong.
        messages: About how many labeled messages lead to so many verdicts.
        labeled: How many labeled messages there are.
        labeled_in_bucket: How many of them belong to the bucket.
    """

    bucket: str
    precision: float
    confidence: float
    expected: float
    verdicts: int
    mistakes: int
    messages: int
    labeled: int
    labeled_in_bucket: int

    def __str__(self) -> str:
        name, share = repr(self.bucket), self.labeled_in_bucket / self.labeled
        mistakes = "without a mistake" if self.mistakes == 0 else f"of which at most {self.mistakes:,} may be wrong"
        chance = (
            f" If {_percent(self.expected)} of them are really right, this succeeds {POWER * 10:.0f} times in 10."
            if self.mistakes
            else ""
        )
        return (
            f"To promise with {_percent(self.confidence)} confidence that {_percent(self.precision)} of the verdicts "
            f"{name} are right, you need about {self.verdicts:,} verdicts {name}, {mistakes}.{chance} "
            f"{_percent(share)} of your messages are {name}, so label about {self.messages:,} messages. "
            f"You have {self.labeled:,}, {self.labeled_in_bucket:,} of them {name}."
        )


def count_needed_verdicts(precision: float, confidence: float) -> int:
    """Return how many right verdicts in a row prove a precision.

    After so many verdicts without a mistake, the exact one-sided lower bound (Clopper and Pearson) of the precision
    reaches `precision`.

    Args:
        precision: The share of right verdicts to prove, between 0 and 1.
        confidence: The confidence of the bound, between 0 and 1.

    Raises:
        ConfigurationError: A value is out of range.
    """
    _check_share("precision", precision)
    _check_share("confidence", confidence)
    # n right verdicts in a row have the probability precision ** n, which must be at most 1 - confidence. The bound is
    # relaxed by far more than the rounding errors, so that 0.5 ** 2 proves 0.75.
    return max(1, math.ceil(math.log1p(-confidence) / math.log(precision) - 1e-9))


def plan_sample(precision: float, confidence: float, expected: float) -> tuple[int, int]:
    """Return how many verdicts prove a precision, if the classifier makes mistakes, and how many of them may be wrong.

    A classifier with the expected precision passes this exact binomial test with a probability of 80%.

    Args:
        precision: The share of right verdicts to prove, between 0 and 1.
        confidence: The confidence of the proof, between 0 and 1.
        expected: The precision that the classifier really has: more than `precision`, at most 1.

    Raises:
        ConfigurationError: A value is out of range.
    """
    _check_share("precision", precision)
    _check_share("confidence", confidence)
    if not precision < expected <= 1:
        raise ConfigurationError(
            f"expected={expected!r} must be more than precision={precision!r}, and at most 1: nobody can prove a "
            f"precision that the classifier does not have."
        )

    def has_power(mistakes: int) -> bool:
        verdicts = _count_verdicts(mistakes, precision, confidence)
        return _cumulate(mistakes, verdicts, 1 - expected) >= POWER

    mistakes = _find_first(has_power)
    return _count_verdicts(mistakes, precision, confidence), mistakes


def _count_verdicts(mistakes: int, precision: float, confidence: float) -> int:
    """Return the smallest number of verdicts that prove a precision although so many of them are wrong."""
    if mistakes == 0:
        return count_needed_verdicts(precision, confidence)
    return _find_first(lambda verdicts: _cumulate(mistakes, verdicts, 1 - precision) <= 1 - confidence)


def _cumulate(mistakes: int, verdicts: int, error_rate: float) -> float:
    """Return the probability of at most so many mistakes."""
    from scipy.stats import binom

    return float(binom.cdf(mistakes, verdicts, error_rate))


def _find_first(is_enough: Callable[[int], bool]) -> int:
    """Return the smallest number that is enough, if every larger number is enough as well."""
    limit = 1
    while not is_enough(limit):
        limit *= 2
    return bisect_left(range(limit), True, key=is_enough)


def _check_share(name: str, value: float) -> None:
    if not 0 < value < 1:
        raise ConfigurationError(f"{name}={value!r} must lie between 0 and 1. Write 0.95 for 95%.")


def _percent(share: float) -> str:
    return f"{share * 100:.3g}%"
