"""Runs that stop workers for longer than their lease."""

import signal
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import httpx
from typing_extensions import override

from tests.chaos.children import Child, wait_until
from tests.chaos.inboxes import CALL_BOUNDARIES, WORKER_BOUNDARIES, Boundary, ChaosInbox
from tests.chaos.run import LATER, Run
from triage import ConfigurationError, Worker

_PATIENCE = 10.0  # seconds for which a worker stays stopped at most after its lease has expired


class StopRun(Run):
    """Stops workers with SIGSTOP until their leases have expired, and continues them when another worker took over.

    A worker is stopped at a boundary or at any time, and continued while the other one works or after it has finished.
    A process that is stopped within a transaction of SQLite may hold the lock of the file, so that the other one waits.
    """

    kind = "stop"
    how = signal.SIGSTOP
    lease = 0.5

    @override
    def play(self) -> None:
        for _ in range(self.chance.choice((1, 2))):
            self._play_round()
            self.desk.clock.now += LATER

    def choose_moment(self) -> "Boundary | str":
        """Choose when a worker is stopped."""
        chance = self.chance
        return chance.choice(("any time", chance.choice(WORKER_BOUNDARIES), chance.choice(CALL_BOUNDARIES)))

    def _play_round(self) -> None:
        chance = self.chance
        self.deliver_all()
        self.concurrency = chance.choice((1, 2, 32))
        victim = self.fork("worker", self.choose_moment(), 0.3, self.work)
        self.reap(victim)
        if victim.is_stopped:
            self._take_over(victim)
        self.wait_for_fakes()

    def _take_over(self, victim: Child) -> None:
        """Let another worker take over from a stopped one, and continue that."""
        try:
            self.open_inbox(clock=self.clock).close()
        except ConfigurationError:  # it was stopped while it opened the file of SQLite, so nobody else can open it
            victim.resume()
            self.reap(victim)
            return
        attempts = {entry.key: entry.attempts for entry in self.list_entries() if entry.state == "leased"}
        time.sleep(self.lease)
        survivor = self.fork("worker", None, 0, self.work)
        inbox = self.open()
        deadline = time.monotonic() + _PATIENCE
        wait_until(lambda: survivor.poll() or _count_takeovers(inbox, attempts) > 0, deadline)
        if self.chance.random() < 0.5:
            deadline = time.monotonic() + self.chance.uniform(0, 0.1)  # continue it while the other one works
        wait_until(survivor.poll, deadline)
        victim.resume()
        self.reap(victim, survivor)
        self.report.takeovers += _count_takeovers(inbox, attempts)
        inbox.close()

    @override
    def start_worker(self, inbox: ChaosInbox, clock: Callable[[], float]) -> Worker:
        router = self.router(inbox, clock, async_http=partial(_open_client, inbox))
        return Worker(router, concurrency=self.concurrency, lease=self.lease, attempts=self.attempts)


def _count_takeovers(inbox: ChaosInbox, attempts: Mapping[str, int]) -> int:
    """Return how many events have been leased again."""
    return sum(entry.attempts > attempts.get(entry.key, entry.attempts) for entry in inbox.list_entries(limit=1000))


def _open_client(inbox: ChaosInbox) -> httpx.AsyncClient:
    """Create a client that interrupts its process right before or after a call that changes something."""

    async def leave(response: httpx.Response) -> None:
        inbox.leave(response.request.extensions.get("chaos", False))

    async def reach(request: httpx.Request) -> None:
        if request.method != "GET":
            request.extensions["chaos"] = inbox.reach("call")

    hooks: dict[str, list[Callable[..., Any]]] = {"request": [reach], "response": [leave]}
    return httpx.AsyncClient(timeout=10.0, event_hooks=hooks)
