"""The clients that are created here make calls alike, whether or not aiohttp is installed."""

import asyncio
import gzip
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import nullcontext
from importlib import metadata
from typing import Any, Literal

import httpx2
import pytest

from triage import VendorError
from triage.engine.breaker import CircuitBreaker
from triage.engine.clients import HttpClients
from triage.engine.transport import TokenCache, Transport
from triage.inbox import MemoryInbox
from triage.io import default_clients
from triage.io.default_clients import create_async_client, create_async_transport
from triage.io.http import MAX_RESPONSE, RequestHeldBack, UnusableResponse, fetch_async
from triage.io.ports import AsyncIO
from triage.models import Request, Response
from triage.testing.server import Drop, HttpRequest, HttpResponse, Stall, serve
from triage.vendors import Intercom

pytestmark = pytest.mark.usefixtures("http_stack")

INTERCOM = Intercom(client_secret="s", access_token="t", admin_id="1")


def call(url: str, method: str = "POST", headers: Mapping[str, str] | None = None) -> Response:
    """Make a call with a client of our own."""

    async def use() -> Response:
        client: Any = create_async_client(5)
        try:
            return await fetch_async(client, method, url, content=b'{"a": "\xc3\xa9"}', headers=headers or {})
        finally:
            await client.aclose()

    return asyncio.run(use())


def send(request: Request) -> Response:
    """Make a call as a Router does in async code."""

    async def use() -> Response:
        clients = HttpClients(None, None)
        breaker = CircuitBreaker("intercom", MemoryInbox(), failures=9, pause=30, clock=lambda: 0.0)
        transport = Transport(INTERCOM, None, clients, AsyncIO(), breaker, TokenCache(), lambda: 0.0)
        try:
            return await transport.send(request)
        finally:
            await clients.aclose()

    return asyncio.run(use())


def use_sdk_client(use: Callable[[httpx2.AsyncClient], Awaitable[Any]]) -> Any:
    """Use a client with the transport that the SDK's async client has."""

    async def run() -> Any:
        async with httpx2.AsyncClient(transport=create_async_transport()) as client:
            return await use(client)

    return asyncio.run(run())


def record(requests: list[HttpRequest]) -> Callable[[HttpRequest], HttpResponse]:
    def answer(request: HttpRequest) -> HttpResponse:
        requests.append(request)
        return HttpResponse(302, {"Location": "/elsewhere", "X-Id": "1", "Set-Cookie": "a=b"}, b"moved")

    return answer


def test_a_call_sends_its_headers_and_body_and_returns_the_response() -> None:
    requests: list[HttpRequest] = []
    with serve(record(requests)) as url:
        response = call(f"{url}/things/a%2Fb?page=%2B1", headers={"X-Token": "secret", "Content-Type": "text/plain"})
    (request,) = requests
    assert (request.method, request.path, request.query) == ("POST", "/things/a%2Fb", {"page": "+1"})
    assert request.body == b'{"a": "\xc3\xa9"}'
    assert (request.headers["x-token"], request.headers["content-type"]) == ("secret", "text/plain")
    assert request.headers["accept-encoding"] == "gzip"
    assert (response.status, response.headers["x-id"], response.body) == (302, "1", b"moved")


def test_the_sdk_sends_exactly_its_own_headers() -> None:
    requests: list[HttpRequest] = []

    async def use(client: httpx2.AsyncClient) -> Any:
        for _ in range(2):
            response = await client.post("/v1/messages?a=%2B", content=b"{}", headers={"User-Agent": "SDK"})
            assert (response.status_code, response.headers["x-id"], response.text) == (302, "1", "moved")
            client.cookies.clear()

    with serve(record(requests)) as url:

        async def use_url(client: httpx2.AsyncClient) -> Any:
            client.base_url = url
            await use(client)

        use_sdk_client(use_url)
    assert len(requests) == 2
    assert [request.query for request in requests] == [{"a": "+"}] * 2
    assert requests[0].headers.keys() == {
        *("host", "accept", "accept-encoding", "connection", "user-agent", "content-length")
    }
    assert (requests[1].headers["user-agent"], requests[1].body) == ("SDK", b"{}")


def test_a_call_without_a_body_has_none() -> None:
    requests: list[HttpRequest] = []
    with serve(record(requests)) as url:
        use_sdk_client(lambda client: client.get(url))
    assert (requests[0].body, "content-length" in requests[0].headers) == (b"", False)


