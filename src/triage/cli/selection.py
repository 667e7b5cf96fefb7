"""Options that select stored events, for `triage inbox list` and `triage inbox redo`."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import wraps
from typing import Any, get_args

import click

from triage.inbox.base import Operator
from triage.inbox.entries import iterate_entries
from triage.models import Entry, FallbackReason, State, Status
from triage.models.verdict import FALLBACK_REASONS


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The values of the options. An event is selected if it satisfies all that are set."""

    day: date | None = None
    bucket: str | None = None
    status: Status | None = None
    fallback: FallbackReason | None = None
    any_fallback: bool = False
    below: float | None = None

    @property
    def is_empty(self) -> bool:
        """True if no option is set."""
        return self == Selection()

    def find(self, inbox: Operator, state: State | None = None) -> Iterator[Entry]:
        """Yield the selected events of an inbox, the newest first.

        Args:
            inbox: The inbox.
            state: Only events in this state.
        """
        return filter(self._matches, iterate_entries(inbox, state))

    def _matches(self, entry: Entry) -> bool:
        if self.day is not None and datetime.fromtimestamp(entry.received, UTC).date() != self.day:
            return False
        if self.status is not None and (entry.outcome is None or entry.outcome.status != self.status):
            return False
        verdict = entry.ledger.verdict
        if verdict is None:
            return self.bucket is None and self.fallback is None and not self.any_fallback and self.below is None
        return (
            self.bucket in (None, verdict.bucket)
            and self.fallback in (None, verdict.fallback_reason)
            and (verdict.fallback or not self.any_fallback)
            and (self.below is None or verdict.confidence < self.below)
        )


def selection_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options to a command, which gets the argument `selection`.

    Args:
        command: The function of the command.
    """

    @wraps(command)
    def select(
        day: datetime | None,
        bucket: str | None,
        status: Status | None,
        fallback: str | None,
        below: float | None,
        **arguments: Any,
    ) -> Any:
        selection = Selection(
            day=day.date() if day else None,
            bucket=bucket,
            status=status,
            fallback=next((reason for reason in FALLBACK_REASONS if reason == fallback), None),
            any_fallback=fallback == "any",
            below=below,
        )
        return command(selection=selection, **arguments)

    options = (
        click.option("--day", type=click.DateTime(["%Y-%m-%d"]), help="Only events received on this day, in UTC."),
        click.option("--bucket", help="Only events with a verdict for this bucket."),
        click.option("--status", type=click.Choice(get_args(Status)), help="Only events with this status."),
        click.option(
            "--fallback",
            type=click.Choice(("any", *FALLBACK_REASONS)),
            help="Only events without a verdict, for any reason or this one.",
        ),
        click.option("--below", type=click.FloatRange(0, 1), help="Only verdicts with a lower confidence."),
    )
    for option in reversed(options):
        select = option(select)
    return select
