"""What a Router may do and spend, and when it leaves a service alone."""

import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.api import Api
from tests.helpers.desks import Desk, IntercomDesk
from tests.helpers.routing import handle, only, step_results
from tests.helpers.watched import WatchedInbox
from triage import ConfigurationError, Conversation, Limits, Router, Tag, Verdict, Worker
from triage.classifiers import Claude, Price
from triage.inbox import SQLiteInbox
from triage.policy import Buckets
from triage.testing import RateLimit


class Scripted:
    """Returns these verdicts in turn, repeats the last one, and counts how often it was asked."""

    priced = True

    def __init__(self, *verdicts: Verdict | Exception) -> None:
        self.verdicts = list(verdicts)
        self.asked = 0

    def classify(self, conversation: Conversation, buckets: Buckets) -> Verdict:
        self.asked += 1
        verdict = self.verdicts.pop(0) if len(self.verdicts) > 1 else self.verdicts[0]
        if isinstance(verdict, Exception):
            raise verdict
        return verdict


GOOD = Verdict(bucket="general")
DOWN = Verdict(bucket="general", confidence=0, fallback=True, unavailable=True, reason="Claude answered 529")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"daily_usd": -1.0}, "daily_usd must be a number of at least 0, or None, not -1.0"),
        ({"daily_usd": float("nan")}, "not nan"),
        ({"daily_usd": float("inf")}, "not inf. Write None for no limit"),
        ({"daily_usd": "20"}, "not '20'"),
        ({"daily_usd": True}, "not True"),
        ({"max_per_conversation": 0}, "max_per_conversation must be an integer of at least 1, or None, not 0"),
        ({"max_per_conversation": 1.5}, "not 1.5"),
        ({"max_per_conversation": True}, "not True"),
        ({"failures": 0}, "failures must be an integer of at least 1, not 0"),
        ({"failures": None}, "not None"),
        ({"pause": float("inf")}, "pause must be a number of seconds, more than 0 and finite, not inf"),
        ({"pause": 0}, "not 0"),
        ({"pause": timedelta(seconds=30)}, "not datetime.timedelta"),
        ({"without_verdict": "panic"}, "without_verdict must be 'fallback' or 'wait', not 'panic'"),
    ],
)
def test_limits_out_of_range_are_rejected(options: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Limits(**options)


def test_a_router_that_could_not_keep_its_limits_is_refused() -> None:
    desk = IntercomDesk()
    with pytest.raises(ConfigurationError, match="needs an inbox, where events can wait"):
        desk.router(limits=Limits(without_verdict="wait"))
    with pytest.raises(
        ConfigurationError, match=r"what a verdict costs, and Claude\('claude-next'\) does not report it"
    ):
        desk.router(classifier=Claude("claude-next"), limits=Limits(daily_usd=1))
    desk.router(classifier=Claude("claude-next", prices={"claude-next": Price(1, 1, 1, 1)}), limits=Limits(daily_usd=1))


# The conversation


def test_something_is_done_for_so_many_messages_of_a_conversation_and_no_more(desk: Desk, api: Api) -> None:
    """Two machines that answer each other come to an end."""
    classifier = Scripted(GOOD)
    router = desk.router(
        vendor=desk.adapter(**desk.everything),
        buckets=only(Tag("seen")),
        classifier=classifier,
        limits=Limits(max_per_conversation=2),
    )
    conversation = None
    outcomes = []
    for _ in range(4):
        webhook = desk.fake.customer_writes("I am a machine.", conversation=conversation)
        conversation = webhook.conversation_id
        outcomes.append(handle(api, router, webhook)[1])
    assert [outcome.status for outcome in outcomes] == ["routed", "routed", "ignored", "ignored"]
    assert outcomes[3].reason == "2 messages of the conversation were already handled: left to people"
    assert classifier.asked == 2, "nor is it paid for"
    assert handle(api, router, desk.fake.customer_writes("Hello"))[1].status == "routed", "others are not concerned"


# The budget


def test_the_days_budget_is_spent_and_then_the_fallback_stands_in_and_says_so(desk: Desk, api: Api) -> None:
    classifier = Scripted(GOOD.model_copy(update={"cost_usd": 0.6}))
    router = desk.router(buckets=only(Tag("seen")), classifier=classifier, limits=Limits(daily_usd=1))
    outcomes = [handle(api, router, desk.fake.customer_writes("Hello"))[1] for _ in range(3)]
    verdict = outcomes[2].verdict
    assert verdict is not None
    assert (classifier.asked, verdict.fallback, verdict.reason) == (
        2,
        True,
        "the daily budget of 1 USD for verdicts is spent",
    )
    assert step_results(outcomes[2]) == ["tag:done"]
    desk.clock.now += 24 * 3600
    handle(api, router, desk.fake.customer_writes("Hello"))
    assert classifier.asked == 3


def test_all_workers_spend_the_same_budget(tmp_path: Path) -> None:
    desk = IntercomDesk()
    classifier = Scripted(GOOD.model_copy(update={"cost_usd": 1.0}))
    for _ in range(2):
        inbox = SQLiteInbox(tmp_path / "triage.db", clock=desk.clock)
        router = desk.router(inbox=inbox, classifier=classifier, limits=Limits(daily_usd=1))
        event = router.receive(*parts(desk.fake.customer_writes("Hello"))).event
        assert event is not None
        router.process(event)
        inbox.close()
    assert classifier.asked == 1


def parts(webhook: Any) -> tuple[bytes, dict[str, str]]:
    return webhook.body, webhook.headers


# The classifier


@pytest.mark.parametrize("failure", [DOWN, RuntimeError("down")], ids=["verdict", "error"])
def test_a_classifier_that_is_down_is_left_alone_for_a_while(desk: Desk, api: Api, failure: Any) -> None:
    classifier = Scripted(failure)
    router = desk.router(classifier=classifier, buckets=only(Tag("seen")), limits=Limits(failures=3, pause=30))

    def verdict() -> Verdict:
        outcome = handle(api, router, desk.fake.customer_writes("Hello"))[1]
        assert outcome.verdict is not None
        assert step_results(outcome) == ["tag:done"], "it is routed all the same"
        return outcome.verdict

    for _ in range(3):
        verdict()
    assert verdict().reason == "the classifier was down and is not asked for another 30 s"
    assert classifier.asked == 3
    desk.clock.now += 31
    verdict()
    verdict()
    assert classifier.asked == 4, "after the pause one failure is enough"
    desk.clock.now += 31
    classifier.verdicts = [GOOD]
    assert not verdict().fallback
    assert not verdict().fallback


def test_a_refusal_is_no_sign_that_the_classifier_is_down(desk: Desk, api: Api) -> None:
    classifier = Scripted(DOWN.model_copy(update={"unavailable": False}))
    router = desk.router(classifier=classifier, buckets=only(Tag("seen")), limits=Limits(failures=1))
    for _ in range(3):
        handle(api, router, desk.fake.customer_writes("Hello"))
    assert classifier.asked == 3


def test_a_message_may_wait_until_the_classifier_is_back(tmp_path: Path) -> None:
    desk = IntercomDesk()
    inbox = WatchedInbox(tmp_path / "triage.db", clock=desk.clock)
    classifier = Scripted(DOWN, GOOD)
    router = desk.router(
        inbox=inbox, classifier=classifier, limits=Limits(without_verdict="wait", failures=1, pause=100)
    )
    webhook = desk.fake.customer_writes("Hello")
    handle(Api("sync"), router, webhook)
    with Worker(router) as worker:
        inbox.wait()
        (entry,) = inbox.list_entries()
        assert (entry.state, entry.error, entry.ledger.verdict) == ("ready", "Claude answered 529", None)
        assert entry.due - desk.clock() == pytest.approx(100), "not before the classifier is asked again"
        desk.clock.now += 101
        worker._wake()
        inbox.wait()
    (entry,) = inbox.list_entries()
    assert (entry.state, classifier.asked) == ("finished", 2)
    assert len(desk.fake.replies(webhook.conversation_id or "")) == 1
    inbox.close()


def test_who_waited_for_long_enough_goes_to_the_fallback_bucket(tmp_path: Path, api: Api) -> None:
    desk = IntercomDesk()
    inbox = SQLiteInbox(tmp_path / "triage.db", clock=desk.clock)
    router = desk.router(inbox=inbox, classifier=Scripted(DOWN), limits=Limits(without_verdict="wait"))
    webhook = desk.fake.customer_writes("Hello")
    event = router.receive(*parts(webhook)).event
    assert event is not None
    key: Any = event
    statuses = []
    for _ in range(3):
        statuses.append(api.process(router, key, attempts=3).status)
        key = event.key
        desk.clock.now += 1000
    assert statuses == ["failed", "failed", "routed"]
    inbox.close()


# The help desk


def test_a_help_desk_that_is_down_is_left_alone_for_a_while(desk: Desk, api: Api) -> None:
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


def test_a_limit_that_is_used_up_is_kept_by_all_workers(tmp_path: Path, api: Api) -> None:
    """What one worker reads in an answer's headers, another one knows before it calls."""
    desk = IntercomDesk()
    desk.fake.rate_limit = RateLimit(1, 3600)
    inboxes = [SQLiteInbox(tmp_path / "triage.db", clock=desk.clock) for _ in range(2)]
    routers = [desk.router(inbox=inbox, buckets=only(Tag("seen"))) for inbox in inboxes]
    outcomes = []
    for router in routers:
        event = router.receive(*parts(desk.fake.customer_writes("Hello"))).event
        assert event is not None
        outcomes.append(api.process(router, event))
    assert ["its rate limit is used up" in outcome.reason for outcome in outcomes] == [True, True]
    assert len(desk.fake.calls) == 1
    entry = inboxes[0].get_entry(outcomes[1].key or "")
    assert entry is not None
    left = 3600 - desk.clock() % 3600
    assert entry.due - desk.clock() == pytest.approx(left), "it is tried again when the window is over"
    for inbox in inboxes:
        inbox.close()


def test_a_short_wait_is_waited_for(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = IntercomDesk()
    desk.fake.rate_limit = RateLimit(1, 10)
    waited: list[float] = []

    async def sleep(self: object, seconds: float) -> None:
        waited.append(seconds)
        desk.clock.now += seconds

    monkeypatch.setattr("triage.io.ports.SyncIO.sleep", sleep)
    monkeypatch.setattr("triage.io.ports.AsyncIO.sleep", sleep)
    outcome = handle(api, desk.router(buckets=only(Tag("seen"))), desk.fake.customer_writes("Hello"))[1]
    assert outcome.status == "routed"
    assert len(waited) >= 2
    assert max(waited) <= 10


def test_a_worker_takes_nothing_while_the_help_desk_is_left_alone(tmp_path: Path) -> None:
    desk = IntercomDesk()
    inbox = WatchedInbox(tmp_path / "triage.db", clock=desk.clock)
    asked = threading.Semaphore(0)
    held = inbox.get_pause

    def counted(name: str) -> float:
        asked.release()
        return held(name)

    inbox.get_pause = counted  # type: ignore[method-assign]
    inbox.set_pause("intercom", 60)
    router = desk.router(inbox=inbox)
    handle(Api("sync"), router, desk.fake.customer_writes("Hello"))
    with Worker(router) as worker:
        assert asked.acquire(timeout=20)
        (entry,) = inbox.list_entries()
        assert (entry.state, entry.attempts) == ("ready", 0)
        desk.clock.now += 61
        worker._wake()
        inbox.wait()
    assert inbox.count_states()["finished"] == 1
    inbox.close()


# Defaults


def test_the_default_limits_are_those_of_a_router() -> None:
    router: Router = IntercomDesk().router()
    assert router.engine.limits == Limits()
