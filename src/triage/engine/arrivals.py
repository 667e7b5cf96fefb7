"""Know whether deliveries wait for their acknowledgment, so that a worker in the same process lets them go first."""

import os
from collections.abc import Generator
from contextlib import contextmanager

_deliveries: set[tuple[int, object]] = set()
"""The deliveries that are being received in all threads, each with the process in which that began."""


@contextmanager
def receive() -> Generator[None]:
    """Count a delivery as long as the context lasts."""
    delivery = (os.getpid(), object())
    _deliveries.add(delivery)  # adding and removing are atomic, unlike counting
    try:
        yield
    finally:
        _deliveries.discard(delivery)


def is_receiving() -> bool:
    """Return whether a delivery waits for its acknowledgment in this process."""
    # A fork copies the set, but not the threads that would empty it.
    pid = os.getpid()
    return any(process == pid for process, _ in tuple(_deliveries))
