"""Know whether deliveries wait for their acknowledgment, so that a worker in the same process lets them go first."""

import os
import time
from collections.abc import Generator
from contextlib import contextmanager

_PAUSE = 0.01  # seconds between two tasks of a worker while a delivery waits
_AFTERWARDS = 0.02  # seconds after an acknowledgment in which the next delivery may have arrived unread

_deliveries: set[tuple[int, object]] = set()
"""The deliveries that are being received in all threads, each with the process in which that began."""
_acknowledged_at = float("-inf")
"""When the last delivery was acknowledged, on the monotonic clock."""


@contextmanager
def receive() -> Generator[None]:
    """Count a delivery as long as the context lasts."""
    global _acknowledged_at
    delivery = (os.getpid(), object())
    _deliveries.add(delivery)  # adding and removing are atomic, unlike counting
    try:
        yield
    finally:
        _acknowledged_at = time.monotonic()
        _deliveries.discard(delivery)


def get_pause() -> float | None:
    """Return the seconds for which a worker should pause between two tasks, or None if it may do all at once."""
    # A fork copies the set, but not the threads that would empty it.
    pid = os.getpid()
    if any(process == pid for process, _ in tuple(_deliveries)):
        return _PAUSE
    return 0.0 if time.monotonic() - _acknowledged_at < _AFTERWARDS else None
