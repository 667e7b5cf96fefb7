"""The JSON of the fake Intercom, in the form that each API version gives it."""

import mimetypes
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from triage.testing.desks.markup import to_html, to_text
from triage.testing.desks.records import FakeConversation, FakeMessage, Person

# Versions up to 2.15 have two words for priorities, 2.16 has five.
_OLD_PRIORITY = {"none": "not_priority", "low": "not_priority"}

_STARTED_BY = {"customer": "customer_initiated", "agent": "admin_initiated", "bot": "operator_initiated"}

_DURATIONS = (
    "time_to_assignment",
    "time_to_admin_reply",
    "time_to_first_close",
    "time_to_last_close",
    "median_time_to_reply",
    "handling_time",
    "adjusted_handling_time",
)


def parse_version(version: str) -> tuple[int, ...]:
    """Return an API version as numbers that can be compared."""
    return tuple(int(part) for part in version.split("."))


@dataclass(frozen=True)
class Renderer:
    """Renders conversations for one API version and one reader."""

    version: str
    plain: bool = False
    """True for plain text, False for HTML."""
    iso: bool = False
    """True for times as ISO 8601, False for numbers."""

    def render_conversation(
        self, conversation: FakeConversation, parts: Sequence[FakeMessage], tags: Sequence[dict[str, Any]]
    ) -> dict[str, Any]:
        """Return a conversation with some of its parts."""
        contact = conversation.contact
        teammates = {message.author.id for message in conversation.messages if message.role in ("agent", "note")}
        rendered: dict[str, Any] = {
            "type": "conversation",
            "id": conversation.id,
            "created_at": conversation.created_at,
            "updated_at": conversation.updated_at,
            "waiting_since": _find_waiting_since(conversation),
            "snoozed_until": conversation.snoozed_until,
            "source": self._render_source(conversation),
            "contacts": {
                "type": "contact.list",
                "contacts": [{"type": "contact", "id": contact.id, "external_id": f"cust-{contact.id[-8:]}"}],
            },
            "first_contact_reply": self._render_first_reply(conversation),
            "admin_assignee_id": self._render_assignee(conversation.assignee),
            "team_assignee_id": self._render_assignee(conversation.team),
            "open": conversation.state != "closed",
            "state": conversation.state,
            "read": conversation.extra.get("read", False),
            "tags": {"type": "tag.list", "tags": tags},
            "priority": self._render_priority(conversation.priority),
            "sla_applied": None,
            "statistics": self._render_statistics(conversation),
            "conversation_rating": None,
            "teammates": {
                "type": "admin.list",
                "teammates": [{"type": "admin", "id": admin_id} for admin_id in sorted(teammates)],
            },
            "title": conversation.extra.get("title"),
            "custom_attributes": dict(conversation.fields),
            "topics": {},
            "ticket": None,
            "linked_objects": {"type": "list", "data": [], "total_count": 0, "has_more": False},
            "ai_agent": _render_ai_agent(conversation),
            "ai_agent_participated": "ai_agent" in conversation.extra,
            "conversation_parts": {
                "type": "conversation_part.list",
                "conversation_parts": [self._render_part(part) for part in parts],
                "total_count": len(parts),
            },
        }
        return rendered | self._render_newer_fields(conversation)

    def _is_since(self, minor: int) -> bool:
        return parse_version(self.version) >= (2, minor)

    def _render_text(self, body: str | None) -> str | None:
        return to_text(body) if body and self.plain else body

    def _render_time(self, at: int | None) -> int | str | None:
        if at is None or not self.iso:
            return at
        return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")

    def _render_assignee(self, assignee_id: str | None) -> int | None:
        return int(assignee_id) if assignee_id else (0 if self._is_since(16) else None)

    def _render_priority(self, priority: str) -> str:
        return priority if self._is_since(16) else _OLD_PRIORITY.get(priority, "priority")

    def render_ticket(self, ticket: FakeConversation, parts: Sequence[FakeMessage]) -> dict[str, Any]:
        """Return a ticket with some of its parts."""
        return {
            "type": "ticket",
            "id": ticket.id,
            "ticket_id": ticket.id[-4:],
            "ticket_attributes": dict(ticket.fields),
            "ticket_state": {"type": "ticket_state", "id": "7493", "category": "submitted"},
            "ticket_type": {"type": "ticket_type", "id": "53", "name": "Request", "category": "Customer"},
            "contacts": {"type": "contact.list", "contacts": [{"type": "contact", "id": ticket.contact.id}]},
            "admin_assignee_id": self._render_ticket_assignee(ticket.assignee),
            "team_assignee_id": self._render_ticket_assignee(ticket.team),
            "created_at": ticket.created_at,
            "updated_at": ticket.updated_at,
            "ticket_parts": {
                "type": "ticket_part.list",
                "ticket_parts": [self.render_ticket_part(part) for part in parts],
                "total_count": len(parts),
            },
            "open": ticket.state != "closed",
            "snoozed_until": ticket.snoozed_until,
            "linked_objects": {"type": "list", "data": [], "total_count": 0, "has_more": False},
            "category": "Customer",
            "is_shared": True,
        }

    def render_ticket_part(self, part: FakeMessage) -> dict[str, Any]:
        """Return a part of a ticket."""
        return {
            "type": "ticket_part",
            "id": part.id,
            "part_type": part.type,
            "body": part.body,
            "created_at": part.at,
            "updated_at": part.at,
            "author": self._render_author(part.author),
            "attachments": [_render_attachment(name) for name in part.attachments],
            "redacted": False,
        }

    def render_ticket_with_part(self, ticket: FakeConversation, part: FakeMessage) -> dict[str, Any]:
        """Return the item of a webhook about a new part, with an empty list of the ticket's other parts."""
        return {
            "type": "ticket_ticket_part",
            "ticket": self.render_ticket(ticket, []),
            "ticket_part": self.render_ticket_part(part),
        }

    def _render_ticket_assignee(self, assignee_id: str | None) -> int | str:
        return int(assignee_id or 0) if self._is_since(16) else assignee_id or "0"

    def _render_author(self, person: Person, *, is_ai: bool = False) -> dict[str, Any]:
        ai = {"from_ai_agent": is_ai, "is_ai_answer": is_ai} if self._is_since(14) else {}
        return {"type": person.type, "id": person.id, "name": person.name, "email": person.email, **ai}

    def _render_source(self, conversation: FakeConversation) -> dict[str, Any]:
        first, subject = conversation.messages[0], conversation.subject
        newer = {"recipients": None, "reply_to": None, "email_message_metadata": None} if self._is_since(16) else {}
        return {
            "type": conversation.channel,
            "id": first.id,
            "delivered_as": _STARTED_BY[first.role],
            "subject": self._render_text(to_html(subject)) if subject else "",
            "body": self._render_text(first.body),
            "author": self._render_author(first.author),
            "attachments": [_render_attachment(name) for name in first.attachments],
            "url": None,
            "redacted": first.extra.get("redacted", False),
            **newer,
        }

    def _render_part(self, part: FakeMessage) -> dict[str, Any]:
        return {
            "type": "conversation_part",
            "id": part.id,
            "part_type": part.type,
            "body": self._render_text(part.body),
            "created_at": part.at,
            "updated_at": part.at,
            "notified_at": part.at,
            "assigned_to": part.extra.get("assigned_to"),
            "author": self._render_author(part.author, is_ai=part.extra.get("ai", False)),
            "attachments": [_render_attachment(name) for name in part.attachments],
            "external_id": None,
            "redacted": part.extra.get("redacted", False),
            "metadata": {},
            "email_message_metadata": None,
            "state": part.extra.get("state"),
            "tags": [],
            "event_details": {},
            "app_package_code": None,
        }

    def _render_first_reply(self, conversation: FakeConversation) -> dict[str, Any] | None:
        times = _list_times(conversation, "customer")
        return {"created_at": times[0], "type": conversation.channel, "url": None} if times else None

    def _render_statistics(self, conversation: FakeConversation) -> dict[str, Any]:
        contact, admin = _list_times(conversation, "customer"), _list_times(conversation, "agent")
        closes = [part for part in conversation.messages if part.type == "close"]
        assignments = [part.at for part in conversation.messages if "assigned_to" in part.extra]
        times = {
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
        return {
            "type": "conversation_statistics",
            **dict.fromkeys(_DURATIONS),
            **{name: self._render_time(at) for name, at in times.items()},
            "last_closed_by_id": closes[-1].author.id if closes else None,
            "count_reopens": sum(part.type in ("open", "assign_and_reopen") for part in conversation.messages),
            "count_assignments": len(assignments),
            "count_conversation_parts": len(conversation.messages),
            "assigned_team_first_response_time": [],
            "assigned_team_first_response_time_in_office_hours": [],
        }

    def _render_newer_fields(self, conversation: FakeConversation) -> dict[str, Any]:
        fields: dict[str, Any] = {"company": None} if self._is_since(15) else {}
        if self._is_since(16):
            fields["channel"] = {"initial": conversation.channel, "current": conversation.channel}
            fields |= {"sales_agent_participated": False, "sales_agent": None, "external_references": []}
        return fields


def _render_ai_agent(conversation: FakeConversation) -> dict[str, Any] | None:
    if "ai_agent" not in conversation.extra:
        return None
    return {
        "source_type": "workflow",
        "source_title": "Fin",
        "last_answer_type": "ai_answer",
        "resolution_state": conversation.extra["ai_agent"],
        "rating": None,
        "rating_remark": None,
    }


def _list_times(conversation: FakeConversation, role: str) -> list[int]:
    return [message.at for message in conversation.messages if message.role == role]


def _find_waiting_since(conversation: FakeConversation) -> int | None:
    since = None
    for message in conversation.messages:
        if message.role == "agent":
            since = None
        elif message.role == "customer" and since is None:
            since = message.at
    return since


def _render_attachment(name: str) -> dict[str, Any]:
    return {
        "type": "upload",
        "name": name,
        "url": f"https://attachments.example.com/{name}",
        "content_type": mimetypes.guess_type(name)[0] or "application/octet-stream",
        "filesize": 48_213,
        "width": None,
        "height": None,
    }
