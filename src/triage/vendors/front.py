"""Front: https://dev.frontapp.com/docs/webhooks-1 and https://dev.frontapp.com/reference/conversations."""

import json
import re
from collections.abc import Awaitable, Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from functools import partial
from itertools import takewhile
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import Field, JsonValue

from triage.actions import Action, Assign, Close, MarkSpam, Note, Reply, SetFields, SetPriority, Snooze, Tag
from triage.errors import (
    ConfigurationError,
    ConversationIgnored,
    InvalidSignature,
    MalformedPayload,
    StaleDelivery,
    VendorError,
)
from triage.io.retry import parse_seconds
from triage.log import get_logger
from triage.models import (
    Conversation,
    Delivery,
    Event,
    Handshake,
    Ignored,
    Message,
    Parsed,
    Performed,
    Request,
    Response,
    Role,
    Step,
)
from triage.text import (
    normalize_for_comparison,
    to_html,
)
from triage.vendors.base import ErrorFacts, HelpDesk, Lookup, Send, merge_fields
from triage.vendors.front_payload import (
    FIRST_WITHIN,
    ID,
    Accepted,
    Comment,
    Envelope,
    Error,
    Failure,
    Fields,
    FrontMessage,
    FrontTag,
    HistoryEvent,
    InboundEvent,
    Inbox,
    Item,
    Named,
    Notification,
    Page,
    Recipient,
    T,
    find_workspace,
    get_position,
    is_from_customer,
    is_id,
    read_text,
)
from triage.vendors.payload import safe_word
from triage.vendors.responses import follow_merges
from triage.vendors.settings import ListOf, Secret, SigningSecret
from triage.vendors.signing import decode_base64, explain_rejection, explain_time

Source: TypeAlias = Literal["application", "rule"]

logger = get_logger(__name__)


