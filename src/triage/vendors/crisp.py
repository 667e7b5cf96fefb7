"""Crisp: https://docs.crisp.chat/guides/web-hooks and https://docs.crisp.chat/references/rest-api/v1."""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import AliasPath, BeforeValidator, Field, JsonValue, StrictStr, StringConstraints

from triage.actions import Action, Assign, Close, MarkSpam, Note, Reply, SetFields, SetPriority, Snooze, Tag
from triage.errors import ConfigurationError, InvalidSignature, MalformedPayload, StaleDelivery, VendorError
from triage.models import (
    Conversation,
    Customer,
    Delivery,
    Event,
    Id,
    Ignored,
    Message,
    Parsed,
    Performed,
    Request,
    Response,
    Role,
    Step,
)
from triage.text import is_blank
from triage.vendors.base import ErrorFacts, HelpDesk, Send, build_steps, merge_fields
from triage.vendors.payload import Loose, LooseTuple, Payload, parse_json, parse_timestamp, safe_word
from triage.vendors.responses import naming, parse_response
from triage.vendors.settings import ListOf, Secret, SigningSecret
from triage.vendors.signing import decode_hex, explain_rejection, explain_time

Hook: TypeAlias = Literal["plugin", "website"]

_EVENT = "message:send"  # a visitor's message; messages of everybody else are `message:received`
_KINDS: Mapping[type[Action], str] = {Reply: "text", Note: "note"}
_FILES = frozenset({"animation", "audio", "file"})
_WRITTEN = _FILES.union({"text", "field"})  # the types of a visitor's own messages
_TYPES = _WRITTEN.union({"note", "picker", "carousel"})
_EVENT_TYPE = "event"
_RESOLVED = "resolved"
_RESOLVING = f"state:{_RESOLVED}"
# The type of a `user` that no human has: a website's or a plugin's own name.
_MACHINE_TYPES = frozenset({"website", "participant"})
_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
# A shorter page is the last one: https://github.com/crisp-im/ruby-crisp-api/issues/18
_PAGE_SIZE = 20
_MAX_PAGES = 5
_STAMP = "X-Crisp-Request-Timestamp"
_MAX_TIMESTAMP = 1e15  # milliseconds
_MILLISECONDS_DIGITS = 12  # a timestamp with at least this many digits is in milliseconds
_RETRY_WINDOW = 86_400.0  # seconds in which Crisp may repeat a delivery with its first signature
# What begins a link, an image or code in Markdown, and the backslash, which would undo the escape before it.
_MARKDOWN = re.compile(r"[\\`\[\]]|<(?=[A-Za-z][A-Za-z0-9+.-]*:)|<(?=[^\s<>@]+@)")
_ESCAPED = re.compile(r"\\([\\`\[\]<])")

_CHECK_CREDENTIALS = "check {identifier} and {key}"
_LIMIT_EXHAUSTED = "the limit is exhausted; a daily quota is renewed the next day"

_Session: TypeAlias = Annotated[str, StringConstraints(pattern=rf"^session_{_UUID}$")]


