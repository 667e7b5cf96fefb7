"""Each line of the log names the help desk's own id of the delivery, with which an operator can search its log."""

import json

from tests.helpers.api import Api
from tests.helpers.desks import Desk
from tests.helpers.routing import handle
from triage.models import Delivery


def test_the_outcome_has_the_id_of_the_delivery(desk: Desk, api: Api) -> None:
    webhook = desk.fake.customer_writes("Hello")
    adapter = desk.adapter()
    conversation_id, event_id = adapter.identify(Delivery.create(webhook.body, webhook.headers, 0.0))
    assert conversation_id == webhook.conversation_id
    assert (event_id is None) == (not adapter.event_paths), "deliveries of Help Scout and Crisp have no id"
    _, outcome = handle(api, desk.router(), webhook)
    assert (outcome.conversation_id, outcome.event_id) == (conversation_id, event_id)
    _, duplicate = handle(api, desk.router(), webhook)
    assert (duplicate.conversation_id, duplicate.event_id) == (conversation_id, event_id)


def test_the_body_is_not_parsed_again(desk: Desk) -> None:
    webhook = desk.fake.customer_writes("Hello")
    delivery = Delivery.create(b"not JSON", webhook.headers, 0.0)
    parsed = desk.adapter().identify(delivery, json.loads(webhook.body))
    assert parsed == desk.adapter().identify(Delivery.create(webhook.body, webhook.headers, 0.0))
