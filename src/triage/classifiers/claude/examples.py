"""Examples in the prompt: labeled messages that resemble the conversation, as data in the user turn."""

from collections.abc import Sequence
from typing import Any, Protocol

from triage.classifiers.claude.prompt import measure, shorten
from triage.classifiers.labeled import LabeledText, normalize_text, normalize_texts
from triage.models import Conversation
from triage.policy import Buckets

MAX_EXAMPLE_CHARACTERS = 4_000  # of all examples in a prompt; about 1,000 tokens
_MAX_TEXT = 800  # characters of an example


class ExampleSource(Protocol):
    """Finds labeled messages for `Claude(examples=…)`. `NearestExamples` is one."""

    def find(self, conversation: Conversation, buckets: Buckets) -> Sequence[LabeledText]:
        """Return labeled messages that resemble a conversation, the most useful one first.

        Claude gets those that are short enough, whose bucket exists, and that are not the conversation itself.
        """
        ...

    def describe(self) -> str:
        """Describe the source. The description contains no customer text and changes whenever the source does."""
        ...


def find_examples(source: ExampleSource | None, conversation: Conversation, buckets: Buckets) -> list[dict[str, Any]]:
    """Return the examples for the user turn.

    Args:
        source: Finds the examples; None if there are none.
        conversation: The conversation to classify.
        buckets: The buckets to choose from.
    """
    if source is None:
        return []
    own = normalize_texts(conversation)
    entries: list[dict[str, Any]] = []
    remaining = MAX_EXAMPLE_CHARACTERS
    for example in source.find(conversation, buckets):
        bucket = buckets.get(example.bucket)
        if bucket is None or normalize_text(example.text) in own:
            continue
        entry = {"text": shorten(example.text, _MAX_TEXT), "label": bucket.name}
        remaining -= measure(entry)
        if remaining < 0:
            break
        entries.append(entry)
    return entries
