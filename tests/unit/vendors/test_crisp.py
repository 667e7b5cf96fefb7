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
from tests.helpers.routing import (
    collect_classified_texts,
    handle,
    parse,
    parse_event,
    read_delivery,
    route,
    step_results,
)
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
from triage.models import Delivery, Ignored, Request, Response, Step
from triage.testing import Webhook
from triage.vendors import Crisp
from triage.vendors.base import Send

WEBSITES = ("8c842203-7ed8-4e29-a608-7cf78a7d2fcc", "8c842203-7ed8-4e29-a608-7cf78a7d2fcd")
INBOX = "00000000-0000-4000-8000-0000000002be"
OPERATOR = "00000000-0000-4000-8000-00000000232a"
ADA = {"type": "operator", "user_id": OPERATOR, "nickname": "Ada"}
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


def _send_to(desk: CrispDesk) -> Send:
    async def send(request: Request) -> Response:
        async with httpx.AsyncClient(transport=desk.fake.transport, headers=dict(request.headers)) as client:
            response = await client.request(request.method, request.url, json=request.json)
        return Response(response.status_code, dict(response.headers), response.content)

    return send


def fetch(desk: CrispDesk, webhook: Webhook, adapter: Crisp | None = None, **data: Any) -> Conversation:
    """Fetch the conversation. `item=` and `messages=` replace the data of those responses."""

    async def send(request: Request) -> Response:
        async with httpx.AsyncClient(transport=desk.fake.transport, headers=dict(request.headers)) as client:
            response = await client.request(request.method, request.url, json=request.json)
        kind = "messages" if "/messages" in request.url else "item"
        body = response.json() | ({"data": data[kind]} if kind in data else {})
        return Response(response.status_code, dict(response.headers), json.dumps(body).encode())

    return asyncio.run((adapter or desk.adapter()).fetch(parse_event(desk, webhook), send))


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
        "assign:done",
        "assign:done",
        "reply:done",
        "tag+set_fields:done",
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


@pytest.mark.parametrize(
    ("late", "attempt", "window", "accepted"),
    [
        (600, "2", 300, True),
        (86_400, "3", 300, True),
        (86_400, "10", 300, True),
        (100_000, "2", 172_800, True),
        (600, "1", 300, False),
        (600, "0", 300, False),
        (600, "", 300, False),
        (600, "2, 2", 300, False),
        (86_401, "2", 300, False),
        (-301, "2", 300, False),
    ],
)
def test_a_repeated_delivery_may_be_a_day_old(late: float, attempt: str, window: float, accepted: bool) -> None:
    """Crisp may repeat a delivery with the timestamp and the signature of the first attempt."""
    desk = CrispDesk()
    headers = {**desk.sign(b"{}"), "X-Delivery-Attempt-Count": attempt}
    delivery = Delivery.create(b"{}", headers, desk.clock() + late)
    if accepted:
        desk.adapter(replay_window=window).verify(delivery)
    else:
        with pytest.raises(InvalidSignature, match=r"(?:before|after) our time"):
            desk.adapter(replay_window=window).verify(delivery)


def test_a_late_retry_is_routed_once(api: Api) -> None:
    desk = CrispDesk()
    webhook = desk.fake.customer_writes("My invoice is wrong")
    desk.clock.now += 3600
    again = desk.fake.redeliver(webhook)
    router = desk.router()
    statuses = [api.handle(router, again.body, again.headers).outcome.status for _ in range(2)]
    assert statuses == ["routed", "duplicate"]


def test_only_a_plugins_webhooks_are_repeated() -> None:
    desk = CrispDesk()
    assert desk.adapter().retries_deliveries
    assert not desk.adapter(hook="website").retries_deliveries


def test_a_rejection_says_whether_the_signature_is_absent() -> None:
    desk = CrispDesk()
    for headers, reason in (
        ({}, "X-Crisp-Signature is absent"),
        ({"X-Crisp-Signature": "0" * 64}, "X-Crisp-Request-Timestamp is absent, and X-Crisp-Signature covers it"),
        (
            {"X-Crisp-Signature": "0" * 64, "X-Crisp-Request-Timestamp": "1"},
            "X-Crisp-Signature does not fit the plugin's secret",
        ),
        ({"X-Triage-Url-Key": "x"}, "pass hook='website'"),
    ):
        with pytest.raises(InvalidSignature, match=reason):
            desk.adapter().verify(Delivery.create(b"{}", headers, 0.0))
    website = desk.adapter(hook="website")
    for headers, reason in (
        ({}, "X-Triage-Url-Key is absent"),
        ({"X-Triage-Url-Key": "x"}, "X-Triage-Url-Key is not the key in the URL"),
    ):
        with pytest.raises(InvalidSignature, match=reason):
            website.verify(Delivery.create(b"{}", headers, 0.0))


