"""The thresholds of evaluations that pytest's command line or its configuration file sets."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import pytest

Thresholds: TypeAlias = Mapping[str, float | Mapping[str, float]]
"""Arguments of `Report.check`."""

_TOTALS = {
    "accuracy": "the minimum accuracy of evaluations, such as 0.9",
    "cost-per-1000": "the maximum cost of 1,000 verdicts, in US dollars",
}
_PER_BUCKET = {
    "precision": "the minimum precision of a bucket, such as spam=0.99; without a name, of all buckets",
    "recall": "the minimum recall of a bucket, such as urgent=0.98; without a name, of all buckets",
}


def add_options(parser: pytest.Parser, group: pytest.OptionGroup) -> None:
    """Add the options and the settings.

    Args:
        parser: Receives the settings of the configuration file.
        group: Receives the options of the command line.
    """
    for name, description in _TOTALS.items():
        group.addoption(_get_option(name), metavar="NUMBER", help=f"{description}. Setting: {_get_setting(name)}")
        parser.addini(_get_setting(name), f"{description}.", type="string", default="")
    for name, description in _PER_BUCKET.items():
        help_text = f"{description}. May be repeated. Setting: {_get_setting(name)}, with one bucket in each line"
        group.addoption(_get_option(name), action="append", metavar="BUCKET=NUMBER", help=help_text)
        parser.addini(_get_setting(name), f"{description}; one in each line.", type="linelist", default=[])


def read_thresholds(config: pytest.Config) -> Thresholds:
    """Return the thresholds that are set. The command line takes precedence over the configuration file.

    Args:
        config: The configuration.

    Raises:
        UsageError: A value is not a number.
    """
    thresholds: dict[str, float | Mapping[str, float]] = {}
    for name in (*_TOTALS, *_PER_BUCKET):
        source = _get_option(name)
        value: Any = config.getoption(source)
        if not value:
            source = _get_setting(name)
            value = config.getini(source)
        if value:
            parsed = _parse_number(value, source) if name in _TOTALS else _parse_numbers(value, source)
            thresholds[name.replace("-", "_")] = parsed
    return thresholds


def _get_option(name: str) -> str:
    return f"--triage-{name}"


def _get_setting(name: str) -> str:
    return f"triage_{name.replace('-', '_')}"


def _parse_numbers(values: Sequence[str], source: str) -> dict[str, float]:
    numbers: dict[str, float] = {}
    for value in values:
        bucket, separator, number = value.rpartition("=")
        numbers[bucket.strip() if separator else "*"] = _parse_number(number, source)
    return numbers


def _parse_number(text: str, source: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise pytest.UsageError(f"{source}: write a number such as 0.9, not {text.strip()!r}.") from None
