"""How much a Router may do and spend, and when it stops calling a service that is down."""

import contextlib
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.api import Api
from tests.helpers.desks import Desk, IntercomDesk
from tests.helpers.routing import handle, only, receive, step_results
from tests.helpers.watched import WatchedInbox
from triage import ConfigurationError, Conversation, Limits, Reply, Tag, Verdict, Worker
from triage.classifiers import Claude, Price
from triage.inbox import SQLiteInbox
from triage.limits import parse_duration
from triage.policy import Buckets
from triage.testing import RateLimit


class ScriptedClassifier:
    """Returns or raises the given results in turn, repeats the last one, and counts its calls."""

    priced = True

    def __init__(self, *results: Verdict | Exception) -> None:
        self.results = list(results)
        self.calls = 0

    def classify(self, conversation: Conversation, buckets: Buckets) -> Verdict:
        self.calls += 1
        result = self.results.pop(0) if len(self.results) > 1 else self.results[0]
        if isinstance(result, Exception):
            raise result
        return result


VERDICT = Verdict(bucket="general")
UNAVAILABLE = Verdict(bucket="general", confidence=0, fallback_reason="unavailable", reason="Claude answered 529")


def get_levels(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the levels of the log lines about outcomes."""
    return [record.levelname for record in caplog.records if record.name == "triage.engine.observe"]


@pytest.fixture
def desk() -> Desk:
    """Intercom, since the limits are the same for every vendor."""
    return IntercomDesk()


# Settings


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"daily_usd": -1.0}, "daily_usd must be a number of at least 0, or None, not -1.0"),
        ({"daily_usd": float("nan")}, "not nan"),
        ({"daily_usd": float("inf")}, "not inf. Write None for no limit"),
        ({"daily_usd": "20"}, "not '20'"),
        ({"daily_usd": True}, "not True"),
        (
            {"max_per_conversation": 10},
            r"a number and a period, or None, not 10. Write max_per_conversation=\(10, '1d'\)",
        ),
        ({"max_per_conversation": (0, "1d")}, r"not \(0, '1d'\)"),
        ({"replies_per_customer": (True, "1d")}, r"not \(True, '1d'\)"),
        (
            {"replies_per_customer": (1, "a day")},
            "the period of replies_per_customer must be a duration .* not 'a day'",
        ),
        ({"replies_per_customer": (1, 0)}, "the period of replies_per_customer must be more than 0"),
        ({"replies_per_customer": (1, "1d", 2)}, "a number and a period"),
        ({"max_age": "3 weeks"}, "max_age must be a duration such as '90s', '5m', '12h' or '7d'"),
        ({"max_age": 0}, "max_age must be more than 0. Write None for no limit"),
        ({"human_hold": -1}, "human_hold must be a duration"),
        ({"human_hold": None}, "not None"),
        ({"max_wait": float("nan")}, "not nan"),
        ({"failures": 0}, "failures must be an integer of at least 1, not 0"),
        ({"failures": None}, "not None"),
        ({"pause": float("inf")}, "pause must be a duration .* not inf"),
        ({"pause": 0}, "pause must be more than 0"),
    ],
)
def test_limits_out_of_range_are_rejected(options: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Limits(**options)


@pytest.mark.parametrize(
    ("duration", "seconds"),
    [("90s", 90), ("5m", 300), (" 1.5 h ", 5400), ("7d", 604800), (30, 30), (0.5, 0.5), (timedelta(minutes=1), 60)],
)
def test_a_duration_is_a_text_a_number_of_seconds_or_a_timedelta(duration: Any, seconds: float) -> None:
    assert parse_duration(duration, "max_age") == seconds


def test_a_router_that_cannot_enforce_its_limits_is_rejected(desk: Desk) -> None:
    with pytest.raises(ConfigurationError, match="debounce needs an inbox, where events can wait"):
        desk.router(debounce="30s")
    with pytest.raises(
        ConfigurationError, match=r"the cost of each verdict, and Claude\('claude-next'\) does not report it"
    ):
        desk.router(classifier=Claude("claude-next"), limits=Limits(daily_usd=1))
    desk.router(classifier=Claude("claude-next", prices={"claude-next": Price(1, 1, 1, 1)}), limits=Limits(daily_usd=1))


def test_a_router_has_the_default_limits(desk: Desk) -> None:
    assert desk.router().engine.limits == Limits()


# Messages per conversation


def test_messages_beyond_the_limit_of_a_conversation_are_ignored(
    desk: Desk, api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    """This ends a loop of two machines that answer each other."""
    classifier = ScriptedClassifier(VERDICT)
    router = desk.router(
        vendor=desk.adapter(**desk.everything),
        buckets=only(Tag("seen")),
        classifier=classifier,
        limits=Limits(max_per_conversation=(2, "1d")),
    )
    conversation = None
    outcomes = []
    for _ in range(4):
        desk.clock.now += 60
        webhook = desk.fake.customer_writes("I am a machine.", conversation=conversation)
        conversation = webhook.conversation_id
        outcomes.append(handle(api, router, webhook)[1])
    assert [outcome.status for outcome in outcomes] == ["routed", "routed", "ignored", "ignored"]
    assert outcomes[3].reason == "2 messages of the conversation were handled within 86400 s: left to people"
    assert classifier.calls == 2, "the ignored messages cost nothing"
    assert get_levels(caplog)[-2:] == ["WARNING", "WARNING"], "nobody may miss that a limit was reached"
    desk.clock.now += 86400
    later = handle(api, router, desk.fake.customer_writes("Again", conversation=conversation))[1]
    assert later.status == "routed", "the limit applies to a period, not for life"
    other = handle(api, router, desk.fake.customer_writes("Hello"))[1]
    assert other.status == "routed", "each conversation has its own limit"


# Replies per customer


def test_a_machine_that_opens_a_new_conversation_each_time_gets_few_replies(
    desk: Desk, api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    router = desk.router(buckets=only(Tag("seen"), Reply("We have your message.")))
    webhooks = [desk.fake.customer_writes("Thank you, we are on it.", email="help@acme.example") for _ in range(8)]
    outcomes = [handle(api, router, webhook)[1] for webhook in webhooks]
    replies = [len(desk.fake.replies(webhook.conversation_id or "")) for webhook in webhooks]
    assert replies == [1, 1, 1, 1, 1, 0, 0, 0]
    assert step_results(outcomes[-1]) == ["tag:done", "reply:skipped"], "it is labeled all the same"
    assert outcomes[-1].warnings == ("the customer got 5 automatic replies within 86400 s",)
    assert get_levels(caplog)[-1] == "WARNING"
    other = desk.fake.customer_writes("Hello", email="jonas@example.com")
    handle(api, router, other)
    assert len(desk.fake.replies(other.conversation_id or "")) == 1
    desk.clock.now += 86400
    again = desk.fake.customer_writes("Hello", email="help@acme.example")
    handle(api, router, again)
    assert len(desk.fake.replies(again.conversation_id or "")) == 1


# The daily budget


def test_messages_go_to_the_fallback_bucket_once_the_daily_budget_is_spent(desk: Desk, api: Api) -> None:
    classifier = ScriptedClassifier(VERDICT.model_copy(update={"cost_usd": 0.6}))
    router = desk.router(buckets=only(Tag("seen")), classifier=classifier, limits=Limits(daily_usd=1))
    outcomes = [handle(api, router, desk.fake.customer_writes("Hello"))[1] for _ in range(3)]
    verdict = outcomes[2].verdict
    assert verdict is not None
    assert (classifier.calls, verdict.fallback) == (2, True)
    assert verdict.reason == "the daily budget of 1 USD for verdicts is spent"
    assert step_results(outcomes[2]) == ["tag:done"]
    desk.clock.now += 24 * 3600
    handle(api, router, desk.fake.customer_writes("Hello"))
    assert classifier.calls == 3, "the next day has a budget of its own"


def test_a_verdict_without_a_cost_is_a_warning_if_there_is_a_budget(desk: Desk, api: Api) -> None:
    classifier = ScriptedClassifier(VERDICT.model_copy(update={"cost_usd": None}))
    router = desk.router(buckets=only(Tag("seen")), classifier=classifier, limits=Limits(daily_usd=1))
    _, outcome = handle(api, router, desk.fake.customer_writes("Hello"))
    assert outcome.status == "routed"
    assert outcome.warnings == ("the verdict has no cost_usd, so the daily budget does not include it",)


def test_all_workers_share_one_budget(desk: Desk, tmp_path: Path) -> None:
    classifier = ScriptedClassifier(VERDICT.model_copy(update={"cost_usd": 1.0}))
    for _ in range(2):
        with contextlib.closing(SQLiteInbox(tmp_path / "triage.db", clock=desk.clock)) as inbox:
            router = desk.router(inbox=inbox, classifier=classifier, limits=Limits(daily_usd=1))
            router.process(receive(router, desk))
    assert classifier.calls == 1


# A classifier that is down


@pytest.mark.parametrize("failure", [UNAVAILABLE, RuntimeError("down")], ids=["verdict", "error"])
def test_a_classifier_that_is_down_is_not_called_during_the_pause(desk: Desk, api: Api, failure: Any) -> None:
    classifier = ScriptedClassifier(failure)
    router = desk.router(classifier=classifier, buckets=only(Tag("seen")), limits=Limits(failures=3, pause=30))

    def get_verdict() -> Verdict:
        outcome = handle(api, router, desk.fake.customer_writes("Hello"))[1]
        assert outcome.verdict is not None
        assert step_results(outcome) == ["tag:done"], "the message is routed in any case"
        return outcome.verdict

    for _ in range(3):
        get_verdict()
    assert get_verdict().reason == "the classifier was down and is not called for another 30 s"
    assert classifier.calls == 3
    desk.clock.now += 31
    get_verdict()
    get_verdict()
    assert classifier.calls == 4, "after the pause, a single failure starts the next one"
    desk.clock.now += 31
    classifier.results = [VERDICT]
    assert not get_verdict().fallback
    assert not get_verdict().fallback


def test_a_refusal_by_the_classifier_does_not_open_the_circuit_breaker(desk: Desk, api: Api) -> None:
    classifier = ScriptedClassifier(UNAVAILABLE.model_copy(update={"fallback_reason": "refused"}))
    router = desk.router(classifier=classifier, buckets=only(Tag("seen")), limits=Limits(failures=1))
    for _ in range(3):
        handle(api, router, desk.fake.customer_writes("Hello"))
    assert classifier.calls == 3


def test_a_message_can_wait_until_the_classifier_is_back(desk: Desk, inbox: WatchedInbox) -> None:
    classifier = ScriptedClassifier(UNAVAILABLE, VERDICT)
    router = desk.router(inbox=inbox, classifier=classifier, limits=Limits(failures=1, pause=100))
    webhook = desk.fake.customer_writes("Hello")
    handle(Api("sync"), router, webhook)
    with Worker(router) as worker:
        inbox.wait()
        (entry,) = inbox.list_entries()
        assert (entry.state, entry.error, entry.ledger.verdict) == ("ready", "Claude answered 529", None)
        assert entry.due - desk.clock() == pytest.approx(100), "it waits until the classifier may be called again"
        desk.clock.now += 101
        worker._wake()
        inbox.wait()
    (entry,) = inbox.list_entries()
    assert (entry.state, classifier.calls) == ("finished", 2)
    assert len(desk.fake.replies(webhook.conversation_id or "")) == 1


def test_a_waiting_message_goes_to_the_fallback_bucket_on_its_last_attempt(
    desk: Desk, inbox: WatchedInbox, api: Api
) -> None:
    router = desk.router(inbox=inbox, classifier=ScriptedClassifier(UNAVAILABLE), limits=Limits(max_wait="1h"))
    event = receive(router, desk)
    statuses = []
    for event_or_key in (event, event.key, event.key):
        statuses.append(api.process(router, event_or_key, attempts=3).status)
        desk.clock.now += 1000
    assert statuses == ["failed", "failed", "routed"]


def test_a_message_waits_no_longer_than_max_wait(desk: Desk, inbox: WatchedInbox, api: Api) -> None:
    router = desk.router(inbox=inbox, classifier=ScriptedClassifier(UNAVAILABLE), limits=Limits(max_wait="5m"))
    event = receive(router, desk)
    assert api.process(router, event).status == "failed"
    desk.clock.now += 301
    outcome = api.process(router, event.key)
    assert outcome.verdict is not None
    assert (outcome.status, outcome.verdict.fallback_reason) == ("routed", "unavailable")


def test_all_workers_wait_as_long_as_the_classifier_asks(desk: Desk, inbox: WatchedInbox, api: Api) -> None:
    limited = UNAVAILABLE.model_copy(update={"retry_after": 20.0})
    classifier = ScriptedClassifier(limited, VERDICT)
    router = desk.router(inbox=inbox, classifier=classifier)
    first, second = receive(router, desk), receive(router, desk)
    assert api.process(router, first).status == "failed"
    assert api.process(router, second).reason == "the classifier was down and is not called for another 20 s"
    assert classifier.calls == 1
    (entry, _) = inbox.list_entries()
    assert entry.due - desk.clock() >= 20
    desk.clock.now += 30
    assert [api.process(router, key).status for key in (first.key, second.key)] == ["routed", "routed"]


def test_without_an_inbox_no_message_waits_for_the_classifier(desk: Desk, api: Api) -> None:
    outcome = handle(api, desk.router(classifier=ScriptedClassifier(UNAVAILABLE)), desk.fake.customer_writes("Hello"))[
        1
    ]
    assert outcome.status == "routed"


# A help desk that is down, or limits the rate


def test_a_help_desk_that_is_down_is_not_called_during_the_pause(desk: Desk, api: Api) -> None:
    router = desk.router(buckets=only(Tag("seen")), limits=Limits(failures=2, pause=30))
    desk.fake.fail(status=503, times=None, headers={"Retry-After": "0"})
    first = handle(api, router, desk.fake.customer_writes("Hello"))[1]
    calls = len(desk.fake.calls)
    second = handle(api, router, desk.fake.customer_writes("Hello"))[1]
    assert (first.status, second.status) == ("failed", "failed")
    assert "not called for another 30 s: its rate limit is used up, or it is down" in second.reason
    assert len(desk.fake.calls) == calls == 2
    desk.fake.recover()
    desk.clock.now += 31
    assert handle(api, router, desk.fake.customer_writes("Hello"))[1].status == "routed"


def test_all_workers_respect_a_rate_limit_that_one_of_them_used_up(desk: Desk, tmp_path: Path, api: Api) -> None:
    """A worker learns of it from the headers of a response, the others from the inbox."""
    desk.fake.rate_limit = RateLimit(1, 3600)
    inboxes = [SQLiteInbox(tmp_path / "triage.db", clock=desk.clock) for _ in range(2)]
    routers = [desk.router(inbox=inbox, buckets=only(Tag("seen"))) for inbox in inboxes]
    outcomes = [api.process(router, receive(router, desk)) for router in routers]
    assert ["its rate limit is used up" in outcome.reason for outcome in outcomes] == [True, True]
    assert len(desk.fake.calls) == 1
    entry = inboxes[0].get_entry(outcomes[1].key or "")
    assert entry is not None
    rest_of_window = 3600 - desk.clock() % 3600
    assert entry.due - desk.clock() == pytest.approx(rest_of_window), "it is retried when the window has ended"
    for inbox in inboxes:
        inbox.close()


def test_a_short_rate_limit_pause_is_waited_out(desk: Desk, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.fake.rate_limit = RateLimit(1, 10)
    delays: list[float] = []

    async def sleep(self: object, seconds: float) -> None:
        delays.append(seconds)
        desk.clock.now += seconds

    monkeypatch.setattr("triage.io.ports.SyncIO.sleep", sleep)
    monkeypatch.setattr("triage.io.ports.AsyncIO.sleep", sleep)
    outcome = handle(api, desk.router(buckets=only(Tag("seen"))), desk.fake.customer_writes("Hello"))[1]
    assert outcome.status == "routed"
    assert len(delays) >= 2
    assert max(delays) <= 10


def test_a_worker_leases_no_events_while_the_help_desk_must_not_be_called(
    desk: Desk, inbox: WatchedInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks = threading.Semaphore(0)
    get_pause = inbox.get_pause

    def get_pause_and_count(name: str) -> float:
        checks.release()
        return get_pause(name)

    monkeypatch.setattr(inbox, "get_pause", get_pause_and_count)
    inbox.set_pause("intercom", 60)
    router = desk.router(inbox=inbox)
    handle(Api("sync"), router, desk.fake.customer_writes("Hello"))
    with Worker(router) as worker:
        assert checks.acquire(timeout=20)
        (entry,) = inbox.list_entries()
        assert (entry.state, entry.attempts) == ("ready", 0)
        desk.clock.now += 61
        worker._wake()
        inbox.wait()
    assert inbox.count_states()["finished"] == 1
