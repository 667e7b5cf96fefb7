"""Zendesk: https://developer.zendesk.com/documentation/webhooks and /api-reference/ticketing."""

import base64
import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, Self, TypeAlias
from urllib.parse import quote

from pydantic import AwareDatetime, JsonValue

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
from triage.vendors.base import Auth, Send
from triage.vendors.oauth import ClientCredentials
from triage.vendors.payload import Loose, Payload, parse_json, safe_word, sort_key
from triage.vendors.signing import Secrets, decode_base64

EventName: TypeAlias = Literal["ticket.created", "ticket.comment_added", "messaging_ticket.message_added"]

_KINDS: dict[str, Literal["created", "replied"]] = {
    "ticket.created": "created",
    "ticket.comment_added": "replied",
    "messaging_ticket.message_added": "replied",
}
_PREFIX = "zen:event-type:"
# Signs the test of a webhook that is not saved yet. Anybody knows it, so what it signs is never more than a test:
# https://developer.zendesk.com/documentation/webhooks/verifying/#signing-secrets-on-new-webhooks
_PUBLIC_SECRET = "dGhpc19zZWNyZXRfaXNfZm9yX3Rlc3Rpbmdfb25seQ=="  # noqa: S105 - published
_WINDOW = 300.0  # seconds; the vendor names none
# Who is not in the table is a machine: never answered.
_ROLES: dict[str, Role] = {"end-user": "customer", "agent": "agent", "admin": "agent"}
_MACHINES = frozenset({"rule", "system"})  # channels
_AUTOMATIC = 4  # a comment's flag: https://developer.zendesk.com/api-reference/ticketing/tickets/ticket_comments/
_NOBODY = (None, "", "0")
_FIRST = "first"
"""Stands for the id of a ticket's first comment, which `ticket.created` does not tell."""
_MOST_PAGES = 5  # of 100 comments each
_MOST_TRIES = 3  # of an update that comes too late
_CONFLICT = "UpdateConflict"
_LABELS = (Note, SetFields, SetPriority, Tag)

_HINTS = {
    401: "check Zendesk's credentials in the settings, and that the OAuth client or token is still there",
    403: "the user or the token's scope lacks a right; it needs read and write",
    404: "there is no such ticket, or the user may not see it; it may have been deleted or merged",
    413: "the comment is too long",
}
_TOKEN_HINT = "check ZENDESK_CLIENT_ID and ZENDESK_CLIENT_SECRET"  # noqa: S105 - no secret


class _Author(Payload):
    id: Loose[str] = None
    name: Loose[str] = None
    is_staff: bool | None = None


class _Said(Payload):
    """A comment in `ticket.comment_added`, a message in `messaging_ticket.message_added`."""

    id: Id
    body: str | None = None
    is_public: bool | None = None
    author: Loose[_Author] = None


class _Actor(Payload):
    id: Loose[str] = None
    name: Loose[str] = None
    type: str = ""


class _Happening(Payload):
    comment: _Said | None = None
    message: _Said | None = None
    actor: _Actor = _Actor()


class _Detail(Payload):
    """A ticket in an event. Its ids are strings, its words in capitals."""

    id: Id
    subject: Loose[str] = None
    description: str | None = None
    requester_id: Loose[str] = None
    actor_id: Loose[str] = None
    status: Loose[str] = None
    created_at: Loose[AwareDatetime] = None
    updated_at: Loose[AwareDatetime] = None


class _Notification(Payload):
    detail: _Detail
    event: _Happening = _Happening()
    time: Loose[AwareDatetime] = None


class _Triggered(Payload):
    """What a trigger or automation sends with the template of our documentation."""

    ticket_id: Id
    updated_at: Loose[str] = None
    kind: Literal["created", "replied"] = "created"
    actor_id: Loose[str] = None
    actor_role: Loose[str] = None
    comment_public: Loose[str] = None
    comment_author_id: Loose[str] = None


class _Ticket(Payload):
    id: Id
    updated_at: str
    # Written as a whole list, and so must be read well: what is not in the list is removed.
    tags: tuple[str, ...]
    subject: Loose[str] = None
    requester_id: Loose[str] = None
    assignee_id: Loose[str] = None


class _TicketAnswer(Payload):
    ticket: _Ticket


