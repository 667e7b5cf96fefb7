"""Measure the library next to alternatives, print the report, and write it to a file.

Run it with `make bench`, or `python -m benchmarks.speed --scale quick` for a first look. It needs Linux.
"""

import argparse
import asyncio
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.drain import Template
from benchmarks.speed.bodies import fit_text
from benchmarks.speed.breakdown import break_down_process, break_down_receive
from benchmarks.speed.floor import measure_floor
from benchmarks.speed.machine import Cores, describe_machine, pin, split_cores
from benchmarks.speed.receivers import DESKS, create_ours, find_others
from benchmarks.speed.report import (
    Capacity,
    format_breakdowns,
    format_floor,
    format_head,
    format_load,
    format_memory,
    format_receivers,
)
from benchmarks.speed.scale import SCALES, Scale
from benchmarks.speed.timing import time_fast
from benchmarks.speed.under_load import Bench, Reading, Result, Sample
from benchmarks.speed.variants import Variant
from triage.testing import FakeIntercom


class Run:
    """One run of the benchmarks.

    Args:
        scale: How much is measured.
    """

    def __init__(self, scale: Scale) -> None:
        self._scale = scale
        self._cores: Cores = split_cores()
        text = fit_text(lambda text: len(FakeIntercom().customer_writes(text).body))
        self._template = Template.record(text)
        self._bench = Bench(self._template, self._cores)
        self._variants = [variant for variant in scale.variants if variant.missing is None]
        self.problems: list[str] = []

    def measure_load(self) -> list[str]:
        """Load all applications in turn, and return the section."""
        pin(self._cores.driver)
        exchanges = asyncio.run(self._bench.measure_driver(self._scale.exchanges))
        samples: Mapping[Variant, list[Sample]] = {variant: [] for variant in self._variants}
        for number in range(self._scale.rounds):
            for variant in self._variants:
                _report_progress(f"round {number + 1}: {variant.name}, {variant.in_flight} in flight")
                samples[variant].append(asyncio.run(self._measure(variant)))
        results = [Result(variant, samples[variant]) for variant in self._variants]
        ours = [result for result in results if result.variant.mode != "tutorial"]
        self.problems += [problem for result in ours for problem in result.problems]
        share = max(sample.driver_share for result in results for sample in result.samples)
        skipped = [variant for variant in self._scale.variants if variant.missing is not None]
        return format_load(results, skipped, self._scale, Capacity(exchanges, share))

    async def _measure(self, variant: Variant) -> Sample:
        scale = self._scale
        return await self._bench.measure(
            variant,
            claude_latency=scale.claude_latency,
            desk_latency=scale.desk_latency,
            seconds=scale.seconds,
            tutorial=scale.tutorial,
        )

    def measure_memory(self) -> list[str]:
        """Read the memory of an inline and of a durable application, and return the section.

        Each is the last variant of its kind: with the best client, and with a concurrency that does not adapt. With one
        that adapts, the memory would also show how far it has risen.
        """
        pin(self._cores.driver)
        scale, readings = self._scale, dict[Variant, Sequence[Reading]]()
        for mode in ("inline", "durable"):
            *_, variant = [variant for variant in self._variants if variant.mode == mode]
            _report_progress(f"memory: {variant.name}")
            readings[variant] = asyncio.run(self._bench.read_memory(variant, scale.memory, scale.memory_seconds))
        return format_memory(readings, scale.memory_seconds)

    def measure_receivers(self) -> list[str]:
        """Time our receivers and those of other packages, and return the section."""
        pin(self._cores.server)
        _report_progress("receivers")
        others, missing = find_others()
        receivers = [*map(create_ours, DESKS), *others]
        times = time_fast({receiver.name: receiver.call for receiver in receivers}, self._scale.batch_seconds)
        return format_receivers(receivers, times, missing)

    def measure_floor(self) -> list[str]:
        """Time the least that a webhook can cost, and return the section."""
        pin(self._cores.server)
        _report_progress("floor")
        with TemporaryDirectory(prefix="triage-speed-") as directory:
            floor = measure_floor(
                self._template,
                Path(directory),
                calls=self._scale.calls,
                batch_seconds=self._scale.batch_seconds,
            )
        return format_floor(floor)

    def break_down(self) -> list[str]:
        """Find out where the time of `receive` and `process` goes, and return the sections."""
        pin(self._cores.server)
        scale = self._scale
        _report_progress("receive")
        receive = [
            break_down_receive(desk, seconds=scale.profile_seconds, batch_seconds=scale.batch_seconds)
            for desk in scale.desks
        ]
        _report_progress("process")
        process = [break_down_process(desk, self._cores.driver, seconds=scale.profile_seconds) for desk in scale.desks]
        return format_breakdowns(receive, process)


_SECTIONS: Mapping[str, Callable[[Run], list[str]]] = {
    "load": Run.measure_load,
    "memory": Run.measure_memory,
    "receivers": Run.measure_receivers,
    "floor": Run.measure_floor,
    "breakdown": Run.break_down,
}


def _report_progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    """Measure, print and write the report; exit with 1 if the library lost, repeated or rejected something."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", choices=tuple(SCALES), default="full")
    parser.add_argument("--only", choices=tuple(_SECTIONS), action="append", help="measure only this; repeatable")
    parser.add_argument("--output", type=Path, help="write the report to this file")
    parser.add_argument("--command", default=" ".join(["python", "-m", "benchmarks.speed", *sys.argv[1:]]))
    options = parser.parse_args()
    lines, run = format_head(options.command, describe_machine()), Run(SCALES[options.scale])
    for name, section in _SECTIONS.items():
        if not options.only or name in options.only:
            lines += section(run)
    report = "\n".join([*lines, ""])
    print(report)
    if options.output:
        options.output.write_text(report)
    for problem in run.problems:
        _report_progress(problem)
    sys.exit(1 if run.problems else 0)


if __name__ == "__main__":
    main()
