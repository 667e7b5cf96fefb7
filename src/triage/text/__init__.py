"""Conversion between plain text and HTML, and the removal of quoted history."""

from triage.text.compare import normalize_for_comparison
from triage.text.html import Plain, clean, from_html, looks_like_html, to_html
from triage.text.quotes import Split, is_forward_subject, is_reply_subject, split_quotes, strip_quotes

__all__ = [
    "Plain",
    "Split",
    "clean",
    "from_html",
    "is_forward_subject",
    "is_reply_subject",
    "looks_like_html",
    "normalize_for_comparison",
    "split_quotes",
    "strip_quotes",
    "to_html",
]
