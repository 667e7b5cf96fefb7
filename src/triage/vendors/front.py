"""Front: https://dev.frontapp.com/docs/webhooks-1 and https://dev.frontapp.com/reference/conversations."""

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, Self, TypeAlias
from urllib.parse import parse_qs, urlsplit

from pydantic import Field, JsonValue

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
from triage.vendors.base import Send
from triage.vendors.payload import Loose, Payload, parse_json, parse_timestamp, safe_word
from triage.vendors.signing import Secrets, decode_base64

Source: TypeAlias = Literal["application", "rule"]

_BASE_URL = "https://api2.frontapp.com"
# What both systems call the one event that matters: https://dev.frontapp.com/reference/events
_INBOUND: Mapping[str, str] = {"application": "inbound_received", "rule": "inbound"}
_WINDOW = 300.0  # seconds: https://dev.frontapp.com/docs/security-1
_FIRST_WITHIN = 60.0  # seconds; a message this much younger than its conversation is a later one
_CHALLENGE = re.compile(r"[\w.~+/=:-]{1,256}", re.ASCII)
_MOST_PAGES = 5  # of 100 entries each
_LONGEST_TAG = 64
_MILLISECONDS = 600.0  # a Retry-After above it is told in milliseconds, as some say

_HINTS = {
    301: "the conversation was merged into another one meanwhile",
    401: "check FRONT_API_TOKEN",
    403: "the API token lacks a scope, or the namespace of shared resources",
    404: "there is no such conversation, inbox, teammate, channel or tag, or the token may not see it",
}


class _Person(Payload):
    id: Loose[str] = None
    type: str = "user"


class _Related(Payload):
    contact: Loose[str] = None


class _Links(Payload):
    related: Loose[_Related] = None


class _Recipient(Payload):
    name: Loose[str] = None
    handle: Loose[str] = None
    role: Loose[str] = None
    links: Loose[_Links] = Field(default=None, alias="_links")


class _File(Payload):
    filename: str = "file"


class _Message(Payload):
    id: Id
    is_inbound: bool | None = None
    is_draft: Loose[bool] = None
    created_at: Loose[float] = None
    subject: Loose[str] = None
    text: str | None = None
    body: str | None = None
    blurb: Loose[str] = None
    author: _Person | None = None
    recipients: Loose[tuple[_Recipient, ...]] = None
    attachments: Loose[tuple[_File, ...]] = None


class _Label(Payload):
    id: Id
    name: str = ""


class _Item(Payload):
    """A conversation, in an event and in an answer of the API."""

    id: Id
    subject: Loose[str] = None
    assignee: Loose[_Person] = None
    recipient: Loose[_Recipient] = None
    tags: Loose[tuple[_Label, ...]] = None
    created_at: Loose[float] = None


class _Fields(Payload):
    """What is written as a whole, and so must be read well: what is not in it is erased."""

    custom_fields: dict[str, JsonValue]


class _Meta(Payload):
    type: str = ""


class _Place(Payload):
    id: Loose[str] = None


class _Where(Payload):
    meta: _Meta = Field(default=_Meta(), alias="_meta")
    data: Loose[tuple[_Place, ...]] = None


class _What(Payload):
    meta: _Meta = Field(default=_Meta(), alias="_meta")
    data: _Message | None = None


class _Happening(Payload):
    """An event: the body of a rule's webhook, the payload of an application's."""

    id: Id
    conversation: _Item
    source: _Where = _Where()
    target: _What = _What()


class _Authorization(Payload):
    id: Loose[str] = None


class _Pagination(Payload):
    next: Loose[str] = None


class _Listed(Payload):
    pagination: Loose[_Pagination] = Field(default=None, alias="_pagination")


class _Messages(_Listed):
    results: tuple[_Message, ...] = Field(alias="_results")


class _Comment(Payload):
    id: Id
    body: Loose[str] = None
    author: Loose[_Person] = None


class _Comments(_Listed):
    results: tuple[_Comment, ...] = Field(alias="_results")


class _Labels(_Listed):
    results: tuple[_Label, ...] = Field(alias="_results")


class _Fault(Payload):
    title: Loose[str] = None
    message: Loose[str] = None


class _Error(Payload):
    error: Loose[_Fault] = Field(default=None, alias="_error")


