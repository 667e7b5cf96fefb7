"""A run: customers write, deliveries come, processes are killed, and the help desk's memory is the judge."""

import faulthandler
import math
import os
import random
import re
import signal
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import anthropic  # noqa: F401 - so that a worker need not take a second for it before it can be killed
import httpx

from tests.chaos.dying import (
    BOUNDARIES,
    INBOXES,
    OF_RECEIVERS,
    OF_WORKERS,
    Boundary,
    Dying,
    Opens,
    in_postgres,
    in_sqlite,
)
from tests.chaos.report import Report
from tests.helpers.desks import DESKS, Desk
from triage import Note, Router, Tag, Worker, default_buckets
from triage.inbox.table import TableInbox
from triage.models import Entry, State
from triage.testing import FakeClaude, Webhook

_LATER = 1000.0  # seconds that pass between two rounds: leases have run out, pauses are over
_HUNG = 60.0  # seconds after which a process that neither ends nor dies is a defect

# Without a common factor, the remainders of a seed go through all combinations.
CYCLE = math.lcm(len(BOUNDARIES), len(DESKS), len(INBOXES))
assert len(BOUNDARIES) * len(DESKS) * len(INBOXES) == CYCLE

_TEXTS = {
    "All is down!": "urgent",
    "I was charged twice, refund please": "billing",
    "How do I export?": "general",
    "SEO offer, click here": "spam",
}


@dataclass
class Written:
    """What a customer wrote, and how it fared."""

    webhook: Webhook
    key: str
    text: str
    delivered: bool = False
    answered: bool = False


@dataclass
class Child:
    """A fork."""

    name: str
    pid: int
    doom: Boundary | None = None
    dies_at: float | None = None
    """When it is killed, if it is at any time."""
    code: int | None = None

    def poll(self) -> bool:
        """True if it is gone."""
        if self.code is None:
            if self.dies_at is not None and time.monotonic() >= self.dies_at:
                os.kill(self.pid, signal.SIGKILL)
                self.dies_at = math.inf
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
        return self.code is not None


