"""What was seen in the runs."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, fields

from tests.chaos.dying import BOUNDARIES, INBOXES, MOMENTS


@dataclass
class Report:
    """What was seen."""

    runs: Counter[str] = field(default_factory=Counter[str])
    events: int = 0
    answered: int = 0
    deliveries: int = 0
    kills: Counter[tuple[str, str, str]] = field(default_factory=Counter[tuple[str, str, str]])
    """By what was written, the moment, and the inbox."""
    pairs: int = 0
    """Kills of one of two workers."""
    missed: Counter[str] = field(default_factory=Counter[str])
    """First kills whose boundary was not reached: nothing needed that write."""
    finished: int = 0
    dead: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    """By desk and reason."""
    unassigned: int = 0
    """Conversations that no team has, because all of their events are dead-lettered."""
    lost: list[str] = field(default_factory=list[str])
    doubled: list[str] = field(default_factory=list[str])

    def add(self, other: "Report") -> None:
        for one in fields(self):
            setattr(self, one.name, getattr(self, one.name) + getattr(other, one.name))

    def __str__(self) -> str:
        by_kind: Counter[str] = Counter()
        for (what, _, _), number in self.kills.items():
            by_kind[what.split(" ")[0]] += number
        kills = ", ".join(f"{number} {kind}" for kind, number in sorted(by_kind.items()))
        runs = ", ".join(f"{number} {inbox}" for inbox, number in sorted(self.runs.items()))
        return (
            f"{self.runs.total()} runs ({runs}), {self.kills.total()} kills ({kills}), {self.events} events, "
            f"{self.answered} answered, {self.finished} finished, {self.dead.total()} dead-lettered, "
            f"losses {len(self.lost)}, doubles {len(self.doubled)}"
        )

    def details(self) -> Iterator[str]:
        """Lines that tell more."""
        columns = [(inbox, moment) for inbox in INBOXES for moment in MOMENTS]
        yield "kills at     " + "".join(f"{f'{inbox} {moment}':>17}" for inbox, moment in columns)
        for what in dict.fromkeys(f"{boundary.kind} {boundary.number}" for boundary in BOUNDARIES):
            yield f"{what:13}" + "".join(f"{self.kills[what, moment, inbox]:17}" for inbox, moment in columns)
        for who in ("receiver", "worker"):
            counts = ", ".join(f"{self.kills[who, 'any time', inbox]} {inbox}" for inbox in INBOXES)
            yield f"{who}s killed at any time: {counts}"
        yield f"one of two workers killed: {self.pairs}"
        missed = ", ".join(f"{number} {what}" for what, number in sorted(self.missed.items()))
        yield f"first kills that were not reached: {self.missed.total()} ({missed})"
        yield f"deliveries: {self.deliveries}, of {self.events} events"
        for (desk, reason), number in sorted(self.dead.items()):
            yield f"dead-lettered: {number} {desk}: {reason}"
        yield f"dead-lettered, and without a team: {self.unassigned} conversations"
        yield from (f"LOSS {line}" for line in self.lost)
        yield from (f"DOUBLE {line}" for line in self.doubled)
