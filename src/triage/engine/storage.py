"""Call an inbox from code that is written once for sync and async."""

from collections.abc import Callable
from typing import TypeVar

from typing_extensions import TypeVarTuple, Unpack

from triage.inbox.base import Inbox, RunsTogether
from triage.io.ports import IO
from triage.io.together import Together

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


async def call_inbox(inbox: Inbox, io: IO, method: Callable[[Unpack[Ts]], T], *args: *Ts) -> T:
    """Call a method of an inbox, off the event loop if it may have to wait for a disk or a database."""
    return method(*args) if inbox.in_memory else await io.run_storage(method, *args)


def create_together(inbox: Inbox) -> Together | None:
    """Create what makes the calls of an event loop to an inbox together, or return None if the inbox cannot do that."""
    if isinstance(inbox, RunsTogether):
        return Together(inbox.run_together, inbox.batches, inbox.batch_size)
    return None
