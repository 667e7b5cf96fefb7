"""Arguments and options of the commands that try a classifier on labeled messages."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from triage.classifiers import Classifier, Claude, as_classifier
from triage.cli.arguments import InvalidArgumentError, import_object
from triage.errors import ConfigurationError
from triage.policy import Bucket, Buckets
from triage.router import Router

if TYPE_CHECKING:
    from triage.evals import Dataset, Report

F = TypeVar("F", bound=Callable[..., Any])

ALL = "*"  # demands and promises without the name of a bucket apply to all others


@dataclass(frozen=True)
class Target:
    """A classifier and the buckets that it chooses from."""

    name: str
    classifier: Classifier
    buckets: Buckets


def parse_target(ctx: click.Context, param: click.Parameter, value: str) -> Target:
    """Import `"module:attribute"`: a Router, buckets, or a pair of a classifier and buckets."""
    found = import_object(value)
    try:
        target = _build_target(value, found)
    except ConfigurationError as err:
        raise InvalidArgumentError(f"{value}: {err}") from err
    ctx.call_on_close(target.classifier.close)
    return target


def _build_target(name: str, found: object) -> Target:
    match found:
        case Router():
            return Target(name, found.classifier, found.buckets)
        case Buckets():
            return Target(name, Claude(), found)
        case tuple() | list():
            values = cast("Sequence[Any]", found)
            if values and all(isinstance(value, Bucket) for value in values):
                return Target(name, Claude(), Buckets(values))
            if len(values) == 2:
                classifier, buckets = values
                return Target(name, as_classifier(classifier), Buckets(buckets))
        case _:
            pass
    raise InvalidArgumentError(f"{name} is not a Router, a list of buckets, or a pair (classifier, buckets).")


def parse_rates(ctx: click.Context, param: click.Parameter, values: Sequence[str]) -> dict[str, float]:
    """Parse `"urgent=0.98"` and `"0.9"`, which applies to all other buckets."""
    rates: dict[str, float] = {}
    for value in values:
        bucket, _, rate = value.rpartition("=")
        share = _parse_share(rate)
        if share is None:
            raise click.BadParameter(
                f"{value!r} is not a share: write 0.9 for 90%, or urgent=0.98 for a single bucket."
            )
        rates[bucket or ALL] = share
    return rates


def _parse_share(text: str) -> float | None:
    """Return a number from 0 to 1, or None if the text is not one."""
    try:
        share = float(text)
    except ValueError:
        return None
    return share if 0 <= share <= 1 else None


def check_names(rates: Mapping[str, float], buckets: Buckets) -> None:
    """Check, before an evaluation is paid for, that demands and promises name buckets that exist.

    Args:
        rates: Shares by the name of a bucket.
        buckets: The buckets.
    """
    unknown = [repr(name) for name in rates if name != ALL and name not in buckets.names]
    if unknown:
        raise click.UsageError(f"{', '.join(unknown)}: the buckets are {', '.join(buckets.names)}.")


target_argument = click.argument("target", callback=parse_target)
data_argument = click.argument("data", type=click.Path(exists=True, dir_okay=False, path_type=Path))

_OPTIONS = [
    click.option("--text", default="text", show_default=True, help="Column with the messages."),
    click.option("--bucket", default="bucket", show_default=True, help="Column with the labels."),
    click.option(
        "--samples", type=click.IntRange(min=1), default=1, show_default=True, help="Verdicts for each message."
    ),
    click.option(
        "--context",
        type=click.IntRange(min=0),
        default=3,
        show_default=True,
        help="Earlier messages that the classifier sees.",
    ),
    click.option("--budget", type=click.FloatRange(min=0), help="Stop at this cost, in US dollars."),
    click.option(
        "--concurrency",
        type=click.IntRange(min=1),
        default=8,
        show_default=True,
        help="Maximum number of classifier calls at a time.",
    ),
    click.option("--batch", is_flag=True, help="Use Claude's Message Batches: half the price, up to 24 hours."),
    click.option(
        "--resume",
        type=click.Path(dir_okay=False, path_type=Path),
        default=Path(".triage/answers.jsonl"),
        show_default=True,
        help="File with the answers so far. What is in it is not asked again.",
    ),
    click.option("--ask-again", is_flag=True, help="Neither read nor write the file with the answers."),
]


def evaluation_options(command: F) -> F:
    """Add the options of `run_evaluation` to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def load_dataset(path: Path, *, text: str, bucket: str) -> "Dataset":
    """Load labeled messages from a file.

    Args:
        path: A CSV or JSONL file.
        text: The column with the messages.
        bucket: The column with the labels.
    """
    from triage.evals import Dataset

    return Dataset.load(path, text=text, bucket=bucket)


def run_evaluation(
    target: Target,
    dataset: "Dataset",
    *,
    samples: int,
    context: int,
    budget: float | None,
    concurrency: int,
    batch: bool,
    resume: Path,
    ask_again: bool,
) -> "Report":
    """Evaluate a target. Progress goes to stderr, so that stdout holds only the result.

    Args:
        target: The classifier and the buckets.
        dataset: The labeled messages.
        samples: Verdicts for each message.
        context: Messages before the customer's unanswered ones.
        budget: US dollars, or None for no limit.
        concurrency: Classifier calls at a time.
        batch: True to use Message Batches.
        resume: The file with the answers so far.
        ask_again: True to ignore that file.
    """
    from triage.evals import evaluate

    return evaluate(
        target.classifier,
        dataset,
        target.buckets,
        samples=samples,
        context=context,
        budget_usd=budget,
        concurrency=concurrency,
        batch=batch,
        resume=None if ask_again else resume,
    )
