"""One evaluation: ask a classifier about every message of a data set, and report its verdicts."""

import asyncio
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

from triage.classifiers.base import Classifier
from triage.classifiers.claude.batch import PRICE_FACTOR, Batches
from triage.classifiers.recorded import Recorded
from triage.evals.batches import ask_in_batches
from triage.evals.budget import Budget, BudgetSpentError
from triage.evals.caller import Caller
from triage.evals.dataset import Dataset
from triage.evals.example import Prediction
from triage.evals.forecast import Forecast, estimate_total
from triage.evals.outage import Outage
from triage.evals.pace import Pace
from triage.evals.pending import PendingBatches
from triage.evals.progress import Progress
from triage.evals.questions import Question, is_open, list_questions
from triage.evals.report import Report
from triage.models import Conversation, Verdict
from triage.policy import Buckets


@dataclass(frozen=True, kw_only=True)
class BatchPlan:
    """How to ask in batches.

    Args:
        batches: Claude's batches.
        pending: The file for the ids of the batches.
        recorded: The classifier that records the verdicts.
    """

    batches: Batches
    pending: PendingBatches
    recorded: Recorded


@dataclass(kw_only=True)
class Evaluation:
    """An evaluation.

    Args:
        classifier: The classifier to evaluate.
        asked: The classifier to ask: the same one, or a `Recorded` around it.
        dataset: The data set.
        buckets: The buckets to choose from.
        samples: How often to ask about each message.
        context: How many messages before the customer's unanswered ones the classifier sees.
        budget_usd: The limit in US dollars, or None.
        concurrency: The highest number of calls in flight.
        plan: How to ask in batches; None to ask one by one.
        progress: Where to show the progress.
    """

    classifier: Classifier
    asked: Classifier
    dataset: Dataset
    buckets: Buckets
    samples: int
    context: int
    budget_usd: float | None
    concurrency: int
    plan: BatchPlan | None
    progress: Progress
    _verdicts: dict[Question, Verdict] = field(default_factory=dict[Question, Verdict])

    def __post_init__(self) -> None:
        # A recording does not change the verdicts.
        self._name = repr(self.classifier.classifier if isinstance(self.classifier, Recorded) else self.classifier)
        self._budget = Budget(self.budget_usd)
        self._outage = Outage(self._name)
        self._by_example = list_questions(self.dataset, self.samples, self.context)

    async def run(self) -> Report:
        """Ask about every message, and return the report.

        Raises:
            ConfigurationError: The classifier cannot work.
            ClassifierError: None of the first calls returned a usable verdict, or a batch failed.
        """
        questions = [question for group in self._by_example for question in group]
        # An event loop must not stop meanwhile: a fingerprint takes up to some milliseconds.
        asked = await asyncio.to_thread(self._find_open, questions)
        self.progress.print(str(self._forecast(questions, list(asked))))
        if asked:
            self.classifier.warm_up()
        self.progress.start(len(questions))
        try:
            if self.plan is not None:
                await self._ask_in_batches(self.plan, list(asked))
                questions = [question for question in questions if question not in asked]
            await self._ask_one_by_one(questions, asked)
        except asyncio.CancelledError:
            self.progress.close()
            self.progress.print(f"Interrupted. {self._describe_next_run()}")
            raise
        finally:
            self.progress.close()
        return self._build_report()

    def _find_open(self, questions: Sequence[Question]) -> dict[Question, None]:
        """Return the questions to ask the classifier, in the order of the data set, and fast to search."""
        return {question: None for question in questions if is_open(question, self.asked, self.buckets)}

    def _forecast(self, questions: Sequence[Question], asked: Sequence[Question]) -> Forecast:
        with_text = sum(question.conversation.has_text for question in questions)
        return Forecast(
            classifier=self._name,
            messages=len(self._by_example),
            samples=self.samples,
            on_record=with_text - len(asked),
            cost_usd=estimate_total([question.conversation for question in asked], self._estimate),
            is_batch=self.plan is not None,
        )

    def _estimate(self, conversation: Conversation) -> float | None:
        """Return the approximate cost of a verdict that is not on record."""
        classifier = self.asked.classifier if isinstance(self.asked, Recorded) else self.asked
        cost = classifier.estimate_cost(conversation, self.buckets)
        return cost if cost is None or self.plan is None else cost * PRICE_FACTOR

    async def _ask_in_batches(self, plan: BatchPlan, questions: Sequence[Question]) -> None:
        verdicts = ask_in_batches(
            questions,
            plan.recorded,
            self.buckets,
            batches=plan.batches,
            pending=plan.pending,
            budget=self._budget,
            progress=self.progress,
        )
        async for question, verdict in verdicts:
            self._budget.pay(verdict)
            self._outage.record(verdict)
            self._accept(question, verdict)

    async def _ask_one_by_one(self, questions: Sequence[Question], asked: Collection[Question]) -> None:
        caller = Caller(self.asked, self.buckets, self._budget, Pace(self.concurrency), self._outage)
        remaining = iter(questions)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self.concurrency):
                    group.create_task(self._work(caller, remaining, asked))
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None

    async def _work(self, caller: Caller, questions: Iterator[Question], asked: Collection[Question]) -> None:
        """Ask one question after the other. Several tasks share the iterator."""
        for question in questions:
            is_asked = question in asked
            if is_asked and self._outage.reason is not None:
                continue
            estimate = 0.0
            if is_asked and self.budget_usd is not None:
                estimate = self._estimate(question.conversation) or 0.0
            try:
                verdict = await caller.ask(question, estimate)
            except BudgetSpentError:
                continue
            self._accept(question, verdict)

    def _accept(self, question: Question, verdict: Verdict) -> None:
        self._verdicts[question] = verdict
        is_right = verdict.bucket == question.example.bucket if question.sample == 0 else None
        self.progress.advance(is_right, self._budget.paid)

    def _build_report(self) -> Report:
        predictions: list[Prediction] = []
        for example, questions in zip(self.dataset, self._by_example, strict=True):
            verdicts = tuple(self._verdicts[question] for question in questions if question in self._verdicts)
            if len(verdicts) == self.samples:
                predictions.append(Prediction(example, verdicts))
        unanswered = len(self._by_example) - len(predictions)
        if unanswered:
            self.progress.print(self._describe_stop(unanswered))
        return Report(
            predictions,
            self.buckets,
            classifier=self._name,
            description=self.classifier.describe(self.buckets),
            dataset=self.dataset.name,
            unanswered=unanswered,
            paid_usd=self._budget.paid,
        )

    def _describe_stop(self, unanswered: int) -> str:
        if self._budget.is_spent:
            cause = f"The budget of ${self.budget_usd:g} is spent"
        elif self._outage.reason is not None:
            cause = f"The classifier is unavailable ({self._outage.reason})"
        else:
            cause = "The batch was incomplete"
        return (
            f"{cause}: {unanswered:,} of {len(self._by_example):,} messages are unanswered. {self._describe_next_run()}"
        )

    def _describe_next_run(self) -> str:
        if isinstance(self.asked, Recorded):
            return "The answers so far are on record: run the evaluation again to continue."
        return "Nothing is on record: the next run begins anew."
