"""Separate the sender's own text from quoted history, forwarded messages and signatures.

The functions never raise, whatever the input, and take time proportional to its length. The words of each language are
in `phrases/quotes.toml`.
"""

import re
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import NamedTuple

from triage.once import once
from triage.text.html import clean
from triage.text.phrases import read_phrases


class Split(NamedTuple):
    """The two parts of a message."""

    text: str
    """The text by the sender, including forwarded messages."""
    quoted: str
    """The quoted history and the signature that were removed from `text`."""


def split_quotes(text: str, *, is_reply: bool | None = True) -> Split:
    """Separate a message from its quoted history and its signature.

    Answers between and below quoted lines are kept, and so are forwarded messages. If nothing of the sender's own would
    remain, the whole text is returned without its `>` marks.

    Args:
        text: Plain text, with quotations marked as `from_html` marks them.
        is_reply: Whether there is any history. Contact forms, monitoring alerts and forwarded messages look like it,
            but have none: with False, only a signature at the very end is removed. None if only the text can tell, as
            for the first message of a conversation, which may answer an email that was sent from elsewhere. Then a
            header counts as history only if it is complete and set apart.
    """
    text = clean(text)
    if is_reply is False:
        return _split_first_message(text)
    return _Reply(text, is_certain=is_reply is not None).split()


def is_reply_subject(subject: str) -> bool:
    """Return whether the subject begins with a prefix of replies, such as "Re:" or "[Ticket 5] AW:"."""
    return _parse_prefix(subject) in load_phrases().reply_prefixes


def is_forward_subject(subject: str) -> bool:
    """Return whether the subject begins with a prefix of forwarded messages, such as "Fwd:" or "[Ticket 5] WG:".

    "VS:" means a reply in Finnish, but a forwarded message in Danish and Norwegian. It counts as both.
    """
    return _parse_prefix(subject) in load_phrases().forward_prefixes


# Phrases


class _Attribution(NamedTuple):
    """The words of one language in the line above a quotation."""

    openings: tuple[str, ...]
    verbs: tuple[str, ...]
    verbs_before_name: tuple[str, ...]


class _Phrases(NamedTuple):
    attributions: tuple[_Attribution, ...]
    every_verb: tuple[str, ...]
    every_verb_before_name: tuple[str, ...]
    date_words: frozenset[str]
    labels: dict[str, int]
    original: frozenset[str]
    forwarded: frozenset[str]
    forwarded_by: tuple[str, ...]
    reply_prefixes: frozenset[str]
    forward_prefixes: frozenset[str]
    sent_from: re.Pattern[str]
    sent_from_heads: frozenset[str]
    sent_from_tails: frozenset[str]
    closings: tuple[str, ...]
    greetings: tuple[str, ...]
    pointer: re.Pattern[str]
    fillers: frozenset[str]


# The fields of a header, as bits of a set.
_FROM, _DATE, _TO, _CC, _SUBJECT = 1, 2, 4, 8, 16
_LABELS = {"from": _FROM, "date": _DATE, "to": _TO, "cc": _CC, "subject": _SUBJECT}

_WORDS = r"(?:[\w&'\u2019.-]+(?:\ [\w&'\u2019.-]+){0,6})"


@once
def load_phrases() -> _Phrases:
    """Read the phrases of all languages, once."""
    languages = read_phrases("quotes")

    def collect(key: str) -> frozenset[str]:
        return frozenset(_fold(phrase) for language in languages for phrase in language.get(key, ()))

    sent_from = collect("sent_from")
    return _Phrases(
        attributions=tuple(map(_compile_attribution, languages)),
        every_verb=tuple(collect("verbs")),
        every_verb_before_name=tuple(collect("verbs_before_name")),
        # Programs abbreviate weekdays to two letters or more.
        date_words=frozenset(word[:end] for word in collect("weekdays") for end in range(2, len(word) + 1)),
        labels={label: bit for key, bit in _LABELS.items() for label in collect(key)},
        original=collect("original"),
        forwarded=collect("forwarded"),
        forwarded_by=tuple(collect("forwarded_by")),
        reply_prefixes=collect("reply_prefixes"),
        forward_prefixes=collect("forward_prefixes"),
        sent_from=_compile_sent_from(sent_from, collect("devices"), collect("after_device")),
        # The first word or, in scripts without spaces, the first two characters
        sent_from_heads=frozenset(phrase[:2] if phrase >= "\u3000" else phrase.split()[0] for phrase in sent_from),
        sent_from_tails=frozenset(phrase[-2:] for phrase in sent_from if phrase[0] == "{"),
        closings=tuple(collect("closings")),
        greetings=tuple(collect("greetings")),
        pointer=_compile_pointers(collect("pointers")),
        fillers=collect("fillers"),
    )


