"""A limit on the text of a whole conversation that is converted and searched for quotations.

A customer can write many long messages, each of which is below the limit for one message.
"""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

CONVERSATION_CHARACTERS = 500_000
LEAST_CHARACTERS = 4_000  # of each text even if nothing is left, so that our own replies are recognized


class TextBudget:
    """The characters that may still be read. Let the newest messages take first, because they matter most.

    Args:
        characters: The number of characters; None for those of a conversation.
    """

    def __init__(self, characters: int | None = None) -> None:
        self._left = CONVERSATION_CHARACTERS if characters is None else characters

    def take(self, text: str) -> str:
        """Return as much of the beginning of a text as the budget allows."""
        cut = text[: max(self._left, LEAST_CHARACTERS)]
        self._left = max(0, self._left - len(cut))
        return cut


_markup: ContextVar[TextBudget | None] = ContextVar("triage_markup_budget", default=None)


@contextmanager
def limit_markup() -> Generator[None]:
    """Let all calls of `from_html` within this context share a budget."""
    token = _markup.set(TextBudget())
    try:
        yield
    finally:
        _markup.reset(token)


def take_markup(markup: str) -> str:
    """Return as much of the markup as the budget of this context allows, and all of it if there is none."""
    budget = _markup.get()
    return markup if budget is None else budget.take(markup)
