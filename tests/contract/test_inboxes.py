"""The contract that every inbox must fulfill."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.helpers.desks.base import Clock
from tests.helpers.events import LEASE, build_event, lease_one
from tests.helpers.records import get_fields
from triage import Event, Outcome, Reply, Step, StepResult, Tag, Verdict
from triage.errors import InboxError, LeaseLost
from triage.inbox import MemoryInbox, PostgresInbox, SQLiteInbox
from triage.inbox.base import INTERRUPTED, Inbox
from triage.inbox.table import TableInbox
from triage.models import Customer, Job, Ledger


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def open_inbox(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[Callable[[], Inbox]]:
    """Open the same inbox, as each process of an application does; there is only one in memory."""
    memory = MemoryInbox(clock=clock)
    url = request.getfixturevalue("postgres").new_database() if request.param == "postgres" else ""
    inboxes: list[Inbox] = []

    def open_another() -> Inbox:
        inbox: Inbox = memory
        if request.param == "sqlite":
            inbox = SQLiteInbox(tmp_path / "triage.db", clock=clock)
        elif request.param == "postgres":
            inbox = PostgresInbox(url, clock=clock)
        inboxes.append(inbox)
        return inbox

    yield open_another
    for inbox in inboxes:
        inbox.close()


@pytest.fixture
def inbox(open_inbox: Callable[[], Inbox]) -> Inbox:
    return open_inbox()


@pytest.fixture(params=["sqlite", "postgres"])
def open_kept(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[Callable[[], Inbox]]:
    """Open the same inbox, which keeps finished events for thirty days."""
    url = request.getfixturevalue("postgres").new_database() if request.param == "postgres" else ""
    inboxes: list[Inbox] = []

    def open_another() -> Inbox:
        inbox: Inbox
        if request.param == "sqlite":
            inbox = SQLiteInbox(tmp_path / "triage.db", keep="30d", clock=clock)
        else:
            inbox = PostgresInbox(url, keep="30d", clock=clock)
        inboxes.append(inbox)
        return inbox

    yield open_another
    for inbox in inboxes:
        inbox.close()


@pytest.fixture(params=["sqlite", "postgres"])
def table_inbox(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[TableInbox]:
    """An inbox whose rows a test can change by SQL."""
    inbox: TableInbox
    if request.param == "sqlite":
        inbox = SQLiteInbox(tmp_path / "triage.db", clock=clock)
    else:
        inbox = PostgresInbox(request.getfixturevalue("postgres").new_database(), clock=clock)
    yield inbox
    inbox.close()


def remove_customer(event: Event) -> Event:
    """Return the event of a webhook that contains no customer."""
    return event.model_copy(update={"customer": Customer()})


def get_keys(jobs: Sequence[Job]) -> list[str]:
    return [job.event.key for job in jobs]


def count(**states: int) -> dict[str, int]:
    return dict.fromkeys(("ready", "leased", "finished", "planned", "dead", "parked"), 0) | states


# Receivers and workers


def test_an_added_event_is_leased_unchanged_and_once(inbox: Inbox) -> None:
    assert inbox.add(build_event())
    job = lease_one(inbox)
    assert (job.event, job.attempts, job.ledger) == (build_event(), 1, Ledger())
    assert inbox.lease(10, LEASE) == []
    assert inbox.count_states() == count(leased=1)


def test_a_message_is_stored_once_whatever_its_state(inbox: Inbox) -> None:
    assert [inbox.add(build_event()), inbox.add(build_event())] == [True, False]
    job = lease_one(inbox)
    assert not inbox.add(build_event())
    inbox.finish(job, Outcome(status="routed"))
    assert not inbox.add(build_event())
    assert inbox.count_states()["finished"] == 1


def test_the_oldest_events_are_leased_first_and_no_more_than_the_limit(inbox: Inbox, clock: Clock) -> None:
    for number in range(5):
        clock.now += 1
        inbox.add(build_event(number, conversation=str(number)))
    assert get_keys(inbox.lease(2, LEASE)) == ["intercom:a:0:0", "intercom:a:1:1"]
    assert len(inbox.lease(10, LEASE)) == 3


def test_events_of_a_conversation_are_leased_one_after_the_other(inbox: Inbox, clock: Clock) -> None:
    for number in (1, 2, 3):
        inbox.add(build_event(number))
    inbox.add(build_event(1, conversation="2"))
    first, other = inbox.lease(10, LEASE)
    assert get_keys([first, other]) == ["intercom:a:1:1", "intercom:a:2:1"]
    inbox.retry(first, "down", 30)
    assert inbox.lease(10, LEASE) == [], "the second event waits for the first one, which is not due yet"
    clock.now += 30
    first = lease_one(inbox)
    inbox.finish(first, Outcome(status="routed"))
    second = lease_one(inbox)
    assert second.event.message_id == "2"
    inbox.dead_letter(second, "hopeless")
    assert lease_one(inbox).event.message_id == "3", "no event waits for a dead one"


def test_an_expired_lease_is_taken_over_and_its_writes_are_rejected(inbox: Inbox, clock: Clock) -> None:
    inbox.add(build_event())
    old = lease_one(inbox)
    clock.now += LEASE
    new = lease_one(inbox)
    assert (old.attempts, new.attempts) == (1, 2)
    writes: list[Callable[[], None]] = [
        lambda: inbox.record(old, Ledger(status="closed")),
        lambda: inbox.finish(old, Outcome(status="routed")),
        lambda: inbox.retry(old, "x", 0),
        lambda: inbox.dead_letter(old, "x"),
    ]
    for write in writes:
        with pytest.raises(LeaseLost, match="the lease of intercom:a:1:1 is lost"):
            write()
    inbox.record(new, Ledger(status="review"))
    inbox.finish(new, Outcome(status="review"))
    with pytest.raises(LeaseLost):
        inbox.record(new, Ledger())


def test_events_whose_attempt_was_interrupted_are_leased_one_at_a_time(inbox: Inbox, clock: Clock) -> None:
    """One of them may have killed the worker, and must not do so again while the others are processed."""
    for number in (1, 2, 3):
        inbox.add(build_event(1, conversation=str(number)))
    assert len(inbox.lease(10, LEASE)) == 3
    clock.now += LEASE
    inbox.add(build_event(1, conversation="4"))
    inbox.add(build_event(1, conversation="1", vendor="front"))
    first, *others = inbox.lease(10, LEASE)
    assert get_keys([first, *others]) == ["intercom:a:1:1", "intercom:a:4:1", "front:a:1:1"]
    entry = inbox.get_entry(first.event.key)
    assert entry is not None
    assert entry.error == INTERRUPTED
    assert [job.interrupted for job in (first, *others)] == [True, False, False]
    assert inbox.lease(10, LEASE, interrupted=False) == [], "the worker is still processing it"
    inbox.finish(first, Outcome(status="routed"))
    second = lease_one(inbox)
    assert (second.event.key, second.interrupted) == ("intercom:a:2:1", True)
    inbox.retry(second, "down", 30)
    third = lease_one(inbox)
    assert third.event.key == "intercom:a:3:1"
    clock.now += 30
    second = lease_one(inbox)
    assert (second.event.key, second.interrupted) == ("intercom:a:2:1", False)


def test_an_interrupted_event_of_another_router_does_not_wait(inbox: Inbox, clock: Clock) -> None:
    for vendor in ("intercom", "front"):
        inbox.add(build_event(vendor=vendor))
    inbox.lease(10, LEASE)
    clock.now += LEASE
    assert get_keys(inbox.lease(10, LEASE)) == ["intercom:a:1:1", "front:a:1:1"]


def test_an_expired_lease_that_nobody_took_over_is_still_valid(inbox: Inbox, clock: Clock) -> None:
    inbox.add(build_event())
    job = lease_one(inbox)
    clock.now += LEASE + 1
    inbox.finish(job, Outcome(status="routed"))
    assert inbox.count_states() == count(finished=1)


def test_recording_progress_renews_the_lease(inbox: Inbox, clock: Clock) -> None:
    inbox.add(build_event())
    job = lease_one(inbox)
    assert job.lease == LEASE
    clock.now += LEASE + 1
    inbox.record(job, Ledger())
    clock.now += LEASE - 1
    assert inbox.lease(10, LEASE) == []
    clock.now += 1
    assert lease_one(inbox).attempts == 2


def test_a_heartbeat_extends_a_lease_but_does_not_win_it_back(inbox: Inbox, clock: Clock) -> None:
    inbox.add(build_event())
    job = lease_one(inbox)
    clock.now += LEASE - 1
    inbox.extend([job], LEASE)
    clock.now += LEASE - 1
    assert inbox.lease(10, LEASE) == []
    clock.now += 1
    newer_job = lease_one(inbox)
    inbox.extend([job], 1000)
    clock.now += LEASE
    assert lease_one(inbox).fencing_token == newer_job.fencing_token + 1


@pytest.mark.parametrize("order", [1, -1])
def test_a_heartbeat_extends_the_newer_lease_of_a_worker_that_lost_one(inbox: Inbox, clock: Clock, order: int) -> None:
    inbox.add(build_event())
    lost = lease_one(inbox)
    clock.now += LEASE + 1
    newer = lease_one(inbox)
    inbox.extend([lost, newer][::order], 1000)
    clock.now += 999
    assert inbox.lease(10, LEASE) == []


def test_a_heartbeat_extends_all_leases_and_may_be_without_any(inbox: Inbox, clock: Clock) -> None:
    for number in range(3):
        inbox.add(build_event(number, conversation=str(number)))
    jobs = inbox.lease(10, LEASE)
    inbox.extend(jobs, 1000)
    inbox.extend([], 1000)
    clock.now += 999
    assert (len(jobs), inbox.lease(10, LEASE)) == (3, [])


def test_the_next_worker_gets_the_recorded_ledger(inbox: Inbox, clock: Clock) -> None:
    inbox.add(build_event())
    ledger = Ledger(
        verdict=Verdict(bucket="billing", cost_usd=0.01),
        message_ids=("1",),
        steps=(StepResult(step=Step(actions=(Tag("a"),)), status="unknown"),),
    )
    inbox.record(lease_one(inbox), ledger)
    clock.now += LEASE
    assert lease_one(inbox).ledger == ledger


def test_settling_an_event_stores_its_ledger_or_keeps_the_stored_one(inbox: Inbox) -> None:
    def get_ledger() -> Ledger:
        entry = inbox.get_entry(build_event().key)
        assert entry is not None
        return entry.ledger

    inbox.add(build_event())
    first, second, third = (Ledger(message_ids=(message_id,)) for message_id in "123")
    inbox.retry(lease_one(inbox), "down", 0, first)
    assert get_ledger() == first
    inbox.retry(lease_one(inbox), "down", 0)
    assert get_ledger() == first
    inbox.dead_letter(lease_one(inbox), "hopeless", second)
    assert get_ledger() == second
    inbox.redrive(build_event().key)
    inbox.finish(lease_one(inbox), Outcome(status="routed"), third)
    assert get_ledger() == (Ledger() if inbox.in_memory else third)


def test_a_dead_event_stays_dead_until_it_is_redriven(inbox: Inbox, clock: Clock) -> None:
    inbox.add(build_event())
    job = lease_one(inbox)
    inbox.record(job, Ledger(status="closed"))
    inbox.dead_letter(job, "hopeless")
    assert inbox.count_states() == count(dead=1)
    clock.now += 10_000
    assert inbox.lease(10, LEASE) == []
    assert inbox.redrive(job.event.key)
    assert not inbox.redrive(job.event.key)
    redriven = lease_one(inbox)
    assert (redriven.attempts, redriven.ledger.status) == (1, "closed")


def test_a_redriven_event_comes_before_later_ones_of_its_conversation(inbox: Inbox) -> None:
    for number in (1, 2, 3):
        inbox.add(build_event(number))
    inbox.dead_letter(lease_one(inbox), "hopeless")
    second = lease_one(inbox)
    inbox.redrive("intercom:a:1:1")
    assert inbox.lease(10, LEASE) == [], "the second event is still leased"
    inbox.finish(second, Outcome(status="routed"))
    assert inbox.lease_key("intercom:a:1:3", LEASE) is None
    assert lease_one(inbox).event.message_id == "1"


def test_an_unreadable_delivery_is_dead_and_cannot_be_redriven(inbox: Inbox) -> None:
    assert inbox.dead_letter_unreadable("intercom", b"\xff{", "not JSON")
    assert not inbox.dead_letter_unreadable("intercom", b"\xff{", "not JSON")
    assert inbox.count_states()["dead"] == 1
    (entry,) = inbox.list_entries()
    assert entry.key.startswith("intercom:malformed:")
    assert not inbox.redrive(entry.key)


def test_threads_and_processes_lease_each_event_once(open_inbox: Callable[[], Inbox]) -> None:
    inboxes = [open_inbox() for _ in range(4)]
    for number in range(200):
        inboxes[number % 4].add(build_event(number, conversation=str(number)))
    leased: list[str] = []

    def work(inbox: Inbox) -> None:
        while jobs := inbox.lease(7, LEASE):
            leased.extend(get_keys(jobs))
            for job in jobs:
                inbox.finish(job, Outcome(status="routed"))

    threads = [threading.Thread(target=work, args=(inbox,)) for inbox in inboxes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(leased) == len(set(leased)) == 200


def test_a_particular_event_is_leased_when_it_is_due_and_next_in_its_conversation(inbox: Inbox, clock: Clock) -> None:
    for number in (1, 2):
        inbox.add(build_event(number))
    assert inbox.lease_key("intercom:a:1:2", LEASE) is None, "the first event of the conversation is next"
    assert inbox.lease_key("intercom:a:1:9", LEASE) is None, "the event does not exist"
    job = inbox.lease_key("intercom:a:1:1", LEASE)
    assert job is not None
    assert (job.event, job.attempts) == (build_event(), 1)
    assert inbox.lease_key("intercom:a:1:1", LEASE) is None, "it is leased"
    inbox.retry(job, "down", 30)
    assert inbox.lease_key("intercom:a:1:1", LEASE) is None, "it is not due"
    clock.now += 30
    job = inbox.lease_key("intercom:a:1:1", LEASE)
    assert job is not None
    inbox.finish(job, Outcome(status="routed"))
    assert inbox.lease_key("intercom:a:1:1", LEASE) is None, "it is finished"
    assert inbox.lease_key("intercom:a:1:2", LEASE) is not None


def test_a_lease_by_key_takes_over_an_expired_one(inbox: Inbox, clock: Clock) -> None:
    for number in (1, 2):
        inbox.add(build_event(number))
    assert inbox.lease_key("intercom:a:1:1", LEASE)
    clock.now += LEASE
    assert inbox.lease_key("intercom:a:1:2", LEASE) is None
    job = inbox.lease_key("intercom:a:1:1", LEASE)
    assert job is not None
    assert job.attempts == 2


def test_the_other_events_of_a_conversation_are_listed_the_newest_first(inbox: Inbox) -> None:
    done = StepResult(step=Step(actions=(Tag("a"),)), status="done")
    planned = StepResult(step=Step(actions=(Tag("a"),)), status="planned")
    for number, steps in enumerate([(done,), (planned,), (done, planned)]):
        inbox.add(build_event(number))
        ledger = Ledger(verdict=Verdict(bucket="billing"), judged=(str(number),), written=(f"w{number}",))
        inbox.finish(lease_one(inbox), Outcome(status="routed", steps=steps), ledger)
    inbox.add(build_event(9))
    inbox.add(build_event(9, conversation="2"))
    related = inbox.list_related(build_event(9).key, 10)
    assert [(entry.state, entry.handled, entry.ledger.judged, entry.ledger.written) for entry in related] == [
        ("finished", True, ("2",), ("w2",)),
        ("finished", False, ("1",), ("w1",)),
        ("finished", True, ("0",), ("w0",)),
    ]
    assert [entry.ledger.verdict for entry in related] == [Verdict(bucket="billing")] * 3
    assert [entry.outcome.status for entry in related if entry.outcome] == ["routed"] * 3
    assert [entry.key for entry in inbox.list_related(build_event(9).key, 1)] == [related[0].key]
    assert inbox.list_related(build_event(9, conversation="2").key, 10) == []
    assert inbox.list_related("intercom:a:7:7", 10) == []


def test_an_event_that_waits_is_related_to_those_before_it(inbox: Inbox) -> None:
    for number in (1, 2):
        inbox.add(build_event(number))
    lease_one(inbox)
    assert [(entry.key, entry.state) for entry in inbox.list_related(build_event(1).key, 10)] == [
        (build_event(2).key, "ready")
    ]


def test_replies_are_counted_per_customer_by_id_or_email_in_any_conversation(inbox: Inbox, clock: Clock) -> None:
    replied = StepResult(step=Step(actions=(Reply("Hi"),)), status="done")
    uncertain = StepResult(step=Step(actions=(Reply("Hi"), Tag("a"))), status="unknown")
    skipped = StepResult(step=Step(actions=(Reply("Hi"),)), status="skipped")
    for number, step in enumerate([replied, uncertain, skipped]):
        inbox.add(build_event(number, conversation=str(number)))
        inbox.finish(lease_one(inbox), Outcome(status="routed", steps=(step,)))
        clock.now += 10
    for customer in (
        Customer(id="mira"),
        Customer(email="MIRA@example.com"),
        Customer(id="x", email="mira@example.com"),
    ):
        assert inbox.count_replies("intercom", customer, 100) == 2
    assert inbox.count_replies("intercom", Customer(id="mira"), 25) == 1, "the first was too long ago"
    assert inbox.count_replies("front", Customer(id="mira"), 100) == 0
    assert inbox.count_replies("intercom", Customer(id="", email=""), 100) == 0
    inbox.purge(clock() + 1)
    assert inbox.count_replies("intercom", Customer(id="mira"), 100) == 0


def test_the_customer_of_a_thin_webhook_is_known_once_the_conversation_was_read(inbox: Inbox) -> None:
    inbox.add(remove_customer(build_event()))
    read = Customer(id="jonas", email="Jonas@example.com")
    reply = StepResult(step=Step(actions=(Reply("Hi"),)), status="done")
    inbox.finish(lease_one(inbox), Outcome(status="routed", steps=(reply,)), Ledger(customer=read))
    assert inbox.count_replies("intercom", Customer(email="jonas@example.com"), 100) == 1
    assert inbox.forget("jonas") == 1


def test_a_delayed_event_is_leased_once_its_delay_is_over(inbox: Inbox, clock: Clock) -> None:
    inbox.add(build_event(), 30)
    assert inbox.lease(10, LEASE) == []
    clock.now += 30
    job = lease_one(inbox)
    assert job.received == clock() - 30


def test_a_planned_event_can_be_added_again_or_redriven(inbox: Inbox, clock: Clock) -> None:
    inbox.add(build_event())
    inbox.finish(lease_one(inbox), Outcome(status="planned"))
    assert inbox.count_states() == count(planned=1)
    assert not inbox.add(build_event()), "another dry run does not need it"
    assert inbox.add(build_event(), after_dry_run=True)
    job = lease_one(inbox)
    assert job.attempts == 1
    inbox.finish(job, Outcome(status="planned"))
    assert inbox.redrive(build_event().key)
    inbox.finish(lease_one(inbox), Outcome(status="routed"))
    assert not inbox.add(build_event(), after_dry_run=True)
    assert inbox.count_states() == count(finished=1)


def test_the_outcome_of_a_dead_event_is_kept(inbox: Inbox) -> None:
    inbox.add(build_event())
    inbox.dead_letter(lease_one(inbox), "hopeless", Ledger(), Outcome(status="failed", reason="hopeless"))
    (entry,) = inbox.list_entries("dead")
    assert entry.outcome == Outcome(status="failed", reason="hopeless")


def test_events_are_leased_and_listed_by_owner(inbox: Inbox, clock: Clock) -> None:
    for vendor in ("front", "intercom"):
        inbox.add(build_event(1, vendor=vendor))
    clock.now += 15
    assert inbox.list_overdue(10, 15, "intercom") == ["intercom:a:1:1"]
    assert inbox.list_overdue(10, 15) == ["front:a:1:1"]
    assert inbox.lease(10, LEASE, "zendesk") == []
    assert get_keys(inbox.lease(10, LEASE, "front")) == ["front:a:1:1"]
    assert get_keys(inbox.lease(10, LEASE)) == ["intercom:a:1:1"]


def test_overdue_events_are_reported_less_and_less_often(inbox: Inbox, clock: Clock) -> None:
    for number in (1, 2):
        inbox.add(build_event(number))
    inbox.add(build_event(1, conversation="2"))
    assert inbox.list_overdue(10, 15) == []
    clock.now += 15
    assert sorted(inbox.list_overdue(10, 15)) == ["intercom:a:1:1", "intercom:a:2:1"], (
        "without the event that waits for another one"
    )
    assert inbox.list_overdue(10, 15) == []
    first = inbox.lease_key("intercom:a:1:1", LEASE)
    assert first is not None
    clock.now += 15
    assert inbox.list_overdue(10, 15) == ["intercom:a:2:1"], "the other one is leased"
    inbox.finish(first, Outcome(status="routed"))
    assert len(inbox.list_overdue(1, 15)) == 1
    reported: list[str] = []
    for _ in range(100):
        clock.now += 15
        reported += inbox.list_overdue(10, 15)
    assert reported.count("intercom:a:2:1") == 5


def test_a_lease_skips_any_number_of_events_that_wait_for_an_earlier_one(
    open_inbox: Callable[[], Inbox], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lease reads only a few of them, and then only the first event of each conversation."""
    monkeypatch.setattr("triage.inbox.table._MOST_BLOCKED", 2)
    inbox = open_inbox()
    for number in range(8):
        inbox.add(build_event(number))
        clock.now += 1
    (first,) = inbox.lease(1, LEASE, "intercom")
    assert inbox.lease(1, LEASE, "intercom") == []
    for number, vendor in [(8, "front"), (9, "intercom"), (10, "intercom"), (11, "intercom")]:
        inbox.add(build_event(number, conversation=str(number), vendor=vendor))
    assert [job.event.message_id for job in inbox.lease(2, LEASE, "intercom")] == ["9", "10"]
    assert [job.event.message_id for job in inbox.lease(5, LEASE, "intercom")] == ["11"]
    clock.now += LEASE + 1
    assert [job.event for job in inbox.lease(9, LEASE, "intercom")] == [first.event]


