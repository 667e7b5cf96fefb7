"""Messages that kill the worker's process, in real processes."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.desks import DESKS, Desk
from triage.inbox import SQLiteInbox
from triage.models import Event

ATTEMPTS = 3

PROGRAM = """
import os, sys, threading, time

from triage import Bucket, Router, Tag, Worker
from triage import testing, vendors
from triage.inbox import SQLiteInbox

name, path, base_url = sys.argv[1:]

def classify(text):
    if "poison" in text:
        os._exit(137)  # as the kernel does when memory runs out
    time.sleep(0.2)
    return "general"

settings = getattr(testing, f"Fake{name}")().settings(base_url)
inbox = SQLiteInbox(path)
vendor = getattr(vendors, name)(**settings)
router = Router(vendor, buckets=[Bucket("general", "All.", [Tag("seen")])], classifier=classify, inbox=inbox)
with Worker(router, lease=0.5, attempts=3):
    while inbox.count_states()["ready"] or inbox.count_states()["leased"]:
        time.sleep(0.05)
"""


@pytest.mark.parametrize("desk", ["intercom", "crisp"], indirect=True)
def test_a_message_that_kills_its_worker_is_dead_lettered_and_the_others_are_routed(desk: Desk, tmp_path: Path) -> None:
    path = tmp_path / "triage.db"
    inbox = SQLiteInbox(path)
    router = desk.router(inbox=inbox)
    for text in ("poison", "healthy", "healthy", "healthy"):
        webhook = desk.fake.customer_writes(text)
        assert router.handle(webhook.body, webhook.headers).status_code == 200
    exit_codes: list[int] = []
    with desk.fake.serve() as base_url:
        while 0 not in exit_codes and len(exit_codes) < 2 * ATTEMPTS:
            command = [sys.executable, "-c", PROGRAM, type(desk.adapter()).__name__, str(path), base_url]
            exit_codes.append(subprocess.run(command, check=False, timeout=60).returncode)
    entries = {get_text(entry.event): entry for entry in inbox.list_entries("dead")}
    assert exit_codes == [137] * ATTEMPTS + [0]
    assert inbox.count_states()["finished"] == 3
    assert "interrupted" in str(entries["poison"].error)
    inbox.close()


@pytest.fixture
def desk(request: pytest.FixtureRequest) -> Desk:
    return DESKS[request.param]()


def get_text(event: Event | None) -> str:
    assert event is not None
    texts = [text for text in ("poison", "healthy") if text.encode() in event.raw]
    return texts[0]
