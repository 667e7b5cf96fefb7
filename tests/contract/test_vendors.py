"""Our five adapters under the contract that every adapter must pass, and under random input."""

import json
from typing import Any

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.helpers.api import Api
from tests.helpers.desks import BASE_URL, DESKS, Desk
from tests.helpers.json_paths import iterate_paths
from tests.helpers.routing import parse_event, read_delivery
from triage.models import Request, Response
from triage.testing import RateLimit, create_webhook
from triage.testing.contract import VendorContract
from triage.testing.webhooks import WebhookKind

_scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
_values = st.recursive(_scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10)
_json = _values.map(lambda value: json.dumps(value).encode())

ROUTERS = {name: desk().router() for name, desk in DESKS.items()}


class TestSync(VendorContract):
    pass


class TestAsync(VendorContract):
    entry_point = "async"


# Random input


@settings(deadline=None)
@given(st.sampled_from(sorted(DESKS)), st.binary(), st.dictionaries(st.text(), st.text()))
@example(name="intercom", body=b"", headers={"X-Hub-Signature": "sha1=0f5518288d45121dbde717201948decab74ccd9b"})
def test_random_headers_are_never_accepted(name: str, body: bytes, headers: dict[str, str]) -> None:
    assert ROUTERS[name].receive(body, headers).status_code == 401


@settings(deadline=None)
@given(st.sampled_from(sorted(DESKS)), st.data())
def test_random_signed_bodies_never_raise(name: str, data: st.DataObject) -> None:
    """Random bytes, random JSON, and genuine payloads with a part of them replaced."""
    desk = DESKS[name]()
    body = data.draw(st.binary() | _json | _mutate(json.loads(desk.fake.customer_writes("Hello").body)))
    response = ROUTERS[name].receive(body, desk.sign(body))
    assert response.status_code == 200
    assert response.event is not None or response.outcome is not None


@settings(deadline=None)
@given(
    st.sampled_from(sorted(DESKS)),
    st.integers(300, 599),
    st.binary() | _json,
    st.dictionaries(st.sampled_from(["retry-after", "x-ratelimit-reset", "ratelimit-reset", "location"]), st.text()),
)
def test_random_error_responses_never_raise(name: str, status: int, body: bytes, headers: dict[str, str]) -> None:
    error = DESKS[name]().adapter().error(Request("GET", BASE_URL), Response(status, headers, body), 0.0)
    assert error.status == status
    assert error.retry_after is None or 0 <= error.retry_after < float("inf")


def _mutate(payload: object) -> st.SearchStrategy[bytes]:
    """Replace one of the values of `payload` by any other."""
    paths = list(iterate_paths(payload))

    def replace(choice: tuple[tuple[str | int, ...], object]) -> bytes:
        path, value = choice
        changed = json.loads(json.dumps(payload))
        parent = changed
        for part in path[:-1]:
            parent = parent[part]
        parent[path[-1]] = value
        return json.dumps(changed).encode()

    return st.tuples(st.sampled_from(paths), _values).map(replace)


LIMIT_HEADERS = [
    "retry-after",
    "x-ratelimit-retry-after",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "ratelimit-remaining",
    "ratelimit-reset",
    "zendesk-ratelimit-tickets-index",
]
LIMIT_VALUES = st.sampled_from(["0", "-1", "nan", "inf", "-inf", "1e400", "", "a", "0x1", "remaining=0; resets=41"])


@given(
    headers=st.dictionaries(
        st.sampled_from(LIMIT_HEADERS), LIMIT_VALUES | st.text("0123456789+-.:;=e anf", max_size=20)
    ),
    status=st.sampled_from([200, 404, 420, 429, 503]),
)
def test_random_limit_headers_never_give_an_invalid_pause(headers: dict[str, str], status: int) -> None:
    for create in DESKS.values():
        pause = create().adapter().pause(Response(status, headers, b""), 1_795_510_800.0)
        assert pause is None or 0 <= pause < float("inf")


# Against the fakes


def test_a_webhook_holds_subject_and_kind(desk: Desk) -> None:
    webhook = desk.fake.customer_writes("Where is my parcel?", name="Mira", subject="Parcel")
    assert parse_event(desk, webhook).kind == "created"
    subject = "Parcel\n\n" if desk.webhook_has_subject else ""
    assert read_delivery(desk, webhook).text == f"{subject}Where is my parcel?"


@pytest.mark.parametrize("kind", ["created", "replied", "agent_replied", "assigned", "bot", "ping"])
def test_only_messages_of_customers_become_events(desk: Desk, api: Api, kind: WebhookKind) -> None:
    """The adapter is configured to act on every message that it supports."""
    workspace: dict[str, Any] = {"secret": desk.secret, "clock": desk.clock}
    webhook = create_webhook(desk.name, kind, **workspace)  # type: ignore[arg-type]
    router = desk.router(vendor=desk.adapter(**desk.everything), dry_run=True)
    received = router.receive(webhook.body, webhook.headers)
    assert received.status_code == 200
    assert (received.event is not None) == (kind in ("created", "replied"))
    if received.event is None:
        assert received.outcome is not None
        assert received.outcome.status == "ignored"


def test_the_pause_follows_the_rate_limit_headers(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The response may come before the limit is exhausted, when it is exhausted, or reject the call."""
    monkeypatch.setattr(desk.fake, "admit", lambda call: None)  # the fake would answer 401 otherwise
    desk.fake.rate_limit = RateLimit(2, 60)
    adapter = desk.adapter()
    http = httpx.Client(transport=desk.fake.transport)
    responses = [http.get("https://desk.example/nothing") for _ in range(3)]
    available, exhausted, rejected = (
        adapter.pause(Response(response.status_code, dict(response.headers), response.content), desk.clock())
        for response in responses
    )
    left = 60 - desk.clock() % 60
    assert available is None
    # Help Scout says when the minute ends only in a rejection, Crisp never.
    assert exhausted == (None if desk.name in ("crisp", "helpscout") else pytest.approx(left, abs=1))
    assert rejected == (None if desk.name == "crisp" else pytest.approx(left, abs=1))
