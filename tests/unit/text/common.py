"""Strategies and measurements for the tests of text functions."""

import time
import unicodedata
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import strategies as st

# All of Unicode, including lone surrogates; characters with a meaning in text or markup are more frequent.
anything = st.text(st.characters() | st.sampled_from("\r\n\t \xa0\u200b\u200d\x00\ud800><&;:-/\"'"))


def is_clean(text: str) -> bool:
    return not any(unicodedata.category(char) in ("Cc", "Cs") and char not in "\n\t" for char in text)


def measure_seconds(function: Callable[[str], object], text: str) -> float:
    def measure() -> float:
        start = time.process_time()
        function(text)
        return time.process_time() - start

    return min(measure() for _ in range(3))


def hostile(function: Callable[[str], object], *units: str) -> list[Any]:
    return [pytest.param(function, unit, id=f"{function.__name__} {unit[:20]!r}") for unit in units]


def takes_linear_time(function: Callable[[str], object], unit: str) -> bool:
    """Return whether four times the text takes about four times the time."""
    text = unit * max(1, 8_000 // len(unit))
    # A quadratic algorithm takes 16 times the time. It is measured repeatedly, because another process may interfere.
    return any(measure_seconds(function, text * 4) < 8 * measure_seconds(function, text) for _ in range(5))
