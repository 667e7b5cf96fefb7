"""CSV and JSONL files are read as the programs that people use write them, with the numbers of their rows."""

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triage.errors import DatasetError
from triage.evals.columns import Columns
from triage.evals.files import read_csv, read_jsonl

COLUMNS = Columns()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "messages.csv"


def write(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


# CSV


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_recognized(path: Path, delimiter: str) -> None:
    write(path, f"text{delimiter}bucket\nHi{delimiter}general\n")
    assert read_csv(path, COLUMNS) == (["text", "bucket"], [(2, ["Hi", "general"])])


def test_the_delimiter_is_the_one_with_which_the_header_has_the_expected_columns(path: Path) -> None:
    write(path, "text;bucket;a,b,c,d\nHi, there;general;\n")
    assert read_csv(path, COLUMNS)[1] == [(2, ["Hi, there", "general", ""])]


def test_a_delimiter_inside_of_quotation_marks_does_not_count(path: Path) -> None:
    write(path, '"customer, first, last";label\nMira;general\n')
    assert read_csv(path, COLUMNS)[0] == ["customer, first, last", "label"]


def test_a_first_line_that_announces_the_delimiter_is_not_a_row(path: Path) -> None:
    write(path, "sep=|\r\na,b|bucket\r\nHi|general\r\n")
    assert read_csv(path, COLUMNS) == (["a,b", "bucket"], [(2, ["Hi", "general"])])


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["Unix", "Windows", "old Mac"])
def test_rows_are_numbered_as_in_a_spreadsheet(path: Path, end: str) -> None:
    lines = ["text,bucket", '"Hello', 'there",general', "", ",", "Hi,spam", ""]
    write(path, end.join(lines))
    greeting = "Hello\rthere" if end == "\r" else "Hello\nthere"
    assert read_csv(path, COLUMNS)[1] == [(2, [greeting, "general"]), (5, ["Hi", "spam"])]


def test_spaces_after_a_delimiter_do_not_disturb_quotation_marks(path: Path) -> None:
    write(path, 'text, bucket\n"Hi, there", "general"\n')
    assert read_csv(path, COLUMNS) == (["text", "bucket"], [(2, ["Hi, there", "general"])])


def test_a_cell_may_be_longer_than_the_limit_of_the_csv_module(path: Path) -> None:
    limit = csv.field_size_limit()
    write(path, f'text,bucket\n"{"x" * (limit + 1)}",general\n')
    assert len(read_csv(path, COLUMNS)[1][0][1][0]) == limit + 1
    assert csv.field_size_limit() == limit


@pytest.mark.parametrize("row", ['"Hi "there", Mira",general', '"never closed,general\nHi,spam'])
def test_quotation_marks_that_do_not_match_are_reported(path: Path, row: str) -> None:
    write(path, f"text,bucket\nHi,general\n{row}\n")
    with pytest.raises(DatasetError, match=r"messages\.csv, row 3: the quotation marks do not match") as caught:
        read_csv(path, COLUMNS)
    assert "Mira" not in str(caught.value)


def test_a_text_that_needs_quotation_marks_is_reported(path: Path) -> None:
    write(path, "text,bucket\nHi, there,general\n")
    with pytest.raises(DatasetError, match=r"row 2 has 3 cells, but the header has 2. Put texts that contain ','"):
        read_csv(path, COLUMNS)


def test_missing_and_superfluous_cells_at_the_end_are_empty(path: Path) -> None:
    write(path, "text,bucket\nHi\nHi,spam,, \n")
    assert read_csv(path, COLUMNS)[1] == [(2, ["Hi", ""]), (3, ["Hi", "spam"])]


@pytest.mark.parametrize("text", ["", "\n\n", "\ufeff", " ,\n"])
def test_an_empty_file_is_reported(path: Path, text: str) -> None:
    write(path, text)
    with pytest.raises(DatasetError, match=r"is empty. Write the names of the columns, message and bucket"):
        read_csv(path, Columns(text="message"))


@given(
    st.lists(
        st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r")), min_size=2, max_size=2)
    )
)
def test_what_the_csv_module_writes_is_read(tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]]) -> None:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, quoting=csv.QUOTE_ALL).writerows([["text", "bucket"], *rows])
    path = write(tmp_path_factory.getbasetemp() / "generated.csv", buffer.getvalue())
    filled = [row for row in rows if any(cell.strip() for cell in row)]
    assert [cells for _, cells in read_csv(path, COLUMNS)[1]] == filled


@given(st.binary())
def test_any_file_is_read_or_rejected(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "generated.bin"
    path.write_bytes(data)
    for encoding in ("latin-1", "utf-8"):
        try:
            read_csv(path, COLUMNS, encoding)
            list(read_jsonl(path, encoding))
        except DatasetError as err:
            assert str(path) in str(err)  # noqa: PT017 - either is fine


# JSONL


def test_lines_are_numbered_and_blank_lines_skipped(path: Path) -> None:
    write(path, '\ufeff{"text": "a\u2028b"}\r\n\r\n  \n{"text": NaN}\n')
    assert list(read_jsonl(path)) == [(1, {"text": "a\u2028b"}), (4, {"text": None})]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"text": "Secret"', r"is not JSON \(column 18\). Write one whole object per line"),
        ("text,bucket", "is not JSON"),
        ('["Secret"]', "is a list. Write one object per line"),
        ('"Secret"', "is not an object. Write one object per line"),
        ("[" * 100_000, "is nested too deeply"),
        ("1" * 5000, "a number is too long"),
    ],
    ids=["incomplete", "CSV", "list", "string", "deep", "long number"],
)
def test_a_line_that_is_not_an_object_is_reported(path: Path, line: str, message: str) -> None:
    write(path, f'{{"text": "Hi"}}\n{line}\n')
    with pytest.raises(DatasetError, match=rf"messages\.csv, line 2 .*{message}") as caught:
        list(read_jsonl(path))
    assert "Secret" not in str(caught.value)