def test_the_events_of_one_router_are_counted(inbox: Inbox) -> None:
    for vendor in ("intercom", "front"):
        inbox.add(build_event(1, vendor=vendor))
    inbox.dead_letter_unreadable("front", b"{", "not JSON")
    assert inbox.count_states("front") == count(ready=1, dead=1)
    assert inbox.count_states() == count(ready=2, dead=1)


def test_the_number_of_events_in_each_state_is_exact_after_every_change(table_inbox: TableInbox, clock: Clock) -> None:
    """Triggers count them."""

    def check(**states: int) -> None:
        rows, _ = table_inbox._execute("SELECT state, count(*) FROM triage_events GROUP BY state", {})
        assert table_inbox.count_states() == count(**dict(rows)) == count(**states)

    check()
    for number in range(4):
        table_inbox.add(build_event(number, conversation=str(number)))
        table_inbox.add(build_event(number, conversation=str(number)))
    check(ready=4)
    first, second, third, _ = table_inbox.lease(10, LEASE)
    check(leased=4)
    table_inbox.record(first, Ledger())
    table_inbox.finish(first, Outcome(status="routed"))
    table_inbox.finish(second, Outcome(status="planned"))
    table_inbox.dead_letter(third, "hopeless")
    check(leased=1, finished=1, planned=1, dead=1)
    table_inbox.add(second.event, after_dry_run=True)
    table_inbox.redrive(third.event.key)
    table_inbox.park(third.event.key, "by hand")
    check(leased=1, finished=1, ready=1, parked=1)
    clock.now += 100
    table_inbox.purge(clock(), dead=True)
    check(leased=1, ready=1)
    with pytest.raises(InboxError, match="1 of 2 events were removed"):
        table_inbox.forget("mira")
    check(leased=1)
    table_inbox._execute("DELETE FROM triage_events", {})
    check()


