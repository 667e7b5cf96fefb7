"""Inboxes, which store events from the moment they are acknowledged until they are removed."""

from typing import TYPE_CHECKING

from triage.lazy import import_on_access

if TYPE_CHECKING:
    from triage.inbox.memory import MemoryInbox
    from triage.inbox.postgres import PostgresInbox
    from triage.inbox.sqlite import SQLiteInbox

__all__ = ["MemoryInbox", "PostgresInbox", "SQLiteInbox", "open_inbox"]

_MODULES = {"memory": ("MemoryInbox",), "postgres": ("PostgresInbox",), "sqlite": ("SQLiteInbox",)}

if not TYPE_CHECKING:  # otherwise type checkers would accept any name
    __getattr__ = import_on_access(__name__, _MODULES)


def __dir__() -> list[str]:
    """Return all names, so that editors and interactive shells suggest them."""
    return sorted({*globals(), *__all__})


def open_inbox(address: str) -> "SQLiteInbox | PostgresInbox":
    """Open the inbox at an address, such as the value of an environment variable.

    Args:
        address: The path of a SQLite file, or the address of a PostgreSQL database: `"postgresql://…"` or
            `"host=… dbname=…"`.

    Raises:
        ConfigurationError: The address is empty or of another database, or the inbox cannot be opened. The message
            does not contain a password.
    """
    from triage.inbox.address import parse_address

    is_postgres, location = parse_address(address)
    if is_postgres:
        from triage.inbox.postgres import PostgresInbox

        return PostgresInbox(location)
    from triage.inbox.sqlite import SQLiteInbox

    return SQLiteInbox(location)
