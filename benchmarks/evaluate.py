"""Measure how long an evaluation takes whose classifier answers at once, and how much memory it needs.

The result is the overhead of `evaluate`: 10,000 messages, classified by a plain function, which runs in threads, and by
keyword rules, which do not.

Run it with `python benchmarks/evaluate.py`, or `python benchmarks/evaluate.py --messages 100000`.
"""

import argparse
import resource
import sys
import time
from collections.abc import Callable

from triage import Buckets, Conversation, Message
from triage.classifiers import Classifier, Rules
from triage.evals.dataset import Dataset
from triage.evals import evaluate
from triage.evals.example import Example

TEXTS = {
    "urgent": "Our whole team is locked out, and the service has been down since this morning.",
    "billing": "I was charged twice on my last invoice. Could you please refund one of the payments?",
    "general": "How do I export my contacts as a CSV file? I could not find it in the settings.",
    "spam": "Dear Sir, we offer backlinks and guest posts that let you rank first.",
}


def create_dataset(messages: int) -> Dataset:
    """Return a data set of messages that differ from each other."""
    labels = list(TEXTS)
    examples: list[Example] = []
    for number in range(messages):
        label = labels[number % len(labels)]
        message = Message(id="1", role="customer", text=f"{TEXTS[label]} My number is {number}.")
        examples.append(Example(Conversation(id=f"row-{number + 1}", messages=(message,)), label))
    return Dataset(examples, name=f"{messages} messages")


def classify(text: str) -> str:
    """Classify by a single word, at once."""
    return "billing" if "invoice" in text else "general"


def measure(name: str, classifier: Classifier | Callable[[str], str], dataset: Dataset) -> None:
    """Evaluate a classifier, and print the seconds that it took."""
    started = time.perf_counter()
    report = evaluate(classifier, dataset, Buckets.default(), progress=False)
    seconds = time.perf_counter() - started
    if len(report.predictions) != len(dataset):
        sys.exit(f"{report.unanswered} messages are unanswered")
    print(f"{name:<10} {seconds:.1f} s")


def main() -> None:
    """Evaluate both classifiers, and print the seconds and the highest memory use of the process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=10_000)
    options = parser.parse_args()
    dataset = create_dataset(options.messages)
    print(f"messages   {len(dataset)}")
    measure("function", classify, dataset)
    measure("rules", Rules.default(), dataset)
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "darwin" else 1)
    print(f"memory     {kilobytes / 1024:.0f} MB")


if __name__ == "__main__":
    main()
