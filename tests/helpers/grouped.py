"""Run statements of several threads at the same time, so that an inbox commits them in one transaction."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from tests.helpers.servers import wait_until
from triage import InboxError
from triage.inbox.group_commit import GroupCommit, Statement
from triage.inbox.table import TableInbox


class Caller(threading.Thread):
    """Calls a function in a thread, and keeps what it returned or raised."""

    def __init__(self, function: Callable[[], Any]) -> None:
        super().__init__(daemon=True)
        self._function = function
        self.result: Any = None
        self.error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self.result = self._function()
        except BaseException as err:  # noqa: BLE001 - the test checks it
            self.error = err

    def finish(self) -> Any:
        """Wait for the function; return what it returned or raised."""
        self.join(60)
        assert not self.is_alive(), "the call does not end"
        return self.error if self.error is not None else self.result


def call_together(inbox: TableInbox, functions: Sequence[Callable[[], Any]]) -> list[Any]:
    """Call functions that each run one statement, in threads; return what they returned or raised.

    The first one commits the statements of all.
    """
    with held_up(inbox):
        callers = start_in_order(inbox._group, functions)
    return [caller.finish() for caller in callers]


@contextmanager
def held_up(inbox: TableInbox) -> Iterator[None]:
    """Let all statements wait, as if other threads were writing."""
    queue = inbox._group._get_queue()
    other = Statement("", {}, time.monotonic() + 60)
    queue.join(other)
    assert other.wait()
    yield
    assert queue.leave(other)


def start_in_order(group: GroupCommit, functions: Sequence[Callable[[], Any]]) -> list[Caller]:
    """Call functions in threads, each once the one before waits for a writer."""
    queue = group._get_queue()
    callers: list[Caller] = []
    for number, function in enumerate(functions, len(queue.waiting) + 1):
        callers.append(Caller(function))
        wait_until(lambda number=number: len(queue.waiting) >= number, "the statement waits")  # type: ignore[misc]
    return callers


class Calls:
    """Functions that call an inbox, and what they return or raise."""

    def __init__(self, *functions: Callable[[], Any]) -> None:
        self.results: list[Any] = [None] * len(functions)
        self.functions = [partial(self._call, number, function) for number, function in enumerate(functions)]

    def _call(self, number: int, function: Callable[[], Any]) -> None:
        try:
            self.results[number] = function()
        except InboxError as err:
            self.results[number] = err
