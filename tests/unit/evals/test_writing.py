"""What is written can be read again."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.evals.test_rows import EXAMPLES
from triage import Conversation, Customer, Message
from triage.errors import DatasetError
from triage.evals import Dataset, Example


@given(st.lists(EXAMPLES, min_size=1, max_size=5, unique_by=lambda example: example.conversation.id))
def test_jsonl_preserves_everything(tmp_path_factory: pytest.TempPathFactory, examples: list[Example]) -> None:
    path = tmp_path_factory.getbasetemp() / "generated.jsonl"
    Dataset(examples).to_jsonl(path)
    assert list(Dataset.from_jsonl(path)) == examples


def test_jsonl_is_readable(tmp_path: Path) -> None:
    path = tmp_path / "messages.jsonl"
    Dataset.from_rows([("Grüße\nMira", "general"), ("Hi", "spam")]).to_jsonl(path)
    assert path.read_bytes().decode() == (
        '{"id": "row-0", "text": "Grüße\\nMira", "bucket": "general"}\n'
        '{"id": "row-1", "text": "Hi", "bucket": "spam"}\n'
    )


def test_an_existing_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "messages.jsonl"
    path.write_text("x" * 1000)
    Dataset.from_rows([("Hi", "spam")]).to_jsonl(str(path))
    assert len(Dataset.from_jsonl(path)) == 1


def test_a_file_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="cannot be written: No such file or directory"):
        Dataset([]).to_jsonl(tmp_path / "missing" / "messages.jsonl")


def test_a_frame_has_a_column_for_each_kind_of_value() -> None:
    turns = (Message(id="1", role="customer", text="Hi"), Message(id="2", role="customer", text="Anyone?"))
    dataset = Dataset(
        [
            Example(Conversation(id="a", subject="Refund", messages=turns[:1]), "billing", fields={"language": "en"}),
            Example(Conversation(id="b", customer=Customer(id="7"), messages=turns), "general", "7", {"text": "x"}),
        ]
    )
    frame = dataset.to_pandas()
    assert list(frame.columns) == [
        "id",
        "text",
        "subject",
        "bucket",
        "language",
        "messages",
        "customer",
        "group",
        "fields.text",
    ]
    assert list(frame["text"]) == ["Hi", "Hi\n\nAnyone?"]
    assert list(frame["fields.text"].fillna("")) == ["", "x"]
    again = Dataset.from_pandas(frame)
    assert [example.conversation for example in again] == [example.conversation for example in dataset]
    assert [example.group for example in again] == [None, "7"]


def test_an_empty_data_set_is_an_empty_frame() -> None:
    assert Dataset([]).to_pandas().empty
