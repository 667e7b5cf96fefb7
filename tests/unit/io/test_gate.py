"""A gate holds tasks back while the process is busy."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from triage.io.gate import Gate


class Work:
    """Work of a process that has something more important to do until it has looked that `looks` times."""

    def __init__(self, looks: int) -> None:
        self.looks = looks

    def is_busy(self) -> bool:
        self.looks -= 1
        return self.looks >= 0


def use(main: Callable[[Gate], Coroutine[Any, Any, None]], is_busy: Callable[[], bool]) -> None:
    async def run() -> None:
        async with asyncio.timeout(20):
            await main(Gate(is_busy, step=0))

    asyncio.run(run())


def test_a_task_passes_at_once_while_nothing_is_more_important() -> None:
    async def main(gate: Gate) -> None:
        coroutine = gate.wait()
        try:
            coroutine.send(None)
        except StopIteration:
            return
        raise AssertionError("the task waited")

    use(main, lambda: False)


def test_a_busy_process_lets_one_task_pass_after_the_other() -> None:
    passed: list[int] = []
    # Three looks when the tasks arrive, and one when each of them has passed and another one waits.
    work = Work(3 + 2)

    async def main(gate: Gate) -> None:
        async def do(number: int) -> None:
            await gate.wait()
            passed.append(number)
            assert len(passed) == number  # no other task has passed meanwhile

        await asyncio.gather(*(do(number) for number in (1, 2, 3)))

    use(main, work.is_busy)
    assert passed == [1, 2, 3]
    assert work.looks == 0


def test_all_tasks_pass_when_the_process_is_no_longer_busy() -> None:
    work = Work(3)  # the tasks arrive while it is busy

    async def main(gate: Gate) -> None:
        tasks = [asyncio.create_task(gate.wait()) for _ in range(3)]
        await tasks[0]
        assert all(task.done() for task in tasks)

    use(main, work.is_busy)


def test_a_cancelled_task_does_not_take_the_turn_of_another() -> None:
    work = Work(100)

    async def main(gate: Gate) -> None:
        first, second = asyncio.create_task(gate.wait()), asyncio.create_task(gate.wait())
        await asyncio.sleep(0)
        first.cancel()
        await second
        assert first.cancelled()

    use(main, work.is_busy)
    assert work.looks == 98  # no further look: it was the turn of the second one


def test_tasks_are_held_back_again_after_the_gate_was_open() -> None:
    states = iter([True, False, True, False])

    async def main(gate: Gate) -> None:
        for _ in range(3):
            await gate.wait()

    use(main, lambda: next(states))
    assert list(states) == [False]
