"""A fake of Help Scout: its Inbox API for conversations, and its webhooks.

It follows Help Scout's own descriptions and shares no code with the adapter, so that it tests the adapter:
https://developer.helpscout.com/mailbox-api
https://developer.helpscout.com/webhooks

Where the descriptions are ambiguous the fake is strict: it rejects undocumented fields, and embeds at most one page of
threads. Not implemented: search and the list of conversations, customers, the contents of attachments, the management
of webhooks, chats of the old Beacon, the authorization code flow.
"""

import base64
import hmac
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias, cast
from urllib.parse import parse_qsl

from typing_extensions import Unpack, override

from triage.testing.desks.base import IN_PROCESS, FakeOptions, Routes
from triage.testing.desks.helpscout_json import (
    API,
    CustomField,
    FieldType,
    Renderer,
    render_field,
    render_mailboxes,
    render_page,
    render_teams,
    render_user,
)
from triage.testing.desks.oauth import OAuthHelpDesk
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
from triage.testing.server import HttpResponse

if TYPE_CHECKING:
    from triage.vendors import HelpScout

PayloadVersion: TypeAlias = Literal["V2", "V3"]

_ERRORS = "https://developer.helpscout.com/mailbox-api/overview/errors"
_TOKEN_LIFETIME = 172_800
_HELP_SCOUT = Person("1", "user", "Help Scout", "")
_MAX_THREADS = 100  # "threads cannot be added to conversations with 100 threads (or more)": 412

_THREAD_TYPES: Mapping[FakeRole, str] = {
    "customer": "customer",
    "agent": "message",
    "bot": "message",
    "note": "note",
    "event": "lineitem",
}
_STATUSES = ("active", "pending", "closed", "spam")
_STATUS_ALIASES = {"open": "active", "inbox_predefined": "active"}

_GRANT_ERRORS = frozenset({"invalid_client", "invalid_request", "unsupported_grant_type"})

FIELDS = (
    CustomField(104, "Triage", "dropdown", {168: "urgent", 169: "billing", 170: "general"}),
    CustomField(105, "Reason"),
    CustomField(106, "Story", "multiline"),
    CustomField(107, "Score", "number"),
    CustomField(108, "Due", "date"),
)
"""The custom fields unless others are passed: one of each type."""

_EXTRAS = {
    "user": Field(int),
    "imported": Field(bool),
    "createdAt": Field(),
    "attachments": Field(list),
}
_REPLY = {
    "text": Field(required=True),
    "customer": Field(dict, required=True),
    "status": Field(values=("active", "all", "closed", "open", "pending", "spam")),
    "assignTo": Field(int),
    "draft": Field(bool),
    "cc": Field(list),
    "bcc": Field(list),
    **_EXTRAS,
}
_NOTE = {
    "text": Field(required=True),
    "status": Field(values=("active", "closed", "inbox_predefined", "open", "pending", "spam")),
    **_EXTRAS,
}
_SNOOZE = {"snoozedUntil": Field(required=True), "unsnoozeOnCustomerReply": Field(bool, required=True)}
# The allowed patches: operation and path, and the type of the value.
_PATCHES: Mapping[tuple[str, str], type | None] = {
    ("replace", "/assignTo"): int,
    ("remove", "/assignTo"): None,
    ("replace", "/status"): str,
    ("replace", "/subject"): str,
    ("move", "/mailboxId"): int,
}
_VALUE_CHECKS: Mapping[FieldType, Callable[[CustomField, str], bool]] = {
    "dropdown": lambda field, value: value in {str(option) for option in field.options or ()},
    "singleline": lambda field, value: len(value) <= 255,
    "multiline": lambda field, value: len(value) <= 15_000,
    "number": lambda field, value: re.fullmatch(r"-?[0-9]{1,255}", value) is not None,
    "date": lambda field, value: re.fullmatch(r"\d{4}-\d\d-\d\d", value) is not None,
}


