"""The process knows whether deliveries wait for their acknowledgment."""

import os

import pytest

from tests.helpers.clock import Clock
from triage.engine import arrivals


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("triage.engine.arrivals.time.monotonic", clock)
    monkeypatch.setattr("triage.engine.arrivals._acknowledged_at", float("-inf"))
    return clock


def test_a_delivery_counts_until_it_is_acknowledged_and_a_moment_longer(clock: Clock) -> None:
    pauses = [arrivals.get_pause()]
    with arrivals.receive(), arrivals.receive():
        pauses.append(arrivals.get_pause())
    pauses.append(arrivals.get_pause())
    clock.now += 1
    pauses.append(arrivals.get_pause())
    assert pauses == [None, 0.01, 0.0, None]


def test_a_delivery_that_fails_does_not_count_forever(clock: Clock) -> None:
    with pytest.raises(OSError, match="disk"), arrivals.receive():
        raise OSError("the disk is full")
    clock.now += 1
    assert arrivals.get_pause() is None


def test_a_forked_process_does_not_wait_for_the_deliveries_of_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    with arrivals.receive():
        monkeypatch.setattr(os, "getpid", lambda: -1)
        assert arrivals.get_pause() is None
        monkeypatch.undo()
