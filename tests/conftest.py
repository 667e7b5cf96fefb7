"""Fixtures and hooks for all tests."""

import gc
import os
import signal
import ssl
from collections.abc import Iterator
from typing import TypeVar

import pytest
from hypothesis import settings

from tests.helpers.api import Api
from tests.helpers.desks import DESKS, Desk
from tests.helpers.missing import skip_without_extra, summarize_skips
from tests.helpers.paths import TESTS
from tests.helpers.servers import Postgres, RabbitMQ, Redis, Server
from triage.io import default_clients
from triage.io.retry import RetryPolicy

pytest_plugins = ["pytester"]

settings.register_profile("fast", max_examples=25, deadline=None)
settings.register_profile("ci", max_examples=200, deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "fast")

SLOWEST_FIRST = ("integration", "chaos", "contract")


def pytest_configure() -> None:
    """Let Ctrl+C work, which a shell's background process ignores, and so do its children."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Run the slowest modules first if workers share the tests, so that none of them runs alone at the end."""
    if config.getoption("numprocesses", None) is None and not hasattr(config, "workerinput"):
        return

    def rank(item: pytest.Item) -> int:
        directory = item.path.relative_to(TESTS).parts[0] if item.path.is_relative_to(TESTS) else ""
        return SLOWEST_FIRST.index(directory) if directory in SLOWEST_FIRST else len(SLOWEST_FIRST)

    items.sort(key=rank)


def pytest_collection_finish() -> None:
    """Exclude the collected tests from garbage collections, several of which the tests start themselves."""
    gc.collect()
    gc.freeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Report in one line which tests were skipped and what to install; with xdist, only the controller calls this."""
    reports = terminalreporter.stats.get("skipped", [])
    summary = summarize_skips(report.longrepr[2].removeprefix("Skipped: ") for report in reports)
    if summary is not None:
        terminalreporter.write_line(summary, yellow=True)


@pytest.fixture(params=["sync", "async"])
def api(request: pytest.FixtureRequest) -> Api:
    """An entry point of a Router; a test that uses it runs for the sync and for the async one."""
    return Api(request.param)


@pytest.fixture
def alternating_api(request: pytest.FixtureRequest) -> Api:
    """One entry point for each case of a test, sync and async alternately over each of its parameters.

    It is for tests whose subject does not depend on the entry point: each vendor is tested with both, without running
    every case twice.
    """
    return Api("async" if sum(request.node.callspec.indices.values()) % 2 else "sync")


@pytest.fixture(params=list(DESKS))
def desk(request: pytest.FixtureRequest) -> Desk:
    """A vendor's adapter and its fake; a test that uses it runs for every vendor."""
    return DESKS[request.param]()


@pytest.fixture(scope="session", autouse=True)
def no_certificate_authorities() -> Iterator[None]:
    """Do not load certificate authorities: it takes 25 ms for each HTTP client, and no test uses TLS."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", lambda *_, **__: None)
        yield


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the API keys and addresses of the developer's environment from the tests."""
    for name in list(os.environ):
        if name.startswith(("ANTHROPIC_", *(f"{vendor.upper()}_" for vendor in DESKS))):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def no_vendor_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry calls of a help desk's API at once; `unit/engine/test_transport.py` checks how long the delays are."""
    monkeypatch.setattr("triage.engine.transport.RETRIES", RetryPolicy(attempts=3, first_delay=0.0))


@pytest.fixture(autouse=True)
def no_inbox_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repeat writes to an inbox at once."""
    monkeypatch.setattr("triage.engine.lease._RETRIES", RetryPolicy(attempts=4, first_delay=0.0))


@pytest.fixture(params=["aiohttp", "httpx2"])
def http_stack(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The package that makes the calls of async code; a test that uses it runs with and without aiohttp."""
    name: str = request.param
    if name == "aiohttp" and not default_clients.is_aiohttp_installed():
        skip_without_extra(name)
    monkeypatch.setattr(default_clients, "is_aiohttp_installed", lambda: name == "aiohttp")
    for variable in ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"):
        monkeypatch.delenv(variable, raising=False)
        monkeypatch.delenv(variable.lower(), raising=False)
    return name


@pytest.fixture
def no_retry_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry calls of Claude's API at once as well."""
    monkeypatch.setattr("triage.classifiers.claude.classifier._RETRIES", RetryPolicy(first_delay=0.0))


ServerT = TypeVar("ServerT", bound=Server)


def run_server(server: ServerT) -> Iterator[ServerT]:
    yield server
    server.stop()
    assert server.is_gone(), "the server left a process or its directory behind"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    yield from run_server(Postgres())


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Redis]:
    yield from run_server(Redis())


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[RabbitMQ]:
    yield from run_server(RabbitMQ())
