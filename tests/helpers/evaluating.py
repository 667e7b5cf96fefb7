"""Small data sets and classifiers for evaluations."""

from collections.abc import Mapping, Sequence
from typing import Any

from triage import Bucket, Buckets, Conversation, Message, Verdict
from triage.classifiers import Classifier
from triage.evals.dataset import Dataset
from triage.evals.example import Example

BUCKETS = Buckets([Bucket("billing", "Invoices"), Bucket("general", "Anything else")])
PRICE = 0.25
"""What a verdict of `Priced` costs, in US dollars."""


def create_dataset(number: int, *, of: str = "messages") -> Dataset:
    """Return a data set, in which every other message is about an invoice."""
    buckets = ("billing", "general")
    examples = [create_example(f"Number {index} {buckets[index % 2]}", buckets[index % 2]) for index in range(number)]
    return Dataset(examples, name=of)


def create_example(text: str, bucket: str) -> Example:
    message = Message(id="1", role="customer", text=text)
    return Example(Conversation(id="c1", messages=(message,)), bucket)


def answer_by_word(request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Answer a request to `FakeClaude` with the bucket that the message mentions."""
    return {"reason": "It says so.", "label": find_word(request["messages"][-1]["content"]), "confidence": 0.9}


def find_word(text: str) -> str:
    return "billing" if "billing" in text else "general"


class Priced(Classifier):
    """Finds the right bucket for a fixed price. Verdicts that are planned are returned first."""

    priced = True

    def __init__(self, planned: Sequence[Verdict | Exception] = ()) -> None:
        self.planned = list(planned)
        self.texts: list[str] = []
        self.closed = 0
        self.left_loops = 0

    async def classify_async(self, conversation: Conversation, buckets: Buckets) -> Verdict:
        self.texts.append(conversation.text)
        if self.planned:
            planned = self.planned.pop(0)
            if isinstance(planned, Exception):
                raise planned
            return planned
        return Verdict(bucket=find_word(conversation.text), cost_usd=PRICE)

    def fingerprint(self, conversation: Conversation, buckets: Buckets) -> str:
        return f"fingerprint-{conversation.text}"

    def estimate_cost(self, conversation: Conversation, buckets: Buckets) -> float:
        return PRICE

    def close(self) -> None:
        self.closed += 1

    async def leave_loop(self) -> None:
        self.left_loops += 1
