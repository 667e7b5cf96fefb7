"""The fixture `triage_eval`: recordings, thresholds, and the summary of all evaluations."""

import re

import pytest

from tests.helpers.pytester import run_pytest

SETUP = """
import socket

from triage import Bucket, Buckets, Verdict
from triage.classifiers import Classifier, Recorded, Rules
from triage.classifiers.base import hash_texts
from triage.evals.dataset import Dataset

BUCKETS = [Bucket("urgent", "Outages"), Bucket("general", "All else")]
MESSAGES = "messages.csv"


class Paid(Classifier):
    '''Finds urgent messages by a word, as long as its model is paid.'''

    priced = True

    def __init__(self, model="small"):
        self.model = model

    def classify(self, conversation, buckets):
        bucket = "urgent" if "down" in conversation.text else "general"
        return Verdict(bucket=bucket, confidence=0.9, cost_usd=0.001, model=self.model)

    def estimate_cost(self, conversation, buckets):
        return 0.001

    def fingerprint(self, conversation, buckets):
        return hash_texts(self.model, conversation.text)


class Remote(Paid):
    def classify(self, conversation, buckets):
        try:
            socket.create_connection(("api.invalid", 9)).close()
        except Exception:
            pass
        return super().classify(conversation, buckets)
"""

MESSAGES = """text,bucket
The site is down,urgent
All is DOWN,urgent
Where is the export?,general
Thanks,general
"""


@pytest.fixture(autouse=True)
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRIAGE_CASSETTES", raising=False)
    pytester.makepyfile(setup=SETUP)
    (pytester.path / "messages.csv").write_text(MESSAGES)


def write_test(pytester: pytest.Pytester, call: str, *, decorator: str = "") -> None:
    lines = ["import pytest", "from setup import *", decorator, "def test_it(triage_eval):", f"    report = {call}"]
    pytester.makepyfile(test_it="\n".join(lines))


def find_row(result: pytest.RunResult) -> list[str]:
    """Return the cells of the only evaluation in the summary."""
    section = result.stdout.str().partition("evaluations of classifiers")[2].splitlines()
    return re.split(r"  +", section[2].strip())


def test_answers_are_recorded_once_and_then_replayed(pytester: pytest.Pytester) -> None:
    write_test(pytester, "triage_eval(Paid(), MESSAGES, BUCKETS)")
    row = ["test_it.py::test_it", "4", "75.0% (30.1–95.4%)", "urgent 50.0%", "$1.00"]
    assert find_row(run_pytest(pytester, "--triage-record")) == [*row, "0", "4", "passed"]
    assert find_row(run_pytest(pytester)) == [*row, "4", "0", "passed"]
    assert find_row(run_pytest(pytester, "--triage-record")) == [*row, "4", "0", "passed"]
    assert find_row(run_pytest(pytester, "--triage-record-all")) == [*row, "0", "4", "passed"]
    assert len((pytester.path / "cassettes/test_it.jsonl").read_text().splitlines()) == 4
    assert find_row(run_pytest(pytester)) == [*row, "4", "0", "passed"]


def test_a_recording_is_sorted_after_the_evaluation(pytester: pytest.Pytester) -> None:
    write_test(pytester, "triage_eval(Paid(), MESSAGES, BUCKETS)")
    run_pytest(pytester, "--triage-record").assert_outcomes(passed=1)
    lines = (pytester.path / "cassettes/test_it.jsonl").read_text().splitlines()
    assert lines == sorted(lines)


@pytest.mark.parametrize("ci", ["", "true"])
def test_a_missing_answer_is_not_asked_but_explained(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, ci: str
) -> None:
    monkeypatch.setenv("CI", ci)
    write_test(pytester, "triage_eval(Paid(), MESSAGES, BUCKETS)")
    result = run_pytest(pytester)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E*RecordingMissing*cassettes/test_it.jsonl does not exist*pytest --triage-record*"])
    result.stdout.no_fnmatch_line("*evaluat*.py:*")  # the traceback ends in the test


def test_after_a_change_only_the_missing_answers_are_asked(pytester: pytest.Pytester) -> None:
    write_test(pytester, "triage_eval(Paid(), MESSAGES, BUCKETS)")
    run_pytest(pytester, "--triage-record")
    (pytester.path / "messages.csv").write_text(MESSAGES + "It is down,urgent\n")
    run_pytest(pytester).stdout.fnmatch_lines(["E*RecordingMissing*the question is new, or*"])
    assert find_row(run_pytest(pytester, "--triage-record"))[5:7] == ["4", "1"]


