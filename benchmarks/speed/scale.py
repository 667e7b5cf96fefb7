"""How much is measured: everything for the documentation, less for a quick look, and almost nothing for a test."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from benchmarks.speed.receivers import DESKS
from benchmarks.speed.variants import TUTORIAL, VARIANTS, Variant


@dataclass(frozen=True)
class Scale:
    """How much is measured."""

    variants: Sequence[Variant]
    """The applications to load."""
    rounds: int
    """How often everything is measured, in turn."""
    seconds: float
    """About how long an application is under load, once it is warm."""
    tutorial: int
    """The webhooks that the tutorial receives at once."""
    claude_latency: float
    """Seconds until Claude answers."""
    desk_latency: float
    """Seconds until the help desk answers."""
    exchanges: int
    """The HTTP exchanges with which the driver and the fakes are measured."""
    memory: tuple[int, int]
    """The memory is compared after these numbers of webhooks."""
    memory_seconds: float
    """Seconds after which no more webhooks are sent for the memory."""
    calls: int
    """How often a slow call, such as a durable insert, is timed."""
    batch_seconds: float
    """How long a fast function is called in a row."""
    desks: Sequence[str]
    """The help desks whose `receive` and `process` are sampled."""
    profile_seconds: float
    """How long a function is sampled."""


_FULL = Scale(
    variants=VARIANTS,
    rounds=2,
    seconds=6,
    tutorial=50,
    claude_latency=0.6,
    desk_latency=0.05,
    exchanges=2_000,
    memory=(2_000, 20_000),
    memory_seconds=300,
    calls=500,
    batch_seconds=0.2,
    desks=tuple(DESKS),
    profile_seconds=3,
)
_QUICK = replace(
    _FULL,
    variants=tuple(variant for variant in VARIANTS if variant.in_flight == 200 or variant is TUTORIAL),
    rounds=1,
    seconds=2,
    tutorial=10,
    memory=(200, 1_000),
    memory_seconds=10,
    calls=100,
    batch_seconds=0.05,
    profile_seconds=0.5,
)
_TINY = Scale(
    variants=(Variant("tutorial", 2), Variant("inline", 4), Variant("durable", 4)),
    rounds=1,
    seconds=0.01,
    tutorial=2,
    claude_latency=0.01,
    desk_latency=0.001,
    exchanges=20,
    memory=(4, 8),
    memory_seconds=60,
    calls=3,
    batch_seconds=0.001,
    desks=("intercom",),
    profile_seconds=0.01,
)

SCALES: Mapping[str, Scale] = {"full": _FULL, "quick": _QUICK, "tiny": _TINY}
