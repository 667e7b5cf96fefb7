"""Let the tasks of an event loop wait while the process has something more important to do."""

import asyncio
from collections import deque
from collections.abc import Callable


class Throttle:
    """Lets tasks pass one after the other while the process has something more important to do.

    Threads of a process share Python's interpreter, and those that compute keep the others waiting. A task that waits
    between two pieces of work leaves the interpreter to them.

    Args:
        get_pause: Returns the seconds between two tasks. With 0, the event loop looks for other events between them.
            None lets all tasks pass at once. It is called often, so it must be fast.
    """

    def __init__(self, get_pause: Callable[[], float | None]) -> None:
        self._get_pause = get_pause
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def wait(self) -> None:
        """Wait until it is the turn of this task, if there is a pause between two tasks."""
        pause = self._get_pause()
        if pause is None:
            return
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._waiting.append(future)
        if len(self._waiting) == 1:
            loop.call_later(pause, self._open)
        await future

    def _open(self) -> None:
        """Let the next task pass."""
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():  # the others were cancelled
                future.set_result(None)
                break
        if self._waiting:
            asyncio.get_running_loop().call_later(self._get_pause() or 0, self._open)
