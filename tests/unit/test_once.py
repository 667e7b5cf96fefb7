"""Values that are computed once."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from triage import once as once_module
from triage.once import once


def test_threads_that_need_a_value_at_the_same_time_compute_it_once() -> None:
    begun, may_end, calls = threading.Event(), threading.Event(), list[int]()

    @once
    def compute() -> int:
        calls.append(1)
        begun.set()
        assert may_end.wait(10)
        return 7

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(compute)
        assert begun.wait(10)
        second = pool.submit(compute)
        may_end.set()
        assert (first.result(10), second.result(10)) == (7, 7)
    assert (compute(), len(calls)) == (7, 1)


def test_a_lock_that_a_fork_has_copied_delays_the_value_but_does_not_prevent_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(once_module, "_LONGEST_WAIT", 0.001)
    begun, may_end = threading.Event(), threading.Event()
    main = threading.current_thread()

    @once
    def compute() -> int:
        if threading.current_thread() is not main:
            begun.set()
            assert may_end.wait(10)
        return 7

    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(compute)
        assert begun.wait(10)
        assert compute() == 7
        may_end.set()
        assert other.result(10) == 7
