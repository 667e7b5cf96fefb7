"""How long to wait before the next attempt, and when to give up."""

import pytest

from triage.io.retry import RetryPolicy, parse_seconds

EXACT = RetryPolicy(attempts=5, first_delay=1.0, longest_delay=3.0, jitter=0.0)


def test_delays_double_up_to_the_longest_and_end_with_the_last_attempt() -> None:
    assert [EXACT.next_delay(attempt) for attempt in range(1, 6)] == [1.0, 2.0, 3.0, 3.0, None]


def test_without_a_number_of_attempts_there_is_always_another_one() -> None:
    assert RetryPolicy(jitter=0.0).next_delay(10_000) == 8.0


def test_a_delay_is_never_shorter_than_the_service_asks_for() -> None:
    assert [EXACT.next_delay(1, retry_after=seconds) for seconds in (0.0, 0.5, 7.0)] == [1.0, 1.0, 7.0]


def test_a_delay_over_the_limit_means_giving_up() -> None:
    assert EXACT.next_delay(1, retry_after=7.0, limit=6.9) is None
    assert EXACT.next_delay(1, retry_after=7.0, limit=7.0) == 7.0


def test_delays_vary_so_that_workers_do_not_retry_in_step() -> None:
    delays = {RetryPolicy(first_delay=1.0, jitter=0.25).next_delay(1) for _ in range(50)}
    assert len(delays) > 1
    assert all(delay is not None and 0.75 <= delay <= 1.25 for delay in delays)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("2", 2.0), ("0.5", 0.5), ("0", 0.0), ("-1", None), ("inf", None), ("nan", None), ("soon", None), ("", None)],
)
def test_seconds_in_a_header_are_finite_and_not_negative(value: str, seconds: float | None) -> None:
    assert parse_seconds({"retry-after": value}, "retry-after") == seconds
    assert parse_seconds({}, "retry-after") is None
