"""The data that flows through: a delivery in, an event, a conversation, a verdict, an outcome.

All but `Delivery`, `Request` and `Response`, which never leave the process, are pydantic models of plain JSON. What a
customer wrote, or what a model wrote about it, is kept out of every `repr`, so that logging an object is safe.
"""

from triage.models.conversation import Conversation, Customer, Event, Handshake, Id, Ignored, Message, Parsed, Role
from triage.models.http import Delivery, Headers, Request, Response, Token, WebhookResponse
from triage.models.jobs import Entry, Job, Ledger, State
from triage.models.outcome import Outcome, Status, Step, StepResult, Usage, Verdict

__all__ = [
    "Conversation",
    "Customer",
    "Delivery",
    "Entry",
    "Event",
    "Handshake",
    "Headers",
    "Id",
    "Ignored",
    "Job",
    "Ledger",
    "Message",
    "Outcome",
    "Parsed",
    "Request",
    "Response",
    "Role",
    "State",
    "Status",
    "Step",
    "StepResult",
    "Token",
    "Usage",
    "Verdict",
    "WebhookResponse",
]
