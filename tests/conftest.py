"""What all tests share: the two doors of the Router, and an environment without anybody's settings."""

import os
from collections.abc import Iterator

import pytest

from tests.helpers.api import Api
from tests.helpers.desks import DESKS, Desk
from tests.helpers.missing import summarize_skips
from tests.helpers.servers import Postgres, RabbitMQ, Redis
from triage.io.retry import RetryPolicy


@pytest.fixture(params=["sync", "async"])
def api(request: pytest.FixtureRequest) -> Api:
    return Api(request.param)


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


@pytest.fixture(autouse=True)
def without_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls of a help desk's API are retried at once. `unit/engine/test_transport.py` tests the delays."""
    monkeypatch.setattr("triage.engine.transport.RETRIES", RetryPolicy(attempts=3, first_delay=0.0))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say at the end in one line which tests were skipped and what to install; xdist's controller alone calls this."""
    reports = terminalreporter.stats.get("skipped", [])
    summary = summarize_skips(report.longrepr[2].removeprefix("Skipped: ") for report in reports)
    if summary is not None:
        terminalreporter.write_line(summary, yellow=True)


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
