"""The base of all fake help desks: state, a journal of calls, faults, rate limits, and access in process or over HTTP.

To write a fake of your own vendor, subclass `FakeHelpDesk`: set the class attributes, implement the abstract methods,
and use `start_conversation`, `add_message`, `find_conversation`, `get_user` and `build_webhook` in them. The fakes
import nothing of `triage` when they are imported, so that they test an adapter without sharing its code.
"""

import asyncio
import json
import re
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import formatdate
from functools import cached_property
from itertools import count
from math import ceil
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias, TypedDict
from urllib.parse import unquote

import httpx
from typing_extensions import override

from triage.testing.desks.markup import to_html
from triage.testing.desks.records import (
    Call,
    Clock,
    FakeConversation,
    FakeMessage,
    FakeRole,
    Person,
    RateLimit,
    Refusal,
    Webhook,
)
from triage.testing.schedule import Fault, next_fault
from triage.testing.server import Drop, HttpRequest, HttpResponse, serve

if TYPE_CHECKING:
    from triage.vendors.base import HelpDesk

Handler: TypeAlias = Callable[..., Any]
"""Takes the `Call` and, by name, the groups of the route's pattern. Returns a JSON value or an `HttpResponse`."""

Routes: TypeAlias = Mapping[tuple[str, str], Handler]
"""`{("GET", r"/conversations/(?P<id>[^/]+)"): handler}`: methods and patterns of whole paths."""

IN_PROCESS = "https://helpdesk.invalid"
"""A base URL that never resolves, because RFC 2606 reserves `.invalid`."""


class FakeOptions(TypedDict, total=False):
    """The options of every fake; see `FakeHelpDesk`."""

    users: Mapping[str, str] | None
    teams: Mapping[str, str] | None
    clock: Clock
    rate_limit: RateLimit | Literal["default"] | None
    latency: float
    first_id: int


@dataclass(slots=True)
class _Fault(Fault):
    calls: re.Pattern[str]
    response: HttpResponse | None
    error: type[httpx.TransportError]


class _NoResponse(Drop):
    def __init__(self, error: type[httpx.TransportError]) -> None:
        super().__init__()
        self.error = error


