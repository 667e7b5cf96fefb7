"""The process knows whether deliveries wait for their acknowledgment."""

import os

import pytest

from triage.engine import arrivals


def test_a_delivery_counts_until_it_is_acknowledged() -> None:
    assert not arrivals.is_receiving()
    with arrivals.receive(), arrivals.receive():
        assert arrivals.is_receiving()
    assert not arrivals.is_receiving()


def test_a_delivery_that_fails_does_not_count_forever() -> None:
    with pytest.raises(OSError, match="disk"), arrivals.receive():
        raise OSError("the disk is full")
    assert not arrivals.is_receiving()


def test_a_forked_process_does_not_wait_for_the_deliveries_of_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    with arrivals.receive():
        monkeypatch.setattr(os, "getpid", lambda: -1)
        assert not arrivals.is_receiving()
        monkeypatch.undo()
    assert not arrivals.is_receiving()
