"""Parse a vendor's API responses: bodies, errors, merged conversations, rate limits."""

from collections.abc import Awaitable, Callable, Container, Generator
from contextlib import contextmanager
from typing import TypeVar

from pydantic import ValidationError

from triage.errors import VendorError
from triage.io.retry import parse_seconds
from triage.models import Request, Response
from triage.vendors.payload import Payload, describe_problem, safe_word

P = TypeVar("P", bound=Payload)
T = TypeVar("T")

OUTCOME_UNKNOWN = frozenset({408, 500, 502, 503, 504})
"""Statuses that do not say whether a call took effect."""

_MAX_MERGES = 3


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
    """Build the error for a response that is not 2xx.

    Args:
        request: The call.
        response: The response.
        vendor: The vendor's name.
        message: The vendor's own message. It may quote the customer, so it is kept out of the error's text.
        hint: A hint in our words, which becomes the error's text.
        code: The vendor's error code.
        request_id: The vendor's id of the request.
        retry_after: Seconds to wait, if the vendor sent a time.
        final: True if the same call would be rejected again.
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


@contextmanager
def naming(what: str, title: str, *, unless: Container[int | None] = ()) -> Generator[None]:
    """Name a value of the policy in the error if the vendor rejects it.

    Args:
        what: The value, such as `"the team '7'"`.
        title: The vendor's name, as it writes it.
        unless: Statuses with which the vendor rejects something else.
    """
    try:
        yield
    except VendorError as err:
        if err.is_rejection and err.status not in unless:
            err.message = f"{what} was rejected ({err.message}); correct the policy, or create it in {title}"
        raise


def unexpected_response(request: Request, *, vendor: str, message: str) -> VendorError:
    """Build the error for a 2xx response with unexpected content."""
    return VendorError(message, vendor=vendor, call=request.call)


def parse_response(model: type[P], request: Request, response: Response, *, vendor: str) -> P:
    """Validate the body of a 2xx response.

    Args:
        model: The expected shape.
        request: The call.
        response: The response.
        vendor: The vendor's name, for the error.

    Raises:
        VendorError: The body does not match the model.
    """
    try:
        return model.model_validate_json(response.body)
    except ValidationError as err:
        message = f"cannot parse the response: {describe_problem(err)}"
    raise unexpected_response(request, vendor=vendor, message=message)


async def follow_merges(
    read: Callable[[str], Awaitable[T]], id_: str, find_target: Callable[[VendorError], str | None]
) -> T:
    """Read a conversation that may have been merged into another one.

    Args:
        read: Reads a conversation by its id.
        id_: The conversation's id.
        find_target: Returns the id of the conversation that a redirect points to, or None for any other error.

    Raises:
        VendorError: The call failed for another reason, or the conversation was merged too many times.
    """
    for _ in range(_MAX_MERGES - 1):
        try:
            return await read(id_)
        except VendorError as err:
            target = find_target(err)
            if target is None:
                raise
            id_ = target
    return await read(id_)


def seconds_until_reset(response: Response, now: float) -> float | None:
    """Return the seconds until an exhausted rate limit resets, from `X-RateLimit-Remaining` and `-Reset`.

    Args:
        response: Any response.
        now: Seconds since the epoch, the unit of `-Reset`.
    """
    if response.status != 429 and response.headers.get("x-ratelimit-remaining") != "0":
        return None
    reset = parse_seconds(response.headers, "x-ratelimit-reset")
    return None if reset is None else max(0.0, reset - now)
