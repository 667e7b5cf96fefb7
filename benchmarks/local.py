"""Measure the classifiers that cost nothing, `Rules` and `Local`, on labeled messages.

The file has a JSON object per line, with the keys `text`, `bucket` (one of the default buckets) and `source`, the
company or data set that a message comes from. There are two questions:

- How good are the verdicts on messages like those of the training? The file is split at random.
- How good are they for another company? `Local` is trained without the messages of one source and classifies them. This
  is repeated for each source that has messages of several buckets.

Run it with `python benchmarks/local.py messages.jsonl`.
"""

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import binomtest
from sklearn.metrics import precision_recall_fscore_support
from sklearn.model_selection import train_test_split

from triage import Buckets, Conversation, Message, Verdict
from triage.classifiers import Classifier, Local, Rules
from triage.classifiers.labeled import normalize_text

BUCKETS = Buckets.default()
BINS = 10  # of the expected calibration error


@dataclass(frozen=True)
class Row:
    """A labeled message."""

    text: str
    bucket: str
    source: str


@dataclass(frozen=True)
class Result:
    """The verdicts of a classifier about some rows."""

    rows: Sequence[Row]
    verdicts: Sequence[Verdict]
    seconds: Sequence[float]

    @property
    def correct(self) -> list[bool]:
        """Whether each verdict is right."""
        return [verdict.bucket == row.bucket for row, verdict in zip(self.rows, self.verdicts, strict=True)]

    def describe_accuracy(self) -> str:
        """Return the accuracy with its 95% confidence interval."""
        return describe_share(sum(self.correct), len(self.rows))

    def describe_false_spam(self) -> str:
        """Return the share of the messages that are not spam but were called spam."""
        pairs = zip(self.rows, self.verdicts, strict=True)
        calls = [verdict.bucket == "spam" for row, verdict in pairs if row.bucket != "spam"]
        return describe_share(sum(calls), len(calls))

    def calculate_calibration_error(self) -> float:
        """Return the expected calibration error: by how much confidence and accuracy differ (Guo et al. 2017)."""
        confidences = np.array([verdict.confidence for verdict in self.verdicts])
        correct = np.array(self.correct)
        bins = np.minimum((confidences * BINS).astype(int), BINS - 1)
        gaps = [abs((confidences - correct)[bins == number].sum()) for number in range(BINS)]
        return float(sum(gaps) / len(correct))


def describe_share(part: int, whole: int) -> str:
    """Return a share with its 95% confidence interval (Wilson)."""
    interval = binomtest(part, whole).proportion_ci(method="wilson")
    return f"{part / whole:6.1%} ({interval.low:.1%} to {interval.high:.1%}), {part} of {whole}"


def read_rows(path: Path) -> list[Row]:
    """Read the messages; of equal ones, only the first."""
    rows: dict[str, Row] = {}
    for line in path.read_text("utf-8").splitlines():
        data = json.loads(line)
        rows.setdefault(normalize_text(data["text"]), Row(data["text"], data["bucket"], data["source"]))
    return list(rows.values())


def classify(classifier: Classifier, rows: Sequence[Row]) -> Result:
    """Classify each message, and measure how long it takes."""
    verdicts: list[Verdict] = []
    seconds: list[float] = []
    for row in rows:
        conversation = Conversation(id="1", messages=(Message(id="1", role="customer", text=row.text),))
        started = time.perf_counter()
        verdicts.append(classifier.classify(conversation, BUCKETS))
        seconds.append(time.perf_counter() - started)
    return Result(rows, verdicts, seconds)


def report(name: str, result: Result) -> None:
    """Print the figures of a classifier."""
    print(f"{name}: accuracy {result.describe_accuracy()}")
    expected = [row.bucket for row in result.rows]
    actual = [verdict.bucket for verdict in result.verdicts]
    precision, recall, _, counts = precision_recall_fscore_support(
        expected, actual, labels=BUCKETS.names, zero_division=0.0
    )
    for number, bucket in enumerate(BUCKETS.names):
        if counts[number]:
            figures = f"precision {precision[number]:6.1%}  recall {recall[number]:6.1%}"
            print(f"  {bucket:8} {figures}  of {counts[number]} messages")
    print(f"  called spam by mistake: {result.describe_false_spam()}")
    print(f"  expected calibration error: {result.calculate_calibration_error():.3f}")
    slowest = sorted(result.seconds)[int(len(result.seconds) * 0.99)]
    print(f"  milliseconds: median {statistics.median(result.seconds) * 1000:.1f}, p99 {slowest * 1000:.1f}")


def main() -> None:
    """Print the figures for similar messages and for those of another company."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path, help="labeled messages, a JSON object per line")
    parser.add_argument("--seed", type=int, default=0, help="of the split")
    parser.add_argument("--test-share", type=float, default=0.3, help="the share of the messages to classify")
    options = parser.parse_args()
    rows = read_rows(options.path)
    train, test = train_test_split(
        rows,
        test_size=options.test_share,
        random_state=options.seed,
        stratify=[f"{row.source} {row.bucket}" for row in rows],
    )
    started = time.perf_counter()
    local = train_local(train)
    print(f"Trained with {len(train)} messages in {time.perf_counter() - started:.1f} s.\n")
    print("Messages like those of the training")
    report("Rules.default()", classify(Rules.default(), test))
    report("Local", classify(local, test))
    print("\nMessages of another company")
    results: list[Result] = []
    for source in sorted({row.source for row in rows}):
        own = [row for row in rows if row.source == source]
        if len({row.bucket for row in own}) == 1:
            continue
        results.append(classify(train_local([row for row in rows if row.source != source]), own))
        report(f"Local, trained without {source}", results[-1])
        print(f"  Rules.default() for comparison: accuracy {classify(Rules.default(), own).describe_accuracy()}")
    together = Result(
        [row for result in results for row in result.rows],
        [verdict for result in results for verdict in result.verdicts],
        [seconds for result in results for seconds in result.seconds],
    )
    report("Local, all of these together", together)


def train_local(rows: Sequence[Row]) -> Local:
    """Train a classifier."""
    return Local.train(((row.text, row.bucket) for row in rows), BUCKETS)


if __name__ == "__main__":
    main()
