"""Loggers whose records name the event that they are about.

The engine binds the ids of an event to the current context once. Each record that this package writes in that context,
in whatever module, contains them: as attributes, for handlers that filter, count or write JSON, and at the end of its
line. Values are text, numbers and booleans, which every formatter accepts; an id that is unknown is missing.
"""

import logging
from collections.abc import Callable, Generator, Mapping, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeAlias

from typing_extensions import override

Fields: TypeAlias = Mapping[str, str | float]
"""The attributes of a record."""

# The attributes that end a line, by their names in it.
_SHOWN = {"conversation": "conversation_id", "event": "event_id", "key": "key"}

_bound: ContextVar[Callable[[], Fields]] = ContextVar("triage_log_fields", default=dict)


class ContextLogger(logging.LoggerAdapter[logging.Logger]):
    """Adds the bound fields to each record. They take precedence over the `extra` of the call."""

    @override
    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        fields: dict[str, Any] = {**(kwargs.get("extra") or {}), **_bound.get()()}
        ids = " ".join(f"{shown}={fields[name]}" for shown, name in _SHOWN.items() if name in fields)
        ending = f" [{ids}]".replace("%", "%%") if ids else ""
        return f"{msg}{ending}", {**kwargs, "extra": fields}


def get_logger(name: str) -> ContextLogger:
    """Return a logger whose records contain the bound fields.

    Args:
        name: The logger's name, usually `__name__`.
    """
    return ContextLogger(logging.getLogger(name))


@contextmanager
def bind_fields(fields: Fields | Callable[[], Fields]) -> Generator[None]:
    """Add fields to the records that are written within this context.

    Fields that were bound before stay, unless they have the same name.

    Args:
        fields: The fields, or a function that returns them, which is called only for a record that is written.
    """
    outer = _bound.get()
    read = fields if callable(fields) else lambda: fields
    token = _bound.set(lambda: {**outer(), **read()})
    try:
        yield
    finally:
        _bound.reset(token)


def remove_unknown(fields: Mapping[str, str | float | None]) -> dict[str, str | float]:
    """Remove what is unknown, because OpenTelemetry warns about an attribute that is None."""
    return {name: value for name, value in fields.items() if value is not None}
