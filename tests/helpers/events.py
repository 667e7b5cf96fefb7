"""Events for tests of the inboxes."""

import threading
from collections.abc import Generator
from contextlib import contextmanager

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
            "customer": {"id": customer, "email": f"{customer}@example.com"},
            "raw": '{"text": "Größe 😀"}'.encode(),
        }
    )


def lease_one(inbox: Inbox) -> Job:
    """Lease the only event that is due."""
    (job,) = inbox.lease(10, LEASE)
    return job


@contextmanager
def used_by_threads(inbox: Inbox) -> Generator[None]:
    """Let three threads use the inbox without a pause, so that a fork may happen while one holds a lock."""
    stopping = threading.Event()

    def count_until_stopped() -> None:
        while not stopping.is_set():
            inbox.count_states()

    threads = [threading.Thread(target=count_until_stopped) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stopping.set()
        for thread in threads:
            thread.join()
