"""The Celery example, unchanged: Flask under gunicorn stores events, and a real worker with beat routes them."""

import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import httpx

from tests.helpers.paths import EXAMPLES
from tests.helpers.servers import Redis, free_port, listens, wait_until
from triage.testing import FakeClaude, FakeIntercom


def test_flask_stores_a_message_and_celery_routes_it(redis_server: Redis, tmp_path: Path) -> None:
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
        for command, arguments in zip(commands, ((), (str(tmp_path / "beat"), "--concurrency", "1")), strict=True):
            process = subprocess.Popen((sys.executable, "-m", *command, *arguments), env=environment, cwd=tmp_path)
            stack.enter_context(process)
            stack.callback(process.terminate)
        wait_until(lambda: listens(port), "gunicorn starts")
        webhook = desk.customer_writes("I was charged twice on my invoice, please refund me.")
        url = f"http://127.0.0.1:{port}/webhooks/intercom"
        # gunicorn listens before it has imported the application.
        response = httpx.post(url, content=webhook.body, headers=webhook.headers, timeout=60)
        assert (response.status_code, response.json()) == (200, {"status": "accepted"})
        conversation = webhook.conversation_id or ""
        wait_until(lambda: bool(desk.replies(conversation)), "the message is routed")
        assert desk.conversations[conversation].team == desk.env("")["INTERCOM_TEAM_BILLING"]
