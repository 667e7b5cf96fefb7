"""Recognize examples that are the same to a reader."""

import re

from triage.evals.example import Example
from triage.text import normalize_unicode

_DIGITS = re.compile(r"\d+")
_SEPARATORS = re.compile(r"[\W_]+")


def normalize_text(text: str) -> str:
    """Return the text in lower case, without punctuation, and with 0 for each number.

    Args:
        text: The text. If it has neither letters nor digits, only its white space is normalized.
    """
    folded = normalize_unicode("NFKC", text).casefold()
    words = _DIGITS.sub("0", _SEPARATORS.sub(" ", folded)).strip()
    return words or " ".join(folded.split())


def fingerprint_text(example: Example) -> str:
    """Return the normalized texts of a conversation, which are equal if two conversations read alike.

    Internal notes do not count.

    Args:
        example: The example.
    """
    conversation = example.conversation
    public = (message for message in conversation.messages if message.role != "note")
    turns = (f"{message.role}: {normalize_text(message.text)}" for message in public)
    return "\n".join([normalize_text(conversation.subject), *turns])
