"""The confidence thresholds of buckets, and the promise that they keep."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from triage.evals.wording import count_things
from triage.policy import Buckets

COLUMNS = ("bucket", "promise", "mode", "min_confidence", "right", "lower bound", "kept")


@dataclass(frozen=True)
class Threshold:
    """The confidence threshold of a bucket, or the reason why there is none.

    Args:
        bucket: The name of the bucket.
        precision: The minimum precision that was asked for.
        min_confidence: The threshold. None if the promise is refused.
        verdicts: How many verdicts are at or above the threshold. If the promise is refused: all verdicts.
        right: How many of these are right.
        lower_bound: The exact lower bound of their precision. It is at least `precision` unless the promise is refused.
        share_kept: The share of the bucket's verdicts that are at or above the threshold. 0 if the promise is refused.
        reason: Why the promise is refused, and how many messages it needs. Empty if it is made.
    """

    bucket: str
    precision: float
    min_confidence: float | None
    verdicts: int
    right: int
    lower_bound: float
    share_kept: float
    reason: str = ""

    @property
    def is_promised(self) -> bool:
        """True if there is a threshold that keeps the promise."""
        return self.min_confidence is not None


@dataclass(frozen=True)
class Calibration:
    """Buckets with confidence thresholds, and the promise that they keep. `print()` explains it.

    Args:
        buckets: The buckets, ready for a Router. A bucket with a promise has the mode `auto` and its threshold as
            `min_confidence`. If the promise is refused, the mode is `suggest`. Buckets without a promise are unchanged.
        thresholds: The thresholds of the buckets for which a promise was asked, by name.
        confidence: The probability with which all promises hold together.
        review_share: The share of all messages for which the Router would not act on its own: verdicts below the
            threshold of their bucket, in a bucket that only suggests or shadows, or refused by the model.
        grouped: How many messages belong to a group with others. The promise counts them as independent.
    """

    buckets: Buckets
    thresholds: Mapping[str, Threshold]
    confidence: float
    review_share: float
    grouped: int = 0

    @property
    def summary(self) -> str:
        """Which buckets may act on their own, in a sentence."""
        acting = [
            f"{threshold.bucket} from a confidence of {threshold.min_confidence:.3g}"
            for threshold in self.thresholds.values()
            if threshold.is_promised
        ]
        others = [threshold.bucket for threshold in self.thresholds.values() if not threshold.is_promised]
        if not acting:
            return f"No bucket may act alone. These only suggest: {', '.join(others)}."
        rest = f" The others only suggest: {', '.join(others)}." if others else ""
        total = count_things(len(self.thresholds), "bucket")
        return f"{len(acting)} of {total} may act alone: {', '.join(acting)}.{rest}"

    def __str__(self) -> str:
        rows = [COLUMNS, *self.format_rows()]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        return "\n".join([self.summary, "", *lines, "", *self.explain()])

    def _repr_html_(self) -> str:
        from triage.evals import html

        return html.render_calibration(self)

    def format_rows(self) -> Sequence[tuple[str, ...]]:
        """Return the cells of a table of the thresholds."""
        return [_format_row(threshold) for threshold in self.thresholds.values()]

    def explain(self) -> Sequence[str]:
        """Explain the promise in sentences, and why others are refused."""
        promised = sum(threshold.is_promised for threshold in self.thresholds.values())
        hold = "all promises hold" if promised > 1 else "the promise holds"
        sentences = [
            f"With {format_share(self.confidence)} confidence, {hold} for future messages of the same kind."
            if promised
            else "No promise can be made.",
            f"{format_share(self.review_share, digits=0)} of the messages are left to people.",
        ]
        sentences += [
            f"{threshold.bucket}: {threshold.reason}" for threshold in self.thresholds.values() if threshold.reason
        ]
        if self.buckets.fallback.min_confidence > 0:
            sentences.append(
                f"{self.buckets.fallback.name!r} is the fallback bucket and has a min_confidence, so the Router needs "
                f"actions for verdicts below it: Router(…, review=[…])."
            )
        if self.grouped:
            sentences.append(
                f"{self.grouped:,} messages belong to a group with others, for example to the same customer. The "
                f"promise counts them as independent; keep one message of each group if they are alike."
            )
        return sentences


def format_share(share: float, digits: int = 3) -> str:
    """Return a share as a percentage, such as `99.5%`.

    Args:
        share: The share, from 0 to 1.
        digits: The number of decimals. Zeros at the end are left out.
    """
    number = f"{share * 100:.{digits}f}"
    return f"{number.rstrip('0').rstrip('.') if digits else number}%"


def _format_row(threshold: Threshold) -> tuple[str, ...]:
    return (
        threshold.bucket,
        format_share(threshold.precision),
        "auto" if threshold.is_promised else "suggest",
        "" if threshold.min_confidence is None else repr(threshold.min_confidence),
        f"{threshold.right:,} of {threshold.verdicts:,}",
        format_share(math.floor(threshold.lower_bound * 10_000) / 10_000),
        format_share(threshold.share_kept, digits=0),
    )
