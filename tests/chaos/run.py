"""A run: customers write, webhooks are delivered, processes are killed, and the help desk's memory is checked."""

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

import anthropic  # noqa: F401 - forks inherit it: a worker need not spend a second on the import before it is killed
import httpx

from tests.chaos.inboxes import (
    BOUNDARIES,
    INBOXES,
    RECEIVER_BOUNDARIES,
    WORKER_BOUNDARIES,
    Boundary,
    KillingInbox,
    OpenInbox,
    open_postgres,
    open_sqlite,
)
from tests.chaos.report import Report
from tests.helpers.desks import DESKS, Desk
from triage import Buckets, Note, Router, Tag, Worker
from triage.inbox.table import TableInbox
from triage.models import Entry, State
from triage.testing import FakeClaude, Webhook

_LATER = 1000.0  # seconds that the clock skips between two rounds: leases expire and pauses end
_HUNG = 60.0  # seconds after which a process counts as hung

# The numbers have no common factor, so the remainders of consecutive seeds produce all combinations.
CYCLE = math.lcm(len(BOUNDARIES), len(DESKS), len(INBOXES))
assert len(BOUNDARIES) * len(DESKS) * len(INBOXES) == CYCLE

_TEXTS = {
    "All is down!": "urgent",
    "I was charged twice, refund please": "billing",
    "How do I export?": "general",
    "SEO offer, click here": "spam",
}


@dataclass
class Message:
    """A customer's message, and whether its webhook was delivered and acknowledged."""

    webhook: Webhook
    key: str
    text: str
    delivered: bool = False
    acknowledged: bool = False


@dataclass
class Child:
    """A forked process."""

    name: str
    pid: int
    kill_at: Boundary | None = None
    killed_at_time: float | None = None
    """When it is killed, unless it is killed at a boundary or not at all."""
    code: int | None = None

    def poll(self) -> bool:
        """Return whether the process has ended; kill it if it is time."""
        if self.code is None:
            if self.killed_at_time is not None and time.monotonic() >= self.killed_at_time:
                os.kill(self.pid, signal.SIGKILL)
                self.killed_at_time = math.inf
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
        return self.code is not None


