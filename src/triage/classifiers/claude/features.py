"""The parts of a request that not every platform, gateway and SDK client accepts.

Amazon Bedrock, for example, rejects structured outputs for some models:
https://github.com/anthropics/anthropic-sdk-python/issues/1188
"""

import re
from typing import Literal, TypeAlias

Feature: TypeAlias = Literal["format", "effort", "thinking", "metadata", "cache_control"]
"""A part of a request that may be left out. `format` is the JSON schema of the answer."""

_INVALID_REQUEST = (400, 422)
_NAMES: tuple[tuple[re.Pattern[str], frozenset[Feature]], ...] = (
    (
        re.compile(r"\boutput_?config\.format\b|\bstructured[ _-]outputs?\b|\bjson_schema\b", re.I),
        frozenset({"format"}),
    ),
    (re.compile(r"\bschema is too complex\b", re.I), frozenset({"format"})),
    (re.compile(r"\boutput_?config\.effort\b|\beffort parameter\b", re.I), frozenset({"effort"})),
    (re.compile(r"\boutput_?(?:config|format)\b", re.I), frozenset({"format", "effort"})),
    (re.compile(r"\bthinking\b"), frozenset({"thinking"})),
    (re.compile(r"\bcache_control\b"), frozenset({"cache_control"})),
    (re.compile(r"\bmetadata\b"), frozenset({"metadata"})),
)


def find_rejected_features(error: Exception) -> frozenset[Feature]:
    """Return the features that an error says are not accepted, or an empty set for any other error.

    The wording of such errors differs between platforms, but each one names the field.

    Args:
        error: The exception that a call raised.
    """
    import anthropic

    match error:
        case anthropic.APIStatusError():
            text = error.response.text if error.status_code in _INVALID_REQUEST else ""
        case TypeError():  # an SDK client without this keyword argument
            text = str(error) if "unexpected keyword argument" in str(error) else ""
        case _:
            text = ""
    nothing: frozenset[Feature] = frozenset()
    return next((features for pattern, features in _NAMES if pattern.search(text)), nothing)
