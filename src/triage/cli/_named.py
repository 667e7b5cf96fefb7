"""What a command's arguments name: a Router of the user's code, an inbox, a time."""

import importlib
import re
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from triage.errors import ConfigurationError
from triage.inbox import open_inbox
from triage.inbox.base import Inbox
from triage.router import Router

_MODULE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
_AGE = re.compile(r"(\d{1,6})([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def router(ctx: click.Context, param: click.Parameter, value: str) -> Router:
    """`"module:attribute"`: a Router, or a function without arguments that makes one. A callback of click's."""
    if not _MODULE.fullmatch(value):
        raise click.BadParameter(f"{value!r} names no Router: write module:attribute, such as helpdesk.app:router.")
    module, _, attribute = value.partition(":")
    if "" not in sys.path:
        sys.path.insert(0, "")  # the current directory, as `python -m` has it
    try:
        found = _attribute(importlib.import_module(module), attribute)
        if not isinstance(found, Router) and callable(found):
            found = found()
    except ConfigurationError as err:
        raise click.BadParameter(f"{value}: {err}") from err
    except ModuleNotFoundError as err:
        if err.name is None or not f"{module}.".startswith(f"{err.name}."):
            raise  # something that the user's module wants
        raise click.BadParameter(f"There is no module {err.name!r} here.") from err
    if not isinstance(found, Router):
        raise click.BadParameter(f"{value} is no Router, and makes none.")
    return found


def inbox(ctx: click.Context, param: click.Parameter, value: str | None) -> Inbox | None:
    """The path of a SQLite file, a `postgresql://` address, or the Router that has the inbox. A callback of click's."""
    if value is None:
        return None
    # A file that is not there is not made: it would be empty, and the name is mistyped.
    if "://" not in value and not Path(value).exists():
        if _MODULE.fullmatch(value):
            return inbox_of(router(ctx, param, value))
        raise click.BadParameter(f"There is no file {value!r}.")
    try:
        opened = open_inbox(value)
    except ConfigurationError as err:
        raise click.BadParameter(str(err)) from err
    ctx.call_on_close(opened.close)
    return opened


def inbox_of(router: Router) -> Inbox:
    """A Router's inbox."""
    if router.inbox is None:
        raise click.ClickException("This Router has no inbox: give it one, Router(..., inbox=SQLiteInbox(path)).")
    return router.inbox


def moment(ctx: click.Context, param: click.Parameter, value: str) -> float:
    """`30d` ago, or a day: `2026-11-01`. Gives seconds since the epoch. A callback of click's."""
    age = _AGE.fullmatch(value)
    if age is not None:
        return time.time() - timedelta(**{_UNITS[age[2]]: int(age[1])}).total_seconds()
    try:
        day = datetime.fromisoformat(value)
    except ValueError:
        raise click.BadParameter(
            f"{value!r} is neither an age, such as 30d or 12h, nor a day, such as 2026-11-01."
        ) from None
    return (day if day.tzinfo else day.replace(tzinfo=UTC)).timestamp()


def _attribute(module: object, path: str) -> Any:
    found: Any = module
    for name in path.split("."):
        if not hasattr(found, name):
            raise click.BadParameter(f"{getattr(module, '__name__', module)} has no {path!r}.")
        found = getattr(found, name)
    return found
