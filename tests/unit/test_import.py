"""The names that `import triage` provides."""

import importlib
import sys

import pytest

import triage


@pytest.mark.parametrize("module", ["triage", "triage.classifiers", "triage.inbox", "triage.testing", "triage.vendors"])
def test_public_names_are_sorted_and_exist(module: str) -> None:
    package = importlib.import_module(module)
    assert list(package.__all__) == sorted(package.__all__)
    assert all(hasattr(package, name) for name in package.__all__)


def test_every_name_of_the_package_is_public() -> None:
    submodules = {name.removeprefix("triage.") for name in sys.modules if name.startswith("triage.")}
    assert {name for name in vars(triage) if not name.startswith("_")} - submodules == set(triage.__all__)


def test_an_unknown_name_raises_attribute_error() -> None:
    assert not hasattr(importlib.import_module("triage.inbox"), "RedisInbox")
