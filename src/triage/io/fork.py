"""Keep objects usable when the process forks, as gunicorn does with `--preload`.

One hook of `os.register_at_fork` serves all objects, because a hook can never be removed. The standard library's
`logging` module does the same for its locks.
"""

import os
import threading
import weakref
from typing import Protocol


class Forkable(Protocol):
    """An object with a resource that does not survive a fork, such as a lock, a thread or a connection."""

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
"""Guards `_registered`. The forking thread holds it during the fork, so that it can release it in the child."""


def register_at_fork(thing: Forkable) -> None:
    """Call an object's methods before and after each fork, for as long as the object exists.

    Args:
        thing: The object. Registering does not keep it alive.
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
    """A lock that is free in a forked process, even if another thread of the parent held it during the fork.

    That thread does not exist in the child, so use the lock only for state that is consistent at every instant.
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
