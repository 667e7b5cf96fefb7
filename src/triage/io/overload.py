"""Let whoever started the work hear that a service is overloaded, however deep below the call is made.

A classifier repeats a rejected call by itself, so its verdict does not show that the service asked for fewer calls.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar

_listener: ContextVar[Callable[[], None] | None] = ContextVar("triage_overload_listener", default=None)


@contextmanager
def listen_for_overload(function: Callable[[], None]) -> Generator[None]:
    """Call a function whenever a service is reported as overloaded within this context.

    Args:
        function: The function, which must be quick.
    """
    token = _listener.set(function)
    try:
        yield
    finally:
        _listener.reset(token)


def report_overload() -> None:
    """Report that a service asked for fewer calls, or did not respond in time."""
    listener = _listener.get()
    if listener is not None:
        listener()
