"""`evaluate` asks about every message within the budget, resumes, and survives failures of the classifier."""

import asyncio
import json
import signal
import threading
from collections.abc import Callable, Generator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.evaluating import BUCKETS, PRICE, Priced, answer_by_word, create_dataset, create_example, find_word
from triage import Buckets, ClassifierError, ConfigurationError, Conversation, Message, Verdict
from triage.classifiers import Claude, Recorded, Redacted, Rules
from triage.classifiers.sampling import get_sample
from triage.errors import DatasetError, RecordingMissing
from triage.evals import evaluate, evaluate_async, pace
from triage.evals.dataset import Dataset
from triage.evals.example import Example
from triage.evals.report import Report
from triage.io.retry import RetryPolicy
from triage.testing import FakeClaude


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run each test in a directory of its own, without delays."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TRIAGE_CASSETTES", raising=False)
    monkeypatch.setattr(pace, "RETRIES", RetryPolicy(attempts=4, first_delay=0.0))
    return tmp_path


@pytest.fixture
def claude(monkeypatch: pytest.MonkeyPatch) -> Generator[FakeClaude]:
    fake = FakeClaude(answer_by_word, api_key="sk-ant-test")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-test")
    with fake.serve() as url:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", url)
        yield fake


def fail(kind: str = "unavailable", **fields: Any) -> Verdict:
    reason = "Claude returned 529 (overloaded_error)"
    verdict = {"bucket": "general", "confidence": 0.0, "fallback_reason": kind, "reason": reason, **fields}
    return Verdict.model_validate(verdict)


def get_buckets(report: Report) -> list[str]:
    return [prediction.actual for prediction in report.predictions]


quiet = partial(evaluate, progress=False)


# Results


def test_every_message_gets_a_verdict_in_the_order_of_the_data_set() -> None:
    dataset = create_dataset(20, of="march.csv")
    report = quiet(Priced(), dataset, BUCKETS)
    assert [prediction.example for prediction in report.predictions] == list(dataset)
    assert all(prediction.is_correct for prediction in report.predictions)
    assert (report.classifier, report.dataset, report.unanswered) == ("Priced()", "march.csv", 0)
    assert report.paid_usd == 20 * PRICE
    assert report.description == Priced().describe(BUCKETS)


def test_functions_async_functions_and_rules_are_evaluated(directory: Path) -> None:
    async def classify(text: str) -> str:
        return "billing" if "billing" in text else "general"

    keywords = Rules({"billing": ["billing"]})
    for classifier in (lambda text: "billing" if "billing" in text else "general", classify, keywords):
        assert get_buckets(quiet(classifier, create_dataset(4), BUCKETS)) == ["billing", "general"] * 2
    assert list(directory.iterdir()) == [], "nothing is recorded of what is free or cannot be recognized"


def test_pairs_and_a_list_of_buckets_will_do() -> None:
    rows = [("My billing address", "billing"), ("Hello", "general")]
    assert len(quiet(Priced(), rows, list(BUCKETS)).predictions) == 2


def test_each_message_is_asked_as_often_as_samples_are_taken() -> None:
    classifier = Priced([Verdict(bucket="general", cost_usd=0.0)])
    report = quiet(classifier, create_dataset(2), BUCKETS, samples=3)
    assert [[verdict.bucket for verdict in each.verdicts] for each in report.predictions] == [
        ["general", "billing", "billing"],
        ["general"] * 3,
    ]
    assert len(classifier.texts) == 6


def test_samples_are_recorded_separately() -> None:
    classifier = Priced()
    quiet(classifier, create_dataset(2), BUCKETS, samples=3)
    report = quiet(classifier, create_dataset(2), BUCKETS, samples=4)
    assert len(classifier.texts) == 8
    assert [len(prediction.verdicts) for prediction in report.predictions] == [4, 4]


def test_threads_see_the_number_of_the_sample() -> None:
    seen: list[int] = []

    def classify(text: str) -> str:
        seen.append(get_sample())
        return "general"

    quiet(classify, create_dataset(2), BUCKETS, samples=3)
    assert sorted(seen) == [0, 0, 1, 1, 2, 2]


def test_a_message_without_text_is_not_asked_about() -> None:
    conversation = Conversation(id="c1", messages=(Message(id="1", role="customer", attachments=("scan.pdf",)),))
    classifier = Priced()
    dataset = Dataset([Example(conversation, "billing"), create_example("Hello", "general")])
    report = quiet(classifier, dataset, BUCKETS)
    assert report.predictions[0].verdict.fallback_reason == "no_text"
    assert classifier.texts == ["Hello"]
    assert report.paid_usd == PRICE


