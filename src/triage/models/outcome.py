"""The result of a delivery: its steps and their results."""

from typing import Literal, TypeAlias

from pydantic import Field

from triage.actions import Action, Note, Reply
from triage.models.base import Model
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


class StepResult(Model):
    """A step and its result."""

    step: Step = Field(repr=False)
    status: Literal["done", "failed", "unknown", "skipped", "pending", "planned"]
    """`unknown`: the step may have taken effect. `skipped`: it is not allowed here, see `detail`. `pending`: it was not
    tried, because an earlier step failed. `planned`: it was not tried, because of a dry run or the bucket's mode."""
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.step.name}:{self.status}"


Status: TypeAlias = Literal[
    "accepted",
    "routed",
    "closed",
    "review",
    "suggested",
    "shadowed",
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
    verdict: Verdict | None = None
    steps: tuple[StepResult, ...] = ()
