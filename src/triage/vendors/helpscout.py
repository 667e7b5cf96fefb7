"""Help Scout: https://developer.helpscout.com/webhooks and https://developer.helpscout.com/mailbox-api."""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import AliasChoices, AwareDatetime, BeforeValidator, ConfigDict, Field, JsonValue
from pydantic.alias_generators import to_camel

from triage.actions import Action, Assign, Close, MarkSpam, Note, Reply, SetFields, SetPriority, Snooze, Tag
from triage.errors import InvalidSignature, MalformedPayload, VendorError
from triage.models import (
    Conversation,
    Customer,
    Delivery,
    Event,
    Handshake,
    Ignored,
    Message,
    Parsed,
    Request,
    Response,
    Step,
)
from triage.text import from_html, to_html
from triage.vendors.base import ErrorFacts, HelpDesk, Id, Kind, Role, Send, add_names, build_steps, select
from triage.vendors.oauth import ClientCredentials
from triage.vendors.payload import Loose, Payload, parse_json, safe_word, sort_key
from triage.vendors.responses import follow_merges, unexpected_response
from triage.vendors.settings import ListOf, Number, Secret, SigningSecret
from triage.vendors.signing import decode_base64, explain_rejection

EventName: TypeAlias = Literal["convo.created", "convo.customer.reply.created"]

_KINDS: Mapping[str, Kind] = {"convo.created": "created", "convo.customer.reply.created": "replied"}
_TEST = "helpscout.test"
# By the author's type, or by the thread's if there is no author. Anybody else is a machine, which never gets an answer.
_ROLES: Mapping[str | None, Role] = {"customer": "customer", "user": "agent"}
_ROLES_WITHOUT_AUTHOR: Mapping[str | None, Role] = {"customer": "customer", "message": "agent", "phone": "agent"}
_NOTES = frozenset({"note", "forwardparent", "forwardchild"})
_NOBODY = "1"
# Actions that share a step.
_GROUPS: Mapping[type[Action], str] = {Tag: "labels", SetFields: "labels", Close: "ends", MarkSpam: "ends"}
_MAX_PAGES = 8  # of 25 threads each; a conversation with 100 threads accepts no more
_MAX_LENGTHS = {"singleline": 255, "multiline": 15_000}


class _Hal(Payload):
    model_config = ConfigDict(alias_generator=to_camel)


class _Person(_Hal):
    id: Loose[str] = None
    type: Loose[str] = None
    first: Loose[str] = None
    last: Loose[str] = None
    email: Loose[str] = None

    @property
    def full_name(self) -> str | None:
        return " ".join(part for part in (self.first, self.last) if part) or None


class _Attachment(_Hal):
    # The name differs between reads and writes: https://github.com/helpscout/helpscout-api-php
    name: str = Field(default="file", validation_alias=AliasChoices("filename", "fileName"))


class _Files(_Hal):
    attachments: tuple[_Attachment, ...] = ()


class _Thread(_Hal):
    id: Id
    type: Loose[str] = None
    state: Loose[str] = None
    body: str | None = None
    created_by: Loose[_Person] = None
    created_at: Loose[AwareDatetime] = None
    embedded: Loose[_Files] = Field(default=None, alias="_embedded")


class _Field(_Hal):
    """A custom field, as the inbox defines it, or an option of a dropdown."""

    id: int
    name: str = Field(default="", validation_alias=AliasChoices("name", "label"))
    type: str = ""
    options: Loose[tuple["_Field", ...]] = None


class _Embedded(_Hal):
    threads: tuple[_Thread, ...] = ()
    fields_: tuple[_Field, ...] = Field(default=(), alias="fields")

    @property
    def shown_threads(self) -> list[_Thread]:
        """The threads that have content, and are neither drafts nor hidden."""
        return [
            thread for thread in self.threads if thread.type != "lineitem" and thread.state not in ("draft", "hidden")
        ]


class _PageOf(_Hal):
    total_pages: int = 1


class _Page(_Hal):
    embedded: _Embedded | None = Field(default=None, alias="_embedded")  # absent if the list is empty
    page: Loose[_PageOf] = None


def _tag_name(value: Any) -> Any:
    return value.get("tag") if isinstance(value, dict) else value  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]


_TagName: TypeAlias = Annotated[str, BeforeValidator(_tag_name)]


