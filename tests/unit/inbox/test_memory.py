"""The behavior that only the memory inbox has."""

import gc
import os
from collections.abc import Iterator
from types import FunctionType, ModuleType

import pytest
from pydantic import BaseModel

from tests.helpers.desks.base import Clock
from tests.helpers.events import LEASE, build_event, lease_one, used_by_threads
from tests.helpers.watched import exit_code
from triage import ConfigurationError, InboxError, Outcome, Reply, Step, StepResult, Tag, Verdict
from triage.inbox import MemoryInbox
from triage.models import Ledger


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def inbox(clock: Clock) -> Iterator[MemoryInbox]:
    inbox = MemoryInbox(clock=clock)
    yield inbox
    inbox.close()


def test_the_newest_finished_events_are_kept_without_customer_text(clock: Clock) -> None:
    inbox = MemoryInbox(3, clock=clock)
    steps = (StepResult(step=Step(actions=(Tag("a"),)), status="done"),)
    for number in range(10):
        assert inbox.add(build_event(number, conversation=str(number)))
        inbox.finish(lease_one(inbox), Outcome(status="routed", reason="done", steps=steps))
    assert inbox.count_states()["finished"] == 3
    assert not inbox.add(build_event(9, conversation="9"))
    assert inbox.add(build_event(1, conversation="1")), "the oldest are removed"
    (newest, *_) = inbox.list_entries("finished")
    assert newest.event is None
    assert newest.outcome == Outcome(status="routed", reason="done", key=newest.key)


def test_a_finished_event_keeps_no_model(inbox: MemoryInbox) -> None:
    done = StepResult(step=Step(actions=(Reply("a"),)), status="done")
    verdict = Verdict(bucket="billing", reason="The customer asks about an invoice.")
    for number in (1, 2):
        inbox.add(build_event(number))
        ledger = Ledger(verdict=verdict, judged=(str(number),), written=("9",), steps=(done,))
        inbox.finish(lease_one(inbox), Outcome(status="routed", verdict=verdict, steps=(done,)), ledger)
    kept = find_kept(inbox)
    assert "intercom:a:1:2" in kept
    assert [value for value in kept if isinstance(value, BaseModel)] == []


def find_kept(inbox: MemoryInbox) -> list[object]:
    """Return everything that an inbox refers to, except what belongs to classes and modules."""
    found: dict[int, object] = {}
    remaining: list[object] = list(vars(inbox).values())
    while remaining:
        value = remaining.pop()
        if id(value) not in found and not isinstance(value, type | ModuleType | FunctionType):
            found[id(value)] = value
            remaining += gc.get_referents(value)
    return list(found.values())


def test_the_oldest_dead_and_unreadable_events_are_removed(clock: Clock) -> None:
    inbox = MemoryInbox(2, clock=clock)
    for number in (1, 2):
        inbox.dead_letter_unreadable("intercom", f"{number}".encode(), "not JSON")
    inbox.add(build_event())
    inbox.dead_letter(lease_one(inbox), "hopeless")
    inbox.dead_letter_unreadable("intercom", b"3", "not JSON")
    assert [entry.event for entry in inbox.list_entries("dead")] == [None, build_event()]


def test_events_are_rejected_while_too_many_are_open(clock: Clock) -> None:
    inbox = MemoryInbox(2, clock=clock)
    for number in (1, 2):
        inbox.add(build_event(number, conversation=str(number)))
    with pytest.raises(InboxError, match="the inbox is full: 2 events are open"):
        inbox.add(build_event(3, conversation="3"))
    assert not inbox.add(build_event(1, conversation="1")), "a repeated delivery is not a new event"
    inbox.finish(inbox.lease(1, LEASE)[0], Outcome(status="routed"))
    assert inbox.add(build_event(3, conversation="3"))


def test_the_capacity_is_checked_and_shown() -> None:
    assert repr(MemoryInbox(2)) == "MemoryInbox(2)"
    with pytest.raises(ConfigurationError, match="at least 1, not 0"):
        MemoryInbox(0)


def test_closing_keeps_the_events(inbox: MemoryInbox) -> None:
    inbox.add(build_event())
    inbox.close()
    assert inbox.count_states()["ready"] == 1


def test_nothing_is_kept_of_conversations_whose_events_are_removed(inbox: MemoryInbox, clock: Clock) -> None:
    done = StepResult(step=Step(actions=(Reply("a"),)), status="done")
    for number in (1, 2, 3):
        inbox.add(build_event(number))
    inbox.finish(lease_one(inbox), Outcome(status="routed", steps=(done,)))
    inbox.dead_letter(lease_one(inbox), "hopeless")
    clock.now += 1
    assert inbox.purge(clock(), dead=True) == 2
    assert inbox.forget("mira") == 1
    stores = (inbox._open, inbox._queues, inbox._settled, inbox._past, inbox._replied)
    assert [len(store) for store in stores] == [0] * 5


@pytest.mark.filterwarnings("ignore:This process.*multi-threaded:DeprecationWarning")
def test_a_forked_process_keeps_the_finished_events_and_leaves_the_open_ones_to_its_parent(
    inbox: MemoryInbox, clock: Clock
) -> None:
    inbox.add(build_event(1))
    inbox.finish(lease_one(inbox), Outcome(status="routed"))
    inbox.add(build_event(2))
    with used_by_threads(inbox):
        for _ in range(5):
            child = os.fork()
            if child == 0:
                is_new = [inbox.add(build_event(number)) for number in (1, 2, 3)]
                os._exit(0 if is_new == [False, True, True] else 1)
            assert exit_code(child) == 0
    assert [entry.state for entry in inbox.list_entries()] == ["ready", "finished"]
