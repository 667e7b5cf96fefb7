"""Read the entries of an inbox page by page."""

from collections.abc import Iterator

from triage.inbox.base import Operator
from triage.models import Entry, State

PAGE_SIZE = 500


def iterate_entries(inbox: Operator, state: State | None = None) -> Iterator[Entry]:
    """Yield all entries, the newest first.

    Args:
        inbox: The inbox.
        state: Only entries in this state.
    """
    before = None
    while page := inbox.list_entries(state, limit=PAGE_SIZE, before=before):
        yield from page
        before = page[-1].number
