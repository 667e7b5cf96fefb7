"""Parse Claude's answer: return the content of a verdict, or raise an `AnswerError` that says why there is none.

With structured outputs, an answer is one JSON object. Without them, models wrap the object in prose, code fences, lists
or tool calls. The label must be there for certain, so contradictory objects yield no verdict.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from string import ascii_letters
from typing import Any, Literal, cast

from triage.errors import ClassifierError
from triage.models import Conversation, FallbackReason, Usage
from triage.policy import Bucket, Buckets

# https://platform.claude.com/docs/en/build-with-claude/refusals-and-fallback. Reasons are logged, and an unknown
# category could contain customer text, so it is left out.
_REFUSAL_CATEGORIES = frozenset({"bio", "cyber", "frontier_llm", "general_harms", "reasoning_extraction"})
_LABEL_KEYS = ("label", "bucket", "category")  # in this order; the prompt asks for "label" and speaks of buckets
_FENCE = "```"
_VERSION = re.compile(r"(?:-\d{8})?")
_NUMBER = re.compile(r"([+-]?\d{1,9}(?:\.\d{1,99})?)\s*(%?)")
_MAX_REASON = 500  # characters
_MAX_EXTRA = 200  # characters
_MAX_TOKENS = 1_000_000_000  # more than any context window; JSON may hold integers that are too large for a float
_MAX_NESTING = 4  # of an object in the objects and lists of a gateway
_CONTRADICTION = object()  # the value of a key that occurs twice with different values


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


def parse_verdict(
    answer: object, buckets: Buckets, extra: Mapping[str, str | Sequence[str]], customer_text: str = ""
) -> dict[str, Any]:
    """Return the content of a verdict from an answer of the Messages API.

    Args:
        answer: The parsed JSON of the response, which may have any shape.
        buckets: The buckets to choose from.
        extra: The further fields that were requested.
        customer_text: The text of the conversation. An object in prose that occurs in it is a quotation.

    Returns:
        `bucket`, `confidence`, `reason` and `extra` of a `Verdict`.

    Raises:
        AnswerError: The answer contains no verdict.
    """
    content = _get(answer, "content")
    if not isinstance(content, list | str):
        raise AnswerError("Claude's answer was not a message")
    blocks = [content] if isinstance(content, str) else cast("Sequence[Any]", content)
    _check_stop_reason(answer)
    label_keys = [key for key in _LABEL_KEYS if key not in map(str.casefold, extra)]
    try:
        objects = list(_find_objects(blocks, label_keys, customer_text))
    except RecursionError:
        raise AnswerError("Claude's answer was not JSON") from None
    data, bucket = _choose_object(objects, label_keys, buckets)
    reason = data.get("reason")
    return {
        "bucket": bucket.name,
        "confidence": _parse_confidence(data.get("confidence")),
        "reason": _clean(reason)[:_MAX_REASON] if isinstance(reason, str) else "",
        "extra": _parse_extra(data, extra),
    }


def join_texts(conversation: Conversation, examples: Sequence[Mapping[str, Any]] = ()) -> str:
    """Return everything that Claude could quote from a prompt. Examples have labels, so quoted ones look like answers.

    Args:
        conversation: The conversation.
        examples: The entries of the examples, which may be quoted as they are.
    """
    texts = [text for message in conversation.messages for text in (message.text, message.quoted)]
    for example in examples:
        texts += [example["text"], json.dumps(example, ensure_ascii=False)]
    return "\n".join([conversation.subject, *texts])


def parse_usage(answer: object) -> Usage:
    """Return the token counts of an answer. A missing or impossible count becomes 0."""
    counts = _get(answer, "usage")

    def get_count(name: str) -> int:
        value = _get(counts, name)
        return value if type(value) is int and 0 < value < _MAX_TOKENS else 0

    return Usage(
        input_tokens=get_count("input_tokens"),
        output_tokens=get_count("output_tokens"),
        cache_read_tokens=get_count("cache_read_input_tokens"),
        cache_write_tokens=get_count("cache_creation_input_tokens"),
    )


def parse_model(answer: object, requested: str) -> str:
    """Return the model that answered: the requested one, or its dated version. Any other string is ignored."""
    model = _get(answer, "model")
    if isinstance(model, str) and model.startswith(requested) and _VERSION.fullmatch(model, len(requested)):
        return model
    return requested


def is_billed(answer: object) -> bool:
    """Return whether an answer is billed. A refusal before any output is free.

    https://platform.claude.com/docs/en/build-with-claude/refusals-and-fallback
    """
    return _get(answer, "stop_reason") != "refusal" or parse_usage(answer).output_tokens > 0


def _check_stop_reason(answer: object) -> None:
    # Check this before the content: a refusal is a 200 response without content, or with text outside the schema.
    match _get(answer, "stop_reason"):
        case "refusal":
            category = _get(_get(answer, "stop_details"), "category")
            is_known = isinstance(category, str) and category in _REFUSAL_CATEGORIES
            suffix = f" ({category})" if is_known else ""
            raise AnswerError(f"Claude refused to classify the message{suffix}", kind="refused")
        case "max_tokens":
            raise AnswerError("Claude's answer was cut off at max_tokens", truncated=True)
        case "model_context_window_exceeded":
            raise AnswerError("the conversation is too long for Claude")
        case _:
            pass


def _find_objects(blocks: Sequence[Any], label_keys: Sequence[str], customer_text: str) -> Iterator[dict[str, Any]]:
    """Yield the objects with a label. The input of a tool call takes precedence over the text around it."""
    inputs = [_get(block, "input") for block in blocks if _get(block, "type") == "tool_use"]
    for value in inputs:
        values = _parse_text(value, customer_text) if isinstance(value, str) else [_normalize_keys(value)]
        yield from _find_labeled(values, label_keys)
    if inputs:
        return
    candidates = [*blocks, *(_get(block, "text") for block in blocks if _get(block, "type") == "text")]
    texts = [text for text in candidates if isinstance(text, str)]
    if not texts:
        raise AnswerError("Claude's answer contained no text")
    # Long text may be split anywhere.
    yield from _find_labeled(_parse_text("".join(texts), customer_text), label_keys)


def _get(value: object, name: str) -> Any:
    """Return a field of an object, or None if there is none or the value is not an object."""
    return cast("dict[str, Any]", value).get(name) if isinstance(value, dict) else None


def _parse_text(text: str, customer_text: str) -> list[Any]:
    """Return the JSON value that a text consists of, or the objects that it contains."""
    text = _remove_fence(text.strip())
    try:
        value = _DECODER.decode(text)
        # Some gateways encode the object twice.
        value = _DECODER.decode(value) if isinstance(value, str) else value
    except ValueError:
        return _scan_text(text, customer_text)
    if not isinstance(value, dict | list):
        raise AnswerError("Claude's answer was not a JSON object")
    return [value]


def _remove_fence(text: str) -> str:
    """Return the content of a text that is one code fence, and any other text as it is."""
    if len(text) < 2 * len(_FENCE) or not text.startswith(_FENCE) or not text.endswith(_FENCE):
        return text
    return text[len(_FENCE) : -len(_FENCE)].lstrip(ascii_letters).strip()


def _scan_text(text: str, customer_text: str) -> list[Any]:
    """Return the JSON objects in prose, except those that the prose quotes from the customer."""
    quotable = _remove_whitespace(customer_text)
    values: list[Any] = []
    end = 0
    while (start := text.find("{", end)) != -1:
        try:
            value, end = _DECODER.raw_decode(text, start)
        except ValueError:
            # An object after this brace may be part of a broken one, where an unescaped quotation would look real.
            raise AnswerError("Claude's answer was not JSON") from None
        if _remove_whitespace(text[start:end]) not in quotable:
            values.append(value)
    if not values:
        raise AnswerError("Claude's answer was not JSON")
    return values


def _remove_whitespace(text: str) -> str:
    return "".join(text.split())


def _merge_pairs(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object whose keys are in lower case. A key with two different values gets neither of them."""
    merged: dict[str, Any] = {}
    for name, value in pairs:
        key = name.strip().casefold()
        merged[key] = value if key not in merged or merged[key] == value else _CONTRADICTION
    return merged


