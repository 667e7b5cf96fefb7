"""Models: they survive serialization as JSON, and no repr shows customer text."""

import dataclasses
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from triage import (
    ConfigurationError,
    Conversation,
    Customer,
    Event,
    Message,
    Note,
    Outcome,
    Reply,
    Step,
    StepResult,
    Tag,
    Verdict,
    WebhookResponse,
)
from triage.models import Delivery, Ledger, Received, Response

SECRET = "my card number is 4111"


def conversation(*roles: str, text: str = "hi") -> Conversation:
    messages = [{"id": str(i), "role": role, "text": f"{text} {i}"} for i, role in enumerate(roles)]
    return Conversation.model_validate({"id": "c1", "subject": "A subject", "messages": messages})


def event() -> Event:
    return Event(
        owner="intercom",
        vendor="intercom",
        account="abc",
        kind="created",
        conversation_id="c1",
        message_id="0",
        key="intercom:abc:c1:0",
        customer=Customer(id="7", name="Mira", email="mira@example.com"),
        raw=f'{{"text": "{SECRET}"}}'.encode(),
    )


# Deliveries


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
def test_headers_are_read_in_every_form_that_frameworks_provide(headers: object) -> None:
    assert Delivery.create(b"", headers, 0.0).headers["x-sig"] == "a"  # type: ignore[arg-type]


def test_the_values_of_a_repeated_header_are_joined_and_so_are_not_a_signature() -> None:
    assert Delivery.create(b"", [("X-Sig", "a"), ("x-sig", "b")], 0.0).headers["x-sig"] == "a, b"


@pytest.mark.parametrize("headers", [None, 5, "X-Sig: a", [("X-Sig",)], [None]])
def test_what_is_not_headers_is_named(headers: Any) -> None:
    with pytest.raises(TypeError, match=r"handle\(\) needs the request's headers, a mapping or pairs"):
        Delivery.create(b"", headers, 0.0)


@given(st.lists(st.tuples(st.binary(), st.binary())))
def test_no_header_raises(headers: list[tuple[bytes, bytes]]) -> None:
    Delivery.create(b"", headers, 0.0)


# Customer text


def test_no_repr_contains_customer_text() -> None:
    verdict = Verdict(bucket="billing", reason=SECRET, extra={"topic": SECRET})
    step = StepResult(step=Step(actions=(Reply(SECRET),)), status="done")
    outcome = Outcome(status="routed", verdict=verdict, steps=(step,))
    for value in (
        event(),
        Customer(id="1", name=SECRET, email=SECRET),
        Message(id="1", role="customer", text=SECRET, attachments=(SECRET,)),
        verdict,
        outcome,
        Delivery.create(SECRET.encode(), {"x": SECRET}, 0.0),
        Response(200, {"x": SECRET}, SECRET.encode()),
        WebhookResponse(200, SECRET.encode(), {"x": SECRET}, outcome),
        Received(200, b"", {}, outcome, event()),
    ):
        assert SECRET not in repr(value)
        assert SECRET not in str(value)


def test_the_reason_of_a_fallback_verdict_is_in_its_repr() -> None:
    verdict = Verdict(
        bucket="general", fallback_reason="unavailable", reason="Claude answered 529", extra={"topic": SECRET}
    )
    for value in (verdict, Outcome(status="routed", verdict=verdict)):
        assert "reason='Claude answered 529'" in repr(value)
        assert "Claude answered 529" in str(value)
        assert SECRET not in repr(value)


def test_a_replayed_verdict_is_free() -> None:
    assert Verdict(bucket="spam", cost_usd=0.5, replayed=True).paid_usd == 0.0


def test_only_the_parts_that_were_not_replayed_are_paid() -> None:
    parts = (Verdict(bucket="spam", cost_usd=0.5, replayed=True), Verdict(bucket="spam", cost_usd=0.25))
    assert Verdict(bucket="spam", cost_usd=0.75, parts=parts).paid_usd == 0.25


def test_a_part_without_a_price_makes_the_payment_unknown() -> None:
    parts = (Verdict(bucket="spam"), Verdict(bucket="spam", cost_usd=0.25))
    assert Verdict(bucket="spam", parts=parts).paid_usd is None


def test_a_validation_error_does_not_quote_its_input() -> None:
    with pytest.raises(ValidationError) as caught:
        Message.model_validate({"id": "1", "role": SECRET})
    assert SECRET not in str(caught.value)


# Events


