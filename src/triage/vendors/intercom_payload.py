"""Intercom's JSON: conversations, tickets and their parts, and the text in them.

The shapes are those of API versions 2.0 to 2.16, with the first message of version 1.x. Notifications do not name their
version.
"""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from pydantic import AliasChoices, AliasPath, Field, StrictStr

from triage.models import Customer
from triage.text import Plain, clean, describe_automatic, from_html, is_blank, looks_like_html
from triage.vendors.base import Id, Kind
from triage.vendors.payload import Loose, LooseTuple, Payload

TICKET = "ticket:"
"""Begins the id of a conversation that is a ticket, because tickets have another API."""

OUTBOUND = frozenset({"operator_initiated", "automated", "campaigns_initiated"})
"""An outbound message carries a teammate's name, although no teammate has taken over the conversation."""

_CUSTOMERS = ("user", "lead", "contact", "visitor")
# Intercom's bots use such an address even where they write as an admin:
# https://developers.intercom.com/docs/references/rest-api/api.intercom.io/conversations/updateconversation
_OPERATOR = re.compile(r"operator(\+[^@]*)?@intercom(-mail)?\.(io|com)", re.IGNORECASE)
# States in which Fin no longer handles the conversation. Since 2.15, the last three replace the first two:
# https://developers.intercom.com/docs/references/2.15/changelog
_HANDED_OVER = frozenset({"routed_to_team", "abandoned", "escalated", "negative_feedback", "procedure_handoff"})

# Parts that a customer causes without writing: ratings, changed attributes, service levels, participants.
_NOTICE = re.compile(
    r"rating|attribute|_sla_|state_(updated|change)|participant|language_detection|custom_action|company_updated"
    r"|tags_updated|priority|title_updated|merged_|_event$"
)
_CALL = re.compile(r"call_summary|transcri|voicemail")  # parts in which a bot summarizes a call with the customer
_DELETED = re.compile(r"\s*(?:this message was deleted|<p>this message was deleted</p>)\s*", re.IGNORECASE)
# https://developers.intercom.com/docs/build-an-integration/learn-more/rest-apis/unversioned-changes
_WITHHELD = re.compile(r"\s*(<p>)?we.{1,6}ve removed this part of the conversation to comply with", re.IGNORECASE)
# The plain text shows a bare URL as a link whose label is the URL itself.
_BARE_LINK = re.compile(r"(?<![^\s(<])((?:https?://|www\.)[^\s()]++) \((?:https?://|mailto:)?\1/?\)", re.IGNORECASE)


class Author(Payload):
    """The author of a part, with the marks of bots."""

    type: Loose[str] = None
    id: Loose[str] = None
    name: Loose[str] = None
    email: Loose[str] = None
    from_ai_agent: Loose[bool] = None
    is_ai_answer: Loose[bool] = None

    @property
    def is_customer(self) -> bool:
        """True for customers, whether they are known or not."""
        return self.type in _CUSTOMERS

    @property
    def is_machine(self) -> bool:
        """True for Operator, Fin and other bots, which may write as an admin."""
        if self.is_customer:
            return False
        is_marked = bool(self.from_ai_agent or self.is_ai_answer)
        is_operator = bool(_OPERATOR.fullmatch(self.email or "")) or (self.name or "").casefold() == "operator"
        return is_marked or is_operator or self.type in ("bot", "team")


class Attachment(Payload):
    """A file."""

    name: Loose[str] = None


class Address(Payload):
    """An address of an email: `type` and `email_address` in its headers, `email` in `reply_to`."""

    type: Loose[str] = None
    address: Loose[str] = Field(default=None, validation_alias=AliasChoices("email_address", "email"))
    name: Loose[str] = None


class Email(Payload):
    """What Intercom passes on of an email's headers."""

    subject: Loose[str] = None
    addresses: LooseTuple[Address] = Field(default=(), validation_alias="email_address_headers")
    history: Loose[str] = None
    """The quoted or forwarded email, which Intercom cuts off the body since version 2.16."""


class Spoken(Payload):
    """An entry of a call's transcript."""

    text: Loose[str] = Field(
        default=None, validation_alias=AliasChoices("text", "body", "content", "transcript", "message")
    )


class Reference(Payload):
    """A reference to a teammate, a bot or a contact."""

    type: Loose[str] = None
    id: Loose[str] = None


