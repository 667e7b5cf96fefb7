"""The number of the sample that is being taken, for classifiers that are asked the same question several times."""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

_sample: ContextVar[int] = ContextVar("triage_sample", default=0)


def get_sample() -> int:
    """Return the number of the sample that is being taken, 0 by default.

    `Recorded` stores each sample of a verdict on its own.
    """
    return _sample.get()


@contextmanager
def use_sample(number: int) -> Generator[None]:
    """Set the number of the sample for the classifications in a `with` block, also for those in threads that they use.

    Args:
        number: The number, 0 for the first sample.
    """
    token = _sample.set(number)
    try:
        yield
    finally:
        _sample.reset(token)
