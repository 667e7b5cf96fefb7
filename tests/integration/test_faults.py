"""What happens when everything goes wrong at once: the faults of `triage.testing`, and real ones, against the whole.

Redis is killed under Celery in `test_celery.py`, processes with signal 9 in `chaos/`.
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
from triage.testing import FaultyInbox, Skewed, deliveries, storm

TEXTS = ("This is billing.", "This is urgent!", "Hello", "How do I export?")


@pytest.fixture
def inbox(desk: Desk, tmp_path: Path) -> Iterator[WatchedInbox]:
    made = WatchedInbox(tmp_path / "triage.db", clock=desk.clock)
    yield made
    made.close()


def replies(desk: Desk) -> list[int]:
    """How many each conversation has."""
    return [len(desk.fake.replies(conversation)) for conversation in desk.fake.conversations]


def drained(desk: Desk, inbox: Any, router: Router, rounds: int = 40, **options: Any) -> None:
    """Let a worker do all that can be done; pauses and leases pass without waiting for them."""
    for _ in range(rounds):
        stats = inbox.count_states()
        if not stats["ready"] and not stats["leased"]:
            return
        with Worker(router, **options):
            wait_until(lambda: not due(inbox), "the worker has all that is due in hand, or has given it back")
        desk.clock.now += 400


def due(inbox: Any) -> int:
    sql = "SELECT count(*) FROM triage_events WHERE state IN ('ready', 'leased') AND due <= :now"
    return int(inbox._execute(sql, {"now": inbox._clock()})[0][0][0])


def assert_all_are_answered_once(desk: Desk, inbox: WatchedInbox, router: Router) -> None:
    """Store messages, let a worker do all that can be done, and look at what the customers got."""
    for text in TEXTS:
        handle(Api("sync"), router, desk.fake.customer_writes(text))
    drained(desk, inbox, router)
    stats = inbox.count_states()
    assert stats["finished"] + stats["dead"] == 4
    # Where replies are queued, one whose answer was lost may still come: it is not sent again.
    assert all(number <= 1 for number in replies(desk))
    assert desk.queues or replies(desk) == [1] * 4


# Deliveries


def test_deliveries_that_come_three_times_in_any_order_are_answered_once(desk: Desk, api: Api) -> None:
    router = desk.router()
    webhooks = [desk.fake.customer_writes(text) for text in TEXTS]
    statuses = [handle(api, router, webhook)[1].status for webhook in deliveries(desk.fake, webhooks, seed=7)]
    assert (statuses.count("routed"), statuses.count("duplicate")) == (4, 8)
    assert replies(desk) == [1] * 4


def test_the_same_is_true_of_what_is_stored(desk: Desk, api: Api, inbox: WatchedInbox) -> None:
    router = desk.router(inbox=inbox)
    webhooks = [desk.fake.customer_writes(text) for text in TEXTS]
    statuses = [handle(api, router, webhook)[1].status for webhook in deliveries(desk.fake, webhooks, seed=8)]
    assert (statuses.count("accepted"), statuses.count("duplicate")) == (4, 8)
    with Worker(router):
        inbox.wait(4)
    assert replies(desk) == [1] * 4


def test_a_replayed_request_does_nothing(desk: Desk, api: Api, inbox: WatchedInbox) -> None:
    """Byte for byte, an hour later: refused where a time is signed, known everywhere else."""
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
    assert replies(desk) == [1]


# Clocks


@pytest.mark.parametrize("skew", [-360, -240, 240, 360])
def test_a_clock_that_is_wrong_refuses_only_what_is_signed_with_a_time(desk: Desk, api: Api, skew: int) -> None:
    """Five minutes are allowed, as the vendors say."""
    webhook = desk.fake.customer_writes("This is billing.")
    router = desk.router(clock=Skewed(skew, desk.clock))
    timed = any("timestamp" in name.lower() for name in webhook.headers)
    expected = 401 if timed and abs(skew) > 300 else 200
    assert api.handle(router, webhook.body, webhook.headers).status_code == expected
    assert replies(desk) == [int(expected == 200)]


@pytest.mark.parametrize("skew", [-360, 360])
def test_a_worker_whose_clock_is_wrong_neither_loses_nor_doubles(desk: Desk, tmp_path: Path, skew: int) -> None:
    """It may take an event over too early; the other one's writes are refused then."""
    right = WatchedInbox(tmp_path / "triage.db", clock=desk.clock)
    wrong = WatchedInbox(tmp_path / "triage.db", clock=Skewed(skew, desk.clock))
    router = desk.router(inbox=right)
    for text in TEXTS:
        handle(Api("sync"), router, desk.fake.customer_writes(text))
    desk.clock.now += 400  # a slow clock sees what is stored as due only later
    with Worker(desk.router(inbox=wrong)), Worker(router):
        wait_until(lambda: right.count_states()["finished"] == 4, "all are routed")
    assert replies(desk) == [1] * 4
    right.close()
    wrong.close()


def test_machines_whose_clocks_disagree_agree_on_postgres(postgres: Postgres) -> None:
    desk = IntercomDesk()
    inbox = PostgresInbox(postgres.new_database())
    routers = [desk.router(inbox=inbox, clock=Skewed(skew, desk.clock)) for skew in (-240, 240)]
    for text in TEXTS:
        handle(Api("sync"), routers[0], desk.fake.customer_writes(text))
    with Worker(routers[0]), Worker(routers[1]):
        wait_until(lambda: inbox.count_states()["finished"] == 4, "all are routed")
    assert replies(desk) == [1] * 4
    inbox.close()


# The help desk


