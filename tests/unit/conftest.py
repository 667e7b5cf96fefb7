"""Fixtures for the unit tests."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.desks import Desk
from tests.helpers.watched import WatchedInbox


@pytest.fixture
def inbox(desk: Desk, tmp_path: Path) -> Iterator[WatchedInbox]:
    """A durable inbox with the clock of the help desk."""
    with contextlib.closing(WatchedInbox(tmp_path / "triage.db", clock=desk.clock)) as inbox:
        yield inbox
