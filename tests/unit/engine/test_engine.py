"""Previewing a conversation: the verdict and the plan, without any other effect."""

import asyncio
import gc
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.helpers.api import Api
from tests.helpers.desks import Desk, IntercomDesk
from tests.helpers.watched import WatchedInbox
from triage import Action, Bucket, Close, Conversation, Limits, Note, Reply, Router, Snooze, Tag, Verdict
from triage.io import fork
from triage.io.ports import AsyncIO, SyncIO, run
from triage.models import Customer, Ledger, Message
from triage.policy import Buckets

CONVERSATION = Conversation(
    id="1", customer=Customer(name="Mira"), messages=(Message(id="1", role="customer", text="This is billing."),)
)


class PricedClassifier:
    priced = True

    def classify(self, conversation: Conversation, buckets: Buckets) -> Verdict:
        return Verdict(bucket="billing", cost_usd=0.5)


class BrokenClassifier:
    def classify(self, conversation: Conversation, buckets: Buckets) -> Verdict:
        raise RuntimeError


@pytest.fixture
def desk() -> Desk:
    """Intercom, since only the plan depends on the vendor."""
    return IntercomDesk()


def preview(api: Api, router: Router, conversation: Conversation = CONVERSATION) -> Ledger:
    """Preview a conversation through one of the ports."""
    if api.name == "sync":
        return run(router.engine.preview(conversation, SyncIO()))
    return asyncio.run(router.engine.preview(conversation, AsyncIO()))


def test_a_preview_returns_the_verdict_and_the_steps(desk: Desk, api: Api) -> None:
    ledger = preview(api, desk.router())
    assert ledger.verdict is not None
    assert (ledger.verdict.bucket, ledger.status) == ("billing", "routed")
    assert [str(step) for step in ledger.steps or ()] == ["assign:pending", "reply:pending"]
    assert ledger.conversation == CONVERSATION


def test_previews_register_no_fork_hooks(desk: Desk, api: Api) -> None:
    router = desk.router()
    preview(api, router)
    gc.collect()
    before = len(fork._registered)
    for _ in range(200):
        preview(api, router)
    assert len(fork._registered) == before


def test_previews_call_no_help_desk_and_store_nothing(desk: Desk, api: Api, inbox: WatchedInbox) -> None:
    router = desk.router(inbox=inbox)
    for _ in range(200):
        preview(api, router)
    assert desk.fake.calls == []
    assert sum(inbox.count_states().values()) == 0
    assert inbox.list_entries() == []


def test_previews_are_not_counted_as_spending(desk: Desk, api: Api, inbox: WatchedInbox) -> None:
    router = desk.router(inbox=inbox, classifier=PricedClassifier(), limits=Limits(daily_usd=1))
    for _ in range(3):
        verdict = preview(api, router).verdict
        assert verdict is not None
        assert (verdict.cost_usd, verdict.fallback) == (0.5, False), "nor does the budget limit them"
    assert inbox.get_spending(f"spent:{datetime.fromtimestamp(desk.clock(), UTC):%Y-%m-%d}") == 0


def test_previews_do_not_open_the_circuit_breaker(desk: Desk, api: Api, inbox: WatchedInbox) -> None:
    router = desk.router(inbox=inbox, classifier=BrokenClassifier(), limits=Limits(failures=1))
    reasons = {verdict.reason for _ in range(3) if (verdict := preview(api, router).verdict)}
    assert reasons == {"the classifier raised RuntimeError"}
    assert inbox.get_pause("the classifier of intercom") == 0


def test_a_preview_of_a_message_without_text_asks_no_classifier(desk: Desk, api: Api) -> None:
    message = Message(id="1", role="customer", attachments=("scan.pdf",))
    conversation = CONVERSATION.model_copy(update={"messages": (message,)})
    verdict = preview(api, desk.router(classifier=BrokenClassifier()), conversation).verdict
    assert verdict is not None
    assert (verdict.fallback, verdict.reason) == (True, "the message has no text, only 1 attachment(s)")


def test_previews_are_not_observed(desk: Desk, api: Api) -> None:
    outcomes: list[object] = []
    router = desk.router()
    router.on_outcome(outcomes.append)
    preview(api, router)
    assert outcomes == []


# Verdicts that must not close

_HIDING: Sequence[Action] = [Tag("seen"), Snooze(timedelta(hours=1)), Close()]
_SKIPPED = ["tag:pending", "snooze:skipped", "close:skipped"]
_PERFORMED = ["tag:pending", "snooze:pending", "close:pending"]


@pytest.mark.parametrize(
    ("verdict", "options", "status", "steps"),
    [
        (Verdict(bucket="spam", allow_close=False), {}, "routed", _SKIPPED),
        (Verdict(bucket="spam"), {}, "routed", _PERFORMED),
        (Verdict(bucket="spam", confidence=0.1, allow_close=False), {"review": _HIDING}, "review", _SKIPPED),
        (Verdict(bucket="spam", confidence=0.1), {"review": _HIDING}, "review", _PERFORMED),
        (Verdict(bucket="spam", confidence=0.1, allow_close=False), {}, "routed", _SKIPPED),
        (
            Verdict(bucket="general", allow_close=False, fallback_reason="refused"),
            {"fallbacks": {"refused": _HIDING}},
            "review",
            _PERFORMED,
        ),
        (Verdict(bucket="general", allow_close=False, fallback_reason="unavailable"), {}, "routed", _PERFORMED),
    ],
)
def test_a_verdict_that_must_not_close_skips_the_steps_that_would(
    desk: Desk, api: Api, verdict: Verdict, options: Mapping[str, Any], status: str, steps: list[str]
) -> None:
    buckets = [Bucket("spam", "Spam", _HIDING, min_confidence=0.5), Bucket("general", "Others", _HIDING)]
    ledger = preview(api, desk.router(buckets=buckets, classifier=lambda text: verdict, **options))
    assert (ledger.status, [str(step) for step in ledger.steps or ()]) == (status, steps)
    details = {step.detail for step in ledger.steps or () if step.status == "skipped"}
    assert details <= {"a verdict of this classifier alone closes nothing"}


def test_a_suggestion_is_made_although_the_verdict_must_not_close(desk: Desk, api: Api) -> None:
    buckets = [Bucket("spam", "Spam", [Reply("x"), Close()], mode="suggest"), Bucket("general", "Others", [Note("x")])]
    verdict = Verdict(bucket="spam", allow_close=False)
    ledger = preview(api, desk.router(buckets=buckets, classifier=lambda text: verdict))
    assert [str(step) for step in ledger.steps or ()] == ["note:pending"]
