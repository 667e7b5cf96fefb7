"""Running a coroutine without an event loop."""

from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Step a coroutine to its end; what it awaits must block instead of suspending.

    Args:
        coroutine: It is closed in any case.

    Returns:
        What it returns.

    Raises:
        RuntimeError: It suspended: somewhere in it is I/O made for an event loop.
    """
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    coroutine.close()
    raise RuntimeError("a blocking call was suspended: it was given async I/O. Use the _async method instead.")
