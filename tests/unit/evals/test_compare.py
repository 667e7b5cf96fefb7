"""A comparison pairs the messages of two reports, and says in plain words whether one is better."""

from pathlib import Path

import pytest

from tests.unit.evals.reports import MIXED, build, fail, predict
from triage.errors import DatasetError
from triage.evals.compare import Comparison, compare
from triage.evals.report import Report


def create_reports(fixed: int, broken: int, same: int) -> tuple[Report, Report]:
    """Return two reports of which the second fixes and breaks some messages."""
    kinds = [("spam", "urgent")] * fixed + [("urgent", "spam")] * broken + [("urgent", "urgent")] * same
    a, b = (
        [predict("urgent", kind[side], text=str(number), number=number) for number, kind in enumerate(kinds)]
        for side in (0, 1)
    )
    return build(a), build(b)


def create(fixed: int, broken: int, same: int) -> Comparison:
    return compare(*create_reports(fixed, broken, same))


def test_messages_flip_in_both_directions() -> None:
    a = [predict("urgent", "spam", text="1"), predict("urgent", text="2"), predict("urgent", "spam", text="3")]
    b = [predict("urgent", text="1"), predict("urgent", "general", text="2"), predict("urgent", "billing", text="3")]
    comparison = compare(build(a), build(b))
    assert [(flip.a, flip.b) for flip in comparison.fixed] == [(a[0], b[0])]
    assert [(flip.a, flip.b) for flip in comparison.broken] == [(a[1], b[1])]
    assert comparison.still_wrong == 1
    assert comparison.difference.value == 0


def test_messages_are_paired_whatever_their_order_and_ids() -> None:
    a = [predict("urgent", text="1", number=1), predict("billing", "spam", text="2", number=2)]
    b = [predict("billing", text="2", number=7), predict("urgent", text="1", number=8)]
    comparison = compare(build(a), build(b))
    assert [flip.a.example.text for flip in comparison.fixed] == ["2"]
    assert comparison.broken == []


def test_equal_messages_are_paired_in_their_order() -> None:
    a = [predict("urgent", "spam"), predict("urgent")]
    assert compare(build(a), build(a)).fixed == []
    assert len(compare(build(a), build(a[::-1])).fixed) == 1


def test_messages_in_only_one_report_are_counted_and_left_out() -> None:
    a = build([predict("urgent", text=text) for text in "abc"], classifier="small", dataset="support.csv")
    b = build([predict("urgent", "spam", text=text) for text in "bcdef"])
    comparison = compare(a, b)
    assert (comparison.only_in_a, comparison.only_in_b) == (1, 3)
    assert len(comparison.a.predictions) == len(comparison.b.predictions) == len(comparison.broken) == 2
    assert (comparison.a.classifier, comparison.a.dataset) == ("small", "support.csv")
    assert "2 messages in both reports, 1 only in A, 3 only in B." in str(comparison)


def test_the_worst_mistakes_come_first() -> None:
    a = [predict("billing", "spam", text="1", confidence=0.9), predict("urgent", "spam", text="2", confidence=0.5)]
    b = [predict("billing", text="1"), predict("urgent", text="2")]
    assert [flip.a.example.text for flip in compare(build(a), build(b)).fixed] == ["2", "1"]
    assert [flip.a.example.text for flip in compare(build(b), build(a)).broken] == ["2", "1"]


def test_reports_without_common_messages_cannot_be_compared() -> None:
    a = build([predict("urgent", text="1")], dataset="old.csv")
    b = build([predict("urgent", text="2"), predict("urgent", text="3")], dataset="new.csv")
    expected = "a is about 'old.csv' with 1 message, b about 'new.csv' with 2 messages. Evaluate both"
    with pytest.raises(DatasetError, match=expected):
        compare(a, b)


def test_empty_reports_cannot_be_compared() -> None:
    with pytest.raises(DatasetError, match="no messages in common"):
        compare(build([]), build([]))


def test_reports_with_different_labels_cannot_be_compared() -> None:
    a = build([predict("urgent", text="my secret", number=5)])
    b = build([predict("spam", text="my secret", number=5)])
    with pytest.raises(DatasetError, match="1 message changed the label between the reports, the first of them is m5"):
        compare(a, b)


# Statistics


