"""The JSON that Front sends: events, conversations, messages, tags and errors."""

import re
from datetime import datetime, timedelta
from typing import Annotated, Generic, Literal, TypeAlias, TypeVar, cast

from pydantic import AliasChoices, AliasPath, AwareDatetime, BeforeValidator, Field, JsonValue, StrictStr

from triage.models import Customer, Id
from triage.text import (
    Plain,
    clean,
    describe_automatic,
    from_html,
    is_blank,
    looks_like_html,
)
from triage.vendors.base import Kind
from triage.vendors.payload import Loose, LooseTuple, Payload, sort_key

Source: TypeAlias = Literal["application", "rule"]


T = TypeVar("T", bound=Payload)
FIRST_WITHIN = timedelta(seconds=60)  # a later message is not the first one of its conversation
_PAGE_TOKEN = re.compile(r"[?&]page_token=([\w.~-]{1,500})(?=[&#]|$)", re.ASCII)
ID = r"[a-z0-9]{1,40}"


def _to_list(value: object) -> object:
    """Put an object into a list, because Front's own samples show either of them in the same place."""
    return cast("list[object]", [value]) if isinstance(value, dict) else value


def _get_first(value: object) -> object:
    """Return the first element of a list. Anything else is returned unchanged."""
    return next(iter(cast("list[object]", value)), None) if isinstance(value, list) else value


def _require_list(value: object) -> list[object]:
    """Reject a response whose list is not one. Otherwise it would count as an empty list."""
    if not isinstance(value, list):
        raise ValueError("not a list")  # noqa: TRY004 - pydantic expects a ValueError
    return cast("list[object]", value)


Several = Annotated[LooseTuple[T], BeforeValidator(_to_list)]
"""A list, or its only element."""


class _Person(Payload):
    id: Loose[str] = None
    type: str = "user"

    @property
    def is_human(self) -> bool:
        """False for rules, macros, API clients, and other bots.

        Source: https://dev.frontapp.com/reference/teammates
        """
        return self.type in ("user", "visitor")


class Recipient(Payload):
    """A sender or recipient of a message."""

    name: Loose[str] = None
    handle: Loose[str] = None
    role: Loose[str] = None
    contact_url: Loose[str] = Field(default=None, validation_alias=AliasPath("_links", "related", "contact"))

    @property
    def contact_id(self) -> str | None:
        """The contact's id, from its link."""
        match = re.search(rf"/contacts/(crd_{ID})$", self.contact_url or "")
        return match[1] if match else None

    def as_customer(self) -> Customer:
        """Return the customer. The handle is not the id, because it is an address, and ids appear in logs."""
        return Customer(id=self.contact_id, name=self.name, email=self.handle)

    @property
    def address(self) -> str:
        """The address, in lower case."""
        return (self.handle or "").strip().casefold()


class _File(Payload):
    filename: Loose[str] = None


class FrontMessage(Payload):
    """A message."""

    id: Loose[Id] = None
    uid: Loose[Id] = Field(default=None, validation_alias="message_uid")
    type: Loose[str] = None
    is_inbound: Loose[bool] = None
    is_draft: Loose[bool] = None
    draft_mode: Loose[str] = None
    created_at: Loose[AwareDatetime] = None
    subject: Loose[str] = None
    text: str | None = None
    body: str | None = None
    blurb: Loose[str] = None
    author: Loose[_Person] = None
    recipients: Several[Recipient] = ()
    attachments: Several[_File] = ()
    # Only partner channels pass headers on: https://dev.frontapp.com/reference/messages
    headers: Loose[dict[str, JsonValue]] = Field(default=None, validation_alias=AliasPath("metadata", "headers"))

    @property
    def is_preview(self) -> bool:
        """True if the webhook shows only a part of the message."""
        return self.text is None and self.body is None

    @property
    def is_blank(self) -> bool:
        """True if there is certainly nothing to read. Otherwise there may still be HTML without words."""
        words = (self.subject, self.text, self.body, self.blurb)
        return not self.attachments and all(map(is_blank, words))

    @property
    def sender(self) -> Recipient | None:
        """The customer who wrote this inbound message. The sender of a contact form names the customer in Reply-To."""
        by_role = {recipient.role: recipient for recipient in reversed(self.recipients)}
        sender, reply_to = by_role.get("from"), by_role.get("reply-to")
        ours = {recipient.address for recipient in self.recipients if recipient.role in ("to", "cc", "bcc")}
        if reply_to is None or reply_to.address in ("", *ours):
            return sender
        if sender is None or sender.address != reply_to.address:
            return reply_to
        return sender.model_copy(update={"name": sender.name or reply_to.name})

    @property
    def is_automatic(self) -> bool:
        """True if the headers say that a machine sent the message."""
        headers = {name: str(value) for name, value in (self.headers or {}).items()}
        return describe_automatic(headers=headers) is not None


class FrontTag(Payload):
    """A tag."""

    id: Id
    name: str = ""
    is_private: Loose[bool] = None
    owner_url: Loose[str] = Field(default=None, validation_alias=AliasPath("_links", "related", "owner"))

    @property
    def workspace(self) -> str | None:
        """The id of the workspace that owns the tag, or None for a tag of the company."""
        return find_workspace(self.owner_url)

    @property
    def is_personal(self) -> bool:
        """True if the tag belongs to a teammate."""
        return bool(self.is_private) or "/teammates/" in (self.owner_url or "")


