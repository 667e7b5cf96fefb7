"""What is PostgreSQL's own: many machines, and a server that goes away."""

import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from tests.contract.test_inboxes import LEASE, event, one
from tests.helpers.servers import Postgres, free_port
from tests.helpers.watched import exit_code
from triage import ConfigurationError, InboxError, Outcome
from triage.inbox import PostgresInbox
from triage.inbox.postgres import _Overtaken


@pytest.fixture
def url(postgres: Postgres) -> str:
    return postgres.new_database()


@pytest.fixture
def inbox(url: str) -> Iterator[PostgresInbox]:
    made = PostgresInbox(url)
    yield made
    made.close()


def test_the_servers_clock_decides_and_not_that_of_a_machine(inbox: PostgresInbox) -> None:
    inbox.add(event())
    job = one(inbox)
    entry = inbox.get_entry(job.event.key)
    assert entry is not None
    assert entry.received == pytest.approx(time.time(), abs=60)
    assert entry.due == pytest.approx(entry.changed + LEASE)
    inbox.set_pause("intercom", 100)
    assert 90 < inbox.get_pause("intercom") <= 100


def test_what_is_added_is_on_the_servers_disk(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        name = connection.info.dbname
        connection.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
    inbox = PostgresInbox(url)
    assert inbox._run("SELECT current_setting('synchronous_commit')", {})[0] == [("on",)]
    inbox.close()


def test_a_server_that_is_started_again_is_used_again(postgres: Postgres, url: str) -> None:
    """All that was acknowledged is there, and the next call finds it without an error."""
    inbox = PostgresInbox(url)
    for number in range(10):
        assert inbox.add(event(number, conversation=str(number)))
    postgres.restart()
    assert not inbox.add(event(9, conversation="9"))
    assert len(inbox.lease(20, LEASE)) == 10
    inbox.close()


def test_a_server_that_is_gone_is_an_error_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("triage.inbox.postgres._WAIT", 1.0)
    server = Postgres()
    inbox = PostgresInbox(server.new_database())
    inbox.add(event())
    server.stop()
    with pytest.raises(InboxError, match=f"the inbox 127.0.0.1/triage_{os.getpid()}"):
        inbox.add(event(2))
    inbox.close()


@pytest.mark.parametrize(
    ("conninfo", "message"),
    [
        ("mysql://root:s3cret@host/db", "no connection string"),
        ("host=127.0.0.1 password=s3cret nonsense", "no connection string"),
        (f"postgresql://triage:s3cret@127.0.0.1:{free_port()}/triage", "cannot be opened.*refused"),
    ],
    ids=["scheme", "words", "nobody there"],  # the port is another one each time
)
def test_a_wrong_connection_string_is_told_without_the_password(conninfo: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        PostgresInbox(conninfo)
    assert "s3cret" not in str(caught.value)


def test_a_pool_of_no_connections_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="at least one connection, not 0"):
        PostgresInbox(url, connections=0)


def test_a_database_is_named_without_its_password(url: str) -> None:
    inbox = PostgresInbox(url.replace("triage@", "triage:s3cret@"))
    assert repr(inbox) == f"PostgresInbox('127.0.0.1/{url.rpartition('/')[2]}')"
    inbox.close()


def test_tables_of_a_later_version_are_refused(inbox: PostgresInbox, url: str) -> None:
    inbox._run("UPDATE triage_version SET version = 99", {})
    with pytest.raises(ConfigurationError, match="later version"):
        PostgresInbox(url)


def test_tables_of_an_earlier_version_are_brought_up_to_date(inbox: PostgresInbox, url: str) -> None:
    inbox.add(event())
    inbox._run("DROP INDEX triage_open_due", {})
    inbox._run("ALTER TABLE triage_events DROP COLUMN vendor", {})
    inbox._run("CREATE INDEX triage_open_due ON triage_events (due, seq) WHERE state IN ('ready', 'leased')", {})
    inbox._run("UPDATE triage_version SET version = 1", {})
    later = PostgresInbox(url)
    assert [job.event for job in later.lease(1, LEASE, "intercom")] == [event()]
    later.close()


def test_many_processes_may_make_the_tables_at_the_same_moment(url: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        inboxes = list(pool.map(lambda _: PostgresInbox(url), range(8)))
    assert inboxes[0].add(event())
    assert not inboxes[7].add(event())
    for inbox in inboxes:
        inbox.close()


def test_the_database_itself_lets_nobody_lease_two_events_of_a_conversation(inbox: PostgresInbox, url: str) -> None:
    """A transaction that is not over yet hides that it has the later event."""
    inbox.add(event(1))
    inbox.add(event(2))
    with psycopg.connect(url) as other:
        other.execute("UPDATE triage_events SET state = 'leased', due = due + 60 WHERE seq = 2")
        leased: list[object] = []
        thread = threading.Thread(
            target=lambda: leased.extend([*inbox.lease(10, LEASE), inbox.lease_key(event(1).key, LEASE)])
        )
        thread.start()
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND state = 'active'"
        with psycopg.connect(url, autocommit=True) as watching:
            while watching.execute(waiting).fetchone() == (0,):
                pass  # until the lease waits for the index entry of the other transaction
        other.commit()
        thread.join(20)
    assert leased == [None]
    assert inbox.count_states()["leased"] == 1


def test_a_text_that_the_server_cannot_store_is_an_error_that_does_not_quote_it(inbox: PostgresInbox) -> None:
    with pytest.raises(InboxError) as caught:
        inbox._run("SELECT CAST(:text AS TEXT)", {"text": "from a customer \0"})
    assert "customer" not in str(caught.value)
    assert inbox.add(event(customer="a\0b"))
    assert inbox.forget("a\0b") == 1


@pytest.mark.filterwarnings("ignore:This process.*multi-threaded:DeprecationWarning")
def test_a_fork_has_connections_of_its_own(inbox: PostgresInbox) -> None:
    inbox.add(event())
    for number in (2, 3, 4):
        child = os.fork()
        if child == 0:
            os._exit(0 if inbox.add(event(number)) and not inbox.add(event()) else 1)
        assert exit_code(child) == 0
    job = one(inbox)
    inbox.finish(job, Outcome(status="routed"))
    assert inbox.count_states() == {"ready": 3, "leased": 0, "finished": 1, "parked": 0}


def test_of_two_workers_who_take_events_of_one_conversation_one_gets_none(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox = PostgresInbox(postgres.new_database())

    def overtaken(*_: object) -> object:
        raise _Overtaken

    monkeypatch.setattr(inbox, "_run", overtaken)
    assert inbox.lease_key(event(1).key, LEASE) is None
    inbox.close()
