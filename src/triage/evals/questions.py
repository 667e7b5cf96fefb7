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
        conversation: The part of the conversation that the classifier sees.
        sample: The number of the sample, 0 for the first one.
    """

    example: Example
    conversation: Conversation
    sample: int


def list_questions(examples: Sequence[Example], samples: int, context: int) -> list[tuple[Question, ...]]:
    """Return the questions about each example.

    Args:
        examples: The examples.
        samples: How often to ask about each of them.
        context: How many messages before the customer's unanswered ones the classifier sees.
    """
    return [_list_samples(example, samples, context) for example in examples]


def _list_samples(example: Example, samples: int, context: int) -> tuple[Question, ...]:
    conversation = example.conversation.last_turns(context)
    return tuple(Question(example, conversation, sample) for sample in range(samples))


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
