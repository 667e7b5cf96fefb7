"""Event loops run in threads, and share one where gevent has replaced threads."""

import asyncio
import sys
import threading
from types import SimpleNamespace

import pytest

from triage.io import loops
from triage.io.loops import require_asyncio, run_in_thread


def run_twice() -> list[asyncio.AbstractEventLoop]:
    """Run two coroutines at once, which wait for each other, and return their event loops."""
    used: list[asyncio.AbstractEventLoop] = []
    barrier = threading.Barrier(2)

    async def work() -> None:
        used.append(asyncio.get_running_loop())
        await asyncio.to_thread(barrier.wait, 20)

    threads = [threading.Thread(target=run_in_thread, args=(work(),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return used


def test_each_thread_has_its_own_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "gevent.monkey", raising=False)
    first, second = run_twice()
    assert first is not second


def test_threads_without_gevents_patch_have_their_own_event_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gevent.monkey", SimpleNamespace(is_module_patched=lambda name: False))
    first, second = run_twice()
    assert first is not second


def test_greenlets_share_an_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only one greenlet of a process can run an event loop. The others would wait forever."""
    monkeypatch.setitem(sys.modules, "gevent.monkey", SimpleNamespace(is_module_patched=lambda name: True))
    monkeypatch.setattr(loops, "_shared_loops", {})
    loops._get_shared_loop()  # unlike greenlets, the threads of this test would both create one
    first, second = run_twice()
    assert first is second
    asyncio.run_coroutine_threadsafe(first.shutdown_default_executor(), first).result(20)
    first.call_soon_threadsafe(first.stop)
    next(thread for thread in threading.enumerate() if thread.name == "triage-loop").join(20)
    first.close()


# Other event loops


def test_async_code_that_runs_without_asyncio_is_rejected_with_advice() -> None:
    with pytest.raises(RuntimeError, match=r"need asyncio, .* await trio\.to_thread\.run_sync\(router\.handle, "):
        require_asyncio()


def test_async_code_that_runs_with_asyncio_is_accepted() -> None:
    async def work() -> None:
        require_asyncio()

    asyncio.run(work())
