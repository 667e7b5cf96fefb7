"""HTTP in both directions: a webhook and its response, a call of a help desk's API and its response."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self, TypeAlias

import pydantic_core

from triage.models.conversation import Event
from triage.models.outcome import Outcome

Headers: TypeAlias = (
    Mapping[str, str] | Mapping[bytes, bytes] | Iterable[tuple[str, str]] | Iterable[tuple[bytes, bytes]]
)
"""What web frameworks call headers: a mapping, or pairs, of text or (in ASGI) of bytes."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One webhook request as it came."""

    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    """Names in lower case; a header that came twice is joined by `", "`, as RFC 9110 5.3 says."""
    received_at: float
    """Seconds since the epoch."""

    @classmethod
    def create(cls, body: bytes, headers: Headers, received_at: float) -> Self:
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
    """True if the call may be repeated when its outcome is unknown."""

    @property
    def call(self) -> str:
        """`"POST /conversations/1/reply"`, for errors. Without the query, which may hold what was searched for."""
        return f"{self.method} /{self.url.split('://', 1)[-1].partition('/')[2].partition('?')[0]}"


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
