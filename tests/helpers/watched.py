"""An inbox that signals when events are settled, so that tests need not sleep, and a way to wait for a fork."""

import os
import signal
import threading
from typing import Any

from triage.inbox import SQLiteInbox
from triage.models import Job


class WatchedInbox(SQLiteInbox):
    """An inbox in which a test can wait for events to be settled."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.settled = threading.Semaphore(0)
        super().__init__(*args, **kwargs)

    def finish(self, job: Job, *args: Any) -> None:
        super().finish(job, *args)
        self.settled.release()

    def retry(self, job: Job, *args: Any) -> None:
        super().retry(job, *args)
        self.settled.release()

    def dead_letter(self, job: Job, *args: Any) -> None:
        super().dead_letter(job, *args)
        self.settled.release()

    def wait(self, events: int = 1) -> None:
        """Wait until that many events were finished, retried or dead-lettered."""
        for _ in range(events):
            assert self.settled.acquire(timeout=20), "the worker settled no event for 20 seconds"


def exit_code(child: int, seconds: float = 60) -> int:
    """Wait for a forked process and return its exit code; kill it if it hangs."""
    watchdog = threading.Timer(seconds, os.kill, (child, signal.SIGKILL))
    watchdog.start()
    try:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    finally:
        watchdog.cancel()
        watchdog.join()
