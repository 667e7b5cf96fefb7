"""The HTTP clients of a Router: created on first use, closed if they were created here, and never the user's."""

import asyncio
from typing import Any, cast

import httpx
import httpx2
import pytest

from triage import ConfigurationError
from triage.engine.clients import HttpClients
from triage.io.ports import AsyncIO, SyncIO


@pytest.mark.parametrize(
    ("clients", "message"),
    [
        ((httpx.AsyncClient(), None), r"Router\(http=…\) must be an httpx.Client, .* not AsyncClient"),
        ((None, httpx.Client()), r"Router\(async_http=…\) must be an httpx.AsyncClient, .* not Client"),
        ((httpx2.AsyncClient(), None), r"Router\(http=…\) must be an httpx.Client, .* not AsyncClient"),
        ((httpx.Client, None), r"Router\(http=…\) .* not the class Client"),
        ((None, httpx.AsyncClient), r"Router\(async_http=…\) .* not the class AsyncClient"),
        (("https://example.com", None), r"Router\(http=…\) .* not str"),
        ((None, object()), r"Router\(async_http=…\) .* not object"),
    ],
)
def test_a_client_of_the_wrong_kind_is_rejected(clients: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        HttpClients(*clients)


def test_a_client_is_created_on_first_use_and_kept() -> None:
    clients = HttpClients(None, None)
    client = cast("httpx.Client", clients.get(SyncIO()))
    assert isinstance(client, httpx.Client)
    assert clients.get(SyncIO()) is client
    assert client.timeout == httpx.Timeout(10.0)
    clients.close()
    assert client.is_closed
    assert clients.get(SyncIO()) is not client, "the next use creates another"
    clients.close()


def test_each_event_loop_has_its_own_async_client() -> None:
    clients = HttpClients(None, None)

    async def use_and_close() -> Any:
        client = cast("httpx.AsyncClient", clients.get(AsyncIO()))
        assert isinstance(client, httpx.AsyncClient)
        assert clients.get(AsyncIO()) is client
        await clients.aclose()
        assert client.is_closed
        return client

    assert asyncio.run(use_and_close()) is not asyncio.run(use_and_close())


def test_closing_without_ever_having_used_a_client_does_nothing() -> None:
    clients = HttpClients(None, None)
    clients.close()
    asyncio.run(clients.aclose())


def test_aclose_closes_the_sync_client_as_well() -> None:
    clients = HttpClients(None, None)
    client = clients.get(SyncIO())
    asyncio.run(clients.aclose())
    assert isinstance(client, httpx.Client)
    assert client.is_closed


def test_the_users_clients_are_used_and_stay_open() -> None:
    async def use_and_close() -> None:
        with httpx.Client() as http:
            async with httpx.AsyncClient() as async_http:
                clients = HttpClients(http, async_http)
                clients.warm_up()
                assert (clients.get(SyncIO()), clients.get(AsyncIO())) == (http, async_http)
                await clients.aclose()
                assert not http.is_closed
                assert not async_http.is_closed

    asyncio.run(use_and_close())


def test_warming_up_creates_the_clients_that_can_be_used_here(monkeypatch: pytest.MonkeyPatch) -> None:
    created: list[str] = []
    monkeypatch.setattr(httpx, "Client", lambda **_: created.append("sync"))
    monkeypatch.setattr(httpx, "AsyncClient", lambda **_: created.append("async"))

    async def warm_up() -> None:
        HttpClients(None, None).warm_up()

    HttpClients(None, None).warm_up()
    assert created == ["sync"]
    asyncio.run(warm_up())
    assert created == ["sync", "async", "sync"]
