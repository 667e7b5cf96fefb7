"""Coroutines run from sync code, with or without a running event loop."""

import asyncio
import signal
import threading
from contextvars import ContextVar

import pytest

from triage.evals.loop import run_in_thread

VARIABLE: ContextVar[str] = ContextVar("variable", default="default")


def test_a_long_wait_continues(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("triage.evals.loop._CHECK", 0.0)
    assert run_in_thread(return_thread(), threads=1) == "triage-evaluate"


async def return_thread() -> str:
    return threading.current_thread().name


def test_a_coroutine_runs_in_a_thread_of_its_own() -> None:
    assert run_in_thread(return_thread(), threads=1) == "triage-evaluate"


def test_it_works_inside_a_running_event_loop() -> None:
    async def call() -> str:
        return run_in_thread(return_thread(), threads=1)

    assert asyncio.run(call()) == "triage-evaluate"


def test_the_event_loop_of_the_calling_thread_is_left_alone() -> None:
    async def call() -> bool:
        before = asyncio.get_running_loop()
        run_in_thread(return_thread(), threads=1)
        return asyncio.get_running_loop() is before

    assert asyncio.run(call())


def test_an_exception_is_raised_in_the_calling_thread() -> None:
    async def fail() -> None:
        raise LookupError("no such thing")

    with pytest.raises(LookupError, match="no such thing"):
        run_in_thread(fail(), threads=1)


def test_context_variables_are_copied() -> None:
    async def read_and_change() -> str:
        value = VARIABLE.get()
        VARIABLE.set("inner")
        return value

    token = VARIABLE.set("outer")
    try:
        assert run_in_thread(read_and_change(), threads=1) == "outer"
        assert VARIABLE.get() == "outer"
    finally:
        VARIABLE.reset(token)


def test_as_many_threads_as_asked_for_work_at_the_same_time() -> None:
    barrier = threading.Barrier(20)

    async def meet() -> None:
        await asyncio.gather(*(asyncio.to_thread(barrier.wait, 30) for _ in range(20)))

    run_in_thread(meet(), threads=20)


def test_ctrl_c_cancels_the_coroutine_and_waits_for_its_cleanup() -> None:
    events: list[str] = []

    async def wait_forever() -> None:
        threading.Thread(target=signal.raise_signal, args=[signal.SIGINT]).start()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            events.append("closed")
            raise

    with pytest.raises(KeyboardInterrupt):
        run_in_thread(wait_forever(), threads=1)
    assert events == ["closed"]


def test_ctrl_c_after_the_end_of_the_loop_is_raised_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    interrupts = [KeyboardInterrupt]

    def wait_and_interrupt(finished: threading.Event) -> None:
        finished.wait()
        if interrupts:
            raise interrupts.pop()

    monkeypatch.setattr("triage.evals.loop._wait_for", wait_and_interrupt)
    with pytest.raises(KeyboardInterrupt):
        run_in_thread(return_thread(), threads=1)
