"""Intercom: https://developers.intercom.com/docs/webhooks and /docs/references/rest-api."""

import re
from collections.abc import Awaitable, Callable, Collection, Container, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import Field, JsonValue, PrivateAttr

from triage.actions import Assign, Close, MarkSpam, Note, Reply, SetFields, SetPriority, Snooze, Tag
from triage.errors import ConfigurationError, ConversationIgnored, InvalidSignature, MalformedPayload, VendorError
from triage.log import get_logger
from triage.models import (
    Conversation,
    Customer,
    Delivery,
    Event,
    Handshake,
    Ignored,
    Message,
    Parsed,
    Performed,
    Request,
    Response,
    Step,
)
from triage.text import to_html
from triage.vendors.base import ErrorFacts, HelpDesk, Kind, Role, Send
from triage.vendors.intercom_payload import (
    OUTBOUND,
    TICKET,
    Admins,
    Attributes,
    Changed,
    Envelope,
    Error,
    Errors,
    Item,
    Me,
    News,
    Notification,
    Part,
    TagId,
    Teammates,
    Teams,
    Ticket,
    TicketNotification,
    Written,
    get_name,
    is_automatic,
    list_files,
    read_text,
    to_plain,
)
from triage.vendors.payload import find_link, parse_json, safe_word
from triage.vendors.responses import parse_response
from triage.vendors.settings import ListOf, Number, Secret, SigningSecret
from triage.vendors.signing import decode_hex, explain_rejection

