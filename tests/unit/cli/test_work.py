"""`triage work`, as a user types it."""

import pytest

from tests.helpers.cli_project import APP, Project


def test_work_stops_after_a_signal_during_an_event(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The classifier sends the signal, so that an event is running when it arrives."""
    monkeypatch.setattr("triage.cli.work._CHECK", 0.001)
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


def test_work_exits_with_an_error_if_its_worker_fails(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A supervisor starts it again."""

    def fail(*_: object) -> list[object]:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("triage.cli.work._CHECK", 0.01)
    monkeypatch.setattr("triage.inbox.SQLiteInbox.lease", fail)
    output = project.run("work", "helpdesk:router", exit_code=1).output
    assert "The worker failed. A supervisor should start this command again." in output


def test_work_exits_with_an_error_if_its_worker_ends(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("triage.cli.work._CHECK", 0.01)
    monkeypatch.setattr("triage.worker.Worker.alive", False)
    assert "The worker failed." in project.run("work", "helpdesk:router", exit_code=1).output


def test_work_needs_an_inbox(project: Project) -> None:
    assert "This Router has no inbox" in project.run("work", "helpdesk:without_inbox", exit_code=1).output
