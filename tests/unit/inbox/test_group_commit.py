"""How the statements of several threads are combined, with a database that a test can hold up."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from tests.helpers.grouped import Caller, start_in_order
from tests.helpers.servers import wait_until
from triage import InboxError
from triage.inbox.group_commit import GroupCommit, Result, RolledBack, Statement, Take


class FakeDatabase:
    """A database whose statements are their own results, and which commits a transaction when it is allowed to."""

    def __init__(self, patience: float = float("inf")) -> None:
        self.group = GroupCommit(lambda: "triage.db", self._run, self._run_together, patience)
        self.groups: list[list[str]] = []
        """The statements of each transaction of a writer."""
        self.alone: list[str] = []
        """The statements that were run alone."""
        self.error: BaseException | None = None
        """Raised by a transaction with several statements, instead of committing it."""
        self.busy: BaseException | None = None
        """Raised instead of beginning the next transaction."""
        self.may_commit = threading.Event()
        self.may_commit_several = threading.Event()
        self.may_commit_several.set()

    def call(self, sql: str, seconds: float = 60) -> Callable[[], Result]:
        """Return a function that runs a statement."""
        return lambda: self.group.run(Statement(sql, {}, time.monotonic() + seconds))

    @contextmanager
    def held_up(self) -> Iterator[None]:
        """Let a thread write until the block ends, so that all others wait."""
        first = Caller(self.call("first"))
        wait_until(lambda: self.groups == [["first"]], "the first statement is written")
        yield
        self.groups.clear()
        self.may_commit.set()
        assert first.finish() == (["first"], 1)

    def _run(self, statement: Statement) -> Result:
        self.alone.append(statement.sql)
        if statement.sql.startswith("wrong"):
            raise InboxError(f"{statement.sql} is wrong")
        return [statement.sql], 1

    def _run_together(self, take: Take, deadline: float) -> Sequence[Result]:
        if self.busy is not None:
            busy, self.busy = self.busy, None
            raise busy
        statements = [statement.sql for statement in take()]
        self.groups.append(statements)
        if statements == ["first"]:
            assert self.may_commit.wait(60)
        if len(statements) > 1:
            assert self.may_commit_several.wait(60)
            if self.error is not None:
                raise self.error
        return [([sql], 1) for sql in statements]


def finish(callers: Sequence[Caller]) -> list[Any]:
    return [caller.finish() for caller in callers]


def test_a_single_statement_is_run_at_once() -> None:
    database = FakeDatabase()
    assert [database.call("a")(), database.call("b")()] == [(["a"], 1), (["b"], 1)]
    assert (database.groups, database.alone) == ([["a"], ["b"]], [])


def test_statements_that_arrive_during_a_write_are_committed_together_in_order() -> None:
    database = FakeDatabase()
    with database.held_up():
        callers = start_in_order(database.group, [database.call(sql) for sql in "abcd"])
    assert finish(callers) == [([sql], 1) for sql in "abcd"]
    assert (database.groups, database.alone) == ([["a", "b", "c", "d"]], [])


def test_no_statement_returns_before_its_commit() -> None:
    database = FakeDatabase()
    database.may_commit_several.clear()
    with database.held_up():
        callers = start_in_order(database.group, [database.call(sql) for sql in "ab"])
    wait_until(lambda: database.groups == [["a", "b"]], "the statements were run")
    assert [caller.result for caller in callers] == [None, None]
    database.may_commit_several.set()
    assert finish(callers) == [(["a"], 1), (["b"], 1)]


def test_a_statement_that_fails_does_not_affect_the_others() -> None:
    database = FakeDatabase()
    database.error = RolledBack()
    with database.held_up():
        callers = start_in_order(database.group, [database.call(sql) for sql in ("a", "wrong", "b")])
    results = finish(callers)
    assert str(results[1]) == "wrong is wrong"
    assert [type(result) for result in results] == [tuple, InboxError, tuple]
    assert sorted(database.alone) == ["a", "b", "wrong"]


def test_no_statement_is_repeated_if_its_outcome_is_unknown() -> None:
    database = FakeDatabase()
    database.error = InboxError("connection lost")
    with database.held_up():
        callers = start_in_order(database.group, [database.call(sql) for sql in "ab"])
    errors = finish(callers)
    assert [str(error) for error in errors] == ["connection lost"] * 2
    assert errors[0] is not errors[1], "each thread adds its own traceback"
    assert database.alone == []


def test_an_interrupt_of_the_writing_thread_is_an_inbox_error_for_the_others() -> None:
    database = FakeDatabase()
    database.error = KeyboardInterrupt()
    with database.held_up():
        callers = start_in_order(database.group, [database.call(sql) for sql in "ab"])
    writer, other = finish(callers)
    assert isinstance(writer, KeyboardInterrupt)
    assert isinstance(other, InboxError)
    assert str(other) == "the inbox triage.db: a write was interrupted"
    assert database.call("c")() == (["c"], 1), "the next one can write"


@pytest.mark.parametrize("busy", [InboxError("locked"), RolledBack()])
def test_statements_that_wait_are_unaffected_if_a_transaction_cannot_begin(busy: BaseException) -> None:
    database = FakeDatabase()
    with database.held_up():
        callers = start_in_order(database.group, [database.call(sql) for sql in "abc"])
        database.busy = busy
    first, *others = finish(callers)
    assert str(first) == ("locked" if isinstance(busy, InboxError) else "(['a'], 1)")
    assert others == [(["b"], 1), (["c"], 1)]


@pytest.mark.parametrize(("patience", "seconds"), [(float("inf"), 0.01), (0.01, 60.0)])
def test_a_thread_that_does_not_want_to_wait_any_longer_writes_alone(patience: float, seconds: float) -> None:
    database = FakeDatabase(patience)
    with database.held_up():
        caller = Caller(database.call("impatient", seconds))
        assert caller.finish() == (["impatient"], 1)
    assert (database.groups, database.alone) == ([], ["impatient"])


class Overslept(threading.Event):
    """Reports that the time is over, a number of times, when the test lets it pass."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self._times = times
        self.time_passes = threading.Event()

    def wait(self, timeout: float | None = None) -> bool:
        if not self._times:
            return super().wait(timeout)
        self._times -= 1
        assert self.time_passes.wait(60)
        return False


