"""Where events are kept from the moment they are acknowledged until they are done with."""

from typing import TYPE_CHECKING, Any

from triage.inbox.sqlite import MemoryInbox, SQLiteInbox

if TYPE_CHECKING:
    from triage.inbox.postgres import PostgresInbox

__all__ = ["MemoryInbox", "PostgresInbox", "SQLiteInbox"]


def __getattr__(name: str) -> Any:
    # psycopg is an extra, and imported only by who uses it.
    if name == "PostgresInbox":
        from triage.inbox.postgres import PostgresInbox

        return PostgresInbox
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
