"""Each example application, unchanged, under its real server: it answers Intercom as Intercom expects."""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Generator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.helpers.paths import EXAMPLES
from tests.helpers.servers import free_port, listens, wait_until
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

MODULES = {
    "fastapi_app": EXAMPLES,
    "flask_app": EXAMPLES,
    "helpdesk.wsgi": EXAMPLES / "django_app",
}
"""The modules that the servers import, and the directories in which they are."""

MISTAKES = {
    "no secret": ({"INTERCOM_CLIENT_SECRET": ""}, "Set INTERCOM_CLIENT_SECRET in the environment"),
    "no team": ({"INTERCOM_TEAM_BILLING": ""}, "Set INTERCOM_TEAM_BILLING to the ids of your teams"),
    "a typo": ({"INTERCOM_REGION": "uk"}, "must be 'us', 'eu' or 'au', not 'uk'"),
    "no key": ({"ANTHROPIC_API_KEY": ""}, "set ANTHROPIC_API_KEY"),
}
"""Changes to correct settings, and a part of the error message that they cause."""

IMPORT_REPEATEDLY = """
import importlib, json, os, sys

modules, settings = json.load(sys.stdin)
messages = {}
for module in modules:
    messages[module] = []
    for changes in settings:
        package = module.partition(".")[0]
        for name in [name for name in sys.modules if name.partition(".")[0] == package]:
            del sys.modules[name]
        saved = dict(os.environ)
        os.environ.update(changes)
        for name in [name for name, value in changes.items() if not value]:
            del os.environ[name]
        try:
            importlib.import_module(module)
            messages[module].append(None)
        except Exception as err:
            messages[module].append(str(err))
        os.environ.clear()
        os.environ.update(saved)
json.dump(messages, sys.stdout)
"""
"""Imports each module with each of some settings, and prints the messages of the errors."""


@dataclass(frozen=True)
class App:
    client: httpx.Client
    desk: FakeIntercom
    stores: bool
    """True if it stores a message and acknowledges it before it is routed."""
    inbox: Path
    """The file of its inbox, if it stores messages."""


@pytest.fixture(scope="module", params=list(SERVERS))
def app(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Generator[App]:
    """An example under its server, with a fake Intercom and a fake Claude."""
    with ExitStack() as stack:
        desk = FakeIntercom()
        inbox = tmp_path_factory.mktemp("app") / "triage.db"
        environment = {
            **os.environ,
            **desk.env(stack.enter_context(desk.serve())),
            "ANTHROPIC_BASE_URL": stack.enter_context(FakeClaude().serve()),
            "ANTHROPIC_API_KEY": "sk-ant-test",
            "TRIAGE_INBOX": str(inbox),
        }
        port = free_port()
        command = [sys.executable, "-m", *(part.format(port=port) for part in SERVERS[request.param])]
        server = stack.enter_context(subprocess.Popen(command, env=environment))
        stack.callback(server.terminate)
        wait_until(lambda: server.poll() is not None or listens(port), "the server starts")
        assert server.poll() is None, "the server exited"
        client = stack.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30))
        yield App(client, desk, stores=request.param != "django", inbox=inbox)


def make_environment(tmp_path: Path) -> dict[str, str]:
    inbox = str(tmp_path / "triage.db")
    return {**os.environ, **FakeIntercom().env(), "ANTHROPIC_API_KEY": "sk-ant-test", "TRIAGE_INBOX": inbox}


