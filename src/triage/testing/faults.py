"""Faults around your set-up, for tests of what you build; `FakeHelpDesk.fail` has those of the help desk's API.

Deliveries that come several times and in any order (`shuffle_deliveries`), clocks that go wrong or have leases run out
(`SkewedClock`), a rate limit that is used up (`exhaust_rate_limit`), and an inbox whose disk is full, whose database
is locked or whose connection breaks, before a write or after it (`FaultyInbox`).
"""

import random
import threading
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, TypeAlias, TypeVar, get_args

from typing_extensions import TypeVarTuple, Unpack

from triage.errors import InboxError
from triage.inbox.base import Inbox
from triage.models import Entry, Event, Job, Ledger, Outcome, State
from triage.testing.desks.base import FakeHelpDesk, Fault, RateLimit, Webhook, taken

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

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
]
"""What an inbox is asked to do; `close` never fails."""

InboxFault: TypeAlias = Literal["disk full", "locked", "connection lost"]

_WORDS: Mapping[InboxFault, str] = {
    "disk full": "database or disk is full",
    "locked": "database is locked",
    "connection lost": "server closed the connection unexpectedly",
}


def shuffle_deliveries(
    fake: FakeHelpDesk, webhooks: Iterable[Webhook], *, copies: int = 3, seed: int = 0
) -> list[Webhook]:
    """Webhooks as they come on a bad day: each several times, in any order.

    Args:
        fake: Whose they are: it knows what the vendor changes in a webhook that it sends again.
        webhooks: Genuine ones.
        copies: How often each comes; 1 for another order alone.
        seed: Another one gives another order.

    Returns:
        All of them. What was sent again may come before what was sent first.
    """
    sent: list[Webhook] = []
    for webhook in webhooks:
        again = webhook
        for _ in range(copies):
            sent.append(again)
            again = fake.redeliver(again)
    random.Random(seed).shuffle(sent)  # noqa: S311 - no secret
    return sent


@dataclass
class SkewedClock:
    """A clock that is wrong by some seconds: `Router(..., clock=SkewedClock(-360))`.

    Add to `seconds` to let time pass without waiting for it: `clock.seconds += 61` ends a lease of a minute.
    """

    seconds: float = 0.0
    """By how much it is fast; less than 0 if it is slow."""
    clock: Callable[[], float] = time.time
    """The right one."""

    def __call__(self) -> float:
        """Seconds since the epoch, as this clock tells them."""
        return self.clock() + self.seconds


@contextmanager
def exhaust_rate_limit(fake: FakeHelpDesk, seconds: float = 60.0) -> Generator[None]:
    """A help desk whose rate limit is used up: every call is refused in the vendor's form, with the vendor's headers.

    It lasts as long as the `with` block. The headers promise that it is over with the vendor's window; whether that is
    true is up to you.

    Args:
        fake: The help desk.
        seconds: The length of the vendor's windows, where the vendor has no fixed one.
    """
    before, fake.rate_limit = fake.rate_limit, RateLimit(0, seconds)
    try:
        yield
    finally:
        fake.rate_limit = before


@dataclass(slots=True)
class _Fault(Fault):
    call: InboxCall | None
    error: str


