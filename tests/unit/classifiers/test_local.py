"""A `Local` classifier learns from examples, is honest about its confidence, and survives being saved and loaded."""

import asyncio
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.messages import WORDS, create_messages, write_conversation
from triage import Bucket, Buckets, ConfigurationError, Verdict
from triage.classifiers import Local
from triage.classifiers.local import MIN_EXAMPLES
from triage.classifiers.logistic import FOLDS
from triage.classifiers.tfidf import MAX_CHARACTERS, Vectorizer
from triage.errors import DatasetError
from triage.evals.dataset import Dataset
from triage.evals.example import Example

BUCKETS = Buckets([Bucket("urgent", "Outages"), Bucket("billing", "Money"), Bucket("general", "Else")])
PURITY = 0.75  # telling words that fit the bucket; the others make some messages ambiguous
HELD_OUT = create_messages(600, seed=2, purity=PURITY)

NEEDS_SCIKIT_LEARN = r"^Local needs scikit-learn: pip install 'chat-triage\[local\]'"


@pytest.fixture(scope="module")
def local() -> Local:
    return Local.train(create_messages(600, seed=1, purity=PURITY), BUCKETS)


@pytest.fixture
def path(local: Local, tmp_path: Path) -> Path:
    local.save(tmp_path / "local.json")
    return tmp_path / "local.json"


def classify(local: Local, text: str, subject: str = "") -> Verdict:
    return local.classify(write_conversation(text, subject), BUCKETS)


# Verdicts


def test_a_message_with_the_words_of_a_bucket_belongs_to_it(local: Local) -> None:
    verdict = classify(local, "Where is the refund for my invoice?")
    assert verdict == Verdict(
        bucket="billing",
        confidence=verdict.confidence,
        reason="Similar to earlier messages in this bucket.",
        cost_usd=0.0,
        model="local",
        prompt_version=verdict.prompt_version,
        allow_close=False,
    )
    assert verdict.confidence > 0.9


def test_words_with_typing_errors_are_recognized(local: Local) -> None:
    assert classify(local, "refnd my invoise").bucket == "billing"


def test_the_subject_counts(local: Local) -> None:
    assert classify(local, "please help", subject="my account was hacked, stolen").bucket == "urgent"


def test_two_buckets_are_enough() -> None:
    local = Local.train(create_messages(100, buckets=["billing", "urgent"]))
    verdicts = {bucket: classify(local, " ".join(words)) for bucket, words in WORDS.items() if bucket != "general"}
    assert all(verdict.bucket == bucket and verdict.confidence > 0.9 for bucket, verdict in verdicts.items())


def test_the_confidence_is_the_share_of_correct_verdicts(local: Local) -> None:
    """The expected calibration error on messages that the classifier has not seen is small."""
    verdicts = [(classify(local, text), bucket) for text, bucket in HELD_OUT]
    pairs = [(verdict.confidence, verdict.bucket == bucket) for verdict, bucket in verdicts]
    assert 0.6 < sum(correct for _, correct in pairs) / len(pairs) < 0.9, "otherwise the test would prove little"
    bins = [[pair for pair in pairs if math.floor(pair[0] * 10) == number] for number in range(11)]
    gaps = [abs(sum(confidence - correct for confidence, correct in pairs)) for pairs in bins]
    assert sum(gaps) / len(pairs) < 0.06


def test_examples_that_are_all_classified_correctly_yield_no_certainty() -> None:
    local = Local.train(create_messages(60))
    verdicts = [(classify(local, text), bucket) for text, bucket in create_messages(60, seed=2)]
    assert all(verdict.bucket == bucket for verdict, bucket in verdicts)
    assert 0.9 < sum(verdict.confidence for verdict, _ in verdicts) / len(verdicts) < 0.999


def test_no_verdict_alone_may_close_a_conversation(local: Local) -> None:
    assert not any(classify(local, text).allow_close for text in ("refund", "", "\N{SNOWMAN}"))


@pytest.mark.parametrize("text", ["", " ", "\N{SNOWMAN}", "漢字"])
def test_without_a_known_word_the_verdict_is_the_fallback_bucket_with_confidence_zero(local: Local, text: str) -> None:
    verdict = classify(local, text)
    assert (verdict.bucket, verdict.confidence, verdict.fallback) == ("general", 0.0, False)
    assert verdict.reason == "Similar to no earlier message."


def test_of_a_long_text_the_beginning_and_the_end_count(local: Local) -> None:
    filler = "\N{SNOWMAN}" * MAX_CHARACTERS
    assert classify(local, f"refund {filler}").bucket == "billing"
    assert classify(local, f"{filler} hacked").bucket == "urgent"
    assert classify(local, f"{filler} hacked {filler}").reason == "Similar to no earlier message."


@given(text=st.text(), subject=st.text())
def test_any_text_gets_a_bucket_and_a_probability(local: Local, text: str, subject: str) -> None:
    verdict = classify(local, text, subject)
    assert BUCKETS.get(verdict.bucket)
    assert 0 <= verdict.confidence <= 1


