"""The sync and the async port, and stepping a coroutine without an event loop."""

import asyncio
import functools
import threading

import pytest

from triage.io.clients import Mutex
from triage.io.ports import AsyncIO, SyncIO, run
from triage.io.throttle import Throttle


def test_a_coroutine_over_sync_io_runs_to_its_end_even_inside_a_running_loop() -> None:
    async def add() -> int:
        three: int = await SyncIO().call(lambda: 3)
        return three + await SyncIO().run_blocking(int, "4")

    async def call_from_a_loop() -> int:
        return run(add())

    assert run(add()) == 7
    assert asyncio.run(call_from_a_loop()) == 7


def test_an_exception_reaches_the_caller() -> None:
    async def fail() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        run(fail())


def test_a_coroutine_that_suspends_is_closed_and_reported() -> None:
    cleaned_up: list[bool] = []

    async def suspend() -> None:
        try:
            await asyncio.sleep(0)
        finally:
            cleaned_up.append(True)

    with pytest.raises(RuntimeError, match="async I/O"):
        run(suspend())
    assert cleaned_up == [True]


def test_async_io_awaits_a_call_and_enforces_its_time_limit() -> None:
    async def call() -> None:
        async def answer() -> int:
            return 7

        assert await AsyncIO().call(answer) == 7
        with pytest.raises(TimeoutError):
            await AsyncIO().call(asyncio.Event().wait, limit=0.001)

    asyncio.run(call())


def test_async_io_keeps_blocking_calls_off_the_event_loop() -> None:
    thread = asyncio.run(AsyncIO().run_blocking(threading.current_thread))
    assert thread is not threading.current_thread()


@pytest.mark.parametrize("is_async", [False, True])
def test_gathered_results_have_the_order_of_the_functions(is_async: bool) -> None:
    async def double(number: int) -> int:
        if is_async:
            await asyncio.sleep(0.01 / number)
        return 2 * number

    functions = [functools.partial(double, number) for number in (1, 2, 3)]
    assert (asyncio.run(AsyncIO().gather(functions)) if is_async else run(SyncIO().gather(functions))) == [2, 4, 6]


def test_async_io_gathers_concurrently() -> None:
    async def gather() -> None:
        barrier = asyncio.Barrier(2)
        async with asyncio.timeout(30):
            await AsyncIO().gather([barrier.wait, barrier.wait])

    asyncio.run(gather())


def test_sync_io_starts_nothing_after_an_exception() -> None:
    started: list[int] = []

    async def fail(number: int) -> None:
        started.append(number)
        raise KeyError(number)

    with pytest.raises(KeyError, match="1"):
        run(SyncIO().gather([functools.partial(fail, number) for number in (1, 2)]))
    assert started == [1]


def test_async_io_throttles_tasks_after_each_call_and_keeps_the_result() -> None:
    looks: list[str] = []

    async def call() -> None:
        async def answer() -> str:
            looks.append("answered")
            return "answer"

        def get_pause() -> float:
            looks.append("looked")
            return 0.0

        io = AsyncIO(throttle=Throttle(get_pause))
        assert await io.call(answer, limit=20) == "answer"
        assert await io.run_blocking(str, 7) == "7"
        assert await io.run_storage(str, 8) == "8"

    asyncio.run(call())
    assert looks == ["answered", "looked", "looked", "looked"]


def test_async_io_cancels_the_others_after_an_exception() -> None:
    cancelled: list[bool] = []

    async def fail() -> None:
        raise KeyError("x")

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    with pytest.raises(KeyError):
        asyncio.run(AsyncIO().gather([wait, fail, wait]))
    assert cancelled == [True, True]


def test_one_thread_at_a_time_holds_the_mutex() -> None:
    mutex, io, entered = Mutex(), SyncIO(), threading.Event()

    async def enter() -> None:
        async with io.exclusive(mutex):
            entered.set()

    async def keep_out() -> None:
        async with io.exclusive(mutex):
            thread = threading.Thread(target=lambda: run(enter()))
            thread.start()
            assert not entered.wait(0.01)
        thread.join(20)

    run(keep_out())
    assert entered.is_set()


def test_one_task_at_a_time_holds_the_mutex() -> None:
    mutex, io = Mutex(), AsyncIO()
    inside: list[int] = []

    async def enter(number: int) -> None:
        async with io.exclusive(mutex):
            inside.append(number)
            await asyncio.sleep(0)
            assert inside.pop() == number

    async def enter_together() -> None:
        await asyncio.gather(*map(enter, range(3)))

    asyncio.run(enter_together())


def test_sleeping_blocks_or_suspends(monkeypatch: pytest.MonkeyPatch) -> None:
    naps: list[float] = []
    monkeypatch.setattr("time.sleep", naps.append)
    run(SyncIO().sleep(2.0))
    assert naps == [2.0]
    asyncio.run(AsyncIO().sleep(0))
