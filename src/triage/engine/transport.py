"""Calls to a help desk's API: authorization, retries, rate limits. The port does the I/O."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from triage.engine.breaker import CircuitBreaker
from triage.engine.clients import Caller, HttpClients
from triage.engine.lease import Lease
from triage.errors import ConfigurationError, VendorError
from triage.io.clients import Mutex
from triage.io.failures import describe_connection_failure, list_causes
from triage.io.http import ILLEGAL_HEADER, RequestHeldBack, UnusableResponse
from triage.io.overload import report_overload
from triage.io.ports import IO
from triage.io.retry import RetryPolicy
from triage.models import Request, Response, Token
from triage.vendors.base import Auth, HelpDesk, Vendor
from triage.vendors.responses import OUTCOME_UNKNOWN

RETRIES = RetryPolicy(attempts=3)
LONGEST_WAIT = 10.0  # seconds; Intercom's rate limit renews every 10 s. A longer wait becomes an error instead.
_RENEW_EARLY = 60.0  # seconds before a token expires

_OVERLOADED = frozenset({420, 429, 503})  # 420 is Crisp's
_TRANSIENT = OUTCOME_UNKNOWN | {409, 429}
_UNSENT = frozenset(
    {
        *("ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError", "UnsupportedProtocol", "InvalidURL"),
        *("ClientConnectorError", "ConnectionTimeoutError", "NonHttpUrlClientError"),  # of aiohttp
    }
)
"""Exceptions of HTTP clients after which the request has certainly not been sent."""

# Defects in this library or in the user's client. They propagate unchanged: they do not mean that a service is down.
_DEFECTS = (ArithmeticError, AssertionError, AttributeError, LookupError, NameError, TypeError)


class TokenCache:
    """Keeps the most recent access token for all threads and tasks of a process."""

    def __init__(self) -> None:
        self.current: Token | None = None
        self.mutex = Mutex()

    def find_usable(self, now: float, rejected: Token | None) -> Token | None:
        """Return the token, or None if it is about to expire or was rejected."""
        token = self.current
        return None if token is None or token is rejected or token.expires_at - _RENEW_EARLY <= now else token


@dataclass(frozen=True, slots=True)
class Transport:
    """Calls one help desk's API over one port.

    Args:
        vendor: Reads errors and rate limits.
        auth: How to fetch the token that requests must carry, None if they need none.
        clients: The HTTP clients.
        io: The port.
        breaker: Decides when the API may be called.
        tokens: Keeps the access token.
        clock: Returns the seconds since the epoch.
        lease: Checked before each call that may change something, and again when the client is about to send it.
    """

    vendor: Vendor | HelpDesk
    auth: Auth | None
    clients: HttpClients
    io: IO
    breaker: CircuitBreaker
    tokens: TokenCache
    clock: Callable[[], float]
    lease: Lease | None = None

    async def send(self, request: Request, *, authorize: bool = True) -> Response:
        """Make a call, and retry it where that is safe and may help.

        Args:
            request: The call.
            authorize: False for the call that fetches a token.

        Returns:
            A 2xx response.

        Raises:
            VendorError: The response was not 2xx, or there was none. A redirect is an error, too, because following it
                could leak the token.
        """
        token = await self._get_token() if authorize and self.auth is not None else None
        content = None if request.json is None else json.dumps(request.json, ensure_ascii=False).encode()
        options: dict[str, Any] = {"content": content, "headers": request.headers}
        # To read, or to fetch a token, never does harm.
        lease = self.lease if authorize and request.method != "GET" else None
        if lease is not None:
            options["may_send"] = lease.may_send
        caller = self._get_caller(request)
        if token is not None:
            options["headers"] = _add_token(request.headers, token)
        attempt = 1
        while True:
            await self._wait_for_permission(request)
            if lease is not None:
                await lease.ensure()
            result = await self._call(caller, request, options)
            if isinstance(result, Response):
                return result
            error, cause = result
            if error.status == 401 and token is not None:
                # The token was revoked before it expired, and the call took no effect. Try once with a new token.
                options["headers"] = _add_token(request.headers, await self._get_token(rejected=token))
                token = None
                attempt = 1
                continue
            delay = _next_delay(request, error, attempt)
            if delay is None:
                raise error from cause
            await self.io.sleep(delay)
            attempt += 1

    async def _call(
        self, caller: Caller, request: Request, options: Mapping[str, Any]
    ) -> Response | tuple[VendorError, Exception | None]:
        """Make a call once. Return a 2xx response, or the error and the exception that caused it."""
        try:
            call = partial(caller.fetch, request.method, request.url, **options)
            response: Response = await self.io.call(call, limit=caller.limit)
        except _DEFECTS:
            raise
        except RequestHeldBack as err:
            # The process was paused after the lease had been checked. Before the next attempt, it is checked again.
            return VendorError(str(err), vendor=self.vendor.name, call=request.call), None
        except UnusableResponse as err:
            await self.breaker.record_failure(self.io)
            return self._reject(err, request), None
        except Exception as err:  # noqa: BLE001 - each client has its own exceptions for a response that never came
            report_overload()
            await self.breaker.record_failure(self.io)
            return self._explain(err, request), None if _quotes_headers(err) else err
        await self._record(response)
        if 200 <= response.status < 300:
            return response
        return self.vendor.error(request, response, self.clock()), None

    def _get_caller(self, request: Request) -> Caller:
        try:
            return self.clients.get_caller(self.io)
        except ConfigurationError as err:
            # It must not end an attempt: a worker tries the event again, and an operator can correct the mistake.
            message = f"not called: {err}"
            raise VendorError(message, vendor=self.vendor.name, call=request.call) from err

    async def _wait_for_permission(self, request: Request) -> None:
        waited, wait = 0.0, await self.breaker.acquire(self.io)
        while wait:
            if waited + wait > LONGEST_WAIT:
                raise VendorError(
                    f"not called for another {wait:.0f} s: its rate limit is used up, or it is down",
                    vendor=self.vendor.name,
                    call=request.call,
                    retry_after=wait,
                )
            await self.io.sleep(wait)
            waited += wait
            wait = await self.breaker.acquire(self.io)

    async def _record(self, response: Response) -> None:
        """Report a response to the circuit breaker. A call that was merely rejected causes no pause."""
        pause = 0.0
        if response.status in _OVERLOADED:
            report_overload()
        if response.status < 300 or response.status in _OVERLOADED:
            pause = self.vendor.pause(response, self.clock()) or 0.0
        if response.status in OUTCOME_UNKNOWN:
            await self.breaker.record_failure(self.io, pause=pause)
        else:
            await self.breaker.record_success(self.io, pause=pause)

    async def _get_token(self, rejected: Token | None = None) -> Token:
        token = self.tokens.find_usable(self.clock(), rejected)
        if token is not None:
            return token
        async with self.io.exclusive(self.tokens.mutex):
            # Another thread or task may have fetched a token while we waited.
            return self.tokens.find_usable(self.clock(), rejected) or await self._fetch_token()

    async def _fetch_token(self) -> Token:
        assert self.auth is not None  # noqa: S101 - the caller checks it
        request = self.auth.request()
        token = self.auth.token(request, await self.send(request, authorize=False), self.clock())
        self.tokens.current = token
        return token

    def _explain(self, error: Exception, request: Request) -> VendorError:
        """Turn an exception of the HTTP client into a `VendorError`."""
        if _quotes_headers(error):
            message = "not called: the API token, or another setting sent in a header, contains an invalid character"
            sent = False
        else:
            sent = not _is_certainly_unsent(error)
            reason = describe_connection_failure(error)
            name = type(error).__name__
            message = f"no response: {name}" if reason is None else f"no response: {reason} ({name})"
        return VendorError(message, vendor=self.vendor.name, call=request.call, outcome_unknown=sent)

    def _reject(self, error: UnusableResponse, request: Request) -> VendorError:
        """Build the error for a response whose body cannot be used. Its status says whether the call took effect."""
        succeeded = 200 <= error.status < 300
        return VendorError(
            str(error),
            vendor=self.vendor.name,
            call=request.call,
            status=error.status,
            outcome_unknown=succeeded or error.status in OUTCOME_UNKNOWN,
            final=succeeded and request.method == "GET",
        )


def _add_token(headers: Mapping[str, str], token: Token) -> Mapping[str, str]:
    return {**headers, "Authorization": f"Bearer {token.value}"}


def _next_delay(request: Request, error: VendorError, attempt: int) -> float | None:
    """Return the seconds until the next attempt, or None to give up."""
    if error.final or (error.status is not None and error.status not in _TRANSIENT):
        return None
    if error.outcome_unknown and not request.idempotent:
        return None
    return RETRIES.next_delay(attempt, retry_after=error.retry_after, limit=LONGEST_WAIT)


def _is_certainly_unsent(error: Exception) -> bool:
    """Return whether a request was not sent. After most exceptions, it may have been.

    Names are compared, because httpx and httpx2 define the same exceptions as different classes.
    """
    names = [{cls.__name__ for cls in type(cause).__mro__} for cause in list_causes(error)]
    # The package httpx-aiohttp turns a lost connection into a ConnectError. aiohttp's exception knows better.
    decisive = next((classes for classes in names if "ClientConnectionError" in classes), names[0])
    return not decisive.isdisjoint(_UNSENT)


def _quotes_headers(error: Exception) -> bool:
    """Return whether an exception quotes the value of a header, which may be the token."""
    return isinstance(error, UnicodeEncodeError) or str(error).startswith(ILLEGAL_HEADER)
