"""What the fakes of all help desks share: state, a journal, faults, limits, and the two ways to be called.

A vendor's fake is a subclass of `FakeHelpDesk`. It supplies a table of routes, and turns refusals, limits and what
happens in a conversation into the vendor's own words.
"""

import asyncio
import base64
import binascii
import html
import json
import re
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from itertools import count
from typing import Any, Literal, TypeAlias, TypeVar
from urllib.parse import unquote

import httpx

from triage.testing.server import Drop, HttpRequest, HttpResponse, serve

Clock: TypeAlias = Callable[[], float]

Handler: TypeAlias = Callable[..., Any]
"""Takes the `Call`, and by name what the route's pattern caught. Gives what becomes JSON, or an `HttpResponse`."""

Routes: TypeAlias = Mapping[tuple[str, str], Handler]
"""`{("GET", r"/conversations/(?P<id>[^/]+)"): handler}`: methods and patterns of whole paths."""


FakeRole: TypeAlias = Literal["customer", "agent", "bot", "note", "event"]
"""Who speaks; an event is something done without words."""

IN_PROCESS = "https://helpdesk.invalid"
"""A base URL that leads nowhere: RFC 2606 keeps `.invalid` from ever being a domain."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook request as the vendor sends it: hand `body` and `headers` to the `Router`."""

    body: bytes
    headers: dict[str, str]
    conversation_id: str | None = None
    """Whose it is, to go on with it: `fake.customer_writes("…", conversation=webhook.conversation_id)`."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request that the fake got."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str] = field(repr=False)
    """Names in lower case."""
    body: Any
    """The JSON; the bare text where it was none; None where there was nothing."""
    status: int | None = None
    """What the client was answered; None if it was not."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who writes or acts."""

    id: str
    type: str
    """The vendor's word: `"user"`, `"admin"`, `"bot"`."""
    name: str | None = None
    email: str | None = None


@dataclass(slots=True)
class FakeMessage:
    """An entry of a conversation: something said or done."""

    id: str
    role: FakeRole
    type: str
    """The vendor's word: `"comment"`, `"close"`."""
    body: str | None
    author: Person
    at: int
    attachments: Sequence[str] = ()
    """File names."""
    via_api: bool = False
    """True if a call of the API made it, false for a person."""
    extra: dict[str, Any] = field(default_factory=dict[str, Any])
    """What only this vendor has."""


@dataclass(slots=True)
class FakeConversation:
    """A conversation as it stands. Change it freely to set a scene."""

    id: str
    contact: Person
    subject: str = ""
    channel: str = ""
    """The vendor's word: `"email"`."""
    created_at: int = 0
    updated_at: int = 0
    messages: list[FakeMessage] = field(default_factory=list[FakeMessage])
    """Oldest first."""
    team: str | None = None
    assignee: str | None = None
    tags: list[str] = field(default_factory=list[str])
    """Names."""
    fields: dict[str, Any] = field(default_factory=dict[str, Any])
    priority: str = "none"
    state: Literal["open", "closed", "snoozed"] = "open"
    snoozed_until: int | None = None
    extra: dict[str, Any] = field(default_factory=dict[str, Any])
    """What only this vendor has."""


@dataclass(frozen=True, slots=True)
class RateLimit:
    """So many calls in each window of so many seconds."""

    calls: int
    seconds: float


