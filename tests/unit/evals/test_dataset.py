"""A data set is a sequence of examples that can be read from many sources."""

from pathlib import Path
from typing import Any

import pytest

from tests.unit.evals.examples import build_dataset
from triage import ConfigurationError
from triage.errors import DatasetError
from triage.evals import Dataset

DATASET = build_dataset(("Hi", "general"), ("Secret", "spam", "a@b.c"), ("Ho", "general"))


def test_a_data_set_is_a_sequence() -> None:
    assert len(DATASET) == 3
    assert [example.text for example in DATASET] == ["Hi", "Secret", "Ho"]
    assert DATASET[-1].text == "Ho"
    assert [example.text for example in DATASET[1:]] == ["Secret", "Ho"]
    assert DATASET.counts == {"general": 2, "spam": 1}


def test_the_repr_shows_no_customer_text() -> None:
    assert repr(DATASET) == "Dataset('dataset', 3 examples: 'general': 2 and 'spam': 1)"
    assert "Secret" not in repr(list(DATASET))
    assert "a@b.c" not in repr(list(DATASET))
    assert (
        repr(build_dataset(("x", "I lost my card 4711"))) == "Dataset('dataset', 1 example: a text of 19 characters: 1)"
    )


# Loading


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "Message;bucket\nHi;spam\n"),
        ("a.TSV", "message\tbucket\nHi\tspam\n"),
        ("a.txt", "message,bucket\nHi,spam\n"),
        ("a.jsonl", '{"message": "Hi", "bucket": "spam"}'),
        ("a.ndjson", '{"message": "Hi", "bucket": "spam"}'),
    ],
)
def test_load_chooses_the_format_by_the_suffix(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text, "utf-16")
    dataset = Dataset.load(path, encoding="utf-16", text="message")
    assert (dataset.name, dataset.counts, dataset[0].text) == (name, {"spam": 1}, "Hi")
    assert Dataset.load(str(path), name="tickets", text="message").name == "tickets"


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("a.xlsx", r"Save it as CSV UTF-8, or use from_pandas\(pandas.read_excel\(path\)\)"),
        ("a.json", r"Use from_pandas\(\) and pandas.read_json"),
        ("a.db", r"use from_inbox\(\)"),
        ("a", r"Save it as .csv or .jsonl, or call from_csv\(\) or from_jsonl\(\)"),
    ],
)
def test_other_suffixes_are_rejected_with_advice(name: str, advice: str) -> None:
    with pytest.raises(DatasetError, match=advice):
        Dataset.load(name)


def test_load_needs_a_path() -> None:
    path: Any = DATASET
    with pytest.raises(ConfigurationError, match="must be a str or a Path, not of type Dataset"):
        Dataset.load(path)


def test_a_file_from_excel_in_windows_1252_can_be_loaded(tmp_path: Path) -> None:
    path = tmp_path / "Nachrichten.csv"
    path.write_bytes('Text;Bucket\r\n"Grüße,\r\nMira";General \r\n;\r\n'.encode("cp1252"))
    with pytest.warns(UserWarning, match="Windows-1252"):
        (example,) = Dataset.load(path)
    assert (example.text, example.bucket) == ("Grüße,\nMira", "general")


# Selecting


def test_a_filter_keeps_the_name() -> None:
    filtered = DATASET.filter(lambda example: example.bucket == "general")
    assert (filtered.name, len(filtered)) == ("dataset", 2)


def test_a_sample_is_random_and_keeps_the_order() -> None:
    many = Dataset.from_rows([(chr(97 + number), "spam") for number in range(26)])
    samples = {"".join(example.text for example in many.sample(5, seed=seed)) for seed in range(5)}
    assert len(samples) > 1
    assert all(list(sample) == sorted(sample) and len(sample) == 5 for sample in samples)
    assert len({"".join(example.text for example in many.sample(5)) for _ in range(3)}) == 1
    assert many.sample(26).counts == {"spam": 26}


@pytest.mark.parametrize("count", [0, -1, 4])
def test_a_sample_cannot_be_larger_than_the_data_set(count: int) -> None:
    with pytest.raises(ConfigurationError, match="must be between 1 and the number of examples, 3"):
        DATASET.sample(count)
