"""A fake of Intercom: its REST API for conversations, and the webhooks that it sends.

Written from Intercom's own descriptions, apart from the adapter, so that it checks the adapter:
https://developers.intercom.com/docs/references/rest-api/api.intercom.io/conversations
https://developers.intercom.com/docs/webhooks/webhook-notifications

Where those leave room it is strict: an id must be a string, as the schemas say, though their examples send numbers.
Not here: tickets, contacts, search, the list of conversations, replies in the name of a customer.
"""

import hashlib
import hmac
import json
import mimetypes
import re
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias, cast

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

Version: TypeAlias = Literal["2.13", "2.14", "2.15", "2.16"]

_VERSIONS = frozenset({"1.0", "1.1", "1.2", "1.3", "1.4"} | {f"2.{minor}" for minor in range(18)})
_PARTS_SHOWN = 500  # "the 500 most recent conversation parts" are all that a GET tells

# Priorities are two words up to 2.15, five from 2.16.
_OLD_PRIORITY = {"none": "not_priority", "low": "not_priority"}

_STARTED_BY = {"customer": "customer_initiated", "agent": "admin_initiated", "bot": "operator_initiated"}

_STATES: Mapping[str, Literal["open", "closed", "snoozed"]] = {"close": "closed", "open": "open", "snoozed": "snoozed"}

_NOBODY = {"type": "nobody_admin", "id": None}


@dataclass(frozen=True)
class _Field:
    kind: type = str
    required: bool = True
    values: tuple[str, ...] = ()


_ADMIN_ID = {"admin_id": _Field()}
_AS_ADMIN = {"type": _Field(values=("admin",)), **_ADMIN_ID}
_EXTRAS = {
    "created_at": _Field(int, required=False),
    "attachment_urls": _Field(list, required=False),
    "attachment_files": _Field(list, required=False),
    "skip_notifications": _Field(bool, required=False),
}
_REPLIES: Mapping[str, Mapping[str, _Field]] = {
    "comment": {**_AS_ADMIN, "body": _Field(), **_EXTRAS},
    "note": {**_AS_ADMIN, "body": _Field(), **_EXTRAS},
    "quick_reply": {**_AS_ADMIN, "body": _Field(required=False), "reply_options": _Field(list), **_EXTRAS},
}
_PARTS: Mapping[str, Mapping[str, _Field]] = {
    "assignment": {
        "type": _Field(values=("admin", "team")),
        **_ADMIN_ID,
        "assignee_id": _Field(),
        "body": _Field(required=False),
    },
    "close": {**_AS_ADMIN, "body": _Field(required=False)},
    "open": _ADMIN_ID,
    "snoozed": {**_ADMIN_ID, "snoozed_until": _Field(int)},
}
_UPDATE = {
    "read": _Field(bool, required=False),
    "title": _Field(required=False),
    "custom_attributes": _Field(dict, required=False),
}


