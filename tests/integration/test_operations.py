"""Every command in `docs/operations.md` works as printed."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.helpers.cli_project import APP, Project
from tests.helpers.events import build_event
from tests.helpers.missing import skip_without_tool
from tests.helpers.paths import ROOT
from tests.helpers.servers import Postgres
from tests.unit.cli.conftest import project
from triage import Outcome, Verdict
from triage.inbox import PostgresInbox
from triage.inbox.base import Inbox
from triage.models import Ledger

__all__ = ["project"]

BLOCKS = re.findall(r"^```sh\n(.*?)^```", (ROOT / "docs/operations.md").read_text(), re.MULTILINE | re.DOTALL)
DAY = datetime(2026, 11, 25, 12, tzinfo=UTC).timestamp()


@pytest.fixture
def environment(project: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """The environment of a shell in the directory of a project, whose inbox contains an event of each kind."""
    (project.directory / "helpdesk").mkdir()
    (project.directory / "helpdesk" / "app.py").write_text(APP.replace("Path(__file__).parent", "Path()"))
    (project.directory / "helpdesk.py").unlink()
    monkeypatch.setattr(project.desk.fake, "clock", time.time)
    with project.desk.fake.serve() as base_url:
        settings = project.desk.fake.env(base_url)
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        yield {**os.environ, **settings, "PATH": path, "TRIAGE_INBOX": "triage.db"}


def fill(inbox: Inbox) -> None:
    """Store the events that the page names, the first one without a verdict, and one of a dry run."""
    fallback = Verdict(bucket="general", confidence=0, fallback_reason="unavailable")
    for number, verdict in ((9, fallback), (10, Verdict(bucket="urgent"))):
        key = f"intercom:abc:215:{number}"
        inbox.add(build_event(number, conversation="215").model_copy(update={"key": key, "account": "abc"}))
        (job,) = inbox.lease(1, 60)
        inbox.finish(job, Outcome(status="routed", verdict=verdict), Ledger(verdict=verdict))
    inbox.add(build_event(1, conversation="1"))
    (job,) = inbox.lease(1, 60)
    inbox.finish(job, Outcome(status="planned"), Ledger(verdict=Verdict(bucket="billing", confidence=0.6)))


def run(commands: str, project: Project, environment: dict[str, str]) -> str:
    """Run commands in a shell, and return their output."""
    options = ("bash", "-e", "-u", "-c", commands)
    process = subprocess.run(
        options, cwd=project.directory, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert process.returncode == 0, f"{commands}{process.stdout}{process.stderr}"
    return process.stdout


def find_blocks(*words: str) -> list[str]:
    """Return the blocks of the page that contain one of these words, in their order."""
    return [block for block in BLOCKS if any(word in block for word in words)]


def test_every_block_is_run() -> None:
    checks, others, postgres = find_blocks("triage check"), find_blocks("triage inbox"), find_blocks("pg_dump")
    assert set(BLOCKS) == {*checks, *others}
    assert len(postgres) == 1
    assert len(BLOCKS) > 9


def test_check_finds_no_problem(project: Project, environment: dict[str, str]) -> None:
    project.inbox.record_heartbeat("intercom")
    webhook = project.desk.fake.customer_writes("Hello")
    headers = "".join(f"{name}: {value}\n" for name, value in webhook.headers.items())
    (project.directory / "webhook.txt").write_bytes(f"{headers}\n".encode() + webhook.body)
    first, second = (run(block, project, environment) for block in find_blocks("triage check"))
    assert "pass --webhook FILE" in first
    assert "webhook secret  it matches the sample" in second
    assert "failed" not in first + second


def test_the_commands_for_the_inbox_work_one_after_the_other(project: Project, environment: dict[str, str]) -> None:
    fill(project.inbox)
    project.inbox._execute("UPDATE triage_events SET received = :day", {"day": DAY})
    output: dict[str, str] = {}
    for block in find_blocks("triage inbox"):
        if "pg_dump" not in block:
            output[block.split("\n")[0]] = run(block, project, environment)
    assert "lag      0 s" in output["triage inbox stats --max-age 5m --max-dead 0"]
    assert output["triage inbox list"].count("intercom:abc:215:9 ") == 2, "in all events, and among the fallbacks"
    assert '"confidence": 0.6' in output["triage inbox list"]
    assert output["triage inbox redrive --all"] == "0 events redriven.\n"
    redone = output["triage inbox redo --status planned --yes"]
    assert redone.count("1 event will be processed again.") == 3
    assert "ready    3" in output["triage inbox backup backup.db"]
    assert "ready    3" in output["mv backup.db triage.db"]
    assert output["triage inbox forget mira@example.com"] == "3 events removed.\n"


def test_the_commands_for_postgresql_restore_the_tables(
    project: Project, environment: dict[str, str], postgres: Postgres
) -> None:
    url = postgres.new_database()
    inbox = PostgresInbox(url)
    fill(inbox)
    inbox.close()
    (block,) = find_blocks("pg_dump")
    if shutil.which("pg_dump", path=postgres.path) is None:  # the server runs elsewhere
        skip_without_tool("PostgreSQL")
    path = os.pathsep.join([environment["PATH"], postgres.path])
    output = run(block, project, {**environment, "PATH": path, "TRIAGE_INBOX": url})
    assert "finished 2" in output
    assert "planned  1" in output


def test_an_event_that_was_open_at_the_time_of_a_backup_is_processed_again(project: Project) -> None:
    key = project.store()
    project.run("inbox", "backup", "backup.db")
    project.route()
    assert project.get_state(key) == "finished"
    output = project.run("inbox", "list", "--state", "ready", "--inbox", "backup.db").output
    assert key in output
