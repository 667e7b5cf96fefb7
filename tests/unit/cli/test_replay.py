"""`triage replay`, as a user types it."""

import json

import pytest

from tests.helpers.cli_project import APP, Project
from triage import Action, Reply, SetPriority, Tag
from triage.cli.replay import format_action


def test_replay_shows_which_customers_would_be_treated_differently(project: Project) -> None:
    project.store_and_route("This is urgent.")
    key = project.store_and_route()
    output = project.run("replay", "helpdesk:router").output
    assert f"{key}\n  was    billing, routed: assign" in output
    assert "\n  would  urgent, routed: assign" in output
    assert output.endswith("2 events, 1 would be treated differently.\n")
    assert "blue" not in output
    assert "business day" not in output


def test_replay_prints_json_and_stops_at_the_limit(project: Project) -> None:
    project.store_and_route("This is urgent.")
    project.store_and_route()
    lines = project.run("replay", "helpdesk:build", "--inbox", str(project.path), "--json").output.splitlines()
    assert [json.loads(line)["differs"] for line in lines] == [True, False]
    assert project.run("replay", "helpdesk:router", "--limit", "1").output.count("was") == 1


def test_replay_shows_the_cost(project: Project) -> None:
    project.store_and_route()
    priced = APP.replace('return "urgent"', 'return Verdict(bucket="spam", cost_usd=0.25)')
    project.write_app("from triage import Verdict\n" + priced)
    output = project.run("replay", "helpdesk:router").output
    assert "would  spam, routed: close\n" in output
    assert output.endswith("1 would be treated differently, 0.2500 USD.\n")


def test_replay_without_a_key_says_what_to_do(project: Project) -> None:
    project.store_and_route()
    project.write_app(APP + "\nrouter = Router(router.vendor, buckets=router.buckets, inbox=router.inbox)\n")
    result = project.run("replay", "helpdesk:router", exit_code=1)
    assert result.output == "Error: There is no API key for Claude: set ANTHROPIC_API_KEY, or pass Claude(api_key=…).\n"


@pytest.mark.parametrize(
    ("action", "text"),
    [(Tag("a", "b"), "tag a b"), (SetPriority("high"), "priority high"), (Reply("Secret"), "reply")],
)
def test_an_action_is_formatted_without_its_text(action: Action, text: str) -> None:
    assert format_action(action) == text
