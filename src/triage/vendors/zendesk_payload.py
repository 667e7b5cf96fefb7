"""The JSON that Zendesk sends: events, the payload of a trigger, tickets, comments and responses to updates."""

import hashlib
import json
import re
from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar, NamedTuple

from pydantic import AliasChoices, AliasPath, AwareDatetime, Field, JsonValue

from triage.errors import MalformedPayload
from triage.log import get_logger
from triage.models import Customer
from triage.text import Plain, clean, from_html, normalize_for_comparison
from triage.vendors.base import Id, Kind, Role
from triage.vendors.payload import Loose, LooseTuple, Payload, parse_json

logger = get_logger(__name__)

# Any other role is a machine, which never gets an answer.
PREFIX = "zen:event-type:"
"""Begins the type of an event."""

ROLES: Mapping[str, Role] = {"end-user": "customer", "agent": "agent", "admin": "agent"}
_AUTOMATIC = 4  # a comment's flag: https://developer.zendesk.com/api-reference/ticketing/tickets/ticket_comments/
# Channels of tickets that the account's own website creates, although a staff member may be named as the author.
FORMS = frozenset({"web_form", "web_widget", "mobile_sdk", "help_center", "answer_bot_for_web_widget"})
API = frozenset({"api", "web_service"})
CHILD_TICKET = "side_conversation"  # the channel of a ticket between two teams
_REDACTED = re.compile("[\u2587\u2588]+")  # black boxes
FIRST = "first"
"""Replaces the id of a ticket's first comment, which `ticket.created` does not contain."""
_FIRST_COMMENT_WINDOW = timedelta(seconds=60)
_LONGEST_WHOLE_TEXT = 200


class _Detail(Payload):
    """A ticket in an event. Its ids are strings, and its enumerations are in capitals."""

    id: Id
    subject: Loose[str] = None
    description: str | None = None
    requester_id: Loose[str] = None
    submitter_id: Loose[str] = None
    actor_id: Loose[str] = None
    channel: Loose[str] = Field(default=None, validation_alias=AliasPath("via", "channel"))
    created_at: Loose[AwareDatetime] = None
    updated_at: Loose[AwareDatetime] = None

    def is_made_for_nobody(self, user_id: str) -> bool:
        """Return whether our user created the ticket by hand, instead of passing on the request of a customer."""
        on_behalf = self.requester_id in (self.submitter_id, user_id) or self.channel in FORMS | API
        return self.actor_id == user_id and not on_behalf

    def is_first_comment(self, text: str | None) -> bool:
        """Return whether the text of an event is the ticket's first comment.

        That comment causes another event, in which the ticket is about a second older.
        """
        if not self.created_at or not self.updated_at or self.updated_at - self.created_at > _FIRST_COMMENT_WINDOW:
            return False
        if text == self.description:
            return True
        shorter, longer = sorted(
            (normalize_for_comparison(text or ""), normalize_for_comparison(self.description or ""))
        )
        # Either may have been cut off. A short text is whole, and may be the beginning of the customer's next message.
        return shorter == longer or (len(shorter) >= _LONGEST_WHOLE_TEXT and longer.startswith(shorter))


class _Written(NamedTuple):
    """A customer's message in an event."""

    id: str
    text: str | None
    customer: Customer


class Notification(Payload):
    """An event."""

    reason: ClassVar[str]
    """Why an event without a customer's message is ignored."""
    detail: _Detail
    time: Loose[AwareDatetime] = None

    @property
    def written_at(self) -> datetime | None:
        """When the message was written."""
        return self.time or self.detail.created_at

    @abstractmethod
    def find_message(self, user_id: str) -> _Written | None:
        """Return the customer's message in the event, or None if there is none.

        Args:
            user_id: The id of our user, whose comments are ours.
        """
        ...


class _Created(Notification):
    reason = "made by ourselves"
    event: dict[str, JsonValue] = Field(default_factory=dict)

    def find_message(self, user_id: str) -> _Written | None:
        # The event does not name the author: an agent may enter a customer's text. `read` finds the author.
        if self.detail.is_made_for_nobody(user_id):
            return None
        return _Written(FIRST, self.detail.description, Customer(id=self.detail.requester_id))


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


