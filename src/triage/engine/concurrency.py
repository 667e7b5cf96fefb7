"""How many events a worker processes at the same time: as many as the services that it calls allow.

The limit follows the rule of TCP's congestion control: an overloaded service halves it, and each round of events that
succeed raises it by one (additive increase, multiplicative decrease). Before the first overload, each event raises it
by one (slow start), so that a backlog is soon processed at full speed.
"""

from collections.abc import Callable

INITIAL = 32
"""The limit at the beginning."""

MOST = 256
"""The highest limit, because each event in progress occupies memory."""

MOST_TEXT = 32 * 1024 * 1024
"""How many characters the conversations in progress may have before no further event is begun."""

_SHARE = 0.1  # of the newest value in a moving average
_LONGEST_LAG = 0.1  # seconds
_LAG_SHARE = 0.1  # of the duration of an event; less also occurs when many events happen to continue at the same time


class Concurrency:
    """The number of events that a worker may process at the same time.

    Args:
        number: A number that does not adapt. None begins with 32 and adapts.
        clock: Returns the seconds since some point in time.
    """

    def __init__(self, number: int | None, clock: Callable[[], float]) -> None:
        self.most = MOST if number is None else number
        self._is_fixed = number is not None
        self._limit = float(min(INITIAL, self.most) if number is None else number)
        self._clock = clock
        self._has_backlog = False
        self._is_starting = True
        self._reduced_at = float("-inf")
        self._lag = 0.0
        self._duration = 0.0

    @property
    def limit(self) -> int:
        """How many events may be in progress now."""
        return int(self._limit)

    def count_free(self, in_progress: int, characters: int) -> int:
        """Return how many more events may be begun.

        Args:
            in_progress: How many events are in progress.
            characters: How many characters their conversations have.
        """
        is_full = not self._is_fixed and characters > MOST_TEXT
        return 0 if is_full else max(0, self.limit - in_progress)

    def record_lease(self, requested: int, leased: int) -> None:
        """Record whether more events are waiting than may be begun. Only then, a higher limit is of use.

        Args:
            requested: How many events may be begun.
            leased: How many events were due.
        """
        self._has_backlog = leased >= requested

    def record_lag(self, scheduled: float) -> None:
        """Record that a timer of the event loop has fired, which is late if the processor is busy.

        Args:
            scheduled: When it should have fired, on the clock.
        """
        self._lag += _SHARE * (self._clock() - scheduled - self._lag)

    def record_success(self, started: float) -> None:
        """Record the end of an event. The limit rises if it keeps other events waiting, and the processor has time.

        Args:
            started: When the event was begun, on the clock.
        """
        self._duration += _SHARE * (self._clock() - started - self._duration)
        is_busy = self._lag > min(_LONGEST_LAG, self._duration * _LAG_SHARE)
        if self._has_backlog and not is_busy and not self._is_fixed:
            self._limit = min(self.most, self._limit + (1 if self._is_starting else 1 / self._limit))

    def record_overload(self, started: float) -> None:
        """Record that a service asked for fewer calls, or did not respond in time. The limit is halved.

        Events that were begun before the last reduction fail for the same reason, so they reduce the limit only once.

        Args:
            started: When the event was begun, on the clock.
        """
        if started >= self._reduced_at and not self._is_fixed:
            self._reduced_at = self._clock()
            self._limit = max(1.0, self._limit / 2)
            self._is_starting = False
