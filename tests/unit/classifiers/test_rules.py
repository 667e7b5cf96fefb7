"""Keyword rules: whole words, in any case and with any accents, and an honest confidence."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triage import Bucket, Buckets, ConfigurationError, Conversation, Message, Verdict, default_buckets
from triage.classifiers import Rules

BUCKETS = Buckets(default_buckets())


def ask(rules: Rules, text: str, subject: str = "") -> Verdict:
    message = Message(id="1", role="customer", text=text)
    return rules.classify(Conversation(id="1", subject=subject, messages=(message,)), BUCKETS)


@pytest.mark.parametrize(
    ("text", "bucket"),
    [
        ("Our whole site is DOWN, this is an outage!", "urgent"),
        ("I don\N{RIGHT SINGLE QUOTATION MARK}t recognise this payment, was my account hacked?", "urgent"),
        ("Please refund my last invoice.", "billing"),
        ("Bitte um Erstattung, die Rechnung ist falsch.", "billing"),
        ("Es gibt eine STÖRUNG, nichts geht", "urgent"),
        ("We offer SEO and cheap backlinks, click here", "spam"),
        ("How do I export my contacts?", "general"),
        ("My feet hurt and I am full of feelings", "general"),
    ],
)
def test_the_default_rules_know_plain_cases(text: str, bucket: str) -> None:
    assert ask(Rules.default(), text).bucket == bucket


def test_confidence_is_the_share_of_what_was_found() -> None:
    rules = Rules({"billing": ["invoice", "refund*"], "spam": ["offer"]})
    assert ask(rules, "invoice").confidence == 1 / 2
    assert ask(rules, "invoice, refunded, refunds").confidence == 2 / 3
    assert ask(rules, "invoice, invoice, refund, offer") == Verdict(
        bucket="billing", confidence=2 / 4, reason="Found: invoice, refund."
    )


def test_the_reason_names_our_keywords_and_no_word_of_the_customer() -> None:
    assert ask(Rules({"billing": ["refund*"]}), "refundMYSECRET4711").reason == "Found: refund."


def test_without_a_keyword_it_is_the_fallback_bucket_without_confidence() -> None:
    verdict = ask(Rules({"billing": ["invoice"]}), "Hello")
    assert (verdict.bucket, verdict.confidence, verdict.fallback) == ("general", 0.0, False)


def test_the_subject_counts_and_ties_go_to_the_first() -> None:
    rules = Rules({"urgent": ["down"], "billing": ["invoice"]})
    assert ask(rules, "the invoice page", subject="It is down").bucket == "urgent"


def test_both_doors_answer_alike() -> None:
    conversation = Conversation(id="1", subject="invoice")
    rules = Rules.default()
    assert asyncio.run(rules.classify_async(conversation, BUCKETS)) == rules.classify(conversation, BUCKETS)


@given(st.text())
def test_any_text_gets_a_bucket(text: str) -> None:
    assert BUCKETS.get(ask(Rules.default(), text).bucket)


@pytest.mark.parametrize("keywords", [{}, {"a": []}, {"a": ["*"]}, {"a": [" "]}, {"a": "word"}])
def test_rules_without_words_are_refused(keywords: dict[str, list[str]]) -> None:
    with pytest.raises(ConfigurationError, match="Rules"):
        Rules(keywords)


def test_rules_for_a_bucket_that_there_is_not_are_refused_with_the_policy() -> None:
    Rules.default().check(BUCKETS)
    with pytest.raises(ConfigurationError, match="'urgent', which is none of general"):
        Rules.default().check(Buckets([Bucket("general", "All")]))
