"""How fast workers empty an inbox, and whether anything is lost or done twice on the way.

Events are stored in a real inbox, one of each conversation; then several processes with a `Worker` each route them. The
classifier and the help desk answer at once and in the same process, so that what is measured is this library and the
database. The judge is not the inbox: what the help desk of each process is told to do goes to a journal of its own, and
at the end every conversation must have been answered exactly once.

The help desk has no memory: an event that two workers take at once is a double here even where a real help desk's
memory would prevent it.

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
from collections.abc import Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier as BarrierType
from multiprocessing.synchronize import Event as EventType
from pathlib import Path

import httpx

from triage import Event, Router, Worker, default_buckets
from triage.inbox import PostgresInbox, SQLiteInbox
from triage.testing import FakeIntercom
from triage.vendors import Intercom

STALL = 90.0  # seconds without any progress after which the rest is given up for lost; longer than a lease
TEXT = "How do I export my contacts as a CSV file?"
FIRST_CONVERSATION, FIRST_MESSAGE = 215_480_000_000_000, 3_540_000_000


@dataclass(frozen=True)
class Scene:
    """What one webhook and its conversation look like, to be copied for all others."""

    event: str
    """The event as JSON."""
    answers: Mapping[str, str]
    """The fake's answer to each kind of call."""
    conversation_id: str
    message_id: str
    settings: Mapping[str, str]
    teams: Mapping[str, str]

    @classmethod
    def played(cls) -> "Scene":
        """Let one customer write to a fake Intercom, route it, and keep what the fake answered."""
        fake = FakeIntercom()
        webhook = fake.customer_writes(TEXT)
        conversation_id = webhook.conversation_id or ""
        answers: dict[str, str] = {}

        def kept(request: httpx.Request) -> httpx.Response:
            answer = inside.handle_request(request)
            answers[_kind(request.method, str(request.url), request.content)] = answer.read().decode()
            return answer

        inside = fake.transport
        adapter = Intercom(**fake.settings())  # type: ignore[arg-type]  # mypy cannot tell which keys there are
        teams = dict(zip(("urgent", "billing", "general"), fake.teams, strict=True))
        with httpx.Client(transport=httpx.MockTransport(kept)) as client:
            router = Router(adapter, buckets=default_buckets(teams), classifier=lambda _: "general", http=client)
            event = router.receive(webhook.body, webhook.headers).event
            if event is None:
                sys.exit("the fake's own webhook is refused")
            outcome = router.process(event)
        if outcome.status != "routed":
            sys.exit(f"the scene cannot be played: {outcome}")
        return cls(event.model_dump_json(), answers, conversation_id, event.message_id, fake.settings(), teams)

    def copy(self, number: int) -> Event:
        """The event of another conversation."""
        return Event.model_validate_json(self._renamed(self.event, FIRST_CONVERSATION + number))

    def answer(self, kind: str, conversation_id: str) -> bytes | None:
        """What the help desk answers in another conversation; None for a call that it does not know."""
        told = self.answers.get(kind)
        return None if told is None else self._renamed(told, int(conversation_id)).encode()

    def _renamed(self, text: str, conversation: int) -> str:
        message = FIRST_MESSAGE + conversation - FIRST_CONVERSATION
        return text.replace(self.conversation_id, str(conversation)).replace(self.message_id, str(message))


@dataclass(frozen=True)
class Answer:
    """What the Router needs of an HTTP response."""

    status_code: int
    content: bytes
    headers: Mapping[str, str]


class Desk:
    """An HTTP client that is itself the help desk, without a memory; it writes down what it is told to do."""

    def __init__(self, scene: Scene, journal: Path) -> None:
        self._scene = scene
        self._journal = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    async def request(
        self, method: str, url: str, *, content: bytes | None, headers: Mapping[str, str], follow_redirects: bool
    ) -> Answer:
        """Answer a call."""
        kind, conversation_id = _kind(method, url, content), _conversation(url)
        body = self._scene.answer(kind, conversation_id)
        if method != "GET":
            os.write(self._journal, f"{conversation_id} {kind}\n".encode())
        await asyncio.sleep(0)  # as with any call, others go on meanwhile
        if body is None:
            return Answer(404, b'{"type": "error.list", "errors": []}', {})
        return Answer(200, body, {"Content-Type": "application/json"})


def _conversation(url: str) -> str:
    return url.partition("/conversations/")[2].partition("?")[0].partition("/")[0]


def _kind(method: str, url: str, content: bytes | None) -> str:
    """`"GET"`, `"POST assignment"`, `"POST comment"`."""
    return f"{method} {json.loads(content).get('message_type', '')}".strip() if content else method


async def at_once(_text: str) -> str:
    """Classify without thinking."""
    return "general"


def make_inbox(place: str) -> SQLiteInbox | PostgresInbox:
    """The inbox at a path or URL."""
    return PostgresInbox(place) if place.startswith("postgres") else SQLiteInbox(place)


