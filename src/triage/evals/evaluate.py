"""Evaluate a classifier on labeled messages."""

import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from triage.classifiers.adapt import as_classifier
from triage.classifiers.base import Classifier, ClassifierLike
from triage.classifiers.claude import Claude
from triage.classifiers.recorded import Recorded, records_in
from triage.errors import ConfigurationError
from triage.evals.dataset import Dataset
from triage.evals.evaluation import BatchPlan, Evaluation
from triage.evals.loop import run_in_thread
from triage.evals.pending import PendingBatches
from triage.evals.progress import Progress
from triage.evals.report import Report
from triage.policy import Bucket, Buckets

RESUME = ".triage/answers.jsonl"


def evaluate(
    classifier: ClassifierLike,
    dataset: Dataset | Iterable[Any],
    buckets: Buckets | Iterable[Bucket],
    *,
    samples: int = 1,
    context: int = 3,
    budget_usd: float | None = None,
    concurrency: int = 8,
    batch: bool = False,
    resume: str | os.PathLike[str] | None = RESUME,
    progress: bool = True,
) -> Report:
    """Ask a classifier about every message of a data set, and compare its verdicts with the labels.

    Before it starts, it prints how much it will cost. If the classifier is overloaded, it waits and makes fewer calls
    at the same time. Ctrl+C stops it, and it continues when it is called again, without paying for any answer twice.

    It works in scripts and, although an event loop is running there, in notebooks. In async code, use `evaluate_async`.

    Args:
        classifier: The classifier: anything that a Router accepts, such as `Claude()`, the name of a Claude model, or a
            function from the customer's text to the name of a bucket.
        dataset: The labeled messages: a `Dataset`, or anything that `Dataset.from_rows` accepts.
        buckets: The buckets of your Router.
        samples: How often to ask about each message. With 3, the report contains the share of messages whose verdict
            changes from one time to the next.
        context: How many messages before the customer's unanswered ones the classifier sees, as in your Router.
        budget_usd: The highest amount to spend, in US dollars. No call is made whose estimated price exceeds the rest
            of it, and the report contains the number of messages that were left out. None for no limit.
        concurrency: The highest number of calls at the same time.
        batch: True to use Claude's Message Batches, which cost half as much and take up to a day. The costs in the
            report are those of the batch.
        resume: The file for the answers of classifiers that cost money. None to keep none, and to ask all questions
            again next time.
        progress: False to print nothing and show no progress bar.

    Raises:
        ConfigurationError: An argument is invalid, or the classifier cannot work, for example without an API key.
        DatasetError: The data set does not fit the buckets.
        ClassifierError: None of the first calls returned a usable verdict, or a batch failed.
    """
    evaluation, owns_classifier = _prepare(
        classifier, dataset, buckets, samples, context, budget_usd, concurrency, batch, resume, progress
    )
    return run_in_thread(_run(evaluation, owns_classifier, is_own_loop=True), threads=concurrency)


async def evaluate_async(
    classifier: ClassifierLike,
    dataset: Dataset | Iterable[Any],
    buckets: Buckets | Iterable[Bucket],
    *,
    samples: int = 1,
    context: int = 3,
    budget_usd: float | None = None,
    concurrency: int = 8,
    batch: bool = False,
    resume: str | os.PathLike[str] | None = RESUME,
    progress: bool = True,
) -> Report:
    """Do the same as `evaluate` on the running event loop, for example with a client that belongs to this loop.

    Args:
        classifier: See `evaluate`.
        dataset: See `evaluate`.
        buckets: See `evaluate`.
        samples: See `evaluate`.
        context: See `evaluate`.
        budget_usd: See `evaluate`.
        concurrency: See `evaluate`.
        batch: See `evaluate`.
        resume: See `evaluate`.
        progress: See `evaluate`.

    Raises:
        ConfigurationError: An argument is invalid, or the classifier cannot work, for example without an API key.
        DatasetError: The data set does not fit the buckets.
        ClassifierError: None of the first calls returned a usable verdict, or a batch failed.
    """
    evaluation, owns_classifier = _prepare(
        classifier, dataset, buckets, samples, context, budget_usd, concurrency, batch, resume, progress
    )
    return await _run(evaluation, owns_classifier, is_own_loop=False)


