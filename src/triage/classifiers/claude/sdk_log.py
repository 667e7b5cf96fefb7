"""Keep customer text and calls that never happen out of the log of Anthropic's SDK.

At the level DEBUG, the SDK writes whole requests. An operator who sets the root logger to DEBUG to look for a fault
does not expect that. Only the requests that this library makes are changed: those of the application belong to the
application.
"""

import logging
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, cast

from typing_extensions import override

_LOGGER = "anthropic._base_client"
_SHOWN = ("method", "url", "timeout")

_LOGGERS = (_LOGGER, "anthropic._response", "anthropic._legacy_response", "httpx2")
_is_ours: ContextVar[bool] = ContextVar("triage_calls_claude", default=False)
_is_rehearsal: ContextVar[bool] = ContextVar("triage_rehearses_claude", default=False)


class _RequestFilter(logging.Filter):
    """Reduces the options of a request to those that contain no text."""

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        if _is_ours.get() and isinstance(record.args, Mapping):
            options = cast("Mapping[str, Any]", record.args)
            record.args = {name: options[name] for name in _SHOWN if name in options} or {"options": "not shown"}
        return True


class _RehearsalFilter(logging.Filter):
    """Drops the records of calls that never leave the process."""

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        return not _is_rehearsal.get()


_FILTER = _RequestFilter()
_REHEARSAL_FILTER = _RehearsalFilter()


@contextmanager
def hide_request() -> Generator[None]:
    """Keep the content of the requests that are made within this context out of the SDK's log."""
    logging.getLogger(_LOGGER).addFilter(_FILTER)  # has no effect if it was added before
    token = _is_ours.set(True)
    try:
        yield
    finally:
        _is_ours.reset(token)


@contextmanager
def drop_records() -> Generator[None]:
    """Drop the records of calls that are made within this context, which would report requests that nobody receives."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_REHEARSAL_FILTER)
    token = _is_rehearsal.set(True)
    try:
        yield
    finally:
        _is_rehearsal.reset(token)
