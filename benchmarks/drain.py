"""Measure how fast workers empty an inbox, and check that no event is lost or handled twice.

Events are stored in a real inbox, each for a different conversation. Then several processes, each with a `Worker`,
route them. The classifier and the help desk answer immediately and in the same process, so the result measures this
library and the database. Each process writes the calls to its help desk to a journal. In the end the journals, not the
inbox, must show that every conversation was answered exactly once.

This help desk has no memory: if two workers process the same event, it counts as repeated here even where the memory of
a real help desk would prevent it.

Run it with `python benchmarks/drain.py`, or `python benchmarks/drain.py --inbox postgres --events 10000`.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncGenerator, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier as BarrierType
from multiprocessing.synchronize import Event as EventType
from pathlib import Path

import httpx

from triage import Buckets, Conversation, Event, Router, Worker
from triage.inbox import PostgresInbox, SQLiteInbox
from triage.testing import FakeIntercom, Webhook
from triage.vendors import Intercom

STALL = 90.0  # seconds without progress after which the remaining events count as lost; longer than a lease
TEXT = "How do I export my contacts as a CSV file?"
EMAIL = "mira@example.com"
FIRST_CONVERSATION, FIRST_MESSAGE = 215_480_000_000_000, 3_540_000_000


@dataclass(frozen=True)
class Template:
    """A webhook and the responses about its conversation, from which all others are copied."""

    webhook: str
    """The body of the webhook."""
    event: str
    """The event as JSON."""
    answers: Mapping[str, str]
    """The fake's response to each kind of call."""
    conversation_id: str
    message_id: str
    customer: str
    settings: Mapping[str, str]
    teams: Mapping[str, str]

    @classmethod
    def record(cls, text: str = TEXT) -> "Template":
        """Let a customer write to a fake Intercom, route the message, and record the responses.

        Args:
            text: The message.
        """
        fake = FakeIntercom()
        webhook = fake.customer_writes(text, email=EMAIL)
        conversation_id = webhook.conversation_id or ""
        answers: dict[str, str] = {}

        def keep(request: httpx.Request) -> httpx.Response:
            response = transport.handle_request(request)
            answers[describe_call(request.method, request.content)] = response.read().decode()
            return response

        transport = fake.transport
        teams: dict[str, str] = dict(zip(("urgent", "billing", "general"), fake.teams, strict=True))
        with httpx.Client(transport=httpx.MockTransport(keep)) as client:
            router = Router(
                fake.adapter(), buckets=Buckets.default({**teams}), classifier=lambda _: "general", http=client
            )
            event = router.receive(webhook.body, webhook.headers).event
            if event is None:
                sys.exit("the fake's own webhook was rejected")
            outcome = router.process(event)
        if outcome.status != "routed":
            sys.exit(f"the template could not be recorded: {outcome}")
        customer = event.customer.id or ""
        return cls(
            webhook=webhook.body.decode(),
            event=event.model_dump_json(exclude={"raw"}),
            answers=answers,
            conversation_id=conversation_id,
            message_id=event.message_id,
            customer=customer,
            settings=fake.settings(),
            teams=teams,
        )

    def copy(self, number: int) -> Event:
        """Return the event of another conversation."""
        event, raw = (self._replace_ids(text, FIRST_CONVERSATION + number) for text in (self.event, self.webhook))
        return Event.model_validate({**json.loads(event), "raw": raw.encode()})

    def read(self, event: Event) -> Conversation:
        """Return the conversation that an event's webhook shows."""
        return Intercom(**self.settings).read_delivery(event)  # type: ignore[arg-type]  # it parses text

    def deliver(self, number: int) -> Webhook:
        """Return the signed webhook of another conversation."""
        body = self._replace_ids(self.webhook, FIRST_CONVERSATION + number).encode()
        fake = FakeIntercom(client_secret=self.settings["client_secret"])
        return fake.build_webhook(body, str(FIRST_CONVERSATION + number))

    def answer(self, call: str, conversation_id: str) -> bytes | None:
        """Return the response for another conversation, or None for an unknown call."""
        response = self.answers.get(call)
        return None if response is None else self._replace_ids(response, int(conversation_id)).encode()

    def _replace_ids(self, text: str, conversation: int) -> str:
        message = FIRST_MESSAGE + conversation - FIRST_CONVERSATION
        # One customer gets only a few replies a day.
        text = text.replace(self.customer, f"customer-{message}").replace(EMAIL, f"customer-{message}@example.com")
        return text.replace(self.conversation_id, str(conversation)).replace(self.message_id, str(message))


