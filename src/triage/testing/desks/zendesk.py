"""A fake of Zendesk: its Support API for tickets, and its webhooks.

It follows Zendesk's own descriptions and shares no code with the adapter, so that it tests the adapter:
https://developer.zendesk.com/api-reference/ticketing/tickets/tickets
https://developer.zendesk.com/api-reference/webhooks/event-types/ticket-events
https://developer.zendesk.com/documentation/webhooks/verifying

Where the descriptions are ambiguous the fake is strict: it rejects undocumented fields, and numbers must be numbers.
Placeholders in a staff member's comment are replaced, as Zendesk does. Not implemented: creating tickets through the
API, search, side conversations, job statuses, the management of webhooks and triggers, custom statuses.
"""

import base64
import hmac
import re
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import ceil
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias, cast

from typing_extensions import Unpack, override

from triage.testing.desks.base import IN_PROCESS, FakeOptions, Routes, as_json, format_time
from triage.testing.desks.markup import to_html, to_text
from triage.testing.desks.oauth import OAuthHelpDesk
from triage.testing.desks.records import Call, FakeConversation, FakeMessage, Person, RateLimit, Refusal, Webhook
from triage.testing.desks.shape import (
    Shape,
    find_misfit,
    is_flag,
    is_list_of_texts,
    is_object,
    is_text,
    require_numeric_ids,
)
from triage.testing.desks.zendesk_json import (
    find_status,
    render_comment,
    render_detail,
    render_event_comment,
    render_groups,
    render_ticket,
    render_user,
)
from triage.testing.server import HttpResponse

if TYPE_CHECKING:
    from triage.vendors import Zendesk

Connection: TypeAlias = Literal["events", "trigger"]

PUBLIC_SECRET = "dGhpc19zZWNyZXRfaXNfZm9yX3Rlc3Rpbmdfb25seQ=="
"""The published secret that signs the test of a webhook that is not saved yet."""

TRIGGER_BODY = """\
{"ticket_id": "{{ticket.id}}", "comment_id": "{{ticket.latest_comment.id}}",
 "updated_at": "{{ticket.updated_at_with_timestamp}}", "kind": "created",
 "actor_id": "{{current_user.id}}", "actor_role": "{{current_user.role}}", "requester_id": "{{ticket.requester.id}}",
 "comment_public": "{{ticket.latest_comment.is_public}}", "comment_author_id": "{{ticket.latest_comment.author.id}}"}
"""
"""The body that our documentation recommends for triggers and automations, before Zendesk fills in the placeholders."""

_SYSTEM = Person("-1", "system", "Zendesk")
_PRIORITIES = ("urgent", "high", "normal", "low")
_STATUSES = ("new", "open", "pending", "hold", "solved", "closed")

_UPDATES_PER_ACCOUNT = ("zendesk-ratelimit-tickets-update", RateLimit(100, 60))
_UPDATES_PER_TICKET = ("zendesk-ratelimit-per-ticket-updates", RateLimit(30, 600))


def _is_id(value: Any) -> bool:
    return type(value) is int and value > 0


def _is_field(value: Any) -> bool:
    return is_object(value) and set(value) == {"id", "value"}


def _is_list_of_fields(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_field, cast("list[object]", value)))


_TICKET: Shape = {
    "group_id": _is_id,
    "assignee_id": _is_id,
    "assignee_email": is_text,
    "priority": lambda value: value in _PRIORITIES,
    "status": lambda value: value in _STATUSES,
    "subject": is_text,
    "tags": is_list_of_texts,
    "custom_fields": _is_list_of_fields,
    "comment": is_object,
    "metadata": is_object,
    "updated_stamp": is_text,
    "safe_update": is_flag,
}
_READ_ONLY = frozenset({"created_at", "id", "updated_at", "url"})
_COMMENT: Shape = {
    "body": is_text,
    "html_body": is_text,
    "public": is_flag,
    "author_id": _is_id,
    "uploads": is_list_of_texts,
}
_TAGS: Shape = {"tags": is_list_of_texts, "updated_stamp": is_text, "safe_update": is_flag}


