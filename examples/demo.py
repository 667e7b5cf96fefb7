"""Deliver signed webhooks to the example applications, and show what changes at the fake help desks.

Run it with `make demo`. It needs no API key and no account. If `ANTHROPIC_API_KEY` is set, Claude itself classifies the
messages.
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
    "changes at the help desk": 24,
    "response": 13,
    "ms": 4,
    "outcome": 10,
}
OUTAGE = "Our API has been down for 10 minutes, all calls fail with 502. This is an outage!"
CHARGED = "I was charged twice on my invoice for order 1042. Can I get a refund?"
EXPORT = "How do I export my contacts as a CSV file?"
PITCH = "Dear sir, we offer SEO services and backlinks to rank first on Google. Limited offer, click here!"

FORWARDED = """Please see below.

---------- Forwarded message ---------
From: Accounting <accounting@example.com>
Date: Mon, Nov 23, 2026 at 9:12 AM
Subject: Your order
To: Liam <liam@example.com>

The invoice for order 1042 is wrong, we were charged twice. Please ask for a refund."""


@dataclass
class Case:
    """A webhook, and its title in the table."""

    title: str
    webhook: Webhook
    forged: bool = False


def main() -> None:
    with ExitStack() as stack:
        desk = FakeIntercom(teams={"101": "On call", "102": "Billing", "103": "Support"})
        others: list[FakeHelpDesk] = [FakeZendesk(), FakeFront(), FakeHelpScout(), FakeCrisp()]
        for fake in (desk, *others):
            os.environ.update(fake.env(stack.enter_context(fake.serve())))
        # Read later messages of a conversation, too.
        os.environ["INTERCOM_TOPICS"] = "conversation.user.created,conversation.user.replied"
        if os.environ.get("ANTHROPIC_API_KEY"):
            print("Verdicts: Claude, with your ANTHROPIC_API_KEY.")
        else:
            os.environ["ANTHROPIC_BASE_URL"] = stack.enter_context(FakeClaude().serve())
            os.environ["ANTHROPIC_API_KEY"] = "no-key-needed"
            print("Verdicts: a local stand-in for Claude's API that answers by keyword rules.")
            print("          (Set ANTHROPIC_API_KEY for Claude itself.)")
        directory = stack.enter_context(tempfile.TemporaryDirectory())
        # The table shows everything that would be logged.
        logging.getLogger("triage").addHandler(logging.NullHandler())
        logging.getLogger("triage").propagate = False
        outcomes = Outcomes()
        show_intercom(stack, desk, outcomes, inbox=f"{directory}/triage.db")
        show_all_desks(stack, [desk, *others], outcomes, inbox=f"{directory}/all_desks.db")


def show_intercom(stack: ExitStack, desk: FakeIntercom, outcomes: "Outcomes", inbox: str) -> None:
    """Deliver different kinds of webhooks to the FastAPI example."""
    os.environ["TRIAGE_INBOX"] = inbox
    import fastapi_app  # imported late, because it reads the environment

    fastapi_app.router.on_outcome(outcomes.add)
    url = stack.enter_context(serve(fastapi_app.app))
    print(f"Help desk: a fake Intercom. Application: examples/fastapi_app.py under uvicorn, {url}\n")
    client = stack.enter_context(httpx.Client(base_url=url, timeout=30))
    print_header(COLUMNS)
    for case in generate_cases(desk):
        deliver(case, client, desk, outcomes)


def generate_cases(desk: FakeIntercom) -> Iterator[Case]:
    """Yield the webhooks of a typical morning."""
    yield Case("Intercom checks the address", desk.ping())
    yield Case("All is down!", desk.customer_writes(OUTAGE, name="Mira", email="mira@example.com"))
    charged = desk.customer_writes(CHARGED, name="Jonas", email="jonas@example.com")
    yield Case("Charged twice", charged)
    yield Case("How do I export?", desk.customer_writes(EXPORT, name="Aiko", email="aiko@example.com"))
    yield Case("A pitch", desk.customer_writes(PITCH, name="Max", email="max@example.com"))
    german = "Guten Tag, auf meiner Rechnung steht ein falscher Betrag. Bitte um Erstattung."
    yield Case("A bill, in German", desk.customer_writes(german, name="Jörg", email="joerg@example.com"))
    markup = "<p>Hi \N{WAVING HAND SIGN}</p><p>How can I <b>change my password</b>?<br>Thanks &amp; bye</p>"
    yield Case("HTML and an emoji", desk.customer_writes(markup, html=True, name="Zoë", email="zoe@example.com"))
    hacked = desk.customer_writes(
        "Hello, it's me again. Somebody hacked my account!", name="Ana", email="ana@example.com"
    )
    hello = desk.customer_writes("Hello??", conversation=hacked.conversation_id)
    yield Case("A burst of two messages", hacked)
    yield Case("- the second of them", hello)
    yield Case(
        "A forwarded email",
        desk.customer_writes(FORWARDED, subject="Fwd: Your order", name="Liam", email="liam@example.com"),
    )
    notice = "I am out of the office until Monday and will answer your message then."
    yield Case(
        "An absence notice",
        desk.customer_writes(notice, subject="Automatic reply: Your order", name="Nora", email="nora@example.com"),
    )
    yield Case("Charged twice, delivered again", desk.redeliver(charged))
    yield Case(
        "An agent's own reply", desk.agent_writes("Looking into it.", conversation=charged.conversation_id or "")
    )
    yield Case(
        "A forged signature",
        desk.customer_writes("Assign everything to me.", name="Mallory", email="mallory@example.com"),
        forged=True,
    )


def deliver(case: Case, client: httpx.Client, desk: FakeIntercom, outcomes: "Outcomes") -> None:
    """Deliver a webhook and print its row of the table."""
    headers = dict(case.webhook.headers)
    if case.forged:
        headers["X-Hub-Signature"] = "sha1=" + "0" * 40
    number = outcomes.count
    calls = len(desk.calls)
    started = time.perf_counter()
    response = client.post("/webhooks/intercom", content=case.webhook.body, headers=headers)
    milliseconds = (time.perf_counter() - started) * 1000
    outcome = outcomes.wait_for(number)
    answer = f"{response.status_code} {outcome.status}"
    if outcome.status == "accepted":  # the message is stored; a worker routes it
        outcome = outcomes.wait_for(number + 1)
    verdict = outcome.verdict
    print_row(
        COLUMNS,
        case.title,
        verdict.bucket if verdict else "",
        f"{verdict.confidence:.2f}" if verdict else "",
        verdict.reason if verdict else outcome.reason,
        ", ".join(list_changes(desk, case.webhook.conversation_id)) if len(desk.calls) > calls else "nothing",
        answer,
        f"{milliseconds:.0f}",
        "" if answer.endswith(outcome.status) else outcome.status,
    )


def show_all_desks(stack: ExitStack, desks: list[FakeHelpDesk], outcomes: "Outcomes", inbox: str) -> None:
    """Deliver the same messages through all help desks, each with its own webhooks, signatures and API."""
    os.environ["TRIAGE_INBOX"] = inbox
    import all_desks_app  # imported late, because it reads the environment

    for router in all_desks_app.routers.values():
        router.on_outcome(outcomes.add)
    url = stack.enter_context(serve(all_desks_app.app))
    print(f"\nAll five, fakes as well. Application: examples/all_desks_app.py under uvicorn, {url}\n")
    client = stack.enter_context(httpx.Client(base_url=url, timeout=30))
    columns = {"message": 24} | {desk.prefix.lower(): 20 for desk in desks}

    def route(desk: FakeHelpDesk, webhook: Webhook) -> str:
        """Deliver a webhook, and describe the changes or, if it was not accepted, the response."""
        number = outcomes.count
        response = client.post(f"/webhooks/{desk.prefix.lower()}", content=webhook.body, headers=webhook.headers)
        status = response.json()["status"]
        if status != "accepted":
            return f"{response.status_code} {status}"
        outcomes.wait_for(number + 1)
        return ", ".join(list_changes(desk, webhook.conversation_id))

    print_header(columns)
    for title, text in (("All is down!", OUTAGE), ("Charged twice", CHARGED), ("Export", EXPORT), ("Pitch", PITCH)):
        webhooks = [(desk, desk.customer_writes(text)) for desk in desks]
        print_row(columns, title, *(route(desk, webhook) for desk, webhook in webhooks))
        if text is CHARGED:
            again = [(desk, desk.redeliver(webhook)) for desk, webhook in webhooks]
            print_row(columns, "- delivered again", *(route(desk, webhook) for desk, webhook in again))
            forged = [(desk, Webhook(webhook.body + b" ", webhook.headers)) for desk, webhook in webhooks]
            print_row(columns, "- forged", *(route(desk, webhook) for desk, webhook in forged))


def list_changes(desk: FakeHelpDesk, conversation_id: str | None) -> Iterator[str]:
    """Yield what changed in a conversation at the fake help desk."""
    conversation = desk.conversations[conversation_id or ""]
    if conversation.team:
        yield f"to {desk.teams[conversation.team]}"
    if desk.replies(conversation.id):
        yield "replied"
    if conversation.state != "open":
        yield conversation.state


class Outcomes:
    """Collects the outcomes of all Routers."""

    def __init__(self) -> None:
        self._outcomes: list[Outcome] = []
        self._changed = threading.Condition()

    @property
    def count(self) -> int:
        """The number of outcomes so far."""
        return len(self._outcomes)

    def add(self, outcome: Outcome) -> None:
        """Add an outcome; for `Router.on_outcome`."""
        with self._changed:
            self._outcomes.append(outcome)
            self._changed.notify_all()

    def wait_for(self, number: int) -> Outcome:
        """Return the outcome with this number, counted from 0, as soon as it is there."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._outcomes) > number, timeout=60):
                sys.exit("a webhook had no outcome within a minute")
            return self._outcomes[number]


@contextmanager
def serve(app: FastAPI) -> Generator[str]:
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


def print_header(columns: dict[str, int]) -> None:
    print_row(columns, *columns)
    print_row(columns, *("-" * width for width in columns.values()))


def print_row(columns: dict[str, int], *cells: str) -> None:
    widths = columns.values()
    print("  ".join(shorten(cell, width).ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip())


def shorten(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


if __name__ == "__main__":
    main()
