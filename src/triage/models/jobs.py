"""What an inbox stores: an event's ledger, its lease, its entry."""

from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from triage.models.base import Model
from triage.models.conversation import Conversation
from triage.models.event import Event
from triage.models.outcome import Outcome, Status, StepResult
from triage.models.verdict import Verdict


class Ledger(BaseModel):
    """What has been done for an event so far: where another process goes on after a crash."""

    model_config = ConfigDict(hide_input_in_errors=True)

    verdict: Verdict | None = None
    """Not paid for twice."""
    conversation: Conversation | None = Field(default=None, repr=False)
    """What the verdict is about, to try another policy or prompt on it later."""
    status: Status = "routed"
    """What becomes of it when all steps are taken."""
    message_ids: tuple[str, ...] = ()
    """Ids of the messages that were there before the first step."""
    steps: tuple[StepResult, ...] | None = None
    """None until it was decided what to do."""


class Job(Model):
    """An event that is leased for a while."""

    event: Event
    ledger: Ledger = Ledger()
    attempts: int
    """This one included."""
    fencing_token: int
    """Tells this lease from any other: a write with an old one is refused."""
    handled: int = 0
    """How many earlier messages of the conversation something was done for."""


State: TypeAlias = Literal["ready", "leased", "finished", "parked"]


class Entry(Model):
    """What an inbox knows of a delivery."""

    number: int
    """In the order in which they came."""
    key: str
    state: State
    """`ready` from `due` on, `leased` until then by a worker, `finished`, or `parked` for a human."""
    due: float
    """Seconds since the epoch, as all times here."""
    attempts: int
    received: float
    changed: float
    error: str | None = None
    """What went wrong last, in our words."""
    event: Event | None = None
    """None for a delivery that could not be read."""
    ledger: Ledger = Ledger()
    outcome: Outcome | None = None
    """None until it is finished."""
