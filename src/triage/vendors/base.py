"""The base class of the adapters, and the protocol through which the engine uses them.

An adapter subclasses `HelpDesk`, declares its settings and actions, and translates between the vendor's API and our
models. The base class does the rest: it reads settings from the environment, plans steps, builds requests and
conversations, parses responses, and checks whether a reply was sent. This module exports everything that an adapter
needs.
"""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, NoReturn, Protocol, TypeAlias, TypeVar, cast

from pydantic import Field, JsonValue, ValidationError

from triage.actions import Action, Assign, Close, MarkSpam, Note, Reply, SetFields, SetPriority, Snooze, Tag
from triage.errors import (
    ConfigurationError,
    ConversationIgnored,
    InvalidSignature,
    MalformedPayload,
    MessageUnconfirmed,
    VendorError,
)
from triage.io.retry import parse_seconds
from triage.models import (
    Conversation,
    Customer,
    Delivery,
    Event,
    Finding,
    Handshake,
    Id,
    Ignored,
    Message,
    Parsed,
    Performed,
    Rejection,
    Request,
    Response,
    Role,
    Step,
    Token,
)
from triage.text import (
    Plain,
    TextBudget,
    clean,
    clean_name,
    describe_automatic,
    from_html,
    is_blank,
    is_forward_subject,
    is_reply_subject,
    limit_markup,
    normalize_for_comparison,
    split_quotes,
    to_html,
)
from triage.vendors.payload import (
    Loose,
    LooseTuple,
    Payload,
    describe_problem,
    find_id,
    parse_json,
    parse_timestamp,
    safe_id,
    safe_word,
    sort_key,
)
from triage.vendors.responses import (
    build_error,
    follow_merges,
    parse_response,
    seconds_until_reset,
    unexpected_response,
)
from triage.vendors.settings import ListOf, Number, Secret, Settings, SigningSecret
from triage.vendors.signing import Secrets, decode_base64, decode_hex, explain_rejection, explain_time

__all__ = [
    "Action",
    "Assign",
    "Auth",
    "Close",
    "ConfigurationError",
    "Conversation",
    "ConversationIgnored",
    "Customer",
    "Delivery",
    "ErrorFacts",
    "Event",
    "Finding",
    "Handshake",
    "HelpDesk",
    "Id",
    "Ignored",
    "InvalidSignature",
    "Kind",
    "ListOf",
    "Lookup",
    "Loose",
    "LooseTuple",
    "MalformedPayload",
    "MarkSpam",
    "Message",
    "Note",
    "Number",
    "Parsed",
    "Payload",
    "Performed",
    "Plain",
    "Rejection",
    "Reply",
    "Request",
    "Response",
    "Role",
    "Secret",
    "Secrets",
    "Send",
    "SetFields",
    "SetPriority",
    "SigningSecret",
    "Snooze",
    "Step",
    "Tag",
    "Vendor",
    "VendorError",
    "add_names",
    "build_steps",
    "clean",
    "clean_name",
    "decode_base64",
    "decode_hex",
    "describe_automatic",
    "explain_rejection",
    "explain_time",
    "follow_merges",
    "from_html",
    "is_blank",
    "merge_fields",
    "parse_json",
    "parse_response",
    "parse_seconds",
    "parse_timestamp",
    "safe_id",
    "safe_word",
    "seconds_until_reset",
    "select",
    "sort_key",
    "to_html",
    "unexpected_response",
]

A = TypeVar("A")
P = TypeVar("P", bound=Payload)

Kind: TypeAlias = Literal["created", "replied"]
Method: TypeAlias = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]

Send: TypeAlias = Callable[[Request], Awaitable[Response]]
"""Make a call: returns a 2xx response, raises `VendorError` for anything else. It retries where that is safe."""

_NOBODY = (None, "", "0")
MOST_MESSAGES = 1000  # of a conversation; no help desk's API returns so many
_EXAMINED_SENDERS = 10  # of the newest messages, because only the last of the customer decides whether to reply


