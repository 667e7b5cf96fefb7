"""Two examples are the same if they read alike."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triage import Conversation, Message
from triage.evals import Example
from triage.evals.similarity import fingerprint_text, normalize_text
from triage.models import Role


def build_example(*turns: tuple[Role, str], subject: str = "") -> Example:
    messages = tuple(Message(id=str(number), role=role, text=text) for number, (role, text) in enumerate(turns))
    return Example(Conversation(id="1", subject=subject, messages=messages), "general")


@pytest.mark.parametrize(
    ("text", "normalized"),
    [
        ("  Where IS\n my   order?! ", "where is my order"),
        ("Order #4711-b, from 2026", "order 0 b from 0"),
        ("STRASSE / Straße / Straße", "strasse strasse strasse"),
        ("file_name", "file name"),
        ("???  !", "??? !"),
        ("👍", "👍"),
        ("", ""),
    ],
)
def test_case_white_space_punctuation_and_numbers_do_not_count(text: str, normalized: str) -> None:
    assert normalize_text(text) == normalized


def test_different_emojis_are_different_texts() -> None:
    assert normalize_text("👍") != normalize_text("👎")


@given(st.text(st.characters()))
def test_any_text_can_be_normalized(text: str) -> None:
    assert normalize_text(text) == normalize_text(f" {text}\n")


def test_the_context_of_an_answer_counts() -> None:
    asked, other = ("agent", "Shall we cancel it?"), ("agent", "Did you get it?")
    first, second = (build_example(turn, ("customer", "Yes")) for turn in (asked, other))  # type: ignore[arg-type]
    assert fingerprint_text(first) != fingerprint_text(second)


def test_the_subject_counts_and_notes_do_not() -> None:
    plain = build_example(("customer", "Hi"))
    assert fingerprint_text(plain) == fingerprint_text(build_example(("customer", "hi!"), ("note", "A new customer")))
    assert fingerprint_text(plain) != fingerprint_text(build_example(("customer", "Hi"), subject="Refund"))
