"""Run pytest with our plugin, in this process or in a new one."""

import sys

# Each run of pytest in this process removes the modules that it has imported. NumPy cannot be imported again, and HTTPX
# would no longer know the errors of its transport, so import them before the first run.
import httpcore  # noqa: F401
import pytest
import scipy.stats  # noqa: F401
import sklearn.metrics  # noqa: F401

import triage.evals.evaluate  # noqa: F401
from triage.classifiers import cassette

PLUGIN = ("-p", "no:triage", "-p", "triage.testing.pytest_plugin")
"""Load the plugin by its module, whether or not its entry point is installed."""
OTHERS = ("-p", "no:randomly", "-p", "no:cacheprovider")


def run_pytest(pytester: pytest.Pytester, *args: str) -> pytest.RunResult:
    """Run pytest in this process, where coverage is measured, with recordings as in a new one."""
    cassette._cassettes.clear()
    # A plugin that is already imported cannot have its assertions rewritten, about which pytest warns.
    sys.modules.pop("triage.testing.pytest_plugin", None)
    return pytester.runpytest_inprocess(*PLUGIN, *OTHERS, *args)
