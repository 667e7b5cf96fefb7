"""`triage work`, as a user types it."""

import os
import signal
import subprocess
import sys

import pytest

from tests.helpers.servers import wait_until
from tests.unit.cli.project import APP, Project


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


def test_work_stops_after_a_signal_during_an_event(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The classifier sends the signal, so that an event is running when it arrives."""
    signaling = APP.replace(
        'return "urgent"', "import os, signal; os.kill(os.getpid(), signal.SIGTERM); return 'urgent'"
    )
    project.write_app(signaling)
    project.store()
    with project.desk.fake.serve() as base_url:
        for name, value in project.desk.fake.env(base_url).items():
            monkeypatch.setenv(name, value)
        assert "Stopping: waiting for events in progress." in project.run("work", "helpdesk:router").output
    assert project.inbox.count_states()["finished"] == 1


def test_work_needs_an_inbox(project: Project) -> None:
    assert "This Router has no inbox" in project.run("work", "helpdesk:without_inbox", exit_code=1).output
