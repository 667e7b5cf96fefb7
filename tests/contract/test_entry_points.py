"""Whatever is sent to an address of ours, it gets an answer: through the whole of both doors, with any headers.

`vendors/test_contract.py` proves the same of the pure half, `Router.receive`; `fuzz/doors.py` goes on for longer.
"""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.api import Api
from tests.helpers.desks import DESKS, Desk
from tests.helpers.json_paths import parts
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
STANDING: dict[str, tuple[Desk, Router]] = {}

doors = st.sampled_from([Api("sync"), Api("async")])
vendors = st.sampled_from(sorted(DESKS))
texts = st.text(max_size=60)
pairs = st.lists(st.tuples(st.sampled_from(NAMES) | texts, texts), max_size=4)
raw_pairs = st.lists(st.tuples(st.binary(max_size=30), st.binary(max_size=60)), max_size=4)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=8)


def standing(name: str) -> tuple[Desk, Router]:
    """A help desk and a Router that stand for all examples, as a server does."""
    if name not in STANDING:
        desk = DESKS[name]()
        STANDING[name] = desk, desk.router(vendor=desk.adapter(**desk.everything))
    return STANDING[name]


@st.composite
def genuine_but_changed(draw: st.DrawFn, name: str) -> bytes:
    """A genuine delivery with some of its values replaced."""
    payload: Any = json.loads(DESKS[name]().fake.customer_writes("Hello", subject="Hi", attachments=["a.pdf"]).body)
    for _ in range(draw(st.integers(0, 2))):
        *way, last = draw(st.sampled_from(list(parts(payload))))
        place = payload
        for part in way:
            place = place[part]
        place[last] = draw(values)
    return json.dumps(payload).encode()


def bodies(name: str) -> st.SearchStrategy[bytes]:
    return st.binary() | values.map(lambda value: json.dumps(value).encode()) | genuine_but_changed(name)


@settings(deadline=None)
@given(doors, vendors, pairs | raw_pairs, st.data())
def test_what_is_not_signed_is_refused_and_nobody_is_called(
    api: Api, name: str, headers: Any, data: st.DataObject
) -> None:
    desk, router = standing(name)
    calls = len(desk.fake.calls)
    answer = api.handle(router, data.draw(bodies(name)), headers)
    assert (answer.status_code, json.loads(answer.body)) == (401, {"status": "refused"})
    assert len(desk.fake.calls) == calls


@settings(deadline=None)
@given(doors, vendors, pairs, st.data())
def test_what_is_signed_is_answered_200_whatever_it_holds(
    api: Api, name: str, headers: list[tuple[str, str]], data: st.DataObject
) -> None:
    desk, router = standing(name)
    body = data.draw(bodies(name))
    signed = list(desk.sign(body).items())
    taken = {name.lower() for name, _ in signed}
    answer = api.handle(router, body, signed + [pair for pair in headers if pair[0].lower() not in taken])
    assert answer.status_code == 200
    assert answer.outcome is not None
    assert json.loads(answer.body) == {"status": answer.outcome.status} or answer.outcome.status == "ignored"


@settings(deadline=None)
@given(doors, vendors, st.binary(min_size=65, max_size=200), st.booleans())
def test_what_is_too_large_is_answered_413_signed_or_not(api: Api, name: str, body: bytes, signed: bool) -> None:
    desk, _ = standing(name)
    with desk.router(max_body=64) as router:
        answer = api.handle(router, body, desk.sign(body) if signed else {})
    assert answer.status_code == 413
