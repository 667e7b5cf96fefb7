"""The comparison of two classifiers, or of two prompts, on the same messages. Needs the extra `evals`."""

import difflib
import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from triage.errors import DatasetError
from triage.evals import exports, metrics, text
from triage.evals.example import Prediction
from triage.evals.mistakes import rank
from triage.evals.report import Report
from triage.evals.wording import count_things, show_id


@dataclass(frozen=True)
class Flip:
    """A message that two classifiers put into different buckets."""

    a: Prediction
    b: Prediction


class Comparison:
    """Two reports on the same messages, and what changes from the first to the second. `compare` creates it.

    Like a report, a comparison shows itself in a notebook, and `print(comparison)` prints it.

    Args:
        a: The first report, only with messages that are in the second one, too.
        b: The second report, with the same messages in the same order.
        only_in_a: How many messages only the first report contains.
        only_in_b: How many messages only the second report contains.
    """

    def __init__(self, a: Report, b: Report, *, only_in_a: int = 0, only_in_b: int = 0) -> None:
        self.a = a
        self.b = b
        self.only_in_a = only_in_a
        self.only_in_b = only_in_b

    @cached_property
    def fixed(self) -> Sequence[Flip]:
        """The messages that only the second classifier gets right, sorted like `Report.mistakes`."""
        flips = [flip for flip in self._flips if flip.b.is_correct]
        return sorted(flips, key=lambda flip: rank(flip.a, self.a.buckets))

    @cached_property
    def broken(self) -> Sequence[Flip]:
        """The messages that only the first classifier gets right, sorted like `Report.mistakes`."""
        flips = [flip for flip in self._flips if flip.a.is_correct]
        return sorted(flips, key=lambda flip: rank(flip.b, self.b.buckets))

    @cached_property
    def still_wrong(self) -> int:
        """How many messages change from one wrong bucket to another."""
        return len(self._flips) - len(self.fixed) - len(self.broken)

    @cached_property
    def difference(self) -> metrics.Estimate:
        """The change in accuracy with its 95% confidence interval, from -1 to 1. Above 0, the second is better."""
        return metrics.estimate_difference(len(self.fixed), len(self.broken), len(self.a.predictions))

    @cached_property
    def p_value(self) -> float:
        """The p-value of McNemar's exact test: how likely luck alone makes two equal classifiers differ this much."""
        return metrics.compute_mcnemar(len(self.fixed), len(self.broken))

    @property
    def is_significant(self) -> bool:
        """True if `p_value` is below 0.05."""
        return self.p_value < metrics.SIGNIFICANT

    @cached_property
    def recall_changes(self) -> Mapping[str, float]:
        """The change in recall of each bucket that has messages, from -1 to 1."""
        a, b = self.a.per_bucket, self.b.per_bucket
        return {name: b[name].recall.value - a[name].recall.value for name in a if a[name].support}

    @cached_property
    def description_diff(self) -> Sequence[str]:
        """The difference between the classifiers' descriptions, which contain their prompts, as a unified diff."""
        lines = (self.a.description.splitlines(), self.b.description.splitlines())
        return list(difflib.unified_diff(*lines, "A", "B", n=2, lineterm=""))

    @cached_property
    def summary(self) -> str:
        """The result in words that require no statistics."""
        if not self.fixed and not self.broken:
            return "There is no evidence of a difference: A and B are right about the same messages."
        changes = f"fixes {count_things(len(self.fixed), 'message')} and breaks {len(self.broken):,}"
        if not self.is_significant:
            return (
                f"There is no evidence of a difference: B {changes}, which may well be luck (p = {self.p_value:.2f}). "
                f"{self._describe_power()}"
            )
        winner, subject = ("B", "it") if self.difference.value > 0 else ("A", "B")
        return f"{winner} is better: {subject} {changes}. {self._describe_chance()}"

    def show(self) -> None:
        """Print the comparison to the terminal."""
        sys.stdout.write(f"{self}\n")

    def to_html(self, path: str | os.PathLike[str]) -> None:
        """Write the comparison to an HTML file that needs no other files and contains no scripts.

        Args:
            path: The file, which is overwritten.
        """
        from triage.evals import html  # imports matplotlib, which takes long and may be missing

        page = html.build_page(f"{self.a.classifier} and {self.b.classifier}", html.render_comparison(self))
        Path(path).write_text(page, encoding="utf-8")

    def to_markdown(self) -> str:
        """Return the comparison as Markdown for a pull request. Customer text cannot create links or markup."""
        return exports.render_comparison(self)

    def _describe_power(self) -> str:
        total = len(self.a.predictions)
        points = metrics.find_detectable_difference(len(self.fixed) + len(self.broken), total) * 100
        if points > 100:
            return f"With {count_things(total, 'message')}, no difference can be found."
        shown = f"{points:.0f}" if points >= 10 else f"{points:.1f}".removesuffix(".0")
        return f"With {count_things(total, 'message')}, only a difference of about {shown} points or more can be found."

    def _describe_chance(self) -> str:
        odds = "less than 1 of 10,000" if self.p_value < 1e-4 else f"about 1 of {round(1 / self.p_value):,}"
        p = "p < 0.0001" if self.p_value < 1e-4 else f"p = {self.p_value:.2g}"
        return f"If both were equally good, luck would cause so large a difference in {odds} comparisons ({p})."

    @cached_property
    def _flips(self) -> Sequence[Flip]:
        flips = map(Flip, self.a.predictions, self.b.predictions)
        return [flip for flip in flips if flip.a.actual != flip.b.actual]

    def _repr_html_(self) -> str:
        from triage.evals import html

        return html.render_comparison(self)

    def __str__(self) -> str:
        return text.render_comparison(self)

    def __repr__(self) -> str:
        return (
            f"Comparison({self.a!r}, {self.b!r}, fixed={len(self.fixed)}, broken={len(self.broken)}, "
            f"p_value={self.p_value:.2g})"
        )


