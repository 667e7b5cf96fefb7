"""The command as a user runs it: in a process of its own, with a real database."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.cli_project import Project
from tests.helpers.servers import Postgres, wait_until
from tests.unit.cli.conftest import project

__all__ = ["project"]


def test_an_inbox_is_named_by_its_address(project: Project, postgres: Postgres) -> None:
    output = project.run("inbox", "stats", "--json", "--inbox", postgres.new_database()).output
    assert json.loads(output)["ready"] == 0


def test_the_command_is_installed() -> None:
    command = Path(sys.executable).parent / "triage"
    result = subprocess.run((command, "--version"), capture_output=True, text=True, check=True)
    assert result.stdout.startswith("triage, version ")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_work_routes_until_a_signal_and_finishes_the_running_events(project: Project, number: signal.Signals) -> None:
    project.desk.fake.latency = 0.1
    with project.desk.fake.serve() as base_url:
        environment = os.environ | project.desk.fake.env(base_url)
        command = (sys.executable, "-m", "triage", "work", "helpdesk:router", "--concurrency", "2")
        worker = subprocess.Popen(command, env=environment, cwd=project.directory, stderr=subprocess.PIPE, text=True)
        keys = [project.store() for _ in range(6)]
        wait_until(lambda: project.inbox.count_states()["finished"] >= 2, "the worker routes events")
        worker.send_signal(number)
        _, output = worker.communicate(timeout=60)
    assert worker.returncode == 0
    assert "Stopping: waiting for events in progress." in output
    counts = project.inbox.count_states()
    assert (counts["leased"], counts["finished"] + counts["ready"]) == (0, len(keys))
    replies = [len(project.desk.fake.replies(key)) for key in project.desk.fake.conversations]
    assert sorted(replies) == [0] * counts["ready"] + [1] * counts["finished"]
