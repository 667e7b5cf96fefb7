"""The behavior that only the SQLite inbox has."""

import math
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.desks import IntercomDesk
from tests.helpers.desks.base import Clock
from tests.helpers.events import build_event, lease_one, used_by_threads
from tests.helpers.grouped import Calls
from tests.helpers.watched import exit_code
from triage import ConfigurationError, InboxError, Outcome
from triage.inbox import SQLiteInbox
from triage.inbox.sqlite import _MIGRATIONS, _wait_for_file
from triage.models import Ledger


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def inbox(tmp_path: Path, clock: Clock) -> Iterator[SQLiteInbox]:
    inbox = SQLiteInbox(tmp_path / "triage.db", clock=clock)
    yield inbox
    inbox.close()


def test_only_the_owner_can_read_the_file_and_a_closed_inbox_opens_again(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "triage.db"
    inbox = SQLiteInbox(path, clock=clock)
    assert path.stat().st_mode & 0o777 == 0o600
    assert repr(inbox) == f"SQLiteInbox({str(path)!r})"
    inbox.add(build_event())
    inbox.close()
    inbox.close()
    assert inbox.count_states()["ready"] == 1
    inbox.close()


def test_an_added_event_is_on_disk(inbox: SQLiteInbox) -> None:
    """SQLite reports the two settings that guarantee it."""
    with inbox._connect() as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)


def test_a_file_that_is_not_an_inbox_of_this_version_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "later.db"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(ConfigurationError, match=r"later\.db: a later version of triage created the file"):
        SQLiteInbox(path)
    (tmp_path / "text.db").write_text("This is not a database but some text." * 20)
    for path in (tmp_path / "text.db", tmp_path / "no" / "such.db", tmp_path):
        with pytest.raises(ConfigurationError, match="cannot be opened"):
            SQLiteInbox(path)
    with pytest.raises(ConfigurationError, match=r"To store them in memory, use MemoryInbox\(\)"):
        SQLiteInbox(":memory:")


def test_a_full_disk_raises_inbox_error_and_loses_nothing(inbox: SQLiteInbox) -> None:
    inbox.add(build_event())
    with inbox._connect() as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(InboxError, match="full"):
        inbox.add(build_event(2, customer="x" * 500_000))
    assert lease_one(inbox).event.message_id == "1"


def test_a_locked_file_raises_inbox_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("triage.inbox.sqlite._TIMEOUT", 0.0)
    inbox = SQLiteInbox(tmp_path / "triage.db")
    blocker = sqlite3.connect(tmp_path / "triage.db", isolation_level=None)
    blocker.execute("BEGIN EXCLUSIVE")
    with pytest.raises(InboxError, match="locked"):
        inbox.add(build_event())
    blocker.execute("ROLLBACK")
    assert inbox.add(build_event())
    blocker.close()
    inbox.close()


