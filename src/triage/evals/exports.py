"""Reports in the formats of other tools: JUnit XML, Markdown and pandas."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from triage.errors import ConfigurationError
from triage.evals.example import Prediction
from triage.evals.format import (
    LONGEST_TEXT,
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
    import pandas as pd

    from triage.evals.compare import Comparison, Flip
    from triage.evals.report import Report

_LONGEST_NAME = 80  # characters
_COLUMNS = (
    *("id", "text", "expected", "actual", "correct", "confidence", "reason", "fallback_reason"),
    *("cost_usd", "latency", "model", "group", "samples"),
)


def build_table(report: "Report") -> "pd.DataFrame":
    """Do the work of `Report.to_pandas`.

    Args:
        report: The report.

    Raises:
        ConfigurationError: pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError as err:  # pragma: no cover - installed for the tests
        raise ConfigurationError("to_pandas() needs pandas: pip install 'chat-triage[evals]'.") from err
    rows = list(map(_build_row, report.predictions))
    fields = dict.fromkeys(name for row in rows for name in row)
    columns = dict.fromkeys((*_COLUMNS, *fields))
    return pd.DataFrame({name: [row.get(name) for row in rows] for name in columns})


def _build_row(prediction: Prediction) -> dict[str, object]:
    example, verdict = prediction.example, prediction.verdict
    row: dict[str, object] = {
        "id": example.conversation.id,
        "text": example.text,
        "expected": prediction.expected,
        "actual": prediction.actual,
        "correct": prediction.is_correct,
        "confidence": verdict.confidence,
        "reason": verdict.reason,
        "fallback_reason": verdict.fallback_reason,
        "cost_usd": verdict.cost_usd,
        "latency": verdict.latency,
        "model": verdict.model,
        "group": example.group,
        "samples": tuple(sample.bucket for sample in prediction.verdicts),
    }
    fields = {f"field_{name}" if name in _COLUMNS else name: value for name, value in example.fields.items()}
    return row | fields


def build_junit(report: "Report") -> bytes:
    """Return a report as JUnit XML. Customer text loses characters that XML does not allow.

    Args:
        report: The report.
    """
    seconds = sum(prediction.verdict.latency for prediction in report.predictions)
    totals = {"tests": len(report.predictions), "failures": len(report.mistakes), "errors": 0, "time": f"{seconds:.3f}"}
    attributes = {name: str(total) for name, total in totals.items()}
    root = ET.Element("testsuites", attributes)
    suite = ET.SubElement(root, "testsuite", {"name": shorten(report.dataset), **attributes})
    properties = ET.SubElement(suite, "properties")
    facts = [("result", describe_result(report)), ("unanswered", str(report.unanswered))]
    for name, value in [*facts, *(list_facts(report) if report.predictions else ())]:
        ET.SubElement(properties, "property", {"name": name, "value": shorten(value)})
    for number, prediction in enumerate(report.predictions, 1):
        _add_case(suite, number, prediction)
    document: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return document


def _add_case(suite: ET.Element, number: int, prediction: Prediction) -> None:
    example, verdict = prediction.example, prediction.verdict
    attributes = {
        "classname": f"{suite.attrib['name']}.{prediction.expected}",
        "name": f"{number} {example.conversation.id}: {shorten(example.text, _LONGEST_NAME)}",
        "time": f"{verdict.latency:.3f}",
    }
    case = ET.SubElement(suite, "testcase", attributes)
    if prediction.is_correct:
        return
    message = f"expected {prediction.expected}, got {prediction.actual} ({format_confidence(prediction)})"
    failure = ET.SubElement(case, "failure", {"message": message, "type": verdict.fallback_reason or "wrong_bucket"})
    failure.text = f"{message}\nText: {shorten(example.text)}\nReason: {shorten(verdict.reason)}"


def render_markdown(report: "Report") -> str:
    """Return a report as GitHub-flavored Markdown.

    Args:
        report: The report.
    """
    blocks = [
        f"### Evaluation of {_code(report.classifier)} on {_code(report.dataset)}",
        describe_result(report, _code),
        _escape(describe_unanswered(report) or ""),
    ]
    if report.predictions:
        blocks += [_render_buckets(report), _render_confusion(report), _render_mistakes(report)]
        blocks.append("\n".join(f"- {_escape(name)}: {_escape(text)}" for name, text in list_facts(report)))
    return "\n\n".join(filter(None, blocks)) + "\n"


