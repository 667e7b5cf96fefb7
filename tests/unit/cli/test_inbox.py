"""`triage inbox`, as a user types it."""

import json
import re
from datetime import UTC, datetime
from typing import Any

import click
import pytest
from click.testing import CliRunner

from tests.helpers.classifiers import Fixed
from tests.helpers.cli_project import APP, Project
from tests.helpers.recordings import BUCKETS, ask_about
from triage import Verdict
from triage.classifiers import Recorded, Rules
from triage.cli.app import triage
from triage.errors import InboxError

# Inspecting


def test_list_shows_each_event_without_customer_text(project: Project) -> None:
    routed, dead, ready = project.store_and_route(), project.store_and_dead_letter(), project.store()
    lines = project.run("inbox", "list").output.splitlines()
    assert [line.split()[2:5] for line in lines] == [
        ["ready", "0x", ready],
        ["dead", "1x", dead],
        ["finished", "1x", routed],
    ]
    link = "https://app.intercom.com/a/apps/abc123de/conversations/"
    assert f"{dead}  status 403  {link}" in lines[1]
    assert f"{routed}  routed  billing (1.00)  {link}" in lines[2]
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


@pytest.mark.parametrize(
    ("options", "number"),
    [
        (["--day", "2026-11-24"], 2),
        (["--day", "2026-11-25"], 1),
        (["--bucket", "billing"], 1),
        (["--bucket", "spam"], 0),
        (["--status", "routed"], 2),
        (["--status", "planned"], 0),
        (["--fallback", "any"], 1),
        (["--fallback", "invalid_answer"], 1),
        (["--fallback", "unavailable"], 0),
        (["--below", "0.5"], 1),
        (["--below", "1", "--bucket", "billing"], 0),
    ],
)
def test_list_filters_events(project: Project, options: list[str], number: int) -> None:
    project.store_and_route()
    project.router = project.desk.router(inbox=project.inbox, classifier=lambda text: "no bucket")
    project.store_and_route()
    project.store()
    times = [datetime(2026, 11, day, 12, tzinfo=UTC).timestamp() for day in (24, 24, 25)]
    for entry, time in zip(reversed(project.inbox.list_entries()), times, strict=True):
        values = {"time": time, "number": entry.number}
        project.inbox._execute("UPDATE triage_events SET received = :time WHERE number = :number", values)
    assert len(project.run("inbox", "list", *options).output.splitlines()) == number


def test_list_shows_the_cost_and_the_reason_of_a_fallback(project: Project) -> None:
    verdict = Verdict(bucket="billing", confidence=0.61, cost_usd=0.0123)
    project.router = project.desk.router(inbox=project.inbox, classifier=Fixed(verdict))
    project.store_and_route()
    assert "billing (0.61)  0.0123 USD" in project.run("inbox", "list").output
    fallback = Verdict(bucket="general", confidence=0, fallback_reason="refused")
    project.router = project.desk.router(inbox=project.inbox, classifier=Fixed(fallback))
    project.store_and_route()
    assert "general (fallback: refused)" in project.run("inbox", "list", "--limit", "1").output
    facts = json.loads(project.run("inbox", "list", "--json", "--bucket", "billing").output)
    assert (facts["bucket"], facts["confidence"], facts["fallback"], facts["cost_usd"]) == (
        "billing",
        0.61,
        None,
        0.0123,
    )


def test_an_unreadable_delivery_has_no_link(project: Project) -> None:
    project.store_unreadable()
    assert "https" not in project.run("inbox", "list").output


def test_stats_count_each_state_and_show_the_longest_wait(project: Project) -> None:
    project.store_and_route()
    project.store_and_dead_letter()
    output = project.run("inbox", "stats").output
    assert output.split() == [
        *("ready", "0", "leased", "0", "finished", "1", "planned", "0", "dead", "1", "parked", "0", "lag", "0", "s")
    ]
    facts = json.loads(project.run("inbox", "stats", "--json").output)
    assert (facts["dead"], facts["lag"]) == (1, 0)


def test_stats_fail_if_a_limit_is_exceeded(project: Project) -> None:
    project.run("inbox", "stats", "--max-age", "5m", "--max-dead", "0")
    project.store_and_dead_letter()
    project.store()
    project.inbox._execute("UPDATE triage_events SET due = due - 600", {})
    project.run("inbox", "stats", "--max-age", "1h", "--max-dead", "1")
    output = project.run("inbox", "stats", "--max-age", "5m", exit_code=1).output
    assert re.search(r"an event has waited 600(\.\d)? s, more than 300 s: is a worker running\?", output)
    output = project.run("inbox", "stats", "--max-dead", "0", "--json", exit_code=1).output
    assert "dead events: 1, more than 0" in output
    assert "must be a duration" in project.run("inbox", "stats", "--max-age", "soon", exit_code=2).output


# Processing again


