"""What is SQLite's own, and the memory's."""

import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.test_inboxes import LEASE, event, one
from tests.helpers.desks import IntercomDesk
from tests.helpers.desks.base import Clock
from tests.helpers.watched import exit_code
from triage import ConfigurationError, InboxError, Outcome
from triage.inbox import MemoryInbox, SQLiteInbox
from triage.inbox.sqlite import _MIGRATIONS


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def inbox(tmp_path: Path, clock: Clock) -> Iterator[SQLiteInbox]:
    made = SQLiteInbox(tmp_path / "triage.db", clock=clock)
    yield made
    made.close()


def test_the_file_is_the_owners_alone_and_a_closed_inbox_opens_again(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "triage.db"
    inbox = SQLiteInbox(path, clock=clock)
    assert path.stat().st_mode & 0o777 == 0o600
    assert repr(inbox) == f"SQLiteInbox({str(path)!r})"
    inbox.add(event())
    inbox.close()
    inbox.close()
    assert inbox.count_states()["ready"] == 1
    inbox.close()


def test_what_is_added_is_on_the_disk(inbox: SQLiteInbox) -> None:
    """The two settings that make it so, as SQLite itself tells them."""
    with inbox._connection() as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert db.execute("PRAGMA synchronous").fetchone() == (2,)


def test_a_file_of_a_later_version_or_none_at_all_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "later.db"
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(ConfigurationError, match="later version"):
        SQLiteInbox(path)
    (tmp_path / "text.db").write_text("This is no database, it is a text of some length." * 20)
    for wrong in (tmp_path / "text.db", tmp_path / "no" / "such.db", tmp_path):
        with pytest.raises(ConfigurationError, match="cannot be opened"):
            SQLiteInbox(wrong)
    with pytest.raises(ConfigurationError, match=r"In memory: MemoryInbox\(\)"):
        SQLiteInbox(":memory:")


def test_a_full_disk_is_an_error_of_ours_and_loses_nothing(inbox: SQLiteInbox) -> None:
    inbox.add(event())
    with inbox._connection() as db:
        pages = db.execute("PRAGMA page_count").fetchone()[0]
        db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(InboxError, match="full"):
        inbox.add(event(2, customer="x" * 500_000))
    assert one(inbox).event.message_id == "1"


def test_a_locked_file_is_an_error_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("triage.inbox.sqlite._BUSY", 0.0)
    inbox = SQLiteInbox(tmp_path / "triage.db")
    blocker = sqlite3.connect(tmp_path / "triage.db", isolation_level=None)
    blocker.execute("BEGIN EXCLUSIVE")
    with pytest.raises(InboxError, match="locked"):
        inbox.add(event())
    blocker.execute("ROLLBACK")
    assert inbox.add(event())
    blocker.close()
    inbox.close()


@pytest.mark.filterwarnings("ignore:This process.*multi-threaded:DeprecationWarning")
def test_a_fork_has_a_connection_and_a_lock_of_its_own(inbox: SQLiteInbox) -> None:
    """Whatever its threads do with the inbox at that moment."""
    inbox.add(event())
    stopping = threading.Event()

    def busy() -> None:
        while not stopping.is_set():
            inbox.count_states()

    threads = [threading.Thread(target=busy) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(2, 12):
        child = os.fork()
        if child == 0:
            os._exit(0 if inbox.add(event(number)) and not inbox.add(event()) else 1)
        assert exit_code(child) == 0
    stopping.set()
    for thread in threads:
        thread.join()
    assert inbox.count_states()["ready"] == 11


def test_an_event_of_a_real_webhook_is_kept_as_it_is(inbox: SQLiteInbox) -> None:
    desk = IntercomDesk()
    webhook = desk.fake.customer_writes("Größe 38 😀", attachments=["a.pdf"])
    received = desk.router().receive(webhook.body, webhook.headers).event
    assert received is not None
    inbox.add(received)
    assert one(inbox).event == received


def test_a_file_of_an_earlier_version_is_brought_up_to_date_with_all_that_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "triage.db"
    old = sqlite3.connect(path, isolation_level=None)
    old.executescript(f"{_MIGRATIONS[0]} PRAGMA user_version = 1;")
    done = '{"status":"routed","steps":[{"step":{"actions":[]},"status":"done"}]}'
    for number, (state, outcome) in enumerate([("finished", done), ("ready", None)]):
        old.execute(
            "INSERT INTO events (key, lane, state, due, event, outcome, received, changed)"
            " VALUES (?, ?, ?, 1, ?, ?, 1, 1)",
            (event(number).key, "intercom:a:1", state, event(number, customer="Mira").model_dump_json(), outcome),
        )
    old.close()
    first, second = SQLiteInbox(path), SQLiteInbox(path)
    assert first.count_states() == {"ready": 1, "leased": 0, "finished": 1, "parked": 0}
    (job,) = first.lease(10, LEASE, "intercom")
    assert (job.event.message_id, job.handled) == ("1", 1)
    first.finish(job, Outcome(status="routed"))
    assert second.forget("MIRA@example.com") == 2
    for inbox in (first, second):
        inbox.close()


def test_memory_is_bounded_and_remembers_the_newest_that_are_done_with(clock: Clock) -> None:
    inbox = MemoryInbox(3, clock=clock)
    for number in range(10):
        assert inbox.add(event(number, conversation=str(number)))
        inbox.finish(one(inbox), Outcome(status="routed"))
    assert inbox.count_states()["finished"] == 4
    assert not inbox.add(event(9, conversation="9"))
    assert inbox.add(event(1, conversation="1")), "the oldest are forgotten"
    (kept, *_) = inbox.list_entries("finished")
    assert (kept.event, kept.outcome) == (None, Outcome(status="routed")), "without what the customer wrote"
    inbox.close()


def test_memory_that_is_full_of_open_events_takes_no_more(clock: Clock) -> None:
    inbox = MemoryInbox(2, clock=clock)
    for number in (1, 2):
        inbox.add(event(number, conversation=str(number)))
    with pytest.raises(InboxError, match="the inbox is full: 2 events are open"):
        inbox.add(event(3, conversation="3"))
    inbox.finish(inbox.lease(1, LEASE)[0], Outcome(status="routed"))
    assert inbox.add(event(3, conversation="3"))
    assert repr(inbox) == "MemoryInbox(2)"
    inbox.close()
    with pytest.raises(ConfigurationError, match="at least 1, not 0"):
        MemoryInbox(0)


def test_leasing_reads_only_the_events_of_the_conversation(tmp_path: Path) -> None:
    """Else it takes longer with every event that was ever finished, or that waits for another help desk."""
    inbox = SQLiteInbox(tmp_path / "triage.db")
    plan = inbox._rows(f"EXPLAIN QUERY PLAN {inbox._lease_vendors}", limit=1, seconds=1, vendor="intercom")
    for index in ("acted_lane", "open_due", "open_lane"):
        assert [step for *_, step in plan if index in step and step.startswith("SEARCH")], index
    inbox.close()
