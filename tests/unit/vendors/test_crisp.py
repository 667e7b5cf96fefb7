"""Crisp: its two kinds of hooks, inboxes as teams, segments and data, messages that it delivers later."""

import asyncio
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from tests.helpers.api import Api
from tests.helpers.desks import BASE_URL, CrispDesk
from tests.helpers.desks.crisp import ESCAPED, KEY, VISITOR
from tests.helpers.routing import collect_classified_texts, parse_event, route, step_results
from triage import (
    Action,
    Assign,
    Bucket,
    Close,
    ConfigurationError,
    Conversation,
    InvalidSignature,
    MarkSpam,
    Note,
    Reply,
    SetFields,
    Tag,
)
from triage.models import Delivery, Request, Response
from triage.testing import Webhook
from triage.vendors import Crisp

INBOX = "00000000-0000-4000-8000-0000000002be"
OPERATOR = "00000000-0000-4000-8000-00000000232a"
MESSAGE = {
    "from": "operator",
    "origin": "chat",
    "automated": True,
    "user": {"type": "participant", "nickname": "Support"},
}

ACTIONS: Mapping[str, tuple[Action, list[tuple[str, str, Any]]]] = {
    "assign to an inbox": (Assign(team=INBOX), [("PATCH", "/inbox", {"inbox_id": INBOX})]),
    "assign to an operator": (Assign(user=OPERATOR), [("PATCH", "/routing", {"assigned": {"user_id": OPERATOR}})]),
    "reply": (Reply("Hi <you>"), [("POST", "/message", {"type": "text", "content": "Hi <you>"} | MESSAGE)]),
    "note": (Note("psst"), [("POST", "/message", {"type": "note", "content": "psst"} | MESSAGE)]),
    "tag": (
        Tag("VIP", "refund"),
        [("GET", "/meta", None), ("PATCH", "/meta", {"segments": ["vip", "refund"]})],
    ),
    "set fields": (
        SetFields({"triage": "billing", "n": 7, "ok": True}),
        [
            ("GET", "/meta", None),
            ("PATCH", "/meta", {"data": {"plan": "pro", "triage": "billing", "n": 7, "ok": True}}),
        ],
    ),
    "close": (Close(), [("PATCH", "/state", {"state": "resolved"})]),
    "mark as spam": (
        MarkSpam(),
        [
            ("GET", "/meta", None),
            ("PATCH", "/meta", {"segments": ["vip", "spam"]}),
            ("PATCH", "/state", {"state": "resolved"}),
        ],
    ),
}


def open_conversation(desk: CrispDesk, text: str = "Hello", **how: Any) -> Webhook:
    """Open a conversation with a segment and data that somebody else set."""
    webhook = desk.fake.customer_writes(text, **how)
    conversation = desk.fake.conversations[webhook.conversation_id or ""]
    conversation.tags.append("vip")
    conversation.fields["plan"] = "pro"
    return webhook


def list_writes(desk: CrispDesk) -> list[tuple[str, str, Any]]:
    """Return the calls about the conversation after it was read, in order."""
    calls = [(call.method, re.sub(r"^.*/session_[^/]+", "", call.path), call.body) for call in desk.fake.calls]
    assert [(method, path) for method, path, _ in calls[:2]] == [("GET", ""), ("GET", "/messages")]
    return calls[2:]


def fetch(desk: CrispDesk, webhook: Webhook, **data: Any) -> Conversation:
    """Fetch the conversation. `item=` and `messages=` replace the data of those responses."""

    async def send(request: Request) -> Response:
        async with httpx.AsyncClient(transport=desk.fake.transport, headers=dict(request.headers)) as client:
            response = await client.request(request.method, request.url, json=request.json)
        kind = "messages" if "/messages" in request.url else "item"
        body = response.json() | ({"data": data[kind]} if kind in data else {})
        return Response(response.status_code, dict(response.headers), json.dumps(body).encode())

    return asyncio.run(desk.adapter().fetch(parse_event(desk, webhook), send))


