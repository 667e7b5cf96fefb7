"""Every log record about an event names it, in plain fields, whichever way the event takes."""

import logging
from collections.abc import Callable
from typing import Any

import pytest

from tests.helpers.api import Api
from tests.helpers.desks import Desk
from tests.helpers.records import get_fields
from tests.helpers.routing import only
from triage import Conversation, InboxError, Limits, Outcome, Run, Tag, VendorError, Verdict
from triage.classifiers import Cascade, Claude, Vote
from triage.engine.observe import Observer
from triage.inbox import MemoryInbox
from triage.models import Delivery
from triage.policy import Buckets
from triage.testing import FakeClaude
from triage.vendors.base import LooseTuple, Payload

SECRET = "My card is 4711"
IDS = ("conversation_id", "event_id", "key")


class Broken:
    """A classifier that fails."""

    def classify(self, conversation: Conversation, buckets: Buckets) -> Verdict:
        raise ConnectionError(SECRET)


class Priced:
    """A classifier that uses up a daily budget with one verdict."""

    priced = True

    def classify(self, conversation: Conversation, buckets: Buckets) -> Verdict:
        return Verdict(bucket="general", cost_usd=1.0)


class BrokenObserver(Observer):
    """Raises an error whenever it is notified."""

    received = attempt_started = step_finished = settled = lambda self, *_: 1 / 0  # type: ignore[assignment]


class Listed(Payload):
    """A payload of which the second element is skipped."""

    elements: LooseTuple[int] = ()


@pytest.fixture(autouse=True)
def levels(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "triage")


@pytest.fixture
def inbox(desk: Desk) -> MemoryInbox:
    return MemoryInbox(clock=desk.clock)


def fail(*_: object, **__: object) -> Any:
    raise KeyError(SECRET)


def reject_all(conversation: Conversation) -> bool:
    return False


def get_ids(source: object) -> dict[str, Any]:
    """Return the ids of an outcome that are known."""
    return {name: value for name in IDS if (value := getattr(source, name)) is not None}


def check_records(caplog: pytest.LogCaptureFixture, *outcomes: Outcome) -> list[str]:
    """Check that each record names one of the events in plain fields; return the lines."""
    expected = [get_ids(outcome) for outcome in outcomes]
    records = [record for record in caplog.records if record.name.startswith("triage")]
    for record in records:
        fields = get_fields(record)
        line = record.getMessage()
        assert {name: fields[name] for name in IDS if name in fields} in expected, line
        assert all(str(fields[name]) in line for name in IDS if name in fields)
        arguments = record.args if isinstance(record.args, tuple) else ()
        assert {type(value) for value in (*fields.values(), *filter(None, arguments))} <= {str, int, float, bool}, line
        assert record.exc_info is None
    assert "4711" not in caplog.text
    return [record.getMessage() for record in records]


# A way that an event takes: its name in the tests, the options of the Router, and a part of a line that must be logged.
Path = tuple[Callable[[Desk], dict[str, Any]], str]


def reject(desk: Desk) -> dict[str, Any]:
    async def perform(*_: object) -> None:
        raise VendorError("it has no such tag", vendor=desk.name, call="PUT /tags", status=422)

    vendor = desk.adapter()
    object.__setattr__(vendor, "perform", perform)
    return {"vendor": vendor, "buckets": only(Tag("seen"))}


def fail_to_read(desk: Desk) -> dict[str, Any]:
    desk.fake.fail(desk.read, status=500, times=None)
    return {"limits": Limits(failures=1, pause=30)}


PATHS: dict[str, Path] = {
    "routed": (lambda desk: {}, "routed conversation="),
    "ignored": (lambda desk: {"when": reject_all}, "ignored conversation="),
    "dry run": (lambda desk: {"dry_run": True}, "planned conversation="),
    "partial": (reject, "partial conversation="),
    "help desk down": (fail_to_read, "is not called for 30 s ["),
    "classifier raises": (lambda desk: {"classifier": Broken()}, "the classifier raised ConnectionError"),
    "classifier down": (
        lambda desk: {"classifier": Broken(), "limits": Limits(failures=1, pause=30)},
        "is not called for 30 s [",
    ),
    "escalation raises": (
        lambda desk: {"classifier": Cascade([lambda text: "general", lambda text: "spam"], escalate=fail)},
        "the `escalate` function of Cascade raised KeyError",
    ),
    "voter raises": (lambda desk: {"classifier": Vote([Broken(), lambda text: "general"])}, "raised ConnectionError"),
    "condition raises": (lambda desk: {"when": fail}, "the Router's `when` function raised KeyError"),
    "function raises": (
        lambda desk: {"buckets": only(Run("page")), "functions": {"page": fail}},
        "failed conversation=",
    ),
}


