"""The retry policy: how long to wait before the next attempt, and when to give up.

It applies to calls to a help desk's API, to calls to Claude's API and to events in an inbox.
"""

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential backoff with jitter.

    Args:
        attempts: The maximum number of attempts; None for no limit.
        first_delay: Seconds before the second attempt. Each further delay is twice as long.
        longest_delay: The maximum delay in seconds, before jitter.
        jitter: The share by which each delay varies randomly, so that workers do not retry in step.
    """

    attempts: int | None = None
    first_delay: float = 0.5
    longest_delay: float = 8.0
    jitter: float = 0.25

    def next_delay(self, attempt: int, *, retry_after: float | None = None, limit: float = math.inf) -> float | None:
        """Return the seconds to wait before the next attempt, or None to give up.

        Args:
            attempt: The number of the attempt that failed, from 1.
            retry_after: Seconds that the service asked for. It can only lengthen the delay, because with
                `Retry-After: 0` we would call as fast as the network allows.
            limit: Give up instead of waiting longer than this, in seconds.
        """
        if self.attempts is not None and attempt >= self.attempts:
            return None
        backoff = min(self.longest_delay, self.first_delay * 2.0 ** min(attempt - 1, 30))
        jittered = backoff * random.uniform(1 - self.jitter, 1 + self.jitter)  # noqa: S311 - not a secret
        delay = max(jittered, retry_after or 0.0)
        return delay if delay <= limit else None


def parse_seconds(headers: Mapping[str, str], name: str) -> float | None:
    """Return the number in a header, or None if it is missing, negative or not a finite number.

    Args:
        headers: Names in lower case.
        name: The header's name, in lower case.
    """
    try:
        value = float(headers[name])
    except (KeyError, ValueError):
        return None
    return value if 0 <= value < math.inf else None
