"""A fake of Crisp: its REST API for conversations, and its web hooks.

It follows Crisp's own descriptions and its clients for Node and Go, and shares no code with the adapter, so that it
tests the adapter:
https://docs.crisp.chat/references/rest-api/v1
https://docs.crisp.chat/guides/web-hooks
https://github.com/crisp-im/node-crisp-api

Where the descriptions are ambiguous the fake is strict: it rejects undocumented fields, and a written value replaces
the stored one. Not implemented: people, plugins' subscriptions, batches, mail quarantine, files and pickers of
operators.
"""

import hmac
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias, cast

from typing_extensions import Unpack, override

from triage.testing.desks.base import IN_PROCESS, FakeHelpDesk, FakeOptions, Routes, as_json
from triage.testing.desks.markup import to_text
from triage.testing.desks.records import (
    Call,
    FakeConversation,
    FakeMessage,
    FakeRole,
    Person,
    RateLimit,
    Refusal,
    Webhook,
)
from triage.testing.desks.shape import Shape, find_misfit, is_flag, is_list_of_texts, is_text, is_text_or_null
from triage.testing.server import HttpResponse

if TYPE_CHECKING:
    from triage.vendors import Crisp

Hook: TypeAlias = Literal["plugin", "website"]

_PAGE_SIZE = 20
_STATES = ("pending", "unresolved", "resolved")
_VISITOR = "visitor493603"
_BOT_ORIGIN = "urn:crisp.im:bot:0"


def _is_data(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(entry, str | int | float) for entry in cast("dict[str, object]", value).values()
    )


def _is_user(value: Any) -> bool:
    fields = {"type", "user_id", "nickname", "avatar"}
    return isinstance(value, dict) and cast("dict[str, object]", value).keys() <= fields


_MESSAGE: Shape = {
    "type": lambda value: value in ("text", "note"),
    "from": lambda value: value in ("operator", "user"),
    "origin": is_text,
    "content": lambda value: isinstance(value, str) and value != "",
    "automated": is_flag,
    "stealth": is_flag,
    "user": _is_user,
    "mentions": is_list_of_texts,
    "fingerprint": lambda value: type(value) is int,
}
_META: Shape = {
    "nickname": is_text,
    "email": is_text,
    "phone": is_text,
    "address": is_text,
    "subject": is_text,
    "segments": is_list_of_texts,
    "data": _is_data,
}
_STATE: Shape = {"state": lambda value: value in _STATES, "user": _is_user, "origin": is_text}
_ROUTING: Shape = {"assigned": lambda value: value is None or _is_user(value), "silent": is_flag}
_INBOX: Shape = {"inbox_id": is_text_or_null}
_BLOCK: Shape = {"blocked": is_flag, "user": _is_user, "origin": is_text}


