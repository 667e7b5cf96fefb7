"""Why a connection failed or a client could not be created, in words that quote neither a request nor a secret."""

import os
import re
import socket
import ssl
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import cast

from triage.errors import ConfigurationError

_MAX_CAUSES = 10  # of an exception; the chain could be circular
_PROXIES = ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY")
_PROXY_SETTINGS = (*_PROXIES, "NO_PROXY")
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
NO_RESPONSE = "it did not respond in time"
_TIMEOUTS = {
    "ConnectTimeout": "it could not be connected to in time",
    "ConnectionTimeoutError": "it could not be connected to in time",
    "PoolTimeout": "no connection was free in time",
    "WriteTimeout": "it did not accept the request in time",
    "ReadTimeout": NO_RESPONSE,
    "TimeoutError": NO_RESPONSE,
}
_UNRESOLVED = "its host name could not be resolved"
_REFUSED = "the connection was refused"
_UNCONNECTED = frozenset({_UNRESOLVED, _REFUSED, _TIMEOUTS["ConnectTimeout"]})
_CLOSED = frozenset(
    {
        *("RemoteProtocolError", "ReadError", "WriteError"),
        *("ServerDisconnectedError", "ClientPayloadError"),  # of aiohttp
        *("ConnectionResetError", "BrokenPipeError"),
    }
)


def describe_connection_failure(error: BaseException) -> str | None:
    """Return why a call got no response, such as `"its host name could not be resolved"`.

    Classes of the HTTP clients are compared by name, because httpx and httpx2 define the same exceptions separately,
    and aiohttp need not be installed.

    Args:
        error: The exception of the HTTP client, or of the SDK that uses one.

    Returns:
        None if the cause is unknown.
    """
    causes = list_causes(error)
    # The exceptions of the operating system say more than those of the client that they caused.
    reasons = [*map(_describe_system_error, causes), *map(_describe_client_error, causes)]
    reason = next(filter(None, reasons), None)
    proxies = _find_set(_PROXIES)
    if reason in _UNCONNECTED and proxies:
        return f"{reason}; it may be the proxy, because {' and '.join(proxies)} is set"
    return reason


def list_causes(error: BaseException) -> list[BaseException]:
    """Return an exception and those that caused it.

    Args:
        error: The exception.
    """
    causes: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and len(causes) < _MAX_CAUSES:
        causes.append(cause)
        if isinstance(cause, BaseExceptionGroup):  # asyncio tries several addresses of one host
            cause = cast("BaseExceptionGroup[BaseException]", cause).exceptions[0]
        else:
            cause = cause.__cause__ or cause.__context__
    return causes


def _describe_system_error(error: BaseException) -> str | None:
    match error:
        case ssl.SSLCertVerificationError():
            return "its TLS certificate could not be verified"
        case ssl.SSLError():
            return "the TLS handshake failed"
        case socket.gaierror():
            return _UNRESOLVED
        case ConnectionRefusedError():
            return _REFUSED
        case _:
            return None


def _describe_client_error(error: BaseException) -> str | None:
    names = [cls.__name__ for cls in type(error).__mro__]
    if "ProxyError" in names:
        status = re.match(r"\d{3}\b", str(error))
        return f"the proxy rejected the connection{f' with status {status[0]}' if status else ''}"
    if any(name in _CLOSED for name in names):
        return "the connection was closed"
    return next((_TIMEOUTS[name] for name in names if name in _TIMEOUTS), None)


def check_network_variables(client: str) -> None:
    """Check that the proxies and certificates which the environment configures can be used.

    All clients take them from httpx2, so one check covers them all.

    Args:
        client: The client that will use them, such as `"Claude's client"`.

    Raises:
        ConfigurationError: They cannot be used. Otherwise, every call would fail.
    """
    names = [*_find_set(_PROXY_SETTINGS), *_find_set(_CERTIFICATES)]
    try:
        _try_variables(tuple((name, os.environ[name]) for name in names))
    except Exception as error:
        raise build_client_error(client, error) from error


@lru_cache(maxsize=8)
def _try_variables(variables: Sequence[tuple[str, str]]) -> None:
    """Raise what httpx2 raises for variables. It reads them itself; the argument is the key of the cache."""
    if not variables:
        return
    import httpx2

    httpx2.Client().close()
    directory = dict(variables).get("SSL_CERT_DIR")
    if directory and not os.environ.get("SSL_CERT_FILE") and not Path(directory).is_dir():
        raise NotADirectoryError  # OpenSSL accepts it, and then rejects every certificate


def build_client_error(client: str, error: Exception) -> ConfigurationError:
    """Build the error for a client that cannot be created.

    It names the variables but leaves out the exception's own text, because the address of a proxy may contain a
    password.

    Args:
        client: The client, such as `"Claude's client"`.
        error: The exception that its constructor raised.
    """
    variables = _find_set(_PROXY_SETTINGS)
    match error:
        case ImportError():
            hint = "A SOCKS proxy needs another package: pip install 'httpx2[socks]'"
        case OSError():
            hint = "The certificates cannot be read"
            variables = _find_set(_CERTIFICATES)
        case _:
            hint = "A proxy must be an address such as http://proxy.example.com:3128, and NO_PROXY a list of host names"
    names = " and ".join(variables) or "the proxy and the certificates of this system"
    return ConfigurationError(f"{client} cannot be created ({type(error).__name__}): check {names}. {hint}.")


def _find_set(names: Sequence[str]) -> list[str]:
    return [spelling for name in names for spelling in (name, name.lower()) if os.environ.get(spelling)]
