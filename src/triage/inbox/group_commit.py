"""Group commit: a thread that writes commits the statements of all threads that wait for it."""

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from triage.errors import InboxError

Result: TypeAlias = tuple[list[Any], int]
"""The rows that a statement returned, and the number of rows that it changed."""

Take: TypeAlias = "Callable[[], Sequence[Statement]]"
"""Returns the statements that wait."""


class RolledBack(Exception):  # noqa: N818 - not an error for the caller
    """A transaction has certainly changed nothing, so each of its statements can be run again."""


@dataclass(eq=False, slots=True, repr=False)  # its values contain customer text
class Statement:
    """A statement for which a thread waits.

    Args:
        sql: The statement.
        values: Its parameters.
        deadline: The time until which the thread may wait, on the monotonic clock.
    """

    sql: str
    values: Mapping[str, Any]
    deadline: float
    result: Result | None = field(default=None, init=False)
    """The result, once the statement is committed."""
    error: InboxError | None = field(default=None, init=False)
    """The reason why it is unknown whether the statement is committed."""
    was_rolled_back: bool = field(default=False, init=False)
    woken: threading.Event = field(default_factory=threading.Event, init=False)
    """Set when the statement is settled, or when its thread should become the writer."""

    @property
    def is_settled(self) -> bool:
        """True if a transaction with the statement has ended."""
        return self.result is not None or self.error is not None or self.was_rolled_back


class _Queue:
    """The statements that wait in a process, and the lock that its writing thread holds."""

    def __init__(self, writers: int) -> None:
        self.pid = os.getpid()
        self.writing = threading.Semaphore(writers)
        self.waiting: deque[Statement] = deque()

    def take_all(self) -> list[Statement]:
        statements: list[Statement] = []
        with suppress(IndexError):
            while True:
                statements.append(self.waiting.popleft())
        return statements

    def withdraw(self, statement: Statement) -> bool:
        """Remove a statement; return False if a writer has taken it."""
        try:
            self.waiting.remove(statement)
        except ValueError:
            return False
        return True

    def wake_first(self) -> None:
        """Let the thread that has waited longest become the writer."""
        with suppress(IndexError):
            self.waiting[0].woken.set()


class GroupCommit:
    """Combines the statements of threads that write at the same time into one transaction, and thus one flush.

    A thread that finds nobody writing becomes the writer, and runs its statement at once. Threads that arrive before it
    has finished wait. Then one of them becomes the writer, and commits the statements of all. So a single caller never
    waits for others to join, and there is no thread to start, to stop, or to lose in a fork. `run` returns only after
    the commit. If a transaction is rolled back, each thread runs its statement alone, so that a statement that fails
    does not affect the others.

    Args:
        get_name: Returns the name of the inbox, for errors.
        run: Runs a statement in its own transaction.
        run_together: Runs statements in one transaction, and returns their results in the same order. It is passed a
            function that returns the statements, to be called once the transaction has begun, and the time until which
            it may wait. If the transaction is rolled back, it raises `RolledBack`; if the outcome is unknown,
            `InboxError`.
        patience: Seconds after which a waiting thread runs its statement alone, in case the writer is stuck. Only
            useful if the database allows several writers.
    """

    def __init__(
        self,
        get_name: Callable[[], str],
        run: Callable[[Statement], Result],
        run_together: Callable[[Take, float], Sequence[Result]],
        writers: int = 1,
        patience: float = float("inf"),
    ) -> None:
        self._get_name = get_name
        self._run = run
        self._run_together = run_together
        self._patience = patience
        self._writers = writers
        self._queue = _Queue(writers)

    def run(self, statement: Statement) -> Result:
        """Run a statement, possibly together with those of other threads.

        Args:
            statement: The statement.

        Returns:
            Its result, once it is committed.

        Raises:
            InboxError: It failed, or the deadline has passed. It may be committed nevertheless.
        """
        queue = self._get_queue()
        queue.waiting.append(statement)
        try:
            while not statement.is_settled and self._take_turn(queue, statement):
                pass
        finally:
            if queue.withdraw(statement):  # the thread was interrupted, perhaps when it was its turn
                queue.wake_first()
        if statement.result is not None:
            return statement.result
        if statement.error is not None:
            raise statement.error
        return self._run(statement)

    def _get_queue(self) -> _Queue:
        # A fork copies the queue, but not the threads that wait in it. Compare the process, because not every server
        # that forks runs the hooks of Python.
        if self._queue.pid != os.getpid():
            self._queue = _Queue(self._writers)
        return self._queue

    def _take_turn(self, queue: _Queue, own: Statement) -> bool:
        """Become a writer, or wait for one. Return False if the thread should run its statement alone."""
        if queue.writing.acquire(blocking=False):
            try:
                is_taken = not queue.withdraw(own)
                if not is_taken:
                    self._write(queue, own)
            finally:
                queue.writing.release()
                queue.wake_first()
            if not is_taken:
                return True
        if own.woken.wait(min(self._patience, max(0.0, own.deadline - time.monotonic()))):
            own.woken.clear()
            return True
        if queue.withdraw(own):
            return False
        # A writer is running the statement, so it must not run a second time.
        if time.monotonic() >= own.deadline:
            raise InboxError(f"the inbox {self._get_name()}: another thread was writing for too long")
        return True

    def _write(self, queue: _Queue, own: Statement) -> None:
        """Run a thread's own statement, together with all others that wait."""
        if not queue.waiting:
            own.result = self._run(own)
            return
        group = [own]

        def take() -> Sequence[Statement]:
            group.extend(queue.take_all())
            return group

        try:
            results = self._run_together(take, own.deadline)
            for statement, result in zip(group, results, strict=True):
                statement.result = result
        except RolledBack:
            for statement in group:
                statement.was_rolled_back = True
        except BaseException as err:
            # Any other error concerns this thread alone, such as a KeyboardInterrupt.
            reason = (
                str(err) if isinstance(err, InboxError) else f"the inbox {self._get_name()}: a write was interrupted"
            )
            for statement in group:
                statement.error = InboxError(reason)
            raise
        finally:
            for statement in group:
                statement.woken.set()
