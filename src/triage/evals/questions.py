"""The questions of an evaluation: each message, as often as samples are taken."""

from collections.abc import Sequence
from dataclasses import dataclass

from triage.classifiers.base import Classifier
from triage.classifiers.recorded import Recorded
from triage.classifiers.sampling import use_sample
from triage.evals.example import Example
from triage.models import Conversation
from triage.policy import Buckets


@dataclass(frozen=True, eq=False, slots=True)
class Question:
    """A message to classify.

    Args:
        example: The example with the message.
        sample: The number of the sample, 0 for the first one.
    """

    example: Example
    sample: int

    @property
    def conversation(self) -> Conversation:
        """The conversation with the message."""
        return self.example.conversation


def list_questions(examples: Sequence[Example], samples: int) -> list[tuple[Question, ...]]:
    """Return the questions about each example.

    Args:
        examples: The examples.
        samples: How often to ask about each of them.
    """
    return [tuple(Question(example, sample) for sample in range(samples)) for example in examples]


def is_open(question: Question, classifier: Classifier, buckets: Buckets) -> bool:
    """Return whether a classifier must be asked: there is text to classify, and no verdict is on record.

    Args:
        question: The question.
        classifier: The classifier.
        buckets: The buckets to choose from.
    """
    if not question.conversation.has_text:
        return False
    if not isinstance(classifier, Recorded):
        return True
    with use_sample(question.sample):
        return classifier.find(question.conversation, buckets) is None
