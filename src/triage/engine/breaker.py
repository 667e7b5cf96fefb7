"""The circuit breaker: stop calling a service that keeps failing, and respect its rate limits."""

from collections.abc import Callable

from triage.engine.storage import call_inbox
from triage.errors import InboxError
from triage.inbox.base import Inbox
from triage.io.ports import IO
from triage.log import get_logger
from triage.models import BreakerHealth

logger = get_logger(__name__)

LONGEST_PAUSE = 3600.0
"""Seconds for which a service may ask us to wait. No rate limit window is longer, so a longer time is a mistake: its
clock is wrong, or it sent milliseconds instead of seconds."""

_FRESH = 1.0  # seconds between two checks of the inbox for pauses that other workers set
_TRIAL_POLL = 1.0  # seconds between two checks whether a trial call has succeeded


class CircuitBreaker:
    """Decides when a service may be called. All workers that share an inbox share its pauses.

    The breaker opens after a number of failures in a row. After its pause it is half-open: it permits one trial call
    while the others keep waiting. If the trial call succeeds, the breaker closes; if it fails, the breaker opens again.
    A rate limit opens the breaker for as long as the service asks.

    Args:
        name: The service's name in the inbox.
        inbox: Stores the pause.
        failures: How many failures in a row open the breaker.
        pause: Seconds that it stays open.
        clock: Returns the seconds since the epoch.
    """

    def __init__(self, name: str, inbox: Inbox, failures: int, pause: float, clock: Callable[[], float]) -> None:
        self.name = name
        self._inbox = inbox
        self._threshold = failures
        self._pause = pause
        self._clock = clock
        self._failures = 0
        self._open_until = 0.0
        self._trial_until = 0.0
        self._refreshed_at = float("-inf")

    async def retry_after(self, io: IO) -> float:
        """Return the seconds until the service may be called, 0 if it may be called now.

        Args:
            io: The port for reading the inbox.
        """
        if not 0 <= self._clock() - self._refreshed_at < _FRESH:
            if self._clock() < self._refreshed_at:
                self._trial_until = 0.0  # the clock was set back
            self._refreshed_at = self._clock()  # before the call, so that only one task makes it
            await call_inbox(self._inbox, io, self._refresh)
        now = self._clock()
        trial = min(self._trial_until - now, _TRIAL_POLL) if self._failures >= self._threshold else 0.0
        return max(0.0, self._open_until - now, trial)

    async def describe(self, io: IO) -> BreakerHealth:
        """Return the state, for health checks.

        Args:
            io: The port for reading the inbox.
        """
        wait = await self.retry_after(io)
        is_open = self._open_until > self._clock()
        failed = self._failures >= self._threshold
        return BreakerHealth(state="open" if is_open else "half-open" if failed else "closed", retry_after=wait)

    async def acquire(self, io: IO) -> float:
        """Return 0 to permit a call, otherwise the seconds after which to ask again.

        When the breaker is half-open, it permits the trial call. The permission expires if the result is never
        recorded.

        Args:
            io: The port for reading the inbox.
        """
        now = self._clock()
        if not self._failures and self._open_until <= now and 0 <= now - self._refreshed_at < _FRESH:
            return 0.0
        wait = await self.retry_after(io)
        if not wait and self._failures >= self._threshold:
            self._trial_until = now + self._pause
        return wait

    async def record_success(self, io: IO, *, pause: float = 0.0) -> None:
        """Record a call that the service answered.

        Args:
            io: The port for writing to the inbox.
            pause: Seconds to wait before the next call, because a rate limit is used up.
        """
        self._failures = 0
        if pause:
            await call_inbox(self._inbox, io, self._open, min(pause, LONGEST_PAUSE))

    async def record_failure(self, io: IO, *, pause: float = 0.0) -> None:
        """Record a call that failed because the service is down.

        Args:
            io: The port for writing to the inbox.
            pause: Seconds to wait before the next call, if the service says so.
        """
        self._failures += 1
        self._trial_until = 0.0
        seconds = max(min(pause, LONGEST_PAUSE), self._pause if self._failures >= self._threshold else 0.0)
        if seconds:
            await call_inbox(self._inbox, io, self._open, seconds)

    def _refresh(self) -> None:
        try:
            self._open_until = self._clock() + self._inbox.get_pause(self.name)
        except InboxError as err:
            logger.warning("cannot check whether another worker has paused %s: %s", self.name, str(err))

    def _open(self, seconds: float) -> None:
        self._open_until = max(self._open_until, self._clock() + seconds)
        logger.warning("%s is not called for %.0f s", self.name, seconds)
        try:
            self._inbox.set_pause(self.name, seconds)
        except InboxError as err:
            # This process pauses anyway, and the caller still needs the response it received.
            logger.warning("cannot share the pause of %s with other workers: %s", self.name, str(err))
