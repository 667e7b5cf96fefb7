"""Actions: plain data that is checked when the policy is written down."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from triage import Action, Assign, Close, ConfigurationError, MarkSpam, Note, Reply, SetFields, SetPriority, Snooze, Tag
from triage.actions import ACTIONS

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
]


def test_there_is_a_sample_of_each_action() -> None:
    assert {type(action) for action in ONE_OF_EACH} == set(ACTIONS)


@pytest.mark.parametrize("action", ONE_OF_EACH, ids=lambda action: action.type)
def test_an_action_survives_the_way_through_json(action: Action) -> None:
    adapter: TypeAdapter[Action] = TypeAdapter(Action)
    assert adapter.validate_json(adapter.dump_json(action)) == action


@pytest.mark.parametrize("who", [{}, {"team": "1", "user": "2"}, {"team": ""}])
def test_an_assignment_names_one_assignee(who: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="one of team= and user="):
        Assign(**who)


def test_a_time_to_wake_up_has_a_zone() -> None:
    with pytest.raises(ConfigurationError, match="zone"):
        Snooze(datetime(2026, 11, 24))  # noqa: DTZ001 - the point of the test
    assert Snooze(datetime(2026, 11, 24, tzinfo=UTC)).until == datetime(2026, 11, 24, tzinfo=UTC)


def test_empty_actions_are_refused() -> None:
    for make in (lambda: Reply(""), lambda: Note(""), lambda: Tag(), lambda: SetFields({})):
        with pytest.raises(ValidationError):
            make()