# Several websites


def test_one_router_serves_several_websites(api: Api) -> None:
    desk = CrispDesk(website_id=WEBSITES)
    router = desk.router(buckets=[Bucket("general", "x", [Assign(team=INBOX), Reply("Hi"), Tag("a"), Close()])])
    for website in WEBSITES:
        desk.fake.website_id = website
        webhook = desk.fake.customer_writes("Hello")
        event = parse_event(desk, webhook)
        assert (event.account, read_delivery(desk, webhook).brand) == (website, website)
        outcome = handle(api, router, webhook)[1]
        assert step_results(outcome) == ["assign:done", "reply:done", "tag:done", "close:done"]
        assert {call.path.split("/")[3] for call in desk.fake.calls} == {website}
        desk.fake.calls.clear()


def test_a_lost_message_is_looked_up_at_its_website(api: Api) -> None:
    desk = CrispDesk(website_id=WEBSITES)
    desk.fake.website_id = WEBSITES[1]
    webhook = desk.fake.customer_writes("Hello")
    desk.fake.fail("POST **/message", status=502, after=True)
    assert step_results(route(desk, api, webhook, Reply("Hi [you]"))) == ["reply:done"]
    assert {call.path.split("/")[3] for call in desk.fake.calls} == {WEBSITES[1]}


def test_a_conversation_is_not_read_at_another_website() -> None:
    desk = CrispDesk(website_id=WEBSITES)
    desk.fake.website_id = WEBSITES[1]
    webhook = desk.fake.customer_writes("Hello")
    client = httpx.Client(transport=desk.fake.transport, headers=dict(desk.adapter().headers()))
    for website, status in zip(WEBSITES, (404, 200), strict=True):
        url = f"{BASE_URL}/v1/website/{website}/conversation/{webhook.conversation_id}"
        assert client.get(url).status_code == status


def test_several_websites_can_be_set_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = CrispDesk(website_id=WEBSITES)
    for name, value in desk.fake.env().items():
        monkeypatch.setenv(name, value)
    assert Crisp.from_env().website_id == WEBSITES


def test_a_conversation_that_names_no_website_belongs_to_the_first() -> None:
    desk = CrispDesk(website_id=WEBSITES)
    sent: list[Request] = []

    async def send(request: Request) -> Response:
        sent.append(request)
        return Response(200, {}, b"{}")

    step = Step(actions=(Close(),))
    asyncio.run(desk.adapter().perform(step, Conversation(id="session_1"), send))
    assert WEBSITES[0] in sent[0].url
    webhook = desk.fake.customer_writes("Hello")
    asyncio.run(desk.adapter().read(webhook.conversation_id or "", _send_to(desk)))
    assert {call.path.split("/")[3] for call in desk.fake.calls} == {WEBSITES[0]}


# Events


def test_an_event_has_its_key_time_and_customer() -> None:
    desk = CrispDesk()
    webhook = desk.fake.customer_writes("Hello", name="Mira")
    event = parse_event(desk, webhook)
    number = json.loads(webhook.body)["data"]["fingerprint"]
    assert event.key == f"crisp:{desk.fake.website_id}:{webhook.conversation_id}:{number}"
    assert event.occurred_at == datetime(2026, 11, 24, 9, tzinfo=UTC)
    assert (event.customer.id, event.customer.name) == (webhook.conversation_id, "Mira")


def test_every_message_is_triaged_but_only_one_is_answered(api: Api) -> None:
    desk = CrispDesk()
    first = desk.fake.customer_writes("Hi")
    router = desk.router(buckets=[Bucket("general", "x", [Reply("Soon"), Tag("a")])])
    assert step_results(handle(api, router, first)[1]) == ["reply:done", "tag:done"]
    later = desk.fake.customer_writes("I was charged twice", conversation=first.conversation_id)
    assert step_results(handle(api, router, later)[1]) == ["tag:done", "reply:skipped"]


def test_missing_values_are_optional() -> None:
    desk = CrispDesk()
    webhook = desk.change_message(user=None, website_id=None, timestamp=None, automated=None, inbox_id=7)
    event = parse_event(desk, webhook)
    assert (event.occurred_at, event.customer.name) == (None, None)


@pytest.mark.parametrize("timestamp", [1e300, -1e300])
def test_an_invalid_time_is_dropped(timestamp: float) -> None:
    desk = CrispDesk()
    assert parse_event(desk, desk.change_message(timestamp=timestamp)).occurred_at is None