def test_a_lone_surrogate_is_harmless(local: Local) -> None:
    assert classify(local, "refund \ud83d") == classify(local, "refund ?")


def test_sync_and_async_verdicts_are_equal(local: Local) -> None:
    conversation = write_conversation("my invoice")
    assert asyncio.run(local.classify_async(conversation, BUCKETS)) == local.classify(conversation, BUCKETS)


# What a verdict depends on


def test_a_verdict_costs_nothing(local: Local) -> None:
    assert local.priced
    assert local.estimate_cost(write_conversation("refund"), BUCKETS) == 0.0


def test_the_description_lists_the_examples_of_each_bucket(local: Local) -> None:
    version = classify(local, "refund").prompt_version
    numbers = dict(local.trained_on)
    assert set(numbers) == {"urgent", "billing", "general"}
    assert local.describe(BUCKETS).splitlines() == [
        f"Local {version}",
        *(f"{bucket}: trained on {number} messages" for bucket, number in numbers.items()),
        "fallback: general",
    ]


def test_the_same_examples_yield_the_same_version(local: Local) -> None:
    examples = create_messages(600, seed=1, purity=PURITY)
    assert Local.train(examples, BUCKETS).describe(BUCKETS) == local.describe(BUCKETS)
    assert Local.train(examples[:-1], BUCKETS).describe(BUCKETS) != local.describe(BUCKETS)


def test_the_seed_decides_how_the_confidence_is_calibrated(local: Local) -> None:
    other = Local.train(create_messages(600, seed=1, purity=PURITY), BUCKETS, seed=1)
    assert classify(other, "refund").confidence != classify(local, "refund").confidence


def test_the_fingerprint_depends_on_the_model_the_text_and_the_fallback(local: Local) -> None:
    conversation = write_conversation("refund")
    other = Local.train(create_messages(300, seed=3))
    fingerprints = {
        local.fingerprint(conversation, BUCKETS),
        local.fingerprint(write_conversation("refunds"), BUCKETS),
        local.fingerprint(conversation, Buckets(BUCKETS, fallback="billing")),
        other.fingerprint(conversation, BUCKETS),
    }
    assert len(fingerprints) == 4
    assert local.fingerprint(conversation, BUCKETS) in fingerprints


def test_its_repr_names_the_buckets(local: Local) -> None:
    version = classify(local, "refund").prompt_version
    assert repr(local) == f"Local(urgent, billing, general, hash={version!r})"


def test_every_trained_bucket_must_exist(local: Local) -> None:
    local.check(BUCKETS)
    with pytest.raises(ConfigurationError, match=r"trained with messages of 'urgent', which is not a bucket.*Train it"):
        local.check(Buckets([Bucket("billing", "Money"), Bucket("general", "Else")]))


# Examples


def test_a_data_set_is_accepted() -> None:
    messages = create_messages(60)
    dataset = Dataset(Example(write_conversation(text), bucket) for text, bucket in messages)
    assert Local.train(dataset).describe(BUCKETS) == Local.train(messages).describe(BUCKETS)


@pytest.mark.parametrize("examples", [[], create_messages(30, buckets=["billing"])])
def test_a_single_bucket_is_rejected(examples: list[tuple[str, str]]) -> None:
    with pytest.raises(DatasetError, match=r"messages of at least two buckets, but there are [01]\."):
        Local.train(examples)


def test_a_bucket_with_too_few_different_messages_is_rejected() -> None:
    examples = create_messages(30) + [("Where is my parcel?", "shipping")] * 30
    with pytest.raises(
        DatasetError, match=r"at least 10 different messages of each bucket, but there are 1 of 'shippi"
    ):
        Local.train(examples)


def test_a_bucket_without_messages_is_rejected_if_the_buckets_are_passed() -> None:
    examples = create_messages(40, buckets=["billing", "urgent"])
    with pytest.raises(DatasetError, match=r"there are 0 of 'general'\. Add some, or leave the bucket out"):
        Local.train(examples, BUCKETS)
    assert set(Local.train(examples).trained_on) == {"billing", "urgent"}


def test_an_unknown_bucket_is_rejected_if_the_buckets_are_passed() -> None:
    with pytest.raises(DatasetError, match=r"examples\[0\]: its bucket is not one of urgent, billing, general"):
        Local.train([("Where is my parcel?", "shipping")], BUCKETS)


def test_messages_without_a_common_word_are_rejected() -> None:
    examples = [(f"{chr(97 + number)}{bucket}{number}", bucket) for bucket in WORDS for number in range(MIN_EXAMPLES)]
    with pytest.raises(DatasetError, match=r"^No word occurs in 2 of the examples: add more"):
        Local.train(examples)


def test_each_bucket_has_enough_messages_for_the_calibration() -> None:
    assert MIN_EXAMPLES >= 2 * FOLDS


