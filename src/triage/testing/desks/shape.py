"""Check the JSON that a fake receives against tables of fields and their allowed values."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

Check: TypeAlias = Callable[[Any], bool]
Shape: TypeAlias = Mapping[str, Check]
"""Field names, and a check of each field's value."""


@dataclass(frozen=True)
class Field:
    """A field of a request body, for vendors that distinguish missing fields from invalid ones."""

    kind: type = str
    required: bool = False
    values: tuple[str, ...] = ()
    """The only values allowed; empty for any."""


def find_misfit(body: Mapping[str, Any], shape: Shape) -> str | None:
    """Return the name of the first unknown or invalid field, or None if all fields fit."""
    return next((name for name, value in body.items() if name not in shape or not shape[name](value)), None)


def require_numeric_ids(**ids: Iterable[str]) -> None:
    """Raise `ValueError` unless all ids are numbers, as they are at the vendor.

    Args:
        ids: Ids by kind: `users=…, teams=…`.
    """
    for name, values in ids.items():
        if not all(value.isdecimal() for value in values):
            raise ValueError(f"The ids of {name} must be numbers, as strings.")


def is_text(value: Any) -> bool:
    """Return True for a string."""
    return isinstance(value, str)


def is_text_or_null(value: Any) -> bool:
    """Return True for a string and for None."""
    return value is None or isinstance(value, str)


def is_list_of_texts(value: Any) -> bool:
    """Return True for a list of strings."""
    return isinstance(value, list) and all(isinstance(entry, str) for entry in cast("list[object]", value))


def is_flag(value: Any) -> bool:
    """Return True for a boolean."""
    return isinstance(value, bool)


def is_object(value: Any) -> bool:
    """Return True for a JSON object."""
    return isinstance(value, dict)
