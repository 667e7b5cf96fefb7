"""What every inbox must do."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.helpers.desks.base import Clock
from triage import Event, Outcome, Step, StepResult, Tag, Verdict
from triage.errors import LeaseLost
from triage.inbox import MemoryInbox, PostgresInbox, SQLiteInbox
from triage.inbox.table import TableInbox
from triage.models import Job, Ledger

LEASE = 60.0


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def make(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[Callable[[], TableInbox]]:
    """Opens the same inbox, as each process does; the memory's is one alone."""
    memory = MemoryInbox(clock=clock)
    url = request.getfixturevalue("postgres").new_database() if request.param == "postgres" else ""
    opened: list[TableInbox] = []

    def open_() -> TableInbox:
        made: TableInbox = memory
        if request.param == "sqlite":
            made = SQLiteInbox(tmp_path / "triage.db", clock=clock)
        elif request.param == "postgres":
            made = PostgresInbox(url, clock=clock)
        opened.append(made)
        return made

    yield open_
    for inbox in opened:
        inbox.close()


@pytest.fixture
def inbox(make: Callable[[], TableInbox]) -> TableInbox:
    return make()


def event(number: int = 1, conversation: str = "1", customer: str = "mira", vendor: str = "intercom") -> Event:
    return Event.model_validate(
        {
            "vendor": vendor,
            "account": "a",
            "kind": "created",
            "conversation_id": conversation,
            "message_id": str(number),
            "key": f"{vendor}:a:{conversation}:{number}",
            "conversation": {"id": conversation, "customer": {"id": customer, "email": f"{customer}@example.com"}},
            "raw": {"text": "Größe 😀"},
        }
    )


def keys(jobs: object) -> list[str]:
    assert isinstance(jobs, list)
    return [job.event.key for job in jobs]


def one(inbox: TableInbox) -> Job:
    (job,) = inbox.lease(10, LEASE)
    return job


def test_what_is_added_is_leased_whole_and_once(inbox: TableInbox) -> None:
    assert inbox.add(event())
    job = one(inbox)
    assert (job.event, job.attempts, job.ledger) == (event(), 1, Ledger())
    assert inbox.lease(10, LEASE) == []
    assert inbox.count_states() == {"ready": 0, "leased": 1, "finished": 0, "parked": 0}


def test_a_message_is_stored_once_whatever_became_of_it(inbox: TableInbox) -> None:
    assert [inbox.add(event()), inbox.add(event())] == [True, False]
    job = one(inbox)
    assert not inbox.add(event())
    inbox.finish(job, Outcome(status="routed"))
    assert not inbox.add(event())
    assert inbox.count_states()["finished"] == 1


def test_the_oldest_come_first_and_no_more_than_asked_for(inbox: TableInbox, clock: Clock) -> None:
    for number in range(5):
        clock.now += 1
        inbox.add(event(number, conversation=str(number)))
    assert keys(inbox.lease(2, LEASE)) == ["intercom:a:0:0", "intercom:a:1:1"]
    assert len(inbox.lease(10, LEASE)) == 3


def test_a_conversations_events_are_leased_one_after_the_other(inbox: TableInbox, clock: Clock) -> None:
    for number in (1, 2, 3):
        inbox.add(event(number))
    inbox.add(event(1, conversation="2"))
    first, other = inbox.lease(10, LEASE)
    assert keys([first, other]) == ["intercom:a:1:1", "intercom:a:2:1"]
    inbox.retry(first, "down", 30)
    assert inbox.lease(10, LEASE) == [], "the second waits for the first, though that waits for its time"
    clock.now += 30
    first = one(inbox)
    inbox.finish(first, Outcome(status="routed"))
    second = one(inbox)
    assert second.event.message_id == "2"
    inbox.dead_letter(second, "hopeless")
    assert one(inbox).event.message_id == "3", "nobody waits for what is parked"


def test_a_lease_that_ran_out_is_given_again_and_the_old_one_can_write_no_more(inbox: TableInbox, clock: Clock) -> None:
    inbox.add(event())
    old = one(inbox)
    clock.now += LEASE
    new = one(inbox)
    assert (old.attempts, new.attempts) == (1, 2)
    writes: list[Callable[[], None]] = [
        lambda: inbox.record(old, Ledger(status="closed")),
        lambda: inbox.finish(old, Outcome(status="routed")),
        lambda: inbox.retry(old, "x", 0),
        lambda: inbox.dead_letter(old, "x"),
    ]
    for write in writes:
        with pytest.raises(LeaseLost, match="intercom:a:1:1"):
            write()
    inbox.record(new, Ledger(status="review"))
    inbox.finish(new, Outcome(status="review"))
    with pytest.raises(LeaseLost):
        inbox.record(new, Ledger())