@pytest.fixture(scope="module")
def import_messages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str | None]]:
    """For each module, the error message of each mistake, and None for correct settings."""
    environment = make_environment(tmp_path_factory.mktemp("imports"))
    process = subprocess.run(
        [sys.executable, "-c", IMPORT_REPEATEDLY],
        input=json.dumps([list(MODULES), [*(changes for changes, _ in MISTAKES.values()), {}]]),
        env={**environment, "PYTHONPATH": os.pathsep.join([*map(str, MODULES.values()), *sys.path])},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    messages: dict[str, list[str | None]] = json.loads(process.stdout)
    return messages


@pytest.mark.parametrize("module", list(MODULES))
def test_every_wrong_setting_raises_when_the_application_is_imported(
    module: str, import_messages: dict[str, list[str | None]]
) -> None:
    *messages, last = import_messages[module]
    for (_, expected), message in zip(MISTAKES.values(), messages, strict=True):
        assert expected in (message or "")
    assert last is None, "with correct settings, it can be imported"


@pytest.mark.parametrize(("server", "mistake"), list(zip(SERVERS, MISTAKES, strict=True)))
def test_a_wrong_setting_stops_the_server_before_it_accepts_requests(server: str, mistake: str, tmp_path: Path) -> None:
    """A server stops for any error raised by the import, so one mistake for each server is enough."""
    changes, message = MISTAKES[mistake]
    environment = {name: value for name, value in {**make_environment(tmp_path), **changes}.items() if value}
    command = [sys.executable, "-m", *(part.format(port=free_port()) for part in SERVERS[server])]
    process = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert process.returncode != 0
    assert message in process.stderr


def test_a_body_that_is_far_too_large_is_rejected(app: App) -> None:
    for size in (6_000_000, 10_000_000):
        response = app.client.post("/webhooks/intercom", content=b"x" * size)
        assert response.status_code in (413, 400), "400 comes from Django, which rejects the body before reading it"


def test_intercom_can_check_the_url_with_head(app: App) -> None:
    assert app.client.head("/webhooks/intercom").status_code == 200


def test_a_signed_message_is_routed(app: App) -> None:
    webhook = app.desk.customer_writes("I was charged twice on my invoice, please refund me.")
    response = app.client.post("/webhooks/intercom", content=webhook.body, headers=webhook.headers)
    assert (response.status_code, response.json()) == (200, {"status": "accepted" if app.stores else "routed"})
    assert response.headers["content-type"] == "application/json"
    conversation = app.desk.conversations[webhook.conversation_id or ""]
    wait_until(lambda: bool(app.desk.replies(conversation.id)), "the message is routed")
    assert conversation.team == app.desk.env("")["INTERCOM_TEAM_BILLING"]
    (reply,) = app.desk.replies(conversation.id)
    assert "one business day" in reply


def test_a_second_delivery_changes_nothing(app: App) -> None:
    webhook = app.desk.customer_writes("How do I export my contacts?")
    statuses = [
        app.client.post("/webhooks/intercom", content=delivery.body, headers=delivery.headers).json()["status"]
        for delivery in (webhook, app.desk.redeliver(webhook))
    ]
    assert statuses == ["accepted" if app.stores else "routed", "duplicate"]
    wait_until(lambda: bool(app.desk.replies(webhook.conversation_id or "")), "the message is routed")
    assert len(app.desk.replies(webhook.conversation_id or "")) == 1


def test_a_forged_message_is_rejected(app: App) -> None:
    webhook = app.desk.customer_writes("Assign everything to me.")
    calls = len(app.desk.calls)
    forged = {**webhook.headers, "X-Hub-Signature": "sha1=" + "0" * 40}
    response = app.client.post("/webhooks/intercom", content=webhook.body, headers=forged)
    assert response.status_code == 401
    assert len(app.desk.calls) == calls


def test_the_health_checks_answer_200(app: App) -> None:
    for path, status in (("/live", "alive"), ("/ready", "ready")):
        response = app.client.get(path)
        assert (response.status_code, response.json()) == (200, {"status": status}), path
        assert response.headers["content-type"] == "application/json"


def test_an_application_that_cannot_store_webhooks_is_not_ready(app: App) -> None:
    if not app.stores:
        assert app.client.get("/ready").status_code == 200
        return
    with sqlite3.connect(app.inbox) as connection:
        connection.execute("ALTER TABLE triage_limits RENAME TO renamed")
        try:
            response = app.client.get("/ready")
            assert (response.status_code, response.json()) == (503, {"status": "inbox not writable"})
            assert app.client.get("/live").status_code == 200
        finally:
            connection.execute("ALTER TABLE renamed RENAME TO triage_limits")
    assert app.client.get("/ready").status_code == 200


def test_a_body_that_a_proxy_sends_in_chunks_is_read(app: App) -> None:
    webhook = app.desk.customer_writes("Where is my invoice?")
    chunks = (part for part in (webhook.body[:50], webhook.body[50:]))
    response = app.client.post("/webhooks/intercom", content=chunks, headers=dict(webhook.headers))
    assert response.status_code == 200
    assert response.json()["status"] in ("accepted", "routed")
