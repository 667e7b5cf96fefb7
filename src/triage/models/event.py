"""The content of a delivery: an event, or the reason why there is no event."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Self, TypeAlias

from pydantic import Field, JsonValue

from triage.models.base import Model
from triage.models.conversation import Conversation, Id


class Event(Model):
    """A customer's new message, in the same form for every vendor. It can be sent through a queue as JSON."""

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
    conversation: Conversation
    """The part that the delivery contains; the adapter's `fetch` reads the whole conversation."""
    raw: dict[str, JsonValue] = Field(repr=False)

    def for_owner(self, name: str) -> Self:
        """Return a copy that belongs to another Router, with its key changed accordingly.

        Args:
            name: The Router's name. If the event already belongs to that Router, it is returned unchanged.
        """
        if name == self.owner:
            return self
        key = f"{name}:{self.key.removeprefix(f'{self.owner}:')}"
        return self.model_copy(update={"owner": name, "key": key})

    def add_missing_message(self, conversation: Conversation) -> Conversation:
        """Return the conversation with the event's message, adding it if the vendor's API did not return it.

        Args:
            conversation: The conversation from the vendor's API. The API may lag behind the event, or leave out a
                message whose plain text is empty.
        """
        message = next((message for message in self.conversation.messages if message.id == self.message_id), None)
        read = next((other for other in conversation.messages if other.id == self.message_id), None)
        if message is None or (read is not None and (read.text or read.attachments)):
            return conversation
        others = tuple(other for other in conversation.messages if other is not read)
        return conversation.model_copy(update={"messages": (*others, message)})


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
