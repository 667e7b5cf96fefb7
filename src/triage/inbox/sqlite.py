"""The inbox for one machine: a SQLite file that any number of processes may share."""

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from typing_extensions import override

from triage.errors import ConfigurationError, InboxError
from triage.inbox.address import parse_address
from triage.inbox.table import TableInbox
from triage.limits import Duration

T = TypeVar("T")

_TIMEOUT = 3.0
"""Seconds that a call waits for other threads and processes, all in all. Some help desks wait five seconds for our
response."""
_POLL = 0.01  # seconds between two attempts to lock the file

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
    """
    CREATE INDEX triage_settled ON triage_events (changed) WHERE state IN ('finished', 'planned', 'dead', 'parked')
    """,
)

_INHERITED: list[sqlite3.Connection] = []
"""Connections of the parent process, kept open on purpose."""


class SQLiteInbox(TableInbox):
    """Stores events in a SQLite file.

    Threads and processes of one machine may share the file, including forked workers. An event is on disk when `add`
    returns (`synchronous=FULL`). The file must be on a local disk, because locks on network file systems are not
    reliable.

    Args:
        path: The file. If it does not exist, it is created, readable only by its owner.
        keep: How long to keep finished events, such as `"30d"`, at least one day. Workers remove older ones, a few at
            a time. Dead and parked events are not removed. None keeps all events until you purge them.
        clock: Returns the seconds since the epoch.

    Raises:
        ConfigurationError: The file cannot be opened, or a later version of this library created it.
    """

    def __init__(
        self, path: str | Path, *, keep: Duration | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self._path = path = _parse_path(path)
        # The application may change its current directory.
        self._file = Path(path).absolute()
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._pid = os.getpid()
        self._identity: tuple[object, ...] = ()
        super().__init__(clock, keep)
        if self._path == ":memory:":
            raise ConfigurationError("SQLiteInbox stores events in a file. To store them in memory, use MemoryInbox().")
        try:
            # The file contains customer text.
            os.close(os.open(self._file, os.O_CREAT | os.O_RDWR, 0o600))
            with self._connect():
                pass
        except OSError as err:
            # The error's own text would repeat the path.
            raise ConfigurationError(f"The inbox {self._path} cannot be opened: {err.strerror}") from err
        except InboxError as err:
            raise ConfigurationError(f"The inbox cannot be opened: {err}") from err

    @override
    def close(self) -> None:
        with self._lock:
            if self._opened is not None:
                self._opened.close()
                self._connection = None

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
            raise ConfigurationError(f"The backup {path} cannot be created: {err.strerror}") from err
        try:
            # Connections of its own, so that deliveries do not wait for the copy. If the inbox was removed, the mode
            # prevents an empty copy.
            address = f"{self._file.as_uri()}?mode=rw"
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
        self._lock.release()

    @override
    def _execute(self, sql: str, values: Mapping[str, Any]) -> tuple[list[Any], int]:
        with self._connect() as (connection, deadline):

            def execute() -> tuple[list[Any], int]:
                cursor = connection.execute(sql, values)
                return cursor.fetchall(), cursor.rowcount

            return _wait_for_file(execute, deadline)

    @override
    def forget(self, customer: str) -> int:
        with self._connect() as (connection, _):
            # Overwrite removed text with zeros, even if somebody has changed the setting since the file was opened.
            connection.execute("PRAGMA secure_delete = ON")
        return super().forget(customer)

    @override
    def _erase_removed(self) -> bool:
        deadline = time.monotonic() + _TIMEOUT
        # The write-ahead log still contains the removed rows. This empties it, unless somebody else is using it.
        while self._execute("PRAGMA wal_checkpoint(TRUNCATE)", {})[0][0][0]:
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL)
        return True

    @contextmanager
    def _connect(self) -> Generator[tuple[sqlite3.Connection, float]]:
        """Yield this process's connection to one thread at a time, and the time until which it may wait."""
        deadline = time.monotonic() + _TIMEOUT
        if not self._lock.acquire(timeout=_TIMEOUT):
            raise self._build_error("another thread was using the file for too long")
        try:
            yield self._get_connection(deadline), deadline
            # A write to a file that has been removed in the meantime is lost.
            self._check_file()
        except sqlite3.Error as err:
            # SQLite's messages, such as "database is locked", do not quote data.
            raise self._build_error(f"{err}{_explain(err)}") from err
        finally:
            self._lock.release()

    @property
    def _opened(self) -> sqlite3.Connection | None:
        """The connection of this process, if it is open."""
        # A connection must not be used in a child process, nor even be closed there:
        # https://www.sqlite.org/howtocorrupt.html, 2.6. Compare the process, because not every server that forks runs
        # the hooks of Python.
        return self._connection if self._pid == os.getpid() else None

    def _get_connection(self, deadline: float) -> sqlite3.Connection:
        self._check_file()
        if self._opened is None:
            if self._connection is not None:
                _INHERITED.append(self._connection)
            if not self._file.exists():
                # A new file would lack the events that were stored in the old one, and nobody would notice.
                raise self._build_error("the file was removed while it was open. Put it back, or restart the program")
            self._connection, self._pid = _wait_for_file(self._open, deadline), os.getpid()
            self._identity = _identify(self._file)
            return self._connection
        return self._opened

    def _check_file(self) -> None:
        """Raise an error if the open file is no longer the one that other processes would open."""
        if self._opened is not None and _identify(self._file) != self._identity:
            # SQLite notices that the file has moved, and does not remove the log of a new one of the same name.
            self._opened.close()
            self._connection = None
            raise self._build_error("the file was removed or replaced while it was open")

    def _open(self) -> sqlite3.Connection:
        # With isolation_level=None, the module never opens a transaction, so each statement is its own.
        connection = sqlite3.connect(self._file, timeout=0, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            # Overwrite removed text with zeros, which is not the default of every SQLite.
            connection.execute("PRAGMA secure_delete = ON")
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
            raise self._build_error("a later version of triage created the file. Update this one")

    def _build_error(self, reason: str) -> InboxError:
        return InboxError(f"the inbox {self._path}: {reason}")

    def __repr__(self) -> str:
        return f"SQLiteInbox({self._path!r})"


def _parse_path(path: str | Path) -> str:
    if isinstance(path, Path):
        return str(path)
    is_postgres, location = parse_address(path)
    if is_postgres:
        raise ConfigurationError("SQLiteInbox needs the path of a file. For PostgreSQL, use PostgresInbox.")
    return location


def _identify(path: Path) -> tuple[object, ...]:
    """Return what distinguishes a file and its write-ahead log from others of the same name."""
    # SQLite puts the log next to the file, not next to a symbolic link to it.
    log = Path(f"{path.resolve()}-wal")
    identity: list[object] = []
    for file in (path, log):
        try:
            status = file.stat()
        except OSError:
            identity.append(None)
        else:
            identity.append((status.st_dev, status.st_ino))
    return tuple(identity)


def _explain(error: sqlite3.Error) -> str:
    code: int = getattr(error, "sqlite_errorcode", 0) & 0xFF  # only errors of SQLite itself have one
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
        return " (this user must be able to write to the file and to its directory)"
    return ""


def _wait_for_file(attempt: Callable[[], T], deadline: float) -> T:
    """Repeat what fails because another connection has locked the file, until a time.

    SQLite's own timeout does not cover a change of the journal mode, and does not count how long its pauses take on a
    busy machine: https://www.sqlite.org/c3ref/busy_handler.html
    """
    while True:
        try:
            return attempt()
        except sqlite3.OperationalError as err:
            if err.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(_POLL)


def _read_version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version
