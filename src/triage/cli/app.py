"""The group of all commands. None of them shows customer text unless it is asked to."""

from typing import Any

import click
from typing_extensions import override

from triage.cli.inbox import inbox_group
from triage.cli.replay import replay
from triage.cli.work import work
from triage.errors import InboxError


class _TriageGroup(click.Group):
    """Reports a failing inbox in one line, like a wrong argument."""

    @override
    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except InboxError as err:
            raise click.ClickException(str(err)) from err


@click.group(cls=_TriageGroup)
@click.version_option(package_name="chat-triage")
def triage() -> None:
    """Route help-desk conversations: run workers, manage stored events, try another policy."""


triage.add_command(work)
triage.add_command(inbox_group)
triage.add_command(replay)
