"""Front: https://dev.frontapp.com/docs/webhooks-1 and https://dev.frontapp.com/reference/conversations."""

import json
import re
from collections.abc import Awaitable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar, Generic, Literal, TypeAlias, TypeVar

from pydantic import AliasPath, AwareDatetime, Field, JsonValue

from triage.actions import Action, Assign, Close, MarkSpam, Note, Reply, SetFields, SetPriority, Snooze, Tag
from triage.errors import ConfigurationError, InvalidSignature, MalformedPayload, VendorError
from triage.io.retry import parse_seconds
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
from triage.text import Plain, clean, from_html, normalize_for_comparison, to_html
from triage.vendors.base import ErrorFacts, HelpDesk, Kind, Send, build_steps, merge_fields
from triage.vendors.payload import Loose, LooseTuple, Payload, parse_json, safe_word, sort_key
from triage.vendors.responses import follow_merges
from triage.vendors.settings import ListOf, Secret, SigningSecret
from triage.vendors.signing import decode_base64, explain_rejection

Source: TypeAlias = Literal["application", "rule"]

T = TypeVar("T", bound=Payload)

# The event for a customer's message, in each of the two webhook systems: https://dev.frontapp.com/reference/events
_EVENTS: Mapping[Source, str] = {"application": "inbound_received", "rule": "inbound"}
# The order of the steps. If a reply fails, everything before it has been done.
_ORDER: Mapping[type[Action], int] = {Note: 1, Reply: 2, MarkSpam: 3, Close: 4}
_WINDOW = 300.0  # seconds: https://dev.frontapp.com/docs/security-1
_FIRST_WITHIN = timedelta(seconds=60)  # a later message is not the first one of its conversation
_CHALLENGE = re.compile(r"[\w.~+/=:-]{1,256}", re.ASCII)
_PAGE_TOKEN = re.compile(r"[?&]page_token=([\w.~-]{1,500})(?=[&#]|$)", re.ASCII)
_MAX_PAGES = 5  # of 100 entries each
_MAX_RETRY_AFTER = 600.0  # seconds; some sources give Retry-After in milliseconds, so a larger value is converted
_ID = r"[a-z0-9]{1,40}"


class _Person(Payload):
    id: Loose[str] = None
    type: str = "user"


class _Recipient(Payload):
    name: Loose[str] = None
    handle: Loose[str] = None
    role: Loose[str] = None
    contact_url: Loose[str] = Field(default=None, validation_alias=AliasPath("_links", "related", "contact"))

    @property
    def contact_id(self) -> str | None:
        match = re.search(rf"/contacts/(crd_{_ID})$", self.contact_url or "")
        return match[1] if match else None


class _File(Payload):
    filename: str = "file"


class _Message(Payload):
    id: Id
    is_inbound: bool | None = None
    is_draft: Loose[bool] = None
    created_at: Loose[AwareDatetime] = None
    text: str | None = None
    body: str | None = None
    blurb: Loose[str] = None
    author: _Person | None = None
    recipients: LooseTuple[_Recipient] = ()
    attachments: LooseTuple[_File] = ()

    @property
    def is_preview(self) -> bool:
        return self.text is None and self.body is None

    @property
    def senders(self) -> list[_Recipient]:
        return [recipient for recipient in self.recipients if self.is_inbound and recipient.role == "from"]


class _Tag(Payload):
    id: Id
    name: str = ""


class _Item(Payload):
    """A conversation, in an event and in an API response."""

    id: Id
    subject: Loose[str] = None
    assignee_id: Loose[str] = Field(default=None, validation_alias=AliasPath("assignee", "id"))
    recipient: Loose[_Recipient] = None
    tags: LooseTuple[_Tag] = ()
    created_at: Loose[AwareDatetime] = None

    def find_kind(self, message: _Message) -> Kind:
        """Return `"replied"` if `message` came too late to be the conversation's first one."""
        if self.created_at is None or message.created_at is None:
            return "created"
        return "replied" if message.created_at - self.created_at > _FIRST_WITHIN else "created"


class _Fields(Payload):
    """Strict: PATCH replaces all custom fields, so any that were not parsed would be erased."""

    custom_fields: dict[str, JsonValue]


class _Reference(Payload):
    id: Loose[str] = None


class _EventTarget(Payload):
    data: _Message | None = None


class _InboundEvent(Payload):
    """The body of a rule's webhook, or the payload of an application's webhook."""

    id: Id
    conversation: _Item
    inboxes: LooseTuple[_Reference] = Field(default=(), validation_alias=AliasPath("source", "data"))
    target: _EventTarget = _EventTarget()