# Shared limits


def test_a_pause_applies_to_all_workers_and_a_longer_one_is_kept(open_inbox: Callable[[], Inbox], clock: Clock) -> None:
    inbox, other = open_inbox(), open_inbox()
    assert inbox.get_pause("intercom") == 0
    inbox.set_pause("intercom", 30)
    other.set_pause("intercom", 10)
    assert other.get_pause("intercom") == pytest.approx(30)
    assert other.get_pause("claude") == 0
    clock.now += 20
    assert inbox.get_pause("intercom") == pytest.approx(10)
    clock.now += 20
    assert inbox.get_pause("intercom") == 0


def test_spending_is_shared_and_survives_a_purge_until_its_day_is_over(
    open_inbox: Callable[[], Inbox], clock: Clock
) -> None:
    inbox, other = open_inbox(), open_inbox()
    assert inbox.get_spending("today") == 0
    inbox.add_spending("today", 0.25)
    other.add_spending("today", 0.5)
    assert inbox.get_spending("today") == pytest.approx(0.75)
    clock.now += 24 * 3600
    inbox.purge(clock())
    assert inbox.get_spending("today") == pytest.approx(0.75)
    clock.now += 25 * 3600
    inbox.purge(clock())
    assert inbox.get_spending("today") == 0


# A clock that is set back


