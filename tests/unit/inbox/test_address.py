"""Addresses of inboxes, as other tools write them, and never with a password in an error."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triage import ConfigurationError
from triage.inbox import SQLiteInbox, open_inbox
from triage.inbox.address import Address, parse_address


@pytest.mark.parametrize(
    ("text", "location"),
    [
        ("postgresql://app:pw@db/helpdesk", "postgresql://app:pw@db/helpdesk"),
        ("postgres://app:pw@db/helpdesk", "postgres://app:pw@db/helpdesk"),
        ("postgresql+psycopg://app:pw@db/helpdesk", "postgresql://app:pw@db/helpdesk"),
        ("postgresql+asyncpg://app:pw@db/helpdesk", "postgresql://app:pw@db/helpdesk"),
        ("POSTGRESQL://app:pw@db/helpdesk", "postgresql://app:pw@db/helpdesk"),
        (' "postgresql://app:pw@db/helpdesk"\n', "postgresql://app:pw@db/helpdesk"),
        ("host=db dbname=helpdesk password=pw", "host=db dbname=helpdesk password=pw"),
        ("password = pw host=db", "password = pw host=db"),
        ("application_name=helpdesk password=pw host=db", "application_name=helpdesk password=pw host=db"),
    ],
)
def test_addresses_of_postgresql_are_recognized(text: str, location: str) -> None:
    assert parse_address(text) == Address(is_postgres=True, location=location)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("triage.db", "triage.db"),
        (" '/var/lib/triage.db'\n", "/var/lib/triage.db"),
        ("C:\\data\\triage.db", "C:\\data\\triage.db"),
        ("hosts=1.db", "hosts=1.db"),
        ("./", "./"),
        ("/srv/app@1/triage.db", "/srv/app@1/triage.db"),
    ],
)
def test_any_other_text_is_the_path_of_a_file(text: str, path: str) -> None:
    assert parse_address(text) == Address(is_postgres=False, location=path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty. It is the path of a SQLite file, postgresql://"),
        ("' '", "is empty"),
        ("mysql://app:pw-4711@db/helpdesk", "does not support mysql:// addresses"),
        ("redis://:pw-4711@127.0.0.1/0", "does not support redis:// addresses"),
        ("sqlite:///triage.db", "a path without sqlite:///"),
        ("file:triage.db?mode=rwc", "does not support file: addresses"),
        ("sqlite:triage.db", "does not support sqlite: addresses"),
        ("~/triage.db", "begins with ~"),
        ("app:pw-4711@db/helpdesk", "is not a path"),
        ("triage.db\npw-4711", "is not a path"),
        ("/srv/triage.db\0", "is not a path"),
        ("jdbc:postgresql://db/helpdesk?password=pw-4711", "is not a path"),
        ("db/helpdesk?password=pw-4711", "is not a path"),
        ("Server=db;Database=helpdesk;Password=pw-4711", "is not a path"),
    ],
)
def test_any_other_address_is_rejected_by_name(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        open_inbox(text)
    assert "4711" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("postgresql://app:pw@4711@db/helpdesk", "If the password contains @ or /, write them as %40 and %2F"),
        ("postgresql://app:pw/4711@db/helpdesk", "If the password contains @ or /, write them as %40 and %2F"),
        ("postgresql://app:4711?pw@db/helpdesk/x@y", "If the password contains @ or /, write them as %40 and %2F"),
        ("postgresql://app:pw-4711@db/helpdesk?ssl=require", "have other names .sslmode=require."),
        ("postgresql+asyncpg://app:pw-4711@db:port:1/helpdesk?x=y", "not valid for PostgreSQL"),
    ],
)
def test_an_address_that_postgresql_does_not_accept_is_explained_without_the_password(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        open_inbox(text)
    assert "4711" not in str(caught.value)


def test_a_postgres_inbox_does_not_accept_a_path() -> None:
    from triage.inbox import PostgresInbox

    with pytest.raises(ConfigurationError, match="needs postgresql://"):
        PostgresInbox("triage.db")


def test_a_database_is_named_by_its_service_until_it_is_connected() -> None:
    from triage.inbox import PostgresInbox

    with pytest.raises(ConfigurationError, match="the inbox service=missing: "):
        PostgresInbox("service=missing")


def test_a_sqlite_inbox_does_not_accept_the_address_of_a_server() -> None:
    with pytest.raises(ConfigurationError, match="needs the path of a file"):
        SQLiteInbox("postgresql://app:pw-4711@db/helpdesk")
    with pytest.raises(ConfigurationError, match="does not support redis://") as caught:
        SQLiteInbox("redis://:pw-4711@db")
    assert "4711" not in str(caught.value)


@given(st.sampled_from(["mysql://", "postgres:", "host:", "x+y://", "file:", ""]), st.text(max_size=30))
def test_no_error_repeats_the_address(scheme: str, rest: str) -> None:
    address = f"{scheme}user:pw-4711@{rest}"
    with contextlib.suppress(ConfigurationError):
        parse_address(address)
        return
    with pytest.raises(ConfigurationError) as caught:
        parse_address(address)
    assert "4711" not in str(caught.value)
