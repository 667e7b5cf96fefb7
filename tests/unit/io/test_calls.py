"""The thread that makes the calls of an event loop together."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from contextvars import ContextVar
from typing import Any

import pytest

from triage.io.calls import CallThread

Functions = Sequence[Callable[[], None]]


class Storage:
    """Runs functions together, and records how many and in which thread. The first group waits until it is released."""

    def __init__(self) -> None:
        self.groups: list[int] = []
        self.threads: set[threading.Thread] = set()
        self.started, self.released = threading.Event(), threading.Event()
        self.released.set()

    def run_together(self, functions: Functions) -> None:
        self.started.set()
        assert self.released.wait(20)
        self.groups.append(len(functions))
        self.threads.add(threading.current_thread())
        for function in functions:
            function()


def use(
    main: Callable[[CallThread], Coroutine[Any, Any, Any]], run_together: Callable[[Functions], None] | None = None
) -> Any:
    """Run a coroutine with a thread for its calls, and close the thread."""

    async def run() -> Any:
        thread = CallThread(run_together or Storage().run_together)
        try:
            return await main(thread)
        finally:
            await thread.aclose()

    return asyncio.run(run())


def test_the_calls_of_one_pass_of_the_event_loop_are_made_together_in_another_thread() -> None:
    storage = Storage()

    async def main(thread: CallThread) -> Any:
        return await asyncio.gather(*(thread.call(pow, number, 2) for number in range(3)))

    assert use(main, storage.run_together) == [0, 1, 4]
    assert storage.groups == [3]
    assert threading.current_thread() not in storage.threads


def test_calls_that_arrive_while_the_thread_is_busy_are_made_together() -> None:
    storage = Storage()
    storage.released.clear()

    async def main(thread: CallThread) -> None:
        tasks = [asyncio.create_task(thread.call(int))]
        await asyncio.to_thread(storage.started.wait, 20)
        for _ in range(3):
            tasks.append(asyncio.create_task(thread.call(int)))
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        storage.released.set()
        await asyncio.gather(*tasks)

    use(main, storage.run_together)
    assert storage.groups == [1, 3]


def test_an_error_is_raised_only_in_the_task_whose_call_failed() -> None:
    async def main(thread: CallThread) -> Any:
        return await asyncio.gather(thread.call(int, "x"), thread.call(int, "7"), return_exceptions=True)

    error, seven = use(main)
    assert (type(error), seven) == (ValueError, 7)


def test_all_calls_fail_if_it_is_unknown_whether_they_are_stored() -> None:
    def run_together(functions: Functions) -> None:
        for function in functions:
            function()
        raise OSError("the disk is gone")

    async def main(thread: CallThread) -> Any:
        return await asyncio.gather(thread.call(int, "x"), thread.call(int, "7"), return_exceptions=True)

    assert [type(error) for error in use(main, run_together)] == [OSError, OSError]


def test_the_last_result_counts_if_a_call_is_made_again() -> None:
    numbers = iter(["x", "7"])

    def run_together(functions: Functions) -> None:
        for function in (*functions, *functions):
            function()

    assert use(lambda thread: thread.call(lambda: int(next(numbers))), run_together) == 7


def test_the_call_of_a_cancelled_task_is_made_and_affects_no_other() -> None:
    storage = Storage()
    storage.released.clear()
    written: list[str] = []

    async def main(thread: CallThread) -> str:
        cancelled = asyncio.create_task(thread.call(written.append, "cancelled"))
        other = asyncio.create_task(thread.call(str, "other"))
        await asyncio.to_thread(storage.started.wait, 20)
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        storage.released.set()
        return await other

    assert use(main, storage.run_together) == "other"
    assert written == ["cancelled"]


def test_calls_that_wait_are_made_before_the_thread_ends() -> None:
    written: list[int] = []

    async def main(thread: CallThread) -> None:
        for number in range(3):
            task = asyncio.create_task(thread.call(written.append, number))
            await asyncio.sleep(0)
            task.cancel()

    use(main)
    assert written == [0, 1, 2]


def test_a_call_is_made_in_the_context_of_its_task() -> None:
    variable = ContextVar("variable", default=0)

    async def read(thread: CallThread, value: int) -> int:
        variable.set(value)
        return await thread.call(variable.get)

    async def main(thread: CallThread) -> Any:
        return await asyncio.gather(read(thread, 1), read(thread, 2))

    assert use(main) == [1, 2]


def test_results_for_an_event_loop_that_is_closed_are_dropped() -> None:
    storage = Storage()
    storage.released.clear()
    threads: list[CallThread] = []

    async def main() -> None:
        threads.append(CallThread(storage.run_together))
        task = asyncio.create_task(threads[0].call(int))
        await asyncio.to_thread(storage.started.wait, 20)
        task.cancel()

    asyncio.run(main())
    storage.released.set()
    threads[0]._waiting.put([])
    threads[0]._thread.join(20)
    assert not threads[0]._thread.is_alive()
