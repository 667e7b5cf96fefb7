"""A fake of Zendesk: its Support API for tickets, and the webhooks that it sends.

Written from Zendesk's own descriptions, apart from the adapter, so that it checks the adapter:
https://developer.zendesk.com/api-reference/ticketing/tickets/tickets
https://developer.zendesk.com/api-reference/webhooks/event-types/ticket-events
https://developer.zendesk.com/documentation/webhooks/verifying

Where those leave room it is strict: a field that they do not name is refused, and numbers must be numbers. Placeholders
in a staff member's comment are filled in, as Zendesk does. Not here: making tickets through the API, search, side
conversations, job statuses, the management of webhooks and triggers, custom statuses.
"""

import base64
import hashlib
import hmac
import json
import re
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from math import ceil
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
    to_html,
    to_text,
)
from triage.testing.desks.shape import Shape, is_flag, is_object, is_text, is_texts, misfit
from triage.testing.server import HttpRequest, HttpResponse

Connection: TypeAlias = Literal["events", "trigger"]

PUBLIC_SECRET = "dGhpc19zZWNyZXRfaXNfZm9yX3Rlc3Rpbmdfb25seQ=="  # noqa: S105 - published
"""Signs the test of a webhook that is not saved yet."""

TRIGGER_BODY = """\
{"ticket_id": "{{ticket.id}}", "updated_at": "{{ticket.updated_at_with_timestamp}}", "kind": "created",
 "actor_id": "{{current_user.id}}", "actor_role": "{{current_user.role}}",
 "comment_public": "{{ticket.latest_comment.is_public}}", "comment_author_id": "{{ticket.latest_comment.author.id}}"}
"""
"""The body that the documentation publishes for triggers and automations, before Zendesk fills it in."""

_SYSTEM = Person("-1", "system", "Zendesk")
_BOT = Person("zd:answerBot", "system", "Answer Bot")
_PRIORITIES = ("urgent", "high", "normal", "low")
_STATUSES = ("new", "open", "pending", "hold", "solved", "closed")
_TOKEN_PATH = "/oauth/tokens"  # noqa: S105 - no token

_UPDATES_A_MINUTE = 100
_UPDATES_OF_A_TICKET = RateLimit(30, 600)


def _is_id(value: Any) -> bool:
    return type(value) is int and value > 0


def _is_field(value: Any) -> bool:
    return is_object(value) and set(value) == {"id", "value"}


def _is_fields(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_field, cast("list[object]", value)))


_TICKET: Shape = {
    "group_id": _is_id,
    "assignee_id": _is_id,
    "assignee_email": is_text,
    "priority": lambda value: value in _PRIORITIES,
    "status": lambda value: value in _STATUSES,
    "subject": is_text,
    "tags": is_texts,
    "custom_fields": _is_fields,
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
    "uploads": is_texts,
}
_LABELS: Shape = {"tags": is_texts, "updated_stamp": is_text, "safe_update": is_flag}


