"""Numbers and customer text as people read them in reports."""

import math
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from triage.evals.example import Prediction
from triage.evals.metrics import Estimate
from triage.evals.wording import count_things
from triage.text import clean

if TYPE_CHECKING:
    from triage.evals.compare import Comparison
    from triage.evals.report import Report

LONGEST_TEXT = 300  # characters
MOST_CASES = 20
_LONGEST_LINE = 2000  # characters; a prompt may contain long paragraphs, and the change is anywhere in them
UNKNOWN = "\N{EN DASH}"

# The control sequences of terminals: colors and cursor movements, then strings such as window titles and links. Those
# that begin with a character from 0x80 to 0x9f are left to clean(): in badly decoded text, that is a quotation mark.
_ESCAPES = re.compile("\x1b(?:\\[[0-?]*[ -/]*[@-~]|[]P^_X][^\x07\x1b]*(?:\x07|\x1b\\\\))")
_NONCHARACTERS = re.compile("[\ufffe\uffff]")  # not allowed in XML


def shorten(text: str, limit: int = LONGEST_TEXT) -> str:
    """Return the beginning of a text in one line, without characters that control a terminal or its direction.

    Args:
        text: Any string.
        limit: The maximum number of characters.
    """
    line = " ".join(_NONCHARACTERS.sub("", clean(_ESCAPES.sub("", text))).split())
    return line if len(line) <= limit else f"{line[: limit - 1].rstrip()}…"


def format_diff_line(line: str) -> str:
    """Return a line of a unified diff with its sign and its indentation, without control characters.

    Args:
        line: The line.
    """
    content = line[1:]
    indentation = content[: len(content) - len(content.lstrip(" "))]
    return f"{line[:1]}{indentation}{shorten(content, _LONGEST_LINE)}"


def format_percent(share: float) -> str:
    """Return a share as a percentage: `"84.2%"`. Only 0 is `"0%"`, and only 1 is `"100%"`."""
    if share in (0, 1):
        return f"{share:.0%}"
    return f"{min(max(share * 100, 0.1), 99.9):.1f}%"


def format_interval(estimate: Estimate) -> str:
    """Return the ends of a confidence interval: `"82.4\N{EN DASH}85.8%"`."""
    low = format_percent(estimate.low).removesuffix("%")
    return f"{low}\N{EN DASH}{format_percent(estimate.high)}"


def format_estimate(estimate: Estimate) -> str:
    """Return a percentage with its interval: `"84.2% (82.4\N{EN DASH}85.8%)"`."""
    return f"{format_percent(estimate.value)} ({format_interval(estimate)})" if estimate.is_known else UNKNOWN


def format_points(share: float) -> str:
    """Return a change in percentage points with its sign: `"+1.5"`."""
    return f"{share * 100:+.1f}".replace("+0.0", "0.0").replace("-0.0", "0.0").replace("-", "\N{MINUS SIGN}")


def format_usd(usd: float | None) -> str:
    """Return an amount in US dollars: `"$1.20"`, or with two digits if it is below a cent: `"$0.0042"`."""
    if usd is None:
        return UNKNOWN
    if usd == 0:
        return "$0"
    return f"${usd:,.2f}" if usd >= 0.01 else f"${usd:.{1 - math.floor(math.log10(usd))}f}"


def format_seconds(seconds: float) -> str:
    """Return a latency: `"420 ms"` or `"1.3 s"`."""
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.{1 if seconds < 0.01 else 0}f} ms"


def format_confidence(prediction: Prediction) -> str:
    """Return the confidence of a verdict: `"97%"`, or the kind of reason if there is no usable verdict."""
    verdict = prediction.verdict
    return verdict.fallback_reason or f"{verdict.confidence:.0%}"


def describe_result(report: "Report", format_name: Callable[[str], str] = shorten) -> str:
    """Return the most important numbers of a report in one sentence.

    Args:
        report: The report.
        format_name: A function that makes the names of the classifier and the data set fit for the output format.
    """
    classifier, accuracy = format_name(report.classifier), report.accuracy
    if not accuracy.is_known:
        return f"{classifier} has no verdicts on {format_name(report.dataset)}."
    cost = "" if report.cost_per_1000 is None else f", at {format_usd(report.cost_per_1000)} per 1,000 messages"
    return (
        f"{classifier} chooses the right bucket for {format_percent(accuracy.value)} of "
        f"{count_things(accuracy.total, 'message')} (95% interval: {format_interval(accuracy)}){cost}."
    )


