"""Tests that use the plugin reach the loopback interface only, unless they are live."""

import importlib.util
import socket
from importlib.machinery import ModuleSpec

import pytest

from tests.helpers.pytester import run_pytest

IMPORTS = """
import asyncio
import os
import socket
import tempfile
import threading

import httpx
import pytest
"""

# No code under test can hide the refusal: it is no `Exception`.
ATTEMPTS = """
@pytest.mark.parametrize(
    "attempt",
    [
        lambda: socket.create_connection(("192.0.2.1", 443), timeout=5),
        lambda: socket.socket(socket.AF_INET6).connect(("2001:db8::1", 443, 0, 0)),
        lambda: socket.getaddrinfo("api.invalid", 443),
        lambda: socket.getaddrinfo(b"api.invalid", 443),
        lambda: socket.gethostbyname("api.invalid"),
        lambda: asyncio.run(asyncio.open_connection("192.0.2.1", 443)),
        lambda: asyncio.run(asyncio.open_connection("api.invalid", 443)),
        lambda: httpx.get("https://api.invalid"),
    ],
)
def test_attempt(signed_webhook, attempt):
    try:
        attempt()
    except Exception:
        pass
"""

LOOPBACK = """
def test_loopback(signed_webhook):
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(("localhost", server.getsockname()[1])).close()

def test_unix_sockets(signed_webhook):
    with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{directory}/socket")
        server.listen()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(f"{directory}/socket")
"""

REFUSAL = """
def test_refusal(signed_webhook):
    socket.getaddrinfo("api.invalid", 443)
"""

THREAD = """
def connect():
    try:
        socket.create_connection(("192.0.2.1", 443))
    except BaseException:
        pass

def test_thread(signed_webhook):
    thread = threading.Thread(target=connect)
    thread.start()
    thread.join()
    assert False
"""

LOOKUP = """
def test_lookup({fixture}):
    assert socket.getaddrinfo("api.invalid", 443)[0][4] == ("127.0.0.1", 443)
"""

CONNECT = """
    assert "Network.guard" not in socket.socket.connect.__qualname__
"""


@pytest.mark.parametrize("options", [(), ("-W", "error"), ("--disable-socket",), ("-p", "no:socket")])
def test_other_machines_cannot_be_reached(pytester: pytest.Pytester, options: tuple[str, ...]) -> None:
    pytester.makepyfile(IMPORTS + ATTEMPTS)
    result = run_pytest(pytester, *options)
    result.assert_outcomes(failed=8)
    for host in ("192.0.2.1", "2001:db8::1", "api.invalid"):
        message = f"E*The test tried to reach {host}, but*--triage-record*triage_live*--triage-live."
        result.stdout.fnmatch_lines([message])


@pytest.mark.parametrize("options", [(), ("-W", "error"), ("--disable-socket",), ("-p", "no:socket")])
def test_the_loopback_interface_can_be_reached(pytester: pytest.Pytester, options: tuple[str, ...]) -> None:
    pytester.makepyfile(IMPORTS + LOOPBACK)
    run_pytest(pytester, *options).assert_outcomes(passed=2)


@pytest.mark.usefixtures("name_server")
def test_tests_that_do_not_use_the_plugin_are_not_changed(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(IMPORTS + LOOKUP.format(fixture="") + CONNECT)
    run_pytest(pytester).assert_outcomes(passed=1)


@pytest.mark.usefixtures("name_server")
@pytest.mark.parametrize("options", [(), ("-p", "no:socket")])
def test_the_network_is_restored_after_the_test(pytester: pytest.Pytester, options: tuple[str, ...]) -> None:
    pytester.makepyfile(IMPORTS + REFUSAL + LOOKUP.format(fixture=""))
    run_pytest(pytester, *options).assert_outcomes(failed=1, passed=1)
    assert "Network.guard" not in socket.socket.connect.__qualname__


@pytest.mark.usefixtures("name_server")
def test_live_tests_reach_the_network(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(f"{IMPORTS}\n@pytest.mark.triage_live{LOOKUP.format(fixture='signed_webhook')}")
    run_pytest(pytester, "--triage-live").assert_outcomes(passed=1)


@pytest.mark.usefixtures("name_server")
@pytest.mark.parametrize(
    ("option", "marker"),
    [
        ("--allow-hosts=api.invalid,192.0.2.9", ""),
        ("-q", "@pytest.mark.allow_hosts('api.invalid')"),
        ("-q", "@pytest.mark.allow_hosts(['api.invalid'])"),
    ],
)
def test_hosts_that_pytest_socket_allows_can_be_reached(pytester: pytest.Pytester, option: str, marker: str) -> None:
    pytester.makepyfile(f"{IMPORTS}\n{marker}{LOOKUP.format(fixture='signed_webhook')}")
    run_pytest(pytester, option).assert_outcomes(passed=1)


def test_a_setting_refuses_network_access_to_all_tests(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\ntriage_network = refuse")
    pytester.makepyfile(IMPORTS + ATTEMPTS.replace("signed_webhook, ", "") + LOOPBACK.replace("signed_webhook", ""))
    pytester.maketxtfile(test_doc=">>> 1 + 1\n2")
    run_pytest(pytester).assert_outcomes(failed=8, passed=3)


def test_an_unknown_value_of_the_setting_is_rejected(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\ntriage_network = off")
    result = run_pytest(pytester)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: triage_network: write refuse, or remove it; 'off' has no meaning."])


def test_a_refusal_that_a_thread_hides_is_reported_with_the_failure(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(IMPORTS + THREAD)
    result = run_pytest(pytester)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*Captured network call*", "The test tried to reach 192.0.2.1."])


@pytest.fixture
def no_pytest_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec

    def find(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name == "pytest_socket" else find_spec(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", find)


@pytest.mark.usefixtures("no_pytest_socket")
def test_without_pytest_socket_the_fixtures_say_what_to_install(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(fake_intercom): ...\ndef test_other(): ...")
    result = run_pytest(pytester)
    result.assert_outcomes(errors=1, passed=1)
    result.stdout.fnmatch_lines(["A fixture of triage needs pytest-socket: pip install 'chat-triage[[]pytest]'."])


@pytest.mark.usefixtures("no_pytest_socket")
def test_without_pytest_socket_the_setting_is_a_usage_error(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\ntriage_network = refuse")
    result = run_pytest(pytester)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: triage_network = refuse needs pytest-socket: pip install*"])
