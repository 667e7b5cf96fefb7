"""Plots as SVG that can be part of any HTML page. Needs the extra `evals`."""

import hashlib
import io
import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from typing import Any

from triage.errors import ConfigurationError
from triage.evals.metrics import CoveragePoint, Reliability, estimate_share

try:
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter
except ImportError as err:  # pragma: no cover - installed for the tests
    raise ConfigurationError("HTML reports need matplotlib: pip install 'chat-triage[evals]'.") from err

_mpl: Any = matplotlib  # its type hints are incomplete, and those of `Figure` as well

_INK = "#010203"  # replaced by the color of the text around the plot, for light and dark pages
_ACCENT = "#3b82f6"
_SIZE = (4.6, 3.6)  # inches
_MOST_POINTS = 200
_SVG = "{http://www.w3.org/2000/svg}"
_FONTS = re.compile(r"'DejaVu Sans'[^;]*")
_LINK = "{http://www.w3.org/1999/xlink}href"

_STYLE = {
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 10,
    "svg.fonttype": "none",
    "text.color": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
}


def plot_reliability(reliability: Reliability) -> str:
    """Plot accuracy against confidence, with the number of verdicts in each bin.

    Args:
        reliability: The bins.

    Returns:
        An `<svg>` element.
    """
    bins = reliability.bins
    with _mpl.rc_context(_STYLE):
        figure: Any = Figure(_SIZE, layout="constrained")
        upper, lower = figure.subplots(2, sharex=True, height_ratios=(4, 1))
        upper.plot([0, 1], [0, 1], color=_INK, alpha=0.4, linewidth=1, linestyle="--")
        values = [one.accuracy.value for one in bins]
        below = [one.accuracy.value - one.accuracy.low for one in bins]
        above = [one.accuracy.high - one.accuracy.value for one in bins]
        positions = [one.confidence for one in bins]
        upper.errorbar(positions, values, yerr=[below, above], color=_ACCENT, marker="o", markersize=5, linewidth=1.5)
        upper.set_ylim(-0.02, 1.02)
        upper.set_ylabel("accuracy")
        centers = [(one.low + one.high) / 2 for one in bins]
        counts = [one.accuracy.total for one in bins]
        lower.bar(centers, counts, width=0.09, color=_ACCENT, alpha=0.6)
        for center, count in zip(centers, counts, strict=True):
            lower.annotate(f"{count:,}", (center, count), (0, 1), textcoords="offset points", ha="center", fontsize=7)
        lower.set_xlim(-0.02, 1.02)
        lower.set_yticks([])
        lower.set_ylim(0, max(counts) * 1.35)
        lower.spines["left"].set_visible(False)
        lower.set_xlabel("confidence")
        _use_percent(upper)
        _use_percent(lower, y=False)
        summary = "; ".join(
            f"confidence {one.confidence:.0%}: accuracy {one.accuracy.value:.0%} of {one.accuracy.total:,}"
            for one in bins
        )
        return _render(figure, "Reliability diagram", summary)


def plot_coverage(points: Sequence[CoveragePoint]) -> str:
    """Plot the accuracy of the most confident verdicts against the share of messages that they cover.

    Args:
        points: At least one point, by rising coverage.

    Returns:
        An `<svg>` element.
    """
    step = -(-len(points) // _MOST_POINTS)
    shown = [*points[:-1:step], points[-1]]
    estimates = [estimate_share(point.right, point.count) for point in shown]
    coverages = [point.coverage for point in shown]
    with _mpl.rc_context(_STYLE):
        figure: Any = Figure(_SIZE, layout="constrained")
        axes = figure.subplots()
        low, high = [one.low for one in estimates], [one.high for one in estimates]
        axes.fill_between(coverages, low, high, color=_ACCENT, alpha=0.2, linewidth=0)
        marker = "o" if len(shown) <= 12 else ""
        values = [one.value for one in estimates]
        axes.plot(coverages, values, color=_ACCENT, linewidth=1.5, marker=marker, markersize=4)
        axes.set_xlim(0, 1.02)
        axes.set_ylim(max(0.0, min(values) - 0.15), 1.01)
        axes.set_xlabel("share of messages, by falling confidence")
        axes.set_ylabel("accuracy")
        _use_percent(axes)
        axes.grid(color=_INK, alpha=0.15)
        marked = [shown[-(-len(shown) * part // 4) - 1] for part in (1, 2, 3, 4)]
        summary = "; ".join(f"coverage {point.coverage:.0%}: accuracy {point.accuracy:.0%}" for point in marked)
        return _render(figure, "Accuracy against coverage", summary)


def _use_percent(axes: Any, *, y: bool = True) -> None:
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    if y:
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))


def _render(figure: Any, title: str, summary: str) -> str:
    """Return a figure as an `<svg>` element that does not affect the page around it."""
    label = f"{title}. {summary}."
    # Equal plots have equal ids, and plots that differ, which may be on the same page, have different ones.
    salt = hashlib.sha256(label.encode()).hexdigest()
    output = io.StringIO()
    with _mpl.rc_context({"svg.hashsalt": salt}):
        metadata: dict[str, str | None] = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(output, format="svg", transparent=True, metadata=metadata)
    root = ET.fromstring(output.getvalue())  # noqa: S314 - matplotlib has just written it
    for element in root.iter():
        _clean(element)
    width = root.attrib["width"]
    style = f"width:{width};max-width:100%;height:auto;stroke-linejoin:round"
    root.attrib = {
        "viewBox": root.attrib["viewBox"],
        "width": width,
        "role": "img",
        "aria-label": label,
        "style": style,
    }
    return ET.tostring(root, encoding="unicode").replace("\n", " ")


def _clean(element: ET.Element) -> None:
    """Make an element fit for HTML: without namespaces, styles for the whole page, and ids that nothing refers to."""
    element.tag = element.tag.removeprefix(_SVG)
    for child in list(element):
        if child.tag == f"{_SVG}style":
            element.remove(child)
    if element.tag == "g":
        element.attrib.pop("id", None)  # such as "figure_1", which would occur in each plot of a page
    if link := element.attrib.pop(_LINK, None):
        element.set("href", link)
    # Viewers that remove styles keep attributes. Without a fill, for example, a plot would be a black box.
    style = _FONTS.sub("system-ui, sans-serif", element.attrib.pop("style", "").replace(_INK, "currentColor"))
    for declaration in filter(str.strip, style.split(";")):
        name, value = (part.strip() for part in declaration.split(":", 1))
        element.set("style" if name == "font" else name, declaration.strip() if name == "font" else value)
    element.text = (element.text or "").strip()
    element.tail = ""
