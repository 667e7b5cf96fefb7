"""Claude as the classifier: one call of the Messages API for each verdict, and a fallback verdict for any failure."""

import asyncio
import hashlib
import json
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from triage.classifiers.claude import answer as _answer
from triage.classifiers.claude import prompt as _prompt
from triage.classifiers.claude.models import PROFILES, UNKNOWN, Price, Profile
from triage.errors import ConfigurationError
from triage.io.clients import OnDemand, PerLoop
from triage.io.ports import run
from triage.models import Conversation, Usage, Verdict
from triage.policy import Buckets
from triage.vendors.responses import parse_seconds

if TYPE_CHECKING:
    import anthropic

logger = logging.getLogger("triage.classifiers.claude")

_ATTEMPT = 10.0  # seconds for one attempt; the SDK's own limit is ten minutes
_FIRST_WAIT = 0.5
_LONGEST_BACKOFF = 8.0
_TRANSIENT = frozenset({408, 409, 429})  # and every 5xx
# https://platform.claude.com/docs/en/api/errors. Another word of a server's is not told: it could be a customer's.
_ERROR_TYPES = frozenset(
    {
        "api_error",
        "authentication_error",
        "billing_error",
        "invalid_request_error",
        "not_found_error",
        "overloaded_error",
        "permission_error",
        "rate_limit_error",
        "request_too_large",
        "timeout_error",
    }
)
_FOR_THE_OPERATOR = frozenset({400, 401, 402, 403, 404})  # what stays so until somebody changes something


Client = TypeVar("Client", "anthropic.Anthropic", "anthropic.AsyncAnthropic")


class _Port(Protocol):
    """The I/O of one door: one attempt, one wait."""

    async def create(self, request: Mapping[str, Any], limit: float) -> object: ...

    async def sleep(self, seconds: float) -> None: ...


