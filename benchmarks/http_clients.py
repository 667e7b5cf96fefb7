"""Measure the CPU time of a call to a help desk's API with each HTTP client, by the number of calls in flight.

The server answers after 50 ms, in a process of its own. Each figure is the median of several runs, in which the clients
take turns, because other programs share the processor. CPU time hardly depends on them, unlike elapsed time.

Run it with `python benchmarks/http_clients.py`; aiohttp is measured if it is installed.
"""

import argparse
import asyncio
import multiprocessing
import statistics
import time
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from typing import Any

import httpx
import httpx2

from triage.io import default_clients
from triage.io.http import fetch_async
from triage.io.pooled_transport import PooledTransport

LATENCY = 0.05  # seconds
TIMEOUT = 60.0  # seconds
MOST_IN_A_ROW = 50  # calls, so that the lowest level does not take minutes
BODY = b'{"type": "conversation", "padding": "' + b"x" * 1500 + b'"}'
RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
HEADERS = {"Authorization": "Bearer token", "Content-Type": "application/json"}


class Server(asyncio.Protocol):
    """Answers every request alike, after a delay. Each request must arrive in one piece."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        """Answer a request once its body, the last part of it, has arrived."""
        if data.endswith(b"}"):
            asyncio.get_running_loop().call_later(LATENCY, self._transport.write, RESPONSE)


def run_server(pipe: Connection) -> None:
    """Send the port through the pipe, and serve."""

    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0, backlog=1024)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(serve())


def create_pooled() -> Any:
    """Create the client that is used without aiohttp."""
    transport = PooledTransport(httpx2.create_ssl_context(), connections=1000)
    return httpx2.AsyncClient(timeout=TIMEOUT, transport=transport)


def list_clients() -> Mapping[str, Callable[[], Any]]:
    """Return functions that create the clients, by name."""
    clients: dict[str, Callable[[], Any]] = {
        "httpx": lambda: httpx.AsyncClient(timeout=TIMEOUT, limits=httpx.Limits(max_connections=1000)),
        "httpx2": lambda: httpx2.AsyncClient(timeout=TIMEOUT, limits=httpx2.Limits(max_connections=1000)),
        "httpx2, small pools": create_pooled,
    }
    if default_clients.is_aiohttp_installed():
        clients["aiohttp"] = lambda: default_clients.create_async_client(TIMEOUT)
    return clients


async def measure(client: Any, url: str, in_flight: int, calls: int) -> float:
    """Return the milliseconds of CPU time that a call takes."""

    async def repeat(number: int) -> None:
        for _ in range(number):
            await fetch_async(client, "POST", url, content=b'{"message_type": "comment"}', headers=HEADERS)

    await asyncio.gather(*(repeat(1) for _ in range(in_flight)))  # open the connections
    repetitions = max(1, min(calls // in_flight, MOST_IN_A_ROW))
    started = time.process_time()
    await asyncio.gather(*(repeat(repetitions) for _ in range(in_flight)))
    seconds = time.process_time() - started
    await client.aclose()
    return seconds / (repetitions * in_flight) * 1000


def main() -> None:
    """Measure every client at every level, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--in-flight", type=int, nargs="+", default=[1, 10, 50, 200])
    parser.add_argument("--calls", type=int, default=1000, help="the most for each client, level and run")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=run_server, args=(theirs,), daemon=True)
    server.start()
    url = f"http://127.0.0.1:{ours.recv()}/conversations/1/parts"
    clients = list_clients()
    print("CPU time of a call in ms, by the number of calls in flight\n")
    print(f"{'':<20}" + "".join(f"{level:>8}" for level in options.in_flight))
    times: dict[tuple[str, int], list[float]] = {}
    for _ in range(options.runs):
        for level in options.in_flight:
            for name, create in clients.items():
                milliseconds = asyncio.run(create_and_measure(create, url, level, options.calls))
                times.setdefault((name, level), []).append(milliseconds)
    for name in clients:
        medians = (statistics.median(times[name, level]) for level in options.in_flight)
        print(f"{name:<20}" + "".join(f"{median:>8.2f}" for median in medians))
    server.terminate()
    server.join()


async def create_and_measure(create: Callable[[], Any], url: str, in_flight: int, calls: int) -> float:
    """Create a client on the running event loop, and measure it."""
    return await measure(create(), url, in_flight, calls)


if __name__ == "__main__":
    main()
