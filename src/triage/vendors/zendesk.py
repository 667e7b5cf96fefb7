"""Zendesk: https://developer.zendesk.com/documentation/webhooks and /api-reference/ticketing."""

import base64
import hashlib
import json
import re
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, Literal, NamedTuple, TypeAlias
from urllib.parse import quote

from pydantic import AliasPath, AwareDatetime, Field, JsonValue, ValidationInfo, field_validator

from triage.actions import Action, Assign, Close, MarkSpam, Note, Reply, SetFields, SetPriority, Snooze, Tag
from triage.errors import ConfigurationError, InvalidSignature, MalformedPayload, VendorError
from triage.io.retry import parse_seconds
from triage.models import Conversation, Customer, Delivery, Event, Handshake, Ignored, Message, Parsed, Response, Step
from triage.text import Plain, from_html, to_html
from triage.vendors.base import ErrorFacts, HelpDesk, Id, Kind, Role, Send, add_names, build_steps, select
from triage.vendors.oauth import ClientCredentials
from triage.vendors.payload import Loose, Payload, parse_json, safe_word, sort_key
from triage.vendors.settings import ListOf, Number, Secret, SigningSecret
from triage.vendors.signing import Secrets, decode_base64, explain_rejection

EventName: TypeAlias = Literal["ticket.created", "ticket.comment_added", "messaging_ticket.message_added"]

_PREFIX = "zen:event-type:"
# Signs the test of a webhook that is not saved yet. It is public, so everything signed with it is treated as a test:
# https://developer.zendesk.com/documentation/webhooks/verifying/#signing-secrets-on-new-webhooks
_PUBLIC_SECRET = "dGhpc19zZWNyZXRfaXNfZm9yX3Rlc3Rpbmdfb25seQ=="  # noqa: S105 - published
_TESTS = Secrets(_PUBLIC_SECRET)
_CREDENTIALS = ("client_id", "client_secret", "access_token", "email", "api_token")
_TAG = r"^[^\s,]+$"
_WINDOW = 300.0  # seconds; Zendesk does not name a limit
# Any other role is a machine, which never gets an answer.
_ROLES: Mapping[str, Role] = {"end-user": "customer", "agent": "agent", "admin": "agent"}
_MACHINES = frozenset({"rule", "system"})  # channels
_AUTOMATIC = 4  # a comment's flag: https://developer.zendesk.com/api-reference/ticketing/tickets/ticket_comments/
_FIRST = "first"
"""Replaces the id of a ticket's first comment, which `ticket.created` does not contain."""
_MAX_PAGES = 5  # of 100 comments each
_MAX_ATTEMPTS = 3  # to make an update that conflicts with another one
_CONFLICT = "UpdateConflict"
_LABELS = (Note, SetFields, SetPriority, Tag)


class _Detail(Payload):
    """A ticket in an event. Its ids are strings, and its enumerations are in capitals."""

    id: Id
    subject: Loose[str] = None
    description: str | None = None
    requester_id: Loose[str] = None
    actor_id: Loose[str] = None
    created_at: Loose[AwareDatetime] = None
    updated_at: Loose[AwareDatetime] = None


class _Written(NamedTuple):
    """A customer's message in an event."""

    id: str
    text: str | None
    customer: Customer


class _Notification(Payload):
    """An event."""

    reason: ClassVar[str]
    """Why an event without a customer's message is ignored."""
    detail: _Detail
    time: Loose[AwareDatetime] = None

    @abstractmethod
    def find_message(self, user_id: str) -> _Written | None: ...


class _Created(_Notification):
    reason = "made by ourselves"
    event: dict[str, JsonValue] = Field(default_factory=dict)

    def find_message(self, user_id: str) -> _Written | None:
        # The event does not name the author: an agent may enter a customer's text. `read` finds the author.
        if self.detail.actor_id == user_id:
            return None
        return _Written(_FIRST, self.detail.description, Customer(id=self.detail.requester_id))


class _Author(Payload):
    id: Loose[str] = None
    name: Loose[str] = None
    type: str = ""
    is_staff: bool | None = None


