"""The result of a delivery: its steps and their results."""

from typing import Any, Literal, TypeAlias

from pydantic import Field

from triage.actions import Action, FieldValue, Note, Reply
from triage.models.base import Model
from triage.models.conversation import Conversation
from triage.models.verdict import Verdict


class Step(Model):
    """Actions that are performed together."""

    actions: tuple[Action, ...]

    @property
    def name(self) -> str:
        """The types of the actions, `"assign+tag"`."""
        return "+".join(action.type for action in self.actions)

    @property
    def idempotent(self) -> bool:
        """True if the step may be repeated safely. A repeated reply or note would appear twice."""
        return not any(isinstance(action, (Reply, Note)) for action in self.actions)


class Rejection(Model):
    """An action that the help desk left out although it accepted the call, so that repeating it is pointless."""

    action: Action
    reason: str
    """Why it was left out, in our words."""


class Performed(Model):
    """The result of a step according to the help desk's response."""

    message_ids: tuple[str, ...] = ()
    """Ids of the messages that the step wrote."""
    problems: tuple[str, ...] = ()
    """The changes that the help desk left out although it accepted the call, in our words."""
    rejected: tuple[Rejection, ...] = ()
    """The actions of the step that were left out. The step's other actions took effect."""
    changes: dict[str, Any] = Field(default_factory=dict, repr=False)
    """Attributes of the conversation that differ after the step, for the adapter in the steps that follow."""


class StepResult(Model):
    """A step and its result."""

    step: Step = Field(repr=False)
    status: Literal["done", "failed", "rejected", "unknown", "skipped", "pending", "planned"]
    """`failed`: it will be tried again. `rejected`: the help desk rejected it for good. `unknown`: the step may have
    taken effect. `skipped`: it is not allowed here, see `detail`. `pending`: it was not tried, because an earlier step
    failed. `planned`: it was not tried, because of a dry run or the bucket's mode."""
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.step.name}:{self.status}"


class RunContext(Model):
    """The argument of a function that a `Run` action calls."""

    key: str
    """Identifies the event. A function may be called again after a crash, with the same key."""
    arguments: dict[str, FieldValue] = Field(default_factory=dict, repr=False)
    """The arguments of the action."""
    conversation: Conversation
    """The conversation before the steps."""
    verdict: Verdict | None = None


Status: TypeAlias = Literal[
    "accepted",
    "superseded",
    "routed",
    "partial",
    "closed",
    "review",
    "suggested",
    "shadowed",
    "planned",
    "ignored",
    "duplicate",
    "malformed",
    "refused",
    "failed",
]


class Outcome(Model):
    """The result of a delivery. The README explains each status in a table."""

    status: Status
    reason: str = ""
    """An explanation in our own words, without customer text."""
    key: str | None = None
    conversation_id: str | None = None
    event_id: str | None = None
    """The help desk's own id of the delivery, with which to search its log, if there is one."""
    verdict: Verdict | None = None
    steps: tuple[StepResult, ...] = ()
    warnings: tuple[str, ...] = ()
    """What an operator should know although the event is settled, such as a limit that was reached."""
    retryable: bool = False
    """True if the same delivery may succeed later, because nothing was done and the failure may pass."""
