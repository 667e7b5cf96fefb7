"""Check the promise of `calibrate` on simulated classifiers whose true precision is known.

Each population describes the verdicts of a classifier for one bucket: how frequent each confidence is, and which share
of the verdicts with this confidence is right. Many data sets are drawn from it, a threshold is chosen for each, and the
true precision at the threshold is compared with the promise.

Run it with `python -m tests.simulation.calibration`.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from itertools import count
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, binom

from triage import Bucket, Buckets, Conversation, Verdict
from triage.evals import thresholds
from triage.evals.calibrate import calibrate
from triage.evals.example import Example, Prediction
from triage.evals.report import Report

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]
Bools: TypeAlias = NDArray[np.bool_]
Chooser: TypeAlias = Callable[[Floats, Bools, float, float], float | None]
"""Chooses a threshold from confidences, labels, the precision to promise, and the error budget."""

CONFIDENCE = 0.95
CELLS = np.arange(1, 1001) / 1000  # so many different confidences that ties are rare
ROUNDED = np.array([0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.97, 0.99])


@dataclass(frozen=True)
class Population:
    """The verdicts of a classifier for one bucket.

    Args:
        name: A description.
        target: The precision to promise.
        verdicts: How many verdicts a data set has.
        confidences: The confidences, in ascending order.
        weights: How frequent each of the confidences is.
        precision: The true precision of the verdicts with each of the confidences.
    """

    name: str
    target: float
    verdicts: int
    confidences: Floats
    weights: Floats
    precision: Floats

    @cached_property
    def frequencies(self) -> Floats:
        """The share of verdicts with each confidence."""
        return np.asarray(self.weights / self.weights.sum(), dtype=np.float64)

    @cached_property
    def shares(self) -> Floats:
        """The share of verdicts at or above each confidence."""
        return _add_from_top(self.frequencies)

    @cached_property
    def true_precision(self) -> Floats:
        """The precision of the verdicts at or above each confidence."""
        return _add_from_top(self.frequencies * self.precision) / self.shares

    @property
    def best_share(self) -> float:
        """The share of verdicts at or above the lowest threshold that keeps the promise, if the truth were known."""
        return float(self.shares[self.true_precision >= self.target].max(initial=0.0))

    def draw(self, rng: np.random.Generator) -> tuple[Floats, Bools]:
        """Draw a data set: the confidences of its verdicts, and whether they are right."""
        cells = rng.choice(len(self.confidences), self.verdicts, p=self.frequencies)
        return self.confidences[cells], rng.random(self.verdicts) < self.precision[cells]

    def find(self, threshold: float) -> int:
        return int(np.searchsorted(self.confidences, threshold))

    def is_violated(self, threshold: float | None) -> bool:
        return threshold is not None and bool(self.true_precision[self.find(threshold)] < self.target)

    def measure_share(self, threshold: float | None) -> float:
        return 0.0 if threshold is None else float(self.shares[self.find(threshold)])


def _add_from_top(values: Floats) -> Floats:
    return np.cumsum(values[::-1])[::-1]


def _lean(confidences: Floats, a: float = 4, b: float = 1.2) -> Floats:
    """Return weights of confidences that lean to the top, as those of language models do."""
    return np.asarray(beta.pdf(np.clip(confidences, 0.001, 0.999), a, b), dtype=np.float64)


def _build(name: str, target: float, verdicts: int, precision: Floats, confidences: Floats = CELLS) -> Population:
    return Population(name, target, verdicts, confidences, _lean(confidences), precision)


BELOW = 1e-6  # the promise is broken wherever the threshold is, but as hard to tell from a kept one as possible

TRAPS: Sequence[Population] = (
    _build("just below the promise everywhere", 0.95, 400, np.full(1000, 0.95 - BELOW)),
    _build("the same with a promise of 99.5%", 0.995, 2000, np.full(1000, 0.995 - BELOW)),
    _build("the same with nine rounded values", 0.95, 400, np.full(9, 0.95 - BELOW), ROUNDED),
    _build("overconfident: right less often than the score says", 0.95, 400, 0.55 + 0.42 * CELLS),
    _build("worst where it is most confident", 0.95, 400, np.where(CELLS > 0.8, 0.94, 0.955)),
    _build("up and down", 0.95, 400, 0.95 + 0.04 * np.sin(20 * CELLS)),
    _build("rounded values, none good enough", 0.95, 400, np.linspace(0.7, 0.9499, 9), ROUNDED),
)
"""Populations with which a promise is easily broken."""

CHANCES: Sequence[Population] = (
    _build("99% right everywhere", 0.95, 0, np.full(1000, 0.99)),
    _build("97.5% right everywhere", 0.95, 0, np.full(1000, 0.975)),
    _build("well separated", 0.95, 0, 1 / (1 + np.exp(-14 * (CELLS - 0.45)))),
    _build("rounded values", 0.95, 0, 1 / (1 + np.exp(-9 * (ROUNDED - 0.5))), ROUNDED),
    _build("99% right above 0.8, else 70%", 0.95, 0, np.where(CELLS > 0.8, 0.99, 0.7)),
    _build("99.9% right above 0.9, else 80%", 0.95, 0, np.where(CELLS > 0.9, 0.999, 0.8)),
)
"""Populations with a good threshold, to be drawn with any number of verdicts."""


def choose(confidences: Floats, correct: Bools, precision: float, error: float) -> float | None:
    """Choose a threshold as `calibrate` does."""
    choice = thresholds.choose_threshold(confidences, correct, precision=precision, error=error)
    return None if choice is None else choice.threshold


def choose_naively(confidences: Floats, correct: Bools, precision: float, error: float) -> float | None:
    """Choose the lowest threshold at which the observed precision keeps the promise."""
    candidates, verdicts, right = thresholds._count(confidences, correct)
    kept = candidates[right >= precision * verdicts]
    return float(kept.min()) if len(kept) else None


def _put_one_start(mistakes: int) -> Callable[[float, Integers, float], Floats]:
    """Return the design with a single start, at the first threshold that can be accepted despite some mistakes."""

    @cache
    def find_start(error: float, precision: float) -> int:
        return next(start for start in count() if binom.cdf(mistakes, start, 1 - precision) <= error)

    def divide(error: float, verdicts: Integers, precision: float) -> Floats:
        shares = np.zeros(len(verdicts))
        shares[int(np.searchsorted(verdicts, find_start(error, precision))) :][:1] = error
        return shares

    return divide


def _divide_equally(error: float, verdicts: Integers, precision: float) -> Floats:
    return np.full(len(verdicts), error / len(verdicts))


DESIGNS: Mapping[str, Callable[[float, Integers, float], Floats]] = {
    "one start, no mistake allowed": _put_one_start(0),
    "one start, four mistakes allowed": _put_one_start(4),
    "a start at every threshold": _divide_equally,
    "doubling starts": thresholds._divide,
}
"""Ways to divide the error budget among the thresholds."""


def choose_by(divide: Callable[[float, Integers, float], Floats]) -> Chooser:
    """Return a function that chooses a threshold with another way to divide the error budget."""

    def choose_threshold(confidences: Floats, correct: Bools, precision: float, error: float) -> float | None:
        candidates, verdicts, right = thresholds._count(confidences, correct)
        p_values = np.asarray(binom.sf(right - 1, verdicts, precision), dtype=np.float64)
        accepted = thresholds._test_in_order(p_values, divide(error, verdicts, precision))
        return None if accepted is None else float(candidates[accepted[0]])

    return choose_threshold


def count_violations(population: Population, chooser: Chooser, datasets: int, seed: int = 0) -> int:
    """Return in how many data sets the true precision at the chosen threshold is below the promise."""
    rng = np.random.default_rng(seed)
    return sum(
        population.is_violated(chooser(*population.draw(rng), population.target, 1 - CONFIDENCE))
        for _ in range(datasets)
    )


def measure_shares(population: Population, chooser: Chooser, datasets: int, seed: int = 0) -> Floats:
    """Return for each data set the share of verdicts that are kept, compared with the best possible share."""
    rng = np.random.default_rng(seed)
    error = 1 - CONFIDENCE
    return np.array(
        [
            population.measure_share(chooser(*population.draw(rng), population.target, error)) / population.best_share
            for _ in range(datasets)
        ]
    )


def resize(population: Population, verdicts: int) -> Population:
    """Return a population whose data sets have another number of verdicts."""
    return replace(population, verdicts=verdicts)


def measure_power(chooser: Chooser, verdicts: int, datasets: int) -> float:
    """Return the mean share of verdicts kept in data sets of this size, over all populations with a good threshold."""
    shares = [measure_shares(resize(population, verdicts), chooser, datasets) for population in CHANCES]
    return float(np.mean(shares))


class Desk:
    """Draws whole reports about a classifier with several buckets, for `calibrate` itself.

    Args:
        populations: The verdicts for each bucket, by name.
    """

    def __init__(self, populations: Mapping[str, Population]) -> None:
        self.populations = populations
        self.buckets = Buckets([Bucket(name, name) for name in populations], fallback=next(iter(populations)))
        names = list(populations)
        others = dict(zip(names, names[1:] + names[:1], strict=True))  # the label of a message with a wrong verdict
        self._predictions = {
            (name, confidence, is_right): Prediction(
                Example(Conversation(id="1"), name if is_right else others[name]),
                (Verdict(bucket=name, confidence=confidence),),
            )
            for name, population in populations.items()
            for confidence in population.confidences.tolist()
            for is_right in (True, False)
        }

    def draw(self, rng: np.random.Generator) -> Report:
        predictions: list[Prediction] = []
        for name, population in self.populations.items():
            confidences, correct = population.draw(rng)
            drawn = zip(confidences.tolist(), correct.tolist(), strict=True)
            predictions += [self._predictions[name, confidence, is_right] for confidence, is_right in drawn]
        return Report(predictions, self.buckets)

    def count_violations(self, datasets: int, seed: int = 0) -> int:
        """Return in how many data sets at least one of the promises is broken."""
        rng = np.random.default_rng(seed)
        targets = {name: population.target for name, population in self.populations.items()}
        violations = 0
        for _ in range(datasets):
            calibration = calibrate(self.draw(rng), targets, CONFIDENCE)
            violations += any(
                self.populations[name].is_violated(threshold.min_confidence)
                for name, threshold in calibration.thresholds.items()
            )
        return violations


FOUR_BUCKETS: Mapping[str, Population] = {
    name: _build(name, 0.9, 100, np.full(9, 0.9 - BELOW), ROUNDED) for name in ("urgent", "billing", "general", "spam")
}


def main() -> None:
    """Print how often promises are broken, and how good the thresholds are."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--datasets", type=int, default=2000, help="how many data sets to draw from each population")
    datasets: int = parser.parse_args().datasets

    print(f"Data sets of {datasets:,} in which a promise is broken:")
    for population in TRAPS:
        broken = count_violations(population, choose, datasets) / datasets
        naive = count_violations(population, choose_naively, datasets) / datasets
        print(f"  {population.name:52} calibrate {broken:6.1%}   naive choice {naive:6.1%}", flush=True)
    broken = Desk(FOUR_BUCKETS).count_violations(datasets) / datasets
    print(f"  {'four buckets, each just below the promise':52} calibrate {broken:6.1%}", flush=True)

    sizes = (150, 300, 500, 1000, 3000)
    print("\nVerdicts kept, compared with the best threshold, on average over the populations:")
    print(f"  {'verdicts':36}" + "".join(f"{size:8,}" for size in sizes))
    for name, divide in DESIGNS.items():
        kept = [measure_power(choose_by(divide), size, datasets // 10) for size in sizes]
        print(f"  {name:36}" + "".join(f"{share:8.0%}" for share in kept), flush=True)


if __name__ == "__main__":
    main()
