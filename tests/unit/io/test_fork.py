"""Objects are quiesced around a fork, and registering them leaks nothing."""

import gc
import os

import pytest

from tests.helpers.watched import exit_code
from triage.io import fork
from triage.io.fork import Lock, register_at_fork


class Recorder:
    def __init__(self) -> None:
        self.calls: list[str] = []

    def before_fork(self) -> None:
        self.calls.append("before")

    def after_fork(self, *, child: bool) -> None:
        self.calls.append("child" if child else "parent")


def test_an_object_is_called_before_and_after_a_fork() -> None:
    recorder = Recorder()
    register_at_fork(recorder)
    child = os.fork()
    if child == 0:  # pragma: no cover - in the child process
        os._exit(0 if recorder.calls == ["before", "child"] else 1)
    assert exit_code(child) == 0
    assert recorder.calls == ["before", "parent"]


def test_a_lock_held_by_a_thread_is_free_in_the_child() -> None:
    lock = Lock()
    with lock:
        child = os.fork()
        if child == 0:  # pragma: no cover - in the child process
            with lock:
                os._exit(0)
        assert exit_code(child) == 0


def test_objects_that_are_gone_are_not_kept_and_add_no_hooks(monkeypatch: pytest.MonkeyPatch) -> None:
    hooks: list[object] = []
    monkeypatch.setattr("os.register_at_fork", lambda **functions: hooks.append(functions))
    gc.collect()
    before = len(fork._registered)
    for _ in range(100):
        Lock()
    gc.collect()
    assert (len(fork._registered), hooks) == (before, [])
