"""Durable mode: events are stored before the webhook is answered, and a Worker processes them, whatever happens."""

import asyncio
import contextlib
import json
import logging
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import pytest

from tests.helpers.api import Api
from tests.helpers.desks import DESKS, Desk, IntercomDesk
from tests.helpers.routing import handle, only
from tests.helpers.watched import WatchedInbox, exit_code
from triage import (
    Assign,
    Buckets,
    Close,
    ConfigurationError,
    Conversation,
    InboxError,
    Note,
    Outcome,
    Reply,
    Router,
    Run,
    RunContext,
    Step,
    StepResult,
    Tag,
    Verdict,
    Worker,
)
from triage.classifiers import Classifier
from triage.engine import arrivals
from triage.engine.attempt import Attempt
from triage.errors import LeaseLost
from triage.inbox import MemoryInbox
from triage.inbox.base import INTERRUPTED
from triage.io.ports import AsyncIO
from triage.models import BreakerHealth, Job, Ledger, WorkerHealth

every_vendor = pytest.mark.parametrize("desk", list(DESKS), indirect=True)
"""Run a test for every vendor, because the adapter's code decides the result."""


@pytest.fixture
def desk(request: pytest.FixtureRequest) -> Desk:
    """Intercom, unless a test names other vendors: the worker and the inbox are the same for all of them."""
    return DESKS[getattr(request, "param", "intercom")]()


# Heartbeats


def test_a_running_worker_is_seen_in_the_inbox(desk: Desk, inbox: WatchedInbox) -> None:
    router = desk.router(inbox=inbox)
    assert inbox.get_heartbeat_age("intercom") is None
    webhook = desk.fake.customer_writes("This is billing.")
    with Worker(router):
        router.handle(webhook.body, webhook.headers)
        inbox.wait()
    assert inbox.get_heartbeat_age("intercom") is not None
    assert inbox.get_heartbeat_age("front") is None


# Storing


def test_a_webhook_is_acknowledged_once_its_message_is_stored(desk: Desk, api: Api, inbox: WatchedInbox) -> None:
    webhook = desk.fake.customer_writes("This is billing.")
    router = desk.router(inbox=inbox)
    response, outcome = handle(api, router, webhook)
    assert (response.status_code, json.loads(response.body)) == (200, {"status": "accepted"})
    assert outcome.conversation_id == webhook.conversation_id
    assert (inbox.count_states()["ready"], desk.fake.calls) == (1, [])
    assert handle(api, router, desk.fake.redeliver(webhook))[1].status == "duplicate"
    assert inbox.count_states()["ready"] == 1


def test_rejected_and_ignored_webhooks_are_not_stored(desk: Desk, api: Api, inbox: WatchedInbox) -> None:
    router = desk.router(inbox=inbox)
    webhook = desk.fake.customer_writes("Hello")
    assert api.handle(router, webhook.body, {}).status_code == 401
    for _, ignored in desk.ignored():
        assert handle(api, router, ignored)[1].status == "ignored"
    assert sum(inbox.count_states().values()) == 0


def test_a_signed_webhook_that_cannot_be_parsed_is_dead_lettered_once(
    desk: Desk, api: Api, inbox: WatchedInbox
) -> None:
    body = b'{"no": "event"}'
    for _ in range(2):
        response = api.handle(desk.router(inbox=inbox), body, desk.sign(body))
        assert (response.status_code, json.loads(response.body)["status"]) == (200, "malformed")
    assert inbox.count_states() == {"ready": 0, "leased": 0, "finished": 0, "planned": 0, "dead": 1, "parked": 0}


