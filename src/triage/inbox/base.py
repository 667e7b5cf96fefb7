"""The protocols of an inbox, one for each kind of caller.

A `ready` event may be leased from `due` on. A `leased` event belongs to one worker until `due`; if that worker dies,
another one leases the event again. `finished`, `dead` and `parked` events are not leased. Events of one conversation
are leased one at a time, in the order in which they were stored. A later event waits until the earlier ones are
finished, dead or parked.

Every method may raise `InboxError`. The clock of the inbox measures all durations, so the clocks of the workers need
not agree. If it is set back, events keep the durations that were left, and pauses end.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol, runtime_checkable

from triage.actions import Reply
from triage.errors import InboxError, LeaseLost
from triage.models import Customer, Entry, Event, Job, Ledger, Outcome, State

SPENDING_KEPT = 48 * 3600.0
"""Seconds for which `purge` keeps a total. After that, its day has ended in every time zone."""

CLOCK_STEP = 60.0
"""Seconds by which something must have been written in the future to prove that the clock was set back."""

INTERRUPTED = "the last attempt was interrupted: its worker was killed or paused, or could not write to the inbox"
"""The error of an event whose lease expired, until its next attempt ends."""


class Receiver(Protocol):
    """Stores deliveries before they are acknowledged."""

    def add(self, event: Event, delay: float = 0.0, *, after_dry_run: bool = False) -> bool:
        """Store an event. Once this method returns, the event survives a crash of the process.

        Args:
            event: The event, from `Router.receive`.
            delay: Seconds until the event may be leased.
            after_dry_run: True to process an event again that is `planned`, because only a dry run has processed it.

        Returns:
            False if an event with the same key is already stored.
        """
        ...

    def dead_letter_unreadable(self, owner: str, body: bytes, error: str) -> bool:
        """Store a signed delivery that cannot be parsed, as `dead`.

        Args:
            owner: The name of the Router that received it.
            body: The body as it arrived.
            error: The reason, without customer text.

        Returns:
            False if the same body is already stored.
        """
        ...


class WorkQueue(Protocol):
    """Leases events to workers and stores their progress.

    Methods that take a `Job` raise `LeaseLost` if the lease expired and another worker leased the event, or if the
    event is no longer leased. Do not change a ledger after you have passed it to one of them.
    """

    def lease(self, limit: int, seconds: float, owner: str | None = None, *, interrupted: bool = True) -> Sequence[Job]:
        """Lease events that are due, the oldest first and at most one of each conversation.

        An expired lease means that the last attempt was interrupted, perhaps because the event killed its worker. Of
        these events, only the first of each owner is leased, so that it does not interrupt the others again.

        Args:
            limit: The maximum number of events.
            seconds: Seconds until the leases expire.
            owner: The name of the Router whose events to lease; None for those of all Routers.
            interrupted: False to leave out events whose last attempt was interrupted, because the worker is already
                processing one.
        """
        ...

    def lease_key(self, key: str, seconds: float) -> Job | None:
        """Lease a particular event.

        Args:
            key: The key of the event.
            seconds: Seconds until the lease expires.

        Returns:
            None if the event is not stored, is not due, is leased or settled, or waits for an earlier event of its
            conversation.
        """
        ...

    def record(self, job: Job, ledger: Ledger) -> None:
        """Store the progress of an event, and renew its lease.

        Args:
            job: The lease of the event.
            ledger: The ledger, which replaces the stored one.
        """
        ...

    def extend(self, jobs: Iterable[Job], seconds: float) -> None:
        """Extend leases, as a worker's heartbeat. Lost leases are skipped silently.

        Args:
            jobs: The leases.
            seconds: Seconds until they expire, from now.
        """
        ...

    def finish(self, job: Job, outcome: Outcome, ledger: Ledger | None = None) -> None:
        """Mark an event as finished, or as `planned` if that is the outcome's status.

        Args:
            job: The lease of the event.
            outcome: The outcome of the event.
            ledger: The ledger to store. None keeps the stored one.
        """
        ...

    def retry(self, job: Job, error: str, seconds: float, ledger: Ledger | None = None) -> None:
        """Return an event to the queue for another attempt. Later events of its conversation wait for it.

        Args:
            job: The lease of the event.
            error: The reason, without customer text.
            seconds: Seconds until the next attempt, at the earliest.
            ledger: The ledger to store. None keeps the stored one.
        """
        ...

    def dead_letter(self, job: Job, error: str, ledger: Ledger | None = None, outcome: Outcome | None = None) -> None:
        """Give up on an event and keep it for an operator. Later events of its conversation proceed.

        Args:
            job: The lease of the event.
            error: The reason, without customer text.
            ledger: The ledger to store. None keeps the stored one.
            outcome: The outcome of the last attempt.
        """
        ...

    def list_overdue(self, limit: int, seconds: float, owner: str | None = None) -> Sequence[str]:
        """Return the keys of events that could have been leased for at least `seconds`.

        This is for runners that send keys through a queue, such as Celery. Messages can be lost, so the sweeper sends
        overdue keys again. Once a key has been returned, it is returned again only after the event has waited twice as
        long, so that a queue without workers does not overflow.

        Args:
            limit: The maximum number of keys.
            seconds: How long the events must have been due.
            owner: The name of the Router whose events to list; None for those of all Routers.
        """
        ...


class Past(Protocol):
    """Knows what happened before in a conversation, and to a customer."""

    def list_related(self, key: str, limit: int) -> Sequence[Entry]:
        """List the other events of an event's conversation, the newest first, without the events themselves.

        Args:
            key: The key of the event.
            limit: The maximum number of entries.
        """
        ...

    def count_replies(self, owner: str, customer: Customer, seconds: float) -> int:
        """Return how many events led to a reply to a customer, in any conversation.

        Args:
            owner: The name of the Router that replied.
            customer: The customer, recognized by id or email address.
            seconds: The length of the period, up to now.
        """
        ...


class Heartbeats(Protocol):
    """Knows when a worker was last seen, and how far behind the workers are."""

    def record_heartbeat(self, owner: str) -> None:
        """Record that a worker of a Router is running.

        Args:
            owner: The name of the Router.
        """
        ...

    def get_heartbeat_age(self, owner: str) -> float | None:
        """Return the seconds since the last heartbeat of a worker, or None if there was none.

        Args:
            owner: The name of the Router.
        """
        ...

    def get_lag(self, owner: str | None = None) -> float:
        """Return for how many seconds the event that waits longest could have been leased; 0 if none waits.

        Events that are not due yet, or that wait for an earlier event of their conversation, do not count.

        Args:
            owner: The name of the Router whose events count; None for those of all Routers.
        """
        ...


class SharedLimits(Protocol):
    """Pauses and spending that all workers of an inbox share."""

    def set_pause(self, name: str, seconds: float) -> None:
        """Pause all calls to a service.

        Args:
            name: The name of the service.
            seconds: The length of the pause, from now. A pause that ends later is kept.
        """
        ...

    def get_pause(self, name: str) -> float:
        """Return the seconds until a service may be called again; 0 if it may be called now.

        Args:
            name: The name of the service.
        """
        ...

    def add_spending(self, name: str, amount: float) -> None:
        """Add to a total.

        Args:
            name: The name of the total, which contains the day.
            amount: The amount to add.
        """
        ...

    def get_spending(self, name: str) -> float:
        """Return a total, or 0 if nothing has been added yet.

        Args:
            name: The name of the total.
        """
        ...


class Operator(Protocol):
    """Inspects and repairs the stored events: the `triage inbox` commands."""

    def list_entries(
        self, state: State | None = None, *, limit: int = 100, before: int | None = None
    ) -> Sequence[Entry]:
        """List entries, the newest first.

        Args:
            state: Only entries in this state.
            limit: The maximum number of entries.
            before: Only entries with a lower number. For the next page, the number of the last entry.
        """
        ...

    def get_entry(self, key: str) -> Entry | None:
        """Return the entry with this key, or None.

        Args:
            key: The key of the event.
        """
        ...

    def redrive(self, key: str) -> bool:
        """Make a dead, parked or planned event ready again, to be planned again with the current policy.

        Args:
            key: The key of the event.

        Returns:
            False if no event with this key is dead, parked or planned, or if the delivery could not be read.
        """
        ...

    def reopen(self, key: str, ledger: Ledger) -> bool:
        """Make a finished or planned event ready again, with another ledger.

        Args:
            key: The key of the event.
            ledger: The ledger, which replaces the stored one.

        Returns:
            False if no event with this key is finished or planned, or if the event itself is no longer stored.
        """
        ...

    def park(self, key: str, reason: str) -> bool:
        """Park a ready event, so that no worker processes it.

        Args:
            key: The key of the event.
            reason: The reason, for the next operator.

        Returns:
            False if no event with this key is `ready`.
        """
        ...

    def purge(self, before: float, *, dead: bool = False) -> int:
        """Remove finished events. A later delivery of a removed event counts as new.

        Args:
            before: Only events that have not changed since this time, in seconds since the epoch.
            dead: True removes dead and parked events, too.

        Returns:
            The number of removed events.
        """
        ...

    def forget(self, customer: str) -> int:
        """Remove all events of a customer.

        Deliveries that could not be read are not removed, because their customer is unknown.

        Args:
            customer: The id or email address of the customer, as in the webhook.

        Returns:
            The number of removed events.

        Raises:
            InboxError: Some events are leased, or the database still contains copies of removed text. The other events
                were removed.
        """
        ...

    def count_states(self, owner: str | None = None) -> Mapping[str, int]:
        """Return the number of events in each state.

        Args:
            owner: The name of the Router whose events to count; None for those of all Routers.
        """
        ...


@runtime_checkable
class RunsTogether(Protocol):
    """Can run several calls together, which an inbox need not be able to."""

    batches: int
    """How many threads may call `run_together` at the same time without waiting for each other."""
    batch_size: int
    """How many functions should run together at most."""

    def run_together(self, functions: Sequence[Callable[[], None]]) -> None:
        """Run functions that call this inbox, with all their changes in one transaction.

        If the transaction is rolled back, each function runs again, alone.

        Args:
            functions: The functions, which handle their errors themselves.

        Raises:
            InboxError: It is unknown whether the changes are stored.
        """
        ...


class Inbox(Receiver, WorkQueue, Past, Heartbeats, SharedLimits, Operator, Protocol):
    """Stores events from the moment they are acknowledged until they are removed."""

    in_memory: bool
    """True if no method waits for a disk or a network, so that code on an event loop may call them directly."""

    def close(self) -> None:
        """Close files and connections. The next call opens them again."""
        ...


def build_heartbeat_name(owner: str) -> str:
    """Return the name under which the heartbeats of a Router's workers are stored.

    Args:
        owner: The name of the Router.
    """
    return f"a worker of {owner}"


def build_unreadable_key(owner: str, body: bytes) -> str:
    """Return the key of a delivery that cannot be read. Equal bodies have equal keys.

    Args:
        owner: The name of the Router that received it.
        body: The body as it arrived.
    """
    return f"{owner}:malformed:{hashlib.sha256(body).hexdigest()[:32]}"


def was_handled(outcome: Outcome) -> bool:
    """Return whether a step was performed."""
    return any(result.status == "done" for result in outcome.steps)


def was_answered(outcome: Outcome) -> bool:
    """Return whether the customer was, or may have been, sent a reply."""
    return any(
        result.status in ("done", "unknown") and any(isinstance(action, Reply) for action in result.step.actions)
        for result in outcome.steps
    )


def find_customer(job: Job, ledger: Ledger | None) -> Customer:
    """Return the customer of an event, as the help desk's API describes him, or else as the webhook does."""
    return (ledger or job.ledger).customer or job.event.customer


def build_remaining(removed: int, found: int) -> InboxError:
    """Build the error for events of a customer that cannot be removed now.

    Args:
        removed: How many events were removed.
        found: How many events the customer had.
    """
    return InboxError(f"{removed} of {found} events were removed. The others are being processed: repeat this later.")


def build_lease_lost(key: str) -> LeaseLost:
    """Build the error for a write with an outdated lease.

    Args:
        key: The key of the event.
    """
    return LeaseLost(f"the lease of {key} is lost: another worker has taken over the event, or it is settled")
