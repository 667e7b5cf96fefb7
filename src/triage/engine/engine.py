"""The engine of a Router: settings, circuit breakers and tokens that all its attempts share."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from triage import policy
from triage.actions import Action, Assign, Close, MarkSpam, Reply, Snooze
from triage.classifiers.base import AsyncOnlyError, Classifier
from triage.engine.breaker import CircuitBreaker
from triage.engine.clients import HttpClients
from triage.engine.observe import Observers
from triage.engine.transport import TokenCache
from triage.errors import ClassifierError, ConfigurationError, describe_location
from triage.inbox.base import Inbox
from triage.io.ports import IO
from triage.limits import Limits
from triage.models import Conversation, FallbackReason, Ledger, Message, Step, StepResult, Verdict
from triage.policy import Buckets
from triage.vendors.base import Auth, HelpDesk, Vendor

logger = logging.getLogger(__name__)

_SPEAKS_OR_MOVES = (Assign, Reply, Snooze, Close, MarkSpam)
"""Actions that are skipped if a human handles the conversation, because they would interfere with that work."""


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
        context: How many messages before the customer's last one the classifier sees.
        limits: Limits on spending and on handled messages.
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
    context: int
    limits: Limits
    dry_run: bool
    clients: HttpClients
    clock: Callable[[], float]
    observers: Observers
    tokens: TokenCache = field(default_factory=TokenCache)
    auth: Auth | None = field(init=False)
    vendor_breaker: CircuitBreaker = field(init=False)
    classifier_breaker: CircuitBreaker = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "auth", self.vendor.auth)
        object.__setattr__(self, "vendor_breaker", self._create_breaker(self.owner))
        object.__setattr__(self, "classifier_breaker", self._create_breaker(f"the classifier of {self.owner}"))

    def _create_breaker(self, service: str) -> CircuitBreaker:
        return CircuitBreaker(service, self.inbox, self.limits.failures, self.limits.pause, self.clock)

    async def preview(self, conversation: Conversation, io: IO) -> Ledger:
        """Classify a conversation and plan the steps, without calling the help desk or storing anything.

        The cost does not count toward the daily budget.

        Args:
            conversation: The conversation for the classifier, such as a ledger's `conversation`.
            io: The port.

        Returns:
            A ledger with the verdict and the planned steps.
        """
        latest = conversation.latest
        if latest is not None and not latest.text:
            verdict = self.fall_back("no_text", describe_missing_text(latest))
        else:
            verdict = await self.classify(conversation, io)
        return self.plan(Ledger(conversation=conversation, verdict=verdict), verdict, conversation)

    async def classify(self, conversation: Conversation, io: IO) -> Verdict:
        """Call the classifier. An exception or an invalid answer results in a fallback verdict."""
        try:
            if io.is_async:
                verdict = await self.classifier.classify_async(conversation, self.buckets)
            else:
                verdict = self.classifier.classify(conversation, self.buckets)
            bucket = self.buckets.get(verdict.bucket)
        except AsyncOnlyError:
            raise
        except Exception as err:  # noqa: BLE001 - a classifier is the user's code, or a service that may be down
            # Leave out the error's own text, which may quote the customer, unless we wrote it.
            text = f": {err}" if isinstance(err, ConfigurationError | ClassifierError) else ""
            logger.error("the classifier raised %s%s", describe_location(err), text)  # noqa: TRY400 - the same
            cause: FallbackReason = "invalid_answer" if isinstance(err, ClassifierError) else "unavailable"
            return self.fall_back(cause, f"the classifier raised {type(err).__name__}{text}")
        if bucket is None:
            names = ", ".join(self.buckets.names)
            return self.fall_back(
                "invalid_answer", f"the classifier returned an unknown bucket; the buckets are {names}"
            )
        return verdict.model_copy(update={"bucket": bucket.name})

    def fall_back(self, cause: FallbackReason, reason: str) -> Verdict:
        """Return the verdict for the fallback bucket.

        Args:
            cause: The kind of reason why there is no verdict.
            reason: The reason in a sentence of our own words.
        """
        name = self.buckets.fallback.name
        return Verdict(bucket=name, confidence=0.0, reason=reason, fallback_reason=cause)

    def plan(self, ledger: Ledger, verdict: Verdict, conversation: Conversation) -> Ledger:
        """Plan the steps of an event.

        Args:
            ledger: The event's ledger.
            verdict: The verdict.
            conversation: The conversation as it is now.

        Returns:
            The ledger with the plan.
        """
        decision = policy.decide(verdict, self.buckets, self.review)
        actions = policy.render(decision.actions, verdict, conversation, self.clock())
        allowed = [action for action in actions if not find_objection(action, conversation)]
        status: Literal["planned", "pending"] = "planned" if self.dry_run or not decision.act else "pending"
        steps = [StepResult(step=step, status=status) for step in self.vendor.plan(allowed)]
        skipped = [skip((action,), conversation) for action in actions if find_objection(action, conversation)]
        plan = {
            "status": decision.status,
            "message_ids": tuple(message.id for message in conversation.messages),
            "steps": (*steps, *skipped),
        }
        return ledger.model_copy(update=plan)


def describe_missing_text(message: Message) -> str:
    """Return the reason of the fallback verdict for a message without text."""
    return f"the message has no text, only {len(message.attachments)} attachment(s)"


def find_objection(action: Action, conversation: Conversation) -> str:
    """Return why an action must not be performed on a conversation, or an empty string if it may be."""
    if conversation.has_human and isinstance(action, _SPEAKS_OR_MOVES):
        return "the conversation is assigned to a human, or a human has answered"
    if conversation.has_automatic_reply and isinstance(action, Reply):
        return "the customer already has an automatic reply"
    if conversation.is_automatic and isinstance(action, Reply):
        return "the message was sent by a machine"
    return ""


def skip(actions: tuple[Action, ...], conversation: Conversation) -> StepResult:
    """Return the result of a step that is skipped because its first action must not be performed."""
    detail = find_objection(actions[0], conversation)
    return StepResult(step=Step(actions=actions), status="skipped", detail=detail)
