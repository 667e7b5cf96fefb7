"""Evaluate classifiers in tests, and list the evaluations at the end of the run."""

import os
import re
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

import pytest

from triage.errors import ConfigurationError, TriageError
from triage.testing.network import Network
from triage.testing.thresholds import Thresholds

if TYPE_CHECKING:
    from triage.classifiers import Classifier, ClassifierLike, RecordingMode
    from triage.evals.dataset import Dataset
    from triage.evals.report import Report
    from triage.policy import Bucket, Buckets

AskingMode: TypeAlias = Literal["auto", "record"]
"""The modes of a `Recorded` in which it asks the classifier."""

_PROPERTY = "triage_eval"  # of the reports of tests, which pytest-xdist sends from its workers to its controller
_TITLES = ("evaluation", "messages", "accuracy (95%)", "recall", "per 1,000", "replayed", "asked", "")
_IS_NUMBER = (False, True, False, False, True, True, True, False)
_UNSAFE = re.compile(r"[^\w.-]+")


class TriageEval:
    """The fixture `triage_eval`: a function that evaluates a classifier on labeled messages.

    Args:
        item: The test.
        network: The network of the test.
        mode: How to ask for answers. None if the command line does not allow it.
        thresholds: The thresholds of the command line and the configuration file.
        is_live: True if the test is live.
    """

    def __init__(
        self, item: pytest.Item, network: Network, *, mode: AskingMode | None, thresholds: Thresholds, is_live: bool
    ) -> None:
        self._item = item
        self._network = network
        self._mode: AskingMode | None = mode
        self._thresholds = thresholds
        self._is_live = is_live

    def __call__(
        self,
        classifier: "ClassifierLike",
        dataset: "str | os.PathLike[str] | Dataset",
        buckets: "Iterable[Bucket]",
        *,
        cassette: "str | os.PathLike[str] | None" = None,
        name: str | None = None,
        **thresholds: Any,
    ) -> "Report":
        """Evaluate a classifier, and fail the test if it is not good enough.

        The verdicts of a classifier that costs money are read from a recording. A classifier that costs nothing, that
        cannot know when it changes (a function, for example), or that is a `Recorded`, is asked itself. So is every
        classifier in a live test, unless `cassette` is passed.

        Args:
            classifier: The classifier: anything that `as_classifier` accepts.
            dataset: The labeled messages, or the path of their file, relative to the directory of the test.
            buckets: The buckets to choose from, the most important one first.
            cassette: The path of the recording, relative to the directory of the test. Default:
                `cassettes/{name of the test}.jsonl`.
            name: The name of the evaluation in the summary. Default: the id of the test.
            thresholds: Arguments of `Report.check`, such as `accuracy=0.9`. They take precedence over those of the
                command line and the configuration file; None removes one.

        Returns:
            The report.

        Raises:
            CheckFailed: The classifier misses a threshold. The message lists the wrong cases.
            ConfigurationError: The classifier, the buckets or a threshold cannot be used.
            DatasetError: The labeled messages cannot be used.
            RecordingMissing: A verdict was never recorded.
        """
        __tracebackhide__ = True
        try:
            return self._evaluate(classifier, dataset, buckets, cassette, name, thresholds)
        except (AssertionError, ConfigurationError, TriageError, pytest.fail.Exception) as error:
            raise error.with_traceback(None) from None  # the message is enough

    def _evaluate(
        self,
        classifier: "ClassifierLike",
        dataset: "str | os.PathLike[str] | Dataset",
        buckets: "Iterable[Bucket]",
        cassette: "str | os.PathLike[str] | None",
        name: str | None,
        thresholds: Mapping[str, Any],
    ) -> "Report":
        from triage.classifiers import as_classifier
        from triage.evals.dataset import Dataset
        from triage.evals.evaluate import evaluate
        from triage.policy import Buckets

        choices = buckets if isinstance(buckets, Buckets) else Buckets(buckets)
        examples = dataset if isinstance(dataset, Dataset) else Dataset.load(self._directory / dataset)
        complete = as_classifier(classifier)
        with self._prepare(complete, examples, choices, cassette) as prepared:
            report = evaluate(prepared, examples, choices, resume=None, progress=False)
        report.classifier = repr(complete)  # without the path of the recording
        row = [*_describe(name or self._item.nodeid, report), "failed"]
        self._item.user_properties.append((_PROPERTY, row))
        demands: dict[str, Any] = {**self._thresholds, **thresholds}
        if any(demand is not None for demand in demands.values()):  # without demands, there is nothing to check
            report.check(**demands)
        row[-1] = "passed"
        return report

    @property
    def _directory(self) -> Path:
        return self._item.path.parent

    @contextmanager
    def _prepare(
        self,
        classifier: "Classifier",
        examples: "Dataset",
        buckets: "Buckets",
        cassette: "str | os.PathLike[str] | None",
    ) -> "Generator[Classifier]":
        """Return the classifier to ask, and allow it to ask if the command line does."""
        from triage.classifiers import Recorded

        path = self._directory / (cassette or f"cassettes/{_UNSAFE.sub('-', self._item.name)}.jsonl")
        if cassette is None and (self._is_live or not _should_record(classifier, examples, buckets)):
            with self._network.allow() if self._mode and isinstance(classifier, Recorded) else nullcontext():
                yield classifier
            return
        mode: RecordingMode | None = self._mode
        if mode is None and not os.environ.get("TRIAGE_CASSETTES"):
            mode = "replay"  # by default, a test does not ask on a developer's machine either: it would cost money
        recorded = Recorded(classifier, path, mode=mode)
        with nullcontext() if recorded.mode == "replay" else self._network.allow():
            yield recorded


