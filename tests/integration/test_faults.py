"""The whole library under many faults at once, injected and real.

`test_celery.py` kills Redis under Celery, and `tests/chaos` kills processes.
"""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.api import Api
from tests.helpers.desks import Desk, IntercomDesk
from tests.helpers.routing import handle
from tests.helpers.servers import Postgres, wait_until
from tests.helpers.watched import WatchedInbox
from triage import Router, Worker
from triage.inbox import PostgresInbox, SQLiteInbox
from triage.testing import FaultyInbox, SkewedClock, exhaust_rate_limit, shuffle_deliveries

pytestmark = pytest.mark.usefixtures("no_retry_delays")

TEXTS = ("This is billing.", "This is urgent!", "Hello", "How do I export?")


@pytest.fixture(autouse=True)
def poll_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a worker look soon at what another process stored, or at what is due again."""
    monkeypatch.setattr("triage.worker._POLL", 0.02)


@pytest.fixture
def inbox(desk: Desk, tmp_path: Path) -> Iterator[WatchedInbox]:
    inbox = WatchedInbox(tmp_path / "triage.db", clock=desk.clock)
    yield inbox
    inbox.close()


def count_replies(desk: Desk) -> list[int]:
    """Return the number of replies in each conversation."""
    return [len(desk.fake.replies(conversation)) for conversation in desk.fake.conversations]


def drain(desk: Desk, inbox: Any, router: Router, rounds: int = 40, **options: Any) -> None:
    """Let a worker process all events; the clock skips delays and leases."""
    for _ in range(rounds):
        states = inbox.count_states()
        if not states["ready"] and not states["leased"]:
            return
        with Worker(router, **options):
            wait_until(lambda: not count_due(inbox), "the worker has processed or retried everything that was due")
        desk.clock.now += 400


def count_due(inbox: Any) -> int:
    sql = "SELECT count(*) FROM triage_events WHERE state IN ('ready', 'leased') AND due <= :now"
    return int(inbox._execute(sql, {"now": inbox._clock()})[0][0][0])


def assert_each_is_answered_once(desk: Desk, inbox: WatchedInbox, router: Router) -> None:
    """Store messages, let a worker process all of them, and check what the customers got."""
    for text in TEXTS:
        handle(Api("sync"), router, desk.fake.customer_writes(text))
    drain(desk, inbox, router)
    states = inbox.count_states()
    assert states["finished"] + states["dead"] == 4
    # A vendor that queues replies may still send one whose response was lost, so it is not sent again.
    assert all(number <= 1 for number in count_replies(desk))
    assert desk.delivers_later or count_replies(desk) == [1] * 4


# Deliveries


def test_messages_delivered_three_times_are_answered_once_in_any_order(desk: Desk, api: Api) -> None:
    router = desk.router()
    webhooks = [desk.fake.customer_writes(text) for text in TEXTS]
    statuses = [handle(api, router, webhook)[1].status for webhook in shuffle_deliveries(desk.fake, webhooks, seed=7)]
    assert (statuses.count("routed"), statuses.count("duplicate")) == (4, 8)
    assert count_replies(desk) == [1] * 4


def test_stored_messages_are_answered_once_in_any_order(desk: Desk, api: Api, inbox: WatchedInbox) -> None:
    router = desk.router(inbox=inbox)
    webhooks = [desk.fake.customer_writes(text) for text in TEXTS]
    statuses = [handle(api, router, webhook)[1].status for webhook in shuffle_deliveries(desk.fake, webhooks, seed=8)]
    assert (statuses.count("accepted"), statuses.count("duplicate")) == (4, 8)
    with Worker(router):
        inbox.wait(4)
    assert count_replies(desk) == [1] * 4


def test_a_replayed_request_does_nothing(desk: Desk, api: Api, inbox: WatchedInbox) -> None:
    """An exact copy, an hour later, is rejected if its timestamp is signed, and is a duplicate otherwise."""
    router = desk.router(inbox=inbox)
    webhook = desk.fake.customer_writes("This is billing.")
    handle(api, router, webhook)
    with Worker(router):
        inbox.wait()
    assert handle(api, router, webhook)[1].status == "duplicate"
    desk.clock.now += 3600
    timed = any("timestamp" in name.lower() for name in webhook.headers)
    answer, outcome = handle(api, router, webhook)
    assert (answer.status_code, outcome.status) == ((401, "refused") if timed else (200, "duplicate"))
    assert count_replies(desk) == [1]


# Clocks


@pytest.mark.parametrize("skew", [-360, -240, 240, 360])
def test_a_wrong_clock_rejects_only_deliveries_with_a_signed_timestamp(desk: Desk, api: Api, skew: int) -> None:
    """The vendors recommend a tolerance of five minutes."""
    webhook = desk.fake.customer_writes("This is billing.")
    router = desk.router(clock=SkewedClock(skew, desk.clock))
    timed = any("timestamp" in name.lower() for name in webhook.headers)
    expected = 401 if timed and abs(skew) > 300 else 200
    assert api.handle(router, webhook.body, webhook.headers).status_code == expected
    assert count_replies(desk) == [int(expected == 200)]


@pytest.mark.parametrize("skew", [-360, 360])
def test_a_worker_with_a_wrong_clock_loses_and_repeats_nothing(desk: Desk, tmp_path: Path, skew: int) -> None:
    """It may take over an event too early; the writes of the first worker are rejected then."""
    correct = WatchedInbox(tmp_path / "triage.db", clock=desk.clock)
    wrong = WatchedInbox(tmp_path / "triage.db", clock=SkewedClock(skew, desk.clock))
    router = desk.router(inbox=correct)
    for text in TEXTS:
        handle(Api("sync"), router, desk.fake.customer_writes(text))
    desk.clock.now += 400  # to a slow clock, the stored events become due later
    with Worker(desk.router(inbox=wrong)), Worker(router):
        wait_until(lambda: correct.count_states()["finished"] == 4, "all events are routed")
    assert count_replies(desk) == [1] * 4
    correct.close()
    wrong.close()


def test_machines_with_different_clocks_can_share_postgres(postgres: Postgres) -> None:
    desk = IntercomDesk()
    inbox = PostgresInbox(postgres.new_database())
    routers = [desk.router(inbox=inbox, clock=SkewedClock(skew, desk.clock)) for skew in (-240, 240)]
    for text in TEXTS:
        handle(Api("sync"), routers[0], desk.fake.customer_writes(text))
    with Worker(routers[0]), Worker(routers[1]):
        wait_until(lambda: inbox.count_states()["finished"] == 4, "all events are routed")
    assert count_replies(desk) == [1] * 4
    inbox.close()


# The help desk


def test_all_events_are_routed_after_a_storm_of_rate_limit_errors(desk: Desk, inbox: WatchedInbox) -> None:
    router = desk.router(inbox=inbox)
    for number, text in enumerate(TEXTS * 3):
        handle(Api("sync"), router, desk.fake.customer_writes(text, email=f"customer-{number}@example.com"))
    with exhaust_rate_limit(desk.fake), Worker(router, concurrency=4):
        inbox.wait()
    states = inbox.count_states()
    assert (states["finished"], states["dead"]) == (0, 0)
    desk.clock.now += 120
    drain(desk, inbox, router)
    assert inbox.count_states()["finished"] == 12
    assert count_replies(desk) == [1] * 12


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("call", ["read", "reply", "any"])
def test_responses_lost_before_or_after_the_write_repeat_nothing(
    desk: Desk, inbox: WatchedInbox, call: str, after: bool
) -> None:
    pattern = {"read": desk.read, "reply": desk.reply, "any": "**"}[call]
    desk.fake.fail(pattern, timeout=True, after=after, times=3)
    router = desk.router(inbox=inbox)
    assert_each_is_answered_once(desk, inbox, router)


def test_broken_connections_repeat_nothing(desk: Desk, inbox: WatchedInbox) -> None:
    """Run a real server that closes the connection instead of responding."""
    with desk.fake.serve() as base_url:
        router = desk.router(vendor=desk.adapter(base_url=base_url), inbox=inbox, http=None, async_http=None)
        desk.fake.fail("**", timeout=True, times=2)
        desk.fake.fail("**", timeout=True, after=True, times=2, skip=2)
        assert_each_is_answered_once(desk, inbox, router)


# The inbox


def fill_disk(inbox: SQLiteInbox) -> Callable[[], object]:
    """Limit the size of the database, so that SQLite reports a full disk; return a function that heals it."""
    (pages,) = inbox._execute("PRAGMA page_count", {})[0][0]
    inbox._execute(f"PRAGMA max_page_count = {pages}", {})
    return lambda: inbox._execute("PRAGMA max_page_count = 1000000", {})


def lock_database(inbox: SQLiteInbox) -> Callable[[], object]:
    """Lock the database by another connection for longer than the inbox waits; return a function that unlocks it."""
    other = sqlite3.connect(inbox._path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    return other.close


@pytest.mark.parametrize(("fail", "message"), [(fill_disk, "disk is full"), (lock_database, "database is locked")])
def test_the_vendor_is_asked_to_deliver_again_what_cannot_be_stored(
    desk: Desk, alternating_api: Api, inbox: WatchedInbox, fail: Any, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("triage.inbox.sqlite._TIMEOUT", 0.01)
    router = desk.router(inbox=inbox)
    webhook = desk.fake.customer_writes("This is billing. " + "Please. " * 10_000)
    heal = fail(inbox)
    answer, outcome = handle(alternating_api, router, webhook)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")
    assert message in outcome.reason
    heal()
    assert handle(alternating_api, router, desk.fake.redeliver(webhook))[1].status == "accepted"
    with Worker(router):
        inbox.wait()
    assert count_replies(desk) == [1]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("call", ["lease", "record", "finish", "extend"])
def test_an_inbox_that_fails_before_or_after_its_write_loses_and_repeats_nothing(
    desk: Desk, inbox: WatchedInbox, call: Any, after: bool
) -> None:
    faulty = FaultyInbox(inbox)
    faulty.fail(call, "connection lost", times=2, after=after)
    router = desk.router(inbox=faulty)
    assert_each_is_answered_once(desk, inbox, router)


def test_a_stored_event_that_was_not_acknowledged_is_a_duplicate_next_time(desk: Desk, api: Api, inbox: Any) -> None:
    faulty = FaultyInbox(inbox)
    faulty.fail("add", "connection lost", after=True)
    router = desk.router(inbox=faulty)
    webhook = desk.fake.customer_writes("This is billing.")
    assert handle(api, router, webhook)[0].status_code == 503
    assert handle(api, router, desk.fake.redeliver(webhook))[1].status == "duplicate"
    with Worker(router):
        inbox.wait()
    assert count_replies(desk) == [1]


def test_postgres_is_restarted_while_events_are_routed() -> None:
    server, desk = Postgres(), IntercomDesk()
    desk.fake.rate_limit = None
    desk.fake.latency = 0.01
    inbox = PostgresInbox(server.new_database())
    try:
        router = desk.router(inbox=inbox)
        accepted = 0
        with Worker(router, concurrency=4, lease=5):
            for number in range(30):
                webhook = desk.fake.customer_writes("This is billing.", email=f"customer-{number}@example.com")
                while handle(Api("sync"), router, webhook)[0].status_code != 200:
                    pass  # the vendor delivers again
                accepted += 1
                if number == 15:
                    server.restart()
            wait_until(lambda: inbox.count_states()["finished"] == accepted, "all events are routed")
        assert count_replies(desk) == [1] * 30
    finally:
        inbox.close()
        server.stop()


# Workers


def test_a_worker_whose_lease_expired_writes_nothing_more(desk: Desk, inbox: WatchedInbox) -> None:
    """The first worker stalls in the classifier until the second one, which took over the lease, has finished."""
    stalled, resumed = threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def stall(text: str) -> str:
        loops.append(asyncio.get_running_loop())
        stalled.set()
        await resumed.wait()
        return "urgent"

    first, second = desk.router(inbox=inbox, classifier=stall), desk.router(inbox=inbox)
    webhook = desk.fake.customer_writes("This is billing.")
    handle(Api("sync"), first, webhook)
    # With one event at a time, the first worker cannot take the event over from itself.
    with Worker(first, concurrency=1) as first_worker:
        assert stalled.wait(20)
        desk.clock.now += 61
        with Worker(second):
            inbox.wait()
        loops[0].call_soon_threadsafe(resumed.set)
        assert first_worker.drain()
    assert (inbox.count_states()["finished"], count_replies(desk)) == (1, [1])
    assert desk.assigned(desk.fake.conversations[webhook.conversation_id or ""]) == desk.teams["billing"]
