"""One attempt to process an event: fetch ▸ classify ▸ decide ▸ act, then settle the event in the inbox.

All I/O and waiting goes through the port. The sync entry points step these coroutines with a blocking port and no event
loop; the async entry points await them. A lint rule forbids importing asyncio, httpx or time.
"""

import math
from contextlib import suppress
from datetime import UTC, datetime

from triage.actions import ROUTING, Close, MarkSpam, Reply
from triage.engine.breaker import LONGEST_PAUSE
from triage.engine.engine import Engine
from triage.engine.history import MOST_ENTRIES, History
from triage.engine.lease import Lease
from triage.engine.observe import build_fields
from triage.engine.offload import run_adapter
from triage.engine.rules import Objection, find_common_reason, find_objections, is_late
from triage.engine.steps import StepRunner
from triage.engine.storage import call_inbox
from triage.engine.transport import Transport
from triage.errors import (
    ConfigurationError,
    ConversationIgnored,
    InboxError,
    LeaseLost,
    MessageUnconfirmed,
    VendorError,
)
from triage.inbox.base import INTERRUPTED
from triage.io.overload import report_overload
from triage.io.ports import IO
from triage.io.retry import RetryPolicy
from triage.log import bind_fields, get_logger
from triage.models import Conversation, Event, Job, Ledger, Outcome, Status, Verdict

logger = get_logger(__name__)

ATTEMPTS = 20
"""How often an event is tried. The delays double up to five minutes, so twenty attempts take about an hour."""

_LEASE = 300.0  # seconds; longer than an event can take with all its retries, since nobody extends this lease
_LONGEST_DEBOUNCE = 10  # times the debounce: a customer who never stops writing is not put off forever
_CONFIRMATION = 120.0  # seconds in which a message with an unknown outcome appears, if it was sent
_NOT_FOUND_GRACE = 120.0  # seconds in which a help desk's API may not find a conversation that it has just reported


class _NotYet(Exception):  # noqa: N818 - it never leaves this module
    """There is no verdict now, and the event can wait for one."""

    def __init__(self, reason: str, retry_after: float) -> None:
        super().__init__(reason)
        self.retry_after = retry_after
        self.is_rejection = False


async def process(engine: Engine, event: Event | str, io: IO, attempts: int) -> Outcome:
    """Store an event, lease it and make one attempt to process it.

    Args:
        engine: The Router's engine.
        event: The event, or the key of one that is already stored.
        io: The port.
        attempts: How often an event is tried before it is dead-lettered.
    """
    inbox, key = engine.inbox, event if isinstance(event, str) else event.key
    is_known = isinstance(event, str) or not await call_inbox(inbox, io, engine.store, event)
    if is_known and not engine.is_durable:
        # No worker retries a failed event, so the help desk's next delivery of it does.
        await call_inbox(inbox, io, inbox.redrive, key)
    job = await call_inbox(inbox, io, inbox.lease_key, key, _LEASE)
    if job is None:
        outcome = _describe_unleased(key, await _find_event(engine, event, io), is_known=is_known)
        engine.observers.notify("received", outcome)
    else:
        try:
            outcome = await Attempt(engine, job, io, attempts).run()
        except BaseException:
            if not engine.is_durable:
                # Interrupted, perhaps because the server is shutting down. The next delivery resumes the event.
                with suppress(LeaseLost):
                    inbox.dead_letter(job, "interrupted")
            raise
    if not engine.is_durable:
        await _process_waiting(engine, key, io)
    return outcome


async def _find_event(engine: Engine, event: Event | str, io: IO) -> Event | None:
    """Return the event of a key, for the log line; None if it was removed, or cannot be read."""
    if isinstance(event, Event):
        return event
    entry = await call_inbox(engine.inbox, io, engine.inbox.get_entry, event)
    return entry.event if entry else None


def _describe_unleased(key: str, event: Event | None, *, is_known: bool) -> Outcome:
    status: Status = "duplicate" if is_known else "accepted"
    reason = "the message was already handled, or is being handled"
    return Outcome(
        status=status,
        reason=reason if is_known else "it waits for an earlier message of its conversation",
        key=key,
        conversation_id=event.conversation_id if event else None,
        event_id=event.event_id if event else None,
    )


