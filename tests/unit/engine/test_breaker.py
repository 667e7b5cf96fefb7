"""The circuit breaker: when it opens, stays open, tries a call and closes."""

import pytest

from tests.helpers.clock import Clock
from triage import InboxError
from triage.engine.breaker import CircuitBreaker
from triage.inbox import MemoryInbox
from triage.inbox.base import Inbox
from triage.io.ports import SyncIO, run
from triage.models import BreakerHealth

IO = SyncIO()


def create(clock: Clock, inbox: Inbox | None = None, failures: int = 2) -> CircuitBreaker:
    return CircuitBreaker("claude", inbox or MemoryInbox(clock=clock), failures=failures, pause=30, clock=clock)


def acquire(breaker: CircuitBreaker) -> float:
    return run(breaker.acquire(IO))


def fail(breaker: CircuitBreaker) -> None:
    run(breaker.record_failure(IO))


def succeed(breaker: CircuitBreaker) -> None:
    run(breaker.record_success(IO))


def test_it_opens_after_several_failures_in_a_row() -> None:
    breaker = create(Clock())
    fail(breaker)
    succeed(breaker)
    fail(breaker)
    assert acquire(breaker) == 0
    fail(breaker)
    assert acquire(breaker) == 30


def test_after_the_pause_one_trial_call_is_made_while_the_others_wait() -> None:
    clock = Clock()
    breaker = create(clock, failures=1)
    fail(breaker)
    clock.now += 31
    assert run(breaker.retry_after(IO)) == 0, "asking is not yet a trial"
    assert acquire(breaker) == 0
    assert (acquire(breaker), run(breaker.retry_after(IO))) == (1.0, 1.0)


def test_it_describes_its_state() -> None:
    clock = Clock()
    breaker = create(clock, failures=1)
    assert run(breaker.describe(IO)) == BreakerHealth(state="closed", retry_after=0)
    fail(breaker)
    assert run(breaker.describe(IO)) == BreakerHealth(state="open", retry_after=30)
    clock.now += 31
    assert run(breaker.describe(IO)) == BreakerHealth(state="half-open", retry_after=0)


def test_a_trial_call_that_succeeds_closes_it() -> None:
    clock = Clock()
    breaker = create(clock, failures=2)
    fail(breaker)
    fail(breaker)
    clock.now += 31
    acquire(breaker)
    succeed(breaker)
    assert (acquire(breaker), acquire(breaker)) == (0, 0)
    fail(breaker)
    assert acquire(breaker) == 0, "it counts from the start again"


def test_a_trial_call_that_fails_opens_it_again() -> None:
    clock = Clock()
    breaker = create(clock, failures=2)
    fail(breaker)
    fail(breaker)
    clock.now += 31
    acquire(breaker)
    fail(breaker)
    assert acquire(breaker) == 30


def test_a_trial_call_whose_result_is_never_recorded_lapses() -> None:
    clock = Clock()
    breaker = create(clock, failures=1)
    fail(breaker)
    clock.now += 31
    acquire(breaker)
    clock.now += 31
    assert acquire(breaker) == 0


def test_a_rate_limit_opens_it_for_as_long_as_the_service_asks() -> None:
    clock = Clock()
    breaker = create(clock)
    run(breaker.record_success(IO, pause=7))
    assert acquire(breaker) == 7
    clock.now += 7
    assert (acquire(breaker), acquire(breaker)) == (0, 0), "a rate limit is not a failure: there is no trial"


def test_workers_that_share_an_inbox_share_its_pauses() -> None:
    clock = Clock()
    inbox = MemoryInbox(clock=clock)
    first, second = create(clock, inbox, failures=1), create(clock, inbox)
    fail(first)
    assert acquire(second) == 30


def test_an_inbox_that_fails_neither_opens_nor_closes_it(caplog: pytest.LogCaptureFixture) -> None:
    class Failing(MemoryInbox):
        def get_pause(self, name: str) -> float:
            raise InboxError("the disk is full")

        def set_pause(self, name: str, seconds: float) -> None:
            raise InboxError("the disk is full")

    clock = Clock()
    breaker = create(clock, Failing(), failures=1)
    assert acquire(breaker) == 0
    fail(breaker)
    assert acquire(breaker) == 30
    clock.now += 10
    assert acquire(breaker) == 20
    assert "cannot check whether another worker has paused claude: the disk is full" in caplog.text
    assert "cannot share the pause of claude with other workers: the disk is full" in caplog.text


def test_a_clock_that_is_set_back_does_not_keep_it_from_asking_the_inbox() -> None:
    clock = Clock()
    inbox = MemoryInbox(clock=clock)
    breaker = create(clock, inbox)
    assert acquire(breaker) == 0
    inbox.set_pause("claude", 60)
    assert acquire(breaker) == 0, "the inbox is asked once a second"
    clock.now -= 30
    assert acquire(breaker) == pytest.approx(90)


def test_a_clock_that_is_set_back_ends_a_pause() -> None:
    """Otherwise it could last for hours."""
    clock = Clock()
    clock.now = 1e9
    breaker = create(clock, failures=1)
    fail(breaker)
    clock.now += 31
    assert acquire(breaker) == 0, "the trial call, whose result is never recorded"
    clock.now -= 3 * 3600
    assert acquire(breaker) == 0
    fail(breaker)
    assert acquire(breaker) == 30


def test_a_service_cannot_ask_for_more_than_an_hour() -> None:
    clock = Clock()
    breaker = create(clock)
    run(breaker.record_success(IO, pause=1e9))
    assert acquire(breaker) == 3600
    clock.now += 3600
    run(breaker.record_failure(IO, pause=1e9))
    assert acquire(breaker) == 3600
