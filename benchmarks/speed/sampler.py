"""A sampling profiler: it looks at the stack many times a second, and slows the code down by next to nothing."""

import signal
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import Literal, TypeAlias

Stack: TypeAlias = tuple[CodeType, ...]
"""The functions that were running, the innermost one first."""

Clock: TypeAlias = Literal["wall", "cpu"]

_TIMERS = {"wall": (signal.ITIMER_REAL, signal.SIGALRM), "cpu": (signal.ITIMER_PROF, signal.SIGPROF)}
_INTERVAL = 0.001  # seconds; the system may use a longer one


@contextmanager
def sample(clock: Clock) -> Generator[Sequence[Stack]]:
    """Sample the stack of the main thread, which must be the one that calls this, and yield the samples.

    Time in a function that is written in C counts for its caller.

    Args:
        clock: `"cpu"` samples only while the process uses the CPU, but only about 250 times a second.
    """
    stacks: list[Stack] = []

    def record(_signal: int, frame: FrameType | None) -> None:
        stack: list[CodeType] = []
        while frame is not None:
            stack.append(frame.f_code)
            frame = frame.f_back
        stacks.append(tuple(stack))

    timer, number = _TIMERS[clock]
    previous = signal.signal(number, record)
    signal.setitimer(timer, _INTERVAL, _INTERVAL)
    try:
        yield stacks
    finally:
        signal.setitimer(timer, 0)
        signal.signal(number, previous)


def share(stacks: Sequence[Stack], label: Callable[[Stack], str | None]) -> dict[str, float]:
    """Return the share of the samples by label.

    Args:
        stacks: The samples.
        label: Returns the label of a sample, or None to leave it out.
    """
    labels = Counter(name for name in map(label, stacks) if name is not None)
    return {name: number / labels.total() for name, number in labels.items()}
