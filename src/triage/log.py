"""Loggers whose records name the event that they are about, and whose handlers cannot stop it.

The engine binds the ids of an event to the current context once. Each record that this package writes in that context,
in whatever module, contains them: as attributes, for handlers that filter, count or write JSON, and at the end of its
line. Values are text, numbers and booleans, which every formatter accepts; an id that is unknown is missing.
"""

import logging
import sys
from collections.abc import Callable, Generator, Mapping, MutableMapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any, TypeAlias

from typing_extensions import override

from triage.errors import describe_location

Fields: TypeAlias = Mapping[str, str | float]
"""The attributes of a record."""

# The attributes that end a line, by their names in it.
_SHOWN = {"conversation": "conversation_id", "event": "event_id", "key": "key"}

_bound: ContextVar[Callable[[], Fields]] = ContextVar("triage_log_fields", default=dict)


class Logger(logging.LoggerAdapter[logging.Logger]):
    """A logger that adds the bound fields to each record. They take precedence over the `extra` of the call.

    It reports an exception of a log handler on standard error, and does not raise it. Python's own handlers catch their
    exceptions, but a user's handler may not. One that uses Django's ORM, for example, raises an exception on an event
    loop.

    Args:
        logger: The logger.
        shows_ids: Whether lines end with the ids.
    """

    def __init__(self, logger: logging.Logger, *, shows_ids: bool) -> None:
        super().__init__(logger, {})
        self._shows_ids = shows_ids

    @override
    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        fields: dict[str, Any] = {**(kwargs.get("extra") or {}), **_bound.get()()}
        ids = " ".join(f"{shown}={fields[name]}" for shown, name in _SHOWN.items() if name in fields)
        ending = f" [{ids}]".replace("%", "%%") if ids and self._shows_ids else ""
        return f"{msg}{ending}", {**kwargs, "extra": fields}

    @override
    def log(self, level: int, msg: object, *args: object, stacklevel: int = 1, **kwargs: Any) -> None:
        try:
            # A record names the line that logs, not this one.
            super().log(level, msg, *args, stacklevel=stacklevel + 1, **kwargs)
        except Exception as error:  # noqa: BLE001 - a handler is the user's code
            with suppress(Exception):  # standard error may be closed
                print(_describe_failure(error, str(msg) % args), file=sys.stderr)  # noqa: T201 - logging has failed


def get_logger(name: str, *, shows_ids: bool = True) -> Logger:
    """Return a logger whose records contain the bound fields.

    Args:
        name: The logger's name, usually `__name__`.
        shows_ids: Whether lines end with the ids. False for lines that contain them anyway.
    """
    return Logger(logging.getLogger(name), shows_ids=shows_ids)


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


def _describe_failure(error: Exception, message: str) -> str:
    description = f"triage: a log handler raised {describe_location(error)}."
    if type(error).__name__ == "SynchronousOnlyOperation":
        description += " Django's ORM cannot be used on an event loop; add the handler through a QueueHandler."
    return f"{description} The message was: {message}"
