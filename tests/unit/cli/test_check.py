"""`triage check`, as a user types it."""

import time
from collections.abc import Iterator

import pytest

from tests.helpers.cli_project import Project


@pytest.fixture
def served(project: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the commands reach the fake, whose clock is the real one."""
    with project.desk.fake.serve() as base_url:
        for name, value in project.desk.fake.env(base_url).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(project.desk.fake, "clock", time.time)
        yield


@pytest.mark.usefixtures("served")
def test_check_names_each_finding_and_succeeds(project: Project) -> None:
    project.inbox.record_heartbeat("intercom")
    output = project.run("check", "helpdesk:router").output
    lines = [line.split(maxsplit=1) for line in output.splitlines()]
    assert {status for status, _ in lines} == {"ok", "skipped"}
    assert "ok      credentials     workspace abc123de, teammate 99999 (Triage)" in output
    assert "ok      worker          seen 0 s ago" in output
    assert "pass --webhook FILE" in output


@pytest.mark.usefixtures("served")
def test_check_exits_with_1_after_a_failure_and_says_what_to_do(project: Project) -> None:
    output = project.run("check", "helpdesk:router", "--no-classifier", exit_code=1).output
    assert "failed  worker          A worker of 'intercom' was never seen. Start one" in output
    assert "classifier" not in output


@pytest.mark.usefixtures("served")
def test_check_reads_a_sample_from_a_file(project: Project) -> None:
    project.inbox.record_heartbeat("intercom")
    webhook = project.desk.fake.customer_writes("My card is blue.")
    headers = "\n".join(f"{name}: {value}" for name, value in webhook.headers.items())
    (project.directory / "webhook.txt").write_bytes(headers.encode() + b"\n\n" + webhook.body)
    output = project.run("check", "helpdesk:router", "--webhook", "webhook.txt").output
    assert "ok      webhook secret  it matches the sample" in output
    assert "blue" not in output
    (project.directory / "webhook.txt").write_bytes(headers.encode() + b"\n\n" + webhook.body[1:])
    output = project.run("check", "helpdesk:router", "--webhook", "webhook.txt", exit_code=1).output
    assert "failed  webhook secret  The sample does not match it" in output


def test_a_router_that_cannot_be_created_is_reported_in_one_line(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("INTERCOM_ACCESS_TOKEN")
    assert "Set INTERCOM_ACCESS_TOKEN" in project.run("check", "helpdesk:router", exit_code=2).output