def _compile_attribution(language: dict[str, list[str]]) -> _Attribution:
    # A script without spaces has none after the opening, either.
    openings = (word if word >= "\u3000" else word + " " for word in map(_fold, language.get("openings", ())))
    return _Attribution(
        tuple(openings),
        tuple(map(_fold, language.get("verbs", ()))),
        tuple(map(_fold, language.get("verbs_before_name", ()))),
    )


def _compile_sent_from(phrases: Iterable[str], devices: Iterable[str], after_device: Iterable[str]) -> re.Pattern[str]:
    # "Samsung Galaxy S24", "iPhone'umdan", "Mail for Windows"
    device = (
        rf"(?:(?:[\w-]+\ ){{0,3}}(?:{_join(devices)})(?:[-.'\u2019]\w{{1,10}})?"
        rf"(?:\ (?:{_join(after_device)})(?:\ \w+){{0,2}})?)"
    )
    # Phrases with the same end share one copy of the device's pattern, because hundreds of copies take long to compile.
    heads: dict[str, list[str]] = {}
    tails: list[str] = []
    for phrase in phrases:
        head, placeholder, tail = phrase.partition("{device}")
        if placeholder and not head:
            tails.append(tail)
        else:
            heads.setdefault(placeholder + tail, []).append(head)
    patterns = [rf"(?:{_join(group)}){re.escape(tail)}" for tail, group in heads.items()]
    patterns.append(rf"\{{device\}}(?:{_join(tails)})")
    alternatives = "|".join(patterns).replace(r"\{device\}", device).replace(r"\{words\}", _WORDS)
    # The name of the app is often a link.
    return re.compile(rf"(?:{alternatives})\s?[.!\u3002]?(?:\s?[(<\[].*)?")


def _compile_pointers(phrases: frozenset[str]) -> re.Pattern[str]:
    latin = [phrase for phrase in phrases if phrase < "\u3000"]
    return re.compile(rf"(?<!\w)(?:{_join(latin)})(?!\w)|{_join(phrases.difference(latin))}")


def _join(phrases: Iterable[str]) -> str:
    return "|".join(re.escape(phrase) for phrase in sorted(phrases, key=len, reverse=True))


def _fold(text: str) -> str:
    """Ignore case, the number of spaces, and the shape of apostrophes."""
    return " ".join(text.casefold().replace("\u2019", "'").split())


# Replies

_DASHES = "-\u2010\u2011\u2012\u2013\u2014\u2015\uff0d_=*~ "
_RULE = re.compile(f"[{_DASHES}]{{3,}}")
_COLONS = (":", "\uff1a")
_LONGEST_ATTRIBUTION = 400
_ATTRIBUTION_LINES = 4
_HEADER_LINES = 14
_EXAMINED_LINES = 10_000  # People write no such texts, but machines do, and the time for them must be limited.
_LONGEST_SIGNATURE = 10  # lines; if more follow, the two hyphens do not introduce a signature
_SHORTEST_SENT_FROM, _LONGEST_SENT_FROM = 6, 200


