"""A fake of Intercom: its REST API for conversations, and its webhooks.

It follows Intercom's own descriptions and shares no code with the adapter, so that it tests the adapter:
https://developers.intercom.com/docs/references/rest-api/api.intercom.io/conversations
https://developers.intercom.com/docs/webhooks/webhook-notifications

Where the descriptions are ambiguous the fake is strict: an id must be a string, as the schemas say, although their
examples send numbers. Not implemented: contacts, search, the list of conversations, replies in the name of a customer,
the creation of tickets.
"""

import hmac
import json
import re
import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

from typing_extensions import Unpack, override

from triage.testing.desks.base import IN_PROCESS, FakeHelpDesk, FakeOptions, Routes
from triage.testing.desks.intercom_json import Renderer, parse_version
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
from triage.testing.desks.shape import Field, require_numeric_ids

if TYPE_CHECKING:
    from triage.vendors import Intercom

Version: TypeAlias = Literal["2.13", "2.14", "2.15", "2.16"]

_VERSIONS = frozenset({"1.0", "1.1", "1.2", "1.3", "1.4"} | {f"2.{minor}" for minor in range(18)})
_MAX_PARTS = 500  # a GET returns "the 500 most recent conversation parts"

_STATES: Mapping[str, Literal["open", "closed", "snoozed"]] = {"close": "closed", "open": "open", "snoozed": "snoozed"}

_NOBODY = {"type": "nobody_admin", "id": None}

_ADMIN_ID = {"admin_id": Field(required=True)}
_AS_ADMIN = {"type": Field(required=True, values=("admin",)), **_ADMIN_ID}
_EXTRAS = {
    "created_at": Field(int),
    "attachment_urls": Field(list),
    "attachment_files": Field(list),
    "skip_notifications": Field(bool),
}
_REPLIES: Mapping[str, Mapping[str, Field]] = {
    "comment": {**_AS_ADMIN, "body": Field(required=True), **_EXTRAS},
    "note": {**_AS_ADMIN, "body": Field(required=True), **_EXTRAS},
    "quick_reply": {**_AS_ADMIN, "body": Field(), "reply_options": Field(list, required=True), **_EXTRAS},
}
_PARTS: Mapping[str, Mapping[str, Field]] = {
    "assignment": {
        "type": Field(required=True, values=("admin", "team")),
        **_ADMIN_ID,
        "assignee_id": Field(required=True),
        "body": Field(),
    },
    "close": {**_AS_ADMIN, "body": Field()},
    "open": _ADMIN_ID,
    "snoozed": {**_ADMIN_ID, "snoozed_until": Field(int, required=True)},
}
_UPDATE = {"read": Field(bool), "title": Field(), "custom_attributes": Field(dict)}
_TICKET_UPDATE = {
    "ticket_attributes": Field(dict),
    "open": Field(bool),
    "snoozed_until": Field(int),
    "admin_id": Field(int),
    "assignee_id": Field(),
}
_OLD_TICKET_UPDATE = {  # before version 2.14
    **{name: _TICKET_UPDATE[name] for name in ("ticket_attributes", "open", "snoozed_until")},
    "assignment": Field(dict),
}


