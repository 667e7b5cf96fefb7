"""The content of a delivery: an event, or the reason why there is none."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Self, TypeAlias

from pydantic import Field, JsonValue

from triage.models.base import Model
from triage.models.conversation import Conversation, Id


class Event(Model):
    """A new message of a customer, in the same form for every vendor. It can cross a queue as JSON."""

    version: Literal[1] = 1
    owner: str
    """The name of the Router that processes it: the vendor's name, unless the Router has another one."""
    vendor: str
    account: Id
    """The workspace, account or site at the vendor; ids are unique only within it."""
    kind: Literal["created", "replied"]
    conversation_id: Id
    message_id: Id
    key: str
    """Identifies the message: equal in every delivery of it, so that none is processed twice. Begins with the owner."""
    occurred_at: datetime | None = None
    conversation: Conversation
    """The part that the delivery contains; the adapter's `fetch` reads the whole conversation."""
    raw: dict[str, JsonValue] = Field(repr=False)

    def for_owner(self, name: str) -> Self:
        """Return a copy that belongs to another Router, with its key changed accordingly.

        Args:
            name: The Router's name. The event itself is returned if it belongs to that Router already.
        """
        if name == self.owner:
            return self
        key = f"{name}:{self.key.removeprefix(f'{self.owner}:')}"
        return self.model_copy(update={"owner": name, "key": key})

    def add_missing_message(self, conversation: Conversation) -> Conversation:
        """Return the conversation with the event's message, whether or not the vendor's API showed it.

        Args:
            conversation: As the vendor's API shows it. The API may lag behind the event, or leave out a message whose
                plain text is empty.
        """
        message = next((message for message in self.conversation.messages if message.id == self.message_id), None)
        if message is None or any(other.id == message.id for other in conversation.messages):
            return conversation
        return conversation.model_copy(update={"messages": (*conversation.messages, message)})


@dataclass(frozen=True, slots=True)
class Ignored:
    """A genuine delivery that requires no action."""

    reason: str


@dataclass(frozen=True, slots=True)
class Handshake:
    """A genuine delivery that expects a particular answer: a challenge to echo, a test call."""

    reason: str
    body: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue], repr=False)


Parsed: TypeAlias = Event | Ignored | Handshake