@pytest.mark.parametrize(("content", "name"), [({"name": "scan.pdf"}, "scan.pdf"), ({}, "file"), ("scan.pdf", "file")])
def test_a_file_is_an_attachment(content: Any, name: str) -> None:
    desk = CrispDesk()
    conversation = read_delivery(desk, desk.change_message(type="file", content=content))
    assert conversation.messages[0].attachments == (name,)


def test_a_message_without_a_fingerprint_gets_the_same_id_each_time() -> None:
    desk = CrispDesk()
    payload = json.loads(desk.fake.customer_writes("Hello").body)
    for fingerprint in (None, "../1", ["7"]):
        payload["data"]["fingerprint"] = fingerprint
        event = parse_event(desk, desk.sign_payload(payload))
        assert event.message_id.startswith("sha256-")
        assert parse_event(desk, desk.sign_payload(payload | {"timestamp": 1})).key == event.key


def test_an_email_may_consist_of_its_subject(api: Api) -> None:
    """A webhook does not contain the subject, so the conversation must be read."""
    desk = CrispDesk()
    webhook = desk.fake.customer_writes("", subject="Please refund invoice 1042")
    assert collect_classified_texts(desk, api, webhook) == ["Please refund invoice 1042"]
    assert isinstance(parse(desk, desk.fake.customer_writes("")), Ignored)


@pytest.mark.parametrize(
    ("kind", "content", "text", "files"),
    [
        ("text", {"text": "Hello"}, "Hello", ()),
        ("audio", {"url": "https://x.example/a", "type": "audio/webm", "duration": 7}, "", ("file",)),
        ("audio", {"duration": 7, "transcript": "My parcel is late"}, "My parcel is late", ("file",)),
        ("audio", {"transcription": "My parcel is late"}, "My parcel is late", ("file",)),
        ("animation", {"url": "https://x.example/a.gif", "type": "image/gif"}, "", ("file",)),
        ("field", {"id": "mail", "text": "Your order?", "value": "88213"}, "Your order?\n88213", ()),
    ],
)
def test_text_and_files_of_every_kind_of_message(kind: str, content: Any, text: str, files: tuple[str, ...]) -> None:
    desk = CrispDesk()
    message = read_delivery(desk, desk.change_message(type=kind, content=content)).messages[0]
    assert (message.text, message.attachments) == (text, files)


# Conversations


@pytest.mark.parametrize(
    ("message", "role"),
    [
        ({"user": ADA}, "agent"),
        ({"user": {"user_id": OPERATOR}}, "agent"),
        ({"user": {"user_id": OPERATOR}, "origin": "email"}, "agent"),
        ({"user": ADA, "origin": "urn:crisp.im:bot:0"}, "bot"),
        ({"user": ADA, "origin": "urn:acme.example:helper:0"}, "bot"),
        ({"user": ADA, "automated": True}, "bot"),
        ({"user": {"type": "participant", "nickname": "Chaindesk"}}, "bot"),
        ({"user": {"type": "website", "user_id": OPERATOR}}, "bot"),
        ({"user": {"type": "operator", "nickname": "Ada"}}, "bot"),
        ({}, "bot"),
        ({"user": {"user_id": "00000000-0000-4000-8000-000000000b07"}}, "bot"),
        ({"user": ADA, "type": "note"}, "note"),
        ({"from": "user", "origin": "urn:crisp.im:whatsapp:0", "user": {}}, "customer"),
    ],
)
def test_only_a_human_operator_counts_as_human(message: dict[str, Any], role: str, api: Api) -> None:
    desk = CrispDesk()
    webhook = desk.fake.customer_writes("Hello")
    written = {"fingerprint": 1, "type": "text", "from": "operator", "origin": "chat", "content": "One"} | message
    adapter = desk.adapter(machines=["00000000-0000-4000-8000-000000000b07"])
    conversation = fetch(desk, webhook, adapter, messages=[written])
    assert conversation.messages[0].role == role


def test_a_conversation_assigned_to_a_machine_is_nobodys(api: Api) -> None:
    desk = CrispDesk()
    webhook = desk.fake.customer_writes("Hello")
    desk.fake.assign(webhook.conversation_id or "")
    vendor = desk.adapter(machines=[OPERATOR])
    assert step_results(route(desk, api, webhook, Assign(team=INBOX), vendor=vendor)) == ["assign:done"]