def test_events_keep_the_durations_that_were_left_if_the_clock_is_set_back(inbox: Inbox, clock: Clock) -> None:
    inbox.add(build_event(1, conversation="1"))
    inbox.add(build_event(1, conversation="2"), 30)
    inbox.add(build_event(1, conversation="3"))
    leased = inbox.lease_key("intercom:a:3:1", LEASE)
    assert leased is not None
    clock.now -= 3 * 3600
    job = lease_one(inbox)
    assert (job.event.key, job.received) == ("intercom:a:1:1", clock())
    inbox.finish(job, Outcome(status="routed"))
    clock.now += 30
    job = lease_one(inbox)
    assert job.event.key == "intercom:a:2:1"
    inbox.finish(job, Outcome(status="routed"))
    clock.now += LEASE - 30
    assert get_keys(inbox.lease(10, LEASE)) == ["intercom:a:3:1"], "its lease has expired"


def test_a_heartbeat_after_the_clock_is_set_back_extends_the_lease(inbox: Inbox, clock: Clock) -> None:
    inbox.add(build_event())
    job = lease_one(inbox)
    clock.now -= 3 * 3600
    assert inbox.lease(10, LEASE) == []
    clock.now += 20
    inbox.extend([job], LEASE)
    clock.now += 50
    assert inbox.lease(10, LEASE) == []
    inbox.finish(job, Outcome(status="routed"))


