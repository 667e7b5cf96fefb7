"""The models of an inbox: an event's ledger, lease and entry."""

from typing import Literal, TypeAlias

from pydantic import Field

from triage.models.base import Model
from triage.models.conversation import Conversation, Customer
from triage.models.event import Event
from triage.models.outcome import Outcome, Status, StepResult
from triage.models.verdict import Verdict


class Ledger(Model):
    """The progress of an event, from which another process resumes after a crash."""

    verdict: Verdict | None = None
    """Stored so that it is not paid for twice."""
    conversation: Conversation | None = Field(default=None, repr=False)
    """The conversation as the classifier saw it, so that you can try another policy or prompt on it later."""
    customer: Customer | None = None
    """The customer, as the help desk's API returned them. Some webhooks contain no customer."""
    status: Status = "routed"
    """The status of the event once all steps are done."""
    message_ids: tuple[str, ...] = ()
    """Ids of the messages that existed before the first step."""
    judged: tuple[str, ...] = ()
    """Ids of the customer's messages that the verdict covers."""
    written: tuple[str, ...] = ()
    """Ids of the messages that we wrote, as the help desk's API returned them."""
    unconfirmed_since: float | None = None
    """When the help desk did not show a message that it may still deliver, for the first time. In seconds since the
    epoch."""
    steps: tuple[StepResult, ...] | None = None
    """None until the actions are decided."""


class Job(Model):
    """A lease of an event."""

    event: Event
    ledger: Ledger = Ledger()
    attempts: int
    """Number of attempts, including this one."""
    fencing_token: int
    """The number of this lease. A write with an outdated token is rejected."""
    received: float = 0.0
    """When the event was stored, in seconds since the epoch of the inbox's clock."""
    lease: float = 60.0
    """Seconds after which the lease expires, unless it is extended."""
    interrupted: bool = False
    """True if the last attempt was interrupted: its worker was killed or paused, or could not write to the inbox."""


State: TypeAlias = Literal["ready", "leased", "finished", "planned", "dead", "parked"]
"""`ready`: waits for a worker. `leased`: a worker is processing it. `finished`: routed, or there was nothing to do.
`planned`: finished by a dry run, which changed nothing.
`dead`: dead-lettered, because it failed for good or cannot be read. `parked`: parked by hand."""


class Entry(Model):
    """Everything that an inbox stores about a delivery."""

    number: int
    """Position in the order of arrival."""
    key: str
    state: State
    due: float
    """When a `ready` event may be leased, or when the lease of a `leased` event expires. All times are in seconds
    since the epoch."""
    attempts: int
    received: float
    changed: float
    handled: bool = False
    """True if a step was performed."""
    error: str | None = None
    """The last error, without customer text."""
    event: Event | None = None
    """None if the delivery could not be read."""
    ledger: Ledger = Ledger()
    outcome: Outcome | None = None
    """None until the event is finished."""
