"""Find the columns of a table of labeled messages."""

import dataclasses
import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict

from triage.errors import ConfigurationError
from triage.evals.wording import is_name, show_columns

_STRUCTURES = ("messages", "conversation", "fields")
_FIXED = (*_STRUCTURES, "customer", "email", "channel")
"""Columns that are recognized by these names only."""

_TRANSCRIPTS = ("text", "messages", "conversation")
"""The columns of which a table needs at least one."""

_USUAL_NAMES = {
    "text": ("message", "body", "content", "description", "comment", "question", "input", "utterance", "transcript"),
    "bucket": ("label", "category", "class", "intent", "topic", "queue", "target", "output", "type", "tag"),
}
_WORDS = re.compile(r"[^\W_]+")


class RowError(Exception):
    """A row cannot be used. The message says why and what to change, but not where, and does not quote the row."""


class ColumnNames(TypedDict, total=False):
    """The arguments of `Columns`."""

    text: str
    bucket: str
    subject: str
    group: str
    id: str


@dataclass(frozen=True)
class Columns:
    """The names of the columns. Case and surrounding spaces are ignored.

    Args:
        text: The customer's message.
        bucket: The label.
        subject: The subject of the message.
        group: Rows of the same group stay together when the data set is split.
        id: The id of the message or ticket.

    Raises:
        ConfigurationError: A name is not a string, or is empty.
    """

    text: str = "text"
    bucket: str = "bucket"
    subject: str = "subject"
    group: str = "group"
    id: str = "id"

    def __post_init__(self) -> None:
        for role, name in self.by_role.items():
            if not _is_text(name):
                raise ConfigurationError(f"{role}={name!r} must be the name of a column. Write {role}={role!r}.")

    @property
    def by_role(self) -> Mapping[str, str]:
        """The name of each column by its role."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}


class Layout:
    """The positions of the columns in a row.

    Args:
        names: The names of the columns, in their order.
        columns: The names to look for.

    Raises:
        RowError: A column is missing, or two columns have the same name.
    """

    def __init__(self, names: Sequence[str], columns: Columns) -> None:
        found = _index_names(names)
        wanted = {role: _normalize(name) for role, name in columns.by_role.items()}
        for role in _FIXED:
            # A structure that the caller names as another column, such as text="messages", is that column.
            if role not in _STRUCTURES or role not in wanted.values():
                wanted[role] = role
        self.positions: Mapping[str, int] = {role: found[name] for role, name in wanted.items() if name in found}
        """The positions of the columns by their roles."""
        used = set(self.positions.values())
        self.others: Mapping[str, int] = {
            name.strip(): position for position, name in enumerate(names) if position not in used and name.strip()
        }
        """The positions of the columns without a role by their names."""
        missing = [role for role, name in columns.by_role.items() if role not in self.positions and role != name]
        if "text" not in missing and not any(role in self.positions for role in _TRANSCRIPTS):
            missing.insert(0, "text")
        if "bucket" not in self.positions and "bucket" not in missing:
            missing.append("bucket")
        if missing:
            raise RowError(_describe_missing(missing, names, columns, list(self.others)))


def count_recognized(names: Iterable[str], columns: Columns) -> int:
    """Return how many of the columns that a table needs are in a header.

    Args:
        names: The header.
        columns: The names to look for.
    """
    wanted = {_normalize(name) for name in (columns.text, columns.bucket, *_TRANSCRIPTS)}
    return len(wanted.intersection(map(_normalize, names)))


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _normalize(name: str) -> str:
    return " ".join(name.split()).casefold()


def _index_names(names: Sequence[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for position, name in enumerate(names):
        key = _normalize(name)
        if key in found:
            raise RowError(f"the columns {found[key] + 1} and {position + 1} have the same name. Rename one of them.")
        if key:  # spreadsheet programs save empty columns, too
            found[key] = position
    return found


def _describe_missing(missing: Sequence[str], names: Sequence[str], columns: Columns, free: list[str]) -> str:
    arguments: list[str] = []
    for role in missing:
        name = _suggest(role, columns.by_role[role], free)
        if name in free:
            free.remove(name)
        arguments.append(f'{role}="{name}"')
    absent = " and no column ".join(repr(columns.by_role[role]) for role in missing)
    return f"there is no column {absent}; the columns are: {show_columns(names)}. Pass {', '.join(arguments)}."


def _suggest(role: str, name: str, free: Sequence[str]) -> str:
    """Return the column that was most likely meant, or an ellipsis."""
    candidates = {_normalize(column): column for column in free if is_name(column)}
    for word in (_normalize(name), *_USUAL_NAMES.get(role, ())):
        for key, column in candidates.items():
            if word == key or word in _WORDS.findall(key):
                return column
    close = difflib.get_close_matches(_normalize(name), candidates, n=1)
    return candidates[close[0]] if close else "…"