def test_choices_and_cards_are_text_but_notices_are_not() -> None:
    desk = CrispDesk()
    webhook = desk.fake.customer_writes("Hello")
    choices = [{"label": "Today"}, {"label": "Friday", "selected": True}]
    cards = [{"title": "Red shoes"}, {"title": "Blue shoes"}]
    bot = {"from": "operator", "automated": True}
    messages = [
        bot | {"fingerprint": 1, "type": "picker", "content": {"id": "d", "text": "Which day?", "choices": choices}},
        bot | {"fingerprint": 2, "type": "carousel", "content": {"text": "Look:", "targets": cards}},
        {"fingerprint": 3, "type": "event", "from": "operator", "content": {"namespace": "participant:added"}},
        {"fingerprint": 4, "type": "event", "from": "operator", "content": "The conversation was rated"},
    ]
    conversation = fetch(desk, webhook, messages=messages)
    texts = [message.text for message in conversation.messages]
    assert texts == ["Which day?\nFriday", "Look:\nRed shoes\nBlue shoes", "Hello"]


def test_a_conversation_has_team_channel_inbox_brand_and_state() -> None:
    desk = CrispDesk()
    webhook = desk.fake.customer_writes("Hello", subject="Parcel")
    desk.fake.conversations[webhook.conversation_id or ""].team = INBOX
    conversation = fetch(desk, webhook)
    assert (conversation.team, conversation.inbox, conversation.brand) == (INBOX, INBOX, desk.fake.website_id)
    assert (conversation.channel, conversation.is_closed, conversation.closed_at) == ("email", False, None)
    desk.fake.close(webhook.conversation_id or "")
    assert fetch(desk, webhook).is_closed
    shown = read_delivery(desk, desk.change_message(inbox_id=INBOX))
    assert (shown.team, shown.inbox, shown.channel) == (INBOX, INBOX, "chat")
    segmented = fetch(desk, webhook, desk.adapter(teams="segments"))
    assert (segmented.team, segmented.inbox) == (None, INBOX)


def test_a_conversation_that_the_customer_reopens_is_nobodys(api: Api) -> None:
    """Resolving ends the episode, although a human has just answered."""
    desk = CrispDesk()
    first = desk.fake.customer_writes("How do I export?")
    desk.fake.agent_writes("Like this. Bye!", conversation=first.conversation_id or "")
    desk.clock.now += 60
    resolving = desk.fake.close(first.conversation_id or "")
    assert json.loads(resolving.body)["data"]["state"] == "resolved"
    desk.clock.now += 60
    webhook = desk.fake.customer_writes("My account was hacked", conversation=first.conversation_id)
    conversation = fetch(desk, webhook)
    assert (conversation.text, conversation.last_human_answer()) == ("My account was hacked", None)
    assert step_results(route(desk, api, webhook, Assign(team=INBOX))) == ["assign:done"]


def test_a_resolved_conversation_is_not_answered(api: Api) -> None:
    desk = CrispDesk()
    webhook = desk.fake.customer_writes("Hello")
    desk.fake.close(webhook.conversation_id or "")
    desk.fake.close(webhook.conversation_id or "")
    assert step_results(route(desk, api, webhook, Reply("Hi"), Tag("a"))) == ["tag:done", "reply:skipped"]
    events = [
        message
        for message in desk.fake.conversations[webhook.conversation_id or ""].messages
        if message.type == "event"
    ]
    assert len(events) == 1


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("[Sign in](https://evil.example)", "\\[Sign in\\](https://evil.example)"),
        ("![](https://evil.example/x.png)", "!\\[\\](https://evil.example/x.png)"),
        ("\\[a\\](https://evil.example)", "\\\\\\[a\\\\\\](https://evil.example)"),
        ("<https://evil.example>", "\\<https://evil.example>"),
        ("<mira@evil.example>", "\\<mira@evil.example>"),
        ("`code`", "\\`code\\`"),
        ("1 < 2, a_b & <you>, https://shop.example/help", "1 < 2, a_b & <you>, https://shop.example/help"),
    ],
)
@pytest.mark.parametrize("kind", [Reply, Note])
def test_markdown_is_escaped(kind: type[Reply | Note], text: str, sent: str, api: Api) -> None:
    desk = CrispDesk()
    webhook = desk.fake.customer_writes("Hello")
    route(desk, api, webhook, kind(text))
    conversation = webhook.conversation_id or ""
    assert [*desk.fake.replies(conversation), *desk.fake.notes(conversation)] == [sent]
    assert fetch(desk, webhook).messages[1].text == text


