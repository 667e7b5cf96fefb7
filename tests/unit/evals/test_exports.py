"""Exports are valid in their formats, whatever customers write."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given

from tests.unit.evals.reports import MIXED, build, fail, hostile_texts, names_with_surrogates, predict, repeat
from triage.evals.compare import compare
from triage.evals.exports import build_junit, render_comparison, render_markdown
from triage.evals.format import shorten
from triage.evals.report import Report

# pandas


def test_the_table_has_a_row_for_each_example() -> None:
    predictions = [
        predict(
            "urgent", "spam", text="Help", reason="Spam.", cost_usd=0.1, latency=0.5, model="m", group="g", number=7
        ),
        fail("billing", reason="Refused."),
    ]
    table = build(predictions).to_pandas()
    first = table.iloc[0].to_dict()
    assert pd.isna(first.pop("fallback_reason"))
    assert first == {
        "id": "m7",
        "text": "Help",
        "expected": "urgent",
        "actual": "spam",
        "correct": False,
        "confidence": 0.9,
        "reason": "Spam.",
        "cost_usd": 0.1,
        "latency": 0.5,
        "model": "m",
        "group": "g",
        "samples": ("spam",),
    }
    assert table["fallback_reason"].tolist()[1] == "refused"
    assert pd.isna(table["cost_usd"][1])


def test_the_fields_of_the_examples_are_columns() -> None:
    predictions = [
        predict("urgent", fields={"channel": "email", "model": "x"}),
        predict("spam", fields={"plan": "pro"}),
    ]
    table = build(predictions).to_pandas()
    assert list(table.columns[-3:]) == ["channel", "field_model", "plan"]
    assert table["channel"].tolist()[0] == "email"
    assert pd.isna(table["channel"][1])
    assert table["plan"].tolist()[1] == "pro"


def test_the_samples_are_the_buckets_of_all_verdicts() -> None:
    assert build([predict("urgent", "urgent", "spam")]).to_pandas()["samples"].tolist() == [("urgent", "spam")]


def test_the_table_has_numbers_to_calculate_with() -> None:
    table = build(MIXED).to_pandas()
    assert table["correct"].mean() == pytest.approx(28 / 32)
    assert table.groupby("expected")["confidence"].mean()["general"] == pytest.approx(0.63)


def test_an_empty_table_has_columns() -> None:
    table = build([]).to_pandas()
    assert len(table) == 0
    assert list(table.columns[:4]) == ["id", "text", "expected", "actual"]


# JUnit


def parse_junit(report: Report) -> ET.Element:
    return ET.fromstring(build_junit(report))  # noqa: S314 - our own


def test_each_example_is_a_test_case_and_each_mistake_a_failure() -> None:
    predictions = [
        predict("urgent", text="Help", latency=0.25, number=1),
        predict("urgent", "spam", text="My card", reason="A card.", number=2),
    ]
    suite = parse_junit(build(predictions, dataset="support.csv"))[0]
    assert suite.attrib == {"name": "support.csv", "tests": "2", "failures": "1", "errors": "0", "time": "0.250"}
    passed, failed = suite.iter("testcase")
    assert passed.attrib == {"classname": "support.csv.urgent", "name": "1 m1: Help", "time": "0.250"}
    assert len(passed) == 0
    assert failed[0].attrib == {"message": "expected urgent, got spam (90%)", "type": "wrong_bucket"}
    assert failed[0].text == "expected urgent, got spam (90%)\nText: My card\nReason: A card."


def test_a_failure_because_of_a_missing_verdict_has_the_type_of_its_kind() -> None:
    failure = next(parse_junit(build([fail("urgent")])).iter("failure"))
    assert failure.attrib == {"message": "expected urgent, got general (refused)", "type": "refused"}


def test_the_properties_are_the_numbers_of_the_report() -> None:
    names = [element.attrib["name"] for element in parse_junit(build(MIXED, unanswered=3)).iter("property")]
    assert names == ["result", "unanswered", "cost", "latency", "fallbacks", "confidence"]


def test_an_empty_report_is_valid() -> None:
    suite = parse_junit(build([]))[0]
    assert suite.attrib["tests"] == "0"
    assert [element.attrib["name"] for element in suite.iter("property")] == ["result", "unanswered"]


@given(hostile_texts(), names_with_surrogates())
def test_any_text_is_valid_xml(text: str, name: str) -> None:
    predictions = [predict("urgent", text=text), predict("urgent", "spam", text=text, reason=text)]
    root = parse_junit(build(predictions, dataset=name, classifier=name))
    assert [element.tag for element in root.iter("testcase")] == ["testcase", "testcase"]
    failure = next(root.iter("failure"))
    assert failure.text is not None
    assert failure.text.endswith(f"Text: {shorten(text)}\nReason: {shorten(text)}")


def test_the_file_can_be_read_by_other_tools(tmp_path: Path) -> None:
    path = tmp_path / "junit.xml"
    build(MIXED).to_junit(path)
    assert path.read_bytes().startswith(b"<?xml version='1.0' encoding='utf-8'?>")
    assert len(list(ET.parse(path).iter("testcase"))) == 32  # noqa: S314 - our own


# Markdown


def find_row(markdown: str, beginning: str = "| `") -> str:
    return next(line for line in markdown.splitlines() if line.startswith(beginning))


def read_code(row: str) -> tuple[str, str]:
    """Return the text of the code span at the beginning of a table row, as GitHub reads it, and the rest of the row."""
    fence = re.match(r"\| (`+)", row)
    assert fence
    match = re.match(rf"\| {fence[1]}(?!`)(.*?)(?<!`){fence[1]}(?!`)(.*)", row)
    assert match
    code = match[1].replace(r"\|", "|")
    return (code[1:-1] if code[:1] == code[-1:] == " " else code), match[2]


def test_a_report_is_tables_and_folded_details() -> None:
    markdown = render_markdown(build(MIXED, classifier="Rules", dataset="support.csv"))
    assert markdown.startswith(
        "### Evaluation of `Rules` on `support.csv`\n\n`Rules` chooses the right bucket for 87.5% of 32 messages "
        "(95% interval: 71.9–95.0%).\n\n"
        "| bucket | messages | precision | recall | F1 |\n| :-- | --: | --: | --: | --: |\n"
        "| urgent | 10 | 100% (67.6–100%) | 80.0% (49.0–94.3%) | 88.9% (65.8–97.1%) |\n"
    )
    assert "| urgent | 8 | 0 | 1 | 1 |" in markdown
    assert "<details><summary>4 mistakes, the worst first</summary>\n\n| text | expected" in markdown
    assert "| `My card was stolen` | urgent | general | 60% | `Asks about a card.` |" in markdown
    assert "| `Hello` | billing | general | unavailable | – |" in markdown
    assert "- fallbacks: 6.2% (1.7–20.1%) of messages have no usable verdict: refused 1, unavailable 1\n" in markdown


def test_dollars_are_not_math() -> None:
    assert r"- cost: \$2.00 per 1,000 messages, \$0.0020 for these" in render_markdown(
        build([predict("urgent", cost_usd=0.002)])
    )


def test_at_most_20_mistakes_are_shown() -> None:
    markdown = render_markdown(build(repeat(23, "urgent", "spam")))
    assert markdown.count("| urgent | spam |") == 20
    assert "\n\n… and 3 more.\n" in markdown


def test_a_perfect_report_has_no_mistakes() -> None:
    assert "\n\nNo mistakes.\n\n" in render_markdown(build(repeat(3, "urgent")))


def test_an_empty_report_is_a_sentence() -> None:
    markdown = render_markdown(build([], unanswered=1))
    assert "`classifier` has no verdicts on `dataset`." in markdown
    assert "1 message got no verdict, because the budget was spent or the classifier was unavailable." in markdown


@given(hostile_texts())
def test_customer_text_stays_in_its_cell(text: str) -> None:
    markdown = render_markdown(build([predict("urgent", "spam", text=f"x{text}")]))
    row = find_row(markdown)
    code, rest = read_code(row)
    assert code.replace("\\ |", "\\|") == shorten(f"x{text}").replace("\\ |", "\\|")
    assert rest == " | urgent | spam | 90% | – |"
    # GitHub splits a row at each "|" without a backslash before it, even in code.
    assert len(re.findall(r"(?<!\\)\|", row)) == 6
    assert markdown.count("\n") == render_markdown(build([predict("urgent", "spam")])).count("\n")


@given(hostile_texts(), names_with_surrogates())
def test_customer_text_stays_in_its_cell_of_a_comparison(text: str, name: str) -> None:
    a = build([predict("urgent", "spam", text=f"x{text}")], classifier=f"x{name}", description=f"a\n{name}")
    b = build([predict("urgent", text=f"x{text}")], classifier=f"x{name}", description=f"b\n{name}")
    row = find_row(render_comparison(compare(a, b)))
    assert read_code(row)[1] == " | urgent | spam (90%) | urgent (90%) |"
    assert len(re.findall(r"(?<!\\)\|", row)) == 5


def test_a_text_of_backquotes_is_code() -> None:
    assert read_code(find_row(render_markdown(build([predict("urgent", "spam", text="` ``")]))))[0] == "` ``"


def test_a_backslash_before_a_bar_does_not_split_the_cell() -> None:
    assert r"| `a\ \|b` |" in find_row(render_markdown(build([predict("urgent", "spam", text=r"a\|b")])))


def test_a_comparison_is_tables_and_folded_details() -> None:
    a = build([predict("urgent", text="My card")], classifier="small", description="Use ```code```.")
    b = build([predict("urgent", "spam", text="My card")], classifier="large", description="Use code.")
    markdown = render_comparison(compare(a, b))
    assert markdown.startswith("### A: `small`, B: `large`\n\n**There is no evidence of a difference: B fixes")
    assert "<details><summary>Broken by B: 1 message</summary>" in markdown
    assert "| `My card` | urgent | urgent (90%) | spam (90%) |" in markdown
    assert "\n\nFixed by B: none.\n\n" in markdown
    assert markdown.endswith("````diff\n--- A\n+++ B\n@@ -1 +1 @@\n-Use ```code```.\n+Use code.\n````\n\n</details>\n")


def test_a_comparison_of_equal_descriptions_shows_no_changes_to_them() -> None:
    assert "diff" not in render_comparison(compare(build(MIXED), build(MIXED))).replace("difference", "")


def test_a_comparison_shows_at_most_20_messages_of_each_kind() -> None:
    a = [predict("urgent", text=str(number), number=number) for number in range(23)]
    b = [predict("urgent", "spam", text=str(number), number=number) for number in range(23)]
    markdown = render_comparison(compare(build(a), build(b)))
    assert markdown.count("| urgent | urgent (90%) | spam (90%) |") == 20
    assert "… and 3 more." in markdown
