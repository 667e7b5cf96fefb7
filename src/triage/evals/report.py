"""The result of an evaluation. Needs the extra `evals`."""

import math
import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from triage.errors import ConfigurationError, DatasetError
from triage.evals import exports, metrics, text
from triage.evals.check import PerBucket, check_report
from triage.evals.example import Prediction
from triage.evals.mistakes import sort_by_severity
from triage.evals.wording import show_id, show_label
from triage.models import FallbackReason
from triage.policy import Buckets

if TYPE_CHECKING:
    import pandas as pd


class Report:
    """The predictions of an evaluation, and their metrics.

    All numbers are about the first verdict on each message, except the flip rate. A fallback verdict counts as a
    verdict for the fallback bucket, because that is where the Router sends the conversation.

    In a notebook, a report shows itself. In a terminal, `print(report)` prints it, with the texts of mistakes; `repr`
    contains no customer text.

    Args:
        predictions: The verdicts about each example, in the order of the data set.
        buckets: The buckets that the classifier chose from, the most important one first.
        classifier: The name of the classifier, `"Claude('claude-haiku-5-5')"`.
        description: What the classifier's verdicts depend on: `Classifier.describe(buckets)`.
        dataset: The name of the data set.
        unanswered: How many examples have no verdict, because the budget was spent or the classifier unavailable.
        paid_usd: What the evaluation cost, without verdicts that were read from a recording. None if it is unknown.

    Raises:
        DatasetError: An example belongs to a bucket that does not exist.
        ConfigurationError: A verdict names a bucket that does not exist.
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
        _check_names(self.predictions, buckets)

    @cached_property
    def accuracy(self) -> metrics.Estimate:
        """The share of messages that are in the right bucket."""
        return metrics.estimate_share(sum(self._right), len(self.predictions))

    @cached_property
    def per_bucket(self) -> Mapping[str, metrics.BucketMetrics]:
        """Precision, recall and F1 of each bucket."""
        return metrics.measure_buckets(self._expected, self._actual, self.buckets.names)

    @cached_property
    def macro_f1(self) -> float:
        """The mean F1 of the buckets that occur among the messages or the verdicts."""
        return metrics.measure_macro_f1(self._expected, self._actual)

    @cached_property
    def confusion(self) -> Mapping[str, Mapping[str, int]]:
        """For each expected bucket, the numbers of messages by actual bucket."""
        return metrics.count_confusion(self._expected, self._actual, self.buckets.names)

    @cached_property
    def reliability(self) -> metrics.Reliability | None:
        """How well the confidence predicts the accuracy. None if there are no usable verdicts."""
        return metrics.measure_reliability(*self._confidences)

    @cached_property
    def coverage(self) -> Sequence[metrics.CoveragePoint]:
        """Accuracy and coverage for each threshold of confidence, from the highest to the lowest."""
        return metrics.measure_coverage(*self._confidences, len(self.predictions))

    @cached_property
    def cost_usd(self) -> float | None:
        """The cost of one verdict on each message, in US dollars, even if the verdicts were read from a recording.

        None if it is unknown. Missing verdicts without a cost, such as those of a service that was down, count as free.
        """
        verdicts = [prediction.verdict for prediction in self.predictions]
        costs = [verdict.cost_usd for verdict in verdicts if verdict.cost_usd is not None]
        if not costs or any(verdict.cost_usd is None and not verdict.fallback for verdict in verdicts):
            return None
        return math.fsum(costs)

    @cached_property
    def cost_per_1000(self) -> float | None:
        """The cost of 1,000 verdicts in US dollars. None if it is unknown."""
        return None if self.cost_usd is None else self.cost_usd / len(self.predictions) * 1000

    @cached_property
    def latency(self) -> metrics.Latency | None:
        """The median and the 95th percentile of the latency. None if the classifier does not measure it."""
        return metrics.measure_latency([prediction.verdict.latency for prediction in self.predictions])

    @cached_property
    def fallbacks(self) -> Mapping[FallbackReason, int]:
        """How many messages have no usable verdict, by `fallback_reason`, the most frequent reason first."""
        reasons = Counter[FallbackReason | None](prediction.verdict.fallback_reason for prediction in self.predictions)
        return {reason: number for reason, number in reasons.most_common() if reason is not None}

    @cached_property
    def fallback_rate(self) -> metrics.Estimate:
        """The share of messages that have no usable verdict."""
        return metrics.estimate_share(sum(self.fallbacks.values()), len(self.predictions))

    @cached_property
    def flip_rate(self) -> metrics.Estimate | None:
        """The share of messages whose samples have different buckets. None if there are not several samples."""
        stable = [prediction.is_stable for prediction in self.predictions if len(prediction.verdicts) > 1]
        return metrics.estimate_share(stable.count(False), len(stable)) if stable else None

    @cached_property
    def escalation_rate(self) -> metrics.Estimate | None:
        """The share of messages for which a `Cascade` or a `Vote` requested more than one verdict.

        None if the classifier is neither.
        """
        parts = [len(prediction.verdict.parts) for prediction in self.predictions]
        return metrics.estimate_share(sum(number > 1 for number in parts), len(parts)) if any(parts) else None

    @cached_property
    def mistakes(self) -> Sequence[Prediction]:
        """The wrong predictions, the worst first: missed messages of the first bucket, then by falling confidence."""
        return sort_by_severity([one for one in self.predictions if not one.is_correct], self.buckets)

    @cached_property
    def _expected(self) -> list[str]:
        return [prediction.expected for prediction in self.predictions]

    @cached_property
    def _actual(self) -> list[str]:
        return [prediction.actual for prediction in self.predictions]

    @cached_property
    def _right(self) -> list[bool]:
        return [prediction.is_correct for prediction in self.predictions]

    @cached_property
    def _confidences(self) -> tuple[list[float], list[bool]]:
        """The confidence of each usable verdict, and whether it is right. That of a fallback verdict says nothing."""
        usable = [prediction for prediction in self.predictions if not prediction.verdict.fallback]
        return [one.verdict.confidence for one in usable], [one.is_correct for one in usable]

    def check(
        self,
        *,
        accuracy: float | None = None,
        macro_f1: float | None = None,
        precision: PerBucket | None = None,
        recall: PerBucket | None = None,
        f1: PerBucket | None = None,
        fallbacks: float | None = None,
        cost_per_1000: float | None = None,
        latency_p95: float | None = None,
        lower: bool = False,
    ) -> None:
        """Check that the classifier is good enough, in a test for example.

        Args:
            accuracy: The minimum accuracy, from 0 to 1.
            macro_f1: The minimum macro-F1.
            precision: The minimum precision: one for all buckets, or by name, with `"*"` for all other buckets:
                `{"urgent": 0.98, "*": 0.9}`. One for all or others skips buckets that no verdict names.
            recall: The minimum recall, likewise. One for all or others skips buckets without messages.
            f1: The minimum F1, likewise.
            fallbacks: The maximum share of messages without a usable verdict.
            cost_per_1000: The maximum cost of 1,000 verdicts, in US dollars.
            latency_p95: The maximum 95th percentile of the latency, in seconds.
            lower: True to compare the lower end of the 95% confidence interval with a minimum, and the upper end with
                `fallbacks`. Then chance makes a bad classifier pass in at most 2.5% of all cases. It cannot be
                combined with `macro_f1`, which has no interval.

        Raises:
            CheckFailed: A demand is not met. The message lists the values and the wrong cases with their texts.
            ConfigurationError: A demand is impossible to check, or there are none.
            DatasetError: There are no messages with which to check a demand.
        """
        demands = {
            "accuracy": accuracy,
            "macro_f1": macro_f1,
            "precision": precision,
            "recall": recall,
            "f1": f1,
            "fallbacks": fallbacks,
            "cost_per_1000": cost_per_1000,
            "latency_p95": latency_p95,
        }
        check_report(self, {name: demand for name, demand in demands.items() if demand is not None}, lower=lower)

    def show(self) -> None:
        """Print the report to the terminal."""
        sys.stdout.write(f"{self}\n")

    def to_pandas(self) -> "pd.DataFrame":
        """Return a table with a row for each example, in the order of the data set.

        The columns are `id`, `text`, `expected`, `actual`, `correct`, `confidence`, `reason`, `fallback_reason`,
        `cost_usd`, `latency`, `model`, `group`, `samples` (the buckets of all samples) and the fields of the examples.
        A field with the name of another column gets the prefix `field_`.
        """
        return exports.build_table(self)

    def to_html(self, path: str | os.PathLike[str]) -> None:
        """Write the report to an HTML file that needs no other files and contains no scripts.

        Args:
            path: The file, which is overwritten.
        """
        from triage.evals import html  # imports matplotlib, which takes long and may be missing

        page = html.build_page(f"{self.classifier} on {self.dataset}", html.render_report(self))
        Path(path).write_text(page, encoding="utf-8")

    def to_junit(self, path: str | os.PathLike[str]) -> None:
        """Write a JUnit XML file for a CI system, with a test case for each example. Mistakes are failures.

        Args:
            path: The file, which is overwritten.
        """
        Path(path).write_bytes(exports.build_junit(self))

    def to_markdown(self) -> str:
        """Return the report as Markdown for a pull request. Customer text cannot create links, mentions or markup."""
        return exports.render_markdown(self)

    def _repr_html_(self) -> str:
        from triage.evals import html

        return html.render_report(self)

    def __str__(self) -> str:
        return text.render_report(self)

    def __repr__(self) -> str:
        return (
            f"Report(classifier={self.classifier!r}, dataset={self.dataset!r}, predictions={len(self.predictions)}, "
            f"accuracy={self.accuracy.value:.3f})"
        )


def _check_names(predictions: Sequence[Prediction], buckets: Buckets) -> None:
    known, names = set(buckets.names), ", ".join(buckets.names)
    for number, prediction in enumerate(predictions, 1):
        where = f"Example {number} ({show_id(prediction.example.conversation.id)})"
        if prediction.expected not in known:
            raise DatasetError(
                f"{where} belongs to {show_label(prediction.expected)}, which is not a bucket. Correct its label to "
                f"one of {names}, or add the bucket."
            )
        if any(verdict.bucket not in known for verdict in prediction.verdicts):
            # The name is a model's answer about untrusted text, so it is not shown.
            raise ConfigurationError(f"{where}: the verdict names an unknown bucket. The buckets are {names}.")
