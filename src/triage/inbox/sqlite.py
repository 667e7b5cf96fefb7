"""The inbox for one machine: a SQLite file that any number of processes may share."""

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from typing_extensions import override

from triage.errors import ConfigurationError, InboxError
from triage.inbox.address import parse_address
from triage.inbox.group_commit import Result, RolledBack, Statement, Take
from triage.inbox.table import TableInbox
from triage.limits import Duration

T = TypeVar("T")

_TIMEOUT = 3.0
"""Seconds that a call waits for other threads and processes, all in all. Some help desks wait five seconds for our
response."""
_OPENING = 15.0  # seconds for opening the file when a program starts, when nobody waits for a response
_POLL = 0.002  # seconds between two attempts to lock the file; SQLite has no queue, so a longer one is left behind
# The second one means that many attempts to begin a transaction met other ones: https://www.sqlite.org/rescode.html#protocol
_TEMPORARY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_PROTOCOL})

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
    CREATE INDEX triage_settled ON triage_events (changed) WHERE state IN ('finished', 'planned', 'dead', 'parked');
    CREATE INDEX triage_set_aside ON triage_events (state, number) WHERE state IN ('planned', 'dead', 'parked');
    CREATE TABLE triage_counts (
      owner TEXT NOT NULL, state TEXT NOT NULL, events INTEGER NOT NULL, PRIMARY KEY (owner, state)
    ) STRICT, WITHOUT ROWID;
    INSERT INTO triage_counts SELECT owner, state, count(*) FROM triage_events GROUP BY owner, state;
    CREATE TRIGGER triage_count_insert AFTER INSERT ON triage_events BEGIN
      INSERT INTO triage_counts VALUES (NEW.owner, NEW.state, 1)
      ON CONFLICT (owner, state) DO UPDATE SET events = events + 1;
    END;
    CREATE TRIGGER triage_count_update AFTER UPDATE OF state ON triage_events WHEN NEW.state <> OLD.state BEGIN
      UPDATE triage_counts SET events = events - 1 WHERE owner = OLD.owner AND state = OLD.state;
      INSERT INTO triage_counts VALUES (NEW.owner, NEW.state, 1)
      ON CONFLICT (owner, state) DO UPDATE SET events = events + 1;
    END;
    CREATE TRIGGER triage_count_delete AFTER DELETE ON triage_events BEGIN
      UPDATE triage_counts SET events = events - 1 WHERE owner = OLD.owner AND state = OLD.state;
    END
    """,
)

_INHERITED: list[sqlite3.Connection] = []
"""Connections of the parent process, kept open on purpose."""


@dataclass(eq=False, slots=True, repr=False)
class _Batch(Statement):
    """Functions that call the inbox, as one member of a group of statements."""

    functions: Sequence[Callable[[], None]] = field(kw_only=True)


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

    _each_lease = "json_each(:leases)"

    def __init__(
        self, path: str | Path, *, keep: Duration | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self._path = path = _parse_path(path)
        # The application may change its current directory.
        self._file = Path(path).absolute()
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._pid = os.getpid()
        self._files: tuple[Path, ...] = ()
        self._identity: tuple[object, ...] = ()
        super().__init__(self._path, clock, keep)
        if self._path == ":memory:":
            raise ConfigurationError("SQLiteInbox stores events in a file. To store them in memory, use MemoryInbox().")
        try:
            # The file contains customer text.
            os.close(os.open(self._file, os.O_CREAT | os.O_RDWR, 0o600))
            with self._connect(time.monotonic() + _OPENING):
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
            # Separate connections, so that deliveries do not wait for the copy. If the inbox was removed, the mode
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

    @property
    @override
    def _timeout(self) -> float:
        return _TIMEOUT

    @override
    def _execute_joined(self, functions: Sequence[Callable[[], None]], deadline: float) -> None:
        # There is only one writer, so it also runs the statements of other threads.
        self._group.run(_Batch("", {}, deadline, functions=functions))

    def _apply(self, connection: sqlite3.Connection, statement: Statement) -> Result:
        """Run a statement, or the functions of a batch until one of their statements fails."""
        if not isinstance(statement, _Batch):
            return _run_sql(connection, statement.sql, statement.values)
        self._joined.call(statement.functions, partial(self._run_joined, connection))
        return [], 0

    def _run_joined(self, connection: sqlite3.Connection, statement: Statement) -> Result:
        try:
            return _run_sql(connection, statement.sql, statement.values)
        except sqlite3.Error as err:
            raise self._build_error(str(err)) from err

    @override
    def _execute_alone(self, statement: Statement) -> Result:
        if isinstance(statement, _Batch):
            return self._execute_together(lambda: [statement], statement.deadline)[0]
        with self._connect(statement.deadline) as connection:
            return _wait_for_file(lambda: self._apply(connection, statement), statement.deadline)

    @override
    def _execute_together(self, take: Take, deadline: float) -> Sequence[Result]:
        with self._connect(deadline) as connection:
            _wait_for_file(lambda: connection.execute("BEGIN IMMEDIATE"), deadline)
            try:
                results = [self._apply(connection, statement) for statement in take()]
                connection.execute("COMMIT")
            except Exception as err:
                raise RolledBack from err
            return results

    @override
    def forget(self, customer: str) -> int:
        with self._connect() as connection:
            # Overwrite removed text with zeros, even if somebody has changed the setting since the file was opened.
            connection.execute("PRAGMA secure_delete = ON")
        return super().forget(customer)

    @override
    def _tidy(self) -> None:
        # Otherwise a delivery whose commit finds a long log would have to copy it. This prevents no one from writing.
        self._execute("PRAGMA wal_checkpoint(PASSIVE)", {})

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
    def _connect(self, deadline: float | None = None) -> Generator[sqlite3.Connection]:
        """Yield this process's connection to one thread at a time.

        Args:
            deadline: The time until which to wait for it, on the monotonic clock.
        """
        deadline = time.monotonic() + _TIMEOUT if deadline is None else deadline
        if not self._lock.acquire(timeout=max(0.0, deadline - time.monotonic())):
            raise self._build_error("another thread was using the file for too long")
        try:
            connection = self._get_connection(deadline)
            try:
                yield connection
            finally:
                if connection.in_transaction:  # a statement failed, or the thread was interrupted
                    connection.execute("ROLLBACK")
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
            # SQLite puts the write-ahead log next to the file, not next to a symbolic link to it.
            self._files = (self._file, Path(f"{self._file.resolve()}-wal"))
            self._identity = _identify(self._files)
            return self._connection
        return self._opened

    def _check_file(self) -> None:
        """Raise an error if the open file is no longer the one that other processes would open."""
        if self._opened is not None and _identify(self._files) != self._identity:
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
                for statement in _split(migration):
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


def _identify(files: Sequence[Path]) -> tuple[object, ...]:
    """Return what distinguishes files from others of the same names."""
    identity: list[object] = []
    for file in files:
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


def _run_sql(connection: sqlite3.Connection, sql: str, values: Mapping[str, Any]) -> Result:
    cursor = connection.execute(sql, values)
    return cursor.fetchall(), cursor.rowcount


def _wait_for_file(attempt: Callable[[], T], deadline: float) -> T:
    """Repeat what fails because another connection has locked the file, until a time.

    SQLite's own timeout does not cover a change of the journal mode, and does not count how long its pauses take on a
    busy machine: https://www.sqlite.org/c3ref/busy_handler.html
    """
    while True:
        try:
            return attempt()
        except sqlite3.OperationalError as err:
            if err.sqlite_errorcode & 0xFF not in _TEMPORARY or time.monotonic() > deadline:
                raise
            time.sleep(_POLL)


def _split(script: str) -> Iterator[str]:
    """Yield the statements of a script. Those that create a trigger contain semicolons themselves."""
    statement = ""
    for part in script.split(";"):
        statement += f"{part};"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _read_version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version
