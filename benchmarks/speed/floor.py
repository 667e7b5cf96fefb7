"""The least that receiving a webhook can cost: a signature and JSON, a durable insert, a call over the loopback."""

import hmac
import json
import socket
import sqlite3
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks.drain import Template
from benchmarks.speed.receivers import create_router
from benchmarks.speed.timing import time_fast, time_slow
from triage import Router
from triage.inbox import SQLiteInbox
from triage.testing import FakeIntercom, Webhook

_KEY = b"benchmark-secret"
_RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class Floor(NamedTuple):
    """A measured function."""

    name: str
    seconds: float
    """The median of a call."""


def measure_floor(template: Template, directory: Path, *, calls: int, batch_seconds: float) -> list[Floor]:
    """Measure the least that a webhook can cost, and next to it the durable `Router.handle`.

    Args:
        template: The webhook.
        directory: Where databases are created.
        calls: How often each slow function is called.
        batch_seconds: How long the fast function is called in a row.
    """
    body = template.deliver(0).body
    with ExitStack() as stack:
        slow = {
            "one durable insert (SQLite, WAL, `synchronous=FULL`)": stack.enter_context(_open_table(directory, body)),
            "one HTTP exchange over the loopback (plain sockets)": stack.enter_context(_connect(body)),
            "triage: durable `Router.handle` (verify, parse, insert)": stack.enter_context(
                _open_router(directory, template, calls)
            ),
        }
        fast = {"HMAC-SHA256 and `json.loads`": lambda: _verify_and_parse(body)}
        times = time_fast(fast, batch_seconds) | time_slow(slow, calls)
    return [Floor(name, seconds) for name, seconds in times.items()]


def _verify_and_parse(body: bytes) -> None:
    hmac.compare_digest(hmac.digest(_KEY, body, "sha256"), bytes(32))
    json.loads(body)


@contextmanager
def _open_table(directory: Path, body: bytes) -> Generator[Callable[[], object]]:
    with closing(sqlite3.connect(directory / "floor.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("CREATE TABLE deliveries (number INTEGER PRIMARY KEY, body BLOB)")
        yield lambda: connection.execute("INSERT INTO deliveries (body) VALUES (?)", (body,))


@contextmanager
def _open_router(directory: Path, template: Template, calls: int) -> Generator[Callable[[], object]]:
    inbox = SQLiteInbox(directory / "triage.db")
    deliveries = iter([template.deliver(number) for number in range(calls)])
    with create_router(FakeIntercom(), inbox=inbox) as router:
        yield lambda: _handle_next(router, deliveries)
    inbox.close()


def _handle_next(router: Router, deliveries: Iterator[Webhook]) -> None:
    delivery = next(deliveries)
    outcome = router.handle(delivery.body, delivery.headers).outcome
    if outcome.status != "accepted":
        raise AssertionError(f"the webhook was not stored: {outcome}")


@contextmanager
def _connect(body: bytes) -> Generator[Callable[[], object]]:
    request = b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=_respond, args=(listener, len(request)))
        server.start()
        with socket.create_connection(listener.getsockname()) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

            def exchange() -> None:
                connection.sendall(request)
                connection.recv(len(_RESPONSE))

            yield exchange
        server.join()


def _respond(listener: socket.socket, size: int) -> None:
    """Answer the requests of one connection, all of the same size."""
    connection, _ = listener.accept()
    with connection:
        missing = size
        while data := connection.recv(missing):
            missing -= len(data)
            if not missing:
                connection.sendall(_RESPONSE)
                missing = size
