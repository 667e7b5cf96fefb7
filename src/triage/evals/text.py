"""Reports as plain text for a terminal."""

import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from triage.evals.example import Prediction
from triage.evals.format import (
    MOST_CASES,
    UNKNOWN,
    describe_result,
    describe_scope,
    describe_unanswered,
    format_confidence,
    format_diff_line,
    format_estimate,
    format_percent,
    list_changes,
    list_facts,
    shorten,
)
from triage.evals.wording import count_things

if TYPE_CHECKING:
    from triage.evals.compare import Comparison, Flip
    from triage.evals.report import Report

_WIDTH = 100


def render_report(report: "Report") -> str:
    """Return a report as plain text.

    Args:
        report: The report.
    """
    blocks = [_wrap(describe_result(report)), _wrap(describe_unanswered(report) or "")]
    if report.predictions:
        blocks += [_render_buckets(report), _render_confusion(report), _render_mistakes(report), _render_facts(report)]
    return _join(blocks)


def render_comparison(comparison: "Comparison") -> str:
    """Return a comparison as plain text.

    Args:
        comparison: The comparison.
    """
    rows = [["", "A", "B", "change"], *map(list, list_changes(comparison))]
    names = f"A: {shorten(comparison.a.classifier)}\nB: {shorten(comparison.b.classifier)}"
    blocks = [_wrap(comparison.summary), f"{names}\n{describe_scope(comparison)}", _align(rows, left=(0, 3))]
    blocks.append(_render_flips("Broken by B", comparison.broken))
    blocks.append(_render_flips("Fixed by B", comparison.fixed))
    if comparison.description_diff:
        lines = [f"  {format_diff_line(line)}" for line in comparison.description_diff]
        blocks.append("\n".join(["Changes to the description:", *lines]))
    return _join(blocks)


def _join(blocks: Iterable[str]) -> str:
    return "\n\n".join(filter(None, blocks))


def _wrap(text: str, indent: str = "") -> str:
    return textwrap.fill(text, _WIDTH, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)


def _align(rows: Sequence[Sequence[str]], left: Sequence[int] = (0,)) -> str:
    """Return a table whose columns are aligned to the right, except those in `left`."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(
            cell.ljust(width) if number in left else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


def _render_buckets(report: "Report") -> str:
    rows = [["bucket", "messages", "precision", "recall", "F1"]]
    for name, bucket in report.per_bucket.items():
        estimates = map(format_estimate, (bucket.precision, bucket.recall, bucket.f1))
        rows.append([name, f"{bucket.support:,}", *estimates])
    return f"{_align(rows)}\nmacro-F1 {format_percent(report.macro_f1)}. In parentheses: 95% intervals."


def _render_confusion(report: "Report") -> str:
    rows = [["expected \\ actual", *report.buckets.names]]
    for name, row in report.confusion.items():
        total = sum(row.values())
        rows.append([name, *(_format_count(number, total) for number in row.values())])
    return _align(rows)


def _format_count(number: int, total: int) -> str:
    return f"{number:,} ({number / total:.0%})" if number else UNKNOWN


def _render_mistakes(report: "Report") -> str:
    mistakes = report.mistakes
    if not mistakes:
        return "No mistakes."
    lines = [f"{count_things(len(mistakes), 'mistake')}, the worst first:"]
    for mistake in mistakes[:MOST_CASES]:
        lines.append(f"- {mistake.expected}, not {_format_answer(mistake)}, {mistake.example.conversation.id}")
        lines += [_wrap(text, "  ") for text in _list_texts(mistake)]
    if len(mistakes) > MOST_CASES:
        lines.append(f"… and {len(mistakes) - MOST_CASES:,} more; report.to_pandas() has them all")
    return "\n".join(lines)


def _format_answer(prediction: Prediction) -> str:
    return f"{prediction.actual} ({format_confidence(prediction)})"


def _list_texts(prediction: Prediction) -> list[str]:
    """Return the message and the reason of the verdict, if there are any."""
    text, reason = shorten(prediction.example.text), shorten(prediction.verdict.reason)
    return [line for line in (text, reason and f"Reason: {reason}") if line]


def _render_facts(report: "Report") -> str:
    return _align([[name, text] for name, text in list_facts(report)], left=(0, 1))


def _render_flips(title: str, flips: Sequence["Flip"]) -> str:
    lines = [f"{title}: {count_things(len(flips), 'message')}"]
    for flip in flips[:MOST_CASES]:
        answers = f"A {_format_answer(flip.a)}, B {_format_answer(flip.b)}"
        lines += [f"- {flip.a.expected}: {answers}, {flip.a.example.conversation.id}"]
        lines.append(_wrap(shorten(flip.a.example.text), "  "))
    if len(flips) > MOST_CASES:
        lines.append(f"… and {len(flips) - MOST_CASES:,} more")
    return "\n".join(filter(None, lines))
