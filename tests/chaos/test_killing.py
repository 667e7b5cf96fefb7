"""A sample of `make chaos`: killed, stopped and poisoned processes lose no event and handle none twice."""

import os

import pytest
from typing_extensions import override

from tests.chaos.execute import execute_run
from tests.chaos.inboxes import Boundary
from tests.chaos.kills import KillRun
from tests.chaos.poison import PoisonRun
from tests.chaos.report import Report
from tests.chaos.run import Run
from tests.chaos.stops import StopRun
from tests.helpers.servers import Postgres

pytestmark = pytest.mark.filterwarnings("ignore:This process.*multi-threaded:DeprecationWarning")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANTHROPIC_BASE_URL", "ANTHROPIC_API_KEY", "SSL_CERT_FILE"):
        monkeypatch.setenv(name, "")  # a run sets them; monkeypatch restores them


# The steps are chosen so that help desks, boundaries and moments change from one seed to the next.
SEEDS = range(0, 380, 38) if os.environ.get("CI") else range(0, 380, 76)
POSTGRES_SEEDS = range(1, 337, 56) if os.environ.get("CI") else range(1, 337, 112)


@pytest.mark.parametrize("seed", SEEDS)
def test_killed_processes_lose_no_event_and_handle_none_twice(seed: int) -> None:
    check(KillRun, seed)


@pytest.mark.parametrize("kind", [StopRun, PoisonRun])
@pytest.mark.parametrize("seed", [2, 6])
def test_stopped_and_poisoned_workers_lose_no_event_and_handle_none_twice(kind: type[Run], seed: int) -> None:
    check(kind, seed)


class StopBeforeReply(StopRun):
    """Stops each worker after it has checked its lease, right before its first reply."""

    @override
    def choose_moment(self) -> Boundary:
        self.concurrency = 1  # the second call is the reply to the first event
        return Boundary("call", 2, "before")


def test_a_worker_that_is_stopped_right_before_a_reply_does_not_send_it_afterwards() -> None:
    report = check(StopBeforeReply, 0)
    assert report.takeovers > 0


@pytest.fixture(scope="module")
def database(postgres: Postgres) -> str:
    return postgres.new_database()


@pytest.mark.parametrize("seed", POSTGRES_SEEDS)
def test_killed_processes_lose_no_event_and_handle_none_twice_with_postgres(seed: int, database: str) -> None:
    check(KillRun, seed, database)


@pytest.mark.parametrize("kind", [StopRun, PoisonRun])
def test_stopped_and_poisoned_workers_lose_no_event_and_handle_none_twice_with_postgres(
    kind: type[Run], database: str
) -> None:
    check(kind, 1, database)


def check(kind: type[Run], seed: int, database: str | None = None) -> Report:
    report = execute_run(seed, database, kind)
    assert list(report.list_failures()) == []
    assert report.finished + report.dead.total() >= report.answered
    assert report.events > 0
    return report
