"""Replace personal data in a text by placeholders: card numbers, IBANs, keys, email addresses and phone numbers.

The functions take time proportional to the length of the text.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import accumulate
from types import MappingProxyType
from typing import Literal, TypeAlias, get_args

from triage.text.secrets import scrub_secrets

Kind: TypeAlias = Literal["card", "iban", "key", "email", "phone"]
KINDS: tuple[Kind, ...] = get_args(Kind)

Span: TypeAlias = tuple[int, int, str]
"""The start and the end of a part of a text, and its placeholder."""

_SPACES = " \u00a0\u2009\u202f"
_HYPHENS = "\u2010\u2011\u2013\\-"
_GAP = f"[{_SPACES}{_HYPHENS}]"  # between the groups of a number
_MOST_PASSES = 4


def redact(text: str, kinds: Collection[Kind] = KINDS) -> str:
    """Replace personal data by placeholders such as `[card number]`.

    Redacting a text again changes nothing, unless the text was written to hide data in more layers than a few.

    Args:
        text: The text.
        kinds: The kinds of data to replace.
    """
    # A match may hide another one that has no space before it, such as a key after a card number.
    for _ in range(_MOST_PASSES):
        before = text
        for kind, replace in _REPLACE.items():
            if kind in kinds:
                text = replace(text)
        if text == before:
            break
    return text


def replace_spans(text: str, spans: Iterable[Span]) -> str:
    """Replace parts of a text by placeholders. Parts that overlap become one, with the placeholder of the first.

    Args:
        text: The text.
        spans: The start, the end and the placeholder of each part, sorted by the start.
    """
    pieces: list[str] = []
    position = 0
    for start, end, placeholder in spans:
        if start >= position:
            pieces += [text[position:start], placeholder]
        position = max(position, end)
    return "".join([*pieces, text[position:]])


# Email addresses

# The lookbehind lets a match begin only at the start of a run, so that a long run without "@" is read once.
# Groups are atomic, because a possessive quantifier of a group does not work before Python 3.11.5:
# https://github.com/python/cpython/issues/106052
_LOCAL = r"[\w.+%-]"
_DOMAIN = r"[\w-]++(?>(?:\.[\w-]++)*)"
_EMAIL = re.compile(rf"(?<!{_LOCAL}){_LOCAL}++(?>(?:@{_DOMAIN})+)")
_TOP_LEVEL = re.compile(r"\.[^\W\d_]")


def _redact_emails(text: str) -> str:
    return _EMAIL.sub(_replace_email, text)


def _replace_email(match: re.Match[str]) -> str:
    domains = match[0].partition("@")[2]
    return "[email]" if _TOP_LEVEL.search(domains) else match[0]


# IBANs

# https://www.swift.com/standards/data-standards/iban-international-bank-account-number, release 101
_IBAN_COUNTRIES = (
    "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 EE20 "
    "EG29 ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 "
    "KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 "
    "PK24 PL28 PS29 PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 "
    "UA29 VA22 VG24 XK20 YE30"
)
_IBAN_LENGTHS = {country[:2]: int(country[2:]) for country in _IBAN_COUNTRIES.split()}
_IBAN_HEAD = re.compile(rf"[A-Za-z]{{2}}(?:{_GAP}?[0-9]){{2}}")
_IBAN_HEAD_LENGTH = 4


@cache
def _compile_iban_rest(length: int) -> re.Pattern[str]:
    """Return a pattern for the account number of an IBAN. It does not end inside of a group of digits."""
    return re.compile(rf"(?:{_GAP}?[A-Za-z0-9]){{{length - _IBAN_HEAD_LENGTH}}}(?:(?<![0-9])|(?!\d))")


def _redact_ibans(text: str) -> str:
    return replace_spans(text, _find_ibans(text))


def _find_ibans(text: str) -> Iterator[Span]:
    for head in _IBAN_HEAD.finditer(text):
        length = _IBAN_LENGTHS.get(head[0][:2].upper())
        rest = _compile_iban_rest(length).match(text, head.end()) if length else None
        if rest and _is_iban(head[0] + rest[0]):
            yield head.start(), rest.end(), "[IBAN]"


def _is_iban(text: str) -> bool:
    """Return whether the check digits are correct: ISO 13616, MOD 97-10 of ISO 7064."""
    characters = [character for character in text if character.isalnum()]
    moved = characters[_IBAN_HEAD_LENGTH:] + characters[:_IBAN_HEAD_LENGTH]
    return int("".join(str(int(character, 36)) for character in moved)) % 97 == 1


# Card numbers

_CARD_LENGTHS = range(13, 20)  # of ISO/IEC 7812; 13 are rare but in use
_DIGIT_GROUPS = re.compile(rf"\d+(?:{_GAP}\d+)*")
_DIGIT_GROUP = re.compile(r"\d+")
_DOUBLED = [0, 2, 4, 6, 8, 1, 3, 5, 7, 9]  # the digit sum of twice a digit


def _redact_cards(text: str) -> str:
    return replace_spans(text, _find_cards(text))


def _find_cards(text: str) -> Iterator[Span]:
    """Yield each series of digit groups that is a card number, also if another number precedes or follows it."""
    for series in _DIGIT_GROUPS.finditer(text):
        if len(series[0]) < _CARD_LENGTHS[0]:
            continue
        groups = [group.span() for group in _DIGIT_GROUP.finditer(text, *series.span())]
        digits = [int(character) for character in series[0] if character.isdecimal()]
        sums = _sum_digits(digits)
        for first, last, start, end in _list_candidates(groups):
            sum_up = sums[end % 2]
            if (sum_up[end] - sum_up[start]) % 10 == 0:
                yield groups[first][0], groups[last][1], "[card number]"


def _list_candidates(groups: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int, int, int]]:
    """Yield the numbers of groups that have as many digits as a card number together.

    Yields:
        The first and the last group, the number of digits before the first one, and that up to the end of the last one.
    """
    bounds = [0, *accumulate(end - start for start, end in groups)]
    shortest = 0
    for first, start in enumerate(bounds[:-1]):
        while shortest < len(groups) and bounds[shortest + 1] - start < _CARD_LENGTHS[0]:
            shortest += 1
        for last in range(shortest, len(groups)):
            end = bounds[last + 1]
            if end - start not in _CARD_LENGTHS:
                break
            yield first, last, start, end


def _sum_digits(digits: Sequence[int]) -> tuple[Sequence[int], Sequence[int]]:
    """Return the running sums of digits in which the digits at even, or at odd positions are doubled.

    The difference of two of them is the sum of Luhn's algorithm, which doubles every second digit from the right.
    """
    even = [_DOUBLED[digit] if number % 2 == 0 else digit for number, digit in enumerate(digits)]
    odd = [_DOUBLED[digit] if number % 2 == 1 else digit for number, digit in enumerate(digits)]
    return [0, *accumulate(even)], [0, *accumulate(odd)]


# Phone numbers

# Not a part of a word, a reference such as #0612345678, a decimal, a date or a longer series of digit groups.
_BEFORE = rf"(?<![\w#.,/-])(?<!\d{_GAP})"
_AFTER = r"(?!\d|[.,-]\d)"
_PHONE_GAP = f"[{_SPACES}{_HYPHENS}().\\/]"
_SPACE = f"[{_SPACES}]"
_SEPARATOR = f"[{_SPACES}.{_HYPHENS}]"
_LOCAL_NUMBER = rf"\d{{2,8}}(?:{_GAP}\d{{2,6}}){{0,2}}"
_PHONE = re.compile(
    rf"""
    \+\(?[1-9](?:{_PHONE_GAP}{{0,3}}\d){{7,14}}(?!\d)                              # +49 (0)30 1234567
    | {_BEFORE}00{_SPACE}?[1-9](?:{_PHONE_GAP}{{0,3}}\d){{8,14}}(?!\d)             # 0049 30 1234567
    | \([2-9]\d\d\){_SEPARATOR}?[2-9]\d\d{_SEPARATOR}\d{{4}}{_AFTER}               # (415) 555-2671
    | {_BEFORE}(?:1{_SEPARATOR})?[2-9]\d\d{_SEPARATOR}[2-9]\d\d{_SEPARATOR}\d{{4}}{_AFTER}  # 415-555-2671
    | {_BEFORE}0[1-9]\d{{8,9}}{_AFTER}(?!\w)                                       # 07700900123
    | {_BEFORE}0[1-9](?:{_SEPARATOR}\d\d){{4}}{_AFTER}                             # 01 23 45 67 89
    | {_BEFORE}0[2-9]{_SPACE}\d{{4}}{_SPACE}\d{{4}}{_AFTER}                        # 02 9374 4000
    | (?P<national>
        (?:\(0\d{{1,4}}\){_GAP}? | {_BEFORE}0[1-9]\d{{1,4}}{_SPACE}?(?:{_SPACE}|[/{_HYPHENS}]){_SPACE}?)
        {_LOCAL_NUMBER}{_AFTER}                                                    # 0171/1234567, (030) 123 456-78
    )
    """,
    re.VERBOSE,
)
_NATIONAL_LENGTHS = range(9, 13)  # digits; a date such as 0901-2026 has less, an account number may have more


def _redact_phones(text: str) -> str:
    return _PHONE.sub(_replace_phone, text)


def _replace_phone(match: re.Match[str]) -> str:
    national = match["national"]
    is_phone = national is None or sum(map(str.isdecimal, national)) in _NATIONAL_LENGTHS
    return "[phone number]" if is_phone else match[0]


# Keys and addresses contain digits, and an IBAN may contain what looks like a card number, so the order matters.
_REPLACE: Mapping[Kind, Callable[[str], str]] = MappingProxyType(
    {
        "key": scrub_secrets,
        "email": _redact_emails,
        "iban": _redact_ibans,
        "card": _redact_cards,
        "phone": _redact_phones,
    }
)
