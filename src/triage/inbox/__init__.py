"""Inboxes, which store events from the moment they are acknowledged until they are removed."""

from typing import TYPE_CHECKING, Any

from triage.inbox.address import parse_address
from triage.inbox.memory import MemoryInbox
from triage.inbox.sqlite import SQLiteInbox

if TYPE_CHECKING:
    from triage.inbox.postgres import PostgresInbox

__all__ = ["MemoryInbox", "PostgresInbox", "SQLiteInbox", "open_inbox"]


def open_inbox(address: str) -> "SQLiteInbox | PostgresInbox":
    """Open the inbox at an address, such as the value of an environment variable.

    Args:
        address: The path of a SQLite file, or the address of a PostgreSQL database: `"postgresql://…"` or
            `"host=… dbname=…"`.

    Raises:
        ConfigurationError: The address is empty or of another database, or the inbox cannot be opened. The message
            does not contain a password.
    """
    is_postgres, location = parse_address(address)
    if not is_postgres:
        return SQLiteInbox(location)
    from triage.inbox.postgres import PostgresInbox

    return PostgresInbox(location)


def __getattr__(name: str) -> Any:
    # Import lazily, because psycopg is an optional dependency.
    if name == "PostgresInbox":
        from triage.inbox.postgres import PostgresInbox

        return PostgresInbox
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
