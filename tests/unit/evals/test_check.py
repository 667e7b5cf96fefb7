"""A check fails if a demand is not met, and says which, by how much, and for which messages."""

import re
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.evals.reports import MIXED, build, fail, predict, repeat
from triage import ConfigurationError
from triage.errors import DatasetError
from triage.evals.check import CheckFailed

REPORT = build(MIXED, classifier="Rules", dataset="support.csv")


def find_failures(demands: Mapping[str, Any], *, report: Any = REPORT) -> list[str]:
    """Return the demands that are not met, without their texts."""
    try:
        report.check(**demands)
    except CheckFailed as error:
        return [match[1] for match in re.finditer(r"^- (.*), (?:the \w+ end )?must be", str(error), re.MULTILINE)]
    return []


def test_a_check_that_is_met_is_silent() -> None:
    REPORT.check(
        accuracy=0.87, macro_f1=0.6, precision={"urgent": 1}, recall={"urgent": 0.8, "*": 0.5}, f1=0, fallbacks=0.1
    )


def test_the_error_lists_the_demands_and_the_cases() -> None:
    with pytest.raises(CheckFailed) as error:
        REPORT.check(accuracy=0.9, recall={"urgent": 0.98}, precision={"urgent": 0.9})
    assert str(error.value) == (
        "Rules on support.csv (32 messages) does not meet 2 of 3 demands:\n"
        "- recall of 'urgent' is 80.0% (49.0–94.3%), must be at least 98%\n"
        "- accuracy is 87.5% (71.9–95.0%), must be at least 90%\n"
        "4 cases to look at, the worst first:\n"
        "- m21: expected urgent, got spam (80%): WIN your money back\n"
        "- m20: expected urgent, got general (60%): My card was stolen\n"
        "- m22: expected billing, got spam (99%): Cheap invoices\n"
        "- m1: expected billing, got general (unavailable): Hello"
    )


def test_the_error_is_a_failed_assertion() -> None:
    with pytest.raises(AssertionError):
        REPORT.check(accuracy=1)


@pytest.mark.parametrize(
    ("demands", "failures"),
    [
        ({"accuracy": 0.88}, ["accuracy is 87.5% (71.9–95.0%)"]),
        ({"macro_f1": 0.7}, ["macro-F1 is 67.7%"]),
        ({"precision": {"general": 0.9}}, ["precision of 'general' is 83.3% (55.2–95.3%)"]),
        ({"f1": {"urgent": 0.9, "*": 0}}, ["f1 of 'urgent' is 88.9% (65.8–97.1%)"]),
        ({"fallbacks": 0.05}, ["the share of fallbacks is 6.2% (1.7–20.1%)"]),
        ({"recall": 0.9}, ["recall of 'urgent' is 80.0% (49.0–94.3%)", "recall of 'billing' is 83.3% (55.2–95.3%)"]),
    ],
)
def test_each_number_can_be_demanded(demands: dict[str, Any], failures: list[str]) -> None:
    assert find_failures(demands) == failures


def test_cost_and_latency_can_be_limited() -> None:
    report = build([predict("urgent", cost_usd=0.002, latency=2.0)])
    assert find_failures({"cost_per_1000": 1.5, "latency_p95": 1}, report=report) == [
        "1,000 messages cost $2.00",
        "the 95th percentile of the latency is 2.0 s",
    ]
    assert find_failures({"cost_per_1000": 2.0, "latency_p95": 2}, report=report) == []


def test_a_failure_of_the_cost_lists_no_cases() -> None:
    report = build([predict("urgent", "spam", cost_usd=0.002)])
    with pytest.raises(CheckFailed, match=r"must be at most \$1.50$"):
        report.check(cost_per_1000=1.5)


def test_others_are_all_buckets_without_a_demand_of_their_own() -> None:
    assert find_failures({"recall": {"urgent": 0.8, "*": 0.9}}) == ["recall of 'billing' is 83.3% (55.2–95.3%)"]


def test_buckets_without_a_demand_are_not_checked() -> None:
    assert find_failures({"recall": {"general": 1}}) == []


def test_a_demand_on_all_buckets_skips_those_about_which_nothing_is_known() -> None:
    assert find_failures({"recall": 0.8, "precision": 0}) == []


def test_a_bucket_that_no_verdict_names_does_not_meet_a_demand_on_its_precision() -> None:
    with pytest.raises(CheckFailed, match="precision of 'spam' is unknown, because no verdict names the bucket"):
        build([predict("urgent")]).check(precision={"spam": 0.1})


@pytest.mark.parametrize("name", ["recall", "f1"])
def test_a_demand_on_a_bucket_without_messages_cannot_be_checked(name: str) -> None:
    with pytest.raises(DatasetError, match=f"No message belongs to 'spam', so its {name} cannot be checked"):
        REPORT.check(**{name: {"spam": 0.5}})  # type: ignore[arg-type]


# Intervals


def test_the_lower_end_of_the_interval_can_be_compared() -> None:
    assert find_failures({"accuracy": 0.8, "lower": True}) == ["accuracy is 87.5% (71.9–95.0%)"]
    assert find_failures({"accuracy": 0.71, "recall": {"urgent": 0.49}, "lower": True}) == []


