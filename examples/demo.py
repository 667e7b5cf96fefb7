"""All of it on this machine: signed webhooks in, verdicts by Claude or a stand-in, changes in a fake Intercom.

Run it with `make demo`. It needs no key and no account; with `ANTHROPIC_API_KEY` set, Claude itself answers.
"""

import logging
import os
import sys
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import httpx
import uvicorn
from fastapi import FastAPI

from triage import Outcome
from triage.testing import FakeClaude, FakeIntercom, Webhook

COLUMNS = (
    ("message", 30),
    ("bucket", 7),
    ("conf.", 5),
    ("reason", 35),
    ("changed in the workspace", 24),
    ("HTTP", 13),
    ("ms", 4),
)


@dataclass
class Case:
    """A delivery, and how the table calls it."""

    title: str
    webhook: Webhook
    forged: bool = False


def main() -> None:
    with ExitStack() as stack:
        desk = FakeIntercom(teams={"101": "On call", "102": "Billing", "103": "Support"})
        os.environ.update(desk.env(stack.enter_context(desk.serve())))
        if os.environ.get("ANTHROPIC_API_KEY"):
            print("Verdicts: Claude, with your ANTHROPIC_API_KEY.")
        else:
            os.environ["ANTHROPIC_BASE_URL"] = stack.enter_context(FakeClaude().serve())
            os.environ["ANTHROPIC_API_KEY"] = "no-key-needed"
            print("Verdicts: a local stand-in for Claude's API that answers by keyword rules.")
            print("          (Set ANTHROPIC_API_KEY for Claude itself.)")
        outcomes = Outcomes()
        logging.getLogger("triage").addHandler(outcomes)
        logging.getLogger("triage").propagate = False  # the table tells it all

        import fastapi_app  # the example as it stands; it reads the environment

        url = stack.enter_context(serving(fastapi_app.app))
        print(f"Intercom: a fake one. The application: examples/fastapi_app.py under uvicorn, {url}\n")
        client = stack.enter_context(httpx.Client(base_url=url, timeout=30))
        row(*(name for name, _ in COLUMNS))
        row(*("-" * width for _, width in COLUMNS))
        for case in cases(desk):
            deliver(case, client, desk, outcomes)


def cases(desk: FakeIntercom) -> Iterator[Case]:
    """What a morning brings."""
    yield Case("Intercom checks the address", desk.ping())
    outage = "Our API has been down for 10 minutes, all calls fail with 502. This is an outage!"
    yield Case("All is down!", desk.customer_writes(outage, name="Mira"))
    charged = desk.customer_writes(
        "I was charged twice on my invoice for order 1042. Can I get a refund?", name="Jonas"
    )
    yield Case("Charged twice", charged)
    yield Case("How do I export?", desk.customer_writes("How do I export my contacts as a CSV file?", name="Aiko"))
    pitch = "Dear sir, we offer SEO services and backlinks to rank first on Google. Limited offer, click here!"
    yield Case("A pitch", desk.customer_writes(pitch, name="Max"))
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
    outcome = outcomes.seen[before]
    verdict = outcome.verdict
    row(
        case.title,
        verdict.bucket if verdict else "",
        f"{verdict.confidence:.2f}" if verdict else "",
        verdict.reason if verdict else outcome.reason,
        ", ".join(changes(desk, case.webhook.conversation_id)) if len(desk.calls) > calls else "nothing",
        f"{answer.status_code} {outcome.status}",
        f"{milliseconds:.0f}",
    )


def changes(desk: FakeIntercom, conversation_id: str | None) -> Iterator[str]:
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

    def emit(self, record: logging.LogRecord) -> None:
        if hasattr(record, "outcome"):
            self.seen.append(record.outcome)


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


def row(*cells: str) -> None:
    print("  ".join(short(cell, width).ljust(width) for cell, (_, width) in zip(cells, COLUMNS, strict=True)).rstrip())


def short(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


if __name__ == "__main__":
    main()
