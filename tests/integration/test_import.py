"""Importing the package is fast: it imports no SDK, web framework or optional dependency before it is used."""

import subprocess
import sys

import triage

HEAVY = {
    "aiohttp",
    "anthropic",
    "celery",
    "django",
    "fastapi",
    "filelock",
    "flask",
    "httpx",
    "httpx2",
    "matplotlib",
    "numpy",
    "pandas",
    "psycopg",
    "pytest",
    "scipy",
    "sklearn",
    "starlette",
    "tqdm",
    "uvicorn",
}


def list_imports(statement: str) -> set[str]:
    """Return the top-level packages that a new interpreter has imported after a statement."""
    script = f"import sys; {statement}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, text=True)
    return set(process.stdout.split())


def test_importing_the_library_is_light() -> None:
    assert HEAVY & list_imports("import triage; triage.Router, triage.Worker; import triage.vendors") == set()


def test_importing_the_library_is_nearly_free_before_it_is_used() -> None:
    script = "import sys; before = set(sys.modules); import triage; print(*sorted(set(sys.modules) - before))"
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, text=True)
    assert [name for name in process.stdout.split() if name.partition(".")[0] not in sys.stdlib_module_names] == [
        "triage",
        "triage.lazy",
    ]


def test_importing_an_adapter_imports_no_other() -> None:
    script = "import sys; from triage.vendors import Front; print(*sys.modules)"
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, text=True)
    modules = set(process.stdout.split())
    assert "triage.vendors.front" in modules
    assert not modules & {"triage.vendors.intercom", "triage.vendors.zendesk", "triage.classifiers.claude"}


def test_importing_the_fakes_is_light() -> None:
    assert {"aiohttp", "anthropic", "httpx2"} & list_imports("import triage.testing") == set()


def test_the_package_runs_as_a_module() -> None:
    process = subprocess.run([sys.executable, "-m", "triage", "--version"], capture_output=True, check=True, text=True)
    assert process.stdout == f"python -m triage, version {triage.__version__}\n"
