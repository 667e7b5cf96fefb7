"""Keyword rules: a fast classifier that needs no API key or network, for first steps, tests and demos."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Self

from triage.classifiers.free import FreeClassifier
from triage.errors import ConfigurationError
from triage.models import Conversation, Verdict
from triage.policy import Buckets
from triage.text import normalize_unicode

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


class Rules(FreeClassifier):
    """Chooses the bucket with the most matching keywords in the subject and the customer's last message.

    The confidence is the number of matching keywords of that bucket, divided by one more than the number of matching
    keywords of all buckets: 0.5 for a single match, 0.75 for three, and less if keywords of other buckets match too.
    If no keyword matches, the verdict is the fallback bucket with confidence 0.

    Args:
        keywords: Words or phrases for each bucket. Case and accents are ignored. `refund*` matches every word that
            begins with "refund". If two buckets have equally many matches, the one listed first is chosen.

    Raises:
        ConfigurationError: There are no keywords, or one of them is empty.
    """

    def __init__(self, keywords: Mapping[str, Sequence[str]]) -> None:
        if not keywords:
            raise ConfigurationError(
                "Rules has no keywords: pass some for at least one bucket, or use Rules.default()."
            )
        for bucket, words in keywords.items():
            if isinstance(words, str) or not words or not all(word.strip("* ") for word in words):
                raise ConfigurationError(f"Rules: the keywords of {bucket!r} must be a list of non-empty words.")
        self._patterns = {bucket: {word: _compile(word) for word in words} for bucket, words in keywords.items()}

    @classmethod
    def default(cls) -> Self:
        """Create rules for the default buckets, with English and German keywords."""
        return cls(_DEFAULT)

    def check(self, buckets: Buckets) -> None:
        """Check that there is a bucket for each list of keywords.

        Args:
            buckets: The buckets of the Router.

        Raises:
            ConfigurationError: There are keywords for an unknown bucket.
        """
        unknown = [name for name in self._patterns if buckets.get(name) is None]
        if unknown:
            raise ConfigurationError(
                f"Rules has keywords for {unknown[0]!r}, which is not a bucket. The buckets are: "
                f"{', '.join(buckets.names)}."
            )

    def classify(self, conversation: Conversation, buckets: Buckets) -> Verdict:
        """Choose the bucket of a conversation.

        Args:
            conversation: The conversation, with the customer's last message to classify.
            buckets: The buckets to choose from.
        """
        text = _normalize(conversation.text)
        matches = {
            bucket: [word for word, pattern in patterns.items() if pattern.search(text)]
            for bucket, patterns in self._patterns.items()
        }
        best = max(matches, key=lambda bucket: len(matches[bucket]))
        if not matches[best]:
            return Verdict(bucket=buckets.fallback.name, confidence=0.0, reason="No keyword found.", cost_usd=0.0)
        confidence = len(matches[best]) / (sum(map(len, matches.values())) + 1)
        # The reason lists our keywords, not the customer's words that they matched.
        words = ", ".join(sorted(word.strip("* ") for word in matches[best]))
        return Verdict(bucket=best, confidence=confidence, reason=f"Found: {words}.", cost_usd=0.0)

    async def classify_async(self, conversation: Conversation, buckets: Buckets) -> Verdict:
        """Choose the bucket of a conversation without a thread, because matching takes so little time.

        Args:
            conversation: The conversation, with the customer's last message to classify.
            buckets: The buckets to choose from.
        """
        return self.classify(conversation, buckets)

    def describe(self, buckets: Buckets) -> str:
        """List the keywords of each bucket.

        Args:
            buckets: The buckets to choose from.
        """
        lines = [f"{bucket}: {', '.join(patterns)}" for bucket, patterns in self._patterns.items()]
        return "\n".join(["Rules", *lines, f"fallback: {buckets.fallback.name}"])


def _compile(word: str) -> re.Pattern[str]:
    """Compile a keyword into a pattern that matches whole words, or any word that begins with it if it ends in `*`."""
    stem = re.escape(_normalize(word).strip().rstrip("*"))
    return re.compile(rf"(?<!\w){stem}" + ("" if word.rstrip().endswith("*") else r"(?!\w)"))


def _normalize(text: str) -> str:
    """Return the text in lower case, without accents and with straight apostrophes."""
    decomposed = normalize_unicode("NFKD", text.casefold().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'"))
    return "".join(char for char in decomposed if not unicodedata.combining(char))
