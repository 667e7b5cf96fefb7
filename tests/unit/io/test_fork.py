"""Objects are quiesced around a fork, and registering them leaks nothing."""

import gc
import importlib
import os
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.helpers.watched import exit_code
from triage import ConfigurationError
from triage.io import fork
from triage.io.fork import Lock, register_at_fork, will_fork_without_hooks


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


@pytest.fixture
def slow_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module whose import begins, and then waits until a test lets it end."""
    (tmp_path / "slow_module.py").write_text("import sys\nsys.slow.began.set()\nassert sys.slow.may_end.wait(20)\n")
    monkeypatch.syspath_prepend(tmp_path)
    slow = SimpleNamespace(began=threading.Event(), may_end=threading.Event())
    monkeypatch.setattr(sys, "slow", slow, raising=False)
    thread = threading.Thread(target=__import__, args=("slow_module",))
    thread.start()
    assert slow.began.wait(20)
    yield slow
    slow.may_end.set()
    thread.join()
    sys.modules.pop("slow_module")


@pytest.mark.filterwarnings("ignore:This process.*multi-threaded:DeprecationWarning")
def test_a_fork_waits_until_other_threads_have_imported_their_modules(
    slow_module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The child would wait forever for the import to end."""
    monkeypatch.setattr("triage.io.fork.time.sleep", lambda seconds: slow_module.may_end.set())
    child = os.fork()
    if child == 0:  # pragma: no cover - in the child process
        imported = importlib.import_module("slow_module")

        os._exit(0 if imported.__name__ == "slow_module" else 1)
    assert slow_module.may_end.is_set()
    assert exit_code(child) == 0


@pytest.mark.filterwarnings("ignore:This process.*multi-threaded:DeprecationWarning")
def test_a_fork_does_not_wait_forever_for_an_import(slow_module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("triage.io.fork._LONGEST_IMPORT", 0.0)
    child = os.fork()
    if child == 0:  # pragma: no cover - in the child process
        os._exit(0)
    assert exit_code(child) == 0


@pytest.mark.parametrize(
    ("options", "worker", "expected"),
    [
        ({"enable-threads": True}, 0, True),
        ({b"threads": b"2"}, 0, True),
        ({"enable-threads": True}, 1, False),
        ({b"enable-threads": True, b"py-call-uwsgi-fork-hooks": True}, 0, False),
    ],
)
def test_uwsgi_that_will_fork_without_hooks_is_recognized(
    monkeypatch: pytest.MonkeyPatch, options: Any, worker: int, expected: bool
) -> None:
    assert not will_fork_without_hooks()
    monkeypatch.setitem(sys.modules, "uwsgi", SimpleNamespace(opt=options, worker_id=lambda: worker))
    assert will_fork_without_hooks() is expected


def test_uwsgi_without_threads_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uwsgi", SimpleNamespace(opt={}, worker_id=lambda: 0))
    with pytest.raises(ConfigurationError, match="Set its option enable-threads = true"):
        will_fork_without_hooks()