logger = get_logger(__name__)

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
    conversation_paths = ("data.item.id",)
    event_paths = ("id",)
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

    # Learned from the API and the deliveries.
    _token_workspace: str | None = PrivateAttr(default=None)
    _workspaces: set[str] = PrivateAttr(default_factory=set[str])
    _is_human_by_id: dict[str, bool] = PrivateAttr(default_factory=dict[str, bool])
    _warnings: set[str] = PrivateAttr(default_factory=set[str])

    def default_url(self) -> str:
        """Return the address of the region."""
        return _URLS[self.region]

    def headers(self) -> Mapping[str, str]:
        """Return the access token and the API version."""
        return {"Authorization": f"Bearer {self.access_token}", "Intercom-Version": self.api_version}

    # Checking the set-up

    async def check_user(self, send: Send) -> str:
        """Check that the access token belongs to the workspace, its region, and that `admin_id` is a teammate."""
        me = await self.get(Me, "/me", send)
        workspace, region = me.workspace, (me.region or "").lower()
        if self.workspace_id and workspace and workspace != self.workspace_id:
            raise ConfigurationError(
                f"The access token belongs to workspace {workspace}, but workspace_id is {self.workspace_id}: use the "
                f"token of that workspace, or correct workspace_id."
            )
        # With a `base_url`, the region is not used.
        if self.base_url is None and region in _URLS and region != self.region:
            raise ConfigurationError(
                f"The workspace is hosted in the region {region}, but region is {self.region}: set it to {region}."
            )
        admins = await self.find_users((), send)
        if self.admin_id not in admins:
            found = ", ".join(f"{id_} ({name})" for id_, name in admins.items())
            raise ConfigurationError(
                f"The workspace has no teammate {self.admin_id}. Set admin_id to the id of a teammate: {found}."
            )
        return f"workspace {workspace or 'unknown'}, teammate {self.admin_id} ({admins[self.admin_id]})"

    async def find_teams(self, ids: Sequence[str], send: Send) -> Mapping[str, str]:
        """Return the teams."""
        return {team.id: team.name or "" for team in (await self.get(Teams, "/teams", send)).teams if team.id}

    async def find_users(self, ids: Sequence[str], send: Send) -> Mapping[str, str]:
        """Return the teammates."""
        admins = (await self.get(Teammates, "/admins", send)).admins
        return {admin.id: admin.name or "" for admin in admins if admin.id}

    async def find_fields(self, names: Sequence[str], send: Send) -> Mapping[str, str]:
        """Return the conversation attributes, which are set by name.

        Source: https://developers.intercom.com/docs/references/rest-api/api.intercom.io/data-attributes
        """
        attributes = (await self.get(Attributes, "/data_attributes?model=conversation", send)).data
        return {attribute.name: "" for attribute in attributes if attribute.name}

    # Webhooks

    def verify(self, delivery: Delivery) -> None:
        """Verify `X-Hub-Signature`: `sha1=` and the HMAC-SHA1 of the body in hex.

        No time is signed, so there is no replay window.
        Source: https://developers.intercom.com/docs/references/webhooks/webhook-models
        """
        scheme, _, digest = delivery.headers.get("x-hub-signature", "").partition("=")
        if scheme != "sha1" or not self.secrets.verify(delivery.body, decode_hex(digest), "sha1"):
            raise InvalidSignature(explain_rejection(delivery, "X-Hub-Signature", "the client secret"))

    def parse(self, delivery: Delivery) -> Parsed:
        """Extract a customer's message from a notification."""
        envelope = Envelope.parse_body(delivery.body)
        topic, event_id = envelope.topic, envelope.id
        if topic is None:
            raise MalformedPayload("topic: missing", event_id=safe_word(event_id) if event_id else None)
        if topic == "ping":
            return Handshake("ping")
        is_handover = self.after_ai and topic in _HANDOVERS
        # Allow only these topics. Otherwise, an app that subscribes to more topics would answer itself in a loop.
        if topic not in self.topics and not is_handover:
            return Ignored(f"topic {safe_word(topic)}")
        is_ticket, kind = topic.startswith("ticket."), _KINDS.get(topic, "replied")
        news = None if is_ticket else envelope.find_news(kind)
        if news is None:
            news = _read_news(delivery.body, kind, event_id, is_ticket=is_ticket)
        item = news.item
        if reason := self._find_other_workspace(news.account):
            return Ignored(reason)
        if news.is_internal:
            return Ignored("the ticket is internal")
        if is_handover:
            return self._parse_handover(news, delivery.body, event_id)
        if item.source is None and item.old_source is not None:
            self._warn(
                "the app uses API version 1.x; choose a version from 2.11 to 2.16 for it in the Developer Hub, because "
                "the notifications of version 1.x lack most of a conversation's state"
            )
        return self._parse_message(news, kind, delivery.body, event_id)

    def _parse_message(self, news: News, kind: Kind, body: bytes, event_id: str | None) -> Event | Ignored:
        """Build the event for the newest message of a customer."""
        item, new, names = news.item, news.parts, news.names
        if not new and item.raw_parts:
            raise MalformedPayload("conversation_parts: no part can be parsed", event_id=item.id)
        written = self._list_written(item, names)
        at: datetime | None = None
        if new:
            customers = [part for part, role in written if role == "customer"]
            message = next((part for part in reversed(customers) if get_name(part, item) in names), None)
            if message is None:
                return Ignored("not written by a customer")
            # Plain text does not show images, so look for them in the API's HTML.
            if all(part.is_blank for part in customers) and any(part.body for part in new):
                return Ignored("the message is empty")
            message_id, at = get_name(message, item), message.created_at or item.created_at
        else:
            # Identify the message by its time, and read it from the API.
            if item.updated_at is None:
                raise MalformedPayload("updated_at: missing")
            message_id = f"{item.id}.{safe_word(item.updated_at)}"
        return self.build_event(
            item.id,
            message_id,
            account=news.account,
            kind=kind,
            raw=body,
            event_id=event_id,
            customer=_find_customer(written),
            at=at,
        )

    def _parse_handover(self, news: News, body: bytes, event_id: str | None) -> Event | Ignored:
        """Build an event for a conversation that Fin hands over, whose messages were left alone before."""
        item = news.item
        part = item.parts[-1] if item.parts else Part()
        if not item.has_been_handed_over:
            return Ignored("the AI agent did not hand the conversation over")
        if part.writer.id == self.admin_id:
            return Ignored("we assigned the conversation")
        return self.build_event(
            item.id,
            f"handover.{get_name(part, item)}",
            account=news.account,
            kind="replied",
            raw=body,
            event_id=event_id,
            customer=_find_customer(self._list_written(item, ())),
        )

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

    @classmethod
    def link(cls, event: Event) -> str | None:
        """Return the address that the notification contains. It depends on the region, which an event does not name."""
        return find_link(parse_json(event.raw), "data.item.links.conversation_web", "intercom.com", "intercom.io")

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
        conversation = self.add_missing_message(event, conversation)
        if conversation.is_empty and not item.id.startswith(TICKET):
            item = await self.get(Item, _build_path(item.id), send)  # in HTML, which shows images
            conversation = await self._present(item, send, is_plain=False)
        return conversation

    async def _find_token_workspace(self, send: Send) -> str:
        """Ask the API once for the access token's workspace; return an empty string if it does not answer."""
        if self._token_workspace is None:
            try:
                me = await self.get(Me, "/me", send)
            except VendorError as err:
                if not err.is_rejection:
                    raise
                me = Me()
            if me.workspace is None:
                self._warn("the API does not say to which workspace the access token belongs; set workspace_id")
            self._token_workspace = me.workspace or ""
        return self._token_workspace

    def _contains(self, item: Item, event: Event) -> bool:
        """Return whether a conversation contains an event's message, perhaps redacted or under another id."""
        first = item.first
        for part in (first, *item.parts):
            if part is not None and get_name(part, item) == event.message_id:
                return part.is_redacted or bool(part.body or part.attachments)
        if first is None or event.kind != "created":
            return False
        news = _read_news_again(event)
        shown = [
            part for part, role in self._list_written(news.item, news.names) if role == "customer" or not part.is_blank
        ]
        if not shown or get_name(shown[0], news.item) != event.message_id:
            return False
        # A delivery may lack the id of the first message, or come from an old API version with other ids.
        return first.is_redacted or (first.writer.is_customer and bool(first.body or first.attachments))

    def read_delivery(self, event: Event) -> Conversation:
        """Return the conversation that the notification shows: all of it, or the new part of an old one."""
        news = _read_news_again(event)
        return self._translate(news.item, is_continued=event.kind == "replied", new=news.names)

    async def read(self, conversation_id: str, send: Send) -> Conversation:
        """Read a conversation in plain text with one call: the first message and up to 500 of the newest parts.

        A second call finds out whether an unknown assignee is a human.
        """
        return await self._present(await self._load(conversation_id, send), send)

    async def _load(self, conversation_id: str, send: Send) -> Item:
        path = _build_path(conversation_id)
        if conversation_id.startswith(TICKET):
            return (await self.get(Ticket, path, send)).as_conversation()
        return await self.get(Item, f"{path}?display_as=plaintext", send)

    async def _present(self, item: Item, send: Send, *, is_plain: bool = True) -> Conversation:
        conversation = self._translate(item, is_plain=is_plain and not item.id.startswith(TICKET))
        assignee = conversation.assignee
        is_known = assignee is None or any(
            message.role == "agent" and message.author == assignee for message in conversation.messages
        )
        if is_known or await self._is_human(assignee or "", send):
            return conversation
        return conversation.model_copy(update={"assignee": None})

    async def _is_human(self, admin_id: str, send: Send) -> bool:
        """Return whether an assignee is a teammate. Bots and former teammates are not.

        A conversation names only the assignee's id, and the bots of Intercom have ids of the same kind. Each id is
        looked up once.
        """
        if admin_id not in self._is_human_by_id:
            try:
                found = (await self.get(Admins, "/admins", send)).admins
            except VendorError as err:
                if not err.is_rejection and err.status != 403:
                    raise
                found = ()
            self._is_human_by_id.update({admin.id: not admin.is_machine for admin in found if admin.id})
            # Without the list, an assignee counts as a human.
            self._is_human_by_id.setdefault(admin_id, not found)
        return self._is_human_by_id[admin_id]

    def _translate(
        self,
        item: Item,
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
        first, written = item.first, self._list_written(item, new)
        shown = [part for part, _ in written]
        machines = {part.writer.id for part in shown if part.writer.is_machine} | {
            part.assigned_to.id for part in item.parts if part.assigned_to and part.assigned_to.type == "bot"
        }
        subject = first.subject if first and not first.is_redacted and not first.is_withheld else None
        return self.build_conversation(
            item.id,
            [partial(self._translate_part, part, role, item, is_plain=is_plain) for part, role in written],
            subject=to_plain(subject or "", is_plain=is_plain).text,
            customer=_find_customer(written),
            # Unassigned is null before API version 2.16, and 0 since then.
            assignee=None if item.admin_assignee_id in machines else item.admin_assignee_id,
            team=item.team_assignee_id,
            is_closed=item.is_closed,
            closed_at=item.closed_at,
            channel=item.channel or (first.type if first else None),
            tags=(tag.name for tag in item.tags),
            version=item.updated_at,
            is_continued=is_continued and (first is None or first not in shown or not first.body),
        )

    def _list_written(self, item: Item, new: Container[str]) -> list[tuple[Part, Role]]:
        """Return the parts that somebody wrote, with the role of the author.

        Args:
            item: The conversation.
            new: The ids of the parts that the topic of a delivery attributes to a customer.
        """
        # Assignments and the like are parts, too, and a customer's message may have the part_type "open". Look at the
        # content of a part rather than its type.
        parts = (part for part in (item.first, *item.parts) if part is not None and not part.is_notice)
        return [(part, self._find_role(part, is_new=get_name(part, item) in new)) for part in parts]

    def _translate_part(self, part: Part, role: Role, item: Item, *, is_plain: bool) -> Message:
        return self.build_message(
            get_name(part, item),
            role,
            read_text(part, is_plain=is_plain, is_first=part is item.first),
            author=part.writer.id,
            at=part.created_at or item.created_at,
            files=list_files(part),
            is_automatic=role == "customer" and is_automatic(part),
        )

    def _find_role(self, part: Part, *, is_new: bool) -> Role:
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
        if is_ours or writer.is_machine or part.delivered_as in OUTBOUND:
            return "bot"
        return "agent" if is_blank or writer.type == "admin" else "bot"

    # Actions

    async def perform(self, step: Step, conversation: Conversation, send: Send) -> Performed | None:
        """Perform a step: two calls for each tag, one call for anything else."""
        path, is_ticket = _build_path(conversation.id), conversation.id.startswith(TICKET)
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
        changed = parse_response(Changed, request, await send(request), vendor=self.name)
        # Intercom does not document what happens if a team's id is sent with another type, so check the response.
        field = f"{kind}_assignee_id"
        if field not in changed.model_fields_set or getattr(changed, field) == assignee:
            return None
        # Intercom may reassign an absent teammate's conversations.
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
            written = parse_response(Written, request, response, vendor=self.name)
        except VendorError:
            return Performed()  # it was written; only its id is unknown
        ours = (part for part in reversed(written.parts) if part.writer.id == self.admin_id and part.body)
        part = written if written.part_type else next(ours, Part())
        if part.id is None:
            return Performed()
        if kind == "comment" and part.is_note:
            message = "the reply became a note, which the customer does not see"
            raise VendorError(message, vendor=self.name, call=request.call, final=True)
        return Performed(message_ids=(part.id,))

    async def _tag(self, path: str, name: str, send: Send) -> None:
        # Tagging a conversation requires the tag's id. This call returns the tag with that name, or creates it.
        tag = await self.call(TagId, self.request("POST", "/tags", {"name": name}, idempotent=True), send)
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
                attributes = parse_response(Changed, request, response, vendor=self.name).fields
            except VendorError:
                return None
            lost = [] if attributes is None else [n for n, value in values.items() if value and not attributes.get(n)]
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
        errors = Errors.model_validate(data)
        first = errors.errors[0] if errors.errors else Error()
        return ErrorFacts(first.message, first.code, errors.request_id)


def _read_news(body: bytes, kind: Kind, event_id: str | None, *, is_ticket: bool) -> News:
    """Read what a notification is about.

    Args:
        body: The body of the notification.
        kind: Whether the notification is about the first message.
        event_id: The notification's id, for errors.
        is_ticket: True if it is about a ticket.
    """
    model: type[Notification | TicketNotification] = TicketNotification if is_ticket else Notification
    return model.parse_body(body, event_id=event_id).find_news(kind)


def _read_news_again(event: Event) -> News:
    """Read what the notification of an event is about."""
    is_ticket = event.conversation_id.startswith(TICKET)
    return _read_news(event.raw, event.kind, event.event_id, is_ticket=is_ticket)


def _find_customer(written: Iterable[tuple[Part, Role]]) -> Customer | None:
    """Return the customer who wrote last."""
    senders = [part.sender for part, role in written if role == "customer" and not part.is_call]
    return senders[-1] if senders else None


def _build_path(conversation_id: str) -> str:
    if conversation_id.startswith(TICKET):
        return f"/tickets/{conversation_id.removeprefix(TICKET)}"
    return f"/conversations/{conversation_id}"


# Labels


def _is_label_rejection(error: VendorError) -> bool:
    """Return whether a label is rejected, rather than the whole conversation."""
    return error.is_rejection and error.status not in (404, 410)


async def _try_each(
    names: Collection[str], noun: str, attempt: Callable[[str], Awaitable[Performed | None]]
) -> Performed | None:
    """Set each label and report every rejected one.

    Args:
        names: The names of the tags or attributes.
        noun: Their name in the plural.
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


def _describe_holder(changed: Changed) -> str:
    """Return the teammate or team of a conversation, or an empty string if it is unassigned."""
    admin, team = (
        "" if id_ in (None, "", "0") else id_ for id_ in (changed.admin_assignee_id, changed.team_assignee_id)
    )
    return f"teammate {admin}" if admin else f"team {team}" if team else ""
