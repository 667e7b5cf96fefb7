"""Conversion between plain text and HTML, removal of quoted history and secrets, recognition of senders and names."""

from triage.text import quotes, senders
from triage.text.budget import TextBudget, limit_markup
from triage.text.compare import normalize_for_comparison
from triage.text.html import Plain, clean, from_html, looks_like_html, to_html
from triage.text.names import clean_name
from triage.text.quotes import Split, is_forward_subject, is_reply_subject, split_quotes
from triage.text.secrets import scrub_secrets
from triage.text.senders import describe_automatic
from triage.text.unicode import normalize_unicode

__all__ = [
    "Plain",
    "Split",
    "TextBudget",
    "clean",
    "clean_name",
    "describe_automatic",
    "from_html",
    "is_forward_subject",
    "is_reply_subject",
    "limit_markup",
    "looks_like_html",
    "normalize_for_comparison",
    "normalize_unicode",
    "scrub_secrets",
    "split_quotes",
    "to_html",
    "warm_up",
]


def warm_up() -> None:
    """Read and compile the phrases of all languages now, so that the first message does not pay for it."""
    quotes.load_phrases()
    senders.load_phrases()
