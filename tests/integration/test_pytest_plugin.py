"""The example project of `docs/testing.md` works as printed, and the plugin is light in all other projects."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.helpers.paths import ROOT
from tests.helpers.pytester import OTHERS, run_pytest
from triage.testing import FakeClaude

PAGE = (ROOT / "docs" / "testing.md").read_text("utf-8")
FILES = dict(re.findall(r'^```\w+ title="(\S+)"\n(.*?)^```', PAGE, re.MULTILINE | re.DOTALL))
OUTPUTS = re.findall(r"^```text\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
LOCKED_OUT = "I am locked out of my account, and our launch is in an hour."


@pytest.fixture(autouse=True)
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write the files of the page, and run pytest as in CI."""
    for name, content in FILES.items():
        path = pytester.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, "utf-8")
    monkeypatch.syspath_prepend(pytester.path)
    monkeypatch.setenv("CI", "true")
    monkeypatch.delenv("TRIAGE_CASSETTES", raising=False)
    return pytester.path


@pytest.fixture
def record(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Callable[[FakeClaude], pytest.RunResult]:
    """Run the test of the page with a fake of Claude's API, to record its answers."""

    def run(fake: FakeClaude) -> pytest.RunResult:
        with fake.serve() as url, monkeypatch.context() as environment:
            environment.setenv("ANTHROPIC_BASE_URL", url)
            environment.setenv("ANTHROPIC_API_KEY", "sk-ant-test")
            return run_pytest(pytester, "--triage-record", "test_triage.py")

    return run


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


def test_the_page_contains_the_files_of_the_project() -> None:
    assert list(FILES) == [
        "triage_setup.py",
        "messages.csv",
        "test_triage.py",
        "pyproject.toml",
        ".github/workflows/test.yml",
        "test_webhooks.py",
        "test_live.py",
    ]


def test_answers_are_recorded_once_and_replayed_in_ci(
    pytester: pytest.Pytester, record: Callable[[FakeClaude], pytest.RunResult]
) -> None:
    fake = FakeClaude()
    result = record(fake)
    result.assert_outcomes(passed=1)
    assert len(fake.requests) == 8
    result.stdout.fnmatch_lines(["test_triage.py::test_support_messages * 0      8  passed"])
    result = run_pytest(pytester)
    result.assert_outcomes(passed=4, skipped=1)
    assert OUTPUTS[0] in result.stdout.str()


def test_an_edited_prompt_needs_new_answers(
    pytester: pytest.Pytester, project: Path, record: Callable[[FakeClaude], pytest.RunResult]
) -> None:
    record(FakeClaude()).assert_outcomes(passed=1)
    edit(project / "triage_setup.py", "Questions about parcels", "Messages about parcels")
    result = run_pytest(pytester, "test_triage.py")
    result.assert_outcomes(failed=1)
    words = OUTPUTS[1].replace("…", "*").replace("[", "[[]").split()
    result.stdout.fnmatch_lines([f"E*{' '.join(words)}*"])
    fake = FakeClaude()
    record(fake).assert_outcomes(passed=1)
    assert len(fake.requests) == 8
    run_pytest(pytester, "test_triage.py").assert_outcomes(passed=1)


def test_a_missed_threshold_lists_the_messages_in_wrong_buckets(
    pytester: pytest.Pytester, record: Callable[[FakeClaude], pytest.RunResult]
) -> None:
    fake = FakeClaude()
    answer = fake.answer
    wrong = {"reason": "A question.", "label": "general", "confidence": 0.9}
    fake.answer = lambda request: wrong if LOCKED_OUT in request["messages"][-1]["content"] else answer(request)
    record(fake).assert_outcomes(failed=1)
    result = run_pytest(pytester, "test_triage.py")
    result.assert_outcomes(failed=1)
    lines = [f"E*{line.replace('[', '[[]')}" for line in OUTPUTS[2].splitlines()]
    result.stdout.fnmatch_lines(lines, consecutive=True)


def test_live_tests_ask_claude_itself(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeClaude()
    with fake.serve() as url:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", url)
        monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-test")
        run_pytest(pytester, "--triage-live", "test_live.py").assert_outcomes(passed=1)
    assert len(fake.requests) == 8


def test_a_forgotten_fake_is_a_failure(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-test")
    edit(pytester.path / "test_webhooks.py", "fake_claude.answer =", "answer =")
    edit(pytester.path / "test_webhooks.py", ", fake_claude", "")
    result = run_pytest(pytester, "test_webhooks.py", "-k", "refund")
    result.assert_outcomes(failed=1)
    beginning = OUTPUTS[3].partition("…")[0]
    result.stdout.fnmatch_lines([f"E*{beginning}*"])


def test_the_workflow_runs_the_tests() -> None:
    workflow = yaml.safe_load(FILES[".github/workflows/test.yml"])
    commands = [step["run"] for step in workflow["jobs"]["test"]["steps"] if "run" in step]
    assert commands == ["pip install 'chat-triage[pytest]'", "python -m pytest"]


def test_the_options_and_settings_exist(pytester: pytest.Pytester) -> None:
    output = run_pytest(pytester, "--help").stdout.str()
    for option in re.findall(r"`(--triage-[a-z0-9-]+)", PAGE):
        assert option in output
    for setting in re.findall(r"`(triage_[a-z0-9_]+)`", PAGE.partition("## Options and settings")[2]):
        if setting != "triage_eval":
            assert f"\n  {setting} " in output


@pytest.fixture
def entry_point(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install the entry points that pyproject.toml declares."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    directory = pytester.mkdir("installed")
    metadata = directory / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    lines = [f"{name} = {target}" for name, target in project["entry-points"]["pytest11"].items()]
    (metadata / "entry_points.txt").write_text("\n".join(["[pytest11]", *lines]))
    monkeypatch.setenv("PYTHONPATH", f"{directory}:{ROOT / 'src'}:{pytester.path}")


@pytest.mark.usefixtures("entry_point")
def test_the_installed_plugin_works_with_several_workers(
    pytester: pytest.Pytester, record: Callable[[FakeClaude], pytest.RunResult]
) -> None:
    record(FakeClaude()).assert_outcomes(passed=1)
    result = pytester.runpytest_subprocess("-n", "2", *OTHERS)
    result.assert_outcomes(passed=4, skipped=1)
    assert OUTPUTS[0] in result.stdout.str()


@pytest.mark.usefixtures("entry_point")
def test_the_installed_plugin_imports_nothing_before_it_is_used(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_imports="""
        import sys

        HEAVY = {"anthropic", "httpx", "matplotlib", "numpy", "pandas", "pydantic", "scipy", "sklearn", "triage.evals"}

        def test_imports():
            assert "triage.testing.pytest_plugin" in sys.modules
            assert HEAVY & set(sys.modules) == set()
            assert not any(name.startswith(("triage.testing.claude", "triage.testing.desks")) for name in sys.modules)
        """
    )
    pytester.runpytest_subprocess("test_imports.py", *OTHERS).assert_outcomes(passed=1)


def test_the_plugin_imports_only_pytest_and_the_standard_library() -> None:
    script = (
        "import sys, triage, pytest; before = set(sys.modules); import triage.testing.pytest_plugin; "
        "print(*sorted({name for name in set(sys.modules) - before if name.partition('.')[0] not in "
        "sys.stdlib_module_names and not name.startswith('_sysconfigdata')}))"
    )
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, text=True)
    modules = (
        "errors",
        *(f"testing{module}" for module in ("", ".evaluations", ".network", ".pytest_plugin", ".thresholds")),
    )
    assert process.stdout.split() == [f"triage.{module}" for module in modules]
