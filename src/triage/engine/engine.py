"""The engine of a Router: settings, circuit breakers and tokens that all its attempts share."""

import re
import string
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from triage import policy
from triage.actions import Action, Assign, Reply, Run
from triage.classifiers.base import AsyncOnlyError, Classifier
from triage.classifiers.fallback import check_bucket, fall_back, fall_back_after, quote_error
from triage.engine.breaker import CircuitBreaker
from triage.engine.clients import HttpClients
from triage.engine.history import MOST_ENTRIES
from triage.engine.observe import Observers
from triage.engine.rules import (
    Objection,
    Reroute,
    collect_actions,
    explain,
    find_reroute_objections,
    find_verdict_objections,
)
from triage.engine.transport import TokenCache
from triage.errors import RecordingMissing, describe_location
from triage.inbox.base import Inbox
from triage.io.ports import IO, is_async_function
from triage.limits import Limits
from triage.log import get_logger
from triage.models import Conversation, Event, FallbackReason, Ledger, Message, RunContext, Step, StepResult, Verdict
from triage.policy import Buckets
from triage.text import compile_filled_in, normalize_for_comparison
from triage.vendors.base import Auth, HelpDesk, Vendor

logger = get_logger(__name__)

_LONGEST_VALUE = 500  # characters of a filled-in value
_PLACEHOLDER = re.compile(r"\{\{[\w.:-]+\}\}|\0")  # `{{…}}`, which the help desk itself may fill in, or our own