class FakeHelpScout(OAuthHelpDesk):
    """Help Scout with one account.

    `customer_writes` sends `convo.created` or, in a conversation that exists, `convo.customer.reply.created`;
    `agent_writes` sends `convo.agent.reply.created`, `assign` sends `convo.assigned`, and `bot_greets`, which speaks as
    Help Scout's AI, sends `convo.ai-answers.created`.

    By default the rate limit is the Standard plan's, 200 a minute; reading costs one and writing two.

    Args:
        webhook_secret: The secret that signs webhooks.
        app_id: The app whose credentials are exchanged for a token.
        app_secret: The app's secret.
        mailboxes: The inboxes, id to name; conversations start in the first.
        fields: The custom fields of every inbox.
        payload_version: The version of webhook payloads. An AI is a user in `V2` and a system user in `V3`.
        options: `users`, `teams`, `clock`, `rate_limit`, `latency` and `first_id`; see `FakeHelpDesk`.

    Attributes:
        merged: Ids of merged conversations, and of the conversations that they were merged into.
    """

    prefix = "HELPSCOUT"
    default_users: ClassVar = {"771000": "Triage", "634102": "Ada Probe"}
    default_teams: ClassVar = {"771201": "On-call", "771202": "Billing", "771203": "Support"}
    default_rate_limit = RateLimit(200, 60)
    user_type = "user"
    bot = Person("771900", "system_user", "AI Agent", "")
    token_path = "/v2/oauth2/token"
    error_codes: ClassVar = {
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
    # Writing to a merged conversation is 404, too:
    # https://developer.helpscout.com/mailbox-api/endpoints/conversations/custom_fields/update/
    no_conversation = (404, "NotFound", "Not Found")
    over_limit = (429, "RateLimit", "API rate limit exceeded")

    def __init__(
        self,
        *,
        webhook_secret: str = "fake-webhook-secret",
        app_id: str = "fake-app-id",
        app_secret: str = "fake-app-secret",
        mailboxes: Mapping[str, str] | None = None,
        fields: Sequence[CustomField] = FIELDS,
        payload_version: PayloadVersion = "V2",
        **options: Unpack[FakeOptions],
    ) -> None:
        super().__init__(app_id, app_secret, **options)
        self.webhook_secret = webhook_secret
        self.app_id = app_id
        self.app_secret = app_secret
        self.mailboxes = dict(mailboxes or {"215533": "Support"})
        self.fields = {field.id: field for field in fields}
        self.payload_version = payload_version
        self.merged: dict[str, str] = {}
        require_numeric_ids(users=self.users, teams=self.teams, mailboxes=self.mailboxes)

    @override
    def settings(self, base_url: str = IN_PROCESS) -> dict[str, Any]:
        return {
            "webhook_secret": self.webhook_secret,
            "app_id": self.app_id,
            "app_secret": self.app_secret,
            "user_id": self.own_id,
            "base_url": base_url,
        }

    @override
    def adapter(self, **settings: Any) -> "HelpScout":
        from triage.vendors import HelpScout

        return HelpScout(**(self.settings() | settings))

    def status(self, conversation_id: str) -> str:
        """Return a conversation's status: `"active"`, `"pending"`, `"closed"` or `"spam"`."""
        conversation = self.conversations[conversation_id]
        status = conversation.extra.get("status", "active")
        if conversation.state == "closed":
            return "spam" if status == "spam" else "closed"
        return "pending" if status == "pending" else "active"

    # The API.

    @override
    def build_routes(self) -> Routes:
        conversation_path = r"/v2/conversations/(?P<conversation_id>[^/]+)"
        return {
            ("POST", self.token_path): self._post_token,
            ("GET", "/v2/users/me"): self._get_me,
            ("GET", "/v2/users"): self._get_users,
            ("GET", "/v2/teams"): self._get_teams,
            ("GET", "/v2/mailboxes"): self._get_mailboxes,
            ("GET", r"/v2/mailboxes/(?P<mailbox_id>[^/]+)/fields"): self._get_fields,
            ("GET", r"/(?P<version>v[23])/conversations/(?P<conversation_id>[^/]+)"): self._get_conversation,
            ("GET", f"{conversation_path}/threads"): self._get_threads,
            ("PATCH", conversation_path): self._patch_conversation,
            ("POST", f"{conversation_path}/reply"): self._post_reply,
            ("POST", f"{conversation_path}/notes"): self._post_note,
            ("PUT", f"{conversation_path}/tags"): self._put_tags,
            ("PUT", f"{conversation_path}/fields"): self._put_fields,
            ("PUT", f"{conversation_path}/snooze"): self._put_snooze,
        }

    @override
    def admit(self, call: Call) -> None:
        if call.path != self.token_path and not self.has_token(call):
            raise Refusal(401, "Unauthorized", "Invalid or expired token")

    @override
    def build_error(self, refusal: Refusal) -> Any:
        if refusal.status == 429:
            return {"message": refusal.message}
        if refusal.code in _GRANT_ERRORS:  # as in RFC 6749, section 5.2
            return {"error": refusal.code, "error_description": refusal.message}
        error: dict[str, Any] = {"logRef": f"{self._create_uuid()}#{self.next_id()}", "message": refusal.message}
        about = {"about": {"href": f"{_ERRORS}#{refusal.code}"}}
        if refusal.field is not None:
            detail = {"path": refusal.field, "message": refusal.message, "source": "JSON", "_links": about}
            error |= {"message": "Bad request", "_embedded": {"errors": [detail]}}
        return {**error, "_links": {"about": {"href": _ERRORS}}}

    @override
    def get_cost(self, call: Call) -> int:
        # https://developer.helpscout.com/mailbox-api/overview/rate-limiting: writing counts twice.
        return 1 if call.method == "GET" else 2

    @override
    def build_rate_headers(self, limit: RateLimit, remaining: int, reset: int) -> Mapping[str, str]:
        # https://developer.helpscout.com/mailbox-api/overview/rate-limiting
        return {"X-RateLimit-Limit-Minute": str(limit.calls), "X-RateLimit-Remaining-Minute": str(remaining)}

    @override
    def build_headers(self, response: HttpResponse) -> Mapping[str, str]:
        headers = {"Correlation-ID": self._create_uuid()}
        if response.status == 429:
            headers["X-RateLimit-Retry-After"] = str(self.seconds_until_reset())
        return headers

    def _post_token(self, call: Call) -> Any:
        body: object = call.body
        form: Mapping[str, Any] = call.query
        if isinstance(body, dict):
            form = cast("dict[str, Any]", body)
        elif isinstance(body, str):
            form = dict(parse_qsl(body))
        self.check_client(form)
        return self.issue_token(_TOKEN_LIFETIME)

    def _get_me(self, _: Call) -> Any:
        return render_user(self.get_user(self.own_id))

    def _get_users(self, call: Call) -> Any:
        return render_page(call, "users", [render_user(self.get_user(user_id)) for user_id in self.users])

    def _get_teams(self, call: Call) -> Any:
        return render_page(call, "teams", render_teams(self.teams))

    def _get_mailboxes(self, call: Call) -> Any:
        return render_page(call, "mailboxes", render_mailboxes(self.mailboxes))

    def _get_fields(self, call: Call, mailbox_id: str) -> Any:
        if mailbox_id not in self.mailboxes:
            raise Refusal(404, "NotFound", "Not Found")
        fields = enumerate(self.fields.values(), 1)
        return render_page(call, "fields", [render_field(field, number) for number, field in fields])

    def _get_conversation(self, call: Call, version: str, conversation_id: str) -> Any:
        if conversation_id in self.merged:
            location = f"{API}/{version}/conversations/{self.merged[conversation_id]}"
            return HttpResponse(301, {"Location": location})
        renderer = self._get_renderer(self.find_conversation(conversation_id), ai=version == "v3")
        return renderer.render_conversation(with_threads=call.query.get("embed") == "threads")

    def _get_threads(self, call: Call, conversation_id: str) -> Any:
        conversation = self.find_conversation(conversation_id)
        renderer = self._get_renderer(conversation, ai=False)
        threads = [renderer.render_thread(message) for message in reversed(conversation.messages)]
        return render_page(call, "threads", threads)

    def _patch_conversation(self, call: Call, conversation_id: str) -> Any:
        patch = _read_object(call)
        operation, path, value = str(patch.get("op")), str(patch.get("path")), patch.get("value")
        if (operation, path) not in _PATCHES:
            raise Refusal(400, "EnumValue", "op and path do not match", "path")
        kind = _PATCHES[operation, path]
        if kind is not None and type(value) is not kind:
            raise Refusal(400, "InvalidType", "value has the wrong type", "value")
        conversation = self.find_conversation(conversation_id)
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
        self._add_line_item(conversation, f"changed{path}", self.get_user(self.own_id))
        return HttpResponse(204)

    def _post_reply(self, call: Call, conversation_id: str) -> Any:
        reply = _read_fields(call, _REPLY)
        conversation = self.find_conversation(conversation_id)
        contact, customer = conversation.contact, reply["customer"]
        if customer.get("id") != int(contact.id) and customer.get("email") != contact.email:
            raise Refusal(400, "NotFound", "the customer does not belong to the conversation", "customer")
        if reply.get("assignTo") is not None and not reply.get("draft"):
            self._assign(conversation, str(reply["assignTo"]))
        return self._add_thread(conversation, "agent", reply)

    def _post_note(self, call: Call, conversation_id: str) -> Any:
        note = _read_fields(call, _NOTE)
        return self._add_thread(self.find_conversation(conversation_id), "note", note)

    def _add_thread(self, conversation: FakeConversation, role: FakeRole, fields: Mapping[str, Any]) -> HttpResponse:
        if len(conversation.messages) >= _MAX_THREADS:
            raise Refusal(412, "PreconditionFailed", "The conversation is locked")
        user = str(fields.get("user") or self.own_id)
        if user not in self.users:
            raise Refusal(400, "NotFound", "no such user", "user")
        thread = self.add_message(conversation, role, fields["text"], self.get_user(user), via_api=True)
        if fields.get("draft"):
            thread.extra["state"] = "draft"
            thread.role = "event"
        else:
            # "If the status is not given, the conversation is re-activated."
            status = fields.get("status") or "active"
            if status != "all":
                self._set_status(conversation, _STATUS_ALIASES.get(status, status))
        thread.extra["status"] = self.status(conversation.id)
        return HttpResponse(201, {"Resource-ID": thread.id})

    def _put_tags(self, call: Call, conversation_id: str) -> Any:
        tags: list[Any] = _read_fields(call, {"tags": Field(list, required=True)})["tags"]
        if not all(isinstance(tag, str) and tag.strip() for tag in tags):
            raise Refusal(400, "InvalidType", "tags are names", "tags")
        self.find_conversation(conversation_id).tags[:] = tags
        return HttpResponse(204)

    def _put_fields(self, call: Call, conversation_id: str) -> Any:
        entries: list[Any] = _read_fields(call, {"fields": Field(list, required=True)})["fields"]
        values = dict(self._read_value(entry, f"fields[{number}]") for number, entry in enumerate(entries))
        conversation = self.find_conversation(conversation_id)
        conversation.fields.clear()
        conversation.fields.update(values)
        return HttpResponse(204)

    def _read_value(self, entry: Any, path: str) -> tuple[str, str]:
        if not isinstance(entry, dict) or set(cast("dict[str, Any]", entry)) != {"id", "value"}:
            raise Refusal(400, "InvalidType", "a field is an id and a value", path)
        field_id, value = cast("Any", entry["id"]), cast("Any", entry["value"])
        field = self.fields.get(field_id) if type(field_id) is int else None
        if field is None:
            raise Refusal(400, "NotFound", "no such field", f"{path}.id")
        if not isinstance(value, str) or not _VALUE_CHECKS[field.type](field, value):
            raise Refusal(400, "InvalidValue", "the value does not fit the field", f"{path}.value")
        return str(field.id), value

    def _put_snooze(self, call: Call, conversation_id: str) -> Any:
        snooze = _read_fields(call, _SNOOZE)
        try:
            until = datetime.strptime(snooze["snoozedUntil"], "%Y-%m-%dT%H:%M:%S%z").timestamp()
        except ValueError:
            raise Refusal(400, "InvalidDate", "not an ISO 8601 date", "snoozedUntil") from None
        if until <= self.clock():
            raise Refusal(400, "InvalidDate", "not in the future", "snoozedUntil")
        conversation = self.find_conversation(conversation_id)
        conversation.state, conversation.snoozed_until = "snoozed", int(until)
        conversation.extra["unsnooze"] = snooze["unsnoozeOnCustomerReply"]
        return HttpResponse(204)

    def _assign(self, conversation: FakeConversation, assignee: str | None) -> None:
        if assignee is not None and assignee not in self.users and assignee not in self.teams:
            raise Refusal(400, "NotFound", "no such user or team", "value")
        # A conversation has one assignee, either a team or a user.
        conversation.team = assignee if assignee in self.teams else None
        conversation.assignee = assignee if assignee in self.users else None

    def _set_status(self, conversation: FakeConversation, status: str) -> None:
        conversation.extra["status"] = status
        conversation.state = "closed" if status in ("closed", "spam") else "open"
        conversation.snoozed_until = None

    def _add_line_item(self, conversation: FakeConversation, action: str, author: Person) -> None:
        self.add_message(conversation, "event", None, author, action=action)

    # Messages and assignments.

    @override
    def create_conversation(self, number: int, name: str | None, email: str | None) -> FakeConversation:
        contact = Person(str(501_000_000 + number), "customer", name, email)
        extra = {"mailbox": next(iter(self.mailboxes))}
        return FakeConversation(str(3_382_000_000 + number), contact, channel="chat", extra=extra)

    @override
    def prepare_message(self, conversation: FakeConversation, message: FakeMessage) -> None:
        is_asleep = conversation.state == "snoozed" and not conversation.extra.get("unsnooze", True)
        if message.role == "customer" and not is_asleep:
            self._set_status(conversation, "active")
        message.id, message.type = str(7_730_000_000 + self.next_id()), _THREAD_TYPES[message.role]
        message.extra |= {"state": "published", "status": self.status(conversation.id)}
        conversation.updated_at = message.at

    @override
    def report_message(self, conversation: FakeConversation, message: FakeMessage, *, is_new: bool = False) -> Webhook:
        match message.role:
            case "customer":
                event = "convo.created" if is_new else "convo.customer.reply.created"
            case "bot":
                event = "convo.ai-answers.created"
            case _:
                event = "convo.agent.reply.created"
        return self._notify(event, conversation)

    @override
    def assign_human(self, conversation: FakeConversation, agent: Person) -> Webhook:
        self._assign(conversation, agent.id)
        self._add_line_item(conversation, "assigned", agent)
        return self._notify("convo.assigned", conversation)

    def close(self, conversation: str, agent: str | None = None) -> Webhook:
        """Close a conversation as a human teammate does; return the webhook `convo.status`.

        Args:
            conversation: The conversation's id.
            agent: The teammate's id; None for the last of `users`.
        """
        with self._lock:
            current = self.conversations[conversation]
            self._set_status(current, "closed")
            self._add_line_item(current, "changed/status", self.get_human(agent))
            return self._notify("convo.status", current)

    def workflow_replies(self, text: str, *, conversation: str) -> Webhook:
        """Reply as a workflow, which Help Scout presents as a separate user; return the webhook for it.

        Args:
            text: Plain text.
            conversation: The conversation's id.
        """
        body, source = self.format_body(text, html=False), {"type": "workflow", "via": "user"}
        with self._lock:
            current = self.conversations[conversation]
            return self.report_message(current, self.add_message(current, "agent", body, _HELP_SCOUT, source=source))

    def merge(self, conversation: str, *, into: str) -> Webhook:
        """Merge a conversation into another, as a human teammate does; return the webhook `convo.merged`.

        From then on reads of the old id are redirected, and writes to it are 404.

        Args:
            conversation: The id that disappears.
            into: The id that stays.
        """
        with self._lock:
            target = self.merge_messages(conversation, into)
            self.merged[conversation] = into
            self._add_line_item(target, "merged", self.get_human())
            return self._notify("convo.merged", target)

    # Webhooks.

    @override
    def ping(self) -> Webhook:
        # The body of the test call in the webhook's settings is not documented; here it is an empty object.
        return self._build_notification("helpscout.test", {}, None)

    @override
    def sign(self, body: bytes) -> dict[str, str]:
        return {"X-HelpScout-Signature": sign(body, self.webhook_secret)}

    def _notify(self, event: str, conversation: FakeConversation) -> Webhook:
        renderer = self._get_renderer(conversation, ai=self.payload_version == "V3")
        return self._build_notification(event, renderer.render_conversation(with_threads=True), conversation.id)

    def _build_notification(self, event: str, payload: Any, conversation_id: str | None) -> Webhook:
        return self.build_webhook(payload, conversation_id, {"X-HelpScout-Event": event})

    # JSON.

    def _get_renderer(self, conversation: FakeConversation, *, ai: bool) -> Renderer:
        assignee = None
        if conversation.assignee:
            assignee = self.get_user(conversation.assignee)
        elif conversation.team:
            assignee = Person(conversation.team, "team", self.teams[conversation.team], "")
        return Renderer(conversation, self.status(conversation.id), assignee, self.fields, ai)

    def _create_uuid(self) -> str:
        return str(uuid.UUID(int=self.next_id(), version=4))


def sign(body: bytes, secret: str) -> str:
    """Return the value of `X-HelpScout-Signature` for a body.

    Args:
        body: The bytes that are sent.
        secret: The webhook's secret.
    """
    # https://developer.helpscout.com/webhooks: HMAC with SHA-1, in base64.
    return base64.b64encode(hmac.digest(secret.encode(), body, "sha1")).decode()


def _read_object(call: Call) -> dict[str, Any]:
    if not call.is_json:
        raise Refusal(415, "UnsupportedMediaType", "Unsupported Media Type")
    if call.json_object is None:
        raise Refusal(400, "BadRequest", "The request body is not valid JSON")
    return call.json_object


def _read_fields(call: Call, fields: Mapping[str, Field]) -> Mapping[str, Any]:
    body = _read_object(call)
    for name in body:
        if name not in fields:
            raise Refusal(400, "UnknownProperty", "no such property", name)
    for name, field in fields.items():
        value = body.get(name)
        if value is None or value == "":
            if field.required:
                raise Refusal(400, "NotBlank", "may not be empty", name)
        elif type(value) is not field.kind:
            raise Refusal(400, "InvalidType", "has the wrong type", name)
        elif field.values and value not in field.values:
            raise Refusal(400, "EnumValue", f"must be one of {', '.join(field.values)}", name)
    return body
