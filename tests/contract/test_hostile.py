"""Whatever a delivery, a response or an error of a vendor contains, nothing raises and none of it is logged.

Each part of a genuine delivery or response is replaced by each extreme value in turn.
"""

import json
import logging
import random
from typing import Any

import httpx
import pytest

from tests.helpers.api import Api
from tests.helpers.desks import BASE_URL, DESKS, Desk
from tests.helpers.hostile import EXTREMES, HEADERS, replace_part
from tests.helpers.json_paths import iterate_paths
from triage import Event, Router
from triage.models import Request, Response

SECRET = "my-secret-4711"


def test_no_delivery_raises_an_error(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    router = desk.router(vendor=desk.adapter(**desk.everything))
    first = desk.fake.customer_writes(SECRET, attachments=["a.pdf"], subject=SECRET, name=SECRET)
    reply = desk.fake.customer_writes(SECRET, conversation=first.conversation_id)
    events = 0
    for webhook in (first, reply):
        shown = json.loads(webhook.body)
        # A delivery need not show its message. Then something else identifies it.
        for payload in (shown, empty_lists(shown)):
            for path in iterate_paths(payload):
                for raw in EXTREMES:
                    body = replace_part(payload, path, raw)
                    answer = router.receive(body, {**webhook.headers, **desk.sign(body)})
                    assert answer.status_code == 200, (path, raw[:20])
                    if answer.event is not None:
                        events += 1
                        # The event may travel through a queue as JSON.
                        assert Event.model_validate_json(answer.event.model_dump_json()).key == answer.event.key
                        assert SECRET not in repr(answer.event)
    assert events > 100
    assert SECRET not in caplog.text
    assert "x" * 100 not in caplog.text


def empty_lists(payload: Any) -> Any:
    """Return a copy of a payload whose lists are empty."""
    if isinstance(payload, dict):
        return {name: empty_lists(value) for name, value in payload.items()}
    return [] if isinstance(payload, list) else payload


def test_no_response_of_the_vendor_raises_an_error(desk: Desk, api: Api, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "triage")
    webhook = desk.fake.customer_writes(SECRET, attachments=["a.pdf"], subject=SECRET)
    genuine: dict[str, Any] = {}

    def record(request: httpx.Request) -> httpx.Response:
        response = forward(desk, request)
        genuine[request.url.raw_path.decode()] = response.json()
        return response

    assert handle(desk, api, record, webhook.body, webhook.headers) == "planned"
    cases = [
        (path, replace_part(response, part, raw))
        for path, response in genuine.items()
        for part in iterate_paths(response)
        for raw in EXTREMES
    ]
    # All cases of a vendor take half a minute, so this is a sample: one half for each entry point, which parse alike.
    sample = random.Random(4711).sample(cases, 100)  # noqa: S311 - not a secret
    for path, body in sample[::2] if api.name == "sync" else sample[1::2]:

        def answer(request: httpx.Request, path: str = path, body: bytes = body) -> httpx.Response:
            if request.url.raw_path.decode() == path:
                return httpx.Response(200, content=body)
            return forward(desk, request)

        assert handle(desk, api, answer, webhook.body, webhook.headers) in ("planned", "ignored", "failed"), body
    assert SECRET not in caplog.text


def forward(desk: Desk, request: httpx.Request) -> httpx.Response:
    """Let the fake answer."""
    with httpx.Client(transport=desk.fake.transport) as client:
        response = client.request(
            request.method, str(request.url), content=request.content, headers=dict(request.headers)
        )
        return httpx.Response(response.status_code, content=response.content)


def handle(desk: Desk, api: Api, answer: Any, body: bytes, headers: dict[str, str]) -> str:
    """Handle a delivery as a dry run while `answer` responds to every call; return the outcome's status."""
    desk.fake.rate_limit = None
    transport = httpx.MockTransport(answer)
    router: Router = desk.router(
        http=httpx.Client(transport=transport), async_http=httpx.AsyncClient(transport=transport), dry_run=True
    )
    outcome = api.handle(router, body, headers).outcome
    assert outcome is not None
    return outcome.status


@pytest.mark.parametrize("name", list(DESKS))
def test_no_error_response_of_the_vendor_raises_another_error(name: str) -> None:
    desk = DESKS[name]()
    adapter = desk.adapter()
    request = Request("GET", f"{BASE_URL}/x")
    shapes = [
        "%s",
        '{"type":"error.list","request_id":%s,"errors":[{"code":%s,"message":%s}]}',
        '{"errors":%s}',
        '{"_embedded":{"errors":%s},"logRef":%s,"message":%s}',
        '{"_embedded":{"errors":[{"path":%s,"message":%s,"_links":{"about":{"href":%s}}}]}}',
        '{"error":%s,"description":%s,"details":%s}',
        '{"error":"x","details":{"status":%s}}',
        '{"error":"x","details":{"status":[{"description":%s}]}}',
        '{"_error":%s}',
        '{"_error":{"title":%s,"message":%s}}',
        '{"reason":%s,"data":%s}',
        '{"reason":"x","data":{"message":%s}}',
    ]
    for status in (301, 400, 409, 422, 429, 500):
        for shape in shapes:
            for raw in EXTREMES:
                body = shape.replace("%s", raw).encode()
                error = adapter.error(request, Response(status, {}, body), 1000.0)
                assert error.status == status
                assert len(str(error)) < 400, "a response must not fill the log"
        for value in HEADERS:
            names = ("retry-after", "x-ratelimit-reset", "x-ratelimit-retry-after", "ratelimit-reset", "location")
            error = adapter.error(request, Response(status, dict.fromkeys(names, value), b""), 1000.0)
            assert error.retry_after is None or 0 <= error.retry_after < float("inf")
