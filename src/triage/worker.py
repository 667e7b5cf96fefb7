"""The Worker: leases events from an inbox and routes them, inside the web application or in a separate process."""

import asyncio
import logging
import os
import threading
import weakref
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Self

from triage.engine.attempt import ATTEMPTS, Attempt
from triage.engine.observe import build_fields
from triage.errors import ConfigurationError, InboxError, LeaseLost, describe_location
from triage.io.fork import register_at_fork
from triage.io.ports import AsyncIO
from triage.models import Job
from triage.router import Router

logger = logging.getLogger(__name__)

_POLL = 1.0  # seconds between two polls of the inbox, for events that other processes stored or that became due


class Worker:
    """Processes the events of a Router's inbox in one thread with an event loop, for any web framework.

    Start it when the application starts. It wakes up at once when the Router of its process stores an event. In a
    process that was forked after `start`, it starts by itself when the first event is stored there. After a crash or a
    shutdown, the next worker resumes each interrupted event from its ledger.

    Args:
        router: A Router with an inbox.
        concurrency: How many events are processed at the same time.
        lease: Seconds without a heartbeat before another worker may take over an event.
        attempts: How often an event is tried before it is dead-lettered. The delays double up to five minutes, so
            twenty attempts take about an hour.

    Raises:
        ConfigurationError: The Router has no inbox, or a value is out of range.
    """

    def __init__(self, router: Router, *, concurrency: int = 32, lease: float = 60.0, attempts: int = ATTEMPTS) -> None:
        if router.inbox is None:
            raise ConfigurationError("Worker needs a Router with an inbox: Router(…, inbox=SQLiteInbox(path)).")
        if concurrency < 1 or lease <= 0 or attempts < 1:
            raise ConfigurationError(
                f"Worker: concurrency={concurrency}, lease={lease} and attempts={attempts} must be greater than 0."
            )
        self._router = router
        self._inbox = router.inbox
        self._concurrency = concurrency
        self._lease = lease
        self._attempts = attempts
        self._guard = threading.Lock()
        self._thread: _WorkerThread | None = None
        register_at_fork(self)
        router.on_stored(self._wake)

    def start(self) -> None:
        """Start working in a new thread, unless the worker is already running."""
        with self._guard:
            if self._thread is None or not self._thread.is_in_this_process():
                self._thread = _WorkerThread(self._work)
                _drain_at_exit(self)

    def drain(self, deadline: float = 30.0) -> bool:
        """Stop leasing events, and wait for those in progress.

        Args:
            deadline: Seconds to wait. Events that are still unfinished are interrupted, and another worker resumes
                them when their leases expire.

        Returns:
            True if all events in progress were finished.
        """
        with self._guard:
            thread, self._thread = self._thread, None
        return thread is None or not thread.is_in_this_process() or thread.stop(deadline)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.drain()

    @asynccontextmanager
    async def lifespan(self, app: Any = None) -> AsyncGenerator[None]:
        """Start and drain with an ASGI application: `FastAPI(lifespan=worker.lifespan)`.

        Args:
            app: The application, which is not used.
        """
        self.start()
        try:
            yield
        finally:
            await asyncio.to_thread(self.drain)

    def before_fork(self) -> None:
        """Prevent the worker from starting or draining while the process forks."""
        self._guard.acquire()

    def after_fork(self, *, child: bool) -> None:
        """Resume. The child process starts its own thread when it stores its first event.

        Args:
            child: True in the child process.
        """
        self._guard.release()

    def _wake(self, _key: str = "") -> None:
        thread = self._thread
        if thread is None:
            return  # not started, or drained
        if thread.is_in_this_process():
            thread.wake()
        else:  # pragma: no cover - runs in forked processes only, where coverage is not measured
            self.start()

    async def _work(self, woken: asyncio.Event, stopping: asyncio.Event) -> None:
        tasks: dict[asyncio.Task[None], Job] = {}
        heartbeat = asyncio.create_task(self._extend_leases(tasks))
        breaker, io = self._router.engine.vendor_breaker, AsyncIO()
        try:
            while not stopping.is_set():
                woken.clear()
                free = self._concurrency - len(tasks)
                # While the help desk must not be called, leave events in the inbox.
                jobs = await self._lease_jobs(free) if free and not await breaker.retry_after(io) else []
                for job in jobs:
                    task = asyncio.create_task(self._process(job, io))
                    tasks[task] = job
                    # A finished event makes room, and unblocks the next event of its conversation.
                    task.add_done_callback(tasks.pop)
                    task.add_done_callback(lambda _: woken.set())
                if not jobs:
                    with suppress(TimeoutError):
                        await asyncio.wait_for(woken.wait(), _POLL)
            if tasks:
                await asyncio.wait(list(tasks))
        finally:
            heartbeat.cancel()
            await self._router.aclose()

    async def _lease_jobs(self, limit: int) -> list[Job]:
        try:
            return list(await asyncio.to_thread(self._inbox.lease, limit, self._lease, self._router.name))
        except InboxError as err:
            logger.error("the worker cannot lease events: %s", str(err))  # noqa: TRY400 - a traceback would add nothing
            return []

    async def _extend_leases(self, tasks: dict[asyncio.Task[None], Job]) -> None:
        """Send heartbeats to the inbox for the events in progress."""
        while True:
            await asyncio.sleep(self._lease / 3)
            try:
                await asyncio.to_thread(self._inbox.extend, list(tasks.values()), self._lease)
            except InboxError as err:
                logger.error("the worker cannot extend its leases: %s", str(err))  # noqa: TRY400 - the same

    async def _process(self, job: Job, io: AsyncIO) -> None:
        try:
            await Attempt(self._router.engine, job, io, self._attempts).run()
        except LeaseLost as err:
            logger.warning("%s", str(err), extra=build_fields(job.event))  # another worker has taken over the event
        except InboxError as err:
            # A worker resumes it when its lease expires.
            logger.error("%s: %s", job.event.key, str(err), extra=build_fields(job.event))  # noqa: TRY400
        except Exception as err:  # noqa: BLE001 - a defect in this library or an adapter must not stop the worker
            location = describe_location(err)
            # Not `logger.exception`: its text may quote a customer.
            logger.error("%s: a defect: %s", job.event.key, location, extra=build_fields(job.event))  # noqa: TRY400


