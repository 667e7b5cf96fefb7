"""The help desks of the shared tests: the adapter, a fake of its API, and the differences between vendors."""

import html
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, ClassVar

import httpx

from tests.helpers.clock import Clock
from triage import (
    Assign,
    Buckets,
    Close,
    MarkSpam,
    Note,
    Reply,
    Router,
    SetFields,
    SetPriority,
    Snooze,
    Tag,
)
from triage.testing import FakeConversation, FakeHelpDesk, Webhook
from triage.testing.contract import NOW, Change, ContractDesk, Vector
from triage.testing.desks.markup import to_text
from triage.testing.desks.records import Refusal
from triage.vendors.base import Vendor

__all__ = ["BASE_URL", "NOW", "Clock", "Desk", "Vector", "by_name"]

BASE_URL = "http://desk.example.com"


def by_name(text: str) -> str:
    """Classify as the bucket that the customer names."""
    return next((name for name in ("urgent", "billing", "spam") if name in text.lower()), "general")


class Desk(ContractDesk):
    """A help desk with its stateful fake."""

    name: ClassVar[str]
    fake: FakeHelpDesk
    teams: ClassVar[Mapping[str, str]]
    """Team ids of the fake for urgent, billing and general."""
    read: ClassVar[str]
    """The call that reads a conversation, as `FakeHelpDesk.fail` names it."""
    reply: ClassVar[str]
    """The call that sends a reply."""
    note: ClassVar[str]
    """The call that adds a note."""
    webhook_has_subject: ClassVar[bool] = True
    """True if a webhook contains the conversation's subject."""
    everything: ClassVar[Mapping[str, Any]] = {}
    """Settings of an adapter that acts on every message of a customer."""
    human: ClassVar[str]
    """The id of a teammate other than the adapter's own."""
    field: ClassVar[str] = "x"
    """A custom field for text, as a policy names it."""
    field_id: ClassVar[str | None] = None
    """The field's name in the fake, if it differs."""

    def __init__(self) -> None:
        self.clock = Clock()

    @abstractmethod
    def sign(self, body: bytes, secret: str | None = None) -> dict[str, str]:
        """Return the headers of a genuine delivery; signed here, not by the code under test."""

    @abstractmethod
    def forgeries(self, body: bytes) -> Mapping[str, dict[str, str]]:
        """Return headers that must be rejected, by what makes them invalid."""

    @abstractmethod
    def ignored(self) -> Iterator[tuple[str, Webhook]]:
        """Yield genuine webhooks that need no action, with the reason that the outcome names."""

    @abstractmethod
    def malformed(self) -> Iterable[object]:
        """Return payloads that are JSON objects, but not as the vendor documents them."""

    @property
    def transport(self) -> Any:
        """The transport of the fake."""
        return self.fake.transport

    def now(self) -> float:
        """Return the time of the fake."""
        return self.clock()

    def settings(self) -> Mapping[str, Any]:
        """Return the settings of an adapter that calls the fake."""
        return self.fake.settings(BASE_URL)

    def write(self, text: str) -> Webhook:
        """Let a customer start a conversation."""
        return self.fake.customer_writes(text)

    def redeliver(self, webhook: Webhook) -> Webhook:
        """Let the fake deliver a webhook again."""
        return self.fake.redeliver(webhook)

    def replies(self, conversation_id: str) -> Sequence[str]:
        """Return the replies that the fake received."""
        return self.fake.replies(conversation_id)

    def notes(self, conversation_id: str) -> Sequence[str]:
        """Return the notes that the fake received."""
        return self.fake.notes(conversation_id)

    def assigned(self, conversation: FakeConversation) -> str | None:
        """Return the team that the conversation is assigned to."""
        return conversation.team

    def changes(self, conversation_id: str) -> Sequence[Change]:
        """Return a change for each supported action."""
        conversation = self.fake.conversations[conversation_id]
        field = self.field_id or self.field
        billing = self.teams["billing"]
        wakes_at = int(self.clock()) + 3600
        changes = [
            Change(Assign(team=billing), lambda: self.assigned(conversation), billing),
            Change(Assign(user=self.human), lambda: conversation.assignee, self.human),
            Change(Reply("Hi & bye"), lambda: _to_text(self.fake.replies(conversation.id)), "Hi & bye"),
            Change(Note("psst & pst"), lambda: _to_text(self.fake.notes(conversation.id)), "psst & pst"),
            Change(Tag("vip", "refund"), lambda: [name.lower() for name in conversation.tags], ["vip", "refund"]),
            Change(SetFields({self.field: "y"}), lambda: conversation.fields.get(field), "y"),
            Change(SetPriority("high"), lambda: conversation.priority, "high"),
            Change(Snooze(timedelta(hours=1)), lambda: conversation.snoozed_until, wakes_at),
            Change(Close(), lambda: conversation.state, "closed", frozenset({MarkSpam, Snooze})),
            Change(MarkSpam(), lambda: conversation.state, "closed", frozenset({Snooze, Tag})),
        ]
        return [change for change in changes if type(change.action) in self.vendor.can]

    def errors(self) -> Iterable[tuple[int, object]]:
        """Return an error response for each status that the vendor documents."""
        for status, code in self.fake.error_codes.items():
            yield status, self.fake.build_error(Refusal(status, code, "The customer wrote: 4711"))

    def router(self, **overrides: Any) -> Router:
        """Create a Router of this adapter, without a network."""
        options: dict[str, Any] = {
            "buckets": Buckets.default(dict(self.teams)),
            "classifier": by_name,
            "http": httpx.Client(transport=self.fake.transport),
            "async_http": httpx.AsyncClient(transport=self.fake.transport),
            "clock": self.clock,
        }
        vendor: Vendor = overrides.pop("vendor", None) or self.adapter()
        return Router(vendor, **(options | overrides))


def _to_text(messages: list[str]) -> str:
    text = "".join(messages)
    return to_text(text) if "<" in text else html.unescape(text)
