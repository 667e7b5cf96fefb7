"""Intercom: https://developers.intercom.com/docs/webhooks and /docs/references/rest-api."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, ClassVar, Literal, TypeAlias

from pydantic import AliasPath, Field, JsonValue

from triage.actions import Assign, Close, MarkSpam, Note, Reply, SetFields, SetPriority, Snooze, Tag
from triage.errors import InvalidSignature, MalformedPayload
from triage.models import (
    Conversation,
    Customer,
    Delivery,
    Event,
    Handshake,
    Ignored,
    Parsed,
    Request,
    Response,
    Step,
)
from triage.text import from_html, to_html
from triage.vendors.base import ErrorFacts, HelpDesk, Id, Kind, Role, Send
from triage.vendors.payload import Loose, Payload, parse_json, safe_word
from triage.vendors.responses import parse_response, unexpected_response
from triage.vendors.settings import ListOf, Number, Secret, SigningSecret
from triage.vendors.signing import decode_hex, explain_rejection

Topic: TypeAlias = Literal["conversation.user.created", "conversation.user.replied"]

_URLS = {"us": "https://api.intercom.io", "eu": "https://api.eu.intercom.io", "au": "https://api.au.intercom.io"}
_KINDS: Mapping[str, Kind] = {"conversation.user.created": "created", "conversation.user.replied": "replied"}
# Any other author is a machine, which never gets an answer.
_CUSTOMERS = ("user", "lead", "contact")
_ROLES: Mapping[str, Role] = {**dict.fromkeys(_CUSTOMERS, "customer"), "admin": "agent"}
# An outbound message carries a teammate's name, although no teammate has taken over the conversation.
_OUTBOUND = frozenset({"operator_initiated", "automated", "campaigns_initiated"})


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


class _Name(Payload):
    name: str = ""


class _Tags(Payload):
    tags: Loose[tuple[_Name, ...]] = None


class _Item(Payload):
    """A conversation, in the shapes of API versions 2.13 to 2.16."""

    id: Id
    created_at: Loose[datetime] = None
    source: _Part | None = None
    parts: tuple[_Part, ...] = Field(default=(), validation_alias=AliasPath("conversation_parts", "conversation_parts"))
    admin_assignee_id: Loose[str] = None
    team_assignee_id: Loose[str] = None
    statistics: Loose[dict[str, Any]] = None
    tags: Loose[_Tags] = None


class _Data(Payload):
    item: _Item


class _Notification(Payload):
    app_id: Id
    data: _Data


class _Assignment(Payload):
    admin_assignee_id: Loose[str] = None
    team_assignee_id: Loose[str] = None


class _Tag(Payload):
    id: str


class _Error(Payload):
    code: Loose[str] = None
    message: Loose[str] = None


class _Errors(Payload):
    request_id: Loose[str] = None
    errors: Loose[list[_Error]] = None


class Intercom(HelpDesk):
    """The adapter for Intercom.

    Args:
        client_secret: The app's client secret (Developer Hub, Basic information), which signs the webhooks. During a
            rotation, pass the new and the old one.
        access_token: The app's access token, for the REST API.
        admin_id: The id of the teammate that writes replies and notes. Use a dedicated teammate: everything that it
            writes counts as automatic.
        region: Where the workspace is hosted.
        api_version: The `Intercom-Version` of the REST calls. The version of the webhooks is chosen in the Developer
            Hub; 2.13 to 2.16 are supported.
        topics: The webhook topics to act on. Add `conversation.user.replied` to triage every customer message instead
            of only the first one of a conversation. Also add it if a bot greets customers before they write.
        base_url: The API's address, if it is not the region's, such as that of a proxy or a fake.

    Raises:
        ConfigurationError: Settings are missing or invalid. The message lists all of them.
    """

    name = "intercom"
    title = "Intercom"
    own_id_setting = "admin_id"
    can = frozenset({Assign, Reply, Note, Tag, SetFields, Snooze, Close})
    instead: ClassVar = {
        SetPriority: "its API cannot set a priority. Use Tag or SetFields and let a workflow set it.",
        MarkSpam: "it has no spam mark. Use Close, and Tag to find the conversations again.",
    }
    hints: ClassVar = {
        401: "check {access_token} and the region",
        403: "the access token lacks a permission, or the plan a feature",
        404: "there is no such conversation, team or teammate; admin_id must be a teammate's id, not a team's",
    }
    shown = ("admin_id",)
    numeric_ids = True

    client_secret: SigningSecret = Field(description="the client secret of your app")
    access_token: Secret = Field(description="the access token of your app")
    admin_id: Number = Field(description="the number of a teammate")
    region: Literal["us", "eu", "au"] = "us"
    api_version: str = "2.16"
    topics: ListOf[Topic] = Field(default=("conversation.user.created",), min_length=1, description="webhook topics")

    def default_url(self) -> str:
        """Return the address of the region."""
        return _URLS[self.region]

    def headers(self) -> Mapping[str, str]:
        """Return the access token and the API version."""
        return {"Authorization": f"Bearer {self.access_token}", "Intercom-Version": self.api_version}

    # Webhooks

    def verify(self, delivery: Delivery) -> None:
        """Verify `X-Hub-Signature`: `sha1=` and the HMAC-SHA1 of the body in hex.

        No time is signed, so there is no replay window.
        Source: https://developers.intercom.com/docs/references/webhooks/webhook-models
        """
        scheme, _, digest = delivery.headers.get("x-hub-signature", "").partition("=")
        if scheme != "sha1" or not self.secrets.verify(delivery.body, decode_hex(digest), "sha1"):
            raise InvalidSignature(explain_rejection(delivery.headers, "X-Hub-Signature", "the client secret"))

    def parse(self, delivery: Delivery) -> Parsed:
        """Extract a customer's message from a `conversation.user.*` notification."""
        data = parse_json(delivery.body)
        topic = data.get("topic")
        if not isinstance(topic, str):
            raise MalformedPayload("topic: missing", event_id=safe_word(data["id"]) if data.get("id") else None)
        if topic == "ping":
            return Handshake("ping")
        # Allow only these topics. Otherwise, an app that subscribes to more topics would answer itself in a loop.
        if topic not in self.topics:
            return Ignored(f"topic {safe_word(topic)}")
        return self._parse_event(_Notification.parse_data(data, event_id=data.get("id")), _KINDS[topic], data)

    def _parse_event(self, notification: _Notification, kind: Kind, raw: dict[str, JsonValue]) -> Event | Ignored:
        item = notification.data.item
        # The bodies are HTML up to version 2.14. The payload does not name its version, but the format of the times in
        # the statistics changed with that of the bodies: https://developers.intercom.com/docs/references/2.15/changelog
        times = [value for name, value in (item.statistics or {}).items() if name.endswith("_at")]
        conversation = self._translate(item, is_html=any(isinstance(value, str) for value in times))
        # The first message is the source, and later ones are parts. In the notification of a reply, the source is old.
        new = item.parts if kind == "replied" or item.source is None else (item.source, *item.parts)
        ids = {part.id for part in new if part.author.type in _CUSTOMERS}
        if not ids:
            return Ignored("not written by a customer")
        message = next((message for message in reversed(conversation.messages) if message.id in ids), None)
        if message is None or conversation.is_empty:
            return Ignored("the message is empty")
        return self.build_event(
            conversation, message.id, account=notification.app_id, kind=kind, at=message.at, raw=raw
        )

    # Conversations

    async def read(self, conversation_id: str, send: Send) -> Conversation:
        """Read a conversation in plain text with one call: the first message and up to 500 of the newest parts."""
        item = await self.get(_Item, f"/conversations/{conversation_id}?display_as=plaintext", send)
        return self._translate(item, is_html=False)

    def _translate(self, item: _Item, *, is_html: bool) -> Conversation:
        # Assignments and the like are parts, too, and a customer's message may have the part_type "open". Look at the
        # content of a part rather than its type.
        parts = item.parts if item.source is None else (item.source, *item.parts)
        authors = (part.author for part in reversed(parts) if part.author.type in _CUSTOMERS)
        author = next(authors, _Author())
        messages = (
            self.build_message(
                part.id,
                self._find_role(part),
                from_html(part.body or "") if is_html else part.body,
                author=part.author.id,
                at=part.created_at or item.created_at,
                files=(file.name for file in part.attachments or ()),
            )
            for part in parts
        )
        subject = item.source.subject if item.source else None
        return self.build_conversation(
            item.id,
            messages,
            subject=from_html(subject).text if subject and is_html else subject,
            customer=Customer(id=author.id, name=author.name, email=author.email),
            assignee=item.admin_assignee_id,  # null before API version 2.16, 0 since then if there is none
            tags=(tag.name for tag in (item.tags and item.tags.tags) or ()),
        )

    def _find_role(self, part: _Part) -> Role:
        if part.part_type == "note":
            return "note"
        role = _ROLES.get(part.author.type, "bot")
        is_ours = part.author.id == self.admin_id or part.delivered_as in _OUTBOUND
        return "bot" if role == "agent" and is_ours else role

    # Actions

    async def perform(self, step: Step, conversation: Conversation, send: Send) -> None:
        """Perform a step: two calls for each tag, one call for anything else."""
        path = f"/conversations/{conversation.id}"
        match step.actions[0]:
            case Assign() as action:
                await self._assign(path, action, send)
            case Reply() | Note() as action:
                kind = "comment" if isinstance(action, Reply) else "note"
                # Intercom has no idempotency keys, so a reply or a note must not be sent twice.
                body = {"message_type": kind, "type": "admin", "body": to_html(action.body)}
                await send(self._post(f"{path}/reply", body))
            case Tag(names=names):
                await self._tag(path, names, send)
            case SetFields(fields=fields):
                await send(self.request("PUT", path, {"custom_attributes": fields}))
            case Snooze(until=datetime() as until):
                snooze: dict[str, JsonValue] = {"message_type": "snoozed", "snoozed_until": int(until.timestamp())}
                await send(self._post(f"{path}/parts", snooze, idempotent=True))
            case Close():
                await send(self._post(f"{path}/parts", {"message_type": "close", "type": "admin"}, idempotent=True))
            case action:
                self.reject(action)

    async def _assign(self, path: str, action: Assign, send: Send) -> None:
        kind, assignee = ("team", action.team) if action.team else ("admin", action.user)
        body = {"message_type": "assignment", "type": kind, "assignee_id": assignee}
        request = self._post(f"{path}/parts", body, idempotent=True)
        assignment = parse_response(_Assignment, request, await send(request), vendor=self.name)
        # Intercom does not document what happens if a team's id is sent with another type, so check the response.
        field = f"{kind}_assignee_id"
        if field in assignment.model_fields_set and getattr(assignment, field) != assignee:
            raise unexpected_response(request, vendor=self.name, message=f"accepted, but not assigned to {assignee}")

    async def _tag(self, path: str, names: Iterable[str], send: Send) -> None:
        for name in names:
            # Tagging a conversation requires the tag's id. This call returns the tag with that name, or creates it.
            tag = await self.call(_Tag, self.request("POST", "/tags", {"name": name}, idempotent=True), send)
            await send(self._post(f"{path}/tags", {"id": tag.id}, idempotent=True))

    def _post(self, path: str, body: Mapping[str, JsonValue], *, idempotent: bool = False) -> Request:
        """Build a call on behalf of our teammate."""
        return self.request("POST", path, {"admin_id": self.admin_id, **body}, idempotent=idempotent)

    # Errors and limits: Retry-After is not documented, but Intercom's own client looks for it first. X-RateLimit-Reset
    # is the end of a window of 10 s: https://developers.intercom.com/docs/references/rest-api/errors/rate-limiting

    def parse_error(self, data: Mapping[str, Any], response: Response) -> ErrorFacts:
        """Parse an `error.list`.

        Source: https://developers.intercom.com/docs/references/rest-api/errors/http-responses
        """
        errors = _Errors.model_validate(data)
        first = errors.errors[0] if errors.errors else _Error()
        return ErrorFacts(first.message, first.code, errors.request_id)
