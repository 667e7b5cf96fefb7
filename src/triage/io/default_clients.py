"""The HTTP clients that are used where the user passes none.

Both connection pools of httpx and httpx2 walk all of their connections for each call, so that the CPU time of a call
grows with the number of calls in flight. Async code therefore uses aiohttp if it is installed, and otherwise several
small pools of httpx2. Import this module on first use, because importing httpx2 takes a while.
"""

from importlib import metadata
from urllib.request import getproxies

import httpx2

from triage.io.http import AsyncHttpClient, HttpClient
from triage.io.pooled_transport import PooledTransport

_CONNECTIONS = 256  # of an async client to a help desk
_CLAUDE_CONNECTIONS = 1000  # as many as the SDK allows

CLIENT_ERRORS = (ImportError, OSError, ValueError, httpx2.InvalidURL)
"""What the functions of this module raise if the environment names proxies or certificates that cannot be used."""


def create_client(timeout: float) -> HttpClient:
    """Create a client for sync code.

    Args:
        timeout: Seconds for opening a connection, and for each read and write.
    """
    return httpx2.Client(timeout=timeout)


def create_async_client(timeout: float) -> AsyncHttpClient:
    """Create a client for the running event loop.

    Args:
        timeout: Seconds for opening a connection, and for each read and write.
    """
    if has_proxy():
        return httpx2.AsyncClient(timeout=timeout)
    ssl_context = httpx2.create_ssl_context()
    if not is_aiohttp_installed():
        transport = PooledTransport(ssl_context, connections=_CONNECTIONS)
        return httpx2.AsyncClient(timeout=timeout, transport=transport)
    from triage.io.aiohttp_client import AiohttpClient

    return AiohttpClient(ssl_context, connections=_CONNECTIONS, timeout=timeout)


def create_async_transport() -> httpx2.AsyncBaseTransport | None:
    """Create the transport of an `httpx2.AsyncClient` for the running event loop.

    Returns:
        None if the client must create its own, because it uses a proxy.
    """
    if has_proxy():
        return None
    ssl_context = httpx2.create_ssl_context()
    if not is_aiohttp_installed():
        return PooledTransport(ssl_context, connections=_CLAUDE_CONNECTIONS)
    from triage.io.aiohttp_client import AiohttpTransport

    return AiohttpTransport(ssl_context, connections=_CLAUDE_CONNECTIONS)


def has_proxy() -> bool:
    """Return whether some calls need a proxy. If so, httpx2 makes all calls: aiohttp does not support all proxies."""
    return not getproxies().keys().isdisjoint(("http", "https", "all"))


def is_aiohttp_installed() -> bool:
    """Return whether aiohttp is installed, in a release with which this library works."""
    try:
        version = metadata.version("aiohttp")
    except metadata.PackageNotFoundError:
        return False
    return (3, 12) <= tuple(int(number) for number in version.split(".")[:2]) < (4, 0)