class _Notification(Payload):
    authorization: _Reference | None = None
    payload: _InboundEvent


class _Page(Payload, Generic[T]):
    results: tuple[T, ...] = Field(alias="_results")
    next_url: Loose[str] = Field(default=None, validation_alias=AliasPath("_pagination", "next"))

    @property
    def next_token(self) -> str | None:
        """The token of the next page. The URL itself is never called, so that the API token cannot leak."""
        match = _PAGE_TOKEN.search(self.next_url or "")
        return match[1] if match else None


class _Comment(Payload):
    id: Id
    body: Loose[str] = None
    author_id: Loose[str] = Field(default=None, validation_alias=AliasPath("author", "id"))


class _Error(Payload):
    title: Loose[str] = Field(default=None, validation_alias=AliasPath("_error", "title"))
    message: Loose[str] = Field(default=None, validation_alias=AliasPath("_error", "message"))


class Front(HelpDesk):
    """The adapter for Front.

    Args:
        webhook_secret: The secret that signs the webhooks: the app's secret (Basic information) for an application, the
            API secret of the Webhooks app for a rule. During a rotation, pass the new and the old one.
        api_token: An API token, created by an admin.
        company_id: The company's id (`cmp_…`, from `GET /me`). Deliveries of another company are ignored.
        author_id: The id of the teammate (`tea_…`) that writes replies and comments. Use a dedicated teammate:
            everything that it writes counts as automatic.
        source: Which system sends the webhooks: an `application`, or the action of a `rule`. They are signed
            differently, and a request must not choose its own signature scheme.
        channel_id: The channel (`cha_…`) that sends replies. If None, Front chooses it.
        inboxes: The ids (`inb_…`) of the inboxes to triage. If empty, every inbox that sends webhooks is triaged.
        messages: Which customer messages to triage: the `first` of each conversation, or `all`. Front has no event for
            a new conversation, so any message within a minute of its creation counts as the first.
        teams: How a team is represented, because Front cannot assign a conversation to a team: as one of the `inboxes`,
            to which the conversation is moved, or as one of the `tags`, which can trigger a rule.
        spam_tag: The tag that `MarkSpam` adds before it archives the conversation.
        spam_status: True if `MarkSpam` should set Front's status `spam` instead. The API cannot read that status back.
        base_url: The API's address, if it is not Front's, such as that of a proxy or a fake.

    Raises:
        ConfigurationError: Settings are missing or invalid. The message lists all of them.
    """

    name = "front"
    title = "Front"
    api_url = "https://api2.frontapp.com"
    own_id_setting = "author_id"
    can = frozenset({Assign, Reply, Note, Tag, SetFields, Close, MarkSpam})
    instead: ClassVar = {
        SetPriority: "its conversations have no priority. Use Tag, and a rule that reacts to the tag.",
        Snooze: "snoozing is not part of its public API. Use Tag, and a rule that reacts to the tag.",
    }
    hints: ClassVar = {
        301: "the conversation was merged into another one in the meantime",
        401: "check {api_token}",
        403: "the API token lacks a scope, or access to shared resources",
        404: "there is no such conversation, inbox, teammate, channel or tag, or the token has no access to it",
    }
    shown = ("company_id", "source")
    appends_signature = True
    delivers_later = True  # Front accepts a reply (202) before it sends it

    webhook_secret: SigningSecret
    api_token: Secret = Field(description="an API token")
    company_id: str = Field(pattern=rf"^cmp_{_ID}$", description="an id such as cmp_4thp0")
    author_id: str = Field(pattern=rf"^tea_{_ID}$", description="a teammate's id such as tea_6r55a")
    source: Source = "application"
    channel_id: str | None = Field(default=None, pattern=rf"^cha_{_ID}$", description="an id such as cha_14tfp")
    inboxes: ListOf[Annotated[str, Field(pattern=rf"^inb_{_ID}$")]] = Field(
        default=(), description="ids of inboxes such as inb_1ix6"
    )
    messages: Literal["first", "all"] = "first"
    teams: Literal["inboxes", "tags"] = "inboxes"
    spam_tag: str = Field(default="spam", min_length=1, max_length=64, description="a name of 1 to 64 characters")
    spam_status: bool = False

    def headers(self) -> Mapping[str, str]:
        """Return the API token."""
        return {"Authorization": f"Bearer {self.api_token}"}

    # Webhooks

    def verify(self, delivery: Delivery) -> None:
        """Verify `X-Front-Signature`, in base64, by the scheme of `source`. The other scheme is rejected.

        An application signs its timestamp (in milliseconds), a colon and the body with HMAC-SHA256. The timestamp must
        be within 5 minutes of our clock. A rule signs the body with HMAC-SHA1 but no time, so there is no replay
        window.
        Sources: https://dev.frontapp.com/docs/application-webhooks, https://dev.frontapp.com/docs/rule-webhooks
        """
        signature = decode_base64(delivery.headers.get("x-front-signature", ""))
        if self.source == "rule":
            forms = _list_signed_forms(delivery.body) if signature else ()
            if not any(self.secrets.verify(form, signature, "sha1") for form in forms):
                raise InvalidSignature(
                    explain_rejection(delivery.headers, "X-Front-Signature", "the rule's API secret")
                )
            return
        stamp = delivery.headers.get("x-front-request-timestamp", "")
        message = stamp.encode("utf-8", "replace") + b":" + delivery.body
        if not self.secrets.verify(message, signature, "sha256"):
            raise InvalidSignature(explain_rejection(delivery.headers, "X-Front-Signature", "the app's secret"))
        if not re.fullmatch(r"[0-9]{1,15}", stamp) or abs(delivery.received_at - int(stamp) / 1000) > _WINDOW:
            raise InvalidSignature("X-Front-Request-Timestamp is not within 5 minutes of our time")

    def parse(self, delivery: Delivery) -> Parsed:
        """Extract a customer's message from `inbound_received`, or from a rule's `inbound`.

        An application sends `sync` whenever its webhook is saved; the response must echo the challenge.
        Source: https://dev.frontapp.com/docs/application-webhooks
        """
        data = parse_json(delivery.body)
        event_type = data.get("type")
        if not isinstance(event_type, str):
            raise MalformedPayload("type: missing")
        if self.source == "application" and event_type == "sync":
            challenge = _CHALLENGE.fullmatch(delivery.headers.get("x-front-challenge", ""))
            return Handshake("sync", {"challenge": challenge[0]} if challenge else {})
        # Allow only this event. Otherwise, an app that subscribes to more events would answer itself in a loop.
        if event_type != _EVENTS[self.source]:
            return Ignored(f"event {safe_word(event_type)}")
        if self.source == "rule":
            return self._parse_event(_InboundEvent.parse_data(data), data)
        notification = _Notification.parse_data(data)
        if notification.authorization is None or notification.authorization.id != self.company_id:
            return Ignored("of another company")
        return self._parse_event(notification.payload, data)

    def _parse_event(self, event: _InboundEvent, raw: dict[str, JsonValue]) -> Event | Ignored:
        item, message = event.conversation, event.target.data
        if self.inboxes and not any(inbox.id in self.inboxes for inbox in event.inboxes):
            return Ignored("in another inbox")
        if message is None:  # a preview; `read` completes it
            conversation = self._translate(item, [])
            return self.build_event(conversation, event.id, account=self.company_id, kind="created", at=None, raw=raw)
        if self._find_role(message) != "customer":
            return Ignored("not written by a customer")
        kind = item.find_kind(message)
        if kind == "replied" and self.messages == "first":
            return Ignored("a later message of the conversation")
        conversation = self._translate(item, [message])
        if conversation.is_empty and not message.is_preview:
            return Ignored("the message is empty")
        return self.build_event(
            conversation, message.id, account=self.company_id, kind=kind, at=message.created_at, raw=raw
        )

    # Conversations

    async def read(self, conversation_id: str, send: Send) -> Conversation:
        """Read a conversation and its messages: two calls, and one for each further 100 messages, up to 500.

        A conversation that was merged into another one is read under its new id. Comments are not read.
        """

        def read_item(id_: str) -> Awaitable[_Item]:
            return self.get(_Item, f"/conversations/{id_}", send)

        item = await follow_merges(read_item, conversation_id, self._find_merge_target)
        return self._translate(item, await self._list(_Page[_Message], f"/conversations/{item.id}/messages", send))

    def _find_merge_target(self, error: VendorError) -> str | None:
        """Return the conversation id in a redirect, which is not followed, so that the API token cannot leak."""
        urls = "|".join((re.escape(self.url), r"https://[a-z0-9-]+\.api\.frontapp\.com", re.escape(self.api_url)))
        match = re.fullmatch(rf"(?:{urls})?/conversations/(cnv_{_ID})/?(?:\?.*)?", error.location or "")
        return match[1] if match and error.status == 301 else None

    async def _list(self, model: type[_Page[T]], path: str, send: Send) -> list[T]:
        entries: list[T] = []
        query = "?limit=100"
        for _ in range(_MAX_PAGES):
            page = await self.get(model, path + query, send)
            entries += page.results
            if page.next_token is None:
                break
            query = f"?limit=100&page_token={page.next_token}"
        return entries

    def _translate(self, item: _Item, messages: Sequence[_Message]) -> Conversation:
        senders = (sender for message in messages for sender in message.senders)
        sender = next(senders, None) or item.recipient or _Recipient()
        return self.build_conversation(
            item.id,
            (self._translate_message(message) for message in sorted(messages, key=_sort_key) if not message.is_draft),
            subject=item.subject,
            # Do not use the handle as the id: it is an address, and ids appear in logs.
            customer=Customer(id=sender.contact_id, name=sender.name, email=sender.handle),
            assignee=item.assignee_id,
            tags=(tag.name for tag in item.tags),
        )

    def _translate_message(self, message: _Message) -> Message:
        plain = from_html(message.body or "")
        # Only emails have "text".
        text = clean(message.text or "") or plain.text or clean(message.blurb or "")
        return self.build_message(
            message.id,
            self._find_role(message),
            Plain(text, plain.images),
            author=message.author.id if message.author else None,
            at=message.created_at,
            files=(file.filename for file in message.attachments),
        )

    def _find_role(self, message: _Message) -> Role:
        """Return the author's role. A bot is a teammate of a type other than `user`.

        Source: https://dev.frontapp.com/reference/teammates
        """
        if message.author is None:
            return "customer" if message.is_inbound else "bot"
        return "agent" if message.author.type == "user" and message.author.id != self.author_id else "bot"

    # Actions

    def check(self, action: Action) -> None:
        """Reject ids and tags that cannot exist at Front.

        Raises:
            ConfigurationError: Front has no such action, id or tag.
        """
        super().check(action)
        match action:
            case Assign(user=str(user)) if user and not _is_id("tea", user):
                raise ConfigurationError(f"Front's teammate ids look like tea_6r55a; {action!r} has another id.")
            case Assign(team=str(team)) if team and self.teams == "inboxes" and not _is_id("inb", team):
                raise ConfigurationError(
                    f"Front's inbox ids look like inb_1ix6; {action!r} has another id. For tags, set teams='tags'."
                )
            case Tag(names=names) if any(len(name.strip()) > 64 for name in names):
                raise ConfigurationError(f"Front's tags have at most 64 characters; check {action!r}.")
            case _:
                pass

    def plan(self, actions: Sequence[Action]) -> Sequence[Step]:
        """Group actions: all updates in one step, then each note, then each reply.

        `Close` joins the step of the last reply, or the updates if there is neither a reply nor a note.
        """
        steps: list[list[Action]] = []
        for action in sorted(actions, key=lambda action: _ORDER.get(type(action), 0)):
            if steps and _can_share_step(steps[-1][0], action):
                steps[-1].append(action)
            else:
                steps.append([action])
        return build_steps(steps)

    async def perform(self, step: Step, conversation: Conversation, send: Send) -> None:
        """Perform a step: one call for a reply or a note.

        An update takes up to two calls. Before them it may read the tags and fields, and create tags.
        """
        path = f"/conversations/{conversation.id}"
        match step.actions[0]:
            case Reply(body=body):
                await send(self._build_reply(path, body, archive=len(step.actions) > 1))
            case Note(body=body):
                comment = {"body": _escape_markdown(body), "author_id": self.author_id}
                await send(self.request("POST", f"{path}/comments", comment))
            case _:
                await self._update(path, step.actions, send)

    async def was_performed(self, step: Step, conversation: Conversation, send: Send) -> bool:
        """Look for a reply among the new messages, or for a note among all comments.

        Raises:
            VendorError: The reply is missing. Front may still send it.
        """
        action = step.actions[0]
        if not isinstance(action, Note):
            return await super().was_performed(step, conversation, send)
        comments = await self._list(_Page[_Comment], f"/conversations/{conversation.id}/comments", send)
        ours = (comment for comment in comments if comment.author_id == self.author_id)
        expected = normalize_for_comparison(_escape_markdown(action.body))
        return any(normalize_for_comparison(comment.body or "") == expected for comment in ours)

    def _build_reply(self, path: str, body: str, *, archive: bool) -> Request:
        """Build a reply. Front has no idempotency keys, so the reply must not be sent twice.

        If `archive` is not set to False, Front closes the conversation.
        Source: https://dev.frontapp.com/reference/create-message-reply
        """
        options = {"archive": archive}
        message = {"body": to_html(body), "text": body, "author_id": self.author_id, "options": options}
        channel = {"channel_id": self.channel_id} if self.channel_id else {}
        return self.request("POST", f"{path}/messages", message | channel)

    async def _update(self, path: str, actions: Sequence[Action], send: Send) -> None:
        tags: list[str] = []
        changes: dict[str, JsonValue] = {}
        # MarkSpam comes last: its status takes precedence over that of Close.
        for action in sorted(actions, key=lambda action: isinstance(action, MarkSpam)):
            names, values = self._list_changes(action)
            tags += names
            changes |= values
        if tags:
            tag_ids = await self._find_tag_ids(tags, send)
            await send(self.request("POST", f"{path}/tags", {"tag_ids": tag_ids}, idempotent=True))
        fields = merge_fields(actions)
        if fields:
            # Read as late as possible, because any change between this call and the next one is lost.
            current = await self.get(_Fields, path, send)
            changes["custom_fields"] = current.custom_fields | fields
        if changes:
            await send(self.request("PATCH", path, changes))

    def _list_changes(self, action: Action) -> tuple[Sequence[str], dict[str, JsonValue]]:
        """Return the tags that an action adds, and the values of the conversation that it changes."""
        match action:
            case Tag(names=names):
                return names, {}
            case Assign(team=str(team)) if team:
                return ([team], {}) if self.teams == "tags" else ([], {"inbox_id": team})
            case Assign(user=user):
                return [], {"assignee_id": user}
            case MarkSpam():
                return ([], {"status": "spam"}) if self.spam_status else ([self.spam_tag], {"status": "archived"})
            case Close():
                return [], {"status": "archived"}
            case _:
                return [], {}

    async def _find_tag_ids(self, tags: Iterable[str], send: Send) -> list[str]:
        """Return the ids of tags, which a policy names by id or name. Tags that do not exist are created."""
        names = list(dict.fromkeys(tag.strip() for tag in tags))
        ids = {name: name for name in names if _is_id("tag", name)}
        if len(ids) < len(names):
            company_tags = await self._list(_Page[_Tag], "/company/tags", send)
            # Several tags may share a name; always use the first one.
            ids = {tag.name.casefold(): tag.id for tag in reversed(company_tags)} | ids
        return [ids.get(name.casefold()) or await self._create_tag(name, send) for name in names]

    async def _create_tag(self, name: str, send: Send) -> str:
        return (await self.call(_Tag, self.request("POST", "/company/tags", {"name": name}), send)).id

    # Errors and limits

    def pause(self, response: Response, now: float) -> float | None:
        """Return the seconds to wait for the rate limit of the company, or for that of one conversation.

        Source: https://dev.frontapp.com/docs/rate-limiting
        """
        wait = parse_seconds(response.headers, "retry-after") or 0.0
        return wait / 1000 if wait > _MAX_RETRY_AFTER else super().pause(response, now)

    def parse_error(self, data: Mapping[str, Any], response: Response) -> ErrorFacts:
        """Parse `{"_error": {"status": …, "title": …, "message": …}}`."""
        error = _Error.model_validate(data)
        return ErrorFacts(error.message, error.title.lower().replace(" ", "_") if error.title else None)


def _is_id(kind: str, text: str) -> bool:
    return re.fullmatch(rf"{kind}_{_ID}", text) is not None


def _list_signed_forms(body: bytes) -> Iterator[bytes]:
    """Yield the bytes, and the JSON as JavaScript writes it. Front's samples disagree on which one a rule signs."""
    yield body
    with suppress(ValueError, RecursionError):
        yield json.dumps(json.loads(body), separators=(",", ":"), ensure_ascii=False).encode()


def _sort_key(message: _Message) -> tuple[datetime, int, str]:
    return sort_key(message.created_at, message.id)


def _can_share_step(first: Action, action: Action) -> bool:
    """Return whether `action` can join the step that begins with `first`."""
    match first, action:
        case (_, Note() | Reply()) | (Note(), _) | (Reply(), MarkSpam()):
            return False
        case _:
            return True


def _escape_markdown(text: str) -> str:
    """Escape Markdown, so that a customer's name or a reason can neither create a link nor mention anybody."""
    return re.sub(r"([\\`*_\[\]<>#@|~])", r"\\\1", text)
