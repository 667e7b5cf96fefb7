"""An inbox in memory is called directly, and any other off the event loop."""

import asyncio
import threading
from pathlib import Path

from triage.engine.storage import call_inbox
from triage.inbox import MemoryInbox, SQLiteInbox
from triage.inbox.base import Inbox
from triage.io.ports import IO, AsyncIO, SyncIO, run


async def find_thread(inbox: Inbox, io: IO) -> threading.Thread:
    """Return the thread in which a method of the inbox would run."""
    return await call_inbox(inbox, io, threading.current_thread)


def test_an_inbox_in_memory_is_called_on_the_event_loop() -> None:
    assert asyncio.run(find_thread(MemoryInbox(), AsyncIO())) is threading.current_thread()


def test_an_inbox_on_disk_is_called_in_another_thread_in_async_code(tmp_path: Path) -> None:
    inbox = SQLiteInbox(tmp_path / "triage.db")
    assert asyncio.run(find_thread(inbox, AsyncIO())) is not threading.current_thread()
    inbox.close()


def test_sync_code_calls_every_inbox_in_its_own_thread(tmp_path: Path) -> None:
    inbox = SQLiteInbox(tmp_path / "triage.db")
    assert run(find_thread(inbox, SyncIO())) is threading.current_thread()
    inbox.close()


def test_arguments_are_passed_and_the_result_is_returned(tmp_path: Path) -> None:
    inbox = SQLiteInbox(tmp_path / "triage.db")
    asyncio.run(call_inbox(inbox, AsyncIO(), inbox.add_spending, "spent:2026-11-25", 0.5))
    assert run(call_inbox(inbox, SyncIO(), inbox.get_spending, "spent:2026-11-25")) == 0.5
    inbox.close()
