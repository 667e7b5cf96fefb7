"""A fake Claude and a fake Intercom that take little CPU time, so that they do not limit what is measured.

They are protocols of asyncio without a framework, and answer with recorded responses after a delay. The fakes of
`triage.testing` check every request and remember conversations, which takes more time than the code under test.
"""

import asyncio
import json
import re
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from typing_extensions import override

from benchmarks.drain import Template, describe_call, find_conversation
from triage.testing import FakeClaude, FakeIntercom
from triage.testing.server import HttpRequest

VERDICT = {"reason": "asks about a payment", "label": "general", "confidence": 0.95}

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_END = b"\r\n\r\n"
_WRITES = frozenset({"POST assignment", "POST comment"})
"""The calls that route a conversation."""


class Request(NamedTuple):
    """A request."""

    method: str
    path: str
    body: bytes


class Fakes:
    """Both fakes.

    Args:
        template: The responses of the help desk.
        claude_latency: Seconds until Claude answers.
        desk_latency: Seconds until the help desk answers.
    """

    def __init__(self, template: Template, claude_latency: float, desk_latency: float) -> None:
        self.latencies = (claude_latency, desk_latency)
        self._template = template
        self._verdict = _format_response(200, _record_verdict())
        self._changed = asyncio.Event()
        self.reset()

    def reset(self) -> None:
        """Forget all conversations."""
        self._writes: Counter[tuple[str, str]] = Counter()
        self.routed = 0
        self.routed_at = 0.0  # of `time.perf_counter`

    @property
    def repeats(self) -> int:
        """The number of calls that were made more than once."""
        return sum(times > 1 for times in self._writes.values())

    def answer_claude(self, _request: Request) -> bytes:
        """Return a verdict."""
        return self._verdict

    def answer_desk(self, request: Request) -> bytes:
        """Return the recorded response, and count what the call changes."""
        call, conversation = describe_call(request.method, request.body), find_conversation(request.path)
        response = self._template.answer(call, conversation) if conversation else None
        if response is None:
            return _format_response(404, b'{"type": "error.list", "errors": []}')
        if call in _WRITES:
            self._count(conversation, call)
        return _format_response(200, response)

    def _count(self, conversation: str, call: str) -> None:
        self._writes[conversation, call] += 1
        if self._writes[conversation, call] == 1 and all(self._writes[conversation, other] for other in _WRITES):
            self.routed += 1
            self.routed_at = time.perf_counter()
            self._changed.set()

    async def wait_until_routed(self, conversations: int, patience: float) -> None:
        """Wait until a number of conversations is routed, or until there is no progress for too long."""
        while self.routed < conversations:
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), patience)
            except TimeoutError:
                return

    @asynccontextmanager
    async def serve(self) -> AsyncGenerator[dict[str, str]]:
        """Run the fakes as servers, and yield the environment of an application that uses them."""
        claude_latency, desk_latency = self.latencies
        async with serve(self.answer_claude, claude_latency) as claude, serve(self.answer_desk, desk_latency) as desk:
            yield {
                **FakeIntercom().env(f"http://127.0.0.1:{desk}"),
                "ANTHROPIC_BASE_URL": f"http://127.0.0.1:{claude}",
                "ANTHROPIC_API_KEY": "sk-ant-test",
            }


class _Connection(asyncio.Protocol):
    """A keep-alive connection without pipelining.

    Args:
        answer: Returns the response to a request.
        latency: Seconds until the response.
        connections: The open connections.
    """

    def __init__(self, answer: Callable[[Request], bytes], latency: float, connections: set[asyncio.Transport]) -> None:
        self._answer = answer
        self._latency = latency
        self._connections = connections
        self._buffer = bytearray()
        self._loop = asyncio.get_running_loop()

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - narrows the type
        self._transport = transport
        self._connections.add(transport)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self._transport)

    @override
    def data_received(self, data: bytes) -> None:
        self._buffer += data
        request = self._read_request()
        if request is None:
            return
        if self._latency:
            self._loop.call_later(self._latency, self._respond, request)
        else:
            self._respond(request)

    def _read_request(self) -> Request | None:
        end = self._buffer.find(_END)
        if end < 0:
            return None
        head = bytes(self._buffer[:end])
        length = _LENGTH.search(head)
        start = end + len(_END)
        stop = start + (int(length[1]) if length else 0)
        if len(self._buffer) < stop:
            return None
        method, path, _ = head.partition(b"\r\n")[0].decode("latin-1").split(" ")
        body = bytes(self._buffer[start:stop])
        del self._buffer[:stop]
        return Request(method, path, body)

    def _respond(self, request: Request) -> None:
        if not self._transport.is_closing():
            self._transport.write(self._answer(request))


@asynccontextmanager
async def serve(answer: Callable[[Request], bytes], latency: float) -> AsyncGenerator[int]:
    """Run a server and yield its port.

    Args:
        answer: Returns the response to a request, with its head.
        latency: Seconds until each response.
    """
    connections: set[asyncio.Transport] = set()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(answer, latency, connections), "127.0.0.1", 0, backlog=1024)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for transport in list(connections):
            transport.abort()
        await server.wait_closed()


def answer_nothing(_request: Request) -> bytes:
    """Return an empty response."""
    return _format_response(200, b"")


def _record_verdict() -> bytes:
    headers = {"authorization": "Bearer sk-ant-test", "anthropic-version": "2023-06-01"}
    body: dict[str, Any] = {"model": "claude-haiku-5-5", "max_tokens": 300, "messages": []}
    fake = FakeClaude(lambda _request: VERDICT)
    return fake.respond(HttpRequest("POST", "/v1/messages", {}, headers, json.dumps(body).encode())).body


def _format_response(status: int, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body
