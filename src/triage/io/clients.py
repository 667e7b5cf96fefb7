"""Clients that are created on first use: one per process, or one per event loop.

An async client's connections belong to the event loop that opened them. A forked process creates its own clients,
because two processes that read from one connection would take each other's responses.
"""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

from triage.io.fork import Lock, register_at_fork

T = TypeVar("T")

_inherited: list[object] = []
"""Clients of the parent process, kept because closing them could disturb its connections."""


class OnDemand(Generic[T]):
    """Creates an object on first use and keeps it until it is removed.

    Args:
        create: Creates the object.
    """

    def __init__(self, create: Callable[[], T]) -> None:
        self._create = create
        self._object: T | None = None
        self._lock = Lock()
        register_at_fork(self)

    def get(self) -> T:
        """Return the object, creating it if necessary."""
        with self._lock:
            if self._object is None:
                self._object = self._create()
            return self._object

    def pop(self) -> T | None:
        """Remove the object and return it for the caller to close. The next use creates a new one."""
        with self._lock:
            removed, self._object = self._object, None
            return removed

    def before_fork(self) -> None:
        """Do nothing: the parent process keeps its object."""

    def after_fork(self, *, child: bool) -> None:
        """Let the child process create its own object.

        Args:
            child: True in the child process.
        """
        if child:  # pragma: no cover - runs in forked processes only, where coverage is not measured
            _inherited.append(self._object)
            self._object = None


class PerLoop(Generic[T]):
    """Creates an object on first use on an event loop and keeps it for as long as the loop is open.

    Args:
        create: Creates the object.
    """

    def __init__(self, create: Callable[[], T]) -> None:
        self._create = create
        self._objects: dict[asyncio.AbstractEventLoop, T] = {}
        self._lock = Lock()
        register_at_fork(self)

    def get(self) -> T:
        """Return the running loop's object, creating it if necessary."""
        loop = asyncio.get_running_loop()
        with self._lock:
            if loop not in self._objects:
                # A WeakKeyDictionary would never release a loop, because the client refers to it.
                self._objects = {
                    open_loop: value for open_loop, value in self._objects.items() if not open_loop.is_closed()
                }
                self._objects[loop] = self._create()
            return self._objects[loop]

    def warm_up(self) -> None:
        """Create the running loop's object now, if a loop is running."""
        if is_loop_running():
            self.get()

    def pop(self) -> T | None:
        """Remove the running loop's object and return it for the caller to close. The next use creates a new one."""
        with self._lock:
            return self._objects.pop(asyncio.get_running_loop(), None)

    def before_fork(self) -> None:
        """Do nothing: the parent process keeps its objects."""

    def after_fork(self, *, child: bool) -> None:
        """Let the child process create its own objects.

        Args:
            child: True in the child process.
        """
        if child:  # pragma: no cover - runs in forked processes only, where coverage is not measured
            _inherited.append(self._objects)
            self._objects = {}


def is_loop_running() -> bool:
    """Return whether an event loop is running in this thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


class Mutex:
    """A pair of locks: one for all threads, and one for the tasks of each event loop."""

    def __init__(self) -> None:
        self.threads = Lock()
        self.tasks: PerLoop[asyncio.Lock] = PerLoop(asyncio.Lock)