def test_a_call_waits_until_another_process_unlocks_the_file(
    inbox: SQLiteInbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = sqlite3.connect(tmp_path / "triage.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    monkeypatch.setattr("triage.inbox.sqlite.time.sleep", lambda seconds: other.execute("COMMIT"))
    assert inbox.add(build_event())
    other.close()


def test_a_call_does_not_wait_longer_because_other_threads_wait(
    inbox: SQLiteInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("triage.inbox.sqlite._TIMEOUT", 0.01)
    with inbox._lock, pytest.raises(InboxError, match="another thread was using the file for too long"):
        inbox.add(build_event())
    assert inbox.add(build_event())


def remove(path: Path) -> None:
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink()


def remove_log(path: Path) -> None:
    path.with_name(f"{path.name}-wal").unlink()


def replace(path: Path) -> None:
    SQLiteInbox(path.with_name("other")).close()
    path.with_name("other").replace(path)


@pytest.mark.parametrize("change", [remove, Path.unlink, remove_log, replace])
def test_an_event_is_not_stored_in_a_file_that_was_removed_or_replaced(
    inbox: SQLiteInbox, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    inbox.add(build_event(1))
    change(tmp_path / "triage.db")
    with pytest.raises(InboxError, match="the file was removed or replaced while it was open"):
        inbox.add(build_event(2))


def test_a_removed_file_is_not_created_again_but_a_new_one_is_used(inbox: SQLiteInbox, tmp_path: Path) -> None:
    remove(tmp_path / "triage.db")
    for reason in ("removed or replaced", "Put it back, or restart the program", "Put it back"):
        with pytest.raises(InboxError, match=reason):
            inbox.add(build_event())
    assert list(tmp_path.iterdir()) == []
    other = SQLiteInbox(tmp_path / "triage.db")
    assert inbox.add(build_event())
    assert not other.add(build_event())
    other.close()


def test_an_event_is_not_acknowledged_if_the_file_is_removed_during_the_write(
    inbox: SQLiteInbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def remove_and_write(attempt: Callable[[], object], deadline: float) -> object:
        remove(tmp_path / "triage.db")
        return attempt()

    monkeypatch.setattr("triage.inbox.sqlite._wait_for_file", remove_and_write)
    with pytest.raises(InboxError, match="removed or replaced"):
        inbox.add(build_event())


def test_the_connection_to_a_replaced_file_does_not_remove_the_log_of_the_new_one(tmp_path: Path) -> None:
    """SQLite removes a log by its name when it closes a file."""
    path = tmp_path / "triage.db"
    script = f"""
import contextlib, os, pathlib, triage.inbox
path = pathlib.Path({str(path)!r})
inbox = triage.inbox.SQLiteInbox(path)
for file in path.parent.iterdir():
    file.unlink()
other = triage.inbox.SQLiteInbox(path)
other.set_pause("intercom", 100)
with contextlib.suppress(triage.InboxError):
    inbox.count_states()
os._exit(0)  # closes nothing, as a killed process
"""
    subprocess.run([sys.executable, "-c", script], timeout=60, check=True)
    inbox = SQLiteInbox(path)
    assert inbox.get_pause("intercom") > 0
    inbox.close()


def test_a_relative_path_still_works_if_the_application_changes_its_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    inbox = SQLiteInbox("triage.db")
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert inbox.add(build_event(1))
    inbox.close()
    assert inbox.add(build_event(2))
    inbox.backup(tmp_path / "backup.db")
    assert list((tmp_path / "elsewhere").iterdir()) == []
    inbox.close()


def test_a_file_or_directory_that_is_read_only_is_explained(inbox: SQLiteInbox) -> None:
    with inbox._connect() as connection:
        connection.execute("PRAGMA query_only = ON")
    with pytest.raises(InboxError, match="must be able to write to the file and to its directory"):
        inbox.add(build_event())


def test_a_newer_schema_that_appears_later_is_an_inbox_error(inbox: SQLiteInbox) -> None:
    """The application answers 503 instead of failing, until it is updated."""
    with inbox._connect() as connection:
        connection.execute("PRAGMA user_version = 99")
    inbox.close()
    with pytest.raises(InboxError, match="a later version of triage created the file"):
        inbox.add(build_event())


def test_a_connection_of_another_process_is_neither_used_nor_closed(
    inbox: SQLiteInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some servers fork without running Python's hooks."""
    inherited = inbox._opened
    assert inherited is not None
    monkeypatch.setattr("triage.inbox.sqlite.os.getpid", lambda: -1)
    assert inbox.add(build_event())
    assert inbox._opened is not inherited
    monkeypatch.undo()
    inbox.close()
    assert inherited.execute("SELECT count(*) FROM triage_events").fetchone() == (1,)
    inherited.close()


def test_forgotten_text_is_not_left_in_the_files(inbox: SQLiteInbox, tmp_path: Path) -> None:
    for number in range(20):
        inbox.add(build_event(number, conversation=str(number)))
        job = lease_one(inbox)
        inbox.record(job, Ledger(message_ids=("4711" * 2000,)))
        inbox.finish(job, Outcome(status="routed"), Ledger(message_ids=("4711",)))
    assert inbox.forget("mira@example.com") == 20
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert stored.count(b"4711") == stored.count(b"mira") == 0


def test_forget_says_if_copies_of_the_text_remain(
    inbox: SQLiteInbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader still needs them."""
    monkeypatch.setattr("triage.inbox.sqlite._TIMEOUT", 0.05)
    inbox.add(build_event())
    reader = sqlite3.connect(tmp_path / "triage.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM triage_events").fetchone()
    with pytest.raises(InboxError, match="1 event was removed, but copies of its text remain"):
        inbox.forget("mira")
    with pytest.raises(InboxError, match="0 events were removed, but copies of their text remain"):
        inbox.forget("mira")
    reader.close()
    assert inbox.forget("mira") == 0


def test_a_search_for_expired_events_reads_only_those(inbox: SQLiteInbox) -> None:
    query = f"EXPLAIN QUERY PLAN {inbox._queries['purge']}"
    plan, _ = inbox._execute(query, {"before": 1, "dead": 0, "limit": 1, "now": 1})
    assert [step for *_, step in plan if "triage_settled" in step and step.startswith("SEARCH")]


@pytest.mark.parametrize(
    ("keep", "message"), [("soon", "a duration"), (-1, "a duration"), (30, "at least '1d', not 30. For thirty days")]
)
def test_an_impossible_period_is_rejected(tmp_path: Path, keep: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=f"SQLiteInbox: keep must be {message}"):
        SQLiteInbox(tmp_path / "triage.db", keep=keep)


@pytest.mark.filterwarnings("ignore:This process.*multi-threaded:DeprecationWarning")
def test_a_forked_process_opens_its_own_connection(inbox: SQLiteInbox) -> None:
    """Threads of the parent process use the inbox at the same time."""
    inbox.add(build_event())
    with used_by_threads(inbox):
        for number in range(2, 12):
            child = os.fork()
            if child == 0:
                os._exit(0 if inbox.add(build_event(number)) and not inbox.add(build_event()) else 1)
            assert exit_code(child) == 0
    assert inbox.count_states()["ready"] == 11


def test_an_event_of_a_real_webhook_is_stored_unchanged(inbox: SQLiteInbox) -> None:
    desk = IntercomDesk()
    webhook = desk.fake.customer_writes("Größe 38 😀", attachments=["a.pdf"])
    received = desk.router().receive(webhook.body, webhook.headers).event
    assert received is not None
    inbox.add(received)
    assert lease_one(inbox).event == received


def test_processes_may_create_the_tables_at_the_same_moment(tmp_path: Path) -> None:
    path = tmp_path / "triage.db"
    with ThreadPoolExecutor(8) as pool:
        inboxes = list(pool.map(lambda _: SQLiteInbox(path), range(8)))
    assert inboxes[0].add(build_event())
    assert not inboxes[7].add(build_event())
    for inbox in inboxes:
        inbox.close()


def test_a_new_file_that_another_process_is_writing_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite itself does not wait while it changes the journal mode."""
    path = tmp_path / "triage.db"
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    monkeypatch.setattr("triage.inbox.sqlite.time.sleep", lambda seconds: other.execute("COMMIT"))
    inbox = SQLiteInbox(path)
    assert inbox.add(build_event())
    inbox.close()
    other.close()


@pytest.mark.parametrize("code", [sqlite3.SQLITE_BUSY_SNAPSHOT, sqlite3.SQLITE_PROTOCOL])
def test_an_attempt_that_lost_a_race_is_repeated(code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def attempt() -> str:
        if not pauses:
            error = sqlite3.OperationalError("locking protocol")
            error.sqlite_errorcode = code
            raise error
        return "stored"

    pauses: list[float] = []
    monkeypatch.setattr("triage.inbox.sqlite.time.sleep", pauses.append)
    assert _wait_for_file(attempt, math.inf) == "stored"
    assert len(pauses) == 1


def test_a_new_file_that_stays_locked_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "triage.db"
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    monkeypatch.setattr("triage.inbox.sqlite._OPENING", -1)
    with pytest.raises(ConfigurationError, match="database is locked"):
        SQLiteInbox(path)
    other.close()


def test_a_file_of_an_earlier_version_is_migrated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The migration is an example, since no version has one yet."""
    path = tmp_path / "triage.db"
    inbox = SQLiteInbox(path)
    inbox.add(build_event())
    migrations = (*_MIGRATIONS, "ALTER TABLE triage_events ADD COLUMN note TEXT; UPDATE triage_events SET note = 'new'")
    monkeypatch.setattr("triage.inbox.sqlite._MIGRATIONS", migrations)
    later = SQLiteInbox(path)
    assert later._execute("SELECT key, note FROM triage_events", {})[0] == [(build_event().key, "new")]
    inbox.close()
    later.close()


def test_the_events_of_a_file_of_the_first_version_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "triage.db"
    with sqlite3.connect(path) as connection:
        connection.executescript(f"{_MIGRATIONS[0]}; PRAGMA user_version = 1")
        for key, state in [("a", "ready"), ("b", "finished"), ("c", "finished")]:
            connection.execute(
                "INSERT INTO triage_events (key, owner, conversation, state, due, received, changed) "
                "VALUES (:key, 'intercom', :key, :state, 0, 0, 0)",
                {"key": key, "state": state},
            )
    connection.close()
    inbox = SQLiteInbox(path)
    assert inbox.add(build_event())
    states = inbox.count_states("intercom")
    assert (states["ready"], states["finished"], states["dead"]) == (2, 2, 0)
    inbox.close()


@pytest.mark.parametrize(
    ("query", "step"),
    [
        ("list_set_aside", "SEARCH triage_events USING INDEX triage_set_aside (state=?)"),
        ("list_open", "SCAN triage_events USING INDEX triage_open_conversation"),
    ],
)
def test_the_events_in_a_rare_state_are_found_by_index(inbox: SQLiteInbox, query: str, step: str) -> None:
    """An index of open events contains no others."""
    values = {"state": "dead", "before": None, "limit": 50, "now": 1}
    plan, _ = inbox._execute(f"EXPLAIN QUERY PLAN {inbox._queries[query]}", values)
    assert step in [step for *_, step in plan]
    assert "SCAN triage_events" not in [step for *_, step in plan]


@pytest.mark.parametrize(
    ("query", "indexes"),
    [
        ("list_related", ["triage_conversation"]),
        ("count_replies", ["triage_replied_customer", "triage_replied_email"]),
    ],
)
def test_the_past_of_a_conversation_and_of_a_customer_is_found_by_index(
    inbox: SQLiteInbox, query: str, indexes: list[str]
) -> None:
    """Otherwise each event would take longer with every finished event."""
    values = {"key": "a", "limit": 1, "owner": "o", "customer": "c", "email": "e", "seconds": 1, "now": 1}
    plan, _ = inbox._execute(f"EXPLAIN QUERY PLAN {inbox._queries[query]}", values)
    assert not [step for *_, step in plan if step.startswith("SCAN triage_events")]
    for index in indexes:
        assert [step for *_, step in plan if index in step and step.startswith("SEARCH")], index


def test_a_lease_reads_only_the_events_of_its_owner_and_conversation(inbox: SQLiteInbox) -> None:
    """Otherwise a lease would take longer with every finished event and with every event of another Router."""
    query = f"EXPLAIN QUERY PLAN {inbox._queries['lease_owned']}"
    plan, _ = inbox._execute(query, {"limit": 1, "seconds": 1, "owner": "intercom", "interrupted": 1, "now": 1})
    for index in ("triage_open_due", "triage_open_conversation"):
        assert [step for *_, step in plan if index in step and step.startswith("SEARCH")], index


def test_a_heartbeat_finds_each_lease_by_its_key(inbox: SQLiteInbox) -> None:
    """Otherwise each heartbeat would take longer with every finished event."""
    plan, _ = inbox._execute(
        f"EXPLAIN QUERY PLAN {inbox._queries['extend']}", {"leases": '{"a": 1}', "seconds": 1, "now": 1}
    )
    assert [step for *_, step in plan if step.startswith("SEARCH event USING INDEX") and "key=?" in step]


# Calls that are made together


def test_calls_fail_if_the_file_was_removed_before_their_changes_are_stored(inbox: SQLiteInbox, tmp_path: Path) -> None:
    calls = Calls(lambda: inbox.add(build_event(1)), lambda: remove(tmp_path / "triage.db"))
    with pytest.raises(InboxError, match="removed or replaced"):
        inbox.run_together(calls.functions)


def test_calls_fail_if_the_file_stays_locked(
    inbox: SQLiteInbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("triage.inbox.sqlite._TIMEOUT", 0.0)
    blocker = sqlite3.connect(tmp_path / "triage.db", isolation_level=None)
    blocker.execute("BEGIN EXCLUSIVE")
    calls = Calls(lambda: inbox.add(build_event(1)))
    with pytest.raises(InboxError, match="locked"):
        inbox.run_together(calls.functions)
    blocker.close()
    assert calls.results == [None]
