"""`make demo`, unchanged: it runs without a key, and its output is correct."""

import os
import re
import subprocess
import sys

from tests.helpers.paths import EXAMPLES

DEMO = EXAMPLES / "demo.py"

# For each message, the cells of the table: bucket, what changed, status.
EXPECTED = {
    "Intercom checks the address": ["nothing", "200 ignored"],
    "All is down!": ["urgent", "to On call, replied", "200 accepted", "routed"],
    "Charged twice ": ["billing", "to Billing, replied", "200 accepted", "routed"],
    "How do I export?": ["general", "to Support, replied", "200 accepted", "routed"],
    "A pitch": ["spam", "closed", "200 accepted", "closed"],
    "A bill, in German": ["billing", "to Billing, replied", "200 accepted", "routed"],
    "HTML and an emoji": ["general", "to Support, replied", "200 accepted", "routed"],
    "Charged twice, delivered again": ["nothing", "200 duplicate"],
    "An agent's own reply": ["nothing", "200 ignored"],
    "A forged signature": ["nothing", "401 refused"],
}


SIDE_BY_SIDE = {
    "All is down!": ["to On call, replied", *["to On-call, replied"] * 4],
    "Charged twice": ["to Billing, replied"] * 5,
    "- delivered again": ["200 duplicate"] * 5,
    "- forged": ["401 refused"] * 5,
    "Export": ["to Support, replied"] * 5,
    "Pitch": ["closed"] * 5,
}


def test_the_demo_shows_the_outcome_of_each_delivery() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANTHROPIC_")}
    process = subprocess.run(
        [sys.executable, str(DEMO)], env=environment, capture_output=True, text=True, timeout=120, check=True
    )
    table, _, side_by_side = process.stdout.partition("All five")
    lines = table.splitlines()
    assert "a local stand-in for Claude's API that answers by keyword rules" in process.stdout
    for message, cells in EXPECTED.items():
        (line,) = (line for line in lines if line.startswith(message))
        assert all(cell in line for cell in cells), line
    for message, cells in SIDE_BY_SIDE.items():
        (line,) = (line for line in side_by_side.splitlines() if line.startswith(message))
        assert re.split(r"\s{2,}", line)[1:] == cells
    assert process.stderr == ""