class FakeIntercom(FakeHelpDesk):
    """Intercom with one workspace.

    Args:
        app_id: The workspace, as webhooks and `GET /me` name it.
        access_token: What calls must carry.
        client_secret: What webhooks are signed with.
        users: Teammates, id to name; the first is the integration's own.
        teams: Id to name; the first three are those of `default_buckets.from_env`: on-call, billing, support.
        api_version: The version chosen for the app. It shapes the webhooks, and the answers to calls that name none.
        clock: Seconds since the epoch.
        rate_limit: Intercom's own by default: 10,000 a minute, a sixth of them in each 10 seconds.
        latency: Seconds that each call takes.
        first_id: Where ids start; see `FakeHelpDesk`.
    """

    prefix = "INTERCOM"
    error_codes = {  # noqa: RUF012 - never changed
        400: "bad_request",
        401: "unauthorized",
        403: "forbidden",
        404: "not_found",
        408: "request_timeout",
        409: "conflict",
        422: "unprocessable_entity",
        429: "rate_limit_exceeded",
        500: "server_error",
        503: "service_unavailable",
    }
    # https://developers.intercom.com/docs/references/rest-api/errors/http-responses: a wrong method is 404 too.
    no_route = (404, "not_found", "The requested resource was not found")
    over_limit = (429, "rate_limit_exceeded", "Exceeded rate limit")

    def __init__(
        self,
        *,
        app_id: str = "abc123de",
        access_token: str = "fake-access-token",  # noqa: S107 - of a fake
        client_secret: str = "fake-client-secret",  # noqa: S107 - the same
        users: Mapping[str, str] | None = None,
        teams: Mapping[str, str] | None = None,
        api_version: Version = "2.16",
        clock: Clock = time.time,
        rate_limit: RateLimit | None = RateLimit(1_666, 10),  # noqa: B008 - frozen
        latency: float = 0,
        first_id: int = 1,
    ) -> None:
        super().__init__(clock=clock, rate_limit=rate_limit, latency=latency, first_id=first_id)
        self.app_id = app_id
        self.access_token = access_token
        self.client_secret = client_secret
        self.users = dict(users or {"99999": "Triage", "88888": "Ada Probe"})
        self.teams = dict(teams or {"12345": "On-call", "67890": "Billing", "11111": "Support"})
        self.tags: dict[str, str] = {}
        """Names to ids."""
        self.api_version = api_version
        if not all(number.isdecimal() for number in (*self.users, *self.teams)):
            raise ValueError("The ids of admins and teams are numbers, as strings.")

    def settings(self, base_url: str = IN_PROCESS) -> dict[str, str]:
        """The arguments of an adapter that calls this fake: `Intercom(**fake.settings(base_url))`.

        Args:
            base_url: What `serve()` gives. The default leads nowhere, so that a client without `transport` reaches
                nobody.
        """
        return {
            "client_secret": self.client_secret,
            "access_token": self.access_token,
            "admin_id": next(iter(self.users)),
            "base_url": base_url,
        }

    # The API.

    def build_routes(self) -> Routes:
        """The part of the API that there is."""
        one = r"/conversations/(?P<conversation_id>[^/]+)"
        return {
            ("GET", "/me"): self._get_me,
            ("GET", "/admins"): self._get_admins,
            ("GET", "/teams"): self._get_teams,
            ("GET", "/tags"): self._get_tags,
            ("POST", "/tags"): self._post_tag,
            ("GET", one): self._get_conversation,
            ("PUT", one): self._put_conversation,
            ("POST", f"{one}/reply"): self._post_reply,
            ("POST", f"{one}/parts"): self._post_part,
            ("POST", f"{one}/tags"): self._attach_tag,
            ("DELETE", rf"{one}/tags/(?P<tag_id>[^/]+)"): self._detach_tag,
        }

    def admit(self, call: Call) -> None:
        """Check the token and the version."""
        if call.headers.get("authorization") != f"Bearer {self.access_token}":
            raise Refusal(401, "unauthorized", "Access Token Invalid")
        if self._version(call) not in _VERSIONS:
            raise Refusal(400, "intercom_version_invalid", "The requested version could not be found")

    def build_error(self, refusal: Refusal) -> Any:
        """An `error.list` of one."""
        told = {"code": refusal.code, "message": refusal.message}
        if refusal.field is not None:
            told["field"] = refusal.field
        return {"type": "error.list", "request_id": self._uuid(), "errors": [told]}

    def build_rate_headers(self, limit: RateLimit, remaining: int, reset: int) -> Mapping[str, str]:
        """https://developers.intercom.com/docs/references/rest-api/errors/rate-limiting."""
        return {
            "X-RateLimit-Limit": str(limit.calls),
            "X-RateLimit-Remaining": str(remaining),
            "X-RateLimit-Reset": str(reset),
        }

    def _get_me(self, _: Call) -> Any:
        own = self._admin(next(iter(self.users)))
        app = {
            "type": "app",
            "id_code": self.app_id,
            "name": "Example",
            "region": "US",
            "timezone": "UTC",
            "created_at": 1_734_537_243,
            "identity_verification": False,
        }
        about = {"type": "admin", "id": own.id, "name": own.name, "email": own.email, "email_verified": True}
        return {**about, "has_inbox_seat": True, "app": app}

    def _get_admins(self, _: Call) -> Any:
        state: dict[str, Any] = {
            "away_mode_enabled": False,
            "away_mode_reassign": False,
            "has_inbox_seat": True,
            "team_ids": [],
        }
        people = [self._admin(admin_id) for admin_id in self.users]
        listed = [{"type": "admin", "id": one.id, "name": one.name, "email": one.email, **state} for one in people]
        return {"type": "admin.list", "admins": listed}

    def _get_teams(self, _: Call) -> Any:
        members: list[int] = []
        listed = [{"type": "team", "id": id_, "name": name, "admin_ids": members} for id_, name in self.teams.items()]
        return {"type": "team.list", "teams": listed}

    def _get_tags(self, _: Call) -> Any:
        return {"type": "list", "data": [self._tag(name) for name in self.tags]}

    def _post_tag(self, call: Call) -> Any:
        return self._tag(_checked(call, {"name": _Field()})["name"])

    def _get_conversation(self, call: Call, conversation_id: str) -> Any:
        conversation = self._conversation(conversation_id)
        shape = _Shape(self._version(call), plain=call.query.get("display_as") == "plaintext")
        return self._shown(conversation, shape, conversation.messages[1:][-_PARTS_SHOWN:])

    def _put_conversation(self, call: Call, conversation_id: str) -> Any:
        conversation = self._conversation(conversation_id)
        given = _checked(call, _UPDATE)
        conversation.extra.update({name: given[name] for name in ("read", "title") if name in given})
        attributes: dict[str, Any] = given.get("custom_attributes") or {}
        conversation.fields.update(attributes)
        # The call names no teammate: what it does stands under the bot's name.
        parts = [
            self._add(conversation, "event", "conversation_attribute_updated_by_admin", None, self._bot(), via_api=True)
            for _ in attributes
        ]
        return self._answered(call, conversation, parts)

    def _post_reply(self, call: Call, conversation_id: str) -> Any:
        given = _checked(call, _REPLIES, "message_type")
        kind = given["message_type"]
        if kind == "quick_reply" and _number(self._version(call)) < (2, 14):
            raise Refusal(400, "parameter_invalid", "message_type is invalid", "message_type")
        conversation, admin = self._conversation(conversation_id), self._acting(given)
        body = None if kind == "quick_reply" else given["body"]
        role: FakeRole = "note" if kind == "note" else "agent"
        return self._answered(call, conversation, [self._add(conversation, role, kind, body, admin, via_api=True)])

    def _post_part(self, call: Call, conversation_id: str) -> Any:
        given = _checked(call, _PARTS, "message_type")
        conversation, admin = self._conversation(conversation_id), self._acting(given)
        kind = given["message_type"]
        if kind == "assignment":
            part = self._assign(conversation, admin, given)
        else:
            conversation.state, conversation.snoozed_until = _STATES[kind], given.get("snoozed_until")
            part = self._act(conversation, kind, admin, given)
        return self._answered(call, conversation, [part])

    def _assign(
        self, conversation: FakeConversation, admin: Person, given: Mapping[str, Any], *, via_api: bool = True
    ) -> FakeMessage:
        kind, assignee = given["type"], given["assignee_id"]
        if assignee != "0" and assignee not in (self.users if kind == "admin" else self.teams):
            raise Refusal(404, f"{kind}_not_found", "Assignee not found")
        chosen = None if assignee == "0" else assignee
        if kind == "admin":
            conversation.assignee = chosen
        else:
            conversation.team = chosen
        part_type = "assignment"
        if conversation.state == "closed":
            conversation.state, part_type = "open", "assign_and_reopen"
        part = self._act(conversation, part_type, admin, given, via_api=via_api)
        part.extra["assigned_to"] = {"type": kind, "id": chosen} if chosen else _NOBODY
        return part

    def _act(
        self,
        conversation: FakeConversation,
        kind: str,
        admin: Person,
        given: Mapping[str, Any],
        *,
        via_api: bool = True,
    ) -> FakeMessage:
        body = given.get("body")  # the customer sees it
        return self._add(conversation, "agent" if body else "event", kind, body, admin, via_api=via_api)

    def _attach_tag(self, call: Call, conversation_id: str) -> Any:
        given = _checked(call, {"id": _Field(), **_ADMIN_ID})
        conversation, admin = self._conversation(conversation_id), self._acting(given)
        name = self._tag_name(given["id"])
        if name not in conversation.tags:
            conversation.tags.append(name)
        applied = {"applied_at": self.now(), "applied_by": {"type": "admin", "id": admin.id}}
        conversation.extra.setdefault("applied", {}).setdefault(name, applied)
        return self._tag(name, conversation)

    def _detach_tag(self, call: Call, conversation_id: str, tag_id: str) -> Any:
        given = _checked(call, _ADMIN_ID)
        conversation, _ = self._conversation(conversation_id), self._acting(given)
        name = self._tag_name(tag_id)
        if name not in conversation.tags:
            raise Refusal(404, "not_found", "Tag not found on the conversation")
        conversation.tags.remove(name)
        return self._tag(name, conversation)

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
        """Write as a customer; gives `conversation.user.created`, or `conversation.user.replied` to go on with one.

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
                self._add(known, "customer", known.channel, body, known.contact, attachments=attachments)
                return self._notify("conversation.user.created", known, [])
            known = self.conversations[conversation]
            # A reply that reopens a closed conversation is a part of that type, with the text in it.
            kind = "open" if known.state == "closed" else "comment"
            known.state, known.snoozed_until = "open", None
            part = self._add(known, "customer", kind, body, known.contact, attachments=attachments)
            return self._notify("conversation.user.replied", known, [part])

    def agent_writes(self, text: str, *, conversation: str, agent: str | None = None, html: bool = False) -> Webhook:
        """Answer the customer as a human teammate; gives `conversation.admin.replied`.

        Args:
            text: Plain text, or HTML with `html=True`.
            conversation: The conversation's id.
            agent: The teammate's id; None for the last of `users`.
            html: True if `text` is HTML.
        """
        with self._lock:
            known, admin = self.conversations[conversation], self._human(agent)
            part = self._add(known, "agent", "comment", text if html else to_html(text), admin)
            return self._notify("conversation.admin.replied", known, [part])

    def bot_greets(
        self,
        text: str = "Hi! How can we help?",
        *,
        name: str | None = "Mira Probe",
        email: str | None = "mira@example.com",
    ) -> Webhook:
        """Begin a conversation as Intercom's bot, before the customer has said a word.

        Gives `conversation.operator.replied`; below 2.14, which lacks it, `conversation.admin.replied`. What the
        customer writes then is `conversation.user.replied`, and `source` stays the bot's greeting.

        Args:
            text: The greeting.
            name: The customer's.
            email: The customer's.
        """
        with self._lock:
            known = self._begin(name, email, "")
            self._add(known, "bot", known.channel, to_html(text), self._bot())
            role = "operator" if _number(self.api_version) >= (2, 14) else "admin"
            return self._notify(f"conversation.{role}.replied", known, [])

    def assign(self, conversation: str, agent: str | None = None) -> Webhook:
        """Take a conversation as a human teammate does; gives `conversation.admin.assigned`.

        Args:
            conversation: The conversation's id.
            agent: The teammate's id; None for the last of `users`.
        """
        with self._lock:
            known, admin = self.conversations[conversation], self._human(agent)
            part = self._assign(known, admin, {"type": "admin", "assignee_id": admin.id}, via_api=False)
            return self._notify("conversation.admin.assigned", known, [part])

    def ping(self) -> Webhook:
        """The test call after the webhook's address was saved. Its id is null."""
        with self._lock:
            return self._signed("ping", {"type": "ping", "message": "This is a ping notification test message."}, None)

    def redeliver(self, webhook: Webhook) -> Webhook:
        """The same notification as Intercom sends it a minute later, having missed our answer."""
        notification = json.loads(webhook.body)
        notification["delivery_attempts"] += 1
        return self._webhook(notification, webhook.conversation_id)

    def _begin(self, name: str | None, email: str | None, subject: str) -> FakeConversation:
        number, now = self.next_id(), self.now()
        contact = Person(f"6740f1c2a1b2c3d4{number:08x}", "user", name, email)
        channel = "email" if subject else "conversation"
        known = FakeConversation(str(215_470_000_000_000 + number), contact, subject, channel, now, now)
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
        if body is not None and not re.match(r"\s*<", body):
            body = f"<p>{body}</p>"  # as the examples show: "Goodbye :)" comes back as a paragraph
        now = self.now()
        part = FakeMessage(
            str(2_540_000_000 + self.next_id()), role, kind, body, author, now, tuple(attachments), via_api
        )
        part.extra["state"] = conversation.state
        conversation.messages.append(part)
        conversation.updated_at = now
        return part

    # Look-ups.

    def _version(self, call: Call) -> str:
        return call.headers.get("intercom-version", self.api_version)

    def _conversation(self, conversation_id: str) -> FakeConversation:
        try:
            return self.conversations[conversation_id]
        except KeyError:
            raise Refusal(404, "not_found", "Resource Not Found") from None

    def _acting(self, given: Mapping[str, Any]) -> Person:
        # A team's id here is the usual mistake: https://github.com/intercom/intercom-ruby/issues/433
        if given["admin_id"] not in self.users:
            raise Refusal(404, "admin_not_found", "Admin not found")
        return self._admin(given["admin_id"])

    def _admin(self, admin_id: str) -> Person:
        return Person(admin_id, "admin", self.users[admin_id], f"teammate-{admin_id}@example.com")

    def _human(self, admin_id: str | None) -> Person:
        return self._admin(admin_id or list(self.users)[-1])

    def _bot(self) -> Person:
        return Person("5017690", "bot", "Operator", f"operator+{self.app_id}@intercom.io")

    def _tag_name(self, tag_id: str) -> str:
        for name, known in self.tags.items():
            if known == tag_id:
                return name
        raise Refusal(404, "not_found", "Tag not found")

    def _tag(self, name: str, conversation: FakeConversation | None = None) -> dict[str, Any]:
        if name not in self.tags:
            self.tags[name] = str(7_520_000 + self.next_id())
        applied: dict[str, Any] = conversation.extra.get("applied", {}).get(name, {}) if conversation else {}
        return {"type": "tag", "id": self.tags[name], "name": name, **applied}

    def _uuid(self) -> str:
        return str(uuid.UUID(int=self.next_id(), version=4))

    # What Intercom says.

    def _answered(self, call: Call, conversation: FakeConversation, parts: Sequence[FakeMessage]) -> Any:
        # https://github.com/intercom/Intercom-OpenAPI: in the examples only the new parts come back.
        conversation.updated_at = self.now()
        return self._shown(conversation, _Shape(self._version(call)), parts)

    def _notify(self, topic: str, conversation: FakeConversation, parts: Sequence[FakeMessage]) -> Webhook:
        # The app's version shapes webhooks; from 2.15 they hold plain text and times as numbers.
        plain = _number(self.api_version) >= (2, 15)
        shape = _Shape(self.api_version, plain=plain, iso=not plain)
        return self._signed(topic, self._shown(conversation, shape, parts), conversation.id)

    def _signed(self, topic: str, item: Any, conversation_id: str | None) -> Webhook:
        now = self.now()
        notification = {
            "type": "notification_event",
            "app_id": self.app_id,
            "data": {"type": "notification_event_data", "item": item},
            "links": {},
            "id": None if topic == "ping" else f"notif_{self._uuid()}",
            "topic": topic,
            "delivery_status": "pending",
            "delivery_attempts": 1,
            "delivered_at": 0,
            "first_sent_at": now,
            "created_at": now,
            "self": None,
        }
        return self._webhook(notification, conversation_id)

    def _webhook(self, notification: Any, conversation_id: str | None) -> Webhook:
        body = json.dumps(notification, ensure_ascii=False).encode()
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json",
            "User-Agent": "intercom-parrot-service-client/1.0",
            "X-Hub-Signature": sign(body, self.client_secret),
        }
        return Webhook(body, headers, conversation_id)

    def _shown(self, conversation: FakeConversation, shape: "_Shape", parts: Sequence[FakeMessage]) -> dict[str, Any]:
        contact = conversation.contact
        spoken = {one.author.id for one in conversation.messages if one.role in ("agent", "note")}
        shown: dict[str, Any] = {
            "type": "conversation",
            "id": conversation.id,
            "created_at": conversation.created_at,
            "updated_at": conversation.updated_at,
            "waiting_since": _waiting_since(conversation),
            "snoozed_until": conversation.snoozed_until,
            "source": shape.source(conversation),
            "contacts": {
                "type": "contact.list",
                "contacts": [{"type": "contact", "id": contact.id, "external_id": f"cust-{contact.id[-8:]}"}],
            },
            "first_contact_reply": shape.first_contact_reply(conversation),
            "admin_assignee_id": shape.assignee(conversation.assignee),
            "team_assignee_id": shape.assignee(conversation.team),
            "open": conversation.state != "closed",
            "state": conversation.state,
            "read": conversation.extra.get("read", False),
            "tags": {"type": "tag.list", "tags": [self._tag(name, conversation) for name in conversation.tags]},
            "priority": shape.priority(conversation.priority),
            "sla_applied": None,
            "statistics": shape.statistics(conversation),
            "conversation_rating": None,
            "teammates": {
                "type": "admin.list",
                "teammates": [{"type": "admin", "id": id_} for id_ in sorted(spoken)],
            },
            "title": conversation.extra.get("title"),
            "custom_attributes": dict(conversation.fields),
            "topics": {},
            "ticket": None,
            "linked_objects": {"type": "list", "data": [], "total_count": 0, "has_more": False},
            "ai_agent": None,
            "ai_agent_participated": False,
            "conversation_parts": {
                "type": "conversation_part.list",
                "conversation_parts": [shape.part(part) for part in parts],
                "total_count": len(parts),
            },
        }
        return shown | shape.newer(conversation)


