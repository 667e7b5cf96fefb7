"""The blocking calls of an event loop, made together."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from contextvars import ContextVar
from typing import Any

import pytest

from triage.io.together import Together

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
    main: Callable[[Together], Coroutine[Any, Any, Any]], run_together: Callable[[Functions], None] | None = None
) -> Any:
    """Run a coroutine that makes calls together."""

    async def run() -> Any:
        return await main(Together(run_together or Storage().run_together))

    return asyncio.run(run())


def test_the_calls_of_one_pass_of_the_event_loop_are_made_together_in_another_thread() -> None:
    storage = Storage()

    async def main(together: Together) -> Any:
        return await asyncio.gather(*(together.call(pow, number, 2) for number in range(3)))

    assert use(main, storage.run_together) == [0, 1, 4]
    assert storage.groups == [3]
    assert threading.current_thread() not in storage.threads


def test_calls_that_arrive_during_a_batch_form_the_next_one() -> None:
    storage = Storage()
    storage.released.clear()

    async def main(together: Together) -> None:
        tasks = [asyncio.create_task(together.call(int))]
        await asyncio.to_thread(storage.started.wait, 20)
        for _ in range(3):
            tasks.append(asyncio.create_task(together.call(int)))
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        storage.released.set()
        await asyncio.gather(*tasks)

    use(main, storage.run_together)
    assert storage.groups == [1, 3]


def test_a_second_batch_begins_once_it_is_full() -> None:
    sizes: list[int] = []
    everyone = threading.Barrier(2)

    def run_together(functions: Functions) -> None:
        sizes.append(len(functions))
        everyone.wait(20)
        for function in functions:
            function()

    async def main() -> list[int]:
        together = Together(run_together, batches=2, batch_size=3)
        tasks = [asyncio.create_task(together.call(int, "1")) for _ in range(2)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)  # the first batch runs
        tasks += [asyncio.create_task(together.call(int, "2")) for _ in range(3)]
        return await asyncio.gather(*tasks)

    assert asyncio.run(main()) == [1, 1, 2, 2, 2]
    assert sizes == [2, 3]


def test_no_more_batches_run_at_the_same_time_than_allowed() -> None:
    running, most, sizes = 0, 0, []
    lock = threading.Lock()

    def run_together(functions: Functions) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
            sizes.append(len(functions))
        for function in functions:
            function()
        with lock:
            running -= 1

    async def main() -> list[int]:
        together = Together(run_together, batches=2, batch_size=3)
        return await asyncio.gather(*(together.call(pow, number, 1) for number in range(20)))

    assert asyncio.run(main()) == list(range(20))
    assert most <= 2
    assert (sum(sizes), max(sizes)) == (20, 3)


def test_an_error_is_raised_only_in_the_task_whose_call_failed() -> None:
    async def main(together: Together) -> Any:
        return await asyncio.gather(together.call(int, "x"), together.call(int, "7"), return_exceptions=True)

    error, seven = use(main)
    assert (type(error), seven) == (ValueError, 7)


def test_all_calls_fail_if_it_is_unknown_whether_they_are_stored() -> None:
    def run_together(functions: Functions) -> None:
        for function in functions:
            function()
        raise OSError("the disk is gone")

    async def main(together: Together) -> Any:
        return await asyncio.gather(together.call(int, "x"), together.call(int, "7"), return_exceptions=True)

    assert [type(error) for error in use(main, run_together)] == [OSError, OSError]


def test_the_last_result_counts_if_a_call_is_made_again() -> None:
    numbers = iter(["x", "7"])

    def run_together(functions: Functions) -> None:
        for function in (*functions, *functions):
            function()

    assert use(lambda together: together.call(lambda: int(next(numbers))), run_together) == 7


def test_the_call_of_a_cancelled_task_is_made_and_affects_no_other() -> None:
    storage = Storage()
    storage.released.clear()
    written: list[str] = []

    async def main(together: Together) -> str:
        cancelled = asyncio.create_task(together.call(written.append, "cancelled"))
        other = asyncio.create_task(together.call(str, "other"))
        await asyncio.to_thread(storage.started.wait, 20)
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        storage.released.set()
        return await other

    assert use(main, storage.run_together) == "other"
    assert written == ["cancelled"]


def test_a_call_is_made_in_the_context_of_its_task() -> None:
    variable = ContextVar("variable", default=0)

    async def read(together: Together, value: int) -> int:
        variable.set(value)
        return await together.call(variable.get)

    async def main(together: Together) -> Any:
        return await asyncio.gather(read(together, 1), read(together, 2))

    assert use(main) == [1, 2]


def test_calls_that_wait_when_the_event_loop_is_closed_are_made() -> None:
    storage = Storage()
    storage.released.clear()
    written: list[str] = []

    async def main(together: Together) -> None:
        tasks = [asyncio.create_task(together.call(written.append, "running"))]
        await asyncio.to_thread(storage.started.wait, 20)
        tasks.append(asyncio.create_task(together.call(written.append, "waiting")))
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_soon(threading.Timer(0.0, storage.released.set).start)

    use(main, storage.run_together)
    assert sorted(written) == ["running", "waiting"]


def test_closing_the_event_loop_cancels_the_task_of_a_call_that_runs() -> None:
    storage = Storage()
    storage.released.clear()
    tasks: list[asyncio.Task[Any]] = []

    async def main(together: Together) -> None:
        tasks.append(asyncio.create_task(together.call(int)))
        await asyncio.to_thread(storage.started.wait, 20)
        asyncio.get_running_loop().call_soon(threading.Timer(0.0, storage.released.set).start)

    use(main, storage.run_together)
    assert tasks[0].cancelled()
