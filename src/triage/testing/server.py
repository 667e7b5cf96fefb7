"""A real HTTP/1.1 server on the loopback, for an app that is a plain function. For tests and demos, not for production.

The app answers, or raises `Drop` or `Stall`. What it did before it raised stays done: that is how a lost answer looks.
"""

import socket
import sys
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from socketserver import BaseServer, ThreadingTCPServer
from typing import Any, Self, TypeAlias
from urllib.parse import parse_qsl


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request as the server read it."""

    method: str
    path: str
    """As sent: still percent-encoded, without the query."""
    query: Mapping[str, str] = field(default_factory=dict[str, str])
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """Names in lower case."""
    body: bytes = b""

    @classmethod
    def parse(cls, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Self:
        """Make one of a request line's parts.

        Args:
            method: `"GET"`.
            target: Path and query, as sent.
            headers: In any case.
            body: The bytes.
        """
        path, _, query = target.partition("?")
        lowered = {name.lower(): value for name, value in headers.items()}
        return cls(method, path, dict(parse_qsl(query, keep_blank_values=True)), lowered, body)


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """What the app answers. The server adds `Content-Length`."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""


App: TypeAlias = Callable[[HttpRequest], HttpResponse]


class Drop(Exception):  # noqa: N818 - an order to the server, not an error
    """Raised by an app: close the connection without an answer."""


class Stall(Exception):  # noqa: N818 - the same
    """Raised by an app: give no answer, and keep the connection open until the server closes."""


class _Server(ThreadingTCPServer):
    # Not http.server's own class: that one looks its host name up when it binds, which may take seconds.
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, app: App) -> None:
        self.app = app
        self.closing = threading.Event()
        self.lock = threading.Lock()
        self.connections: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self.lock:
            self.connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self.lock:
            self.connections.discard(request)
        super().shutdown_request(request)

    def close(self) -> None:
        self.closing.set()
        self.shutdown()
        self.server_close()
        with self.lock:  # else a kept-alive connection would be answered for as long as the client holds it
            for connection in self.connections:
                _hang_up(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):  # a client that went away is nobody's mistake
            super().handle_error(request, client_address)


def _hang_up(connection: socket.socket) -> None:
    with suppress(OSError):  # the client was first
        connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # One buffered write for head and body: two small ones wait for each other's acknowledgement, 40 ms a call.
    wbufsize = -1
    disable_nagle_algorithm = True

    def __init__(self, request: Any, client_address: Any, server: BaseServer) -> None:
        assert isinstance(server, _Server)  # noqa: S101 - tells the type checker
        self._app = server.app
        self._closing = server.closing
        super().__init__(request, client_address, server)

    def _answer(self) -> None:
        if "transfer-encoding" in self.headers:
            self.close_connection = True
            self._send(HttpResponse(411, {"Connection": "close"}, b"send a Content-Length"))
            return
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        try:
            response = self._app(HttpRequest.parse(self.command, self.path, dict(self.headers.items()), body))
        except Drop:
            self.close_connection = True
        except Stall:
            self._closing.wait()
            self.close_connection = True
        else:
            self._send(response)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815 - the names http.server calls

    def _send(self, response: HttpResponse) -> None:
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        if response.status != 204:
            self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        if self.command != "HEAD" and response.status != 204:
            self.wfile.write(response.body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
        pass


@contextmanager
def serve(app: App) -> Generator[str, None, None]:
    """Run an app as a server on a free port of the loopback; gives its base URL, `"http://127.0.0.1:49152"`.

    Args:
        app: Called once for each request, in several threads at once. It may raise `Drop` or `Stall`.
    """
    server = _Server(app)
    # The interval is how long closing waits for the loop to notice.
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.close()
        thread.join()
