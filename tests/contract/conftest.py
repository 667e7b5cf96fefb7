"""Settings for all contract tests."""

import pytest


@pytest.fixture(autouse=True)
def retry_at_once(no_retry_delays: None) -> None:
    """Do not wait between attempts; the unit tests check how long the delays are."""
