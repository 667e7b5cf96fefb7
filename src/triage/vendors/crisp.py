"""Crisp: https://docs.crisp.chat/guides/web-hooks and https://docs.crisp.chat/references/rest-api/v1."""

import base64
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import AliasPath, Field, JsonValue, StrictStr, StringConstraints

from triage.actions import Action, Assign, Close, MarkSpam, Note, Reply, SetFields, SetPriority, Snooze, Tag
from triage.errors import ConfigurationError, InvalidSignature, MalformedPayload
from triage.models import (
    Conversation,
    Customer,
    Delivery,
    Event,
    Id,
    Ignored,
    Message,
    Parsed,
    Request,
    Response,
    Role,
    Step,
)
from triage.vendors.base import ErrorFacts, HelpDesk, Send, build_steps, merge_fields
from triage.vendors.payload import Loose, LooseTuple, Payload, parse_json, parse_timestamp, safe_word
from triage.vendors.settings import Secret, SigningSecret
from triage.vendors.signing import decode_hex, explain_rejection

Hook: TypeAlias = Literal["plugin", "website"]

_EVENT = "message:send"  # a visitor's message; messages of everybody else are `message:received`
# Automated messages are written by machines. Every other sender is an operator.
_ROLES: Mapping[str, Role] = {"user": "customer"}
_KINDS: Mapping[type[Action], str] = {Reply: "text", Note: "note"}
_FILES = frozenset({"animation", "audio", "file"})
_TYPES = _FILES.union(_KINDS.values())
_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
# A shorter page is the last one: https://github.com/crisp-im/ruby-crisp-api/issues/18
_PAGE_SIZE = 20
_MAX_PAGES = 5
_MAX_TIMESTAMP = 1e15  # milliseconds
_MILLISECONDS_DIGITS = 12  # a timestamp with at least this many digits is in milliseconds

_CHECK_CREDENTIALS = "check {identifier} and {key}"
_LIMIT_EXHAUSTED = "the limit is exhausted; a daily quota is renewed the next day"

_Session: TypeAlias = Annotated[str, StringConstraints(pattern=rf"^session_{_UUID}$")]


class _Message(Payload):
    fingerprint: Id  # the only id of a message; its sender may choose it, within 64 bits
    type: str = ""
    content: Loose[StrictStr] = None
    filename: Loose[str] = Field(default=None, validation_alias=AliasPath("content", "name"))
    automated: Loose[bool] = None
    timestamp: Loose[float] = None  # milliseconds
    user_id: Loose[str] = Field(default=None, validation_alias=AliasPath("user", "user_id"))
    nickname: Loose[str] = Field(default=None, validation_alias=AliasPath("user", "nickname"))
    sender: str = Field(default="", alias="from")


class _NewMessage(_Message):
    session_id: _Session
    website_id: Loose[str] = None


class _Item(Payload):
    """The response to reading a conversation."""

    session_id: _Session = Field(validation_alias=AliasPath("data", "session_id"))
    assignee: Loose[str] = Field(default=None, validation_alias=AliasPath("data", "assigned", "user_id"))
    nickname: Loose[str] = Field(default=None, validation_alias=AliasPath("data", "meta", "nickname"))
    email: Loose[str] = Field(default=None, validation_alias=AliasPath("data", "meta", "email"))
    subject: Loose[str] = Field(default=None, validation_alias=AliasPath("data", "meta", "subject"))
    segments: LooseTuple[str] = Field(default=(), validation_alias=AliasPath("data", "meta", "segments"))


class _Page(Payload):
    data: tuple[Loose[_Message], ...]  # one undocumented entry must not hide the others


class _Labels(Payload):
    """Strict: PATCH may replace the values, so any that were not parsed could be erased.

    Crisp does not document whether it merges them.
    """

    segments: tuple[str, ...] = ()
    data: dict[str, JsonValue] = Field(default_factory=dict[str, JsonValue])


class _LabelsResponse(Payload):
    data: _Labels


class _Error(Payload):
    reason: Loose[str] = None
    message: Loose[str] = Field(default=None, validation_alias=AliasPath("data", "message"))


