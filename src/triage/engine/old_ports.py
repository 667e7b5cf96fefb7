"""The I/O of the two doors, both forms side by side: `Blocking` for the sync one, `Awaiting` for the async one."""

import asyncio
import inspect
import json
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Protocol, TypeAlias, TypeVar

from typing_extensions import TypeIs, TypeVarTuple, Unpack

from triage.classifiers.base import AsyncClassifier, Classifier, ClassifierLike
from triage.engine.breaker import Gate
from triage.engine.transport import NoAnswer, Tokens
from triage.errors import ConfigurationError
from triage.io.clients import PerLoop
from triage.io.fork import Lock
from triage.models import Conversation, Request, Response, Verdict
from triage.policy import Buckets

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

Classify: TypeAlias = Callable[[Conversation, Buckets], Verdict]
ClassifyAsync: TypeAlias = Callable[[Conversation, Buckets], Awaitable[Verdict]]


class HttpClient(Protocol):
    """What is needed of an `httpx.Client` or `httpx2.Client`."""

    def request(
        self, method: str, url: str, *, content: bytes | None, headers: Mapping[str, str], follow_redirects: bool
    ) -> Any:
        """Make a call."""
        ...


class AsyncHttpClient(Protocol):
    """What is needed of an `httpx.AsyncClient` or `httpx2.AsyncClient`."""

    async def request(
        self, method: str, url: str, *, content: bytes | None, headers: Mapping[str, str], follow_redirects: bool
    ) -> Any:
        """Make a call."""
        ...


class Shared:
    """What the two doors of a Router share.

    Args:
        vendor_gate: The gate before the vendor.
        classifier_gate: The gate before the classifier.
        in_memory: True if the inbox never blocks for long.
    """

    def __init__(self, vendor_gate: Gate, classifier_gate: Gate, *, in_memory: bool) -> None:
        self.vendor_gate = vendor_gate
        self.classifier_gate = classifier_gate
        self.in_memory = in_memory
        self.tokens = Tokens()
        self.lock = Lock()
        self.locks: PerLoop[asyncio.Lock] = PerLoop(asyncio.Lock)


class _Door(ABC):
    """What the ports of both doors have in common: nothing that waits."""

    def __init__(self, shared: Shared, clock: Callable[[], float]) -> None:
        self._shared = shared
        self.tokens = shared.tokens
        self.vendor_gate = shared.vendor_gate
        self.classifier_gate = shared.classifier_gate
        self.now = clock

    @abstractmethod
    async def blocking(self, call: Callable[[Unpack[Ts]], T], *args: *Ts) -> T:
        """Make a call that waits for a disk or a database."""

    async def held(self, gate: Gate) -> float:
        """Seconds until a service may be called."""
        return gate.left() if gate.fresh else await self.blocking(gate.left)

    async def learn(self, gate: Gate, *, down: bool, pause: float = 0.0) -> None:
        """Take note of an answer of a service, or of its absence."""
        seconds = gate.learn(down=down, pause=pause)
        if seconds:
            await self.blocking(gate.shut, seconds)


