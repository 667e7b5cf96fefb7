"""Labeled messages made of random words, some of which fit several buckets."""

import random
from collections.abc import Mapping, Sequence

from triage import Conversation, Message

WORDS: Mapping[str, Sequence[str]] = {
    "billing": ("invoice", "refund", "charged", "receipt", "payment", "subscription"),
    "general": ("export", "contacts", "feature", "settings", "template", "language"),
    "urgent": ("outage", "hacked", "locked", "stolen", "unreachable", "breach"),
}
FILLER = ("hello", "please", "my", "the", "account", "yesterday", "help", "with", "since", "you", "thanks", "again")


def create_messages(
    number: int, *, seed: int = 0, purity: float = 1.0, buckets: Sequence[str] = tuple(WORDS)
) -> list[tuple[str, str]]:
    """Return labeled messages.

    Args:
        number: How many messages.
        seed: The seed of the random words.
        purity: The probability with which a telling word is one of the message's own bucket.
        buckets: The buckets, in turn.
    """
    chance = random.Random(seed)  # noqa: S311 - no secret
    messages: list[tuple[str, str]] = []
    for index in range(number):
        bucket = buckets[index % len(buckets)]
        sources = [bucket if chance.random() < purity else chance.choice(buckets) for _ in range(2)]
        words = [chance.choice(WORDS[source]) for source in sources] + chance.choices(FILLER, k=4)
        chance.shuffle(words)
        messages.append((" ".join(words), bucket))
    return messages


def write_conversation(text: str, subject: str = "") -> Conversation:
    """Return a conversation with one message of a customer."""
    return Conversation(id="1", subject=subject, messages=(Message(id="1", role="customer", text=text),))
