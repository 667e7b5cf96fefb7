"""The line that says what an evaluation will cost."""

from typing import Any

import pytest

from triage import Conversation
from triage.evals.forecast import Forecast, estimate_total


def describe(**changes: Any) -> str:
    facts: dict[str, Any] = {
        "classifier": "Claude('claude-haiku-5-5')",
        "messages": 300,
        "samples": 1,
        "on_record": 0,
        "cost_usd": 0.0412,
        "is_batch": False,
    }
    return str(Forecast(**(facts | changes)))


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({}, "300 messages, Claude('claude-haiku-5-5'): about $0.04."),
        ({"on_record": 120}, "300 messages, Claude('claude-haiku-5-5'): about $0.04; 120 answers are on record."),
        ({"on_record": 1}, "300 messages, Claude('claude-haiku-5-5'): about $0.04; 1 answer is on record."),
        ({"on_record": 300}, "300 messages, Claude('claude-haiku-5-5'): nothing to ask; 300 answers are on record."),
        ({"cost_usd": 0.002}, "300 messages, Claude('claude-haiku-5-5'): less than $0.01."),
        ({"cost_usd": 1234.5}, "300 messages, Claude('claude-haiku-5-5'): about $1,234.50."),
        ({"cost_usd": None}, "300 messages, Claude('claude-haiku-5-5'): the price is not known."),
        ({"cost_usd": 0.0, "classifier": "Rules()"}, "300 messages, Rules(): free."),
        ({"is_batch": True}, "300 messages, Claude('claude-haiku-5-5'): about $0.04 as a batch."),
        ({"messages": 1, "samples": 3}, "1 message with 3 samples each, Claude('claude-haiku-5-5'): about $0.04."),
        ({"messages": 10_000}, "10,000 messages, Claude('claude-haiku-5-5'): about $0.04."),
    ],
)
def test_the_forecast_is_one_line(changes: dict[str, Any], line: str) -> None:
    assert describe(**changes) == line


def create_conversations(number: int) -> list[Conversation]:
    return [Conversation(id=f"c{index}") for index in range(number)]


def test_the_costs_of_a_few_messages_are_added_up() -> None:
    costs = {"c0": 1.0, "c1": 2.0, "c2": 4.0}
    assert estimate_total(create_conversations(3), lambda conversation: costs[conversation.id]) == 7.0


def test_the_cost_of_many_messages_is_extrapolated_from_a_sample() -> None:
    asked: list[str] = []

    def estimate(conversation: Conversation) -> float:
        asked.append(conversation.id)
        return 0.5

    assert estimate_total(create_conversations(1_000), estimate) == 500.0
    assert len(asked) == 200
    assert asked[-1] == "c995"


def test_one_unknown_price_makes_the_total_unknown() -> None:
    assert estimate_total(create_conversations(2), lambda each: None if each.id == "c1" else 1.0) is None


def test_no_messages_cost_nothing() -> None:
    assert estimate_total([], lambda conversation: None) == 0.0
