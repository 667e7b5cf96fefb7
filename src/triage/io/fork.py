"""What must be done around a fork of our process, as gunicorn with `--preload` makes its workers."""

import os
import threading
import weakref
from collections.abc import Callable
from typing import Protocol


class Forkable(Protocol):
    """What can be carried over a fork."""

    def before_fork(self) -> None:
        """Come to a rest: no thread may be inside of what cannot be carried over."""
        ...

    def after_fork(self, *, child: bool) -> None:
        """Go on, in the process that forked and in the one that it made."""
        ...


def register_at_fork(thing: Forkable) -> None:
    """Tell a thing of each fork, as long as it is in use.

    Args:
        thing: It is not kept alive by this.
    """
    if not hasattr(os, "register_at_fork"):  # pragma: no cover - Windows does not fork
        return
    reference = weakref.ref(thing)

    def alive(call: Callable[[Forkable], None]) -> Callable[[], None]:
        def called() -> None:
            known = reference()
            if known is not None:
                call(known)

        return called

    os.register_at_fork(
        before=alive(lambda known: known.before_fork()),
        after_in_parent=alive(lambda known: known.after_fork(child=False)),
        after_in_child=alive(lambda known: known.after_fork(child=True)),
    )


class Lock:
    """A lock that is free in a fork, whichever thread of the process that forked had it: that thread is not there.

    For what is whole at any moment, so that it does no harm if a thread was in the midst of changing it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        register_at_fork(self)

    def before_fork(self) -> None:
        """Nothing is waited for: the lock may be held for as long as a call over the network takes."""

    def after_fork(self, *, child: bool) -> None:
        """Begin with a new one in the fork."""
        if child:  # pragma: no cover - in forks alone, where nobody counts
            self._lock = threading.Lock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *exc: object) -> None:
        self._lock.release()
