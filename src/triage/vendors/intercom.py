"""Intercom: https://developers.intercom.com/docs/webhooks and /docs/references/rest-api."""

import logging
import re
from collections.abc import Awaitable, Callable, Collection, Container, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import AliasChoices, AliasPath, Field, JsonValue, PrivateAttr

from triage.actions import Action, Assign, Close, MarkSpam, Note, Reply, SetFields, SetPriority, Snooze, Tag
from triage.errors import ConversationIgnored, InvalidSignature, MalformedPayload, VendorError
from triage.models import (
    Conversation,
    Customer,
    Delivery,
    Event,
    Handshake,
    Ignored,
    Parsed,
    Performed,
    Request,
    Response,
    Step,
)
from triage.text import Plain, clean, describe_automatic, from_html, to_html
from triage.vendors.base import ErrorFacts, HelpDesk, Id, Kind, Role, Send
from triage.vendors.payload import Loose, LooseTuple, Payload, parse_json, safe_word
from triage.vendors.responses import parse_response
from triage.vendors.settings import ListOf, Number, Secret, SigningSecret
from triage.vendors.signing import decode_hex

logger = logging.getLogger(__name__)

Topic: TypeAlias = Literal[
    "conversation.user.created", "conversation.user.replied", "ticket.created", "ticket.contact.replied"
]

_URLS = {"us": "https://api.intercom.io", "eu": "https://api.eu.intercom.io", "au": "https://api.au.intercom.io"}
_KINDS: Mapping[str, Kind] = {
    "conversation.user.created": "created",
    "conversation.user.replied": "replied",
    "ticket.created": "created",
    "ticket.contact.replied": "replied",
}
# Fin hands a conversation over with a message, by assigning it, or with both.
_HANDOVERS = frozenset(
    {"conversation.operator.replied", "conversation.admin.assigned", "conversation.admin.open.assigned"}
)
_TICKET = "ticket:"  # begins the id of a conversation that is a ticket, because tickets have another API
_CUSTOMERS = ("user", "lead", "contact", "visitor")
# An outbound message carries a teammate's name, although no teammate has taken over the conversation.
_OUTBOUND = frozenset({"operator_initiated", "automated", "campaigns_initiated"})
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
_CALL = re.compile(r"call_summary|transcri|voicemail")  # parts in which a bot writes down what the customer said
_DELETED = "this message was deleted"
# https://developers.intercom.com/docs/build-an-integration/learn-more/rest-apis/unversioned-changes
_WITHHELD = re.compile(r"\s*(<p>)?we.{1,6}ve removed this part of the conversation to comply with", re.IGNORECASE)
# The plain text shows a bare URL as a link whose label is the URL itself.
_BARE_LINK = re.compile(r"(?<![^\s(<])((?:https?://|www\.)[^\s()]++) \((?:https?://|mailto:)?\1/?\)", re.IGNORECASE)
# Plain text may contain "<", but it rarely begins with a tag or closes one.
_TAGS = (
    "p|div|span|br|a|b|i|u|em|strong|h[1-6]|ul|ol|li|table|tbody|tr|td|img|blockquote|pre|code|center|font|hr|style"
    "|section|html|head|body|meta|video"
)
_MARKUP = re.compile(rf"\A\s*+<(!doctype|(?:{_TAGS})[\s/>])|</(?:{_TAGS})>|<br\s*/?>|<img\s", re.IGNORECASE)


class _Author(Payload):
    type: Loose[str] = None
    id: Loose[str] = None
    name: Loose[str] = None
    email: Loose[str] = None
    from_ai_agent: Loose[bool] = None
    is_ai_answer: Loose[bool] = None

    @property
    def is_customer(self) -> bool:
        return self.type in _CUSTOMERS

    @property
    def is_machine(self) -> bool:
        """True for Operator, Fin and other bots, which may write as an admin."""
        if self.is_customer:
            return False
        is_marked = bool(self.from_ai_agent or self.is_ai_answer)
        is_operator = bool(_OPERATOR.fullmatch(self.email or "")) or (self.name or "").casefold() == "operator"
        return is_marked or is_operator or self.type in ("bot", "team")


class _Attachment(Payload):
    name: Loose[str] = None


class _Address(Payload):
    """An address of an email: `type` and `email_address` in its headers, `email` in `reply_to`."""

    type: Loose[str] = None
    address: Loose[str] = Field(default=None, validation_alias=AliasChoices("email_address", "email"))
    name: Loose[str] = None