class FakeCrisp(FakeHelpDesk):
    """Crisp with one workspace, or several that have installed the same plugin.

    `customer_writes` sends `message:send`; the text and each file are separate messages, and the returned web hook is
    that of the last one. HTML becomes plain text. `agent_writes` and `bot_greets` send `message:received`, and
    `assign` sends `session:set_routing`. Crisp has no test call: `ping` is the start of a visitor's session.

    By default the rate limit is a plugin's, 5,000 calls a day. Crisp redelivers the web hooks of plugins only.

    Args:
        webhook_secret: A plugin's signing secret, or the key in the URL of a website hook.
        website_id: The workspace's id, or the ids of several.
        identifier: The API token's identifier.
        key: The API token's key.
        tier: The API token's tier.
        hook: Whether a plugin or the website sends the web hooks.
        url_key_header: The header in which a route passes on the key in the URL of a website hook.
        options: `users` (operators), `teams` (inboxes), `clock`, `rate_limit`, `latency` and `first_id`; see
            `FakeHelpDesk`.

    Attributes:
        website_id: The id of the workspace in which the next conversation starts.
        websites: The ids of all workspaces.
        blocked: Ids of the conversations whose visitors can no longer write.
    """

    prefix = "CRISP"
    default_users: ClassVar = {"00000000-0000-4000-8000-00000000232a": "Ada Probe"}
    default_teams: ClassVar = {
        "00000000-0000-4000-8000-0000000002bd": "On-call",
        "00000000-0000-4000-8000-0000000002be": "Billing",
        "00000000-0000-4000-8000-0000000002bf": "Support",
    }
    default_rate_limit = RateLimit(5_000, 86_400)
    user_type = "operator"
    bot = Person("", "website", "Bot")
    error_codes: ClassVar = {
        400: "invalid_data",
        401: "invalid_session",
        403: "not_allowed",
        404: "not_found",
        420: "rate_limited",
        429: "rate_limited",
        500: "internal_error",
    }
    no_route = (404, "route_not_found", "Route not found")
    no_conversation = (404, "conversation_not_found", "Conversation not found")
    over_limit = (429, "rate_limited", "Quota limit exceeded")

    def __init__(
        self,
        *,
        webhook_secret: str = "fake-webhook-secret",
        website_id: str | Sequence[str] = "8c842203-7ed8-4e29-a608-7cf78a7d2fcc",
        identifier: str = "fake-identifier",
        key: str = "fake-api-key",
        tier: Hook = "plugin",
        hook: Hook = "plugin",
        url_key_header: str = "X-Triage-Url-Key",
        **options: Unpack[FakeOptions],
    ) -> None:
        super().__init__(**options)
        self.webhook_secret = webhook_secret
        self.websites = (website_id,) if isinstance(website_id, str) else tuple(website_id)
        self.website_id = self.websites[0]
        self.identifier = identifier
        self.key = key
        self.tier: Hook = tier
        self.hook: Hook = hook
        self.url_key_header = url_key_header
        self.blocked: set[str] = set()

    @override
    def settings(self, base_url: str = IN_PROCESS) -> dict[str, Any]:
        return {
            "webhook_secret": self.webhook_secret,
            "website_id": self.website_id if len(self.websites) == 1 else list(self.websites),
            "identifier": self.identifier,
            "key": self.key,
            "hook": self.hook,
            "tier": self.tier,
            "base_url": base_url,
        }

    @override
    def env(self, base_url: str = IN_PROCESS) -> dict[str, str]:
        return {**super().env(base_url), "CRISP_WEBSITE_ID": ",".join(self.websites)}

    @override
    def adapter(self, **settings: Any) -> "Crisp":
        from triage.vendors import Crisp

        return Crisp(**(self.settings() | settings))

    def state(self, conversation_id: str) -> str:
        """Return a conversation's state: `"pending"`, `"unresolved"` or `"resolved"`."""
        conversation = self.conversations[conversation_id]
        if conversation.state == "closed":
            return "resolved"
        return "pending" if conversation.extra["state"] == "pending" else "unresolved"

    # The API.

    @override
    def build_routes(self) -> Routes:
        website = f"/v1/website/(?:{'|'.join(map(re.escape, self.websites))})"
        conversation_path = f"{website}/conversation/(?P<session_id>[^/]+)"
        return {
            ("GET", f"{website}/operators/list"): self._get_operators,
            ("GET", rf"{website}/inboxes/list/\d+"): self._get_inboxes,
            ("GET", conversation_path): self._get_conversation,
            ("GET", f"{conversation_path}/messages"): self._get_messages,
            ("POST", f"{conversation_path}/message"): self._post_message,
            ("GET", f"{conversation_path}/meta"): self._get_meta,
            ("PATCH", f"{conversation_path}/meta"): self._patch_meta,
            ("GET", f"{conversation_path}/state"): self._get_state,
            ("PATCH", f"{conversation_path}/state"): self._patch_state,
            ("GET", f"{conversation_path}/routing"): self._get_routing,
            ("PATCH", f"{conversation_path}/routing"): self._patch_routing,
            ("PATCH", f"{conversation_path}/inbox"): self._patch_inbox,
            ("PATCH", f"{conversation_path}/block"): self._patch_block,
        }

    @override
    def admit(self, call: Call) -> None:
        if call.basic_credentials != f"{self.identifier}:{self.key}":
            raise Refusal(401, "invalid_session", "Invalid session")
        _, _, _, website_id, *rest = f"{call.path}////".split("/")
        if call.headers.get("x-crisp-tier") != self.tier or website_id not in self.websites:
            raise Refusal(404, "not_subscribed", "Plugin is not subscribed to this website")
        conversation = self.conversations.get(rest[1])
        if conversation is not None and conversation.extra["website"] != website_id:
            raise Refusal(*self.no_conversation)
        if call.body is not None and call.json_object is None:
            raise Refusal(400, "invalid_data", "The request body is not a JSON object")

    @override
    def build_error(self, refusal: Refusal) -> Any:
        return {"error": True, "reason": refusal.code, "data": {"message": refusal.message}}

    @override
    def build_rate_headers(self, limit: RateLimit, remaining: int, reset: int) -> Mapping[str, str]:
        return {}  # Crisp documents none

    @override
    def build_headers(self, response: HttpResponse) -> Mapping[str, str]:
        return {"Bloom-Status": "DIRECT"}

    def _get_operators(self, _: Call) -> Any:
        return _wrap([_render_operator(self.get_user(user_id)) for user_id in self.users])

    def _get_inboxes(self, _: Call) -> Any:
        return _wrap(
            [{"inbox_id": id_, "name": name, "operators": [], "teams": []} for id_, name in self.teams.items()]
        )

    def _get_conversation(self, _: Call, session_id: str) -> Any:
        conversation = self.find_conversation(session_id)
        return _wrap(
            {
                "session_id": conversation.id,
                "website_id": conversation.extra["website"],
                "inbox_id": conversation.team,
                "state": self.state(conversation.id),
                "is_blocked": conversation.id in self.blocked,
                "availability": "online",
                "last_message": conversation.messages[-1].body if conversation.messages else "",
                "participants": [],
                "mentions": [],
                "unread": {"operator": 1, "visitor": 0},
                "meta": _render_meta(conversation),
                "created_at": conversation.created_at * 1000,
                "updated_at": conversation.updated_at * 1000,
                **({"assigned": {"user_id": conversation.assignee}} if conversation.assignee else {}),
            }
        )

    def _get_messages(self, call: Call, session_id: str) -> Any:
        conversation = self.find_conversation(session_id)
        messages = conversation.messages
        before = call.query.get("timestamp_before")
        if before is not None:
            messages = [message for message in messages if message.extra["timestamp"] < int(before)]
        return _wrap(
            [_locate(conversation) | self._render_message(message) for message in messages[-_PAGE_SIZE:]],
            "listed",
            status=206,
        )

    def _post_message(self, call: Call, session_id: str) -> Any:
        fields = _read_fields(call, _MESSAGE, "type", "from", "origin", "content")
        conversation = self.find_conversation(session_id)
        user = cast("dict[str, str]", fields.get("user") or {"type": "website", "nickname": "Website"})
        role: FakeRole = "note" if fields["type"] == "note" else "customer" if fields["from"] == "user" else "agent"
        author = Person(user.get("user_id", ""), user.get("type", "participant"), user.get("nickname"))
        extra = {name: fields[name] for name in ("automated", "fingerprint", "origin") if name in fields}
        message = self.add_message(
            conversation, role, fields["content"], author, kind=fields["type"], via_api=True, **extra
        )
        return _wrap({"fingerprint": message.extra["fingerprint"]}, "dispatched", status=202)

    def _get_meta(self, _: Call, session_id: str) -> Any:
        return _wrap(_render_meta(self.find_conversation(session_id)))

    def _patch_meta(self, call: Call, session_id: str) -> Any:
        meta = _read_fields(call, _META)
        conversation = self.find_conversation(session_id)
        if "segments" in meta:
            conversation.tags[:] = meta["segments"]
        if "data" in meta:
            conversation.fields.clear()
            conversation.fields.update(meta["data"])
        conversation.subject = meta.get("subject", conversation.subject)
        contact = conversation.contact
        conversation.contact = replace(
            contact, name=meta.get("nickname", contact.name), email=meta.get("email", contact.email)
        )
        return _wrap({}, "updated")

    def _get_state(self, _: Call, session_id: str) -> Any:
        return _wrap({"state": self.state(self.find_conversation(session_id).id)})

    def _patch_state(self, call: Call, session_id: str) -> Any:
        state = _read_fields(call, _STATE, "state")["state"]
        self._set_state(self.find_conversation(session_id), state)
        return _wrap({}, "updated")

    def _get_routing(self, _: Call, session_id: str) -> Any:
        assignee = self.find_conversation(session_id).assignee
        return _wrap({"assigned": {"user_id": assignee} if assignee else None})

    def _patch_routing(self, call: Call, session_id: str) -> Any:
        assigned = _read_fields(call, _ROUTING, "assigned")["assigned"]
        user_id = assigned and assigned.get("user_id")
        if user_id is not None and user_id not in self.users:
            raise Refusal(404, "operator_not_found", "Operator not found")
        self.find_conversation(session_id).assignee = user_id
        return _wrap({}, "updated")

    def _patch_inbox(self, call: Call, session_id: str) -> Any:
        inbox_id = _read_fields(call, _INBOX, "inbox_id")["inbox_id"]
        if inbox_id is not None and inbox_id not in self.teams:
            raise Refusal(404, "inbox_not_found", "Inbox not found")
        self.find_conversation(session_id).team = inbox_id
        return _wrap({}, "updated")

    def _patch_block(self, call: Call, session_id: str) -> Any:
        block = _read_fields(call, _BLOCK, "blocked")["blocked"]
        conversation_id = self.find_conversation(session_id).id
        if block:
            self.blocked.add(conversation_id)
        else:
            self.blocked.discard(conversation_id)
        return _wrap({}, "updated")

    def _set_state(self, conversation: FakeConversation, state: str, person: Person | None = None) -> None:
        if state == "resolved" and self.state(conversation.id) != state:
            author = person or Person("", "website", "Website")
            self.add_message(conversation, "event", "state:resolved", author, kind="event")
        conversation.extra["state"] = state
        conversation.state = "closed" if state == "resolved" else "open"

    # Messages and assignments.

    @override
    def format_body(self, text: str, *, html: bool) -> str:
        return to_text(text) if html else text

    @override
    def create_conversation(self, number: int, name: str | None, email: str | None) -> FakeConversation:
        session_id = f"session_{_create_uuid(number)}"
        contact = Person(session_id, "user", name, email)
        extra = {"state": "pending", "website": self.website_id}
        return FakeConversation(session_id, contact, channel="chat", extra=extra)

    @override
    def add_message(
        self,
        conversation: FakeConversation,
        role: FakeRole,
        body: str | None,
        author: Person,
        *,
        attachments: Sequence[str] = (),
        **options: Any,
    ) -> FakeMessage:
        # Each file is a message.
        files = [self.add_message(conversation, role, name, author, kind="file") for name in attachments]
        return super().add_message(conversation, role, body, author, **options) if body or not files else files[-1]

    @override
    def prepare_message(self, conversation: FakeConversation, message: FakeMessage) -> None:
        # Messages of the same moment get different timestamps; otherwise a page could not end between them.
        timestamp = int(self.clock() * 1000)
        if conversation.messages:
            timestamp = max(timestamp, conversation.messages[-1].extra["timestamp"] + 1)
        fingerprint = timestamp * 100 + self.next_id() % 100
        message.id, message.type = str(fingerprint), message.type or "text"
        origin = _BOT_ORIGIN if message.role == "bot" else conversation.channel
        defaults = {"fingerprint": fingerprint, "automated": message.role == "bot", "origin": origin}
        message.extra = {**defaults, **message.extra, "timestamp": timestamp}
        if message.role == "customer" and not message.via_api:
            self._set_state(conversation, "unresolved")

    @override
    def report_message(self, conversation: FakeConversation, message: FakeMessage, *, is_new: bool = False) -> Webhook:
        event = "message:send" if message.role == "customer" else "message:received"
        return self._notify(event, conversation, self._render_message(message))

    @override
    def assign_human(self, conversation: FakeConversation, agent: Person) -> Webhook:
        routing = {"routing_id": agent.id, "previous_routing_id": conversation.assignee}
        conversation.assignee = agent.id
        return self._notify("session:set_routing", conversation, routing)

    def close(self, conversation: str, agent: str | None = None) -> Webhook:
        """Resolve a conversation as a human operator does; return the web hook `session:set_state`.

        Args:
            conversation: The conversation's id.
            agent: The operator's id; None for the last of `users`.
        """
        with self._lock:
            current = self.conversations[conversation]
            self._set_state(current, "resolved", self.get_human(agent))
            return self._notify("session:set_state", current, {"state": "resolved"})

    # Web hooks.

    @override
    def ping(self) -> Webhook:
        with self._lock:
            return self._notify("session:request:initiated", self.start_conversation(None, None), {})

    @override
    def redeliver(self, webhook: Webhook) -> Webhook:
        # Whether Crisp signs it again is not documented. The strict case: it keeps the first timestamp.
        return replace(webhook, headers={**webhook.headers, "X-Delivery-Attempt-Count": "2"})

    @override
    def sign(self, body: bytes) -> dict[str, str]:
        stamp = str(int(self.clock() * 1000))
        if self.hook == "website":
            # Website hooks are not signed. The key is in the URL, and a route passes it on in a header.
            return {"X-Crisp-Request-Timestamp": stamp, self.url_key_header: self.webhook_secret}
        return {
            "X-Crisp-Request-Timestamp": stamp,
            "X-Crisp-Signature": sign(body, self.webhook_secret, stamp),
        }

    def _notify(self, event: str, conversation: FakeConversation, data: Mapping[str, Any]) -> Webhook:
        payload = {
            "website_id": conversation.extra["website"],
            "event": event,
            "data": {**_locate(conversation), **data},
            "timestamp": int(self.clock() * 1000),
        }
        body = json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()
        headers = {
            "X-Crisp-Hook-Origin": f"{self.hook}/rtm {_create_uuid(1)} production",
            "X-Delivery-Attempt-Limit": "3",
            "X-Delivery-Attempt-Count": "1",
        }
        return self.build_webhook(body, conversation.id, headers)

    # JSON.

    def _render_message(self, message: FakeMessage) -> dict[str, Any]:
        content: Any = message.body
        if message.type == "file":
            url = f"https://storage.example/{message.body}"
            content = {"name": message.body, "url": url, "type": "application/pdf"}
        elif message.type == "event":
            content = {"namespace": message.body}
        author = message.author
        user: dict[str, Any] = {"nickname": author.name or _VISITOR}
        user |= {"type": author.type} if author.type else {}
        user |= {"user_id": author.id} if author.id else {}
        return {
            "type": message.type,
            "content": content,
            "from": "user" if message.role == "customer" else "operator",
            "origin": message.extra["origin"],
            "stamped": True,
            "automated": message.extra["automated"],
            "timestamp": message.extra["timestamp"],
            "fingerprint": message.extra["fingerprint"],
            "mentions": [],
            "user": user,
        }


