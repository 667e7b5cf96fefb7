"""The protocol of a classifier."""

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeAlias, runtime_checkable

from triage.models import (
    Conversation,
    Verdict,
)
from triage.policy import Buckets


@runtime_checkable
class Classifier(Protocol):
    """Tells the bucket. It may raise: the Router then uses its fallback bucket."""

    def classify(self, conversation: Conversation, buckets: Buckets) -> Verdict:
        """Classify the conversation, above all the customer's last message."""
        ...


@runtime_checkable
class AsyncClassifier(Protocol):
    """The same for the async door. One class may be both."""

    async def classify_async(self, conversation: Conversation, buckets: Buckets) -> Verdict:
        """Classify the conversation, above all the customer's last message."""
        ...


ClassifierLike: TypeAlias = (
    Classifier | AsyncClassifier | Callable[[str], str | Verdict] | Callable[[str], Awaitable[str | Verdict]]
)
"""A classifier, or a plain function from the customer's text to a bucket's name."""
