"""One attempt to process an event: fetch ▸ classify ▸ decide ▸ act, then settle the event in the inbox.

All I/O and waiting goes through the port. The sync entry points step these coroutines with a blocking port and no event
loop; the async entry points await them. A lint rule forbids importing asyncio, httpx or time.
"""

import logging
from contextlib import suppress
from datetime import UTC, datetime
from typing import Literal

from triage.actions import Assign, Close
from triage.engine.engine import Engine, describe_missing_text, find_objection, skip
from triage.engine.storage import call_inbox
from triage.engine.transport import Transport
from triage.errors import InboxError, LeaseLost, VendorError
from triage.io.ports import IO
from triage.io.retry import RetryPolicy
from triage.models import Conversation, Event, Job, Message, Outcome, Status, Step, StepResult, Verdict

logger = logging.getLogger(__name__)

ATTEMPTS = 20
"""How often an event is tried. The delays double up to five minutes, so twenty attempts take about an hour."""

_LEASE = 300.0  # seconds; longer than an event can take with all its retries, since nobody extends this lease


class _NotYet(Exception):  # noqa: N818 - it never leaves this module
    """There is no verdict now, and the event can wait for one."""

    def __init__(self, reason: str, retry_after: float) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


async def process(engine: Engine, event: Event | str, io: IO, attempts: int) -> Outcome:
    """Store an event, lease it and make one attempt to process it.

    Args:
        engine: The Router's engine.
        event: The event, or the key of one that is already stored.
        io: The port.
        attempts: How often an event is tried before it is dead-lettered.
    """
    inbox, key = engine.inbox, event if isinstance(event, str) else event.key
    is_known = isinstance(event, str) or not await call_inbox(inbox, io, inbox.add, event)
    if is_known and not engine.is_durable:
        # No worker retries a failed event, so the help desk's next delivery of it does.
        await call_inbox(inbox, io, inbox.redrive, key)
    job = await call_inbox(inbox, io, inbox.lease_key, key, _LEASE)
    if job is None:
        outcome = Outcome(status="duplicate", reason="the message was already handled, or is being handled", key=key)
        engine.observers.notify("received", outcome)
        return outcome
    try:
        return await Attempt(engine, job, io, attempts).run()
    except BaseException:
        if not engine.is_durable:
            # Interrupted, perhaps because the server is shutting down. The next delivery resumes the event.
            with suppress(LeaseLost):
                engine.inbox.dead_letter(job, "interrupted")
        raise


