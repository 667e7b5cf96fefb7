"""The fake of Claude's API: it refuses what the real one refuses, and answers in its form."""

import json
from collections.abc import Generator, Mapping
from typing import Any

import httpx
import pytest

from triage import Bucket, Buckets, Conversation, Message
from triage.classifiers import Claude
from triage.testing import FakeClaude

HEADERS = {"Authorization": "Bearer k", "anthropic-version": "2026-10-21"}
MESSAGE = Message(id="1", role="customer", text="Please refund my invoice.")
ASKED = Claude(extra={"language": "ISO 639-1", "mood": ["calm", "angry"]}).build_request(
    Conversation(id="1", messages=(MESSAGE,)), Buckets([Bucket("billing", "Money"), Bucket("general", "Other")])
)


@pytest.fixture
def fake() -> FakeClaude:
    return FakeClaude(api_key="k")


@pytest.fixture
def client(fake: FakeClaude) -> Generator[httpx.Client]:
    with fake.serve() as url, httpx.Client(base_url=url, headers=HEADERS) as client:
        yield client


def ask(client: httpx.Client, **changes: Any) -> httpx.Response:
    return client.post("/v1/messages", json=ASKED | changes)


def test_by_default_it_answers_by_keyword_rules(client: httpx.Client, fake: FakeClaude) -> None:
    answer = ask(client)
    assert answer.status_code == 200
    assert answer.headers["request-id"].startswith("req_")
    said = json.loads(answer.json()["content"][0]["text"])
    assert said == {
        "reason": "Found: invoice, refund.",
        "label": "billing",
        "confidence": 0.67,
        "language": "",
        "mood": "calm",
    }
    assert fake.requests == [ASKED]


def test_a_bucket_that_was_not_asked_for_becomes_the_last_one(client: httpx.Client) -> None:
    only = json.loads(json.dumps(ASKED))
    only["output_config"]["format"]["schema"]["properties"]["label"]["enum"] = ["a", "b"]
    assert json.loads(client.post("/v1/messages", json=only).json()["content"][0]["text"])["label"] == "b"


def test_tokens_are_counted(client: httpx.Client) -> None:
    body = {name: value for name, value in ASKED.items() if name != "max_tokens"}
    answer = client.post("/v1/messages/count_tokens", json=body)
    assert answer.json()["input_tokens"] > 100


def _schema(**schema: Any) -> dict[str, Any]:
    return {"output_config": {"format": {"type": "json_schema", "schema": schema}}}


@pytest.mark.parametrize(
    ("changes", "status", "message"),
    [
        ({"temperature": 0}, 400, "temperature: Extra inputs are not permitted"),
        ({"model": "gpt"}, 404, "model: gpt"),
        ({"model": "claude-haiku-4-5", "thinking": None}, 400, "does not support the effort parameter"),
        ({"model": "claude-sonnet-5-5"}, 400, "thinking.type: disabled is not supported"),
        (_schema(type="object"), 400, "additionalProperties must be false"),
        (
            _schema(type="object", additionalProperties=False, properties={"a": {"type": "number", "maximum": 1}}),
            400,
            "maximum is not supported",
        ),
    ],
)
def test_what_the_api_refuses_is_refused(
    client: httpx.Client, changes: Mapping[str, Any], status: int, message: str
) -> None:
    answer = ask(client, **changes)
    assert answer.status_code == status
    assert message in answer.json()["error"]["message"]
    assert answer.json()["request_id"] == answer.headers["request-id"]


@pytest.mark.parametrize(
    ("method", "path", "headers", "content", "status"),
    [
        ("POST", "/v1/messages", {"Authorization": "Bearer other"}, b"{}", 401),
        ("POST", "/v1/messages", {"Authorization": "Basic k"}, b"{}", 401),
        ("POST", "/v1/nothing", {}, b"{}", 404),
        ("GET", "/v1/messages", {}, b"", 405),
        ("POST", "/v1/messages", {}, b"{", 400),
        ("POST", "/v1/messages", {}, b"[]", 400),
        ("POST", "/v1/messages", {}, b"{}", 400),
    ],
)
def test_a_request_of_the_wrong_form_is_refused(
    client: httpx.Client, method: str, path: str, headers: Mapping[str, str], content: bytes, status: int
) -> None:
    assert client.request(method, path, headers=headers, content=content).status_code == status


def test_the_version_must_be_named(fake: FakeClaude) -> None:
    with fake.serve() as url:
        answer = httpx.post(f"{url}/v1/messages", json=ASKED, headers={"Authorization": "Bearer k"})
    assert "anthropic-version" in answer.json()["error"]["message"]


def test_without_a_key_of_its_own_it_takes_any(client: httpx.Client, fake: FakeClaude) -> None:
    fake.api_key = None
    assert ask(client).status_code == 200
    assert client.post("/v1/messages", json=ASKED, headers={"Authorization": "Bearer"}).status_code == 401


def test_it_fails_as_it_is_told(client: httpx.Client, fake: FakeClaude) -> None:
    fake.fail(429, headers={"retry-after": "2"}, code="enforced_spend_limit_reached")
    fake.fail(599)
    fake.fail(stop_reason="refusal", content=[])
    fake.fail(body=b"<html>", headers={"Content-Type": "text/html"})
    fake.fail(drop=True, times=2)
    limited = ask(client)
    assert (limited.status_code, limited.headers["retry-after"]) == (429, "2")
    assert limited.json()["error"]["details"] == {"error_code": "enforced_spend_limit_reached"}
    assert ask(client).json()["error"]["type"] == "api_error"
    assert ask(client).json()["stop_reason"] == "refusal"
    assert ask(client).headers["content-type"] == "text/html"
    for _ in range(2):
        with pytest.raises(httpx.RemoteProtocolError):
            ask(client)
    fake.fail(stall=True)
    with pytest.raises(httpx.ReadTimeout):
        client.post("/v1/messages", json=ASKED, timeout=0.1)
    assert ask(client).status_code == 200
