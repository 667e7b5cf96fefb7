"""Crisp: https://docs.crisp.chat/guides/web-hooks and https://docs.crisp.chat/references/rest-api/v1."""

import base64
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import Field, JsonValue, StringConstraints

from triage import text as _text
from triage.actions import Action, Assign, Close, MarkSpam, Note, Reply, SetFields, SetPriority, Snooze, Tag
from triage.errors import ConfigurationError, InvalidSignature, MalformedPayload, VendorError
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
from triage.vendors import responses as _http
from triage.vendors._settings import required
from triage.vendors.base import Send
from triage.vendors.payload import Loose, Payload, parse_json, parse_timestamp, safe_word
from triage.vendors.signing import Secrets, decode_hex

Hook: TypeAlias = Literal["plugin", "website"]

_BASE_URL = "https://api.crisp.chat"
_HOOKS = ("plugin", "website")
_EVENT = "message:send"  # what a visitor wrote; everybody else's messages are `message:received`
_WINDOW = 300.0  # seconds
_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_PAGE = (
    20  # messages, at least, in a page that may not be the last: https://github.com/crisp-im/ruby-crisp-api/issues/18
)
_MOST_PAGES = 5
_FILES = frozenset({"animation", "audio", "file"})
_SAID = frozenset({"note", "text"})

_HINTS = {
    "invalid_session": "check CRISP_IDENTIFIER and CRISP_KEY",
    "not_allowed": "the token lacks a scope",
    "not_subscribed": "the plugin is not installed in this workspace, or CRISP_TIER is wrong",
    "restricted_route_tier": "this call is not open to the token's tier: see CRISP_TIER",
    "unauthorized": "check CRISP_IDENTIFIER and CRISP_KEY",
}
_HINTS_BY_STATUS = {
    401: "check CRISP_IDENTIFIER and CRISP_KEY",
    403: "the token lacks a scope",
    404: "there is no such conversation, operator or inbox",
    420: "the limit is used up; a daily quota is renewed the next day",
    422: "the limit is used up, or the call is not as Crisp wants it",
    429: "the limit is used up; a daily quota is renewed the next day",
}

_Session: TypeAlias = Annotated[str, StringConstraints(pattern=rf"^session_{_UUID}$")]


class _User(Payload):
    user_id: Loose[str] = None
    nickname: Loose[str] = None


class _File(Payload):
    name: str = "file"


class _Message(Payload):
    # A caller may choose it, within 64 bits; it is the only id that a message has.
    fingerprint: Id
    type: str = ""
    origin: Loose[str] = None
    content: Any = None
    automated: Loose[bool] = None
    timestamp: Loose[float] = None
    user: Loose[_User] = None
    sender: str = Field(default="", alias="from")


class _Place(Payload):
    """Whose message it is."""

    session_id: _Session
    website_id: Loose[str] = None


class _Assigned(Payload):
    user_id: Loose[str] = None


class _Meta(Payload):
    nickname: Loose[str] = None
    email: Loose[str] = None
    subject: Loose[str] = None
    segments: Loose[tuple[str, ...]] = None


class _Item(Payload):
    session_id: _Session
    assigned: Loose[_Assigned] = None
    meta: Loose[_Meta] = None


class _ItemAnswer(Payload):
    data: _Item


class _MessagesAnswer(Payload):
    data: tuple[Any, ...]


class _Labels(Payload):
    """What may be written as a whole, and so must be read well: it is not documented whether Crisp merges."""

    segments: tuple[str, ...] = ()
    data: dict[str, JsonValue] = {}  # noqa: RUF012 - pydantic copies it


class _LabelsAnswer(Payload):
    data: _Labels


class _Fault(Payload):
    message: Loose[str] = None


class _Error(Payload):
    reason: Loose[str] = None
    data: Loose[_Fault] = None


