"""The fallback verdict for a classifier that raises an exception or returns an unknown bucket.

The Router, the classifiers that ask others, and evaluations treat both in this way.
"""

from typing import Any

from triage.errors import ClassifierError, ConfigurationError
from triage.models import FallbackReason, Verdict
from triage.policy import Buckets


def fall_back(kind: FallbackReason, reason: str, buckets: Buckets, **fields: Any) -> Verdict:
    """Return a verdict for the fallback bucket.

    Args:
        kind: The kind of reason why there is no verdict.
        reason: The reason in a sentence, in our words.
        buckets: The buckets.
        fields: Other fields of the verdict.
    """
    return Verdict(bucket=buckets.fallback.name, confidence=0.0, reason=reason, fallback_reason=kind, **fields)


def fall_back_after(error: Exception, description: str, buckets: Buckets, **fields: Any) -> Verdict:
    """Return the verdict for a classifier that raised an exception.

    Args:
        error: The exception.
        description: What happened, in our words.
        buckets: The buckets.
        fields: Other fields of the verdict.
    """
    kind: FallbackReason = "invalid_answer" if isinstance(error, ClassifierError) else "unavailable"
    return fall_back(kind, f"{description}{quote_error(error)}", buckets, **fields)


def quote_error(error: Exception) -> str:
    """Return the text of an exception, after a colon, if we wrote it. Any other text may quote the customer.

    Args:
        error: The exception.
    """
    return f": {error}" if isinstance(error, ConfigurationError | ClassifierError) else ""


def check_bucket(verdict: Verdict, buckets: Buckets, subject: str = "the classifier") -> Verdict:
    """Return a verdict with the name of its bucket as it is written in the list of buckets.

    If there is no such bucket, return a fallback verdict with the same cost.

    Args:
        verdict: The verdict of a classifier.
        buckets: The buckets.
        subject: The classifier, for the reason.
    """
    bucket = buckets.get(verdict.bucket)
    if bucket is not None:
        return verdict if bucket.name == verdict.bucket else verdict.model_copy(update={"bucket": bucket.name})
    changes: dict[str, Any] = {"bucket": buckets.fallback.name}
    if not verdict.fallback:
        names = ", ".join(buckets.names)
        changes |= {
            "confidence": 0.0,
            "reason": f"{subject} returned an unknown bucket; the buckets are {names}",
            "fallback_reason": "invalid_answer",
        }
    return verdict.model_copy(update=changes)
