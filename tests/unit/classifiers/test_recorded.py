"""`Recorded` asks a question once, replays the verdict, and says what to do if it must not ask."""

import asyncio
import logging
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.api import Api
from tests.helpers.claude import BUCKETS as CLAUDE_BUCKETS
from tests.helpers.recordings import BUCKETS, SECRET, Counter, ask_about, forget_run, read_lines
from triage import Bucket, Buckets, ClassifierError, ConfigurationError, Conversation, Verdict
from triage.classifiers import Classifier, Claude, Recorded, Redacted, Rules, as_classifier
from triage.classifiers.base import AsyncOnlyError
from triage.classifiers.sampling import use_sample
from triage.errors import RecordingMissing
from triage.testing import FakeClaude

CHARGED = ask_about("I was charged twice.")
STOLEN = ask_about("My card was stolen.")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "answers.jsonl"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the variables that choose the mode."""
    monkeypatch.delenv("TRIAGE_CASSETTES", raising=False)
    monkeypatch.delenv("CI", raising=False)


def classify(
    api: Api, recorded: Recorded, conversation: Conversation = CHARGED, buckets: Buckets = BUCKETS, sample: int = 0
) -> Verdict:
    with use_sample(sample):
        if api.name == "sync":
            return recorded.classify(conversation, buckets)
        return asyncio.run(recorded.classify_async(conversation, buckets))


def classify_and_close(api: Api, recorded: Recorded, conversation: Conversation, buckets: Buckets) -> Verdict:
    """Classify with Claude, whose async client must be closed on its event loop."""
    if api.name == "sync":
        try:
            return recorded.classify(conversation, buckets)
        finally:
            recorded.close()

    async def run() -> Verdict:
        try:
            return await recorded.classify_async(conversation, buckets)
        finally:
            await recorded.aclose()

    return asyncio.run(run())


def by_keyword(text: str) -> str:
    return "billing" if "charged" in text else "general"


# Recording and replaying


def test_a_question_is_asked_once(path: Path, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    counter = Counter(reason="Charged twice.")
    verdicts = [classify(api, Recorded(counter, path)) for _ in range(2)]
    forget_run(monkeypatch)
    verdicts.append(classify(api, Recorded(counter, path)))
    assert counter.calls == 1
    assert [verdict.replayed for verdict in verdicts] == [False, True, True]
    assert all(verdict.model_copy(update={"replayed": False}) == verdicts[0] for verdict in verdicts)
    classify(api, Recorded(counter, path), STOLEN)
    assert counter.calls == 2


def test_a_line_contains_the_text_the_verdict_and_hashes_of_the_customer(path: Path, api: Api) -> None:
    conversation = ask_about(f"My key is {SECRET}.", id="42", email="mira@example.com")
    classify(api, Recorded(Rules.default(), path), conversation)
    (line,) = read_lines(path)
    assert list(line) == ["text", "verdict", "key", "customers"]
    assert line["text"] == "My key is [secret]."
    assert line["verdict"]["bucket"] == "general"
    assert len(line["customers"]) == 2


def test_each_sample_is_recorded_on_its_own(path: Path, api: Api) -> None:
    counter = Counter()
    recorded = Recorded(counter, path)
    verdicts = [classify(api, recorded, sample=sample) for sample in (0, 1, 2, 1, 0)]
    assert [verdict.replayed for verdict in verdicts] == [False, False, False, True, True]
    assert (verdicts[3].latency, verdicts[4].latency) == (verdicts[1].latency, verdicts[0].latency)
    assert [line.get("sample", 0) for line in read_lines(path)] == [0, 1, 2]


@pytest.mark.parametrize("reason", ["unavailable", "over_budget"])
def test_a_verdict_that_is_missing_for_the_moment_is_not_recorded(path: Path, api: Api, reason: str) -> None:
    counter = Counter(fallback_reason=reason)
    recorded = Recorded(counter, path)
    assert [classify(api, recorded).fallback_reason for _ in range(2)] == [reason, reason]
    assert counter.calls == 2
    assert not path.exists()


@pytest.mark.parametrize("reason", ["refused", "invalid_answer"])
def test_any_other_fallback_verdict_is_recorded(path: Path, api: Api, reason: str) -> None:
    counter = Counter(fallback_reason=reason)
    recorded = Recorded(counter, path)
    assert [classify(api, recorded).fallback_reason for _ in range(2)] == [reason, reason]
    assert counter.calls == 1


def test_an_error_of_the_classifier_is_raised_and_not_recorded(path: Path, api: Api) -> None:
    def fail(text: str) -> str:
        raise ClassifierError("no verdict today")

    recorded = Recorded(fail, path, version="1")
    with pytest.raises(ClassifierError, match="no verdict today"):
        classify(api, recorded)
    assert not path.exists()


def test_a_classifier_that_already_records_in_the_file_is_rejected(path: Path) -> None:
    redacted = Redacted(Recorded(Rules.default(), path))
    with pytest.raises(ConfigurationError, match=r"already records in this file\. Remove one of the two"):
        Recorded(redacted, path.parent / "." / path.name)


def test_a_classifier_that_records_in_another_file_is_recorded(path: Path, api: Api) -> None:
    counter = Counter()
    recorded = Recorded(Redacted(Recorded(counter, path)), path.with_name("other.jsonl"))
    assert [classify(api, recorded).replayed for _ in range(2)] == [False, True]
    assert counter.calls == 1
    assert len(read_lines(path)) == len(read_lines(path.with_name("other.jsonl"))) == 1


def test_leaving_the_event_loop_sorts_the_file_and_keeps_the_classifier_open(path: Path) -> None:
    counter = Counter()
    recorded = Recorded(counter, path)
    for conversation in (STOLEN, CHARGED):
        recorded.classify(conversation, BUCKETS)
    asyncio.run(recorded.leave_loop())
    assert [line["text"] for line in read_lines(path)] == ["I was charged twice.", "My card was stolen."]
    assert counter.closed == 0


def test_closing_sorts_the_file_and_closes_the_classifier(path: Path, api: Api) -> None:
    counter = Counter()
    recorded = Recorded(counter, path)
    for text in ("b", "a"):
        classify(api, recorded, ask_about(text))
    assert [line["text"] for line in read_lines(path)] == ["b", "a"]
    if api.name == "sync":
        recorded.close()
    else:
        asyncio.run(recorded.aclose())
    assert [line["text"] for line in read_lines(path)] == ["a", "b"]
    assert counter.closed == 1
    assert classify(api, recorded, ask_about("a")).replayed, "a closed recording can still be used"


def test_the_classifier_is_closed_even_if_the_file_is_unreadable(path: Path, api: Api) -> None:
    counter = Counter()
    recorded = Recorded(counter, path)
    classify(api, recorded)
    path.write_text("=======\n")
    with pytest.raises(ConfigurationError, match="line 1 is a conflict marker"):
        asyncio.run(recorded.aclose()) if api.name == "async" else recorded.close()
    assert counter.closed == 1


def test_simultaneous_threads_ask_a_question_once(path: Path) -> None:
    started = threading.Barrier(5)
    counter = Counter()

    def ask() -> None:
        started.wait()
        recorded.classify(CHARGED, BUCKETS)

    recorded = Recorded(counter, path)
    threads = [threading.Thread(target=ask) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counter.calls == 1


def test_simultaneous_tasks_ask_a_question_once(path: Path) -> None:
    calls = 0

    async def count(text: str) -> str:
        nonlocal calls
        calls += 1
        await asyncio.sleep(0)
        return "billing"

    async def ask() -> list[Verdict]:
        recorded = Recorded(count, path, version="1")
        return await asyncio.gather(*(recorded.classify_async(CHARGED, BUCKETS) for _ in range(5)))

    verdicts = asyncio.run(ask())
    assert calls == 1
    assert sorted(verdict.replayed for verdict in verdicts) == [False, True, True, True, True]


def test_two_classifiers_share_a_file(path: Path, api: Api) -> None:
    first, second = Recorded(Counter(), path), Recorded(Rules.default(), path)
    assert classify(api, first).reason != classify(api, second).reason
    assert classify(api, first).reason != classify(api, second).reason
    assert len(read_lines(path)) == 2


# What a verdict depends on


def test_claude_is_asked_again_only_after_an_edit_of_the_prompt(path: Path, api: Api, server: FakeClaude) -> None:
    def ask(text: str = "I was charged twice.", buckets: Buckets = CLAUDE_BUCKETS, **options: Any) -> int:
        recorded = Recorded(Claude(**({"api_key": "sk-ant-test"} | options)), path)
        classify_and_close(api, recorded, ask_about(text), buckets)
        return len(server.requests)

    assert [ask(), ask()] == [1, 1]
    assert [ask(deadline=5), ask(prices={})] == [1, 1], "neither is part of the question"
    assert [ask("Hello"), ask("Hello")] == [2, 2]
    assert [ask(instructions="Be kind."), ask(instructions="Be kind.")] == [3, 3]
    assert [ask(model="claude-sonnet-5-5"), ask(model="claude-sonnet-5-5")] == [4, 4]
    assert [ask(fallback_model="claude-sonnet-5-5"), ask(max_tokens=500)] == [5, 6]
    edited = Buckets([*list(CLAUDE_BUCKETS)[1:], Bucket("urgent", "Outages only")])
    assert [ask(buckets=edited), ask(buckets=edited)] == [7, 7]
    assert ask() == 7


def test_a_recorded_verdict_of_claude_is_complete(path: Path, api: Api, server: FakeClaude) -> None:
    recorded = Recorded(Claude(api_key="sk-ant-test", extra={"language": "The language."}), path)
    server.answer = lambda request: {"reason": "Twice.", "label": "billing", "confidence": 0.93, "language": "en"}
    verdict, replayed = (classify_and_close(api, recorded, CHARGED, CLAUDE_BUCKETS) for _ in range(2))
    assert replayed == verdict.model_copy(update={"replayed": True})
    assert (replayed.bucket, replayed.extra, replayed.model) == ("billing", {"language": "en"}, "claude-haiku-5-5")
    assert replayed.cost_usd
    assert replayed.usage.input_tokens
    assert replayed.prompt_version
    assert recorded.extra == {"language": "The language."}


@pytest.mark.parametrize("classifier", [by_keyword, as_classifier(by_keyword), lambda text: "billing"])
def test_a_classifier_without_a_fingerprint_needs_a_version(path: Path, classifier: Callable[[str], str]) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot know when as_classifier\(.*\) changes: pass version='1'"):
        Recorded(classifier, path)
    assert Recorded(classifier, path, version="1").classify(CHARGED, BUCKETS).bucket == "billing"


def test_a_class_without_a_fingerprint_needs_a_version(path: Path) -> None:
    class Own(Classifier):
        def classify(self, conversation: Conversation, buckets: Buckets) -> Verdict:
            return Verdict(bucket="billing")

    with pytest.raises(ConfigurationError, match=r"cannot know when Own\(\) changes: pass version='1'"):
        Recorded(Own(), path)
    assert Recorded(Own(), path, version="1").classify(CHARGED, BUCKETS).bucket == "billing"
    assert Recorded(Own(), path, version="1").classify(CHARGED, BUCKETS).replayed, "whatever its address in memory"


def test_an_object_that_defines_a_fingerprint_needs_no_version(path: Path) -> None:
    class Own:
        def classify(self, conversation: Conversation, buckets: Buckets) -> Verdict:
            return Verdict(bucket="billing")

        def fingerprint(self, conversation: Conversation, buckets: Buckets) -> str:
            return "always the same"

    assert not Recorded(Own(), path).classify(CHARGED, BUCKETS).replayed
    assert Recorded(Own(), path).classify(STOLEN, BUCKETS).replayed


def test_a_version_covers_the_name_the_buckets_and_the_conversation(path: Path, api: Api) -> None:
    def other(text: str) -> str:
        return "general"

    def is_replayed(
        classifier: Callable[[str], str] = by_keyword, version: str = "1", text: str = "Hi", buckets: Buckets = BUCKETS
    ) -> bool:
        return classify(api, Recorded(classifier, path, version=version), ask_about(text), buckets).replayed

    assert [is_replayed(), is_replayed()] == [False, True]
    assert [is_replayed(other), is_replayed(other)] == [False, True]
    assert [is_replayed(version="2"), is_replayed(version="2")] == [False, True]
    assert [is_replayed(text="Ho"), is_replayed(text="Ho")] == [False, True]
    described = Buckets([Bucket(bucket.name, "Another description") for bucket in BUCKETS])
    assert [is_replayed(buckets=described), is_replayed(buckets=described)] == [False, True]


def test_settings_that_a_repr_shows_are_covered_and_addresses_are_not(path: Path) -> None:
    class Own(Classifier):
        def __init__(self, threshold: float) -> None:
            self.threshold = threshold
            self.helper = object()

        def __repr__(self) -> str:
            return f"Own({self.threshold}, {self.helper!r})"

        def classify(self, conversation: Conversation, buckets: Buckets) -> Verdict:
            return Verdict(bucket="billing")

    own = [Own(0.5), Own(0.5), Own(0.8)]
    verdicts = [Recorded(one, path, version="1").classify(CHARGED, BUCKETS) for one in own]
    assert [verdict.replayed for verdict in verdicts] == [False, True, False]


def test_a_version_also_separates_the_verdicts_of_a_classifier_with_a_fingerprint(path: Path, api: Api) -> None:
    counter = Counter()
    for version in (None, "1", "2", "1", None):
        classify(api, Recorded(counter, path, version=version))
    assert counter.calls == 3


@pytest.mark.parametrize("version", ["", 1, 1.0])
def test_a_version_that_is_not_a_text_is_rejected(path: Path, version: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"version must be a text such as '1', not {version!r}"):
        Recorded(by_keyword, path, version=version)


# Modes


def test_in_replay_mode_a_missing_verdict_raises_an_error_that_says_how_to_record(path: Path, api: Api) -> None:
    counter = Counter()
    recorded = Recorded(counter, path, mode="replay")
    with pytest.raises(RecordingMissing, match=r"answers\.jsonl does not exist\.") as caught:
        classify(api, recorded, ask_about("My number is 4711.", email="mira@example.com"))
    for advice in ("pytest --triage-record", "TRIAGE_CASSETTES=auto", "Recorded(…, mode='auto')", "commit the file"):
        assert advice in str(caught.value)
    assert "4711" not in str(caught.value)
    assert "mira" not in str(caught.value)
    classify(api, Recorded(counter, path, mode="auto"))
    with pytest.raises(RecordingMissing, match="has no verdict: the question is new, or the model, the prompt or"):
        classify(api, recorded, STOLEN)
    with pytest.raises(RecordingMissing, match="sample 1"):
        classify(api, recorded, sample=1)
    assert classify(api, recorded).replayed
    assert counter.calls == 1


def test_replay_mode_needs_neither_an_api_key_nor_filelock(
    path: Path, api: Api, server: FakeClaude, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = Recorded(Claude(api_key="sk-ant-test"), path)
    classify_and_close(api, recorded, CHARGED, CLAUDE_BUCKETS)
    forget_run(monkeypatch)
    monkeypatch.setitem(sys.modules, "filelock", None)
    replaying = Recorded(Claude(), path, mode="replay")
    replaying.check(CLAUDE_BUCKETS)
    replaying.warm_up()
    assert classify_and_close(api, replaying, CHARGED, CLAUDE_BUCKETS).replayed
    assert len(server.requests) == 1
    for mode in ("auto", "record"):
        with pytest.raises(ConfigurationError, match="Recorded needs filelock"):
            Recorded(Claude(), path, mode=mode)


def test_record_mode_asks_every_question_once_per_process_and_replaces_verdicts(
    path: Path, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    classify(api, Recorded(Counter(bucket="spam"), path))
    forget_run(monkeypatch)
    counter = Counter()
    recorded = Recorded(counter, path, mode="record")
    assert recorded.estimate_cost(CHARGED, BUCKETS) == 0.25
    verdicts = [classify(api, recorded), classify(api, recorded), classify(api, Recorded(counter, path, mode="record"))]
    assert [(verdict.bucket, verdict.replayed) for verdict in verdicts] == [
        ("billing", False),
        ("billing", True),
        ("billing", True),
    ]
    assert counter.calls == 1
    assert recorded.estimate_cost(CHARGED, BUCKETS) == 0
    recorded.close()
    assert [line["verdict"]["bucket"] for line in read_lines(path)] == ["billing"]


def test_record_mode_keeps_the_lines_of_verdicts_that_did_not_change(
    path: Path, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    counter = Counter()
    classify(api, Recorded(counter, path))
    before = path.read_bytes()
    forget_run(monkeypatch)
    recorded = Recorded(counter, path, mode="record")
    assert classify(api, recorded).latency == 2 / 3
    recorded.close()
    assert counter.calls == 2
    assert path.read_bytes() == before


def test_record_mode_keeps_the_verdict_if_the_classifier_is_unavailable(
    path: Path, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    classify(api, Recorded(Counter(), path))
    before = path.read_bytes()
    forget_run(monkeypatch)
    recorded = Recorded(Counter(fallback_reason="unavailable"), path, mode="record")
    assert classify(api, recorded).fallback
    recorded.close()
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("variables", "mode"),
    [
        ({}, "auto"),
        ({"CI": "true"}, "replay"),
        ({"CI": "1"}, "replay"),
        ({"CI": "false"}, "auto"),
        ({"CI": "False"}, "auto"),
        ({"CI": "0"}, "auto"),
        ({"CI": ""}, "auto"),
        ({"CI": "true", "TRIAGE_CASSETTES": "record"}, "record"),
        ({"CI": "true", "TRIAGE_CASSETTES": "auto"}, "auto"),
        ({"TRIAGE_CASSETTES": "replay"}, "replay"),
        ({"TRIAGE_CASSETTES": ""}, "auto"),
    ],
)
def test_the_environment_chooses_the_mode(
    path: Path, variables: dict[str, str], mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert Recorded(Counter(), path).mode == mode
    assert Recorded(Counter(), path, mode="record").mode == "record"


def test_an_unknown_mode_is_rejected(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="mode must be 'replay', 'auto' or 'record', not 'always'"):
        Recorded(Counter(), path, mode="always")  # type: ignore[arg-type]
    monkeypatch.setenv("TRIAGE_CASSETTES", "none")
    with pytest.raises(ConfigurationError, match=r"variable TRIAGE_CASSETTES must be .*, not 'none'"):
        Recorded(Counter(), path)


def test_a_directory_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is a directory: pass the path of a file"):
        Recorded(Counter(), tmp_path)


# The other members


def test_the_other_members_are_those_of_the_classifier(path: Path) -> None:
    rules = Rules.default()
    recorded = Recorded(rules, path)
    assert recorded.classifier is rules
    assert recorded.priced
    assert recorded.describe(BUCKETS) == rules.describe(BUCKETS)
    assert recorded.fingerprint(CHARGED, BUCKETS) == rules.fingerprint(CHARGED, BUCKETS)
    with pytest.raises(ConfigurationError, match="Rules has keywords for 'urgent'"):
        recorded.check(Buckets([Bucket("general", "Everything")]))
    assert not Recorded(by_keyword, path, version="1").priced
    assert Recorded(Counter(), path).extra == {"language": "The language."}


def test_the_repr_shows_the_classifier_and_the_file() -> None:
    assert repr(Recorded(Counter(), "tests/answers.jsonl")) == "Recorded(Counter(), 'tests/answers.jsonl')"


def test_the_estimated_cost_of_a_recorded_verdict_is_zero(path: Path) -> None:
    recorded = Recorded(Counter(), path)
    assert recorded.estimate_cost(CHARGED, BUCKETS) == 0.25
    recorded.classify(CHARGED, BUCKETS)
    assert recorded.estimate_cost(CHARGED, BUCKETS) == 0
    assert Recorded(Counter(), path, mode="replay").estimate_cost(CHARGED, BUCKETS) == 0
    with use_sample(1):
        assert recorded.estimate_cost(CHARGED, BUCKETS) == 0.25


def test_warming_up_reads_the_file_and_warms_up_the_classifier_if_it_may_be_asked(path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no API key"):
        Recorded(Claude(), path).warm_up()
    path.write_text("=======\n")
    with pytest.raises(ConfigurationError, match="line 1 is a conflict marker"):
        Recorded(Claude(), path, mode="replay").warm_up()


def test_an_async_classifier_can_be_replayed_by_sync_code(path: Path) -> None:
    async def classify_slowly(text: str) -> str:
        return "billing"

    recorded = Recorded(classify_slowly, path, version="1")
    with pytest.raises(AsyncOnlyError, match="classify_slowly is async only"):
        recorded.classify(CHARGED, BUCKETS)
    asyncio.run(recorded.classify_async(CHARGED, BUCKETS))
    assert recorded.classify(CHARGED, BUCKETS).replayed


def test_nothing_is_logged(path: Path, api: Api, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="triage"):
        classify(api, Recorded(Counter(), path))
    assert [record for record in caplog.records if record.name.startswith("triage")] == []


# Pruning and forgetting


def test_pruning_removes_the_verdicts_of_an_earlier_prompt(path: Path, api: Api) -> None:
    earlier = Recorded(by_keyword, path, version="1")
    classify(api, earlier)
    classify(api, earlier, STOLEN)
    later = Recorded(by_keyword, path, version="2")
    classify(api, later)
    classify(api, earlier, STOLEN)
    assert later.prune() == 1, "the one that nobody has used since `later` was created"
    assert len(read_lines(path)) == 2
    assert later.prune() == 0


def test_pruning_keeps_verdicts_that_were_only_replayed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for conversation in (CHARGED, STOLEN):
        Recorded(Counter(), path).classify(conversation, BUCKETS)
    forget_run(monkeypatch)
    recorded = Recorded(Counter(), path, mode="replay")
    recorded.classify(STOLEN, BUCKETS)
    recorded.estimate_cost(CHARGED, BUCKETS)
    assert recorded.prune() == 1
    assert [line["text"] for line in read_lines(path)] == [STOLEN.text]


def test_forgetting_a_customer_removes_the_verdicts_about_them(path: Path, api: Api) -> None:
    counter = Counter()
    recorded = Recorded(counter, path)
    mira = ask_about("Refund me", id="42", email="mira@example.com")
    classify(api, recorded, mira)
    classify(api, recorded, STOLEN)
    assert recorded.forget("MIRA@example.com") == 1
    assert recorded.forget("42") == 0
    assert [line["text"] for line in read_lines(path)] == [STOLEN.text]
    assert not classify(api, recorded, mira).replayed
    assert counter.calls == 3


# Verdicts that were requested in another way


def test_a_stored_verdict_is_replayed(path: Path, api: Api) -> None:
    counter = Counter()
    recorded = Recorded(counter, path)
    recorded.store(CHARGED, BUCKETS, Verdict(bucket="billing", confidence=0.25))
    assert recorded.find(CHARGED, BUCKETS) == Verdict(bucket="billing", confidence=0.25)
    assert classify(api, recorded) == Verdict(bucket="billing", confidence=0.25, replayed=True)
    assert counter.calls == 0


def test_a_verdict_is_found_only_for_the_same_question(path: Path) -> None:
    recorded = Recorded(Counter(), path)
    recorded.store(CHARGED, BUCKETS, Verdict(bucket="billing"))
    assert recorded.find(STOLEN, BUCKETS) is None
    with use_sample(1):
        assert recorded.find(CHARGED, BUCKETS) is None


def test_an_unavailable_verdict_is_not_stored(path: Path) -> None:
    recorded = Recorded(Counter(), path)
    recorded.store(CHARGED, BUCKETS, Verdict(bucket="general", fallback_reason="unavailable"))
    assert recorded.find(CHARGED, BUCKETS) is None


def test_leaving_an_event_loop_reaches_the_classifier(path: Path) -> None:
    class Bound(Counter):
        left = 0

        async def leave_loop(self) -> None:
            self.left += 1

    bound = Bound()
    asyncio.run(Recorded(bound, path).leave_loop())
    assert bound.left == 1
