"""The inbox for several machines: tables in PostgreSQL. Needs the extra `postgres`."""

import re
import threading
from collections.abc import Callable, Mapping
from typing import Any

from triage.errors import ConfigurationError, InboxError
from triage.inbox.table import TableInbox
from triage.models import Job

try:
    import psycopg
    import psycopg.conninfo
    import psycopg_pool
except ImportError as err:  # pragma: no cover - the tests have it
    raise ConfigurationError("PostgresInbox needs psycopg: pip install 'chat-triage[postgres]'.") from err

_WAIT = 3.0  # seconds, for a connection and for an answer; some help desks wait five for ours

# Each brings the tables to the version that is its place in the list; what stands here is never changed, only added to.
_MIGRATIONS = (
    """
    CREATE TABLE triage_events (
      seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      key TEXT NOT NULL UNIQUE,
      lane TEXT NOT NULL,
      customer TEXT NOT NULL DEFAULT '',
      email TEXT NOT NULL DEFAULT '',
      state TEXT NOT NULL DEFAULT 'ready' CHECK (state IN ('ready', 'leased', 'finished', 'parked')),
      due DOUBLE PRECISION NOT NULL,
      attempts INTEGER NOT NULL DEFAULT 0,
      fence INTEGER NOT NULL DEFAULT 0,
      event TEXT,
      body BYTEA,
      ledger TEXT NOT NULL DEFAULT '{}',
      outcome TEXT,
      acted INTEGER NOT NULL DEFAULT 0,
      error TEXT,
      told DOUBLE PRECISION NOT NULL DEFAULT 0,
      received DOUBLE PRECISION NOT NULL,
      changed DOUBLE PRECISION NOT NULL
    );
    CREATE INDEX triage_open_due ON triage_events (due, seq) WHERE state IN ('ready', 'leased');
    CREATE INDEX triage_open_lane ON triage_events (lane, seq) WHERE state IN ('ready', 'leased');
    CREATE INDEX triage_acted_lane ON triage_events (lane) WHERE acted = 1;
    CREATE UNIQUE INDEX triage_leased_lane ON triage_events (lane) WHERE state = 'leased';
    CREATE TABLE triage_numbers (
      name TEXT PRIMARY KEY, value DOUBLE PRECISION NOT NULL, changed DOUBLE PRECISION NOT NULL
    );
    """,
    """
    ALTER TABLE triage_events ADD COLUMN vendor TEXT NOT NULL DEFAULT '';
    UPDATE triage_events SET vendor = split_part(lane, ':', 1);
    DROP INDEX triage_open_due;
    CREATE INDEX triage_open_due ON triage_events (vendor, due, seq) WHERE state IN ('ready', 'leased');
    """,
)
_LOCK = 0x7472696167650000  # "triage" in bytes: nobody else's advisory lock is likely to have this number

# The server's time, so that machines whose clocks disagree agree on when a lease has run out.
_NOW = "CAST(extract(epoch FROM clock_timestamp()) AS DOUBLE PRECISION)"

_INHERITED: list[Any] = []
"""Connections of the process that this one was forked from."""


