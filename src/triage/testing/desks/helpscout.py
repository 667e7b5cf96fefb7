"""A fake of Help Scout: its Inbox API for conversations, and the webhooks that it sends.

Written from Help Scout's own descriptions, apart from the adapter, so that it checks the adapter:
https://developer.helpscout.com/mailbox-api
https://developer.helpscout.com/webhooks

Where those leave room it is strict: a field that they do not name is refused, and no more than a page of threads
comes embedded. Not here: search and the list of conversations, customers, attachments' data, the management of
webhooks, chats of the old Beacon, the authorization code flow.
"""

import base64
import hashlib
import hmac
import json
import re
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from math import ceil
from typing import Any, Literal, TypeAlias, cast
from urllib.parse import parse_qsl

from triage.testing.desks.base import (
    IN_PROCESS,
    Call,
    Clock,
    FakeConversation,
    FakeHelpDesk,
    FakeMessage,
    FakeRole,
    Person,
    RateLimit,
    Refusal,
    Routes,
    Webhook,
    is_json,
    to_html,
    to_text,
)
from triage.testing.server import HttpRequest, HttpResponse

PayloadVersion: TypeAlias = Literal["V2", "V3"]
FieldType: TypeAlias = Literal["dropdown", "singleline", "multiline", "number", "date"]

_API = "https://api.helpscout.net"
_ERRORS = "https://developer.helpscout.com/mailbox-api/overview/errors"
_TOKEN_PATH = "/v2/oauth2/token"  # noqa: S105 - no token
_TOKEN_LIFE = 172_800
_PAGE = 25
_MOST_THREADS = 100  # "threads cannot be added to conversations with 100 threads (or more)": 412
_AI = Person("771900", "system_user", "AI Agent", "")

_STATUSES = ("active", "pending", "closed", "spam")
_WORDS_FOR = {"open": "active", "inbox_predefined": "active"}

_GRANT_ERRORS = frozenset({"invalid_client", "invalid_request", "unsupported_grant_type"})


@dataclass(frozen=True)
class CustomField:
    """A custom field of the inboxes."""

    id: int
    name: str
    type: FieldType = "singleline"
    options: Mapping[int, str] | None = None
    """Ids and labels, of a dropdown."""


FIELDS = (
    CustomField(104, "Triage", "dropdown", {168: "urgent", 169: "billing", 170: "general"}),
    CustomField(105, "Reason"),
    CustomField(106, "Story", "multiline"),
    CustomField(107, "Score", "number"),
    CustomField(108, "Due", "date"),
)


@dataclass(frozen=True)
class _Field:
    kind: type = str
    required: bool = False
    values: tuple[str, ...] = ()


_EXTRAS = {
    "user": _Field(int),
    "imported": _Field(bool),
    "createdAt": _Field(),
    "attachments": _Field(list),
}
_REPLY = {
    "text": _Field(required=True),
    "customer": _Field(dict, required=True),
    "status": _Field(values=("active", "all", "closed", "open", "pending", "spam")),
    "assignTo": _Field(int),
    "draft": _Field(bool),
    "cc": _Field(list),
    "bcc": _Field(list),
    **_EXTRAS,
}
_NOTE = {
    "text": _Field(required=True),
    "status": _Field(values=("active", "closed", "inbox_predefined", "open", "pending", "spam")),
    **_EXTRAS,
}
_SNOOZE = {"snoozedUntil": _Field(required=True), "unsnoozeOnCustomerReply": _Field(bool, required=True)}
# What may be patched: operation and path, and the type of the value.
_PATCHES: Mapping[tuple[str, str], type | None] = {
    ("replace", "/assignTo"): int,
    ("remove", "/assignTo"): None,
    ("replace", "/status"): str,
    ("replace", "/subject"): str,
    ("move", "/mailboxId"): int,
}
_FITS: Mapping[FieldType, Callable[[CustomField, str], bool]] = {
    "dropdown": lambda field, value: value in {str(option) for option in field.options or ()},
    "singleline": lambda field, value: len(value) <= 255,
    "multiline": lambda field, value: len(value) <= 15_000,
    "number": lambda field, value: re.fullmatch(r"-?[0-9]{1,255}", value) is not None,
    "date": lambda field, value: re.fullmatch(r"\d{4}-\d\d-\d\d", value) is not None,
}


