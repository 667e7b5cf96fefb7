"""The lines and the progress bar of an evaluation."""

import io
import sys
import types

import pytest

from triage.evals import progress as progress_module
from triage.evals.progress import Progress


def run(progress: Progress, verdicts: list[tuple[bool | None, float | None]]) -> None:
    progress.start(len(verdicts))
    for is_right, paid_usd in verdicts:
        progress.advance(is_right, paid_usd)
    progress.close()


def test_the_bar_shows_the_accuracy_and_the_cost_so_far(capsys: pytest.CaptureFixture[str]) -> None:
    run(Progress(is_shown=True), [(True, 0.001), (True, 0.002), (False, 0.003)])
    output = capsys.readouterr()
    assert "3/3" in output.err
    assert "accuracy=66.7%, cost=$0.0030" in output.err
    assert output.out == ""


def test_further_samples_do_not_change_the_accuracy(capsys: pytest.CaptureFixture[str]) -> None:
    run(Progress(is_shown=True), [(None, 0.0), (True, 0.0), (None, 0.0)])
    assert "accuracy=100.0%" in capsys.readouterr().err


def test_an_unknown_cost_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    run(Progress(is_shown=True), [(True, None)])
    assert "cost" not in capsys.readouterr().err


def test_lines_are_printed_to_the_error_stream(capsys: pytest.CaptureFixture[str]) -> None:
    Progress(is_shown=True).print("300 messages")
    assert capsys.readouterr() == ("", "300 messages\n")


def test_without_progress_nothing_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(is_shown=False)
    progress.print("300 messages")
    run(progress, [(True, 0.001)])
    assert capsys.readouterr() == ("", "")


class Stream(io.StringIO):
    """An error stream that may be a terminal, or that of a notebook."""

    def __init__(self, *, is_terminal: bool) -> None:
        super().__init__()
        self.is_terminal = is_terminal

    def isatty(self) -> bool:
        return self.is_terminal


class NotebookStream(Stream):
    __module__ = "ipykernel.iostream"


@pytest.mark.parametrize(
    ("stream", "interval"),
    [
        (Stream(is_terminal=True), 0.1),
        (NotebookStream(is_terminal=False), 0.1),
        (Stream(is_terminal=False), 10.0),
    ],
    ids=["terminal", "notebook", "log"],
)
def test_logs_get_fewer_updates_than_people(stream: Stream, interval: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", stream)
    progress = Progress(is_shown=True)
    progress.start(1)
    assert progress._bar.mininterval == interval
    progress.close()


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let tqdm believe that it runs in a notebook, where ipywidgets is not installed."""
    for name in ("tqdm.auto", "tqdm.autonotebook", "tqdm.notebook", "ipywidgets", "IPython"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    shell = types.SimpleNamespace(get_ipython=lambda: types.SimpleNamespace())
    monkeypatch.setitem(sys.modules, "ipykernel.zmqshell", types.ModuleType("ipykernel.zmqshell"))
    monkeypatch.setitem(sys.modules, "IPython", shell)  # type: ignore[arg-type]  # a stand-in for the module
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    progress_module._import_tqdm.cache_clear()


@pytest.mark.usefixtures("notebook")
def test_a_notebook_without_widgets_gets_the_bar_of_a_terminal_and_no_warning(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run(Progress(is_shown=True), [(True, 0.0)])
    assert "1/1" in capsys.readouterr().err
    progress_module._import_tqdm.cache_clear()
