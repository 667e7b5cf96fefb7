"""Selection of names that may appear in an automatic public reply.

Anybody can choose any name, and give somebody else's address as their own. Without this check, the help desk would mail
a stranger's advertisement to a victim.
"""

import re
from html import unescape
from unicodedata import category, normalize

from triage.text.html import clean

_LONGEST_INPUT = 1000
_LONGEST_NAME = 60  # characters
_MOST_WORDS = 6
_MOST_DIGITS = 4  # "Studio 54" and "Class of 1999" are names, phone numbers and the ids of visitors are not
_MOST_MARKS = 3  # in a row; Thai and Hebrew need them, while "Zalgo" text stacks dozens


def clean_name(name: str | None) -> str | None:
    """Return the name of a person or company in one line, or None if it could be anything else.

    The function never raises.

    Args:
        name: The name as the help desk passes it on. It may contain HTML entities, which are decoded once.
    """
    if not name or len(name) > _LONGEST_INPUT:
        return None
    name = _ENTITY.sub(lambda entity: unescape(entity[0]), name).strip()
    if _LINE_BREAK.search(name):
        return None
    name = " ".join(_UNSEEN.sub("", clean(name)).split())
    if name.startswith('"') and name.endswith('"'):
        name = name[1:-1].strip()  # email programs quote a name that contains a comma
    return name if _is_plausible(name) else None