class _NewComment(Payload):
    id: Id
    body: str | None = None
    is_public: bool | None = None
    author: _Author


class _CommentEvent(Payload):
    comment: _NewComment


class _CommentAdded(_Notification):
    reason = "not a public comment of a customer"
    event: _CommentEvent

    def find_message(self, user_id: str) -> _Written | None:
        comment, author = self.event.comment, self.event.comment.author
        if not comment.is_public or author.is_staff is not False or author.id == user_id:
            return None
        # Zendesk does not document whether a ticket's first comment causes this event, too.
        is_new = self.detail.created_at and self.detail.created_at == self.detail.updated_at
        id_ = _FIRST if is_new and comment.body == self.detail.description else comment.id
        return _Written(id_, comment.body, Customer(id=author.id, name=author.name))


class _NewMessage(Payload):
    id: Id
    body: str | None = None


class _MessageEvent(Payload):
    message: _NewMessage
    actor: _Author = _Author()


class _MessageAdded(_Notification):
    reason = "not written by a customer"
    event: _MessageEvent

    def find_message(self, user_id: str) -> _Written | None:
        message, actor = self.event.message, self.event.actor
        if actor.type != "end_user":
            return None
        return _Written(message.id, message.body, Customer(id=actor.id, name=actor.name))


_NOTIFICATIONS: Mapping[str, type[_Notification]] = {
    "ticket.created": _Created,
    "ticket.comment_added": _CommentAdded,
    "messaging_ticket.message_added": _MessageAdded,
}


class _Trigger(Payload):
    """The payload of a trigger or an automation that uses the template in our documentation."""

    ticket_id: Id
    updated_at: Loose[str] = None
    kind: Kind = "created"
    actor_id: Loose[str] = None
    actor_role: Loose[str] = None
    comment_public: Loose[str] = None
    comment_author_id: Loose[str] = None

    def find_reason_to_ignore(self, user_id: str) -> str | None:
        if user_id in (self.actor_id, self.comment_author_id):
            return "made by ourselves"
        is_agent = _ROLES.get((self.actor_role or "").lower()) == "agent"
        return "not a public comment of a customer" if is_agent or self.comment_public == "false" else None


class _Ticket(Payload):
    id: Id
    updated_at: str
    # Tags are written as a complete list, so any tag that is missing here would be removed.
    tags: tuple[str, ...]
    subject: Loose[str] = None
    requester_id: Loose[str] = None
    assignee_id: Loose[str] = None


class _TicketResponse(Payload):
    ticket: _Ticket


class _Attachment(Payload):
    file_name: str = "file"


class _Comment(Payload):
    id: Id
    author_id: Loose[str] = None
    public: bool = True
    body: Loose[str] = None
    plain_body: Loose[str] = None
    html_body: Loose[str] = None
    attachments: Loose[tuple[_Attachment, ...]] = None
    channel: Loose[str] = Field(default=None, validation_alias=AliasPath("via", "channel"))
    flags: Loose[tuple[int, ...]] = Field(default=None, validation_alias=AliasPath("metadata", "flags"))
    created_at: Loose[AwareDatetime] = None

    @property
    def plain(self) -> Plain | str:
        return from_html(self.html_body) if self.html_body else self.plain_body or self.body or ""


class _User(Payload):
    id: Id
    name: Loose[str] = None
    email: Loose[str] = None
    role: Loose[str] = None


class _CommentsResponse(Payload):
    comments: tuple[_Comment, ...]
    users: Loose[tuple[_User, ...]] = None
    has_more: Loose[bool] = Field(default=None, validation_alias=AliasPath("meta", "has_more"))
    cursor: Loose[str] = Field(default=None, validation_alias=AliasPath("meta", "after_cursor"))


class _ErrorDetail(Payload):
    description: Loose[str] = None


class _Error(Payload):
    error: Loose[str] = None
    description: Loose[str] = None
    details: Loose[dict[str, Loose[tuple[_ErrorDetail, ...]]]] = None


