"""A throttle lets tasks pass one after the other while the process has something more important to do."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

import pytest

from triage.io.throttle import Throttle


def use(main: Callable[[Throttle], Coroutine[Any, Any, None]], pauses: Iterable[float | None]) -> list[float | None]:
    """Run a coroutine with a throttle that has these pauses, and return those that it did not ask for."""
    left = iter(pauses)

    async def run() -> None:
        async with asyncio.timeout(20):
            await main(Throttle(lambda: next(left)))

    asyncio.run(run())
    return list(left)


def test_a_task_passes_at_once_without_a_pause() -> None:
    async def main(throttle: Throttle) -> None:
        coroutine = throttle.wait()
        try:
            coroutine.send(None)
        except StopIteration:
            return
        raise AssertionError("the task waited")

    assert use(main, [None]) == []


@pytest.mark.parametrize("later", [0.0, 0.001, None], ids=["busy", "busier", "no longer busy"])
def test_tasks_pass_one_after_the_other(later: float | None) -> None:
    passed: list[int] = []

    async def main(throttle: Throttle) -> None:
        async def do(number: int) -> None:
            await throttle.wait()
            passed.append(number)
            await asyncio.sleep(0)
            assert len(passed) == number  # no other task has passed meanwhile

        await asyncio.gather(*(do(number) for number in (1, 2, 3)))

    # When each task arrives, and when each of the first two has passed and another one waits.
    assert use(main, [0.0, 0.0, 0.0, later, later]) == []
    assert passed == [1, 2, 3]


def test_a_cancelled_task_does_not_take_the_turn_of_another() -> None:
    async def main(throttle: Throttle) -> None:
        first, second = asyncio.create_task(throttle.wait()), asyncio.create_task(throttle.wait())
        await asyncio.sleep(0)
        first.cancel()
        await second
        assert first.cancelled()

    assert use(main, [0.0, 0.0]) == []  # it was the turn of the second one at once


def test_nothing_happens_if_all_tasks_were_cancelled() -> None:
    async def main(throttle: Throttle) -> None:
        task = asyncio.create_task(throttle.wait())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        await throttle.wait()  # it waits for its own turn

    assert use(main, [0.0, 0.0]) == []


def test_tasks_wait_again_after_there_was_no_pause() -> None:
    async def main(throttle: Throttle) -> None:
        for _ in range(3):
            await throttle.wait()

    assert use(main, [0.0, None, 0.0]) == []
