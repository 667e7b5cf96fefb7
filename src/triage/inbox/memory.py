"""The inbox for one process, which stores events in memory: for tests, and for a Router without another inbox."""

import threading
import time
from bisect import insort
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from operator import attrgetter
from typing import ClassVar, Self, TypeAlias, get_args

from typing_extensions import override

from triage.errors import ConfigurationError, InboxError
from triage.inbox.base import (
    CLOCK_STEP,
    INTERRUPTED,
    SPENDING_KEPT,
    Inbox,
    build_heartbeat_name,
    build_lease_lost,
    build_remaining,
    build_unreadable_key,
    find_customer,
    was_answered,
    was_handled,
)
from triage.inbox.traces import Trace, build_trace, find_events
from triage.io.fork import register_at_fork
from triage.models import Customer, Entry, Event, Job, Ledger, Outcome, State, Status, Verdict

_EMPTY_LEDGER = Ledger()

_get_number = attrgetter("number")


@dataclass(slots=True, eq=False)
class _Row:
    """A stored event that is not finished."""

    number: int
    key: str
    owner: str
    conversation: str
    state: State
    due: float
    received: float
    changed: float
    customer: str | None = None
    email: str | None = None
    event: Event | None = None
    ledger: Ledger = _EMPTY_LEDGER
    attempts: int = 0
    fencing_token: int = 0
    outcome: Outcome | None = None
    handled: bool = False
    replied: bool = False
    error: str | None = None
    reported: float = 0.0

    def build_trace(self) -> Trace:
        stored = Customer(id=self.customer, email=self.email)
        return build_trace(self.number, self.owner, self.conversation, stored, self.event, self.ledger)

    def build_entry(self) -> Entry:
        return _build_entry(self, due=self.due, event=self.event, ledger=self.ledger, outcome=self.outcome)


@dataclass(slots=True, eq=False)
class _Finished:
    """A finished event, of which as little as possible is kept: most events are finished."""

    state: ClassVar[State] = "finished"

    number: int
    key: str
    owner: str
    conversation: str
    received: float
    changed: float
    attempts: int
    customer: str | None
    email: str | None
    error: str | None
    handled: bool
    replied: bool
    status: Status
    reason: str
    bucket: str | None
    judged: tuple[str, ...]
    written: tuple[str, ...]

    @classmethod
    def summarize(cls, row: _Row, outcome: Outcome) -> Self:
        ledger = row.ledger
        return cls(
            number=row.number,
            key=row.key,
            owner=row.owner,
            conversation=row.conversation,
            received=row.received,
            changed=row.changed,
            attempts=row.attempts,
            customer=row.customer,
            email=row.email,
            error=row.error,
            handled=row.handled,
            replied=row.replied,
            status=outcome.status,
            reason=outcome.reason,
            bucket=ledger.verdict.bucket if ledger.verdict is not None else None,
            judged=ledger.judged,
            written=ledger.written,
        )

    def build_trace(self) -> Trace:
        stored = Customer(id=self.customer, email=self.email)
        return build_trace(self.number, self.owner, self.conversation, stored, None, None)

    def build_entry(self) -> Entry:
        return _build_entry(self, due=self.changed, ledger=self.build_ledger(), outcome=self.build_outcome())

    def build_ledger(self) -> Ledger:
        verdict = Verdict(bucket=self.bucket) if self.bucket is not None else None
        return Ledger(verdict=verdict, judged=self.judged, written=self.written)

    def build_outcome(self) -> Outcome:
        return Outcome(status=self.status, reason=self.reason, key=self.key)


_Settled: TypeAlias = _Row | _Finished


def _build_entry(
    row: _Settled, *, due: float, ledger: Ledger, outcome: Outcome | None, event: Event | None = None
) -> Entry:
    return Entry(
        number=row.number,
        key=row.key,
        state=row.state,
        due=due,
        attempts=row.attempts,
        received=row.received,
        changed=row.changed,
        handled=row.handled,
        error=row.error,
        event=event,
        ledger=ledger,
        outcome=outcome,
    )


