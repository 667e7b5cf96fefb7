"""Fake help desks, a fake of Claude's API, signed webhooks and faults, for tests of your own setup."""

from importlib import import_module
from typing import TYPE_CHECKING

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
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

if not TYPE_CHECKING:  # otherwise type checkers would accept any name

    def __getattr__(name: str) -> object:
        """Import a name on first access, because pytest imports this package in every run, for its plugin."""
        if name not in _MODULE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
        globals()[name] = value
        return value
