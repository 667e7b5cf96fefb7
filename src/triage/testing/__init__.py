"""Fakes of the help desks and of Claude, signed webhooks and faults, for tests of what you build."""

from triage.testing.claude import FakeClaude
from triage.testing.desks.base import Call, FakeConversation, FakeHelpDesk, FakeMessage, Person, RateLimit, Webhook
from triage.testing.desks.crisp import FakeCrisp
from triage.testing.desks.front import FakeFront
from triage.testing.desks.helpscout import FakeHelpScout
from triage.testing.desks.intercom import FakeIntercom
from triage.testing.desks.zendesk import FakeZendesk
from triage.testing.faults import FaultyInbox, SkewedClock, exhaust_rate_limit, shuffle_deliveries
from triage.testing.webhooks import create_webhook

__all__ = [
    "Call",
    "FakeClaude",
    "FakeConversation",
    "FakeCrisp",
    "FakeFront",
    "FakeHelpDesk",
    "FakeHelpScout",
    "FakeIntercom",
    "FakeMessage",
    "FakeZendesk",
    "FaultyInbox",
    "Person",
    "RateLimit",
    "SkewedClock",
    "Webhook",
    "create_webhook",
    "exhaust_rate_limit",
    "shuffle_deliveries",
]
