"""Parse Claude's answer: return the content of a verdict, or raise an `AnswerError` that says why there is none."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

from triage.errors import ClassifierError
from triage.models import FallbackReason, Usage
from triage.policy import Buckets

# https://platform.claude.com/docs/en/build-with-claude/refusals-and-fallback. Reasons are logged, and an unknown
# category could contain customer text, so it is left out.
_REFUSAL_CATEGORIES = frozenset({"bio", "cyber", "frontier_llm", "general_harms", "reasoning_extraction"})
_MAX_REASON = 500  # characters
_MAX_EXTRA = 200  # characters
_MAX_TOKENS = 1_000_000_000  # more than any context window; JSON may hold integers that are too large for a float


class AnswerError(ClassifierError):
    """The answer contains no verdict.

    Attributes:
        kind: The kind of reason, for the verdict.
        truncated: True if a higher `max_tokens` would have helped.
    """

    def __init__(
        self, reason: str, *, kind: Literal["refused", "invalid_answer"] = "invalid_answer", truncated: bool = False
    ) -> None:
        super().__init__(reason)
        self.kind: FallbackReason = kind
        self.truncated = truncated


def parse_verdict(answer: Any, buckets: Buckets, extra: Mapping[str, str | Sequence[str]]) -> dict[str, Any]:
    """Return the content of a verdict from an answer of the Messages API.

    The SDK validates nothing. It returns a `str` for a 200 response with HTML, a message whose fields are None for JSON
    of another shape, and a text block without text for an unknown type of block.

    Args:
        answer: The return value of `messages.create`.
        buckets: The buckets to choose from.
        extra: The further fields that were requested.

    Returns:
        `bucket`, `confidence`, `reason` and `extra` of a `Verdict`.

    Raises:
        AnswerError: The answer contains no verdict.
    """
    if not isinstance(getattr(answer, "content", None), list):
        raise AnswerError("Claude's answer was not a message")
    _check_stop_reason(answer)
    data = _parse_json(answer.content)
    label = data.get("label")
    # https://platform.claude.com/docs/en/build-with-claude/structured-outputs: the case of enum values may differ.
    bucket = buckets.get(label) if isinstance(label, str) else None
    if bucket is None:
        raise AnswerError("Claude did not choose one of the buckets")
    reason = data.get("reason")
    return {
        "bucket": bucket.name,
        "confidence": _parse_confidence(data.get("confidence")),
        "reason": _clean(reason)[:_MAX_REASON] if isinstance(reason, str) else "",
        "extra": _parse_extra(data, extra),
    }


def parse_usage(answer: object) -> Usage:
    """Return the token counts of an answer. A missing or impossible count becomes 0."""
    counts = getattr(answer, "usage", None)

    def get_count(name: str) -> int:
        value = getattr(counts, name, None)
        return value if type(value) is int and 0 < value < _MAX_TOKENS else 0

    return Usage(
        input_tokens=get_count("input_tokens"),
        output_tokens=get_count("output_tokens"),
        cache_read_tokens=get_count("cache_read_input_tokens"),
        cache_write_tokens=get_count("cache_creation_input_tokens"),
    )


def parse_model(answer: object, requested: str) -> str:
    """Return the model that answered: the requested one, or its dated version. Any other string is ignored."""
    model = getattr(answer, "model", None)
    is_version = isinstance(model, str) and re.fullmatch(rf"{re.escape(requested)}(?:-\d{{8}})?", model)
    return str(model) if is_version else requested


def is_billed(answer: object) -> bool:
    """Return whether an answer is billed. A refusal before any output is free.

    https://platform.claude.com/docs/en/build-with-claude/refusals-and-fallback
    """
    return getattr(answer, "stop_reason", None) != "refusal" or parse_usage(answer).output_tokens > 0


def _check_stop_reason(answer: object) -> None:
    # Check this before the content: a refusal is a 200 response without content, or with text outside the schema.
    match getattr(answer, "stop_reason", None):
        case "refusal":
            category = getattr(getattr(answer, "stop_details", None), "category", None)
            is_known = isinstance(category, str) and category in _REFUSAL_CATEGORIES
            suffix = f" ({category})" if is_known else ""
            raise AnswerError(f"Claude refused to classify the message{suffix}", kind="refused")
        case "max_tokens":
            raise AnswerError("Claude's answer was cut off at max_tokens", truncated=True)
        case "model_context_window_exceeded":
            raise AnswerError("the conversation is too long for Claude")
        case _:
            pass


def _parse_json(content: list[Any]) -> dict[str, Any]:
    texts = (getattr(block, "text", None) for block in content if getattr(block, "type", None) == "text")
    text = next((text for text in texts if isinstance(text, str)), None)
    if text is None:
        raise AnswerError("Claude's answer contained no text")
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        raise AnswerError("Claude's answer was not JSON") from None
    if not isinstance(data, dict):
        raise AnswerError("Claude's answer was not a JSON object")
    return cast("dict[str, Any]", data)


def _parse_confidence(value: Any) -> float:
    # In Python a bool is an int. JSON may hold NaN, or an integer that is too large for a float.
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not float("-inf") < value < float("inf"):
        raise AnswerError("Claude returned no valid confidence")
    return float(min(1, max(0, value)))


def _parse_extra(data: Mapping[str, Any], extra: Mapping[str, str | Sequence[str]]) -> dict[str, str]:
    """Return the further fields, without those whose value is not a string or not allowed."""
    fields: dict[str, str] = {}
    for name, allowed in extra.items():
        value = data.get(name)
        if not isinstance(value, str):
            continue
        if isinstance(allowed, str):
            fields[name] = _clean(value)[:_MAX_EXTRA]
        else:
            choices = {choice.casefold(): choice for choice in allowed}
            if value.casefold() in choices:
                fields[name] = choices[value.casefold()]
    return fields


def _clean(text: str) -> str:
    """Replace lone surrogates, which cannot be encoded, and strip whitespace."""
    return text.encode("utf-8", "replace").decode().strip()