class Crisp(HelpDesk):
    """The adapter for Crisp.

    Args:
        webhook_secret: The secret that proves that Crisp sent a delivery. For a `plugin`, its signing secret. For a
            `website` hook, which Crisp does not sign, the key that you put into its URL. During a rotation, pass the
            new and the old one.
        website_id: The id of the workspace, a UUID. Deliveries of another workspace are ignored.
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
            None for no limit. Crisp does not document whether it signs a repeated delivery again.
        base_url: The API's address, if it is not Crisp's, such as that of a proxy or a fake.

    Raises:
        ConfigurationError: Settings are missing or invalid. The message lists all of them.
    """

    name = "crisp"
    title = "Crisp"
    api_url = "https://api.crisp.chat"
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
    website_id: str = Field(pattern=rf"^{_UUID}$", description="a UUID in lower case")
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
        stamp = delivery.headers.get("x-crisp-request-timestamp", "")
        message = b"[" + stamp.encode("utf-8", "replace") + b";" + delivery.body + b"]"
        # One of Crisp's own clients also accepts capitals.
        signature = decode_hex(delivery.headers.get("x-crisp-signature", "").lower())
        if not self.secrets.verify(message, signature, "sha256"):
            raise InvalidSignature(explain_rejection(delivery.headers, "X-Crisp-Signature", "the plugin's secret"))
        if not self._is_recent(stamp, delivery.received_at):
            raise InvalidSignature("X-Crisp-Request-Timestamp is not within the replay window")

    def _is_recent(self, stamp: str, now: float) -> bool:
        if not re.fullmatch(r"[0-9]{1,15}", stamp):
            return False
        # Crisp does not document whether the timestamp is in seconds or in milliseconds.
        signed_at = int(stamp) / (1000 if len(stamp) >= _MILLISECONDS_DIGITS else 1)
        return self.replay_window is None or abs(now - signed_at) <= self.replay_window

    def parse(self, delivery: Delivery) -> Parsed:
        """Extract a visitor's message from `message:send`."""
        data = parse_json(delivery.body)
        event_type = data.get("event")
        if not isinstance(event_type, str):
            raise MalformedPayload("event: missing")
        # Allow only this event. Otherwise, a hook that subscribes to more events would answer itself in a loop.
        if event_type != _EVENT:
            return Ignored(f"event {safe_word(event_type)}")
        if data.get("website_id") != self.website_id:
            return Ignored("of another website")
        return self._parse_event(_NewMessage.parse_data(data.get("data")), data)

    def _parse_event(self, message: _NewMessage, raw: dict[str, JsonValue]) -> Event | Ignored:
        if message.website_id not in (None, self.website_id):
            return Ignored("of another website")
        if _find_role(message) != "customer":
            return Ignored("not written by a customer")
        if message.type not in _TYPES:
            return Ignored(f"type {safe_word(message.type)}")
        customer = Customer(id=message.user_id, name=message.nickname)
        conversation = self.build_conversation(
            message.session_id, [self._translate_message(message)], customer=customer
        )
        if conversation.is_empty:
            return Ignored("the message is empty")
        return self.build_event(
            conversation,
            message.fingerprint,
            account=self.website_id,
            kind="created",  # a delivery does not say whether its message is the first one
            at=conversation.messages[0].at,
            raw=raw,
        )

    # Conversations

    async def read(self, conversation_id: str, send: Send) -> Conversation:
        """Read a conversation and its messages: two calls, and one for each further page of messages, up to five."""
        path = self._build_path(conversation_id)
        item = await self.get(_Item, path, send)
        messages = await self._list_messages(path, send)
        visitor_ids = (message.user_id for message in reversed(messages) if message.sender == "user")
        return self.build_conversation(
            item.session_id,
            (self._translate_message(message) for message in messages if message.type in _TYPES),
            customer=Customer(id=next(filter(None, visitor_ids), None), name=item.nickname, email=item.email),
            subject=item.subject,
            assignee=item.assignee,
            tags=item.segments,
        )

    async def _list_messages(self, path: str, send: Send) -> list[_Message]:
        messages: dict[str, _Message] = {}
        query = ""
        for _ in range(_MAX_PAGES):
            page = await self.get(_Page, f"{path}/messages{query}", send)
            new = {entry.fingerprint: entry for entry in page.data if entry and entry.fingerprint not in messages}
            messages |= new
            oldest = min((message.timestamp or 0 for message in new.values()), default=0)
            if len(page.data) < _PAGE_SIZE or not 0 < oldest < _MAX_TIMESTAMP:
                break
            query = f"?timestamp_before={int(oldest)}"
        return sorted(messages.values(), key=lambda message: (message.timestamp or 0, message.fingerprint))

    def _translate_message(self, message: _Message) -> Message:
        return self.build_message(
            message.fingerprint,
            _find_role(message),
            message.content,
            author=message.nickname if message.automated else message.user_id,
            at=parse_timestamp(message.timestamp and message.timestamp / 1000),
            files=[message.filename or "file"] if message.type in _FILES else (),
        )

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
        """Group segments and data into the first step, as they need the same call, and resolve in the last one."""
        labels = [action for action in actions if self._is_label(action)]
        ends = [action for action in actions if isinstance(action, Close | MarkSpam)]
        others = [[action] for action in actions if action not in (*labels, *ends)]
        return build_steps([labels, *others, ends])

    def _is_label(self, action: Action) -> bool:
        """Return whether an action adds segments or data, and nothing else."""
        match action:
            case Assign(team=team):
                return bool(team) and self.teams == "segments"
            case _:
                return isinstance(action, Tag | SetFields)

    async def perform(self, step: Step, conversation: Conversation, send: Send) -> None:
        """Perform a step: one call, two for segments and data, up to four for `MarkSpam`."""
        path = self._build_path(conversation.id)
        match step.actions[0]:
            case Reply(body=body) | Note(body=body) as action:
                await send(self._write(path, _KINDS[type(action)], body))
            case Close() | MarkSpam():
                await self._resolve(path, step.actions, send)
            case Assign(team=team, user=user) as action if not self._is_label(action):
                if team:
                    await send(self.request("PATCH", f"{path}/inbox", {"inbox_id": team}))
                else:
                    await send(self.request("PATCH", f"{path}/routing", {"assigned": {"user_id": user}}))
            case _:
                await self._label(path, step.actions, send)

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
            await send(self.request("PATCH", f"{path}/meta", changes))

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

    def _build_path(self, conversation_id: str) -> str:
        return f"/v1/website/{self.website_id}/conversation/{conversation_id}"

    def _write(self, path: str, kind: str, body: str) -> Request:
        """Build a reply or a note, which must not be sent twice.

        Crisp does not promise that a message's `fingerprint` prevents duplicates.
        """
        message = {
            "type": kind,
            "from": "operator",
            "origin": "chat",
            "content": body,
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


def _find_role(message: _Message) -> Role:
    if message.type == "note":
        return "note"
    return "bot" if message.automated else _ROLES.get(message.sender, "agent")


def _is_uuid(text: str | None) -> bool:
    return re.fullmatch(_UUID, text or "") is not None
