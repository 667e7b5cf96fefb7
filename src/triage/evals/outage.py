"""Notice that a classifier does not work at all, so that an evaluation stops early."""

from triage.errors import ClassifierError
from triage.models import Verdict

MOST_FAILURES = 10


class Outage:
    """Counts the calls in a row that returned no usable verdict.

    Args:
        classifier: The name of the classifier, for the error message.

    Attributes:
        reason: Why the classifier must not be called any more; None if it may be called.
    """

    def __init__(self, classifier: str) -> None:
        self.reason: str | None = None
        self._classifier = classifier
        self._has_worked = False
        self._failed_calls = 0
        self._lost_verdicts = 0

    def record(self, verdict: Verdict, *, is_final: bool = True) -> None:
        """Record the result of a call.

        Args:
            verdict: The verdict that the call returned.
            is_final: False if the call is repeated.

        Raises:
            ClassifierError: None of the first calls returned a usable verdict.
        """
        if verdict.fallback_reason not in ("unavailable", "invalid_answer"):
            self._has_worked = True
            self._lost_verdicts = 0
            return
        self._failed_calls += verdict.retry_after is None  # with a `retry_after`, the service works but is busy
        self._lost_verdicts += is_final and verdict.fallback_reason == "unavailable"
        if not self._has_worked and max(self._failed_calls, self._lost_verdicts) >= MOST_FAILURES:
            raise ClassifierError(
                f"{self._classifier} returned no verdict in {MOST_FAILURES} calls: {verdict.reason}. Correct this and "
                f"run the evaluation again."
            )
        if self._lost_verdicts >= MOST_FAILURES:
            self.reason = verdict.reason
