"""A data set is checked before it is paid for, without quoting a customer."""

import pytest

from tests.unit.evals.examples import build_dataset
from triage import Bucket, Buckets
from triage.errors import DatasetError
from triage.evals import Dataset, Leak, Problem

BUCKETS = Buckets([Bucket("billing", "Invoices"), Bucket("general", "The rest"), Bucket("spam", "Ads")])
ENOUGH = [(f"{'x' * number} about {bucket}", bucket) for bucket in BUCKETS.names for number in range(1, 31)]


def find_error(dataset: Dataset) -> str:
    with pytest.raises(DatasetError) as caught:
        dataset.check(BUCKETS)
    return str(caught.value)


def find_problems(dataset: Dataset) -> list[str]:
    return [str(problem) for problem in dataset.check(BUCKETS)]


def test_a_good_data_set_has_no_problems() -> None:
    assert find_problems(build_dataset(*ENOUGH)) == []


# Labels


def test_an_empty_data_set_is_rejected() -> None:
    assert find_error(Dataset([], name="a.csv")) == "a.csv is empty. Label at least 30 messages for each bucket."


def test_unknown_labels_are_rejected_with_a_suggestion() -> None:
    dataset = build_dataset(("a", "billing"), ("b", "biling"), ("c", "refunds"), ("d", "biling"))
    assert find_error(dataset) == (
        "dataset: 2 labels are not buckets.\n"
        "'biling': 2 examples (1 and 3). Did you mean 'billing'?\n"
        "'refunds': 1 example (2).\n"
        "The buckets are: billing, general, spam. Correct the labels, or add the buckets."
    )


def test_a_label_in_upper_case_is_not_the_bucket() -> None:
    assert "1 label is not a bucket.\n'Billing': 1 example (0). Did you mean 'billing'?" in find_error(
        build_dataset(("a", "Billing"), ("b", "spam"))
    )


def test_a_customers_text_in_place_of_a_label_is_not_quoted() -> None:
    message = find_error(build_dataset(("spam", "I lost my card 4711"), ("b", "spam")))
    assert "a text of 19 characters: 1 example (0)." in message
    assert "4711" not in message


def test_many_unknown_labels_mean_that_the_column_is_wrong() -> None:
    message = find_error(build_dataset(*[("a", f"label-{number}") for number in range(11)]))
    assert message.startswith("dataset: 11 labels are not buckets. Is this the column with the labels?")
    assert "label-3" not in message


def test_a_single_class_is_rejected() -> None:
    assert find_error(build_dataset(("a", "spam"), ("b", "spam"))) == (
        "dataset has only examples of 'spam', so it cannot show whether a classifier distinguishes the buckets. "
        "Label messages of other buckets, too: billing and general."
    )


# Problems


def test_contradictions_come_first() -> None:
    dataset = build_dataset(*ENOUGH, ("My card 4711", "billing"), ("my card 4712!", "billing"), ("My card 1", "spam"))
    (problem,) = dataset.check(BUCKETS)
    assert problem == Problem(
        "contradiction",
        "1 text has contradictory labels, so that no classifier can be right about all of them: 90 is billing but 92 "
        "is spam. Correct the labels.",
        (("90", "91", "92"),),
    )


def test_many_contradictions_are_one_problem() -> None:
    rows = [(word, bucket) for word in "abcdefgh" for bucket in ("billing", "spam")]
    (problem,) = build_dataset(*ENOUGH, *rows).check(BUCKETS)
    assert str(problem).startswith("8 texts have contradictory labels")
    assert "94 is billing but 95 is spam and 5 more." in str(problem)
    assert len(problem.ids) == 8


def test_duplicates_are_one_problem() -> None:
    dataset = build_dataset(*ENOUGH, ("Order 1", "spam"), ("order 2", "spam"), ("a", "spam"), ("A", "spam"))
    (problem,) = dataset.check(BUCKETS)
    assert (problem.kind, problem.ids) == ("duplicate", (("90", "91"), ("92", "93")))
    assert str(problem) == (
        "2 examples repeat the text of another one, so that results look more certain than they are: 90 = 91 and "
        "92 = 93."
    )
    assert find_problems(build_dataset(*ENOUGH, ("a", "spam"), ("A", "spam")))[0].startswith("1 example repeats the")


def test_small_classes_are_reported_with_the_uncertainty() -> None:
    dataset = build_dataset(*ENOUGH[:30], *[(f"{'y' * number} spam", "spam") for number in range(1, 8)])
    missing, small = find_problems(dataset)
    assert missing == "There is no example of 'general', so nothing is measured about it. Label at least 30."
    assert small == (
        "There are only 7 examples of 'spam': even if all are recognized, the recall may be as low as 65% (95% "
        "confidence). Label at least 30."
    )
    assert find_problems(build_dataset(*ENOUGH[:61]))[0].startswith("There is only 1 example of 'spam'")


def test_problems_do_not_contain_customer_text() -> None:
    dataset = build_dataset(("Secret", "spam"), ("secret", "billing"), ("Secret word", "spam"), ("Secret word", "spam"))
    problems = dataset.check(BUCKETS)
    assert [problem.kind for problem in problems] == ["contradiction", *["small_class"] * 3, "duplicate"]
    assert "ecret" not in f"{problems} {find_problems(dataset)}"
    assert not any("\n" in str(problem) for problem in problems)


# Leaks


def test_leaks_are_examples_with_the_same_text_or_group() -> None:
    training = build_dataset(("Where is order 17?", "general"), ("Refund!", "billing", "mira"), ("Ad", "spam"))
    testing = build_dataset(
        ("where is   order 4711", "general"),
        ("Something else", "billing", "mira"),
        ("New", "spam", "tom"),
        ("Hi", "spam"),
    )
    assert training.find_leaks(testing) == [Leak("0", "0", "text"), Leak("1", "1", "group")]
    assert [str(leak) for leak in training.find_leaks(testing)] == [
        "0 has the same text as 0",
        "1 has the same group as 1",
    ]


def test_ids_that_are_email_addresses_are_in_no_message() -> None:
    address = "mira@example.com"
    rows = [{"id": address, "text": "Hello", "bucket": "general"}, {"id": "2", "text": "hello!", "bucket": "billing"}]
    rows += [{"id": f"a{number}@example.com", "text": "A refund", "bucket": "billing"} for number in range(2)]
    dataset = Dataset.from_rows(rows)
    messages = [*map(str, dataset.check(Buckets.default())), *map(repr, dataset.check(Buckets.default()))]
    messages += [text for leak in dataset.find_leaks(dataset) for text in (str(leak), repr(leak))]
    for broken in ([*rows, rows[0]], [*rows, {"id": "b@example.com", "text": "Hi", "bucket": "vip"}]):
        with pytest.raises(DatasetError) as error:
            Dataset.from_rows(broken).check(Buckets.default())
        messages.append(str(error.value))
    assert messages
    assert not any("@" in message for message in messages)
