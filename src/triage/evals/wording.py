"""The wording of lists and names in messages about data sets, which never quote a customer."""

import re
from collections.abc import Iterable

_NAME = re.compile(r"[\w&/+.:#()-]+( [\w&/+.:#()-]+){0,2}")
_LONGEST_NAME = 40


def join_some(items: Iterable[object], limit: int = 3) -> str:
    """Join the first few items of a list: `"1, 2, 3 and 7 more"`.

    Args:
        items: The items.
        limit: How many of them to list.
    """
    texts = [str(item) for item in items]
    if len(texts) <= limit + 1 and len(texts) > 1:
        return f"{', '.join(texts[:-1])} and {texts[-1]}"
    listed = ", ".join(texts[:limit])
    return f"{listed} and {len(texts) - limit:,} more" if len(texts) > limit else listed


def count_things(number: int, noun: str) -> str:
    """Return a number with a noun: `"1 example"`, `"2 examples"`.

    Args:
        number: The number.
        noun: The noun in singular.
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def is_name(text: str) -> bool:
    """Return whether a text is short enough for a label or the name of a column. If not, it may be a customer's.

    Args:
        text: The text.
    """
    return len(text) <= _LONGEST_NAME and _NAME.fullmatch(text.strip()) is not None


def show_label(label: str) -> str:
    """Return a label in quotation marks, or a description if it may be a customer's text in the wrong column.

    Args:
        label: The label.
    """
    return repr(label) if is_name(label) else f"a text of {count_things(len(label), 'character')}"


def show_id(identifier: str) -> str:
    """Return the id of a conversation, or a description if it is an email address.

    Args:
        identifier: The id.
    """
    return "(an email address)" if "@" in identifier else identifier


def show_columns(names: Iterable[str]) -> str:
    """Return a list of column names. A name that may be a customer's text is replaced by its position.

    Args:
        names: The names, in the order of the columns.
    """
    shown = [name.strip() if is_name(name) else f"(column {number})" for number, name in enumerate(names, start=1)]
    return ", ".join(shown) or "none"
