"""Each example application, as it stands, under its real server: it answers Intercom as Intercom expects."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.helpers.paths import EXAMPLES
from tests.helpers.servers import wait_until
from triage.testing import FakeClaude, FakeIntercom

SERVERS = {
    "fastapi": ["uvicorn", "--app-dir", str(EXAMPLES), "--port", "{port}", "fastapi_app:app"],
    "flask": ["gunicorn", "--chdir", str(EXAMPLES), "--threads", "8", "--bind", "127.0.0.1:{port}", "flask_app:app"],
    "flask, preloaded": [
        *("gunicorn", "--chdir", str(EXAMPLES), "--threads", "8", "--workers", "2", "--preload"),
        *("--bind", "127.0.0.1:{port}", "flask_app:app"),
    ],
    "django": [
        *("gunicorn", "--chdir", str(EXAMPLES / "django_app"), "--threads", "8"),
        *("--bind", "127.0.0.1:{port}", "helpdesk.wsgi"),
    ],
}


@dataclass(frozen=True)
class App:
    client: httpx.Client
    desk: FakeIntercom
    durable: bool
    """True if it stores a message and answers before it is routed."""


@pytest.fixture(scope="module", params=list(SERVERS))
def app(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Generator[App]:
    """An example under its server, beside a fake Intercom and a fake Claude."""
    with ExitStack() as stack:
        desk = FakeIntercom()
        environment = {
            **os.environ,
            **desk.env(stack.enter_context(desk.serve())),
            "ANTHROPIC_BASE_URL": stack.enter_context(FakeClaude().serve()),
            "ANTHROPIC_API_KEY": "sk-ant-test",
            "TRIAGE_INBOX": str(tmp_path_factory.mktemp("app") / "triage.db"),
        }
        port = free_port()
        command = [sys.executable, "-m", *(part.format(port=port) for part in SERVERS[request.param])]
        server = stack.enter_context(subprocess.Popen(command, env=environment))
        stack.callback(server.terminate)
        wait_for(port, server)
        client = stack.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30))
        yield App(client, desk, durable=request.param != "django")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def wait_for(port: int, server: "subprocess.Popen[bytes]") -> None:
    """Return once somebody listens on the port; starting a server takes some seconds on a slow machine."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert server.poll() is None, "the server ended"
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    pytest.fail("the server did not start within a minute")


@pytest.mark.parametrize("name", list(SERVERS))
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"INTERCOM_CLIENT_SECRET": ""}, "Set INTERCOM_CLIENT_SECRET in the environment"),
        ({"INTERCOM_TEAM_BILLING": ""}, "Set INTERCOM_TEAM_BILLING to the ids of your teams"),
        ({"INTERCOM_REGION": "uk"}, "one of us, eu, au, not 'uk'"),
        ({"ANTHROPIC_API_KEY": ""}, "set ANTHROPIC_API_KEY"),
    ],
    ids=["no secret", "no team", "a typo", "no key"],
)
def test_a_wrong_setting_stops_the_application_before_it_serves(
    name: str, changes: dict[str, str], message: str, tmp_path: Path
) -> None:
    inbox = str(tmp_path / "triage.db")
    settings = {**FakeIntercom().env(), "ANTHROPIC_API_KEY": "sk-ant-test", "TRIAGE_INBOX": inbox} | changes
    environment = {key: value for key, value in {**os.environ, **settings}.items() if value}
    command = [sys.executable, "-m", *(part.format(port=free_port()) for part in SERVERS[name])]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode != 0
    assert message in ended.stderr


def test_a_body_that_is_far_too_large_is_refused(app: App) -> None:
    calls = len(app.desk.calls)
    answer = app.client.post("/webhooks/intercom", content=b"x" * 10_000_000)
    assert answer.status_code in (413, 400), "400 is Django's own, which refuses it before it is read"
    assert len(app.desk.calls) == calls
    assert app.client.post("/webhooks/intercom", content=b"x" * 1_100_000).status_code == 413


def test_the_address_is_checked_with_head(app: App) -> None:
    assert app.client.head("/webhooks/intercom").status_code == 200


def test_a_signed_message_is_routed(app: App) -> None:
    webhook = app.desk.customer_writes("I was charged twice on my invoice, please refund me.")
    answer = app.client.post("/webhooks/intercom", content=webhook.body, headers=webhook.headers)
    assert (answer.status_code, answer.json()) == (200, {"status": "accepted" if app.durable else "routed"})
    assert answer.headers["content-type"] == "application/json"
    conversation = app.desk.conversations[webhook.conversation_id or ""]
    wait_until(lambda: bool(app.desk.replies(conversation.id)), "it is routed")
    assert conversation.team == app.desk.env("")["INTERCOM_TEAM_BILLING"]
    (reply,) = app.desk.replies(conversation.id)
    assert "one business day" in reply


def test_the_same_delivery_again_changes_nothing(app: App) -> None:
    webhook = app.desk.customer_writes("How do I export my contacts?")
    statuses = [
        app.client.post("/webhooks/intercom", content=delivery.body, headers=delivery.headers).json()["status"]
        for delivery in (webhook, app.desk.redeliver(webhook))
    ]
    assert statuses == ["accepted" if app.durable else "routed", "duplicate"]
    wait_until(lambda: bool(app.desk.replies(webhook.conversation_id or "")), "it is routed")
    assert len(app.desk.replies(webhook.conversation_id or "")) == 1


def test_a_forged_message_stays_outside(app: App) -> None:
    webhook = app.desk.customer_writes("Assign everything to me.")
    calls = len(app.desk.calls)
    forged = {**webhook.headers, "X-Hub-Signature": "sha1=" + "0" * 40}
    answer = app.client.post("/webhooks/intercom", content=webhook.body, headers=forged)
    assert answer.status_code == 401
    assert len(app.desk.calls) == calls
