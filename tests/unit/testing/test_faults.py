"""Faults for tests of what others build: they happen when they are told to, and look like the real ones."""

import json
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import httpx
import pytest

from tests.helpers.api import Api
from tests.helpers.desks import BASE_URL, Desk, IntercomDesk
from tests.helpers.events import build_event as event
from tests.helpers.routing import handle, only
from triage import InboxError, Outcome, Tag
from triage.inbox import MemoryInbox, SQLiteInbox
from triage.inbox.base import Inbox
from triage.models import Job, Ledger
from triage.testing import FaultyInbox, SkewedClock, exhaust_rate_limit, shuffle_deliveries
from triage.testing.faults import InboxCall

# Deliveries


def test_each_webhook_is_delivered_so_many_times_and_is_genuine_each_time(desk: Desk) -> None:
    webhooks = [desk.fake.customer_writes(f"Message {number}") for number in range(5)]
    sent = shuffle_deliveries(desk.fake, webhooks, copies=3)
    assert Counter(webhook.conversation_id for webhook in sent) == dict.fromkeys(desk.fake.conversations, 3)
    router = desk.router()
    assert all(router.receive(webhook.body, webhook.headers).event for webhook in sent)


def test_a_copy_bears_the_marks_of_what_the_vendor_sends_again() -> None:
    desk = IntercomDesk()
    sent = shuffle_deliveries(desk.fake, [desk.fake.customer_writes("Hello")], copies=3)
    assert sorted(json.loads(webhook.body)["delivery_attempts"] for webhook in sent) == [1, 2, 3]


def test_the_seed_tells_the_order_and_one_copy_is_another_order_alone() -> None:
    desk = IntercomDesk()
    webhooks = [desk.fake.customer_writes(f"Message {number}") for number in range(10)]
    orders = [shuffle_deliveries(desk.fake, webhooks, copies=1, seed=seed) for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]
    assert all(sorted(map(id, order)) == sorted(map(id, webhooks)) != list(map(id, order)) for order in orders)
    assert shuffle_deliveries(desk.fake, webhooks) == shuffle_deliveries(desk.fake, webhooks, copies=3, seed=0)


# Clocks


def test_a_skewed_clock_is_fast_or_slow_by_so_many_seconds(desk: Desk) -> None:
    assert (SkewedClock(360, desk.clock)(), SkewedClock(-360, desk.clock)()) == (
        desk.clock.now + 360,
        desk.clock.now - 360,
    )
    assert SkewedClock()() == pytest.approx(time.time(), abs=60)


def test_a_lease_runs_out_when_a_skewed_clock_is_put_forward(tmp_path: Path) -> None:
    clock = SkewedClock()
    inbox = SQLiteInbox(tmp_path / "triage.db", clock=clock)
    inbox.add(event())
    assert inbox.lease(1, 60)
    assert not inbox.lease(1, 60)
    clock.seconds += 61
    assert inbox.lease(1, 60)
    inbox.close()


# Storms


def test_in_a_storm_every_call_is_refused_and_the_adapter_understands_how_long_it_lasts(desk: Desk) -> None:
    vendor = desk.adapter()
    router = desk.router(buckets=only(Tag("seen")))
    desk.clock.now += 20
    with exhaust_rate_limit(desk.fake, 60):
        outcome = handle(Api("sync"), router, desk.fake.customer_writes("Hello"))[1]
        refused = [call for call in desk.fake.calls if call.status == 429]
        assert outcome.status == "failed"
        assert "status 429" in outcome.reason
        # A fetched token is not counted, and Crisp tells nothing of its limit.
        answer = httpx.Client(transport=desk.fake.transport).request(
            refused[0].method, BASE_URL + refused[0].path, headers=refused[0].headers
        )
    response: Any = type("Answer", (), {"status": answer.status_code, "headers": answer.headers})
    assert vendor.pause(response, desk.clock()) == (None if desk.name == "crisp" else 40)


def test_after_a_storm_the_limit_is_what_it_was(desk: Desk) -> None:
    before = desk.fake.rate_limit
    with pytest.raises(KeyError), exhaust_rate_limit(desk.fake):
        raise KeyError
    assert desk.fake.rate_limit is before
    desk.fake.rate_limit = None
    with exhaust_rate_limit(desk.fake):
        assert desk.fake.rate_limit is not None
    assert desk.fake.rate_limit is None
    outcome = handle(Api("sync"), desk.router(), desk.fake.customer_writes("Hello"))[1]
    assert outcome.status == "routed"


# An inbox that fails

JOB = Job(event=event(), attempts=1, fencing_token=1)

CALLS: dict[InboxCall, Callable[[Inbox], object]] = {
    "add": lambda inbox: inbox.add(event(2)),
    "dead_letter_unreadable": lambda inbox: inbox.dead_letter_unreadable("intercom", b"{}", "no event"),
    "lease": lambda inbox: inbox.lease(5, 60),
    "lease_key": lambda inbox: inbox.lease_key(event().key, 60),
    "record": lambda inbox: inbox.record(JOB, Ledger()),
    "extend": lambda inbox: inbox.extend([JOB], 60),
    "finish": lambda inbox: inbox.finish(JOB, Outcome(status="routed")),
    "retry": lambda inbox: inbox.retry(JOB, "it rains", 60),
    "dead_letter": lambda inbox: inbox.dead_letter(JOB, "it rains"),
    "list_overdue": lambda inbox: inbox.list_overdue(5, 0),
    "set_pause": lambda inbox: inbox.set_pause("intercom", 60),
    "get_pause": lambda inbox: inbox.get_pause("intercom"),
    "add_spending": lambda inbox: inbox.add_spending("today", 1.0),
    "get_spending": lambda inbox: inbox.get_spending("today"),
    "list_entries": lambda inbox: inbox.list_entries("ready", limit=5, before=9),
    "get_entry": lambda inbox: inbox.get_entry(event().key),
    "redrive": lambda inbox: inbox.redrive(event().key),
    "park": lambda inbox: inbox.park(event().key, "to look at"),
    "purge": lambda inbox: inbox.purge(desk_clock() + 60, dead=True),
    "forget": lambda inbox: inbox.forget("mira"),
    "count_states": lambda inbox: inbox.count_states(),
}


