"""The embedded inbox: one table in one file, for one machine and any number of its processes."""

import hashlib
import os
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from triage._fork import carry_over
from triage.errors import ConfigurationError, InboxError, LeaseLost
from triage.models import Event, Job, Ledger, Outcome

_VERSION = 1
_BUSY = 5.0  # seconds that a write waits for that of another process

# An event is `ready` from `due` on, `leased` until `due`, then `finished` or `parked`. The lane is its conversation.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  key TEXT NOT NULL UNIQUE,
  lane TEXT NOT NULL,
  state TEXT NOT NULL DEFAULT 'ready' CHECK (state IN ('ready', 'leased', 'finished', 'parked')),
  due REAL NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0,
  fence INTEGER NOT NULL DEFAULT 0,
  event TEXT,
  body BLOB,
  ledger TEXT NOT NULL DEFAULT '{}',
  outcome TEXT,
  error TEXT,
  received REAL NOT NULL,
  changed REAL NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS open_due ON events (due) WHERE state IN ('ready', 'leased');
CREATE INDEX IF NOT EXISTS open_lane ON events (lane, seq) WHERE state IN ('ready', 'leased');
"""

# Two events of one conversation are never worked on at the same time, and never in another order.
_LEASE = """
UPDATE events SET state = 'leased', due = :until, attempts = attempts + 1, fence = fence + 1, changed = :now
WHERE seq IN (
  SELECT seq FROM events AS one
  WHERE state IN ('ready', 'leased') AND due <= :now AND NOT EXISTS (
    SELECT 1 FROM events AS other
    WHERE other.lane = one.lane AND other.seq < one.seq AND other.state IN ('ready', 'leased')
  )
  ORDER BY due LIMIT :limit
)
RETURNING event, ledger, attempts, fence
"""


_INHERITED: list[sqlite3.Connection | None] = []
"""Connections of the process that this one was forked from."""


class SQLiteInbox:
    """Keeps events in a SQLite file.

    Several threads and processes may share the file, workers forked from one another too. What is added is on the disk
    when `add` returns (`synchronous=FULL`). The file must be on a local disk: a network's does not lock well enough.

    Args:
        path: The file; it is made if it is not there, readable by its owner only.
        clock: Gives the seconds since the epoch.

    Raises:
        ConfigurationError: The file cannot be opened, or a later version of this library made it.
    """

    def __init__(self, path: str | Path, *, clock: Callable[[], float] = time.time) -> None:
        self._path = str(path)
        self._clock = clock
        self._lock = threading.Lock()
        self._opened: sqlite3.Connection | None = None
        carry_over(self)
        try:
            # It holds what customers wrote.
            os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))
            with self._connection() as db:
                version: int = db.execute("PRAGMA user_version").fetchone()[0]
                if version > _VERSION:
                    raise ConfigurationError(f"{self._path} was made by a later version of triage: update it.")
                db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT;")
        except (OSError, InboxError) as err:
            raise ConfigurationError(f"The inbox {self._path} cannot be opened: {err}") from err

    def add(self, event: Event) -> bool:
        """Store an event; it is safe from a crash when this returns.

        Args:
            event: From `Router.receive`.

        Returns:
            False if its message is known already.

        Raises:
            InboxError: It could not be stored.
        """
        lane = f"{event.vendor}:{event.account}:{event.conversation_id}"
        now = self._clock()
        row = {"key": event.key, "lane": lane, "event": event.model_dump_json(), "now": now}
        return self._changed(
            "INSERT INTO events (key, lane, event, due, received, changed)"
            " VALUES (:key, :lane, :event, :now, :now, :now) ON CONFLICT (key) DO NOTHING",
            row,
        )

    def keep(self, vendor: str, body: bytes, error: str) -> bool:
        """Store a signed delivery that cannot be read, parked.

        Args:
            vendor: The vendor's name.
            body: The body as it came.
            error: What is wrong with it.

        Returns:
            False if it is there already.

        Raises:
            InboxError: It could not be stored.
        """
        key = f"{vendor}:malformed:{hashlib.sha256(body).hexdigest()[:32]}"
        return self._changed(
            "INSERT INTO events (key, lane, state, body, error, due, received, changed)"
            " VALUES (:key, :key, 'parked', :body, :error, :now, :now, :now) ON CONFLICT (key) DO NOTHING",
            {"key": key, "body": body, "error": error, "now": self._clock()},
        )

    def lease(self, limit: int, seconds: float) -> Sequence[Job]:
        """Take events that are due, the oldest first, no two of one conversation.

        Args:
            limit: How many at the most.
            seconds: For how long; after that another worker may take them.

        Raises:
            InboxError: The inbox cannot be read.
        """
        now = self._clock()
        rows = self._rows(_LEASE, {"now": now, "until": now + seconds, "limit": limit})
        return [
            Job(
                event=Event.model_validate_json(event),
                ledger=Ledger.model_validate_json(ledger),
                attempts=attempts,
                fence=fence,
            )
            for event, ledger, attempts, fence in rows
        ]

    def record(self, job: Job, ledger: Ledger) -> None:
        """Write down what has been done for an event.

        Args:
            job: The event's lease.
            ledger: All of it.

        Raises:
            LeaseLost: Another worker has the event.
            InboxError: It could not be stored.
        """
        self._settle(job, "ledger = :ledger", ledger=ledger.model_dump_json())

    def extend(self, jobs: Iterable[Job], seconds: float) -> None:
        """Keep the leases of events that take longer; those that are lost stay lost.

        Args:
            jobs: The events' leases.
            seconds: From now on.

        Raises:
            InboxError: It could not be stored.
        """
        for job in jobs:
            self._changed(
                "UPDATE events SET due = :until WHERE key = :key AND fence = :fence AND state = 'leased'",
                {"until": self._clock() + seconds, "key": job.event.key, "fence": job.fence},
            )

    def finish(self, job: Job, outcome: Outcome) -> None:
        """Be done with an event.

        Args:
            job: The event's lease.
            outcome: What became of it.

        Raises:
            LeaseLost: Another worker has the event.
            InboxError: It could not be stored.
        """
        self._settle(job, "state = 'finished', outcome = :outcome", outcome=outcome.model_dump_json())

    def retry(self, job: Job, error: str, at: float) -> None:
        """Give an event back, to be tried again. Later events of its conversation wait for it.

        Args:
            job: The event's lease.
            error: What went wrong.
            at: Not before this time, in seconds since the epoch.

        Raises:
            LeaseLost: Another worker has the event.
            InboxError: It could not be stored.
        """
        self._settle(job, "state = 'ready', due = :at, error = :error", at=at, error=error)

    def park(self, job: Job, error: str) -> None:
        """Give an event up, for a human to look at. Later events of its conversation go on.

        Args:
            job: The event's lease.
            error: What went wrong.

        Raises:
            LeaseLost: Another worker has the event.
            InboxError: It could not be stored.
        """
        self._settle(job, "state = 'parked', error = :error", error=error)

    def redrive(self, key: str) -> bool:
        """Let a parked event be tried again, from where its ledger stands.

        Args:
            key: The event's.

        Returns:
            False if there is no such parked event.

        Raises:
            InboxError: It could not be stored.
        """
        return self._changed(
            "UPDATE events SET state = 'ready', attempts = 0, due = :now, changed = :now"
            " WHERE key = :key AND state = 'parked' AND event IS NOT NULL",
            {"key": key, "now": self._clock()},
        )

    def purge(self, before: float) -> int:
        """Forget events that are finished.

        Args:
            before: Those that have been since this time, in seconds since the epoch. A delivery that comes again
                after that is handled again.

        Returns:
            How many there were.

        Raises:
            InboxError: It could not be stored.
        """
        sql = "DELETE FROM events WHERE state = 'finished' AND changed < :before RETURNING seq"
        return len(self._rows(sql, {"before": before}))

    def forget(self, customer: str) -> int:
        """Remove all events of a customer that are not being worked on.

        Args:
            customer: The customer's id or e-mail address, as the vendor's webhook told it.

        Returns:
            How many there were.

        Raises:
            InboxError: It could not be stored.
        """
        sql = (
            "DELETE FROM events WHERE state <> 'leased' AND :customer IN"
            " (event ->> '$.conversation.customer.id', event ->> '$.conversation.customer.email') RETURNING seq"
        )
        return len(self._rows(sql, {"customer": customer}))

    def stats(self) -> Mapping[str, int]:
        """Count the events by their state: `ready`, `leased`, `finished`, `parked`.

        Raises:
            InboxError: The inbox cannot be read.
        """
        counted = self._rows("SELECT state, count(*) FROM events GROUP BY state", {})
        return Counter({"ready": 0, "leased": 0, "finished": 0, "parked": 0} | dict(counted))

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._opened is not None:
                self._opened.close()
            self._opened = None

    def _settle(self, job: Job, changes: str, **values: Any) -> None:
        values |= {"key": job.event.key, "fence": job.fence, "now": self._clock()}
        sql = f"UPDATE events SET {changes}, changed = :now WHERE key = :key AND fence = :fence AND state = 'leased'"  # noqa: S608 - our own words
        if not self._changed(sql, values):
            raise LeaseLost(f"the lease of {job.event.key} ran out, and the event has been taken over or is done with")

    def _changed(self, sql: str, values: Mapping[str, Any]) -> bool:
        with self._connection() as db:
            return db.execute(sql, values).rowcount > 0

    def _rows(self, sql: str, values: Mapping[str, Any]) -> list[Any]:
        with self._connection() as db:
            return db.execute(sql, values).fetchall()

    @contextmanager
    def _connection(self) -> Generator[sqlite3.Connection]:
        """The connection of this process, for one thread at a time."""
        with self._lock:
            try:
                if self._opened is None:
                    self._opened = self._open()
                yield self._opened
            except sqlite3.Error as err:
                # "database is locked", "disk is full": in SQLite's words, which quote no data.
                raise InboxError(f"the inbox {self._path}: {err}") from err

    def before_fork(self) -> None:
        """Let no thread be inside of SQLite, whose locks would stay locked in the fork."""
        self._lock.acquire()

    def after_fork(self, *, child: bool) -> None:
        """Go on; in the fork with a connection of its own.

        Args:
            child: True in the fork.
        """
        if child:  # pragma: no cover - in forks alone, where nobody counts
            # A connection must not be carried over a fork, nor even be closed there:
            # https://www.sqlite.org/howtocorrupt.html, 2.6
            _INHERITED.append(self._opened)
            self._opened = None
        self._lock.release()

    def _open(self) -> sqlite3.Connection:
        # Without transactions of Python's: each statement is one of its own.
        db = sqlite3.connect(self._path, timeout=_BUSY, isolation_level=None, check_same_thread=False)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        return db

    def __repr__(self) -> str:
        return f"SQLiteInbox({self._path!r})"