def test_overdue_events_are_reported_again_after_the_clock_is_set_back(inbox: Inbox, clock: Clock) -> None:
    inbox.add(build_event())
    clock.now += 3600
    assert inbox.list_overdue(10, 15) == ["intercom:a:1:1"]
    clock.now -= 3 * 3600
    assert inbox.list_overdue(10, 15) == []
    clock.now += 15
    assert inbox.list_overdue(10, 15) == ["intercom:a:1:1"]


def test_a_pause_ends_if_the_clock_is_set_back(inbox: Inbox, clock: Clock) -> None:
    inbox.set_pause("intercom", 30)
    clock.now -= 3 * 3600
    assert inbox.get_pause("intercom") == 0
    inbox.set_pause("intercom", 10)
    assert inbox.get_pause("intercom") == pytest.approx(10)


# Operators


def test_entries_are_listed_by_page_and_state_the_newest_first(inbox: Inbox, clock: Clock) -> None:
    inbox.dead_letter_unreadable("intercom", b"{", "not JSON")
    for number in (1, 2, 3):
        inbox.add(build_event(number, conversation=str(number)))
    job = inbox.lease_key("intercom:a:1:1", LEASE)
    assert job is not None
    inbox.record(job, Ledger(verdict=Verdict(bucket="billing")))
    inbox.dead_letter(job, "hopeless")
    newest, *older = inbox.list_entries()
    assert (newest.key, newest.state, newest.event, newest.due) == (
        "intercom:a:3:3",
        "ready",
        build_event(3, "3"),
        clock(),
    )
    assert [entry.key for entry in inbox.list_entries(limit=1, before=newest.number)] == [older[0].key]
    failed, unreadable = inbox.list_entries("dead")
    assert (failed.error, failed.attempts, failed.ledger.verdict) == ("hopeless", 1, Verdict(bucket="billing"))
    assert (unreadable.event, unreadable.error, unreadable.outcome) == (None, "not JSON", None)
    assert inbox.get_entry("intercom:a:1:1") == failed
    assert inbox.get_entry("intercom:a:9:9") is None