def test_a_lease_is_kept_by_extending_it_but_not_got_back(inbox: TableInbox, clock: Clock) -> None:
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
    assert one(inbox).fencing_token == taken_over.fencing_token + 1


def test_the_ledger_is_there_for_the_next_one(inbox: TableInbox, clock: Clock) -> None:
    inbox.add(event())
    ledger = Ledger(
        verdict=Verdict(bucket="billing", cost_usd=0.01),
        message_ids=("1",),
        steps=(StepResult(step=Step(actions=(Tag("a"),)), status="unknown"),),
    )
    inbox.record(one(inbox), ledger)
    clock.now += LEASE
    assert one(inbox).ledger == ledger


def test_what_settles_an_event_brings_its_ledger_along_or_leaves_it(inbox: TableInbox, clock: Clock) -> None:
    def ledger() -> Ledger:
        entry = inbox.get_entry(event().key)
        assert entry is not None
        return entry.ledger

    inbox.add(event())
    first, second, third = (Ledger(message_ids=(known,)) for known in "123")
    inbox.retry(one(inbox), "down", 0, first)
    assert ledger() == first
    inbox.retry(one(inbox), "down", 0)
    assert ledger() == first
    inbox.dead_letter(one(inbox), "hopeless", second)
    assert ledger() == second
    inbox.redrive(event().key)
    inbox.finish(one(inbox), Outcome(status="routed"), third)
    assert ledger() == (Ledger() if isinstance(inbox, MemoryInbox) else third)


def test_what_is_parked_stays_so_until_it_is_redriven(inbox: TableInbox, clock: Clock) -> None:
    inbox.add(event())
    job = one(inbox)
    inbox.record(job, Ledger(status="closed"))
    inbox.dead_letter(job, "hopeless")
    clock.now += 10_000
    assert inbox.lease(10, LEASE) == []
    assert inbox.redrive(job.event.key)
    assert not inbox.redrive(job.event.key)
    again = one(inbox)
    assert (again.attempts, again.ledger.status) == (1, "closed")


def test_a_delivery_that_cannot_be_read_is_kept_and_cannot_be_redriven(inbox: TableInbox) -> None:
    assert inbox.dead_letter_unreadable("intercom", b"\xff{", "no JSON")
    assert not inbox.dead_letter_unreadable("intercom", b"\xff{", "no JSON")
    assert inbox.count_states()["parked"] == 1
    assert not inbox.redrive("intercom:malformed:x")


def test_finished_events_are_forgotten_on_demand(inbox: TableInbox, clock: Clock) -> None:
    for number in (1, 2):
        inbox.add(event(number, conversation=str(number)))
        inbox.finish(one(inbox), Outcome(status="routed"))
        clock.now += 100
    assert inbox.purge(clock() - 150) == 1
    assert (inbox.count_states()["finished"], inbox.add(event(1))) == (1, True)


def test_what_is_parked_is_forgotten_only_when_it_is_asked_for(inbox: TableInbox, clock: Clock) -> None:
    inbox.add(event())
    inbox.dead_letter(one(inbox), "hopeless")
    clock.now += 100
    assert [inbox.purge(clock()), inbox.purge(clock() - 200, parked=True), inbox.purge(clock(), parked=True)] == [
        0,
        0,
        1,
    ]


@pytest.mark.parametrize("customer", ["mira", "mira@example.com"])
def test_a_customers_events_are_removed_but_not_under_a_workers_hands(inbox: TableInbox, customer: str) -> None:
    inbox.add(event(1))
    inbox.add(event(2))
    inbox.add(event(3, conversation="2", customer="jonas"))
    job = next(job for job in inbox.lease(1, LEASE))
    assert inbox.forget(customer) == 1
    assert inbox.forget("nobody") == 0
    inbox.finish(job, Outcome(status="routed"))
    assert inbox.forget(customer) == 1
    assert inbox.count_states()["ready"] == 1


