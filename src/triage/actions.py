"""What a policy may do with a conversation: a closed union of small, frozen models.

Bodies are plain text. `{customer_name}`, `{bucket}` and `{confidence}` are filled in, in notes and fields also
`{reason}` and the classifier's extra fields. Write `{{` for a brace. The vendor's adapter turns the text into what the
vendor shows (HTML, Markdown) and escapes it.
"""

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from triage.errors import ConfigurationError


class _Action(BaseModel):
    # The subclasses hand a dict to super().__init__ because type checkers see only the base's own fields there.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Assign(_Action):
    """Hand the conversation to a team or to a teammate, by the vendor's id. A human's conversation is left alone."""

    type: Literal["assign"] = "assign"
    team: str | None = None
    user: str | None = None

    def model_post_init(self, context: Any, /) -> None:
        """Refuse what names nobody, or two."""
        if bool(self.team) == bool(self.user):
            raise ConfigurationError("Assign needs one of team= and user=, with the vendor's id as a string.")


class Reply(_Action):
    """Answer the customer. At most one automatic reply is sent to a conversation."""

    type: Literal["reply"] = "reply"
    body: str = Field(min_length=1, repr=False)
    """Out of every `repr`: once it is filled in, it holds what a customer or a model wrote."""

    def __init__(self, body: str, **data: Any) -> None:
        super().__init__(**({"body": body} | data))


class Note(_Action):
    """Leave an internal note, which only teammates see."""

    type: Literal["note"] = "note"
    body: str = Field(min_length=1, repr=False)
    """Out of every `repr`: once it is filled in, it holds what a customer or a model wrote."""

    def __init__(self, body: str, **data: Any) -> None:
        super().__init__(**({"body": body} | data))


class Tag(_Action):
    """Add tags by name; a tag that does not exist yet is made."""

    type: Literal["tag"] = "tag"
    names: tuple[str, ...] = Field(min_length=1)

    def __init__(self, *names: str, **data: Any) -> None:
        super().__init__(**({"names": names} | data))


class SetFields(_Action):
    """Set custom attributes of the conversation. They must exist at the vendor."""

    type: Literal["set_fields"] = "set_fields"
    fields: dict[str, str | int | float | bool | None] = Field(min_length=1, repr=False)
    """Out of every `repr`, like a reply's body."""

    def __init__(self, fields: dict[str, str | int | float | bool | None], **data: Any) -> None:
        super().__init__(**({"fields": fields} | data))


class SetPriority(_Action):
    """Set the conversation's priority."""

    type: Literal["set_priority"] = "set_priority"
    priority: Literal["low", "normal", "high", "urgent"]

    def __init__(self, priority: Literal["low", "normal", "high", "urgent"], **data: Any) -> None:
        super().__init__(**({"priority": priority} | data))


class Snooze(_Action):
    """Put the conversation to sleep until a time, or for a while from when the action is taken."""

    type: Literal["snooze"] = "snooze"
    until: datetime | timedelta

    def __init__(self, until: datetime | timedelta, **data: Any) -> None:
        super().__init__(**({"until": until} | data))

    def model_post_init(self, context: Any, /) -> None:
        """Refuse a time without a zone, which every machine would read in its own."""
        if isinstance(self.until, datetime) and self.until.tzinfo is None:
            raise ConfigurationError(
                "Snooze(until=…) needs a timedelta, or a time with a zone, as datetime.now(UTC) has."
            )


class Close(_Action):
    """Close (resolve, archive) the conversation. Done last, whatever the order in the policy."""

    type: Literal["close"] = "close"


class MarkSpam(_Action):
    """Tell the vendor that the message is spam, in the mildest form that the vendor has."""

    type: Literal["mark_spam"] = "mark_spam"


Action = Annotated[
    Assign | Reply | Note | Tag | SetFields | SetPriority | Snooze | Close | MarkSpam, Field(discriminator="type")
]

ACTIONS: tuple[type[Action], ...] = (Assign, Reply, Note, Tag, SetFields, SetPriority, Snooze, Close, MarkSpam)