class FakeZendesk(OAuthHelpDesk):
    """Zendesk with one account.

    `customer_writes` sends `ticket.created` or, on a ticket that exists, `ticket.comment_added`; `agent_writes` sends
    `ticket.comment_added` and `assign` sends `ticket.agent_assignment_changed`. `bot_greets` and `customer_messages`
    send `messaging_ticket.message_added`. With `connection="trigger"` the body is `TRIGGER_BODY` instead of an event.

    By default the rate limit is Suite Team's, 200 calls a minute. Unless there is no limit, updates also count
    against 100 a minute for the account, and 30 in ten minutes for one ticket.

    A drop-down field takes only the tags of its options. Any other value is dropped, although the response is 200. The
    chosen option is one of the ticket's tags, and replaces the option that was chosen before; so does the new value of
    any field whose old value is one of the tags.

    Args:
        subdomain: The account's subdomain.
        signing_secret: The secret that signs webhooks.
        client_id: The OAuth client whose credentials are exchanged for a token.
        client_secret: The client's secret.
        access_token: A token that never expires.
        api_token: The account's API token, valid with any user's email address.
        fields: Ids of the custom fields.
        dropdowns: The options of the custom fields that are drop-downs, by field id.
        connection: How webhooks are connected: by event subscriptions, or by a trigger with `TRIGGER_BODY`.
        options: `users`, `teams` (Zendesk's groups), `clock`, `rate_limit`, `latency` and `first_id`; see
            `FakeHelpDesk`.

    Attributes:
        suspended: Ids of the customers who can no longer write or sign in.
        audits: The changes that the API made, by ticket id, oldest first.
        light_agents: Ids of the users whose comments are always private.
    """

    prefix = "ZENDESK"
    default_users: ClassVar = {"9001": "Triage", "9002": "Ada Probe"}
    default_teams: ClassVar = {"98701": "On-call", "98702": "Billing", "98703": "Support"}
    default_rate_limit = RateLimit(200, 60)
    user_type = "agent"
    bot = Person("zd:answerBot", "system", "Answer Bot")
    user_email = "staff-{}@example.com"
    token_path = "/oauth/tokens"
    error_codes: ClassVar = {
        400: "BadRequest",
        401: "invalid_token",
        403: "Forbidden",
        404: "RecordNotFound",
        409: "DatabaseConflict",
        422: "RecordInvalid",
        429: "APIRateLimitExceeded",
        500: "InternalError",
        503: "DatabaseDeadlock",
    }
    no_route = (404, "InvalidEndpoint", "Not found")
    no_conversation = (404, "RecordNotFound", "Not found")
    over_limit = (429, "APIRateLimitExceeded", "Rate limit exceeded")

    def __init__(
        self,
        *,
        subdomain: str = "acme",
        signing_secret: str = "fake-signing-secret",
        client_id: str = "fake-client-id",
        client_secret: str = "fake-client-secret",
        access_token: str = "fake-access-token",
        api_token: str = "fake-api-token",
        fields: Sequence[str] = ("27642", "27648"),
        dropdowns: Mapping[str, Sequence[str]] | None = None,
        connection: Connection = "events",
        **options: Unpack[FakeOptions],
    ) -> None:
        super().__init__(client_id, client_secret, **options)
        self.subdomain = subdomain
        self.signing_secret = signing_secret
        self.client_id = client_id
        self.client_secret = client_secret
        self.api_token = api_token
        self.dropdowns = dict(dropdowns or {})
        self.fields = tuple(dict.fromkeys((*fields, *self.dropdowns)))
        self.connection: Connection = connection
        self.tokens[access_token] = float("inf")
        self.suspended: set[str] = set()
        self.audits: dict[str, list[dict[str, Any]]] = {}
        self.light_agents: set[str] = set()
        self._updates: dict[str, deque[float]] = {}
        self._limit_headers: dict[str, str] = {}
        require_numeric_ids(users=self.users, teams=self.teams, fields=self.fields)

    @override
    def settings(self, base_url: str = IN_PROCESS) -> dict[str, Any]:
        return {
            "subdomain": self.subdomain,
            "signing_secret": self.signing_secret,
            "user_id": self.own_id,
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "base_url": base_url,
        }

    @override
    def adapter(self, **settings: Any) -> "Zendesk":
        from triage.vendors import Zendesk

        return Zendesk(**(self.settings() | settings))

    def status(self, conversation_id: str) -> str:
        """Return a ticket's status: `"new"`, `"open"`, `"pending"`, `"hold"`, `"solved"` or `"closed"`."""
        return find_status(self.conversations[conversation_id])

    # The API.

    @override
    def build_routes(self) -> Routes:
        conversation_path = "/api/v2/tickets/(?P<conversation_id>[^/]+?)"
        routes: Routes = {
            ("GET", "/api/v2/users/me"): self._get_me,
            ("GET", "/api/v2/users/(?P<user_id>[^/]+?)"): self._get_user,
            ("GET", "/api/v2/groups"): self._get_groups,
            ("GET", "/api/v2/ticket_fields"): self._get_fields,
            ("GET", "/api/v2/groups/assignable"): self._get_groups,
            ("GET", conversation_path): self._get_ticket,
            ("PUT", conversation_path): self._put_ticket,
            ("GET", f"{conversation_path}/comments"): self._get_comments,
            ("GET", f"{conversation_path}/audits"): self._get_audits,
            ("GET", f"{conversation_path}/metrics"): self._get_metrics,
            ("GET", f"{conversation_path}/tags"): self._get_tags,
            ("PUT", f"{conversation_path}/tags"): self._put_tags,
            ("POST", f"{conversation_path}/tags"): self._post_tags,
            ("DELETE", f"{conversation_path}/tags"): self._delete_tags,
            ("PUT", f"{conversation_path}/mark_as_spam"): self._put_spam,
        }
        return {("POST", self.token_path): self._post_token} | {
            (method, rf"{path}(?:\.json)?"): handler for (method, path), handler in routes.items()
        }

    @override
    def admit(self, call: Call) -> None:
        if call.path != self.token_path and not self.has_token(call) and not self._has_api_token(call):
            raise Refusal(401, "Couldn't authenticate you", "")
        if call.body is not None and call.json_object is None:
            raise Refusal(400, "BadRequest", "The request body is not a JSON object")

    def _has_api_token(self, call: Call) -> bool:
        user, _, password = call.basic_credentials.partition(":")
        users = {f"{self.get_user(user_id).email}/token" for user_id in self.users}
        return password == self.api_token and user in users

    @override
    def build_error(self, refusal: Refusal) -> Any:
        error: dict[str, Any] = {"error": refusal.code}
        if refusal.message:
            error["description"] = refusal.message
        if refusal.field is not None:
            error["description"] = "Record validation errors"
            error["details"] = {refusal.field: [{"description": refusal.message}]}
        return error

    @override
    def build_headers(self, response: HttpResponse) -> Mapping[str, str]:
        headers = {"X-Zendesk-Request-Id": f"fake-{self.next_id()}", **self._limit_headers}
        wait = self._limit_headers.get("Retry-After", str(self.seconds_until_reset()))
        self._limit_headers = {}
        return headers | ({"Retry-After": wait} if response.status == 429 else {})

    @override
    def build_rate_headers(self, limit: RateLimit, remaining: int, reset: int) -> Mapping[str, str]:
        # https://developer.zendesk.com/documentation/ticketing/using-the-zendesk-api/best-practices-for-avoiding-rate-limiting/
        return {
            "X-Rate-Limit": str(limit.calls),
            "X-Rate-Limit-Remaining": str(remaining),
            "ratelimit-limit": str(limit.calls),
            "ratelimit-remaining": str(remaining),
            "ratelimit-reset": str(self.seconds_until_reset()),
        }

    def _post_token(self, call: Call) -> Any:
        form = call.json_object or {}
        self.check_client(form)
        lifetime = form.get("expires_in", 1800)
        if type(lifetime) is not int or not 300 <= lifetime <= 172_800:
            raise Refusal(400, "invalid_request", "expires_in must be between 300 and 172800")
        return {**self.issue_token(lifetime), "scope": form.get("scope", "")}

    def _get_me(self, _: Call) -> Any:
        return {"user": self._render_user(self.get_user(self.own_id))}

    def _get_user(self, _: Call, user_id: str) -> Any:
        people = {conversation.contact.id: conversation.contact for conversation in self.conversations.values()}
        people |= {id_: self.get_user(id_) for id_ in self.users}
        if user_id not in people:
            raise Refusal(404, "RecordNotFound", "Not found")
        return {"user": self._render_user(people[user_id])}

    def _get_groups(self, _: Call) -> Any:
        return _list_all("groups", render_groups(self.teams))

    def _get_fields(self, _: Call) -> Any:
        return _list_all("ticket_fields", [{"id": int(id_), "title": f"Field {id_}"} for id_ in self.fields])

    def _get_ticket(self, _: Call, conversation_id: str) -> Any:
        return {"ticket": self._render_ticket(self.find_conversation(conversation_id))}

    def _get_comments(self, call: Call, conversation_id: str) -> Any:
        ticket = self.find_conversation(conversation_id)
        comments = sorted(
            (message for message in ticket.messages if message.role != "event"),
            key=lambda comment: (comment.at, len(comment.id), comment.id),
        )
        by_cursor = "page[size]" in call.query
        if call.query.get("sort" if by_cursor else "sort_order") in ("-created_at", "desc"):
            comments.reverse()
        page, links = self._paginate(call, comments, by_cursor=by_cursor)
        response: dict[str, Any] = {"comments": [render_comment(comment) for comment in page], **links}
        if call.query.get("include") == "users":
            authors = {comment.author.id: comment.author for comment in page if comment.author is not _SYSTEM}
            response["users"] = [self._render_user(author) for author in authors.values()]
        return response

    def _paginate(
        self, call: Call, comments: Sequence[FakeMessage], *, by_cursor: bool
    ) -> tuple[Sequence[FakeMessage], dict[str, Any]]:
        size = min(100, int(call.query.get("page[size]" if by_cursor else "per_page", "100")))
        cursor = call.query.get("page[after]")
        start = int(base64.b64decode(cursor)) if cursor else (int(call.query.get("page", "1")) - 1) * size
        has_more = len(comments) > start + size
        url = f"{self._url}{call.path}"
        if by_cursor:
            after = base64.b64encode(str(start + size).encode()).decode() if has_more else None
            links: dict[str, Any] = {
                "meta": {"has_more": has_more, "after_cursor": after, "before_cursor": None},
                "links": {"next": f"{url}?page[after]={after}" if has_more else None, "prev": None},
            }
        else:
            next_page = f"{url}?page={start // size + 2}" if has_more else None
            links = {"count": len(comments), "next_page": next_page, "previous_page": None}
        return comments[start : start + size], links

    def _get_audits(self, _: Call, conversation_id: str) -> Any:
        return _list_all("audits", self.audits.get(self.find_conversation(conversation_id).id, []))

    def _get_metrics(self, _: Call, conversation_id: str) -> Any:
        solved_at = self.find_conversation(conversation_id).extra.get("solved_at")
        shown = None if solved_at is None else format_time(solved_at)
        return {"ticket_metric": {"id": 1, "ticket_id": int(conversation_id), "solved_at": shown}}

    def _put_ticket(self, call: Call, conversation_id: str) -> Any:
        ticket = self.find_conversation(conversation_id)
        self._count_update(ticket.id)
        update: object = (call.json_object or {}).get("ticket")
        if not isinstance(update, dict):
            raise Refusal(400, "BadRequest", "Parameter ticket is required")
        # Clients may send back read-only fields that they fetched.
        writable = {name: value for name, value in cast("dict[str, Any]", update).items() if name not in _READ_ONLY}
        changes = _check_fields(writable, _TICKET)
        comment = _check_fields(cast("dict[str, Any]", changes.get("comment") or {}), _COMMENT)
        _check_not_closed(ticket)
        self._check_stamp(ticket, changes)
        self._check_references(changes, comment)
        # All checks have passed; nothing is rejected from here on.
        self._apply(ticket, changes)
        events: list[dict[str, Any]] = []
        if comment:
            added = self._add_comment(ticket, comment)
            # A comment has the id of the audit's event.
            events.append(
                {
                    "id": int(added.id),
                    "type": "Comment",
                    "public": added.role != "note",
                    "author_id": int(added.author.id),
                    "body": added.body,
                }
            )
        events += [
            {"type": "Change", "field_name": name, "value": value}
            for name, value in changes.items()
            if name not in ("comment", "metadata", "updated_stamp", "safe_update")
        ]
        audit = self._add_audit(ticket, events, changes.get("metadata"))
        return {"ticket": self._render_ticket(ticket), "audit": audit}

    def _apply(self, ticket: FakeConversation, changes: Mapping[str, Any]) -> None:
        if "group_id" in changes:
            ticket.team = str(changes["group_id"])
        if "assignee_id" in changes:
            ticket.assignee = str(changes["assignee_id"])
        if find_status(ticket) == "new" and ticket.assignee:
            self._set_status(ticket, "open")
        if "status" in changes:
            self._set_status(ticket, changes["status"])
            if ticket.state == "closed" and ticket.assignee is None:
                ticket.assignee = self.own_id  # a solved ticket has an assignee
        ticket.priority = changes.get("priority", ticket.priority)
        ticket.subject = changes.get("subject", ticket.subject)
        if "tags" in changes:
            ticket.tags[:] = _normalize_tags(changes["tags"])
        for field in changes.get("custom_fields", ()):
            self._set_field(ticket, str(field["id"]), field["value"])
        self._touch(ticket)

    def _set_field(self, ticket: FakeConversation, name: str, value: Any) -> None:
        options, old = self.dropdowns.get(name), ticket.fields.get(name)
        if options is not None and value not in (None, *options):
            return  # dropped without an error
        if options is not None or old in ticket.tags:
            ticket.tags[:] = [tag for tag in ticket.tags if tag != old] + ([value] if value else [])
        ticket.fields[name] = value

    def _add_comment(self, ticket: FakeConversation, comment: Mapping[str, Any]) -> FakeMessage:
        author = self.get_user(str(comment.get("author_id", self.own_id)))
        if "html_body" in comment:
            body = comment["html_body"]
        else:
            # HTML is stripped, and runs of white space collapse.
            body = to_html(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", "", comment.get("body", ""))))
        is_public = comment.get("public", ticket.messages[0].role != "note" if ticket.messages else True)
        is_public = is_public and self.own_id not in self.light_agents
        shortened = _fill_placeholders(body, ticket).encode()[: 64 * 1024].decode("utf-8", "ignore")
        return self.add_message(ticket, "agent" if is_public else "note", shortened, author, via_api=True)

    def _check_stamp(self, ticket: FakeConversation, changes: Mapping[str, Any]) -> None:
        # "A value of false has the same effect as true."
        if "safe_update" in changes and changes.get("updated_stamp") != format_time(ticket.updated_at):
            raise Refusal(409, "UpdateConflict", "Safe Update prevented the update due to outdated ticket data")

    def _check_references(self, changes: Mapping[str, Any], comment: Mapping[str, Any]) -> None:
        if "group_id" in changes and str(changes["group_id"]) not in self.teams:
            raise Refusal(422, "RecordInvalid", "Group is invalid", "group")
        for user_id in (changes.get("assignee_id"), comment.get("author_id")):
            if user_id is not None and str(user_id) not in self.users:
                raise Refusal(422, "RecordInvalid", "User is invalid", "assignee")
        for field in changes.get("custom_fields", ()):
            if str(field["id"]) not in self.fields:
                raise Refusal(422, "RecordInvalid", "no such field", "custom_fields")

    def _get_tags(self, _: Call, conversation_id: str) -> Any:
        return {"tags": self.find_conversation(conversation_id).tags}

    def _put_tags(self, call: Call, conversation_id: str) -> Any:
        ticket, tags = self._read_tags(call, conversation_id)
        return self._set_tags(ticket, [*ticket.tags, *tags])

    def _post_tags(self, call: Call, conversation_id: str) -> Any:
        ticket, tags = self._read_tags(call, conversation_id)
        return as_json(201, self._set_tags(ticket, tags))

    def _delete_tags(self, call: Call, conversation_id: str) -> Any:
        ticket, tags = self._read_tags(call, conversation_id)
        self._set_tags(ticket, [tag for tag in ticket.tags if tag not in tags])
        return HttpResponse(204)

    def _read_tags(self, call: Call, conversation_id: str) -> tuple[FakeConversation, list[str]]:
        ticket = self.find_conversation(conversation_id)
        self._count_update(ticket.id)
        changes = _check_fields(call.json_object or {}, _TAGS)
        _check_not_closed(ticket)
        self._check_stamp(ticket, changes)
        return ticket, changes.get("tags", [])

    def _set_tags(self, ticket: FakeConversation, tags: Sequence[str]) -> Any:
        self._apply(ticket, {"tags": tags})
        self._add_audit(ticket, [{"type": "Change", "field_name": "tags", "value": list(tags)}], None)
        return {"tags": ticket.tags}

    def _put_spam(self, _: Call, conversation_id: str) -> Any:
        ticket = self.find_conversation(conversation_id)
        _check_not_closed(ticket)
        ticket.extra["deleted"], ticket.state = True, "closed"
        self.suspended.add(ticket.contact.id)
        return HttpResponse(200, {}, b'""')

    def _count_update(self, ticket_id: str) -> None:
        now = self.clock()
        for key, (header, limit) in (("", _UPDATES_PER_ACCOUNT), (ticket_id, _UPDATES_PER_TICKET)):
            times = self._updates.setdefault(key, deque())
            while times and times[0] <= now - limit.seconds:
                times.popleft()
            if not self.rate_limit:
                continue
            is_exceeded = len(times) >= limit.calls
            if not is_exceeded:
                times.append(now)
            resets = ceil(times[0] + limit.seconds - now)
            shown = f"total={limit.calls}; remaining={limit.calls - len(times)}; resets={resets}"
            self._limit_headers |= {header: shown}
            if is_exceeded:
                self._limit_headers |= {"Retry-After": str(resets)}
                raise Refusal(*self.over_limit)

    def _set_status(self, ticket: FakeConversation, status: str) -> None:
        ticket.extra["status"] = status
        if status == "solved":
            ticket.extra["solved_at"] = self.now()
        ticket.state = "closed" if status in ("solved", "closed") else "open"

    def _touch(self, ticket: FakeConversation) -> None:
        # Zendesk's stamp has whole seconds. Here each update gets a different one, so that outdated stamps show up.
        ticket.updated_at = max(self.now(), ticket.updated_at + 1)

    def _add_audit(self, ticket: FakeConversation, events: list[dict[str, Any]], metadata: Any) -> dict[str, Any]:
        audit: dict[str, Any] = {
            "id": self.next_id(),
            "ticket_id": int(ticket.id),
            "created_at": format_time(self.now()),
            "author_id": int(self.own_id),
            "metadata": {"system": {}, "custom": metadata or {}},
            "events": [{"id": self.next_id()} | event for event in events],
            "via": {"channel": "api", "source": {}},
        }
        self.audits.setdefault(ticket.id, []).append(audit)
        return audit

    # Messages and assignments.

    @override
    def create_conversation(self, number: int, name: str | None, email: str | None) -> FakeConversation:
        contact = Person(str(844_700_000 + number), "end-user", name, email)
        return FakeConversation(str(35_000 + number), contact, channel="web_service", extra={"status": "new"})

    @override
    def prepare_message(self, conversation: FakeConversation, message: FakeMessage) -> None:
        message.id, message.type = str(98_765_000 + self.next_id()), "Comment"
        if message.role == "customer" and conversation.messages:
            self._set_status(conversation, "open")
        if conversation.messages and not message.via_api:
            self._touch(conversation)

    @override
    def report_message(self, conversation: FakeConversation, message: FakeMessage, *, is_new: bool = False) -> Webhook:
        if message.role == "bot":  # its messages are not comments
            conversation.messages.remove(message)
            return self._report_messenger(conversation, to_text(message.body or ""), message.author)
        return self._notify("ticket.created" if is_new else "ticket.comment_added", conversation, message)

    @override
    def assign_human(self, conversation: FakeConversation, agent: Person) -> Webhook:
        conversation.assignee = agent.id
        self._set_status(conversation, "open")
        self._touch(conversation)
        return self._notify("ticket.agent_assignment_changed", conversation, conversation.messages[-1], agent)

    def report_first_comment(self, conversation: str) -> Webhook:
        """Return the second webhook for a new ticket: `ticket.comment_added` for its first comment, a second later.

        Args:
            conversation: The conversation's id.
        """
        with self._lock:
            ticket = self.conversations[conversation]
            return self._notify("ticket.comment_added", ticket, ticket.messages[0])

    def customer_messages(self, text: str, *, conversation: str) -> Webhook:
        """Write as a customer in a messenger, and return the webhook. The message is not a comment of the ticket.

        Args:
            text: Plain text.
            conversation: The conversation's id.
        """
        with self._lock:
            ticket = self.conversations[conversation]
            return self._report_messenger(ticket, text, ticket.contact)

    # Webhooks.

    @override
    def ping(self) -> Webhook:
        # The test of a webhook that is not saved yet is signed with the public secret.
        webhook = self._build_notification({"message": "A test from Zendesk"}, None)
        return replace(webhook, headers={**webhook.headers, **self._sign(webhook.body, PUBLIC_SECRET)})

    @override
    def sign(self, body: bytes) -> dict[str, str]:
        return self._sign(body, self.signing_secret)

    def _sign(self, body: bytes, secret: str) -> dict[str, str]:
        stamp = format_time(self.now())
        return {
            "X-Zendesk-Webhook-Signature": sign(body, secret, stamp),
            "X-Zendesk-Webhook-Signature-Timestamp": stamp,
        }

    def _notify(
        self, event: str, ticket: FakeConversation, comment: FakeMessage, actor: Person | None = None
    ) -> Webhook:
        actor = actor or comment.author
        if self.connection == "trigger":
            return self._fire_trigger(event, ticket, comment, actor)
        content: dict[str, Any] = {"meta": {"sequence": {"id": f"01JFAKE{comment.id}", "position": 1}}}
        detail = render_detail(ticket, actor.id)
        if event == "ticket.comment_added":
            content["comment"] = render_event_comment(comment, actor)
            if comment is ticket.messages[0]:
                # The first comment is reported twice. The second time, the ticket is a second older.
                content["meta"]["sequence"]["position"] = 2
                detail["updated_at"] = format_time(ticket.created_at + 1)
        return self._build_event(event, ticket, detail, content)

    def _report_messenger(self, ticket: FakeConversation, text: str, author: Person) -> Webhook:
        kind = "end_user" if author.type == "end-user" else author.type
        content = {
            "conversation_id": f"67ab5f53a96f98663935{int(ticket.id):04x}",
            "actor": {"id": author.id, "name": author.name, "type": kind},
            "message": {"id": f"67ab5f55155becd18{self.next_id():07x}", "body": text},
        }
        return self._build_event("messaging_ticket.message_added", ticket, {"id": ticket.id}, content)

    def _build_event(
        self, event: str, ticket: FakeConversation, detail: Mapping[str, Any], content: Mapping[str, Any]
    ) -> Webhook:
        payload = {
            "account_id": 11112222,
            "id": f"1f0c2c1e-0000-4000-8000-{self.next_id():012x}",
            "type": f"zen:event-type:{event}",
            "zendesk_event_version": "2022-11-06",
            "subject": f"zen:ticket:{ticket.id}",
            "time": f"{format_time(self.now())[:-1]}.672717030Z",
            "detail": detail,
            "event": content,
        }
        return self._build_notification(payload, ticket.id)

    def _fire_trigger(self, event: str, ticket: FakeConversation, comment: FakeMessage, actor: Person) -> Webhook:
        values = {
            "ticket.id": ticket.id,
            "ticket.requester.id": ticket.contact.id,
            "ticket.latest_comment.id": comment.id,
            "ticket.updated_at_with_timestamp": format_time(ticket.updated_at),
            "current_user.id": actor.id,
            "current_user.role": actor.type,
            "ticket.latest_comment.is_public": str(comment.role != "note").lower(),
            "ticket.latest_comment.author.id": comment.author.id,
        }
        template = TRIGGER_BODY if event == "ticket.created" else TRIGGER_BODY.replace('"created"', '"replied"')
        body = re.sub(r"\{\{(.*?)\}\}", lambda match: values[match[1]], template)
        return self._build_notification(body.encode(), ticket.id)

    def _build_notification(self, payload: Any, ticket_id: str | None) -> Webhook:
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "X-Zendesk-Account-Id": "11112222",
            "X-Zendesk-Webhook-Id": "01F1KRFQ6BG29CNWFR60NK5FNY",
            "X-Zendesk-Webhook-Invocation-Id": f"01FAKE{self.next_id():010d}",
        }
        return self.build_webhook(payload, ticket_id, headers)

    # JSON.

    @property
    def _url(self) -> str:
        return f"https://{self.subdomain}.zendesk.com"

    def _render_ticket(self, ticket: FakeConversation) -> dict[str, Any]:
        return render_ticket(ticket, self.fields, self._url)

    def _render_user(self, person: Person) -> dict[str, Any]:
        return render_user(person, suspended=person.id in self.suspended)


