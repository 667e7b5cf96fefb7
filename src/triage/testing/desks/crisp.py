"""A fake of Crisp: its REST API for conversations, and the web hooks that it sends.

Written from Crisp's own descriptions and its clients for Node and Go, apart from the adapter, so that it checks the
adapter:
https://docs.crisp.chat/references/rest-api/v1
https://docs.crisp.chat/guides/web-hooks
https://github.com/crisp-im/node-crisp-api

Where those leave room it is strict: a field that they do not name is refused, and what is written replaces what is
there. Not here: people, plugins' subscriptions, batches, mail quarantine, files and pickers of operators.
"""

import hashlib
import hmac
import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
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
    as_json,
    basic_credentials,
    is_json,
    to_text,
)
from triage.testing.desks.shape import Shape, is_flag, is_text, is_text_or_null, is_texts, misfit
from triage.testing.server import HttpRequest, HttpResponse

Hook: TypeAlias = Literal["plugin", "website"]

_PAGE = 20
_STATES = ("pending", "unresolved", "resolved")


def _is_data(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(one, str | int | float) for one in cast("dict[str, object]", value).values()
    )


def _is_user(value: Any) -> bool:
    return isinstance(value, dict) and cast("dict[str, object]", value).keys() <= {
        "type",
        "user_id",
        "nickname",
        "avatar",
    }


_MESSAGE: Shape = {
    "type": lambda value: value in ("text", "note"),
    "from": lambda value: value in ("operator", "user"),
    "origin": is_text,
    "content": lambda value: isinstance(value, str) and value != "",
    "automated": is_flag,
    "stealth": is_flag,
    "user": _is_user,
    "mentions": is_texts,
    "fingerprint": lambda value: type(value) is int,
}
_META: Shape = {
    "nickname": is_text,
    "email": is_text,
    "phone": is_text,
    "address": is_text,
    "subject": is_text,
    "segments": is_texts,
    "data": _is_data,
}


