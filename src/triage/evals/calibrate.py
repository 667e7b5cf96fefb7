"""Choose the confidence thresholds of buckets, so that a minimum precision can be promised."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

from triage.errors import ConfigurationError
from triage.evals.calibration import Calibration, Threshold, format_share
from triage.evals.example import Prediction
from triage.evals.report import Report
from triage.evals.sample_size import count_needed_verdicts
from triage.policy import Bucket, Buckets, decide

_OTHERS = "*"


def calibrate(report: Report, precision: float | Mapping[str, float] = 0.95, confidence: float = 0.95) -> Calibration:
    """Find the lowest confidence thresholds that keep a promise about the precision of future verdicts.

    With the probability `confidence`, all promises hold together: for each bucket, at least the share `precision` of
    future verdicts at or above the bucket's threshold is right. This requires that future messages are of the same kind
    as the evaluated ones, and that the classifier does not change. If the report supports no promise for a bucket, the
    bucket only suggests, and the calibration says how many more labeled messages it needs.

    Verdicts with a `fallback_reason` are left out, because their confidence means nothing. If several samples were
    taken, the first one counts.

    Args:
        report: The evaluation of the classifier on labeled messages that it has not seen: neither its training data nor
            the examples in its prompt.
        precision: The share of right verdicts to promise, between 0 and 1: a number for all buckets, or one for each by
            name, with `"*"` for all others. A bucket without an entry gets no promise and stays as it is.
        confidence: The probability with which all promises hold together, from 0.8 to 0.9999.

    Returns:
        The buckets with their thresholds, and what they mean.

    Raises:
        ConfigurationError: An argument is invalid, or the report is empty or incomplete.
    """
    promises = _check_precision(precision, report.buckets)
    _check_confidence(confidence)
    _check_report(report)
    error = (1 - confidence) / len(promises)  # Bonferroni: the promises hold together
    thresholds = {name: _choose(name, report.predictions, promises[name], error) for name in promises}
    buckets = Buckets(
        [_apply(bucket, thresholds.get(bucket.name)) for bucket in report.buckets],
        fallback=report.buckets.fallback.name,
    )
    groups = Counter(prediction.example.group for prediction in report.predictions)
    return Calibration(
        buckets=buckets,
        thresholds=thresholds,
        confidence=confidence,
        review_share=_measure_review_share(report.predictions, buckets),
        grouped=sum(size for group, size in groups.items() if group is not None and size > 1),
    )


def _choose(name: str, predictions: Sequence[Prediction], precision: float, error: float) -> Threshold:
    """Return the threshold of a bucket, or the reason why there is none."""
    from triage.evals import thresholds  # SciPy takes a second to import

    chosen = [prediction for prediction in predictions if prediction.actual == name and not prediction.verdict.fallback]
    confidences = [prediction.verdict.confidence for prediction in chosen]
    correct = [prediction.is_correct for prediction in chosen]
    choice = thresholds.choose_threshold(confidences, correct, precision=precision, error=error)
    if choice is not None:
        return Threshold(
            bucket=name,
            precision=precision,
            min_confidence=choice.threshold,
            verdicts=choice.verdicts,
            right=choice.right,
            lower_bound=choice.lower_bound,
            share_kept=choice.verdicts / len(chosen),
        )
    verdicts, right = len(chosen), sum(correct)
    needed = count_needed_verdicts(precision, 1 - error)
    if 0 < right == verdicts:
        growth: float | None = needed / verdicts
    else:
        growth = thresholds.estimate_growth(confidences, correct, precision=precision, error=error)
    return Threshold(
        bucket=name,
        precision=precision,
        min_confidence=None,
        verdicts=verdicts,
        right=right,
        lower_bound=thresholds.bound_precision(right, verdicts, error),
        share_kept=0.0,
        reason=f"{_explain_refusal(name, verdicts, right, needed, precision)} "
        f"{_advise(name, verdicts, len(predictions), growth)}",
    )


def _explain_refusal(name: str, verdicts: int, right: int, needed: int, precision: float) -> str:
    wrong = verdicts - right
    if verdicts >= needed:
        return (
            f"{wrong:,} of {verdicts:,} verdicts {_are(wrong)} wrong; no threshold is proven to reach "
            f"{format_share(precision)}."
        )
    mistakes = f", {wrong:,} of them wrong" if wrong else ""
    return f"needs at least {needed:,} verdicts {name!r}, all right; there {_are(verdicts)} {verdicts:,}{mistakes}."


def _advise(name: str, verdicts: int, messages: int, growth: float | None) -> str:
    if not verdicts:
        return f"Label more messages that belong in {name!r}."
    if growth is None:
        return "More messages will hardly help: describe the bucket more clearly, or promise less."
    return f"Label about {_round_up(messages * (growth - 1)):,} more messages."


def _apply(bucket: Bucket, threshold: Threshold | None) -> Bucket:
    if threshold is None:
        return bucket
    if threshold.min_confidence is None:
        return replace(bucket, mode="suggest")
    return replace(bucket, mode="auto", min_confidence=threshold.min_confidence)


def _measure_review_share(predictions: Sequence[Prediction], buckets: Buckets) -> float:
    decisions = [decide(prediction.verdict, buckets, review=()) for prediction in predictions]
    return sum(decision.status != "routed" for decision in decisions) / len(decisions)


def _check_precision(precision: object, buckets: Buckets) -> dict[str, float]:
    """Return the promise for each bucket that gets one, in the order of the buckets."""
    asked = cast("Mapping[object, object]", precision) if isinstance(precision, Mapping) else {_OTHERS: precision}
    if not asked:
        raise ConfigurationError(
            "precision is empty. Write {'spam': 0.995, '*': 0.95}, with '*' for all other buckets."
        )
    unknown = ", ".join(repr(name) for name in asked if name != _OTHERS and name not in buckets.names)
    if unknown:
        raise ConfigurationError(
            f"precision contains {unknown}, but the buckets are {', '.join(buckets.names)}. Write one of these, or '*' "
            f"for all other buckets."
        )
    promises: dict[str, float] = {}
    for name, value in asked.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1:
            where = f"precision[{name!r}]" if isinstance(precision, Mapping) else "precision"
            raise ConfigurationError(f"{where} must lie between 0 and 1, not {value!r}. Write 0.95 for 95%.")
        promises[str(name)] = float(value)
    return {
        name: promises.get(name, promises.get(_OTHERS, 0.0))
        for name in buckets.names
        if name in promises or _OTHERS in promises
    }


def _check_confidence(confidence: object) -> None:
    if isinstance(confidence, bool) or not isinstance(confidence, int | float) or not 0.8 <= confidence <= 0.9999:
        raise ConfigurationError(f"confidence must be from 0.8 to 0.9999, not {confidence!r}. Write 0.95 for 95%.")


def _check_report(report: Report) -> None:
    if not report.predictions:
        raise ConfigurationError(
            "The report has no predictions. Evaluate the classifier on labeled messages first: "
            "evaluate(classifier, dataset, buckets)."
        )
    if report.unanswered:
        raise ConfigurationError(
            f"{report.unanswered:,} messages have no verdict, because the budget was spent or the classifier was "
            f"unavailable, so the report does not represent the data set. Run evaluate() again to continue it."
        )


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


def _round_up(number: float) -> int:
    """Round up to two significant digits."""
    step = math.pow(10, max(0, math.floor(math.log10(number)) - 1))
    return int(math.ceil(number / step) * step)