class Part(Payload):
    """A message, a note or an event of a conversation or a ticket."""

    id: Loose[Id] = None
    type: Loose[str] = None
    part_type: Loose[str] = None
    delivered_as: Loose[str] = None
    subject: Loose[str] = None
    body: str | None = None
    author: Loose[Author] = None
    assigned_to: Loose[Reference] = None
    created_at: Loose[datetime] = None
    attachments: LooseTuple[Attachment] = ()
    redacted: Loose[bool] = None
    reply_to: LooseTuple[Address] = ()
    email: Loose[Email] = Field(default=None, validation_alias="email_message_metadata")
    transcript: Loose[str | tuple[Spoken, ...]] = Field(
        default=None,
        validation_alias=AliasChoices(
            "transcript", "transcription", "call_transcript", "voicemail_transcript", "voicemail_transcription"
        ),
    )

    @property
    def writer(self) -> Author:
        """The author; without any value if Intercom names none."""
        return self.author or Author()

    @property
    def kind(self) -> str:
        """The type of the part, such as `comment`."""
        return self.part_type or ""

    @property
    def is_note(self) -> bool:
        """True for `note`, `note_and_reopen` and the like."""
        return self.kind.startswith("note")

    @property
    def is_call(self) -> bool:
        """True for the text of a phone call, which a bot adds to it."""
        return _CALL.search(self.kind) is not None

    @property
    def is_notice(self) -> bool:
        """True for a change that nobody wrote, and for an event without text, such as `open`."""
        is_empty = not (self.body or self.attachments or self.transcript)
        return _NOTICE.search(self.kind) is not None or (is_empty and self.kind not in ("", "comment", "quick_reply"))

    @property
    def is_redacted(self) -> bool:
        """True if somebody deleted the text."""
        return bool(self.redacted) or _DELETED.fullmatch(self.body or "") is not None

    @property
    def is_blank(self) -> bool:
        """True if there is certainly nothing to read. Otherwise there may still be HTML without words."""
        return self.is_redacted or not (
            self.subject or not is_blank(self.body) or self.attachments or self.transcript or self.email
        )

    @property
    def is_withheld(self) -> bool:
        """True if Intercom may not pass on the text, as with posts on X."""
        return _WITHHELD.match(self.body or "") is not None

    @property
    def speech(self) -> str:
        """The text of a call."""
        if isinstance(self.transcript, str):
            return self.transcript
        return "\n".join(spoken.text for spoken in self.transcript or () if spoken.text)

    @property
    def sender(self) -> Customer:
        """The customer who wrote it. Prefer the address to which an answer goes."""
        writer = self.writer
        headers = self.email.addresses if self.email else ()
        replies = [*self.reply_to, *(one for one in headers if (one.type or "").replace("-", "_") == "reply_to")]
        reply_to = next((one for one in replies if one.address), None)
        if reply_to is None:
            return Customer(id=writer.id, name=writer.name, email=writer.email)
        return Customer(id=writer.id, name=reply_to.name or writer.name, email=reply_to.address)


class Name(Payload):
    """An entry of which only the name matters."""

    name: str


class Statistics(Payload):
    """The statistics of a conversation."""

    last_close_at: Loose[datetime] = None


class AiAgent(Payload):
    """The state of Fin in a conversation."""

    resolution_state: Loose[str] = None


class Item(Payload):
    """A conversation, in the shapes of API versions 2.0 to 2.16."""

    id: Id
    created_at: Loose[datetime] = None
    updated_at: Loose[str] = None
    source: Part | None = None
    old_source: Loose[Part] = Field(default=None, validation_alias="conversation_message")
    """The first message in API version 1.x."""
    parts: LooseTuple[Part] = Field(default=(), validation_alias=AliasPath("conversation_parts", "conversation_parts"))
    raw_parts: Loose[list[Any]] = Field(
        default=None, validation_alias=AliasPath("conversation_parts", "conversation_parts")
    )
    admin_assignee_id: Loose[str] = None
    team_assignee_id: Loose[str] = None
    open: Loose[bool] = None
    state: Loose[str] = None
    statistics: Loose[Statistics] = None
    tags: LooseTuple[Name] = Field(default=(), validation_alias=AliasPath("tags", "tags"))
    channel: Loose[str] = Field(default=None, validation_alias=AliasPath("channel", "initial"))
    ai_agent: Loose[AiAgent] = None
    ai_agent_participated: Loose[bool] = None

    @property
    def first(self) -> Part | None:
        """The first message."""
        return self.source or self.old_source

    @property
    def is_closed(self) -> bool:
        """True if the conversation is closed now."""
        return self.state == "closed" or self.open is False

    @property
    def is_with_ai_agent(self) -> bool:
        """True if Fin takes part in the conversation and has not handed it over."""
        state = self.ai_agent.resolution_state if self.ai_agent else None
        return bool(self.ai_agent_participated) and state not in _HANDED_OVER

    @property
    def has_been_handed_over(self) -> bool:
        """True if Fin took part in the conversation and has handed it over."""
        return bool(self.ai_agent_participated) and not self.is_with_ai_agent

    @property
    def closed_at(self) -> datetime | None:
        """When the conversation was last closed."""
        closed = self.statistics.last_close_at if self.statistics else None
        times = [part.created_at for part in self.parts if "close" in part.kind and part.created_at]
        return closed or max(times, default=None)