class Auth(Protocol):
    """Fetches access tokens for vendors that require them, such as `oauth.ClientCredentials`."""

    def request(self) -> Request:
        """Return the call that fetches a token."""
        ...

    def token(self, request: Request, response: Response, now: float) -> Token:
        """Parse the response to `request()`.

        Args:
            request: The call.
            response: A 2xx response.
            now: Seconds since the epoch.

        Raises:
            VendorError: The response does not contain a usable token.
        """
        ...


class Vendor(Protocol):
    """The interface through which the engine uses an adapter.

    An adapter never does I/O or reads a clock: it turns bytes into events, and actions into requests. It may remember
    facts about the account, but no conversations.
    """

    @property
    def name(self) -> str:
        """The vendor's name in lower case, as in events and logs."""
        ...

    @property
    def auth(self) -> Auth | None:
        """How to fetch the token that requests must carry; None if they need no token."""
        ...

    def verify(self, delivery: Delivery) -> None:
        """Verify the signature of the raw bytes, in constant time.

        Raises:
            InvalidSignature: The signature is absent, malformed, wrong or too old.
        """
        ...

    def parse(self, delivery: Delivery) -> Parsed:
        """Parse a verified delivery.

        Raises:
            MalformedPayload: The delivery does not match the vendor's documentation.
        """
        ...

    def check(self, action: Action) -> None:
        """Reject an action that the vendor does not support. Called for each action when a Router is created.

        Raises:
            ConfigurationError: The action is not supported; the message says what to use instead.
        """
        ...

    def plan(self, actions: Sequence[Action]) -> Sequence[Step]:
        """Group and order actions into steps, as the vendor's API requires."""
        ...

    async def fetch(self, event: Event, send: Send) -> Conversation:
        """Read the current state of the event's conversation.

        Raises:
            ConversationIgnored: The settings demand that this conversation is left alone.
            VendorError: The conversation could not be read.
        """
        ...

    async def perform(self, step: Step, conversation: Conversation, send: Send) -> Performed | None:
        """Perform a step and return once the vendor has confirmed it.

        Returns:
            The ids of the messages that the step wrote, and the changes that the vendor left out. None if unknown.

        Raises:
            VendorError: The vendor did not confirm the step.
        """
        ...

    async def was_performed(self, step: Step, conversation: Conversation, send: Send) -> bool:
        """Ask the vendor whether a step with an unknown outcome took effect.

        Args:
            step: The step that was tried.
            conversation: The conversation before the step.
            send: Makes the calls.

        Raises:
            VendorError: The answer cannot be determined, so the step is not repeated.
        """
        ...

    def pause(self, response: Response, now: float) -> float | None:
        """Return the seconds to wait before the next call, or None if the headers do not say.

        Args:
            response: Any response; a 2xx response may exhaust a rate limit, too.
            now: Seconds since the epoch, for limits that reset at a given time.
        """
        ...

    def error(self, request: Request, response: Response, now: float) -> VendorError:
        """Build the error for a response that is not 2xx.

        Args:
            request: The call.
            response: The response.
            now: Seconds since the epoch, for limits that reset at a given time.
        """
        ...


class ErrorFacts(NamedTuple):
    """The details that an adapter extracts from the body of an error response."""

    message: str | None = None
    """The vendor's own message. It may quote the customer, so it never becomes part of the error's text."""
    code: str | None = None
    """The vendor's error code."""
    request_id: str | None = None
    """The vendor's id of the request."""
    hint: str | None = None
    """A hint in our words, used if `hints` contains none."""
    final: bool = False
    """True if the same call would be rejected again."""


class Lookup(NamedTuple):
    """Ids or names that must exist in the account."""

    kind: str
    """What they name, `"teams"`."""
    names: Sequence[str]
    find: Callable[[Sequence[str], Send], Awaitable[Mapping[str, str] | None]]
    """Returns those that exist, id to name; None if they cannot be listed."""
    place: str = "the policy"
    """Where they are configured."""


