"""Write examples so that they can be read again."""

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

from triage.errors import DatasetError
from triage.evals.decoding import PathLike, to_path
from triage.evals.example import Example
from triage.evals.rows import build_row

if TYPE_CHECKING:
    import pandas as pd


def write_jsonl(examples: Iterable[Example], path: PathLike) -> None:
    """Write one JSON object per line, in UTF-8. An existing file is replaced.

    Args:
        examples: The examples.
        path: The file.

    Raises:
        DatasetError: The file cannot be written.
    """
    try:
        with to_path(path).open("w", encoding="utf-8", newline="\n") as file:
            for example in examples:
                file.write(json.dumps(build_row(example), ensure_ascii=False) + "\n")
    except OSError as err:
        raise DatasetError(f"{path} cannot be written: {err.strerror}.") from None


def build_frame(examples: Iterable[Example]) -> "pd.DataFrame":
    """Return the examples as a table for your own analysis. Transcripts are JSON.

    Args:
        examples: The examples.
    """
    import pandas as pd

    rows: list[dict[str, object]] = []
    for example in examples:
        row = build_row(example)
        fields: dict[str, str] = row.pop("fields", {})
        cells: dict[str, object] = {"id": row["id"], "text": example.text}
        for name, value in row.items():
            cells[name] = value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        rows.append(cells | {f"fields.{name}" if name in cells else name: value for name, value in fields.items()})
    return pd.DataFrame(rows)
