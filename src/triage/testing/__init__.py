"""Fakes of the help desks and of Claude, signed webhooks and faults, for tests of what you build."""

from triage.testing._fake import Call, FakeConversation, FakeHelpDesk, FakeMessage, Person, RateLimit, Webhook
from triage.testing.claude import FakeClaude
from triage.testing.crisp import FakeCrisp
from triage.testing.faults import FaultyInbox, Skewed, deliveries, storm
from triage.testing.front import FakeFront
from triage.testing.helpscout import FakeHelpScout
from triage.testing.intercom import FakeIntercom
from triage.testing.webhooks import signed_webhook
from triage.testing.zendesk import FakeZendesk

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
    "Skewed",
    "Webhook",
    "deliveries",
    "signed_webhook",
    "storm",
]