class PostgresInbox(TableInbox):
    """Keeps events in PostgreSQL, for workers on several machines.

    What is added is on the server's disk when `add` returns (`synchronous_commit`). The tables `triage_events`,
    `triage_numbers` and `triage_version` are made in the first schema of the `search_path`. It works through PgBouncer
    too, in any mode.

    Args:
        conninfo: `"postgresql://user:password@host/database"`, or libpq's form `"host=… dbname=…"`.
        connections: How many this process opens at the most.
        clock: Gives the seconds since the epoch, for tests. Default: the server's clock.

    Raises:
        ConfigurationError: The server cannot be reached or refuses us, or a later version of this library made the
            tables.
    """

    _lock_rows = "FOR UPDATE SKIP LOCKED"

    def __init__(self, conninfo: str, *, connections: int = 8, clock: Callable[[], float] | None = None) -> None:
        if connections < 1:
            raise ConfigurationError(f"PostgresInbox needs at least one connection, not {connections}.")
        try:
            known = psycopg.conninfo.conninfo_to_dict(conninfo)
        except psycopg.Error:
            # Not in libpq's words: they quote the string, and so the password.
            raise ConfigurationError("PostgresInbox: this is no connection string of PostgreSQL's.") from None
        self._name = f"{known.get('host', 'localhost')}/{known.get('dbname', '')}"
        self._conninfo = conninfo
        self._connections = connections
        self._server_time = clock is None
        self._translations: dict[str, str] = {}
        self._lock = threading.Lock()
        self._opened: psycopg_pool.ConnectionPool[Any] | None = None
        super().__init__(clock or (lambda: 0.0))
        self._migrate()

    def lease(self, limit: int, seconds: float, vendor: str | None = None) -> list[Job]:
        """Take events that are due, the oldest first, no two of one conversation.

        Args:
            limit: How many at the most.
            seconds: For how long; after that another worker may take them.
            vendor: Only this help desk's; None for all.
        """
        try:
            return list(super().lease(limit, seconds, vendor))
        except _Overtaken:
            return []

    def lease_key(self, key: str, seconds: float) -> Job | None:
        """Lease a certain event.

        Args:
            key: The event's.
            seconds: For how long.

        Returns:
            None if it is done with, is being worked on, waits for its time or for an earlier one of its conversation.
        """
        try:
            return super().lease_key(key, seconds)
        except _Overtaken:
            return None

    def close(self) -> None:
        """Close the connections. The next use opens them again."""
        with self._lock:
            opened, self._opened = self._opened, None
        if opened is not None:
            opened.close()

    def before_fork(self) -> None:
        """Neither open nor close the pool while the process forks."""
        self._lock.acquire()

    def after_fork(self, *, child: bool) -> None:
        """Go on; in the fork with connections of its own.

        Args:
            child: True in the fork.
        """
        if child:  # pragma: no cover - in forks alone, where nobody counts
            _INHERITED.append(self._opened)
            self._opened = None
        self._lock.release()

    def _run(self, sql: str, values: Mapping[str, Any]) -> tuple[list[Any], int]:
        try:
            with self._pool().connection() as connection:
                cursor = connection.execute(self._translated(sql), values)
                return (cursor.fetchall() if cursor.description else []), cursor.rowcount
        except psycopg.errors.UniqueViolation as err:
            raise _Overtaken("another worker has an event of this conversation") from err
        except psycopg.Error as err:
            raise self._error(err) from err

    def _translated(self, sql: str) -> str:
        """A statement with the parameters written as psycopg wants them."""
        known = self._translations.get(sql)
        if known is None:
            timed = re.sub(r":now\b", _NOW, sql) if self._server_time else sql
            known = self._translations[sql] = re.sub(r"(?<!:):([a-z]+)\b", r"%(\1)s", timed)
        return known

    def _pool(self) -> "psycopg_pool.ConnectionPool[Any]":
        with self._lock:
            if self._opened is None:
                self._opened = psycopg_pool.ConnectionPool(
                    self._conninfo,
                    min_size=1,
                    max_size=self._connections,
                    timeout=_WAIT,
                    open=True,
                    name="triage",
                    # A server that was started again has closed what the pool holds: each is asked before it is used.
                    check=psycopg_pool.ConnectionPool.check_connection,
                    configure=_configure,
                    kwargs={
                        "autocommit": True,
                        "connect_timeout": int(_WAIT),
                        "prepare_threshold": None,  # PgBouncer gives every transaction another session
                    },
                )
            return self._opened

    def _migrate(self) -> None:
        newest = len(_MIGRATIONS)
        try:
            # The pool would try for a while; a wrong password is to be told at once, and in the server's words.
            with psycopg.connect(self._conninfo, connect_timeout=int(_WAIT)) as connection:
                connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
                connection.execute("CREATE TABLE IF NOT EXISTS triage_version (version INTEGER NOT NULL)")
                row = connection.execute("SELECT version FROM triage_version").fetchone()
                version = row[0] if row else 0
                if version > newest:
                    raise ConfigurationError(f"{self!r} was made by a later version of triage: update it.")
                for migration in _MIGRATIONS[version:]:
                    connection.execute(migration)
                connection.execute("DELETE FROM triage_version")
                connection.execute("INSERT INTO triage_version VALUES (%s)", [newest])
        except psycopg.Error as err:
            raise ConfigurationError(f"The inbox cannot be opened: {self._error(err)}") from err

    def _error(self, err: psycopg.Error) -> InboxError:
        # The server's first line; its details may quote the data.
        told = err.diag.message_primary
        if not told and isinstance(err, psycopg.OperationalError):
            told = str(err).partition("\n")[0]
        return InboxError(f"the inbox {self._name}: {told or type(err).__name__}")

    def __repr__(self) -> str:
        return f"PostgresInbox({self._name!r})"


class _Overtaken(InboxError):  # noqa: N818 - it is what happened
    """Two workers wanted events of one conversation at the same moment; the database lets one of them."""


def _configure(connection: "psycopg.Connection[Any]") -> None:
    # Whatever the server's default is: what `add` has stored must survive its crash.
    connection.execute("SET synchronous_commit = on")
    connection.execute("SELECT set_config('statement_timeout', %s, false)", [str(int(_WAIT * 1000))])
