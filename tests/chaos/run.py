"""A run: customers write, webhooks are delivered, processes are interrupted, and the help desk's memory is checked."""

import faulthandler
import os
import random
import re
import signal
import threading
import time
import traceback
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import anthropic  # noqa: F401 - forks inherit it: a worker need not spend a second on the import before it is killed
import httpx

from tests.chaos.children import Child, wait_until
from tests.chaos.inboxes import Boundary, ChaosInbox, OpenInbox
from tests.chaos.report import Report
from tests.helpers.desks import Desk
from triage import Buckets, Note, Router, Tag, Worker
from triage.errors import ConfigurationError, InboxError
from triage.inbox.table import TableInbox
from triage.models import Entry, State
from triage.testing import Webhook

LATER = 1000.0  # seconds that the clock skips between two rounds: leases expire and pauses end
_TRIES = 5
_HUNG = 150.0  # seconds after which a process counts as hung: a worker waits for leases that nobody extends

DECIDED = ("finished", "dead")
"""The states of events that no worker processes any more."""

TEXTS = {
    "All is down!": "urgent",
    "I was charged twice, refund please": "billing",
    "How do I export?": "general",
    "SEO offer, click here": "spam",
}


@dataclass
class Message:
    """A customer's message, and whether its webhook was acknowledged."""

    webhook: Webhook
    key: str
    text: str
    acknowledged: bool = False


