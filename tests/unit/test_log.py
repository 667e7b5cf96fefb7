"""Records contain the fields that are bound to the context, and an exception of a log handler stops nothing."""

import asyncio
import logging
import sys
import threading
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from typing_extensions import override

from tests.helpers.api import Api
from tests.helpers.desks import IntercomDesk
from tests.helpers.records import get_fields
from tests.helpers.routing import only
from triage import Tag
from triage.io.threads import start_call
from triage.log import bind_fields, get_logger, remove_unknown

IDS = {"conversation_id": "215", "event_id": "notif_1", "key": "intercom:abc:215:9"}

logger = get_logger("triage.test")


class _Collector(logging.Handler):
    """Collects the records that are written."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def records() -> Iterator[list[logging.LogRecord]]:
    """The records that are written, also by other threads."""
    collector = _Collector()
    logger.logger.addHandler(collector)
    logger.setLevel(logging.INFO)
    yield collector.records
    logger.setLevel(logging.NOTSET)
    logger.logger.removeHandler(collector)


def test_a_record_contains_the_bound_fields(records: list[logging.LogRecord]) -> None:
    with bind_fields({**IDS, "router": "sales"}):
        logger.warning("%s is down", "the classifier", extra={"attempt": 2})
    (record,) = records
    assert get_fields(record) == {**IDS, "router": "sales", "attempt": 2}
    assert record.getMessage() == "the classifier is down [conversation=215 event=notif_1 key=intercom:abc:215:9]"
    assert record.pathname == __file__


def test_a_record_without_bound_fields_is_left_as_it_is(records: list[logging.LogRecord]) -> None:
    logger.info("100 %")
    logger.info("%s", "started", extra={"router": "sales"})
    assert [record.getMessage() for record in records] == ["100 %", "started"]
    assert [get_fields(record) for record in records] == [{}, {"router": "sales"}]


def test_an_id_of_the_call_is_shown_unless_one_is_bound(records: list[logging.LogRecord]) -> None:
    logger.info("%s", "asked", extra={"conversation_id": "1"})
    with bind_fields({"conversation_id": "2"}):
        logger.info("%s", "asked", extra={"conversation_id": "1"})
    assert [record.getMessage() for record in records] == ["asked [conversation=1]", "asked [conversation=2]"]


def test_inner_fields_are_added_to_the_outer_ones_until_their_context_ends(records: list[logging.LogRecord]) -> None:
    with bind_fields({"router": "sales", "key": "1"}):
        with bind_fields({"key": "2"}):
            logger.info("inner")
        logger.info("outer")
    logger.info("after")
    assert [get_fields(record) for record in records] == [
        {"router": "sales", "key": "2"},
        {"router": "sales", "key": "1"},
        {},
    ]


def test_fields_are_computed_only_for_a_record_that_is_written(records: list[logging.LogRecord]) -> None:
    computed: list[str] = []

    def compute() -> Mapping[str, str]:
        computed.append("fields")
        return {"key": "1"}

    with bind_fields(compute):
        logger.debug("not written")
        assert computed == []
        logger.info("written")
    assert (computed, get_fields(records[0])) == (["fields"], {"key": "1"})


def test_threads_and_tasks_that_are_started_in_a_context_have_its_fields(records: list[logging.LogRecord]) -> None:
    async def log_in_thread() -> None:
        with bind_fields({"key": "2"}):
            await asyncio.to_thread(logger.info, "in a thread")

    with bind_fields({"key": "1"}):
        start_call(lambda: logger.info("in a call")).result(20)
    asyncio.run(log_in_thread())
    thread = threading.Thread(target=logger.info, args=("elsewhere",))
    thread.start()
    thread.join(20)
    assert [get_fields(record) for record in records] == [{"key": "1"}, {"key": "2"}, {}]


def test_a_percent_sign_in_an_id_is_no_placeholder(records: list[logging.LogRecord]) -> None:
    with bind_fields({"key": "100%s"}):
        logger.info("%s", "stored")
    assert records[0].getMessage() == "stored [key=100%s]"


def test_unknown_values_are_removed() -> None:
    fields: dict[str, Any] = {"key": None, "cost": 0.0, "fallback": False}
    assert remove_unknown(fields) == {"cost": 0.0, "fallback": False}


# Log handlers that raise

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
