"""HTTP messages: webhooks, calls to a help desk's API, and the responses to both."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn, Self, TypeAlias

import pydantic_core

from triage.models.event import Event
from triage.models.outcome import Outcome

Headers: TypeAlias = (
    Mapping[str, str] | Mapping[bytes, bytes] | Iterable[tuple[str, str]] | Iterable[tuple[bytes, bytes]]
)
"""The forms in which web frameworks provide headers: a mapping or pairs, of text or (in ASGI) of bytes."""

_NOT_SERIALIZABLE = (
    "A web framework cannot send this response as it is, and its status code would be lost. In FastAPI, write "
    "`return Response(content=response.body, status_code=response.status_code, headers=response.headers)`."
)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One webhook request, as it was received."""

    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    """Names in lower case. The values of a repeated header are joined with `", "`, as RFC 9110 5.3 says."""
    received_at: float
    """Seconds since the epoch."""

    @classmethod
    def create(cls, body: bytes, headers: Headers, received_at: float) -> Self:
        """Create a delivery from a web framework's request.

        Args:
            body: The request's body, the bytes as they were received.
            headers: The request's headers, in any form that `Headers` allows.
            received_at: When it was received, in seconds since the epoch.

        Raises:
            TypeError: `headers` has another form.
        """
        # The headers of Werkzeug and Starlette may contain a name more than once. Only items() returns every value.
        items = getattr(headers, "items", None)
        values: dict[str, list[str]] = {}
        pair: Any
        try:
            for pair in items() if items else headers:
                name, value = pair
                values.setdefault(_to_text(name).lower(), []).append(_to_text(value))
        except (TypeError, ValueError):
            raise TypeError(
                f"handle() needs the request's headers, a mapping or pairs of names and values, not "
                f"{type(headers).__name__}."
            ) from None
        return cls(bytes(body), {name: ", ".join(joined) for name, joined in values.items()}, received_at)


def _to_text(part: object) -> str:
    # WSGI and ASGI servers decode with Latin-1, which never fails.
    return part.decode("latin-1") if isinstance(part, bytes) else str(part)


class HttpAnswer:
    """A response for the web framework to send.

    It is deliberately neither a dataclass nor a pydantic model. FastAPI would serialize either and answer 200, even to
    a forged request or an event that could not be stored.

    Attributes:
        status_code: The HTTP status.
        body: The body, which is JSON.
        headers: The headers.
    """

    __slots__ = ("body", "headers", "status_code")

    def __init__(self, status_code: int, body: bytes, headers: dict[str, str]) -> None:
        self.status_code = status_code
        self.body = body
        self.headers = headers

    def __iter__(self) -> NoReturn:
        raise TypeError(_NOT_SERIALIZABLE)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> NoReturn:
        raise TypeError(_NOT_SERIALIZABLE)


class HealthResponse(HttpAnswer):
    """The response to a health check.

    Attributes:
        reason: Why the application is not healthy, without customer text; empty if it is. It is not in the body,
            because it may name a file or a server.
    """

    __slots__ = ("reason",)

    def __init__(self, status: str, reason: str = "") -> None:
        headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
        super().__init__(503 if reason else 200, json.dumps({"status": status}).encode(), headers)
        self.reason = reason

    def __repr__(self) -> str:
        return f"HealthResponse({self.status_code}, reason={self.reason!r})"


class WebhookResponse(HttpAnswer):
    """The response to a webhook, for the web framework to send.

    Attributes:
        status_code: The HTTP status.
        body: The body, which is JSON.
        headers: The headers.
        outcome: The result of the delivery.
    """

    __slots__ = ("outcome",)

    def __init__(self, status_code: int, body: bytes, headers: dict[str, str], outcome: Outcome) -> None:
        super().__init__(status_code, body, headers)
        self.outcome = outcome

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.status_code}, outcome={self.outcome!r})"


class Received(WebhookResponse):
    """The result of `Router.receive`: the response, and the event to process, if the delivery contains one.

    Attributes:
        event: The event to pass to `Router.process`; None if the response is final. Send the response once the event
            is stored or processed.
    """

    __slots__ = ("event",)

    def __init__(
        self, status_code: int, body: bytes, headers: dict[str, str], outcome: Outcome, event: Event | None = None
    ) -> None:
        super().__init__(status_code, body, headers, outcome)
        self.event = event


@dataclass(frozen=True, slots=True)
class Request:
    """A call to a vendor's REST API."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    url: str
    json: Any = field(default=None, repr=False)
    """The body, which is sent as JSON; None for no body."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    idempotent: bool = False
    """True if the call may be repeated when its outcome is unknown."""

    @property
    def call(self) -> str:
        """Method and path for errors, `"POST /conversations/1/reply"`, without the query, which may quote customers."""
        return f"{self.method} /{self.url.split('://', 1)[-1].partition('/')[2].partition('?')[0]}"


@dataclass(frozen=True, slots=True)
class Token:
    """An access token that was fetched with client credentials."""

    value: str = field(repr=False)
    expires_at: float
    """Seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Response:
    """The response to a `Request`."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    """Names in lower case."""
    body: bytes = field(repr=False)

    def data(self) -> Any:
        """Return the body's JSON, or None if it is not JSON."""
        try:
            return pydantic_core.from_json(self.body, cache_strings="keys")
        except ValueError:
            return None
