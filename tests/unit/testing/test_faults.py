"""Planned faults: they occur when planned, and look like real ones."""

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
from triage.models import Customer, Job, Ledger, Response
from triage.testing import FaultyInbox, InboxCall, InboxFault, SkewedClock, exhaust_rate_limit, shuffle_deliveries

# Deliveries.


def test_each_webhook_is_delivered_several_times_with_a_valid_signature(desk: Desk) -> None:
    webhooks = [desk.fake.customer_writes(f"Message {number}") for number in range(5)]
    deliveries = shuffle_deliveries(desk.fake, webhooks, copies=3)
    assert Counter(webhook.conversation_id for webhook in deliveries) == dict.fromkeys(desk.fake.conversations, 3)
    router = desk.router()
    assert all(router.receive(webhook.body, webhook.headers).event for webhook in deliveries)


def test_repeated_deliveries_count_their_attempts() -> None:
    desk = IntercomDesk()
    deliveries = shuffle_deliveries(desk.fake, [desk.fake.customer_writes("Hello")], copies=3)
    assert sorted(json.loads(webhook.body)["delivery_attempts"] for webhook in deliveries) == [1, 2, 3]


def test_the_seed_determines_the_order_and_one_copy_changes_only_the_order() -> None:
    desk = IntercomDesk()
    webhooks = [desk.fake.customer_writes(f"Message {number}") for number in range(10)]
    orders = [shuffle_deliveries(desk.fake, webhooks, copies=1, seed=seed) for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]
    assert all(sorted(map(id, order)) == sorted(map(id, webhooks)) != list(map(id, order)) for order in orders)
    assert shuffle_deliveries(desk.fake, webhooks) == shuffle_deliveries(desk.fake, webhooks, copies=3, seed=0)


# Clocks.


def test_a_skewed_clock_is_fast_or_slow(desk: Desk) -> None:
    assert (SkewedClock(360, desk.clock)(), SkewedClock(-360, desk.clock)()) == (
        desk.clock.now + 360,
        desk.clock.now - 360,
    )
    assert SkewedClock()() == pytest.approx(time.time(), abs=60)


def test_a_lease_expires_when_a_skewed_clock_is_advanced(tmp_path: Path) -> None:
    clock = SkewedClock()
    inbox = SQLiteInbox(tmp_path / "triage.db", clock=clock)
    inbox.add(event())
    assert inbox.lease(1, 60)
    assert not inbox.lease(1, 60)
    clock.seconds += 61
    assert inbox.lease(1, 60)
    inbox.close()


# Rate limits.


def test_an_exhausted_rate_limit_rejects_every_call_and_the_adapter_reads_how_long(desk: Desk) -> None:
    vendor = desk.adapter()
    router = desk.router(buckets=only(Tag("triaged")))
    desk.clock.now += 20
    with exhaust_rate_limit(desk.fake, 60):
        outcome = handle(Api("sync"), router, desk.fake.customer_writes("Hello"))[1]
        rejected = [call for call in desk.fake.calls if call.status == 429]
        assert outcome.status == "failed"
        assert "status 429" in outcome.reason
        # The first rejected call may be the one that fetches a token. Crisp does not describe its limit.
        rejection = httpx.Client(transport=desk.fake.transport).request(
            rejected[0].method, BASE_URL + rejected[0].path, headers=rejected[0].headers
        )
    response = Response(rejection.status_code, rejection.headers, rejection.content)
    assert vendor.pause(response, desk.clock()) == (None if desk.name == "crisp" else 40)


def test_the_previous_rate_limit_is_restored(desk: Desk) -> None:
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


# Inboxes.

JOB = Job(event=event(), attempts=1, fencing_token=1)

CALLS: dict[InboxCall, Callable[[Inbox], object]] = {
    "add": lambda inbox: inbox.add(event(2)),
    "dead_letter_unreadable": lambda inbox: inbox.dead_letter_unreadable("intercom", b"{}", "no event"),
    "lease": lambda inbox: inbox.lease(5, 60),
    "lease_key": lambda inbox: inbox.lease_key(event().key, 60),
    "record": lambda inbox: inbox.record(JOB, Ledger()),
    "extend": lambda inbox: inbox.extend([JOB], 60),
    "finish": lambda inbox: inbox.finish(JOB, Outcome(status="routed")),
    "retry": lambda inbox: inbox.retry(JOB, "no connection", 60),
    "dead_letter": lambda inbox: inbox.dead_letter(JOB, "no connection"),
    "list_overdue": lambda inbox: inbox.list_overdue(5, 0),
    "set_pause": lambda inbox: inbox.set_pause("intercom", 60),
    "get_pause": lambda inbox: inbox.get_pause("intercom"),
    "add_spending": lambda inbox: inbox.add_spending("today", 1.0),
    "get_spending": lambda inbox: inbox.get_spending("today"),
    "list_entries": lambda inbox: inbox.list_entries("ready", limit=5, before=9),
    "get_entry": lambda inbox: inbox.get_entry(event().key),
    "redrive": lambda inbox: inbox.redrive(event().key),
    "park": lambda inbox: inbox.park(event().key, "needs a look"),
    "purge": lambda inbox: inbox.purge(read_clock() + 60, dead=True),
    "forget": lambda inbox: inbox.forget("mira"),
    "count_states": lambda inbox: inbox.count_states(),
    "list_related": lambda inbox: inbox.list_related(event().key, 5),
    "count_replies": lambda inbox: inbox.count_replies("intercom", Customer(id="mira"), 60),
    "record_heartbeat": lambda inbox: inbox.record_heartbeat("intercom"),
    "get_heartbeat_age": lambda inbox: inbox.get_heartbeat_age("intercom"),
    "get_lag": lambda inbox: inbox.get_lag("intercom"),
    "reopen": lambda inbox: inbox.reopen(event().key, Ledger()),
}


