"""Make the blocking calls of an event loop in threads, those that wait at the same time together."""

import asyncio
import contextvars
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias, TypeVar, cast

from typing_extensions import TypeVarTuple, Unpack

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

RunTogether: TypeAlias = Callable[[Sequence[Callable[[], None]]], None]
"""Runs functions, which keep their errors. It may run them again, and then the last results count."""


class _Call:
    """A call, and the future of the task that waits for it."""

    __slots__ = ("_error", "_function", "_future", "_result")

    def __init__(self, function: Callable[[], Any], future: "asyncio.Future[Any]") -> None:
        self._function = function
        self._future = future
        self._result: Any = None
        self._error: Exception | None = None

    def __call__(self) -> None:
        self._error = None
        try:
            self._result = self._function()
        except Exception as err:  # noqa: BLE001 - it is raised in the task that waits
            self._error = err

    def settle(self, failure: BaseException | None) -> None:
        """Wake the task, unless it was cancelled meanwhile. The call was made nevertheless.

        Args:
            failure: Why it is unknown whether the result counts, or None.
        """
        error = failure or self._error
        if self._future.done():
            return
        if error is not None:
            self._future.set_exception(error)
        else:
            self._future.set_result(self._result)


class Together:
    """Makes calls for one event loop in batches. Calls that arrive during a batch form the next one.

    So there is one thread, one wake-up of the loop and, in a database, one transaction for all calls of a batch. There
    is nothing to close: threads of the loop's default executor make the calls, and only as long as there are any.

    Args:
        run_together: Runs the calls of a batch, such as in one transaction. If it raises, so does each of the calls.
        batches: How many batches may run at the same time.
        batch_size: How many calls a batch contains at most.
    """

    def __init__(self, run_together: RunTogether, batches: int = 1, batch_size: int = sys.maxsize) -> None:
        self._run_together = run_together
        self._batches = batches
        self._batch_size = batch_size
        self._waiting: list[_Call] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def call(self, function: Callable[[Unpack[Ts]], T], *args: *Ts) -> T:
        """Make a call in a thread. If the task is cancelled, the call is made nevertheless.

        Args:
            function: The function, called in a copy of the current context.
            args: Its arguments.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._waiting.append(_Call(partial(contextvars.copy_context().run, function, *args), future))
        # A large batch is cheaper for each of its calls than a small one, so a second one begins only once it is full.
        is_full = len(self._waiting) % self._batch_size == 0
        if not self._tasks or (is_full and len(self._tasks) < self._batches):
            self._tasks.add(loop.create_task(self._run()))
        return await future

    async def _run(self) -> None:
        try:
            while self._waiting:
                calls, self._waiting = self._waiting[: self._batch_size], self._waiting[self._batch_size :]
                await self._run_batch(calls)
        except asyncio.CancelledError:  # the loop is being closed, and waits for the threads of its executor
            calls, self._waiting = self._waiting, []
            if calls:
                asyncio.get_running_loop().run_in_executor(None, self._run_together, calls)
            raise
        finally:
            self._tasks.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    async def _run_batch(self, calls: Sequence[_Call]) -> None:
        failure: BaseException | None = None
        try:
            await asyncio.to_thread(self._run_together, calls)
        except BaseException as err:
            failure = err
            if isinstance(err, asyncio.CancelledError):  # the loop is being closed
                raise
        finally:
            for call in calls:
                call.settle(failure)
