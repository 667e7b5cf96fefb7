"""Receive help desk webhooks, classify customer messages with Claude, and route the conversations."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from triage.actions import Action, Assign, Close, MarkSpam, Note, Reply, Run, SetFields, SetPriority, Snooze, Tag
    from triage.errors import (
        ClassifierError,
        ConfigurationError,
        InboxError,
        InvalidSignature,
        MalformedPayload,
        TriageError,
        VendorError,
    )
    from triage.limits import Limits
    from triage.models import (
        Conversation,
        Customer,
        Event,
        FallbackReason,
        HealthResponse,
        Message,
        Outcome,
        Received,
        RunContext,
        Step,
        StepResult,
        Usage,
        Verdict,
        WebhookResponse,
    )
    from triage.policy import Bucket, Buckets
    from triage.router import Router
    from triage.worker import Worker

__all__ = [
    "Action",
    "Assign",
    "Bucket",
    "Buckets",
    "ClassifierError",
    "Close",
    "ConfigurationError",
    "Conversation",
    "Customer",
    "Event",
    "FallbackReason",
    "HealthResponse",
    "InboxError",
    "InvalidSignature",
    "Limits",
    "MalformedPayload",
    "MarkSpam",
    "Message",
    "Note",
    "Outcome",
    "Received",
    "Reply",
    "Router",
    "Run",
    "RunContext",
    "SetFields",
    "SetPriority",
    "Snooze",
    "Step",
    "StepResult",
    "Tag",
    "TriageError",
    "Usage",
    "VendorError",
    "Verdict",
    "WebhookResponse",
    "Worker",
]

__version__: str

_MODULES = {
    "actions": (
        "Action",
        "Assign",
        "Close",
        "MarkSpam",
        "Note",
        "Reply",
        "Run",
        "SetFields",
        "SetPriority",
        "Snooze",
        "Tag",
    ),
    "errors": (
        "ClassifierError",
        "ConfigurationError",
        "InboxError",
        "InvalidSignature",
        "MalformedPayload",
        "TriageError",
        "VendorError",
    ),
    "limits": ("Limits",),
    "models": (
        "Conversation",
        "Customer",
        "Event",
        "FallbackReason",
        "HealthResponse",
        "Message",
        "Outcome",
        "Received",
        "RunContext",
        "Step",
        "StepResult",
        "Usage",
        "Verdict",
        "WebhookResponse",
    ),
    "policy": ("Bucket", "Buckets"),
    "router": ("Router",),
    "worker": ("Worker",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

if not TYPE_CHECKING:  # otherwise type checkers would accept any name

    def __getattr__(name: str) -> object:
        """Import a name on first access, because pytest imports this package in every run, for its plugin."""
        if name == "__version__":
            from importlib.metadata import version

            return version("chat-triage")
        if name not in _MODULE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    """Return all names, so that editors and interactive shells suggest them."""
    return sorted({*globals(), *__all__})
