"""Blocking calls in threads of their own."""

import contextvars
import threading

import pytest

from triage.io.ports import SyncIO, run
from triage.io.threads import start_call


def test_a_call_runs_in_another_thread_in_the_same_context() -> None:
    variable = contextvars.ContextVar("variable", default="unset")
    variable.set("set")
    thread, value = start_call(lambda: (threading.current_thread(), variable.get())).result()
    assert value == "set"
    assert thread is not threading.current_thread()
    assert thread.daemon, "it must not keep the interpreter from exiting"


def test_any_exception_reaches_the_caller() -> None:
    def leave() -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        start_call(leave).result()


def test_sync_io_stops_waiting_after_the_time_limit() -> None:
    released = threading.Event()
    try:
        with pytest.raises(TimeoutError):
            run(SyncIO().call(released.wait, limit=0.01))
    finally:
        released.set()
    assert run(SyncIO().call(lambda: 7, limit=30)) == 7
