"""Zendesk: https://developer.zendesk.com/documentation/webhooks and /api-reference/ticketing."""

import base64
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Any, ClassVar, Literal, TypeAlias, cast
from urllib.parse import quote, urlsplit

from pydantic import Field, JsonValue, ValidationInfo, field_validator

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
    Customer,
    Delivery,
    Event,
    Handshake,
    Ignored,
    Message,
    Parsed,
    Performed,
    Rejection,
    Request,
    Response,
    Step,
)
from triage.text import clean, compile_filled_in, normalize_for_comparison, to_html
from triage.vendors.base import ErrorFacts, HelpDesk, Role, Send, add_names, build_steps, merge_fields, select
from triage.vendors.oauth import ClientCredentials
from triage.vendors.payload import parse_json, safe_id, safe_word, sort_key
from triage.vendors.settings import ListOf, Number, Secret, SigningSecret
from triage.vendors.signing import Secrets, decode_base64, explain_rejection, explain_time
from triage.vendors.zendesk_payload import (
    API,
    CHILD_TICKET,
    FIRST,
    FORMS,
    NOTIFICATIONS,
    PREFIX,
    ROLES,
    Audit,
    AuditEvent,
    Comment,
    CommentsResponse,
    Error,
    ErrorDetail,
    Listed,
    ListResponse,
    MetricResponse,
    Ticket,
    TicketResponse,
    Trigger,
    UpdatedTicket,
    UpdateResponse,
    User,
    UserResponse,
    parse_time,
    parse_trigger_json,
    read_notification,
)

logger = get_logger(__name__)

EventName: TypeAlias = Literal["ticket.created", "ticket.comment_added", "messaging_ticket.message_added"]

