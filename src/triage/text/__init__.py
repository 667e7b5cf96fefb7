"""Text as customers send it: made plain, freed of quoted history, and put into HTML again."""

from triage.text.compare import letters
from triage.text.html import Plain, clean, from_html, to_html
from triage.text.quotes import without_quotes

__all__ = ["Plain", "clean", "from_html", "letters", "to_html", "without_quotes"]
