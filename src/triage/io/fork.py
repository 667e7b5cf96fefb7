"""Forks of the process, as made by gunicorn with `--preload`.

One hook of `os.register_at_fork` serves all objects, because a hook can never be removed. The standard library's
`logging` does the same for its locks.
"""

import os
import threading
import weakref
from typing import Protocol


class Forkable(Protocol):
    """An object that holds something a fork cannot inherit, such as a lock, a thread or a connection."""

    def before_fork(self) -> None:
        """Quiesce before a fork: no thread may hold a resource that does not survive it."""
        ...

    def after_fork(self, *, child: bool) -> None:
        """Resume, in the parent and in the child process.

        Args:
            child: True in the child process.
        """
        ...


_registered: "weakref.WeakSet[Forkable]" = weakref.WeakSet()
_quiesced: list[Forkable] = []
_lock = threading.Lock()
"""Guards `_registered`; also held from before a fork until after it, so that the child never inherits it locked."""


def register_at_fork(thing: Forkable) -> None:
    """Call an object's methods around each fork, for as long as the object is in use.

    Args:
        thing: Registering does not keep it alive.
    """
    with _lock:
        _registered.add(thing)


def _quiesce() -> None:
    _lock.acquire()
    for thing in list(_registered):
        thing.before_fork()
        _quiesced.append(thing)


def _resume(*, child: bool) -> None:
    while _quiesced:
        _quiesced.pop().after_fork(child=child)
    _lock.release()


if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows does not fork
    os.register_at_fork(
        before=_quiesce,
        after_in_parent=lambda: _resume(child=False),
        after_in_child=lambda: _resume(child=True),
    )


class Lock:
    """A lock that is free in a forked process, even if another thread of the parent held it: that thread is gone.

    Use it only for state that is consistent at every instant.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        register_at_fork(self)

    def before_fork(self) -> None:
        """Do nothing: a thread may hold the lock for as long as a network call takes."""

    def after_fork(self, *, child: bool) -> None:
        """Replace the lock in the child process."""
        if child:  # pragma: no cover - runs in forked processes only, where coverage is not measured
            self._lock = threading.Lock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *exc: object) -> None:
        self._lock.release()