# html.unescape() also decodes entities without a semicolon, such as "&copy" in "Smith&copy", and raises ValueError for
# long numbers.
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,31});")
_LINE_BREAK = re.compile("[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
# Fillers and variation selectors, which clean() keeps.
_UNSEEN = re.compile("[\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")
_JOINERS = re.compile("[\u200c\u200d]")


def _is_plausible(name: str) -> bool:
    if len(name) > _LONGEST_NAME or len(name.split()) > _MOST_WORDS:
        return False
    # Spammers write domains in full-width letters, which a browser replaces like this.
    seen = _DOT.sub(".", normalize("NFKC", _JOINERS.sub("", name)))
    folded = seen.casefold()
    return (
        _has_only_characters_of_names(seen)
        and not _LINK.search(folded)
        and not _is_placeholder(folded)
        and not _is_advertising(folded)
        and not _is_sentence(seen)
    )


# Letters, marks and spaces of any script, and decimal digits.
_CATEGORIES = frozenset({"Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Nd", "Zs"})
_PUNCTUATION = frozenset(
    "'\u2018\u2019\u02bc\xb4\"\u201c\u201d\u201e\xab\xbb"  # apostrophes and quotation marks
    "-\u2010\u2011\u2013\u2014\u05be"  # hyphens and dashes
    ".,&+()\xb7\u30fb\u05f3\u05f4"  # middle dots, Hebrew abbreviations
)
_MARKS_IN_A_ROW = re.compile(f"M{{{_MOST_MARKS + 1}}}")


_ASCII = re.compile("[A-Za-z0-9 '\"\\-.,&+()]*")


def _has_only_characters_of_names(name: str) -> bool:
    if name.isascii():
        letters, digits = sum(map(str.isalpha, name)), sum(map(str.isdigit, name))
        return letters > 1 and digits <= _MOST_DIGITS and _ASCII.fullmatch(name) is not None
    categories = [category(character) for character in name]
    kinds = "".join(kind[0] for kind in categories)
    return (
        all(kind in _CATEGORIES or char in _PUNCTUATION for kind, char in zip(categories, name, strict=True))
        and kinds.count("N") <= _MOST_DIGITS
        and not _MARKS_IN_A_ROW.search(kinds)
        # A single letter is a name only in Chinese.
        and (kinds.count("L") > 1 or "Lo" in categories)
    )


# Browsers also accept an ideographic full stop as the dot of a domain. NFKC has replaced the other ones.
_DOT = re.compile("\u3002")
_LINK = re.compile(
    r"""h(?:tt|xx)p | www
      # A dot before two letters, as in "t.me", or a loose one. "J.R.R. Tolkien", "Ph.D." and "St. Mary" have neither.
      | \.\w[^\s.,()&'\u2019"-] | \s\.
      | \w\.\s(?: com | net | org | info | biz | io | co | me | app | dev | ru | cn | xyz | top )\b
      # "evil dot com", "evil(dot)example", "evil(.)example"
      | \w\s+dot\s+(?: com | net | org | info | io | me )\b
      | \(\W*(?: dot | punkt | punto | point | ponto )?\W*\)""",
    re.VERBOSE,
)


def _split(words: str) -> frozenset[str]:
    return frozenset(words.split())


# Help desks' names for people who gave none. Digits, punctuation and the words before them do not matter.
_PLACEHOLDERS = _split(
    "anon anonymous blank caller client contact customer default empty former guest lead member name none null nan "
    "nobody person sender somebody someone test there undefined unknown unnamed user visitor noreply mailerdaemon "
    "postmaster anonym benutzer benutzerin besucher besucherin gast kunde kundin nutzer nutzerin unbekannt anonyme "
    "inconnu inconnue invité utilisateur visiteur visiteuse anónima anónimo desconocida desconocido invitada invitado "
    "usuario visitante anônima anônimo convidada convidado desconhecida desconhecido usuário anonimo ospite "
    "sconosciuto utente visitatore anoniem bezoeker gebruiker onbekend besökare gäst okänd besøgende gæst ukendt "
    "besøkende gjest ukjent tuntematon vieras anonimowy gość nieznany host neznámý návštěvník vendég anonim "
    "bilinmeyen misafir ziyaretçi аноним гость неизвестно неизвестный пользователь посетитель відвідувач гість زائر "
    "ضيف مجهول אורח ゲスト 匿名 名無し 未知 游客 用户 訪客 访客 遊客 게스트 방문자 손님 익명"
)
_PLACEHOLDER_PHRASES = frozenset(
    {
        *("no name", "no user", "no reply", "do not reply", "not available", "not given", "not provided", "not set"),
        *("first name", "last name", "full name", "user name", "your name", "display name", "first name last name"),
        *("firstname lastname", "kein name", "sans nom", "object object", "mailer daemon", "mail delivery system"),
        *("mail delivery subsystem",),
    }
)
_QUALIFIERS = _split("a an the chat web website site new deleted former unknown anonymous guest your our")
_NEITHER_LETTERS_NOR_MARKS = re.compile(r"[^\w\u0300-\u036f]+|[\d_]+")

# Words of advertisements and of phishing that are not names of people or companies.
_ADVERTISING = _split(
    "you your yours click claim congratulations congrats winner giveaway jackpot prize voucher discount cheap earn "
    "casino viagra bitcoin btc usdt password verify urgent subscribe unsubscribe download whatsapp telegram klick "
    "klicken gewonnen gewinn passwort dringend clic cliquez gagné haga ganado ganaste ganhou vinto нажмите выиграли "
    "кликните"
)
_OFFER = re.compile(
    r"""\b(?: free\ (?:gift|money|iphone|trial) | call\ (?:me|us|now) | visit\ (?:us|my|our) | (?:buy|act)\ now
        | sie\ haben | vous\ avez )\b
      | 点击 | 點擊 | 中奖 | 中獎 | クリック | 当選 | 클릭 | 당첨""",
    re.VERBOSE,
)
_CURRENCY = (
    "eur|euros?|usd|us|dollars?|gbp|pounds?|chf|btc|eth|rub|pln|inr|rs|cny|yen|jpy|kr|sek|nok|dkk|tl"
    "|\u5143|\u5186|\uc6d0|\u0440\u0443\u0431\\w*"
)
_PRICE = re.compile(rf"\d\s?(?:k\s?)?(?:{_CURRENCY})(?!\w)|(?<!\w)(?:{_CURRENCY})\.?\s?\d")

# Words that are in lower case within a name.
_PARTICLES = _split(
    "a al an and at auf aus aux bei ben bin by da das de del della den der des di do dos du e ed el en et for für i "
    "ibn im in la las le les los mit och of og on op or oder para per pour sur te ten ter the to und van vom von y zu "
    "zum zur"
)
_SENTENCE_START = re.compile(r"(?:i|i.m|i.ve|we|please|hello|hi|hey|dear|bitte|hallo|ich|bonjour|je|hola)[\s,].*\w")
_SENTENCE_END = re.compile(r"\w{6,}\.$")  # "Acme Corp." and "Jane D." remain
_LOWER_CASE_WORDS = 3


def _is_placeholder(name: str) -> bool:
    words = _NEITHER_LETTERS_NOR_MARKS.sub(" ", name).split()
    if " ".join(words) in _PLACEHOLDER_PHRASES:
        return True
    if "from" in words:  # "Visitor from Berlin"
        words = words[: words.index("from")]
    return bool(words) and words[-1] in _PLACEHOLDERS and _QUALIFIERS.issuperset(words[:-1])


def _is_advertising(name: str) -> bool:
    words = _NEITHER_LETTERS_NOR_MARKS.sub(" ", name).split()
    return not _ADVERTISING.isdisjoint(words) or bool(_OFFER.search(name) or _PRICE.search(name))


def _is_sentence(name: str) -> bool:
    # "maria de la cruz" is a name in lower case, "please send this to my friend" is not.
    lower = [word for word in name.split() if word[0].islower() and word not in _PARTICLES]
    return (
        len(lower) >= _LOWER_CASE_WORDS
        or name.count(",") > 2
        or bool(_SENTENCE_START.match(name.casefold()))
        or bool(_SENTENCE_END.search(name))
    )
