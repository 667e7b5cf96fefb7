"""Loggers that cannot fail: an exception of a log handler never stops the code that logs."""

import logging
import sys
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Any

from typing_extensions import override

from triage.errors import describe_location


def get_logger(name: str) -> "Logger":
    """Return the logger of a module.

    Args:
        name: The module's `__name__`.
    """
    return Logger(logging.getLogger(name))


class Logger(logging.LoggerAdapter[logging.Logger]):
    """A logger that reports an exception of a log handler on standard error, and does not raise it.

    Python's own handlers catch their exceptions, but a user's handler may not. One that uses Django's ORM, for
    example, raises an exception on an event loop.
    """

    @override
    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        return msg, kwargs  # the base class would discard `extra`

    @override
    def log(self, level: int, msg: object, *args: object, stacklevel: int = 1, **kwargs: Any) -> None:
        try:
            # A record names the line that logs, not this one.
            super().log(level, msg, *args, stacklevel=stacklevel + 1, **kwargs)
        except Exception as error:  # noqa: BLE001 - a handler is the user's code
            with suppress(Exception):  # standard error may be closed
                print(_describe_failure(error, str(msg) % args), file=sys.stderr)  # noqa: T201 - logging has failed


def _describe_failure(error: Exception, message: str) -> str:
    description = f"triage: a log handler raised {describe_location(error)}."
    if type(error).__name__ == "SynchronousOnlyOperation":
        description += " Django's ORM cannot be used on an event loop; add the handler through a QueueHandler."
    return f"{description} The message was: {message}"