def make_router(scene: Scene, place: str, journal: Path) -> Router:
    """The Router that each process has."""
    return Router(
        Intercom(**scene.settings),  # type: ignore[arg-type]  # the same
        buckets=default_buckets(scene.teams),
        classifier=at_once,
        async_http=Desk(scene, journal),
        inbox=make_inbox(place),
    )


def work(scene: Scene, place: str, journal: Path, ready: BarrierType, done: EventType) -> None:
    """A process with a worker, until it is told that all is done."""
    with make_router(scene, place, journal) as router:
        ready.wait()
        with Worker(router, concurrency=32):
            done.wait()


class Tally:
    """Counts the answers in the journals while they are written."""

    def __init__(self, journals: list[Path]) -> None:
        self._read = dict.fromkeys(journals, 0)
        self.answers = 0

    def look(self) -> int:
        """How many there are by now."""
        for journal, offset in self._read.items():
            if journal.exists():
                with journal.open("rb") as file:
                    file.seek(offset)
                    new = file.read()
                self._read[journal] += len(new)
                self.answers += new.count(b" POST comment\n")
        return self.answers


def store(scene: Scene, place: str, events: int) -> None:
    """Store events as a Router does: each is on the disk before the next one of its thread."""
    inbox = make_inbox(place)
    if any(inbox.count_states().values()):
        sys.exit(f"{inbox!r} must be empty")
    # PostgreSQL writes what several connections commit in one go.
    with ThreadPoolExecutor(8 if isinstance(inbox, PostgresInbox) else 1) as pool:
        for _ in pool.map(lambda number: inbox.add(scene.copy(number)), range(events)):
            pass
    inbox.close()


def drain(scene: Scene, place: str, journals: list[Path], events: int) -> float:
    """Let one process for each journal empty the inbox; tell how many seconds it took."""
    context = multiprocessing.get_context("spawn")
    ready, done = context.Barrier(len(journals) + 1), context.Event()
    processes = [context.Process(target=work, args=(scene, place, journal, ready, done)) for journal in journals]
    for process in processes:
        process.start()
    ready.wait(60)
    started = moved = time.monotonic()
    tally, inbox, seen = Tally(journals), make_inbox(place), 0
    while time.monotonic() - moved < STALL:
        time.sleep(0.05)
        if tally.look() > seen:
            seen, moved = tally.answers, time.monotonic()
        # Counting is not free, so the inbox is asked only when it is as good as empty, or nothing moves.
        if (seen >= events or time.monotonic() - moved > 2) and _open(inbox) == 0:
            break
    seconds = time.monotonic() - started
    inbox.close()
    done.set()
    for process in processes:
        process.join(60)
        if process.exitcode != 0:
            print(f"a process ended with {process.exitcode}")
    return seconds


def _open(inbox: SQLiteInbox | PostgresInbox) -> int:
    stats = inbox.count_states()
    return stats["ready"] + stats["leased"]


def judge(journals: list[Path], events: int) -> tuple[list[str], list[str]]:
    """What the help desk was told twice, and what it was never told, by all journals together."""
    told = Counter(line for journal in journals for line in journal.read_text().splitlines())
    wanted = {
        f"{FIRST_CONVERSATION + number} POST {what}" for number in range(events) for what in ("assignment", "comment")
    }
    doubles = [line for line, times in told.items() if times > 1 or line not in wanted]
    return doubles, sorted(wanted - set(told))


@contextmanager
def somewhere(inbox: str, url: str | None, directory: Path) -> Generator[str]:
    """Where the inbox is to be; a server is started if one is needed and none was named."""
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
    """Store, drain, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=50_000)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--inbox", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--postgres", metavar="URL", help="of an empty database; without it a server is started")
    options = parser.parse_args()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="triage-drain-")))
        place = stack.enter_context(
            somewhere("postgres" if options.postgres else options.inbox, options.postgres, directory)
        )
        scene = Scene.played()
        started = time.monotonic()
        store(scene, place, options.events)
        storing = time.monotonic() - started
        journals = [directory / f"journal-{number}" for number in range(options.processes)]
        seconds = drain(scene, place, journals, options.events)
        doubles, losses = judge(journals, options.events)
        inbox = make_inbox(place)
        stats = dict(inbox.count_states())
        inbox.close()
    print(f"inbox      {'postgres' if place.startswith('postgres') else 'sqlite'}")
    print(f"events     {options.events} (stored in {storing:.1f} s, {options.events / storing:.0f}/s)")
    print(f"processes  {options.processes}")
    print(f"seconds    {seconds:.1f}")
    print(f"events/s   {options.events / seconds:.0f}")
    print(f"doubles    {len(doubles)}")
    print(f"losses     {len(losses)}")
    print(f"states     {', '.join(f'{number} {state}' for state, number in stats.items())}")
    for line in (*doubles[:5], *losses[:5]):
        print(f"           {line}")
    sys.exit(1 if doubles or losses or stats["finished"] != options.events else 0)


if __name__ == "__main__":
    main()