class Blocking(_Door):
    """Ports that block, and so never suspend the coroutine that awaits them.

    Args:
        http: The HTTP client.
        classify: Asks the classifier.
        shared: What both doors of a Router share.
        clock: Seconds since the epoch.
        sleep: Waits for seconds.
    """

    def __init__(
        self,
        http: HttpClient,
        classify: Classify,
        shared: Shared,
        clock: Callable[[], float],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(shared, clock)
        self._http = http
        self._classify = classify
        self._sleep = sleep

    async def blocking(self, call: Callable[[Unpack[Ts]], T], *args: *Ts) -> T:
        """Make it."""
        return call(*args)

    async def classify(self, conversation: Conversation, buckets: Buckets) -> Verdict:
        """Ask the classifier."""
        return self._classify(conversation, buckets)

    async def exchange(self, request: Request) -> Response:
        """Make one attempt of a call."""
        try:
            return _response(self._http.request(request.method, request.url, **_wire_form(request)))
        except Exception as err:  # noqa: BLE001 - it is raised as another
            raise _no_answer(err) from (None if _quotes_headers(err) else err)

    async def sleep(self, seconds: float) -> None:
        """Block the thread."""
        self._sleep(seconds)

    @asynccontextmanager
    async def exclusive(self) -> AsyncGenerator[None]:
        """One thread at a time."""
        with self._shared.lock:
            yield


class Awaiting(_Door):
    """The same for a running event loop; see `Blocking` for the arguments."""

    def __init__(
        self,
        http: AsyncHttpClient,
        classify: ClassifyAsync,
        shared: Shared,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        super().__init__(shared, clock)
        self._http = http
        self._classify = classify
        self._sleep = sleep

    async def blocking(self, call: Callable[[Unpack[Ts]], T], *args: *Ts) -> T:
        """Make it, off the event loop where it may take its time."""
        if self._shared.in_memory:
            return call(*args)
        return await asyncio.to_thread(call, *args)

    async def classify(self, conversation: Conversation, buckets: Buckets) -> Verdict:
        """Ask the classifier."""
        return await self._classify(conversation, buckets)

    async def exchange(self, request: Request) -> Response:
        """Make one attempt of a call."""
        try:
            return _response(await self._http.request(request.method, request.url, **_wire_form(request)))
        except Exception as err:  # noqa: BLE001 - it is raised as another
            raise _no_answer(err) from (None if _quotes_headers(err) else err)

    async def sleep(self, seconds: float) -> None:
        """Let the event loop go on."""
        await self._sleep(seconds)

    @asynccontextmanager
    async def exclusive(self) -> AsyncGenerator[None]:
        """One task of this event loop at a time."""
        async with self._shared.locks.get():
            yield


def blocking_form(classifier: ClassifierLike) -> Classify:
    """The classifier as a plain call.

    Raises:
        ConfigurationError: It can only be awaited.
    """
    if isinstance(classifier, Classifier):
        return classifier.classify
    if isinstance(classifier, AsyncClassifier) or _is_async(classifier):
        name = getattr(classifier, "__name__", type(classifier).__name__)
        raise ConfigurationError(
            f"The classifier {name} is async only: call handle_async(), or give it a classify() method as well."
        )
    return lambda conversation, buckets: _verdict(classifier(conversation.text))


def awaiting_form(classifier: ClassifierLike) -> ClassifyAsync:
    """The classifier as something to await; one that can only block goes to a thread, off the event loop."""
    if isinstance(classifier, AsyncClassifier):
        return classifier.classify_async
    if not isinstance(classifier, Classifier) and _is_async(classifier):

        async def awaited(conversation: Conversation, buckets: Buckets) -> Verdict:
            return _verdict(await classifier(conversation.text))

        return awaited
    call = blocking_form(classifier)

    async def in_thread(conversation: Conversation, buckets: Buckets) -> Verdict:
        return await asyncio.to_thread(call, conversation, buckets)

    return in_thread


def _is_async(function: object) -> TypeIs[Callable[[str], Awaitable[str | Verdict]]]:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


def _verdict(answer: Any) -> Verdict:
    """What a plain function answers: a bucket's name, or a whole verdict."""
    return answer if isinstance(answer, Verdict) else Verdict(bucket=answer)


def _wire_form(request: Request) -> dict[str, Any]:
    content = None if request.json is None else json.dumps(request.json, ensure_ascii=False).encode()
    # A client of the user's may follow redirects by default; with our token in the headers it must not.
    return {"content": content, "headers": request.headers, "follow_redirects": False}


def _response(answer: Any) -> Response:
    headers = {name.lower(): value for name, value in answer.headers.items()}
    return Response(answer.status_code, headers, answer.content)


def _no_answer(error: Exception) -> NoAnswer:
    if _quotes_headers(error):
        told = "no call: the API token, or another setting that a header carries, holds what no header can"
        return NoAnswer(told, sent=False)
    # By name, because httpx and httpx2 have the same errors as different classes. For any other error, the request
    # may have been sent.
    names = {cls.__name__ for cls in type(error).__mro__}
    unsent = names & {"ConnectError", "ConnectTimeout", "PoolTimeout", "UnsupportedProtocol", "InvalidURL"}
    return NoAnswer(f"no answer: {type(error).__name__}", sent=not unsent)


def _quotes_headers(error: Exception) -> bool:
    """True for what is raised over a header's value, in words that hold it, and so the token."""
    return isinstance(error, UnicodeEncodeError) or str(error).startswith("Illegal header value")
