"""Clients that are made at their first use: one for a process, or one for each event loop.

An async client's connections belong to the loop that they were opened on.
"""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

from triage.io.fork import Lock

T = TypeVar("T")


class OnDemand(Generic[T]):
    """Makes a thing at its first use, and keeps it until it is given up.

    Args:
        make: Makes it.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._thing: T | None = None
        self._lock = Lock()

    def get(self) -> T:
        """The thing."""
        with self._lock:
            if self._thing is None:
                self._thing = self._make()
            return self._thing

    def pop(self) -> T | None:
        """Give it up, for the caller to close; the next use makes a new one."""
        with self._lock:
            thing, self._thing = self._thing, None
            return thing


class PerLoop(Generic[T]):
    """Makes a thing at its first use on an event loop, and keeps it as long as the loop is open.

    Args:
        make: Makes it.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._things: dict[asyncio.AbstractEventLoop, T] = {}
        self._lock = Lock()

    def get(self) -> T:
        """The running loop's."""
        loop = asyncio.get_running_loop()
        with self._lock:
            if loop not in self._things:
                # A weak dictionary would never let go of one: a client holds its loop.
                self._things = {other: thing for other, thing in self._things.items() if not other.is_closed()}
                self._things[loop] = self._make()
            return self._things[loop]

    def warm_up(self) -> None:
        """Make the running loop's now, if one is running."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return
        self.get()

    def pop(self) -> T | None:
        """Give up the running loop's, for the caller to close; the next use makes a new one."""
        with self._lock:
            return self._things.pop(asyncio.get_running_loop(), None)
