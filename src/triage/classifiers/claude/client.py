"""Clients of Anthropic's SDK: created on first use, or passed in by the user.

The SDK is imported only when it is needed, because the import takes about a second.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeAlias, TypeVar, cast

from triage.environment import read_variable
from triage.errors import ConfigurationError, describe_location
from triage.io.clients import OnDemand, PerLoop, is_loop_running
from triage.io.failures import build_client_error, check_network_variables

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


SyncOption: TypeAlias = SyncClient | Callable[[], SyncClient] | None
AsyncOption: TypeAlias = AsyncClient | Callable[[], AsyncClient] | None

_EXPECTED = {"client": ("anthropic.Anthropic", "__enter__"), "async_client": ("anthropic.AsyncAnthropic", "__aenter__")}

_CLIENT = "Claude's client"

OwnClient = TypeVar("OwnClient", "anthropic.Anthropic", "anthropic.AsyncAnthropic")


class Clients:
    """The sync and the async SDK client of a `Claude`.

    Args:
        api_key: The API key for clients created here. None lets the SDK look for one.
        client: The user's sync client or a function that creates one for each process. None creates one, unless there
            is an async client.
        async_client: The user's async client or a function that creates one for each event loop. None creates one,
            unless there is a sync client.

    Raises:
        ConfigurationError: A client has the wrong type or no credentials, or a client will be created here, and the
            proxies or certificates that the environment names cannot be used.
    """

    def __init__(
        self,
        api_key: str | None,
        client: SyncOption,
        async_client: AsyncOption,
    ) -> None:
        self._api_key = api_key
        self._has_client = client is not None
        self._has_async_client = async_client is not None
        create: Callable[[], Any] = self._create
        create_async: Callable[[], Any] = self._create_async
        self._user_client: SyncClient | None = None
        self._user_async_client: AsyncClient | None = None
        if _is_function(client):
            create = partial(_call_function, cast("Callable[[], Any]", client), "client")
        else:
            self._user_client = _prepare(client, "client")
        if _is_function(async_client):
            create_async = partial(_call_function, cast("Callable[[], Any]", async_client), "async_client")
        else:
            self._user_async_client = _prepare(async_client, "async_client")
        if client is None and async_client is None:
            check_network_variables(_CLIENT)  # report a mistake now, and not when the first customer writes
        self._created_client: OnDemand[Any] = OnDemand(create)
        self._created_async_client: PerLoop[Any] = PerLoop(create_async)

    @property
    def is_sync_only(self) -> bool:
        """True if the user passed a sync client and no async one. Messages must not bypass it."""
        return self._has_client and not self._has_async_client

    @property
    def is_async_only(self) -> bool:
        """True if the user passed an async client and no sync one. Messages must not bypass it."""
        return self._has_async_client and not self._has_client

    def get(self) -> SyncClient:
        """Return the sync client, creating it if necessary."""
        client: SyncClient = self._user_client or self._created_client.get()
        return client

    def get_async(self) -> AsyncClient:
        """Return the async client for the running event loop, creating it if necessary."""
        client: AsyncClient = self._user_async_client or self._created_async_client.get()
        return client

    def warm_up(self) -> None:
        """Create the clients that will be used, unless the user passed them; the async one if an event loop is running.

        Raises:
            ConfigurationError: There is no API key, or a client cannot be created.
        """
        if self._user_client is None and not self.is_async_only:
            self._created_client.get()
        if self._user_async_client is None and not self.is_sync_only:
            self._created_async_client.warm_up()
        from triage.classifiers.claude import rehearsal

        if is_loop_running() and not self.is_sync_only:
            rehearsal.rehearse_async()
        else:
            rehearsal.rehearse()

    def close(self) -> None:
        """Close the sync client if it was created here."""
        client = self._created_client.pop()
        if client is not None:
            client.close()

    async def aclose(self) -> None:
        """Close the clients that were created here for sync code and for the running event loop."""
        await self.leave_loop()
        self.close()

    async def leave_loop(self) -> None:
        """Close the client that was created here for the running event loop."""
        client = self._created_async_client.pop()
        if client is not None:
            await client.close()

    def _create(self) -> "anthropic.Anthropic":
        import anthropic

        check_network_variables(_CLIENT)  # the SDK would leave a half-built client, which complains on stderr
        return _create_checked(lambda: anthropic.Anthropic(**self._options()))

    def _create_async(self) -> "anthropic.AsyncAnthropic":
        import anthropic

        from triage.io.default_clients import create_async_transport

        def create() -> anthropic.AsyncAnthropic:
            transport = create_async_transport()
            options: dict[str, Any] = {} if transport is None else {"transport": transport}
            # On garbage collection, the SDK's own HTTP client closes itself on whichever event loop is running, which
            # fails if its connections belong to a loop that has ended. A client with the same settings that was passed
            # to the SDK leaves its connections alone.
            return anthropic.AsyncAnthropic(**self._options(), http_client=anthropic.DefaultAsyncHttpxClient(**options))

        return _create_checked(create)

    def _options(self) -> dict[str, Any]:
        # The SDK waits as long as a Retry-After header says, without a limit; our own retries respect the deadline.
        # Spans never contain customer text, even if the environment asks for it.
        return {
            "api_key": self._api_key or read_variable("ANTHROPIC_API_KEY") or None,
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


def _is_function(option: object) -> bool:
    """Return whether the user passed a function that creates a client, rather than a client or a class."""
    return callable(option) and not isinstance(option, type) and not hasattr(option, "with_options")


def _call_function(create: Callable[[], Any], name: str) -> Any:
    try:
        client = create()
    except Exception as error:
        raise ConfigurationError(
            f"Claude({name}=…): the function that creates the client raised {describe_location(error)}."
        ) from error
    if client is None:
        raise ConfigurationError(f"Claude({name}=…): the function returned no client.")
    return _prepare(client, name)


def _prepare(client: Any, name: str) -> Any:
    """Return a copy of the user's client that shares its connections but never retries."""
    if client is None:
        return None
    expected, context_method = _EXPECTED[name]
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
    except ConfigurationError:
        raise
    except anthropic.AnthropicError as error:
        raise ConfigurationError(
            f"Claude's client cannot be created ({type(error).__name__}): check the profile and the credentials in the "
            f"environment variables."
        ) from error
    except Exception as error:  # HTTP clients raise many types for proxies and certificates
        raise build_client_error(_CLIENT, error) from error
    _check_credentials(client)
    return client


def _check_credentials(client: Any) -> None:
    """Reject a client without credentials now, because the SDK would reject it only on the first call."""
    headers = {name.lower() for name in client.default_headers}
    if not headers & {"authorization", "x-api-key"} and getattr(client, "credentials", None) is None:
        raise ConfigurationError("There is no API key for Claude: set ANTHROPIC_API_KEY, or pass Claude(api_key=…).")
