"""Read conversations from an inbox, with the buckets to which they were routed."""

import math
import os
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from triage.errors import ConfigurationError, DatasetError
from triage.evals.decoding import PathLike
from triage.evals.example import Example
from triage.evals.wording import join_some
from triage.inbox import open_inbox
from triage.inbox.base import Operator
from triage.inbox.entries import iterate_entries
from triage.models import Entry


def read_inbox_examples(
    inbox: Operator | PathLike, owner: str | None, since: datetime | None, until: datetime | None, name: str
) -> list[Example]:
    """Read the classified conversations, oldest first, each in its latest state.

    Args:
        inbox: The inbox, its file or its address.
        owner: The name of the Router; None if the inbox has only one.
        since: Leave out messages received before.
        until: Leave out messages received at this time or later.
        name: The name of the data set, for messages.

    Raises:
        ConfigurationError: The inbox cannot be opened.
        DatasetError: The inbox contains no such conversations, or those of several Routers.
        InboxError: The inbox cannot be read.
    """
    first = -math.inf if since is None else _to_seconds(since)
    last = math.inf if until is None else _to_seconds(until)
    examples: dict[str, Example] = {}
    owners: set[str] = set()
    with _open(inbox) as opened:
        for entry in iterate_entries(opened):
            if entry.event is None or owner not in (None, entry.event.owner) or not first <= entry.received < last:
                continue
            example = _build_example(entry)
            if example is not None:
                owners.add(entry.event.owner)
                examples.setdefault(example.conversation.id, example)  # the first one is the newest
    if len(owners) > 1:
        raise DatasetError(
            f"{name} contains the events of several Routers: {join_some(sorted(owners), 10)}. "
            f"Pass owner={min(owners)!r}, for example."
        )
    if not examples:
        raise DatasetError(f"{name} contains no conversations that a classifier has routed in this period.")
    return list(reversed(examples.values()))


@contextmanager
def _open(inbox: Operator | PathLike) -> Generator[Operator]:
    if not isinstance(inbox, str | os.PathLike):
        yield inbox
        return
    address = str(inbox)
    if "://" not in address and not Path(address).is_file():  # which would be created
        raise DatasetError(f"{address}: there is no such file.")
    opened = open_inbox(address)
    try:
        yield opened
    finally:
        opened.close()


def _to_seconds(time: object) -> float:
    if not isinstance(time, datetime):
        raise ConfigurationError("since and until must be times. Write datetime(2026, 11, 1, tzinfo=UTC), for example.")
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def _build_example(entry: Entry) -> Example | None:
    verdict, conversation = entry.ledger.verdict, entry.ledger.conversation
    if verdict is None or verdict.fallback or conversation is None or not conversation.has_text:
        return None
    customer = conversation.customer
    fields = {
        "key": entry.key,
        "received": datetime.fromtimestamp(entry.received, UTC).isoformat(timespec="seconds"),
        "status": entry.ledger.status,
        "confidence": f"{verdict.confidence:g}",
    }
    return Example(conversation, verdict.bucket, customer.id or customer.email or conversation.id, fields)