class Run:
    """A help desk, an inbox, and the processes that use them."""

    def __init__(
        self, seed: int, inbox: str, desk: Desk, open_inbox: OpenInbox, urls: Sequence[str], log: Path
    ) -> None:
        self.seed = seed
        self.inbox = inbox
        self.desk = desk
        self.open_inbox = open_inbox
        self.urls = urls
        self.log = log
        self.chance = random.Random(seed)  # noqa: S311 - no secret
        self.report = Report(runs=Counter({inbox: 1}))
        self.concurrency = 32
        self.started = time.monotonic()
        self.killed: Boundary | None = None
        self.other_threads = set(threading.enumerate())
        # With PostgreSQL, two processes take longer to start, and they should be killed at work too.
        self.slow = 1.5 if inbox == "postgres" else 1.0
        self.messages = self._write_messages()

    def clock(self) -> float:
        """Return a time that is the same in all processes, so that what one stores is due for the next."""
        return self.desk.clock() + time.monotonic() - self.started

    def router(self, inbox: TableInbox | None, clock: Callable[[], float]) -> Router:
        vendor = self.desk.adapter(base_url=self.urls[0], **self.desk.everything)
        buckets = [
            bucket if bucket.name == "spam" else replace(bucket, actions=[*bucket.actions, Tag("seen"), Note("Look.")])
            for bucket in Buckets.default(dict(self.desk.teams))
        ]
        return Router(vendor, buckets=buckets, inbox=inbox, clock=clock)

    def _write_messages(self) -> list[Message]:
        chance, fake = self.chance, self.desk.fake
        messages: list[Message] = []
        with self.router(None, self.desk.clock) as router:
            for number in range(chance.randint(2, 5)):
                earlier = chance.choice(messages) if messages and chance.random() < 0.25 else None
                # The first message is not spam, because spam has fewer boundaries.
                text = chance.choice(list(_TEXTS)[: 4 if number else 3])
                conversation = None
                if earlier is not None and _TEXTS[earlier.text] != "spam":
                    text, conversation = earlier.text, earlier.webhook.conversation_id
                email = f"customer-{number}@example.com"  # one customer gets only a few replies a day
                # Zendesk reports a first message twice, so a repetition of it is no message of its own.
                written = f"{text} Hello?" if conversation else text
                webhook = fake.customer_writes(written, conversation=conversation, email=email)
                event = router.receive(webhook.body, webhook.headers).event
                assert event is not None, "the help desk's webhook is not an event"
                messages.append(Message(webhook, event.key, text))
        self.report.events = len(messages)
        return messages

    def execute(self) -> Report:
        """Kill processes in two or three rounds, finish the work, and check the result."""
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
            self._play_round(receiver, worker, pair=pair, together=together)
            if number == 1 and self.killed != systematic:
                self.report.missed[f"{systematic.kind} {systematic.number}"] += 1
            self.desk.clock.now += _LATER
        self._finish()
        self._check()
        return self.report

    def _play_round(
        self,
        receiver: "Boundary | str | None",
        worker: "Boundary | str",
        *,
        pair: bool,
        together: bool,
    ) -> None:
        """Deliver webhooks and process events; a worker is killed, and perhaps the receiver."""
        deliveries = self._choose_deliveries()
        received, answers = self._start_receiver(deliveries, receiver) if deliveries else (None, -1)
        if received is not None and not together:
            self._reap(received)
        # With low concurrency, two workers share the events.
        self.concurrency = self.chance.choice((1, 2) if pair else (2, 32))
        victim = self._fork("worker", worker, 0.2, self._work)
        other, leash = self._start_survivor() if pair else (None, -1)
        self._reap(victim, *([received] if received is not None else []))
        if other is not None:
            self.report.pairs += victim.code == -signal.SIGKILL
            time.sleep(self.chance.uniform(0, 0.1))
            os.close(leash)
            self._reap(other)
        if received is not None:
            self._read_acknowledgments(answers)
        self._wait_for_fakes()

    def _finish(self) -> None:
        """Run receivers and workers without killing them until nothing is left to do."""
        # Some vendors give up, so an event may be stored without ever having been acknowledged.
        if self.chance.random() < 0.8:
            for _ in range(3):
                left = [message for message in self.messages if not message.acknowledged]
                if left:
                    received, answers = self._start_receiver(self._deliver(left), None)
                    self._reap(received)
                    self._read_acknowledgments(answers)
            never = [message.key for message in self.messages if not message.acknowledged]
            if never:
                self._report_loss(f"never acknowledged: {', '.join(never)}")
        for _ in range(20):
            self._reap(self._fork("worker", None, 0, self._work))
            self.desk.clock.now += _LATER
            if all(entry.state in ("finished", "dead") for entry in self._list_entries()):
                break

    # Deliveries

    def _choose_deliveries(self) -> list[tuple[int, Webhook]]:
        """Choose what the vendor delivers now: everything not yet acknowledged, and at random some webhooks again."""
        chance = self.chance
        due = [message for message in self.messages if not message.acknowledged or chance.random() < 0.2]
        deliveries = self._deliver([message for message in due for _ in range(chance.choice((1, 1, 3)))])
        chance.shuffle(deliveries)
        return deliveries

    def _deliver(self, due: Sequence[Message]) -> list[tuple[int, Webhook]]:
        deliveries: list[tuple[int, Webhook]] = []
        for message in due:
            webhook = self.desk.fake.redeliver(message.webhook) if message.delivered else message.webhook
            message.delivered = True
            deliveries.append((self.messages.index(message), webhook))
        self.report.deliveries += len(deliveries)
        return deliveries

    def _start_receiver(
        self, deliveries: Sequence[tuple[int, Webhook]], how: "Boundary | str | None"
    ) -> tuple[Child, int]:
        """Start a process that handles deliveries; return it and a pipe with the numbers of those it acknowledged."""
        answers, acknowledged = os.pipe()

        def receive(inbox: KillingInbox, clock: Callable[[], float]) -> None:
            with self.router(inbox, clock) as router:
                for number, webhook in deliveries:
                    if router.handle(webhook.body, webhook.headers).status_code == 200:
                        os.write(acknowledged, b"%d\n" % number)

        child = self._fork("receiver", how, 0.05, receive)
        os.close(acknowledged)
        return child, answers

    def _read_acknowledgments(self, answers: int) -> None:
        with open(answers, "rb") as pipe:
            for line in pipe:
                self.messages[int(line)].acknowledged = True

    # Work

    def _work(self, inbox: KillingInbox, clock: Callable[[], float]) -> None:
        with Worker(self.router(inbox, clock), concurrency=self.concurrency, attempts=8):
            while inbox.has_work():
                time.sleep(0.01)

    def _start_survivor(self) -> tuple[Child, int]:
        """Start a worker that runs until the pipe is closed: it cannot tell which leases belong to killed processes."""
        reader, leash = os.pipe()

        def work(inbox: KillingInbox, clock: Callable[[], float]) -> None:
            os.close(leash)
            with Worker(self.router(inbox, clock), concurrency=self.concurrency, attempts=8):
                os.read(reader, 1)

        child = self._fork("worker", None, 0, work)
        os.close(reader)
        return child, leash

    def _fork(
        self,
        name: str,
        how: "Boundary | str | None",
        within: float,
        work: Callable[[KillingInbox, Callable[[], float]], None],
    ) -> Child:
        """Do some work in a forked process.

        Args:
            name: What the process is: a receiver or a worker.
            how: The boundary at which the process is killed, `"any time"`, or None if it is not killed.
            within: Seconds within which it is killed at any time.
            work: What it does.
        """
        kill_at = how if isinstance(how, Boundary) else None
        killed_at_time = time.monotonic() + self.chance.uniform(0, within * self.slow) if how == "any time" else None
        pid = os.fork()
        if pid:
            return Child(name, pid, kill_at, killed_at_time)
        code = 1
        try:
            with self.log.open("a") as log:
                os.dup2(log.fileno(), 2)
            faulthandler.register(signal.SIGUSR1, file=2)
            inbox = self.open_inbox(clock=self.clock)
            inbox.kill_at = kill_at
            work(inbox, self.clock)
            code = 0
        finally:
            if code:
                os.write(2, traceback.format_exc().encode())
            os._exit(code)

    def _reap(self, *children: Child) -> None:
        """Wait until the processes have ended, and count those that were killed."""
        deadline = time.monotonic() + _HUNG
        while [child for child in children if not child.poll()]:
            if time.monotonic() > deadline:
                for child in children:
                    if not child.poll():
                        os.kill(child.pid, signal.SIGUSR1)  # writes the stack of each thread to the log
                time.sleep(0.5)
                for child in children:
                    child.killed_at_time = 0.0
                    while not child.poll():
                        time.sleep(0.002)
                left = [
                    f"{entry.key} of {entry.event and entry.event.conversation_id}: {entry.state}, "
                    f"due in {entry.due - self.clock():.0f} s, attempt {entry.attempts}, {entry.error}"
                    for entry in self._list_entries()
                    if entry.state in ("ready", "leased")
                ]
                names = " or a ".join(child.name for child in children)
                raise AssertionError(f"a {names} hung: {'; '.join(left)}; {self._read_log()}")
            time.sleep(0.002)
        for child in children:
            kill_at = child.kill_at
            if child.code == -signal.SIGKILL and kill_at is not None:
                self.killed = kill_at
                self.report.kills[f"{kill_at.kind} {kill_at.number}", kill_at.moment, self.inbox] += 1
            elif child.code == -signal.SIGKILL and child.killed_at_time is not None:
                self.report.kills[child.name, "any time", self.inbox] += 1
            else:
                assert child.code == 0, f"a {child.name} ended with {child.code}: {self._read_log()}"

    def _read_log(self) -> str:
        return self.log.read_text()[-6000:] if self.log.exists() else ""

    def _wait_for_fakes(self) -> None:
        """Wait until the fakes have handled all requests of the killed processes.

        In production a lease leaves a minute for that before another worker takes over; here the clock skips it.
        """
        for url in self.urls:
            httpx.get(url, timeout=20)  # connections are accepted in order, so all earlier ones have been accepted
        deadline = time.monotonic() + 20
        while any("process_request" in thread.name for thread in set(threading.enumerate()) - self.other_threads):
            assert time.monotonic() < deadline, "the fakes are still busy although all their clients are dead"
            time.sleep(0.002)

    # Checks

    def _list_entries(self) -> Sequence[Entry]:
        inbox = self.open_inbox(clock=self.clock)
        try:
            return inbox.list_entries(limit=1000)
        finally:
            inbox.close()

    def _report_loss(self, problem: str) -> None:
        self.report.lost.append(self._describe(problem))

    def _describe(self, problem: str) -> str:
        return f"seed {self.seed} ({self.inbox}, {self.desk.name}): {problem}"

    def _check(self) -> None:
        entries = {entry.key: entry for entry in self._list_entries()}
        report = self.report
        report.answered = sum(message.acknowledged for message in self.messages)
        for message in self.messages:
            if message.acknowledged and message.key not in entries:
                self._report_loss(f"{message.key} was answered 200, but is not stored")
        for entry in entries.values():
            if entry.state == "finished":
                report.finished += 1
            elif entry.state == "dead":
                report.dead[self.desk.name, re.sub(r" [A-Z]+ /\S+:", "", entry.error or "")[:100]] += 1
            else:
                self._report_loss(f"{entry.key} is {entry.state}: {entry.error}")
        for conversation in dict.fromkeys(message.webhook.conversation_id or "" for message in self.messages):
            messages = [message for message in self.messages if message.webhook.conversation_id == conversation]
            states = Counter(entries[message.key].state for message in messages if message.key in entries)
            bucket = _TEXTS[messages[0].text]
            self._check_conversation(conversation, bucket, states)
            if set(states) == {"dead"} and bucket != "spam":
                self.report.unassigned += self.desk.assigned(self.desk.fake.conversations[conversation]) is None

    def _check_conversation(self, conversation_id: str, bucket: str, states: Counter[State]) -> None:
        """Compare the states of the events with what the help desk recorded."""
        conversation = self.desk.fake.conversations[conversation_id]
        finished = states["finished"]
        replies, notes = len(self.desk.fake.replies(conversation_id)), len(self.desk.fake.notes(conversation_id))
        team = self.desk.assigned(conversation)
        # A conversation gets one reply, and each of its messages at most one note: one verdict may cover several.
        for number, limit, name in ((replies, 1, "replies"), (notes, states.total(), "notes")):
            if number > limit:
                self.report.doubled.append(self._describe(f"{conversation_id} has {number} {name}"))
        if team is not None and team not in self.desk.teams.values():
            self._report_loss(f"{conversation_id} was assigned to {team}, which is not a team of the policy")
        # Only dead letters, which are reported to a human, may be unfinished.
        if finished and bucket == "spam" and (conversation.state != "closed" or replies):
            self._report_loss(f"{conversation_id} is spam, but {conversation.state} with {replies} replies")
        tagged = "seen" in [name.lower() for name in conversation.tags]
        if finished and bucket != "spam" and (team is None or not replies or not tagged or not notes):
            self._report_loss(
                f"{conversation_id} is finished, but has {replies} replies, {notes} notes, "
                f"the tags {conversation.tags} and the team {team}; of its messages {dict(states)}"
            )


def execute_run(seed: int, postgres: str | None = None) -> Report:
    """Execute a run and return its checked report.

    Args:
        seed: Determines everything that is random.
        postgres: The URL of a database for odd seeds; without it they use SQLite too.
    """
    inbox = INBOXES[seed % len(INBOXES)] if postgres is not None else "sqlite"
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if inbox == "postgres" and postgres is not None:
            open_inbox = stack.enter_context(open_postgres(postgres, f"run_{os.getpid()}_{seed}"))
        else:
            open_inbox = stack.enter_context(open_sqlite(directory))
        desk = list(DESKS.values())[seed % len(DESKS)]()
        desk.fake.rate_limit = None
        urls = [stack.enter_context(desk.fake.serve()), stack.enter_context(FakeClaude().serve())]
        os.environ["ANTHROPIC_BASE_URL"] = urls[1]
        os.environ["ANTHROPIC_API_KEY"] = "sk-ant-test"
        run = Run(seed, inbox, desk, open_inbox, urls, directory / "log")
        try:
            return run.execute()
        except AssertionError as err:
            run._report_loss(str(err))
            return run.report