class State(Payload):
    """The state of a ticket."""

    category: Loose[str] = None


class Ticket(Payload):
    """A ticket.

    Source: https://developers.intercom.com/docs/references/rest-api/api.intercom.io/tickets/ticket
    """

    id: Id
    category: Loose[str] = None
    kind: Loose[str] = Field(default=None, validation_alias=AliasPath("ticket_type", "category"))
    title: Loose[str] = Field(default=None, validation_alias=AliasPath("ticket_attributes", "_default_title_"))
    description: Loose[str] = Field(
        default=None, validation_alias=AliasPath("ticket_attributes", "_default_description_")
    )
    contacts: LooseTuple[Reference] = Field(default=(), validation_alias=AliasPath("contacts", "contacts"))
    created_at: Loose[datetime] = None
    updated_at: Loose[str] = None
    admin_assignee_id: Loose[str] = None
    team_assignee_id: Loose[str] = None
    open: Loose[bool] = None
    state: Loose[State] = Field(default=None, validation_alias="ticket_state")
    parts: LooseTuple[Part] = Field(default=(), validation_alias=AliasPath("ticket_parts", "ticket_parts"))

    @property
    def is_internal(self) -> bool:
        """True if customers do not see the ticket."""
        return (self.category or self.kind or "Customer") != "Customer"

    def as_conversation(self, *new: Part) -> Item:
        """Return the ticket as a conversation whose first message is the description.

        Args:
            new: A part that the ticket does not contain yet.
        """
        contact = next((contact.id for contact in self.contacts), None)
        source = Part(
            id=self.id,
            type="ticket",
            subject=self.title,
            body=self.description,
            author=Author(type="user", id=contact),
            created_at=self.created_at,
        )
        is_resolved = self.state is not None and self.state.category == "resolved"
        return Item.model_construct(
            id=f"{TICKET}{self.id}",
            created_at=self.created_at,
            updated_at=self.updated_at,
            source=source if self.title or self.description else None,
            parts=(*self.parts, *new),
            admin_assignee_id=self.admin_assignee_id,
            team_assignee_id=self.team_assignee_id,
            open=False if is_resolved else self.open,
        )


class News(NamedTuple):
    """What a notification is about."""

    account: str
    """The workspace."""
    item: Item
    """The conversation, as far as the notification contains it."""
    parts: Sequence[Part]
    """The parts that may have caused it."""
    is_internal: bool = False
    """True for a ticket that customers do not see."""

    @property
    def names(self) -> frozenset[str]:
        """The ids of the parts."""
        return frozenset(get_name(part, self.item) for part in self.parts)


class ConversationData(Payload):
    """The data of a notification about a conversation."""

    item: Item


class Notification(Payload):
    """A notification about a conversation."""

    app_id: Id
    data: ConversationData

    def find_news(self, kind: Kind) -> News:
        """Return what it is about.

        Args:
            kind: Whether the topic is about the first message.
        """
        return _find_news(self.app_id, self.data.item, kind)


class Envelope(Payload):
    """What every notification has, and the conversation if it is about one, so that one pass suffices."""

    topic: Loose[StrictStr] = None
    id: Loose[str] = None
    app_id: Loose[Id] = None
    data: Loose[ConversationData] = None

    def find_news(self, kind: Kind) -> News | None:
        """Return what it is about; None if it is not about a conversation, or if `Notification` rejects it.

        Args:
            kind: Whether the topic is about the first message.
        """
        return _find_news(self.app_id, self.data.item, kind) if self.app_id and self.data else None


def _find_news(account: str, item: Item, kind: Kind) -> News:
    first = item.first
    # The first message is the source, and later ones are parts. In the notification of a reply, the source is old.
    new = item.parts if kind == "replied" or first is None else (first, *item.parts)
    return News(account, item, new)


class TicketItem(Payload):
    """A ticket with the part that caused the notification, as `ticket.contact.replied` contains it."""

    ticket: Ticket
    part: Part | None = Field(default=None, validation_alias="ticket_part")