def test_a_bomb_is_decompressed_only_up_to_the_limit() -> None:
    body = gzip.compress(b" " * (MAX_RESPONSE + 1))
    with (
        serve(lambda request: HttpResponse(200, {"Content-Encoding": "gzip"}, body)) as url,
        pytest.raises(UnusableResponse, match="the response is larger than 16 MiB"),
    ):
        call(url)


def test_a_body_that_is_too_large_is_rejected() -> None:
    with (
        serve(lambda request: HttpResponse(body=b" " * (MAX_RESPONSE + 1))) as url,
        pytest.raises(UnusableResponse, match="the response is larger than 16 MiB"),
    ):
        call(url)


def test_headers_may_be_long() -> None:
    with serve(lambda request: HttpResponse(headers={"X-Long": "x" * 20_000})) as url:
        assert len(call(url).headers["x-long"]) == 20_000


def test_the_values_of_a_repeated_header_are_joined() -> None:
    with serve(lambda request: HttpResponse(headers={"X-Part": "1", "x-part": "2"})) as url:
        assert call(url).headers["x-part"] == "1, 2"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_a_write_whose_connection_is_lost_is_not_repeated(method: Literal["POST", "PUT", "DELETE"]) -> None:
    requests: list[HttpRequest] = []

    def drop(request: HttpRequest) -> HttpResponse:
        requests.append(request)
        raise Drop

    with serve(drop) as url, pytest.raises(VendorError, match="no response: the connection was closed") as caught:
        send(Request(method, url, {}))
    assert (len(requests), caught.value.outcome_unknown) == (1, True)


@pytest.mark.parametrize("permissions", [[False], [True, False], [True, True]])
def test_a_request_can_be_held_back_once_its_connection_is_open(permissions: Sequence[bool]) -> None:
    requests: list[HttpRequest] = []
    answers = iter(permissions)
    is_allowed = all(permissions)

    async def use(url: str) -> None:
        client: Any = create_async_client(5)
        try:
            await fetch_async(client, "POST", url, content=b"{}", headers={}, may_send=lambda: next(answers))
        finally:
            await client.aclose()

    with serve(record(requests)) as url, nullcontext() if is_allowed else pytest.raises(RequestHeldBack):
        asyncio.run(use(url))
    assert len(requests) == is_allowed


def test_a_connection_that_is_refused_proves_that_nothing_was_sent() -> None:
    with serve(lambda request: HttpResponse()) as url:
        pass
    with pytest.raises(VendorError, match="no response: the connection was refused") as caught:
        send(Request("POST", url, {}))
    assert not caught.value.outcome_unknown


def test_a_response_that_does_not_come_in_time_has_an_unknown_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("triage.engine.clients.CALL_LIMIT", 0.1)

    def stall(request: HttpRequest) -> HttpResponse:
        raise Stall

    with (
        serve(stall) as url,
        pytest.raises(VendorError, match="no response: it did not respond in time") as caught,
    ):
        send(Request("POST", url, {}))
    assert caught.value.outcome_unknown


def test_the_time_limits_of_the_sdk_apply() -> None:
    def stall(request: HttpRequest) -> HttpResponse:
        raise Stall

    with serve(stall) as url, pytest.raises(httpx2.ReadTimeout):
        use_sdk_client(lambda client: client.get(url, timeout=0.1))


def test_a_connection_that_is_not_opened_in_time_is_a_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang(*args: Any, **options: Any) -> Any:
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio.SelectorEventLoop, "sock_connect", hang)
    with pytest.raises(httpx2.ConnectTimeout):
        use_sdk_client(lambda client: client.get("http://127.0.0.1:1", timeout=0.05))


@pytest.mark.parametrize("token", ["…", "with\nline break", "with\rreturn", " leading", "trailing "])
def test_a_token_that_no_header_can_contain_is_reported_without_it(token: str) -> None:
    requests: list[HttpRequest] = []
    with (
        serve(record(requests)) as url,
        pytest.raises(VendorError, match="the API token, or another setting sent in a header") as caught,
    ):
        send(Request("POST", url, {}, headers={"X-Token": token}))
    assert (requests, caught.value.outcome_unknown, caught.value.__cause__) == ([], False, None)
    assert token not in str(caught.value)


