"""A clock for tests."""

from triage.testing.contract import NOW


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now
