"""Numbers read like those of a person, and customer text cannot control a terminal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.evals.reports import names_with_surrogates, predict
from triage.evals.format import (
    format_confidence,
    format_estimate,
    format_interval,
    format_percent,
    format_points,
    format_seconds,
    format_usd,
    shorten,
)
from triage.evals.metrics import Estimate, estimate_share


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0%"), (1, "100%"), (0.842, "84.2%"), (0.99999, "99.9%"), (0.00001, "0.1%"), (0.5, "50.0%")],
)
def test_only_0_and_1_are_round_percentages(share: float, text: str) -> None:
    assert format_percent(share) == text


def test_an_estimate_shows_its_interval() -> None:
    assert format_estimate(Estimate(0.842, 0.824, 0.858, 1811)) == "84.2% (82.4–85.8%)"
    assert format_interval(Estimate(0.0, 0.0, 1.0, 1)) == "0–100%"


def test_an_unknown_estimate_is_a_dash() -> None:
    assert format_estimate(estimate_share(0, 0)) == "–"


@pytest.mark.parametrize(
    ("share", "text"), [(0.015, "+1.5"), (-0.02, "−2.0"), (0.0, "0.0"), (-0.0001, "0.0"), (0.0001, "0.0")]
)
def test_points_have_a_sign(share: float, text: str) -> None:
    assert format_points(share) == text


@pytest.mark.parametrize(
    ("usd", "text"),
    [(None, "–"), (0, "$0"), (1.2, "$1.20"), (1234.5, "$1,234.50"), (0.01, "$0.01"), (0.0042, "$0.0042")],
)
def test_small_amounts_keep_two_digits(usd: float | None, text: str) -> None:
    assert format_usd(usd) == text


def test_no_amount_is_in_scientific_notation() -> None:
    assert format_usd(1.234e-7) == "$0.00000012"


@pytest.mark.parametrize(
    ("seconds", "text"), [(1.26, "1.3 s"), (0.42, "420 ms"), (0.9996, "1000 ms"), (0.0042, "4.2 ms"), (75, "75.0 s")]
)
def test_latencies_below_a_second_are_in_milliseconds(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text


def test_a_fallback_verdict_shows_its_kind_instead_of_a_confidence() -> None:
    assert format_confidence(predict("urgent", confidence=0.97)) == "97%"
    assert format_confidence(predict("urgent", confidence=0.0, fallback_reason="refused")) == "refused"


def test_a_long_text_is_shortened() -> None:
    assert shorten("word " * 100, 12) == "word word w…"
    assert shorten("x" * 12, 12) == "x" * 12


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;https://example.com\x1b\\link", "link"),
        ("unfinished \x1b]title", "unfinished ]title"),
        ("\x93badly decoded\x94 \x9b text", "badly decoded text"),
        ("\u202eabc\u2066", "abc"),
        ("two\n\nlines\tand\0 more", "two lines and more"),
        ("half \ud83d an emoji \ufffe\uffff", "half an emoji"),
    ],
)
def test_characters_that_control_a_terminal_are_removed(text: str, line: str) -> None:
    assert shorten(text) == line


@given(names_with_surrogates(), st.integers(1, 50))
def test_any_text_becomes_one_printable_line(text: str, limit: int) -> None:
    line = shorten(text, limit)
    assert len(line) <= limit
    assert len(line.splitlines()) <= 1
    assert line == line.strip()
    line.encode()
    assert not any(ord(char) < 32 or 0x7F <= ord(char) < 0xA0 or 0x202A <= ord(char) <= 0x202E for char in line)
