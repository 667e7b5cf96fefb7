"""Every request gets an answer: through the complete sync and async entry points, with any body and any headers.

`test_vendors.py` checks the same of `Router.receive`, which does no I/O; `make fuzz` runs for longer.
"""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.api import Api
from tests.helpers.desks import DESKS, Desk
from tests.helpers.json_paths import iterate_paths
from triage import Router

NAMES = [
    "x-hub-signature",
    "X-HelpScout-Signature",
    "X-HelpScout-Event",
    "X-Zendesk-Webhook-Signature",
    "X-Zendesk-Webhook-Signature-Timestamp",
    "X-Front-Signature",
    "X-Front-Request-Timestamp",
    "X-Crisp-Signature",
    "X-Crisp-Request-Timestamp",
    "Content-Length",
]
ROUTERS: dict[str, tuple[Desk, Router]] = {}

apis = st.sampled_from([Api("sync"), Api("async")])
vendors = st.sampled_from(sorted(DESKS))
texts = st.text(max_size=60)
pairs = st.lists(st.tuples(st.sampled_from(NAMES) | texts, texts), max_size=4)
raw_pairs = st.lists(st.tuples(st.binary(max_size=30), st.binary(max_size=60)), max_size=4)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=8)


def get_router(name: str) -> tuple[Desk, Router]:
    """Return a help desk and a Router that all examples share, as all requests to a server do."""
    if name not in ROUTERS:
        desk = DESKS[name]()
        ROUTERS[name] = desk, desk.router(vendor=desk.adapter(**desk.everything))
    return ROUTERS[name]


@st.composite
def change_genuine(draw: st.DrawFn, name: str) -> bytes:
    """Return a genuine delivery with some of its values replaced."""
    payload: Any = json.loads(DESKS[name]().fake.customer_writes("Hello", subject="Hi", attachments=["a.pdf"]).body)
    for _ in range(draw(st.integers(0, 2))):
        *parents, last = draw(st.sampled_from(list(iterate_paths(payload))))
        place = payload
        for part in parents:
            place = place[part]
        place[last] = draw(values)
    return json.dumps(payload).encode()


def bodies(name: str) -> st.SearchStrategy[bytes]:
    return st.binary() | values.map(lambda value: json.dumps(value).encode()) | change_genuine(name)


@settings(deadline=None)
@given(apis, vendors, pairs | raw_pairs, st.data())
def test_an_unsigned_request_is_rejected_without_any_call(
    api: Api, name: str, headers: Any, data: st.DataObject
) -> None:
    desk, router = get_router(name)
    calls = len(desk.fake.calls)
    answer = api.handle(router, data.draw(bodies(name)), headers)
    assert (answer.status_code, json.loads(answer.body)) == (401, {"status": "refused"})
    assert len(desk.fake.calls) == calls


@settings(deadline=None)
@given(apis, vendors, pairs, st.data())
def test_a_signed_request_is_answered_200_or_asked_for_again_whatever_it_contains(
    api: Api, name: str, headers: list[tuple[str, str]], data: st.DataObject
) -> None:
    desk, router = get_router(name)
    body = data.draw(bodies(name))
    signed = list(desk.sign(body).items())
    signed_names = {name.lower() for name, _ in signed}
    answer = api.handle(router, body, signed + [pair for pair in headers if pair[0].lower() not in signed_names])
    # A conversation that the help desk does not know yet may be there in a moment.
    assert answer.status_code == (503 if answer.outcome.retryable else 200)
    assert json.loads(answer.body) == {"status": answer.outcome.status} or answer.outcome.status == "ignored"


@settings(deadline=None)
@given(apis, vendors, st.binary(min_size=65, max_size=200), st.booleans())
def test_a_request_that_is_too_large_is_answered_413(api: Api, name: str, body: bytes, signed: bool) -> None:
    desk, _ = get_router(name)
    with desk.router(max_body=64) as router:
        answer = api.handle(router, body, desk.sign(body) if signed else {})
    assert answer.status_code == 413
