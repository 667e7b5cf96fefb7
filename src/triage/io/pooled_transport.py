"""A transport for httpx2 that spreads calls over several connection pools."""

import ssl
import time
from collections.abc import AsyncIterator, Callable

import httpx2

POOL_SIZE = 8
"""The maximum number of connections of a pool."""

IDLE_LIMIT = 5.0
"""Seconds after which an unused pool is closed: as long as httpx2 keeps a connection."""


class PooledTransport(httpx2.AsyncBaseTransport):
    """Keeps the CPU time of a call the same, no matter how many calls are in flight.

    For each call, httpx2 walks all connections of its pool. So no pool here has more than a few, and a call uses the
    first pool that has a free one.

    Args:
        ssl_context: Verifies the servers' certificates.
        connections: The maximum number of open connections. Further calls wait for one.
        clock: Returns a number of seconds that never decreases.
    """

    def __init__(
        self, ssl_context: ssl.SSLContext, *, connections: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ssl_context = ssl_context
        self._most_pools = max(1, connections // POOL_SIZE)
        self._clock = clock
        self._pools: list[_Pool] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Make a call.

        Args:
            request: The request.

        Raises:
            httpx2.TransportError: There is no response.
        """
        await self._close_idle_pool()
        pool = self._choose_pool()
        pool.calls += 1
        try:
            response = await pool.transport.handle_async_request(request)
        except BaseException:
            self._release(pool)
            raise
        assert isinstance(response.stream, httpx2.AsyncByteStream)  # noqa: S101 - so it is for an async transport
        response.stream = _Body(response.stream, lambda: self._release(pool))
        return response

    async def aclose(self) -> None:
        """Close all connections."""
        pools, self._pools = self._pools, []
        for pool in pools:
            await pool.transport.aclose()

    def _choose_pool(self) -> "_Pool":
        for pool in self._pools:
            if pool.calls < POOL_SIZE:
                return pool
        if len(self._pools) == self._most_pools:
            return min(self._pools, key=lambda pool: pool.calls)
        self._pools.append(_Pool(self._ssl_context))
        return self._pools[-1]

    def _release(self, pool: "_Pool") -> None:
        pool.calls -= 1
        pool.used_at = self._clock()

    async def _close_idle_pool(self) -> None:
        """Close the last pool, which is the first one that becomes superfluous, if it is not used any more.

        Nothing else would close its connections, because a pool closes old connections only when it is used.
        """
        last = self._pools[-1] if self._pools else None
        if last is not None and last.calls == 0 and self._clock() - last.used_at > IDLE_LIMIT:
            self._pools.pop()
            await last.transport.aclose()


class _Pool:
    """A connection pool.

    Attributes:
        calls: The number of calls that use it or wait for it.
        used_at: When the last call ended.
    """

    def __init__(self, ssl_context: ssl.SSLContext) -> None:
        limits = httpx2.Limits(max_connections=POOL_SIZE, max_keepalive_connections=POOL_SIZE)
        self.transport = httpx2.AsyncHTTPTransport(verify=ssl_context, limits=limits)
        self.calls = 0
        self.used_at = 0.0


class _Body(httpx2.AsyncByteStream):
    """The body of a response. Its connection is free once the body is closed."""

    def __init__(self, stream: httpx2.AsyncByteStream, release: Callable[[], None]) -> None:
        self._stream = stream
        self._release: Callable[[], None] | None = release

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._stream:
            yield chunk

    async def aclose(self) -> None:
        release, self._release = self._release, None
        try:
            await self._stream.aclose()
        finally:
            if release is not None:
                release()
