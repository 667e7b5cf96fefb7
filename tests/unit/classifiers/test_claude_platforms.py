"""Other platforms, gateways and older SDK clients, which do not accept every part of a request."""

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, Self

import anthropic
import httpx2
import pytest

from tests.helpers.claude import BUCKETS, CHARGED, FIELDS, GOOD, Ask, build_content
from triage import ConfigurationError
from triage.classifiers import Claude
from triage.classifiers.claude.models import PROFILES, UNKNOWN, get_profile
from triage.testing import FakeClaude


def reject(message: str) -> dict[str, Any]:
    """Return the fault of a request that is rejected with a message."""
    error = {"type": "error", "error": {"type": "invalid_request_error", "message": message}}
    return {"status": 400, "body": json.dumps(error).encode()}


@pytest.fixture
def bare(server: FakeClaude) -> FakeClaude:
    """A platform without structured outputs, where the model puts its answer in a code fence."""
    server.unsupported = ("output_config.format",)
    return server


def test_without_structured_outputs_the_prompt_describes_the_answer(ask: Ask, bare: FakeClaude) -> None:
    verdict = ask(extra=FIELDS)
    assert (verdict.bucket, verdict.fallback) == ("billing", False)
    (request,) = bare.requests
    assert request["output_config"] == {"effort": "low"}
    system = request["system"][0]["text"]
    assert 'Its keys, in this order: "reason", "label", "confidence", "language", "sentiment".' in system
    assert '- "sentiment": one of "positive", "neutral", "negative"' in system
    assert '<bucket name="billing">' in system


def test_the_rejection_is_remembered(bare: FakeClaude) -> None:
    claude = Claude(api_key="sk-ant-test")
    for _ in range(3):
        assert claude.classify(CHARGED, BUCKETS).bucket == "billing"
    claude.close()
    assert len(bare.calls) == 4


def test_the_rejection_is_remembered_for_each_model(ask: Ask, bare: FakeClaude) -> None:
    bare.fail(stop_reason="refusal", content=[], for_model="claude-haiku-5-5", times=2)  # one for each request
    assert ask(fallback_model="claude-sonnet-5-5").model == "claude-sonnet-5-5"
    assert len(bare.calls) == 4


def test_the_rejection_is_logged_once(bare: FakeClaude, caplog: pytest.LogCaptureFixture) -> None:
    claude = Claude(api_key="sk-ant-test")
    for _ in range(2):
        claude.classify(CHARGED, BUCKETS)
    claude.close()
    assert [record.getMessage() for record in caplog.records if record.name.startswith("triage")] == [
        "requests to claude-haiku-5-5 omit format, which its API rejects"
    ]


def test_the_prompt_version_changes_with_the_format(ask: Ask) -> None:
    with_schema = ask().prompt_version
    ask.fake.unsupported = ("output_config.format",)
    assert ask().prompt_version != with_schema


@pytest.mark.parametrize(
    ("message", "is_left_out"),
    [
        (
            "output_config.format: Extra inputs are not permitted",
            lambda request: "format" not in request["output_config"],
        ),
        (
            "The model returned the following errors: output_config.format: Extra inputs are not permitted",
            lambda request: "format" not in request["output_config"],
        ),
        (
            "output_config.format.schema: Schema is too complex",
            lambda request: "format" not in request["output_config"],
        ),
        ("Schema is too complex for compilation.", lambda request: "format" not in request["output_config"]),
        ("This model does not support structured outputs.", lambda request: "format" not in request["output_config"]),
        ("response type json_schema is unknown", lambda request: "format" not in request["output_config"]),
        ("output_config: Extra inputs are not permitted", lambda request: "output_config" not in request),
        ("#: extraneous key [outputConfig] is not permitted", lambda request: "output_config" not in request),
        (
            "output_config.effort: Extra inputs are not permitted",
            lambda request: "effort" not in request["output_config"],
        ),
        ("This model does not support the effort parameter.", lambda request: "effort" not in request["output_config"]),
        ("thinking: Extra inputs are not permitted", lambda request: "thinking" not in request),
        ("metadata: Extra inputs are not permitted", lambda request: "metadata" not in request),
        ("system.0.cache_control: Extra inputs are not permitted", lambda request: "cache_control" not in str(request)),
    ],
)
def test_a_rejected_field_is_left_out(ask_both: Ask, message: str, is_left_out: Callable[[Any], bool]) -> None:
    ask_both.fake.fail(**reject(message))
    asked = CHARGED.model_copy(update={"customer": CHARGED.customer.model_copy(update={"id": "7"})})
    assert ask_both(asked).bucket == "billing"
    assert ask_both.time.delays == []
    assert is_left_out(ask_both.fake.requests[-1])
    assert not is_left_out(json.loads(ask_both.fake.calls[0].body))


def test_several_fields_are_left_out_one_after_another(ask: Ask) -> None:
    ask.fake.unsupported = ("output_config.format", "output_config.effort", "thinking", "metadata")
    assert ask().bucket == "billing"
    assert set(ask.fake.requests[0]) == {"model", "max_tokens", "system", "messages"}


def test_a_model_that_cannot_stop_thinking_gets_more_tokens(ask: Ask) -> None:
    ask.fake.unsupported = ("thinking",)
    ask()
    assert ask.fake.requests[0]["max_tokens"] == 2_048


def test_an_explicit_limit_is_kept_if_the_model_cannot_stop_thinking(ask: Ask) -> None:
    ask.fake.unsupported = ("thinking",)
    ask(max_tokens=500)
    assert ask.fake.requests[0]["max_tokens"] == 500


