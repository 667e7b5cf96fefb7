"""Measure how long an application takes to start, and whether its first message takes longer than later ones.

The figures are those of fresh processes, which take turns. Byte code is compiled beforehand, as for an installed
package. The first messages arrive after `router.warm_up()`, as many as `--messages` says, one after another. Claude,
which answers after 600 ms, and Intercom, which answers after 50 ms, are fakes in another process.

Run it with `python benchmarks/startup.py`.
"""

import argparse
import asyncio
import multiprocessing
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from triage import Buckets, Router
from triage.testing import FakeClaude, FakeIntercom, Webhook
from triage.testing.claude import answer_by_rules
from triage.vendors import Intercom

CLAUDE_LATENCY = 0.6  # seconds
DESK_LATENCY = 0.05  # seconds
BASE = "from pydantic import BaseModel; import httpx"
IMPORTS = {
    "pydantic and httpx": BASE,
    "import triage": "import triage",
    "Router, Buckets, Intercom": "from triage import Buckets, Router; from triage.vendors import Intercom",
    "and Claude": (
        "from triage import Buckets, Router; from triage.vendors import Intercom; from triage.classifiers import Claude"
    ),
}


def measure_import(statement: str, environment: Mapping[str, str]) -> float:
    """Return the milliseconds of CPU time of a process that executes a statement."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", statement], check=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1000


def run_fakes(pipe: Connection, processes: int, messages: int) -> None:
    """Serve Claude and Intercom until the pipe is closed; send their settings and the webhooks of all processes."""
    desk = FakeIntercom(rate_limit=None, latency=DESK_LATENCY)

    def answer(request: Mapping[str, Any]) -> dict[str, Any]:
        time.sleep(CLAUDE_LATENCY)
        return answer_by_rules(request)

    with FakeClaude(answer).serve() as claude_url, desk.serve() as desk_url:
        webhooks = [
            [
                desk.customer_writes(f"How do I export list {number}?", email=f"{run}-{number}@example.com")
                for number in range(messages)
            ]
            for run in range(processes)
        ]
        pipe.send((claude_url, desk.settings(desk_url), desk.teams, webhooks))
        pipe.recv()


def handle(pipe: Connection, settings: Mapping[str, str], teams: Sequence[str], webhooks: Sequence[Webhook]) -> None:
    """Handle webhooks one after another, and send the milliseconds of each: elapsed, and of CPU time."""

    async def run() -> list[tuple[float, float]]:
        buckets = Buckets.default(dict(zip(("urgent", "billing", "general"), teams, strict=True)))
        router = Router(Intercom(**settings), buckets=buckets)  # type: ignore[arg-type]  # mypy sees one type for all
        router.warm_up()
        times: list[tuple[float, float]] = []
        for webhook in webhooks:
            started, cpu = time.perf_counter(), time.process_time()
            response = await router.handle_async(webhook.body, webhook.headers)
            times.append(((time.perf_counter() - started) * 1000, (time.process_time() - cpu) * 1000))
            if response.outcome.status != "routed":
                sys.exit(f"a message was not routed: {response.outcome}")
        await router.aclose()
        return times

    pipe.send(asyncio.run(run()))


def measure_messages(processes: int, messages: int) -> list[list[tuple[float, float]]]:
    """Return the milliseconds of the messages of each process: elapsed, and of CPU time."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    fakes = context.Process(target=run_fakes, args=(theirs, processes, messages))
    fakes.start()
    claude_url, settings, teams, webhooks = ours.recv()
    os.environ.update(ANTHROPIC_BASE_URL=claude_url, ANTHROPIC_API_KEY="sk-ant-benchmark")
    times: list[list[tuple[float, float]]] = []
    for batch in webhooks:
        receiver, sender = context.Pipe()
        process = context.Process(target=handle, args=(sender, settings, list(teams), batch))
        process.start()
        times.append(receiver.recv())
        process.join()
    ours.send(None)
    fakes.join()
    return times


def main() -> None:
    """Measure and print both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--messages", type=int, default=10)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="triage-startup-") as directory:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        environment["PYTHONPYCACHEPREFIX"] = str(Path(directory))
        imports: dict[str, list[float]] = {name: [] for name in IMPORTS}
        for run in range(options.runs + 1):
            for name, statement in IMPORTS.items():
                milliseconds = measure_import(statement, environment)
                if run > 0:  # the first run compiles
                    imports[name].append(milliseconds)
    base = statistics.median(imports["pydantic and httpx"])
    print("CPU time of an import, median\n")
    for name, times in imports.items():
        print(f"{name:<28}{statistics.median(times):>6.0f} ms {statistics.median(times) / base:>6.2f} x")
    messages = measure_messages(options.runs, options.messages)
    print("\nA message after warm_up(), median\n")
    for number in range(options.messages):
        elapsed, cpu = (statistics.median(times[number][kind] for times in messages) for kind in (0, 1))
        print(f"message {number + 1:<20}{elapsed:>6.0f} ms {cpu:>6.1f} ms of CPU time")


if __name__ == "__main__":
    main()
