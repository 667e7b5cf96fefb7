"""Records contain the fields that are bound to the context, as attributes and at the end of their lines."""

import asyncio
import logging
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.helpers.records import get_fields
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
