"""A thread that makes the blocking calls of an event loop, all that wait at the same time together."""

import asyncio
import contextvars
import queue  # not its class, which gevent may replace later
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, TypeAlias, TypeVar

from typing_extensions import TypeVarTuple, Unpack

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

RunTogether: TypeAlias = Callable[[Sequence[Callable[[], None]]], None]
"""Runs functions, which keep their errors. It may run them again, and then the last results count."""


class _Call:
    """A call, and the future of the task that waits for it."""

    __slots__ = ("_error", "_failure", "_function", "_future", "_result")

    def __init__(self, function: Callable[[], Any], future: "asyncio.Future[Any]") -> None:
        self._function = function
        self._future = future
        self._result: Any = None
        self._error: Exception | None = None
        self._failure: BaseException | None = None

    def __call__(self) -> None:
        self._error = None
        try:
            self._result = self._function()
        except Exception as err:  # noqa: BLE001 - it is raised in the task that waits
            self._error = err

    def fail(self, failure: BaseException) -> None:
        """Make the task fail, whatever the function returned: it is unknown whether that is stored."""
        self._failure = failure

    def settle(self) -> None:
        """Wake the task, unless it was cancelled meanwhile. The call was made nevertheless."""
        error = self._failure or self._error
        if self._future.done():
            return
        if error is None:
            self._future.set_result(self._result)
        else:
            self._future.set_exception(error)


class CallThread:
    """Makes calls for the running event loop in one thread.

    The loop hands over all calls of one pass at once, and is woken once for all results. Calls that arrive while the
    thread is busy wait, and are then made together.

    Args:
        run_together: Runs all calls that wait, such as in one transaction. If it raises, so does each of the calls.
    """

    def __init__(self, run_together: RunTogether) -> None:
        self._run_together = run_together
        self._loop = asyncio.get_running_loop()
        self._collected: list[_Call] = []
        self._waiting: queue.SimpleQueue[list[_Call]] = queue.SimpleQueue()
        self._stopped = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="triage-inbox", daemon=True)
        self._thread.start()

    async def call(self, function: Callable[[Unpack[Ts]], T], *args: *Ts) -> T:
        """Make a call in the thread. If the task is cancelled, the call is made nevertheless.

        Args:
            function: The function, called in a copy of the current context.
            args: Its arguments.
        """
        future: asyncio.Future[T] = self._loop.create_future()
        if not self._collected:
            self._loop.call_soon(self._hand_over)
        self._collected.append(_Call(partial(contextvars.copy_context().run, function, *args), future))
        return await future

    async def aclose(self) -> None:
        """Wait until all calls were made, and end the thread."""
        self._hand_over()
        self._waiting.put([])
        await self._stopped.wait()

    def _hand_over(self) -> None:
        if self._collected:
            self._waiting.put(self._collected)
            self._collected = []

    def _run(self) -> None:
        while calls := self._take_all():
            try:
                self._run_together(calls)
            except BaseException as err:  # noqa: BLE001 - it is raised in the tasks that wait
                for call in calls:
                    call.fail(err)
            with suppress(RuntimeError):  # the loop is already closed
                self._loop.call_soon_threadsafe(self._settle, calls)
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._stopped.set)

    def _take_all(self) -> list[_Call]:
        """Wait for calls and return all that wait; none if the thread should end."""
        calls = self._waiting.get()
        # `aclose` puts the empty list last, so nothing is left behind it.
        while calls and not self._waiting.empty():
            if not (more := self._waiting.get()):
                self._waiting.put(more)
                break
            calls += more
        return calls

    def _settle(self, calls: Sequence[_Call]) -> None:
        for call in calls:
            call.settle()
