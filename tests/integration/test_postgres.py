"""The behavior that only the PostgreSQL inbox has: many machines, and a server that becomes unavailable."""

import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

import psycopg
import psycopg.conninfo
import pytest

from tests.helpers.events import LEASE, build_event, lease_one
from tests.helpers.grouped import Calls, call_together
from tests.helpers.servers import PgBouncer, Postgres, free_port, wait_until
from tests.helpers.watched import exit_code
from triage import ConfigurationError, InboxError, Outcome
from triage.inbox import PostgresInbox
from triage.inbox.postgres import _MIGRATIONS, _ConversationLeased
from triage.models import Ledger


@pytest.fixture
def url(postgres: Postgres) -> str:
    return postgres.new_database()


@pytest.fixture
def inbox(url: str) -> Iterator[PostgresInbox]:
    inbox = PostgresInbox(url)
    yield inbox
    inbox.close()


def test_times_are_those_of_the_servers_clock(inbox: PostgresInbox) -> None:
    inbox.add(build_event())
    job = lease_one(inbox)
    entry = inbox.get_entry(job.event.key)
    assert entry is not None
    assert entry.received == pytest.approx(time.time(), abs=60)
    assert entry.due == pytest.approx(entry.changed + LEASE)
    inbox.set_pause("intercom", 100)
    assert 90 < inbox.get_pause("intercom") <= 100


def test_an_added_event_is_on_the_disk_of_the_server(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        name = connection.info.dbname
        connection.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
    inbox = PostgresInbox(url)
    assert inbox._execute("SELECT current_setting('synchronous_commit')", {})[0] == [("on",)]
    inbox.close()


def test_no_setting_outlives_the_transaction_that_needs_it(url: str) -> None:
    """PgBouncer lends the session to other applications afterwards."""
    inbox = PostgresInbox(url, connections=1)
    inbox.add(build_event())
    with inbox._get_pool().connection() as connection:
        names = ("synchronous_commit", "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
        for name in names:
            rows = connection.execute("SELECT setting = reset_val FROM pg_settings WHERE name = %s", [name]).fetchall()
            assert rows == [(True,)], name
    inbox.close()


class SilentProxy:
    """Forwards connections to a server until it has to swallow everything, as a firewall does."""

    def __init__(self, port: int) -> None:
        self._upstream = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._sockets: list[socket.socket] = []
        self.silent: set[socket.socket] = set()
        """Connections that pass on nothing any more."""
        self.marker: bytes | None = None
        """A connection becomes silent when a client sends this."""
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._upstream))
                self._sockets += [client, server]
                for source, target in ((client, server), (server, client)):
                    threading.Thread(target=self._forward, args=(source, target, client), daemon=True).start()

    def _forward(self, source: socket.socket, target: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if self.marker is not None and self.marker in data:
                    self.silent.add(client)
                if client not in self.silent:
                    target.sendall(data)
            target.close()

    def silence(self) -> None:
        """Swallow what existing connections send. New ones work."""
        self.silent.update(self._sockets)

    def close(self) -> None:
        for opened in (self._listener, *self._sockets):
            opened.close()


@pytest.fixture
def proxy(url: str) -> Iterator[SilentProxy]:
    proxy = SilentProxy(int(psycopg.conninfo.conninfo_to_dict(url)["port"] or 5432))
    yield proxy
    proxy.close()


@pytest.fixture
def proxied(url: str, proxy: SilentProxy) -> Iterator[PostgresInbox]:
    inbox = PostgresInbox(psycopg.conninfo.make_conninfo(url, port=proxy.port))
    yield inbox
    inbox.close()


def test_connections_that_died_silently_are_replaced(proxied: PostgresInbox, proxy: SilentProxy) -> None:
    proxied.add(build_event(1))
    proxy.silence()
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(lambda number: proxied.add(build_event(number)), (2, 3, 4))) == [True] * 3


