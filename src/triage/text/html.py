"""Conversion of HTML to plain text, and of plain text to HTML.

The functions never raise, whatever the input, and take time proportional to its length. That rules out `html.parser`: a
customer can send markup for which it takes quadratic time, and it treats broken markup differently in different
releases of Python.
"""

import re
from collections.abc import Mapping
from html import escape, unescape
from typing import NamedTuple

from triage.text.budget import take_markup

_CONTROLS = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff]")
_GRAPHEME_JOINER = "\u034f"  # the only character among the following that Python calls printable
# Soft hyphen, byte order mark, direction marks, tag characters. People cannot see them, so the classifier must not
# see them, either.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\U000e0000-\U000e007f]"
)
_NEWLINE = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_BLANK_LINES = re.compile("\n{3,}")
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
    # Most texts need no cleaning, and finding that out takes a fraction of the time. Python calls a character printable
    # if it is neither white space nor a control or format character.
    is_clean = text.replace("\n", "").isprintable() and _GRAPHEME_JOINER not in text
    if not is_clean:
        text = _SPACE.sub(" ", _NEWLINE.sub("\n", text))
        text = _LOOSE_JOINERS.sub("", _INVISIBLE.sub("", _CONTROLS.sub("", text)))
    if not is_clean or " \n" in text:
        text = "\n".join(line.rstrip() for line in text.split("\n"))
    if "\n\n\n" in text:
        text = _BLANK_LINES.sub("\n\n", text)
    return text.strip()


_BLANK = re.compile(r"(?>(?:\s|&nbsp;|</?(?:p|div|span|br)\b[^<>]*>)*)", re.IGNORECASE)


def is_blank(markup: str | None) -> bool:
    """Return whether there is certainly nothing to read in a text, without converting it.

    Args:
        markup: HTML or plain text.
    """
    return not markup or _BLANK.fullmatch(markup) is not None


class Plain(NamedTuple):
    """The plain text of HTML."""

    text: str
    images: int
    """The number of images, without tracking pixels."""


def from_html(markup: str) -> Plain:
    """Convert HTML to plain text, with `> ` before each line of a quotation.

    Args:
        markup: HTML, which may be broken. Everything after the first million characters is ignored, and in a long
            conversation less than that (see `triage.text.budget`).
    """
    writer = _Writer()
    at = 0
    # An embedded image would use up the million characters.
    markup = take_markup(_DATA_URL.sub("data:", markup)[:_LONGEST_MARKUP])
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


_ELEMENT = re.compile(r"<(/?)([a-z][a-z0-9]{0,9})(?=[\s/>])([^<>]*+)>", re.IGNORECASE)
_KNOWN = re.compile(
    """a|abbr|address|article|b|blockquote|body|br|center|code|dd|del|div|dl|dt|em|font|footer|form|h[1-6]|head|header|hr
    |html|i|img|ins|li|main|nav|o|ol|p|pre|s|section|small|span|strike|strong|style|sub|sup|table|tbody|td|th|thead
    |title|tr|tt|u|ul""",
    re.VERBOSE,
)
# Elements without an end tag, and those whose name nobody writes without meaning HTML.
_CERTAIN = frozenset({"br", "html", "body", "head"})
_HAS_ATTRIBUTE = re.compile(r"""\s[a-z][a-z:-]*\s*=""", re.IGNORECASE)
_DOCTYPE = re.compile(r"\s*<!doctype html", re.IGNORECASE)


def looks_like_html(text: str) -> bool:
    """Return whether a text whose format is unknown is HTML.

    A tag is evidence if it has an attribute, if its end tag follows, if it begins the text, or if it is a line break.
    Other angle brackets are common in plain text: "<jane@example.com>", "List<String>", "use the <div> element".

    Args:
        text: The whole text. Only as much of it as `from_html` reads is examined.
    """
    text = text[:_LONGEST_MARKUP]
    if _DOCTYPE.match(text):
        return True
    begin = len(text) - len(text.lstrip())
    opened: set[str] = set()
    for tag in _ELEMENT.finditer(text):
        end, name, attributes = tag[1], tag[2].lower(), tag[3]
        if not _KNOWN.fullmatch(name):
            continue
        if end:
            if name in opened:
                return True
            continue
        if name in _CERTAIN or tag.start() == begin or _HAS_ATTRIBUTE.match(attributes):
            return True
        if not attributes.strip(" /"):
            opened.add(name)
    return False


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

_PARAGRAPHS = frozenset({"blockquote", "dl", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "p", "pre", "table"})
_LISTS = frozenset({"ol", "ul"})
_LINES = frozenset(
    "address article aside body caption center dd div dt figcaption figure footer form "  # noqa: SIM905 - short
    "header li main nav ol option section tr ul".split()
)

# Marks that mail programs leave, in any language: values of class, id and name. Outlook writes "x_" before the marks in
# the email that it quotes, so those are not among them.

