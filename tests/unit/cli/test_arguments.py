"""Arguments that name a Router or an inbox, and the ways to start the command."""

import importlib
import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.helpers.cli_project import Project
from triage.cli import main
from triage.cli.app import triage


def test_an_inbox_is_named_by_its_router(project: Project) -> None:
    project.store()
    of_router = project.run("inbox", "stats", "--json", "--inbox", "helpdesk:router").output
    assert json.loads(of_router)["ready"] == 1


@pytest.mark.parametrize(
    ("name", "message", "exit_code"),
    [
        ("triag.db", "There is no file 'triag.db'", 2),
        ("postgresql://127.0.0.1:1/nothing", "cannot be opened", 2),
        ("helpdesk:without_inbox", "This Router has no inbox", 1),
        ("helpdesk:Nested.number", "is not a Router and does not return one: it is int", 2),
        ("helpdesk:Nested.nothing", "helpdesk has no 'Nested.nothing'", 2),
        ("nowhere.at:all", "There is no module 'nowhere' here", 2),
    ],
)
def test_an_inbox_that_cannot_be_opened_is_reported(project: Project, name: str, message: str, exit_code: int) -> None:
    assert message in project.run("inbox", "stats", "--inbox", name, exit_code=exit_code).output


def test_a_router_that_cannot_be_imported_is_reported(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "write module:attribute" in project.run("work", "helpdesk.py", exit_code=2).output
    monkeypatch.delenv("INTERCOM_CLIENT_SECRET")
    assert "Set INTERCOM_CLIENT_SECRET" in project.run("replay", "helpdesk:router", exit_code=2).output


@pytest.mark.parametrize("command", ["work", "replay", "check", "eval", "inbox"])
@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import something_else", "ModuleNotFoundError at broken.py:1: No module named 'something_else'."),
        ("\nraise ValueError('no\\nport')", "ValueError at broken.py:2: no port."),
        ("def router(:", "SyntaxError: invalid syntax (broken.py, line 1)."),
        ("def router():\n    return {}['port']", "KeyError at broken.py:2: 'port'."),
        ("def router(port): ...", "broken:router needs arguments. Name a function that needs none, or its result."),
        ("", "broken has no 'router'. It has no Router."),
        ("from helpdesk import without_inbox as b, router as a", "broken has no 'router'. Its Routers are: b, a."),
        ("from helpdesk import Nested as router", "broken:router is not a Router"),
    ],
)
def test_a_mistake_in_the_users_own_module_is_reported_in_one_line(
    project: Project, command: str, source: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "broken", raising=False)
    (project.directory / "broken.py").write_text(source)
    (project.directory / "data.csv").write_text("text,bucket\nHello,general\n")
    arguments = {"eval": ["eval", "broken:router", "data.csv"], "inbox": ["inbox", "stats", "-i", "broken:router"]}
    output = project.run(*arguments.get(command, [command, "broken:router"]), exit_code=2).output
    (line,) = output.splitlines()
    assert line.startswith("Error: ")
    assert message in line.replace(f"{project.directory}/", "")


def test_modules_are_imported_from_the_current_directory(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    assert project.run("inbox", "stats", "--inbox", "helpdesk:router").output


def test_the_package_runs_as_a_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["triage", "--version"])
    monkeypatch.delitem(sys.modules, "triage.__main__", raising=False)
    with pytest.raises(SystemExit) as raised:
        # Not `runpy`: pytest's import hook, which rewrites assertions in plugins, does not support it.
        importlib.import_module("triage.__main__")
    assert raised.value.code == 0


def test_without_click_the_command_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "triage.cli.app", raising=False)
    monkeypatch.setitem(sys.modules, "click", None)
    with pytest.raises(SystemExit, match=r"pip install 'chat-triage\[cli\]'"):
        main()


def test_another_missing_module_is_not_mistaken_for_click(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "triage.cli.app", None)
    with pytest.raises(ModuleNotFoundError, match=r"triage\.cli\.app"):
        main()


def test_the_inbox_is_named_by_a_file_or_missing(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # `project.run` sets TRIAGE_INBOX.
    result = CliRunner().invoke(triage, ["inbox", "stats"], env={"TRIAGE_INBOX": None})
    assert (result.exit_code, "Missing option '--inbox'" in result.output) == (2, True)
    (tmp_path / "address").write_text(f"{project.path}\n")
    monkeypatch.setenv("TRIAGE_INBOX_FILE", str(tmp_path / "address"))
    assert "ready" in CliRunner().invoke(triage, ["inbox", "stats"], env={"TRIAGE_INBOX": None}).output