class FakeHelpScout(FakeHelpDesk):
    """Help Scout with one account.

    Args:
        webhook_secret: What webhooks are signed with.
        app_id: The app whose credentials give a token.
        app_secret: Its secret.
        users: Teammates, id to name; the first made the app and is the integration's own.
        teams: Id to name; the first three are those of `default_buckets.from_env`: on-call, billing, support.
        mailboxes: The inboxes, id to name; conversations begin in the first.
        fields: The custom fields of every inbox.
        payload_version: Of the webhooks. `V2` shows an AI as a user, `V3` as a system user.
        clock: Seconds since the epoch.
        rate_limit: The Standard plan's by default: 200 a minute, of which reading costs one and writing two.
        latency: Seconds that each call takes.
        first_id: Where ids start; see `FakeHelpDesk`.
    """

    prefix = "HELPSCOUT"
    error_codes = {  # noqa: RUF012 - never changed
        400: "BadRequest",
        401: "Unauthorized",
        403: "Forbidden",
        404: "NotFound",
        408: "RequestTimeout",
        409: "Conflict",
        412: "PreconditionFailed",
        422: "UnprocessableEntity",
        429: "RateLimit",
        500: "InternalError",
        503: "ServiceUnavailable",
    }
    no_route = (404, "NotFound", "Not Found")
    over_limit = (429, "RateLimit", "API rate limit exceeded")

    def __init__(
        self,
        *,
        webhook_secret: str = "fake-webhook-secret",  # noqa: S107 - of a fake
        app_id: str = "fake-app-id",
        app_secret: str = "fake-app-secret",  # noqa: S107 - the same
        users: Mapping[str, str] | None = None,
        teams: Mapping[str, str] | None = None,
        mailboxes: Mapping[str, str] | None = None,
        fields: Sequence[CustomField] = FIELDS,
        payload_version: PayloadVersion = "V2",
        clock: Clock = time.time,
        rate_limit: RateLimit | None = RateLimit(200, 60),  # noqa: B008 - frozen
        latency: float = 0,
        first_id: int = 1,
    ) -> None:
        super().__init__(clock=clock, rate_limit=rate_limit, latency=latency, first_id=first_id)
        self.webhook_secret = webhook_secret
        self.app_id = app_id
        self.app_secret = app_secret
        self.users = dict(users or {"771000": "Triage", "634102": "Ada Probe"})
        self.teams = dict(teams or {"771201": "On-call", "771202": "Billing", "771203": "Support"})
        self.mailboxes = dict(mailboxes or {"215533": "Support"})
        self.fields = {field.id: field for field in fields}
        self.payload_version = payload_version
        self.tokens: dict[str, float] = {}
        """Access tokens and when they end."""
        self.merged: dict[str, str] = {}
        """Ids of conversations that were merged into another, and the other's."""
        if not all(number.isdecimal() for number in (*self.users, *self.teams, *self.mailboxes)):
            raise ValueError("The ids of users, teams and mailboxes are numbers, as strings.")

    def settings(self, base_url: str = IN_PROCESS) -> dict[str, str]:
        """The arguments of an adapter that calls this fake: `HelpScout(**fake.settings(base_url))`.

        Args:
            base_url: What `serve()` gives. The default leads nowhere, so that a client without `transport` reaches
                nobody.
        """
        return {
            "webhook_secret": self.webhook_secret,
            "app_id": self.app_id,
            "app_secret": self.app_secret,
            "user_id": next(iter(self.users)),
            "base_url": base_url,
        }

    # The API.

    def build_routes(self) -> Routes:
        """The part of the API that there is."""
        one = r"/v2/conversations/(?P<conversation_id>[^/]+)"
        return {
            ("POST", _TOKEN_PATH): self._post_token,
            ("GET", "/v2/users/me"): self._get_me,
            ("GET", "/v2/users"): self._get_users,
            ("GET", "/v2/teams"): self._get_teams,
            ("GET", "/v2/mailboxes"): self._get_mailboxes,
            ("GET", r"/v2/mailboxes/(?P<mailbox_id>[^/]+)/fields"): self._get_fields,
            ("GET", r"/(?P<version>v[23])/conversations/(?P<conversation_id>[^/]+)"): self._get_conversation,
            ("GET", f"{one}/threads"): self._get_threads,
            ("PATCH", one): self._patch_conversation,
            ("POST", f"{one}/reply"): self._post_reply,
            ("POST", f"{one}/notes"): self._post_note,
            ("PUT", f"{one}/tags"): self._put_tags,
            ("PUT", f"{one}/fields"): self._put_fields,
            ("PUT", f"{one}/snooze"): self._put_snooze,
        }

    def admit(self, call: Call) -> None:
        """Check the token."""
        scheme, _, token = call.headers.get("authorization", "").partition(" ")
        if call.path != _TOKEN_PATH and (scheme != "Bearer" or self.tokens.get(token, 0) <= self.clock()):
            raise Refusal(401, "Unauthorized", "Invalid or expired token")

    def build_error(self, refusal: Refusal) -> Any:
        """An error in HAL; above the limit a message alone, from the token endpoint as RFC 6749 has it."""
        if refusal.status == 429:
            return {"message": refusal.message}
        if refusal.code in _GRANT_ERRORS:
            return {"error": refusal.code, "error_description": refusal.message}
        told: dict[str, Any] = {"logRef": f"{self._uuid()}#{self.next_id()}", "message": refusal.message}
        about = {"about": {"href": f"{_ERRORS}#{refusal.code}"}}
        if refusal.field is not None:
            fault = {"path": refusal.field, "message": refusal.message, "source": "JSON", "_links": about}
            told |= {"message": "Bad request", "_embedded": {"errors": [fault]}}
        return {**told, "_links": {"about": {"href": _ERRORS}}}

    def get_cost(self, call: Call) -> int:
        """https://developer.helpscout.com/mailbox-api/overview/rate-limiting: writing counts twice."""
        return 1 if call.method == "GET" else 2

    def build_rate_headers(self, limit: RateLimit, remaining: int, reset: int) -> Mapping[str, str]:
        """https://developer.helpscout.com/mailbox-api/overview/rate-limiting."""
        return {"X-RateLimit-Limit-Minute": str(limit.calls), "X-RateLimit-Remaining-Minute": str(remaining)}

    def respond(self, request: HttpRequest) -> HttpResponse:
        """Answer a request. Raises `Drop` where a fault says that there is no answer."""
        response = super().respond(request)
        headers = {"Correlation-ID": self._uuid()}
        if response.status == 429:
            window = self.rate_limit.seconds if self.rate_limit else 60
            headers["X-RateLimit-Retry-After"] = str(ceil(window - self.clock() % window))
        return replace(response, headers={**headers, **response.headers})

    def withdraw_tokens(self) -> None:
        """Let all access tokens end before their time."""
        with self._lock:
            self.tokens.clear()

    def _post_token(self, call: Call) -> Any:
        body: object = call.body
        sent: Mapping[str, Any] = call.query
        if isinstance(body, dict):
            sent = cast("dict[str, Any]", body)
        elif isinstance(body, str):
            sent = dict(parse_qsl(body))
        if sent.get("grant_type") != "client_credentials":
            raise Refusal(400, "unsupported_grant_type", "The grant type is not supported")
        if (sent.get("client_id"), sent.get("client_secret")) != (self.app_id, self.app_secret):
            raise Refusal(401, "invalid_client", "Client authentication failed")
        token = f"fake-token-{self.next_id()}"
        self.tokens[token] = self.clock() + _TOKEN_LIFE
        return {"token_type": "bearer", "access_token": token, "expires_in": _TOKEN_LIFE}

    def _get_me(self, _: Call) -> Any:
        return self._user_entry(next(iter(self.users)))

    def _get_users(self, call: Call) -> Any:
        return _paged(call, "users", [self._user_entry(user_id) for user_id in self.users])

    def _get_teams(self, call: Call) -> Any:
        moment = _moment(0)
        made = {"timezone": "UTC", "photoUrl": "", "createdAt": moment, "updatedAt": moment}
        listed = [{"id": int(id_), "name": name, "mention": name.lower(), **made} for id_, name in self.teams.items()]
        return _paged(call, "teams", listed)

    def _get_mailboxes(self, call: Call) -> Any:
        listed = [
            {"id": int(id_), "name": name, "slug": f"{int(id_):x}", "email": f"inbox-{id_}@example.com"}
            for id_, name in self.mailboxes.items()
        ]
        return _paged(call, "mailboxes", listed)

    def _get_fields(self, call: Call, mailbox_id: str) -> Any:
        if mailbox_id not in self.mailboxes:
            raise Refusal(404, "NotFound", "Not Found")
        listed: list[Any] = []
        for order, field in enumerate(self.fields.values(), 1):
            shown: dict[str, Any] = {"id": field.id, "required": False, "order": order}
            shown |= {"type": field.type, "name": field.name}
            options = enumerate((field.options or {}).items(), 1)
            if field.type == "dropdown":
                shown["options"] = [{"id": id_, "order": at, "label": label} for at, (id_, label) in options]
            listed.append(shown)
        return _paged(call, "fields", listed)

    def _get_conversation(self, call: Call, version: str, conversation_id: str) -> Any:
        if conversation_id in self.merged:
            location = f"{_API}/{version}/conversations/{self.merged[conversation_id]}"
            return HttpResponse(301, {"Location": location})
        embed = call.query.get("embed") == "threads"
        return self._shown(self._conversation(conversation_id), threads=embed, ai=version == "v3")

    def _get_threads(self, call: Call, conversation_id: str) -> Any:
        conversation = self._conversation(conversation_id)
        threads = [self._thread(conversation, one, ai=False) for one in reversed(conversation.messages)]
        return _paged(call, "threads", threads)

    def _patch_conversation(self, call: Call, conversation_id: str) -> Any:
        given = _object(call)
        operation, path, value = str(given.get("op")), str(given.get("path")), given.get("value")
        if (operation, path) not in _PATCHES:
            raise Refusal(400, "EnumValue", "op and path do not fit", "path")
        kind = _PATCHES[operation, path]
        if kind is not None and type(value) is not kind:
            raise Refusal(400, "InvalidType", "value is of a wrong type", "value")
        conversation = self._conversation(conversation_id)
        match path:
            case "/assignTo":
                self._assign(conversation, None if operation == "remove" else str(value))
            case "/status":
                if value not in _STATUSES:
                    raise Refusal(400, "EnumValue", "no such status", "value")
                self._set_status(conversation, str(value))
            case "/subject":
                conversation.subject = str(value)
            case _:
                if str(value) not in self.mailboxes:
                    raise Refusal(400, "NotFound", "no such mailbox", "value")
                conversation.extra["mailbox"] = str(value)
        self._act(conversation, f"changed{path}", self._owner())
        return HttpResponse(204)

    def _post_reply(self, call: Call, conversation_id: str) -> Any:
        given = _checked(call, _REPLY)
        conversation = self._conversation(conversation_id)
        customer = given["customer"].get("id")
        if customer != int(conversation.contact.id) and given["customer"].get("email") != conversation.contact.email:
            raise Refusal(400, "NotFound", "the customer does not belong to the conversation", "customer")
        if given.get("assignTo") is not None and not given.get("draft"):
            self._assign(conversation, str(given["assignTo"]))
        return self._written(conversation, "agent", "message", given)

    def _post_note(self, call: Call, conversation_id: str) -> Any:
        given = _checked(call, _NOTE)
        return self._written(self._conversation(conversation_id), "note", "note", given)

    def _written(
        self, conversation: FakeConversation, role: FakeRole, kind: str, given: Mapping[str, Any]
    ) -> HttpResponse:
        if len(conversation.messages) >= _MOST_THREADS:
            raise Refusal(412, "PreconditionFailed", "The conversation is locked")
        user = str(given.get("user") or next(iter(self.users)))
        if user not in self.users:
            raise Refusal(400, "NotFound", "no such user", "user")
        thread = self._add(conversation, role, kind, given["text"], self._user(user), via_api=True)
        if given.get("draft"):
            thread.extra["state"] = "draft"
            thread.role = "event"
        else:
            # "If the status is not given, the conversation is re-activated."
            status = given.get("status") or "active"
            if status != "all":
                self._set_status(conversation, _WORDS_FOR.get(status, status))
        thread.extra["status"] = self.status(conversation.id)
        return HttpResponse(201, {"Resource-ID": thread.id})

    def _put_tags(self, call: Call, conversation_id: str) -> Any:
        tags: list[Any] = _checked(call, {"tags": _Field(list, required=True)})["tags"]
        if not all(isinstance(tag, str) and tag.strip() for tag in tags):
            raise Refusal(400, "InvalidType", "tags are names", "tags")
        self._conversation(conversation_id).tags[:] = tags
        return HttpResponse(204)

    def _put_fields(self, call: Call, conversation_id: str) -> Any:
        given: list[Any] = _checked(call, {"fields": _Field(list, required=True)})["fields"]
        values: dict[str, str] = {}
        for at, one in enumerate(given):
            where = f"fields[{at}]"
            if not isinstance(one, dict) or set(cast("dict[str, Any]", one)) != {"id", "value"}:
                raise Refusal(400, "InvalidType", "a field is an id and a value", where)
            entry = cast("dict[str, Any]", one)
            field = self.fields.get(entry["id"]) if type(entry["id"]) is int else None
            if field is None:
                raise Refusal(400, "NotFound", "no such field", f"{where}.id")
            if not isinstance(entry["value"], str) or not _FITS[field.type](field, entry["value"]):
                raise Refusal(400, "InvalidValue", "the value does not fit the field", f"{where}.value")
            values[str(field.id)] = entry["value"]
        conversation = self._conversation(conversation_id)
        conversation.fields.clear()
        conversation.fields.update(values)
        return HttpResponse(204)

    def _put_snooze(self, call: Call, conversation_id: str) -> Any:
        given = _checked(call, _SNOOZE)
        try:
            until = datetime.strptime(given["snoozedUntil"], "%Y-%m-%dT%H:%M:%S%z").timestamp()
        except ValueError:
            raise Refusal(400, "InvalidDate", "no ISO 8601 date", "snoozedUntil") from None
        if until <= self.clock():
            raise Refusal(400, "InvalidDate", "not in the future", "snoozedUntil")
        conversation = self._conversation(conversation_id)
        conversation.state, conversation.snoozed_until = "snoozed", int(until)
        conversation.extra["unsnooze"] = given["unsnoozeOnCustomerReply"]
        return HttpResponse(204)

    # What people do.

    def customer_writes(
        self,
        text: str,
        *,
        conversation: str | None = None,
        name: str | None = "Mira Probe",
        email: str | None = "mira@example.com",
        html: bool = False,
        attachments: Sequence[str] = (),
        subject: str = "",
    ) -> Webhook:
        """Write as a customer; gives `convo.created`, or `convo.customer.reply.created` to go on with one.

        Args:
            text: Plain text, or HTML with `html=True`.
            conversation: The conversation to go on with; None begins a new one.
            name: The customer's, for a new conversation.
            email: The customer's, for a new conversation.
            html: True if `text` is HTML.
            attachments: Names of files.
            subject: For a new conversation. One with a subject is an e-mail.
        """
        body = text if html else to_html(text)
        with self._lock:
            if conversation is None:
                known = self._begin(name, email, subject)
                self._add(known, "customer", "customer", body, known.contact, attachments=attachments)
                return self._notify("convo.created", known)
            known = self.conversations[conversation]
            if known.state != "snoozed" or known.extra.get("unsnooze", True):
                self._set_status(known, "active")
            self._add(known, "customer", "customer", body, known.contact, attachments=attachments)
            return self._notify("convo.customer.reply.created", known)

    def agent_writes(self, text: str, *, conversation: str, agent: str | None = None, html: bool = False) -> Webhook:
        """Answer the customer as a human teammate; gives `convo.agent.reply.created`.

        Args:
            text: Plain text, or HTML with `html=True`.
            conversation: The conversation's id.
            agent: The teammate's id; None for the last of `users`.
            html: True if `text` is HTML.
        """
        with self._lock:
            known = self.conversations[conversation]
            self._add(known, "agent", "message", text if html else to_html(text), self._human(agent))
            return self._notify("convo.agent.reply.created", known)

    def bot_greets(
        self,
        text: str = "Hi! How can we help?",
        *,
        name: str | None = "Mira Probe",
        email: str | None = "mira@example.com",
    ) -> Webhook:
        """Begin a conversation as Help Scout's AI; gives `convo.ai-answers.created`.

        Args:
            text: The greeting.
            name: The customer's.
            email: The customer's.
        """
        with self._lock:
            known = self._begin(name, email, "")
            self._add(known, "bot", "message", to_html(text), _AI)
            return self._notify("convo.ai-answers.created", known)

    def assign(self, conversation: str, agent: str | None = None) -> Webhook:
        """Take a conversation as a human teammate does; gives `convo.assigned`.

        Args:
            conversation: The conversation's id.
            agent: The teammate's id; None for the last of `users`.
        """
        with self._lock:
            known, user = self.conversations[conversation], self._human(agent)
            self._assign(known, user.id)
            self._act(known, "assigned", user)
            return self._notify("convo.assigned", known)

    def merge(self, conversation: str, *, into: str) -> Webhook:
        """Merge a conversation into another as a human teammate does; gives `convo.merged`.

        Reading the old id is redirected from then on, and writing to it is 404.

        Args:
            conversation: The id that goes.
            into: The id that stays.
        """
        with self._lock:
            gone, known = self.conversations.pop(conversation), self.conversations[into]
            known.messages += gone.messages
            known.messages.sort(key=lambda thread: (thread.at, int(thread.id)))
            self.merged[conversation] = into
            self._act(known, "merged", self._human(None))
            return self._notify("convo.merged", known)

    def ping(self) -> Webhook:
        """The test call of the webhook's settings. What it holds is documented nowhere; here it is an empty object."""
        return self._signed("helpscout.test", {}, None)

    def redeliver(self, webhook: Webhook) -> Webhook:
        """The same webhook as Help Scout sends it again, having missed our answer: with no mark of it."""
        return replace(webhook)

    def status(self, conversation_id: str) -> str:
        """Help Scout's word for how a conversation stands: `"active"`, `"pending"`, `"closed"`, `"spam"`."""
        conversation = self.conversations[conversation_id]
        word = str(conversation.extra.get("status", "active"))
        if conversation.state == "closed":
            return "spam" if word == "spam" else "closed"
        return "pending" if word == "pending" else "active"

    def _set_status(self, conversation: FakeConversation, status: str) -> None:
        conversation.extra["status"] = status
        conversation.state = "closed" if status in ("closed", "spam") else "open"
        conversation.snoozed_until = None

    def _begin(self, name: str | None, email: str | None, subject: str) -> FakeConversation:
        number, now = self.next_id(), self.now()
        contact = Person(str(501_000_000 + number), "customer", name, email)
        channel = "email" if subject else "chat"
        known = FakeConversation(str(3_382_000_000 + number), contact, subject, channel, now, now)
        known.extra["mailbox"] = next(iter(self.mailboxes))
        self.conversations[known.id] = known
        return known

    def _add(
        self,
        conversation: FakeConversation,
        role: FakeRole,
        kind: str,
        body: str | None,
        author: Person,
        *,
        attachments: Sequence[str] = (),
        via_api: bool = False,
    ) -> FakeMessage:
        now = self.now()
        thread = FakeMessage(
            str(7_730_000_000 + self.next_id()), role, kind, body, author, now, tuple(attachments), via_api
        )
        thread.extra |= {"state": "published", "status": self.status(conversation.id)}
        conversation.messages.append(thread)
        conversation.updated_at = now
        return thread

    def _act(self, conversation: FakeConversation, what: str, author: Person) -> None:
        self._add(conversation, "event", "lineitem", None, author).extra["action"] = what

    def _assign(self, conversation: FakeConversation, assignee: str | None) -> None:
        if assignee is not None and assignee not in self.users and assignee not in self.teams:
            raise Refusal(400, "NotFound", "no such user or team", "value")
        # There is one place for both.
        conversation.team = assignee if assignee in self.teams else None
        conversation.assignee = assignee if assignee in self.users else None

    # Look-ups.

    def _conversation(self, conversation_id: str) -> FakeConversation:
        try:
            return self.conversations[conversation_id]
        except KeyError:
            # Writing to a merged one is 404, too:
            # https://developer.helpscout.com/mailbox-api/endpoints/conversations/custom_fields/update/
            raise Refusal(404, "NotFound", "Not Found") from None

    def _user(self, user_id: str) -> Person:
        return Person(user_id, "user", self.users[user_id], f"teammate-{user_id}@example.com")

    def _owner(self) -> Person:
        return self._user(next(iter(self.users)))

    def _human(self, user_id: str | None) -> Person:
        return self._user(user_id or list(self.users)[-1])

    def _uuid(self) -> str:
        return str(uuid.UUID(int=self.next_id(), version=4))

    # What Help Scout says.

    def _user_entry(self, user_id: str) -> dict[str, Any]:
        shown = _person(self._user(user_id))
        names = {"firstName": shown["first"], "lastName": shown["last"], "email": shown["email"]}
        return {"id": shown["id"], **names, "role": "user", "timezone": "UTC", "type": "user"}

    def _notify(self, event: str, conversation: FakeConversation) -> Webhook:
        shown = self._shown(conversation, threads=True, ai=self.payload_version == "V3")
        return self._signed(event, shown, conversation.id)

    def _signed(self, event: str, payload: Any, conversation_id: str | None) -> Webhook:
        body = json.dumps(payload, ensure_ascii=False).encode()
        headers = {
            "Content-Type": "application/json",
            "X-HelpScout-Event": event,
            "X-HelpScout-Signature": sign(body, self.webhook_secret),
        }
        return Webhook(body, headers, conversation_id)

    def _shown(self, conversation: FakeConversation, *, threads: bool, ai: bool) -> dict[str, Any]:
        contact, messages = _person(conversation.contact), conversation.messages
        first = messages[0].author if messages else conversation.contact
        said = [one for one in messages if one.body is not None and one.role != "note" and _published(one)]
        path = f"{_API}/v2/conversations/{conversation.id}"
        embedded = [self._thread(conversation, one, ai=ai) for one in reversed(messages)][:_PAGE]
        shown: dict[str, Any] = {
            "id": int(conversation.id),
            "number": int(conversation.id) % 1_000_000,
            "threads": len(said),
            "type": conversation.channel,
            "folderId": 4_410_021,
            "status": self.status(conversation.id),
            "state": "published",
            "subject": conversation.subject,
            "preview": to_text(said[-1].body or "")[:185] if said else "",
            "mailboxId": int(conversation.extra["mailbox"]),
            "assignee": self._assignee(conversation),
            "createdBy": _person(first, ai=ai),
            "createdAt": _moment(conversation.created_at),
            "closedBy": 0,
            "closedAt": _moment(conversation.updated_at) if conversation.state == "closed" else None,
            "userUpdatedAt": _moment(conversation.updated_at),
            "customerWaitingSince": {"time": _moment(conversation.updated_at), "friendly": "Just now"},
            "source": {"type": "email", "via": "customer"},
            "tags": [{"id": 9150 + at, "color": "#929499", "tag": tag} for at, tag in enumerate(conversation.tags)],
            "cc": [],
            "bcc": [],
            "primaryCustomer": contact,
            "customFields": [self._value(int(id_), value) for id_, value in conversation.fields.items()],
            "_embedded": {"threads": embedded} if threads else {},
            "_links": {"self": {"href": path}, "threads": {"href": f"{path}/threads/"}},
        }
        if conversation.snoozed_until is not None:
            shown["snooze"] = {
                "snoozedUntil": _moment(conversation.snoozed_until),
                "unsnoozeOnCustomerReply": conversation.extra.get("unsnooze", True),
            }
        return shown

    def _thread(self, conversation: FakeConversation, thread: FakeMessage, *, ai: bool) -> dict[str, Any]:
        by_customer = thread.author.type == "customer"
        files = [
            {"id": at, "filename": name, "mimeType": "application/octet-stream", "size": 48_213, "state": "valid"}
            for at, name in enumerate(thread.attachments, 1)
        ]
        shown: dict[str, Any] = {
            "id": int(thread.id),
            "type": thread.type,
            "status": thread.extra["status"],
            "state": thread.extra["state"],
            "action": {"type": "default", "text": thread.extra.get("action", ""), "associatedEntities": {}},
            "source": {
                "type": "api" if thread.via_api else "email",
                "via": "customer" if by_customer else "user",
            },
            "customer": _person(conversation.contact),
            "createdBy": _person(thread.author, ai=ai),
            "assignedTo": self._assignee(conversation),
            "savedReplyId": 0,
            "to": [],
            "cc": [],
            "bcc": [],
            "createdAt": _moment(thread.at),
            "_embedded": {"attachments": files},
            "_links": {},
        }
        return shown if thread.body is None else {**shown, "body": thread.body}

    def _assignee(self, conversation: FakeConversation) -> dict[str, Any] | None:
        if conversation.assignee:
            return _person(self._user(conversation.assignee))
        if conversation.team:
            return _person(Person(conversation.team, "team", self.teams[conversation.team], ""))
        return None

    def _value(self, field_id: int, value: str) -> dict[str, Any]:
        field = self.fields[field_id]
        text = field.options[int(value)] if field.options else value
        return {"id": field_id, "name": field.name, "value": value, "text": text}


