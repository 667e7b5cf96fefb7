"""Help Scout: https://developer.helpscout.com/webhooks and https://developer.helpscout.com/mailbox-api."""

import hashlib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import AliasChoices, AwareDatetime, BeforeValidator, ConfigDict, Field, JsonValue
from pydantic.alias_generators import to_camel

from triage import text as _text
from triage.actions import Action, Assign, Close, MarkSpam, Note, Reply, SetFields, SetPriority, Snooze, Tag
from triage.errors import ConfigurationError, InvalidSignature, MalformedPayload, VendorError
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
from triage.vendors import responses as _http
from triage.vendors._settings import required
from triage.vendors.base import Auth, Send
from triage.vendors.oauth import ClientCredentials
from triage.vendors.payload import Loose, Payload, parse_json, safe_word, sort_key
from triage.vendors.signing import Secrets, decode_base64

EventName: TypeAlias = Literal["convo.created", "convo.customer.reply.created"]

_BASE_URL = "https://api.helpscout.net"
_VERSIONS = ("v2", "v3")
_KINDS: dict[str, Literal["created", "replied"]] = {
    "convo.created": "created",
    "convo.customer.reply.created": "replied",
}
_TEST = "helpscout.test"
# By the author's type, or where no author is told by the thread's. Who is in neither is a machine: never answered.
_ROLES: dict[str, Role] = {"customer": "customer", "user": "agent"}
_ROLES_WITHOUT_AUTHOR: dict[str, Role] = {"customer": "customer", "message": "agent", "phone": "agent"}
_INTERNAL = frozenset({"note", "forwardparent", "forwardchild"})
_UNSAID = frozenset({"draft", "hidden"})
_UNASSIGNED = (None, "", "0", "1")
_MOST_PAGES = 8  # of 25 threads each; a conversation with 100 threads takes no more
_LONGEST = {"singleline": 255, "multiline": 15_000}

_HINTS = {
    301: "the conversation was merged into another one meanwhile",
    401: "the user who made the app must be active, and the app still be there",
    403: "the app's user lacks a right, or the plan has no API",
    404: "there is no such conversation (a merged one is gone too), inbox, user or team",
    412: "the conversation is locked: it has 100 threads or is too old",
    423: "the customer is locked",
}
_TOKEN_HINT = "check HELPSCOUT_APP_ID and HELPSCOUT_APP_SECRET"  # noqa: S105 - no secret


class _Hal(Payload):
    model_config = ConfigDict(alias_generator=to_camel)


class _Person(_Hal):
    id: Loose[str] = None
    type: Loose[str] = None
    first: Loose[str] = None
    last: Loose[str] = None
    email: Loose[str] = None


class _Attachment(_Hal):
    # Read in one spelling, written in another: https://github.com/helpscout/helpscout-api-php
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


class _Option(_Hal):
    id: int
    label: str = ""


class _Field(_Hal):
    """A custom field, as the inbox defines it."""

    id: int
    name: str = ""
    type: str = ""
    options: Loose[tuple[_Option, ...]] = None


class _Embedded(_Hal):
    threads: tuple[_Thread, ...] = ()
    fields_: tuple[_Field, ...] = Field(default=(), alias="fields")


class _PageOf(_Hal):
    total_pages: int = 1


class _Page(_Hal):
    embedded: _Embedded | None = Field(default=None, alias="_embedded")  # missing where the list is empty
    page: Loose[_PageOf] = None


def _tag_name(value: Any) -> Any:
    return value.get("tag") if isinstance(value, dict) else value  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]


_TagName: TypeAlias = Annotated[str, BeforeValidator(_tag_name)]


class _Item(_Hal):
    """A conversation, in a webhook of payload version V2 or V3 and in an answer of the API's v2 or v3."""

    id: Id
    status: Loose[str] = None
    state: Loose[str] = None
    subject: Loose[str] = None
    threads: Loose[int] = None
    """How many were said and published; the threads themselves are embedded."""
    tags: Loose[tuple[_TagName, ...]] = None
    assignee: Loose[_Person] = None
    created_by: Loose[_Person] = None
    customer: Loose[_Person] = Field(default=None, validation_alias=AliasChoices("primaryCustomer", "customer"))
    embedded: Loose[_Embedded] = Field(default=None, alias="_embedded")


