"""A conversation's text is read up to a limit, from its newest message to its oldest."""

from triage.text import TextBudget, from_html, limit_markup
from triage.text.budget import CONVERSATION_CHARACTERS, LEAST_CHARACTERS


def test_a_budget_is_spent_by_the_first_texts_and_leaves_the_beginning_of_each_other() -> None:
    budget = TextBudget(LEAST_CHARACTERS + 1)
    assert budget.take("a" * LEAST_CHARACTERS) == "a" * LEAST_CHARACTERS
    assert budget.take("b" * 10_000) == "b" * LEAST_CHARACTERS
    assert budget.take("c") == "c"


def test_all_conversions_within_the_context_share_a_budget() -> None:
    long = "x" * CONVERSATION_CHARACTERS
    with limit_markup():
        assert from_html(long).text == long
        assert from_html(long).text == "x" * LEAST_CHARACTERS
    assert from_html(long).text == long


def test_a_context_within_another_has_its_own_budget() -> None:
    long = "x" * CONVERSATION_CHARACTERS
    with limit_markup():
        from_html(long)
        with limit_markup():
            assert from_html(long).text == long
        assert from_html(long).text == "x" * LEAST_CHARACTERS
