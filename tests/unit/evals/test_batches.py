"""`evaluate(batch=True)`: Claude's batches at half the price, which an interrupted evaluation finds again."""

import asyncio
import json
from collections.abc import Generator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.evaluating import BUCKETS, answer_by_word, create_dataset, create_example
from triage import ClassifierError, ConfigurationError
from triage.classifiers import Claude, Recorded
from triage.classifiers.claude import batch as batch_module
from triage.evals import evaluate
from triage.evals.dataset import Dataset
from triage.evals.report import Report
from triage.testing import FakeClaude

ANSWERS = Path(".triage/answers.jsonl")
PENDING = Path(".triage/answers.jsonl.batches")


@pytest.fixture(autouse=True)
def claude(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[FakeClaude]:
    """Run each test in a directory of its own, without delays, against a fake of Claude's API."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TRIAGE_CASSETTES", raising=False)
    monkeypatch.setattr(batch_module, "_FIRST_POLL", 0.0)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-test")
    fake = FakeClaude(answer_by_word)
    with fake.serve() as url:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", url)
        yield fake


quiet = partial(evaluate, "claude-haiku-5-5", batch=True, progress=False)


def count_created(fake: FakeClaude) -> int:
    return sum(call.method == "POST" and call.path == "/v1/messages/batches" for call in fake.calls)


def get_reasons(report: Report) -> list[str | None]:
    return [prediction.verdict.fallback_reason for prediction in report.predictions]


def test_a_batch_returns_the_same_verdicts_at_half_the_price(claude: FakeClaude) -> None:
    in_a_batch = quiet(create_dataset(10), BUCKETS)
    assert all(prediction.is_correct for prediction in in_a_batch.predictions)
    assert count_created(claude) == 1
    assert all(not call.path.endswith("/messages") for call in claude.calls)
    one_by_one = evaluate("claude-haiku-5-5", create_dataset(10), BUCKETS, resume=None, progress=False)
    assert one_by_one.paid_usd
    assert in_a_batch.paid_usd == pytest.approx(one_by_one.paid_usd / 2)


def test_the_forecast_is_half_the_price_and_the_batch_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    evaluate("claude-opus-5-5", create_dataset(10), BUCKETS, resume=None, progress=True)
    evaluate("claude-opus-5-5", create_dataset(10), BUCKETS, batch=True)
    output = capsys.readouterr().err
    assert "10 messages, Claude('claude-opus-5-5'): about $0.04.\n" in output
    assert "10 messages, Claude('claude-opus-5-5'): about $0.02 as a batch.\n" in output
    assert "Waiting for the batch msgbatch_000000000000000000000001 with 10 messages: " in output


def test_the_answers_are_on_record_for_later_evaluations(claude: FakeClaude) -> None:
    quiet(create_dataset(10), BUCKETS)
    calls = len(claude.calls)
    assert quiet(create_dataset(10), BUCKETS).paid_usd == 0.0
    report = evaluate("claude-haiku-5-5", create_dataset(10), BUCKETS, progress=False)
    assert (report.paid_usd, len(report.predictions), len(claude.calls)) == (0.0, 10, calls)
    assert not PENDING.exists()


def test_only_what_is_not_on_record_is_in_the_batch(claude: FakeClaude) -> None:
    evaluate("claude-haiku-5-5", create_dataset(4), BUCKETS, progress=False)
    quiet(create_dataset(10), BUCKETS)
    assert len(claude.requests) == 10


def test_samples_are_separate_requests_of_a_batch(claude: FakeClaude) -> None:
    report = quiet(create_dataset(4), BUCKETS, samples=3)
    assert len(claude.requests) == 12
    assert all(len(prediction.verdicts) == 3 for prediction in report.predictions)


def test_a_message_that_occurs_twice_is_asked_once(claude: FakeClaude) -> None:
    example, other = create_example("My billing address", "billing"), create_example("Hello", "general")
    report = quiet(Dataset([example, other, example]), BUCKETS)
    assert len(claude.requests) == 2
    first, _, repeated = (prediction.verdict for prediction in report.predictions)
    assert (repeated.bucket, first.replayed, repeated.replayed) == ("billing", False, True)
    assert report.paid_usd == sum(each.verdict.cost_usd or 0.0 for each in report.predictions[:2])


def test_large_evaluations_need_several_batches(claude: FakeClaude, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_module, "_MAX_REQUESTS", 4)
    report = quiet(create_dataset(10), BUCKETS)
    assert count_created(claude) == 3
    assert all(prediction.is_correct for prediction in report.predictions)


def test_requests_without_an_answer_are_asked_again_next_time(claude: FakeClaude) -> None:
    claude.fail_in_batch("errored", error_type="overloaded_error")
    claude.fail_in_batch("expired")
    claude.fail_in_batch(stop_reason="max_tokens", content=[])
    assert get_reasons(quiet(create_dataset(5), BUCKETS)) == [
        "unavailable",
        "unavailable",
        "invalid_answer",
        None,
        None,
    ]
    assert get_reasons(quiet(create_dataset(5), BUCKETS)) == [None] * 5
    assert count_created(claude) == 2


def test_a_batch_without_any_usable_answer_is_an_error(claude: FakeClaude) -> None:
    claude.fail_in_batch("errored", error_type="invalid_request_error", times=20)
    with pytest.raises(ClassifierError, match=r"Claude returned an error \(invalid_request_error\)"):
        quiet(create_dataset(20), BUCKETS)


def test_a_batch_that_failed_is_not_read_again(claude: FakeClaude) -> None:
    claude.fail_in_batch("expired", times=20)
    with pytest.raises(ClassifierError, match="expired"):
        quiet(create_dataset(20), BUCKETS)
    assert get_reasons(quiet(create_dataset(20), BUCKETS)) == [None] * 20
    assert count_created(claude) == 2


def test_a_request_whose_result_is_missing_is_unanswered(
    claude: FakeClaude, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    read_results = claude.batches.read_results
    monkeypatch.setattr(
        claude.batches, "read_results", lambda batch_id: (read_results(batch_id) or b"").partition(b"\n")[2]
    )
    report = evaluate("claude-haiku-5-5", create_dataset(5), BUCKETS, batch=True)
    assert (len(report.predictions), report.unanswered) == (4, 1)
    assert "The batch was incomplete: 1 of 5 messages are unanswered. " in capsys.readouterr().err


def test_the_batch_fits_into_the_budget(claude: FakeClaude) -> None:
    example = create_dataset(1)[0].conversation
    estimate = Claude("claude-haiku-5-5").estimate_cost(example, BUCKETS)
    assert estimate is not None
    report = quiet(create_dataset(10), BUCKETS, budget_usd=estimate * 2.1)
    assert (len(claude.requests), report.unanswered) == (4, 6)


def test_a_budget_of_nothing_creates_no_batch(claude: FakeClaude) -> None:
    assert quiet(create_dataset(10), BUCKETS, budget_usd=0).unanswered == 10
    assert count_created(claude) == 0


# Interrupts


class KilledError(BaseException):
    """Ends an evaluation at once, like the death of the process."""


def interrupt_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupt the next evaluation while it waits for its batch."""

    async def wait(batches: Any, batch_id: str) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(batch_module.Batches, "wait", wait)
        with pytest.raises(KilledError):
            quiet(create_dataset(10), BUCKETS)


def test_an_interrupted_evaluation_reads_the_batch_that_it_has_created(
    claude: FakeClaude, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt_poll(monkeypatch)
    assert list(json.loads(PENDING.read_text())) == ["msgbatch_000000000000000000000001"]
    report = quiet(create_dataset(10), BUCKETS)
    assert all(prediction.is_correct for prediction in report.predictions)
    assert (count_created(claude), len(claude.requests)) == (1, 10)
    assert not PENDING.exists()


def test_a_larger_data_set_uses_the_pending_batch_and_asks_the_rest(
    claude: FakeClaude, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt_poll(monkeypatch)
    report = quiet(create_dataset(15), BUCKETS)
    assert len(report.predictions) == 15
    assert (count_created(claude), len(claude.requests)) == (2, 15)


def test_another_prompt_leaves_the_pending_batch_alone(claude: FakeClaude, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt_poll(monkeypatch)
    edited = Claude(instructions="Parcels are general.")
    evaluate(edited, create_dataset(10), BUCKETS, batch=True, progress=False)
    edited.close()
    assert len(claude.requests) == 20
    quiet(create_dataset(10), BUCKETS)
    assert (count_created(claude), len(claude.requests)) == (2, 20)


def test_an_interrupt_after_the_first_of_two_batches_loses_neither(
    claude: FakeClaude, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_module, "_MAX_REQUESTS", 5)
    read_results = batch_module.Batches.read_results

    async def read_one(batches: Any, batch_id: str, *args: Any) -> Any:
        if batch_id.endswith("2"):
            raise KilledError
        return await read_results(batches, batch_id, *args)

    with monkeypatch.context() as patch:
        patch.setattr(batch_module.Batches, "read_results", read_one)
        with pytest.raises(KilledError):
            quiet(create_dataset(10), BUCKETS)
    report = quiet(create_dataset(10), BUCKETS)
    assert all(prediction.is_correct for prediction in report.predictions)
    assert (count_created(claude), len(claude.requests)) == (2, 10)


def test_a_batch_that_cannot_be_read_is_not_paid_again(claude: FakeClaude, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt_poll(monkeypatch)
    monkeypatch.setattr(claude.batches, "retrieve", lambda batch_id, host: None)
    with pytest.raises(ClassifierError, match=r"Claude returned 404 .* delete \S*answers.jsonl.batches"):
        quiet(create_dataset(10), BUCKETS)
    assert count_created(claude) == 1


def test_ctrl_c_while_waiting_cancels_the_evaluation(claude: FakeClaude, monkeypatch: pytest.MonkeyPatch) -> None:
    async def wait(batches: Any, batch_id: str) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)

    with monkeypatch.context() as patch:
        patch.setattr(batch_module.Batches, "wait", wait)
        with pytest.raises(asyncio.CancelledError):
            quiet(create_dataset(10), BUCKETS)
    assert len(quiet(create_dataset(10), BUCKETS).predictions) == 10
    assert count_created(claude) == 1


# Classifiers


def test_a_recording_of_yours_keeps_the_answers_of_a_batch(claude: FakeClaude, tmp_path: Path) -> None:
    classifier = Claude()
    recorded = Recorded(classifier, tmp_path / "mine.jsonl", mode="auto")
    for _ in range(2):
        report = evaluate(recorded, create_dataset(10), BUCKETS, batch=True, progress=False)
        assert all(prediction.is_correct for prediction in report.predictions)
    recorded.close()
    assert (count_created(claude), len(claude.requests)) == (1, 10)
    assert not ANSWERS.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resume": None}, "batch=True needs a file for the answers"),
        ({"classifier": lambda text: "general"}, "batch=True works for Claude only"),
        ({"classifier": Claude(fallback_model="claude-sonnet-5-5")}, "pass a Claude without it"),
    ],
)
def test_batches_need_claude_and_a_record(options: Mapping[str, Any], message: str) -> None:
    call: dict[str, Any] = {"classifier": "claude-haiku-5-5", "dataset": create_dataset(2), "buckets": BUCKETS}
    with pytest.raises(ConfigurationError, match=message):
        evaluate(**(call | dict(options)), batch=True)
