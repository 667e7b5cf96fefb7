"""The behavior that only the SQLite inbox has."""

import os
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.helpers.desks import IntercomDesk
from tests.helpers.desks.base import Clock
from tests.helpers.events import build_event, lease_one, used_by_threads
from tests.helpers.watched import exit_code
from triage import ConfigurationError, InboxError
from triage.inbox import SQLiteInbox
from triage.inbox.sqlite import _MIGRATIONS


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
    with pytest.raises(ConfigurationError, match="A later version of triage created"):
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
    monkeypatch.setattr("triage.inbox.sqlite._BUSY_TIMEOUT", 0.0)
    inbox = SQLiteInbox(tmp_path / "triage.db")
    blocker = sqlite3.connect(tmp_path / "triage.db", isolation_level=None)
    blocker.execute("BEGIN EXCLUSIVE")
    with pytest.raises(InboxError, match="locked"):
        inbox.add(build_event())
    blocker.execute("ROLLBACK")
    assert inbox.add(build_event())
    blocker.close()
    inbox.close()


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


def test_a_new_file_that_stays_locked_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "triage.db"
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    monkeypatch.setattr("triage.inbox.sqlite._BUSY_TIMEOUT", -1)
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