class TicketData(Payload):
    """The data of a notification about a ticket."""

    item: TicketItem | Ticket = Field(union_mode="left_to_right")


class TicketNotification(Payload):
    """A notification about a ticket."""

    app_id: Id
    data: TicketData

    def find_news(self, kind: Kind) -> News:
        """Return what it is about.

        Args:
            kind: Whether the topic is about the first message. The ticket itself says which part is new.
        """
        found = self.data.item
        ticket, part = (found.ticket, found.part) if isinstance(found, TicketItem) else (found, None)
        item = ticket.as_conversation(*([part] if part else []))
        new = item.parts if item.source is None else (item.source, *item.parts)
        return News(self.app_id, item, [part] if part else new, ticket.is_internal)


class Written(Part):
    """The response to a reply: a conversation with the new part, or the new part of a ticket."""

    parts: LooseTuple[Part] = Field(default=(), validation_alias=AliasPath("conversation_parts", "conversation_parts"))


class Changed(Payload):
    """The response to a change: the conversation or ticket as it is now."""

    admin_assignee_id: Loose[str] = None
    team_assignee_id: Loose[str] = None
    fields: Loose[dict[str, Any]] = Field(
        default=None, validation_alias=AliasChoices("custom_attributes", "ticket_attributes")
    )


class TagId(Payload):
    """A tag."""

    id: str


class Me(Payload):
    """The response to `GET /me`."""

    workspace: Loose[str] = Field(default=None, validation_alias=AliasPath("app", "id_code"))
    region: Loose[str] = Field(default=None, validation_alias=AliasPath("app", "region"))


class Named(Payload):
    """A team, a teammate or an attribute, in a list."""

    id: Loose[str] = None
    name: Loose[str] = None


class Teams(Payload):
    """The response to `GET /teams`."""

    teams: LooseTuple[Named] = ()


class Teammates(Payload):
    """The response to `GET /admins`, with names."""

    admins: LooseTuple[Named] = ()


class Attributes(Payload):
    """The response to `GET /data_attributes`."""

    data: LooseTuple[Named] = ()


class Admins(Payload):
    """The response to `GET /admins`."""

    admins: LooseTuple[Author] = ()


class Error(Payload):
    """An entry of an error response."""

    code: Loose[str] = None
    message: Loose[str] = None


class Errors(Payload):
    """An error response."""

    request_id: Loose[str] = None
    errors: Loose[list[Error]] = None


def get_name(part: Part, item: Item) -> str:
    """Return the id of a part, or a substitute that is the same in every delivery."""
    if part.id or part is item.first:
        return part.id or item.id
    return f"{item.id}.{int(part.created_at.timestamp()) if part.created_at else 0}"


# Text


def to_plain(text: str, *, is_plain: bool) -> Plain:
    """Return the plain text of a body or subject.

    Args:
        text: HTML or plain text.
        is_plain: True if it is plain text. Notifications do not say whether they contain HTML.
    """
    plain = from_html(text) if not is_plain and looks_like_html(text) else Plain(clean(text), 0)
    return Plain(_BARE_LINK.sub(r"\1", plain.text), plain.images)


def read_text(part: Part, *, is_plain: bool, is_first: bool) -> Plain:
    """Return the text of a part: its body, the transcript of a call, and a forwarded email.

    Args:
        part: The part.
        is_plain: True if its body is plain text.
        is_first: True if it began the conversation, so that an email below it is content rather than history.
    """
    if part.is_redacted or part.is_withheld:
        return Plain("", 0)
    text, images = to_plain(part.body or "", is_plain=is_plain)
    history = part.email.history if is_first and part.email else None
    more = [part.speech, from_html(history).text if history else ""]
    return Plain("\n\n".join([text, *(one for one in more if one and one not in text)]).strip(), images)


def is_automatic(part: Part) -> bool:
    """Return whether a machine sent the email that a part contains. Other people may write in a conversation, too."""
    sender, subject = part.sender, part.email.subject if part.email else None
    return describe_automatic(address=sender.email, name=sender.name, subject=subject or "") is not None


def list_files(part: Part) -> list[str]:
    """Return the names of a part's attachments, and a placeholder for text that is missing."""
    if part.is_redacted:
        return []
    if part.is_withheld:
        return ["withheld text"]
    files = [file.name or "file" for file in part.attachments]
    is_silent_call = (part.type or "").startswith("phone") and not (part.body or part.speech)
    return [*files, "phone call"] if is_silent_call else files
