"""The two ports for I/O: `SyncIO` blocks, `AsyncIO` awaits.

Logic is written once, as `async def` functions that use a port. With `SyncIO` nothing ever suspends, so `run` can run a
coroutine to completion without an event loop.
"""

import asyncio
import inspect
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol, TypeVar

from typing_extensions import TypeVarTuple, Unpack

from triage.io.clients import Mutex
from triage.io.threads import start_call
from triage.io.throttle import Throttle
from triage.io.together import Together

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class IO(Protocol):
    """A port for I/O."""

    @property
    def is_async(self) -> bool:
        """True if `call` takes functions that return awaitables."""
        ...

    async def call(self, function: Callable[[], Any], *, limit: float | None = None) -> Any:
        """Call a client's function: a plain one for `SyncIO`, one that returns an awaitable for `AsyncIO`.

        Args:
            function: The function, which takes no arguments.
            limit: Seconds after which `TimeoutError` is raised. A thread cannot be interrupted, so with `SyncIO` the
                call goes on in a separate thread until the client's time limits end it.
        """
        ...

    async def run_blocking(self, function: Callable[[Unpack[Ts]], T], *args: *Ts) -> T:
        """Call a function that waits for a disk or a database."""
        ...

    async def run_storage(self, function: Callable[[Unpack[Ts]], T], *args: *Ts) -> T:
        """Call a method of an inbox that waits for a disk or a database."""
        ...

    async def gather(self, functions: Sequence[Callable[[], Coroutine[Any, Any, T]]]) -> list[T]:
        """Run coroutines: one after another for `SyncIO`, concurrently for `AsyncIO`.

        Args:
            functions: Functions that return the coroutines.

        Returns:
            The return values, in the order of the functions.

        Raises:
            Exception: The first exception that a coroutine raised. The others are cancelled, or not started.
        """
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait for a number of seconds."""
        ...

    def exclusive(self, mutex: Mutex) -> Any:
        """Return an async context manager that one thread, or one task of an event loop, holds at a time."""
        ...


class SyncIO:
    """Blocks the calling thread and never suspends the coroutine that awaits it."""

    is_async = False

    async def call(self, function: Callable[[], Any], *, limit: float | None = None) -> Any:
        """Call a plain function: in this thread, or in a new one if there is a time limit."""
        return function() if limit is None else start_call(function).result(limit)

    async def run_blocking(self, function: Callable[[Unpack[Ts]], T], *args: *Ts) -> T:
        """Call the function in this thread."""
        return function(*args)

    async def run_storage(self, function: Callable[[Unpack[Ts]], T], *args: *Ts) -> T:
        """Call the method in this thread."""
        return function(*args)

    async def gather(self, functions: Sequence[Callable[[], Coroutine[Any, Any, T]]]) -> list[T]:
        """Run one coroutine after another."""
        return [await function() for function in functions]

    async def sleep(self, seconds: float) -> None:
        """Block the thread."""
        time.sleep(seconds)  # noqa: ASYNC251 - this port blocks on purpose

    @asynccontextmanager
    async def exclusive(self, mutex: Mutex) -> AsyncGenerator[None]:
        """Let one thread in at a time."""
        with mutex.threads:
            yield


class AsyncIO:
    """Awaits on the running event loop.

    Args:
        storage: Makes the calls to an inbox that can run several together. None makes each in a thread of its own.
        throttle: Delays tasks before they continue with the result of a call. None delays none.
    """

    is_async = True

    def __init__(self, storage: Together | None = None, throttle: Throttle | None = None) -> None:
        self._storage = storage
        self._throttle = throttle

    async def call(self, function: Callable[[], Any], *, limit: float | None = None) -> Any:
        """Call a function that returns an awaitable, and await it."""
        async with asyncio.timeout(limit):
            result = await function()
        await self._wait_for_turn()
        return result

    async def run_blocking(self, function: Callable[[Unpack[Ts]], T], *args: *Ts) -> T:
        """Call the function in a thread."""
        result = await asyncio.to_thread(function, *args)
        await self._wait_for_turn()
        return result

    async def run_storage(self, function: Callable[[Unpack[Ts]], T], *args: *Ts) -> T:
        """Call the method in a thread, together with others if the inbox can do that."""
        call = asyncio.to_thread if self._storage is None else self._storage.call
        result = await call(function, *args)
        await self._wait_for_turn()
        return result

    async def _wait_for_turn(self) -> None:
        if self._throttle is not None:
            await self._throttle.wait()

    async def gather(self, functions: Sequence[Callable[[], Coroutine[Any, Any, T]]]) -> list[T]:
        """Run the coroutines as tasks."""
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(function()) for function in functions]
        except ExceptionGroup as error:
            raise error.exceptions[0] from None
        return [task.result() for task in tasks]

    async def sleep(self, seconds: float) -> None:
        """Suspend the task."""
        await asyncio.sleep(seconds)

    @asynccontextmanager
    async def exclusive(self, mutex: Mutex) -> AsyncGenerator[None]:
        """Let one task of this event loop in at a time."""
        async with mutex.tasks.get():
            yield


def is_async_function(function: object) -> bool:
    """Return whether a function, or an object that is called like one, is `async def`.

    Args:
        function: The function.
    """
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that uses `SyncIO` to completion, without an event loop.

    Args:
        coroutine: The coroutine, which is always closed.

    Returns:
        The return value of the coroutine.

    Raises:
        RuntimeError: The coroutine suspended, because it awaited async I/O.
    """
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    coroutine.close()
    raise RuntimeError("a sync call awaited async I/O. Use the _async method instead.")
