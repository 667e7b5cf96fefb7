"""An HTTP/1.1 server on the loopback interface for an app that is a plain function. For tests and demos only.

The app returns a response, or raises `Drop` or `Stall`. Its side effects before that remain, as when a response is
lost.
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

from typing_extensions import override


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request."""

    method: str
    """In upper case."""
    path: str
    """As sent: still percent-encoded, without the query."""
    query: Mapping[str, str] = field(default_factory=dict[str, str])
    """The parsed query string."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """Names in lower case."""
    body: bytes = b""
    """The body as sent."""

    @classmethod
    def parse(cls, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Self:
        """Create a request from its parts as they are sent.

        Args:
            method: `"GET"`.
            target: Path and query.
            headers: Names in any case.
            body: The body.
        """
        path, _, query = target.partition("?")
        lowered = {name.lower(): value for name, value in headers.items()}
        return cls(method, path, dict(parse_qsl(query, keep_blank_values=True)), lowered, body)


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A response. The server adds `Content-Length`."""

    status: int = 200
    """The status code."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """The headers."""
    body: bytes = b""
    """The body as sent."""


App: TypeAlias = Callable[[HttpRequest], HttpResponse]


class Drop(Exception):  # noqa: N818 - an instruction to the server, not an error
    """Raised by an app to close the connection without a response."""


class Stall(Exception):  # noqa: N818 - an instruction to the server, not an error
    """Raised by an app to send no response, and to keep the connection open until the server closes."""


class _Server(ThreadingTCPServer):
    # Do not use `http.server.ThreadingHTTPServer`: it looks up its host name when it binds, which may take seconds.
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, app: App) -> None:
        self.app = app
        self.closing = threading.Event()
        self.lock = threading.Lock()
        self.connections: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), _Handler)

    @override
    def process_request(self, request: Any, client_address: Any) -> None:
        with self.lock:
            self.connections.add(request)
        super().process_request(request, client_address)

    @override
    def shutdown_request(self, request: Any) -> None:
        with self.lock:
            self.connections.discard(request)
        super().shutdown_request(request)

    def close(self) -> None:
        self.closing.set()
        self.shutdown()
        self.server_close()
        with self.lock:  # otherwise a kept-alive connection would be served for as long as the client holds it
            for connection in self.connections:
                with suppress(OSError):  # the client may have closed it first
                    connection.shutdown(socket.SHUT_RDWR)

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):  # clients may disconnect at any time
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # One buffered write for head and body: the second of two small writes would wait 40 ms for an acknowledgement.
    wbufsize = -1
    disable_nagle_algorithm = True

    def __init__(self, request: Any, client_address: Any, server: BaseServer) -> None:
        assert isinstance(server, _Server)  # noqa: S101 - narrows the type
        self._app = server.app
        self._closing = server.closing
        super().__init__(request, client_address, server)

    def _respond(self) -> None:
        if "transfer-encoding" in self.headers:
            self.close_connection = True
            self._send(HttpResponse(411, {"Connection": "close"}, b"send a Content-Length"))
            return
        length = int(self.headers.get("content-length", 0))
        body = self.rfile.read(length)
        if len(body) < length:  # the client closed the connection before it had sent the whole request
            self.close_connection = True
            return
        try:
            response = self._app(HttpRequest.parse(self.command, self.path, dict(self.headers.items()), body))
        except Drop:
            self.close_connection = True
        except Stall:
            self._closing.wait()
            self.close_connection = True
        else:
            self._send(response)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _respond  # noqa: N815 - http.server's names

    def _send(self, response: HttpResponse) -> None:
        if "Date" in response.headers:
            self.send_response_only(response.status)  # `send_response` would add a date of its own
        else:
            self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        if response.status != 204:
            self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        if self.command != "HEAD" and response.status != 204:
            self.wfile.write(response.body)

    @override
    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def serve(app: App) -> Generator[str, None, None]:
    """Run an app as a server on a free port of the loopback interface.

    The context manager returns the server's base URL, such as `"http://127.0.0.1:49152"`.

    Args:
        app: Called once for each request, in several threads at once. It may raise `Drop` or `Stall`.
    """
    server = _Server(app)
    # On close the server waits for the loop to notice, which takes up to this interval.
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.close()
        thread.join()