def test_many_threads_and_processes_lease_each_event_once(make: Callable[[], TableInbox]) -> None:
    inboxes = [make() for _ in range(4)]
    for number in range(200):
        inboxes[number % 4].add(event(number, conversation=str(number)))
    leased: list[str] = []

    def work(inbox: TableInbox) -> None:
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


def test_a_certain_event_is_taken_when_it_is_due_and_its_turn(inbox: TableInbox, clock: Clock) -> None:
    for number in (1, 2):
        inbox.add(event(number))
    assert inbox.lease_key("intercom:a:1:2", LEASE) is None, "the first of the conversation comes first"
    assert inbox.lease_key("intercom:a:1:9", LEASE) is None, "there is no such event"
    job = inbox.lease_key("intercom:a:1:1", LEASE)
    assert job is not None
    assert (job.event, job.attempts) == (event(), 1)
    assert inbox.lease_key("intercom:a:1:1", LEASE) is None, "it is being worked on"
    inbox.retry(job, "down", 30)
    assert inbox.lease_key("intercom:a:1:1", LEASE) is None, "it waits for its time"
    clock.now += 30
    job = inbox.lease_key("intercom:a:1:1", LEASE)
    assert job is not None
    inbox.finish(job, Outcome(status="routed"))
    assert inbox.lease_key("intercom:a:1:1", LEASE) is None, "it is done with"
    assert inbox.lease_key("intercom:a:1:2", LEASE) is not None


def test_how_often_something_was_done_in_the_conversation_is_told(inbox: TableInbox) -> None:
    done = StepResult(step=Step(actions=(Tag("a"),)), status="done")
    planned = StepResult(step=Step(actions=(Tag("a"),)), status="planned")
    for number, steps in enumerate([(done,), (planned,), (done, planned)]):
        inbox.add(event(number))
        inbox.finish(one(inbox), Outcome(status="routed", steps=steps))
    inbox.add(event(9))
    inbox.add(event(9, conversation="2"))
    assert {job.event.conversation_id: job.handled for job in inbox.lease(10, LEASE)} == {"1": 2, "2": 0}


def test_of_several_help_desks_each_one_can_be_asked_for_its_own(inbox: TableInbox, clock: Clock) -> None:
    for vendor in ("front", "intercom"):
        inbox.add(event(1, vendor=vendor))
    clock.now += 15
    assert inbox.list_overdue(10, 15, "intercom") == ["intercom:a:1:1"]
    assert inbox.list_overdue(10, 15) == ["front:a:1:1"]
    assert inbox.lease(10, LEASE, "zendesk") == []
    assert keys(inbox.lease(10, LEASE, "front")) == ["front:a:1:1"]
    assert keys(inbox.lease(10, LEASE)) == ["intercom:a:1:1"]


def test_what_could_have_been_begun_long_ago_is_told_once_in_that_time(inbox: TableInbox, clock: Clock) -> None:
    for number in (1, 2):
        inbox.add(event(number))
    inbox.add(event(1, conversation="2"))
    assert inbox.list_overdue(10, 15) == []
    clock.now += 15
    assert sorted(inbox.list_overdue(10, 15)) == ["intercom:a:1:1", "intercom:a:2:1"], (
        "not the one that waits for another"
    )
    assert inbox.list_overdue(10, 15) == []
    first = inbox.lease_key("intercom:a:1:1", LEASE)
    assert first is not None
    clock.now += 15
    assert inbox.list_overdue(10, 15) == ["intercom:a:2:1"], "the other one is being worked on"
    inbox.finish(first, Outcome(status="routed"))
    assert len(inbox.list_overdue(1, 15)) == 1
    told: list[str] = []
    for _ in range(100):
        clock.now += 15
        told += inbox.list_overdue(10, 15)
    assert told.count("intercom:a:2:1") == 5, "less and less often"


def test_a_service_is_held_for_all_and_the_longer_time_counts(make: Callable[[], TableInbox], clock: Clock) -> None:
    one_, other = make(), make()
    assert one_.get_pause("intercom") == 0
    one_.set_pause("intercom", 30)
    other.set_pause("intercom", 10)
    assert other.get_pause("intercom") == pytest.approx(30)
    assert other.get_pause("claude") == 0
    clock.now += 20
    assert one_.get_pause("intercom") == pytest.approx(10)
    clock.now += 20
    assert one_.get_pause("intercom") == 0


