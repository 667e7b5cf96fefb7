"""The group of all commands. They show customer text only on request."""

from typing import Any

import click
from typing_extensions import override

from triage.cli.calibrate import calibrate
from triage.cli.check import check
from triage.cli.compare import compare
from triage.cli.evaluate import evaluate
from triage.cli.inbox import inbox_group
from triage.cli.replay import replay
from triage.cli.work import work
from triage.errors import ConfigurationError, InboxError


class _TriageGroup(click.Group):
    """Reports a failure of the inbox and a mistake in the configuration in one line, like an invalid argument."""

    @override
    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (ConfigurationError, InboxError) as err:
            raise click.ClickException(str(err)) from err


@click.group(cls=_TriageGroup)
@click.version_option(package_name="chat-triage")
def triage() -> None:
    """Route help desk conversations: run workers, manage stored events, try and test another policy."""


triage.add_command(check)
triage.add_command(work)
triage.add_command(inbox_group)
triage.add_command(replay)
triage.add_command(evaluate)
triage.add_command(compare)
triage.add_command(calibrate)
