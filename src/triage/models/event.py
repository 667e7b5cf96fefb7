"""The content of a delivery: an event, or the reason why there is no event."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Self, TypeAlias

from pydantic import ConfigDict, Field, JsonValue

from triage.models.base import Model
from triage.models.conversation import Customer, Id


class Event(Model):
    """The report that a customer has written a message. It can be sent through a queue as JSON.

    It says which message it is. Only processing the event reads what the customer has written, from the vendor's API.
    """

    # The bytes of a body need not be UTF-8, so in JSON they are base64.
    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    version: Literal[1] = 1
    owner: str
    """The name of the Router that processes the event: the vendor's name, unless the Router has another name."""
    vendor: str
    account: Id
    """The workspace, account or site at the vendor; ids are unique only within it."""
    kind: Literal["created", "replied"]
    conversation_id: Id
    message_id: Id
    key: str
    """Identifies the message. It is the same in every delivery, so that the message is processed only once. It begins
    with the owner."""
    event_id: str | None = None
    """The help desk's own id of the first delivery that contained the message, with which to search its log."""
    occurred_at: datetime | None = None
    customer: Customer = Customer()
    """The customer, as far as the delivery names one."""
    raw: bytes = Field(repr=False)
    """The body of the delivery. The adapter's `fetch` uses it if the vendor's API lacks the message."""

    def for_owner(self, name: str) -> Self:
        """Return a copy that belongs to another Router, with its key changed accordingly.

        Args:
            name: The Router's name. If the event already belongs to that Router, it is returned unchanged.
        """
        if name == self.owner:
            return self
        key = f"{name}:{self.key.removeprefix(f'{self.owner}:')}"
        return self.model_copy(update={"owner": name, "key": key})


@dataclass(frozen=True, slots=True)
class Ignored:
    """A genuine delivery that requires no action."""

    reason: str
    is_problem: bool = False
    """True if an operator should know about it, such as a reply that was not delivered. It is logged as a warning."""


@dataclass(frozen=True, slots=True)
class Handshake:
    """A genuine delivery that expects a particular response, such as a challenge to echo or a test call."""

    reason: str
    body: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue], repr=False)


Parsed: TypeAlias = Event | Ignored | Handshake
