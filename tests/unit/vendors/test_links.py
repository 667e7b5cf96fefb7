"""Links to conversations in the web applications of the help desks."""

import json
from typing import Any

import pytest

from tests.helpers.desks import DESKS, Desk
from tests.helpers.events import build_event
from tests.helpers.routing import parse_event
from triage import Event
from triage.vendors.base import HelpDesk
from triage.vendors.links import build_link

LINKS = {
    "intercom": "https://app.intercom.com/a/apps/{account}/conversations/{id}",
    "zendesk": "https://{account}.zendesk.com/agent/tickets/{id}",
    "front": "https://app.frontapp.com/open/{id}",
    "crisp": "https://app.crisp.chat/website/{account}/inbox/{id}/",
    "helpscout": "https://secure.helpscout.net/conversation/{id}/",
}


def build(vendor: str, raw: dict[str, Any]) -> Event:
    return build_event(vendor=vendor).model_copy(update={"raw": json.dumps(raw).encode()})


@pytest.mark.parametrize("desk_type", DESKS.values(), ids=list(DESKS))
def test_the_conversation_of_a_webhook_has_a_link(desk_type: type[Desk]) -> None:
    desk = desk_type()
    event = parse_event(desk, desk.fake.customer_writes("Hello"))
    expected = LINKS[desk.name].format(account=event.account, id=event.conversation_id)
    assert (build_link(event) or "").startswith(expected)


@pytest.mark.parametrize(
    "address",
    [
        "https://app.intercom.com.example.com/a/apps/a/conversations/1",
        "https://example.com/intercom.com/",
        "http://app.intercom.com/a/apps/a/conversations/1",
        "https://app.intercom.com/a\x1b[2J",
        "https://app.intercom.com@example.com/",
        "https://app.intercom.com/" + "a" * 400,
        7,
        None,
    ],
)
def test_an_address_that_is_not_the_vendors_is_not_shown(address: object) -> None:
    raw = {"data": {"item": {"links": {"conversation_web": address}}}}
    assert build_link(build("intercom", raw)) is None


@pytest.mark.parametrize("raw", [{}, {"data": 1}, {"data": {"item": []}}])
def test_a_webhook_without_an_address_has_no_link(raw: dict[str, Any]) -> None:
    assert build_link(build("intercom", raw)) is None
    assert build_link(build("helpscout", raw)) is None


def test_another_vendor_has_no_link() -> None:
    assert build_link(build_event(vendor="other")) is None


def test_an_adapter_need_not_know_any_links() -> None:
    event = build_event()
    assert HelpDesk.link(event) is None
