"""Run an adapter's conversion of texts off the event loop.

An adapter calls the API only through `send`, and converts HTML in between, which takes seconds for a very long
conversation. In async code, its coroutine is therefore run in a thread from one call to the next, once the
responses are long. The calls themselves are made on the event loop, so that no thread waits for the network.
"""

from collections.abc import Callable, Coroutine, Generator
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple, TypeVar

from triage.errors import ConfigurationError
from triage.io.ports import IO
from triage.models import Request, Response
from triage.vendors.base import Send

T = TypeVar("T")

_SHORT = 16_384  # bytes of responses whose conversion takes a few milliseconds


class _Call:
    """A call that the coroutine waits for."""

    def __init__(self, request: Request) -> None:
        self.request = request

    def __await__(self) -> Generator["_Call", Response, Response]:
        return (yield self)


class _Finished(NamedTuple):
    value: Any


async def run_adapter(function: Callable[[Send], Coroutine[Any, Any, T]], send: Send, io: IO, *, size: int = 0) -> T:
    """Call an adapter's method, in async code without blocking the event loop.

    Args:
        function: Takes the function that makes calls, and returns the coroutine of the method.
        send: Makes a call.
        io: The port.
        size: How many bytes the adapter may convert besides the responses, such as those of a delivery.

    Raises:
        ConfigurationError: The adapter awaits something else than `send`, which works only on an event loop.
    """
    if not io.is_async:
        return await function(send)

    async def wait_for_call(request: Request) -> Response:
        return await _Call(request)

    coroutine = function(wait_for_call)
    advance: Callable[[], Any] = partial(coroutine.send, None)
    received = size  # an adapter may convert all responses after the last one
    try:
        while True:
            reached: Any = _run(advance) if received <= _SHORT else await io.run_blocking(_run, advance)
            if isinstance(reached, _Finished):
                value: T = reached.value
                return value
            if not isinstance(reached, _Call):
                raise ConfigurationError("the help desk's adapter awaits something else than send()")
            try:
                response = await send(reached.request)
                received += len(response.body)
                advance = partial(coroutine.send, response)
            except Exception as error:  # noqa: BLE001 - the adapter decides which errors it handles
                advance = partial(coroutine.throw, error)
    finally:
        with suppress(ValueError):  # if the task is cancelled, the thread may still be running it
            coroutine.close()


def _run(advance: Callable[[], Any]) -> Any:
    """Run a coroutine to its next call or to its end. A future cannot hold a `StopIteration`."""
    try:
        return advance()
    except StopIteration as stop:
        return _Finished(stop.value)