class Zendesk(HelpDesk):
    """The adapter for Zendesk.

    Either `client_id` and `client_secret`, or `access_token`, or `email` and `api_token` authenticate the API calls.

    Args:
        subdomain: The account, such as `acme` for `acme.zendesk.com`. Events and their keys contain it.
        signing_secret: The webhook's secret (*Reveal secret*). Pass several if several webhooks deliver here, or the
            new and the old one during a rotation.
        user_id: The id of the user to whom the credentials belong. Use a dedicated user: everything that it writes
            counts as automatic.
        client_id: The unique identifier of a confidential OAuth client, which acts as the user who created it.
        client_secret: The OAuth client's secret.
        access_token: An OAuth access token with the scopes `read` and `write`. You must renew it yourself.
        email: The user's email address, for use with `api_token`.
        api_token: An API token. Zendesk no longer issues them, and all of them expire on 2027-04-30.
        events: The event types to act on, without `zen:event-type:`. Add `ticket.comment_added` to triage every
            customer message instead of only the first one of a ticket. The adapter acts on everything that a trigger or
            an automation sends, because its conditions decide which deliveries arrive.
        spam_tag: The tag that `MarkSpam` adds to the ticket that it solves.
        suspend_spammers: True if `MarkSpam` should use Zendesk's own spam mark instead. That deletes the ticket and
            suspends its requester, who can then neither write nor sign in.
        base_url: The account's address, if it is not `https://{subdomain}.zendesk.com`, such as that of a proxy or a
            fake.

    Raises:
        ConfigurationError: Settings are missing or invalid. The message lists all of them.
    """

    name = "zendesk"
    title = "Zendesk"
    own_id_setting = "user_id"
    can = frozenset({Assign, Reply, Note, Tag, SetFields, SetPriority, Close, MarkSpam})
    instead: ClassVar = {
        Snooze: "its tickets cannot sleep until a time. Use Tag, and an automation on the tag.",
    }
    hints: ClassVar = {
        "token": "check {client_id} and {client_secret}",
        _CONFLICT: "somebody else has changed the ticket",
        401: "check Zendesk's credentials in the settings, and that the OAuth client or token still exists",
        403: "the user or the token's scope lacks a right; it needs read and write",
        404: "there is no such ticket, or the user may not see it; it may have been deleted or merged",
        413: "the comment is too long",
    }
    shown = ("user_id",)
    numeric_ids = True

    subdomain: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$", description="acme of acme.zendesk.com")
    signing_secret: SigningSecret = Field(description="the secret of your webhook")
    user_id: Number = Field(description="the number of a user")
    client_id: str | None = None
    client_secret: Secret | None = None
    access_token: Secret | None = None
    email: str | None = None
    api_token: Secret | None = Field(default=None, validate_default=True)
    events: ListOf[EventName] = ("ticket.created",)
    spam_tag: str = Field(default="spam", pattern=_TAG, description="one word")
    suspend_spammers: bool = False

    @field_validator("signing_secret")
    @classmethod
    def _reject_public_secret(cls, secrets: Sequence[str]) -> Sequence[str]:
        if _PUBLIC_SECRET in secrets:
            raise ValueError("Zendesk's signing_secret is the public one for tests: anybody could sign with it.")
        return secrets

    @field_validator("api_token")  # the last field, so that `info` contains the others
    @classmethod
    def _check_credentials(cls, api_token: str | None, info: ValidationInfo) -> str | None:
        match [{**info.data, "api_token": api_token}.get(name, ...) for name in _CREDENTIALS]:
            case [str(), str(), None, None, None] | [None, None, str(), None, None] | [None, None, None, str(), str()]:
                return api_token
            case values if ... in values:
                return api_token  # another field is invalid, and has its own message
            case _:
                raise ValueError(
                    "Zendesk needs client_id and client_secret, or access_token, or email and api_token: one of the "
                    "three."
                )

    @property
    def auth(self) -> ClientCredentials | None:
        """The OAuth client, if there is one."""
        if not (self.client_id and self.client_secret):
            return None
        url = f"{self.url}/oauth/tokens"
        extra: dict[str, Any] = {"scope": "read write", "expires_in": 7200}
        return ClientCredentials(url, self.client_id, self.client_secret, vendor=self.name, **extra)

    def default_url(self) -> str:
        """Return the account's address."""
        return f"https://{self.subdomain}.zendesk.com"

    def headers(self) -> Mapping[str, str]:
        """Return the token, if there is no OAuth client."""
        if self.access_token:
            return {"Authorization": f"Bearer {self.access_token}"}
        if self.api_token:
            credentials = base64.b64encode(f"{self.email}/token:{self.api_token}".encode()).decode()
            return {"Authorization": f"Basic {credentials}"}
        return {}

    # Webhooks

    def verify(self, delivery: Delivery) -> None:
        """Verify `X-Zendesk-Webhook-Signature`: the HMAC-SHA256 of the timestamp header and the body, in base64.

        Reject deliveries whose timestamp is more than 5 minutes from our time. The public secret, with which Zendesk
        signs the test of a webhook that is not saved yet, is accepted for tests only: see `parse`.
        Source: https://developer.zendesk.com/documentation/webhooks/verifying/
        """
        if not _is_signed(self.secrets, delivery) and not _is_signed(_TESTS, delivery):
            raise InvalidSignature(
                explain_rejection(delivery.headers, "X-Zendesk-Webhook-Signature", "the webhook's secret")
            )
        signed_at = _parse_time(delivery.headers.get("x-zendesk-webhook-signature-timestamp", ""))
        if signed_at is None or abs(delivery.received_at - signed_at) > _WINDOW:
            raise InvalidSignature("X-Zendesk-Webhook-Signature-Timestamp is not within 5 minutes of our time")

    def parse(self, delivery: Delivery) -> Parsed:
        """Extract a customer's message from an event, or from the payload of a trigger or an automation."""
        if _is_signed(_TESTS, delivery):
            return Handshake("the test of a webhook that is not saved yet")
        invocation = delivery.headers.get("x-zendesk-webhook-invocation-id")
        event_id = safe_word(invocation) if invocation else None
        if b'"ticket_id"' in delivery.body[:20]:
            return self._parse_trigger(delivery, event_id)
        data = parse_json(delivery.body)
        event_type = data.get("type")
        if not isinstance(event_type, str):
            message = "type: missing; a trigger's payload must begin with ticket_id, as the documented template does"
            raise MalformedPayload(message, event_id=event_id)
        name = event_type.removeprefix(_PREFIX)
        # An allow-list: a webhook that subscribes to more events would otherwise answer itself without end.
        if name not in self.events:
            return Ignored(f"event {safe_word(name)}")
        return self._parse_event(_NOTIFICATIONS[name].parse_data(data, event_id=event_id), data)

    def _parse_event(self, notification: _Notification, raw: dict[str, JsonValue]) -> Event | Ignored:
        written = notification.find_message(self.user_id)
        if written is None:
            return Ignored(notification.reason)
        detail, (id_, text, customer) = notification.detail, written
        at = notification.time or detail.created_at
        message = self.build_message(id_, "customer", text, author=customer.id, at=at)
        conversation = self.build_conversation(detail.id, [message], customer=customer, subject=detail.subject)
        kind: Kind = "created" if id_ == _FIRST else "replied"
        return self.build_event(conversation, id_, account=self.subdomain, kind=kind, raw=raw, at=at)

    def _parse_trigger(self, delivery: Delivery, event_id: str | None) -> Parsed:
        data = _parse_trigger_json(delivery.body)
        if data.get("ticket_id") == "{{ticket.id}}":
            return Handshake("the test of a trigger's webhook")
        trigger = _Trigger.parse_data(data, event_id=event_id)
        reason = trigger.find_reason_to_ignore(self.user_id)
        if reason:
            return Ignored(reason)
        # There is no placeholder for a comment's id, so the version of the ticket that fired the trigger identifies it.
        stamp = trigger.updated_at or ""
        message_id = stamp if _parse_time(stamp) else f"sha256-{hashlib.sha256(delivery.body).hexdigest()[:32]}"
        conversation = self.build_conversation(trigger.ticket_id, [])
        return self.build_event(conversation, message_id, account=self.subdomain, kind=trigger.kind, raw=data)

    # Conversations

    async def fetch(self, event: Event, send: Send) -> Conversation:
        """Read the ticket, and add the event's message if the API does not show it yet.

        In the API, the first comment has an id, which the event does not contain.
        """
        conversation = await self.read(event.conversation_id, send)
        is_shown = event.message_id == _FIRST and conversation.messages
        return conversation if is_shown else event.add_missing_message(conversation)

    async def read(self, conversation_id: str, send: Send) -> Conversation:
        """Read the ticket and its comments: two calls, and one for each further 100 comments."""
        path = f"/api/v2/tickets/{conversation_id}"
        ticket = (await self.get(_TicketResponse, path, send)).ticket
        comments: list[_Comment] = []
        users: dict[str, _User] = {}
        # Read the newest first, so that the oldest comments of a very long ticket are the ones left out.
        query = f"{path}/comments?include=users&sort=-created_at&page[size]=100"
        cursor = ""
        for _ in range(_MAX_PAGES):
            page = await self.get(_CommentsResponse, query + cursor, send)
            comments += page.comments
            users |= {user.id: user for user in page.users or ()}
            if not page.has_more or not page.cursor:
                break
            # Do not follow `links.next`, so that the token is never sent to another address.
            cursor = f"&page[after]={quote(page.cursor, safe='')}"
        comments.sort(key=lambda comment: sort_key(comment.created_at, comment.id))
        return self._translate(ticket, comments, users)

    def _translate(self, ticket: _Ticket, comments: Sequence[_Comment], users: Mapping[str, _User]) -> Conversation:
        requester = users.get(ticket.requester_id or "") or _User(id="unknown")
        return self.build_conversation(
            ticket.id,
            (self._translate_comment(comment, ticket, users) for comment in comments),
            subject=ticket.subject,
            customer=Customer(id=ticket.requester_id, name=requester.name, email=requester.email),
            assignee=ticket.assignee_id,
            version=ticket.updated_at,
            tags=ticket.tags,
        )

    def _translate_comment(self, comment: _Comment, ticket: _Ticket, users: Mapping[str, _User]) -> Message:
        return self.build_message(
            comment.id,
            self._find_role(comment, ticket, users),
            comment.plain,
            author=comment.author_id,
            at=comment.created_at,
            files=(file.file_name for file in comment.attachments or ()),
            is_automatic=_AUTOMATIC in (comment.flags or ()),
        )

    def _find_role(self, comment: _Comment, ticket: _Ticket, users: Mapping[str, _User]) -> Role:
        if not comment.public:
            return "note"
        user = users.get(comment.author_id or "")
        if user and user.role:
            role = _ROLES.get(user.role, "bot")
        else:
            # Without the author's role, only the requester is certainly a customer. Anybody else may be an agent.
            role = "customer" if comment.author_id == ticket.requester_id else "agent"
        is_machine = comment.author_id in (self.user_id, "-1") or comment.channel in _MACHINES
        return "bot" if role == "agent" and is_machine else role

    # Actions

    def check(self, action: Action) -> None:
        """Reject names that cannot exist: custom fields have numbers, and tags are single words.

        Raises:
            ConfigurationError: The action needs another name.
        """
        super().check(action)
        match action:
            case SetFields(fields=fields) if not all(name.isdecimal() for name in fields):
                raise ConfigurationError(f"Zendesk's custom fields are named by their numbers, unlike in {action!r}.")
            case Tag(names=names) if not all(re.match(_TAG, name) for name in names):
                raise ConfigurationError(f"Zendesk's tags are single words, unlike in {action!r}.")
            case _:
                pass

    def plan(self, actions: Sequence[Action]) -> Sequence[Step]:
        """Merge all actions into one update. It holds one comment, so a note in addition to a reply is a second step.

        With `suspend_spammers`, the spam mark comes last, because it deletes the ticket.
        """
        marks = select(actions, MarkSpam) if self.suspend_spammers else []
        notes = select(actions, Note) if select(actions, Reply) else []
        return build_steps([[action for action in actions if action not in (*notes, *marks)], notes, marks])

    async def perform(self, step: Step, conversation: Conversation, send: Send) -> None:
        """Perform a step with one call. If the ticket has changed since it was read, read it and try again.

        Raises:
            VendorError: A call failed, or the ticket was assigned to a human or answered automatically since it was
                read.
        """
        path = f"/api/v2/tickets/{conversation.id}"
        if self.suspend_spammers and isinstance(step.actions[0], MarkSpam):
            await send(self.request("PUT", f"{path}/mark_as_spam"))
            return
        for _ in range(_MAX_ATTEMPTS - 1):
            try:
                await self._update(path, step, conversation, send)
            except VendorError as error:
                if error.code != _CONFLICT:
                    raise
                conversation = await self._read_again(step, conversation, error, send)
            else:
                return
        await self._update(path, step, conversation, send)

    async def _read_again(self, step: Step, earlier: Conversation, error: VendorError, send: Send) -> Conversation:
        current = await self.read(earlier.id, send)
        if _describe_state(current) == _describe_state(earlier) or all(
            isinstance(action, _LABELS) for action in step.actions
        ):
            return current
        raise error

    async def was_performed(self, step: Step, conversation: Conversation, send: Send) -> bool:
        """Look for the step's comment. An update takes effect as a whole or not at all."""
        is_public, text = _join_comment(step.actions)
        comment = Reply(text) if is_public else Note(text)
        return await super().was_performed(Step(actions=(comment,)), conversation, send)

    async def _update(self, path: str, step: Step, conversation: Conversation, send: Send) -> None:
        ticket = self._build_changes(step.actions, conversation)
        is_public, text = _join_comment(step.actions)
        # A note alone cannot conflict with another change. Never send `safe_update: false`, which acts like `true`:
        # https://developer.zendesk.com/api-reference/ticketing/tickets/tickets/
        if ticket or is_public:
            ticket |= {"updated_stamp": conversation.version, "safe_update": True}
        if text:
            # Always set the author, because the token may belong to another user. Without `public`, the ticket's first
            # comment would decide whether the customer sees this one.
            ticket["comment"] = {"html_body": _to_html(text), "public": is_public, "author_id": int(self.user_id)}
        if ticket:
            await send(self.request("PUT", path, {"ticket": ticket}, idempotent=not text))

    def _build_changes(self, actions: Sequence[Action], conversation: Conversation) -> dict[str, Any]:
        """Return the fields of the ticket that the actions change."""
        ticket: dict[str, Any] = {}
        for action in actions:
            ticket |= _translate_action(action)
        fields = {name: value for action in select(actions, SetFields) for name, value in action.fields.items()}
        if fields:
            ticket["custom_fields"] = [{"id": int(name), "value": value} for name, value in fields.items()]
        added = [name for action in select(actions, Tag) for name in action.names]
        tags = add_names(conversation.tags, added + [self.spam_tag] * len(select(actions, MarkSpam)))
        if len(tags) > len(conversation.tags):
            ticket["tags"] = tags
        return ticket

    # Errors and limits

    def pause(self, response: Response, now: float) -> float | None:
        """Return the seconds until an exhausted rate limit of the account or of an endpoint resets.

        Source: https://developer.zendesk.com/documentation/ticketing/using-the-zendesk-api/best-practices-for-avoiding-rate-limiting/
        """
        wait = parse_seconds(response.headers, "retry-after")
        return _find_reset(response) if wait is None else wait

    def parse_error(self, data: Mapping[str, Any], response: Response) -> ErrorFacts:
        """Parse an error in one of Zendesk's shapes.

        Source: https://developer.zendesk.com/api-reference/introduction/requests/
        """
        error = _Error.model_validate(data)
        field, details = next(iter((error.details or {}).items()), ("", None))
        first = next(iter(details or ()), _ErrorDetail())
        hint = f"refused for {safe_word(field)}" if response.status == 422 and field else None
        if field == "status" and hint:
            hint += "; a closed ticket cannot be changed"
        return ErrorFacts(
            message=first.description or error.description or error.error,
            code=error.error,
            request_id=response.headers.get("x-zendesk-request-id"),
            hint=hint,
            final=error.error == _CONFLICT,
        )


