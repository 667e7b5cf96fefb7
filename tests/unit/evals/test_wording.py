"""Messages about data sets list things briefly and do not quote customers."""

import pytest

from triage.evals.wording import count_things, join_some, show_columns, show_id, show_label


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, ""),
        (1, "1"),
        (2, "1 and 2"),
        (4, "1, 2, 3 and 4"),
        (5, "1, 2, 3 and 2 more"),
        (5000, "1, 2, 3 and 4,997 more"),
    ],
)
def test_long_lists_are_cut(number: int, text: str) -> None:
    assert join_some(range(1, number + 1)) == text


def test_things_are_counted() -> None:
    assert [count_things(number, "row") for number in (0, 1, 2000)] == ["0 rows", "1 row", "2,000 rows"]


def test_an_id_that_is_an_email_address_is_not_shown() -> None:
    assert (show_id("row-7"), show_id("mira@example.com")) == ("row-7", "(an email address)")


@pytest.mark.parametrize("label", ["billing", "Billing & Refunds", "ключ", "a/b-c_d.e"])
def test_a_label_is_quoted(label: str) -> None:
    assert show_label(label) == repr(label)


@pytest.mark.parametrize("label", ["I was charged twice", "x" * 41, "a\nb", "bad\x1b[0m", ""])
def test_a_label_that_may_be_a_customers_text_is_described(label: str) -> None:
    assert show_label(label) == f"a text of {len(label)} characters"


def test_column_names_that_may_be_a_customers_text_are_replaced_by_their_position() -> None:
    assert show_columns(["text", "Where is my parcel?", " label "]) == "text, (column 2), label"
    assert show_columns([]) == "none"
