"""The data that flows through the library: delivery, event, conversation, verdict, outcome.

Except for the HTTP messages, which never leave the process, they are all pydantic models that can be stored as JSON.
Their `repr()` never contains text by a customer, or by a model about a customer, so they are safe to log.
"""

from triage.models.conversation import Conversation, Customer, Id, Message, Role
from triage.models.event import Event, Handshake, Ignored, Parsed
from triage.models.finding import Finding
from triage.models.health import BreakerHealth, WorkerHealth
from triage.models.http import Delivery, Headers, HealthResponse, Received, Request, Response, Token, WebhookResponse
from triage.models.jobs import Entry, Job, Ledger, State
from triage.models.outcome import Outcome, Performed, Rejection, RunContext, Status, Step, StepResult
from triage.models.verdict import FallbackReason, Usage, Verdict

__all__ = [
    "BreakerHealth",
    "Conversation",
    "Customer",
    "Delivery",
    "Entry",
    "Event",
    "FallbackReason",
    "Finding",
    "Handshake",
    "Headers",
    "HealthResponse",
    "Id",
    "Ignored",
    "Job",
    "Ledger",
    "Message",
    "Outcome",
    "Parsed",
    "Performed",
    "Received",
    "Rejection",
    "Request",
    "Response",
    "Role",
    "RunContext",
    "State",
    "Status",
    "Step",
    "StepResult",
    "Token",
    "Usage",
    "Verdict",
    "WebhookResponse",
    "WorkerHealth",
]
