"""The fake of Claude's API: it rejects the same requests as the real API, and responds in the same format."""

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
REQUEST = Claude(extra={"language": "ISO 639-1", "mood": ["calm", "angry"]}).build_request(
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
    return client.post("/v1/messages", json=REQUEST | changes)


def test_by_default_keyword_rules_classify_the_message(client: httpx.Client, fake: FakeClaude) -> None:
    response = ask(client)
    assert response.status_code == 200
    assert response.headers["request-id"].startswith("req_")
    verdict = json.loads(response.json()["content"][0]["text"])
    assert verdict == {
        "reason": "Found: invoice, refund.",
        "label": "billing",
        "confidence": 0.67,
        "language": "",
        "mood": "calm",
    }
    assert fake.requests == [REQUEST]


def test_a_bucket_that_the_request_does_not_list_becomes_the_last_listed_one(client: httpx.Client) -> None:
    request = json.loads(json.dumps(REQUEST))
    request["output_config"]["format"]["schema"]["properties"]["label"]["enum"] = ["a", "b"]
    assert json.loads(client.post("/v1/messages", json=request).json()["content"][0]["text"])["label"] == "b"


def test_tokens_are_counted(client: httpx.Client) -> None:
    body = {name: value for name, value in REQUEST.items() if name != "max_tokens"}
    response = client.post("/v1/messages/count_tokens", json=body)
    assert response.json()["input_tokens"] > 100


def build_schema(**schema: Any) -> dict[str, Any]:
    return {"output_config": {"format": {"type": "json_schema", "schema": schema}}}


@pytest.mark.parametrize(
    ("changes", "status", "message"),
    [
        ({"temperature": 0}, 400, "temperature: Extra inputs are not permitted"),
        ({"model": "gpt"}, 404, "model: gpt"),
        ({"model": "claude-haiku-4-5", "thinking": None}, 400, "does not support the effort parameter"),
        ({"model": "claude-sonnet-5-5"}, 400, "thinking.type: disabled is not supported"),
        (build_schema(type="object"), 400, "additionalProperties must be false"),
        (
            build_schema(type="object", additionalProperties=False, properties={"a": {"type": "number", "maximum": 1}}),
            400,
            "maximum is not supported",
        ),
    ],
)
def test_invalid_requests_get_the_errors_of_the_api(
    client: httpx.Client, changes: Mapping[str, Any], status: int, message: str
) -> None:
    response = ask(client, **changes)
    assert response.status_code == status
    assert message in response.json()["error"]["message"]
    assert response.json()["request_id"] == response.headers["request-id"]


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
def test_malformed_requests_are_rejected(
    client: httpx.Client, method: str, path: str, headers: Mapping[str, str], content: bytes, status: int
) -> None:
    assert client.request(method, path, headers=headers, content=content).status_code == status


def test_the_version_header_is_required(fake: FakeClaude) -> None:
    with fake.serve() as url:
        response = httpx.post(f"{url}/v1/messages", json=REQUEST, headers={"Authorization": "Bearer k"})
    assert "anthropic-version" in response.json()["error"]["message"]


def test_without_a_configured_key_any_key_is_accepted(client: httpx.Client, fake: FakeClaude) -> None:
    fake.api_key = None
    assert ask(client).status_code == 200
    assert client.post("/v1/messages", json=REQUEST, headers={"Authorization": "Bearer"}).status_code == 401


def test_planned_faults_occur_in_order(client: httpx.Client, fake: FakeClaude) -> None:
    fake.fail(429, headers={"retry-after": "2"}, code="enforced_spend_limit_reached")
    fake.fail(599)
    fake.fail(stop_reason="refusal", content=[])
    fake.fail(body=b"<html>", headers={"Content-Type": "text/html"})
    fake.fail(drop=True, times=2)
    response = ask(client)
    assert (response.status_code, response.headers["retry-after"]) == (429, "2")
    assert response.json()["error"]["details"] == {"error_code": "enforced_spend_limit_reached"}
    assert ask(client).json()["error"]["type"] == "api_error"
    assert ask(client).json()["stop_reason"] == "refusal"
    assert ask(client).headers["content-type"] == "text/html"
    for _ in range(2):
        with pytest.raises(httpx.RemoteProtocolError):
            ask(client)
    fake.fail(stall=True)
    with pytest.raises(httpx.ReadTimeout):
        client.post("/v1/messages", json=REQUEST, timeout=0.1)
    assert ask(client).status_code == 200


# Batches

PENDING = {"processing": 2, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0}
BATCH_ID = "msgbatch_000000000000000000000001"


def create_batch(client: httpx.Client, *custom_ids: str, **changes: Any) -> httpx.Response:
    requests = [{"custom_id": custom_id, "params": REQUEST | changes} for custom_id in custom_ids]
    return client.post("/v1/messages/batches", json={"requests": requests})


def read_results(client: httpx.Client) -> dict[str, Any]:
    response = client.get(f"/v1/messages/batches/{BATCH_ID}/results")
    assert response.status_code == 200
    return {line["custom_id"]: line["result"] for line in map(json.loads, response.text.splitlines())}


def test_a_batch_is_in_progress_until_it_has_been_polled_often_enough(client: httpx.Client, fake: FakeClaude) -> None:
    fake.batches.polls = 2
    batch = create_batch(client, "a", "b").json()
    assert (batch["id"], batch["processing_status"], batch["request_counts"]) == (BATCH_ID, "in_progress", PENDING)
    assert batch["results_url"] is None
    url = f"/v1/messages/batches/{BATCH_ID}"
    assert client.get(f"{url}/results").status_code == 404
    states = [client.get(url).json()["processing_status"] for _ in range(4)]
    assert states == ["in_progress", "in_progress", "ended", "ended"]
    ended = client.get(url).json()
    assert ended["request_counts"] == PENDING | {"processing": 0, "succeeded": 2}
    assert ended["results_url"] == f"{client.base_url}{url}/results".replace("//v1", "/v1")


def test_the_results_of_a_batch_are_those_of_single_requests(client: httpx.Client, fake: FakeClaude) -> None:
    fake.batches.polls = 0
    single = ask(client).json()
    create_batch(client, "a", "b")
    results = read_results(client)
    assert list(results) == ["b", "a"], "the order of the requests is not kept"
    assert {result["type"] for result in results.values()} == {"succeeded"}
    assert results["a"]["message"] | {"id": ""} == single | {"id": ""}
    assert len(fake.requests) == 3


def test_a_batch_contains_the_faults_that_were_planned(client: httpx.Client, fake: FakeClaude) -> None:
    fake.batches.polls = 0
    fake.fail_in_batch("errored", error_type="overloaded_error")
    fake.fail_in_batch("expired")
    fake.fail_in_batch("canceled")
    fake.fail_in_batch(stop_reason="refusal", times=2)
    create_batch(client, "a", "b", "c", "d", "e", "f")
    results = read_results(client)
    assert [results[name]["type"] for name in "abcdef"] == ["errored", "expired", "canceled", *["succeeded"] * 3]
    assert results["a"]["error"]["error"]["type"] == "overloaded_error"
    assert [results[name]["message"]["stop_reason"] for name in "def"] == ["refusal", "refusal", "end_turn"]


def test_an_invalid_request_in_a_batch_is_an_error_in_its_results(client: httpx.Client, fake: FakeClaude) -> None:
    fake.batches.polls = 0
    assert create_batch(client, "a", temperature=0).status_code == 200
    error = read_results(client)["a"]["error"]["error"]
    assert error == {"type": "invalid_request_error", "message": "temperature: Extra inputs are not permitted"}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "requests: Field required"),
        ({"requests": []}, "requests: Field required"),
        ({"requests": [{"params": REQUEST}]}, "custom_id: String should match pattern"),
        ({"requests": [{"custom_id": "a b", "params": REQUEST}]}, "custom_id: String should match pattern"),
        ({"requests": [{"custom_id": "a" * 65, "params": REQUEST}]}, "custom_id: String should match pattern"),
        ({"requests": [{"custom_id": "a"}]}, "params: Field required"),
        ({"requests": [{"custom_id": "a", "params": REQUEST}] * 2}, "custom_id must be unique"),
    ],
)
def test_invalid_batches_are_rejected(client: httpx.Client, body: Mapping[str, Any], message: str) -> None:
    response = client.post("/v1/messages/batches", json=body)
    assert response.status_code == 400
    assert message in response.json()["error"]["message"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/messages/batches/msgbatch_9", 404),
        ("GET", "/v1/messages/batches/msgbatch_9/results", 404),
        ("POST", "/v1/messages/batches/msgbatch_9", 405),
        ("GET", "/v1/messages/batches", 405),
        ("GET", "/v1/messages/batches/../files", 404),
    ],
)
def test_other_calls_about_batches_are_rejected(client: httpx.Client, method: str, path: str, status: int) -> None:
    assert client.request(method, path).status_code == status
