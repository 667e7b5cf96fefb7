"""Columns are found by their names, and a missing one leads to a suggestion."""

from typing import Any

import pytest

from triage import ConfigurationError
from triage.evals.columns import Columns, Layout, RowError, count_recognized


def find_error(*names: str, columns: Columns | None = None) -> str:
    with pytest.raises(RowError) as caught:
        Layout(names, columns or Columns())
    return str(caught.value)


def test_case_and_spaces_do_not_matter() -> None:
    layout = Layout(["Bucket", " TEXT ", "Order  No"], Columns(id="order no"))
    assert layout.positions == {"bucket": 0, "text": 1, "id": 2}
    assert layout.others == {}


def test_other_columns_keep_their_names_and_those_without_a_name_are_left_out() -> None:
    assert Layout(["text", "bucket", " Order No ", "", " "], Columns()).others == {"Order No": 2}


def test_a_column_may_have_two_roles() -> None:
    layout = Layout(["text", "bucket", "customer"], Columns(group="customer"))
    assert layout.positions["group"] == layout.positions["customer"] == 2


def test_a_column_that_the_caller_names_is_not_a_structure() -> None:
    assert Layout(["conversation", "bucket"], Columns(text="conversation")).positions == {"text": 0, "bucket": 1}


@pytest.mark.parametrize("name", ["messages", "conversation"])
def test_a_transcript_replaces_the_text(name: str) -> None:
    assert Layout([name, "bucket"], Columns()).positions == {name: 0, "bucket": 1}


@pytest.mark.parametrize(
    ("names", "advice"),
    [
        (["message", "label"], 'text="message", bucket="label".'),
        (["Customer message", "Ticket_Category"], 'text="Customer message", bucket="Ticket_Category".'),
        (["text", "buckets"], 'Pass bucket="buckets".'),
        (["Body", "bucket"], 'Pass text="Body".'),
        (["text", "xyz"], 'Pass bucket="…".'),
        (["message", "type"], 'text="message", bucket="type".'),
        ([], 'text="…", bucket="…".'),
    ],
)
def test_a_missing_column_leads_to_a_suggestion(names: list[str], advice: str) -> None:
    assert find_error(*names).endswith(advice)


def test_the_message_lists_the_columns() -> None:
    assert find_error("message", "label") == (
        "there is no column 'text' and no column 'bucket'; the columns are: message, label. "
        'Pass text="message", bucket="label".'
    )


@pytest.mark.parametrize("role", ["text", "bucket", "subject", "group", "id"])
def test_a_column_that_the_caller_names_must_exist(role: str) -> None:
    names: dict[str, Any] = {role: "Titel"}
    message = find_error("text", "bucket", "Title", columns=Columns(**names))
    assert message == (f"there is no column 'Titel'; the columns are: text, bucket, Title. Pass {role}=\"Title\".")


def test_a_header_that_may_be_a_customers_text_is_not_quoted() -> None:
    message = find_error("My card 4711 was charged twice", "billing", columns=Columns(bucket="label"))
    assert "4711" not in message
    assert "(column 1), billing" in message


def test_two_columns_with_the_same_name_are_rejected() -> None:
    assert find_error("text", "bucket", " Text") == ("the columns 1 and 3 have the same name. Rename one of them.")


@pytest.mark.parametrize("name", ["", " ", None, 3])
def test_the_name_of_a_column_is_a_text(name: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"must be the name of a column. Write bucket='bucket'"):
        Columns(bucket=name)


def test_recognized_columns_are_counted() -> None:
    assert count_recognized(["Text", "label", "messages", "x"], Columns(bucket="label")) == 3
