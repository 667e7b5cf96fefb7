"""Stored events against another policy: who would have been treated differently, with nothing touched."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.api import Api
from tests.helpers.desks import Desk, FrontDesk, IntercomDesk
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
def inbox(desk: Desk, tmp_path: Path) -> WatchedInbox:
    return WatchedInbox(tmp_path / "triage.db", clock=desk.clock)


def routed(desk: Desk, inbox: WatchedInbox, *texts: str, **options: Any) -> None:
    """Have messages routed by a first policy."""
    router = desk.router(inbox=inbox, **options)
    with Worker(router):
        for text in texts:
            handle(Api("sync"), router, desk.fake.customer_writes(text))
        inbox.wait(len(texts))


def compared(router: Router, inbox: WatchedInbox) -> list[Comparison]:
    async def all_of_them() -> list[Comparison]:
        async with router:
            return [comparison async for comparison in replay(router, reversed(inbox.list_entries()))]

    return asyncio.run(all_of_them())


def test_only_who_is_treated_differently_differs_and_nothing_is_touched(desk: Desk, inbox: WatchedInbox) -> None:
    routed(desk, inbox, "This is billing.", "This is urgent.", "Hello")
    calls, entries = len(desk.fake.calls), inbox.list_entries()

    def stricter(text: str) -> str:
        return "spam" if "urgent" in text else "billing" if "billing" in text else "general"

    comparisons = compared(desk.router(classifier=stricter), inbox)
    assert [(one.before.bucket, one.after.bucket, one.differs) for one in comparisons] == [
        ("billing", "billing", False),
        ("urgent", "spam", True),
        ("general", "general", False),
    ]
    assert comparisons[1].after.actions == (Close(),)
    assert (len(desk.fake.calls), inbox.list_entries()) == (calls, entries)
    inbox.close()


TEAMS = list(IntercomDesk.teams.values())
BEFORE: Sequence[Action] = (Assign(team=TEAMS[0]), Tag("a"), Note("So: {reason}"), SetFields({"x": "{reason}"}))


@pytest.mark.parametrize(
    ("after", "differs"),
    [
        (BEFORE, False),
        ((*BEFORE[:2], Note("Other words"), SetFields({"x": "{bucket}"})), False),
        ((Assign(team=TEAMS[1]), *BEFORE[1:]), True),
        ((BEFORE[0], Tag("b"), *BEFORE[2:]), True),
        ((*BEFORE[:3], SetFields({"y": "{reason}"})), True),
        (BEFORE[1:], True),
        ((*BEFORE, Reply("Hi")), True),
        ((*BEFORE, Snooze(timedelta(hours=1))), True),
    ],
)
def test_actions_differ_but_not_by_a_models_words(tmp_path: Path, after: Sequence[Action], differs: bool) -> None:
    desk = IntercomDesk()
    inbox = WatchedInbox(tmp_path / "triage.db", clock=desk.clock)
    routed(desk, inbox, "Hello", buckets=only(*BEFORE))
    (comparison,) = compared(desk.router(buckets=only(*after)), inbox)
    assert comparison.differs is differs
    inbox.close()


def test_a_time_that_passes_is_no_difference(tmp_path: Path) -> None:
    desk = IntercomDesk()
    inbox = WatchedInbox(tmp_path / "triage.db", clock=desk.clock)
    snoozing = only(Snooze(timedelta(hours=1)))
    routed(desk, inbox, "Hello", buckets=snoozing)
    desk.clock.now += 1000
    assert [one.differs for one in compared(desk.router(buckets=snoozing), inbox)] == [False]
    inbox.close()


def test_another_mode_differs_and_what_it_costs_is_told(tmp_path: Path) -> None:
    class Priced:
        priced = True

        async def classify_async(self, conversation: Conversation, buckets: Buckets) -> Verdict:
            return Verdict(bucket="general", cost_usd=0.001)

    desk = IntercomDesk()
    inbox = WatchedInbox(tmp_path / "triage.db", clock=desk.clock)
    routed(desk, inbox, "Hello", buckets=only(Tag("seen")))
    shadowing = [Bucket("general", "Everything", [Tag("seen")], mode="shadow")]
    router = desk.router(buckets=shadowing, classifier=Priced(), inbox=inbox, limits=Limits(daily_usd=0))
    (comparison,) = compared(router, inbox)
    assert (comparison.before.status, comparison.after.status, comparison.differs) == ("routed", "shadowed", True)
    assert comparison.cost_usd == 0.001
    assert inbox.get_spending("spent:2026-11-24") == 0
    inbox.close()


def test_what_never_had_a_verdict_is_left_out(desk: Desk, inbox: WatchedInbox) -> None:
    router = desk.router(inbox=inbox)
    handle(Api("sync"), router, desk.fake.customer_writes("Not begun"))
    body = b'{"no": "event"}'
    Api("sync").handle(router, body, desk.sign(body))
    assert compared(desk.router(), inbox) == []
    inbox.close()


def test_what_another_help_desk_had_is_left_out(desk: Desk, inbox: WatchedInbox) -> None:
    routed(desk, inbox, "This is billing.")
    other = FrontDesk() if desk.name == "intercom" else IntercomDesk()
    assert (len(compared(desk.router(), inbox)), compared(other.router(), inbox)) == (1, [])
    inbox.close()


def test_a_classifier_that_is_down_is_told_and_shuts_nothing(desk: Desk, inbox: WatchedInbox) -> None:
    def down(text: str) -> str:
        raise RuntimeError

    routed(desk, inbox, *["Hello"] * 3)
    comparisons = compared(desk.router(classifier=down, inbox=inbox, limits=Limits(failures=1)), inbox)
    assert [one.after.fallback for one in comparisons] == [True] * 3
    assert inbox.get_pause("the classifier") == 0
    inbox.close()


def test_what_a_human_had_taken_is_compared_without_what_was_left_undone(desk: Desk, inbox: WatchedInbox) -> None:
    router = desk.router(inbox=inbox, buckets=only(Tag("seen"), Reply("Hi")))
    webhook = desk.fake.customer_writes("Hello")
    desk.fake.agent_writes("I have it.", conversation=webhook.conversation_id or "")
    handle(Api("sync"), router, webhook)
    with Worker(router):
        inbox.wait()
    assert [one.before.actions for one in compared(router, inbox)] == [(Tag("seen"),)]
    inbox.close()
