"""The inbox for several machines: tables in PostgreSQL. Needs the extra `postgres`."""

import re
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from typing_extensions import override

from triage.errors import ConfigurationError, InboxError
from triage.inbox.address import parse_address
from triage.inbox.table import TableInbox
from triage.models import Job

try:
    import psycopg
    import psycopg.conninfo
    import psycopg_pool
except ImportError as err:  # pragma: no cover - installed for the tests
    raise ConfigurationError("PostgresInbox needs psycopg: pip install 'chat-triage[postgres]'.") from err

_TIMEOUT = 3.0  # seconds to connect and for each statement; some help desks wait five seconds for our response

# Entry n migrates the tables from version n to n + 1. Only append to this list, never change it.
_MIGRATIONS = (
    """
    CREATE TABLE triage_events (
      number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      key TEXT NOT NULL UNIQUE,
      owner TEXT NOT NULL,
      conversation TEXT NOT NULL,
      customer TEXT NOT NULL DEFAULT '',
      email TEXT NOT NULL DEFAULT '',
      state TEXT NOT NULL DEFAULT 'ready' CHECK (state IN ('ready', 'leased', 'finished', 'planned', 'dead', 'parked')),
      due DOUBLE PRECISION NOT NULL,
      attempts INTEGER NOT NULL DEFAULT 0,
      fencing_token INTEGER NOT NULL DEFAULT 0,
      event TEXT,
      body BYTEA,
      ledger TEXT NOT NULL DEFAULT '{}',
      outcome TEXT,
      handled INTEGER NOT NULL DEFAULT 0,
      replied INTEGER NOT NULL DEFAULT 0,
      error TEXT,
      reported DOUBLE PRECISION NOT NULL DEFAULT 0,
      received DOUBLE PRECISION NOT NULL,
      changed DOUBLE PRECISION NOT NULL
    );
    CREATE INDEX triage_open_due ON triage_events (owner, due, number) WHERE state IN ('ready', 'leased');
    CREATE INDEX triage_open_conversation ON triage_events (conversation, number) WHERE state IN ('ready', 'leased');
    CREATE INDEX triage_conversation ON triage_events (conversation, number);
    CREATE INDEX triage_replied_customer ON triage_events (customer, changed) WHERE replied = 1;
    CREATE INDEX triage_replied_email ON triage_events (email, changed) WHERE replied = 1;
    CREATE UNIQUE INDEX triage_leased_conversation ON triage_events (conversation) WHERE state = 'leased';
    CREATE TABLE triage_limits (
      name TEXT PRIMARY KEY, value DOUBLE PRECISION NOT NULL, changed DOUBLE PRECISION NOT NULL
    );
    """,
)
_MIGRATION_LOCK = 0x7472696167650000  # "triage" in bytes, so that no other application uses the same advisory lock

# The server's time, so that machines with different clocks agree on when a lease expires.
_SERVER_TIME = "CAST(extract(epoch FROM clock_timestamp()) AS DOUBLE PRECISION)"

_INHERITED: list[Any] = []
"""Connection pools of the parent process, kept open on purpose."""


