"""Keep objects usable when the process forks, as gunicorn does with `--preload`.

One hook of `os.register_at_fork` serves all objects, because a hook can never be removed. The standard library's
`logging` module does the same for its locks.
"""

import _imp

# asyncio imports it in a thread, where a fork could interrupt the import.
import concurrent.futures.thread  # noqa: F401 # pyright: ignore[reportUnusedImport]
import os
import sys
import threading
import time
import weakref
from typing import Any, Protocol

from triage.errors import ConfigurationError

_LONGEST_IMPORT = 10.0  # seconds that a fork waits for imports of other threads


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


def will_fork_without_hooks() -> bool:
    """Return whether this is a uWSGI process that will fork without Python's hooks, which would break its threads.

    Raises:
        ConfigurationError: uWSGI lets no thread run.
    """
    uwsgi: Any = sys.modules.get("uwsgi")
    if uwsgi is None:
        return False
    options = {name.decode() if isinstance(name, bytes) else name for name in uwsgi.opt}
    if not options & {"enable-threads", "threads"}:
        raise ConfigurationError(
            "A Worker needs a thread, and uWSGI lets none run. Set its option enable-threads = true."
        )
    # Worker 0 is the process that loads the application and then forks.
    return uwsgi.worker_id() == 0 and "py-call-uwsgi-fork-hooks" not in options


def _quiesce() -> None:
    _wait_for_imports()
    _lock.acquire()
    for thing in list(_registered):
        thing.before_fork()
        _quiesced.append(thing)


def _resume(*, child: bool) -> None:
    while _quiesced:
        _quiesced.pop().after_fork(child=child)
    _lock.release()
    _imp.release_lock()


def _wait_for_imports() -> None:
    """Take the import lock while no other thread is importing a module.

    A child process would wait forever for a module whose import another thread of the parent had begun. Python carries
    the import lock over the fork, but not the locks of the modules.
    """
    deadline = time.monotonic() + _LONGEST_IMPORT
    while True:
        _imp.acquire_lock()
        if not _is_another_thread_importing() or time.monotonic() > deadline:
            return
        _imp.release_lock()
        time.sleep(0.001)


def _is_another_thread_importing() -> bool:
    # Private, but the same in all supported versions of Python, and harmless where it is missing.
    references = list(getattr(sys.modules["_frozen_importlib"], "_module_locks", {}).values())
    locks = [lock for reference in references if (lock := reference()) is not None]
    return any(lock.owner != threading.get_ident() for lock in locks)


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
