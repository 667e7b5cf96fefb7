"""Without the extra, `triage.evals` says which packages to install. Importing it imports none of them."""

import importlib
import subprocess
import sys

import pytest

import triage.evals
from triage import ConfigurationError
from triage.evals.extra import require_packages


def test_missing_packages_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    require_packages()
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "tqdm", None)
    expected = r"triage\.evals needs scikit-learn, tqdm: pip install 'chat-triage\[evals\]'\."
    with pytest.raises(ConfigurationError, match=expected):
        importlib.reload(triage.evals)


def test_importing_the_package_imports_no_heavy_packages() -> None:
    heavy = {"matplotlib", "numpy", "pandas", "scipy", "sklearn", "tqdm"}
    code = f"import sys, triage.evals; print(*sorted({heavy} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ""
