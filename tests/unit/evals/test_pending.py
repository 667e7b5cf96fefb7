"""The file with the batches whose answers were not read yet."""

from pathlib import Path

import pytest

from triage import ConfigurationError
from triage.evals.pending import PendingBatches


@pytest.fixture
def pending(tmp_path: Path) -> PendingBatches:
    return PendingBatches(tmp_path / "new" / "answers.jsonl.batches")


def test_without_a_file_there_are_no_batches(pending: PendingBatches) -> None:
    assert pending.find(["a"]) == {}


def test_batches_are_found_by_their_questions(pending: PendingBatches) -> None:
    pending.add("msgbatch_1", ["a", "b"])
    pending.add("msgbatch_2", ["c"])
    assert PendingBatches(pending.path).find(["b", "x"]) == {"msgbatch_1": {"b"}}


def test_a_batch_remains_until_all_its_questions_are_answered(pending: PendingBatches) -> None:
    pending.add("msgbatch_1", ["a", "b"])
    pending.remove("msgbatch_1", ["a"])
    assert pending.find(["a", "b"]) == {"msgbatch_1": {"b"}}
    pending.remove("msgbatch_1", ["b"])
    assert not pending.path.exists()


def test_removing_an_unknown_batch_changes_nothing(pending: PendingBatches) -> None:
    pending.add("msgbatch_1", ["a"])
    pending.remove("msgbatch_2", ["a"])
    assert pending.find(["a"]) == {"msgbatch_1": {"a"}}


@pytest.mark.parametrize("content", ["", "[]", '{"msgbatch_1": ["a"'])
def test_a_damaged_file_is_not_overwritten(pending: PendingBatches, content: str) -> None:
    pending.path.parent.mkdir()
    pending.path.write_text(content)
    with pytest.raises(ConfigurationError, match="is damaged"):
        pending.add("msgbatch_1", ["a"])
    assert pending.path.read_text() == content
