"""All of it on this machine: signed webhooks in, verdicts by Claude or a stand-in, changes in fake help desks.

Run it with `make demo`. It needs no key and no account; with `ANTHROPIC_API_KEY` set, Claude itself answers.
"""

import logging
import os
import sys
import tempfile
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import httpx
import uvicorn
from fastapi import FastAPI

from triage import Outcome
from triage.testing import (
    FakeClaude,
    FakeCrisp,
    FakeFront,
    FakeHelpDesk,
    FakeHelpScout,
    FakeIntercom,
    FakeZendesk,
    Webhook,
)

COLUMNS = {
    "message": 30,
    "bucket": 7,
    "conf.": 5,
    "reason": 30,
    "changed in the workspace": 24,
    "answered": 13,
    "ms": 4,
    "became": 9,
}
OUTAGE = "Our API has been down for 10 minutes, all calls fail with 502. This is an outage!"
CHARGED = "I was charged twice on my invoice for order 1042. Can I get a refund?"
EXPORT = "How do I export my contacts as a CSV file?"
PITCH = "Dear sir, we offer SEO services and backlinks to rank first on Google. Limited offer, click here!"


@dataclass
class Case:
    """A delivery, and how the table calls it."""

    title: str
    webhook: Webhook
    forged: bool = False


def main() -> None:
    with ExitStack() as stack:
        desk = FakeIntercom(teams={"101": "On call", "102": "Billing", "103": "Support"})
        others: list[FakeHelpDesk] = [FakeZendesk(), FakeFront(), FakeHelpScout(), FakeCrisp()]
        for fake in (desk, *others):
            os.environ.update(fake.env(stack.enter_context(fake.serve())))
        if os.environ.get("ANTHROPIC_API_KEY"):
            print("Verdicts: Claude, with your ANTHROPIC_API_KEY.")
        else:
            os.environ["ANTHROPIC_BASE_URL"] = stack.enter_context(FakeClaude().serve())
            os.environ["ANTHROPIC_API_KEY"] = "no-key-needed"
            print("Verdicts: a local stand-in for Claude's API that answers by keyword rules.")
            print("          (Set ANTHROPIC_API_KEY for Claude itself.)")
        kept = stack.enter_context(tempfile.TemporaryDirectory())
        os.environ["TRIAGE_INBOX"] = f"{kept}/triage.db"
        outcomes = Outcomes()
        logging.getLogger("triage").addHandler(outcomes)
        logging.getLogger("triage").propagate = False  # the table tells it all

        import fastapi_app  # the example as it stands; it reads the environment

        url = stack.enter_context(serving(fastapi_app.app))
        print(f"Intercom: a fake one. The application: examples/fastapi_app.py under uvicorn, {url}\n")
        client = stack.enter_context(httpx.Client(base_url=url, timeout=30))
        head(COLUMNS)
        for case in cases(desk):
            deliver(case, client, desk, outcomes)
        os.environ["TRIAGE_INBOX"] = f"{kept}/all_desks.db"
        side_by_side(stack, [desk, *others], outcomes)


def cases(desk: FakeIntercom) -> Iterator[Case]:
    """What a morning brings."""
    yield Case("Intercom checks the address", desk.ping())
    yield Case("All is down!", desk.customer_writes(OUTAGE, name="Mira"))
    charged = desk.customer_writes(CHARGED, name="Jonas")
    yield Case("Charged twice", charged)
    yield Case("How do I export?", desk.customer_writes(EXPORT, name="Aiko"))
    yield Case("A pitch", desk.customer_writes(PITCH, name="Max"))
    german = "Guten Tag, auf meiner Rechnung steht ein falscher Betrag. Bitte um Erstattung."
    yield Case("A bill, in German", desk.customer_writes(german, name="Jörg"))
    markup = "<p>Hi \N{WAVING HAND SIGN}</p><p>How can I <b>change my password</b>?<br>Thanks &amp; bye</p>"
    yield Case("HTML and an emoji", desk.customer_writes(markup, html=True, name="Zoë"))
    yield Case("Charged twice, delivered again", desk.redeliver(charged))
    yield Case(
        "An agent's own reply", desk.agent_writes("Looking into it.", conversation=charged.conversation_id or "")
    )
    yield Case("A forged signature", desk.customer_writes("Assign everything to me.", name="Mallory"), forged=True)


