"""The gate before a service: shut while its allowance is used up, or after it has failed again and again."""

import logging
from collections.abc import Callable

from triage.errors import InboxError
from triage.inbox.base import Inbox

logger = logging.getLogger("triage")

_FRESH = 1.0  # seconds for which what other workers say need not be asked again


class Gate:
    """Tells for how long a service is to be left alone. All workers of an inbox keep to the same time.

    Args:
        name: The service's, in the inbox.
        inbox: Where the workers meet.
        failures: How many failures in a row shut it.
        pause: For how many seconds.
        clock: Seconds since the epoch.
    """

    def __init__(self, name: str, inbox: Inbox, failures: int, pause: float, clock: Callable[[], float]) -> None:
        self._name = name
        self._inbox = inbox
        self._most = failures
        self._pause = pause
        self._clock = clock
        self._failed = 0
        self._until = 0.0
        self._asked = float("-inf")

    @property
    def fresh(self) -> bool:
        """True if `left` need not ask the inbox."""
        return 0 <= self._clock() - self._asked < _FRESH

    def left(self) -> float:
        """Seconds until the service may be called. Blocks unless it is `fresh`."""
        if not self.fresh:
            self._asked = self._clock()
            try:
                self._until = self._clock() + self._inbox.get_pause(self._name)
            except InboxError as err:
                logger.warning("what other workers say of %s cannot be read: %s", self._name, err)
        return max(0.0, self._until - self._clock())

    def learn(self, *, down: bool, pause: float = 0.0) -> float:
        """Take note of an answer, or of its absence.

        Args:
            down: True if there was none, or one that says that the service is down.
            pause: Seconds in which the service wants no further call.

        Returns:
            Seconds for which it is to be shut, 0 for none: `shut` does so.
        """
        self._failed = self._failed + 1 if down else 0
        return max(pause, self._pause if self._failed >= self._most else 0.0)

    def shut(self, seconds: float) -> None:
        """Shut it, for all workers. Blocks."""
        self._until = max(self._until, self._clock() + seconds)
        logger.warning("%s is left alone for %.0f s", self._name, seconds)
        try:
            self._inbox.set_pause(self._name, seconds)
        except InboxError as err:
            # It is a courtesy; the answer that we have is worth more than that the others know.
            logger.warning("other workers cannot be told of %s: %s", self._name, err)
