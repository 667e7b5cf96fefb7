"""Calling a vendor's API: what may be repeated, how long to wait, when to give up. Written once, over two ports."""

import random
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Protocol, TypeVar

from triage.engine.breaker import Gate
from triage.errors import VendorError
from triage.models import Request, Response, Token
from triage.vendors.base import Auth, Vendor
from triage.vendors.payload import Payload

P = TypeVar("P", bound=Payload)

T = TypeVar("T")

RETRIES = 2

LONGEST_WAIT = 10.0  # seconds; Intercom's rate limit renews every 10 s. Who asks for longer gets an error instead.

_LONGEST_PAUSE = 3600.0  # seconds; no vendor's window is longer, so who asks for more has a wrong clock

_FIRST_WAIT = 0.5

_EARLY = 60.0  # seconds before its end at which a token is renewed

# 408 and 5xx do not tell whether the call took effect; 409 and 429 tell that it did not.
_UNKNOWN = frozenset({408, 500, 502, 503, 504})

_OVERLOADED = frozenset({420, 429, 503})  # 420 is Crisp's

_TRANSIENT = _UNKNOWN | {409, 429}


class NoAnswer(Exception):  # noqa: N818 - never leaves this package: `send` makes a VendorError of it
    """The call was not answered.

    Attributes:
        sent: False if it certainly never reached the vendor.
    """

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


class Wire(Protocol):
    """The ports that `send` needs."""

    async def exchange(self, request: Request) -> Response:
        """Make one attempt. Raises `NoAnswer`."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...

    def now(self) -> float:
        """Seconds since the epoch."""
        ...

    @property
    def tokens(self) -> "Tokens":
        """The vendor's access token, shared by all threads and tasks."""
        ...

    def exclusive(self) -> AbstractAsyncContextManager[None]:
        """One at a time may be in here, of this door."""
        ...

    async def held(self, gate: Gate) -> float:
        """Seconds until a service may be called."""
        ...

    @property
    def vendor_gate(self) -> Gate:
        """The one before the vendor."""
        ...

    async def learn(self, gate: Gate, *, down: bool, pause: float = 0.0) -> None:
        """Take note of an answer of a service, or of its absence."""
        ...


class Tokens:
    """Keeps the access token in use."""

    def __init__(self) -> None:
        self.current: Token | None = None

    def usable(self, now: float, refused: Token | None) -> Token | None:
        """The token, unless it has (nearly) expired or is the one that was refused."""
        token = self.current
        return None if token is None or token is refused or token.expires_at - _EARLY <= now else token


async def send(request: Request, vendor: Vendor, wire: Wire) -> Response:
    """Make a call, again where that is safe and may help.

    Args:
        request: The call.
        vendor: Reads the errors.
        wire: Does the I/O.

    Returns:
        A 2xx response.

    Raises:
        VendorError: Anything else, a redirect too: it could carry our token elsewhere.
    """
    if vendor.auth is None:
        return await _send(request, vendor, wire)
    token = await _token(vendor, vendor.auth, wire)
    try:
        return await _send(_bearing(request, token), vendor, wire)
    except VendorError as err:
        if err.status != 401:
            raise
    # Withdrawn before its time, and the call took no effect: once more with a new one.
    token = await _token(vendor, vendor.auth, wire, refused=token)
    return await _send(_bearing(request, token), vendor, wire)


async def _send(request: Request, vendor: Vendor, wire: Wire) -> Response:
    for attempt in range(RETRIES + 1):
        await _pass(request, vendor, wire)
        cause: NoAnswer | None = None
        try:
            response = await wire.exchange(request)
        except NoAnswer as err:
            cause = err
            error = VendorError(str(err), vendor=vendor.name, call=request.call, outcome_unknown=err.sent)
            await wire.learn(wire.vendor_gate, down=True)
        else:
            await wire.learn(wire.vendor_gate, down=response.status in _UNKNOWN, pause=_pause(response, vendor, wire))
            if 200 <= response.status < 300:
                return response
            error = vendor.error(request, response, wire.now())
        wait = _wait(request, error, attempt)
        if wait is None:
            raise error from cause
        await wire.sleep(wait)
    raise AssertionError("unreachable: the last attempt returns or raises")  # pragma: no cover


async def _pass(request: Request, vendor: Vendor, wire: Wire) -> None:
    """Wait until the vendor may be called, if that is soon."""
    wait = await wire.held(wire.vendor_gate)
    if wait > LONGEST_WAIT:
        raise VendorError(
            f"not called for another {wait:.0f} s: its rate limit is used up, or it is down",
            vendor=vendor.name,
            call=request.call,
            retry_after=wait,
        )
    if wait:
        await wire.sleep(wait)


async def _token(vendor: Vendor, auth: Auth, wire: Wire, refused: Token | None = None) -> Token:
    token = wire.tokens.usable(wire.now(), refused)
    if token is None:
        async with wire.exclusive():
            # Whoever waited for the lock finds the token that the one before fetched.
            token = wire.tokens.usable(wire.now(), refused) or await _fetched(vendor, auth, wire)
    return token


async def _fetched(vendor: Vendor, auth: Auth, wire: Wire) -> Token:
    request = auth.request()
    token = auth.token(request, await _send(request, vendor, wire), wire.now())
    wire.tokens.current = token
    return token


def _bearing(request: Request, token: Token) -> Request:
    return replace(request, headers={**request.headers, "Authorization": f"Bearer {token.value}"})


def _wait(request: Request, error: VendorError, attempt: int) -> float | None:
    """Seconds until the next attempt, None for no further one."""
    if attempt == RETRIES or error.final or (error.status is not None and error.status not in _TRANSIENT):
        return None
    if error.outcome_unknown and not request.idempotent:
        return None
    if error.retry_after is not None:
        return error.retry_after if error.retry_after <= LONGEST_WAIT else None
    return _FIRST_WAIT * 2.0**attempt * random.uniform(0.75, 1.25)  # noqa: S311 - jitter, no secret


def _pause(response: Response, vendor: Vendor, wire: Wire) -> float:
    """For how long an answer keeps everybody from calling; that of a single call's refusal keeps nobody else."""
    if response.status >= 300 and response.status not in _OVERLOADED:
        return 0.0
    return min(vendor.pause(response, wire.now()) or 0.0, _LONGEST_PAUSE)
