"""Kill workers with signal 9, again and again, and see whether anything is lost or done twice.

Each run is a seed: some customers write to a fake help desk, their webhooks are stored in a real SQLite file, some are
delivered several times, and worker processes are killed: at a write of the ledger, right before it or right after it,
or at any time. A last worker then ends what is left. The judge is the fake help desk's own memory.

Run it with `make chaos`, or `make chaos RUNS=20`.
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anthropic  # noqa: F401 - so that a worker need not take a second for it before it can be killed

from desks import DESKS, Desk
from triage import Router, Worker, default_buckets
from triage.inbox import SQLiteInbox
from triage.testing import FakeClaude, Webhook
from watched import exit_code

KILLS = 3
_LATER = 1000.0  # seconds that pass between two workers: leases have run out, pauses are over


@dataclass
class Report:
    """What was seen."""

    runs: int = 0
    events: int = 0
    kills: Counter[str] = field(default_factory=Counter[str])
    finished: int = 0
    parked: Counter[str] = field(default_factory=Counter[str])
    lost: list[str] = field(default_factory=list[str])
    doubled: list[str] = field(default_factory=list[str])

    def add(self, other: "Report") -> None:
        self.runs += other.runs
        self.events += other.events
        self.kills += other.kills
        self.finished += other.finished
        self.parked += other.parked
        self.lost += other.lost
        self.doubled += other.doubled

    def __str__(self) -> str:
        kills = ", ".join(f"{number} {how}" for how, number in sorted(self.kills.items()))
        parked = ", ".join(f"{number} {desk}" for desk, number in sorted(self.parked.items()) if number)
        return (
            f"{self.runs} runs, {self.events} events, {sum(self.kills.values())} kills ({kills}), "
            f"{self.finished} finished, {sum(self.parked.values())} parked ({parked}), "
            f"losses {len(self.lost)}, doubles {len(self.doubled)}"
        )


class DyingInbox(SQLiteInbox):
    """Kills its process at a write: right before it or right after it."""

    dies_at: int = -1
    before: bool = False

    def _run(self, sql: str, values: Any) -> tuple[list[Any], int]:
        writes = sql.startswith("UPDATE")
        if writes:
            self.dies_at -= 1
            if self.dies_at == 0 and self.before:
                os.kill(os.getpid(), signal.SIGKILL)
        result = super()._run(sql, values)
        if writes and self.dies_at == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    def open(self) -> bool:
        """True while there is something to do now."""
        sql = "SELECT count(*) FROM triage_events WHERE state = 'leased' OR (state = 'ready' AND due <= :now)"
        return bool(self._rows(sql)[0][0])


def one_run(seed: int) -> Report:
    """Do a run, and judge it."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    with ExitStack() as stack:
        path = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "triage.db"
        desk = DESKS[chance.choice(sorted(DESKS))]()
        desk.fake.rate_limit = None
        desk_url = stack.enter_context(desk.fake.serve())
        os.environ["ANTHROPIC_BASE_URL"] = stack.enter_context(FakeClaude().serve())
        os.environ["ANTHROPIC_API_KEY"] = "sk-ant-test"

        def router(inbox: SQLiteInbox) -> Router:
            buckets = default_buckets(dict(desk.teams))
            clock = inbox._clock
            return Router(desk.adapter(base_url=desk_url), buckets=buckets, inbox=inbox, clock=clock)

        webhooks = _written(desk, chance)
        report = Report(runs=1, events=len(webhooks))
        inbox = DyingInbox(path, clock=desk.clock)
        with router(inbox) as receiving:
            deliveries = [webhook for webhook in webhooks for _ in range(chance.choice((1, 1, 3)))]
            chance.shuffle(deliveries)
            for webhook in deliveries:
                assert receiving.handle(webhook.body, webhook.headers).status_code == 200
        inbox.close()

        for number in range(1, KILLS + 1):
            how = _killed(path, desk, router, chance, number)
            if how is not None:
                report.kills[how] += 1
        for number in range(KILLS + 1, KILLS + 20):
            _worked(path, desk, router, number)
            stats = _stats(path)
            if not stats["ready"] and not stats["leased"]:
                break
        _judge(report, desk, webhooks, _stats(path), seed)
    return report


def _written(desk: Desk, chance: random.Random) -> list[Webhook]:
    texts = ["All is down!", "I was charged twice, refund please", "How do I export?", "SEO offer, click here"]
    return [desk.fake.customer_writes(chance.choice(texts)) for _ in range(chance.randint(1, 5))]


def _killed(
    path: Path, desk: Desk, router: Callable[[SQLiteInbox], Router], chance: random.Random, number: int
) -> str | None:
    """Run a worker that is killed; tell how, None if it was done before."""
    how = chance.choice(("before a write", "after a write", "at any time"))
    dies_at = 0 if how == "at any time" else chance.randint(1, 6)
    child = _forked(path, desk, router, number, dies_at=dies_at, before=how == "before a write")
    if how == "at any time":
        time.sleep(chance.uniform(0, 0.15))
        os.kill(child, signal.SIGKILL)
    code = exit_code(child)
    return how if code == -signal.SIGKILL else None


def _worked(path: Path, desk: Desk, router: Callable[[SQLiteInbox], Router], number: int) -> None:
    child = _forked(path, desk, router, number, dies_at=0, before=False)
    assert exit_code(child) == 0


def _forked(
    path: Path, desk: Desk, router: Callable[[SQLiteInbox], Router], number: int, *, dies_at: int, before: bool
) -> int:
    """A worker in a process of its own, until there is nothing left to do."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        started, base = time.monotonic(), desk.clock() + number * _LATER
        inbox = DyingInbox(path, clock=lambda: base + time.monotonic() - started)
        inbox.dies_at, inbox.before = dies_at, before
        with Worker(router(inbox), attempts=8):
            while inbox.open():
                time.sleep(0.005)
        code = 0
    finally:
        os._exit(code)


def _stats(path: Path) -> Any:
    inbox = SQLiteInbox(path)
    try:
        return inbox.stats()
    finally:
        inbox.close()


def _judge(report: Report, desk: Desk, webhooks: list[Webhook], stats: Any, seed: int) -> None:
    report.finished = stats["finished"]
    report.parked += Counter({desk.name: stats["parked"]})
    if stats["finished"] + stats["parked"] != len(webhooks):
        report.lost.append(f"seed {seed}: {dict(stats)} of {len(webhooks)}")
    unanswered = 0
    for webhook in webhooks:
        conversation = desk.fake.conversations[webhook.conversation_id or ""]
        replies = len(desk.fake.replies(conversation.id))
        if replies > 1:
            report.doubled.append(f"seed {seed}: {desk.name} {conversation.id} has {replies} replies")
        spam = conversation.state == "closed"
        if not spam and (desk.assigned(conversation) is None or replies == 0):
            unanswered += 1
    # Only what is parked, and so reported to a human, may be unfinished.
    if unanswered > stats["parked"]:
        report.lost.append(f"seed {seed}: {desk.name} {unanswered} unanswered, {stats['parked']} parked")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0, help="of the first run")
    options = parser.parse_args()
    total = Report()
    for seed in range(options.seed, options.seed + options.runs):
        total.add(one_run(seed))
        if total.runs % 50 == 0:
            print(total, flush=True)
    print(total)
    for line in (*total.lost, *total.doubled):
        print(line)
    sys.exit(1 if total.lost or total.doubled else 0)


if __name__ == "__main__":
    main()
