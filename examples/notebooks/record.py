"""Record the notebook's verdicts against a local stand-in for Claude's API, and execute the notebook.

The stand-in reads the prompt: it takes a subject for urgent or billing only if a bucket's description mentions it. In
other respects it classifies by similarity to the labeled messages, except those that could be the message itself.

    pip install 'chat-triage[evals]' ipykernel nbclient
    python examples/notebooks/record.py
"""

import json
import os
import re
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

from triage import Buckets, Conversation, Message
from triage.classifiers import Local
from triage.evals import Dataset
from triage.testing import FakeClaude

HERE = Path(__file__).parent
RECORDING = HERE / "answers.jsonl"
FOLDS = 5

# The stand-in recognizes these subjects in messages, and looks for them in the descriptions of the buckets.
SUBJECTS: Mapping[str, str] = {
    "card": r"\bcards?\b.*\b(lost|stol\w+|swallow\w*|ate|eaten|kept|missing|freeze|blocked)|"
    r"\b(lost|stole|stolen|missing|freeze|swallow\w*|ate|report)\b.*\bcards?\b",
    "phone": r"\b(lost|stol\w+|missing)\b.*\b(phone|mobile)|\b(phone|mobile)\b.*\b(lost|stol\w+|missing)",
    "PIN": r"\bpin\b.*\b(block\w*|lock\w*|wrong|tries|unlock)|\b(unblock|unlock|blocked|locked)\b.*\bpin\b|passcode",
    "fees": r"\b(fee|fees|charge|charged|charges|exchange rate)\b",
}
REASONS: Mapping[str, str] = {
    "urgent": "The customer reports a security problem or is locked out.",
    "billing": "The message is about a payment, a fee or a refund.",
    "general": "The customer asks a general question.",
    "spam": "The message advertises something.",
}


class StandIn:
    """Answers requests as a model might that knows other messages of the company.

    Args:
        dataset: The labeled messages.
    """

    def __init__(self, dataset: Dataset) -> None:
        self._models: Sequence[Local] = [
            Local.train([example for example in dataset if find_fold(example.text) != fold]) for fold in range(FOLDS)
        ]

    def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return the verdict for a request."""
        turn = json.loads(request["messages"][-1]["content"])
        text = turn["messages"][-1]["text"]
        conversation = Conversation(id="1", messages=(Message(id="1", role="customer", text=text),))
        verdict = self._models[find_fold(text)].classify(conversation, Buckets.default())
        bucket, confidence = verdict.bucket, verdict.confidence
        prompt = request["system"][0]["text"]
        unknown = [name for name, pattern in SUBJECTS.items() if re.search(pattern, text, re.I) and name not in prompt]
        if unknown and bucket in ("urgent", "billing"):
            bucket, confidence = "general", 0.55 + confidence / 4
        return {"reason": REASONS[bucket], "label": bucket, "confidence": round(confidence, 2)}


def find_fold(text: str) -> int:
    """Return the part of the messages to which a text belongs."""
    return zlib.crc32(text.encode()) % FOLDS


def main() -> None:
    """Record the verdicts and execute the notebook."""
    dataset = Dataset.load(HERE / "messages.csv")
    RECORDING.unlink(missing_ok=True)
    path = HERE / "testing_prompts.ipynb"
    notebook = nbformat.reads(path.read_text("utf-8"), as_version=4)  # type: ignore[no-untyped-call]  # it has no type hints
    with FakeClaude(StandIn(dataset).answer).serve() as url:
        os.environ |= {"ANTHROPIC_BASE_URL": url, "ANTHROPIC_API_KEY": "none", "TRIAGE_CASSETTES": "record"}
        NotebookClient(notebook, kernel_name="python3", resources={"metadata": {"path": str(HERE)}}).execute()
    path.write_text(f"{nbformat.writes(notebook)}\n", "utf-8")  # type: ignore[no-untyped-call]  # the same


if __name__ == "__main__":
    main()
