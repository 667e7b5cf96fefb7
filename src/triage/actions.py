"""The actions that a policy may perform on a conversation: a closed union of small, frozen models.

Texts are plain text with placeholders: `{customer_name}`, `{bucket}` and `{confidence}`. Notes and fields may also use
`{reason}` and the classifier's extra fields. Write `{{` for a brace. The vendor's adapter converts the text to the
vendor's format (HTML, Markdown) and escapes it.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeAlias, cast

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, ValidationInfo
from pydantic_core import PydanticCustomError

from triage.validation import StrictModel

FieldValue: TypeAlias = str | int | float | bool | None
"""A value of a custom field."""

_LONGEST_SNOOZE = timedelta(days=3650)


def _reject(problem: str) -> PydanticCustomError:
    return PydanticCustomError("action", "{problem}", {"problem": problem})


def _convert_id(value: object) -> object:
    """Accept an integer, too, because help desks show ids as numbers."""
    if isinstance(value, bool) or not isinstance(value, str | int | None):
        raise _reject("must be the vendor's id, as a string or an integer")
    return str(value) if isinstance(value, int) else value


def _check_not_blank(text: str) -> str:
    if not text.strip():
        raise _reject("must not be empty")
    return text


def _check_names(names: object) -> object:
    if not isinstance(names, list | tuple):
        raise _reject("must be separate strings")
    elements = cast("Sequence[object]", names)
    if any(isinstance(element, list | tuple | set | frozenset) for element in elements):
        raise _reject("must be separate strings")
    if not elements:
        raise _reject("must not be empty")
    return elements


def _check_fields(fields: object) -> object:
    """Accept integers as names, too, because Zendesk identifies custom fields by number."""
    if not isinstance(fields, Mapping):
        raise _reject("must be a dictionary of names and values")
    if not fields:
        raise _reject("must not be empty")
    checked: dict[str, object] = {}
    for name, value in cast("Mapping[object, object]", fields).items():
        if isinstance(name, bool) or not isinstance(name, str | int) or not str(name).strip():
            raise _reject("must have names that are strings or integers")
        if not isinstance(value, str | int | float | None) or (isinstance(value, float) and not math.isfinite(value)):
            raise _reject("must have values that are text, finite numbers, True, False or None")
        checked[str(name)] = value
    return checked


def _check_arguments(arguments: object) -> object:
    if not isinstance(arguments, Mapping):
        raise _reject("must be a dictionary of names and values")
    for value in cast("Mapping[object, object]", arguments).values():
        if not isinstance(value, str | int | float | None) or (isinstance(value, float) and not math.isfinite(value)):
            raise _reject("must have values that are text, finite numbers, True, False or None")
    return cast("object", arguments)


def _check_until_type(until: object, info: ValidationInfo) -> object:
    # Pydantic would convert a number to a time in 1970. In JSON, both types are strings.
    if info.mode == "python" and not isinstance(until, datetime | timedelta):
        raise _reject("must be a timedelta, or a datetime with a time zone")
    return until


def _check_until(until: datetime | timedelta) -> datetime | timedelta:
    if isinstance(until, datetime):
        if until.tzinfo is None:
            # Each machine would interpret it in its own time zone.
            raise _reject("must have a time zone, as datetime.now(UTC) has")
    elif not timedelta() < until <= _LONGEST_SNOOZE:
        raise _reject("must be longer than zero and at most ten years")
    return until


_Id: TypeAlias = Annotated[str | None, BeforeValidator(_convert_id)]
_Text: TypeAlias = Annotated[str, AfterValidator(_check_not_blank)]


class _Action(StrictModel):
    # Type checkers see the constructors under TYPE_CHECKING. At run time, all actions use StrictModel's constructor,
    # which also explains missing and superfluous arguments.
    model_config = ConfigDict(extra="forbid")

    _positional: ClassVar[str | None] = None
    """The field that may be written without its name."""

    @classmethod
    def _bind(cls, args: tuple[Any, ...], fields: dict[str, Any]) -> dict[str, Any]:
        if cls._positional is None or not args:
            return super()._bind(args, fields)
        value, *others = args
        if others or cls._positional in fields:
            raise cls._build_error(f"it takes one value for {cls._positional}")
        return {cls._positional: value} | fields


class Assign(_Action):
    """Assign the conversation to a team or to a teammate, unless a human already handles it.

    Args:
        team: The vendor's id of the team.
        user: The vendor's id of the teammate. Pass either `team` or `user`.
    """

    example = "Assign(team='12345') or Assign(user='67890')"

    type: Literal["assign"] = "assign"
    team: _Id = None
    user: _Id = None

    if TYPE_CHECKING:

        def __init__(self, *, team: str | int | None = None, user: str | int | None = None) -> None: ...

    def model_post_init(self, context: Any, /) -> None:
        """Check that there is exactly one assignee."""
        ids = [value for value in (self.team, self.user) if value and value.strip()]
        if len(ids) != 1:
            raise _reject(f"it needs exactly one of team= and user=, and {'both are' if ids else 'neither is'} set")


class Reply(_Action):
    """Answer the customer. A conversation gets at most one automatic reply.

    Args:
        body: The text. `repr()` omits it, because it may contain text by a customer or a model once it is filled in.
    """

    example = "Reply('Thank you for your message.')"
    _positional = "body"

    type: Literal["reply"] = "reply"
    body: _Text = Field(repr=False)

    if TYPE_CHECKING:

        def __init__(self, body: str) -> None: ...


class Note(_Action):
    """Leave an internal note, which only teammates see.

    Args:
        body: The text. `repr()` omits it, like that of a reply.
    """

    example = "Note('Classified as {bucket}: {reason}')"
    _positional = "body"

    type: Literal["note"] = "note"
    body: _Text = Field(repr=False)

    if TYPE_CHECKING:

        def __init__(self, body: str) -> None: ...


class Tag(_Action):
    """Add tags. A tag that does not exist yet is created.

    Args:
        names: The names of the tags.
    """

    example = "Tag('vip', 'refund')"

    type: Literal["tag"] = "tag"
    names: Annotated[tuple[_Text, ...], BeforeValidator(_check_names)]

    if TYPE_CHECKING:

        def __init__(self, *names: str) -> None: ...

    @classmethod
    def _bind(cls, args: tuple[Any, ...], fields: dict[str, Any]) -> dict[str, Any]:
        return fields if "names" in fields and not args else {"names": args} | fields


class SetFields(_Action):
    """Set custom fields (attributes) of the conversation. They must exist in the help desk.

    Args:
        fields: Values by the field's name or id. `repr()` omits them, like the body of a reply.
    """

    example = "SetFields({'plan': 'pro'})"
    _positional = "fields"

    type: Literal["set_fields"] = "set_fields"
    fields: Annotated[dict[str, FieldValue], BeforeValidator(_check_fields)] = Field(repr=False)

    if TYPE_CHECKING:

        def __init__(self, fields: Mapping[str, FieldValue]) -> None: ...


class SetPriority(_Action):
    """Set the conversation's priority.

    Args:
        priority: The priority. The adapter maps it to the levels of the help desk.
    """

    example = "SetPriority('high')"
    _positional = "priority"

    type: Literal["set_priority"] = "set_priority"
    priority: Literal["low", "normal", "high", "urgent"]

    if TYPE_CHECKING:

        def __init__(self, priority: Literal["low", "normal", "high", "urgent"]) -> None: ...


class Snooze(_Action):
    """Snooze the conversation.

    Args:
        until: A time with a time zone, or a duration of at most ten years from the moment of the action.
    """

    example = "Snooze(timedelta(hours=4))"
    _positional = "until"

    type: Literal["snooze"] = "snooze"
    until: Annotated[datetime | timedelta, BeforeValidator(_check_until_type), AfterValidator(_check_until)]

    if TYPE_CHECKING:

        def __init__(self, until: datetime | timedelta) -> None: ...


class Close(_Action):
    """Close (resolve, archive) the conversation. This is always the last step, whatever its place in the policy."""

    example = "Close()"

    type: Literal["close"] = "close"

    if TYPE_CHECKING:

        def __init__(self) -> None: ...


class MarkSpam(_Action):
    """Report the message as spam, in the mildest form that the vendor offers."""

    example = "MarkSpam()"

    type: Literal["mark_spam"] = "mark_spam"

    if TYPE_CHECKING:

        def __init__(self) -> None: ...


class Run(_Action):
    """Call a function of your own, which is planned, stored and retried like any other action.

    Args:
        name: The name of the function, as in `Router(functions={"page": page})`.
        arguments: Values for the function, such as `severity="high"`.
    """

    example = "Run('page', severity='high')"

    type: Literal["run"] = "run"
    name: _Text
    arguments: Annotated[dict[str, FieldValue], BeforeValidator(_check_arguments)] = Field(default_factory=dict)

    if TYPE_CHECKING:

        def __init__(self, name: str, **arguments: FieldValue) -> None: ...

    @classmethod
    def _bind(cls, args: tuple[Any, ...], fields: dict[str, Any]) -> dict[str, Any]:
        if len(args) != 1:
            return super()._bind(args, fields)
        return {"name": args[0], "arguments": fields}


Action = Annotated[
    Assign | Reply | Note | Tag | SetFields | SetPriority | Snooze | Close | MarkSpam | Run, Field(discriminator="type")
]

ACTIONS: tuple[type[Action], ...] = (Assign, Reply, Note, Tag, SetFields, SetPriority, Snooze, Close, MarkSpam, Run)

ROUTING = (Assign, Reply, Run, Snooze, Close, MarkSpam)
"""Actions that decide what happens to the conversation. All others only label it."""
