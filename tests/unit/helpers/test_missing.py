"""Tests whose tool is missing are skipped, or fail in CI, and one line summarizes the skipped tests."""

import pytest

from tests.helpers.missing import (
    skip_or_fail,
    skip_without_checker,
    skip_without_description,
    skip_without_tool,
    summarize_skips,
)


def find_reason(name: str) -> str:
    with pytest.raises(pytest.skip.Exception) as skipped:
        skip_without_description(name) if name.endswith((".json", ".yaml")) else skip_without_tool(name)
    return str(skipped.value)


@pytest.fixture(autouse=True)
def outside_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)


def test_a_missing_tool_skips_the_test() -> None:
    with pytest.raises(pytest.skip.Exception, match="apt-get install redis-server"):
        skip_without_tool("Redis")


def test_a_missing_tool_fails_the_test_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="apt-get install redis-server"):
        skip_without_tool("Redis")
    with pytest.raises(pytest.fail.Exception, match="make specs"):
        skip_without_description("front-core.json")
    with pytest.raises(pytest.fail.Exception, match="npm could not install"):
        skip_or_fail("npm could not install crisp-api")


def test_a_missing_checker_skips_the_test_in_ci_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.skip.Exception, match="mypy, of the dependency group `check`, is not installed"):
        skip_without_checker("mypy")


def test_the_summary_names_each_missing_tool_once_and_how_to_install_all() -> None:
    names = ["RabbitMQ", "PostgreSQL", "Redis", "PostgreSQL", "zendesk-support.yaml", "front-core.json"]
    assert summarize_skips(map(find_reason, names)) == (
        "Skipped 6 tests: PostgreSQL, Redis, RabbitMQ are not installed "
        "(apt-get install postgresql redis-server rabbitmq-server); OpenAPI descriptions are missing (make specs)."
    )


def test_the_summary_of_one_test_is_in_the_singular() -> None:
    expected = "Skipped 1 test: Node.js is not installed (apt-get install nodejs)."
    assert summarize_skips([find_reason("Node.js")]) == expected


def test_the_summary_quotes_any_other_reason_once() -> None:
    assert summarize_skips(["no network\n", "no network\n"]) == "Skipped 2 tests: no network."


def test_without_skipped_tests_there_is_no_summary() -> None:
    assert summarize_skips([]) is None