def test_a_bucket_in_another_case_is_accepted() -> None:
    report = quiet(lambda text: find_word(text).upper(), create_dataset(2), BUCKETS)
    assert get_buckets(report) == ["billing", "general"]


# Failures of the classifier


def test_an_exception_becomes_a_fallback_verdict_with_its_location_and_without_its_text() -> None:
    classifier = Priced([KeyError("I live in 5 Elm Street")])
    verdict = quiet(classifier, create_dataset(2), BUCKETS, concurrency=1).predictions[0].verdict
    assert (verdict.bucket, verdict.fallback_reason) == ("general", "unavailable")
    assert len(classifier.texts) == 2, "a mistake in the code is not repeated"
    assert "the classifier raised KeyError at " in verdict.reason
    assert "evaluating.py:" in verdict.reason
    assert "Elm Street" not in verdict.reason


def test_the_text_of_our_own_errors_is_kept() -> None:
    classifier = Priced([ClassifierError("the model file is empty")])
    verdict = quiet(classifier, create_dataset(2), BUCKETS, concurrency=1).predictions[0].verdict
    assert verdict.reason.endswith(": the model file is empty")
    assert verdict.fallback_reason == "invalid_answer"


def test_an_unknown_bucket_becomes_a_fallback_verdict() -> None:
    verdict = quiet(lambda text: "vip", create_dataset(2), BUCKETS).predictions[0].verdict
    assert (verdict.bucket, verdict.fallback_reason) == ("general", "invalid_answer")
    assert verdict.reason == "the classifier returned an unknown bucket; the buckets are billing, general"


def test_a_verdict_for_an_unknown_bucket_was_paid_for() -> None:
    report = quiet(Priced([Verdict(bucket="vip", cost_usd=0.5)]), create_dataset(2), BUCKETS, concurrency=1)
    assert report.paid_usd == 0.5 + PRICE


def test_a_mistake_in_the_configuration_is_raised() -> None:
    with pytest.raises(ConfigurationError, match="no such file"):
        quiet(Priced([ConfigurationError("no such file")]), create_dataset(5), BUCKETS)


def test_a_missing_recording_is_raised(directory: Path) -> None:
    with pytest.raises(RecordingMissing):
        quiet(Recorded(Priced(), directory / "answers.jsonl", mode="replay"), create_dataset(5), BUCKETS)


def test_an_unavailable_classifier_is_asked_again() -> None:
    classifier = Priced([fail(), fail(retry_after=0.0), fail()])
    report = quiet(classifier, create_dataset(2), BUCKETS, concurrency=1)
    assert get_buckets(report) == ["billing", "general"]
    assert len(classifier.texts) == 5


def test_after_the_last_attempt_the_fallback_verdict_stands() -> None:
    classifier = Priced([Verdict(bucket="billing", cost_usd=PRICE), *[fail(cost_usd=0.01)] * 4])
    report = quiet(classifier, create_dataset(3), BUCKETS, concurrency=1)
    assert [each.verdict.fallback_reason for each in report.predictions] == [None, "unavailable", None]
    assert report.paid_usd == pytest.approx(2 * PRICE + 0.04)


def test_all_calls_pause_as_long_as_the_classifier_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    delays: list[float] = []
    now = 0.0

    async def sleep(seconds: float) -> None:
        nonlocal now
        delays.append(seconds)
        now += seconds

    create_pace = partial(pace.Pace, clock=lambda: now, sleep=sleep)
    monkeypatch.setattr("triage.evals.evaluation.Pace", create_pace)
    report = quiet(Priced([fail(retry_after=30.0)]), create_dataset(10), BUCKETS, concurrency=1)
    assert delays == [30.0]
    assert all(prediction.is_correct for prediction in report.predictions)


def test_a_rejected_key_stops_the_evaluation_and_is_named(claude: FakeClaude) -> None:
    claude.api_key = "another"
    with pytest.raises(ClassifierError, match=r"Claude returned 401 .* revoked\. Correct this"):
        quiet("claude-haiku-5-5", create_dataset(500), BUCKETS)
    assert len(claude.calls) < 30


def test_a_classifier_that_always_raises_stops_the_evaluation() -> None:
    def classify(text: str) -> str:
        raise ValueError(text)

    with pytest.raises(ClassifierError, match=r"returned no verdict in 10 calls: the classifier raised ValueError at "):
        quiet(classify, create_dataset(500), BUCKETS)