class Refusal(Exception):  # noqa: N818 - an answer, not an error of ours
    """Raised by a handler to answer with the vendor's form of an error.

    Attributes:
        status: The HTTP status.
        code: The vendor's code.
        message: The vendor's words.
        field: The part of the request that is to blame.
    """

    def __init__(self, status: int, code: str, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.field = field


def is_json(call: Call) -> bool:
    """True if a call says that its body is JSON."""
    return call.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"


def basic_credentials(call: Call) -> str:
    """The `user:password` of a call, empty where there is none."""
    scheme, _, credentials = call.headers.get("authorization", "").partition(" ")
    try:
        return base64.b64decode(credentials, validate=True).decode() if scheme == "Basic" else ""
    except (binascii.Error, UnicodeDecodeError):
        return ""


class _Unanswered(Drop):
    def __init__(self, error: type[httpx.TransportError]) -> None:
        super().__init__()
        self.error = error


@dataclass(slots=True)
class Fault:
    """What is to go wrong: after `skip` calls that go well, so many times."""

    times: float
    skip: int
    after: bool


F = TypeVar("F", bound=Fault)


def taken(faults: Iterable[F]) -> F | None:
    """Take the first fault that is not over; None where this call goes well.

    Args:
        faults: Those that fit the call, in the order in which they were set.
    """
    fault = next((fault for fault in faults if fault.times > 0), None)
    if fault is not None and fault.skip:
        fault.skip -= 1
        return None
    if fault is not None:
        fault.times -= 1
    return fault


@dataclass(slots=True)
class _Fault(Fault):
    calls: re.Pattern[str]
    response: HttpResponse | None
    error: type[httpx.TransportError]


class FakeHelpDesk(ABC):
    """A help desk with a memory, for tests without a network.

    Hand `transport` to an `httpx.Client` or `httpx.AsyncClient` to call it in the same process, or run it as a server
    with `serve()`. It may be called from several threads.

    Args:
        clock: Seconds since the epoch; for time stamps and the rate limit.
        rate_limit: None for no limit.
        latency: Seconds that each call takes.
        first_id: Where ids start. Fakes that share an inbox, or a server that is started again beside an inbox that
            it was used with before, need different ones, or their messages are duplicates.
    """

    prefix: str
    """Of the vendor's environment variables: `"INTERCOM"`."""
    teams: dict[str, str]
    """Id to name; the first three are on-call, billing and support."""
    error_codes: Mapping[int, str]
    """The vendor's usual code for each status, for `fail`."""
    no_route: tuple[int, str, str]
    """Status, code and message for a path or method that the vendor does not have."""
    over_limit: tuple[int, str, str]
    """The same for a call above the limit."""

    def __init__(self, *, clock: Clock, rate_limit: RateLimit | None, latency: float, first_id: int) -> None:
        self.clock = clock
        self.rate_limit = rate_limit
        self.latency = latency
        self.conversations: dict[str, FakeConversation] = {}
        self.calls: list[Call] = []
        self._lock = threading.RLock()
        self._ids = count(first_id)
        self._faults: list[_Fault] = []
        self._window = (0, 0)  # its number, and the calls in it
        self._routes = [(method, re.compile(path), handler) for (method, path), handler in self.build_routes().items()]

    # What a vendor supplies.

    @abstractmethod
    def build_routes(self) -> Routes:
        """The vendor's API. Called once."""

    @abstractmethod
    def admit(self, call: Call) -> None:
        """Check what is the same for every call, the token above all.

        Raises:
            Refusal: It is not let in.
        """

    @abstractmethod
    def build_error(self, refusal: Refusal) -> Any:
        """The JSON of a refusal."""

    @abstractmethod
    def build_rate_headers(self, limit: RateLimit, remaining: int, reset: int) -> Mapping[str, str]:
        """The headers that tell of the limit.

        Args:
            limit: The limit.
            remaining: Calls left in this window.
            reset: When the next window begins, in seconds since the epoch.
        """

    def get_cost(self, call: Call) -> int:
        """How much of the limit a call uses up."""
        return 1

    @abstractmethod
    def customer_writes(
        self,
        text: str,
        *,
        conversation: str | None = None,
        name: str | None = "Mira Probe",
        email: str | None = "mira@example.com",
        html: bool = False,
        attachments: Sequence[str] = (),
        subject: str = "",
    ) -> Webhook:
        """Write as a customer; gives the webhook that the vendor sends for it.

        Args:
            text: Plain text, or HTML with `html=True`.
            conversation: The conversation to go on with; None begins a new one.
            name: The customer's, for a new conversation.
            email: The customer's, for a new conversation.
            html: True if `text` is HTML.
            attachments: Names of files.
            subject: For a new conversation. One with a subject is an e-mail.
        """

    @abstractmethod
    def agent_writes(self, text: str, *, conversation: str, agent: str | None = None, html: bool = False) -> Webhook:
        """Answer the customer as a human teammate; gives the webhook that the vendor sends for it.

        Args:
            text: Plain text, or HTML with `html=True`.
            conversation: The conversation's id.
            agent: The teammate's id; None for any that is not the integration's own.
            html: True if `text` is HTML.
        """

    @abstractmethod
    def bot_greets(
        self,
        text: str = "Hi! How can we help?",
        *,
        name: str | None = "Mira Probe",
        email: str | None = "mira@example.com",
    ) -> Webhook:
        """Begin a conversation as the vendor's own bot, before the customer has said a word.

        Args:
            text: The greeting.
            name: The customer's.
            email: The customer's.
        """

    @abstractmethod
    def assign(self, conversation: str, agent: str | None = None) -> Webhook:
        """Take a conversation as a human teammate does; gives the webhook that the vendor sends for it.

        Args:
            conversation: The conversation's id.
            agent: The teammate's id; None for any that is not the integration's own.
        """

    @abstractmethod
    def ping(self) -> Webhook:
        """The vendor's test call, in which nobody writes anything."""

    @abstractmethod
    def redeliver(self, webhook: Webhook) -> Webhook:
        """The same webhook as the vendor sends it once more, having missed our answer."""

    @abstractmethod
    def settings(self, base_url: str = IN_PROCESS) -> dict[str, str]:
        """The arguments of an adapter that calls this fake: `Intercom(**fake.settings(base_url))`.

        Args:
            base_url: What `serve()` gives. The default leads nowhere, so that a client without `transport` reaches
                nobody.
        """

    def env(self, base_url: str = IN_PROCESS) -> dict[str, str]:
        """The same as environment variables, with the teams of `default_buckets.from_env`.

        Args:
            base_url: As for `settings`.
        """
        teams = dict(zip(("team_oncall", "team_billing", "team_support"), self.teams, strict=False))
        return {f"{self.prefix}_{name.upper()}": value for name, value in (self.settings(base_url) | teams).items()}

    # What a test asks.

    def replies(self, conversation_id: str) -> list[str]:
        """What the API has sent to the customer, as the customer's side shows it."""
        return self._said(conversation_id, "agent")

    def notes(self, conversation_id: str) -> list[str]:
        """The internal notes that the API has left."""
        return self._said(conversation_id, "note")

    def _said(self, conversation_id: str, role: str) -> list[str]:
        messages = self.conversations[conversation_id].messages
        return [message.body or "" for message in messages if message.role == role and message.via_api]

    # Faults.

    def fail(
        self,
        call: str = "**",
        *,
        status: int = 500,
        code: str | None = None,
        message: str = "Simulated failure",
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        times: int | None = 1,
        skip: int = 0,
        after: bool = False,
        timeout: bool = False,
        refused: bool = False,
    ) -> None:
        """Let coming calls fail. Faults that fit the same call are taken in the order in which they were set.

        Args:
            call: Method and path: `"POST /conversations/*/reply"`. `*` is anything within one part of the path, `**`
                anything at all.
            status: What is answered.
            code: The vendor's error code; None for its usual one for the status.
            message: The vendor's words.
            headers: Added to the answer: `{"Retry-After": "2"}`.
            body: Answered in place of the vendor's form of an error: a proxy's HTML.
            times: How many calls fail; None for all until `recover()`.
            skip: How many calls go well before.
            after: True if the call takes effect, and only its answer is lost.
            timeout: True for no answer: in process an `httpx.ReadTimeout`, from a server a connection that breaks off.
            refused: True for no connection: in process an `httpx.ConnectError`, from a server the same as `timeout`.
        """
        if refused and (after or timeout):
            raise ValueError("A call that is refused cannot take effect or time out.")
        refusal = Refusal(status, code or self.error_codes.get(status, self.error_codes[500]), message)
        response = as_json(status, self.build_error(refusal)) if body is None else HttpResponse(status, {}, body)
        response = replace(response, headers={**response.headers, **(headers or {})})
        pattern = re.escape(call).replace(r"\*\*", ".*").replace(r"\*", "[^/]*")
        fault = _Fault(
            float("inf") if times is None else times,
            skip,
            after,
            re.compile(pattern),
            None if timeout or refused else response,
            httpx.ConnectError if refused else httpx.ReadTimeout,
        )
        with self._lock:
            self._faults.append(fault)

    def recover(self) -> None:
        """Forget all faults."""
        with self._lock:
            self._faults.clear()

    # The two ways to be called.

    @property
    def transport(self) -> httpx.MockTransport:
        """For `httpx.Client(transport=…)` and `httpx.AsyncClient(transport=…)`; the host of the URL does not matter."""
        return _Transport(self)

    @contextmanager
    def serve(self) -> Generator[str, None, None]:
        """Run it as a server on the loopback; gives the base URL."""
        with serve(self._served) as base_url:
            yield base_url

    def _served(self, request: HttpRequest) -> HttpResponse:
        if self.latency:
            time.sleep(self.latency)
        return self.respond(request)

    def respond(self, request: HttpRequest) -> HttpResponse:
        """Answer a request. Raises `Drop` where a fault says that there is no answer."""
        call = Call(request.method, request.path, request.query, request.headers, _parsed(request.body))
        with self._lock:
            fault = self._fault(call)
            limits, exceeded = self._count(self.get_cost(call))
            answered = self._run(call, exceeded=exceeded) if fault is None or fault.after else None
            response = fault.response if fault else answered
            self.calls.append(replace(call, status=response.status if response else None))
        if response is None:
            raise _Unanswered(fault.error if fault else httpx.ReadTimeout)
        return replace(response, headers={**limits, **response.headers})

    def _fault(self, call: Call) -> _Fault | None:
        asked = f"{call.method} {call.path}"
        return taken(fault for fault in self._faults if fault.calls.fullmatch(asked))

    def _run(self, call: Call, *, exceeded: bool) -> HttpResponse:
        try:
            result = self._handled(call, exceeded=exceeded)
        except Refusal as refusal:
            return as_json(refusal.status, self.build_error(refusal))
        return result if isinstance(result, HttpResponse) else as_json(200, result)

    def _handled(self, call: Call, *, exceeded: bool) -> Any:
        self.admit(call)
        if exceeded:
            raise Refusal(*self.over_limit)
        handler, caught = self._route(call)
        return handler(call, **caught)

    def _route(self, call: Call) -> tuple[Handler, dict[str, str]]:
        for method, path, handler in self._routes:
            match = path.fullmatch(call.path)
            if method == call.method and match:
                return handler, {name: unquote(value) for name, value in match.groupdict().items()}
        raise Refusal(*self.no_route)

    def _count(self, cost: int) -> tuple[Mapping[str, str], bool]:
        if self.rate_limit is None:
            return {}, False
        limit = self.rate_limit
        window = int(self.clock() // limit.seconds)
        used = self._window[1] + cost if self._window[0] == window else cost
        self._window = (window, used)
        reset = int((window + 1) * limit.seconds)
        return self.build_rate_headers(limit, max(0, limit.calls - used), reset), used > limit.calls

    # For the vendors.

    def next_id(self) -> int:
        """A number that this fake has not given yet."""
        return next(self._ids)

    def now(self) -> int:
        """The time in whole seconds."""
        return int(self.clock())


class _Transport(httpx.MockTransport):
    def __init__(self, fake: FakeHelpDesk) -> None:
        super().__init__(self._answer)
        self._fake = fake

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if self._fake.latency:
            time.sleep(self._fake.latency)
        return super().handle_request(request)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self._fake.latency:
            await asyncio.sleep(self._fake.latency)
        return await super().handle_async_request(request)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        target = request.url.raw_path.decode("ascii")
        try:
            answer = self._fake.respond(HttpRequest.parse(request.method, target, request.headers, request.content))
        except _Unanswered as unanswered:
            raise unanswered.error("Simulated failure", request=request) from None
        return httpx.Response(answer.status, headers=dict(answer.headers), content=answer.body)


def as_json(status: int, value: Any) -> HttpResponse:
    """An answer in JSON."""
    return HttpResponse(status, {"Content-Type": "application/json; charset=utf-8"}, json.dumps(value).encode())


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body) if body else None
    except ValueError:
        return body.decode("utf-8", "replace")


def to_html(text: str) -> str:
    """Plain text as a help desk's editor keeps it: paragraphs and line breaks."""
    paragraphs = [html.escape(part, quote=False) for part in re.split(r"\n{2,}", text.strip("\n"))]
    return "".join(f"<p>{part}</p>" for part in paragraphs).replace("\n", "<br>")


def to_text(markup: str) -> str:
    """HTML as a help desk shows it in plain text; a link is `label (url)`."""
    reader = _Text()
    reader.feed(markup)
    reader.close()
    return re.sub(r"\n{3,}", "\n\n", "".join(reader.parts)).strip()


_BREAKS = {"br": "\n", "li": "\n", "tr": "\n"} | dict.fromkeys(
    ("p", "div", "h1", "h2", "h3", "h4", "ul", "ol", "blockquote", "pre", "table"), "\n\n"
)


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.parts.append(_BREAKS.get(tag, ""))
        if tag == "a":
            self.links.append(dict(attrs).get("href") or "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "a" and self.links:
            self.parts.append(f" ({self.links.pop()})")
        self.parts.append(_BREAKS.get(tag, ""))

    def handle_data(self, data: str) -> None:
        self.parts.append(re.sub(r"\s+", lambda space: " " if "\n" in space[0] else space[0], data))
