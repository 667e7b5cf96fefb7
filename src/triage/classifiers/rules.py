"""Keyword rules: a classifier that needs no key, no network and no time. For a start, for tests, and for the demo."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Self

from triage.errors import ConfigurationError
from triage.models import Conversation, Verdict
from triage.policy import Buckets

_DEFAULT: Mapping[str, Sequence[str]] = {
    "urgent": (
        *("outage", "down", "offline", "unreachable", "502", "503", "504", "data loss", "breach*", "hack*", "phishing"),
        *("compromised", "fraud*", "stolen", "stole", "lost my card", "lost card", "lost my phone", "unauthori*"),
        *("locked out", "blocked", "freeze", "not recogni*", "don't recogni*", "did not make", "didn't make"),
        *(
            "forgot my passcode",
            "forgot my password",
            "can't log in",
            "cannot log in",
            "can't access",
            "urgent*",
            "asap",
        ),
        *("emergency", "ausfall", "ausgefallen", "storung", "gehackt", "gesperrt", "gestohlen", "dringend", "notfall"),
    ),
    "billing": (
        *("invoice*", "bill", "bills", "billing", "billed", "refund*", "charge", "charged", "charges", "charging"),
        *("fee", "fees", "payment*", "subscription*", "upgrade", "downgrade", "w2", "w-2", "tax form*", "overcharge*"),
        *("exchange rate", "price plan", "cancel my subscription", "minimum payment", "balance", "vat"),
        *("rechnung*", "erstatt*", "abbuch*", "abgebucht", "zahlung*", "gebuhr*", "kundig*", "abo"),
    ),
    "spam": (
        *("seo", "backlink*", "guest post*", "rank first", "first page of google", "web traffic", "click here"),
        *("limited offer", "winner", "won", "prize*", "claim", "free entry", "txt", "ringtone*", "lottery", "casino"),
        *(
            "crypto",
            "investment*",
            "loan*",
            "dear sir",
            "unsubscribe",
            "gewonnen",
            "gewinnspiel",
            "kredit",
            "100% free",
        ),
    ),
}


class Rules:
    """Chooses the bucket most of whose keywords stand in the subject and the customer's last message.

    A verdict's confidence is the share of its keywords in all that were found plus one: 0.5 for one, 0.75 for three,
    less where other buckets' stand there as well. Without any keyword it is 0, and the bucket the fallback.

    Args:
        keywords: Words or phrases for each bucket, without regard to case and accents; `refund*` is any word that
            begins so. Where two buckets have as many, the one that comes first here is chosen.

    Raises:
        ConfigurationError: There are none, or an empty one.
    """

    def __init__(self, keywords: Mapping[str, Sequence[str]]) -> None:
        if not keywords:
            raise ConfigurationError(
                "Rules has no keywords: give some for at least one bucket, or use Rules.default()."
            )
        for bucket, words in keywords.items():
            if isinstance(words, str) or not words or not all(word.strip("* ") for word in words):
                raise ConfigurationError(f"Rules: the keywords of {bucket!r} are a list of words, none of them empty.")
        self._patterns = {bucket: {word: _pattern(word) for word in words} for bucket, words in keywords.items()}

    @classmethod
    def default(cls) -> Self:
        """Rules for the buckets of `default_buckets()`, of English and German words."""
        return cls(_DEFAULT)

    def check(self, buckets: Buckets) -> None:
        """Refuse keywords for a bucket that there is not; the Router calls this when it is made.

        Args:
            buckets: The Router's.

        Raises:
            ConfigurationError: There is no bucket of a name.
        """
        unknown = [name for name in self._patterns if buckets.get(name) is None]
        if unknown:
            raise ConfigurationError(
                f"Rules has keywords for {unknown[0]!r}, which is none of {', '.join(buckets.names)}."
            )

    def classify(self, conversation: Conversation, buckets: Buckets) -> Verdict:
        """Choose a bucket.

        Args:
            conversation: The conversation.
            buckets: The labels to choose from.
        """
        text = _folded(conversation.text)
        found = {
            bucket: [word for word, pattern in patterns.items() if pattern.search(text)]
            for bucket, patterns in self._patterns.items()
        }
        best = max(found, key=lambda bucket: len(found[bucket]))
        if not found[best]:
            return Verdict(bucket=buckets.fallback.name, confidence=0.0, reason="No keyword found.")
        confidence = len(found[best]) / (sum(map(len, found.values())) + 1)
        # The words of our table: what they matched is the customer's.
        words = ", ".join(sorted(word.strip("* ") for word in found[best]))
        return Verdict(bucket=best, confidence=confidence, reason=f"Found: {words}.")

    async def classify_async(self, conversation: Conversation, buckets: Buckets) -> Verdict:
        """The same: it takes too little time to be worth a thread."""
        return self.classify(conversation, buckets)


def _pattern(word: str) -> re.Pattern[str]:
    whole = re.escape(_folded(word).strip().rstrip("*"))
    return re.compile(rf"(?<!\w){whole}" + ("" if word.rstrip().endswith("*") else r"(?!\w)"))


def _folded(text: str) -> str:
    """Lower case without accents, apostrophes straight."""
    decomposed = unicodedata.normalize("NFKD", text.casefold().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'"))
    return "".join(char for char in decomposed if not unicodedata.combining(char))