class Claude:
    """Asks Claude for the bucket, with its reason and confidence.

    Nothing that goes wrong with the API raises: the verdict then has `fallback=True`, the fallback bucket, and a reason
    that says what happened.

    Args:
        model: The model's id.
        api_key: The key. Default: what the SDK finds in the environment, `ANTHROPIC_API_KEY` first.
        client: An `anthropic.Anthropic` of yours for the sync door, in place of one that is made.
        async_client: An `anthropic.AsyncAnthropic` of yours for the async door. It belongs to one event loop.
        deadline: Seconds for a verdict, with all attempts and waits.
        instructions: Added to the system prompt, for what the buckets' descriptions cannot say.
        extra: Further fields to ask for in the same call, by name: allowed values, or what to write in a sentence.
            `{"language": "The message's language, as ISO 639-1", "sentiment": ["positive", "neutral", "negative"]}`
        prices: Prices by model id, for models or discounts that the built-in table does not know.
        max_tokens: In place of the model's default.
        effort: In place of the model's default, for models that take it.
        thinking: In place of the model's default, for models that take it: `{"type": "adaptive"}`.
        clock: Seconds, never going back.
        sleep: Waits in the sync door.
        sleep_async: Waits in the async door.

    Raises:
        ConfigurationError: Something of it cannot work.
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
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        sleep_async: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        profile = PROFILES.get(model, UNKNOWN)
        self.model = model
        self.extra = dict(extra or {})
        self._check_settings(api_key, deadline, max_tokens)
        self._check_parameters(profile, effort, thinking)
        self._api_key = api_key
        self._deadline = deadline
        self._instructions = instructions
        self._price = {**(prices or {})}.get(model, profile.price)
        self._max_tokens = max_tokens or profile.max_tokens
        self._effort = effort or profile.effort
        self._thinking = thinking or profile.thinking
        self._clock = clock
        self._sleep = sleep
        self._sleep_async = sleep_async
        self._given_client = _given(client, "client", "__enter__")
        self._given_async_client = _given(async_client, "async_client", "__aenter__")
        self._own_client: OnDemand[anthropic.Anthropic] = OnDemand(self._make_client)
        self._own_async_clients: PerLoop[anthropic.AsyncAnthropic] = PerLoop(self._make_async_client)

    def _check_settings(self, api_key: str | None, deadline: float, max_tokens: int | None) -> None:
        if not self.model.strip():
            raise ConfigurationError("Claude's model is empty: name one, such as 'claude-haiku-5-5'.")
        if api_key is not None and api_key.split() != [api_key]:
            raise ConfigurationError(
                "Claude's api_key is empty or holds white space: mend it, or leave it out to use ANTHROPIC_API_KEY."
            )
        if not 0 < deadline < float("inf"):
            raise ConfigurationError(f"Claude's deadline is a number of seconds above 0, not {deadline}.")
        if max_tokens is not None and max_tokens < 1:
            raise ConfigurationError(f"Claude's max_tokens is at least 1, not {max_tokens}.")
        for name, meaning in self.extra.items():
            if not name.isidentifier() or name in ("reason", "label", "confidence", "bucket", "customer_name"):
                raise ConfigurationError(f"Claude's extra field {name!r}: the name is taken, or no plain identifier.")
            if not meaning:
                raise ConfigurationError(f"Claude's extra field {name!r} allows nothing and says nothing: do one.")

    def _check_parameters(self, profile: Profile, effort: str | None, thinking: Mapping[str, Any] | None) -> None:
        if effort is not None and profile.efforts is not None and effort not in profile.efforts:
            choice = ", ".join(profile.efforts) or "none at all"
            raise ConfigurationError(f"{self.model} takes no effort {effort!r}, but {choice}.")
        kind = (thinking or {}).get("type")
        if thinking is not None and profile.thinkings is not None and kind not in profile.thinkings:
            choice = ", ".join(profile.thinkings)
            raise ConfigurationError(f"{self.model} takes no thinking of type {kind!r}, but {choice}.")

    @property
    def priced(self) -> bool:
        """True if it is known what a verdict costs."""
        return self._price is not None

    def __repr__(self) -> str:
        return f"Claude({self.model!r})"

    # The two doors

    def classify(self, conversation: Conversation, buckets: Buckets) -> Verdict:
        """Ask for a verdict, blocking."""
        return run(self._verdict(conversation, buckets, _Blocking(self._client, self._sleep)))

    async def classify_async(self, conversation: Conversation, buckets: Buckets) -> Verdict:
        """Ask for a verdict."""
        return await self._verdict(conversation, buckets, _Awaiting(self._async_client, self._sleep_async))

    async def _verdict(self, conversation: Conversation, buckets: Buckets, port: _Port) -> Verdict:
        """The way to a verdict, once for both doors."""
        started = self._clock()
        request = self.request(conversation, buckets)
        spent: list[Usage] = []
        billed: list[Usage] = []
        facts: dict[str, Any] = {"model": self.model, "prompt_version": _version(request)}

        def verdict(**said: Any) -> Verdict:
            total = _sum(spent)
            cost = None if self._price is None else sum(map(self._price.of, billed))
            latency = self._clock() - started
            return Verdict(**facts, **said, usage=total, cost_usd=cost, latency=latency)

        def fallback(reason: str, request_id: str | None, level: int = logging.WARNING, *, down: bool) -> Verdict:
            logger.log(level, "no verdict: %s (request %s)", reason, request_id)
            name = buckets.fallback.name
            return verdict(bucket=name, confidence=0.0, reason=reason, fallback=True, unavailable=down)

        attempt = 0
        while True:
            left = self._deadline - (self._clock() - started)
            if left <= 0:
                return fallback(f"Claude did not answer within {self._deadline:g} s", None, down=True)
            try:
                answer = await port.create(request, min(left, _ATTEMPT))
            except _errors() as err:
                reason, wait = _failure(err, attempt)
                if wait is None or self._clock() - started + wait >= self._deadline:
                    return fallback(reason, getattr(err, "request_id", None), _level(err), down=True)
                await port.sleep(wait)
                attempt += 1
                continue
            usage = _answer.usage(answer)
            spent.append(usage)
            if _answer.billed(answer):
                billed.append(usage)
            facts["model"] = _answer.model(answer, self.model)
            try:
                return verdict(**_answer.read(answer, buckets, self.extra))
            except _answer.Unusable as err:
                if not err.truncated or request["max_tokens"] > self._max_tokens:
                    return fallback(str(err), getattr(answer, "_request_id", None), down=False)
                request["max_tokens"] *= 2

    def request(self, conversation: Conversation, buckets: Buckets) -> dict[str, Any]:
        """What is sent to the Messages API, to look at or to count.

        Args:
            conversation: The conversation.
            buckets: The labels to choose from.
        """
        output: dict[str, Any] = {"format": {"type": "json_schema", "schema": _prompt.schema(buckets, self.extra)}}
        request: dict[str, Any] = {
            "model": self.model,
            "max_tokens": self._max_tokens,
            "system": [
                {
                    "type": "text",
                    "text": _prompt.system(buckets, self.extra, self._instructions),
                    "cache_control": {"type": "ephemeral"},
                }
            ],
            "messages": [{"role": "user", "content": _prompt.user(conversation)}],
            "output_config": output | ({"effort": self._effort} if self._effort else {}),
        }
        if self._thinking:
            request["thinking"] = dict(self._thinking)
        if conversation.customer.id:
            # An opaque id is asked for, to find abuse; the customer's own stays here.
            request["metadata"] = {"user_id": hashlib.sha256(conversation.customer.id.encode()).hexdigest()[:32]}
        return request

    # Clients

    def warm_up(self) -> None:
        """Import the SDK and make the clients, which takes a while; no call is made.

        On an event loop that is the async door's client as well.

        Raises:
            ConfigurationError: There is no API key, or the client cannot be made.
        """
        self._client()
        if self._given_async_client is None:
            self._own_async_clients.warm_up()

    def close(self) -> None:
        """Close the client of the sync door, if it was made here."""
        client = self._own_client.pop()
        if client is not None:
            client.close()

    async def aclose(self) -> None:
        """Close the client that was made here for the running event loop, and the sync door's."""
        client = self._own_async_clients.pop()
        if client is not None:
            await client.close()
        self.close()

    def _client(self) -> "anthropic.Anthropic":
        return self._given_client or self._own_client.get()

    def _async_client(self) -> "anthropic.AsyncAnthropic":
        return self._given_async_client or self._own_async_clients.get()

    def _make_client(self) -> "anthropic.Anthropic":
        import anthropic

        return _made(lambda: anthropic.Anthropic(**self._options()))

    def _make_async_client(self) -> "anthropic.AsyncAnthropic":
        import anthropic

        # The SDK's own HTTP client, when it is garbage, closes itself on whatever loop then runs, and fails where its
        # connections are of one that has ended. This one has the same settings and leaves them alone.
        return _made(
            lambda: anthropic.AsyncAnthropic(**self._options(), http_client=anthropic.DefaultAsyncHttpxClient())
        )

    def _options(self) -> dict[str, Any]:
        # The SDK would retry for as long as a Retry-After header says; our own loop has a deadline. Spans carry no
        # customer's words, whatever the environment says.
        return {
            "api_key": self._api_key,
            "max_retries": 0,
            "open_telemetry": {"traces": {"content_mode": "metadata_only"}},
        }


