"""The JSON of the fake Help Scout: conversations, threads, people and pages, in HAL."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, Literal, TypeAlias

from triage.testing.desks.base import format_time
from triage.testing.desks.markup import to_text
from triage.testing.desks.records import Call, FakeConversation, FakeMessage, Person

FieldType: TypeAlias = Literal["dropdown", "singleline", "multiline", "number", "date"]

API = "https://api.helpscout.net"
"""The base of the links in Help Scout's JSON."""

_PAGE_SIZE = 25


@dataclass(frozen=True)
class CustomField:
    """A custom field of the inboxes."""

    id: int
    """The field's id."""
    name: str
    """The label."""
    type: FieldType = "singleline"
    """The type of its values."""
    options: Mapping[int, str] | None = None
    """Ids and labels of a dropdown's options."""


def render_page(call: Call, name: str, entries: Sequence[Any]) -> dict[str, Any]:
    """Return the page of a list that a call asks for.

    Args:
        call: The call.
        name: The list's name in `_embedded`.
        entries: The whole list.
    """
    number = int(call.query.get("page", "1"))
    shown = entries[(number - 1) * _PAGE_SIZE : number * _PAGE_SIZE]
    pages = ceil(len(entries) / _PAGE_SIZE)
    page = {"size": _PAGE_SIZE, "totalElements": len(entries), "totalPages": pages, "number": number}
    links = {"self": {"href": API + call.path}}
    if number < pages:
        links["next"] = {"href": f"{API}{call.path}?page={number + 1}"}
    # "The _embedded key is not set when empty": https://github.com/helpscout/helpscout-api-php
    return {**({"_embedded": {name: shown}} if shown else {}), "page": page, "_links": links}


@dataclass(frozen=True)
class Renderer:
    """Renders a conversation."""

    conversation: FakeConversation
    status: str
    """Help Scout's word for the conversation's status."""
    assignee: Person | None
    """The user or team."""
    fields: Mapping[int, CustomField]
    """The account's custom fields by id."""
    ai: bool
    """True if an AI is a system user, False if it is a user."""

    def render_conversation(self, *, with_threads: bool) -> dict[str, Any]:
        """Return the conversation, with at most one page of threads embedded."""
        conversation = self.conversation
        messages = conversation.messages
        path, number = f"{API}/v2/conversations/{conversation.id}", int(conversation.id) % 1_000_000
        public = [
            message
            for message in messages
            if message.body is not None and message.role != "note" and message.extra["state"] == "published"
        ]
        threads = [self.render_thread(message) for message in reversed(messages[-_PAGE_SIZE:])]
        rendered: dict[str, Any] = {
            "id": int(conversation.id),
            "number": number,
            "threads": len(public),
            "type": conversation.channel,
            "folderId": 4_410_021,
            "status": self.status,
            "state": "published",
            "subject": conversation.subject,
            "preview": to_text(public[-1].body or "")[:185] if public else "",
            "mailboxId": int(conversation.extra["mailbox"]),
            "assignee": self._render_assignee(),
            "createdBy": render_person(messages[0].author if messages else conversation.contact, ai=self.ai),
            "createdAt": format_time(conversation.created_at),
            "closedBy": 0,
            "closedAt": format_time(conversation.updated_at) if conversation.state == "closed" else None,
            "userUpdatedAt": format_time(conversation.updated_at),
            "customerWaitingSince": {"time": format_time(conversation.updated_at), "friendly": "Just now"},
            "source": conversation.extra.get("source", {"type": "email", "via": "customer"}),
            "tags": [
                {"id": 9150 + number, "color": "#929499", "tag": tag} for number, tag in enumerate(conversation.tags)
            ],
            "cc": [],
            "bcc": [],
            "primaryCustomer": render_person(conversation.contact),
            "customFields": [self._render_field(int(id_), value) for id_, value in conversation.fields.items()],
            "_embedded": {"threads": threads} if with_threads else {},
            "_links": {
                "self": {"href": path},
                "threads": {"href": f"{path}/threads/"},
                "web": {"href": f"https://secure.helpscout.net/conversation/{conversation.id}/{number}"},
            },
        }
        if conversation.snoozed_until is not None:
            rendered["snooze"] = {
                "snoozedUntil": format_time(conversation.snoozed_until),
                "unsnoozeOnCustomerReply": conversation.extra.get("unsnooze", True),
            }
        return rendered

    def render_thread(self, thread: FakeMessage) -> dict[str, Any]:
        """Return a thread of the conversation."""
        files = [
            {"id": number, "filename": name, "mimeType": "application/octet-stream", "size": 48_213, "state": "valid"}
            for number, name in enumerate(thread.attachments, 1)
        ]
        rendered: dict[str, Any] = {
            "id": int(thread.id),
            "type": thread.type,
            "status": thread.extra["status"],
            "state": thread.extra["state"],
            "action": {"type": "default", "text": thread.extra.get("action", ""), "associatedEntities": {}},
            "source": thread.extra.get("source")
            or {
                "type": "api" if thread.via_api else "email",
                "via": "customer" if thread.author.type == "customer" else "user",
            },
            "customer": render_person(self.conversation.contact),
            "createdBy": render_person(thread.author, ai=self.ai),
            "assignedTo": self._render_assignee(),
            "savedReplyId": 0,
            "to": [],
            "cc": [],
            "bcc": [],
            "createdAt": format_time(thread.at),
            "_embedded": {"attachments": files},
            "_links": {},
        }
        return rendered if thread.body is None else {**rendered, "body": thread.body}

    def _render_assignee(self) -> dict[str, Any] | None:
        return render_person(self.assignee) if self.assignee else None

    def _render_field(self, field_id: int, value: str) -> dict[str, Any]:
        field = self.fields[field_id]
        text = field.options[int(value)] if field.options else value
        return {"id": field_id, "name": field.name, "value": value, "text": text}


