"""What the inboxes have in common: one table of events, and the statements that take them through their states.

An event is `ready` from `due` on, `leased` by a worker until `due`, then `finished` or `parked`. Its lane is its
conversation. The statements are written for SQLite and PostgreSQL alike, with parameters as `:name`; `:now` is the
inbox's own clock, so that no worker's clock decides when a lease has run out.
"""

import hashlib
import logging
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from triage.errors import LeaseLost
from triage.io.fork import register_at_fork
from triage.models import Entry, Event, Job, Ledger, Outcome, State

logger = logging.getLogger("triage")

M = TypeVar("M", bound=BaseModel)

_UNREADABLE = "this version of triage cannot read it"
_SUMS_KEPT = 48 * 3600.0  # seconds; the day of none of them is over before, in no time zone

# Two events of a conversation are never worked on at the same time, and never in another order than they were stored.
# A lease that ran out comes before what has not begun: with two servers' transactions, a later one may be stored first.
_ITS_TURN = """
state IN ('ready', 'leased') AND due <= :now AND (state = 'leased' OR NOT EXISTS (
  SELECT 1 FROM triage_events AS other
  WHERE other.state IN ('ready', 'leased') AND other.lane = one.lane AND (other.state = 'leased' OR other.seq < one.seq)
))
"""

# Without the CAST, SQLite reads all events that were ever acted upon, and not those of the lane.
_LEASE = f"""
WITH picked AS MATERIALIZED (
  SELECT seq FROM triage_events AS one WHERE {_ITS_TURN} {{which}} ORDER BY due, seq LIMIT :limit {{lock}}
)
UPDATE triage_events
SET state = 'leased', due = :now + :seconds, attempts = attempts + 1, fence = fence + 1, changed = :now
WHERE seq IN (SELECT seq FROM picked)
RETURNING seq, event, ledger, attempts, fence, (
  SELECT count(*) FROM triage_events AS other WHERE other.lane = CAST(triage_events.lane AS TEXT) AND other.acted = 1
)
"""  # noqa: S608 - our own words

_OVERDUE = f"""
WITH picked AS MATERIALIZED (
  SELECT seq FROM triage_events AS one
  WHERE {_ITS_TURN} AND due <= :now - :seconds AND :now - due >= 2 * (told - due) {{which}}
  ORDER BY due, seq LIMIT :limit {{lock}}
)
UPDATE triage_events SET told = :now WHERE seq IN (SELECT seq FROM picked) RETURNING key
"""  # noqa: S608 - the same

_CHANGED = "changed = :now, ledger = coalesce(:ledger, ledger)"
_ENTRY = "seq, key, state, due, attempts, received, changed, error, event, ledger, outcome"


