"""Running a coroutine without an event loop."""

import asyncio

import pytest

from triage.io.run import run


def test_a_coroutine_whose_ports_block_runs_to_its_end_even_inside_a_loop() -> None:
    async def port() -> int:
        return 7

    async def twice() -> int:
        return await port() + await port()

    async def outer() -> int:
        return run(twice())

    assert run(twice()) == 14
    assert asyncio.run(outer()) == 14


def test_what_it_raises_comes_through() -> None:
    async def fail() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        run(fail())


def test_one_that_suspends_is_closed_and_told_of() -> None:
    cleaned: list[str] = []

    async def suspend() -> None:
        try:
            await asyncio.sleep(0)
        finally:
            cleaned.append("up")

    with pytest.raises(RuntimeError, match="async I/O"):
        run(suspend())
    assert cleaned == ["up"]
