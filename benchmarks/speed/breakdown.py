"""Where the time of `receive` and `process` goes, for each help desk.

To compare two versions of the library, run `python -m benchmarks.speed --only breakdown` with each.
"""

import asyncio
import os
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import Pipe, get_context
from multiprocessing.connection import Connection
from pathlib import Path
from sysconfig import get_path
from typing import NamedTuple
from unittest.mock import patch
from uuid import uuid4

import triage
from benchmarks.speed.bodies import fit_text
from benchmarks.speed.fakes import VERDICT
from benchmarks.speed.machine import pin
from benchmarks.speed.receivers import DESKS, create_ours, create_router
from benchmarks.speed.sampler import Stack, sample, share
from benchmarks.speed.timing import time_fast
from triage import Event, Router
from triage.classifiers import Claude
from triage.testing import FakeClaude, Webhook

RECEIVE = (
    "copy headers and body",
    "verify the signature",
    "parse and validate JSON",
    "find the message",
    "build the event and the response",
)
PROCESS = (
    "Claude's SDK",
    "HTTP client for the help desk",
    "event loop and sockets",
    "inbox",
    "adapter",
    "text",
    "prompt and verdict",
    "engine, policy and models",
)

_CLIENTS = ("httpx", "httpx2", "httpcore", "httpcore2", "httpx_aiohttp", "aiohttp")
_AREAS: Mapping[str, str] = {
    "triage/inbox": "inbox",
    "triage/vendors": "adapter",
    "triage/text": "text",
    "triage/classifiers": "prompt and verdict",
    "triage": "engine, policy and models",
}
# The more specific directory comes first.
_ROOTS = (Path(triage.__file__).parents[1], Path(get_path("purelib")), Path(get_path("stdlib")))
_WARM_UP = 5  # calls before the first that counts
_BATCH = 20  # events that are processed between two looks at the clock


@dataclass(frozen=True)
class Breakdown:
    """The time of a function for one help desk."""

    desk: str
    size: int
    """The size of the webhook in bytes."""
    seconds: float
    """Seconds of CPU time of a call."""
    shares: Mapping[str, float]
    """The share of each part."""


def break_down_receive(desk: str, *, seconds: float, batch_seconds: float) -> Breakdown:
    """Measure `Router.receive`.

    Args:
        desk: The name of the help desk.
        seconds: How long to sample.
        batch_seconds: How long it is called in a row to measure its time.
    """
    receiver = create_ours(desk)
    times = time_fast({desk: receiver.call}, batch_seconds)
    with sample("wall") as stacks:
        deadline = time.perf_counter() + seconds
        while time.perf_counter() < deadline:
            receiver.call()
    return Breakdown(desk, receiver.size, times[desk], share(stacks, _label_receive))


def break_down_process(desk: str, cores: Sequence[int], *, seconds: float) -> Breakdown:
    """Measure `Router.process_async` with the real SDK and the real HTTP client, and fakes that answer at once.

    Args:
        desk: The name of the help desk.
        cores: The cores of the fakes.
        seconds: How long to sample, in CPU time.
    """
    with ExitStack() as stack:
        runner = stack.enter_context(asyncio.Runner())
        fakes = stack.enter_context(_start_fakes(desk, cores))
        stack.enter_context(patch.dict(os.environ, {"ANTHROPIC_BASE_URL": fakes.urls.claude}))
        router = create_router(DESKS[desk](), fakes.urls.desk, classifier=Claude(api_key="sk-ant-test"))
        webhooks = fakes.write(_WARM_UP)
        runner.run(_process(router, webhooks))
        events, cpu, sampled, stacks = 0, 0.0, 0.0, list[Stack]()
        while sampled < seconds:
            # The batches that measure the time are not sampled, and the sampled ones are not measured.
            cpu += runner.run(_process(router, fakes.write(_BATCH)))
            events += _BATCH
            with sample("cpu") as batch:
                sampled += runner.run(_process(router, fakes.write(_BATCH)))
            stacks += batch
        runner.run(router.classifier.aclose())
        runner.run(router.aclose())
    return Breakdown(desk, len(webhooks[0].body), cpu / events, share(stacks, _label_process))


