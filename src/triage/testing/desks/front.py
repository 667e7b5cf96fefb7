"""A fake of Front: its Core API for conversations, and the webhooks that it sends.

Written from Front's own descriptions, apart from the adapter, so that it checks the adapter:
https://dev.frontapp.com/reference/conversations
https://dev.frontapp.com/docs/application-webhooks
https://dev.frontapp.com/docs/rule-webhooks

Where those leave room it is strict: a field that they do not name is refused. A reply is there at once, though Front
only queues it. Not here: drafts, the list of conversations and of events, contacts, ticket statuses, OAuth.
"""

import base64
import hashlib
import hmac
import html as html_
import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
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
    is_json,
    to_html,
    to_text,
)
from triage.testing.desks.shape import Shape, is_flag, is_object, is_text, is_text_or_null, is_texts, misfit
from triage.testing.server import HttpRequest, HttpResponse

Source: TypeAlias = Literal["application", "rule"]

_API = "https://acme.api.frontapp.com"
_PAGE = 50
_LONGEST_TAG = 64
# The names of the same events in an application's and in a rule's webhook.
_NAMES = {
    "inbound_received": "inbound",
    "outbound_sent": "outbound",
    "assignee_changed": "assign",
}
_STATUSES = ("archived", "deleted", "open", "spam")

_UPDATE: Shape = {
    "assignee_id": is_text_or_null,
    "inbox_id": is_text,
    "status": lambda value: value in _STATUSES,
    "tag_ids": is_texts,
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
    "to": is_texts,
    "cc": is_texts,
    "bcc": is_texts,
    "options": is_object,
    "should_add_default_signature": is_flag,
}
_OPTIONS: Shape = {"archive": is_flag, "tag_ids": is_texts}
_COMMENT: Shape = {"body": is_text, "author_id": is_text, "is_pinned": is_flag}
_TAG: Shape = {
    "name": lambda value: isinstance(value, str) and 1 <= len(value) <= _LONGEST_TAG,
    "description": is_text,
    "highlight": is_text,
    "is_visible_in_conversation_lists": is_flag,
}


