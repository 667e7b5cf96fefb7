"""`triage replay`: compare how stored events were handled with how a Router would handle them now."""

import asyncio
import json
from collections.abc import Sequence
from itertools import islice
from typing import Any

import click

from triage.actions import Action, Assign, SetPriority, Tag
from triage.cli.arguments import get_inbox, json_option, parse_inbox, parse_router
from triage.inbox.base import Inbox
from triage.inbox.entries import iterate_entries
from triage.models import Entry
from triage.replay import Comparison, Treatment, is_comparable
from triage.replay import replay as replay_entries
from triage.router import Router


@click.command()
@click.argument("router", callback=parse_router)
@click.option("--inbox", "-i", callback=parse_inbox, help="Inbox with the events. Default: the inbox of ROUTER.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    help="Maximum number of events, the newest first.",
)
@click.option(
    "--concurrency",
    type=click.IntRange(min=1),
    default=8,
    show_default=True,
    help="Maximum number of classifier calls at a time.",
)
@json_option
def replay(router: Router, inbox: Inbox | None, limit: int, concurrency: int, as_json: bool) -> None:
    """Try ROUTER on stored events, and show which messages it would treat differently.

    The help desk is not called, and nothing is stored. The classifier is called, which may cost money: see --limit.
    """
    entries = iterate_entries(inbox or get_inbox(router))
    selected = list(islice((entry for entry in entries if is_comparable(router, entry)), limit))
    comparisons = asyncio.run(_compare(router, selected, concurrency))
    if as_json:
        for comparison in comparisons:
            click.echo(json.dumps(_collect_facts(comparison)))
        return
    for comparison in comparisons:
        if comparison.differs:
            before, after = _format_treatment(comparison.before), _format_treatment(comparison.after)
            click.echo(f"{comparison.key}\n  was    {before}\n  would  {after}")
    click.echo(_summarize(comparisons))


async def _compare(router: Router, entries: Sequence[Entry], concurrency: int) -> list[Comparison]:
    async with router:
        router.warm_up()  # without a key, every verdict would be a fallback
        comparisons = [comparison async for comparison in replay_entries(router, entries, concurrency=concurrency)]
        await router.classifier.leave_loop()
    return comparisons


def _summarize(comparisons: Sequence[Comparison]) -> str:
    differing = sum(comparison.differs for comparison in comparisons)
    prices = [comparison.cost_usd for comparison in comparisons if comparison.cost_usd is not None]
    cost = f", {sum(prices):.4f} USD" if prices else ""
    return f"{len(comparisons)} events, {differing} would be treated differently{cost}."


def _collect_facts(comparison: Comparison) -> dict[str, Any]:
    return {
        "key": comparison.key,
        "conversation_id": comparison.conversation_id,
        "differs": comparison.differs,
        "before": _format_treatment(comparison.before),
        "after": _format_treatment(comparison.after),
        "cost_usd": comparison.cost_usd,
    }


def _format_treatment(treatment: Treatment) -> str:
    fallback = " (fallback)" if treatment.fallback else ""
    actions = ", ".join(map(format_action, treatment.actions)) or "nothing"
    return f"{treatment.bucket}{fallback}, {treatment.status}: {actions}"


def format_action(action: Action) -> str:
    """Format an action without its text, which may quote the customer.

    Args:
        action: The action.
    """
    match action:
        case Assign(team=team, user=user):
            return f"assign {team or user}"
        case Tag(names=names):
            return f"tag {' '.join(names)}"
        case SetPriority(priority=priority):
            return f"priority {priority}"
        case _:
            return action.type
