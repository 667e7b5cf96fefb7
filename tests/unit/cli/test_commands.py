"""The `triage` command, as a user types it."""

import json
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.helpers.api import Api
from tests.helpers.desks import IntercomDesk
from tests.helpers.routing import handle
from tests.helpers.servers import Postgres, wait_until
from tests.helpers.watched import WatchedInbox
from triage import Action, Reply, SetPriority, Tag, Worker
from triage.cli import main
from triage.cli.commands import _short, triage

APP = """
from pathlib import Path
from triage import Router, default_buckets
from triage.inbox import SQLiteInbox
from triage.vendors import Intercom

class Nested:
    number = 1

def classify(text):
    return "urgent"

def made(inbox=None):
    return Router(
        Intercom.from_env(), buckets=default_buckets.from_env("INTERCOM"), classifier=classify, inbox=inbox
    )

router = made(SQLiteInbox(Path(__file__).parent / "triage.db"))
without_inbox = made()
"""


class Stage:
    """A project of a user's, with events in every state."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.desk = IntercomDesk()
        self.desk.fake.rate_limit = None
        self.path = directory / "triage.db"
        self.inbox = WatchedInbox(self.path)
        self.router = self.desk.router(inbox=self.inbox)
        (directory / "helpdesk.py").write_text(APP)

    def store(self, text: str = "This is billing. My card is blue.") -> str:
        handle(Api("sync"), self.router, self.desk.fake.customer_writes(text))
        return self.inbox.list_entries()[0].key

    def route(self, text: str = "This is billing. My card is blue.") -> str:
        key = self.store(text)
        with Worker(self.router):
            self.inbox.wait()
        return key

    def parked(self) -> str:
        key = self.store()
        (job,) = self.inbox.lease(1, 60)
        self.inbox.dead_letter(job, "status 403")
        return key

    def run(self, *arguments: str, code: int = 0) -> Result:
        done = CliRunner().invoke(triage, arguments, env={"TRIAGE_INBOX": str(self.path)})
        assert done.exit_code == code, done.output
        return done


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Stage]:
    made = Stage(tmp_path)
    monkeypatch.chdir(tmp_path)
    for name, value in made.desk.fake.env().items():
        monkeypatch.setenv(name, value)
    monkeypatch.delitem(sys.modules, "helpdesk", raising=False)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    yield made
    made.inbox.close()


# Looking


def test_list_tells_of_each_event_and_not_what_was_written(stage: Stage) -> None:
    routed, parked, waiting = stage.route(), stage.parked(), stage.store()
    lines = stage.run("inbox", "list").output.splitlines()
    assert [line.split()[2:5] for line in lines] == [
        ["ready", "0x", waiting],
        ["dead", "1x", parked],
        ["finished", "1x", routed],
    ]
    assert lines[1].endswith("status 403")
    assert lines[2].endswith("routed")
    assert "blue" not in "".join(lines)
    assert len(stage.run("inbox", "list", "--limit", "1").output.splitlines()) == 1


def test_list_of_one_state_as_json(stage: Stage) -> None:
    stage.route()
    parked = stage.parked()
    (line,) = stage.run("inbox", "list", "--state", "dead", "--json").output.splitlines()
    told = json.loads(line)
    assert (told["key"], told["state"], told["error"]) == (parked, "dead", "status 403")


def test_list_reads_on_past_a_page(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("triage.cli.commands._PAGE", 2)
    keys = [stage.store() for _ in range(5)]
    told = stage.run("inbox", "list", "--json").output.splitlines()
    assert [json.loads(line)["key"] for line in told] == keys[::-1]


def test_show_tells_the_whole_story_and_the_texts_when_asked(stage: Stage) -> None:
    key = stage.route()
    story = stage.run("inbox", "show", key).output
    assert "verdict      billing (1.00)\n" in story
    assert "step         assign:done\n" in story
    assert "blue" not in story
    assert "business day" not in story
    texts = stage.run("inbox", "show", key, "--text").output
    assert "customer: This is billing. My card is blue." in texts
    assert "business day" in texts


def test_show_before_anything_was_done_and_after_the_fallback(stage: Stage) -> None:
    waiting = stage.store("Hi\x1b[2J")
    assert "\x1b" not in stage.run("inbox", "show", waiting, "--text").output
    stage.router.classifier = lambda text: "no bucket"
    with Worker(stage.router):
        stage.inbox.wait()
    assert "reason       the classifier named none of the buckets" in stage.run("inbox", "show", waiting).output
    malformed = b'{"no": "event"}'
    stage.router.handle(malformed, stage.desk.sign(malformed))
    kept = stage.inbox.list_entries()[0].key
    assert "state        dead" in stage.run("inbox", "show", kept, "--text").output


def test_stats_count(stage: Stage) -> None:
    stage.route()
    stage.parked()
    assert stage.run("inbox", "stats").output.split() == [
        "ready",
        "0",
        "leased",
        "0",
        "finished",
        "1",
        "dead",
        "1",
        "parked",
        "0",
    ]
    assert json.loads(stage.run("inbox", "stats", "--json").output)["dead"] == 1


# Doing


def test_redrive_lets_parked_events_be_tried_again(stage: Stage) -> None:
    first, second, third = stage.parked(), stage.parked(), stage.parked()
    body = b'{"no": "event"}'
    stage.router.handle(body, stage.desk.sign(body))
    assert stage.run("inbox", "redrive", first).output == "1 to be tried again.\n"
    assert stage.run("inbox", "redrive", "--all").output == "2 to be tried again.\n"
    with Worker(stage.router):
        stage.inbox.wait(3)
    assert [stage.inbox.get_entry(key).state for key in (first, second, third)] == ["finished"] * 3  # type: ignore[union-attr]
    assert "not parked, or without an event: nobody" in stage.run("inbox", "redrive", "nobody", code=1).output
    assert "say --all" in stage.run("inbox", "redrive", code=2).output


def test_park_sets_a_waiting_event_aside(stage: Stage) -> None:
    key = stage.store()
    stage.run("inbox", "park", key, "--reason", "looked into by Ada")
    assert "looked into by Ada" in stage.run("inbox", "show", key).output
    assert "The inbox holds no 'nobody'." in stage.run("inbox", "show", "nobody", code=1).output
    assert f"No event '{key}' is waiting." in stage.run("inbox", "park", key, code=1).output


@pytest.mark.parametrize("before", ["0s", "2999-01-01", "2999-01-01T00:00+02:00"])
def test_purge_forgets_what_is_finished_and_what_is_parked_if_told(stage: Stage, before: str) -> None:
    stage.route()
    stage.parked()
    assert stage.run("inbox", "purge", "--before", "1d").output == "0 forgotten.\n"
    assert stage.run("inbox", "purge", "--before", before).output == "1 forgotten.\n"
    assert stage.run("inbox", "purge", "--before", before, "--parked").output == "1 forgotten.\n"
    assert "neither an age" in stage.run("inbox", "purge", "--before", "soon", code=2).output


def test_forget_removes_a_customer(stage: Stage) -> None:
    stage.route()
    assert stage.run("inbox", "forget", "Mira@Example.com").output == "1 removed.\n"
    assert stage.run("inbox", "list").output == ""


# What arguments name


def test_an_inbox_may_be_named_by_its_router_or_its_address(stage: Stage, postgres: Postgres) -> None:
    stage.store()
    named = stage.run("inbox", "stats", "--json", "--inbox", "helpdesk:router").output
    assert json.loads(named)["ready"] == 1
    other = stage.run("inbox", "stats", "--json", "--inbox", postgres.new_database()).output
    assert json.loads(other)["ready"] == 0


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("triag.db", "There is no file 'triag.db'"),
        ("postgresql://127.0.0.1:1/nothing", "cannot be opened"),
        ("helpdesk:without_inbox", "This Router has no inbox"),
        ("helpdesk:Nested.number", "is no Router, and makes none"),
        ("helpdesk:Nested.nothing", "helpdesk has no 'Nested.nothing'"),
        ("nowhere.at:all", "There is no module 'nowhere' here"),
    ],
)
def test_an_inbox_that_cannot_be_had_is_told(stage: Stage, name: str, message: str) -> None:
    code = 1 if "without_inbox" in name else 2
    assert message in stage.run("inbox", "stats", "--inbox", name, code=code).output


def test_a_router_that_cannot_be_had_is_told(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "write module:attribute" in stage.run("work", "helpdesk.py", code=2).output
    monkeypatch.delenv("INTERCOM_CLIENT_SECRET")
    assert "Set INTERCOM_CLIENT_SECRET" in stage.run("replay", "helpdesk:router", code=2).output
    (stage.directory / "wants.py").write_text("import something_else")
    done = CliRunner().invoke(triage, ["replay", "wants:router"])
    assert isinstance(done.exception, ModuleNotFoundError), "a mistake in the user's own code is shown as it is"


def test_an_inbox_that_fails_is_told_in_a_line(stage: Stage) -> None:
    stage.inbox._execute("DROP TABLE triage_events", {})
    assert "Error: the inbox" in stage.run("inbox", "list", code=1).output


# Replay


def test_replay_shows_who_would_be_treated_differently(stage: Stage) -> None:
    stage.route("This is urgent.")
    differing = stage.route()
    shown = stage.run("replay", "helpdesk:router").output
    assert f"{differing}\n  was    billing, routed: assign" in shown
    assert "\n  would  urgent, routed: assign" in shown
    assert shown.endswith("2 events, 1 would be treated differently.\n")
    assert "blue" not in shown
    assert "business day" not in shown
    lines = stage.run("replay", "helpdesk:made", "--inbox", str(stage.path), "--json").output.splitlines()
    assert [json.loads(line)["differs"] for line in lines] == [True, False]
    assert stage.run("replay", "helpdesk:router", "--limit", "1").output.count("was") == 1


def test_replay_tells_what_it_cost(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.route()
    priced = APP.replace('return "urgent"', 'return Verdict(bucket="spam", cost_usd=0.25)')
    (stage.directory / "helpdesk.py").write_text("from triage import Verdict\n" + priced)
    shown = stage.run("replay", "helpdesk:router").output
    assert "would  spam, routed: close\n" in shown
    assert shown.endswith("1 would be treated differently, 0.2500 USD.\n")


# Work


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_work_routes_until_it_is_told_to_end_and_ends_what_it_has_begun(stage: Stage, number: signal.Signals) -> None:
    stage.desk.fake.latency = 0.1
    with stage.desk.fake.serve() as base_url:
        environment = os.environ | stage.desk.fake.env(base_url)
        command = (sys.executable, "-m", "triage.cli", "work", "helpdesk:router", "--concurrency", "2")
        worker = subprocess.Popen(command, env=environment, cwd=stage.directory, stderr=subprocess.PIPE, text=True)
        keys = [stage.store() for _ in range(6)]
        wait_until(lambda: stage.inbox.count_states()["finished"] >= 2, "it works")
        worker.send_signal(number)
        _, told = worker.communicate(timeout=60)
    assert worker.returncode == 0
    assert "Ending what is being worked on." in told
    stats = stage.inbox.count_states()
    assert (stats["leased"], stats["finished"] + stats["ready"]) == (0, len(keys))
    replies = [len(stage.desk.fake.replies(key)) for key in stage.desk.fake.conversations]
    assert sorted(replies) == [0] * stats["ready"] + [1] * stats["finished"]


def test_work_wants_an_inbox(stage: Stage) -> None:
    assert "This Router has no inbox" in stage.run("work", "helpdesk:without_inbox", code=1).output


def test_without_click_the_command_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "triage.cli.commands", raising=False)
    monkeypatch.setitem(sys.modules, "click", None)
    with pytest.raises(SystemExit, match=r"pip install 'chat-triage\[cli\]'"):
        main()


def test_the_command_is_installed() -> None:
    installed = Path(sys.executable).parent / "triage"
    told = subprocess.run((installed, "--version"), capture_output=True, text=True, check=True)
    assert told.stdout.startswith("triage, version ")


def test_work_in_this_process_ends_with_a_signal(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The signal comes from the classifier, so that it finds the worker at work."""
    killing = APP.replace('return "urgent"', "import os, signal; os.kill(os.getpid(), signal.SIGTERM); return 'urgent'")
    (stage.directory / "helpdesk.py").write_text(killing)
    stage.store()
    with stage.desk.fake.serve() as base_url:
        for name, value in stage.desk.fake.env(base_url).items():
            monkeypatch.setenv(name, value)
        assert "Ending what is being worked on." in stage.run("work", "helpdesk:router").output
    assert stage.inbox.count_states()["finished"] == 1


def test_the_current_directory_is_where_modules_are(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    assert stage.run("inbox", "stats", "--inbox", "helpdesk:router").output


def test_the_command_runs_as_a_module_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["triage", "--version"])
    monkeypatch.delitem(sys.modules, "triage.cli.__main__", raising=False)
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("triage.cli", run_name="__main__")
    assert ended.value.code == 0


def test_a_module_of_ours_that_is_missing_is_not_taken_for_click(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "triage.cli.commands", None)
    with pytest.raises(ModuleNotFoundError, match=r"triage\.cli\.commands"):
        main()


@pytest.mark.parametrize(
    ("action", "told"),
    [(Tag("a", "b"), "tag a b"), (SetPriority("high"), "priority high"), (Reply("Secret"), "reply")],
)
def test_an_action_is_told_without_its_text(action: Action, told: str) -> None:
    assert _short(action) == told
