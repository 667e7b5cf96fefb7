"""The warning that nobody processes the stored events."""

import pytest

from tests.helpers.clock import Clock
from tests.helpers.events import build_event, lease_one
from triage import Outcome
from triage.engine.backlog import BacklogWatch
from triage.inbox import MemoryInbox
from triage.testing import FaultyInbox


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def inbox(clock: Clock) -> FaultyInbox:
    return FaultyInbox(MemoryInbox(clock=clock))


@pytest.fixture
def watch(inbox: FaultyInbox, clock: Clock) -> BacklogWatch:
    return BacklogWatch("intercom", inbox, clock)


def test_it_warns_once_a_minute_while_an_event_waits(
    watch: BacklogWatch, inbox: FaultyInbox, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    inbox.add(build_event())
    for _ in range(12):
        watch.check()
        clock.now += 10
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage().startswith("intercom: the oldest stored event has been due for 60 s.")
    watch.check()
    assert "has been due for 120 s" in caplog.text


def test_it_does_not_warn_if_a_worker_processes_the_events(
    watch: BacklogWatch, inbox: FaultyInbox, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    inbox.add(build_event())
    watch.check()
    inbox.finish(lease_one(inbox), Outcome(status="routed"))
    inbox.add(build_event(2))
    clock.now += 59
    watch.check()
    inbox.add(build_event(3, conversation="3"), 60)
    lease_one(inbox)
    clock.now += 1
    watch.check()
    assert caplog.records == []


def test_it_reads_the_inbox_at_most_once_a_minute(watch: BacklogWatch, inbox: FaultyInbox, clock: Clock) -> None:
    inbox.fail("get_lag", times=1)
    for _ in range(59):
        watch.check()
        clock.now += 1
    clock.now -= 3600
    watch.check()  # a clock that was set back does not end the checks
    assert inbox.get_lag("intercom") == 0, "the planned failure was used up"


def test_it_reports_an_inbox_that_cannot_be_read(
    watch: BacklogWatch, inbox: FaultyInbox, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    inbox.fail("get_lag", "locked")
    watch.check()
    clock.now += 60
    watch.check()
    assert "intercom: cannot check whether a worker processes the stored events: the inbox: database is locked" in (
        caplog.text
    )
