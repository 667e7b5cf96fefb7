"""Run a coroutine from sync code, whether or not an event loop is running, as one is in a notebook."""

import asyncio
import contextvars
import threading
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")

_CHECK = 0.2  # seconds; on Windows, Ctrl+C does not interrupt a wait without a time limit


def run_in_thread(coroutine: Coroutine[Any, Any, T], *, threads: int) -> T:
    """Run a coroutine to completion on an event loop in a thread of its own, with a copy of the context variables.

    Ctrl+C cancels the coroutine. The `KeyboardInterrupt` continues once the coroutine has closed what it uses.

    Args:
        coroutine: The coroutine.
        threads: How many threads `asyncio.to_thread` may use at the same time.

    Returns:
        The return value of the coroutine.
    """
    loop = asyncio.new_event_loop()
    loop.set_default_executor(ThreadPoolExecutor(threads, thread_name_prefix="triage-evaluate"))
    task = loop.create_task(coroutine, context=contextvars.copy_context())

    async def wait() -> None:
        await asyncio.wait([task])

    def work() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(wait())

    # A daemon, so that a second Ctrl+C ends the process even if a call never returns.
    thread = threading.Thread(target=work, name="triage-evaluate", daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            thread.join(_CHECK)
    except KeyboardInterrupt:
        with suppress(RuntimeError):  # the loop is already closed
            loop.call_soon_threadsafe(task.cancel)
        thread.join()
        raise
    return task.result()
