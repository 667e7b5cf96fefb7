"""The inbox for several machines: tables in PostgreSQL. Needs the extra `postgres`."""

import os
import re
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any

from typing_extensions import override

from triage.errors import ConfigurationError, InboxError
from triage.inbox.address import parse_address
from triage.inbox.table import TableInbox
from triage.limits import Duration
from triage.models import Job

try:
    import psycopg
    import psycopg.conninfo
    import psycopg_pool
except ImportError as err:  # pragma: no cover - installed for the tests
    raise ConfigurationError("PostgresInbox needs psycopg: pip install 'chat-triage[postgres]'.") from err

_TIMEOUT = 4.0
"""Seconds that a call takes at most, all in all. Some help desks wait five seconds for our response."""
_STATEMENT_TIMEOUT = 3.0  # seconds after which the server cancels a statement and says so
_IDLE_TIMEOUT = 2.0  # seconds after which the server ends a transaction whose client has vanished
_CHECK_TIMEOUT = 1.0  # seconds that a server may take to answer an empty statement
_CONNECT_TIMEOUT = 2  # seconds; libpq allows no less

# Notice a server that vanished without closing its connections: after a failover, or behind a firewall.
_LIBPQ_DEFAULTS: Mapping[str, Any] = {
    "connect_timeout": _CONNECT_TIMEOUT,
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": int(_TIMEOUT * 1000),
}

# Valid for one transaction only, because PgBouncer may run each transaction in another session, and lend the session
# to other applications. A stored event must survive a crash of the server, whatever the server's default is. If our
# connection breaks, the locks of its transaction must not last.
_SETTINGS = f"""
    SET LOCAL synchronous_commit = on;
    SET LOCAL statement_timeout = {int(_STATEMENT_TIMEOUT * 1000)};
    SET LOCAL idle_in_transaction_session_timeout = {int(_IDLE_TIMEOUT * 1000)}
""".encode()

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
    """
    CREATE INDEX triage_settled ON triage_events (changed) WHERE state IN ('finished', 'planned', 'dead', 'parked')
    """,
)
_MIGRATION_LOCK = 0x7472696167650000  # "triage" in bytes, so that no other application uses the same advisory lock

# The server's time, so that machines with different clocks agree on when a lease expires.
_SERVER_TIME = "CAST(extract(epoch FROM clock_timestamp()) AS DOUBLE PRECISION)"

_OPTIONS: Mapping[str, Any] = {
    "autocommit": True,
    # PgBouncer may run each transaction in another session.
    "prepare_threshold": None,
}

_PORTS = re.compile(r"[0-9, ]*")

_INHERITED: list[Any] = []
"""Connection pools of the parent process, kept open on purpose."""


