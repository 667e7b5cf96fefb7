"""Evaluations in processes of their own: interrupted, killed, and in a notebook."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.helpers.evaluating import BUCKETS, answer_by_word, create_dataset
from tests.helpers.paths import ROOT
from tests.helpers.servers import wait_until
from triage.classifiers.claude import batch as batch_module
from triage.evals import evaluate
from triage.testing import FakeClaude

SCRIPT = """
import sys
from tests.helpers.evaluating import BUCKETS, create_dataset
from triage.evals import evaluate

evaluate("claude-haiku-5-5", create_dataset(20), BUCKETS, concurrency=2, batch="batch" in sys.argv)
"""


@pytest.fixture
def claude(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[FakeClaude]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-test")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT / "src"), str(ROOT)]))
    fake = FakeClaude(answer_by_word)
    with fake.serve() as url:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", url)
        yield fake


def start(*arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-W", "error", "-c", SCRIPT, *arguments]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def test_ctrl_c_loses_only_the_calls_in_flight(claude: FakeClaude) -> None:
    released = threading.Event()

    def answer_slowly(request: Mapping[str, Any]) -> Mapping[str, Any]:
        if len(claude.requests) > 7:
            released.wait(60)
        return answer_by_word(request)

    claude.answer = answer_slowly
    process = start()
    try:
        wait_until(lambda: len(claude.requests) >= 9, "seven answers are on record, and two calls are in flight")
        process.send_signal(signal.SIGINT)
        _, log = process.communicate(timeout=60)
    finally:
        process.kill()
        released.set()
    assert process.returncode == -signal.SIGINT
    assert "Interrupted. The answers so far are on record" in log
    assert log.count("Traceback") == 1, "nothing but the KeyboardInterrupt itself"
    assert "Warning" not in log
    report = evaluate("claude-haiku-5-5", create_dataset(20), BUCKETS, progress=False)
    assert all(prediction.is_correct for prediction in report.predictions)
    assert len(claude.requests) == 9 + 20 - 7


def test_a_batch_survives_the_death_of_the_process(claude: FakeClaude, monkeypatch: pytest.MonkeyPatch) -> None:
    claude.batches.polls = 1_000_000
    process = start("batch")
    try:
        wait_until(lambda: any(call.method == "GET" for call in claude.calls), "the evaluation polls its batch")
    finally:
        process.kill()
        process.communicate()
    for batch in claude.batches._batches.values():
        batch.polls_left = 0
    monkeypatch.setattr(batch_module, "_FIRST_POLL", 0.0)
    report = evaluate("claude-haiku-5-5", create_dataset(20), BUCKETS, batch=True, progress=False)
    assert all(prediction.is_correct for prediction in report.predictions)
    assert len(claude.requests) == 20
    assert [call.path for call in claude.calls if call.method == "POST"] == ["/v1/messages/batches"]


CELL = """
import asyncio, warnings

warnings.simplefilter("error")

from triage import Buckets
from triage.evals import evaluate, evaluate_async

rows = [("Please refund me", "billing"), ("Hello", "general")] * 5
classify = lambda text: "billing" if "refund" in text else "general"
report = evaluate(classify, rows, Buckets.default())
report = await evaluate_async(classify, rows, Buckets.default())
print(len(report.predictions), asyncio.get_running_loop().is_running())
"""


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")  # of nbclient and its dependencies
@pytest.mark.parametrize("setup", ["", "import sys; sys.modules['ipywidgets'] = None"], ids=["as it is", "no widgets"])
def test_it_works_in_a_notebook(setup: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    cell: Any = nbformat.v4.new_code_cell(f"{setup}\n{CELL}")  # type: ignore[no-untyped-call]  # nbformat has no hints
    notebook: Any = nbformat.v4.new_notebook(cells=[cell])  # type: ignore[no-untyped-call]  # likewise
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    outputs = notebook.cells[0].outputs
    printed = "".join(output.text for output in outputs if output.output_type == "stream" and output.name == "stdout")
    assert printed == "10 True\n"
    shown = "".join(str(output) for output in outputs)
    assert "10 messages, " in shown
    assert "10/10" in shown or "widget-view" in shown
    assert "Warning" not in shown
