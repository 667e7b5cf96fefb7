"""Reports as HTML: for notebooks, whose theme they adopt, and as pages of their own. They contain no scripts."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

from triage.evals import plots
from triage.evals.calibration import COLUMNS
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
    format_interval,
    format_percent,
    list_changes,
    list_facts,
    shorten,
)
from triage.evals.metrics import Estimate
from triage.evals.wording import count_things

if TYPE_CHECKING:
    from triage.evals.calibration import Calibration
    from triage.evals.compare import Comparison, Flip
    from triage.evals.report import Report

# All styles are inline and all colors are translucent, because a notebook has its own style sheet and theme, and some
# viewers remove <style>.
_BLUE = "59,130,246"
_ORANGE = "249,115,22"
_GREEN = "34,197,94"
_RED = "239,68,68"
_LINE = "rgba(128,128,128,.25)"

_ROOT = (
    "max-width:72rem;margin:0;padding:.25rem;color:inherit;font:14px/1.5 system-ui,-apple-system,'Segoe UI',sans-serif;"
    "text-align:left;overflow-wrap:anywhere"
)
_LEAD = "font-size:1.25rem;font-weight:600;line-height:1.35;margin:0 0 .5rem;padding:0"
_HEADING = "font-size:1rem;font-weight:600;line-height:1.4;margin:1.75rem 0 .5rem;padding:0;border:0;color:inherit"
_MUTED = "opacity:.7;font-size:.857rem"
_ROW = "display:flex;flex-wrap:wrap;gap:0 2rem;align-items:flex-start"
_CARDS = "display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,30rem),1fr));gap:.75rem 1.5rem"
_COLUMN = "flex:0 1 auto;min-width:0;max-width:100%"
_SCROLL = "overflow-x:auto;max-width:100%"
_TABLE = "border-collapse:collapse;border:0;margin:0;font-size:inherit;table-layout:auto;width:auto;color:inherit"
_TABLE_ROW = "background:transparent;border:0"
_CELL = f"padding:.35rem .6rem;border:0;border-bottom:1px solid {_LINE};white-space:nowrap;vertical-align:middle"
_HEAD = "font-weight:500;opacity:.7"
_CARD = "margin:0;padding:.1rem 0 .1rem .75rem;min-width:0"
_TAG = "display:inline-block;padding:0 .45em;border-radius:4px;font-weight:500"

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; \
base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>
body {{ margin: 0 auto; padding: 1.5rem 1rem 3rem; max-width: 72rem; background: #fff; color: #1f2328; }}
@media (prefers-color-scheme: dark) {{ body {{ background: #16181d; color: #e3e6ea; }} }}
</style>
</head>
<body>
{body}
</body>
</html>
"""


def build_page(title: str, body: str) -> str:
    """Return a complete HTML document.

    Args:
        title: The title, as plain text.
        body: The content, as HTML.
    """
    return _PAGE.format(title=escape(shorten(title)), body=body)


def render_report(report: "Report") -> str:
    """Return a report as an HTML element.

    Args:
        report: The report.
    """
    parts = [_lead(describe_result(report)), _warning(describe_unanswered(report))]
    if report.predictions:
        parts += [
            _row(_render_buckets(report), _render_confusion(report)),
            _render_mistakes(report),
            _render_plots(report),
            _section("Cost, latency and confidence", _render_facts(report)),
        ]
    return _root(parts)


def render_comparison(comparison: "Comparison") -> str:
    """Return a comparison as an HTML element.

    Args:
        comparison: The comparison.
    """
    notes = f"A: {comparison.a.classifier}", f"B: {comparison.b.classifier}", describe_scope(comparison)
    rows = [
        _name_cell(name) + "".join(map(_number_cell, map(escape, values))) for name, *values in list_changes(comparison)
    ]
    return _root(
        [
            _lead(comparison.summary),
            *(f'<div style="{_MUTED}">{_text(note)}</div>' for note in notes),
            _section("Changes", _table(["", "A", "B", "change"], rows)),
            _render_flips("Broken by B", comparison.broken, _RED),
            _render_flips("Fixed by B", comparison.fixed, _GREEN),
            _render_diff(comparison.description_diff),
        ]
    )