class PostgresInbox(TableInbox):
    """Stores events in PostgreSQL, for workers on several machines.

    An event is on the disk of the server when `add` returns (`synchronous_commit`). PgBouncer works in every pool mode.

    If the tables `triage_events`, `triage_limits` and `triage_version` do not exist, they are created in the first
    schema of the `search_path`. Once they do, the role needs only the rights to read and change their rows.

    Args:
        conninfo: `"postgresql://user:password@host/database"`, or libpq's form `"host=… dbname=…"`.
        connections: The maximum number of connections of this process.
        keep: How long to keep finished events, such as `"30d"`, at least one day. Workers remove older ones, a few at
            a time. Dead and parked events are not removed. None keeps all events until you purge them.
        clock: Returns the seconds since the epoch, for tests. Default: the clock of the server.

    Raises:
        ConfigurationError: The server cannot be reached or rejects the connection, the role may not create the missing
            tables, or a later version of this library created the tables.
    """

    _lock_rows = "FOR UPDATE SKIP LOCKED"

    def __init__(
        self,
        conninfo: str,
        *,
        connections: int = 8,
        keep: Duration | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        if connections < 1:
            raise ConfigurationError(f"PostgresInbox needs at least one connection, not {connections}.")
        is_postgres, conninfo = parse_address(conninfo)
        if not is_postgres:
            raise ConfigurationError(
                "PostgresInbox needs postgresql://USER:PASSWORD@HOST/DATABASE, or host=… dbname=…."
            )
        parameters = _parse_conninfo(conninfo)
        self._name = _describe(parameters)
        self._conninfo = conninfo
        self._libpq = {name: value for name, value in _LIBPQ_DEFAULTS.items() if name not in parameters}
        self._connections = connections
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._opened: psycopg_pool.ConnectionPool[_Connection] | None = None
        super().__init__(clock or time.time, keep)
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
            self._drop_inherited()
            pool, self._opened = self._opened, None
        if pool is not None:
            pool.close()

    @override
    def before_fork(self) -> None:
        # No thread may be opening or closing the pool.
        self._lock.acquire()

    @override
    def after_fork(self, *, child: bool) -> None:
        self._lock.release()

    @override
    def _execute(self, sql: str, values: Mapping[str, Any]) -> tuple[list[Any], int]:
        deadline = time.monotonic() + _TIMEOUT
        try:
            with (
                self._get_pool().connection(_TIMEOUT) as connection,
                connection.limit(deadline),
                connection.transaction(),
            ):
                connection.execute(_SETTINGS)
                cursor = connection.execute(sql.encode(), values)
                return (cursor.fetchall() if cursor.description else []), cursor.rowcount
        except psycopg.errors.UniqueViolation as err:
            raise _ConversationLeased("another worker has leased an event of this conversation") from err
        except psycopg.Error as err:
            raise self._build_error(err) from err

    def _drop_inherited(self) -> None:
        """Forget the pool of the parent process."""
        # Compare the process, because not every server that forks runs the hooks of Python.
        if self._pid != os.getpid():
            self._pid = os.getpid()
            _INHERITED.append(self._opened)
            self._opened = None

    def _get_pool(self) -> "psycopg_pool.ConnectionPool[_Connection]":
        with self._lock:
            self._drop_inherited()
            if self._opened is None:
                self._opened = psycopg_pool.ConnectionPool(
                    self._conninfo,
                    min_size=1,
                    max_size=self._connections,
                    timeout=_TIMEOUT,
                    # After this, a new attempt begins for the next call, instead of longer and longer pauses.
                    reconnect_timeout=_TIMEOUT,
                    open=True,
                    name="triage",
                    connection_class=_Connection,
                    # A restart of the server closes pooled connections, so check each one before it is used.
                    check=_check_connection,
                    kwargs={**self._libpq, **_OPTIONS},
                )
            return self._opened

    def _migrate(self) -> None:
        newest = len(_MIGRATIONS)
        try:
            # Connect without the pool, which would retry for a while, to report a wrong password at once.
            with psycopg.connect(self._conninfo, **self._libpq, **_OPTIONS) as connection:
                self._name = f"{connection.info.host}/{connection.info.dbname}"
                # Read first, because a role without the right to create tables may not even try.
                version = _read_version(connection)
                if version > newest:
                    raise ConfigurationError(f"A later version of triage created {self!r}: update this one.")
                if version < newest:
                    with connection.transaction():
                        _run_migrations(connection)
        except psycopg.errors.InsufficientPrivilege as err:
            raise ConfigurationError(
                f"The inbox cannot be opened: {self._build_error(err)}. Run `triage inbox migrate` as a role that may "
                f"create tables, and grant this role SELECT, INSERT, UPDATE and DELETE on triage_events and "
                f"triage_limits, and SELECT on triage_version."
            ) from err
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
    # libpq ends the password at the first "@" or "/", and would take the rest for the host, the port or the database.
    if any("@" in str(parameters.get(name, "")) for name in ("host", "port", "dbname")) or not _PORTS.fullmatch(
        str(parameters.get("port", ""))
    ):
        raise ConfigurationError(
            "PostgresInbox: the host, the port or the name of the database is not valid. If the password contains @ or "
            "/, write them as %40 and %2F."
        )
    return parameters


def _describe(parameters: Mapping[str, Any]) -> str:
    """Name the database without the password. The environment or a service file may name what is not in the address."""
    if "service" in parameters:
        return f"service={parameters['service']}"
    host = parameters.get("host") or os.environ.get("PGHOST", "localhost")
    return f"{host}/{parameters.get('dbname') or os.environ.get('PGDATABASE', '')}"


class _ConversationLeased(InboxError):  # noqa: N818 - not an error for the caller
    """Two workers tried to lease events of one conversation at the same time, and the database accepted one."""


def _translate(sql: str) -> str:
    """Write parameters as psycopg expects them: `%(name)s` instead of `:name`."""
    return re.sub(r"(?<!:):([a-z_]+)\b", r"%(\1)s", sql)


def _read_version(connection: "psycopg.Connection[Any]") -> int:
    """Return the version of the tables, or 0 if there are none."""
    if connection.execute("SELECT to_regclass('triage_version')").fetchone() == (None,):
        return 0
    row = connection.execute("SELECT version FROM triage_version").fetchone()
    return int(row[0]) if row else 0


def _run_migrations(connection: "psycopg.Connection[Any]") -> None:
    connection.execute("SELECT pg_advisory_xact_lock(%s)", [_MIGRATION_LOCK])
    connection.execute("CREATE TABLE IF NOT EXISTS triage_version (version INTEGER NOT NULL)")
    # Another process may have migrated the tables before this transaction began, so read the version again.
    version = _read_version(connection)
    for migration in _MIGRATIONS[version:]:
        connection.execute(migration)
    connection.execute("DELETE FROM triage_version")
    connection.execute("INSERT INTO triage_version VALUES (%s)", [max(version, len(_MIGRATIONS))])


class _Connection(psycopg.Connection[Any]):
    """A connection that does not wait forever for a server that has vanished."""

    deadline = float("inf")

    @contextmanager
    def limit(self, deadline: float) -> Generator[None]:
        """Close the connection and raise an error if it waits longer than until a time."""
        self.deadline = deadline
        try:
            yield
        finally:
            self.deadline = float("inf")

    @override
    def wait(self, gen: Any, *args: Any, **options: Any) -> Any:
        return super().wait(self._limit(gen), *args, **options)

    def _limit(self, gen: Any) -> Generator[Any, Any, Any]:
        """Pass on what psycopg and its generator exchange, until the deadline."""
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if not ready and time.monotonic() > self.deadline:
                    self.close()
                    raise psycopg.OperationalError("the server does not answer")
                wanted = gen.send(ready)
        except StopIteration as end:
            return end.value


def _check_connection(connection: _Connection) -> None:
    with connection.limit(time.monotonic() + _CHECK_TIMEOUT):
        psycopg_pool.ConnectionPool.check_connection(connection)