class PostgresInbox(TableInbox):
    """Stores events in PostgreSQL, for workers on several machines.

    An event is on the disk of the server when `add` returns (`synchronous_commit`). The tables `triage_events`,
    `triage_limits` and `triage_version` are created in the first schema of the `search_path`. PgBouncer works in every
    pool mode.

    Args:
        conninfo: `"postgresql://user:password@host/database"`, or libpq's form `"host=… dbname=…"`.
        connections: The maximum number of connections of this process.
        clock: Returns the seconds since the epoch, for tests. Default: the clock of the server.

    Raises:
        ConfigurationError: The server cannot be reached or rejects the connection, or a later version of this library
            created the tables.
    """

    _lock_rows = "FOR UPDATE SKIP LOCKED"

    def __init__(self, conninfo: str, *, connections: int = 8, clock: Callable[[], float] | None = None) -> None:
        if connections < 1:
            raise ConfigurationError(f"PostgresInbox needs at least one connection, not {connections}.")
        is_postgres, conninfo = parse_address(conninfo)
        if not is_postgres:
            raise ConfigurationError(
                "PostgresInbox needs postgresql://USER:PASSWORD@HOST/DATABASE, or host=… dbname=…."
            )
        parameters = _parse_conninfo(conninfo)
        self._name = f"{parameters.get('host', 'localhost')}/{parameters.get('dbname', '')}"
        self._conninfo = conninfo
        self._connections = connections
        self._lock = threading.Lock()
        self._opened: psycopg_pool.ConnectionPool[Any] | None = None
        super().__init__(clock or time.time)
        now = _SERVER_TIME if clock is None else ":now"
        self._queries = {name: _translate(sql.replace(":now", now)) for name, sql in self._queries.items()}
        self._migrate()

    @override
    def lease(self, limit: int, seconds: float, owner: str | None = None, *, interrupted: bool = True) -> list[Job]:
        try:
            return list(super().lease(limit, seconds, owner, interrupted=interrupted))
        except _ConversationLeased:
            return []

    @override
    def lease_key(self, key: str, seconds: float) -> Job | None:
        try:
            return super().lease_key(key, seconds)
        except _ConversationLeased:
            return None

    @override
    def close(self) -> None:
        with self._lock:
            pool, self._opened = self._opened, None
        if pool is not None:
            pool.close()

    @override
    def before_fork(self) -> None:
        # No thread may be opening or closing the pool.
        self._lock.acquire()

    @override
    def after_fork(self, *, child: bool) -> None:
        if child:  # pragma: no cover - coverage does not measure forked processes
            _INHERITED.append(self._opened)
            self._opened = None
        self._lock.release()

    @override
    def _execute(self, sql: str, values: Mapping[str, Any]) -> tuple[list[Any], int]:
        try:
            with self._get_pool().connection() as connection:
                cursor = connection.execute(sql, values)
                return (cursor.fetchall() if cursor.description else []), cursor.rowcount
        except psycopg.errors.UniqueViolation as err:
            raise _ConversationLeased("another worker has leased an event of this conversation") from err
        except psycopg.Error as err:
            raise self._build_error(err) from err

    def _get_pool(self) -> "psycopg_pool.ConnectionPool[Any]":
        with self._lock:
            if self._opened is None:
                self._opened = psycopg_pool.ConnectionPool(
                    self._conninfo,
                    min_size=1,
                    max_size=self._connections,
                    timeout=_TIMEOUT,
                    open=True,
                    name="triage",
                    # A restart of the server closes pooled connections, so check each one before it is used.
                    check=psycopg_pool.ConnectionPool.check_connection,
                    configure=_configure_connection,
                    kwargs={
                        "autocommit": True,
                        "connect_timeout": int(_TIMEOUT),
                        # PgBouncer may run each transaction in another session.
                        "prepare_threshold": None,
                    },
                )
            return self._opened

    def _migrate(self) -> None:
        newest = len(_MIGRATIONS)
        try:
            # Connect without the pool, which would retry for a while, to report a wrong password at once.
            with psycopg.connect(self._conninfo, connect_timeout=int(_TIMEOUT)) as connection:
                connection.execute("SELECT pg_advisory_xact_lock(%s)", [_MIGRATION_LOCK])
                connection.execute("CREATE TABLE IF NOT EXISTS triage_version (version INTEGER NOT NULL)")
                row = connection.execute("SELECT version FROM triage_version").fetchone()
                version = row[0] if row else 0
                if version > newest:
                    raise ConfigurationError(f"A later version of triage created {self!r}: update this one.")
                for migration in _MIGRATIONS[version:]:
                    connection.execute(migration)
                connection.execute("DELETE FROM triage_version")
                connection.execute("INSERT INTO triage_version VALUES (%s)", [newest])
        except psycopg.Error as err:
            raise ConfigurationError(f"The inbox cannot be opened: {self._build_error(err)}") from err

    def _build_error(self, err: psycopg.Error) -> InboxError:
        # Use only the server's first line, because the details may quote data.
        message = err.diag.message_primary
        if not message and isinstance(err, psycopg.OperationalError):
            message = str(err).partition("\n")[0]
        return InboxError(f"the inbox {self._name}: {message or type(err).__name__}")

    def __repr__(self) -> str:
        return f"PostgresInbox({self._name!r})"


def _parse_conninfo(conninfo: str) -> dict[str, Any]:
    try:
        parameters = psycopg.conninfo.conninfo_to_dict(conninfo)
    except psycopg.Error:
        # libpq's own message would quote the string, and thus the password.
        raise ConfigurationError(
            "PostgresInbox: the connection string is not valid for PostgreSQL. Options of other drivers, such as "
            "?ssl=require, have other names (sslmode=require), and reserved characters in a password are written in "
            "percent-encoding: @ as %40."
        ) from None
    if "@" in str(parameters.get("host", "")):
        # libpq ends the password at the first "@", and would take the rest for the name of the host.
        raise ConfigurationError("PostgresInbox: the password contains an @. Write it as %40.")
    return parameters


class _ConversationLeased(InboxError):  # noqa: N818 - not an error for the caller
    """Two workers tried to lease events of one conversation at the same time, and the database accepted one."""


def _translate(sql: str) -> str:
    """Write parameters as psycopg expects them: `%(name)s` instead of `:name`."""
    return re.sub(r"(?<!:):([a-z_]+)\b", r"%(\1)s", sql)


def _configure_connection(connection: "psycopg.Connection[Any]") -> None:
    # Override the server's default, because a stored event must survive a crash of the server.
    connection.execute("SET synchronous_commit = on")
    connection.execute("SELECT set_config('statement_timeout', %s, false)", [str(int(_TIMEOUT * 1000))])
