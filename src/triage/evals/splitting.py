"""Split a data set so that nothing in the test set is known from the training set."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence

from triage.errors import ConfigurationError, DatasetError
from triage.evals.example import Example
from triage.evals.similarity import fingerprint_text
from triage.evals.wording import count_things, show_label

_TOLERANCE = 1e-12
"""Smaller changes are rounding errors, which could alternate forever."""


def split_examples(examples: Sequence[Example], test: float, seed: int, name: str) -> tuple[list[int], list[int]]:
    """Choose the examples of the training set and of the test set.

    Examples with the same group or the same text form a cluster. Whole clusters are drawn at random, as long as they
    bring the share of each bucket in the test set closer to `test`.

    Args:
        examples: The examples.
        test: The share of the test set, between 0 and 1.
        seed: The seed. The same seed splits the same examples in the same way, in any order and on any machine.
        name: The name of the data set.

    Returns:
        The indexes of the examples in each set.

    Raises:
        ConfigurationError: `test` is out of range.
        DatasetError: A bucket has no examples in one of the sets.
    """
    if not 0 < test < 1:
        raise ConfigurationError(f"test={test!r} must lie between 0 and 1. Write 0.3 for 30%.")
    clusters = _build_clusters(examples, seed)
    counts = [Counter(examples[index].bucket for index in cluster) for cluster in clusters]
    chosen = _choose_clusters(counts, test)
    _check_sides(counts, chosen, test, name)
    testing = {index for cluster, is_chosen in zip(clusters, chosen, strict=True) if is_chosen for index in cluster}
    indexes = range(len(examples))
    return [index for index in indexes if index not in testing], sorted(testing)


def rank(fingerprint: str, seed: int) -> bytes:
    """Return the place of a text in a random order that is the same on every machine.

    Args:
        fingerprint: The text.
        seed: The seed of the order.
    """
    return hashlib.sha256(f"{seed}:{fingerprint}".encode(errors="replace")).digest()


def _build_clusters(examples: Sequence[Example], seed: int) -> list[list[int]]:
    """Return the indexes of the examples that must stay together, in random order."""
    parents = list(range(len(examples)))

    def find_root(index: int) -> int:
        while parents[index] != index:
            parents[index] = parents[parents[index]]
            index = parents[index]
        return index

    fingerprints = [fingerprint_text(example) for example in examples]
    firsts: dict[tuple[str, str], int] = {}
    for index, (example, fingerprint) in enumerate(zip(examples, fingerprints, strict=True)):
        keys = [("text", fingerprint)] if example.group is None else [("text", fingerprint), ("group", example.group)]
        for key in keys:
            parents[find_root(index)] = find_root(firsts.setdefault(key, index))
    clusters: dict[int, list[int]] = {}
    for index in range(len(examples)):
        clusters.setdefault(find_root(index), []).append(index)
    return sorted(clusters.values(), key=lambda cluster: rank(min(fingerprints[index] for index in cluster), seed))


def _choose_clusters(clusters: Sequence[Mapping[str, int]], test: float) -> list[bool]:
    """Choose the clusters of the test set: each one that brings the shares of the buckets closer to their targets."""
    totals: Counter[str] = Counter()
    for cluster in clusters:
        totals.update(cluster)
    # Even a rare bucket should be on both sides.
    targets = {bucket: min(max(test * total, 1), total - 1) for bucket, total in totals.items()}
    counts = dict.fromkeys(totals, 0)

    def measure_change(cluster: Mapping[str, int], sign: int) -> float:
        """Return by how much the shares would be farther from their targets, as the sum of the squares."""
        gaps = ((counts[bucket] - targets[bucket], sign * count, totals[bucket]) for bucket, count in cluster.items())
        return sum(((gap + change) ** 2 - gap**2) / total**2 for gap, change, total in gaps)

    chosen = [False] * len(clusters)
    # The first pass draws the sample. If clusters contain several buckets, further passes correct the shares.
    before: list[bool] = []
    while chosen != before:
        before = chosen.copy()
        for number, cluster in enumerate(clusters):
            sign = -1 if chosen[number] else 1
            if measure_change(cluster, sign) < -_TOLERANCE:
                chosen[number] = not chosen[number]
                for bucket, count in cluster.items():
                    counts[bucket] += sign * count
    return chosen


def _check_sides(clusters: Sequence[Mapping[str, int]], chosen: Sequence[bool], test: float, name: str) -> None:
    sides: dict[bool, Counter[str]] = {False: Counter(), True: Counter()}
    for cluster, is_chosen in zip(clusters, chosen, strict=True):
        sides[is_chosen].update(cluster)
    for side, counts in (("training", sides[False]), ("test", sides[True])):
        for bucket in sides[False] + sides[True]:
            if counts[bucket] == 0:
                clusters_with_it = sum(cluster.get(bucket, 0) > 0 for cluster in clusters)
                total = sides[False][bucket] + sides[True][bucket]
                raise DatasetError(
                    f"{name}: with test={test}, the {side} set has no example of {show_label(bucket)}. There "
                    f"{'is' if total == 1 else 'are'} {count_things(total, 'example')}, in "
                    f"{count_things(clusters_with_it, 'cluster')} of examples with the same group or text, which stay "
                    f"together. Label more messages, or choose another test=."
                )