class _Email(Payload):
    subject: Loose[str] = None
    addresses: LooseTuple[_Address] = Field(default=(), validation_alias="email_address_headers")
    history: Loose[str] = None
    """The quoted or forwarded email, which Intercom cuts off the body since version 2.16."""


class _Spoken(Payload):
    """An entry of a call's transcript."""

    text: Loose[str] = Field(
        default=None, validation_alias=AliasChoices("text", "body", "content", "transcript", "message")
    )


class _Reference(Payload):
    type: Loose[str] = None
    id: Loose[str] = None


class _Part(Payload):
    id: Loose[Id] = None
    type: Loose[str] = None
    part_type: Loose[str] = None
    delivered_as: Loose[str] = None
    subject: Loose[str] = None
    body: str | None = None
    author: Loose[_Author] = None
    assigned_to: Loose[_Reference] = None
    created_at: Loose[datetime] = None
    attachments: LooseTuple[_Attachment] = ()
    redacted: Loose[bool] = None
    reply_to: LooseTuple[_Address] = ()
    email: Loose[_Email] = Field(default=None, validation_alias="email_message_metadata")
    transcript: Loose[str | tuple[_Spoken, ...]] = Field(
        default=None,
        validation_alias=AliasChoices(
            "transcript", "transcription", "call_transcript", "voicemail_transcript", "voicemail_transcription"
        ),
    )

    @property
    def writer(self) -> _Author:
        return self.author or _Author()

    @property
    def kind(self) -> str:
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
        return bool(self.redacted) or (self.body or "").strip().casefold() in (_DELETED, f"<p>{_DELETED}</p>")

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
        headers = self.email.addresses if self.email else ()
        replies = [*self.reply_to, *(one for one in headers if (one.type or "").replace("-", "_") == "reply_to")]
        reply_to = next((one for one in replies if one.address), _Address())
        return Customer(
            id=self.writer.id,
            name=reply_to.name or self.writer.name,
            email=reply_to.address or self.writer.email,
        )


class _Name(Payload):
    name: str


class _Statistics(Payload):
    last_close_at: Loose[datetime] = None


class _AiAgent(Payload):
    resolution_state: Loose[str] = None


class _Item(Payload):
    """A conversation, in the shapes of API versions 2.0 to 2.16."""

    id: Id
    created_at: Loose[datetime] = None
    updated_at: Loose[str] = None
    source: _Part | None = None
    old_source: Loose[_Part] = Field(default=None, validation_alias="conversation_message")
    """The first message in API version 1.x."""
    parts: LooseTuple[_Part] = Field(default=(), validation_alias=AliasPath("conversation_parts", "conversation_parts"))
    raw_parts: Loose[list[Any]] = Field(
        default=None, validation_alias=AliasPath("conversation_parts", "conversation_parts")
    )
    admin_assignee_id: Loose[str] = None
    team_assignee_id: Loose[str] = None
    open: Loose[bool] = None
    state: Loose[str] = None
    statistics: Loose[_Statistics] = None
    tags: LooseTuple[_Name] = Field(default=(), validation_alias=AliasPath("tags", "tags"))
    channel: Loose[str] = Field(default=None, validation_alias=AliasPath("channel", "initial"))
    ai_agent: Loose[_AiAgent] = None
    ai_agent_participated: Loose[bool] = None

    @property
    def first(self) -> _Part | None:
        return self.source or self.old_source

    @property
    def is_closed(self) -> bool:
        return self.state == "closed" or self.open is False

    @property
    def is_with_ai_agent(self) -> bool:
        """True if Fin takes part in the conversation and has not handed it over."""
        state = self.ai_agent.resolution_state if self.ai_agent else None
        return bool(self.ai_agent_participated) and state not in _HANDED_OVER

    @property
    def has_been_handed_over(self) -> bool:
        return bool(self.ai_agent_participated) and not self.is_with_ai_agent

    @property
    def closed_at(self) -> datetime | None:
        closed = self.statistics.last_close_at if self.statistics else None
        times = [part.created_at for part in self.parts if "close" in part.kind and part.created_at]
        return closed or max(times, default=None)


class _State(Payload):
    category: Loose[str] = None