class FakeFront(FakeHelpDesk):
    """Front with one company.

    Args:
        webhook_secret: What webhooks are signed with: the app's secret, or the API secret of the rule's.
        api_token: What calls carry.
        company_id: The company's id.
        users: Teammates, id to name; the first is the integration's own.
        teams: The inboxes that conversations are moved to, id to name; the first three are those of
            `default_buckets.from_env`. They begin in an inbox of their own, `inbox`.
        inbox: The id of the inbox where customers' messages arrive.
        channels: Ids of the channels that can be replied from.
        source: What sends the webhooks.
        clock: Seconds since the epoch.
        rate_limit: The Starter plan's by default: 50 calls a minute for the whole company.
        latency: Seconds that each call takes.
        first_id: Where ids start; see `FakeHelpDesk`.
    """

    prefix = "FRONT"
    error_codes = {  # noqa: RUF012 - never changed
        400: "Bad request",
        401: "Unauthenticated",
        403: "Forbidden",
        404: "Not found",
        409: "Conflict",
        429: "Too many requests",
        500: "Internal server error",
    }
    no_route = (404, "Not found", "The requested resource does not exist")
    over_limit = (429, "Too many requests", "Rate limit exceeded")

    def __init__(
        self,
        *,
        webhook_secret: str = "fake-webhook-secret",  # noqa: S107 - of a fake
        api_token: str = "fake-api-token",  # noqa: S107 - the same
        company_id: str = "cmp_4thp0",
        users: Mapping[str, str] | None = None,
        teams: Mapping[str, str] | None = None,
        inbox: str = "inb_1in",
        channels: Sequence[str] = ("cha_1in",),
        source: Source = "application",
        clock: Clock = time.time,
        rate_limit: RateLimit | None = RateLimit(50, 60),  # noqa: B008 - frozen
        latency: float = 0,
        first_id: int = 1,
    ) -> None:
        super().__init__(clock=clock, rate_limit=rate_limit, latency=latency, first_id=first_id)
        self.webhook_secret = webhook_secret
        self.api_token = api_token
        self.company_id = company_id
        self.users = dict(users or {"tea_9001": "Triage Bot", "tea_9002": "Ada Probe"})
        self.teams = dict(teams or {"inb_oncall": "On-call", "inb_billing": "Billing", "inb_support": "Support"})
        self.inbox = inbox
        self.channels = tuple(channels)
        self.source: Source = source
        self.tags: dict[str, str] = {}
        """The company's tags, id to name."""
        self.merged: dict[str, str] = {}
        """Ids of conversations that were merged into another, and the other's."""

    def settings(self, base_url: str = IN_PROCESS) -> dict[str, str]:
        """The arguments of an adapter that calls this fake: `Front(**fake.settings(base_url))`.

        Args:
            base_url: What `serve()` gives. The default leads nowhere, so that a client without `transport` reaches
                nobody.
        """
        return {
            "webhook_secret": self.webhook_secret,
            "api_token": self.api_token,
            "company_id": self.company_id,
            "author_id": next(iter(self.users)),
            "source": self.source,
            "base_url": base_url,
        }

    # The API.

    def build_routes(self) -> Routes:
        """The part of the API that there is."""
        one = "/conversations/(?P<conversation_id>[^/]+)"
        return {
            ("GET", "/me"): self._get_me,
            ("GET", "/teammates"): self._get_teammates,
            ("GET", "/inboxes"): self._get_inboxes,
            ("GET", "/channels"): self._get_channels,
            ("GET", "/company/tags"): self._get_tags,
            ("GET", "/tags"): self._get_tags,
            ("POST", "/company/tags"): self._post_tag,
            ("GET", "/messages/(?P<message_id>[^/]+)"): self._get_message,
            ("GET", one): self._get_conversation,
            ("PATCH", one): self._patch_conversation,
            ("PUT", f"{one}/assignee"): self._put_assignee,
            ("GET", f"{one}/messages"): self._get_messages,
            ("POST", f"{one}/messages"): self._post_message,
            ("GET", f"{one}/comments"): self._get_comments,
            ("POST", f"{one}/comments"): self._post_comment,
            ("POST", f"{one}/tags"): self._post_tags,
            ("DELETE", f"{one}/tags"): self._delete_tags,
        }

    def admit(self, call: Call) -> None:
        """Check the token, and that nothing but JSON is sent."""
        if call.headers.get("authorization") != f"Bearer {self.api_token}":
            raise Refusal(401, "Unauthenticated", "Invalid token")
        if call.body is not None and not (is_json(call) and isinstance(call.body, dict)):
            raise Refusal(400, "Bad request", "Body is no JSON object")

    def build_error(self, refusal: Refusal) -> Any:
        """An error as Front puts it."""
        told: dict[str, Any] = {"status": refusal.status, "title": refusal.code, "message": refusal.message}
        if refusal.field is not None:
            told["details"] = [refusal.field]
        return {"_error": told}

    def build_rate_headers(self, limit: RateLimit, remaining: int, reset: int) -> Mapping[str, str]:
        """https://dev.frontapp.com/docs/rate-limiting."""
        return {
            "X-RateLimit-Limit": str(limit.calls),
            "X-RateLimit-Remaining": str(remaining),
            "X-RateLimit-Reset": str(reset),
        }

    def respond(self, request: HttpRequest) -> HttpResponse:
        """Answer a request. Raises `Drop` where a fault says that there is no answer."""
        response = super().respond(request)
        asked = re.match("/conversations/([^/]+)", request.path)
        if response.status == 404 and asked and asked[1] in self.merged:
            path = request.path.replace(asked[1], self.merged[asked[1]], 1)
            return HttpResponse(301, {"Location": _API + path})
        if response.status == 429:
            wait = str(ceil(60 - self.clock() % 60))
            return replace(response, headers={"Retry-After": wait, **response.headers})
        return response

    def _get_me(self, _: Call) -> Any:
        return {"_links": {"self": f"{_API}/me"}, "id": self.company_id, "name": "Acme"}

    def _get_teammates(self, _: Call) -> Any:
        return _listed("/teammates", [_teammate(self._user(user_id)) for user_id in self.users])

    def _get_inboxes(self, _: Call) -> Any:
        return _listed("/inboxes", [self._shown_inbox(inbox) for inbox in (self.inbox, *self.teams)])

    def _get_channels(self, _: Call) -> Any:
        shown: list[dict[str, Any]] = [
            {
                "_links": {"self": f"{_API}/channels/{id_}", "related": {}},
                "id": id_,
                "name": "Support",
                "address": "support@example.com",
                "send_as": "support@example.com",
                "type": "smtp",
                "is_private": False,
                "is_valid": True,
                "settings": {},
            }
            for id_ in self.channels
        ]
        return _listed("/channels", shown)

    def _get_tags(self, call: Call) -> Any:
        return _paged(call, [self._shown_tag(tag_id) for tag_id in self.tags])

    def _post_tag(self, call: Call) -> Any:
        given = _checked(call, _TAG, "name")
        tag_id = f"tag_{self.next_id():x}"
        self.tags[tag_id] = given["name"]
        return as_json(201, self._shown_tag(tag_id))

    def _get_message(self, _: Call, message_id: str) -> Any:
        wanted = message_id.removeprefix("alt:uid:")
        for conversation in self.conversations.values():
            for message in conversation.messages:
                if wanted in (message.id, message.extra.get("uid")) and message.role in ("customer", "agent", "bot"):
                    return self._shown_message(conversation, message)
        raise Refusal(404, "Not found", "Unknown message")

    def _get_conversation(self, _: Call, conversation_id: str) -> Any:
        return self._shown(self._conversation(conversation_id))

    def _patch_conversation(self, call: Call, conversation_id: str) -> Any:
        given = _checked(call, _UPDATE)
        conversation = self._conversation(conversation_id)
        if given.get("assignee_id") is not None:
            self._known(given["assignee_id"], self.users, "teammate")
        if "inbox_id" in given:
            self._known(given["inbox_id"], (*self.teams, self.inbox), "inbox")
        for tag_id in given.get("tag_ids", ()):
            self._known(tag_id, self.tags, "tag")
        if "assignee_id" in given:
            conversation.assignee = given["assignee_id"]
        if "inbox_id" in given:
            conversation.team = given["inbox_id"]
        if "status" in given:
            self._set_status(conversation, given["status"])
        if "tag_ids" in given:
            conversation.tags[:] = [self.tags[tag_id] for tag_id in given["tag_ids"]]
        if "custom_fields" in given:
            conversation.fields.clear()
            conversation.fields.update(given["custom_fields"])
        return HttpResponse(204)

    def _put_assignee(self, call: Call, conversation_id: str) -> Any:
        given = _checked(call, {"assignee_id": is_text_or_null}, "assignee_id")
        conversation = self._conversation(conversation_id)
        if given["assignee_id"] is not None:
            self._known(given["assignee_id"], self.users, "teammate")
        conversation.assignee = given["assignee_id"]
        return HttpResponse(204)

    def _get_messages(self, call: Call, conversation_id: str) -> Any:
        conversation = self._conversation(conversation_id)
        said = [message for message in reversed(conversation.messages) if message.role in ("customer", "agent", "bot")]
        return _paged(call, [self._shown_message(conversation, message) for message in said])

    def _post_message(self, call: Call, conversation_id: str) -> Any:
        given = _checked(call, _REPLY, "body")
        options = _fitting(cast("dict[str, Any]", given.get("options") or {}), _OPTIONS, "options.")
        conversation = self._conversation(conversation_id)
        author = given.get("author_id") or next(iter(self.users))
        self._known(author, self.users, "teammate")
        self._known(given.get("channel_id", self.channels[0]), self.channels, "channel")
        for tag_id in options.get("tag_ids", ()):
            self._known(tag_id, self.tags, "tag")
        message = self._add(conversation, "agent", given["body"], self._user(author), via_api=True)
        conversation.tags += [self.tags[tag_id] for tag_id in options.get("tag_ids", ())]
        # "Archive the conversation right when sending the message. `true` by default"
        self._set_status(conversation, "archived" if options.get("archive", True) else "open")
        return as_json(202, {"status": "accepted", "message_uid": message.extra["uid"]})

    def _get_comments(self, call: Call, conversation_id: str) -> Any:
        notes = [
            message for message in reversed(self._conversation(conversation_id).messages) if message.role == "note"
        ]
        return _paged(call, [self._shown_comment(note) for note in notes])

    def _post_comment(self, call: Call, conversation_id: str) -> Any:
        given = _checked(call, _COMMENT, "body")
        conversation = self._conversation(conversation_id)
        author = Person("tea_api", "api", "API")
        if "author_id" in given:
            self._known(given["author_id"], self.users, "teammate")
            author = self._user(given["author_id"])
        body = _from_markdown(given["body"])
        note = self._add(conversation, "note", body, author, via_api=True)
        return as_json(201, self._shown_comment(note))

    def _post_tags(self, call: Call, conversation_id: str) -> Any:
        conversation, tags = self._labelled(call, conversation_id)
        conversation.tags += [tag for tag in tags if tag not in conversation.tags]
        return HttpResponse(204)

    def _delete_tags(self, call: Call, conversation_id: str) -> Any:
        conversation, tags = self._labelled(call, conversation_id)
        conversation.tags[:] = [tag for tag in conversation.tags if tag not in tags]
        return HttpResponse(204)

    def _labelled(self, call: Call, conversation_id: str) -> tuple[FakeConversation, list[str]]:
        given = _checked(call, {"tag_ids": is_texts}, "tag_ids")
        for tag_id in given["tag_ids"]:
            self._known(tag_id, self.tags, "tag")
        return self._conversation(conversation_id), [self.tags[tag_id] for tag_id in given["tag_ids"]]

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
        """Write as a customer; gives `inbound_received`, from a rule `inbound`.

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
            known = self._begin(name, email, subject) if conversation is None else self.conversations[conversation]
            message = self._add(known, "customer", body, known.contact, attachments=attachments)
            self._set_status(known, "open")
            return self._notify("inbound_received", known, message)

    def agent_writes(self, text: str, *, conversation: str, agent: str | None = None, html: bool = False) -> Webhook:
        """Answer the customer as a human teammate; gives `outbound_sent`.

        Args:
            text: Plain text, or HTML with `html=True`.
            conversation: The conversation's id.
            agent: The teammate's id; None for the last of `users`.
            html: True if `text` is HTML.
        """
        with self._lock:
            known = self.conversations[conversation]
            message = self._add(known, "agent", text if html else to_html(text), self._human(agent))
            return self._notify("outbound_sent", known, message)

    def bot_greets(
        self,
        text: str = "Hi! How can we help?",
        *,
        name: str | None = "Mira Probe",
        email: str | None = "mira@example.com",
    ) -> Webhook:
        """Begin a conversation as a rule, before the customer has said a word; gives `outbound_sent`.

        Args:
            text: The greeting.
            name: The customer's.
            email: The customer's.
        """
        with self._lock:
            known = self._begin(name, email, "")
            message = self._add(known, "bot", to_html(text), Person("tea_rule", "rule", "A rule"))
            return self._notify("outbound_sent", known, message)

    def assign(self, conversation: str, agent: str | None = None) -> Webhook:
        """Take a conversation as a human teammate does; gives `assignee_changed`.

        Args:
            conversation: The conversation's id.
            agent: The teammate's id; None for the last of `users`.
        """
        with self._lock:
            known, user = self.conversations[conversation], self._human(agent)
            known.assignee = user.id
            return self._notify("assignee_changed", known, None, by=user)

    def merge(self, conversation: str, *, into: str) -> None:
        """Merge a conversation into another as a human teammate does. Calls for the old id are redirected then.

        Args:
            conversation: The id that goes.
            into: The id that stays.
        """
        with self._lock:
            gone, known = self.conversations.pop(conversation), self.conversations[into]
            known.messages += gone.messages
            known.messages.sort(key=lambda message: (message.at, message.id))
            self.merged[conversation] = into

    def ping(self) -> Webhook:
        """The call that is made whenever an application's webhook is saved, with a challenge to be echoed."""
        webhook = self._signed({"type": "sync", "authorization": {"id": self.company_id}}, None)
        return replace(webhook, headers={**webhook.headers, "X-Front-Challenge": f"challenge-{self.next_id()}"})

    def redeliver(self, webhook: Webhook) -> Webhook:
        """The same webhook as Front sends it again, having missed our answer. A rule's never is."""
        return replace(webhook, headers={**webhook.headers, **self._signature(webhook.body)})

    def status(self, conversation_id: str) -> str:
        """Front's word for how a conversation is read: `"assigned"`, `"unassigned"`, `"archived"`, `"deleted"`."""
        conversation = self.conversations[conversation_id]
        written = conversation.extra["status"]
        if written == "open":
            return "assigned" if conversation.assignee else "unassigned"
        # Spam has no word of its own.
        return "archived" if written == "spam" else str(written)

    def _set_status(self, conversation: FakeConversation, status: str) -> None:
        conversation.extra["status"] = status
        conversation.state = "open" if status == "open" else "closed"

    def _begin(self, name: str | None, email: str | None, subject: str) -> FakeConversation:
        number, now = self.next_id(), self.now()
        contact = Person(f"crd_{number:x}", "contact", name, email)
        channel = "email" if subject else "front_chat"
        known = FakeConversation(f"cnv_{number:x}", contact, subject, channel, now, now)
        known.extra["status"] = "open"
        self.conversations[known.id] = known
        return known

    def _add(
        self,
        conversation: FakeConversation,
        role: FakeRole,
        body: str,
        author: Person,
        *,
        attachments: Sequence[str] = (),
        via_api: bool = False,
    ) -> FakeMessage:
        kind = "comment" if role == "note" else conversation.channel
        id_ = f"{'com' if role == 'note' else 'msg'}_{self.next_id():x}"
        message = FakeMessage(id_, role, kind, body, author, self.now(), tuple(attachments), via_api)
        message.extra["uid"] = hashlib.sha256(id_.encode()).hexdigest()[:32]
        conversation.messages.append(message)
        return message

    # Look-ups.

    def _conversation(self, conversation_id: str) -> FakeConversation:
        try:
            return self.conversations[conversation_id]
        except KeyError:
            raise Refusal(404, "Not found", "Unknown conversation") from None

    def _known(self, id_: str, known: Sequence[str] | Mapping[str, str], what: str) -> None:
        if id_ not in known:
            raise Refusal(404, "Not found", f"Unknown {what}")

    def _user(self, user_id: str) -> Person:
        return Person(user_id, "user", self.users[user_id], f"{user_id}@example.com")

    def _human(self, user_id: str | None) -> Person:
        return self._user(user_id or list(self.users)[-1])

    # What Front says.

    def _shown(self, conversation: FakeConversation) -> dict[str, Any]:
        link = f"{_API}/conversations/{conversation.id}"
        related = ("events", "followers", "messages", "comments", "inboxes")
        tags = {name: tag_id for tag_id, name in self.tags.items()}
        return {
            "_links": {"self": link, "related": {name: f"{link}/{name}" for name in related}},
            "id": conversation.id,
            "type": "conversation",
            "subject": conversation.subject,
            "status": self.status(conversation.id),
            "ticket_ids": [],
            "assignee": _teammate(self._user(conversation.assignee)) if conversation.assignee else None,
            "recipient": _recipient(conversation.contact),
            "tags": [self._shown_tag(tags[name]) for name in conversation.tags if name in tags],
            "links": [],
            "custom_fields": conversation.fields,
            "created_at": conversation.created_at + 0.25,
            "updated_at": conversation.updated_at + 0.25,
            "waiting_since": conversation.created_at + 0.25,
            "is_private": False,
            "scheduled_reminders": [],
            "metadata": {},
        }

    def _shown_message(self, conversation: FakeConversation, message: FakeMessage) -> dict[str, Any]:
        text = to_text(message.body or "")
        inbound = message.role == "customer"
        link = f"{_API}/messages/{message.id}"
        shown: dict[str, Any] = {
            "_links": {"self": link, "related": {"conversation": f"{_API}/conversations/{conversation.id}"}},
            "id": message.id,
            "message_uid": message.extra["uid"],
            "type": message.type,
            "is_inbound": inbound,
            "created_at": message.at + 0.25,
            "subject": conversation.subject,
            "blurb": text[:200],
            "body": message.body,
            "error_type": None,
            "version": None,
            "draft_mode": None,
            "metadata": {},
            "author": None if inbound else _teammate(message.author),
            "recipients": [
                _recipient(conversation.contact, "from" if inbound else "to"),
                {"_links": {"related": {"contact": None}}, "name": None, "handle": "support@example.com", "role": "to"},
            ],
            "attachments": [
                {
                    "id": f"fil_{at:x}",
                    "url": f"{_API}/download/fil_{at:x}",
                    "filename": name,
                    "content_type": "application/octet-stream",
                    "size": 1,
                    "metadata": {"is_inline": False},
                }
                for at, name in enumerate(message.attachments, 1)
            ],
            "signature": None,
            "is_draft": False,
        }
        # "Text version of the body for email messages"
        return shown | ({"text": text} if message.type == "email" else {})

    def _shown_comment(self, note: FakeMessage) -> dict[str, Any]:
        return {
            "_links": {"self": f"{_API}/comments/{note.id}", "related": {}},
            "id": note.id,
            "author": _teammate(note.author),
            "body": to_text(note.body or ""),
            "posted_at": note.at + 0.25,
            "attachments": [],
            "is_pinned": False,
        }

    def _shown_tag(self, tag_id: str) -> dict[str, Any]:
        link = f"{_API}/tags/{tag_id}"
        related = {"conversations": f"{link}/conversations", "owner": None, "parent_tag": None, "children": None}
        return {
            "_links": {"self": link, "related": related},
            "id": tag_id,
            "name": self.tags[tag_id],
            "description": None,
            "highlight": None,
            "is_private": False,
            "is_visible_in_conversation_lists": False,
            "created_at": 1692808372.298,
            "updated_at": 1692808372.298,
        }

    def _shown_inbox(self, inbox: str) -> dict[str, Any]:
        link = f"{_API}/inboxes/{inbox}"
        related = {name: f"{link}/{name}" for name in ("channels", "conversations", "teammates")}
        return {
            "_links": {"self": link, "related": {**related, "owner": f"{_API}/teams/tim_1"}},
            "id": inbox,
            "name": self.teams.get(inbox, "Incoming"),
            "is_private": False,
            "is_public": True,
            "custom_fields": {},
        }

    def _notify(
        self, event: str, conversation: FakeConversation, message: FakeMessage | None, by: Person | None = None
    ) -> Webhook:
        name = _NAMES[event]
        event_id = f"evt_{self.next_id():x}"
        inbox = self._shown_inbox(conversation.team or self.inbox)
        happening: dict[str, Any] = {
            "_links": {"self": f"{_API}/events/{event_id}"},
            "id": event_id,
            "type": name,
            "emitted_at": self.now() + 0.25,
            "conversation": self._shown(conversation),
            "source": {"_meta": {"type": "inboxes"}, "data": [inbox]},
        }
        if by is not None:
            happening["source"] = {"_meta": {"type": "teammate"}, "data": _teammate(by)}
        if message is not None:
            happening["target"] = {"_meta": {"type": "message"}, "data": self._shown_message(conversation, message)}
        if self.source == "rule":
            return self._signed(happening, conversation.id)
        envelope = {"type": event, "authorization": {"id": self.company_id}, "payload": happening}
        return self._signed(envelope, conversation.id)

    def _signed(self, payload: Any, conversation_id: str | None) -> Webhook:
        body = json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()
        return Webhook(body, {"Content-Type": "application/json", **self._signature(body)}, conversation_id)

    def _signature(self, body: bytes) -> dict[str, str]:
        if self.source == "rule":
            return {"X-Front-Signature": sign_rule(body, self.webhook_secret)}
        stamp = str(int(self.clock() * 1000))
        return {
            "X-Front-Signature": sign_application(body, self.webhook_secret, stamp),
            "X-Front-Request-Timestamp": stamp,
        }


