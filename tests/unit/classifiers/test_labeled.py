"""Labeled texts are read from pairs and objects, and mistakes are reported with their position, never their text."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.messages import write_conversation
from triage import Bucket, Buckets, ConfigurationError
from triage.classifiers.labeled import LabeledText, normalize_text, normalize_texts, read_examples
from triage.errors import DatasetError
from triage.evals.example import Example

BUCKETS = Buckets([Bucket("billing", "Money"), Bucket("general", "Else")])


def test_pairs_and_objects_are_read() -> None:
    example = Example(write_conversation("I was charged twice", subject="Help"), "billing")
    assert read_examples([("Hello", "general"), example]) == [
        LabeledText("Hello", "general"),
        LabeledText("Help\n\nI was charged twice", "billing"),
    ]


def test_a_generator_and_lists_are_read() -> None:
    rows: Any = (row for row in [["Hello", "general"]])
    assert read_examples(rows) == [LabeledText("Hello", "general")]


def test_the_case_of_a_bucket_is_ignored() -> None:
    assert read_examples([("Hello", " General ")]) == read_examples([("Hello", "GENERAL")], BUCKETS)


def test_equal_texts_of_a_bucket_count_once() -> None:
    examples = read_examples([("Hi  there", "general"), ("hi\nTHERE ", "general"), ("hi there", "billing")])
    assert examples == [LabeledText("Hi  there", "general"), LabeledText("hi there", "billing")]


@pytest.mark.parametrize("examples", ["text", b"text", {"text": "billing"}, None, 7, LabeledText])
def test_anything_but_a_collection_is_rejected(examples: Any) -> None:
    with pytest.raises(
        ConfigurationError, match=r"examples must be a list of labeled messages, not .* Pass a data set"
    ):
        read_examples(examples)


@pytest.mark.parametrize("example", ["secret", ("secret",), ("secret", 3), (b"secret", "billing"), None, BUCKETS])
def test_anything_but_a_labeled_text_is_rejected(example: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^examples\[1\] must have a text and a bucket") as caught:
        read_examples([("Hello", "general"), example])
    assert "secret" not in str(caught.value)


def test_an_empty_text_is_rejected() -> None:
    with pytest.raises(DatasetError, match=r"^examples\[0\]: the text is empty"):
        read_examples([(" \n", "billing")])


@pytest.mark.parametrize("bucket", ["", "  ", "I was charged secretly twice."])
def test_a_text_in_place_of_a_bucket_is_rejected_without_being_repeated(bucket: str) -> None:
    with pytest.raises(DatasetError, match=r"^examples\[0\]: its bucket is not the name of one") as caught:
        read_examples([("billing", bucket)])
    assert "secret" not in str(caught.value)


def test_an_unknown_bucket_is_rejected() -> None:
    with pytest.raises(DatasetError, match=r"^examples\[0\]: its bucket is not one of billing, general"):
        read_examples([("Hello", "urgent")], BUCKETS)


def test_a_labeled_text_does_not_show_its_text() -> None:
    assert repr(LabeledText("secret", "billing")) == "LabeledText(bucket='billing')"


def test_the_texts_of_a_conversation_are_those_of_its_turn() -> None:
    assert normalize_texts(write_conversation("Charged  TWICE", subject="Help")) == {
        "help charged twice",
        "charged twice",
    }


@given(st.text())
def test_normalizing_twice_changes_nothing_more(text: str) -> None:
    once = normalize_text(normalize_text(text))
    assert normalize_text(once) == once
