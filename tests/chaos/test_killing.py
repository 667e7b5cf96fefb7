"""A sample of `make chaos`: processes that are killed with signal 9 lose nothing and do nothing twice."""

import pytest

from tests.chaos.run import one_run
from tests.helpers.servers import Postgres

pytestmark = pytest.mark.filterwarnings("ignore:This process.*multi-threaded:DeprecationWarning")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANTHROPIC_BASE_URL", "ANTHROPIC_API_KEY"):
        monkeypatch.setenv(name, "")  # and is as it was when the test is over


# The steps are such that help desks, boundaries and moments change from one to the next.
@pytest.mark.parametrize("seed", range(0, 380, 38))
def test_nothing_is_lost_and_nothing_done_twice(seed: int) -> None:
    check(seed)


@pytest.fixture(scope="module")
def database(postgres: Postgres) -> str:
    return postgres.new_database()


@pytest.mark.parametrize("seed", range(1, 337, 56))
def test_the_same_with_postgresql(seed: int, database: str) -> None:
    check(seed, database)


def check(seed: int, database: str | None = None) -> None:
    report = one_run(seed, database)
    assert (report.lost, report.doubled) == ([], [])
    assert report.finished + report.dead.total() >= report.answered
    assert report.events > 0
