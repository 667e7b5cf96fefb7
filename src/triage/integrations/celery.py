"""Process stored events in the workers of a Celery application. Needs the extra `celery`.

A broker message carries only an event's key, and the inbox is the source of truth. The sweeper sends a lost message
again. A duplicate message does nothing, because the event is already leased or finished.
"""

import atexit
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from triage.engine.attempt import ATTEMPTS
from triage.errors import ConfigurationError, TriageError, describe_location
from triage.inbox.base import Inbox
from triage.io.fork import register_at_fork
from triage.log import get_logger
from triage.router import Router

try:
    from celery import Celery, Task
except ImportError as err:  # pragma: no cover - the tests have it
    raise ConfigurationError("triage.integrations.celery needs Celery: pip install 'chat-triage[celery]'.") from err

logger = get_logger(__name__)

_SWEEP_LIMIT = 1000  # events that one sweep sends again
_MOST_WAITING = 10_000  # keys that wait to be sent
_LONGEST_FLUSH = 3.0  # seconds that an exiting process waits for the broker


def bind(
    app: Celery, router: Router, *, name: str = "triage", sweep: float = 10.0, attempts: int = ATTEMPTS
) -> "Task[Any, Any]":
    """Let the workers of a Celery application process the events that a Router stores.

    Each stored event is sent at once, as the task `triage.process`. The task `triage.sweep`, sent by `celery beat` or
    `celery worker --beat`, re-enqueues overdue events: those whose message was lost or could not be sent, whose
    attempt failed, or that had to wait for an earlier event of their conversation. Without beat they keep waiting.

    Args:
        app: The Celery application.
        router: A Router with an inbox that all workers reach: `PostgresInbox`, or `SQLiteInbox` on one machine.
        name: The prefix of the tasks' names. Several Routers in one application need different ones.
        sweep: Seconds between two sweeps, and how long an event must be overdue to be sent again.
        attempts: How often an event is tried before it is dead-lettered.

    Returns:
        The task `triage.process`, for `task_routes` and the like.

    Raises:
        ConfigurationError: The Router has no inbox, its client, its classifier or one of its functions is async only,
            the application already has tasks of this name, or a value is out of range.
    """
    inbox = _check_arguments(app, router, name, sweep, attempts)

    # Ignore the result: the outcome is already in the inbox and in the log.
    @app.task(name=f"{name}.process", ignore_result=True, shared=False)
    def process(key: str) -> None:
        try:
            router.process(key, attempts=attempts)
        except TriageError:
            raise
        except Exception as err:  # noqa: BLE001 - it is replaced by an error without customer text
            # Celery logs and stores the exception, whose own text may quote a customer.
            raise RuntimeError(f"{key}: a defect: {describe_location(err)}") from None

    @app.task(name=f"{name}.sweep", ignore_result=True, shared=False)
    def re_enqueue() -> None:
        inbox.record_heartbeat(router.name)
        for key in inbox.list_overdue(_SWEEP_LIMIT, sweep, router.name):
            process.delay(key)

    router.on_stored(_Sender(lambda key: process.apply_async((key,), countdown=router.debounce, retry=False), sweep))
    # Let a sweep that no worker picks up expire, because the next one replaces it.
    app.add_periodic_task(sweep, re_enqueue.s(), name=f"{name}.sweep", expires=sweep)
    return process


def _check_arguments(app: Celery, router: Router, name: str, sweep: float, attempts: int) -> Inbox:
    """Return the Router's inbox, or raise `ConfigurationError`."""
    if router.inbox is None:
        raise ConfigurationError("bind() needs a Router with an inbox: Router(…, inbox=PostgresInbox(url)).")
    async_only = router.engine.find_async_only()
    if async_only is not None:
        raise ConfigurationError(f"bind() needs sync code, because Celery is sync, and {async_only} is async only.")
    if sweep <= 0 or attempts < 1:
        raise ConfigurationError(f"bind(): sweep={sweep} and attempts={attempts} must be greater than 0.")
    if f"{name}.process" in app.tasks:
        raise ConfigurationError(f"{app.main} already has a task {name}.process. Pass another name: bind(…, name=…).")
    return router.inbox


class _Sender:
    """Sends keys in a separate thread: a broker that is down takes seconds to fail, and webhooks must not wait.

    The thread is a daemon, and the number of keys that wait for it is bounded. So a broker that hangs can neither keep
    the process from exiting nor fill its memory. The sweeper sends what was not sent.

    Args:
        send: Sends a key.
        quiet: Seconds to stop sending after a failure. The sweeper sends the keys of that time.
    """

    def __init__(self, send: Callable[[str], object], quiet: float) -> None:
        self._send = send
        self._quiet = quiet
        self._start_anew()
        register_at_fork(self)
        atexit.register(self.finish)

    def _start_anew(self) -> None:
        self._quiet_until = float("-inf")
        self._keys: queue.Queue[str | None] = queue.Queue(_MOST_WAITING)
        self._guard = threading.Lock()
        self._thread: threading.Thread | None = None

    def __call__(self, key: str) -> None:
        with self._guard:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="triage-celery", daemon=True)
                self._thread.start()
        try:
            self._keys.put_nowait(key)
        except queue.Full:
            self._pause(key, "the broker does not respond")

    def finish(self) -> None:
        """Wait a moment for the keys that are being sent. The interpreter calls it when it exits."""
        if self._thread is not None:
            with suppress(queue.Full):
                self._keys.put_nowait(None)
                self._thread.join(_LONGEST_FLUSH)

    def _run(self) -> None:
        while (key := self._keys.get()) is not None:
            if time.monotonic() >= self._quiet_until:
                try:
                    self._send(key)
                except Exception as err:  # noqa: BLE001 - whatever it is, the sweeper sends the key again
                    self._pause(key, type(err).__name__)

    def _pause(self, key: str, reason: str) -> None:
        if time.monotonic() >= self._quiet_until:
            logger.warning("this event and those after it are left to the sweeper: %s", reason, extra={"key": key})
        self._quiet_until = time.monotonic() + self._quiet

    def before_fork(self) -> None:
        """Do nothing: the child process gets its own queue, lock and thread."""

    def after_fork(self, *, child: bool) -> None:
        """Use a new thread in the child process.

        Args:
            child: True in the child process.
        """
        if child:  # pragma: no cover - runs in forked processes only, where coverage is not measured
            self._start_anew()
