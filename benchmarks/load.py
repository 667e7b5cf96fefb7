"""Measure how fast an application answers webhooks under load, and check that each is routed exactly once.

An example application runs under its real server in a separate process, as do a fake Claude and a fake Intercom with
realistic response times. Many webhooks arrive at once, each for a different conversation. The memory of the fake
Intercom shows the result: every conversation must be assigned and answered exactly once, and no webhook may wait for
longer than five seconds, after which help desks give up.

Run it with `python benchmarks/load.py`, or `python benchmarks/load.py --app flask --webhooks 500`.
"""

import argparse
import asyncio
import math
import multiprocessing
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from uuid import uuid4

from triage.testing import FakeClaude, FakeIntercom, Webhook
from triage.testing.claude import answer_by_rules

PATH = "/webhooks/intercom"
CLAUDE, DESK = 0.6, 0.05  # response times in seconds
PATIENCE = 5.0  # seconds after which a help desk gives up
STALL = 90.0  # seconds without progress after which the remaining events count as lost; longer than a lease
TRIES = 3  # how often a webhook is delivered until it is answered with 200
TEXT = "How do I export my contacts as a CSV file?"

SERVERS: Mapping[str, Sequence[str]] = {
    "fastapi": ("uvicorn", "--app-dir", "{directory}", "--port", "{port}", "--no-access-log", "fastapi_app:app"),
    "flask": (
        *("gunicorn", "--chdir", "{directory}", "--bind", "127.0.0.1:{port}"),
        *("--workers", "2", "--threads", "8", "--preload", "flask_app:app"),
    ),
}


@dataclass(frozen=True)
class Progress:
    """The progress that the help desk recorded."""

    done: int
    """The number of conversations that were assigned and answered."""
    repeats: int
    """The number of those that were assigned or answered more than once."""


@dataclass
class Load:
    """The answers to the webhooks that were sent."""

    waited: list[float] = field(default_factory=list[float])
    """Seconds until each delivery was answered."""
    answers: Counter[str] = field(default_factory=Counter[str])
    """The number of answers by status or error."""


def run_fakes(pipe: Connection) -> None:
    """Run the fakes; send the environment through the pipe, then answer requests.

    An `int` asks for that many webhooks, `None` for the progress.
    """

    def answer_slowly(request: Mapping[str, Any]) -> Mapping[str, Any]:
        time.sleep(CLAUDE)
        return answer_by_rules(request)

    desk = FakeIntercom(latency=DESK, rate_limit=None)
    with FakeClaude(answer_slowly).serve() as claude_url, desk.serve() as desk_url:
        pipe.send({**desk.env(desk_url), "ANTHROPIC_BASE_URL": claude_url, "ANTHROPIC_API_KEY": "sk-ant-test"})
        while True:
            try:
                request = pipe.recv()
            except EOFError:
                return
            pipe.send(
                _measure(desk)
                if request is None
                else [desk.customer_writes(TEXT, email=f"{uuid4()}@example.com") for _ in range(request)]
            )


def _measure(desk: FakeIntercom) -> Progress:
    done = repeats = 0
    for conversation in list(desk.conversations.values()):
        replies = len(desk.replies(conversation.id))
        assignments = sum("assigned_to" in message.extra for message in list(conversation.messages))
        done += replies > 0 and assignments > 0
        repeats += replies > 1 or assignments > 1
    return Progress(done, repeats)


class Fakes:
    """A client of the process with the fakes."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self.env: dict[str, str] = pipe.recv()

    def write(self, times: int) -> list[Webhook]:
        """Let that many customers write, and return their webhooks."""
        self._pipe.send(times)
        webhooks: list[Webhook] = self._pipe.recv()
        return webhooks

    def measure(self) -> Progress:
        """Ask the help desk for its progress."""
        self._pipe.send(None)
        progress: Progress = self._pipe.recv()
        return progress


@contextmanager
def start_fakes() -> Generator[Fakes]:
    """Run the fakes in a separate process."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=run_fakes, args=(theirs,))
    process.start()
    theirs.close()
    try:
        yield Fakes(ours)
    finally:
        ours.close()
        process.join(10)
        if process.is_alive():
            process.kill()


