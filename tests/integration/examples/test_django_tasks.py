"""The code for django.tasks in docs/reliability.md, unchanged, in a Django project."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import django

from tests.helpers.paths import DOCS
from triage.testing import FakeIntercom

PAGE = DOCS / "reliability.md"
APP = """
from triage import Router
from triage.inbox import SQLiteInbox
from triage.testing import SkewedClock
from triage.vendors import Intercom

clock = SkewedClock()
router = Router.from_env(
    Intercom,
    classifier=lambda text: "billing",
    inbox=SQLiteInbox("triage.db", clock=clock),
)
"""
PROJECT = """
import json, sys
import django
from django.conf import settings

settings.configure(TASKS={"default": {"BACKEND": "django_tasks.backends.immediate.ImmediateBackend"}})
django.setup()
from helpdesk import tasks
from helpdesk.app import clock, router

first, second = json.load(sys.stdin)
assert router.handle(first["body"].encode(), first["headers"]).status_code == 200
assert router.inbox.count_states()["finished"] == 1

event = router.receive(second["body"].encode(), second["headers"]).event
router.inbox.add(event)  # its task was lost
tasks.sweep()
assert router.inbox.count_states()["ready"] == 1, "the event is not overdue yet"
clock.seconds += 60
tasks.sweep()
assert router.inbox.count_states()["finished"] == 2
"""


def test_a_django_task_routes_a_stored_event_and_the_sweep_routes_one_whose_task_was_lost(tmp_path: Path) -> None:
    (block,) = re.findall(r"```python\n(from django\.tasks .*?)```", PAGE.read_text(), re.DOTALL)
    module = "django_tasks" if django.VERSION < (6,) else "django.tasks"  # a backport with the same API
    (tmp_path / "helpdesk").mkdir()
    (tmp_path / "helpdesk" / "app.py").write_text(APP)
    (tmp_path / "helpdesk" / "tasks.py").write_text(block.replace("django.tasks", module))
    (tmp_path / "project.py").write_text(PROJECT.replace("django_tasks", module))
    desk = FakeIntercom()
    with desk.serve() as base_url:
        webhooks = [desk.customer_writes("I was charged twice.") for _ in range(2)]
        deliveries = [{"body": webhook.body.decode(), "headers": dict(webhook.headers)} for webhook in webhooks]
        process = subprocess.run(
            (sys.executable, "project.py"),
            input=json.dumps(deliveries),
            env=os.environ | desk.env(base_url),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
    assert process.returncode == 0, process.stderr
    assert [len(desk.replies(webhook.conversation_id or "")) for webhook in webhooks] == [1, 1]