class FakeZendesk(FakeHelpDesk):
    """Zendesk with one account.

    Args:
        subdomain: The account's name.
        signing_secret: What webhooks are signed with.
        client_id: The OAuth client whose credentials give a token.
        client_secret: Its secret.
        access_token: A token that never ends.
        api_token: The account's API token, good with any user's address.
        users: Staff, id to name; the first made the OAuth client and is the integration's own.
        teams: The groups, id to name; the first three are those of `default_buckets.from_env`.
        fields: Ids of the custom fields.
        connection: How webhooks are connected: by event subscriptions, or by a trigger with `TRIGGER_BODY`.
        clock: Seconds since the epoch.
        rate_limit: Suite Team's by default, 200 calls a minute. Updates have limits of their own beside it: 100 a
            minute, and 30 of one ticket in ten minutes.
        latency: Seconds that each call takes.
        first_id: Where ids start; see `FakeHelpDesk`.
    """

    prefix = "ZENDESK"
    error_codes = {  # noqa: RUF012 - never changed
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
    over_limit = (429, "APIRateLimitExceeded", "Rate limit exceeded")

    def __init__(
        self,
        *,
        subdomain: str = "acme",
        signing_secret: str = "fake-signing-secret",  # noqa: S107 - of a fake
        client_id: str = "fake-client-id",
        client_secret: str = "fake-client-secret",  # noqa: S107 - the same
        access_token: str = "fake-access-token",  # noqa: S107 - the same
        api_token: str = "fake-api-token",  # noqa: S107 - the same
        users: Mapping[str, str] | None = None,
        teams: Mapping[str, str] | None = None,
        fields: Sequence[str] = ("27642", "27648"),
        connection: Connection = "events",
        clock: Clock = time.time,
        rate_limit: RateLimit | None = RateLimit(200, 60),  # noqa: B008 - frozen
        latency: float = 0,
        first_id: int = 1,
    ) -> None:
        super().__init__(clock=clock, rate_limit=rate_limit, latency=latency, first_id=first_id)
        self.subdomain = subdomain
        self.signing_secret = signing_secret
        self.client_id = client_id
        self.client_secret = client_secret
        self.api_token = api_token
        self.users = dict(users or {"9001": "Triage", "9002": "Ada Probe"})
        self.teams = dict(teams or {"98701": "On-call", "98702": "Billing", "98703": "Support"})
        self.fields = tuple(fields)
        self.connection: Connection = connection
        self.tokens: dict[str, float] = {access_token: float("inf")}
        """Access tokens and when they end."""
        self.suspended: set[str] = set()
        """Ids of customers who can neither write nor sign in any more."""
        self.audits: dict[str, list[dict[str, Any]]] = {}
        """What was done to each ticket by the API, oldest first."""
        self._updates: dict[str, deque[float]] = {}
        if not all(number.isdecimal() for number in (*self.users, *self.teams, *self.fields)):
            raise ValueError("The ids of users, teams and fields are numbers, as strings.")

    def settings(self, base_url: str = IN_PROCESS) -> dict[str, str]:
        """The arguments of an adapter that calls this fake: `Zendesk(**fake.settings(base_url))`.

        Args:
            base_url: What `serve()` gives. The default leads nowhere, so that a client without `transport` reaches
                nobody.
        """
        return {
            "subdomain": self.subdomain,
            "signing_secret": self.signing_secret,
            "user_id": next(iter(self.users)),
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "base_url": base_url,
        }

    # The API.

    def build_routes(self) -> Routes:
        """The part of the API that there is; `.json` may follow each path."""
        one = "/api/v2/tickets/(?P<ticket_id>[^/]+?)"
        table: Routes = {
            ("GET", "/api/v2/users/me"): self._get_me,
            ("GET", "/api/v2/users/(?P<user_id>[^/]+?)"): self._get_user,
            ("GET", "/api/v2/groups"): self._get_groups,
            ("GET", "/api/v2/groups/assignable"): self._get_groups,
            ("GET", one): self._get_ticket,
            ("PUT", one): self._put_ticket,
            ("GET", f"{one}/comments"): self._get_comments,
            ("GET", f"{one}/audits"): self._get_audits,
            ("GET", f"{one}/tags"): self._get_tags,
            ("PUT", f"{one}/tags"): self._put_tags,
            ("POST", f"{one}/tags"): self._post_tags,
            ("DELETE", f"{one}/tags"): self._delete_tags,
            ("PUT", f"{one}/mark_as_spam"): self._put_spam,
        }
        return {("POST", _TOKEN_PATH): self._post_token} | {
            (method, rf"{path}(?:\.json)?"): handler for (method, path), handler in table.items()
        }

    def admit(self, call: Call) -> None:
        """Check the token, and that nothing but JSON is sent."""
        scheme, _, token = call.headers.get("authorization", "").partition(" ")
        bearer = scheme == "Bearer" and self.tokens.get(token, 0) > self.clock()
        if call.path != _TOKEN_PATH and not bearer and not self._knows(basic_credentials(call)):
            raise Refusal(401, "Couldn't authenticate you", "")
        if call.body is not None and not (is_json(call) and isinstance(call.body, dict)):
            raise Refusal(400, "BadRequest", "The request body is no JSON object")

    def _knows(self, credentials: str) -> bool:
        user, _, password = credentials.partition(":")
        addresses = {self._user(user_id).email for user_id in self.users}
        return password == self.api_token and user.endswith("/token") and user.removesuffix("/token") in addresses

    def build_error(self, refusal: Refusal) -> Any:
        """An error in the shape that it usually has."""
        told: dict[str, Any] = {"error": refusal.code}
        if refusal.message:
            told["description"] = refusal.message
        if refusal.field is not None:
            told["description"] = "Record validation errors"
            told["details"] = {refusal.field: [{"description": refusal.message}]}
        return told

    def build_rate_headers(self, limit: RateLimit, remaining: int, reset: int) -> Mapping[str, str]:
        """https://developer.zendesk.com/documentation/ticketing/using-the-zendesk-api/best-practices-for-avoiding-rate-limiting/."""
        return {
            "X-Rate-Limit": str(limit.calls),
            "X-Rate-Limit-Remaining": str(remaining),
            "ratelimit-limit": str(limit.calls),
            "ratelimit-remaining": str(remaining),
            "ratelimit-reset": str(ceil(reset - self.clock())),
        }

    def respond(self, request: HttpRequest) -> HttpResponse:
        """Answer a request. Raises `Drop` where a fault says that there is no answer."""
        response = super().respond(request)
        headers = {"X-Zendesk-Request-Id": f"fake-{self.next_id()}"}
        if response.status == 429 and "Retry-After" not in response.headers:
            headers["Retry-After"] = str(ceil(60 - self.clock() % 60))
        return replace(response, headers={**headers, **response.headers})

    def withdraw_tokens(self) -> None:
        """Let all access tokens end before their time."""
        with self._lock:
            self.tokens.clear()

    def _post_token(self, call: Call) -> Any:
        sent = cast("dict[str, Any]", call.body or {})
        if sent.get("grant_type") != "client_credentials":
            raise Refusal(400, "unsupported_grant_type", "The grant type is not supported")
        if (sent.get("client_id"), sent.get("client_secret")) != (self.client_id, self.client_secret):
            raise Refusal(401, "invalid_client", "Client authentication failed")
        life = sent.get("expires_in", 1800)
        if type(life) is not int or not 300 <= life <= 172_800:
            raise Refusal(400, "invalid_request", "expires_in is between 300 and 172800")
        token = f"fake-token-{self.next_id()}"
        self.tokens[token] = self.clock() + life
        return {"access_token": token, "token_type": "bearer", "scope": sent.get("scope", ""), "expires_in": life}

    def _get_me(self, _: Call) -> Any:
        return {"user": self._shown_user(self._user(next(iter(self.users))))}

    def _get_user(self, _: Call, user_id: str) -> Any:
        people = {conversation.contact.id: conversation.contact for conversation in self.conversations.values()}
        people |= {id_: self._user(id_) for id_ in self.users}
        if user_id not in people:
            raise Refusal(404, "RecordNotFound", "Not found")
        return {"user": self._shown_user(people[user_id])}

    def _get_groups(self, _: Call) -> Any:
        moment = _moment(0)
        listed = [
            {"id": int(id_), "name": name, "description": "", "default": at == 0, "deleted": False, "is_public": True}
            for at, (id_, name) in enumerate(self.teams.items())
        ]
        groups = [group | {"created_at": moment, "updated_at": moment} for group in listed]
        return {"groups": groups, "count": len(groups), "next_page": None, "previous_page": None}

    def _get_ticket(self, _: Call, ticket_id: str) -> Any:
        return {"ticket": self._shown(self._ticket(ticket_id))}

    def _get_comments(self, call: Call, ticket_id: str) -> Any:
        ticket = self._ticket(ticket_id)
        listed = sorted(_comments(ticket), key=lambda one: one.at)
        cursor = "page[size]" in call.query
        if call.query.get("sort" if cursor else "sort_order") in ("-created_at", "desc"):
            listed.reverse()
        size = min(100, int(call.query.get("page[size]" if cursor else "per_page", "100")))
        after = call.query.get("page[after]")
        start = int(base64.b64decode(after)) if after else (int(call.query.get("page", "1")) - 1) * size
        shown, more = listed[start : start + size], len(listed) > start + size
        told: dict[str, Any] = {"comments": [self._shown_comment(one) for one in shown]}
        if call.query.get("include") == "users":
            people = {one.author.id: one.author for one in shown if one.author is not _SYSTEM}
            told["users"] = [self._shown_user(person) for person in people.values()]
        url = f"https://{self.subdomain}.zendesk.com{call.path}"
        following = base64.b64encode(str(start + size).encode()).decode()
        if cursor:
            told["meta"] = {"has_more": more, "after_cursor": following if more else None, "before_cursor": None}
            told["links"] = {"next": f"{url}?page[after]={following}" if more else None, "prev": None}
        else:
            following_page = f"{url}?page={start // size + 2}" if more else None
            told |= {"count": len(listed), "next_page": following_page, "previous_page": None}
        return told

    def _get_audits(self, _: Call, ticket_id: str) -> Any:
        audits = self.audits.get(self._ticket(ticket_id).id, [])
        return {"audits": audits, "count": len(audits), "next_page": None, "previous_page": None}

    def _put_ticket(self, call: Call, ticket_id: str) -> Any:
        ticket = self._ticket(ticket_id)
        self._count_update(ticket.id)
        sent = cast("dict[str, Any]", call.body or {}).get("ticket")
        if not isinstance(sent, dict):
            raise Refusal(400, "BadRequest", "Parameter ticket is required")
        # Clients send along what they have read.
        changes = {name: value for name, value in cast("dict[str, Any]", sent).items() if name not in _READ_ONLY}
        given = _checked(changes, _TICKET)
        comment = _checked(cast("dict[str, Any]", given.get("comment") or {}), _COMMENT)
        if ticket.extra["status"] == "closed":
            raise Refusal(422, "RecordInvalid", "Status closed prevents ticket update", "status")
        self._check_stamp(ticket, given)
        self._check_references(given, comment)
        # All of it holds; from here on nothing is refused.
        self._apply(ticket, given)
        events: list[dict[str, Any]] = []
        if comment:
            author = self._user(str(comment.get("author_id", next(iter(self.users)))))
            added = self._comment(ticket, comment, author)
            events.append({"id": self.next_id(), "type": "Comment", "public": added.role != "note", "body": added.body})
        events += [
            {"id": self.next_id(), "type": "Change", "field_name": name, "value": value}
            for name, value in given.items()
            if name not in ("comment", "metadata", "updated_stamp", "safe_update")
        ]
        audit = self._audit(ticket, events, given.get("metadata"))
        return {"ticket": self._shown(ticket), "audit": audit}

    def _apply(self, ticket: FakeConversation, given: Mapping[str, Any]) -> None:
        if "group_id" in given:
            ticket.team = str(given["group_id"])
        if "assignee_id" in given:
            ticket.assignee = str(given["assignee_id"])
        if ticket.extra["status"] == "new" and ticket.assignee:
            self._set_status(ticket, "open")
        if "status" in given:
            self._set_status(ticket, given["status"])
        ticket.priority = given.get("priority", ticket.priority)
        ticket.subject = given.get("subject", ticket.subject)
        if "tags" in given:
            ticket.tags[:] = _as_tags(given["tags"])
        ticket.fields |= {str(one["id"]): one["value"] for one in given.get("custom_fields", ())}
        self._touch(ticket)

    def _comment(self, ticket: FakeConversation, comment: Mapping[str, Any], author: Person) -> FakeMessage:
        if "html_body" in comment:
            body = comment["html_body"]
        else:
            # HTML is stripped, and runs of white space collapse.
            body = to_html(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", "", comment.get("body", ""))))
        public = comment.get("public", ticket.messages[0].role != "note" if ticket.messages else True)
        kept = self._filled_in(body, ticket).encode()[: 64 * 1024].decode("utf-8", "ignore")
        return self._add(ticket, "agent" if public else "note", kept, author, via_api=True)

    def _filled_in(self, body: str, ticket: FakeConversation) -> str:
        # "Placeholders in a staff comment are replaced by data, unsupported ones are removed."
        known = {"ticket.requester.email": ticket.contact.email or "", "ticket.id": ticket.id}
        body = re.sub(r"\{\{\s*(.*?)\s*\}\}", lambda match: known.get(match[1], ""), body, flags=re.DOTALL)
        return re.sub(r"\{%.*?%\}", "", body, flags=re.DOTALL)

    def _check_stamp(self, ticket: FakeConversation, given: Mapping[str, Any]) -> None:
        # "A value of false has the same effect as true."
        if "safe_update" in given and given.get("updated_stamp") != _moment(ticket.updated_at):
            raise Refusal(409, "UpdateConflict", "Safe Update prevented the update due to outdated ticket data")

    def _check_references(self, given: Mapping[str, Any], comment: Mapping[str, Any]) -> None:
        if str(given.get("group_id", next(iter(self.teams)))) not in self.teams:
            raise Refusal(422, "RecordInvalid", "Group is invalid", "group")
        for user_id in (given.get("assignee_id"), comment.get("author_id")):
            if user_id is not None and str(user_id) not in self.users:
                raise Refusal(422, "RecordInvalid", "User is invalid", "assignee")
        for one in given.get("custom_fields", ()):
            if str(one["id"]) not in self.fields:
                raise Refusal(422, "RecordInvalid", "no such field", "custom_fields")

    def _get_tags(self, _: Call, ticket_id: str) -> Any:
        return {"tags": self._ticket(ticket_id).tags}

    def _put_tags(self, call: Call, ticket_id: str) -> Any:
        ticket, given = self._labelled(call, ticket_id)
        return self._tagged(ticket, [*ticket.tags, *given])

    def _post_tags(self, call: Call, ticket_id: str) -> Any:
        ticket, given = self._labelled(call, ticket_id)
        return as_json(201, self._tagged(ticket, given))

    def _delete_tags(self, call: Call, ticket_id: str) -> Any:
        ticket, given = self._labelled(call, ticket_id)
        self._tagged(ticket, [tag for tag in ticket.tags if tag not in given])
        return HttpResponse(204)

    def _labelled(self, call: Call, ticket_id: str) -> tuple[FakeConversation, list[str]]:
        ticket = self._ticket(ticket_id)
        self._count_update(ticket.id)
        given = _checked(cast("dict[str, Any]", call.body or {}), _LABELS)
        self._check_stamp(ticket, given)
        return ticket, given.get("tags", [])

    def _tagged(self, ticket: FakeConversation, tags: Sequence[str]) -> Any:
        ticket.tags[:] = _as_tags(tags)
        self._touch(ticket)
        self._audit(ticket, [{"id": self.next_id(), "type": "Change", "field_name": "tags", "value": list(tags)}], None)
        return {"tags": ticket.tags}

    def _put_spam(self, _: Call, ticket_id: str) -> Any:
        ticket = self._ticket(ticket_id)
        if ticket.extra["status"] == "closed":
            raise Refusal(422, "RecordInvalid", "Status closed prevents ticket update", "status")
        ticket.extra["deleted"], ticket.state = True, "closed"
        self.suspended.add(ticket.contact.id)
        return HttpResponse(200, {}, b'""')

    def _count_update(self, ticket_id: str) -> None:
        now = self.clock()
        for key, limit in (("", RateLimit(_UPDATES_A_MINUTE, 60)), (ticket_id, _UPDATES_OF_A_TICKET)):
            times = self._updates.setdefault(key, deque())
            while times and times[0] <= now - limit.seconds:
                times.popleft()
            if len(times) >= limit.calls and self.rate_limit:
                raise Refusal(*self.over_limit)
            times.append(now)

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
        flags: Sequence[int] = (),
    ) -> Webhook:
        """Write as a customer; gives `ticket.created`, or `ticket.comment_added` to go on with one.

        Args:
            text: Plain text, or HTML with `html=True`.
            conversation: The conversation to go on with; None begins a new one.
            name: The customer's, for a new conversation.
            email: The customer's, for a new conversation.
            html: True if `text` is HTML.
            attachments: Names of files.
            subject: For a new conversation. One with a subject is an e-mail.
            flags: Of the comment: 4 for an automatic mail.
        """
        body = text if html else to_html(text)
        with self._lock:
            if conversation is None:
                ticket = self._begin(name, email, subject)
                said = self._add(ticket, "customer", body, ticket.contact, attachments=attachments, flags=flags)
                return self._notify("ticket.created", ticket, said)
            ticket = self.conversations[conversation]
            said = self._add(ticket, "customer", body, ticket.contact, attachments=attachments, flags=flags)
            self._set_status(ticket, "open")
            self._touch(ticket)
            return self._notify("ticket.comment_added", ticket, said)

    def agent_writes(self, text: str, *, conversation: str, agent: str | None = None, html: bool = False) -> Webhook:
        """Answer the customer as a human teammate; gives `ticket.comment_added`.

        Args:
            text: Plain text, or HTML with `html=True`.
            conversation: The conversation's id.
            agent: The teammate's id; None for the last of `users`.
            html: True if `text` is HTML.
        """
        with self._lock:
            ticket = self.conversations[conversation]
            said = self._add(ticket, "agent", text if html else to_html(text), self._human(agent))
            self._touch(ticket)
            return self._notify("ticket.comment_added", ticket, said)

    def bot_greets(
        self,
        text: str = "Hi! How can we help?",
        *,
        name: str | None = "Mira Probe",
        email: str | None = "mira@example.com",
    ) -> Webhook:
        """Begin a conversation as Zendesk's messaging bot; gives `messaging_ticket.message_added`.

        Args:
            text: The greeting.
            name: The customer's.
            email: The customer's.
        """
        with self._lock:
            ticket = self._begin(name, email, "")
            return self._message(ticket, text, _BOT)

    def customer_messages(self, text: str, *, conversation: str) -> Webhook:
        """Write as a customer in a messenger; gives `messaging_ticket.message_added`. It is no comment of the ticket.

        Args:
            text: Plain text.
            conversation: The conversation's id.
        """
        with self._lock:
            ticket = self.conversations[conversation]
            return self._message(ticket, text, ticket.contact)

    def assign(self, conversation: str, agent: str | None = None) -> Webhook:
        """Take a conversation as a human teammate does; gives `ticket.agent_assignment_changed`.

        Args:
            conversation: The conversation's id.
            agent: The teammate's id; None for the last of `users`.
        """
        with self._lock:
            ticket, user = self.conversations[conversation], self._human(agent)
            ticket.assignee = user.id
            self._set_status(ticket, "open")
            self._touch(ticket)
            return self._notify("ticket.agent_assignment_changed", ticket, ticket.messages[-1], actor=user)

    def ping(self) -> Webhook:
        """The test of a webhook that is not saved yet: signed with the public secret."""
        return self._signed({"message": "A test from Zendesk"}, None, secret=PUBLIC_SECRET)

    def redeliver(self, webhook: Webhook) -> Webhook:
        """The same webhook as Zendesk sends it again, having missed our answer: signed anew."""
        stamp = _moment(self.now())
        signed = {
            "X-Zendesk-Webhook-Signature": sign(webhook.body, self.signing_secret, stamp),
            "X-Zendesk-Webhook-Signature-Timestamp": stamp,
        }
        return replace(webhook, headers={**webhook.headers, **signed})

    def status(self, conversation_id: str) -> str:
        """Zendesk's word for how a ticket stands: `"new"`, `"open"`, `"pending"`, `"hold"`, `"solved"`, `"closed"`."""
        return str(self.conversations[conversation_id].extra["status"])

    def _set_status(self, ticket: FakeConversation, status: str) -> None:
        ticket.extra["status"] = status
        ticket.state = "closed" if status in ("solved", "closed") else "open"

    def _touch(self, ticket: FakeConversation) -> None:
        # The real stamp is of whole seconds. Here every update is told from the one before, so that a stale one shows.
        ticket.updated_at = max(self.now(), ticket.updated_at + 1)

    def _begin(self, name: str | None, email: str | None, subject: str) -> FakeConversation:
        number, now = self.next_id(), self.now()
        contact = Person(str(844_700_000 + number), "end-user", name, email)
        ticket = FakeConversation(
            str(35_000 + number), contact, subject, "email" if subject else "web_service", now, now
        )
        ticket.extra["status"] = "new"
        self.conversations[ticket.id] = ticket
        return ticket

    def _add(
        self,
        ticket: FakeConversation,
        role: FakeRole,
        body: str,
        author: Person,
        *,
        attachments: Sequence[str] = (),
        via_api: bool = False,
        flags: Sequence[int] = (),
    ) -> FakeMessage:
        said = FakeMessage(
            str(98_765_000 + self.next_id()), role, "Comment", body, author, self.now(), tuple(attachments), via_api
        )
        said.extra["flags"] = list(flags)
        ticket.messages.append(said)
        return said

    def _audit(self, ticket: FakeConversation, events: list[dict[str, Any]], metadata: Any) -> dict[str, Any]:
        audit: dict[str, Any] = {
            "id": self.next_id(),
            "ticket_id": int(ticket.id),
            "created_at": _moment(self.now()),
            "author_id": int(next(iter(self.users))),
            "metadata": {"system": {}, "custom": metadata or {}},
            "events": events,
            "via": {"channel": "api", "source": {}},
        }
        self.audits.setdefault(ticket.id, []).append(audit)
        return audit

    # Look-ups.

    def _ticket(self, ticket_id: str) -> FakeConversation:
        ticket = self.conversations.get(ticket_id)
        if ticket is None or ticket.extra.get("deleted"):
            raise Refusal(404, "RecordNotFound", "Not found")
        return ticket

    def _user(self, user_id: str) -> Person:
        return Person(user_id, "agent", self.users[user_id], f"staff-{user_id}@example.com")

    def _human(self, user_id: str | None) -> Person:
        return self._user(user_id or list(self.users)[-1])

    # What Zendesk says.

    def _shown(self, ticket: FakeConversation) -> dict[str, Any]:
        return {
            "url": f"https://{self.subdomain}.zendesk.com/api/v2/tickets/{ticket.id}.json",
            "id": int(ticket.id),
            "external_id": None,
            "via": {"channel": ticket.channel, "source": {"from": {}, "to": {}, "rel": None}},
            "created_at": _moment(ticket.created_at),
            "updated_at": _moment(ticket.updated_at),
            "type": None,
            "subject": ticket.subject,
            "raw_subject": ticket.subject,
            "description": to_text(ticket.messages[0].body or "") if ticket.messages else "",
            "priority": None if ticket.priority == "none" else ticket.priority,
            "status": ticket.extra["status"],
            "recipient": None,
            "requester_id": int(ticket.contact.id),
            "submitter_id": int(ticket.contact.id),
            "assignee_id": _number(ticket.assignee),
            "organization_id": None,
            "group_id": _number(ticket.team),
            "collaborator_ids": [],
            "follower_ids": [],
            "email_cc_ids": [],
            "has_incidents": False,
            "is_public": True,
            "due_at": None,
            "tags": ticket.tags,
            "custom_fields": [{"id": int(name), "value": ticket.fields.get(name)} for name in self.fields],
            "allow_attachments": True,
            "from_messaging_channel": False,
        }

    def _shown_comment(self, said: FakeMessage) -> dict[str, Any]:
        text = to_text(said.body or "")
        files = [
            {"id": at, "file_name": name, "content_type": "application/octet-stream", "size": 1, "inline": False}
            for at, name in enumerate(said.attachments, 1)
        ]
        return {
            "id": int(said.id),
            "type": said.type,
            "author_id": int(said.author.id),
            "body": text,
            "html_body": f'<div class="zd-comment" dir="auto">{said.body}</div>',
            "plain_body": text,
            "public": said.role != "note",
            "attachments": files,
            "audit_id": int(said.id) + 1,
            "via": {"channel": said.extra.get("channel", "api" if said.via_api else "web"), "source": {}},
            "created_at": _moment(said.at),
            "metadata": {"system": {}, "custom": {}, "flags": said.extra.get("flags", [])},
        }

    def _shown_user(self, person: Person) -> dict[str, Any]:
        return {
            "id": int(person.id),
            "name": person.name or "",
            "email": person.email,
            "role": person.type,
            "active": True,
            "verified": True,
            "suspended": person.id in self.suspended,
        }

    def _notify(self, event: str, ticket: FakeConversation, said: FakeMessage, actor: Person | None = None) -> Webhook:
        who = actor or said.author
        if self.connection == "trigger":
            return self._triggered(event, ticket, said, who)
        detail: dict[str, Any] = {
            "id": ticket.id,
            "subject": ticket.subject,
            "description": to_text(ticket.messages[0].body or ""),
            "status": str(ticket.extra["status"]).upper(),
            "priority": None if ticket.priority == "none" else ticket.priority.upper(),
            "type": None,
            "custom_status": "8447320465790",
            "is_public": True,
            "actor_id": who.id,
            "requester_id": ticket.contact.id,
            "submitter_id": ticket.contact.id,
            "assignee_id": ticket.assignee,
            "group_id": ticket.team,
            "organization_id": None,
            "brand_id": "8447346621310",
            "form_id": "8646151517822",
            "external_id": None,
            "tags": ticket.tags,
            "via": {"channel": ticket.channel},
            "created_at": _moment(ticket.created_at),
            "updated_at": _moment(ticket.updated_at),
        }
        happening: dict[str, Any] = {"meta": {"sequence": {"id": f"01JFAKE{said.id}", "position": 1}}}
        if event == "ticket.comment_added":
            author = {"id": who.id, "is_staff": who.type != "end-user", "name": who.name}
            body = to_text(said.body or "")
            happening["comment"] = {"id": said.id, "body": body, "is_public": said.role != "note", "author": author}
        return self._envelope(event, ticket, detail, happening)

    def _message(self, ticket: FakeConversation, text: str, author: Person) -> Webhook:
        happening = {
            "conversation_id": f"67ab5f53a96f98663935{int(ticket.id):04x}",
            "actor": {
                "id": author.id,
                "name": author.name,
                "type": "end_user" if author.type == "end-user" else author.type,
            },
            "message": {"id": f"67ab5f55155becd18{self.next_id():07x}", "body": text},
        }
        return self._envelope("messaging_ticket.message_added", ticket, {"id": ticket.id}, happening)

    def _envelope(
        self, event: str, ticket: FakeConversation, detail: Mapping[str, Any], happening: Mapping[str, Any]
    ) -> Webhook:
        payload = {
            "account_id": 11112222,
            "id": f"1f0c2c1e-0000-4000-8000-{self.next_id():012x}",
            "type": f"zen:event-type:{event}",
            "zendesk_event_version": "2022-11-06",
            "subject": f"zen:ticket:{ticket.id}",
            "time": f"{_moment(self.now())[:-1]}.672717030Z",
            "detail": detail,
            "event": happening,
        }
        return self._signed(payload, ticket.id)

    def _triggered(self, event: str, ticket: FakeConversation, said: FakeMessage, actor: Person) -> Webhook:
        values = {
            "ticket.id": ticket.id,
            "ticket.updated_at_with_timestamp": _moment(ticket.updated_at),
            "current_user.id": actor.id,
            "current_user.role": actor.type,
            "ticket.latest_comment.is_public": str(said.role != "note").lower(),
            "ticket.latest_comment.author.id": said.author.id,
        }
        body = TRIGGER_BODY if event == "ticket.created" else TRIGGER_BODY.replace('"created"', '"replied"')
        return self._signed(re.sub(r"\{\{(.*?)\}\}", lambda match: values[match[1]], body).encode(), ticket.id)

    def _signed(self, payload: Any, ticket_id: str | None, *, secret: str | None = None) -> Webhook:
        body = payload if isinstance(payload, bytes) else json.dumps(payload, ensure_ascii=False).encode()
        stamp = _moment(self.now())
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "X-Zendesk-Account-Id": "11112222",
            "X-Zendesk-Webhook-Id": "01F1KRFQ6BG29CNWFR60NK5FNY",
            "X-Zendesk-Webhook-Invocation-Id": f"01FAKE{self.next_id():010d}",
            "X-Zendesk-Webhook-Signature": sign(body, secret or self.signing_secret, stamp),
            "X-Zendesk-Webhook-Signature-Timestamp": stamp,
        }
        return Webhook(body, headers, ticket_id)


def sign(body: bytes, secret: str, stamp: str) -> str:
    """The value of `X-Zendesk-Webhook-Signature` for a body.

    Args:
        body: The bytes that are sent.
        secret: The webhook's secret.
        stamp: The value of `X-Zendesk-Webhook-Signature-Timestamp`: `2026-11-24T09:30:00Z`.
    """
    return base64.b64encode(hmac.new(secret.encode(), stamp.encode() + body, hashlib.sha256).digest()).decode()


def _comments(ticket: FakeConversation) -> list[FakeMessage]:
    return [said for said in ticket.messages if said.role != "event"]


def _checked(given: dict[str, Any], fields: Shape) -> dict[str, Any]:
    name = misfit(given, fields)
    if name is not None:
        raise Refusal(422, "RecordInvalid", f"{name} is {'invalid' if name in fields else 'no such field'}", name)
    return given


def _as_tags(tags: Sequence[str]) -> list[str]:
    """Tags are lower-case words; spaces and commas part them."""
    words = [word for tag in tags for word in re.split(r"[\s,]+", tag.lower()) if word]
    return list(dict.fromkeys(words))


def _number(id_: str | None) -> int | None:
    return None if id_ is None else int(id_)


def _moment(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
