"""What the other events of a conversation tell about it."""

from datetime import UTC, datetime
from typing import Any

import pytest

from triage import Outcome, Verdict
from triage.engine.history import History
from triage.models import Entry, Ledger, State, Status


def entry(
    number: int, status: Status | None = None, *, state: State = "finished", bucket: str | None = None, **fields: Any
) -> Entry:
    """Return an entry that was received and settled at the second `number`."""
    verdict = Verdict(bucket=bucket) if bucket else None
    return Entry(
        number=number,
        key=f"intercom:a:1:{number}",
        state=state,
        due=number,
        attempts=1,
        received=number,
        changed=number,
        outcome=Outcome(status=status) if status else None,
        ledger=Ledger(verdict=verdict, **fields.pop("ledger", {})),
        **fields,
    )


def test_only_an_event_that_waits_and_came_later_is_newer() -> None:
    waiting = entry(5, state="ready")
    assert History([waiting], received=3).newer == waiting
    assert History([waiting], received=6).newer is None
    assert History([entry(5, "routed")], received=3).newer is None
    assert History().newer is None


def test_events_that_superseded_one_another_have_waited_since_the_first() -> None:
    entries = [
        entry(9, state="ready"),
        entry(6, "superseded"),
        entry(5, "superseded"),
        entry(4, "routed"),
        entry(3, "superseded"),
    ]
    assert History(entries, received=7).waiting_since == 5
    assert History(entries[:1], received=7).waiting_since == 7


def test_handled_events_are_counted_in_a_period() -> None:
    entries = [entry(number, "routed", handled=number != 3) for number in (5, 4, 3, 2)]
    assert History(entries).count_handled(since=2) == 2


@pytest.mark.parametrize(
    ("entries", "since", "bucket"),
    [
        ([entry(5, "routed", bucket="urgent"), entry(4, "routed", bucket="general")], 0, "urgent"),
        ([entry(5, "ignored", bucket="spam"), entry(4, "closed", bucket="general")], 0, "general"),
        ([entry(5, "failed", bucket="spam"), entry(4, "partial", bucket="general")], 0, "general"),
        ([entry(5, "routed", bucket="urgent")], 5, None),
        ([entry(5, "superseded")], 0, None),
        ([entry(5, state="ready")], 0, None),
        ([], 0, None),
    ],
)
def test_the_bucket_is_the_one_to_which_the_conversation_was_last_routed(
    entries: list[Entry], since: float, bucket: str | None
) -> None:
    assert History(entries).find_bucket(since, None) == bucket


def test_closing_a_conversation_ends_what_was_decided_before() -> None:
    history = History([entry(5, "routed", bucket="urgent")])
    assert history.find_bucket(0, datetime.fromtimestamp(4, UTC)) == "urgent"
    assert history.find_bucket(0, datetime.fromtimestamp(6, UTC)) is None


def test_messages_of_failed_events_do_not_count_as_judged_but_as_written() -> None:
    entries = [
        entry(5, "routed", ledger={"judged": ("1", "2"), "written": ("a",)}),
        entry(4, "failed", state="dead", ledger={"judged": ("3",), "written": ("b",)}),
    ]
    history = History(entries)
    assert history.judged == {"1", "2"}
    assert history.written == {"a", "b"}
