"""A fake of Claude's Messages API and its batches.

It checks requests as the real API does, and responds with the verdict of a function that you pass.
"""

import json
import re
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import count
from threading import Lock
from typing import Any, TypeAlias, cast

from triage import Buckets, Conversation, Message
from triage.classifiers import Rules
from triage.testing.claude_batches import BatchFailure, FakeBatches, InvalidRequestError
from triage.testing.server import Drop, HttpRequest, HttpResponse, Stall, serve

Answer: TypeAlias = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""Takes the JSON of a request and returns the verdict: `{"reason": …, "label": …, "confidence": …}`."""

_MESSAGES = "/v1/messages"
_BATCHES = f"{_MESSAGES}/batches"
_BATCH = re.compile(rf"{_BATCHES}/(\w+)(/results)?")
_REQUIRED = ("model", "max_tokens", "messages")
_FIELDS = frozenset({*_REQUIRED, "metadata", "output_config", "system", "thinking"})
_NUMERIC_BOUNDS = frozenset({"minimum", "maximum", "multipleOf", "minLength", "maxLength", "maxItems"})

# https://platform.claude.com/docs/en/build-with-claude/effort and /thinking-troubleshooting
_NO_EFFORT = ("claude-haiku-4-5",)
_ALWAYS_THINKS = ("claude-sonnet-5-5", "claude-opus-5-5")

_BUCKET = re.compile(r'<bucket name="(.*?)">')

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


class _Rejected(Exception):  # noqa: N818 - it becomes a response, it is not an error in the program
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class _Fault:
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    code: str | None = None
    body: bytes | None = None
    change: Mapping[str, Any] = field(default_factory=dict[str, Any])
    raises: type[Exception] | None = None
    model: str | None = None


class FakeClaude:
    """Claude's API on the loopback interface: `with fake.serve() as url:`, then set `ANTHROPIC_BASE_URL` to `url`.

    Args:
        answer: Returns the verdict for a request. By default `Rules.default()` classifies the customer's text.
        api_key: The key that requests must carry; None accepts any.
        unsupported: Fields that requests must not contain, such as `"output_config.format"` for a platform without
            structured outputs.

    Attributes:
        requests: The JSON of every request that was accepted, also as a part of a batch.
        calls: Every request.
        batches: The batches. `fake.batches.polls = 3` keeps new ones in progress for three polls; default 1.
    """

    def __init__(
        self, answer: Answer | None = None, *, api_key: str | None = None, unsupported: Collection[str] = ()
    ) -> None:
        self.answer = answer or answer_by_rules
        self.api_key = api_key
        self.unsupported = unsupported
        self.requests: list[Mapping[str, Any]] = []
        self.calls: list[HttpRequest] = []
        self.batches = FakeBatches(self._answer_in_batch)
        self._faults: list[_Fault] = []
        self._numbers = count(1)
        self._lock = Lock()

    def serve(self) -> AbstractContextManager[str]:
        """Run the fake as a server; the context manager returns its base URL."""
        return serve(self.respond)

    def fail(
        self,
        status: int = 200,
        *,
        headers: Mapping[str, str] | None = None,
        code: str | None = None,
        body: bytes | None = None,
        drop: bool = False,
        stall: bool = False,
        times: int = 1,
        for_model: str | None = None,
        **change: Any,
    ) -> None:
        """Make the next requests fail.

        Args:
            status: The status of the response.
            headers: Headers to add to the response: `{"retry-after": "2"}`.
            code: The `error_code` in the error's details.
            body: A body that replaces the API's JSON.
            drop: True to close the connection without a response.
            stall: True to send no response and keep the connection open.
            times: How many requests fail.
            for_model: The model whose requests fail; None for any model.
            change: Fields of the message in the response to replace: `stop_reason="refusal", content=[]`.
        """
        raises = Drop if drop else Stall if stall else None
        with self._lock:
            self._faults += [_Fault(status, headers or {}, code, body, change, raises, for_model)] * times

    def fail_in_batch(
        self,
        result: BatchFailure | None = None,
        *,
        error_type: str = "api_error",
        times: int = 1,
        **change: Any,
    ) -> None:
        """Make the next requests of batches fail.

        Args:
            result: The type of the result, `"expired"` for example. None if there is a message.
            error_type: The type of the error if the result is `"errored"`.
            times: How many requests fail.
            change: Fields of the message to replace: `stop_reason="refusal", content=[]`.
        """
        self.batches.plan_fault(result, error_type, times, change)

    def respond(self, request: HttpRequest) -> HttpResponse:
        """Respond to a request.

        Raises:
            Drop: A fault closes the connection.
            Stall: A fault keeps the connection open without a response.
        """
        with self._lock:
            number = next(self._numbers)
            self.calls.append(request)
            fault = self._pop_fault(request)
        if fault.raises is not None:
            raise fault.raises
        try:
            self._check_request(request)
            body = _parse_body(request)
            if request.path in (_MESSAGES, f"{_MESSAGES}/count_tokens"):
                self._check_message(body, required=_REQUIRED if request.path == _MESSAGES else ("model", "messages"))
        except _Rejected as rejection:
            return _build_error(rejection.status, str(rejection), number)
        if fault.status != 200 and fault.body is None:
            return _build_error(fault.status, "Simulated failure", number, fault.code, fault.headers)
        if fault.body is not None:
            return HttpResponse(fault.status, {"Content-Type": "application/json", **fault.headers}, fault.body)
        if request.path == f"{_MESSAGES}/count_tokens":
            return _build_response(200, {"input_tokens": _count_tokens(request.body)}, number)
        if request.path != _MESSAGES:
            return self._respond_about_batch(request, body, number)
        self.requests.append(body)
        return _build_response(200, self._build_message(body, number) | dict(fault.change), number)

    def _respond_about_batch(self, request: HttpRequest, body: Mapping[str, Any], number: int) -> HttpResponse:
        host = request.headers.get("host", "")
        if request.method == "POST":
            try:
                return _build_response(200, self.batches.create(body, host), number)
            except InvalidRequestError as error:
                return _build_error(400, str(error), number)
        match = _BATCH.fullmatch(request.path)
        batch_id, is_results = (match[1], match[2]) if match else ("", None)
        if is_results:
            results = self.batches.read_results(batch_id)
            if results is not None:
                return HttpResponse(200, {"Content-Type": "application/x-jsonl"}, results)
        else:
            batch = self.batches.retrieve(batch_id, host)
            if batch is not None:
                return _build_response(200, batch, number)
        return _build_error(404, "Not found", number)

    def _answer_in_batch(self, params: Mapping[str, Any]) -> dict[str, Any]:
        try:
            self._check_message(params, required=_REQUIRED)
        except _Rejected as rejection:
            raise InvalidRequestError(str(rejection)) from None
        self.requests.append(params)
        return self._build_message(params, next(self._numbers))

    def _pop_fault(self, request: HttpRequest) -> _Fault:
        """Remove the first planned fault that applies to a request, and return it."""
        model = _find_model(request.body)
        fault = next((fault for fault in self._faults if fault.model in (None, model)), None)
        if fault is None:
            return _Fault()
        self._faults.remove(fault)
        return fault

    def _check_request(self, request: HttpRequest) -> None:
        if request.path in (_MESSAGES, _BATCHES, f"{_MESSAGES}/count_tokens"):
            method = "POST"
        elif _BATCH.fullmatch(request.path):
            method = "GET"
        else:
            raise _Rejected(404, "Not found")
        if request.method != method:
            raise _Rejected(405, "Method not allowed")
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or not key or (self.api_key is not None and key != self.api_key):
            raise _Rejected(401, "invalid bearer token")
        if "anthropic-version" not in request.headers:
            raise _Rejected(400, "anthropic-version: header is required")

    def _check_message(self, body: Mapping[str, Any], *, required: tuple[str, ...]) -> None:
        _check_fields(body, required=required)
        for path in self.unsupported:
            if _has_field(body, path):
                raise _Rejected(400, f"{path}: Extra inputs are not permitted")

    def _build_message(self, body: Mapping[str, Any], number: int) -> dict[str, Any]:
        text = json.dumps(self.answer(body))
        usage = {
            "input_tokens": _count_tokens(json.dumps(body).encode()),
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
            "output_tokens": _count_tokens(text.encode()),
            "output_tokens_details": {"thinking_tokens": 0},
            "service_tier": "standard",
            "inference_geo": "global",
            "speed": "standard",
        }
        return {
            "id": f"msg_{number:024d}",
            "type": "message",
            "role": "assistant",
            "model": body["model"],
            "content": [{"type": "text", "text": text}],
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "stop_details": None,
            "usage": usage,
        }


def answer_by_rules(request: Mapping[str, Any]) -> dict[str, Any]:
    """Classify by keyword rules into the four default buckets; the request's last bucket replaces unknown ones."""
    turn = json.loads(request["messages"][-1]["content"])
    text = "\n\n".join(entry["text"] for entry in turn["messages"] if entry.get("classify"))
    message = Message(id="1", role="customer", text=text)
    conversation = Conversation(id="1", subject=turn["subject"], messages=(message,))
    verdict = Rules.default().classify(conversation, Buckets.default())
    properties = request.get("output_config", {}).get("format", {}).get("schema", {}).get("properties", {})
    # Without a schema, the buckets are only in the prompt.
    labels = properties["label"]["enum"] if properties else _BUCKET.findall(request["system"][0]["text"])
    label = verdict.bucket if verdict.bucket in labels else labels[-1]
    extra = {
        name: (field.get("enum") or [""])[0]
        for name, field in properties.items()
        if name not in ("reason", "label", "confidence")
    }
    return {"reason": verdict.reason, "label": label, "confidence": round(verdict.confidence, 2), **extra}