# Actions


@pytest.mark.parametrize("name", ACTIONS)
def test_each_action_makes_the_expected_calls(name: str, api: Api) -> None:
    desk = CrispDesk()
    action, expected = ACTIONS[name]
    assert step_results(route(desk, api, open_conversation(desk), action)) == [f"{action.type}:done"]
    assert list_writes(desk) == expected
    for call in desk.fake.calls:
        assert (call.headers["x-crisp-tier"], call.headers["authorization"][:6]) == ("plugin", "Basic ")


def test_all_actions_together_change_the_conversation(api: Api) -> None:
    desk = CrispDesk()
    webhook = open_conversation(desk)
    outcome = route(desk, api, webhook, Close(), *(action for action, _ in ACTIONS.values()))
    assert step_results(outcome) == [
        "tag+set_fields:done",
        "assign:done",
        "assign:done",
        "reply:done",
        "note:done",
        "close+close+mark_spam:done",
    ]
    conversation = desk.fake.conversations[webhook.conversation_id or ""]
    assert (conversation.team, conversation.assignee, conversation.state) == (INBOX, OPERATOR, "closed")
    assert conversation.tags == ["vip", "refund", "spam"]
    assert conversation.fields == {"plan": "pro", "triage": "billing", "n": 7, "ok": True}
    assert (desk.fake.replies(conversation.id), desk.fake.notes(conversation.id)) == (["Hi <you>"], ["psst"])
    assert desk.fake.blocked == set(), "blocking harms a customer, so it is opt-in"


def test_blocking_spammers_is_opt_in(api: Api) -> None:
    desk = CrispDesk()
    webhook = open_conversation(desk)
    route(desk, api, webhook, MarkSpam(), vendor=desk.adapter(block_spammers=True, spam_segment="VIP"))
    assert list_writes(desk) == [
        ("GET", "/meta", None),
        ("PATCH", "/block", {"blocked": True}),
        ("PATCH", "/state", {"state": "resolved"}),
    ]
    assert desk.fake.blocked == {webhook.conversation_id}


def test_a_team_can_be_a_segment(api: Api) -> None:
    desk = CrispDesk()
    webhook = open_conversation(desk)
    adapter = desk.adapter(teams="segments")
    assert step_results(route(desk, api, webhook, Assign(team="team-billing"), Tag("a"), vendor=adapter)) == [
        "assign+tag:done"
    ]
    conversation = desk.fake.conversations[webhook.conversation_id or ""]
    assert (conversation.team, conversation.tags) == (None, ["vip", "team-billing", "a"])


def test_labels_that_exist_already_are_not_written(api: Api) -> None:
    desk = CrispDesk()
    route(desk, api, open_conversation(desk), Tag("VIP"), SetFields({"plan": "pro"}))
    assert list_writes(desk) == [("GET", "/meta", None)]


