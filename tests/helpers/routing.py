"""Deliveries through a api, and certain actions with a message, whatever it says."""

from typing import Any

from tests.helpers.api import Api
from tests.helpers.desks import Desk
from triage import Action, Bucket, Outcome, Router, WebhookResponse
from triage.testing import Webhook


def only(*actions: Action) -> list[Bucket]:
    """A policy that does the same with every message."""
    return [Bucket("general", "Everything", actions)]


def handle(api: Api, router: Router, webhook: Webhook) -> tuple[WebhookResponse, Outcome]:
    """Deliver a webhook."""
    answer = api.handle(router, webhook.body, webhook.headers)
    return answer, answer.outcome


def route(desk: Desk, api: Api, webhook: Webhook, *actions: Action, **options: Any) -> Outcome:
    """Do `actions` with a message."""
    return handle(api, desk.router(buckets=only(*actions), **options), webhook)[1]


def classified(desk: Desk, api: Api, webhook: Webhook, **options: Any) -> list[str]:
    """What the classifier got to see of a message."""
    seen: list[str] = []

    def classify(text: str) -> str:
        seen.append(text)
        return "general"

    route(desk, api, webhook, classifier=classify, **options)
    return seen


def said(outcome: Outcome) -> list[str]:
    """What became of each step."""
    return [str(step) for step in outcome.steps]