def test_the_upper_end_of_the_share_of_fallbacks_is_compared_then() -> None:
    assert find_failures({"fallbacks": 0.1, "lower": True}) == ["the share of fallbacks is 6.2% (1.7–20.1%)"]
    with pytest.raises(CheckFailed, match="the upper end must be at most 10%"):
        REPORT.check(fallbacks=0.1, lower=True)


def test_macro_f1_has_no_lower_end() -> None:
    with pytest.raises(ConfigurationError, match=r"macro_f1 has no confidence interval\. Remove it, or"):
        REPORT.check(macro_f1=0.5, lower=True)


@given(st.floats(0, 1), st.booleans())
def test_a_check_agrees_with_the_numbers(minimum: float, lower: bool) -> None:
    measured = REPORT.accuracy.low if lower else REPORT.accuracy.value
    assert bool(find_failures({"accuracy": minimum, "lower": lower})) == (measured < minimum)


# Cases


def test_a_low_precision_lists_the_verdicts_that_are_wrong() -> None:
    with pytest.raises(CheckFailed) as error:
        REPORT.check(precision={"spam": 0.9})
    assert re.findall(r"^- (m\d+)", str(error.value), re.MULTILINE) == ["m21", "m22"]


def test_a_low_f1_lists_missed_messages_and_wrong_verdicts() -> None:
    with pytest.raises(CheckFailed) as error:
        REPORT.check(f1={"general": 1})
    assert re.findall(r"^- (m\d+)", str(error.value), re.MULTILINE) == ["m20", "m1"]


def test_too_many_fallbacks_list_the_messages_without_a_verdict() -> None:
    report = build([fail("general"), predict("urgent", "spam")])
    with pytest.raises(
        CheckFailed, match=r"1 case to look at, the worst first:\n- m1: expected general, got general \("
    ):
        report.check(fallbacks=0)


def test_at_most_20_cases_are_listed() -> None:
    with pytest.raises(CheckFailed) as error:
        build(repeat(23, "urgent", "spam")).check(accuracy=1)
    assert str(error.value).count("- m") == 20
    assert str(error.value).endswith("\n… and 3 more; report.to_pandas() has them all")


def test_a_case_is_a_line_whatever_the_customer_wrote() -> None:
    with pytest.raises(CheckFailed) as error:
        build([predict("urgent", "spam", text="a\n\x1b[31mb\x00" + "c" * 1000)]).check(accuracy=1)
    last = str(error.value).splitlines()[-1]
    assert last.startswith("- m1: expected urgent, got spam (90%): a bccc")
    assert len(last) < 170


# Mistakes in the call


def test_a_check_without_demands_is_a_mistake() -> None:
    with pytest.raises(ConfigurationError, match=r"checks nothing\. Write check\(accuracy=0\.9\)"):
        REPORT.check()


@pytest.mark.parametrize("name", ["accuracy", "macro_f1", "precision", "recall", "f1", "fallbacks"])
@pytest.mark.parametrize("value", [90, -0.1, float("nan"), True, "0.9"])
def test_a_share_must_be_from_0_to_1(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=rf"^{name} must be a number from 0 to 1\. Write 0\.9 for 90%\.$"):
        REPORT.check(**{name: value})


@pytest.mark.parametrize("name", ["cost_per_1000", "latency_p95"])
@pytest.mark.parametrize("value", [-1, float("nan"), "1"])
def test_a_limit_must_not_be_negative(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=rf"^{name} must be a number of at least 0\."):
        REPORT.check(**{name: value})


def test_the_value_of_each_bucket_must_be_from_0_to_1() -> None:
    with pytest.raises(ConfigurationError, match=r"^recall\['urgent'\] must be a number from 0 to 1"):
        REPORT.check(recall={"urgent": 98})


def test_an_unknown_bucket_is_a_mistake() -> None:
    with pytest.raises(ConfigurationError, match="precision names 'refunds', which is not a bucket"):
        REPORT.check(precision={"refunds": 0.9, "*": 0.5})


def test_demands_on_no_bucket_are_a_mistake() -> None:
    with pytest.raises(ConfigurationError, match="recall is empty"):
        REPORT.check(recall={})


def test_an_accuracy_per_bucket_is_a_mistake() -> None:
    with pytest.raises(ConfigurationError, match="accuracy must be a number"):
        REPORT.check(accuracy={"urgent": 0.9})  # type: ignore[arg-type]


def test_an_unknown_cost_cannot_be_checked() -> None:
    with pytest.raises(ConfigurationError, match=r"cost_per_1000 cannot be checked.*Set Verdict\.cost_usd"):
        REPORT.check(cost_per_1000=1)


def test_an_unknown_latency_cannot_be_checked() -> None:
    with pytest.raises(ConfigurationError, match=r"latency_p95 cannot be checked.*Set Verdict\.latency"):
        REPORT.check(latency_p95=1)


def test_an_incomplete_report_cannot_be_checked() -> None:
    report = build(MIXED, unanswered=3)
    with pytest.raises(ConfigurationError, match=r"The report is incomplete.*3 messages got no verdict.*again"):
        report.check(accuracy=0.1)


def test_an_empty_report_cannot_be_checked() -> None:
    with pytest.raises(DatasetError, match="The report is empty"):
        build([]).check(accuracy=0.1)
