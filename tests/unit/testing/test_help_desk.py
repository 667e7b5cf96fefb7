"""Everything that the fake help desks share: the journal of calls, faults, limits, and the ways to call them."""

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.helpers.desks import Desk
from tests.helpers.desks.base import NOW, Clock
from tests.unit.testing.helpers import open_conversation
from triage import Bucket, Note, Router
from triage.testing import FakeIntercom, RateLimit, to_html, to_text

HEADERS = {"Authorization": "Bearer fake-access-token"}
REPLY = {"message_type": "comment", "type": "admin", "admin_id": "99999", "body": "<p>Hello</p>"}


@pytest.fixture
def fake(clock: Clock) -> FakeIntercom:
    return FakeIntercom(clock=clock)


@pytest.fixture
def client(fake: FakeIntercom) -> Iterator[httpx.Client]:
    with connect(fake) as http_client:
        yield http_client


def connect(fake: FakeIntercom) -> httpx.Client:
    return httpx.Client(transport=fake.transport, base_url="https://api.intercom.invalid", headers=HEADERS)


# Adapters.


def test_the_adapter_of_a_fake_calls_the_fake(desk: Desk) -> None:
    fake = desk.fake
    router = Router(
        fake.adapter(),
        buckets=[Bucket("general", "Everything", [Note("Seen.")])],
        classifier=lambda _: "general",
        http=httpx.Client(transport=fake.transport),
        clock=fake.clock,
    )
    webhook = fake.customer_writes("Hello")
    outcome = router.handle(webhook.body, webhook.headers).outcome
    assert outcome is not None
    assert outcome.status == "routed"
    (note,) = fake.notes(webhook.conversation_id or "")
    assert "Seen." in note


def test_settings_of_the_adapter_can_be_replaced(fake: FakeIntercom) -> None:
    with fake.serve() as base_url:
        router = Router(
            fake.adapter(base_url=base_url, topics=["conversation.user.replied"]),
            buckets=[Bucket("general", "Everything")],
            classifier=lambda _: "general",
        )
        webhook = fake.customer_writes("Hello")
        outcome = router.handle(webhook.body, webhook.headers).outcome
    assert outcome is not None
    assert outcome.status == "ignored"


# The journal.


def test_every_call_is_recorded(fake: FakeIntercom, client: httpx.Client) -> None:
    conversation_id = open_conversation(fake)
    client.get(f"/conversations/{conversation_id}", params={"display_as": "plaintext"})
    client.post("/tags", json={"name": "billing"})
    client.post("/tags", content=b"\xe9{")
    calls = [(call.method, call.path, dict(call.query), call.body, call.status) for call in fake.calls]
    assert calls == [
        ("GET", f"/conversations/{conversation_id}", {"display_as": "plaintext"}, None, 200),
        ("POST", "/tags", {}, {"name": "billing"}, 200),
        ("POST", "/tags", {}, "\ufffd{", 400),
    ]
    assert fake.calls[1].headers["content-type"] == "application/json"
    assert "fake-access-token" not in repr(fake.calls)


# Faults.


def test_a_call_fails_once_and_changes_nothing(fake: FakeIntercom, client: httpx.Client) -> None:
    conversation_id = open_conversation(fake)
    path = f"/conversations/{conversation_id}/reply"
    fake.fail("POST /conversations/*/reply", status=503, headers={"Retry-After": "2"})
    assert client.get(f"/conversations/{conversation_id}").status_code == 200
    failure = client.post(path, json=REPLY)
    assert (failure.status_code, failure.json()["errors"][0]["code"]) == (503, "service_unavailable")
    assert (failure.headers["Retry-After"], "X-RateLimit-Reset" in failure.headers) == ("2", True)
    assert fake.replies(conversation_id) == []
    assert client.post(path, json=REPLY).status_code == 200
    assert [call.status for call in fake.calls] == [200, 503, 200]


def test_a_call_that_fails_after_its_effect_keeps_the_effect(fake: FakeIntercom, client: httpx.Client) -> None:
    conversation_id = open_conversation(fake)
    fake.fail("POST /conversations/*/reply", status=502, body=b"<html>Bad gateway</html>", after=True)
    failure = client.post(f"/conversations/{conversation_id}/reply", json=REPLY)
    assert (failure.status_code, failure.text) == (502, "<html>Bad gateway</html>")
    assert fake.replies(conversation_id) == ["<p>Hello</p>"]


@pytest.mark.parametrize("after", [False, True])
def test_a_call_can_time_out(fake: FakeIntercom, client: httpx.Client, after: bool) -> None:
    conversation_id = open_conversation(fake)
    fake.fail(timeout=True, after=after)
    with pytest.raises(httpx.ReadTimeout):
        client.post(f"/conversations/{conversation_id}/reply", json=REPLY)
    assert bool(fake.replies(conversation_id)) is after
    assert fake.calls[0].status is None


def test_a_connection_can_be_refused(fake: FakeIntercom, client: httpx.Client) -> None:
    fake.fail(refused=True)
    with pytest.raises(httpx.ConnectError):
        client.get("/me")


@pytest.mark.parametrize("options", [{"after": True}, {"timeout": True}])
def test_a_refused_connection_cannot_have_an_effect(fake: FakeIntercom, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="refused"):
        fake.fail(refused=True, **options)


