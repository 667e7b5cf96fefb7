"""Arguments and options that several commands share. The `parse_…` functions are click callbacks."""

import importlib
import inspect
import re
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from triage.environment import read_variable
from triage.errors import ConfigurationError
from triage.inbox import open_inbox
from triage.inbox.address import parse_address
from triage.inbox.base import Inbox
from triage.limits import parse_duration
from triage.router import Router

_MODULE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


def parse_router(ctx: click.Context, param: click.Parameter, value: str) -> Router:
    """Import `"module:attribute"`: a Router, or a function without arguments that returns one."""
    router = import_object(value)
    if not isinstance(router, Router):
        raise click.BadParameter(f"{value} is not a Router and does not return one.")
    return router


def import_object(value: str) -> object:
    """Import `"module:attribute"`. If it is a function, call it without arguments and return its result.

    Args:
        value: The name.
    """
    if not _MODULE.fullmatch(value):
        raise click.BadParameter(
            f"{value!r} is not the name of a Router: write module:attribute, such as helpdesk.app:router."
        )
    module, _, attribute = value.partition(":")
    if "" not in sys.path:
        sys.path.insert(0, "")  # the current directory, as for `python -m`
    try:
        found = _get_attribute(importlib.import_module(module), attribute)
        return _call(value, found) if callable(found) else found
    except ConfigurationError as err:
        raise click.BadParameter(f"{value}: {err}") from err
    except ModuleNotFoundError as err:
        if err.name is None or not f"{module}.".startswith(f"{err.name}."):
            raise  # the user's module imports a missing module
        raise click.BadParameter(f"There is no module {err.name!r} here.") from err


def parse_inbox(ctx: click.Context, param: click.Parameter, value: str | None) -> Inbox | None:
    """Open a SQLite file or a `postgresql://` address, or import a Router and use its inbox."""
    if value is None:
        if param.required:  # click does not check it, because the option has a default, which may be None
            raise click.MissingParameter(ctx=ctx, param=param)
        return None
    try:
        address = parse_address(value)
        # A missing file is most likely a typo, so do not create it.
        if not address.is_postgres and not Path(address.location).exists():
            if _MODULE.fullmatch(value):
                return get_inbox(parse_router(ctx, param, value))
            raise click.BadParameter(f"There is no file {address.location!r}.")
        inbox = open_inbox(value)
    except ConfigurationError as err:
        raise click.BadParameter(str(err)) from err
    ctx.call_on_close(inbox.close)
    return inbox


def parse_time(ctx: click.Context, param: click.Parameter, value: str) -> float:
    """Convert an age, `30d`, or a date, `2026-11-01`, to seconds since the epoch."""
    with suppress(ConfigurationError):
        return time.time() - parse_duration(value, "")
    try:
        date = datetime.fromisoformat(value)
    except ValueError:
        raise click.BadParameter(
            f"{value!r} is neither an age, such as 30d or 12h, nor a date, such as 2026-11-01."
        ) from None
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()


def parse_optional_duration(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """Convert a duration, `5m`, to seconds."""
    try:
        return None if value is None else parse_duration(value, "It")
    except ConfigurationError as err:
        raise click.BadParameter(str(err)) from err


def get_inbox(router: Router) -> Inbox:
    """Return the inbox of a Router, or exit with an error if it has none."""
    if router.inbox is None:
        raise click.ClickException("This Router has no inbox. Pass one: Router(..., inbox=SQLiteInbox(path)).")
    return router.inbox


inbox_option = click.option(
    "--inbox",
    "-i",
    callback=parse_inbox,
    envvar="TRIAGE_INBOX",
    show_envvar=True,
    default=lambda: read_variable("TRIAGE_INBOX") or None,  # the file that TRIAGE_INBOX_FILE names
    required=True,
    help="The path of a SQLite file, a postgresql:// address, or module:router.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")


def _call(name: str, function: Callable[[], object]) -> object:
    try:
        inspect.signature(function).bind()
    except TypeError:
        raise click.BadParameter(f"{name} needs arguments. Name a function that needs none, or its result.") from None
    return function()


def _get_attribute(module: object, path: str) -> Any:
    value: Any = module
    for name in path.split("."):
        if not hasattr(value, name):
            raise click.BadParameter(f"{getattr(module, '__name__', module)} has no {path!r}.")
        value = getattr(value, name)
    return value
