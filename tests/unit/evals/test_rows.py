"""A row becomes a conversation with a label, and a mistake is described without quoting the row."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triage import Conversation, Customer, Message
from triage.evals import Example
from triage.evals.columns import Columns, Layout, RowError
from triage.evals.rows import MAX_CHARACTERS, build_example, build_row

SECRET = "My card 4711"


def read(columns: Columns | None = None, /, **row: Any) -> Example:
    row = {"text": "Hi", "bucket": "general"} | row
    return build_example(Layout(list(row), columns or Columns()), list(row.values()), 7)


def find_error(**row: Any) -> str:
    with pytest.raises(RowError) as caught:
        read(**row)
    assert "4711" not in str(caught.value)
    return str(caught.value)


# Texts and labels


def test_a_row_with_text_and_bucket_is_a_message_of_a_customer() -> None:
    message = Message(id="1", role="customer", text="Hi")
    assert read() == Example(Conversation(id="row-7", messages=(message,)), "general")


def test_case_and_spaces_of_a_label_do_not_matter() -> None:
    assert read(bucket=" Billing\n").bucket == "billing"


@pytest.mark.parametrize("bucket", [None, "", " ", float("nan")])
def test_a_missing_label_is_reported(bucket: object) -> None:
    assert find_error(bucket=bucket).startswith("the bucket is missing. Write the bucket")


@pytest.mark.parametrize("bucket", [3, 1.5, True, ["general"]])
def test_a_label_that_is_not_text_is_reported(bucket: object) -> None:
    kind = type(bucket).__name__
    assert find_error(bucket=bucket) == f"the bucket is of type {kind}. Write the name of a bucket as text."


@pytest.mark.parametrize("text", [None, "", " \n", float("nan")])
def test_an_empty_text_is_reported(text: object) -> None:
    assert find_error(text=text) == "the text is empty. Write the customer's message, or delete the row."


def test_a_subject_is_enough() -> None:
    assert read(text="", subject="Refund").text == "Refund"


def test_a_text_that_is_not_text_is_reported() -> None:
    assert find_error(text=4711) == "the text is of type int. Write it as text, in quotation marks."


def test_a_long_text_is_reported() -> None:
    assert len(read(text="x" * MAX_CHARACTERS).text) == MAX_CHARACTERS
    message = find_error(text=SECRET + "x" * MAX_CHARACTERS)
    assert message.startswith("the text has more than 1,000,000 characters. Shorten it, or delete the row")
    assert find_error(subject="x" * 2_000_000).startswith("the subject has more than")


def test_white_space_in_a_text_is_kept() -> None:
    assert read(text=" a\r\n b ").text == " a\r\n b "


def test_a_lone_surrogate_is_replaced() -> None:
    example = read(text="a\ud83d", bucket="\udc00", subject="\ud83d", group="\ud83d", note="\ud83d")
    assert example.text == "\ufffd\n\na\ufffd"
    assert (example.bucket, example.group, example.fields) == ("\ufffd", "\ufffd", {"note": "\ufffd"})


# Ids, customers and groups


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1042", "1042"),
        (1042, "1042"),
        (1042.0, "1042"),
        (" a-1 ", "a-1"),
        ("#1", "row-7"),
        ("", "row-7"),
        (None, "row-7"),
    ],
)
def test_an_id_is_used_if_it_is_valid(value: object, expected: str) -> None:
    assert read(id=value).conversation.id == expected


@pytest.mark.parametrize(
    ("row", "customer"),
    [
        ({"customer": 17}, Customer(id="17")),
        ({"customer": "{3F25-04E0}"}, Customer(id="{3F25-04E0}")),
        ({"email": "mira@example.com"}, Customer(email="mira@example.com")),
        ({"customer": {"name": "Mira", "id": None}, "email": ""}, Customer(name="Mira")),
        ({"customer": '{"id": "17", "name": "Mira"}'}, Customer(id="17", name="Mira")),
        ({"customer": None, "email": float("nan")}, Customer()),
        ({"conversation": {"customer": {"id": "17"}}, "email": "a@b.c"}, Customer(id="17", email="a@b.c")),
        ({"conversation": {"customer": "17"}}, Customer()),
    ],
)
def test_the_columns_of_the_customer(row: dict[str, Any], customer: Customer) -> None:
    assert read(**row).conversation.customer == customer


@pytest.mark.parametrize(
    ("row", "group"),
    [
        ({}, None),
        ({"customer": "17", "email": "a@b.c"}, "17"),
        ({"email": "a@b.c"}, "a@b.c"),
        ({"customer": "17", "group": "Acme"}, "Acme"),
        ({"customer": "17", "group": ""}, None),
        ({"group": 4.0}, "4"),
    ],
)
def test_the_customer_is_the_group_unless_there_is_a_column(row: dict[str, Any], group: str | None) -> None:
    assert read(**row).group == group


def test_a_column_may_be_both_the_group_and_the_customer() -> None:
    example = read(Columns(group="customer"), customer="17")
    assert (example.group, example.conversation.customer.id) == ("17", "17")


# Fields


def test_other_columns_become_fields_as_text() -> None:
    row = {"language": "de", "empty": "", "none": None, "nan": float("nan"), "count": 3, "paid": True, "share": 0.5}
    structures = {"list": [1, "ü"], "date": datetime(2026, 11, 1, tzinfo=UTC)}
    assert read(**row, **structures).fields == {
        "language": "de",
        "empty": "",
        "count": "3",
        "paid": "true",
        "share": "0.5",
        "list": '[1, "ü"]',
        "date": "2026-11-01 00:00:00+00:00",
    }


def test_fields_may_be_nested() -> None:
    assert read(fields={"text": "x", "n": 1, "none": None}, b="y").fields == {"text": "x", "n": "1", "b": "y"}
    assert read(fields='{"a": "b"}').fields == {"a": "b"}


@pytest.mark.parametrize("name", ["messages", "conversation", "fields"])
@pytest.mark.parametrize("value", ["3", 3, "Hi {there}"])
def test_a_column_that_only_has_the_name_of_a_structure_is_a_field(name: str, value: object) -> None:
    assert read(**{name: value}).fields == {name: str(value)}


# Transcripts

TURNS = [
    {"role": "customer", "text": "I want a refund."},
    {"from": "Agent", "text": "Shall I cancel it?", "at": "2026-11-01T10:00:00Z", "author": None},
    {"role": "customer", "text": "Yes", "id": 17, "attachments": ["a.png"], "name": "unknown"},
]


@pytest.mark.parametrize("messages", [TURNS, json.dumps(TURNS)])
def test_a_transcript_replaces_the_text(messages: object) -> None:
    example = read(messages=messages)
    assert example.conversation.messages == (
        Message(id="1", role="customer", text="I want a refund."),
        Message(id="2", role="agent", text="Shall I cancel it?", at=datetime(2026, 11, 1, 10, tzinfo=UTC)),
        Message(id="17", role="customer", text="Yes", attachments=("a.png",)),
    )
    assert example.text == "Yes"


def test_an_empty_transcript_does_not_replace_the_text() -> None:
    assert read(messages=[]).text == "Hi"


def test_a_message_may_consist_of_files() -> None:
    example = read(messages=[{"role": "customer", "attachments": ["a.png"]}, {"role": "customer", "text": "See above"}])
    assert example.conversation.messages[0].attachments == ("a.png",)


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        ([SECRET], 'messages[0] is not an object. Write {"role": "customer", "text": "…"}.'),
        ([{"role": SECRET, "text": ""}], 'messages[0] needs the "role" of its author: customer, agent, bot or note.'),
        ([{"role": "user"}], 'messages[0] needs the "role" of its author: customer, agent, bot or note.'),
        ([{"text": SECRET}], 'messages[0] needs the "role" of its author: customer, agent, bot or note.'),
        (
            [*TURNS, {"role": "bot", "content": SECRET}],
            'messages[3] has no "text". Write {"role": "bot", "text": "…"}.',
        ),
        (
            [{"role": "customer", "text": 4711}],
            "the text of messages[0] is of type int. Write it as text, in quotation marks.",
        ),
        ([{"role": "customer", "text": "Hi", "at": SECRET}], "messages[0].at is invalid: "),
        ([{"role": "agent", "text": SECRET}], "the text is empty. "),
        (f"[{SECRET}", 'the messages are not valid JSON. Write [{"role": "customer", "text": "…"}], for example.'),
    ],
)
def test_a_mistake_in_a_transcript_is_reported(messages: object, message: str) -> None:
    assert find_error(messages=messages).startswith(message)


def test_without_a_text_column_the_advice_is_to_write_a_transcript() -> None:
    with pytest.raises(RowError, match=r'the text is empty. Write \[\{"role": "customer", "text": "…"\}\]'):
        build_example(Layout(["messages", "bucket"], Columns()), [3, "general"], 7)


def test_attributes_of_the_conversation() -> None:
    conversation = read(
        conversation={"id": "c-1", "tags": ["vip"], "subject": "Old", "messages": TURNS}, subject="New", channel="email"
    ).conversation
    assert (conversation.id, conversation.tags, conversation.subject) == ("c-1", ("vip",), "New")
    assert (conversation.channel, len(conversation.messages)) == ("email", 3)
    assert find_error(conversation={"is_closed": SECRET}).startswith("is_closed is invalid: it must be a valid boolean")
    assert find_error(conversation={"tags": [1]}).startswith("tags[0] is invalid: ")


def test_a_conversation_is_used_as_it_is() -> None:
    conversation = Conversation(id="1", messages=(Message(id="x", role="customer", text="Hi"),), team="t")
    assert read(conversation=conversation, id="2").conversation is conversation
    assert find_error(conversation=Conversation(id="1")).startswith("the text is empty")


@pytest.mark.parametrize("name", ["messages", "conversation", "fields", "other"])
def test_what_is_nested_too_deeply_is_reported(name: str) -> None:
    value: Any = []
    for _ in range(100_000):
        value = [value]
    if name in ("conversation", "fields"):
        value = {"x": value}
    assert find_error(**{name: value}).startswith("it is nested too deeply")


# Round trips

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
WORDS = TEXTS.filter(str.strip)
MAYBE = st.none() | WORDS
TIMES = st.none() | st.datetimes(timezones=st.just(UTC))
MESSAGES = st.builds(
    Message,
    id=WORDS,
    role=st.sampled_from(["customer", "agent", "bot", "note"]),
    text=TEXTS,
    quoted=TEXTS,
    attachments=st.lists(TEXTS, max_size=2).map(tuple),
    at=TIMES,
    author=MAYBE,
    is_automatic=st.booleans(),
    is_ours=st.booleans(),
)
CONVERSATIONS = st.builds(
    Conversation,
    id=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.:@=-]{0,9}", fullmatch=True),
    subject=st.just("") | WORDS,
    customer=st.builds(Customer, id=MAYBE | st.just('{"id": "1"}'), name=MAYBE, email=MAYBE),
    messages=st.lists(MESSAGES, min_size=1, max_size=3).map(tuple)
    | WORDS.map(lambda text: (Message(id="1", role="customer", text=text),)),
    assignee=MAYBE,
    team=MAYBE,
    is_closed=st.booleans(),
    closed_at=TIMES,
    channel=MAYBE,
    inbox=MAYBE,
    brand=MAYBE,
    tags=st.lists(TEXTS, max_size=2).map(tuple),
    version=MAYBE,
).filter(lambda conversation: conversation.has_text and bool(conversation.text.strip()))
EXAMPLES = st.builds(
    Example,
    CONVERSATIONS,
    st.sampled_from(["billing", "general"]),
    MAYBE,
    st.dictionaries(TEXTS, TEXTS, max_size=2),
)


@given(EXAMPLES)
def test_the_row_of_an_example_leads_to_an_equal_one(example: Example) -> None:
    row = json.loads(json.dumps(build_row(example)))
    assert build_example(Layout(list(row), Columns()), list(row.values()), 7) == example


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters()), inner, max_size=3),
    max_leaves=10,
)
STRUCTURES = JSON | st.lists(
    st.fixed_dictionaries({}, optional={"role": st.just("customer"), "text": JSON, "at": JSON})
)


@given(
    st.fixed_dictionaries(
        {"text": JSON, "bucket": JSON | st.just("general"), "messages": STRUCTURES},
        optional=dict.fromkeys(
            ["id", "subject", "group", "customer", "email", "channel", "conversation", "fields", "x"], JSON
        ),
    )
)
def test_any_row_is_read_or_rejected(row: dict[str, Any]) -> None:
    try:
        example = read(**row)
    except RowError:
        return
    again = build_row(example)
    assert build_example(Layout(list(again), Columns()), list(again.values()), 7) == example
    json.dumps(again, ensure_ascii=False).encode()