def _is_signed(secrets: Secrets, delivery: Delivery) -> bool:
    stamp = delivery.headers.get("x-zendesk-webhook-signature-timestamp", "").encode("utf-8", "replace")
    signature = decode_base64(delivery.headers.get("x-zendesk-webhook-signature", ""))
    return secrets.verify(stamp + delivery.body, signature, "sha256")


def _parse_time(stamp: str) -> float | None:
    """Convert a time, as Zendesk writes it in headers and placeholders, to seconds since the epoch."""
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z", stamp, re.ASCII):
        return None
    try:
        return datetime.fromisoformat(stamp).timestamp()
    except ValueError:
        return None


def _parse_trigger_json(body: bytes) -> dict[str, JsonValue]:
    """Parse the payload of a trigger, whose placeholders may have been replaced by any text.

    Zendesk does not document whether it escapes them. An admin may have added a placeholder for customer text, which
    could add a second `ticket_id` or break the JSON. The beginning of the template precedes such text and is trusted.
    """
    try:
        data = json.loads(body, object_pairs_hook=_reject_duplicates)
    except (ValueError, RecursionError):
        head = re.match(rb'\s*\{\s*"ticket_id"\s*:\s*"(\d{1,20})"\s*,\s*"updated_at"\s*:\s*"([\w.:-]{1,40})"', body)
        if head is None:
            raise MalformedPayload("the body is not JSON and does not begin as the documented template does") from None
        return {"ticket_id": head[1].decode(), "updated_at": head[2].decode("ascii", "replace")}
    return parse_json(json.dumps(data).encode())