def test_the_environment_chooses_the_mode_unless_an_option_does(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_test(pytester, "triage_eval(Paid(), MESSAGES, BUCKETS)")
    monkeypatch.setenv("TRIAGE_CASSETTES", "replay")
    assert find_row(run_pytest(pytester, "--triage-record"))[5:7] == ["0", "4"]
    monkeypatch.setenv("TRIAGE_CASSETTES", "record")
    assert find_row(run_pytest(pytester))[5:7] == ["0", "4"]


@pytest.mark.parametrize(
    "classifier", ["Rules.default()", "lambda text: 'general'", "Recorded(Rules.default(), 'own.jsonl', mode='auto')"]
)
def test_a_classifier_that_is_free_or_changes_unseen_is_asked_in_each_run(
    pytester: pytest.Pytester, classifier: str
) -> None:
    call = f"triage_eval({classifier}, MESSAGES, Buckets([*BUCKETS, Bucket('billing', 'B'), Bucket('spam', 'S')]))"
    write_test(pytester, call)
    assert find_row(run_pytest(pytester))[5:] == ["0", "4", "passed"]
    assert not (pytester.path / "cassettes").exists()


def test_a_recording_may_have_another_path(pytester: pytest.Pytester) -> None:
    write_test(pytester, "triage_eval(Paid(), MESSAGES, BUCKETS, cassette='answers/paid.jsonl')")
    run_pytest(pytester, "--triage-record").assert_outcomes(passed=1)
    assert (pytester.path / "answers/paid.jsonl").exists()


def test_a_function_with_a_recording_needs_a_version(pytester: pytest.Pytester) -> None:
    write_test(pytester, "triage_eval(lambda text: 'general', MESSAGES, BUCKETS, cassette='answers.jsonl')")
    result = run_pytest(pytester)
    result.stdout.fnmatch_lines(["E*ConfigurationError*pass version='1' to Recorded*"])


def test_each_case_of_a_test_has_its_own_recording(pytester: pytest.Pytester) -> None:
    decorator = "@pytest.mark.parametrize('model', ['small', 'a/b c'])"
    write_test(pytester, "triage_eval(Paid(model), MESSAGES, BUCKETS)", decorator=decorator)
    path = pytester.path / "test_it.py"
    path.write_text(path.read_text().replace("(triage_eval)", "(triage_eval, model)"))
    run_pytest(pytester, "--triage-record").assert_outcomes(passed=2)
    names = {path.name for path in (pytester.path / "cassettes").glob("*.jsonl")}
    assert names == {"test_it-small-.jsonl", "test_it-a-b-c-.jsonl"}


def test_files_are_relative_to_the_test(pytester: pytest.Pytester) -> None:
    write_test(pytester, "triage_eval(Paid(), MESSAGES, BUCKETS)")
    directory = pytester.mkdir("tests")
    for name in ("test_it.py", "messages.csv"):
        (pytester.path / name).rename(directory / name)
    pytester.syspathinsert()
    run_pytest(pytester, "--triage-record").assert_outcomes(passed=1)
    assert (directory / "cassettes/test_it.jsonl").exists()


def test_data_sets_and_names_are_accepted(pytester: pytest.Pytester) -> None:
    write_test(pytester, "triage_eval(Rules.default(), Dataset.load('messages.csv'), Buckets.default(), name='rules')")
    path = pytester.path / "messages.csv"
    path.write_text(path.read_text().replace("urgent", "billing"))
    assert find_row(run_pytest(pytester))[0] == "rules"


def test_an_empty_data_set_is_rejected(pytester: pytest.Pytester) -> None:
    write_test(pytester, "triage_eval(Paid(), Dataset([]), BUCKETS)")
    run_pytest(pytester).stdout.fnmatch_lines(["E*DatasetError:*"])


@pytest.mark.usefixtures("name_server")
def test_the_network_is_reached_only_for_a_recording(pytester: pytest.Pytester) -> None:
    write_test(pytester, "triage_eval(Remote(), MESSAGES, BUCKETS)\n    socket.getaddrinfo('after.invalid', 443)")
    result = run_pytest(pytester, "--triage-record")
    result.stdout.fnmatch_lines(["E*The test tried to reach after.invalid*"])
    assert find_row(result)[5:] == ["0", "4", "passed"]


def test_a_classifier_that_is_not_recorded_has_no_network_access(pytester: pytest.Pytester) -> None:
    write_test(pytester, "triage_eval(lambda text: Remote().classify(text, BUCKETS), MESSAGES, BUCKETS)")
    result = run_pytest(pytester)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E*The test tried to reach api.invalid*--triage-live*"])
    result.stdout.no_fnmatch_line("*evaluat*.py:*")


@pytest.mark.usefixtures("name_server")
def test_a_live_test_asks_the_classifier_itself(pytester: pytest.Pytester) -> None:
    write_test(pytester, "triage_eval(Remote(), MESSAGES, BUCKETS)", decorator="@pytest.mark.triage_live")
    assert find_row(run_pytest(pytester, "--triage-live"))[5:] == ["0", "4", "passed"]
    assert not (pytester.path / "cassettes").exists()


def test_a_live_test_may_have_a_recording(pytester: pytest.Pytester) -> None:
    call = "triage_eval(Paid(), MESSAGES, BUCKETS, cassette='live.jsonl')"
    write_test(pytester, call, decorator="@pytest.mark.triage_live")
    run_pytest(pytester, "--triage-live", "--triage-record").assert_outcomes(passed=1)
    assert find_row(run_pytest(pytester, "--triage-live"))[5:] == ["4", "0", "passed"]


def test_a_threshold_that_is_missed_fails_the_test_and_lists_the_cases(pytester: pytest.Pytester) -> None:
    write_test(pytester, "triage_eval(lambda text: 'general', MESSAGES, BUCKETS, accuracy=0.9, recall={'urgent': 0.5})")
    result = run_pytest(pytester)
    result.assert_outcomes(failed=1)
    expected = ["E*CheckFailed*", "E*accuracy*50.0%*", "E*recall*urgent*0%*", "E*expected urgent, got general*"]
    result.stdout.fnmatch_lines_random(expected)
    result.stdout.no_fnmatch_line("*check.py:*")
    assert find_row(result)[-1] == "failed"


def test_the_call_overrides_the_command_line_which_overrides_the_configuration_file(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\ntriage_accuracy = 0.9")
    write_test(pytester, "triage_eval(Paid(), MESSAGES, BUCKETS, cassette='one.jsonl')")
    run_pytest(pytester, "--triage-record").assert_outcomes(failed=1)
    run_pytest(pytester, "--triage-accuracy=0.7").assert_outcomes(passed=1)
    run_pytest(pytester, "--triage-accuracy=0.8").assert_outcomes(failed=1)
    write_test(pytester, "triage_eval(Paid(), MESSAGES, BUCKETS, cassette='one.jsonl', accuracy=0.7)")
    run_pytest(pytester, "--triage-accuracy=0.8").assert_outcomes(passed=1)
    write_test(pytester, "triage_eval(Paid(), MESSAGES, BUCKETS, cassette='one.jsonl', accuracy=None)")
    run_pytest(pytester).assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("options", "settings", "failure"),
    [
        (["--triage-recall=urgent=0.6"], "", "recall of*urgent*60%*"),
        (["--triage-recall=0.6"], "", "recall of*urgent*60%*"),
        (["--triage-recall=urgent=0.5", "--triage-recall", "general=1"], "", None),
        (["--triage-precision=general=0.7"], "", "precision of*general*70%*"),
        (["--triage-cost-per-1000=0.99"], "", "cost*$1.00*$0.99*"),
        (["--triage-cost-per-1000=1.01"], "", None),
        ([], "triage_recall =\n    general = 0.5\n    urgent = 0.6", "recall of*urgent*60%*"),
        ([], "triage_precision = 0.6", None),
        ([], "triage_cost_per_1000 = 0.5", "cost*$1.00*$0.50*"),
    ],
)
def test_thresholds_are_set_for_all_evaluations(
    pytester: pytest.Pytester, options: list[str], settings: str, failure: str | None
) -> None:
    pytester.makeini(f"[pytest]\n{settings}")
    write_test(pytester, "triage_eval(Paid(), MESSAGES, BUCKETS)")
    result = run_pytest(pytester, "--triage-record", *options)
    result.assert_outcomes(passed=failure is None, failed=failure is not None)
    if failure is not None:
        result.stdout.fnmatch_lines([f"E*{failure}"])


@pytest.mark.parametrize(
    ("option", "setting", "problem"),
    [
        ("--triage-accuracy=90%", "", "--triage-accuracy: write a number such as 0.9, not '90%'."),
        ("--triage-recall=urgent=high", "", "--triage-recall: write a number such as 0.9, not 'high'."),
        ("-q", "triage_accuracy = 0,9", "triage_accuracy: write a number such as 0.9, not '0,9'."),
        ("-q", "triage_precision = spam: 0.9", "triage_precision: write a number such as 0.9, not 'spam: 0.9'."),
    ],
)
def test_a_threshold_that_is_no_number_is_a_usage_error(
    pytester: pytest.Pytester, option: str, setting: str, problem: str
) -> None:
    pytester.makeini(f"[pytest]\n{setting}")
    result = run_pytest(pytester, option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {problem}"])


def test_the_settings_may_be_toml(pytester: pytest.Pytester) -> None:
    pytester.makepyprojecttoml('[tool.pytest.ini_options]\ntriage_accuracy = 0.7\ntriage_recall = ["urgent=0.6"]')
    write_test(pytester, "triage_eval(Paid(), MESSAGES, BUCKETS)")
    result = run_pytest(pytester, "--triage-record")
    result.stdout.fnmatch_lines(["E*recall of*urgent*60%*"])
    result.stdout.no_fnmatch_line("E*accuracy:*")


def test_without_evaluations_there_is_no_summary(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(triage_eval): ...")
    result = run_pytest(pytester)
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*evaluations of classifiers*")


def test_the_summary_lists_several_evaluations_of_a_test(pytester: pytest.Pytester) -> None:
    calls = [f"triage_eval({name}(), MESSAGES, BUCKETS, name='{name}')" for name in ("Paid", "Remote")]
    write_test(pytester, "; ".join(calls))
    result = run_pytest(pytester, "--triage-record-all")
    result.stdout.fnmatch_lines(["evaluation *messages*", "Paid *4 *passed", "Remote *4 *passed"], consecutive=True)
