"""The lease of an event: a worker that was stopped for too long makes no call."""

import pytest

from tests.helpers.desks.base import Clock
from tests.helpers.events import LEASE, build_event, lease_one
from triage.engine.lease import Lease
from triage.errors import InboxError, LeaseLost
from triage.inbox import MemoryInbox
from triage.io.ports import SyncIO, run
from triage.models import Entry, Ledger
from triage.testing import FaultyInbox


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def inbox(clock: Clock) -> FaultyInbox:
    return FaultyInbox(MemoryInbox(clock=clock))


@pytest.fixture
def lease(inbox: FaultyInbox, clock: Clock) -> Lease:
    inbox.add(build_event())
    return Lease(inbox, lease_one(inbox), SyncIO(), clock)


def get_entry(inbox: FaultyInbox) -> Entry:
    entry = inbox.get_entry(build_event().key)
    assert entry is not None
    return entry


def test_a_fresh_lease_needs_no_write(lease: Lease, inbox: FaultyInbox, clock: Clock) -> None:
    clock.now += 29
    run(lease.record(Ledger(status="review")))
    clock.now += 29
    inbox.fail("record")
    run(lease.ensure())


@pytest.mark.parametrize("seconds", [31, -1], ids=["half of it is over", "the clock was set back"])
def test_a_lease_that_may_expire_during_a_call_is_renewed_with_its_ledger(
    lease: Lease, inbox: FaultyInbox, clock: Clock, seconds: float
) -> None:
    run(lease.record(Ledger(status="review")))
    clock.now += seconds
    run(lease.ensure())
    entry = get_entry(inbox)
    assert (entry.due, entry.ledger.status) == (clock() + LEASE, "review")


@pytest.mark.parametrize(("seconds", "may_send"), [(44, True), (45, False), (-1, False)])
def test_a_call_is_sent_if_enough_of_the_lease_is_left(
    lease: Lease, clock: Clock, seconds: float, may_send: bool
) -> None:
    clock.now += seconds
    assert lease.may_send() is may_send


def test_a_lease_that_another_worker_has_taken_over_is_lost(lease: Lease, inbox: FaultyInbox, clock: Clock) -> None:
    clock.now += LEASE + 1
    lease_one(inbox)
    with pytest.raises(LeaseLost):
        run(lease.ensure())


def test_a_machine_whose_clock_stands_still_is_noticed(
    lease: Lease, inbox: FaultyInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox.fail("record", times=None)
    monkeypatch.setattr("time.monotonic", lambda: float("inf"))
    with pytest.raises(InboxError, match="disk is full"):
        run(lease.ensure())


def test_a_write_is_repeated_if_the_inbox_fails_for_a_moment(lease: Lease, inbox: FaultyInbox) -> None:
    inbox.fail("record", times=3)
    run(lease.record(Ledger(status="review")))
    assert get_entry(inbox).ledger.status == "review"


def test_a_write_that_took_effect_although_it_failed_is_harmless_to_repeat(lease: Lease, inbox: FaultyInbox) -> None:
    inbox.fail("record", after=True)
    run(lease.record(Ledger(status="review")))
    assert (get_entry(inbox).state, get_entry(inbox).ledger.status) == ("leased", "review")


def test_a_write_is_not_repeated_if_another_worker_has_taken_over(
    lease: Lease, inbox: FaultyInbox, clock: Clock
) -> None:
    clock.now += LEASE + 1
    taken_over = lease_one(inbox)
    inbox.fail("record")
    with pytest.raises(LeaseLost):
        run(lease.record(Ledger(status="review")))
    assert get_entry(inbox).ledger == taken_over.ledger
