"""Reports on made-up predictions."""

from collections.abc import Iterable, Mapping
from typing import Any

from hypothesis import strategies as st

from triage import Buckets, Conversation, Message, Verdict
from triage.evals.example import Example, Prediction
from triage.evals.report import Report

BUCKETS = Buckets.default()
NAMES = BUCKETS.names

HOSTILE = (
    "<script>alert(1)</script>",
    "</div></td></table><img src=x onerror=alert(1)>",
    "]]><x/>",
    "&lt;b&gt; &amp; \"quoted\" 'single'",
    "| a | b |\\| c",
    "`code` ``` fence ````",
    "[link](https://example.com) https://example.com www.example.com",
    "@everyone #1 GH-1 :tada: **bold** _it_ ~~no~~ $x$",
    "\n\n# heading\n- item\n\n<details>",
    "\x1b[31mred\x1b[0m \x1b]8;;https://example.com\x07link\x1b]8;;\x07 \x9b2J",
    "\u202eright to left\u2066 \u200e",
    "\0\x01\x08\ufffe\uffff",
    "ends with a backslash\\",
)


def hostile_texts() -> st.SearchStrategy[str]:
    """Return texts that try to break out of a format."""
    return st.lists(st.sampled_from(HOSTILE) | st.text(max_size=20), min_size=1, max_size=4).map("".join)


def names_with_surrogates() -> st.SearchStrategy[str]:
    """Return texts that may also contain lone surrogates, which a conversation cannot contain but a name can."""
    return st.builds(str.__add__, hostile_texts(), st.text(st.characters(exclude_categories=()), max_size=10))


def predict(
    expected: str,
    *actual: str,
    text: str = "Hello",
    number: int = 1,
    fields: Mapping[str, str] | None = None,
    group: str | None = None,
    **verdict: Any,
) -> Prediction:
    """Return the prediction for a message, with a verdict for each bucket in `actual`."""
    message = Message(id="1", role="customer", text=text)
    example = Example(Conversation(id=f"m{number}", messages=(message,)), expected, group, fields or {})
    values: dict[str, Any] = {"confidence": 0.9, **verdict}
    return Prediction(example, tuple(Verdict(bucket=bucket, **values) for bucket in actual or (expected,)))


def fail(expected: str, **verdict: Any) -> Prediction:
    """Return a prediction without a usable verdict."""
    return predict(expected, "general", **{"confidence": 0.0, "fallback_reason": "refused", **verdict})


def build(predictions: Iterable[Prediction], **settings: Any) -> Report:
    """Return a report on the default buckets."""
    return Report(list(predictions), BUCKETS, **settings)


def repeat(number: int, expected: str, actual: str | None = None, **verdict: Any) -> list[Prediction]:
    """Return predictions for `number` different messages."""
    return [
        predict(expected, actual or expected, text=f"{expected}, not {actual}: {one}", number=one, **verdict)
        for one in range(number)
    ]


MIXED = [
    *repeat(8, "urgent", confidence=0.95),
    predict("urgent", "general", text="My card was stolen", number=20, confidence=0.6, reason="Asks about a card."),
    predict("urgent", "spam", text="WIN your money back", number=21, confidence=0.8),
    *repeat(10, "billing", confidence=0.85),
    predict("billing", "spam", text="Cheap invoices", number=22, confidence=0.99),
    *repeat(9, "general", confidence=0.7),
    fail("general"),
    fail("billing", fallback_reason="unavailable"),
]
"""32 messages, 28 of them right, without messages that belong to spam."""
