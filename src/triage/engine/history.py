"""What happened before in a conversation, from the events of it that the inbox still has."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from triage.actions import Reply
from triage.models import Entry

_ROUTED = frozenset({"routed", "closed", "partial", "review", "suggested"})

MOST_ENTRIES = 50
"""How many entries to read, unless a limit counts more."""


@dataclass(frozen=True)
class History:
    """The other events of an event's conversation.

    Args:
        entries: The entries, the newest first.
        received: When the event itself was stored, in seconds since the epoch.
    """

    entries: Sequence[Entry] = ()
    received: float = 0.0

    @property
    def newer(self) -> Entry | None:
        """The newest event of the conversation, if it is newer than this one and waits to be processed."""
        newest = next((entry for entry in self.entries if entry.state == "ready"), None)
        return newest if newest is not None and newest.received >= self.received else None

    @property
    def waiting_since(self) -> float:
        """When the first of the events that were superseded one after the other was received."""
        since = self.received
        for entry in self.entries:
            if entry.outcome is None or entry.received > since:
                continue
            if entry.outcome.status != "superseded":
                break
            since = entry.received
        return since

    def count_handled(self, since: float) -> int:
        """Return how many events led to an action after a time, in seconds since the epoch."""
        return sum(entry.handled and entry.changed > since for entry in self.entries)

    def find_bucket(self, since: float, closed_at: datetime | None) -> str | None:
        """Return the bucket to which the conversation was routed last, or None.

        Args:
            since: Ignore what happened earlier, in seconds since the epoch.
            closed_at: When the conversation was last closed. Closing it ends the earlier episode.
        """
        start = max(since, closed_at.timestamp() if closed_at else 0.0)
        for entry in self.entries:
            verdict, outcome = entry.ledger.verdict, entry.outcome
            if verdict is not None and outcome is not None and outcome.status in _ROUTED and entry.changed > start:
                return verdict.bucket
        return None

    @property
    def judged(self) -> frozenset[str]:
        """Ids of the messages that earlier verdicts cover, except those whose event failed."""
        return _collect(entry.ledger.judged for entry in self.entries if entry.state == "finished")

    @property
    def has_unconfirmed_reply(self) -> bool:
        """True if an event failed because the outcome of its reply is unknown."""
        return any(
            result.status == "unknown" and any(isinstance(action, Reply) for action in result.step.actions)
            for entry in self.entries
            if entry.state in ("dead", "parked")
            for result in entry.ledger.steps or ()
        )

    @property
    def written(self) -> frozenset[str]:
        """Ids of the messages that we wrote."""
        return _collect(entry.ledger.written for entry in self.entries)


def _collect(ids: Iterable[Iterable[str]]) -> frozenset[str]:
    return frozenset(one for group in ids for one in group)
