"""`import triage` imports little and offers the public names."""

import importlib
from importlib.metadata import version

import pytest

import triage


@pytest.mark.parametrize(
    "module",
    [
        "triage",
        "triage.classifiers",
        "triage.evals",
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


def test_every_name_comes_from_the_module_that_defines_it() -> None:
    assert set(triage._MODULE_OF) == set(triage.__all__)
    for name, module in triage._MODULE_OF.items():
        assert getattr(triage, name) is getattr(importlib.import_module(f"triage.{module}"), name)


def test_shells_suggest_the_names() -> None:
    assert set(triage.__all__) < set(dir(triage))


def test_the_package_has_a_version() -> None:
    assert triage.__version__ == version("chat-triage")


@pytest.mark.parametrize(("module", "name"), [("triage", "Ruter"), ("triage.inbox", "RedisInbox")])
def test_an_unknown_name_is_an_attribute_error(module: str, name: str) -> None:
    with pytest.raises(AttributeError, match=name):
        getattr(importlib.import_module(module), name)
