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
    quoted: str = Field(default="", repr=False)
    """The quoted history that was removed from an email reply."""
    attachments: tuple[str, ...] = Field(default=(), repr=False)
    """Names of attached files; `"image"` for an inline image."""
    at: datetime | None = None
    author: str | None = None
    """The vendor's id of the author."""
    is_automatic: bool = False
    """True if a machine wrote a customer's message, such as an absence notice or a bounce. A reply could start a
    loop."""
    is_ours: bool = False
    """True if this program wrote it."""


class Conversation(Model):
    """The transcript to classify, and the state that decides which actions are allowed."""

    id: Id
    subject: str = Field(default="", repr=False)
    customer: Customer = Customer()
    messages: tuple[Message, ...] = Field(default=(), repr=False)
    """Oldest first."""
    assignee: str | None = None
    """The vendor's id of the human to whom the conversation is assigned."""
    team: str | None = None
    """The vendor's id of the team to which the conversation is assigned."""
    is_closed: bool = False
    """True if the conversation is closed, solved or archived now."""
    closed_at: datetime | None = None
    """When the conversation was last closed, if the vendor says so. A message after that begins a new episode."""
    channel: str | None = None
    """Where the customer wrote, in the vendor's words: `"email"`, `"chat"`, `"sms"`."""
    inbox: str | None = None
    """The vendor's id of the inbox, mailbox or website that received the conversation."""
    brand: str | None = None
    """The vendor's id of the brand."""
    tags: tuple[str, ...] = ()
    """The names of the tags."""
    version: str | None = None
    """The vendor's version of the state that was read, for updates that must not overwrite a newer state."""

    @property
    def unanswered(self) -> tuple[Message, ...]:
        """The public messages since a human last answered, or since the conversation was last closed."""
        return tuple(message for message in self.messages[self._find_boundary() :] if message.role != "note")

    @property
    def turn(self) -> tuple[Message, ...]:
        """The messages to classify: those of the customer since a human last answered, oldest first.

        If everything is answered, it is the customer's last message.
        """
        waiting = tuple(message for message in self.unanswered if message.role == "customer")
        return waiting or ((self.latest,) if self.latest is not None else ())

    @property
    def latest(self) -> Message | None:
        """The customer's last message."""
        return next((message for message in reversed(self.messages) if message.role == "customer"), None)

    @property
    def text(self) -> str:
        """The subject and the unanswered messages of the customer: the text that a plain function classifies."""
        return "\n\n".join(part for part in (self.subject, *(message.text for message in self.turn)) if part)

    @property
    def has_text(self) -> bool:
        """True if there are words to classify. The subject counts as part of the customer's first message."""
        turn = self.turn
        first = next((message for message in self.messages if message.role == "customer"), None)
        return any(message.text for message in turn) or bool(self.subject and turn and turn[0] is first)

    @property
    def is_empty(self) -> bool:
        """True if the customer sent neither words nor files."""
        return not self.has_text and not any(message.attachments for message in self.turn)

    @property
    def has_automatic_reply(self) -> bool:
        """True if we have sent the customer an automatic reply, and no human has answered since."""
        return any(message.is_ours and message.role == "bot" for message in self.unanswered)

    @property
    def is_automatic(self) -> bool:
        """True if a machine wrote the customer's last message."""
        return self.latest is not None and self.latest.is_automatic

    def last_human_answer(self) -> Message | None:
        """Return the last message of a human to the customer in this episode, or None."""
        answers = (message for message in reversed(self.messages) if message.role == "agent")
        answer = next(answers, None)
        return None if answer is None or self._is_earlier_episode(answer) else answer

    def last_turns(self, turns: int) -> Self:
        """Return a copy without internal notes and older messages.

        Args:
            turns: How many messages before the customer's unanswered ones to keep.
        """
        public = [message for message in self.messages if message.role != "note"]
        first = next(iter(self.turn), None)
        start = next((number for number, message in enumerate(public) if message is first), len(public))
        return self.model_copy(update={"messages": tuple(public[max(0, start - turns) :])})

    def _find_boundary(self) -> int:
        """Return the index of the first message that nobody has answered."""
        for number in range(len(self.messages), 0, -1):
            message = self.messages[number - 1]
            if message.role == "agent" or self._is_earlier_episode(message):
                return number
        return 0

    def _is_earlier_episode(self, message: Message) -> bool:
        if self.is_closed or self.closed_at is None or message.at is None:
            return False
        return message.at <= self.closed_at