def render_calibration(calibration: "Calibration") -> str:
    """Return a calibration as an HTML element.

    Args:
        calibration: The calibration.
    """
    rows = [
        _name_cell(name) + "".join(map(_number_cell, map(escape, cells))) for name, *cells in calibration.format_rows()
    ]
    sentences = (f'<p style="margin:.5rem 0">{escape(sentence)}</p>' for sentence in calibration.explain())
    return _root([_lead(calibration.summary), _table(COLUMNS, rows), *sentences])


def _text(text: str, limit: int = LONGEST_TEXT) -> str:
    """Return any text in one line, escaped."""
    return escape(shorten(text, limit))


def _root(parts: Iterable[str]) -> str:
    return f'<div class="triage-report" style="{_ROOT}">{"".join(parts)}</div>'


def _lead(text: str) -> str:
    return f'<p style="{_LEAD}">{_text(text, 2 * LONGEST_TEXT)}</p>'


def _warning(text: str | None) -> str:
    style = f"margin:0 0 .5rem;padding:.4rem .75rem;border-radius:4px;background:rgba({_ORANGE},.2)"
    return f'<p style="{style}">{escape(text)}</p>' if text else ""


def _section(title: str, content: str, note: str = "") -> str:
    note = f' <span style="font-weight:400;{_MUTED}">{escape(note)}</span>' if note else ""
    return f'<h3 style="{_HEADING}">{escape(title)}{note}</h3>{content}'


def _row(*columns: str) -> str:
    return f'<div style="{_ROW}">' + "".join(f'<div style="{_COLUMN}">{column}</div>' for column in columns) + "</div>"


