"""Let the tasks of an event loop wait while the process has something more important to do."""

import asyncio
from collections import deque
from collections.abc import Callable

_STEP = 0.01  # seconds between two looks at whether the process is still busy


class Gate:
    """Holds tasks back while the process is busy, and lets one through from time to time so that they go on.

    Threads of a process share Python's interpreter, and those that compute keep the others waiting. A task that passes
    a gate between two pieces of work leaves the interpreter to them.

    Args:
        is_busy: Returns whether there is something more important to do. It is called often, so it must be fast.
        step: While the process is busy, seconds until the next task passes.
    """

    def __init__(self, is_busy: Callable[[], bool], step: float = _STEP) -> None:
        self._is_busy = is_busy
        self._step = step
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def wait(self) -> None:
        """Wait until the process is no longer busy, or until it is the turn of this task."""
        if not self._is_busy():
            return
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._waiting.append(future)
        if len(self._waiting) == 1:
            loop.call_later(self._step, self._open)
        await future

    def _open(self) -> None:
        while self._waiting:
            future = self._waiting.popleft()
            is_waiting = not future.done()  # the others were cancelled
            if is_waiting:
                future.set_result(None)
            if is_waiting and self._waiting and self._is_busy():
                asyncio.get_running_loop().call_later(self._step, self._open)
                return
