"""The results of runs."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, fields

from tests.chaos.inboxes import BOUNDARIES, INBOXES, MOMENTS


@dataclass
class Report:
    """The results of one run, or of several added up."""

    runs: Counter[str] = field(default_factory=Counter[str])
    events: int = 0
    answered: int = 0
    deliveries: int = 0
    kills: Counter[tuple[str, str, str]] = field(default_factory=Counter[tuple[str, str, str]])
    """By the write, the moment, and the inbox."""
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

    def add(self, other: "Report") -> None:
        for counter in fields(self):
            setattr(self, counter.name, getattr(self, counter.name) + getattr(other, counter.name))

    def __str__(self) -> str:
        by_kind: Counter[str] = Counter()
        for (write, _, _), number in self.kills.items():
            by_kind[write.split(" ")[0]] += number
        kills = ", ".join(f"{number} {kind}" for kind, number in sorted(by_kind.items()))
        runs = ", ".join(f"{number} {inbox}" for inbox, number in sorted(self.runs.items()))
        return (
            f"{self.runs.total()} runs ({runs}), {self.kills.total()} kills ({kills}), {self.events} events, "
            f"{self.answered} answered, {self.finished} finished, {self.dead.total()} dead letters, "
            f"losses {len(self.lost)}, doubles {len(self.doubled)}"
        )

    def details(self) -> Iterator[str]:
        """Yield the lines of the detailed report."""
        columns = [(inbox, moment) for inbox in INBOXES for moment in MOMENTS]
        yield "kills at     " + "".join(f"{f'{inbox} {moment}':>17}" for inbox, moment in columns)
        for write in dict.fromkeys(f"{boundary.kind} {boundary.number}" for boundary in BOUNDARIES):
            yield f"{write:13}" + "".join(f"{self.kills[write, moment, inbox]:17}" for inbox, moment in columns)
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
        yield from (f"LOSS {line}" for line in self.lost)
        yield from (f"REPEATED {line}" for line in self.doubled)
