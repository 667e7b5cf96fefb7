"""The data that flows through: a delivery in, an event, a conversation, a verdict, an outcome.

All but `Delivery`, `Request` and `Response`, which never leave the process, are pydantic models of plain JSON. What a
customer wrote, or what a model wrote about it, is kept out of every `repr`, so that logging an object is safe.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Literal, Self, TypeAlias

import pydantic_core
from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints

from triage.actions import Action, Note, Reply

Id: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:@=-]{0,199}$")]
"""A vendor's id. Nothing that could end a URL's path segment or a log line."""

Role: TypeAlias = Literal["customer", "agent", "bot", "note"]

Headers: TypeAlias = (
    Mapping[str, str] | Mapping[bytes, bytes] | Iterable[tuple[str, str]] | Iterable[tuple[bytes, bytes]]
)
"""What web frameworks call headers: a mapping, or pairs, of text or (in ASGI) of bytes."""


class _Model(BaseModel):
    # hide_input_in_errors: a validation error must not carry the customer's words into a log.
    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One webhook request as it came."""

    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    """Names in lower case; a header that came twice is joined by `", "`, as RFC 9110 5.3 says."""
    received_at: float
    """Seconds since the epoch."""

    @classmethod
    def of(cls, body: bytes, headers: Headers, received_at: float) -> Self:
        """Make one of what a web framework gives.

        Args:
            body: The request's body, the bytes as they came.
            headers: The request's headers, in any of the forms of `Headers`.
            received_at: When it came, in seconds since the epoch.
        """
        # werkzeug's and Starlette's headers hold one name several times: only items() of theirs tells all.
        items = getattr(headers, "items", None)
        lowered: dict[str, str] = {}
        for pair in items() if items else headers:
            # Latin-1 is what WSGI and ASGI servers decode by, and never fails.
            name, value = (part.decode("latin-1") if isinstance(part, bytes) else str(part) for part in pair)
            name = name.lower()
            lowered[name] = f"{lowered[name]}, {value}" if name in lowered else value
        return cls(bytes(body), lowered, received_at)


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
    answered: bool = False
    """True if an automatic reply of ours is among the messages."""
    automatic: bool = False
    """True if a machine sent the customer's last message, as an absence notice: answering it could begin a loop."""
    tags: tuple[str, ...] = ()
    """The names of its tags."""
    version: str | None = None
    """The vendor's mark of the state that was read, for updates that must not overwrite a newer one."""

    @property
    def taken(self) -> bool:
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

    def tail(self, turns: int) -> Self:
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
    def of(
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

    def complete(self, read: Conversation) -> Conversation:
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


class Ledger(BaseModel):
    """What has been done for an event so far: where another process goes on after a crash."""

    model_config = ConfigDict(hide_input_in_errors=True)

    verdict: Verdict | None = None
    """Not paid for twice."""
    seen: Conversation | None = Field(default=None, repr=False)
    """What the verdict is about, to try another policy or prompt on it later."""
    status: Status = "routed"
    """What becomes of it when all steps are taken."""
    known: tuple[str, ...] = ()
    """Ids of the messages that were there before the first step."""
    steps: tuple[StepResult, ...] | None = None
    """None until it was decided what to do."""


class Job(_Model):
    """An event that is leased for a while."""

    event: Event
    ledger: Ledger = Ledger()
    attempts: int
    """This one included."""
    fence: int
    """Tells this lease from any other: a write with an old one is refused."""
    acts: int = 0
    """How many earlier messages of the conversation something was done for."""


class Outcome(_Model):
    """What became of a delivery. The README's table tells what each status means."""

    status: Status
    reason: str = ""
    """Why, in our words; never the customer's."""
    key: str | None = None
    conversation_id: str | None = None
    verdict: Verdict | None = None
    steps: tuple[StepResult, ...] = ()


State: TypeAlias = Literal["ready", "leased", "finished", "parked"]


class Entry(_Model):
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


@dataclass(frozen=True, slots=True)
class WebhookResponse:
    """What the web framework is to send back, and what has become of the delivery."""

    status_code: int
    body: bytes
    headers: dict[str, str]
    outcome: Outcome | None = None
    """None only from `Router.receive`, while `event` waits to be processed."""
    event: Event | None = None
    """Set only by `Router.receive`: what is to be processed."""


@dataclass(frozen=True, slots=True)
class Request:
    """One call of a vendor's REST API, as data."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    url: str
    json: Any = field(default=None, repr=False)
    """The body, or None for none."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    idempotent: bool = False
    """True if the call may be repeated when its fate is unknown."""


@dataclass(frozen=True, slots=True)
class Token:
    """An access token that was fetched with a client's credentials."""

    value: str = field(repr=False)
    expires_at: float
    """Seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Response:
    """The answer to a `Request`."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    """Names in lower case."""
    body: bytes = field(repr=False)

    def data(self) -> Any:
        """The body's JSON, or None where it holds none."""
        try:
            return pydantic_core.from_json(self.body)
        except ValueError:
            return None
