"""Packages whose modules are imported when one of their names is used for the first time."""

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module


def import_on_access(package: str, modules: Mapping[str, Sequence[str]]) -> Callable[[str], object]:
    """Return a `__getattr__` for a package (PEP 562), which imports a public name on its first use.

    Args:
        package: The package's name.
        modules: The public names by the name of the module that defines them.
    """
    module_of = {name: module for module, names in modules.items() for name in names}

    def get(name: str) -> object:
        if name not in module_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(f"{package}.{module_of[name]}"), name)
        setattr(sys.modules[package], name, value)
        return value

    return get
