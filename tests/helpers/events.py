"""Events for tests of the inboxes."""

from triage import Event
from triage.inbox.base import Inbox
from triage.models import Job

LEASE = 60.0


def build_event(number: int = 1, conversation: str = "1", customer: str = "mira", vendor: str = "intercom") -> Event:
    return Event.model_validate(
        {
            "owner": vendor,
            "vendor": vendor,
            "account": "a",
            "kind": "created",
            "conversation_id": conversation,
            "message_id": str(number),
            "key": f"{vendor}:a:{conversation}:{number}",
            "conversation": {"id": conversation, "customer": {"id": customer, "email": f"{customer}@example.com"}},
            "raw": {"text": "Größe 😀"},
        }
    )


def lease_one(inbox: Inbox) -> Job:
    """Lease the only event that is due."""
    (job,) = inbox.lease(10, LEASE)
    return job
