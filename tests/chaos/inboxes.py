"""Inboxes that kill their own process at a chosen write."""

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

Kind: TypeAlias = Literal["add", "lease", "record", "finish"]
Moment: TypeAlias = Literal["before", "within", "after"]


@dataclass(frozen=True)
class Boundary:
    """A moment right before a write to the inbox, within its transaction, or right after it."""

    kind: Kind
    number: int
    """The number of the write of its kind in the process; for `record`, of the writes for one event."""
    moment: Moment


_NUMBERS: Mapping[Kind, int] = {"add": 2, "lease": 2, "record": 3, "finish": 2}
MOMENTS: tuple[Moment, ...] = ("before", "within", "after")
BOUNDARIES = [
    Boundary(kind, number, moment)
    for kind, last in _NUMBERS.items()
    for number in range(1, last + 1)
    for moment in MOMENTS
]
WORKER_BOUNDARIES = [boundary for boundary in BOUNDARIES if boundary.kind != "add"]
RECEIVER_BOUNDARIES = [boundary for boundary in BOUNDARIES if boundary.kind == "add"]
INBOXES = ("sqlite", "postgres")


def kill_process() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    threading.Event().wait()  # pragma: no cover - until the signal arrives


class KillingInbox(TableInbox):
    """An inbox that kills its process at the boundary `kill_at`."""

    kill_at: Boundary | None = None

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._counting = threading.Lock()
        self._counts: Counter[tuple[str, str]] = Counter()
        self._inside = threading.local()

    def add(self, event: Event, delay: float = 0.0, *, after_dry_run: bool = False) -> bool:
        reached = self._reach("add")
        stored = super().add(event, delay, after_dry_run=after_dry_run)
        self._pass(reached)
        return stored

    def lease(self, limit: int, seconds: float, owner: str | None = None, *, interrupted: bool = True) -> list[Job]:
        reached = self._reach("lease")
        jobs = list(super().lease(limit, seconds, owner, interrupted=interrupted))
        self._pass(reached)
        return jobs

    def record(self, job: Job, ledger: Ledger) -> None:
        reached = self._reach("record", job.event.key)
        super().record(job, ledger)
        self._pass(reached)

    def finish(self, job: Job, outcome: Outcome, ledger: Ledger | None = None) -> None:
        reached = self._reach("finish")
        super().finish(job, outcome, ledger)
        self._pass(reached)

    def _reach(self, kind: Kind, key: str = "") -> bool:
        with self._counting:
            self._counts[kind, key] += 1
            number = self._counts[kind, key]
        kill_at = self.kill_at
        reached = kill_at is not None and (kill_at.kind, kill_at.number) == (kind, number)
        if kill_at is not None and reached and kill_at.moment == "before":
            kill_process()
        self._inside.now = kill_at is not None and reached and kill_at.moment == "within"
        return reached

    def _pass(self, reached: bool) -> None:
        if reached:
            kill_process()

    def _execute(self, sql: str, values: Mapping[str, Any]) -> tuple[list[Any], int]:
        if getattr(self._inside, "now", False):
            self._run_uncommitted(sql, values)
            kill_process()
        return super()._execute(sql, values)

    @abstractmethod
    def _run_uncommitted(self, sql: str, values: Mapping[str, Any]) -> None:
        """Run a statement in a transaction without committing it."""

    def has_work(self) -> bool:
        """Return whether a worker could do something now; an event may have to wait for an earlier one."""
        sql = f"SELECT count(*) FROM triage_events AS candidate WHERE state = 'leased' OR ({self._queries['is_next']})"  # noqa: S608
        rows, _ = self._execute(sql, {"now": self._clock()})
        return bool(rows[0][0])


class KillingSQLite(KillingInbox, SQLiteInbox):
    def _run_uncommitted(self, sql: str, values: Mapping[str, Any]) -> None:
        with self._connect() as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(sql, values).fetchall()


class KillingPostgres(KillingInbox, PostgresInbox):
    def _run_uncommitted(self, sql: str, values: Mapping[str, Any]) -> None:
        # The server rolls back once it notices the closed connection, possibly after the next worker has started.
        with self._get_pool().connection() as connection:
            connection.execute("BEGIN")
            connection.execute(sql, values)


class OpenInbox(Protocol):
    """Opens the inbox of a run."""

    def __call__(self, *, clock: Callable[[], float]) -> KillingInbox: ...


@contextmanager
def open_sqlite(directory: Path) -> Iterator[OpenInbox]:
    """Use a SQLite file in a directory."""
    yield partial(KillingSQLite, directory / "triage.db")


@contextmanager
def open_postgres(url: str, name: str) -> Iterator[OpenInbox]:
    """Use an empty schema of a database, because killed processes may still be busy in that of the last run."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {name}")
    yield partial(KillingPostgres, psycopg.conninfo.make_conninfo(url, options=f"-c search_path={name}"))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"DROP SCHEMA {name} CASCADE")
