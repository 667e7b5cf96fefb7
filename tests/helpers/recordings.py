"""Classifiers and files for the tests of recordings."""

import json
from pathlib import Path
from typing import Any

import pytest

from triage import Buckets, Conversation, Customer, Message, Verdict
from triage.classifiers import Classifier

BUCKETS = Buckets.default()
SECRET = "sk-ant-api03-abcdefghijk"


def ask_about(text: str = "I was charged twice.", **customer: str) -> Conversation:
    """Return a conversation with one message of a customer."""
    message = Message(id="1", role="customer", text=text)
    return Conversation(id="c1", customer=Customer(**customer), messages=(message,))


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a recording."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


class Counter(Classifier):
    """Counts its calls. Its verdicts have a field of every kind, and a longer latency each time."""

    priced = True
    extra = {"language": "The language."}  # noqa: RUF012 - constant

    def __init__(self, **verdict: Any) -> None:
        self.calls = 0
        self.closed = 0
        self.verdict: dict[str, Any] = {"bucket": "billing", "cost_usd": 0.5, "extra": {"language": "en"}} | verdict

    def __repr__(self) -> str:
        return "Counter()"

    def classify(self, conversation: Conversation, buckets: Buckets) -> Verdict:
        self.calls += 1
        return Verdict(**self.verdict, latency=self.calls / 3)

    def fingerprint(self, conversation: Conversation, buckets: Buckets) -> str:
        return conversation.text.encode().hex()

    def estimate_cost(self, conversation: Conversation, buckets: Buckets) -> float:
        return 0.25

    def close(self) -> None:
        self.closed += 1


def forget_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Continue as in a new process, which has neither read nor recorded anything."""
    monkeypatch.setattr("triage.classifiers.cassette._cassettes", {})
