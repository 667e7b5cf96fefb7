"""The pace of calls: fewer after a rejection, more after successes, and pauses that the service asks for."""

import asyncio
from collections.abc import Callable

import pytest

from triage.evals import pace as pace_module
from triage.evals.pace import Pace
from triage.io.retry import RetryPolicy


class FakeTime:
    """Time that only advances by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0
        self.delays: list[float] = []

    def read_clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.delays.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> FakeTime:
    monkeypatch.setattr(pace_module, "RETRIES", RetryPolicy(attempts=4, first_delay=1.0, longest_delay=30.0, jitter=0))
    return FakeTime()


def create_pace(time: FakeTime, concurrency: int = 8) -> Pace:
    return Pace(concurrency, clock=time.read_clock, sleep=time.sleep)


async def start_call(pace: Pace) -> int:
    async with pace.limit_call() as episode:
        return episode


def test_a_rejected_call_halves_the_limit(time: FakeTime) -> None:
    pace = create_pace(time)
    assert pace.slow_down(0, 1, None)
    assert pace.limit == 4


def test_calls_that_were_in_flight_together_halve_the_limit_only_once(time: FakeTime) -> None:
    pace = create_pace(time)
    for _ in range(8):
        pace.slow_down(0, 1, None)
    assert pace.limit == 4
    pace.slow_down(1, 1, None)
    assert pace.limit == 2


def test_the_limit_never_falls_below_one(time: FakeTime) -> None:
    pace = create_pace(time, concurrency=3)
    for episode in range(5):
        pace.slow_down(episode, 1, None)
    assert pace.limit == 1


def test_a_round_of_successes_raises_the_limit_by_about_one(time: FakeTime) -> None:
    pace = create_pace(time)
    pace.slow_down(0, 1, None)
    for _ in range(4):
        pace.speed_up()
    assert 4.8 < pace.limit < 5


def test_the_limit_grows_back_but_never_beyond_the_concurrency(time: FakeTime) -> None:
    pace = create_pace(time)
    pace.slow_down(0, 1, None)
    for _ in range(100):
        pace.speed_up()
    assert pace.limit == 8


def test_a_call_waits_as_long_as_the_service_asked_for(time: FakeTime) -> None:
    pace = create_pace(time)
    pace.slow_down(0, 1, 20.0)
    asyncio.run(start_call(pace))
    assert time.delays == [20.0]


def test_without_a_duration_the_pauses_double(time: FakeTime) -> None:
    pace = create_pace(time)
    for attempt in (1, 2, 3):
        pace.slow_down(0, attempt, None)
        asyncio.run(start_call(pace))
    assert time.delays == [1.0, 2.0, 4.0]


def test_a_shorter_pause_does_not_end_a_longer_one(time: FakeTime) -> None:
    pace = create_pace(time)
    pace.slow_down(0, 1, 60.0)
    pace.slow_down(0, 1, 5.0)
    asyncio.run(start_call(pace))
    assert time.now == 60.0


def test_a_pause_that_begins_while_a_call_waits_applies_to_it(time: FakeTime) -> None:
    pace = create_pace(time)
    pace.slow_down(0, 1, 5.0)

    async def extend_pause() -> None:
        pace.slow_down(0, 1, 30.0)

    async def run_both() -> None:
        await asyncio.gather(start_call(pace), extend_pause())

    asyncio.run(run_both())
    assert time.delays == [5.0, 30.0]


def test_after_the_last_attempt_the_call_is_not_repeated(time: FakeTime) -> None:
    pace = create_pace(time)
    assert [pace.slow_down(0, attempt, None) for attempt in (1, 2, 3, 4)] == [True, True, True, False]


def test_a_very_long_pause_is_not_waited_for(time: FakeTime) -> None:
    pace = create_pace(time)
    assert not pace.slow_down(0, 1, 86_400.0)
    asyncio.run(start_call(pace))
    assert time.delays == []


def count_most_in_flight(pace: Pace, calls: int) -> int:
    in_flight, most = 0, 0

    async def call() -> None:
        nonlocal in_flight, most
        async with pace.limit_call():
            in_flight += 1
            most = max(most, in_flight)
            await asyncio.sleep(0)
            in_flight -= 1

    async def call_all() -> None:
        await asyncio.gather(*(call() for _ in range(calls)))

    asyncio.run(call_all())
    return most


@pytest.mark.parametrize(("change", "most"), [(lambda pace: None, 8), (lambda pace: pace.slow_down(0, 4, None), 4)])
def test_no_more_calls_than_the_limit_are_in_flight(
    time: FakeTime, change: Callable[[Pace], object], most: int
) -> None:
    pace = create_pace(time)
    change(pace)
    assert count_most_in_flight(pace, 30) == most


def test_a_call_that_is_canceled_during_a_pause_makes_room(time: FakeTime) -> None:
    async def sleep_forever(seconds: float) -> None:
        await asyncio.Event().wait()

    async def cancel_and_call() -> None:
        pace = Pace(1, clock=time.read_clock, sleep=sleep_forever)
        pace.slow_down(0, 1, 5.0)
        waiting = asyncio.create_task(start_call(pace))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        time.now = 10.0
        await start_call(pace)

    asyncio.run(cancel_and_call())
