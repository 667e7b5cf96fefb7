"""Run an application under uvicorn on given cores: `python -m benchmarks.speed.server APP --port PORT --cores 1`."""

import argparse
import sys
from importlib import metadata

import uvicorn

from benchmarks.speed.machine import pin


def hide(package: str) -> None:
    """Let a package look as if it were not installed.

    Args:
        package: The name under which it is both installed and imported.
    """
    sys.modules[package] = None  # type: ignore[assignment]  # makes imports raise ModuleNotFoundError
    find = metadata.distribution

    def find_other(distribution_name: str) -> metadata.Distribution:
        if distribution_name == package:
            raise metadata.PackageNotFoundError(package)
        return find(distribution_name)

    metadata.distribution = find_other


def main() -> None:
    """Pin the process to its cores, hide packages, and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("app")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--cores", type=int, nargs="+", required=True)
    parser.add_argument("--hide", nargs="*", default=[], metavar="PACKAGE", help="let imports of the package fail")
    options = parser.parse_args()
    pin(options.cores)
    for package in options.hide:
        hide(package)
    uvicorn.run(options.app, port=options.port, access_log=False, log_level="warning")


if __name__ == "__main__":
    main()
