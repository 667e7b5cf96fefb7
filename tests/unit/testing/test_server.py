"""The loopback server: it serves plain functions, drops connections and stalls."""

import http.client
import socket
import threading
from urllib.parse import urlsplit

import httpx
import pytest

from triage.testing.server import Drop, HttpRequest, HttpResponse, Stall, serve


def echo(request: HttpRequest) -> HttpResponse:
    line = f"{request.method} {request.path} {dict(request.query)} {request.headers.get('x-one')} ".encode()
    return HttpResponse(201, {"X-Two": "2"}, line + request.body)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_the_app_receives_the_request_and_the_client_its_response(method: str) -> None:
    with serve(echo) as base_url:
        response = httpx.request(method, f"{base_url}/a%2Fb?c=1&d=", content="é", headers={"X-One": "1"})
    assert (response.status_code, response.headers["X-Two"]) == (201, "2")
    assert response.text == f"{method} /a%2Fb {{'c': '1', 'd': ''}} 1 é"


def test_a_response_to_head_has_the_length_but_no_body() -> None:
    with serve(lambda _: HttpResponse(body=b"1234")) as base_url:
        response = httpx.head(base_url)
    assert (response.headers["Content-Length"], response.content) == ("4", b"")


def test_a_204_response_has_no_content_length() -> None:
    with serve(lambda _: HttpResponse(204)) as base_url:
        assert "Content-Length" not in httpx.delete(base_url).headers


def test_a_connection_is_kept_alive() -> None:
    with serve(echo) as base_url:
        connection = http.client.HTTPConnection(urlsplit(base_url).netloc)
        addresses = set[tuple[str, int]]()
        for _ in range(3):
            connection.request("POST", "/", body=b"x")
            addresses.add(connection.sock.getsockname())
            assert connection.getresponse().read().endswith(b"x")
        connection.close()
    assert len(addresses) == 1


def test_a_chunked_body_is_rejected() -> None:
    with serve(echo) as base_url:
        assert httpx.post(base_url, content=iter([b"a", b"b"])).status_code == 411


def test_a_request_whose_body_is_incomplete_has_no_effect() -> None:
    written: list[str] = []

    def app(request: HttpRequest) -> HttpResponse:
        written.append(request.path)
        return HttpResponse()

    with serve(app) as base_url:
        address = urlsplit(base_url)
        with socket.create_connection((address.hostname or "", address.port or 0), timeout=10) as connection:
            connection.sendall(b"POST /write HTTP/1.1\r\nContent-Length: 2\r\n\r\n{")
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(100) == b""
    assert written == []


def test_a_dropped_response_keeps_the_side_effects_of_the_app() -> None:
    written: list[str] = []

    def app(request: HttpRequest) -> HttpResponse:
        written.append(request.path)
        raise Drop

    with serve(app) as base_url, pytest.raises(httpx.RemoteProtocolError):
        httpx.post(f"{base_url}/write")
    assert written == ["/write"]


def test_a_stalled_response_runs_into_the_clients_timeout() -> None:
    def app(_: HttpRequest) -> HttpResponse:
        raise Stall

    with serve(app) as base_url, pytest.raises(httpx.ReadTimeout):
        httpx.get(base_url, timeout=0.05)


def test_closing_the_server_ends_a_stalled_response() -> None:
    received = threading.Event()
    errors: list[Exception] = []

    def app(_: HttpRequest) -> HttpResponse:
        received.set()
        raise Stall

    def call(base_url: str) -> None:
        try:
            httpx.get(base_url, timeout=30)
        except httpx.TransportError as err:
            errors.append(err)

    with serve(app) as base_url:
        client = threading.Thread(target=call, args=[base_url])
        client.start()
        assert received.wait(10)
    client.join(10)
    assert len(errors) == 1


def test_closing_the_server_closes_kept_alive_connections() -> None:
    with serve(echo) as base_url:
        address = urlsplit(base_url)
        assert address.hostname is not None
        connection = socket.create_connection((address.hostname, address.port or 0))
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 201")
    assert connection.recv(1000) == b""
    connection.close()


def test_requests_are_handled_concurrently() -> None:
    barrier = threading.Barrier(3, timeout=10)

    def app(_: HttpRequest) -> HttpResponse:
        barrier.wait()
        return HttpResponse()

    with serve(app) as base_url:
        clients = [threading.Thread(target=httpx.get, args=[base_url]) for _ in range(3)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
    assert not barrier.broken


@pytest.mark.parametrize(("error", "is_printed"), [(ConnectionResetError, False), (ValueError, True)])
def test_errors_of_the_app_are_printed_and_lost_connections_are_not(
    error: type[Exception], is_printed: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    def app(_: HttpRequest) -> HttpResponse:
        raise error("from the app")

    with serve(app) as base_url, pytest.raises(httpx.RemoteProtocolError):
        httpx.get(base_url)
    assert ("from the app" in capfd.readouterr().err) is is_printed