def test_the_vendor_is_asked_to_deliver_again_if_the_inbox_fails(
    desk: Desk, api: Api, inbox: WatchedInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> bool:
        raise InboxError("the disk is full")

    webhook = desk.fake.customer_writes("Hello")
    router = desk.router(inbox=inbox)
    monkeypatch.setattr(inbox, "add", fail)
    monkeypatch.setattr(inbox, "dead_letter_unreadable", fail)
    response, outcome = handle(api, router, webhook)
    assert (response.status_code, response.headers["Retry-After"], outcome.status) == (503, "30", "failed")
    assert api.handle(router, b"{}", desk.sign(b"{}")).status_code == 503
    monkeypatch.undo()
    assert handle(api, router, desk.fake.redeliver(webhook))[1].status == "accepted"


def test_a_listener_that_raises_does_not_affect_the_response_or_other_listeners(
    desk: Desk, api: Api, inbox: WatchedInbox, caplog: pytest.LogCaptureFixture
) -> None:
    stored_keys: list[str] = []
    empty: dict[str, None] = {}
    router = desk.router(inbox=inbox)
    router.on_stored(lambda key: empty[key])
    router.on_stored(stored_keys.append)
    response, outcome = handle(api, router, desk.fake.customer_writes("Hello"))
    assert (response.status_code, outcome.status, stored_keys) == (200, "accepted", [outcome.key])
    assert f"the event was stored, but a listener raised KeyError at {__file__}" in caplog.text


def test_a_router_warns_if_nobody_has_processed_its_events_for_a_minute(
    desk: Desk, api: Api, inbox: WatchedInbox, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "triage")
    router = desk.router(inbox=inbox)
    for _ in range(3):
        assert handle(api, router, desk.fake.customer_writes("Hello"))[0].status_code == 200
    assert caplog.text == ""
    desk.clock.now += 61
    assert handle(api, router, desk.fake.customer_writes("Hello"))[0].status_code == 200
    assert caplog.text.count("intercom: the oldest stored event has been due for 61 s.") == 1


# Processing


@every_vendor
@pytest.mark.parametrize("bucket", ["urgent", "spam"])
def test_a_worker_routes_a_stored_message(desk: Desk, alternating_api: Api, inbox: WatchedInbox, bucket: str) -> None:
    router = desk.router(inbox=inbox)
    with Worker(router) as worker:
        worker.start()  # a second start does nothing
        webhook = desk.fake.customer_writes(f"This is {bucket}.")
        handle(alternating_api, router, webhook)
        inbox.wait()
    conversation = desk.fake.conversations[webhook.conversation_id or ""]
    assert conversation.state == ("closed" if bucket == "spam" else "open")
    assert len(desk.fake.replies(conversation.id)) == (0 if bucket == "spam" else 1)
    assert inbox.count_states()["finished"] == 1


def test_a_worker_processes_the_events_of_an_inbox_in_memory(desk: Desk) -> None:
    settled = threading.Event()
    router = desk.router(inbox=MemoryInbox(clock=desk.clock))
    router.on_outcome(lambda outcome: settled.set() if outcome.status == "routed" else None)
    webhook = desk.fake.customer_writes("This is billing.")
    with Worker(router):
        handle(Api("sync"), router, webhook)
        assert settled.wait(20)
    assert len(desk.fake.replies(webhook.conversation_id or "")) == 1


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_delivery_that_is_being_received_holds_a_worker_back_but_does_not_stop_it(
    desk: Desk, inbox: WatchedInbox, kind: Literal["sync", "async"], monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float | None] = []

    def get_pause() -> float | None:
        pauses.append(arrivals.get_pause())
        return pauses[-1]

    monkeypatch.setattr("triage.worker.get_pause", get_pause)
    router = desk.router(inbox=inbox)
    # The delivery is acknowledged only when the worker has routed its message.
    router.on_stored(lambda _key: inbox.wait())
    with Worker(router):
        response, _ = handle(Api(kind), router, desk.fake.customer_writes("This is billing."))
    assert response.status_code == 200
    assert any(pauses)
    assert inbox.count_states()["finished"] == 1


def test_workers_of_several_help_desks_share_an_inbox_and_process_only_their_own_events(tmp_path: Path) -> None:
    desks = [create_desk() for create_desk in DESKS.values()]
    inbox = WatchedInbox(tmp_path / "triage.db", clock=desks[0].clock)
    routers = [desk.router(inbox=inbox) for desk in desks]
    webhooks = [[desk.fake.customer_writes("This is billing.") for _ in range(3)] for desk in desks]
    for router, own_webhooks in zip(routers, webhooks, strict=True):
        for webhook in own_webhooks:
            assert handle(Api("sync"), router, webhook)[1].status == "accepted"
    with Worker(routers[0], concurrency=100):
        inbox.wait(3)
    assert inbox.count_states() == {
        "ready": 3 * (len(desks) - 1),
        "leased": 0,
        "finished": 3,
        "planned": 0,
        "dead": 0,
        "parked": 0,
    }
    with contextlib.ExitStack() as stack:
        for router in routers:
            stack.enter_context(Worker(router))
        inbox.wait(3 * (len(desks) - 1))
    for desk, own_webhooks in zip(desks, webhooks, strict=True):
        assert [len(desk.fake.replies(webhook.conversation_id or "")) for webhook in own_webhooks] == [1, 1, 1]
    inbox.close()


@every_vendor
def test_two_messages_of_one_conversation_get_one_reply(desk: Desk, inbox: WatchedInbox) -> None:
    """Both are stored before the worker starts. Without an inbox, both could be answered at the same moment."""
    router = desk.router(inbox=inbox, vendor=desk.adapter(**desk.everything))
    first = desk.fake.customer_writes("This is billing.")
    second = desk.fake.customer_writes("It is urgent!", conversation=first.conversation_id)
    for webhook in (first, second):
        assert handle(Api("sync"), router, webhook)[1].status == "accepted"
    with Worker(router):
        inbox.wait(2)
    assert len(desk.fake.replies(first.conversation_id or "")) == 1


def test_a_failed_event_is_retried_later_and_dead_lettered_after_the_last_attempt(
    desk: Desk, inbox: WatchedInbox
) -> None:
    router = desk.router(inbox=inbox)
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


@pytest.mark.parametrize(
    ("desk", "headers"),
    [
        ("intercom", {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1800000000000"}),  # milliseconds
        ("zendesk", {"Retry-After": "2147483647"}),
        ("front", {"Retry-After": "864000000"}),
        ("helpscout", {"X-RateLimit-Retry-After": "864000000"}),
        ("crisp", {"Retry-After": "864000000"}),
    ],
    indirect=["desk"],
)
def test_a_help_desk_cannot_postpone_an_event_by_more_than_an_hour(
    desk: Desk, alternating_api: Api, inbox: WatchedInbox, headers: dict[str, str]
) -> None:
    router = desk.router(inbox=inbox)
    key = handle(alternating_api, router, desk.fake.customer_writes("Hello"))[1].key or ""
    # Zendesk's limit concerns one ticket, so it stops no other calls.
    desk.fake.fail(desk.reply if desk.name == "zendesk" else desk.read, status=429, headers=headers)
    assert alternating_api.process(router, key).status == "failed"
    entry = inbox.get_entry(key)
    assert entry is not None
    assert entry.state == "ready"
    assert entry.due - desk.clock() <= 3600
    assert inbox.get_pause(desk.name) <= 3600


def test_a_worker_continues_after_the_clock_was_set_back(desk: Desk, inbox: WatchedInbox) -> None:
    router = desk.router(inbox=inbox)
    inbox.set_pause("intercom", 30)
    handle(Api("sync"), router, desk.fake.customer_writes("Hello"))
    desk.clock.now -= 3 * 3600
    with Worker(router):
        inbox.wait()
    assert inbox.count_states()["finished"] == 1


def test_a_retry_performs_only_the_remaining_steps_and_does_not_pay_for_another_verdict(
    desk: Desk, inbox: WatchedInbox
) -> None:
    classified_texts: list[str] = []

    def classify(text: str) -> str:
        classified_texts.append(text)
        return "general"

    router = desk.router(inbox=inbox, classifier=classify, buckets=only(Reply("Hi"), Note("Seen"), Close()))
    webhook = desk.fake.customer_writes("Hello")
    handle(Api("sync"), router, webhook)
    assert desk.reply == desk.note, "the second of these calls fails, whichever of the two it is"
    desk.fake.fail(desk.reply, status=429, headers={"Retry-After": "60"}, skip=1)
    with Worker(router) as worker:
        inbox.wait()
        desk.clock.now += 300
        worker._wake()
        inbox.wait()
    conversation_id = webhook.conversation_id or ""
    assert (len(classified_texts), inbox.count_states()["finished"]) == (1, 1)
    assert (len(desk.fake.replies(conversation_id)), len(desk.fake.notes(conversation_id))) == (1, 1)
    assert desk.fake.conversations[conversation_id].state == "closed"


# Resuming after a crash


class Crash(BaseException):
    """The process dies."""


def crash_at_write(inbox: WatchedInbox, monkeypatch: pytest.MonkeyPatch, number: int, *, written: bool) -> None:
    """Raise `Crash` at one of the writes to the ledger.

    Args:
        inbox: The inbox.
        monkeypatch: Replaces the inbox's methods.
        number: The write, counted from 0. There is one before each step, and one that finishes the event.
        written: True to crash right after the write, False to crash right before it.
    """
    numbers = iter(range(100))

    def wrap(write: Callable[..., None]) -> Callable[..., None]:
        def write_or_crash(*args: Any) -> None:
            crashes = next(numbers) == number
            if crashes and not written:
                raise Crash
            write(*args)
            if crashes:
                raise Crash

        return write_or_crash

    monkeypatch.setattr(inbox, "record", wrap(inbox.record))
    monkeypatch.setattr(inbox, "finish", wrap(inbox.finish))


def crash_and_resume(
    desk: Desk, inbox: WatchedInbox, monkeypatch: pytest.MonkeyPatch, router: Router, number: int, *, written: bool
) -> None:
    """Crash during the first attempt, wait until its lease has expired, and let a worker resume the event."""
    (job,) = inbox.lease(1, 60)
    with monkeypatch.context() as patch:
        crash_at_write(inbox, patch, number, written=written)
        with pytest.raises(Crash):
            asyncio.run(Attempt(router.engine, job, AsyncIO()).run())
    desk.clock.now += 61
    if not inbox.count_states()["finished"]:
        with Worker(router):
            inbox.wait()


@pytest.mark.parametrize("written", [False, True])
@pytest.mark.parametrize("number", range(6))
def test_a_worker_resumes_an_event_wherever_the_process_crashed_and_repeats_nothing(
    desk: Desk, inbox: WatchedInbox, monkeypatch: pytest.MonkeyPatch, number: int, written: bool
) -> None:
    actions = (Assign(team=desk.teams["billing"]), Tag("seen"), Reply("Hi"), Note("Look"), Close())
    router = desk.router(inbox=inbox, buckets=only(*actions))
    webhook = desk.fake.customer_writes("Hello")
    handle(Api("sync"), router, webhook)
    crash_and_resume(desk, inbox, monkeypatch, router, number, written=written)
    conversation = desk.fake.conversations[webhook.conversation_id or ""]
    assert inbox.count_states()["finished"] == 1
    assert desk.assigned(conversation) == desk.teams["billing"]
    assert [name.lower() for name in conversation.tags] == ["seen"]
    assert len(desk.fake.replies(conversation.id)) == 1
    assert len(desk.fake.notes(conversation.id)) == 1
    assert conversation.state == "closed"


@every_vendor
@pytest.mark.parametrize("message", [Reply("Hi"), Note("Look")], ids=["reply", "note"])
@pytest.mark.parametrize("sent", [False, True], ids=["before", "after"])
def test_a_message_is_not_sent_twice_if_the_process_crashed_before_or_after_sending_it(
    desk: Desk, inbox: WatchedInbox, monkeypatch: pytest.MonkeyPatch, message: Reply | Note, sent: bool
) -> None:
    """The adapter reads the conversation to find out. Some vendors may still show a message that is missing there."""
    router = desk.router(inbox=inbox, buckets=only(message, Close()))
    webhook = desk.fake.customer_writes("Hello")
    handle(Api("sync"), router, webhook)
    crash_and_resume(desk, inbox, monkeypatch, router, number=int(sent), written=not sent)
    conversation = desk.fake.conversations[webhook.conversation_id or ""]
    messages = [*desk.fake.replies(conversation.id), *desk.fake.notes(conversation.id)]
    appears_at_once = not desk.delivers_later or (desk.name == "front" and isinstance(message, Note))
    if sent or appears_at_once:
        assert inbox.count_states()["finished"] == 1
        assert (len(messages), conversation.state) == (1, "closed")
    else:
        assert inbox.count_states()["ready"] == 1, "the message may still appear, so it is not sent again"
        assert messages == []


@every_vendor
def test_a_worker_that_is_stopped_before_a_call_for_longer_than_its_lease_does_not_make_it(
    desk: Desk, alternating_api: Api, inbox: WatchedInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    router = desk.router(inbox=inbox, buckets=only(Reply("Hi")))
    webhook = desk.fake.customer_writes("Hello")
    key = handle(alternating_api, router, webhook)[1].key or ""
    jobs_of_other_worker: list[Job] = []
    record = inbox.record

    def stop_after_recording(job: Job, ledger: Ledger) -> None:
        record(job, ledger)
        if not jobs_of_other_worker:
            desk.clock.now += 301
            jobs_of_other_worker.extend(inbox.lease(1, 60))

    monkeypatch.setattr(inbox, "record", stop_after_recording)
    with pytest.raises(LeaseLost):
        alternating_api.process(router, key)
    assert len(jobs_of_other_worker) == 1
    assert desk.fake.replies(webhook.conversation_id or "") == []


def test_a_function_is_not_called_if_the_lease_was_lost(
    desk: Desk, api: Api, inbox: WatchedInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[RunContext] = []
    router = desk.router(inbox=inbox, buckets=only(Run("page")), functions={"page": calls.append})
    key = handle(api, router, desk.fake.customer_writes("Hello"))[1].key or ""
    record = inbox.record

    def stop_after_recording(job: Job, ledger: Ledger) -> None:
        record(job, ledger)
        desk.clock.now += 301
        inbox.lease(1, 60)

    monkeypatch.setattr(inbox, "record", stop_after_recording)
    with pytest.raises(LeaseLost):
        api.process(router, key)
    assert calls == []


@pytest.mark.parametrize("desk", ["front", "crisp"], indirect=True)
def test_a_reply_with_an_unknown_outcome_holds_back_later_messages_for_a_few_minutes_only(
    desk: Desk, api: Api, inbox: WatchedInbox
) -> None:
    """It may still appear, so the later message is routed without another reply."""
    classified: list[str] = []

    def classify(text: str) -> str:
        classified.append(text)
        return "general"

    router = desk.router(inbox=inbox, classifier=classify, buckets=only(Reply("Hi"), Tag("seen")))
    first = desk.fake.customer_writes("Hello")
    first_key = handle(api, router, first)[1].key or ""
    desk.fake.fail(desk.reply, timeout=True)
    assert api.process(router, first_key).status == "failed"
    second = desk.fake.customer_writes("My account was hacked!", conversation=first.conversation_id)
    second_key = handle(api, router, second)[1].key or ""
    started = desk.clock.now
    while inbox.count_states()["ready"] == 2:
        desk.clock.now += 5
        api.process(router, first_key)
    assert 120 <= desk.clock.now - started <= 300
    dead = inbox.get_entry(first_key)
    assert dead is not None
    assert (dead.state, "may still come" in str(dead.error)) == ("dead", True)
    outcome = api.process(router, second_key)
    assert (outcome.status, "hacked" in classified[-1]) == ("routed", True)
    assert [name.lower() for name in desk.fake.conversations[first.conversation_id or ""].tags] == ["seen"]
    assert desk.fake.replies(first.conversation_id or "") == []
    skipped = [result.detail for result in outcome.steps if result.status == "skipped"]
    assert skipped == ["an earlier reply may still be sent"]


@pytest.mark.parametrize("desk", ["crisp"], indirect=True)
def test_a_clock_that_is_set_back_does_not_prolong_the_search_for_a_reply(
    desk: Desk, api: Api, inbox: WatchedInbox
) -> None:
    router = desk.router(inbox=inbox, buckets=only(Reply("Hi")))
    key = handle(api, router, desk.fake.customer_writes("Hello"))[1].key or ""
    desk.fake.fail(desk.reply, timeout=True)
    api.process(router, key)
    desk.clock.now += 5
    api.process(router, key)
    desk.clock.now -= 3 * 3600
    started = desk.clock.now
    while not inbox.count_states()["dead"]:
        desk.clock.now += 5
        inbox.list_overdue(1, 5)
        api.process(router, key)
    assert desk.clock.now - started <= 300


@pytest.mark.parametrize("desk", ["intercom", "zendesk"], indirect=True)
def test_the_remaining_steps_respect_that_a_human_has_answered_since(desk: Desk, inbox: WatchedInbox) -> None:
    """Intercom performs the actions in two steps, Zendesk in one, of which only the tag may remain."""
    router = desk.router(inbox=inbox, buckets=only(Tag("seen"), Reply("Hi")))
    webhook = desk.fake.customer_writes("Hello")
    handle(Api("sync"), router, webhook)
    (job,) = inbox.lease(1, 60)
    plan = desk.adapter().plan([Tag("seen"), Reply("Hi")])
    steps = tuple(StepResult(step=step, status="pending") for step in plan)
    inbox.record(job, Ledger(verdict=Verdict(bucket="general"), message_ids=("1",), steps=steps))
    desk.fake.agent_writes("Let me look into it.", conversation=webhook.conversation_id or "")
    desk.clock.now += 61
    with Worker(router):
        inbox.wait()
    assert inbox.count_states()["finished"] == 1
    assert desk.fake.replies(webhook.conversation_id or "") == []
    assert [name.lower() for name in desk.fake.conversations[webhook.conversation_id or ""].tags] == ["seen"]


def test_an_assignment_made_before_the_crash_does_not_count_as_a_human(desk: Desk, inbox: WatchedInbox) -> None:
    router = desk.router(inbox=inbox, buckets=only(Reply("Hi")))
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


def test_an_event_that_was_interrupted_in_every_attempt_is_dead_lettered_without_another(
    desk: Desk, api: Api, inbox: WatchedInbox, caplog: pytest.LogCaptureFixture
) -> None:
    classified: list[str] = []

    def classify(text: str) -> str:
        classified.append(text)
        return "general"

    router = desk.router(inbox=inbox, classifier=classify)
    key = handle(api, router, desk.fake.customer_writes("Hello"))[1].key or ""
    for _ in range(3):
        assert inbox.lease(1, 60), "a worker is killed while it processes the event"
        desk.clock.now += 61
    outcome = api.process(router, key, attempts=3)
    assert (outcome.status, outcome.reason, outcome.retryable) == ("failed", INTERRUPTED, False)
    assert (inbox.count_states()["dead"], classified, desk.fake.calls) == (1, [], [])
    assert f"the event was dead-lettered after 3 attempts: {INTERRUPTED} [" in caplog.text


def test_a_worker_dead_letters_an_event_that_was_interrupted_in_every_attempt(desk: Desk, inbox: WatchedInbox) -> None:
    router = desk.router(inbox=inbox)
    handle(Api("sync"), router, desk.fake.customer_writes("Hello"))
    assert inbox.lease(1, 60)
    desk.clock.now += 61
    with Worker(router, attempts=1):
        inbox.wait()
    assert inbox.count_states()["dead"] == 1


def test_a_worker_processes_interrupted_events_one_at_a_time_next_to_new_ones(desk: Desk, inbox: WatchedInbox) -> None:
    started, may_finish = threading.Semaphore(0), threading.Event()
    classified: list[str] = []

    def classify(text: str) -> str:
        classified.append(text)
        if text.startswith("Interrupted"):
            started.release()
            assert may_finish.wait(20)
        return "general"

    router = desk.router(inbox=inbox, classifier=classify)
    for number in (1, 2):
        handle(Api("sync"), router, desk.fake.customer_writes(f"Interrupted {number}"))
    assert len(inbox.lease(2, 60)) == 2, "a worker is killed while it processes both"
    desk.clock.now += 61
    with Worker(router):
        assert started.acquire(timeout=20)
        handle(Api("sync"), router, desk.fake.customer_writes("New"))
        inbox.wait()
        assert classified == ["Interrupted 1", "New"]
        may_finish.set()
        inbox.wait(2)
    assert inbox.count_states()["finished"] == 3


def test_a_client_that_cannot_be_created_fails_the_attempt_with_its_reason(
    desk: Desk, api: Api, inbox: WatchedInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Environment variables for a proxy may be wrong, for example."""

    def fail(*_: object) -> Any:
        raise ConfigurationError("NO_PROXY is not valid.")

    router = desk.router(inbox=inbox)
    monkeypatch.setattr(router.engine.clients, "get_caller", fail)
    key = handle(api, router, desk.fake.customer_writes("Hello"))[1].key or ""
    outcome = api.process(router, key)
    assert outcome.status == "failed"
    assert outcome.reason.endswith("not called: NO_PROXY is not valid.")
    entry = inbox.get_entry(key)
    assert entry is not None
    assert (entry.state, entry.error) == ("ready", outcome.reason)


def test_a_defect_fails_the_attempt_without_the_text_of_its_exception(
    desk: Desk, api: Api, inbox: WatchedInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> Any:
        raise ValueError("a customer")

    router = desk.router(inbox=inbox)
    monkeypatch.setattr(router.engine.clients, "get_caller", fail)
    key = handle(api, router, desk.fake.customer_writes("Hello"))[1].key or ""
    with pytest.raises(ValueError, match="a customer"):
        api.process(router, key)
    entry = inbox.get_entry(key)
    assert entry is not None
    assert (entry.state, entry.error) == ("ready", "a defect: ValueError")


# The worker itself


@pytest.mark.parametrize("options", [{"concurrency": 0}, {"lease": 0}, {"attempts": 0}])
def test_a_worker_with_an_option_out_of_range_or_without_an_inbox_is_rejected(
    desk: Desk, inbox: WatchedInbox, options: Any
) -> None:
    with pytest.raises(ConfigurationError, match="greater than 0"):
        Worker(desk.router(inbox=inbox), **options)
    with pytest.raises(ConfigurationError, match="needs a Router with an inbox"):
        Worker(desk.router())


def test_drain_waits_for_the_events_in_progress(desk: Desk, inbox: WatchedInbox) -> None:
    started, may_finish = threading.Event(), threading.Event()

    def classify(text: str) -> str:
        started.set()
        assert may_finish.wait(20)
        return "general"

    router = desk.router(inbox=inbox, classifier=classify)
    worker = Worker(router)
    assert worker.drain(), "a worker that was never started has nothing to finish"
    worker._wake()  # does not start it either
    worker.start()
    handle(Api("sync"), router, desk.fake.customer_writes("Hello"))
    assert started.wait(20)
    results: list[bool] = []
    draining = threading.Thread(target=lambda: results.append(worker.drain()))
    draining.start()
    may_finish.set()
    draining.join(20)
    assert (results, inbox.count_states()["finished"]) == ([True], 1)


class LeavingClassifier(Classifier):
    """Records its calls."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def classify(self, conversation: Conversation, buckets: Buckets) -> Verdict:
        self.calls.append("classify")
        return Verdict(bucket="general")

    async def leave_loop(self) -> None:
        self.calls.append("leave_loop")


def test_a_worker_closes_what_a_classifier_opened_on_its_event_loop(desk: Desk, inbox: WatchedInbox) -> None:
    classifier = LeavingClassifier()
    router = desk.router(inbox=inbox, classifier=classifier)
    handle(Api("sync"), router, desk.fake.customer_writes("Hello"))
    with Worker(router):
        inbox.wait()
    assert classifier.calls == ["classify", "leave_loop"]


def test_an_event_that_drain_interrupts_at_its_deadline_is_resumed_later(desk: Desk, inbox: WatchedInbox) -> None:
    started = threading.Event()

    async def classify_forever(text: str) -> str:
        started.set()
        await asyncio.Event().wait()
        raise AssertionError

    router = desk.router(inbox=inbox, classifier=classify_forever)
    worker = Worker(router)
    worker.start()
    handle(Api("sync"), router, desk.fake.customer_writes("Hello"))
    assert started.wait(20)
    assert not worker.drain(0.01)
    assert inbox.count_states()["leased"] == 1
    desk.clock.now += 61
    with Worker(desk.router(inbox=inbox)):
        inbox.wait()
    assert inbox.count_states()["finished"] == 1


def test_heartbeats_extend_the_lease_of_an_event_that_takes_longer(
    desk: Desk, inbox: WatchedInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    heartbeats = threading.Semaphore(0)
    may_finish = threading.Event()
    extend = inbox.extend

    def extend_and_count(jobs: Any, seconds: float) -> None:
        extend(jobs, seconds)
        heartbeats.release()

    def classify(text: str) -> str:
        assert may_finish.wait(20)
        return "general"

    monkeypatch.setattr(inbox, "extend", extend_and_count)
    router = desk.router(inbox=inbox, classifier=classify)
    with Worker(router, lease=0.03):
        handle(Api("sync"), router, desk.fake.customer_writes("Hello"))
        for _ in range(3):
            assert heartbeats.acquire(timeout=20)
        may_finish.set()
        inbox.wait()
    assert inbox.count_states()["finished"] == 1


def test_a_worker_continues_after_the_inbox_failed(
    desk: Desk, inbox: WatchedInbox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    failures = {"lease": threading.Semaphore(0), "extend": threading.Semaphore(0)}

    def fail(method: str) -> Any:
        failures[method].release()
        raise InboxError("the disk is full")

    router = desk.router(inbox=inbox)
    monkeypatch.setattr(inbox, "lease", lambda *_: fail("lease"))
    monkeypatch.setattr(inbox, "extend", lambda *_: fail("extend"))
    with Worker(router, lease=0.03) as worker:
        assert failures["lease"].acquire(timeout=20)
        assert failures["extend"].acquire(timeout=20)
        assert failures["extend"].acquire(timeout=20), "the heartbeat goes on"
        monkeypatch.undo()
        handle(Api("sync"), router, desk.fake.customer_writes("Hello"))
        worker._wake()
        inbox.wait()
    assert "the worker cannot lease events: the disk is full" in caplog.text
    assert "the worker cannot extend its leases: the disk is full" in caplog.text


@pytest.mark.parametrize("method", ["record", "finish"])
def test_an_event_whose_ledger_cannot_be_written_is_resumed_once_its_lease_has_expired(
    desk: Desk,
    inbox: WatchedInbox,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    method: str,
) -> None:
    failed = threading.Event()

    def fail(*_: object) -> Any:
        failed.set()
        raise InboxError("the disk is full")

    router = desk.router(inbox=inbox)
    monkeypatch.setattr(inbox, method, fail)
    webhook = desk.fake.customer_writes("This is billing.")
    handle(Api("sync"), router, webhook)
    with Worker(router) as worker:
        assert failed.wait(20)
        assert worker.drain()
    assert "the disk is full" in caplog.text
    monkeypatch.undo()
    desk.clock.now += 61
    with Worker(router):
        inbox.wait()
    assert inbox.count_states()["finished"] == 1
    assert len(desk.fake.replies(webhook.conversation_id or "")) == 1


def test_a_worker_survives_any_error_of_the_inbox(
    desk: Desk, inbox: WatchedInbox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    failures = threading.Semaphore(0)
    errors: list[type[BaseException]] = [RuntimeError, MemoryError, SystemExit]

    def fail(*_: object) -> Any:
        failures.release()
        raise errors[0]("can't start new thread for mira@example.com")

    monkeypatch.setattr("triage.worker._POLL", 0.01)
    router = desk.router(inbox=inbox)
    worker = Worker(router)
    assert not worker.alive
    with worker:
        assert (worker.alive, worker.errors) == (True, 0)
        with monkeypatch.context() as patch:
            patch.setattr(inbox, "lease", fail)
            for _ in range(3):
                assert failures.acquire(timeout=20)
                del errors[:-1]
        handle(Api("sync"), router, desk.fake.customer_writes("Hello"))
        inbox.wait()
        assert (worker.alive, worker.errors > 0) == (True, True)
    assert not worker.alive
    assert inbox.count_states()["finished"] == 1
    assert f"the worker continues after an unexpected error: RuntimeError at {__file__}" in caplog.text
    assert "mira" not in caplog.text


def test_a_worker_starts_a_new_event_loop_if_the_old_one_fails(
    desk: Desk, inbox: WatchedInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process may have no file descriptor left for a moment."""
    monkeypatch.setattr("triage.worker._POLL", 0.01)
    loops: list[str] = []
    run_loop = asyncio.run

    def fail_first(main: Any) -> None:
        loops.append("loop")
        if len(loops) == 1:
            main.close()
            raise OSError("too many open files")
        run_loop(main)

    router = desk.router(inbox=inbox)
    handle(Api("sync"), router, desk.fake.customer_writes("Hello"))
    with monkeypatch.context() as patch:
        patch.setattr(asyncio, "run", fail_first)
        with Worker(router) as worker:
            inbox.wait()
            assert (worker.alive, worker.errors, len(loops)) == (True, 1, 2)


def test_a_worker_without_an_event_loop_can_be_drained(
    desk: Desk, inbox: WatchedInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(main: Any) -> None:
        main.close()
        raise OSError("too many open files")

    router = desk.router(inbox=inbox)
    with monkeypatch.context() as patch:
        patch.setattr(asyncio, "run", fail)
        worker = Worker(router)
        worker.start()
        handle(Api("sync"), router, desk.fake.customer_writes("Hello"))  # wakes it up, in vain
        assert worker.drain()
    assert worker.health().heartbeat_age is None


def test_a_worker_that_ended_is_started_again(desk: Desk, inbox: WatchedInbox) -> None:
    router = desk.router(inbox=inbox)
    worker = Worker(router)
    worker.start()
    assert worker._thread is not None
    assert worker._thread.stop(20)
    assert not worker.alive
    handle(Api("sync"), router, desk.fake.customer_writes("Hello"))
    with worker:
        inbox.wait()
        assert worker.alive


def test_a_classifier_that_exits_does_not_stop_the_worker(
    desk: Desk, inbox: WatchedInbox, caplog: pytest.LogCaptureFixture
) -> None:
    failed = threading.Event()

    def classify(text: str) -> str:
        if not failed.is_set():
            failed.set()
            raise SystemExit
        return "general"

    router = desk.router(inbox=inbox, classifier=classify)
    handle(Api("sync"), router, desk.fake.customer_writes("Hello"))
    with Worker(router) as worker:
        assert failed.wait(20)
        handle(Api("sync"), router, desk.fake.customer_writes("Another one"))
        inbox.wait()
        assert inbox.count_states()["leased"] == 1, "the other event is resumed when its lease has expired"
        desk.clock.now += 61
        worker._wake()
        inbox.wait()
    assert inbox.count_states()["finished"] == 2
    assert "a defect: SystemExit at" in caplog.text


def test_heartbeats_and_leases_do_not_wait_for_blocking_classifiers(
    desk: Desk, inbox: WatchedInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asyncio's own thread pool has five threads on one processor."""
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    everyone = threading.Barrier(13)

    def classify(text: str) -> str:
        everyone.wait(20)
        return "general"

    router = desk.router(inbox=inbox, classifier=classify)
    with Worker(router, concurrency=12):
        for _ in range(12):
            handle(Api("sync"), router, desk.fake.customer_writes("Hello"))
        everyone.wait(20)
        inbox.wait(12)
    assert inbox.count_states()["finished"] == 12


def test_leases_expire_if_the_event_loop_is_blocked_for_good(
    desk: Desk, inbox: WatchedInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("triage.worker._LONGEST_SILENCE", 0.05)
    warned, may_finish = threading.Event(), threading.Event()

    async def block(text: str) -> str:
        assert may_finish.wait(20)
        return "general"

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "has been blocked for" in record.getMessage():
                warned.set()

    handler = Handler()
    logging.getLogger("triage.worker").addHandler(handler)
    router = desk.router(inbox=inbox, classifier=block)
    with Worker(router, lease=0.03):
        handle(Api("sync"), router, desk.fake.customer_writes("Hello"))
        assert warned.wait(20)
        may_finish.set()
        inbox.wait()
    logging.getLogger("triage.worker").removeHandler(handler)
    assert inbox.count_states()["finished"] == 1


def test_a_heartbeat_survives_any_error(
    desk: Desk, inbox: WatchedInbox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    failures = threading.Semaphore(0)

    def fail(*_: object) -> Any:
        failures.release()
        raise RuntimeError("mira@example.com")

    monkeypatch.setattr(inbox, "extend", fail)
    with Worker(desk.router(inbox=inbox), lease=0.03):
        for _ in range(2):
            assert failures.acquire(timeout=20)
    assert f"the worker cannot extend its leases: RuntimeError at {__file__}" in caplog.text
    assert "mira" not in caplog.text


def test_a_heartbeat_that_failed_is_soon_repeated(
    desk: Desk, inbox: WatchedInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next one in twenty seconds might be too late, because the inbox can fail again."""
    monkeypatch.setattr("triage.worker._POLL", 0.01)
    failures = iter([InboxError("the disk is full"), RuntimeError("no memory")])
    extended = threading.Event()

    def extend(*_: object) -> None:
        for failure in failures:
            raise failure
        extended.set()

    monkeypatch.setattr(inbox, "extend", extend)
    with Worker(desk.router(inbox=inbox)):
        assert extended.wait(15)


def test_health_reports_the_worker_its_events_and_the_circuit_breakers(
    desk: Desk, inbox: WatchedInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, may_finish = threading.Event(), threading.Event()

    def classify(text: str) -> str:
        started.set()
        assert may_finish.wait(20)
        return "general"

    router = desk.router(inbox=inbox, classifier=classify)
    worker = Worker(router)
    inbox.dead_letter_unreadable(router.name, b"{", "not JSON")
    inbox.dead_letter_unreadable("another Router", b"{", "not JSON")
    handle(Api("sync"), router, desk.fake.customer_writes("Hello"))
    desk.clock.now += 90
    health = worker.health()
    assert (health.alive, health.heartbeat_age, health.in_progress) == (False, None, 0)
    assert (health.oldest_due, health.dead, health.inbox_error) == (90, 1, None)
    closed = BreakerHealth(state="closed", retry_after=0)
    assert health.breakers == {"intercom": closed, "the classifier of intercom": closed}
    with worker:
        assert started.wait(20)
        health = worker.health()
        assert (health.alive, health.in_progress, health.oldest_due, health.errors) == (True, 1, 0, 0)
        assert health.heartbeat_age is not None
        assert 0 <= health.heartbeat_age < 20
        inbox.set_pause("intercom", 30)
        desk.clock.now += 2
        assert worker.health().breakers["intercom"] == BreakerHealth(state="open", retry_after=28)
        may_finish.set()
        inbox.wait()

    def fail(*_: object) -> Any:
        raise InboxError("the disk is full")

    monkeypatch.setattr(inbox, "get_lag", fail)
    health = worker.health()
    assert (health.oldest_due, health.dead, health.inbox_error) == (None, None, "the disk is full")
    assert WorkerHealth.model_validate_json(health.model_dump_json()) == health


def test_the_concurrency_follows_what_the_help_desk_allows(
    desk: Desk, inbox: WatchedInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("triage.engine.concurrency._LAG_SHARE", 1e9)  # however busy the machine is
    monkeypatch.setattr("triage.engine.concurrency._LONGEST_LAG", 1e9)
    router = desk.router(inbox=inbox)
    worker = Worker(router)
    assert worker.health().concurrency == 32
    handle(Api("sync"), router, desk.fake.customer_writes("This is billing."))
    desk.fake.fail(desk.read, status=429, headers={"Retry-After": "60"})
    with worker:
        inbox.wait()
        assert worker.health().concurrency == 16
        for _ in range(50):
            handle(Api("sync"), router, desk.fake.customer_writes("This is billing."))
        desk.clock.now += 300
        worker._wake()
        inbox.wait(51)
    assert inbox.count_states()["finished"] == 51
    assert worker.health().concurrency > 16


def test_the_concurrency_follows_what_the_classifier_allows(desk: Desk, inbox: WatchedInbox) -> None:
    def classify(text: str) -> Verdict:
        return Verdict(bucket="general", fallback_reason="unavailable", retry_after=60)

    router = desk.router(inbox=inbox, classifier=classify)
    handle(Api("sync"), router, desk.fake.customer_writes("Hello"))
    with Worker(router) as worker:
        inbox.wait()
        assert worker.health().concurrency == 16


def test_a_number_fixes_the_concurrency(desk: Desk, inbox: WatchedInbox) -> None:
    router = desk.router(inbox=inbox)
    handle(Api("sync"), router, desk.fake.customer_writes("Hello"))
    desk.fake.fail(desk.read, status=429, headers={"Retry-After": "60"})
    with Worker(router, concurrency=5) as worker:
        inbox.wait()
        assert worker.health().concurrency == 5


def test_a_worker_that_is_never_started_is_reported_when_an_event_is_stored(
    desk: Desk, inbox: WatchedInbox, caplog: pytest.LogCaptureFixture
) -> None:
    """A web framework does not run the lifespan of a mounted application, for example."""
    router = desk.router(inbox=inbox)
    worker = Worker(router)
    for _ in range(2):
        handle(Api("sync"), router, desk.fake.customer_writes("Hello"))
    assert caplog.text.count("was never started. Call worker.start()") == 1
    worker.start()
    worker.drain()
    handle(Api("sync"), router, desk.fake.customer_writes("Hello"))
    assert caplog.text.count("was never started") == 1


def test_a_worker_that_lost_its_lease_stops_processing_the_event(
    desk: Desk, inbox: WatchedInbox, caplog: pytest.LogCaptureFixture
) -> None:
    jobs_of_other_worker: list[Job] = []
    lost = threading.Event()

    def classify(text: str) -> str:
        desk.clock.now += 61
        jobs_of_other_worker.extend(inbox.lease(1, 60))
        lost.set()
        return "general"

    router = desk.router(inbox=inbox, classifier=classify)
    webhook = desk.fake.customer_writes("Hello")
    handle(Api("sync"), router, webhook)
    with Worker(router) as worker:
        assert lost.wait(20)
        assert worker.drain()
    assert "the lease of" in caplog.text
    assert desk.fake.replies(webhook.conversation_id or "") == []
    (job,) = jobs_of_other_worker
    inbox.finish(job, Outcome(status="routed"))


def test_a_defect_is_logged_as_an_error_and_the_event_is_retried(
    desk: Desk, inbox: WatchedInbox, caplog: pytest.LogCaptureFixture
) -> None:
    class DefectiveAdapter:
        name = desk.name

        def __getattr__(self, name: str) -> Any:
            return getattr(adapter, name)

        async def fetch(self, *_: object) -> Conversation:
            raise KeyError("a defect")

    adapter = desk.adapter()
    router = desk.router(inbox=inbox, vendor=DefectiveAdapter())
    handle(Api("sync"), router, desk.fake.customer_writes("Hello"))
    with Worker(router):
        inbox.wait()
    assert inbox.count_states()["ready"] == 1
    outcome, location = (record for record in caplog.records if "a defect" in record.getMessage())
    assert (outcome.levelname, location.levelname) == ("ERROR", "ERROR")
    assert "reason=a defect: KeyError" in outcome.getMessage()
    assert f"a defect: KeyError at {__file__}" in location.getMessage()


def test_a_worker_starts_and_drains_with_an_asgi_application(desk: Desk, inbox: WatchedInbox) -> None:
    router = desk.router(inbox=inbox)
    worker = Worker(router)

    async def serve() -> None:
        async with worker.lifespan(None):
            webhook = desk.fake.customer_writes("This is billing.")
            await router.handle_async(webhook.body, webhook.headers)
            await asyncio.to_thread(inbox.wait)

    asyncio.run(serve())
    assert inbox.count_states()["finished"] == 1


@pytest.mark.filterwarnings("ignore:This process.*multi-threaded:DeprecationWarning")
def test_a_forked_process_starts_its_own_worker_with_its_first_event(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker starts before the fork, as under gunicorn with --preload."""
    monkeypatch.setattr("triage.worker._POLL", 3600)  # so that the parent's worker does not process the event
    inbox = WatchedInbox(tmp_path / "triage.db")
    polled = threading.Event()
    lease = inbox.lease

    def lease_and_signal(*args: Any) -> Any:
        polled.set()
        return lease(*args)

    monkeypatch.setattr(inbox, "lease", lease_and_signal)
    with desk.fake.serve() as base_url:
        router = Router(
            desk.adapter(base_url=base_url), buckets=only(Close()), classifier=lambda text: "general", inbox=inbox
        )
        worker = Worker(router)
        worker.start()
        assert polled.wait(20)
        webhook = desk.fake.customer_writes("Hello")
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


def test_a_worker_under_uwsgi_without_fork_hooks_warns_and_starts_with_the_first_event(
    inbox: WatchedInbox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A thread that was started before such a fork would leave its locks locked in the child."""
    desk = IntercomDesk()
    uwsgi = SimpleNamespace(opt={b"enable-threads": True}, worker_id=lambda: 0)
    monkeypatch.setitem(sys.modules, "uwsgi", uwsgi)
    router = desk.router(inbox=inbox)
    worker = Worker(router)
    worker.start()
    assert "Set the option py-call-uwsgi-fork-hooks = true or lazy-apps = true" in caplog.text
    assert worker._thread is None
    uwsgi.worker_id = lambda: 1  # as in the process that uWSGI has forked
    handle(Api("sync"), router, desk.fake.customer_writes("This is billing."))
    inbox.wait()
    assert worker.drain()


def test_a_drained_worker_under_uwsgi_does_not_start_again(
    inbox: WatchedInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = IntercomDesk()
    uwsgi = SimpleNamespace(opt={"enable-threads": True}, worker_id=lambda: 0)
    monkeypatch.setitem(sys.modules, "uwsgi", uwsgi)
    router = desk.router(inbox=inbox)
    worker = Worker(router)
    worker.start()
    assert worker.drain()
    handle(Api("sync"), router, desk.fake.customer_writes("This is billing."))
    assert worker._thread is None
