"""The Message Batches of a `Claude`, through the real SDK and against a fake server."""

import asyncio
import json
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import anthropic
import pytest

from tests.helpers.claude import BUCKETS, CHARGED, GOOD, build_content, conversation
from triage import ClassifierError, ConfigurationError, Conversation, Verdict
from triage.classifiers import Claude, Price
from triage.classifiers.claude import batch as batch_module
from triage.classifiers.claude.batch import BatchAnswer, Batches
from triage.io.retry import RetryPolicy
from triage.testing import FakeClaude

STOLEN = conversation("My card was stolen.")


class Run:
    """Runs a batch from its requests to its answers, without delays."""

    def __init__(self, claude: Claude) -> None:
        self.claude = claude
        self.delays: list[float] = []
        self.saved: list[str] = []

    @property
    def batches(self) -> Batches:
        return Batches(self.claude._settings, self.claude._clients, self.sleep)

    async def sleep(self, seconds: float) -> None:
        self.delays.append(seconds)

    async def run(self, conversations: Mapping[str, Conversation]) -> dict[str, BatchAnswer]:
        answers: dict[str, BatchAnswer] = {}
        for requests in self.batches.build_chunks(conversations.items(), BUCKETS):
            batch_id = await self.batches.create(requests, self.saved.append)
            await self.batches.wait(batch_id)
            answers |= await self.batches.read_results(batch_id, conversations, BUCKETS)
        return answers

    def __call__(self, *conversations: Conversation) -> list[BatchAnswer]:
        numbered = {f"q-{number}": conversation for number, conversation in enumerate(conversations)}
        try:
            answers = asyncio.run(self.run(numbered))
        finally:
            self.claude.close()
        return [answers[question] for question in numbered]


@pytest.fixture
def run(server: FakeClaude, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(batch_module, "_RETRIES", RetryPolicy(attempts=3, first_delay=1.0, jitter=0))
    return Run(Claude(api_key="sk-ant-test"))


def answer_by_text(request: Mapping[str, Any]) -> Mapping[str, Any]:
    return GOOD | {"label": "urgent" if "stolen" in request["messages"][0]["content"] else "billing"}


# Verdicts


def test_answers_are_matched_to_their_questions(run: Run, server: FakeClaude) -> None:
    server.answer = answer_by_text
    assert [answer.verdict.bucket for answer in run(STOLEN, CHARGED, STOLEN)] == ["urgent", "billing", "urgent"]


def test_a_verdict_is_that_of_a_single_call_at_half_the_price(run: Run, server: FakeClaude) -> None:
    with Claude(api_key="sk-ant-test")._clients.get() as client:  # type: ignore[attr-defined]  # both are context managers
        single = Claude(client=client).classify(CHARGED, BUCKETS)
    (answer,) = run(CHARGED)
    assert answer.is_final
    assert single.cost_usd is not None
    expected = single.model_copy(update={"cost_usd": single.cost_usd / 2, "latency": 0.0})
    assert answer.verdict == expected
    assert server.requests[0] == server.requests[1]


def test_the_cost_is_unknown_if_the_price_is(run: Run) -> None:
    run.claude = Claude("claude-next", api_key="sk-ant-test")
    assert run(CHARGED)[0].verdict.cost_usd is None


def test_a_refusal_before_any_output_is_free(run: Run, server: FakeClaude) -> None:
    server.fail_in_batch(stop_reason="refusal", content=[], usage={"input_tokens": 100, "output_tokens": 0})
    (answer,) = run(CHARGED)
    assert (answer.verdict.fallback_reason, answer.verdict.cost_usd) == ("refused", 0.0)
    assert answer.is_final


def test_an_invalid_answer_is_final_and_paid(run: Run, server: FakeClaude) -> None:
    server.fail_in_batch(**build_content("no JSON"))
    (answer,) = run(CHARGED)
    assert (answer.verdict.bucket, answer.verdict.fallback_reason) == ("general", "invalid_answer")
    assert answer.verdict.cost_usd
    assert answer.is_final


def test_an_answer_that_was_cut_off_is_not_final(run: Run, server: FakeClaude) -> None:
    server.fail_in_batch(stop_reason="max_tokens", **build_content('{"reason": "Th'))
    (answer,) = run(CHARGED)
    assert answer.verdict.fallback_reason == "invalid_answer"
    assert not answer.is_final


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"result": "errored", "error_type": "overloaded_error"}, "Claude returned an error (overloaded_error)"),
        ({"result": "errored", "error_type": "I live in 5 Elm Street"}, "Claude returned an error"),
        ({"result": "expired"}, "the batch expired before Claude answered"),
        ({"result": "canceled"}, "the batch was canceled"),
    ],
)
def test_a_request_without_an_answer_is_unavailable(
    run: Run, server: FakeClaude, fault: dict[str, Any], reason: str
) -> None:
    server.fail_in_batch(**fault)
    first, second = run(CHARGED, STOLEN)
    verdict = first.verdict
    assert (verdict.bucket, verdict.confidence, verdict.fallback_reason) == ("general", 0.0, "unavailable")
    assert (verdict.reason, verdict.cost_usd) == (reason, 0.0)
    assert not first.is_final
    assert second.verdict.bucket == "billing"


