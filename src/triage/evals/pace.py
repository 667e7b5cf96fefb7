"""The pace of calls to a classifier: how many at the same time, and when to pause.

The limit follows the rule of TCP's congestion control: a call that the service rejects halves it, and each round of
calls that succeed raises it again by one (additive increase, multiplicative decrease).
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

from triage.io.retry import RetryPolicy

RETRIES = RetryPolicy(attempts=4, first_delay=1.0, longest_delay=30.0)
_LONGEST_PAUSE = 600.0  # seconds; a service that asks for more, such as a spent monthly budget, does not recover soon


class Pace:
    """Limits the calls in flight, and pauses them when the service is overloaded.

    Args:
        concurrency: The highest number of calls in flight.
        clock: Returns the seconds since some point in time.
        sleep: Waits for a number of seconds.

    Attributes:
        limit: How many calls may be in flight now; its integer part counts.
    """

    def __init__(
        self,
        concurrency: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.limit = float(concurrency)
        self._concurrency = concurrency
        self._clock = clock
        self._sleep = sleep
        self._in_flight = 0
        self._changed = asyncio.Condition()
        self._resumes_at = 0.0
        self._round = 0

    @asynccontextmanager
    async def limit_call(self) -> AsyncGenerator[int]:
        """Wait until another call may start, and count it as in flight inside the `async with` block.

        Yields:
            The number of the round, to pass to `slow_down`.
        """
        async with self._changed:
            await self._changed.wait_for(lambda: self._in_flight < int(self.limit))
            self._in_flight += 1
        try:
            while (delay := self._resumes_at - self._clock()) > 0:
                await self._sleep(delay)
            yield self._round
        finally:
            async with self._changed:
                self._in_flight -= 1
                self._changed.notify_all()

    def speed_up(self) -> None:
        """Raise the limit a little, because a call succeeded."""
        self.limit = min(self._concurrency, self.limit + 1 / self.limit)

    def slow_down(self, number: int, attempt: int, retry_after: float | None) -> bool:
        """Halve the limit and pause all calls, because the service is overloaded or down.

        Calls of the same round fail for the same reason, so they halve the limit only once.

        Args:
            number: The round in which the call started.
            attempt: The number of the attempt that failed, from 1.
            retry_after: The seconds that the service asked for, or None.

        Returns:
            False if the call should not be repeated.
        """
        if number == self._round:
            self._round += 1
            self.limit = max(1.0, self.limit / 2)
        delay = RETRIES.next_delay(attempt, retry_after=retry_after, limit=_LONGEST_PAUSE)
        if delay is None:
            return False
        self._resumes_at = max(self._resumes_at, self._clock() + delay)
        return True