def _table(heads: Sequence[str], rows: Iterable[str]) -> str:
    """Return a table, given the cells of its rows. The first column is aligned to the left."""
    cells = "".join(
        f'<th scope="col" style="{_CELL};{_HEAD};text-align:{"right" if number else "left"}">{escape(head)}</th>'
        for number, head in enumerate(heads)
    )
    body = "".join(f'<tr style="{_TABLE_ROW}">{row}</tr>' for row in rows)
    return (
        f'<div style="{_SCROLL}"><table style="{_TABLE}"><thead><tr style="{_TABLE_ROW}">{cells}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _name_cell(name: str) -> str:
    return f'<th scope="row" style="{_CELL};text-align:left;font-weight:500">{_text(name)}</th>'


def _number_cell(content: str, style: str = "") -> str:
    return f'<td style="{_CELL};text-align:right;font-variant-numeric:tabular-nums;{style}">{content}</td>'


def _estimate_cell(estimate: Estimate) -> str:
    """Return a cell with a percentage, its interval, and a bar that shows both."""
    if not estimate.is_known:
        return _number_cell(UNKNOWN)
    low, high = (f"{end * 100:.1f}%" for end in (estimate.low, estimate.high))
    bar = (
        f"height:3px;margin-top:.2rem;border-radius:2px;background:linear-gradient(to right,rgba({_BLUE},.9) {low},"
        f"rgba({_BLUE},.4) {low} {high},rgba(128,128,128,.2) {high})"
    )
    interval = f'<span style="{_MUTED}">{format_interval(estimate)}</span>'
    return _number_cell(f'{format_percent(estimate.value)} {interval}<div style="{bar}"></div>')


def _render_buckets(report: "Report") -> str:
    rows = [
        _name_cell(name)
        + _number_cell(f"{bucket.support:,}")
        + "".join(map(_estimate_cell, (bucket.precision, bucket.recall, bucket.f1)))
        for name, bucket in report.per_bucket.items()
    ]
    table = _table(["bucket", "messages", "precision", "recall", "F1"], rows)
    return _section("Buckets", table, f"with 95% intervals; macro-F1 {format_percent(report.macro_f1)}")


def _render_confusion(report: "Report") -> str:
    rows: list[str] = []
    for expected, row in report.confusion.items():
        total = sum(row.values())
        cells = (_confusion_cell(number, total, is_right=actual == expected) for actual, number in row.items())
        rows.append(_name_cell(expected) + "".join(cells))
    table = _table(["expected", *report.buckets.names], rows)
    return _section("Confusion matrix", table, "columns: actual; percentages of the row")


def _confusion_cell(number: int, total: int, *, is_right: bool) -> str:
    if not number:
        return _number_cell(f'<span style="{_MUTED}">0</span>')
    share = number / total
    tint = f"background:rgba({_BLUE if is_right else _ORANGE},{0.08 + 0.42 * share:.2f})"
    return _number_cell(f'{number:,} <span style="{_MUTED}">{format_percent(share)}</span>', tint)


def _render_mistakes(report: "Report") -> str:
    mistakes = report.mistakes
    if not mistakes:
        return _section("Mistakes", "None.")
    cards = _grid(_render_card(mistake) for mistake in mistakes[:MOST_CASES])
    rest = len(mistakes) - MOST_CASES
    note = f'<p style="{_MUTED}">{rest:,} more: <code>report.to_pandas()</code> has them all.</p>' if rest > 0 else ""
    first = report.buckets.names[0]
    return _section("Mistakes", cards + note, f"{len(mistakes):,}; missed {first} first, then the most confident ones")


def _render_card(mistake: Prediction) -> str:
    head = f"{_tag(mistake.expected, _BLUE)} not {_answer(mistake, _ORANGE)}"
    reason = f'<div dir="auto" style="{_MUTED}">{_text(mistake.verdict.reason)}</div>' if mistake.verdict.reason else ""
    return _card(head, mistake, reason, _ORANGE)


def _grid(cards: Iterable[str]) -> str:
    return f'<div style="{_CARDS}">{"".join(cards)}</div>'


def _card(head: str, prediction: Prediction, foot: str, color: str) -> str:
    """Return a box with the text of a message."""
    identity = f'<span style="{_MUTED}">· {_text(prediction.example.conversation.id)}</span>'
    text = f'<div dir="auto">{_text(prediction.example.text)}</div>'
    style = f"{_CARD};border-left:3px solid rgba({color},.7)"
    return f'<div style="{style}"><div style="margin-bottom:.15rem">{head} {identity}</div>{text}{foot}</div>'


def _answer(prediction: Prediction, color: str) -> str:
    confidence = f'<span style="{_MUTED}">{format_confidence(prediction)}</span>'
    return f"{_tag(prediction.actual, color)} {confidence}"


def _tag(name: str, color: str) -> str:
    return f'<span style="{_TAG};background:rgba({color},.18)">{_text(name)}</span>'


def _render_plots(report: "Report") -> str:
    if report.reliability is None:
        return ""
    ece = f"expected calibration error {report.reliability.ece:.3f}"
    return _row(
        _section("Confidence and accuracy", plots.plot_reliability(report.reliability), ece),
        _section("Accuracy against coverage", plots.plot_coverage(report.coverage), "with 95% intervals"),
    )


def _render_facts(report: "Report") -> str:
    rows = (
        f'{_name_cell(name)}<td style="{_CELL};text-align:left;white-space:normal">{_text(text)}</td>'
        for name, text in list_facts(report)
    )
    body = "".join(f'<tr style="{_TABLE_ROW}">{row}</tr>' for row in rows)
    return f'<div style="{_SCROLL}"><table style="{_TABLE}"><tbody>{body}</tbody></table></div>'


def _render_flips(title: str, flips: Sequence["Flip"], color: str) -> str:
    cards = _grid(
        _card(
            f"{_tag(flip.a.expected, _BLUE)} A: {_answer(flip.a, _GREEN if flip.a.is_correct else _ORANGE)} "
            f"B: {_answer(flip.b, _GREEN if flip.b.is_correct else _ORANGE)}",
            flip.a,
            "",
            color,
        )
        for flip in flips[:MOST_CASES]
    )
    rest = f'<p style="{_MUTED}">{len(flips) - MOST_CASES:,} more.</p>' if len(flips) > MOST_CASES else ""
    return _section(title, cards + rest if flips else "None.", count_things(len(flips), "message") if flips else "")


def _render_diff(lines: Sequence[str]) -> str:
    if not lines:
        return ""
    colors = {"+": f"background:rgba({_GREEN},.18)", "-": f"background:rgba({_RED},.18)"}
    body = "".join(
        f'<div style="padding:0 .75rem;min-height:1.5em;{colors.get(line[:1], "opacity:.7")}">'
        f"{escape(format_diff_line(line))}</div>"
        for line in lines
    )
    style = "font:12px/1.5 ui-monospace,Menlo,Consolas,monospace;white-space:pre-wrap"
    return _section("Changes to the description", f'<div style="{style}">{body}</div>')