def sign_application(body: bytes, secret: str, stamp: str) -> str:
    """The value of `X-Front-Signature` in the webhook of an application.

    Args:
        body: The bytes that are sent.
        secret: The app's secret.
        stamp: The value of `X-Front-Request-Timestamp`: milliseconds since the epoch.
    """
    return base64.b64encode(hmac.new(secret.encode(), f"{stamp}:".encode() + body, hashlib.sha256).digest()).decode()


def sign_rule(body: bytes, secret: str) -> str:
    """The value of `X-Front-Signature` in the webhook of a rule.

    Args:
        body: The bytes that are sent.
        secret: The API secret of the Webhooks app.
    """
    return base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha1).digest()).decode()


def _checked(call: Call, fields: Shape, *required: str) -> dict[str, Any]:
    given = _fitting(cast("dict[str, Any]", call.body or {}), fields, "")
    for name in required:
        if name not in given:
            raise Refusal(400, "Bad request", "Body did not satisfy requirements", f"{name}: missing")
    return given


def _fitting(given: dict[str, Any], fields: Shape, where: str) -> dict[str, Any]:
    name = misfit(given, fields)
    if name is not None:
        raise Refusal(400, "Bad request", "Body did not satisfy requirements", f"{where}{name}: invalid")
    return given


