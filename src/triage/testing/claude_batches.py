"""A fake of Claude's Message Batches API, a part of `FakeClaude`.

https://platform.claude.com/docs/en/build-with-claude/batch-processing
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Literal, TypeAlias, cast

BatchFailure: TypeAlias = Literal["errored", "expired", "canceled"]

_CUSTOM_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_CREATED_AT, _EXPIRES_AT = "2026-11-26T12:00:00Z", "2026-11-27T12:00:00Z"


class InvalidRequestError(Exception):
    """A request that the API rejects, to create a batch or as a part of one."""


@dataclass(frozen=True)
class _Fault:
    result: BatchFailure | None
    error_type: str
    change: Mapping[str, Any]


@dataclass
class _Batch:
    requests: Sequence[Mapping[str, Any]]
    polls_left: int
    results: list[Mapping[str, Any]] = field(default_factory=list[Mapping[str, Any]])


class FakeBatches:
    """The batches of a `FakeClaude`.

    Args:
        answer: Takes the parameters of a request and returns the message, or raises `InvalidRequestError`.

    Attributes:
        polls: How many times a new batch is still in progress when it is retrieved.
    """

    def __init__(self, answer: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> None:
        self.polls = 1
        self._answer = answer
        self._batches: dict[str, _Batch] = {}
        self._faults: list[_Fault] = []
        self._lock = Lock()

    def plan_fault(self, result: BatchFailure | None, error_type: str, times: int, change: Mapping[str, Any]) -> None:
        """Plan a fault for the next requests whose batch is created."""
        with self._lock:
            self._faults += [_Fault(result, error_type, change)] * times

    def create(self, body: Mapping[str, Any], host: str) -> dict[str, Any]:
        """Create a batch and return it.

        Args:
            body: The JSON of the request.
            host: The host and port of the API, for the URL of the results.

        Raises:
            InvalidRequestError: The API rejects the batch.
        """
        requests = _check_requests(body)
        with self._lock:
            batch_id = f"msgbatch_{len(self._batches) + 1:024d}"
            batch = self._batches[batch_id] = _Batch(requests, self.polls)
            for request in requests:
                fault = self._faults.pop(0) if self._faults else _Fault(None, "", {})
                batch.results.append({"custom_id": request["custom_id"], "result": self._process(request, fault)})
        return _describe(batch_id, batch, host)

    def retrieve(self, batch_id: str, host: str) -> dict[str, Any] | None:
        """Return a batch, or None if there is none with this id. Each call is one poll."""
        with self._lock:
            batch = self._batches.get(batch_id)
            if batch is None:
                return None
            description = _describe(batch_id, batch, host)
            batch.polls_left = max(0, batch.polls_left - 1)
            return description

    def read_results(self, batch_id: str) -> bytes | None:
        """Return the results as JSON Lines, in another order than the requests; None if there are none yet."""
        with self._lock:
            batch = self._batches.get(batch_id)
            if batch is None or batch.polls_left:
                return None
            return b"".join(json.dumps(result).encode() + b"\n" for result in reversed(batch.results))

    def _process(self, request: Mapping[str, Any], fault: _Fault) -> dict[str, Any]:
        if fault.result == "errored":
            return _build_error(fault.error_type, "Simulated failure")
        if fault.result is not None:
            return {"type": fault.result}
        try:
            message = self._answer(request["params"])
        except InvalidRequestError as error:  # a batch is accepted before its requests are checked
            return _build_error("invalid_request_error", str(error))
        return {"type": "succeeded", "message": {**message, **fault.change}}


def _build_error(error_type: str, message: str) -> dict[str, Any]:
    error = {"type": error_type, "message": message}
    return {"type": "errored", "error": {"type": "error", "error": error, "request_id": None}}


def _check_requests(body: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    requests: object = body.get("requests")
    if not isinstance(requests, list) or not requests:
        raise InvalidRequestError("requests: Field required")
    seen: set[str] = set()
    for request in cast("list[Mapping[str, Any]]", requests):
        custom_id = request.get("custom_id")
        if not isinstance(custom_id, str) or not _CUSTOM_ID.fullmatch(custom_id):
            raise InvalidRequestError("requests: custom_id: String should match pattern '^[a-zA-Z0-9_-]{1,64}$'")
        if custom_id in seen:
            raise InvalidRequestError("requests: custom_id must be unique within a batch")
        if not isinstance(request.get("params"), dict):
            raise InvalidRequestError("requests: params: Field required")
        seen.add(custom_id)
    return cast("list[Mapping[str, Any]]", requests)


def _describe(batch_id: str, batch: _Batch, host: str) -> dict[str, Any]:
    has_ended = batch.polls_left == 0
    counts = dict.fromkeys(("processing", "succeeded", "errored", "canceled", "expired"), 0)
    if has_ended:
        for result in batch.results:
            counts[result["result"]["type"]] += 1
    else:  # all requests count as in progress until the whole batch has ended
        counts["processing"] = len(batch.requests)
    return {
        "id": batch_id,
        "type": "message_batch",
        "processing_status": "ended" if has_ended else "in_progress",
        "request_counts": counts,
        "created_at": _CREATED_AT,
        "expires_at": _EXPIRES_AT,
        "ended_at": _CREATED_AT if has_ended else None,
        "cancel_initiated_at": None,
        "archived_at": None,
        "results_url": f"http://{host}/v1/messages/batches/{batch_id}/results" if has_ended else None,
    }