@dataclass(frozen=True)
class _Shape:
    # How a version tells things, and how the reader wants them told.
    version: str
    plain: bool = False
    iso: bool = False

    def since(self, minor: int) -> bool:
        return _number(self.version) >= (2, minor)

    def text(self, body: str | None) -> str | None:
        return to_text(body) if body and self.plain else body

    def moment(self, at: int | None) -> int | str | None:
        if at is None or not self.iso:
            return at
        return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")

    def assignee(self, who: str | None) -> int | None:
        return int(who) if who else (0 if self.since(16) else None)

    def priority(self, word: str) -> str:
        return word if self.since(16) else _OLD_PRIORITY.get(word, "priority")

    def author(self, person: Person) -> dict[str, Any]:
        ai = {"from_ai_agent": False, "is_ai_answer": False} if self.since(14) else {}
        return {"type": person.type, "id": person.id, "name": person.name, "email": person.email, **ai}

    def source(self, conversation: FakeConversation) -> dict[str, Any]:
        first, subject = conversation.messages[0], conversation.subject
        newer = {"recipients": None, "reply_to": None, "email_message_metadata": None} if self.since(16) else {}
        return {
            "type": conversation.channel,
            "id": first.id,
            "delivered_as": _STARTED_BY[first.role],
            "subject": self.text(to_html(subject)) if subject else "",
            "body": self.text(first.body),
            "author": self.author(first.author),
            "attachments": [_attachment(name) for name in first.attachments],
            "url": None,
            "redacted": False,
            **newer,
        }

    def part(self, part: FakeMessage) -> dict[str, Any]:
        return {
            "type": "conversation_part",
            "id": part.id,
            "part_type": part.type,
            "body": self.text(part.body),
            "created_at": part.at,
            "updated_at": part.at,
            "notified_at": part.at,
            "assigned_to": part.extra.get("assigned_to"),
            "author": self.author(part.author),
            "attachments": [_attachment(name) for name in part.attachments],
            "external_id": None,
            "redacted": False,
            "metadata": {},
            "email_message_metadata": None,
            "state": part.extra.get("state"),
            "tags": [],
            "event_details": {},
            "app_package_code": None,
        }

    def first_contact_reply(self, conversation: FakeConversation) -> dict[str, Any] | None:
        times = _times(conversation, "customer")
        return {"created_at": times[0], "type": conversation.channel, "url": None} if times else None

    def statistics(self, conversation: FakeConversation) -> dict[str, Any]:
        contact, admin = _times(conversation, "customer"), _times(conversation, "agent")
        closes = [part for part in conversation.messages if part.type == "close"]
        assignments = [part.at for part in conversation.messages if "assigned_to" in part.extra]
        dates = {
            "first_contact_reply_at": min(contact, default=None),
            "first_assignment_at": min(assignments, default=None),
            "first_admin_reply_at": min(admin, default=None),
            "first_close_at": min((part.at for part in closes), default=None),
            "last_assignment_at": max(assignments, default=None),
            "last_assignment_admin_reply_at": None,
            "last_contact_reply_at": max(contact, default=None),
            "last_admin_reply_at": max(admin, default=None),
            "last_close_at": max((part.at for part in closes), default=None),
        }
        durations = (
            "time_to_assignment",
            "time_to_admin_reply",
            "time_to_first_close",
            "time_to_last_close",
            "median_time_to_reply",
            "handling_time",
            "adjusted_handling_time",
        )
        return {
            "type": "conversation_statistics",
            **dict.fromkeys(durations),
            **{name: self.moment(at) for name, at in dates.items()},
            "last_closed_by_id": closes[-1].author.id if closes else None,
            "count_reopens": sum(part.type in ("open", "assign_and_reopen") for part in conversation.messages),
            "count_assignments": len(assignments),
            "count_conversation_parts": len(conversation.messages),
            "assigned_team_first_response_time": [],
            "assigned_team_first_response_time_in_office_hours": [],
        }

    def newer(self, conversation: FakeConversation) -> dict[str, Any]:
        added: dict[str, Any] = {"company": None} if self.since(15) else {}
        if self.since(16):
            added["channel"] = {"initial": conversation.channel, "current": conversation.channel}
            added |= {"sales_agent_participated": False, "sales_agent": None, "external_references": []}
        return added


