"""A conversation, as every adapter presents it."""

from datetime import datetime
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import Field, StringConstraints

from triage.models.base import Model

Id: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:@=-]{0,199}$")]
"""A vendor's id. It contains no character that could end a URL's path segment or a log line."""

Role: TypeAlias = Literal["customer", "agent", "bot", "note"]


class Customer(Model):
    """The person who wrote to the company."""

    id: str | None = None
    name: str | None = Field(default=None, repr=False)
    email: str | None = Field(default=None, repr=False)


class Message(Model):
    """One entry of a conversation."""

    id: str
    role: Role
    text: str = Field(default="", repr=False)
    """Plain text, without quoted history or signature."""
    attachments: tuple[str, ...] = Field(default=(), repr=False)
    """Names of attached files; `"image"` for an inline image."""
    at: datetime | None = None
    author: str | None = None
    """The vendor's id of the author."""


class Conversation(Model):
    """The transcript to classify, and the state that decides which actions are allowed."""

    id: Id
    subject: str = Field(default="", repr=False)
    customer: Customer = Customer()
    messages: tuple[Message, ...] = Field(default=(), repr=False)
    """Oldest first."""
    assignee: str | None = None
    """The vendor's id of the human to whom the conversation is assigned."""
    has_automatic_reply: bool = False
    """True if we already sent an automatic reply."""
    is_automatic: bool = False
    """True if a machine sent the customer's last message, such as an absence notice. A reply could start a loop."""
    tags: tuple[str, ...] = ()
    """The names of the tags."""
    version: str | None = None
    """The vendor's version of the state that was read, for updates that must not overwrite a newer state."""

    @property
    def has_human(self) -> bool:
        """True if the conversation is assigned to a human, or a human has written to the customer."""
        return self.assignee is not None or any(message.role == "agent" for message in self.messages)

    @property
    def latest(self) -> Message | None:
        """The customer's last message, which is the one to classify."""
        return next((message for message in reversed(self.messages) if message.role == "customer"), None)

    @property
    def text(self) -> str:
        """The subject and the customer's last message: the text that a plain function classifies."""
        return "\n\n".join(part for part in (self.subject, self.latest.text if self.latest else "") if part)

    def last_turns(self, turns: int) -> Self:
        """Return a copy without internal notes and older messages.

        Args:
            turns: How many messages before the customer's last one to keep.
        """
        public = [message for message in self.messages if message.role != "note"]
        last = max((i for i, message in enumerate(public) if message.role == "customer"), default=-1)
        return self.model_copy(update={"messages": tuple(public[max(0, last - turns) :])})