class FakeHelpDesk(ABC):
    """A help desk that keeps its state in memory, for tests without a network.

    Pass `transport` to an `httpx.Client` or `httpx.AsyncClient` to call it in process, or run it as a server with
    `serve()`. It is safe to call from several threads.

    Args:
        users: Teammates, id to name. The first is the integration's own user, the last one acts where no other human
            is named.
        teams: Teams, inboxes or groups, id to name. The first three are on-call, billing and support.
        clock: Returns seconds since the epoch; for timestamps and the rate limit.
        rate_limit: `"default"` for the vendor's own, None for no limit.
        latency: Seconds that each call takes.
        first_id: The number of the first id. Fakes that share an inbox need different ones, and so does a server that
            is restarted with the same inbox; otherwise the inbox takes their messages for duplicates.

    Attributes:
        conversations: The conversations by id.
        calls: The calls received so far, oldest first.
    """

    prefix: ClassVar[str]
    """The prefix of the vendor's environment variables: `"INTERCOM"`."""
    default_users: ClassVar[Mapping[str, str]]
    """The teammates unless others are passed."""
    default_teams: ClassVar[Mapping[str, str]]
    """The teams unless others are passed."""
    default_rate_limit: ClassVar[RateLimit]
    """The vendor's own limit."""
    user_type: ClassVar[str]
    """The vendor's word for a teammate."""
    bot: Person
    """The vendor's own bot."""
    user_email: ClassVar[str] = "teammate-{}@example.com"
    """The email address of a teammate, with `{}` for the id."""
    error_codes: ClassVar[Mapping[int, str]]
    """The vendor's usual error code for each status, for `fail`."""
    no_route: ClassVar[tuple[int, str, str]]
    """The status, code and message for an unknown path or method."""
    no_conversation: ClassVar[tuple[int, str, str]]
    """The status, code and message for an unknown conversation."""
    over_limit: ClassVar[tuple[int, str, str]]
    """The status, code and message for a call above the rate limit."""

    def __init__(
        self,
        *,
        users: Mapping[str, str] | None = None,
        teams: Mapping[str, str] | None = None,
        clock: Clock = time.time,
        rate_limit: RateLimit | Literal["default"] | None = "default",
        latency: float = 0,
        first_id: int = 1,
    ) -> None:
        self.users = dict(users or self.default_users)
        self.teams = dict(teams or self.default_teams)
        self.clock = clock
        self.rate_limit = self.default_rate_limit if rate_limit == "default" else rate_limit
        self.latency = latency
        self.conversations: dict[str, FakeConversation] = {}
        self.calls: list[Call] = []
        self._lock = threading.RLock()
        self._ids = count(first_id)
        self._faults: list[_Fault] = []
        self._window = (0, 0)  # the number of the current window, and the calls in it

    # People write and act.

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
        """Write as a customer, and return the webhook that the vendor sends.

        Args:
            text: Plain text, or HTML with `html=True`.
            conversation: The id of the conversation to continue; None starts a new one.
            name: The customer's name, for a new conversation.
            email: The customer's email address, for a new conversation.
            html: True if `text` is HTML.
            attachments: File names.
            subject: The subject of a new conversation, which makes it an email.
        """
        body = self.format_body(text, html=html)
        with self._lock:
            if conversation is None:
                current = self.start_conversation(name, email, subject)
            else:
                current = self.conversations[conversation]
            message = self.add_message(current, "customer", body, current.contact, attachments=attachments)
            return self.report_message(current, message, is_new=conversation is None)

    def agent_writes(self, text: str, *, conversation: str, agent: str | None = None, html: bool = False) -> Webhook:
        """Reply to the customer as a human teammate, and return the webhook that the vendor sends.

        Args:
            text: Plain text, or HTML with `html=True`.
            conversation: The conversation's id.
            agent: The teammate's id; None for the last of `users`.
            html: True if `text` is HTML.
        """
        body = self.format_body(text, html=html)
        with self._lock:
            current = self.conversations[conversation]
            return self.report_message(current, self.add_message(current, "agent", body, self.get_human(agent)))

    def bot_greets(
        self,
        text: str = "Hi! How can we help?",
        *,
        name: str | None = "Mira Probe",
        email: str | None = "mira@example.com",
    ) -> Webhook:
        """Start a conversation as the vendor's bot, before the customer writes; return the webhook for it.

        Args:
            text: The greeting.
            name: The customer's name.
            email: The customer's email address.
        """
        with self._lock:
            started = self.start_conversation(name, email)
            message = self.add_message(started, "bot", self.format_body(text, html=False), self.bot)
            return self.report_message(started, message, is_new=True)

    def assign(self, conversation: str, agent: str | None = None) -> Webhook:
        """Assign a conversation to a human teammate, as that teammate does; return the webhook that the vendor sends.

        Args:
            conversation: The conversation's id.
            agent: The teammate's id; None for the last of `users`.
        """
        with self._lock:
            return self.assign_human(self.conversations[conversation], self.get_human(agent))

    @abstractmethod
    def ping(self) -> Webhook:
        """Return the vendor's test webhook, which reports no message."""

    def redeliver(self, webhook: Webhook) -> Webhook:
        """Return a webhook as the vendor sends it again after it received no response."""
        return replace(webhook, headers={**webhook.headers, **self.sign(webhook.body)})

    # Replies, notes and settings.

    def replies(self, conversation_id: str) -> list[str]:
        """Return the replies that the API sent, as the customer sees them."""
        return self._list_bodies(conversation_id, "agent")

    def notes(self, conversation_id: str) -> list[str]:
        """Return the internal notes that the API left."""
        return self._list_bodies(conversation_id, "note")

    def _list_bodies(self, conversation_id: str, role: str) -> list[str]:
        messages = self.conversations[conversation_id].messages
        return [message.body or "" for message in messages if message.role == role and message.via_api]

    @abstractmethod
    def settings(self, base_url: str = IN_PROCESS) -> dict[str, Any]:
        """Return the arguments of an adapter that calls this fake.

        Args:
            base_url: The URL that `serve()` returns. The default leads nowhere, so that a client without `transport`
                reaches nobody.
        """

    @abstractmethod
    def adapter(self, **settings: Any) -> "HelpDesk":
        """Return the vendor's adapter, configured to call this fake.

        Args:
            settings: Arguments of the adapter that replace those of `settings()` or add to them.
        """

    def env(self, base_url: str = IN_PROCESS) -> dict[str, str]:
        """Return the same settings as environment variables, together with the ids of the first three teams.

        Args:
            base_url: As for `settings`.
        """
        teams = dict(zip(("team_oncall", "team_billing", "team_support"), self.teams, strict=False))
        return {f"{self.prefix}_{name.upper()}": value for name, value in (self.settings(base_url) | teams).items()}

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
        """Make later calls fail. Faults that match the same call apply in the order in which they were planned.

        Args:
            call: Method and path: `"POST /conversations/*/reply"`. `*` matches anything within one part of the path,
                `**` anything at all.
            status: The status of the response.
            code: The vendor's error code; None for the usual one of the status.
            message: The vendor's error message.
            headers: Headers to add to the response: `{"Retry-After": "2"}`.
            body: A body that replaces the vendor's error format, such as a proxy's HTML.
            times: How many calls fail; None for all until `recover()`.
            skip: How many calls succeed first.
            after: True if the call takes effect and only its response is lost.
            timeout: True for no response: an `httpx.ReadTimeout` in process, a dropped connection from a server.
            refused: True for no connection: an `httpx.ConnectError` in process, the same as `timeout` from a server.

        Raises:
            ValueError: `refused` is combined with `after` or `timeout`.
        """
        if refused and (after or timeout):
            raise ValueError("A refused connection can neither take effect nor time out.")
        refusal = Refusal(status, code or self.error_codes.get(status, self.error_codes[500]), message)
        response = as_json(status, self.build_error(refusal)) if body is None else HttpResponse(status, {}, body)
        response = replace(response, headers={**response.headers, **(headers or {})})
        fault = _Fault(
            times=times,
            skip=skip,
            after=after,
            calls=re.compile(re.escape(call).replace(r"\*\*", ".*").replace(r"\*", "[^/]*")),
            response=None if timeout or refused else response,
            error=httpx.ConnectError if refused else httpx.ReadTimeout,
        )
        with self._lock:
            self._faults.append(fault)

    def recover(self) -> None:
        """Cancel all faults."""
        with self._lock:
            self._faults.clear()

    # The API, in process and over HTTP.

    @property
    def transport(self) -> httpx.MockTransport:
        """For `httpx.Client(transport=…)` and `httpx.AsyncClient(transport=…)`; the host of the URL does not matter."""
        return _Transport(self)

    def serve(self) -> AbstractContextManager[str]:
        """Run the fake as a server on the loopback interface; the context manager returns its base URL."""
        return serve(self._respond_late)

    def _respond_late(self, request: HttpRequest) -> HttpResponse:
        if self.latency:
            time.sleep(self.latency)
        return self.respond(request)

    def respond(self, request: HttpRequest) -> HttpResponse:
        """Respond to a request.

        Raises:
            Drop: A fault demands that no response is sent.
        """
        call = Call(request.method, request.path, request.query, request.headers, _parse_body(request.body))
        with self._lock:
            fault = self._find_fault(call)
            rate_headers, exceeded = self._count(call)
            actual = self._handle(call, exceeded=exceeded) if fault is None or fault.after else None
            response = fault.response if fault else actual
            self.calls.append(replace(call, status=response.status if response else None))
        if response is None:
            raise _NoResponse(fault.error if fault else httpx.ReadTimeout)
        date = {"Date": formatdate(self.clock(), usegmt=True)}
        return replace(response, headers={**date, **rate_headers, **self.build_headers(response), **response.headers})

    def _find_fault(self, call: Call) -> _Fault | None:
        name = f"{call.method} {call.path}"
        return next_fault(fault for fault in self._faults if fault.calls.fullmatch(name))

    def _count(self, call: Call) -> tuple[Mapping[str, str], bool]:
        limit = self.rate_limit
        if limit is None:
            return {}, False
        window = int(self.clock() // limit.seconds)
        used = self.get_cost(call) + (self._window[1] if self._window[0] == window else 0)
        self._window = (window, used)
        reset = int((window + 1) * limit.seconds)
        return self.build_rate_headers(limit, max(0, limit.calls - used), reset), used > limit.calls

    def _handle(self, call: Call, *, exceeded: bool) -> HttpResponse:
        try:
            self.admit(call)
            handler, groups = self._find_handler(call, exceeded=exceeded)
            result = handler(call, **groups)
        except Refusal as refusal:
            return as_json(refusal.status, self.build_error(refusal))
        return result if isinstance(result, HttpResponse) else as_json(200, result)

    def _find_handler(self, call: Call, *, exceeded: bool) -> tuple[Handler, dict[str, str]]:
        if exceeded:
            raise Refusal(*self.over_limit)
        for method, path, handler in self._routes:
            match = path.fullmatch(call.path)
            if method == call.method and match:
                return handler, {name: unquote(value) for name, value in match.groupdict().items()}
        raise Refusal(*self.no_route)

    @cached_property
    def _routes(self) -> list[tuple[str, re.Pattern[str], Handler]]:
        return [(method, re.compile(path), handler) for (method, path), handler in self.build_routes().items()]

    # The vendor's API: implemented by each fake.

    @abstractmethod
    def build_routes(self) -> Routes:
        """Return the handlers of the vendor's API. Called once."""

    @abstractmethod
    def admit(self, call: Call) -> None:
        """Check what every call must satisfy, above all its credentials.

        Raises:
            Refusal: The call is rejected.
        """

    @abstractmethod
    def build_error(self, refusal: Refusal) -> Any:
        """Return the JSON of an error response."""

    def build_headers(self, response: HttpResponse) -> Mapping[str, str]:
        """Return headers that the vendor adds to every response."""
        return {}

    def build_rate_headers(self, limit: RateLimit, remaining: int, reset: int) -> Mapping[str, str]:
        """Return the headers that describe the rate limit.

        Args:
            limit: The limit.
            remaining: Calls left in this window.
            reset: When the next window begins, in seconds since the epoch.
        """
        return {
            "X-RateLimit-Limit": str(limit.calls),
            "X-RateLimit-Remaining": str(remaining),
            "X-RateLimit-Reset": str(reset),
        }

    def get_cost(self, call: Call) -> int:
        """Return how much of the rate limit a call uses."""
        return 1

    # Messages, assignments and webhooks: implemented by each fake.

    @abstractmethod
    def create_conversation(self, number: int, name: str | None, email: str | None) -> FakeConversation:
        """Create a conversation with the vendor's ids, its channel and its `extra`, without storing it.

        Args:
            number: A number for the ids of the conversation and its customer.
            name: The customer's name.
            email: The customer's email address.
        """

    @abstractmethod
    def prepare_message(self, conversation: FakeConversation, message: FakeMessage) -> None:
        """Complete a message that is about to be added, and update the conversation for it.

        Set the message's id, its type if it has none, and the values that only this vendor has. Reopen the conversation
        if a customer writes.
        """

    @abstractmethod
    def report_message(self, conversation: FakeConversation, message: FakeMessage, *, is_new: bool = False) -> Webhook:
        """Return the webhook for a message of a customer, an agent or the bot.

        Args:
            conversation: The conversation.
            message: Its latest message.
            is_new: True if the message started the conversation.
        """

    @abstractmethod
    def assign_human(self, conversation: FakeConversation, agent: Person) -> Webhook:
        """Assign a conversation to a teammate, and return the webhook for it."""

    @abstractmethod
    def sign(self, body: bytes) -> dict[str, str]:
        """Return the headers that sign the body of a webhook."""

    def format_body(self, text: str, *, html: bool) -> str:
        """Convert the text that a person types into the format in which the vendor stores it."""
        return text if html else to_html(text)

    # Helpers for the fakes.

    def next_id(self) -> int:
        """Return a number that this fake has not used yet."""
        return next(self._ids)

    def now(self) -> int:
        """Return the time in whole seconds."""
        return int(self.clock())

    def seconds_until_reset(self) -> int:
        """Return the seconds until the rate limit's next window, rounded up."""
        window = self.rate_limit.seconds if self.rate_limit else 60
        return ceil(window - self.clock() % window)

    @property
    def own_id(self) -> str:
        """The id of the integration's own user."""
        return next(iter(self.users))

    def get_user(self, user_id: str) -> Person:
        """Return a teammate by id."""
        return Person(user_id, self.user_type, self.users[user_id], self.user_email.format(user_id))

    def get_human(self, user_id: str | None = None) -> Person:
        """Return the teammate with an id, or without one the last teammate."""
        return self.get_user(user_id or list(self.users)[-1])

    def find_conversation(self, conversation_id: str) -> FakeConversation:
        """Return a conversation for an API call.

        Raises:
            Refusal: It does not exist, or it is deleted (`extra["deleted"]`).
        """
        conversation = self.conversations.get(conversation_id)
        if conversation is None or conversation.extra.get("deleted"):
            raise Refusal(*self.no_conversation)
        return conversation

    def start_conversation(self, name: str | None, email: str | None, subject: str = "") -> FakeConversation:
        """Create and store a conversation without messages; one with a subject is an email."""
        conversation = self.create_conversation(self.next_id(), name, email)
        conversation.created_at = conversation.updated_at = self.now()
        if subject:
            conversation.subject, conversation.channel = subject, "email"
        self.conversations[conversation.id] = conversation
        return conversation

    def add_message(
        self,
        conversation: FakeConversation,
        role: FakeRole,
        body: str | None,
        author: Person,
        *,
        kind: str = "",
        attachments: Sequence[str] = (),
        via_api: bool = False,
        **extra: Any,
    ) -> FakeMessage:
        """Add a message to a conversation and return it.

        Args:
            conversation: The conversation.
            role: The author's role.
            body: The text; None for an event.
            author: The person who writes or acts.
            kind: The message's `type`; empty for the usual one.
            attachments: File names.
            via_api: True if an API call creates it.
            extra: Values that only this vendor has.
        """
        message = FakeMessage("", role, kind, body, author, self.now(), tuple(attachments), via_api, extra)
        self.prepare_message(conversation, message)
        conversation.messages.append(message)
        return message

    def merge_messages(self, conversation: str, into: str) -> FakeConversation:
        """Move a conversation's messages into another, delete the first and return the second."""
        source, target = self.conversations.pop(conversation), self.conversations[into]
        # Ids increase, so the longer id is newer, or the greater of two with the same length.
        target.messages[:] = sorted(
            [*target.messages, *source.messages], key=lambda message: (message.at, len(message.id), message.id)
        )
        return target

    def build_webhook(
        self, payload: Any, conversation_id: str | None, headers: Mapping[str, str] | None = None
    ) -> Webhook:
        """Return a signed webhook.

        Args:
            payload: Bytes, or a value that becomes JSON.
            conversation_id: The conversation that the webhook reports; None for a test webhook.
            headers: Headers in addition to the content type and the signature.
        """
        body = payload if isinstance(payload, bytes) else _encode(payload)
        all_headers = {"Content-Type": "application/json", **(headers or {}), **self.sign(body)}
        return Webhook(body, all_headers, conversation_id)


class _Transport(httpx.MockTransport):
    def __init__(self, fake: FakeHelpDesk) -> None:
        super().__init__(self._respond)
        self._fake = fake

    @override
    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if self._fake.latency:
            time.sleep(self._fake.latency)
        return super().handle_request(request)

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self._fake.latency:
            await asyncio.sleep(self._fake.latency)
        return await super().handle_async_request(request)

    def _respond(self, request: httpx.Request) -> httpx.Response:
        target = request.url.raw_path.decode("ascii")
        try:
            response = self._fake.respond(HttpRequest.parse(request.method, target, request.headers, request.content))
        except _NoResponse as fault:
            raise fault.error("Simulated failure", request=request) from None
        return httpx.Response(response.status, headers=dict(response.headers), content=response.body)


def _encode(payload: Any) -> bytes:
    """Return JSON of a form that Python's `json.dumps` does not write.

    An application must verify the bytes that arrived. If it passes on JSON that it has parsed and written again, its
    tests should fail, as its webhooks would.
    """
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).replace("/", r"\/").encode()


def as_json(status: int, value: Any) -> HttpResponse:
    """Return a JSON response."""
    return HttpResponse(status, {"Content-Type": "application/json; charset=utf-8"}, json.dumps(value).encode())


def format_time(at: float) -> str:
    """Format a time as ISO 8601 in UTC, in whole seconds: `2026-11-24T09:30:00Z`."""
    return datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _parse_body(body: bytes) -> Any:
    try:
        return json.loads(body) if body else None
    except ValueError:
        return body.decode("utf-8", "replace")