class _Ticket(Payload):
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
    contacts: LooseTuple[_Reference] = Field(default=(), validation_alias=AliasPath("contacts", "contacts"))
    created_at: Loose[datetime] = None
    updated_at: Loose[str] = None
    admin_assignee_id: Loose[str] = None
    team_assignee_id: Loose[str] = None
    open: Loose[bool] = None
    state: Loose[_State] = Field(default=None, validation_alias="ticket_state")
    parts: LooseTuple[_Part] = Field(default=(), validation_alias=AliasPath("ticket_parts", "ticket_parts"))

    @property
    def is_internal(self) -> bool:
        """True if customers do not see the ticket."""
        return (self.category or self.kind or "Customer") != "Customer"

    def as_conversation(self, *new: _Part) -> _Item:
        """Return the ticket as a conversation whose first message is the description.

        Args:
            new: A part that the ticket does not contain yet.
        """
        contact = next((contact.id for contact in self.contacts), None)
        source = _Part(
            id=self.id,
            type="ticket",
            subject=self.title,
            body=self.description,
            author=_Author(type="user", id=contact),
            created_at=self.created_at,
        )
        is_resolved = self.state is not None and self.state.category == "resolved"
        return _Item.model_construct(
            id=f"{_TICKET}{self.id}",
            created_at=self.created_at,
            updated_at=self.updated_at,
            source=source if self.title or self.description else None,
            parts=(*self.parts, *new),
            admin_assignee_id=self.admin_assignee_id,
            team_assignee_id=self.team_assignee_id,
            open=False if is_resolved else self.open,
        )


class _ConversationData(Payload):
    item: _Item


class _Notification(Payload):
    app_id: Id
    data: _ConversationData


class _TicketItem(Payload):
    """A ticket with the part that caused the notification, as `ticket.contact.replied` contains it."""

    ticket: _Ticket
    part: _Part | None = Field(default=None, validation_alias="ticket_part")


class _TicketData(Payload):
    item: _TicketItem | _Ticket = Field(union_mode="left_to_right")


class _TicketNotification(Payload):
    app_id: Id
    data: _TicketData


class _Written(_Part):
    """The response to a reply: a conversation with the new part, or the new part of a ticket."""

    parts: LooseTuple[_Part] = Field(default=(), validation_alias=AliasPath("conversation_parts", "conversation_parts"))


class _Changed(Payload):
    admin_assignee_id: Loose[str] = None
    team_assignee_id: Loose[str] = None
    fields: Loose[dict[str, Any]] = Field(
        default=None, validation_alias=AliasChoices("custom_attributes", "ticket_attributes")
    )


class _Tag(Payload):
    id: str


class _Me(Payload):
    workspace: Loose[str] = Field(default=None, validation_alias=AliasPath("app", "id_code"))