def test_an_escaped_message_whose_response_was_lost_is_recognized(api: Api) -> None:
    desk = CrispDesk()
    desk.fake.fail("POST **/message", status=502, after=True)
    webhook = desk.fake.customer_writes("Hello", name="[Mira]")
    assert step_results(route(desk, api, webhook, Note("Why [not]?"))) == ["note:done"]


@pytest.mark.parametrize("body", [b"", b"[]", b'{"data": {}}', b'{"data": 7}', b'{"data": {"fingerprint": "../1"}}'])
def test_an_accepted_message_may_have_no_id(body: bytes, api: Api) -> None:
    desk = CrispDesk()
    desk.fake.fail("POST **/message", status=202, body=body)
    assert step_results(route(desk, api, desk.fake.customer_writes("Hello"), Reply("Hi"))) == ["reply:done"]


def test_the_id_of_a_message_is_returned() -> None:
    desk = CrispDesk()
    webhook = desk.fake.customer_writes("Hello")
    conversation = fetch(desk, webhook)
    performed = asyncio.run(desk.adapter().perform(Step(actions=(Reply("Hi"),)), conversation, _send_to(desk)))
    assert performed is not None
    assert performed.message_ids == (desk.fake.conversations[conversation.id].messages[-1].id,)


@pytest.mark.parametrize(
    ("action", "call", "message", "status"),
    [
        (Assign(team=INBOX), "PATCH **/inbox", f"the inbox '{INBOX}' was rejected", "failed"),
        (Assign(user=OPERATOR), "PATCH **/routing", f"the operator '{OPERATOR}' was rejected", "failed"),
        (Tag("new"), "PATCH **/meta", "one of the segments or data 'new' was rejected", "partial"),
        (SetFields({"n": 7}), "PATCH **/meta", "one of the segments or data 'n' was rejected", "partial"),
    ],
)
def test_a_rejected_change_is_named(action: Action, call: str, message: str, status: str, api: Api) -> None:
    desk = CrispDesk()
    desk.fake.fail(call, status=400)
    outcome = route(desk, api, desk.fake.customer_writes("Hello"), action)
    assert (outcome.status, message in outcome.reason) == (status, True)


def test_a_change_that_may_succeed_later_is_not_called_a_rejection(api: Api) -> None:
    desk = CrispDesk()
    desk.fake.fail("PATCH **/inbox", status=403, times=None)
    outcome = route(desk, api, desk.fake.customer_writes("Hello"), Assign(team=INBOX))
    assert (outcome.status, "rejected" in outcome.reason) == ("failed", False)


def test_every_author_has_a_role() -> None:
    desk = CrispDesk()
    webhook = desk.fake.customer_writes("One", name="Mira", email="mira@example.com", subject="Parcel")
    messages = [
        {"fingerprint": 1, "type": "text", "from": "user", "content": "One", "timestamp": 1},
        {"fingerprint": 2, "type": "text", "from": "user", "content": "Two", "timestamp": 2, "automated": True},
        {"fingerprint": 3, "type": "text", "from": "operator", "content": "Three", "timestamp": 3, "user": ADA},
        {"fingerprint": 4, "type": "text", "from": "operator", "content": "Four", "timestamp": 4, "automated": True},
        {"fingerprint": 5, "type": "note", "from": "operator", "content": "Five", "timestamp": 5},
        {"fingerprint": 6, "type": "event", "from": "operator", "content": {"namespace": "state:resolved"}},
        {"fingerprint": 7, "type": "text", "from": "operator", "content": {"odd": 1}},
        {"fingerprint": None},
        "odd",
    ]
    conversation = fetch(desk, webhook, messages=messages)
    others = [message for message in conversation.messages[5:] if message.text]
    assert [message.text for message in others] == ["One"], "the event's own message is added"
    assert [(message.role, message.text) for message in conversation.messages[:5]] == [
        ("customer", "One"),
        ("bot", "Two"),
        ("agent", "Three"),
        ("bot", "Four"),
        ("note", "Five"),
    ]
    customer = conversation.customer
    assert (conversation.subject, customer.name, customer.email) == ("Parcel", "Mira", "mira@example.com")
    answer = conversation.last_human_answer()
    assert answer is not None
    assert (answer.text, answer.author) == ("Three", OPERATOR)
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
        ({"website_id": ["8c842203-7ed8-4e29-a608-7cf78a7d2fcc", "x"]}, "website_id must be a UUID .*, not 'x'"),
        ({"website_id": []}, "website_id is empty"),
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
    assert (
        text == "Crisp('https://api.crisp.chat', website_id=('8c842203-7ed8-4e29-a608-7cf78a7d2fcc',), hook='plugin')"
    )


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
