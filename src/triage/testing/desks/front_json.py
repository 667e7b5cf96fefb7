"""The JSON of the fake Front: conversations, messages, comments, tags, inboxes and people."""

from collections.abc import Iterable, Sequence
from typing import Any

from triage.testing.desks.markup import to_text
from triage.testing.desks.records import Call, FakeConversation, FakeMessage, Person, Refusal

API = "https://acme.api.frontapp.com"
"""The base of the links in Front's JSON."""

_PAGE_SIZE = 50


def render_list(path: str, entries: Sequence[Any]) -> dict[str, Any]:
    """Return a list without pagination."""
    return {"_links": {"self": API + path}, "_results": entries}


def render_page(call: Call, entries: Sequence[Any]) -> dict[str, Any]:
    """Return the page of a list that a call asks for.

    Raises:
        Refusal: `limit` is out of range.
    """
    size = int(call.query.get("limit", str(_PAGE_SIZE)))
    if not 1 <= size <= 100:
        raise Refusal(400, "Bad request", "limit must be between 1 and 100")
    start = int(call.query.get("page_token", "0"), 16)
    has_more = len(entries) > start + size
    next_page = f"{API}{call.path}?limit={size}&page_token={start + size:x}" if has_more else None
    return {"_pagination": {"next": next_page}, **render_list(call.path, entries[start : start + size])}


def render_conversation(
    conversation: FakeConversation, status: str, assignee: Person | None, tags: Iterable[dict[str, Any]]
) -> dict[str, Any]:
    """Return a conversation.

    Args:
        conversation: The conversation.
        status: Front's word for its status.
        assignee: The teammate.
        tags: The rendered tags.
    """
    link = f"{API}/conversations/{conversation.id}"
    related = ("events", "followers", "messages", "comments", "inboxes")
    return {
        "_links": {"self": link, "related": {name: f"{link}/{name}" for name in related}},
        "id": conversation.id,
        "type": "conversation",
        "subject": conversation.subject,
        "status": status,
        "ticket_ids": [],
        "assignee": render_teammate(assignee) if assignee else None,
        "recipient": _render_recipient(conversation.contact, "from"),
        "tags": list(tags),
        "links": [],
        "custom_fields": conversation.fields,
        "created_at": conversation.created_at + 0.25,
        "updated_at": conversation.updated_at + 0.25,
        "waiting_since": conversation.created_at + 0.25,
        "is_private": False,
        "scheduled_reminders": [],
        "metadata": {},
    }


def render_message(conversation: FakeConversation, message: FakeMessage) -> dict[str, Any]:
    """Return a message of a conversation."""
    text = to_text(message.body or "")
    inbound = message.role == "customer"
    own_address = {
        "_links": {"related": {"contact": None}},
        "name": None,
        "handle": "support@example.com",
        "role": "to",
    }
    rendered: dict[str, Any] = {
        "_links": {
            "self": f"{API}/messages/{message.id}",
            "related": {"conversation": f"{API}/conversations/{conversation.id}"},
        },
        "id": message.id,
        "message_uid": message.extra["uid"],
        "type": message.type,
        "is_inbound": inbound,
        "created_at": message.at + 0.25,
        "subject": conversation.subject,
        "blurb": text[:200],
        "body": message.body,
        "error_type": message.extra.get("error_type"),
        "version": None,
        "draft_mode": None,
        "metadata": {},
        "author": None if inbound else render_teammate(message.author),
        "recipients": [_render_recipient(conversation.contact, "from" if inbound else "to"), own_address],
        "attachments": [_render_attachment(number, name) for number, name in enumerate(message.attachments, 1)],
        "signature": None,
        "is_draft": False,
    }
    # "Text version of the body for email messages"
    return rendered | {"text": text if message.type == "email" else None}


