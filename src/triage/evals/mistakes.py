"""The order in which people should look at mistakes."""

from collections.abc import Iterable

from triage.evals.example import Prediction
from triage.policy import Buckets


def sort_by_severity(mistakes: Iterable[Prediction], buckets: Buckets) -> tuple[Prediction, ...]:
    """Return mistakes with the worst first: missed messages of the first bucket, then by falling confidence.

    Args:
        mistakes: Wrong predictions.
        buckets: The buckets, the most important one first.
    """
    return tuple(sorted(mistakes, key=lambda mistake: rank(mistake, buckets)))


def rank(mistake: Prediction, buckets: Buckets) -> tuple[bool, float]:
    """Return a sort key by which worse mistakes come first.

    Args:
        mistake: A wrong prediction.
        buckets: The buckets, the most important one first.
    """
    confidence = 0.0 if mistake.verdict.fallback else mistake.verdict.confidence
    return mistake.expected != buckets.names[0], -confidence