def test_an_event_survives_serialization_as_json() -> None:
    assert Event.model_validate_json(event().model_dump_json()) == event()
    assert Event.model_validate(event().model_dump()) == event()


def test_an_event_can_be_given_to_another_owner() -> None:
    sales = event().for_owner("sales")
    assert (sales.owner, sales.key, sales.vendor) == ("sales", "sales:abc:c1:0", "intercom")
    assert sales.for_owner("sales") is sales
    assert sales.for_owner("intercom") == event()
    assert sales.for_owner("sales:eu").for_owner("intercom") == event()
    assert Event.model_validate_json(sales.model_dump_json()) == sales


@pytest.mark.parametrize("data", ["", [], {}, {"vendor": 1}, None])
def test_an_event_that_cannot_be_read_raises_a_validation_error(data: object) -> None:
    with pytest.raises(ValidationError):
        Event.model_validate(data)


@pytest.mark.parametrize("bad", ["", "../contacts", "a/b", "a b", "a\n", "a?b", "x" * 201, "%2e"])
def test_an_id_cannot_leave_its_path_segment_or_its_log_line(bad: str) -> None:
    with pytest.raises(ValidationError):
        Conversation(id=bad)


# Conversations


def test_the_turn_is_what_the_customer_wrote_since_a_human_last_answered() -> None:
    whole = conversation("customer", "agent", "customer", "bot", "note", "customer", "bot")
    assert [message.id for message in whole.turn] == ["2", "5"]
    assert [message.id for message in whole.unanswered] == ["2", "3", "5", "6"]
    assert whole.text == "A subject\n\nhi 2\n\nhi 5"


def test_if_everything_is_answered_the_turn_is_the_customers_last_message() -> None:
    whole = conversation("customer", "customer", "agent")
    assert ([message.id for message in whole.turn], whole.unanswered) == (["1"], ())
    assert conversation("agent").turn == ()
    assert conversation("agent").latest is None
    assert Conversation(id="c1").text == ""


def at(minute: int) -> datetime:
    return datetime(2026, 1, 1, 12, minute, tzinfo=UTC)


def test_messages_from_before_the_conversation_was_closed_belong_to_an_earlier_episode() -> None:
    messages = (
        Message(id="0", role="customer", text="old", at=at(0)),
        Message(id="1", role="agent", text="answer", at=at(1)),
        Message(id="2", role="customer", text="thanks", at=at(2)),
        Message(id="3", role="customer", text="new", at=at(4)),
    )
    reopened = Conversation(id="c1", messages=messages, closed_at=at(3))
    assert [message.id for message in reopened.turn] == ["3"]
    assert reopened.last_human_answer() is None
    still_closed = reopened.model_copy(update={"is_closed": True})
    assert [message.id for message in still_closed.turn] == ["2", "3"]
    assert still_closed.last_human_answer() == messages[1]


def test_the_subject_counts_as_text_of_the_first_message_only() -> None:
    first = Message(id="0", role="customer", attachments=("scan.pdf",))
    assert Conversation(id="c1", subject="Where is my order?", messages=(first,)).has_text
    assert not Conversation(id="c1", messages=(first,)).has_text
    answer = Message(id="1", role="agent", text="Here")
    later = Conversation(id="c1", subject="Where?", messages=(first, answer, first.model_copy(update={"id": "2"})))
    assert not later.has_text


def test_a_message_with_neither_words_nor_files_is_empty() -> None:
    message = Message(id="0", role="customer")
    assert Conversation(id="c1", messages=(message,)).is_empty
    assert not Conversation(id="c1", subject="Hello", messages=(message,)).is_empty
    assert not Conversation(id="c1", messages=(message.model_copy(update={"attachments": ("a",)}),)).is_empty


def test_only_our_own_reply_since_the_last_answer_counts_as_an_automatic_reply() -> None:
    customer, agent = Message(id="0", role="customer", text="hi"), Message(id="2", role="agent", text="answer")
    ours = Message(id="1", role="bot", text="holding", is_ours=True)
    assert Conversation(id="c1", messages=(customer, ours)).has_automatic_reply
    assert not Conversation(id="c1", messages=(customer, ours, agent)).has_automatic_reply
    assert not Conversation(
        id="c1", messages=(customer, ours.model_copy(update={"is_ours": False}))
    ).has_automatic_reply


def test_a_conversation_is_automatic_if_a_machine_wrote_the_last_message() -> None:
    notice = Message(id="1", role="customer", text="I am out of office", is_automatic=True)
    assert conversation("customer").model_copy(update={"messages": (notice,)}).is_automatic
    assert not conversation("customer").is_automatic
    assert not conversation("agent").is_automatic