class Named(Payload):
    """The company, a teammate, an inbox or a custom field."""

    id: Id
    name: Loose[str] = None
    is_blocked: Loose[bool] = None


class Inbox(Payload):
    """An inbox."""

    id: Loose[str] = None
    owner_url: Loose[str] = Field(default=None, validation_alias=AliasPath("_links", "related", "owner"))


class Item(Payload):
    """A conversation, in an event and in an API response."""

    id: Id
    subject: Loose[str] = None
    status: Loose[str] = None
    status_category: Loose[str] = None
    assignee: Loose[_Person] = None
    recipient: Loose[Recipient] = None
    tags: Several[FrontTag] = ()
    created_at: Loose[AwareDatetime] = None

    @property
    def is_closed(self) -> bool:
        """True if the conversation is archived, deleted or resolved."""
        return self.status in ("archived", "deleted") or self.status_category == "resolved"

    def find_kind(self, message: FrontMessage) -> Kind:
        """Return `"replied"` if `message` came too late to be the conversation's first one."""
        if self.created_at is None or message.created_at is None:
            return "created"
        return "replied" if message.created_at - self.created_at > FIRST_WITHIN else "created"


class Fields(Payload):
    """Strict: PATCH replaces all custom fields, so any that were not parsed would be erased."""

    custom_fields: dict[str, JsonValue]


class _Reference(Payload):
    id: Loose[str] = None


class _EventTarget(Payload):
    data: Annotated[FrontMessage | None, BeforeValidator(_get_first)] = None


class InboundEvent(Payload):
    """The body of a rule's webhook, or the payload of an application's webhook."""

    id: Id
    conversation: Item
    sources: Several[Inbox] = Field(default=(), validation_alias=AliasPath("source", "data"))
    target: _EventTarget | None = None

    @property
    def message(self) -> FrontMessage:
        """The message. Without the data of a message, it is a preview that shows nothing of it."""
        return (self.target and self.target.data) or FrontMessage()

    @property
    def is_shown(self) -> bool:
        """True if the event contains the message, and not only a preview, of which `fetch` reads the rest."""
        return self.message.id is not None and not self.message.is_preview

    @property
    def inboxes(self) -> list[str]:
        """The ids of the inboxes in which the conversation is."""
        return [source.id for source in self.sources if source.id and is_id("inb", source.id)]


class Envelope(Payload):
    """What the webhooks of applications and rules have in common."""

    type: Loose[StrictStr] = None
    authorization: _Reference | None = None

    @property
    def company_id(self) -> str | None:
        """The company, which only an application's webhook names."""
        return self.authorization.id if self.authorization else None


class Notification(Payload):
    """The webhook of an application with the event of a customer's message."""

    payload: InboundEvent


class Failure(Payload):
    """The webhook of an application or a rule with the event of a message that could not be delivered."""

    error: Loose[str] = Field(
        default=None,
        validation_alias=AliasChoices(
            AliasPath("payload", "target", "data", "error_type"), AliasPath("target", "data", "error_type")
        ),
    )


class HistoryEvent(Payload):
    """An event in the history of a conversation."""

    type: Loose[str] = None
    at: Loose[AwareDatetime] = Field(default=None, validation_alias="emitted_at")


class Page(Payload, Generic[T]):
    """A page of a list."""

    results: Annotated[LooseTuple[T], BeforeValidator(_require_list)] = Field(alias="_results")
    next_url: Loose[str] = Field(default=None, validation_alias=AliasPath("_pagination", "next"))

    @property
    def next_token(self) -> str | None:
        """The token of the next page. The URL itself is never called, so that the API token cannot leak."""
        match = _PAGE_TOKEN.search(self.next_url or "")
        return match[1] if match else None


class Comment(Payload):
    """A comment."""

    id: Id
    body: Loose[str] = None
    author_id: Loose[str] = Field(default=None, validation_alias=AliasPath("author", "id"))


class Accepted(Payload):
    """The response to a reply (`message_uid`) or a comment (`id`)."""

    id: Loose[Id] = None
    uid: Loose[Id] = Field(default=None, validation_alias="message_uid")


class Error(Payload):
    """The body of an error."""

    title: Loose[str] = Field(default=None, validation_alias=AliasPath("_error", "title"))
    message: Loose[str] = Field(default=None, validation_alias=AliasPath("_error", "message"))


def is_id(kind: str, text: str) -> bool:
    """Return whether a text is an id of this kind, such as `cnv` or `tea`."""
    return re.fullmatch(rf"{kind}_{ID}", text) is not None


def find_workspace(url: str | None) -> str | None:
    """Return the workspace in the link of a resource, or None if the company owns it."""
    match = re.search(rf"/teams/(tim_{ID})$", url or "")
    return match[1] if match else None


def is_from_customer(message: FrontMessage) -> bool:
    """Return whether a customer wrote a message. The author of a chat may be a `visitor`, not a teammate."""
    if message.author is None or message.author.type == "visitor":
        return message.is_inbound is not False
    return False


def read_text(message: FrontMessage) -> Plain:
    """Return the text of a message. Unlike Front's plain text, the HTML marks quotations."""
    body = message.body or ""
    plain = from_html(body) if looks_like_html(body) else Plain(clean(body), 0)
    return Plain(plain.text or clean(message.text or "") or clean(message.blurb or ""), plain.images)


def get_position(message: FrontMessage) -> tuple[datetime, int, str]:
    """Return the key by which messages are sorted."""
    return sort_key(message.created_at, message.id or "")