class Crisp:
    """The adapter for Crisp.

    Args:
        webhook_secret: What a delivery proves that it is Crisp's by: a plugin's signing secret; for a `website` hook,
            which Crisp does not sign, the key that you put into its URL. While it is being changed, the new and the
            old one.
        website_id: The id of the workspace, a UUID. Deliveries of another one are ignored.
        identifier: The API token's identifier.
        key: The API token's key.
        hook: What sends the web hooks: a `plugin`, or the `website` itself. The request is not asked.
        tier: Of the API token; None for the same as `hook`.
        nickname: The name that replies and notes carry. By it, and as automated, ours are known again.
        teams: What a team is: `inboxes` to move conversations to, or `segments` (tags).
        spam_segment: The segment that `MarkSpam` adds before it resolves.
        block_spammers: True if `MarkSpam` is to block the visitor as well, who then can no longer write.
        replay_window: Seconds that a plugin's delivery may be off; None for any. Whether Crisp signs a repeated
            delivery anew is documented nowhere.
        base_url: The API's address in place of Crisp's: a proxy, a fake.

    Raises:
        ConfigurationError: Something is empty or unknown.
    """

    name = "crisp"
    auth = None  # every request carries the API token
    can: frozenset[type[Action]] = frozenset({Assign, Reply, Note, Tag, SetFields, Close, MarkSpam})
    instead: Mapping[type[Action], str] = {
        SetPriority: "its conversations have no priority. Use Tag: a segment.",
        Snooze: "its conversations cannot sleep until a time. Use Tag: a segment.",
    }
    URL_KEY = "X-Triage-Url-Key"
    """The header in which your route hands over the `key` of a website hook's URL."""

    def __init__(
        self,
        *,
        webhook_secret: str | Sequence[str],
        website_id: str,
        identifier: str,
        key: str,
        hook: Hook = "plugin",
        tier: Hook | None = None,
        nickname: str = "Support",
        teams: Literal["inboxes", "segments"] = "inboxes",
        spam_segment: str = "spam",
        block_spammers: bool = False,
        replay_window: float | None = _WINDOW,
        base_url: str | None = None,
    ) -> None:
        self._secrets = Secrets(webhook_secret, name="Crisp's webhook_secret")
        if not re.fullmatch(_UUID, website_id):
            raise ConfigurationError(f"Crisp's website_id is a UUID in lower case, not {website_id!r}.")
        if not identifier.strip() or not key.strip():
            raise ConfigurationError("Crisp's identifier or key is empty: set both to those of your API token.")
        if hook not in _HOOKS:
            raise ConfigurationError(f"Crisp's hook is one of {', '.join(_HOOKS)}, not {hook!r}.")
        if tier is not None and tier not in _HOOKS:
            raise ConfigurationError(f"Crisp's tier is one of {', '.join(_HOOKS)}, not {tier!r}.")
        if teams not in ("inboxes", "segments"):
            raise ConfigurationError(f"Crisp's teams is inboxes or segments, not {teams!r}.")
        if not nickname.strip() or not spam_segment.strip():
            raise ConfigurationError("Crisp's nickname or spam_segment is empty.")
        if replay_window is not None and replay_window <= 0:
            raise ConfigurationError(f"Crisp's replay_window is a number of seconds, or None, not {replay_window!r}.")
        self._website_id = website_id
        self._hook: Hook = hook
        self._nickname = nickname
        self._teams_are_segments = teams == "segments"
        self._spam_segment = spam_segment
        self._block = block_spammers
        self._replay_window = replay_window
        self._base_url = (base_url or _BASE_URL).rstrip("/")
        self._headers = {
            "Authorization": f"Basic {base64.b64encode(f'{identifier}:{key}'.encode()).decode()}",
            "X-Crisp-Tier": tier or hook,
            "Accept": "application/json",
            "Content-Type": "application/json",
        }

    @classmethod
    def from_env(cls) -> Self:
        """Make one of the environment.

        Reads `CRISP_WEBHOOK_SECRET` (several separated by commas), `CRISP_WEBSITE_ID`, `CRISP_IDENTIFIER`, `CRISP_KEY`,
        and if they are set `CRISP_HOOK`, `CRISP_TIER`, `CRISP_NICKNAME`, `CRISP_TEAMS` and `CRISP_BASE_URL`.

        Raises:
            ConfigurationError: One that is needed is not set.
        """
        secret, website_id, identifier, key = required(
            "CRISP_WEBHOOK_SECRET", "CRISP_WEBSITE_ID", "CRISP_IDENTIFIER", "CRISP_KEY"
        )
        return cls(
            webhook_secret=secret.split(","),
            website_id=website_id,
            identifier=identifier,
            key=key,
            hook=os.environ.get("CRISP_HOOK") or "plugin",  # type: ignore[arg-type]  # the constructor checks it
            tier=os.environ.get("CRISP_TIER") or None,  # type: ignore[arg-type]  # the same
            nickname=os.environ.get("CRISP_NICKNAME") or "Support",
            teams=os.environ.get("CRISP_TEAMS") or "inboxes",  # type: ignore[arg-type]  # the same
            base_url=os.environ.get("CRISP_BASE_URL"),
        )

    def __repr__(self) -> str:
        return f"Crisp({self._base_url!r}, website_id={self._website_id!r}, hook={self._hook!r})"

    # Webhooks

    def verify(self, delivery: Delivery) -> None:
        """A plugin's `X-Crisp-Signature`, or the key of a website hook's URL, as `hook` says; the other's is refused.

        A plugin signs `[`, its time stamp, `;`, the body and `]` with HMAC-SHA256 in hex. Crisp does not sign the hooks
        of a website; your route hands the key of the URL over in a header, `Crisp.URL_KEY`.
        Sources: https://docs.crisp.chat/guides/web-hooks/plugin-hooks and /website-hooks
        """
        if self._hook == "website":
            if not self._secrets.contains(delivery.headers.get(self.URL_KEY.lower(), "")):
                raise InvalidSignature(f"{self.URL_KEY} is absent, or not the key of the URL")
            return
        stamp = delivery.headers.get("x-crisp-request-timestamp", "")
        message = b"[" + stamp.encode("utf-8", "replace") + b";" + delivery.body + b"]"
        # One of the vendor's clients takes capitals, too.
        signature = decode_hex(delivery.headers.get("x-crisp-signature", "").lower())
        if not self._secrets.verify(message, signature, "sha256"):
            raise InvalidSignature("X-Crisp-Signature is absent or not made with the plugin's secret")
        if not self._in_time(stamp, delivery.received_at):
            raise InvalidSignature("X-Crisp-Request-Timestamp is no time within the replay window")

    def _in_time(self, stamp: str, now: float) -> bool:
        if not re.fullmatch(r"[0-9]{1,15}", stamp):
            return False
        # Seconds or milliseconds: which of them is documented nowhere.
        signed_at = int(stamp) / (1000 if len(stamp) >= 12 else 1)
        return self._replay_window is None or abs(now - signed_at) <= self._replay_window

    def parse(self, delivery: Delivery) -> Parsed:
        """Take a visitor's message out of `message:send`."""
        data = parse_json(delivery.body)
        name = data.get("event")
        if not isinstance(name, str):
            raise MalformedPayload("event: missing")
        # An allow-list: a hook that is subscribed to more would otherwise answer itself without end.
        if name != _EVENT:
            return Ignored(f"event {safe_word(name)}")
        if data.get("website_id") != self._website_id:
            return Ignored("of another website")
        place = _Place.parse_data(data.get("data"))
        if place.website_id not in (None, self._website_id):
            return Ignored("of another website")
        return self._event(place, _Message.parse_data(data.get("data")), data)

    def _event(self, place: _Place, message: _Message, raw: dict[str, JsonValue]) -> Event | Ignored:
        if message.sender != "user" or message.automated:
            return Ignored("not written by a customer")
        if message.type not in _FILES | _SAID:
            return Ignored(f"type {safe_word(message.type)}")
        told = self._message(message)
        if not (told.text or told.attachments):
            return Ignored("empty text")
        user = message.user or _User()
        customer = Customer(id=user.user_id, name=user.nickname)
        return Event.create(
            Conversation(id=place.session_id, customer=customer, messages=(told,)),
            message.fingerprint,
            vendor=self.name,
            account=self._website_id,
            # A first message is not told from a later one.
            kind="created",
            occurred_at=told.at,
            raw=raw,
        )

    # The conversation

    async def fetch(self, event: Event, send: Send) -> Conversation:
        """`GET` of the conversation and of its messages: two calls, and one for each further page of messages."""
        return event.add_missing_message(await self._read(event.conversation_id, send))

    async def _read(self, session_id: str, send: Send) -> Conversation:
        request = self._call("GET", self._path(session_id), idempotent=True)
        item = _http.parse_response(_ItemAnswer, request, await send(request), vendor=self.name).data
        messages: dict[str, _Message] = {}
        query = ""
        for _ in range(_MOST_PAGES):
            request = self._call("GET", f"{self._path(session_id)}/messages{query}", idempotent=True)
            page = _http.parse_response(_MessagesAnswer, request, await send(request), vendor=self.name).data
            read = [message for message in map(self._told, page) if message is not None]
            new = [message for message in read if message.fingerprint not in messages]
            messages |= {message.fingerprint: message for message in read}
            oldest = min((message.timestamp or 0 for message in new), default=0)
            if len(page) < _PAGE or not 0 < oldest < 1e15:
                break
            query = f"?timestamp_before={int(oldest)}"
        return self._conversation(item, messages.values())

    def _told(self, data: object) -> _Message | None:
        """A message, None for an entry that is none that we know: one must not hide all others."""
        try:
            return _Message.parse_data(data)
        except MalformedPayload:
            return None

    def _conversation(self, item: _Item, messages: Iterable[_Message]) -> Conversation:
        entries = sorted(messages, key=lambda message: (message.timestamp or 0, message.fingerprint))
        read = [self._message(message) for message in entries if message.type in _FILES | _SAID]
        said = tuple(message for message in read if message.text or message.attachments)
        meta = item.meta or _Meta()
        visitor = next((m.user for m in reversed(entries) if m.sender == "user" and m.user), _User())
        return Conversation(
            id=item.session_id,
            subject=_text.clean(meta.subject or ""),
            customer=Customer(id=visitor.user_id, name=meta.nickname, email=meta.email),
            messages=said,
            assignee=item.assigned.user_id if item.assigned else None,
            has_automatic_reply=any(message.role == "bot" and message.author == self._nickname for message in said),
            tags=meta.segments or (),
        )

    def _message(self, message: _Message) -> Message:
        role = _role(message)
        text = _text.clean(message.content) if isinstance(message.content, str) else ""
        user = message.user or _User()
        # Machines have no id: one is known by its name.
        author = user.nickname if message.automated else user.user_id
        return Message(
            id=message.fingerprint,
            role=role,
            text=_text.strip_quotes(text) if role == "customer" else text,
            attachments=(_filename(message.content),) if message.type in _FILES else (),
            at=parse_timestamp(message.timestamp and message.timestamp / 1000),
            author=author,
        )

    # Actions

    def plan(self, actions: Sequence[Action]) -> Sequence[Step]:
        """Segments and data in one step, as both need the same reading; resolving last, as a call of its own."""
        for action in actions:
            self._check(action)
        labels = tuple(action for action in actions if self._is_label(action))
        ends = tuple(action for action in actions if isinstance(action, Close | MarkSpam))
        alone = [(action,) for action in actions if action not in (*labels, *ends)]
        return [Step(actions=step) for step in (labels, *alone, ends) if step]

    def _check(self, action: Action) -> None:
        match action:
            case Assign(team=team, user=user) if not (
                (team and self._teams_are_segments) or re.fullmatch(_UUID, team or user or "")
            ):
                raise ConfigurationError(f"Crisp's inboxes and operators are UUIDs; {action!r} has another id.")
            case SetFields(fields=fields) if None in fields.values():
                raise ConfigurationError("Crisp's data are text, numbers and booleans; a SetFields has None.")
            case _:
                pass

    def _is_label(self, action: Action) -> bool:
        if isinstance(action, Assign):
            return bool(action.team) and self._teams_are_segments
        return isinstance(action, Tag | SetFields)

    async def perform(self, step: Step, conversation: Conversation, send: Send) -> None:
        """Take a step: one call, for segments and data two."""
        path = self._path(conversation.id)
        match step.actions[0]:
            case Reply(body=body):
                await send(self._written(path, "text", body))
            case Note(body=body):
                await send(self._written(path, "note", body))
            case Assign(team=str(team)) if team and not self._teams_are_segments:
                await send(self._call("PATCH", f"{path}/inbox", {"inbox_id": team}, idempotent=True))
            case Assign(user=str(user)) if user:
                await send(self._call("PATCH", f"{path}/routing", {"assigned": {"user_id": user}}, idempotent=True))
            case Close() | MarkSpam():
                await self._end(path, step.actions, send)
            case _:
                await self._label(path, step.actions, send)

    async def was_performed(self, step: Step, conversation: Conversation, send: Send) -> bool:
        """Look for a message of ours with the same words that was not there before. Two calls, as `fetch`.

        Raises:
            VendorError: It is not there. It may still come: Crisp accepts it before it delivers it, and may answer a
                reading from a cache.
        """
        known = {message.id for message in conversation.messages}
        current = await self._read(conversation.id, send)
        (action,) = step.actions
        assert isinstance(action, Reply | Note)  # noqa: S101 - all else is idempotent
        wanted = ("bot" if isinstance(action, Reply) else "note", _text.normalize_for_comparison(action.body))
        if any(
            message.author == self._nickname
            and message.id not in known
            and (message.role, _text.normalize_for_comparison(message.text)) == wanted
            for message in current.messages
        ):
            return True
        request = self._call("GET", f"{self._path(conversation.id)}/messages")
        raise _http.unexpected_response(
            request, vendor=self.name, message="the message is not there yet, and may still come"
        )

    async def _end(self, path: str, actions: Sequence[Action], send: Send) -> None:
        if any(isinstance(action, MarkSpam) for action in actions):
            await self._label(path, actions, send)
            if self._block:
                await send(self._call("PATCH", f"{path}/block", {"blocked": True}, idempotent=True))
        await send(self._call("PATCH", f"{path}/state", {"state": "resolved"}, idempotent=True))

    async def _label(self, path: str, actions: Sequence[Action], send: Send) -> None:
        # As late as possible: if Crisp does not merge, what somebody else changes before the writing is lost.
        request = self._call("GET", f"{path}/meta", idempotent=True)
        current = _http.parse_response(_LabelsAnswer, request, await send(request), vendor=self.name).data
        segments = {name.casefold(): name for name in current.segments}
        data = dict(current.data)
        for action in actions:
            match action:
                case Tag(names=names):
                    segments = segments | {name.casefold(): name for name in names} | segments
                case Assign(team=str(team)):
                    segments = segments | {team.casefold(): team} | segments
                case MarkSpam():
                    segments = segments | {self._spam_segment.casefold(): self._spam_segment} | segments
                case SetFields():
                    data |= action.fields
                case _:
                    pass
        changes: dict[str, Any] = {}
        if len(segments) > len(current.segments):
            changes["segments"] = list(segments.values())
        if data != current.data:
            changes["data"] = data
        if changes:
            await send(self._call("PATCH", f"{path}/meta", changes, idempotent=True))

    # Requests

    def _path(self, session_id: str) -> str:
        return f"/v1/website/{self._website_id}/conversation/{session_id}"

    def _written(self, path: str, kind: Literal["text", "note"], body: str) -> Request:
        """A reply or a note. That a message's `fingerprint` keeps it from being there twice is promised nowhere."""
        message: dict[str, Any] = {
            "type": kind,
            "from": "operator",
            "origin": "chat",
            "content": body,
            "automated": True,
            "user": {"type": "participant", "nickname": self._nickname},
        }
        return self._call("POST", f"{path}/message", message)

    def _call(
        self, method: Literal["GET", "POST", "PATCH"], path: str, json: Any = None, *, idempotent: bool = False
    ) -> Request:
        return Request(method, self._base_url + path, json, self._headers, idempotent)

    def pause(self, response: Response, now: float) -> float | None:
        """Read how long to wait. Crisp documents nothing of the kind; what it would say by HTTP's own word is obeyed.

        Source: https://docs.crisp.chat/guides/rest-api/rate-limits
        """
        return _http.parse_seconds(response.headers, "retry-after")

    def error(self, request: Request, response: Response, now: float) -> VendorError:
        """Read an error: `{"error": true, "reason": …, "data": {"message": …}}`.

        Source: https://docs.crisp.chat/guides/rest-api/rate-limits; Crisp tells nowhere how long to wait.
        """
        body = response.data()
        told = _Error.model_validate(body) if isinstance(body, dict) else _Error()
        return _http.build_error(
            request,
            response,
            vendor=self.name,
            message=told.data.message if told.data else None,
            hint=_HINTS.get(told.reason or "") or _HINTS_BY_STATUS.get(response.status),
            code=told.reason,
            retry_after=self.pause(response, now),
        )


def _role(message: _Message) -> Role:
    if message.type == "note":
        return "note"
    if message.sender == "user":
        return "bot" if message.automated else "customer"
    return "bot" if message.automated else "agent"


def _filename(content: object) -> str:
    try:
        return _File.parse_data(content).name
    except MalformedPayload:
        return "file"