# Files


def test_a_loaded_classifier_returns_exactly_the_same_verdicts(local: Local, path: Path) -> None:
    loaded = Local.load(path)
    for text, _ in HELD_OUT[:100]:
        assert classify(loaded, text) == classify(local, text)
    assert loaded.describe(BUCKETS) == local.describe(BUCKETS)
    assert loaded.trained_on == local.trained_on


def test_a_path_may_be_a_string_and_a_file_is_replaced(local: Local, path: Path) -> None:
    Local.train(create_messages(60)).save(str(path))
    local.save(str(path))
    assert Local.load(str(path)).describe(BUCKETS) == local.describe(BUCKETS)


def test_the_file_says_what_it_is(path: Path) -> None:
    data = json.loads(path.read_bytes())
    assert (data["format"], data["format_version"]) == ("triage-local", 1)
    assert set(data["model"]["trained_on"]) == {"urgent", "billing", "general"}
    assert data["library_version"]


def test_the_file_contains_no_word_that_only_one_message_contains(tmp_path: Path) -> None:
    """A message that was sent twice counts as one, so that its words are not common."""
    secret = ("my passphrase is xylophone4711, mail zoe@quux.example", "billing")
    Local.train([*create_messages(60), secret, secret]).save(tmp_path / "local.json")
    content = (tmp_path / "local.json").read_text()
    assert "invoice" in content
    assert not [part for part in ("xyl", "4711", "zoe", "quux", "passphrase") if part in content]


def test_a_file_in_a_missing_folder_is_an_error(local: Local, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        local.save(tmp_path / "missing" / "local.json")


def test_a_file_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot read .*nowhere\.json: No such file"):
        Local.load(tmp_path / "nowhere.json")
    with pytest.raises(ConfigurationError, match="Is a directory"):
        Local.load(tmp_path)


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xfe", b"[]", b"{}", b'{"format": "other", "format_version": 1}', b"[" * 100_000, b"\x80\x04N."],
)
def test_a_file_of_another_program_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "other.json").write_bytes(content)
    with pytest.raises(
        ConfigurationError, match=r"other\.json is not a file of Local\.save\(\), or it is damaged\. Train"
    ):
        Local.load(tmp_path / "other.json")


@given(share=st.floats(0, 1, exclude_max=True))
def test_a_truncated_file_is_named(local: Local, tmp_path_factory: pytest.TempPathFactory, share: float) -> None:
    path = tmp_path_factory.mktemp("truncated") / "local.json"
    local.save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ConfigurationError, match=r"local\.json is not a file of Local\.save\(\)"):
        Local.load(path)


def test_a_file_of_a_later_format_is_named(path: Path) -> None:
    path.write_text('{"format": "triage-local", "format_version": 2, "layers": []}')
    with pytest.raises(ConfigurationError, match=r"local\.json has version 2 of the format, .* reads only version 1"):
        Local.load(path)


def edit_file(path: Path, edit: Callable[[Any], object]) -> None:
    data = json.loads(path.read_bytes())
    edit(data["model"])
    path.write_text(json.dumps(data))


def test_a_changed_weight_is_noticed(path: Path) -> None:
    edit_file(path, lambda model: model["intercepts"].update(urgent=99.0))
    with pytest.raises(ConfigurationError, match=r"local\.json was changed after Local\.save\(\) had written it"):
        Local.load(path)


@pytest.mark.parametrize(
    "edit",
    [
        lambda model: model.pop("weights"),
        lambda model: model["weights"].pop("urgent"),
        lambda model: model["weights"]["urgent"].pop(),
        lambda model: model["intercepts"].update(urgent="high"),
        lambda model: model["intercepts"].update(urgent=math.inf),
        lambda model: model["intercepts"].update(vip=1.0),
        lambda model: model["words"].popitem(),
        lambda model: model["words"].clear(),
        lambda model: model.update(trained_on={}, weights={}, intercepts={}),
    ],
)
def test_a_file_whose_parts_do_not_fit_is_named(path: Path, edit: Callable[[Any], object]) -> None:
    edit_file(path, edit)
    with pytest.raises(ConfigurationError, match=r"local\.json is (incomplete|not a file)"):
        Local.load(path)


# scikit-learn


def test_only_the_most_frequent_terms_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("triage.classifiers.tfidf._MAX_WORDS", 5)
    vectorizer = Vectorizer.fit([text for text, _ in create_messages(60)], min_documents=2)
    assert len(vectorizer.words) == 5


def test_without_scikit_learn_the_error_says_what_to_install(path: Path, request: pytest.FixtureRequest) -> None:
    request.getfixturevalue("no_scikit_learn")
    with pytest.raises(ConfigurationError, match=NEEDS_SCIKIT_LEARN):
        Local.train(create_messages(60))
    with pytest.raises(ConfigurationError, match=NEEDS_SCIKIT_LEARN):
        Local.load(path)
