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
from triage.models import Conversation, Event, Outcome, Request, Response, Status, Step, StepResult, Verdict
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


@dataclass(frozen=True)
class Pipeline:
    """The settings of a Router, as far as processing needs them."""

    vendor: Vendor
    buckets: Buckets
    review: Sequence[Action] | None
    context: int
    dry_run: bool

    async def process(self, event: Event, ports: Ports) -> Outcome:
        """Route an event.

        Args:
            event: A message of a customer.
            ports: The I/O.

        Returns:
            What became of it. A vendor that fails is an outcome too; what is raised is a defect or a cancellation.
        """
        if not await ports.claim(event.key):
            return _outcome(event, "duplicate", "the message was handled before, or is being handled")
        results: list[StepResult] = []
        outcome: Outcome | None = None
        try:
            outcome = await self._route(event, ports, results)
            return outcome
        finally:
            # Also where it was cancelled: the next delivery may begin anew, unless that would do something twice.
            if (outcome is None or outcome.status == "failed") and not any(map(_holds, results)):
                await ports.release(event.key)

    async def _route(self, event: Event, ports: Ports, results: list[StepResult]) -> Outcome:
        async def send(request: Request) -> Response:
            return await _http.send(request, self.vendor, ports)

        try:
            conversation = await self.vendor.fetch(event, send)
        except VendorError as err:
            return _outcome(event, "failed", str(err))
        if conversation.latest is None:
            return _outcome(event, "ignored", "the conversation holds no message of a customer")

        verdict = await self._classify(conversation, ports)
        decision = policy.decide(verdict, self.buckets, self.review)
        actions = policy.render(decision.actions, verdict, conversation, ports.now())
        permitted = [action for action in actions if not _forbidden(action, conversation)]
        skipped = [_skipped(action, conversation) for action in actions if _forbidden(action, conversation)]
        steps = self.vendor.plan(permitted)

        if self.dry_run or not decision.act:
            results += [StepResult(step=step, status="planned") for step in steps]
            error = None
        else:
            error = await self._act(steps, conversation, send, results)
        results += skipped
        if error:
            return _outcome(event, "failed", str(error), verdict, results)
        if skipped and not steps:
            return _outcome(event, "ignored", skipped[0].detail, verdict, results)
        closes = decision.status == "routed" and any(isinstance(action, Close) for action in permitted)
        status: Status = "closed" if closes else decision.status
        return _outcome(event, status, "dry run" if self.dry_run else "", verdict, results)

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

    async def _act(
        self, steps: Sequence[Step], conversation: Conversation, send: Send, results: list[StepResult]
    ) -> VendorError | None:
        """Take the steps in order up to the first that fails; `results` tells of each."""
        for number, step in enumerate(steps):
            # Until the vendor confirms it, nobody knows: what a cancellation leaves behind is the truth.
            results.append(StepResult(step=step, status="unknown"))
            try:
                await self.vendor.perform(step, conversation, send)
            except VendorError as err:
                status = await self._fate(step, err, conversation, send)
                results[-1] = StepResult(step=step, status=status, detail="" if status == "done" else str(err))
                if status != "done":
                    results += [StepResult(step=rest, status="pending") for rest in steps[number + 1 :]]
                    return err
            else:
                results[-1] = StepResult(step=step, status="done")
        return None

    async def _fate(
        self, step: Step, error: VendorError, conversation: Conversation, send: Send
    ) -> Literal["done", "failed", "unknown"]:
        """Tell what became of a step whose call failed."""
        if not error.fate_unknown:
            return "failed"
        if step.idempotent:
            return "unknown"
        try:
            return "done" if await self.vendor.performed(step, conversation, send) else "failed"
        except VendorError:
            return "unknown"


def _holds(result: StepResult) -> bool:
    """True if the event must not be begun anew after this."""
    return result.status == "done" or (result.status == "unknown" and not result.step.idempotent)


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


def _outcome(
    event: Event, status: Status, reason: str, verdict: Verdict | None = None, results: Sequence[StepResult] = ()
) -> Outcome:
    return Outcome(
        status=status,
        reason=reason,
        key=event.key,
        conversation_id=event.conversation_id,
        verdict=verdict,
        steps=tuple(results),
    )
