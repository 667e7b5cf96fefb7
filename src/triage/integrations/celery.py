"""Routes stored events in the workers of a Celery application. Needs the extra `celery`.

A message of the broker carries the event's key and nothing else: the row in the inbox is the truth. A message that is
lost is sent again by the sweeper, one that comes twice finds that the event is leased or done with.
"""

import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from triage.errors import ConfigurationError, TriageError, describe_location
from triage.io.fork import register_at_fork
from triage.router import ATTEMPTS, Router

try:
    from celery import Celery, Task
except ImportError as err:  # pragma: no cover - the tests have it
    raise ConfigurationError("triage.celery needs Celery: pip install 'chat-triage[celery]'.") from err

logger = logging.getLogger("triage")

_SWEPT = 1000  # events sent again at the most, each time


def bind(
    app: Celery, router: Router, *, name: str = "triage", sweep: float = 10.0, attempts: int = ATTEMPTS
) -> "Task[Any, Any]":
    """Let the workers of a Celery application route the events that a Router stores.

    Each event that is stored is sent at once, as the task `triage.process`. The task `triage.sweep`, sent by `celery
    beat` or `celery worker --beat`, sends again what nobody has begun: because its message was lost, the broker was
    down, an attempt failed, or an earlier message of its conversation had to be done with first. Without beat those
    events wait.

    Args:
        app: The application.
        router: One with an inbox that all workers reach: `PostgresInbox`, or `SQLiteInbox` on one machine.
        name: What the tasks' names begin with. Several Routers of one application need different ones.
        sweep: Seconds between two sweeps, and how long an event must have been due for one.
        attempts: How often an event is tried before it is parked.

    Returns:
        The task `triage.process`, for `task_routes` and the like.

    Raises:
        ConfigurationError: The Router has no inbox, the application has tasks of this name, or a number makes no sense.
    """
    inbox = router.inbox
    if inbox is None:
        raise ConfigurationError("This Router has no inbox: give it one, Router(..., inbox=PostgresInbox(url)).")
    if sweep <= 0 or attempts < 1:
        raise ConfigurationError(f"sweep={sweep} and attempts={attempts}: each is more than 0.")

    if f"{name}.process" in app.tasks:
        raise ConfigurationError(f"{app.main} has a task {name}.process already: bind(..., name=) gives another name.")

    # What became of an event stands in the inbox and in the log; a result backend would only keep it a third time.
    @app.task(name=f"{name}.process", ignore_result=True, shared=False)
    def process(key: str) -> None:
        try:
            router.process(key, attempts=attempts)
        except TriageError:
            raise
        except Exception as err:  # noqa: BLE001 - it is raised as another
            # Celery logs and keeps what is raised; a defect's own words may quote a customer.
            raise RuntimeError(f"{key}: a defect: {describe_location(err)}") from None

    @app.task(name=f"{name}.sweep", ignore_result=True, shared=False)
    def swept() -> None:
        for key in inbox.list_overdue(_SWEPT, sweep, router.vendor.name):
            process.delay(key)

    router.on_stored(_Sender(lambda key: process.apply_async((key,), retry=False), sweep))
    # One that nobody takes in time is as good as the next.
    app.add_periodic_task(sweep, swept.s(), name=f"{name}.sweep", expires=sweep)
    return process


class _Sender:
    """Sends in a thread of its own: a broker that is down takes seconds to say so, and the vendor must not wait.

    Args:
        send: Sends a key.
        quiet: For how many seconds nothing is sent after a failure; the sweeper sends it anyway.
    """

    def __init__(self, send: Callable[[str], object], quiet: float) -> None:
        self._send = send
        self._quiet = quiet
        self._silent_until = float("-inf")
        self._thread = ThreadPoolExecutor(1, "triage-celery")
        register_at_fork(self)

    def __call__(self, key: str) -> None:
        self._thread.submit(self._sent, key)

    def _sent(self, key: str) -> None:
        if time.monotonic() < self._silent_until:
            return
        try:
            self._send(key)
        except Exception as err:  # noqa: BLE001 - whatever a broker's client raises, the sweeper makes up for it
            self._silent_until = time.monotonic() + self._quiet
            logger.warning("%s and what follows is left to the sweeper: %s", key, type(err).__name__)

    def before_fork(self) -> None:
        """Nothing is waited for."""

    def after_fork(self, *, child: bool) -> None:
        """Begin with a new thread in the fork.

        Args:
            child: True in the fork.
        """
        if child:  # pragma: no cover - in forks alone, where nobody counts
            self._thread = ThreadPoolExecutor(1, "triage-celery")
