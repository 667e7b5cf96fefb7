"""What becomes of an event, told once: claim ▸ fetch ▸ classify ▸ decide ▸ act.

Nothing here does I/O or waits: all of that is behind `Ports`. The Router's sync door steps this coroutine with blocking
ports and no event loop, the async door awaits it. Importing asyncio, httpx or time is banned here by lint.
"""

import logging
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from triage import _http, policy
from triage.actions import Action, Assign, Close, MarkSpam, Reply, Snooze
from triage.errors import ClassifierError, ConfigurationError, VendorError
from triage.models import Conversation, Event, Ledger, Outcome, Request, Response, Status, Step, StepResult, Verdict
from triage.policy import Buckets
from triage.protocols import Send, Vendor

logger = logging.getLogger("triage")

_HANDS_OFF = (Assign, Reply, Snooze, Close, MarkSpam)
"""What is not done to a conversation that a human has: it would speak for them or take it away. Labels are fine."""


class Ports(_http.Wire, Protocol):
    """The I/O of one door."""

    async def claim(self, key: str) -> bool:
        """Take the event. False if it is taken already."""
        ...

    async def release(self, key: str) -> None:
        """Give it back."""
        ...

    async def classify(self, conversation: Conversation, buckets: Buckets) -> Verdict:
        """Ask the classifier. Raises whatever it raises."""
        ...

    async def record(self, ledger: Ledger) -> None:
        """Make the ledger survive a crash, where there is an inbox. Raises `InboxError`."""
        ...


@dataclass(frozen=True)
class Pipeline:
    """The settings of a Router, as far as processing needs them."""

    vendor: Vendor
    buckets: Buckets
    review: Sequence[Action] | None
    context: int
    dry_run: bool

    async def process(self, event: Event, ports: Ports, ledger: Ledger | None = None) -> Outcome:
        """Route an event, from where the ledger says that it stands.

        Args:
            event: A message of a customer.
            ports: The I/O.
            ledger: What was done before; it is kept up to date.

        Returns:
            What became of it. A vendor that fails is an outcome too; what is raised is a defect or a cancellation.
        """
        if not await ports.claim(event.key):
            return _outcome(event, "duplicate", "the message was handled before, or is being handled", Ledger())
        ledger = ledger or Ledger()
        outcome: Outcome | None = None
        try:
            outcome = await self._route(event, ports, ledger)
            return outcome
        finally:
            # Also where it was cancelled: the next delivery may begin anew, unless that would do something twice.
            if (outcome is None or outcome.status == "failed") and not any(map(_holds, ledger.steps or ())):
                await ports.release(event.key)

    async def _route(self, event: Event, ports: Ports, ledger: Ledger) -> Outcome:
        async def send(request: Request) -> Response:
            return await _http.send(request, self.vendor, ports)

        try:
            conversation = await self.vendor.fetch(event, send)
        except VendorError as err:
            return _outcome(event, "failed", str(err), ledger)
        if conversation.latest is None:
            return _outcome(event, "ignored", "the conversation holds no message of a customer", ledger)

        if ledger.verdict is None:
            ledger.verdict = await self._classify(conversation, ports)
            await ports.record(ledger)
        if ledger.steps is None:
            self._plan(ledger, ledger.verdict, conversation, ports.now())
        error = await self._act(ledger, conversation, send, ports)
        if error:
            return _outcome(event, "failed", str(error), ledger)
        results = ledger.steps or []
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
        ledger.steps = [StepResult(step=step, status=status) for step in self.vendor.plan(permitted)] + skipped

    async def _classify(self, conversation: Conversation, ports: Ports) -> Verdict:
        """Get a verdict, whatever happens: degrade, do not drop."""
        latest = conversation.latest
        if latest is not None and not latest.text:
            return self._fallback(f"the message has no text, only {len(latest.attachments)} attachment(s)")
        try:
            verdict = await ports.classify(conversation.tail(self.context), self.buckets)
            bucket = self.buckets.get(verdict.bucket)
        except Exception as err:  # noqa: BLE001 - a classifier is the user's code, or a service that may be down
            # Not in the error's own words, unless they are ours: they may quote the customer.
            place = traceback.extract_tb(err.__traceback__)[-1]
            told = f": {err}" if isinstance(err, ConfigurationError | ClassifierError) else ""
            logger.error(  # noqa: TRY400 - for the same reason
                "the classifier raised %s%s at %s:%s", type(err).__name__, told, place.filename, place.lineno
            )
            return self._fallback(f"the classifier raised {type(err).__name__}{told}")
        if bucket is None:
            return self._fallback("the classifier named none of the buckets")
        return verdict.model_copy(update={"bucket": bucket.name})

    def _fallback(self, reason: str) -> Verdict:
        return Verdict(bucket=self.buckets.fallback.name, confidence=0.0, reason=reason, fallback=True)

    async def _act(self, ledger: Ledger, conversation: Conversation, send: Send, ports: Ports) -> VendorError | None:
        """Take the steps in order up to the first that fails; the ledger tells of each."""
        results = ledger.steps or []
        # What is looked for after an unknown fate must not be taken for something that was there before.
        there = tuple(message for message in conversation.messages if message.id in ledger.known)
        before = conversation.model_copy(update={"messages": there})
        conversation = _without_ours(conversation, results)
        for number, result in enumerate(results):
            if result.status in ("done", "skipped", "planned"):
                continue
            if result.status == "unknown" and not result.step.idempotent:
                # Another process died, or gave up, while it took this step.
                try:
                    done = await self.vendor.performed(result.step, before, send)
                except VendorError as err:
                    return err
                if done:
                    results[number] = StepResult(step=result.step, status="done")
                    await ports.record(ledger)
                    continue
            step = Step(actions=tuple(a for a in result.step.actions if not _forbidden(a, conversation)))
            if not step.actions:
                detail = _forbidden(result.step.actions[0], conversation)
                results[number] = StepResult(step=result.step, status="skipped", detail=detail)
                continue
            # Until the vendor confirms it, nobody knows: what a cancellation or a crash leaves behind is the truth.
            results[number] = StepResult(step=step, status="unknown")
            await ports.record(ledger)
            results[number], error = await self._take(step, conversation, before, send)
            await ports.record(ledger)
            if error:
                return error
        return None

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
        if not error.fate_unknown:
            return "failed"
        if step.idempotent:
            return "unknown"
        try:
            return "done" if await self.vendor.performed(step, before, send) else "failed"
        except VendorError:
            return "unknown"


def _holds(result: StepResult) -> bool:
    """True if the event must not be begun anew after this."""
    return result.status == "done" or (result.status == "unknown" and not result.step.idempotent)


def _without_ours(conversation: Conversation, results: Sequence[StepResult]) -> Conversation:
    """The same, unassigned if it was we who assigned it to a teammate, before a crash."""
    ours = {a.user for result in results for a in result.step.actions if isinstance(a, Assign) and a.user}
    return conversation.model_copy(update={"assignee": None}) if conversation.assignee in ours else conversation


def _forbidden(action: Action, conversation: Conversation) -> str:
    """Why an action is not taken here, or nothing."""
    if conversation.taken and isinstance(action, _HANDS_OFF):
        return "a teammate has the conversation"
    if conversation.answered and isinstance(action, Reply):
        return "the customer has an automatic reply already"
    if conversation.automatic and isinstance(action, Reply):
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
        steps=tuple(ledger.steps or ()),
    )