class _Admins(Payload):
    admins: LooseTuple[_Author] = ()


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
        admin_id: The id of the teammate that writes replies and notes. Use a dedicated teammate.
        region: Where the workspace is hosted.
        workspace_id: The id of the workspace, such as `abc123de`; deliveries of other workspaces are ignored. By
            default, the API is asked once to which workspace the access token belongs.
        api_version: The `Intercom-Version` of the REST calls. The version of the webhooks is chosen in the Developer
            Hub.
        topics: The webhook topics to act on. Add `conversation.user.replied` to triage every customer message instead
            of only the first one of a conversation. Also add it if a bot greets customers before they write. Add
            `ticket.created` and `ticket.contact.replied` to triage customer tickets.
        after_ai: True to leave a conversation alone as long as Fin handles it. When Fin hands it over, it is triaged,
            provided that the app subscribes to `conversation.admin.assigned` and `conversation.operator.replied`.
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
    # Not documented. The body of an email may contain its images as data URLs up to API version 2.14.
    default_max_body = 5 * 1024 * 1024

    client_secret: SigningSecret = Field(description="the client secret of your app")
    access_token: Secret = Field(description="the access token of your app")
    admin_id: Number = Field(description="the number of a teammate")
    region: Literal["us", "eu", "au"] = "us"
    workspace_id: (
        Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$", description="the id of your workspace, as in its URL")] | None
    ) = None
    api_version: str = "2.16"
    topics: ListOf[Topic] = Field(default=("conversation.user.created",), min_length=1, description="webhook topics")
    after_ai: bool = False

    # What the API or the deliveries have shown; never part of the settings.
    _token_workspace: str | None = PrivateAttr(default=None)
    _workspaces: set[str] = PrivateAttr(default_factory=set[str])
    _humans: set[str] = PrivateAttr(default_factory=set[str])
    _warnings: set[str] = PrivateAttr(default_factory=set[str])

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
            raise InvalidSignature("X-Hub-Signature is absent or was not made with the client secret")

    def parse(self, delivery: Delivery) -> Parsed:
        """Extract a customer's message from a notification."""
        data = parse_json(delivery.body)
        topic, event_id = data.get("topic"), data.get("id")
        if not isinstance(topic, str):
            raise MalformedPayload("topic: missing", event_id=safe_word(event_id) if event_id else None)
        if topic == "ping":
            return Handshake("ping")
        is_handover = self.after_ai and topic in _HANDOVERS
        # Allow only these topics. Otherwise, an app that subscribes to more topics would answer itself in a loop.
        if topic not in self.topics and not is_handover:
            return Ignored(f"topic {safe_word(topic)}")
        if topic.startswith("ticket."):
            return self._parse_ticket(_TicketNotification.parse_data(data, event_id=event_id), _KINDS[topic], data)
        notification = _Notification.parse_data(data, event_id=event_id)
        if reason := self._find_other_workspace(notification.app_id):
            return Ignored(reason)
        if is_handover:
            return self._parse_handover(notification, data)
        item = notification.data.item
        if item.source is None and item.old_source is not None:
            self._warn(
                "the app uses API version 1.x; choose a version from 2.11 to 2.16 for it in the Developer Hub, because "
                "the notifications of version 1.x lack most of a conversation's state"
            )
        kind = _KINDS[topic]
        # The first message is the source, and later ones are parts. In the notification of a reply, the source is old.
        new = item.parts if kind == "replied" or item.first is None else (item.first, *item.parts)
        return self._parse_message(notification.app_id, item, new, kind, data)

    def _parse_ticket(
        self, notification: _TicketNotification, kind: Kind, raw: dict[str, JsonValue]
    ) -> Event | Ignored:
        if reason := self._find_other_workspace(notification.app_id):
            return Ignored(reason)
        found = notification.data.item
        ticket, part = (found.ticket, found.part) if isinstance(found, _TicketItem) else (found, None)
        if ticket.is_internal:
            return Ignored("the ticket is internal")
        item = ticket.as_conversation(*([part] if part else []))
        new = item.parts if item.source is None else (item.source, *item.parts)
        return self._parse_message(notification.app_id, item, [part] if part else new, kind, raw)

    def _parse_message(
        self, account: str, item: _Item, new: Sequence[_Part], kind: Kind, raw: dict[str, JsonValue]
    ) -> Event | Ignored:
        """Build the event for the newest message of a customer.

        Args:
            account: The workspace.
            item: The conversation, as far as the notification contains it.
            new: The parts that may have caused the notification.
            kind: Whether the message began the conversation.
            raw: The whole payload.
        """
        names = {self._name(part, item) for part in new}
        conversation = self._translate(item, is_continued=kind == "replied", new=names)
        if not new and item.raw_parts:
            raise MalformedPayload("conversation_parts: no part can be parsed", event_id=item.id)
        if not new:
            # Identify the message by its time, and read it from the API.
            message_id = f"{item.id}.{safe_word(item.updated_at)}"
            return self.build_event(conversation, message_id, account=account, kind=kind, raw=raw)
        written = [message for message in conversation.messages if message.role == "customer" and message.id in names]
        if not written:
            return Ignored("not written by a customer")
        # Plain text does not show images, so look for them in the API's HTML.
        if conversation.is_empty and any(part.body or part.is_redacted for part in new):
            return Ignored("the message is empty")
        message = written[-1]
        return self.build_event(conversation, message.id, account=account, kind=kind, at=message.at, raw=raw)

    def _parse_handover(self, notification: _Notification, raw: dict[str, JsonValue]) -> Event | Ignored:
        """Build an event for a conversation that Fin hands over, whose messages were left alone before."""
        item = notification.data.item
        part = item.parts[-1] if item.parts else _Part()
        if not item.has_been_handed_over:
            return Ignored("the AI agent did not hand the conversation over")
        if part.writer.id == self.admin_id:
            return Ignored("we assigned the conversation")
        message_id = f"handover.{self._name(part, item)}"
        conversation = self._translate(item, is_continued=True)
        return self.build_event(conversation, message_id, account=notification.app_id, kind="replied", raw=raw)

    def _find_other_workspace(self, account: str) -> str:
        """Return why a delivery is ignored because it is about another workspace, or an empty string."""
        own = self.workspace_id or self._token_workspace
        if own:
            if account != own:
                self._warn(f"deliveries of workspace {account} are ignored, because {own} is the one to act on")
                return f"workspace {account}, not {own}"
            return ""
        self._workspaces.add(account)
        if len(self._workspaces) > 1:
            names = ", ".join(sorted(self._workspaces))
            self._warn(f"deliveries of several workspaces arrive: {names}; set workspace_id to the one to act on")
        return ""

    def _warn(self, message: str) -> None:
        """Log a warning once."""
        if message not in self._warnings:
            self._warnings.add(message)
            logger.warning("%s", message)

    # Conversations

    async def fetch(self, event: Event, send: Send) -> Conversation:
        """Read the event's conversation, and add its message if the API does not return it yet.

        Raises:
            ConversationIgnored: The conversation belongs to another workspace, or the AI agent still handles it.
            VendorError: The conversation could not be read.
        """
        own = self.workspace_id or await self._find_token_workspace(send)
        if own and event.account != own:
            raise ConversationIgnored(self._find_other_workspace(event.account))
        item = await self._load(event.conversation_id, send)
        if self.after_ai and item.is_with_ai_agent:
            raise ConversationIgnored("the AI agent still handles the conversation")
        conversation = await self._present(item, send)
        if self._contains(item, event):
            return conversation
        conversation = event.add_missing_message(conversation)
        if conversation.is_empty and not item.id.startswith(_TICKET):
            item = await self.get(_Item, _build_path(item.id), send)  # in HTML, which shows images
            conversation = await self._present(item, send, is_plain=False)
        return conversation

    async def _find_token_workspace(self, send: Send) -> str:
        """Ask the API once for the access token's workspace; return an empty string if it does not answer."""
        if self._token_workspace is None:
            try:
                me = await self.get(_Me, "/me", send)
            except VendorError as err:
                if not err.is_rejection:
                    raise
                me = _Me()
            if me.workspace is None:
                self._warn("the API does not say to which workspace the access token belongs; set workspace_id")
            self._token_workspace = me.workspace or ""
        return self._token_workspace

    def _contains(self, item: _Item, event: Event) -> bool:
        """Return whether a conversation contains an event's message under another id, or redacted."""
        for part in (item.first, *item.parts):
            if part is not None and part.is_redacted and self._name(part, item) == event.message_id:
                return True
        first, told = item.first, event.conversation.messages
        is_first = event.kind == "created" and bool(told) and told[0].id == event.message_id
        if first is None or not is_first:
            return False
        # A delivery may lack the id of the first message, or come from an old API version with other ids.
        return first.is_redacted or (first.writer.is_customer and bool(first.body or first.attachments))

    async def read(self, conversation_id: str, send: Send) -> Conversation:
        """Read a conversation in plain text with one call: the first message and up to 500 of the newest parts.

        A second call finds out whether an unknown assignee is a human.
        """
        return await self._present(await self._load(conversation_id, send), send)

    async def _load(self, conversation_id: str, send: Send) -> _Item:
        path = _build_path(conversation_id)
        if conversation_id.startswith(_TICKET):
            return (await self.get(_Ticket, path, send)).as_conversation()
        return await self.get(_Item, f"{path}?display_as=plaintext", send)

    async def _present(self, item: _Item, send: Send, *, is_plain: bool = True) -> Conversation:
        conversation = self._translate(item, is_plain=is_plain and not item.id.startswith(_TICKET))
        assignee = conversation.assignee
        is_known = assignee is None or any(
            message.role == "agent" and message.author == assignee for message in conversation.messages
        )
        if is_known or await self._is_human(assignee or "", send):
            return conversation
        return conversation.model_copy(update={"assignee": None})

    async def _is_human(self, admin_id: str, send: Send) -> bool:
        """Return whether an assignee is a teammate. Bots and former teammates are not.

        A conversation names only the assignee's id, and the bots of Intercom have ids of the same kind.
        """
        if admin_id not in self._humans:
            try:
                found = (await self.get(_Admins, "/admins", send)).admins
            except VendorError as err:
                if not err.is_rejection and err.status != 403:
                    raise
                return True
            self._humans.update(admin.id for admin in found if admin.id and not admin.is_machine)
            return admin_id in self._humans or not found
        return True

    def _translate(
        self,
        item: _Item,
        *,
        is_plain: bool = False,
        is_continued: bool = False,
        new: Container[str] = (),
    ) -> Conversation:
        """Translate a conversation.

        Args:
            item: The conversation.
            is_plain: True if the bodies are plain text. Otherwise they may be HTML or plain text.
            is_continued: True if only the newest messages are known.
            new: The ids of the parts that the topic of a delivery attributes to a customer.
        """
        # Assignments and the like are parts, too, and a customer's message may have the part_type "open". Look at the
        # content of a part rather than its type.
        first = item.first
        parts = [part for part in (first, *item.parts) if part is not None and not part.is_notice]
        written: list[tuple[_Part, Role]] = [
            (part, self._find_role(part, is_new=self._name(part, item) in new)) for part in parts
        ]
        senders = [part.sender for part, role in written if role == "customer" and not part.is_call]
        machines = {part.writer.id for part in parts if part.writer.is_machine} | {
            part.assigned_to.id for part in item.parts if part.assigned_to and part.assigned_to.type == "bot"
        }
        subject = first.subject if first and not first.is_redacted and not first.is_withheld else None
        return self.build_conversation(
            item.id,
            (
                self.build_message(
                    self._name(part, item),
                    role,
                    _read_text(part, is_plain=is_plain, is_first=part is first),
                    author=part.writer.id,
                    at=part.created_at or item.created_at,
                    files=_list_files(part),
                    is_automatic=role == "customer" and _is_automatic(part),
                )
                for part, role in written
            ),
            subject=_to_plain(subject or "", is_plain=is_plain).text,
            customer=senders[-1] if senders else None,
            # Unassigned is null before API version 2.16, and 0 since then.
            assignee=None if item.admin_assignee_id in machines else item.admin_assignee_id,
            team=item.team_assignee_id,
            is_closed=item.is_closed,
            closed_at=item.closed_at,
            channel=item.channel or (first.type if first else None),
            tags=(tag.name for tag in item.tags),
            version=item.updated_at,
            is_continued=is_continued and (first is None or first not in parts or not first.body),
        )

    def _find_role(self, part: _Part, *, is_new: bool) -> Role:
        """Return the role of a part's author.

        Args:
            part: The part.
            is_new: True if the topic of the delivery attributes it to a customer.
        """
        writer = part.writer
        is_blank = not writer.type  # on X, and for teammates that were deleted
        if part.is_note:
            return "note"
        if writer.is_customer or (is_blank and (is_new or part.delivered_as == "customer_initiated")):
            return "customer"
        if part.is_call:
            return "customer"
        is_ours = writer.id == self.admin_id
        if is_ours or writer.is_machine or part.delivered_as in _OUTBOUND:
            return "bot"
        return "agent" if is_blank or writer.type == "admin" else "bot"

    @staticmethod
    def _name(part: _Part, item: _Item) -> str:
        """Return the id of a part, or a substitute that is the same in every delivery."""
        if part.id or part is item.first:
            return part.id or item.id
        return f"{item.id}.{int(part.created_at.timestamp()) if part.created_at else 0}"

    # Actions

    def plan(self, actions: Sequence[Action]) -> Sequence[Step]:
        """Return one step for each action: first routing, then labels and notes, closing last.

        An assignment would reopen a closed conversation.
        """
        ranks = (Assign, Reply, SetFields, Tag, Note, Snooze, Close)
        return [Step(actions=(action,)) for action in sorted(actions, key=lambda action: ranks.index(type(action)))]

    async def perform(self, step: Step, conversation: Conversation, send: Send) -> Performed | None:
        """Perform a step: two calls for each tag, one call for anything else."""
        path, is_ticket = _build_path(conversation.id), conversation.id.startswith(_TICKET)
        match step.actions[0]:
            case Assign() as action:
                return await self._assign(path, action, send, is_ticket=is_ticket)
            case Reply() | Note() as action:
                return await self._write(path, action, send)
            case Tag(names=names):
                return await _try_each(names, "tag", lambda name: self._tag(path, name, send))
            case SetFields(fields=fields):
                return await self._set_fields(path, fields, send, is_ticket=is_ticket)
            case Snooze(until=datetime() as until):
                snooze: dict[str, JsonValue] = {"message_type": "snoozed", "snoozed_until": int(until.timestamp())}
                await send(self._change(path, snooze, is_ticket=is_ticket))
            case Close():
                close: dict[str, JsonValue] = (
                    {"open": False} if is_ticket else {"message_type": "close", "type": "admin"}
                )
                await send(self._change(path, close, is_ticket=is_ticket))
            case action:
                self.reject(action)
        return None

    def _change(self, path: str, change: Mapping[str, JsonValue], *, is_ticket: bool) -> Request:
        """Build a call that changes the state of a conversation or a ticket."""
        if not is_ticket:
            return self._post(f"{path}/parts", change, idempotent=True)
        fields = {name: value for name, value in change.items() if name != "message_type"}
        # https://developers.intercom.com/docs/references/2.14/changelog: a number at the top level since then
        admin = {"admin_id": int(self.admin_id)} if self._is_since(14) else {}
        return self.request("PUT", path, {**admin, **fields})

    def _is_since(self, minor: int) -> bool:
        """Return whether the API version is 2.`minor` or newer. A name such as Preview is newer than any number."""
        numbered = re.fullmatch(r"(\d+)\.(\d+)", self.api_version)
        return numbered is None or (int(numbered[1]), int(numbered[2])) >= (2, minor)

    async def _assign(self, path: str, action: Assign, send: Send, *, is_ticket: bool) -> Performed | None:
        kind, assignee = ("team", action.team) if action.team else ("admin", action.user)
        change: dict[str, JsonValue] = {"assignee_id": assignee}
        if not is_ticket:
            change = {"message_type": "assignment", "type": kind, **change}
        elif not self._is_since(14):
            change = {"assignment": {"admin_id": self.admin_id, **change}}
        request = self._change(path, change, is_ticket=is_ticket)
        changed = parse_response(_Changed, request, await send(request), vendor=self.name)
        # Intercom does not document what happens if a team's id is sent with another type, so check the response.
        field = f"{kind}_assignee_id"
        if field not in changed.model_fields_set or getattr(changed, field) == assignee:
            return None
        # A teammate who is away may have Intercom reassign conversations. Then somebody else has it.
        if kind == "admin" and (holder := _describe_holder(changed)):
            return Performed(problems=(f"assigned to {holder} instead of teammate {assignee}, who may be away",))
        noun = "team" if kind == "team" else "teammate"
        message = f"accepted, but not assigned to {assignee}: check that it is the id of a {noun}"
        raise VendorError(message, vendor=self.name, call=request.call, final=True)

    async def _write(self, path: str, action: Reply | Note, send: Send) -> Performed:
        kind = "comment" if isinstance(action, Reply) else "note"
        # Intercom has no idempotency keys, so a reply or a note must not be sent twice.
        body = {"message_type": kind, "type": "admin", "body": to_html(action.body)}
        request = self._post(f"{path}/reply", body)
        response = await send(request)
        try:
            written = parse_response(_Written, request, response, vendor=self.name)
        except VendorError:
            return Performed()  # it was written; only its id is unknown
        ours = (part for part in reversed(written.parts) if part.writer.id == self.admin_id and part.body)
        part = written if written.part_type else next(ours, _Part())
        if part.id is None:
            return Performed()
        if kind == "comment" and part.is_note:
            message = "the reply became a note, which the customer does not see"
            raise VendorError(message, vendor=self.name, call=request.call, final=True)
        return Performed(message_ids=(part.id,))

    async def _tag(self, path: str, name: str, send: Send) -> None:
        # Tagging a conversation requires the tag's id. This call returns the tag with that name, or creates it.
        tag = await self.call(_Tag, self.request("POST", "/tags", {"name": name}, idempotent=True), send)
        await send(self._post(f"{path}/tags", {"id": tag.id}, idempotent=True))

    async def _set_fields(
        self, path: str, fields: Mapping[str, JsonValue], send: Send, *, is_ticket: bool
    ) -> Performed | None:
        key = "ticket_attributes" if is_ticket else "custom_attributes"

        async def change(names: Iterable[str]) -> Performed | None:
            values = {name: fields[name] for name in names}
            request = self.request("PUT", path, {key: values})
            response = await send(request)
            try:
                shown = parse_response(_Changed, request, response, vendor=self.name).fields
            except VendorError:
                return None
            lost = [] if shown is None else [name for name, value in values.items() if value and not shown.get(name)]
            return Performed(
                problems=tuple(f"the attribute {name!r} was dropped: check that it exists" for name in lost)
            )

        if len(fields) > 1:
            try:
                return await change(fields)
            except VendorError as err:
                if not _is_label_rejection(err):
                    raise
        # Find out which attribute is rejected, and set the others.
        return await _try_each(fields, "attribute", lambda name: change([name]))

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


