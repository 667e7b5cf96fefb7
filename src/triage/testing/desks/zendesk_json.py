"""The JSON of the fake Zendesk: tickets, comments and users in its API, ticket details in its events."""

from collections.abc import Mapping, Sequence
from typing import Any

from triage.testing.desks.base import format_time
from triage.testing.desks.markup import to_text
from triage.testing.desks.records import FakeConversation, FakeMessage, Person


def find_status(ticket: FakeConversation) -> str:
    """Return a ticket's status, which a test may also change by setting `state`."""
    status = str(ticket.extra["status"])
    return "solved" if ticket.state == "closed" and status not in ("solved", "closed") else status


def render_ticket(ticket: FakeConversation, fields: Sequence[str], url: str) -> dict[str, Any]:
    """Return a ticket as the API does.

    Args:
        ticket: The ticket.
        fields: Ids of the account's custom fields.
        url: The account's base URL.
    """
    return {
        "url": f"{url}/api/v2/tickets/{ticket.id}.json",
        "id": int(ticket.id),
        "external_id": None,
        "via": {"channel": ticket.channel, "source": {"from": {}, "to": {}, "rel": None}},
        "created_at": format_time(ticket.created_at),
        "updated_at": format_time(ticket.updated_at),
        "type": None,
        "subject": ticket.subject,
        "raw_subject": ticket.subject,
        "description": _render_description(ticket),
        "priority": None if ticket.priority == "none" else ticket.priority,
        "status": find_status(ticket),
        "recipient": ticket.extra.get("recipient"),
        "requester_id": int(ticket.contact.id),
        "submitter_id": int(_find_submitter(ticket)),
        "assignee_id": _parse_id(ticket.assignee),
        "organization_id": None,
        "group_id": _parse_id(ticket.team),
        "collaborator_ids": [],
        "follower_ids": [],
        "email_cc_ids": [],
        "has_incidents": False,
        "is_public": True,
        "due_at": None,
        "tags": ticket.tags,
        "custom_fields": [{"id": int(name), "value": ticket.fields.get(name)} for name in fields],
        "ticket_form_id": 8646151517822,
        "brand_id": 8447346621310,
        "allow_attachments": True,
        "from_messaging_channel": False,
    }


def render_detail(ticket: FakeConversation, actor_id: str) -> dict[str, Any]:
    """Return a ticket as an event's `detail` does.

    Args:
        ticket: The ticket.
        actor_id: The id of the person who caused the event.
    """
    return {
        "id": ticket.id,
        "subject": ticket.subject,
        "description": _render_description(ticket),
        "status": find_status(ticket).upper(),
        "priority": None if ticket.priority == "none" else ticket.priority.upper(),
        "type": None,
        "custom_status": "8447320465790",
        "is_public": True,
        "actor_id": actor_id,
        "requester_id": ticket.contact.id,
        "submitter_id": _find_submitter(ticket),
        "assignee_id": ticket.assignee,
        "group_id": ticket.team,
        "organization_id": None,
        "brand_id": "8447346621310",
        "form_id": "8646151517822",
        "external_id": None,
        "tags": ticket.tags,
        "via": {"channel": ticket.channel},
        "created_at": format_time(ticket.created_at),
        "updated_at": format_time(ticket.updated_at),
    }


def render_comment(comment: FakeMessage) -> dict[str, Any]:
    """Return a comment as the API does."""
    text = to_text(comment.body or "")
    files = [
        {"id": number, "file_name": name, "content_type": "application/octet-stream", "size": 1, "inline": False}
        for number, name in enumerate(comment.attachments, 1)
    ]
    return {
        "id": int(comment.id),
        "type": comment.type,
        "author_id": int(comment.author.id),
        "body": text,
        "html_body": f'<div class="zd-comment" dir="auto">{comment.body}</div>',
        "plain_body": text,
        "public": comment.role != "note",
        "attachments": files,
        "audit_id": int(comment.id) + 1,
        "via": {"channel": comment.extra.get("channel", "api" if comment.via_api else "web"), "source": {}},
        "created_at": format_time(comment.at),
        "metadata": {"system": {}, "custom": {}, "flags": comment.extra.get("flags", [])},
    }


def render_event_comment(comment: FakeMessage, author: Person) -> dict[str, Any]:
    """Return a comment as an event does."""
    return {
        "id": comment.id,
        "body": to_text(comment.body or ""),
        "is_public": comment.role != "note",
        "author": {"id": author.id, "is_staff": author.type != "end-user", "name": author.name},
    }


def render_user(person: Person, *, suspended: bool) -> dict[str, Any]:
    """Return a user as the API does."""
    return {
        "id": int(person.id),
        "name": person.name or "",
        "email": person.email,
        "role": person.type,
        "active": True,
        "verified": True,
        "suspended": suspended,
    }


def render_groups(groups: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return groups as the API does."""
    fixed = {"description": "", "deleted": False, "is_public": True}
    times = {"created_at": format_time(0), "updated_at": format_time(0)}
    return [
        {"id": int(group_id), "name": name, "default": number == 0, **fixed, **times}
        for number, (group_id, name) in enumerate(groups.items())
    ]


def _render_description(ticket: FakeConversation) -> str:
    return to_text(ticket.messages[0].body or "") if ticket.messages else ""


def _find_submitter(ticket: FakeConversation) -> str:
    """Return the id of the author of the first comment, who counts as the submitter of the ticket."""
    return ticket.messages[0].author.id if ticket.messages else ticket.contact.id


def _parse_id(id_: str | None) -> int | None:
    return None if id_ is None else int(id_)