class HelpDesk(Settings, ABC):
    """The base class of the adapters.

    Subclasses declare their settings as fields (see `triage.vendors.settings`) and define `verify`, `parse`, `read`
    and `perform`. Exactly one field is a `SigningSecret`, and `self.secrets` verifies signatures with it.

    Args:
        base_url: The API's address, if it is not the vendor's own, such as that of a proxy or a fake.

    Raises:
        ConfigurationError: Settings are missing or invalid. The message lists all of them.
    """

    can: ClassVar[frozenset[type[Action]]]
    """The supported actions."""
    instead: ClassVar[Mapping[type[Action], str]] = {}
    """For each unsupported action, the reason and an alternative."""
    step_order: ClassVar[Mapping[type[Action], int]] = {
        Assign: 0,
        Reply: 1,
        SetPriority: 2,
        SetFields: 3,
        Tag: 4,
        Note: 5,
        Snooze: 6,
        MarkSpam: 7,
        Close: 7,
    }
    """The order of the steps: routing before labels, so that a label that fails delays nothing, and closing last.
    Actions with the same number keep the order of the policy."""
    own_id_setting: ClassVar[str]
    """The setting that holds the author id of the messages that this adapter writes."""
    api_url: ClassVar[str]
    """The API's address. Override `default_url` if it depends on the settings."""
    hints: ClassVar[Mapping[int | str, str]] = {}
    """Hints for error messages, by error code or status; `"token"` for the token endpoint.

    `{setting}` becomes the setting's name and environment variable.
    """
    retry_headers: ClassVar[tuple[str, ...]] = ("retry-after",)
    """The headers that contain the seconds to wait, most specific first."""
    numeric_ids: ClassVar[bool] = False
    """True if teams and users have numeric ids, so that a policy with other ids is rejected."""
    appends_signature: ClassVar[bool] = False
    """True if the vendor may append a signature to our replies."""
    conversation_paths: ClassVar[tuple[str, ...]] = ()
    """Where a webhook names its conversation, such as `"data.item.id"`, for the log line of a delivery that contains no
    event."""
    event_paths: ClassVar[tuple[str, ...]] = ()
    """Where a webhook has its own id: a path in the payload, or the name of a header in lower case. Empty if it has
    none, as those of Help Scout and Crisp."""
    default_max_body: ClassVar[int] = 1024 * 1024
    """The size of the largest webhook to accept, in bytes, unless the Router says otherwise."""
    delivers_later: ClassVar[bool] = False
    """True if a reply may appear only some time after the vendor accepted it."""

    machines: Annotated[ListOf[str], Field(description="a list of ids, such as ['7']")] = ()
    """Ids of users that are bots, such as those of other vendors. Their messages are no answers, and a
    conversation that is assigned to one of them is assigned to nobody."""
    base_url: Annotated[
        str | None, Field(pattern=r"^https?://[^\s@]+$", description="an address such as https://proxy.example.com")
    ] = None

    # Overridden by adapters

    @abstractmethod
    def verify(self, delivery: Delivery) -> None:
        """Verify the signature of the raw bytes, in constant time.

        Raises:
            InvalidSignature: The signature is absent, malformed, wrong or too old.
        """

    @abstractmethod
    def parse(self, delivery: Delivery) -> Parsed:
        """Parse a verified delivery.

        Raises:
            MalformedPayload: The delivery does not match the vendor's documentation.
        """

    @abstractmethod
    async def read(self, conversation_id: str, send: Send) -> Conversation:
        """Read a conversation from the API."""

    @abstractmethod
    async def perform(self, step: Step, conversation: Conversation, send: Send) -> Performed | None:
        """Perform a step and return once the vendor has confirmed it.

        Returns:
            The ids of the messages that the step wrote, and the changes that the vendor left out. None if unknown.

        Raises:
            VendorError: The vendor did not confirm the step.
        """

    def headers(self) -> Mapping[str, str]:
        """Return the headers of every request, in addition to those for JSON."""
        return {}

    def parse_error(self, data: Mapping[str, Any], response: Response) -> ErrorFacts:
        """Extract the details of an error.

        Args:
            data: The JSON object in the body of the response; empty if the body is not a JSON object.
            response: The response.
        """
        return ErrorFacts()

    @classmethod
    def link(cls, event: Event) -> str | None:
        """Return the address at which people read the conversation of an event, or None if it is not known.

        Args:
            event: An event of this vendor.
        """
        return None

    def identify(
        self, delivery: Delivery, data: Mapping[str, JsonValue] | None = None
    ) -> tuple[str | None, str | None]:
        """Return the ids of a delivery's conversation and of the delivery itself, as far as they are there and safe.

        Args:
            delivery: A verified delivery.
            data: The parsed body; None to parse it here.
        """
        try:
            data = parse_json(delivery.body) if data is None else data
        except MalformedPayload:
            data = {}
        conversation = next(filter(None, (find_id(data, path) for path in self.conversation_paths)), None)
        ids = (find_id(delivery.headers, path) or find_id(data, path) for path in self.event_paths)
        return conversation, next(filter(None, ids), None)

    # Settings

    @property
    def auth(self) -> Auth | None:
        """How to fetch the token that requests must carry; None if `headers` contains all credentials."""
        return None

    @property
    def retries_deliveries(self) -> bool:
        """True if the help desk delivers a webhook again that was answered with 503."""
        return True

    @cached_property
    def own_id(self) -> str:
        """The author id of the messages that this adapter writes."""
        return str(getattr(self, self.own_id_setting))

    def default_url(self) -> str:
        """Return the API's address, unless `base_url` replaces it."""
        return self.api_url

    @cached_property
    def url(self) -> str:
        """The API's address in use, without a trailing slash."""
        return (self.base_url or self.default_url()).rstrip("/")

    @cached_property
    def secrets(self) -> Secrets:
        """The signing secrets."""
        setting = self.signing_setting()
        return Secrets(getattr(self, setting), name=f"{self.title}'s {setting}")

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        """Show the address, and settings that are never secret."""
        return [(None, self.url), *super().__repr_args__()]

    # Checking the set-up

    async def check_account(self, actions: Sequence[Action], send: Send) -> Sequence[Finding]:
        """Check by reading only that the credentials work and that the account has everything that a policy names.

        Args:
            actions: The actions of the policy.
            send: Makes the calls.
        """
        try:
            findings = [Finding("credentials", "ok", await self.check_user(send))]
        except (ConfigurationError, VendorError) as err:
            problem = f"{str(err).removesuffix('.')}."
            is_unreachable = isinstance(err, VendorError) and err.status is None
            advice = f" Check this machine's network and proxy, and the address {self.url}." if is_unreachable else ""
            return [Finding("credentials", "failed", problem + advice)]
        names = _collect_names(actions)
        lookups = [
            Lookup("teams", names["teams"], self.find_teams),
            Lookup("users", names["users"], self.find_users),
            Lookup("tags", names["tags"], self.find_tags),
            Lookup("fields", names["fields"], self.find_fields),
            *self.find_settings(),
        ]
        return findings + [await self._look_up(lookup, send) for lookup in lookups if lookup.names]

    async def _look_up(self, lookup: Lookup, send: Send) -> Finding:
        kind, names, find, place = lookup
        try:
            existing = await find(names, send)
        except VendorError as err:
            if err.status == 403:
                return Finding(kind, "skipped", f"the credentials do not allow reading them ({err})")
            return Finding(kind, "failed", f"they cannot be read: {err}")
        if existing is None:
            return Finding(kind, "skipped", f"{self.title} creates them on first use, or has no call that lists them")
        folded = {name.casefold() for pair in existing.items() for name in pair}
        missing = [name for name in names if name.casefold() not in folded]
        if not missing:
            return Finding(kind, "ok", ", ".join(names))
        found = ", ".join(f"{id_} ({label})" if label not in ("", id_) else id_ for id_, label in existing.items())
        advice = f"Correct {place}, or create what is missing. There are: {found or 'none'}."
        return Finding(kind, "failed", f"{self.title} does not have {', '.join(missing)}. {advice}")

    async def check_user(self, send: Send) -> str:
        """Check the credentials, and that `own_id` is a user who may write; return what was found.

        Raises:
            ConfigurationError: The settings do not fit the account. The message says what to change.
            VendorError: The credentials were rejected, or the API failed.
        """
        return "not checked: this adapter has no call for it"

    async def find_teams(self, ids: Sequence[str], send: Send) -> Mapping[str, str] | None:
        """Return the account's teams, id to name; None if they cannot be listed."""
        return None

    async def find_users(self, ids: Sequence[str], send: Send) -> Mapping[str, str] | None:
        """Return the account's users, id to name; None if they cannot be listed."""
        return None

    async def find_tags(self, names: Sequence[str], send: Send) -> Mapping[str, str] | None:
        """Return the account's tags, id to name; None if a tag need not exist before it is used."""
        return None

    async def find_fields(self, names: Sequence[str], send: Send) -> Mapping[str, str] | None:
        """Return the account's custom fields, id to name; None if they cannot be listed."""
        return None

    def find_settings(self) -> Sequence[Lookup]:
        """Return the settings that name something in the account, for `check_account` to look up."""
        return ()

    # Planning

    def reject(self, action: Action) -> NoReturn:
        """Reject an action that is not in `can`. Call it in the last `case` of `perform`.

        Raises:
            ConfigurationError: Always. The message says what to use instead.
        """
        advice = self.instead.get(type(action), "take it out of the policy.")
        raise ConfigurationError(f"{self.title} has no {type(action).__name__}: {advice}")

    def check(self, action: Action) -> None:
        """Reject an action that this vendor does not support.

        Raises:
            ConfigurationError: The action is not supported, or its ids or names cannot exist at this vendor.
        """
        if type(action) not in self.can:
            self.reject(action)
        if self.numeric_ids and isinstance(action, Assign) and not (action.team or action.user or "").isdecimal():
            raise ConfigurationError(f"{self.title}'s team and user ids are numbers; {action!r} has another id.")

    def plan(self, actions: Sequence[Action]) -> Sequence[Step]:
        """Order actions and group them into steps: assign, reply, then label, and close last.

        Each action is a step, unless `can_share_step` says otherwise.
        """
        steps: list[list[Action]] = []
        for action in sorted(actions, key=lambda action: self.step_order[type(action)]):
            if steps and self.can_share_step(steps[-1][-1], action):
                steps[-1].append(action)
            else:
                steps.append([action])
        return build_steps(steps)

    def can_share_step(self, previous: Action, action: Action) -> bool:
        """Return whether an action can join the step that ends with the previous one, because one call does both."""
        return False

    # Calls

    def request(self, method: Method, path: str, json: Any = None, *, idempotent: bool | None = None) -> Request:
        """Build an API call.

        Args:
            method: The HTTP method.
            path: The path after the API's address, with the query.
            json: The body, or None.
            idempotent: True if the call may be repeated after an unknown outcome. By default, all but POST may.
        """
        safe = method != "POST" if idempotent is None else idempotent
        return Request(method, self.url + path, json, self._all_headers, safe)

    @cached_property
    def _all_headers(self) -> Mapping[str, str]:
        return {"Accept": "application/json", "Content-Type": "application/json", **self.headers()}

    async def get(self, model: type[P], path: str, send: Send) -> P:
        """Make a GET request and parse the response.

        Raises:
            VendorError: The call failed, or the response does not fit the model.
        """
        request = self.request("GET", path)
        return parse_response(model, request, await send(request), vendor=self.name)

    async def call(self, model: type[P], request: Request, send: Send) -> P:
        """Make a call and parse the response.

        Raises:
            VendorError: The call failed, or the response does not fit the model.
        """
        return parse_response(model, request, await send(request), vendor=self.name)

    async def fetch(self, event: Event, send: Send) -> Conversation:
        """Read the event's conversation, and add its message if the API does not return it yet."""
        return self.add_missing_message(event, await self.read(event.conversation_id, send))

    def read_delivery(self, event: Event) -> Conversation:
        """Return the conversation as far as an event's delivery shows it. By default, it shows no message.

        It is separate from `parse`, because converting texts takes far longer than acknowledging a delivery may.

        Args:
            event: An event of this vendor.
        """
        return self.build_conversation(event.conversation_id, [], customer=event.customer)

    def add_missing_message(self, event: Event, conversation: Conversation) -> Conversation:
        """Return the conversation with an event's message, adding it if the vendor's API did not return it.

        Args:
            event: The event.
            conversation: The conversation from the vendor's API. The API may lag behind the event, or leave out a
                message whose plain text is empty.
        """
        read = next((message for message in conversation.messages if message.id == event.message_id), None)
        if read is not None and (read.text or read.attachments):
            return conversation
        delivered = self.read_delivery(event).messages
        message = next((message for message in delivered if message.id == event.message_id), None)
        if message is None:
            return conversation
        others = tuple(other for other in conversation.messages if other is not read)
        return conversation.model_copy(update={"messages": (*others, message)})

    async def reread(self, conversation: Conversation, send: Send) -> Conversation:
        """Read a conversation again. Override it if the id alone does not identify the conversation."""
        return await self.read(conversation.id, send)

    async def was_performed(self, step: Step, conversation: Conversation, send: Send) -> bool:
        """Read the conversation again, and look for new messages with the texts of the step.

        Raises:
            MessageUnconfirmed: A message is missing, and the vendor may still deliver it.
        """
        earlier = {message.id for message in conversation.messages}
        current = await self.reread(conversation, send)
        new = [message for message in current.messages if message.id not in earlier and message.author == self.own_id]
        is_found = all(self._is_written(action, new) for action in step.actions)
        if self.delivers_later and not is_found:
            message, call = "the message is not there yet, and may still come", f"reading {conversation.id}"
            raise MessageUnconfirmed(message, vendor=self.name, call=call)
        return is_found

    def _is_written(self, action: Action, messages: Iterable[Message]) -> bool:
        if not isinstance(action, Reply | Note):
            return True
        return any(self.is_written_by(action, message) for message in messages)

    def is_written_by(self, action: Reply | Note, message: Message) -> bool:
        """Return whether `action` wrote `message`."""
        role = "bot" if isinstance(action, Reply) else "note"
        text, expected = normalize_for_comparison(message.text), normalize_for_comparison(action.body)
        return message.role == role and (text.startswith(expected) if self.appends_signature else text == expected)

    # Errors and limits

    def pause(self, response: Response, now: float) -> float | None:
        """Return the seconds to wait, from `retry_headers` or from an exhausted `X-RateLimit` window."""
        waits = (parse_seconds(response.headers, name) for name in self.retry_headers if name in response.headers)
        return next((wait for wait in waits if wait is not None), seconds_until_reset(response, now))

    def error(self, request: Request, response: Response, now: float) -> VendorError:
        """Build the error for a response that is not 2xx, with a hint that names the settings to check."""
        data = response.data()
        facts = self.parse_error(cast("dict[str, Any]", data) if isinstance(data, dict) else {}, response)
        hint = self._find_hint(request, response, facts)
        return build_error(
            request,
            response,
            vendor=self.name,
            message=facts.message,
            hint=hint.format_map(self.setting_labels()) if hint else None,
            code=facts.code,
            request_id=facts.request_id,
            retry_after=self.pause(response, now),
            final=facts.final,
        )

    def _find_hint(self, request: Request, response: Response, facts: ErrorFacts) -> str | None:
        if self.auth is not None and request.url == self.auth.request().url:
            return self.hints.get("token")
        return self.hints.get(facts.code or "") or self.hints.get(response.status) or facts.hint

    # Events and conversations

    def build_event(
        self,
        conversation_id: str,
        message_id: str,
        *,
        account: str,
        kind: Kind,
        raw: bytes,
        event_id: object = None,
        customer: Customer | None = None,
        at: datetime | None = None,
    ) -> Event:
        """Build an event of this vendor.

        Args:
            conversation_id: The conversation's id.
            message_id: The message's id, or other text that identifies the message.
            account: The workspace, account or site.
            kind: `created` if the message began the conversation, otherwise `replied`.
            raw: The body of the delivery.
            event_id: The help desk's own id of the delivery, as it was received; None if it has none.
            customer: The customer, as far as the delivery names one.
            at: When the message was written.

        Raises:
            MalformedPayload: An id is longer than 200 characters, or contains a character that no id has. The message
                names the field, never its value.
        """
        event_id = safe_id(event_id)
        try:
            return Event(
                owner=self.name,
                vendor=self.name,
                account=account,
                kind=kind,
                conversation_id=conversation_id,
                message_id=message_id,
                # Use the message's id rather than the delivery's, because a redelivery may have another id.
                key=f"{self.name}:{account}:{conversation_id}:{message_id}",
                event_id=event_id,
                occurred_at=at,
                customer=customer or Customer(),
                raw=raw,
            )
        except ValidationError as err:
            problem = describe_problem(err)
        raise MalformedPayload(problem, event_id=event_id)

    def build_message(
        self,
        id_: str,
        role: Role,
        text: Plain | str | None,
        *,
        author: str | None = None,
        at: datetime | None = None,
        files: Iterable[str] = (),
        is_automatic: bool = False,
    ) -> Message:
        """Build a message.

        Args:
            id_: The message's id.
            role: The author: a `customer`, an `agent` (a human) or a `bot` (this program, or another machine); `note`
                for internal notes.
            text: The text, or the result of `from_html`. `build_conversation` removes quoted history and signatures
                from customers' messages.
            author: The author's id.
            at: When it was written.
            files: The names of its attachments.
            is_automatic: True if the vendor says that a machine sent a customer's message.
        """
        plain = text if isinstance(text, Plain) else Plain(clean(text or ""), 0)
        if role == "agent" and author is not None and author in self.machines:
            role = "bot"
        return Message(
            id=id_,
            role=role,
            text=plain.text,
            attachments=(*files, *["image"] * plain.images),
            at=at,
            author=author,
            is_automatic=is_automatic,
            is_ours=role in ("bot", "note") and author == self.own_id,
        )

    def build_conversation(
        self,
        id_: str,
        messages: Iterable[Message | Callable[[], Message]],
        *,
        customer: Customer | None = None,
        subject: str | None = None,
        assignee: str | None = None,
        team: str | None = None,
        is_closed: bool = False,
        closed_at: datetime | None = None,
        channel: str | None = None,
        inbox: str | None = None,
        brand: str | None = None,
        tags: Iterable[str] = (),
        version: str | None = None,
        is_continued: bool = False,
    ) -> Conversation:
        """Build a conversation. Only customers' messages may have neither text nor attachments.

        Args:
            id_: The conversation's id.
            messages: The messages, oldest first, or functions that build them. With functions, the newest message is
                built first, and only the beginnings of old messages are converted if a conversation is very long.
                Only the newest 1,000 are kept.
            customer: The customer.
            subject: The subject.
            assignee: The id of the user to whom the conversation is assigned. Our own id counts as unassigned.
            team: The id of the team to which the conversation is assigned.
            is_closed: True if the conversation is closed now.
            closed_at: When it was last closed.
            channel: Where the customer wrote, in the vendor's words.
            inbox: The id of the inbox that received the conversation.
            brand: The id of the brand.
            tags: The names of the tags.
            version: The vendor's version of this state.
            is_continued: True if messages before the first one are not shown, as in a webhook about a reply.
        """
        items = list(messages)
        is_continued = is_continued or len(items) > MOST_MESSAGES
        built = _build_newest_first(items[-MOST_MESSAGES:])
        kept = [message for message in built if message.text or message.attachments or message.role == "customer"]
        customer = customer or Customer()
        name = clean_name(customer.name)
        sender = _Sender(customer, clean(subject or ""))
        shown = list(_remove_history(kept, sender.subject, is_continued=is_continued))
        shown[-_EXAMINED_SENDERS:] = map(sender.mark, shown[-_EXAMINED_SENDERS:])
        return Conversation(
            id=id_,
            subject=sender.subject,
            customer=customer if name == customer.name else customer.model_copy(update={"name": name}),
            messages=tuple(shown),
            assignee=None if assignee in (*_NOBODY, *self.machines, self.own_id) else assignee,
            team=None if team in _NOBODY else team,
            is_closed=is_closed,
            closed_at=closed_at,
            channel=channel,
            inbox=inbox,
            brand=brand,
            tags=tuple(tags),
            version=version,
        )


