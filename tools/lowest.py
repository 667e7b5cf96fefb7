"""Print constraints that hold each of our dependencies at the lowest version that pyproject.toml allows."""

import re
import tomllib
from pathlib import Path


def lowest(requirement: str) -> str:
    """Make `"httpx==0.27"` of `"httpx>=0.27,<1"`."""
    name, bound = re.fullmatch(r"([\w-]+)>=([\d.]+)(?:,.*)?", requirement).groups()  # type: ignore[union-attr]  # or fail
    return f"{name}=={bound}"


project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
print(*map(lowest, project["dependencies"]), sep="\n")
