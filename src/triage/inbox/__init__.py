"""Where events are kept from the moment they are acknowledged until they are done with."""

from typing import TYPE_CHECKING, Any

from triage.inbox.sqlite import MemoryInbox, SQLiteInbox

if TYPE_CHECKING:
    from triage.inbox.postgres import PostgresInbox

__all__ = ["MemoryInbox", "PostgresInbox", "SQLiteInbox", "open_inbox"]


def open_inbox(address: str) -> "SQLiteInbox | PostgresInbox":
    """Open the inbox that a setting names, such as an environment variable.

    Args:
        address: `"postgresql://…"`, or the path of a SQLite file.

    Raises:
        ConfigurationError: It is empty, or cannot be opened.
    """
    if address.startswith(("postgresql://", "postgres://")):
        from triage.inbox.postgres import PostgresInbox

        return PostgresInbox(address)
    return SQLiteInbox(address)


def __getattr__(name: str) -> Any:
    # psycopg is an extra, and imported only by who uses it.
    if name == "PostgresInbox":
        from triage.inbox.postgres import PostgresInbox

        return PostgresInbox
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
