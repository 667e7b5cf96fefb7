"""The data that flows through: it crosses JSON whole and shows no customer's words in a repr."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from triage import Conversation, Customer, Event, Message, Note, Outcome, Reply, Step, StepResult, Tag, Verdict
from triage.models import Delivery, Response, WebhookResponse

SECRET = "my card number is 4111"


def conversation(*roles: str, text: str = "hi") -> Conversation:
    messages = [{"id": str(i), "role": role, "text": f"{text} {i}"} for i, role in enumerate(roles)]
    return Conversation.model_validate({"id": "c1", "subject": "A subject", "messages": messages})


def event() -> Event:
    return Event(
        vendor="intercom",
        account="abc",
        kind="created",
        conversation_id="c1",
        message_id="0",
        key="intercom:abc:c1:0",
        conversation=conversation("customer", text=SECRET),
        raw={"text": SECRET},
    )


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Sig": "a", "Other": "b"},
        {b"x-sig": b"a"},
        [("x-sig", "a")],
        [(b"X-SIG", b"a")],
    ],
    ids=["mapping", "bytes mapping", "pairs", "ASGI pairs"],
)
def test_headers_are_read_in_every_form_that_frameworks_have(headers: object) -> None:
    assert Delivery.create(b"", headers, 0.0).headers["x-sig"] == "a"  # type: ignore[arg-type]


def test_a_header_that_came_twice_is_joined_and_so_no_longer_a_signature() -> None:
    assert Delivery.create(b"", [("X-Sig", "a"), ("x-sig", "b")], 0.0).headers["x-sig"] == "a, b"


@given(st.lists(st.tuples(st.binary(), st.binary())))
def test_no_header_breaks_it(headers: list[tuple[bytes, bytes]]) -> None:
    Delivery.create(b"", headers, 0.0)


def test_nothing_that_a_customer_wrote_is_in_a_repr() -> None:
    verdict = Verdict(bucket="billing", reason=SECRET, extra={"topic": SECRET})
    step = StepResult(step=Step(actions=(Reply(SECRET),)), status="done")
    for thing in (
        event(),
        Customer(id="1", name=SECRET, email=SECRET),
        Message(id="1", role="customer", text=SECRET, attachments=(SECRET,)),
        verdict,
        Outcome(status="routed", verdict=verdict, steps=(step,)),
        Delivery.create(SECRET.encode(), {"x": SECRET}, 0.0),
        Response(200, {"x": SECRET}, SECRET.encode()),
        WebhookResponse(200, b"", {}, event=event()),
    ):
        assert SECRET not in repr(thing)
        assert SECRET not in str(thing)


def test_a_validation_error_does_not_quote_its_input() -> None:
    with pytest.raises(ValidationError) as caught:
        Message.model_validate({"id": "1", "role": SECRET})
    assert SECRET not in str(caught.value)


def test_an_event_crosses_a_queue_as_json() -> None:
    assert Event.model_validate_json(event().model_dump_json()) == event()


@pytest.mark.parametrize("bad", ["", "../contacts", "a/b", "a b", "a\n", "a?b", "x" * 201, "%2e"])
def test_an_id_can_neither_leave_its_path_segment_nor_its_log_line(bad: str) -> None:
    with pytest.raises(ValidationError):
        Conversation(id=bad)


def test_the_latest_message_is_the_customers_last() -> None:
    assert conversation("customer", "bot", "customer", "bot").latest == Message(id="2", role="customer", text="hi 2")
    assert conversation("agent").latest is None
    assert conversation("customer", "customer").text == "A subject\n\nhi 1"
    assert Conversation(id="c1").text == ""


def test_a_human_has_it_who_is_assigned_or_has_written() -> None:
    assert not conversation("customer", "bot", "note").has_human
    assert conversation("customer", "agent").has_human
    assert Conversation(id="c1", assignee="7").has_human


def test_the_tail_counts_back_from_the_customers_last_message_and_leaves_notes_out() -> None:
    whole = conversation("customer", "bot", "note", "customer", "bot", "customer", "bot")
    assert [m.id for m in whole.last_turns(2).messages] == ["3", "4", "5", "6"]
    assert [m.id for m in whole.last_turns(0).messages] == ["5", "6"]
    assert [m.id for m in whole.last_turns(99).messages] == ["0", "1", "3", "4", "5", "6"]


def test_a_reply_or_a_note_makes_a_step_that_must_not_be_repeated() -> None:
    assert Step(actions=(Tag("a"),)).idempotent
    assert not Step(actions=(Tag("a"), Note("b"))).idempotent
    assert str(StepResult(step=Step(actions=(Tag("a"), Note("b"))), status="done")) == "tag+note:done"


def test_a_response_without_json_has_no_data() -> None:
    assert Response(200, {}, b'{"a": 1}').data() == {"a": 1}
    assert Response(200, {}, b"<html>").data() is None


def test_an_event_completes_what_was_read_with_its_message_where_that_is_missing() -> None:
    told = event()
    assert [m.text for m in told.add_missing_message(Conversation(id="c1")).messages] == [f"{SECRET} 0"]
    read = conversation("customer", text="as read")
    assert told.add_missing_message(read) is read
    other = told.model_copy(update={"message_id": "9"})
    assert other.add_missing_message(Conversation(id="c1")).messages == ()
