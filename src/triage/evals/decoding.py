"""Read text files, whatever program saved them."""

import os
import warnings
from pathlib import Path
from typing import TypeAlias

from triage.errors import ConfigurationError, DatasetError

PathLike: TypeAlias = str | os.PathLike[str]

_BINARY_FORMATS = {
    b"PK\x03\x04": "an Excel workbook or a ZIP archive",
    b"\xd0\xcf\x11\xe0": "an Excel workbook",
    b"PAR1": "a Parquet file",
    b"\x1f\x8b": "a compressed file",
}
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_MOST_WESTERN = 0.2
"""Texts in Western European languages have fewer letters with accents than this share of their characters."""


def to_path(path: PathLike) -> Path:
    """Return the path of a file.

    Args:
        path: The path, as a caller passed it.

    Raises:
        ConfigurationError: `path` is not a path.
    """
    if not isinstance(path, str | os.PathLike):  # pyright: ignore[reportUnnecessaryIsInstance] - not everyone checks types
        raise ConfigurationError(f"The path of a file must be a str or a Path, not of type {type(path).__name__}.")
    return Path(path)


def read_text(path: PathLike, encoding: str | None = None) -> str:
    """Read a text file.

    Args:
        path: The file.
        encoding: The encoding. Default: UTF-8, UTF-16 if the file begins with a byte order mark, or else, with a
            warning, Windows-1252.

    Raises:
        ConfigurationError: `path` is not a path, or there is no such encoding.
        DatasetError: The file cannot be read, is not a text file, or has another encoding.
    """
    try:
        data = to_path(path).read_bytes()
    except FileNotFoundError:
        raise DatasetError(f"{path}: there is no such file.") from None
    except IsADirectoryError:
        raise DatasetError(f"{path} is a directory. Pass a file in it.") from None
    except (OSError, ValueError) as err:  # ValueError: a NUL in the path
        raise DatasetError(f"{path} cannot be read: {getattr(err, 'strerror', None) or err}.") from None
    text = _guess_encoding(data, path) if encoding is None else _decode(data, encoding, path)
    return text.removeprefix("\ufeff")  # a byte order mark


def _decode(data: bytes, encoding: str, path: PathLike) -> str:
    try:
        return data.decode(encoding)
    except LookupError:
        raise ConfigurationError(f"encoding={encoding!r} is not an encoding. Write 'cp1252', for example.") from None
    except UnicodeError:
        raise DatasetError(f"{path} is not encoded in {encoding}. Pass another encoding=.") from None


def _guess_encoding(data: bytes, path: PathLike) -> str:
    if data.startswith(_UTF16_MARKS):
        return _decode(data, "utf-16", path)
    _check_binary(data, path)
    try:
        return data.decode()
    except UnicodeDecodeError as err:
        line = data.count(b"\n", 0, err.start) + 1
    return _decode_western(data, path, line)


def _check_binary(data: bytes, path: PathLike) -> None:
    if data.startswith(b"SQLite format 3\0"):
        raise DatasetError(f"{path} is a SQLite file. If it is an inbox, use Dataset.from_inbox().")
    for magic, kind in _BINARY_FORMATS.items():
        if data.startswith(magic):
            raise DatasetError(
                f"{path} is {kind}. Save it as CSV (UTF-8), or read it with pandas: Dataset.from_pandas(frame)."
            )
    if b"\0" in data:
        raise DatasetError(f"{path} is not a text file. Save the messages as CSV (UTF-8).")


def _decode_western(data: bytes, path: PathLike, line: int) -> str:
    """Decode a file as Windows-1252, unless that is obviously wrong, and warn about the guess."""
    foreign = [char for char in data.decode("utf-8", "surrogateescape") if not char.isascii()]
    advice = "Save it as UTF-8 (in Excel: CSV UTF-8), or pass its encoding, such as encoding='cp1252'."
    if any(not "\udc80" <= char <= "\udcff" for char in foreign):
        raise DatasetError(f"{path}, line {line} is not UTF-8, although other parts of the file are. {advice}")
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError:
        text = ""
    if not text or len(foreign) > _MOST_WESTERN * len(text):
        raise DatasetError(f"{path} is not UTF-8, and its encoding is unknown. {advice}")
    warnings.warn(
        f"{path} is not UTF-8, so it was read as Windows-1252. {advice}", stacklevel=7
    )  # the caller of from_csv()
    return text
