"""The inboxes that are tables commit the statements of several threads together, as if each had been alone."""

import os
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.helpers.events import LEASE, build_event, lease_one
from tests.helpers.grouped import Calls, call_together, held_up, start_in_order
from tests.helpers.servers import Postgres
from tests.helpers.watched import exit_code
from triage import InboxError, Outcome
from triage.errors import LeaseLost
from triage.inbox import PostgresInbox, SQLiteInbox
from triage.inbox.base import Inbox
from triage.inbox.group_commit import Result, RolledBack, Take
from triage.inbox.table import TableInbox
from triage.models import Ledger


@pytest.fixture(params=["sqlite", "postgres"])
def inbox(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[TableInbox]:
    inbox: TableInbox
    if request.param == "sqlite":
        inbox = SQLiteInbox(tmp_path / "triage.db")
    else:
        inbox = PostgresInbox(request.getfixturevalue("postgres").new_database())
    yield inbox
    inbox.close()


@pytest.fixture
def transactions(inbox: TableInbox, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of statements in each transaction with several ones."""
    numbers: list[int] = []
    run_together = inbox._group._run_together

    def count(take: Take, deadline: float) -> Any:
        results = run_together(take, deadline)
        if len(results) > 1:
            numbers.append(len(results))
        return results

    monkeypatch.setattr(inbox._group, "_run_together", count)
    return numbers


def list_keys(inbox: TableInbox) -> list[str]:
    """Return the keys of all events in the order in which they were stored."""
    return [entry.key for entry in reversed(inbox.list_entries(limit=10_000))]


def fail(inbox: TableInbox) -> Result:
    """Run a statement that the database rejects."""
    return inbox._execute("INSERT INTO triage_events (key) VALUES (NULL)", {})


def test_deliveries_that_wait_are_committed_in_one_transaction(inbox: TableInbox, transactions: list[int]) -> None:
    events = [build_event(number) for number in range(20)]
    assert call_together(inbox, [partial(inbox.add, event) for event in events]) == [True] * 20
    assert transactions == [20]
    assert list_keys(inbox) == [event.key for event in events]


def test_each_caller_gets_its_own_result(inbox: TableInbox, transactions: list[int]) -> None:
    inbox.add(build_event(1))
    (job,) = inbox.lease(1, LEASE)
    outdated = job.model_copy(update={"fencing_token": job.fencing_token - 1})
    duplicate, recorded, lost, leased, added, finished = call_together(
        inbox,
        [
            partial(inbox.add, build_event(1)),
            partial(inbox.record, job, Ledger(status="closed")),
            partial(inbox.record, outdated, Ledger(status="review")),
            partial(inbox.lease_key, build_event(1).key, LEASE),
            partial(inbox.add, build_event(2)),
            partial(inbox.finish, job, Outcome(status="routed")),
        ],
    )
    assert transactions == [6]
    assert (duplicate, recorded, leased, added, finished) == (False, None, None, True, None)
    assert isinstance(lost, LeaseLost)
    (second,) = inbox.lease(5, LEASE)
    assert second.event == build_event(2)
    entry = inbox.get_entry(build_event(1).key)
    assert entry is not None
    assert (entry.state, entry.ledger.status) == ("finished", "closed")


def test_a_statement_that_fails_fails_alone(inbox: TableInbox, transactions: list[int]) -> None:
    before, error, after = call_together(
        inbox, [partial(inbox.add, build_event(1)), partial(fail, inbox), partial(inbox.add, build_event(2))]
    )
    assert (before, after) == (True, True)
    assert isinstance(error, InboxError)
    assert transactions == []
    assert inbox.count_states()["ready"] == 2
    assert inbox.add(build_event(3)), "the connection still works"


def test_an_event_added_in_a_transaction_can_be_leased_in_it(inbox: TableInbox, transactions: list[int]) -> None:
    inbox.lease(1, LEASE)  # the first one also corrects the times of events
    added, jobs = call_together(inbox, [partial(inbox.add, build_event()), partial(inbox.lease, 1, LEASE)])
    assert added is True
    assert [job.event for job in jobs] == [build_event()]
    assert transactions == [2]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["add", "add", "again", "fail"])), min_size=2, max_size=16)
)
def test_concurrent_deliveries_are_stored_as_one_after_the_other(
    inbox: TableInbox, steps: list[tuple[int, str]]
) -> None:
    """Each conversation's messages come one after the other; those of others at the same time."""
    inbox._execute("DELETE FROM triage_events", {})
    conversations: dict[int, list[str]] = {}
    for conversation, step in steps:
        conversations.setdefault(conversation, []).append(step)

    def deliver(conversation: int) -> list[str]:
        acknowledged: list[str] = []
        for number, step in enumerate(conversations[conversation]):
            event = build_event(number, conversation=str(conversation))
            if step == "fail":
                with pytest.raises(InboxError):
                    fail(inbox)
            else:
                assert inbox.add(event)
                acknowledged.append(event.key)
            if step == "again":
                assert not inbox.add(event)
        return acknowledged

    with ThreadPoolExecutor(len(conversations)) as pool:
        acknowledged = list(pool.map(deliver, conversations))
    stored = list_keys(inbox)
    assert sorted(stored) == sorted(key for keys in acknowledged for key in keys)
    for keys in acknowledged:
        assert [key for key in stored if key in keys] == keys
    assert inbox.count_states()["ready"] == len(stored)


def test_many_threads_settle_each_event_once(inbox: TableInbox) -> None:
    """Two workers settle each event, one of them with an outdated lease."""
    for number in range(40):
        inbox.add(build_event(number, conversation=str(number)))
    jobs = inbox.lease(40, LEASE)
    outdated = [job.model_copy(update={"fencing_token": job.fencing_token - 1}) for job in jobs]
    writes = [partial(inbox.finish, job, Outcome(status="routed"), job.ledger) for job in (*jobs, *outdated)]

    def settle(write: Callable[[], None]) -> bool:
        try:
            write()
        except LeaseLost:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        results = list(
            pool.map(settle, [write for pair in zip(writes[:40], writes[40:], strict=True) for write in pair])
        )
    assert results == [True, False] * 40
    assert inbox.count_states()["finished"] == 40


@pytest.mark.filterwarnings("ignore:This process.*multi-threaded:DeprecationWarning")
def test_nothing_is_stored_if_the_process_is_killed_before_the_commit(tmp_path: Path) -> None:
    inbox = SQLiteInbox(tmp_path / "triage.db")
    child = os.fork()
    if child == 0:  # pragma: no cover - coverage is not measured in forked processes

        def kill(sql: str) -> None:
            if sql == "COMMIT":
                os.kill(os.getpid(), signal.SIGKILL)

        with inbox._connect() as connection:
            connection.set_trace_callback(kill)
        call_together(inbox, [partial(inbox.add, build_event(number)) for number in range(5)])
        os._exit(0)
    assert exit_code(child) == -signal.SIGKILL
    assert inbox.count_states()["ready"] == 0
    assert inbox.add(build_event(1))
    inbox.close()


def test_a_locked_file_fails_only_the_delivery_whose_time_is_over(tmp_path: Path) -> None:
    inbox = SQLiteInbox(tmp_path / "triage.db")
    other = sqlite3.connect(tmp_path / "triage.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    with held_up(inbox):
        first, *others = start_in_order(inbox._group, [partial(inbox.add, build_event(number)) for number in (1, 2, 3)])
        inbox._group._get_queue().waiting[0].deadline = 0.0
    assert "database is locked" in str(first.finish())
    other.execute("COMMIT")
    other.close()
    assert [caller.finish() for caller in others] == [True, True]
    inbox.close()


def test_an_interrupted_transaction_is_rolled_back(tmp_path: Path) -> None:
    inbox = SQLiteInbox(tmp_path / "triage.db")

    def interrupt() -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        inbox._execute_together(interrupt, time.monotonic() + 60)
    with inbox._connect() as connection:
        assert not connection.in_transaction
    assert inbox.add(build_event())
    inbox.close()


def test_a_statement_that_waits_for_a_lock_does_not_hold_up_the_others(postgres: Postgres) -> None:
    url = postgres.new_database()
    inbox = PostgresInbox(url)
    inbox.add(build_event(1))
    (job,) = inbox.lease(1, LEASE)
    with psycopg.connect(url) as other:
        other.execute("UPDATE triage_events SET error = 'an operator at work'")
        recording = partial(inbox.record, job, Ledger(status="closed"))
        adding = [partial(inbox.add, build_event(number)) for number in (2, 3)]
        with held_up(inbox):
            blocked, *others = start_in_order(inbox._group, [recording, *adding])
        assert [caller.finish() for caller in others] == [True, True]
        assert blocked.is_alive()
    assert blocked.finish() is None
    inbox.close()


def test_an_error_of_the_commit_is_an_error_for_all(inbox: TableInbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """The outcome is unknown, so no statement may be repeated."""
    if isinstance(inbox, SQLiteInbox):
        monkeypatch.setattr(inbox, "_check_file", raise_inbox_error)
    else:
        monkeypatch.setattr("psycopg.Connection._commit_gen", raise_operational_error)
    errors = call_together(inbox, [partial(inbox.add, build_event(number)) for number in (1, 2)])
    assert [type(error) for error in errors] == [InboxError, InboxError]


def test_events_are_removed_one_by_one_if_their_transaction_is_rolled_back(
    inbox: TableInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox.add(build_event(1))
    inbox.add(build_event(2))

    def roll_back(*_: object) -> None:
        raise RolledBack

    monkeypatch.setattr(inbox, "_execute_together", roll_back)
    assert inbox.forget("mira@example.com") == 2
    assert list_keys(inbox) == []


# Calls of one thread that share a transaction


@pytest.fixture
def observer(inbox: TableInbox) -> Iterator[Inbox]:
    """The same inbox, as another process sees it."""
    if isinstance(inbox, PostgresInbox):
        other: TableInbox = PostgresInbox(inbox._conninfo)
    else:
        assert isinstance(inbox, SQLiteInbox)
        other = SQLiteInbox(inbox._path)
    yield other
    other.close()


def test_the_changes_of_calls_are_committed_in_one_transaction(inbox: TableInbox, observer: Inbox) -> None:
    inbox.lease(1, LEASE)  # the first one also corrects the times of events
    calls = Calls(
        lambda: inbox.add(build_event(1, "1")),
        lambda: inbox.add(build_event(1, "1")),
        lambda: inbox.count_states()["ready"],
        lambda: [job.event for job in inbox.lease(10, LEASE)],
        lambda: observer.count_states()["leased"],
    )
    inbox.run_together(calls.functions)
    assert calls.results == [True, False, 1, [build_event(1, "1")], 0]
    assert observer.count_states()["leased"] == 1


def test_a_call_with_an_outdated_lease_affects_no_other(inbox: TableInbox) -> None:
    inbox.add(build_event(1))
    job = lease_one(inbox)
    outdated = job.model_copy(update={"fencing_token": 0})
    calls = Calls(
        lambda: inbox.record(outdated, Ledger()),
        lambda: inbox.extend([job, outdated], LEASE),
        lambda: inbox.finish(job, Outcome(status="routed")),
    )
    inbox.run_together(calls.functions)
    assert isinstance(calls.results[0], LeaseLost)
    assert (calls.results[1:], inbox.count_states()["finished"]) == ([None, None], 1)


def test_calls_are_made_alone_if_the_database_rejects_one_of_them(inbox: TableInbox) -> None:
    calls = Calls(lambda: inbox.add(build_event(1)), lambda: fail(inbox), lambda: inbox.add(build_event(2)))
    inbox.run_together(calls.functions)
    assert (calls.results[0], calls.results[2]) == (True, True)
    assert isinstance(calls.results[1], InboxError)
    assert inbox.count_states()["ready"] == 2


def test_changes_are_stored_even_if_another_call_ignores_that_the_database_rejected_it(inbox: TableInbox) -> None:
    def ignore() -> None:
        with suppress(InboxError):
            fail(inbox)

    calls = Calls(lambda: inbox.add(build_event(1)), ignore)
    inbox.run_together(calls.functions)
    assert (calls.results, inbox.count_states()["ready"]) == ([True, None], 1)


def test_calls_change_what_all_workers_share_with_the_rest_of_their_changes(inbox: TableInbox) -> None:
    calls = Calls(
        lambda: inbox.add_spending("today", 0.5),
        lambda: inbox.set_pause("intercom", 100),
        lambda: inbox.add_spending("today", 0.25),
        lambda: fail(inbox),
    )
    inbox.run_together(calls.functions[:3])
    assert (inbox.get_spending("today"), inbox.get_pause("intercom") > 90) == (0.75, True)
    inbox.run_together(calls.functions)
    assert inbox.get_spending("today") == 1.5


def test_calls_share_their_transaction_with_deliveries_that_wait_for_a_file(tmp_path: Path) -> None:
    inbox = SQLiteInbox(tmp_path / "triage.db")
    statements: list[str] = []
    with inbox._connect() as connection:
        connection.set_trace_callback(lambda sql: statements.append(sql.split()[0]))
    calls = Calls(lambda: inbox.add(build_event(1)))
    with held_up(inbox):
        threads = start_in_order(
            inbox._group,
            [lambda: inbox.add(build_event(2)), lambda: inbox.run_together(calls.functions), lambda: fail(inbox)],
        )
    delivered, together, failed = [thread.finish() for thread in threads]
    assert (delivered, together, type(failed)) == (True, None, InboxError)
    assert (calls.results, inbox.count_states()["ready"]) == ([True], 2)
    # The first transaction, that of all, was rolled back. Then each ran alone.
    assert statements.count("BEGIN") == 2
    inbox.close()


def test_calls_fail_if_it_is_unknown_whether_their_changes_are_stored(
    inbox: TableInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = Calls(lambda: inbox.add(build_event(1)))
    if isinstance(inbox, SQLiteInbox):
        monkeypatch.setattr(inbox, "_check_file", raise_inbox_error)
    else:
        monkeypatch.setattr("psycopg.Connection._commit_gen", raise_operational_error)
    with pytest.raises(InboxError):
        inbox.run_together(calls.functions)


def raise_inbox_error() -> None:
    raise InboxError("the file was removed")


def raise_operational_error(*_: object) -> None:
    raise psycopg.OperationalError("connection lost")