def test_results_of_other_questions_are_left_out(run: Run) -> None:
    async def read_one() -> dict[str, BatchAnswer]:
        (requests,) = run.batches.build_chunks([("a", CHARGED), ("b", STOLEN)], BUCKETS)
        batch_id = await run.batches.create(requests, run.saved.append)
        await run.batches.wait(batch_id)
        return await run.batches.read_results(batch_id, {"b": STOLEN}, BUCKETS)

    answers = asyncio.run(read_one())
    run.claude.close()
    assert list(answers) == ["b"]


# Chunks


def count_chunks(claude: Claude, questions: Iterable[tuple[str, Conversation]]) -> list[int]:
    return [len(chunk) for chunk in claude.batches.build_chunks(questions, BUCKETS)]


QUESTIONS = [(f"q-{number}", CHARGED) for number in range(10)]


def test_a_batch_has_no_more_requests_than_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_module, "_MAX_REQUESTS", 4)
    assert count_chunks(Claude(), QUESTIONS) == [4, 4, 2]


def test_a_batch_is_no_larger_than_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    (chunk,) = Claude().batches.build_chunks(QUESTIONS, BUCKETS)
    size = len(json.dumps(chunk))
    monkeypatch.setattr(batch_module, "_MAX_BYTES", size // 2)
    chunks = list(Claude().batches.build_chunks(QUESTIONS, BUCKETS))
    assert len(chunks) > 2
    assert all(len(json.dumps(each)) <= size // 2 for each in chunks)
    assert [request for each in chunks for request in each] == chunk


def test_a_request_that_exceeds_the_limit_alone_is_still_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_module, "_MAX_BYTES", 10)
    assert count_chunks(Claude(), QUESTIONS[:3]) == [1, 1, 1]


def test_without_questions_there_is_no_batch() -> None:
    assert count_chunks(Claude(), []) == []


# Waiting and failures


def test_the_batch_is_polled_less_and_less_often(run: Run, server: FakeClaude) -> None:
    server.batches.polls = 10
    run(CHARGED)
    assert run.delays[:4] == [5.0, 7.5, 11.25, 16.875]
    assert run.delays[-1] == 60.0


def test_temporary_failures_of_a_poll_are_retried(run: Run, server: FakeClaude) -> None:
    server.batches.polls = 0

    async def wait() -> None:
        (requests,) = run.batches.build_chunks([("a", CHARGED)], BUCKETS)
        batch_id = await run.batches.create(requests, run.saved.append)
        server.fail(529)
        server.fail(429, headers={"retry-after": "30"})
        await run.batches.wait(batch_id)

    asyncio.run(wait())
    run.claude.close()
    assert run.delays == [1.0, 30.0]


@pytest.mark.parametrize(
    ("fault", "calls"),
    [({"status": 529, "times": 9}, 3), ({"status": 401, "times": 9}, 1), ({"drop": True, "times": 9}, 3)],
)
def test_a_poll_that_keeps_failing_is_an_error(run: Run, server: FakeClaude, fault: dict[str, Any], calls: int) -> None:
    server.fail(**fault)
    with pytest.raises(ClassifierError, match="the batch msgbatch_1 cannot be retrieved: Claude "):
        asyncio.run(run.batches.wait("msgbatch_1"))
    run.claude.close()
    assert len(server.calls) == calls


def test_a_batch_is_created_only_once_even_if_that_fails(run: Run, server: FakeClaude) -> None:
    server.fail(529, times=9)
    with pytest.raises(ClassifierError, match=r"a batch cannot be created: Claude returned 529 \(overloaded_error\)"):
        run(CHARGED)
    assert len(server.calls) == 1
    assert run.saved == []


def test_the_id_is_saved_as_soon_as_the_batch_exists(run: Run) -> None:
    run(CHARGED)
    assert run.saved == ["msgbatch_000000000000000000000001"]


def test_the_id_is_saved_even_if_the_creation_is_canceled(run: Run, server: FakeClaude) -> None:
    async def cancel_while_creating() -> None:
        creating = asyncio.Event()
        loop = asyncio.get_running_loop()

        def answer(request: Mapping[str, Any]) -> Mapping[str, Any]:
            loop.call_soon_threadsafe(creating.set)
            return GOOD

        server.answer = answer
        (requests,) = run.batches.build_chunks([("a", CHARGED)], BUCKETS)
        task = asyncio.create_task(run.batches.create(requests, run.saved.append))
        await creating.wait()
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    asyncio.run(cancel_while_creating())  # waits for the thread
    run.claude.close()
    assert len(run.saved) == 1


def test_results_that_are_no_longer_available_are_an_error(run: Run, server: FakeClaude) -> None:
    with pytest.raises(
        ClassifierError, match=r"the results of the batch msgbatch_1 cannot be read: Claude returned 404"
    ):
        asyncio.run(run.batches.read_results("msgbatch_1", {}, BUCKETS))
    run.claude.close()


# Settings


def test_a_fallback_model_is_rejected() -> None:
    with pytest.raises(ConfigurationError, match="pass a Claude without it"):
        _ = Claude(fallback_model="claude-sonnet-5-5").batches


def test_an_async_client_alone_is_rejected() -> None:
    claude = Claude(async_client=anthropic.AsyncAnthropic(api_key="k", base_url="http://127.0.0.1:1"))
    with pytest.raises(ConfigurationError, match="need a sync client"):
        _ = claude.batches


class PlatformClient:
    """A client of a platform without batches."""

    messages = object()

    def with_options(self, **options: Any) -> "PlatformClient":
        return self

    def __enter__(self) -> "PlatformClient":
        return self


def test_a_platform_without_batches_is_named() -> None:
    claude = Claude("anthropic.claude-haiku-5-5", client=PlatformClient())
    with pytest.raises(ConfigurationError, match="has no batches: use Anthropic's own API"):
        asyncio.run(claude.batches.create([{}], lambda batch_id: None))


def test_a_result_of_another_shape_is_unavailable() -> None:
    class Api(PlatformClient):
        @property
        def messages(self) -> Any:  # type: ignore[override]  # an object with batches
            result = type("Result", (), {"custom_id": "a"})
            other = type("Result", (), {"custom_id": None})
            results = partial(list, [result, other])
            return type("Messages", (), {"batches": type("Batches", (), {"results": lambda self, _: results()})()})

    claude = Claude("m", client=Api(), prices={"m": Price(1, 1, 1, 1)})
    answers = asyncio.run(claude.batches.read_results("b", {"a": CHARGED}, BUCKETS))
    assert {name: answer.verdict.fallback_reason for name, answer in answers.items()} == {"a": "unavailable"}


def test_the_reason_of_a_verdict_is_that_of_claude(run: Run) -> None:
    verdict: Verdict = run(CHARGED)[0].verdict
    assert (verdict.reason, verdict.confidence) == (GOOD["reason"], GOOD["confidence"])