def test_many_calls_at_once_all_get_their_own_response() -> None:
    barrier = threading.Barrier(30, timeout=20)

    def echo(request: HttpRequest) -> HttpResponse:
        barrier.wait()
        return HttpResponse(body=request.body)

    async def use(url: str) -> list[bytes]:
        client: Any = create_async_client(20)
        bodies = [str(number).encode() for number in range(30)]
        calls = [fetch_async(client, "POST", url, content=body, headers={}) for body in bodies]
        responses = await asyncio.gather(*calls)
        await client.aclose()
        return [response.body for response in responses]

    with serve(echo) as url:
        assert asyncio.run(use(url)) == [str(number).encode() for number in range(30)]


# Proxies


def test_a_proxy_of_the_environment_is_used_by_both_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    requests: list[HttpRequest] = []
    with serve(record(requests)) as url:
        monkeypatch.setenv("ALL_PROXY", url)
        call("http://desk.example.com/things")
        use_sdk_client(lambda client: client.get("http://claude.example.com/v1"))
    assert [request.path for request in requests] == ["http://desk.example.com/things", "http://claude.example.com/v1"]


def test_hosts_without_proxy_are_called_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    requests: list[HttpRequest] = []
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serve(record(requests)) as url:
        call(f"{url}/things")
        use_sdk_client(lambda client: client.get(f"{url}/v1"))
    assert [request.path for request in requests] == ["/things", "/v1"]


# Which package makes the calls


@pytest.mark.parametrize(("version", "expected"), [("3.11.18", False), ("3.12.0", True), ("4.0.0a1", False)])
def test_only_known_releases_of_aiohttp_are_used(
    monkeypatch: pytest.MonkeyPatch, version: str, *, expected: bool
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(metadata, "version", lambda _: version)
    assert default_clients.is_aiohttp_installed() is expected


def test_aiohttp_need_not_be_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()

    def fail(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", fail)
    assert not default_clients.is_aiohttp_installed()


# Programs that end

PROGRAM = """
import asyncio, os, sys
from triage.engine.clients import HttpClients
from triage.io import default_clients
from triage.io.ports import AsyncIO

if sys.argv[1] != "aiohttp":
    default_clients.is_aiohttp_installed = lambda: False
clients = HttpClients(None, None)

async def call():
    response = await clients.get_caller(AsyncIO()).fetch("GET", sys.argv[2], content=None, headers={{}})
    assert response.body == b"answer"

{ending}
print("done")
"""

ENDINGS = {
    "closed": "async def main():\n    await call()\n    await clients.aclose()\nasyncio.run(main())",
    "not closed": "asyncio.run(call())",
    "several loops": "for _ in range(3): asyncio.run(call())",
    "interrupted": """
async def main():
    await call()
    os.kill(os.getpid(), 2)
    await asyncio.sleep(60)
try:
    asyncio.run(main())
except KeyboardInterrupt:
    pass
""",
    "forked": """
async def main():
    await call()
    child = os.fork()
    if child == 0:
        sys.exit()
    assert os.waitpid(child, 0)[1] == 0
    await call()
    await clients.aclose()
asyncio.run(main())
""",
    "forked between loops": """
asyncio.run(call())
child = os.fork()
asyncio.run(call())
if child == 0:
    sys.exit()
assert os.waitpid(child, 0)[1] == 0
asyncio.run(call())
""",
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_program_ends_without_complaints(http_stack: str, ending: str) -> None:
    with serve(lambda request: HttpResponse(body=b"answer")) as url:
        process = subprocess.run(
            [sys.executable, "-c", PROGRAM.format(ending=ENDINGS[ending]), http_stack, url],
            capture_output=True,
            check=False,
            text=True,
            timeout=60,
        )
    assert process.stderr == ""
    assert process.returncode == 0
    assert "done" in process.stdout


def test_a_closed_program_leaves_nothing_open(http_stack: str) -> None:
    with serve(lambda request: HttpResponse(body=b"answer")) as url:
        process = subprocess.run(
            [sys.executable, "-W", "error", "-c", PROGRAM.format(ending=ENDINGS["closed"]), http_stack, url],
            capture_output=True,
            check=False,
            text=True,
            timeout=60,
        )
    assert (process.stderr, process.stdout) == ("", "done\n")
