"""Load applications with webhooks, one application at a time, each alone on its core."""

import asyncio
import os
import socket
import sys
import time
from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import NamedTuple

from benchmarks.drain import Template
from benchmarks.load import is_up, send
from benchmarks.speed.fakes import Fakes, answer_nothing, serve
from benchmarks.speed.machine import Cores, read_cpu_seconds, read_memory
from benchmarks.speed.variants import Variant
from triage.testing import Webhook

_START = 60.0  # seconds in which an application must start
_PATIENCE = 30.0  # seconds without progress after which the remaining webhooks count as lost
_MOST = 5_000  # webhooks in one measurement
_FEW = 8  # webhooks in flight: enough to keep a server busy that has to wait for nothing
_CHUNK = 500  # webhooks between two looks at the clock


class Application(NamedTuple):
    """A running application."""

    pid: int
    port: int


@dataclass(frozen=True)
class Sample:
    """The measurement of an application under load."""

    webhooks: int
    seconds: float
    """Seconds until all webhooks were answered and all conversations were routed."""
    waited: list[float]
    """Seconds until each response."""
    cpu: float
    """Seconds of CPU time that the server used."""
    driver_share: float
    """The share of its core that the process of the driver and the fakes used."""
    lost: int
    """The number of webhooks whose conversations were not routed."""
    repeats: int
    """The number of calls that changed something twice."""
    answers: Counter[str]
    """The number of responses by status or error."""

    @property
    def rejected(self) -> int:
        """The number of responses other than 200, after which a webhook is sent again."""
        return self.answers.total() - self.answers["200"]

    @property
    def rate(self) -> float:
        """The routed conversations per second."""
        return (self.webhooks - self.lost) / self.seconds


@dataclass(frozen=True)
class Result:
    """All measurements of an application."""

    variant: Variant
    samples: Sequence[Sample]
    """One of each round."""

    @property
    def rate(self) -> float:
        """The median of the routed conversations per second."""
        return median(sample.rate for sample in self.samples)

    @property
    def waited(self) -> list[float]:
        """The seconds until each response, of all rounds."""
        return [seconds for sample in self.samples for seconds in sample.waited]

    @property
    def cpu(self) -> float:
        """The median of the server's CPU time for a webhook, in seconds."""
        return median(sample.cpu / sample.webhooks for sample in self.samples)

    @property
    def problems(self) -> list[str]:
        """What must not happen: conversations that were lost, calls that were repeated, webhooks that were rejected."""
        numbers = {
            "conversations that were not routed": sum(sample.lost for sample in self.samples),
            "calls that were repeated": sum(sample.repeats for sample in self.samples),
            "responses other than 200": sum(sample.rejected for sample in self.samples),
        }
        name = f"{self.variant.name}, {self.variant.in_flight} in flight"
        return [f"{name}: {problem}: {number}" for problem, number in numbers.items() if number]


class Reading(NamedTuple):
    """The memory of a server after a number of webhooks."""

    webhooks: int
    mib: float


