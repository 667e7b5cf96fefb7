"""Compare texts that a help desk may have reformatted."""

import re
from collections.abc import Sequence


def normalize_for_comparison(text: str) -> str:
    """Return the text without white space, because vendors change spaces and line breaks."""
    return "".join(text.split())


def compile_filled_in(literals: Sequence[str], longest: int) -> re.Pattern[str]:
    """Return a pattern for a template whose placeholders have been filled in.

    Each literal counts where it occurs first, except for the last one. Otherwise, a text that contains a literal many
    times would take a time that grows exponentially with the number of placeholders.

    Args:
        literals: The parts of the template around its placeholders, without white space.
        longest: The length of the longest value of a placeholder.
    """
    first, *others = map(re.escape, literals)
    pattern, gap = first, 0
    for number, literal in enumerate(others, 1):
        gap += longest
        if number == len(others):
            pattern += f".{{0,{gap}}}{literal}"
        elif literal:
            pattern += f"(?>.{{0,{gap}}}?{literal})"
            gap = 0
    return re.compile(pattern, re.DOTALL)