class _Blocking:
    def __init__(self, client: "Callable[[], anthropic.Anthropic]", sleep: Callable[[float], None]) -> None:
        self._client = client
        self._sleep = sleep

    async def create(self, request: Mapping[str, Any], limit: float) -> object:
        # The limit holds for each read: a server that sends a byte now and then can exceed it. A thread cannot be
        # interrupted; the async door can.
        create: Any = self._client().messages.create  # its overloads cannot be told from a dict
        answer: object = create(**request, timeout=limit)
        return answer

    async def sleep(self, seconds: float) -> None:
        self._sleep(seconds)


class _Awaiting:
    def __init__(
        self, client: "Callable[[], anthropic.AsyncAnthropic]", sleep: Callable[[float], Awaitable[None]]
    ) -> None:
        self._client = client
        self._sleep = sleep

    async def create(self, request: Mapping[str, Any], limit: float) -> object:
        create: Any = self._client().messages.create
        async with asyncio.timeout(limit):
            answer: object = await create(**request, timeout=limit)
            return answer

    async def sleep(self, seconds: float) -> None:
        await self._sleep(seconds)


def _errors() -> tuple[type[Exception], ...]:
    """What a call may raise, apart from defects.

    Besides the SDK's errors and our time limit: a client that cannot be made, a 200 that is no JSON (ValueError) or one
    that is nested too deeply (RecursionError).
    """
    import anthropic

    return (anthropic.AnthropicError, ConfigurationError, RecursionError, TimeoutError, ValueError)


