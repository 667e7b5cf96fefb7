"""Unicode normal forms in linear time."""

import unicodedata
from functools import lru_cache
from typing import Literal

_MOST_MARKS = 30  # in a row, as in the Stream-Safe Text Format, https://www.unicode.org/reports/tr15/


def normalize_unicode(form: Literal["NFKC", "NFKD"], text: str) -> str:
    """Return a text in a normal form. Of more than 30 combining marks in a row, the others are left out.

    `unicodedata.normalize` sorts them, which takes minutes if somebody sends 100,000 of them.

    Args:
        form: The normal form.
        text: Any string.
    """
    return text if text.isascii() else unicodedata.normalize(form, _limit_marks(text))


def _limit_marks(text: str) -> str:
    kept: list[str] = []
    marks = 0
    for char in text:
        marks = marks + 1 if _is_mark(char) else 0
        if marks <= _MOST_MARKS:
            kept.append(char)
    return "".join(kept)


@lru_cache(maxsize=10_000)
def _is_mark(char: str) -> bool:
    """Return whether a character is a combining mark, or becomes one, as U+0F73 and U+FF9E do."""
    return unicodedata.combining(unicodedata.normalize("NFKD", char)[0]) > 0
