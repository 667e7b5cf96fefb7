"""What every inbox must do."""

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from desks import IntercomDesk
from desks.base import Clock
from triage import ConfigurationError, Event, InboxError, Outcome, Step, StepResult, Tag, Verdict
from triage.errors import LeaseLost
from triage.inbox import SQLiteInbox
from triage.models import Job, Ledger
from watched import exit_code

LEASE = 60.0


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def inbox(tmp_path: Path, clock: Clock) -> Iterator[SQLiteInbox]:
    made = SQLiteInbox(tmp_path / "triage.db", clock=clock)
    yield made
    made.close()


def event(number: int = 1, conversation: str = "1", customer: str = "mira") -> Event:
    return Event.model_validate(
        {
            "vendor": "intercom",
            "account": "a",
            "kind": "created",
            "conversation_id": conversation,
            "message_id": str(number),
            "key": f"intercom:a:{conversation}:{number}",
            "conversation": {"id": conversation, "customer": {"id": customer, "email": f"{customer}@example.com"}},
            "raw": {"text": "Größe 😀"},
        }
    )


def keys(jobs: object) -> list[str]:
    assert isinstance(jobs, list)
    return [job.event.key for job in jobs]


def one(inbox: SQLiteInbox) -> Job:
    (job,) = inbox.lease(10, LEASE)
    return job


def test_what_is_added_is_leased_whole_and_once(inbox: SQLiteInbox) -> None:
    assert inbox.add(event())
    job = one(inbox)
    assert (job.event, job.attempts, job.ledger) == (event(), 1, Ledger())
    assert inbox.lease(10, LEASE) == []
    assert inbox.stats() == {"ready": 0, "leased": 1, "finished": 0, "parked": 0}


def test_a_message_is_stored_once_whatever_became_of_it(inbox: SQLiteInbox) -> None:
    assert [inbox.add(event()), inbox.add(event())] == [True, False]
    job = one(inbox)
    assert not inbox.add(event())
    inbox.finish(job, Outcome(status="routed"))
    assert not inbox.add(event())
    assert inbox.stats()["finished"] == 1


def test_the_oldest_come_first_and_no_more_than_asked_for(inbox: SQLiteInbox, clock: Clock) -> None:
    for number in range(5):
        clock.now += 1
        inbox.add(event(number, conversation=str(number)))
    assert keys(inbox.lease(2, LEASE)) == ["intercom:a:0:0", "intercom:a:1:1"]
    assert len(inbox.lease(10, LEASE)) == 3


def test_a_conversations_events_are_leased_one_after_the_other(inbox: SQLiteInbox, clock: Clock) -> None:
    for number in (1, 2, 3):
        inbox.add(event(number))
    inbox.add(event(1, conversation="2"))
    first, other = inbox.lease(10, LEASE)
    assert keys([first, other]) == ["intercom:a:1:1", "intercom:a:2:1"]
    inbox.retry(first, "down", clock() + 30)
    assert inbox.lease(10, LEASE) == [], "the second waits for the first, though that waits for its time"
    clock.now += 30
    first = one(inbox)
    inbox.finish(first, Outcome(status="routed"))
    second = one(inbox)
    assert second.event.message_id == "2"
    inbox.park(second, "hopeless")
    assert one(inbox).event.message_id == "3", "nobody waits for what is parked"


def test_a_lease_that_ran_out_is_given_again_and_the_old_one_can_write_no_more(
    inbox: SQLiteInbox, clock: Clock
) -> None:
    inbox.add(event())
    old = one(inbox)
    clock.now += LEASE
    new = one(inbox)
    assert (old.attempts, new.attempts) == (1, 2)
    writes: list[Callable[[], None]] = [
        lambda: inbox.record(old, Ledger(status="closed")),
        lambda: inbox.finish(old, Outcome(status="routed")),
        lambda: inbox.retry(old, "x", 0),
        lambda: inbox.park(old, "x"),
    ]
    for write in writes:
        with pytest.raises(LeaseLost, match="intercom:a:1:1"):
            write()
    inbox.record(new, Ledger(status="review"))
    inbox.finish(new, Outcome(status="review"))
    with pytest.raises(LeaseLost):
        inbox.record(new, Ledger())


