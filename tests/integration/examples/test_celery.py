"""The Celery example, as it stands: Flask under gunicorn stores, a real worker with beat routes."""

import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import httpx

from tests.helpers.paths import EXAMPLES
from tests.helpers.servers import Redis, free_port, listens, wait_until
from triage.testing import FakeClaude, FakeIntercom


def test_a_message_is_stored_by_flask_and_routed_by_celery(redis_server: Redis, tmp_path: Path) -> None:
    port = free_port()
    with ExitStack() as stack:
        desk = FakeIntercom()
        environment = {
            **os.environ,
            **desk.env(stack.enter_context(desk.serve())),
            "ANTHROPIC_BASE_URL": stack.enter_context(FakeClaude().serve()),
            "ANTHROPIC_API_KEY": "sk-ant-test",
            "TRIAGE_INBOX": str(tmp_path / "triage.db"),
            "CELERY_BROKER_URL": redis_server.url,
        }
        commands = (
            ("gunicorn", "--chdir", str(EXAMPLES), "--bind", f"127.0.0.1:{port}", "celery_app:flask_app"),
            ("celery", "--workdir", str(EXAMPLES), "--app", "celery_app:celery_app", "worker", "--beat", "--schedule"),
        )
        for command, more in zip(commands, ((), (str(tmp_path / "beat"), "--concurrency", "1")), strict=True):
            started = subprocess.Popen((sys.executable, "-m", *command, *more), env=environment, cwd=tmp_path)
            stack.enter_context(started)
            stack.callback(started.terminate)
        wait_until(lambda: listens(port), "gunicorn starts")
        webhook = desk.customer_writes("I was charged twice on my invoice, please refund me.")
        url = f"http://127.0.0.1:{port}/webhooks/intercom"
        answer = httpx.post(url, content=webhook.body, headers=webhook.headers)
        assert (answer.status_code, answer.json()) == (200, {"status": "accepted"})
        conversation = webhook.conversation_id or ""
        wait_until(lambda: bool(desk.replies(conversation)), "it is routed")
        assert desk.conversations[conversation].team == desk.env("")["INTERCOM_TEAM_BILLING"]
