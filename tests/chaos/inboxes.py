"""Inboxes that kill or stop their own process at a chosen write."""

import os
import signal
import threading
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

import psycopg
import psycopg.conninfo

from triage import Event
from triage.inbox import PostgresInbox, SQLiteInbox
from triage.inbox.table import TableInbox
from triage.models import Job, Ledger, Outcome

Kind: TypeAlias = Literal["add", "lease", "record", "finish", "call"]
Moment: TypeAlias = Literal["before", "within", "after"]


@dataclass(frozen=True)
class Boundary:
    """A moment right before a write to the inbox or to the help desk, within its transaction, or right after it."""

    kind: Kind
    """The method of the inbox, or `call` for a call that changes something at the help desk."""
    number: int
    """The number of the write of its kind in the process; for `record`, of the writes for one event."""
    moment: Moment


_NUMBERS: Mapping[Kind, int] = {"add": 2, "lease": 2, "record": 3, "finish": 2}
_QUERIES: Mapping[Kind, str] = {"add": "add", "lease": "lease_owned", "record": "record", "finish": "finish"}
"""The statements that make the writes."""
MOMENTS: tuple[Moment, ...] = ("before", "within", "after")
BOUNDARIES = [
    Boundary(kind, number, moment)
    for kind, last in _NUMBERS.items()
    for number in range(1, last + 1)
    for moment in MOMENTS
]
WORKER_BOUNDARIES = [boundary for boundary in BOUNDARIES if boundary.kind != "add"]
RECEIVER_BOUNDARIES = [boundary for boundary in BOUNDARIES if boundary.kind == "add"]
CALL_BOUNDARIES = [Boundary("call", number, moment) for number in range(1, 6) for moment in ("before", "after")]
INBOXES = ("sqlite", "postgres")


def interrupt_process(how: signal.Signals) -> None:
    """Kill or stop this process; return when it is continued."""
    os.kill(os.getpid(), how)
    if how == signal.SIGKILL:
        threading.Event().wait()  # pragma: no cover - until the signal arrives


class ChaosInbox(TableInbox):
    """An inbox that sends its process the signal `how`, once, at a boundary."""

    boundary: Boundary | None = None
    how = signal.SIGKILL

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._counting = threading.Lock()
        self._counts: Counter[tuple[str, str]] = Counter()
        self._inside = threading.local()

    def add(self, event: Event, delay: float = 0.0, *, after_dry_run: bool = False) -> bool:
        reached = self.reach("add")
        stored = super().add(event, delay, after_dry_run=after_dry_run)
        self.leave(reached)
        return stored

    def lease(self, limit: int, seconds: float, owner: str | None = None, *, interrupted: bool = True) -> list[Job]:
        reached = self.reach("lease")
        jobs = list(super().lease(limit, seconds, owner, interrupted=interrupted))
        self.leave(reached)
        return jobs

    def record(self, job: Job, ledger: Ledger) -> None:
        reached = self.reach("record", job.event.key)
        super().record(job, ledger)
        self.leave(reached)

    def finish(self, job: Job, outcome: Outcome, ledger: Ledger | None = None) -> None:
        reached = self.reach("finish")
        super().finish(job, outcome, ledger)
        self.leave(reached)

    def reach(self, kind: Kind, key: str = "") -> bool:
        """Count a write that is about to begin, and return whether the process is interrupted after it.

        Args:
            kind: The kind of the write.
            key: The key of the event whose writes are counted, if they are not those of the process.
        """
        with self._counting:
            self._counts[kind, key] += 1
            boundary = self.boundary
            if boundary is None or (boundary.kind, boundary.number) != (kind, self._counts[kind, key]):
                return False
            self.boundary = None
        if boundary.moment == "before":
            interrupt_process(self.how)
        self._inside.sql = self._queries[_QUERIES[kind]] if boundary.moment == "within" else None
        return boundary.moment == "after"

    def leave(self, reached: bool) -> None:
        """Interrupt the process after a write, if `reach` returned True for it."""
        if reached:
            interrupt_process(self.how)

    def _execute(self, sql: str, values: Mapping[str, Any]) -> tuple[list[Any], int]:
        is_reached = getattr(self._inside, "sql", None) == sql
        if is_reached:
            self._inside.sql = None
            if not self._joined.is_open:
                self._interrupt_transaction(sql, values)
        result = super()._execute(sql, values)
        if is_reached and self._joined.is_open:
            interrupt_process(self.how)
        return result

    @abstractmethod
    def _interrupt_transaction(self, sql: str, values: Mapping[str, Any]) -> None:
        """Interrupt the process within a transaction, which is rolled back if the process is continued."""

    def has_work(self) -> bool:
        """Return whether a worker could do something now; an event may have to wait for an earlier one."""
        sql = f"SELECT count(*) FROM triage_events AS candidate WHERE state = 'leased' OR ({self._queries['is_next']})"  # noqa: S608
        rows, _ = self._execute(sql, {"now": self._clock()})
        return bool(rows[0][0])


class ChaosSQLite(ChaosInbox, SQLiteInbox):
    def _interrupt_transaction(self, sql: str, values: Mapping[str, Any]) -> None:
        with self._connect() as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(sql, values).fetchall()
            interrupt_process(self.how)
            connection.execute("ROLLBACK")


class ChaosPostgres(ChaosInbox, PostgresInbox):
    def _interrupt_transaction(self, sql: str, values: Mapping[str, Any]) -> None:
        # The server rolls back once it notices the closed connection, possibly after the next worker has started.
        with self._get_pool().connection() as connection:
            connection.execute("BEGIN")
            connection.execute(sql, values)
            interrupt_process(self.how)
            connection.execute("ROLLBACK")


class OpenInbox(Protocol):
    """Opens the inbox of a run."""

    def __call__(self, *, clock: Callable[[], float]) -> ChaosInbox: ...


@contextmanager
def open_sqlite(directory: Path) -> Iterator[OpenInbox]:
    """Use a SQLite file in a directory."""
    yield partial(ChaosSQLite, directory / "triage.db")


@contextmanager
def open_postgres(url: str, name: str) -> Iterator[OpenInbox]:
    """Use an empty schema of a database, because killed processes may still be busy in that of the last run."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {name}")
    yield partial(ChaosPostgres, psycopg.conninfo.make_conninfo(url, options=f"-c search_path={name}"))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"DROP SCHEMA {name} CASCADE")
