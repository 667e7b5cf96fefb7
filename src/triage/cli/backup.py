"""`triage inbox backup`: copy a SQLite inbox while it is in use."""

from pathlib import Path

import click

from triage.cli.arguments import inbox_option
from triage.inbox import SQLiteInbox
from triage.inbox.base import Inbox


@click.command()
@click.argument("path", type=click.Path(dir_okay=False, path_type=Path))
@inbox_option
def backup(path: Path, inbox: Inbox) -> None:
    """Copy a SQLite inbox to the new file PATH, while workers use it.

    A plain copy of the file would lack the newest events. For PostgreSQL, use `pg_dump`.
    """
    if not isinstance(inbox, SQLiteInbox):
        raise click.ClickException("Only a SQLite inbox is a file. For PostgreSQL, use pg_dump.")
    inbox.backup(path)
    click.echo(f"The inbox was copied to {path}.")