class _Attachment(Payload):
    file_name: str = "file"


class _Via(Payload):
    channel: Loose[str] = None


class _Metadata(Payload):
    flags: Loose[tuple[int, ...]] = None


class _Comment(Payload):
    id: Id
    author_id: Loose[str] = None
    public: bool = True
    body: Loose[str] = None
    plain_body: Loose[str] = None
    html_body: Loose[str] = None
    attachments: Loose[tuple[_Attachment, ...]] = None
    via: Loose[_Via] = None
    metadata: Loose[_Metadata] = None
    created_at: Loose[AwareDatetime] = None


class _User(Payload):
    id: Id
    name: Loose[str] = None
    email: Loose[str] = None
    role: Loose[str] = None


class _Meta(Payload):
    has_more: bool = False
    after_cursor: Loose[str] = None


class _CommentsAnswer(Payload):
    comments: tuple[_Comment, ...]
    users: Loose[tuple[_User, ...]] = None
    meta: Loose[_Meta] = None


class _Fault(Payload):
    description: Loose[str] = None


class _Error(Payload):
    error: Loose[str] = None
    description: Loose[str] = None
    details: Loose[dict[str, Loose[tuple[_Fault, ...]]]] = None


class Zendesk:
    """The adapter for Zendesk.

    One of `client_id` and `client_secret`, `access_token`, `email` and `api_token` says who it is towards the API.

    Args:
        subdomain: The account: `acme` of `acme.zendesk.com`. Events and their keys name it.
        signing_secret: The webhook's secret (*Reveal secret*), or several: one for each webhook that leads here, and
            while one is being replaced, the new and the old one.
        user_id: The id of the user as whom the credentials act. Best one of its own: what it writes is ours.
        client_id: The unique identifier of a confidential OAuth client; acts as the user who made it.
        client_secret: Its secret.
        access_token: An OAuth access token with the scopes `read` and `write`, which you renew.
        email: With `api_token`: the user's address.
        api_token: An API token. Zendesk makes no more of them, and ends all on 2027-04-30.
        events: The event types that are acted upon, without `zen:event-type:`. Add `ticket.comment_added` to triage
            every message of a customer and not only a ticket's first. Of a trigger or an automation all is acted
            upon: its conditions tell what comes.
        spam_tag: What `MarkSpam` tags a ticket with that it solves.
        suspend_spammers: True if `MarkSpam` is to use Zendesk's own spam mark instead. That deletes the ticket, and
            suspends its requester, who can then neither write nor sign in.
        base_url: The account's address in place of `https://{subdomain}.zendesk.com`: a proxy, a fake.

    Raises:
        ConfigurationError: Something is empty, unknown or there twice.
    """

    name = "zendesk"
    can: frozenset[type[Action]] = frozenset({Assign, Reply, Note, Tag, SetFields, SetPriority, Close, MarkSpam})
    instead: Mapping[type[Action], str] = {
        Snooze: "its tickets cannot sleep until a time. Use Tag, and an automation on the tag.",
    }

    def __init__(
        self,
        *,
        subdomain: str,
        signing_secret: str | Sequence[str],
        user_id: str,
        client_id: str | None = None,
        client_secret: str | None = None,
        access_token: str | None = None,
        email: str | None = None,
        api_token: str | None = None,
        events: Iterable[EventName] = ("ticket.created",),
        spam_tag: str = "spam",
        suspend_spammers: bool = False,
        base_url: str | None = None,
    ) -> None:
        self._secrets = Secrets(signing_secret, name="Zendesk's signing_secret")
        if _PUBLIC_SECRET in ([signing_secret] if isinstance(signing_secret, str) else signing_secret):
            raise ConfigurationError("Zendesk's signing_secret is the public one of tests: anybody could sign with it.")
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,62}", subdomain):
            raise ConfigurationError(f"Zendesk's subdomain is acme of acme.zendesk.com, not {subdomain!r}.")
        if not user_id.isdecimal():
            raise ConfigurationError(f"Zendesk's user_id is the number of a user, not {user_id!r}.")
        if not _is_tag(spam_tag):
            raise ConfigurationError(f"Zendesk's spam_tag is one word, not {spam_tag!r}.")
        events = frozenset(events)
        unknown = sorted(events - set(_KINDS))
        if unknown:
            raise ConfigurationError(f"Zendesk's events: {unknown[0]!r} is not among {', '.join(_KINDS)}.")
        self._test = Secrets(_PUBLIC_SECRET, name="the public secret")
        self._subdomain = subdomain
        self._user_id = user_id
        self._events = events
        self._spam_tag = spam_tag
        self._suspend = suspend_spammers
        self._base_url = (base_url or f"https://{subdomain}.zendesk.com").rstrip("/")
        self._headers = {"Accept": "application/json", "Content-Type": "application/json"}
        self.auth: Auth | None = None
        match (client_id, client_secret, access_token, email, api_token):
            case (str(id_), str(secret), None, None, None) if id_.strip() and secret.strip():
                self.auth = ClientCredentials(
                    f"{self._base_url}/oauth/tokens", id_, secret, vendor=self.name, scope="read write", expires_in=7200
                )
            case (None, None, str(token), None, None) if token.strip():
                self._headers["Authorization"] = f"Bearer {token}"
            case (None, None, None, str(address), str(token)) if address.strip() and token.strip():
                self._headers["Authorization"] = f"Basic {_basic(f'{address}/token', token)}"
            case _:
                raise ConfigurationError(
                    "Zendesk needs client_id and client_secret, or access_token, or email and api_token: "
                    "one of the three, and not empty."
                )

    @classmethod
    def from_env(cls, *, events: Iterable[EventName] = ("ticket.created",)) -> Self:
        """Make one of the environment.

        Reads `ZENDESK_SUBDOMAIN`, `ZENDESK_SIGNING_SECRET` (several separated by commas), `ZENDESK_USER_ID`; for the
        API `ZENDESK_CLIENT_ID` and `ZENDESK_CLIENT_SECRET`, or `ZENDESK_ACCESS_TOKEN`, or `ZENDESK_EMAIL` and
        `ZENDESK_API_TOKEN`; and `ZENDESK_BASE_URL` if it is set.

        Args:
            events: As for the class.

        Raises:
            ConfigurationError: One that is needed is not set.
        """
        subdomain, secret, user_id = required("ZENDESK_SUBDOMAIN", "ZENDESK_SIGNING_SECRET", "ZENDESK_USER_ID")
        return cls(
            subdomain=subdomain,
            signing_secret=secret.split(","),
            user_id=user_id,
            client_id=os.environ.get("ZENDESK_CLIENT_ID") or None,
            client_secret=os.environ.get("ZENDESK_CLIENT_SECRET") or None,
            access_token=os.environ.get("ZENDESK_ACCESS_TOKEN") or None,
            email=os.environ.get("ZENDESK_EMAIL") or None,
            api_token=os.environ.get("ZENDESK_API_TOKEN") or None,
            events=events,
            base_url=os.environ.get("ZENDESK_BASE_URL"),
        )

    def __repr__(self) -> str:
        return f"Zendesk({self._base_url!r}, user_id={self._user_id!r})"

    # Webhooks

    def verify(self, delivery: Delivery) -> None:
        """`X-Zendesk-Webhook-Signature`: base64 of the HMAC-SHA256 of the time stamp's header and the body.

        Deliveries more than 5 minutes from the stamp are refused. The public secret, with which Zendesk signs the test
        of a webhook that is not saved yet, is good for a test only: see `parse`.
        Source: https://developer.zendesk.com/documentation/webhooks/verifying/
        """
        stamp = delivery.headers.get("x-zendesk-webhook-signature-timestamp", "")
        if not self._signed(self._secrets, delivery) and not self._signed(self._test, delivery):
            raise InvalidSignature("X-Zendesk-Webhook-Signature is absent or not made with the webhook's secret")
        signed_at = _seconds(stamp)
        if signed_at is None or abs(delivery.received_at - signed_at) > _WINDOW:
            raise InvalidSignature("X-Zendesk-Webhook-Signature-Timestamp is no time within 5 minutes of ours")

    def _signed(self, secrets: Secrets, delivery: Delivery) -> bool:
        stamp = delivery.headers.get("x-zendesk-webhook-signature-timestamp", "").encode("utf-8", "replace")
        signature = decode_base64(delivery.headers.get("x-zendesk-webhook-signature", ""))
        return secrets.verify(stamp + delivery.body, signature, "sha256")

    def parse(self, delivery: Delivery) -> Parsed:
        """Take a customer's message out of an event, or out of what a trigger or an automation sends."""
        if self._signed(self._test, delivery):
            return Handshake("the test of a webhook that is not saved yet")
        invocation = delivery.headers.get("x-zendesk-webhook-invocation-id")
        event_id = safe_word(invocation) if invocation else None
        if b'"ticket_id"' in delivery.body[:20]:
            return self._triggered(delivery, event_id)
        data = parse_json(delivery.body)
        event_type = data.get("type")
        if not isinstance(event_type, str):
            message = "type: missing; what a trigger sends must begin with ticket_id, as the documented template does"
            raise MalformedPayload(message, event_id=event_id)
        name = event_type.removeprefix(_PREFIX)
        # An allow-list: a webhook that is subscribed to more would otherwise answer itself without end.
        if name not in self._events:
            return Ignored(f"event {safe_word(name)}")
        return self._event(name, _Notification.parse_data(data, event_id=event_id), data, event_id)

    def _event(
        self, name: str, notification: _Notification, raw: dict[str, JsonValue], event_id: str | None
    ) -> Event | Ignored:
        detail, happening = notification.detail, notification.event
        customer = Customer(id=detail.requester_id)
        match name:
            case "ticket.created":
                # Who wrote is not told: an agent may enter a customer's words. What was written is read from the API.
                if detail.actor_id == self._user_id:
                    return Ignored("made by ourselves")
                said = _Said(id=_FIRST, body=detail.description)
            case "ticket.comment_added":
                author = happening.comment.author if happening.comment else None
                if happening.comment is None or author is None:
                    raise MalformedPayload("event.comment.author: missing", event_id=event_id)
                if not happening.comment.is_public or author.is_staff is not False or author.id == self._user_id:
                    return Ignored("not a public comment of a customer")
                said, customer = happening.comment, Customer(id=author.id, name=author.name)
                # Whether a ticket's first comment makes this event, too, is documented nowhere.
                is_new = detail.created_at and detail.created_at == detail.updated_at
                said = said.model_copy(update={"id": _FIRST}) if is_new and said.body == detail.description else said
            case _:
                if happening.message is None:
                    raise MalformedPayload("event.message: missing", event_id=event_id)
                if happening.actor.type != "end_user":
                    return Ignored("not written by a customer")
                said, customer = happening.message, Customer(id=happening.actor.id, name=happening.actor.name)
        text = _text.strip_quotes(_text.clean(said.body or ""))
        message = Message(
            id=said.id, role="customer", text=text, at=notification.time or detail.created_at, author=customer.id
        )
        conversation = Conversation(
            id=detail.id,
            subject=_text.clean(detail.subject or ""),
            customer=customer,
            messages=(message,) if text else (),
        )
        return self._made(conversation, message.id, "created" if said.id == _FIRST else _KINDS[name], message.at, raw)

    def _triggered(self, delivery: Delivery, event_id: str | None) -> Parsed:
        data = _trigger_json(delivery.body)
        if data.get("ticket_id") == "{{ticket.id}}":
            return Handshake("the test of a trigger's webhook")
        told = _Triggered.parse_data(data, event_id=event_id)
        if self._user_id in (told.actor_id, told.comment_author_id):
            return Ignored("made by ourselves")
        if told.comment_public == "false" or _ROLES.get((told.actor_role or "").lower()) == "agent":
            return Ignored("not a public comment of a customer")
        # No comment's id is among the placeholders. The state of the ticket that fired the trigger stands in for it.
        stamp = told.updated_at or ""
        message_id = stamp if _seconds(stamp) else f"sha256-{hashlib.sha256(delivery.body).hexdigest()[:32]}"
        return self._made(Conversation(id=told.ticket_id), message_id, told.kind, None, data)

    def _made(
        self,
        conversation: Conversation,
        message_id: str,
        kind: Literal["created", "replied"],
        occurred_at: datetime | None,
        raw: dict[str, JsonValue],
    ) -> Event:
        return Event.create(
            conversation,
            message_id,
            vendor=self.name,
            account=self._subdomain,
            kind=kind,
            occurred_at=occurred_at,
            raw=raw,
        )

    # The conversation

    async def fetch(self, event: Event, send: Send) -> Conversation:
        """`GET /tickets/{id}` and `GET /tickets/{id}/comments`: two calls, and one for each further 100 comments."""
        read = await self._read(event.conversation_id, send)
        # The first comment has a number there, which the event could not know.
        return read if event.message_id == _FIRST and read.messages else event.add_missing_message(read)

    async def _read(self, ticket_id: str, send: Send) -> Conversation:
        path = f"/api/v2/tickets/{ticket_id}"
        request = self._call("GET", path, idempotent=True)
        ticket = _http.parse_response(_TicketAnswer, request, await send(request), vendor=self.name).ticket
        comments: list[_Comment] = []
        users: dict[str, _User] = {}
        # Newest first, so that of a very long ticket the oldest are left out.
        query = "?include=users&sort=-created_at&page[size]=100"
        cursor = ""
        for _ in range(_MOST_PAGES):
            request = self._call("GET", f"{path}/comments{query}{cursor}", idempotent=True)
            page = _http.parse_response(_CommentsAnswer, request, await send(request), vendor=self.name)
            comments += page.comments
            users |= {user.id: user for user in page.users or ()}
            if not (page.meta and page.meta.has_more and page.meta.after_cursor):
                break
            # Not `links.next`: the token goes nowhere but to our own base URL.
            cursor = f"&page[after]={quote(page.meta.after_cursor, safe='')}"
        return self._conversation(
            ticket, sorted(comments, key=lambda comment: sort_key(comment.created_at, comment.id)), users
        )

    def _conversation(self, ticket: _Ticket, comments: Sequence[_Comment], users: Mapping[str, _User]) -> Conversation:
        read = [(comment, self._message(comment, ticket, users)) for comment in comments]
        said = [(comment, message) for comment, message in read if message.text or message.attachments]
        messages = tuple(message for _, message in said)
        last = next((comment for comment, message in reversed(said) if message.role == "customer"), None)
        requester = users.get(ticket.requester_id or "")
        return Conversation(
            id=ticket.id,
            subject=_text.clean(ticket.subject or ""),
            customer=Customer(
                id=ticket.requester_id,
                name=requester.name if requester else None,
                email=requester.email if requester else None,
            ),
            messages=messages,
            assignee=None if ticket.assignee_id in (*_NOBODY, self._user_id) else ticket.assignee_id,
            has_automatic_reply=any(m.author == self._user_id and m.role == "bot" for m in messages),
            is_automatic=last is not None and _AUTOMATIC in ((last.metadata or _Metadata()).flags or ()),
            version=ticket.updated_at,
            tags=ticket.tags,
        )

    def _message(self, comment: _Comment, ticket: _Ticket, users: Mapping[str, _User]) -> Message:
        plain = _text.from_html(comment.html_body or "")
        text = plain.text if comment.html_body else _text.clean(comment.plain_body or comment.body or "")
        role = self._role(comment, ticket, users)
        return Message(
            id=comment.id,
            role=role,
            text=_text.strip_quotes(text) if role == "customer" else text,
            attachments=(*(file.file_name for file in comment.attachments or ()), *["image"] * plain.images),
            at=comment.created_at,
            author=comment.author_id,
        )

    def _role(self, comment: _Comment, ticket: _Ticket, users: Mapping[str, _User]) -> Role:
        if not comment.public:
            return "note"
        user = users.get(comment.author_id or "")
        if user is None or user.role is None:
            # Without the users beside the comments only one is surely a customer; a stranger is taken for a colleague.
            role: Role = "customer" if comment.author_id == ticket.requester_id else "agent"
        else:
            role = _ROLES.get(user.role, "bot")
        machine = comment.author_id in (self._user_id, "-1") or (comment.via or _Via()).channel in _MACHINES
        return "bot" if role == "agent" and machine else role

    # Actions

    def plan(self, actions: Sequence[Action]) -> Sequence[Step]:
        """All in one update. An update holds one comment: a note beside a reply is a second one.

        The spam mark of `suspend_spammers` is last, as it deletes the ticket.
        """
        for action in actions:
            if isinstance(action, Assign) and not (action.team or action.user or "").isdecimal():
                raise ConfigurationError(f"Zendesk's group and user ids are numbers; {action!r} has none.")
            if isinstance(action, SetFields) and not all(name.isdecimal() for name in action.fields):
                raise ConfigurationError(f"Zendesk's custom fields are named by their numbers; {action!r} has another.")
            if isinstance(action, Tag) and not all(map(_is_tag, action.names)):
                raise ConfigurationError(f"Zendesk's tags are single words; {action!r} has another.")
        marks = tuple(action for action in actions if isinstance(action, MarkSpam) and self._suspend)
        replies = any(isinstance(action, Reply) for action in actions)
        notes = tuple(action for action in actions if isinstance(action, Note) and replies)
        update = tuple(action for action in actions if action not in (*notes, *marks))
        return [Step(actions=step) for step in (update, notes, marks) if step]

    async def perform(self, step: Step, conversation: Conversation, send: Send) -> None:
        """Take a step. One call; where somebody changed the ticket meanwhile, it is read and tried again.

        Raises:
            VendorError: Also where a teammate has taken the ticket meanwhile, or it has got an automatic reply.
        """
        path = f"/api/v2/tickets/{conversation.id}"
        if self._suspend and isinstance(step.actions[0], MarkSpam):
            await send(self._call("PUT", f"{path}/mark_as_spam", idempotent=True))
            return
        tries = 0
        while True:
            try:
                await self._update(path, step, conversation, send)
            except VendorError as err:
                tries += 1
                if err.code != _CONFLICT or tries == _MOST_TRIES:
                    raise
                current = await self._read(conversation.id, send)
                changed = (current.has_human, current.has_automatic_reply) != (
                    conversation.has_human,
                    conversation.has_automatic_reply,
                )
                if changed and not all(isinstance(action, _LABELS) for action in step.actions):
                    raise
                conversation = current
            else:
                return

    async def was_performed(self, step: Step, conversation: Conversation, send: Send) -> bool:
        """Look for a comment of ours with the same words that was not there before. Two calls, as `fetch`.

        An update takes effect as a whole or not at all, so its comment tells of all of it.
        """
        known = {message.id for message in conversation.messages}
        current = await self._read(conversation.id, send)
        _, wanted = _comment(step.actions)
        return any(
            message.author == self._user_id
            and message.id not in known
            and _text.normalize_for_comparison(message.text) == _text.normalize_for_comparison(wanted)
            for message in current.messages
        )

    async def _update(self, path: str, step: Step, conversation: Conversation, send: Send) -> None:
        ticket = self._changes(step.actions, conversation)
        public, text = _comment(step.actions)
        if text:
            # The author is set because a token may belong to somebody else; whether it is public, because without it
            # the ticket's first comment decides.
            comment = {"html_body": _html(text), "public": public, "author_id": int(self._user_id)}
            ticket["comment"] = comment
        # A note alone changes nothing that somebody else could have changed.
        if ticket.keys() - {"comment"} or public:
            # Never `false`, which acts like `true`: https://developer.zendesk.com/api-reference/ticketing/tickets/tickets/
            ticket |= {"updated_stamp": conversation.version, "safe_update": True}
        if ticket:
            await send(self._call("PUT", path, {"ticket": ticket}, idempotent=not text))

    def _changes(self, actions: Iterable[Action], conversation: Conversation) -> dict[str, Any]:
        """The fields of a ticket that change."""
        ticket: dict[str, Any] = {}
        tags = {name.casefold(): name for name in conversation.tags}
        fields: dict[str, Any] = {}
        for action in actions:
            match action:
                case Assign(team=team, user=user):
                    ticket |= {"group_id": int(team)} if team else {"assignee_id": int(user or "")}
                case SetPriority(priority=priority):
                    ticket["priority"] = priority
                case SetFields():
                    fields |= action.fields
                case Tag(names=names):
                    tags = tags | {name.casefold(): name for name in names} | tags
                case MarkSpam():
                    tags = tags | {self._spam_tag.casefold(): self._spam_tag} | tags
                case _:
                    pass
        if any(isinstance(action, Close | MarkSpam) for action in actions):
            ticket["status"] = "solved"  # not `closed`, which could never be opened again
        if fields:
            ticket["custom_fields"] = [{"id": int(name), "value": value} for name, value in fields.items()]
        if len(tags) > len(conversation.tags):
            ticket["tags"] = list(tags.values())
        return ticket

    # Requests

    def _call(
        self, method: Literal["GET", "POST", "PUT"], path: str, json: Any = None, *, idempotent: bool = False
    ) -> Request:
        return Request(method, self._base_url + path, json, self._headers, idempotent)

    def pause(self, response: Response, now: float) -> float | None:
        """Read how long to wait: until the account's budget that is used up, or one of an endpoint, is renewed.

        Source: https://developer.zendesk.com/documentation/ticketing/using-the-zendesk-api/best-practices-for-avoiding-rate-limiting/
        """
        wait = _http.parse_seconds(response.headers, "retry-after")
        return _resets(response) if wait is None else wait

    def error(self, request: Request, response: Response, now: float) -> VendorError:
        """Read an error in one of Zendesk's shapes.

        Source: https://developer.zendesk.com/api-reference/introduction/requests/
        """
        body = response.data()
        told = _Error.model_validate(body) if isinstance(body, dict) else _Error()
        where, faults = next(iter((told.details or {}).items()), ("", None))
        first = next(iter(faults or ()), _Fault())
        hint = _TOKEN_HINT if request.url.endswith("/oauth/tokens") else _HINTS.get(response.status)
        if response.status == 422 and where:
            hint = f"refused for {safe_word(where)}" + (
                "; a closed ticket cannot be changed" if where == "status" else ""
            )
        if told.error == _CONFLICT:
            hint = "somebody else changed the ticket meanwhile"
        return _http.build_error(
            request,
            response,
            vendor=self.name,
            message=first.description or told.description or told.error,
            hint=hint,
            code=told.error,
            request_id=response.headers.get("x-zendesk-request-id"),
            retry_after=self.pause(response, now),
            final=told.error == _CONFLICT,
        )