def _listed(path: str, shown: Sequence[Any]) -> Any:
    return {"_links": {"self": _API + path}, "_results": shown}


def _paged(call: Call, shown: Sequence[Any]) -> Any:
    size = int(call.query.get("limit", str(_PAGE)))
    if not 1 <= size <= 100:
        raise Refusal(400, "Bad request", "limit is between 1 and 100")
    start = int(call.query.get("page_token", "0"), 16)
    more = len(shown) > start + size
    following = f"{_API}{call.path}?limit={size}&page_token={start + size:x}" if more else None
    return {
        "_pagination": {"next": following},
        "_links": {"self": _API + call.path},
        "_results": shown[start : start + size],
    }


def _teammate(person: Person) -> dict[str, Any]:
    first, _, last = (person.name or "").partition(" ")
    return {
        "_links": {"self": f"{_API}/teammates/{person.id}", "related": {}},
        "id": person.id,
        "email": person.email or "",
        "username": first.lower(),
        "first_name": first,
        "last_name": last,
        "license_type": "full",
        "is_admin": False,
        "is_available": True,
        "is_blocked": False,
        "type": person.type,
        "custom_fields": {},
    }


def _recipient(person: Person, role: str = "from") -> dict[str, Any]:
    related = {"contact": f"{_API}/contacts/{person.id}"}
    return {"_links": {"related": related}, "name": person.name, "handle": person.email or "", "role": role}


def _from_markdown(body: str) -> str:
    """As Front shows it: a backslash before a mark makes it plain."""
    linked = re.sub(r"(?<!\\)\[([^\]]*?)(?<!\\)\]\((\S*?)\)", r'<a href="\2">\1</a>', html_.escape(body, quote=False))
    return re.sub(r"\\([\\`*_\[\]&#@|~<>])", r"\1", linked)