def render_comparison(comparison: "Comparison") -> str:
    """Return a comparison as GitHub-flavored Markdown.

    Args:
        comparison: The comparison.
    """
    blocks = [
        f"### A: {_code(comparison.a.classifier)}, B: {_code(comparison.b.classifier)}",
        f"**{_escape(comparison.summary)}** {_escape(describe_scope(comparison))}",
        _table(["", "A", "B", "change"], (map(_escape, row) for row in list_changes(comparison))),
        _render_flips("Broken by B", comparison.broken),
        _render_flips("Fixed by B", comparison.fixed),
    ]
    if comparison.description_diff:
        lines = list(map(format_diff_line, comparison.description_diff))
        fence = "`" * max(3, _find_longest_run("\n".join(lines)) + 1)
        diff = "\n".join([f"{fence}diff", *lines, fence])
        blocks.append(_fold("Changes to the description", diff))
    return "\n\n".join(blocks) + "\n"


def _find_longest_run(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)


def _code(text: str) -> str:
    """Return any text as a code span, in which GitHub creates no markup, links, mentions or emoji."""
    line = shorten(text)
    if not line:
        return UNKNOWN
    # In a table, `|` ends a cell even in code, unless it is escaped. A backslash before it would escape the escape.
    line = re.sub(r"\\(?=\|)", r"\\ ", line).replace("|", r"\|")
    fence = "`" * (_find_longest_run(line) + 1)
    space = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{space}{line}{space}{fence}"


def _escape(text: str) -> str:
    """Return our own words, in which names may occur, so that Markdown shows them unchanged."""
    return re.sub(r"([\\`*_{}\[\]<>#|~@$])", r"\\\1", shorten(text, 2 * LONGEST_TEXT))


def _table(heads: Sequence[str], rows: Iterable[Iterable[str]], others: str = "--:") -> str:
    """Return a table of cells that are Markdown. `others` is the alignment of all columns but the first."""
    lines = [heads, [":--", *(others for _ in heads[1:])], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _fold(title: str, content: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{content}\n\n</details>"


def _render_buckets(report: "Report") -> str:
    rows = [
        [_escape(name), f"{bucket.support:,}", *map(format_estimate, (bucket.precision, bucket.recall, bucket.f1))]
        for name, bucket in report.per_bucket.items()
    ]
    table = _table(["bucket", "messages", "precision", "recall", "F1"], rows)
    return f"{table}\n\nMacro-F1 {format_percent(report.macro_f1)}. In parentheses: 95% intervals."


def _render_confusion(report: "Report") -> str:
    rows = [
        [_escape(expected), *(f"{number:,}" for number in row.values())] for expected, row in report.confusion.items()
    ]
    return _fold("Confusion matrix", _table(["expected, actual →", *map(_escape, report.buckets.names)], rows))


def _render_mistakes(report: "Report") -> str:
    if not report.mistakes:
        return "No mistakes."
    rows = [
        [
            _code(mistake.example.text),
            _escape(mistake.expected),
            _escape(mistake.actual),
            _escape(format_confidence(mistake)),
            _code(mistake.verdict.reason),
        ]
        for mistake in report.mistakes[:MOST_CASES]
    ]
    title = f"{count_things(len(report.mistakes), 'mistake')}, the worst first"
    table = _table(["text", "expected", "actual", "confidence", "reason"], rows, ":--")
    return _fold(title, table + _count_rest(len(report.mistakes)))


def _render_flips(title: str, flips: Sequence["Flip"]) -> str:
    if not flips:
        return f"{title}: none."
    rows = [
        [
            _code(flip.a.example.text),
            _escape(flip.a.expected),
            _escape(f"{flip.a.actual} ({format_confidence(flip.a)})"),
            _escape(f"{flip.b.actual} ({format_confidence(flip.b)})"),
        ]
        for flip in flips[:MOST_CASES]
    ]
    table = _table(["text", "expected", "A", "B"], rows, ":--")
    return _fold(f"{title}: {count_things(len(flips), 'message')}", table + _count_rest(len(flips)))


def _count_rest(number: int) -> str:
    return f"\n\n… and {number - MOST_CASES:,} more." if number > MOST_CASES else ""