class Bench:
    """Runs applications next to the fakes and the driver.

    Args:
        template: The webhook of which all others are copies.
        cores: The cores of the servers and of this process, which must be pinned already.
    """

    def __init__(self, template: Template, cores: Cores) -> None:
        self._template = template
        self._cores = cores
        self._numbers = count()

    async def measure(
        self, variant: Variant, *, claude_latency: float, desk_latency: float, seconds: float, tutorial: int
    ) -> Sample:
        """Load an application until it is warm, and then for about a number of seconds.

        Args:
            variant: The application.
            claude_latency: Seconds until Claude answers.
            desk_latency: Seconds until the help desk answers.
            seconds: About how long to measure.
            tutorial: The number of webhooks if the application is the tutorial's, which takes so long for each.
        """
        fakes = Fakes(self._template, claude_latency, desk_latency)
        async with self._run(variant, fakes) as application:
            if variant.mode == "tutorial":
                await self._load(application, fakes, 1, 1)
                return await self._load(application, fakes, tutorial, variant.in_flight)
            warm_up = await self._load(application, fakes, variant.in_flight, variant.in_flight)
            webhooks = min(max(2 * variant.in_flight, int(warm_up.rate * seconds)), _MOST)
            return await self._load(application, fakes, webhooks, variant.in_flight)

    async def measure_driver(self, exchanges: int) -> float:
        """Return how many HTTP exchanges a second the driver and a fake sustain with each other on their core.

        Args:
            exchanges: How many to make.
        """
        deliveries = self._create_webhooks(exchanges)
        async with serve(answer_nothing, 0) as port:
            started = time.perf_counter()
            await send(deliveries, port, _FEW)
            return exchanges / (time.perf_counter() - started)

    async def read_memory(self, variant: Variant, numbers: tuple[int, int], seconds: float) -> list[Reading]:
        """Read an application's memory after each number of webhooks, or after fewer if they take too long.

        Args:
            variant: The application.
            numbers: The numbers of webhooks.
            seconds: Seconds after which no more webhooks are sent.
        """
        fakes, readings = Fakes(self._template, 0, 0), list[Reading]()
        async with self._run(variant, fakes) as application:
            sent, deadline = 0, time.monotonic() + seconds
            for number in numbers:
                while sent < number and time.monotonic() < deadline:
                    webhooks = min(_CHUNK, number - sent)
                    await self._load(application, fakes, webhooks, _FEW)
                    sent += webhooks
                readings.append(Reading(sent, read_memory(application.pid)))
        return readings

    async def _load(self, application: Application, fakes: Fakes, webhooks: int, in_flight: int) -> Sample:
        deliveries = self._create_webhooks(webhooks)
        fakes.reset()
        cpu, driver = read_cpu_seconds(application.pid), time.process_time()
        started = time.perf_counter()
        load = await send(deliveries, application.port, in_flight)
        answered = time.perf_counter()
        await fakes.wait_until_routed(webhooks, _PATIENCE)
        driver = time.process_time() - driver
        seconds = max(answered, fakes.routed_at) - started  # without the wait for what was lost
        return Sample(
            webhooks=webhooks,
            seconds=seconds,
            waited=load.waited,
            cpu=read_cpu_seconds(application.pid) - cpu,
            driver_share=driver / seconds,
            lost=webhooks - fakes.routed,
            repeats=fakes.repeats,
            answers=load.answers,
        )

    def _create_webhooks(self, number: int) -> list[Webhook]:
        return [self._template.deliver(next(self._numbers)) for _ in range(number)]

    @asynccontextmanager
    async def _run(self, variant: Variant, fakes: Fakes) -> AsyncGenerator[Application]:
        with TemporaryDirectory(prefix="triage-speed-") as directory:
            async with fakes.serve() as env:
                configuration = {**env, **variant.build_env(f"{directory}/triage.db")}
                log = Path(directory) / "log"
                async with _start(variant, configuration, self._cores.server, log) as application:
                    yield application


@asynccontextmanager
async def _start(
    variant: Variant, env: Mapping[str, str], cores: tuple[int, ...], log: Path
) -> AsyncGenerator[Application]:
    port = _find_port()
    command = ["-m", "benchmarks.speed.server", variant.app, "--port", str(port), "--cores", *map(str, cores)]
    hide = ["--hide", *variant.hidden] if variant.hidden else []
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable, *command, *hide, env={**os.environ, **env}, stdout=output, stderr=output
        )
    try:
        async with asyncio.timeout(_START):
            while not await is_up(port):
                if process.returncode is not None:
                    sys.exit(f"{variant.name} did not start:\n{_read_log(log)}")
                await asyncio.sleep(0.05)
        yield Application(process.pid, port)
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), _START)
            except TimeoutError:
                process.kill()
                await process.wait()


def _read_log(path: Path) -> str:
    return path.read_text(errors="replace")


def _find_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