def test_a_server_that_vanishes_during_a_statement_is_an_error(
    proxied: PostgresInbox, proxy: SilentProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("triage.inbox.postgres._TIMEOUT", 0.5)
    proxied.add(build_event(1))
    for marker in (b"INSERT INTO triage_events", b"COMMIT"):
        proxy.marker = marker
        with pytest.raises(InboxError, match="the server does not answer"):
            proxied.add(build_event(2))
        proxy.marker = None
    monkeypatch.undo()
    assert proxied.add(build_event(2))


def test_the_connection_string_overrides_the_defaults(url: str) -> None:
    inbox = PostgresInbox(psycopg.conninfo.make_conninfo(url, connect_timeout=7, keepalives_idle=8))
    with inbox._get_pool().connection() as connection:
        parameters = connection.info.get_parameters()
    assert (parameters["connect_timeout"], parameters["keepalives_idle"]) == ("7", "8")
    assert parameters["tcp_user_timeout"] == "4000"
    inbox.close()


def create_role(url: str, *grants: str) -> str:
    """Create a role with a few rights, and return the URL with which it connects."""
    role = f"role_{uuid.uuid4().hex}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN")
        connection.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        for grant in grants:
            connection.execute(f"GRANT {grant} TO {role}")
    return psycopg.conninfo.make_conninfo(url, user=role)


def test_a_role_that_may_only_change_rows_uses_existing_tables(inbox: PostgresInbox, url: str) -> None:
    role = create_role(
        url,
        "SELECT, INSERT, UPDATE, DELETE ON triage_events, triage_counts, triage_limits",
        "SELECT ON triage_version",
    )
    limited = PostgresInbox(role)
    assert limited.add(build_event())
    limited.set_pause("intercom", 10)
    limited.finish(lease_one(limited), Outcome(status="routed"))
    assert limited.forget("mira@example.com") == 1
    assert limited.purge(0) == 0
    limited.close()


def test_a_role_without_rights_is_an_error_that_says_what_to_do(url: str) -> None:
    advice = "Run `triage inbox migrate` as a role that may create tables, and grant this role SELECT"
    with pytest.raises(ConfigurationError, match=advice):
        PostgresInbox(create_role(url))
    PostgresInbox(url).close()
    with pytest.raises(ConfigurationError, match=advice):
        PostgresInbox(create_role(url))