# The event for a customer's message, in each of the two webhook systems: https://dev.frontapp.com/reference/events
_EVENTS: Mapping[Source, str] = {"application": "inbound_received", "rule": "inbound"}
# The events for a message that could not be delivered: the name in an application's webhook, and those in a rule's.
_FAILURES = frozenset({"message_delivery_failed", "sending_error", "message_bounce_error"})
# What changes the state of a conversation, except for messages.
_CLOSINGS = frozenset({"archive", "trash"})
_OPENINGS = frozenset({"reopen", "restore", "reminder"})
_SIGNATURE, _STAMP = "X-Front-Signature", "X-Front-Request-Timestamp"
_WINDOW = 300.0  # seconds: https://dev.frontapp.com/docs/security-1
_LARGEST_REWRITTEN = 64 * 1024  # bytes; anybody can send a body, and no larger one is parsed before it is verified
_SAME_MOMENT = timedelta(seconds=10)  # a conversation that is reopened so soon after a message was reopened by it
_HOLD = timedelta(days=7)  # how long a human's answer counts with `messages="new"`
_CHALLENGE = re.compile(r"[\w.~+/=:-]{1,256}", re.ASCII)
_MAX_PAGES = 5  # of 100 entries each
_MAX_TAG_PAGES = 20
_MAX_RETRY_AFTER = 600.0  # seconds; some sources give Retry-After in milliseconds, so a larger value is converted


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
        messages: Which customer messages to triage. `first`: the first of each conversation; Front has no event for a
            new conversation, so any message within a minute of its creation counts as the first. `new`: also the first
            one after the conversation was archived, and further ones as long as no human has answered. `all`: also
            those that a human has answered, whose labels are then kept up to date.
        teams: How a team is represented, because Front cannot assign a conversation to a team: as one of the `inboxes`,
            to which the conversation is moved, or as one of the `tags`, which can trigger a rule.
        machines: Ids of teammates (`tea_…`) that are bots, for example those of another integration. Rules, macros,
            API clients and other bots are recognized without it.
        spam_tag: The tag that `MarkSpam` adds before it archives the conversation.
        spam_status: True if `MarkSpam` should set Front's status `spam` instead. The API cannot read that status back.
        base_url: The API's address, if it is not Front's, such as that of a proxy or a fake.

    Raises:
        ConfigurationError: Settings are missing or invalid. The message lists all of them.
    """

    name = "front"
    title = "Front"
    api_url = "https://api2.frontapp.com"
    conversation_paths = ("payload.conversation.id", "conversation.id")
    event_paths = ("payload.id", "id")
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
    # A webhook contains its message twice, with the images that are embedded in the HTML.
    default_max_body = 10 * 1024 * 1024

    webhook_secret: SigningSecret
    api_token: Secret = Field(description="an API token")
    company_id: str = Field(pattern=rf"^cmp_{ID}$", description="an id such as cmp_4thp0")
    author_id: str = Field(pattern=rf"^tea_{ID}$", description="a teammate's id such as tea_6r55a")
    source: Source = "application"
    channel_id: str | None = Field(default=None, pattern=rf"^cha_{ID}$", description="an id such as cha_14tfp")
    inboxes: ListOf[Annotated[str, Field(pattern=rf"^inb_{ID}$")]] = Field(
        default=(), description="ids of inboxes such as inb_1ix6"
    )
    messages: Literal["first", "new", "all"] = "new"
    teams: Literal["inboxes", "tags"] = "inboxes"
    spam_tag: str = Field(default="spam", min_length=1, max_length=64, description="a name of 1 to 64 characters")
    spam_status: bool = False

    @property
    def retries_deliveries(self) -> bool:
        """True for an application. Front never repeats the webhook of a rule.

        Source: https://dev.frontapp.com/docs/webhooks-1
        """
        return self.source == "application"

    def headers(self) -> Mapping[str, str]:
        """Return the API token."""
        return {"Authorization": f"Bearer {self.api_token}"}

    # Checking the set-up

    async def check_user(self, send: Send) -> str:
        """Check that the API token belongs to the company, and that `author_id` is an active teammate."""
        company = (await self.get(Named, "/me", send)).id
        if company != self.company_id:
            raise ConfigurationError(
                f"The API token belongs to company {company}, but company_id is {self.company_id}: use the token of "
                f"that company, or correct company_id."
            )
        teammates = {mate.id: mate for mate in (await self.get(Page[Named], "/teammates", send)).results}
        author = teammates.get(self.author_id)
        if author is None or author.is_blocked:
            found = ", ".join(id_ for id_, mate in teammates.items() if not mate.is_blocked)
            problem = "is blocked" if author else "does not exist, or the token may not see it"
            raise ConfigurationError(f"The teammate {self.author_id} {problem}. Set author_id to one of: {found}.")
        return f"company {company}, teammate {self.author_id}"

    def find_settings(self) -> Sequence[Lookup]:
        """Return the channel that sends replies, and the inboxes to triage."""
        channels = [self.channel_id] if self.channel_id else []
        return [
            Lookup("channels", channels, self._find_channels, "channel_id"),
            Lookup("inboxes", self.inboxes, self._find_inboxes, "inboxes"),
        ]

    async def _find_channels(self, ids: Sequence[str], send: Send) -> Mapping[str, str]:
        return await self._list_names("/channels", send)

    async def _find_inboxes(self, ids: Sequence[str], send: Send) -> Mapping[str, str]:
        return await self._list_names("/inboxes", send)

    async def find_teams(self, ids: Sequence[str], send: Send) -> Mapping[str, str] | None:
        """Return the inboxes, unless tags represent the teams."""
        return await self._find_inboxes(ids, send) if self.teams == "inboxes" else None

    async def find_users(self, ids: Sequence[str], send: Send) -> Mapping[str, str]:
        """Return the teammates."""
        return await self._list_names("/teammates", send)

    async def find_fields(self, names: Sequence[str], send: Send) -> Mapping[str, str]:
        """Return the custom fields of conversations, which are set by name.

        Source: https://dev.frontapp.com/reference/list-conversation-custom-fields
        """
        return await self._list_names("/conversations/custom_fields", send)

    async def _list_names(self, path: str, send: Send) -> dict[str, str]:
        return {entry.id: entry.name or "" for entry in (await self.get(Page[Named], path, send)).results}

    # Webhooks

    def verify(self, delivery: Delivery) -> None:
        """Verify `X-Front-Signature`, in base64, by the scheme of `source`. The other scheme is rejected.

        An application signs its timestamp (in milliseconds), a colon and the body with HMAC-SHA256. The timestamp must
        be within 5 minutes of our clock. A rule signs the body with HMAC-SHA1 but no time, so there is no replay
        window.
        Sources: https://dev.frontapp.com/docs/application-webhooks, https://dev.frontapp.com/docs/rule-webhooks
        """
        signature = decode_base64(delivery.headers.get(_SIGNATURE.lower(), ""))
        if self.source == "rule":
            forms = _list_signed_forms(delivery.body) if signature else ()
            if not any(self.secrets.verify(form, signature, "sha1") for form in forms):
                raise InvalidSignature(self._explain_rejection(delivery, "the rule's API secret"))
            return
        stamp = delivery.headers.get(_STAMP.lower(), "")
        message = stamp.encode("utf-8", "replace") + b":" + delivery.body
        if not self.secrets.verify(message, signature, "sha256"):
            raise InvalidSignature(self._explain_rejection(delivery, "the app's secret"))
        signed_at = int(stamp) / 1000 if re.fullmatch(r"[0-9]{1,15}", stamp) else None
        if signed_at is None or abs(delivery.received_at - signed_at) > _WINDOW:
            raise StaleDelivery(explain_time(_STAMP, signed_at, delivery, _WINDOW))

    def _explain_rejection(self, delivery: Delivery, secret: str) -> str:
        """Return why a delivery was rejected. The two systems differ in whether they send a timestamp."""
        is_signed, is_stamped = (bool(delivery.headers.get(name.lower())) for name in (_SIGNATURE, _STAMP))
        if is_signed and is_stamped != (self.source == "application"):
            sender, source = ("an application", "application") if is_stamped else ("a rule", "rule")
            return (
                f"{_STAMP} is {'present' if is_stamped else 'absent'}, so {sender} sent the delivery, and the adapter "
                f"expects the {self.source}; pass source={source!r}"
            )
        return explain_rejection(delivery, _SIGNATURE, secret)

    def parse(self, delivery: Delivery) -> Parsed:
        """Extract a customer's message from `inbound_received`, or from a rule's `inbound`.

        An application sends `sync` whenever its webhook is saved; the response must echo the challenge.
        Source: https://dev.frontapp.com/docs/application-webhooks
        """
        envelope = Envelope.parse_body(delivery.body)
        event_type = envelope.type
        if event_type is None:
            raise MalformedPayload("type: missing")
        if self.source == "application" and event_type == "sync":
            challenge = _CHALLENGE.fullmatch(delivery.headers.get("x-front-challenge", ""))
            return Handshake("sync", {"challenge": challenge[0]} if challenge else {})
        # Allow only these events. Otherwise, an app that subscribes to more events would answer itself in a loop.
        if event_type not in (_EVENTS[self.source], *_FAILURES):
            return Ignored(f"event {safe_word(event_type)}")
        if self.source == "application" and envelope.company_id != self.company_id:
            return Ignored("of another company")
        if event_type in _FAILURES:
            return self._report_failure(Failure.parse_body(delivery.body))
        return self._parse_event(self._read_event(delivery.body), delivery.body)

    def _report_failure(self, event: Failure) -> Ignored:
        """Report a reply that Front had accepted, and could not deliver later."""
        error = f" ({safe_word(event.error)})" if event.error else ""
        reason = f"a message to the customer could not be delivered{error}"
        return Ignored(reason, is_problem=True)

    def _parse_event(self, event: InboundEvent, body: bytes) -> Event | Ignored:
        item, message = event.conversation, event.message
        if event.inboxes and self._find_shown_inbox(event) is None:
            return Ignored("in another inbox")
        if not message.is_preview and not is_from_customer(message):
            return Ignored("not written by a customer")
        kind = item.find_kind(message)
        if kind == "replied" and self.messages == "first":
            return Ignored("a later message of the conversation")
        if event.is_shown and message.is_blank and not item.subject:
            return Ignored("the message is empty")
        sender = (message.sender if event.is_shown else None) or item.recipient or Recipient()
        return self.build_event(
            item.id,
            message.id or event.id,
            account=self.company_id,
            kind=kind,
            raw=body,
            event_id=event.id,
            customer=sender.as_customer(),
            at=message.created_at,
        )

    def _find_shown_inbox(self, event: InboundEvent) -> str | None:
        """Return the first inbox in an event's list that the settings allow."""
        return next((inbox for inbox in event.inboxes if not self.inboxes or inbox in self.inboxes), None)

    def _read_event(self, body: bytes) -> InboundEvent:
        return InboundEvent.parse_body(body) if self.source == "rule" else Notification.parse_body(body).payload

    @classmethod
    def link(cls, event: Event) -> str:
        """Return the address that opens the conversation in Front."""
        return f"https://app.frontapp.com/open/{event.conversation_id}"

    # Conversations

    async def fetch(self, event: Event, send: Send) -> Conversation:
        """Read the event's conversation, and the rest of a preview.

        Raises:
            ConversationIgnored: `inboxes` or `messages` exclude the conversation or the message.
            VendorError: The conversation could not be read.
        """
        inbound = self._read_event(event.raw)
        message_id = event.message_id if is_id("msg", event.message_id) and not inbound.is_shown else None
        conversation = await self._read(event.conversation_id, send, message_id)
        conversation = self.add_missing_message(event, conversation)
        inbox = self._find_shown_inbox(inbound) or await self._find_inbox(conversation.id, send)
        if self.inboxes and inbox not in self.inboxes:
            raise ConversationIgnored("in another inbox")
        if reason := self._find_reason_to_ignore(event, conversation):
            raise ConversationIgnored(reason)
        team = inbox if self.teams == "inboxes" else None
        return conversation.model_copy(update={"inbox": inbox, "team": team})

    def read_delivery(self, event: Event) -> Conversation:
        """Return the conversation with the message, of which a preview shows nothing."""
        inbound = self._read_event(event.raw)
        return self._translate(
            inbound.conversation,
            [inbound.message] if inbound.is_shown else [],
            inbox=self._find_shown_inbox(inbound),
            is_continued=event.kind == "replied",
        )

    def _find_reason_to_ignore(self, event: Event, conversation: Conversation) -> str:
        """Return why `messages` excludes the event's message, or an empty string."""
        customers = [message for message in conversation.messages if message.role == "customer"]
        message = next((message for message in customers if message.id == event.message_id), conversation.latest)
        if self.messages == "all" or message is None or message.at is None:
            return ""
        if self.messages == "first":
            first = customers[0].at or message.at
            return "a later message of the conversation" if message.at - first > FIRST_WITHIN else ""
        answer = conversation.last_human_answer()
        is_held = answer is not None and answer.at is not None and timedelta() < message.at - answer.at < _HOLD
        return "a human has answered since the conversation was opened" if is_held else ""

    async def read(self, conversation_id: str, send: Send) -> Conversation:
        """Read a conversation and its messages: two calls, and one for each further 100 messages, up to 500.

        If a conversation is older than its last message, another call finds out when it was last archived. A
        conversation that was merged into another one is read under its new id. Comments are not read.
        """
        return await self._read(conversation_id, send, None)

    async def _read(self, conversation_id: str, send: Send, message_id: str | None) -> Conversation:
        def read_item(id_: str) -> Awaitable[Item]:
            return self.get(Item, f"/conversations/{id_}", send)

        item = await follow_merges(read_item, conversation_id, self._find_merge_target)
        messages = await self._list(Page[FrontMessage], f"/conversations/{item.id}/messages", send)
        if message_id is not None and all(message.id != message_id for message in messages):
            messages.insert(0, await self.get(FrontMessage, f"/messages/{message_id}", send))
        messages.sort(key=get_position)
        return self._translate(item, messages, closed_at=await self._find_closing(item, messages, send))

    async def _find_inbox(self, conversation_id: str, send: Send) -> str | None:
        """Return an inbox of a conversation, preferably one of `inboxes`."""
        try:
            inboxes = await self._list_inboxes(conversation_id, send)
        except VendorError as err:
            if self.inboxes or not _is_denied(err):
                raise
            return None
        ids = [inbox.id for inbox in inboxes if inbox.id]
        return next((id_ for id_ in ids if id_ in self.inboxes), next(iter(ids), None))

    async def _list_inboxes(self, conversation_id: str, send: Send) -> Sequence[Inbox]:
        page = await self.get(Page[Inbox], f"/conversations/{conversation_id}/inboxes", send)
        return page.results

    async def _find_closing(self, item: Item, messages: Sequence[FrontMessage], send: Send) -> datetime | None:
        """Return when a customer's message last found the conversation archived, and reopened it.

        Args:
            item: The conversation.
            messages: Its messages, oldest first.
            send: Makes the calls.
        """
        times = [message.created_at for message in messages if message.created_at]
        arrivals = [message.created_at for message in messages if message.created_at and message.is_inbound]
        if item.is_closed or not arrivals or times[-1] - times[0] <= FIRST_WITHIN:
            return None

        def find_change(events: Iterable[HistoryEvent]) -> HistoryEvent | None:
            return next((event for event in events if _is_change(event, arrivals)), None)

        path = f"/conversations/{item.id}/events"
        try:
            events = await self._list(Page[HistoryEvent], path, send, is_enough=find_change)
        except VendorError as err:
            if not _is_denied(err):
                raise
            logger.warning("it is unknown when %s was archived, so it counts as never archived: %s", item.id, str(err))
            return None
        change = find_change(events)
        if change is None or change.at is None or change.type not in _CLOSINGS:
            return None
        # "Send and archive" archives at once, and sends the message when it can no longer be undone.
        later = (message for message in messages if message.created_at and message.created_at > change.at)
        sent = takewhile(lambda message: not message.is_inbound, later)
        closed_at = max((message.created_at for message in sent if message.created_at), default=change.at)
        # The conversation is open, so the last message came after it was archived, whatever its own time says.
        return min(closed_at, arrivals[-1] - timedelta(microseconds=1))

    def _find_merge_target(self, error: VendorError) -> str | None:
        """Return the conversation id in a redirect, which is not followed, so that the API token cannot leak."""
        urls = "|".join((re.escape(self.url), r"https://[a-z0-9-]+\.api\.frontapp\.com", re.escape(self.api_url)))
        match = re.fullmatch(rf"(?:{urls})?/conversations/(cnv_{ID})/?(?:\?.*)?", error.location or "")
        return match[1] if match and error.status == 301 else None

    async def _list(
        self,
        model: type[Page[T]],
        path: str,
        send: Send,
        *,
        pages: int = _MAX_PAGES,
        is_enough: Callable[[list[T]], object] = lambda _: False,
    ) -> list[T]:
        """Return the entries of a list, from the first page until `is_enough` returns a true value."""
        entries: list[T] = []
        query = "?limit=100"
        for _ in range(pages):
            page = await self.get(model, path + query, send)
            entries += page.results
            if page.next_token is None or is_enough(entries):
                break
            query = f"?limit=100&page_token={page.next_token}"
        return entries

    def _translate(
        self,
        item: Item,
        messages: Sequence[FrontMessage],
        *,
        inbox: str | None = None,
        closed_at: datetime | None = None,
        is_continued: bool = False,
    ) -> Conversation:
        """Build a conversation from messages that are sorted, the oldest first."""
        kept = [message for message in messages if not message.is_draft and not message.draft_mode]
        newest = [message for message in reversed(kept) if self._find_role(message) == "customer"]
        sender = next((message.sender for message in newest if message.sender), None) or item.recipient or Recipient()
        subjects = [item.subject, *(message.subject for message in messages)]
        return self.build_conversation(
            item.id,
            [partial(self._translate_message, item, message) for message in kept],
            subject=next((subject for subject in subjects if subject), None),
            customer=sender.as_customer(),
            assignee=item.assignee.id if item.assignee and item.assignee.is_human else None,
            is_closed=item.is_closed,
            closed_at=closed_at,
            channel=next((message.type for message in newest if message.type), None),
            inbox=inbox,
            tags=(tag.name for tag in item.tags),
            is_continued=is_continued,
        )

    def _translate_message(self, item: Item, message: FrontMessage) -> Message:
        return self.build_message(
            _identify(item, message),
            self._find_role(message),
            read_text(message),
            author=message.author.id if message.author else None,
            at=message.created_at,
            files=(file.filename or "file" for file in message.attachments),
            is_automatic=message.is_automatic,
        )

    def _find_role(self, message: FrontMessage) -> Role:
        """Return the author's role. Teammates write `internal` messages to one another."""
        if is_from_customer(message):
            return "customer"
        if message.author is None or not message.author.is_human or message.author.id == self.author_id:
            return "bot"
        return "note" if message.type == "internal" else "agent"

    # Actions

    def check(self, action: Action) -> None:
        """Reject ids and tags that cannot exist at Front.

        Raises:
            ConfigurationError: Front has no such action, id or tag.
        """
        super().check(action)
        match action:
            case Assign(user=str(user)) if user and not is_id("tea", user):
                raise ConfigurationError(f"Front's teammate ids look like tea_6r55a; {action!r} has another id.")
            case Assign(team=str(team)) if team and self.teams == "inboxes" and not is_id("inb", team):
                raise ConfigurationError(
                    f"Front's inbox ids look like inb_1ix6; {action!r} has another id. For tags, set teams='tags'."
                )
            case Tag(names=names) if any(len(name.strip()) > 64 for name in names):
                raise ConfigurationError(f"Front's tags have at most 64 characters; check {action!r}.")
            case _:
                pass

    def can_share_step(self, previous: Action, action: Action) -> bool:
        """Return whether one call does both. Front archives with the same call as it replies."""
        match previous, action:
            case (Note(), _) | (_, Note() | Reply()) | (Reply(), MarkSpam()):
                return False
            case (Reply(), Close()) | (MarkSpam() | Close(), MarkSpam() | Close()):
                return True
            case _:
                return type(previous) is type(action)

    async def perform(self, step: Step, conversation: Conversation, send: Send) -> Performed | None:
        """Perform a step: one call, or two if it sets fields.

        A step that adds tags may first list the tags, look up the conversation's workspace, and create tags.
        """
        path = f"/conversations/{conversation.id}"
        match step.actions[0]:
            case Reply(body=body):
                request = self._build_reply(path, body, archive=len(step.actions) > 1)
                return await self._write(request, send)
            case Note(body=body):
                comment = {"body": _escape_markdown(body), "author_id": self.author_id}
                return await self._write(self.request("POST", f"{path}/comments", comment), send)
            case _:
                await self._update(conversation.id, step.actions, send)
                return None

    async def _write(self, request: Request, send: Send) -> Performed:
        """Write a reply or a comment. Front identifies a reply that it has only accepted by its `message_uid`."""
        response = await send(request)
        with suppress(ValueError):
            accepted = Accepted.model_validate_json(response.body)
            return Performed(message_ids=tuple(id_ for id_ in (accepted.uid, accepted.id) if id_))
        return Performed()

    async def was_performed(self, step: Step, conversation: Conversation, send: Send) -> bool:
        """Look for a reply among the new messages, or for a note among all comments.

        Raises:
            MessageUnconfirmed: The reply is missing. Front may still send it.
        """
        action = step.actions[0]
        if not isinstance(action, Note):
            return await super().was_performed(step, conversation, send)
        comments = await self._list(Page[Comment], f"/conversations/{conversation.id}/comments", send)
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

    async def _update(self, conversation_id: str, actions: Sequence[Action], send: Send) -> None:
        path = f"/conversations/{conversation_id}"
        tags: list[str] = []
        changes: dict[str, JsonValue] = {}
        # MarkSpam comes last: its status takes precedence over that of Close.
        for action in sorted(actions, key=lambda action: isinstance(action, MarkSpam)):
            names, values = self._list_changes(action)
            tags += names
            changes |= values
        if tags:
            with _naming(f"the tag {', '.join(map(repr, dict.fromkeys(tags)))}"):
                tag_ids = await self._find_tag_ids(tags, conversation_id, send)
                await send(self.request("POST", f"{path}/tags", {"tag_ids": tag_ids}, idempotent=True))
        fields = merge_fields(actions)
        if fields:
            # Read as late as possible, because any change between this call and the next one is lost.
            current = await self.get(Fields, path, send)
            changes["custom_fields"] = current.custom_fields | fields
        if changes:
            names = [f"the field {name!r}" for name in fields]
            names += [f"{name} {value!r}" for name, value in changes.items() if name != "custom_fields"]
            with _naming(", ".join(names)):
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

    async def _find_tag_ids(self, tags: Iterable[str], conversation_id: str, send: Send) -> list[str]:
        """Return the ids of tags, which a policy names by id or name. Tags that do not exist are created."""
        names = list(dict.fromkeys(tag.strip() for tag in tags))
        if all(is_id("tag", name) for name in names):
            return names
        # The list of the company's tags lacks those of its workspaces, and rules react to the tag, not to its name.
        known = await self._list(Page[FrontTag], "/tags", send, pages=_MAX_TAG_PAGES)
        named = {name: [tag for tag in known if _is_named(tag, name)] for name in names}
        workspaces = await self._find_workspaces(named.values(), conversation_id, send)
        ids: list[str] = []
        for name in names:
            # Several tags may share a name. The sort is stable, so otherwise the first one is used.
            found = sorted(named[name], key=lambda tag: _rank_tag(tag, workspaces))
            ids.append(name if is_id("tag", name) else found[0].id if found else await self._create_tag(name, send))
        return ids

    async def _find_workspaces(
        self, candidates: Iterable[Sequence[FrontTag]], conversation_id: str, send: Send
    ) -> Sequence[str | None]:
        """Return the workspaces of a conversation, if that is needed to choose between tags with the same name."""
        if not any(len(tags) > 1 and any(tag.workspace for tag in tags) for tags in candidates):
            return ()
        try:
            return [find_workspace(inbox.owner_url) for inbox in await self._list_inboxes(conversation_id, send)]
        except VendorError as err:
            if not _is_denied(err):
                raise
            return ()

    async def _create_tag(self, name: str, send: Send) -> str:
        return (await self.call(FrontTag, self.request("POST", "/company/tags", {"name": name}), send)).id

    # Errors and limits

    def pause(self, response: Response, now: float) -> float | None:
        """Return the seconds to wait for the rate limit of the company, or for that of one conversation.

        When the limit is used up, Front still accepts calls until the burst allowance is used up, too.
        Source: https://dev.frontapp.com/docs/rate-limiting
        """
        if response.status != 429 and parse_seconds(response.headers, "x-ratelimit-burst-remaining"):
            return None
        wait = parse_seconds(response.headers, "retry-after") or 0.0
        return wait / 1000 if wait > _MAX_RETRY_AFTER else super().pause(response, now)

    def parse_error(self, data: Mapping[str, Any], response: Response) -> ErrorFacts:
        """Parse `{"_error": {"status": …, "title": …, "message": …}}`."""
        error = Error.model_validate(data)
        return ErrorFacts(error.message, error.title.lower().replace(" ", "_") if error.title else None)


