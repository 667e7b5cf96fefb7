"""The lines of a recording are complete, readable and free of secrets."""

import json
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.recordings import SECRET, ask_about
from triage import Usage, Verdict
from triage.classifiers.recorded_answer import RecordedAnswer, create_answer, read_answer, write_answer
from triage.models.verdict import FALLBACK_REASONS

fractions = st.floats(0, 1)
texts = st.text()
parts = st.builds(Verdict, bucket=texts, confidence=fractions, reason=texts)
verdicts = st.builds(
    Verdict,
    bucket=texts,
    confidence=fractions,
    reason=texts,
    extra=st.dictionaries(texts, texts, max_size=3),
    fallback_reason=st.none() | st.sampled_from(FALLBACK_REASONS),
    retry_after=st.none() | st.floats(0, 1e6),
    model=st.none() | texts,
    usage=st.builds(Usage, input_tokens=st.integers(0, 10**9)),
    cost_usd=st.none() | st.floats(0, 1e6),
    latency=st.floats(0, 1e6),
    prompt_version=st.none() | texts,
    parts=st.lists(parts, max_size=3).map(tuple),
    allow_close=st.booleans(),
)


def create(text: str = "Hello", verdict: Verdict | None = None, **customer: str) -> RecordedAnswer:
    return create_answer("key", 0, verdict or Verdict(bucket="billing"), ask_about(text, **customer))


# Writing and reading


@given(verdicts, texts, st.integers(0, 99))
def test_any_answer_is_one_line_that_reads_as_the_same_answer(verdict: Verdict, text: str, sample: int) -> None:
    answer = create_answer("key", sample, verdict, ask_about(text, id="42", email="mira@example.com"))
    line = write_answer(answer)
    assert line.isprintable()
    assert read_answer(line.encode()) == answer
    assert answer.verdict == verdict


def test_half_an_emoji_of_a_model_does_not_make_the_line_unreadable() -> None:
    verdict = Verdict(bucket="billing", reason="\ud83d!", extra={"language": "\ud83d"})
    answer = read_answer(write_answer(create(verdict=verdict)).encode())
    assert (answer.verdict.reason, answer.verdict.extra) == ("?!", {"language": "?"})


def test_a_line_has_the_text_first_and_only_fields_that_differ_from_their_defaults() -> None:
    verdict = Verdict(bucket="billing", confidence=0.9, model="claude-haiku-5-5", replayed=True)
    line = write_answer(create_answer("6f1", 0, verdict, ask_about("Für 20 €!")))
    assert line == (
        '{"text": "Für 20 €!", '
        '"verdict": {"bucket": "billing", "confidence": 0.9, "model": "claude-haiku-5-5"}, "key": "6f1"}'
    )
    assert json.loads(write_answer(create_answer("6f1", 2, verdict, ask_about())))["sample"] == 2


def test_characters_that_a_reviewer_cannot_see_are_escaped() -> None:
    line = write_answer(create(verdict=Verdict(bucket="billing", reason="a\u202eb\u2028c\U000e0041d😀")))
    assert r'"reason": "a\u202eb\u2028c\udb40\udc41d😀"' in line


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"", "it is not JSON"),
        (b'{"key": "a"', "it is not JSON"),
        (b"[" * 100_000, "it is not JSON"),
        (b'{"key": "\xff"}', "it is not JSON"),
        (b'"text"', "the line: Input should be an object"),
        (b'{"verdict": {"bucket": "a"}}', "key: Field required"),
        (b'{"key": "a"}', "verdict: Field required"),
        (b'{"key": "a", "verdict": {"bucket": "a"}, "sample": -1}', "sample: Input should be greater than or equal to"),
        (b'{"key": "a", "verdict": {"bucket": "a", "confidence": 9}}', "verdict.confidence: Input should be less than"),
        (b'{"key": "a", "verdict": {"bucket": "a", "confidense": 1}}', "verdict.confidense: Extra inputs are not"),
        (b'{"key": "a", "verdict": {"bucket": "a", "parts": [{}]}}', "verdict.parts.0.bucket: Field required"),
    ],
)
def test_a_line_that_is_not_an_answer_is_rejected_with_the_reason(line: bytes, problem: str) -> None:
    with pytest.raises(ValueError, match=f"^{problem}"):
        read_answer(line)


@given(st.binary())
def test_any_other_line_is_rejected(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"it is not JSON|the line: |Field required"):
        read_answer(line)


# The text


