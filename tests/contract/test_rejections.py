"""The log says why a delivery was refused, so that an operator can correct the cause."""

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.helpers.api import Api
from tests.helpers.desks import CrispDesk, Desk, FrontDesk, HelpScoutDesk, IntercomDesk, ZendeskDesk

Change = Callable[[bytes, Mapping[str, str]], tuple[bytes, Mapping[str, object]]]

CHANGES: dict[str, tuple[Change, str]] = {
    "the framework reads no body": (lambda body, headers: (b"", headers), "the body is empty"),
    "the framework reads a line break": (lambda body, headers: (b"\r\n", headers), "the body is empty"),
    "the gateway encodes the body": (lambda body, headers: (base64.b64encode(body), headers), "the body is base64"),
    "the gateway passes lists": (lambda body, headers: (body, {n: [v] for n, v in headers.items()}), "is a list"),
    "the proxy repeats headers": (
        lambda body, headers: (body, {name: f"{value}, {value}" for name, value in headers.items()}),
        " is repeated; a proxy must pass it only once",
    ),
    "the headers are those of WSGI": (
        lambda body, headers: (body, {f"HTTP_{name.upper().replace('-', '_')}": v for name, v in headers.items()}),
        "are those of a WSGI environment (HTTP_X_",
    ),
    "there are no headers": (lambda body, headers: (body, {}), "is absent: there are no headers at all"),
    "the body is written anew": (
        lambda body, headers: (json.dumps(json.loads(body)).encode(), headers),
        "does not fit the ",
    ),
}
SENDERS: dict[str, Callable[[], Desk]] = {
    "Intercom": IntercomDesk,
    "Zendesk": ZendeskDesk,
    "Front": FrontDesk,
    "Help Scout": HelpScoutDesk,
    "Crisp": CrispDesk,
}


@pytest.mark.parametrize("case", CHANGES)
def test_a_changed_delivery_is_refused_with_its_cause(
    desk: Desk, api: Api, case: str, caplog: pytest.LogCaptureFixture
) -> None:
    change, reason = CHANGES[case]
    webhook = desk.fake.customer_writes("My card is 4711")
    body, headers = change(webhook.body, webhook.headers)
    response = api.handle(desk.router(), body, headers)  # type: ignore[arg-type]  # a mistake of the caller
    assert (response.status_code, response.outcome.status) == (401, "refused")
    assert reason in response.outcome.reason
    assert response.outcome.reason in caplog.text
    assert "4711" not in caplog.text


@pytest.mark.parametrize("seconds", [3600, -3600])
@pytest.mark.parametrize("desk", ["zendesk", "front", "crisp"], indirect=True)
def test_a_delivery_with_an_old_or_a_future_time_is_refused_with_its_cause(
    desk: Desk, api: Api, seconds: float, caplog: pytest.LogCaptureFixture
) -> None:
    webhook = desk.fake.customer_writes("Hello")
    desk.clock.now += seconds
    response = api.handle(desk.router(), webhook.body, webhook.headers)
    assert (response.status_code, response.outcome.status) == (401, "refused")
    direction = "before" if seconds > 0 else "after"
    assert f"is 3600 s {direction} our time, and 300 s are allowed" in caplog.text


@pytest.mark.parametrize("desk", ["zendesk", "crisp"], indirect=True)
@pytest.mark.parametrize(("value", "reason"), [("", " is absent, and X-"), (["1"], " is a list, not text")])
def test_a_time_that_is_absent_or_a_list_is_named(desk: Desk, value: object, reason: str) -> None:
    webhook = desk.fake.customer_writes("Hello")
    (stamp,) = (name for name in webhook.headers if name.lower().endswith("timestamp"))
    headers: dict[str, Any] = {**webhook.headers, stamp: value}
    outcome = desk.router().handle(webhook.body, headers).outcome
    assert (outcome.status, outcome.reason.startswith(f"{stamp}{reason}")) == ("refused", True), outcome.reason


def test_an_intact_delivery_of_a_lambda_function_is_accepted(desk: Desk, api: Api) -> None:
    webhook = desk.fake.customer_writes("Hello")
    event = {
        "headers": {name.lower(): value for name, value in webhook.headers.items()},
        "body": base64.b64encode(webhook.body).decode(),
        "isBase64Encoded": True,
    }
    body, headers = base64.b64decode(str(event["body"])), event["headers"]
    assert api.handle(desk.router(), body, headers).status_code == 200  # type: ignore[arg-type]


@pytest.mark.parametrize("sender", SENDERS)
def test_the_delivery_of_another_help_desk_is_named(desk: Desk, sender: str) -> None:
    make_sender = SENDERS[sender]
    webhook = make_sender().fake.customer_writes("Hello")
    outcome = desk.router().handle(webhook.body, webhook.headers).outcome
    is_own = type(desk) is make_sender
    assert (f"the delivery is signed by {sender}, with X-" in outcome.reason) is not is_own


def test_a_body_that_is_empty_or_base64_is_named_where_nothing_signs_it() -> None:
    desk = CrispDesk(hook="website")
    webhook = desk.fake.customer_writes("Hello")
    router = desk.router()
    for body, reason in ((b"", "the body is empty"), (base64.b64encode(webhook.body), "the body is base64")):
        outcome = router.handle(body, webhook.headers).outcome
        assert outcome.status == "malformed"
        assert outcome.reason.startswith(reason)
