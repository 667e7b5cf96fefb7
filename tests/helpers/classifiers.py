"""Classifiers with fixed verdicts, for tests of classifiers that ask others."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from tests.helpers.api import Api
from triage import Bucket, Buckets, Conversation, Message, Verdict
from triage.classifiers import Classifier
from triage.classifiers.sampling import get_sample
from triage.models import FallbackReason

BUCKETS = Buckets([Bucket("urgent", "Outages"), Bucket("billing", "Invoices"), Bucket("general", "Anything else")])
CONVERSATION = Conversation(id="1", messages=(Message(id="1", role="customer", text="I was charged twice."),))


class Fixed(Classifier):
    """Returns or raises its answers one after another; the last one repeatedly.

    Args:
        answers: The answers.
        name: The name in descriptions.
        extra: The extra fields.
        priced: Whether its verdicts report their cost.
        key: The fingerprint of every conversation.
        cost: The estimated cost of a verdict.

    Attributes:
        conversations: The conversations that were classified.
        samples: The number of the sample of each call.
        events: The calls of other methods.
    """

    def __init__(
        self,
        *answers: Verdict | Exception,
        name: str = "a",
        extra: Mapping[str, str | Sequence[str]] | None = None,
        priced: bool = True,
        key: str | None = "key",
        cost: float | None = 0.5,
    ) -> None:
        self.answers = answers
        self.name = name
        self.extra = extra or {}
        self.priced = priced
        self.key = key
        self.cost = cost
        self.conversations: list[Conversation] = []
        self.samples: list[int] = []
        self.events: list[str] = []

    def classify(self, conversation: Conversation, buckets: Buckets) -> Verdict:
        answer = self.answers[min(len(self.conversations), len(self.answers) - 1)]
        self.conversations.append(conversation)
        self.samples.append(get_sample())
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def classify_async(self, conversation: Conversation, buckets: Buckets) -> Verdict:
        await asyncio.sleep(0)
        return self.classify(conversation, buckets)

    def check(self, buckets: Buckets) -> None:
        self.events.append("check")

    def fingerprint(self, conversation: Conversation, buckets: Buckets) -> str | None:
        return None if self.key is None else f"{self.key} {conversation.text}"

    def estimate_cost(self, conversation: Conversation, buckets: Buckets) -> float | None:
        return None if self.cost is None else self.cost * len(conversation.text)

    def warm_up(self) -> None:
        self.events.append("warm_up")

    def close(self) -> None:
        self.events.append("close")

    async def aclose(self) -> None:
        self.events.append("aclose")

    def __repr__(self) -> str:
        return f"Fixed({self.name})"


class Together(Classifier):
    """Returns a verdict when a number of calls are being made at the same time, and never before.

    Args:
        calls: The number of calls.
        verdict: The verdict.
    """

    def __init__(self, calls: int, verdict: Verdict) -> None:
        self._barrier = asyncio.Barrier(calls)
        self._verdict = verdict

    async def classify_async(self, conversation: Conversation, buckets: Buckets) -> Verdict:
        await asyncio.wait_for(self._barrier.wait(), timeout=30)
        return self._verdict


def fallback(kind: FallbackReason = "refused", **fields: Any) -> Verdict:
    """Return a fallback verdict."""
    fields = {"reason": f"it was {kind}", "cost_usd": 0.0, **fields}
    return Verdict(bucket="general", confidence=0.0, fallback_reason=kind, **fields)


def classify(api: Api, classifier: Classifier, conversation: Conversation = CONVERSATION) -> Verdict:
    """Classify a conversation through the sync or the async method."""
    if api.name == "sync":
        return classifier.classify(conversation, BUCKETS)
    return asyncio.run(classifier.classify_async(conversation, BUCKETS))
