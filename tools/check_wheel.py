"""Check what is about to be published: `python tools/check_wheel.py dist`.

The wheel holds the package and nothing else, asks for what it should, and works where nothing else is installed.
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
    """Compare what is in the wheel with the source and with what the project promises."""
    with zipfile.ZipFile(path) as wheel:
        names = set(wheel.namelist())
        (info,) = {name.split("/")[0] for name in names if ".dist-info/" in name}
        metadata = HeaderParser().parsestr(wheel.read(f"{info}/METADATA").decode())
    source = {file for pattern in ("*.py", "*.sql", "py.typed") for file in SOURCE.rglob(pattern)}
    expected = {f"triage/{file.relative_to(SOURCE).as_posix()}" for file in source}
    package = {name for name in names if not name.startswith(f"{info}/")}
    require(package == expected, f"the wheel's files differ from src/triage: {sorted(package ^ expected)}")
    require(f"{info}/licenses/LICENSE" in names, "the wheel has no licence")
    requirements = metadata.get_all("Requires-Dist", [])
    always = {re.split(r"[^\w-]", requirement)[0] for requirement in requirements if "extra ==" not in requirement}
    require(always == DEPENDENCIES, f"the wheel depends on {sorted(always)}, not on {sorted(DEPENDENCIES)}")
    require(metadata["Requires-Python"] == ">=3.11", f"the wheel asks for Python {metadata['Requires-Python']}")


def check_sdist(path: Path) -> None:
    """See that the tests and all that runs them are in the source distribution."""
    with tarfile.open(path) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    missing = {"LICENSE", "Makefile", "README.md", "pyproject.toml", "src/triage/py.typed", "tests/conftest.py"} - names
    require(not missing, f"the source distribution lacks {sorted(missing)}")
    junk = sorted(name for name in names if "cache" in name)
    require(not junk, f"the source distribution holds {junk[:5]}")


def check_install(wheel: Path) -> None:
    """Install the wheel where nothing else is, and import it from there."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = Path(folder, "bin", "python")
        subprocess.run([python, "-m", "pip", "install", "--quiet", wheel], check=True)
        subprocess.run([python, "-I", "-c", "import triage, triage.testing, triage.vendors"], check=True, cwd=folder)


def require(condition: bool, otherwise: str) -> None:
    """Stop with a message unless the condition holds."""
    if not condition:
        sys.exit(otherwise)


if __name__ == "__main__":
    dist = Path(sys.argv[1])
    (wheel,) = dist.glob("*.whl")
    (sdist,) = dist.glob("*.tar.gz")
    check_wheel(wheel)
    check_sdist(sdist)
    check_install(wheel.resolve())
    print(f"{wheel.name} and {sdist.name} are as they should be")
