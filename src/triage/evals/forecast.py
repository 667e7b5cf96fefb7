"""A forecast of what an evaluation costs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from triage.models import Conversation

_MOST_ESTIMATES = 200
_SMALLEST = 0.01  # US dollars


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """The questions and the cost of an evaluation, to print before it starts.

    Args:
        classifier: The name of the classifier.
        messages: The number of messages.
        samples: How often the classifier is asked about each message.
        on_record: How many verdicts are on record.
        cost_usd: The approximate cost of the other verdicts in US dollars; None if the price is not known.
        is_batch: True if they are requested in batches.
    """

    classifier: str
    messages: int
    samples: int
    on_record: int
    cost_usd: float | None
    is_batch: bool

    def __str__(self) -> str:
        messages = "1 message" if self.messages == 1 else f"{self.messages:,} messages"
        samples = f" with {self.samples} samples each" if self.samples > 1 else ""
        return f"{messages}{samples}, {self.classifier}: {self._describe_cost()}{self._describe_record()}."

    def _describe_cost(self) -> str:
        if self.on_record >= self.messages * self.samples:
            return "nothing to ask"
        if self.cost_usd is None:
            return "the price is not known"
        if self.cost_usd == 0:
            return "free"
        amount = "less than $0.01" if self.cost_usd < _SMALLEST else f"about ${self.cost_usd:,.2f}"
        return f"{amount}{' as a batch' if self.is_batch else ''}"

    def _describe_record(self) -> str:
        if not self.on_record:
            return ""
        return "; 1 answer is on record" if self.on_record == 1 else f"; {self.on_record:,} answers are on record"


def estimate_total(
    conversations: Sequence[Conversation], estimate: Callable[[Conversation], float | None]
) -> float | None:
    """Return the approximate cost of the verdicts about some conversations, from a sample if there are many.

    Args:
        conversations: The conversations.
        estimate: Returns the approximate cost of one of them in US dollars, or None.

    Returns:
        None if the cost of one of them is not known.
    """
    step = max(1, len(conversations) // _MOST_ESTIMATES)
    costs = [estimate(conversation) for conversation in conversations[::step]]
    known = [cost for cost in costs if cost is not None]
    if len(known) < len(costs):
        return None
    return sum(known) / len(known) * len(conversations) if known else 0.0
