"""Read files with labeled messages, whatever program saved them."""

import csv
import io
import json
import re
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any, cast

from triage.errors import DatasetError
from triage.evals.columns import Columns, count_recognized
from triage.evals.decoding import PathLike, read_text

DECODER = json.JSONDecoder(parse_constant=lambda _: None)
"""Reads NaN, which pandas writes for missing values, as None."""

_DELIMITERS = (",", ";", "\t", "|")
_DELIMITER_LINE = re.compile(r"sep=([,;\t|])\r?\n")
"""The first line with which some programs announce the delimiter to Excel."""
_field_size_lock = threading.Lock()


def read_csv(
    path: PathLike, columns: Columns, encoding: str | None = None
) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Read a CSV file as spreadsheet programs save it. The first row that is not blank is the header.

    Args:
        path: The file. Its cells are separated by commas, semicolons, tabs or bars.
        columns: The columns to expect, from which the delimiter is recognized.
        encoding: The encoding. Default: UTF-8, UTF-16 if the file begins with a byte order mark, or else Windows-1252.

    Returns:
        The header, and the other rows with their number as a spreadsheet program shows it.

    Raises:
        DatasetError: The file cannot be read.
    """
    text = read_text(path, encoding)
    mark = _DELIMITER_LINE.match(text)
    with _unlimited_fields(len(text)):
        delimiter = mark[1] if mark is not None else _find_delimiter(text, columns)
        rows = _parse_csv(text[mark.end() if mark is not None else 0 :], delimiter, path)
    if not rows:
        raise DatasetError(
            f"{path} is empty. Write the names of the columns, {columns.text} and {columns.bucket}, in the first row."
        )
    (_, header), *others = rows
    return header, [
        (number, _fit_row(cells, len(header), delimiter, f"{path}, row {number}")) for number, cells in others
    ]


def read_jsonl(path: PathLike, encoding: str | None = None) -> Iterator[tuple[int, dict[str, Any]]]:
    """Read a file with one JSON object per line. Blank lines are skipped.

    Args:
        path: The file.
        encoding: The encoding. Default: as for `read_csv`.

    Returns:
        The objects with the numbers of their lines.

    Raises:
        DatasetError: The file cannot be read, or a line is not a JSON object.
    """
    text = read_text(path, encoding)
    # splitlines() would also split at characters that JSON allows inside of a text, such as U+2028.
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, _parse_object(line, f"{path}, line {number}")


def _parse_object(line: str, place: str) -> dict[str, Any]:
    try:
        value = DECODER.decode(line)
    except json.JSONDecodeError as err:
        raise DatasetError(
            f"{place} is not JSON (column {err.colno}). Write one whole object per line, such as "
            f'{{"text": "…", "bucket": "billing"}}.'
        ) from None
    except (ValueError, RecursionError):  # a number with thousands of digits, or thousands of brackets
        raise DatasetError(
            f"{place} is not JSON that Python can read: it is nested too deeply, or a number is too long."
        ) from None
    if isinstance(value, dict):
        return cast("dict[str, Any]", value)
    kind = "a list" if isinstance(value, list) else "not an object"
    raise DatasetError(f'{place} is {kind}. Write one object per line, such as {{"text": "…", "bucket": "billing"}}.')


@contextmanager
def _unlimited_fields(size: int) -> Generator[None]:
    """Raise the csv module's limit of a field, which is global, to the size of a file."""
    with _field_size_lock:
        limit = csv.field_size_limit(max(size, csv.field_size_limit()))
        try:
            yield
        finally:
            csv.field_size_limit(limit)


def _find_delimiter(text: str, columns: Columns) -> str:
    """Return the delimiter with which the header has most of the expected columns, or else most columns."""

    def rate(delimiter: str) -> tuple[int, int]:
        rows = csv.reader(io.StringIO(text.lstrip(), newline=""), delimiter=delimiter, skipinitialspace=True)
        header = next(rows, list[str]())
        return count_recognized(header, columns), len(header)

    return max(_DELIMITERS, key=rate)


def _parse_csv(text: str, delimiter: str, path: PathLike) -> list[tuple[int, list[str]]]:
    """Return the rows that are not blank, with their numbers."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True)
    rows: list[tuple[int, list[str]]] = []
    number = 0
    try:
        for number, cells in enumerate(reader, start=1):
            if any(cell.strip() for cell in cells):
                # The line breaks are those of the file's format, not the customer's.
                rows.append((number, [cell.replace("\r\n", "\n") for cell in cells]))
    except csv.Error:
        raise DatasetError(
            f"{path}, row {number + 1}: the quotation marks do not match. Put the text in quotation marks, and write "
            f'each quotation mark inside of it twice: "She said ""hi"".".'
        ) from None
    return rows


def _fit_row(cells: list[str], width: int, delimiter: str, place: str) -> list[str]:
    if any(cell.strip() for cell in cells[width:]):
        raise DatasetError(
            f"{place} has {len(cells)} cells, but the header has {width}. Put texts that contain {delimiter!r} in "
            f"quotation marks."
        )
    return [*cells[:width], *[""] * (width - len(cells))]
