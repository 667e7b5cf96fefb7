"""What becomes of an event, told once: fetch ▸ classify ▸ decide ▸ act, then settle it in the inbox.

Nothing here does I/O or waits: all of that is behind `Ports`. The Router's sync door steps this coroutine with blocking
ports and no event loop, the async door awaits it. Importing asyncio, httpx or time is banned here by lint.
"""

import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, Protocol, TypeVar

from typing_extensions import TypeVarTuple, Unpack

from triage import policy
from triage.actions import Action, Assign, Close, MarkSpam, Reply, Snooze
from triage.engine import transport as _http
from triage.engine.breaker import Gate
from triage.errors import ClassifierError, ConfigurationError, InboxError, VendorError, describe_location
from triage.inbox.base import Inbox
from triage.limits import Limits
from triage.models import (
    Conversation,
    Event,
    Job,
    Ledger,
    Outcome,
    Request,
    Response,
    Status,
    Step,
    StepResult,
    Verdict,
)
from triage.policy import Buckets
from triage.vendors.base import Send, Vendor

logger = logging.getLogger("triage")

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_LONGEST_PAUSE = 300.0  # seconds between two attempts

_HANDS_OFF = (Assign, Reply, Snooze, Close, MarkSpam)
"""What is not done to a conversation that a human has: it would speak for them or take it away. Labels are fine."""


class Ports(_http.Wire, Protocol):
    """The I/O of one door."""

    async def classify(self, conversation: Conversation, buckets: Buckets) -> Verdict:
        """Ask the classifier. Raises whatever it raises."""
        ...

    async def blocking(self, call: Callable[[Unpack[Ts]], T], *args: *Ts) -> T:
        """Make a call of the inbox, which waits for a disk or a database."""
        ...

    @property
    def classifier_gate(self) -> Gate:
        """The one before the classifier."""
        ...


class _NotNow(Exception):  # noqa: N818 - never leaves this module
    """There is no verdict now, and the event can wait for one."""

    def __init__(self, reason: str, seconds: float) -> None:
        super().__init__(reason)
        self.retry_after = seconds


