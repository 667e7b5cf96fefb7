"""The pytest plugin: fakes as fixtures, evaluations as tests, and no network access unless a test is live.

pytest imports this module in every run of every project in which the library is installed. It therefore imports nothing
but pytest and the standard library, and changes only tests that use its fixtures.
"""

import os
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, nullcontext
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from triage.testing import evaluations, thresholds
from triage.testing.network import Network

if TYPE_CHECKING:
    from triage.testing import (
        FakeClaude,
        FakeCrisp,
        FakeFront,
        FakeHelpDesk,
        FakeHelpScout,
        FakeIntercom,
        FakeZendesk,
        VendorName,
        Webhook,
        WebhookKind,
    )

    Desk = TypeVar("Desk", bound=FakeHelpDesk)

_NETWORK = "_triage_network"
_NO_PYTEST_SOCKET = "{} needs pytest-socket: pip install 'chat-triage[pytest]'."
_thresholds = pytest.StashKey[thresholds.Thresholds]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options and the settings."""
    group = parser.getgroup("triage", "evaluations of classifiers")
    group.addoption(
        "--triage-record",
        action="store_const",
        const="auto",
        dest="triage_mode",
        help="Ask classifiers for answers that are not recorded, and record them. This costs money.",
    )
    group.addoption(
        "--triage-record-all",
        action="store_const",
        const="record",
        dest="triage_mode",
        help="Ask classifiers for all answers again, and replace the recorded ones. This costs money.",
    )
    group.addoption(
        "--triage-live",
        action="store_true",
        help="Run the tests that are marked with triage_live, which use the network.",
    )
    thresholds.add_options(parser, group)
    parser.addini("triage_network", "'refuse' cuts off all tests from the network that are not live.", default="")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker and the summary, and check the settings."""
    config.addinivalue_line("markers", "triage_live: uses the network; it is skipped without --triage-live.")
    config.stash[_thresholds] = thresholds.read_thresholds(config)
    config.pluginmanager.register(evaluations.Summary(), "triage-summary")
    network = config.getini("triage_network")
    if network not in ("", "refuse"):
        raise pytest.UsageError(f"triage_network: write refuse, or remove it; {network!r} has no meaning.")
    if network and not find_spec("pytest_socket"):
        raise pytest.UsageError(_NO_PYTEST_SOCKET.format("triage_network = refuse"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip live tests unless they are asked for, and refuse network access to all others if the settings say so."""
    skip = pytest.mark.skip(reason="it is live: run pytest --triage-live")
    is_refused = bool(config.getini("triage_network"))
    for item in items:
        if _is_live(item) and not config.getoption("--triage-live"):
            item.add_marker(skip)
        fixtures: list[str] | None = getattr(item, "fixturenames", None)  # some plugins' items have none
        if is_refused and fixtures is not None and _NETWORK not in fixtures:
            fixtures.insert(0, _NETWORK)


def _is_live(item: pytest.Item) -> bool:
    return item.get_closest_marker("triage_live") is not None


@pytest.fixture(name=_NETWORK)
def _network(request: pytest.FixtureRequest) -> Generator[Network]:
    """Refuse network access to the test unless it is live. All other fixtures of this plugin use this one."""
    if not find_spec("pytest_socket"):
        pytest.fail(_NO_PYTEST_SOCKET.format("A fixture of triage"), pytrace=False)
    item: pytest.Item = request.node
    network = Network(_list_allowed_hosts(item), partial(item.add_report_section, "call", "network"))
    with nullcontext() if _is_live(item) else network.guard():
        yield network


def _list_allowed_hosts(item: pytest.Item) -> list[str]:
    """Return the hosts that pytest-socket allows, according to its marker or its option."""
    marker = item.get_closest_marker("allow_hosts")
    hosts: str | list[str] = marker.args[0] if marker else item.config.getoption("--allow-hosts", None) or []
    return hosts.split(",") if isinstance(hosts, str) else hosts


@pytest.fixture
def fake_intercom(_triage_network: Network, monkeypatch: pytest.MonkeyPatch) -> "Generator[FakeIntercom]":
    """A fake Intercom, which `Intercom.from_env()` and `Router.from_env(Intercom)` call."""
    from triage.testing import FakeIntercom

    with _serve(FakeIntercom(), monkeypatch) as fake:
        yield fake


@pytest.fixture
def fake_zendesk(_triage_network: Network, monkeypatch: pytest.MonkeyPatch) -> "Generator[FakeZendesk]":
    """A fake Zendesk, which `Zendesk.from_env()` and `Router.from_env(Zendesk)` call."""
    from triage.testing import FakeZendesk

    with _serve(FakeZendesk(), monkeypatch) as fake:
        yield fake


@pytest.fixture
def fake_front(_triage_network: Network, monkeypatch: pytest.MonkeyPatch) -> "Generator[FakeFront]":
    """A fake Front, which `Front.from_env()` and `Router.from_env(Front)` call."""
    from triage.testing import FakeFront

    with _serve(FakeFront(), monkeypatch) as fake:
        yield fake


@pytest.fixture
def fake_helpscout(_triage_network: Network, monkeypatch: pytest.MonkeyPatch) -> "Generator[FakeHelpScout]":
    """A fake Help Scout, which `HelpScout.from_env()` and `Router.from_env(HelpScout)` call."""
    from triage.testing import FakeHelpScout

    with _serve(FakeHelpScout(), monkeypatch) as fake:
        yield fake


@pytest.fixture
def fake_crisp(_triage_network: Network, monkeypatch: pytest.MonkeyPatch) -> "Generator[FakeCrisp]":
    """A fake Crisp, which `Crisp.from_env()` and `Router.from_env(Crisp)` call."""
    from triage.testing import FakeCrisp

    with _serve(FakeCrisp(), monkeypatch) as fake:
        yield fake


@pytest.fixture
def fake_claude(_triage_network: Network, monkeypatch: pytest.MonkeyPatch) -> "Generator[FakeClaude]":
    """A fake of Claude's API, which `Claude()` calls. It classifies by keywords, or as `fake_claude.answer` says."""
    from triage.testing import FakeClaude

    fake = FakeClaude()
    with fake.serve() as url:
        _set_environment(monkeypatch, "ANTHROPIC", {"ANTHROPIC_API_KEY": "fake-api-key", "ANTHROPIC_BASE_URL": url})
        yield fake


@contextmanager
def _serve(fake: "Desk", monkeypatch: pytest.MonkeyPatch) -> "Generator[Desk]":
    with fake.serve() as url:
        _set_environment(monkeypatch, fake.prefix, fake.env(url))
        yield fake


def _set_environment(monkeypatch: pytest.MonkeyPatch, prefix: str, variables: Mapping[str, str]) -> None:
    """Replace all environment variables with a prefix, and reach the loopback interface without a proxy."""
    for name in os.environ:
        if name.startswith(f"{prefix}_"):
            monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1", prepend=",")


@pytest.fixture
def signed_webhook(_triage_network: Network, request: pytest.FixtureRequest) -> "Callable[..., Webhook]":
    """A function that returns a signed webhook: `signed_webhook("intercom", "created", text="Where is my order?")`.

    If the test uses the help desk's fake, the conversation exists there. The further arguments are those of
    `triage.testing.create_webhook`. The secret is by default that of the fake.
    """
    from triage.testing.webhooks import create_webhook, find_secret, write_webhook

    def create(
        vendor: "VendorName", kind: "WebhookKind" = "created", *, secret: str | None = None, **options: Any
    ) -> "Webhook":
        fixture = f"fake_{vendor}"
        if secret is None and fixture in request.fixturenames:
            return write_webhook(request.getfixturevalue(fixture), kind, **options)
        return create_webhook(vendor, kind, secret=secret or find_secret(vendor), **options)

    return create


@pytest.fixture
def triage_eval(_triage_network: Network, request: pytest.FixtureRequest) -> evaluations.TriageEval:
    """A function that evaluates a classifier: `triage_eval(classifier, "messages.csv", buckets, accuracy=0.9)`.

    It reads answers that cost money from a recording, fails the test if a threshold is not reached, and returns the
    `Report`. `pytest --triage-record` records missing answers.
    """
    return evaluations.TriageEval(
        request.node,
        _triage_network,
        mode=request.config.getoption("triage_mode"),
        thresholds=request.config.stash[_thresholds],
        is_live=_is_live(request.node),
    )
