"""All commands. None shows what a customer wrote unless it is asked to."""

import asyncio
import json
import logging
import signal
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any, get_args

import click

from triage import text as _text
from triage.actions import Action, Assign, SetPriority, Tag
from triage.cli import _named
from triage.cli._named import inbox_of
from triage.engine.attempt import ATTEMPTS
from triage.errors import InboxError
from triage.inbox.base import Inbox
from triage.models import Entry, State
from triage.replay import Comparison, Treatment, is_comparable
from triage.replay import replay as compare
from triage.router import Router
from triage.worker import Worker

_PAGE = 500  # entries that are read at a time


class _Reporting(click.Group):
    """Tells of an inbox that fails in a line, as of any other wrong argument."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except InboxError as err:
            raise click.ClickException(str(err)) from err


_inbox = click.option(
    "--inbox",
    "-i",
    callback=_named.inbox,
    envvar="TRIAGE_INBOX",
    show_envvar=True,
    required=True,
    help="The path of a SQLite file, a postgresql:// address, or module:router.",
)
_as_json = click.option("--json", "as_json", is_flag=True, help="As JSON, a line for each.")


@click.group(cls=_Reporting)
@click.version_option(package_name="chat-triage")
def triage() -> None:
    """Route help-desk conversations: run workers, look after what is stored, try another policy."""


@triage.command()
@click.argument("router", callback=_named.router)
@click.option("--concurrency", type=click.IntRange(min=1), default=32, show_default=True, help="Events at a time.")
@click.option("--lease", type=click.FloatRange(min=1), default=60.0, show_default=True, help="Seconds of silence.")
@click.option("--attempts", type=click.IntRange(min=1), default=ATTEMPTS, show_default=True, help="Before parking.")
@click.option("--drain", type=click.FloatRange(min=0), default=30.0, show_default=True, help="Seconds to end in.")
def work(router: Router, concurrency: int, lease: float, attempts: int, drain: float) -> None:
    """Route what ROUTER's inbox holds, until SIGTERM or SIGINT.

    ROUTER is module:attribute. On a signal no more events are taken, and those that are being worked on are ended; a
    second signal ends at once. The exit status is 0 if all were ended.
    """
    inbox_of(router)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("triage").setLevel(logging.INFO)
    stop = threading.Event()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def stopping(*_: object) -> None:
        stop.set()
        for number in handlers:
            signal.signal(number, signal.SIG_DFL)

    for number in handlers:
        signal.signal(number, stopping)
    router.warm_up()
    worker = Worker(router, concurrency=concurrency, lease=lease, attempts=attempts)
    worker.start()
    click.echo(f"Working for {router!r}.", err=True)
    stop.wait()
    click.echo("Ending what is being worked on.", err=True)
    done = worker.drain(drain)
    for number, handler in handlers.items():
        signal.signal(number, handler)
    sys.exit(0 if done else 1)


@triage.group()
def inbox() -> None:
    """Look after what is stored."""


@inbox.command("list")
@_inbox
@click.option("--state", type=click.Choice(get_args(State)), help="Only these.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True)
@_as_json
def list_(inbox: Inbox, state: State | None, limit: int, as_json: bool) -> None:
    """List events, the newest first."""
    for entry in islice(_all(inbox, state), limit):
        if as_json:
            click.echo(json.dumps(_facts(entry)))
        else:
            facts = _facts(entry)
            told = facts["error"] or facts["status"] or ""
            click.echo(f"{facts['received']}  {entry.state:<8}  {entry.attempts:>2}x  {entry.key}  {told}")


@inbox.command()
@click.argument("key")
@_inbox
@click.option("--text", is_flag=True, help="Show what the customer wrote, and what was written to the customer.")
def show(key: str, inbox: Inbox, text: bool) -> None:
    """Tell all that is known of the event KEY."""
    entry = inbox.get_entry(key)
    if entry is None:
        raise click.ClickException(f"The inbox holds no {key!r}.")
    for name, value in _facts(entry).items():
        if value is not None:
            click.echo(f"{name:<12} {value}")
    if entry.ledger.verdict is not None:
        verdict = entry.ledger.verdict
        click.echo(f"verdict      {verdict.bucket} ({verdict.confidence:.2f}){' fallback' if verdict.fallback else ''}")
        if verdict.fallback:  # else the reason is in a model's words, about the customer's
            click.echo(f"reason       {verdict.reason}")
    for result in entry.ledger.steps or ():
        click.echo(f"step         {result}{f': {result.detail}' if result.detail else ''}")
    if text:
        for line in _texts(entry):
            click.echo(_text.clean(line))


@inbox.command()
@click.argument("keys", nargs=-1)
@_inbox
@click.option("--all", "everything", is_flag=True, help="All that is parked.")
def redrive(keys: tuple[str, ...], inbox: Inbox, everything: bool) -> None:
    """Let parked events be tried again, from where they stopped.

    What was done for them is not done again. A reply of which nobody knows whether it was sent is looked for first.
    """
    if bool(keys) == everything:
        raise click.UsageError("Name the keys of parked events, or say --all.")
    if everything:
        keys = tuple(entry.key for entry in _all(inbox, "dead") if entry.event is not None)
    missing = [key for key in keys if not inbox.redrive(key)]
    click.echo(f"{len(keys) - len(missing)} to be tried again.")
    if missing:
        raise click.ClickException(f"not parked, or without an event: {', '.join(missing)}")


@inbox.command()
@click.argument("key")
@_inbox
@click.option("--reason", default="by hand", show_default=True, help="For whoever looks at it.")
def park(key: str, inbox: Inbox, reason: str) -> None:
    """Set the event KEY aside, for a human. It must be waiting: one that is being worked on is not interrupted."""
    if not inbox.park(key, reason):
        raise click.ClickException(f"No event {key!r} is waiting.")


@inbox.command()
@_inbox
@click.option(
    "--before", callback=_named.moment, required=True, help="An age, such as 30d or 12h, or a day, such as 2026-11-01."
)
@click.option("--parked", is_flag=True, help="What is parked, too.")
def purge(inbox: Inbox, before: float, parked: bool) -> None:
    """Forget what was finished so long ago.

    A delivery of it that comes again is taken for a new one: keep some days.
    """
    click.echo(f"{inbox.purge(before, dead=parked)} forgotten.")


@inbox.command()
@click.argument("customer")
@_inbox
def forget(customer: str, inbox: Inbox) -> None:
    """Remove all events of CUSTOMER, an id or an e-mail address, but those that are being worked on."""
    click.echo(f"{inbox.forget(customer)} removed.")


@inbox.command()
@_inbox
@_as_json
def stats(inbox: Inbox, as_json: bool) -> None:
    """Count events by their state."""
    counted = dict(inbox.count_states())
    if as_json:
        click.echo(json.dumps(counted))
    else:
        for state, number in counted.items():
            click.echo(f"{state:<8} {number}")


@triage.command()
@click.argument("router", callback=_named.router)
@click.option("--inbox", "-i", callback=_named.inbox, help="Where the events are. Default: ROUTER's own inbox.")
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True, help="Events, the newest first.")
@click.option("--concurrency", type=click.IntRange(min=1), default=8, show_default=True, help="Questions at a time.")
@_as_json
def replay(router: Router, inbox: Inbox | None, limit: int, concurrency: int, as_json: bool) -> None:
    """Run stored events against ROUTER, and show who would be treated differently.

    The help desk is not called and nothing is written. The classifier is asked, which costs; see --limit.
    """
    stored = inbox or inbox_of(router)
    entries = list(islice((entry for entry in _all(stored) if is_comparable(router, entry)), limit))

    async def compared() -> list[Comparison]:
        async with router:
            return [comparison async for comparison in compare(router, entries, concurrency=concurrency)]

    comparisons = asyncio.run(compared())
    for comparison in comparisons:
        if as_json:
            click.echo(json.dumps(_told(comparison)))
        elif comparison.differs:
            click.echo(f"{comparison.key}\n  was    {_line(comparison.before)}\n  would  {_line(comparison.after)}")
    if not as_json:
        differing = sum(comparison.differs for comparison in comparisons)
        prices = [comparison.cost_usd for comparison in comparisons]
        known = [price for price in prices if price is not None]
        cost = f", {sum(known):.4f} USD" if known else ""
        click.echo(f"{len(comparisons)} events, {differing} would be treated differently{cost}.")


def _all(inbox: Inbox, state: State | None = None) -> Iterator[Entry]:
    """All entries, the newest first, page by page."""
    before = None
    while page := inbox.list_entries(state, limit=_PAGE, before=before):
        yield from page
        before = page[-1].number


def _facts(entry: Entry) -> dict[str, Any]:
    return {
        "key": entry.key,
        "state": entry.state,
        "attempts": entry.attempts,
        "received": _time(entry.received),
        "due": _time(entry.due) if entry.state in ("ready", "leased") else None,
        "changed": _time(entry.changed),
        "status": entry.outcome.status if entry.outcome else None,
        "error": entry.error,
    }


def _texts(entry: Entry) -> Iterator[str]:
    """What was written, by whomever."""
    if entry.ledger.verdict is not None:
        yield f"reason       {entry.ledger.verdict.reason}"
    for result in entry.ledger.steps or ():
        yield from (f"{result.step.name:<12} {action.model_dump_json()}" for action in result.step.actions)
    if entry.event is not None:
        conversation = entry.ledger.conversation or entry.event.conversation
        yield from (f"\n{message.role}: {message.text}" for message in conversation.messages)


def _told(comparison: Comparison) -> dict[str, Any]:
    return {
        "key": comparison.key,
        "conversation_id": comparison.conversation_id,
        "differs": comparison.differs,
        "before": _line(comparison.before),
        "after": _line(comparison.after),
        "cost_usd": comparison.cost_usd,
    }


def _line(treatment: Treatment) -> str:
    fallback = " (fallback)" if treatment.fallback else ""
    return f"{treatment.bucket}{fallback}, {treatment.status}: {', '.join(map(_short, treatment.actions)) or 'nothing'}"


def _short(action: Action) -> str:
    """An action without texts."""
    match action:
        case Assign(team=team, user=user):
            return f"assign {team or user}"
        case Tag(names=names):
            return f"tag {' '.join(names)}"
        case SetPriority(priority=priority):
            return f"priority {priority}"
        case _:
            return action.type


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(sep=" ", timespec="seconds")