class FakeCrisp(FakeHelpDesk):
    """Crisp with one workspace.

    Args:
        webhook_secret: A plugin's signing secret, or the key in the URL of a website hook.
        website_id: The workspace's id.
        identifier: The API token's identifier.
        key: Its key.
        tier: The API token's tier.
        hook: What sends the web hooks.
        url_key_header: The header in which a route hands over the key of a website hook's URL.
        users: Operators, id to name.
        teams: The inboxes, id to name; the first three are those of `default_buckets.from_env`.
        clock: Seconds since the epoch.
        rate_limit: None for none. Crisp counts by the day: 5,000 for a plugin.
        latency: Seconds that each call takes.
        first_id: Where ids start; see `FakeHelpDesk`.
    """

    prefix = "CRISP"
    error_codes = {  # noqa: RUF012 - never changed
        400: "invalid_data",
        401: "invalid_session",
        403: "not_allowed",
        404: "not_found",
        420: "rate_limited",
        429: "rate_limited",
        500: "internal_error",
    }
    no_route = (404, "route_not_found", "Route not found")
    over_limit = (429, "rate_limited", "Quota limit exceeded")

    def __init__(
        self,
        *,
        webhook_secret: str = "fake-webhook-secret",  # noqa: S107 - of a fake
        website_id: str = "8c842203-7ed8-4e29-a608-7cf78a7d2fcc",
        identifier: str = "fake-identifier",
        key: str = "fake-api-key",
        tier: Hook = "plugin",
        hook: Hook = "plugin",
        url_key_header: str = "X-Triage-Url-Key",
        users: Mapping[str, str] | None = None,
        teams: Mapping[str, str] | None = None,
        clock: Clock = time.time,
        rate_limit: RateLimit | None = RateLimit(5_000, 86_400),  # noqa: B008 - frozen
        latency: float = 0,
        first_id: int = 1,
    ) -> None:
        self.website_id = website_id
        super().__init__(clock=clock, rate_limit=rate_limit, latency=latency, first_id=first_id)
        self.webhook_secret = webhook_secret
        self.identifier = identifier
        self.key = key
        self.tier: Hook = tier
        self.hook: Hook = hook
        self.url_key_header = url_key_header
        self.users = dict(users or {_uuid(9002): "Ada Probe"})
        self.teams = dict(teams or {_uuid(701): "On-call", _uuid(702): "Billing", _uuid(703): "Support"})
        self.blocked: set[str] = set()
        """Ids of conversations whose visitor can no longer write."""

    def settings(self, base_url: str = IN_PROCESS) -> dict[str, str]:
        """The arguments of an adapter that calls this fake: `Crisp(**fake.settings(base_url))`.

        Args:
            base_url: What `serve()` gives. The default leads nowhere, so that a client without `transport` reaches
                nobody.
        """
        return {
            "webhook_secret": self.webhook_secret,
            "website_id": self.website_id,
            "identifier": self.identifier,
            "key": self.key,
            "hook": self.hook,
            "tier": self.tier,
            "base_url": base_url,
        }

    # The API.

    def build_routes(self) -> Routes:
        """The part of the API that there is."""
        website = f"/v1/website/{re.escape(self.website_id)}"
        one = f"{website}/conversation/(?P<session_id>[^/]+)"
        return {
            ("GET", f"{website}/operators/list"): self._get_operators,
            ("GET", rf"{website}/inboxes/list/\d+"): self._get_inboxes,
            ("GET", one): self._get_conversation,
            ("GET", f"{one}/messages"): self._get_messages,
            ("POST", f"{one}/message"): self._post_message,
            ("GET", f"{one}/meta"): self._get_meta,
            ("PATCH", f"{one}/meta"): self._patch_meta,
            ("GET", f"{one}/state"): self._get_state,
            ("PATCH", f"{one}/state"): self._patch_state,
            ("GET", f"{one}/routing"): self._get_routing,
            ("PATCH", f"{one}/routing"): self._patch_routing,
            ("PATCH", f"{one}/inbox"): self._patch_inbox,
            ("PATCH", f"{one}/block"): self._patch_block,
        }

    def admit(self, call: Call) -> None:
        """Check token, tier and workspace, and that nothing but JSON is sent."""
        if basic_credentials(call) != f"{self.identifier}:{self.key}":
            raise Refusal(401, "invalid_session", "Invalid session")
        if call.headers.get("x-crisp-tier") != self.tier or not call.path.startswith(f"/v1/website/{self.website_id}/"):
            raise Refusal(404, "not_subscribed", "Plugin is not subscribed to this website")
        if call.body is not None and not (is_json(call) and isinstance(call.body, dict)):
            raise Refusal(400, "invalid_data", "The request body is no JSON object")

    def build_error(self, refusal: Refusal) -> Any:
        """An error as Crisp puts it."""
        return {"error": True, "reason": refusal.code, "data": {"message": refusal.message}}

    def build_rate_headers(self, limit: RateLimit, remaining: int, reset: int) -> Mapping[str, str]:
        """None are documented."""
        return {}

    def respond(self, request: HttpRequest) -> HttpResponse:
        """Answer a request. Raises `Drop` where a fault says that there is no answer."""
        response = super().respond(request)
        return replace(response, headers={"Bloom-Status": "DIRECT", **response.headers})

    def _get_operators(self, _: Call) -> Any:
        return _data(
            [
                {
                    "type": "operator",
                    "details": {
                        "user_id": user_id,
                        "email": f"{user_id[-4:]}@example.com",
                        "first_name": name.partition(" ")[0],
                        "last_name": name.partition(" ")[2],
                        "role": "member",
                        "availability": "online",
                    },
                }
                for user_id, name in self.users.items()
            ]
        )

    def _get_inboxes(self, _: Call) -> Any:
        return _data(
            [{"inbox_id": id_, "name": name, "operators": [], "teams": []} for id_, name in self.teams.items()]
        )

    def _get_conversation(self, _: Call, session_id: str) -> Any:
        conversation = self._conversation(session_id)
        return _data(
            {
                "session_id": conversation.id,
                "website_id": self.website_id,
                "inbox_id": conversation.team,
                "state": conversation.extra["state"],
                "is_blocked": conversation.id in self.blocked,
                "availability": "online",
                "last_message": conversation.messages[-1].body if conversation.messages else "",
                "participants": [],
                "mentions": [],
                "unread": {"operator": 1, "visitor": 0},
                "meta": self._meta(conversation),
                "created_at": conversation.created_at * 1000,
                "updated_at": conversation.updated_at * 1000,
                **({"assigned": {"user_id": conversation.assignee}} if conversation.assignee else {}),
            }
        )

    def _get_messages(self, call: Call, session_id: str) -> Any:
        messages = self._conversation(session_id).messages
        before = call.query.get("timestamp_before")
        if before is not None:
            messages = [message for message in messages if message.extra["timestamp"] < int(before)]
        return _data([self._shown(message) | {"session_id": session_id} for message in messages[-_PAGE:]])

    def _post_message(self, call: Call, session_id: str) -> Any:
        given = _checked(call, _MESSAGE, "type", "from", "origin", "content")
        conversation = self._conversation(session_id)
        user = cast("dict[str, str]", given.get("user") or {"type": "website", "nickname": "Website"})
        role: FakeRole = "note" if given["type"] == "note" else "customer" if given["from"] == "user" else "agent"
        author = Person(user.get("user_id", ""), user.get("type", "participant"), user.get("nickname"))
        message = self._add(conversation, role, given["type"], given["content"], author, via_api=True)
        message.extra |= {"automated": given.get("automated", False)}
        message.extra |= {"fingerprint": given["fingerprint"]} if "fingerprint" in given else {}
        return _data({"fingerprint": message.extra["fingerprint"]}, "dispatched", status=202)

    def _get_meta(self, _: Call, session_id: str) -> Any:
        return _data(self._meta(self._conversation(session_id)))

    def _patch_meta(self, call: Call, session_id: str) -> Any:
        given = _checked(call, _META)
        conversation = self._conversation(session_id)
        if "segments" in given:
            conversation.tags[:] = given["segments"]
        if "data" in given:
            conversation.fields.clear()
            conversation.fields.update(given["data"])
        conversation.subject = given.get("subject", conversation.subject)
        contact = conversation.contact
        conversation.contact = replace(
            contact, name=given.get("nickname", contact.name), email=given.get("email", contact.email)
        )
        return _data({}, "updated")

    def _get_state(self, _: Call, session_id: str) -> Any:
        return _data({"state": self._conversation(session_id).extra["state"]})

    def _patch_state(self, call: Call, session_id: str) -> Any:
        fields: Shape = {"state": lambda value: value in _STATES, "user": _is_user, "origin": is_text}
        given = _checked(call, fields, "state")
        self._set_state(self._conversation(session_id), given["state"])
        return _data({}, "updated")

    def _get_routing(self, _: Call, session_id: str) -> Any:
        assignee = self._conversation(session_id).assignee
        return _data({"assigned": {"user_id": assignee} if assignee else None})

    def _patch_routing(self, call: Call, session_id: str) -> Any:
        given = _checked(call, {"assigned": lambda value: value is None or _is_user(value), "silent": is_flag})
        if "assigned" not in given:
            raise Refusal(400, "invalid_data", "assigned is required")
        user_id = given["assigned"] and given["assigned"].get("user_id")
        if user_id is not None and user_id not in self.users:
            raise Refusal(404, "operator_not_found", "Operator not found")
        self._conversation(session_id).assignee = user_id
        return _data({}, "updated")

    def _patch_inbox(self, call: Call, session_id: str) -> Any:
        given = _checked(call, {"inbox_id": is_text_or_null}, "inbox_id")
        if given["inbox_id"] is not None and given["inbox_id"] not in self.teams:
            raise Refusal(404, "inbox_not_found", "Inbox not found")
        self._conversation(session_id).team = given["inbox_id"]
        return _data({}, "updated")

    def _patch_block(self, call: Call, session_id: str) -> Any:
        given = _checked(call, {"blocked": is_flag, "user": _is_user, "origin": is_text}, "blocked")
        session = self._conversation(session_id).id
        if given["blocked"]:
            self.blocked.add(session)
        else:
            self.blocked.discard(session)
        return _data({}, "updated")

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
        """Write as a visitor; gives `message:send`. Text and each file are messages of their own; the last is told.

        Args:
            text: Plain text, or HTML with `html=True`, which Crisp makes plain.
            conversation: The conversation to go on with; None begins a new one.
            name: The customer's, for a new conversation.
            email: The customer's, for a new conversation.
            html: True if `text` is HTML.
            attachments: Names of files.
            subject: For a new conversation. One with a subject is an e-mail.
        """
        with self._lock:
            known = self._begin(name, email, subject) if conversation is None else self.conversations[conversation]
            self._set_state(known, "unresolved")
            message = None
            for file in attachments:
                message = self._add(known, "customer", "file", file, known.contact)
            if text or message is None:
                body = to_text(text) if html else text
                message = self._add(known, "customer", "text", body, known.contact)
            return self._notify("message:send", known, message)

    def agent_writes(self, text: str, *, conversation: str, agent: str | None = None, html: bool = False) -> Webhook:
        """Answer the customer as a human operator; gives `message:received`.

        Args:
            text: Plain text, or HTML with `html=True`.
            conversation: The conversation's id.
            agent: The operator's id; None for the last of `users`.
            html: True if `text` is HTML.
        """
        with self._lock:
            known = self.conversations[conversation]
            body = to_text(text) if html else text
            return self._notify("message:received", known, self._add(known, "agent", "text", body, self._human(agent)))

    def bot_greets(
        self,
        text: str = "Hi! How can we help?",
        *,
        name: str | None = "Mira Probe",
        email: str | None = "mira@example.com",
    ) -> Webhook:
        """Begin a conversation as Crisp's bot; gives `message:received`.

        Args:
            text: The greeting.
            name: The customer's.
            email: The customer's.
        """
        with self._lock:
            known = self._begin(name, email, "")
            message = self._add(known, "bot", "text", text, Person("", "website", "Bot"))
            message.extra["automated"] = True
            return self._notify("message:received", known, message)

    def assign(self, conversation: str, agent: str | None = None) -> Webhook:
        """Take a conversation as a human operator does; gives `session:set_routing`.

        Args:
            conversation: The conversation's id.
            agent: The operator's id; None for the last of `users`.
        """
        with self._lock:
            known, user = self.conversations[conversation], self._human(agent)
            previous, known.assignee = known.assignee, user.id
            return self._told("session:set_routing", known, {"routing_id": user.id, "previous_routing_id": previous})

    def ping(self) -> Webhook:
        """Crisp has no test call; what comes first is the start of a visitor's session."""
        with self._lock:
            return self._told("session:request:initiated", self._begin(None, None, ""), {})

    def redeliver(self, webhook: Webhook) -> Webhook:
        """The same webhook as Crisp sends it again, having missed our answer. Only a plugin's is."""
        again = {**webhook.headers, **self._signature(webhook.body), "X-Delivery-Attempt-Count": "2"}
        return replace(webhook, headers=again)

    def _set_state(self, conversation: FakeConversation, state: str) -> None:
        conversation.extra["state"] = state
        conversation.state = "closed" if state == "resolved" else "open"

    def _begin(self, name: str | None, email: str | None, subject: str) -> FakeConversation:
        session_id, now = f"session_{_uuid(self.next_id())}", self.now()
        contact = Person(session_id, "user", name, email)
        known = FakeConversation(session_id, contact, subject, "email" if subject else "chat", now, now)
        known.extra["state"] = "pending"
        self.conversations[known.id] = known
        return known

    def _add(
        self,
        conversation: FakeConversation,
        role: FakeRole,
        kind: str,
        body: str,
        author: Person,
        *,
        via_api: bool = False,
    ) -> FakeMessage:
        number, timestamp = self.next_id(), int(self.clock() * 1000)
        # Several messages of one moment have different times, or a page could not end between them.
        timestamp = max([timestamp, *(one.extra["timestamp"] + 1 for one in conversation.messages[-1:])])
        fingerprint = timestamp * 100 + number % 100
        message = FakeMessage(str(fingerprint), role, kind, body, author, self.now(), via_api=via_api)
        message.extra |= {"fingerprint": fingerprint, "timestamp": timestamp, "origin": conversation.channel}
        conversation.messages.append(message)
        return message

    # Look-ups.

    def _conversation(self, session_id: str) -> FakeConversation:
        try:
            return self.conversations[session_id]
        except KeyError:
            raise Refusal(404, "conversation_not_found", "Conversation not found") from None

    def _human(self, user_id: str | None) -> Person:
        user_id = user_id or list(self.users)[-1]
        return Person(user_id, "operator", self.users[user_id])

    # What Crisp says.

    def _meta(self, conversation: FakeConversation) -> dict[str, Any]:
        return {
            "nickname": conversation.contact.name or "visitor493603",
            "email": conversation.contact.email or "",
            "phone": "",
            "subject": conversation.subject,
            "avatar": None,
            "segments": conversation.tags,
            "data": conversation.fields,
        }

    def _shown(self, message: FakeMessage) -> dict[str, Any]:
        content: Any = message.body
        if message.type == "file":
            content = {
                "name": message.body,
                "url": f"https://storage.example/{message.body}",
                "type": "application/pdf",
            }
        user: dict[str, Any] = {"nickname": message.author.name or "visitor493603"}
        user |= {"type": message.author.type} if message.author.type else {}
        user |= {"user_id": message.author.id} if message.author.id else {}
        return {
            "website_id": self.website_id,
            "inbox_id": None,
            "type": message.type,
            "content": content,
            "from": "user" if message.role == "customer" else "operator",
            "origin": message.extra["origin"],
            "stamped": True,
            "automated": message.extra.get("automated", False),
            "timestamp": message.extra["timestamp"],
            "fingerprint": message.extra["fingerprint"],
            "mentions": [],
            "user": user,
        }

    def _notify(self, event: str, conversation: FakeConversation, message: FakeMessage) -> Webhook:
        return self._told(event, conversation, self._shown(message))

    def _told(self, event: str, conversation: FakeConversation, data: Mapping[str, Any]) -> Webhook:
        payload = {
            "website_id": self.website_id,
            "event": event,
            "data": {"website_id": self.website_id, "session_id": conversation.id, "inbox_id": None, **data},
            "timestamp": int(self.clock() * 1000),
        }
        body = json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()
        headers = {
            "Content-Type": "application/json",
            "X-Crisp-Hook-Origin": f"{self.hook}/rtm {_uuid(1)} production",
            "X-Delivery-Attempt-Limit": "3",
            "X-Delivery-Attempt-Count": "1",
        }
        return Webhook(body, {**headers, **self._signature(body)}, conversation.id)

    def _signature(self, body: bytes) -> dict[str, str]:
        stamp = str(int(self.clock() * 1000))
        if self.hook == "website":
            # Not signed. The key is in the URL, and a route hands it over.
            return {"X-Crisp-Request-Timestamp": stamp, self.url_key_header: self.webhook_secret}
        return {
            "X-Crisp-Request-Timestamp": stamp,
            "X-Crisp-Signature": sign(body, self.webhook_secret, stamp),
        }


def sign(body: bytes, secret: str, stamp: str) -> str:
    """The value of `X-Crisp-Signature` for a body.

    Args:
        body: The bytes that are sent.
        secret: The plugin's signing secret.
        stamp: The value of `X-Crisp-Request-Timestamp`.
    """
    return hmac.new(secret.encode(), f"[{stamp};".encode() + body + b"]", hashlib.sha256).hexdigest()


def _uuid(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012x}"


def _data(data: Any, reason: str = "resolved", *, status: int = 200) -> HttpResponse:
    return as_json(status, {"error": False, "reason": reason, "data": data})


def _checked(call: Call, fields: Shape, *required: str) -> dict[str, Any]:
    given = cast("dict[str, Any]", call.body or {})
    name = misfit(given, fields)
    if name is not None:
        raise Refusal(400, "invalid_data", f"{name} is invalid")
    for name in required:
        if name not in given:
            raise Refusal(400, "invalid_data", f"{name} is required")
    return given