class _CommentAdded(Notification):
    reason = "not a public comment of a customer"
    event: _CommentEvent

    def find_message(self, user_id: str) -> _Written | None:
        comment, author, detail = self.event.comment, self.event.comment.author, self.detail
        is_first = detail.is_first_comment(comment.body)
        # The requester is the customer even with an agent's seat, as at the help desk for a company's own employees.
        is_requester = author.id is not None and author.id == detail.requester_id and detail.channel != CHILD_TICKET
        is_customer = is_requester or author.is_staff is False or (is_first and detail.channel in FORMS | API)
        is_ours = author.id == user_id and (not is_first or detail.is_made_for_nobody(user_id))
        if not comment.is_public or not is_customer or is_ours:
            return None
        return _Written(FIRST if is_first else comment.id, comment.body, Customer(id=author.id, name=author.name))


class _NewMessage(Payload):
    id: Id
    body: str | None = None


class _MessageEvent(Payload):
    message: _NewMessage
    actor: _Author = _Author()


class _MessageAdded(Notification):
    reason = "not written by a customer"
    event: _MessageEvent

    def find_message(self, user_id: str) -> _Written | None:
        message, actor = self.event.message, self.event.actor
        if actor.type != "end_user":
            return None
        return _Written(message.id, message.body, Customer(id=actor.id, name=actor.name))


NOTIFICATIONS: Mapping[str, type[Notification]] = {
    "ticket.created": _Created,
    "ticket.comment_added": _CommentAdded,
    "messaging_ticket.message_added": _MessageAdded,
}


class Trigger(Payload):
    """The payload of a trigger or an automation that uses the template in our documentation.

    Every value arrives as text, and as an empty one if there is nothing to fill in.
    """

    ticket_id: Id
    comment_id: Loose[str] = None
    updated_at: Loose[str] = None
    kind: Kind = "created"
    actor_id: Loose[str] = None
    actor_role: Loose[str] = None
    requester_id: Loose[str] = None
    comment_public: Loose[str | bool] = None
    comment_author_id: Loose[str] = None

    def find_reason_to_ignore(self, user_id: str) -> str | None:
        """Return why the payload reports no message of a customer, or None. With a doubt, `read` finds out."""
        not_customer = "not a public comment of a customer"
        if str(self.comment_public).lower() == "false":
            return not_customer
        is_requester = bool(self.requester_id) and self.comment_author_id == self.requester_id
        if user_id in (self.actor_id, self.comment_author_id):
            # A form may create tickets as our user. Later comments of our user are our own.
            return None if self.requester_id and self.kind == "created" else "made by ourselves"
        is_agent = ROLES.get((self.actor_role or "").lower()) == "agent"
        return not_customer if is_agent and not is_requester else None

    def find_message_id(self, invocation: str | None) -> str:
        """Return what identifies the message, in every delivery of it.

        Args:
            invocation: Zendesk's id of the delivery, if it is usable.

        Raises:
            MalformedPayload: Nothing does, so that different messages would count as the same one.
        """
        if self.comment_id and self.comment_id.isdecimal():
            return self.comment_id
        stamp = self.updated_at or ""
        usable = stamp if parse_time(stamp) else invocation
        if usable is None:
            names = "comment_id and updated_at"
            message = f"{names}: they are missing, or their placeholders are empty, so nothing identifies the message"
            raise MalformedPayload(message)
        if self.comment_id is not None or usable != stamp:
            # Seen with a misspelled placeholder, which Zendesk fills in with nothing.
            logger.warning(
                "the payload of a Zendesk trigger has no comment_id, so %r identifies the message; use the template in "
                "the documentation, with {{ticket.latest_comment.id}}",
                usable,
            )
        return usable


class Ticket(Payload):
    """A ticket."""

    id: Id
    updated_at: str
    # Tags are written as a complete list, so any tag that is missing here would be removed.
    tags: tuple[str, ...]
    created_at: Loose[AwareDatetime] = None
    subject: Loose[str] = None
    status: Loose[str] = None
    requester_id: Loose[str] = None
    assignee_id: Loose[str] = None
    group_id: Loose[str] = None
    brand_id: Loose[str] = None
    recipient: Loose[str] = None
    channel: Loose[str] = Field(default=None, validation_alias=AliasPath("via", "channel"))


