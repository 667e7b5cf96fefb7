"""Other programs that the tests run: Node.js, packages for it, and OpenSSL."""

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
"""Runs a script of this directory with keyword arguments as JSON, and returns the JSON that it prints."""


@pytest.fixture(scope="session")
def openssl() -> str:
    """Return the path of the command."""
    path = shutil.which("openssl")
    if path is None:
        skip_without_tool("OpenSSL")
    return path


@pytest.fixture(scope="session")
def node() -> Run:
    """Return a function that runs a script without packages."""
    if shutil.which("node") is None:
        skip_without_tool("Node.js")
    return _make_runner(Path(__file__).parent)


@pytest.fixture(scope="session")
def node_with_packages(tmp_path_factory: pytest.TempPathFactory, node: Run) -> Run:
    """Return a function that runs a script which imports the help desks' own packages."""
    if shutil.which("npm") is None:
        skip_without_tool("npm")
    folder = tmp_path_factory.mktemp("node")
    command = ["npm", "install", "--no-audit", "--no-fund", "--loglevel=error", "--ignore-scripts", *PACKAGES]
    process = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if process.returncode:
        skip_or_fail(f"npm could not install {' and '.join(PACKAGES)}: {process.stderr[-300:]}")
    return _make_runner(folder)


def _make_runner(folder: Path) -> Run:
    def run(script: str, **arguments: Any) -> Any:
        # Node looks for packages in the script's directory, so the script is copied to where they are.
        path = folder / script
        if not path.exists():
            path.write_text((Path(__file__).parent / script).read_text("utf-8"), "utf-8")
        process = subprocess.run(
            ["node", str(path)],  # noqa: S607 - the one on the PATH
            input=json.dumps(arguments),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert process.returncode == 0, process.stderr
        return json.loads(process.stdout)

    return run