class Front:
    """The adapter for Front.

    Args:
        webhook_secret: What signs the webhooks: the app's secret (Basic information) for an application's, the API
            secret of the Webhooks app for a rule's; while it is being rotated, the new and the old one.
        api_token: An API token, made by an admin.
        company_id: The company's id (`cmp_…`, from `GET /me`). Deliveries of another company are ignored.
        author_id: The id of the teammate (`tea_…`) in whose name replies and comments are written. Best one of its
            own: what it writes is ours.
        source: What sends the webhooks: the webhooks of an `application`, or the action of a `rule`. The two are
            signed differently, so the request is not asked.
        channel_id: The channel (`cha_…`) that replies are sent from; None leaves it to Front.
        inboxes: Ids (`inb_…`) of the inboxes to triage; empty for all that send webhooks.
        messages: Which messages of customers are triaged: the `first` of each conversation, or `all`. Front has no
            event of its own for a new conversation; what came within a minute of its beginning counts as the first.
        teams: What a team is, since nothing can be assigned to one: `inboxes` to move conversations to, or `tags` to
            which a rule reacts.
        spam_tag: The tag of `MarkSpam`, which archives as well.
        spam_status: True if `MarkSpam` is to set Front's status `spam` instead. It cannot be read back.
        base_url: The API's address in place of Front's: a proxy, a fake.

    Raises:
        ConfigurationError: Something is empty or unknown.
    """

    name = "front"
    auth = None  # every request carries the API token
    can: frozenset[type[Action]] = frozenset({Assign, Reply, Note, Tag, SetFields, Close, MarkSpam})
    instead: Mapping[type[Action], str] = {
        SetPriority: "its conversations have no priority. Use Tag, and a rule on it.",
        Snooze: "snoozing is not in the part of its API that is public to all. Use Tag, and a rule on it.",
    }

    def __init__(
        self,
        *,
        webhook_secret: str | Sequence[str],
        api_token: str,
        company_id: str,
        author_id: str,
        source: Source = "application",
        channel_id: str | None = None,
        inboxes: Iterable[str] = (),
        messages: Literal["first", "all"] = "first",
        teams: Literal["inboxes", "tags"] = "inboxes",
        spam_tag: str = "spam",
        spam_status: bool = False,
        base_url: str | None = None,
    ) -> None:
        self._secrets = Secrets(webhook_secret, name="Front's webhook_secret")
        if not api_token.strip():
            raise ConfigurationError("Front's api_token is empty: set it to an API token.")
        if source not in _INBOUND:
            raise ConfigurationError(f"Front's source is one of {', '.join(_INBOUND)}, not {source!r}.")
        if messages not in ("first", "all"):
            raise ConfigurationError(f"Front's messages is first or all, not {messages!r}.")
        if teams not in ("inboxes", "tags"):
            raise ConfigurationError(f"Front's teams is inboxes or tags, not {teams!r}.")
        if not 1 <= len(spam_tag.strip()) <= _LONGEST_TAG:
            raise ConfigurationError(f"Front's spam_tag has 1 to {_LONGEST_TAG} characters.")
        self._company_id = _id("cmp", company_id, "company_id")
        self._author_id = _id("tea", author_id, "author_id")
        self._channel_id = _id("cha", channel_id, "channel_id") if channel_id is not None else None
        self._inboxes = frozenset(_id("inb", inbox, "inboxes") for inbox in inboxes)
        self._source: Source = source
        self._all = messages == "all"
        self._teams_are_tags = teams == "tags"
        self._spam_tag = spam_tag
        self._spam_status = spam_status
        self._base_url = (base_url or _BASE_URL).rstrip("/")
        self._headers = {
            "Authorization": f"Bearer {api_token}",
            "Accept": "application/json",
            "Content-Type": "application/json",
        }

    @classmethod
    def from_env(cls, *, messages: Literal["first", "all"] = "first") -> Self:
        """Make one of the environment.

        Reads `FRONT_WEBHOOK_SECRET` (several separated by commas), `FRONT_API_TOKEN`, `FRONT_COMPANY_ID`,
        `FRONT_AUTHOR_ID`, and if they are set `FRONT_SOURCE`, `FRONT_CHANNEL_ID`, `FRONT_INBOXES` (separated by
        commas), `FRONT_TEAMS` and `FRONT_BASE_URL`.

        Args:
            messages: As for the class.

        Raises:
            ConfigurationError: One that is needed is not set.
        """
        secret, token, company_id, author_id = required(
            "FRONT_WEBHOOK_SECRET", "FRONT_API_TOKEN", "FRONT_COMPANY_ID", "FRONT_AUTHOR_ID"
        )
        return cls(
            webhook_secret=secret.split(","),
            api_token=token,
            company_id=company_id,
            author_id=author_id,
            source=os.environ.get("FRONT_SOURCE") or "application",  # type: ignore[arg-type]  # the constructor checks it
            channel_id=os.environ.get("FRONT_CHANNEL_ID") or None,
            inboxes=[inbox for inbox in os.environ.get("FRONT_INBOXES", "").split(",") if inbox],
            messages=messages,
            teams=os.environ.get("FRONT_TEAMS") or "inboxes",  # type: ignore[arg-type]  # the same
            base_url=os.environ.get("FRONT_BASE_URL"),
        )

    def __repr__(self) -> str:
        return f"Front({self._base_url!r}, company_id={self._company_id!r}, source={self._source!r})"

    # Webhooks

    def verify(self, delivery: Delivery) -> None:
        """`X-Front-Signature` in base64, made as the `source` makes it; the other's is refused.

        An application signs its time stamp, a colon and the body with HMAC-SHA256; deliveries more than 5 minutes from
        the stamp are refused. A rule signs the body with HMAC-SHA1 and no time, so there is no replay window.
        Sources: https://dev.frontapp.com/docs/application-webhooks, https://dev.frontapp.com/docs/rule-webhooks
        """
        signature = decode_base64(delivery.headers.get("x-front-signature", ""))
        if self._source == "rule":
            signed = self._secrets.verify(delivery.body, signature, "sha1")
            # The page's samples disagree on whether the bytes or the JSON without white space are signed.
            compact = None if signed or signature is None else _compact(delivery.body)
            if compact is not None:
                signed = self._secrets.verify(compact, signature, "sha1")
            if not signed:
                raise InvalidSignature("X-Front-Signature is absent or not made with the API secret of the rule")
            return
        stamp = delivery.headers.get("x-front-request-timestamp", "")
        message = stamp.encode("utf-8", "replace") + b":" + delivery.body
        if not self._secrets.verify(message, signature, "sha256"):
            raise InvalidSignature("X-Front-Signature is absent or not made with the app's secret")
        if not re.fullmatch(r"[0-9]{1,15}", stamp) or abs(delivery.received_at - int(stamp) / 1000) > _WINDOW:
            raise InvalidSignature("X-Front-Request-Timestamp is no time within 5 minutes of ours")

    def parse(self, delivery: Delivery) -> Parsed:
        """Take a customer's message out of `inbound_received`, or out of a rule's `inbound`."""
        data = parse_json(delivery.body)
        kind = data.get("type")
        if not isinstance(kind, str):
            raise MalformedPayload("type: missing")
        if self._source == "application" and kind == "sync":
            return _synchronised(delivery.headers.get("x-front-challenge"))
        # An allow-list: an app that is subscribed to more would otherwise answer itself without end.
        if kind != _INBOUND[self._source]:
            return Ignored(f"event {safe_word(kind)}")
        if self._source == "rule":
            return self._event(_Happening.parse_data(data), data)
        if _Authorization.parse_data(data.get("authorization") or {}).id != self._company_id:
            return Ignored("of another company")
        return self._event(_Happening.parse_data(data.get("payload")), data)

    def _event(self, happening: _Happening, raw: dict[str, JsonValue]) -> Event | Ignored:
        item, message = happening.conversation, happening.target.data
        places = {place.id for place in happening.source.data or ()}
        if self._inboxes and not self._inboxes & places:
            return Ignored("in another inbox")
        if message is None:
            # A preview. What it is of is read from the API.
            return self._made(self._conversation(item, []), happening.id, "created", None, raw)
        if _role(message, self._author_id) != "customer":
            return Ignored("not written by a customer")
        later = (message.created_at or 0) - (item.created_at or message.created_at or 0) > _FIRST_WITHIN
        if later and not self._all:
            return Ignored("a later message of the conversation")
        told = self._message(message)
        if not (told.text or told.attachments) and (message.text, message.body) != (None, None):
            return Ignored("empty text")
        conversation = self._conversation(item, [message])
        return self._made(conversation, message.id, "replied" if later else "created", told.at, raw)

    def _made(
        self,
        conversation: Conversation,
        message_id: str,
        kind: Literal["created", "replied"],
        occurred_at: datetime | None,
        raw: dict[str, JsonValue],
    ) -> Event:
        return Event.create(
            conversation,
            message_id,
            vendor=self.name,
            account=self._company_id,
            kind=kind,
            occurred_at=occurred_at,
            raw=raw,
        )

    # The conversation

    async def fetch(self, event: Event, send: Send) -> Conversation:
        """`GET /conversations/{id}` and `GET …/messages`: two calls, and one for each further 100 messages.

        One that was merged into another is read under its new id. Comments are not read.
        """
        return event.add_missing_message(await self._read(event.conversation_id, send))

    async def _read(self, conversation_id: str, send: Send) -> Conversation:
        async def read(id_: str) -> _Item:
            request = self._call("GET", f"/conversations/{id_}", idempotent=True)
            return _http.parse_response(_Item, request, await send(request), vendor=self.name)

        item = await _http.follow_merges(read, conversation_id, self._merged_into)
        pages = await self._pages(_Messages, f"/conversations/{item.id}/messages", send)
        return self._conversation(item, [message for page in pages for message in page.results])

    def _merged_into(self, error: VendorError) -> str | None:
        """The id behind a redirect. Only the id is taken: the token goes nowhere but to our own base URL."""
        ours = "|".join((re.escape(self._base_url), r"https://[a-z0-9-]+\.api\.frontapp\.com", re.escape(_BASE_URL)))
        match = re.fullmatch(rf"(?:{ours})?/conversations/(cnv_[a-z0-9]{{1,40}})/?(?:\?.*)?", error.location or "")
        return match[1] if match and error.status == 301 else None

    async def _pages(self, model: type[Any], path: str, send: Send) -> list[Any]:
        pages: list[Any] = []
        query = "?limit=100"
        while len(pages) < _MOST_PAGES:
            request = self._call("GET", path + query, idempotent=True)
            page = _http.parse_response(model, request, await send(request), vendor=self.name)
            pages.append(page)
            # Of the next page's address only the token is taken, for the same reason as above.
            token = _page_token(page.pagination.next if page.pagination else None)
            if token is None:
                break
            query = f"?limit=100&page_token={token}"
        return pages

    def _conversation(self, item: _Item, messages: Iterable[_Message]) -> Conversation:
        read = [self._message(message) for message in sorted(messages, key=_when) if not message.is_draft]
        said = tuple(message for message in read if message.text or message.attachments)
        assignee = item.assignee.id if item.assignee else None
        senders = [sender for message in messages if message.is_inbound for sender in message.recipients or ()]
        customer = next((one for one in senders if one.role == "from"), item.recipient or _Recipient())
        contact = customer.links.related.contact if customer.links and customer.links.related else None
        return Conversation(
            id=item.id,
            subject=_text.clean(item.subject or ""),
            # A handle is an address, and ids are shown in logs.
            customer=Customer(id=_contact(contact), name=customer.name, email=customer.handle),
            messages=said,
            assignee=None if assignee == self._author_id else assignee,
            has_automatic_reply=any(message.author == self._author_id and message.role == "bot" for message in said),
            tags=tuple(tag.name for tag in item.tags or ()),
        )

    def _message(self, message: _Message) -> Message:
        role = _role(message, self._author_id)
        plain = _text.from_html(message.body or "")
        # "text" is told of e-mails only.
        text = _text.clean(message.text or "") or plain.text or _text.clean(message.blurb or "")
        return Message(
            id=message.id,
            role=role,
            text=_text.strip_quotes(text) if role == "customer" else text,
            attachments=(*(file.filename for file in message.attachments or ()), *["image"] * plain.images),
            at=parse_timestamp(message.created_at),
            author=message.author.id if message.author else None,
        )

    # Actions

    def plan(self, actions: Sequence[Action]) -> Sequence[Step]:
        """What is updated in one step, then notes, then replies: a reply that fails leaves all else done.

        `Close` is part of the last reply, or of the update where nothing is written, or else a step of its own.
        """
        for action in actions:
            self._check(action)
        ends = tuple(action for action in actions if isinstance(action, Close | MarkSpam))
        update: tuple[Action, ...] = tuple(a for a in actions if not isinstance(a, Note | Reply | Close | MarkSpam))
        notes = [(action,) for action in actions if isinstance(action, Note)]
        replies: list[tuple[Action, ...]] = [(action,) for action in actions if isinstance(action, Reply)]
        if not notes and not replies:
            update, ends = (*update, *ends), ()
        elif replies and all(isinstance(end, Close) for end in ends):
            replies[-1], ends = (*replies[-1], *ends), ()
        return [Step(actions=step) for step in (update, *notes, *replies, ends) if step]

    def _check(self, action: Action) -> None:
        match action:
            case Assign(user=str(user)) if user and not re.fullmatch(r"tea_[a-z0-9]+", user):
                raise ConfigurationError(f"Front's teammates are tea_…; {action!r} has another id.")
            case Assign(team=str(team)) if team and not self._is_team(team):
                raise ConfigurationError(f"Front's teams are inboxes, inb_…, or else teams='tags'; not {action!r}.")
            case Tag(names=names) if not all(1 <= len(name.strip()) <= _LONGEST_TAG for name in names):
                raise ConfigurationError(f"Front's tags have 1 to {_LONGEST_TAG} characters; {action!r} has another.")
            case _:
                pass

    def _is_team(self, team: str) -> bool:
        return self._teams_are_tags or re.fullmatch(r"inb_[a-z0-9]+", team) is not None

    async def perform(self, step: Step, conversation: Conversation, send: Send) -> None:
        """Take a step: one call for what is written, one or two for an update, and those that tell it what is there."""
        path = f"/conversations/{conversation.id}"
        match step.actions[0]:
            case Reply(body=body):
                await send(self._reply(path, body, archive=len(step.actions) > 1))
            case Note(body=body):
                comment = {"body": _markdown(body), "author_id": self._author_id}
                await send(self._call("POST", f"{path}/comments", comment))
            case _:
                await self._update(path, step.actions, send)

    async def was_performed(self, step: Step, conversation: Conversation, send: Send) -> bool:
        """Look for a message or comment of ours with the same words. One or two calls.

        Raises:
            VendorError: A reply is not there. It may still come: Front accepts it before it sends it.
        """
        path = f"/conversations/{conversation.id}"
        action = step.actions[0]
        if isinstance(action, Note):
            pages = await self._pages(_Comments, f"{path}/comments", send)
            wanted = _text.normalize_for_comparison(_markdown(action.body))
            return any(
                one.author is not None
                and one.author.id == self._author_id
                and _text.normalize_for_comparison(one.body or "") == wanted
                for page in pages
                for one in page.results
            )
        assert isinstance(action, Reply)  # noqa: S101 - all else is idempotent
        known = {message.id for message in conversation.messages}
        current = await self._read(conversation.id, send)
        wanted = _text.normalize_for_comparison(action.body)
        if any(
            message.author == self._author_id
            and message.id not in known
            # What follows our words may be a signature that was added to them.
            and _text.normalize_for_comparison(message.text).startswith(wanted)
            for message in current.messages
        ):
            return True
        request = self._call("GET", f"{path}/messages")
        raise _http.unexpected_response(
            request, vendor=self.name, message="the reply is not there yet, and may still come"
        )

    async def _update(self, path: str, actions: Sequence[Action], send: Send) -> None:
        tags = self._tags(actions)
        if tags:
            ids = await self._tag_ids(tags, send)
            await send(self._call("POST", f"{path}/tags", {"tag_ids": ids}, idempotent=True))
        changes: dict[str, Any] = {}
        fields: dict[str, Any] = {}
        for action in actions:
            match action:
                case Assign(team=str(team)) if team and not self._teams_are_tags:
                    changes["inbox_id"] = team
                case Assign(user=str(user)) if user:
                    changes["assignee_id"] = user
                case SetFields():
                    fields |= action.fields
                case MarkSpam() if self._spam_status:
                    changes["status"] = "spam"
                case Close() | MarkSpam():
                    changes.setdefault("status", "archived")
                case _:
                    pass
        if fields:
            # As late as possible: what somebody else changes between this reading and the writing is lost.
            request = self._call("GET", path, idempotent=True)
            current = _http.parse_response(_Fields, request, await send(request), vendor=self.name)
            changes["custom_fields"] = current.custom_fields | fields
        if changes:
            await send(self._call("PATCH", path, changes, idempotent=True))

    def _tags(self, actions: Iterable[Action]) -> list[str]:
        """The names or ids of tags that actions ask for."""
        tags: list[str] = []
        for action in actions:
            match action:
                case Tag(names=names):
                    tags += names
                case Assign(team=str(team)) if team and self._teams_are_tags:
                    tags.append(team)
                case MarkSpam() if not self._spam_status:
                    tags.append(self._spam_tag)
                case _:
                    pass
        return tags

    async def _tag_ids(self, names: Iterable[str], send: Send) -> list[str]:
        """Ids for what the policy names by id or name. A tag that the company does not have yet is made."""
        wanted = list(dict.fromkeys(name.strip() for name in names))
        known: dict[str, str] = {}
        if not all(map(_is_tag_id, wanted)):
            pages = await self._pages(_Labels, "/company/tags", send)
            # Two tags may share a name: the first one is taken, always the same.
            known = {tag.name.casefold(): tag.id for page in reversed(pages) for tag in reversed(page.results)}
        ids: list[str] = []
        for name in wanted:
            found = name if _is_tag_id(name) else known.get(name.casefold())
            if found is None:
                request = self._call("POST", "/company/tags", {"name": name})
                found = _http.parse_response(_Label, request, await send(request), vendor=self.name).id
            ids.append(found)
        return ids

    # Requests

    def _reply(self, path: str, body: str, *, archive: bool) -> Request:
        """A reply. Front knows no idempotency key, so it must not be sent twice.

        Without `archive` it would close the conversation.
        Source: https://dev.frontapp.com/reference/create-message-reply
        """
        message: dict[str, Any] = {
            "body": _text.to_html(body),
            "text": body,
            "author_id": self._author_id,
            "options": {"archive": archive},
        }
        if self._channel_id is not None:
            message["channel_id"] = self._channel_id
        return self._call("POST", f"{path}/messages", message)

    def _call(
        self, method: Literal["GET", "POST", "PATCH"], path: str, json: Any = None, *, idempotent: bool = False
    ) -> Request:
        return Request(method, self._base_url + path, json, self._headers, idempotent)

    def pause(self, response: Response, now: float) -> float | None:
        """Read how long to wait: until the company's minute is over, or the guard of one conversation lets go.

        Source: https://dev.frontapp.com/docs/rate-limiting
        """
        wait = _http.parse_seconds(response.headers, "retry-after")
        if wait is None:
            return _http.seconds_until_reset(response, now)
        return wait / 1000 if wait > _MILLISECONDS else wait

    def error(self, request: Request, response: Response, now: float) -> VendorError:
        """Read an error: `{"_error": {"status": …, "title": …, "message": …}}`."""
        body = response.data()
        fault = (_Error.model_validate(body) if isinstance(body, dict) else _Error()).error or _Fault()
        return _http.build_error(
            request,
            response,
            vendor=self.name,
            message=fault.message,
            hint=_HINTS.get(response.status),
            code=fault.title.lower().replace(" ", "_") if fault.title else None,
            retry_after=self.pause(response, now),
        )


