"""`import triage`: what it imports, and the names that it offers."""

import importlib
import subprocess
import sys
from importlib.metadata import version

import pytest

import triage


def test_importing_is_light() -> None:
    """Importing the anthropic SDK takes a second, so no SDK or web framework is imported before it is used."""
    script = "import sys, triage, triage.vendors; print(*{name.partition('.')[0] for name in sys.modules})"
    completed = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, text=True)
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
    assert heavy & set(completed.stdout.split()) == set()


@pytest.mark.parametrize(
    "module",
    [
        "triage",
        "triage.classifiers",
        "triage.inbox",
        "triage.models",
        "triage.testing",
        "triage.text",
        "triage.vendors",
    ],
)
def test_public_names_are_sorted_and_exist(module: str) -> None:
    package = importlib.import_module(module)
    assert list(package.__all__) == sorted(package.__all__)
    assert all(hasattr(package, name) for name in package.__all__)


def test_every_name_that_the_package_imports_is_public() -> None:
    submodules = {name.removeprefix("triage.") for name in sys.modules if name.startswith("triage.")}
    names = {name for name in vars(triage) if not name.startswith("_")}
    assert names - submodules - {"TYPE_CHECKING"} == set(triage.__all__)


def test_the_package_has_a_version() -> None:
    assert triage.__version__ == version("chat-triage")


@pytest.mark.parametrize(("module", "name"), [("triage", "Ruter"), ("triage.inbox", "RedisInbox")])
def test_an_unknown_name_is_an_attribute_error(module: str, name: str) -> None:
    with pytest.raises(AttributeError, match=name):
        getattr(importlib.import_module(module), name)
