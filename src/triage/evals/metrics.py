"""The numbers of a report, computed by scikit-learn and SciPy, which are imported on first use: that takes seconds."""

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

SIGNIFICANT = 0.05
"""The p-value below which two classifiers count as different."""

_CONFIDENCE = 0.95
_EDGES = tuple(edge / 10 for edge in range(11))


@dataclass(frozen=True)
class Estimate:
    """A number between 0 and 1 that was measured on some messages, with its 95% confidence interval."""

    value: float
    low: float
    high: float
    total: int
    """How many messages the number is about. If it is 0, nothing is known: the value is 0, and the interval 0 to 1."""

    @property
    def is_known(self) -> bool:
        """True if the number is about at least one message."""
        return self.total > 0


@dataclass(frozen=True)
class BucketMetrics:
    """How well a classifier recognizes the messages of a bucket."""

    support: int
    """How many messages belong to the bucket."""
    precision: Estimate
    """The share of the bucket's verdicts that are right."""
    recall: Estimate
    """The share of the bucket's messages that are recognized."""
    f1: Estimate
    """The harmonic mean of precision and recall."""


@dataclass(frozen=True)
class ReliabilityBin:
    """The verdicts whose confidence is above `low` and at most `high`. The first bin includes confidence 0."""

    low: float
    high: float
    confidence: float
    """The mean confidence of the verdicts."""
    accuracy: Estimate


@dataclass(frozen=True)
class Reliability:
    """How well the confidence of verdicts predicts their accuracy. Fallback verdicts are left out."""

    bins: tuple[ReliabilityBin, ...]
    """The bins that contain verdicts, in ascending order."""
    ece: float
    """The expected calibration error: the mean distance of confidence and accuracy in the bins, weighted by size."""
    brier: float
    """The mean squared distance of the confidence from 1 if the verdict is right, or from 0 if it is wrong."""


@dataclass(frozen=True)
class CoveragePoint:
    """The effect of a threshold: the verdicts whose confidence reaches it."""

    threshold: float
    right: int
    count: int
    coverage: float
    """The share of all messages whose verdicts reach the threshold."""

    @property
    def accuracy(self) -> float:
        """The share of the verdicts that are right."""
        return self.right / self.count


@dataclass(frozen=True)
class Latency:
    """How long verdicts take, in seconds."""

    p50: float
    p95: float


def estimate_share(successes: int, total: int) -> Estimate:
    """Return a share with its Wilson interval.

    Args:
        successes: How many messages have the property.
        total: How many messages there are.
    """
    if not total:
        return Estimate(0.0, 0.0, 1.0, 0)
    value = successes / total
    from scipy.stats import binomtest

    interval = binomtest(successes, total).proportion_ci(_CONFIDENCE, method="wilson")
    # Rounding errors must not exclude the value.
    return Estimate(value, min(value, max(0.0, interval.low)), max(value, min(1.0, interval.high)), total)


def count_confusion(expected: Sequence[str], actual: Sequence[str], names: Sequence[str]) -> dict[str, dict[str, int]]:
    """Count the messages by expected and actual bucket.

    Args:
        expected: The bucket of each message.
        actual: The bucket of each verdict, in the same order.
        names: All buckets.

    Returns:
        For each expected bucket, the numbers of messages by actual bucket.
    """
    # Not scikit-learn's confusion_matrix, which rejects empty data and warns if there is a single bucket.
    counts = Counter(zip(expected, actual, strict=True))
    return {row: {column: counts[row, column] for column in names} for row in names}


def measure_buckets(expected: Sequence[str], actual: Sequence[str], names: Sequence[str]) -> dict[str, BucketMetrics]:
    """Measure precision, recall and F1 of each bucket.

    Args:
        expected: The bucket of each message.
        actual: The bucket of each verdict, in the same order.
        names: All buckets.
    """
    confusion = count_confusion(expected, actual, names)
    f1s = [0.0 for _ in names]
    if expected:
        f1s = _import_metrics().f1_score(expected, actual, labels=list(names), average=None, zero_division=0).tolist()
    metrics: dict[str, BucketMetrics] = {}
    for name, f1 in zip(names, f1s, strict=True):
        right = confusion[name][name]
        support = sum(confusion[name].values())
        chosen = sum(row[name] for row in confusion.values())
        metrics[name] = BucketMetrics(
            support=support,
            precision=estimate_share(right, chosen),
            recall=estimate_share(right, support),
            f1=_estimate_f1(f1, right, support + chosen - right),
        )
    return metrics


def _estimate_f1(f1: float, right: int, involved: int) -> Estimate:
    """Return F1 with its interval.

    F1 is not a share, but it grows with one: with the share s of right verdicts among the messages that belong to the
    bucket or were put there, F1 = 2s / (1 + s). So the ends of the Wilson interval of s give those of F1.
    """
    share = estimate_share(right, involved)
    low, high = (2 * end / (1 + end) for end in (share.low, share.high))
    return Estimate(f1, min(f1, low), max(f1, high), involved)


