"""The types of the public API, checked as an application with strict type checkers sees them."""

import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

import triage
from tests.helpers.missing import skip_without_checker

PROJECT = Path(__file__).parents[1] / "typing_project"
SOURCE = Path(triage.__file__).parents[1]


@dataclass(frozen=True)
class Report:
    """The errors that a type checker found in the project."""

    lines: Mapping[str, set[int]]
    """By file."""
    output: str


@pytest.fixture(scope="module", params=["mypy", "pyright"])
def report(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Check a copy of the project, in a directory without a configuration of ours."""
    checker: str = request.param
    if importlib.util.find_spec(checker) is None:
        skip_without_checker(checker)
    project = tmp_path_factory.mktemp(checker)
    for file in PROJECT.glob("*.py"):
        (project / file.name).write_text(file.read_text())
    settings = {"typeCheckingMode": "strict", "extraPaths": [str(SOURCE)], "pythonVersion": "3.11"}
    (project / "pyrightconfig.json").write_text(json.dumps(settings))
    (project / "mypy.ini").write_text(
        f"[mypy]\nstrict = true\nmypy_path = {SOURCE}\n[mypy-anthropic.*]\nfollow_imports = skip\n"
    )
    options = ["--pythonpath", sys.executable] if checker == "pyright" else []
    command = [sys.executable, "-m", checker, *options, "app.py", "mistakes.py"]
    completed = subprocess.run(command, cwd=project, capture_output=True, check=False, text=True)
    output = completed.stdout + completed.stderr
    assert completed.returncode == 1, output
    lines = {
        name: {int(line) for line in re.findall(rf"\b{name}:(\d+):.* error[: ]", output)}
        for name in ("app.py", "mistakes.py")
    }
    return Report(lines, output)


def test_a_strictly_typed_application_has_no_errors(report: Report) -> None:
    assert not report.lines["app.py"], report.output


def test_a_type_checker_reports_common_mistakes(report: Report) -> None:
    source = (PROJECT / "mistakes.py").read_text().splitlines()
    expected = {number for number, line in enumerate(source, 1) if line.endswith("# error")}
    assert report.lines["mistakes.py"] == expected, report.output
