"""`triage inbox`: inspect and repair the stored events."""

import json
from collections.abc import Iterator
from itertools import islice
from typing import get_args

import click

from triage import text as _text
from triage.classifiers.cassette import forget_customer
from triage.cli.arguments import inbox_option, json_option, parse_optional_duration, parse_time
from triage.cli.backup import backup
from triage.cli.facts import collect_facts, count_events, format_line
from triage.cli.redo import redo
from triage.cli.selection import Selection, selection_options
from triage.inbox.base import Inbox, Operator
from triage.inbox.entries import iterate_entries
from triage.models import Entry, State


@click.group("inbox")
def inbox_group() -> None:
    """Inspect and repair the stored events."""


@inbox_group.command("list")
@inbox_option
@click.option("--state", type=click.Choice(get_args(State)), help="Only events in this state.")
@selection_options
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="Maximum number of events.")
@json_option
def list_events(inbox: Operator, state: State | None, selection: Selection, limit: int, as_json: bool) -> None:
    """List events, the newest first, with their verdict, its cost, and a link to the conversation."""
    for entry in islice(selection.find(inbox, state), limit):
        click.echo(json.dumps(collect_facts(entry)) if as_json else format_line(entry))


@inbox_group.command()
@click.argument("key")
@inbox_option
@click.option("--text", is_flag=True, help="Include the customer's messages, the replies and the notes.")
def show(key: str, inbox: Operator, text: bool) -> None:
    """Show everything stored about event KEY."""
    entry = inbox.get_entry(key)
    if entry is None:
        raise click.ClickException(f"The inbox has no event {key!r}.")
    for name, value in collect_facts(entry).items():
        if value is not None and name not in ("bucket", "confidence", "fallback"):
            click.echo(f"{name:<12} {value}")
    if entry.ledger.verdict is not None:
        verdict = entry.ledger.verdict
        click.echo(f"verdict      {verdict.bucket} ({verdict.confidence:.2f}){' fallback' if verdict.fallback else ''}")
        if verdict.fallback:  # any other reason was written by a model about customer text
            click.echo(f"reason       {verdict.reason}")
    for result in entry.ledger.steps or ():
        click.echo(f"step         {result}{f': {result.detail}' if result.detail else ''}")
    if text:
        for line in _format_texts(entry):
            click.echo(_text.clean(line))


@inbox_group.command()
@click.argument("keys", nargs=-1)
@inbox_option
@click.option("--all", "redrive_all", is_flag=True, help="Redrive all dead events.")
def redrive(keys: tuple[str, ...], inbox: Operator, redrive_all: bool) -> None:
    """Process dead or parked events again, resuming where they stopped.

    Completed steps are not repeated. If it is unknown whether a reply was sent, the help desk is asked first.
    """
    if bool(keys) == redrive_all:
        raise click.UsageError("Pass either the keys of events or --all.")
    if redrive_all:
        keys = tuple(entry.key for entry in iterate_entries(inbox, "dead") if entry.event is not None)
    rejected = [key for key in keys if not inbox.redrive(key)]
    click.echo(f"{count_events(len(keys) - len(rejected))} redriven.")
    if rejected:
        raise click.ClickException(f"neither dead nor parked, or unreadable: {', '.join(rejected)}")


@inbox_group.command()
@click.argument("key")
@inbox_option
@click.option("--reason", default="parked by hand", show_default=True, help="The reason, for the next operator.")
def park(key: str, inbox: Operator, reason: str) -> None:
    """Park event KEY, so that no worker processes it.

    The event must be ready. An event that a worker has leased is not interrupted.
    """
    if not inbox.park(key, reason):
        raise click.ClickException(f"No event {key!r} is ready.")


@inbox_group.command()
@inbox_option
@click.option(
    "--before", callback=parse_time, required=True, help="An age, such as 30d or 12h, or a date, such as 2026-11-01."
)
@click.option("--dead", is_flag=True, help="Remove dead and parked events, too.")
def purge(inbox: Operator, before: float, dead: bool) -> None:
    """Remove finished events that have not changed since a given time.

    A later delivery of a removed event is processed as a new one, so keep the events of the last few days.
    """
    click.echo(f"{count_events(inbox.purge(before, dead=dead))} removed.")


@inbox_group.command()
@click.argument("customer")
@inbox_option
@click.option(
    "--cassette",
    "cassettes",
    type=click.Path(exists=True, dir_okay=False),
    multiple=True,
    help="The path of a recording of verdicts, from which to remove the customer as well. Repeatable.",
)
def forget(customer: str, inbox: Operator, cassettes: tuple[str, ...]) -> None:
    """Remove all events of CUSTOMER, and the verdicts about them in recordings.

    CUSTOMER is an id or an email address. Events that are being processed are not removed. The exit status is then 1.
    """
    for path in cassettes:
        number = forget_customer(path, customer)
        click.echo(f"{number} verdict{'' if number == 1 else 's'} removed from {path}.")
    click.echo(f"{count_events(inbox.forget(customer))} removed.")


@inbox_group.command()
@inbox_option
@click.option(
    "--max-age", callback=parse_optional_duration, help="Fail if an event has waited longer: 5m, for example."
)
@click.option("--max-dead", type=click.IntRange(min=0), help="Fail if more events are dead.")
@json_option
def stats(inbox: Inbox, max_age: float | None, max_dead: int | None, as_json: bool) -> None:
    """Count the events in each state, and show how long the oldest event that is due has waited for a worker.

    The exit status is 1 if a limit is exceeded, so that a monitoring system can raise an alarm.
    """
    counts, lag = dict(inbox.count_states()), round(inbox.get_lag(), 1)
    if as_json:
        click.echo(json.dumps({**counts, "lag": lag}))
    else:
        for state, number in counts.items():
            click.echo(f"{state:<8} {number}")
        click.echo(f"lag      {lag:g} s")
    problems: list[str] = []
    if max_age is not None and lag > max_age:
        problems.append(f"an event has waited {lag:g} s, more than {max_age:g} s: is a worker running?")
    if max_dead is not None and counts["dead"] > max_dead:
        problems.append(f"dead events: {counts['dead']}, more than {max_dead}: see `triage inbox list --state dead`.")
    if problems:
        raise click.ClickException(" ".join(problems))


@inbox_group.command()
@inbox_option
def migrate(inbox: Operator) -> None:
    """Create the tables, or update those of an earlier version.

    Every program that opens the inbox does the same, if it may. Run this as a PostgreSQL role that may create tables
    if the role of your application may not.
    """
    inbox.count_states()
    click.echo("The tables are up to date.")


def _format_texts(entry: Entry) -> Iterator[str]:
    """Yield everything that the customer, the model or we wrote."""
    if entry.ledger.verdict is not None:
        yield f"reason       {entry.ledger.verdict.reason}"
    for result in entry.ledger.steps or ():
        yield from (f"{result.step.name:<12} {action.model_dump_json()}" for action in result.step.actions)
    if entry.ledger.conversation is not None:
        yield from (f"\n{message.role}: {message.text}" for message in entry.ledger.conversation.messages)
    elif entry.event is not None:  # not classified yet
        yield f"\n{entry.event.raw.decode(errors='replace')}"


inbox_group.add_command(redo)
inbox_group.add_command(backup)