def desk_clock() -> float:
    return IntercomDesk().clock.now


def filled(call: InboxCall) -> MemoryInbox:
    """One with something in it for the call to find."""
    inbox = MemoryInbox(clock=desk_clock)
    inbox.add(event())
    inbox.add_spending("today", 0.5)
    inbox.set_pause("intercom", 30)
    if call in ("record", "extend", "finish", "retry", "dead_letter"):
        inbox.lease(1, 60)
    if call in ("redrive", "purge"):
        inbox.park(event().key, "to look at")
    return inbox


def told(inbox: Inbox) -> object:
    """All that can be seen from outside."""
    return inbox.list_entries(), inbox.count_states(), inbox.get_pause("intercom"), inbox.get_spending("today")


def test_every_call_of_an_inbox_can_fail() -> None:
    assert tuple(CALLS) == get_args(InboxCall)
    public = {
        name for base in Inbox.__mro__ for name, value in vars(base).items() if callable(value) and name[0] != "_"
    }
    assert public == {*CALLS, "close"}


@pytest.mark.parametrize("call", CALLS)
def test_without_a_fault_it_is_the_inbox_that_was_given(call: InboxCall) -> None:
    plain, inner = filled(call), filled(call)
    assert CALLS[call](FaultyInbox(inner)) == CALLS[call](plain)
    assert told(inner) == told(plain)


@pytest.mark.parametrize("call", CALLS)
def test_a_call_fails_before_it_takes_effect_or_after(call: InboxCall) -> None:
    before, after, done = filled(call), filled(call), filled(call)
    CALLS[call](done)
    for inner, late in ((before, False), (after, True)):
        inbox = FaultyInbox(inner)
        inbox.fail(call, "connection lost", after=late)
        with pytest.raises(InboxError, match=r"^the inbox: server closed the connection unexpectedly$"):
            CALLS[call](inbox)
    assert told(before) == told(filled(call))
    assert told(after) == told(done)


def test_a_fault_is_over_after_so_many_calls_and_begins_after_some() -> None:
    inbox = FaultyInbox(MemoryInbox())
    inbox.fail("count_states", "locked", skip=1, times=2)
    inbox.fail(times=1)
    seen: list[str] = []
    for _ in range(5):
        try:
            inbox.count_states()
            seen.append("well")
        except InboxError as err:
            seen.append(str(err))
    locked, full = "the inbox: database is locked", "the inbox: database or disk is full"
    assert seen == ["well", locked, locked, full, "well"]


def test_a_fault_without_an_end_ends_with_recovery() -> None:
    inbox = FaultyInbox(MemoryInbox())
    inbox.fail(None, "disk full", times=None)
    for call in CALLS.values():
        with pytest.raises(InboxError):
            call(inbox)
    inbox.recover()
    assert inbox.add(event())


def test_closing_never_fails(tmp_path: Path) -> None:
    inner = SQLiteInbox(tmp_path / "triage.db")
    inbox = FaultyInbox(inner)
    inbox.fail(times=None)
    inbox.close()
    assert inner._opened is None
    assert repr(inbox) == f"FaultyInbox({inner!r})"


def test_a_fault_that_could_never_happen_is_refused() -> None:
    inbox = FaultyInbox(MemoryInbox())
    wrong: Any = "ad"
    with pytest.raises(ValueError, match="An inbox has no method 'ad' that can fail"):
        inbox.fail(wrong)
    with pytest.raises(ValueError, match="must be one of 'disk full', 'locked', 'connection lost', not 'ad'"):
        inbox.fail("add", wrong)


def test_its_words_are_those_of_the_database(tmp_path: Path) -> None:
    """So that what looks for them in a log finds them."""
    path = tmp_path / "real.db"
    real = SQLiteInbox(path)
    page_count = real._execute("PRAGMA page_count", {})[0][0][0]
    real._execute(f"PRAGMA max_page_count = {page_count}", {})
    stored = (real.add(event(number)) for number in range(1000))
    with pytest.raises(InboxError) as full:
        list(stored)
    real.close()
    with sqlite3.connect(path, timeout=0, isolation_level=None) as one, sqlite3.connect(path, timeout=0) as other:
        one.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError) as locked:
            other.execute("BEGIN IMMEDIATE")
        one.execute("ROLLBACK")
    one.close()
    other.close()
    inbox = FaultyInbox(MemoryInbox())
    for fault, words in (("disk full", str(full.value)), ("locked", str(locked.value))):
        inbox.fail("add", fault)  # type: ignore[arg-type]
        with pytest.raises(InboxError) as caught:
            inbox.add(event())
        assert words.rpartition(": ")[2] == str(caught.value).rpartition(": ")[2]
