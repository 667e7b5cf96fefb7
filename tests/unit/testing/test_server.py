"""The loopback server: it serves plain functions, and fails as it is told to."""

import http.client
import socket
import threading
from urllib.parse import urlsplit

import httpx
import pytest

from triage.testing.server import Drop, HttpRequest, HttpResponse, Stall, serve


def echo(request: HttpRequest) -> HttpResponse:
    told = f"{request.method} {request.path} {dict(request.query)} {request.headers.get('x-one')} ".encode()
    return HttpResponse(201, {"X-Two": "2"}, told + request.body)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_the_app_gets_the_request_and_its_answer_comes_back(method: str) -> None:
    with serve(echo) as base_url:
        answer = httpx.request(method, f"{base_url}/a%2Fb?c=1&d=", content="é", headers={"X-One": "1"})
    assert (answer.status_code, answer.headers["X-Two"]) == (201, "2")
    assert answer.text == f"{method} /a%2Fb {{'c': '1', 'd': ''}} 1 é"


def test_a_head_request_gets_the_length_without_the_body() -> None:
    with serve(lambda _: HttpResponse(body=b"1234")) as base_url:
        answer = httpx.head(base_url)
    assert (answer.headers["Content-Length"], answer.content) == ("4", b"")


def test_no_content_has_no_length() -> None:
    with serve(lambda _: HttpResponse(204)) as base_url:
        assert "Content-Length" not in httpx.delete(base_url).headers


def test_a_connection_is_kept_for_the_next_request() -> None:
    with serve(echo) as base_url:
        connection = http.client.HTTPConnection(urlsplit(base_url).netloc)
        used = set[tuple[str, int]]()
        for _ in range(3):
            connection.request("POST", "/", body=b"x")
            used.add(connection.sock.getsockname())
            assert connection.getresponse().read().endswith(b"x")
        connection.close()
    assert len(used) == 1


def test_a_chunked_body_is_refused() -> None:
    with serve(echo) as base_url:
        assert httpx.post(base_url, content=iter([b"a", b"b"])).status_code == 411


def test_a_dropped_answer_is_none_and_what_was_done_stays_done() -> None:
    done: list[str] = []

    def app(request: HttpRequest) -> HttpResponse:
        done.append(request.path)
        raise Drop

    with serve(app) as base_url, pytest.raises(httpx.RemoteProtocolError):
        httpx.post(f"{base_url}/write")
    assert done == ["/write"]


def test_a_stalled_answer_runs_into_the_clients_time_limit() -> None:
    def app(_: HttpRequest) -> HttpResponse:
        raise Stall

    with serve(app) as base_url, pytest.raises(httpx.ReadTimeout):
        httpx.get(base_url, timeout=0.05)


def test_closing_ends_a_stalled_answer() -> None:
    asked = threading.Event()
    errors: list[Exception] = []

    def app(_: HttpRequest) -> HttpResponse:
        asked.set()
        raise Stall

    def ask(base_url: str) -> None:
        try:
            httpx.get(base_url, timeout=30)
        except httpx.TransportError as err:
            errors.append(err)

    with serve(app) as base_url:
        client = threading.Thread(target=ask, args=[base_url])
        client.start()
        assert asked.wait(10)
    client.join(10)
    assert len(errors) == 1


def test_closing_ends_connections_that_clients_keep() -> None:
    with serve(echo) as base_url:
        address = urlsplit(base_url)
        assert address.hostname is not None
        connection = socket.create_connection((address.hostname, address.port or 0))
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 201")
    assert connection.recv(1000) == b""
    connection.close()


def test_several_requests_are_answered_at_once() -> None:
    together = threading.Barrier(3, timeout=10)

    def app(_: HttpRequest) -> HttpResponse:
        together.wait()
        return HttpResponse()

    with serve(app) as base_url:
        clients = [threading.Thread(target=httpx.get, args=[base_url]) for _ in range(3)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
    assert not together.broken


@pytest.mark.parametrize(("error", "told"), [(ConnectionResetError, False), (ValueError, True)])
def test_a_client_that_went_away_is_no_news_but_a_mistake_of_the_app_is(
    error: type[Exception], told: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    def app(_: HttpRequest) -> HttpResponse:
        raise error("from the app")

    with serve(app) as base_url, pytest.raises(httpx.RemoteProtocolError):
        httpx.get(base_url)
    assert ("from the app" in capfd.readouterr().err) is told