def sign(body: bytes, secret: str) -> str:
    """The value of `X-HelpScout-Signature` for a body.

    Args:
        body: The bytes that are sent.
        secret: The webhook's secret.
    """
    # https://developer.helpscout.com/webhooks: HMAC with SHA-1, in base64.
    return base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha1).digest()).decode()


def _object(call: Call) -> dict[str, Any]:
    if not is_json(call):
        raise Refusal(415, "UnsupportedMediaType", "Unsupported Media Type")
    body: object = call.body
    if not isinstance(body, dict):
        raise Refusal(400, "BadRequest", "The request body is not valid JSON")
    return cast("dict[str, Any]", body)


def _checked(call: Call, fields: Mapping[str, _Field]) -> Mapping[str, Any]:
    given = _object(call)
    for name in given:
        if name not in fields:
            raise Refusal(400, "UnknownProperty", "no such property", name)
    for name, wanted in fields.items():
        value = given.get(name)
        if value is None or value == "":
            if wanted.required:
                raise Refusal(400, "NotBlank", "may not be empty", name)
        elif type(value) is not wanted.kind:
            raise Refusal(400, "InvalidType", "of a wrong type", name)
        elif wanted.values and value not in wanted.values:
            raise Refusal(400, "EnumValue", f"one of {', '.join(wanted.values)}", name)
    return given


def _paged(call: Call, name: str, listed: Sequence[Any]) -> Any:
    number = int(call.query.get("page", "1"))
    shown = listed[(number - 1) * _PAGE : number * _PAGE]
    pages = ceil(len(listed) / _PAGE)
    page = {"size": _PAGE, "totalElements": len(listed), "totalPages": pages, "number": number}
    links = {"self": {"href": _API + call.path}}
    if number < pages:
        links["next"] = {"href": f"{_API}{call.path}?page={number + 1}"}
    # "The _embedded key is not set when empty": https://github.com/helpscout/helpscout-api-php
    return {**({"_embedded": {name: shown}} if shown else {}), "page": page, "_links": links}


def _person(person: Person, *, ai: bool = True) -> dict[str, Any]:
    first, _, last = (person.name or "").partition(" ")
    # Up to version 2 an AI is told as a user: https://developer.helpscout.com/mailbox-api/endpoints/conversations/get-v3/
    kind = "user" if person.type == "system_user" and not ai else person.type
    return {"id": int(person.id), "type": kind, "first": first, "last": last, "email": person.email or ""}


def _published(thread: FakeMessage) -> bool:
    return bool(thread.extra["state"] == "published")


def _moment(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
