"""The rules that rule out actions."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.helpers.events import build_event
from triage import (
    Action,
    Assign,
    Bucket,
    Buckets,
    Close,
    Conversation,
    Event,
    Limits,
    MarkSpam,
    Message,
    Note,
    Reply,
    Run,
    SetFields,
    SetPriority,
    Snooze,
    Tag,
    Verdict,
)
from triage.engine.rules import (
    collect_actions,
    explain,
    find_common_reason,
    find_objections,
    find_reroute_objections,
    find_verdict_objections,
    is_late,
)

NOW = datetime(2026, 1, 10, 12, tzinfo=UTC)

BUCKETS = Buckets(
    [
        Bucket("urgent", "Urgent.", [Assign(team="1"), Run("page")]),
        Bucket("general", "General.", [Assign(team="2"), Tag("seen")]),
        Bucket("spam", "Spam.", [Close()]),
    ]
)


def conversation(*messages: Message, **fields: Any) -> Conversation:
    return Conversation(id="1", messages=messages, **fields)


def message(role: Any = "customer", days: float = 0, **fields: Any) -> Message:
    return Message(id=f"{role}{days}", role=role, text="x", at=NOW - timedelta(days=days), **fields)


def event(days: float | None = None) -> Event:
    return build_event().model_copy(update={"occurred_at": None if days is None else NOW - timedelta(days=days)})


def list_reasons(current: Conversation, limits: Limits | None = None) -> list[str]:
    objections = find_objections(current, event(), limits or Limits(), NOW.timestamp())
    return [objection.reason for objection in objections]


@pytest.mark.parametrize(
    ("current", "reasons"),
    [
        (conversation(message()), []),
        (conversation(message(), assignee="7"), ["the conversation is assigned to a human"]),
        (conversation(message("agent", 1), message()), ["a human has answered"]),
        (conversation(message("agent", 8), message()), []),
        (conversation(Message(id="1", role="agent", text="x"), message()), ["a human has answered"]),
        (conversation(message("agent", 2), message(), closed_at=NOW - timedelta(days=1)), []),
        (conversation(message("bot", 1), message()), []),
        (conversation(message("bot", 1, is_ours=True), message()), ["the customer already has an automatic reply"]),
        (conversation(message(is_automatic=True)), ["a machine sent the message"]),
        (conversation(message(), is_closed=True), ["the conversation is closed"]),
        (conversation(message(days=4)), ["the message is older than 3d"]),
    ],
)
def test_the_state_of_the_conversation_rules_out_actions(current: Conversation, reasons: list[str]) -> None:
    assert list_reasons(current) == reasons


def test_limits_move_the_bounds() -> None:
    assert list_reasons(conversation(message("agent", 8), message()), Limits(human_hold="9d")) == [
        "a human has answered"
    ]
    assert list_reasons(conversation(message(days=400)), Limits(max_age=None)) == []
    assert list_reasons(conversation(message(days=1)), Limits(max_age="1h")) == ["the message is older than 1h"]


def test_without_a_time_of_the_message_that_of_the_event_counts() -> None:
    timeless = conversation(Message(id="1", role="customer", text="x"))
    assert is_late(timeless, event(days=4), Limits(), NOW.timestamp())
    assert not is_late(timeless, event(days=2), Limits(), NOW.timestamp())
    assert not is_late(timeless, event(), Limits(), NOW.timestamp())


@pytest.mark.parametrize(
    ("current", "allowed"),
    [
        (conversation(message(), assignee="7"), "note tag"),
        (conversation(message(), is_closed=True), "note tag"),
        (conversation(message(is_automatic=True)), "assign close note run tag"),
        (conversation(message(days=4)), "assign close note run tag"),
    ],
)
def test_labels_are_always_allowed(current: Conversation, allowed: str) -> None:
    objections = find_objections(current, event(), Limits(), NOW.timestamp())
    actions: list[Action] = [Assign(team="1"), Reply("x"), Close(), Run("page"), Note("x"), Tag("x")]
    assert sorted(action.type for action in actions if not explain(action, objections)) == allowed.split()


@pytest.mark.parametrize(
    ("bucket", "previous", "reroute", "reason"),
    [
        ("urgent", None, "escalate", ""),
        ("urgent", "removed", "escalate", ""),
        ("urgent", "general", "escalate", ""),
        ("general", "urgent", "escalate", "the conversation stays in 'urgent'"),
        ("spam", "general", "escalate", "the conversation stays in 'general'"),
        ("spam", "urgent", "always", ""),
        ("urgent", "general", "never", "the conversation stays in 'general'"),
        ("general", "general", "escalate", ""),
    ],
)
def test_a_routed_conversation_moves_as_reroute_says(bucket: str, previous: Any, reroute: Any, reason: str) -> None:
    objections = find_reroute_objections(bucket, previous, BUCKETS, reroute, None, is_fallback=False, has_lane=False)
    assert explain(Assign(team="1"), objections) == reason


def test_a_less_important_bucket_may_only_add_tags_and_notes() -> None:
    objections = find_reroute_objections("spam", "urgent", BUCKETS, "escalate", None, is_fallback=False, has_lane=False)
    actions: list[Action] = [Close(), Reply("x"), SetPriority("low"), SetFields({"a": 1}), Tag("x"), Note("x")]
    assert [action.type for action in actions if not explain(action, objections)] == ["tag", "note"]


def test_a_function_is_not_called_twice_for_a_bucket() -> None:
    objections = find_reroute_objections("urgent", "urgent", BUCKETS, "always", "1", is_fallback=False, has_lane=False)
    assert explain(Run("page"), objections) == "the conversation is already in 'urgent'"
    assert explain(Assign(team="1"), objections) == ""


def test_a_conversation_that_somebody_moved_stays_there() -> None:
    objections = find_reroute_objections(
        "urgent", "urgent", BUCKETS, "escalate", "9", is_fallback=False, has_lane=False
    )
    assert explain(Assign(team="1"), objections) == "the conversation is already in 'urgent'"
    assert explain(Tag("x"), objections) == ""


@pytest.mark.parametrize(
    ("has_lane", "label"), [(True, ""), (False, "there is no verdict, so the conversation stays in 'urgent'")]
)
def test_without_a_verdict_only_a_lane_of_its_own_may_label(*, has_lane: bool, label: str) -> None:
    objections = find_reroute_objections(
        "general", "urgent", BUCKETS, "always", None, is_fallback=True, has_lane=has_lane
    )
    assert explain(Assign(team="2"), objections) == "there is no verdict, so the conversation stays in 'urgent'"
    assert explain(Tag("x"), objections) == label


def test_there_is_a_common_reason_only_if_every_action_is_ruled_out() -> None:
    objections = find_objections(conversation(message(), assignee="7"), event(), Limits(), NOW.timestamp())
    assert find_common_reason([Reply("x"), Close()], objections) == "the conversation is assigned to a human"
    assert find_common_reason([Reply("x"), Tag("x")], objections) == ""
    assert find_common_reason([], objections) == "", "a policy without actions only classifies"


def test_all_actions_include_those_of_lanes_and_the_note_of_a_suggestion() -> None:
    buckets = Buckets([Bucket("general", "All.", [Close()], mode="suggest")])
    assert [action.type for action in collect_actions(buckets, [None, [Tag("x")]])] == ["tag", "note"]
    assert [action.type for action in collect_actions(BUCKETS, [])] == ["assign", "run", "assign", "tag", "close"]


# Verdicts that must not close


def test_a_verdict_that_must_not_close_rules_out_everything_that_hides_a_conversation() -> None:
    objections = find_verdict_objections(Verdict(bucket="spam", allow_close=False))
    actions: list[Action] = [
        *(Close(), MarkSpam(), Snooze(timedelta(hours=1))),
        *(Assign(team="1"), Reply("x"), Note("x"), Tag("x"), Run("page"), SetPriority("low"), SetFields({"a": 1})),
    ]
    reasons = [explain(action, objections) for action in actions]
    assert reasons == ["a verdict of this classifier alone closes nothing"] * 3 + [""] * 7


@pytest.mark.parametrize(
    "verdict",
    [
        Verdict(bucket="spam"),
        Verdict(bucket="spam", allow_close=False, fallback_reason="refused"),
    ],
)
def test_any_other_verdict_and_a_missing_one_may_close(verdict: Verdict) -> None:
    assert find_verdict_objections(verdict) == []