def test_an_entry_shows_the_status_of_a_finished_event(inbox: Inbox) -> None:
    inbox.add(build_event())
    inbox.finish(lease_one(inbox), Outcome(status="ignored", reason="nothing to do", key=build_event().key))
    (entry,) = inbox.list_entries("finished")
    assert entry.outcome == Outcome(status="ignored", reason="nothing to do", key=build_event().key)


def test_a_waiting_event_can_be_parked_and_redriven(inbox: Inbox) -> None:
    inbox.add(build_event())
    inbox.add(build_event(1, conversation="2"))
    assert inbox.lease_key("intercom:a:2:1", LEASE) is not None
    assert inbox.park("intercom:a:1:1", "the customer has called")
    assert not inbox.park("intercom:a:1:1", "again")
    assert not inbox.park("intercom:a:2:1", "it is leased")
    assert inbox.lease(10, LEASE) == []
    assert inbox.count_states() == count(leased=1, parked=1)
    entry = inbox.get_entry("intercom:a:1:1")
    assert entry is not None
    assert (entry.state, entry.error) == ("parked", "the customer has called")
    assert inbox.redrive("intercom:a:1:1")
    assert lease_one(inbox).event.key == "intercom:a:1:1"


def test_purge_removes_finished_events(inbox: Inbox, clock: Clock) -> None:
    for number in (1, 2):
        inbox.add(build_event(number, conversation=str(number)))
        inbox.finish(lease_one(inbox), Outcome(status="routed"))
        clock.now += 100
    assert inbox.purge(clock() - 150) == 1
    assert (inbox.count_states()["finished"], inbox.add(build_event(1))) == (1, True)