def test_an_outage_later_on_stops_the_calls_and_leaves_the_rest_unanswered(
    capsys: pytest.CaptureFixture[str],
) -> None:
    good = Verdict(bucket="general", cost_usd=0.0)
    classifier = Priced([good, *[fail()] * 1_000])
    report = evaluate(classifier, create_dataset(50), BUCKETS, concurrency=1)
    assert len(classifier.texts) == 41
    assert report.unanswered == 39
    assert (
        "The classifier is unavailable (Claude returned 529 (overloaded_error)): 39 of 50 messages are unanswered. "
        in (capsys.readouterr().err)
    )


def test_a_missing_key_is_reported_before_the_first_call() -> None:
    with pytest.raises(ConfigurationError, match="There is no API key for Claude"):
        quiet("claude-haiku-5-5", create_dataset(5), BUCKETS)


# The budget


def test_calls_stop_before_the_budget_is_exceeded(capsys: pytest.CaptureFixture[str]) -> None:
    classifier = Priced()
    report = evaluate(classifier, create_dataset(20), BUCKETS, budget_usd=5.5 * PRICE)
    assert len(classifier.texts) == len(report.predictions) == 5
    assert report.paid_usd == 5 * PRICE
    assert report.unanswered == 15
    assert capsys.readouterr().err.endswith(
        "The budget of $1.375 is spent: 15 of 20 messages are unanswered. The answers so far are on record: run the "
        "evaluation again to continue.\n"
    )


def test_without_a_record_the_next_run_begins_anew(capsys: pytest.CaptureFixture[str]) -> None:
    evaluate(Priced(), create_dataset(20), BUCKETS, budget_usd=PRICE, resume=None)
    assert capsys.readouterr().err.endswith("Nothing is on record: the next run begins anew.\n")


def test_another_run_with_the_same_budget_continues() -> None:
    classifier = Priced()
    unanswered = [quiet(classifier, create_dataset(20), BUCKETS, budget_usd=8 * PRICE).unanswered for _ in range(3)]
    assert unanswered == [12, 4, 0]
    assert len(classifier.texts) == len(set(classifier.texts)) == 20


def test_verdicts_on_record_are_free() -> None:
    quiet(Priced(), create_dataset(20), BUCKETS)
    report = quiet(Priced(), create_dataset(20), BUCKETS, budget_usd=0.0)
    assert (report.unanswered, report.paid_usd) == (0, 0.0)


def test_repeated_attempts_count_against_the_budget() -> None:
    classifier = Priced([fail(cost_usd=PRICE), fail(cost_usd=PRICE)])
    report = quiet(classifier, create_dataset(2), BUCKETS, budget_usd=2 * PRICE, concurrency=1)
    assert (report.unanswered, report.paid_usd) == (2, 2 * PRICE)


def test_a_message_without_all_samples_counts_as_unanswered() -> None:
    report = quiet(Priced(), create_dataset(2), BUCKETS, samples=3, budget_usd=4 * PRICE)
    assert (len(report.predictions), report.unanswered) == (1, 1)


def test_rules_are_free_for_any_budget() -> None:
    assert quiet(Rules({"billing": ["billing"]}), create_dataset(4), BUCKETS, budget_usd=0).unanswered == 0


# The record


def test_a_second_run_asks_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    first = quiet(Priced(), create_dataset(3), BUCKETS)
    classifier = Priced()
    second = evaluate(classifier, create_dataset(3), BUCKETS)
    assert classifier.texts == []
    assert get_buckets(first) == get_buckets(second)
    assert second.paid_usd == 0.0
    assert "3 messages, Priced(): nothing to ask; 3 answers are on record.\n" in capsys.readouterr().err


def test_the_record_is_hidden_from_git(directory: Path) -> None:
    quiet(Priced(), create_dataset(3), BUCKETS)
    quiet(Priced(), create_dataset(4), BUCKETS)
    assert (directory / ".triage/.gitignore").read_text() == "*\n"
    assert len((directory / ".triage/answers.jsonl").read_text().splitlines()) == 4


def test_a_directory_of_yours_is_not_hidden_from_git(directory: Path) -> None:
    quiet(Priced(), create_dataset(3), BUCKETS, resume=directory / "records" / "march.jsonl")
    assert sorted(path.name for path in (directory / "records").iterdir()) == ["march.jsonl", "march.jsonl.lock"]
    assert not (directory / ".triage").exists()


