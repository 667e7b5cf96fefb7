"""Turn tables and lists into examples, and report all rows that cannot be used at once."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, cast

from triage.errors import ConfigurationError, DatasetError
from triage.evals.columns import Columns, Layout, RowError
from triage.evals.decoding import PathLike
from triage.evals.example import Example
from triage.evals.files import read_csv, read_jsonl
from triage.evals.rows import build_example
from triage.evals.wording import join_some, show_id
from triage.models import Conversation

if TYPE_CHECKING:
    import pandas as pd

RowLike: TypeAlias = Example | Mapping[str, object] | tuple[str | Conversation, str]
"""A row of `Dataset.from_rows`."""

_Row: TypeAlias = tuple[int, Example | tuple[Sequence[str], Sequence[object]]]
"""A number, and either an example, or the names of columns and their values."""

_MOST_PROBLEMS = 5
"""How many kinds of problems an error describes."""


@dataclass(frozen=True)
class Source:
    """The source of examples, for messages.

    Args:
        name: The name, such as that of the file.
        noun: The name of a row: `"row"`, `"line"` or `"index"`.
    """

    name: str
    noun: str

    def locate(self, numbers: Sequence[int]) -> str:
        """Return a place: `"messages.csv, rows 3, 5 and 7"`.

        Args:
            numbers: The numbers of the rows.
        """
        ending = {"index": "indexes"}.get(self.noun, f"{self.noun}s") if len(numbers) > 1 else self.noun
        return f"{self.name}, {ending} {join_some(f'{number:,}' for number in numbers)}"


def read_csv_examples(path: PathLike, columns: Columns, encoding: str | None) -> list[Example]:
    """Read the examples in a CSV file.

    Args:
        path: The file.
        columns: The names of the columns.
        encoding: The encoding; None to recognize it.

    Raises:
        DatasetError: The file or some of its rows cannot be used.
    """
    header, rows = read_csv(path, columns, encoding)
    _check_header(header, columns, str(path))
    return _read_examples(((number, (header, cells)) for number, cells in rows), columns, Source(str(path), "row"))


def read_jsonl_examples(path: PathLike, columns: Columns, encoding: str | None) -> list[Example]:
    """Read the examples in a file with one JSON object per line.

    Args:
        path: The file.
        columns: The names of the columns.
        encoding: The encoding; None to recognize it.

    Raises:
        DatasetError: The file or some of its lines cannot be used.
    """
    objects = read_jsonl(path, encoding)
    rows = ((number, (tuple(item), tuple(item.values()))) for number, item in objects)
    return _read_examples(rows, columns, Source(str(path), "line"))


def read_frame_examples(frame: "pd.DataFrame", columns: Columns, name: str) -> list[Example]:
    """Read the examples in a DataFrame.

    Args:
        frame: The DataFrame.
        columns: The names of the columns.
        name: The name of the data set, for messages.

    Raises:
        ConfigurationError: `frame` is not a DataFrame.
        DatasetError: The DataFrame or some of its rows cannot be used.
    """
    import pandas as pd

    if not isinstance(frame, pd.DataFrame):  # pyright: ignore[reportUnnecessaryIsInstance] - not everyone checks types
        raise ConfigurationError(f"from_pandas() takes a DataFrame, not an object of type {type(frame).__name__}.")
    header = [str(column) for column in frame.columns]
    _check_header(header, columns, name)
    values = frame.astype(object).where(frame.notna(), None)
    rows = ((number, (header, cells)) for number, cells in enumerate(values.itertuples(index=False, name=None)))
    return _read_examples(rows, columns, Source(name, "index"))


def read_listed_examples(rows: Iterable[RowLike], columns: Columns, name: str) -> list[Example]:
    """Read the examples in a list of dictionaries, pairs or examples.

    Args:
        rows: The list.
        columns: The names of the columns.
        name: The name of the data set, for messages.

    Raises:
        ConfigurationError: An item is none of these.
        DatasetError: Some of the items cannot be used.
    """
    listed = ((number, _unpack(row, number, columns)) for number, row in enumerate(rows))
    return _read_examples(listed, columns, Source(name, "index"))


def _check_header(header: Sequence[str], columns: Columns, name: str) -> None:
    try:
        Layout(header, columns)
    except RowError as err:
        raise DatasetError(f"{name}: {err}") from None


def _unpack(row: object, number: int, columns: Columns) -> Example | tuple[Sequence[str], Sequence[object]]:
    if isinstance(row, Example):
        return row
    if isinstance(row, Mapping):
        cells = cast("Mapping[object, object]", row)
        return tuple(map(str, cells)), tuple(cells.values())
    if isinstance(row, tuple | list):
        pair = cast("Sequence[object]", row)
        if len(pair) == 2:
            return ("conversation" if isinstance(pair[0], Conversation) else columns.text, columns.bucket), pair
        raise ConfigurationError(f"Item {number} has {len(pair)} parts. Write a pair: ('…', 'billing').")
    raise ConfigurationError(
        f"Item {number} is of type {type(row).__name__}. Write a dictionary, {{'text': '…', 'bucket': 'billing'}}, a "
        f"pair, ('…', 'billing'), or an Example."
    )


def _read_examples(rows: Iterable[_Row], columns: Columns, source: Source) -> list[Example]:
    layouts: dict[tuple[str, ...], Layout] = {}
    examples: dict[int, Example] = {}
    problems: dict[str, list[int]] = {}
    for number, row in rows:
        try:
            examples[number] = row if isinstance(row, Example) else _read_row(number, *row, columns, layouts)
        except RowError as err:
            problems.setdefault(str(err), []).append(number)
    problems |= _find_repeated_ids(examples)
    if problems:
        raise DatasetError(_describe_problems(problems, source))
    if not examples:
        raise DatasetError(f"{source.name} contains no messages. Write at least one for each bucket.")
    return list(examples.values())


def _read_row(
    number: int,
    names: Sequence[str],
    cells: Sequence[object],
    columns: Columns,
    layouts: dict[tuple[str, ...], Layout],
) -> Example:
    key = tuple(names)
    if key not in layouts:
        layouts[key] = Layout(names, columns)
    return build_example(layouts[key], cells, number)


def _find_repeated_ids(examples: Mapping[int, Example]) -> dict[str, list[int]]:
    numbers: dict[str, list[int]] = {}
    for number, example in examples.items():
        numbers.setdefault(example.conversation.id, []).append(number)
    advice = "Give each row an id of its own. If the column is the id of a ticket with several rows, rename it 'group'."
    problems: dict[str, list[int]] = {}
    for name, places in numbers.items():
        if len(places) > 1:
            problems.setdefault(f"the id {show_id(name)!r} occurs repeatedly. {advice}", []).extend(places)
    return problems


def _describe_problems(problems: Mapping[str, Sequence[int]], source: Source) -> str:
    lines = [f"{source.locate(numbers)}: {problem}" for problem, numbers in problems.items()]
    if len(lines) > _MOST_PROBLEMS:
        lines[_MOST_PROBLEMS:] = [f"There are {len(lines) - _MOST_PROBLEMS:,} more problems."]
    return "\n".join(lines)