@given(texts)
def test_the_text_is_short(text: str) -> None:
    assert len(create(text * 50).text) <= 201


def test_a_long_text_ends_with_an_ellipsis() -> None:
    assert create("word " * 40).text == ("word " * 40).strip()
    assert create("word " * 41).text == ("word " * 40).strip() + "…"
    assert create("字" * 201).text == "字" * 200 + "…"


def test_an_address_at_the_end_of_a_long_text_is_not_cut_in_two() -> None:
    text = create("x" * 190 + " mira@example.com is my address").text
    assert text == "x" * 190 + "…"


# Secrets


def test_secrets_are_removed_from_everything_that_a_model_or_a_customer_wrote() -> None:
    part = Verdict(bucket="a", reason=SECRET)
    verdict = Verdict(bucket="a", reason=f"The key {SECRET}.", extra={"quote": SECRET}, parts=(part,))
    answer = create(f"My key is {SECRET}.", verdict)
    assert SECRET not in write_answer(answer)
    assert (answer.text, answer.verdict.reason) == ("My key is [secret].", "The key [secret].")
    assert answer.verdict.extra == {"quote": "[secret]"}


def test_a_secret_at_the_end_of_a_long_text_is_removed() -> None:
    assert "sk-ant" not in create("x " * 90 + SECRET + " and so on" * 20).text


# Customers


@pytest.mark.parametrize("customer", ["42", "mira@example.com", "MIRA@Example.com", " mira@example.com "])
def test_an_answer_concerns_the_customer_who_asked(customer: str) -> None:
    assert create(id="42", email="Mira@example.com").concerns(customer)


@pytest.mark.parametrize("customer", ["4", "43", "jonas@example.com", "mira", "example.com", "hello", ""])
def test_an_answer_does_not_concern_another_customer(customer: str) -> None:
    assert not create(id="42", email="mira@example.com").concerns(customer)
    assert not create().concerns(customer)


def test_the_case_of_an_id_matters() -> None:
    assert not create(id="Ab").concerns("aB")


def test_a_line_does_not_contain_the_id_and_the_address_of_the_customer() -> None:
    line = write_answer(create(id="visitor-42", email="mira@example.com"))
    assert "visitor-42" not in line
    assert "mira" not in line
    assert len(json.loads(line)["customers"]) == 2


@pytest.mark.parametrize(
    "fields",
    [
        {"reason": "Mira@Example.com wants a refund."},
        {"reason": "First line.\nmira@example.com."},
        {"extra": {"address": "<mira@example.com>"}},
        {"parts": (Verdict(bucket="a", reason="(mira@example.com)"),)},
    ],
)
def test_an_answer_concerns_a_customer_whose_address_it_quotes(fields: Any) -> None:
    assert create(verdict=Verdict(bucket="a", **fields), email="jonas@example.com").concerns("mira@example.com")
    assert create("Ask MIRA@example.com").concerns("mira@example.com")


@pytest.mark.parametrize(
    "text", ["amira@example.com", "x.mira@example.com", "mira@example.com.au", "mira@example.comic"]
)
def test_an_answer_does_not_concern_a_customer_with_a_similar_address(text: str) -> None:
    assert not create(f"Ask {text}!").concerns("mira@example.com")


@given(st.text(string.printable))
def test_any_customer_can_be_looked_for(customer: str) -> None:
    assert create(id=customer).concerns(customer) is bool(customer)


# Comparison


def test_answers_that_differ_only_in_latency_are_the_same() -> None:
    def build(latency: float, **fields: Any) -> RecordedAnswer:
        part = Verdict(bucket="a", latency=latency)
        return create(verdict=Verdict(bucket="a", latency=latency, parts=(part,), **fields))

    assert build(1).is_same_as(build(2))
    assert not build(1).is_same_as(build(1, confidence=0.5))
    assert not build(1).is_same_as(create("Another text"))


def test_answers_are_in_the_order_of_their_texts() -> None:
    answers = [
        create_answer(key, sample, Verdict(bucket="a"), ask_about(text))
        for text, key, sample in [("b", "2", 1), ("b", "1", 0), ("a", "9", 0), ("b", "2", 0)]
    ]
    ordered = sorted(answers, key=lambda answer: answer.order)
    assert [(answer.text, *answer.id) for answer in ordered] == [
        ("a", "9", 0),
        ("b", "1", 0),
        ("b", "2", 0),
        ("b", "2", 1),
    ]