@pytest.mark.parametrize("meta", [{"segments": None}, {"segments": "vip"}, {"data": []}, 7, None])
def test_labels_that_cannot_be_parsed_are_not_overwritten(meta: Any, api: Api) -> None:
    desk = CrispDesk()
    webhook = open_conversation(desk)
    desk.fake.fail("GET **/meta", status=200, body=json.dumps({"data": meta}).encode())
    assert step_results(route(desk, api, webhook, Tag("new"))) == ["tag:failed"]
    assert desk.fake.conversations[webhook.conversation_id or ""].tags == ["vip"]


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (Assign(team="Billing"), "inbox and operator ids are UUIDs"),
        (Assign(user="ada"), "inbox and operator ids are UUIDs"),
        (SetFields({"a": None}), "has None"),
    ],
)
def test_the_router_rejects_an_action_that_crisp_cannot_express(action: Action, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        CrispDesk().router(buckets=[Bucket("general", "x", [action])])


def test_an_operator_needs_an_id_even_if_teams_are_segments() -> None:
    with pytest.raises(ConfigurationError, match="UUIDs"):
        CrispDesk().adapter(teams="segments").check(Assign(user="ada"))


@pytest.mark.parametrize("message", [Reply("Hi"), Note("psst")])
def test_a_missing_message_is_never_sent_again(message: Reply | Note, api: Api) -> None:
    desk = CrispDesk()
    desk.fake.fail("POST **/message", status=502)
    outcome = route(desk, api, open_conversation(desk), message)
    assert step_results(outcome) == [f"{message.type}:unknown"]


# Webhooks


def test_a_website_hook_is_verified_by_the_key_of_its_url(api: Api) -> None:
    desk = CrispDesk(hook="website", tier="website")
    webhook = desk.fake.customer_writes("This is urgent.")
    response = api.handle(desk.router(), webhook.body, webhook.headers)
    assert response.outcome is not None
    assert response.outcome.status == "routed"
    assert {call.headers["x-crisp-tier"] for call in desk.fake.calls} == {"website"}


@pytest.mark.parametrize("key", ["", "wrong", "triage-test-secret ", "triage-test-secret, x", "é", "None"])
def test_a_website_hook_with_another_key_is_rejected(key: str, api: Api) -> None:
    desk = CrispDesk(hook="website")
    webhook = desk.fake.customer_writes("Hello")
    for headers in ({}, {"X-Triage-Url-Key": key}, CrispDesk().sign(webhook.body)):
        assert api.handle(desk.router(), webhook.body, headers).status_code == 401


def test_the_key_of_a_url_can_be_rotated() -> None:
    desk = CrispDesk(hook="website")
    adapter = desk.adapter(webhook_secret=["new", "old"])
    for key in ("new", "old"):
        adapter.verify(Delivery.create(b"{}", {"x-triage-url-key": key}, 0))
    with pytest.raises(InvalidSignature):
        adapter.verify(Delivery.create(b"{}", {"x-triage-url-key": "third"}, 0))


def test_the_tier_follows_the_hook_unless_it_is_set(api: Api) -> None:
    desk = CrispDesk(hook="website", tier="plugin")
    webhook = desk.fake.customer_writes("Hello")
    assert step_results(route(desk, api, webhook, Close(), vendor=desk.adapter())) == ["close:done"]
    outcome = route(desk, api, webhook, Close(), vendor=desk.adapter(tier=None))
    assert "tier (CRISP_TIER) is wrong (status 404, code not_subscribed" in outcome.reason


@pytest.mark.parametrize(
    "signature",
    [
        "b91f6ae9a683054eba62829aca8536f38cb80a987eb57b68f6ab98e3acca38eb",  # of the re-serialized JSON
        "",
    ],
)
def test_a_wrong_signature_is_rejected(signature: str) -> None:
    headers = {"X-Crisp-Signature": signature, "X-Crisp-Request-Timestamp": "1795478401000"}
    with pytest.raises(InvalidSignature):
        CrispDesk().adapter(webhook_secret=KEY).verify(Delivery.create(ESCAPED.encode(), headers, 1795478401))


def test_the_timestamp_of_another_delivery_is_rejected() -> None:
    body = VISITOR.replace("TEXT", "Hi, where is my invoice?").encode()
    signature = "db74bfdd24c6a24908cd3ce732053b3bd1ad14103ca09d4bf2981b0242cf3865"
    headers = {"X-Crisp-Signature": signature, "X-Crisp-Request-Timestamp": "1795478400789"}
    with pytest.raises(InvalidSignature):
        CrispDesk().adapter(webhook_secret=KEY).verify(Delivery.create(body, headers, 1795478400))


@pytest.mark.parametrize(
    ("stamp", "late", "window", "accepted"),
    [
        ("1795510800000", 300, 300, True),
        ("1795510800", -300, 300, True),
        ("1795510800000", 301, 300, False),
        ("1795510800", -301, 300, False),
        ("1795510800000", 3000, 3600, True),
        ("1795510800000", 1e9, None, True),
        ("soon", 0, None, False),
    ],
)
def test_the_replay_window_is_a_setting(stamp: str, late: float, window: float | None, accepted: bool) -> None:
    desk = CrispDesk()
    adapter = desk.adapter(replay_window=window)
    delivery = Delivery.create(b"{}", desk.sign(b"{}", stamp=stamp), 1795510800 + late)
    if accepted:
        adapter.verify(delivery)
    else:
        with pytest.raises(InvalidSignature):
            adapter.verify(delivery)


# Events


def test_an_event_has_its_key_time_and_customer() -> None:
    desk = CrispDesk()
    webhook = desk.fake.customer_writes("Hello", name="Mira")
    event = parse_event(desk, webhook)
    number = json.loads(webhook.body)["data"]["fingerprint"]
    assert event.key == f"crisp:{desk.fake.website_id}:{webhook.conversation_id}:{number}"
    assert event.occurred_at == datetime(2026, 11, 24, 9, tzinfo=UTC)
    assert (event.conversation.customer.id, event.conversation.customer.name) == (webhook.conversation_id, "Mira")


def test_every_message_is_triaged_but_only_one_is_answered(api: Api) -> None:
    desk = CrispDesk()
    first = desk.fake.customer_writes("Hi")
    later = desk.fake.customer_writes("I was charged twice", conversation=first.conversation_id)
    assert step_results(route(desk, api, first, Reply("Soon"))) == ["reply:done"]
    assert step_results(route(desk, api, later, Reply("Soon"))) == ["reply:skipped"]


def test_missing_values_are_optional() -> None:
    desk = CrispDesk()
    webhook = desk.change_message(user=None, website_id=None, timestamp=None, automated=None, inbox_id=7)
    event = parse_event(desk, webhook)
    assert (event.occurred_at, event.conversation.customer.name) == (None, None)


@pytest.mark.parametrize("timestamp", [1e300, -1e300])
def test_an_invalid_time_is_dropped(timestamp: float) -> None:
    desk = CrispDesk()
    assert parse_event(desk, desk.change_message(timestamp=timestamp)).occurred_at is None


@pytest.mark.parametrize(("content", "name"), [({"name": "scan.pdf"}, "scan.pdf"), ({}, "file"), ("scan.pdf", "file")])
def test_a_file_is_an_attachment(content: Any, name: str) -> None:
    desk = CrispDesk()
    event = parse_event(desk, desk.change_message(type="file", content=content))
    assert event.conversation.messages[0].attachments == (name,)


# Conversations


def test_every_author_has_a_role() -> None:
    desk = CrispDesk()
    webhook = desk.fake.customer_writes("One", name="Mira", email="mira@example.com", subject="Parcel")
    messages = [
        {"fingerprint": 1, "type": "text", "from": "user", "content": "One", "timestamp": 1},
        {"fingerprint": 2, "type": "text", "from": "user", "content": "Two", "timestamp": 2, "automated": True},
        {"fingerprint": 3, "type": "text", "from": "operator", "content": "Three", "timestamp": 3},
        {"fingerprint": 4, "type": "text", "from": "operator", "content": "Four", "timestamp": 4, "automated": True},
        {"fingerprint": 5, "type": "note", "from": "operator", "content": "Five", "timestamp": 5},
        {"fingerprint": 6, "type": "event", "from": "operator", "content": {"namespace": "state:resolved"}},
        {"fingerprint": 7, "type": "text", "from": "operator", "content": {"odd": 1}},
        {"fingerprint": None},
        "odd",
    ]
    conversation = fetch(desk, webhook, messages=messages)
    assert [(message.role, message.text) for message in conversation.messages[:5]] == [
        ("customer", "One"),
        ("bot", "Two"),
        ("agent", "Three"),
        ("bot", "Four"),
        ("note", "Five"),
    ]
    assert len(conversation.messages) == 6, "the event's own message is added"
    customer = conversation.customer
    assert (conversation.subject, customer.name, customer.email) == ("Parcel", "Mira", "mira@example.com")
    assert conversation.has_human
    assert not conversation.has_automatic_reply, "only our nickname makes an automated message ours"


def test_our_messages_are_recognized_by_their_nickname(api: Api) -> None:
    desk = CrispDesk()
    webhook = desk.fake.customer_writes("One")
    message = {"fingerprint": 4, "type": "text", "from": "operator", "content": "Four", "automated": True}
    user = {"user": {"nickname": "Support"}}
    assert fetch(desk, webhook, messages=[message | user]).has_automatic_reply
    assert not fetch(desk, webhook, messages=[message | {"user": {"nickname": "Hugo"}}]).has_automatic_reply


@pytest.mark.parametrize("item", [{"meta": None, "assigned": None}, {"meta": 7, "assigned": {}}, {}])
def test_a_conversation_without_meta_is_read(item: dict[str, Any]) -> None:
    desk = CrispDesk()
    webhook = desk.fake.customer_writes("One")
    conversation = fetch(desk, webhook, item={"session_id": webhook.conversation_id} | item)
    assert (conversation.subject, conversation.customer.name) == ("", None)
    assert (conversation.assignee, conversation.tags) == (None, ())


def test_a_conversation_assigned_to_an_operator_is_left_alone(api: Api) -> None:
    desk = CrispDesk()
    webhook = open_conversation(desk)
    desk.fake.assign(webhook.conversation_id or "")
    assert step_results(route(desk, api, webhook, Reply("Hi"), Tag("a"))) == ["tag:done", "reply:skipped"]


def test_a_long_conversation_is_read_page_by_page() -> None:
    desk = CrispDesk()
    webhook = desk.fake.customer_writes("0")
    for number in range(1, 130):
        desk.fake.customer_writes(str(number), conversation=webhook.conversation_id)
    conversation = fetch(desk, webhook)
    assert [message.text for message in conversation.messages[:-1]] == [str(number) for number in range(30, 130)]
    pages = [call.query.get("timestamp_before") for call in desk.fake.calls if call.path.endswith("messages")]
    assert len(set(pages)) == len(pages) == 5


@pytest.mark.parametrize("timestamp", [None, 0, -5, 1e20])
def test_a_page_without_valid_times_is_the_last(timestamp: Any) -> None:
    desk = CrispDesk()
    webhook = desk.fake.customer_writes("Hello")
    template = {"type": "text", "from": "user", "timestamp": timestamp}
    messages = [{"fingerprint": number, "content": str(number)} | template for number in range(1, 41)]
    assert len(fetch(desk, webhook, messages=messages).messages) == 41
    assert len(desk.fake.calls) == 2


def test_a_repeated_page_is_the_last() -> None:
    desk = CrispDesk()
    webhook = desk.fake.customer_writes("Hello")
    template = {"type": "text", "from": "user", "timestamp": 7}
    messages = [{"fingerprint": number, "content": str(number)} | template for number in range(1, 41)]
    fetch(desk, webhook, messages=messages)
    assert len(desk.fake.calls) == 3


def test_a_message_that_the_api_does_not_show_yet_is_added_from_the_webhook(api: Api) -> None:
    desk = CrispDesk()
    webhook = desk.fake.customer_writes("Hello")
    desk.fake.conversations[webhook.conversation_id or ""].messages.clear()
    assert collect_classified_texts(desk, api, webhook) == ["Hello"]


@pytest.mark.parametrize("answer", [b"[]", b"{}", b"<html>", b'{"data": 7}', b'{"data": {"session_id": "../x"}}'])
def test_a_response_that_cannot_be_parsed_is_an_error(answer: bytes, api: Api) -> None:
    for call in ("GET /v1/website/*/conversation/*", "GET **/messages"):
        desk = CrispDesk()
        webhook = open_conversation(desk)
        desk.fake.fail(call, status=200, body=answer)
        outcome = route(desk, api, webhook, Close())
        assert outcome.status == "failed"
        assert "cannot parse the response" in outcome.reason


# Errors and settings


@pytest.mark.parametrize(
    ("status", "body", "hint"),
    [
        (404, {"error": True, "reason": "not_subscribed", "data": {}}, "or tier (CRISP_TIER) is wrong"),
        (403, {"error": True, "reason": "restricted_route_tier"}, "the token's tier does not allow this call"),
        (403, {"error": True, "reason": "not_allowed", "data": {"message": "x"}}, "lacks a scope"),
        (401, {"error": True, "reason": "invalid_session"}, "check identifier (CRISP_IDENTIFIER) and key (CRISP_KEY)"),
        (401, "text", "check identifier (CRISP_IDENTIFIER) and key (CRISP_KEY)"),
        (420, {}, "a daily quota is renewed the next day"),
        (404, {"reason": ["odd"]}, "no such conversation"),
        (400, {"reason": "invalid_data", "data": "odd"}, "refused (status 400, code invalid_data"),
    ],
)
def test_an_error_carries_a_hint(status: int, body: Any, hint: str) -> None:
    error = CrispDesk().adapter().error(Request("GET", BASE_URL), Response(status, {}, json.dumps(body).encode()), 0)
    assert hint in str(error)


def test_an_error_carries_crisps_message_and_the_time_to_wait() -> None:
    body = json.dumps({"reason": "rate_limited", "data": {"message": "Slow down"}}).encode()
    error = CrispDesk().adapter().error(Request("GET", BASE_URL), Response(429, {"retry-after": "3"}, body), 0)
    assert (error.vendor_message, error.retry_after) == ("Slow down", 3.0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"website_id": "8C842203-7ED8-4E29-A608-7CF78A7D2FCC"}, "website_id must be a UUID in lower case"),
        ({"website_id": "../x"}, "website_id must be a UUID in lower case, not '../x'"),
        ({"identifier": " "}, "identifier is empty"),
        ({"key": ""}, "key is empty"),
        ({"hook": "both"}, "hook must be 'plugin' or 'website', not 'both'"),
        ({"tier": "user"}, "tier must be 'plugin' or 'website', not 'user'"),
        ({"teams": "groups"}, "teams must be 'inboxes' or 'segments'"),
        ({"nickname": ""}, "nickname is empty"),
        ({"spam_segment": " "}, "spam_segment is empty"),
        ({"replay_window": 0}, "replay_window must be a positive number of seconds, or None, not 0"),
    ],
)
def test_an_invalid_setting_is_rejected(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        CrispDesk().adapter(**settings)


def test_the_default_address_is_crisps_own() -> None:
    text = repr(CrispDesk().adapter(base_url=None))
    assert text == "Crisp('https://api.crisp.chat', website_id='8c842203-7ed8-4e29-a608-7cf78a7d2fcc', hook='plugin')"


def test_from_env_reads_hook_tier_nickname_and_teams(monkeypatch: pytest.MonkeyPatch, api: Api) -> None:
    desk = CrispDesk(hook="website", tier="plugin")
    variables = {"CRISP_NICKNAME": "Shop", "CRISP_TEAMS": "segments"}
    for name, value in (desk.fake.env(BASE_URL) | variables).items():
        monkeypatch.setenv(name, value)
    webhook = open_conversation(desk)
    route(desk, api, webhook, Assign(team="billing"), Reply("Hi"), vendor=Crisp.from_env())
    conversation = desk.fake.conversations[webhook.conversation_id or ""]
    assert (conversation.tags, conversation.messages[-1].author.name) == (["vip", "billing"], "Shop")
    monkeypatch.setenv("CRISP_HOOK", "both")
    with pytest.raises(ConfigurationError, match=r"hook \(CRISP_HOOK\) must be 'plugin' or 'website'"):
        Crisp.from_env()