def compare(a: Report, b: Report) -> Comparison:
    """Compare two reports on the same messages, such as those before and after a change to the prompt.

    Messages that only one of the reports contains are counted, and otherwise left out. The order does not matter.

    Args:
        a: The report on the current classifier.
        b: The report on the classifier that may replace it.

    Raises:
        DatasetError: The reports have no messages in common, or their labels differ.
    """
    rows_a, rows_b = _index(a), _index(b)
    shared = [key for key in rows_a if key in rows_b]
    if not shared:
        sizes = [count_things(len(rows), "message") for rows in (rows_a, rows_b)]
        raise DatasetError(
            f"The reports have no messages in common: a is about {a.dataset!r} with {sizes[0]}, b about {b.dataset!r} "
            f"with {sizes[1]}. Evaluate both classifiers on the same data."
        )
    changed = [rows_a[key].example for key in shared if rows_a[key].expected != rows_b[key].expected]
    if changed:
        raise DatasetError(
            f"{count_things(len(changed), 'message')} changed the label between the reports, the first of them is "
            f"{show_id(changed[0].conversation.id)}. Evaluate both classifiers on the same labels."
        )
    return Comparison(
        _select(a, [rows_a[key] for key in shared]),
        _select(b, [rows_b[key] for key in shared]),
        only_in_a=len(rows_a) - len(shared),
        only_in_b=len(rows_b) - len(shared),
    )


def _index(report: Report) -> dict[tuple[str, int], Prediction]:
    """Return the predictions by message. Equal messages are paired in their order."""
    seen = Counter[str]()
    rows: dict[tuple[str, int], Prediction] = {}
    for prediction in report.predictions:
        key = prediction.example.key
        rows[key, seen[key]] = prediction
        seen[key] += 1
    return rows


def _select(report: Report, predictions: Sequence[Prediction]) -> Report:
    return Report(
        predictions,
        report.buckets,
        classifier=report.classifier,
        description=report.description,
        dataset=report.dataset,
    )
