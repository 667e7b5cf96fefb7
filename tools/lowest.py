"""Print constraints that pin each dependency to the lowest version that pyproject.toml allows."""

import re
import tomllib
from pathlib import Path


def pin_lowest(requirement: str) -> str:
    """Turn `"httpx>=0.27,<1"` into `"httpx==0.27"`."""
    name, bound = re.fullmatch(r"([\w-]+)>=([\d.]+)(?:,.*)?", requirement).groups()  # type: ignore[union-attr]  # otherwise it should fail
    return f"{name}=={bound}"


project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
print(*map(pin_lowest, project["dependencies"]), sep="\n")