_DECODER = json.JSONDecoder(object_pairs_hook=_merge_pairs)


def _normalize_keys(value: Any) -> Any:
    """Merge the keys of a decoded value, as the decoder does for text."""
    match value:
        case dict():
            pairs = cast("dict[str, Any]", value).items()
            return _merge_pairs((name, _normalize_keys(inner)) for name, inner in pairs)
        case list():
            return [_normalize_keys(item) for item in cast("Sequence[Any]", value)]
        case _:
            return value


def _find_labeled(value: Any, label_keys: Sequence[str], nesting: int = 0) -> Iterator[dict[str, Any]]:
    """Yield the objects with a label: the value itself, or objects that it contains."""
    children: Sequence[Any] = ()
    if isinstance(value, dict):
        data = cast("dict[str, Any]", value)
        if any(key in data for key in label_keys):
            yield data
            return
        children = list(data.values())
    elif isinstance(value, list):
        children = cast("Sequence[Any]", value)
    if nesting < _MAX_NESTING:
        for child in children:
            yield from _find_labeled(child, label_keys, nesting + 1)


def _choose_object(
    objects: Sequence[dict[str, Any]], label_keys: Sequence[str], buckets: Buckets
) -> tuple[dict[str, Any], Bucket]:
    """Return the last object and its bucket. All objects must name the same one."""
    chosen: list[Bucket] = []
    for data in objects:
        label = next(data[key] for key in label_keys if key in data)
        bucket = _find_bucket(label, buckets)
        if bucket is None:
            raise AnswerError("Claude did not choose one of the buckets")
        chosen.append(bucket)
    if not chosen:
        raise AnswerError("Claude did not choose one of the buckets")
    if any(bucket is not chosen[0] for bucket in chosen):
        raise AnswerError("Claude's answer named several buckets")
    return objects[-1], chosen[-1]