def read_clock() -> float:
    return IntercomDesk().clock.now


def create_inbox(call: InboxCall) -> MemoryInbox:
    """Return an inbox in which the call has an effect."""
    inbox = MemoryInbox(clock=read_clock)
    inbox.add(event())
    inbox.add_spending("today", 0.5)
    inbox.set_pause("intercom", 30)
    if call in ("record", "extend", "finish", "retry", "dead_letter"):
        inbox.lease(1, 60)
    if call in ("redrive", "purge"):
        inbox.park(event().key, "needs a look")
    if call == "reopen":
        (job,) = inbox.lease(1, 60)
        inbox.finish(job, Outcome(status="planned"))
    return inbox


def read_contents(inbox: Inbox) -> object:
    """Return everything that an inbox exposes."""
    totals = inbox.count_states(), inbox.get_pause("intercom"), inbox.get_spending("today")
    return inbox.list_entries(), totals, inbox.get_heartbeat_age("intercom")


def test_every_method_of_an_inbox_can_fail() -> None:
    assert tuple(CALLS) == get_args(InboxCall)
    public = {name for name in dir(Inbox) if callable(getattr(Inbox, name)) and not name.startswith("_")}
    assert public == {*CALLS, "close"}


@pytest.mark.parametrize("call", CALLS)
def test_without_a_fault_calls_reach_the_wrapped_inbox(call: InboxCall) -> None:
    plain, wrapped = create_inbox(call), create_inbox(call)
    assert CALLS[call](FaultyInbox(wrapped)) == CALLS[call](plain)
    assert read_contents(wrapped) == read_contents(plain)


@pytest.mark.parametrize("call", CALLS)
def test_a_call_can_fail_before_or_after_its_effect(call: InboxCall) -> None:
    before, after, expected = create_inbox(call), create_inbox(call), create_inbox(call)
    CALLS[call](expected)
    for wrapped, takes_effect in ((before, False), (after, True)):
        inbox = FaultyInbox(wrapped)
        inbox.fail(call, "connection lost", after=takes_effect)
        with pytest.raises(InboxError, match=r"^the inbox: server closed the connection unexpectedly$"):
            CALLS[call](inbox)
    assert read_contents(before) == read_contents(create_inbox(call))
    assert read_contents(after) == read_contents(expected)


def test_a_fault_lasts_for_some_calls_and_can_skip_others_first() -> None:
    inbox = FaultyInbox(MemoryInbox())
    inbox.fail("count_states", "locked", skip=1, times=2)
    inbox.fail(times=1)
    results: list[str] = []
    for _ in range(5):
        try:
            inbox.count_states()
            results.append("success")
        except InboxError as err:
            results.append(str(err))
    locked, full = "the inbox: database is locked", "the inbox: database or disk is full"
    assert results == ["success", locked, locked, full, "success"]


def test_a_permanent_fault_ends_with_recovery() -> None:
    inbox = FaultyInbox(MemoryInbox())
    inbox.fail(None, "disk full", times=None)
    for call in CALLS.values():
        with pytest.raises(InboxError):
            call(inbox)
    inbox.recover()
    assert inbox.add(event())


def test_other_attributes_are_those_of_the_wrapped_inbox() -> None:
    class CapableInbox(MemoryInbox):
        in_memory = True

    inbox: Any = FaultyInbox(CapableInbox())
    inbox.fail(times=None)
    assert inbox.in_memory
    assert not hasattr(inbox, "_clock"), "private attributes are not passed through"


def test_closing_never_fails(tmp_path: Path) -> None:
    inner = SQLiteInbox(tmp_path / "triage.db")
    inbox = FaultyInbox(inner)
    inbox.fail(times=None)
    inbox.close()
    assert inner._opened is None
    assert repr(inbox) == f"FaultyInbox({inner!r})"


def test_an_impossible_fault_is_rejected() -> None:
    inbox = FaultyInbox(MemoryInbox())
    typo: Any = "ad"
    with pytest.raises(ValueError, match="An inbox has no method 'ad' that can fail"):
        inbox.fail(typo)
    with pytest.raises(ValueError, match="must be one of 'disk full', 'locked', 'connection lost', not 'ad'"):
        inbox.fail("add", typo)


def test_errors_have_the_text_of_the_databases_errors(tmp_path: Path) -> None:
    """A search of the logs for a database's error also finds the simulated one."""
    path = tmp_path / "real.db"
    real = SQLiteInbox(path)
    page_count = real._execute("PRAGMA page_count", {})[0][0][0]
    real._execute(f"PRAGMA max_page_count = {page_count}", {})
    additions = (real.add(event(number)) for number in range(1000))
    with pytest.raises(InboxError) as full:
        list(additions)
    real.close()
    with sqlite3.connect(path, timeout=0, isolation_level=None) as one, sqlite3.connect(path, timeout=0) as other:
        one.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError) as locked:
            other.execute("BEGIN IMMEDIATE")
        one.execute("ROLLBACK")
    one.close()
    other.close()
    inbox = FaultyInbox(MemoryInbox())
    actual_errors: dict[InboxFault, BaseException] = {"disk full": full.value, "locked": locked.value}
    for fault, actual in actual_errors.items():
        inbox.fail("add", fault)
        with pytest.raises(InboxError) as simulated:
            inbox.add(event())
        assert str(simulated.value).rpartition(": ")[2] == str(actual).rpartition(": ")[2]