# Signs the test of a webhook that is not saved yet. It is public, so everything signed with it is treated as a test:
# https://developer.zendesk.com/documentation/webhooks/verifying/#signing-secrets-on-new-webhooks
_PUBLIC_SECRET = "dGhpc19zZWNyZXRfaXNfZm9yX3Rlc3Rpbmdfb25seQ=="  # noqa: S105 - published
_TESTS = Secrets(_PUBLIC_SECRET)
_CREDENTIALS = ("client_id", "client_secret", "access_token", "email", "api_token")
_TAG = r"^[^\s,]+$"
_STAMP = "X-Zendesk-Webhook-Signature-Timestamp"
_WINDOW = 300.0  # seconds; Zendesk does not name a limit
_MACHINES = frozenset({"rule", "system"})  # channels
_MAX_PAGES = 5  # of 100 comments each
_MAX_LIST_PAGES = 20  # of 100 groups or fields each
_MAX_ATTEMPTS = 3  # to make an update that conflicts with another one
_CONFLICT = "UpdateConflict"
_LABELS = (Note, SetFields, SetPriority, Tag)
_MISSING_WAIT = 120.0  # seconds; longer than the API takes to show a new ticket
_SAMPLE_TOLERANCE = timedelta(hours=1)
# A whole placeholder, `{{ticket.id}}` or `{{dc.holding_reply}}`. Filters and Liquid blocks are never left alone.
_PLACEHOLDER = re.compile(r"\{\{\s*[\w.:-]+\s*\}\}", re.ASCII)
_LONGEST_EXPANSION = 10_000  # characters


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
        placeholders: True to let Zendesk fill in the placeholders that your policy writes in a reply, such as
            `{{{{ticket.id}}}}` or `{{{{dc.holding_reply}}}}`. Text by a customer or a model is never filled in.
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
    conversation_paths = ("detail.id", "ticket_id", "ticket.id")
    event_paths = ("id", "x-zendesk-webhook-invocation-id")
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
    placeholders: bool = True
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

    # Checking the set-up

    async def check_user(self, send: Send) -> str:
        """Check that the credentials belong to `user_id`, an agent or an admin.

        Source: https://developer.zendesk.com/api-reference/ticketing/users/users/#show-self
        """
        me = (await self.get(UserResponse, "/api/v2/users/me", send)).user
        if me.id is None:  # anonymous callers get 200 as well
            raise ConfigurationError("Zendesk does not recognize the credentials: check them, and the subdomain.")
        if me.id != self.user_id:
            raise ConfigurationError(
                f"The credentials belong to user {me.id}, but user_id is {self.user_id}, so the adapter would take its "
                f"own comments for a human's. Set user_id to {me.id}, or use the credentials of user {self.user_id}."
            )
        if me.role not in ("agent", "admin") or me.suspended:
            state = "suspended" if me.suspended else f"an {me.role}" if me.role else "without a role"
            raise ConfigurationError(f"User {me.id} is {state} and cannot write. Make the user an agent.")
        return f"user {me.id}, {me.role}"

    async def find_teams(self, ids: Sequence[str], send: Send) -> Mapping[str, str]:
        """Return the groups to which tickets can be assigned."""
        return {group.id: group.name or "" for group in await self._list("/api/v2/groups/assignable", send)}

    async def find_users(self, ids: Sequence[str], send: Send) -> Mapping[str, str]:
        """Return those of the users that exist and are agents or admins."""
        found: dict[str, str] = {}
        for id_ in ids:
            try:
                user = (await self.get(UserResponse, f"/api/v2/users/{quote(id_, safe='')}", send)).user
            except VendorError as err:
                if err.status != 404:
                    raise
            else:
                found |= {id_: user.name or ""} if user.role in ("agent", "admin") else {}
        return found

    async def find_fields(self, names: Sequence[str], send: Send) -> Mapping[str, str]:
        """Return the ticket fields.

        Source: https://developer.zendesk.com/api-reference/ticketing/tickets/ticket_fields/
        """
        return {field.id: field.title or "" for field in await self._list("/api/v2/ticket_fields", send)}

    async def _list(self, path: str, send: Send) -> list[Listed]:
        entries: list[Listed] = []
        cursor = ""
        for _ in range(_MAX_LIST_PAGES):
            page = await self.get(ListResponse, f"{path}?page[size]=100{cursor}", send)
            entries += page.entries
            if not page.has_more or not page.cursor:
                break
            cursor = f"&page[after]={quote(page.cursor, safe='')}"
        return entries

    # Webhooks

    def verify(self, delivery: Delivery) -> None:
        """Verify `X-Zendesk-Webhook-Signature`: the HMAC-SHA256 of the timestamp header and the body, in base64.

        Reject deliveries whose timestamp is more than 5 minutes from our time. The public secret, with which Zendesk
        signs the test of a webhook that is not saved yet, is accepted for tests only: see `parse`.
        Source: https://developer.zendesk.com/documentation/webhooks/verifying/
        """
        if not _is_signed(self.secrets, delivery) and not _is_signed(_TESTS, delivery):
            raise InvalidSignature(
                explain_rejection(delivery, "X-Zendesk-Webhook-Signature", "the webhook's secret", stamp=_STAMP)
            )
        signed_at = parse_time(delivery.headers.get(_STAMP.lower(), ""))
        if signed_at is None or abs(delivery.received_at - signed_at) > _WINDOW:
            raise StaleDelivery(explain_time(_STAMP, signed_at, delivery, _WINDOW))

    def parse(self, delivery: Delivery) -> Parsed:
        """Extract a customer's message from an event, or from the payload of a trigger or an automation."""
        if _is_signed(_TESTS, delivery):
            return Handshake("the test of a webhook that is not saved yet")
        invocation = delivery.headers.get("x-zendesk-webhook-invocation-id")
        event_id = safe_word(invocation) if invocation else None
        try:
            values = parse_trigger_json(delivery.body)
            if values is not None:
                return self._parse_trigger(values, event_id, delivery.body)
        except MalformedPayload as error:
            error.event_id = error.event_id or event_id
            raise
        data = parse_json(delivery.body)
        event_type = data.get("type")
        if not isinstance(event_type, str):
            message = "type: missing; a trigger's payload must contain ticket_id, as the documented template does"
            raise MalformedPayload(message, event_id=event_id)
        name = event_type.removeprefix(PREFIX)
        # An allow-list: a webhook that subscribes to more events would otherwise answer itself without end.
        if name not in self.events:
            return Ignored(f"event {safe_word(name)}")
        notification = NOTIFICATIONS[name].parse_data(data, event_id=event_id)
        written = notification.find_message(self.user_id)
        if written is None:
            return Ignored(notification.reason)
        return self.build_event(
            notification.detail.id,
            written.id,
            account=self.subdomain,
            kind="created" if written.id == FIRST else "replied",
            raw=delivery.body,
            event_id=data.get("id") or invocation,
            customer=written.customer,
            at=notification.written_at,
        )

    def _parse_trigger(self, data: dict[str, JsonValue], event_id: str | None, body: bytes) -> Parsed:
        if "{{" in str(data.get("ticket_id")):
            return Handshake("the test of a trigger's webhook")
        trigger = Trigger.parse_data(data, event_id=event_id)
        reason = trigger.find_reason_to_ignore(self.user_id)
        if reason:
            return Ignored(reason)
        message_id = trigger.find_message_id(None if event_id == "?" else event_id)
        return self.build_event(
            trigger.ticket_id,
            message_id,
            account=self.subdomain,
            kind=trigger.kind,
            raw=body,
            event_id=safe_id(data.get("id")) or event_id,
        )

    @classmethod
    def link(cls, event: Event) -> str:
        """Return the address of the ticket in the agent interface."""
        return f"https://{event.account}.zendesk.com/agent/tickets/{event.conversation_id}"

    # Conversations

    async def fetch(self, event: Event, send: Send) -> Conversation:
        """Read the ticket, and add the event's message if the API does not show it yet.

        In the API, the first comment has an id, which the event does not contain.

        Raises:
            ConversationIgnored: The event is a sample and does not describe this ticket.
            VendorError: The ticket could not be read.
        """
        conversation, created_at = await self._read(event.conversation_id, send)
        notification = read_notification(event.raw)
        described = notification.detail.created_at if notification else None
        if described and created_at and abs(created_at - described) > _SAMPLE_TOLERANCE:
            # The dialogue that tests a webhook sends an example, whose number a real ticket may have.
            raise ConversationIgnored("the event is a sample: the ticket was created at another time")
        is_shown = event.message_id == FIRST and conversation.messages
        return conversation if is_shown else self.add_missing_message(event, conversation)

    def read_delivery(self, event: Event) -> Conversation:
        """Return the conversation with the message that an event contains. A trigger contains none."""
        notification = read_notification(event.raw)
        written = notification.find_message(self.user_id) if notification else None
        if notification is None or written is None:
            return super().read_delivery(event)
        at = notification.written_at
        message = self.build_message(written.id, "customer", written.text, author=written.customer.id, at=at)
        return self.build_conversation(
            event.conversation_id,
            [message],
            customer=written.customer,
            subject=notification.detail.subject,
            is_continued=event.kind == "replied",
        )

    async def read(self, conversation_id: str, send: Send) -> Conversation:
        """Read the ticket and its comments: two calls, and one for each further 100 comments.

        If we or a human handled an open ticket that is assigned to nobody, read when it was last solved, too.
        """
        conversation, _ = await self._read(conversation_id, send)
        return conversation

    async def _read(self, conversation_id: str, send: Send) -> tuple[Conversation, datetime | None]:
        path = f"/api/v2/tickets/{conversation_id}"
        ticket = (await self.get(TicketResponse, path, send)).ticket
        comments: list[Comment] = []
        users: dict[str, User] = {}
        # Read the newest first, so that the oldest comments of a very long ticket are the ones left out.
        query = f"{path}/comments?include=users&sort=-created_at&page[size]=100"
        cursor = ""
        for _ in range(_MAX_PAGES):
            page = await self.get(CommentsResponse, query + cursor, send)
            comments += page.comments
            users |= {user.id: user for user in page.users}
            if not page.has_more or not page.cursor:
                break
            # Do not follow `links.next`, so that the token is never sent to another address.
            cursor = f"&page[after]={quote(page.cursor, safe='')}"
        comments.sort(key=lambda comment: sort_key(comment.created_at, comment.message_id))
        conversation = self._translate(ticket, comments, users)
        # A ticket that was solved has an assignee. If it is ours, the customer has written again since.
        was_handled = ticket.assignee_id or conversation.last_human_answer()
        if was_handled and not conversation.is_closed and conversation.assignee is None and len(comments) > 1:
            closed_at = await self._read_closed_at(path, send)
            conversation = conversation.model_copy(update={"closed_at": closed_at})
        return conversation, ticket.created_at

    async def _read_closed_at(self, path: str, send: Send) -> datetime | None:
        with suppress(VendorError):  # without the time, the human's answer counts a little longer
            return (await self.get(MetricResponse, f"{path}/metrics", send)).solved_at
        return None

    def _translate(self, ticket: Ticket, comments: Sequence[Comment], users: Mapping[str, User]) -> Conversation:
        requester = users.get(ticket.requester_id or "") or User(id="unknown")
        return self.build_conversation(
            ticket.id,
            [
                partial(self._translate_comment, comment, ticket, users, is_first=number == 0)
                for number, comment in enumerate(comments)
            ],
            subject=ticket.subject,
            customer=Customer(id=ticket.requester_id, name=requester.name, email=requester.email),
            assignee=ticket.assignee_id,
            team=ticket.group_id,
            is_closed=ticket.status in ("solved", "closed"),
            channel=ticket.channel,
            inbox=ticket.recipient,
            brand=ticket.brand_id,
            version=ticket.updated_at,
            tags=ticket.tags,
        )

    def _translate_comment(
        self, comment: Comment, ticket: Ticket, users: Mapping[str, User], *, is_first: bool
    ) -> Message:
        author = users.get(comment.author_id or "")
        return self.build_message(
            comment.message_id,
            self._find_role(comment, ticket, author, is_first=is_first),
            comment.plain,
            author=comment.author_id,
            at=comment.created_at,
            files=(file.file_name or "file" for file in comment.attachments),
            is_automatic=comment.is_automatic(author),
        )

    def _find_role(self, comment: Comment, ticket: Ticket, author: User | None, *, is_first: bool) -> Role:
        if not comment.public:
            return "note"
        id_, is_child = comment.author_id, ticket.channel == CHILD_TICKET
        if id_ and id_ == ticket.requester_id and not is_child and (is_first or id_ != self.user_id):
            # Whoever asks is the customer, even with an agent's seat: a company's help desk may serve its employees.
            return "customer"
        # Without the author's role, only the requester is certainly a customer. Anybody else may be an agent.
        role = ROLES.get(author.role, "bot") if author and author.role else "agent"
        if role != "agent":
            return role
        channels = FORMS | API if id_ == self.user_id else FORMS
        if is_first and ticket.channel in channels and not is_child:
            return "customer"  # a form entered the request in the customer's name
        return "bot" if id_ in (self.user_id, "-1") or comment.channel in _MACHINES else "agent"

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

        Setting a drop-down field replaces the tag of its old option. The list of all tags in the same update would
        bring that tag back, so tags in addition to fields are another step. The spam mark adds a tag, too, and with
        `suspend_spammers` it comes last in any case, because it deletes the ticket.
        """
        has_fields = bool(select(actions, SetFields))
        marks = select(actions, MarkSpam) if self.suspend_spammers or has_fields else []
        notes = select(actions, Note) if select(actions, Reply) else []
        tags = select(actions, Tag) if has_fields else []
        separate = [*notes, *tags, *marks]
        return build_steps([[action for action in actions if action not in separate], tags, notes, marks])

    async def perform(self, step: Step, conversation: Conversation, send: Send) -> Performed | None:
        """Perform a step with one call. If the ticket has changed since it was read, read it and try again.

        Returns:
            The ids of the comments, and the changes that Zendesk left out although it accepted the call.

        Raises:
            VendorError: A call failed, or the ticket was assigned to a human or answered automatically since it was
                read.
        """
        path = f"/api/v2/tickets/{conversation.id}"
        if self.suspend_spammers and isinstance(step.actions[0], MarkSpam):
            await send(self.request("PUT", f"{path}/mark_as_spam"))
            return None
        for _ in range(_MAX_ATTEMPTS - 1):
            try:
                return await self._update(path, step, conversation, send)
            except VendorError as error:
                if error.code != _CONFLICT:
                    raise
                conversation = await self._read_again(step, conversation, error, send)
        return await self._update(path, step, conversation, send)

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

    def is_written_by(self, action: Reply | Note, message: Message) -> bool:
        """Return whether `action` wrote `message`, in which Zendesk may have filled in placeholders."""
        role = "bot" if isinstance(action, Reply) else "note"
        parts = _PLACEHOLDER.split(clean(action.body)) if self._has_placeholders(action) else [clean(action.body)]
        pattern = compile_filled_in([normalize_for_comparison(part) for part in parts], _LONGEST_EXPANSION)
        return message.role == role and pattern.fullmatch(normalize_for_comparison(message.text)) is not None

    def _has_placeholders(self, action: Reply | Note) -> bool:
        return self.placeholders and isinstance(action, Reply)

    async def _update(self, path: str, step: Step, conversation: Conversation, send: Send) -> Performed | None:
        ticket = self._build_changes(step.actions, conversation)
        is_public, text = _join_comment(step.actions)
        # A note alone cannot conflict with another change. Never send `safe_update: false`, which acts like `true`:
        # https://developer.zendesk.com/api-reference/ticketing/tickets/tickets/
        if ticket or is_public:
            ticket |= {"updated_stamp": conversation.version, "safe_update": True}
        if text:
            html = _to_html(text, keep_placeholders=is_public and self.placeholders)
            # Always set the author, because the token may belong to another user. Without `public`, the ticket's first
            # comment would decide whether the customer sees this one.
            ticket["comment"] = {"html_body": html, "public": is_public, "author_id": int(self.user_id)}
        if not ticket:
            return None
        response = await send(self.request("PUT", path, {"ticket": ticket}, idempotent=not text))
        return self._compare(step.actions, ticket, response)

    def _compare(self, actions: Sequence[Action], changes: Mapping[str, Any], response: Response) -> Performed | None:
        """Compare the ticket in the response with the changes. Zendesk drops changes that it does not accept."""
        updated = UpdateResponse.model_validate(_read_object(response))
        ticket, audit = updated.ticket or UpdatedTicket(), updated.audit or Audit()
        if audit.author_id is not None and audit.author_id != self.user_id:
            logger.warning(
                "the Zendesk credentials belong to user %s, but user_id is %s: correct the setting, or create the "
                "OAuth client as that user",
                safe_word(audit.author_id),
                self.user_id,
            )
        comments = [event for event in audit.events if event.type == "Comment"]
        return Performed(
            message_ids=tuple(comment.id for comment in comments if comment.id),
            problems=tuple(_find_problems(changes, ticket)),
            rejected=tuple(_find_rejections(actions, changes, ticket, comments)),
            changes=self._describe_changes(ticket),
        )

    def _describe_changes(self, ticket: UpdatedTicket) -> dict[str, Any]:
        if not ticket.updated_at or ticket.tags is None or not {"group_id", "assignee_id"} <= ticket.model_fields_set:
            # Tags are written as a complete list, so the new version without the new tags would bring back old ones.
            return {}
        after = self.build_conversation("0", [], assignee=ticket.assignee_id, team=ticket.group_id)
        return {
            "version": ticket.updated_at,
            "tags": ticket.tags,
            "assignee": after.assignee,
            "team": after.team,
        }

    def _build_changes(self, actions: Sequence[Action], conversation: Conversation) -> dict[str, Any]:
        """Return the fields of the ticket that the actions change."""
        ticket: dict[str, Any] = {}
        for action in actions:
            ticket |= _translate_action(action)
        if ticket.get("status") == "solved" and not ticket.keys() & {"group_id", "assignee_id"}:
            ticket |= self._assign_solved(conversation)
        fields = merge_fields(actions)
        if fields:
            ticket["custom_fields"] = [{"id": int(name), "value": value} for name, value in fields.items()]
        added = [name for action in select(actions, Tag) for name in action.names]
        tags = add_names(conversation.tags, added + [self.spam_tag] * len(select(actions, MarkSpam)))
        if len(tags) > len(conversation.tags):
            ticket["tags"] = tags
        return ticket

    def _assign_solved(self, conversation: Conversation) -> dict[str, Any]:
        # A solved ticket needs an assignee. Otherwise Zendesk chooses the user to whom the credentials belong, and if
        # that is not `user_id`, the ticket counts as a human's when the customer writes again.
        return {"assignee_id": int(self.user_id)} if conversation.team is None and not conversation.assignee else {}

    # Errors and limits

    def pause(self, response: Response, now: float) -> float | None:
        """Return the seconds until an exhausted rate limit of the account or of an endpoint resets.

        A limit that concerns one ticket, such as 30 updates in ten minutes, does not stop the calls for others.
        Source: https://developer.zendesk.com/documentation/ticketing/using-the-zendesk-api/best-practices-for-avoiding-rate-limiting/
        """
        if response.status == 429 and _concerns_one_ticket(response):
            return None
        wait = parse_seconds(response.headers, "retry-after")
        return _find_reset(response) if wait is None else wait

    def error(self, request: Request, response: Response, now: float) -> VendorError:
        """Build the error for a response that is not 2xx. An event waits for the limit of its ticket, too."""
        error = super().error(request, response, now)
        if response.status == 429 and request.method == "PUT" and _concerns_one_ticket(response):
            wait = parse_seconds(response.headers, "retry-after")
            error.retry_after = _find_reset(response, of_ticket=True) if wait is None else wait
            error.message = "the ticket has been updated too often, and is left alone for a while"
        elif response.status == 404:
            # A ticket that is deleted, merged or out of sight does not come back. Make sure of it once.
            error.retry_after = _MISSING_WAIT
        elif 300 <= response.status < 400:
            host = safe_word(urlsplit(error.location or "").hostname)
            error.message = "the account has moved to {host}: correct {subdomain} or {base_url}".format_map(
                {**self.setting_labels(), "host": host}
            )
        return error

    def parse_error(self, data: Mapping[str, Any], response: Response) -> ErrorFacts:
        """Parse an error in one of Zendesk's shapes.

        Source: https://developer.zendesk.com/api-reference/introduction/requests/
        """
        error = Error.model_validate(data)
        field, details = next(iter((error.details or {}).items()), ("", None))
        first = next(iter(details or ()), ErrorDetail())
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
    stamp = delivery.headers.get(_STAMP.lower(), "").encode("utf-8", "replace")
    signature = decode_base64(delivery.headers.get("x-zendesk-webhook-signature", ""))
    return secrets.verify(stamp + delivery.body, signature, "sha256")


def _read_object(response: Response) -> object:
    """Return the JSON object in a response to an update, which took effect even if the response is unusual."""
    data = response.data()
    return cast("object", data) if isinstance(data, dict) else {}


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


def _to_html(text: str, *, keep_placeholders: bool) -> str:
    """Convert text to HTML, and break up `{{` and `{%`, which Zendesk would expand in a staff member's comment.

    Source: https://developer.zendesk.com/api-reference/ticketing/tickets/ticket_comments/

    Args:
        text: The text. Values that were filled in contain neither `{{` nor `{%`.
        keep_placeholders: True to keep whole placeholders, which are then those of the policy.
    """
    html = to_html(text)
    kept = _PLACEHOLDER.findall(html) if keep_placeholders else []
    others = [re.sub(r"\{(?=[{%])", "{\u200b", part) for part in (_PLACEHOLDER.split(html) if kept else [html])]
    return "".join(part + placeholder for part, placeholder in zip(others, [*kept, ""], strict=True))


# Responses to updates


def _find_problems(changes: Mapping[str, Any], ticket: UpdatedTicket) -> Iterator[str]:
    """Yield the labels that the response lacks. Texts by customers and models are never quoted."""
    if ticket.custom_fields is not None:
        stored = {field.id: field.value for field in ticket.custom_fields}
        for field in changes.get("custom_fields", ()):
            name = str(field["id"])
            if name not in stored:
                yield f"the field {name} was dropped: the account, or the ticket's form, has no such active field"
            elif _normalize_value(stored[name]) != _normalize_value(field["value"]):
                yield f"the field {name} does not have the new value: a drop-down takes only the tags of its options"
    if ticket.tags is not None:
        stored_tags = {tag.casefold() for tag in ticket.tags}
        for tag in changes.get("tags", ()):
            if tag.casefold() not in stored_tags:
                yield f"the tag {tag!r} was dropped: a field or a trigger of the account may have removed it"
    if ticket.priority is not None and ticket.priority != changes.get("priority", ticket.priority):
        yield "the priority was not changed: a trigger of the account may have set another one"


def _find_rejections(
    actions: Sequence[Action], changes: Mapping[str, Any], ticket: UpdatedTicket, comments: Sequence[AuditEvent]
) -> Iterator[Rejection]:
    """Yield the actions that the response shows not to have happened."""
    if any(comment.public is False for comment in comments):
        reason = (
            "the reply became a private comment, which the customer does not see: let the user write public comments "
            "(a light agent, or a custom role without that right, cannot)"
        )
        yield from (Rejection(action=action, reason=reason) for action in select(actions, Reply))
    teams = [action for action in select(actions, Assign) if action.team]
    users = [action for action in select(actions, Assign) if action.user]
    for assigns, name in ((teams, "group_id"), (users, "assignee_id")):
        stored = getattr(ticket, name)
        if name in ticket.model_fields_set and name in changes and assigns and stored != str(changes[name]):
            reason = f"the {name} of the ticket is another one: a trigger of the account may have changed it"
            yield Rejection(action=assigns[-1], reason=reason)
    if "status" in changes and ticket.status not in (None, "solved", "closed"):
        reason = "the ticket is not solved: a trigger of the account may have reopened it"
        closing = [action for action in actions if isinstance(action, Close | MarkSpam)]
        yield from (Rejection(action=action, reason=reason) for action in closing)


def _normalize_value(value: object) -> str:
    """Return the value of a field in a form that is the same when it is sent and when it is stored."""
    if value is None or value is False or value == []:
        return ""
    if isinstance(value, list):
        return ",".join(sorted(map(_normalize_value, cast("list[object]", value))))
    text = normalize_for_comparison(clean(str(value))).casefold()
    return f"{float(text):.12g}" if re.fullmatch(r"-?\d{1,15}(?:\.\d{1,15})?", text, re.ASCII) else text


# Rate limits


def _list_exhausted(response: Response) -> list[tuple[str, float]]:
    """Return the names of the exhausted limits, and the seconds until they reset."""
    headers = response.headers
    exhausted: list[tuple[str, float]] = []
    for prefix in ("ratelimit", "rate-limit"):  # the second one was seen in 2023
        reset = parse_seconds(headers, f"{prefix}-reset")
        if reset is not None and parse_seconds(headers, f"{prefix}-remaining") == 0:
            exhausted.append((prefix, reset))
    for name, value in headers.items():
        if name.startswith(("zendesk-ratelimit-", "zendesk-rate-limit-")):
            # "total=100; remaining=0; resets=41"
            limit = {key.strip(): number for key, _, number in (part.partition("=") for part in value.split(";"))}
            reset = parse_seconds(limit, "resets")
            if reset is not None and parse_seconds(limit, "remaining") == 0:
                exhausted.append((name, reset))
    return exhausted


def _concerns_one_ticket(response: Response) -> bool:
    """Return whether a 429 concerns the updates of one ticket, and neither the account nor an endpoint."""
    exhausted = [name for name, _ in _list_exhausted(response)]
    if exhausted:
        return all("per-ticket" in name for name in exhausted)
    return any(
        (parse_seconds(response.headers, f"{prefix}-remaining") or 0) > 0 for prefix in ("ratelimit", "rate-limit")
    )


def _find_reset(response: Response, *, of_ticket: bool = False) -> float | None:
    """Return the seconds until the last exhausted rate limit resets, apart from those of a single ticket."""
    waits = [wait for name, wait in _list_exhausted(response) if of_ticket or "per-ticket" not in name]
    if response.status == 429:
        reset = parse_seconds(response.headers, "ratelimit-reset")
        waits += [] if reset is None or of_ticket else [reset]
    return max(waits, default=None)


# Conflicts


def _describe_state(conversation: Conversation) -> object:
    """Return the facts on which a step depends: the assignee, the state and the answers."""
    answers = [message.id for message in conversation.messages if message.role in ("agent", "bot")]
    return conversation.assignee, conversation.is_closed, answers