def test_a_sum_is_everybodys_and_outlives_a_purge_as_long_as_its_day(
    make: Callable[[], TableInbox], clock: Clock
) -> None:
    one_, other = make(), make()
    assert one_.get_spending("today") == 0
    one_.add_spending("today", 0.25)
    other.add_spending("today", 0.5)
    assert one_.get_spending("today") == pytest.approx(0.75)
    clock.now += 24 * 3600
    one_.purge(clock())
    assert one_.get_spending("today") == pytest.approx(0.75)
    clock.now += 25 * 3600
    one_.purge(clock())
    assert one_.get_spending("today") == 0


def test_an_operator_sees_what_is_there_the_newest_first_and_page_by_page(inbox: TableInbox, clock: Clock) -> None:
    inbox.dead_letter_unreadable("intercom", b"{", "no JSON")
    for number in (1, 2, 3):
        inbox.add(event(number, conversation=str(number)))
    job = inbox.lease_key("intercom:a:1:1", LEASE)
    assert job is not None
    inbox.record(job, Ledger(verdict=Verdict(bucket="billing")))
    inbox.dead_letter(job, "hopeless")
    newest, *older = inbox.list_entries()
    assert (newest.key, newest.state, newest.event, newest.due) == ("intercom:a:3:3", "ready", event(3, "3"), clock())
    assert [entry.key for entry in inbox.list_entries(limit=1, before=newest.number)] == [older[0].key]
    parked, unreadable = inbox.list_entries("parked")
    assert (parked.error, parked.attempts, parked.ledger.verdict) == ("hopeless", 1, Verdict(bucket="billing"))
    assert (unreadable.event, unreadable.error, unreadable.outcome) == (None, "no JSON", None)
    assert inbox.get_entry("intercom:a:1:1") == parked
    assert inbox.get_entry("intercom:a:9:9") is None


def test_an_event_that_nobody_works_on_may_be_set_aside(inbox: TableInbox) -> None:
    inbox.add(event())
    inbox.add(event(1, conversation="2"))
    assert inbox.lease_key("intercom:a:2:1", LEASE) is not None
    assert inbox.park("intercom:a:1:1", "the customer has called")
    assert not inbox.park("intercom:a:1:1", "again")
    assert not inbox.park("intercom:a:2:1", "a worker has it")
    assert inbox.lease(10, LEASE) == []
    entry = inbox.get_entry("intercom:a:1:1")
    assert entry is not None
    assert (entry.state, entry.error) == ("parked", "the customer has called")


def test_a_later_event_that_is_already_being_worked_on_is_waited_for(inbox: TableInbox, clock: Clock) -> None:
    """With two servers' transactions, the later of two events may be stored and leased first."""
    inbox.add(event(1))
    inbox.add(event(2))
    first = one(inbox)
    inbox._run("UPDATE triage_events SET state = 'ready' WHERE key = :key", {"key": first.event.key})
    inbox._run("UPDATE triage_events SET state = 'leased', due = :due WHERE seq = 2", {"due": clock() + LEASE})
    assert inbox.lease(10, LEASE) == []
    clock.now += LEASE
    assert one(inbox).event.message_id == "2", "its worker died: it is ended before the other begins"


def test_texts_of_any_kind_are_stored(inbox: TableInbox) -> None:
    odd = event(customer="a\0b")
    assert inbox.add(odd)
    assert one(inbox).event == odd
    assert inbox.count_states()["leased"] == 1


@pytest.mark.parametrize("column", ["event", "ledger"])
def test_what_cannot_be_read_is_parked_and_stops_nothing(inbox: TableInbox, column: str) -> None:
    """As after a step back to an older version."""
    for number in (1, 2):
        inbox.add(event(1, conversation=str(number)))
    sql = "UPDATE triage_events SET " + column + " = '[]' WHERE key = :key"  # noqa: S608 - our own words
    inbox._run(sql, {"key": "intercom:a:1:1"})
    assert [job.event.key for job in inbox.lease(10, LEASE)] == ["intercom:a:2:1"]
    assert inbox.lease_key("intercom:a:1:1", LEASE) is None
    (entry,) = inbox.list_entries("parked")
    assert (entry.error, entry.key) == ("this version of triage cannot read it", "intercom:a:1:1")
    assert inbox.redrive(entry.key)
    assert inbox.lease_key(entry.key, LEASE) is None
    assert inbox.count_states()["parked"] == 1


def test_nobody_has_no_events_to_forget(inbox: TableInbox) -> None:
    inbox.add(event(1))
    assert inbox.forget("") == 0