def test_a_lease_is_kept_by_extending_it_but_not_got_back(inbox: SQLiteInbox, clock: Clock) -> None:
    inbox.add(event())
    job = one(inbox)
    clock.now += LEASE - 1
    inbox.extend([job], LEASE)
    clock.now += LEASE - 1
    assert inbox.lease(10, LEASE) == []
    clock.now += 1
    taken_over = one(inbox)
    inbox.extend([job], 1000)
    clock.now += LEASE
    assert one(inbox).fence == taken_over.fence + 1


def test_the_ledger_is_there_for_the_next_one(inbox: SQLiteInbox, clock: Clock) -> None:
    inbox.add(event())
    ledger = Ledger(
        verdict=Verdict(bucket="billing", cost_usd=0.01),
        known=("1",),
        steps=[StepResult(step=Step(actions=(Tag("a"),)), status="unknown")],
    )
    inbox.record(one(inbox), ledger)
    clock.now += LEASE
    assert one(inbox).ledger == ledger


def test_what_is_parked_stays_so_until_it_is_redriven(inbox: SQLiteInbox, clock: Clock) -> None:
    inbox.add(event())
    job = one(inbox)
    inbox.record(job, Ledger(status="closed"))
    inbox.park(job, "hopeless")
    clock.now += 10_000
    assert inbox.lease(10, LEASE) == []
    assert inbox.redrive(job.event.key)
    assert not inbox.redrive(job.event.key)
    again = one(inbox)
    assert (again.attempts, again.ledger.status) == (1, "closed")


def test_a_delivery_that_cannot_be_read_is_kept_and_cannot_be_redriven(inbox: SQLiteInbox) -> None:
    assert inbox.keep("intercom", b"\xff{", "no JSON")
    assert not inbox.keep("intercom", b"\xff{", "no JSON")
    assert inbox.stats()["parked"] == 1
    assert not inbox.redrive("intercom:malformed:x")


def test_finished_events_are_forgotten_on_demand(inbox: SQLiteInbox, clock: Clock) -> None:
    for number in (1, 2):
        inbox.add(event(number, conversation=str(number)))
        inbox.finish(one(inbox), Outcome(status="routed"))
        clock.now += 100
    assert inbox.purge(clock() - 150) == 1
    assert (inbox.stats()["finished"], inbox.add(event(1))) == (1, True)


@pytest.mark.parametrize("customer", ["mira", "mira@example.com"])
def test_a_customers_events_are_removed_but_not_under_a_workers_hands(inbox: SQLiteInbox, customer: str) -> None:
    inbox.add(event(1))
    inbox.add(event(2))
    inbox.add(event(3, conversation="2", customer="jonas"))
    job = next(job for job in inbox.lease(1, LEASE))
    assert inbox.forget(customer) == 1
    assert inbox.forget("nobody") == 0
    inbox.finish(job, Outcome(status="routed"))
    assert inbox.forget(customer) == 1
    assert inbox.stats()["ready"] == 1


def test_many_threads_and_inboxes_lease_each_event_once(tmp_path: Path, clock: Clock) -> None:
    inboxes = [SQLiteInbox(tmp_path / "triage.db", clock=clock) for _ in range(4)]
    for number in range(200):
        inboxes[number % 4].add(event(number, conversation=str(number)))
    leased: list[str] = []

    def work(inbox: SQLiteInbox) -> None:
        while jobs := inbox.lease(7, LEASE):
            leased.extend(keys(jobs))
            for job in jobs:
                inbox.finish(job, Outcome(status="routed"))

    threads = [threading.Thread(target=work, args=(inbox,)) for inbox in inboxes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(leased) == len(set(leased)) == 200
    for inbox in inboxes:
        inbox.close()


# SQLite's own


def test_the_file_is_the_owners_alone_and_a_closed_inbox_opens_again(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "triage.db"
    inbox = SQLiteInbox(path, clock=clock)
    assert path.stat().st_mode & 0o777 == 0o600
    assert repr(inbox) == f"SQLiteInbox({str(path)!r})"
    inbox.add(event())
    inbox.close()
    inbox.close()
    assert inbox.stats()["ready"] == 1
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
            inbox.stats()

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
    assert inbox.stats()["ready"] == 11


def test_an_event_of_a_real_webhook_is_kept_as_it_is(inbox: SQLiteInbox) -> None:
    desk = IntercomDesk()
    webhook = desk.fake.customer_writes("Größe 38 😀", attachments=["a.pdf"])
    received = desk.router().receive(webhook.body, webhook.headers).event
    assert received is not None
    inbox.add(received)
    assert one(inbox).event == received
