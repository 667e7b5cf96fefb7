"""Fixtures of the tests of the fakes and of the pytest plugin."""

import socket
from typing import Any

import pytest

from tests.helpers.desks.base import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def name_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Resolve all names to the loopback interface."""

    def look_up(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
