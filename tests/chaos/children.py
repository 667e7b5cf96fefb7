"""Forked processes that are killed, or stopped and continued."""

import math
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.chaos.inboxes import Boundary


@dataclass
class Child:
    """A forked process.

    Args:
        name: What the process is: a receiver or a worker.
        pid: Its number.
        boundary: The boundary at which it interrupts itself, if it does.
        interrupt_at: When it is interrupted, unless that happens at a boundary or not at all.
        how: The signal that interrupts it.
    """

    name: str
    pid: int
    boundary: Boundary | None = None
    interrupt_at: float | None = None
    how: signal.Signals = signal.SIGKILL
    code: int | None = None
    is_stopped: bool = False

    @property
    def is_interrupted(self) -> bool:
        """True if the process was killed as planned, or is stopped."""
        is_planned = self.boundary is not None or self.interrupt_at is not None
        return self.is_stopped or (is_planned and self.code == -signal.SIGKILL)

    def poll(self) -> bool:
        """Return whether the process has ended or is stopped; interrupt it if it is time."""
        if self.code is None and not self.is_stopped:
            if self.interrupt_at is not None and time.monotonic() >= self.interrupt_at:
                os.kill(self.pid, self.how)
                self.interrupt_at = math.inf
            pid, status = os.waitpid(self.pid, os.WNOHANG | os.WUNTRACED)
            if pid and os.WIFSTOPPED(status):
                self.is_stopped = True
            elif pid:
                self.code = os.waitstatus_to_exitcode(status)
        return self.code is not None or self.is_stopped

    def resume(self) -> None:
        """Continue a stopped process."""
        self.is_stopped = False
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """Kill the process, unless it has ended, and wait until it has."""
        if self.code is None:
            os.kill(self.pid, signal.SIGKILL)
            self.code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def wait_until(condition: Callable[[], bool], deadline: float) -> bool:
    """Wait until a condition is met, or until a time of `time.monotonic()`; return whether it is met."""
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.005)
    return True
