"""HTTP clients for a help desk's API: the user's, those of the user's functions, or our own."""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeAlias, TypeVar, cast

from triage.errors import ConfigurationError, describe_location
from triage.io.clients import OnDemand, PerLoop
from triage.io.failures import build_client_error, check_network_variables
from triage.io.http import AsyncHttpClient, HttpClient, fetch, fetch_async
from triage.io.ports import IO
from triage.io.threads import start_call
from triage.log import get_logger

logger = get_logger(__name__)

CALL_LIMIT = 10.0  # seconds for a whole call; our own clients use it for connecting, and for each read and write, too
_CLIENT = "The client for the help desk's API"

HttpOption: TypeAlias = HttpClient | Callable[[], HttpClient] | None
AsyncHttpOption: TypeAlias = AsyncHttpClient | Callable[[], AsyncHttpClient] | None

C = TypeVar("C")


@dataclass(frozen=True, slots=True)
class Caller:
    """Makes calls with one client.

    Args:
        fetch: Makes a call, like `triage.io.http.fetch` without its first argument. In async code, it returns an
            awaitable.
        limit: Seconds for a whole call.
    """

    fetch: Callable[..., Any]
    limit: float


class HttpClients:
    """The HTTP clients of a Router. Sync and async code use the same one if the user passed only a sync one.

    Args:
        http: The user's sync client, or a function that creates one for each process. Without an `async_http`, async
            code uses it in threads. None creates one on first use, because loading the certificates takes 20 ms.
        async_http: The user's async client, or a function that creates one for each event loop. Without an `http`,
            sync code cannot make calls. None creates one for each event loop.

    Raises:
        ConfigurationError: An argument is neither a client of the right kind nor a function, or the proxies or
            certificates that the environment names cannot be used.
    """

    def __init__(self, http: HttpOption, async_http: AsyncHttpOption) -> None:
        self._sync = _SyncSource(http)
        self._async = _AsyncSource(async_http)
        if http is None and async_http is None:
            check_network_variables(_CLIENT)  # report a mistake now, and not when the first customer writes

    @property
    def is_async_only(self) -> bool:
        """True if the user passed an async client and no sync one. Calls must not bypass it."""
        return self._async.is_users and not self._sync.is_users

    def get_caller(self, io: IO) -> Caller:
        """Return how to make calls over a port.

        Args:
            io: The port.

        Raises:
            ConfigurationError: The client cannot be created, or there is only an async one for sync code.
        """
        if io.is_async and (self._async.is_users or not self._sync.is_users):
            async_client = self._async.get()
            return Caller(partial(fetch_async, async_client), _find_limit(async_client))
        if self.is_async_only:
            raise ConfigurationError(
                "Router has an async_http but no client for sync code: pass http= as well, or call handle_async()."
            )
        client = self._sync.get()
        limit = _find_limit(client)
        make_call = partial(fetch, client, limit=limit)
        return Caller(partial(_fetch_in_thread, make_call) if io.is_async else make_call, limit)

    def warm_up(self) -> None:
        """Create the clients now, the async one if an event loop is running.

        Raises:
            ConfigurationError: A client cannot be created.
        """
        if not self.is_async_only:
            self._sync.get()
        if self._async.is_users or not self._sync.is_users:
            self._async.warm_up()

    def close(self) -> None:
        """Close the sync client if it was created here. The next use creates a new one."""
        client = self._sync.created.pop()
        if client is not None:
            client.close()

    async def aclose(self) -> None:
        """Close the clients that were created here, the async one for the running event loop."""
        client = self._async.created.pop()
        if client is not None:
            await client.aclose()
        self.close()


class _Source(Generic[C]):
    """Where a client comes from: the user, a function of the user, or our default."""

    argument: str
    kind: str
    methods: str
    is_async: bool

    def __init__(self, option: C | Callable[[], C] | None) -> None:
        self.is_users = option is not None
        self._pid: int | None = None
        self._client: C | None = None
        self._create: Callable[[], C] | None = None
        if option is None:
            return
        if callable(option) and not isinstance(option, type) and not hasattr(option, "stream"):
            self._create = cast("Any", option)
        else:
            self._check(option, "be")
            self._client = cast("C", option)

    def create(self) -> Any:
        """Create a client."""
        if self._create is None:
            return self._create_default()
        try:
            client = self._create()
        except Exception as error:
            raise ConfigurationError(
                f"Router({self.argument}=…): the function that creates the client raised {describe_location(error)}."
            ) from error
        self._check(client, "return")
        return client

    def _create_default(self) -> Any:
        from triage.io import default_clients

        create = default_clients.create_async_client if self.is_async else default_clients.create_client
        try:
            return create(CALL_LIMIT)
        except default_clients.CLIENT_ERRORS as error:
            raise build_client_error(_CLIENT, error) from error

    def get_passed(self) -> C | None:
        """Return the client that the user passed, or None if clients are created here."""
        if self._client is not None:
            if self._pid not in (None, os.getpid()):
                logger.warning(
                    "the client that was passed as Router(%s=…) was used before this process was forked, so two "
                    "processes may read from one connection. Pass a function that creates the client instead.",
                    self.argument,
                )
            self._pid = os.getpid()
        return self._client

    def _check(self, client: object, verb: str) -> None:
        if isinstance(client, type) or not hasattr(client, "stream") or hasattr(client, "aclose") != self.is_async:
            actual = f"the class {client.__name__}" if isinstance(client, type) else type(client).__name__
            raise ConfigurationError(
                f"Router({self.argument}=…) must {verb} an httpx.{self.kind}, or an object with the same "
                f"{self.methods}, not {actual}."
            )


class _SyncSource(_Source[HttpClient]):
    argument = "http"
    kind = "Client"
    methods = "stream()"
    is_async = False

    def __init__(self, option: HttpOption) -> None:
        super().__init__(option)
        self.created: OnDemand[Any] = OnDemand(self.create)

    def get(self) -> HttpClient:
        """Return the client, creating it if necessary."""
        client: HttpClient = self.get_passed() or self.created.get()
        return client


class _AsyncSource(_Source[AsyncHttpClient]):
    argument = "async_http"
    kind = "AsyncClient"
    methods = "stream() and aclose()"
    is_async = True

    def __init__(self, option: AsyncHttpOption) -> None:
        super().__init__(option)
        self.created: PerLoop[Any] = PerLoop(self.create)

    def get(self) -> AsyncHttpClient:
        """Return the client for the running event loop, creating it if necessary."""
        client: AsyncHttpClient = self.get_passed() or self.created.get()
        return client

    def warm_up(self) -> None:
        """Create the client now, if an event loop is running."""
        if self._client is None:
            self.created.warm_up()


async def _fetch_in_thread(make_call: Callable[..., Any], *args: Any, **options: Any) -> Any:
    return await asyncio.wrap_future(start_call(partial(make_call, *args, **options)))


def _find_limit(client: object) -> float:
    """Return the seconds for a whole call: more than ours if the user lets a single read take longer."""
    read = getattr(getattr(client, "timeout", None), "read", None)
    return max(CALL_LIMIT, read) if isinstance(read, int | float) else CALL_LIMIT
