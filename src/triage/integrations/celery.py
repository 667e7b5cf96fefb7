"""Process stored events in the workers of a Celery application. Needs the extra `celery`.

A broker message carries only an event's key, and the inbox is the source of truth. The sweeper sends a lost message
again. A duplicate message does nothing, because the event is already leased or finished.
"""

import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from triage.engine.attempt import ATTEMPTS
from triage.errors import ConfigurationError, TriageError, describe_location
from triage.io.fork import register_at_fork
from triage.router import Router

try:
    from celery import Celery, Task
except ImportError as err:  # pragma: no cover - the tests have it
    raise ConfigurationError("triage.integrations.celery needs Celery: pip install 'chat-triage[celery]'.") from err

logger = logging.getLogger(__name__)

_SWEEP_LIMIT = 1000  # events that one sweep sends again


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
        ConfigurationError: The Router has no inbox or only an `async_http`, the application already has tasks of this
            name, or a value is out of range.
    """
    inbox = router.inbox
    if inbox is None:
        raise ConfigurationError("bind() needs a Router with an inbox: Router(…, inbox=PostgresInbox(url)).")
    if router.engine.clients.is_async_only:
        raise ConfigurationError("bind() needs a client for sync code, because Celery is sync: Router(…, http=…).")
    if sweep <= 0 or attempts < 1:
        raise ConfigurationError(f"bind(): sweep={sweep} and attempts={attempts} must be greater than 0.")
    if f"{name}.process" in app.tasks:
        raise ConfigurationError(f"{app.main} already has a task {name}.process. Pass another name: bind(…, name=…).")

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


class _Sender:
    """Sends keys in a separate thread: a broker that is down takes seconds to fail, and webhooks must not wait.

    Args:
        send: Sends a key.
        quiet: Seconds to stop sending after a failure. The sweeper sends the keys of that time.
    """

    def __init__(self, send: Callable[[str], object], quiet: float) -> None:
        self._send = send
        self._quiet = quiet
        self._quiet_until = float("-inf")
        self._executor = ThreadPoolExecutor(1, "triage-celery")
        register_at_fork(self)

    def __call__(self, key: str) -> None:
        self._executor.submit(self._send_quietly, key)

    def _send_quietly(self, key: str) -> None:
        if time.monotonic() < self._quiet_until:
            return
        try:
            self._send(key)
        except Exception as err:  # noqa: BLE001 - whatever the broker's client raises, the sweeper sends the key again
            self._quiet_until = time.monotonic() + self._quiet
            logger.warning("%s and the events after it are left to the sweeper: %s", key, type(err).__name__)

    def before_fork(self) -> None:
        """Do nothing: no resource of the executor is held."""

    def after_fork(self, *, child: bool) -> None:
        """Use a new thread in the child process.

        Args:
            child: True in the child process.
        """
        if child:  # pragma: no cover - runs in forked processes only, where coverage is not measured
            self._executor = ThreadPoolExecutor(1, "triage-celery")
