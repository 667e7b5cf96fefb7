"""The base class of classifiers that are built from other classifiers."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import partial

from triage.classifiers.adapt import as_classifier
from triage.classifiers.base import Classifier, ClassifierLike
from triage.io.ports import IO, AsyncIO, SyncIO, run
from triage.models import Conversation, Verdict
from triage.policy import Buckets


class Composite(Classifier):
    """A classifier that asks other classifiers. The logic is written once, in `decide`, for sync and async code.

    Args:
        classifiers: The classifiers: anything that `as_classifier` accepts.

    Attributes:
        classifiers: The classifiers, complete.
    """

    def __init__(self, classifiers: Sequence[ClassifierLike]) -> None:
        self.classifiers: tuple[Classifier, ...] = tuple(map(as_classifier, classifiers))
        self.priced = all(classifier.priced for classifier in self.classifiers)
        extra: dict[str, str | Sequence[str]] = {}
        for classifier in self.classifiers:
            extra |= dict(classifier.extra)
        self.extra: Mapping[str, str | Sequence[str]] = extra

    @property
    def is_async_only(self) -> bool:
        """True if one of the classifiers is async only."""
        return any(classifier.is_async_only for classifier in self.classifiers)

    @abstractmethod
    async def decide(self, conversation: Conversation, buckets: Buckets, io: IO) -> Verdict:
        """Choose the bucket of a conversation.

        Args:
            conversation: The conversation.
            buckets: The buckets to choose from.
            io: The port, to pass to `ask`.
        """

    async def ask(self, classifier: Classifier, conversation: Conversation, buckets: Buckets, io: IO) -> Verdict:
        """Ask one of the classifiers.

        Args:
            classifier: The classifier.
            conversation: The conversation.
            buckets: The buckets to choose from.
            io: The port that `decide` was given.
        """
        method = classifier.classify_async if io.is_async else classifier.classify
        verdict: Verdict = await io.call(partial(method, conversation, buckets))
        return verdict

    def check(self, buckets: Buckets) -> None:
        """Check that each of the classifiers works with these buckets.

        Args:
            buckets: The buckets of the Router.

        Raises:
            ConfigurationError: One of the classifiers does not work with these buckets.
        """
        for classifier in self.classifiers:
            classifier.check(buckets)

    def classify(self, conversation: Conversation, buckets: Buckets) -> Verdict:
        """Choose the bucket of a conversation.

        Args:
            conversation: The conversation.
            buckets: The buckets to choose from.

        Raises:
            ConfigurationError: One of the classifiers is async only.
        """
        return run(self.decide(conversation, buckets, SyncIO()))

    async def classify_async(self, conversation: Conversation, buckets: Buckets) -> Verdict:
        """Choose the bucket of a conversation in async code.

        Args:
            conversation: The conversation.
            buckets: The buckets to choose from.
        """
        return await self.decide(conversation, buckets, AsyncIO())

    def warm_up(self) -> None:
        """Warm up each of the classifiers.

        Raises:
            ConfigurationError: One of the classifiers cannot work.
        """
        for classifier in self.classifiers:
            classifier.warm_up()

    def close(self) -> None:
        """Close each of the classifiers."""
        for classifier in self.classifiers:
            classifier.close()

    async def aclose(self) -> None:
        """Close each of the classifiers, including what they opened on the running event loop."""
        for classifier in self.classifiers:
            await classifier.aclose()

    async def leave_loop(self) -> None:
        """Close what each of the classifiers opened on the running event loop, which is about to end."""
        for classifier in self.classifiers:
            await classifier.leave_loop()