@pytest.mark.parametrize("times", [1, 2])
def test_a_statement_that_is_being_written_is_not_written_again(times: int) -> None:
    """A thread awaits the writer until its own deadline, even if it has lost patience before."""
    database = FakeDatabase()
    database.may_commit_several.clear()
    statement = Statement("b", {}, time.monotonic() + 60)
    statement.woken = woken = Overslept(times)
    with database.held_up():
        first, second = start_in_order(database.group, [database.call("a"), lambda: database.group.run(statement)])
    wait_until(lambda: database.groups == [["a", "b"]], "the statements were run")
    woken.time_passes.set()
    if times == 2:
        assert str(second.finish()) == "the inbox triage.db: another thread was writing for too long"
    database.may_commit_several.set()
    assert first.finish() == (["a"], 1)
    if times == 1:
        assert second.finish() == (["b"], 1)
    assert database.alone == []


class Interrupted(threading.Event):
    """Interrupts the thread that waits for it, as soon as it is set."""

    def wait(self, timeout: float | None = None) -> bool:
        super().wait(timeout)
        raise KeyboardInterrupt


def test_a_thread_that_is_interrupted_passes_on_its_turn() -> None:
    database = FakeDatabase()
    statement = Statement("interrupted", {}, time.monotonic() + 60)
    statement.woken = Interrupted()
    with database.held_up():
        callers = start_in_order(database.group, [lambda: database.group.run(statement), database.call("a")])
    interrupted, result = finish(callers)
    assert isinstance(interrupted, KeyboardInterrupt)
    assert result == (["a"], 1)
    assert (database.groups, database.alone) == ([["a"]], [])


def test_a_forked_process_does_not_run_the_statements_of_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    database = FakeDatabase()
    with database.held_up():
        (caller,) = start_in_order(database.group, [database.call("of the parent")])
        queue = database.group._queue
        monkeypatch.setattr("triage.inbox.group_commit.os.getpid", lambda: -1)
        assert database.call("of the child")() == (["of the child"], 1)
        monkeypatch.undo()
        database.group._queue = queue
    assert caller.finish() == (["of the parent"], 1)