@dataclass(frozen=True)
class Response:
    """The parts of an HTTP response that the Router uses."""

    status_code: int
    content: bytes
    headers: Mapping[str, str]
    is_stream_consumed: bool = True


class Desk:
    """An HTTP client that answers like the help desk, without a memory, and writes each call to a journal."""

    def __init__(self, template: Template, journal: Path) -> None:
        self._template = template
        self._journal = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    @asynccontextmanager
    async def stream(
        self, method: str, url: str, *, content: bytes | None, headers: Mapping[str, str], follow_redirects: bool
    ) -> AsyncGenerator[Response]:
        """Answer a call and write it to the journal."""
        call, conversation_id = describe_call(method, content), find_conversation(url)
        body = self._template.answer(call, conversation_id)
        if method != "GET":
            os.write(self._journal, f"{conversation_id} {call}\n".encode())
        await asyncio.sleep(0)  # let other tasks run, as during a real call
        if body is None:
            yield Response(404, b'{"type": "error.list", "errors": []}', {})
        else:
            yield Response(200, body, {"Content-Type": "application/json"})

    async def aclose(self) -> None:
        """Do nothing: there are no connections."""


def find_conversation(url: str) -> str:
    """Return the id of the conversation in the path of a call."""
    return url.partition("/conversations/")[2].partition("?")[0].partition("/")[0]


def describe_call(method: str, content: bytes | None) -> str:
    """Return `"GET"`, `"POST assignment"` or `"POST comment"`."""
    return f"{method} {json.loads(content).get('message_type', '')}".strip() if content else method


async def classify(_text: str) -> str:
    """Classify every message alike."""
    return "general"


def make_inbox(location: str) -> SQLiteInbox | PostgresInbox:
    """Open the inbox at a path or URL."""
    return PostgresInbox(location) if location.startswith("postgres") else SQLiteInbox(location)


def make_router(template: Template, location: str, journal: Path) -> Router:
    """Create the Router of a process."""
    return Router(
        Intercom(**template.settings),  # type: ignore[arg-type]  # likewise
        buckets=Buckets.default(template.teams),
        classifier=classify,
        async_http=Desk(template, journal),
        inbox=make_inbox(location),
    )


def work(
    template: Template, location: str, journal: Path, ready: BarrierType, done: EventType, cpu: "Queue[float]"
) -> None:
    """Run a worker until `done` is set. Then report how many seconds of the CPU it has used."""
    with make_router(template, location, journal) as router:
        ready.wait()
        started = time.process_time()
        with Worker(router):
            done.wait()
        cpu.put(time.process_time() - started)


class Tally:
    """Counts the replies in the journals while they are being written."""

    def __init__(self, journals: list[Path]) -> None:
        self._read = dict.fromkeys(journals, 0)
        self.replies = 0

    def update(self) -> int:
        """Read what was added, and return the number of replies."""
        for journal, offset in self._read.items():
            if journal.exists():
                with journal.open("rb") as file:
                    file.seek(offset)
                    new = file.read()
                # A line that is being written may be there only in part.
                lines = new[: new.rfind(b"\n") + 1]
                self._read[journal] += len(lines)
                self.replies += lines.count(b" POST comment\n")
        return self.replies


def store(template: Template, location: str, events: int) -> None:
    """Store events as a Router does: each is on disk before its thread stores the next one."""
    inbox = make_inbox(location)
    if any(inbox.count_states().values()):
        sys.exit(f"{inbox!r} must be empty")

    def add(number: int) -> None:
        inbox.add(template.copy(number))

    # PostgreSQL flushes the commits of several connections together.
    with ThreadPoolExecutor(8 if isinstance(inbox, PostgresInbox) else 1) as pool:
        for _ in pool.map(add, range(events)):
            pass
    inbox.close()