def _failure(err: Exception, attempt: int) -> tuple[str, float | None]:
    """Say what happened, and how long to wait before another attempt; None for no further one.

    The error's own text is left out: it may hold what was sent.
    """
    import anthropic

    wait = min(_LONGEST_BACKOFF, _FIRST_WAIT * 2.0 ** min(attempt, 10)) * random.uniform(0.75, 1.25)  # noqa: S311 - jitter, no secret
    match err:
        case ConfigurationError():
            return str(err), None
        case anthropic.APIStatusError():
            reason = f"Claude answered {err.status_code}"
            kind: object = getattr(err, "type", None)
            if isinstance(kind, str) and kind in _ERROR_TYPES:
                reason += f" ({kind})"
            # The month's spend cap is a 429 too. Older SDKs of 2.x do not tell its code apart.
            capped = "enforced_spend_limit_reached" in err.response.text
            if capped or not (err.status_code in _TRANSIENT or err.status_code >= 500):
                return reason, None
            headers = err.response.headers
            milliseconds = parse_seconds(headers, "retry-after-ms")
            told = parse_seconds(headers, "retry-after") if milliseconds is None else milliseconds / 1000
            # Never sooner than our own wait: "retry-after: 0" would have us call as fast as the network can.
            return reason, max(wait, told or 0.0)
        case anthropic.APITimeoutError() | TimeoutError():
            return "Claude did not answer in time", wait
        case anthropic.APIConnectionError():
            return "Claude could not be reached", wait
        case anthropic.AnthropicError():
            return f"Claude's SDK raised {type(err).__name__}", None
        case _:
            return "Claude's answer was no JSON", None


def _level(err: Exception) -> int:
    lasting = isinstance(err, ConfigurationError) or getattr(err, "status_code", None) in _FOR_THE_OPERATOR
    return logging.ERROR if lasting else logging.WARNING


def _given(client: Client | None, name: str, door: str) -> Client | None:
    """A copy of a client of the user's, which shares its connections but does not retry."""
    if client is None:
        return None
    # By what it can do, not by class: those for Bedrock or Vertex are of others.
    if not hasattr(client, door) or not hasattr(client, "with_options"):
        wanted = "anthropic.Anthropic" if name == "client" else "anthropic.AsyncAnthropic"
        raise ConfigurationError(f"Claude's {name} is to be an {wanted}, not {type(client).__name__}.")
    import anthropic

    if type(client) in (anthropic.Anthropic, anthropic.AsyncAnthropic):  # the others have other credentials
        client = _with_key(client)
    return client.with_options(max_retries=0)


def _made(make: Callable[[], Client]) -> Client:
    import anthropic

    try:
        return _with_key(make())
    except (anthropic.AnthropicError, OSError, ValueError) as err:
        raise ConfigurationError(
            f"Claude's client cannot be made ({type(err).__name__}): look at the profile, the proxy and the "
            f"certificates that the environment names."
        ) from err


def _with_key(client: Client) -> Client:
    """Refuse a client without credentials, which the SDK would refuse only when the first customer writes."""
    headers = {name.lower() for name in client.default_headers}
    if not headers & {"authorization", "x-api-key"} and getattr(client, "credentials", None) is None:
        raise ConfigurationError("There is no key for Claude: set ANTHROPIC_API_KEY, or pass Claude(api_key=…).")
    return client


def _sum(spent: Sequence[Usage]) -> Usage:
    names = Usage.model_fields
    return Usage(**{name: sum(getattr(usage, name) for usage in spent) for name in names})


def _version(request: Mapping[str, Any]) -> str:
    asked = {name: value for name, value in request.items() if name not in ("messages", "metadata")}
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:12]
