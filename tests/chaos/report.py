"""The results of runs."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any

from tests.chaos.inboxes import BOUNDARIES, INBOXES, MOMENTS


@dataclass
class Report:
    """The results of one run, or of several added up."""

    runs: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    """By how processes were interrupted, and the inbox."""
    events: int = 0
    answered: int = 0
    deliveries: int = 0
    kills: Counter[tuple[str, str, str]] = field(default_factory=Counter[tuple[str, str, str]])
    """By the write, the moment, and the inbox."""
    stops: Counter[tuple[str, str, str]] = field(default_factory=Counter[tuple[str, str, str]])
    """The same for processes that were stopped and continued."""
    takeovers: int = 0
    """Events that another worker took over from a stopped one."""
    poisonings: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    """Processes that a message killed, by how it did and by the inbox."""
    pairs: int = 0
    """Kills of one of two workers that ran at the same time."""
    missed: Counter[str] = field(default_factory=Counter[str])
    """First kills whose boundary was never reached, because nothing needed that write."""
    finished: int = 0
    dead: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    """By help desk and reason."""
    unassigned: int = 0
    """Conversations without a team, all of whose events are dead letters."""
    lost: list[str] = field(default_factory=list[str])
    doubled: list[str] = field(default_factory=list[str])
    undecided: list[str] = field(default_factory=list[str])
    """Events that were neither finished nor dead-lettered in the end."""

    def add(self, other: "Report") -> None:
        for counter in fields(self):
            setattr(self, counter.name, getattr(self, counter.name) + getattr(other, counter.name))

    def __str__(self) -> str:
        return (
            f"{self.runs.total()} runs ({_sum_up(self.runs, 0)}; {_sum_up(self.runs, 1)}), {self.kills.total()} kills, "
            f"{self.stops.total()} stops, {self.takeovers} events taken over, {self.poisonings.total()} poisonings, "
            f"{self.events} events, {self.answered} answered, {self.finished} finished, {self.dead.total()} dead, "
            f"losses {len(self.lost)}, doubles {len(self.doubled)}, undecided {len(self.undecided)}"
        )

    def details(self) -> Iterator[str]:
        """Yield the lines of the detailed report."""
        columns = [(inbox, moment) for inbox in INBOXES for moment in MOMENTS]
        yield "kills at     " + "".join(f"{f'{inbox} {moment}':>17}" for inbox, moment in columns)
        for write in dict.fromkeys(f"{boundary.kind} {boundary.number}" for boundary in BOUNDARIES):
            yield f"{write:13}" + "".join(f"{self.kills[write, moment, inbox]:17}" for inbox, moment in columns)
        yield f"kills: {_sum_up(self.kills, 0)}"
        yield f"stops: {_sum_up(self.stops, 0)}; {_sum_up(self.stops, 1)}; {_sum_up(self.stops, 2)}"
        yield f"poisonings: {_sum_up(self.poisonings, 0)}; {_sum_up(self.poisonings, 1)}"
        for process in ("receiver", "worker"):
            counts = ", ".join(f"{self.kills[process, 'any time', inbox]} {inbox}" for inbox in INBOXES)
            yield f"{process}s killed at any time: {counts}"
        yield f"one of two workers killed: {self.pairs}"
        missed = ", ".join(f"{number} {write}" for write, number in sorted(self.missed.items()))
        yield f"first kills whose boundary was not reached: {self.missed.total()} ({missed})"
        yield f"deliveries: {self.deliveries}, of {self.events} events"
        for (desk, reason), number in sorted(self.dead.items()):
            yield f"dead letters: {number} {desk}: {reason}"
        yield f"dead letters without a team: {self.unassigned} conversations"
        yield from self.list_failures()

    def list_failures(self) -> Iterator[str]:
        """Yield a line for each event that was lost, handled twice or left undecided."""
        yield from (f"LOSS {line}" for line in self.lost)
        yield from (f"DOUBLE {line}" for line in self.doubled)
        yield from (f"UNDECIDED {line}" for line in self.undecided)


def _sum_up(counter: Counter[Any], position: int) -> str:
    """Return the sums by the first word of one part of the keys."""
    sums: Counter[str] = Counter()
    for key, number in counter.items():
        sums[key[position].split(" ")[0]] += number
    return ", ".join(f"{number} {name}" for name, number in sorted(sums.items()))
