"""One line of a recording: a verdict, and what it takes to find, review and forget it."""

import json
import re
from collections.abc import Iterator

from pydantic import Field, ValidationError

from triage.classifiers.base import hash_texts
from triage.models import Conversation, Verdict
from triage.models.base import Model
from triage.text import clean, scrub_secrets

_MOST_CHARACTERS = 200
_PARTIAL_WORD = re.compile(r"[!-~]+\Z")  # printable ASCII: other scripts do not always separate words
_HASH_LENGTH = 16


class RecordedAnswer(Model):
    """A verdict that was recorded.

    As JSON, it is one line, with the part that people read at the beginning. Fields with default values are left out:

    ```json
    {"text": "Refund me!", "verdict": {"bucket": "billing", "confidence": 0.9}, "key": "6f1…", "customers": ["d1c…"]}
    ```
    """

    text: str = Field(default="", repr=False)
    """The beginning of the customer text, for reviewers, and for the order of the lines."""
    verdict: Verdict
    key: str
    """A hash of everything that the verdict depends on."""
    sample: int = Field(default=0, ge=0)
    customers: tuple[str, ...] = ()
    """Hashes of the customer's id and email address."""

    @property
    def id(self) -> tuple[str, int]:
        """The key and the number of the sample."""
        return self.key, self.sample

    @property
    def order(self) -> tuple[str, str, int]:
        """The place of the line among others: an edited prompt changes keys but not the order of the messages."""
        return self.text, self.key, self.sample

    def is_same_as(self, other: "RecordedAnswer") -> bool:
        """Return whether two answers differ in nothing but their latency.

        Args:
            other: Another answer.
        """
        return _remove_latency(self) == _remove_latency(other)

    def concerns(self, customer: str) -> bool:
        """Return whether the answer is about a customer, or mentions their email address.

        Args:
            customer: The customer's id or email address.
        """
        if _hash_customer(customer) in self.customers:
            return True
        if "@" not in customer:
            return False
        # "mira@example.co" is neither "amira@example.co" nor "mira@example.com".
        pattern = re.compile(rf"(?<![\w.+-]){re.escape(customer.strip())}(?![\w-]|\.\w)", re.IGNORECASE)
        return any(map(pattern.search, (self.text, *_iterate_texts(self.verdict))))


def create_answer(key: str, sample: int, verdict: Verdict, conversation: Conversation) -> RecordedAnswer:
    """Return a recorded answer, without secrets.

    Args:
        key: A hash of everything that the verdict depends on.
        sample: The number of the sample.
        verdict: The verdict.
        conversation: The conversation that it is about.
    """
    ids = (conversation.customer.id, conversation.customer.email)
    return RecordedAnswer(
        text=_summarize(conversation.text),
        verdict=_scrub(verdict),
        key=key,
        sample=sample,
        customers=tuple(sorted({_hash_customer(value) for value in ids if value})),
    )


def write_answer(answer: RecordedAnswer) -> str:
    """Return an answer as a line of JSON. Characters that reviewers could not see are escaped.

    Args:
        answer: The answer.
    """
    line = json.dumps(answer.model_dump(mode="json", exclude_defaults=True), ensure_ascii=False)
    line = line.encode("utf-8", "replace").decode()  # a lone surrogate, half an emoji, could not be read again
    if line.isprintable():
        return line
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in line)


def read_answer(line: bytes) -> RecordedAnswer:
    """Return the answer that a line contains.

    Args:
        line: The line.

    Raises:
        ValueError: The line is not an answer. The message says why, without quoting the line.
    """
    try:
        return RecordedAnswer.model_validate_json(line, extra="forbid")
    except ValidationError as err:
        problem = err.errors(include_url=False, include_input=False)[0]
        if problem["type"] == "json_invalid":
            raise ValueError("it is not JSON") from None
        place = ".".join(str(part) for part in problem["loc"]) or "the line"
        raise ValueError(f"{place}: {problem['msg']}") from None


def _scrub(verdict: Verdict) -> Verdict:
    """Return a verdict without the secrets that a model may have quoted."""
    return verdict.model_copy(
        update={
            "reason": scrub_secrets(verdict.reason),
            "extra": {name: scrub_secrets(value) for name, value in verdict.extra.items()},
            "parts": tuple(map(_scrub, verdict.parts)),
            "replayed": False,
        }
    )


def _iterate_texts(verdict: Verdict) -> Iterator[str]:
    """Yield the texts that a model has written."""
    yield verdict.reason
    yield from verdict.extra.values()
    for part in verdict.parts:
        yield from _iterate_texts(part)


def _remove_latency(answer: RecordedAnswer) -> RecordedAnswer:
    return answer.model_copy(update={"verdict": _set_latency(answer.verdict, 0.0)})


def _set_latency(verdict: Verdict, seconds: float) -> Verdict:
    parts = tuple(_set_latency(part, seconds) for part in verdict.parts)
    return verdict.model_copy(update={"latency": seconds, "parts": parts})


def _summarize(text: str) -> str:
    """Return the beginning of a text. It cuts neither a secret nor an address in two, which nobody would recognize."""
    text = scrub_secrets(clean(text))
    if len(text) <= _MOST_CHARACTERS:
        return text
    return _PARTIAL_WORD.sub("", text[:_MOST_CHARACTERS]).rstrip() + "…"


def _hash_customer(value: str) -> str:
    """Return a hash of an id, or of an email address in any case."""
    value = value.strip()
    return hash_texts("customer", value.lower() if "@" in value else value)[:_HASH_LENGTH]
