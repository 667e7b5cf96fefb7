"""Parse the JSON that vendors send: strict where an adapter needs a value, tolerant everywhere else."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Self, TypeVar, cast, get_args

import pydantic_core
from pydantic import (
    BaseModel,
    ConfigDict,
    GetCoreSchemaHandler,
    JsonValue,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
)
from pydantic_core import CoreSchema, core_schema

from triage.errors import MalformedPayload
from triage.io.fork import Lock
from triage.log import get_logger

logger = get_logger(__name__)

T = TypeVar("T")

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:@=-]{0,199}")


class _DefaultIfInvalid:
    """Makes a field fall back to a default instead of rejecting the whole payload."""

    def __init__(self, default: Any) -> None:
        self._default = default

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_default_schema(handler(source), default=self._default, on_error="default")


Loose = Annotated[T | None, _DefaultIfInvalid(None)]
"""An optional value that becomes None if it has an undocumented type, so that the message is not lost."""


class _SkipInvalidElements:
    """Makes a list skip the elements that cannot be parsed, and log their number."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        element = core_schema.with_default_schema(handler.generate_schema(get_args(source)[0]), on_error="omit")
        elements = core_schema.tuple_schema([element], variadic_item_index=0)
        counted = core_schema.with_info_wrap_validator_function(_count_skipped, elements)
        return core_schema.with_default_schema(counted, default=(), on_error="default")