def _list_one(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


_Website: TypeAlias = Annotated[str, StringConstraints(pattern=rf"^{_UUID}$")]


class _Choice(Payload):
    """A choice of a picker, or a card of a carousel."""

    label: Loose[StrictStr] = None
    title: Loose[StrictStr] = None
    selected: Loose[bool] = None


class _Content(Payload):
    """The content of a message that is not plain text. Which of these it has depends on the message's type."""

    namespace: Loose[StrictStr] = None
    name: Loose[StrictStr] = None
    text: Loose[StrictStr] = None
    value: Loose[StrictStr] = None
    transcript: Loose[StrictStr] = None
    transcription: Loose[StrictStr] = None
    choices: LooseTuple[_Choice] = ()
    targets: LooseTuple[_Choice] = ()

    @property
    def shown_text(self) -> str:
        """The words that a person sees or hears."""
        chosen = [choice.label for choice in self.choices if choice.selected]
        cards = [target.title for target in self.targets]
        lines = [self.text, self.value, self.transcript or self.transcription, *chosen, *cards]
        return "\n".join(line for line in lines if line)


class _Message(Payload):
    fingerprint: Loose[Id] = None  # the only id of a message; its sender may choose it, within 64 bits
    type: str = ""
    content: Loose[StrictStr | _Content] = None
    automated: Loose[bool] = None
    origin: Loose[StrictStr] = None
    timestamp: Loose[float] = None  # milliseconds
    user_id: Loose[str] = Field(default=None, validation_alias=AliasPath("user", "user_id"))
    user_type: Loose[str] = Field(default=None, validation_alias=AliasPath("user", "type"))
    nickname: Loose[str] = Field(default=None, validation_alias=AliasPath("user", "nickname"))
    sender: str = Field(default="", alias="from")

    @property
    def id(self) -> str:
        """The fingerprint, or a substitute that is the same whenever the message is read."""
        content = f"{self.timestamp}:{self.type}:{self.sender}:{self.text}".encode("utf-8", "replace")
        return self.fingerprint or f"sha256-{hashlib.sha256(content).hexdigest()[:32]}"

    @property
    def text(self) -> str:
        return self.content.shown_text if isinstance(self.content, _Content) else self.content or ""

    @property
    def files(self) -> list[str]:
        if self.type not in _FILES:
            return []
        return [(self.content.name if isinstance(self.content, _Content) else None) or "file"]

    @property
    def at(self) -> datetime | None:
        return parse_timestamp(self.timestamp and self.timestamp / 1000)

    @property
    def role(self) -> Role:
        """The author's role. An operator is a human only if there is a user id, and no bot or integration sent it."""
        if self.type == "note":
            return "note"
        is_foreign = (self.origin or "").startswith("urn:") or self.user_type in _MACHINE_TYPES or not self.user_id
        if self.automated or (self.sender != "user" and is_foreign):
            return "bot"
        return "customer" if self.sender == "user" else "agent"

    @property
    def is_resolving(self) -> bool:
        """True if it is not a message, but reports that the conversation was resolved."""
        content = self.content
        return self.type == _EVENT_TYPE and isinstance(content, _Content) and content.namespace == _RESOLVING


class _NewMessage(_Message):
    session_id: _Session
    website_id: Loose[str] = None
    inbox_id: Loose[str] = None

    def as_customer(self) -> Customer:
        return Customer(id=self.user_id, name=self.nickname)


class _Hook(Payload):
    """A webhook with a new message."""

    data: _NewMessage


class _Item(Payload):
    """The response to reading a conversation."""

    session_id: _Session = Field(validation_alias=AliasPath("data", "session_id"))
    state: Loose[str] = Field(default=None, validation_alias=AliasPath("data", "state"))
    inbox_id: Loose[str] = Field(default=None, validation_alias=AliasPath("data", "inbox_id"))
    assignee: Loose[str] = Field(default=None, validation_alias=AliasPath("data", "assigned", "user_id"))
    nickname: Loose[str] = Field(default=None, validation_alias=AliasPath("data", "meta", "nickname"))
    email: Loose[str] = Field(default=None, validation_alias=AliasPath("data", "meta", "email"))
    subject: Loose[str] = Field(default=None, validation_alias=AliasPath("data", "meta", "subject"))
    segments: LooseTuple[str] = Field(default=(), validation_alias=AliasPath("data", "meta", "segments"))


class _Page(Payload):
    data: LooseTuple[_Message]


class _Entries(Payload):
    """Strict: without a list, the response is not a page."""

    data: tuple[JsonValue, ...]


class _Dispatched(Payload):
    """The response to a message that Crisp accepted."""

    fingerprint: Loose[Id] = Field(default=None, validation_alias=AliasPath("data", "fingerprint"))


class _Labels(Payload):
    """Strict: PATCH may replace the values, so any that were not parsed could be erased.

    Crisp does not document whether it merges them.
    """

    segments: tuple[str, ...] = ()
    data: dict[str, JsonValue] = Field(default_factory=dict[str, JsonValue])


class _LabelsResponse(Payload):
    data: _Labels


class _Inbox(Payload):
    id: str = Field(alias="inbox_id")
    name: Loose[str] = None


class _Inboxes(Payload):
    data: LooseTuple[_Inbox] = ()


class _Operator(Payload):
    id: str = Field(validation_alias=AliasPath("details", "user_id"))
    first_name: Loose[str] = Field(default=None, validation_alias=AliasPath("details", "first_name"))
    last_name: Loose[str] = Field(default=None, validation_alias=AliasPath("details", "last_name"))


class _Operators(Payload):
    data: LooseTuple[_Operator] = ()


class _Error(Payload):
    reason: Loose[str] = None
    message: Loose[str] = Field(default=None, validation_alias=AliasPath("data", "message"))


class Crisp(HelpDesk):
    """The adapter for Crisp.

    Args:
        webhook_secret: The secret that proves that Crisp sent a delivery. For a `plugin`, its signing secret. For a
            `website` hook, which Crisp does not sign, the key that you put into its URL. During a rotation, pass the
            new and the old one.
        website_id: The id of the workspace, a UUID, or the ids of several that have installed the same plugin.
            Deliveries of another workspace are ignored.
        identifier: The API token's identifier.
        key: The API token's key.
        hook: Which hook sends the deliveries: a `plugin`, or the `website` itself. A request must not choose how it is
            verified.
        tier: The API token's tier. Default: the same as `hook`.
        nickname: The author's name of replies and notes. Automated messages with this name count as ours.
        teams: How a team is represented: as one of the `inboxes`, to which conversations are moved, or as one of the
            `segments` (tags).
        spam_segment: The segment that `MarkSpam` adds before it resolves the conversation.
        block_spammers: True if `MarkSpam` should also block the visitor, who can then no longer write.
        replay_window: The number of seconds by which the timestamp of a plugin's delivery may differ from our time, or
            None for no limit. Crisp does not document whether it signs a repeated delivery again, so a second or later
            attempt may be up to a day old.
        machines: The ids of operators that are not human, such as the bots of other vendors.
        base_url: The API's address, if it is not Crisp's, such as that of a proxy or a fake.

    Raises:
        ConfigurationError: Settings are missing or invalid. The message lists all of them.
    """

    name = "crisp"
    title = "Crisp"
    api_url = "https://api.crisp.chat"
    conversation_paths = ("data.session_id",)
    own_id_setting = "nickname"  # automated messages have no user id
    can = frozenset({Assign, Reply, Note, Tag, SetFields, Close, MarkSpam})
    instead: ClassVar = {
        SetPriority: "its conversations have no priority. Use Tag, which adds a segment.",
        Snooze: "its conversations cannot be snoozed. Use Tag, which adds a segment.",
    }
    hints: ClassVar = {
        "invalid_session": _CHECK_CREDENTIALS,
        "not_allowed": "the token lacks a scope",
        "not_subscribed": "the plugin is not installed in this workspace, or {tier} is wrong",
        "restricted_route_tier": "the token's tier does not allow this call; check {tier}",
        "unauthorized": _CHECK_CREDENTIALS,
        401: _CHECK_CREDENTIALS,
        403: "the token lacks a scope",
        404: "there is no such conversation, operator or inbox",
        420: _LIMIT_EXHAUSTED,
        422: "the limit is exhausted, or Crisp cannot process the call",
        429: _LIMIT_EXHAUSTED,
    }
    shown = ("website_id", "hook")
    delivers_later = True  # Crisp accepts a message (202) before it delivers it, and may read from a cache
    URL_KEY: ClassVar[str] = "X-Triage-Url-Key"
    """The header in which your route must pass on the `key` in a website hook's URL."""

    webhook_secret: SigningSecret
    website_id: Annotated[ListOf[_Website], BeforeValidator(_list_one)] = Field(
        min_length=1, description="a UUID in lower case"
    )
    identifier: Secret = Field(description="the identifier of your API token")
    key: Secret = Field(description="the key of your API token")
    hook: Hook = "plugin"
    tier: Hook | None = None
    nickname: str = Field(default="Support", min_length=1, description="the name that replies and notes carry")
    teams: Literal["inboxes", "segments"] = "inboxes"
    spam_segment: str = Field(default="spam", min_length=1, description="the name of a segment")
    block_spammers: bool = False
    replay_window: float | None = Field(default=300.0, gt=0, description="a positive number of seconds, or None")

    def headers(self) -> Mapping[str, str]:
        """Return the API token and its tier."""
        token = base64.b64encode(f"{self.identifier}:{self.key}".encode()).decode()
        return {"Authorization": f"Basic {token}", "X-Crisp-Tier": self.tier or self.hook}

    @property
    def retries_deliveries(self) -> bool:
        """True for a plugin's webhooks. Crisp delivers a website's only once."""
        return self.hook == "plugin"

    # Checking the set-up

    async def check_user(self, send: Send) -> str:
        """Check that the token is valid for every workspace. It belongs to a plugin, not to a user."""
        for website_id in self.website_id:
            try:
                await self._list_operators(website_id, send)
            except VendorError as err:
                # Without this scope, the adapter works, and the credentials were recognized.
                if err.code != "not_allowed":
                    raise
        return f"a {self.tier or self.hook} token for {', '.join(self.website_id)}"

    async def find_teams(self, ids: Sequence[str], send: Send) -> Mapping[str, str] | None:
        """Return the inboxes that all workspaces have, unless segments represent the teams."""
        if self.teams == "segments":
            return None
        return _intersect([await self._list_inboxes(website_id, send) for website_id in self.website_id])

    async def find_users(self, ids: Sequence[str], send: Send) -> Mapping[str, str]:
        """Return the operators that all workspaces have."""
        return _intersect([await self._list_operators(website_id, send) for website_id in self.website_id])

    async def _list_inboxes(self, website_id: str, send: Send) -> dict[str, str]:
        inboxes: dict[str, str] = {}
        for number in range(1, _MAX_PAGES + 1):
            page = {
                inbox.id: inbox.name or ""
                for inbox in (await self.get(_Inboxes, f"/v1/website/{website_id}/inboxes/list/{number}", send)).data
            }
            if page.keys() <= inboxes.keys():
                break
            inboxes |= page
        return inboxes

    async def _list_operators(self, website_id: str, send: Send) -> dict[str, str]:
        operators = (await self.get(_Operators, f"/v1/website/{website_id}/operators/list", send)).data
        return {
            operator.id: f"{operator.first_name or ''} {operator.last_name or ''}".strip() for operator in operators
        }

    # Webhooks

    def verify(self, delivery: Delivery) -> None:
        """Verify a plugin's `X-Crisp-Signature` or the key in a website hook's URL, depending on `hook`.

        A plugin signs `[`, its timestamp, `;`, the body and `]` with HMAC-SHA256 in hex. Crisp does not sign the hooks
        of a website, so your route passes on the key in the URL in the header `Crisp.URL_KEY`.
        Sources: https://docs.crisp.chat/guides/web-hooks/plugin-hooks and /website-hooks
        """
        if self.hook == "website":
            if not self.secrets.contains(delivery.headers.get(self.URL_KEY.lower(), "")):
                name = self.URL_KEY
                is_sent = bool(delivery.headers.get(name.lower()))
                raise InvalidSignature(f"{name} is not the key in the URL" if is_sent else f"{name} is absent")
            return
        stamp = delivery.headers.get(_STAMP.lower(), "")
        message = b"[" + stamp.encode("utf-8", "replace") + b";" + delivery.body + b"]"
        # One of Crisp's own clients also accepts capitals.
        signature = decode_hex(delivery.headers.get("x-crisp-signature", "").lower())
        if not self.secrets.verify(message, signature, "sha256"):
            reason = explain_rejection(delivery, "X-Crisp-Signature", "the plugin's secret", stamp=_STAMP)
            if delivery.headers.get(self.URL_KEY.lower()):
                reason += f"; {self.URL_KEY} is present, so if a website's hook sent the delivery, pass hook='website'"
            raise InvalidSignature(reason)
        self._check_time(stamp, delivery)

    def _check_time(self, stamp: str, delivery: Delivery) -> None:
        if not re.fullmatch(r"[0-9]{1,15}", stamp):
            raise InvalidSignature(f"{_STAMP} is not a time")
        if self.replay_window is None:
            return
        # Crisp does not document whether the timestamp is in seconds or in milliseconds.
        signed_at = int(stamp) / (1000 if len(stamp) >= _MILLISECONDS_DIGITS else 1)
        # The number of the attempt is not signed. A replay of an old delivery is a duplicate of its message.
        is_retry = re.fullmatch(r"0*(?:[2-9]|[1-9][0-9]{1,3})", delivery.headers.get("x-delivery-attempt-count", ""))
        longest = max(self.replay_window, _RETRY_WINDOW) if is_retry else self.replay_window
        if not -self.replay_window <= delivery.received_at - signed_at <= longest:
            raise StaleDelivery(explain_time(_STAMP, signed_at, delivery, longest))

    def parse(self, delivery: Delivery) -> Parsed:
        """Extract a visitor's message from `message:send`."""
        data = parse_json(delivery.body)
        event_type = data.get("event")
        if not isinstance(event_type, str):
            raise MalformedPayload("event: missing")
        # Allow only this event. Otherwise, a hook that subscribes to more events would answer itself in a loop.
        if event_type != _EVENT:
            return Ignored(f"event {safe_word(event_type)}")
        website_id = data.get("website_id")
        if not isinstance(website_id, str) or website_id not in self.website_id:
            return Ignored("of another website")
        return self._parse_event(_NewMessage.parse_data(data.get("data")), website_id, delivery.body)

    def _parse_event(self, message: _NewMessage, website_id: str, body: bytes) -> Event | Ignored:
        if message.website_id not in (None, website_id):
            return Ignored("of another website")
        if message.role != "customer":
            return Ignored("not written by a customer")
        if message.type not in _WRITTEN:
            return Ignored(f"type {safe_word(message.type)}")
        # The subject of an email is not in the delivery, and may be all that the customer wrote.
        if message.origin == "chat" and is_blank(message.text) and not message.files:
            return Ignored("the message is empty")
        return self.build_event(
            message.session_id,
            message.id,
            account=website_id,
            kind="created",  # a delivery does not say whether its message is the first one
            raw=body,
            customer=message.as_customer(),
            at=message.at,
        )

    @classmethod
    def link(cls, event: Event) -> str:
        """Return the address of the conversation in Crisp's inbox."""
        return f"https://app.crisp.chat/website/{event.account}/inbox/{event.conversation_id}/"

    # Conversations

    async def fetch(self, event: Event, send: Send) -> Conversation:
        """Read the event's conversation at the event's website."""
        return self.add_missing_message(event, await self._read(event.account, event.conversation_id, send))

    def read_delivery(self, event: Event) -> Conversation:
        """Return the conversation with the message."""
        message = _Hook.parse_body(event.raw).data
        return self.build_conversation(
            event.conversation_id,
            [self._translate_message(message)],
            customer=message.as_customer(),
            team=self._find_team(message.inbox_id),
            channel=message.origin,
            inbox=message.inbox_id,
            brand=event.account,
        )

    async def reread(self, conversation: Conversation, send: Send) -> Conversation:
        """Read a conversation again at its website."""
        return await self._read(self._find_website(conversation), conversation.id, send)

    async def read(self, conversation_id: str, send: Send) -> Conversation:
        """Read a conversation and its messages at the first website."""
        return await self._read(self.website_id[0], conversation_id, send)

    async def _read(self, website_id: str, conversation_id: str, send: Send) -> Conversation:
        """Make two calls, and one for each further page of messages, up to five."""
        path = _build_path(website_id, conversation_id)
        item = await self.get(_Item, path, send)
        messages, is_complete = await self._list_messages(path, send)
        visitors = [message for message in reversed(messages) if message.sender == "user"]
        return self.build_conversation(
            item.session_id,
            [partial(self._translate_message, message) for message in messages if message.type in _TYPES],
            customer=Customer(
                id=next((visitor.user_id for visitor in visitors if visitor.user_id), None),
                name=item.nickname,
                email=item.email,
            ),
            subject=item.subject,
            assignee=item.assignee,
            team=self._find_team(item.inbox_id),
            is_closed=item.state == _RESOLVED,
            closed_at=max((message.at for message in messages if message.is_resolving and message.at), default=None),
            channel=next((visitor.origin for visitor in visitors if visitor.origin), None),
            inbox=item.inbox_id,
            brand=website_id,
            tags=item.segments,
            is_continued=not is_complete,
        )

    async def _list_messages(self, path: str, send: Send) -> tuple[list[_Message], bool]:
        """Return the messages, oldest first, and whether these are all of them."""
        messages: dict[str, _Message] = {}
        query, is_complete = "", False
        for _ in range(_MAX_PAGES):
            request = self.request("GET", f"{path}/messages{query}")
            response = await send(request)
            size = len(parse_response(_Entries, request, response, vendor=self.name).data)
            page = parse_response(_Page, request, response, vendor=self.name)
            new = {message.id: message for message in page.data if message.id not in messages}
            messages |= new
            oldest = min((message.timestamp or 0 for message in new.values()), default=0)
            if size < _PAGE_SIZE or not 0 < oldest < _MAX_TIMESTAMP:
                is_complete = True
                break
            query = f"?timestamp_before={int(oldest)}"
        return sorted(messages.values(), key=lambda message: (message.timestamp or 0, message.id)), is_complete

    def _translate_message(self, message: _Message) -> Message:
        is_machine = message.automated or message.user_type in _MACHINE_TYPES
        author = message.nickname if is_machine else message.user_id
        return self.build_message(
            message.id,
            message.role,
            _ESCAPED.sub(r"\1", message.text) if author == self.own_id else message.text,
            author=author,
            at=message.at,
            files=message.files,
        )

    def _find_team(self, inbox_id: str | None) -> str | None:
        return inbox_id if self.teams == "inboxes" else None

    def _find_website(self, conversation: Conversation) -> str:
        return conversation.brand or self.website_id[0]

    # Actions

    def check(self, action: Action) -> None:
        """Reject ids, segments and data that cannot exist at Crisp.

        Raises:
            ConfigurationError: Crisp has no such action, id, segment or value.
        """
        super().check(action)
        match action:
            case Assign(team=team, user=user) if not self._is_label(action) and not _is_uuid(team or user):
                raise ConfigurationError(f"Crisp's inbox and operator ids are UUIDs; {action!r} has another id.")
            case SetFields(fields=fields) if None in fields.values():
                raise ConfigurationError("Crisp's data must be text, numbers or booleans, but a SetFields has None.")
            case _:
                pass

    def plan(self, actions: Sequence[Action]) -> Sequence[Step]:
        """Assign and reply first, group segments and data, which need the same call, and resolve in the last step."""
        labels = [action for action in actions if self._is_label(action)]
        ends = [action for action in actions if isinstance(action, Close | MarkSpam)]
        others = [action for action in actions if not self._is_label(action) and action not in ends]
        assigned = [[action] for action in others if isinstance(action, Assign)]
        replies = [[action] for action in others if isinstance(action, Reply)]
        notes = [[action] for action in others if isinstance(action, Note)]
        if any(isinstance(action, Assign) for action in labels):
            return build_steps([labels, *assigned, *replies, *notes, ends])
        return build_steps([*assigned, *replies, labels, *notes, ends])

    def _is_label(self, action: Action) -> bool:
        """Return whether an action adds segments or data, and nothing else."""
        match action:
            case Assign(team=team):
                return bool(team) and self.teams == "segments"
            case _:
                return isinstance(action, Tag | SetFields)

    async def perform(self, step: Step, conversation: Conversation, send: Send) -> Performed | None:
        """Perform a step: one call, two for segments and data, up to four for `MarkSpam`."""
        path = _build_path(self._find_website(conversation), conversation.id)
        match step.actions[0]:
            case Reply(body=body) | Note(body=body) as action:
                response = await send(self._write(path, _KINDS[type(action)], body))
                return Performed(message_ids=_parse_fingerprint(response))
            case Close() | MarkSpam():
                await self._resolve(path, step.actions, send)
            case Assign(team=team, user=user) as action if not self._is_label(action):
                if team:
                    request = self.request("PATCH", f"{path}/inbox", {"inbox_id": team})
                    await self._send(request, f"the inbox {team!r}", send)
                else:
                    request = self.request("PATCH", f"{path}/routing", {"assigned": {"user_id": user}})
                    await self._send(request, f"the operator {user!r}", send)
            case _:
                await self._label(path, step.actions, send)
        return None

    async def _send(self, request: Request, what: str, send: Send) -> None:
        """Make a call that sets a value of the policy, and name the value in the error if it is rejected."""
        with naming(what, self.title):
            await send(request)

    async def _resolve(self, path: str, actions: Sequence[Action], send: Send) -> None:
        if any(isinstance(action, MarkSpam) for action in actions):
            await self._label(path, actions, send)
            if self.block_spammers:
                await send(self.request("PATCH", f"{path}/block", {"blocked": True}))
        await send(self.request("PATCH", f"{path}/state", {"state": "resolved"}))

    async def _label(self, path: str, actions: Sequence[Action], send: Send) -> None:
        # Read as late as possible: if Crisp does not merge, any change before the next call is lost.
        current = (await self.get(_LabelsResponse, f"{path}/meta", send)).data
        segments = list(current.segments)
        for action in actions:
            for name in self._list_segments(action):
                if name.casefold() not in map(str.casefold, segments):
                    segments.append(name)
        data = current.data | merge_fields(actions)
        changes: dict[str, Any] = {}
        if len(segments) > len(current.segments):
            changes["segments"] = segments
        if data != current.data:
            changes["data"] = data
        if changes:
            names = [*changes.get("segments", ())[len(current.segments) :], *merge_fields(actions)]
            what = f"one of the segments or data {', '.join(map(repr, names))}"
            await self._send(self.request("PATCH", f"{path}/meta", changes), what, send)

    def _list_segments(self, action: Action) -> Sequence[str]:
        match action:
            case Tag(names=names):
                return names
            case Assign(team=str(team)):
                return [team]
            case MarkSpam():
                return [self.spam_segment]
            case _:
                return []

    def _write(self, path: str, kind: str, body: str) -> Request:
        """Build a reply or a note, which must not be sent twice.

        Crisp does not promise that a message's `fingerprint` prevents duplicates.
        """
        message = {
            "type": kind,
            "from": "operator",
            "origin": "chat",
            "content": _escape(body),
            "automated": True,
            "user": {"type": "participant", "nickname": self.nickname},
        }
        return self.request("POST", f"{path}/message", message)

    # Errors and limits: Crisp does not document how long to wait. A Retry-After header, if there is one, is honored.
    # Source: https://docs.crisp.chat/guides/rest-api/rate-limits

    def parse_error(self, data: Mapping[str, Any], response: Response) -> ErrorFacts:
        """Parse `{"error": true, "reason": …, "data": {"message": …}}`.

        Source: https://docs.crisp.chat/guides/rest-api/rate-limits
        """
        error = _Error.model_validate(data)
        return ErrorFacts(error.message, error.reason)


def _intersect(listed: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Return the entries that are in all lists."""
    return {id_: name for id_, name in listed[0].items() if all(id_ in others for others in listed)}


def _build_path(website_id: str, conversation_id: str) -> str:
    return f"/v1/website/{website_id}/conversation/{conversation_id}"


def _escape(text: str) -> str:
    """Escape what Crisp would show as a link, an image or code. Customers and models write parts of a text."""
    return _MARKDOWN.sub(r"\\\g<0>", text)


def _parse_fingerprint(response: Response) -> tuple[str, ...]:
    """Return the id of a message that was accepted. It was sent even if the response cannot be parsed."""
    data = response.data()
    fingerprint = _Dispatched.model_validate(data).fingerprint if isinstance(data, dict) else None
    return (fingerprint,) if fingerprint else ()


def _is_uuid(text: str | None) -> bool:
    return re.fullmatch(_UUID, text or "") is not None
