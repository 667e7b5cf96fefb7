"""The Worker: leases events from an inbox and routes them, inside the web application or in a separate process."""

import asyncio
import os
import threading
import time
import weakref
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from typing import Any, Self

from triage.engine.arrivals import get_pause
from triage.engine.attempt import ATTEMPTS, Attempt
from triage.engine.concurrency import Concurrency
from triage.engine.observe import build_fields
from triage.engine.storage import call_inbox, create_together
from triage.errors import ConfigurationError, InboxError, LeaseLost, describe_location
from triage.inbox.base import Inbox
from triage.io.fork import register_at_fork, will_fork_without_hooks
from triage.io.loops import require_asyncio, run_in_thread
from triage.io.overload import listen_for_overload
from triage.io.ports import AsyncIO, SyncIO, run
from triage.io.throttle import Throttle
from triage.log import bind_fields, get_logger
from triage.models import Job, WorkerHealth
from triage.router import Router

logger = get_logger(__name__)

HEARTBEAT = 20.0
"""Seconds between two heartbeats of a worker, at most."""

_POLL = 1.0  # seconds between two polls of the inbox, for events that other processes stored or that became due
_TIMER = 0.01  # seconds after which a timer shows how late the event loop is
_LONGEST_SILENCE = 300.0  # seconds; none of our code blocks an event loop for as long, so it never returns
_SPARE_THREADS = 4  # for the inbox, while every event occupies a thread

# All errors that a task may raise. The last two would end the event loop.
_ERRORS = (Exception, SystemExit, KeyboardInterrupt)


