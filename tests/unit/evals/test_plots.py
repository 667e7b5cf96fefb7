"""The plots are SVG that fits any page: its colors, no scripts, no references to other files, no clashing ids."""

import re
import xml.etree.ElementTree as ET

import pytest

from triage.evals.metrics import CoveragePoint, Reliability, measure_coverage, measure_reliability
from triage.evals.plots import plot_coverage, plot_reliability


def create_reliability(confidences: list[float]) -> Reliability:
    reliability = measure_reliability(confidences, [number % 3 != 0 for number in range(len(confidences))])
    assert reliability is not None
    return reliability


RELIABILITY = create_reliability([0.55, 0.61, 0.72, 0.85, 0.88, 0.93, 0.95, 0.99])
POINTS = measure_coverage([0.9, 0.8, 0.7], [True, True, False], 4)
PLOTS = [plot_reliability(RELIABILITY), plot_coverage(POINTS)]


def find_ids(svg: str) -> list[str]:
    return [element.attrib["id"] for element in ET.fromstring(svg).iter() if "id" in element.attrib]  # noqa: S314


@pytest.mark.parametrize("svg", PLOTS)
def test_a_plot_contains_nothing_that_affects_the_page_around_it(svg: str) -> None:
    root = ET.fromstring(svg)  # noqa: S314 - our own
    assert root.tag == "svg"
    assert {element.tag for element in root.iter()} <= {"svg", "g", "defs", "path", "use", "text", "clipPath", "rect"}
    assert "http" not in svg
    assert all(element.get("href", "#").startswith("#") for element in root.iter())
    assert all(target.startswith("#") for target in re.findall(r"url\((.*?)\)", svg))


@pytest.mark.parametrize("svg", PLOTS)
def test_a_plot_has_the_colors_and_font_of_the_page(svg: str) -> None:
    assert "currentColor" in svg
    assert "#000000" not in svg
    assert "#010203" not in svg
    assert "DejaVu" not in svg
    assert "sans-serif" in svg


@pytest.mark.parametrize("svg", PLOTS)
def test_a_plot_adapts_to_the_width_of_the_page(svg: str) -> None:
    root = ET.fromstring(svg)  # noqa: S314 - our own
    assert "max-width:100%" in root.attrib["style"]
    assert "height" not in root.attrib


@pytest.mark.parametrize("svg", PLOTS)
def test_a_plot_is_readable_without_styles(svg: str) -> None:
    root = ET.fromstring(svg)  # noqa: S314 - our own
    assert [element.tag for element in root.iter() if "fill:" in element.get("style", "")] == []
    assert any(shape.get("fill") == "none" for shape in root.iter("path"))


def test_a_plot_has_a_description_for_screen_readers() -> None:
    label = ET.fromstring(PLOTS[1]).attrib["aria-label"]  # noqa: S314 - our own
    assert label.startswith("Accuracy against coverage. coverage 25%: accuracy 100%;")
    assert "coverage 75%: accuracy 67%." in label


def test_the_reliability_diagram_shows_the_size_of_each_bin() -> None:
    texts = [element.text for element in ET.fromstring(PLOTS[0]).iter("text")]  # noqa: S314 - our own
    assert [text for text in texts if text and text.isdigit()] == ["1", "1", "1", "2", "3"]


def test_equal_plots_are_equal() -> None:
    assert [plot_reliability(RELIABILITY), plot_coverage(POINTS)] == PLOTS


def test_plots_that_differ_share_no_ids() -> None:
    ids = [*find_ids(PLOTS[0]), *find_ids(PLOTS[1]), *find_ids(plot_reliability(create_reliability([0.5, 0.7])))]
    assert len(ids) > 3
    assert len(set(ids)) == len(ids)


def test_every_reference_has_a_target() -> None:
    for svg in PLOTS:
        assert set(re.findall(r'(?:href="#|url\(#)(\w+)', svg)) <= set(find_ids(svg))


def test_a_single_verdict_can_be_plotted() -> None:
    assert "nan" not in plot_reliability(create_reliability([1.0])).lower()
    assert "nan" not in plot_coverage([CoveragePoint(1.0, 0, 1, 1.0)]).lower()


def test_a_plot_of_many_thresholds_stays_small() -> None:
    confidences = [number / 10_000 for number in range(10_000)]
    points = measure_coverage(confidences, [number % 7 > 0 for number in range(10_000)], 10_000)
    assert len(plot_coverage(points)) < 60_000
