"""Conversion between plain text and HTML, and the removal of quoted history."""

from triage.text.compare import normalize_for_comparison
from triage.text.html import Plain, clean, from_html, to_html
from triage.text.quotes import strip_quotes

__all__ = ["Plain", "clean", "from_html", "normalize_for_comparison", "strip_quotes", "to_html"]
