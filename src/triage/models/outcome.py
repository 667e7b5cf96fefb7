"""What was decided and done: a verdict, steps, an outcome."""

from typing import Literal, TypeAlias

from pydantic import Field

from triage.actions import Action, Note, Reply
from triage.models.conversation import _Model


class Usage(_Model):
    """Tokens that a verdict took."""

    input_tokens: int = 0
    """Without those read from or written to the cache."""
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0


class Verdict(_Model):
    """What the classifier says of a conversation."""

    bucket: str
    confidence: float = Field(default=1.0, ge=0, le=1)
    """A score, not a probability, until it is calibrated on your own messages."""
    reason: str = Field(default="", repr=False)
    """One sentence. Written by a model about untrusted text: for internal notes only."""
    extra: dict[str, str] = Field(default_factory=dict, repr=False)
    fallback: bool = False
    """True if no verdict could be had and the fallback bucket stands in; the reason then says why."""
    unavailable: bool = False
    """True if the classifier's service did not answer or refused to work: asked later, it may give a verdict."""
    model: str | None = None
    usage: Usage = Usage()
    cost_usd: float | None = None
    """None where the price of the model is not known."""
    latency: float = 0.0
    """Seconds."""
    prompt_version: str | None = None
    """A hash of all that was asked but the customer's text."""


class Step(_Model):
    """Actions that one vendor takes in one go."""

    actions: tuple[Action, ...]

    @property
    def name(self) -> str:
        """`"assign+tag"`."""
        return "+".join(action.type for action in self.actions)

    @property
    def idempotent(self) -> bool:
        """True if doing it again changes nothing; a reply or a note would be there twice."""
        return not any(isinstance(action, (Reply, Note)) for action in self.actions)


class StepResult(_Model):
    """What became of a step."""

    step: Step = Field(repr=False)
    status: Literal["done", "failed", "unknown", "skipped", "pending", "planned"]
    """`unknown`: it may have taken effect. `skipped`: not allowed here, see `detail`. `pending`: never tried, a step
    before it failed. `planned`: would have been done, but for the dry run or the bucket's mode."""
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


class Outcome(_Model):
    """What became of a delivery. The README's table tells what each status means."""

    status: Status
    reason: str = ""
    """Why, in our words; never the customer's."""
    key: str | None = None
    conversation_id: str | None = None
    verdict: Verdict | None = None
    steps: tuple[StepResult, ...] = ()