class TicketResponse(Payload):
    """The response to reading a ticket."""

    ticket: Ticket


class MetricResponse(Payload):
    """The response to reading the metrics of a ticket."""

    solved_at: Loose[AwareDatetime] = Field(default=None, validation_alias=AliasPath("ticket_metric", "solved_at"))


class _Attachment(Payload):
    file_name: Loose[str] = None


class Comment(Payload):
    """A comment."""

    id: Loose[Id] = None
    author_id: Loose[str] = None
    public: bool = True
    body: Loose[str] = None
    plain_body: Loose[str] = None
    html_body: Loose[str] = None
    transcription: Loose[str] = Field(default=None, validation_alias=AliasPath("data", "transcription_text"))
    attachments: LooseTuple[_Attachment] = ()
    channel: Loose[str] = Field(default=None, validation_alias=AliasPath("via", "channel"))
    flags: LooseTuple[int] = Field(default=(), validation_alias=AliasPath("metadata", "flags"))
    is_generated: Loose[bool] = Field(
        default=None, validation_alias=AliasPath("metadata", "system", "machine_generated")
    )
    suspension: Loose[int | str] = Field(default=None, validation_alias=AliasPath("metadata", "suspension_type_id"))
    created_at: Loose[AwareDatetime] = None

    @property
    def message_id(self) -> str:
        """The comment's id, or a substitute that is the same whenever the comment is read."""
        content = f"{self.author_id} {self.created_at} {self.body} {self.html_body}"
        return self.id or f"sha256-{hashlib.sha256(content.encode('utf-8', 'replace')).hexdigest()[:32]}"

    @property
    def plain(self) -> Plain:
        """The text without redacted parts, which Zendesk replaces with black boxes."""
        plain = from_html(self.html_body) if self.html_body else Plain(self.plain_body or self.body or "", 0)
        spoken = self.transcription or ""
        text = (
            plain.text
            if normalize_for_comparison(spoken) in normalize_for_comparison(plain.text)
            else (f"{plain.text}\n\n{spoken}")
        )
        return Plain(clean(_REDACTED.sub("", text)), plain.images)

    def is_automatic(self, author: "User | None") -> bool:
        """Return whether a reply could start a loop, or reach somebody whom Zendesk has blocked."""
        is_suspended = self.suspension is not None or bool(author and author.suspended)
        return _AUTOMATIC in self.flags or bool(self.is_generated) or is_suspended


class User(Payload):
    """A user."""

    id: Id
    name: Loose[str] = None
    email: Loose[str] = None
    role: Loose[str] = None
    suspended: Loose[bool] = None


class Account(Payload):
    """The user to whom the credentials belong, or any other user."""

    id: Loose[str] = None
    name: Loose[str] = None
    role: Loose[str] = None
    suspended: Loose[bool] = None


class UserResponse(Payload):
    """The response to reading a user."""

    user: Account


class Listed(Payload):
    """A group or a ticket field."""

    id: Id
    name: Loose[str] = None
    title: Loose[str] = None


class ListResponse(Payload):
    """A page of groups or ticket fields."""

    entries: LooseTuple[Listed] = Field(validation_alias=AliasChoices("groups", "ticket_fields"))
    has_more: Loose[bool] = Field(default=None, validation_alias=AliasPath("meta", "has_more"))
    cursor: Loose[str] = Field(default=None, validation_alias=AliasPath("meta", "after_cursor"))


class CommentsResponse(Payload):
    """A page of comments."""

    comments: LooseTuple[Comment]
    users: LooseTuple[User] = ()
    has_more: Loose[bool] = Field(default=None, validation_alias=AliasPath("meta", "has_more"))
    cursor: Loose[str] = Field(default=None, validation_alias=AliasPath("meta", "after_cursor"))


class _StoredField(Payload):
    id: Id
    value: JsonValue = None


class AuditEvent(Payload):
    """A change in an audit."""

    id: Loose[Id] = None
    type: Loose[str] = None
    public: Loose[bool] = None