def _reject_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError("a name occurs twice")
    return values


def _translate_action(action: Action) -> dict[str, Any]:
    match action:
        case Assign(team=str(team)) if team:
            return {"group_id": int(team)}
        case Assign(user=user):
            return {"assignee_id": int(user or "")}
        case SetPriority(priority=priority):
            return {"priority": priority}
        case Close() | MarkSpam():
            return {"status": "solved"}  # not `closed`, which could never be reopened
        case _:
            return {}


def _join_comment(actions: Iterable[Action]) -> tuple[bool, str]:
    """Return whether the customer sees the comment, and its text."""
    bodies = [action.body for action in actions if isinstance(action, Reply | Note)]
    return bool(select(actions, Reply)), "\n\n".join(bodies)


def _to_html(text: str) -> str:
    """Convert text to HTML, and break up `{{` and `{%`, which Zendesk would expand in a staff member's comment.

    Source: https://developer.zendesk.com/api-reference/ticketing/tickets/ticket_comments/
    """
    return re.sub(r"\{(?=[{%])", "{\u200b", to_html(text))


def _find_reset(response: Response) -> float | None:
    """Return the seconds until the last exhausted rate limit resets."""
    headers = response.headers
    is_exhausted = response.status == 429 or parse_seconds(headers, "ratelimit-remaining") == 0
    waits = [parse_seconds(headers, "ratelimit-reset") if is_exhausted else None]
    for name, value in headers.items():
        match = re.search(r"remaining=0\b.*?\bresets=(\d{1,6})", value)
        waits.append(float(match[1]) if name.startswith("zendesk-ratelimit-") and match else None)
    return max((wait for wait in waits if wait is not None), default=None)


def _describe_state(conversation: Conversation) -> object:
    """Return what decides whether a step is still right: who has the conversation, and who has answered."""
    answers = [message.id for message in conversation.messages if message.role in ("agent", "bot")]
    return conversation.assignee, conversation.is_closed, answers
