"""Claude as a classifier: one call to the Messages API per verdict, and a fallback verdict for every failure."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from triage.classifiers.base import AsyncOnlyError, Classifier, hash_texts
from triage.classifiers.claude.answer import (
    AnswerError,
    is_billed,
    join_texts,
    parse_model,
    parse_usage,
    parse_verdict,
)
from triage.classifiers.claude.batch import Batches
from triage.classifiers.claude.client import AsyncOption, Clients, SyncOption, limit_attempt
from triage.classifiers.claude.examples import ExampleSource, find_examples
from triage.classifiers.claude.failures import Failure, combine_failures, describe_failure
from triage.classifiers.claude.features import Feature, find_rejected_features
from triage.classifiers.claude.models import Price
from triage.classifiers.claude.request import Prompt
from triage.classifiers.claude.sdk_log import hide_request
from triage.classifiers.claude.settings import ModelSettings, Settings, create_settings
from triage.environment import unquote
from triage.errors import ConfigurationError
from triage.io.overload import report_overload
from triage.io.ports import IO, AsyncIO, SyncIO, run
from triage.io.retry import RetryPolicy
from triage.log import get_logger
from triage.models import Conversation, Usage, Verdict
from triage.policy import Buckets

logger = get_logger("triage.classifiers.claude")

_CHARACTERS_PER_TOKEN = 3.5  # of English text; the tokenizer of the 5.5 models yields more tokens than older ones
_ANSWER_TOKENS = 80  # of a typical answer: a sentence, a label and a number

_RETRIES = RetryPolicy(first_delay=0.5, longest_delay=8.0)


class Claude(Classifier):
    """Classifies with Claude, which returns a bucket with a reason and a confidence.

    If the API fails, no exception is raised. Instead, the verdict has the fallback bucket, a `fallback_reason`, and
    a reason that says what happened.

    Args:
        model: The id of the model.
        fallback_model: The id of a second model, which is asked if the first one refuses or is not available, within
            the same deadline. It has its own default settings.
        api_key: The API key. By default it is read from `ANTHROPIC_API_KEY` or from the file that
            `ANTHROPIC_API_KEY_FILE` names, or else the SDK looks for credentials in the environment.
        client: Your own `anthropic.Anthropic`, a client for another platform such as `anthropic.AnthropicBedrock`, or a
            function that creates one for each process. By default one is created. Without an `async_client`, async code
            runs it in a thread.
        async_client: Your own `anthropic.AsyncAnthropic` for async code, which belongs to one event loop, or a function
            that creates one for each event loop. Without a `client`, sync code cannot use the classifier.
        deadline: Seconds for a verdict, including all attempts and the delays between them.
        attempt_timeout: Seconds for one attempt. Default: the time limit of your own client if it has one, otherwise
            two thirds of the deadline, at least 10 seconds.
        instructions: Text to append to the system prompt, for rules that bucket descriptions cannot express.
        extra: Further fields to request in the same call, by name. A string describes the value, a list restricts it:
            `{"language": "The message's language, as ISO 639-1", "sentiment": ["positive", "neutral", "negative"]}`
        examples: Finds labeled messages that resemble a conversation, for its prompt: `NearestExamples(dataset)`. The
            examples of a `Bucket` are in every prompt instead.
        prices: Prices by model id, for discounts and for models that the built-in table does not include.
        max_tokens: The limit for the output, instead of the model's default.
        effort: The effort, instead of the model's default, for models that support it.
        thinking: The thinking, instead of the model's default, for models that support it: `{"type": "adaptive"}`.
        structured_outputs: True to always send a JSON schema of the answer, False to describe it in the prompt instead.
            By default, the schema is left out once the API has rejected it, as Amazon Bedrock does for some models.

    Raises:
        ConfigurationError: A setting is invalid, or the model does not support it.
    """

    def __init__(
        self,
        model: str = "claude-haiku-5-5",
        *,
        fallback_model: str | None = None,
        api_key: str | None = None,
        client: SyncOption = None,
        async_client: AsyncOption = None,
        deadline: float = 15.0,
        attempt_timeout: float | None = None,
        instructions: str = "",
        extra: Mapping[str, str | Sequence[str]] | None = None,
        examples: ExampleSource | None = None,
        prices: Mapping[str, Price] | None = None,
        max_tokens: int | None = None,
        effort: str | None = None,
        thinking: Mapping[str, Any] | None = None,
        structured_outputs: bool | None = None,
    ) -> None:
        api_key = None if api_key is None else unquote(api_key)
        self._settings = create_settings(
            model=model,
            fallback_model=fallback_model,
            api_key=api_key,
            has_client=client is not None or async_client is not None,
            deadline=deadline,
            attempt_timeout=attempt_timeout,
            instructions=instructions,
            extra=extra or {},
            examples=examples,
            prices=prices or {},
            max_tokens=max_tokens,
            effort=effort,
            thinking=thinking,
            structured_outputs=structured_outputs,
        )
        self.model = model
        self.fallback_model = fallback_model
        self.extra = self._settings.extra
        self._clients = Clients(api_key, client, async_client)
        self._clock: Callable[[], float] = time.monotonic
        self._rejected: dict[tuple[bool, str], frozenset[Feature]] = {}
        self._prompts: dict[tuple[str, frozenset[Feature]], Prompt] = {}
        self.priced = all(model.price is not None for model in self._settings.models)

    def __repr__(self) -> str:
        fallback_model = f", fallback_model={self.fallback_model!r}" if self.fallback_model else ""
        return f"Claude({self.model!r}{fallback_model})"

    @property
    def is_async_only(self) -> bool:
        """True if you passed only an `async_client`."""
        return self._clients.is_async_only

    def classify(self, conversation: Conversation, buckets: Buckets) -> Verdict:
        """Choose the bucket of a conversation.

        Args:
            conversation: The conversation, with the customer's messages to classify.
            buckets: The buckets to choose from.

        Raises:
            ConfigurationError: There is only an async client.
        """
        if self.is_async_only:
            raise _SyncClientMissingError
        return run(self._start(conversation, buckets, SyncIO(), self._clients.get).run())

    async def classify_async(self, conversation: Conversation, buckets: Buckets) -> Verdict:
        """Choose the bucket of a conversation in async code.

        Args:
            conversation: The conversation, with the customer's messages to classify.
            buckets: The buckets to choose from.
        """
        if self._clients.is_sync_only:
            return await super().classify_async(conversation, buckets)
        return await self._start(conversation, buckets, AsyncIO(), self._clients.get_async).run()

    def _start(
        self, conversation: Conversation, buckets: Buckets, io: IO, get_client: Callable[[], Any]
    ) -> "_Classification":
        return _Classification(
            settings=self._settings,
            conversation=conversation,
            buckets=buckets,
            io=io,
            get_client=get_client,
            clock=self._clock,
            rejected=self._rejected,
            prompts=self._prompts,
        )

    def build_request(self, conversation: Conversation, buckets: Buckets) -> dict[str, Any]:
        """Return the request to the Messages API, for inspection or for counting its tokens.

        Args:
            conversation: The conversation, with the customer's messages to classify.
            buckets: The buckets to choose from.
        """
        examples = find_examples(self._settings.examples, conversation, buckets)
        return Prompt(self._settings, self._settings.models[0], buckets).build_request(conversation, examples)

    @property
    def batches(self) -> Batches:
        """The Message Batches API, which returns verdicts at half the price, within a day."""
        return Batches(self._settings, self._clients)

    def describe(self, buckets: Buckets) -> str:
        """Describe the model, the parameters and the prompt, without the conversation.

        Args:
            buckets: The buckets to choose from.
        """
        request = self.build_request(Conversation(id="1"), buckets)
        prompt = "\n\n".join(block["text"] for block in request.pop("system"))
        parameters = {name: value for name, value in request.items() if name not in ("messages", "metadata")}
        lines = [f"{name}: {json.dumps(value, sort_keys=True)}" for name, value in parameters.items()]
        if self.fallback_model:
            lines.append(f"fallback_model: {json.dumps(self.fallback_model)}")
        if self._settings.examples is not None:
            lines.append(f"examples: {self._settings.examples.describe()}")
        return "\n".join([*lines, "", prompt])

    def fingerprint(self, conversation: Conversation, buckets: Buckets) -> str:
        """Return a hash of the request to Claude.

        Args:
            conversation: The conversation.
            buckets: The buckets to choose from.
        """
        request = self.build_request(conversation, buckets)
        request.pop("metadata", None)
        return hash_texts(json.dumps(request, sort_keys=True), self.fallback_model or "")

    def estimate_cost(self, conversation: Conversation, buckets: Buckets) -> float | None:
        """Return the approximate cost of a verdict of the first model, without a call and without the prompt cache.

        Args:
            conversation: The conversation.
            buckets: The buckets to choose from.

        Returns:
            None if the model's price is not known.
        """
        price = self._settings.models[0].price
        if price is None:
            return None
        request = self.build_request(conversation, buckets)
        characters = len(json.dumps([request["system"], request["messages"], request.get("output_config")]))
        usage = Usage(input_tokens=round(characters / _CHARACTERS_PER_TOKEN), output_tokens=_ANSWER_TOKENS)
        return price.calculate_cost(usage)

    def warm_up(self) -> None:
        """Import the SDK and create the clients, which takes about a second. This makes no network call.

        On an event loop, create the async client as well.

        Raises:
            ConfigurationError: There is no API key, or a client cannot be created.
        """
        self._clients.warm_up()

    def close(self) -> None:
        """Close the sync client, unless you passed it in."""
        self._clients.close()

    async def aclose(self) -> None:
        """Close the sync client and the async client of the running event loop, unless you passed them in."""
        await self._clients.aclose()

    async def leave_loop(self) -> None:
        """Close the async client of the running event loop, unless you passed it in."""
        await self._clients.leave_loop()


class _SyncClientMissingError(AsyncOnlyError):
    def __init__(self) -> None:
        ConfigurationError.__init__(
            self,
            "Claude has an async_client but no client for sync code: pass client= as well, or call handle_async().",
        )


@dataclass(kw_only=True)
class _Query:
    """The state of the calls to one model."""

    model: ModelSettings
    prompt: Prompt
    request: dict[str, Any]
    failed_calls: int = 0
    was_truncated: bool = False


@dataclass(kw_only=True)
class _Classification:
    """One classification: calls Claude until there is a verdict or the deadline has passed."""

    settings: Settings
    conversation: Conversation
    buckets: Buckets
    io: IO
    get_client: Callable[[], Any]
    clock: Callable[[], float]
    rejected: dict[tuple[bool, str], frozenset[Feature]]
    """The features that the API has rejected, for the sync and the async client and by model. Two threads that discover
    a rejection at the same time may overwrite each other's entry; the feature is then rejected once more."""
    prompts: dict[tuple[str, frozenset[Feature]], Prompt]
    """The most recent prompts by model and features that are left out."""

    def __post_init__(self) -> None:
        self._started = self.clock()
        self._usage = Usage()
        self._examples: list[dict[str, Any]] = []
        self._cost = None if self.settings.models[0].price is None else 0.0

    async def run(self) -> Verdict:
        """Return a verdict, or a fallback verdict."""
        if self.settings.examples is not None:
            # Comparing with thousands of messages takes some milliseconds, during which an event loop must not stop.
            find = partial(find_examples, self.settings.examples, self.conversation, self.buckets)
            self._examples = await self.io.run_blocking(find)
        first, *others = self.settings.models
        query = self._create_query(first)
        result = await self._ask(query)
        for model in others:
            if isinstance(result, Verdict) or not result.may_ask_another_model:
                break
            logger.log(
                result.level,
                "asking %s: %s (request id %s)",
                model.id,
                result.reason,
                result.request_id,
                extra={"conversation_id": self.conversation.id},
            )
            earlier = {query.model.id: result}
            query = self._create_query(model)
            result = await self._ask(query)
            if isinstance(result, Failure):
                result = combine_failures(earlier | {model.id: result})
        return result if isinstance(result, Verdict) else self._fall_back(query, result)

    def _create_query(self, model: ModelSettings) -> _Query:
        self._model = model.id
        prompt = self._get_prompt(model, self._get_rejected(model))
        return _Query(model=model, prompt=prompt, request=prompt.build_request(self.conversation, self._examples))

    def _get_prompt(self, model: ModelSettings, left_out: frozenset[Feature]) -> Prompt:
        prompt = self.prompts.get((model.id, left_out))
        if prompt is None or prompt.buckets is not self.buckets:
            prompt = self.prompts[model.id, left_out] = Prompt(self.settings, model, self.buckets, left_out)
        return prompt

    async def _ask(self, query: _Query) -> Verdict | Failure:
        """Call a model until there is a verdict, it fails for good, or its time is up."""
        end = self.settings.get_end(query.model)
        while (remaining := end - self._get_elapsed()) > 0:
            rejected: frozenset[Feature] = frozenset()
            try:
                answer, request_id = await self._call(query, remaining)
            except Exception as error:  # noqa: BLE001 - clients of other platforms raise errors of other packages
                rejected = self._find_rejected(query, error)
                failure = describe_failure(error)
            else:
                result = self._evaluate(query, answer, request_id)
                if result is None:
                    continue
                return result
            # Leave the `except` block first: a cancellation must not carry the error, which may quote the request.
            if rejected:
                self._leave_out(query, rejected)
                continue
            if failure.is_transient:
                report_overload()
            query.failed_calls += 1
            delay = self._get_delay(query, failure, end)
            if delay is None:
                return failure
            await self.io.sleep(delay)
        return Failure(reason=f"Claude did not respond within {end:g} s", is_transient=True)

    async def _call(self, query: _Query, remaining: float) -> tuple[object, str | None]:
        """Call the API once, and return the parsed JSON of its answer and the id of the request.

        The SDK's own objects would take longer to create than all else that it does. The limit applies to the whole
        call.
        """
        client = self.get_client()
        timeout, limit = limit_attempt(
            client,
            attempt_timeout=self.settings.attempt_timeout,
            default=self.settings.default_attempt_timeout,
            remaining=remaining,
        )
        create = partial(client.messages.with_raw_response.create, **query.request, timeout=timeout)
        with hide_request():
            response = (await self.io.call(create, limit=limit)).http_response
        return response.json(), response.headers.get("request-id")

    def _get_elapsed(self) -> float:
        return self.clock() - self._started

    def _get_delay(self, query: _Query, failure: Failure, end: float) -> float | None:
        """Return the seconds until the next attempt, or None to give up."""
        if not failure.is_transient:
            return None
        limit = end - self._get_elapsed()
        return _RETRIES.next_delay(query.failed_calls, retry_after=failure.retry_after, limit=limit)

    def _get_rejected(self, model: ModelSettings) -> frozenset[Feature]:
        return self.rejected.get((self.io.is_async, model.id), frozenset())

    def _find_rejected(self, query: _Query, error: Exception) -> frozenset[Feature]:
        """Return the features that were rejected and that the next request can do without."""
        return (find_rejected_features(error) & query.model.optional) - self._get_rejected(query.model)

    def _leave_out(self, query: _Query, features: frozenset[Feature]) -> None:
        """Build the request again without some features, and remember this for later messages."""
        model = query.model
        logger.warning("requests to %s omit %s, which its API rejects", model.id, ", ".join(sorted(features)))
        self.rejected[self.io.is_async, model.id] = self._get_rejected(model) | features
        other = self._create_query(model)
        query.prompt, query.request = other.prompt, other.request

    def _evaluate(self, query: _Query, answer: object, request_id: str | None) -> Verdict | Failure | None:
        """Return the verdict for an answer, or None to ask again, once, with a higher `max_tokens`."""
        self._count(query.model, answer)
        try:
            quotable = join_texts(self.conversation, self._examples)
            content = parse_verdict(answer, self.buckets, self.settings.extra, quotable)
        except AnswerError as error:
            if error.truncated and not query.was_truncated:
                query.was_truncated = True
                query.request["max_tokens"] *= 2
                return None
            return Failure(reason=str(error), request_id=request_id, kind=error.kind)
        return self._build_verdict(query, **content)

    def _count(self, model: ModelSettings, answer: object) -> None:
        """Add the tokens and the cost of an answer, and record which model returned it."""
        usage = parse_usage(answer)
        self._usage = Usage(**{name: getattr(self._usage, name) + count for name, count in usage})
        self._model = parse_model(answer, model.id)
        if is_billed(answer):
            price = model.price
            self._cost = None if price is None or self._cost is None else self._cost + price.calculate_cost(usage)

    def _build_verdict(self, query: _Query, **content: Any) -> Verdict:
        return Verdict(
            **content,
            model=self._model,
            usage=self._usage,
            cost_usd=self._cost,
            latency=self._get_elapsed(),
            prompt_version=query.prompt.hash(),
        )

    def _fall_back(self, query: _Query, failure: Failure) -> Verdict:
        logger.log(
            failure.level,
            "no verdict: %s (request id %s)",
            failure.reason,
            failure.request_id,
            extra={"conversation_id": self.conversation.id},
        )
        return self._build_verdict(
            query,
            bucket=self.buckets.fallback.name,
            confidence=0.0,
            reason=failure.reason,
            fallback_reason=failure.kind,
            retry_after=failure.retry_after if failure.kind == "unavailable" else None,
        )
