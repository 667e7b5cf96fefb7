"""Failed calls to Claude's API: the reason to report, and whether another attempt may succeed."""

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from triage.errors import ConfigurationError
from triage.io.failures import NO_RESPONSE, describe_connection_failure
from triage.io.retry import parse_seconds
from triage.models import FallbackReason

if TYPE_CHECKING:
    import anthropic

_TRANSIENT = frozenset({408, 409, 429})  # and every 5xx
_PERMANENT = frozenset({400, 401, 402, 403, 404})  # until an operator changes something
_OF_THE_ACCOUNT = frozenset({401, 402, 413})  # another model would return the same
# https://platform.claude.com/docs/en/api/rate-limits. The monthly limit is a 429, and one that you set yourself a 400.
# Older SDKs of 2.x do not expose the error code.
_SPEND_LIMITS = ("enforced_spend_limit_reached", "reached your specified API usage limits")
_NO_CREDIT = "credit balance is too low"
# "model: claude-1" is the message of a 404. Messages about other parts of a request may quote the customer.
_UNKNOWN_MODEL = re.compile(r'"model: ([\w.:@/-]{1,100})')
_PARAMETER = re.compile(r'"((?:max_tokens|output_config|thinking)\b[\w.]{0,100}: [^"\\\x00-\x1f]{1,200})')
_MEANINGS: Mapping[int, str] = {
    401: ": the API key is wrong or was revoked",
    402: ": see Billing in the Console",
    403: ": the API key lacks a permission",
}
_TOO_COMPLEX = re.compile(r"\bschema is too complex\b", re.IGNORECASE)
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
        is_of_the_account: True if another model would fail as well, for example because the API key is invalid.
        retry_after: The seconds that the API asked us to wait, or None.
        request_id: Anthropic's id of the request, or None.
        level: The level to log it at: ERROR if only an operator can fix it, otherwise WARNING.
        kind: The kind of reason, for the verdict.
    """

    reason: str
    is_transient: bool = False
    is_of_the_account: bool = False
    retry_after: float | None = None
    request_id: str | None = None
    level: int = logging.WARNING
    kind: FallbackReason = "unavailable"

    @property
    def may_ask_another_model(self) -> bool:
        """True if another model may return a verdict."""
        return self.kind != "invalid_answer" and not self.is_of_the_account


def describe_failure(error: Exception) -> Failure:
    """Describe an exception that a call raised.

    Most are the SDK's own errors, our time limit or a client that cannot be created. A 200 response that is not JSON is
    a `ValueError`, and one that is nested too deeply a `RecursionError`. Clients of other platforms also raise the
    exceptions of boto3 and google-auth.

    Args:
        error: The exception.
    """
    import anthropic

    match error:
        case ConfigurationError():
            return Failure(reason=str(error), is_of_the_account=True, level=logging.ERROR)
        case anthropic.APIStatusError():
            return _describe_status(error)
        case anthropic.APIConnectionError() | TimeoutError():
            return Failure(reason=_describe_connection(error), is_transient=True)
        case json.JSONDecodeError() | RecursionError() | UnicodeDecodeError():
            return Failure(reason="Claude's answer was not JSON", kind="invalid_answer")
        case _:
            reason = f"Claude's SDK raised {type(error).__name__}"
            return Failure(reason=reason, is_of_the_account=True, level=logging.ERROR)


def combine_failures(failures: Mapping[str, Failure]) -> Failure:
    """Return one failure for several models.

    The message counts as refused if no later call can change that, and as unavailable if one can.

    Args:
        failures: The failures by the id of the model, in the order in which the models were asked.
    """
    all_failures = list(failures.values())
    is_transient = any(failure.is_transient for failure in all_failures)
    is_refused = any(failure.kind == "refused" for failure in all_failures)
    delays = [failure.retry_after for failure in all_failures if failure.retry_after is not None]
    return Failure(
        reason="; ".join(f"{model}: {failure.reason}" for model, failure in failures.items()),
        is_transient=is_transient,
        retry_after=min(delays, default=None),
        request_id=all_failures[-1].request_id,
        level=max(failure.level for failure in all_failures),
        kind="unavailable" if is_transient else "refused" if is_refused else all_failures[0].kind,
    )


def format_error_type(error_type: object) -> str:
    """Return the type of an error in parentheses, or an empty string if it is unknown.

    Args:
        error_type: The type that the API returned.
    """
    return f" ({error_type})" if isinstance(error_type, str) and error_type in _ERROR_TYPES else ""


def _describe_connection(error: Exception) -> str:
    import anthropic

    cause = describe_connection_failure(error)
    is_timeout = isinstance(error, anthropic.APITimeoutError | TimeoutError)
    if cause == NO_RESPONSE or (cause is None and is_timeout):
        return "Claude did not respond in time"
    return "Claude could not be reached" + (f" ({cause})" if cause else "")


def _describe_status(error: "anthropic.APIStatusError") -> Failure:
    headers = error.response.headers
    milliseconds = parse_seconds(headers, "retry-after-ms")
    text = error.response.text
    is_capped = any(mark in text for mark in (*_SPEND_LIMITS, _NO_CREDIT))
    return Failure(
        reason=(
            f"Claude returned {error.status_code}{format_error_type(getattr(error, 'type', None))}"
            f"{_explain_status(error.status_code, text)}"
        ),
        is_transient=not is_capped and (error.status_code in _TRANSIENT or error.status_code >= 500),
        is_of_the_account=is_capped or error.status_code in _OF_THE_ACCOUNT,
        retry_after=parse_seconds(headers, "retry-after") if milliseconds is None else milliseconds / 1000,
        request_id=error.request_id,
        level=logging.ERROR if is_capped or error.status_code in _PERMANENT else logging.WARNING,
    )


def _explain_status(status: int, text: str) -> str:
    """Return the meaning of an error message that never quotes the customer, after a colon, or an empty string.

    Args:
        status: The HTTP status.
        text: The body of the response.
    """
    if _NO_CREDIT in text:
        return ": the credit balance is too low; buy credits in the Console, under Billing"
    if any(mark in text for mark in _SPEND_LIMITS):
        return ": the spend limit has been reached; raise it in the Console, under Limits"
    if status == 404 and (model := _UNKNOWN_MODEL.search(text)):
        return f": there is no model {model[1]!r}, or this API key cannot use it"
    if _TOO_COMPLEX.search(text):
        return ": the schema is too complex; use fewer buckets or extra fields"
    if status == 400 and (parameter := _PARAMETER.search(text)):
        return f": {parameter[1]}"
    return _MEANINGS.get(status, "")