def test_a_clear_improvement_is_better() -> None:
    comparison = create(fixed=14, broken=2, same=184)
    assert comparison.is_significant
    assert comparison.p_value == pytest.approx(0.00418, abs=1e-5)
    assert comparison.summary == (
        "B is better: it fixes 14 messages and breaks 2. If both were equally good, luck would cause so large a "
        "difference in about 1 of 239 comparisons (p = 0.0042)."
    )


def test_a_clear_deterioration_is_worse() -> None:
    assert create(fixed=1, broken=40, same=100).summary == (
        "A is better: B fixes 1 message and breaks 40. If both were equally good, luck would cause so large a "
        "difference in less than 1 of 10,000 comparisons (p < 0.0001)."
    )


def test_a_small_difference_is_no_evidence() -> None:
    comparison = create(fixed=7, broken=5, same=188)
    assert not comparison.is_significant
    assert comparison.summary == (
        "There is no evidence of a difference: B fixes 7 messages and breaks 5, which may well be luck (p = 0.77). "
        "With 200 messages, only a difference of about 4.9 points or more can be found."
    )


def test_a_small_set_can_show_only_large_differences() -> None:
    assert create(fixed=2, broken=1, same=17).summary.endswith(
        "only a difference of about 30 points or more can be found."
    )


def test_a_tiny_set_can_show_no_difference() -> None:
    assert create(fixed=2, broken=1, same=1).summary.endswith("With 4 messages, no difference can be found.")


def test_equal_results_are_no_evidence() -> None:
    comparison = create(fixed=0, broken=0, same=5)
    assert comparison.p_value == 1
    assert comparison.summary == "There is no evidence of a difference: A and B are right about the same messages."


def test_the_difference_has_an_interval() -> None:
    difference = create(fixed=14, broken=2, same=184).difference
    assert difference.value == pytest.approx(0.06)
    assert 0.01 < difference.low < 0.06 < difference.high < 0.11


def test_recall_changes_are_those_of_buckets_with_messages() -> None:
    a = [predict("urgent", "spam", text="1"), predict("billing", text="2"), predict("urgent", text="3")]
    b = [predict("urgent", text="1"), predict("billing", "spam", text="2"), predict("urgent", text="3")]
    assert compare(build(a), build(b)).recall_changes == {"urgent": 0.5, "billing": -1.0}


# Descriptions


def test_the_descriptions_are_compared_line_by_line() -> None:
    a = build(MIXED, description="Rules\nurgent: Outages.\nspam: Ads.")
    b = build(MIXED, description="Rules\nurgent: Outages and fraud.\nspam: Ads.")
    assert compare(a, b).description_diff == [
        *("--- A", "+++ B", "@@ -1,3 +1,3 @@"),
        *(" Rules", "-urgent: Outages.", "+urgent: Outages and fraud.", " spam: Ads."),
    ]


def test_equal_descriptions_have_no_difference() -> None:
    assert compare(build(MIXED), build(MIXED)).description_diff == []


# Output


def test_the_repr_is_one_line_without_customer_text() -> None:
    text = repr(create(fixed=14, broken=2, same=4))
    assert text.startswith("Comparison(Report(classifier='classifier', ")
    assert text.endswith(", fixed=14, broken=2, p_value=0.0042)")
    assert "\n" not in text


def test_a_comparison_shows_itself(capsys: pytest.CaptureFixture[str]) -> None:
    comparison = create(fixed=1, broken=1, same=1)
    comparison.show()
    assert capsys.readouterr().out == f"{comparison}\n"


def test_a_notebook_shows_html() -> None:
    assert create(fixed=1, broken=1, same=1)._repr_html_().startswith('<div class="triage-report"')


def test_a_page_is_titled_with_both_classifiers(tmp_path: Path) -> None:
    path = tmp_path / "comparison.html"
    compare(build(MIXED, classifier="small"), build(MIXED, classifier="large")).to_html(path)
    assert "<title>small and large</title>" in path.read_text(encoding="utf-8")


def test_markdown_is_text() -> None:
    assert create(fixed=1, broken=1, same=1).to_markdown().startswith("### A: `classifier`, B: `classifier`")


def test_a_fallback_verdict_can_be_fixed() -> None:
    a, b = build([fail("urgent", text="1")]), build([predict("urgent", text="1")])
    assert len(compare(a, b).fixed) == 1