class Run:
    """A help desk, an inbox, and what becomes of them."""

    def __init__(self, seed: int, inbox: str, desk: Desk, opens: Opens, urls: Sequence[str], log: Path) -> None:
        self.seed = seed
        self.inbox = inbox
        self.desk = desk
        self.opens = opens
        self.urls = urls
        self.log = log
        self.chance = random.Random(seed)  # noqa: S311 - no secret
        self.report = Report(runs=Counter({inbox: 1}))
        self.concurrency = 32
        self.started = time.monotonic()
        self.killed: Boundary | None = None
        self.others = set(threading.enumerate())
        # Two processes with PostgreSQL begin more slowly, and are to be killed at work too.
        self.slow = 1.5 if inbox == "postgres" else 1.0
        self.written = self._write()

    def clock(self) -> float:
        """The same for all processes: what one has stored is due for the next."""
        return self.desk.clock() + time.monotonic() - self.started

    def router(self, inbox: TableInbox | None, clock: Callable[[], float]) -> Router:
        vendor = self.desk.adapter(base_url=self.urls[0], **self.desk.everything)
        buckets = [
            bucket if bucket.name == "spam" else replace(bucket, actions=[*bucket.actions, Tag("seen"), Note("Look.")])
            for bucket in default_buckets(dict(self.desk.teams))
        ]
        return Router(vendor, buckets=buckets, inbox=inbox, clock=clock)

    def _write(self) -> list[Written]:
        chance, fake = self.chance, self.desk.fake
        written: list[Written] = []
        with self.router(None, self.desk.clock) as router:
            for number in range(chance.randint(2, 5)):
                earlier = chance.choice(written) if written and chance.random() < 0.25 else None
                # The first is no spam, which has fewer boundaries.
                text = chance.choice(list(_TEXTS)[: 4 if number else 3])
                conversation = None
                if earlier is not None and _TEXTS[earlier.text] != "spam":
                    text, conversation = earlier.text, earlier.webhook.conversation_id
                webhook = fake.customer_writes(text, conversation=conversation)
                event = router.receive(webhook.body, webhook.headers).event
                assert event is not None, "the help desk's webhook is no event"
                written.append(Written(webhook, event.key, text))
        self.report.events = len(written)
        return written

    def do(self) -> Report:
        """Do it, and judge it."""
        chance = self.chance
        systematic = BOUNDARIES[self.seed % len(BOUNDARIES)]
        for number in range(1, chance.choice((2, 3)) + 1):
            if number > 1:
                receiver = chance.choice((None, "any time", chance.choice(OF_RECEIVERS)))
                worker = chance.choice(("any time", chance.choice(OF_WORKERS)))
            elif systematic in OF_RECEIVERS:
                receiver, worker = systematic, chance.choice(("any time", chance.choice(OF_WORKERS)))
            else:
                receiver, worker = None, systematic
            # Else the other worker may take what the doomed one needs to reach its boundary.
            pair = worker != systematic and chance.random() < 0.5
            together = number > 1 and chance.random() < 1 / 3
            self._round(receiver, worker, pair=pair, together=together)
            if number == 1 and self.killed != systematic:
                self.report.missed[f"{systematic.kind} {systematic.number}"] += 1
            self.desk.clock.now += _LATER
        self._end()
        self._judge()
        return self.report

    def _round(
        self,
        receiver: "Boundary | str | None",
        worker: "Boundary | str",
        *,
        pair: bool,
        together: bool,
    ) -> None:
        """Deliver, and work; one of the workers is killed, and perhaps the receiver."""
        deliveries = self._deliveries()
        received, answers = self._receiver(deliveries, receiver) if deliveries else (None, -1)
        if received is not None and not together:
            self._reap(received)
        # Two workers leave something to each other.
        self.concurrency = self.chance.choice((1, 2) if pair else (2, 32))
        doomed = self._fork("worker", worker, 0.2, self._work)
        other, leash = self._survivor() if pair else (None, -1)
        self._reap(doomed, *([received] if received is not None else []))
        if other is not None:
            self.report.pairs += doomed.code == -signal.SIGKILL
            time.sleep(self.chance.uniform(0, 0.1))
            os.close(leash)
            self._reap(other)
        if received is not None:
            self._take_note(answers)
        self._quiet()

    def _end(self) -> None:
        """Let receivers and workers live, until nothing is left."""
        # Some vendors give up, so that what is stored may never have been answered.
        if self.chance.random() < 0.8:
            for _ in range(3):
                left = [one for one in self.written if not one.answered]
                if left:
                    received, answers = self._receiver(self._again(left), None)
                    self._reap(received)
                    self._take_note(answers)
            never = [one.key for one in self.written if not one.answered]
            if never:
                self._lost(f"never answered: {', '.join(never)}")
        for _ in range(20):
            self._reap(self._fork("worker", None, 0, self._work))
            self.desk.clock.now += _LATER
            if all(entry.state in ("finished", "dead") for entry in self._entries()):
                break

    # Deliveries

    def _deliveries(self) -> list[tuple[int, Webhook]]:
        """What the vendor sends now: what was not answered, and some for no reason."""
        chance = self.chance
        due = [one for one in self.written if not one.answered or chance.random() < 0.2]
        deliveries = self._again([one for one in due for _ in range(chance.choice((1, 1, 3)))])
        chance.shuffle(deliveries)
        return deliveries

    def _again(self, due: Sequence[Written]) -> list[tuple[int, Webhook]]:
        deliveries: list[tuple[int, Webhook]] = []
        for one in due:
            webhook = self.desk.fake.redeliver(one.webhook) if one.delivered else one.webhook
            one.delivered = True
            deliveries.append((self.written.index(one), webhook))
        self.report.deliveries += len(deliveries)
        return deliveries

    def _receiver(self, deliveries: Sequence[tuple[int, Webhook]], how: "Boundary | str | None") -> tuple[Child, int]:
        """A process that handles deliveries; and a pipe with the numbers of those that it answered with 200."""
        answers, answered = os.pipe()

        def receive(inbox: Dying, clock: Callable[[], float]) -> None:
            with self.router(inbox, clock) as router:
                for number, webhook in deliveries:
                    if router.handle(webhook.body, webhook.headers).status_code == 200:
                        os.write(answered, b"%d\n" % number)

        child = self._fork("receiver", how, 0.05, receive)
        os.close(answered)
        return child, answers

    def _take_note(self, answers: int) -> None:
        with open(answers, "rb") as pipe:
            for line in pipe:
                self.written[int(line)].answered = True

    # Work

    def _work(self, inbox: Dying, clock: Callable[[], float]) -> None:
        with Worker(self.router(inbox, clock), concurrency=self.concurrency, attempts=8):
            while inbox.open():
                time.sleep(0.01)

    def _survivor(self) -> tuple[Child, int]:
        """A worker that goes on until the pipe is closed: it cannot know which leases belong to the dead."""
        held, leash = os.pipe()

        def work(inbox: Dying, clock: Callable[[], float]) -> None:
            os.close(leash)
            with Worker(self.router(inbox, clock), concurrency=self.concurrency, attempts=8):
                os.read(held, 1)

        child = self._fork("worker", None, 0, work)
        os.close(held)
        return child, leash

    def _fork(
        self,
        name: str,
        how: "Boundary | str | None",
        within: float,
        work: Callable[[Dying, Callable[[], float]], None],
    ) -> Child:
        """Do some work in a process of its own, that is killed at a boundary or within some seconds, or is not."""
        doom = how if isinstance(how, Boundary) else None
        dies_at = time.monotonic() + self.chance.uniform(0, within * self.slow) if how == "any time" else None
        pid = os.fork()
        if pid:
            return Child(name, pid, doom, dies_at)
        code = 1
        try:
            with self.log.open("a") as log:
                os.dup2(log.fileno(), 2)
            faulthandler.register(signal.SIGUSR1, file=2)
            inbox = self.opens(clock=self.clock)
            inbox.doom = doom
            work(inbox, self.clock)
            code = 0
        finally:
            if code:
                os.write(2, traceback.format_exc().encode())
            os._exit(code)

    def _reap(self, *children: Child) -> None:
        """Wait until they are gone, and count those that were killed."""
        deadline = time.monotonic() + _HUNG
        while [child for child in children if not child.poll()]:
            if time.monotonic() > deadline:
                for child in children:
                    if not child.poll():
                        os.kill(child.pid, signal.SIGUSR1)  # tells in the log where each thread is
                time.sleep(0.5)
                for child in children:
                    child.dies_at = 0.0
                    while not child.poll():
                        time.sleep(0.002)
                left = [
                    f"{entry.key} of {entry.event and entry.event.conversation_id}: {entry.state}, "
                    f"due in {entry.due - self.clock():.0f} s, attempt {entry.attempts}, {entry.error}"
                    for entry in self._entries()
                    if entry.state in ("ready", "leased")
                ]
                names = " or a ".join(child.name for child in children)
                raise AssertionError(f"a {names} hung: {'; '.join(left)}; {self._logged()}")
            time.sleep(0.002)
        for child in children:
            doom = child.doom
            if child.code == -signal.SIGKILL and doom is not None:
                self.killed = doom
                self.report.kills[f"{doom.kind} {doom.number}", doom.moment, self.inbox] += 1
            elif child.code == -signal.SIGKILL and child.dies_at is not None:
                self.report.kills[child.name, "any time", self.inbox] += 1
            else:
                assert child.code == 0, f"a {child.name} ended with {child.code}: {self._logged()}"

    def _logged(self) -> str:
        return self.log.read_text()[-6000:] if self.log.exists() else ""

    def _quiet(self) -> None:
        """Wait until the fakes have done what the dead still asked of them.

        A lease leaves a minute for that before another worker takes over, and here that minute is over at once.
        """
        for url in self.urls:
            httpx.get(url, timeout=20)  # connections are accepted in order: all earlier ones are, when this is answered
        deadline = time.monotonic() + 20
        while any("process_request" in thread.name for thread in set(threading.enumerate()) - self.others):
            assert time.monotonic() < deadline, "the fakes are busy though all their clients are dead"
            time.sleep(0.002)

    # Judgement

    def _entries(self) -> Sequence[Entry]:
        inbox = self.opens(clock=self.clock)
        try:
            return inbox.list_entries(limit=1000)
        finally:
            inbox.close()

    def _lost(self, what: str) -> None:
        self.report.lost.append(self._told(what))

    def _told(self, what: str) -> str:
        return f"seed {self.seed} ({self.inbox}, {self.desk.name}): {what}"

    def _judge(self) -> None:
        entries = {entry.key: entry for entry in self._entries()}
        report = self.report
        report.answered = sum(one.answered for one in self.written)
        for one in self.written:
            if one.answered and one.key not in entries:
                self._lost(f"{one.key} was answered 200, and is not there")
        for entry in entries.values():
            if entry.state == "finished":
                report.finished += 1
            elif entry.state == "dead":
                report.dead[self.desk.name, re.sub(r" [A-Z]+ /\S+:", "", entry.error or "")[:100]] += 1
            else:
                self._lost(f"{entry.key} is {entry.state}: {entry.error}")
        for conversation in dict.fromkeys(one.webhook.conversation_id or "" for one in self.written):
            here = [one for one in self.written if one.webhook.conversation_id == conversation]
            states = Counter(entries[one.key].state for one in here if one.key in entries)
            bucket = _TEXTS[here[0].text]
            self._judge_conversation(conversation, bucket, states)
            if set(states) == {"dead"} and bucket != "spam":
                self.report.unassigned += self.desk.assigned(self.desk.fake.conversations[conversation]) is None

    def _judge_conversation(self, conversation_id: str, bucket: str, states: Counter[State]) -> None:
        """Ask the help desk's own memory."""
        conversation = self.desk.fake.conversations[conversation_id]
        done = states["finished"]
        replies, notes = len(self.desk.fake.replies(conversation_id)), len(self.desk.fake.notes(conversation_id))
        team = self.desk.assigned(conversation)
        # A conversation gets one reply, and each of its messages one note.
        for number, most, what in ((replies, 1, "replies"), (notes, states.total(), "notes")):
            if number > most:
                self.report.doubled.append(self._told(f"{conversation_id} has {number} {what}"))
        if team is not None and team not in self.desk.teams.values():
            self._lost(f"{conversation_id} went to {team}, which is no team of the policy")
        # Only dead-lettered events, which are reported to a human, may be unfinished.
        if done and bucket == "spam" and (conversation.state != "closed" or replies):
            self._lost(f"{conversation_id} is spam, and {conversation.state} with {replies} replies")
        tagged = "seen" in [name.lower() for name in conversation.tags]
        # At Front a note with the words of an earlier one is taken for one whose answer was lost.
        missing = notes < (1 if self.desk.name == "front" else done)
        if done and bucket != "spam" and (team is None or not replies or not tagged or missing):
            self._lost(
                f"{conversation_id} is finished, and has {replies} replies, {notes} notes, "
                f"the tags {conversation.tags} and the team {team}; of its messages {dict(states)}"
            )


def one_run(seed: int, postgres: str | None = None) -> Report:
    """Do a run, and judge it.

    Args:
        seed: Tells all that is left to chance.
        postgres: A database for the seeds that are odd; without one they have SQLite too.
    """
    inbox = INBOXES[seed % len(INBOXES)] if postgres is not None else "sqlite"
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if inbox == "postgres" and postgres is not None:
            opens = stack.enter_context(in_postgres(postgres, f"run_{os.getpid()}_{seed}"))
        else:
            opens = stack.enter_context(in_sqlite(directory))
        desk = list(DESKS.values())[seed % len(DESKS)]()
        desk.fake.rate_limit = None
        urls = [stack.enter_context(desk.fake.serve()), stack.enter_context(FakeClaude().serve())]
        os.environ["ANTHROPIC_BASE_URL"] = urls[1]
        os.environ["ANTHROPIC_API_KEY"] = "sk-ant-test"
        run = Run(seed, inbox, desk, opens, urls, directory / "log")
        try:
            return run.do()
        except AssertionError as err:
            run._lost(str(err))
            return run.report
