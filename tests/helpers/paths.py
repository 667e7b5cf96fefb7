"""Where things are."""

import os
from pathlib import Path

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"
DOCS = ROOT / "docs"
EXAMPLES = ROOT / "examples"
SPECS = Path(os.environ.get("TRIAGE_SPECS") or ROOT.parent / "shared" / "specs")
"""The vendors' OpenAPI descriptions."""
