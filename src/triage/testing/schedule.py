"""Decide when planned faults occur, for the fake help desks and `FaultyInbox`."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar


@dataclass(slots=True)
class Fault:
    """A planned fault."""

    times: int | None
    """How many more calls fail; None for all."""
    skip: int
    """How many more calls succeed first."""
    after: bool
    """True if the call takes effect and only its result is lost."""


F = TypeVar("F", bound=Fault)


def next_fault(faults: Iterable[F]) -> F | None:
    """Count a call and return the fault that makes it fail, or None if it succeeds.

    Args:
        faults: The faults that match the call, in the order in which they were planned.
    """
    fault = next((fault for fault in faults if fault.times != 0), None)
    if fault is None:
        return None
    if fault.skip:
        fault.skip -= 1
        return None
    if fault.times is not None:
        fault.times -= 1
    return fault
