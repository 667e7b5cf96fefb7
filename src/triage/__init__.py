"""Receive help desk webhooks, classify customer messages with Claude, and route the conversations."""

from typing import TYPE_CHECKING

from triage.lazy import import_on_access

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

if not TYPE_CHECKING:  # otherwise type checkers would accept any name
    _import_name = import_on_access(__name__, _MODULES)

    def __getattr__(name: str) -> object:
        """Import a name on first access, because pytest imports this package in every run, for its plugin."""
        if name == "__version__":
            from importlib.metadata import version

            return version("chat-triage")
        return _import_name(name)


def __dir__() -> list[str]:
    """Return all names, so that editors and interactive shells suggest them."""
    return sorted({*globals(), *__all__})