class _Sender(NamedTuple):
    """The customer, as far as it shows whether a machine wrote the messages."""

    customer: Customer
    subject: str

    def mark(self, message: Message) -> Message:
        """Mark a customer's message that a machine wrote."""
        if message.role != "customer" or message.is_automatic:
            return message
        reason = describe_automatic(
            address=self.customer.email, name=self.customer.name, subject=self.subject, text=message.text
        )
        return message if reason is None else message.model_copy(update={"is_automatic": True})


def _build_newest_first(messages: Sequence[Message | Callable[[], Message]]) -> list[Message]:
    """Return the messages in their original order, with shorter texts if there is too much text in all."""
    budget = TextBudget()
    built: list[Message] = []
    with limit_markup():
        for item in reversed(messages):
            message = item if isinstance(item, Message) else item()
            text = budget.take(message.text)
            built.append(message if text == message.text else message.model_copy(update={"text": text}))
    return built[::-1]


def _remove_history(messages: Sequence[Message], subject: str, *, is_continued: bool) -> Iterator[Message]:
    """Remove quoted history from customers' messages. A first message has some only if the email itself says so."""
    is_reply: bool | None = None
    if is_continued or is_reply_subject(subject):
        is_reply = True
    elif is_forward_subject(subject):
        is_reply = False
    for message in messages:
        if message.role == "customer":
            text, quoted = split_quotes(message.text, is_reply=is_reply)
            if quoted or text != message.text:
                message = message.model_copy(update={"text": text, "quoted": quoted})
        yield message
        is_reply = is_reply if message.role == "note" else True


