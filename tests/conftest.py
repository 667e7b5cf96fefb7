"""What all tests share: the two doors of the Router, and an environment without anybody's settings."""

import asyncio
import os
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import pytest

from desks import DESKS, Desk
from services import Postgres, RabbitMQ, Redis
from triage import Event, Outcome, Router, WebhookResponse
from triage.models import Headers

T = TypeVar("T")


@dataclass(frozen=True)
class Door:
    """One of the two ways into a Router; what works through one must work the same through the other."""

    name: Literal["sync", "async"]

    def handle(self, router: Router, body: bytes, headers: Headers) -> WebhookResponse:
        if self.name == "sync":
            return router.handle(body, headers)
        return self._await(lambda: router.handle_async(body, headers), router)

    def process(self, router: Router, event: Event | str, **options: int) -> Outcome:
        if self.name == "sync":
            return router.process(event, **options)
        return self._await(lambda: router.process_async(event, **options), router)

    def _await(self, call: Callable[[], Coroutine[Any, Any, T]], router: Router) -> T:
        async def awaited() -> T:
            try:
                return await call()
            finally:
                await router.aclose()

        return asyncio.run(awaited())


@pytest.fixture(params=["sync", "async"])
def door(request: pytest.FixtureRequest) -> Door:
    return Door(request.param)


@pytest.fixture(params=list(DESKS))
def desk(request: pytest.FixtureRequest) -> Desk:
    """A help desk beside its fake; a test that takes it runs for each vendor."""
    return DESKS[request.param]()


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key or address of the machine that runs the tests reaches them."""
    for name in list(os.environ):
        if name.startswith(("ANTHROPIC_", *(f"{vendor.upper()}_" for vendor in DESKS))):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    server = Postgres()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Redis]:
    server = Redis()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[RabbitMQ]:
    server = RabbitMQ()
    yield server
    server.stop()