def test_a_pool_of_another_process_is_not_used(inbox: PostgresInbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some servers fork without running Python's hooks."""
    inbox.add(build_event(1))
    inherited = inbox._opened
    assert inherited is not None
    monkeypatch.setattr("triage.inbox.postgres.os.getpid", lambda: -1)
    assert inbox.add(build_event(2))
    assert inbox._opened is not inherited
    inbox.close()
    monkeypatch.undo()
    inherited.close()


def test_pgbouncer_may_run_each_transaction_in_another_session(url: str) -> None:
    bouncer = PgBouncer(url)
    inbox = PostgresInbox(bouncer.url)
    with ThreadPoolExecutor(8) as pool:
        stored = list(pool.map(lambda n: inbox.add(build_event(n, conversation=str(n))), range(40)))
    together = [partial(inbox.add, build_event(n, conversation=str(n))) for n in range(30, 60)]
    assert stored == [True] * 40
    assert call_together(inbox, together) == [False] * 10 + [True] * 20
    assert len(inbox.lease(100, LEASE)) == 60
    assert inbox.count_states()["leased"] == 60
    with psycopg.connect(bouncer.url, prepare_threshold=None) as other:
        assert other.execute("SHOW statement_timeout").fetchone() == ("0",)
    inbox.close()
    bouncer.stop()


def test_the_inbox_survives_a_restart_of_the_server(postgres: Postgres, url: str) -> None:
    """Every stored event is still there, and the next call does not fail."""
    inbox = PostgresInbox(url)
    for number in range(10):
        assert inbox.add(build_event(number, conversation=str(number)))
    postgres.restart()
    assert not inbox.add(build_event(9, conversation="9"))
    assert len(inbox.lease(20, LEASE)) == 10
    inbox.close()


def test_a_stopped_server_raises_inbox_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("triage.inbox.postgres._TIMEOUT", 1.0)
    server = Postgres()
    inbox = PostgresInbox(server.new_database())
    inbox.add(build_event())
    server.stop()
    with pytest.raises(InboxError, match=f"the inbox 127.0.0.1/triage_{os.getpid()}"):
        inbox.add(build_event(2))
    inbox.close()


@pytest.mark.parametrize(
    ("conninfo", "message"),
    [
        ("mysql://root:s3cret@host/db", "does not support mysql:// addresses"),
        ("host=127.0.0.1 password=s3cret nonsense", "the connection string is not valid"),
        (f"postgresql://triage:s3cret@127.0.0.1:{free_port()}/triage", "cannot be opened.*refused"),
    ],
    ids=["scheme", "words", "no server"],  # the port differs in each run
)
def test_an_error_about_a_connection_string_does_not_show_the_password(conninfo: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        PostgresInbox(conninfo)
    assert "s3cret" not in str(caught.value)


def test_a_pool_needs_a_connection(url: str) -> None:
    with pytest.raises(ConfigurationError, match="at least one connection, not 0"):
        PostgresInbox(url, connections=0)


def test_the_repr_does_not_show_the_password(url: str) -> None:
    inbox = PostgresInbox(url.replace("triage@", "triage:s3cret@"))
    assert repr(inbox) == f"PostgresInbox('127.0.0.1/{url.rpartition('/')[2]}')"
    inbox.close()


def test_tables_of_a_later_version_are_rejected(inbox: PostgresInbox, url: str) -> None:
    inbox._execute("UPDATE triage_version SET version = 99", {})
    with pytest.raises(ConfigurationError, match="A later version of triage created"):
        PostgresInbox(url)


def test_tables_of_an_earlier_version_are_migrated(
    inbox: PostgresInbox, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The migration is an example, since no version has one yet."""
    inbox.add(build_event())
    migrations = (*_MIGRATIONS, "ALTER TABLE triage_events ADD COLUMN note TEXT; UPDATE triage_events SET note = 'new'")
    monkeypatch.setattr("triage.inbox.postgres._MIGRATIONS", migrations)
    later = PostgresInbox(url)
    assert later._execute("SELECT key, note FROM triage_events", {})[0] == [(build_event().key, "new")]
    later.close()


def test_the_counts_of_connections_that_have_ended_are_merged(url: str, inbox: PostgresInbox) -> None:
    other = PostgresInbox(url)
    for number in range(3):
        other.add(build_event(number))
    other.close()
    rows = "SELECT backend, state, events FROM triage_counts ORDER BY backend, state"
    with psycopg.connect(url) as connection:
        wait_until(
            lambda: (
                connection.execute(
                    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                ).fetchone()
                == (1,)
            ),
            "the other inbox's connection ends",
        )
    lease_one(inbox)
    assert inbox._execute(rows, {})[0][0] == (0, "ready", 3)
    assert len(inbox._execute(rows, {})[0]) == 3, "the lease counts on its own connection"
    assert inbox.count_states() == {"ready": 2, "leased": 1, "finished": 0, "planned": 0, "dead": 0, "parked": 0}


def test_tables_are_counted_whoever_changes_them(url: str, inbox: PostgresInbox) -> None:
    """An operator's session need not have the search path of the application."""
    for number in range(3):
        inbox.add(build_event(number))
    with psycopg.connect(url, options="-c search_path=pg_catalog") as connection:
        connection.execute("DELETE FROM public.triage_events WHERE number = 1")
    assert inbox.count_states()["ready"] == 2
    with psycopg.connect(url) as connection:
        connection.execute("TRUNCATE triage_events")
    assert inbox.count_states()["ready"] == 0


def test_processes_may_create_the_tables_at_the_same_moment(url: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        inboxes = list(pool.map(lambda _: PostgresInbox(url), range(8)))
    assert inboxes[0].add(build_event())
    assert not inboxes[7].add(build_event())
    for inbox in inboxes:
        inbox.close()


def test_the_database_prevents_leases_of_two_events_of_a_conversation(inbox: PostgresInbox, url: str) -> None:
    """Another transaction has leased the later event, which is not visible until it commits."""
    inbox.add(build_event(1))
    inbox.add(build_event(2))
    with psycopg.connect(url) as other:
        other.execute("UPDATE triage_events SET state = 'leased', due = due + 60 WHERE number = 2")
        leased: list[object] = []
        thread = threading.Thread(
            target=lambda: leased.extend([*inbox.lease(10, LEASE), inbox.lease_key(build_event(1).key, LEASE)])
        )
        thread.start()
        # A group of statements does not wait for a lock for so long.
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND state = 'active' "
            "AND clock_timestamp() - query_start > INTERVAL '0.3 seconds'"
        )
        with psycopg.connect(url, autocommit=True) as observer:
            while observer.execute(waiting).fetchone() == (0,):
                pass  # until the lease waits for the index entry of the other transaction
        other.commit()
        thread.join(20)
    assert leased == [None]
    assert inbox.count_states()["leased"] == 1


def test_a_heartbeat_does_not_wait_for_an_event_that_is_being_changed(inbox: PostgresInbox, url: str) -> None:
    """The change by the worker itself renews the lease, too."""
    for number in (1, 2):
        inbox.add(build_event(number, conversation=str(number)))
    jobs = inbox.lease(10, LEASE)
    with psycopg.connect(url) as other:
        other.execute("UPDATE triage_events SET error = 'being changed' WHERE number = 1")
        inbox.extend(jobs, 1000)
    entries = [inbox.get_entry(job.event.key) for job in jobs]
    assert [round(entry.due - entry.changed) for entry in entries if entry] == [LEASE, 1000]


def test_calls_that_share_a_transaction_do_not_wait_for_a_row_that_is_locked(inbox: PostgresInbox, url: str) -> None:
    """They are made one after the other, so that only one of them waits."""
    inbox.add(build_event(1))
    job = lease_one(inbox)
    calls = Calls(lambda: inbox.add(build_event(2)), lambda: inbox.record(job, Ledger(status="closed")))
    with psycopg.connect(url) as other, ThreadPoolExecutor(1) as pool:
        other.execute("UPDATE triage_events SET error = 'an operator at work' WHERE number = 1")
        running = pool.submit(inbox.run_together, calls.functions)
        wait_until(lambda: inbox.get_entry(build_event(2).key) is not None, "the event is stored nevertheless")
        other.commit()
        running.result(20)
    assert calls.results == [True, None]
    entry = inbox.get_entry(build_event(1).key)
    assert entry is not None
    assert entry.ledger.status == "closed"


def test_batches_leave_connections_for_heartbeats_and_other_threads(url: str) -> None:
    for connections, batches in ((1, 1), (4, 2), (8, 4), (100, 4)):
        inbox = PostgresInbox(url, connections=connections)
        assert inbox.batches == batches
        inbox.close()


def test_an_error_about_unstorable_text_does_not_quote_it(inbox: PostgresInbox) -> None:
    with pytest.raises(InboxError) as caught:
        inbox._execute("SELECT CAST(%(text)s AS TEXT)", {"text": "from a customer \0"})
    assert "customer" not in str(caught.value)
    assert inbox.add(build_event(customer="a\0b"))
    assert inbox.forget("a\0b") == 1


@pytest.mark.filterwarnings("ignore:This process.*multi-threaded:DeprecationWarning")
def test_a_forked_process_opens_its_own_connections(inbox: PostgresInbox) -> None:
    inbox.add(build_event())
    for number in (2, 3, 4):
        child = os.fork()
        if child == 0:
            os._exit(0 if inbox.add(build_event(number)) and not inbox.add(build_event()) else 1)
        assert exit_code(child) == 0
    job = lease_one(inbox)
    inbox.finish(job, Outcome(status="routed"))
    assert inbox.count_states() == {"ready": 3, "leased": 0, "finished": 1, "planned": 0, "dead": 0, "parked": 0}


def test_a_lease_by_key_returns_none_if_another_worker_leased_the_conversation(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox = PostgresInbox(postgres.new_database())

    def raise_conversation_leased(*_: object) -> object:
        raise _ConversationLeased

    monkeypatch.setattr(inbox, "_execute", raise_conversation_leased)
    assert inbox.lease_key(build_event(1).key, LEASE) is None
    inbox.close()
