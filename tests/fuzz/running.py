"""The command line of the fuzzers, and the settings of libFuzzer."""

import argparse
import importlib
import sys
import tempfile
from collections.abc import Callable
from typing import Any

atheris: Any = importlib.import_module("atheris")  # imported by name because it is optional and has no type hints


def run(check_input: Callable[[bytes], object], name: str, *, longest: int) -> None:
    """Fuzz until the time is up; libFuzzer exits the process.

    Args:
        check_input: Takes an input, and raises an exception if it shows a defect.
        name: The name of the fuzzer, with which the names of saved inputs begin.
        longest: The length of the longest input in bytes.
    """
    parser = argparse.ArgumentParser(f"python -m tests.fuzz.{name}")
    parser.add_argument("seconds", type=int, help="how long to run")
    parser.add_argument("--seed", type=int, default=4711, help="seed of the random numbers")
    options, more = parser.parse_known_args()
    arguments = [
        sys.argv[0],
        f"-max_total_time={options.seconds}",
        f"-seed={options.seed}",
        f"-max_len={longest}",
        "-len_control=0",  # use inputs of any length from the start: short ones change only the first value
        "-timeout=20",
        "-print_final_stats=1",
        f"-artifact_prefix={tempfile.gettempdir()}/{name}-",
        *more,
    ]
    atheris.Setup(arguments, check_input)
    atheris.Fuzz()