@pytest.mark.parametrize(
    ("setting", "field"),
    [
        ({"structured_outputs": True}, "output_config.format"),
        ({"effort": "low"}, "output_config.effort"),
        ({"thinking": {"type": "disabled"}}, "thinking"),
    ],
)
def test_an_explicit_setting_is_never_left_out(ask: Ask, setting: dict[str, Any], field: str) -> None:
    ask.fake.unsupported = (field,)
    verdict = ask(**setting)
    reason = f"Claude returned 400 (invalid_request_error): {field}: Extra inputs are not permitted"
    assert (verdict.fallback_reason, verdict.reason) == ("unavailable", reason)
    assert len(ask.fake.calls) == 1


@pytest.mark.parametrize("message", ["max_tokens: must be positive", "prompt is too long", ""])
def test_any_other_invalid_request_is_not_repeated(ask: Ask, message: str) -> None:
    ask.fake.fail(**reject(message))
    assert ask().fallback_reason == "unavailable"
    assert len(ask.fake.calls) == 1


def test_a_field_that_is_rejected_again_is_not_left_out_twice(ask: Ask) -> None:
    ask.fake.fail(**reject("output_config.format: Extra inputs are not permitted"), times=2)
    assert ask().fallback_reason == "unavailable"
    assert len(ask.fake.calls) == 2


def test_an_error_of_the_server_that_names_a_field_is_retried_unchanged(ask: Ask) -> None:
    ask.fake.fail(500, body=b'{"error": {"message": "output_config.format"}}')
    assert ask().bucket == "billing"
    assert "format" in ask.fake.requests[0]["output_config"]


def test_structured_outputs_can_be_switched_off(ask: Ask) -> None:
    ask(structured_outputs=False, fallback_model="claude-sonnet-5-5")
    ask.fake.fail(529, times=50, for_model="claude-haiku-5-5")
    ask(structured_outputs=False, fallback_model="claude-sonnet-5-5")
    assert [request["model"] for request in ask.fake.requests] == ["claude-haiku-5-5", "claude-sonnet-5-5"]
    assert not [request for request in ask.fake.requests if "format" in request["output_config"]]


def test_an_invalid_value_of_structured_outputs_is_rejected() -> None:
    value: Any = "no"
    with pytest.raises(ConfigurationError, match="structured_outputs must be True, False or None"):
        Claude(structured_outputs=value)


# Clients


def test_a_client_for_bedrock_works_without_structured_outputs() -> None:
    requests: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        requests.append(request)
        if b"json_schema" in request.content:
            return httpx2.Response(400, json={"message": "output_config.format: Extra inputs are not permitted"})
        return httpx2.Response(
            200, json={"stop_reason": "end_turn", **build_content(f"```json\n{json.dumps(GOOD)}\n```")}
        )

    http = httpx2.Client(transport=httpx2.MockTransport(answer))
    client = anthropic.AnthropicBedrock(api_key="k", aws_region="eu-central-1", http_client=http)
    verdict = Claude("eu.anthropic.claude-haiku-5-5", client=client).classify(CHARGED, BUCKETS)
    assert (verdict.bucket, verdict.fallback) == ("billing", False)
    assert [request.url.path for request in requests] == ["/model/eu.anthropic.claude-haiku-5-5/invoke"] * 2


class OlderClient:
    """A client whose `create` lacks the newer parameters."""

    def __init__(self, error: Exception | None = None) -> None:
        self.messages = self.with_raw_response = self
        self.error = error
        self.calls: list[dict[str, Any]] = []

    def with_options(self, *, max_retries: int) -> Self:
        return self

    def __enter__(self) -> Self:
        return self

    def create(self, *, model: str, max_tokens: int, system: Any, messages: Any, timeout: Any) -> object:
        if self.error:
            raise self.error
        answer = {"content": [{"type": "text", "text": json.dumps(GOOD)}], "stop_reason": "end_turn"}
        return SimpleNamespace(http_response=httpx2.Response(200, json=answer))


def test_an_older_client_is_called_without_the_parameters_that_it_lacks() -> None:
    verdict = Claude(client=OlderClient()).classify(CHARGED, BUCKETS)
    assert (verdict.bucket, verdict.fallback) == ("billing", False)


@pytest.mark.parametrize("error", [TypeError("customer text"), RuntimeError("customer text"), ImportError("boto3")])
def test_any_exception_of_a_client_leads_to_the_fallback_bucket_without_its_message(error: Exception) -> None:
    claude = Claude("claude-next-9", client=OlderClient(error), structured_outputs=False)
    verdict = claude.classify(CHARGED, BUCKETS)
    assert (verdict.fallback_reason, verdict.reason) == ("unavailable", f"Claude's SDK raised {type(error).__name__}")


# Model ids


@pytest.mark.parametrize(
    "model",
    [
        "anthropic.claude-haiku-4-5",
        "us.anthropic.claude-haiku-4-5-20251001-v1:0",
        "claude-haiku-4-5@20251001",
        "bedrock/eu.anthropic.claude-haiku-4-5-20251001-v1:0",
        "anthropic/claude-haiku-4-5",
    ],
)
def test_a_model_has_the_same_parameters_on_every_platform_but_an_unknown_price(model: str) -> None:
    profile, original = get_profile(model), PROFILES["claude-haiku-4-5"]
    assert (profile.max_tokens, profile.effort, profile.efforts) == (original.max_tokens, None, ())
    assert profile.price is None


@pytest.mark.parametrize("model", ["claude-next-9", "anthropic.claude-next-9", "my-alias"])
def test_an_unknown_model_has_default_parameters(model: str) -> None:
    assert get_profile(model) == UNKNOWN
