"""HTTP clients for a help desk's API: the user's, or clients created on first use."""

import inspect
from collections.abc import Mapping
from typing import Any, Protocol

import httpx

from triage.errors import ConfigurationError
from triage.io.clients import OnDemand, PerLoop
from triage.io.ports import IO

_TIMEOUT = 10.0  # seconds for connecting, and for each read and write


class HttpClient(Protocol):
    """The part of `httpx.Client` or `httpx2.Client` that the library uses."""

    def request(
        self, method: str, url: str, *, content: bytes | None, headers: Mapping[str, str], follow_redirects: bool
    ) -> Any:
        """Make a call."""
        ...


class AsyncHttpClient(Protocol):
    """The part of `httpx.AsyncClient` or `httpx2.AsyncClient` that the library uses."""

    async def request(
        self, method: str, url: str, *, content: bytes | None, headers: Mapping[str, str], follow_redirects: bool
    ) -> Any:
        """Make a call."""
        ...


class HttpClients:
    """The sync and the async HTTP client of a Router.

    Args:
        http: The user's sync client. None creates one on first use, because loading the system's certificates takes
            20 ms.
        async_http: The user's async client. None creates one for each event loop.

    Raises:
        ConfigurationError: A client is async where a sync one is needed or vice versa, or is not a client.
    """

    def __init__(self, http: HttpClient | None, async_http: AsyncHttpClient | None) -> None:
        _check_client(http, "http", httpx.Client, is_async=False)
        _check_client(async_http, "async_http", httpx.AsyncClient, is_async=True)
        self._http = http
        self._async_http = async_http
        self._own_http: OnDemand[httpx.Client] = OnDemand(lambda: httpx.Client(timeout=_TIMEOUT))
        self._own_async_http: PerLoop[httpx.AsyncClient] = PerLoop(lambda: httpx.AsyncClient(timeout=_TIMEOUT))

    def get(self, io: IO) -> HttpClient | AsyncHttpClient:
        """Return the client to use with a port."""
        if io.is_async:
            return self._async_http or self._own_async_http.get()
        return self._http or self._own_http.get()

    def warm_up(self) -> None:
        """Create the clients now, the async one if an event loop is running."""
        if self._async_http is None:
            self._own_async_http.warm_up()
        if self._http is None:
            self._own_http.get()

    def close(self) -> None:
        """Close the sync client if it was created here. The next use creates a new one."""
        client = self._own_http.pop()
        if client is not None:
            client.close()

    async def aclose(self) -> None:
        """Close the clients that were created here, the async one for the running event loop."""
        client = self._own_async_http.pop()
        if client is not None:
            await client.aclose()
        self.close()


def _check_client(client: object, name: str, expected: type, *, is_async: bool) -> None:
    if client is None:
        return
    request = getattr(client, "request", None)
    if isinstance(client, type) or not callable(request) or inspect.iscoroutinefunction(request) != is_async:
        actual = f"the class {client.__name__}" if isinstance(client, type) else type(client).__name__
        raise ConfigurationError(
            f"Router({name}=…) must be an httpx.{expected.__name__}, or an object with the same request(), not "
            f"{actual}."
        )