# Elements that are quoted as a whole.
_QUOTES = frozenset({"gmail_attr", "moz-cite-prefix", "yahoo_quoted", "AppleMailQuote", "name=quote"})
# Elements with the line "On … wrote:", a <blockquote>, and the answers that the user wrote between the quoted lines.
_CONTAINERS = frozenset({"gmail_quote", "protonmail_quote", "zmail_extra", "reply-intro"})
# Elements that begin the history. It continues to the end of the email.
_HISTORY = frozenset(
    {"divRplyFwdMsg", "appendonsend", "OLK_SRC_BODY_SECTION", "mail-editor-reference-message-container", "stopSpelling"}
)
# Elements that begin with a divider if they contain a forwarded message.
_MAY_FORWARD = frozenset({"gmail_attr", "moz-forward-container"})
_MARK = re.compile(
    "[Qq]uote|gmail_attr|moz-|zmail_extra|reply-intro|border-top|divRply|appendonsend|OLK_SRC|mail-editor|stopSpelling"
)
# The line that Outlook for Windows (2010 and 2007) and Windows Mail draw above the header.
_BORDERS = (
    re.compile(r"border:none;border-top:solid#(?:e1e1e1|b5c4df)1\.0pt"),
    re.compile(r"border-top-color:rgb\(229,229,229\);border-top-width:1px;border-top-style:solid"),
)
# A signature may have the same line above it, but not two lines with labels such as "From:" and "Sent:".
_LABEL = re.compile("\\W{0,3}[^\\W\\d][^:\uff1a]{0,30}[:\uff1a]")
_LONGEST_ATTRIBUTES = 2_000  # characters
_LONGEST_ATTRIBUTION = 4  # lines
# `split_quotes` knows this divider in every language, but a program's own divider only in some.
_FORWARD_LINE = "---------- Forwarded message ---------"
# The deepest level of indentation. Without a limit, 50,000 levels would produce gigabytes of it.
_DEEPEST = 4


def _unescape(text: str) -> str:
    return unescape(_LONG_NUMBER.sub("\ufffd", text)) if "&" in text else text


def _parse_attributes(source: str) -> Mapping[str, str]:
    matches = _ATTRIBUTE.findall(source)
    return {name.lower(): _unescape(double or single or bare) for name, double, single, bare in matches}


def _find_marks(source: str) -> set[str]:
    source = source[:_LONGEST_ATTRIBUTES]
    if not _MARK.search(source):
        return set()
    attributes = _parse_attributes(source)
    marks = {*attributes.get("class", "").split(), attributes.get("id", ""), f"name={attributes.get('name', '')}"}
    style = "".join(attributes.get("style", "").split()).lower()
    if any(border.search(style) for border in _BORDERS):
        marks.add("divRplyFwdMsg")
    return marks


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
        # Marks of mail programs:
        self._may_forward = ""  # the mark whose first line shows whether a forwarded message follows
        self._container: tuple[int, int] | None = None  # the number of lines before it, and of <div>s open in it
        self._history: dict[int, None] = {}  # the lines where the history may begin

    def open(self, name: str, source: str) -> None:
        self._break_line(name)
        marks = self._note_marks(name, source)
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
                self._start_blockquote()
            case "div":
                self._divs.append(not _QUOTES.isdisjoint(marks))
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
        self._quote_history()
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
        is_paragraph = name in _PARAGRAPHS or (name in _LISTS and not self._lists)
        if self._line and (is_paragraph or name in _LINES):
            self._end_line()
        self._needs_blank_line = self._needs_blank_line or is_paragraph

    def _end_line(self) -> None:
        if self._may_forward and self._line:
            self._start_forward()
        quote = min(self._quotes, _DEEPEST)
        if self._needs_blank_line and self._lines:
            self._lines.append("> " * min(quote, self._last_quote))
        depth = min(len(self._lists), _DEEPEST)
        indent = "  " * (depth - 1) + self._bullet if self._bullet else "  " * depth
        self._lines.append("> " * quote + indent + "".join(self._line))
        self._last_quote = quote
        self._line, self._separator, self._needs_blank_line, self._bullet = [], "", False, ""

    def _note_marks(self, name: str, source: str) -> set[str]:
        marks = _find_marks(source)
        # Within a quotation, they belong to the quoted email.
        if not marks or self._quotes:
            return marks
        if not _HISTORY.isdisjoint(marks):
            if self._line:
                self._end_line()
            self._history[len(self._lines)] = None
        if name != "blockquote" and not _CONTAINERS.isdisjoint(marks):
            self._container = (len(self._lines), len(self._divs) + (name == "div"))
        self._may_forward = next(iter(_MAY_FORWARD & marks), self._may_forward)
        return marks

    def _start_forward(self) -> None:
        """Begin a forwarded message, which is not a quotation, if this line is the divider above it."""
        mark, self._may_forward = self._may_forward, ""
        if "".join(self._line).startswith("-----"):
            self._line = [_FORWARD_LINE]
            if mark == "gmail_attr" and True in self._divs:
                self._divs[self._divs.index(True)] = False
                self._quotes -= 1

    def _start_blockquote(self) -> None:
        container, self._container = self._container, None
        if container and not self._quotes and len(self._divs) >= container[1]:
            self._quote_attribution(container[0])
        self._quotes += 1

    def _quote_attribution(self, start: int) -> None:
        """Quote the lines of a container above its first <blockquote> if they end like an attribution."""
        lines = [line for line in self._lines[start : start + 3 * _LONGEST_ATTRIBUTION] if line.strip()]
        is_short = len(self._lines) - start <= 3 * _LONGEST_ATTRIBUTION and 0 < len(lines) <= _LONGEST_ATTRIBUTION
        if is_short and lines[-1].endswith((":", "\uff1a", "--")) and not any(line.startswith(">") for line in lines):
            self._lines[start:] = [f"> {line}" for line in self._lines[start:]]
            self._last_quote = 1

    def _quote_history(self) -> None:
        """Quote everything below the first mark under which there is a header."""
        for start in self._history:
            lines = [line for line in self._lines[start : start + 8] if line.strip("> ")][:2]
            if len(lines) == 2 and all(map(_LABEL.match, lines)):
                self._lines[start:] = [f"> {line}" for line in self._lines[start:]]
                return

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
