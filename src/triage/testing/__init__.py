"""Fake help desks, a fake of Claude's API, signed webhooks and faults, for tests of your own setup."""

from typing import TYPE_CHECKING

from triage.lazy import import_on_access

if TYPE_CHECKING:
    from triage.testing.claude import FakeClaude
    from triage.testing.desks.base import FakeHelpDesk, FakeOptions
    from triage.testing.desks.crisp import FakeCrisp
    from triage.testing.desks.front import FakeFront
    from triage.testing.desks.helpscout import FakeHelpScout
    from triage.testing.desks.intercom import FakeIntercom
    from triage.testing.desks.markup import to_html, to_text
    from triage.testing.desks.records import Call, FakeConversation, FakeMessage, Person, RateLimit, Refusal, Webhook
    from triage.testing.desks.zendesk import FakeZendesk
    from triage.testing.evaluations import TriageEval
    from triage.testing.faults import (
        FaultyInbox,
        InboxCall,
        InboxFault,
        SkewedClock,
        exhaust_rate_limit,
        shuffle_deliveries,
    )
    from triage.testing.webhooks import VendorName, WebhookKind, create_webhook

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
    "FakeOptions",
    "FakeZendesk",
    "FaultyInbox",
    "InboxCall",
    "InboxFault",
    "Person",
    "RateLimit",
    "Refusal",
    "SkewedClock",
    "TriageEval",
    "VendorName",
    "Webhook",
    "WebhookKind",
    "create_webhook",
    "exhaust_rate_limit",
    "shuffle_deliveries",
    "to_html",
    "to_text",
]

_MODULES = {
    "claude": ("FakeClaude",),
    "desks.base": ("FakeHelpDesk", "FakeOptions"),
    "desks.crisp": ("FakeCrisp",),
    "desks.front": ("FakeFront",),
    "desks.helpscout": ("FakeHelpScout",),
    "desks.intercom": ("FakeIntercom",),
    "desks.markup": ("to_html", "to_text"),
    "desks.records": ("Call", "FakeConversation", "FakeMessage", "Person", "RateLimit", "Refusal", "Webhook"),
    "desks.zendesk": ("FakeZendesk",),
    "evaluations": ("TriageEval",),
    "faults": ("FaultyInbox", "InboxCall", "InboxFault", "SkewedClock", "exhaust_rate_limit", "shuffle_deliveries"),
    "webhooks": ("VendorName", "WebhookKind", "create_webhook"),
}

if not TYPE_CHECKING:  # otherwise type checkers would accept any name
    # On first access, because pytest imports this package in every run, for its plugin.
    __getattr__ = import_on_access(__name__, _MODULES)
