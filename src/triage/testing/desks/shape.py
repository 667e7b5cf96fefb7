"""Checking what a fake is sent: tables of fields, and what may stand in each."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, cast

Check: TypeAlias = Callable[[Any], bool]
Shape: TypeAlias = Mapping[str, Check]


def misfit(given: Mapping[str, Any], shape: Shape) -> str | None:
    """The first field that there is not, or that holds something else; None if all fit."""
    return next((name for name, value in given.items() if name not in shape or not shape[name](value)), None)


def is_text(value: Any) -> bool:
    """True for a string."""
    return isinstance(value, str)


def is_text_or_null(value: Any) -> bool:
    """True for a string, and for nothing."""
    return value is None or isinstance(value, str)


def is_texts(value: Any) -> bool:
    """True for a list of strings."""
    return isinstance(value, list) and all(isinstance(one, str) for one in cast("list[object]", value))


def is_flag(value: Any) -> bool:
    """True for a boolean."""
    return isinstance(value, bool)


def is_object(value: Any) -> bool:
    """True for a JSON object."""
    return isinstance(value, dict)
