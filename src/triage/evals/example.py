"""A labeled conversation, and the verdicts about it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from triage.classifiers.base import hash_texts, render_conversation
from triage.models import Conversation, Verdict


@dataclass(frozen=True)
class Example:
    """A conversation, labeled with the bucket that it belongs to.

    Args:
        conversation: The conversation.
        bucket: The bucket that it belongs to, according to a human.
        group: Examples of the same group, such as all messages of one customer, stay together when a data set is split.
            None if the example stands alone.
        fields: Further columns of the source, for your own analysis.
    """

    conversation: Conversation = field(repr=False)
    bucket: str
    group: str | None = field(default=None, repr=False)  # it may be an email address
    fields: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)

    @property
    def text(self) -> str:
        """The text to classify: the subject and the customer's unanswered messages."""
        return self.conversation.text

    @cached_property
    def key(self) -> str:
        """A hash of the conversation, without ids, by which two reports are compared."""
        return hash_texts(render_conversation(self.conversation))


@dataclass(frozen=True)
class Prediction:
    """The verdicts about an example.

    Args:
        example: The example.
        verdicts: At least one verdict. There are several if several samples were taken.
    """

    example: Example
    verdicts: tuple[Verdict, ...]

    @property
    def verdict(self) -> Verdict:
        """The first verdict. All metrics except the flip rate are about it."""
        return self.verdicts[0]

    @property
    def expected(self) -> str:
        """The bucket that the example belongs to."""
        return self.example.bucket

    @property
    def actual(self) -> str:
        """The bucket of the first verdict. If there is no usable verdict, it is the fallback bucket."""
        return self.verdict.bucket

    @property
    def is_correct(self) -> bool:
        """True if the first verdict has the right bucket."""
        return self.actual == self.expected

    @property
    def is_stable(self) -> bool:
        """True if all samples have the same bucket."""
        return len({verdict.bucket for verdict in self.verdicts}) == 1
