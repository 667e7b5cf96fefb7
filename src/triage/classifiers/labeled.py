"""Labeled texts, from which classifiers learn."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias, cast

from triage.errors import ConfigurationError, DatasetError
from triage.models import Conversation
from triage.policy import Buckets
from triage.policy.check import describe_type

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")  # as for `Bucket`


@dataclass(frozen=True)
class LabeledText:
    """The text of a message, and the name of the bucket that it belongs to."""

    text: str = field(repr=False)
    bucket: str


class SupportsLabel(Protocol):
    """An object with a text and the name of a bucket, such as an example of a `triage.evals.Dataset`."""

    @property
    def text(self) -> str:
        """The text of a message."""
        ...

    @property
    def bucket(self) -> str:
        """The name of the bucket that it belongs to."""
        ...


LabeledLike: TypeAlias = SupportsLabel | tuple[str, str]
"""A labeled text: an object with the attributes `text` and `bucket`, or a pair of the two."""


def read_examples(examples: Iterable[LabeledLike], buckets: Buckets | None = None) -> list[LabeledText]:
    """Check labeled texts. A text that occurs several times in a bucket counts once, whatever its case and whitespace.

    Args:
        examples: The labeled texts.
        buckets: The buckets to which they must belong. By default, any name is valid.

    Raises:
        ConfigurationError: `examples` is not a collection of labeled texts.
        DatasetError: A text is empty, or a bucket is unknown.
    """
    distinct: dict[tuple[str, str], LabeledText] = {}
    for number, example in enumerate(_check_iterable(examples)):
        labeled = _read_example(example, f"examples[{number}]", buckets)
        distinct.setdefault((normalize_text(labeled.text), labeled.bucket), labeled)
    return list(distinct.values())


def _check_iterable(examples: object) -> Iterable[object]:
    kind = describe_type(examples)
    if isinstance(examples, str | bytes | Mapping) or not isinstance(examples, Iterable):
        raise ConfigurationError(
            f"examples must be a list of labeled messages, not {kind}. Pass a data set, or pairs "
            f"such as [('I was charged twice.', 'billing')]."
        )
    return cast("Iterable[object]", examples)


def _read_example(example: object, where: str, buckets: Buckets | None) -> LabeledText:
    """Return a labeled text. No error repeats the bucket, which is a text if somebody has swapped the two."""
    match example:
        case (str(text), str(name)):
            pass
        case object(text=str(text), bucket=str(name)):
            pass
        case _:
            raise ConfigurationError(
                f"{where} must have a text and a bucket, not be {describe_type(example)}. Write "
                f"('I was charged twice.', 'billing')."
            )
    if not text.strip():
        raise DatasetError(f"{where}: the text is empty. Remove this example.")
    bucket = name.strip().casefold()
    if buckets is not None and bucket not in buckets.names:
        raise DatasetError(f"{where}: its bucket is not one of {', '.join(buckets.names)}. Correct it, or remove it.")
    if not _NAME.fullmatch(bucket):
        raise DatasetError(f"{where}: its bucket is not the name of one. Write ('I was charged twice.', 'billing').")
    return LabeledText(text, bucket)


def normalize_text(text: str) -> str:
    """Return a text by which equal messages are recognized, whatever their case and whitespace.

    Args:
        text: The text of a message.
    """
    return " ".join(text.casefold().split())


def normalize_texts(conversation: Conversation) -> frozenset[str]:
    """Return the texts that a labeled text must not equal if it is shown next to this conversation.

    Otherwise, an evaluation on the examples themselves would reveal the label.

    Args:
        conversation: The conversation to classify.
    """
    return frozenset(map(normalize_text, (conversation.text, *(message.text for message in conversation.turn))))
