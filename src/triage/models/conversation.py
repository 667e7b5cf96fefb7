"""What a webhook reports: an event and its conversation."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints

Id: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:@=-]{0,199}$")]
"""A vendor's id. Nothing that could end a URL's path segment or a log line."""

Role: TypeAlias = Literal["customer", "agent", "bot", "note"]


class _Model(BaseModel):
    # hide_input_in_errors: a validation error must not carry the customer's words into a log.
    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)


class Customer(_Model):
    """Who wrote to us."""

    id: str | None = None
    name: str | None = Field(default=None, repr=False)
    email: str | None = Field(default=None, repr=False)


class Message(_Model):
    """One entry of a conversation."""

    id: str
    role: Role
    text: str = Field(default="", repr=False)
    """Plain text, without quoted history and signature."""
    attachments: tuple[str, ...] = Field(default=(), repr=False)
    """What came with it and is not text: file names, `"image"` for a picture in the text."""
    at: datetime | None = None
    author: str | None = None
    """The vendor's id of who wrote it."""


class Conversation(_Model):
    """The transcript to classify, and what its state allows us to do."""

    id: Id
    subject: str = Field(default="", repr=False)
    customer: Customer = Customer()
    messages: tuple[Message, ...] = Field(default=(), repr=False)
    """Oldest first."""
    assignee: str | None = None
    """The human who has it."""
    has_automatic_reply: bool = False
    """True if an automatic reply of ours is among the messages."""
    is_automatic: bool = False
    """True if a machine sent the customer's last message, as an absence notice: answering it could begin a loop."""
    tags: tuple[str, ...] = ()
    """The names of its tags."""
    version: str | None = None
    """The vendor's mark of the state that was read, for updates that must not overwrite a newer one."""

    @property
    def has_human(self) -> bool:
        """True if a human has it or has written to the customer: then we keep our hands off."""
        return self.assignee is not None or any(message.role == "agent" for message in self.messages)

    @property
    def latest(self) -> Message | None:
        """The customer's last message, which decides."""
        return next((message for message in reversed(self.messages) if message.role == "customer"), None)

    @property
    def text(self) -> str:
        """The subject and the customer's last message: what a plain function gets to classify."""
        return "\n\n".join(part for part in (self.subject, self.latest.text if self.latest else "") if part)

    def last_turns(self, turns: int) -> Self:
        """The same with the last `turns` messages before the customer's last one, and without internal notes."""
        spoken = [message for message in self.messages if message.role != "note"]
        last = max((i for i, message in enumerate(spoken) if message.role == "customer"), default=-1)
        return self.model_copy(update={"messages": tuple(spoken[max(0, last - turns) :])})


class Event(_Model):
    """What happened, the same for every vendor. It may cross a queue as JSON."""

    version: Literal[1] = 1
    vendor: str
    account: Id
    """The workspace, account or site at the vendor; ids are unique only within it."""
    kind: Literal["created", "replied"]
    conversation_id: Id
    message_id: Id
    key: str
    """The same for every delivery of the same message: what is not done twice."""
    occurred_at: datetime | None = None
    conversation: Conversation
    """As far as the delivery told; the adapter's `fetch` reads the whole."""
    raw: dict[str, JsonValue] = Field(repr=False)

    @classmethod
    def create(
        cls,
        conversation: Conversation,
        message_id: str,
        *,
        vendor: str,
        account: str,
        kind: Literal["created", "replied"],
        occurred_at: datetime | None,
        raw: dict[str, JsonValue],
    ) -> Self:
        """Make one of a message.

        Args:
            conversation: As far as the delivery told.
            message_id: The message's id, or what stands in for it.
            vendor: The vendor's name.
            account: The workspace, account or site.
            kind: Whether the message began the conversation.
            occurred_at: When it was written.
            raw: The whole payload.
        """
        return cls(
            vendor=vendor,
            account=account,
            kind=kind,
            conversation_id=conversation.id,
            message_id=message_id,
            # Of the message and not of the delivery: that a repeated one keeps its id is nowhere promised.
            key=f"{vendor}:{account}:{conversation.id}:{message_id}",
            occurred_at=occurred_at,
            conversation=conversation,
            raw=raw,
        )

    def for_owner(self, name: str) -> Self:
        """Temporary."""
        return self

    def add_missing_message(self, read: Conversation) -> Conversation:
        """Add the event's message where it is missing.

        Args:
            read: The conversation as the vendor's API shows it. That may lag behind the event, or leave out a message
                whose plain text is empty.
        """
        told = next((message for message in self.conversation.messages if message.id == self.message_id), None)
        if told is None or any(message.id == told.id for message in read.messages):
            return read
        return read.model_copy(update={"messages": (*read.messages, told)})


@dataclass(frozen=True, slots=True)
class Ignored:
    """A genuine delivery in which there is nothing for us to do."""

    reason: str


@dataclass(frozen=True, slots=True)
class Handshake:
    """A genuine delivery that wants a certain answer: a challenge to be echoed, a test call."""

    reason: str
    body: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue], repr=False)


Parsed: TypeAlias = Event | Ignored | Handshake
