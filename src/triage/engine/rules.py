"""The rules that rule out actions, depending on the assignee, the sender, the time and earlier routing."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, TypeAlias

from triage.actions import Action, Assign, Close, MarkSpam, Note, Reply, Run, SetFields, SetPriority, Snooze
from triage.limits import Limits
from triage.models import Conversation, Event, Verdict
from triage.policy import Buckets

Reroute: TypeAlias = Literal["escalate", "always", "never"]
"""When a conversation that was routed before may be routed to another bucket: to an earlier bucket only, always, or
never."""

_MOVES = (Assign, Snooze, Close, MarkSpam, Run)
_REPLACES = (*_MOVES, Reply, SetFields, SetPriority)
"""Actions that undo the effect of another bucket. Tags and notes only add to it."""
_HIDES = (Close, MarkSpam, Snooze)
"""Actions after which nobody sees the conversation, for good or for a while."""

_Kinds: TypeAlias = tuple[type[Action], ...]


@dataclass(frozen=True)
class Objection:
    """A reason why some actions must not be performed.

    Args:
        reason: The reason, in our words.
        kinds: The kinds of actions that it rules out; None for all.
    """

    reason: str
    kinds: _Kinds | None

    def applies_to(self, action: Action) -> bool:
        """Return whether an action is ruled out."""
        return self.kinds is None or isinstance(action, self.kinds)


def find_objections(conversation: Conversation, event: Event, limits: Limits, now: float) -> list[Objection]:
    """Return the objections that follow from the state of a conversation.

    Args:
        conversation: The conversation as it is now.
        event: The event that is processed.
        limits: The Router's limits.
        now: Seconds since the epoch.
    """
    objections: list[Objection] = []
    human = _describe_human(conversation, limits, now)
    if human:
        objections.append(Objection(human, (Reply, *_MOVES)))
    if conversation.has_automatic_reply:
        objections.append(Objection("the customer already has an automatic reply", (Reply,)))
    if conversation.is_automatic:
        objections.append(Objection("a machine sent the message", (Reply,)))
    if conversation.is_closed:
        objections.append(Objection("the conversation is closed", (Reply, *_MOVES)))
    if is_late(conversation, event, limits, now):
        objections.append(Objection(f"the message is older than {limits.max_age}", (Reply, Snooze)))
    return objections


def is_late(conversation: Conversation, event: Event, limits: Limits, now: float) -> bool:
    """Return whether the last message is older than `max_age`."""
    latest = conversation.latest
    at = latest.at if latest is not None and latest.at is not None else event.occurred_at
    return at is not None and now - at.timestamp() > limits.longest_age


def find_reroute_objections(
    bucket: str,
    previous: str | None,
    buckets: Buckets,
    reroute: Reroute,
    team: str | None,
    *,
    is_fallback: bool,
    has_lane: bool,
) -> list[Objection]:
    """Return the objections that follow from earlier routing.

    Args:
        bucket: The bucket of the verdict.
        previous: The bucket to which the conversation was routed, or None.
        team: The team to which the conversation is assigned now.
        buckets: The policy, most important bucket first.
        reroute: When the conversation may be routed to another bucket.
        is_fallback: True if there is no verdict. Such a conversation stays where it is.
        has_lane: True if the policy has special actions for such a missing verdict.
    """
    if previous is None or previous not in buckets.names:
        return []
    if is_fallback:
        reason = f"there is no verdict, so the conversation stays in {previous!r}"
        return [Objection(reason, _MOVES if has_lane else None)]
    if bucket == previous:
        # Do not call a function twice, nor undo it if somebody has moved the conversation to another team.
        teams = {action.team for action in buckets[buckets.names.index(bucket)].actions if isinstance(action, Assign)}
        was_moved = team is not None and team not in teams
        return [Objection(f"the conversation is already in {previous!r}", (Run, Assign) if was_moved else (Run,))]
    rises = buckets.names.index(bucket) < buckets.names.index(previous)
    if reroute == "always" or (reroute == "escalate" and rises):
        return []
    return [Objection(f"the conversation stays in {previous!r}", _REPLACES)]


def find_verdict_objections(verdict: Verdict) -> list[Objection]:
    """Return the objections that follow from the verdict itself.

    They do not apply to the actions for a missing verdict, which do not depend on a classifier's judgment.

    Args:
        verdict: The verdict.
    """
    if verdict.allow_close or verdict.fallback:
        return []
    return [Objection("a verdict of this classifier alone closes nothing", _HIDES)]


def explain(action: Action, objections: Iterable[Objection]) -> str:
    """Return why an action must not be performed, or an empty string if it may be."""
    return next((objection.reason for objection in objections if objection.applies_to(action)), "")


def find_common_reason(actions: Sequence[Action], objections: Sequence[Objection]) -> str:
    """Return why none of the actions may be performed, or an empty string if one may be or there are no actions."""
    reasons = [explain(action, objections) for action in actions]
    return reasons[0] if reasons and all(reasons) else ""


def collect_actions(buckets: Buckets, lanes: Iterable[Sequence[Action] | None]) -> list[Action]:
    """Return every action that a verdict could lead to.

    Args:
        buckets: The policy.
        lanes: The actions of the review and of fallback verdicts.
    """
    actions = [action for bucket in buckets if bucket.mode != "suggest" for action in bucket.actions]
    actions += [action for lane in lanes for action in lane or ()]
    if any(bucket.mode == "suggest" for bucket in buckets):
        actions.append(Note("…"))
    return actions


def _describe_human(conversation: Conversation, limits: Limits, now: float) -> str:
    if conversation.assignee is not None:
        return "the conversation is assigned to a human"
    answer = conversation.last_human_answer()
    if answer is None:
        return ""
    since = datetime.fromtimestamp(now, UTC) - timedelta(seconds=limits.longest_hold)
    return "a human has answered" if answer.at is None or answer.at > since else ""
