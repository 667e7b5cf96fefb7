"""Keyword rules match whole words, ignore case and accents, and report an honest confidence."""

import asyncio
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triage import Bucket, Buckets, ConfigurationError, Conversation, Message, Verdict
from triage.classifiers import Rules
from triage.classifiers.rules import _normalize

BUCKETS = Buckets.default()
RULES = Rules.default()


def classify(rules: Rules, text: str, subject: str = "") -> Verdict:
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
def test_the_default_rules_match_typical_messages(text: str, bucket: str) -> None:
    assert classify(RULES, text).bucket == bucket


def test_confidence_is_the_share_of_matching_keywords() -> None:
    rules = Rules({"billing": ["invoice", "refund*"], "spam": ["offer"]})
    assert classify(rules, "invoice").confidence == 1 / 2
    assert classify(rules, "invoice, refunded, refunds").confidence == 2 / 3
    assert classify(rules, "invoice, invoice, refund, offer") == Verdict(
        bucket="billing", confidence=2 / 4, reason="Found: invoice, refund.", cost_usd=0.0
    )


def test_the_reason_lists_our_keywords_but_no_customer_text() -> None:
    assert classify(Rules({"billing": ["refund*"]}), "refundMYSECRET4711").reason == "Found: refund."


def test_without_a_match_the_verdict_is_the_fallback_bucket_with_confidence_zero() -> None:
    verdict = classify(Rules({"billing": ["invoice"]}), "Hello")
    assert (verdict.bucket, verdict.confidence, verdict.fallback) == ("general", 0.0, False)
    assert verdict.cost_usd == 0.0
    assert RULES.priced


def test_the_subject_counts_and_the_first_bucket_wins_a_tie() -> None:
    rules = Rules({"urgent": ["down"], "billing": ["invoice"]})
    assert classify(rules, "the invoice page", subject="It is down").bucket == "urgent"


def test_sync_and_async_verdicts_are_equal() -> None:
    conversation = Conversation(id="1", subject="invoice")
    assert asyncio.run(RULES.classify_async(conversation, BUCKETS)) == RULES.classify(conversation, BUCKETS)


@given(st.text())
def test_any_text_gets_a_bucket(text: str) -> None:
    assert BUCKETS.get(classify(RULES, text).bucket)


@pytest.mark.parametrize("keywords", [{}, {"a": []}, {"a": ["*"]}, {"a": [" "]}, {"a": "word"}])
def test_rules_without_keywords_are_rejected(keywords: dict[str, list[str]]) -> None:
    with pytest.raises(ConfigurationError, match="Rules"):
        Rules(keywords)


def test_keywords_for_an_unknown_bucket_are_rejected() -> None:
    RULES.check(BUCKETS)
    with pytest.raises(ConfigurationError, match="'urgent', which is not a bucket"):
        RULES.check(Buckets([Bucket("general", "All")]))


@given(st.text())
def test_accents_are_removed_as_unicode_decomposes_whole_texts(text: str) -> None:
    decomposed = unicodedata.normalize("NFKD", text.casefold().replace("\u2019", "'"))
    assert _normalize(text) == "".join(char for char in decomposed if not unicodedata.combining(char))
