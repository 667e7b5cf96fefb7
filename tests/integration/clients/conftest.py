"""Tools that nobody here wrote: Node, its packages, OpenSSL. In CI they must be there; elsewhere a test skips."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.missing import skip_or_fail, skip_without_tool

PACKAGES = ("crisp-api@11.3.0", "intercom-client@7.0.3")

Run = Callable[..., Any]
"""Takes the name of a script beside this file, and by name what it gets as JSON; gives the JSON that it prints."""


@pytest.fixture(scope="session")
def openssl() -> str:
    """The path of the command."""
    found = shutil.which("openssl")
    if found is None:
        skip_without_tool("OpenSSL")
    return found


@pytest.fixture(scope="session")
def node() -> Run:
    """Runs a script without packages."""
    if shutil.which("node") is None:
        skip_without_tool("Node.js")
    return _runner(Path(__file__).parent)


@pytest.fixture(scope="session")
def node_with_packages(tmp_path_factory: pytest.TempPathFactory, node: Run) -> Run:
    """Runs a script that finds the help desks' own packages."""
    if shutil.which("npm") is None:
        skip_without_tool("npm")
    folder = tmp_path_factory.mktemp("node")
    command = ["npm", "install", "--no-audit", "--no-fund", "--loglevel=error", "--ignore-scripts", *PACKAGES]
    installed = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if installed.returncode:
        skip_or_fail(f"npm could not install {' and '.join(PACKAGES)}: {installed.stderr[-300:]}")
    return _runner(folder)


def _runner(folder: Path) -> Run:
    def run(script: str, **given: Any) -> Any:
        # Node looks for packages beside the script, so it runs where they are.
        place = folder / script
        if not place.exists():
            place.write_text((Path(__file__).parent / script).read_text("utf-8"), "utf-8")
        done = subprocess.run(
            ["node", str(place)],  # noqa: S607 - whichever is on the PATH
            input=json.dumps(given),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run