def sign(body: bytes, secret: str) -> str:
    """The value of `X-Hub-Signature` for a body.

    Args:
        body: The bytes that are sent.
        secret: The app's client secret.
    """
    # https://developers.intercom.com/docs/references/webhooks/webhook-models: RFC 2104 with SHA-1, in hex.
    return "sha1=" + hmac.new(secret.encode(), body, hashlib.sha1).hexdigest()


def _checked(call: Call, fields: Mapping[str, Any], choice: str | None = None) -> Mapping[str, Any]:
    # The known fields of a request's body. With `choice` that field tells which of several sets of fields applies.
    body: object = call.body
    if not is_json(call) or not isinstance(body, dict):
        raise Refusal(400, "parameter_invalid", "The request body is not valid JSON")
    given = cast("dict[str, Any]", body)
    if choice is not None:
        kind = _Field(values=tuple(fields))
        _check(given, choice, kind)
        fields = {choice: kind, **fields[given[choice]]}
    for name, wanted in fields.items():
        _check(given, name, wanted)
    return {name: given[name] for name in fields if name in given}


def _check(given: Mapping[str, Any], name: str, wanted: _Field) -> None:
    value = given.get(name)
    if value is None or value == "":
        if wanted.required:
            raise Refusal(400, "parameter_missing", f"{name} is required", name)
    elif type(value) is not wanted.kind or (wanted.values and value not in wanted.values):
        raise Refusal(400, "parameter_invalid", f"{name} is invalid", name)


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _times(conversation: FakeConversation, role: str) -> list[int]:
    return [message.at for message in conversation.messages if message.role == role]


def _waiting_since(conversation: FakeConversation) -> int | None:
    since = None
    for message in conversation.messages:
        if message.role == "agent":
            since = None
        elif message.role == "customer" and since is None:
            since = message.at
    return since


def _attachment(name: str) -> dict[str, Any]:
    return {
        "type": "upload",
        "name": name,
        "url": f"https://attachments.example.com/{name}",
        "content_type": mimetypes.guess_type(name)[0] or "application/octet-stream",
        "filesize": 48_213,
        "width": None,
        "height": None,
    }
