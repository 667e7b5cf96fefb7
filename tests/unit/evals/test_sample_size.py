"""The number of right verdicts in a row that a claim needs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triage.evals.sample_size import count_needed_verdicts

SHARES = st.floats(0.01, 0.999)


@pytest.mark.parametrize(
    ("precision", "confidence", "needed"),
    [(0.9, 0.95, 29), (0.95, 0.95, 59), (0.99, 0.95, 299), (0.995, 0.95, 598), (0.5, 0.75, 2), (0.5, 0.1, 1)],
)
def test_known_numbers(precision: float, confidence: float, needed: int) -> None:
    assert count_needed_verdicts(precision, confidence) == needed


@given(SHARES, SHARES)
def test_it_is_the_smallest_number_that_suffices(precision: float, confidence: float) -> None:
    needed = count_needed_verdicts(precision, confidence)
    assert precision**needed <= (1 - confidence) * (1 + 1e-9)
    assert needed == 1 or precision ** (needed - 1) > 1 - confidence
