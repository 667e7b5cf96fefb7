"""Run event loops in threads, also where threads are not what they seem."""

import asyncio
import os
import sys
import threading
from collections.abc import Coroutine
from typing import Any

_shared_loops: dict[int, asyncio.AbstractEventLoop] = {}
"""The event loop of each process whose threads are greenlets."""


def run_in_thread(coroutine: Coroutine[Any, Any, object]) -> None:
    """Run a coroutine on an event loop and wait for it. Call this in a thread that has no event loop.

    Args:
        coroutine: The coroutine.
    """
    if _are_threads_greenlets():
        asyncio.run_coroutine_threadsafe(coroutine, _get_shared_loop()).result()
    else:
        asyncio.run(coroutine)


def _are_threads_greenlets() -> bool:
    """Return whether gevent has replaced threads by greenlets, of which only one can run an event loop."""
    monkey: Any = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("threading"))


def _get_shared_loop() -> asyncio.AbstractEventLoop:
    loop = _shared_loops.get(os.getpid())
    if loop is None:
        loop = _shared_loops[os.getpid()] = asyncio.new_event_loop()
        threading.Thread(target=loop.run_forever, name="triage-loop", daemon=True).start()
    return loop


def require_asyncio() -> None:
    """Raise an error that says what to do if async code runs on another event loop than asyncio's.

    Raises:
        RuntimeError: No asyncio event loop is running.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        raise RuntimeError(
            "triage's async methods need asyncio, but no asyncio event loop is running. Under Trio, call the sync "
            "method in a thread: await trio.to_thread.run_sync(router.handle, raw_body, headers)."
        ) from None
