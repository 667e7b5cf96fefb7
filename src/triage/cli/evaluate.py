"""`triage eval`: evaluate a classifier on labeled messages."""

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

_output = click.Path(dir_okay=False, path_type=Path)


@click.command("eval")
@target_argument
@data_argument
@evaluation_options
@click.option("--html", type=_output, help="Write the report to an HTML file.")
@click.option("--junit", type=_output, help="Write the report to a JUnit XML file.")
@click.option("--markdown", type=_output, help="Write the report to a Markdown file, for a pull request.")
@click.option("--accuracy", type=click.FloatRange(0, 1), help="Fail below this accuracy.")
@click.option("--recall", multiple=True, callback=parse_rates, help="Fail below this recall: urgent=0.98. Repeatable.")
@click.option("--precision", multiple=True, callback=parse_rates, help="Fail below this precision. Repeatable.")
@click.option("--cost-per-1000", type=click.FloatRange(min=0), help="Fail above this cost, in US dollars.")
@click.option("--lower", is_flag=True, help="Compare the lower ends of the 95% intervals with the demands.")
def evaluate(
    target: Target,
    data: Path,
    text: str,
    bucket: str,
    html: Path | None,
    junit: Path | None,
    markdown: Path | None,
    accuracy: float | None,
    recall: dict[str, float],
    precision: dict[str, float],
    cost_per_1000: float | None,
    lower: bool,
    **options: Any,
) -> None:
    """Evaluate TARGET on the labeled messages in DATA.

    TARGET is module:attribute: a Router, a list of buckets, or a pair (classifier, buckets). DATA is a CSV or JSONL
    file. The help desk is not called. The exit status is 1 if a demand is not met.
    """
    from triage.evals import CheckFailed

    check_names({**recall, **precision}, target.buckets)
    report = run_evaluation(target, load_dataset(data, text=text, bucket=bucket), **options)
    click.echo(str(report))
    if html is not None:
        report.to_html(html)
    if junit is not None:
        report.to_junit(junit)
    if markdown is not None:
        markdown.write_text(report.to_markdown(), "utf-8")
    demands: dict[str, Any] = {
        "accuracy": accuracy,
        "recall": recall or None,
        "precision": precision or None,
        "cost_per_1000": cost_per_1000,
    }
    if all(demand is None for demand in demands.values()):
        return
    try:
        report.check(**demands, lower=lower)
    except CheckFailed as err:
        raise click.ClickException(str(err)) from None