class _Index:
    """Settled events by a name that they share, in the order in which they were settled.

    Most names belong to one event. A list for each of them would take more memory than the rest of the index.
    """

    def __init__(self) -> None:
        self._rows: dict[str, _Settled | list[_Settled]] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, name: str) -> Sequence[_Settled]:
        rows = self._rows.get(name, [])
        return rows if isinstance(rows, list) else [rows]

    def add(self, name: str, row: _Settled) -> None:
        rows = self._rows.setdefault(name, row)
        if isinstance(rows, list):
            rows.append(row)
        elif rows is not row:
            self._rows[name] = [rows, row]

    def remove(self, name: str, row: _Settled) -> None:
        rows = self._rows[name]
        if isinstance(rows, list) and len(rows) > 1:
            rows.remove(row)
        else:
            del self._rows[name]


class MemoryInbox(Inbox):
    """Stores events in the memory of this process. A crash loses them.

    Of a finished event, it keeps about 1 KB: the key, to recognize repeated deliveries, the customer, the bucket, the
    ids of the messages, and the status and reason of the outcome.

    Args:
        capacity: The maximum number of open events, and the maximum number of finished, dead and parked events
            together. When the inbox is full, it rejects new events, and removes the oldest of the others, which then
            no longer count for repeated deliveries and limits.
        clock: Returns the seconds since the epoch.

    Raises:
        ConfigurationError: The capacity is less than one.
    """

    in_memory = True

    def __init__(self, capacity: int = 5_000, *, clock: Callable[[], float] = time.time) -> None:
        if capacity < 1:
            raise ConfigurationError(f"MemoryInbox: capacity must be at least 1, not {capacity}.")
        self._capacity = capacity
        self._clock = clock
        self._lock = threading.Lock()
        self._last_number = 0
        self._open: dict[str, _Row] = {}
        """The ready and leased events by key."""
        self._queues: dict[str, list[_Row]] = {}
        """The ready and leased events of each conversation, the oldest first."""
        self._settled: dict[str, _Settled] = {}
        """The other events by key, in the order in which they were settled."""
        self._past = _Index()
        """The settled events of each conversation."""
        self._replied = _Index()
        """The settled events that led to a reply, for each id and email address of a customer."""
        self._limits: dict[str, tuple[float, float]] = {}
        """Pauses and totals by name, with the time of the last change."""
        register_at_fork(self)

    @override
    def add(self, event: Event, delay: float = 0.0, *, after_dry_run: bool = False) -> bool:
        with self._lock:
            existing = self._find(event.key)
            if existing is not None:
                if not after_dry_run or isinstance(existing, _Finished) or existing.state != "planned":
                    return False
                self._reopen(existing, delay)
                return True
            if len(self._open) >= self._capacity:
                raise InboxError(f"the inbox is full: {self._capacity} events are open")
            now = self._clock()
            owner = event.owner
            conversation = f"{owner}:{event.account}:{event.conversation_id}"
            customer = event.customer
            email = customer.email.lower() if customer.email else None
            self._last_number += 1
            row = _Row(
                number=self._last_number,
                key=event.key,
                owner=owner,
                conversation=conversation,
                customer=customer.id,
                email=email,
                event=event,
                state="ready",
                due=now + delay,
                received=now,
                changed=now,
            )
            self._open[event.key] = row
            self._queues.setdefault(conversation, []).append(row)
            return True

    @override
    def dead_letter_unreadable(self, owner: str, body: bytes, error: str) -> bool:
        key = build_unreadable_key(owner, body)
        with self._lock:
            if self._find(key) is not None:
                return False
            now = self._clock()
            self._last_number += 1
            row = _Row(
                number=self._last_number,
                key=key,
                owner=owner,
                conversation=key,
                state="dead",
                due=now,
                received=now,
                changed=now,
                error=error,
            )
            self._store_settled(row)
            return True

    @override
    def lease(self, limit: int, seconds: float, owner: str | None = None, *, interrupted: bool = True) -> list[Job]:
        with self._lock:
            now = self._clock()
            self._rebase(now)
            rows = _select_alone(self._list_due(now, owner), interrupted=interrupted)[:limit]
            return [self._lease_row(row, now, seconds) for row in sorted(rows, key=_get_number)]

    @override
    def lease_key(self, key: str, seconds: float) -> Job | None:
        with self._lock:
            now = self._clock()
            row = self._open.get(key)
            if row is None or row.due > now:
                return None
            rows = self._queues[row.conversation]
            if len(rows) > 1 and _find_next(rows) is not row:
                return None
            return self._lease_row(row, now, seconds)

    @override
    def record(self, job: Job, ledger: Ledger) -> None:
        with self._lock:
            row = self._get_leased(job)
            row.ledger = ledger
            row.changed = self._clock()
            row.due = row.changed + job.lease

    @override
    def extend(self, jobs: Iterable[Job], seconds: float) -> None:
        with self._lock:
            due = self._clock() + seconds
            for job in jobs:
                row = self._open.get(job.event.key)
                if row is not None and row.state == "leased" and row.fencing_token == job.fencing_token:
                    row.due = due
                    row.changed = due - seconds

    @override
    def finish(self, job: Job, outcome: Outcome, ledger: Ledger | None = None) -> None:
        with self._lock:
            row = self._get_leased(job)
            row.ledger = ledger or row.ledger
            row.handled = was_handled(outcome)
            row.replied = was_answered(outcome)
            customer = find_customer(job, ledger)
            row.customer = row.customer or customer.id
            row.email = row.email or (customer.email.lower() if customer.email else None)
            self._close(row, "planned" if outcome.status == "planned" else "finished")
            finished = _Finished.summarize(row, outcome)
            if outcome.status == "planned":
                row.ledger, row.outcome = finished.build_ledger(), finished.build_outcome()
                self._store_settled(row)
            else:
                self._store_settled(finished)

    @override
    def retry(self, job: Job, error: str, seconds: float, ledger: Ledger | None = None) -> None:
        with self._lock:
            row = self._get_leased(job)
            row.state = "ready"
            row.error = error
            row.ledger = ledger or row.ledger
            row.changed = self._clock()
            row.due = row.changed + seconds

    @override
    def dead_letter(self, job: Job, error: str, ledger: Ledger | None = None, outcome: Outcome | None = None) -> None:
        with self._lock:
            row = self._get_leased(job)
            row.error = error
            row.outcome = outcome
            row.ledger = ledger or row.ledger
            self._close(row, "dead")
            self._store_settled(row)

    @override
    def list_overdue(self, limit: int, seconds: float, owner: str | None = None) -> list[str]:
        with self._lock:
            now = self._clock()
            self._rebase(now)
            overdue = [
                row for row in self._list_due(now - seconds, owner) if now - row.due >= 2 * (row.reported - row.due)
            ][:limit]
            for row in overdue:
                row.reported = now
            return [row.key for row in overdue]

    @override
    def list_related(self, key: str, limit: int) -> Sequence[Entry]:
        with self._lock:
            row = self._find(key)
            if row is None:
                return []
            rows = [*self._past.get(row.conversation), *self._queues.get(row.conversation, ())]
            others = sorted((other for other in rows if other is not row), key=_get_number, reverse=True)
            return [other.build_entry() for other in others[:limit]]

    @override
    def count_replies(self, owner: str, customer: Customer, seconds: float) -> int:
        with self._lock:
            since = self._clock() - seconds
            names = filter(None, (customer.id, customer.email and customer.email.lower()))
            rows = {row.key: row for name in names for row in self._replied.get(name)}
            return sum(row.owner == owner and row.changed > since for row in rows.values())

    @override
    def set_pause(self, name: str, seconds: float) -> None:
        with self._lock:
            now = self._clock()
            self._limits[name] = max(self._find_pause(name, now), now + seconds), now

    @override
    def get_pause(self, name: str) -> float:
        with self._lock:
            now = self._clock()
            return max(0.0, self._find_pause(name, now) - now)

    @override
    def add_spending(self, name: str, amount: float) -> None:
        with self._lock:
            total, _ = self._limits.get(name, (0.0, 0.0))
            self._limits[name] = total + amount, self._clock()

    @override
    def get_spending(self, name: str) -> float:
        with self._lock:
            return self._limits.get(name, (0.0, 0.0))[0]

    @override
    def record_heartbeat(self, owner: str) -> None:
        with self._lock:
            now = self._clock()
            self._limits[build_heartbeat_name(owner)] = now, now

    @override
    def get_heartbeat_age(self, owner: str) -> float | None:
        with self._lock:
            seen, _ = self._limits.get(build_heartbeat_name(owner), (None, 0.0))
            return None if seen is None else max(0.0, self._clock() - seen)

    @override
    def get_lag(self, owner: str | None = None) -> float:
        with self._lock:
            now = self._clock()
            due = self._list_due(now, owner)
            return now - due[0].due if due else 0.0

    @override
    def list_entries(
        self, state: State | None = None, *, limit: int = 100, before: int | None = None
    ) -> Sequence[Entry]:
        with self._lock:
            rows = (
                row
                for row in sorted(self._list_all(), key=_get_number, reverse=True)
                if (state is None or row.state == state) and (before is None or row.number < before)
            )
            return [row.build_entry() for row in islice(rows, limit)]

    @override
    def get_entry(self, key: str) -> Entry | None:
        with self._lock:
            row = self._find(key)
            return None if row is None else row.build_entry()

    @override
    def redrive(self, key: str) -> bool:
        with self._lock:
            row = self._settled.get(key)
            if row is None or isinstance(row, _Finished) or row.event is None:
                return False
            self._reopen(row)
            return True

    @override
    def reopen(self, key: str, ledger: Ledger) -> bool:
        with self._lock:
            row = self._settled.get(key)
            if row is None or isinstance(row, _Finished) or row.state != "planned":
                return False
            self._reopen(row)
            row.ledger = ledger
            return True

    @override
    def park(self, key: str, reason: str) -> bool:
        with self._lock:
            row = self._open.get(key)
            if row is None or row.state != "ready":
                return False
            row.error = reason
            self._close(row, "parked")
            self._store_settled(row)
            return True

    @override
    def purge(self, before: float, *, dead: bool = False) -> int:
        with self._lock:
            unused_since = min(before, self._clock() - SPENDING_KEPT)
            self._limits = {name: limit for name, limit in self._limits.items() if limit[1] >= unused_since}
            return self._remove(
                row
                for row in self._settled.values()
                if row.changed < before and (dead or row.state in ("finished", "planned"))
            )

    @override
    def forget(self, customer: str) -> int:
        if not customer:
            return 0
        with self._lock:
            rows = {row.number: row for row in self._list_all()}

            def find_mentions(_: str) -> Iterable[Trace]:
                return (row.build_trace() for row in rows.values())

            def find_conversation(conversation: str) -> Iterable[Trace]:
                return (row.build_trace() for row in rows.values() if row.conversation == conversation)

            numbers = find_events(customer, find_mentions, find_conversation)
            removed = self._remove(rows[number] for number in numbers if rows[number].state != "leased")
        if removed < len(numbers):
            raise build_remaining(removed, len(numbers))
        return removed

    @override
    def count_states(self, owner: str | None = None) -> Mapping[str, int]:
        with self._lock:
            rows = (row for row in self._list_all() if owner in (None, row.owner))
            return dict.fromkeys(get_args(State), 0) | Counter(row.state for row in rows)

    @override
    def close(self) -> None:
        """Do nothing: there is no file or connection."""

    def before_fork(self) -> None:
        """Wait until no thread is changing the events."""
        self._lock.acquire()

    def after_fork(self, *, child: bool) -> None:
        """Allow changes again. The child drops the open events, which belong to its parent.

        Args:
            child: True in the child process.
        """
        if child:  # pragma: no cover - coverage does not measure forked processes
            self._open.clear()
            self._queues.clear()
        self._lock.release()

    def _find(self, key: str) -> _Settled | None:
        return self._open.get(key) or self._settled.get(key)

    def _list_all(self) -> Iterable[_Settled]:
        return chain(self._open.values(), self._settled.values())

    def _find_pause(self, name: str, now: float) -> float:
        """Return when a pause ends: now if it was set before the clock was set back."""
        until, changed = self._limits.get(name, (now, now))
        return until if changed <= now + CLOCK_STEP else now

    def _rebase(self, now: float) -> None:
        """Correct the times of open events if the clock was set back."""
        for row in (row for row in self._open.values() if row.changed > now + CLOCK_STEP):
            row.due -= row.changed - now
            row.received -= row.changed - now
            row.reported = 0.0
            row.changed = now

    def _list_due(self, moment: float, owner: str | None) -> list[_Row]:
        """List the events that could have been leased at a time, in the order in which they became due."""
        candidates = map(_find_next, self._queues.values())
        due = [row for row in candidates if row.due <= moment and owner in (None, row.owner)]
        return sorted(due, key=lambda row: (row.due, row.number))

    def _lease_row(self, row: _Row, now: float, seconds: float) -> Job:
        assert row.event is not None  # noqa: S101 - only finished and unreadable events have none
        if row.state == "leased":
            row.error = INTERRUPTED
        row.state = "leased"
        row.due = now + seconds
        row.attempts += 1
        row.fencing_token += 1
        row.changed = now
        return Job(
            event=row.event,
            ledger=row.ledger,
            attempts=row.attempts,
            fencing_token=row.fencing_token,
            received=row.received,
            lease=seconds,
            interrupted=row.error == INTERRUPTED,
        )

    def _get_leased(self, job: Job) -> _Row:
        row = self._open.get(job.event.key)
        if row is None or row.state != "leased" or row.fencing_token != job.fencing_token:
            raise build_lease_lost(job.event.key)
        return row

    def _close(self, row: _Row, state: State) -> None:
        """Set the final state of an event, and remove it from its conversation's queue."""
        row.state = state
        row.changed = self._clock()
        self._dequeue(row)

    def _store_settled(self, row: _Settled) -> None:
        """Store an event that is settled, and remove the one that was settled first if there are too many."""
        self._settled[row.key] = row
        self._past.add(row.conversation, row)
        if row.replied:
            for name in _list_names(row):
                self._replied.add(name, row)
        if len(self._settled) > self._capacity:
            self._remove_settled(next(iter(self._settled.values())))

    def _reopen(self, row: _Row, delay: float = 0.0) -> None:
        """Make a settled event ready again."""
        self._remove_settled(row)
        if row.state == "planned":
            row.ledger = _EMPTY_LEDGER
        row.state = "ready"
        row.attempts = 0
        row.changed = self._clock()
        row.due = row.changed + delay
        self._open[row.key] = row
        insort(self._queues.setdefault(row.conversation, []), row, key=_get_number)

    def _dequeue(self, row: _Row) -> None:
        """Remove an open event."""
        del self._open[row.key]
        queue = self._queues[row.conversation]
        queue.remove(row)
        if not queue:
            del self._queues[row.conversation]

    def _remove_settled(self, row: _Settled) -> None:
        del self._settled[row.key]
        self._past.remove(row.conversation, row)
        if row.replied:
            for name in _list_names(row):
                self._replied.remove(name, row)

    def _remove(self, rows: Iterable[_Settled]) -> int:
        """Remove events; return their number."""
        removed = list(rows)
        for row in removed:
            if isinstance(row, _Row) and row.key in self._open:
                self._dequeue(row)
            else:
                self._remove_settled(row)
        return len(removed)

    def __repr__(self) -> str:
        return f"MemoryInbox({self._capacity})"


def _list_names(row: _Settled) -> set[str]:
    """Return the names by which the customer of an event is recognized."""
    return {name for name in (row.customer, row.email) if name}


def _find_next(rows: Sequence[_Row]) -> _Row:
    """Return the event of a conversation that is processed next: the leased one, else the oldest."""
    if len(rows) == 1:
        return rows[0]
    return next((row for row in rows if row.state == "leased"), rows[0])


def _select_alone(due: Iterable[_Row], *, interrupted: bool) -> list[_Row]:
    """Select the events whose last attempt was not interrupted, and the first interrupted one of each owner."""
    owners: set[str] = set()
    selected: list[_Row] = []
    for row in due:
        if row.state == "leased":
            if row.owner in owners or not interrupted:
                continue
            owners.add(row.owner)
        selected.append(row)
    return selected
