"""The protocol of an inbox."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from triage.models import (
    Entry,
    Event,
    Job,
    Ledger,
    Outcome,
    State,
)


class Inbox(Protocol):
    in_memory: bool
    """Where events are kept from the moment they are acknowledged.

    Each method may raise `InboxError`. Those that take a `Job` raise `LeaseLost` where its lease ran out and another
    worker has taken the event over. Times are told as seconds from now, and the inbox's clock alone is asked.
    """

    def add(self, event: Event) -> bool:
        """Store an event, so that it survives a crash. False if its message is known already."""
        ...

    def dead_letter_unreadable(self, vendor: str, body: bytes, error: str) -> bool:
        """Store a signed delivery that cannot be read, parked. False if it is there already."""
        ...

    def lease(self, limit: int, seconds: float, vendor: str | None = None) -> Sequence[Job]:
        """Take events, of one help desk or of all, that are due for a while; the oldest, no two of a conversation."""
        ...

    def lease_key(self, key: str, seconds: float) -> Job | None:
        """The same for a certain event. None if it is done with, is being worked on, or it is not its turn."""
        ...

    def record(self, job: Job, ledger: Ledger) -> None:
        """Write down what has been done."""
        ...

    def extend(self, jobs: Iterable[Job], seconds: float) -> None:
        """Keep the leases of events that take longer. What is lost stays lost."""
        ...

    def finish(self, job: Job, outcome: Outcome, ledger: Ledger | None = None) -> None:
        """Be done with an event. The ledger, here and below, is recorded with it; None leaves what was recorded."""
        ...

    def retry(self, job: Job, error: str, seconds: float, ledger: Ledger | None = None) -> None:
        """Give an event back for a while."""
        ...

    def dead_letter(self, job: Job, error: str, ledger: Ledger | None = None) -> None:
        """Give an event up, for a human to look at."""
        ...

    def list_overdue(self, limit: int, seconds: float, vendor: str | None = None) -> Sequence[str]:
        """The keys of events that could have been begun so long ago, each less and less often."""
        ...

    def set_pause(self, name: str, seconds: float) -> None:
        """Let no worker call a service for a while; a longer time that was set before stays."""
        ...

    def get_pause(self, name: str) -> float:
        """For how many seconds a service is still to be left alone."""
        ...

    def add_spending(self, name: str, amount: float) -> None:
        """Add to a sum that all workers share."""
        ...

    def get_spending(self, name: str) -> float:
        """Tell such a sum; 0 where nothing was added."""
        ...

    def list_entries(
        self, state: State | None = None, *, limit: int = 100, before: int | None = None
    ) -> Sequence[Entry]:
        """List what is there, the newest first; `before` is the number of the last one of the page before."""
        ...

    def get_entry(self, key: str) -> Entry | None:
        """Look one up."""
        ...

    def redrive(self, key: str) -> bool:
        """Let a parked event be tried again, from where its ledger stands. False if there is none."""
        ...

    def park(self, key: str, reason: str) -> bool:
        """Park an event that nobody is working on. False if there is none."""
        ...

    def purge(self, before: float, *, parked: bool = False) -> int:
        """Forget what has been finished (or parked) since a time, in seconds since the epoch; tells how many."""
        ...

    def forget(self, customer: str) -> int:
        """Remove the events of a customer's id or e-mail address that nobody is working on; tells how many."""
        ...

    def count_states(self) -> Mapping[str, int]:
        """Count by state: `ready`, `leased`, `finished`, `parked`."""
        ...

    def close(self) -> None:
        """Close what is open. The next use opens it again."""
        ...
