"""Normal forms are those of `unicodedata`, whatever the text, and take linear time."""

import itertools
import unicodedata
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triage.text import normalize_unicode

FORMS: tuple[Literal["NFKC", "NFKD"], ...] = ("NFKC", "NFKD")
MARKS = "\u0315\u0300\u0f73\uff9e"


@pytest.mark.parametrize("form", FORMS)
@given(st.text(st.characters(categories=None) | st.sampled_from(f"e{MARKS}"), max_size=30))
def test_a_text_with_few_marks_in_a_row_has_the_usual_normal_form(form: Literal["NFKC", "NFKD"], text: str) -> None:
    assert normalize_unicode(form, text) == unicodedata.normalize(form, text)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("marks", list(itertools.combinations(MARKS, 2)))
def test_more_marks_than_any_language_needs_are_left_out(form: Literal["NFKC", "NFKD"], marks: tuple[str, str]) -> None:
    text = f"e{''.join(marks) * 20_000}z"
    assert len(normalize_unicode(form, text)) <= 2 + 2 * 30
