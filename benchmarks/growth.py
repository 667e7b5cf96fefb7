"""Measure how an inbox behaves as it grows: each operation with 10,000, 100,000 and 1,000,000 stored events.

Nine in ten events are finished and old. In the end another process purges them, as `triage inbox purge` does, while
this process stores deliveries. The longest wait of a delivery shows what a help desk would notice.

Run it with `python -m benchmarks.growth`, or `python benchmarks/growth.py --inbox postgres --rows 10000`.
"""

import argparse
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.drain import Template, choose_location, make_inbox
from triage import Outcome
from triage.inbox.table import TableInbox
from triage.models import Ledger, Verdict

ROWS = (10_000, 100_000, 1_000_000)
SAMPLES = 400
LONGEST = 3.0  # seconds for the samples of one operation
THREADS = (1, 8, 32)
DAY = 86_400.0
PAUSE = 0.005  # seconds between two deliveries during the purge

# Of each 200 events, 180 are finished and old, 18 finished and recent, one is dead and one is ready.
FILL = """
INSERT INTO triage_events (key, owner, conversation, customer, email, state, due, attempts, event, body, ledger,
  outcome, received, changed)
{numbers}
SELECT replace(:key, :conversation, CAST(:first + i AS TEXT)), :owner, :owner || '::' || (:first + i), 'c' || i,
  'c' || i || '@example.com', CASE i - i / 200 * 200 WHEN 198 THEN 'dead' WHEN 199 THEN 'ready' ELSE 'finished' END,
  :now, 1, replace(:event, :conversation, CAST(:first + i AS TEXT)), :body, :ledger, :outcome, :now,
  CASE WHEN i - i / 200 * 200 < 180 THEN :now - 90 * 86400.0 ELSE :now END
FROM numbers
"""
NUMBERS = {
    "sqlite": "WITH RECURSIVE numbers (i) AS (SELECT :since UNION ALL SELECT i + 1 FROM numbers WHERE i + 1 < :until)",
    "postgres": "WITH numbers AS (SELECT generate_series(CAST(:since AS BIGINT), CAST(:until AS BIGINT) - 1) AS i)",
}


def fill(inbox: TableInbox, kind: str, template: Template, since: int, until: int) -> None:
    """Store copies of an event by SQL, because storing a million deliveries one by one would take too long."""
    event = template.copy(0)
    sql = FILL.format(numbers=NUMBERS[kind])
    if kind == "postgres":
        from triage.inbox.postgres import _translate

        sql = _translate(sql)
    values = {
        "key": event.key,
        "conversation": event.conversation_id,
        "first": int(event.conversation_id),
        "owner": event.owner,
        "event": event.model_dump_json(exclude={"raw"}),
        "body": event.raw,
        "ledger": Ledger(verdict=Verdict(bucket="general"), conversation=template.read(event)).model_dump_json(),
        "outcome": Outcome(status="routed").model_dump_json(),
        "now": time.time(),
    }
    for start in range(since, until, 5_000):
        inbox._execute(sql, values | {"since": start, "until": min(start + 5_000, until)})  # noqa: SLF001 - not for users


def measure(operation: Callable[[], object]) -> str:
    """Return the median and the maximum of an operation's durations, in milliseconds."""
    durations: list[float] = []
    started = time.perf_counter()
    while len(durations) < SAMPLES and (time.perf_counter() - started < LONGEST or len(durations) < 3):
        before = time.perf_counter()
        operation()
        durations.append((time.perf_counter() - before) * 1000)
    return f"{statistics.median(durations):.2f} / {max(durations):.1f}"


def measure_threads(inbox: TableInbox, template: Template, first: int) -> dict[str, str]:
    """Store deliveries from several threads at the same time, which an inbox commits together."""
    figures: dict[str, str] = {}
    for threads in THREADS:
        events = [template.copy(first + place) for place in range(SAMPLES)]
        first += SAMPLES
        with ThreadPoolExecutor(threads) as pool:
            started = time.perf_counter()
            list(pool.map(inbox.add, events))
            seconds = time.perf_counter() - started
        figures[f"add: events per second, threads: {threads}"] = f"{SAMPLES / seconds:.0f}"
    return figures