class FaultyInbox:
    """An inbox that fails as it is told to, and is otherwise the one that is given.

    `Router(..., inbox=FaultyInbox(SQLiteInbox(path)))`, then `inbox.fail("add", "disk full")`.

    Args:
        inbox: The one that does the work.
    """

    in_memory = False

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self.in_memory = inbox.in_memory
        self._faults: list[_Fault] = []
        self._lock = threading.Lock()

    def fail(
        self,
        call: InboxCall | None = None,
        fault: InboxFault = "disk full",
        *,
        times: int | None = 1,
        skip: int = 0,
        after: bool = False,
    ) -> None:
        """Let coming calls fail. Faults that fit the same call are taken in the order in which they were set.

        Args:
            call: The method's name; None for any.
            fault: What is wrong, as the `InboxError` tells it.
            times: How many calls fail; None for all until `recover()`.
            skip: How many calls go well before.
            after: True if the call takes effect, and only its answer is lost.

        Raises:
            ValueError: An inbox has no such method, or no such fault.
        """
        # For callers without a type checker: a fault that fits nothing would make a test that tests nothing.
        if call is not None and call not in get_args(InboxCall):
            raise ValueError(f"An inbox has no {call!r} that could fail.")
        if fault not in _WORDS:
            raise ValueError(f"An inbox fails by {', '.join(map(repr, _WORDS))}, not by {fault!r}.")
        with self._lock:
            most = float("inf") if times is None else times
            self._faults.append(_Fault(most, skip, after, call, f"the inbox: {_WORDS[fault]}"))

    def recover(self) -> None:
        """Forget all faults."""
        with self._lock:
            self._faults.clear()

    def add(self, event: Event) -> bool:
        """As `Inbox.add`."""
        return self._do("add", self._inbox.add, event)

    def dead_letter_unreadable(self, owner: str, body: bytes, error: str) -> bool:
        """As `Inbox.dead_letter_unreadable`."""
        return self._do("dead_letter_unreadable", self._inbox.dead_letter_unreadable, owner, body, error)

    def lease(self, limit: int, seconds: float, owner: str | None = None) -> Sequence[Job]:
        """As `Inbox.lease`."""
        return self._do("lease", self._inbox.lease, limit, seconds, owner)

    def lease_key(self, key: str, seconds: float) -> Job | None:
        """As `Inbox.lease_key`."""
        return self._do("lease_key", self._inbox.lease_key, key, seconds)

    def record(self, job: Job, ledger: Ledger) -> None:
        """As `Inbox.record`."""
        self._do("record", self._inbox.record, job, ledger)

    def extend(self, jobs: Iterable[Job], seconds: float) -> None:
        """As `Inbox.extend`."""
        self._do("extend", self._inbox.extend, jobs, seconds)

    def finish(self, job: Job, outcome: Outcome, ledger: Ledger | None = None) -> None:
        """As `Inbox.finish`."""
        self._do("finish", self._inbox.finish, job, outcome, ledger)

    def retry(self, job: Job, error: str, seconds: float, ledger: Ledger | None = None) -> None:
        """As `Inbox.retry`."""
        self._do("retry", self._inbox.retry, job, error, seconds, ledger)

    def dead_letter(self, job: Job, error: str, ledger: Ledger | None = None) -> None:
        """As `Inbox.dead_letter`."""
        self._do("dead_letter", self._inbox.dead_letter, job, error, ledger)

    def list_overdue(self, limit: int, seconds: float, owner: str | None = None) -> Sequence[str]:
        """As `Inbox.list_overdue`."""
        return self._do("list_overdue", self._inbox.list_overdue, limit, seconds, owner)

    def set_pause(self, name: str, seconds: float) -> None:
        """As `Inbox.set_pause`."""
        self._do("set_pause", self._inbox.set_pause, name, seconds)

    def get_pause(self, name: str) -> float:
        """As `Inbox.get_pause`."""
        return self._do("get_pause", self._inbox.get_pause, name)

    def add_spending(self, name: str, amount: float) -> None:
        """As `Inbox.add_spending`."""
        self._do("add_spending", self._inbox.add_spending, name, amount)

    def get_spending(self, name: str) -> float:
        """As `Inbox.get_spending`."""
        return self._do("get_spending", self._inbox.get_spending, name)

    def list_entries(
        self, state: State | None = None, *, limit: int = 100, before: int | None = None
    ) -> Sequence[Entry]:
        """As `Inbox.list_entries`."""
        return self._do("list_entries", lambda: self._inbox.list_entries(state, limit=limit, before=before))

    def get_entry(self, key: str) -> Entry | None:
        """As `Inbox.get_entry`."""
        return self._do("get_entry", self._inbox.get_entry, key)

    def redrive(self, key: str) -> bool:
        """As `Inbox.redrive`."""
        return self._do("redrive", self._inbox.redrive, key)

    def park(self, key: str, reason: str) -> bool:
        """As `Inbox.park`."""
        return self._do("park", self._inbox.park, key, reason)

    def purge(self, before: float, *, dead: bool = False) -> int:
        """As `Inbox.purge`."""
        return self._do("purge", lambda: self._inbox.purge(before, dead=dead))

    def forget(self, customer: str) -> int:
        """As `Inbox.forget`."""
        return self._do("forget", self._inbox.forget, customer)

    def count_states(self) -> Mapping[str, int]:
        """As `Inbox.count_states`."""
        return self._do("count_states", self._inbox.count_states)

    def close(self) -> None:
        """As `Inbox.close`. It never fails."""
        self._inbox.close()

    def _do(self, name: InboxCall, call: Callable[[Unpack[Ts]], T], *args: *Ts) -> T:
        fault = self._next(name)
        if fault is None:
            return call(*args)
        if fault.after:
            call(*args)
        raise InboxError(fault.error)

    def _next(self, name: InboxCall) -> _Fault | None:
        with self._lock:
            return taken(fault for fault in self._faults if fault.call in (None, name))

    def __repr__(self) -> str:
        return f"FaultyInbox({self._inbox!r})"
