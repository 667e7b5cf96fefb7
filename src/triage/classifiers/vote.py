"""Ask several times, and take the majority's verdict."""

from collections.abc import Sequence
from typing import Any, cast

from triage.classifiers.base import ClassifierLike
from triage.classifiers.ensemble import Ensemble, combine, combine_fallbacks
from triage.classifiers.sampling import get_sample
from triage.errors import ConfigurationError
from triage.io.ports import IO
from triage.models import Conversation, Verdict
from triage.policy import Buckets

_SAMPLES = 3


class Vote(Ensemble):
    """Asks a classifier several times, or several classifiers, and returns the verdict of the majority.

    The confidence is the share of the votes for the winning bucket. A fallback verdict, or an exception, is a vote for
    no bucket, so it lowers the confidence: one usable verdict of three is not an agreement. If no verdict is usable,
    the result is a fallback verdict: `unavailable` if a classifier was unavailable, otherwise `refused` if one refused.

    In a tie, the bucket that comes first in the list of buckets wins, because it is the most important one. The reason
    and the extra fields are those of the most confident verdict for the winner.

    Async code asks concurrently, sync code asks one after another.

    Args:
        classifiers: A classifier, or a list of them.
        samples: How many times to ask each classifier. Default: 3 for a single classifier, 1 for several.

    Raises:
        ConfigurationError: There are fewer than two votes, or a classifier is in the list twice.
    """

    def __init__(self, classifiers: ClassifierLike | Sequence[ClassifierLike], *, samples: int | None = None) -> None:
        # A function or an object could be a sequence as well, but a list is never a classifier.
        is_list = isinstance(classifiers, list | tuple)
        members = cast("Sequence[ClassifierLike]", classifiers if is_list else [classifiers])
        super().__init__(members)
        self.samples = _check_samples(samples, len(members))

    async def decide(self, conversation: Conversation, buckets: Buckets, io: IO) -> Verdict:
        """Choose the bucket of a conversation.

        Args:
            conversation: The conversation.
            buckets: The buckets to choose from.
            io: The port.

        Raises:
            ConfigurationError: A classifier is configured incorrectly, or cannot be used in sync code.
        """
        # If this vote is itself sampled, each of its samples consists of samples of its own.
        first = get_sample() * self.samples
        numbers = range(first, first + self.samples)
        questions = [(classifier, number) for classifier in self.classifiers for number in numbers]
        verdicts, latency = await self.ask_together(questions, conversation, buckets, io)
        usable = [verdict for verdict in verdicts if not verdict.fallback]
        if not usable:
            asked = [classifier for classifier, _ in questions]
            return combine_fallbacks(asked, verdicts, latency, buckets)
        votes = [verdict.bucket for verdict in usable]
        winner = max(buckets.names, key=votes.count)  # the first of several
        supporters = [verdict for verdict in usable if verdict.bucket == winner]
        return combine(
            max(supporters, key=lambda verdict: verdict.confidence),
            verdicts,
            latency,
            confidence=len(supporters) / len(verdicts),
            allow_close=any(verdict.allow_close for verdict in supporters),
        )

    def estimate_cost(self, conversation: Conversation, buckets: Buckets) -> float | None:
        """Return the approximate cost of all votes in US dollars.

        Args:
            conversation: The conversation.
            buckets: The buckets to choose from.

        Returns:
            None if the cost of one of the classifiers is not known.
        """
        cost = super().estimate_cost(conversation, buckets)
        return None if cost is None else cost * self.samples

    def describe_settings(self) -> str:
        """Describe in a line how many votes there are."""
        return f"Vote, samples: {self.samples}"

    def __repr__(self) -> str:
        return f"Vote({list(self.classifiers)!r}, samples={self.samples})"


def _check_samples(samples: Any, classifiers: int) -> int:
    if samples is None:
        return _SAMPLES if classifiers == 1 else 1
    if isinstance(samples, bool) or not isinstance(samples, int) or samples < 1:
        raise ConfigurationError(f"Vote: samples must be a number from 1, not {samples!r}. Write samples=3.")
    if samples * classifiers < 2:
        raise ConfigurationError("Vote: a single sample of a single classifier is no vote. Write samples=3.")
    return samples