def _is_named(tag: FrontTag, name: str) -> bool:
    return not tag.is_personal and tag.name.strip().casefold() == name.casefold()


def _rank_tag(tag: FrontTag, workspaces: Sequence[str | None]) -> int:
    """Return the rank of a tag among those with the same name: of the conversation's workspace, company, another's."""
    if tag.workspace is None:
        return 1
    return 0 if not workspaces or tag.workspace in workspaces else 2


def _identify(item: Item, message: FrontMessage) -> str:
    """Return a stable id of a message.

    Front returns only the `message_uid` of a reply that it has accepted, so that identifies sent messages.
    """
    sent = None if is_from_customer(message) else message.uid
    at = f"{message.created_at:%Y%m%dT%H%M%S.%f}" if message.created_at else "unknown"
    return sent or message.id or message.uid or f"{item.id}-{at}"


def _is_change(event: HistoryEvent, arrivals: Sequence[datetime]) -> bool:
    """Return whether an event closed or opened a conversation, other than a customer's message that reopened it."""
    if event.type in _CLOSINGS:
        return event.at is not None
    at = event.at
    return event.type in _OPENINGS and not (at and any(abs(at - arrival) <= _SAME_MOMENT for arrival in arrivals))


def _is_denied(error: VendorError) -> bool:
    """Return whether a resource cannot be read at all, for example because the API token lacks a scope."""
    return error.is_rejection or error.status == 403


@contextmanager
def _naming(subject: str) -> Generator[None]:
    """Name the rejected value in the error of a call."""
    try:
        yield
    except VendorError as err:
        if _is_denied(err):
            err.message = f"{subject}: {err.message}"
        raise


def _list_signed_forms(body: bytes) -> Iterator[bytes]:
    """Yield the bytes, and the JSON as JavaScript writes it. Front's samples disagree on which one a rule signs."""
    yield body
    if len(body) <= _LARGEST_REWRITTEN:
        with suppress(ValueError, RecursionError):
            yield json.dumps(json.loads(body), separators=(",", ":"), ensure_ascii=False).encode()


def _escape_markdown(text: str) -> str:
    """Escape Markdown, so that a customer's name or a reason can neither create a link nor mention anybody."""
    return re.sub(r"([\\`*_\[\]<>#@|~])", r"\\\1", text)
