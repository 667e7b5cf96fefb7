"""Demands on a classifier, as a test checks them."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, cast

from triage.errors import ConfigurationError, DatasetError
from triage.evals.example import Prediction
from triage.evals.format import (
    MOST_CASES,
    describe_unanswered,
    format_confidence,
    format_estimate,
    format_percent,
    format_seconds,
    format_usd,
    shorten,
)
from triage.evals.metrics import Estimate
from triage.evals.mistakes import sort_by_severity
from triage.evals.wording import count_things

if TYPE_CHECKING:
    from triage.evals.report import Report

PerBucket: TypeAlias = float | Mapping[str, float]
"""One minimum for all buckets, or minima by the name of the bucket, with `"*"` for all other buckets."""

_LONGEST_TEXT = 120  # characters
_PER_BUCKET = ("precision", "recall", "f1")
_UNLIMITED = ("cost_per_1000", "latency_p95")


class CheckFailed(AssertionError):  # noqa: N818 - says what happened
    """A classifier does not meet the demands on it. The message lists them and the wrong cases, with their texts."""


@dataclass(frozen=True)
class _Result:
    """The result of checking one demand."""

    is_met: bool
    text: str
    cases: Sequence[Prediction] = ()
    """The predictions to look at if the demand is not met."""


def check_report(report: "Report", demands: Mapping[str, PerBucket], *, lower: bool) -> None:
    """Do the work of `Report.check`.

    Args:
        report: The report.
        demands: The demands, by the name of the argument.
        lower: True to compare the worse end of confidence intervals.

    Raises:
        CheckFailed: A demand is not met.
        ConfigurationError: A demand cannot be checked, or there are none.
        DatasetError: There are no messages with which to check a demand.
    """
    _check_arguments(report, demands, lower=lower)
    _check_measurements(report, demands)
    results = list(_compare(report, demands, lower=lower))
    if not all(result.is_met for result in results):
        raise CheckFailed(_describe(report, results))


def _check_arguments(report: "Report", demands: Mapping[str, PerBucket], *, lower: bool) -> None:
    if not demands:
        raise ConfigurationError("check() without a demand checks nothing. Write check(accuracy=0.9), for example.")
    if lower and "macro_f1" in demands:
        raise ConfigurationError("macro_f1 has no confidence interval. Remove it, or remove lower=True.")
    for name, demand in demands.items():
        if name in _PER_BUCKET and isinstance(demand, Mapping):
            _check_buckets(report, name, demand)
            for bucket, value in demand.items():
                _check_number(f"{name}[{bucket!r}]", value, 1)
        else:
            _check_number(name, demand, math.inf if name in _UNLIMITED else 1)


def _check_buckets(report: "Report", name: str, demand: Mapping[str, float]) -> None:
    unknown = [bucket for bucket in demand if bucket != "*" and bucket not in report.buckets.names]
    if unknown or not demand:
        problem = f"names {unknown[0]!r}, which is not a bucket" if unknown else "is empty"
        raise ConfigurationError(
            f"{name} {problem}. The buckets are {', '.join(report.buckets.names)}; write '*' for all others."
        )


def _check_number(where: str, value: object, maximum: float) -> None:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= maximum:
        return
    limits = "from 0 to 1. Write 0.9 for 90%" if maximum == 1 else "of at least 0. Write 1.5, for example"
    raise ConfigurationError(f"{where} must be a number {limits}.")


def _check_measurements(report: "Report", demands: Mapping[str, PerBucket]) -> None:
    """Reject a report that does not contain the numbers to check."""
    if warning := describe_unanswered(report):
        raise ConfigurationError(f"The report is incomplete, so it cannot be checked. {warning}")
    if not report.predictions:
        raise DatasetError("The report is empty, so it cannot be checked. Add labeled messages to the data set.")
    if "cost_per_1000" in demands and report.cost_per_1000 is None:
        raise ConfigurationError(
            "cost_per_1000 cannot be checked, because the verdicts do not report their cost. Set Verdict.cost_usd in "
            "your classifier, or pass the prices of your model to Claude(prices={…}), or remove cost_per_1000."
        )
    if "latency_p95" in demands and report.latency is None:
        raise ConfigurationError(
            "latency_p95 cannot be checked, because the verdicts do not report their latency. Set Verdict.latency in "
            "your classifier, or remove latency_p95."
        )


def _compare(report: "Report", demands: Mapping[str, PerBucket], *, lower: bool) -> Iterator[_Result]:
    """Compare each demand with the measurement."""
    for name in _PER_BUCKET:
        if name in demands:
            yield from _compare_buckets(report, name, demands[name], lower=lower)
    numbers = {name: cast("float", demand) for name, demand in demands.items() if name not in _PER_BUCKET}
    if (minimum := numbers.get("accuracy")) is not None:
        yield _compare_minimum("accuracy", report.accuracy, minimum, report.mistakes, lower=lower)
    if (minimum := numbers.get("macro_f1")) is not None:
        text = f"macro-F1 is {format_percent(report.macro_f1)}, must be at least {_format_limit(minimum)}"
        yield _Result(report.macro_f1 >= minimum, text, report.mistakes)
    if (maximum := numbers.get("fallbacks")) is not None:
        yield _compare_fallbacks(report, maximum, lower=lower)
    if (maximum := numbers.get("cost_per_1000")) is not None and (cost := report.cost_per_1000) is not None:
        text = f"1,000 messages cost {format_usd(cost)}, must be at most {format_usd(maximum)}"
        yield _Result(cost <= maximum, text)
    if (maximum := numbers.get("latency_p95")) is not None and report.latency is not None:
        p95 = report.latency.p95
        text = f"the 95th percentile of the latency is {format_seconds(p95)}, must be at most {format_seconds(maximum)}"
        yield _Result(p95 <= maximum, text)


def _compare_buckets(report: "Report", name: str, demand: PerBucket, *, lower: bool) -> Iterator[_Result]:
    minima: Mapping[str, float] = demand if isinstance(demand, Mapping) else {"*": demand}
    for bucket, measured in report.per_bucket.items():
        minimum = minima.get(bucket, minima.get("*"))
        estimate: Estimate = getattr(measured, name)
        is_known = estimate.is_known if name == "precision" else measured.support > 0
        if minimum is None or (bucket not in minima and not is_known):
            continue
        if not is_known and name != "precision":
            raise DatasetError(
                f"No message belongs to {bucket!r}, so its {name} cannot be checked. Add messages to the data set, or "
                f"remove the demand."
            )
        yield _compare_minimum(
            f"{name} of {bucket!r}", estimate, minimum, _find_cases(report, name, bucket), lower=lower
        )


def _find_cases(report: "Report", name: str, bucket: str) -> Sequence[Prediction]:
    """Return the mistakes that lower a number of a bucket."""
    return [
        mistake
        for mistake in report.mistakes
        if (name != "precision" and mistake.expected == bucket) or (name != "recall" and mistake.actual == bucket)
    ]


def _compare_minimum(
    name: str, estimate: Estimate, minimum: float, cases: Sequence[Prediction], *, lower: bool
) -> _Result:
    if not estimate.is_known:
        return _Result(is_met=False, text=f"{name} is unknown, because no verdict names the bucket")
    end, label = (estimate.low, "the lower end ") if lower else (estimate.value, "")
    text = f"{name} is {format_estimate(estimate)}, {label}must be at least {_format_limit(minimum)}"
    return _Result(end >= minimum, text, cases)


def _compare_fallbacks(report: "Report", maximum: float, *, lower: bool) -> _Result:
    rate = report.fallback_rate
    end, label = (rate.high, "the upper end ") if lower else (rate.value, "")
    text = f"the share of fallbacks is {format_estimate(rate)}, {label}must be at most {_format_limit(maximum)}"
    return _Result(end <= maximum, text, [one for one in report.predictions if one.verdict.fallback])


def _format_limit(share: float) -> str:
    return f"{share * 100:.4g}%"


def _describe(report: "Report", results: Sequence[_Result]) -> str:
    """Return the message of the error: the demands that are not met, and the cases to look at."""
    failures = [result for result in results if not result.is_met]
    size = count_things(len(report.predictions), "message")
    names = f"{shorten(report.classifier)} on {shorten(report.dataset)} ({size})"
    lines = [f"{names} does not meet {len(failures)} of {count_things(len(results), 'demand')}:"]
    lines += [f"- {failure.text}" for failure in failures]
    # Keyed by identity: two examples may be equal.
    cases = {id(case): case for failure in failures for case in failure.cases}
    if cases:
        worst = sort_by_severity(list(cases.values()), report.buckets)
        lines.append(f"{count_things(len(worst), 'case')} to look at, the worst first:")
        lines += map(_describe_case, worst[:MOST_CASES])
    if len(cases) > MOST_CASES:
        lines.append(f"… and {len(cases) - MOST_CASES:,} more; report.to_pandas() has them all")
    return "\n".join(lines)


def _describe_case(case: Prediction) -> str:
    return (
        f"- {case.example.conversation.id}: expected {case.expected}, got {case.actual} ({format_confidence(case)}): "
        f"{shorten(case.example.text, _LONGEST_TEXT)}"
    )
