"""Reading what vendors send: JSON that is checked where we need it and tolerated where we do not."""

import json
import re
from datetime import UTC, datetime
from typing import Annotated, Any, Self, TypeVar

import pydantic_core
from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError, ValidatorFunctionWrapHandler, WrapValidator

from triage.errors import MalformedPayload

T = TypeVar("T")


def _none_if_wrong(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    try:
        return validate(value)
    except ValidationError:
        return None


Loose = Annotated[T | None, WrapValidator(_none_if_wrong)]
"""Nice to have: None where it is not what the vendor documents, instead of losing the message for it."""


class Payload(BaseModel):
    """A part of a vendor's JSON. Fields that we do not name are ignored; ids may be numbers or strings."""

    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True, hide_input_in_errors=True, frozen=True)

    @classmethod
    def parse_data(cls, data: object, *, event_id: str | None = None) -> Self:
        """Check `data`.

        Raises:
            MalformedPayload: It does not fit; the message says where, without the values.
        """
        try:
            return cls.model_validate(data)
        except ValidationError as err:
            first = err.errors(include_input=False, include_url=False, include_context=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise MalformedPayload(f"{where or 'payload'}: {first['type']}", event_id=event_id) from None


def parse_json(body: bytes) -> dict[str, JsonValue]:
    """Parse a body that must hold a JSON object.

    Raises:
        MalformedPayload: It holds none, or one nested deeper than the 200 levels that the parser allows.
    """
    try:
        data: JsonValue = pydantic_core.from_json(body, allow_inf_nan=False)
    except ValueError:
        data = _parse_json_with_broken_text(body)
    if not isinstance(data, dict):
        raise MalformedPayload("the body is JSON, but no object")
    return data


def _parse_json_with_broken_text(body: bytes) -> JsonValue:
    # An emoji cut in half (a lone surrogate) is valid in JSON and no reason to lose a message; only the standard
    # library's parser takes it, and "replace" makes it a question mark.
    try:
        whole = json.dumps(json.loads(body), ensure_ascii=False).encode("utf-8", "replace")
        data: JsonValue = pydantic_core.from_json(whole, allow_inf_nan=False)
    except (ValueError, RecursionError):
        raise MalformedPayload("the body is no JSON") from None
    return data


def parse_timestamp(seconds: float | None) -> datetime | None:
    """A time in seconds since the epoch, None if it is none that the calendar has."""
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def sort_key(at: datetime | None, id_: str) -> tuple[datetime, int, str]:
    """What to sort by, where a list's order is not promised and times may be the same.

    Args:
        at: The entry's time.
        id_: Its number as text: the longer one is the larger one.
    """
    return (at or datetime.min.replace(tzinfo=UTC), len(id_), id_)


def safe_word(value: object) -> str:
    """`value` if it is a short plain word, fit for a log line, else `"?"`."""
    return value if isinstance(value, str) and re.fullmatch(r"[\w.:-]{1,80}", value, re.ASCII) else "?"