class FakeIntercom(FakeHelpDesk):
    """Intercom with one workspace.

    `customer_writes` sends `conversation.user.created` or, in a conversation that exists, `conversation.user.replied`;
    `agent_writes` sends `conversation.admin.replied` and `assign` sends `conversation.admin.assigned`. `bot_greets`
    sends `conversation.operator.replied`, or `conversation.admin.replied` below version 2.14, which lacks it; the
    customer's answer to a greeting is `conversation.user.replied`, and `source` stays the greeting.

    `customer_opens_ticket` sends `ticket.created`, and `customer_writes` in a ticket `ticket.contact.replied`. The
    calls of a ticket go to `/tickets/{id}`. `ai_answers` lets Fin answer, and `ai_hands_over` hands the conversation to
    a team. `redact` deletes the text of the latest message.

    Args:
        app_id: The workspace's id in webhooks and `GET /me`.
        access_token: The token that calls must carry.
        client_secret: The secret that signs webhooks.
        api_version: The app's API version. It shapes webhooks, and responses to calls that name no version.
        options: `users` (Intercom's admins), `teams`, `clock`, `rate_limit`, `latency` and `first_id`; see
            `FakeHelpDesk`.

    Attributes:
        tags: The workspace's tags, name to id.
        attributes: The names of the conversation attributes that `GET /data_attributes` lists. Others can be set, too.
        ambiguous_attributes: Conversation attributes whose name exists twice, so that they cannot be set.
    """

    prefix = "INTERCOM"
    default_users: ClassVar = {"99999": "Triage", "88888": "Ada Probe"}
    default_teams: ClassVar = {"12345": "On-call", "67890": "Billing", "11111": "Support"}
    default_rate_limit = RateLimit(1_666, 10)  # 10,000 a minute, a sixth of them in each 10 seconds
    user_type = "admin"
    error_codes: ClassVar = {
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
    # https://developers.intercom.com/docs/references/rest-api/errors/http-responses: a wrong method is 404, too.
    no_route = (404, "not_found", "The requested resource was not found")
    no_conversation = (404, "not_found", "Resource Not Found")
    # https://developers.intercom.com/docs/references/rest-api/errors/rate-limiting
    over_limit = (429, "rate_limit_exceeded", "Exceeded rate limit")

    def __init__(
        self,
        *,
        app_id: str = "abc123de",
        access_token: str = "fake-access-token",
        client_secret: str = "fake-client-secret",
        api_version: Version = "2.16",
        **options: Unpack[FakeOptions],
    ) -> None:
        super().__init__(**options)
        self.app_id = app_id
        self.access_token = access_token
        self.client_secret = client_secret
        self.tags: dict[str, str] = {}
        self.ambiguous_attributes: set[str] = set()
        self.attributes: list[str] = []
        self.api_version = api_version
        self.bot = Person("5017690", "bot", "Operator", f"operator+{app_id}@intercom.io")
        require_numeric_ids(users=self.users, teams=self.teams)

    @override
    def settings(self, base_url: str = IN_PROCESS) -> dict[str, Any]:
        return {
            "client_secret": self.client_secret,
            "access_token": self.access_token,
            "admin_id": self.own_id,
            "workspace_id": self.app_id,
            "base_url": base_url,
        }

    @override
    def adapter(self, **settings: Any) -> "Intercom":
        from triage.vendors import Intercom

        return Intercom(**(self.settings() | settings))

    # The API.

    @override
    def build_routes(self) -> Routes:
        conversation_path = r"/conversations/(?P<conversation_id>[^/]+)"
        ticket_path = r"/tickets/(?P<conversation_id>[^/]+)"
        return {
            ("GET", "/me"): self._get_me,
            ("GET", "/admins"): self._get_admins,
            ("GET", "/teams"): self._get_teams,
            ("GET", "/tags"): self._get_tags,
            ("GET", "/data_attributes"): self._get_attributes,
            ("POST", "/tags"): self._post_tag,
            ("GET", conversation_path): self._get_conversation,
            ("PUT", conversation_path): self._put_conversation,
            ("POST", f"{conversation_path}/reply"): self._post_reply,
            ("POST", f"{conversation_path}/parts"): self._post_part,
            ("POST", f"{conversation_path}/tags"): self._attach_tag,
            ("DELETE", rf"{conversation_path}/tags/(?P<tag_id>[^/]+)"): self._detach_tag,
            ("GET", ticket_path): self._get_ticket,
            ("PUT", ticket_path): self._put_ticket,
            ("POST", f"{ticket_path}/reply"): self._reply_to_ticket,
            ("POST", f"{ticket_path}/tags"): self._attach_tag,
        }

    @override
    def admit(self, call: Call) -> None:
        if call.bearer_token != self.access_token:
            raise Refusal(401, "unauthorized", "Access Token Invalid")
        if self._get_version(call) not in _VERSIONS:
            raise Refusal(400, "intercom_version_invalid", "The requested version could not be found")

    @override
    def build_error(self, refusal: Refusal) -> Any:
        error = {"code": refusal.code, "message": refusal.message}
        if refusal.field is not None:
            error["field"] = refusal.field
        return {"type": "error.list", "request_id": self._create_uuid(), "errors": [error]}

    def _get_me(self, _: Call) -> Any:
        own = self.get_user(self.own_id)
        app = {
            "type": "app",
            "id_code": self.app_id,
            "name": "Example",
            "region": "US",
            "timezone": "UTC",
            "created_at": 1_734_537_243,
            "identity_verification": False,
        }
        admin = {"type": "admin", "id": own.id, "name": own.name, "email": own.email, "email_verified": True}
        return {**admin, "has_inbox_seat": True, "app": app}

    def _get_admins(self, _: Call) -> Any:
        state: dict[str, Any] = {
            "away_mode_enabled": False,
            "away_mode_reassign": False,
            "has_inbox_seat": True,
            "team_ids": [],
        }
        people = [self.get_user(user_id) for user_id in self.users]
        admins = [
            {"type": "admin", "id": admin.id, "name": admin.name, "email": admin.email, **state} for admin in people
        ]
        return {"type": "admin.list", "admins": admins}

    def _get_teams(self, _: Call) -> Any:
        members: list[int] = []
        teams = [{"type": "team", "id": id_, "name": name, "admin_ids": members} for id_, name in self.teams.items()]
        return {"type": "team.list", "teams": teams}

    def _get_attributes(self, _: Call) -> Any:
        attributes = [
            {"type": "data_attribute", "model": "conversation", "name": name, "label": name, "data_type": "string"}
            for name in self.attributes
        ]
        return {"type": "list", "data": attributes}

    def _get_tags(self, _: Call) -> Any:
        return {"type": "list", "data": [self._render_tag(name) for name in self.tags]}

    def _post_tag(self, call: Call) -> Any:
        return self._render_tag(_read_fields(call, {"name": Field(required=True)})["name"])

    def _get_conversation(self, call: Call, conversation_id: str) -> Any:
        conversation = self.find_conversation(conversation_id)
        renderer = Renderer(self._get_version(call), plain=call.query.get("display_as") == "plaintext")
        return self._render(renderer, conversation, conversation.messages[1:][-_MAX_PARTS:])

    def _put_conversation(self, call: Call, conversation_id: str) -> Any:
        conversation = self.find_conversation(conversation_id)
        update = _read_fields(call, _UPDATE)
        conversation.extra.update({name: update[name] for name in ("read", "title") if name in update})
        attributes: dict[str, Any] = update.get("custom_attributes") or {}
        # In all versions since May 2026:
        # https://developers.intercom.com/docs/build-an-integration/learn-more/rest-apis/unversioned-changes
        for name in self.ambiguous_attributes.intersection(attributes):
            raise Refusal(400, "parameter_invalid", "Several attributes have this name", name)
        conversation.fields.update(attributes)
        # The call names no teammate, so the changes are attributed to the bot.
        kind = "conversation_attribute_updated_by_admin"
        parts = [self.add_message(conversation, "event", None, self.bot, kind=kind, via_api=True) for _ in attributes]
        return self._render_change(call, conversation, parts)

    def _post_reply(self, call: Call, conversation_id: str) -> Any:
        reply = _read_fields(call, _REPLIES, "message_type")
        kind = reply["message_type"]
        if kind == "quick_reply" and parse_version(self._get_version(call)) < (2, 14):
            raise Refusal(400, "parameter_invalid", "message_type is invalid", "message_type")
        conversation, admin = self.find_conversation(conversation_id), self._find_admin(reply)
        body = None if kind == "quick_reply" else reply["body"]
        role: FakeRole = "note" if kind == "note" else "agent"
        part = self.add_message(conversation, role, body, admin, kind=kind, via_api=True)
        return self._render_change(call, conversation, [part])

    def _post_part(self, call: Call, conversation_id: str) -> Any:
        fields = _read_fields(call, _PARTS, "message_type")
        conversation, admin = self.find_conversation(conversation_id), self._find_admin(fields)
        kind, body = fields["message_type"], fields.get("body")
        if kind == "assignment":
            part = self._assign(conversation, fields["type"], fields["assignee_id"], admin, body, via_api=True)
        else:
            conversation.state, conversation.snoozed_until = _STATES[kind], fields.get("snoozed_until")
            part = self._add_part(conversation, kind, body, admin, via_api=True)
        return self._render_change(call, conversation, [part])

    def _assign(
        self,
        conversation: FakeConversation,
        kind: str,
        assignee_id: str,
        admin: Person,
        body: str | None = None,
        *,
        via_api: bool,
    ) -> FakeMessage:
        if assignee_id != "0" and assignee_id not in (self.users if kind == "admin" else self.teams):
            raise Refusal(404, f"{kind}_not_found", "Assignee not found")
        assignee = None if assignee_id == "0" else assignee_id
        if kind == "admin":
            conversation.assignee = assignee
        else:
            conversation.team = assignee
        part_type = "assignment"
        if conversation.state == "closed":
            conversation.state, part_type = "open", "assign_and_reopen"
        part = self._add_part(conversation, part_type, body, admin, via_api=via_api)
        part.extra["assigned_to"] = {"type": kind, "id": assignee} if assignee else _NOBODY
        return part

    def _add_part(
        self, conversation: FakeConversation, kind: str, body: str | None, admin: Person, *, via_api: bool
    ) -> FakeMessage:
        role: FakeRole = "agent" if body else "event"  # the customer sees a part with a body
        return self.add_message(conversation, role, body, admin, kind=kind, via_api=via_api)

    def _attach_tag(self, call: Call, conversation_id: str) -> Any:
        fields = _read_fields(call, {"id": Field(required=True), **_ADMIN_ID})
        conversation, admin = self.find_conversation(conversation_id), self._find_admin(fields)
        name = self._find_tag_name(fields["id"])
        if name not in conversation.tags:
            conversation.tags.append(name)
        applied = {"applied_at": self.now(), "applied_by": {"type": "admin", "id": admin.id}}
        conversation.extra.setdefault("applied", {}).setdefault(name, applied)
        return self._render_tag(name, conversation)

    def _detach_tag(self, call: Call, conversation_id: str, tag_id: str) -> Any:
        fields = _read_fields(call, _ADMIN_ID)
        conversation, _ = self.find_conversation(conversation_id), self._find_admin(fields)
        name = self._find_tag_name(tag_id)
        if name not in conversation.tags:
            raise Refusal(404, "not_found", "Tag not found on the conversation")
        conversation.tags.remove(name)
        return self._render_tag(name, conversation)

    # Tickets.

    def _get_ticket(self, call: Call, conversation_id: str) -> Any:
        return self._render_ticket(call, self.find_conversation(conversation_id))

    def _put_ticket(self, call: Call, conversation_id: str) -> Any:
        ticket = self.find_conversation(conversation_id)
        is_old = parse_version(self._get_version(call)) < (2, 14)
        update = _read_fields(call, _OLD_TICKET_UPDATE if is_old else _TICKET_UPDATE)
        attributes: dict[str, Any] = update.get("ticket_attributes") or {}
        ticket.fields.update(attributes)
        assignee: str | None = (update.get("assignment") or update).get("assignee_id")
        if assignee is not None:
            kind = "team" if assignee in self.teams else "admin"
            self._assign(ticket, kind, assignee, self.get_user(self.own_id), via_api=True)
        if "open" in update:
            ticket.state = "open" if update["open"] else "closed"
        if "snoozed_until" in update:
            ticket.state, ticket.snoozed_until = "snoozed", update["snoozed_until"]
        ticket.updated_at = self.now()
        return self._render_ticket(call, ticket)

    def _reply_to_ticket(self, call: Call, conversation_id: str) -> Any:
        reply = _read_fields(call, {name: _REPLIES[name] for name in ("comment", "note")}, "message_type")
        ticket, admin = self.find_conversation(conversation_id), self._find_admin(reply)
        role: FakeRole = "note" if reply["message_type"] == "note" else "agent"
        part = self.add_message(ticket, role, reply["body"], admin, kind=reply["message_type"], via_api=True)
        return Renderer(self._get_version(call)).render_ticket_part(part)

    def _render_ticket(self, call: Call, ticket: FakeConversation) -> Any:
        return Renderer(self._get_version(call)).render_ticket(ticket, ticket.messages)

    def _get_version(self, call: Call) -> str:
        return call.headers.get("intercom-version", self.api_version)

    def _find_admin(self, fields: Mapping[str, Any]) -> Person:
        # A team's id here is a common mistake: https://github.com/intercom/intercom-ruby/issues/433
        if fields["admin_id"] not in self.users:
            raise Refusal(404, "admin_not_found", "Admin not found")
        return self.get_user(fields["admin_id"])

    def _find_tag_name(self, tag_id: str) -> str:
        for name, id_ in self.tags.items():
            if id_ == tag_id:
                return name
        raise Refusal(404, "not_found", "Tag not found")

    # People and Fin act.

    def customer_opens_ticket(
        self,
        title: str,
        description: str,
        *,
        name: str | None = "Mira Probe",
        email: str | None = "mira@example.com",
    ) -> Webhook:
        """Open a customer ticket, and return the webhook `ticket.created`.

        Args:
            title: The ticket's title.
            description: The ticket's description.
            name: The customer's name.
            email: The customer's email address.
        """
        with self._lock:
            ticket = self.start_conversation(name, email)
            ticket.channel = "ticket"
            ticket.fields = {"_default_title_": title, "_default_description_": description}
            renderer = Renderer(self.api_version)
            return self._build_notification("ticket.created", renderer.render_ticket(ticket, []), ticket.id)

    def ai_answers(self, conversation: str, text: str = "Have you tried turning it off and on again?") -> Webhook:
        """Let Fin answer, and return the webhook `conversation.operator.replied`.

        Args:
            conversation: The conversation's id.
            text: The answer.
        """
        with self._lock:
            current = self.conversations[conversation]
            current.extra["ai_agent"] = None
            answer = self.add_message(current, "bot", self.format_body(text, html=False), self.bot, ai=True)
            return self.report_message(current, answer)

    def ai_hands_over(self, conversation: str, team: str) -> Webhook:
        """Let Fin hand the conversation to a team, and return the webhook `conversation.admin.assigned`.

        Args:
            conversation: The conversation's id.
            team: The team's id.
        """
        with self._lock:
            current = self.conversations[conversation]
            is_old = parse_version(self.api_version) < (2, 15)
            current.extra["ai_agent"] = "routed_to_team" if is_old else "escalated"
            part = self._assign(current, "team", team, self.bot, via_api=False)
            return self._notify("conversation.admin.assigned", current, part)

    def redact(self, conversation: str) -> None:
        """Delete the text of a conversation's latest message, as a teammate may.

        Args:
            conversation: The conversation's id.
        """
        with self._lock:
            message = self.conversations[conversation].messages[-1]
            message.body, message.attachments = "<p>This message was deleted</p>", ()
            message.extra["redacted"] = True

    # Messages and assignments.

    @override
    def create_conversation(self, number: int, name: str | None, email: str | None) -> FakeConversation:
        contact = Person(f"6740f1c2a1b2c3d4{number:08x}", "user", name, email)
        return FakeConversation(str(215_470_000_000_000 + number), contact, channel="conversation")

    @override
    def prepare_message(self, conversation: FakeConversation, message: FakeMessage) -> None:
        message.id = str(2_540_000_000 + self.next_id())
        if not message.type:
            # A reply that reopens a closed conversation is a part of that type, with the text in it.
            reopens = message.role == "customer" and conversation.state == "closed"
            is_part = conversation.messages or conversation.channel == "ticket"
            message.type = "open" if reopens else "comment" if is_part else conversation.channel
        if message.role == "customer":
            conversation.state, conversation.snoozed_until = "open", None
        if message.body is not None and not re.match(r"\s*<", message.body):
            message.body = f"<p>{message.body}</p>"  # in the examples "Goodbye :)" comes back as a paragraph
        message.extra["state"] = conversation.state
        conversation.updated_at = message.at

    @override
    def report_message(self, conversation: FakeConversation, message: FakeMessage, *, is_new: bool = False) -> Webhook:
        if conversation.channel == "ticket":
            who = "contact" if message.role == "customer" else "admin"
            item = Renderer(self.api_version).render_ticket_with_part(conversation, message)
            return self._build_notification(f"ticket.{who}.replied", item, conversation.id)
        match message.role:
            case "customer":
                topic = "conversation.user.created" if is_new else "conversation.user.replied"
            case "bot" if parse_version(self.api_version) >= (2, 14):
                topic = "conversation.operator.replied"
            case _:
                topic = "conversation.admin.replied"
        return self._notify(topic, conversation, *([] if is_new else [message]))

    @override
    def assign_human(self, conversation: FakeConversation, agent: Person) -> Webhook:
        part = self._assign(conversation, "admin", agent.id, agent, via_api=False)
        return self._notify("conversation.admin.assigned", conversation, part)

    # Webhooks.

    @override
    def ping(self) -> Webhook:
        with self._lock:
            ping = {"type": "ping", "message": "This is a ping notification test message."}
            return self._build_notification("ping", ping, None)

    @override
    def redeliver(self, webhook: Webhook) -> Webhook:
        notification = json.loads(webhook.body)
        notification["delivery_attempts"] += 1
        return self.build_webhook(notification, webhook.conversation_id, webhook.headers)

    @override
    def sign(self, body: bytes) -> dict[str, str]:
        return {"X-Hub-Signature": sign(body, self.client_secret)}

    def _notify(self, topic: str, conversation: FakeConversation, *parts: FakeMessage) -> Webhook:
        # The app's version shapes webhooks; from 2.15 they hold plain text, and times as numbers.
        plain = parse_version(self.api_version) >= (2, 15)
        renderer = Renderer(self.api_version, plain=plain, iso=not plain)
        item: dict[str, Any] = self._render(renderer, conversation, parts)
        link = f"https://app.intercom.com/a/apps/{self.app_id}/conversations/{conversation.id}"
        return self._build_notification(topic, {**item, "links": {"conversation_web": link}}, conversation.id)

    def _build_notification(self, topic: str, item: Any, conversation_id: str | None) -> Webhook:
        now = self.now()
        notification = {
            "type": "notification_event",
            "app_id": self.app_id,
            "data": {"type": "notification_event_data", "item": item},
            "links": {},
            "id": None if topic == "ping" else f"notif_{self._create_uuid()}",
            "topic": topic,
            "delivery_status": "pending",
            "delivery_attempts": 1,
            "delivered_at": 0,
            "first_sent_at": now,
            "created_at": now,
            "self": None,
        }
        headers = {"Accept": "application/json", "User-Agent": "intercom-parrot-service-client/1.0"}
        return self.build_webhook(notification, conversation_id, headers)

    # JSON.

    def _render_change(self, call: Call, conversation: FakeConversation, parts: Sequence[FakeMessage]) -> Any:
        # https://github.com/intercom/Intercom-OpenAPI: in the examples a response holds only the new parts.
        conversation.updated_at = self.now()
        return self._render(Renderer(self._get_version(call)), conversation, parts)

    def _render(
        self, renderer: Renderer, conversation: FakeConversation, parts: Sequence[FakeMessage]
    ) -> dict[str, Any]:
        tags = [self._render_tag(name, conversation) for name in conversation.tags]
        return renderer.render_conversation(conversation, parts, tags)

    def _render_tag(self, name: str, conversation: FakeConversation | None = None) -> dict[str, Any]:
        if name not in self.tags:
            self.tags[name] = str(7_520_000 + self.next_id())
        applied: dict[str, Any] = conversation.extra.get("applied", {}).get(name, {}) if conversation else {}
        return {"type": "tag", "id": self.tags[name], "name": name, **applied}

    def _create_uuid(self) -> str:
        return str(uuid.UUID(int=self.next_id(), version=4))


def sign(body: bytes, secret: str) -> str:
    """Return the value of `X-Hub-Signature` for a body.

    Args:
        body: The bytes that are sent.
        secret: The app's client secret.
    """
    # https://developers.intercom.com/docs/references/webhooks/webhook-models: RFC 2104 with SHA-1, in hex.
    return f"sha1={hmac.digest(secret.encode(), body, 'sha1').hex()}"


def _read_fields(call: Call, fields: Mapping[str, Any], choice: str | None = None) -> Mapping[str, Any]:
    """Return the documented fields of a request's body.

    Args:
        call: The call.
        fields: The fields or, with `choice`, several sets of fields by the value of that field.
        choice: The field that says which set applies.

    Raises:
        Refusal: The body is not a JSON object, or a field is missing or invalid.
    """
    body = call.json_object
    if body is None:
        raise Refusal(400, "parameter_invalid", "The request body is not valid JSON")
    if choice is not None:
        kind = Field(required=True, values=tuple(fields))
        _check(body, choice, kind)
        fields = {choice: kind, **fields[body[choice]]}
    for name, field in fields.items():
        _check(body, name, field)
    return {name: body[name] for name in fields if name in body}


def _check(body: Mapping[str, Any], name: str, field: Field) -> None:
    value = body.get(name)
    if value is None or value == "":
        if field.required:
            raise Refusal(400, "parameter_missing", f"{name} is required", name)
    elif type(value) is not field.kind or (field.values and value not in field.values):
        raise Refusal(400, "parameter_invalid", f"{name} is invalid", name)