@contextmanager
def run_server(app: str, directory: Path, env: Mapping[str, str], log: Path) -> Generator[int]:
    """Run an example under its server and yield the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = int(listener.getsockname()[1])
    command = [sys.executable, "-m", *(part.format(directory=directory, port=port) for part in SERVERS[app])]
    with log.open("wb") as output:
        server = subprocess.Popen(command, env={**os.environ, **env}, stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + 60
        while not asyncio.run(is_up(port)):
            if server.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"the application did not start:\n{log.read_text()}")
            time.sleep(0.1)
        yield port
    finally:
        server.terminate()
        try:
            server.wait(60)
        except subprocess.TimeoutExpired:
            server.kill()


async def is_up(port: int) -> bool:
    """Return whether a server responds on the port."""
    connection = KeptConnection(port)
    try:
        return (
            await connection.exchange(f"HEAD {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode(), head_only=True)
            == 200
        )
    except OSError:
        return False
    finally:
        connection.close()


class KeptConnection:
    """A keep-alive connection. It uses plain streams to keep the overhead of the measurement low."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def exchange(self, request: bytes, *, head_only: bool = False) -> int:
        """Send a request and return the status; reconnect if the server has closed the connection."""
        reused = self._streams is not None
        try:
            return await self._exchange(request, head_only=head_only)
        except (OSError, asyncio.IncompleteReadError) as err:
            self.close()
            if not reused:
                raise ConnectionError(f"no answer: {type(err).__name__}") from err
            return await self._exchange(request, head_only=head_only)

    async def _exchange(self, request: bytes, *, head_only: bool) -> int:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        status, *lines = head.rstrip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if not head_only:
            await reader.readexactly(int(headers["content-length"]))
        if headers.get("connection", "").lower() == "close":
            self.close()
        return int(status.split()[1])

    def close(self) -> None:
        """Close the connection; the next request opens another one."""
        if self._streams is not None:
            self._streams[1].close()
        self._streams = None


async def send(webhooks: Sequence[Webhook], port: int, in_flight: int) -> Load:
    """Deliver all webhooks, `in_flight` at once."""
    load, left = Load(), iter(webhooks)
    await asyncio.gather(*(_deliver(left, port, load) for _ in range(in_flight)))
    return load


async def _deliver(webhooks: Iterator[Webhook], port: int, load: Load) -> None:
    connection = KeptConnection(port)
    for webhook in webhooks:
        request = _request(webhook)
        for _ in range(TRIES):
            started = time.perf_counter()
            try:
                answer = str(await connection.exchange(request))
            except (OSError, asyncio.IncompleteReadError) as err:
                answer = str(err) or type(err).__name__
            load.waited.append(time.perf_counter() - started)
            load.answers[answer] += 1
            if answer == "200":
                break
            await asyncio.sleep(1)
    connection.close()


def _request(webhook: Webhook) -> bytes:
    headers = {"Host": "127.0.0.1", **webhook.headers, "Content-Length": str(len(webhook.body))}
    lines = [f"POST {PATH} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode("latin-1") + webhook.body


def wait_for(fakes: Fakes, conversations: int) -> None:
    """Wait until all conversations are routed, or until there is no progress for too long."""
    seen, changed_at = -1, time.monotonic()
    while seen < conversations and time.monotonic() - changed_at < STALL:
        progress = fakes.measure()
        if progress.done > seen:
            seen, changed_at = progress.done, time.monotonic()
        time.sleep(0.1)


def compute_percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that is not below `percent` percent of the values."""
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


def count_warnings(log: Path) -> Counter[str]:
    """Count the warnings and errors of the application by message, without ids."""
    lines = log.read_text(errors="replace").splitlines()
    return Counter(line.partition(" conversation=")[0][:120] for line in lines if line.startswith(("ERROR", "WARN")))


def main() -> None:
    """Deliver the webhooks to the application, wait, and print the result; exit with 1 if a check fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--webhooks", type=int, default=2_000)
    parser.add_argument("--in-flight", type=int, default=200)
    parser.add_argument("--app", choices=tuple(SERVERS), default="fastapi")
    examples = Path(__file__).parents[1] / "examples"
    parser.add_argument("--directory", type=Path, default=examples, help="directory of fastapi_app.py or flask_app.py")
    options = parser.parse_args()
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="triage-load-")))
        fakes = stack.enter_context(start_fakes())
        env, log = {**fakes.env, "TRIAGE_INBOX": str(scratch / "triage.db")}, scratch / "log"
        with run_server(options.app, options.directory.resolve(), env, log) as port:
            webhooks = fakes.write(options.webhooks)
            started = time.monotonic()
            load = asyncio.run(send(webhooks, port, options.in_flight))
            answered = time.monotonic() - started
            wait_for(fakes, options.webhooks)
            seconds = time.monotonic() - started
        progress, warnings = fakes.measure(), count_warnings(log)
    losses, late = options.webhooks - progress.done, sum(waited > PATIENCE for waited in load.waited)
    print(f"application        {options.app}, in {options.directory}")
    print(f"webhooks           {options.webhooks}, {options.in_flight} at once")
    print(f"answers            {', '.join(f'{number} x {answer}' for answer, number in load.answers.items())}")
    for percent in (50, 95, 99, 100):
        name = f"p{percent}" if percent < 100 else "max"
        print(f"{name:<4} to answer     {compute_percentile(load.waited, percent) * 1000:.0f} ms")
    print(f"over {PATIENCE:.0f} s           {late}")
    print(f"all answered in    {answered:.1f} s ({len(load.waited) / answered:.0f}/s)")
    print(f"all routed in      {seconds:.1f} s ({progress.done / seconds:.1f} events/s)")
    print(f"losses             {losses}")
    print(f"repeats            {progress.repeats}")
    for message, times in warnings.most_common(5):
        print(f"warning            {times} x {message}")
    sys.exit(1 if losses or progress.repeats or late else 0)


if __name__ == "__main__":
    main()
