"""Deliver webhooks through either entry point, and perform fixed actions whatever the message contains."""

from typing import Any

from tests.helpers.api import Api
from tests.helpers.desks import Desk
from triage import Action, Bucket, Outcome, Router, WebhookResponse
from triage.models import Conversation, Delivery, Event, Parsed
from triage.testing import Webhook


def only(*actions: Action) -> list[Bucket]:
    """Return a policy that performs the same actions for every message."""
    return [Bucket("general", "Everything", actions)]


def handle(api: Api, router: Router, webhook: Webhook) -> tuple[WebhookResponse, Outcome]:
    """Deliver a webhook and return the response and its outcome."""
    response = api.handle(router, webhook.body, webhook.headers)
    assert response.outcome is not None
    return response, response.outcome


def route(desk: Desk, api: Api, webhook: Webhook, *actions: Action, **options: Any) -> Outcome:
    """Deliver a webhook to a Router that performs `actions`, and return the outcome."""
    return handle(api, desk.router(buckets=only(*actions), **options), webhook)[1]


def collect_classified_texts(desk: Desk, api: Api, webhook: Webhook, **options: Any) -> list[str]:
    """Deliver a webhook and return the texts that the classifier received."""
    texts: list[str] = []

    def classify(text: str) -> str:
        texts.append(text)
        return "general"

    route(desk, api, webhook, classifier=classify, **options)
    return texts


def receive(router: Router, desk: Desk) -> Event:
    """Receive a webhook about a new message, and return its event."""
    webhook = desk.fake.customer_writes("Hello")
    event = router.receive(webhook.body, webhook.headers).event
    assert event is not None
    return event


def parse(desk: Desk, webhook: Webhook, **settings: Any) -> Parsed:
    """Verify and parse a webhook with an adapter that has these settings."""
    adapter = desk.adapter(**settings)
    delivery = Delivery.create(webhook.body, webhook.headers, desk.clock())
    adapter.verify(delivery)
    parsed: Parsed = adapter.parse(delivery)
    return parsed


def parse_event(desk: Desk, webhook: Webhook, **settings: Any) -> Event:
    """Do the same as `parse` for a webhook that contains an event."""
    parsed = parse(desk, webhook, **settings)
    assert isinstance(parsed, Event)
    return parsed


def read_delivery(desk: Desk, webhook: Webhook, **settings: Any) -> Conversation:
    """Return the conversation that a webhook with an event shows."""
    conversation: Conversation = desk.adapter(**settings).read_delivery(parse_event(desk, webhook, **settings))
    return conversation


def step_results(outcome: Outcome) -> list[str]:
    """Return each step of an outcome with its status, such as `"reply:done"`."""
    return [str(step) for step in outcome.steps]
