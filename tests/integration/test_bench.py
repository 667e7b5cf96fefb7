"""The benchmarks of `make bench` run. Nothing here depends on how fast they are."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.drain import Template
from benchmarks.speed.fakes import Fakes, Request
from benchmarks.speed.under_load import Result, Sample
from benchmarks.speed.variants import Variant
from tests.helpers.paths import ROOT

SECTIONS = [
    "Under load",
    "Memory",
    "Receivers",
    "The floor",
    "Where the time of `receive` goes",
    "Where the time of `process` goes",
]


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="only Linux pins processes to cores")
def test_a_tiny_run_writes_the_whole_report(tmp_path: Path) -> None:
    output = tmp_path / "performance.md"
    command = [sys.executable, "-m", "benchmarks.speed", "--scale", "tiny", "--output", str(output)]
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}

    run = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)

    assert run.returncode == 0, run.stderr
    report = output.read_text()
    assert report == run.stdout.removesuffix("\n")
    assert [line.removeprefix("## ") for line in report.splitlines() if line.startswith("## ")] == SECTIONS
    assert "every conversation was routed, and no call was repeated." in report


def test_a_conversation_is_routed_when_it_is_assigned_and_answered() -> None:
    fakes = Fakes(Template.record(), 0, 0)
    fakes.answer_desk(Request("POST", "/conversations/1/parts", b'{"message_type": "assignment"}'))
    assert fakes.routed == 0

    fakes.answer_desk(Request("POST", "/conversations/1/reply", b'{"message_type": "comment"}'))

    assert (fakes.routed, fakes.repeats) == (1, 0)


def test_the_fakes_count_repeated_calls() -> None:
    fakes = Fakes(Template.record(), 0, 0)

    for _ in range(2):
        fakes.answer_desk(Request("POST", "/conversations/1/reply", b'{"message_type": "comment"}'))

    assert fakes.repeats == 1


def test_lost_conversations_repeated_calls_and_rejected_webhooks_are_problems() -> None:
    answers = Counter({"200": 9, "503": 3})
    sample = Sample(webhooks=10, seconds=1, waited=[0.1], cpu=0.1, driver_share=0.1, lost=2, repeats=1, answers=answers)

    assert Result(Variant("inline", 50), [sample]).problems == [
        "inline, default client, 50 in flight: conversations that were not routed: 2",
        "inline, default client, 50 in flight: calls that were repeated: 1",
        "inline, default client, 50 in flight: responses other than 200: 3",
    ]
