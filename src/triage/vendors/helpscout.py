"""Help Scout: https://developer.helpscout.com/webhooks and https://developer.helpscout.com/mailbox-api."""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, ClassVar, Literal, TypeAlias, TypeVar

from pydantic import AliasChoices, AliasPath, AwareDatetime, BeforeValidator, ConfigDict, Field, JsonValue
from pydantic.alias_generators import to_camel

from triage.actions import Action, Assign, Close, MarkSpam, Note, Reply, SetFields, SetPriority, Snooze, Tag
from triage.errors import ConfigurationError, InvalidSignature, MalformedPayload, VendorError
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
from triage.text import describe_automatic, from_html, is_blank, to_html
from triage.vendors.base import ErrorFacts, HelpDesk, Id, Kind, Role, Send, add_names, build_steps, select
from triage.vendors.oauth import ClientCredentials
from triage.vendors.payload import Loose, LooseTuple, Payload, find_link, parse_json, safe_word, sort_key
from triage.vendors.responses import follow_merges, naming, parse_response
from triage.vendors.settings import ListOf, Number, Secret, SigningSecret
from triage.vendors.signing import decode_base64, explain_rejection

T = TypeVar("T")

EventName: TypeAlias = Literal["convo.created", "convo.customer.reply.created"]

_KINDS: Mapping[str, Kind] = {"convo.created": "created", "convo.customer.reply.created": "replied"}
_TEST = "helpscout.test"
# By the author's type, or by the thread's if there is no author. Anybody else is a machine, which never gets an answer.
_ROLES: Mapping[str | None, Role] = {"customer": "customer", "user": "agent"}
_ROLES_WITHOUT_AUTHOR: Mapping[str | None, Role] = {"customer": "customer", "message": "agent", "phone": "agent"}
_NOTES = frozenset({"note", "forwardparent", "forwardchild"})
_SHOWN_STATES = (None, "published", "bounced")
_CLOSED = ("closed", "spam")
# Help Scout itself, as the author of messages by workflows, and as the assignee of unassigned conversations.
_SYSTEM_IDS = ("0", "1")
# The sources of messages by workflows, autoresponders and AI agents.
_MACHINES = re.compile(r"(?:workflow|bounce|auto|ai\b|bot\b|beacon-?bot)", re.IGNORECASE)
# The sources of imported archives: files, and the help desks from which Help Scout imports.
_ARCHIVES = re.compile(
    r"csv|.*import.*|assistly|desk(?:\W?com)?|freescout|freshdesk|front|gmail|gorgias|groove|hubspot|intercom|kayako"
    r"|liveagent|reamaze|supportbee|tender|uservoice|zendesk",
    re.IGNORECASE,
)
_IMPORT_AGE = 86_400.0  # seconds; a message of an import that is older belongs to the archive
_MAX_PAGES = 8  # of 25 threads each; a conversation with 100 threads accepts no more
_MAX_LENGTHS = {"singleline": 255, "multiline": 15_000}
_FORMATS = {"number": (r"-?[0-9]+", "an integer"), "date": (r"\d{4}-\d\d-\d\d", "a date such as 2026-12-01")}


class _Hal(Payload):
    model_config = ConfigDict(alias_generator=to_camel)


class _Person(_Hal):
    id: Loose[str] = None
    type: Loose[str] = None
    # Version 1 of the payload names them differently.
    first: Loose[str] = Field(default=None, validation_alias=AliasChoices("first", "firstName"))
    last: Loose[str] = Field(default=None, validation_alias=AliasChoices("last", "lastName"))
    email: Loose[str] = None

    @property
    def full_name(self) -> str | None:
        return " ".join(part for part in (self.first, self.last) if part) or None


class _Source(_Hal):
    """How a conversation or a thread came about."""

    type: Loose[str] = None
    via: Loose[str] = None

    @property
    def is_machine(self) -> bool:
        return any(_MACHINES.match(word) for word in (self.type, self.via) if word)

    @property
    def is_archive(self) -> bool:
        return _ARCHIVES.fullmatch(self.type or "") is not None


class _Attachment(_Hal):
    # The name differs between reads and writes: https://github.com/helpscout/helpscout-api-php
    name: Loose[str] = Field(default=None, validation_alias=AliasChoices("filename", "fileName"))


