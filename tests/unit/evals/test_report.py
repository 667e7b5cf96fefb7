"""A report derives all numbers from the verdicts, and `repr` quotes no customer."""

import re
from pathlib import Path

import pytest

from tests.unit.evals.reports import BUCKETS, MIXED, build, fail, predict, repeat
from triage import Bucket, Buckets, ConfigurationError, Verdict
from triage.errors import DatasetError
from triage.evals.metrics import Estimate
from triage.evals.report import Report


def test_a_fallback_verdict_counts_as_a_verdict_for_the_fallback_bucket() -> None:
    report = build([fail("general"), fail("urgent", fallback_reason="unavailable"), predict("urgent")])
    assert report.accuracy.value == pytest.approx(2 / 3)
    assert report.confusion["urgent"]["general"] == 1
    assert report.fallbacks == {"refused": 1, "unavailable": 1}
    assert report.fallback_rate.value == pytest.approx(2 / 3)


def test_the_most_frequent_kind_of_fallback_comes_first() -> None:
    report = build([fail("urgent"), *[fail("urgent", fallback_reason="unavailable")] * 2])
    assert list(report.fallbacks) == ["unavailable", "refused"]


def test_the_confidence_of_a_fallback_verdict_is_left_out() -> None:
    report = build([fail("general"), predict("urgent", confidence=0.8)])
    assert report.reliability is not None
    assert [one.accuracy.total for one in report.reliability.bins] == [1]
    assert [(point.threshold, point.coverage) for point in report.coverage] == [(0.8, 0.5)]


def test_a_report_without_usable_verdicts_has_no_reliability() -> None:
    report = build([fail("urgent")])
    assert report.reliability is None
    assert report.coverage == ()


def test_the_numbers_of_a_bucket_have_intervals() -> None:
    urgent = build(MIXED).per_bucket["urgent"]
    assert urgent.support == 10
    assert (urgent.precision.value, urgent.recall.value) == (1.0, 0.8)
    assert (urgent.recall.low, urgent.recall.high) == pytest.approx((0.4902, 0.9433), abs=1e-4)


def test_macro_f1_is_the_mean_of_the_buckets_that_occur() -> None:
    report = build([predict("urgent"), predict("billing", "urgent")])
    assert report.macro_f1 == pytest.approx((2 / 3 + 0) / 2)


# Costs


def test_the_cost_is_that_of_one_verdict_on_each_message() -> None:
    report = build([predict("urgent", "urgent", "urgent", cost_usd=0.002), predict("spam", cost_usd=0.004)])
    assert report.cost_usd == pytest.approx(0.006)
    assert report.cost_per_1000 == pytest.approx(3.0)


def test_the_cost_of_recorded_verdicts_is_what_they_once_cost() -> None:
    report = build([predict("urgent", cost_usd=0.002, replayed=True)], paid_usd=0.0)
    assert (report.cost_usd, report.paid_usd) == (0.002, 0.0)


def test_the_cost_is_unknown_if_that_of_a_verdict_is() -> None:
    report = build([predict("urgent", cost_usd=0.002), predict("spam")])
    assert report.cost_usd is None
    assert report.cost_per_1000 is None


def test_a_missing_verdict_without_a_cost_is_free() -> None:
    report = build([predict("urgent", cost_usd=0.002), fail("spam", fallback_reason="unavailable")])
    assert report.cost_usd == 0.002


def test_the_cost_is_unknown_if_no_verdict_has_one() -> None:
    assert build([fail("spam")]).cost_usd is None
    assert build([]).cost_usd is None


# Other numbers


def test_the_latency_is_that_of_the_first_verdicts() -> None:
    report = build([predict("urgent", latency=seconds) for seconds in (0.1, 0.2, 0.3)])
    assert report.latency is not None
    assert (report.latency.p50, report.latency.p95) == pytest.approx((0.2, 0.29))


def test_the_flip_rate_is_the_share_of_messages_whose_samples_differ() -> None:
    report = build([predict("urgent", "urgent", "spam"), predict("urgent", "spam", "spam"), predict("urgent")])
    assert report.flip_rate is not None
    assert (report.flip_rate.value, report.flip_rate.total) == (0.5, 2)


