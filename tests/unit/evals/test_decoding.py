"""Text files are decoded as the programs that people use save them, and other files are rejected with advice."""

import re
import warnings
from pathlib import Path
from typing import Any

import pytest

from triage import ConfigurationError
from triage.errors import DatasetError
from triage.evals.decoding import read_text

TEXT = "text,bucket\nGrüße,general\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "messages.csv"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_unicode_files_are_recognized(path: Path, encoding: str) -> None:
    path.write_text(TEXT, encoding)
    assert read_text(path) == TEXT


def test_other_files_are_read_as_windows_1252_with_a_warning(path: Path) -> None:
    path.write_text("text,bucket\nGrüße für 5 €,general\n", "cp1252")
    with pytest.warns(UserWarning, match=r"messages\.csv is not UTF-8, so it was read as Windows-1252"):
        assert "Grüße für 5 €" in read_text(path)


@pytest.mark.parametrize(
    ("encoding", "text"), [("cp1251", "Не работает вход в систему"), ("shift_jis", "ログインできません")]
)
def test_files_in_another_script_are_not_read_as_windows_1252(path: Path, encoding: str, text: str) -> None:
    path.write_text(f"text,bucket\n{text},general\n", encoding)
    with pytest.raises(DatasetError, match=r"is not UTF-8, .+\. Save it as UTF-8") as caught:
        read_text(path)
    assert text not in str(caught.value)
    assert text in read_text(path, encoding)


def test_a_byte_that_windows_1252_does_not_define_is_not_guessed(path: Path) -> None:
    path.write_bytes(b"text,bucket\nwhat\x81 is this,general\n")
    with pytest.raises(DatasetError, match="its encoding is unknown"):
        read_text(path)


def test_a_single_line_that_is_not_utf_8_is_reported(path: Path) -> None:
    path.write_bytes("text,bucket\nGrüße,general\n".encode() + "für,general\n".encode("cp1252"))
    with pytest.raises(DatasetError, match="line 3 is not UTF-8, although other parts of the file are"):
        read_text(path)


def test_a_byte_order_mark_is_removed_whatever_the_encoding_is(path: Path) -> None:
    path.write_text(TEXT, "utf-8-sig")
    assert read_text(path, "utf-8") == TEXT


def test_an_encoding_that_does_not_fit_is_reported(path: Path) -> None:
    path.write_text(TEXT, "utf-8")
    with pytest.raises(DatasetError, match=r"is not encoded in ascii. Pass another encoding="):
        read_text(path, "ascii")


def test_a_broken_utf_16_file_is_reported(path: Path) -> None:
    path.write_bytes(b"\xff\xfea")
    with pytest.raises(DatasetError, match="is not encoded in utf-16"):
        read_text(path)


@pytest.mark.parametrize("encoding", ["latin-l", "rot13"])
def test_an_unknown_encoding_is_a_mistake_in_the_configuration(path: Path, encoding: str) -> None:
    path.write_text(TEXT, "utf-8")
    with pytest.raises(ConfigurationError, match="is not an encoding"):
        read_text(path, encoding)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"PK\x03\x04...", "is an Excel workbook or a ZIP archive. Save it as CSV"),
        (b"\xd0\xcf\x11\xe0...", "is an Excel workbook. Save it as CSV"),
        (b"PAR1...", "is a Parquet file"),
        (b"\x1f\x8b...", "is a compressed file"),
        (b"SQLite format 3\0...", r"use Dataset.from_inbox\(\)"),
        (b"text,bucket\0", "is not a text file"),
    ],
)
def test_a_binary_file_is_rejected_with_advice(path: Path, data: bytes, message: str) -> None:
    path.write_bytes(data)
    with pytest.raises(DatasetError, match=message):
        read_text(path)


def test_a_missing_file_is_reported(path: Path) -> None:
    with pytest.raises(DatasetError, match=re.escape(f"{path}: there is no such file.")):
        read_text(path)


def test_a_directory_is_reported(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"is a directory. Pass a file in it"):
        read_text(tmp_path)


@pytest.mark.parametrize("name", ["a" * 300, "a\0b"], ids=["too long", "NUL"])
def test_a_file_that_cannot_be_read_is_reported(tmp_path: Path, name: str) -> None:
    with pytest.raises(DatasetError, match="cannot be read"):
        read_text(tmp_path / name)


def test_something_else_than_a_path_is_rejected() -> None:
    path: Any = 3
    with pytest.raises(ConfigurationError, match="must be a str or a Path, not of type int"):
        read_text(path)


def test_a_string_is_a_path_too(path: Path) -> None:
    path.write_text(TEXT, "utf-8")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_text(str(path)) == TEXT
