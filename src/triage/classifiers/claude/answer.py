"""Reading Claude's answer: whatever it holds, it becomes a verdict's content or an `Unusable` that says why not."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

from triage.errors import ClassifierError
from triage.models import Usage
from triage.policy import Buckets

# https://platform.claude.com/docs/en/build-with-claude/refusals-and-fallback. A category that is not here is not told:
# whatever a server sends could hold a customer's word, and the reason is logged.
_REFUSALS = frozenset({"bio", "cyber", "frontier_llm", "general_harms", "reasoning_extraction"})
_LONGEST_REASON = 500
_LONGEST_EXTRA = 200
_MOST_TOKENS = 1_000_000_000  # no model has room for as many; JSON may hold an integer that is too large for a float


class Unusable(ClassifierError):  # noqa: N818 - it says what the answer is
    """The answer holds no verdict.

    Attributes:
        truncated: True if more room for tokens would have helped.
    """

    def __init__(self, reason: str, *, truncated: bool = False) -> None:
        super().__init__(reason)
        self.truncated = truncated


def read(answer: Any, buckets: Buckets, extra: Mapping[str, str | Sequence[str]]) -> dict[str, Any]:
    """Read an answer of the Messages API.

    The SDK checks nothing: a 200 of HTML comes as a `str`, JSON of another shape as a message of Nones, an unknown
    kind of block as a text block without text.

    Args:
        answer: What `messages.create` gave.
        buckets: The labels to choose from.
        extra: The further fields that were asked for.

    Returns:
        `bucket`, `confidence`, `reason` and `extra` of a `Verdict`.

    Raises:
        Unusable: It holds no verdict.
    """
    if not isinstance(getattr(answer, "content", None), list):
        raise Unusable("Claude's answer was no message")
    _check_stop_reason(answer)
    data = _json(answer.content)
    label = data.get("label")
    # https://platform.claude.com/docs/en/build-with-claude/structured-outputs: the case of enum values may differ.
    bucket = buckets.get(label) if isinstance(label, str) else None
    if bucket is None:
        raise Unusable("Claude named none of the buckets")
    reason = data.get("reason")
    return {
        "bucket": bucket.name,
        "confidence": _confidence(data.get("confidence")),
        "reason": _sane(reason)[:_LONGEST_REASON] if isinstance(reason, str) else "",
        "extra": _extra(data, extra),
    }


def usage(answer: object) -> Usage:
    """The tokens of an answer, 0 where it does not tell."""
    told = getattr(answer, "usage", None)

    def count(name: str) -> int:
        value = getattr(told, name, None)
        return value if type(value) is int and 0 < value < _MOST_TOKENS else 0

    return Usage(
        input_tokens=count("input_tokens"),
        output_tokens=count("output_tokens"),
        cache_read_tokens=count("cache_read_input_tokens"),
        cache_write_tokens=count("cache_creation_input_tokens"),
    )


def model(answer: object, asked: str) -> str:
    """The model that answered: the one that was asked, or the same with its day. Another word is not told."""
    told = getattr(answer, "model", None)
    return told if isinstance(told, str) and re.fullmatch(rf"{re.escape(asked)}(?:-\d{{8}})?", told) else asked


def billed(answer: object) -> bool:
    """False for a refusal before the first word.

    https://platform.claude.com/docs/en/build-with-claude/refusals-and-fallback
    """
    return getattr(answer, "stop_reason", None) != "refusal" or usage(answer).output_tokens > 0


def _check_stop_reason(answer: object) -> None:
    # First of all: a refusal is a 200, with no content or with text outside the schema.
    match getattr(answer, "stop_reason", None):
        case "refusal":
            category = getattr(getattr(answer, "stop_details", None), "category", None)
            known = isinstance(category, str) and category in _REFUSALS
            raise Unusable(f"Claude refused the message ({category})" if known else "Claude refused the message")
        case "max_tokens":
            raise Unusable("Claude's answer was cut off at max_tokens", truncated=True)
        case "model_context_window_exceeded":
            raise Unusable("the conversation is too long for Claude")
        case _:
            pass


def _json(content: list[Any]) -> dict[str, Any]:
    texts = (getattr(block, "text", None) for block in content if getattr(block, "type", None) == "text")
    text = next((text for text in texts if isinstance(text, str)), None)
    if text is None:
        raise Unusable("Claude's answer held no text")
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        raise Unusable("Claude's answer was no JSON") from None
    if not isinstance(data, dict):
        raise Unusable("Claude's answer was no JSON object")
    return cast("dict[str, Any]", data)


def _confidence(value: Any) -> float:
    # A bool is an int to Python, and JSON may hold NaN, or an integer that is too large for a float.
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not float("-inf") < value < float("inf"):
        raise Unusable("Claude gave no confidence")
    return float(min(1, max(0, value)))


def _extra(data: Mapping[str, Any], extra: Mapping[str, str | Sequence[str]]) -> dict[str, str]:
    """The further fields, without those that are not as asked for."""
    found: dict[str, str] = {}
    for name, allowed in extra.items():
        value = data.get(name)
        if not isinstance(value, str):
            continue
        if isinstance(allowed, str):
            found[name] = _sane(value)[:_LONGEST_EXTRA]
        else:
            known = {choice.casefold(): choice for choice in allowed}
            if value.casefold() in known:
                found[name] = known[value.casefold()]
    return found


def _sane(text: str) -> str:
    return text.encode("utf-8", "replace").decode().strip()
