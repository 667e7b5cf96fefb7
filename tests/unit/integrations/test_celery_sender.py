"""Keys are sent in a thread of their own, which a broker that hangs can block without harm."""

import logging
import subprocess
import sys
import threading

import pytest

from triage.integrations import celery
from triage.integrations.celery import _Sender

HANGING = """
import threading
from triage.integrations.celery import _Sender

def hang(key):
    print("sending", flush=True)
    threading.Event().wait()

_Sender(hang, 10.0)("intercom:1")
"""
SENDING = """
import time
from triage.integrations.celery import _Sender

def send(key):
    time.sleep(0.2)
    print(key, flush=True)

_Sender(send, 10.0)("intercom:1")
"""


def run_python(code: str) -> str:
    """Run a program until it exits, which it must do on its own, and return its output."""
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    return process.stdout


def test_a_broker_that_hangs_does_not_keep_the_process_from_exiting() -> None:
    assert run_python(HANGING) == "sending\n"


def test_a_process_that_exits_still_sends_what_it_has_stored() -> None:
    assert run_python(SENDING) == "intercom:1\n"


def test_the_keys_that_wait_for_the_broker_are_bounded(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(celery, "_MOST_WAITING", 2)
    sending, released, sent = threading.Event(), threading.Event(), list[str]()

    def send(key: str) -> None:
        sending.set()
        assert released.wait(20)
        sent.append(key)

    sender = _Sender(send, 1000.0)
    sender("1")
    assert sending.wait(20)
    for key in ("2", "3", "4", "5"):
        sender(key)
    sender.finish()  # does not wait: there is no room to say so
    released.set()
    with_room = threading.Thread(target=sender._keys.put, args=(None,))
    with_room.start()
    with_room.join(20)
    assert sender._thread is not None
    sender._thread.join(20)
    assert sent == ["1"], "the others wait for the sweeper, which sends them anew"
    assert [record.getMessage() for record in caplog.records] == [
        "this event and those after it are left to the sweeper: the broker does not respond [key=4]"
    ]


def test_after_a_failure_the_keys_are_left_to_the_sweeper(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    tried: list[str] = []

    def fail(key: str) -> None:
        tried.append(key)
        raise ConnectionError("amqp://user:password@host")

    sender = _Sender(fail, 1000.0)
    sender("1")
    sender("2")
    sender.finish()
    assert tried == ["1"]
    assert [record.getMessage() for record in caplog.records] == [
        "this event and those after it are left to the sweeper: ConnectionError [key=1]"
    ]


def test_a_sender_that_was_never_used_has_nothing_to_finish() -> None:
    sender = _Sender(print, 1.0)
    sender.finish()
    assert sender._thread is None
