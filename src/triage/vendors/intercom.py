"""Intercom: https://developers.intercom.com/docs/webhooks and /docs/references/rest-api."""

import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, Self, TypeAlias

from pydantic import JsonValue

from triage import text as _text
from triage.actions import Action, Assign, Close, MarkSpam, Note, Reply, SetFields, SetPriority, Snooze, Tag
from triage.errors import ConfigurationError, InvalidSignature, MalformedPayload, VendorError
from triage.models import (
    Conversation,
    Customer,
    Delivery,
    Event,
    Handshake,
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
from triage.vendors.payload import Loose, Payload, parse_json, safe_word
from triage.vendors.signing import Secrets, decode_hex

Topic: TypeAlias = Literal["conversation.user.created", "conversation.user.replied"]

_REGIONS = {
    "us": "https://api.intercom.io",
    "eu": "https://api.eu.intercom.io",
    "au": "https://api.au.intercom.io",
}
_KINDS: dict[str, Literal["created", "replied"]] = {
    "conversation.user.created": "created",
    "conversation.user.replied": "replied",
}
# Who is not in the table is a machine: never answered.
_ROLES: dict[str, Role] = {"user": "customer", "lead": "customer", "contact": "customer", "admin": "agent"}
# An outbound message carries a teammate's name, but no teammate has taken the conversation by it.
_AUTOMATIC = frozenset({"operator_initiated", "automated", "campaigns_initiated"})
_UNASSIGNED = (None, "", "0")  # null before API version 2.16, 0 from it on

_HINTS = {
    401: "check INTERCOM_ACCESS_TOKEN and the region",
    403: "the access token lacks a permission, or the plan a feature",
    404: "there is no such conversation, team or teammate; admin_id must be a teammate's id, not a team's",
}


class _Author(Payload):
    type: str = ""
    id: Loose[str] = None
    name: Loose[str] = None
    email: Loose[str] = None


class _Attachment(Payload):
    name: str = "file"


class _Part(Payload):
    id: Id
    part_type: Loose[str] = None
    delivered_as: Loose[str] = None
    subject: Loose[str] = None
    body: str | None = None
    author: _Author = _Author()
    created_at: Loose[datetime] = None
    attachments: Loose[list[_Attachment]] = None


class _Parts(Payload):
    conversation_parts: tuple[_Part, ...] = ()


class _Name(Payload):
    name: str = ""


class _Names(Payload):
    tags: Loose[tuple[_Name, ...]] = None


class _Item(Payload):
    """A conversation, in the shapes of API versions 2.13 to 2.16."""

    id: Id
    created_at: Loose[datetime] = None
    source: _Part | None = None
    conversation_parts: _Parts | None = None
    admin_assignee_id: Loose[str] = None
    team_assignee_id: Loose[str] = None
    statistics: Loose[dict[str, Any]] = None
    tags: Loose[_Names] = None


class _Data(Payload):
    item: _Item


class _Notification(Payload):
    app_id: Id
    data: _Data


class _Assigned(Payload):
    admin_assignee_id: Loose[str] = None
    team_assignee_id: Loose[str] = None


class _Tag(Payload):
    id: str


class _Error(Payload):
    code: Loose[str] = None
    message: Loose[str] = None


class _ErrorList(Payload):
    request_id: Loose[str] = None
    errors: Loose[list[_Error]] = None


class Intercom:
    """The adapter for Intercom.

    Args:
        client_secret: The app's client secret (Developer Hub, Basic information), which signs the webhooks; while it
            is being rotated, the new and the old one.
        access_token: The app's access token, for the REST API.
        admin_id: The id of the teammate in whose name it acts. Best one of its own: what it writes is ours.
        region: Where the workspace is hosted.
        api_version: The `Intercom-Version` of the REST calls. The webhooks' is chosen in the Developer Hub; all of
            2.13 to 2.16 are read.
        topics: The webhook topics that are acted upon. Add `conversation.user.replied` to triage every message of a
            customer and not only a conversation's first, and where a bot greets customers before they write.
        base_url: The API's address in place of the region's: a proxy, a fake.

    Raises:
        ConfigurationError: Something is empty or unknown.
    """

    name = "intercom"
    auth = None  # every request carries the access token
    can: frozenset[type[Action]] = frozenset({Assign, Reply, Note, Tag, SetFields, Snooze, Close})
    instead: Mapping[type[Action], str] = {
        SetPriority: "its API cannot set a priority. Use Tag or SetFields and let a workflow set it.",
        MarkSpam: "it has no spam mark. Use Close, and Tag to find the conversations again.",
    }

    def __init__(
        self,
        *,
        client_secret: str | Sequence[str],
        access_token: str,
        admin_id: str,
        region: Literal["us", "eu", "au"] = "us",
        api_version: str = "2.16",
        topics: Iterable[Topic] = ("conversation.user.created",),
        base_url: str | None = None,
    ) -> None:
        self._secrets = Secrets(client_secret, name="Intercom's client_secret")
        if not access_token.strip():
            raise ConfigurationError("Intercom's access_token is empty: set it to the token of your app.")
        if not admin_id.isdecimal():
            raise ConfigurationError(f"Intercom's admin_id is the number of a teammate, not {admin_id!r}.")
        if region not in _REGIONS:
            raise ConfigurationError(f"Intercom's region is one of {', '.join(_REGIONS)}, not {region!r}.")
        topics = frozenset(topics)
        if not topics:
            raise ConfigurationError("Intercom's topics is empty: then nothing would be triaged.")
        unknown = sorted(topics - set(_KINDS))
        if unknown:
            raise ConfigurationError(f"Intercom's topics: {unknown[0]!r} is not among {', '.join(_KINDS)}.")
        self._admin_id = admin_id
        self._topics = topics
        self._base_url = (base_url or _REGIONS[region]).rstrip("/")
        self._headers = {
            "Authorization": f"Bearer {access_token}",
            "Intercom-Version": api_version,
            "Accept": "application/json",
            "Content-Type": "application/json",
        }

    @classmethod
    def from_env(cls, *, topics: Iterable[Topic] = ("conversation.user.created",)) -> Self:
        """Make one of the environment.

        Reads `INTERCOM_CLIENT_SECRET` (several separated by commas), `INTERCOM_ACCESS_TOKEN`, `INTERCOM_ADMIN_ID`, and
        if they are set `INTERCOM_REGION`, `INTERCOM_API_VERSION` and `INTERCOM_BASE_URL`.

        Args:
            topics: As for the class.

        Raises:
            ConfigurationError: One that is needed is not set.
        """
        secret, token, admin_id = required("INTERCOM_CLIENT_SECRET", "INTERCOM_ACCESS_TOKEN", "INTERCOM_ADMIN_ID")
        return cls(
            client_secret=secret.split(","),
            access_token=token,
            admin_id=admin_id,
            region=os.environ.get("INTERCOM_REGION") or "us",  # type: ignore[arg-type]  # the constructor checks it
            api_version=os.environ.get("INTERCOM_API_VERSION") or "2.16",
            topics=topics,
            base_url=os.environ.get("INTERCOM_BASE_URL"),
        )

    def __repr__(self) -> str:
        return f"Intercom({self._base_url!r}, admin_id={self._admin_id!r})"

    # Webhooks

    def verify(self, delivery: Delivery) -> None:
        """`X-Hub-Signature: sha1=` and the HMAC-SHA1 of the body in hex. No time is signed: there is no replay window.

        Source: https://developers.intercom.com/docs/references/webhooks/webhook-models
        """
        scheme, _, digest = delivery.headers.get("x-hub-signature", "").partition("=")
        if scheme != "sha1" or not self._secrets.verify(delivery.body, decode_hex(digest), "sha1"):
            raise InvalidSignature("X-Hub-Signature is absent or not made with the client secret")

    def parse(self, delivery: Delivery) -> Parsed:
        """Take a customer's message out of a `conversation.user.*` notification."""
        data = parse_json(delivery.body)
        topic = data.get("topic")
        event_id = safe_word(data["id"]) if data.get("id") else None
        if not isinstance(topic, str):
            raise MalformedPayload("topic: missing", event_id=event_id)
        if topic == "ping":
            return Handshake("ping")
        # An allow-list: an app that is subscribed to more would otherwise answer itself without end.
        if topic not in self._topics:
            return Ignored(f"topic {safe_word(topic)}")
        notification = _Notification.parse_data(data, event_id=event_id)
        return self._event(notification, _KINDS[topic], data)

    def _event(
        self, notification: _Notification, kind: Literal["created", "replied"], raw: dict[str, JsonValue]
    ) -> Event | Ignored:
        item = notification.data.item
        conversation = self._conversation(item, html=_in_html(item))
        # The first message is the source, later ones are parts; the source in a reply's notification is old news.
        heard = [part for part in _parts(item) if kind == "created" or part is not item.source]
        theirs = {part.id for part in heard if _ROLES.get(part.author.type) == "customer"}
        if not theirs:
            return Ignored("not written by a customer")
        message = next((message for message in reversed(conversation.messages) if message.id in theirs), None)
        if message is None:
            return Ignored("empty text")
        return Event.create(
            conversation,
            message.id,
            vendor=self.name,
            account=notification.app_id,
            kind=kind,
            occurred_at=message.at,
            raw=raw,
        )

    # The conversation

    async def fetch(self, event: Event, send: Send) -> Conversation:
        """`GET /conversations/{id}` in plain text: the first message and up to 500 newest parts. One call."""
        return event.add_missing_message(await self._read(event.conversation_id, send))

    async def _read(self, conversation_id: str, send: Send) -> Conversation:
        request = self._call("GET", f"/conversations/{conversation_id}?display_as=plaintext", idempotent=True)
        item = _http.parse_response(_Item, request, await send(request), vendor=self.name)
        return self._conversation(item, html=False)

    def _conversation(self, item: _Item, *, html: bool) -> Conversation:
        parts = _parts(item)
        # Assignments and the like are parts as well, and a customer's words may come as part_type "open": what a part
        # holds tells more than its type.
        read = (self._message(part, item.created_at, html=html) for part in parts)
        messages = [message for message in read if message.text or message.attachments]
        customer = next((p.author for p in reversed(parts) if _ROLES.get(p.author.type) == "customer"), _Author())
        assignee = item.admin_assignee_id
        return Conversation(
            id=item.id,
            subject=_plain(item.source.subject if item.source else None, html=html).text,
            customer=Customer(id=customer.id, name=customer.name, email=customer.email),
            messages=tuple(messages),
            assignee=None if assignee in (*_UNASSIGNED, self._admin_id) else assignee,
            has_automatic_reply=any(m.author == self._admin_id and m.role == "bot" for m in messages),
            tags=tuple(tag.name for tag in (item.tags and item.tags.tags) or ()),
        )

    def _message(self, part: _Part, started: datetime | None, *, html: bool) -> Message:
        plain = _plain(part.body, html=html)
        role = self._role(part)
        return Message(
            id=part.id,
            role=role,
            text=_text.strip_quotes(plain.text) if role == "customer" else plain.text,
            attachments=(*(file.name for file in part.attachments or []), *["image"] * plain.images),
            at=part.created_at or started,
            author=part.author.id,
        )

    def _role(self, part: _Part) -> Role:
        if part.part_type == "note":
            return "note"
        role = _ROLES.get(part.author.type, "bot")
        ours = part.author.id == self._admin_id or part.delivered_as in _AUTOMATIC
        return "bot" if role == "agent" and ours else role

    # Actions

    def plan(self, actions: Sequence[Action]) -> Sequence[Step]:
        """One step for each; closing last, because assigning a closed conversation opens it again."""
        for action in actions:
            if isinstance(action, Assign) and not (action.team or action.user or "").isdecimal():
                raise ConfigurationError(f"Intercom's team and teammate ids are numbers; {action!r} has none.")
        return [Step(actions=(action,)) for action in sorted(actions, key=lambda action: isinstance(action, Close))]

    async def perform(self, step: Step, conversation: Conversation, send: Send) -> None:
        """Take a step. Two calls for each tag, one for anything else."""
        path = f"/conversations/{conversation.id}"
        for action in step.actions:
            match action:
                case Assign(team=team, user=user):
                    await self._assign(path, "team" if team else "admin", team or user or "", send)
                case Reply(body=body):
                    await send(self._written(path, "comment", body))
                case Note(body=body):
                    await send(self._written(path, "note", body))
                case Tag(names=names):
                    for name in names:
                        await self._tag(path, name, send)
                case SetFields(fields=fields):
                    await send(self._call("PUT", path, {"custom_attributes": fields}, idempotent=True))
                case Snooze(until=datetime() as until):
                    await send(self._managed(path, message_type="snoozed", snoozed_until=int(until.timestamp())))
                case Close():
                    await send(self._managed(path, message_type="close", type="admin"))
                case _:  # pragma: no cover
                    raise AssertionError(f"`can` does not hold {action.type}")

    async def was_performed(self, step: Step, conversation: Conversation, send: Send) -> bool:
        """Look for a message of ours with the same words that was not there before. One call."""
        known = {message.id for message in conversation.messages}
        current = await self._read(conversation.id, send)
        written = [
            (m.role, _text.normalize_for_comparison(m.text))
            for m in current.messages
            if m.author == self._admin_id and m.id not in known
        ]
        return all(
            ("bot" if isinstance(action, Reply) else "note", _text.normalize_for_comparison(action.body)) in written
            for action in step.actions
            if isinstance(action, Reply | Note)
        )

    async def _assign(self, path: str, kind: Literal["team", "admin"], assignee: str, send: Send) -> None:
        request = self._managed(path, message_type="assignment", type=kind, assignee_id=assignee)
        answer = _http.parse_response(_Assigned, request, await send(request), vendor=self.name)
        field = f"{kind}_assignee_id"
        # It is documented nowhere what becomes of a team's id under another type, so what came of it is checked.
        if field in answer.model_fields_set and getattr(answer, field) != assignee:
            raise _http.unexpected_response(
                request, vendor=self.name, message=f"accepted, but not assigned to {assignee}"
            )

    async def _tag(self, path: str, name: str, send: Send) -> None:
        # A conversation is tagged by the tag's id. This call finds the tag of that name, or makes it.
        request = self._call("POST", "/tags", {"name": name}, idempotent=True)
        tag = _http.parse_response(_Tag, request, await send(request), vendor=self.name)
        body = {"id": tag.id, "admin_id": self._admin_id}
        await send(self._call("POST", f"{path}/tags", body, idempotent=True))

    # Requests

    def _written(self, path: str, kind: Literal["comment", "note"], text: str) -> Request:
        """A reply or a note. Intercom knows no idempotency key, so it must not be sent twice."""
        body = {"message_type": kind, "type": "admin", "admin_id": self._admin_id, "body": _text.to_html(text)}
        return self._call("POST", f"{path}/reply", body)

    def _managed(self, path: str, **body: JsonValue) -> Request:
        return self._call("POST", f"{path}/parts", {"admin_id": self._admin_id, **body}, idempotent=True)

    def _call(
        self, method: Literal["GET", "POST", "PUT"], path: str, body: object = None, *, idempotent: bool = False
    ) -> Request:
        return Request(method, self._base_url + path, body, self._headers, idempotent)

    def pause(self, response: Response, now: float) -> float | None:
        """Read how long to wait: until the window of 10 s is over in which the allowance is used up.

        Source: https://developers.intercom.com/docs/references/rest-api/errors/rate-limiting
        """
        # Retry-After is not documented; Intercom's own client looks for it first.
        wait = _http.parse_seconds(response.headers, "retry-after")
        return _http.seconds_until_reset(response, now) if wait is None else wait

    def error(self, request: Request, response: Response, now: float) -> VendorError:
        """Read an `error.list`.

        Source: https://developers.intercom.com/docs/references/rest-api/errors/http-responses
        """
        body = response.data()
        listed = _ErrorList.model_validate(body) if isinstance(body, dict) else _ErrorList()
        first = listed.errors[0] if listed.errors else _Error()
        return _http.build_error(
            request,
            response,
            vendor=self.name,
            message=first.message,
            hint=_HINTS.get(response.status),
            code=first.code,
            request_id=listed.request_id,
            retry_after=self.pause(response, now),
        )


def _parts(item: _Item) -> list[_Part]:
    """The first message and what came after it."""
    later = item.conversation_parts.conversation_parts if item.conversation_parts else ()
    return [*([item.source] if item.source else []), *later]


def _in_html(item: _Item) -> bool:
    """True if the bodies of a webhook are HTML, as up to version 2.14.

    The payload does not tell its version; what changed together with the bodies is the form of the statistics' times.
    https://developers.intercom.com/docs/references/2.15/changelog
    """
    return any(isinstance(value, str) for name, value in (item.statistics or {}).items() if name.endswith("_at"))


def _plain(body: str | None, *, html: bool) -> _text.Plain:
    return _text.from_html(body or "") if html else _text.Plain(_text.clean(body or ""), 0)
