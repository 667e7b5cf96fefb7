"""The base class of classifiers, and the types of anything that can serve as one."""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Protocol, TypeAlias

from triage.errors import ConfigurationError
from triage.models import Conversation, Verdict
from triage.policy import Buckets


class AsyncOnlyError(ConfigurationError):
    """A classifier that can only be awaited was called by a sync entry point.

    Args:
        name: The classifier's name.
    """

    def __init__(self, name: str) -> None:
        super().__init__(
            f"The classifier {name} is async only: call handle_async(), or give it a classify() method as well."
        )


class Classifier:
    """Base class of all classifiers.

    Override `classify`, `classify_async` or both; all other members have defaults. With `classify` alone, async code
    runs it in a thread. With `classify_async` alone, the sync entry points raise `ConfigurationError`.

    One classifier serves all threads and event loops of a process. If it raises an exception, the Router uses the
    fallback bucket. The Router logs the type and location of the exception but not its message, which might quote the
    customer. It does log the message of a `ClassifierError`.
    """

    extra: Mapping[str, str | Sequence[str]] = MappingProxyType({})
    """The names of the fields in `Verdict.extra`, each with a description or its allowed values. Notes and custom
    fields may use these names as placeholders."""

    priced: bool = False
    """True if every verdict reports its cost in `cost_usd`. `Limits(daily_usd=…)` requires it."""

    @property
    def is_async_only(self) -> bool:
        """True if sync code, such as Celery, cannot use the classifier."""
        return type(self).classify is Classifier.classify

    def check(self, buckets: Buckets) -> None:
        """Check that the classifier works with these buckets. The Router calls this method once, when it is created.

        Args:
            buckets: The buckets of the Router.

        Raises:
            ConfigurationError: The classifier does not work with these buckets.
        """

    def classify(self, conversation: Conversation, buckets: Buckets) -> Verdict:
        """Choose the bucket of a conversation.

        Args:
            conversation: The conversation, with the customer's last message to classify.
            buckets: The buckets to choose from.

        Raises:
            ConfigurationError: The classifier is async only.
        """
        raise AsyncOnlyError(type(self).__name__)

    async def classify_async(self, conversation: Conversation, buckets: Buckets) -> Verdict:
        """Choose the bucket of a conversation in async code. By default, run `classify` in a thread.

        Args:
            conversation: The conversation, with the customer's last message to classify.
            buckets: The buckets to choose from.
        """
        return await asyncio.to_thread(self.classify, conversation, buckets)

    def describe(self, buckets: Buckets) -> str:
        """Describe the model, its settings and the prompt: all that a verdict depends on, except the conversation.

        `triage.evals.compare` shows the difference between two descriptions.

        Args:
            buckets: The buckets to choose from.
        """
        return f"{self!r}\n\n{describe_buckets(buckets)}"

    def fingerprint(self, conversation: Conversation, buckets: Buckets) -> str | None:
        """Return a hash of everything that a verdict depends on, so that the verdict can be stored and used again.

        Args:
            conversation: The conversation.
            buckets: The buckets to choose from.

        Returns:
            None if the classifier cannot tell, as for any function: its code may change at any time.
        """
        return None

    def estimate_cost(self, conversation: Conversation, buckets: Buckets) -> float | None:
        """Return the approximate cost of a verdict in US dollars, without requesting one.

        Args:
            conversation: The conversation.
            buckets: The buckets to choose from.

        Returns:
            None if the cost is not known.
        """
        return None

    def warm_up(self) -> None:
        """Prepare for the first classification, for example by importing packages or creating clients.

        Raises:
            ConfigurationError: The classifier cannot work, for example because an API key is missing.
        """

    def close(self) -> None:
        """Close the clients and files that `classify` opened."""

    async def aclose(self) -> None:
        """Do the same as `close`, and close what `classify_async` opened on the running event loop."""
        self.close()

    async def leave_loop(self) -> None:
        """Close only what `classify_async` opened on the running event loop, which is about to end.

        A `Worker` and `triage.evals.evaluate` call this method for a classifier that you pass in. It remains usable.
        """

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


def describe_buckets(buckets: Buckets) -> str:
    """Return the parts of buckets that classifiers use: the names, descriptions and examples.

    Args:
        buckets: The buckets.
    """
    lines: list[str] = []
    for bucket in buckets:
        lines.append(f"{bucket.name}: {bucket.description.strip()}")
        lines += [f"  example: {example.strip()}" for example in bucket.examples]
    return "\n".join([*lines, f"fallback: {buckets.fallback.name}"])


def hash_texts(*texts: str) -> str:
    """Return a hash of some texts, for fingerprints.

    Args:
        texts: The texts. Their boundaries are part of the hash.
    """
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()[:32]


def render_conversation(conversation: Conversation) -> str:
    """Return everything in a conversation that a verdict may depend on, as JSON, for fingerprints.

    Ids are left out, because they differ between a help desk, a data set and a test.

    Args:
        conversation: The conversation.
    """
    fields = conversation.model_dump(mode="json", include={"subject", "channel", "inbox", "brand", "tags"})
    fields["messages"] = [
        message.model_dump(mode="json", exclude={"id", "author"}) for message in conversation.messages
    ]
    return json.dumps(fields, sort_keys=True)


class SupportsClassify(Protocol):
    """An object with a `classify` method. It may define any other member of `Classifier`, too."""

    def classify(self, conversation: Conversation, buckets: Buckets) -> Verdict:
        """Choose the bucket of a conversation."""
        ...


class SupportsClassifyAsync(Protocol):
    """An object with a `classify_async` method. It may define any other member of `Classifier`, too."""

    def classify_async(self, conversation: Conversation, buckets: Buckets) -> Awaitable[Verdict]:
        """Choose the bucket of a conversation in async code."""
        ...


ClassifierLike: TypeAlias = (
    Classifier
    | SupportsClassify
    | SupportsClassifyAsync
    | Callable[[str], str | Verdict]
    | Callable[[str], Awaitable[str | Verdict]]
    | str
)
"""Anything that `as_classifier` accepts: a classifier, a function that takes the customer text, or a model name."""
