"""The HTML is well-formed, safe whatever customers write, and works in any page, theme and width."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings

from tests.unit.evals.reports import BUCKETS, MIXED, build, fail, hostile_texts, names_with_surrogates, predict, repeat
from triage.evals.compare import compare
from triage.evals.format import shorten
from triage.evals.html import build_page, render_comparison, render_report
from triage.evals.report import Report

VOID = {"meta", "br", "path", "use", "rect"}


class Page(HTMLParser):
    """The tags, attributes and text of a page, whose elements must be closed in order."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(markup)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def create_report(text: str, name: str = "name") -> Report:
    predictions = [
        predict("urgent", "general", text=f"x{text}", reason=f"y{text}", fallback_reason="refused"),  # so no plots
    ]
    return build(predictions, classifier=f"x{name}", dataset=f"x{name}", description=f"x{name}")


def test_the_parts_are_in_the_order_of_their_importance() -> None:
    text = Page(render_report(build(MIXED, classifier="Rules"))).text
    parts = [
        "Rules chooses the right bucket for 87.5% of 32 messages (95% interval: 71.9–95.0%).",
        "Buckets",
        "Confusion matrix",
        "Mistakes",
        "Confidence and accuracy",
        "Accuracy against coverage",
        "Cost, latency and confidence",
    ]
    positions = [text.index(part) for part in parts]
    assert positions == sorted(positions)


def test_the_confusion_matrix_shows_counts_and_shares_of_the_row() -> None:
    text = Page(render_report(build(MIXED))).text
    assert "urgent8 80.0%01 10.0%1 10.0%" in text
    assert "spam0000" in text


def test_an_unknown_number_is_a_dash() -> None:
    assert "spam00% 0–65.8%–0% 0–79.3%" in Page(render_report(build(MIXED))).text


def test_a_mistake_shows_text_buckets_confidence_and_reason() -> None:
    text = Page(render_report(build(MIXED))).text
    assert "urgent not general 60% · m20My card was stolen" in text
    assert "Asks about a card." in text


def test_missed_messages_of_the_first_bucket_come_first() -> None:
    text = Page(render_report(build(MIXED))).text
    order = ["WIN your money back", "My card was stolen", "Cheap invoices"]
    assert sorted(order, key=text.index) == order


def test_a_fallback_verdict_shows_its_kind() -> None:
    assert "billing not general unavailable · m1" in Page(render_report(build(MIXED))).text


def test_at_most_20_mistakes_are_shown() -> None:
    text = Page(render_report(build(repeat(23, "urgent", "spam")))).text
    assert text.count("urgent not spam") == 20
    assert "3 more: report.to_pandas() has them all." in text


def test_a_perfect_report_has_no_mistakes() -> None:
    assert "MistakesNone." in Page(render_report(build(repeat(3, "urgent")))).text


def test_a_long_text_is_shortened() -> None:
    assert "long" * 75 not in render_report(build([predict("urgent", "spam", text="long" * 1000)]))


def test_a_report_without_usable_verdicts_has_no_plots() -> None:
    assert "svg" not in Page(render_report(build([fail("general"), fail("urgent")]))).tags


def test_an_empty_report_is_a_sentence() -> None:
    page = Page(render_report(build([], classifier="Rules", dataset="empty.csv")))
    assert page.text == "Rules has no verdicts on empty.csv."


def test_a_report_warns_of_messages_without_a_verdict() -> None:
    assert (
        "2 messages got no verdict, because the budget was spent or the classifier was unavailable."
        in render_report(build(MIXED, unanswered=2))
    )


@settings(max_examples=25, deadline=None)
@given(hostile_texts(), names_with_surrogates())
def test_no_text_creates_an_element(text: str, name: str) -> None:
    markup = render_report(create_report(text, name))
    page = Page(markup)
    assert page.tags == Page(render_report(create_report("harmless"))).tags
    assert shorten(f"x{text}") in page.text
    assert shorten(f"y{text}") in page.text
    markup.encode()