def test_faults_occur_in_the_planned_order_until_recovery(fake: FakeIntercom, client: httpx.Client) -> None:
    fake.fail("GET /me", status=418, times=2)
    fake.fail("GET /*", status=429, code="too_many_requests", times=None)
    codes = [client.get("/me").json()["errors"][0]["code"] for _ in range(4)]
    assert codes == ["server_error"] * 2 + ["too_many_requests"] * 2
    fake.recover()
    assert client.get("/me").status_code == 200


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [("** /conversations/1", False), ("* /conversations/*", True), ("GET /conversations/*/reply", False), ("**", True)],
)
def test_a_star_matches_one_part_of_a_path(
    fake: FakeIntercom, client: httpx.Client, pattern: str, matches: bool
) -> None:
    conversation_id = open_conversation(fake)
    fake.fail(pattern, status=500)
    assert (client.get(f"/conversations/{conversation_id}").status_code == 500) is matches


# Rate limits.


def test_calls_above_the_limit_are_rejected_until_the_next_window(clock: Clock) -> None:
    fake = FakeIntercom(clock=clock, rate_limit=RateLimit(2, 10))
    reset = str(int(NOW) + 10)
    names = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
    with connect(fake) as client:
        responses = [client.get("/me") for _ in range(3)]
        assert [[response.headers[name] for name in names] for response in responses] == [
            ["2", "1", reset],
            ["2", "0", reset],
            ["2", "0", reset],
        ]
        assert [response.status_code for response in responses] == [200, 200, 429]
        assert responses[2].json()["errors"][0]["code"] == "rate_limit_exceeded"
        clock.now += 10
        assert client.get("/me").status_code == 200


def test_the_default_limit_is_the_vendors(client: httpx.Client) -> None:
    assert client.get("/me").headers["X-RateLimit-Limit"] == "1666"
    with connect(FakeIntercom(rate_limit=None)) as unlimited_client:
        assert "X-RateLimit-Limit" not in unlimited_client.get("/me").headers


# In process and over HTTP.


def test_an_async_client_gets_the_same_responses(fake: FakeIntercom) -> None:
    fake.fail(timeout=True)

    async def call_twice() -> int:
        async with httpx.AsyncClient(transport=fake.transport, headers=HEADERS) as client:
            with pytest.raises(httpx.ReadTimeout):
                await client.get("https://api.intercom.invalid/me")
            return (await client.get("https://api.intercom.invalid/me")).status_code

    assert asyncio.run(call_twice()) == 200


def test_calls_take_as_long_as_the_latency(fake: FakeIntercom, monkeypatch: pytest.MonkeyPatch) -> None:
    delays: list[tuple[str, float]] = []

    async def async_sleep(seconds: float) -> None:
        delays.append(("async", seconds))

    async def call() -> None:
        async with httpx.AsyncClient(transport=fake.transport) as client:
            await client.get("https://api.intercom.invalid/me")

    fake.latency = 0.25
    with fake.serve() as base_url, monkeypatch.context() as patch:
        patch.setattr(time, "sleep", lambda seconds: delays.append(("sync", seconds)))
        httpx.get(base_url)
        with connect(fake) as client:
            client.get("/me")
    runner = asyncio.Runner()
    with runner, monkeypatch.context() as patch:
        patch.setattr(asyncio, "sleep", async_sleep)
        runner.run(call())
    assert delays == [("sync", 0.25), ("sync", 0.25), ("async", 0.25)]


def test_a_fake_runs_as_a_server(fake: FakeIntercom) -> None:
    conversation_id = open_conversation(fake)
    with fake.serve() as base_url, httpx.Client(base_url=base_url, headers=HEADERS) as client:
        assert client.post(f"/conversations/{conversation_id}/reply", json=REPLY).status_code == 200
        fake.fail("POST /conversations/*/reply", timeout=True, after=True)
        with pytest.raises(httpx.RemoteProtocolError):
            client.post(f"/conversations/{conversation_id}/reply", json=REPLY)
    assert fake.replies(conversation_id) == ["<p>Hello</p>"] * 2


def test_several_threads_can_call_a_fake(fake: FakeIntercom) -> None:
    conversation_id = open_conversation(fake)

    def reply() -> None:
        with connect(fake) as client:
            for _ in range(20):
                client.post(f"/conversations/{conversation_id}/reply", json=REPLY)

    threads = [threading.Thread(target=reply) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(fake.calls) == len(fake.replies(conversation_id)) == 80
    assert len({message.id for message in fake.conversations[conversation_id].messages}) == 81


# Text and imports.


@pytest.mark.parametrize("text", ["one", "a < b & c", "one\ntwo", "one\n\ntwo\nthree", ""])
def test_plain_text_survives_conversion_to_html_and_back(text: str) -> None:
    assert to_text(to_html(text)) == text


def test_malformed_html_is_converted() -> None:
    assert to_text('a\n  b</a> <a>c</a><img src="https://example.com/i.png"><p>d') == "a b c ()\n\nd"


def test_importing_the_fakes_does_not_import_an_sdk() -> None:
    check = "import sys, triage.testing; sys.exit(bool({'anthropic', 'httpx2'} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", check], check=True)