def sign(body: bytes, secret: str, stamp: str) -> str:
    """Return the value of `X-Crisp-Signature` for a body.

    Args:
        body: The bytes that are sent.
        secret: The plugin's signing secret.
        stamp: The value of `X-Crisp-Request-Timestamp`.
    """
    return hmac.digest(secret.encode(), f"[{stamp};".encode() + body + b"]", "sha256").hex()


def _locate(conversation: FakeConversation) -> dict[str, Any]:
    place = {"website_id": conversation.extra["website"], "inbox_id": conversation.team}
    return {"session_id": conversation.id, **place}


def _create_uuid(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012x}"


def _wrap(data: Any, reason: str = "resolved", *, status: int = 200) -> HttpResponse:
    return as_json(status, {"error": False, "reason": reason, "data": data})


def _render_operator(person: Person) -> dict[str, Any]:
    first, _, last = (person.name or "").partition(" ")
    details = {"user_id": person.id, "email": person.email, "first_name": first, "last_name": last}
    return {"type": "operator", "details": {**details, "role": "member", "availability": "online"}}


def _render_meta(conversation: FakeConversation) -> dict[str, Any]:
    return {
        "nickname": conversation.contact.name or _VISITOR,
        "email": conversation.contact.email or "",
        "phone": "",
        "subject": conversation.subject,
        "avatar": None,
        "segments": conversation.tags,
        "data": conversation.fields,
    }


def _read_fields(call: Call, shape: Shape, *required: str) -> dict[str, Any]:
    fields = call.json_object or {}
    name = find_misfit(fields, shape)
    if name is not None:
        raise Refusal(400, "invalid_data", f"{name} is invalid")
    for name in required:
        if name not in fields:
            raise Refusal(400, "invalid_data", f"{name} is required")
    return fields
