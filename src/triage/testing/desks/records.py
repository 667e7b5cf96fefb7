"""The records of a fake help desk: conversations and their messages, people, calls and webhooks."""

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, cast

Clock: TypeAlias = Callable[[], float]
"""Returns seconds since the epoch."""

FakeRole: TypeAlias = Literal["customer", "agent", "bot", "note", "event"]
"""The role of a message's author. A note is internal; an event is a change without text."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook request as the vendor sends it: pass `body` and `headers` to the `Router`."""

    body: bytes
    """The bytes that are signed."""
    headers: dict[str, str]
    """The headers, including the signature."""
    conversation_id: str | None = None
    """The conversation's id, to continue it: `fake.customer_writes("…", conversation=webhook.conversation_id)`."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request that the fake received."""

    method: str
    """In upper case."""
    path: str
    """Still percent-encoded, without the query."""
    query: Mapping[str, str]
    """The parsed query string."""
    headers: Mapping[str, str] = field(repr=False)
    """Names in lower case."""
    body: Any
    """The parsed JSON, the text of a body that is not JSON, or None for an empty body."""
    status: int | None = None
    """The status of the response; None if the fake did not respond."""

    @property
    def is_json(self) -> bool:
        """True if the content type is JSON."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"

    @property
    def json_object(self) -> dict[str, Any] | None:
        """The body if it is a JSON object and its content type says so, otherwise None."""
        body: object = self.body
        return cast("dict[str, Any]", body) if self.is_json and isinstance(body, dict) else None

    @property
    def bearer_token(self) -> str:
        """The token of the `Authorization` header; empty without one."""
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token if scheme == "Bearer" else ""

    @property
    def basic_credentials(self) -> str:
        """The `user:password` of the `Authorization` header; empty without one."""
        scheme, _, credentials = self.headers.get("authorization", "").partition(" ")
        try:
            return base64.b64decode(credentials, validate=True).decode() if scheme == "Basic" else ""
        except (binascii.Error, UnicodeDecodeError):
            return ""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who writes or acts."""

    id: str
    """The vendor's id."""
    type: str
    """The vendor's word: `"user"`, `"admin"`, `"bot"`."""
    name: str | None = None
    """First and last name."""
    email: str | None = None
    """The email address."""


@dataclass(slots=True)
class FakeMessage:
    """An entry of a conversation: a message, a note or an event."""

    id: str
    """The vendor's id."""
    role: FakeRole
    """The author's role."""
    type: str
    """The vendor's word: `"comment"`, `"close"`."""
    body: str | None
    """The text, in the vendor's format; None for an event."""
    author: Person
    """The person who wrote or acted."""
    at: int
    """Seconds since the epoch."""
    attachments: Sequence[str] = ()
    """File names."""
    via_api: bool = False
    """True if an API call created it, False if a person did."""
    extra: dict[str, Any] = field(default_factory=dict[str, Any])
    """Values that only this vendor has."""


@dataclass(slots=True)
class FakeConversation:
    """The current state of a conversation. Change it freely to set up a test."""

    id: str
    """The vendor's id."""
    contact: Person
    """The customer."""
    subject: str = ""
    """The subject of an email; empty otherwise."""
    channel: str = ""
    """The vendor's word: `"email"`."""
    created_at: int = 0
    """Seconds since the epoch."""
    updated_at: int = 0
    """Seconds since the epoch."""
    messages: list[FakeMessage] = field(default_factory=list[FakeMessage])
    """Oldest first."""
    team: str | None = None
    """The id of the team, inbox or group."""
    assignee: str | None = None
    """The id of the user."""
    tags: list[str] = field(default_factory=list[str])
    """Names."""
    fields: dict[str, Any] = field(default_factory=dict[str, Any])
    """Custom fields."""
    priority: str = "none"
    """The vendor's word."""
    state: Literal["open", "closed", "snoozed"] = "open"
    """Set by API calls and by what people do."""
    snoozed_until: int | None = None
    """Seconds since the epoch."""
    extra: dict[str, Any] = field(default_factory=dict[str, Any])
    """Values that only this vendor has."""


@dataclass(frozen=True, slots=True)
class RateLimit:
    """A limit of `calls` in each window of `seconds`."""

    calls: int
    """Calls allowed in one window."""
    seconds: float
    """The length of a window."""


class Refusal(Exception):  # noqa: N818 - it becomes a response, it is not an error in the program
    """Raised by a handler to respond with an error in the vendor's format.

    Attributes:
        status: The HTTP status.
        code: The vendor's error code.
        message: The vendor's error message.
        field: The part of the request that is wrong.
    """

    def __init__(self, status: int, code: str, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.field = field