def _drain_at_exit(worker: Worker) -> None:
    """Drain a worker when the interpreter exits, as a server does on SIGTERM."""
    # `atexit` runs too late: by then the interpreter has closed its thread pools, and draining needs one. This hook
    # runs before they are closed. Where it is missing, the leases expire, and other workers resume the events.
    register: Callable[[Callable[[], object]], None] | None = getattr(threading, "_register_atexit", None)
    if register is not None:  # pragma: no branch
        reference = weakref.ref(worker)

        def drain() -> None:  # pragma: no cover - coverage is not measured while the interpreter exits
            existing = reference()
            if existing is not None:
                existing.drain()

        with suppress(RuntimeError):  # the interpreter is already exiting
            register(drain)


class _WorkerThread:
    """A thread with an event loop."""

    def __init__(self, work: Callable[[asyncio.Event, asyncio.Event], Any]) -> None:
        self._pid = os.getpid()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main(work)), name="triage-worker", daemon=True)
        self._thread.start()
        self._ready.wait()

    async def _main(self, work: Callable[[asyncio.Event, asyncio.Event], Any]) -> None:
        self._loop = asyncio.get_running_loop()
        self._woken, self._stopping = asyncio.Event(), asyncio.Event()
        self._task = asyncio.current_task()
        self._ready.set()
        with suppress(asyncio.CancelledError):
            await work(self._woken, self._stopping)

    def is_in_this_process(self) -> bool:
        """Return whether the thread belongs to this process. A forked process does not inherit it."""
        return self._pid == os.getpid()

    def wake(self) -> None:
        self._call(self._woken.set)

    def stop(self, deadline: float) -> bool:
        self._call(self._stopping.set)
        self._call(self._woken.set)
        self._thread.join(deadline)
        finished = not self._thread.is_alive()
        if not finished and self._task is not None:
            self._call(self._task.cancel)
            self._thread.join(1.0)
        return finished

    def _call(self, function: Callable[[], object]) -> None:
        with suppress(RuntimeError):  # the loop is already closed
            self._loop.call_soon_threadsafe(function)
