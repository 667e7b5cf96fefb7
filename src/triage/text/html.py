"""Conversion of HTML to plain text, and of plain text to HTML.

The functions never raise, whatever the input, and take time proportional to its length. That rules out `html.parser`: a
customer can send markup for which it takes quadratic time, and it treats broken markup differently in different
releases of Python.
"""

import re
from collections.abc import Mapping
from html import escape, unescape
from typing import NamedTuple

_CONTROLS = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff]")
# Soft hyphen, byte order mark, direction marks, tag characters. People cannot see them, so the classifier must not
# see them, either.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\U000e0000-\U000e007f]"
)
_NEWLINE = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_SPACE = re.compile("[\xa0\u1680\u2000-\u200a\u202f\u205f\u3000]")
# Persian spelling and composed emoji need joiners, but only within a word. Newsletters pad their previews with them.
_LOOSE_JOINERS = re.compile("(?<!\\S)[\u200c\u200d]++|(?<![\u200c\u200d])[\u200c\u200d]++(?!\\S)")


def clean(text: str) -> str:
    """Remove control characters, lone surrogates, invisible characters and superfluous white space.

    Args:
        text: Any string.

    Returns:
        Text that every Unicode encoding can represent, without trailing spaces or consecutive blank lines.
    """
    text = _SPACE.sub(" ", _NEWLINE.sub("\n", text))
    text = _LOOSE_JOINERS.sub("", _INVISIBLE.sub("", _CONTROLS.sub("", text)))
    text = "\n".join(line.rstrip() for line in text.split("\n"))
    return re.sub("\n{3,}", "\n\n", text).strip()


class Plain(NamedTuple):
    """The plain text of HTML."""

    text: str
    images: int
    """The number of images, without tracking pixels."""


def from_html(markup: str) -> Plain:
    """Convert HTML to plain text, with `> ` before each line of a quotation.

    Args:
        markup: HTML, which may be broken. Everything after the first million characters is ignored.
    """
    writer = _Writer()
    at = 0
    # An embedded image would use up the million characters.
    markup = _DATA_URL.sub("data:", markup)[:_LONGEST_MARKUP]
    for token in _TOKEN.finditer(markup):
        writer.text(_unescape(markup[at : token.start()]))
        at = token.end()
        if name := token["open"]:
            writer.open(name.lower(), token["attributes"])
        elif name := token["close"]:
            writer.close(name.lower())
    writer.text(_unescape(markup[at:]))
    return writer.result()


def to_html(text: str) -> str:
    """Convert plain text to escaped HTML, with a `<p>` for each paragraph and a `<br>` for each newline in it."""
    paragraphs = escape(clean(text)).replace("\n\n", "</p><p>").replace("\n", "<br>")
    return f"<p>{paragraphs}</p>" if paragraphs else ""


# HTML to text

_LONGEST_MARKUP = 1_000_000
_DATA_URL = re.compile(r"data:[^\s\"'<>]{100,}", re.IGNORECASE)

# Each alternative that starts to match also completes, at the end of the text if necessary, and never backtracks, so
# no character is examined twice. A tag without its ">" is dropped, as in browsers.
_TOKEN = re.compile(
    r"""
      <!-- (?: -?> | .*? (?: --!?> | \Z ) )
    | <[!?] [^>]*+ (?: > | \Z )
    | < (?P<raw> script | style | title | xml | template | iframe ) (?=[\s/>])
        .*? (?: </(?P=raw) [^>]*+ (?: > | \Z ) | \Z )
    | < (?P<open> [a-z] [^\s/>]*+ )
        (?P<attributes> (?: = \s*+ " [^"]*+ (?: " | \Z ) | = \s*+ ' [^']*+ (?: ' | \Z ) | = | [^>=]++ )*+ )
        (?: > | \Z )
    | </ (?P<close> [a-z] [^\s/>]*+ ) [^>]*+ (?: > | \Z )
    """,
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)
_ATTRIBUTE = re.compile(
    r"""(?<! [^\s"'<>/=] ) ([^\s"'<>/=]++) \s*+ = \s*+ (?: "([^"]*+) | '([^']*+) | ([^\s"'>]++) )""", re.VERBOSE
)
# html.unescape() raises ValueError for a number that is too long for int().
_LONG_NUMBER = re.compile("&#[0-9]{9,};?")

_PARAGRAPHS = re.compile("blockquote|dl|h[1-6]|hr|p|pre|table")
_LISTS = re.compile("ol|ul")
_LINES = re.compile(
    "address|article|aside|body|caption|center|dd|div|dt|figcaption|figure|footer|form|header|li|main|nav|ol|option"
    "|section|tr|ul"
)
# Gmail and Thunderbird mark the line "On … wrote:" in any language. Gmail's div.gmail_quote is left out on purpose: it
# contains not only a <blockquote>, but also the answers that the user wrote between the quoted lines.
_QUOTES = frozenset({"gmail_attr", "moz-cite-prefix", "yahoo_quoted"})
# The deepest level of indentation. Without a limit, 50,000 levels would produce gigabytes of it.
_DEEPEST = 4


