"""Notice in the receiving process that nobody processes the stored events."""

from collections.abc import Callable

from triage.errors import InboxError
from triage.inbox.base import Inbox
from triage.log import get_logger

logger = get_logger(__name__)

_INTERVAL = 60.0  # seconds between two checks, so that a delivery costs no query
_LONGEST_WAIT = 60.0  # seconds; a worker polls each second


class BacklogWatch:
    """Logs a warning if events have been due for a minute.

    Args:
        owner: The name of the Router that owns the events.
        inbox: The inbox.
        clock: Returns the seconds since the epoch.
    """

    def __init__(self, owner: str, inbox: Inbox, clock: Callable[[], float]) -> None:
        self._owner = owner
        self._inbox = inbox
        self._clock = clock
        self._checked_at: float | None = None

    @property
    def is_due(self) -> bool:
        """True if `check` will read the inbox, at most once a minute."""
        return self._checked_at is not None and not 0 <= self._clock() - self._checked_at < _INTERVAL

    def check(self) -> None:
        """Check the inbox if that is due. The first call only starts the minute, for a worker to start, too."""
        is_due = self.is_due
        if is_due or self._checked_at is None:
            self._checked_at = self._clock()
        if is_due:
            self._warn_if_overdue()

    def _warn_if_overdue(self) -> None:
        try:
            seconds = self._inbox.get_lag(self._owner)
        except InboxError as err:
            logger.warning("%s: cannot check whether a worker processes the stored events: %s", self._owner, str(err))
            return
        if seconds >= _LONGEST_WAIT:
            logger.warning(
                "%s: the oldest stored event has been due for %.0f s. Is a Worker, `triage work` or Celery running, "
                "and does it use the same inbox, %r?",
                self._owner,
                seconds,
                self._inbox,
            )
