"""Remove personal data from a conversation before a classifier sees it."""

from collections.abc import Callable, Collection, Sequence
from typing import Any, Protocol, cast

from triage.classifiers.base import ClassifierLike
from triage.classifiers.composite import Composite
from triage.errors import ClassifierError, ConfigurationError
from triage.io.ports import IO
from triage.models import Conversation, Message, Verdict
from triage.policy import Buckets
from triage.text.redaction import KINDS, Kind, redact, replace_spans

_PRESIDIO_PLACEHOLDERS = {
    "CREDIT_CARD": "[card number]",
    "EMAIL_ADDRESS": "[email]",
    "IBAN_CODE": "[IBAN]",
    "PHONE_NUMBER": "[phone number]",
}
"""The names that we use ourselves for the same data."""


class Finding(Protocol):
    """A part of a text that Presidio found, such as a `presidio_analyzer.RecognizerResult`."""

    entity_type: str
    start: int
    end: int


class Analyzer(Protocol):
    """Finds personal data, such as a `presidio_analyzer.AnalyzerEngine`."""

    def analyze(self, text: str, language: str) -> Sequence[Any]:
        """Return the findings in a text, each with `entity_type`, `start` and `end`."""
        ...


class Redacted(Composite):
    """Removes personal data from the conversation that a classifier sees.

    Placeholders such as `[card number]` replace the data in the subject, the messages, the quoted history and the names
    of attachments. The customer's name and email address are left out; the customer's id is kept. The Router itself,
    its actions and the inbox still use the original conversation.

    If `function` or `presidio` raises an exception, the classifier is not asked.

    Args:
        classifier: The classifier.
        kinds: The kinds of data to remove.

            - `card`: card numbers of 13 to 19 digits with a valid check digit, with or without spaces and dashes.
            - `iban`: bank account numbers with valid check digits, with or without spaces and dashes.
            - `key`: API keys, tokens and private keys.
            - `email`: email addresses.
            - `phone`: phone numbers with a country code, and common national forms. A number of which only people
              could say what it is stays, such as `4155552671`.
        function: Your own function, which takes a text and returns it without what must not be sent. It is called
            first, and may be called from several threads.
        presidio: A `presidio_analyzer.AnalyzerEngine`, which is called second. Its findings become placeholders such as
            `[person]`.
        language: The language that is passed to `presidio`.

    Raises:
        ConfigurationError: There is no such kind, or nothing to remove.
    """

    def __init__(
        self,
        classifier: ClassifierLike,
        *,
        kinds: Collection[Kind] = KINDS,
        function: Callable[[str], str] | None = None,
        presidio: Analyzer | None = None,
        language: str = "en",
    ) -> None:
        super().__init__([classifier])
        self.kinds = _check_kinds(kinds)
        _check_tools(function, presidio)
        if not self.kinds and function is None and presidio is None:
            raise ConfigurationError(f"Redacted removes nothing: kinds is empty. Write kinds={list(KINDS)!r}.")
        self._function = function
        self._presidio = presidio
        self._language = language

    async def decide(self, conversation: Conversation, buckets: Buckets, io: IO) -> Verdict:
        """Choose the bucket of a conversation.

        Args:
            conversation: The conversation.
            buckets: The buckets to choose from.
            io: The port.

        Raises:
            ClassifierError: `function` does not return a string.
            ConfigurationError: The classifier is async only.
        """
        redacted = await io.run_blocking(self.redact, conversation)
        return await self.ask(self.classifiers[0], redacted, buckets, io)

    def redact(self, conversation: Conversation) -> Conversation:
        """Return the conversation as the classifier sees it.

        Args:
            conversation: The conversation.

        Raises:
            ClassifierError: `function` does not return a string.
        """
        changes = {
            "subject": self._redact_text(conversation.subject),
            "customer": conversation.customer.model_copy(update={"name": None, "email": None}),
            "messages": tuple(map(self._redact_message, conversation.messages)),
        }
        return conversation.model_copy(update=changes)

    def _redact_message(self, message: Message) -> Message:
        changes = {
            "text": self._redact_text(message.text),
            "quoted": self._redact_text(message.quoted),
            "attachments": tuple(map(self._redact_text, message.attachments)),
        }
        return message.model_copy(update=changes)

    def _redact_text(self, text: str) -> str:
        if not text:
            return text
        if self._function is not None:
            text = _check_text(self._function(text))
        if self._presidio is not None:
            findings = self._presidio.analyze(text=text, language=self._language)
            findings = sorted(findings, key=lambda finding: (finding.start, -finding.end))
            text = replace_spans(text, ((finding.start, finding.end, _name(finding)) for finding in findings))
        return redact(text, self.kinds)

    def fingerprint(self, conversation: Conversation, buckets: Buckets) -> str | None:
        """Return the classifier's fingerprint of the redacted conversation.

        Args:
            conversation: The conversation.
            buckets: The buckets to choose from.

        Returns:
            None if the classifier returns None.
        """
        return self.classifiers[0].fingerprint(self.redact(conversation), buckets)

    def estimate_cost(self, conversation: Conversation, buckets: Buckets) -> float | None:
        """Return the classifier's approximate cost for the redacted conversation in US dollars.

        Args:
            conversation: The conversation.
            buckets: The buckets to choose from.

        Returns:
            None if the cost is not known.
        """
        return self.classifiers[0].estimate_cost(self.redact(conversation), buckets)

    def describe(self, buckets: Buckets) -> str:
        """Describe which data is removed, and the classifier.

        Args:
            buckets: The buckets to choose from.
        """
        tools = [name for name, tool in (("function", self._function), ("presidio", self._presidio)) if tool]
        removed = ", ".join([*self.kinds, *tools])
        return f"Redacted: {removed}\n\n{self.classifiers[0].describe(buckets)}"

    def __repr__(self) -> str:
        return f"Redacted({self.classifiers[0]!r})"


def _name(finding: Finding) -> str:
    name = finding.entity_type.lower().replace("_", " ")
    return _PRESIDIO_PLACEHOLDERS.get(finding.entity_type, f"[{name}]")


def _check_kinds(kinds: Any) -> tuple[Kind, ...]:
    if isinstance(kinds, str) or not isinstance(kinds, Collection):
        raise ConfigurationError(f"Redacted: kinds must be a list. Write kinds={list(KINDS)!r}.")
    names = cast("Collection[object]", kinds)
    unknown = [name for name in names if name not in KINDS]
    if unknown:
        raise ConfigurationError(f"Redacted: there is no kind {unknown[0]!r}. The kinds are {', '.join(KINDS)}.")
    return tuple(kind for kind in KINDS if kind in names)


def _check_tools(function: Any, presidio: Any) -> None:
    if function is not None and not callable(function):
        raise ConfigurationError("Redacted: `function` must be a function that takes a text and returns a text.")
    if presidio is not None and not callable(getattr(presidio, "analyze", None)):
        raise ConfigurationError("Redacted: `presidio` must be an analyzer. Write presidio=AnalyzerEngine().")


def _check_text(value: Any) -> str:
    if not isinstance(value, str):
        raise ClassifierError(f"the `function` of Redacted must return a string, not {type(value).__name__}")
    return value
