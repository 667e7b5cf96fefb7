"""`triage calibrate`: find the confidence at which a bucket may act on its own."""

from pathlib import Path
from typing import Any

import click

from triage.cli.labeled import (
    Target,
    check_names,
    data_argument,
    evaluation_options,
    load_dataset,
    parse_rates,
    run_evaluation,
    target_argument,
)


@click.command()
@target_argument
@data_argument
@evaluation_options
@click.option(
    "--precision",
    multiple=True,
    required=True,
    callback=parse_rates,
    help="Share of verdicts that must be right: 0.95 for all buckets, spam=0.995 for one. Repeatable.",
)
@click.option(
    "--confidence",
    type=click.FloatRange(0.8, 0.9999),
    default=0.95,
    show_default=True,
    help="Probability with which the promises hold.",
)
def calibrate(
    target: Target,
    data: Path,
    text: str,
    bucket: str,
    precision: dict[str, float],
    confidence: float,
    **options: Any,
) -> None:
    """Find the lowest confidence at which each bucket of TARGET may act on its own.

    TARGET is module:attribute: a Router, a list of buckets, or a pair (classifier, buckets). DATA is a CSV or JSONL
    file with messages that you did not use to write the prompt.
    """
    from triage.evals import calibrate as calibrate_report

    check_names(precision, target.buckets)
    report = run_evaluation(target, load_dataset(data, text=text, bucket=bucket), **options)
    click.echo(str(calibrate_report(report, precision=precision, confidence=confidence)))
