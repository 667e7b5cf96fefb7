"""Tables and numbers in Markdown."""

from collections.abc import Iterable, Sequence


def format_table(titles: Sequence[str], rows: Iterable[Sequence[str]], *, texts: int = 1) -> list[str]:
    """Return the lines of a table.

    Args:
        titles: The titles of the columns.
        rows: The cells of each row.
        texts: The number of columns with texts; the others contain numbers.
    """
    rule = [*("---" for _ in titles[:texts]), *("---:" for _ in titles[texts:])]
    return [f"| {' | '.join(cells)} |" for cells in (titles, rule, *rows)]


def format_duration(seconds: float) -> str:
    """Return a duration in µs, ms or s, with about three digits."""
    for factor, unit in ((1e6, "µs"), (1e3, "ms")):
        value = seconds * factor
        if value < 999.5:
            return f"{format_number(value)} {unit}"
    return f"{format_number(seconds)} s"


def format_number(value: float) -> str:
    """Return a number with about three digits."""
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:,.0f}"
