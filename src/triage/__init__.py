"""Receive help-desk webhooks, classify customer messages with Claude, route the conversation."""

from triage.actions import Action, Assign, Close, MarkSpam, Note, Reply, SetFields, SetPriority, Snooze, Tag
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
    Message,
    Outcome,
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
    "InboxError",
    "InvalidSignature",
    "Limits",
    "MalformedPayload",
    "MarkSpam",
    "Message",
    "Note",
    "Outcome",
    "Reply",
    "Router",
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
