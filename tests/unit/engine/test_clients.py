"""The HTTP clients of a Router: the user's, those of the user's functions, and our own."""

import asyncio
import os
import ssl
import threading
from collections.abc import Callable
from typing import Any

import httpx
import httpx2
import pytest

from tests.helpers.watched import exit_code
from triage import ConfigurationError
from triage.engine.clients import CALL_LIMIT, HttpClients
from triage.io import default_clients
from triage.io.ports import AsyncIO, SyncIO
from triage.models import Response

URL = "https://api.example.com/things"


@pytest.fixture(autouse=True)
def no_settings_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)


class Recorder(httpx.MockTransport):
    """A transport that records the threads in which it is called."""

    def __init__(self) -> None:
        super().__init__(self._answer)
        self.threads: list[threading.Thread] = []

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.threads.append(threading.current_thread())
        return httpx.Response(200, content=b"answer")


def fetch(clients: HttpClients) -> Response:
    response: Response = clients.get_caller(SyncIO()).fetch("GET", URL, content=None, headers={})
    return response


async def fetch_async(clients: HttpClients) -> Response:
    response: Response = await clients.get_caller(AsyncIO()).fetch("GET", URL, content=None, headers={})
    return response


def get_client(clients: HttpClients) -> Any:
    return clients.get_caller(SyncIO()).fetch.args[0]  # type: ignore[attr-defined]


def get_async_client(clients: HttpClients) -> Any:
    return clients.get_caller(AsyncIO()).fetch.args[0]  # type: ignore[attr-defined]


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
    client = get_client(clients)
    assert isinstance(client, httpx2.Client)
    assert get_client(clients) is client
    assert client.timeout == httpx2.Timeout(CALL_LIMIT)
    clients.close()
    assert client.is_closed
    assert get_client(clients) is not client, "the next use creates another"
    clients.close()


@pytest.mark.usefixtures("http_stack")
def test_each_event_loop_has_its_own_async_client() -> None:
    clients = HttpClients(None, None)

    async def use_and_close() -> Any:
        client = get_async_client(clients)
        assert get_async_client(clients) is client
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
    client = get_client(clients)
    asyncio.run(clients.aclose())
    assert client.is_closed


def test_the_users_clients_are_used_and_stay_open() -> None:
    async def use_and_close() -> None:
        with httpx.Client() as http:
            async with httpx.AsyncClient() as async_http:
                clients = HttpClients(http, async_http)
                clients.warm_up()
                assert (get_client(clients), get_async_client(clients)) == (http, async_http)
                await clients.aclose()
                assert not http.is_closed
                assert not async_http.is_closed

    asyncio.run(use_and_close())


@pytest.mark.parametrize("is_function", [False, True])
def test_async_code_uses_the_users_sync_client_in_a_thread(*, is_function: bool) -> None:
    transport = Recorder()
    clients = HttpClients(
        (lambda: httpx.Client(transport=transport)) if is_function else httpx.Client(transport=transport), None
    )

    async def use() -> Response:
        clients.warm_up()
        return await fetch_async(clients)

    assert asyncio.run(use()).body == b"answer"
    assert transport.threads[0] is not threading.current_thread()
    assert fetch(clients).status == 200
    clients.close()


def test_sync_code_never_bypasses_the_users_async_client() -> None:
    clients = HttpClients(None, httpx.AsyncClient())
    clients.warm_up()
    assert clients.is_async_only
    with pytest.raises(ConfigurationError, match="pass http= as well"):
        clients.get_caller(SyncIO())


def test_a_function_creates_one_client_for_the_process_and_one_for_each_event_loop() -> None:
    created: list[Any] = []

    def create() -> Any:
        created.append(httpx.Client(transport=Recorder()))
        return created[-1]

    def create_async() -> Any:
        created.append(httpx.AsyncClient(transport=Recorder()))
        return created[-1]

    clients = HttpClients(create, create_async)

    async def use() -> None:
        await fetch_async(clients)
        await fetch_async(clients)
        await clients.aclose()

    fetch(clients)
    fetch(clients)
    asyncio.run(use())
    asyncio.run(use())
    assert [type(client) for client in created] == [httpx.Client, httpx.AsyncClient, httpx.AsyncClient]
    assert all(client.is_closed for client in created), "clients that a function created are closed"


