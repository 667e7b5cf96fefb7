"""A fake of Front: its Core API for conversations, and its webhooks.

It follows Front's own descriptions and shares no code with the adapter, so that it tests the adapter:
https://dev.frontapp.com/reference/conversations
https://dev.frontapp.com/docs/application-webhooks
https://dev.frontapp.com/docs/rule-webhooks

Where the descriptions are ambiguous the fake is strict: it rejects undocumented fields. A reply appears at once,
although Front only queues it. The list of a conversation's events contains messages, and what archives, deletes and
reopens the conversation; a customer's message reopens it without a further event. Not implemented: drafts, the
lists of conversations and of all events, contacts, ticket statuses, OAuth.
"""

import base64
import hashlib
import hmac
import html
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias, cast

from typing_extensions import Unpack, override

from triage.testing.desks.base import IN_PROCESS, FakeHelpDesk, FakeOptions, Routes, as_json
from triage.testing.desks.front_json import (
    API,
    render_channel,
    render_comment,
    render_conversation,
    render_event,
    render_inbox,
    render_list,
    render_message,
    render_page,
    render_preview,
    render_tag,
    render_teammate,
)
from triage.testing.desks.records import Call, FakeConversation, FakeMessage, Person, RateLimit, Refusal, Webhook
from triage.testing.desks.shape import (
    Shape,
    find_misfit,
    is_flag,
    is_list_of_texts,
    is_object,
    is_text,
    is_text_or_null,
)
from triage.testing.server import HttpRequest, HttpResponse

if TYPE_CHECKING:
    from triage.vendors import Front

Source: TypeAlias = Literal["application", "rule"]

_MAX_TAG_LENGTH = 64
# The webhooks of applications and of rules name the same events differently.
_RULE_EVENTS = {
    "inbound_received": "inbound",
    "outbound_sent": "outbound",
    "assignee_changed": "assign",
    "conversation_archived": "archive",
    "message_delivery_failed": "sending_error",
}
_STATUSES = ("archived", "deleted", "open", "spam")
# The event that reports a new status.
_STATUS_EVENTS = {"archived": "archive", "deleted": "trash", "open": "reopen", "spam": "archive"}
_MESSAGE_EVENTS = {"customer": "inbound", "agent": "outbound", "bot": "outbound", "note": "comment"}
_BURST_SECONDS = 600
_MESSAGE_ROLES = ("customer", "agent", "bot")

_UPDATE: Shape = {
    "assignee_id": is_text_or_null,
    "inbox_id": is_text,
    "status": lambda value: value in _STATUSES,
    "tag_ids": is_list_of_texts,
    "custom_fields": is_object,
}
_REPLY: Shape = {
    "body": is_text,
    "text": is_text,
    "author_id": is_text,
    "channel_id": is_text,
    "subject": is_text,
    "sender_name": is_text,
    "quote_body": is_text,
    "to": is_list_of_texts,
    "cc": is_list_of_texts,
    "bcc": is_list_of_texts,
    "options": is_object,
    "should_add_default_signature": is_flag,
}
_OPTIONS: Shape = {"archive": is_flag, "tag_ids": is_list_of_texts}
_COMMENT: Shape = {"body": is_text, "author_id": is_text, "is_pinned": is_flag}
_TAG: Shape = {
    "name": lambda value: isinstance(value, str) and 1 <= len(value) <= _MAX_TAG_LENGTH,
    "description": is_text,
    "highlight": is_text,
    "is_visible_in_conversation_lists": is_flag,
}