def _count_skipped(value: Any, parse: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
    parsed = parse(value)
    skipped = len(value) - len(parsed)
    if skipped:
        logger.warning("skipped %d of %d elements of %r, which cannot be parsed", skipped, len(value), info.field_name)
    return parsed


LooseTuple = Annotated[tuple[T, ...], _SkipInvalidElements()]
"""A list without the elements that have an undocumented form. It is empty if it is not a list at all."""


_building = Lock()


class Payload(BaseModel):
    """A part of a vendor's JSON. Undeclared fields are ignored; ids may be numbers or strings.

    The validator is built on first use or by `build_models`, because building those of a help desk takes longer than
    importing its adapter.
    """

    # cache_strings: pydantic would keep thousands of short values, such as ids and names, for other JSON.
    model_config = ConfigDict(
        extra="ignore",
        coerce_numbers_to_str=True,
        hide_input_in_errors=True,
        frozen=True,
        defer_build=True,
        cache_strings="keys",
    )

    @classmethod
    def build(cls) -> None:
        """Build the validator, unless it was built before. Some releases of pydantic must not do it in two threads."""
        if not cls.__pydantic_complete__:
            with _building:
                cls.model_rebuild()

    if not TYPE_CHECKING:  # type checkers see the signatures of pydantic

        @classmethod
        def model_validate(cls, *args: Any, **options: Any) -> Self:
            """Validate parsed JSON, as pydantic does."""
            cls.build()
            return super().model_validate(*args, **options)

        @classmethod
        def model_validate_json(cls, *args: Any, **options: Any) -> Self:
            """Validate JSON, as pydantic does."""
            cls.build()
            return super().model_validate_json(*args, **options)

    @classmethod
    def parse_data(cls, data: object, *, event_id: object = None) -> Self:
        """Validate parsed JSON.

        Args:
            data: The parsed JSON.
            event_id: The vendor's id of the delivery, for the error, as it was received.

        Raises:
            MalformedPayload: `data` does not match the model. The message names the field, never its value.
        """
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            problem = describe_problem(error)
        raise MalformedPayload(problem, event_id=safe_word(event_id) if event_id else None)

    @classmethod
    def parse_body(cls, body: bytes, *, event_id: object = None) -> Self:
        """Parse and validate the body of a delivery. What the model does not declare is skipped, not built.

        Args:
            body: The bytes of the body.
            event_id: The vendor's id of the delivery, for the error, as it was received.

        Raises:
            MalformedPayload: The body is not a JSON object, or does not match the model.
        """
        cls.build()
        try:
            # Not `model_validate_json`, whose arguments take longer to pass than some bodies to parse.
            return cast("Self", cls.__pydantic_validator__.validate_json(body))
        except ValidationError:  # find out whether the body or a value is the problem, and accept half of an emoji
            return cls.parse_data(parse_json(body), event_id=event_id)


def build_models() -> None:
    """Build the validators of all imported payloads now, so that the first delivery does not pay for it."""
    pending: list[type[Payload]] = [Payload]
    while pending:
        model = pending.pop()
        pending += model.__subclasses__()
        model.build()


def describe_problem(error: ValidationError) -> str:
    """Return the name of the first invalid field and the type of the problem, without the value."""
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    field = ".".join(str(part) for part in first["loc"]) or "payload"
    return f"{field}: {first['type']}"


def parse_json(body: bytes) -> dict[str, JsonValue]:
    """Parse a body that must be a JSON object.

    Args:
        body: The bytes of the body.

    Raises:
        MalformedPayload: The body is not a JSON object, or is nested deeper than the 200 levels that the parser allows.
    """
    try:
        data: JsonValue = pydantic_core.from_json(body, allow_inf_nan=False, cache_strings="keys")
    except ValueError:
        data = _parse_broken_text(body)
    if not isinstance(data, dict):
        raise MalformedPayload("the body is JSON, but not an object")
    return data


def _parse_broken_text(body: bytes) -> JsonValue:
    # A lone surrogate (half an emoji) is valid JSON, so it must not cause the loss of a message. Only the standard
    # library's parser accepts it, and "replace" turns it into a question mark.
    try:
        repaired = json.dumps(json.loads(body), ensure_ascii=False).encode("utf-8", "replace")
        data: JsonValue = pydantic_core.from_json(repaired, allow_inf_nan=False, cache_strings="keys")
    except (ValueError, RecursionError):
        raise MalformedPayload(explain_body(body) or "the body is not JSON") from None
    return data


_BASE64_OBJECT = re.compile(rb"e[3wy][A-Za-z0-9+/=\r\n]++")  # begins like the base64 of '{"', '{ ', '{\n' or '{}'


def explain_body(body: bytes) -> str:
    """Return how a framework or a gateway has changed a body, or an empty string if that cannot be seen.

    Args:
        body: The body as it was passed to the Router.
    """
    if not body.strip():
        return "the body is empty: a proxy or a middleware has read it, or the framework does not read chunked requests"
    if _BASE64_OBJECT.fullmatch(body):
        return "the body is base64; decode it first, as AWS demands if isBase64Encoded is true"
    return ""


def parse_timestamp(seconds: float | None) -> datetime | None:
    """Convert seconds since the epoch to a time in UTC, or return None if they are out of range."""
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def sort_key(at: datetime | None, id_: str) -> tuple[datetime, int, str]:
    """Return a key that sorts entries by time, and entries with the same time by id.

    Args:
        at: The entry's time.
        id_: The entry's numeric id as text. A longer id is larger.
    """
    return (at or datetime.min.replace(tzinfo=UTC), len(id_), id_)


def find_link(data: Mapping[str, Any], path: str, *domains: str) -> str | None:
    """Return an address from a payload, if it is one of the vendor's web application.

    Args:
        data: The payload.
        path: The path of the address, such as `"_links.web.href"`.
        domains: The vendor's domains. Other addresses are rejected, because people will follow the link.
    """
    value: Any = data
    for name in path.split("."):
        value = cast("dict[str, Any]", value).get(name) if isinstance(value, dict) else None
    pattern = rf"https://(?:[a-z0-9-]+\.)*(?:{'|'.join(map(re.escape, domains))})/[\w./-]{{1,300}}"
    return value if isinstance(value, str) and re.fullmatch(pattern, value, re.ASCII) else None


def find_id(data: Mapping[str, object], path: str) -> str | None:
    """Return the id at a path of a payload, or None if there is none that is safe to log.

    Args:
        data: The payload.
        path: The names of the fields, `"data.item.id"`.
    """
    value: Any = data
    for name in path.split("."):
        value = cast("Any", value).get(name) if isinstance(value, Mapping) else None
    return safe_id(value)


def safe_id(value: object) -> str | None:
    """Return an id as text, or None if it is not safe to log."""
    text = str(value) if isinstance(value, str | int) else ""
    return text if _ID.fullmatch(text) else None


def safe_word(value: object) -> str:
    """Return `value` if it is a short plain word that is safe to log, otherwise `"?"`."""
    return value if isinstance(value, str) and re.fullmatch(r"[\w.:-]{1,80}", value, re.ASCII) else "?"