class _Item(_Hal):
    """A conversation, in a webhook of payload version V2 or V3, or in a response of API version 2 or 3."""

    id: Id
    status: Loose[str] = None
    state: Loose[str] = None
    subject: Loose[str] = None
    threads: Loose[int] = None
    """The number of published threads, without notes. The threads themselves are embedded."""
    tags: Loose[tuple[_TagName, ...]] = None
    assignee: Loose[_Person] = None
    created_by: Loose[_Person] = None
    customer: Loose[_Person] = Field(default=None, validation_alias=AliasChoices("primaryCustomer", "customer"))
    embedded: Loose[_Embedded] = Field(default=None, alias="_embedded")

    @property
    def shown_threads(self) -> list[_Thread]:
        return self.embedded.shown_threads if self.embedded else []

    @property
    def is_by_customer(self) -> bool:
        return self.created_by is not None and self.created_by.type == "customer"


class _Value(_Hal):
    id: int
    value: Loose[str] = None


class _Labels(_Hal):
    """Strict: tags and fields are written as complete lists, so any that were not parsed would be removed."""

    mailbox_id: Id
    tags: tuple[_TagName, ...]
    custom_fields: tuple[_Value, ...]


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
        account: The name of this Help Scout account in events, because deliveries do not contain one. If several
            accounts share an inbox, choose a different name for each.
        base_url: The API's address, if it is not Help Scout's, such as that of a proxy or a fake.

    Raises:
        ConfigurationError: Settings are missing or invalid. The message lists all of them.
    """

    name = "helpscout"
    title = "Help Scout"
    api_url = "https://api.helpscout.net"
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

    # Webhooks

    def verify(self, delivery: Delivery) -> None:
        """Verify `X-HelpScout-Signature`: the HMAC-SHA1 of the body in base64.

        No time is signed, so there is no replay window.
        Source: https://developer.helpscout.com/webhooks
        """
        signature = decode_base64(delivery.headers.get("x-helpscout-signature", ""))
        if not self.secrets.verify(delivery.body, signature, "sha1"):
            raise InvalidSignature(explain_rejection(delivery.headers, "X-HelpScout-Signature", "the webhook's secret"))

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
        data = parse_json(delivery.body)
        item = _Item.parse_data(data)
        if item.state not in (None, "published"):
            return Ignored(f"state {safe_word(item.state)}")
        if item.status == "spam":
            return Ignored("status spam")
        return self._parse_event(item, _KINDS[event], data, hashlib.sha256(delivery.body).hexdigest())

    def _parse_event(self, item: _Item, kind: Kind, raw: dict[str, JsonValue], digest: str) -> Event | Ignored:
        threads = item.shown_threads
        conversation = self._translate(item, threads)
        message = conversation.latest
        if message is None and (threads or (kind == "created" and not item.is_by_customer)):
            return Ignored("not written by a customer")
        if message is not None and conversation.is_empty:
            return Ignored("the message is empty")
        # Without threads there is no message id, and a delivery has no id, either, so use a hash of its bytes.
        message_id, at = (message.id, message.at) if message else (f"sha256-{digest[:32]}", None)
        return self.build_event(conversation, message_id, account=self.account, kind=kind, raw=raw, at=at)

    # Conversations

    async def read(self, conversation_id: str, send: Send) -> Conversation:
        """Read a conversation with its threads, and further pages of threads if not all are embedded.

        If the conversation was merged into another one, read that one.
        """

        async def get(id_: str) -> _Item:
            return await self.get(_Item, f"/{self.api_version}/conversations/{id_}?embed=threads", send)

        item = await follow_merges(get, conversation_id, self._find_merge_target)
        threads = {thread.id: thread for thread in item.shown_threads}
        # Help Scout does not document whether all threads are embedded, but returns their number without notes.
        if not threads or sum(thread.type not in _NOTES for thread in threads.values()) < (item.threads or 0):
            pages = await self._get_pages(f"/v2/conversations/{item.id}/threads", send)
            threads = {thread.id: thread for page in pages for thread in page.shown_threads} | threads
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

    def _translate(self, item: _Item, threads: Iterable[_Thread]) -> Conversation:
        customer, assignee = item.customer or _Person(), item.assignee or _Person()
        return self.build_conversation(
            item.id,
            map(self._translate_thread, sorted(threads, key=lambda thread: sort_key(thread.created_at, thread.id))),
            subject=item.subject,
            customer=Customer(id=customer.id, name=customer.full_name, email=customer.email or None),
            assignee=None if assignee.type == "team" or assignee.id == _NOBODY else assignee.id,
            # There is no version for safe updates; a reply or a note must preserve the status.
            version=item.status,
            tags=item.tags or (),
        )

    def _translate_thread(self, thread: _Thread) -> Message:
        return self.build_message(
            thread.id,
            self._find_role(thread),
            from_html(thread.body or ""),
            author=thread.created_by.id if thread.created_by else None,
            at=thread.created_at,
            files=(file.name for file in thread.embedded.attachments) if thread.embedded else (),
        )

    def _find_role(self, thread: _Thread) -> Role:
        if thread.type in _NOTES:
            return "note"
        author = thread.created_by or _Person()
        role = _ROLES.get(author.type, "bot") if author.type else _ROLES_WITHOUT_AUTHOR.get(thread.type, "bot")
        return "bot" if role == "agent" and author.id == self.user_id else role

    # Actions

    def plan(self, actions: Sequence[Action]) -> Sequence[Step]:
        """Merge tags and fields, which need the same read. Snoozing, closing and the spam mark come last.

        If only `Close` follows a reply or a note, the reply or note sets the status itself. A reply may wake a snoozed
        conversation, so snoozing comes after it.
        """
        groups: dict[object, list[Action]] = {}
        for action in sorted(actions, key=lambda action: isinstance(action, Snooze)):
            groups.setdefault(_GROUPS.get(type(action)) or id(action), []).append(action)
        ends = groups.pop("ends", [])
        steps = [*groups.values(), ends]
        if len(steps) > 1 and isinstance(steps[-2][0], Reply | Note) and _find_status(ends) == "closed":
            steps[-2:] = [steps[-2] + ends]
        return build_steps(steps)

    async def perform(self, step: Step, conversation: Conversation, send: Send) -> None:
        """Perform a step with one call. Tags and fields need more: they are read, merged and written as whole lists."""
        path = f"/v2/conversations/{conversation.id}"
        match step.actions[0]:
            case Assign(team=team, user=user):
                # Users and teams share one range of ids: https://github.com/superdurable/dex-connectors-library
                await send(self._patch(path, "assignTo", int(team or user or "")))
            case Reply() | Note() as action:
                await send(self._write(path, action, conversation, _find_status(step.actions)))
            case Tag() | SetFields():
                await self._label(conversation.id, step.actions, send)
            case Snooze(until=datetime() as until):
                await send(self._snooze(path, until))
            case Close() | MarkSpam():
                await send(self._patch(path, "status", _find_status(step.actions)))
            case action:
                self.reject(action)

    async def _label(self, conversation_id: str, actions: Sequence[Action], send: Send) -> None:
        # Read as late as possible, because any change between reading and writing is lost.
        current = await self.get(_Labels, f"/{self.api_version}/conversations/{conversation_id}", send)
        path = f"/v2/conversations/{conversation_id}"
        tags = add_names(current.tags, (name for action in select(actions, Tag) for name in action.names))
        if len(tags) > len(current.tags):
            await send(self.request("PUT", f"{path}/tags", {"tags": tags}))
        values = {name: value for action in select(actions, SetFields) for name, value in action.fields.items()}
        if values:
            changed = await self._resolve_fields(values, f"/v2/mailboxes/{current.mailbox_id}/fields", send)
            merged = {field.id: field.value for field in current.custom_fields} | changed
            fields = [{"id": id_, "value": value} for id_, value in merged.items() if value]
            await send(self.request("PUT", f"{path}/fields", {"fields": fields}))

    async def _resolve_fields(self, values: Mapping[str, object], path: str, send: Send) -> dict[int, str]:
        """Find the ids of fields and dropdown options that a policy names by id or name. Empty text clears a field."""
        fields = [field for page in await self._get_pages(path, send) for field in page.fields_]
        resolved: dict[int, str] = {}
        for name, value in values.items():
            field = _find(name, fields)
            if field is None:
                raise self._mismatch(path, f"the inbox has no custom field {name!r}")
            text = _to_text(value)
            if field.type == "dropdown" and text:
                option = _find(text, field.options or ())
                if option is None:
                    raise self._mismatch(path, f"the custom field {name!r} has no such option")
                text = str(option.id)
            resolved[field.id] = text[: _MAX_LENGTHS.get(field.type.replace("_", "").lower())]
        return resolved

    def _mismatch(self, path: str, message: str) -> VendorError:
        return unexpected_response(self.request("GET", path), vendor=self.name, message=message)

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
            message = "the conversation names no customer to answer"
            raise unexpected_response(request, vendor=self.name, message=message)
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


def _find_status(actions: Iterable[Action]) -> Literal["closed", "spam"] | None:
    """Return the status that the actions set."""
    kinds = {type(action) for action in actions}
    return "spam" if MarkSpam in kinds else "closed" if Close in kinds else None


def _find(name: str, fields: Iterable[_Field]) -> _Field | None:
    """Return the first field with this id, or with this name, ignoring case."""
    folded = name.strip().casefold()
    return next((field for field in fields if name == str(field.id) or folded == field.name.strip().casefold()), None)


def _to_text(value: object) -> str:
    """Convert a value to the text of a custom field; numbers must be integers."""
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case float() if value.is_integer():
            return str(int(value))
        case _:
            return str(value)
