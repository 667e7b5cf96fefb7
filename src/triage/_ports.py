"""The I/O of the two doors, both forms side by side: `Blocking` for the sync one, `Awaiting` for the async one."""

import asyncio
import inspect
import json
import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Protocol, TypeAlias

from typing_extensions import TypeIs

from triage._claims import Claims
from triage._clients import PerLoop
from triage._http import NoAnswer, Tokens
from triage.errors import ConfigurationError
from triage.models import Conversation, Ledger, Request, Response, Verdict
from triage.policy import Buckets
from triage.protocols import AsyncClassifier, Classifier, ClassifierLike

Classify: TypeAlias = Callable[[Conversation, Buckets], Verdict]
Record: TypeAlias = Callable[[Ledger], None]
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
    """What the two doors of a Router share."""

    def __init__(self) -> None:
        self.claims = Claims()
        self.tokens = Tokens()
        self.lock = threading.Lock()
        self.locks: PerLoop[asyncio.Lock] = PerLoop(asyncio.Lock)


class _Door:
    """What the ports of both doors have in common: nothing that waits."""

    def __init__(self, shared: Shared, clock: Callable[[], float]) -> None:
        self._shared = shared
        self.tokens = shared.tokens
        self.now = clock

    async def claim(self, key: str) -> bool:
        """Take an event."""
        return self._shared.claims.claim(key)

    async def release(self, key: str) -> None:
        """Give it back."""
        self._shared.claims.release(key)

    async def record(self, ledger: Ledger) -> None:
        """Without an inbox there is nowhere to write the ledger."""


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

    async def classify(self, conversation: Conversation, buckets: Buckets) -> Verdict:
        """Ask the classifier."""
        return self._classify(conversation, buckets)

    async def exchange(self, request: Request) -> Response:
        """Make one attempt of a call."""
        try:
            return _response(self._http.request(request.method, request.url, **_wire_form(request)))
        except Exception as err:
            raise _no_answer(err) from err

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

    async def classify(self, conversation: Conversation, buckets: Buckets) -> Verdict:
        """Ask the classifier."""
        return await self._classify(conversation, buckets)

    async def exchange(self, request: Request) -> Response:
        """Make one attempt of a call."""
        try:
            return _response(await self._http.request(request.method, request.url, **_wire_form(request)))
        except Exception as err:
            raise _no_answer(err) from err

    async def sleep(self, seconds: float) -> None:
        """Let the event loop go on."""
        await self._sleep(seconds)

    @asynccontextmanager
    async def exclusive(self) -> AsyncGenerator[None]:
        """One task of this event loop at a time."""
        async with self._shared.locks.get():
            yield


class Leased(Awaiting):
    """The same for an event that a worker has leased; further arguments are those of `Awaiting`.

    Args:
        record: Writes its ledger.
    """

    def __init__(self, record: Record, *door: Any) -> None:
        super().__init__(*door)
        self._record = record

    async def claim(self, key: str) -> bool:
        """It is taken already."""
        return True

    async def release(self, key: str) -> None:
        """The worker gives it back."""

    async def record(self, ledger: Ledger) -> None:
        """Write the ledger, off the event loop: the disk takes its time."""
        await asyncio.to_thread(self._record, ledger.model_copy(deep=True))


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
    if isinstance(error, UnicodeEncodeError):
        # Not the error's own words: they hold the token.
        return NoAnswer("no call: the API token, or another setting that a header carries, is not ASCII", sent=False)
    # By name, because httpx and httpx2 have the same errors as different classes. For any other error, the request
    # may have been sent.
    names = {cls.__name__ for cls in type(error).__mro__}
    unsent = names & {"ConnectError", "ConnectTimeout", "PoolTimeout", "UnsupportedProtocol", "InvalidURL"}
    return NoAnswer(f"no answer: {type(error).__name__}", sent=not unsent)
