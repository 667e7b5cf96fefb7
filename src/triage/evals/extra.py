"""Check that the packages of the extra `evals` are installed, without importing them."""

from importlib.util import find_spec

from triage.errors import ConfigurationError

_PACKAGES = {
    "filelock": "filelock",
    "matplotlib": "matplotlib",
    "pandas": "pandas",
    "scipy": "scipy",
    "sklearn": "scikit-learn",
    "tqdm": "tqdm",
}
"""The modules of the extra, with the names of their packages."""


def require_packages() -> None:
    """Check that all packages are installed.

    Raises:
        ConfigurationError: Some of them are missing.
    """
    missing = [package for module, package in _PACKAGES.items() if find_spec(module) is None]
    if missing:
        raise ConfigurationError(f"triage.evals needs {', '.join(missing)}: pip install 'chat-triage[evals]'.")
