"""Plain text and HTML, converted as help desks convert them."""

import html
import re
from html.parser import HTMLParser

from typing_extensions import override

_BREAKS = {"br": "\n", "li": "\n", "tr": "\n"} | dict.fromkeys(
    ("p", "div", "h1", "h2", "h3", "h4", "ul", "ol", "blockquote", "pre", "table"), "\n\n"
)


def to_html(text: str) -> str:
    """Convert plain text to the HTML that a help desk's editor stores: paragraphs and line breaks."""
    paragraphs = [html.escape(part, quote=False) for part in re.split(r"\n{2,}", text.strip("\n"))]
    return "".join(f"<p>{part}</p>" for part in paragraphs).replace("\n", "<br>")


def to_text(markup: str) -> str:
    """Convert HTML to the plain text that a help desk shows; a link becomes `label (url)`."""
    reader = _TextReader()
    reader.feed(markup)
    reader.close()
    return re.sub(r"\n{3,}", "\n\n", "".join(reader.parts)).strip()


class _TextReader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self.links: list[str] = []

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.parts.append(_BREAKS.get(tag, ""))
        if tag == "a":
            self.links.append(dict(attrs).get("href") or "")

    @override
    def handle_endtag(self, tag: str) -> None:
        if tag == "a" and self.links:
            self.parts.append(f" ({self.links.pop()})")
        self.parts.append(_BREAKS.get(tag, ""))

    @override
    def handle_data(self, data: str) -> None:
        self.parts.append(re.sub(r"\s+", lambda space: " " if "\n" in space[0] else space[0], data))
