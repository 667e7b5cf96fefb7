"""Calls to the classifier under evaluation: repeated if it is overloaded, and never failing."""

import asyncio

from triage.classifiers.base import Classifier
from triage.classifiers.fallback import check_bucket, fall_back, fall_back_after
from triage.classifiers.sampling import use_sample
from triage.errors import ConfigurationError, describe_location
from triage.evals.budget import Budget
from triage.evals.outage import Outage
from triage.evals.pace import Pace
from triage.evals.questions import Question
from triage.log import bind_fields
from triage.models import Verdict
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
            return fall_back("no_text", "the message has no text", self._buckets)
        attempt = 0
        while True:
            attempt += 1
            async with self._budget.reserve(estimate), self._pace.limit_call() as episode:
                await asyncio.sleep(0)  # a classifier that never waits must not keep Ctrl+C from getting through
                with use_sample(question.sample):
                    verdict, may_repeat = await self._classify(question)
                self._budget.pay(verdict, estimate)
            if verdict.replayed:
                return verdict
            is_final = True
            if verdict.fallback_reason == "unavailable":
                is_final = not (may_repeat and self._pace.slow_down(episode, attempt, verdict.retry_after))
            else:
                self._pace.speed_up()
            self._outage.record(verdict, is_final=is_final)
            if is_final:
                return verdict

    async def _classify(self, question: Question) -> tuple[Verdict, bool]:
        """Return the verdict, and whether the call may be repeated if the classifier was unavailable."""
        try:
            with bind_fields({"conversation_id": question.conversation.id}):
                verdict = await self._classifier.classify_async(question.conversation, self._buckets)
            return check_bucket(verdict, self._buckets), True
        except ConfigurationError:
            raise
        except Exception as error:  # noqa: BLE001 - a classifier is the user's code
            # Most exceptions are mistakes in the code, which a pause does not correct.
            description = f"the classifier raised {describe_location(error)}"
            return fall_back_after(error, description, self._buckets), False
