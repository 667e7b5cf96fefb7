"""From a verdict to actions."""

from collections.abc import Sequence
from dataclasses import dataclass

from triage.actions import Action, Note
from triage.models import Status, Verdict
from triage.policy.buckets import Buckets

SUGGESTION = "Suggested bucket: {bucket} ({confidence}). {reason}"


@dataclass(frozen=True)
class Decision:
    """What is to be done, before the texts are filled in."""

    status: Status
    actions: Sequence[Action]
    act: bool
    """False: the actions are only reported."""


def decide(verdict: Verdict, buckets: Buckets, review: Sequence[Action] | None) -> Decision:
    """Turn a verdict into actions.

    Args:
        verdict: Its bucket is one of `buckets`.
        buckets: The policy.
        review: What is done with a verdict below its bucket's `min_confidence`; None sends it to the fallback bucket.
    """
    bucket = buckets.get(verdict.bucket) or buckets.fallback
    # A fallback verdict has no confidence to speak of: the fallback bucket is where it belongs.
    if not verdict.fallback and verdict.confidence < bucket.min_confidence:
        if review is not None:
            return Decision("review", review, act=True)
        bucket = buckets.fallback
    if bucket.mode == "suggest":
        return Decision("suggested", [Note(SUGGESTION)], act=True)
    if bucket.mode == "shadow":
        return Decision("shadowed", bucket.actions, act=False)
    return Decision("routed", bucket.actions, act=True)
