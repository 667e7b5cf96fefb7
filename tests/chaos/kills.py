"""Runs that kill processes."""

import os
import time
from collections.abc import Callable

from typing_extensions import override

from tests.chaos.children import Child
from tests.chaos.inboxes import BOUNDARIES, RECEIVER_BOUNDARIES, WORKER_BOUNDARIES, Boundary, ChaosInbox
from tests.chaos.run import LATER, Run


class KillRun(Run):
    """Kills receivers and workers with SIGKILL, the first of them at the boundary that the seed chooses."""

    kind = "kill"

    @override
    def play(self) -> None:
        chance = self.chance
        systematic = BOUNDARIES[self.seed % len(BOUNDARIES)]
        for number in range(1, chance.choice((2, 3)) + 1):
            if number > 1:
                receiver = chance.choice((None, "any time", chance.choice(RECEIVER_BOUNDARIES)))
                worker = chance.choice(("any time", chance.choice(WORKER_BOUNDARIES)))
            elif systematic in RECEIVER_BOUNDARIES:
                receiver, worker = systematic, chance.choice(("any time", chance.choice(WORKER_BOUNDARIES)))
            else:
                receiver, worker = None, systematic
            # With two workers, the other one might take the event that this one needs to reach its boundary.
            pair = worker != systematic and chance.random() < 0.5
            together = number > 1 and chance.random() < 1 / 3
            children = self._play_round(receiver, worker, pair=pair, together=together)
            if number == 1 and not any(child.is_interrupted and child.boundary == systematic for child in children):
                self.report.missed[f"{systematic.kind} {systematic.number}"] += 1
            self.desk.clock.now += LATER

    def _play_round(
        self,
        receiver: "Boundary | str | None",
        worker: "Boundary | str",
        *,
        pair: bool,
        together: bool,
    ) -> list[Child]:
        """Deliver webhooks and process events; a worker is killed, and perhaps the receiver. Return both."""
        deliveries = self.choose_deliveries()
        received, answers = self.start_receiver(deliveries, receiver) if deliveries else (None, -1)
        if received is not None and not together:
            self.reap(received)
        # With low concurrency, two workers share the events.
        self.concurrency = self.chance.choice((1, 2) if pair else (2, 32))
        victim = self.fork("worker", worker, 0.2, self.work)
        other, leash = self._start_survivor() if pair else (None, -1)
        children = [victim] if received is None else [victim, received]
        self.reap(*(child for child in children if child.code is None))
        if other is not None:
            self.report.pairs += victim.is_interrupted
            time.sleep(self.chance.uniform(0, 0.1))
            os.close(leash)
            self.reap(other)
        if received is not None:
            self.read_acknowledgments(answers)
        self.wait_for_fakes()
        return children

    def _start_survivor(self) -> tuple[Child, int]:
        """Start a worker that runs until the pipe is closed: it cannot tell which leases belong to killed processes."""
        reader, leash = os.pipe()

        def work(inbox: ChaosInbox, clock: Callable[[], float]) -> None:
            os.close(leash)
            with self.start_worker(inbox, clock):
                os.read(reader, 1)

        child = self.fork("worker", None, 0, work)
        os.close(reader)
        return child, leash
