"""The notebook runs offline, and its committed outputs are those of the code."""

import re
import shutil
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.helpers.paths import ROOT

NOTEBOOKS = ROOT / "examples" / "notebooks"


@pytest.fixture
def notebook() -> Any:
    text = (NOTEBOOKS / "testing_prompts.ipynb").read_text("utf-8")
    return nbformat.reads(text, as_version=4)  # type: ignore[no-untyped-call]  # it has no type hints


def test_it_runs_from_the_recording_and_shows_the_committed_results(
    notebook: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "notebooks"
    shutil.copytree(NOTEBOOKS, directory)
    monkeypatch.setenv("TRIAGE_CASSETTES", "replay")
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    committed = [read_texts(cell) for cell in notebook.cells]
    NotebookClient(notebook, kernel_name="python3", resources={"metadata": {"path": str(directory)}}).execute()
    assert [read_texts(cell) for cell in notebook.cells] == committed


def test_it_says_first_that_a_stand_in_answered(notebook: Any) -> None:
    assert "recorded against a local stand-in" in " ".join(notebook.cells[0].source.split())


def test_its_outputs_contain_reports_without_scripts(notebook: Any) -> None:
    pages = [
        output.data["text/html"] for cell in notebook.cells for output in cell.get("outputs", []) if "data" in output
        if "text/html" in output.data
    ]  # fmt: skip
    assert len(pages) == 4
    assert not any("<script" in page for page in pages)


def read_texts(cell: Any) -> list[str]:
    """Return the outputs of a cell as plain text."""
    return [
        re.sub(r"\s+", " ", output.get("text") or output["data"]["text/plain"]) for output in cell.get("outputs", [])
    ]
