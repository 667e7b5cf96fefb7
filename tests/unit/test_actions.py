"""Actions: plain data, checked where the policy is written."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from triage import (
    Action,
    Assign,
    Close,
    ConfigurationError,
    MarkSpam,
    Note,
    Reply,
    Run,
    SetFields,
    SetPriority,
    Snooze,
    Tag,
)
from triage.actions import ACTIONS

ADAPTER: TypeAdapter[Action] = TypeAdapter(Action)

SECRET = "my card number is 4111"

ONE_OF_EACH: list[Action] = [
    Assign(team="1"),
    Reply("hi"),
    Note("psst"),
    Tag("a", "b"),
    SetFields({"plan": "pro", "seats": 3, "trial": None}),
    SetPriority("high"),
    Snooze(timedelta(hours=1)),
    Close(),
    MarkSpam(),
    Run("page", severity="high"),
]


def test_there_is_a_sample_of_each_action() -> None:
    assert {type(action) for action in ONE_OF_EACH} == set(ACTIONS)


@pytest.mark.parametrize("action", ONE_OF_EACH, ids=lambda action: action.type)
def test_an_action_survives_serialization_as_json(action: Action) -> None:
    assert ADAPTER.validate_json(ADAPTER.dump_json(action)) == action


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.__name__)
def test_the_example_in_the_error_messages_of_an_action_is_correct_code(action: type[Action]) -> None:
    for example in action.example.split(" or "):
        assert type(eval(example, {"timedelta": timedelta, **{cls.__name__: cls for cls in ACTIONS}})) is action  # noqa: S307 - our own text


# Each is a function, because a type checker rejects most of them as well.
MISTAKES: list[tuple[Any, dict[str, Any] | tuple[Any, ...], str]] = [
    (Assign, {}, "exactly one of team= and user=, and neither is set"),
    (Assign, {"team": ""}, "neither is set"),
    (Assign, {"team": " ", "user": None}, "neither is set"),
    (Assign, {"team": "1", "user": "2"}, "exactly one of team= and user=, and both are set"),
    (Assign, {"team": 1.5}, "team must be the vendor's id, as a string or an integer"),
    (Assign, {"user": True}, "user must be the vendor's id, as a string or an integer"),
    (Assign, {"team": ["1"]}, "team must be the vendor's id"),
    (Assign, {"group": "1"}, "there is no field 'group'; its fields are team, user"),
    (Assign, ("1",), "it takes no positional arguments"),
    (Reply, (), "body is missing"),
    (Reply, ("",), "body must not be empty"),
    (Reply, (" \n",), "body must not be empty"),
    (Reply, (None,), "body must be a valid string"),
    (Reply, (["Hi"],), "body must be a valid string"),
    (Reply, ("Hi", "Bye"), "it takes one value for body"),
    (Reply, {"text": "Hi"}, "there is no field 'text'; its fields are body"),
    (Note, ("",), "body must not be empty"),
    (Note, {"message": "Hi"}, "there is no field 'message'"),
    (Tag, (), "names is missing"),
    (Tag, ("a", ""), r"names\[1\] must not be empty"),
    (Tag, (1,), r"names\[0\] must be a valid string"),
    (Tag, (["a", "b"],), r"names must be separate strings. Write Tag\('vip', 'refund'\)"),
    (Tag, {"names": "ab"}, "names must be separate strings"),
    (Tag, {"names": []}, "names must not be empty"),
    (Tag, {"name": "a"}, "there is no field 'name'"),
    (SetFields, (), "fields is missing"),
    (SetFields, ({},), "fields must not be empty"),
    (SetFields, ("plan",), "fields must be a dictionary"),
    (SetFields, ([("plan", "pro")],), "fields must be a dictionary"),
    (SetFields, {"plan": "pro"}, r"there is no field 'plan'.* Write SetFields\(\{'plan': 'pro'\}\)"),
    (SetFields, ({"": "pro"},), "fields must have names that are strings or integers"),
    (SetFields, ({True: "pro"},), "fields must have names"),
    (SetFields, ({None: "pro"},), "fields must have names"),
    (SetFields, ({"plan": ["pro"]},), "fields must have values that are text, finite numbers, True, False or None"),
    (SetFields, ({"score": float("nan")},), "fields must have values"),
    (SetPriority, (), "priority is missing"),
    (SetPriority, ("highest",), "priority must be 'low', 'normal', 'high' or 'urgent'"),
    (SetPriority, ("High",), "priority must be 'low'"),
    (SetPriority, (1,), "priority must be 'low'"),
    (Snooze, (), "until is missing"),
    (
        Snooze,
        (3600,),
        r"a timedelta, or a datetime with a time zone. Write Snooze\(timedelta\(hours=4\)\)",
    ),
    (Snooze, ("4h",), "until must be a timedelta"),
    (Snooze, (date(2026, 11, 24),), "until must be a timedelta"),
    (Snooze, (datetime(2026, 11, 24),), "until must have a time zone"),  # noqa: DTZ001 - the point of the case
    (Snooze, (timedelta(),), "until must be longer than zero and at most ten years"),
    (Snooze, (timedelta(hours=-1),), "until must be longer than zero"),
    (Snooze, (timedelta.max,), "at most ten years"),
    (Snooze, {"hours": 4}, "there is no field 'hours'"),
    (Close, ("now",), "it takes no positional arguments"),
    (Close, {"body": "Bye"}, "there is no field 'body'; it has none"),
    (MarkSpam, (True,), "it takes no positional arguments"),
    (Run, (), "name is missing"),
    (Run, ("",), "name must not be empty"),
    (Run, ("page", "high"), "it takes no positional arguments"),
    (Run, {"name": "page", "arguments": [1]}, "arguments must be a dictionary of names and values"),
    (Run, {"name": "page", "arguments": {"score": float("nan")}}, "arguments must have values that are text, finite"),
]


@pytest.mark.parametrize(("action", "arguments", "message"), MISTAKES)
def test_a_mistake_is_rejected_with_what_to_write_instead(action: Any, arguments: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{action.__name__}: .*{message}") as caught:
        action(**arguments) if isinstance(arguments, dict) else action(*arguments)
    assert f"Write {action.__name__}(" in str(caught.value)
    assert "pydantic" not in str(caught.value)


def test_an_error_lists_every_mistake_in_a_call() -> None:
    mistaken: Any = Reply
    with pytest.raises(ConfigurationError, match=r"no field 'text'.*no field 'to'.*body is missing"):
        mistaken(text="Hi", to="Jane")


def test_an_error_does_not_quote_a_body() -> None:
    mistaken: Any = Reply
    for arguments in ([SECRET, SECRET], [[SECRET]], [{"body": SECRET}]):
        with pytest.raises(ConfigurationError) as caught:
            mistaken(*arguments)
        assert SECRET not in str(caught.value)
    with pytest.raises(ConfigurationError, match="there is no field of that name") as caught:
        mistaken(**{SECRET: "Hi"})
    assert SECRET not in str(caught.value)


def test_ids_may_be_numbers_as_help_desks_show_them() -> None:
    assert Assign(team=123) == Assign(team="123")
    assert Assign(user=0).user == "0"
    by_number: Any = {360001: "pro"}
    assert SetFields(by_number) == SetFields({"360001": "pro"})


def test_arguments_may_be_named() -> None:
    assert Reply(body="Hi") == Reply("Hi")
    names: Any = {"names": ["a", "b"]}
    assert Tag(**names) == Tag("a", "b")


def test_a_time_with_a_zone_is_kept() -> None:
    assert Snooze(datetime(2026, 11, 24, tzinfo=UTC)).until == datetime(2026, 11, 24, tzinfo=UTC)


@pytest.mark.parametrize(
    "row",
    [
        '{"type": "reply", "body": ""}',
        '{"type": "assign"}',
        '{"type": "snooze", "until": "tomorrow"}',
        '{"type": "close", "unknown": 1}',
        '{"type": "explode"}',
        "{}",
        '"close"',
    ],
)
def test_a_stored_action_that_cannot_be_read_raises_the_error_that_inboxes_catch(row: str) -> None:
    with pytest.raises(ValidationError):
        ADAPTER.validate_json(row)


def test_the_text_of_an_action_is_not_in_its_repr() -> None:
    for action in (Reply(SECRET), Note(SECRET), SetFields({"about": SECRET})):
        assert SECRET not in repr(action)
        assert SECRET not in str(action)
