"""In async code, an adapter converts long responses in a thread, and makes its calls on the event loop."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from triage import ConfigurationError
from triage.engine.offload import _SHORT, run_adapter
from triage.io.ports import AsyncIO, SyncIO, run
from triage.models import Request, Response
from triage.vendors.base import Send

REQUESTS = [Request("GET", f"https://example.com/{number}") for number in range(2)]
Method = Callable[[Send], Coroutine[Any, Any, Any]]


class Calls:
    """Records the thread in which each call is made, and fails those to the given URLs."""

    def __init__(self, *failing: str, body: bytes | None = None) -> None:
        self.threads: list[threading.Thread] = []
        self._failing = failing
        self._body = body

    async def send(self, request: Request) -> Response:
        self.threads.append(threading.current_thread())
        if request.url in self._failing:
            raise LookupError(request.url)
        return Response(200, {}, request.url.encode() if self._body is None else self._body)


async def read_both(send: Send) -> list[bytes]:
    return [(await send(request)).body for request in REQUESTS]


def test_the_result_is_the_same_in_sync_and_async_code() -> None:
    expected = [request.url.encode() for request in REQUESTS]
    assert run(run_adapter(read_both, Calls().send, SyncIO())) == expected
    assert asyncio.run(run_adapter(read_both, Calls().send, AsyncIO())) == expected


@pytest.mark.parametrize(("size", "in_thread"), [(_SHORT // 2, [False, False, False]), (_SHORT, [False, False, True])])
def test_the_adapter_works_in_a_thread_once_its_responses_are_long(size: int, in_thread: list[bool]) -> None:
    threads: list[threading.Thread] = []
    calls = Calls(body=b" " * size)

    async def read(send: Send) -> None:
        for request in REQUESTS:
            threads.append(threading.current_thread())
            await send(request)
        threads.append(threading.current_thread())

    asyncio.run(run_adapter(read, calls.send, AsyncIO()))
    assert [thread is not threading.main_thread() for thread in threads] == in_thread
    assert calls.threads == [threading.main_thread()] * 2


def test_the_adapter_works_in_a_thread_at_once_if_the_delivery_is_long() -> None:
    threads: list[threading.Thread] = []

    async def convert(send: Send) -> None:
        threads.append(threading.current_thread())

    asyncio.run(run_adapter(convert, Calls().send, AsyncIO(), size=_SHORT + 1))
    assert threading.main_thread() not in threads


def test_the_adapter_can_handle_the_error_of_a_call() -> None:
    async def read(send: Send) -> object:
        try:
            await send(REQUESTS[0])
        except LookupError:
            return (await send(REQUESTS[1])).body
        raise AssertionError

    calls = Calls(REQUESTS[0].url)
    assert asyncio.run(run_adapter(read, calls.send, AsyncIO())) == REQUESTS[1].url.encode()


def test_an_error_that_the_adapter_does_not_handle_is_raised() -> None:
    async def fail(send: Send) -> None:
        raise KeyError("no field")

    for method, error in ((fail, KeyError), (read_both, LookupError)):
        with pytest.raises(error):
            asyncio.run(run_adapter(method, Calls(REQUESTS[1].url).send, AsyncIO()))


def test_a_cancelled_task_closes_the_adapter_between_calls() -> None:
    closed: list[bool] = []

    async def read(send: Send) -> None:
        try:
            await send(REQUESTS[0])
        finally:
            closed.append(True)

    async def main() -> None:
        called = asyncio.Event()

        async def hang(request: Request) -> Response:
            called.set()
            await asyncio.Event().wait()
            raise AssertionError

        task = asyncio.create_task(run_adapter(read, hang, AsyncIO()))
        await called.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert closed == [True]


def test_a_task_that_is_cancelled_while_the_adapter_works_ends_without_another_error() -> None:
    working, released = threading.Event(), threading.Event()

    async def read(send: Send) -> None:
        await send(REQUESTS[0])
        working.set()
        assert released.wait(20)

    async def main() -> None:
        task = asyncio.create_task(run_adapter(read, Calls(body=b" " * (_SHORT + 1)).send, AsyncIO()))
        await asyncio.to_thread(working.wait, 20)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        released.set()

    asyncio.run(main())


def test_an_adapter_that_awaits_something_else_is_reported() -> None:
    async def read(send: Send) -> None:
        await asyncio.sleep(0)

    with pytest.raises(ConfigurationError, match=r"awaits something else than send\(\)"):
        asyncio.run(run_adapter(read, Calls().send, AsyncIO()))