def test_without_a_record_everything_is_asked_again(directory: Path) -> None:
    classifier = Priced()
    for _ in range(2):
        quiet(classifier, create_dataset(3), BUCKETS, resume=None)
    assert len(classifier.texts) == 6
    assert list(directory.iterdir()) == []


def test_a_recording_of_yours_is_used_as_it_is(directory: Path) -> None:
    recorded = Recorded(Priced(), directory / "mine.jsonl", mode="auto")
    assert quiet(recorded, create_dataset(3), BUCKETS, budget_usd=3 * PRICE).paid_usd == 3 * PRICE
    report = quiet(recorded, create_dataset(3), BUCKETS, samples=2, budget_usd=2 * PRICE)
    assert (report.unanswered, report.paid_usd) == (1, 2 * PRICE)
    assert not (directory / ".triage").exists()


def test_a_recording_of_yours_is_sorted_afterwards(directory: Path) -> None:
    quiet(Recorded(Priced(), directory / "mine.jsonl", mode="auto"), create_dataset(12), BUCKETS)
    texts = [json.loads(line)["text"] for line in (directory / "mine.jsonl").read_text().splitlines()]
    assert len(texts) == 12
    assert texts == sorted(texts)


def test_a_classifier_that_records_in_the_file_itself_is_not_recorded_twice(directory: Path) -> None:
    path = directory / "answers.jsonl"
    redacted = Redacted(Recorded(Priced(), path, mode="auto"))
    for paid in (3 * PRICE, 0.0):
        assert quiet(redacted, create_dataset(3), BUCKETS, resume=path).paid_usd == paid
    assert len(path.read_text().splitlines()) == 3


def test_the_event_loop_does_not_stop_while_the_record_is_searched() -> None:
    threads: list[threading.Thread] = []

    class Slow(Priced):
        def fingerprint(self, conversation: Conversation, buckets: Buckets) -> str:
            threads.append(threading.current_thread())
            return super().fingerprint(conversation, buckets)

    recorded = Recorded(Slow(), "mine.jsonl", mode="auto")
    threads.clear()
    asyncio.run(evaluate_async(recorded, create_dataset(3), BUCKETS, progress=False))
    assert threads
    assert threading.current_thread() not in threads


def test_ctrl_c_keeps_the_answers_so_far(capsys: pytest.CaptureFixture[str]) -> None:
    class Interrupted(Priced):
        async def classify_async(self, conversation: Conversation, buckets: Any) -> Verdict:
            verdict = await super().classify_async(conversation, buckets)
            if len(self.texts) == 5:
                threading.Thread(target=signal.raise_signal, args=[signal.SIGINT]).start()
            if len(self.texts) >= 5:
                await asyncio.Event().wait()
            return verdict

    interrupted = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        evaluate(interrupted, create_dataset(20), BUCKETS, concurrency=1)
    assert interrupted.left_loops == 1
    assert capsys.readouterr().err.endswith(
        "Interrupted. The answers so far are on record: run the evaluation again to continue.\n"
    )
    classifier = Priced()
    report = quiet(classifier, create_dataset(20), BUCKETS)
    assert len(classifier.texts) == 16
    assert len(report.predictions) == 20


# Clients and event loops


def test_a_classifier_that_was_passed_in_is_not_closed() -> None:
    classifier = Priced()
    quiet(classifier, create_dataset(3), BUCKETS)
    assert (classifier.closed, classifier.left_loops) == (0, 1)


def test_claude_is_usable_before_and_afterwards(claude: FakeClaude) -> None:
    classifier = Claude()
    conversation = create_example("My billing address", "billing").conversation
    for _ in range(2):
        assert classifier.classify(conversation, BUCKETS).bucket == "billing"
        report = quiet(classifier, create_dataset(4), BUCKETS, resume=None)
        assert [prediction.is_correct for prediction in report.predictions] == [True] * 4
    classifier.close()
    assert len(claude.requests) == 10


def test_the_name_of_a_model_will_do(claude: FakeClaude, capsys: pytest.CaptureFixture[str]) -> None:
    report = evaluate("claude-haiku-5-5", create_dataset(4), BUCKETS)
    assert report.classifier == "Claude('claude-haiku-5-5')"
    assert report.paid_usd == sum(each.verdict.cost_usd or 0.0 for each in report.predictions) > 0
    assert "4 messages, Claude('claude-haiku-5-5'): less than $0.01.\n" in capsys.readouterr().err


