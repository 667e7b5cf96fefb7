"""Ask the questions of an evaluation in Claude's Message Batches, at half the price."""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from functools import partial

from triage.classifiers.claude.batch import PRICE_FACTOR, BatchAnswer, Batches
from triage.classifiers.recorded import Recorded
from triage.classifiers.sampling import use_sample
from triage.errors import ClassifierError
from triage.evals.budget import Budget
from triage.evals.pending import PendingBatches
from triage.evals.progress import Progress
from triage.evals.questions import Question
from triage.models import Conversation, Verdict
from triage.policy import Buckets


async def ask_in_batches(
    questions: Sequence[Question],
    recorded: Recorded,
    buckets: Buckets,
    *,
    batches: Batches,
    pending: PendingBatches,
    budget: Budget,
    progress: Progress,
) -> AsyncGenerator[tuple[Question, Verdict]]:
    """Yield the questions with their verdicts, in any order, and record the verdicts.

    First, the batches are read that an interrupted evaluation has left behind. Questions for which the budget does not
    suffice, and those that a batch left unanswered, are left out.

    Args:
        questions: The questions.
        recorded: The classifier that records the verdicts.
        buckets: The buckets to choose from.
        batches: The batches of the `Claude` that it records.
        pending: The file for the ids of the batches.
        budget: The budget.
        progress: Where to print.

    Raises:
        ClassifierError: A batch cannot be created or read.
    """
    by_id: dict[str, list[Question]] = {}
    for question in questions:
        # The same message may occur several times.
        by_id.setdefault(f"{recorded.fingerprint(question.conversation, buckets)}-{question.sample}", []).append(
            question
        )
    conversations = {question_id: same[0].conversation for question_id, same in by_id.items()}
    waiting = pending.find(by_id)
    unasked = set(by_id).difference(*waiting.values())
    affordable = _select(unasked, conversations, recorded, buckets, budget)
    for requests in batches.build_chunks(affordable, buckets):
        ids = frozenset(str(request["custom_id"]) for request in requests)
        waiting[await batches.create(requests, partial(pending.add, ids=ids))] = ids
    for batch_id, ids in waiting.items():
        progress.print(
            f"Waiting for the batch {batch_id} with {len(ids):,} messages: most take less than an hour, and none more "
            f"than a day. If you interrupt this, run it again later."
        )
        asked = {question_id: conversations[question_id] for question_id in ids}
        answers = await _read(batch_id, asked, buckets, batches, pending)
        # The batch is done with before anyone sees its verdicts. Otherwise, an evaluation that gives up because all of
        # them are missing would find the same batch again whenever it is repeated.
        await asyncio.to_thread(_store, answers, by_id, recorded, buckets)
        pending.remove(batch_id, ids)
        for question_id, answer in answers.items():
            first, *others = by_id[question_id]
            yield first, answer.verdict
            for question in others:
                yield question, answer.verdict.model_copy(update={"replayed": True})


def _select(
    ids: set[str], conversations: Mapping[str, Conversation], recorded: Recorded, buckets: Buckets, budget: Budget
) -> Iterator[tuple[str, Conversation]]:
    """Yield the questions for which the budget suffices, in the order of the data set."""
    for question_id, conversation in conversations.items():
        if question_id in ids:
            estimate = recorded.classifier.estimate_cost(conversation, buckets) or 0.0
            if not budget.commit(estimate * PRICE_FACTOR):
                return
            yield question_id, conversation


def _store(
    answers: Mapping[str, BatchAnswer], by_id: Mapping[str, Sequence[Question]], recorded: Recorded, buckets: Buckets
) -> None:
    """Record the verdicts that another call would not change."""
    for question_id, answer in answers.items():
        if answer.is_final:
            question = by_id[question_id][0]
            with use_sample(question.sample):
                recorded.store(question.conversation, buckets, answer.verdict)


async def _read(
    batch_id: str,
    conversations: Mapping[str, Conversation],
    buckets: Buckets,
    batches: Batches,
    pending: PendingBatches,
) -> Mapping[str, BatchAnswer]:
    try:
        await batches.wait(batch_id)
        return await batches.read_results(batch_id, conversations, buckets)
    except ClassifierError as error:
        raise ClassifierError(
            f"{error}. Run the evaluation again to read the batch later. To ask and pay again, delete {pending.path}."
        ) from None
