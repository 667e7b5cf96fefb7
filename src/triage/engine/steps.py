"""Run the planned steps of an event, and record each result in the ledger."""

from contextlib import suppress
from functools import partial
from typing import Literal

from triage.actions import ROUTING, Assign, Close, Run
from triage.engine.engine import Engine
from triage.engine.lease import Lease
from triage.engine.offload import run_adapter
from triage.engine.rules import Objection, explain, find_common_reason, find_objections
from triage.errors import ConfigurationError, TriageError, VendorError, describe_location
from triage.io.ports import IO, is_async_function
from triage.models import Conversation, Job, Performed, RunContext, Step, StepResult
from triage.vendors.base import Send

_GONE = frozenset({404, 410})  # the conversation is gone, whatever the action
_SETTLED = ("done", "rejected", "skipped", "planned")
_LABELS_ONLY = frozenset({402, 403, 406, 409, 423})
"""Rejections that are final for a label, although an operator may correct their cause."""


class StepRunner:
    """Runs the steps of an event.

    Args:
        engine: The Router's engine.
        job: The event's lease.
        io: The port.
        send: Makes the calls to the help desk's API.
        lease: Records the ledger.

    Attributes:
        ledger: The ledger with the plan and the results so far.
        warnings: What an operator should know.
    """

    def __init__(self, engine: Engine, job: Job, io: IO, send: Send, lease: Lease) -> None:
        self._engine = engine
        self._vendor = engine.vendor
        self._job = job
        self._io = io
        self._send = send
        self._lease = lease
        self.ledger = job.ledger
        self.warnings: list[str] = []

    async def run(self, conversation: Conversation) -> None:
        """Run the steps in order.

        A step that the help desk rejects for good does not stop the others; only closing waits for all of them. The
        ledger is recorded before each step. The result of the last step is recorded when the event is settled.

        Args:
            conversation: The conversation as it is now.

        Raises:
            VendorError: A step failed in a way that may pass, so the remaining steps were not tried.
        """
        # When looking for a message with an unknown outcome, messages from before the first step must not match.
        known = frozenset(self.ledger.message_ids)
        earlier = tuple(message for message in conversation.messages if message.id in known)
        before = conversation.model_copy(update={"messages": earlier})
        # Ignore an assignment to a teammate that an earlier attempt made before it was interrupted.
        actions = [action for result in self.ledger.steps or () for action in result.step.actions]
        if conversation.assignee in {action.user for action in actions if isinstance(action, Assign) and action.user}:
            conversation = conversation.model_copy(update={"assignee": None})
        number = 0
        current = conversation  # with the changes that the steps made, which are no reason to stop
        while number < len(self.ledger.steps or ()):
            step = await self._prepare(number, conversation, before)
            if step is not None:
                perform = self._call_function if isinstance(step.actions[0], Run) else self._vendor.perform
                try:
                    performed = await perform(step, current, self._send) or Performed()
                except VendorError as err:
                    await self._record_failure(number, step, err, before)
                else:
                    self._record_success(number, step, performed)
                    if performed.changes:
                        current = current.model_copy(update=performed.changes)
            if (self.ledger.steps or ())[number].status != "pending":
                number += 1

    async def _prepare(self, number: int, conversation: Conversation, before: Conversation) -> Step | None:
        """Record a step as about to be performed and return its allowed actions, or None if nothing remains to do."""
        result = (self.ledger.steps or ())[number]
        if result.status in _SETTLED:
            return None
        # An earlier attempt was interrupted while it performed a step that must not be repeated.
        must_look = result.status == "unknown" and not result.step.idempotent
        if must_look and await self._was_performed(result.step, before):
            self._set_result(number, StepResult(step=result.step, status="done"))
            return None
        objections = find_objections(conversation, self._job.event, self._engine.limits, self._engine.clock())
        if reason := self._find_obstacle(number, result.step, objections):
            self._set_result(number, StepResult(step=result.step, status="skipped", detail=reason))
            return None
        allowed = tuple(action for action in result.step.actions if not explain(action, objections))
        # The outcome is unknown until the help desk confirms the step, so a crash must leave this behind.
        step = result.step if allowed == result.step.actions else Step(actions=allowed)
        self._set_result(number, StepResult(step=step, status="unknown"))
        await self._lease.record(self.ledger)
        return step

    def _find_obstacle(self, number: int, step: Step, objections: list[Objection]) -> str:
        """Return why no action of a step may be performed, or an empty string."""
        if all(isinstance(action, Close) for action in step.actions):
            earlier = (self.ledger.steps or ())[:number]
            if any(other.status == "rejected" for other in earlier):
                return "a step before it was rejected"
        return find_common_reason(step.actions, objections)

    def _record_success(self, number: int, step: Step, performed: Performed) -> None:
        """Record a step as done, apart from the actions that the help desk left out."""
        if performed.message_ids:
            self.ledger = self.ledger.model_copy(update={"written": (*self.ledger.written, *performed.message_ids)})
        self.warnings += performed.problems
        left_out = [rejection.action for rejection in performed.rejected]
        taken = tuple(action for action in step.actions if action not in left_out)
        taken_step = Step(actions=taken) if left_out else step
        results = [StepResult(step=taken_step, status="done", detail="; ".join(performed.problems))]
        for action, reason in ((rejection.action, rejection.reason) for rejection in performed.rejected):
            detail = f"{action.type}: {reason}"
            results.append(StepResult(step=Step(actions=(action,)), status="rejected", detail=detail))
        results = results if taken else results[1:]
        self._replace(number, results)
        for result in results:
            self._engine.observers.notify("step_finished", self._job.event, result)

    async def _record_failure(self, number: int, step: Step, error: VendorError, before: Conversation) -> None:
        """Record a failure, or a success if the step took effect. Raise the error if it may pass."""
        if await self._took_effect(number, step, error, before):
            self._record_success(number, step, Performed())
        elif not _is_final(step, error):
            raise error
        elif len(step.actions) > 1 and error.status not in _GONE:
            # Find out which of the actions is rejected, and perform the others.
            self._replace(number, [StepResult(step=Step(actions=(a,)), status="pending") for a in step.actions])
        else:
            self._set_result(number, StepResult(step=step, status="rejected", detail=f"{step.name}: {error}"))

    async def _call_function(self, step: Step, conversation: Conversation, send: Send) -> None:
        """Call a function of the user. An exception counts as a failure that may pass."""
        action = step.actions[0]
        assert isinstance(action, Run)  # noqa: S101 - the caller checks it
        function = self._engine.functions[action.name]
        context = RunContext(
            key=self._job.event.key,
            arguments=action.arguments,
            conversation=conversation,
            verdict=self.ledger.verdict,
        )
        is_async = is_async_function(function)
        if is_async and not self._io.is_async:
            raise ConfigurationError(f"The function {action.name!r} is async only: call handle_async(), or a Worker.")
        await self._lease.ensure()
        try:
            if is_async:
                await self._io.call(partial(function, context))
            else:
                await self._io.run_blocking(partial(function, context))
        except (ConfigurationError, TriageError):
            raise
        except Exception as err:  # noqa: BLE001 - the user's code may raise anything
            # Leave out the error's own text, which may quote the customer.
            call = f"{action.name}()"
            raise VendorError(f"it raised {describe_location(err)}", vendor="function", call=call) from None

    async def _was_performed(self, step: Step, before: Conversation) -> bool:
        return await run_adapter(lambda send: self._vendor.was_performed(step, before, send), self._send, self._io)

    async def _took_effect(self, number: int, step: Step, error: VendorError, before: Conversation) -> bool:
        """Return whether a step took effect although its call failed. If not, record its result."""
        status: Literal["failed", "unknown"] = "failed"
        if error.outcome_unknown:
            status = "unknown"
            if not step.idempotent:
                with suppress(VendorError):
                    if await self._was_performed(step, before):
                        return True
                    status = "failed"
        self._set_result(number, StepResult(step=step, status=status, detail=str(error)))
        return False

    def _set_result(self, number: int, result: StepResult) -> None:
        self._replace(number, [result])
        if result.status != "unknown" or result.detail:
            self._engine.observers.notify("step_finished", self._job.event, result)

    def _replace(self, number: int, replacements: list[StepResult]) -> None:
        results = list(self.ledger.steps or ())
        results[number : number + 1] = replacements
        self.ledger = self.ledger.model_copy(update={"steps": tuple(results)})


def _is_final(step: Step, error: VendorError) -> bool:
    """Return whether repeating a step is pointless. A label is not worth waiting for an operator."""
    if error.is_rejection:
        return True
    is_label = not any(isinstance(action, ROUTING) for action in step.actions)
    return is_label and error.status in _LABELS_ONLY
