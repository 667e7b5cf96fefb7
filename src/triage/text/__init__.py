"""Conversion between plain text and HTML, the removal of quoted history, and the recognition of senders and names."""

from triage.text.compare import normalize_for_comparison
from triage.text.html import Plain, clean, from_html, to_html
from triage.text.names import clean_name
from triage.text.quotes import strip_quotes
from triage.text.senders import describe_automatic

__all__ = [
    "Plain",
    "clean",
    "clean_name",
    "describe_automatic",
    "from_html",
    "normalize_for_comparison",
    "strip_quotes",
    "to_html",
]
