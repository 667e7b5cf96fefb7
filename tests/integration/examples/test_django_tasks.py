"""What docs/reliability.md says of django.tasks, as it stands there, in a Django project."""

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
from triage import Router, default_buckets
from triage.inbox import SQLiteInbox
from triage.testing import Skewed
from triage.vendors import Intercom

clock = Skewed()
router = Router(
    Intercom.from_env(),
    buckets=default_buckets.from_env("INTERCOM"),
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
assert router.inbox.count_states()["ready"] == 1, "it is not overdue"
clock.seconds += 60
tasks.sweep()
assert router.inbox.count_states()["finished"] == 2
"""


def test_tasks_of_django_route_what_is_stored_and_the_sweep_what_was_lost(tmp_path: Path) -> None:
    (block,) = re.findall(r"```python\n(from django\.tasks .*?)```", PAGE.read_text(), re.DOTALL)
    module = "django_tasks" if django.VERSION < (6,) else "django.tasks"  # the same, for earlier ones
    (tmp_path / "helpdesk").mkdir()
    (tmp_path / "helpdesk" / "app.py").write_text(APP)
    (tmp_path / "helpdesk" / "tasks.py").write_text(block.replace("django.tasks", module))
    (tmp_path / "project.py").write_text(PROJECT.replace("django_tasks", module))
    desk = FakeIntercom()
    with desk.serve() as base_url:
        webhooks = [desk.customer_writes("I was charged twice.") for _ in range(2)]
        ran = subprocess.run(
            (sys.executable, "project.py"),
            input=json.dumps([{"body": one.body.decode(), "headers": dict(one.headers)} for one in webhooks]),
            env=os.environ | desk.env(base_url),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
    assert ran.returncode == 0, ran.stderr
    assert [len(desk.replies(webhook.conversation_id or "")) for webhook in webhooks] == [1, 1]