def render_person(person: Person, *, ai: bool = True) -> dict[str, Any]:
    """Return a customer, a user, a team or an AI.

    Args:
        person: The person.
        ai: True if an AI is a system user, as from version 3; False if it is a user:
            https://developer.helpscout.com/mailbox-api/endpoints/conversations/get-v3/
    """
    first, _, last = (person.name or "").partition(" ")
    kind = "user" if person.type == "system_user" and not ai else person.type
    return {"id": int(person.id), "type": kind, "first": first, "last": last, "email": person.email or ""}


def render_user(person: Person) -> dict[str, Any]:
    """Return a user as an entry of the list of users."""
    first, _, last = (person.name or "").partition(" ")
    names = {"firstName": first, "lastName": last, "email": person.email}
    return {"id": int(person.id), **names, "role": "user", "timezone": "UTC", "type": "user"}


def render_teams(teams: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the list of teams."""
    fixed = {"timezone": "UTC", "photoUrl": "", "createdAt": format_time(0), "updatedAt": format_time(0)}
    return [{"id": int(team_id), "name": name, "mention": name.lower(), **fixed} for team_id, name in teams.items()]


def render_mailboxes(mailboxes: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the list of inboxes."""
    return [
        {"id": int(id_), "name": name, "slug": f"{int(id_):x}", "email": f"inbox-{id_}@example.com"}
        for id_, name in mailboxes.items()
    ]


def render_field(field: CustomField, order: int) -> dict[str, Any]:
    """Return the description of a custom field."""
    rendered: dict[str, Any] = {"id": field.id, "required": False, "order": order}
    rendered |= {"type": field.type, "name": field.name}
    if field.type == "dropdown":
        options = enumerate((field.options or {}).items(), 1)
        rendered["options"] = [{"id": id_, "order": number, "label": label} for number, (id_, label) in options]
    return rendered