def test_single_samples_have_no_flip_rate() -> None:
    assert build(MIXED).flip_rate is None


def test_the_escalation_rate_is_the_share_of_messages_with_several_verdicts() -> None:
    part = Verdict(bucket="urgent")
    report = build([predict("urgent", parts=(part,)), predict("urgent", parts=(part, part))])
    assert report.escalation_rate is not None
    assert report.escalation_rate.value == 0.5


def test_a_classifier_without_parts_has_no_escalation_rate() -> None:
    assert build(MIXED).escalation_rate is None


def test_an_empty_report_has_no_numbers_but_no_errors() -> None:
    report = build([])
    assert report.accuracy == report.fallback_rate == Estimate(0.0, 0.0, 1.0, 0)
    assert (report.macro_f1, report.latency, report.reliability, report.flip_rate) == (0.0, None, None, None)
    assert (report.escalation_rate, report.fallbacks, report.coverage, report.mistakes) == (None, {}, (), ())


# Mistakes


def test_missed_messages_of_the_first_bucket_are_the_worst_mistakes_then_the_most_confident_ones() -> None:
    predictions = [
        predict("billing", "spam", confidence=0.9),
        predict("urgent", "spam", confidence=0.3),
        fail("urgent", confidence=1.0),
        predict("billing", "urgent", confidence=0.95),
        predict("urgent"),
    ]
    report = build(predictions)
    assert [predictions.index(mistake) for mistake in report.mistakes] == [1, 2, 3, 0]


# Names


def test_a_label_must_be_a_bucket() -> None:
    with pytest.raises(
        DatasetError, match=r"^Example 2 \(m1\) belongs to 'refunds', which is not a bucket\. Correct its"
    ):
        build([predict("urgent"), predict("refunds", "billing")])


def test_a_verdict_must_name_a_bucket_and_the_error_does_not_quote_it() -> None:
    with pytest.raises(ConfigurationError, match=r"^Example 1 \(m1\): the verdict names an unknown bucket\.") as error:
        build([predict("urgent", "urgent", "ignore all rules")])
    assert "ignore" not in str(error.value)


def test_a_single_bucket_is_enough() -> None:
    report = Report([predict("all")], Buckets([Bucket("all", "Everything.")], fallback="all"))
    assert report.macro_f1 == report.accuracy.value == 1
    assert "nan" not in str(report)
    assert "nan" not in report._repr_html_().lower().replace("tnan", "")


# Output


def test_the_repr_is_one_line_without_customer_text() -> None:
    report = build([predict("urgent", "spam", text="my secret", reason="my reason")], dataset="a\nb")
    assert repr(report) == "Report(classifier='classifier', dataset='a\\nb', predictions=1, accuracy=0.000)"


def test_a_report_shows_itself(capsys: pytest.CaptureFixture[str]) -> None:
    report = build(MIXED)
    report.show()
    assert capsys.readouterr().out == f"{report}\n"
    assert "My card was stolen" in str(report)


def test_a_notebook_shows_html() -> None:
    assert build(MIXED)._repr_html_().startswith('<div class="triage-report"')


def test_a_page_is_titled_with_classifier_and_data_set(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    build(MIXED, classifier="Rules", dataset="support.csv").to_html(str(path))
    assert "<title>Rules on support.csv</title>" in path.read_text(encoding="utf-8")


def test_markdown_is_text() -> None:
    assert build(MIXED).to_markdown().startswith("### Evaluation of")


def test_ten_thousand_predictions_have_all_numbers() -> None:
    report = build([*repeat(5000, "urgent"), *repeat(5000, "billing", "spam")])
    assert report.accuracy.value == 0.5
    assert report.mistakes[0].expected == "billing"
    assert len(str(report)) < 5000


def test_the_buckets_are_those_of_the_report() -> None:
    assert list(build(MIXED).per_bucket) == list(BUCKETS.names)
    assert not re.search(r"\bnan\b", str(build(MIXED)))
