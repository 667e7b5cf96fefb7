"""The machine: which cores the server and the driver use, what a process has consumed, and a description."""

import os
import platform
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

_PACKAGES = ("anthropic", "httpx", "httpx2", "aiohttp", "fastapi", "uvicorn", "pydantic")


class Cores(NamedTuple):
    """The cores of the two sides of a measurement."""

    server: tuple[int, ...]
    """The core of the server under test, which runs nothing else."""
    driver: tuple[int, ...]
    """The other cores, for the driver and the fakes."""


def split_cores() -> Cores:
    """Return a core for the server and the others for the driver; on a machine with one core, that one for both."""
    *others, last = sorted(os.sched_getaffinity(0))
    return Cores((last,), tuple(others) or (last,))


def pin(cores: Sequence[int]) -> None:
    """Run this thread, and the threads and processes that it starts, only on these cores."""
    os.sched_setaffinity(0, cores)


def read_cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process has used, in all its threads."""
    # The name of the command, in parentheses, may contain spaces.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def read_memory(pid: int) -> float:
    """Return the resident memory of a process in MiB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1024**2


def describe_machine() -> list[tuple[str, str]]:
    """Return what a reader needs to know to compare figures with those of another machine."""
    cores = split_cores()
    versions = [f"{package} {found}" for package in _PACKAGES if (found := find_version(package))]
    return [
        ("CPU", f"{_read_cpu_model()}, {os.cpu_count()} cores"),
        ("Cores", f"server {_join(cores.server)}; driver and fakes {_join(cores.driver)}"),
        ("System", f"{platform.system()} {platform.release()}"),
        ("Python", f"{platform.python_implementation()} {platform.python_version()}"),
        ("Packages", ", ".join(versions)),
        ("Date", time.strftime("%Y-%m-%d", time.gmtime())),
        ("Load before the run", f"{os.getloadavg()[0]:.1f} (1-minute average)"),
    ]


def find_version(package: str) -> str | None:
    """Return the version of an installed package, or None."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _read_cpu_model() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _join(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))
