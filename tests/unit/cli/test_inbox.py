"""`triage inbox`, as a user types it."""

import json

import pytest

from tests.helpers.cli_project import Project
from tests.helpers.recordings import BUCKETS, ask_about
from triage.classifiers import Recorded, Rules

# Inspecting


def test_list_shows_each_event_without_customer_text(project: Project) -> None:
    routed, dead, ready = project.store_and_route(), project.store_and_dead_letter(), project.store()
    lines = project.run("inbox", "list").output.splitlines()
    assert [line.split()[2:5] for line in lines] == [
        ["ready", "0x", ready],
        ["dead", "1x", dead],
        ["finished", "1x", routed],
    ]
    assert lines[1].endswith("status 403")
    assert lines[2].endswith("routed")
    assert "blue" not in "".join(lines)
    assert len(project.run("inbox", "list", "--limit", "1").output.splitlines()) == 1


def test_list_shows_one_state_as_json(project: Project) -> None:
    project.store_and_route()
    dead = project.store_and_dead_letter()
    (line,) = project.run("inbox", "list", "--state", "dead", "--json").output.splitlines()
    facts = json.loads(line)
    assert (facts["key"], facts["state"], facts["error"]) == (dead, "dead", "status 403")
    assert project.run("inbox", "list", "--state", "parked").output == ""


def test_list_reads_several_pages(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("triage.inbox.entries.PAGE_SIZE", 2)
    keys = [project.store() for _ in range(5)]
    lines = project.run("inbox", "list", "--json").output.splitlines()
    assert [json.loads(line)["key"] for line in lines] == keys[::-1]


def test_show_prints_everything_and_texts_on_request(project: Project) -> None:
    key = project.store_and_route()
    output = project.run("inbox", "show", key).output
    assert "verdict      billing (1.00)\n" in output
    assert "step         assign:done\n" in output
    assert "blue" not in output
    assert "business day" not in output
    texts = project.run("inbox", "show", key, "--text").output
    assert "customer: This is billing. My card is blue." in texts
    assert "business day" in texts


def test_show_before_routing_after_the_fallback_and_for_unreadable_deliveries(project: Project) -> None:
    key = project.store("Hi\x1b[2J")
    assert "\x1b" not in project.run("inbox", "show", key, "--text").output
    project.router = project.desk.router(inbox=project.inbox, classifier=lambda text: "no bucket")
    project.route()
    assert "reason       the classifier returned an unknown bucket" in project.run("inbox", "show", key).output
    unreadable = project.store_unreadable()
    assert "state        dead" in project.run("inbox", "show", unreadable, "--text").output
    assert "The inbox has no event 'nobody'." in project.run("inbox", "show", "nobody", exit_code=1).output


def test_stats_count_each_state(project: Project) -> None:
    project.store_and_route()
    project.store_and_dead_letter()
    output = project.run("inbox", "stats").output
    assert output.split() == ["ready", "0", "leased", "0", "finished", "1", "planned", "0", "dead", "1", "parked", "0"]
    assert json.loads(project.run("inbox", "stats", "--json").output)["dead"] == 1


def test_migrate_updates_the_tables(project: Project) -> None:
    project.store()
    project.inbox._execute("DROP INDEX triage_settled", {})
    project.inbox._execute("PRAGMA user_version = 1", {})
    assert project.run("inbox", "migrate").output == "The tables are up to date.\n"
    assert project.inbox._execute("PRAGMA user_version", {})[0] == [(2,)]
    assert json.loads(project.run("inbox", "stats", "--json").output)["ready"] == 1


# Repairing


def test_redrive_processes_dead_events_again(project: Project) -> None:
    first, second, third = (project.store_and_dead_letter() for _ in range(3))
    parked = project.store()
    project.run("inbox", "park", parked)
    project.store_unreadable()
    assert project.run("inbox", "redrive", first).output == "1 event redriven.\n"
    assert project.run("inbox", "redrive", "--all").output == "2 events redriven.\n"
    assert project.get_state(parked) == "parked", "--all means the dead ones"
    assert project.run("inbox", "redrive", parked).output == "1 event redriven.\n"
    project.route(events=4)
    assert [project.get_state(key) for key in (first, second, third, parked)] == ["finished"] * 4


def test_redrive_reports_events_that_cannot_be_redriven(project: Project) -> None:
    output = project.run("inbox", "redrive", "nobody", exit_code=1).output
    assert "neither dead nor parked, or unreadable: nobody" in output
    assert "Pass either the keys of events or --all." in project.run("inbox", "redrive", exit_code=2).output


def test_park_sets_a_ready_event_aside(project: Project) -> None:
    key = project.store()
    project.run("inbox", "park", key, "--reason", "Ada looks into it")
    assert project.get_state(key) == "parked"
    assert "Ada looks into it" in project.run("inbox", "show", key).output
    assert f"No event '{key}' is ready." in project.run("inbox", "park", key, exit_code=1).output


@pytest.mark.parametrize("before", ["0s", "2999-01-01", "2999-01-01T00:00+02:00"])
def test_purge_removes_finished_events_and_dead_ones_on_request(project: Project, before: str) -> None:
    project.store_and_route()
    project.store_and_dead_letter()
    assert project.run("inbox", "purge", "--before", "1d").output == "0 events removed.\n"
    assert project.run("inbox", "purge", "--before", before).output == "1 event removed.\n"
    assert project.run("inbox", "purge", "--before", before, "--dead").output == "1 event removed.\n"
    assert "neither an age" in project.run("inbox", "purge", "--before", "soon", exit_code=2).output


def test_forget_removes_the_events_of_a_customer(project: Project) -> None:
    project.store_and_route()
    assert project.run("inbox", "forget", "Mira@Example.com").output == "1 event removed.\n"
    assert project.run("inbox", "list").output == ""


def test_forget_removes_the_verdicts_about_a_customer_from_recordings(project: Project) -> None:
    paths = [project.directory / name for name in ("a.jsonl", "b.jsonl")]
    for path in paths:
        recorded = Recorded(Rules.default(), path, mode="auto")
        for email in ("mira@example.com", "jonas@example.com"):
            recorded.classify(ask_about(f"Charged again, {email}", email=email), BUCKETS)
    options = [option for path in paths for option in ("--cassette", str(path))]
    output = project.run("inbox", "forget", "Mira@Example.com", *options).output
    assert output.splitlines() == ["0 events removed.", *(f"1 verdict removed from {path}." for path in paths)]
    assert all("mira" not in path.read_text() and "jonas" in path.read_text() for path in paths)
    output = project.run("inbox", "forget", "mira@example.com", *options).output
    assert f"0 verdicts removed from {paths[1]}." in output


def test_forget_reports_a_recording_that_is_missing_or_unreadable(project: Project) -> None:
    (project.directory / "a.jsonl").write_text("=======\n")
    output = project.run("inbox", "forget", "mira", "--cassette", "b.jsonl", exit_code=2).output
    assert "File 'b.jsonl' does not exist" in output
    output = project.run("inbox", "forget", "mira", "--cassette", "a.jsonl", exit_code=1).output
    assert "a.jsonl: line 1 is a conflict marker of Git" in output


def test_a_failing_inbox_is_reported_in_one_line(project: Project) -> None:
    project.inbox._execute("DROP TABLE triage_events", {})
    assert "Error: the inbox" in project.run("inbox", "list", exit_code=1).output
