"""`triage inbox redo`: process finished events again."""

import click

from triage.cli.arguments import inbox_option
from triage.cli.facts import count_events, format_line
from triage.cli.selection import Selection, selection_options
from triage.inbox.base import Operator
from triage.models import Entry, Ledger


@click.command()
@click.argument("keys", nargs=-1)
@inbox_option
@selection_options
@click.option("--reclassify", is_flag=True, help="Ask for new verdicts. Without it, only missing ones are requested.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
def redo(keys: tuple[str, ...], inbox: Operator, selection: Selection, reclassify: bool, yes: bool) -> None:
    """Process finished events again, after a preview and a confirmation.

    Name the events by their KEYS, or select them: `--status planned` after a dry run, `--fallback unavailable` after an
    outage of the classifier. Verdicts that were missing are requested again, and the actions are planned with the
    current policy. Completed steps are not repeated, and no customer gets a second reply.
    """
    if bool(keys) != selection.is_empty:
        raise click.UsageError("Pass either the keys of events, or options that select events.")
    entries = _find_by_key(inbox, keys) if keys else list(filter(_is_finished, selection.find(inbox)))
    for entry in reversed(entries):
        done = [result.step.name for result in entry.ledger.steps or () if result.status == "done"]
        click.echo(format_line(entry) + (f"  keeps {', '.join(done)}" if done else ""))
    if not entries:
        click.echo("No finished event is selected.")
        return
    if not yes:
        click.confirm(f"Process {count_events(len(entries))} again?", abort=True)
    # The oldest first, so that the events of a conversation keep their order.
    number = sum(_reopen(inbox, entry, reclassify=reclassify) for entry in reversed(entries))
    click.echo(f"{count_events(number)} will be processed again.")
    if number < len(entries):
        raise click.ClickException(
            f"{count_events(len(entries) - number)} changed in the meantime. Look at them again."
        )


def _reopen(inbox: Operator, entry: Entry, *, reclassify: bool) -> bool:
    """Reopen an event, unless it has changed since it was shown: its ledger would lack the steps done since then."""
    current = inbox.get_entry(entry.key)
    if current is None or current.changed != entry.changed:
        return False
    return inbox.reopen(entry.key, _reset(entry.ledger, reclassify=reclassify))


def _find_by_key(inbox: Operator, keys: tuple[str, ...]) -> list[Entry]:
    entries = {key: inbox.get_entry(key) for key in keys}
    finished = [entry for entry in entries.values() if entry is not None and _is_finished(entry)]
    others = [key for key, entry in entries.items() if entry not in finished]
    if others:
        raise click.ClickException(
            f"not finished, or unreadable: {', '.join(others)}. For dead and parked events, use `triage inbox redrive`."
        )
    return sorted(finished, key=lambda entry: entry.number, reverse=True)


def _is_finished(entry: Entry) -> bool:
    return entry.state in ("finished", "planned") and entry.event is not None


def _reset(ledger: Ledger, *, reclassify: bool) -> Ledger:
    """Return a ledger with which an event is decided again. The results of its steps are kept."""
    return ledger.model_copy(update={"verdict": None, "judged": ()}) if reclassify else ledger
