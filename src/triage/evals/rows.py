"""Turn a row of a table into an example, and back."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, cast, get_args

from pydantic import TypeAdapter, ValidationError

from triage.evals.columns import Layout, RowError
from triage.evals.example import Example
from triage.evals.files import DECODER
from triage.models import Conversation, Customer, Id, Message, Role

MAX_CHARACTERS = 1_000_000
"""The length of the longest message."""

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")  # half an emoji, which cannot be encoded
_ROLES: tuple[str, ...] = get_args(Role)
_ID: TypeAdapter[str] = TypeAdapter(Id)
_FLAT = {"id", "subject", "channel", "customer", "messages"}
"""The parts of a conversation that have a column of their own."""


def build_example(layout: Layout, cells: Sequence[object], number: int) -> Example:
    """Build the example of a row.

    Args:
        layout: The positions of the columns.
        cells: The row.
        number: The number of the row, for its id if it has none.

    Raises:
        RowError: The row cannot be used.
    """
    try:
        row = {role: cells[position] for role, position in layout.positions.items()}
        others = {name: cells[position] for name, position in layout.others.items()}
        for role, kind in (("messages", list), ("conversation", dict), ("fields", dict)):
            structure = _parse(row.get(role), kind, role)
            if structure is None and role in row:
                # The column has this name by chance. It may contain the number of messages, for example.
                others[role] = row.pop(role)
            elif structure is not None:
                row[role] = _clean(structure)
        others |= cast("dict[str, object]", row.get("fields", {}))
        bucket = _read_bucket(row.get("bucket"))
        conversation = _read_conversation(row, number)
        return Example(conversation, bucket, _read_group(row, conversation.customer), _read_fields(others))
    except RecursionError:
        raise RowError("it is nested too deeply. Remove what does not belong to the conversation.") from None


def build_row(example: Example) -> dict[str, Any]:
    """Return the row from which `build_example` builds an equal example.

    Args:
        example: The example.
    """
    conversation = example.conversation
    row: dict[str, Any] = {"id": conversation.id, **_build_texts(conversation), "bucket": example.bucket}
    customer = _build_customer(conversation.customer)
    row |= customer
    if customer or example.group is not None:  # without this column, the customer would be the group
        row["group"] = example.group
    if conversation.channel is not None:
        row["channel"] = conversation.channel
    state = conversation.model_dump(mode="json", exclude_defaults=True, exclude=_FLAT)
    if state:
        row["conversation"] = state
    if example.fields:
        row["fields"] = dict(example.fields)
    return cast("dict[str, Any]", _clean(row))


def is_missing(value: object) -> bool:
    """Return whether a cell contains None, NaN or only white space.

    Args:
        value: The value of the cell.
    """
    if isinstance(value, str):
        return not value.strip()
    return value is None or (isinstance(value, float) and math.isnan(value))


def _build_texts(conversation: Conversation) -> dict[str, Any]:
    texts: dict[str, Any] = {"subject": conversation.subject} if conversation.subject else {}
    messages = conversation.messages
    if len(messages) == 1 and messages[0] == Message(id="1", role="customer", text=messages[0].text):
        return texts | {"text": messages[0].text}
    turns = [{"text": "", **message.model_dump(mode="json", exclude_defaults=True)} for message in messages]
    return texts | {"messages": turns}


def _build_customer(customer: Customer) -> dict[str, Any]:
    if customer.name is not None or (customer.id or "").lstrip().startswith("{"):
        return {"customer": customer.model_dump(exclude_defaults=True)}
    columns = {"customer": customer.id, "email": customer.email}
    return {name: value for name, value in columns.items() if value is not None}


def _parse(value: object, kind: type, role: str) -> Any:
    """Return a list or dictionary, which may be written as JSON, or None if the cell contains something else."""
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        try:
            value = DECODER.decode(value)
        except ValueError:
            if role != "messages":
                return None
            raise RowError(
                'the messages are not valid JSON. Write [{"role": "customer", "text": "…"}], for example.'
            ) from None
    return value if isinstance(value, kind) or (role == "conversation" and isinstance(value, Conversation)) else None


def _read_bucket(value: object) -> str:
    if is_missing(value):
        raise RowError("the bucket is missing. Write the bucket that the message belongs to, or delete the row.")
    if not isinstance(value, str):
        raise RowError(f"the bucket is of type {type(value).__name__}. Write the name of a bucket as text.")
    return _replace_surrogates(value.strip().casefold())


def _read_conversation(row: Mapping[str, object], number: int) -> Conversation:
    given = row.get("conversation", {})
    conversation = given if isinstance(given, Conversation) else _build_conversation(row, number)
    if not conversation.has_text or not conversation.text.strip():
        advice = "Write the customer's message" if "text" in row else 'Write [{"role": "customer", "text": "…"}]'
        raise RowError(f"the text is empty. {advice}, or delete the row.")
    return conversation


def _build_conversation(row: Mapping[str, object], number: int) -> Conversation:
    attributes = dict(cast("Mapping[str, Any]", row.get("conversation", {})))
    messages = row.get("messages") or attributes.get("messages")
    if isinstance(messages, list) and messages:
        turns = [_read_message(value, index) for index, value in enumerate(cast("list[object]", messages))]
    else:
        turns = [{"id": "1", "role": "customer", "text": _read_text(row.get("text"), "text")}]
    attributes |= {"messages": turns, "customer": _read_customer(row, attributes.get("customer"))}
    if not is_missing(row.get("subject")):
        attributes["subject"] = _read_text(row.get("subject"), "subject")
    if not is_missing(row.get("channel")):
        attributes["channel"] = _to_word(row.get("channel"))
    attributes["id"] = _find_id(row.get("id"), attributes.get("id")) or f"row-{number}"
    try:
        return Conversation.model_validate(attributes)
    except ValidationError as err:
        raise RowError(_describe(err)) from None


def _read_message(value: object, index: int) -> dict[str, Any]:
    place = f"messages[{index}]"
    if not isinstance(value, Mapping):
        raise RowError(f'{place} is not an object. Write {{"role": "customer", "text": "…"}}.')
    message = {name: item for name, item in cast("Mapping[str, object]", value).items() if item is not None}
    role = str(message.get("role", message.get("from"))).strip().lower()
    if role not in _ROLES:
        raise RowError(f'{place} needs the "role" of its author: {", ".join(_ROLES[:-1])} or {_ROLES[-1]}.')
    if "text" not in message and not message.get("attachments"):
        raise RowError(f'{place} has no "text". Write {{"role": "{role}", "text": "…"}}.')
    text = _read_text(message.get("text"), f"text of {place}")
    return {**message, "id": _to_word(message.get("id", index + 1)), "role": role, "text": text}


def _read_text(value: object, name: str) -> str:
    if not isinstance(value, str):
        if is_missing(value):
            return ""
        raise RowError(f"the {name} is of type {type(value).__name__}. Write it as text, in quotation marks.")
    if len(value) > MAX_CHARACTERS:
        raise RowError(
            f"the {name} has more than {MAX_CHARACTERS:,} characters. Shorten it, or delete the row: models read less."
        )
    return _replace_surrogates(value)


def _read_customer(row: Mapping[str, object], base: object) -> dict[str, str | None]:
    customer: dict[str, object] = dict(cast("Mapping[str, object]", base)) if isinstance(base, Mapping) else {}
    cell = row.get("customer")
    structure = _parse(cell, dict, "customer")
    if structure is not None:
        customer |= structure
    elif not is_missing(cell):
        customer["id"] = cell
    if not is_missing(row.get("email")):
        customer["email"] = row["email"]
    return {name: None if is_missing(value) else _to_word(value) for name, value in customer.items()}


def _read_group(row: Mapping[str, object], customer: Customer) -> str | None:
    if "group" not in row:
        return customer.id or customer.email
    return None if is_missing(row["group"]) else _to_word(row["group"])


def _read_fields(others: Mapping[str, object]) -> dict[str, str]:
    return {
        _to_word(name): _to_word(value)
        for name, value in others.items()
        if isinstance(value, str) or not is_missing(value)
    }


def _find_id(*values: object) -> str | None:
    """Return the first value that is a valid id of a conversation."""
    for value in values:
        text = "" if is_missing(value) else _to_word(value).strip()
        try:
            return _ID.validate_python(text)
        except ValidationError:
            continue
    return None


def _to_word(value: object) -> str:
    """Return a value as text: numbers as in a spreadsheet, lists and objects as JSON."""
    if isinstance(value, str):
        return _replace_surrogates(value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))  # pandas turns the ids of a column with empty cells into floats
    if isinstance(value, bool | int | float | list | dict):
        value = json.dumps(value, ensure_ascii=False, default=str)
    return _replace_surrogates(str(value))


def _clean(value: Any) -> Any:
    """Replace lone surrogates in all texts of a structure."""
    if isinstance(value, str):
        return _replace_surrogates(value)
    if isinstance(value, list):
        return [_clean(item) for item in cast("list[object]", value)]
    if isinstance(value, dict):
        return {_clean(name): _clean(item) for name, item in cast("dict[object, object]", value).items()}
    return value


def _replace_surrogates(text: str) -> str:
    return text if text.isascii() else _LONE_SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)


def _describe(error: ValidationError) -> str:
    """Describe the first mistake in a conversation without its value."""
    problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in problem["loc"]).lstrip(".")
    return f"{place} is invalid: {problem['msg'].replace('Input should be', 'it must be')}."