@pytest.mark.parametrize("path", PATHS)
def test_every_record_about_an_event_names_it(
    desk: Desk, api: Api, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    prepare, line = PATHS[path]
    webhook = desk.fake.customer_writes(SECRET)
    router = desk.router(**prepare(desk))
    router.add_observer(BrokenObserver())
    outcome = api.handle(router, webhook.body, webhook.headers).outcome
    assert outcome.conversation_id == webhook.conversation_id
    assert outcome.key
    lines = check_records(caplog, outcome)
    assert any(line in logged for logged in lines), lines
    assert any("an observer raised ZeroDivisionError" in logged for logged in lines), lines


def test_a_record_of_claude_names_the_event(
    desk: Desk, api: Api, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeClaude()
    fake.fail(status=404, times=2)
    with fake.serve() as url:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", url)
        router = desk.router(classifier=Claude(api_key="sk-ant-test", fallback_model="claude-haiku-4-5"))
        webhook = desk.fake.customer_writes(SECRET)
        outcome = api.handle(router, webhook.body, webhook.headers).outcome
    lines = check_records(caplog, outcome)
    assert any(logged.startswith("asking claude-haiku-4-5: ") for logged in lines)
    assert any(logged.startswith("no verdict: ") for logged in lines)


def test_a_record_of_an_adapter_names_the_event(desk: Desk, api: Api, caplog: pytest.LogCaptureFixture) -> None:
    """A delivery has no key until it is parsed."""
    vendor = desk.adapter()

    def log_first(method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: object) -> Any:
            Listed.parse_data({"elements": [1, SECRET]})
            return method(*arguments)

        return call

    for name in ("parse", "fetch", "perform"):
        object.__setattr__(vendor, name, log_first(getattr(vendor, name)))
    webhook = desk.fake.customer_writes(SECRET)
    outcome = api.handle(desk.router(vendor=vendor, buckets=only(Tag("seen"))), webhook.body, webhook.headers).outcome
    lines = check_records(caplog, outcome, outcome.model_copy(update={"key": None}))
    skipped = [line.partition(" [")[0] for line in lines if line.startswith("skipped")]
    assert skipped == ["skipped 1 of 2 elements of 'elements', which cannot be parsed"] * 3


def test_records_of_a_stored_event_name_it(
    desk: Desk, api: Api, inbox: MemoryInbox, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.fake.fail(desk.read, status=422, times=None)
    router = desk.router(inbox=inbox)
    router.add_observer(BrokenObserver())
    router.on_stored(fail)
    webhook = desk.fake.customer_writes(SECRET)
    outcome = api.handle(router, webhook.body, webhook.headers).outcome
    duplicate = desk.fake.redeliver(webhook)
    api.handle(router, duplicate.body, duplicate.headers)
    assert outcome.key is not None
    api.process(router, outcome.key)
    api.process(router, outcome.key)
    unstored = desk.fake.customer_writes(SECRET)
    monkeypatch.setattr(inbox, "add", raise_inbox_error)
    failure = api.handle(router, unstored.body, unstored.headers).outcome
    lines = check_records(caplog, outcome, failure)
    for line in (
        "accepted conversation=",
        "the event was stored, but a listener raised KeyError",
        "duplicate conversation=",
        "the event was dead-lettered after 1 attempts: ",
        "reason=the disk is full",
    ):
        assert any(line in logged for logged in lines), line


def raise_inbox_error(*_: object, **__: object) -> bool:
    raise InboxError("the disk is full")


def test_records_of_limits_name_the_event(desk: Desk, api: Api, caplog: pytest.LogCaptureFixture) -> None:
    router = desk.router(classifier=Priced(), limits=Limits(daily_usd=1, max_per_conversation=(1, "1d")))
    first = desk.fake.customer_writes(SECRET)
    second = desk.fake.customer_writes(SECRET)
    outcomes = [api.handle(router, webhook.body, webhook.headers).outcome for webhook in (first, second)]
    lines = check_records(caplog, *outcomes)
    assert "the daily budget of 1 USD for verdicts is spent" in lines[-1]


def test_a_delivery_without_an_event_is_named_as_far_as_it_can_be(
    desk: Desk, api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    router = desk.router()
    webhooks = [webhook for _, webhook in desk.ignored()]
    for webhook in webhooks:
        caplog.clear()
        outcome = api.handle(router, webhook.body, webhook.headers).outcome
        check_records(caplog, outcome)
        vendor = desk.adapter()
        conversation_id, event_id = vendor.identify(Delivery.create(webhook.body, webhook.headers, desk.clock()))
        assert outcome.event_id == event_id
        assert conversation_id is None or outcome.conversation_id in (None, conversation_id)


def test_a_forged_delivery_is_logged_without_the_ids_that_it_claims(
    desk: Desk, api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    webhook = desk.fake.customer_writes(SECRET)
    outcome = api.handle(desk.router(), webhook.body, {}).outcome
    (line,) = check_records(caplog, outcome)
    assert line.startswith(f"{desk.name} refused conversation=None event=None key=None")