def measure_macro_f1(expected: Sequence[str], actual: Sequence[str]) -> float:
    """Return the mean F1 of the buckets that occur among messages or verdicts, or 0 if there are none.

    Args:
        expected: The bucket of each message.
        actual: The bucket of each verdict, in the same order.
    """
    return float(_import_metrics().f1_score(expected, actual, average="macro", zero_division=0)) if expected else 0.0


def measure_reliability(confidences: Sequence[float], right: Sequence[bool]) -> Reliability | None:
    """Compare the confidence of verdicts with their accuracy, in ten bins of equal width.

    Args:
        confidences: The confidence of each verdict.
        right: For each verdict, True if it is right.

    Returns:
        None if there are no verdicts.
    """
    if not confidences:
        return None
    contents: list[list[tuple[float, bool]]] = [[] for _ in _EDGES[1:]]
    for confidence, is_right in zip(confidences, right, strict=True):
        contents[bisect_left(_EDGES, confidence, lo=1) - 1].append((confidence, is_right))
    bins = tuple(
        ReliabilityBin(
            low=_EDGES[number],
            high=_EDGES[number + 1],
            confidence=math.fsum(confidence for confidence, _ in content) / len(content),
            accuracy=estimate_share(sum(is_right for _, is_right in content), len(content)),
        )
        for number, content in enumerate(contents)
        if content
    )
    gaps = (one.accuracy.total * abs(one.accuracy.value - one.confidence) for one in bins)
    return Reliability(
        bins=bins,
        ece=math.fsum(gaps) / len(confidences),
        brier=float(_import_metrics().brier_score_loss(list(map(int, right)), list(confidences), pos_label=1)),
    )


def measure_coverage(confidences: Sequence[float], right: Sequence[bool], total: int) -> tuple[CoveragePoint, ...]:
    """Measure coverage and accuracy at each threshold, from the highest confidence to the lowest.

    Args:
        confidences: The confidence of each usable verdict.
        right: For each of them, True if it is right.
        total: How many messages there are, including those without a usable verdict.
    """
    points: list[CoveragePoint] = []
    successes = count = 0
    ranking = sorted(zip(confidences, right, strict=True), reverse=True)
    for threshold, group in groupby(ranking, key=lambda verdict: verdict[0]):
        results = [is_right for _, is_right in group]
        successes += sum(results)
        count += len(results)
        points.append(CoveragePoint(threshold, successes, count, count / total))
    return tuple(points)


def measure_latency(seconds: Sequence[float]) -> Latency | None:
    """Return the median and the 95th percentile of latencies.

    Args:
        seconds: The latency of each verdict. It is 0 if the classifier does not measure it.

    Returns:
        None if no latency was measured.
    """
    if not any(seconds):
        return None
    import numpy as np

    p50, p95 = map(float, np.percentile(seconds, [50, 95]))
    return Latency(p50, p95)


def compute_mcnemar(fixed: int, broken: int) -> float:
    """Return the p-value of McNemar's exact test: how likely luck alone makes two classifiers differ this much.

    Args:
        fixed: How many messages only the second classifier gets right.
        broken: How many messages only the first classifier gets right.
    """
    from scipy.stats import binomtest

    return float(binomtest(fixed, fixed + broken, 0.5).pvalue) if fixed + broken else 1.0


def estimate_difference(fixed: int, broken: int, total: int) -> Estimate:
    """Return the change in accuracy from one classifier to another on the same messages, from -1 to 1.

    Args:
        fixed: How many messages only the second classifier gets right.
        broken: How many messages only the first classifier gets right.
        total: How many messages there are, at least one.
    """
    # Agresti and Min, "Simple improved confidence intervals for comparing matched proportions", Statistics in Medicine
    # 24 (2005), 729-740: Wald's interval after 0.5 is added to each of the four cells. It holds for small sets, too.
    gained, lost, size = fixed + 0.5, broken + 0.5, total + 2
    center = (gained - lost) / size
    margin = _get_z(0.5 + _CONFIDENCE / 2) * math.sqrt(gained + lost - (gained - lost) ** 2 / size) / size
    return Estimate((fixed - broken) / total, max(-1.0, center - margin), min(1.0, center + margin), total)


def find_detectable_difference(discordant: int, total: int) -> float:
    """Return the approximate difference in accuracy that McNemar's test finds in 80% of all cases.

    Args:
        discordant: How many messages only one of the classifiers gets right.
        total: How many messages there are, at least one.

    Returns:
        A share of the messages. It is above 1 if the set is too small to find any difference.
    """
    # Connor, "Sample size for testing differences in proportions for the paired-sample design", Biometrics 43 (1987),
    # 207-211, for a small difference. Fewer messages than `fewest` are never significant, even if all change one way.
    z = _get_z(1 - SIGNIFICANT / 2) + _get_z(0.8)
    fewest = math.ceil(1 - math.log2(SIGNIFICANT))
    return max(fewest, z * math.sqrt(discordant)) / total


def _get_z(probability: float) -> float:
    from scipy.stats import norm

    return float(norm.ppf(probability))


def _import_metrics() -> Any:
    """Return `sklearn.metrics`, which has no type hints."""
    from sklearn import metrics  # pyright: ignore[reportMissingTypeStubs]

    return metrics