class Audit(Payload):
    """The changes that an update made."""

    author_id: Loose[str] = None
    events: LooseTuple[AuditEvent] = ()


class UpdatedTicket(Payload):
    """The ticket after an update. A field that the response lacks shows nothing."""

    updated_at: Loose[str] = None
    tags: Loose[tuple[str, ...]] = None
    custom_fields: Loose[tuple[_StoredField, ...]] = None
    priority: Loose[str] = None
    status: Loose[str] = None
    group_id: Loose[str] = None
    assignee_id: Loose[str] = None


class UpdateResponse(Payload):
    """The response to an update."""

    ticket: Loose[UpdatedTicket] = None
    audit: Loose[Audit] = None


class ErrorDetail(Payload):
    """The details of an error."""

    description: Loose[str] = None


class Error(Payload):
    """The body of an error."""

    error: Loose[str] = None
    description: Loose[str] = None
    details: Loose[dict[str, Loose[tuple[ErrorDetail, ...]]]] = None


def parse_time(stamp: str) -> float | None:
    """Convert a time, as Zendesk writes it in headers and placeholders, to seconds since the epoch."""
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z", stamp, re.ASCII):
        return None
    try:
        return datetime.fromisoformat(stamp).timestamp()
    except ValueError:
        return None


_TRIGGER_NAMES = frozenset(Trigger.model_fields)
_HEAD = re.compile(
    rb"""\s*[{,]\s*"(?P<name>[a-z_]{1,20})"\s*:\s*(?:"(?P<text>[\w.: -]{0,40})"|(?P<number>\d{1,20}))\s*(?=[,}])"""
)


def parse_trigger_json(body: bytes) -> dict[str, JsonValue] | None:
    """Parse the payload of a trigger, whose placeholders may have been replaced by any text; return None for an event.

    Zendesk does not document whether it escapes them. An admin may have added a placeholder for customer text, which
    could break the JSON, or add a second `ticket_id`. What precedes such text is trusted. Without that, a payload is
    accepted only if it names one ticket.

    Raises:
        MalformedPayload: The payload may name the wrong ticket, or is not JSON and names none before it breaks.
    """
    head = _parse_head(body)
    try:
        data = parse_json(body)
    except MalformedPayload as error:
        if "ticket_id" in head:
            return head
        raise MalformedPayload(f"{error}, and does not begin as the documented template does") from None
    names = _TRIGGER_NAMES.intersection(data)
    if "ticket_id" not in head and "ticket_id" not in data and not (names and "id" in data):
        return None
    counts = _count_names(body)
    is_unique = all(counts[name] <= 1 for name in _TRIGGER_NAMES)
    if is_unique and ("ticket_id" in head or "id" not in data):
        return data
    if "ticket_id" in head:
        return head
    # Many published templates name the ticket `id`.
    if not is_unique or counts["id"] > 1 or "ticket_id" in data:
        raise MalformedPayload(
            "the payload names several tickets; begin it with ticket_id, as the documented template does"
        )
    return {**data, "ticket_id": data["id"]}


def read_notification(body: bytes) -> Notification | None:
    """Read the event in a body from which an event was built, or return None for the payload of a trigger.

    Args:
        body: The body.
    """
    if parse_trigger_json(body) is not None:
        return None
    data = parse_json(body)
    return NOTIFICATIONS[str(data["type"]).removeprefix(PREFIX)].parse_data(data)


def _parse_head(body: bytes) -> dict[str, JsonValue]:
    """Return the values of the documented names with which a payload begins. No customer can write those values."""
    head: dict[str, JsonValue] = {}
    at = 0
    while (match := _HEAD.match(body, at)) and match["name"].decode() in _TRIGGER_NAMES:
        value = match["number"] if match["text"] is None else match["text"]
        head.setdefault(match["name"].decode(), value.decode("ascii", "replace"))
        at = match.end()
    return head if str(head.get("ticket_id", "0")).isdecimal() else {}


def _count_names(body: bytes) -> Counter[str]:
    """Count the names of all objects in a valid JSON document."""
    counts: Counter[str] = Counter()

    def count(pairs: list[tuple[str, Any]]) -> None:
        counts.update(name for name, _ in pairs)

    json.loads(body, object_pairs_hook=count)
    return counts
