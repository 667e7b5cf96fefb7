"""Limits on what a Router may do and spend, how long it waits, and when it stops calling a service that is down."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import TypeAlias, TypeGuard, cast

from triage.errors import ConfigurationError

Duration: TypeAlias = str | float | timedelta
"""A length of time: `"90s"`, `"5m"`, `"12h"`, `"7d"`, a number of seconds, or a `timedelta`."""

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


@dataclass(frozen=True)
class Limits:
    """Limits on what a Router may do and spend, how long it waits, and when it stops calling a service that is down.

    With an inbox, all its workers share the daily budget, the counted messages and replies, and the pauses. A duration
    is a text such as `"5m"`, `"12h"` or `"7d"`, a number of seconds, or a `timedelta`.

    Args:
        daily_usd: How much the verdicts of one day (UTC) may cost. Once the budget is spent, messages go to the
            fallback bucket, and the verdict's reason says so. None for no limit.
        max_per_conversation: How many messages of one conversation are handled in a period of time: `(10, "1d")`. Later
            ones are left to humans, which breaks auto-reply loops. None for no limit.
        replies_per_customer: How many automatic replies one customer gets in a period of time, in all conversations
            together: `(5, "1d")`. This breaks loops with a machine that opens a new conversation each time. None for no
            limit.
        max_age: A message that is older when its turn comes is labeled, but not answered. None for no limit.
        human_hold: How long a conversation belongs to the human who last answered in it. Closing it ends this earlier.
        max_wait: How long an event in an inbox waits for a classifier that is down, overloaded or rate limited, before
            it goes to the fallback bucket. `0` to use the fallback bucket at once.
        failures: How many consecutive calls to the help desk or the classifier may fail because the service is down.
            After that, the circuit breaker opens, and the service is not called for the duration of `pause`.
        pause: How long the circuit breaker stays open. After that, a single failure opens it again.

    Raises:
        ConfigurationError: A value is out of range.
    """

    daily_usd: float | None = None
    max_per_conversation: tuple[int, Duration] | None = (10, "1d")
    replies_per_customer: tuple[int, Duration] | None = (5, "1d")
    max_age: Duration | None = "3d"
    human_hold: Duration = "7d"
    max_wait: Duration = "5m"
    failures: int = 10
    pause: Duration = 30.0

    def __post_init__(self) -> None:
        if self.daily_usd is not None and not (_is_number(self.daily_usd) and 0 <= self.daily_usd < math.inf):
            raise ConfigurationError(
                f"Limits: daily_usd must be a number of at least 0, or None, not {self.daily_usd!r}. "
                f"Write None for no limit."
            )
        for name in ("max_per_conversation", "replies_per_customer"):
            _check_rate(name, getattr(self, name))
        if self.max_age is not None and not parse_duration(self.max_age, "Limits: max_age"):
            raise ConfigurationError("Limits: max_age must be more than 0. Write None for no limit.")
        parse_duration(self.human_hold, "Limits: human_hold")
        parse_duration(self.max_wait, "Limits: max_wait")
        if not _is_positive_integer(self.failures):
            raise ConfigurationError(f"Limits: failures must be an integer of at least 1, not {self.failures!r}.")
        if not parse_duration(self.pause, "Limits: pause"):
            raise ConfigurationError("Limits: pause must be more than 0.")

    @cached_property
    def conversation_rate(self) -> tuple[int, float] | None:
        """`max_per_conversation` with the period in seconds."""
        rate = self.max_per_conversation
        return rate and (rate[0], parse_duration(rate[1], ""))

    @cached_property
    def customer_rate(self) -> tuple[int, float] | None:
        """`replies_per_customer` with the period in seconds."""
        rate = self.replies_per_customer
        return rate and (rate[0], parse_duration(rate[1], ""))

    @cached_property
    def longest_age(self) -> float:
        """`max_age` in seconds, infinite if there is no limit."""
        return math.inf if self.max_age is None else parse_duration(self.max_age, "")

    @cached_property
    def longest_hold(self) -> float:
        """`human_hold` in seconds."""
        return parse_duration(self.human_hold, "")

    @cached_property
    def longest_wait(self) -> float:
        """`max_wait` in seconds."""
        return parse_duration(self.max_wait, "")

    @cached_property
    def pause_seconds(self) -> float:
        """`pause` in seconds."""
        return parse_duration(self.pause, "")


def parse_duration(value: object, where: str) -> float:
    """Return the seconds of a duration.

    Args:
        value: The duration. Callers without a type checker may pass anything.
        where: The name of the setting in the error.

    Raises:
        ConfigurationError: The value is not a duration, or is negative or infinite.
    """
    seconds = math.nan
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
    elif isinstance(value, str):
        match = re.fullmatch(r"\s*(\d{1,9}(?:\.\d{1,9})?)\s*([smhdw])\s*", value)
        seconds = float(match[1]) * _UNITS[match[2]] if match else math.nan
    elif _is_number(value):
        seconds = float(value)
    if not 0 <= seconds < math.inf:
        raise ConfigurationError(
            f"{where} must be a duration such as '90s', '5m', '12h' or '7d', or a number of seconds, not {value!r}."
        )
    return seconds


def _check_rate(name: str, value: object) -> None:
    if value is None:
        return
    rate = cast("Sequence[object]", value) if isinstance(value, tuple | list) else ()
    if len(rate) != 2 or not _is_positive_integer(rate[0]):
        raise ConfigurationError(
            f"Limits: {name} must be a number and a period, or None, not {value!r}. Write {name}=(10, '1d')."
        )
    if not parse_duration(rate[1], f"Limits: the period of {name}"):
        raise ConfigurationError(f"Limits: the period of {name} must be more than 0. Write {name}=(10, '1d').")


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_positive_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
