"""Calls over HTTP: limits on the response, for sync and async clients and for compressed and other bodies."""

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import httpx2
import pytest

from triage.io import http as http_module
from triage.io.http import RequestHeldBack, UnusableResponse, fetch, fetch_async
from triage.models import Response
from triage.testing.server import HttpRequest, HttpResponse, serve

URL = "https://api.example.com/things"


class Stream(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body in chunks, like that of a response from the network."""

    def __init__(self, body: bytes, size: int = 7) -> None:
        self.chunks = [body[i : i + size] for i in range(0, len(body), size)]
        self.read = 0

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self.chunks:
            self.read += 1
            yield chunk

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self:
            yield chunk


Call = Callable[[Callable[[httpx.Request], httpx.Response]], Response]


def call_sync(answer: Callable[[httpx.Request], httpx.Response]) -> Response:
    with httpx.Client(transport=httpx.MockTransport(answer), follow_redirects=True) as client:
        return fetch(client, "POST", URL, content=b"{}", headers={"X-Id": "1"})


def call_async(answer: Callable[[httpx.Request], httpx.Response]) -> Response:
    async def call() -> Response:
        async with httpx.AsyncClient(transport=httpx.MockTransport(answer), follow_redirects=True) as client:
            return await fetch_async(client, "POST", URL, content=b"{}", headers={"X-Id": "1"})

    return asyncio.run(call())


@pytest.fixture(params=[call_sync, call_async])
def call(request: pytest.FixtureRequest) -> Call:
    function: Call = request.param
    return function


def respond(body: bytes, encoding: str | None = None, status: int = 200) -> Callable[[Any], httpx.Response]:
    headers = {"X-Request-Id": "r"} | ({} if encoding is None else {"Content-Encoding": encoding})
    return lambda request: httpx.Response(status, headers=headers, stream=Stream(body))


def test_a_call_sends_the_request_and_returns_the_response(call: Call) -> None:
    requests: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(302, headers={"Location": "https://elsewhere.example.com"}, stream=Stream(b"moved"))

    response = call(answer)
    assert (response.status, response.body) == (302, b"moved")
    assert response.headers["location"] == "https://elsewhere.example.com"
    (request,) = requests
    assert (request.method, request.content, request.headers["x-id"]) == ("POST", b"{}", "1")
    assert request.headers["accept-encoding"] == "gzip"


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", " GZIP "])
def test_a_compressed_body_is_decompressed(call: Call, encoding: str) -> None:
    assert call(respond(gzip.compress(b"hello" * 1000), encoding)).body == b"hello" * 1000


def test_a_body_may_be_empty(call: Call) -> None:
    assert call(respond(b"")).body == b""
    assert call(respond(b"", "gzip", 204)).body == b""


@pytest.mark.parametrize("encoding", [None, "identity", "gzip"])
def test_a_body_that_is_too_large_is_not_read_to_its_end(
    call: Call, encoding: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_module, "MAX_RESPONSE", 1000)
    body = b"x" * 100_000
    stream = Stream(gzip.compress(body, 0) if encoding == "gzip" else body)
    headers = {} if encoding is None else {"Content-Encoding": encoding}
    with pytest.raises(UnusableResponse, match="the response is larger than") as caught:
        call(lambda request: httpx.Response(200, headers=headers, stream=stream))
    assert caught.value.status == 200
    assert stream.read < 200


def test_a_bomb_is_decompressed_only_up_to_the_limit(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_module, "MAX_RESPONSE", 1000)
    sizes: list[int] = []
    decompressobj = zlib.decompressobj

    class Measured:
        def __init__(self, wbits: int) -> None:
            self._decoder = decompressobj(wbits)

        def decompress(self, chunk: bytes, limit: int) -> bytes:
            data = self._decoder.decompress(chunk, limit)
            sizes.append(len(data))
            return data

    monkeypatch.setattr("triage.io.http.zlib.decompressobj", Measured)
    with pytest.raises(UnusableResponse, match="larger"):
        call(respond(gzip.compress(b" " * 10_000_000), "gzip"))
    assert sum(sizes) == 1001


@pytest.mark.parametrize(
    ("body", "encoding", "message"),
    [
        (b"not compressed", "gzip", "cannot be decompressed"),
        (gzip.compress(b"hello" * 1000, mtime=0)[:-9], "gzip", "is incomplete"),
        (b"anything", "br", "is compressed in a way that was not asked for"),
    ],
)
def test_a_body_that_cannot_be_read_is_reported(call: Call, body: bytes, encoding: str, message: str) -> None:
    with pytest.raises(UnusableResponse, match=message):
        call(respond(body, encoding))


def test_a_body_that_arrives_byte_by_byte_is_not_read_forever(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Stream(b"{}" * 100, size=1)
    monkeypatch.setattr(http_module, "monotonic", lambda: float(stream.read))
    transport = httpx.MockTransport(lambda request: httpx.Response(200, stream=stream))
    with httpx.Client(transport=transport) as client, pytest.raises(TimeoutError):
        fetch(client, "GET", URL, content=None, headers={}, limit=10.0)
    assert stream.read == 11


def test_the_body_of_a_mock_is_used(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    assert call(lambda request: httpx.Response(200, json={"a": 1})).data() == {"a": 1}
    compressed = gzip.compress(b"hello")
    headers = {"Content-Encoding": "gzip"}
    assert call(lambda request: httpx.Response(200, headers=headers, content=compressed)).body == b"hello"
    monkeypatch.setattr(http_module, "MAX_RESPONSE", 4)
    with pytest.raises(UnusableResponse, match="larger"):
        call(lambda request: httpx.Response(200, content=b"hello"))


def test_a_client_of_httpx2_works_as_well() -> None:
    transport = httpx2.MockTransport(lambda request: httpx2.Response(200, content=b"hello"))
    assert fetch(httpx2.Client(transport=transport), "GET", URL, content=None, headers={}).body == b"hello"


def post_sync(client: Any, url: str, may_send: Callable[[], bool]) -> Response:
    with client:
        return fetch(client, "POST", url, content=b"{}", headers={}, may_send=may_send)


def post_async(client: Any, url: str, may_send: Callable[[], bool]) -> Response:
    async def call() -> Response:
        async with client:
            return await fetch_async(client, "POST", url, content=b"{}", headers={}, may_send=may_send)

    return asyncio.run(call())


CLIENTS = [(httpx.Client, post_sync), (httpx.AsyncClient, post_async), (httpx2.Client, post_sync)]


@pytest.mark.parametrize(("create", "post"), CLIENTS)
@pytest.mark.parametrize("permissions", [[False], [True, False]], ids=["at the head", "at the body"])
def test_a_request_that_may_no_longer_be_sent_is_held_back(
    create: Callable[[], Any], post: Callable[..., Response], permissions: list[bool]
) -> None:
    remaining = list(permissions)
    received: list[bytes] = []

    def answer(request: HttpRequest) -> HttpResponse:
        received.append(request.body)
        return HttpResponse()

    with serve(answer) as url:
        with pytest.raises(RequestHeldBack):
            post(create(), url, lambda: remaining.pop(0))
        assert (remaining, received) == ([], [])
        assert post(create(), url, lambda: True).status == 200
    assert received == [b"{}"]


def test_a_client_of_another_kind_need_not_ask_whether_it_may_send() -> None:
    class Client:
        def __init__(self) -> None:
            self.stream = httpx.Client(transport=httpx.MockTransport(respond(b"hello"))).stream

    assert fetch(Client(), "POST", URL, content=b"{}", headers={}, may_send=lambda: False).body == b"hello"
