"""Tables and lists become examples. All rows that cannot be used are reported at once."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from triage import ConfigurationError, Conversation, Message
from triage.errors import DatasetError
from triage.evals import Dataset, Example

CONVERSATION = Conversation(id="c", messages=(Message(id="1", role="customer", text="Hi"),))


def test_a_mistake_that_several_rows_have_is_reported_once(tmp_path: Path) -> None:
    path = tmp_path / "messages.csv"
    path.write_text("text,bucket\n" + "Hi,\n" * 7 + ",spam\nHi,spam\n")
    with pytest.raises(DatasetError) as caught:
        Dataset.from_csv(path)
    assert str(caught.value) == (
        f"{path}, rows 2, 3, 4 and 4 more: the bucket is missing. Write the bucket that the message belongs to, or "
        f"delete the row.\n{path}, row 9: the text is empty. Write the customer's message, or delete the row."
    )


def test_only_the_first_kinds_of_mistakes_are_listed() -> None:
    rows = [{"text": "Hi", "bucket": "spam", "messages": [{"role": "customer"}] * number} for number in range(9)]
    for number, row in enumerate(rows):
        row["messages"] = [{"role": "customer", "text": "Hi"}] * number + [{}]
    with pytest.raises(DatasetError, match="There are 4 more problems") as caught:
        Dataset.from_rows(rows)
    assert str(caught.value).count("\n") == 5


def test_a_missing_column_is_reported_for_the_file(tmp_path: Path) -> None:
    path = tmp_path / "messages.csv"
    path.write_text("message,label\nHi,spam\n")
    with pytest.raises(DatasetError) as caught:
        Dataset.from_csv(path)
    assert str(caught.value) == (
        f"{path}: there is no column 'text' and no column 'bucket'; the columns are: message, label. "
        f'Pass text="message", bucket="label".'
    )
    assert Dataset.from_csv(path, text="message", bucket="label").counts == {"spam": 1}


def test_a_missing_value_in_a_line_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "messages.jsonl"
    path.write_text('{"text": "Hi", "bucket": "spam"}\n\n{"text": "Hi", "label": "spam"}\n')
    with pytest.raises(DatasetError, match=r"messages\.jsonl, line 3: there is no column 'bucket'.*bucket=\"label\""):
        Dataset.from_jsonl(path)


@pytest.mark.parametrize(("name", "text"), [("a.csv", "text,bucket\n"), ("a.jsonl", "\n")])
def test_a_file_without_messages_is_reported(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(DatasetError, match=rf"{name} contains no messages"):
        Dataset.load(path)


def test_repeated_ids_are_reported(tmp_path: Path) -> None:
    path = tmp_path / "messages.csv"
    path.write_text("id,text,bucket\n1042,Hi,spam\n7,Hi,spam\n1042,Hi,spam\n")
    with pytest.raises(DatasetError, match=r"rows 2 and 4: the id '1042' occurs repeatedly.*rename it 'group'"):
        Dataset.from_csv(path)


# pandas


def test_a_frame_is_read_whatever_its_index_is() -> None:
    frame = pd.DataFrame({"Text": ["Hi", "Ho"], "bucket": ["Spam", "general"], 2026: [1, 2]}, index=[5, 5])
    dataset = Dataset.from_pandas(frame)
    assert [(example.text, example.bucket) for example in dataset] == [("Hi", "spam"), ("Ho", "general")]
    assert dataset[1].fields == {"2026": "2"}
    assert dataset[1].conversation.id == "row-1"


@pytest.mark.parametrize("missing", [np.nan, None, pd.NA, pd.NaT])
def test_missing_values_of_a_frame_are_reported(missing: Any) -> None:
    frame = pd.DataFrame({"text": ["Hi", missing, "Hi"], "bucket": ["spam", "spam", missing]})
    with pytest.raises(
        DatasetError, match=r"frame, index 1: the text is empty.*\nframe, index 2: the bucket is missing"
    ):
        Dataset.from_pandas(frame)


def test_labels_may_be_categories_but_not_numbers() -> None:
    frame = pd.DataFrame({"text": ["Hi"], "bucket": pd.Categorical(["spam"])})
    assert Dataset.from_pandas(frame).counts == {"spam": 1}
    with pytest.raises(DatasetError, match="index 0: the bucket is of type int"):
        Dataset.from_pandas(pd.DataFrame({"text": ["Hi"], "bucket": [3]}))


def test_ids_that_pandas_turned_into_floats_are_restored() -> None:
    frame = pd.DataFrame({"text": ["Hi", "Ho"], "bucket": ["spam", "spam"], "id": [1042, None]})
    assert [example.conversation.id for example in Dataset.from_pandas(frame)] == ["1042", "row-1"]


def test_a_frame_needs_the_columns() -> None:
    with pytest.raises(DatasetError, match=r"tickets: there is no column 'bucket'"):
        Dataset.from_pandas(pd.DataFrame({"text": ["Hi"]}), name="tickets")


def test_only_frames_are_read_as_frames() -> None:
    frame: Any = [{"text": "Hi", "bucket": "spam"}]
    with pytest.raises(ConfigurationError, match=r"from_pandas\(\) takes a DataFrame, not an object of type list"):
        Dataset.from_pandas(frame)


# Rows


def test_rows_may_be_dictionaries_pairs_or_examples() -> None:
    example = Example(CONVERSATION, "Billing")
    rows: list[Any] = [
        {"text": "Hi", "bucket": "spam"},
        ("Ho", "spam"),
        ["Hu", "spam"],
        (CONVERSATION, "spam"),
        example,
    ]
    dataset = Dataset.from_rows(iter(rows[:4]))
    assert [example.text for example in dataset] == ["Hi", "Ho", "Hu", "Hi"]
    assert [example.conversation.id for example in dataset] == ["row-0", "row-1", "row-2", "c"]
    assert Dataset.from_rows([example])[0] is example


def test_pairs_do_not_depend_on_the_names_of_columns() -> None:
    assert len(Dataset.from_rows([("Hi", "spam"), {"message": "Ho", "bucket": "spam"}], text="message")) == 2


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("Hi", r"Item 1 is of type str. Write a dictionary"),
        (("Hi", "spam", "x"), r"Item 1 has 3 parts. Write a pair: \('…', 'billing'\)"),
    ],
)
def test_other_items_are_rejected(row: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Dataset.from_rows([("Hi", "spam"), row])


def test_a_list_without_items_is_reported() -> None:
    with pytest.raises(DatasetError, match="rows contains no messages"):
        Dataset.from_rows([])


def test_many_rows_need_little_memory(tmp_path: Path) -> None:
    import tracemalloc

    path = tmp_path / "messages.csv"
    path.write_text("text,bucket\n" + "".join(f"{number} {'x' * 300},spam\n" for number in range(10_000)))
    tracemalloc.start()
    try:
        dataset = Dataset.from_csv(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(dataset) == 10_000
    assert peak < 100_000_000
