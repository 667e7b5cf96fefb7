"""The inbox for several machines: tables in PostgreSQL. Needs the extra `postgres`."""

import os
import re
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from typing import Any

from typing_extensions import override

from triage.errors import ConfigurationError, InboxError
from triage.inbox.address import parse_address
from triage.inbox.group_commit import Result, RolledBack, Statement, Take
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
_PATIENCE = 0.5  # seconds after which a thread no longer waits for one that is writing
_LOCK_TIMEOUT = 0.1  # seconds that a group of statements waits for a lock
_BATCHES = 4  # how many batches of calls an event loop runs at the same time, at most
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

# Begins a transaction, in one round trip. The settings are valid for this transaction only, because PgBouncer may run
# each transaction in another session, and lend the session to other applications. A stored event must survive a crash
# of the server with any default of the server. If our connection breaks, the locks of its transaction must not last.
_BEGIN = f"""
    BEGIN;
    SELECT set_config('synchronous_commit', 'on', true),
      set_config('statement_timeout', '{int(_STATEMENT_TIMEOUT * 1000)}', true),
      set_config('idle_in_transaction_session_timeout', '{int(_IDLE_TIMEOUT * 1000)}', true)
""".encode()
# Of several statements, one that waits for a lock must not hold up the others. Each of them then runs alone.
_BEGIN_GROUP = _BEGIN + f", set_config('lock_timeout', '{int(_LOCK_TIMEOUT * 1000)}', true)".encode()

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
    CREATE INDEX triage_settled ON triage_events (changed) WHERE state IN ('finished', 'planned', 'dead', 'parked');
    CREATE INDEX triage_set_aside ON triage_events (state, number) WHERE state IN ('planned', 'dead', 'parked');
    -- One row for each backend, so that transactions do not wait for each other.
    CREATE TABLE triage_counts (
      owner TEXT, state TEXT, backend INTEGER, events BIGINT NOT NULL, PRIMARY KEY (owner, state, backend)
    );
    CREATE FUNCTION triage_count() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      IF TG_OP = 'TRUNCATE' THEN
        DELETE FROM triage_counts;
      ELSIF TG_OP = 'INSERT' THEN
        INSERT INTO triage_counts AS counts
        SELECT owner, state, pg_backend_pid(), count(*) FROM added GROUP BY owner, state
        ON CONFLICT (owner, state, backend) DO UPDATE SET events = counts.events + excluded.events;
      ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO triage_counts AS counts
        SELECT owner, state, pg_backend_pid(), -count(*) FROM removed GROUP BY owner, state
        ON CONFLICT (owner, state, backend) DO UPDATE SET events = counts.events + excluded.events;
      ELSE
        INSERT INTO triage_counts AS counts
        SELECT owner, state, pg_backend_pid(), sum(change) FROM (
          SELECT owner, state, 1 AS change FROM added UNION ALL SELECT owner, state, -1 FROM removed
        ) AS changes GROUP BY owner, state HAVING sum(change) <> 0
        ON CONFLICT (owner, state, backend) DO UPDATE SET events = counts.events + excluded.events;
      END IF;
      RETURN NULL;
    END $$;
    -- Whoever changes a row need not have our search_path.
    DO $$ BEGIN EXECUTE format('ALTER FUNCTION triage_count() SET search_path = %I, pg_temp', current_schema()); END $$;
    CREATE TRIGGER triage_count_insert AFTER INSERT ON triage_events
      REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION triage_count();
    CREATE TRIGGER triage_count_update AFTER UPDATE ON triage_events
      REFERENCING NEW TABLE AS added OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION triage_count();
    CREATE TRIGGER triage_count_delete AFTER DELETE ON triage_events
      REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION triage_count();
    CREATE TRIGGER triage_count_truncate AFTER TRUNCATE ON triage_events
      FOR EACH STATEMENT EXECUTE FUNCTION triage_count();
    -- The triggers keep others from writing until this transaction ends.
    INSERT INTO triage_counts SELECT owner, state, 0, count(*) FROM triage_events GROUP BY owner, state;
    """,
)
_MIGRATION_LOCK = 0x7472696167650000  # "triage" in bytes, so that no other application uses the same advisory lock

# The server's time, so that machines with different clocks agree on when a lease expires.
_SERVER_TIME = "CAST(extract(epoch FROM clock_timestamp()) AS DOUBLE PRECISION)"

# The rows of connections that have ended. Those of the others may be locked.
_MERGE_COUNTS = """\
WITH ended AS (
  DELETE FROM triage_counts WHERE backend <> 0 AND backend NOT IN (SELECT pid FROM pg_stat_activity)
  RETURNING owner, state, events
)
INSERT INTO triage_counts AS counts
SELECT owner, state, 0, sum(events) FROM ended GROUP BY owner, state ORDER BY owner, state
ON CONFLICT (owner, state, backend) DO UPDATE SET events = counts.events + excluded.events
"""

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

    If the tables `triage_events`, `triage_counts`, `triage_limits` and `triage_version` do not exist, they are created
    in the first schema of the `search_path`. Once they do, the role needs only the rights to read and change their
    rows.

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
    _each_lease = "json_each_text(CAST(:leases AS JSON))"
    _patience = _PATIENCE
    # The statements of a batch wait for the network one after the other, so several batches run at the same time. They
    # are short, because the rows that they change are locked until their ends.
    batch_size = 32

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
        name = _describe(parameters)
        self._conninfo = conninfo
        self._libpq = {name: value for name, value in _LIBPQ_DEFAULTS.items() if name not in parameters}
        self._connections = connections
        self.batches = max(1, min(_BATCHES, connections // 2))  # the others are for heartbeats and other threads
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._opened: psycopg_pool.ConnectionPool[_Connection] | None = None
        super().__init__(name, clock or time.time, keep)
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

    @property
    @override
    def _timeout(self) -> float:
        return _TIMEOUT

    @override
    def _execute_alone(self, statement: Statement) -> Result:
        try:
            with self._begin(_BEGIN, statement.deadline) as connection:
                return _fetch(_execute(connection, statement))
        except psycopg.Error as err:
            raise self._build_error(err) from err

    @override
    def _execute_together(self, take: Take, deadline: float) -> Sequence[Result]:
        with self._begin_group(deadline) as connection:
            statements = take()
            # A pipeline runs several statements in one round trip, but takes longer for one.
            is_pipeline = len(statements) > 1 and psycopg.Pipeline.is_supported()
            with connection.pipeline() if is_pipeline else nullcontext():
                cursors = [_execute(connection, statement) for statement in statements]
        return [_fetch(cursor) for cursor in cursors]

    @override
    def _execute_joined(self, functions: Sequence[Callable[[], None]], deadline: float) -> None:
        with self._begin_group(deadline) as connection:
            self._joined.call(functions, partial(self._run_joined, connection))

    def _run_joined(self, connection: "_Connection", statement: Statement) -> Result:
        try:
            return _fetch(_execute(connection, statement))
        except psycopg.Error as err:
            raise self._build_error(err) from err

    @contextmanager
    def _begin_group(self, deadline: float) -> "Generator[_Connection]":
        """Yield a connection with an open transaction for several statements, and commit it.

        Args:
            deadline: The time until which the call may wait, on the monotonic clock.

        Raises:
            RolledBack: A statement failed.
            InboxError: It is unknown whether the transaction was committed, or no time is left to repeat it.
        """
        is_complete = False
        try:
            with self._begin(_BEGIN_GROUP, deadline) as connection:
                yield connection
                is_complete = True
        except psycopg.Error as err:
            if is_complete or time.monotonic() >= deadline:
                raise self._build_error(err) from err
            raise RolledBack from err

    @contextmanager
    def _begin(self, sql: bytes, deadline: float) -> "Generator[_Connection]":
        """Yield a connection with an open transaction, and commit it.

        Args:
            sql: The statements that begin the transaction.
            deadline: The time until which the call may wait, on the monotonic clock.
        """
        timeout = max(0.0, deadline - time.monotonic())
        with self._get_pool().connection(timeout) as connection, connection.limit(deadline):
            try:
                connection.execute(sql)
                yield connection
                connection.commit()
            except BaseException:
                with suppress(psycopg.Error):  # the connection may be broken
                    connection.rollback()
                raise

    @override
    def _merge_counts(self) -> None:
        self._execute(_MERGE_COUNTS, {})

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
                f"create tables, and grant this role SELECT, INSERT, UPDATE and DELETE on triage_events, "
                f"triage_counts and triage_limits, and SELECT on triage_version."
            ) from err
        except psycopg.Error as err:
            raise ConfigurationError(f"The inbox cannot be opened: {self._build_error(err)}") from err

    def _build_error(self, err: psycopg.Error) -> InboxError:
        if isinstance(err, psycopg.errors.UniqueViolation):
            return _ConversationLeased("another worker has leased an event of this conversation")
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
    """Name the database without the password. The environment or a service file may contain the rest of the address."""
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


def _execute(connection: _Connection, statement: Statement) -> "psycopg.Cursor[Any]":
    return connection.execute(statement.sql.encode(), statement.values)


def _fetch(cursor: "psycopg.Cursor[Any]") -> Result:
    return cursor.fetchall() if cursor.description else [], cursor.rowcount


def _check_connection(connection: _Connection) -> None:
    with connection.limit(time.monotonic() + _CHECK_TIMEOUT):
        psycopg_pool.ConnectionPool.check_connection(connection)
