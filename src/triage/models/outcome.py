"""The result of a delivery: the steps that were taken, and their outcome."""

from typing import Literal, TypeAlias

from pydantic import Field

from triage.actions import Action, Note, Reply
from triage.models.base import Model
from triage.models.verdict import Verdict


class Step(Model):
    """Actions that the vendor performs together."""

    actions: tuple[Action, ...]

    @property
    def name(self) -> str:
        """The types of the actions, `"assign+tag"`."""
        return "+".join(action.type for action in self.actions)

    @property
    def idempotent(self) -> bool:
        """True if repeating it changes nothing; a repeated reply or note would appear twice."""
        return not any(isinstance(action, (Reply, Note)) for action in self.actions)


class StepResult(Model):
    """A step and its result."""

    step: Step = Field(repr=False)
    status: Literal["done", "failed", "unknown", "skipped", "pending", "planned"]
    """`unknown`: it may have taken effect. `skipped`: it is not allowed here, see `detail`. `pending`: it was not
    tried, because a step before it failed. `planned`: a dry run, or the bucket's mode, prevented it."""
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
    """An explanation in the program's own words, without customer text."""
    key: str | None = None
    conversation_id: str | None = None
    verdict: Verdict | None = None
    steps: tuple[StepResult, ...] = ()
