"""Run pytest with our plugin, in this process or in a new one."""

# HTTPX imports it late. If a run of pytest in this process did, and then removed it, HTTPX would not know its errors.
import httpcore  # noqa: F401
import pytest

from triage.classifiers import cassette

PLUGIN = ("-p", "no:triage", "-p", "triage.testing.pytest_plugin")
"""Load the plugin by its module, whether or not its entry point is installed."""
OTHERS = ("-p", "no:randomly", "-p", "no:cacheprovider")


def run_pytest(pytester: pytest.Pytester, *args: str) -> pytest.RunResult:
    """Run pytest in this process, where coverage is measured, with recordings as in a new one."""
    cassette._cassettes.clear()
    return pytester.runpytest_inprocess(*PLUGIN, *OTHERS, *args)
