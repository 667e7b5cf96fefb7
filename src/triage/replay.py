"""Replay: run stored events against another policy or prompt, and find messages that would be treated differently.

Nothing is changed: the help desk is not called, and nothing is stored. The classifier is called, which may cost money.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from triage.actions import Action, Note, SetFields, Snooze
from triage.io.ports import AsyncIO
from triage.log import bind_fields, remove_unknown
from triage.models import Conversation, Entry, Ledger, StepResult
from triage.router import Router


@dataclass(frozen=True)
class Treatment:
    """The treatment of a message: its bucket and the actions that follow.

    Args:
        bucket: The verdict's bucket.
        status: `routed`, `review`, `suggested` or `shadowed`.
        fallback: True if the classifier returned no usable verdict.
        actions: The actions, in the order of the steps. The texts of notes and fields are left out, because a model's
            wording differs each time.
    """

    bucket: str
    status: str
    fallback: bool
    actions: tuple[Action, ...]


@dataclass(frozen=True)
class Comparison:
    """A stored event, as it was treated and as it would be treated now.

    Args:
        key: The event's key.
        conversation_id: The help desk's id of the conversation.
        before: How it was treated.
        after: How it would be treated.
        cost_usd: The cost of the new verdict; None if the price is unknown.
    """

    key: str
    conversation_id: str
    before: Treatment
    after: Treatment
    cost_usd: float | None

    @property
    def differs(self) -> bool:
        """True if the message would be treated differently. Another bucket with the same actions does not count."""
        return (self.before.status, self.before.actions) != (self.after.status, self.after.actions)


async def replay(router: Router, entries: Iterable[Entry], *, concurrency: int = 8) -> AsyncGenerator[Comparison]:
    """Compare how stored events were treated with how a Router would treat them now.

    Args:
        router: The Router with the policy, the prompt or the model to try.
        entries: Entries of an inbox. Entries that are not comparable are skipped: see `is_comparable`.
        concurrency: How many events are classified at the same time.
    """
    limit, io = asyncio.Semaphore(concurrency), AsyncIO()

    async def compare(entry: Entry, before: Treatment, conversation: Conversation) -> Comparison:
        ids = {"key": entry.key, "conversation_id": conversation.id, "event_id": getattr(entry.event, "event_id", None)}
        async with limit:
            with bind_fields(remove_unknown(ids)):
                ledger = await router.engine.preview(conversation, io)
        after = _read_treatment(ledger)
        assert after is not None and ledger.verdict is not None  # noqa: S101, PT018 - a preview always has both
        return Comparison(entry.key, conversation.id, before, after, ledger.verdict.cost_usd)

    tasks = [
        asyncio.create_task(compare(entry, before, entry.ledger.conversation))
        for entry in entries
        if router.owns(entry.key)
        and (before := _read_treatment(entry.ledger)) is not None
        and entry.ledger.conversation is not None
    ]
    try:
        for task in tasks:
            yield await task
    finally:
        for task in tasks:
            task.cancel()


def is_comparable(router: Router, entry: Entry) -> bool:
    """Return whether a Router owns a stored event and its actions were decided.

    Nothing was decided for deliveries that could not be read, or for events that were ignored or not yet processed.

    Args:
        router: The Router with the policy, the prompt or the model to try.
        entry: An entry of an inbox.
    """
    return router.owns(entry.key) and _read_treatment(entry.ledger) is not None


def _read_treatment(ledger: Ledger) -> Treatment | None:
    verdict = ledger.verdict
    if verdict is None or ledger.steps is None or ledger.conversation is None:
        return None
    return Treatment(verdict.bucket, ledger.status, verdict.fallback, tuple(_iterate_actions(ledger.steps)))


def _iterate_actions(results: Sequence[StepResult]) -> Iterator[Action]:
    for result in results:
        if result.status != "skipped":
            yield from map(_remove_variable_parts, result.step.actions)


def _remove_variable_parts(action: Action) -> Action:
    """Remove the parts of an action that differ each time: times, and text by a model."""
    match action:
        case Note():
            return Note("…")
        case SetFields(fields=fields):
            return SetFields(dict.fromkeys(sorted(fields)))
        case Snooze():
            return Snooze(timedelta(days=1))
        case _:
            return action