def sign(body: bytes, secret: str, stamp: str) -> str:
    """Return the value of `X-Zendesk-Webhook-Signature` for a body.

    Args:
        body: The bytes that are sent.
        secret: The webhook's secret.
        stamp: The value of `X-Zendesk-Webhook-Signature-Timestamp`: `2026-11-24T09:30:00Z`.
    """
    return base64.b64encode(hmac.digest(secret.encode(), stamp.encode() + body, "sha256")).decode()


def _check_fields(fields: dict[str, Any], shape: Shape) -> dict[str, Any]:
    name = find_misfit(fields, shape)
    if name is not None:
        raise Refusal(422, "RecordInvalid", f"{name} is {'invalid' if name in shape else 'not a field'}", name)
    return fields


def _check_not_closed(ticket: FakeConversation) -> None:
    if find_status(ticket) == "closed":
        raise Refusal(422, "RecordInvalid", "Status closed prevents ticket update", "status")


def _fill_placeholders(body: str, ticket: FakeConversation) -> str:
    # "Placeholders in a staff comment are replaced by data, unsupported ones are removed."
    values = {"ticket.requester.email": ticket.contact.email or "", "ticket.id": ticket.id}
    body = re.sub(r"\{\{\s*(.*?)\s*\}\}", lambda match: values.get(match[1], ""), body, flags=re.DOTALL)
    return re.sub(r"\{%.*?%\}", "", body, flags=re.DOTALL)


def _normalize_tags(tags: Sequence[str]) -> list[str]:
    """Split tags at spaces and commas into lower-case words, each once."""
    words = [word for tag in tags for word in re.split(r"[\s,]+", tag.lower()) if word]
    return list(dict.fromkeys(words))


def _list_all(name: str, entries: Sequence[Any]) -> dict[str, Any]:
    return {name: entries, "count": len(entries), "next_page": None, "previous_page": None}