class FakeFront(FakeHelpDesk):
    """Front with one company.

    `customer_writes` sends `inbound_received`, `agent_writes` and `bot_greets` send `outbound_sent`, and `assign` sends
    `assignee_changed`; in the webhooks of a rule the events are `inbound`, `outbound` and `assign`. `archive` and
    `fail_delivery` send `conversation_archived` and `message_delivery_failed` (`archive`, `sending_error`).

    By default the rate limit is the Starter plan's: 50 calls a minute for the whole company.

    Args:
        webhook_secret: The secret that signs webhooks: the app's secret, or the API secret of the Webhooks app for
            rules.
        api_token: The token that calls must carry.
        company_id: The company's id.
        inbox: The id of the inbox where customers' messages arrive.
        channels: Ids of the channels that replies can be sent from.
        source: Whether an application or a rule sends the webhooks. Front delivers a rule's webhook only once.
        previews: True if webhooks show only ids, as those of rules do unless "Send full event data" is on.
        burst: How many calls above the rate limit are accepted, in ten minutes. Front accepts half of the limit.
        options: `users`, `teams` (inboxes that conversations are moved to), `clock`, `rate_limit`, `latency` and
            `first_id`; see `FakeHelpDesk`.

    Attributes:
        tags: The tags, id to name.
        tag_owners: The workspaces (`tim_…`) or teammates that own tags, by the tag's id. Others belong to the company.
        workspaces: The workspaces that own inboxes, by the inbox's id. All others belong to `tim_1`.
        merged: Ids of merged conversations, and of the conversations that they were merged into.
    """

    prefix = "FRONT"
    default_users: ClassVar = {"tea_9001": "Triage Bot", "tea_9002": "Ada Probe"}
    default_teams: ClassVar = {"inb_oncall": "On-call", "inb_billing": "Billing", "inb_support": "Support"}
    default_rate_limit = RateLimit(50, 60)
    user_type = "user"
    bot = Person("tea_rule", "rule", "A rule")
    error_codes: ClassVar = {
        400: "Bad request",
        401: "Unauthenticated",
        403: "Forbidden",
        404: "Not found",
        409: "Conflict",
        429: "Too many requests",
        500: "Internal server error",
    }
    no_route = (404, "Not found", "The requested resource does not exist")
    no_conversation = (404, "Not found", "Unknown conversation")
    # https://dev.frontapp.com/docs/rate-limiting
    over_limit = (429, "Too many requests", "Rate limit exceeded")

    def __init__(
        self,
        *,
        webhook_secret: str = "fake-webhook-secret",
        api_token: str = "fake-api-token",
        company_id: str = "cmp_4thp0",
        inbox: str = "inb_1in",
        channels: Sequence[str] = ("cha_1in",),
        source: Source = "application",
        previews: bool = False,
        burst: int = 0,
        **options: Unpack[FakeOptions],
    ) -> None:
        super().__init__(**options)
        self.webhook_secret = webhook_secret
        self.api_token = api_token
        self.company_id = company_id
        self.inbox = inbox
        self.channels = tuple(channels)
        self.source: Source = source
        self.previews = previews
        self.burst = burst
        self.tags: dict[str, str] = {}
        self.custom_fields: list[str] = []
        self.tag_owners: dict[str, str] = {}
        self.workspaces: dict[str, str] = {}
        self.merged: dict[str, str] = {}
        self._burst_window = (0, 0)  # the number of the current window, and the calls above the limit in it

    @override
    def settings(self, base_url: str = IN_PROCESS) -> dict[str, Any]:
        return {
            "webhook_secret": self.webhook_secret,
            "api_token": self.api_token,
            "company_id": self.company_id,
            "author_id": self.own_id,
            "source": self.source,
            "base_url": base_url,
        }

    @override
    def adapter(self, **settings: Any) -> "Front":
        from triage.vendors import Front

        return Front(**(self.settings() | settings))

    def status(self, conversation_id: str) -> str:
        """Return a conversation's status as it is read: `"assigned"`, `"unassigned"`, `"archived"` or `"deleted"`."""
        conversation = self.conversations[conversation_id]
        if _is_open(conversation):
            return "assigned" if conversation.assignee else "unassigned"
        # Front shows spam as archived.
        return "deleted" if conversation.extra["status"] == "deleted" else "archived"

    # The API.

    @override
    def build_routes(self) -> Routes:
        conversation_path = "/conversations/(?P<conversation_id>[^/]+)"
        return {
            ("GET", "/me"): self._get_me,
            ("GET", "/teammates"): self._get_teammates,
            ("GET", "/inboxes"): self._get_inboxes,
            ("GET", "/conversations/custom_fields"): self._get_custom_fields,
            ("GET", "/channels"): self._get_channels,
            ("GET", "/company/tags"): self._get_company_tags,
            ("GET", "/tags"): self._get_tags,
            ("POST", "/company/tags"): self._post_tag,
            ("GET", "/messages/(?P<message_id>[^/]+)"): self._get_message,
            ("GET", conversation_path): self._get_conversation,
            ("PATCH", conversation_path): self._patch_conversation,
            ("PUT", f"{conversation_path}/assignee"): self._put_assignee,
            ("GET", f"{conversation_path}/messages"): self._get_messages,
            ("POST", f"{conversation_path}/messages"): self._post_message,
            ("GET", f"{conversation_path}/inboxes"): self._get_conversation_inboxes,
            ("GET", f"{conversation_path}/events"): self._get_events,
            ("GET", f"{conversation_path}/comments"): self._get_comments,
            ("POST", f"{conversation_path}/comments"): self._post_comment,
            ("POST", f"{conversation_path}/tags"): self._post_tags,
            ("DELETE", f"{conversation_path}/tags"): self._delete_tags,
        }

    @override
    def admit(self, call: Call) -> None:
        if call.bearer_token != self.api_token:
            raise Refusal(401, "Unauthenticated", "Invalid token")
        if call.body is not None and call.json_object is None:
            raise Refusal(400, "Bad request", "The body is not a JSON object")

    @override
    def build_error(self, refusal: Refusal) -> Any:
        error: dict[str, Any] = {"status": refusal.status, "title": refusal.code, "message": refusal.message}
        if refusal.field is not None:
            error["details"] = [refusal.field]
        return {"_error": error}

    @override
    def _count(self, call: Call) -> tuple[Mapping[str, str], bool]:
        headers, exceeded = super()._count(call)
        if self.rate_limit is None or not self.burst:
            return headers, exceeded
        window = int(self.clock() // _BURST_SECONDS)
        used = self._burst_window[1] if self._burst_window[0] == window else 0
        if exceeded and used < self.burst:
            exceeded = False
            used += 1
        self._burst_window = (window, used)
        burst = {"X-RateLimit-Burst-Limit": str(self.burst), "X-RateLimit-Burst-Remaining": str(self.burst - used)}
        return {**headers, **burst}, exceeded

    @override
    def build_headers(self, response: HttpResponse) -> Mapping[str, str]:
        return {"Retry-After": str(self.seconds_until_reset())} if response.status == 429 else {}

    @override
    def respond(self, request: HttpRequest) -> HttpResponse:
        response = super().respond(request)
        match = re.match("/conversations/([^/]+)", request.path)
        if response.status == 404 and match and match[1] in self.merged:
            path = request.path.replace(match[1], self.merged[match[1]], 1)
            return HttpResponse(301, {"Location": API + path})
        return response

    def _get_me(self, _: Call) -> Any:
        return {"_links": {"self": f"{API}/me"}, "id": self.company_id, "name": "Acme"}

    def _get_teammates(self, _: Call) -> Any:
        return render_list("/teammates", [render_teammate(self.get_user(user_id)) for user_id in self.users])

    def _get_inboxes(self, _: Call) -> Any:
        return render_list("/inboxes", [self._render_inbox(inbox) for inbox in (self.inbox, *self.teams)])

    def _get_custom_fields(self, _: Call) -> Any:
        fields = [{"id": f"fld_{name.lower()}", "name": name, "type": "string"} for name in self.custom_fields]
        return render_list("/conversations/custom_fields", fields)

    def _get_channels(self, _: Call) -> Any:
        return render_list("/channels", [render_channel(channel_id) for channel_id in self.channels])

    def _get_tags(self, call: Call) -> Any:
        return render_page(call, [self._render_tag(tag_id) for tag_id in self.tags])

    def _get_company_tags(self, call: Call) -> Any:
        return render_page(call, [self._render_tag(tag_id) for tag_id in self.tags if tag_id not in self.tag_owners])

    def _post_tag(self, call: Call) -> Any:
        name = _read_fields(call, _TAG, "name")["name"]
        tag_id = f"tag_{self.next_id():x}"
        self.tags[tag_id] = name
        return as_json(201, self._render_tag(tag_id))

    def _get_message(self, _: Call, message_id: str) -> Any:
        message_id = message_id.removeprefix("alt:uid:")
        for conversation in self.conversations.values():
            for message in conversation.messages:
                if message_id in (message.id, message.extra["uid"]) and message.role in _MESSAGE_ROLES:
                    return render_message(conversation, message)
        raise Refusal(404, "Not found", "Unknown message")

    def _get_conversation(self, _: Call, conversation_id: str) -> Any:
        return self._render_conversation(self.find_conversation(conversation_id))

    def _patch_conversation(self, call: Call, conversation_id: str) -> Any:
        update = _read_fields(call, _UPDATE)
        conversation = self.find_conversation(conversation_id)
        if update.get("assignee_id") is not None:
            _require(update["assignee_id"], self.users, "teammate")
        if "inbox_id" in update:
            _require(update["inbox_id"], (*self.teams, self.inbox), "inbox")
        tags = self._find_tags(update.get("tag_ids", ()))
        if "assignee_id" in update:
            conversation.assignee = update["assignee_id"]
        if "inbox_id" in update:
            conversation.team = update["inbox_id"]
        if "status" in update:
            self._set_status(conversation, update["status"])
        if "tag_ids" in update:
            conversation.tags[:] = tags
        if "custom_fields" in update:
            conversation.fields.clear()
            conversation.fields.update(update["custom_fields"])
        return HttpResponse(204)

    def _put_assignee(self, call: Call, conversation_id: str) -> Any:
        assignee = _read_fields(call, {"assignee_id": is_text_or_null}, "assignee_id")["assignee_id"]
        conversation = self.find_conversation(conversation_id)
        if assignee is not None:
            _require(assignee, self.users, "teammate")
        conversation.assignee = assignee
        return HttpResponse(204)

    def _get_messages(self, call: Call, conversation_id: str) -> Any:
        conversation = self.find_conversation(conversation_id)
        messages = [message for message in reversed(conversation.messages) if message.role in _MESSAGE_ROLES]
        return render_page(call, [render_message(conversation, message) for message in messages])

    def _post_message(self, call: Call, conversation_id: str) -> Any:
        reply = _read_fields(call, _REPLY, "body")
        options = _check_fields(cast("dict[str, Any]", reply.get("options") or {}), _OPTIONS, "options.")
        conversation = self.find_conversation(conversation_id)
        author = reply.get("author_id") or self.own_id
        _require(author, self.users, "teammate")
        _require(reply.get("channel_id", self.channels[0]), self.channels, "channel")
        tags = self._find_tags(options.get("tag_ids", ()))
        message = self.add_message(conversation, "agent", reply["body"], self.get_user(author), via_api=True)
        conversation.tags += tags
        # "Archive the conversation right when sending the message. `true` by default"
        self._set_status(conversation, "archived" if options.get("archive", True) else "open")
        return as_json(202, {"status": "accepted", "message_uid": message.extra["uid"]})

    def _get_conversation_inboxes(self, call: Call, conversation_id: str) -> Any:
        conversation = self.find_conversation(conversation_id)
        return render_list(call.path, [self._render_inbox(conversation.team or self.inbox)])

    def _get_events(self, call: Call, conversation_id: str) -> Any:
        conversation = self.find_conversation(conversation_id)
        events = [(message.at + 0.25, _MESSAGE_EVENTS[message.role], message.id) for message in conversation.messages]
        changes = conversation.extra.get("changes", ())
        events += [(at, kind, f"c{number:x}") for number, (at, kind) in enumerate(changes) if kind]
        newest_first = sorted(events, key=lambda event: event[0], reverse=True)
        shown = self._render_conversation(conversation)
        return render_page(call, [render_event(f"evt_{name}", kind, at, shown) for at, kind, name in newest_first])

    def _get_comments(self, call: Call, conversation_id: str) -> Any:
        messages = self.find_conversation(conversation_id).messages
        return render_page(call, [render_comment(message) for message in reversed(messages) if message.role == "note"])

    def _post_comment(self, call: Call, conversation_id: str) -> Any:
        comment = _read_fields(call, _COMMENT, "body")
        conversation = self.find_conversation(conversation_id)
        author = Person("tea_api", "api", "API")
        if "author_id" in comment:
            _require(comment["author_id"], self.users, "teammate")
            author = self.get_user(comment["author_id"])
        body = _render_markdown(comment["body"])
        return as_json(201, render_comment(self.add_message(conversation, "note", body, author, via_api=True)))

    def _post_tags(self, call: Call, conversation_id: str) -> Any:
        conversation, tags = self._read_tags(call, conversation_id)
        conversation.tags += [tag for tag in tags if tag not in conversation.tags]
        return HttpResponse(204)

    def _delete_tags(self, call: Call, conversation_id: str) -> Any:
        conversation, tags = self._read_tags(call, conversation_id)
        conversation.tags[:] = [tag for tag in conversation.tags if tag not in tags]
        return HttpResponse(204)

    def _read_tags(self, call: Call, conversation_id: str) -> tuple[FakeConversation, list[str]]:
        tag_ids = _read_fields(call, {"tag_ids": is_list_of_texts}, "tag_ids")["tag_ids"]
        tags = self._find_tags(tag_ids)
        return self.find_conversation(conversation_id), tags

    def _find_tags(self, tag_ids: Sequence[str]) -> list[str]:
        for tag_id in tag_ids:
            _require(tag_id, self.tags, "tag")
        return [self.tags[tag_id] for tag_id in tag_ids]

    def _set_status(self, conversation: FakeConversation, status: str) -> None:
        if _is_open(conversation) != (status == "open"):
            _record_change(conversation, _STATUS_EVENTS[status], self.now() + 0.5)
        conversation.extra["status"] = status
        conversation.state = "open" if status == "open" else "closed"

    # Messages and assignments.

    @override
    def create_conversation(self, number: int, name: str | None, email: str | None) -> FakeConversation:
        contact = Person(f"crd_{number:x}", "contact", name, email)
        return FakeConversation(f"cnv_{number:x}", contact, channel="front_chat", extra={"status": "open"})

    @override
    def prepare_message(self, conversation: FakeConversation, message: FakeMessage) -> None:
        is_note = message.role == "note"
        message.id = f"{'com' if is_note else 'msg'}_{self.next_id():x}"
        message.type = "comment" if is_note else conversation.channel
        message.extra["uid"] = hashlib.sha256(message.id.encode()).hexdigest()[:32]
        if message.role == "customer" and not _is_open(conversation):
            changes = conversation.extra.get("changes", [])
            if not changes or changes[-1][1] in ("", "reopen"):
                # A test has closed it. Say that this happened right after its last message.
                _record_change(conversation, "archive", conversation.messages[-1].at + 0.5)
            _record_change(conversation, "", message.at)
            conversation.extra["status"] = conversation.state = "open"

    @override
    def report_message(self, conversation: FakeConversation, message: FakeMessage, *, is_new: bool = False) -> Webhook:
        event = "inbound_received" if message.role == "customer" else "outbound_sent"
        return self._notify(event, conversation, message=message)

    @override
    def assign_human(self, conversation: FakeConversation, agent: Person) -> Webhook:
        conversation.assignee = agent.id
        return self._notify("assignee_changed", conversation, teammate=agent)

    def archive(self, conversation: str, agent: str | None = None) -> Webhook:
        """Archive a conversation as a human teammate does, and return the webhook for it.

        Args:
            conversation: The conversation's id.
            agent: The teammate's id; None for the last of `users`.
        """
        with self._lock:
            current = self.conversations[conversation]
            self._set_status(current, "archived")
            return self._notify("conversation_archived", current, teammate=self.get_human(agent))

    def fail_delivery(self, conversation: str, error: str = "bounce") -> Webhook:
        """Fail to deliver the last message of a conversation, and return the webhook for it.

        Args:
            conversation: The conversation's id.
            error: Front's word for the error.
        """
        with self._lock:
            current = self.conversations[conversation]
            message = current.messages[-1]
            message.extra["error_type"] = error
            return self._notify("message_delivery_failed", current, message=message)

    def merge(self, conversation: str, *, into: str) -> None:
        """Merge a conversation into another, as a human teammate does. Calls for the old id are then redirected.

        Args:
            conversation: The id that disappears.
            into: The id that stays.
        """
        with self._lock:
            self.merge_messages(conversation, into)
            self.merged[conversation] = into

    # Webhooks.

    @override
    def ping(self) -> Webhook:
        # Front sends this whenever an application's webhook is saved, and expects the challenge in the response.
        challenge = {"X-Front-Challenge": f"challenge-{self.next_id()}"}
        webhook = self._build_notification({"type": "sync", "authorization": {"id": self.company_id}}, None)
        return replace(webhook, headers={**webhook.headers, **challenge})

    @override
    def sign(self, body: bytes) -> dict[str, str]:
        if self.source == "rule":
            return {"X-Front-Signature": sign_rule(body, self.webhook_secret)}
        stamp = str(int(self.clock() * 1000))
        return {
            "X-Front-Signature": sign_application(body, self.webhook_secret, stamp),
            "X-Front-Request-Timestamp": stamp,
        }

    def _notify(
        self,
        event: str,
        conversation: FakeConversation,
        *,
        message: FakeMessage | None = None,
        teammate: Person | None = None,
    ) -> Webhook:
        event_id = f"evt_{self.next_id():x}"
        shown = self._render_conversation(conversation)
        # Webhooks still contain the last message, although Front no longer documents it.
        last = next((one for one in reversed(conversation.messages) if one.role in _MESSAGE_ROLES), None)
        shown["last_message"] = render_message(conversation, last) if last else None
        payload = render_event(event_id, _RULE_EVENTS[event], self.now() + 0.25, shown)
        inbox = self._render_inbox(conversation.team or self.inbox)
        payload["source"] = {"_meta": {"type": "inboxes"}, "data": [inbox]}
        if teammate is not None:
            payload["source"] = {"_meta": {"type": "teammate"}, "data": render_teammate(teammate)}
        if message is not None:
            payload["target"] = {"_meta": {"type": "message"}, "data": render_message(conversation, message)}
        if self.previews:
            payload = render_preview(payload)
        if self.source == "application":
            payload = {"type": event, "authorization": {"id": self.company_id}, "payload": payload}
        return self._build_notification(payload, conversation.id)

    def _build_notification(self, payload: Any, conversation_id: str | None) -> Webhook:
        body = json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()
        return self.build_webhook(body, conversation_id)

    # JSON.

    def _render_conversation(self, conversation: FakeConversation) -> dict[str, Any]:
        for name in conversation.tags:
            if name not in self.tags.values():
                self.tags[f"tag_{self.next_id():x}"] = name
        tag_ids = {name: tag_id for tag_id, name in self.tags.items()}
        tags = [self._render_tag(tag_ids[name]) for name in conversation.tags]
        assignee = self.get_user(conversation.assignee) if conversation.assignee else None
        return render_conversation(conversation, self.status(conversation.id), assignee, tags)

    def _render_inbox(self, inbox_id: str) -> dict[str, Any]:
        workspace = self.workspaces.get(inbox_id, "tim_1")
        return render_inbox(inbox_id, self.teams.get(inbox_id, "Incoming"), workspace)

    def _render_tag(self, tag_id: str) -> dict[str, Any]:
        return render_tag(tag_id, self.tags[tag_id], self.tag_owners.get(tag_id))


def _is_open(conversation: FakeConversation) -> bool:
    """Return whether a conversation is open. A test may change its `state` or Front's own word for it."""
    return conversation.state != "closed" and conversation.extra["status"] == "open"


def _record_change(conversation: FakeConversation, event: str, at: float) -> None:
    conversation.extra.setdefault("changes", []).append((at, event))


def sign_application(body: bytes, secret: str, stamp: str) -> str:
    """Return the value of `X-Front-Signature` in the webhook of an application.

    Args:
        body: The bytes that are sent.
        secret: The app's secret.
        stamp: The value of `X-Front-Request-Timestamp`: milliseconds since the epoch.
    """
    return base64.b64encode(hmac.digest(secret.encode(), f"{stamp}:".encode() + body, "sha256")).decode()


def sign_rule(body: bytes, secret: str) -> str:
    """Return the value of `X-Front-Signature` in the webhook of a rule.

    Args:
        body: The bytes that are sent.
        secret: The API secret of the Webhooks app.
    """
    return base64.b64encode(hmac.digest(secret.encode(), body, "sha1")).decode()


def _read_fields(call: Call, shape: Shape, *required: str) -> dict[str, Any]:
    fields = _check_fields(call.json_object or {}, shape)
    for name in required:
        if name not in fields:
            raise Refusal(400, "Bad request", "Body did not satisfy requirements", f"{name}: missing")
    return fields


def _check_fields(fields: dict[str, Any], shape: Shape, prefix: str = "") -> dict[str, Any]:
    name = find_misfit(fields, shape)
    if name is not None:
        raise Refusal(400, "Bad request", "Body did not satisfy requirements", f"{prefix}{name}: invalid")
    return fields


def _require(id_: str, known_ids: Collection[str], kind: str) -> None:
    if id_ not in known_ids:
        raise Refusal(404, "Not found", f"Unknown {kind}")


def _render_markdown(body: str) -> str:
    """Convert a comment's Markdown to HTML as Front does: links, and backslashes before marks."""
    linked = re.sub(r"(?<!\\)\[([^\]]*?)(?<!\\)\]\((\S*?)\)", r'<a href="\2">\1</a>', html.escape(body, quote=False))
    return re.sub(r"\\([\\`*_\[\]&#@|~<>])", r"\1", linked)
