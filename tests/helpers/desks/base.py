"""What the shared cases need of every help desk: an adapter beside its fake, and what is particular to it."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import httpx

from triage import Router, default_buckets
from triage.testing import Webhook
from triage.testing.desks.base import FakeConversation, FakeHelpDesk
from triage.vendors.base import Vendor

BASE_URL = "http://desk.example.com"
NOW = 1795510800.0  # 2026-11-24 09:00 UTC


@dataclass(frozen=True)
class Vector:
    """A known signature: made, or refused, by nobody's code here."""

    secret: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    at: float = NOW
    """When it came; seconds since the epoch."""


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


def by_name(text: str) -> str:
    """Classify: the bucket that the customer names."""
    return next((name for name in ("urgent", "billing", "spam") if name in text.lower()), "general")


class Desk(ABC):
    """A vendor's adapter and fake, ready to be used together."""

    name: ClassVar[str]
    fake: FakeHelpDesk
    secret: ClassVar[str] = "triage-test-secret"
    teams: ClassVar[Mapping[str, str]]
    """Team ids of the fake for urgent, billing and general."""
    read: ClassVar[str]
    """The call that reads a conversation, as `FakeHelpDesk.fail` names it."""
    reply: ClassVar[str]
    """The call that replies."""
    note: ClassVar[str]
    """The call that leaves a note."""
    queues: ClassVar[bool] = False
    """True if a reply that is not there may still come."""
    tells_subject: ClassVar[bool] = True
    """True if a webhook holds the conversation's subject."""
    everything: ClassVar[Mapping[str, Any]] = {}
    """Settings of an adapter that acts upon every message of a customer."""
    human: ClassVar[str]
    """The id of a teammate who is not ours."""
    field: ClassVar[str] = "x"
    """A custom field for text, as a policy names it."""
    field_id: ClassVar[str | None] = None
    """The same as the fake names it, where that is another name."""

    def __init__(self) -> None:
        self.clock = Clock()

    @abstractmethod
    def adapter(self, **overrides: Any) -> Vendor:
        """An adapter that calls the fake."""

    @abstractmethod
    def sign(self, body: bytes, secret: str | None = None) -> dict[str, str]:
        """The headers of a genuine delivery; signed here, not by the code under test."""

    @abstractmethod
    def forgeries(self, body: bytes) -> Mapping[str, dict[str, str]]:
        """Headers that must be refused, by what is wrong with them."""

    @abstractmethod
    def ignored(self) -> Iterator[tuple[str, Webhook]]:
        """Genuine deliveries in which there is nothing to do, with the reason that is given."""

    @abstractmethod
    def malformed(self) -> Iterable[object]:
        """Payloads that are JSON objects, but not as the vendor documents them."""

    def assigned(self, conversation: FakeConversation) -> str | None:
        """The team that has the conversation."""
        return conversation.team

    def vectors(self) -> Sequence[Vector]:
        """Known good signatures."""
        return ()

    def router(self, **overrides: Any) -> Router:
        """A Router of this adapter, without a network."""
        options: dict[str, Any] = {
            "buckets": default_buckets(dict(self.teams)),
            "classifier": by_name,
            "http": httpx.Client(transport=self.fake.transport),
            "async_http": httpx.AsyncClient(transport=self.fake.transport),
            "clock": self.clock,
        }
        vendor = overrides.pop("vendor", None) or self.adapter()
        return Router(vendor, **(options | overrides))