def _find_model(body: bytes) -> str | None:
    try:
        return cast("str | None", json.loads(body).get("model"))
    except (AttributeError, ValueError):
        return None


def _has_field(value: Any, path: str) -> bool:
    for name in path.split("."):
        if not isinstance(value, dict) or name not in value:
            return False
        value = cast("dict[str, Any]", value)[name]
    return True


def _parse_body(request: HttpRequest) -> Mapping[str, Any]:
    if request.method == "GET":
        return {}
    try:
        body: object = json.loads(request.body)
    except ValueError:
        raise _Rejected(400, "The request body is not valid JSON") from None
    if not isinstance(body, dict):
        raise _Rejected(400, "Input should be an object")
    return cast("Mapping[str, Any]", body)


def _check_fields(fields: Mapping[str, Any], *, required: tuple[str, ...]) -> None:
    """Raise `_Rejected` for a message that the API rejects."""
    for name in required:
        if name not in fields:
            raise _Rejected(400, f"{name}: Field required")
    for name in fields:
        if name not in _FIELDS:
            raise _Rejected(400, f"{name}: Extra inputs are not permitted")
    model: str = fields["model"]
    if not model.startswith("claude-"):
        raise _Rejected(404, f"model: {model}")
    output: Mapping[str, Any] = fields.get("output_config", {})
    if "effort" in output and model.startswith(_NO_EFFORT):
        raise _Rejected(400, "This model does not support the effort parameter.")
    if fields.get("thinking") == {"type": "disabled"} and model.startswith(_ALWAYS_THINKS):
        raise _Rejected(400, "thinking.type: disabled is not supported by this model")
    _check_schema(output.get("format", {}).get("schema", {}))


