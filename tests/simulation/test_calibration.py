"""The promise of `calibrate` holds for simulated classifiers whose true precision is known.

A promise may be broken in 5% of the data sets. Of 2,000 data sets, it may then be broken in up to 131, or 6.6%, by
chance (with a probability of 99.9%). The seed is fixed, so the results are always the same.
"""

import pytest
from scipy.stats import binom

from tests.simulation.calibration import (
    CHANCES,
    DESIGNS,
    FOUR_BUCKETS,
    TRAPS,
    Desk,
    Population,
    choose,
    choose_by,
    choose_naively,
    count_violations,
    measure_power,
    measure_shares,
    resize,
)

DATASETS = 2000


def count_allowed(datasets: int) -> float:
    return float(binom.isf(0.001, datasets, 0.05))


@pytest.mark.parametrize("population", TRAPS, ids=lambda population: population.name)
def test_the_promise_is_rarely_broken(population: Population) -> None:
    assert population.best_share < 1  # it can be broken
    assert count_violations(population, choose, DATASETS) <= count_allowed(DATASETS) == 131


def test_several_promises_hold_together() -> None:
    assert Desk(FOUR_BUCKETS).count_violations(300) <= count_allowed(300)


@pytest.mark.parametrize("population", TRAPS, ids=lambda population: population.name)
def test_the_lowest_threshold_whose_observed_precision_suffices_often_breaks_the_promise(
    population: Population,
) -> None:
    assert count_violations(population, choose_naively, 200) > 0.5 * 200


@pytest.mark.parametrize("population", CHANCES, ids=lambda population: population.name)
def test_with_enough_verdicts_the_threshold_is_close_to_the_best(population: Population) -> None:
    shares = measure_shares(resize(population, 3000), choose, 100)
    assert shares.mean() > 0.9


def test_the_design_keeps_more_verdicts_than_simpler_ones() -> None:
    chosen = measure_power(choose, 500, 50)
    assert chosen > max(
        measure_power(choose_by(divide), 500, 50) for name, divide in DESIGNS.items() if name != "doubling starts"
    )
