"""Receive help desk webhooks, classify customer messages with Claude, and route the conversations."""

from typing import TYPE_CHECKING

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

if not TYPE_CHECKING:  # otherwise type checkers would accept any name

    def __getattr__(name: str) -> str:
        """Read the version on first access, because that requires a search of the file system."""
        if name != "__version__":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib.metadata import version

        return version("chat-triage")