async def _process(router: Router, webhooks: Sequence[Webhook]) -> float:
    """Process webhooks, and return the CPU time that it took."""
    events = [_receive(router, webhook) for webhook in webhooks]
    started = time.process_time()
    outcomes = [await router.process_async(event) for event in events]
    seconds = time.process_time() - started
    for outcome in outcomes:
        if outcome.status != "routed":
            raise AssertionError(f"the event was not routed: {outcome}")
    return seconds


def _receive(router: Router, webhook: Webhook) -> Event:
    event = router.receive(webhook.body, webhook.headers).event
    if event is None:
        raise AssertionError("the webhook was not accepted")
    return event


# The fakes, in a process that is not measured


class _Urls(NamedTuple):
    claude: str
    desk: str


class _Fakes:
    """A client of the process with the fakes.

    Args:
        pipe: The connection to the process.
    """

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self.urls: _Urls = pipe.recv()

    def write(self, times: int) -> list[Webhook]:
        """Let that many customers write, and return the webhooks."""
        self._pipe.send(times)
        webhooks: list[Webhook] = self._pipe.recv()
        return webhooks


@contextmanager
def _start_fakes(desk: str, cores: Sequence[int]) -> Generator[_Fakes]:
    ours, theirs = Pipe()
    process = get_context("spawn").Process(target=_run_fakes, args=(theirs, desk, cores))
    process.start()
    theirs.close()
    try:
        yield _Fakes(ours)
    finally:
        ours.close()
        process.join()


def _run_fakes(pipe: Connection, desk: str, cores: Sequence[int]) -> None:
    """Run the fakes, and let as many customers write as the pipe says, until it is closed."""
    pin(cores)
    fake = DESKS[desk](rate_limit=None)
    text = fit_text(lambda text: len(DESKS[desk]().customer_writes(text).body))
    with FakeClaude(lambda _request: VERDICT).serve() as claude, fake.serve() as url, suppress(EOFError):
        pipe.send(_Urls(claude, url))
        while True:
            times: int = pipe.recv()
            pipe.send([fake.customer_writes(text, email=f"{uuid4()}@example.com") for _ in range(times)])


# The labels of samples


def _label_receive(stack: Stack) -> str | None:
    """Return the part of `receive` that was running, or None for another function."""
    names = [code.co_name for code in stack]
    if "receive" not in names:
        return None
    depth = names.index("receive")
    stage = names[depth - 1] if depth else ""
    if stage == "create":
        return "copy headers and body"
    if stage == "verify":
        return "verify the signature"
    if stage != "parse" or "build_event" in names[:depth]:
        return "build the event and the response"
    is_parsing = not {"parse_json", "parse_body", "parse_data"}.isdisjoint(names[:depth])
    return "parse and validate JSON" if is_parsing else "find the message"


def _label_process(stack: Stack) -> str | None:
    """Return the part of `process` that was running, or None for another function."""
    if "_receive" in {code.co_name for code in stack}:
        return None
    files = [_locate(code.co_filename) for code in stack]
    packages = {file.partition("/")[0] for file in files}
    if "anthropic" in packages:
        return "Claude's SDK"
    if "triage" not in packages:
        return "event loop and sockets"
    if not packages.isdisjoint(_CLIENTS):
        return "HTTP client for the help desk"
    innermost = next(file for file in files if file.startswith("triage/"))
    return next(area for prefix, area in _AREAS.items() if innermost.startswith(f"{prefix}/"))


@lru_cache(None)
def _locate(filename: str) -> str:
    """Return the path of a module below the directory of its package."""
    path = Path(filename)
    return next((str(path.relative_to(root)) for root in _ROOTS if path.is_relative_to(root)), filename)
