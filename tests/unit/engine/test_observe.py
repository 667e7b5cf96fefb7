"""Observers are notified of each delivery, attempt and step, and can neither stop nor change anything."""

import logging
from collections.abc import Callable
from typing import Any

import pytest

from tests.helpers.api import Api
from tests.helpers.desks import Desk, IntercomDesk, by_name
from tests.helpers.records import get_fields
from tests.helpers.routing import handle, only
from tests.helpers.watched import WatchedInbox
from triage import (
    ConfigurationError,
    Conversation,
    Event,
    InboxError,
    Limits,
    Note,
    Outcome,
    Reply,
    StepResult,
    Tag,
    Verdict,
    Worker,
)
from triage.engine.observe import Observer
from triage.policy import Buckets

LOGGER = "triage.engine.observe"
SECRET = "My card number is 4711"


def _summarize(argument: Any) -> object:
    if isinstance(argument, Outcome):
        return argument.status
    return str(argument) if isinstance(argument, StepResult) else argument


class Recorder(Observer):
    """Records every call of an observer's methods."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    @property
    def summary(self) -> list[tuple[str, object]]:
        """Each method with the attempt's number, the step and its result, or the outcome's status."""
        return [(name, _summarize(arguments[-1])) for name, *arguments in self.calls]

    def received(self, outcome: Outcome) -> None:
        self.calls.append(("received", outcome))

    def attempt_started(self, event: Event, attempt: int) -> None:
        self.calls.append(("attempt_started", event, attempt))

    def step_finished(self, event: Event, result: StepResult) -> None:
        self.calls.append(("step_finished", event, result))

    def settled(self, outcome: Outcome) -> None:
        self.calls.append(("settled", outcome))


class RaisingObserver(Observer):
    """Raises an error that contains customer text, in every method."""

    def received(self, outcome: Outcome) -> None:
        raise ValueError(SECRET)

    def attempt_started(self, event: Event, attempt: int) -> None:
        raise ValueError(SECRET)

    def step_finished(self, event: Event, result: StepResult) -> None:
        raise ValueError(SECRET)

    def settled(self, outcome: Outcome) -> None:
        raise ValueError(SECRET)


@pytest.fixture
def desk() -> Desk:
    """Intercom, since observers are the same for every vendor."""
    return IntercomDesk()


# Each notification


def test_an_attempt_is_observed_step_by_step(desk: Desk, api: Api) -> None:
    recorder = Recorder()
    router = desk.router(buckets=only(Tag("seen"), Note("Seen")))
    router.add_observer(recorder)
    _, outcome = handle(api, router, desk.fake.customer_writes("Hello"))
    assert recorder.summary == [
        ("attempt_started", 1),
        ("step_finished", "tag:done"),
        ("step_finished", "note:done"),
        ("settled", "routed"),
    ]
    events = [call[1] for call in recorder.calls[:3]]
    assert [event.key for event in events] == [outcome.key] * 3
    assert recorder.calls[-1][1] is outcome


def test_an_ignored_delivery_is_received_and_never_attempted(desk: Desk, api: Api) -> None:
    recorder = Recorder()
    router = desk.router()
    router.add_observer(recorder)
    reasons = []
    for reason, webhook in desk.ignored():
        handle(api, router, webhook)
        reasons.append(reason)
    assert recorder.summary == [("received", "ignored")] * len(reasons)
    assert all(reason in call[1].reason for reason, call in zip(reasons, recorder.calls, strict=True))


def test_a_refused_delivery_is_received(desk: Desk, api: Api) -> None:
    recorder = Recorder()
    router = desk.router(max_body=1000)
    router.add_observer(recorder)
    api.handle(router, b"{}", {})
    api.handle(router, b"x" * 1001, {})
    assert recorder.summary == [("received", "refused"), ("received", "refused")]


def test_a_malformed_delivery_is_received(desk: Desk, api: Api) -> None:
    recorder = Recorder()
    router = desk.router()
    router.add_observer(recorder)
    api.handle(router, b"{}", desk.sign(b"{}"))
    assert recorder.summary == [("received", "malformed")]


def test_a_duplicate_delivery_is_received_and_never_attempted(desk: Desk, api: Api) -> None:
    recorder = Recorder()
    router = desk.router()
    webhook = desk.fake.customer_writes("Hello")
    _, first = handle(api, router, webhook)
    router.add_observer(recorder)
    handle(api, router, desk.fake.redeliver(webhook))
    assert recorder.summary == [("received", "duplicate")]
    assert recorder.calls[0][1].key == first.key


def test_a_failed_step_and_the_failed_attempt_are_observed(desk: Desk, api: Api) -> None:
    recorder = Recorder()
    router = desk.router(buckets=only(Reply("Hi"), Tag("seen")))
    router.add_observer(recorder)
    desk.fake.fail(desk.reply, status=403)
    handle(api, router, desk.fake.customer_writes("Hello"))
    results = [call[2] for call in recorder.calls if call[0] == "step_finished"]
    assert [str(result) for result in results][-1] == "reply:failed"
    assert "403" in results[-1].detail
    assert recorder.summary[-1] == ("settled", "failed")


def test_a_step_that_a_human_made_unnecessary_is_observed_as_skipped(desk: Desk, inbox: WatchedInbox) -> None:
    recorder = Recorder()
    router = desk.router(inbox=inbox, buckets=only(Tag("seen"), Reply("Hi")))
    webhook = desk.fake.customer_writes("Hello")
    event = router.receive(webhook.body, webhook.headers).event
    assert event is not None
    desk.fake.fail(desk.reply, status=403)
    assert router.process(event).status == "failed"
    desk.fake.recover()
    desk.fake.agent_writes("I have it.", conversation=webhook.conversation_id or "")
    desk.clock.now += 1000
    router.add_observer(recorder)
    router.process(event)
    assert ("step_finished", "reply:skipped") in recorder.summary


def test_steps_that_are_skipped_or_only_planned_are_observed(desk: Desk) -> None:
    webhook = desk.fake.customer_writes("Hello")
    desk.fake.agent_writes("I have it.", conversation=webhook.conversation_id or "")
    results: list[str] = []

    class StepObserver(Observer):
        def step_finished(self, event: Event, result: StepResult) -> None:
            results.append(f"{result.step.name}:{result.status}")

    router = desk.router(buckets=only(Tag("seen"), Reply("Hi")), dry_run=True)
    router.add_observer(StepObserver())
    handle(Api("sync"), router, webhook)
    assert results == ["tag:planned", "reply:skipped"]


def test_an_attempt_that_ends_with_a_defect_is_settled_as_failed(desk: Desk) -> None:
    outcomes: list[Outcome] = []

    class DefectiveAdapter(type(desk.adapter())):  # type: ignore[misc]  # the class of the desk's adapter
        async def fetch(self, *_: object) -> Conversation:
            raise KeyError("customer text")

    adapter = DefectiveAdapter(**desk.fake.settings())
    router = desk.router(vendor=adapter)
    router.on_outcome(outcomes.append)
    with pytest.raises(KeyError):
        handle(Api("sync"), router, desk.fake.customer_writes("Hello"))
    assert [(outcome.status, outcome.reason) for outcome in outcomes] == [("failed", "a defect: KeyError")]


def test_the_number_of_the_attempt_is_passed(desk: Desk, inbox: WatchedInbox, api: Api) -> None:
    recorder = Recorder()
    router = desk.router(inbox=inbox, buckets=only(Tag("seen")))
    router.add_observer(recorder)
    webhook = desk.fake.customer_writes("Hello")
    event = router.receive(webhook.body, webhook.headers).event
    assert event is not None
    desk.fake.fail(desk.read, status=403)
    api.process(router, event)
    desk.clock.now += 1000
    api.process(router, event.key)
    assert recorder.summary == [
        ("attempt_started", 1),
        ("settled", "failed"),
        ("attempt_started", 2),
        ("step_finished", "tag:done"),
        ("settled", "routed"),
    ]


def test_with_an_inbox_the_delivery_is_accepted_before_the_worker_settles_it(desk: Desk, inbox: WatchedInbox) -> None:
    recorder = Recorder()
    router = desk.router(inbox=inbox, buckets=only(Tag("seen")))
    router.add_observer(recorder)
    _, accepted = handle(Api("sync"), router, desk.fake.customer_writes("Hello"))
    assert recorder.calls == [("received", accepted)]
    with Worker(router):
        inbox.wait()
    assert recorder.summary == [
        ("received", "accepted"),
        ("attempt_started", 1),
        ("step_finished", "tag:done"),
        ("settled", "routed"),
    ]
    assert recorder.calls[-1][1].key == accepted.key


def test_a_delivery_that_cannot_be_stored_is_received_as_failed(
    desk: Desk, api: Api, inbox: WatchedInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> bool:
        raise InboxError("the disk is full")

    recorder = Recorder()
    router = desk.router(inbox=inbox)
    router.add_observer(recorder)
    monkeypatch.setattr(inbox, "add", fail)
    handle(api, router, desk.fake.customer_writes("Hello"))
    assert recorder.summary == [("received", "failed")]
    assert "the disk is full" in recorder.calls[0][1].reason


# Observers


def test_only_the_methods_that_an_observer_overrides_are_called(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    class CountsOutcomes(Observer):
        statuses: list[str] = []  # noqa: RUF012 - of one test

        def settled(self, outcome: Outcome) -> None:
            self.statuses.append(outcome.status)

    router = desk.router()
    router.add_observer(CountsOutcomes())

    def fail(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(Observer, "attempt_started", fail)
    monkeypatch.setattr(Observer, "step_finished", fail)
    methods = router.engine.observers._methods
    assert {name: len(functions) for name, functions in methods.items()} == {
        "received": 1,  # the log line's
        "attempt_started": 0,
        "step_finished": 0,
        "settled": 2,
    }
    handle(Api("sync"), router, desk.fake.customer_writes("Hello"))
    assert CountsOutcomes.statuses == ["routed"]


@pytest.mark.parametrize("observer", [Observer(), Observer, object(), print])
def test_an_observer_that_would_never_be_called_is_rejected(desk: Desk, observer: Any) -> None:
    with pytest.raises(ConfigurationError, match="overrides at least one of received, attempt_started"):
        desk.router().add_observer(observer)


def test_an_object_with_only_some_of_the_methods_can_observe(desk: Desk) -> None:
    class Counter:
        settled_count = 0

        def settled(self, outcome: Outcome) -> None:
            self.settled_count += 1

    counter: Any = Counter()
    router = desk.router()
    router.add_observer(counter)
    handle(Api("sync"), router, desk.fake.customer_writes("Hello"))
    assert counter.settled_count == 1


def test_observers_are_notified_in_the_order_in_which_they_were_added(desk: Desk) -> None:
    order: list[str] = []
    router = desk.router()
    router.on_outcome(lambda outcome: order.append("first"))
    router.on_outcome(lambda outcome: order.append("second"))
    handle(Api("sync"), router, desk.fake.customer_writes("Hello"))
    assert order == ["first", "second"]


def test_an_observer_that_raises_is_logged_without_its_message_and_stops_nothing(
    desk: Desk, api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = Recorder()
    router = desk.router(buckets=only(Tag("seen")))
    router.add_observer(RaisingObserver())
    router.add_observer(recorder)
    webhook = desk.fake.customer_writes("Hello")
    response, outcome = handle(api, router, webhook)
    handle(api, router, desk.fake.redeliver(webhook))
    assert (response.status_code, outcome.status) == (200, "routed")
    assert [name for name, _ in recorder.summary] == ["attempt_started", "step_finished", "settled", "received"]
    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 4, "one for each notification"
    assert all(error.startswith(f"an observer raised ValueError at {__file__}:") for error in errors)
    assert SECRET not in caplog.text
    assert not any(record.exc_info for record in caplog.records)


# Functions


def test_on_outcome_gets_deliveries_and_attempts(desk: Desk, inbox: WatchedInbox) -> None:
    outcomes: list[Outcome] = []
    router = desk.router(inbox=inbox)
    router.on_outcome(outcomes.append)
    webhook = desk.fake.customer_writes("This is billing.")
    handle(Api("sync"), router, webhook)
    with Worker(router):
        inbox.wait()
    handle(Api("sync"), router, desk.fake.redeliver(webhook))
    assert [outcome.status for outcome in outcomes] == ["accepted", "routed", "duplicate"]
    assert {outcome.key for outcome in outcomes} == {outcomes[0].key}


def test_a_function_that_raises_is_logged_and_stops_nothing(
    desk: Desk, api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    empty: dict[str, None] = {}
    router = desk.router()
    router.on_outcome(lambda outcome: empty[SECRET])
    response, outcome = handle(api, router, desk.fake.customer_writes("Hello"))
    assert (response.status_code, outcome.status) == (200, "routed")
    assert f"an observer raised KeyError at {__file__}" in caplog.text
    assert SECRET not in caplog.text


# The log line


class BrokenClassifier:
    def classify(self, conversation: Conversation, buckets: Buckets) -> Verdict:
        raise RuntimeError(SECRET)


class ExpensiveClassifier:
    """Uses up the daily budget with one verdict."""

    priced = True

    def classify(self, conversation: Conversation, buckets: Buckets) -> Verdict:
        return Verdict(bucket="general", cost_usd=1.0)


def get_log_line(caplog: pytest.LogCaptureFixture) -> logging.LogRecord:
    """Return the last line that reports an outcome."""
    return [record for record in caplog.records if record.name == LOGGER and "status" in record.__dict__][-1]


Fallback = tuple[dict[str, Any], int, dict[str, Any], str]

FALLBACKS: dict[str, Callable[[], Fallback]] = {
    "classifier raises": lambda: ({"classifier": BrokenClassifier()}, 0, {}, "the classifier raised RuntimeError"),
    "unknown bucket": lambda: ({"classifier": lambda text: SECRET}, 0, {}, "the classifier returned an unknown bucket"),
    "no text": lambda: ({}, 0, {"attachments": ["scan.pdf"]}, "the message has no text, only 1 attachment(s)"),
    "budget spent": lambda: (
        {"classifier": ExpensiveClassifier(), "limits": Limits(daily_usd=1)},
        1,
        {},
        "the daily budget of 1 USD for verdicts is spent",
    ),
    "classifier down": lambda: (
        {"classifier": BrokenClassifier(), "limits": Limits(failures=1, pause=30)},
        1,
        {},
        "the classifier was down and is not called for another 30 s",
    ),
}


@pytest.mark.parametrize("case", FALLBACKS)
def test_a_fallback_verdict_is_logged_as_a_warning_with_its_reason(
    desk: Desk, api: Api, case: str, caplog: pytest.LogCaptureFixture
) -> None:
    options, earlier_messages, message, reason = FALLBACKS[case]()
    router = desk.router(**options)
    for _ in range(earlier_messages):
        handle(api, router, desk.fake.customer_writes("Hello"))
    text = "" if message else SECRET
    _, outcome = handle(api, router, desk.fake.customer_writes(text, **message))
    record = get_log_line(caplog)
    assert (record.levelname, record.__dict__["key"]) == ("WARNING", outcome.key)
    assert f"fallback=True steps=assign:done,reply:done reason={reason}" in record.getMessage()
    assert outcome.verdict is not None
    assert outcome.verdict.reason.startswith(reason)
    assert f"reason={outcome.verdict.reason!r}" in repr(outcome.verdict)
    assert "4711" not in caplog.text
    assert "4711" not in repr(outcome)


def test_a_normal_verdict_is_logged_as_information_without_its_reason(
    desk: Desk, api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "triage")
    verdict = Verdict(bucket="billing", reason=SECRET)
    router = desk.router(classifier=lambda text: verdict)
    _, outcome = handle(api, router, desk.fake.customer_writes("Hello"))
    record = get_log_line(caplog)
    assert record.levelname == "INFO"
    assert "bucket=billing fallback=False" in record.getMessage()
    assert record.getMessage().endswith("reason=")
    assert outcome.verdict is not None
    assert outcome.verdict.reason == SECRET
    assert SECRET not in caplog.text
    assert ", reason=" not in repr(outcome.verdict)


@pytest.mark.parametrize(
    ("deliver", "level"),
    [
        (lambda desk: (b"{}", {}), "WARNING"),
        (lambda desk: (b"{}", desk.sign(b"{}")), "WARNING"),
        (lambda desk: next(iter(desk.ignored()))[1], "INFO"),
    ],
    ids=["refused", "malformed", "ignored"],
)
def test_the_level_of_the_log_line_depends_on_the_status(
    desk: Desk, deliver: Callable[[Desk], Any], level: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "triage")
    delivery = deliver(desk)
    body, headers = delivery if isinstance(delivery, tuple) else (delivery.body, delivery.headers)
    desk.router().handle(body, headers)
    assert get_log_line(caplog).levelname == level


def test_the_log_line_begins_with_the_routers_name(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "triage")
    router = desk.router(name="sales", classifier=by_name)
    _, outcome = handle(Api("sync"), router, desk.fake.customer_writes("Hello"))
    assert (
        get_log_line(caplog)
        .getMessage()
        .startswith(f"sales routed conversation={outcome.conversation_id} event={outcome.event_id} key=sales:")
    )


def test_the_record_has_plain_fields_and_no_object(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "triage")
    verdict = Verdict(bucket="general", confidence=0.9, reason=SECRET, cost_usd=0.002, latency=0.4)
    router = desk.router(name="sales", classifier=lambda text: verdict, buckets=only(Tag("seen")))
    _, outcome = handle(Api("sync"), router, desk.fake.customer_writes(SECRET))
    fields = get_fields(get_log_line(caplog))
    assert fields == {
        "router": "sales",
        "vendor": "intercom",
        "status": "routed",
        "conversation_id": outcome.conversation_id,
        "event_id": outcome.event_id,
        "key": outcome.key,
        "bucket": "general",
        "confidence": 0.9,
        "fallback": False,
        "cost": 0.002,
        "latency": 0.4,
        "steps": "tag:done",
        "reason": "",
    }
    assert outcome.event_id


def test_every_record_of_ours_has_only_text_and_numbers(
    desk: Desk, api: Api, inbox: WatchedInbox, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "triage")
    router = desk.router(inbox=inbox, classifier=BrokenClassifier(), when=lambda conversation: 1 / 0)
    router.on_stored(lambda key: 1 / 0)
    router.add_observer(RaisingObserver())
    handle(api, router, desk.fake.customer_writes(SECRET))
    api.handle(router, b"{}", desk.sign(b"{}"))
    api.handle(router, b"", {})
    with Worker(router, attempts=1):
        inbox.wait()
    assert len(caplog.records) > 8
    for record in caplog.records:
        assert all(type(value) in (str, int, float, bool) for value in get_fields(record).values())
        arguments = record.args if isinstance(record.args, tuple) else ()
        assert all(argument is None or type(argument) in (str, int, float, bool) for argument in arguments)
    assert SECRET not in caplog.text


def test_early_exits_are_logged_with_all_ids(
    desk: Desk, api: Api, inbox: WatchedInbox, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO, "triage")
    router = desk.router(inbox=inbox)
    webhook = desk.fake.customer_writes("Hello")
    _, accepted = handle(api, router, webhook)
    ids = {"conversation_id": accepted.conversation_id, "event_id": accepted.event_id, "key": accepted.key}
    assert None not in ids.values()

    def get_ids() -> dict[str, Any]:
        fields = get_fields(get_log_line(caplog))
        return {name: fields.get(name) for name in ids}

    handle(api, router, desk.fake.redeliver(webhook))
    assert get_ids() == ids, "a duplicate"
    assert accepted.key is not None
    inbox.park(accepted.key, "later")
    api.process(router, accepted.key)
    assert get_ids() == ids, "a key that cannot be leased"

    def fail(*_: object, **__: object) -> bool:
        raise InboxError("the disk is full")

    monkeypatch.setattr(inbox, "add", fail)
    webhook = desk.fake.customer_writes("Hello again")
    response, _ = handle(api, router, webhook)
    assert response.status_code == 503
    assert get_ids()["conversation_id"] == webhook.conversation_id
    assert None not in get_ids().values(), "an event that cannot be stored"


def test_a_key_that_is_not_stored_is_logged_without_other_ids(
    desk: Desk, inbox: WatchedInbox, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "triage")
    desk.router(inbox=inbox).process("intercom:abc:1:2")
    assert "conversation_id" not in get_fields(get_log_line(caplog))


def test_an_event_that_is_dead_lettered_is_logged_with_its_ids(
    desk: Desk, inbox: WatchedInbox, caplog: pytest.LogCaptureFixture
) -> None:
    router = desk.router(inbox=inbox)
    desk.fake.fail(desk.read, status=422, times=None)
    _, accepted = handle(Api("sync"), router, desk.fake.customer_writes("Hello"))
    assert accepted.key is not None
    router.process(accepted.key)
    (record,) = (record for record in caplog.records if "was dead-lettered" in record.getMessage())
    assert get_fields(record) == {
        "router": "intercom",
        "vendor": "intercom",
        "conversation_id": accepted.conversation_id,
        "event_id": accepted.event_id,
        "key": accepted.key,
    }