@settings(max_examples=25, deadline=None)
@given(hostile_texts(), names_with_surrogates())
def test_no_text_creates_an_element_in_a_comparison(text: str, name: str) -> None:
    def create_page(text: str, name: str) -> Page:
        before, after = predict("urgent", "spam", text=f"x{text}"), predict("urgent", text=f"x{text}")
        reports = [build([one], classifier=name, description=f"{one.actual} x") for one in (before, after)]
        return Page(render_comparison(compare(*reports)))

    page = create_page(text, name)
    assert page.tags == create_page("harmless", "name").tags
    assert shorten(f"x{text}") in page.text


@given(names_with_surrogates())
def test_no_title_creates_an_element(title: str) -> None:
    assert Page(build_page(title, "")).tags == Page(build_page("harmless", "")).tags


def test_the_fragment_contains_no_scripts_and_no_styles_for_the_page_around_it() -> None:
    page = Page(render_report(build(MIXED)))
    assert {"script", "style", "link", "iframe", "img", "a"}.isdisjoint(page.tags)
    assert not any(name.startswith("on") or name == "src" for name, _ in page.attributes)


def test_the_fragment_adopts_the_theme_of_the_page_around_it() -> None:
    markup = render_report(build(MIXED))
    colors = set(re.findall(r"(?:background|color|solid)[: ](#\w+|rgba?\([^)]*\)|\w+)", markup))
    assert all(color in {"inherit", "transparent", "linear"} or color.startswith("rgba(") for color in colors)


def test_tables_scroll_in_their_container() -> None:
    markup = render_report(build(MIXED))
    assert markup.count("<table") == markup.count('<div style="overflow-x:auto;max-width:100%"><table') == 3


def test_a_page_is_a_document_that_forbids_scripts_and_other_files() -> None:
    markup = build_page("Rules on support.csv", render_report(build(MIXED)))
    page = Page(markup)
    assert markup.startswith("<!DOCTYPE html>")
    assert "Rules on support.csv" in page.text
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'") in (
        page.attributes
    )
    assert ("content", "width=device-width, initial-scale=1") in page.attributes
    assert "prefers-color-scheme: dark" in markup


def test_a_large_report_stays_small() -> None:
    predictions = [
        predict(BUCKETS.names[number % 4], "urgent", text="word " * 100, number=number, confidence=number / 10_000)
        for number in range(10_000)
    ]
    assert len(render_report(build(predictions)).encode()) < 150_000


@pytest.mark.parametrize("predictions", [MIXED, [predict("urgent")], [predict("urgent", "spam")], [fail("general")]])
def test_no_number_is_undefined(predictions: list[object]) -> None:
    assert not re.search(r"\b(nan|inf|none)\b", Page(render_report(build(predictions))).text)  # type: ignore[arg-type]


def test_a_comparison_shows_the_changes_first() -> None:
    a = build([predict("urgent", text="A"), predict("urgent", "spam", text="B")], description="Be quick.")
    b = build([predict("urgent", "spam", text="A"), predict("urgent", "general", text="B")], description="Be careful.")
    text = Page(render_comparison(compare(a, b))).text
    parts = [
        "There is no evidence of a difference",
        "2 messages in both reports. 1 message changed from one wrong bucket to another.",
        "Changes",
        "recall of urgent",
        "Broken by B 1 message",
        "urgent A: urgent 90% B: spam 90% · m1A",
        "Fixed by BNone.",
        "Changes to the description",
        "-Be quick.+Be careful.",
    ]
    positions = [text.index(part) for part in parts]
    assert positions == sorted(positions)


def test_a_comparison_of_equal_descriptions_shows_no_changes_to_them() -> None:
    report = build(MIXED, description="Be quick.")
    assert "Changes to the description" not in render_comparison(compare(report, report))


def test_a_comparison_shows_at_most_20_messages_of_each_kind() -> None:
    a = [predict("urgent", text=str(number), number=number) for number in range(23)]
    b = [predict("urgent", "spam", text=str(number), number=number) for number in range(23)]
    text = Page(render_comparison(compare(build(a), build(b)))).text
    assert text.count("B: spam") == 20
    assert "3 more." in text


def test_a_page_can_be_written_and_read(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    build([predict("urgent", "spam", text="Größe \U0001f600")]).to_html(path)
    assert "Größe \U0001f600" in Page(path.read_text(encoding="utf-8")).text
