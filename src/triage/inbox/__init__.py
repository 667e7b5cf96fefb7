"""Inboxes, which store events from the moment they are acknowledged until they are removed."""

from typing import TYPE_CHECKING, Any

from triage.inbox.memory import MemoryInbox
from triage.inbox.sqlite import SQLiteInbox

if TYPE_CHECKING:
    from triage.inbox.postgres import PostgresInbox

__all__ = ["MemoryInbox", "PostgresInbox", "SQLiteInbox", "open_inbox"]


def open_inbox(address: str) -> "SQLiteInbox | PostgresInbox":
    """Open the inbox at an address, such as the value of an environment variable.

    Args:
        address: `"postgresql://…"`, or the path of a SQLite file.

    Raises:
        ConfigurationError: The address is empty, or the inbox cannot be opened.
    """
    if address.startswith(("postgresql://", "postgres://")):
        from triage.inbox.postgres import PostgresInbox

        return PostgresInbox(address)
    return SQLiteInbox(address)


def __getattr__(name: str) -> Any:
    # Import lazily, because psycopg is an optional dependency.
    if name == "PostgresInbox":
        from triage.inbox.postgres import PostgresInbox

        return PostgresInbox
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
