"""Replay compares how stored events were treated with another policy, and changes nothing."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from tests.helpers.api import Api
from tests.helpers.desks import DESKS, Desk, FrontDesk, IntercomDesk
from tests.helpers.routing import handle, only
from tests.helpers.watched import WatchedInbox
from triage import (
    Action,
    Assign,
    Bucket,
    Close,
    Conversation,
    Limits,
    Note,
    Reply,
    Router,
    SetFields,
    Snooze,
    Tag,
    Verdict,
    Worker,
)
from triage.policy import Buckets
from triage.replay import Comparison, replay


@pytest.fixture
def desk(request: pytest.FixtureRequest) -> Desk:
    """Intercom, unless a test names other vendors: only the plan of the steps depends on the vendor."""
    return DESKS[getattr(request, "param", "intercom")]()


def route_messages(desk: Desk, inbox: WatchedInbox, *texts: str, **options: Any) -> None:
    """Route messages with a first policy."""
    router = desk.router(inbox=inbox, **options)
    with Worker(router):
        for text in texts:
            handle(Api("sync"), router, desk.fake.customer_writes(text))
        inbox.wait(len(texts))


def compare(router: Router, inbox: WatchedInbox) -> list[Comparison]:
    """Replay all events of an inbox in the order of their arrival."""

    async def collect() -> list[Comparison]:
        async with router:
            return [comparison async for comparison in replay(router, reversed(inbox.list_entries()))]

    return asyncio.run(collect())


# Comparing


@pytest.mark.parametrize("desk", list(DESKS), indirect=True)
def test_replay_finds_the_events_that_would_be_treated_differently_and_changes_nothing(
    desk: Desk, inbox: WatchedInbox
) -> None:
    route_messages(desk, inbox, "This is billing.", "This is urgent.", "Hello")
    calls, entries = len(desk.fake.calls), inbox.list_entries()

    def classify(text: str) -> str:
        return "spam" if "urgent" in text else "billing" if "billing" in text else "general"

    comparisons = compare(desk.router(classifier=classify), inbox)
    assert [(one.before.bucket, one.after.bucket, one.differs) for one in comparisons] == [
        ("billing", "billing", False),
        ("urgent", "spam", True),
        ("general", "general", False),
    ]
    assert comparisons[1].after.actions == (Close(),)
    assert (len(desk.fake.calls), inbox.list_entries()) == (calls, entries)


def test_events_without_a_verdict_are_left_out(desk: Desk, inbox: WatchedInbox) -> None:
    router = desk.router(inbox=inbox)
    handle(Api("sync"), router, desk.fake.customer_writes("Not processed yet"))
    unreadable = b'{"no": "event"}'
    Api("sync").handle(router, unreadable, desk.sign(unreadable))
    assert len(inbox.list_entries()) == 2
    assert compare(desk.router(), inbox) == []


def test_events_of_another_router_are_left_out(desk: Desk, inbox: WatchedInbox) -> None:
    route_messages(desk, inbox, "This is billing.")
    assert (len(compare(desk.router(), inbox)), compare(FrontDesk().router(), inbox)) == (1, [])


def test_skipped_actions_do_not_count_as_taken(desk: Desk, inbox: WatchedInbox) -> None:
    router = desk.router(inbox=inbox, buckets=only(Tag("seen"), Reply("Hi")))
    webhook = desk.fake.customer_writes("Hello")
    desk.fake.agent_writes("Let me look into it.", conversation=webhook.conversation_id or "")
    handle(Api("sync"), router, webhook)
    with Worker(router):
        inbox.wait()
    assert [one.before.actions for one in compare(router, inbox)] == [(Tag("seen"),)]


# What counts as a difference

TEAMS = list(IntercomDesk.teams.values())
BEFORE: Sequence[Action] = (Assign(team=TEAMS[0]), Tag("a"), Note("So: {reason}"), SetFields({"x": "{reason}"}))


@pytest.mark.parametrize(
    ("after", "differs"),
    [
        (BEFORE, False),
        ((*BEFORE[:2], Note("Another text"), SetFields({"x": "{bucket}"})), False),
        ((Assign(team=TEAMS[1]), *BEFORE[1:]), True),
        ((BEFORE[0], Tag("b"), *BEFORE[2:]), True),
        ((*BEFORE[:3], SetFields({"y": "{reason}"})), True),
        (BEFORE[1:], True),
        ((*BEFORE, Reply("Hi")), True),
        ((*BEFORE, Snooze(timedelta(hours=1))), True),
    ],
    ids=["same", "other texts", "team", "tag", "field", "one fewer", "reply", "snooze"],
)
def test_actions_are_compared_without_the_texts_of_notes_and_fields(
    desk: Desk, inbox: WatchedInbox, after: Sequence[Action], differs: bool
) -> None:
    route_messages(desk, inbox, "Hello", buckets=only(*BEFORE))
    (comparison,) = compare(desk.router(buckets=only(*after)), inbox)
    assert comparison.differs is differs


def test_a_snooze_that_would_end_later_is_not_a_difference(desk: Desk, inbox: WatchedInbox) -> None:
    buckets = only(Snooze(timedelta(hours=1)))
    route_messages(desk, inbox, "Hello", buckets=buckets)
    desk.clock.now += 1000
    assert [one.differs for one in compare(desk.router(buckets=buckets), inbox)] == [False]


# The classifier


def test_another_mode_is_a_difference_and_the_cost_is_reported_but_not_added_to_the_budget(
    desk: Desk, inbox: WatchedInbox
) -> None:
    class PricedClassifier:
        priced = True

        async def classify_async(self, conversation: Conversation, buckets: Buckets) -> Verdict:
            return Verdict(bucket="general", cost_usd=0.001)

    route_messages(desk, inbox, "Hello", buckets=only(Tag("seen")))
    buckets = [Bucket("general", "Everything", [Tag("seen")], mode="shadow")]
    router = desk.router(buckets=buckets, classifier=PricedClassifier(), inbox=inbox, limits=Limits(daily_usd=0))
    (comparison,) = compare(router, inbox)
    assert (comparison.before.status, comparison.after.status, comparison.differs) == ("routed", "shadowed", True)
    assert comparison.cost_usd == 0.001
    assert inbox.get_spending("spent:2026-11-24") == 0


def test_a_classifier_that_is_down_leads_to_fallback_verdicts_and_does_not_open_the_circuit_breaker(
    desk: Desk, inbox: WatchedInbox
) -> None:
    def classify(text: str) -> str:
        raise RuntimeError

    route_messages(desk, inbox, *["Hello"] * 3)
    comparisons = compare(desk.router(classifier=classify, inbox=inbox, limits=Limits(failures=1)), inbox)
    assert [one.after.fallback for one in comparisons] == [True] * 3
    assert inbox.get_pause("the classifier of intercom") == 0
