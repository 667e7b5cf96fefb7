"""Runs stored events again against another policy or prompt, and tells who would have been treated differently.

Nothing is touched: the help desk is not called, and nothing is written. The classifier is asked, and that costs.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from triage.actions import Action, Note, SetFields, Snooze
from triage.models import Entry, Ledger, StepResult
from triage.router import Router


@dataclass(frozen=True)
class Treatment:
    """What was, or would be, done with a message.

    Args:
        bucket: The verdict's.
        status: `routed`, `review`, `suggested` or `shadowed`.
        fallback: True if there was no verdict.
        actions: What is done, in the order of the steps; without the texts of notes and fields, since a model's words
            are never the same twice.
    """

    bucket: str
    status: str
    fallback: bool
    actions: tuple[Action, ...]


@dataclass(frozen=True)
class Comparison:
    """A stored event, as it was treated and as it would be now.

    Args:
        key: The event's.
        conversation_id: The vendor's.
        before: As it was.
        after: As it would be.
        cost_usd: What the new verdict cost; None where the price is not known.
    """

    key: str
    conversation_id: str
    before: Treatment
    after: Treatment
    cost_usd: float | None

    @property
    def differs(self) -> bool:
        """True if the customer would be treated differently: another verdict with the same actions is no difference."""
        return (self.before.status, self.before.actions) != (self.after.status, self.after.actions)


async def replay(router: Router, entries: Iterable[Entry], *, concurrency: int = 8) -> AsyncGenerator[Comparison]:
    """Compare how stored events were treated with how a Router would treat them now.

    Args:
        router: With the policy, the prompt or the model to try.
        entries: From an inbox. Those that are not `comparable` are left out.
        concurrency: How many are asked about at the same time.
    """
    limit = asyncio.Semaphore(concurrency)

    async def compared(entry: Entry) -> Comparison:
        before, seen = _treatment(entry.ledger), entry.ledger.conversation
        assert before is not None and seen is not None  # noqa: S101, PT018 - tells the type checker: it is comparable
        async with limit:
            ledger = await router.rehearse(seen)
        after = _treatment(ledger)
        assert after is not None and ledger.verdict is not None  # noqa: S101, PT018 - the same
        return Comparison(entry.key, seen.id, before, after, ledger.verdict.cost_usd)

    tasks = [asyncio.create_task(compared(entry)) for entry in entries if comparable(router, entry)]
    try:
        for task in tasks:
            yield await task
    finally:
        for task in tasks:
            task.cancel()


def comparable(router: Router, entry: Entry) -> bool:
    """Tell whether a stored event is one of a Router's help desk, and was decided upon.

    Nothing was for deliveries that could not be read, and for events that were ignored or have not begun.

    Args:
        router: With the policy, the prompt or the model to try.
        entry: From an inbox.
    """
    return router.owns(entry.key) and _treatment(entry.ledger) is not None


def _treatment(ledger: Ledger) -> Treatment | None:
    if ledger.verdict is None or ledger.steps is None or ledger.conversation is None:
        return None
    verdict = ledger.verdict
    return Treatment(verdict.bucket, ledger.status, verdict.fallback, tuple(_actions(ledger.steps)))


def _actions(results: Sequence[StepResult]) -> Iterable[Action]:
    for result in results:
        if result.status != "skipped":
            yield from map(_comparable, result.step.actions)


def _comparable(action: Action) -> Action:
    """The same without what is another one each time: the words of a model, and a time."""
    match action:
        case Note():
            return Note("…")
        case SetFields(fields=fields):
            return SetFields(dict.fromkeys(sorted(fields)))
        case Snooze():
            return Snooze(timedelta())
        case _:
            return action