async def _run(evaluation: Evaluation, owns_classifier: bool, *, is_own_loop: bool) -> Report:
    try:
        return await evaluation.run()
    finally:
        if owns_classifier:
            await evaluation.classifier.aclose()
        elif is_own_loop:
            await evaluation.classifier.leave_loop()


def _prepare(
    classifier: ClassifierLike,
    dataset: Dataset | Iterable[Any],
    buckets: Buckets | Iterable[Bucket],
    samples: int,
    context: int,
    budget_usd: float | None,
    concurrency: int,
    batch: bool,
    resume: str | os.PathLike[str] | None,
    progress: bool,
) -> tuple[Evaluation, bool]:
    """Check the arguments. Return the evaluation, and whether its classifier was created here."""
    _check_count("samples", samples)
    _check_count("context", context, least=0)
    _check_count("concurrency", concurrency)
    checked = as_classifier(classifier)
    all_buckets = buckets if isinstance(buckets, Buckets) else Buckets(buckets)
    checked.check(all_buckets)
    data = dataset if isinstance(dataset, Dataset) else Dataset.from_rows(dataset)
    output = Progress(is_shown=progress)
    for problem in data.check(all_buckets):
        output.print(f"warning: {problem}")
    if budget_usd is not None:
        _check_budget(budget_usd, checked, data, all_buckets)
    asked = _record(checked, data, all_buckets, resume)
    evaluation = Evaluation(
        classifier=checked,
        asked=asked,
        dataset=data,
        buckets=all_buckets,
        samples=samples,
        context=context,
        budget_usd=budget_usd,
        concurrency=concurrency,
        plan=_plan_batches(asked) if batch else None,
        progress=output,
    )
    return evaluation, isinstance(classifier, str)


def _check_count(name: str, value: object, *, least: int = 1) -> None:
    if type(value) is not int or value < least:
        raise ConfigurationError(f"evaluate: {name} must be an integer of at least {least}, not {value!r}.")


def _check_budget(budget_usd: float, classifier: Classifier, data: Dataset, buckets: Buckets) -> None:
    value: Any = budget_usd  # callers without a type checker may pass anything
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < math.inf:
        raise ConfigurationError(
            f"evaluate: budget_usd must be a number of at least 0, or None for no limit, not {budget_usd!r}."
        )
    if not classifier.priced or classifier.estimate_cost(data[0].conversation, buckets) is None:
        raise ConfigurationError(
            f"evaluate(budget_usd={budget_usd:g}) needs the price of each verdict in advance, and {classifier!r} does "
            f"not know it. For Claude, pass prices={{model: Price(…)}}. In your own classifier, set priced = True and "
            f"define estimate_cost()."
        )


def _record(
    classifier: Classifier, data: Dataset, buckets: Buckets, resume: str | os.PathLike[str] | None
) -> Classifier:
    """Return a classifier that records its verdicts, if they cost money and can be recognized."""
    if resume is None or isinstance(classifier, Recorded) or records_in(classifier, resume):
        return classifier
    conversation = data[0].conversation
    if classifier.estimate_cost(conversation, buckets) == 0 or classifier.fingerprint(conversation, buckets) is None:
        return classifier
    recorded = Recorded(classifier, resume, mode="auto")
    _hide_from_git(Path(resume).parent)
    return recorded


def _hide_from_git(directory: Path) -> None:
    """Keep customer text out of the repository, if the directory is our own."""
    if directory.name == Path(RESUME).parent.name:
        directory.mkdir(parents=True, exist_ok=True)
        ignore = directory / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n")


def _plan_batches(asked: Classifier) -> BatchPlan:
    claude = asked.classifier if isinstance(asked, Recorded) else asked
    if not isinstance(claude, Claude):
        raise ConfigurationError(f"evaluate: batch=True works for Claude only, not for {claude!r}.")
    if not isinstance(asked, Recorded):
        raise ConfigurationError(
            "evaluate: batch=True needs a file for the answers, because a batch may take a day: pass "
            f"resume={RESUME!r}, for example."
        )
    path = Path(asked.path)
    return BatchPlan(
        batches=claude.batches,
        pending=PendingBatches(path.with_name(f"{path.name}.batches")),
        recorded=asked,
    )
