"""The inbox for one machine: a SQLite file that any number of processes may share."""

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from typing_extensions import override

from triage.errors import ConfigurationError, InboxError
from triage.inbox.table import TableInbox

_BUSY_TIMEOUT = 5.0  # seconds that a write waits for the write of another process

# Entry n migrates a file from version n to n + 1. Only append to this list, never change it.
_MIGRATIONS = (
    """
    CREATE TABLE triage_events (
      number INTEGER PRIMARY KEY AUTOINCREMENT,
      key TEXT NOT NULL UNIQUE,
      owner TEXT NOT NULL,
      conversation TEXT NOT NULL,
      customer TEXT NOT NULL DEFAULT '',
      email TEXT NOT NULL DEFAULT '',
      state TEXT NOT NULL DEFAULT 'ready' CHECK (state IN ('ready', 'leased', 'finished', 'planned', 'dead', 'parked')),
      due REAL NOT NULL,
      attempts INTEGER NOT NULL DEFAULT 0,
      fencing_token INTEGER NOT NULL DEFAULT 0,
      event TEXT,
      body BLOB,
      ledger TEXT NOT NULL DEFAULT '{}',
      outcome TEXT,
      handled INTEGER NOT NULL DEFAULT 0,
      replied INTEGER NOT NULL DEFAULT 0,
      error TEXT,
      reported REAL NOT NULL DEFAULT 0,
      received REAL NOT NULL,
      changed REAL NOT NULL
    ) STRICT;
    CREATE INDEX triage_open_due ON triage_events (owner, due, number) WHERE state IN ('ready', 'leased');
    CREATE INDEX triage_open_conversation ON triage_events (conversation, number) WHERE state IN ('ready', 'leased');
    CREATE INDEX triage_conversation ON triage_events (conversation, number);
    CREATE INDEX triage_replied_customer ON triage_events (customer, changed) WHERE replied = 1;
    CREATE INDEX triage_replied_email ON triage_events (email, changed) WHERE replied = 1;
    CREATE UNIQUE INDEX triage_leased_conversation ON triage_events (conversation) WHERE state = 'leased';
    CREATE TABLE triage_limits (name TEXT PRIMARY KEY, value REAL NOT NULL, changed REAL NOT NULL) STRICT;
    """,
)

_INHERITED: list[sqlite3.Connection | None] = []
"""Connections of the parent process, kept open on purpose."""


class SQLiteInbox(TableInbox):
    """Stores events in a SQLite file.

    Threads and processes of one machine may share the file, including forked workers. An event is on disk when `add`
    returns (`synchronous=FULL`). The file must be on a local disk, because locks on network file systems are not
    reliable.

    Args:
        path: The file. If it does not exist, it is created, readable only by its owner.
        clock: Returns the seconds since the epoch.

    Raises:
        ConfigurationError: The file cannot be opened, or a later version of this library created it.
    """

    def __init__(self, path: str | Path, *, clock: Callable[[], float] = time.time) -> None:
        self._path = str(path)
        self._lock = threading.Lock()
        self._opened: sqlite3.Connection | None = None
        super().__init__(clock)
        if self._path == ":memory:":
            raise ConfigurationError("SQLiteInbox stores events in a file. To store them in memory, use MemoryInbox().")
        try:
            # The file contains customer text.
            os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))
            with self._connect():
                pass
        except (OSError, InboxError) as err:
            # The error's own text would repeat the path.
            reason = err.strerror if isinstance(err, OSError) else str(err)
            raise ConfigurationError(f"The inbox {self._path} cannot be opened: {reason}") from err

    @override
    def close(self) -> None:
        with self._lock:
            if self._opened is not None:
                self._opened.close()
            self._opened = None

    def backup(self, path: str | Path) -> None:
        """Copy the inbox to another file, while it is in use.

        A copy of the file alone would lack the newest events, which are in its write-ahead log.

        Args:
            path: The new file, which is readable only by its owner.

        Raises:
            ConfigurationError: The file exists or cannot be created.
            InboxError: The inbox cannot be read.
        """
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        except OSError as err:
            raise ConfigurationError(f"The backup {path} cannot be created: {err}") from err
        try:
            # Connections of its own, so that deliveries do not wait for the copy. If the inbox was removed, the mode
            # prevents an empty copy.
            address = f"{Path(self._path).absolute().as_uri()}?mode=rw"
            with closing(sqlite3.connect(address, uri=True)) as source, closing(sqlite3.connect(path)) as target:
                source.backup(target)
        except sqlite3.Error as err:
            Path(path).unlink()
            raise InboxError(f"the inbox {self._path} cannot be copied to {path}: {err}") from err

    @override
    def before_fork(self) -> None:
        # A lock that SQLite holds during the fork would stay locked in the child.
        self._lock.acquire()

    @override
    def after_fork(self, *, child: bool) -> None:
        if child:  # pragma: no cover - coverage does not measure forked processes
            # A connection must not be used in a child process, nor even be closed there:
            # https://www.sqlite.org/howtocorrupt.html, 2.6
            _INHERITED.append(self._opened)
            self._opened = None
        self._lock.release()

    @override
    def _execute(self, sql: str, values: Mapping[str, Any]) -> tuple[list[Any], int]:
        with self._connect() as connection:
            cursor = connection.execute(sql, values)
            return cursor.fetchall(), cursor.rowcount

    @contextmanager
    def _connect(self) -> Generator[sqlite3.Connection]:
        """Yield this process's connection to one thread at a time."""
        with self._lock:
            try:
                if self._opened is None:
                    self._opened = self._open()
                yield self._opened
            except sqlite3.Error as err:
                # SQLite's messages, such as "database is locked", do not quote data.
                raise InboxError(f"the inbox {self._path}: {err}") from err

    def _open(self) -> sqlite3.Connection:
        # With isolation_level=None, the module never opens a transaction, so each statement is its own.
        connection = sqlite3.connect(self._path, timeout=_BUSY_TIMEOUT, isolation_level=None, check_same_thread=False)
        try:
            _use_wal(connection)
            connection.execute("PRAGMA synchronous = FULL")
            self._migrate(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _migrate(self, connection: sqlite3.Connection) -> None:
        newest = len(_MIGRATIONS)
        if _read_version(connection) < newest:
            connection.execute("BEGIN IMMEDIATE")
            # Another process may have migrated the file before this transaction began, so read the version again.
            for migration in _MIGRATIONS[_read_version(connection) :]:
                for statement in migration.split(";"):
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {max(newest, _read_version(connection))}")
            connection.execute("COMMIT")
        if _read_version(connection) > newest:
            raise ConfigurationError(f"A later version of triage created {self._path}: update this one.")

    def __repr__(self) -> str:
        return f"SQLiteInbox({self._path!r})"


def _use_wal(connection: sqlite3.Connection) -> None:
    # SQLite ignores its timeout here, because two processes that change the mode of a new file at the same moment would
    # wait for each other: https://www.sqlite.org/c3ref/busy_handler.html
    deadline = time.monotonic() + _BUSY_TIMEOUT
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as err:
            if err.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _read_version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version
