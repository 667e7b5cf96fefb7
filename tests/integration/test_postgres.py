"""The behavior that only the PostgreSQL inbox has: many machines, and a server that becomes unavailable."""

import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from tests.helpers.events import LEASE, build_event, lease_one
from tests.helpers.servers import Postgres, free_port
from tests.helpers.watched import exit_code
from triage import ConfigurationError, InboxError, Outcome
from triage.inbox import PostgresInbox
from triage.inbox.postgres import _MIGRATIONS, _ConversationLeased


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
        ("mysql://root:s3cret@host/db", "the connection string is not valid"),
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
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND state = 'active'"
        with psycopg.connect(url, autocommit=True) as observer:
            while observer.execute(waiting).fetchone() == (0,):
                pass  # until the lease waits for the index entry of the other transaction
        other.commit()
        thread.join(20)
    assert leased == [None]
    assert inbox.count_states()["leased"] == 1


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
