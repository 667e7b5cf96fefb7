"""Ask a second classifier if the verdict of the first one is doubtful."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeAlias, cast

from triage.classifiers.base import ClassifierLike
from triage.classifiers.ensemble import Ensemble, combine, combine_fallbacks
from triage.classifiers.sampling import get_sample
from triage.errors import ConfigurationError, describe_location
from triage.io.ports import IO
from triage.log import get_logger
from triage.models import Conversation, Verdict
from triage.policy import Buckets

logger = get_logger(__name__)

Escalate: TypeAlias = float | Mapping[str, float] | Literal["disagreement"] | Callable[[Verdict], object]
"""When a `Cascade` asks the next classifier: below a confidence, below a confidence for each bucket, until two verdicts
agree, or if a function returns True."""

_ANY = "*"
_PAIR = 2  # verdicts that can agree
_ADVICE = (
    "Write a confidence from 0 to 1 such as 0.8, confidences by bucket such as {'spam': 0.95, '*': 0.7}, "
    "'disagreement', or a function that takes a verdict."
)


class Cascade(Ensemble):
    """Asks classifiers one after another until a verdict is certain enough.

    The verdict of the last classifier that was asked decides. If it is a fallback verdict, the last usable verdict
    decides, with its low confidence. If there is no usable verdict, the result is a fallback verdict: `unavailable` if
    one of the classifiers was unavailable, otherwise `refused` if one of them refused.

    An exception of a classifier is logged like one that reaches the Router, and counts as a fallback verdict.

    Args:
        classifiers: The classifiers, such as `[Claude(), Claude("claude-sonnet-5-5")]`: at least two.
        escalate: When to ask the next classifier. A fallback verdict always escalates.

            - A confidence from 0 to 1: if the verdict's confidence is lower.
            - A mapping: a confidence for each bucket, and one for all others as `"*"`. Without `"*"`, the other
              buckets never escalate.
            - `"disagreement"`: ask the first two classifiers, concurrently in async code, and then the others until two
              verdicts name the same bucket. This needs at least three classifiers. If no two agree, the last usable
              verdict decides.
            - A function: if it returns True for the verdict. If it raises an exception, the verdict escalates.

    Raises:
        ConfigurationError: There are too few classifiers, one is in the list twice, or `escalate` is invalid.
    """

    def __init__(self, classifiers: Sequence[ClassifierLike], *, escalate: Escalate = 0.8) -> None:
        self._needs_agreement = escalate == "disagreement"
        self._function = _check_function(escalate) if callable(escalate) else None
        is_rule = self._needs_agreement or self._function is not None
        self._confidences: Mapping[str, float] = {} if is_rule else _check_confidences(escalate)
        super().__init__(_check_classifiers(classifiers, _PAIR + self._needs_agreement))

    def check(self, buckets: Buckets) -> None:
        """Check that `escalate` names only buckets, and that each of the classifiers works with them.

        Args:
            buckets: The buckets of the Router.

        Raises:
            ConfigurationError: `escalate` names an unknown bucket, or a classifier does not work with these buckets.
        """
        unknown = [name for name in self._confidences if name != _ANY and buckets.get(name) is None]
        if unknown:
            raise ConfigurationError(
                f"Cascade: escalate has a confidence for {unknown[0]!r}, which is not a bucket. The buckets are: "
                f"{', '.join(buckets.names)}."
            )
        super().check(buckets)

    async def decide(self, conversation: Conversation, buckets: Buckets, io: IO) -> Verdict:
        """Choose the bucket of a conversation.

        Args:
            conversation: The conversation.
            buckets: The buckets to choose from.
            io: The port.

        Raises:
            ConfigurationError: A classifier is configured incorrectly, or cannot be used in sync code.
        """
        verdicts: list[Verdict] = []
        latency = 0.0
        while len(verdicts) < len(self.classifiers) and not self._is_settled(verdicts):
            start = len(verdicts)
            end = _PAIR if self._needs_agreement and start == 0 else start + 1
            questions = [(classifier, get_sample()) for classifier in self.classifiers[start:end]]
            answers, seconds = await self.ask_together(questions, conversation, buckets, io)
            verdicts += answers
            latency += seconds
        usable = [verdict for verdict in verdicts if not verdict.fallback]
        if not usable:
            return combine_fallbacks(self.classifiers, verdicts, latency, buckets)
        return combine(usable[-1], verdicts, latency)

    def _is_settled(self, verdicts: Sequence[Verdict]) -> bool:
        """Return whether no other classifier needs to be asked."""
        if not verdicts or verdicts[-1].fallback:
            return False
        *others, last = verdicts
        if self._needs_agreement:
            return any(other.bucket == last.bucket for other in others if not other.fallback)
        if self._function is not None:
            return not _must_escalate(self._function, last)
        return last.confidence >= self._confidences.get(last.bucket, self._confidences.get(_ANY, 0.0))

    def fingerprint(self, conversation: Conversation, buckets: Buckets) -> str | None:
        """Return a hash of the settings, the buckets and the fingerprints of the classifiers.

        Args:
            conversation: The conversation.
            buckets: The buckets to choose from.

        Returns:
            None if `escalate` is a function, or if one of the classifiers returns None.
        """
        return None if self._function is not None else super().fingerprint(conversation, buckets)

    def describe_settings(self) -> str:
        """Describe in a line when the next classifier is asked."""
        return f"Cascade, escalate: {self._format_escalate()}"

    def __repr__(self) -> str:
        return f"Cascade({list(self.classifiers)!r}, escalate={self._format_escalate()})"

    def _format_escalate(self) -> str:
        if self._needs_agreement:
            return "'disagreement'"
        if self._function is not None:
            return str(getattr(self._function, "__qualname__", type(self._function).__name__))
        confidences = dict(self._confidences)
        return str(confidences[_ANY] if list(confidences) == [_ANY] else confidences)


def _must_escalate(function: Callable[[Verdict], object], verdict: Verdict) -> bool:
    try:
        return bool(function(verdict))
    except ConfigurationError:
        raise
    except Exception as err:  # noqa: BLE001 - the user's code; a defect in it must not lose the verdict
        logger.error("the `escalate` function of Cascade raised %s", describe_location(err))  # noqa: TRY400 - the same
        return True


def _check_classifiers(classifiers: Any, least: int) -> Sequence[ClassifierLike]:
    if not isinstance(classifiers, list | tuple):
        raise ConfigurationError("Cascade takes a list. Write Cascade([Claude(), Claude('claude-sonnet-5-5')]).")
    checked = cast("Sequence[ClassifierLike]", classifiers)
    if len(checked) < least:
        setting = "Cascade with escalate='disagreement'" if least > _PAIR else "Cascade"
        raise ConfigurationError(f"{setting} needs at least {least} classifiers, not {len(checked)}.")
    return checked


def _check_function(function: Callable[[Verdict], object]) -> Callable[[Verdict], object]:
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__):
        raise ConfigurationError("Cascade: the `escalate` function must not be async.")
    return function


def _check_confidences(escalate: Any) -> Mapping[str, float]:
    """Return the confidences by bucket. A single one is that of all buckets."""
    if not isinstance(escalate, Mapping):
        return {_ANY: _check_confidence(escalate)}
    confidences = cast("Mapping[object, object]", escalate)
    return {_check_name(name): _check_confidence(value) for name, value in confidences.items()}


def _check_name(name: object) -> str:
    if not isinstance(name, str):
        raise ConfigurationError(f"Cascade: escalate names {name!r}, which is not a bucket. {_ADVICE}")
    return name.strip().casefold()


def _check_confidence(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ConfigurationError(f"Cascade: escalate must not be {value!r}. {_ADVICE}")
    return float(value)