@dataclass(frozen=True)
class Pipeline:
    """The settings of a Router, as far as processing needs them."""

    vendor: Vendor
    inbox: Inbox
    buckets: Buckets
    review: Sequence[Action] | None
    context: int
    limits: Limits
    dry_run: bool

    async def work(self, job: Job, ports: Ports, attempts: int) -> Outcome:
        """Route an event from where its ledger stands, and settle it in the inbox.

        Args:
            job: A lease of the event.
            ports: The I/O.
            attempts: How often it is tried before it is parked.

        Returns:
            What became of it. A vendor that fails is an outcome too; what is raised besides `InboxError` is a defect
            or a cancellation.

        Raises:
            InboxError: The ledger could not be written, so nothing further was done.
        """
        ledger = job.ledger.model_copy()
        try:
            outcome = await self._route(job, ledger, ports, last=job.attempts >= attempts)
        except (VendorError, _NotNow) as err:
            await self._again(job, ledger, str(err), ports, attempts, err.retry_after or 0.0)
            return _outcome(job.event, "failed", str(err), ledger)
        except InboxError:
            raise
        except Exception as err:
            # Not in its own words: they may quote the customer.
            await self._again(job, ledger, f"a defect: {type(err).__name__}", ports, attempts)
            raise
        await ports.blocking(self.inbox.finish, job, outcome, ledger)
        return outcome

    async def rehearse(self, conversation: Conversation, ports: Ports) -> Ledger:
        """Tell what would be done with a conversation: ask the classifier, decide, and do nothing.

        Args:
            conversation: As far as the classifier is to see it.
            ports: The I/O.
        """
        ledger = Ledger(seen=conversation)
        ledger.verdict = await self._classify(conversation, ports, last=True)
        self._plan(ledger, ledger.verdict, conversation, ports.now())
        return ledger

    async def _again(
        self, job: Job, ledger: Ledger, error: str, ports: Ports, attempts: int, least: float = 0.0
    ) -> None:
        """Try it later, with longer and longer pauses, or leave it to a human."""
        if job.attempts >= attempts:
            if attempts > 1:  # else the outcome's own line says it all
                logger.error("%s is parked after %s attempts: %s", job.event.key, job.attempts, error)
            await ports.blocking(self.inbox.dead_letter, job, error, ledger)
            return
        pause = min(_LONGEST_PAUSE, 2.0**job.attempts) * random.uniform(0.5, 1.5)  # noqa: S311 - jitter, no secret
        await ports.blocking(self.inbox.retry, job, error, max(pause, least), ledger)

    async def _route(self, job: Job, ledger: Ledger, ports: Ports, *, last: bool) -> Outcome:
        event = job.event

        async def send(request: Request) -> Response:
            return await _http.send(request, self.vendor, ports)

        async def record() -> None:
            await ports.blocking(self.inbox.record, job, ledger.model_copy())

        if self.limits.acts is not None and job.acts >= self.limits.acts:
            reason = f"something was done for {job.acts} messages of the conversation: it is left to people"
            return _outcome(event, "ignored", reason, ledger)
        conversation = await self.vendor.fetch(event, send)
        if conversation.latest is None:
            return _outcome(event, "ignored", "the conversation holds no message of a customer", ledger)
        if ledger.verdict is None:
            ledger.seen = conversation.last_turns(self.context)
            ledger.verdict = await self._classify(ledger.seen, ports, last=last)
        if ledger.steps is None:
            self._plan(ledger, ledger.verdict, conversation, ports.now())
        await self._act(ledger, conversation, send, record)
        results = ledger.steps or ()
        if results and all(result.status == "skipped" for result in results):
            return _outcome(event, "ignored", results[0].detail, ledger)
        taken = [action for result in results if result.status != "skipped" for action in result.step.actions]
        closes = ledger.status == "routed" and any(isinstance(action, Close) for action in taken)
        status: Status = "closed" if closes else ledger.status
        return _outcome(event, status, "dry run" if self.dry_run else "", ledger)

    def _plan(self, ledger: Ledger, verdict: Verdict, conversation: Conversation, now: float) -> None:
        """Decide what to do, once for an event."""
        decision = policy.decide(verdict, self.buckets, self.review)
        actions = policy.render(decision.actions, verdict, conversation, now)
        permitted = [action for action in actions if not _forbidden(action, conversation)]
        skipped = [_skipped(action, conversation) for action in actions if _forbidden(action, conversation)]
        ledger.status = decision.status
        ledger.known = tuple(message.id for message in conversation.messages)
        status: Literal["planned", "pending"] = "planned" if self.dry_run or not decision.act else "pending"
        planned = (StepResult(step=step, status=status) for step in self.vendor.plan(permitted))
        ledger.steps = (*planned, *skipped)

    async def _classify(self, conversation: Conversation, ports: Ports, *, last: bool) -> Verdict:
        """Get a verdict, whatever happens: degrade, do not drop."""
        latest = conversation.latest
        if latest is not None and not latest.text:
            return self._fallback(f"the message has no text, only {len(latest.attachments)} attachment(s)")
        today = f"spent:{datetime.fromtimestamp(ports.now(), UTC):%Y-%m-%d}"
        budget = self.limits.daily_usd
        if budget is not None and await ports.blocking(self.inbox.get_spending, today) >= budget:
            return self._fallback(f"the day's {budget:g} USD for verdicts are spent")
        verdict = await self._asked(conversation, ports)
        if budget is not None and verdict.cost_usd:
            await ports.blocking(self.inbox.add_spending, today, verdict.cost_usd)
        if verdict.unavailable and self.limits.without_verdict == "wait" and not last:
            raise _NotNow(verdict.reason, await ports.held(ports.classifier_gate))
        return verdict

    async def _asked(self, conversation: Conversation, ports: Ports) -> Verdict:
        wait = await ports.held(ports.classifier_gate)
        if wait:
            return self._fallback(f"the classifier was down, and is not asked for another {wait:.0f} s", down=True)
        try:
            verdict = await ports.classify(conversation, self.buckets)
            bucket = self.buckets.get(verdict.bucket)
        except Exception as err:  # noqa: BLE001 - a classifier is the user's code, or a service that may be down
            await ports.learn(ports.classifier_gate, down=True)
            # Not in the error's own words, unless they are ours: they may quote the customer.
            told = f": {err}" if isinstance(err, ConfigurationError | ClassifierError) else ""
            logger.error("the classifier raised %s%s", describe_location(err), told)  # noqa: TRY400 - for the same reason
            return self._fallback(f"the classifier raised {type(err).__name__}{told}", down=True)
        await ports.learn(ports.classifier_gate, down=verdict.unavailable)
        if bucket is None:
            return self._fallback("the classifier named none of the buckets")
        return verdict.model_copy(update={"bucket": bucket.name})

    def _fallback(self, reason: str, *, down: bool = False) -> Verdict:
        name = self.buckets.fallback.name
        return Verdict(bucket=name, confidence=0.0, reason=reason, fallback=True, unavailable=down)

    async def _act(
        self, ledger: Ledger, conversation: Conversation, send: Send, record: Callable[[], Awaitable[None]]
    ) -> None:
        """Take the steps in order up to the first that fails.

        The ledger is recorded before each, with all that is known by then: what comes after the last is recorded with
        what becomes of the event.
        """
        results = list(ledger.steps or ())

        def note(number: int, result: StepResult) -> None:
            results[number] = result
            ledger.steps = tuple(results)

        # What is looked for after an unknown fate must not be taken for something that was there before.
        there = tuple(message for message in conversation.messages if message.id in ledger.known)
        before = conversation.model_copy(update={"messages": there})
        conversation = _without_ours(conversation, results)
        for number, result in enumerate(results):
            if result.status in ("done", "skipped", "planned"):
                continue
            # Where another process died, or gave up, while it took a step that must not be repeated.
            asks = result.status == "unknown" and not result.step.idempotent
            if asks and await self.vendor.was_performed(result.step, before, send):
                note(number, StepResult(step=result.step, status="done"))
                continue
            step = Step(actions=tuple(a for a in result.step.actions if not _forbidden(a, conversation)))
            if not step.actions:
                detail = _forbidden(result.step.actions[0], conversation)
                note(number, StepResult(step=result.step, status="skipped", detail=detail))
                continue
            # Until the vendor confirms it, nobody knows: what a cancellation or a crash leaves behind is the truth.
            note(number, StepResult(step=step, status="unknown"))
            await record()
            taken, error = await self._take(step, conversation, before, send)
            note(number, taken)
            if error:
                raise error

    async def _take(
        self, step: Step, conversation: Conversation, before: Conversation, send: Send
    ) -> tuple[StepResult, VendorError | None]:
        try:
            await self.vendor.perform(step, conversation, send)
        except VendorError as err:
            status = await self._fate(step, err, before, send)
            if status != "done":
                return StepResult(step=step, status=status, detail=str(err)), err
        return StepResult(step=step, status="done"), None

    async def _fate(
        self, step: Step, error: VendorError, before: Conversation, send: Send
    ) -> Literal["done", "failed", "unknown"]:
        """Tell what became of a step whose call failed."""
        if not error.outcome_unknown:
            return "failed"
        if step.idempotent:
            return "unknown"
        try:
            return "done" if await self.vendor.was_performed(step, before, send) else "failed"
        except VendorError:
            return "unknown"


def _without_ours(conversation: Conversation, results: Sequence[StepResult]) -> Conversation:
    """The same, unassigned if it was we who assigned it to a teammate, before a crash."""
    ours = {a.user for result in results for a in result.step.actions if isinstance(a, Assign) and a.user}
    return conversation.model_copy(update={"assignee": None}) if conversation.assignee in ours else conversation


def _forbidden(action: Action, conversation: Conversation) -> str:
    """Why an action is not taken here, or nothing."""
    if conversation.has_human and isinstance(action, _HANDS_OFF):
        return "a teammate has the conversation"
    if conversation.has_automatic_reply and isinstance(action, Reply):
        return "the customer has an automatic reply already"
    if conversation.is_automatic and isinstance(action, Reply):
        return "the message was sent by a machine"
    return ""


def _skipped(action: Action, conversation: Conversation) -> StepResult:
    return StepResult(step=Step(actions=(action,)), status="skipped", detail=_forbidden(action, conversation))


def _outcome(event: Event, status: Status, reason: str, ledger: Ledger) -> Outcome:
    return Outcome(
        status=status,
        reason=reason,
        key=event.key,
        conversation_id=event.conversation_id,
        verdict=ledger.verdict,
        steps=ledger.steps or (),
    )
