"""`triage compare`: compare two classifiers on the same labeled messages."""

from pathlib import Path
from typing import Any

import click

from triage.cli.labeled import Target, data_argument, evaluation_options, load_dataset, parse_target, run_evaluation


@click.command()
@click.argument("before", callback=parse_target)
@click.argument("after", callback=parse_target)
@data_argument
@evaluation_options
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Write the comparison to an HTML file.")
@click.option(
    "--markdown", type=click.Path(dir_okay=False, path_type=Path), help="Write the comparison to a Markdown file."
)
def compare(
    before: Target,
    after: Target,
    data: Path,
    text: str,
    bucket: str,
    html: Path | None,
    markdown: Path | None,
    **options: Any,
) -> None:
    """Compare BEFORE with AFTER on the labeled messages in DATA.

    BEFORE and AFTER are module:attribute: a Router, a list of buckets, or a pair (classifier, buckets). Shows which
    messages flip, whether the difference could be luck, and how cost and latency change.
    """
    from triage.evals import compare as compare_reports

    dataset = load_dataset(data, text=text, bucket=bucket)
    reports = [run_evaluation(target, dataset, **options) for target in (before, after)]
    comparison = compare_reports(*reports)
    click.echo(str(comparison))
    if html is not None:
        comparison.to_html(html)
    if markdown is not None:
        markdown.write_text(comparison.to_markdown(), "utf-8")
