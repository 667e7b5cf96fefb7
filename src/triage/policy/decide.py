"""Choose the actions for a verdict."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import cast

from triage.actions import Action, Note, Reply
from triage.errors import ConfigurationError
from triage.models import FallbackReason, Status, Verdict
from triage.models.verdict import FALLBACK_REASONS
from triage.policy.buckets import Buckets
from triage.policy.check import check_actions

SUGGESTION = "Suggested bucket: {bucket} ({confidence}). {reason}"


@dataclass(frozen=True)
class Decision:
    """The actions for a conversation, before their texts are filled in."""

    status: Status
    actions: Sequence[Action]
    act: bool
    """False if the actions are reported but not performed."""

    @property
    def would_reply(self) -> bool:
        """True if the customer gets a reply, unless it is ruled out."""
        return self.act and any(isinstance(action, Reply) for action in self.actions)


def check_review(review: object, buckets: Buckets) -> tuple[Action, ...] | None:
    """Check the review actions and return them as a tuple.

    Args:
        review: A list of actions, or None.
        buckets: The policy.

    Raises:
        ConfigurationError: `review` is not a list of actions, or it is None although the fallback bucket has a
            `min_confidence`.
    """
    if review is not None:
        return check_actions(review, where="review")
    if buckets.fallback.min_confidence > 0:
        raise ConfigurationError(
            f"Bucket {buckets.fallback.name!r}: min_confidence has no effect on the fallback bucket, which also gets "
            f"the verdicts of low confidence. Remove it, or write Router(…, review=[…])."
        )
    return None


def check_fallbacks(fallbacks: object) -> dict[FallbackReason, tuple[Action, ...]]:
    """Check the actions for missing verdicts and return them as a dictionary.

    Args:
        fallbacks: A dictionary of lists of actions by `Verdict.fallback_reason`, or None.

    Raises:
        ConfigurationError: There is no such reason, or a value is not a list of actions.
    """
    if fallbacks is None:
        return {}
    if not isinstance(fallbacks, Mapping):
        raise ConfigurationError("fallbacks must be a dictionary. Write {'refused': [Assign(team='12345')]}.")
    lanes = cast("Mapping[object, object]", fallbacks)
    unknown = ", ".join(repr(name) for name in lanes if name not in FALLBACK_REASONS)
    if unknown:
        raise ConfigurationError(f"fallbacks contains {unknown}. The reasons are {', '.join(FALLBACK_REASONS)}.")
    return {
        name: check_actions(lanes[name], where=f"fallbacks[{name!r}]") for name in FALLBACK_REASONS if name in lanes
    }


def decide(
    verdict: Verdict,
    buckets: Buckets,
    review: Sequence[Action] | None,
    fallbacks: Mapping[FallbackReason, Sequence[Action]] = MappingProxyType({}),
) -> Decision:
    """Choose the actions for a verdict.

    Args:
        verdict: The verdict. Its bucket is one of `buckets`.
        buckets: The policy.
        review: The actions for a verdict below its bucket's `min_confidence`. None sends it to the fallback bucket.
        fallbacks: The actions for missing verdicts, by reason. Without them, a refusal gets the review actions, and any
            other missing verdict goes to the fallback bucket.
    """
    if verdict.fallback_reason is not None and verdict.fallback_reason in fallbacks:
        return Decision("review", fallbacks[verdict.fallback_reason], act=True)
    if verdict.fallback_reason == "refused" and review is not None:
        # Models refuse to read about hacked accounts and the like, which people should see soon.
        return Decision("review", review, act=True)
    bucket = buckets.get(verdict.bucket) or buckets.fallback
    # The confidence of a fallback verdict is meaningless: the verdict always belongs in the fallback bucket.
    if not verdict.fallback and verdict.confidence < bucket.min_confidence:
        if review is not None:
            return Decision("review", review, act=True)
        bucket = buckets.fallback
    if bucket.mode == "suggest":
        return Decision("suggested", [Note(SUGGESTION)], act=True)
    if bucket.mode == "shadow":
        return Decision("shadowed", bucket.actions, act=False)
    return Decision("routed", bucket.actions, act=True)
