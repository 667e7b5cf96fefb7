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
from types import ModuleType
from typing import Any

import click

from triage.environment import read_variable
from triage.errors import ConfigurationError, TriageError, describe_location
from triage.inbox import open_inbox
from triage.inbox.address import parse_address
from triage.inbox.base import Inbox
from triage.limits import parse_duration
from triage.policy.check import describe_type
from triage.router import Router

_MODULE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


def parse_router(ctx: click.Context, param: click.Parameter, value: str) -> Router:
    """Import `"module:attribute"`: a Router, or a function without arguments that returns one."""
    router = import_object(value)
    if not isinstance(router, Router):
        raise InvalidArgumentError(
            f"{value} is not a Router and does not return one: it is {describe_type(router)}. Name a Router."
        )
    return router


class InvalidArgumentError(click.ClickException):
    """An argument names no usable object or inbox. It is reported in one line, without the usage."""

    exit_code = 2


def import_object(value: str) -> object:
    """Import `"module:attribute"`. If it is a function, call it without arguments and return its result.

    Args:
        value: The name.
    """
    if not _MODULE.fullmatch(value):
        raise InvalidArgumentError(
            f"{value!r} is not the name of a Router: write module:attribute, such as helpdesk.app:router."
        )
    module, _, attribute = value.partition(":")
    if "" not in sys.path:
        sys.path.insert(0, "")  # the current directory, as for `python -m`
    try:
        found = _get_attribute(importlib.import_module(module), attribute)
        return _call(value, found) if callable(found) else found
    except click.ClickException:
        raise
    except (ConfigurationError, TriageError) as err:
        raise InvalidArgumentError(f"{value}: {err}") from err
    except Exception as err:
        raise InvalidArgumentError(_explain_failure(value, module, err)) from err


def _explain_failure(value: str, module: str, error: Exception) -> str:
    """Explain in one line why the user's module cannot be imported, or its function raised."""
    if isinstance(error, ModuleNotFoundError) and error.name and f"{module}.".startswith(f"{error.name}."):
        return f"There is no module {error.name!r} here. Run the command in its directory, or set PYTHONPATH."
    # The message of a syntax error contains its location.
    location = "SyntaxError" if isinstance(error, SyntaxError) else describe_location(error)
    message = " ".join(str(error).split())
    return f"{value} cannot be used: {location}: {message}. Correct this error, or try `python -c 'import {module}'`."


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
            raise InvalidArgumentError(
                f"There is no file {address.location!r}. Name an existing inbox, or run the command in its directory."
            )
        inbox = open_inbox(value)
    except ConfigurationError as err:
        raise InvalidArgumentError(str(err)) from err
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
        raise InvalidArgumentError(f"{name} needs arguments. Name a function that needs none, or its result.") from None
    return function()


def _get_attribute(module: ModuleType, path: str) -> Any:
    value: Any = module
    for name in path.split("."):
        if not hasattr(value, name):
            routers = ", ".join(name for name, value in vars(module).items() if isinstance(value, Router))
            hint = f"Its Routers are: {routers}." if routers else "It has no Router."
            raise InvalidArgumentError(f"{module.__name__} has no {path!r}. {hint}")
        value = getattr(value, name)
    return value