class _Reply:
    """Decides for each line of a reply whether it belongs to the sender's own text."""

    def __init__(self, text: str, *, is_certain: bool) -> None:
        self._text = text
        self._is_certain = is_certain
        self._lines = text.split("\n")
        self._is_own = [True] * len(self._lines)
        self._phrases = load_phrases()
        self._fields: dict[int, int] = {}  # by line
        self._no_header_before = 0
        self._examined = 0  # lines that may begin the history
        self._in_quote = False  # whether a quotation that has begun may continue
        self._forward = len(self._lines)  # the first line of a forwarded message
        self._ends_with_header = False  # the history begins with lines such as "From: …", which forwards have, too

    def split(self) -> Split:
        self._cut_history()
        self._cut_signature()
        if all(self._is_own):
            return Split(self._text, "")
        own = self._join(True)
        is_whole = self._forward == len(self._lines)
        may_be_forward = self._ends_with_header or not self._is_certain
        if is_whole and (_says_nothing(own) or (may_be_forward and _only_points_below(own))):
            return Split(clean(re.sub("^(?: ?>)+", "", self._text, flags=re.MULTILINE)) or self._text, "")
        return Split(own, self._join(False))

    def _join(self, own: bool) -> str:
        lines = [line for line, is_own in zip(self._lines, self._is_own, strict=True) if is_own is own]
        return re.sub("\n{3,}", "\n\n", "\n".join(lines)).strip()  # the lines themselves are clean

    def _cut(self, start: int, end: int) -> None:
        self._is_own[start:end] = [False] * (end - start)

    def _cut_history(self) -> None:
        for at, line in enumerate(map(str.strip, self._lines)):
            is_last = False
            if line[:1] == ">" and not (line[-1] in _COLONS and self._closes_address(at)):
                # Without an attribution, a first message quotes an error message or the like.
                if not self._is_certain and not self._in_quote:
                    continue
                self._is_own[at] = False
                is_last = not self._in_quote and self._begin_quote(at, line.lstrip("> "))
            elif line and (":" in line or "\uff1a" in line or line[0] in _DASHES):
                is_last = self._cut_at_mark(at, line)
            elif line:
                self._in_quote = False
                self._is_own[at] = not self._is_sent_from(line)
            if is_last:
                return

    def _begin_quote(self, at: int, content: str) -> bool:
        """Examine the first line of a quotation. Return whether all that follows has been decided."""
        if not content:
            return False
        self._in_quote = True
        # Apple Mail quotes the messages that it forwards.
        if self._is_forward(content):
            self._is_own[at], self._forward = True, at
            return True
        self._ends_with_header = self._ends_with_header or self._starts_header(at)
        return False

    def _cut_at_mark(self, at: int, line: str) -> bool:
        """Cut the history if it begins at this line. Return whether all that follows has been decided."""
        self._in_quote = False
        self._examined += 1
        if self._examined > _EXAMINED_LINES:
            return False
        if self._is_forward(line):
            self._forward = at
            return True
        if self._is_original(line) or (self._starts_header(at) and (self._is_certain or self._is_set_apart(at))):
            self._ends_with_header = True
            self._cut(at, len(self._lines))
            return True
        if (start := self._find_attribution(at)) is not None:
            self._cut(start, at + 1)
            # If the quoted lines are marked, answers may follow them. Otherwise, all that follows is quoted.
            self._in_quote = self._is_quoted_next(at + 1)
            if not self._in_quote:
                self._cut(at, len(self._lines))
            return not self._in_quote
        self._is_own[at] = not self._is_sent_from(line)
        return False

    def _cut_signature(self) -> None:
        """Cut the signature and the rule above the history. Both stand at the end of the sender's own text."""
        own = [at for at in range(self._forward - 1, -1, -1) if self._is_own[at]]
        for at in reversed(own[: _LONGEST_SIGNATURE + 1]):
            if self._lines[at].strip() == "--" and any(self._lines[above] for above in own if above < at):
                self._is_own[at : self._forward] = [False] * (self._forward - at)
                break
        # The rule and the blank lines above a forwarded message belong to it.
        for at in own if self._forward == len(self._lines) else ():
            line = self._lines[at].strip()
            is_rule = not line or _RULE.fullmatch(line) or _fold(line[:120]) in self._phrases.original
            if self._is_own[at] and not is_rule:
                break
            self._is_own[at] = False

    # Lines

    def _is_original(self, line: str) -> bool:
        return line[0] in _DASHES and len(line) <= 120 and _fold(line.strip(_DASHES)) in self._phrases.original

    def _is_forward(self, line: str) -> bool:
        return _is_forward(line, self._phrases)

    def _is_sent_from(self, line: str) -> bool:
        if not _may_be_sent_from(line, self._phrases):
            return False
        self._examined += 1
        return self._examined <= _EXAMINED_LINES and _is_sent_from(line, self._phrases)

    def _closes_address(self, at: int) -> bool:
        """Return whether a long attribution was wrapped before the ">" of its address."""
        previous = self._lines[at - 1][-_LONGEST_ATTRIBUTION:] if at and self._is_own[at - 1] else ""
        return previous.rfind("<") > previous.rfind(">")

    def _is_quoted_next(self, at: int) -> bool:
        following = next((line for line in self._lines[at : at + 2] if line), "")
        return following.lstrip().startswith(">")

    # Headers

    def _starts_header(self, at: int) -> bool:
        """Return whether a block such as "From: …, Sent: …, To: …, Subject: …" begins at this line."""
        first = _find_label(self._lines[at], self._phrases)
        if not first or at < self._no_header_before:
            return False
        fields, others, after_blank, has_other_labels, end = 0, 0, False, False, at
        for number in range(at, min(at + _HEADER_LINES, len(self._lines))):
            line = self._lines[number].lstrip("> ")
            if not line:
                after_blank = True
                continue
            if number not in self._fields:
                self._fields[number] = _find_fields(line, self._phrases)
            if not self._fields[number]:
                has_other_labels = has_other_labels or _LABEL.match(line) is not None
                # A field with many recipients continues on the next lines.
                others += 1
                if after_blank or others > 3:
                    break
                continue
            fields |= self._fields[number]
            after_blank, end = False, number
        is_header = _is_header(fields, first, self._lines[at : end + 1], has_other_labels)
        if first == _FROM or not fields & _FROM:
            # None can begin within the first half of the examined lines, or it would have been complete.
            self._no_header_before = min(end, at + _HEADER_LINES // 2)
        return is_header

    def _is_set_apart(self, at: int) -> bool:
        """Return whether a header names a recipient, and a blank line or a rule separates it from the text above.

        Exported tickets and web forms begin with headers, too, but are shorter and follow their heading directly.
        """
        above = self._lines[at - 1].strip() if at else ""
        names = (self._fields.get(number, 0) for number in range(at, at + _HEADER_LINES))
        return (not above or _RULE.fullmatch(above) is not None) and any(fields & _TO for fields in names)

    # Attributions

    def _find_attribution(self, end: int) -> int | None:
        """Return the first line of the attribution ("On … Jane wrote:") that ends at this line, if one does."""
        last = self._lines[end].strip()
        is_between_dashes = last[-1] in _DASHES and last[0] in _DASHES and last.strip(_DASHES)
        if not last.endswith(_COLONS) and not is_between_dashes:
            return end if _is_unmarked_attribution(last, self._phrases) else None
        joined, named = "", None
        is_quoted_next = self._is_quoted_next(end + 1)
        for start in range(end, max(end - _ATTRIBUTION_LINES, -1), -1):
            line = self._lines[start].strip()
            if not line or not self._is_own[start]:
                break
            if start < end and line.endswith(_COLONS):
                break
            # Without the date, the lines above the name are the sender's own text.
            if named is not None and line.endswith((".", "!", "?")):
                break
            joined = f"{line} {joined}".rstrip()
            if len(joined) > _LONGEST_ATTRIBUTION:
                break
            if _is_dated_attribution(joined, self._phrases, is_quoted_next):
                if named is None or _has_date(joined):
                    return start
            elif named is None and _is_named_attribution(joined, self._phrases):
                named = start
        return named


def _is_forward(line: str, phrases: _Phrases) -> bool:
    if len(line) > 200 or (line[0] not in _DASHES and not line.endswith(_COLONS)):
        return False
    phrase = _fold(line.strip(_DASHES + ":\uff1a>"))
    return phrase in phrases.forwarded or (line[0] in _DASHES and phrase.startswith(phrases.forwarded_by))


def _is_sent_from(line: str, phrases: _Phrases) -> bool:
    return _may_be_sent_from(line, phrases) and phrases.sent_from.fullmatch(_fold(line.strip("*_ "))) is not None


def _may_be_sent_from(line: str, phrases: _Phrases) -> bool:
    """Return whether the line begins or ends as a phrase does. The pattern consists of hundreds of phrases."""
    if not _SHORTEST_SENT_FROM <= len(line) <= _LONGEST_SENT_FROM:
        return False
    line = line.strip("*_ ")
    return (
        line.partition(" ")[0].lower() in phrases.sent_from_heads
        or line[:2] in phrases.sent_from_heads
        or line.rstrip(".!\u3002")[-2:].lower() in phrases.sent_from_tails
    )


# Headers

_LABEL = re.compile("[\\s*_|>\u2022]{0,8}([^\\s:\uff1a*][^:\uff1a]{0,30}?)[\\s*_]{0,4}[:\uff1a]")
_COLON = re.compile("[:\uff1a]")
_TIME = re.compile(r"\d[:.h時时点點시]\s?\d\d")


def _find_label(line: str, phrases: _Phrases) -> int:
    """Return the field with whose label the line begins, or 0."""
    match = _LABEL.match(line)
    if not match:
        return 0
    return phrases.labels.get(_fold(match[1]), 0)


def _find_fields(line: str, phrases: _Phrases) -> int:
    """Return the set of fields in the line. Broken markup can leave a whole header on one line."""
    fields, start = _find_label(line, phrases), 0
    if not fields:
        return 0
    for colon in islice(_COLON.finditer(line, 0, 1000), 12):
        words = line[max(start, colon.start() - 40) : colon.start()].strip(" *_|\t").split()[-3:]
        labels = (phrases.labels.get(_fold(" ".join(words[skip:])), 0) for skip in range(len(words)))
        fields |= next(filter(None, labels), 0)
        start = colon.end()
    return fields


def _is_header(fields: int, first: int, lines: Sequence[str], has_other_labels: bool) -> bool:
    if not fields & _FROM or not fields & (_DATE | _TO):
        return False
    source = " ".join(line[:300] for line in lines)
    has_address = "@" in source
    # Travelers write "From: … To: … Date: …", and every list of details begins with some label. Web forms have labels
    # that mail programs do not use ("Email: …", "Message: …").
    if fields & _DATE and fields & _SUBJECT:
        return bool(fields & _TO or not has_other_labels) and (first == _FROM or has_address)
    if not fields & _TO or not has_address:
        return False
    return bool(fields & _SUBJECT) or (bool(fields & _DATE) and _TIME.search(source) is not None)


# Attributions

_ADDRESS = re.compile(r"[^\s<>()\[\]]@[^\s<>()\[\]]")
_ADDRESS_AT_END = re.compile(r"(?:[<(\[]\s?(?:mailto:)?)[^\s<>@]{1,100}@[^\s<>@]{1,100}[>)\]]{1,2}$")
_NAMED = re.compile(r"[^<>]{0,100}<\s?[^<>@]{1,100}@[^<>@]{1,100}>[\s,)>]*")
_DAY = re.compile(
    r"""\d{1,4}[./-]\s?\d{1,2}[./-]\s?\d{1,4} | (?:19|20)\d\d\s?[年년]
      | (?<!\d)\d{1,2}(?!\d) [^\d\n]{1,25} (?:19|20)\d\d(?!\d) | (?<!\d)(?:19|20)\d\d [^\d\n]{1,25} \d""",
    re.VERBOSE,
)
_DATE_FIRST = re.compile(r"(?:([^\W\d_]{2,15})[.,]{0,2}\s?[(\uff08]?\s?)?(?:([^\W\d_]{2,15})[.,]{0,2}\s?)?\d")


def _has_date(text: str) -> bool:
    return _DAY.search(text) is not None


def _is_dated_attribution(joined: str, phrases: _Phrases, is_quoted_next: bool) -> bool:
    """Return whether the text begins with a date or an opening ("On …") and ends like an attribution."""
    has_address = _ADDRESS.search(joined) is not None
    has_time = _TIME.search(joined) is not None and _has_date(joined)
    if not (has_address or has_time or is_quoted_next):
        return False
    text = _fold(joined).lstrip(_DASHES)
    core = text.rstrip(_DASHES + ":\uff1a")
    for attribution in phrases.attributions:
        if text.startswith(attribution.openings):
            if _ends_with_word(core, attribution.verbs) or _has_word(core, attribution.verbs_before_name):
                return True
            if has_time and is_quoted_next:
                return True
    if not has_time or not _begins_with_date(text, phrases):
        return False
    return (
        is_quoted_next
        or _ADDRESS_AT_END.search(core) is not None
        or _ends_with_word(core, phrases.every_verb)
        or _has_word(core, phrases.every_verb_before_name)
    )


def _is_unmarked_attribution(line: str, phrases: _Phrases) -> bool:
    """Return whether the line is an attribution without a colon, as some programs write it."""
    if len(line) > _LONGEST_ATTRIBUTION or "@" not in line or not _has_date(line) or not _TIME.search(line):
        return False
    return _ends_with_word(_fold(line), phrases.every_verb) and _is_dated_attribution(line, phrases, False)


def _is_named_attribution(joined: str, phrases: _Phrases) -> bool:
    """Return whether the text is "Jane Doe <jane@example.com> wrote:", with or without the date."""
    if "<" not in joined and "wrote" not in joined:
        return False
    core = _fold(joined).strip(_DASHES + ":\uff1a")
    if match := _NAMED.match(core):
        rest = core[match.end() :]
        return len(rest) <= 100 and (_ends_with_word(core, phrases.every_verb) or rest.startswith(phrases.every_verb))
    # HCL Notes: "Jane Doe/Example wrote on 01/05/2026 10:00:00 AM:"
    name, verb, rest = core.partition(" wrote on ")
    is_name = len(name) <= 60 and len(name.replace("/", " ").split()) >= 2 and _is_name(joined[: len(name)])
    return bool(verb) and is_name and len(rest) <= 60 and _has_date(rest)


def _begins_with_date(text: str, phrases: _Phrases) -> bool:
    match = _DATE_FIRST.match(text)
    return match is not None and all(word is None or word in phrases.date_words for word in match.groups())


def _ends_with_word(text: str, words: tuple[str, ...]) -> bool:
    if not text.endswith(words):
        return False
    # "rewrote" is another verb, but scripts without spaces have no such boundary.
    return any(text.endswith(word) and (word >= "\u3000" or not text[: -len(word)][-1:].isalnum()) for word in words)


def _has_word(text: str, words: tuple[str, ...]) -> bool:
    return any(f" {word} " in text for word in words)


# The meaning of texts

_CONTACT = re.compile(r"\+?\d[\d ()/.-]{6,}\d|www\.|https?://|@")


def _says_nothing(text: str) -> bool:
    """Return whether the text is empty or only a signature."""
    lines = [line.strip() for line in text.split("\n", 13) if line.strip()]
    if not lines or lines[0] == "--":
        return True
    if len(lines) > 8:
        return False
    phrases = load_phrases()
    closing = _find_closing(lines, phrases)
    if closing < len(lines):
        rest = lines[:closing]
        return not rest or (len(rest) == 1 and _is_greeting(rest[0], phrases))
    return _is_contact_block(lines)


def _find_closing(lines: Sequence[str], phrases: _Phrases) -> int:
    """Return the number of lines above "Best regards", or of all lines."""
    for at, line in enumerate(lines):
        if (
            len(line) <= 60
            and _fold(line.strip(" ,.!\u3001\uff0c\u3002-")).startswith(phrases.closings)
            and len(line.split()) <= 6
        ):
            return at
    return len(lines)


def _is_greeting(line: str, phrases: _Phrases) -> bool:
    return (
        len(line.split()) <= 5
        and _fold(line).startswith(phrases.greetings)
        and line[-1] in ",!:\u3001\uff0c\u3002\uff01"
    )


def _is_contact_block(lines: Sequence[str]) -> bool:
    """Return whether the lines are a name and the ways to reach the person."""
    if len(lines) < 2 or not _is_name(lines[0]) or len(lines[0].split()) > 4 or lines[0][-1] in ".!?:,":
        return False
    has_contact = any(_CONTACT.search(line) and re.search(r"[^\W\d_]{2}", line) for line in lines[1:])
    return has_contact and not any(line[-1] in ".!?" or len(line.split()) > 10 for line in lines)


def _is_name(text: str) -> bool:
    """Return whether every word begins with an upper-case letter."""
    return all(word[0].isupper() for word in text.split())


def _only_points_below(text: str) -> bool:
    """Return whether the text only refers to the message below it ("Please see below.", "FYI")."""
    if len(text) > 600 or len(text.split()) > 60:
        return False
    phrases = load_phrases()
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    if _is_greeting(lines[0], phrases) or (lines[0].endswith(",") and len(lines[0].split()) <= 3):
        lines = lines[1:]
    lines = lines[: _find_closing(lines, phrases)]
    # The name below the text, where no greeting announces it.
    while len(lines) > 1 and len(lines[-1].split()) <= 3 and _is_name(lines[-1]) and lines[-1][-1] not in ".!?":
        lines = lines[:-1]
    rest, pointers = phrases.pointer.subn(" ", _fold(" ".join(lines)))
    words = [word for word in re.findall(r"[\w'-]+", rest) if word not in phrases.fillers]
    # One word may be a name. Scripts without spaces need fewer characters for a word.
    return pointers > 0 and sum(len(word) if word >= "\u3000" else 3 for word in words) <= 3


# First messages

_SIGNATURE_LINE = 80


def _split_first_message(text: str) -> Split:
    lines = text.split("\n")
    phrases = load_phrases()
    end = _find_end(lines, len(lines), phrases)
    for at in range(max(1, end - _LONGEST_SIGNATURE - 1), end):
        if lines[at].strip() == "--" and _is_signature(lines[at + 1 : end], phrases):
            end = _find_end(lines, at, phrases)
            break
    own = clean("\n".join(lines[:end]))
    if end == len(lines) or not own:
        return Split(text, "")
    return Split(own, clean("\n".join(lines[end:])))


def _find_end(lines: Sequence[str], end: int, phrases: _Phrases) -> int:
    """Return the end of the text above lines such as "Sent from my iPhone"."""
    while end > 0 and (not lines[end - 1] or _is_sent_from(lines[end - 1].strip(), phrases)):
        end -= 1
    return end


def _is_signature(lines: Sequence[str], phrases: _Phrases) -> bool:
    """Return whether the lines below two hyphens are a signature, not a part of a form or a forwarded message."""
    return (
        ":" not in "".join(lines[:1])
        and all(line and len(line) <= _SIGNATURE_LINE and line[-1] not in "?!:" and line[0] != ">" for line in lines)
        and not any(_find_label(line, phrases) or _is_forward(line, phrases) for line in lines)
    )


# Subjects

# The quantifiers are possessive, so that no mark is examined twice.
_PREFIX = re.compile(
    "\\s*+(?:(?:\\[[^\\]]{0,80}+\\]|\\([^)]{0,80}+\\)|[*#]++[^\\s:*#]{0,20}+[*:]*+)\\s*+){0,5}+"
    "([^\\s\\d:\uff1a\\[(^-]{1,20}+)\\s?+(?:[\\[(^-]?+\\d{1,3}+[\\])]?+)?+\\s{0,2}+[:\uff1a]"
)


def _parse_prefix(subject: str) -> str:
    """Return the word before the first colon, after marks such as "[Ticket 5]"."""
    match = _PREFIX.match(clean(subject[:500]))
    return _fold(match[1]) if match else ""