def test_redo_requests_a_missing_verdict_and_sends_no_second_reply(project: Project) -> None:
    project.router = project.desk.router(inbox=project.inbox, classifier=lambda text: "no bucket")
    key = project.store_and_route()
    (conversation,) = project.desk.fake.conversations
    before = project.desk.fake.replies(conversation)
    project.router = project.desk.router(inbox=project.inbox)
    output = project.run("inbox", "redo", "--fallback", "any", "--yes").output
    assert f"{key}  routed  general (fallback: invalid_answer)" in output
    assert "keeps assign, reply" in output
    assert "1 event will be processed again." in output
    project.route()
    entry = project.inbox.get_entry(key)
    assert entry is not None
    assert entry.ledger.verdict is not None
    assert (entry.state, entry.ledger.verdict.bucket) == ("finished", "billing")
    assert project.desk.fake.conversations[conversation].team == project.desk.teams["billing"]
    assert project.desk.fake.replies(conversation) == before


def test_redo_performs_what_a_dry_run_planned(project: Project) -> None:
    project.router = project.desk.router(inbox=project.inbox, dry_run=True)
    key = project.store_and_route()
    project.router = project.desk.router(inbox=project.inbox)
    project.run("inbox", "redo", "--status", "planned", "--yes")
    project.route()
    assert project.get_state(key) == "finished"
    assert [len(project.desk.fake.replies(id_)) for id_ in project.desk.fake.conversations] == [1]


def test_redo_changes_nothing_without_a_confirmation(project: Project) -> None:
    key = project.store_and_route()
    result = CliRunner().invoke(triage, ["inbox", "redo", key, "--inbox", str(project.path)], input="n\n")
    assert "Process 1 event again? [y/N]: n" in result.output
    assert result.exit_code == 1
    assert project.get_state(key) == "finished"
    result = CliRunner().invoke(triage, ["inbox", "redo", key, "--inbox", str(project.path)], input="y\n")
    assert (result.exit_code, project.get_state(key)) == (0, "ready")


def test_redo_leaves_out_events_that_changed_after_they_were_shown(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = project.store_and_route()

    def confirm(*_: Any, **options: Any) -> None:
        project.inbox._execute("UPDATE triage_events SET changed = changed + 1", {})

    monkeypatch.setattr(click, "confirm", confirm)
    output = project.run("inbox", "redo", key, exit_code=1).output
    assert "0 events will be processed again." in output
    assert "1 event changed in the meantime. Look at them again." in output
    assert project.get_state(key) == "finished"


def test_redo_asks_for_a_new_verdict_on_request(project: Project) -> None:
    key = project.store_and_route()
    project.run("inbox", "redo", key, "--yes")
    entry = project.inbox.get_entry(key)
    assert entry is not None
    assert entry.ledger.verdict is not None
    project.route()
    project.run("inbox", "redo", key, "--yes", "--reclassify")
    entry = project.inbox.get_entry(key)
    assert entry is not None
    assert entry.ledger.verdict is None
    assert entry.ledger.steps, "completed steps are not repeated"


def test_redo_needs_either_keys_or_options(project: Project) -> None:
    for arguments in ([], ["a-key", "--bucket", "billing"]):
        output = project.run("inbox", "redo", *arguments, exit_code=2).output
        assert "Pass either the keys of events, or options that select events." in output
    assert project.run("inbox", "redo", "--bucket", "billing").output == "No finished event is selected.\n"
    dead = project.store_and_dead_letter()
    assert (
        f"not finished, or unreadable: {dead}, nobody"
        in project.run("inbox", "redo", dead, "nobody", exit_code=1).output
    )


# Backups


def test_backup_copies_an_inbox_that_is_in_use(project: Project) -> None:
    keys = [project.store() for _ in range(3)]
    copy = project.directory / "copy.db"
    assert project.run("inbox", "backup", "copy.db").output == "The inbox was copied to copy.db.\n"
    assert copy.stat().st_mode & 0o777 == 0o600
    output = project.run("inbox", "list", "--json", "--inbox", str(copy)).output
    assert [json.loads(line)["key"] for line in output.splitlines()] == keys[::-1]


def test_backup_never_overwrites_a_file(project: Project) -> None:
    (project.directory / "copy.db").write_text("precious")
    assert "File exists" in project.run("inbox", "backup", "copy.db", exit_code=1).output
    assert (project.directory / "copy.db").read_text() == "precious"


def test_a_backup_that_fails_leaves_no_file(project: Project) -> None:
    project.path.unlink()
    with pytest.raises(InboxError, match="cannot be copied"):
        project.inbox.backup(project.directory / "copy.db")
    assert not (project.directory / "copy.db").exists()


def test_only_a_sqlite_inbox_can_be_copied(project: Project) -> None:
    project.write_app(
        APP.replace('SQLiteInbox(Path(__file__).parent / "triage.db")', "MemoryInbox()").replace(
            "import SQLiteInbox", "import MemoryInbox"
        )
    )
    assert "use pg_dump" in project.run("inbox", "backup", "copy.db", "--inbox", "helpdesk:router", exit_code=1).output


def test_migrate_updates_the_tables(project: Project) -> None:
    project.store()
    for name in ("INDEX triage_settled", "INDEX triage_set_aside", "TABLE triage_counts"):
        project.inbox._execute(f"DROP {name}", {})
    for event in ("insert", "update", "delete"):
        project.inbox._execute(f"DROP TRIGGER triage_count_{event}", {})
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
    assert output.splitlines() == [*(f"1 verdict removed from {path}." for path in paths), "0 events removed."]
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