def _id(kind: str, given: str, name: str) -> str:
    if not re.fullmatch(rf"{kind}_[a-z0-9]{{1,40}}", given):
        raise ConfigurationError(f"Front's {name} looks like {kind}_4thp0, not {given!r}.")
    return given


def _is_tag_id(name: str) -> bool:
    return re.fullmatch(r"tag_[a-z0-9]{1,40}", name) is not None


def _compact(body: bytes) -> bytes | None:
    """The JSON as JavaScript writes it, None if it is none."""
    try:
        return json.dumps(json.loads(body), separators=(",", ":"), ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None


def _synchronised(challenge: str | None) -> Handshake:
    """Answer the call that is made whenever the webhook is saved.

    Source: https://dev.frontapp.com/docs/application-webhooks
    """
    if challenge is None or not _CHALLENGE.fullmatch(challenge):
        return Handshake("sync")
    return Handshake("sync", {"challenge": challenge})


def _role(message: _Message, author_id: str) -> Role:
    """Who wrote it. Bots are teammates of another type: https://dev.frontapp.com/reference/teammates."""
    if message.author is None:
        return "customer" if message.is_inbound else "bot"
    return "agent" if message.author.type == "user" and message.author.id != author_id else "bot"


def _when(message: _Message) -> tuple[float, str]:
    return (message.created_at or 0.0, message.id)


def _contact(link: str | None) -> str | None:
    match = re.search(r"/contacts/(crd_[a-z0-9]{1,40})$", link or "")
    return match[1] if match else None


def _page_token(address: str | None) -> str | None:
    """The token in the address of the next page, None if there is none or it is no plain word."""
    try:
        token = parse_qs(urlsplit(address or "").query).get("page_token", [""])[0]
    except ValueError:
        return None
    return token if re.fullmatch(r"[\w.~-]{1,500}", token, re.ASCII) else None


def _markdown(text: str) -> str:
    """The text as Markdown, in which a customer's name or a reason can make no link and mention nobody."""
    return re.sub(r"([\\`*_\[\]<>#@|~])", r"\\\1", text)
