"""Failed calls to Claude's API: the reason to report, and whether another attempt may succeed."""

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from triage.errors import ConfigurationError
from triage.io.retry import parse_seconds
from triage.models import FallbackReason

if TYPE_CHECKING:
    import anthropic

_TRANSIENT = frozenset({408, 409, 429})  # and every 5xx
_PERMANENT = frozenset({400, 401, 402, 403, 404})  # until an operator changes something
# https://platform.claude.com/docs/en/api/errors. Reasons are logged, and an unknown type could contain customer text,
# so it is left out.
_ERROR_TYPES = frozenset(
    {
        "api_error",
        "authentication_error",
        "billing_error",
        "invalid_request_error",
        "not_found_error",
        "overloaded_error",
        "permission_error",
        "rate_limit_error",
        "request_too_large",
        "timeout_error",
    }
)


@dataclass(frozen=True, kw_only=True)
class Failure:
    """The reason why an attempt yielded no verdict.

    Attributes:
        reason: A description in our own words, because an exception's message may quote the request.
        is_transient: True if another attempt may succeed.
        retry_after: The seconds that the API asked us to wait, or None.
        request_id: Anthropic's id of the request, or None.
        level: The level to log it at: ERROR if only an operator can fix it, otherwise WARNING.
        kind: The kind of reason, for the verdict.
    """

    reason: str
    is_transient: bool = False
    retry_after: float | None = None
    request_id: str | None = None
    level: int = logging.WARNING
    kind: FallbackReason = "unavailable"


def get_expected_exceptions() -> tuple[type[Exception], ...]:
    """Return the exceptions that a call may raise without a defect in our code.

    They are the SDK's own errors, our time limit, a client that cannot be created, and a 200 response that is not JSON
    (`ValueError`) or is nested too deeply (`RecursionError`).
    """
    import anthropic

    return (anthropic.AnthropicError, ConfigurationError, RecursionError, TimeoutError, ValueError)


def describe_failure(error: Exception) -> Failure:
    """Describe one of the expected exceptions.

    Args:
        error: The exception that a call raised.
    """
    import anthropic

    match error:
        case ConfigurationError():
            return Failure(reason=str(error), level=logging.ERROR)
        case anthropic.APIStatusError():
            return _describe_status(error)
        case anthropic.APITimeoutError() | TimeoutError():
            return Failure(reason="Claude did not respond in time", is_transient=True)
        case anthropic.APIConnectionError():
            return Failure(reason="Claude could not be reached", is_transient=True)
        case anthropic.AnthropicError():
            return Failure(reason=f"Claude's SDK raised {type(error).__name__}")
        case _:
            return Failure(reason="Claude's answer was not JSON")


def _describe_status(error: "anthropic.APIStatusError") -> Failure:
    error_type: object = getattr(error, "type", None)
    is_known = isinstance(error_type, str) and error_type in _ERROR_TYPES
    headers = error.response.headers
    milliseconds = parse_seconds(headers, "retry-after-ms")
    # Reaching the monthly spend limit is a 429 too. Older SDKs of 2.x do not expose its error code.
    is_capped = "enforced_spend_limit_reached" in error.response.text
    return Failure(
        reason=f"Claude returned {error.status_code}" + (f" ({error_type})" if is_known else ""),
        is_transient=not is_capped and (error.status_code in _TRANSIENT or error.status_code >= 500),
        retry_after=parse_seconds(headers, "retry-after") if milliseconds is None else milliseconds / 1000,
        request_id=error.request_id,
        level=logging.ERROR if error.status_code in _PERMANENT else logging.WARNING,
    )
