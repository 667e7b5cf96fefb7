"""The Worker: takes events out of an inbox and routes them, beside the web application or in a process of its own."""

import asyncio
import logging
import os
import threading
import weakref
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Self

from triage.errors import ConfigurationError, InboxError, LeaseLost, describe_location
from triage.io.fork import register_at_fork
from triage.models import Job
from triage.router import ATTEMPTS, Router

logger = logging.getLogger("triage")

_POLL = 1.0  # seconds; how soon what another process stored, or what waits for its time, is seen


class Worker:
    """Routes the events of a Router's inbox: one thread with an event loop, for any web framework.

    Start it where the application starts. It wakes at once when the Router of its process stores an event. In a process
    that was forked after `start`, it starts itself with the first event that is stored there. What a crash or a
    shutdown interrupts is taken up from its ledger, by whichever worker comes first.

    Args:
        router: One with an inbox.
        concurrency: How many events are worked on at the same time.
        lease: Seconds after which another worker may take over an event whose worker went silent.
        attempts: How often an event is tried before it is parked for a human. The pauses double up to five minutes, so
            twenty take about an hour.

    Raises:
        ConfigurationError: The Router has no inbox, or a number makes no sense.
    """

    def __init__(self, router: Router, *, concurrency: int = 32, lease: float = 60.0, attempts: int = ATTEMPTS) -> None:
        if router.inbox is None:
            raise ConfigurationError("This Router has no inbox: give it one, Router(..., inbox=SQLiteInbox(path)).")
        if concurrency < 1 or lease <= 0 or attempts < 1:
            raise ConfigurationError(
                f"concurrency={concurrency}, lease={lease} and attempts={attempts}: each is more than 0."
            )
        self._router = router
        self._inbox = router.inbox
        self._concurrency = concurrency
        self._lease = lease
        self._attempts = attempts
        self._guard = threading.Lock()
        self._running: _Running | None = None
        register_at_fork(self)
        router.on_stored(self._wake)

    def start(self) -> None:
        """Begin to work, in a thread of its own. Does nothing if it works already."""
        with self._guard:
            if self._running is None or not self._running.here():
                self._running = _Running(self._work)
                _at_exit(self)

    def drain(self, deadline: float = 30.0) -> bool:
        """Take no more events, and wait for those that are being worked on.

        Args:
            deadline: Seconds to wait at the most. What is not done by then is interrupted; it is taken up when its
                lease has run out.

        Returns:
            True if all of them were done.
        """
        with self._guard:
            running, self._running = self._running, None
        return running is None or not running.here() or running.stop(deadline)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.drain()

    @asynccontextmanager
    async def lifespan(self, app: Any = None) -> AsyncGenerator[None]:
        """The same as a lifespan of an ASGI application: `FastAPI(lifespan=worker.lifespan)`.

        Args:
            app: The application; not needed.
        """
        self.start()
        try:
            yield
        finally:
            await asyncio.to_thread(self.drain)

    def before_fork(self) -> None:
        """Neither start nor drain while the process forks."""
        self._guard.acquire()

    def after_fork(self, *, child: bool) -> None:
        """Go on. The fork has no thread of ours until its first event.

        Args:
            child: True in the fork.
        """
        self._guard.release()

    def _wake(self, _key: str = "") -> None:
        running = self._running
        if running is None:
            return  # not started, or drained
        if running.here():
            running.wake()
        else:  # pragma: no cover - in forks alone, where nobody counts
            self.start()  # we are a fork, and the thread is not

    async def _work(self, woken: asyncio.Event, stopping: asyncio.Event) -> None:
        tasks: dict[asyncio.Task[None], Job] = {}
        heart = asyncio.create_task(self._beat(tasks))
        try:
            while not stopping.is_set():
                woken.clear()
                free = self._concurrency - len(tasks)
                # While the help desk is left alone, events are better off in the inbox than in our hands.
                rests = await self._router.resting() > 0
                jobs = await self._leased(free) if free and not rests else []
                for job in jobs:
                    task = asyncio.create_task(self._do(job))
                    tasks[task] = job
                    # What is done makes room, and lets the next event of its conversation go on.
                    task.add_done_callback(tasks.pop)
                    task.add_done_callback(lambda _: woken.set())
                if not jobs:
                    with suppress(TimeoutError):
                        await asyncio.wait_for(woken.wait(), _POLL)
            if tasks:
                await asyncio.wait(list(tasks))
        finally:
            heart.cancel()
            await self._router.aclose()

    async def _leased(self, limit: int) -> list[Job]:
        try:
            return list(await asyncio.to_thread(self._inbox.lease, limit, self._lease, self._router.vendor.name))
        except InboxError as err:
            logger.error("the worker cannot lease: %s", err)  # noqa: TRY400 - the message says it all
            return []

    async def _beat(self, tasks: dict[asyncio.Task[None], Job]) -> None:
        """Tell the inbox that we are alive."""
        while True:
            await asyncio.sleep(self._lease / 3)
            try:
                await asyncio.to_thread(self._inbox.extend, list(tasks.values()), self._lease)
            except InboxError as err:
                logger.error("the worker cannot extend its leases: %s", err)  # noqa: TRY400 - the same

    async def _do(self, job: Job) -> None:
        try:
            await self._router.work(job, attempts=self._attempts)
        except LeaseLost as err:
            logger.warning("%s", err)  # another worker goes on with it
        except InboxError as err:
            logger.error("%s: %s", job.event.key, err)  # noqa: TRY400 - its lease runs out, and it is taken up then
        except Exception as err:  # noqa: BLE001 - a defect, ours or of an adapter, which must not end the worker
            logger.error("%s: a defect: %s", job.event.key, describe_location(err))  # noqa: TRY400 - its words may quote a customer


def _at_exit(worker: Worker) -> None:
    """Drain a worker when the interpreter ends, as a server does on SIGTERM."""
    # Not by `atexit`: that comes after the interpreter has closed the thread pools, and draining needs one. This is
    # what they themselves are closed by. Where it is missing, the leases run out, and the events are taken up then.
    register: Callable[[Callable[[], object]], None] | None = getattr(threading, "_register_atexit", None)
    if register is not None:  # pragma: no branch
        reference = weakref.ref(worker)

        def drained() -> None:  # pragma: no cover - when the interpreter ends, nobody counts any more
            alive = reference()
            if alive is not None:
                alive.drain()

        with suppress(RuntimeError):  # it is ending already
            register(drained)


class _Running:
    """A thread with an event loop, of one process."""

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

    def here(self) -> bool:
        """True if the thread is one of this process: a fork has none."""
        return self._pid == os.getpid()

    def wake(self) -> None:
        self._call(self._woken.set)

    def stop(self, deadline: float) -> bool:
        self._call(self._stopping.set)
        self._call(self._woken.set)
        self._thread.join(deadline)
        done = not self._thread.is_alive()
        if not done and self._task is not None:
            self._call(self._task.cancel)
            self._thread.join(1.0)
        return done

    def _call(self, function: Callable[[], object]) -> None:
        with suppress(RuntimeError):  # the loop is closed already
            self._loop.call_soon_threadsafe(function)
