"""`NearestExamples` finds the messages that resemble a conversation most, and never the conversation itself."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.messages import write_conversation
from triage import Bucket, Buckets, ConfigurationError, Conversation, Message
from triage.classifiers import LabeledText, NearestExamples
from triage.errors import DatasetError
from triage.evals.dataset import Dataset
from triage.evals.example import Example

BUCKETS = Buckets([Bucket("urgent", "Outages"), Bucket("billing", "Money"), Bucket("general", "Else")])
EXAMPLES = [
    ("Where is my invoice?", "billing"),
    ("The invoice for March is wrong, where is the right one?", "billing"),
    ("The invoice page is down", "urgent"),
    ("How do I change the language?", "general"),
]


def find(text: str, examples: Any = EXAMPLES, *, subject: str = "", **options: int) -> list[tuple[str, str]]:
    found = NearestExamples(examples, **options).find(write_conversation(text, subject), BUCKETS)
    return [(example.text, example.bucket) for example in found]


def test_the_nearest_example_of_each_bucket_is_found_and_the_nearest_comes_first() -> None:
    assert find("where is my latest invoice") == [EXAMPLES[0], EXAMPLES[2], EXAMPLES[3]]
    assert find("change the invoice to my language") == [EXAMPLES[3], EXAMPLES[2], EXAMPLES[0]]


def test_several_examples_of_a_bucket_are_found() -> None:
    assert set(find("where is my latest invoice", per_bucket=2)) == set(EXAMPLES)


def test_the_limit_leaves_out_the_least_similar_examples() -> None:
    assert find("where is my latest invoice", limit=1) == [EXAMPLES[0]]


def test_words_with_typing_errors_are_recognized() -> None:
    assert find("chnage langauge", limit=1) == [EXAMPLES[3]]


def test_the_subject_counts() -> None:
    assert find("please", subject="change language", limit=1) == [EXAMPLES[3]]


@pytest.mark.parametrize("text", ["Where is my invoice?", "where is  MY invoice?\n"])
def test_the_message_itself_is_never_an_example(text: str) -> None:
    assert find(text)[0] == EXAMPLES[1]


def test_a_message_with_a_subject_is_never_its_own_example() -> None:
    dataset = Dataset([Example(write_conversation("Nothing works", subject="Help"), "urgent")])
    assert find("Nothing works", dataset, subject="Help") == []
    assert find("Nothing works", dataset, subject="Hi") == [("Help\n\nNothing works", "urgent")]


def test_no_message_of_the_turn_is_an_example() -> None:
    messages = [Message(id=str(n), role="customer", text=text) for n, (text, _) in enumerate(EXAMPLES[:2])]
    conversation = Conversation(id="1", messages=tuple(messages))
    found = NearestExamples(EXAMPLES).find(conversation, BUCKETS)
    assert "billing" not in [example.bucket for example in found]


def test_a_message_that_occurs_in_several_buckets_reveals_none() -> None:
    assert find("Hello there", [("Hello there", "billing"), ("hello there", "general")]) == []


def test_examples_of_unknown_buckets_are_left_out() -> None:
    assert find("where is it", [("Where is my parcel?", "shipping"), ("Where is my invoice?", "Billing")]) == [
        ("Where is my invoice?", "billing")
    ]


@pytest.mark.parametrize("text", ["", "\N{SNOWMAN}"])
def test_an_example_without_anything_in_common_is_not_found(text: str) -> None:
    assert find(text) == []


@given(text=st.text(), examples=st.lists(st.tuples(st.text(), st.sampled_from(BUCKETS.names)), max_size=5))
def test_any_text_gets_at_most_one_example_of_each_bucket(text: str, examples: list[tuple[str, str]]) -> None:
    usable = [(example, bucket) for example, bucket in examples if example.strip()]
    found = find(text, [*EXAMPLES, *usable])
    buckets = [bucket for _, bucket in found]
    assert len(set(buckets)) == len(buckets)
    assert set(found) <= {*EXAMPLES, *usable}


def test_a_message_of_two_megabytes_is_compared_by_its_beginning_and_end() -> None:
    assert find("language " + "\N{SNOWMAN}" * 2_000_000, limit=1) == [EXAMPLES[3]]


# Description


def test_the_description_contains_no_text() -> None:
    nearest = NearestExamples(EXAMPLES, per_bucket=2, limit=6)
    assert nearest.describe().startswith("4 messages, per_bucket=2, limit=6, hash='")
    assert repr(nearest) == f"NearestExamples({nearest.describe()})"


def test_the_description_changes_with_the_texts_the_labels_and_the_arguments() -> None:
    relabeled = [*EXAMPLES[:-1], (EXAMPLES[-1][0], "urgent")]
    reworded = [*EXAMPLES[:-1], (EXAMPLES[-1][0] + "!", EXAMPLES[-1][1])]
    sources = [
        *(NearestExamples(examples) for examples in (EXAMPLES, relabeled, reworded)),
        *(NearestExamples(EXAMPLES, per_bucket=2), NearestExamples(EXAMPLES, limit=2)),
    ]
    assert len({source.describe() for source in sources}) == len(sources)
    assert NearestExamples(list(EXAMPLES)).describe() == sources[0].describe()


# Mistakes


@pytest.mark.parametrize("option", ["per_bucket", "limit"])
def test_numbers_below_one_are_rejected(option: str) -> None:
    with pytest.raises(ConfigurationError, match=f"NearestExamples: {option} must be at least 1, not 0"):
        NearestExamples(EXAMPLES, **{option: 0})


@pytest.mark.parametrize("examples", [[], [("?", "billing")]])
def test_examples_without_words_are_rejected(examples: list[tuple[str, str]]) -> None:
    with pytest.raises(DatasetError, match="The examples contain no words"):
        NearestExamples(examples)


def test_an_empty_example_is_rejected() -> None:
    with pytest.raises(DatasetError, match=r"examples\[1\]: the text is empty"):
        NearestExamples([LabeledText("Hello", "general"), LabeledText("", "general")])


@pytest.mark.usefixtures("no_scikit_learn")
def test_without_scikit_learn_the_error_says_what_to_install() -> None:
    with pytest.raises(ConfigurationError, match=r"^NearestExamples needs scikit-learn: pip install 'chat-triage\[loc"):
        NearestExamples(EXAMPLES)
