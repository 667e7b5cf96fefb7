"""The address of an inbox, as `open_inbox` and `TRIAGE_INBOX` accept it."""

import re
from typing import NamedTuple

from triage.environment import unquote
from triage.errors import ConfigurationError

# RFC 3986. SQLAlchemy appends the name of a driver: `postgresql+psycopg://`.
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9.-]*)(\+[A-Za-z0-9_.-]+)?:(?=//)")
# libpq's form, https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-KEYWORD-VALUE
_KEYWORDS = re.compile(r"(?:host|hostaddr|port|dbname|user|password|passfile|service|sslmode)\s*=", re.IGNORECASE)
_POSTGRES = frozenset({"postgresql", "postgres"})

FORMS = "the path of a SQLite file, postgresql://USER:PASSWORD@HOST/DATABASE, or host=… dbname=…"


class Address(NamedTuple):
    """Where an inbox is.

    Attributes:
        is_postgres: True for PostgreSQL, False for SQLite.
        location: PostgreSQL's connection string, or the path of the SQLite file.
    """

    is_postgres: bool
    location: str


def parse_address(text: str) -> Address:
    """Parse the address of an inbox. PostgreSQL addresses with the name of a driver, as in SQLAlchemy, are accepted.

    Args:
        text: The address.

    Raises:
        ConfigurationError: It is empty, or of another database. The message does not contain it, because it may
            contain a password.
    """
    address = unquote(text)
    if not address:
        raise ConfigurationError(f"The address of the inbox is empty. It is {FORMS}.")
    if _KEYWORDS.match(address):
        return Address(is_postgres=True, location=address)
    match = _SCHEME.match(address)
    if match is None:
        if address.lower().startswith("file:"):
            raise ConfigurationError(f"The inbox does not support SQLite's file: addresses. Write {FORMS}.")
        if "\n" in address or "@" in address:
            # Most likely a database's address without its scheme, and it may contain a password.
            raise ConfigurationError(f"The address of the inbox is not a path. Write {FORMS}.")
        if address.startswith("~"):
            raise ConfigurationError(
                "The path of the inbox begins with ~, which only a shell expands. Write it in full."
            )
        return Address(is_postgres=False, location=address)
    scheme = match[1].lower()
    rest = address[match.end() :]
    if scheme in _POSTGRES:
        return Address(is_postgres=True, location=f"{scheme}:{rest}")
    if scheme == "sqlite":
        raise ConfigurationError("The address of a SQLite inbox is a path without sqlite:///, such as triage.db.")
    raise ConfigurationError(f"The inbox does not support {scheme}:// addresses like this one. Write {FORMS}.")