def test_purge_removes_many_events_a_few_at_a_time(inbox: Inbox, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("triage.inbox.table._BATCH", 2)
    pauses: list[float] = []
    monkeypatch.setattr("triage.inbox.table.time.sleep", pauses.append)
    for number in range(5):
        inbox.add(build_event(number))
        inbox.finish(lease_one(inbox), Outcome(status="routed"))
    clock.now += 100
    assert inbox.purge(clock()) == 5
    assert len(pauses) == (0 if inbox.in_memory else 2)
    assert inbox.count_states() == count()


def test_purge_removes_fewer_events_at_a_time_if_that_takes_long(
    table_inbox: TableInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.monotonic()
    durations = iter((0.1, 0.005, 0.001))
    limits: list[int] = []

    def remove(_before: float, limit: int, *, dead: bool) -> int:
        nonlocal now
        limits.append(limit)
        seconds = next(durations, 0.0)
        now += seconds
        return limit if seconds else 0

    monkeypatch.setattr(table_inbox, "_purge_batch", remove)
    monkeypatch.setattr("triage.inbox.table.time", SimpleNamespace(monotonic=lambda: now, sleep=lambda _: None))
    assert table_inbox.purge(0) == 130
    assert limits == [100, 10, 20, 100]


def test_purge_removes_dead_and_parked_events_only_on_request(inbox: Inbox, clock: Clock) -> None:
    inbox.add(build_event())
    inbox.dead_letter(lease_one(inbox), "hopeless")
    inbox.add(build_event(2))
    inbox.park("intercom:a:1:2", "by hand")
    clock.now += 100
    assert inbox.purge(clock()) == 0
    assert inbox.purge(clock() - 200, dead=True) == 0
    assert inbox.purge(clock(), dead=True) == 2


@pytest.mark.parametrize("customer", ["mira", "mira@example.com"])
def test_forget_removes_all_events_of_a_customer_that_are_not_leased(inbox: Inbox, customer: str) -> None:
    inbox.add(build_event(1))
    inbox.add(build_event(2))
    inbox.add(build_event(3, conversation="2", customer="jonas"))
    (job,) = inbox.lease(1, LEASE)
    with pytest.raises(InboxError, match=r"1 of 2 events were removed\. The others are being processed"):
        inbox.forget(customer)
    assert inbox.forget("nobody") == 0
    inbox.finish(job, Outcome(status="routed"))
    assert inbox.forget(customer) == 1
    assert inbox.count_states()["ready"] == 1


@pytest.mark.parametrize("customer", ["jonas", "Jonas@example.com", "JONAS@EXAMPLE.COM"])
@pytest.mark.parametrize("settle", ["record", "retry", "dead_letter", "finish"])
def test_forget_finds_a_customer_that_only_the_ledger_contains(inbox: Inbox, customer: str, settle: str) -> None:
    inbox.add(remove_customer(build_event()))
    job, ledger = lease_one(inbox), Ledger(customer=Customer(id="jonas", email="Jonas@example.com"))
    match settle:
        case "record":
            inbox.record(job, ledger)
            inbox.retry(job, "down", 0)
        case "retry":
            inbox.retry(job, "down", 0, ledger)
        case "dead_letter":
            inbox.dead_letter(job, "hopeless", ledger)
        case _:
            inbox.finish(job, Outcome(status="ignored"), ledger)
    assert inbox.forget("jona_") == 0
    assert inbox.forget(customer) == 1


def test_forget_by_email_finds_events_with_only_the_id_or_in_the_same_conversation(inbox: Inbox) -> None:
    only_id = build_event(2, conversation="2")
    only_id = only_id.model_copy(update={"customer": only_id.customer.model_copy(update={"email": None})})
    inbox.add(build_event(1))
    inbox.add(only_id)
    inbox.add(remove_customer(build_event(3)))
    inbox.add(remove_customer(build_event(4, conversation="4")))
    inbox.add(build_event(5, vendor="front", conversation="5"))
    inbox.add(build_event(6, customer="jonas"))
    assert inbox.forget("mira@example.com") == 4
    assert {entry.key for entry in inbox.list_entries()} == {"intercom:a:4:4", "intercom:a:1:6"}


def test_an_id_is_the_customer_of_one_help_desk_only(inbox: Inbox) -> None:
    """Two help desks may use the same id for two people."""
    inbox.add(build_event(1))
    other = build_event(2, vendor="front")
    stranger = Customer(id="mira", email="other@example.com")
    inbox.add(other.model_copy(update={"customer": stranger}))
    assert inbox.forget("mira@example.com") == 1


def test_forget_removes_nothing_that_merely_mentions_the_customer(inbox: Inbox) -> None:
    mentioning = b'{"id": "mira", "text": "Write to mira@example.com"}'
    inbox.add(build_event(customer="jonas").model_copy(update={"raw": mentioning}))
    assert inbox.forget("mira") == inbox.forget("mira@example.com") == 0


def test_forget_searches_more_events_than_it_reads_at_once(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("triage.inbox.table._BATCH", 2)
    for number in range(7):
        inbox.add(build_event(number, customer="mira" if number % 3 == 0 else "jonas"))
    assert inbox.forget("mira@example.com") == 3


def test_forget_removes_nothing_without_a_customer(inbox: Inbox) -> None:
    inbox.add(build_event(1))
    assert inbox.forget("") == 0


def test_expired_events_are_removed_when_a_worker_asks_for_events(
    open_kept: Callable[[], Inbox], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few at a time, until none is left; then the inbox waits before it searches again."""
    monkeypatch.setattr("triage.inbox.table._BATCH", 2)
    inbox = open_kept()
    for number in range(3):
        inbox.add(build_event(number, conversation=str(number)))
        inbox.finish(lease_one(inbox), Outcome(status="routed"))
    inbox.add(build_event(3))
    inbox.dead_letter(lease_one(inbox), "hopeless")
    clock.now += 30 * 86400 + 1
    inbox.add(build_event(4))
    monkeypatch.setattr("triage.inbox.table._PURGE_INTERVAL", 0.0)
    inbox = open_kept()
    assert inbox.list_overdue(10, 60) == []
    assert inbox.count_states() == count(finished=1, dead=1, ready=1)
    assert inbox.lease(0, LEASE) == []
    assert inbox.count_states() == count(dead=1, ready=1)
    assert inbox.lease(0, LEASE) == []


def test_expired_events_are_searched_once_in_a_while(open_kept: Callable[[], Inbox], clock: Clock) -> None:
    inbox = open_kept()
    inbox.add(build_event())
    inbox.finish(lease_one(inbox), Outcome(status="routed"))
    clock.now += 31 * 86400
    assert inbox.lease(1, LEASE) == []
    assert inbox.count_states() == count(finished=1)


# Stored data


def test_text_of_any_kind_can_be_stored(inbox: Inbox) -> None:
    event = build_event(customer="a\0b")
    assert inbox.add(event)
    assert lease_one(inbox).event == event
    assert inbox.count_states()["leased"] == 1


def test_a_later_event_that_is_already_leased_is_processed_first(table_inbox: TableInbox, clock: Clock) -> None:
    """With transactions of two servers, the later of two events may be stored and leased first."""
    table_inbox.add(build_event(1))
    table_inbox.add(build_event(2))
    lease_one(table_inbox)
    table_inbox._execute("UPDATE triage_events SET state = 'ready' WHERE number = 1", {})
    table_inbox._execute("UPDATE triage_events SET state = 'leased', due = due + 60 WHERE number = 2", {})
    assert table_inbox.lease(10, LEASE) == []
    clock.now += LEASE
    assert lease_one(table_inbox).event.message_id == "2", "its worker died, so it is completed before the other begins"


@pytest.mark.parametrize("column", ["event", "ledger"])
def test_an_event_stored_by_another_version_is_dead_lettered(
    table_inbox: TableInbox, column: str, caplog: pytest.LogCaptureFixture
) -> None:
    """This happens after a downgrade."""
    for number in (1, 2):
        table_inbox.add(build_event(1, conversation=str(number)))
    table_inbox._execute(f"UPDATE triage_events SET {column} = '[]' WHERE number = 1", {})  # noqa: S608 - our own words
    assert get_keys(table_inbox.lease(10, LEASE)) == ["intercom:a:2:1"]
    assert table_inbox.lease_key("intercom:a:1:1", LEASE) is None
    (entry,) = table_inbox.list_entries("dead")
    assert (entry.error, entry.key) == ("this version of triage cannot read the stored event", "intercom:a:1:1")
    (record,) = caplog.records
    assert get_fields(record) == {"router": "intercom", "conversation_id": "1", "key": "intercom:a:1:1"}
    assert table_inbox.redrive(entry.key)
    assert table_inbox.lease_key(entry.key, LEASE) is None
    assert table_inbox.count_states()["dead"] == 1


# Heartbeats


def test_the_age_of_the_last_heartbeat_is_known_for_each_router(inbox: Inbox, clock: Clock) -> None:
    assert inbox.get_heartbeat_age("intercom") is None
    inbox.record_heartbeat("intercom")
    clock.now += 30
    assert inbox.get_heartbeat_age("intercom") == pytest.approx(30)
    inbox.record_heartbeat("intercom")
    assert inbox.get_heartbeat_age("intercom") == pytest.approx(0)
    assert inbox.get_heartbeat_age("front") is None


def test_the_lag_is_the_wait_of_the_oldest_event_that_could_be_leased(inbox: Inbox, clock: Clock) -> None:
    assert inbox.get_lag() == 0
    inbox.add(build_event(1))
    inbox.add(build_event(2))
    inbox.add(build_event(1, conversation="2"), delay=1000)
    clock.now += 100
    assert inbox.get_lag() == inbox.get_lag("intercom") == pytest.approx(100)
    assert inbox.get_lag("front") == 0
    job = lease_one(inbox)
    assert inbox.get_lag() == 0, "the second event waits for the first, and the third is not due"
    clock.now += LEASE + 50
    assert inbox.get_lag() == pytest.approx(50), "the worker that leased the event is gone"
    inbox.finish(lease_one(inbox), Outcome(status="routed"))
    assert inbox.get_lag() > 50, "the second event has waited since it was stored"
    assert job.attempts == 1


# Reopening


def test_a_planned_event_is_reopened_with_another_ledger(inbox: Inbox) -> None:
    inbox.add(build_event())
    assert not inbox.reopen(build_event().key, Ledger()), "it is not finished"
    inbox.finish(lease_one(inbox), Outcome(status="planned"), Ledger(verdict=Verdict(bucket="general")))
    assert inbox.reopen(build_event().key, Ledger(verdict=Verdict(bucket="billing")))
    job = lease_one(inbox)
    assert job.attempts == 1
    assert job.ledger.verdict is not None
    assert job.ledger.verdict.bucket == "billing"
    assert not inbox.reopen("nobody", Ledger())


def test_a_finished_event_is_reopened_if_it_is_still_stored(inbox: Inbox) -> None:
    inbox.add(build_event())
    inbox.finish(lease_one(inbox), Outcome(status="routed"))
    is_stored = not isinstance(inbox, MemoryInbox)  # which keeps only the key of a finished event
    assert inbox.reopen(build_event().key, Ledger()) is is_stored
    assert len(inbox.lease(1, LEASE)) == is_stored
