"""Claude as a classifier: one call to the Messages API per verdict, and a fallback verdict for every failure."""

import hashlib
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from triage.classifiers.base import Classifier
from triage.classifiers.claude.answer import AnswerError, is_billed, parse_model, parse_usage, parse_verdict
from triage.classifiers.claude.client import Clients
from triage.classifiers.claude.failures import Failure, describe_failure, get_expected_exceptions
from triage.classifiers.claude.models import PROFILES, UNKNOWN, Price, Profile
from triage.classifiers.claude.prompt import build_schema, build_system_prompt, build_user_turn
from triage.errors import ConfigurationError
from triage.io.ports import IO, AsyncIO, SyncIO, run
from triage.io.retry import RetryPolicy
from triage.models import Conversation, Usage, Verdict
from triage.policy import Buckets

if TYPE_CHECKING:
    import anthropic

logger = logging.getLogger("triage.classifiers.claude")

_ATTEMPT_TIMEOUT = 10.0  # seconds; the SDK's own default is ten minutes
_RETRIES = RetryPolicy(first_delay=0.5, longest_delay=8.0)
_RESERVED_NAMES = ("reason", "label", "confidence", "bucket", "customer_name")


class Claude(Classifier):
    """Classifies with Claude, which returns a bucket with a reason and a confidence.

    If the API fails, no exception is raised. Instead, the verdict has the fallback bucket, a `fallback_reason`, and
    a reason that says what happened.

    Args:
        model: The id of the model.
        api_key: The API key. By default the SDK looks for one in the environment, first in `ANTHROPIC_API_KEY`.
        client: Your own `anthropic.Anthropic` for sync code. By default one is created.
        async_client: Your own `anthropic.AsyncAnthropic` for async code. It belongs to one event loop.
        deadline: Seconds for a verdict, including all attempts and the delays between them.
        instructions: Text to append to the system prompt, for rules that bucket descriptions cannot express.
        extra: Further fields to request in the same call, by name. A string describes the value, a list restricts it:
            `{"language": "The message's language, as ISO 639-1", "sentiment": ["positive", "neutral", "negative"]}`
        prices: Prices by model id, for discounts and for models that the built-in table does not include.
        max_tokens: The limit for the output, instead of the model's default.
        effort: The effort, instead of the model's default, for models that support it.
        thinking: The thinking, instead of the model's default, for models that support it: `{"type": "adaptive"}`.

    Raises:
        ConfigurationError: A setting is invalid, or the model does not support it.
    """

    def __init__(
        self,
        model: str = "claude-haiku-5-5",
        *,
        api_key: str | None = None,
        client: "anthropic.Anthropic | None" = None,
        async_client: "anthropic.AsyncAnthropic | None" = None,
        deadline: float = 15.0,
        instructions: str = "",
        extra: Mapping[str, str | Sequence[str]] | None = None,
        prices: Mapping[str, Price] | None = None,
        max_tokens: int | None = None,
        effort: str | None = None,
        thinking: Mapping[str, Any] | None = None,
    ) -> None:
        profile = PROFILES.get(model, UNKNOWN)
        _check_settings(model, api_key, deadline, max_tokens)
        _check_extra(extra or {})
        _check_support(model, profile, effort, thinking)
        self.model = model
        self.extra = dict(extra or {})
        self._deadline = deadline
        self._instructions = instructions
        self._price = {**(prices or {})}.get(model, profile.price)
        self._max_tokens = max_tokens or profile.max_tokens
        self._effort = effort or profile.effort
        self._thinking = thinking or profile.thinking
        self._clients = Clients(api_key, client, async_client)
        self._clock: Callable[[], float] = time.monotonic
        self.priced = self._price is not None

    def __repr__(self) -> str:
        return f"Claude({self.model!r})"

    def classify(self, conversation: Conversation, buckets: Buckets) -> Verdict:
        """Choose the bucket of a conversation.

        Args:
            conversation: The conversation, with the customer's last message to classify.
            buckets: The buckets to choose from.
        """
        return run(self._start(conversation, buckets, SyncIO(), self._clients.get).run())

    async def classify_async(self, conversation: Conversation, buckets: Buckets) -> Verdict:
        """Choose the bucket of a conversation in async code.

        Args:
            conversation: The conversation, with the customer's last message to classify.
            buckets: The buckets to choose from.
        """
        return await self._start(conversation, buckets, AsyncIO(), self._clients.get_async).run()

    def _start(
        self, conversation: Conversation, buckets: Buckets, io: IO, get_client: Callable[[], Any]
    ) -> "_Classification":
        return _Classification(
            request=self.build_request(conversation, buckets),
            buckets=buckets,
            extra=self.extra,
            price=self._price,
            deadline=self._deadline,
            io=io,
            get_client=get_client,
            clock=self._clock,
        )

    def build_request(self, conversation: Conversation, buckets: Buckets) -> dict[str, Any]:
        """Return the request to the Messages API, for inspection or for counting its tokens.

        Args:
            conversation: The conversation, with the customer's last message to classify.
            buckets: The buckets to choose from.
        """
        output: dict[str, Any] = {"format": {"type": "json_schema", "schema": build_schema(buckets, self.extra)}}
        request: dict[str, Any] = {
            "model": self.model,
            "max_tokens": self._max_tokens,
            "system": [
                {
                    "type": "text",
                    "text": build_system_prompt(buckets, self.extra, self._instructions),
                    "cache_control": {"type": "ephemeral"},
                }
            ],
            "messages": [{"role": "user", "content": build_user_turn(conversation)}],
            "output_config": output | ({"effort": self._effort} if self._effort else {}),
        }
        if self._thinking:
            request["thinking"] = dict(self._thinking)
        if conversation.customer.id:
            # Anthropic asks for an opaque id to detect abuse, so do not send the customer's real id.
            request["metadata"] = {"user_id": hashlib.sha256(conversation.customer.id.encode()).hexdigest()[:32]}
        return request

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


