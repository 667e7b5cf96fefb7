"""Runs with messages that kill the process which classifies them."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Callable
from typing import Any

from typing_extensions import override

from tests.chaos.inboxes import interrupt_process
from tests.chaos.run import LATER, TEXTS, Run
from triage import Buckets, Conversation, Router, Verdict
from triage.classifiers import Claude
from triage.inbox.base import INTERRUPTED
from triage.inbox.table import TableInbox
from triage.models import State

_POISON = "Please open the attached file"
_EXIT = 137  # the status of a process that ran out of memory
_LIVES = 60  # more than a run can need


class PoisonRun(Run):
    """Some messages kill their worker each time they are classified, so that a supervisor starts the next one.

    They must be dead-lettered after their attempts, and all others must be processed. At times two workers run at once,
    and some messages arrive only after the first death.
    """

    kind = "poison"
    codes = (0, _EXIT, -signal.SIGKILL)
    lease = 0.5
    attempts = 5

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._deaths = self.log.with_name("deaths")
        self._deaths.touch()
        self._delay = self.chance.choice((0.0, 0.02))
        self._signals = self.chance.random() < 0.5

    @override
    def choose_text(self, number: int) -> str:
        # At least one message is poison, but not more than two conversations.
        return _POISON if number == 0 or (number == 2 and self.chance.random() < 0.5) else super().choose_text(number)

    @override
    def router(self, inbox: TableInbox | None, clock: Callable[[], float], **options: Any) -> Router:
        return super().router(inbox, clock, classifier=_PoisonedClaude(self._die), **options)

    async def _die(self, conversation: str) -> None:
        """End the process. Others of its events may be at any point by then."""
        await asyncio.sleep(self._delay)
        with self._deaths.open("a") as deaths:
            deaths.write(f"{conversation}\n")
        if self._signals:
            interrupt_process(signal.SIGKILL)
        os._exit(_EXIT)

    @override
    def play(self) -> None:
        self.deliver(self.chance.sample(self.messages, self.chance.randint(1, len(self.messages))))
        for life in range(_LIVES):
            if life == 1:
                self.deliver_all()
            self.concurrency = self.chance.choice((1, 2, 32))
            self.reap(*(self.fork("worker", None, 0, self.work) for _ in range(self.chance.choice((1, 1, 2)))))
            self.wait_for_fakes()
            self.desk.clock.now += LATER
            if life and self.is_decided():
                return

    @override
    def check(self) -> None:
        super().check()
        deaths = Counter(self._deaths.read_text().split())
        self.report.poisonings["SIGKILL" if self._signals else "exit", self.inbox] += deaths.total()
        poison = {message.key: message for message in self.messages if message.text == _POISON}
        for entry in self.list_entries():
            is_superseded = entry.outcome is not None and entry.outcome.status == "superseded"
            if entry.key in poison and entry.state == "finished" and not is_superseded:
                self.report_loss(f"{entry.key} kills its worker, but is {entry.state}")
            elif entry.key not in poison and entry.state == "dead" and entry.error == INTERRUPTED:
                self.report_loss(f"{entry.key} was dead-lettered because of others: {entry.error}")
        for conversation, number in deaths.items():
            messages = sum(message.webhook.conversation_id == conversation for message in poison.values())
            if number > messages * self.attempts:
                self.report_loss(f"{conversation} was tried {number} times, and killed its worker each time")

    @override
    def check_finished(self, conversation_id: str, text: str, states: Counter[State]) -> None:
        if text in TEXTS:  # of a conversation with poison, only superseded messages are finished
            super().check_finished(conversation_id, text, states)


class _PoisonedClaude(Claude):
    """Claude, in a process that ends when it classifies a poisoned message."""

    def __init__(self, die: Callable[[str], Any]) -> None:
        super().__init__()
        self._die = die

    @override
    async def classify_async(self, conversation: Conversation, buckets: Buckets) -> Verdict:
        if any(_POISON in message.text for message in conversation.turn):
            await self._die(conversation.id)
        return await super().classify_async(conversation, buckets)
