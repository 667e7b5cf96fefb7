"""Skip tests whose tools are missing on this machine, and summarize all skipped tests in one line.

In CI, where the environment variable `CI` is set, a missing tool fails the test instead.
"""

import os
import re
from collections.abc import Iterable, Mapping
from typing import NoReturn

import pytest

PACKAGES: Mapping[str, str] = {
    "PostgreSQL": "postgresql",
    "PgBouncer": "pgbouncer",
    "Redis": "redis-server",
    "RabbitMQ": "rabbitmq-server",
    "Node.js": "nodejs",
    "npm": "npm",
    "OpenSSL": "openssl",
}
"""The Debian package of each tool, in the order in which the summary lists the tools."""

_TOOL = re.compile(r"^(.+) is not installed: apt-get install \S+$")
_DESCRIPTION = re.compile(r"^the OpenAPI description (\S+) is missing: make specs$")


def skip_or_fail(reason: str) -> NoReturn:
    """Skip the test, or fail it in CI."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def skip_without_tool(name: str) -> NoReturn:
    """Skip the test, or fail it in CI, because the tool `name` is not installed."""
    skip_or_fail(f"{name} is not installed: apt-get install {PACKAGES[name]}")


def skip_without_extra(name: str) -> NoReturn:
    """Skip the test, or fail it in CI, because the extra `name` is not installed."""
    skip_or_fail(f"the extra {name} is not installed: pip install chat-triage[{name}]")


def skip_without_checker(name: str) -> NoReturn:
    """Skip the test, in CI as well, because a linter or type checker is missing: `make lowest` installs none."""
    pytest.skip(f"{name}, of the dependency group `check`, is not installed")


def skip_without_description(file_name: str) -> NoReturn:
    """Skip the test, or fail it in CI, because a vendor's OpenAPI description is missing."""
    skip_or_fail(f"the OpenAPI description {file_name} is missing: make specs")


def summarize_skips(reasons: Iterable[str]) -> str | None:
    """Describe in one line how many tests were skipped, why, and how to run them; None if no test was skipped."""
    all_reasons = list(reasons)
    if not all_reasons:
        return None
    tools = {match[1] for reason in all_reasons if (match := _TOOL.match(reason))}
    descriptions = {match[1] for reason in all_reasons if (match := _DESCRIPTION.match(reason))}
    others = {reason for reason in all_reasons if not _TOOL.match(reason) and not _DESCRIPTION.match(reason)}
    causes = []
    if tools:
        missing = [name for name in PACKAGES if name in tools]
        packages = " ".join(PACKAGES[name] for name in missing)
        verb = "is" if len(missing) == 1 else "are"
        causes.append(f"{', '.join(missing)} {verb} not installed (apt-get install {packages})")
    if descriptions:
        causes.append("OpenAPI descriptions are missing (make specs)")
    causes += sorted(" ".join(reason.split()) for reason in others)
    tests = "1 test" if len(all_reasons) == 1 else f"{len(all_reasons)} tests"
    return f"Skipped {tests}: {'; '.join(causes)}."