def drain(template: Template, location: str, journals: list[Path], events: int) -> tuple[float, float]:
    """Empty the inbox with one process for each journal; return the seconds that it took, and those of the CPU."""
    context = multiprocessing.get_context("spawn")
    ready, done = context.Barrier(len(journals) + 1), context.Event()
    cpu: Queue[float] = context.Queue()
    processes = [
        context.Process(target=work, args=(template, location, journal, ready, done, cpu)) for journal in journals
    ]
    for process in processes:
        process.start()
    ready.wait(60)
    started = changed_at = time.monotonic()
    tally, inbox, seen = Tally(journals), make_inbox(location), 0
    while time.monotonic() - changed_at < STALL:
        time.sleep(0.05)
        if tally.update() > seen:
            seen, changed_at = tally.replies, time.monotonic()
        # Counting takes time, so the inbox is queried only when it should be empty or nothing changes.
        if (seen >= events or time.monotonic() - changed_at > 2) and _count_open(inbox) == 0:
            break
    seconds = time.monotonic() - started
    inbox.close()
    done.set()
    used = 0.0
    for process in processes:
        process.join(60)
        if process.exitcode == 0:
            used += cpu.get(timeout=60)
        else:
            print(f"a process exited with {process.exitcode}")
    return seconds, used


def _count_open(inbox: SQLiteInbox | PostgresInbox) -> int:
    states = inbox.count_states()
    return states["ready"] + states["leased"]


def check(journals: list[Path], events: int) -> tuple[list[str], list[str]]:
    """Return the calls that all journals together contain twice, and those that are missing."""
    calls = Counter(line for journal in journals for line in journal.read_text().splitlines())
    expected = {
        f"{FIRST_CONVERSATION + number} POST {kind}" for number in range(events) for kind in ("assignment", "comment")
    }
    repeats = [call for call, times in calls.items() if times > 1 or call not in expected]
    return repeats, sorted(expected - set(calls))


@contextmanager
def choose_location(inbox: str, url: str | None, directory: Path) -> Generator[str]:
    """Yield the path or URL of the inbox; start a PostgreSQL server if one is needed and no URL is given."""
    if inbox == "sqlite":
        yield str(directory / "triage.db")
    elif url:
        yield url
    else:
        sys.path.insert(0, str(Path(__file__).parents[1]))
        from tests.helpers.servers import Postgres

        server = Postgres()
        try:
            yield server.new_database()
        finally:
            server.stop()


def main() -> None:
    """Store the events, empty the inbox, and print the result; exit with 1 if a check fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=50_000)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--inbox", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--postgres", metavar="URL", help="an empty database; without it a server is started")
    options = parser.parse_args()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="triage-drain-")))
        location = stack.enter_context(
            choose_location("postgres" if options.postgres else options.inbox, options.postgres, directory)
        )
        template = Template.record()
        started = time.monotonic()
        store(template, location, options.events)
        storing = time.monotonic() - started
        journals = [directory / f"journal-{number}" for number in range(options.processes)]
        seconds, used = drain(template, location, journals, options.events)
        repeats, losses = check(journals, options.events)
        inbox = make_inbox(location)
        states = dict(inbox.count_states())
        inbox.close()
    print(f"inbox      {'postgres' if location.startswith('postgres') else 'sqlite'}")
    print(f"events     {options.events} (stored in {storing:.1f} s, {options.events / storing:.0f}/s)")
    print(f"processes  {options.processes}")
    print(f"seconds    {seconds:.1f}")
    print(f"events/s   {options.events / seconds:.0f}")
    print(f"cpu        {1000 * used / options.events:.2f} ms per event")
    print(f"repeats    {len(repeats)}")
    print(f"losses     {len(losses)}")
    print(f"states     {', '.join(f'{number} {state}' for state, number in states.items())}")
    for line in (*repeats[:5], *losses[:5]):
        print(f"           {line}")
    sys.exit(1 if repeats or losses or states["finished"] != options.events else 0)


if __name__ == "__main__":
    main()
