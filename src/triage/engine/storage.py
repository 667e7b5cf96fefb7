"""Call an inbox from code that is written once for sync and async."""

from collections.abc import Callable
from typing import TypeVar

from typing_extensions import TypeVarTuple, Unpack

from triage.inbox.base import Inbox
from triage.io.ports import IO

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


async def call_inbox(inbox: Inbox, io: IO, method: Callable[[Unpack[Ts]], T], *args: *Ts) -> T:
    """Call a method of an inbox, off the event loop if it may have to wait for a disk or a database."""
    return method(*args) if inbox.in_memory else await io.run_storage(method, *args)
