"""The result of an evaluation."""

from collections.abc import Sequence

from triage.evals.example import Prediction
from triage.policy import Buckets


class Report:
    """The result of an evaluation: the predictions, and everything that follows from them.

    Args:
        predictions: The verdicts about each example, in the order of the data set.
        buckets: The buckets that the classifier chose from.
        classifier: The name of the classifier, `"Claude('claude-haiku-5-5')"`.
        description: What the classifier's verdicts depend on: `Classifier.describe(buckets)`.
        dataset: The name of the data set.
        unanswered: How many examples have no verdict, because the budget was spent.
        paid_usd: What the evaluation cost, without verdicts that were read from a recording. None if it is unknown.
    """

    def __init__(
        self,
        predictions: Sequence[Prediction],
        buckets: Buckets,
        *,
        classifier: str = "classifier",
        description: str = "",
        dataset: str = "dataset",
        unanswered: int = 0,
        paid_usd: float | None = None,
    ) -> None:
        self.predictions = tuple(predictions)
        self.buckets = buckets
        self.classifier = classifier
        self.description = description
        self.dataset = dataset
        self.unanswered = unanswered
        self.paid_usd = paid_usd