@dataclass(kw_only=True)
class _Classification:
    """One classification: calls Claude until there is a verdict or the deadline has passed."""

    request: dict[str, Any]
    buckets: Buckets
    extra: Mapping[str, str | Sequence[str]]
    price: Price | None
    deadline: float
    io: IO
    get_client: Callable[[], Any]
    clock: Callable[[], float]

    def __post_init__(self) -> None:
        self._started = self.clock()
        self._model: str = self.request["model"]
        self._prompt_version = _hash_prompt(self.request)
        self._usage = Usage()
        self._cost = None if self.price is None else 0.0
        self._failed_calls = 0
        self._was_truncated = False

    async def run(self) -> Verdict:
        """Return a verdict, or a fallback verdict."""
        while (remaining := self._get_remaining()) > 0:
            try:
                answer = await self._call(min(remaining, _ATTEMPT_TIMEOUT))
            except get_expected_exceptions() as error:
                failure = describe_failure(error)
            else:
                verdict = self._evaluate(answer)
                if verdict is None:
                    continue
                return verdict
            # Leave the `except` block first: a cancellation must not carry the error, which may quote the request.
            self._failed_calls += 1
            delay = self._get_delay(failure)
            if delay is None:
                return self._fall_back(failure)
            await self.io.sleep(delay)
        return self._fall_back(Failure(reason=f"Claude did not respond within {self.deadline:g} s"))

    async def _call(self, limit: float) -> object:
        """Call the API once.

        In async code, `limit` applies to the whole call. A thread cannot be interrupted, so in sync code it applies to
        each read, and a server that sends single bytes slowly can exceed it.
        """
        create = self.get_client().messages.create
        answer: object = await self.io.call(partial(create, **self.request, timeout=limit), limit=limit)
        return answer

    def _get_remaining(self) -> float:
        """Return the seconds until the deadline."""
        return self.deadline - (self.clock() - self._started)

    def _get_delay(self, failure: Failure) -> float | None:
        """Return the seconds until the next attempt, or None to give up."""
        if not failure.is_transient:
            return None
        return _RETRIES.next_delay(self._failed_calls, retry_after=failure.retry_after, limit=self._get_remaining())

    def _evaluate(self, answer: object) -> Verdict | None:
        """Return the verdict for an answer, or None to ask again, once, with a higher `max_tokens`."""
        self._count(answer)
        try:
            return self._build_verdict(**parse_verdict(answer, self.buckets, self.extra))
        except AnswerError as error:
            if error.truncated and not self._was_truncated:
                self._was_truncated = True
                self.request["max_tokens"] *= 2
                return None
            request_id = getattr(answer, "_request_id", None)
            return self._fall_back(Failure(reason=str(error), request_id=request_id, kind=error.kind))

    def _count(self, answer: object) -> None:
        """Add the tokens and the cost of an answer, and record which model returned it."""
        usage = parse_usage(answer)
        self._usage = Usage(**{name: getattr(self._usage, name) + count for name, count in usage})
        if self.price is not None and self._cost is not None and is_billed(answer):
            self._cost += self.price.calculate_cost(usage)
        self._model = parse_model(answer, self.request["model"])

    def _build_verdict(self, **content: Any) -> Verdict:
        return Verdict(
            **content,
            model=self._model,
            usage=self._usage,
            cost_usd=self._cost,
            latency=self.clock() - self._started,
            prompt_version=self._prompt_version,
        )

    def _fall_back(self, failure: Failure) -> Verdict:
        logger.log(failure.level, "no verdict: %s (request id %s)", failure.reason, failure.request_id)
        return self._build_verdict(
            bucket=self.buckets.fallback.name,
            confidence=0.0,
            reason=failure.reason,
            fallback_reason=failure.kind,
            retry_after=failure.retry_after,
        )