async def _process_waiting(engine: Engine, key: str, io: IO) -> None:
    """Process the messages of the conversation that arrived meanwhile, because there is no worker to do it."""
    for entry in reversed(engine.inbox.list_related(key, MOST_ENTRIES)):
        job = engine.inbox.lease_key(entry.key, _LEASE) if entry.state == "ready" else None
        if job is not None:
            await Attempt(engine, job, io, 1).run()


class Attempt:
    """One attempt to process one event.

    Args:
        engine: The Router's engine.
        job: The event's lease.
        io: The port.
        attempts: How often an event is tried before it is dead-lettered.

    Attributes:
        job: The event's lease.
        event: The event.
        characters: How many characters the conversation has, 0 until it is read.
    """

    def __init__(self, engine: Engine, job: Job, io: IO, attempts: int = ATTEMPTS) -> None:
        self._engine = engine
        self.job = job
        self._io = io
        self._attempts = attempts
        self._retries = RetryPolicy(attempts=attempts, first_delay=2.0, longest_delay=300.0, jitter=0.5)
        self._lease = Lease(engine.inbox, job, io, engine.clock)
        self._send = Transport(
            vendor=engine.vendor,
            auth=engine.auth,
            clients=engine.clients,
            io=io,
            breaker=engine.vendor_breaker,
            tokens=engine.tokens,
            clock=engine.clock,
            lease=self._lease,
        ).send
        self._steps = StepRunner(engine, job, io, self._send, self._lease)
        self._warnings = self._steps.warnings
        self.event = job.event
        self.characters = 0

    @property
    def ledger(self) -> Ledger:
        """The progress of the event."""
        return self._steps.ledger

    @ledger.setter
    def ledger(self, ledger: Ledger) -> None:
        self._steps.ledger = ledger

    async def run(self) -> Outcome:
        """Resume the event from its ledger, route it and settle it in the inbox.

        Returns:
            The outcome; `failed` if the help desk's API failed.

        Raises:
            InboxError: The ledger could not be written, so the remaining steps were not tried. `LeaseLost` if another
                worker has taken over the event.
            Exception: A defect in this library, an adapter or an HTTP client. The event is retried later.
        """
        with bind_fields(build_fields(self.event)):
            return await (self._give_up() if self.job.attempts > self._attempts else self._process())

    async def _process(self) -> Outcome:
        self._engine.observers.notify("attempt_started", self.event, self.job.attempts)
        try:
            history = await self._read_history()
            outcome = self._find_early_outcome(history)
            if outcome is None:
                conversation = self._interpret(await self._fetch(), history)
                self.characters = sum(len(message.text) + len(message.quoted) for message in conversation.messages)
                self.ledger = self.ledger.model_copy(update={"customer": conversation.customer})
                outcome = await self._decide(conversation, history)
                if outcome is None:
                    await self._steps.run(conversation)
                    outcome = self._build_outcome()
        except (VendorError, _NotYet) as err:
            outcome = await self._fail(err)
        except ConversationIgnored as err:
            outcome = self._build_outcome("ignored", str(err))
            await self._settle(outcome)
        except InboxError:
            raise
        except Exception as err:
            # Leave out the error's own text, which may quote the customer, unless we wrote it.
            reason = str(err) if isinstance(err, ConfigurationError) else f"a defect: {type(err).__name__}"
            outcome = self._build_outcome("failed", reason)
            await self._retry_later(outcome)
            self._engine.observers.notify("settled", outcome)
            raise
        else:
            await self._settle(outcome)
        self._engine.observers.notify("settled", outcome)
        return outcome

    async def _give_up(self) -> Outcome:
        """Dead-letter an event whose last attempt was interrupted, because it may have killed its worker."""
        outcome = self._build_outcome("failed", INTERRUPTED)
        await self._dead_letter(outcome)
        self._engine.observers.notify("settled", outcome)
        return outcome

    async def _fetch(self) -> Conversation:
        vendor, event = self._engine.vendor, self.event
        return await run_adapter(lambda send: vendor.fetch(event, send), self._send, self._io, size=len(event.raw))

    # Before the conversation is read

    async def _read_history(self) -> History:
        inbox, limit = self._engine.inbox, self._engine.history_limit
        entries = await call_inbox(inbox, self._io, inbox.list_related, self.event.key, limit)
        return History(entries, self.job.received)

    def _find_early_outcome(self, history: History) -> Outcome | None:
        """Return an outcome if the conversation need not be read."""
        if self.ledger.verdict is not None:
            return None
        if self._is_superseded(history):
            return self._build_outcome("superseded", "a newer message of the conversation covers it")
        reason = self._find_limit(history)
        if reason:
            self._warnings.append(reason)
            return self._build_outcome("ignored", reason)
        return None

    def _is_superseded(self, history: History) -> bool:
        """Return whether a newer message of the conversation waits, whose verdict will cover this one."""
        newer = history.newer
        longest = self._engine.debounce * _LONGEST_DEBOUNCE
        return newer is not None and (not longest or newer.received - history.waiting_since < longest)

    def _find_limit(self, history: History) -> str:
        """Return why the conversation is left to people, because too much happened in it, or an empty string."""
        limit = self._engine.limits.conversation_rate
        if limit is None:
            return ""
        most, period = limit
        handled = history.count_handled(self._engine.clock() - period)
        reason = f"{handled} messages of the conversation were handled within {period:g} s: left to people"
        return reason if handled >= most else ""

    def _may_have_closed(self) -> bool:
        """Return whether an earlier attempt may have closed the conversation. Closing it again is harmless."""
        unknown = (result.step for result in self.ledger.steps or () if result.status == "unknown")
        return any(isinstance(action, Close | MarkSpam) for step in unknown for action in step.actions)

    # Deciding

    def _interpret(self, conversation: Conversation, history: History) -> Conversation:
        """Add to a conversation what only we know: which messages are ours, and that we may have closed it."""
        written = history.written.union(self.ledger.written)
        conversation = self._engine.recognize_own_messages(conversation, written)
        return conversation.model_copy(update={"is_closed": False}) if self._may_have_closed() else conversation

    async def _decide(self, conversation: Conversation, history: History) -> Outcome | None:
        """Get a verdict and plan the steps, unless an earlier attempt did. Return an outcome to stop here."""
        if self.ledger.steps is not None and self.job.attempts > 1:
            return None
        objections = find_objections(conversation, self.event, self._engine.limits, self._engine.clock())
        verdict = self.ledger.verdict
        # After a redrive, ask again for a verdict that was missing.
        if verdict is None or verdict.fallback:
            if reason := self._find_reason_to_ignore(conversation, objections):
                return self._build_outcome("ignored", reason)
            judged = tuple(message.id for message in conversation.turn)
            if history.judged.issuperset(judged):
                return self._build_outcome("superseded", "an earlier verdict already covers the message")
            visible = conversation.last_turns(self._engine.context)
            verdict = await self._get_verdict(visible)
            self.ledger = self.ledger.model_copy(update={"conversation": visible, "verdict": verdict, "judged": judged})
        since = self._engine.clock() - self._engine.limits.longest_hold
        previous = history.find_bucket(since, conversation.closed_at) or self._engine.find_bucket(conversation)
        decision = self._engine.decide(verdict)
        if decision.would_reply:
            objections += await self._check_reply_limit(conversation)
            if history.has_unconfirmed_reply and getattr(self._engine.vendor, "delivers_later", False):
                objections.append(Objection("an earlier reply may still be sent", (Reply,)))
        self.ledger = self._engine.plan(self.ledger, verdict, decision, conversation, objections, previous)
        for result in self.ledger.steps or ():
            if result.status != "pending":
                self._engine.observers.notify("step_finished", self.event, result)
        return None

    def _find_reason_to_ignore(self, conversation: Conversation, objections: list[Objection]) -> str:
        """Return why no verdict is requested, or an empty string."""
        engine = self._engine
        if conversation.latest is None:
            return "the conversation has no message from a customer"
        if conversation.is_empty:
            return "the message is empty"
        ignored = engine.ignore_tags.intersection(tag.casefold() for tag in conversation.tags)
        if ignored:
            return f"the conversation has the tag {min(ignored)!r}"
        if not engine.accepts(conversation):
            return "the Router's `when` function rejected the conversation"
        if conversation.is_closed and is_late(conversation, self.event, engine.limits, engine.clock()):
            return f"the conversation is closed, and the message is older than {engine.limits.max_age}"
        return find_common_reason(engine.all_actions, objections)

    async def _get_verdict(self, conversation: Conversation) -> Verdict:
        """Return a verdict, a fallback verdict if the classifier cannot give one."""
        engine = self._engine
        if not conversation.has_text:
            return engine.fall_back_without_text(conversation)
        inbox, budget = engine.inbox, engine.limits.daily_usd
        today = f"spent:{datetime.fromtimestamp(engine.clock(), UTC):%Y-%m-%d}"
        if budget is not None and await call_inbox(inbox, self._io, inbox.get_spending, today) >= budget:
            return engine.fall_back("over_budget", f"the daily budget of {budget:g} USD for verdicts is spent")
        breaker = engine.classifier_breaker
        if wait := await breaker.acquire(self._io):
            reason = f"the classifier was down and is not called for another {wait:.0f} s"
            verdict = engine.fall_back("unavailable", reason)
        else:
            verdict = await engine.classify(conversation, self._io)
            if verdict.fallback_reason == "unavailable":
                report_overload()
                await breaker.record_failure(self._io, pause=verdict.retry_after or 0.0)
            else:
                await breaker.record_success(self._io)
        if budget is not None and verdict.paid_usd:
            await call_inbox(inbox, self._io, inbox.add_spending, today, verdict.paid_usd)
        if budget is not None and verdict.paid_usd is None and not verdict.fallback:
            self._warnings.append("the verdict has no cost_usd, so the daily budget does not include it")
        if verdict.fallback_reason == "unavailable" and self._may_wait():
            raise _NotYet(verdict.reason, min(await breaker.retry_after(self._io), self._remaining_wait))
        return verdict

    @property
    def _remaining_wait(self) -> float:
        """The seconds for which the event may still wait for a classifier that is unavailable."""
        return self._engine.limits.longest_wait - (self._engine.clock() - self.job.received)

    def _may_wait(self) -> bool:
        """Return whether the event can wait for a classifier that is unavailable."""
        is_last = self._retries.next_delay(self.job.attempts) is None
        return self._engine.is_durable and not is_last and self._remaining_wait > 0

    async def _check_reply_limit(self, conversation: Conversation) -> list[Objection]:
        """Return an objection if the customer has received too many automatic replies, in whatever conversation."""
        engine, limit, customer = self._engine, self._engine.limits.customer_rate, conversation.customer
        if limit is None or not (customer.id or customer.email):
            return []
        most, period = limit
        inbox = engine.inbox
        replies = await call_inbox(inbox, self._io, inbox.count_replies, engine.owner, customer, period)
        if replies < most:
            return []
        reason = f"the customer got {replies} automatic replies within {period:g} s"
        self._warnings.append(reason)
        return [Objection(reason, (Reply,))]

    # Settling

    def _build_outcome(self, status: Status | None = None, reason: str = "", *, retryable: bool = False) -> Outcome:
        """Build the outcome of the attempt. If no status is passed, derive it from the results of the steps."""
        results = self.ledger.steps or ()
        if status is None:
            status, reason = self._summarize()
        return Outcome(
            status=status,
            reason=reason,
            key=self.event.key,
            conversation_id=self.event.conversation_id,
            event_id=self.event.event_id,
            verdict=self.ledger.verdict,
            steps=results,
            warnings=tuple(self._warnings),
            retryable=retryable,
        )

    def _summarize(self) -> tuple[Status, str]:
        """Return the status and the reason that follow from the results of the steps."""
        results = self.ledger.steps or ()
        rejected = [result for result in results if result.status == "rejected"]
        if rejected:
            is_routed = not any(isinstance(action, ROUTING) for result in rejected for action in result.step.actions)
            return ("partial" if is_routed else "failed"), "; ".join(result.detail for result in rejected)
        tried = [result for result in results if result.status != "skipped"]
        if results and not tried:
            return "ignored", results[0].detail
        if self._engine.dry_run:
            return "planned", "dry run"
        if any(result.status == "done" and result.detail for result in tried):
            return "partial", "; ".join(result.detail for result in tried if result.detail)
        if self.ledger.status == "routed" and any(isinstance(a, Close) for r in tried for a in r.step.actions):
            return "closed", ""
        return self.ledger.status, ""

    async def _fail(self, error: VendorError | _NotYet) -> Outcome:
        """Settle an event whose attempt failed: retry it later, or give up if that is pointless."""
        nothing_done = all(
            result.status in ("failed", "pending", "skipped", "planned") for result in self.ledger.steps or ()
        )
        # An operator may correct a token or a permission, but not before the help desk delivers the webhook again.
        needs_operator = isinstance(error, VendorError) and error.status in (401, 402, 403)
        if isinstance(error, MessageUnconfirmed):
            return await self._look_again_later(error)
        if error.is_rejection and not self._may_appear(error):
            outcome = self._build_outcome("failed", str(error))
            await self._dead_letter(outcome)
        else:
            outcome = self._build_outcome("failed", str(error), retryable=nothing_done and not needs_operator)
            await self._retry_later(outcome, error.retry_after)
        return outcome

    async def _look_again_later(self, error: MessageUnconfirmed) -> Outcome:
        """Look for a message soon, because the conversation waits. Dead-letter the event if it does not appear."""
        now, since = self._engine.clock(), self.ledger.unconfirmed_since
        if since is None or since > now:  # the first time, or the clock was set back
            since = now
            self.ledger = self.ledger.model_copy(update={"unconfirmed_since": now})
        outcome = self._build_outcome("failed", str(error))
        if now - since < _CONFIRMATION:
            await self._retry_later(outcome, longest=_CONFIRMATION / 4)
        else:
            await self._dead_letter(outcome)
        return outcome

    def _may_appear(self, error: VendorError | _NotYet) -> bool:
        """Return whether a conversation that was not found may be found a moment later."""
        is_missing = isinstance(error, VendorError) and error.status == 404 and not error.final
        at = self.event.occurred_at
        written = self.job.received if at is None else min(at.timestamp(), self.job.received)
        return is_missing and self._engine.clock() - written < _NOT_FOUND_GRACE

    async def _settle(self, outcome: Outcome) -> None:
        if outcome.status == "failed":
            await self._dead_letter(outcome)
            return
        await self._lease.write(self._engine.inbox.finish, self.job, outcome, self.ledger)

    async def _retry_later(
        self, outcome: Outcome, retry_after: float | None = None, *, longest: float = math.inf
    ) -> None:
        """Return the event to the inbox for another attempt, or dead-letter it after the last one."""
        inbox = self._engine.inbox
        pause = min(retry_after or 0.0, LONGEST_PAUSE)
        delay = self._retries.next_delay(self.job.attempts, retry_after=pause)
        if delay is None:
            await self._dead_letter(outcome)
        else:
            await self._lease.write(inbox.retry, self.job, outcome.reason, min(delay, longest), self.ledger)

    async def _dead_letter(self, outcome: Outcome) -> None:
        if self._engine.is_durable:  # otherwise the log line of the outcome suffices
            logger.error(
                "the event was dead-lettered after %s attempts: %s",
                min(self.job.attempts, self._attempts),
                outcome.reason,
            )
        inbox, reason = self._engine.inbox, outcome.reason
        await self._lease.write(inbox.dead_letter, self.job, reason, self.ledger, outcome)