def deliver(case: Case, client: httpx.Client, desk: FakeIntercom, outcomes: "Outcomes") -> None:
    headers = dict(case.webhook.headers)
    if case.forged:
        headers["X-Hub-Signature"] = "sha1=" + "0" * 40
    before = len(outcomes.seen)
    calls = len(desk.calls)
    started = time.perf_counter()
    answer = client.post("/webhooks/intercom", content=case.webhook.body, headers=headers)
    milliseconds = (time.perf_counter() - started) * 1000
    outcome = outcomes.at(before)
    answered = f"{answer.status_code} {outcome.status}"
    if outcome.status == "accepted":  # it is stored; a worker does the rest
        outcome = outcomes.at(before + 1)
    verdict = outcome.verdict
    row(
        COLUMNS,
        case.title,
        verdict.bucket if verdict else "",
        f"{verdict.confidence:.2f}" if verdict else "",
        verdict.reason if verdict else outcome.reason,
        ", ".join(changes(desk, case.webhook.conversation_id)) if len(desk.calls) > calls else "nothing",
        answered,
        f"{milliseconds:.0f}",
        "" if answered.endswith(outcome.status) else outcome.status,
    )


def side_by_side(stack: ExitStack, desks: list[FakeHelpDesk], outcomes: "Outcomes") -> None:
    """The same messages to all help desks, each with its own webhooks, signatures and API."""
    import all_desks_app  # the example as it stands; it reads the environment

    url = stack.enter_context(serving(all_desks_app.app))
    print(f"\nAll five, fake ones. The application: examples/all_desks_app.py under uvicorn, {url}\n")
    client = stack.enter_context(httpx.Client(base_url=url, timeout=30))
    columns = {"message": 24} | {desk.prefix.lower(): 20 for desk in desks}

    def routed(desk: FakeHelpDesk, webhook: Webhook) -> str:
        """Deliver a webhook; tell what changed, or else what was answered."""
        before = len(outcomes.seen)
        answer = client.post(f"/webhooks/{desk.prefix.lower()}", content=webhook.body, headers=webhook.headers)
        status = answer.json()["status"]
        if status != "accepted":
            return f"{answer.status_code} {status}"
        outcomes.at(before + 1)
        return ", ".join(changes(desk, webhook.conversation_id))

    head(columns)
    for title, text in (("All is down!", OUTAGE), ("Charged twice", CHARGED), ("Export", EXPORT), ("Pitch", PITCH)):
        webhooks = [(desk, desk.customer_writes(text)) for desk in desks]
        row(columns, title, *(routed(desk, webhook) for desk, webhook in webhooks))
        if text is CHARGED:
            row(columns, "- delivered again", *(routed(desk, desk.redeliver(hook)) for desk, hook in webhooks))
            forged = [(desk, Webhook(hook.body + b" ", hook.headers)) for desk, hook in webhooks]
            row(columns, "- forged", *(routed(desk, webhook) for desk, webhook in forged))


def changes(desk: FakeHelpDesk, conversation_id: str | None) -> Iterator[str]:
    """What the fake workspace says of a conversation now."""
    conversation = desk.conversations[conversation_id or ""]
    if conversation.team:
        yield f"to {desk.teams[conversation.team]}"
    if desk.replies(conversation.id):
        yield "replied"
    if conversation.state != "open":
        yield conversation.state


class Outcomes(logging.Handler):
    """Collects what became of each delivery: every log record of the Router carries it."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Outcome] = []
        self.told = threading.Condition()

    def emit(self, record: logging.LogRecord) -> None:
        if hasattr(record, "outcome"):
            with self.told:
                self.seen.append(record.outcome)
                self.told.notify_all()

    def at(self, number: int) -> Outcome:
        """Wait for one."""
        with self.told:
            if not self.told.wait_for(lambda: len(self.seen) > number, timeout=60):
                sys.exit("nothing became of a delivery within a minute")
            return self.seen[number]


@contextmanager
def serving(app: FastAPI) -> Generator[str]:
    """Run an ASGI application under uvicorn on a free port."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        if not thread.is_alive():
            sys.exit("the application did not start")
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def head(columns: dict[str, int]) -> None:
    row(columns, *columns)
    row(columns, *("-" * width for width in columns.values()))


def row(columns: dict[str, int], *cells: str) -> None:
    widths = columns.values()
    print("  ".join(short(cell, width).ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip())


def short(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


if __name__ == "__main__":
    main()
