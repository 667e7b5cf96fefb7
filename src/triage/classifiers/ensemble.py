"""The base class of classifiers that ask several others and combine their verdicts into one."""

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from triage.classifiers.base import Classifier, ClassifierLike, describe_buckets, hash_texts
from triage.classifiers.composite import Composite
from triage.classifiers.fallback import check_bucket, fall_back_after, quote_error
from triage.classifiers.sampling import use_sample
from triage.errors import ConfigurationError, describe_location
from triage.io.ports import IO
from triage.log import get_logger
from triage.models import Conversation, FallbackReason, Usage, Verdict
from triage.policy import Buckets

logger = get_logger(__name__)


class Ensemble(Composite):
    """Asks several classifiers. If one of them raises an exception, the others may still return a verdict.

    Args:
        classifiers: The classifiers.

    Raises:
        ConfigurationError: There is no classifier, or one is in the list twice.
    """

    def __init__(self, classifiers: Sequence[ClassifierLike]) -> None:
        name = type(self).__name__
        if not classifiers:
            raise ConfigurationError(f"{name} has no classifiers. Write {name}([Claude(), …]).")
        if len({id(classifier) for classifier in classifiers}) < len(classifiers):
            raise ConfigurationError(
                f"{name} has the same classifier twice. To ask it several times, write Vote(classifier, samples=3)."
            )
        super().__init__(classifiers)

    async def ask_together(
        self, questions: Sequence[tuple[Classifier, int]], conversation: Conversation, buckets: Buckets, io: IO
    ) -> tuple[list[Verdict], float]:
        """Ask classifiers concurrently in async code, and one after another in sync code.

        Args:
            questions: The classifiers, each with the number of the sample.
            conversation: The conversation.
            buckets: The buckets to choose from.
            io: The port that `decide` was given.

        Returns:
            The verdicts in the order of the questions, and the time that they took in seconds. Instead of an exception,
            there is a fallback verdict.

        Raises:
            ConfigurationError: A classifier is configured incorrectly, or cannot be used in sync code.
        """
        verdicts = await io.gather(
            [
                partial(self._ask_sample, classifier, sample, conversation, buckets, io)
                for classifier, sample in questions
            ]
        )
        latencies = [verdict.latency for verdict in verdicts]
        return verdicts, max(latencies) if io.is_async else sum(latencies)

    async def _ask_sample(
        self, classifier: Classifier, sample: int, conversation: Conversation, buckets: Buckets, io: IO
    ) -> Verdict:
        try:
            with use_sample(sample):
                verdict = await self.ask(classifier, conversation, buckets, io)
        except ConfigurationError:
            raise
        except Exception as err:  # noqa: BLE001 - a classifier is the user's code, or a service that may be down
            logger.error("%s raised %s%s", repr(classifier), describe_location(err), quote_error(err))  # noqa: TRY400
            # An exception reports no cost, and must not hide from the daily budget the cost of the other verdicts.
            cost_usd = 0.0 if classifier.priced else None
            return fall_back_after(err, f"it raised {type(err).__name__}", buckets, cost_usd=cost_usd)
        return check_bucket(verdict, buckets, "it")

    def fingerprint(self, conversation: Conversation, buckets: Buckets) -> str | None:
        """Return a hash of the settings, the buckets and the fingerprints of the classifiers.

        Args:
            conversation: The conversation.
            buckets: The buckets to choose from.

        Returns:
            None if one of the classifiers returns None.
        """
        fingerprints: list[str] = []
        for classifier in self.classifiers:
            fingerprint = classifier.fingerprint(conversation, buckets)
            if fingerprint is None:
                return None
            fingerprints.append(fingerprint)
        return hash_texts(self.describe_settings(), describe_buckets(buckets), *fingerprints)

    @abstractmethod
    def describe_settings(self) -> str:
        """Describe in a line how the verdicts are combined."""

    def describe(self, buckets: Buckets) -> str:
        """Describe the settings and each of the classifiers.

        Args:
            buckets: The buckets to choose from.
        """
        parts = [
            f"{number}. {classifier!r}\n\n{classifier.describe(buckets)}"
            for number, classifier in enumerate(self.classifiers, 1)
        ]
        return "\n\n".join([self.describe_settings(), *parts])

    def estimate_cost(self, conversation: Conversation, buckets: Buckets) -> float | None:
        """Return the approximate cost of a verdict in US dollars if each classifier is asked once.

        Args:
            conversation: The conversation.
            buckets: The buckets to choose from.

        Returns:
            None if the cost of one of the classifiers is not known.
        """
        return _add(classifier.estimate_cost(conversation, buckets) for classifier in self.classifiers)


def combine(verdict: Verdict, parts: Sequence[Verdict], latency: float, **changes: Any) -> Verdict:
    """Return a verdict with the total usage and cost of several.

    Args:
        verdict: The verdict that decides.
        parts: All verdicts, in the order in which they were requested.
        latency: The time that they took in seconds.
        changes: Other fields to change.
    """
    usages = [dict(part.usage) for part in parts]
    totals = {name: sum(usage[name] for usage in usages) for name in Usage.model_fields}
    combined = {
        "usage": Usage(**totals),
        "cost_usd": _add(part.cost_usd for part in parts),
        "latency": latency,
        "parts": tuple(parts),
        "replayed": all(part.replayed for part in parts),
    }
    return verdict.model_copy(update=combined | changes)


def combine_fallbacks(
    classifiers: Sequence[Classifier], parts: Sequence[Verdict], latency: float, buckets: Buckets
) -> Verdict:
    """Return one fallback verdict for several.

    It is `unavailable` if a later call may return a verdict, and otherwise `refused` if one of the models refused.

    Args:
        classifiers: The classifiers, in the order of `parts`.
        parts: The fallback verdicts, in the order in which they were requested.
        latency: The time that they took in seconds.
        buckets: The buckets to choose from.
    """
    kind = _choose_kind(parts)
    reasons = [f"{classifier!r}: {part.reason}" for classifier, part in zip(classifiers, parts, strict=True)]
    delays = [part.retry_after for part in parts if part.retry_after is not None]
    return combine(
        parts[-1],
        parts,
        latency,
        bucket=buckets.fallback.name,
        confidence=0.0,
        reason="; ".join(dict.fromkeys(reasons)),
        fallback_reason=kind,
        retry_after=min(delays, default=None) if kind == "unavailable" else None,
    )


def _choose_kind(parts: Sequence[Verdict]) -> FallbackReason | None:
    kinds: list[FallbackReason | None] = [part.fallback_reason for part in parts]
    if "unavailable" in kinds:
        return "unavailable"
    return "refused" if "refused" in kinds else kinds[0]


def _add(costs: Iterable[float | None]) -> float | None:
    """Return the sum of costs, or None if one of them is not known."""
    total = 0.0
    for cost in costs:
        if cost is None:
            return None
        total += cost
    return total
