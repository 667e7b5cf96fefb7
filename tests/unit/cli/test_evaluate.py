"""`triage eval`, `triage compare` and `triage calibrate`, as a user types them."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from triage.cli.app import triage

SETUP = """
from triage import Buckets
from triage.classifiers import Rules
from triage.classifiers.claude import Claude

before = (Rules({"billing": ["refund"], "spam": ["backlinks"]}), Buckets.default())
after = (Rules({"urgent": ["502"], "billing": ["refund"], "spam": ["backlinks"]}), Buckets.default())
buckets = Buckets.default()
listed = list(Buckets.default())
other = 42
triple = (Rules.default(), Buckets.default(), 42)

def build():
    return after

def needs(argument):
    return after
"""
ROWS = [
    ("The API returns 502.", "urgent"),
    ("Errors again: 502!", "urgent"),
    ("A refund, please.", "billing"),
    ("Where is my refund?", "billing"),
    ("How do I export?", "general"),
    ("Do you have a dark mode?", "general"),
    ("Cheap backlinks", "spam"),
    ("More backlinks", "spam"),
]


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    monkeypatch.delitem(__import__("sys").modules, "prompts", raising=False)
    (tmp_path / "prompts.py").write_text(SETUP)
    write_rows(tmp_path / "messages.csv")
    return tmp_path


def write_rows(path: Path, columns: str = "text,bucket", repeat: int = 1) -> None:
    lines = [f'"{text}{" " * number}",{bucket}' for number in range(repeat) for text, bucket in ROWS]
    path.write_text("\n".join([columns, *lines]) + "\n")


def run(*arguments: str, exit_code: int = 0) -> Result:
    result = CliRunner().invoke(triage, arguments)
    assert result.exit_code == exit_code, result.output
    return result


@pytest.mark.parametrize("target", ["prompts:after", "prompts:build"])
def test_eval_prints_a_report(directory: Path, target: str) -> None:
    output = run("eval", target, "messages.csv").stdout
    assert "100" in output
    assert "urgent" in output


def test_eval_writes_the_report_to_files(directory: Path) -> None:
    run("eval", "prompts:after", "messages.csv", "--html", "r.html", "--junit", "r.xml", "--markdown", "r.md")
    assert (directory / "r.html").read_text().startswith("<!DOCTYPE html>")
    assert "<testsuite" in (directory / "r.xml").read_text()
    assert "| urgent |" in (directory / "r.md").read_text()


def test_eval_fails_if_a_demand_is_not_met(directory: Path) -> None:
    assert "urgent" in run("eval", "prompts:before", "messages.csv", "--recall", "urgent=0.9", exit_code=1).stderr
    run("eval", "prompts:before", "messages.csv", "--accuracy", "0.9", exit_code=1)
    run("eval", "prompts:before", "messages.csv", "--accuracy", "0.7", "--precision", "spam=0.9")
    run("eval", "prompts:before", "messages.csv", "--accuracy", "0.7", "--lower", exit_code=1)


def test_compare_writes_no_files_unless_asked_to(directory: Path) -> None:
    before = sorted(directory.iterdir())
    run("compare", "prompts:before", "prompts:after", "messages.csv")
    assert [path for path in sorted(directory.iterdir()) if path.name != "__pycache__"] == before


def test_compare_shows_flips_and_a_summary(directory: Path) -> None:
    options = ("--html", "c.html", "--markdown", "c.md")
    output = run("compare", "prompts:before", "prompts:after", "messages.csv", *options).stdout
    assert "The API returns 502." in output
    assert "no evidence" in output
    assert "502" in (directory / "c.html").read_text()
    assert "502" in (directory / "c.md").read_text()


def test_calibrate_shows_thresholds(directory: Path) -> None:
    output = run("calibrate", "prompts:after", "messages.csv", "--precision", "0.9", "--precision", "spam=0.99").stdout
    assert "spam" in output
    assert "suggest" in output


def test_columns_may_have_other_names(directory: Path) -> None:
    write_rows(directory / "other.csv", "message,label")
    run("eval", "prompts:after", "other.csv", "--text", "message", "--bucket", "label")
    assert "message, label" in run("eval", "prompts:after", "other.csv", exit_code=1).stderr


def test_a_router_is_evaluated_with_its_classifier_and_its_buckets(directory: Path) -> None:
    with (directory / "prompts.py").open("a") as file:
        file.write(
            "\nfrom triage import Router\nfrom triage.vendors import Intercom\n"
            "desk = Intercom(client_secret='s', access_token='t', admin_id='1')\n"
            "router = Router(desk, classifier=after[0], buckets=after[1])\n"
        )
    assert "100%" in run("eval", "prompts:router", "messages.csv").stdout


@pytest.mark.parametrize("target", ["prompts:buckets", "prompts:listed"])
def test_buckets_alone_are_evaluated_with_claude(directory: Path, target: str) -> None:
    error = run("eval", target, "messages.csv", exit_code=1).stderr
    assert "ANTHROPIC_API_KEY" in error
    assert error.count("Error:") == 1


@pytest.mark.parametrize(
    ("target", "problem"),
    [
        ("prompts:other", "is not a Router, a list of buckets, or a pair"),
        ("prompts:triple", "is not a Router, a list of buckets, or a pair"),
        ("prompts:needs", "needs arguments"),
        ("prompts:missing", "has no 'missing'"),
        ("prompts", "write module:attribute"),
        ("elsewhere:router", "There is no module 'elsewhere' here."),
    ],
)
def test_a_target_that_cannot_be_evaluated_is_explained(directory: Path, target: str, problem: str) -> None:
    assert problem in run("eval", target, "messages.csv", exit_code=2).stderr


def test_a_pair_that_is_not_a_classifier_and_buckets_is_explained(directory: Path) -> None:
    with (directory / "prompts.py").open("a") as file:
        file.write("\nbad = (1, Buckets.default())\n")
    assert "classifier" in run("eval", "prompts:bad", "messages.csv", exit_code=2).stderr


@pytest.mark.parametrize("rate", ["urgent=high", "much"])
def test_a_rate_that_is_not_a_number_is_explained(directory: Path, rate: str) -> None:
    assert "is not a share" in run("eval", "prompts:after", "messages.csv", "--recall", rate, exit_code=2).stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("eval", "--recall", "urgnt=0.9"),
        ("eval", "--precision", "urgnt=0.9"),
        ("calibrate", "--precision", "urgnt=0.9"),
    ],
)
def test_an_unknown_bucket_is_reported_before_the_evaluation(directory: Path, arguments: tuple[str, str, str]) -> None:
    command, *options = arguments
    result = run(command, "prompts:after", "messages.csv", *options, exit_code=2)
    assert "'urgnt': the buckets are " in result.stderr
    assert "verdicts" not in result.stderr


def test_a_percentage_is_not_a_share(directory: Path) -> None:
    result = run("eval", "prompts:after", "messages.csv", "--recall", "98", exit_code=2)
    assert "'98' is not a share: write 0.9 for 90%" in result.stderr