class TableInbox(ABC):
    in_memory = False
    """An inbox in a table of a database.

    A subclass runs the statements. Each method may raise `InboxError`, and those that take a `Job` raise `LeaseLost`
    where its lease ran out and another worker has taken the event over, or where it is done with.
    """

    _lock_rows = ""
    """What ends a SELECT whose rows are to be changed: the database's words for leaving out what others have locked."""
    _settled = _CHANGED
    """What becomes of every row that is finished, besides its state."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lease_any = _LEASE.format(which="", lock=self._lock_rows)
        self._lease_vendors = _LEASE.format(which="AND vendor = :vendor", lock=self._lock_rows)
        self._lease_one = _LEASE.format(which="AND key = :key", lock=self._lock_rows)
        self._overdue_any = _OVERDUE.format(which="", lock=self._lock_rows)
        self._overdue_vendors = _OVERDUE.format(which="AND vendor = :vendor", lock=self._lock_rows)
        register_at_fork(self)

    @abstractmethod
    def _run(self, sql: str, values: Mapping[str, Any]) -> tuple[list[Any], int]:
        """Run a statement in a transaction of its own; gives the rows, and how many were changed."""

    @abstractmethod
    def before_fork(self) -> None:
        """Let no thread be inside of the database's library while the process forks."""

    @abstractmethod
    def after_fork(self, *, child: bool) -> None:
        """Go on; in the fork with connections of its own.

        Args:
            child: True in the fork.
        """

    @abstractmethod
    def close(self) -> None:
        """Close the connections. The next use opens them again."""

    # What the Router and its workers need

    def add(self, event: Event) -> bool:
        """Store an event; it is safe from a crash when this returns.

        Args:
            event: From `Router.receive`.

        Returns:
            False if its message is known already.
        """
        customer = event.conversation.customer
        return self._changed(
            "INSERT INTO triage_events (key, vendor, lane, customer, email, event, due, received, changed)"
            " VALUES (:key, :vendor, :lane, :customer, :email, :event, :now, :now, :now) ON CONFLICT (key) DO NOTHING",
            key=event.key,
            vendor=event.vendor,
            lane=f"{event.vendor}:{event.account}:{event.conversation_id}",
            customer=_plain(customer.id),
            email=_plain(customer.email).lower(),
            event=event.model_dump_json(),
        )

    def dead_letter_unreadable(self, vendor: str, body: bytes, error: str) -> bool:
        """Store a signed delivery that cannot be read, parked.

        Args:
            vendor: The vendor's name.
            body: The body as it came.
            error: What is wrong with it.

        Returns:
            False if it is there already.
        """
        return self._changed(
            "INSERT INTO triage_events (key, vendor, lane, state, body, error, due, received, changed)"
            " VALUES (:key, :vendor, :key, 'parked', :body, :error, :now, :now, :now) ON CONFLICT (key) DO NOTHING",
            vendor=vendor,
            key=f"{vendor}:malformed:{hashlib.sha256(body).hexdigest()[:32]}",
            body=body,
            error=error,
        )

    def lease(self, limit: int, seconds: float, vendor: str | None = None) -> Sequence[Job]:
        """Take events that are due, the oldest first, no two of one conversation.

        Args:
            limit: How many at the most.
            seconds: For how long; after that another worker may take them.
            vendor: Only this help desk's; None for all.
        """
        sql = self._lease_any if vendor is None else self._lease_vendors
        return self._jobs(self._rows(sql, limit=limit, seconds=seconds, vendor=vendor))

    def lease_key(self, key: str, seconds: float) -> Job | None:
        """Lease a certain event.

        Args:
            key: The event's.
            seconds: For how long.

        Returns:
            None if it is done with, is being worked on, waits for its time or for an earlier one of its conversation.
        """
        return next(iter(self._jobs(self._rows(self._lease_one, key=key, limit=1, seconds=seconds))), None)

    def record(self, job: Job, ledger: Ledger) -> None:
        """Write down what has been done for an event.

        Args:
            job: The event's lease.
            ledger: All of it.
        """
        self._settle(job, _CHANGED, ledger)

    def extend(self, jobs: Iterable[Job], seconds: float) -> None:
        """Keep the leases of events that take longer; those that are lost stay lost.

        Args:
            jobs: The events' leases.
            seconds: From now on.
        """
        for job in jobs:
            self._changed(
                "UPDATE triage_events SET due = :now + :seconds"
                " WHERE key = :key AND fence = :fence AND state = 'leased'",
                seconds=seconds,
                key=job.event.key,
                fence=job.fencing_token,
            )

    def finish(self, job: Job, outcome: Outcome, ledger: Ledger | None = None) -> None:
        """Be done with an event.

        Args:
            job: The event's lease.
            outcome: What became of it.
            ledger: What has been done for it; None leaves what was recorded.
        """
        acted = int(any(step.status == "done" for step in outcome.steps))
        changes = f"state = 'finished', outcome = :outcome, acted = :acted, {self._settled}"
        self._settle(job, changes, ledger, outcome=outcome.model_dump_json(), acted=acted)

    def retry(self, job: Job, error: str, seconds: float, ledger: Ledger | None = None) -> None:
        """Give an event back, to be tried again. Later events of its conversation wait for it.

        Args:
            job: The event's lease.
            error: What went wrong.
            seconds: Not before so long a time.
            ledger: What has been done for it; None leaves what was recorded.
        """
        changes = f"state = 'ready', due = :now + :seconds, error = :error, {_CHANGED}"
        self._settle(job, changes, ledger, seconds=seconds, error=error)

    def dead_letter(self, job: Job, error: str, ledger: Ledger | None = None) -> None:
        """Give an event up, for a human to look at. Later events of its conversation go on.

        Args:
            job: The event's lease.
            error: What went wrong.
            ledger: What has been done for it; None leaves what was recorded.
        """
        self._settle(job, f"state = 'parked', error = :error, {_CHANGED}", ledger, error=error)

    def list_overdue(self, limit: int, seconds: float, vendor: str | None = None) -> Sequence[str]:
        """The keys of events that could have been begun so long ago.

        For those who hand keys to workers by a queue of their own, which may lose some. A key is told again when its
        event has waited twice as long as when it was told before, so that a queue without workers does not overflow.

        Args:
            limit: How many at the most.
            seconds: How long they have been due.
            vendor: Only this help desk's; None for all.
        """
        sql = self._overdue_any if vendor is None else self._overdue_vendors
        return [key for (key,) in self._rows(sql, limit=limit, seconds=seconds, vendor=vendor)]

    # What all workers share

    def set_pause(self, name: str, seconds: float) -> None:
        """Let nobody call a service for a while.

        Args:
            name: The service's.
            seconds: From now on. A longer time that was set before stays.
        """
        self._changed(
            "INSERT INTO triage_numbers (name, value, changed) VALUES (:name, :now + :seconds, :now)"
            " ON CONFLICT (name) DO UPDATE SET changed = :now, value ="
            " CASE WHEN triage_numbers.value > :now + :seconds THEN triage_numbers.value ELSE :now + :seconds END",
            name=name,
            seconds=seconds,
        )

    def get_pause(self, name: str) -> float:
        """Tell for how many seconds a service is still to be left alone; 0 for one that may be called.

        Args:
            name: The service's.
        """
        rows = self._rows("SELECT value - :now FROM triage_numbers WHERE name = :name", name=name)
        return max(0.0, rows[0][0]) if rows else 0.0

    def add_spending(self, name: str, amount: float) -> None:
        """Add to a sum.

        Args:
            name: The sum's, such as a day's.
            amount: What is added.
        """
        self._changed(
            "INSERT INTO triage_numbers (name, value, changed) VALUES (:name, :amount, :now)"
            " ON CONFLICT (name) DO UPDATE SET changed = :now, value = triage_numbers.value + :amount",
            name=name,
            amount=amount,
        )

    def get_spending(self, name: str) -> float:
        """Tell a sum.

        Args:
            name: The sum's.
        """
        rows = self._rows("SELECT value FROM triage_numbers WHERE name = :name", name=name)
        return float(rows[0][0]) if rows else 0.0

    # What an operator needs

    def list_entries(
        self, state: State | None = None, *, limit: int = 100, before: int | None = None
    ) -> Sequence[Entry]:
        """List what is there, the newest first.

        Args:
            state: Only those in this state.
            limit: How many at the most.
            before: Only those with a lower number: the last one's of the page before.
        """
        rows = self._rows(
            f"SELECT {_ENTRY} FROM triage_events WHERE (CAST(:state AS TEXT) IS NULL OR state = :state)"  # noqa: S608 - our own words
            " AND (CAST(:before AS BIGINT) IS NULL OR seq < :before) ORDER BY seq DESC LIMIT :limit",
            state=state,
            before=before,
            limit=limit,
        )
        return [_entry(row) for row in rows]

    def get_entry(self, key: str) -> Entry | None:
        """Look one up.

        Args:
            key: The event's.
        """
        rows = self._rows(f"SELECT {_ENTRY} FROM triage_events WHERE key = :key", key=key)  # noqa: S608 - our own words
        return _entry(rows[0]) if rows else None

    def redrive(self, key: str) -> bool:
        """Let a parked event be tried again, from where its ledger stands.

        Args:
            key: The event's.

        Returns:
            False if there is no such parked event.
        """
        return self._changed(
            "UPDATE triage_events SET state = 'ready', attempts = 0, due = :now, changed = :now"
            " WHERE key = :key AND state = 'parked' AND event IS NOT NULL",
            key=key,
        )

    def park(self, key: str, reason: str) -> bool:
        """Park an event that nobody is working on.

        Args:
            key: The event's.
            reason: Why, for whoever looks at it.

        Returns:
            False if there is no such event, or it is being worked on or done with.
        """
        return self._changed(
            "UPDATE triage_events SET state = 'parked', error = :reason, changed = :now"
            " WHERE key = :key AND state = 'ready'",
            key=key,
            reason=reason,
        )

    def purge(self, before: float, *, parked: bool = False) -> int:
        """Forget what is finished.

        Args:
            before: What has been so since this time, in seconds since the epoch. A delivery that comes again after
                that is handled again.
            parked: True forgets what is parked too.

        Returns:
            How many there were.
        """
        sums = "DELETE FROM triage_numbers WHERE changed < :before AND changed < :now - :kept"
        self._changed(sums, before=before, kept=_SUMS_KEPT)
        sql = (
            "DELETE FROM triage_events WHERE changed < :before AND"
            " (state = 'finished' OR state = 'parked' AND CAST(:parked AS INTEGER) = 1)"
        )
        return self._run(sql, self._values(before=before, parked=int(parked)))[1]

    def forget(self, customer: str) -> int:
        """Remove all events of a customer that are not being worked on.

        Args:
            customer: The customer's id or e-mail address, as the vendor's webhook told it.

        Returns:
            How many there were. Deliveries that could not be read are not among them: nobody knows whose they are.
        """
        if not customer:
            return 0
        sql = "DELETE FROM triage_events WHERE state <> 'leased' AND (customer = :customer OR email = :email)"
        return self._run(sql, self._values(customer=_plain(customer), email=_plain(customer).lower()))[1]

    def count_states(self) -> Mapping[str, int]:
        """Count what is there by its state: `ready`, `leased`, `finished`, `parked`."""
        counted = self._rows("SELECT state, count(*) FROM triage_events GROUP BY state")
        return Counter({"ready": 0, "leased": 0, "finished": 0, "parked": 0} | dict(counted))

    # Behind them

    def _jobs(self, rows: Iterable[Any]) -> list[Job]:
        """Read leased rows. One that cannot be read is parked, lest it stop the others again and again."""
        jobs: list[Job] = []
        for seq, event, ledger, attempts, fence, acts in sorted(rows):
            try:
                read = Event.model_validate_json(event), Ledger.model_validate_json(ledger)
            except ValidationError:
                logger.error("event %s of the inbox is parked: %s", seq, _UNREADABLE)  # noqa: TRY400 - quotes no data
                sql = "UPDATE triage_events SET state = 'parked', error = :error, changed = :now WHERE seq = :seq"
                self._changed(sql, seq=seq, error=_UNREADABLE)
            else:
                jobs.append(Job(event=read[0], ledger=read[1], attempts=attempts, fencing_token=fence, handled=acts))
        return jobs

    def _settle(self, job: Job, changes: str, ledger: Ledger | None, **values: Any) -> None:
        values["ledger"] = None if ledger is None else ledger.model_dump_json()
        sql = f"UPDATE triage_events SET {changes} WHERE key = :key AND fence = :fence AND state = 'leased'"  # noqa: S608 - our own words
        if not self._changed(sql, key=job.event.key, fence=job.fencing_token, **values):
            raise LeaseLost(f"the lease of {job.event.key} ran out, and the event has been taken over or is done with")

    def _changed(self, sql: str, **values: Any) -> bool:
        return self._run(sql, self._values(**values))[1] > 0

    def _rows(self, sql: str, **values: Any) -> list[Any]:
        return self._run(sql, self._values(**values))[0]

    def _values(self, **values: Any) -> Mapping[str, Any]:
        return values | {"now": self._clock()}


def _entry(row: Any) -> Entry:
    number, key, state, due, attempts, received, changed, error, event, ledger, outcome = row
    return Entry(
        number=number,
        key=key,
        state=state,
        due=due,
        attempts=attempts,
        received=received,
        changed=changed,
        error=error,
        event=_read(Event, event),
        ledger=_read(Ledger, ledger) or Ledger(),
        outcome=_read(Outcome, outcome),
    )


def _read(model: type[M], text: str | None) -> M | None:
    """What was written; nothing where another version wrote it, for the rest of the entry tells of it."""
    with suppress(ValidationError):
        return model.model_validate_json(text) if text else None
    return None


def _plain(text: str | None) -> str:
    # PostgreSQL stores no NUL in a text, and neither database half of a surrogate pair.
    return (text or "").replace("\0", "").encode("utf-8", "replace").decode()