@dataclass(frozen=True, kw_only=True)
class Engine:
    """The settings of a Router and the state that its attempts share.

    Args:
        owner: The Router's name, which owns its events in a shared inbox.
        vendor: The help desk.
        classifier: Chooses the bucket.
        inbox: Stores the events.
        is_durable: False if the inbox is the Router's own memory, where no worker retries failed events.
        buckets: The labels.
        review: The actions for a verdict below its bucket's `min_confidence`.
        fallbacks: The actions for missing verdicts, by reason.
        functions: The functions that `Run` actions call, by name.
        context: How many messages before the customer's unanswered ones the classifier sees.
        reroute: When a conversation that was routed before may be routed to another bucket.
        debounce: Seconds to wait for further messages of the customer.
        when: Returns whether to route a conversation; None to route all.
        ignore_tags: The tags of conversations that are not routed, in lower case.
        limits: Limits on spending, messages and time.
        dry_run: True to change nothing at the help desk.
        clients: The HTTP clients.
        clock: Returns the seconds since the epoch.
        observers: Called as events are processed.
    """

    owner: str
    vendor: Vendor | HelpDesk
    classifier: Classifier
    inbox: Inbox
    is_durable: bool
    buckets: Buckets
    review: Sequence[Action] | None
    fallbacks: Mapping[FallbackReason, Sequence[Action]]
    functions: Mapping[str, Callable[[RunContext], object]]
    context: int
    reroute: Reroute
    debounce: float
    when: Callable[[Conversation], object] | None
    ignore_tags: frozenset[str]
    limits: Limits
    dry_run: bool
    clients: HttpClients
    clock: Callable[[], float]
    observers: Observers
    tokens: TokenCache = field(default_factory=TokenCache)
    all_actions: Sequence[Action] = field(init=False)
    _own_texts: Sequence[re.Pattern[str]] = field(init=False)
    auth: Auth | None = field(init=False)
    vendor_breaker: CircuitBreaker = field(init=False)
    classifier_breaker: CircuitBreaker = field(init=False)

    def __post_init__(self) -> None:
        lanes = (self.review, *self.fallbacks.values())
        object.__setattr__(self, "all_actions", collect_actions(self.buckets, lanes))
        replies = (action.body for action in self.all_actions if isinstance(action, Reply))
        object.__setattr__(self, "_own_texts", [compile_text(body) for body in replies])
        object.__setattr__(self, "auth", self.vendor.auth)
        object.__setattr__(self, "vendor_breaker", self._create_breaker(self.owner))
        object.__setattr__(self, "classifier_breaker", self._create_breaker(f"the classifier of {self.owner}"))

    def _create_breaker(self, service: str) -> CircuitBreaker:
        return CircuitBreaker(service, self.inbox, self.limits.failures, self.limits.pause_seconds, self.clock)

    async def preview(self, conversation: Conversation, io: IO) -> Ledger:
        """Classify a conversation and plan the steps, without calling the help desk or storing anything.

        The cost does not count toward the daily budget.

        Args:
            conversation: The conversation for the classifier, such as a ledger's `conversation`.
            io: The port.

        Returns:
            A ledger with the verdict and the planned steps.
        """
        if conversation.has_text:
            verdict = await self.classify(conversation, io)
        else:
            verdict = self.fall_back_without_text(conversation)
        ledger = Ledger(conversation=conversation, verdict=verdict)
        return self.plan(ledger, verdict, self.decide(verdict), conversation, [], None)

    async def classify(self, conversation: Conversation, io: IO) -> Verdict:
        """Call the classifier. An exception or an invalid answer results in a fallback verdict."""
        try:
            if io.is_async:
                verdict = await self.classifier.classify_async(conversation, self.buckets)
            else:
                verdict = self.classifier.classify(conversation, self.buckets)
            return check_bucket(verdict, self.buckets)
        except (AsyncOnlyError, RecordingMissing):
            raise
        except Exception as err:  # noqa: BLE001 - a classifier is the user's code, or a service that may be down
            logger.error(  # noqa: TRY400 - a traceback may quote the customer
                "the classifier raised %s%s",
                describe_location(err),
                quote_error(err),
                extra={"router": self.owner, "conversation_id": conversation.id},
            )
            return fall_back_after(err, f"the classifier raised {type(err).__name__}", self.buckets)

    def fall_back(self, cause: FallbackReason, reason: str) -> Verdict:
        """Return the verdict for the fallback bucket.

        Args:
            cause: The kind of reason why there is no verdict.
            reason: The reason in a sentence, in our words.
        """
        return fall_back(cause, reason, self.buckets)

    def fall_back_without_text(self, conversation: Conversation) -> Verdict:
        """Return the verdict for a conversation in which the customer wrote nothing."""
        files = sum(len(message.attachments) for message in conversation.turn)
        return self.fall_back("no_text", f"the message has no text, only {files} attachment(s)")

    def decide(self, verdict: Verdict) -> policy.Decision:
        """Choose the actions for a verdict."""
        return policy.decide(verdict, self.buckets, self.review, self.fallbacks)

    def plan(
        self,
        ledger: Ledger,
        verdict: Verdict,
        decision: policy.Decision,
        conversation: Conversation,
        objections: Sequence[Objection],
        previous: str | None,
    ) -> Ledger:
        """Plan the steps of an event. Steps of an earlier plan that took effect, or may have, are kept.

        Args:
            ledger: The event's ledger.
            verdict: The verdict.
            decision: The actions for the verdict.
            conversation: The conversation as it is now.
            objections: The objections that follow from the state of the conversation.
            previous: The bucket to which the conversation was routed before, or None.

        Returns:
            The ledger with the plan.
        """
        has_lane = verdict.fallback_reason in self.fallbacks
        rerouting = find_reroute_objections(
            verdict.bucket,
            previous,
            self.buckets,
            self.reroute,
            conversation.team,
            is_fallback=verdict.fallback,
            has_lane=has_lane,
        )
        objections = [*objections, *rerouting, *find_verdict_objections(verdict)]
        kept = [result for result in ledger.steps or () if _is_kept(result)]
        actions = policy.render(decision.actions, verdict, conversation, self.clock())
        actions = _remove_performed(actions, kept)
        status: Literal["planned", "pending"] = "planned" if self.dry_run or not decision.act else "pending"
        allowed = [action for action in actions if not explain(action, objections)]
        runs = [Step(actions=(action,)) for action in allowed if isinstance(action, Run)]
        steps = [*runs, *self.vendor.plan([action for action in allowed if not isinstance(action, Run)])]
        skipped = [
            StepResult(step=Step(actions=(action,)), status="skipped", detail=reason)
            for action in actions
            if (reason := explain(action, objections))
        ]
        plan = {
            "status": decision.status,
            "message_ids": ledger.message_ids if kept else tuple(message.id for message in conversation.messages),
            "steps": (*kept, *(StepResult(step=step, status=status) for step in steps), *skipped),
        }
        return ledger.model_copy(update=plan)

    def find_async_only(self) -> str | None:
        """Name the client, the classifier or the function that sync code cannot use; None if there is none."""
        if self.clients.is_async_only:
            return "the client (async_http)"
        if self.classifier.is_async_only:
            return f"the classifier {self.classifier!r}"
        names = (name for name, function in self.functions.items() if is_async_function(function))
        return next((f"the function {name!r}" for name in names), None)

    # The conversation

    def store(self, event: Event) -> bool:
        """Store an event in the inbox; return False if it is already stored."""
        return self.inbox.add(event, self.debounce, after_dry_run=not self.dry_run)

    @property
    def history_limit(self) -> int:
        """How many other events of a conversation to read."""
        limit = self.limits.max_per_conversation
        return max(MOST_ENTRIES, limit[0] if limit else 0)

    def accepts(self, conversation: Conversation) -> bool:
        """Return whether the user's `when` function accepts a conversation. If it raises, it counts as accepted."""
        if self.when is None:
            return True
        try:
            return bool(self.when(conversation))
        except Exception as err:  # noqa: BLE001 - the user's code; a defect in it must not lose a message
            logger.error(  # noqa: TRY400 - the same
                "the Router's `when` function raised %s",
                describe_location(err),
            )
            return True

    def recognize_own_messages(self, conversation: Conversation, written: Container[str]) -> Conversation:
        """Tell our own messages from those that a human wrote with the same account.

        A message is ours if one of our calls returned its id, or if it has the text of a reply of the policy.

        Args:
            conversation: The conversation, in which every message of our account counts as ours.
            written: The ids of the messages that we know to have written.
        """
        messages = tuple(
            message.model_copy(update={"role": "agent", "is_ours": False})
            if message.is_ours and message.role == "bot" and not self._is_ours(message, written)
            else message
            for message in conversation.messages
        )
        return conversation.model_copy(update={"messages": messages})

    def _is_ours(self, message: Message, written: Container[str]) -> bool:
        if message.id in written:
            return True
        text = normalize_for_comparison(message.text)
        # A human's message may begin like a short reply, so match only the beginning where the vendor adds a signature.
        is_prefix = getattr(self.vendor, "appends_signature", False)
        return any(pattern.match(text) if is_prefix else pattern.fullmatch(text) for pattern in self._own_texts)

    def find_bucket(self, conversation: Conversation) -> str | None:
        """Return the bucket to which we have routed a conversation, judging by its team, if the inbox does not know."""
        if conversation.team is None or not conversation.has_automatic_reply:
            return None
        team = conversation.team
        named = (
            bucket.name for bucket in self.buckets for a in bucket.actions if isinstance(a, Assign) and a.team == team
        )
        return next(named, None)


def compile_text(body: str) -> re.Pattern[str]:
    """Return a pattern for a filled in text, without white space."""
    parts = string.Formatter().parse(body)
    text = "".join(literal + ("\0" if name is not None else "") for literal, name, _, _ in parts)
    return compile_filled_in(_PLACEHOLDER.split(normalize_for_comparison(text)), _LONGEST_VALUE)


def _is_kept(result: StepResult) -> bool:
    return result.status == "done" or (result.status == "unknown" and not result.step.idempotent)


def _remove_performed(actions: Sequence[Action], kept: Sequence[StepResult]) -> list[Action]:
    """Remove the actions that an earlier plan has performed, or may have. A customer gets at most one reply."""
    performed = [action for result in kept for action in result.step.actions]
    has_reply = any(isinstance(action, Reply) for action in performed)
    return [action for action in actions if action not in performed and not (has_reply and isinstance(action, Reply))]
