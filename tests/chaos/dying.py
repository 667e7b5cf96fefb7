"""Inboxes that kill their process at a write of the ledger."""

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
    """A write of the ledger: right before it, within its transaction, or right after it."""

    kind: Kind
    number: int
    """Which of its kind in the process; of `record`, which for one event."""
    moment: Moment


_NUMBERS: Mapping[Kind, int] = {"add": 2, "lease": 2, "record": 3, "finish": 2}
MOMENTS: tuple[Moment, ...] = ("before", "within", "after")
BOUNDARIES = [
    Boundary(kind, number, moment)
    for kind, last in _NUMBERS.items()
    for number in range(1, last + 1)
    for moment in MOMENTS
]
OF_WORKERS = [boundary for boundary in BOUNDARIES if boundary.kind != "add"]
OF_RECEIVERS = [boundary for boundary in BOUNDARIES if boundary.kind == "add"]
INBOXES = ("sqlite", "postgres")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    threading.Event().wait()  # pragma: no cover - until the signal is there


class Dying(TableInbox):
    """Kills its process at a boundary."""

    doom: Boundary | None = None

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._counting = threading.Lock()
        self._counts: Counter[tuple[str, str]] = Counter()
        self._inside = threading.local()

    def add(self, event: Event) -> bool:
        reached = self._reach("add")
        stored = super().add(event)
        self._pass(reached)
        return stored

    def lease(self, limit: int, seconds: float, owner: str | None = None) -> list[Job]:
        reached = self._reach("lease")
        jobs = list(super().lease(limit, seconds, owner))
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
        doom = self.doom
        reached = doom is not None and (doom.kind, doom.number) == (kind, number)
        if doom is not None and reached and doom.moment == "before":
            die()
        self._inside.now = doom is not None and reached and doom.moment == "within"
        return reached

    def _pass(self, reached: bool) -> None:
        if reached:
            die()

    def _execute(self, sql: str, values: Mapping[str, Any]) -> tuple[list[Any], int]:
        if getattr(self._inside, "now", False):
            self._half(sql, values)
            die()
        return super()._execute(sql, values)  # type: ignore[safe-super]  # the inbox's own

    @abstractmethod
    def _half(self, sql: str, values: Mapping[str, Any]) -> None:
        """Run a statement in a transaction that is not committed."""

    def open(self) -> bool:
        """True while there is something to do now: not where it waits for an earlier one of its conversation."""
        sql = f"SELECT count(*) FROM triage_events AS candidate WHERE state = 'leased' OR ({self._queries['is_next']})"  # noqa: S608
        rows, _ = self._execute(sql, {"now": self._clock()})
        return bool(rows[0][0])


class DyingSQLite(Dying, SQLiteInbox):
    def _half(self, sql: str, values: Mapping[str, Any]) -> None:
        with self._connect() as db:
            db.execute("BEGIN IMMEDIATE")
            db.execute(sql, values).fetchall()


class DyingPostgres(Dying, PostgresInbox):
    def _half(self, sql: str, values: Mapping[str, Any]) -> None:
        # The server rolls it back once it sees that the connection is closed; the next worker may be there before.
        with self._get_pool().connection() as connection:
            connection.execute("BEGIN")
            connection.execute(sql, values)


class Opens(Protocol):
    """Opens the inbox of a run."""

    def __call__(self, *, clock: Callable[[], float]) -> Dying: ...


@contextmanager
def in_sqlite(directory: Path) -> Iterator[Opens]:
    yield partial(DyingSQLite, directory / "triage.db")


@contextmanager
def in_postgres(url: str, name: str) -> Iterator[Opens]:
    """An empty schema of a database: it is made in no time, and a killed process may still be busy in the last one."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {name}")
    yield partial(DyingPostgres, psycopg.conninfo.make_conninfo(url, options=f"-c search_path={name}"))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"DROP SCHEMA {name} CASCADE")
