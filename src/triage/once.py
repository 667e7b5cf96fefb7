"""Values that take long to compute, and are computed once."""

import threading
from collections.abc import Callable
from functools import cache, wraps
from typing import TypeVar

T = TypeVar("T")

_LONGEST_WAIT = 5.0  # seconds; a process that was forked while a thread held the lock would wait forever


def once(function: Callable[[], T]) -> Callable[[], T]:
    """Cache the return value of a function. Threads that call it at the same time wait for the first one.

    With `functools.cache` alone, each of them would compute the value, and slow the others down.

    Args:
        function: Takes no arguments.
    """
    cached, lock = cache(function), threading.Lock()

    @wraps(function)
    def get() -> T:
        is_locked = not cached.cache_info().currsize and lock.acquire(timeout=_LONGEST_WAIT)
        try:
            return cached()
        finally:
            if is_locked:
                lock.release()

    return get
