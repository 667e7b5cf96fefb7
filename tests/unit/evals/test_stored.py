"""Data sets of what was really routed."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.events import build_event
from triage import ConfigurationError, Conversation, Customer, Message, Outcome, Verdict
from triage.errors import DatasetError
from triage.evals import Dataset
from triage.inbox import SQLiteInbox
from triage.inbox.base import Inbox
from triage.models import Ledger

START = datetime(2026, 11, 1, tzinfo=UTC)


class Clock:
    now = START.timestamp()

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def inbox(tmp_path: Path, clock: Clock) -> Iterator[SQLiteInbox]:
    with closing(SQLiteInbox(tmp_path / "triage.db", clock=clock)) as inbox:
        yield inbox


def route(
    inbox: Inbox,
    clock: Clock,
    number: int,
    *,
    conversation: str = "1",
    customer: Customer = Customer(id="mira"),  # noqa: B008 - immutable
    verdict: Verdict | None = Verdict(bucket="billing", confidence=0.9),  # noqa: B008 - immutable
    vendor: str = "intercom",
    text: str = "",
) -> None:
    """Store an event as if it had been routed, an hour after the last one."""
    inbox.add(build_event(number, conversation, vendor=vendor))
    message = Message(id=str(number), role="customer", text=text or f"Message {number}")
    seen = Conversation(id=conversation, customer=customer, messages=(message,))
    (job,) = inbox.lease(1, 60)
    inbox.finish(job, Outcome(status="routed"), Ledger(verdict=verdict, conversation=seen))
    clock.now += 3600


def test_routed_conversations_are_read_with_their_verdicts(inbox: SQLiteInbox, clock: Clock) -> None:
    route(inbox, clock, 1)
    route(inbox, clock, 2, conversation="2", customer=Customer(), verdict=Verdict(bucket="spam", confidence=0.25))
    route(inbox, clock, 3, conversation="3", customer=Customer(email="a@b.c"))
    dataset = Dataset.from_inbox(inbox)
    assert [(example.text, example.bucket) for example in dataset] == [
        ("Message 1", "billing"),
        ("Message 2", "spam"),
        ("Message 3", "billing"),
    ]
    assert [example.group for example in dataset] == ["mira", "2", "a@b.c"]
    assert dataset[1].fields == {
        "key": "intercom:a:2:2",
        "received": "2026-11-01T01:00:00+00:00",
        "status": "routed",
        "confidence": "0.25",
    }
    assert dataset.name == "inbox"


def test_only_the_newest_verdict_of_a_conversation_is_used(inbox: SQLiteInbox, clock: Clock) -> None:
    route(inbox, clock, 1)
    route(inbox, clock, 2, verdict=Verdict(bucket="spam"))
    (example,) = Dataset.from_inbox(inbox)
    assert (example.text, example.bucket) == ("Message 2", "spam")


def test_what_no_classifier_has_judged_is_left_out(inbox: SQLiteInbox, clock: Clock) -> None:
    route(inbox, clock, 1)
    route(inbox, clock, 2, conversation="2", verdict=None)
    route(inbox, clock, 3, conversation="3", verdict=Verdict(bucket="spam", fallback_reason="refused"))
    inbox.add(build_event(4, "4"))
    inbox.dead_letter_unreadable("intercom", b"?", "not JSON")
    assert len(Dataset.from_inbox(inbox)) == 1


def test_the_period_can_be_chosen(inbox: SQLiteInbox, clock: Clock) -> None:
    for number in range(4):
        route(inbox, clock, number, conversation=str(number))
    naive = START.replace(tzinfo=None)
    dataset = Dataset.from_inbox(inbox, since=naive + timedelta(hours=1), until=START + timedelta(hours=3))
    assert [example.text for example in dataset] == ["Message 1", "Message 2"]


def test_a_router_must_be_chosen_if_there_are_several(inbox: SQLiteInbox, clock: Clock) -> None:
    route(inbox, clock, 1)
    route(inbox, clock, 2, vendor="front")
    with pytest.raises(DatasetError, match=r"of several Routers: front and intercom. Pass owner='front'"):
        Dataset.from_inbox(inbox)
    assert [example.text for example in Dataset.from_inbox(inbox, owner="front")] == ["Message 2"]


def test_an_inbox_without_verdicts_is_reported(inbox: SQLiteInbox, clock: Clock) -> None:
    with pytest.raises(DatasetError, match="inbox contains no conversations that a classifier has routed"):
        Dataset.from_inbox(inbox)
    route(inbox, clock, 1)
    with pytest.raises(DatasetError, match="contains no conversations"):
        Dataset.from_inbox(inbox, owner="front")


@pytest.mark.parametrize("form", [str, Path])
def test_the_file_of_an_inbox_can_be_read(tmp_path: Path, inbox: SQLiteInbox, clock: Clock, form: Any) -> None:
    route(inbox, clock, 1)
    dataset = Dataset.from_inbox(form(tmp_path / "triage.db"))
    assert (dataset.name, len(dataset)) == ("triage.db", 1)
    assert Dataset.from_inbox(inbox, name="November").name == "November"


def test_a_missing_file_is_reported_and_not_created(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"missing\.db: there is no such file"):
        Dataset.from_inbox(tmp_path / "missing.db")
    assert list(tmp_path.iterdir()) == []


def test_the_address_of_a_server_is_not_a_name(
    monkeypatch: pytest.MonkeyPatch, inbox: SQLiteInbox, clock: Clock
) -> None:
    addresses: list[str] = []

    def open_inbox(address: str) -> SQLiteInbox:
        addresses.append(address)
        return inbox

    monkeypatch.setattr("triage.evals.stored.open_inbox", open_inbox)
    route(inbox, clock, 1)
    assert Dataset.from_inbox("postgresql://user:password@host/db").name == "inbox"
    assert addresses == ["postgresql://user:password@host/db"]


def test_another_kind_of_file_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "messages.csv"
    path.write_text("text,bucket\n")
    with pytest.raises(ConfigurationError, match="cannot be opened"):
        Dataset.from_inbox(path)


def test_a_period_consists_of_times(inbox: SQLiteInbox) -> None:
    since: Any = "2026-11-01"
    with pytest.raises(ConfigurationError, match="since and until must be times"):
        Dataset.from_inbox(inbox, since=since)