def _should_record(classifier: "Classifier", examples: "Dataset", buckets: "Buckets") -> bool:
    from triage.classifiers import Recorded

    if isinstance(classifier, Recorded) or not examples:
        return False
    conversation = examples[0].conversation
    is_free = classifier.estimate_cost(conversation, buckets) == 0
    return not is_free and classifier.fingerprint(conversation, buckets) is not None


def _describe(name: str, report: "Report") -> list[str]:
    """Return the cells of a row in the summary, except the last one."""
    from triage.evals.format import format_estimate, format_percent, format_usd

    bucket = report.buckets[0].name
    recall = report.per_bucket[bucket].recall
    verdicts = [verdict for prediction in report.predictions for verdict in prediction.verdicts]
    replayed = sum(verdict.replayed for verdict in verdicts)
    return [
        name,
        f"{len(report.predictions):,}",
        format_estimate(report.accuracy),
        f"{bucket} {format_percent(recall.value)}" if recall.is_known else "",
        format_usd(report.cost_per_1000),
        f"{replayed:,}",
        f"{len(verdicts) - replayed:,}",
    ]


class Summary:
    """A plugin that lists all evaluations at the end of the run, including those of pytest-xdist's workers."""

    def __init__(self) -> None:
        self._rows: dict[str, list[list[str]]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember the evaluations of a test. The reports of its later phases repeat those of the earlier ones."""
        rows = [value for name, value in report.user_properties if name == _PROPERTY]
        if rows:
            self._rows[report.nodeid] = cast("list[list[str]]", rows)

    def pytest_terminal_summary(self, terminalreporter: "pytest.TerminalReporter") -> None:
        """Print a line for each evaluation."""
        rows = [row for rows in self._rows.values() for row in rows]
        if not rows:
            return
        terminalreporter.write_sep("=", "evaluations of classifiers")
        header, *lines = _format_table([_TITLES, *rows])
        terminalreporter.write_line(header)
        for line, row in zip(lines, rows, strict=True):
            terminalreporter.write_line(line, red=row[-1] == "failed")


def _format_table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = zip(row, widths, _IS_NUMBER, strict=True)
        yield "  ".join(cell.rjust(width) if number else cell.ljust(width) for cell, width, number in cells).rstrip()
