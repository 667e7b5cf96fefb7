"""Calls are spread over small connection pools."""

import asyncio
from collections.abc import AsyncIterator

import httpx2
import pytest

from tests.helpers.clock import Clock
from triage.io import pooled_transport
from triage.io.pooled_transport import IDLE_LIMIT, PooledTransport

REQUEST = httpx2.Request("GET", "https://api.example.com/things")


class Stream(httpx2.AsyncByteStream):
    """The body of a response."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"body"


class Pool(httpx2.AsyncBaseTransport):
    """A pool that answers at once, or fails."""

    created: list["Pool"]
    fails = False

    def __init__(self, **options: object) -> None:
        self.limits = options["limits"]
        self.calls = 0
        self.is_closed = False
        self.created.append(self)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.calls += 1
        if self.fails:
            raise httpx2.ConnectError("")
        return httpx2.Response(200, stream=Stream())

    async def aclose(self) -> None:
        self.is_closed = True


@pytest.fixture
def pools(monkeypatch: pytest.MonkeyPatch) -> list[Pool]:
    """The pools that were created, each for two connections."""
    monkeypatch.setattr(pooled_transport, "POOL_SIZE", 2)
    monkeypatch.setattr(httpx2, "AsyncHTTPTransport", Pool)
    Pool.created = []
    return Pool.created


def make_transport(connections: int = 6, clock: Clock | None = None) -> PooledTransport:
    return PooledTransport(httpx2.create_ssl_context(verify=False), connections=connections, clock=clock or Clock())


async def call(transport: PooledTransport, number: int) -> list[httpx2.Response]:
    """Make calls whose responses stay open."""
    return [await transport.handle_async_request(REQUEST) for _ in range(number)]


def test_a_pool_is_created_when_the_others_are_full(pools: list[Pool]) -> None:
    asyncio.run(call(make_transport(), 5))
    assert [pool.calls for pool in pools] == [2, 2, 1]
    assert pools[0].limits == httpx2.Limits(max_connections=2, max_keepalive_connections=2)


def test_calls_beyond_the_limit_wait_in_the_pool_with_the_fewest_calls(pools: list[Pool]) -> None:
    asyncio.run(call(make_transport(connections=4), 7))
    assert [pool.calls for pool in pools] == [4, 3]


def test_a_connection_is_free_once_its_response_is_closed(pools: list[Pool]) -> None:
    async def use() -> None:
        transport = make_transport()
        for _ in range(5):
            (response,) = await call(transport, 1)
            assert await response.aread() == b"body"
            await response.aclose()
            assert isinstance(response.stream, httpx2.AsyncByteStream)
            await response.stream.aclose()  # closing it twice frees no other connection
        await call(transport, 2)

    asyncio.run(use())
    assert [pool.calls for pool in pools] == [7]


def test_a_connection_is_free_after_a_failure(pools: list[Pool], monkeypatch: pytest.MonkeyPatch) -> None:
    async def use() -> None:
        transport = make_transport()
        monkeypatch.setattr(Pool, "fails", True)
        for _ in range(3):
            with pytest.raises(httpx2.ConnectError):
                await call(transport, 1)

    asyncio.run(use())
    assert [pool.calls for pool in pools] == [3]


def test_the_last_pool_is_closed_when_it_has_been_idle(pools: list[Pool]) -> None:
    async def use() -> list[bool]:
        clock = Clock()
        transport = make_transport(clock=clock)
        responses = await call(transport, 5)
        await responses[-1].aclose()
        await call(transport, 1)
        assert not pools[-1].is_closed
        await responses[2].aclose()
        await responses[3].aclose()
        clock.now += IDLE_LIMIT + 1
        await call(transport, 1)
        return [pool.is_closed for pool in pools]

    assert asyncio.run(use()) == [False, False, False], "the last pool still has a call"


def test_an_idle_pool_is_replaced_when_it_is_needed_again(pools: list[Pool]) -> None:
    async def use() -> None:
        clock = Clock()
        transport = make_transport(clock=clock)
        *_, last = await call(transport, 3)
        await last.aclose()
        clock.now += IDLE_LIMIT + 1
        await call(transport, 1)

    asyncio.run(use())
    assert [(pool.calls, pool.is_closed) for pool in pools] == [(2, False), (1, True), (1, False)]


def test_closing_closes_all_pools(pools: list[Pool]) -> None:
    async def use() -> None:
        transport = make_transport()
        await call(transport, 3)
        await transport.aclose()

    asyncio.run(use())
    assert [pool.is_closed for pool in pools] == [True, True]
