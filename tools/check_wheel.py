"""Check the distributions before they are published: `python tools/check_wheel.py dist`.

The wheel contains exactly the package, has the intended dependencies, and works in an empty environment.
"""

import re
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from email.parser import HeaderParser
from pathlib import Path

DEPENDENCIES = {"anthropic", "httpx", "pydantic", "typing-extensions"}
SOURCE = Path("src/triage")


def check_wheel(path: Path) -> None:
    """Compare the wheel with the source code and the project's metadata."""
    with zipfile.ZipFile(path) as wheel:
        names = set(wheel.namelist())
        (info,) = {name.split("/")[0] for name in names if ".dist-info/" in name}
        metadata = HeaderParser().parsestr(wheel.read(f"{info}/METADATA").decode())
    source = {file for pattern in ("*.py", "*.sql", "*.toml", "py.typed") for file in SOURCE.rglob(pattern)}
    expected = {f"triage/{file.relative_to(SOURCE).as_posix()}" for file in source}
    package = {name for name in names if not name.startswith(f"{info}/")}
    require(package == expected, f"the wheel's files differ from src/triage: {sorted(package ^ expected)}")
    require(f"{info}/licenses/LICENSE" in names, "the wheel has no license file")
    requirements = metadata.get_all("Requires-Dist", [])
    required = [requirement for requirement in requirements if "extra ==" not in requirement]
    dependencies = {re.split(r"[^\w-]", requirement)[0] for requirement in required}
    require(dependencies == DEPENDENCIES, f"the wheel depends on {sorted(dependencies)}, not {sorted(DEPENDENCIES)}")
    require(metadata["Requires-Python"] == ">=3.11", f"the wheel requires Python {metadata['Requires-Python']}")


def check_sdist(path: Path) -> None:
    """Check that the source distribution contains the tests and everything that runs them."""
    with tarfile.open(path) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    missing = {"LICENSE", "Makefile", "README.md", "pyproject.toml", "src/triage/py.typed", "tests/conftest.py"} - names
    require(not missing, f"the source distribution lacks {sorted(missing)}")
    caches = sorted(name for name in names if "cache" in name)
    require(not caches, f"the source distribution contains {caches[:5]}")


def check_install(wheel: Path) -> None:
    """Install the wheel in an empty environment and import the package."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = Path(folder, "bin", "python")
        subprocess.run([python, "-m", "pip", "install", "--quiet", wheel], check=True)
        subprocess.run([python, "-I", "-c", "import triage, triage.testing, triage.vendors"], check=True, cwd=folder)


def require(condition: bool, message: str) -> None:
    """Exit with a message unless the condition holds."""
    if not condition:
        sys.exit(message)


if __name__ == "__main__":
    dist = Path(sys.argv[1])
    (wheel,) = dist.glob("*.whl")
    (sdist,) = dist.glob("*.tar.gz")
    check_wheel(wheel)
    check_sdist(sdist)
    check_install(wheel.resolve())
    print(f"{wheel.name} and {sdist.name} pass all checks")
