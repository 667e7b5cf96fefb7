"""Reading a vendor's responses: bodies, errors, rate limits."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from triage.errors import MalformedPayload, VendorError
from triage.models import Request, Response
from triage.vendors.payload import Payload, safe_word

P = TypeVar("P", bound=Payload)
T = TypeVar("T")

OUTCOME_UNKNOWN = frozenset({408, 500, 502, 503, 504})
"""Statuses that do not say whether a call took effect."""

_MOST_MERGES = 3


def build_error(
    request: Request,
    response: Response,
    *,
    vendor: str,
    message: str | None = None,
    hint: str | None = None,
    code: str | None = None,
    request_id: str | None = None,
    retry_after: float | None = None,
    final: bool = False,
) -> VendorError:
    """The error of an answer that is not 2xx, from what the adapter read there.

    Args:
        request: What was asked.
        response: What was answered.
        vendor: The vendor's name.
        message: The vendor's words.
        hint: What to look at, in our words.
        code: The vendor's error code.
        request_id: The vendor's id of the request.
        retry_after: Seconds to wait, where the vendor told.
        final: True if the same call would be refused again.
    """
    return VendorError(
        hint or "refused",
        vendor=vendor,
        call=request.call,
        status=response.status,
        code=safe_word(code) if code else None,
        request_id=safe_word(request_id) if request_id else None,
        vendor_message=message,
        location=response.headers.get("location"),
        retry_after=retry_after,
        outcome_unknown=response.status in OUTCOME_UNKNOWN,
        final=final,
    )


def unexpected_response(request: Request, *, vendor: str, message: str) -> VendorError:
    """The error of a 2xx answer that says something else than it should."""
    return VendorError(message, vendor=vendor, call=request.call)


def parse_response(model: type[P], request: Request, response: Response, *, vendor: str) -> P:
    """Check the body of an answer.

    Raises:
        VendorError: It does not fit.
    """
    try:
        return model.parse_data(response.data())
    except MalformedPayload as err:
        raise unexpected_response(request, vendor=vendor, message=f"an answer that cannot be read: {err}") from err


async def follow_merges(
    read: Callable[[str], Awaitable[T]], id_: str, new_id: Callable[[VendorError], str | None]
) -> T:
    """Read a conversation that may have been merged into another one.

    Args:
        read: Reads one.
        id_: Its id.
        new_id: Tells the other's id by the redirect that `read` raised, None where it is something else.

    Raises:
        VendorError: Something else, or it was merged again and again.
    """
    for _ in range(_MOST_MERGES - 1):
        try:
            return await read(id_)
        except VendorError as err:
            target = new_id(err)
            if target is None:
                raise
            id_ = target
    return await read(id_)


def seconds_until_reset(response: Response, now: float) -> float | None:
    """Seconds until an allowance that is used up is renewed, from `X-RateLimit-Remaining` and `-Reset`.

    Args:
        response: Any answer.
        now: Seconds since the epoch, as the headers tell the time.
    """
    reset = parse_seconds(response.headers, "x-ratelimit-reset")
    used_up = response.status == 429 or parse_seconds(response.headers, "x-ratelimit-remaining") == 0
    return max(0.0, reset - now) if used_up and reset is not None else None


def parse_seconds(headers: Mapping[str, str], name: str) -> float | None:
    """The number in a header, None where there is none or it is not a finite, non-negative one."""
    try:
        value = float(headers[name])
    except (KeyError, ValueError):
        return None
    return value if 0 <= value < float("inf") else None
