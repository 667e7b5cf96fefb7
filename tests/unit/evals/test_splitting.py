"""A split is random, keeps together what belongs together, and keeps the shares of the buckets."""

import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.evals.examples import build_dataset, build_example
from triage import ConfigurationError
from triage.errors import DatasetError
from triage.evals import Dataset
from triage.evals.splitting import rank

WORDS = [f"{first}{second}" for first in "abcdefghijklmnopqrstuvwxyz" for second in "abcdefghijklmnopqrstuvwxyz"]
SIMPLE = build_dataset(*[(word, "spam" if number % 5 == 0 else "general") for number, word in enumerate(WORDS[:200])])


def list_ids(dataset: Dataset) -> list[str]:
    return [example.conversation.id for example in dataset]


def test_each_bucket_has_the_same_share_in_both_sets() -> None:
    training, testing = SIMPLE.split(0.3)
    assert (training.counts, testing.counts) == ({"general": 112, "spam": 28}, {"general": 48, "spam": 12})
    assert (training.name, testing.name) == ("dataset (training)", "dataset (test)")


def test_the_order_is_kept() -> None:
    for side in SIMPLE.split():
        assert list_ids(side) == sorted(list_ids(side), key=int)


def test_another_seed_leads_to_another_split() -> None:
    assert list_ids(SIMPLE.split(seed=1)[1]) != list_ids(SIMPLE.split(seed=2)[1])


def test_a_split_is_the_same_in_another_order() -> None:
    backwards = Dataset(reversed(list(SIMPLE)))
    assert set(list_ids(backwards.split()[1])) == set(list_ids(SIMPLE.split()[1]))


def test_a_split_is_the_same_on_every_machine() -> None:
    # Another version of the library may split differently, but only on purpose.
    small = build_dataset(*[(word, "spam" if number % 2 else "general") for number, word in enumerate(WORDS[:20])])
    assert list_ids(small.split(0.3)[1]) == ["0", "6", "7", "8", "9", "11"]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_large_groups_are_not_more_likely_to_be_tested(seed: int) -> None:
    # 20 customers with 10 messages each, and 200 with one: about 30% of each kind should be in the test set.
    large = [(word, "general", f"large-{number % 20}") for number, word in enumerate(WORDS[:200])]
    small = [(word, "general") for word in WORDS[200:400]]
    _, testing = build_dataset(*large, *small).split(0.3, seed=seed)
    assert len(testing) == 120
    assert 10 <= sum(example.group is not None for example in testing) <= 110


@pytest.mark.parametrize("test", [0, 1, -0.1, 30, float("nan")])
def test_the_share_must_be_possible(test: float) -> None:
    with pytest.raises(ConfigurationError, match=r"must lie between 0 and 1. Write 0.3 for 30%"):
        SIMPLE.split(test)


def test_a_rare_bucket_is_in_both_sets_if_that_is_possible() -> None:
    dataset = build_dataset(*[(word, "general") for word in WORDS[:50]], ("rare one", "urgent"), ("rare two", "urgent"))
    for test in (0.1, 0.9):
        assert [side.counts["urgent"] for side in dataset.split(test)] == [1, 1]


def test_a_bucket_that_cannot_be_in_both_sets_is_reported() -> None:
    rows = [(word, "general") for word in WORDS[:50]]
    with pytest.raises(
        DatasetError, match=r"with test=0.3, the test set has no example of 'urgent'. There is 1 example"
    ):
        build_dataset(*rows, ("rare", "urgent")).split(0.3)
    together = build_dataset(*rows, ("rare one", "urgent", "mira"), ("rare two", "urgent", "mira"))
    with pytest.raises(DatasetError, match=r"no example of 'urgent'. There are 2 examples, in 1 cluster of examples"):
        together.split(0.3)
    three = build_dataset(*rows, *[(f"rare {word}", "urgent", "mira") for word in ("one", "two", "three")])
    with pytest.raises(DatasetError, match=r"the training set has no example of 'urgent'"):
        three.split(0.8)


def test_groups_and_texts_can_connect_examples_indirectly() -> None:
    chain = [("one", "spam", "a"), ("two", "spam", "a"), ("Two!", "spam", "b"), ("three", "spam", "b")]
    dataset = build_dataset(*chain, *[(word, "spam") for word in WORDS[:20]])
    for seed in range(5):
        assert {len({"0", "1", "2", "3"} & set(list_ids(side))) for side in dataset.split(seed=seed)} == {0, 4}


ROWS = st.lists(
    st.tuples(
        st.sampled_from(WORDS[:30]),
        st.sampled_from(["billing", "general", "spam"]),
        st.none() | st.sampled_from("abcdefghij"),
    ),
    min_size=1,
    max_size=60,
)


@given(ROWS, st.floats(0.05, 0.95), st.integers())
def test_nothing_in_the_test_set_is_known_from_the_training_set(
    rows: list[tuple[str, str, str | None]], test: float, seed: int
) -> None:
    dataset = build_dataset(*rows)
    try:
        training, testing = dataset.split(test, seed=seed)
    except DatasetError:
        return
    assert training.find_leaks(testing) == []
    assert sorted(list_ids(training) + list_ids(testing)) == sorted(list_ids(dataset))
    assert set(training.counts) == set(testing.counts) == set(dataset.counts)


@given(
    st.lists(st.tuples(st.sampled_from(["billing", "spam"]), st.integers(1, 8)), min_size=2, max_size=30),
    st.floats(0.05, 0.95),
    st.integers(0, 3),
)
def test_shares_differ_by_at_most_one_group_from_the_ideal(
    groups: list[tuple[str, int]], test: float, seed: int
) -> None:
    words = iter(WORDS)
    dataset = build_dataset(
        *[(next(words), bucket, str(number)) for number, (bucket, size) in enumerate(groups) for _ in range(size)]
    )
    try:
        _, testing = dataset.split(test, seed=seed)
    except DatasetError:
        return
    for bucket, total in dataset.counts.items():
        largest = max(size for name, size in groups if name == bucket)
        assert abs(testing.counts[bucket] - test * total) <= largest


def test_customers_with_messages_of_several_buckets_are_split_evenly() -> None:
    buckets = ["general"] * 6 + ["billing"] * 3 + ["urgent"]
    dataset = build_dataset(
        *[
            (word, buckets[number * 7 % 10], f"customer-{number * number % 97}")
            for number, word in enumerate(WORDS[:600])
        ]
    )
    _, testing = dataset.split(0.3)
    largest = max(Counter(example.group for example in dataset).values())
    for bucket, total in dataset.counts.items():
        assert abs(testing.counts[bucket] - 0.3 * total) <= largest


def test_the_random_order_does_not_depend_on_the_process() -> None:
    code = "from triage.evals.splitting import rank; print(rank('Grüße', 3).hex())"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == rank("Grüße", 3).hex()


def test_texts_with_lone_surrogates_have_a_rank() -> None:
    assert len(Dataset([build_example("\ud83d", "spam", id=str(n)) for n in range(2)]).sample(1)) == 1


def test_a_customers_text_in_place_of_a_label_is_not_quoted() -> None:
    dataset = build_dataset(*[(word, "general") for word in WORDS[:50]], ("spam", "I lost my card 4711"))
    with pytest.raises(DatasetError, match="no example of a text of 19 characters"):
        dataset.split()
