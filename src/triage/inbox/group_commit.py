"""Group commit: a thread that writes commits the statements of all threads that wait for it."""

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from triage.errors import InboxError

Result: TypeAlias = tuple[list[Any], int]
"""The rows that a statement returned, and the number of rows that it changed."""

Take: TypeAlias = "Callable[[], Sequence[Statement]]"
"""Returns the statements of a group."""


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
    woken: threading.Event = field(default_factory=threading.Event, init=False)
    """Set when the thread becomes the writer, or when the transaction with its statement has ended."""

    def wait(self, seconds: float = float("inf")) -> bool:
        """Wait until the thread is woken; return False if that takes too long, or if the deadline passes."""
        return self.woken.wait(max(0.0, min(seconds, self.deadline - time.monotonic())))


class _Queue:
    """The statements that wait in a process, and the one whose thread is writing."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.waiting: list[Statement] = []
        self.writing: Statement | None = None
        self._lock = threading.Lock()

    def join(self, statement: Statement) -> None:
        """Let a statement wait. If no thread is writing, its thread becomes the writer."""
        with self._lock:
            self.waiting.append(statement)
            self._choose_writer()

    def take(self) -> Sequence[Statement]:
        """Return the writer's statement and all that wait, which no longer do."""
        with self._lock:
            waiting, self.waiting = self.waiting, []
            return [] if self.writing is None else [self.writing, *waiting]

    def leave(self, statement: Statement) -> bool:
        """Let the next thread write; return False if a writer has taken the statement.

        Args:
            statement: A statement that waits no longer, or has been written.
        """
        with self._lock:
            if self.writing is statement:
                self.writing = None
            elif statement in self.waiting:
                self.waiting.remove(statement)
            else:
                return False
            self._choose_writer()
            return True

    def _choose_writer(self) -> None:
        if self.writing is None and self.waiting:
            self.writing = self.waiting.pop(0)
            self.writing.woken.set()


class GroupCommit:
    """Combines the statements of threads that write at the same time into one transaction, and thus one flush.

    A thread that finds nobody writing becomes the writer, and runs its statement at once. Threads that arrive before it
    has finished wait. Then the first of them becomes the writer, and commits the statements of all. So a single caller
    never waits for others to join, and there is no thread to start, to stop, or to lose in a fork. If a transaction is
    rolled back, each thread runs its statement alone, so that a statement that fails does not affect the others.

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
        patience: float = float("inf"),
    ) -> None:
        self._get_name = get_name
        self._run = run
        self._run_together = run_together
        self._patience = patience
        self._queue = _Queue()

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
        try:
            queue.join(statement)
            statement.wait(self._patience)
            if queue.writing is statement:
                self._write(queue, statement)
        finally:  # also if the thread is interrupted
            was_taken = not queue.leave(statement)
        if was_taken and not statement.wait():
            # A writer is running the statement, so it must not run a second time.
            raise InboxError(f"the inbox {self._get_name()}: another thread was writing for too long")
        if statement.error is not None:
            raise statement.error
        return self._run(statement) if statement.result is None else statement.result

    def _get_queue(self) -> _Queue:
        # A fork copies the queue, but not the threads that wait in it. Compare the process, because not every server
        # that forks runs the hooks of Python.
        if self._queue.pid != os.getpid():
            self._queue = _Queue()
        return self._queue

    def _write(self, queue: _Queue, own: Statement) -> None:
        """Run the writer's own statement, together with all others that wait."""
        group: Sequence[Statement] = [own]

        def take() -> Sequence[Statement]:
            nonlocal group
            group = queue.take()
            return group

        try:
            results = self._run_together(take, own.deadline)
            for statement, result in zip(group, results, strict=True):
                statement.result = result
        except RolledBack:
            pass  # each thread runs its statement alone
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