class _Value(_Hal):
    id: int
    value: Loose[str] = None


class _Labels(_Hal):
    """What is written as a whole list, and so must be read well: what is not in the list is removed."""

    mailbox_id: Id
    tags: tuple[_TagName, ...]
    custom_fields: tuple[_Value, ...]


class _Link(_Hal):
    href: str = ""


class _Links(_Hal):
    about: _Link = _Link()


class _Fault(_Hal):
    path: Loose[str] = None
    message: Loose[str] = None
    links: Loose[_Links] = Field(default=None, alias="_links")


class _Faults(_Hal):
    errors: tuple[_Fault, ...] = ()


class _Error(_Hal):
    log_ref: Loose[str] = None
    message: Loose[str] = None
    error: Loose[str] = None  # of the token endpoint, RFC 6749 5.2
    embedded: Loose[_Faults] = Field(default=None, alias="_embedded")


class HelpScout:
    """The adapter for Help Scout.

    Args:
        webhook_secret: The secret of the webhook, chosen where it is made; while it is being rotated, the new and the
            old one.
        app_id: The id of an app made under Your Profile, My apps. It acts with the rights of the user who made it.
        app_secret: The app's secret.
        user_id: The id of the user in whose name replies and notes are written. Best one of its own: what it writes
            is ours.
        events: The webhook events that are acted upon. Add `convo.customer.reply.created` to triage every message of
            a customer and not only a conversation's first.
        api_version: Of the calls that read a conversation. `v3` tells an AI's messages from a teammate's, `v2` does
            not.
        account: What events call this Help Scout account, since no delivery names it. Give each its own where several
            share a store.
        base_url: The API's address in place of Help Scout's: a proxy, a fake.

    Raises:
        ConfigurationError: Something is empty or unknown.
    """

    name = "helpscout"
    can: frozenset[type[Action]] = frozenset({Assign, Reply, Note, Tag, SetFields, Snooze, Close, MarkSpam})
    instead: Mapping[type[Action], str] = {
        SetPriority: "its conversations have no priority. Use Tag or SetFields, and a view or a workflow on it.",
    }

    def __init__(
        self,
        *,
        webhook_secret: str | Sequence[str],
        app_id: str,
        app_secret: str,
        user_id: str,
        events: Iterable[EventName] = ("convo.created",),
        api_version: Literal["v2", "v3"] = "v2",
        account: str = "default",
        base_url: str | None = None,
    ) -> None:
        self._secrets = Secrets(webhook_secret, name="Help Scout's webhook_secret")
        if not app_id.strip() or not app_secret.strip():
            raise ConfigurationError("Help Scout's app_id or app_secret is empty: set both to those of your app.")
        if not user_id.isdecimal():
            raise ConfigurationError(f"Help Scout's user_id is the number of a user, not {user_id!r}.")
        if api_version not in _VERSIONS:
            raise ConfigurationError(f"Help Scout's api_version is one of {', '.join(_VERSIONS)}, not {api_version!r}.")
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", account):
            raise ConfigurationError(f"Help Scout's account is a short word of letters and digits, not {account!r}.")
        events = frozenset(events)
        if not events:
            raise ConfigurationError("Help Scout's events is empty: then nothing would be triaged.")
        unknown = sorted(events - set(_KINDS))
        if unknown:
            raise ConfigurationError(f"Help Scout's events: {unknown[0]!r} is not among {', '.join(_KINDS)}.")
        self._user_id = user_id
        self._events = events
        self._api_version = api_version
        self._account = account
        self._base_url = (base_url or _BASE_URL).rstrip("/")
        self._headers = {"Accept": "application/json", "Content-Type": "application/json"}
        # https://developer.helpscout.com/mailbox-api/overview/authentication
        self.auth: Auth = ClientCredentials(
            f"{self._base_url}/v2/oauth2/token", app_id, app_secret, vendor=self.name, lifetime=3600.0
        )

    @classmethod
    def from_env(cls, *, events: Iterable[EventName] = ("convo.created",)) -> Self:
        """Make one of the environment.

        Reads `HELPSCOUT_WEBHOOK_SECRET` (several separated by commas), `HELPSCOUT_APP_ID`, `HELPSCOUT_APP_SECRET`,
        `HELPSCOUT_USER_ID`, and if they are set `HELPSCOUT_API_VERSION`, `HELPSCOUT_ACCOUNT` and `HELPSCOUT_BASE_URL`.

        Args:
            events: As for the class.

        Raises:
            ConfigurationError: One that is needed is not set.
        """
        secret, app_id, app_secret, user_id = required(
            "HELPSCOUT_WEBHOOK_SECRET", "HELPSCOUT_APP_ID", "HELPSCOUT_APP_SECRET", "HELPSCOUT_USER_ID"
        )
        return cls(
            webhook_secret=secret.split(","),
            app_id=app_id,
            app_secret=app_secret,
            user_id=user_id,
            events=events,
            api_version=os.environ.get("HELPSCOUT_API_VERSION") or "v2",  # type: ignore[arg-type]  # the constructor checks it
            account=os.environ.get("HELPSCOUT_ACCOUNT") or "default",
            base_url=os.environ.get("HELPSCOUT_BASE_URL"),
        )

    def __repr__(self) -> str:
        return f"HelpScout({self._base_url!r}, user_id={self._user_id!r})"

    # Webhooks

    def verify(self, delivery: Delivery) -> None:
        """`X-HelpScout-Signature`: the HMAC-SHA1 of the body in base64. No time is signed: there is no replay window.

        Source: https://developer.helpscout.com/webhooks
        """
        signature = decode_base64(delivery.headers.get("x-helpscout-signature", ""))
        if not self._secrets.verify(delivery.body, signature, "sha1"):
            raise InvalidSignature("X-HelpScout-Signature is absent or not made with the webhook's secret")

    def parse(self, delivery: Delivery) -> Parsed:
        """Take a customer's message out of a `convo.*` webhook. Only a header names the event, and is not signed."""
        event = delivery.headers.get("x-helpscout-event")
        if event == _TEST:
            return Handshake(_TEST)
        if event is None:
            raise MalformedPayload(_without_event(parse_json(delivery.body)))
        # An allow-list: an app that is subscribed to more would otherwise answer itself without end.
        if event not in self._events:
            return Ignored(f"event {safe_word(event)}")
        data = parse_json(delivery.body)
        return self._event(_Item.parse_data(data), _KINDS[event], data, hashlib.sha256(delivery.body).hexdigest())

    def _event(
        self, item: _Item, kind: Literal["created", "replied"], raw: dict[str, JsonValue], digest: str
    ) -> Event | Ignored:
        if item.state not in (None, "published"):
            return Ignored(f"state {safe_word(item.state)}")
        if item.status == "spam":
            return Ignored("status spam")
        threads = _said(item.embedded.threads if item.embedded else ())
        conversation = self._conversation(item, threads)
        theirs = {thread.id for thread in threads if self._role(thread) == "customer"}
        message = next((message for message in reversed(conversation.messages) if message.id in theirs), None)
        if not theirs and (threads or (kind == "created" and _type(item.created_by) != "customer")):
            return Ignored("not written by a customer")
        if theirs and message is None:
            return Ignored("empty text")
        # A body without its threads has no message to name, and a delivery no id: its bytes stand in.
        message_id = message.id if message else f"sha256-{digest[:32]}"
        return Event.create(
            conversation,
            message_id,
            vendor=self.name,
            account=self._account,
            kind=kind,
            occurred_at=message.at if message else None,
            raw=raw,
        )

    # The conversation

    async def fetch(self, event: Event, send: Send) -> Conversation:
        """`GET /v2/conversations/{id}?embed=threads`, and the pages of threads where not all came with it.

        One that was merged into another is read under its new id.
        """
        return event.add_missing_message(await self._read(event.conversation_id, send))

    async def _read(self, conversation_id: str, send: Send) -> Conversation:
        async def read(id_: str) -> _Item:
            request = self._call("GET", f"/{self._api_version}/conversations/{id_}?embed=threads", idempotent=True)
            return _http.parse_response(_Item, request, await send(request), vendor=self.name)

        item = await _http.follow_merges(read, conversation_id, self._merged_into)
        threads = _said(item.embedded.threads if item.embedded else ())
        # Whether all threads are embedded is documented nowhere; how many there are is told, without the notes.
        if not threads or sum(thread.type not in _INTERNAL for thread in threads) < (item.threads or 0):
            pages = await self._pages(f"/v2/conversations/{item.id}/threads", send)
            known = {thread.id for thread in threads}
            threads += [one for page in pages for one in _said(page.threads) if one.id not in known]
        return self._conversation(item, threads)

    def _merged_into(self, error: VendorError) -> str | None:
        """The id behind a redirect. Only the id is taken: the token goes nowhere but to our own base URL."""
        hosts = "|".join(re.escape(base) for base in (self._base_url, _BASE_URL))
        match = re.fullmatch(rf"(?:{hosts})?/v[23]/conversations/([0-9]{{1,20}})/?(?:\?.*)?", error.location or "")
        return match[1] if match and error.status == 301 else None

    async def _pages(self, path: str, send: Send) -> list[_Embedded]:
        pages: list[_Embedded] = []
        for number in range(1, _MOST_PAGES + 1):
            request = self._call("GET", f"{path}?page={number}", idempotent=True)
            page = _http.parse_response(_Page, request, await send(request), vendor=self.name)
            pages.append(page.embedded or _Embedded())
            if page.page is None or number >= page.page.total_pages:
                break
        return pages

    def _conversation(self, item: _Item, threads: Iterable[_Thread]) -> Conversation:
        read = (
            self._message(thread)
            for thread in sorted(threads, key=lambda thread: sort_key(thread.created_at, thread.id))
        )
        messages = [message for message in read if message.text or message.attachments]
        customer = item.customer or _Person()
        assignee = item.assignee or _Person()
        nobody = assignee.type == "team" or assignee.id in (*_UNASSIGNED, self._user_id)
        return Conversation(
            id=item.id,
            subject=_text.clean(item.subject or ""),
            customer=Customer(
                id=customer.id,
                name=" ".join(part for part in (customer.first, customer.last) if part) or None,
                email=customer.email or None,
            ),
            messages=tuple(messages),
            assignee=None if nobody else assignee.id,
            has_automatic_reply=any(m.author == self._user_id and m.role == "bot" for m in messages),
            # There is no version to update against; what a reply or a note must leave as it is, is the status.
            version=item.status,
            tags=item.tags or (),
        )

    def _message(self, thread: _Thread) -> Message:
        plain = _text.from_html(thread.body or "")
        role = self._role(thread)
        files = thread.embedded.attachments if thread.embedded else ()
        return Message(
            id=thread.id,
            role=role,
            text=_text.strip_quotes(plain.text) if role == "customer" else plain.text,
            attachments=(*(file.name for file in files), *["image"] * plain.images),
            at=thread.created_at,
            author=thread.created_by.id if thread.created_by else None,
        )

    def _role(self, thread: _Thread) -> Role:
        if thread.type in _INTERNAL:
            return "note"
        author = thread.created_by or _Person()
        roles, told = (_ROLES, author.type) if author.type else (_ROLES_WITHOUT_AUTHOR, thread.type)
        role = roles.get(told or "", "bot")
        return "bot" if role == "agent" and author.id == self._user_id else role

    # Actions

    def plan(self, actions: Sequence[Action]) -> Sequence[Step]:
        """Tags and fields in one step, as both need the same reading; snoozing, closing and the spam mark last.

        A reply or note that is followed by `Close` alone carries the status itself.
        """
        for action in actions:
            if isinstance(action, Assign) and not (action.team or action.user or "").isdecimal():
                raise ConfigurationError(f"Help Scout's team and user ids are numbers; {action!r} has none.")
        labels = tuple(action for action in actions if isinstance(action, Tag | SetFields))
        ends = tuple(action for action in actions if isinstance(action, Close | MarkSpam))
        steps: list[tuple[Action, ...]] = []
        # A reply may wake a conversation, so snoozing comes after it.
        for action in sorted(actions, key=lambda action: isinstance(action, Snooze)):
            if isinstance(action, Tag | SetFields):
                steps += [labels] if action is labels[0] else []
            elif not isinstance(action, Close | MarkSpam):
                steps.append((action,))
        if steps and isinstance(steps[-1][0], Reply | Note) and _status(ends) == "closed":
            steps[-1] += ends
        elif ends:
            steps.append(ends)
        return [Step(actions=step) for step in steps]

    async def perform(self, step: Step, conversation: Conversation, send: Send) -> None:
        """Take a step. One call, but for tags and fields: those are read, merged and written as whole lists."""
        path = f"/v2/conversations/{conversation.id}"
        match step.actions[0]:
            case Assign(team=team, user=user):
                # Users and teams share their ids: https://github.com/superdurable/dex-connectors-library
                await send(self._changed(path, "assignTo", int(team or user or "")))
            case Reply() | Note() as message:
                await send(self._written(path, message, conversation, _status(step.actions)))
            case Tag() | SetFields():
                await self._label(conversation.id, step.actions, send)
            case Snooze(until=datetime() as until):
                await send(self._snoozed(path, until))
            case Close() | MarkSpam():
                await send(self._changed(path, "status", _status(step.actions)))
            case action:  # pragma: no cover
                raise AssertionError(f"`can` does not hold {action.type}")

    async def was_performed(self, step: Step, conversation: Conversation, send: Send) -> bool:
        """Look for a message of ours with the same words that was not there before. One call, as `fetch`."""
        known = {message.id for message in conversation.messages}
        current = await self._read(conversation.id, send)
        written = [
            (m.role, _text.normalize_for_comparison(m.text))
            for m in current.messages
            if m.author == self._user_id and m.id not in known
        ]
        # What follows our words may be a signature that was added to them.
        return all(
            any(
                role == kind and words.startswith(_text.normalize_for_comparison(action.body))
                for role, words in written
            )
            for action, kind in ((a, "bot" if isinstance(a, Reply) else "note") for a in step.actions)
            if isinstance(action, Reply | Note)
        )

    async def _label(self, conversation_id: str, actions: Sequence[Action], send: Send) -> None:
        # As late as possible: what somebody else changes between this reading and the writing is lost.
        request = self._call("GET", f"/{self._api_version}/conversations/{conversation_id}", idempotent=True)
        current = _http.parse_response(_Labels, request, await send(request), vendor=self.name)
        path = f"/v2/conversations/{conversation_id}"
        tags = {name.casefold(): name for name in current.tags}
        for name in (name for action in actions if isinstance(action, Tag) for name in action.names):
            tags.setdefault(name.casefold(), name)
        if len(tags) > len(current.tags):
            await send(self._call("PUT", f"{path}/tags", {"tags": list(tags.values())}, idempotent=True))
        wanted = {name: v for action in actions if isinstance(action, SetFields) for name, v in action.fields.items()}
        if wanted:
            changed = await self._resolved(wanted, current.mailbox_id, send)
            values = {one.id: one.value for one in current.custom_fields} | changed
            body = {"fields": [{"id": id_, "value": value} for id_, value in values.items() if value]}
            await send(self._call("PUT", f"{path}/fields", body, idempotent=True))

    async def _resolved(self, wanted: Mapping[str, object], mailbox_id: str, send: Send) -> dict[int, str]:
        """Ids for what the policy names by id or name: fields, and the options of dropdowns. Empty text clears."""
        path = f"/v2/mailboxes/{mailbox_id}/fields"
        fields = [field for page in await self._pages(path, send) for field in page.fields_]
        resolved: dict[int, str] = {}
        for name, value in wanted.items():
            field = next((f for f in fields if _same(name, f.id, f.name)), None)
            if field is None:
                raise self._misfit(path, f"the inbox has no custom field {name!r}")
            text = _as_text(value)
            if field.type == "dropdown" and text:
                option = next((o for o in field.options or () if _same(text, o.id, o.label)), None)
                if option is None:
                    raise self._misfit(path, f"the custom field {name!r} has no such option")
                text = str(option.id)
            resolved[field.id] = text[: _LONGEST.get(field.type.replace("_", "").lower())]
        return resolved

    def _misfit(self, path: str, message: str) -> VendorError:
        return _http.unexpected_response(self._call("GET", path), vendor=self.name, message=message)

    # Requests

    def _written(self, path: str, action: Reply | Note, conversation: Conversation, status: str | None) -> Request:
        """A reply or a note. Help Scout knows no idempotency key, so it must not be sent twice.

        Without a status it would open the conversation again.
        Source: https://developer.helpscout.com/mailbox-api/endpoints/conversations/threads/reply
        """
        # A saved reply's variables look like {%customer.firstName%}; whether a text of the API's may have them, too, is
        # documented nowhere.
        text = _text.to_html(action.body).replace("{%", "&#123;%")
        body: dict[str, Any] = {"text": text, "user": int(self._user_id), "status": status or conversation.version}
        body["status"] = body["status"] or "active"
        if isinstance(action, Note):
            return self._call("POST", f"{path}/notes", body)
        request = self._call("POST", f"{path}/reply", body)
        if not (conversation.customer.id or "").isdecimal():
            raise _http.unexpected_response(
                request, vendor=self.name, message="the conversation names no customer to answer"
            )
        body["customer"] = {"id": int(conversation.customer.id or "")}
        return request

    def _changed(self, path: str, field: str, value: object) -> Request:
        """One operation, no list: https://developer.helpscout.com/mailbox-api/endpoints/conversations/update/."""
        return self._call("PATCH", path, {"op": "replace", "path": f"/{field}", "value": value}, idempotent=True)

    def _snoozed(self, path: str, until: datetime) -> Request:
        """Source: https://developer.helpscout.com/mailbox-api/endpoints/conversations/snooze/update/."""
        time = until.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        body = {"snoozedUntil": time, "unsnoozeOnCustomerReply": True}
        return self._call("PUT", f"{path}/snooze", body, idempotent=True)

    def _call(
        self,
        method: Literal["GET", "POST", "PUT", "PATCH"],
        path: str,
        body: object = None,
        *,
        idempotent: bool = False,
    ) -> Request:
        return Request(method, self._base_url + path, body, self._headers, idempotent)

    def pause(self, response: Response, now: float) -> float | None:
        """Read how long to wait, which only a 429 tells: when the minute is over is told nowhere else.

        Source: https://developer.helpscout.com/mailbox-api/overview/rate-limiting
        """
        wait = _http.parse_seconds(response.headers, "x-ratelimit-retry-after")
        # The plain header is the old API's.
        return _http.parse_seconds(response.headers, "retry-after") if wait is None else wait

    def error(self, request: Request, response: Response, now: float) -> VendorError:
        """Read an error in HAL, or one of the token endpoint.

        Source: https://developer.helpscout.com/mailbox-api/overview/errors
        """
        body = response.data()
        told = _Error.model_validate(body) if isinstance(body, dict) else _Error()
        faults = told.embedded.errors if told.embedded else ()
        first = faults[0] if faults else _Fault()
        href = first.links.about.href if first.links else ""
        hint = _TOKEN_HINT if request.url.endswith("/oauth2/token") else _HINTS.get(response.status)
        if hint is None and first.path:
            hint = f"refused for {safe_word(first.path.replace('[', '.').replace(']', ''))}"
        return _http.build_error(
            request,
            response,
            vendor=self.name,
            message=first.message or told.message,
            hint=hint,
            code=href.partition("#")[2] or told.error,
            request_id=(told.log_ref or response.headers.get("correlation-id", "")).partition("#")[0],
            retry_after=self.pause(response, now),
        )


def _without_event(data: Mapping[str, JsonValue]) -> str:
    """What to say of a delivery that names no event."""
    if "ticket" in data:
        return "a sidebar app's request: this address belongs under Webhooks, not under Apps"
    return "X-HelpScout-Event: missing"


def _said(threads: Iterable[_Thread]) -> list[_Thread]:
    """Without what happened in no words, and what nobody was told."""
    return [thread for thread in threads if thread.type != "lineitem" and thread.state not in _UNSAID]


def _type(person: _Person | None) -> str | None:
    return person.type if person else None


def _status(actions: Iterable[Action]) -> Literal["closed", "spam"] | None:
    """The status that actions ask for."""
    wanted = {type(action) for action in actions}
    return "spam" if MarkSpam in wanted else "closed" if Close in wanted else None


def _same(given: str, id_: int, name: str) -> bool:
    return given == str(id_) or given.strip().casefold() == name.strip().casefold()


def _as_text(value: object) -> str:
    """A custom field's value; numbers must be whole ones."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