def _collect_names(actions: Iterable[Action]) -> dict[str, list[str]]:
    """Return the teams, users, tags and fields that a policy names, each once."""
    names: dict[str, list[str]] = {"teams": [], "users": [], "tags": [], "fields": []}
    for action in actions:
        match action:
            case Assign(team=team, user=user):
                names["teams"] += [team] if team else []
                names["users"] += [user] if user else []
            case Tag(names=tags):
                names["tags"] += tags
            case SetFields(fields=fields):
                names["fields"] += fields
            case _:
                pass
    return {kind: list(dict.fromkeys(values)) for kind, values in names.items()}


def build_steps(groups: Iterable[Sequence[Action]]) -> list[Step]:
    """Return one step for each nonempty group of actions."""
    return [Step(actions=tuple(group)) for group in groups if group]


def merge_fields(actions: Iterable[Action]) -> dict[str, JsonValue]:
    """Merge the fields of every `SetFields`. If two set the same field, the later one takes precedence.

    Args:
        actions: The actions of a step; others are skipped.
    """
    fields: dict[str, JsonValue] = {}
    for action in actions:
        if isinstance(action, SetFields):
            fields |= action.fields
    return fields


def select(actions: Iterable[Action], *kinds: type[A]) -> list[A]:
    """Return the actions of these kinds, in their original order."""
    return [action for action in actions if isinstance(action, kinds)]


def add_names(names: Iterable[str], added: Iterable[str]) -> list[str]:
    """Append names to a list of tags, except those that it already contains, ignoring case."""
    merged = list(names)
    folded_names = {name.casefold() for name in merged}
    for name in added:
        if name.casefold() not in folded_names:
            folded_names.add(name.casefold())
            merged.append(name)
    return merged
