"""A sample of `make chaos`: processes killed with SIGKILL lose no event and handle none twice."""

import os

import pytest

from tests.chaos.run import execute_run
from tests.helpers.servers import Postgres

pytestmark = pytest.mark.filterwarnings("ignore:This process.*multi-threaded:DeprecationWarning")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANTHROPIC_BASE_URL", "ANTHROPIC_API_KEY"):
        monkeypatch.setenv(name, "")  # a run sets them; monkeypatch restores them


# The steps are chosen so that help desks, boundaries and moments change from one seed to the next.
SEEDS = range(0, 380, 38) if os.environ.get("CI") else range(0, 380, 76)
POSTGRES_SEEDS = range(1, 337, 56) if os.environ.get("CI") else range(1, 337, 112)


@pytest.mark.parametrize("seed", SEEDS)
def test_no_event_is_lost_or_handled_twice(seed: int) -> None:
    check(seed)


@pytest.fixture(scope="module")
def database(postgres: Postgres) -> str:
    return postgres.new_database()


@pytest.mark.parametrize("seed", POSTGRES_SEEDS)
def test_no_event_is_lost_or_handled_twice_with_postgres(seed: int, database: str) -> None:
    check(seed, database)


def check(seed: int, database: str | None = None) -> None:
    report = execute_run(seed, database)
    assert (report.lost, report.doubled) == ([], [])
    assert report.finished + report.dead.total() >= report.answered
    assert report.events > 0
