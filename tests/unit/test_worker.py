"""Durable mode: stored before it is answered, done by a Worker, taken up again after whatever happened."""

import asyncio
import contextlib
import json
import logging
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.api import Api
from tests.helpers.desks import DESKS, Desk, IntercomDesk
from tests.helpers.routing import handle, only
from tests.helpers.watched import WatchedInbox, exit_code
from triage import (
    Assign,
    Close,
    ConfigurationError,
    Conversation,
    InboxError,
    Note,
    Outcome,
    Reply,
    Router,
    Step,
    StepResult,
    Tag,
    Verdict,
    Worker,
)
from triage.engine.attempt import Attempt
from triage.io.ports import AsyncIO
from triage.models import Job, Ledger


@pytest.fixture
def inbox(desk: Desk, tmp_path: Path) -> Iterator[WatchedInbox]:
    made = WatchedInbox(tmp_path / "triage.db", clock=desk.clock)
    yield made
    made.close()


def durable(desk: Desk, inbox: WatchedInbox, **options: Any) -> Router:
    # The worker makes its own client, and closes it.
    return desk.router(inbox=inbox, **options)


# Storing


def test_a_message_is_answered_when_it_is_stored_and_before_anything_is_done(
    desk: Desk, api: Api, inbox: WatchedInbox
) -> None:
    webhook = desk.fake.customer_writes("This is billing.")
    router = durable(desk, inbox)
    answer, outcome = handle(api, router, webhook)
    assert (answer.status_code, json.loads(answer.body)) == (200, {"status": "accepted"})
    assert outcome.conversation_id == webhook.conversation_id
    assert (inbox.count_states()["ready"], desk.fake.calls) == (1, [])
    assert handle(api, router, desk.fake.redeliver(webhook))[1].status == "duplicate"
    assert inbox.count_states()["ready"] == 1


def test_what_is_not_for_us_is_answered_and_not_stored(desk: Desk, api: Api, inbox: WatchedInbox) -> None:
    router = durable(desk, inbox)
    webhook = desk.fake.customer_writes("Hello")
    assert api.handle(router, webhook.body, {}).status_code == 401
    for _, ignored in desk.ignored():
        assert handle(api, router, ignored)[1].status == "ignored"
    assert sum(inbox.count_states().values()) == 0


def test_a_signed_delivery_that_cannot_be_read_is_kept(desk: Desk, api: Api, inbox: WatchedInbox) -> None:
    body = b'{"no": "event"}'
    for _ in range(2):
        answer = api.handle(durable(desk, inbox), body, desk.sign(body))
        assert (answer.status_code, json.loads(answer.body)["status"]) == (200, "malformed")
    assert inbox.count_states() == {"ready": 0, "leased": 0, "finished": 0, "dead": 1, "parked": 0}


