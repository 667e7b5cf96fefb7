"""The ports of the two doors, where no Router's test reaches them."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from triage import Conversation, Verdict
from triage.engine.breaker import Gate
from triage.engine.old_ports import Awaiting, Blocking, Shared
from triage.engine.transport import NoAnswer
from triage.inbox import MemoryInbox
from triage.io.ports import run
from triage.models import Request
from triage.policy import Buckets
from triage.testing.server import HttpResponse, serve


def unused(conversation: Conversation, buckets: Buckets) -> Verdict:
    raise AssertionError


async def unused_async(conversation: Conversation, buckets: Buckets) -> Verdict:
    raise AssertionError


def shared() -> Shared:
    gate = Gate("a service", MemoryInbox(), failures=1, pause=1, clock=time.time)
    return Shared(gate, gate, in_memory=True)


def blocking(waits: list[float], shared: Shared) -> Blocking:
    return Blocking(httpx.Client(), unused, shared, time.time, waits.append)


def awaiting(waits: list[float], shared: Shared) -> Awaiting:
    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    return Awaiting(httpx.AsyncClient(), unused_async, shared, time.time, sleep)


def test_both_doors_wait_as_they_are_told() -> None:
    waits: list[float] = []
    run(blocking(waits, shared()).sleep(1.5))
    asyncio.run(awaiting(waits, shared()).sleep(2.5))
    assert waits == [1.5, 2.5]


@pytest.mark.parametrize("token", ["…", "of a file that ends with\n"])
def test_a_token_that_no_header_can_carry_is_told(token: str) -> None:
    """As the `…` of an example that was copied as it stands."""
    with serve(lambda request: HttpResponse()) as base_url:
        refused(Request("GET", base_url, headers={"Authorization": f"Bearer {token}"}))


def refused(request: Request) -> None:
    doors: list[Callable[[], object]] = [
        lambda: run(blocking([], shared()).exchange(request)),
        lambda: asyncio.run(awaiting([], shared()).exchange(request)),
    ]
    for exchange in doors:
        with pytest.raises(
            NoAnswer, match="the API token, or another setting that a header carries, holds what no header can"
        ) as caught:
            exchange()
        assert not caught.value.sent


def test_one_thread_at_a_time_is_in_the_exclusive_part() -> None:
    inside = most = 0
    ports = blocking([], shared())

    async def enter() -> None:
        nonlocal inside, most
        async with ports.exclusive():
            inside += 1
            most = max(most, inside)
            time.sleep(0.001)  # noqa: ASYNC251 - lets the other threads try
            inside -= 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: run(enter()), range(16)))
    assert most == 1


def test_one_task_at_a_time_is_in_the_exclusive_part() -> None:
    inside = most = 0

    async def enter(ports: Awaiting) -> None:
        nonlocal inside, most
        async with ports.exclusive():
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= 1

    async def all_at_once() -> None:
        ports = awaiting([], shared())
        await asyncio.gather(*(enter(ports) for _ in range(8)))

    asyncio.run(all_at_once())
    assert most == 1