class Run(ABC):
    """A help desk, an inbox, and the processes that use them.

    Args:
        seed: Determines everything that is random.
        inbox: The kind of inbox.
        desk: The help desk.
        open_inbox: Opens the inbox.
        urls: The addresses of the help desk and of Claude.
        log: A file for the errors of the processes.
    """

    kind: ClassVar[str]
    """How processes are interrupted."""
    how: ClassVar[signal.Signals] = signal.SIGKILL
    """The signal that interrupts processes."""
    codes: ClassVar[Sequence[int]] = (0,)
    """The exit statuses of processes that were not interrupted."""
    lease: ClassVar[float] = 60.0
    """Seconds without a heartbeat before another worker takes over. The clock skips them, unless two workers run."""
    attempts: ClassVar[int] = 8
    """How often an event is tried."""

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
        self.report = Report(runs=Counter({(self.kind, inbox): 1}))
        self.concurrency = 32
        self.started = time.monotonic()
        self.other_threads = set(threading.enumerate())
        # With PostgreSQL, two processes take longer to start, and they should be killed at work too.
        self.slow = 1.5 if inbox == "postgres" else 1.0
        self._children: list[Child] = []
        self.messages = self._write_messages()

    def clock(self) -> float:
        """Return a time that is the same in all processes, so that what one stores is due for the next."""
        return self.desk.clock() + time.monotonic() - self.started

    def router(self, inbox: TableInbox | None, clock: Callable[[], float], **options: Any) -> Router:
        vendor = self.desk.adapter(base_url=self.urls[0], **self.desk.everything)
        buckets = [
            bucket if bucket.name == "spam" else replace(bucket, actions=[*bucket.actions, Tag("seen"), Note("Look.")])
            for bucket in Buckets.default(dict(self.desk.teams))
        ]
        return Router(vendor, buckets=buckets, inbox=inbox, clock=clock, **options)

    def _write_messages(self) -> list[Message]:
        chance, fake = self.chance, self.desk.fake
        messages: list[Message] = []
        with self.router(None, self.desk.clock) as router:
            for number in range(chance.randint(2, 5)):
                earlier = chance.choice(messages) if messages and chance.random() < 0.25 else None
                text = self.choose_text(number)
                conversation = None
                if earlier is not None and TEXTS.get(earlier.text) != "spam":
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

    def choose_text(self, number: int) -> str:
        """Choose the text of a new conversation."""
        # The first message is not spam, because spam has fewer boundaries.
        return self.chance.choice(list(TEXTS)[: 4 if number else 3])

    def execute(self) -> Report:
        """Interrupt processes in several rounds, finish the work, and check the result."""
        try:
            self.play()
            self._finish()
            self.check()
        finally:
            for child in self._children:
                child.kill()
        return self.report

    @abstractmethod
    def play(self) -> None:
        """Deliver webhooks and process events, with interruptions."""

    def _finish(self) -> None:
        """Run receivers and workers without killing them until nothing is left to do."""
        # Some vendors give up, so an event may be stored without ever having been acknowledged.
        if self.chance.random() < 0.8:
            for _ in range(3):
                left = [message for message in self.messages if not message.acknowledged]
                if left:
                    self.deliver(left)
            never = [message.key for message in self.messages if not message.acknowledged]
            if never:
                self.report_loss(f"never acknowledged: {', '.join(never)}")
        for _ in range(20):
            self.reap(self.fork("worker", None, 0, self.work))
            self.desk.clock.now += LATER
            if self.is_decided():
                break

    def is_decided(self) -> bool:
        """Return whether every stored event is finished or dead-lettered."""
        return all(entry.state in DECIDED for entry in self.list_entries())

    # Deliveries

    def deliver_all(self) -> None:
        """Let the vendor deliver all that was not acknowledged, and some webhooks again, to an unharmed receiver."""
        deliveries = self.choose_deliveries()
        if deliveries:
            self._receive(deliveries)

    def choose_deliveries(self) -> list[tuple[int, Webhook]]:
        """Choose what the vendor delivers now: everything not yet acknowledged, and at random some webhooks again."""
        chance = self.chance
        due = [message for message in self.messages if not message.acknowledged or chance.random() < 0.2]
        deliveries = self.prepare_deliveries([message for message in due for _ in range(chance.choice((1, 1, 3)))])
        chance.shuffle(deliveries)
        return deliveries

    def prepare_deliveries(self, due: Sequence[Message]) -> list[tuple[int, Webhook]]:
        # A redelivery is signed again. Otherwise it would be too old for some vendors after the clock has skipped.
        redeliver = self.desk.fake.redeliver
        deliveries = [(self.messages.index(message), redeliver(message.webhook)) for message in due]
        self.report.deliveries += len(deliveries)
        return deliveries

    def deliver(self, messages: Sequence[Message]) -> None:
        """Let the vendor deliver the webhooks of messages to an unharmed receiver."""
        self._receive(self.prepare_deliveries(messages))

    def _receive(self, deliveries: Sequence[tuple[int, Webhook]]) -> None:
        received, answers = self.start_receiver(deliveries, None)
        self.reap(received)
        self.read_acknowledgments(answers)

    def start_receiver(
        self, deliveries: Sequence[tuple[int, Webhook]], when: "Boundary | str | None"
    ) -> tuple[Child, int]:
        """Start a process that handles deliveries; return it and a pipe with the numbers of those it acknowledged."""
        answers, acknowledged = os.pipe()

        def receive(inbox: ChaosInbox, clock: Callable[[], float]) -> None:
            with self.router(inbox, clock) as router:
                for number, webhook in deliveries:
                    if router.handle(webhook.body, webhook.headers).status_code == 200:
                        os.write(acknowledged, b"%d\n" % number)

        child = self.fork("receiver", when, 0.05, receive)
        os.close(acknowledged)
        return child, answers

    def read_acknowledgments(self, answers: int) -> None:
        with open(answers, "rb") as pipe:
            for line in pipe:
                self.messages[int(line)].acknowledged = True

    # Work

    def work(self, inbox: ChaosInbox, clock: Callable[[], float]) -> None:
        """Process events until there is nothing left to do now."""
        with self.start_worker(inbox, clock):
            while _has_work(inbox):
                time.sleep(0.02)

    def start_worker(self, inbox: ChaosInbox, clock: Callable[[], float]) -> Worker:
        """Create a worker in a forked process."""
        router = self.router(inbox, clock)
        return Worker(router, concurrency=self.concurrency, lease=self.lease, attempts=self.attempts)

    def fork(
        self,
        name: str,
        when: "Boundary | str | None",
        within: float,
        work: Callable[[ChaosInbox, Callable[[], float]], None],
    ) -> Child:
        """Do some work in a forked process.

        Args:
            name: What the process is: a receiver or a worker.
            when: The boundary at which the process is interrupted, `"any time"`, or None if it is not interrupted.
            within: Seconds within which it is interrupted at any time.
            work: What it does.
        """
        boundary = when if isinstance(when, Boundary) else None
        interrupt_at = time.monotonic() + self.chance.uniform(0, within * self.slow) if when == "any time" else None
        pid = os.fork()
        if pid:
            child = Child(name, pid, boundary, interrupt_at, self.how)
            self._children.append(child)
            return child
        code = 1
        try:
            with self.log.open("a") as log:
                os.dup2(log.fileno(), 2)
            faulthandler.register(signal.SIGUSR1, file=2)
            inbox = self.open()
            inbox.boundary, inbox.how = boundary, self.how
            work(inbox, self.clock)
            code = 0
        finally:
            if code:
                os.write(2, traceback.format_exc().encode())
            os._exit(code)

    def reap(self, *children: Child) -> None:
        """Wait until the processes have ended or are stopped, and count the interruptions."""
        if not wait_until(lambda: all([child.poll() for child in children]), time.monotonic() + _HUNG):  # noqa: C419 - poll all
            self._report_hung(children)
        for child in children:
            if child.is_interrupted:
                self._count_interruption(child)
            else:
                assert child.code in self.codes, f"a {child.name} ended with {child.code}: {self._read_log()}"

    def _count_interruption(self, child: Child) -> None:
        boundary = child.boundary
        place = (
            (child.name, "any time") if boundary is None else (f"{boundary.kind} {boundary.number}", boundary.moment)
        )
        counter = self.report.stops if child.is_stopped else self.report.kills
        counter[*place, self.inbox] += 1

    def _report_hung(self, children: Sequence[Child]) -> NoReturn:
        hung = [child for child in children if not child.poll()]
        for child in hung:
            os.kill(child.pid, signal.SIGUSR1)  # writes the stack of each thread to the log
        time.sleep(0.5)
        for child in hung:
            child.kill()
        left = [
            f"{entry.key} of {entry.event and entry.event.conversation_id}: {entry.state}, "
            f"due in {entry.due - self.clock():.0f} s, attempt {entry.attempts}, {entry.error}"
            for entry in self.list_entries()
            if entry.state not in DECIDED
        ]
        names = " or a ".join(child.name for child in hung)
        raise AssertionError(f"a {names} hung: {'; '.join(left)}; {self._read_log()}")

    def _read_log(self) -> str:
        return self.log.read_text()[-6000:] if self.log.exists() else ""

    def wait_for_fakes(self) -> None:
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

    def open(self) -> ChaosInbox:
        """Open the inbox. On a busy machine, that may take longer than the library waits."""
        for _ in range(_TRIES):
            with suppress(ConfigurationError):
                return self.open_inbox(clock=self.clock)
        return self.open_inbox(clock=self.clock)

    def list_entries(self) -> Sequence[Entry]:
        inbox = self.open()
        try:
            return inbox.list_entries(limit=1000)
        finally:
            inbox.close()

    def report_loss(self, problem: str) -> None:
        self.report.lost.append(self._describe(problem))

    def _describe(self, problem: str) -> str:
        return f"seed {self.seed} ({self.inbox}, {self.desk.name}): {problem}"

    def check(self) -> None:
        entries = {entry.key: entry for entry in self.list_entries()}
        report = self.report
        report.answered = sum(message.acknowledged for message in self.messages)
        for message in self.messages:
            if message.acknowledged and message.key not in entries:
                self.report_loss(f"{message.key} was answered 200, but is not stored")
        for entry in entries.values():
            if entry.state == "finished":
                report.finished += 1
            elif entry.state == "dead":
                report.dead[self.desk.name, re.sub(r" [A-Z]+ /\S+:", "", entry.error or "")[:100]] += 1
            else:
                report.undecided.append(self._describe(f"{entry.key} is {entry.state}: {entry.error}"))
        for conversation in dict.fromkeys(message.webhook.conversation_id or "" for message in self.messages):
            messages = [message for message in self.messages if message.webhook.conversation_id == conversation]
            states = Counter(entries[message.key].state for message in messages if message.key in entries)
            states = Counter(entries[message.key].state for message in messages if message.key in entries)
            self._check_doubles(conversation, len(messages))
            if states["finished"]:
                self.check_finished(conversation, messages[0].text, states)
            elif set(states) == {"dead"} and messages[0].text in TEXTS:
                report.unassigned += self.desk.assigned(self.desk.fake.conversations[conversation]) is None

    def _check_doubles(self, conversation: str, messages: int) -> None:
        """Check that a conversation has one reply, and at most one note for each of its messages.

        One verdict may cover several messages.
        """
        replies, notes = len(self.desk.fake.replies(conversation)), len(self.desk.fake.notes(conversation))
        for number, limit, name in ((replies, 1, "replies"), (notes, messages, "notes")):
            if number > limit:
                self.report.doubled.append(self._describe(f"{conversation} has {number} {name}"))

    def check_finished(self, conversation_id: str, text: str, states: Counter[State]) -> None:
        """Check that everything was done for a conversation, apart from what dead letters leave to a human.

        Args:
            conversation_id: The conversation.
            text: What the customer wrote.
            states: How many of its messages are in each state; at least one of them is finished.
        """
        conversation = self.desk.fake.conversations[conversation_id]
        replies, notes = len(self.desk.fake.replies(conversation_id)), len(self.desk.fake.notes(conversation_id))
        team = self.desk.assigned(conversation)
        if TEXTS[text] == "spam":
            is_complete = conversation.state == "closed" and not replies
        else:
            is_labeled = "seen" in [name.lower() for name in conversation.tags] and bool(replies) and bool(notes)
            is_complete = team == self.desk.teams[TEXTS[text]] and (is_labeled or bool(states["dead"]))
        if not is_complete:
            self.report_loss(
                f"{conversation_id} is finished, but {conversation.state} with {replies} replies, {notes} notes, "
                f"the tags {conversation.tags} and the team {team}; of its messages {dict(states)}"
            )


def _has_work(inbox: ChaosInbox) -> bool:
    """Return whether there may be work. The connection of a process that was stopped may have been closed."""
    try:
        return inbox.has_work()
    except InboxError:
        return True
