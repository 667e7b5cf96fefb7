"""A fake of Claude's API, and `Claude` classifiers that call it; and an environment without scikit-learn."""

import sys
from collections.abc import Generator

import pytest

from tests.helpers.api import Api
from tests.helpers.claude import GOOD, Ask, FakeTime
from triage.testing import FakeClaude


@pytest.fixture
def fake() -> FakeClaude:
    return FakeClaude(lambda request: GOOD, api_key="sk-ant-test")


@pytest.fixture
def server(fake: FakeClaude, monkeypatch: pytest.MonkeyPatch) -> Generator[FakeClaude]:
    with fake.serve() as url:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", url)
        yield fake


@pytest.fixture
def ask(server: FakeClaude, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Ask through the sync entry point: sync and async code share everything but the I/O."""
    return Ask(Api("sync"), server, FakeTime(monkeypatch))


@pytest.fixture
def ask_both(api: Api, server: FakeClaude, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Ask through the sync and the async entry point, one per run of the test."""
    return Ask(api, server, FakeTime(monkeypatch))


@pytest.fixture
def no_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make scikit-learn look as if it was not installed."""
    for name in ("triage.classifiers.logistic", "triage.classifiers.tfidf"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    for name in ("sklearn", "sklearn.feature_extraction.text"):
        monkeypatch.setitem(sys.modules, name, None)
