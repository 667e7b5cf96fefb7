"""Doing certain actions with a message, whatever it says: what the vendors' own tests need."""

from typing import Any

from conftest import Door
from desks import Desk
from triage import Action, Bucket, Outcome
from triage.testing import Webhook


def route(desk: Desk, door: Door, webhook: Webhook, *actions: Action, **options: Any) -> Outcome:
    """Do `actions` with a message."""
    router = desk.router(buckets=[Bucket("general", "Everything", actions)], **options)
    outcome = door.handle(router, webhook.body, webhook.headers).outcome
    assert outcome is not None
    return outcome


def classified(desk: Desk, door: Door, webhook: Webhook, **options: Any) -> list[str]:
    """What the classifier got to see of a message."""
    seen: list[str] = []

    def classify(text: str) -> str:
        seen.append(text)
        return "general"

    route(desk, door, webhook, classifier=classify, **options)
    return seen


def said(outcome: Outcome) -> list[str]:
    """What became of each step."""
    return [str(step) for step in outcome.steps]