def _find_bucket(label: object, buckets: Buckets) -> Bucket | None:
    """Return the bucket that a label names, or None.

    https://platform.claude.com/docs/en/build-with-claude/structured-outputs: the case of enum values may differ.
    """
    if not isinstance(label, str):
        return None
    bucket = buckets.get(label)
    if bucket is not None:
        return bucket
    matches = [bucket for bucket in buckets if _simplify(bucket.name) == _simplify(label)]
    return matches[0] if len(matches) == 1 else None


def _simplify(label: str) -> str:
    """Return a label without the differences in which models write names: `On call` for `on-call`."""
    return re.sub(r"[\s_-]+", "-", label.strip(" \t\r\n\"'`.*").casefold())


def _parse_confidence(value: Any) -> float:
    """Return a confidence from 0 to 1.

    A number from 1 to 100 is a percentage: clamping 60 to 1 would turn doubt into certainty. A missing confidence
    becomes 0, which never reaches a `min_confidence`.
    """
    if value is None:
        return 0.0
    scale = 1.0
    if isinstance(value, str):
        match = _NUMBER.fullmatch(value.strip())
        if match is None:
            raise AnswerError("Claude returned no valid confidence")
        value, scale = float(match[1]), 0.01 if match[2] else 1.0
    # In Python a bool is an int. JSON may hold NaN, or an integer that is too large for a float.
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not float("-inf") < value <= 100:
        raise AnswerError("Claude returned no valid confidence")
    if value > 1:
        scale = 0.01
    return max(0.0, float(value) * scale)


def _parse_extra(data: Mapping[str, Any], extra: Mapping[str, str | Sequence[str]]) -> dict[str, str]:
    """Return the further fields, without those whose value is not a string or not allowed."""
    fields: dict[str, str] = {}
    for name, allowed in extra.items():
        value = data.get(name.casefold())
        if not isinstance(value, str):
            continue
        if isinstance(allowed, str):
            fields[name] = _clean(value)[:_MAX_EXTRA]
        else:
            choices = {choice.casefold(): choice for choice in allowed}
            if value.strip().casefold() in choices:
                fields[name] = choices[value.strip().casefold()]
    return fields


def _clean(text: str) -> str:
    """Replace lone surrogates, which cannot be encoded, and strip whitespace."""
    return text.encode("utf-8", "replace").decode().strip()
