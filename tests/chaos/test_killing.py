"""A sample of `make chaos`: workers that are killed with signal 9 lose nothing and do nothing twice."""

import pytest

from chaos.killing import one_run


@pytest.mark.filterwarnings("ignore:This process.*multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("seed", range(10))
def test_nothing_is_lost_and_nothing_done_twice(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANTHROPIC_BASE_URL", "ANTHROPIC_API_KEY"):
        monkeypatch.setenv(name, "")  # and is as it was when the test is over
    report = one_run(seed)
    assert (report.lost, report.doubled) == ([], [])
    assert report.finished + sum(report.parked.values()) == report.events > 0
