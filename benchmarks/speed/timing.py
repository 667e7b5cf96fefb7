"""Time functions in turn, so that a change of the machine's speed affects all of them."""

import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import TypeAlias

Call: TypeAlias = Callable[[], object]

_BATCHES = 7


def time_fast(functions: Mapping[str, Call], seconds: float) -> dict[str, float]:
    """Return the median seconds of CPU time of a call, for functions that take microseconds and wait for nothing.

    CPU time, because other processes may interrupt them.

    Args:
        functions: The functions by name.
        seconds: How long each is called in a row, seven times.
    """
    sizes = {name: _find_batch_size(function, seconds) for name, function in functions.items()}
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(_BATCHES):
        for name, function in functions.items():
            times[name].append(_time_batch(function, sizes[name]))
    return {name: median(values) for name, values in times.items()}


def time_slow(functions: Mapping[str, Call], calls: int) -> dict[str, float]:
    """Return the median seconds until a call returns, for functions that wait for a disk or a network.

    Args:
        functions: The functions by name.
        calls: How often each is called.
    """
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(calls):
        for name, function in functions.items():
            times[name].append(_time_batch(function, 1, time.perf_counter))
    return {name: median(values) for name, values in times.items()}


def _find_batch_size(function: Call, seconds: float) -> int:
    _time_batch(function, 3)  # the first calls import and cache
    return max(1, int(seconds / _time_batch(function, 3)))


def _time_batch(function: Call, size: int, clock: Callable[[], float] = time.process_time) -> float:
    started = clock()
    for _ in range(size):
        function()
    return (clock() - started) / size
