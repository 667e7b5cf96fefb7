"""`import triage` imports little and offers the public names."""

import importlib
from importlib.metadata import version

import pytest

import triage
from triage.lazy import import_on_access


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


LAZY = ["triage", "triage.classifiers", "triage.inbox", "triage.vendors"]


@pytest.mark.parametrize("package", LAZY)
def test_every_name_comes_from_the_module_that_defines_it(package: str) -> None:
    imported = importlib.import_module(package)
    module_of = {name: module for module, names in imported._MODULES.items() for name in names}
    assert set(module_of) == set(imported.__all__) - {"open_inbox"}
    for name, module in module_of.items():
        assert import_on_access(package, imported._MODULES)(name) is getattr(
            importlib.import_module(f"{package}.{module}"), name
        )


@pytest.mark.parametrize("package", LAZY)
def test_shells_suggest_the_names(package: str) -> None:
    imported = importlib.import_module(package)
    assert set(imported.__all__) < set(dir(imported))


def test_the_package_has_a_version() -> None:
    assert triage.__version__ == version("chat-triage")


@pytest.mark.parametrize(("module", "name"), [("triage", "Ruter"), ("triage.inbox", "RedisInbox")])
def test_an_unknown_name_is_an_attribute_error(module: str, name: str) -> None:
    with pytest.raises(AttributeError, match=name):
        getattr(importlib.import_module(module), name)