class _Files(_Hal):
    attachments: LooseTuple[_Attachment] = ()


class _Thread(_Hal):
    id_: Loose[Id] = Field(default=None, alias="id")
    type: Loose[str] = None
    status: Loose[str] = None
    state: Loose[str] = None
    body: Loose[str] = None
    source: Loose[_Source] = None
    created_by: Loose[_Person] = None
    created_at: Loose[AwareDatetime] = None
    embedded: Loose[_Files] = Field(default=None, alias="_embedded")

    @property
    def id(self) -> str:
        """The id, or a substitute that is the same whenever the thread is read."""
        content = f"{self.created_at}:{self.type}:{self.body}".encode("utf-8", "replace")
        return self.id_ or f"sha256-{hashlib.sha256(content).hexdigest()[:32]}"

    @property
    def author(self) -> _Person:
        return self.created_by or _Person()

    @property
    def files(self) -> list[str]:
        return [file.name or "file" for file in self.embedded.attachments] if self.embedded else []

    @property
    def is_blank(self) -> bool:
        """True if there is certainly nothing to read. Otherwise there may still be HTML without words."""
        return is_blank(self.body) and not self.files

    @property
    def is_by_machine(self) -> bool:
        return self.source is not None and self.source.is_machine

    @property
    def is_shown(self) -> bool:
        """True for a message or a note, unless it is a draft, hidden, or awaits a review."""
        has_content = self.id_ is not None or bool(self.body or self.files)
        is_sent = self.state in _SHOWN_STATES or (self.state == "review" and self.author.type == "customer")
        return has_content and is_sent and self.type != "lineitem"


class _Field(_Hal):
    """A custom field, as the inbox defines it, or an option of a dropdown."""

    id: int
    name: str = Field(default="", validation_alias=AliasChoices("name", "label"))
    type: str = ""
    options: Loose[tuple["_Field", ...]] = None


class _Named(_Hal):
    """A user, a team or an inbox."""

    id: Id
    name: str = ""


class _Embedded(_Hal):
    users: LooseTuple[_Named] = ()
    teams: LooseTuple[_Named] = ()
    mailboxes: LooseTuple[_Named] = ()
    threads: LooseTuple[_Thread] = ()
    fields_: LooseTuple[_Field] = Field(default=(), alias="fields")


class _PageOf(_Hal):
    total_pages: int = 1


class _Page(_Hal):
    embedded: _Embedded | None = Field(default=None, alias="_embedded")  # absent if the list is empty
    page: Loose[_PageOf] = None


def _tag_name(value: Any) -> Any:
    return value.get("tag") if isinstance(value, dict) else value  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]


def _fill_in_list(value: Any) -> Any:
    return () if value is None else value


_TagName: TypeAlias = Annotated[str, BeforeValidator(_tag_name)]
_StrictTuple: TypeAlias = Annotated[tuple[T, ...], BeforeValidator(_fill_in_list)]
"""A list that may be absent or null, but whose elements must all be parsed, because it is written back as a whole."""
_MAILBOX = AliasChoices("mailboxId", AliasPath("mailbox", "id"))


class _Item(_Hal):
    """A conversation, in a webhook of payload version V2 or V3, or in a response of API version 2 or 3."""

    id: Id
    status: Loose[str] = None
    state: Loose[str] = None
    subject: Loose[str] = None
    threads: Loose[int] = None
    """The number of published threads, without notes. The threads themselves are embedded."""
    type: Loose[str] = None
    mailbox_id: Loose[str] = Field(default=None, validation_alias=_MAILBOX)
    source: Loose[_Source] = None
    closed_at: Loose[AwareDatetime] = None
    tags: LooseTuple[_TagName] = ()
    assignee: Loose[_Person] = None
    created_by: Loose[_Person] = None
    customer: Loose[_Person] = Field(default=None, validation_alias=AliasChoices("primaryCustomer", "customer"))
    embedded: Loose[_Embedded] = Field(default=None, alias="_embedded")

    @property
    def embedded_threads(self) -> Sequence[_Thread]:
        return self.embedded.threads if self.embedded else ()

    @property
    def is_closed(self) -> bool:
        return self.status in _CLOSED

    def as_customer(self) -> Customer:
        customer = self.customer or _Person()
        return Customer(id=customer.id, name=customer.full_name, email=customer.email or None)

    @property
    def is_by_customer(self) -> bool:
        return self.created_by is not None and self.created_by.type == "customer"