def test_it_works_inside_a_running_event_loop() -> None:
    async def call() -> Report:
        return quiet(Priced(), create_dataset(3), BUCKETS)

    assert len(asyncio.run(call()).predictions) == 3


def test_async_code_evaluates_on_its_own_event_loop(claude: FakeClaude) -> None:
    loops: set[asyncio.AbstractEventLoop] = set()

    class Bound(Priced):
        async def classify_async(self, conversation: Conversation, buckets: Any) -> Verdict:
            loops.add(asyncio.get_running_loop())
            return await super().classify_async(conversation, buckets)

    async def call() -> bool:
        classifier = Bound()
        await evaluate_async(classifier, create_dataset(3), BUCKETS, progress=False)
        await evaluate_async("claude-haiku-5-5", create_dataset(3), BUCKETS, progress=False)
        return loops == {asyncio.get_running_loop()} and (classifier.closed, classifier.left_loops) == (0, 0)

    assert asyncio.run(call())


def test_sync_functions_run_at_the_same_time() -> None:
    barrier = threading.Barrier(12)

    def classify(text: str) -> str:
        barrier.wait(30)
        return "general"

    assert len(quiet(classify, create_dataset(24), BUCKETS, concurrency=12).predictions) == 24


def test_no_more_calls_than_allowed_are_made_at_the_same_time() -> None:
    in_flight, most = 0, 0

    async def classify(text: str) -> str:
        nonlocal in_flight, most
        in_flight += 1
        most = max(most, in_flight)
        await asyncio.sleep(0)
        in_flight -= 1
        return "general"

    quiet(classify, create_dataset(50), BUCKETS, concurrency=4)
    assert most == 4


# Arguments


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"samples": 0}, "samples must be an integer of at least 1, not 0"),
        ({"samples": True}, "samples must be an integer of at least 1, not True"),
        ({"concurrency": 1.5}, "concurrency must be an integer of at least 1, not 1.5"),
        ({"budget_usd": -1}, "budget_usd must be a number of at least 0, or None for no limit, not -1"),
        ({"budget_usd": float("nan")}, "budget_usd must be a number"),
        ({"budget_usd": "1"}, "budget_usd must be a number"),
        ({"budget_usd": True}, "budget_usd must be a number"),
        ({"batch": True}, r"batch=True works for Claude only, not for Priced\(\)"),
        ({"classifier": 5}, "The classifier is of type int"),
        ({"classifier": Rules({"vip": ["vip"]})}, "not a bucket"),
        ({"buckets": []}, "There are no buckets"),
        ({"resume": "."}, "is a directory"),
    ],
)
def test_mistakes_in_the_arguments_are_explained(arguments: dict[str, Any], message: str) -> None:
    call: dict[str, Any] = {"classifier": Priced(), "dataset": create_dataset(2), "buckets": BUCKETS}
    with pytest.raises(ConfigurationError, match=message):
        evaluate(**(call | arguments))


@pytest.mark.parametrize("make", [lambda: lambda text: "general", lambda: Claude("claude-next"), lambda: Unestimated()])
def test_a_budget_needs_prices(make: Callable[[], Any]) -> None:
    with pytest.raises(
        ConfigurationError, match=r"evaluate\(budget_usd=1\) needs the price of each verdict in advance"
    ):
        quiet(make(), create_dataset(2), BUCKETS, budget_usd=1)


class Unestimated(Priced):
    def estimate_cost(self, conversation: Conversation, buckets: Buckets) -> float | None:
        return None


def test_labels_that_are_not_buckets_are_rejected() -> None:
    with pytest.raises(DatasetError, match="vip"):
        quiet(Priced(), Dataset([create_example("Hello", "vip"), create_example("Hi", "general")]), BUCKETS)


def test_problems_of_the_data_set_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    examples = [create_example("Hello", "general"), create_example("Hello", "billing")]
    evaluate(Priced(), Dataset(examples), BUCKETS)
    assert capsys.readouterr().err.startswith("warning: ")


def test_customer_text_is_never_printed(capsys: pytest.CaptureFixture[str]) -> None:
    evaluate(Priced(), [("Secret billing", "billing"), ("Secret", "general")], BUCKETS)
    assert "Secret" not in capsys.readouterr().err


def test_the_record_contains_no_more_than_a_recording_does(directory: Path) -> None:
    quiet(Priced(), [("a" * 500, "general"), ("billing", "billing")], BUCKETS)
    lines = (directory / ".triage/answers.jsonl").read_text().splitlines()
    assert all(len(json.loads(line)["text"]) <= 201 for line in lines)
