"""The number of events at a time follows what the services allow."""

import pytest

from tests.helpers.clock import Clock
from triage.engine.concurrency import INITIAL, MOST, MOST_TEXT, Concurrency


@pytest.fixture
def clock() -> Clock:
    return Clock()


def succeed(concurrency: Concurrency, clock: Clock, rounds: int = 1, *, waiting: bool = True) -> None:
    """Let as many events as allowed succeed at the same time, several times, while more are waiting or not."""
    for _ in range(rounds):
        allowed, started = concurrency.limit, clock.now
        concurrency.record_lease(allowed, allowed if waiting else allowed - 1)
        clock.now += 1
        for _ in range(allowed):
            concurrency.record_success(started)


def test_a_backlog_doubles_the_limit_each_round_up_to_a_maximum(clock: Clock) -> None:
    concurrency = Concurrency(None, clock)
    limits = [concurrency.limit]
    for _ in range(4):
        succeed(concurrency, clock)
        limits.append(concurrency.limit)
    assert limits == [INITIAL, 64, 128, 256, 256]
    assert concurrency.most == MOST == 256


def test_the_limit_stays_if_no_event_has_to_wait(clock: Clock) -> None:
    concurrency = Concurrency(None, clock)
    succeed(concurrency, clock, 10, waiting=False)
    assert concurrency.limit == INITIAL


def test_an_overload_halves_the_limit_once_a_round(clock: Clock) -> None:
    concurrency = Concurrency(None, clock)
    first_round = clock.now
    clock.now += 1
    for _ in range(20):
        concurrency.record_overload(first_round)
    assert concurrency.limit == INITIAL // 2
    concurrency.record_overload(clock.now)
    assert concurrency.limit == INITIAL // 4


def test_after_an_overload_the_limit_rises_by_one_each_round(clock: Clock) -> None:
    concurrency = Concurrency(None, clock)
    concurrency.record_overload(clock.now)
    succeed(concurrency, clock, 10)
    assert INITIAL // 2 + 9 <= concurrency.limit <= INITIAL // 2 + 10


def test_one_event_is_processed_however_often_a_service_is_overloaded(clock: Clock) -> None:
    concurrency = Concurrency(None, clock)
    for _ in range(20):
        clock.now += 1
        concurrency.record_overload(clock.now)
    assert concurrency.limit == 1


@pytest.mark.parametrize(("lag", "rises"), [(0.05, True), (0.15, False), (0.5, False)])
def test_the_limit_does_not_rise_while_the_event_loop_is_busy(clock: Clock, lag: float, rises: bool) -> None:
    """An event of one second may wait 100 ms each time it continues."""
    concurrency = Concurrency(None, clock)
    for _ in range(100):
        succeed(concurrency, clock, waiting=False)
        scheduled = clock.now
        clock.now += lag
        concurrency.record_lag(scheduled)
    succeed(concurrency, clock)
    assert (concurrency.limit > INITIAL) == rises


def test_long_conversations_in_progress_leave_no_room_for_more(clock: Clock) -> None:
    concurrency = Concurrency(None, clock)
    assert concurrency.count_free(30, MOST_TEXT) == 2
    assert concurrency.count_free(30, MOST_TEXT + 1) == 0
    assert concurrency.count_free(INITIAL + 5, 0) == 0


def test_a_number_turns_adaptation_off(clock: Clock) -> None:
    concurrency = Concurrency(7, clock)
    succeed(concurrency, clock)
    concurrency.record_overload(clock.now)
    assert concurrency.limit == concurrency.most == 7
    assert concurrency.count_free(3, MOST_TEXT + 1) == 4
