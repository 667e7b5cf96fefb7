"""Refuse network access to tests, except on the loopback interface."""

import ipaddress
import socket
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_LOOKUPS = ("getaddrinfo", "gethostbyname")


class Network:
    """The network of a test, which reaches the loopback interface and the hosts that it lists.

    Only connections and lookups of Python's own `socket` module are refused, which all common HTTP clients use.

    Args:
        hosts: Further hosts that the test may reach.
        report: Called with a line about each refusal.
    """

    def __init__(self, hosts: Sequence[str], report: Callable[[str], object]) -> None:
        self._hosts = (*_LOOPBACK, *hosts)
        self._report = report
        self._is_open = False

    @contextmanager
    def allow(self) -> Generator[None]:
        """Allow access to all hosts in a `with` block."""
        self._is_open = True
        try:
            yield
        finally:
            self._is_open = False

    @contextmanager
    def guard(self) -> Generator[None]:
        """Refuse access to other hosts in a `with` block, in all threads."""
        import pytest_socket

        pytest_socket.enable_socket()  # the fakes need sockets, even with --disable-socket
        connect = socket.socket.connect
        pytest_socket.socket_allow_hosts(list(self._hosts), allow_unix_socket=True)
        restricted_connect = socket.socket.connect

        def guarded_connect(connection: socket.socket, address: Any) -> None:
            __tracebackhide__ = True
            if self._is_open:
                return connect(connection, address)
            try:
                return restricted_connect(connection, address)
            # The error issues a warning, which is raised in its place if warnings are errors.
            except (pytest_socket.SocketConnectBlockedError, UserWarning):
                connection.close()  # callers close it only after an OSError
            raise self._refuse(address[0])

        lookups = {name: getattr(socket, name) for name in _LOOKUPS}
        guarded_lookups = {name: self._guard_lookup(lookup) for name, lookup in lookups.items()}
        _patch(socket, guarded_lookups)
        _patch(socket.socket, {"connect": guarded_connect})
        try:
            yield
        finally:
            # Undo only what is still in place, because pytest-socket removes all restrictions before the teardown.
            if socket.socket.connect is guarded_connect:
                _patch(socket.socket, {"connect": connect})
            _patch(socket, lookups)

    def _guard_lookup(self, lookup: Callable[..., Any]) -> Callable[..., Any]:
        def guarded_lookup(host: str | bytes | None, *args: Any, **options: Any) -> Any:
            __tracebackhide__ = True
            name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
            if self._is_open or not name or name in self._hosts or _is_address(name):
                return lookup(host, *args, **options)
            raise self._refuse(name)

        return guarded_lookup

    def _refuse(self, host: str) -> BaseException:
        self._report(f"The test tried to reach {host}.")
        # This exception of pytest is no `Exception`, so that no SDK, classifier or Router takes it for a broken
        # connection, which they would retry and then replace with a fallback verdict.
        return pytest.fail.Exception(
            f"The test tried to reach {host}, but it has no network access. Record the answers of a classifier with "
            f"triage_eval and pytest --triage-record. If the test must reach the network in every run, mark it with "
            f"@pytest.mark.triage_live and run pytest --triage-live."
        )


def _patch(target: object, functions: Mapping[str, Callable[..., Any]]) -> None:
    for name, function in functions.items():
        setattr(target, name, function)


def _is_address(host: str) -> bool:
    """Return whether a host is an IP address, for which no name server is asked."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