class _Value(_Hal):
    id: int
    value: str | None = None


class _Tags(_Hal):
    tags: _StrictTuple[_TagName] = ()


class _CustomFields(_Hal):
    mailbox_id: Id = Field(validation_alias=_MAILBOX)
    custom_fields: _StrictTuple[_Value] = ()


class _Link(_Hal):
    href: str = ""


class _Links(_Hal):
    about: _Link = _Link()


class _Detail(_Hal):
    path: Loose[str] = None
    message: Loose[str] = None
    links: Loose[_Links] = Field(default=None, alias="_links")


class _Details(_Hal):
    errors: tuple[_Detail, ...] = ()


class _Error(_Hal):
    log_ref: Loose[str] = None
    message: Loose[str] = None
    error: Loose[str] = None  # from the token endpoint, RFC 6749 5.2
    embedded: Loose[_Details] = Field(default=None, alias="_embedded")


class HelpScout(HelpDesk):
    """The adapter for Help Scout.

    Args:
        webhook_secret: The secret of the webhook, which you choose when you create it. During a rotation, pass the new
            and the old one.
        app_id: The id of an app created under Your Profile, My apps. It acts with the rights of the user who created
            it.
        app_secret: The app's secret.
        user_id: The id of the user that writes replies and notes. Use a dedicated user: everything that it writes
            counts as automatic.
        events: The webhook events to act on. Add `convo.customer.reply.created` to triage every customer message
            instead of only the first one of a conversation.
        api_version: The API version of the calls that read a conversation. `v3` distinguishes messages by an AI from
            those by a teammate; `v2` does not.
        machines: The ids of other users that are not human, such as an AI that version 2 presents as a user.
        account: The name of this Help Scout account in events, because deliveries do not contain one. If several
            accounts share an inbox, choose a different name for each.
        base_url: The API's address, if it is not Help Scout's, such as that of a proxy or a fake.

    Raises:
        ConfigurationError: Settings are missing or invalid. The message lists all of them.
    """

    name = "helpscout"
    title = "Help Scout"
    api_url = "https://api.helpscout.net"
    step_order: ClassVar[Mapping[type[Action], int]] = {**HelpDesk.step_order, Tag: HelpDesk.step_order[SetFields]}
    conversation_paths = ("id",)
    own_id_setting = "user_id"
    can = frozenset({Assign, Reply, Note, Tag, SetFields, Snooze, Close, MarkSpam})
    instead: ClassVar = {
        SetPriority: "its conversations have no priority. Use Tag or SetFields, and a view or a workflow on it.",
    }
    hints: ClassVar = {
        "token": "check {app_id} and {app_secret}",
        301: "the conversation has been merged into another one",
        401: "the user who created the app must be active, and the app must still exist",
        403: "the app's user lacks a right, or the plan has no API",
        404: "there is no such conversation (or it was merged), inbox, user or team",
        412: "the conversation is locked: it has 100 threads or is too old",
        423: "the customer is locked",
    }
    shown = ("user_id",)
    # Only a 429 says how long to wait. `Retry-After` belongs to the old API.
    # https://developer.helpscout.com/mailbox-api/overview/rate-limiting
    retry_headers = ("x-ratelimit-retry-after", "retry-after")
    numeric_ids = True
    appends_signature = True
    default_max_body = 5 * 1024 * 1024  # a webhook contains all messages of its conversation

    webhook_secret: SigningSecret = Field(description="the secret of your webhook")
    app_id: Secret = Field(description="the id of your app")
    app_secret: Secret = Field(description="the secret of your app")
    user_id: Number = Field(description="the number of a user")
    events: ListOf[EventName] = Field(default=("convo.created",), min_length=1, description="webhook events")
    api_version: Literal["v2", "v3"] = "v2"
    account: str = Field(
        default="default",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$",
        description="a short word of letters and digits",
    )

    @property
    def auth(self) -> ClientCredentials:
        """Source: https://developer.helpscout.com/mailbox-api/overview/authentication."""
        url = f"{self.url}/v2/oauth2/token"
        return ClientCredentials(url, self.app_id, self.app_secret, vendor=self.name, lifetime=3600.0)

    # Checking the set-up

    async def check_user(self, send: Send) -> str:
        """Check that the app's token belongs to `user_id`."""
        me = await self.get(_Named, "/v2/users/me", send)
        if me.id != self.user_id:
            raise ConfigurationError(
                f"The app belongs to user {me.id}, but user_id is {self.user_id}, so the adapter would take its own "
                f"replies for a human's. Set user_id to {me.id}, or use an app of user {self.user_id}."
            )
        return f"user {me.id}"

    async def find_teams(self, ids: Sequence[str], send: Send) -> Mapping[str, str]:
        """Return the teams."""
        return {team.id: team.name for page in await self._get_pages("/v2/teams", send) for team in page.teams}

    async def find_users(self, ids: Sequence[str], send: Send) -> Mapping[str, str]:
        """Return the users."""
        return {user.id: user.name for page in await self._get_pages("/v2/users", send) for user in page.users}

    async def find_fields(self, names: Sequence[str], send: Send) -> Mapping[str, str]:
        """Return the custom fields of all inboxes."""
        inboxes = [inbox.id for page in await self._get_pages("/v2/mailboxes", send) for inbox in page.mailboxes]
        pages = [page for id_ in inboxes for page in await self._get_pages(f"/v2/mailboxes/{id_}/fields", send)]
        return {str(field.id): field.name for page in pages for field in page.fields_}

    # Webhooks

    def verify(self, delivery: Delivery) -> None:
        """Verify `X-HelpScout-Signature`: the HMAC-SHA1 of the body in base64.

        No time is signed, so there is no replay window.
        Source: https://developer.helpscout.com/webhooks
        """
        signature = decode_base64(delivery.headers.get("x-helpscout-signature", ""))
        if not self.secrets.verify(delivery.body, signature, "sha1"):
            raise InvalidSignature(explain_rejection(delivery, "X-HelpScout-Signature", "the webhook's secret"))

    def parse(self, delivery: Delivery) -> Parsed:
        """Extract a customer's message from a `convo.*` webhook. Only an unsigned header names the event."""
        event = delivery.headers.get("x-helpscout-event")
        if event == _TEST:
            return Handshake(_TEST)
        if event is None:
            raise MalformedPayload(_explain_missing_event(parse_json(delivery.body)))
        # Allow only these events. Otherwise, an app that subscribes to more events would answer itself in a loop.
        if event not in self.events:
            return Ignored(f"event {safe_word(event)}")
        item = _Item.parse_body(delivery.body)
        if item.state not in (None, "published"):
            return Ignored(f"state {safe_word(item.state)}")
        if item.status == "spam":
            return Ignored("status spam")
        return self._parse_event(item, _KINDS[event], delivery)

    def _parse_event(self, item: _Item, kind: Kind, delivery: Delivery) -> Event | Ignored:
        shown = _sort_shown(item.embedded_threads)
        written = [thread for thread in shown if self._find_role(thread) == "customer"]
        message = written[-1] if written else None
        if message is None and (shown or (kind == "created" and not item.is_by_customer)):
            return Ignored("not written by a customer")
        if message is not None and all(thread.is_blank for thread in written) and not item.subject:
            return Ignored("the message is empty")
        at = message.created_at if message else None
        if item.source and item.source.is_archive:
            is_old = at is not None and delivery.received_at - at.timestamp() > _IMPORT_AGE
            if is_old or item.is_closed:
                return Ignored(f"imported from {safe_word(item.source.type)}")
        # Without threads there is no message id, and a delivery has no id, either, so use a hash of its bytes.
        message_id = message.id if message else f"sha256-{hashlib.sha256(delivery.body).hexdigest()[:32]}"
        return self.build_event(
            item.id,
            message_id,
            account=self.account,
            kind=kind,
            raw=delivery.body,
            customer=item.as_customer(),
            at=at,
        )

    @classmethod
    def link(cls, event: Event) -> str | None:
        """Return the address that the webhook contains. It ends with the conversation's number, unlike the API's id."""
        return find_link(parse_json(event.raw), "_links.web.href", "helpscout.net")

    # Conversations

    def read_delivery(self, event: Event) -> Conversation:
        """Return the conversation with the threads that the webhook contains."""
        item = _Item.parse_body(event.raw)
        return self._translate(item, item.embedded_threads, event.kind)

    async def read(self, conversation_id: str, send: Send) -> Conversation:
        """Read a conversation with its threads, and further pages of threads if not all are embedded.

        If the conversation was merged into another one, read that one.
        """

        async def get(id_: str) -> _Item:
            return await self.get(_Item, f"/{self.api_version}/conversations/{id_}?embed=threads", send)

        item = await follow_merges(get, conversation_id, self._find_merge_target)
        threads = {thread.id: thread for thread in item.embedded_threads}
        # Help Scout does not document whether all threads are embedded, but returns their number without notes.
        if not any(thread.is_shown for thread in threads.values()) or _lacks_threads(item, threads.values()):
            pages = await self._get_pages(f"/v2/conversations/{item.id}/threads", send)
            threads = {thread.id: thread for page in pages for thread in page.threads} | threads
        return self._translate(item, threads.values())

    def _find_merge_target(self, error: VendorError) -> str | None:
        """Return the conversation id in a redirect, which is not followed, so that the token cannot leak."""
        hosts = "|".join(re.escape(base) for base in (self.url, self.api_url))
        match = re.fullmatch(rf"(?:{hosts})?/v[23]/conversations/([0-9]{{1,20}})/?(?:\?.*)?", error.location or "")
        return match[1] if match and error.status == 301 else None

    async def _get_pages(self, path: str, send: Send) -> list[_Embedded]:
        pages: list[_Embedded] = []
        for number in range(1, _MAX_PAGES + 1):
            page = await self.get(_Page, f"{path}?page={number}", send)
            pages.append(page.embedded or _Embedded())
            if page.page is None or number >= page.page.total_pages:
                break
        return pages

    def _translate(self, item: _Item, threads: Iterable[_Thread], kind: Kind = "created") -> Conversation:
        threads = list(threads)
        shown = _sort_shown(threads)
        assignee = item.assignee or _Person()
        is_assigned = assignee.id not in _SYSTEM_IDS
        return self.build_conversation(
            item.id,
            [partial(self._translate_thread, thread) for thread in shown],
            subject=item.subject,
            customer=item.as_customer(),
            assignee=assignee.id if is_assigned and assignee.type in (None, "user") else None,
            team=assignee.id if is_assigned and assignee.type == "team" else None,
            is_closed=item.is_closed,
            closed_at=item.closed_at or _find_closing(threads),
            channel=item.type,
            inbox=item.mailbox_id,
            # There is no version for safe updates; a reply or a note must preserve the status.
            version=item.status,
            tags=item.tags,
            is_continued=_lacks_threads(item, threads) or (kind == "replied" and len(shown) == 1),
        )

    def _translate_thread(self, thread: _Thread) -> Message:
        role, author, plain = self._find_role(thread), thread.author, from_html(thread.body or "")
        # Not every customer's message is by the conversation's customer: a bounce comes from a mail server.
        reason = describe_automatic(address=author.email, name=author.full_name, text=plain.text)
        return self.build_message(
            thread.id,
            role,
            plain,
            author=author.id,
            at=thread.created_at,
            files=thread.files,
            is_automatic=role == "customer" and (thread.is_by_machine or reason is not None),
        )

    def _find_role(self, thread: _Thread) -> Role:
        if thread.type in _NOTES:
            return "note"
        author, source = thread.author, thread.source or _Source()
        if author.type:
            role = _ROLES.get(author.type, "bot")
        elif thread.type == "phone" and source.via == "customer":  # a voicemail
            role = "customer"
        else:
            role = _ROLES_WITHOUT_AUTHOR.get(thread.type, "bot")
        is_machine = author.id in (self.user_id, *_SYSTEM_IDS) or thread.is_by_machine
        return "bot" if role == "agent" and is_machine else role

    # Actions

    def plan(self, actions: Sequence[Action]) -> Sequence[Step]:
        """Order and group actions. If a policy only replies (or adds a note) and closes, the reply sets the status."""
        steps = super().plan(actions)
        # Not after other steps: closing waits until they are done.
        if (
            len(steps) == 2
            and isinstance(steps[0].actions[0], Reply | Note)
            and _find_status(steps[1].actions) == "closed"
        ):
            return build_steps([steps[0].actions + steps[1].actions])
        return steps

    def can_share_step(self, previous: Action, action: Action) -> bool:
        """Return whether one call does both. Tags and fields need the same read, and the last two set the status."""
        return any(
            isinstance(previous, kinds) and isinstance(action, kinds) for kinds in ((SetFields, Tag), (Close, MarkSpam))
        )

    async def perform(self, step: Step, conversation: Conversation, send: Send) -> Performed | None:
        """Perform a step with one call. Tags and fields need more: they are read, merged and written as whole lists."""
        path = f"/v2/conversations/{conversation.id}"
        match step.actions[0]:
            case Assign(team=team, user=user):
                # Users and teams share one range of ids: https://github.com/superdurable/dex-connectors-library
                what = f"the team {team!r}" if team else f"the user {user!r}"
                await self._send(self._patch(path, "assignTo", int(team or user or "")), what, send)
            case Reply() | Note() as action:
                response = await send(self._write(path, action, conversation, _find_status(step.actions)))
                # https://developer.helpscout.com/mailbox-api/endpoints/conversations/threads/reply
                thread_id = response.headers.get("resource-id")
                return Performed(message_ids=(thread_id,) if thread_id else ())
            case Tag() | SetFields():
                await self._label(conversation.id, step.actions, send)
            case Snooze(until=datetime() as until):
                await send(self._snooze(path, until))
            case Close() | MarkSpam():
                await send(self._patch(path, "status", _find_status(step.actions)))
            case action:
                self.reject(action)
        return None

    async def _send(self, request: Request, what: str, send: Send) -> None:
        """Make a call that sets a value of the policy, and name the value in the error if it is rejected."""
        with naming(what, self.title, unless=(404,)):  # then the conversation is gone
            await send(request)

    async def _label(self, conversation_id: str, actions: Sequence[Action], send: Send) -> None:
        # Read as late as possible, because any change between reading and writing is lost.
        request = self.request("GET", f"/{self.api_version}/conversations/{conversation_id}")
        response = await send(request)
        path = f"/v2/conversations/{conversation_id}"
        names = [name for action in select(actions, Tag) for name in action.names]
        if names:
            current = parse_response(_Tags, request, response, vendor=self.name).tags
            tags = add_names(current, names)
            if len(tags) > len(current):
                put = self.request("PUT", f"{path}/tags", {"tags": tags})
                await self._send(put, f"one of the tags {', '.join(map(repr, names))}", send)
        values = {name: value for action in select(actions, SetFields) for name, value in action.fields.items()}
        if values:
            item = parse_response(_CustomFields, request, response, vendor=self.name)
            await self._set_fields(path, item, values, send)

    async def _set_fields(self, path: str, item: _CustomFields, values: Mapping[str, object], send: Send) -> None:
        """Write the fields that fit the inbox, and then report those that do not.

        Raises:
            VendorError: The inbox has no such field or option, or the value has another form.
        """
        fields_path = f"/v2/mailboxes/{item.mailbox_id}/fields"
        known = [field for page in await self._get_pages(fields_path, send) for field in page.fields_]
        changed: dict[int, str] = {}
        problems: list[str] = []
        for name, value in values.items():
            field = _find(name, known)
            if field is None:
                problems.append(f"the inbox has no custom field {name!r}")
            elif (text := _convert(value, field)) is None:
                problems.append(f"the custom field {name!r} {_describe_values(field)}")
            else:
                changed[field.id] = text
        merged = {field.id: field.value for field in item.custom_fields} | changed
        fields = [{"id": id_, "value": value} for id_, value in merged.items() if value]
        if changed:
            put = self.request("PUT", f"{path}/fields", {"fields": fields})
            await self._send(put, f"one of the custom fields {', '.join(map(repr, values))}", send)
        if problems:
            message = "; ".join(problems) + ": correct the policy or the inbox"
            raise self._build_rejection(self.request("GET", fields_path), message)

    def _build_rejection(self, request: Request, message: str) -> VendorError:
        return VendorError(message, vendor=self.name, call=request.call, final=True)

    def _write(self, path: str, action: Reply | Note, conversation: Conversation, status: str | None) -> Request:
        """Build a reply or a note. Help Scout has no idempotency keys, so it must not be sent twice.

        Without a status, it would reopen the conversation.
        Source: https://developer.helpscout.com/mailbox-api/endpoints/conversations/threads/reply
        """
        # The variables of a saved reply look like {%customer.firstName%}. Help Scout does not document whether they
        # also work in text that is sent through the API.
        text = to_html(action.body).replace("{%", "&#123;%")
        body: dict[str, Any] = {"text": text, "user": int(self.user_id)}
        body["status"] = status or conversation.version or "active"
        if isinstance(action, Note):
            return self.request("POST", f"{path}/notes", body)
        request = self.request("POST", f"{path}/reply", body)
        if not (conversation.customer.id or "").isdecimal():
            raise self._build_rejection(request, "the conversation names no customer to answer")
        body["customer"] = {"id": int(conversation.customer.id or "")}
        return request

    def _patch(self, path: str, field: str, value: object) -> Request:
        """Send one operation, not a list: https://developer.helpscout.com/mailbox-api/endpoints/conversations/update/."""
        return self.request("PATCH", path, {"op": "replace", "path": f"/{field}", "value": value})

    def _snooze(self, path: str, until: datetime) -> Request:
        """Source: https://developer.helpscout.com/mailbox-api/endpoints/conversations/snooze/update/."""
        time = until.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return self.request("PUT", f"{path}/snooze", {"snoozedUntil": time, "unsnoozeOnCustomerReply": True})

    # Errors

    def parse_error(self, data: Mapping[str, Any], response: Response) -> ErrorFacts:
        """Parse an error in HAL, or one of the token endpoint.

        Source: https://developer.helpscout.com/mailbox-api/overview/errors
        """
        error = _Error.model_validate(data)
        details = error.embedded.errors if error.embedded else ()
        first = details[0] if details else _Detail()
        href = first.links.about.href if first.links else ""
        path = first.path and first.path.replace("[", ".").replace("]", "")
        return ErrorFacts(
            message=first.message or error.message,
            code=href.partition("#")[2] or error.error,
            request_id=(error.log_ref or response.headers.get("correlation-id", "")).partition("#")[0],
            hint=f"refused for {safe_word(path)}" if path else None,
        )


