"""The address of an inbox, as `open_inbox` and `TRIAGE_INBOX` accept it."""

import re
from typing import NamedTuple

from triage.environment import unquote
from triage.errors import ConfigurationError

# RFC 3986. SQLAlchemy appends the name of a driver: `postgresql+psycopg://`.
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9.-]*)(\+[A-Za-z0-9_.-]+)?:(?=//)")
# libpq's form, https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-KEYWORD-VALUE
_KEYWORDS = re.compile(
    r"(?:^|\s)(?:host|hostaddr|port|dbname|user|password|passfile|service|sslmode)\s*=", re.IGNORECASE
)
_SQLITE = re.compile(r"(file|sqlite3?):", re.IGNORECASE)
_ABSOLUTE = re.compile(r"[./\\]|[A-Za-z]:[/\\]")
"""The beginning of an unmistakable path."""
_NO_PATH = re.compile(r"[@?;]|://|(?:password|pwd)\s*=", re.IGNORECASE)
"""Characters and words of a database's address without its scheme, which hardly any relative path contains."""
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
    if _KEYWORDS.search(address):
        return Address(is_postgres=True, location=address)
    match = _SCHEME.match(address)
    if match is None:
        _check_path(address)
        return Address(is_postgres=False, location=address)
    scheme = match[1].lower()
    if scheme in _POSTGRES:
        return Address(is_postgres=True, location=f"{scheme}:{address[match.end() :]}")
    if scheme == "sqlite":
        raise ConfigurationError("The address of a SQLite inbox is a path without sqlite:///, such as triage.db.")
    raise ConfigurationError(f"The inbox does not support {scheme}:// addresses like this one. Write {FORMS}.")


def _check_path(address: str) -> None:
    """Reject a text that is not a path. It may be a database's address without its scheme, and contain a password."""
    sqlite = _SQLITE.match(address)
    if sqlite is not None:
        raise ConfigurationError(f"The inbox does not support {sqlite[1].lower()}: addresses. Write {FORMS}.")
    if not address.isprintable() or (_ABSOLUTE.match(address) is None and _NO_PATH.search(address) is not None):
        raise ConfigurationError(f"The address of the inbox is not a path. Write {FORMS}.")
    if address.startswith("~"):
        raise ConfigurationError("The path of the inbox begins with ~, which only a shell expands. Write it in full.")
