"""What must be done anew in a process that was forked from ours, as the workers of gunicorn with `--preload` are."""

import os
import weakref
from collections.abc import Callable


def after_fork(method: Callable[[], None]) -> None:
    """Call a method of an object in each fork of this process, as long as the object is in use.

    Args:
        method: A bound method.
    """
    if not hasattr(os, "register_at_fork"):  # pragma: no cover - Windows does not fork
        return
    reference = weakref.WeakMethod(method)

    def forked() -> None:  # pragma: no cover - runs in forks alone, where nobody counts; so do the methods
        alive = reference()
        if alive is not None:
            alive()

    os.register_at_fork(after_in_child=forked)