class Worker:
    """Processes the events of a Router's inbox in one thread with an event loop, for any web framework.

    Start it when the application starts. It wakes up at once when the Router of its process stores an event. In a
    process that was forked after `start`, it starts by itself when the first event is stored there. After a crash or a
    shutdown, the next worker resumes each interrupted event from its ledger. An unexpected error is logged, and does
    not stop the worker.

    Args:
        router: A Router with an inbox.
        concurrency: How many events are processed at the same time. None adapts the number to what the help desk and
            the classifier allow: it begins with 32, rises to at most 256 while events wait, and is halved when one of
            them is overloaded. Sync classifiers and functions get as many threads.
        lease: Seconds without a heartbeat before another worker may take over an event.
        attempts: How often an event is tried before it is dead-lettered. The delays double up to five minutes, so
            twenty attempts take about an hour.

    Raises:
        ConfigurationError: The Router has no inbox, or a value is out of range.
    """

    def __init__(
        self, router: Router, *, concurrency: int | None = None, lease: float = 60.0, attempts: int = ATTEMPTS
    ) -> None:
        if router.inbox is None:
            raise ConfigurationError("Worker needs a Router with an inbox: Router(…, inbox=SQLiteInbox(path)).")
        if (concurrency is not None and concurrency < 1) or lease <= 0 or attempts < 1:
            raise ConfigurationError(
                f"Worker: concurrency={concurrency}, lease={lease} and attempts={attempts} must be greater than 0."
            )
        self._router = router
        self._inbox = router.inbox
        self._concurrency = Concurrency(concurrency, time.monotonic)
        self._lease = lease
        self._attempts = attempts
        self._guard = threading.Lock()
        self._thread: _WorkerThread | None = None
        self._tasks: dict[asyncio.Task[None], Attempt] = {}
        self._polled_at: float | None = None
        self._errors = 0
        self._last_error: str | None = None
        self._should_warn = True
        self._starts_later = False
        register_at_fork(self)
        router.on_stored(self._wake, blocks=False)

    @property
    def alive(self) -> bool:
        """True if the worker is running in this process."""
        thread = self._thread
        return thread is not None and thread.is_alive()

    @property
    def errors(self) -> int:
        """The number of unexpected errors that the worker has survived."""
        return self._errors

    def health(self) -> WorkerHealth:
        """Return the state of the worker and of its events, for health checks and metrics.

        It reads the inbox and may have to wait for it. In async code, call `await asyncio.to_thread(worker.health)`.
        """
        engine, owner = self._router.engine, self._router.name
        oldest_due: float | None = None
        dead: int | None = None
        inbox_error: str | None = None
        try:
            oldest_due, dead = self._inbox.get_lag(owner), self._inbox.count_states(owner)["dead"]
        except InboxError as err:
            inbox_error = str(err)
        breakers = (engine.vendor_breaker, engine.classifier_breaker)
        return WorkerHealth(
            alive=self.alive,
            heartbeat_age=None if self._polled_at is None else time.monotonic() - self._polled_at,
            in_progress=len(self._tasks),
            concurrency=self._concurrency.limit,
            errors=self._errors,
            last_error=self._last_error,
            oldest_due=oldest_due,
            dead=dead,
            inbox_error=inbox_error,
            breakers={breaker.name: run(breaker.describe(SyncIO())) for breaker in breakers},
        )

    def start(self) -> None:
        """Start working in a new thread, unless the worker is already running."""
        self._starts_later = will_fork_without_hooks()
        if self._starts_later:
            logger.warning(
                "uWSGI forks without Python's fork hooks, so the worker starts in each process when the first event is "
                "stored there. Set the option py-call-uwsgi-fork-hooks = true or lazy-apps = true."
            )
            return
        with self._guard:
            self._should_warn = False
            if self._thread is None or not self._thread.is_alive():
                self._thread = _WorkerThread(self._work, self._concurrency.most + _SPARE_THREADS, self._record_error)
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
            self._starts_later = False
        return thread is None or not thread.is_alive() or thread.stop(deadline)

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

        Raises:
            RuntimeError: The server does not use asyncio.
        """
        require_asyncio()
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
        if thread is None:  # not started, or drained
            if self._starts_later:
                self.start()
            elif self._should_warn:
                self._should_warn = False
                logger.warning(
                    "%s: an event was stored, but the Worker that was created in this process was never started. Call "
                    "worker.start(); a web framework does not run the lifespan of a mounted application.",
                    self._router.name,
                )
        elif thread.is_alive():
            thread.wake()
        else:  # pragma: no cover - runs in forked processes only, where coverage is not measured
            self.start()

    def _record_error(self, error: BaseException) -> None:
        self._errors += 1
        self._last_error = describe_location(error)
        logger.error("the worker continues after an unexpected error: %s", self._last_error)

    async def _work(self, woken: asyncio.Event, stopping: threading.Event) -> None:
        tasks = self._tasks = {}
        loop = asyncio.get_running_loop()
        async with AsyncExitStack() as stack:
            # Nobody else can close the connections of the user's classifier on this event loop.
            stack.push_async_callback(self._router.classifier.leave_loop)
            stack.push_async_callback(self._router.aclose)
            # A help desk waits for its acknowledgment, and nobody for the worker.
            io = AsyncIO(create_together(self._inbox), Throttle(get_pause))
            heartbeat = _Heartbeat(self._inbox, self._router.name, tasks, self._lease)
            stack.callback(heartbeat.stop)
            stack.callback(_cancel_all, tasks)
            while not stopping.is_set():
                woken.clear()
                loop.call_later(_TIMER, self._concurrency.record_lag, time.monotonic() + _TIMER)
                if not await self._start_due_events(woken, io):
                    with suppress(TimeoutError):
                        await asyncio.wait_for(woken.wait(), _POLL)
            if tasks:
                await asyncio.wait(list(tasks))

    async def _start_due_events(self, woken: asyncio.Event, io: AsyncIO) -> bool:
        """Lease events and begin to process them; return whether there were any. An error never stops the worker."""
        breaker, attempts = self._router.engine.vendor_breaker, self._tasks.values()
        free = self._concurrency.count_free(len(attempts), sum(attempt.characters for attempt in attempts))
        jobs: list[Job] = []
        try:
            # While the help desk must not be called, leave events in the inbox.
            if free and not await breaker.retry_after(io):
                # An event that may have killed its worker is processed next to new ones, but to no other of its kind.
                is_free = not any(attempt.job.interrupted for attempt in attempts)
                options = {} if is_free else {"interrupted": False}
                lease = partial(self._inbox.lease, free, self._lease, self._router.name, **options)
                jobs += await call_inbox(self._inbox, io, lease)
                self._concurrency.record_lease(free, len(jobs))
        except InboxError as err:
            logger.error("the worker cannot lease events: %s", str(err))  # noqa: TRY400 - a traceback would add nothing
            return False
        except _ERRORS as err:  # no thread can be started, no memory is left, a defect in an inbox
            self._record_error(err)
            return False
        self._polled_at = time.monotonic()
        for job in jobs:
            attempt = Attempt(self._router.engine, job, io, self._attempts)
            task = asyncio.create_task(self._process(attempt))
            self._tasks[task] = attempt
            # A finished event makes room, and unblocks the next event of its conversation.
            task.add_done_callback(self._tasks.pop)
            task.add_done_callback(lambda _: woken.set())
        return bool(jobs)

    async def _process(self, attempt: Attempt) -> None:
        limit, started = self._concurrency, time.monotonic()
        with (
            bind_fields(partial(build_fields, attempt.event)),
            listen_for_overload(lambda: limit.record_overload(started)),
        ):
            try:
                outcome = await attempt.run()
                if outcome.status != "failed":
                    limit.record_success(started)
            except LeaseLost as err:
                logger.warning("%s", str(err))  # another worker has taken over the event
            except InboxError as err:
                logger.error("%s", str(err))  # noqa: TRY400 - a worker resumes it when its lease expires
            except _ERRORS as err:  # a defect, or a classifier that calls sys.exit(), must not stop the worker
                # Not `logger.exception`: its text may quote a customer.
                logger.error("a defect: %s", describe_location(err))  # noqa: TRY400


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


def _cancel_all(tasks: Iterable[asyncio.Task[None]]) -> None:
    for task in list(tasks):
        task.cancel()


class _Heartbeat:
    """Shows the inbox that the worker and its events are alive, in a separate thread that never waits for work.

    Args:
        inbox: The inbox.
        owner: The name of the worker's Router.
        tasks: The attempts in progress. The event loop changes it.
        lease: Seconds until a lease expires.
    """

    def __init__(self, inbox: Inbox, owner: str, tasks: Mapping[asyncio.Task[None], Attempt], lease: float) -> None:
        self._inbox = inbox
        self._owner = owner
        self._tasks = tasks
        self._lease = lease
        self._loop = asyncio.get_running_loop()
        self._answered_at = time.monotonic()
        self._stopping = threading.Event()
        threading.Thread(target=self._run, name="triage-heartbeat", daemon=True).start()

    def stop(self) -> None:
        self._stopping.set()

    def _run(self) -> None:
        interval = min(self._lease / 3, HEARTBEAT)
        succeeded = self._beat()
        while not self._stopping.wait(interval if succeeded else min(interval, _POLL)):
            with suppress(RuntimeError):  # the loop is already closed
                self._loop.call_soon_threadsafe(self._answer)
            silence = time.monotonic() - self._answered_at
            if silence > max(_LONGEST_SILENCE, self._lease):
                logger.error(
                    "the event loop of the worker has been blocked for %.0f s, so its leases are no longer extended. "
                    "An async classifier or function must not block.",
                    silence,
                )
            else:
                succeeded = self._beat()

    def _beat(self) -> bool:
        """Write to the inbox; return whether that succeeded."""
        try:
            attempts = list(self._tasks.values())  # `list` copies at once
            self._inbox.extend([attempt.job for attempt in attempts], self._lease)
            self._inbox.record_heartbeat(self._owner)
        except InboxError as err:
            logger.error("the worker cannot extend its leases: %s", str(err))  # noqa: TRY400 - a traceback adds nothing
        except Exception as err:  # noqa: BLE001 - the next heartbeat may succeed
            logger.error("the worker cannot extend its leases: %s", describe_location(err))  # noqa: TRY400
        else:
            return True
        return False

    def _answer(self) -> None:
        self._answered_at = time.monotonic()


class _WorkerThread:
    """A thread with an event loop.

    Args:
        work: Does the work until the second of its events is set.
        threads: The maximum number of threads for blocking calls.
        record_error: Called with an error that ended the event loop, before the next one starts.
    """

    def __init__(
        self,
        work: Callable[[asyncio.Event, threading.Event], Coroutine[Any, Any, None]],
        threads: int,
        record_error: Callable[[BaseException], None],
    ) -> None:
        self._pid = os.getpid()
        self._work = work
        self._threads = threads
        self._record_error = record_error
        self._ready = threading.Event()
        self._stopping = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[Any] | None = None
        self._woken = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="triage-worker", daemon=True)
        self._thread.start()
        self._ready.wait()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                run_in_thread(self._main())
            except BaseException as err:  # noqa: BLE001 - no file descriptor is left for a loop, or no thread
                self._record_error(err)
                self._ready.set()
                self._stopping.wait(_POLL)

    async def _main(self) -> None:
        loop = asyncio.get_running_loop()
        # asyncio's own pool has a thread for each processor and four more, which a slow classifier soon uses up.
        loop.set_default_executor(ThreadPoolExecutor(self._threads, "triage-worker"))
        self._woken = asyncio.Event()
        self._task = asyncio.current_task()
        self._loop = loop
        self._ready.set()
        with suppress(asyncio.CancelledError):
            await self._work(self._woken, self._stopping)

    def is_alive(self) -> bool:
        """Return whether the thread is running. A forked process does not inherit it."""
        return self._pid == os.getpid() and self._thread.is_alive()

    def wake(self) -> None:
        # Once is enough for many deliveries. The worker leases events after it has cleared this, so it finds them all.
        if not self._woken.is_set():
            self._call(self._woken.set)

    def stop(self, deadline: float) -> bool:
        self._stopping.set()
        self._call(self._woken.set)
        self._thread.join(deadline)
        finished = not self._thread.is_alive()
        if not finished and self._task is not None:
            self._call(self._task.cancel)
            self._thread.join(1.0)
        return finished

    def _call(self, function: Callable[[], object]) -> None:
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # the loop is already closed
                loop.call_soon_threadsafe(function)