def _basic(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()


def _is_tag(name: str) -> bool:
    """True if Zendesk takes it for one tag and not for several."""
    return re.fullmatch(r"[^\s,]+", name) is not None


def _seconds(stamp: str) -> float | None:
    """A time as Zendesk writes it in headers and placeholders, in seconds since the epoch."""
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z", stamp, re.ASCII):
        return None
    try:
        return datetime.fromisoformat(stamp).timestamp()
    except ValueError:
        return None


def _trigger_json(body: bytes) -> dict[str, JsonValue]:
    """Read what a trigger sends, where placeholders may have been filled in with anything.

    Nothing tells whether Zendesk escapes them. An admin may have added one with the customer's words, and those could
    add a second `ticket_id`, or break the JSON. The template's head stands before any such words, so it is believed.
    """
    try:
        data = json.loads(body, object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        head = re.match(rb'\s*\{\s*"ticket_id"\s*:\s*"(\d{1,20})"\s*,\s*"updated_at"\s*:\s*"([\w.:-]{1,40})"', body)
        if head is None:
            raise MalformedPayload("the body is no JSON and does not begin as the documented template does") from None
        return {"ticket_id": head[1].decode(), "updated_at": head[2].decode("ascii", "replace")}
    return parse_json(json.dumps(data).encode())


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError("a name stands twice")
    return values


def _comment(actions: Iterable[Action]) -> tuple[bool, str]:
    """Whether the customer sees it, and the text."""
    written = [action for action in actions if isinstance(action, Reply | Note)]
    public = any(isinstance(action, Reply) for action in written)
    return public, "\n\n".join(action.body for action in written)


def _html(text: str) -> str:
    """The text as HTML, with `{{` and `{%` broken up: in a staff member's comment they would be filled in with data.

    Source: https://developer.zendesk.com/api-reference/ticketing/tickets/ticket_comments/
    """
    return re.sub(r"\{(?=[{%])", "{\u200b", _text.to_html(text))


def _resets(response: Response) -> float | None:
    """Seconds until a limit that is used up is renewed."""
    headers = response.headers
    used_up = response.status == 429 or _http.parse_seconds(headers, "ratelimit-remaining") == 0
    wait = _http.parse_seconds(headers, "ratelimit-reset") if used_up else None
    for name, value in headers.items():
        match = re.search(r"remaining=0\b.*?\bresets=(\d{1,6})", value)
        if name.startswith("zendesk-ratelimit-") and match:
            wait = max(wait or 0.0, float(match[1]))
    return wait
