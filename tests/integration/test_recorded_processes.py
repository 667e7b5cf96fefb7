"""Several processes record into one file, and one of them is killed: no finished answer is lost."""

import subprocess
import sys
from pathlib import Path

from tests.helpers.paths import ROOT
from tests.helpers.recordings import BUCKETS, ask_about, read_lines
from triage.classifiers import Recorded, Rules

WRITERS = 2
ANSWERS = 40
KILLS = 2

SCRIPT = """
import sys
from itertools import count

from tests.helpers.recordings import BUCKETS, ask_about
from triage import Verdict
from triage.classifiers import Recorded

def classify(text):
    return Verdict(bucket="general", reason="a long line, which takes long to write " * 2_000)

path, name, answers = sys.argv[1:]
recorded = Recorded(classify, path, mode="auto", version="1")
for number in range(int(answers)) if int(answers) else count():
    text = f"Writer {name}, message {number}"
    recorded.classify(ask_about(text, email="mira@example.com"), BUCKETS)
    print(text, flush=True)
recorded.close()
"""


def start(path: Path, name: str, answers: int) -> "subprocess.Popen[str]":
    """Start a process that records so many answers, or 0 for no end, and prints each text after its answer."""
    command = [sys.executable, "-c", SCRIPT, str(path), name, str(answers)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def test_processes_that_are_killed_lose_no_recorded_answer(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    victims = [start(path, f"killed-{number}", 0) for number in range(KILLS)]
    writers = [start(path, str(number), ANSWERS) for number in range(WRITERS)]
    printed: list[str] = []
    for victim in victims:
        assert victim.stdout is not None
        printed += [victim.stdout.readline().strip() for _ in range(5)]
        victim.kill()
        printed += victim.communicate(timeout=60)[0].splitlines()
    for writer in writers:
        printed += writer.communicate(timeout=120)[0].splitlines()
        assert writer.returncode == 0
    assert len(printed) >= WRITERS * ANSWERS + KILLS * 5

    recorded = Recorded(Rules.default(), path, mode="auto")
    recorded.classify(ask_about("The last one"), BUCKETS)
    recorded.close()
    texts = [line["text"] for line in read_lines(path)]
    assert texts == sorted(set(texts))
    assert set(texts).issuperset(printed)
    assert recorded.forget("mira@example.com") == len(texts) - 1