def _check_schema(schema: Mapping[str, Any]) -> None:
    bounds = _NUMERIC_BOUNDS & set(schema)
    if bounds:
        raise _Rejected(400, f"output_config.format.schema: {', '.join(sorted(bounds))} is not supported")
    if schema.get("type") == "object" and schema.get("additionalProperties") is not False:
        raise _Rejected(400, "output_config.format.schema: additionalProperties must be false")
    properties: Mapping[str, Mapping[str, Any]] = schema.get("properties", {})
    for inner in properties.values():
        _check_schema(inner)


def _build_error(
    status: int, message: str, number: int, code: str | None = None, headers: Mapping[str, str] | None = None
) -> HttpResponse:
    error: dict[str, Any] = {"type": _TYPES.get(status, "api_error"), "message": message}
    if code:
        error["details"] = {"error_code": code}
    body = {"type": "error", "error": error, "request_id": _format_request_id(number)}
    return _build_response(status, body, number, headers)


def _build_response(status: int, value: Any, number: int, headers: Mapping[str, str] | None = None) -> HttpResponse:
    all_headers = {"Content-Type": "application/json", "request-id": _format_request_id(number), **(headers or {})}
    return HttpResponse(status, all_headers, json.dumps(value).encode())


def _format_request_id(number: int) -> str:
    return f"req_{number:024d}"


def _count_tokens(text: bytes) -> int:
    return len(text) // 4 + 1  # roughly a tokenizer's count for English