def purge(location: str, results: "multiprocessing.Queue[tuple[int, float]]") -> None:
    """Remove the old events; report their number and the seconds that it took."""
    inbox = make_inbox(location)
    started = time.perf_counter()
    removed = inbox.purge(time.time() - DAY)
    results.put((removed, time.perf_counter() - started))
    inbox.close()


def measure_purge(inbox: TableInbox, location: str, template: Template, first: int) -> dict[str, str]:
    """Store deliveries while another process purges."""
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    process = context.Process(target=purge, args=(location, results))
    process.start()
    waits: list[float] = []
    while process.is_alive() and results.empty():
        before = time.perf_counter()
        inbox.add(template.copy(first + len(waits)))
        waits.append((time.perf_counter() - before) * 1000)
        time.sleep(PAUSE)
    removed, seconds = results.get(timeout=60)
    process.join()
    waits.sort()
    return {
        "purge: events": f"{removed}",
        "purge: seconds": f"{seconds:.1f}",
        "purge: delivery, median / p99": f"{statistics.median(waits):.2f} / {waits[int(len(waits) * 0.99)]:.1f}",
        "purge: longest wait of a delivery": f"{waits[-1]:.1f}",
    }


def measure_all(inbox: TableInbox, location: str, template: Template, rows: int) -> dict[str, str]:
    """Measure every operation."""
    owner = template.copy(0).owner
    added = iter(range(10_000_000, 20_000_000))

    def lease_and_finish() -> None:
        for job in inbox.lease(1, 60, owner):
            inbox.finish(job, Outcome(status="routed"), job.ledger)

    operations: dict[str, Callable[[], Any]] = {
        "add": lambda: inbox.add(template.copy(next(added))),
        "lease and finish": lease_and_finish,
        "stats": inbox.count_states,
        "stats of one Router": lambda: inbox.count_states(owner),
        "lag": inbox.get_lag,
        "lag of one Router": lambda: inbox.get_lag(owner),
        "list": lambda: inbox.list_entries(limit=50),
        "list dead": lambda: inbox.list_entries("dead", limit=50),
        "list parked (none)": lambda: inbox.list_entries("parked", limit=50),
        "list ready": lambda: inbox.list_entries("ready", limit=50),
        "list leased": lambda: inbox.list_entries("leased", limit=50),
    }
    figures = {name: measure(operation) for name, operation in operations.items()}
    figures |= measure_threads(inbox, template, 20_000_000)
    return figures | measure_purge(inbox, location, template, 30_000_000)


def main() -> None:
    """Measure each size in a new inbox, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inbox", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--rows", type=int, nargs="+", default=ROWS)
    options = parser.parse_args()
    template = Template.record()
    table: dict[int, dict[str, str]] = {}
    for rows in options.rows:
        with (
            tempfile.TemporaryDirectory(prefix="triage-growth-") as directory,
            choose_location(options.inbox, None, Path(directory)) as location,
        ):
            inbox = make_inbox(location)
            started = time.perf_counter()
            fill(inbox, options.inbox, template, 0, rows)
            filling = time.perf_counter() - started
            table[rows] = {"filled in seconds": f"{filling:.0f}"} | measure_all(inbox, location, template, rows)
            inbox.close()
    print(f"{options.inbox}; milliseconds, median / longest, unless another unit is given\n")
    print("| | " + " | ".join(f"{rows:,} events" for rows in table) + " |")
    print("| --- |" + " --- |" * len(table))
    for name in next(iter(table.values())):
        print(f"| {name} | " + " | ".join(figures[name] for figures in table.values()) + " |")


if __name__ == "__main__":
    main()
