"""Faults for tests of your own setup; `FakeHelpDesk.fail` plans those of the help desk's API.

`shuffle_deliveries` repeats webhooks in random order. `SkewedClock` is wrong, or lets leases expire.
`exhaust_rate_limit` uses up the help desk's rate limit. `FaultyInbox` fails as if its disk were full, its database
locked or its connection lost, before or after a write.
"""

import random
import threading
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from triage.errors import InboxError
from triage.inbox.base import Inbox
from triage.testing.desks.base import FakeHelpDesk
from triage.testing.desks.records import RateLimit, Webhook
from triage.testing.schedule import Fault, next_fault

InboxCall: TypeAlias = Literal[
    "add",
    "dead_letter_unreadable",
    "lease",
    "lease_key",
    "record",
    "extend",
    "finish",
    "retry",
    "dead_letter",
    "list_overdue",
    "set_pause",
    "get_pause",
    "add_spending",
    "get_spending",
    "list_entries",
    "get_entry",
    "redrive",
    "park",
    "purge",
    "forget",
    "count_states",
    "list_related",
    "count_replies",
    "record_heartbeat",
    "get_heartbeat_age",
    "get_lag",
    "reopen",
]
"""The methods of an inbox that can fail: all but `close`."""

InboxFault: TypeAlias = Literal["disk full", "locked", "connection lost"]
"""The reason why an inbox fails."""

_ERRORS: Mapping[InboxFault, str] = {
    "disk full": "database or disk is full",
    "locked": "database is locked",
    "connection lost": "server closed the connection unexpectedly",
}


def shuffle_deliveries(
    fake: FakeHelpDesk, webhooks: Iterable[Webhook], *, copies: int = 3, seed: int = 0
) -> list[Webhook]:
    """Return webhooks as they may arrive in the worst case: each of them several times, in random order.

    Args:
        fake: The help desk that sent them. It marks a repeated webhook as the vendor does.
        webhooks: Webhooks of this help desk.
        copies: How often each is delivered; 1 changes only the order.
        seed: Determines the order.

    Returns:
        All deliveries. A repeated delivery may come before the first one.
    """
    deliveries: list[Webhook] = []
    for webhook in webhooks:
        delivery = webhook
        for _ in range(copies):
            deliveries.append(delivery)
            delivery = fake.redeliver(delivery)
    random.Random(seed).shuffle(deliveries)  # noqa: S311 - not used for secrets
    return deliveries


@dataclass
class SkewedClock:
    """A clock that is some seconds fast or slow: `Router(..., clock=SkewedClock(-360))`.

    Add to `seconds` to let time pass without waiting: `clock.seconds += 61` expires a lease of one minute.
    """

    seconds: float = 0.0
    """The seconds by which the clock is fast; negative if it is slow."""
    clock: Callable[[], float] = time.time
    """The accurate clock."""

    def __call__(self) -> float:
        """Return the seconds since the epoch according to this clock."""
        return self.clock() + self.seconds


@contextmanager
def exhaust_rate_limit(fake: FakeHelpDesk, seconds: float = 60.0) -> Generator[None]:
    """Use up a help desk's rate limit: it rejects every call in the vendor's format, with the vendor's headers.

    The limit stays exhausted until the `with` block ends, although the headers say that it resets at the end of the
    vendor's current window.

    Args:
        fake: The help desk.
        seconds: The length of the vendor's windows.
    """
    limit, fake.rate_limit = fake.rate_limit, RateLimit(0, seconds)
    try:
        yield
    finally:
        fake.rate_limit = limit


@dataclass(slots=True)
class _Fault(Fault):
    call: InboxCall | None
    error: str


if TYPE_CHECKING:
    from triage.inbox import SQLiteInbox as _Proxy  # a type checker sees the methods of any other inbox
else:

    class _Proxy:
        """Forwards every attribute to the inbox, and calls to its methods through `_call`."""

        def __getattr__(self, name: str) -> Any:
            if name.startswith("_"):
                raise AttributeError(name)
            attribute = getattr(self._wrapped, name)
            return partial(self._call, name, attribute) if name in get_args(InboxCall) else attribute


class FaultyInbox(_Proxy):
    """An inbox that fails as planned, and otherwise passes each call to another inbox.

    `Router(..., inbox=FaultyInbox(SQLiteInbox(path)))`, then `inbox.fail("add", "disk full")`.

    Args:
        inbox: The inbox that stores the events.
    """

    def __init__(self, inbox: Inbox) -> None:
        self._wrapped = inbox
        self._faults: list[_Fault] = []
        self._faults_lock = threading.Lock()

    def fail(
        self,
        call: InboxCall | None = None,
        fault: InboxFault = "disk full",
        *,
        times: int | None = 1,
        skip: int = 0,
        after: bool = False,
    ) -> None:
        """Make later calls fail. Faults that match the same call apply in the order in which they were planned.

        Args:
            call: The method's name; None for every method.
            fault: The cause that the `InboxError` reports.
            times: How many calls fail; None for all until `recover()`.
            skip: How many calls succeed first.
            after: True if the call takes effect and only its result is lost.

        Raises:
            ValueError: Inboxes have no such method or no such fault.
        """
        # For callers without a type checker: with a fault that never matches a call, a test would test nothing.
        if call is not None and call not in get_args(InboxCall):
            raise ValueError(f"An inbox has no method {call!r} that can fail.")
        if fault not in _ERRORS:
            raise ValueError(f"The fault must be one of {', '.join(map(repr, _ERRORS))}, not {fault!r}.")
        with self._faults_lock:
            self._faults.append(_Fault(times, skip, after, call, f"the inbox: {_ERRORS[fault]}"))

    def recover(self) -> None:
        """Cancel all faults."""
        with self._faults_lock:
            self._faults.clear()

    def _call(self, name: str, method: Callable[..., Any], *args: Any, **options: Any) -> Any:
        with self._faults_lock:
            fault = next_fault(fault for fault in self._faults if fault.call in (None, name))
        if fault is None:
            return method(*args, **options)
        if fault.after:
            method(*args, **options)
        raise InboxError(fault.error)

    def __repr__(self) -> str:
        return f"FaultyInbox({self._wrapped!r})"