def _check_settings(model: str, api_key: str | None, deadline: float, max_tokens: int | None) -> None:
    if not model.strip():
        raise ConfigurationError("Claude's model is empty: pass a model id, such as 'claude-haiku-5-5'.")
    if api_key is not None and api_key.split() != [api_key]:
        raise ConfigurationError(
            "Claude's api_key is empty or contains whitespace: correct it, or omit it to use ANTHROPIC_API_KEY."
        )
    if not 0 < deadline < float("inf"):
        raise ConfigurationError(f"Claude's deadline must be a positive number of seconds, not {deadline}.")
    if max_tokens is not None and max_tokens < 1:
        raise ConfigurationError(f"Claude's max_tokens must be at least 1, not {max_tokens}.")


def _check_extra(extra: Mapping[str, str | Sequence[str]]) -> None:
    for name, meaning in extra.items():
        if not name.isidentifier() or name in _RESERVED_NAMES:
            raise ConfigurationError(f"Claude's extra field {name!r}: the name is reserved or not an identifier.")
        if not meaning:
            raise ConfigurationError(f"Claude's extra field {name!r}: pass a description or a list of allowed values.")


def _check_support(model: str, profile: Profile, effort: str | None, thinking: Mapping[str, Any] | None) -> None:
    if effort is not None and profile.efforts is not None and effort not in profile.efforts:
        supported = ", ".join(profile.efforts) or "none"
        raise ConfigurationError(f"{model} does not support effort {effort!r}. Supported: {supported}.")
    thinking_type = (thinking or {}).get("type")
    if thinking is not None and profile.thinking_types is not None and thinking_type not in profile.thinking_types:
        supported = ", ".join(profile.thinking_types)
        raise ConfigurationError(
            f"{model} does not support thinking of type {thinking_type!r}. Supported: {supported}."
        )


def _hash_prompt(request: Mapping[str, Any]) -> str:
    """Return a hash of everything in a request except the customer text."""
    prompt = {name: value for name, value in request.items() if name not in ("messages", "metadata")}
    return hashlib.sha256(json.dumps(prompt, sort_keys=True).encode()).hexdigest()[:12]
