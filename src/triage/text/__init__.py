"""Conversion between plain text and HTML, removal of quoted history and secrets, recognition of senders and names."""

from triage.text.budget import TextBudget, limit_markup
from triage.text.compare import compile_filled_in, normalize_for_comparison
from triage.text.html import Plain, clean, from_html, is_blank, looks_like_html, to_html
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
    "compile_filled_in",
    "describe_automatic",
    "from_html",
    "is_blank",
    "is_forward_subject",
    "is_reply_subject",
    "limit_markup",
    "looks_like_html",
    "normalize_for_comparison",
    "normalize_unicode",
    "scrub_secrets",
    "split_quotes",
    "to_html",
]
