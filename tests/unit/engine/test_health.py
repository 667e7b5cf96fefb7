"""`Router.live` and `Router.ready`."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.api import Api
from tests.helpers.desks import IntercomDesk
from tests.helpers.events import build_event
from triage import ConfigurationError
from triage.inbox import MemoryInbox, SQLiteInbox
from triage.models import HealthResponse


def check(response: HealthResponse, status_code: int, status: str) -> None:
    assert response.status_code == status_code
    assert json.loads(response.body) == {"status": status}
    assert response.headers == {"Content-Type": "application/json", "Cache-Control": "no-store"}


def test_a_router_is_alive_even_if_its_inbox_fails(tmp_path: Path) -> None:
    inbox = SQLiteInbox(tmp_path / "triage.db")
    inbox._execute("DROP TABLE triage_limits", {})
    check(IntercomDesk().router(inbox=inbox).live(), 200, "alive")
    inbox.close()


def test_a_router_without_an_inbox_is_ready(api: Api) -> None:
    check(api.ready(IntercomDesk().router()), 200, "ready")


def test_a_router_whose_workers_keep_up_is_ready(api: Api, tmp_path: Path) -> None:
    inbox = SQLiteInbox(tmp_path / "triage.db")
    inbox.add(build_event(), delay=3600.0)
    check(api.ready(IntercomDesk().router(inbox=inbox)), 200, "ready")
    inbox.close()


def test_an_inbox_that_cannot_be_written_is_named_in_the_log_only(
    api: Api, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    inbox = SQLiteInbox(tmp_path / "triage.db")
    router = IntercomDesk().router(inbox=inbox)
    inbox._execute("DROP TABLE triage_limits", {})
    with caplog.at_level(logging.WARNING, "triage"):
        response = api.ready(router)
    check(response, 503, "inbox not writable")
    assert "no such table" in response.reason
    assert f"intercom is not ready: the inbox {tmp_path}" in caplog.text
    assert repr(response).startswith("HealthResponse(503, reason='the inbox")
    inbox.close()


@pytest.mark.parametrize(("max_lag", "is_ready"), [("5m", False), (601, True), (None, True)])
def test_a_router_whose_oldest_event_waits_too_long_is_not_ready(api: Api, max_lag: Any, *, is_ready: bool) -> None:
    desk = IntercomDesk()
    inbox = MemoryInbox(clock=desk.clock)
    inbox.add(build_event())
    desk.clock.now += 600
    response = api.ready(desk.router(inbox=inbox), max_lag=max_lag)
    check(response, 200 if is_ready else 503, "ready" if is_ready else "behind")
    assert ("waited 600 s" in response.reason) is not is_ready


def test_events_of_other_routers_do_not_count(api: Api) -> None:
    desk = IntercomDesk()
    inbox = MemoryInbox(clock=desk.clock)
    inbox.add(build_event())
    desk.clock.now += 600
    check(api.ready(desk.router(inbox=inbox, name="intercom-eu")), 200, "ready")


def test_a_wrong_duration_is_rejected(api: Api) -> None:
    with pytest.raises(ConfigurationError, match="max_lag"):
        api.ready(IntercomDesk().router(), max_lag="soon")


def test_a_health_response_cannot_be_serialized_by_accident() -> None:
    with pytest.raises(TypeError, match="cannot send this response"):
        dict(IntercomDesk().router().live())
