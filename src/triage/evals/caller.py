"""Calls to the classifier under evaluation: repeated if it is overloaded, and never failing."""

import asyncio

from triage.classifiers.base import Classifier
from triage.classifiers.sampling import use_sample
from triage.errors import ClassifierError, ConfigurationError, describe_location
from triage.evals.budget import Budget
from triage.evals.outage import Outage
from triage.evals.pace import Pace
from triage.evals.questions import Question
from triage.models import FallbackReason, Verdict
from triage.policy import Buckets


class Caller:
    """Asks the classifier, as a Router would.

    Args:
        classifier: The classifier.
        buckets: The buckets to choose from.
        budget: Limits the cost.
        pace: Limits the calls in flight.
        outage: Notices that the classifier does not work.
    """

    def __init__(self, classifier: Classifier, buckets: Buckets, budget: Budget, pace: Pace, outage: Outage) -> None:
        self._classifier = classifier
        self._buckets = buckets
        self._budget = budget
        self._pace = pace
        self._outage = outage

    async def ask(self, question: Question, estimate: float) -> Verdict:
        """Return the verdict about a message, or a fallback verdict if there is none even after several attempts.

        Args:
            question: The message.
            estimate: The approximate cost of the verdict in US dollars, 0 if it is free or if there is no budget.

        Raises:
            BudgetSpentError: The call might exceed the budget.
            ClassifierError: None of the first calls returned a usable verdict.
            ConfigurationError: The classifier cannot work.
        """
        if not question.conversation.has_text:
            return self._fall_back("no_text", "the message has no text")
        attempt = 0
        while True:
            attempt += 1
            async with self._budget.reserve(estimate), self._pace.limit_call() as episode:
                await asyncio.sleep(0)  # a classifier that never waits must not keep Ctrl+C from getting through
                with use_sample(question.sample):
                    verdict = await self._classify(question)
                self._budget.pay(verdict, estimate)
            if verdict.replayed:
                return verdict
            is_final = True
            if verdict.fallback_reason == "unavailable":
                is_final = not self._pace.slow_down(episode, attempt, verdict.retry_after)
            else:
                self._pace.speed_up()
            self._outage.record(verdict, is_final=is_final)
            if is_final:
                return verdict

    async def _classify(self, question: Question) -> Verdict:
        try:
            verdict = await self._classifier.classify_async(question.conversation, self._buckets)
            bucket = self._buckets.get(verdict.bucket)
        except ConfigurationError:
            raise
        except Exception as error:  # noqa: BLE001 - a classifier is the user's code
            # Leave out the error's own text, which may quote the customer, unless we wrote it.
            text = f": {error}" if isinstance(error, ClassifierError) else ""
            return self._fall_back("invalid_answer", f"the classifier raised {describe_location(error)}{text}")
        if bucket is None:
            names = ", ".join(self._buckets.names)
            return self._fall_back(
                "invalid_answer", f"the classifier returned an unknown bucket; the buckets are {names}"
            )
        return verdict if bucket.name == verdict.bucket else verdict.model_copy(update={"bucket": bucket.name})

    def _fall_back(self, kind: FallbackReason, reason: str) -> Verdict:
        bucket = self._buckets.fallback.name
        return Verdict(bucket=bucket, confidence=0.0, reason=reason, fallback_reason=kind, cost_usd=None)
