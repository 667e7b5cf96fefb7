"""One HTTP call through a client of httpx, httpx2 or aiohttp, with a limit on the size of the response."""

import math
import zlib
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from time import monotonic
from typing import Any, Protocol

from triage.models import Response

MAX_RESPONSE = 16 * 1024 * 1024
"""The size of the largest accepted body in bytes, after decompression."""

ILLEGAL_HEADER = "Illegal header value"
"""How the message begins with which a client rejects a header. The rest may quote the header, which may be a secret."""

_ABOUT_TO_SEND = (".send_request_headers.started", ".send_request_body.started")
"""Ends of the events that clients report to the extension `trace`, without the version of HTTP."""

_ENCODINGS = {"": None, "identity": None, "gzip": 31, "x-gzip": 31}
"""The `wbits` with which zlib decompresses a content encoding; None if the body is not compressed."""


class HttpClient(Protocol):
    """The part of `httpx.Client` or `httpx2.Client` that the library uses."""

    def stream(
        self, method: str, url: str, *, content: bytes | None, headers: Mapping[str, str], follow_redirects: bool
    ) -> AbstractContextManager[Any]:
        """Make a call, and return a context manager with a response whose body has not been read."""
        ...


class AsyncHttpClient(Protocol):
    """The part of `httpx.AsyncClient` or `httpx2.AsyncClient` that the library uses."""

    def stream(
        self, method: str, url: str, *, content: bytes | None, headers: Mapping[str, str], follow_redirects: bool
    ) -> AbstractAsyncContextManager[Any]:
        """Make a call, and return a context manager with a response whose body has not been read."""
        ...

    async def aclose(self) -> None:
        """Close the connections. The library does not call it, but tells async clients from sync ones by it."""
        ...


class RequestHeldBack(Exception):  # noqa: N818 - describes the request
    """A request was not sent, because `may_send` returned False when the client was about to send it."""

    def __init__(self) -> None:
        super().__init__("not sent: the process was paused for too long before the call")


class UnusableResponse(Exception):  # noqa: N818 - describes the response
    """The body of a response cannot be used. The message says why.

    Attributes:
        status: The HTTP status.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def fetch(
    client: HttpClient,
    method: str,
    url: str,
    *,
    content: bytes | None,
    headers: Mapping[str, str],
    limit: float = math.inf,
    may_send: Callable[[], bool] | None = None,
) -> Response:
    """Make a call with a sync client. A redirect is returned, not followed.

    Args:
        client: The client.
        method: The HTTP method.
        url: The address.
        content: The body of the request.
        headers: The headers of the request.
        limit: Seconds after which to stop reading the body. The caller may have given up waiting by then, but nobody
            can interrupt the thread that reads a body that arrives byte by byte.
        may_send: Called by a client of one of these packages once it is connected, right before it sends the request.

    Returns:
        The response, with its whole body.

    Raises:
        RequestHeldBack: `may_send` returned False.
        UnusableResponse: The body is too large, or cannot be decompressed.
        TimeoutError: The body was not complete in time.
        Exception: The client's own exceptions, if there is no response.
    """
    deadline = monotonic() + limit
    options = _build_options(content, headers)
    if may_send is not None and _is_traceable(client):

        def trace(event: str, info: object) -> None:
            _check_permission(event, may_send)

        options["extensions"] = {"trace": trace}
    with client.stream(method, url, **options) as response:
        body = _Body(response)
        if not response.is_stream_consumed:
            for chunk in response.iter_raw():
                body.add(chunk)
                if monotonic() > deadline:
                    raise TimeoutError
        return body.finish()


async def fetch_async(
    client: AsyncHttpClient,
    method: str,
    url: str,
    *,
    content: bytes | None,
    headers: Mapping[str, str],
    may_send: Callable[[], bool] | None = None,
) -> Response:
    """Make a call with an async client, like `fetch`.

    Args:
        client: The client.
        method: The HTTP method.
        url: The address.
        content: The body of the request.
        headers: The headers of the request.
        may_send: Called by a client of one of these packages once it is connected, right before it sends the request.
    """
    options = _build_options(content, headers)
    if may_send is not None and _is_traceable(client):

        async def trace(event: str, info: object) -> None:
            _check_permission(event, may_send)

        options["extensions"] = {"trace": trace}
    async with client.stream(method, url, **options) as response:
        body = _Body(response)
        if not response.is_stream_consumed:
            async for chunk in response.aiter_raw():
                body.add(chunk)
        return body.finish()


def _build_options(content: bytes | None, headers: Mapping[str, str]) -> dict[str, Any]:
    # The user's client may follow redirects by default. It must not, because the headers may contain a token.
    # Ask only for an encoding that can be decompressed step by step, up to a limit.
    return {"content": content, "headers": {**headers, "Accept-Encoding": "gzip"}, "follow_redirects": False}


def _is_traceable(client: object) -> bool:
    """Return whether the client is one of httpx or httpx2, or our own, and not merely an object with a `stream()`."""
    return hasattr(client, "event_hooks") or getattr(client, "is_traceable", False)


def _check_permission(event: str, may_send: Callable[[], bool]) -> None:
    """Hold a request back if a client reports that it is about to send the head or the body."""
    if event.endswith(_ABOUT_TO_SEND) and not may_send():
        raise RequestHeldBack


class _Body:
    """Collects the body of a response, and decompresses it up to the limit.

    The clients' own decoders decompress each chunk without a limit, and 64 KiB can become 64 MiB.
    """

    def __init__(self, response: Any) -> None:
        self._status: int = response.status_code
        self._headers = {name.lower(): value for name, value in response.headers.items()}
        self._bytes = bytearray()
        self._decoder: Any = None
        if response.is_stream_consumed:  # a mock's response, whose body was decompressed when it was created
            self._append(response.content)
            return
        encoding = self._headers.get("content-encoding", "").strip().lower()
        if encoding not in _ENCODINGS:
            raise self._build_error("is compressed in a way that was not asked for")
        wbits = _ENCODINGS[encoding]
        self._decoder = None if wbits is None else zlib.decompressobj(wbits)

    def add(self, chunk: bytes) -> None:
        if self._decoder is None:
            self._append(chunk)
            return
        try:
            self._append(self._decoder.decompress(chunk, MAX_RESPONSE + 1 - len(self._bytes)))
        except zlib.error:
            raise self._build_error("cannot be decompressed") from None

    def finish(self) -> Response:
        if self._bytes and self._decoder is not None and not self._decoder.eof:
            raise self._build_error("is incomplete")
        return Response(self._status, self._headers, bytes(self._bytes))

    def _append(self, data: bytes) -> None:
        self._bytes += data
        if len(self._bytes) > MAX_RESPONSE:
            raise self._build_error(f"is larger than {MAX_RESPONSE // 1024**2} MiB")

    def _build_error(self, problem: str) -> UnusableResponse:
        return UnusableResponse(f"the response {problem}", self._status)
