"""The report in Markdown. Its form is always the same; only the figures depend on the run."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from benchmarks.load import PATIENCE, compute_percentile
from benchmarks.speed.breakdown import PROCESS, RECEIVE, Breakdown
from benchmarks.speed.floor import Floor
from benchmarks.speed.markdown import format_duration, format_number, format_table
from benchmarks.speed.receivers import Receiver
from benchmarks.speed.scale import Scale
from benchmarks.speed.under_load import Reading, Result
from benchmarks.speed.variants import Variant

EXCHANGES = 5
"""The HTTP exchanges of a routed webhook: the webhook, one call to Claude, and three to the help desk."""


_SUCCESS = "Every webhook was answered with 200, every conversation was routed, and no call was repeated."
_LIMITING = 0.8  # the share of their core from which the driver and the fakes limit what is measured


class Capacity(NamedTuple):
    """What the driver and the fakes sustain."""

    exchanges: float
    """HTTP exchanges per second with each other."""
    share: float
    """The largest share of their core that they used in a measurement."""


def format_head(command: str, machine: Sequence[tuple[str, str]]) -> list[str]:
    """Return the title, the command and the machine."""
    return [
        "# Performance",
        *_wrap(
            """
            All figures on this page come from one run of this command on this machine. Compare the rows with each
            other rather than with other machines. The page is generated, so do not edit it.
            """
        ),
        "",
        "```console",
        f"$ {command}",
        "```",
        "",
        *format_table(("", "this run"), machine, texts=2),
    ]


def format_load(results: Sequence[Result], skipped: Sequence[Variant], scale: Scale, capacity: Capacity) -> list[str]:
    """Return the section about applications under load."""
    tutorial = next(result for result in results if result.variant.mode == "tutorial")
    fastest = max(sample.rate for sample in tutorial.samples)
    limits = "did not limit" if capacity.share < _LIMITING else "may have limited"
    skips = [
        f"Not measured, because the extra `{variant.missing}` is not installed: {_name(variant)}."
        for variant in skipped
    ]
    return [
        "",
        "## Under load",
        *_wrap(
            f"""
            One process under uvicorn, alone on its core, receives signed webhooks of Intercom with 4 KB. Claude
            answers after {format_duration(scale.claude_latency)}, and the help desk after
            {format_duration(scale.desk_latency)}. A conversation is routed when the help desk has received the
            assignment and the reply. The tutorial has the design that most tutorials show: a sync Claude client in
            an async route, a new HTTP client for each call, no inbox. It makes one call less to the help desk,
            because it does not read the conversation.
            """
        ),
        "",
        *format_table(
            (
                *("variant", "in flight", "routed/s", "range", "× tutorial"),
                *("response p50", "p99", "max", f"over {PATIENCE:.0f} s", "CPU per webhook"),
            ),
            [_format_result(result, fastest) for result in results],
        ),
        *_wrap(" ".join(skips)),
        *_wrap(
            f"""
            Rounds: {scale.rounds}. The variants take turns in each; rates and CPU times are medians of the rounds, and
            the tutorial counts with its fastest one. A routed webhook takes {EXCHANGES} HTTP exchanges. The driver
            and the fakes sustain {capacity.exchanges:,.0f} exchanges per second with each other, and used at most
            {capacity.share:.0%} of their core, so they {limits} the figures.
            """
        ),
        "",
        *_format_problems(results),
    ]


def _format_result(result: Result, fastest: float) -> Sequence[str]:
    waited, rates = result.waited, [sample.rate for sample in result.samples]
    late = sum(seconds > PATIENCE for seconds in waited) / len(waited)
    percentiles = [format_duration(compute_percentile(waited, percent)) for percent in (50, 99, 100)]
    return (
        result.variant.name,
        str(result.variant.in_flight),
        format_number(result.rate),
        f"{format_number(min(rates))} to {format_number(max(rates))}",
        format_number(result.rate / fastest) if fastest else "–",
        *percentiles,
        f"{late:.0%}",
        format_duration(result.cpu),
    )


def _format_problems(results: Sequence[Result]) -> list[str]:
    problems = [problem for result in results for problem in result.problems]
    return [f"- {problem}" for problem in problems] or [_SUCCESS]


def _name(variant: Variant) -> str:
    return f"{variant.name} ({variant.in_flight} in flight)"


def format_memory(readings: Mapping[Variant, Sequence[Reading]], seconds: float) -> list[str]:
    """Return the section about memory."""
    return [
        "",
        "## Memory",
        *_wrap(
            f"""
            The resident memory of one process after two numbers of routed webhooks, or after fewer if the second
            number takes longer than {seconds:.0f} s. Here, Claude and the help desk answer at once. The concurrency of
            the worker is the highest to which it adapts, because each event in progress occupies memory.
            """
        ),
        "",
        *format_table(
            ("variant", "webhooks", "memory", "webhooks", "memory", "growth"),
            [_format_readings(variant, *pair) for variant, pair in readings.items()],
        ),
    ]


def _format_readings(variant: Variant, first: Reading, last: Reading) -> Sequence[str]:
    cells = [cell for reading in (first, last) for cell in (f"{reading.webhooks:,}", f"{reading.mib:.1f} MiB")]
    return (variant.name, *cells, f"{last.mib / first.mib - 1:+.1%}")


def format_receivers(receivers: Sequence[Receiver], times: Mapping[str, float], missing: Sequence[str]) -> list[str]:
    """Return the section about receivers."""
    return [
        "",
        "## Receivers",
        *_wrap(
            """
            Each receives one delivery again and again, in process, in the format of its vendor. They do not do the
            same: ours also finds out which message of which conversation the delivery is about, and whether a customer
            wrote it. The figure is CPU time, the median of seven batches that took turns.
            """
        ),
        "",
        *format_table(
            ("receiver", "does", "body", "CPU per webhook"),
            [
                (receiver.name, receiver.does, f"{receiver.size:,} bytes", format_duration(times[receiver.name]))
                for receiver in receivers
            ],
            texts=2,
        ),
        *_wrap(f"Not installed: {', '.join(missing)}. Install the dependency group `bench`." if missing else ""),
    ]


def format_floor(floor: Sequence[Floor]) -> list[str]:
    """Return the section about the least that a webhook can cost."""
    return [
        "",
        "## The floor",
        *_wrap(
            """
            The least that a webhook of 4 KB can cost on this machine, compared with our durable receiver. The
            figures are medians of calls that took turns.
            """
        ),
        "",
        *format_table(("function", "time"), [(row.name, format_duration(row.seconds)) for row in floor]),
    ]


def format_breakdowns(receive: Sequence[Breakdown], process: Sequence[Breakdown]) -> list[str]:
    """Return the sections about where the time of `receive` and `process` goes."""
    return [
        "",
        "## Where the time of `receive` goes",
        *_wrap(
            """
            CPU time of a call in µs. The total is measured, and the parts are estimated from samples of the stack.
            """
        ),
        "",
        *_format_breakdown(receive, RECEIVE),
        "",
        "## Where the time of `process` goes",
        *_wrap(
            """
            CPU time of a call in µs, for one call after the other on an event loop, with the real SDK and the real
            HTTP client. The fakes answer at once, in another process.
            """
        ),
        "",
        *_format_breakdown(process, PROCESS),
    ]


def _format_breakdown(breakdowns: Sequence[Breakdown], parts: Sequence[str]) -> list[str]:
    rows = [
        (part, *(f"{breakdown.shares.get(part, 0) * breakdown.seconds * 1e6:,.0f}" for breakdown in breakdowns))
        for part in parts
    ]
    total = ("**total**", *(f"**{breakdown.seconds * 1e6:,.0f}**" for breakdown in breakdowns))
    size = ("body in bytes", *(f"{breakdown.size:,}" for breakdown in breakdowns))
    return format_table(("part", *(breakdown.desk for breakdown in breakdowns)), [*rows, total, size])


def _wrap(text: str) -> list[str]:
    """Return an empty line and a paragraph, or nothing without a text."""
    lines = textwrap.wrap(" ".join(text.split()), 120, break_long_words=False, break_on_hyphens=False)
    return ["", *lines] if lines else []
