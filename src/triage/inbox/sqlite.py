"""The embedded inboxes: a file for one machine and any number of its processes, and memory for one process."""

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from triage.errors import ConfigurationError, InboxError
from triage.inbox.table import TableInbox
from triage.models import Event

_BUSY = 5.0  # seconds that a write waits for that of another process

# Each brings a file to the version that is its place in the list; what stands here is never changed, only added to.
_MIGRATIONS = (
    """
    CREATE TABLE events (
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
    CREATE INDEX open_due ON events (due) WHERE state IN ('ready', 'leased');
    CREATE INDEX open_lane ON events (lane, seq) WHERE state IN ('ready', 'leased');
    """,
    """
    ALTER TABLE events RENAME TO triage_events;
    ALTER TABLE triage_events ADD COLUMN customer TEXT;
    ALTER TABLE triage_events ADD COLUMN email TEXT;
    ALTER TABLE triage_events ADD COLUMN acted INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE triage_events ADD COLUMN told REAL NOT NULL DEFAULT 0;
    UPDATE triage_events SET
      customer = event ->> '$.conversation.customer.id',
      email = lower(event ->> '$.conversation.customer.email'),
      acted = coalesce(outcome LIKE '%"status":"done"%', 0);
    CREATE INDEX acted_lane ON triage_events (lane) WHERE acted = 1;
    CREATE UNIQUE INDEX leased_lane ON triage_events (lane) WHERE state = 'leased';
    CREATE TABLE triage_numbers (name TEXT PRIMARY KEY, value REAL NOT NULL, changed REAL NOT NULL) STRICT;
    """,
    """
    ALTER TABLE triage_events ADD COLUMN vendor TEXT NOT NULL DEFAULT '';
    UPDATE triage_events SET vendor = substr(lane, 1, instr(lane, ':') - 1);
    DROP INDEX open_due;
    CREATE INDEX open_due ON triage_events (vendor, due, seq) WHERE state IN ('ready', 'leased');
    """,
)

_INHERITED: list[sqlite3.Connection | None] = []
"""Connections of the process that this one was forked from."""


class SQLiteInbox(TableInbox):
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
        super().__init__(clock)
        self._path = str(path)
        self._lock = threading.Lock()
        self._opened: sqlite3.Connection | None = None
        try:
            self._make()
            with self._connection():
                pass
        except (OSError, InboxError) as err:
            raise ConfigurationError(f"The inbox {self._path} cannot be opened: {err}") from err

    def close(self) -> None:
        """Close the file. The next use opens it again."""
        with self._lock:
            if self._opened is not None:
                self._opened.close()
            self._opened = None

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

    def _run(self, sql: str, values: Mapping[str, Any]) -> tuple[list[Any], int]:
        with self._connection() as db:
            cursor = db.execute(sql, values)
            return cursor.fetchall(), cursor.rowcount

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

    def _make(self) -> None:
        if self._path == ":memory:":
            raise ConfigurationError("SQLiteInbox keeps a file. In memory: MemoryInbox().")
        # It holds what customers wrote.
        os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))

    def _open(self) -> sqlite3.Connection:
        # Without transactions of Python's: each statement is one of its own.
        db = sqlite3.connect(self._path, timeout=_BUSY, isolation_level=None, check_same_thread=False)
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            self._migrate(db)
        except BaseException:
            db.close()
            raise
        return db

    def _migrate(self, db: sqlite3.Connection) -> None:
        newest = len(_MIGRATIONS)
        if _version(db) < newest:
            db.execute("BEGIN IMMEDIATE")
            # Another process may have done the same meanwhile, so the version is read again.
            for migration in _MIGRATIONS[_version(db) :]:
                for statement in migration.split(";"):
                    db.execute(statement)
            db.execute(f"PRAGMA user_version = {max(newest, _version(db))}")
            db.execute("COMMIT")
        if _version(db) > newest:
            raise ConfigurationError(f"{self._path} was made by a later version of triage: update it.")

    def __repr__(self) -> str:
        return f"SQLiteInbox({self._path!r})"


class MemoryInbox(SQLiteInbox):
    """Keeps events in this process's memory, for tests and for a Router without an inbox. A crash loses them.

    Args:
        capacity: How many events may be open, and how many that are done with are remembered to know repeated
            deliveries. Of those only the outcome is kept.
        clock: Gives the seconds since the epoch.

    Raises:
        ConfigurationError: The capacity is less than one.
    """

    in_memory = True
    _settled = "changed = :now, event = NULL, ledger = '{}'"

    def __init__(self, capacity: int = 50_000, *, clock: Callable[[], float] = time.time) -> None:
        if capacity < 1:
            raise ConfigurationError(f"MemoryInbox's capacity is at least 1, not {capacity}.")
        self._capacity = capacity
        super().__init__(":memory:", clock=clock)

    def add(self, event: Event) -> bool:
        """Store an event, and forget the oldest that are done with.

        Args:
            event: From `Router.receive`.

        Returns:
            False if its message is known already.

        Raises:
            InboxError: Too many are open.
        """
        if self._rows("SELECT count(*) FROM triage_events WHERE state IN ('ready', 'leased')")[0][0] >= self._capacity:
            raise InboxError(f"the inbox is full: {self._capacity} events are open")
        self._changed(
            "DELETE FROM triage_events WHERE state IN ('finished', 'parked')"
            " AND seq <= (SELECT max(seq) FROM triage_events) - :capacity",
            capacity=self._capacity,
        )
        return super().add(event)

    def _make(self) -> None:
        pass

    def __repr__(self) -> str:
        return f"MemoryInbox({self._capacity})"


def _version(db: sqlite3.Connection) -> int:
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    return version
