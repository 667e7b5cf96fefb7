"""Claude's Message Batches: verdicts at half the price, most of them within an hour and all of them within a day.

https://platform.claude.com/docs/en/build-with-claude/batch-processing
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from triage.classifiers.claude.answer import (
    AnswerError,
    is_billed,
    join_texts,
    parse_model,
    parse_usage,
    parse_verdict,
)
from triage.classifiers.claude.client import Clients
from triage.classifiers.claude.examples import find_examples
from triage.classifiers.claude.failures import describe_failure, format_error_type
from triage.classifiers.claude.request import Prompt
from triage.classifiers.claude.sdk_log import hide_request
from triage.classifiers.claude.settings import Settings
from triage.errors import ClassifierError, ConfigurationError
from triage.io.retry import RetryPolicy
from triage.models import Conversation, FallbackReason, Verdict
from triage.policy import Buckets

PRICE_FACTOR = 0.5

_MAX_REQUESTS = 100_000
_MAX_BYTES = 256_000_000
_ENVELOPE_BYTES = 32  # of the JSON around a request
_FIRST_POLL, _LONGEST_POLL = 5.0, 60.0  # seconds
_RETRIES = RetryPolicy(attempts=10, first_delay=1.0, longest_delay=60.0)


@dataclass(frozen=True)
class BatchAnswer:
    """A verdict from a batch.

    Args:
        verdict: The verdict, which may be a fallback verdict.
        is_final: False if the same question may yield another verdict, so that this one must not be stored.
    """

    verdict: Verdict
    is_final: bool = True


class Batches:
    """The batches of a `Claude`.

    Args:
        settings: The settings of the classifier.
        clients: Its clients. Batches use the sync one.
        sleep: Waits for a number of seconds, in tests for none.

    Raises:
        ConfigurationError: The settings or the clients do not allow batches.
    """

    def __init__(
        self,
        settings: Settings,
        clients: Clients,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        model, *others = settings.models
        if others:
            raise ConfigurationError(
                "A batch asks one model, and this Claude has a fallback_model: pass a Claude without it."
            )
        if clients.is_async_only:
            raise ConfigurationError("Batches need a sync client: pass Claude(client=…) as well.")
        self._settings = settings
        self._model = model
        self._clients = clients
        self._sleep = sleep

    def build_chunks(
        self, questions: Iterable[tuple[str, Conversation]], buckets: Buckets
    ) -> Iterator[list[dict[str, Any]]]:
        """Yield the requests, in as many lists as batches are needed.

        Args:
            questions: The conversations, each with an id that is unique: up to 64 letters, digits, `-` and `_`.
            buckets: The buckets to choose from.
        """
        prompt = Prompt(self._settings, self._model, buckets)
        chunk: list[dict[str, Any]] = []
        total = 0
        for custom_id, conversation in questions:
            examples = find_examples(self._settings.examples, conversation, buckets)
            request = {"custom_id": custom_id, "params": prompt.build_request(conversation, examples)}
            size = len(json.dumps(request)) + _ENVELOPE_BYTES
            if chunk and (len(chunk) >= _MAX_REQUESTS or total + size > _MAX_BYTES):
                yield chunk
                chunk, total = [], 0
            chunk.append(request)
            total += size
        if chunk:
            yield chunk

    async def create(self, requests: Sequence[Mapping[str, Any]], save: Callable[[str], None]) -> str:
        """Create a batch, which begins at once, and return its id.

        The call is never repeated, because a batch whose id was lost would be paid twice.

        Args:
            requests: One of the lists of `build_chunks`.
            save: Stores the id of the batch. It is called even if this coroutine is canceled in the meantime.

        Raises:
            ClassifierError: The API rejected the batch or could not be reached.
            ConfigurationError: The API of the client has no batches.
        """

        def create(batches: Any) -> str:
            batch_id = str(batches.create(requests=requests).id)
            save(batch_id)
            return batch_id

        batch_id: str = await asyncio.to_thread(self._call, create, "a batch cannot be created")
        return batch_id

    async def wait(self, batch_id: str) -> None:
        """Wait until a batch has ended.

        Args:
            batch_id: The id of the batch.

        Raises:
            ClassifierError: There is no such batch, or the API could not be reached for a long time.
        """
        delay = _FIRST_POLL
        while True:
            batch = await self._repeat(
                lambda batches: batches.retrieve(batch_id), f"the batch {batch_id} cannot be retrieved"
            )
            if getattr(batch, "processing_status", None) == "ended":
                return
            await self._sleep(delay)
            delay = min(_LONGEST_POLL, delay * 1.5)

    async def read_results(
        self, batch_id: str, conversations: Mapping[str, Conversation], buckets: Buckets
    ) -> dict[str, BatchAnswer]:
        """Return the verdicts of a batch that has ended, by the ids of the questions.

        Args:
            batch_id: The id of the batch.
            conversations: The conversations by the ids of the questions. Other results of the batch are left out.
            buckets: The buckets that the batch was created with.

        Raises:
            ClassifierError: The results are not available.
        """
        prompt_version = Prompt(self._settings, self._model, buckets).hash()

        def read(batches: Any) -> dict[str, BatchAnswer]:
            answers: dict[str, BatchAnswer] = {}
            for line in batches.results(batch_id):
                custom_id: object = getattr(line, "custom_id", None)
                if isinstance(custom_id, str) and custom_id in conversations:
                    result: object = getattr(line, "result", None)
                    answers[custom_id] = self._read_result(result, conversations[custom_id], buckets, prompt_version)
            return answers

        answers: dict[str, BatchAnswer] = await self._repeat(
            read, f"the results of the batch {batch_id} cannot be read"
        )
        return answers

    async def _repeat(self, call: Callable[[Any], Any], problem: str) -> Any:
        """Call the API in a thread until it succeeds or fails for good. The call must change nothing."""
        attempt = 0
        while True:
            try:
                return await asyncio.to_thread(self._call, call, problem)
            except _CallError as error:
                attempt += 1
                delay = _RETRIES.next_delay(attempt, retry_after=error.retry_after) if error.is_transient else None
                if delay is None:
                    raise
            await self._sleep(delay)

    def _call(self, call: Callable[[Any], Any], problem: str) -> Any:
        batches = getattr(self._clients.get().messages, "batches", None)
        if batches is None:
            raise ConfigurationError("The API of Claude's client has no batches: use Anthropic's own API.")
        try:
            with hide_request():
                return call(batches)
        except Exception as error:  # noqa: BLE001 - clients of other platforms raise errors of other packages
            failure = describe_failure(error)
        # Leave the `except` block first: the exception may quote the request.
        raise _CallError(
            f"{problem}: {failure.reason}", is_transient=failure.is_transient, retry_after=failure.retry_after
        )

    def _read_result(self, result: object, conversation: Conversation, buckets: Buckets, version: str) -> BatchAnswer:
        fields: dict[str, Any] = {"model": self._model.id, "cost_usd": 0.0, "prompt_version": version}
        match getattr(result, "type", None):
            case "succeeded":
                message: Any = getattr(result, "message", None)
                # The SDK's objects have the form of the JSON, whatever it is.
                answer: object = message.to_dict(warnings=False) if hasattr(message, "to_dict") else message
                return self._read_message(answer, conversation, buckets, fields)
            case "expired":
                reason = "the batch expired before Claude answered"
            case "canceled":
                reason = "the batch was canceled"
            case _:
                error_type: object = getattr(getattr(getattr(result, "error", None), "error", None), "type", None)
                reason = f"Claude returned an error{format_error_type(error_type)}"
        return BatchAnswer(_fall_back(buckets, reason, "unavailable", fields), is_final=False)

    def _read_message(
        self, message: object, conversation: Conversation, buckets: Buckets, fields: dict[str, Any]
    ) -> BatchAnswer:
        usage, price = parse_usage(message), self._model.price
        if is_billed(message):
            fields["cost_usd"] = None if price is None else price.calculate_cost(usage) * PRICE_FACTOR
        fields |= {"usage": usage, "model": parse_model(message, self._model.id)}
        try:
            quotable = join_texts(conversation, find_examples(self._settings.examples, conversation, buckets))
            content = parse_verdict(message, buckets, self._settings.extra, quotable)
        except AnswerError as error:
            # A single call would be repeated with a higher limit if the answer was cut off.
            return BatchAnswer(_fall_back(buckets, str(error), error.kind, fields), is_final=not error.truncated)
        return BatchAnswer(Verdict(**content, **fields))


class _CallError(ClassifierError):
    def __init__(self, reason: str, *, is_transient: bool, retry_after: float | None) -> None:
        super().__init__(reason)
        self.is_transient = is_transient
        self.retry_after = retry_after


def _fall_back(buckets: Buckets, reason: str, kind: FallbackReason, fields: Mapping[str, Any]) -> Verdict:
    bucket = buckets.fallback.name
    return Verdict(bucket=bucket, confidence=0.0, reason=reason, fallback_reason=kind, **fields)
