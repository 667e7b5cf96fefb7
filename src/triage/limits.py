"""Limits on what a Router may do and spend, and when it stops calling a service that is down."""

import math
from dataclasses import dataclass
from typing import Literal

from triage.errors import ConfigurationError


@dataclass(frozen=True)
class Limits:
    """Limits on what a Router may do and spend, and when it stops calling a service that is down.

    With an inbox, all its workers share the daily budget, the messages counted per conversation, and the pauses.

    Args:
        daily_usd: How much the verdicts of one day (UTC) may cost. Once the budget is spent, messages go to the
            fallback bucket, and the verdict's reason says so. None for no limit.
        max_per_conversation: How many messages of one conversation are handled. Later ones are left to humans, which
            breaks auto-reply loops. None for no limit.
        failures: How many consecutive calls to the help desk or the classifier may fail because the service is down.
            After that, the circuit breaker opens, and the service is not called for the duration of `pause`.
        pause: How long the circuit breaker stays open, in seconds. After that, a single failure opens it again.
        without_verdict: How to handle a message while the classifier is down. `fallback`: use the fallback bucket.
            `wait`: retry later, as after a failure of the help desk, and use the fallback bucket on the last attempt.
            Waiting requires an inbox.

    Raises:
        ConfigurationError: A value is out of range.
    """

    daily_usd: float | None = None
    max_per_conversation: int | None = 10
    failures: int = 10
    pause: float = 30.0
    without_verdict: Literal["fallback", "wait"] = "fallback"

    def __post_init__(self) -> None:
        if self.daily_usd is not None and not (_is_number(self.daily_usd) and 0 <= self.daily_usd < math.inf):
            raise ConfigurationError(
                f"Limits: daily_usd must be a number of at least 0, or None, not {self.daily_usd!r}. "
                f"Write None for no limit."
            )
        if self.max_per_conversation is not None and not _is_positive_integer(self.max_per_conversation):
            raise ConfigurationError(
                f"Limits: max_per_conversation must be an integer of at least 1, or None, "
                f"not {self.max_per_conversation!r}. Write None for no limit."
            )
        if not _is_positive_integer(self.failures):
            raise ConfigurationError(f"Limits: failures must be an integer of at least 1, not {self.failures!r}.")
        if not (_is_number(self.pause) and 0 < self.pause < math.inf):
            raise ConfigurationError(
                f"Limits: pause must be a number of seconds, more than 0 and finite, not {self.pause!r}."
            )
        if self.without_verdict not in ("fallback", "wait"):
            raise ConfigurationError(
                f"Limits: without_verdict must be 'fallback' or 'wait', not {self.without_verdict!r}."
            )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_positive_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
