"""Loggers: an exception of a log handler is reported on standard error, and stops nothing."""

import logging
import sys
from collections.abc import Generator
from contextlib import contextmanager

import pytest
from typing_extensions import override

from tests.helpers.api import Api
from tests.helpers.desks import IntercomDesk
from tests.helpers.routing import only
from triage import Tag
from triage.logs import get_logger

SECRET = "my card number is 4111"


class SynchronousOnlyOperation(Exception):  # noqa: N818 - Django's name
    """Named as Django's exception, which it raises if the ORM is used on an event loop."""


class RaisingHandler(logging.Handler):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    @override
    def emit(self, record: logging.LogRecord) -> None:
        raise self.error  # the line


@contextmanager
def attach(handler: logging.Handler) -> Generator[None]:
    logger = logging.getLogger("triage")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def test_a_handler_that_raises_is_reported_with_its_line_and_the_message(capsys: pytest.CaptureFixture[str]) -> None:
    with attach(RaisingHandler(OSError(SECRET))):
        get_logger("triage.some").warning("%s is not called for %.0f s", "intercom", 30)
    error = capsys.readouterr().err
    line = RaisingHandler.emit.__code__.co_firstlineno + 2
    assert f"a log handler raised OSError at {__file__}:{line}. " in error
    assert "The message was: intercom is not called for 30 s" in error
    assert SECRET not in error


def test_the_report_about_an_orm_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    with attach(RaisingHandler(SynchronousOnlyOperation())):
        get_logger("triage.some").error("failed")
    assert "add the handler through a QueueHandler" in capsys.readouterr().err


def test_a_handler_that_raises_is_ignored_if_standard_error_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed:
        def write(self, text: str) -> int:
            raise ValueError("I/O operation on closed file")

    monkeypatch.setattr(sys, "stderr", Closed())
    with attach(RaisingHandler(OSError())):
        get_logger("triage.some").error("failed")


def test_a_record_has_the_line_and_the_attributes_of_the_call(caplog: pytest.LogCaptureFixture) -> None:
    get_logger("triage.some").warning("paused", extra={"vendor": "intercom"})
    (record,) = caplog.records
    assert (record.name, record.pathname, record.funcName) == ("triage.some", __file__, _NAME)
    assert vars(record)["vendor"] == "intercom"


_NAME = test_a_record_has_the_line_and_the_attributes_of_the_call.__name__


def test_an_event_is_routed_although_a_log_handler_raises(
    api: Api, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "triage")
    desk = IntercomDesk()
    webhook = desk.fake.customer_writes(SECRET)
    with attach(RaisingHandler(OSError())):
        response = api.handle(desk.router(buckets=only(Tag("seen"))), webhook.body, webhook.headers)
    assert response.outcome.status == "routed"
    assert "The message was: intercom routed conversation=" in capsys.readouterr().err