def _explain_missing_event(data: Mapping[str, JsonValue]) -> str:
    if "ticket" in data:
        return "a sidebar app's request: this address belongs under Webhooks, not under Apps"
    return "X-HelpScout-Event: missing"


def _sort_shown(threads: Iterable[_Thread]) -> list[_Thread]:
    """Return the messages and notes, oldest first."""
    shown = [thread for thread in threads if thread.is_shown]
    return sorted(shown, key=lambda thread: sort_key(thread.created_at, thread.id))


def _lacks_threads(item: _Item, threads: Iterable[_Thread]) -> bool:
    """Return whether the conversation has more messages than these threads."""
    public = sum(thread.is_shown and thread.type not in _NOTES for thread in threads)
    return public < (item.threads or 0)


def _find_closing(threads: Iterable[_Thread]) -> datetime | None:
    """Return when the conversation was last closed, if a thread shows it. Each thread has the status that it set."""
    closings = [thread for thread in threads if thread.status == "closed" and thread.type != "customer"]
    return max((thread.created_at for thread in closings if thread.created_at), default=None)


def _find_status(actions: Iterable[Action]) -> Literal["closed", "spam"] | None:
    """Return the status that the actions set."""
    kinds = {type(action) for action in actions}
    return "spam" if MarkSpam in kinds else "closed" if Close in kinds else None


def _find(name: str, fields: Iterable[_Field]) -> _Field | None:
    """Return the first field with this id, or with this name, ignoring case."""
    folded = name.strip().casefold()
    return next((field for field in fields if name == str(field.id) or folded == field.name.strip().casefold()), None)


def _convert(value: object, field: _Field) -> str | None:
    """Convert a value to the text of a custom field, or return None if it has another form. Empty text clears it."""
    text, kind = _to_text(value), field.type.replace("_", "").lower()
    if kind == "dropdown" and text:
        option = _find(text, field.options or ())
        return None if option is None else str(option.id)
    if kind in _FORMATS and text and not re.fullmatch(_FORMATS[kind][0], text):
        return None
    return text[: _MAX_LENGTHS.get(kind)]


def _describe_values(field: _Field) -> str:
    return f"needs {_FORMATS[field.type][1]}" if field.type in _FORMATS else "has no such option"


def _to_text(value: object) -> str:
    """Convert a value to text; numbers must be integers."""
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case float() if value.is_integer():
            return str(int(value))
        case _:
            return str(value)
