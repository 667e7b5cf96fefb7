"""The group of all commands. They show customer text only on request."""

from typing import Any

import click
from typing_extensions import override

from triage.cli.inbox import inbox_group
from triage.cli.replay import replay
from triage.cli.work import work
from triage.errors import InboxError


class _TriageGroup(click.Group):
    """Reports an inbox failure in one line, like an invalid argument."""

    @override
    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except InboxError as err:
            raise click.ClickException(str(err)) from err


@click.group(cls=_TriageGroup)
@click.version_option(package_name="chat-triage")
def triage() -> None:
    """Route help desk conversations: run workers, manage stored events, try another policy."""


triage.add_command(work)
triage.add_command(inbox_group)
triage.add_command(replay)
