"""What a Router may do and spend, and when it leaves a service alone."""

import math
from dataclasses import dataclass
from typing import Literal

from triage.errors import ConfigurationError


@dataclass(frozen=True)
class Limits:
    """What a Router may do and spend, and when it leaves a service alone.

    With an inbox, all its workers together.

    Args:
        daily_usd: What verdicts may cost in a day (UTC). When that is spent, messages go to the fallback bucket, and
            the verdict's reason says so. None for no limit.
        acts: For how many messages of one conversation something is done; further ones are left to people. It ends
            what two machines could say to each other for ever. None for no limit.
        failures: How many calls of the help desk or of the classifier in a row may fail because it is down before it
            is left alone.
        pause: For how many seconds it then is. After that one failure is enough.
        without_verdict: What becomes of a message while the classifier is down. `fallback`: the fallback bucket.
            `wait`: it is tried again, as after a failure of the help desk, and goes to the fallback bucket with the
            last attempt. Waiting needs an inbox.

    Raises:
        ConfigurationError: A number makes no sense.
    """

    daily_usd: float | None = None
    max_per_conversation: int | None = 10
    failures: int = 10
    pause: float = 30.0
    without_verdict: Literal["fallback", "wait"] = "fallback"

    def __post_init__(self) -> None:
        if self.daily_usd is not None and not 0 <= self.daily_usd < math.inf:
            raise ConfigurationError(f"Limits: daily_usd is an amount of USD or None, not {self.daily_usd}.")
        if self.max_per_conversation is not None and self.max_per_conversation < 1:
            raise ConfigurationError(f"Limits: acts is at least 1 or None, not {self.max_per_conversation}.")
        if self.failures < 1 or not 0 < self.pause < math.inf:
            raise ConfigurationError(
                f"Limits: failures={self.failures} and pause={self.pause}: each is more than 0, and the pause ends."
            )
        if self.without_verdict not in ("fallback", "wait"):
            raise ConfigurationError(f"Limits: without_verdict is 'fallback' or 'wait', not {self.without_verdict!r}.")