class Attempt:
    """One attempt to process one event.

    Args:
        engine: The Router's engine.
        job: The event's lease.
        io: The port.
        attempts: How often an event is tried before it is dead-lettered.
    """

    def __init__(self, engine: Engine, job: Job, io: IO, attempts: int = ATTEMPTS) -> None:
        self._engine = engine
        self._vendor = engine.vendor
        self._job = job
        self._io = io
        self._retries = RetryPolicy(attempts=attempts, first_delay=2.0, longest_delay=300.0, jitter=0.5)
        self._transport = Transport(
            vendor=engine.vendor,
            auth=engine.auth,
            http=engine.clients.get(io),
            io=io,
            breaker=engine.vendor_breaker,
            tokens=engine.tokens,
            clock=engine.clock,
        )
        self.event = job.event
        self.ledger = job.ledger

    async def run(self) -> Outcome:
        """Resume the event from its ledger, route it and settle it in the inbox.

        Returns:
            The outcome; `failed` if the help desk's API failed.

        Raises:
            InboxError: The ledger could not be written, so the remaining steps were not tried. `LeaseLost` if another
                worker has taken over the event.
            Exception: A defect in this library, an adapter or an HTTP client. The event is retried later.
        """
        self._engine.observers.notify("attempt_started", self.event, self._job.attempts)
        try:
            limit = self._engine.limits.max_per_conversation
            if limit is not None and self._job.handled >= limit:
                reason = f"{self._job.handled} messages of the conversation were already handled: left to people"
                outcome = self._build_outcome("ignored", reason)
            else:
                conversation = await self._vendor.fetch(self.event, self._transport.send)
                outcome = await self._decide(conversation) or await self._run_steps(conversation)
        except (VendorError, _NotYet) as err:
            outcome = self._build_outcome("failed", str(err))
            await self._retry_later(str(err), err.retry_after)
        except InboxError:
            raise
        except Exception as err:
            # Leave out the error's own text, which may quote the customer.
            outcome = self._build_outcome("failed", f"a defect: {type(err).__name__}")
            await self._retry_later(outcome.reason)
            self._engine.observers.notify("settled", outcome)
            raise
        else:
            await call_inbox(self._engine.inbox, self._io, self._engine.inbox.finish, self._job, outcome, self.ledger)
        self._engine.observers.notify("settled", outcome)
        return outcome

    # Deciding

    async def _decide(self, conversation: Conversation) -> Outcome | None:
        """Get a verdict and plan the steps, unless an earlier attempt did. Return an outcome to stop here."""
        latest = conversation.latest
        if latest is None:
            return self._build_outcome("ignored", "the conversation has no message from a customer")
        verdict = self.ledger.verdict
        if verdict is None:
            visible = conversation.last_turns(self._engine.context)
            verdict = await self._get_verdict(visible, latest)
            self.ledger = self.ledger.model_copy(update={"conversation": visible, "verdict": verdict})
        if self.ledger.steps is None:
            self.ledger = self._engine.plan(self.ledger, verdict, conversation)
            for result in self.ledger.steps or ():
                if result.status != "pending":
                    self._engine.observers.notify("step_finished", self.event, result)
        return None

    async def _get_verdict(self, conversation: Conversation, latest: Message) -> Verdict:
        """Return a verdict, a fallback verdict if the classifier cannot give one."""
        if not latest.text:
            return self._engine.fall_back("no_text", describe_missing_text(latest))
        inbox, budget = self._engine.inbox, self._engine.limits.daily_usd
        today = f"spent:{datetime.fromtimestamp(self._engine.clock(), UTC):%Y-%m-%d}"
        if budget is not None and await call_inbox(inbox, self._io, inbox.get_spending, today) >= budget:
            return self._engine.fall_back("over_budget", f"the daily budget of {budget:g} USD for verdicts is spent")
        breaker = self._engine.classifier_breaker
        if wait := await breaker.acquire(self._io):
            reason = f"the classifier was down and is not called for another {wait:.0f} s"
            verdict = self._engine.fall_back("unavailable", reason)
        else:
            verdict = await self._engine.classify(conversation, self._io)
            await (breaker.record_failure if verdict.fallback_reason == "unavailable" else breaker.record_success)(
                self._io
            )
        if budget is not None and verdict.cost_usd:
            await call_inbox(inbox, self._io, inbox.add_spending, today, verdict.cost_usd)
        must_wait = verdict.fallback_reason == "unavailable" and self._engine.limits.without_verdict == "wait"
        if must_wait and self._retries.next_delay(self._job.attempts) is not None:
            raise _NotYet(verdict.reason, await breaker.retry_after(self._io))
        return verdict

    # Acting

    async def _run_steps(self, conversation: Conversation) -> Outcome:
        """Run the steps in order, up to the first that fails, and return the outcome.

        The ledger is recorded before each step. The result of the last step is recorded when the event is settled.
        """
        # When looking for a message with an unknown outcome, messages from before the first step must not match.
        earlier = tuple(message for message in conversation.messages if message.id in self.ledger.message_ids)
        before = conversation.model_copy(update={"messages": earlier})
        # Ignore an assignment to a teammate that an earlier attempt made before it was interrupted.
        actions = [action for result in self.ledger.steps or () for action in result.step.actions]
        if conversation.assignee in {action.user for action in actions if isinstance(action, Assign) and action.user}:
            conversation = conversation.model_copy(update={"assignee": None})
        for number, result in enumerate(self.ledger.steps or ()):
            step = await self._prepare(number, result, conversation, before)
            if step is None:
                continue
            try:
                await self._vendor.perform(step, conversation, self._transport.send)
            except VendorError as err:
                if not await self._took_effect(number, step, err, before):
                    raise
            self._set_result(number, StepResult(step=step, status="done"))
        return self._build_outcome()

    async def _prepare(
        self, number: int, result: StepResult, conversation: Conversation, before: Conversation
    ) -> Step | None:
        """Record a step as about to be performed and return its allowed actions, or None if nothing remains to do."""
        if result.status in ("done", "skipped", "planned"):
            return None
        # An earlier attempt was interrupted while it performed a step that must not be repeated.
        must_look = result.status == "unknown" and not result.step.idempotent
        if must_look and await self._vendor.was_performed(result.step, before, self._transport.send):
            self._set_result(number, StepResult(step=result.step, status="done"))
            return None
        allowed = tuple(action for action in result.step.actions if not find_objection(action, conversation))
        if not allowed:
            self._set_result(number, skip(result.step.actions, conversation))
            return None
        # The outcome is unknown until the help desk confirms the step, so this is what a crash must leave behind.
        step = Step(actions=allowed)
        self._set_result(number, StepResult(step=step, status="unknown"))
        await call_inbox(self._engine.inbox, self._io, self._engine.inbox.record, self._job, self.ledger)
        return step

    async def _took_effect(self, number: int, step: Step, error: VendorError, before: Conversation) -> bool:
        """Return whether a step took effect although its call failed. If not, record its result."""
        status: Literal["failed", "unknown"] = "failed"
        if error.outcome_unknown:
            status = "unknown"
            if not step.idempotent:
                with suppress(VendorError):
                    if await self._vendor.was_performed(step, before, self._transport.send):
                        return True
                    status = "failed"
        self._set_result(number, StepResult(step=step, status=status, detail=str(error)))
        return False

    def _set_result(self, number: int, result: StepResult) -> None:
        results = list(self.ledger.steps or ())
        results[number] = result
        self.ledger = self.ledger.model_copy(update={"steps": tuple(results)})
        if result.status != "unknown" or result.detail:
            self._engine.observers.notify("step_finished", self.event, result)

    # Settling

    def _build_outcome(self, status: Status | None = None, reason: str = "") -> Outcome:
        """Build the outcome of the attempt. If no status is passed, derive it from the results of the steps."""
        results = self.ledger.steps or ()
        if status is None:
            status, reason = self.ledger.status, "dry run" if self._engine.dry_run else ""
            tried = [result for result in results if result.status != "skipped"]
            if results and not tried:
                status, reason = "ignored", results[0].detail
            elif status == "routed" and any(isinstance(a, Close) for result in tried for a in result.step.actions):
                status = "closed"
        return Outcome(
            status=status,
            reason=reason,
            key=self.event.key,
            conversation_id=self.event.conversation_id,
            verdict=self.ledger.verdict,
            steps=results,
        )

    async def _retry_later(self, error: str, retry_after: float | None = None) -> None:
        """Return the event to the inbox for another attempt, or dead-letter it after the last one."""
        inbox = self._engine.inbox
        delay = self._retries.next_delay(self._job.attempts, retry_after=retry_after)
        if delay is not None:
            await call_inbox(inbox, self._io, inbox.retry, self._job, error, delay, self.ledger)
            return
        if self._engine.is_durable:  # otherwise the log line of the outcome suffices
            attempts = self._job.attempts
            logger.error("%s was dead-lettered after %s attempts: %s", self.event.key, attempts, error)
        await call_inbox(inbox, self._io, inbox.dead_letter, self._job, error, self.ledger)