def _build_path(conversation_id: str) -> str:
    if conversation_id.startswith(_TICKET):
        return f"/tickets/{conversation_id.removeprefix(_TICKET)}"
    return f"/conversations/{conversation_id}"


# Text


def _to_plain(text: str, *, is_plain: bool) -> Plain:
    """Return the plain text of a body or subject. Notifications do not say whether they contain HTML."""
    plain = from_html(text) if not is_plain and _MARKUP.search(text) else Plain(clean(text), 0)
    return Plain(_BARE_LINK.sub(r"\1", plain.text), plain.images)


def _read_text(part: _Part, *, is_plain: bool, is_first: bool) -> Plain:
    """Return the text of a part: its body, what was said in a call, and what the customer has forwarded.

    Args:
        part: The part.
        is_plain: True if its body is plain text.
        is_first: True if it began the conversation, so that an email in it is what the customer writes about.
    """
    if part.is_redacted or part.is_withheld:
        return Plain("", 0)
    text, images = _to_plain(part.body or "", is_plain=is_plain)
    history = part.email.history if is_first and part.email else None
    more = [part.speech, from_html(history).text if history else ""]
    return Plain("\n\n".join([text, *(one for one in more if one and one not in text)]).strip(), images)


def _is_automatic(part: _Part) -> bool:
    """Return whether a machine sent the email that a part contains. Other people may write in a conversation, too."""
    sender, subject = part.sender, part.email.subject if part.email else None
    return describe_automatic(address=sender.email, name=sender.name, subject=subject or "") is not None