def test_a_storm_of_refusals_passes_and_all_are_routed(desk: Desk, inbox: WatchedInbox) -> None:
    router = desk.router(inbox=inbox)
    for text in TEXTS * 3:
        handle(Api("sync"), router, desk.fake.customer_writes(text))
    with storm(desk.fake), Worker(router, concurrency=4):
        inbox.wait()
    stats = inbox.count_states()
    assert (stats["finished"], stats["dead"]) == (0, 0)
    desk.clock.now += 120
    drained(desk, inbox, router)
    assert inbox.count_states()["finished"] == 12
    assert replies(desk) == [1] * 12


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("call", ["read", "reply", "any"])
def test_answers_that_are_lost_before_or_after_the_write_double_nothing(
    desk: Desk, inbox: WatchedInbox, call: str, after: bool
) -> None:
    pattern = {"read": desk.read, "reply": desk.reply, "any": "**"}[call]
    desk.fake.fail(pattern, timeout=True, after=after, times=3)
    router = desk.router(inbox=inbox)
    assert_all_are_answered_once(desk, inbox, router)


def test_connections_that_break_off_double_nothing(desk: Desk, inbox: WatchedInbox) -> None:
    """A real server, which closes the connection in place of an answer."""
    with desk.fake.serve() as base_url:
        router = desk.router(vendor=desk.adapter(base_url=base_url), inbox=inbox, http=None, async_http=None)
        desk.fake.fail("**", timeout=True, times=2)
        desk.fake.fail("**", timeout=True, after=True, times=2, skip=2)
        assert_all_are_answered_once(desk, inbox, router)


# The inbox


def full(inbox: SQLiteInbox, monkeypatch: pytest.MonkeyPatch) -> Callable[[], object]:
    """SQLite's own word for it, by a limit of its own."""
    (pages,) = inbox._execute("PRAGMA page_count", {})[0][0]
    inbox._execute(f"PRAGMA max_page_count = {pages}", {})
    return lambda: inbox._execute("PRAGMA max_page_count = 1000000", {})


def locked(inbox: SQLiteInbox, monkeypatch: pytest.MonkeyPatch) -> Callable[[], object]:
    """By another process, for longer than we wait."""
    inbox._execute("PRAGMA busy_timeout = 1", {})
    other = sqlite3.connect(inbox._path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    return other.close


@pytest.mark.parametrize(("wrong", "words"), [(full, "disk is full"), (locked, "database is locked")])
def test_what_a_disk_does_not_take_is_the_vendors_to_deliver_again(
    desk: Desk, api: Api, inbox: WatchedInbox, monkeypatch: pytest.MonkeyPatch, wrong: Any, words: str
) -> None:
    router = desk.router(inbox=inbox)
    webhook = desk.fake.customer_writes("This is billing. " + "Please. " * 10_000)
    heal = wrong(inbox, monkeypatch)
    answer, outcome = handle(api, router, webhook)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")
    assert words in outcome.reason
    heal()
    assert handle(api, router, desk.fake.redeliver(webhook))[1].status == "accepted"
    with Worker(router):
        inbox.wait()
    assert replies(desk) == [1]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("call", ["lease", "record", "finish", "extend"])
def test_an_inbox_that_fails_before_or_after_its_write_loses_and_doubles_nothing(
    desk: Desk, inbox: WatchedInbox, call: Any, after: bool
) -> None:
    faulty = FaultyInbox(inbox)
    faulty.fail(call, "connection lost", times=2, after=after)
    router = desk.router(inbox=faulty)
    assert_all_are_answered_once(desk, inbox, router)


def test_an_event_that_was_stored_and_not_answered_is_a_duplicate_then(desk: Desk, api: Api, inbox: Any) -> None:
    faulty = FaultyInbox(inbox)
    faulty.fail("add", "connection lost", after=True)
    router = desk.router(inbox=faulty)
    webhook = desk.fake.customer_writes("This is billing.")
    assert handle(api, router, webhook)[0].status_code == 503
    assert handle(api, router, desk.fake.redeliver(webhook))[1].status == "duplicate"
    with Worker(router):
        inbox.wait()
    assert replies(desk) == [1]


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
                webhook = desk.fake.customer_writes("This is billing.")
                while handle(Api("sync"), router, webhook)[0].status_code != 200:
                    pass  # a vendor that delivers again
                accepted += 1
                if number == 15:
                    server.restart()
            wait_until(lambda: told(inbox)["finished"] == accepted, "all are routed")
        assert replies(desk) == [1] * 30
    finally:
        inbox.close()
        server.stop()


def told(inbox: PostgresInbox) -> Any:
    return inbox.count_states()


# Workers


def test_of_two_workers_with_one_lease_that_ran_out_one_acts(desk: Desk, inbox: WatchedInbox) -> None:
    """The first one stalls while it asks the classifier, and wakes up when the second one is done."""
    stalls, goes_on = threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def stalling(text: str) -> str:
        loops.append(asyncio.get_running_loop())
        stalls.set()
        await goes_on.wait()
        return "urgent"

    first, second = desk.router(inbox=inbox, classifier=stalling), desk.router(inbox=inbox)
    webhook = desk.fake.customer_writes("This is billing.")
    handle(Api("sync"), first, webhook)
    with Worker(first) as stalled:
        assert stalls.wait(20)
        desk.clock.now += 61
        with Worker(second):
            inbox.wait()
        loops[0].call_soon_threadsafe(goes_on.set)
        assert stalled.drain()
    assert (inbox.count_states()["finished"], replies(desk)) == (1, [1])
    assert desk.assigned(desk.fake.conversations[webhook.conversation_id or ""]) == desk.teams["billing"]
