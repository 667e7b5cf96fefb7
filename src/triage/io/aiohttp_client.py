"""Clients of the aiohttp package: one for help desks' APIs, and a transport for Anthropic's SDK.

A call takes a fraction of the CPU time that it takes with httpx. The package is optional, so import this module only if
it is installed.
"""

import re
import ssl
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import Any

import aiohttp
import httpx2
from multidict import CIMultiDict
from yarl import URL

from triage.io.http import ILLEGAL_HEADER, RequestHeldBack

_KEEP_ALIVE = 5.0  # seconds; as long as httpx2, because many servers close a connection soon afterwards
_LONGEST_HEADER = 32 * 1024  # bytes; aiohttp's own limit is 8 KiB
_CHUNK = 64 * 1024  # bytes
_HEADER_VALUE = re.compile(r"(?:[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?)?")
_trace: ContextVar[Callable[[str, object], Awaitable[None]] | None] = ContextVar("_trace", default=None)
_AUTOMATIC_HEADERS = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")


class AiohttpClient:
    """Makes calls on the running event loop, like an `httpx2.AsyncClient`. It keeps no cookies.

    Args:
        ssl_context: Verifies the servers' certificates.
        connections: The maximum number of open connections. Further calls wait for one.
        timeout: Seconds for opening a connection, and for each read.
    """

    is_traceable = True
    """True because `stream` reports to the extension `trace` when it is about to send a request."""

    def __init__(self, ssl_context: ssl.SSLContext, *, connections: int, timeout: float) -> None:
        self._session = _open_session(self, ssl_context, connections)
        self._timeout = _build_timeout(timeout, timeout, timeout)

    @property
    def is_closed(self) -> bool:
        """True once the client was closed."""
        return self._session.closed

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        url: str,
        *,
        content: bytes | None,
        headers: Mapping[str, str],
        follow_redirects: bool,
        extensions: Mapping[str, Any] | None = None,
    ) -> "AsyncGenerator[StreamedResponse]":
        """Make a call, and return a context manager with a response whose body has not been read.

        Args:
            method: The HTTP method.
            url: The address.
            content: The body of the request.
            headers: The headers of the request.
            follow_redirects: Whether to follow redirects.
            extensions: `{"trace": trace}` to call a function before the request is sent, as httpx2 does.

        Raises:
            ValueError: A header contains a character that must not be sent.
            aiohttp.ClientError: There is no response.
        """
        if not all(_HEADER_VALUE.fullmatch(value) for value in headers.values()):
            raise ValueError(ILLEGAL_HEADER)
        _trace.set((extensions or {}).get("trace"))
        async with self._session.request(
            method, URL(url), data=content, headers=headers, allow_redirects=follow_redirects, timeout=self._timeout
        ) as response:
            yield StreamedResponse(response)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._session.close()


class StreamedResponse:
    """A response with those attributes of an `httpx2.Response` that `triage.io.http` uses.

    Args:
        response: aiohttp's response.
    """

    is_stream_consumed = False

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status_code = response.status
        self.headers = httpx2.Headers(response.raw_headers)

    def aiter_raw(self) -> AsyncIterator[bytes]:
        """Return an iterator over the body as it was sent."""
        return self._response.content.iter_chunked(_CHUNK)


class AiohttpTransport(httpx2.AsyncBaseTransport):
    """Makes the calls of an `httpx2.AsyncClient` on the running event loop.

    The SDK has such a transport, too. It logs an error if a program ends without closing it.

    Args:
        ssl_context: Verifies the servers' certificates.
        connections: The maximum number of open connections. Further calls wait for one.
    """

    def __init__(self, ssl_context: ssl.SSLContext, *, connections: int) -> None:
        self._session = _open_session(self, ssl_context, connections)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Make a call.

        Args:
            request: The request.

        Raises:
            httpx2.TimeoutException: There is no response in time.
            aiohttp.ClientError: There is no response.
        """
        limits: Mapping[str, float | None] = request.extensions.get("timeout", {})
        _trace.set(request.extensions.get("trace"))
        encoding = request.headers.encoding  # it is detected again for each header otherwise
        headers = [(name.decode(encoding), value.decode(encoding)) for name, value in request.headers.raw]
        with _translate_timeouts():
            response = await self._session.request(
                request.method,
                URL(str(request.url), encoded=True),
                data=await request.aread() or None,
                headers=CIMultiDict(headers),
                skip_auto_headers=_AUTOMATIC_HEADERS,
                allow_redirects=False,
                timeout=_build_timeout(limits.get("connect"), limits.get("read"), limits.get("pool")),
            )
        return httpx2.Response(response.status, headers=response.raw_headers, stream=_Body(response))

    async def aclose(self) -> None:
        """Close all connections."""
        await self._session.close()


class _Body(httpx2.AsyncByteStream):
    """The body of a response."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _translate_timeouts():
            async for chunk in self._response.content.iter_chunked(_CHUNK):
                yield chunk

    async def aclose(self) -> None:
        self._response.release()


class _Request(aiohttp.ClientRequest):
    """A request that reports when it has a connection and is about to be sent."""

    async def send(self, conn: Any) -> aiohttp.ClientResponse:
        await _report("aiohttp.send_request_headers.started")
        return await super().send(conn)

    async def write_bytes(self, writer: Any, conn: Any, content_length: int | None = None) -> None:
        # A task that the event loop may start later. It sends the headers, too, which were only buffered before.
        try:
            await _report("aiohttp.send_request_body.started")
        except RequestHeldBack as error:
            conn.protocol.set_exception(error)  # is raised where the response is awaited
            return
        await super().write_bytes(writer, conn, content_length)


async def _report(event: str) -> None:
    trace = _trace.get()
    if trace is not None:
        await trace(event, None)


class _Connector(aiohttp.TCPConnector):
    """A connector whose connections close themselves when it is garbage-collected.

    aiohttp's own closes them through their event loop and logs an error. In a forked process, this would deafen the
    parent's event loop, because both loops share one selector.
    """

    def __del__(self, *_: Any) -> None:
        pass


def _open_session(owner: object, ssl_context: ssl.SSLContext, connections: int) -> aiohttp.ClientSession:
    session = aiohttp.ClientSession(
        connector=_Connector(ssl=ssl_context, limit=connections, keepalive_timeout=_KEEP_ALIVE),
        request_class=_Request,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,  # it would decompress each chunk without a limit
        max_line_size=_LONGEST_HEADER,
        max_field_size=_LONGEST_HEADER,
    )
    # aiohttp would repeat a PUT or a DELETE after the connection was lost, but it may have taken effect.
    session._retry_connection = False  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    # aiohttp logs an error when an open session is garbage-collected, as when a program ends without closing its
    # Router, or in a forked process. A detached session counts as closed.
    weakref.finalize(owner, session.detach)
    return session


def _build_timeout(connect: float | None, read: float | None, pool: float | None) -> aiohttp.ClientTimeout:
    # There is no limit for the whole call here, because the caller sets one.
    return aiohttp.ClientTimeout(total=None, connect=pool, sock_connect=connect, sock_read=read)


@contextmanager
def _translate_timeouts() -> Generator[None]:
    try:
        yield
    except aiohttp.ConnectionTimeoutError as error:
        raise httpx2.ConnectTimeout("") from error
    except aiohttp.ServerTimeoutError as error:
        raise httpx2.ReadTimeout("") from error