def describe_unanswered(report: "Report") -> str | None:
    """Return a warning if some messages got no verdict, otherwise None."""
    if not report.unanswered:
        return None
    return (
        f"{count_things(report.unanswered, 'message')} got no verdict, because the budget was spent or the classifier "
        f"was unavailable. Run the evaluation again to continue it."
    )


def list_facts(report: "Report") -> list[tuple[str, str]]:
    """Return the numbers that are not about single buckets, each with its name.

    Args:
        report: A report with predictions.
    """
    facts = [("cost", _describe_cost(report)), ("latency", _describe_latency(report))]
    facts.append(("fallbacks", _describe_fallbacks(report)))
    if report.flip_rate is not None:
        facts.append(("flip rate", f"{format_estimate(report.flip_rate)} of messages have samples that differ"))
    if report.escalation_rate is not None:
        facts.append(("escalated", f"{format_estimate(report.escalation_rate)} of messages need several verdicts"))
    if report.reliability is not None:
        ece, brier = report.reliability.ece, report.reliability.brier
        facts.append(("confidence", f"expected calibration error {ece:.3f}, Brier score {brier:.3f} (0 is perfect)"))
    return facts


def _describe_cost(report: "Report") -> str:
    text = "unknown, because not every verdict reports its cost"
    if report.cost_per_1000 is not None:
        text = f"{format_usd(report.cost_per_1000)} per 1,000 messages, {format_usd(report.cost_usd)} for these"
    return text if report.paid_usd is None else f"{text}; paid for this evaluation: {format_usd(report.paid_usd)}"


def _describe_latency(report: "Report") -> str:
    if report.latency is None:
        return "not measured by the classifier"
    return f"median {format_seconds(report.latency.p50)}, 95th percentile {format_seconds(report.latency.p95)}"


def _describe_fallbacks(report: "Report") -> str:
    if not report.fallbacks:
        return "none"
    reasons = ", ".join(f"{reason} {number:,}" for reason, number in report.fallbacks.items())
    return f"{format_estimate(report.fallback_rate)} of messages have no usable verdict: {reasons}"


def describe_scope(comparison: "Comparison") -> str:
    """Return in one sentence which messages were compared."""
    text = f"{count_things(len(comparison.a.predictions), 'message')} in both reports"
    for name, number in (("A", comparison.only_in_a), ("B", comparison.only_in_b)):
        text += f", {number:,} only in {name}" if number else ""
    if comparison.still_wrong:
        text += f". {count_things(comparison.still_wrong, 'message')} changed from one wrong bucket to another"
    return f"{text}."


def list_changes(comparison: "Comparison") -> list[tuple[str, str, str, str]]:
    """Return the numbers of both reports: for each its name, the two values, and the change.

    Args:
        comparison: The comparison.
    """
    a, b, difference = comparison.a, comparison.b, comparison.difference
    interval = f"{format_points(difference.low)} to {format_points(difference.high)}"
    accuracies = format_estimate(a.accuracy), format_estimate(b.accuracy)
    rows = [("accuracy", *accuracies, f"{format_points(difference.value)} points (95% interval: {interval})")]
    for name, change in comparison.recall_changes.items():
        recalls = format_estimate(a.per_bucket[name].recall), format_estimate(b.per_bucket[name].recall)
        rows.append((f"recall of {name}", *recalls, f"{format_points(change)} points"))
    rows.append(("cost per 1,000", *_compare_amounts(a.cost_per_1000, b.cost_per_1000, format_usd)))
    if a.latency is not None and b.latency is not None:
        rows.append(("median latency", *_compare_amounts(a.latency.p50, b.latency.p50, format_seconds)))
        rows.append(("95th percentile", *_compare_amounts(a.latency.p95, b.latency.p95, format_seconds)))
    return rows


def _compare_amounts(a: float | None, b: float | None, format_amount: Callable[[float], str]) -> tuple[str, str, str]:
    """Return two amounts and their relative change."""
    shown_a, shown_b = (UNKNOWN if amount is None else format_amount(amount) for amount in (a, b))
    if not a or b is None:
        return shown_a, shown_b, UNKNOWN
    percent = round(100 * (b / a - 1))
    return shown_a, shown_b, f"{percent:+}%".replace("+0%", "0%").replace("-", "\N{MINUS SIGN}")
