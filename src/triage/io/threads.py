"""Run a blocking call in a separate thread, so that a caller can stop waiting for it."""

import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def start_call(function: Callable[[], T]) -> "Future[T]":
    """Call a function in a new thread, in a copy of the current context.

    A pool would let abandoned calls delay others, and the interpreter would wait for its threads when it exits.

    Args:
        function: The function, which takes no arguments.

    Returns:
        The future result.
    """
    future: Future[T] = Future()
    context = contextvars.copy_context()

    def call() -> None:
        try:
            result = context.run(function)
        except BaseException as error:  # noqa: BLE001 - it is raised in the thread that waits for the result
            future.set_exception(error)
        else:
            future.set_result(result)

    # A running future cannot be cancelled, so a caller that gives up does not change it.
    future.set_running_or_notify_cancel()
    threading.Thread(target=call, name="triage-call", daemon=True).start()
    return future