def _fail() -> Any:
    raise KeyError("a secret")


@pytest.mark.parametrize(
    ("create", "message"),
    [
        (_fail, r"the function that creates the client raised KeyError at .*test_clients.py:\d+"),
        (lambda: None, r"Router\(http=…\) must return an httpx.Client, .* not NoneType"),
        (lambda: httpx.AsyncClient(), "must return an httpx.Client"),
    ],
)
def test_a_function_that_creates_no_client_is_reported(create: Callable[[], Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        HttpClients(create, None).warm_up()
    assert "secret" not in str(caught.value)


def test_warming_up_creates_the_clients_that_can_be_used_here(monkeypatch: pytest.MonkeyPatch) -> None:
    created: list[str] = []
    monkeypatch.setattr(default_clients, "create_client", lambda _: created.append("sync"))
    monkeypatch.setattr(default_clients, "create_async_client", lambda _: created.append("async"))

    async def warm_up() -> None:
        HttpClients(None, None).warm_up()

    HttpClients(None, None).warm_up()
    assert created == ["sync"]
    asyncio.run(warm_up())
    assert created == ["sync", "sync", "async"]


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"ALL_PROXY": "socks5://u:hunter2@127.0.0.1:1080"}, r"check ALL_PROXY\. A SOCKS proxy needs another package"),
        (
            {"NO_PROXY": "localhost", "HTTPS_PROXY": "ftp://127.0.0.1:3128"},
            "check HTTPS_PROXY and NO_PROXY. .* NO_PROXY a list of host names",
        ),
        ({"https_proxy": "socks://u:hunter2@127.0.0.1:1080"}, "check https_proxy. A proxy must be an address"),
    ],
)
def test_a_mistake_in_the_environment_is_reported_at_construction(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], message: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=message) as caught:
        HttpClients(None, None)
    assert "hunter2" not in str(caught.value)
    HttpClients(httpx.Client(transport=Recorder()), None)  # the environment does not matter


def test_certificates_that_cannot_be_read_are_reported_at_construction(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any, **options: Any) -> None:
        raise FileNotFoundError

    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", fail)  # the other tests replace it by nothing
    monkeypatch.setenv("SSL_CERT_FILE", "/no/such.pem")
    with pytest.raises(ConfigurationError, match=r"check SSL_CERT_FILE\. The certificates cannot be read"):
        HttpClients(None, None)


def test_a_mistake_that_is_made_after_the_construction_is_reported_by_the_first_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clients = HttpClients(None, None)
    monkeypatch.setenv("HTTPS_PROXY", "socks://u:hunter2@127.0.0.1:1080")
    with pytest.raises(ConfigurationError, match="check HTTPS_PROXY") as caught:
        clients.get_caller(SyncIO())
    assert "hunter2" not in str(caught.value)


def test_a_call_may_take_longer_if_the_users_client_may() -> None:
    def find_limit(client: Any) -> float:
        return HttpClients(client, None).get_caller(SyncIO()).limit

    assert find_limit(httpx.Client(timeout=2)) == CALL_LIMIT
    assert find_limit(httpx.Client(timeout=60)) == 60
    assert find_limit(httpx.Client(timeout=httpx.Timeout(None))) == CALL_LIMIT


def test_a_forked_process_creates_its_own_client() -> None:
    clients = HttpClients(None, None)
    client = get_client(clients)
    child = os.fork()
    if child == 0:  # pragma: no cover - in the child process
        os._exit(0 if get_client(clients) is not client else 1)
    assert exit_code(child) == 0
    assert get_client(clients) is client
    clients.close()


def test_a_client_that_is_used_on_both_sides_of_a_fork_is_reported(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clients = HttpClients(httpx.Client(transport=Recorder()), None)
    fetch(clients)
    monkeypatch.setattr(os, "getpid", lambda: -1)
    fetch(clients)
    fetch(clients)
    assert len(caplog.messages) == 1
    assert "Pass a function that creates the client instead" in caplog.text
