"""What `import triage` brings, and what it does not."""

import importlib
import subprocess
import sys

import pytest

import triage


def test_importing_is_light() -> None:
    """No SDK, stack of an SDK or web framework is imported before it is used; `import anthropic` takes a second."""
    script = "import sys, triage, triage.vendors; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, text=True)
    heavy = {
        "anthropic",
        "httpx2",
        "fastapi",
        "starlette",
        "flask",
        "django",
        "uvicorn",
        "pytest",
        "celery",
        "psycopg",
    }
    assert heavy & set(done.stdout.split()) == set()


@pytest.mark.parametrize("module", ["triage", "triage.classifiers", "triage.inbox", "triage.testing", "triage.vendors"])
def test_public_names_are_sorted_and_exist(module: str) -> None:
    package = importlib.import_module(module)
    assert list(package.__all__) == sorted(package.__all__)
    assert all(hasattr(package, name) for name in package.__all__)


def test_what_is_imported_into_the_package_is_public() -> None:
    submodules = {name.removeprefix("triage.") for name in sys.modules if name.startswith("triage.")}
    assert {name for name in vars(triage) if not name.startswith("_")} - submodules == set(triage.__all__)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    assert not hasattr(importlib.import_module("triage.inbox"), "RedisInbox")