def _list_files(part: _Part) -> list[str]:
    """Return the names of a part's attachments, and a placeholder for text that is missing."""
    if part.is_redacted:
        return []
    if part.is_withheld:
        return ["withheld text"]
    files = [file.name or "file" for file in part.attachments]
    is_silent_call = (part.type or "").startswith("phone") and not (part.body or part.speech)
    return [*files, "phone call"] if is_silent_call else files


# Labels


def _is_label_rejection(error: VendorError) -> bool:
    """Return whether a label is rejected, rather than the whole conversation."""
    return error.is_rejection and error.status not in (404, 410)


async def _try_each(
    names: Collection[str], noun: str, attempt: Callable[[str], Awaitable[Performed | None]]
) -> Performed | None:
    """Set each label, and report those that are rejected.

    Args:
        names: The names of the tags or attributes.
        noun: What they are.
        attempt: Sets one of them.

    Raises:
        VendorError: All were rejected, or a call failed for another reason.
    """
    problems: list[str] = []
    errors: list[VendorError] = []
    for name in names:
        try:
            performed = await attempt(name)
        except VendorError as err:
            if not _is_label_rejection(err):
                raise
            problems.append(f"the {noun} {name!r} was rejected: check that it exists once, with this name and type")
            errors.append(err)
        else:
            problems += performed.problems if performed else ()
    if errors and len(errors) == len(names):
        raise _reword(errors[0], "; ".join(problems))
    return Performed(problems=tuple(problems)) if problems else None


def _reword(error: VendorError, message: str) -> VendorError:
    """Return a rejection with another message."""
    return VendorError(
        message,
        vendor=error.vendor,
        call=error.call,
        status=error.status,
        code=error.code,
        request_id=error.request_id,
        vendor_message=error.vendor_message,
        final=True,
    )


def _describe_holder(changed: _Changed) -> str:
    """Return who has a conversation, or an empty string if nobody has it."""
    admin, team = (
        "" if id_ in (None, "", "0") else id_ for id_ in (changed.admin_assignee_id, changed.team_assignee_id)
    )
    return f"teammate {admin}" if admin else f"team {team}" if team else ""