def test_what_cannot_be_stored_is_the_vendors_to_deliver_again(
    desk: Desk, api: Api, inbox: WatchedInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> bool:
        raise InboxError("the disk is full")

    webhook = desk.fake.customer_writes("Hello")
    router = durable(desk, inbox)
    monkeypatch.setattr(inbox, "add", full)
    monkeypatch.setattr(inbox, "dead_letter_unreadable", full)
    answer, outcome = handle(api, router, webhook)
    assert (answer.status_code, answer.headers["Retry-After"], outcome.status) == (503, "30", "failed")
    assert api.handle(router, b"{}", desk.sign(b"{}")).status_code in (200, 503)
    monkeypatch.undo()
    assert handle(api, router, desk.fake.redeliver(webhook))[1].status == "accepted"


def test_a_listener_that_fails_takes_nothing_from_what_is_stored(
    desk: Desk, api: Api, inbox: WatchedInbox, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[str] = []
    nobody: dict[str, None] = {}
    router = durable(desk, inbox)
    router.on_stored(lambda key: nobody[key])
    router.on_stored(told.append)
    answer, outcome = handle(api, router, desk.fake.customer_writes("Hello"))
    assert (answer.status_code, outcome.status, told) == (200, "accepted", [outcome.key])
    assert f"{outcome.key} is stored, but a listener raised KeyError at {__file__}" in caplog.text


# Working


@pytest.mark.parametrize("bucket", ["urgent", "spam"])
def test_the_worker_routes_what_was_stored(desk: Desk, api: Api, inbox: WatchedInbox, bucket: str) -> None:
    router = durable(desk, inbox)
    with Worker(router) as worker:
        worker.start()  # once more does nothing
        webhook = desk.fake.customer_writes(f"This is {bucket}.")
        handle(api, router, webhook)
        inbox.wait()
    conversation = desk.fake.conversations[webhook.conversation_id or ""]
    assert conversation.state == ("closed" if bucket == "spam" else "open")
    assert len(desk.fake.replies(conversation.id)) == (0 if bucket == "spam" else 1)
    assert inbox.count_states()["finished"] == 1


def test_several_help_desks_share_an_inbox_and_each_worker_does_its_own(tmp_path: Path) -> None:
    desks = [make() for make in DESKS.values()]
    inbox = WatchedInbox(tmp_path / "triage.db", clock=desks[0].clock)
    routers = [desk.router(inbox=inbox) for desk in desks]
    webhooks = [[desk.fake.customer_writes("This is billing.") for _ in range(3)] for desk in desks]
    for router, own in zip(routers, webhooks, strict=True):
        for webhook in own:
            assert handle(Api("sync"), router, webhook)[1].status == "accepted"
    with Worker(routers[0], concurrency=100):
        inbox.wait(3)
    assert inbox.count_states() == {"ready": 3 * (len(desks) - 1), "leased": 0, "finished": 3, "dead": 0, "parked": 0}
    with contextlib.ExitStack() as stack:
        for router in routers:
            stack.enter_context(Worker(router))
        inbox.wait(3 * (len(desks) - 1))
    for desk, own in zip(desks, webhooks, strict=True):
        assert [len(desk.fake.replies(webhook.conversation_id or "")) for webhook in own] == [1, 1, 1]
    inbox.close()


def test_two_messages_of_one_conversation_get_one_reply(desk: Desk, inbox: WatchedInbox) -> None:
    """Both are stored before the worker begins; without an inbox, both could be answered at the same moment."""
    router = desk.router(inbox=inbox, vendor=desk.adapter(**desk.everything))
    first = desk.fake.customer_writes("This is billing.")
    second = desk.fake.customer_writes("It is urgent!", conversation=first.conversation_id)
    for webhook in (first, second):
        assert handle(Api("sync"), router, webhook)[1].status == "accepted"
    with Worker(router):
        inbox.wait(2)
    assert len(desk.fake.replies(first.conversation_id or "")) == 1


def test_an_event_that_fails_is_tried_again_later_and_parked_in_the_end(desk: Desk, inbox: WatchedInbox) -> None:
    router = durable(desk, inbox)
    handle(Api("sync"), router, desk.fake.customer_writes("This is billing."))
    desk.fake.fail(desk.read, status=403, times=2)
    with Worker(router, attempts=2) as worker:
        inbox.wait()
        assert inbox.count_states()["ready"] == 1
        desk.clock.now += 300
        worker._wake()
        inbox.wait()
    assert inbox.count_states()["dead"] == 1
    (entry,) = inbox.list_entries("dead")
    assert "status 403" in str(entry.error)


def test_a_vendor_that_comes_back_gets_the_rest_and_the_verdict_is_not_paid_for_twice(
    desk: Desk, inbox: WatchedInbox
) -> None:
    asked: list[str] = []

    def classify(text: str) -> str:
        asked.append(text)
        return "general"

    router = durable(desk, inbox, classifier=classify, buckets=only(Reply("Hi"), Note("Seen"), Close()))
    webhook = desk.fake.customer_writes("Hello")
    handle(Api("sync"), router, webhook)
    second = desk.adapter().plan([Reply("Hi"), Note("Seen")])[1].actions[0]
    call = desk.reply if isinstance(second, Reply) else desk.note
    desk.fake.fail(call, status=403, skip=int(desk.note == desk.reply))
    with Worker(router) as worker:
        inbox.wait()
        desk.clock.now += 300
        worker._wake()
        inbox.wait()
    conversation_id = webhook.conversation_id or ""
    assert (len(asked), inbox.count_states()["finished"]) == (1, 1)
    assert (len(desk.fake.replies(conversation_id)), len(desk.fake.notes(conversation_id))) == (1, 1)
    assert desk.fake.conversations[conversation_id].state == "closed"


# Going on after a crash


class Crash(BaseException):
    """The process dies."""


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("write", range(6))
def test_wherever_a_worker_dies_the_next_one_ends_it_and_does_nothing_twice(
    desk: Desk, inbox: WatchedInbox, monkeypatch: pytest.MonkeyPatch, write: int, after: bool
) -> None:
    actions = (Assign(team=desk.teams["billing"]), Tag("seen"), Reply("Hi"), Note("Look"), Close())
    router = durable(desk, inbox, buckets=only(*actions))
    webhook = desk.fake.customer_writes("Hello")
    handle(Api("sync"), router, webhook)
    writes = iter(range(100))

    def dying(call: Callable[..., None]) -> Callable[..., None]:
        def called(*args: Any) -> None:
            dies = next(writes) == write
            if dies and not after:
                raise Crash
            call(*args)
            if dies:
                raise Crash

        return called

    (job,) = inbox.lease(1, 60)
    monkeypatch.setattr(inbox, "record", dying(inbox.record))
    monkeypatch.setattr(inbox, "finish", dying(inbox.finish))
    with contextlib.suppress(Crash):
        asyncio.run(Attempt(router.engine, job, AsyncIO()).run())
    monkeypatch.undo()
    desk.clock.now += 61
    if not inbox.count_states()["finished"]:
        with Worker(router):
            inbox.wait()
    conversation = desk.fake.conversations[webhook.conversation_id or ""]
    if desk.queues and inbox.count_states()["finished"] == 0:
        # Nobody can tell whether the reply will come: it is not sent again.
        assert len(desk.fake.replies(conversation.id)) <= 1
        return
    assert inbox.count_states()["finished"] == 1
    assert desk.assigned(conversation) == desk.teams["billing"]
    assert [name.lower() for name in conversation.tags] == ["seen"]
    assert len(desk.fake.replies(conversation.id)) == 1
    assert len(desk.fake.notes(conversation.id)) == 1
    assert conversation.state == "closed"


def test_what_a_human_took_between_is_left_to_the_human(desk: Desk, inbox: WatchedInbox) -> None:
    router = durable(desk, inbox, buckets=only(Tag("seen"), Reply("Hi")))
    webhook = desk.fake.customer_writes("Hello")
    handle(Api("sync"), router, webhook)
    (job,) = inbox.lease(1, 60)
    plan = desk.adapter().plan([Tag("seen"), Reply("Hi")])
    steps = tuple(StepResult(step=step, status="pending") for step in plan)
    inbox.record(job, Ledger(verdict=Verdict(bucket="general"), message_ids=("1",), steps=steps))
    desk.fake.agent_writes("I have it.", conversation=webhook.conversation_id or "")
    desk.clock.now += 61
    with Worker(router):
        inbox.wait()
    assert inbox.count_states()["finished"] == 1
    assert desk.fake.replies(webhook.conversation_id or "") == []
    assert [name.lower() for name in desk.fake.conversations[webhook.conversation_id or ""].tags] == ["seen"]


def test_a_teammate_whom_we_assigned_ourselves_does_not_keep_us_from_the_rest(desk: Desk, inbox: WatchedInbox) -> None:
    router = durable(desk, inbox, buckets=only(Reply("Hi")))
    webhook = desk.fake.customer_writes("Hello")
    handle(Api("sync"), router, webhook)
    (job,) = inbox.lease(1, 60)
    done = StepResult(step=Step(actions=(Assign(user=desk.human),)), status="done")
    pending = StepResult(step=Step(actions=(Reply("Hi"),)), status="pending")
    inbox.record(job, Ledger(verdict=Verdict(bucket="general"), message_ids=("1",), steps=(done, pending)))
    desk.fake.conversations[webhook.conversation_id or ""].assignee = desk.human
    desk.clock.now += 61
    with Worker(router):
        inbox.wait()
    assert len(desk.fake.replies(webhook.conversation_id or "")) == 1


# The worker itself


@pytest.fixture
def one_desk() -> IntercomDesk:
    return IntercomDesk()


@pytest.fixture
def one_inbox(one_desk: IntercomDesk, tmp_path: Path) -> Iterator[WatchedInbox]:
    made = WatchedInbox(tmp_path / "triage.db", clock=one_desk.clock)
    yield made
    made.close()


@pytest.mark.parametrize("options", [{"concurrency": 0}, {"lease": 0}, {"attempts": 0}])
def test_a_worker_that_could_not_work_cannot_be_made(
    one_desk: IntercomDesk, one_inbox: WatchedInbox, options: Any
) -> None:
    with pytest.raises(ConfigurationError, match="greater than 0"):
        Worker(one_desk.router(inbox=one_inbox), **options)
    with pytest.raises(ConfigurationError, match="needs a Router with an inbox"):
        Worker(one_desk.router())


def test_draining_waits_for_what_is_being_worked_on(one_desk: IntercomDesk, one_inbox: WatchedInbox) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow(text: str) -> str:
        begun.set()
        assert go_on.wait(20)
        return "general"

    router = one_desk.router(inbox=one_inbox, classifier=slow)
    worker = Worker(router)
    assert worker.drain(), "one that never started has nothing to do"
    worker._wake()  # and is not woken
    worker.start()
    handle(Api("sync"), router, one_desk.fake.customer_writes("Hello"))
    assert begun.wait(20)
    drained: list[bool] = []
    draining = threading.Thread(target=lambda: drained.append(worker.drain()))
    draining.start()
    go_on.set()
    draining.join(20)
    assert (drained, one_inbox.count_states()["finished"]) == ([True], 1)


def test_what_takes_longer_than_the_deadline_is_taken_up_later(one_desk: IntercomDesk, one_inbox: WatchedInbox) -> None:
    begun = threading.Event()

    async def endless(text: str) -> str:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    router = one_desk.router(inbox=one_inbox, classifier=endless)
    worker = Worker(router)
    worker.start()
    handle(Api("sync"), router, one_desk.fake.customer_writes("Hello"))
    assert begun.wait(20)
    assert not worker.drain(0.01)
    assert one_inbox.count_states()["leased"] == 1
    one_desk.clock.now += 61
    with Worker(one_desk.router(inbox=one_inbox)):
        one_inbox.wait()
    assert one_inbox.count_states()["finished"] == 1


def test_a_heart_beats_while_an_event_takes_longer_than_its_lease(
    one_desk: IntercomDesk, one_inbox: WatchedInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    beats = threading.Semaphore(0)
    go_on = threading.Event()
    extend = one_inbox.extend

    def counted(jobs: Any, seconds: float) -> None:
        extend(jobs, seconds)
        beats.release()

    def slow(text: str) -> str:
        assert go_on.wait(20)
        return "general"

    monkeypatch.setattr(one_inbox, "extend", counted)
    router = one_desk.router(inbox=one_inbox, classifier=slow)
    with Worker(router, lease=0.03):
        handle(Api("sync"), router, one_desk.fake.customer_writes("Hello"))
        for _ in range(3):
            assert beats.acquire(timeout=20)
        go_on.set()
        one_inbox.wait()
    assert one_inbox.count_states()["finished"] == 1


def test_an_inbox_that_fails_stops_nothing_for_good(
    one_desk: IntercomDesk, one_inbox: WatchedInbox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    failed = threading.Semaphore(0)

    def failing(*_: object) -> Any:
        failed.release()
        raise InboxError("the disk is full")

    router = one_desk.router(inbox=one_inbox)
    monkeypatch.setattr(one_inbox, "lease", failing)
    monkeypatch.setattr(one_inbox, "extend", failing)
    with Worker(router, lease=0.03) as worker:
        for _ in range(3):
            assert failed.acquire(timeout=20)
        monkeypatch.undo()
        handle(Api("sync"), router, one_desk.fake.customer_writes("Hello"))
        worker._wake()
        one_inbox.wait()
    assert "the worker cannot lease events: the disk is full" in caplog.text
    assert "the worker cannot extend its leases: the disk is full" in caplog.text


@pytest.mark.parametrize("method", ["record", "finish"])
def test_a_ledger_that_cannot_be_written_stops_the_event_until_its_lease_ran_out(
    one_desk: IntercomDesk,
    one_inbox: WatchedInbox,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    method: str,
) -> None:
    failed = threading.Event()

    def failing(*_: object) -> Any:
        failed.set()
        raise InboxError("the disk is full")

    router = one_desk.router(inbox=one_inbox)
    monkeypatch.setattr(one_inbox, method, failing)
    webhook = one_desk.fake.customer_writes("This is billing.")
    handle(Api("sync"), router, webhook)
    with Worker(router) as worker:
        assert failed.wait(20)
        assert worker.drain()
    assert "the disk is full" in caplog.text
    monkeypatch.undo()
    one_desk.clock.now += 61
    with Worker(router):
        one_inbox.wait()
    assert one_inbox.count_states()["finished"] == 1
    assert len(one_desk.fake.replies(webhook.conversation_id or "")) == 1


def test_a_worker_whose_lease_was_lost_leaves_the_event_to_the_other(
    one_desk: IntercomDesk, one_inbox: WatchedInbox, caplog: pytest.LogCaptureFixture
) -> None:
    taken: list[Job] = []
    lost = threading.Event()

    def slow(text: str) -> str:
        one_desk.clock.now += 61
        taken.extend(one_inbox.lease(1, 60))
        lost.set()
        return "general"

    router = one_desk.router(inbox=one_inbox, classifier=slow)
    webhook = one_desk.fake.customer_writes("Hello")
    handle(Api("sync"), router, webhook)
    with Worker(router) as worker:
        assert lost.wait(20)
        assert worker.drain()
    assert "the lease of" in caplog.text
    assert one_desk.fake.replies(webhook.conversation_id or "") == []
    one_inbox.finish(taken[0], Outcome(status="routed"))


def test_a_defect_is_logged_and_the_event_tried_again(
    one_desk: IntercomDesk, one_inbox: WatchedInbox, caplog: pytest.LogCaptureFixture
) -> None:
    class Defective:
        name = one_desk.name

        def __getattr__(self, name: str) -> Any:
            return getattr(adapter, name)

        async def fetch(self, *_: object) -> Conversation:
            raise KeyError("a defect")

    adapter = one_desk.adapter()
    router = one_desk.router(inbox=one_inbox, vendor=Defective())
    handle(Api("sync"), router, one_desk.fake.customer_writes("Hello"))
    with Worker(router):
        one_inbox.wait()
    assert one_inbox.count_states()["ready"] == 1
    assert [record.levelname for record in caplog.records if "a defect" in record.getMessage()] == ["ERROR"]


def test_a_lifespan_starts_and_drains(one_desk: IntercomDesk, one_inbox: WatchedInbox) -> None:
    router = one_desk.router(inbox=one_inbox)
    worker = Worker(router)

    async def lived() -> None:
        async with worker.lifespan(None):
            webhook = one_desk.fake.customer_writes("This is billing.")
            await router.handle_async(webhook.body, webhook.headers)
            await asyncio.to_thread(one_inbox.wait)

    asyncio.run(lived())
    assert one_inbox.count_states()["finished"] == 1


@pytest.mark.filterwarnings("ignore:This process.*multi-threaded:DeprecationWarning")
def test_a_fork_starts_its_own_worker_with_its_first_event(
    one_desk: IntercomDesk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As gunicorn with --preload does: the worker is started before the fork."""
    monkeypatch.setattr("triage.worker._POLL", 3600)  # the first process's worker shall not be faster
    inbox = WatchedInbox(tmp_path / "triage.db")
    looked = threading.Event()
    lease = inbox.lease

    def looking(*args: Any) -> Any:
        looked.set()
        return lease(*args)

    monkeypatch.setattr(inbox, "lease", looking)
    with one_desk.fake.serve() as base_url:
        router = Router(
            one_desk.adapter(base_url=base_url), buckets=only(Close()), classifier=lambda text: "general", inbox=inbox
        )
        worker = Worker(router)
        worker.start()
        assert looked.wait(20)
        webhook = one_desk.fake.customer_writes("Hello")
        child = os.fork()
        if child == 0:
            code = 1
            try:
                logging.disable()
                router.handle(webhook.body, webhook.headers)
                inbox.wait()
                code = 0 if worker.drain() else 2
            finally:
                os._exit(code)
        assert exit_code(child) == 0
        worker.drain()
    assert inbox.count_states()["finished"] == 1
    inbox.close()