def test_earlier_turns_are_counted_from_the_unanswered_messages_and_exclude_notes() -> None:
    whole = conversation("customer", "bot", "note", "agent", "customer", "bot", "customer")
    assert [m.id for m in whole.last_turns(2).messages] == ["1", "3", "4", "5", "6"]
    assert [m.id for m in whole.last_turns(0).messages] == ["4", "5", "6"]
    assert [m.id for m in whole.last_turns(99).messages] == ["0", "1", "3", "4", "5", "6"]


# Verdicts and steps


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"bucket": "billing", "score": 0.9}, "there is no field 'score'; its fields are bucket, confidence, reason, "),
        ({"label": "billing"}, "there is no field 'label'; .*bucket is missing"),
        ({"bucket": "billing", "confidence": 93}, "confidence must be less than or equal to 1"),
        ({"bucket": "billing", "confidence": "high"}, "confidence must be a valid number"),
        ({"bucket": None}, "bucket must be a valid string"),
        ({"bucket": "billing", "extra": {"topic": 1}}, r"extra\['topic'\] must be a valid string"),
    ],
)
def test_a_verdict_with_a_mistake_is_rejected(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^Verdict: {message}.*Write Verdict\\(bucket="):
        Verdict(**fields)


def test_an_error_about_a_verdict_does_not_quote_what_a_model_wrote() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Verdict(**{"bucket": [SECRET], SECRET: SECRET, "confidence": SECRET})  # type: ignore[arg-type]
    assert SECRET not in str(caught.value)


def test_a_stored_verdict_is_read_even_if_a_newer_version_wrote_it() -> None:
    verdict = Verdict(bucket="billing", confidence=0.5, reason="Charged twice.", extra={"topic": "refund"})
    assert Ledger.model_validate_json(Ledger(verdict=verdict).model_dump_json()).verdict == verdict
    newer = verdict.model_dump() | {"added_later": 1}
    assert Ledger.model_validate_json(json.dumps({"verdict": newer})).verdict == verdict
    with pytest.raises(ValidationError):
        Ledger.model_validate_json('{"verdict": {"bucket": 1}}')


def test_a_step_with_a_reply_or_a_note_must_not_be_repeated() -> None:
    assert Step(actions=(Tag("a"),)).idempotent
    assert not Step(actions=(Tag("a"), Note("b"))).idempotent
    assert str(StepResult(step=Step(actions=(Tag("a"), Note("b"))), status="done")) == "tag+note:done"


def test_a_response_without_json_has_no_data() -> None:
    assert Response(200, {}, b'{"a": 1}').data() == {"a": 1}
    assert Response(200, {}, b"<html>").data() is None


# Responses; tests/integration/test_returned_response.py returns them from a view

REFUSED = WebhookResponse(401, b"{}", {"X-Answer": "1"}, Outcome(status="refused", reason=SECRET))
ACCEPTED = Received(200, b"{}", {}, Outcome(status="accepted"), event())
ADVICE = "return Response(content=response.body, status_code=response.status_code, headers=response.headers)"


@pytest.mark.parametrize("answer", [REFUSED, ACCEPTED], ids=["response", "received"])
@pytest.mark.parametrize("serialize", [dict, list, vars, json.dumps, dataclasses.asdict])
def test_a_webhook_response_cannot_be_serialized(answer: Any, serialize: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError) as caught:
        serialize(answer)
    if serialize in (dict, list):
        assert ADVICE in str(caught.value)


# Unknown fields


@pytest.mark.parametrize(
    "create",
    [
        lambda: Message(id="1", role="customer", txt=SECRET),  # type: ignore[call-arg]
        lambda: Customer(txt=SECRET),  # type: ignore[call-arg]
        lambda: Conversation(id="1", txt=SECRET),  # type: ignore[call-arg]
    ],
)
def test_a_misspelled_field_is_rejected_without_its_value(create: Callable[[], Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"^\w+: there is no field 'txt'; its fields are id, ") as caught:
        create()
    assert SECRET not in str(caught.value)


def test_an_unknown_field_of_stored_json_is_ignored_because_a_later_version_may_have_written_it() -> None:
    message = Message.model_validate_json('{"id": "1", "role": "customer", "text": "hello", "later": 1}')
    assert message == Message(id="1", role="customer", text="hello")
