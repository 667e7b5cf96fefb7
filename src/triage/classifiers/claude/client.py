"""Clients of Anthropic's SDK: created on first use, or passed in by the user.

The SDK is imported only when it is needed, because the import takes about a second.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

from triage.errors import ConfigurationError
from triage.io.clients import OnDemand, PerLoop

if TYPE_CHECKING:
    import anthropic


class SyncClient(Protocol):
    """A sync client of the `anthropic` package: `Anthropic`, `AnthropicBedrock`, `AnthropicVertex` or another one."""

    @property
    def messages(self) -> Any:
        """The Messages API."""
        ...

    def with_options(self, *, max_retries: int) -> Self:
        """Return a copy with other options."""
        ...

    def __enter__(self) -> Any: ...


class AsyncClient(Protocol):
    """An async client of the `anthropic` package: `AsyncAnthropic`, `AsyncAnthropicBedrock` or another one."""

    @property
    def messages(self) -> Any:
        """The Messages API."""
        ...

    def with_options(self, *, max_retries: int) -> Self:
        """Return a copy with other options."""
        ...

    async def __aenter__(self) -> Any: ...


OwnClient = TypeVar("OwnClient", "anthropic.Anthropic", "anthropic.AsyncAnthropic")
Client = TypeVar("Client", SyncClient, AsyncClient)


class Clients:
    """The sync and the async SDK client of a `Claude`.

    Args:
        api_key: The API key for clients created here. None lets the SDK look for one.
        client: The user's sync client, or None to create one, unless there is an async client.
        async_client: The user's async client, or None to create one per event loop, unless there is a sync client.

    Raises:
        ConfigurationError: A client has the wrong type or no credentials.
    """

    def __init__(
        self,
        api_key: str | None,
        client: SyncClient | None,
        async_client: AsyncClient | None,
    ) -> None:
        self._api_key = api_key
        self._user_client = _prepare(client, "client", "anthropic.Anthropic", "__enter__")
        self._user_async_client = _prepare(async_client, "async_client", "anthropic.AsyncAnthropic", "__aenter__")
        self._own_client: OnDemand[anthropic.Anthropic] = OnDemand(self._create)
        self._own_async_client: PerLoop[anthropic.AsyncAnthropic] = PerLoop(self._create_async)

    @property
    def is_sync_only(self) -> bool:
        """True if the user passed a sync client and no async one. Messages must not bypass it."""
        return self._user_client is not None and self._user_async_client is None

    @property
    def is_async_only(self) -> bool:
        """True if the user passed an async client and no sync one. Messages must not bypass it."""
        return self._user_async_client is not None and self._user_client is None

    def get(self) -> SyncClient:
        """Return the sync client, creating it if necessary."""
        return self._user_client or self._own_client.get()

    def get_async(self) -> AsyncClient:
        """Return the async client for the running event loop, creating it if necessary."""
        return self._user_async_client or self._own_async_client.get()

    def warm_up(self) -> None:
        """Create the sync client and, if an event loop is running, its async client, unless the user passed any.

        Raises:
            ConfigurationError: There is no API key, or a client cannot be created.
        """
        if self._user_client is None and self._user_async_client is None:
            self._own_client.get()
            self._own_async_client.warm_up()

    def close(self) -> None:
        """Close the sync client if it was created here."""
        client = self._own_client.pop()
        if client is not None:
            client.close()

    async def aclose(self) -> None:
        """Close the clients that were created here for sync code and for the running event loop."""
        await self.leave_loop()
        self.close()

    async def leave_loop(self) -> None:
        """Close the client that was created here for the running event loop."""
        client = self._own_async_client.pop()
        if client is not None:
            await client.close()

    def _create(self) -> "anthropic.Anthropic":
        import anthropic

        return _create_checked(lambda: anthropic.Anthropic(**self._options()))

    def _create_async(self) -> "anthropic.AsyncAnthropic":
        import anthropic

        # On garbage collection the SDK's default HTTP client closes itself on whichever event loop is running, which
        # fails if its connections belong to a loop that has ended. This HTTP client has the same settings but leaves
        # its connections alone.
        return _create_checked(
            lambda: anthropic.AsyncAnthropic(**self._options(), http_client=anthropic.DefaultAsyncHttpxClient())
        )

    def _options(self) -> dict[str, Any]:
        # The SDK waits as long as a Retry-After header says, without a limit; our own retries respect the deadline.
        # Spans never contain customer text, even if the environment asks for it.
        return {
            "api_key": self._api_key,
            "max_retries": 0,
            "open_telemetry": {"traces": {"content_mode": "metadata_only"}},
        }


def limit_attempt(
    client: object, *, attempt_timeout: float | None, default: float, remaining: float
) -> "tuple[anthropic.Timeout, float]":
    """Return the time limits of one attempt: of each phase of the request, and of all of it.

    A limit that the user set on the client stays in force.

    Args:
        client: The client.
        attempt_timeout: The limit that the user set on the classifier, or None.
        default: The limit if the user set none, neither on the classifier nor on the client.
        remaining: The seconds until the deadline.
    """
    import anthropic

    timeout = getattr(client, "timeout", anthropic.DEFAULT_TIMEOUT)
    phases = timeout if isinstance(timeout, anthropic.Timeout) else anthropic.Timeout(timeout)
    if attempt_timeout is None:
        attempt_timeout = default if timeout == anthropic.DEFAULT_TIMEOUT else phases.read
    limit = remaining if attempt_timeout is None else min(attempt_timeout, remaining)

    def shorten(phase: float | None) -> float:
        return limit if phase is None else min(phase, limit)

    shortened = anthropic.Timeout(
        connect=shorten(phases.connect),
        read=shorten(phases.read),
        write=shorten(phases.write),
        pool=shorten(phases.pool),
    )
    return shortened, limit


def _prepare(client: Client | None, name: str, expected: str, context_method: str) -> Client | None:
    """Return a copy of the user's client that shares its connections but never retries."""
    if client is None:
        return None
    # Check capabilities rather than the class: the clients for Bedrock and Vertex have other base classes.
    if not hasattr(client, context_method) or not hasattr(client, "with_options"):
        raise ConfigurationError(f"Claude's {name} must be an {expected}, not {type(client).__name__}.")
    import anthropic

    if type(client) in (anthropic.Anthropic, anthropic.AsyncAnthropic):  # other classes use other credentials
        _check_credentials(client)
    # Some releases of the client for Bedrock do not pass the user's HTTP client, such as a gateway's, on to the copy.
    http_client = getattr(client, "_client", None)
    options: dict[str, Any] = {"http_client": http_client} if http_client is not None else {}
    return client.with_options(max_retries=0, **options)


def _create_checked(create: Callable[[], OwnClient]) -> OwnClient:
    import anthropic

    try:
        client = create()
    except (anthropic.AnthropicError, OSError, ValueError) as error:
        raise ConfigurationError(
            f"Claude's client cannot be created ({type(error).__name__}): check the profile, the proxy and the "
            f"certificates in the environment variables."
        ) from error
    _check_credentials(client)
    return client


def _check_credentials(client: Any) -> None:
    """Reject a client without credentials now, because the SDK would reject it only on the first call."""
    headers = {name.lower() for name in client.default_headers}
    if not headers & {"authorization", "x-api-key"} and getattr(client, "credentials", None) is None:
        raise ConfigurationError("There is no API key for Claude: set ANTHROPIC_API_KEY, or pass Claude(api_key=…).")
