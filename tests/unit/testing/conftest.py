"""Fixtures of the fakes' tests."""

import pytest

from tests.helpers.desks.base import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()
