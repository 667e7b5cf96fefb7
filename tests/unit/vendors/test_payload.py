"""Reading a vendor's JSON: strict where it matters, tolerant elsewhere, never anything but MalformedPayload."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triage import MalformedPayload
from triage.vendors.payload import Loose, LooseTuple, Payload, build_models, parse_json, safe_word


class Sample(Payload):
    id: str
    name: Loose[str] = None
    tags: LooseTuple[str] = ()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no json",
        b"[1]",
        b"null",
        b'"text"',
        b"\xff\xfe{}",
        b'{"a": NaN}',
        b'{"a": 1',
        b"[" * 50_000,
        b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
        b'{"a": ' + b"9" * 5_000 + b"}" * 2,
    ],
    ids=lambda body: repr(body[:12]),
)
def test_what_is_no_json_object_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedPayload):
        parse_json(body)


@given(st.binary())
def test_any_bytes_are_read_or_malformed(body: bytes) -> None:
    with contextlib.suppress(MalformedPayload):
        assert isinstance(parse_json(body), dict)


def test_half_an_emoji_does_not_lose_the_message() -> None:
    assert parse_json(b'{"text": "hi \\ud83d", "more": "\\ud83d\\ude00"}') == {"text": "hi ?", "more": "\U0001f600"}


def test_a_body_is_parsed_straight_into_a_model() -> None:
    assert Sample.parse_body(b'{"id": 7, "name": "a \\ud83d", "other": {}}') == Sample(id="7", name="a ?")


@pytest.mark.parametrize(
    ("body", "problem"),
    [(b"no", "the body is not JSON"), (b"[]", "the body is JSON, but not an object"), (b"{}", "id: missing")],
)
def test_a_body_that_does_not_fit_is_malformed(body: bytes, problem: str) -> None:
    with pytest.raises(MalformedPayload, match=problem):
        Sample.parse_body(body)


def test_ids_may_be_numbers_and_unknown_fields_are_ignored() -> None:
    assert Sample.parse_data({"id": 7, "new": True}) == Sample(id="7")


def test_a_field_that_is_nice_to_have_is_dropped_where_it_is_wrong() -> None:
    assert Sample.parse_data({"id": "7", "name": ["no", "name"]}).name is None


@pytest.mark.parametrize(("tags", "expected"), [(["a", "b"], ("a", "b")), ([], ()), (None, ()), ("a", ()), ([{}], ())])
def test_a_list_of_an_undocumented_type_is_empty(tags: object, expected: tuple[str, ...]) -> None:
    assert Sample.parse_data({"id": "7", "tags": tags}).tags == expected


def test_a_malformed_payload_tells_where_and_never_what() -> None:
    with pytest.raises(MalformedPayload) as caught:
        Sample.parse_data({"id": {"secret": "customer text"}}, event_id="notif_1")
    assert str(caught.value) == "id: string_type"
    assert caught.value.event_id == "notif_1"
    assert caught.value.__cause__ is None, "the cause would show the values in a traceback"
    with pytest.raises(MalformedPayload, match="payload: model_type"):
        Sample.parse_data([])


def test_only_plain_words_reach_a_log_line() -> None:
    assert safe_word("conversation.user.created") == "conversation.user.created"
    for value in ("a b", "line\nbreak", "x" * 81, "", None, 7, json.dumps({})):
        assert safe_word(value) == "?"


def test_validators_are_built_on_first_use_or_beforehand() -> None:
    class Ticket(Payload):
        id: str

    class Comment(Payload):
        id: str

    class Update(Payload):
        id: str

    assert not Ticket.__pydantic_complete__
    assert Ticket.model_validate({"id": 1}).id == "1"
    assert Comment.model_validate_json('{"id": 2}').id == "2"
    assert not Update.__pydantic_complete__
    build_models()
    assert Update.__pydantic_complete__


def test_json_is_nested_200_levels_at_most() -> None:
    def nest(levels: int) -> bytes:
        return b'{"a":' + b"[" * (levels - 1) + b"]" * (levels - 1) + b"}"

    parse_json(nest(200))
    with pytest.raises(MalformedPayload):
        parse_json(nest(202))