def render_comment(comment: FakeMessage) -> dict[str, Any]:
    """Return an internal comment."""
    return {
        "_links": {"self": f"{API}/comments/{comment.id}", "related": {}},
        "id": comment.id,
        "author": render_teammate(comment.author),
        "body": to_text(comment.body or ""),
        "posted_at": comment.at + 0.25,
        "attachments": [],
        "is_pinned": False,
    }


def render_event(event_id: str, kind: str, at: float, conversation: dict[str, Any]) -> dict[str, Any]:
    """Return an event without its source and target.

    Args:
        event_id: Its id.
        kind: Its type.
        at: When it happened, in seconds since the epoch.
        conversation: The rendered conversation.
    """
    return {
        "_links": {"self": f"{API}/events/{event_id}"},
        "id": event_id,
        "type": kind,
        "emitted_at": at,
        "conversation": conversation,
    }


def render_preview(event: dict[str, Any]) -> dict[str, Any]:
    """Return the part of an event that a preview shows: ids and links."""
    shown = {**event, "conversation": {name: event["conversation"][name] for name in ("_links", "id", "subject")}}
    for name in shown.keys() & {"source", "target"}:
        # Of the inboxes, a preview shows one, which is not in a list.
        data: list[Any] | dict[str, Any] = shown[name]["data"]
        one = data[0] if isinstance(data, list) else data
        shown[name] = {**shown[name], "data": {key: one[key] for key in ("_links", "id")}}
    return shown


def render_tag(tag_id: str, name: str, owner: str | None) -> dict[str, Any]:
    """Return a tag.

    Args:
        tag_id: Its id.
        name: Its name.
        owner: The id of the workspace (`tim_…`) or teammate that owns it; None for a tag of the company.
    """
    link = f"{API}/tags/{tag_id}"
    is_private = owner is not None and owner.startswith("tea_")
    owner_url = f"{API}/{'teammates' if is_private else 'teams'}/{owner}" if owner else None
    related = {"conversations": f"{link}/conversations", "owner": owner_url, "parent_tag": None, "children": None}
    return {
        "_links": {"self": link, "related": related},
        "id": tag_id,
        "name": name,
        "description": None,
        "highlight": None,
        "is_private": is_private,
        "is_visible_in_conversation_lists": False,
        "created_at": 1692808372.298,
        "updated_at": 1692808372.298,
    }


def render_inbox(inbox_id: str, name: str, workspace: str) -> dict[str, Any]:
    """Return an inbox of a workspace (`tim_…`)."""
    link = f"{API}/inboxes/{inbox_id}"
    related = {name: f"{link}/{name}" for name in ("channels", "conversations", "teammates")}
    return {
        "_links": {"self": link, "related": {**related, "owner": f"{API}/teams/{workspace}"}},
        "id": inbox_id,
        "name": name,
        "is_private": False,
        "is_public": True,
        "custom_fields": {},
    }


def render_channel(channel_id: str) -> dict[str, Any]:
    """Return a channel."""
    return {
        "_links": {"self": f"{API}/channels/{channel_id}", "related": {}},
        "id": channel_id,
        "name": "Support",
        "address": "support@example.com",
        "send_as": "support@example.com",
        "type": "smtp",
        "is_private": False,
        "is_valid": True,
        "settings": {},
    }


def render_teammate(person: Person) -> dict[str, Any]:
    """Return a teammate, a rule or an API token as an author."""
    first, _, last = (person.name or "").partition(" ")
    return {
        "_links": {"self": f"{API}/teammates/{person.id}", "related": {}},
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


def _render_recipient(person: Person, role: str) -> dict[str, Any]:
    related = {"contact": f"{API}/contacts/{person.id}"}
    return {"_links": {"related": related}, "name": person.name, "handle": person.email or "", "role": role}


def _render_attachment(number: int, name: str) -> dict[str, Any]:
    return {
        "id": f"fil_{number:x}",
        "url": f"{API}/download/fil_{number:x}",
        "filename": name,
        "content_type": "application/octet-stream",
        "size": 1,
        "metadata": {"is_inline": False},
    }