def _unescape(text: str) -> str:
    return unescape(_LONG_NUMBER.sub("\ufffd", text)) if "&" in text else text


def _parse_attributes(source: str) -> Mapping[str, str]:
    matches = _ATTRIBUTE.findall(source)
    return {name.lower(): _unescape(double or single or bare) for name, double, single, bare in matches}


class _Writer:
    """Lays out text in lines, roughly as a browser would. End tags may be missing or superfluous."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._line: list[str] = []
        self._separator = ""  # precedes the next word of this line
        self._needs_blank_line = False  # before the next line
        self._last_quote = 0  # the quotation depth of the last line
        self._bullet = ""
        self._images = 0
        # Open elements:
        self._divs: list[bool] = []  # True for a quotation
        self._quotes = 0
        self._lists: list[int | None] = []  # the number of the next item; None in <ul>
        self._pre = 0
        self._link: tuple[str, list[str]] | None = None

    def open(self, name: str, source: str) -> None:
        self._break_line(name)
        match name:
            case "br":
                self._end_line()
            case "td" | "th":
                self._separator = " | "
            case "img":
                self._count_image(_parse_attributes(source))
            case "a":
                self._end_link()
                self._link = (_parse_attributes(source).get("href", ""), [])
            case "pre":
                self._pre += 1
            case "blockquote":
                self._quotes += 1
            case "div":
                self._divs.append(not _QUOTES.isdisjoint(_parse_attributes(source).get("class", "").split()))
                self._quotes += self._divs[-1]
            case "ul" | "ol":
                self._lists.append(None if name == "ul" else 1)
            case "li":
                self._start_item()
            case _:
                pass

    def close(self, name: str) -> None:
        self._break_line(name)
        match name:
            case "a":
                self._end_link()
            case "pre":
                self._pre = max(0, self._pre - 1)
            case "blockquote":
                self._quotes = max(0, self._quotes - 1)
            case "div" if self._divs:
                self._quotes = max(0, self._quotes - self._divs.pop())
            case "ul" | "ol" if self._lists:
                self._lists.pop()
                self._needs_blank_line = self._needs_blank_line or not self._lists
            case _:
                pass

    def text(self, text: str) -> None:
        if self._pre:
            first, *others = text.splitlines() or [""]
            self._write(first)
            for line in others:
                self._end_line()
                self._write(line)
            if text.endswith("\n"):
                self._end_line()
            return
        if text[:1].isspace():
            self._separator = self._separator or " "
        self._write(" ".join(text.split()))
        if text[-1:].isspace():
            self._separator = self._separator or " "

    def result(self) -> Plain:
        self._end_link()
        self._end_line()
        return Plain(clean("\n".join(self._lines)), self._images)

    def _write(self, words: str) -> None:
        if not words:
            return
        if self._line:
            self._line.append(self._separator)
        self._separator = ""
        self._line.append(words)
        if self._link:
            self._link[1].append(words)

    def _break_line(self, name: str) -> None:
        """Begin a new line if the tag belongs to a block. A list within a list has no blank lines around it."""
        is_paragraph = bool(_PARAGRAPHS.fullmatch(name) or (_LISTS.fullmatch(name) and not self._lists))
        if self._line and (is_paragraph or _LINES.fullmatch(name)):
            self._end_line()
        self._needs_blank_line = self._needs_blank_line or is_paragraph

    def _end_line(self) -> None:
        quote = min(self._quotes, _DEEPEST)
        if self._needs_blank_line and self._lines:
            self._lines.append("> " * min(quote, self._last_quote))
        depth = min(len(self._lists), _DEEPEST)
        indent = "  " * (depth - 1) + self._bullet if self._bullet else "  " * depth
        self._lines.append("> " * quote + indent + "".join(self._line))
        self._last_quote = quote
        self._line, self._separator, self._needs_blank_line, self._bullet = [], "", False, ""

    def _start_item(self) -> None:
        self._bullet = "- "
        if self._lists and (number := self._lists[-1]):
            self._bullet = f"{number}. "
            self._lists[-1] = number + 1

    def _count_image(self, attributes: Mapping[str, str]) -> None:
        # An image of one pixel is invisible. It reports to the sender that the email was read.
        if not {attributes.get("width"), attributes.get("height")} & {"0", "1", "0px", "1px"}:
            self._images += 1

    def _end_link(self) -> None:
        if not self._link:
            return
        (href, label), self._link = self._link, None
        url = "".join(href.split())
        if not url.lower().startswith(("http:", "https:", "mailto:", "tel:")):
            return
        text = "".join("".join(label).split())
        if not text:
            self._write(url)
        elif _shorten(text) != _shorten(url):
            self._separator = " "
            self._write(f"({url})")


def _shorten(url: str) -> str:
    """Return the part of a URL that people write."""
    return re.sub(r"^(?:https?://(?:www\.)?|mailto:|tel:|www\.)", "", url.casefold()).rstrip("/")
