"""The lease of an event, as its worker sees it."""

import itertools
import time
from collections.abc import Callable

from typing_extensions import TypeVarTuple, Unpack

from triage.engine.storage import call_inbox
from triage.errors import InboxError, LeaseLost
from triage.inbox.base import Inbox
from triage.io.ports import IO
from triage.io.retry import RetryPolicy
from triage.models import Job, Ledger

Ts = TypeVarTuple("Ts")

_RETRIES = RetryPolicy(attempts=4)
"""For writes to the inbox: long enough for a busy database, and much shorter than the lease of a worker."""

# Shares of a lease. The time between them is for connecting, and the rest is for the call itself.
_RENEW_AFTER = 0.5
_SEND_BEFORE = 0.75


class Lease:
    """Records the progress of an event, and makes sure before each call that no other worker has taken it over.

    A process may be stopped at any point, for longer than its lease. It compares two clocks, because one of them stands
    still while a machine is suspended, and the other one may be set.

    Args:
        inbox: The inbox.
        job: The lease.
        io: The port for writing to the inbox.
        clock: Returns the seconds since the epoch.
    """

    def __init__(self, inbox: Inbox, job: Job, io: IO, clock: Callable[[], float]) -> None:
        self._inbox = inbox
        self._job = job
        self._io = io
        self._clock = clock
        self._ledger = job.ledger
        self._renewed_at = self._read_clocks()

    async def record(self, ledger: Ledger) -> None:
        """Store the progress, and renew the lease.

        Args:
            ledger: The ledger.

        Raises:
            LeaseLost: Another worker has taken over the event.
        """
        now = self._read_clocks()
        await self.write(self._inbox.record, self._job, ledger)
        self._ledger, self._renewed_at = ledger, now

    async def write(self, method: Callable[[Unpack[Ts]], None], *args: *Ts) -> None:
        """Call a method of the inbox that needs the lease, and repeat the call if the inbox fails for a moment.

        Otherwise the event would wait until its lease expires. Thanks to the fencing token, it does no harm if the call
        that failed was made after all, or if another worker has taken over the event meanwhile.

        Args:
            method: The method.
            args: Its arguments.

        Raises:
            InboxError: The inbox still fails. `LeaseLost` if another worker has taken over the event, or if a call that
                failed has settled it.
        """
        for attempt in itertools.count(1):  # pragma: no branch - the loop ends with a return or an error
            try:
                await call_inbox(self._inbox, self._io, method, *args)
            except LeaseLost:
                raise
            except InboxError:
                delay = _RETRIES.next_delay(attempt)
                if delay is None:
                    raise
                await self._io.sleep(delay)
            else:
                return

    async def ensure(self) -> None:
        """Renew the lease if it may expire during a call.

        Raises:
            LeaseLost: Another worker has taken over the event.
        """
        if not self._is_younger_than(_RENEW_AFTER):
            await self.record(self._ledger)

    def may_send(self) -> bool:
        """Return whether the lease lasts longer than a call whose client has connected."""
        return self._is_younger_than(_SEND_BEFORE)

    def _is_younger_than(self, share: float) -> bool:
        elapsed = [now - before for now, before in zip(self._read_clocks(), self._renewed_at, strict=True)]
        return all(0 <= seconds < self._job.lease * share for seconds in elapsed)

    def _read_clocks(self) -> tuple[float, float]:
        return self._clock(), time.monotonic()
