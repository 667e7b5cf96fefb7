"""Front: its two webhook systems, archiving, inboxes as teams, tags by id, queued replies."""

import asyncio
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from openapi_core.testing import MockRequest

from tests.helpers.api import Api
from tests.helpers.desks import BASE_URL, FrontDesk
from tests.helpers.desks.front import KEY, SYNC, TAGGED
from tests.helpers.routing import collect_classified_texts, parse, parse_event, route, step_results
from tests.helpers.specs import load_description, load_document
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
    VendorError,
)
from triage.models import Delivery, Handshake, Ignored, Request, Response, Step
from triage.testing import Webhook
from triage.vendors import Front

HTML = "<p>Hi &lt;you&gt;,</p><p>fine &amp; well.</p>"
TEXT = "Hi <you>,\n\nfine & well."
REPLY = {"body": HTML, "text": TEXT, "author_id": "tea_9001"}

ACTIONS: Mapping[str, tuple[Action, list[tuple[str, str, Any]]]] = {
    "assign to an inbox": (Assign(team="inb_billing"), [("PATCH", "", {"inbox_id": "inb_billing"})]),
    "assign to a teammate": (Assign(user="tea_9002"), [("PATCH", "", {"assignee_id": "tea_9002"})]),
    "reply": (Reply(TEXT), [("POST", "/messages", REPLY | {"options": {"archive": False}})]),
    "note": (Note("psst [x](y)"), [("POST", "/comments", {"body": r"psst \[x\](y)", "author_id": "tea_9001"})]),
    "tag": (Tag("vip", "tag_b"), [("POST", "/tags", {"tag_ids": ["tag_a", "tag_b"]})]),
    "set fields": (
        SetFields({"triage": "billing"}),
        [("GET", "", None), ("PATCH", "", {"custom_fields": {"Plan": "pro", "triage": "billing"}})],
    ),
    "close": (Close(), [("PATCH", "", {"status": "archived"})]),
    "mark as spam": (MarkSpam(), [("POST", "/tags", {"tag_ids": ["tag_c"]}), ("PATCH", "", {"status": "archived"})]),
}


def open_conversation(desk: FrontDesk, text: str = "Hello", **how: Any) -> Webhook:
    """Open a conversation with a custom field, in a company with three tags."""
    webhook = desk.fake.customer_writes(text, **how)
    desk.fake.conversations[webhook.conversation_id or ""].fields["Plan"] = "pro"
    desk.fake.tags |= {"tag_a": "VIP", "tag_b": "refund", "tag_c": "spam"}
    return webhook


def list_writes(desk: FrontDesk) -> list[tuple[str, str, Any]]:
    """Return the calls about the conversation after it was read, in order."""
    calls = [(call.method, re.sub(r"^/conversations/[^/]+", "", call.path), call.body) for call in desk.fake.calls]
    assert [(method, path) for method, path, _ in calls[:2]] == [("GET", ""), ("GET", "/messages")]
    return [call for call in calls[2:] if call[1] != "/company/tags"]


# Actions


@pytest.mark.parametrize("name", ACTIONS)
def test_each_action_makes_the_expected_calls(name: str, api: Api) -> None:
    desk = FrontDesk()
    action, expected = ACTIONS[name]
    assert step_results(route(desk, api, open_conversation(desk), action)) == [f"{action.type}:done"]
    assert list_writes(desk) == expected


def test_all_actions_together_change_the_conversation(api: Api) -> None:
    desk = FrontDesk()
    webhook = open_conversation(desk)
    actions = [action for action, _ in ACTIONS.values() if not isinstance(action, MarkSpam)]
    outcome = route(desk, api, webhook, Close(), *actions)
    assert step_results(outcome) == ["assign+assign+tag+set_fields:done", "note:done", "reply+close+close:done"]
    conversation = desk.fake.conversations[webhook.conversation_id or ""]
    assert (conversation.team, conversation.assignee) == ("inb_billing", "tea_9002")
    assert (conversation.tags, conversation.fields) == (["VIP", "refund"], {"Plan": "pro", "triage": "billing"})
    assert desk.fake.replies(conversation.id) == [HTML]
    assert desk.fake.notes(conversation.id) == ["psst [x](y)"]
    assert desk.fake.status(conversation.id) == "archived"


def test_a_reply_archives_only_if_the_policy_closes(api: Api) -> None:
    for actions, status in (([Reply("Hi")], "unassigned"), ([Close(), Reply("Hi")], "archived")):
        desk = FrontDesk()
        webhook = open_conversation(desk)
        route(desk, api, webhook, *actions)
        assert [call[2]["options"] for call in list_writes(desk)] == [{"archive": status == "archived"}]
        assert desk.fake.status(webhook.conversation_id or "") == status


def test_closing_after_a_note_takes_a_separate_call(api: Api) -> None:
    desk = FrontDesk()
    assert step_results(route(desk, api, open_conversation(desk), Close(), Note("x"), Tag("tag_a"))) == [
        "tag:done",
        "note:done",
        "close:done",
    ]


def test_spam_is_marked_after_the_reply_which_does_not_archive(api: Api) -> None:
    desk = FrontDesk()
    assert step_results(route(desk, api, open_conversation(desk), MarkSpam(), Reply("x"), Close())) == [
        "reply:done",
        "mark_spam+close:done",
    ]


def test_the_spam_status_is_opt_in(api: Api) -> None:
    desk = FrontDesk()
    webhook = open_conversation(desk)
    adapter = desk.adapter(spam_status=True)
    route(desk, api, webhook, Close(), MarkSpam(), Close(), vendor=adapter)
    assert list_writes(desk) == [("PATCH", "", {"status": "spam"})]


def test_a_team_can_be_a_tag(api: Api) -> None:
    desk = FrontDesk()
    webhook = open_conversation(desk)
    adapter = desk.adapter(teams="tags")
    assert step_results(route(desk, api, webhook, Assign(team="Team Billing"), Tag("vip"), vendor=adapter)) == [
        "assign+tag:done"
    ]
    conversation = desk.fake.conversations[webhook.conversation_id or ""]
    assert (conversation.team, conversation.tags) == (None, ["Team Billing", "VIP"])


def test_a_missing_tag_is_created_once(api: Api) -> None:
    desk = FrontDesk()
    webhook = open_conversation(desk)
    route(desk, api, webhook, Tag(" new ", "VIP", "new"))
    assert list(desk.fake.tags.values()) == ["VIP", "refund", "spam", "new"]
    assert desk.fake.conversations[webhook.conversation_id or ""].tags == ["new", "VIP"]


def test_tags_given_by_id_are_not_looked_up(api: Api) -> None:
    desk = FrontDesk()
    route(desk, api, open_conversation(desk), Tag("tag_a"))
    assert [call.path for call in desk.fake.calls if "company" in call.path] == []


def test_the_first_of_several_tags_with_the_same_name_is_used(api: Api) -> None:
    desk = FrontDesk(rate_limit=None)
    webhook = open_conversation(desk)
    desk.fake.tags |= {f"tag_{number}": f"Tag {number}" for number in range(150)} | {"tag_twice": "vip"}
    route(desk, api, webhook, Tag("vip", "tag 149"))
    assert list_writes(desk) == [("POST", "/tags", {"tag_ids": ["tag_a", "tag_149"]})]


def test_a_reply_uses_the_configured_channel(api: Api) -> None:
    desk = FrontDesk()
    route(desk, api, open_conversation(desk), Reply(TEXT), vendor=desk.adapter(channel_id="cha_1in"))
    assert list_writes(desk) == [
        ("POST", "/messages", REPLY | {"options": {"archive": False}, "channel_id": "cha_1in"})
    ]


def test_a_customers_name_cannot_create_a_link_or_a_mention_in_a_comment(api: Api) -> None:
    desk = FrontDesk()
    webhook = open_conversation(desk, name="[Click](https://evil.example) @ada")
    route(desk, api, webhook, Note("From {customer_name}"))
    assert desk.fake.notes(webhook.conversation_id or "") == ["From [Click](https://evil.example) @ada"]
    assert list_writes(desk)[0][2]["body"] == r"From \[Click\](https://evil.example) \@ada"


def test_fields_that_cannot_be_read_are_not_overwritten(api: Api) -> None:
    desk = FrontDesk()
    webhook = open_conversation(desk)
    desk.fake.fail("GET /conversations/*", status=200, body=b'{"id": "cnv_1", "custom_fields": null}', skip=1)
    outcome = route(desk, api, webhook, SetFields({"a": 1}))
    assert step_results(outcome) == ["set_fields:failed"]
    assert desk.fake.conversations[webhook.conversation_id or ""].fields == {"Plan": "pro"}


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (Assign(team="Billing"), "inbox ids look like inb_"),
        (Assign(team="tea_1"), "inbox ids look like inb_"),
        (Assign(user="ada"), "teammate ids look like tea_"),
        (Tag("x" * 65), "at most 64 characters"),
    ],
)
def test_the_router_rejects_an_action_that_front_cannot_express(action: Action, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        FrontDesk().router(buckets=[Bucket("general", "x", [action])])


# Replies and comments with an unknown outcome


def test_a_missing_reply_is_never_sent_again(api: Api) -> None:
    desk = FrontDesk()
    desk.fake.fail("POST /conversations/*/messages", status=502)
    outcome = route(desk, api, open_conversation(desk), Reply("Hi"))
    assert step_results(outcome) == ["reply:unknown"]


def test_a_reply_is_found_although_a_signature_was_appended(api: Api) -> None:
    desk = FrontDesk()
    webhook = open_conversation(desk)
    conversation = desk.fake.conversations[webhook.conversation_id or ""]
    desk.fake.fail("POST /conversations/*/messages", timeout=True, after=True)
    respond = desk.fake.respond

    def append_signature(request: Any) -> Any:
        if request.method == "GET":
            for message in conversation.messages:
                if message.via_api:
                    message.body = f"{message.body}<br>--<br>Sent by triage"
        return respond(request)

    desk.fake.respond = append_signature  # type: ignore[method-assign]
    assert step_results(route(desk, api, webhook, Reply("Hi"))) == ["reply:done"]


def test_a_missing_comment_was_not_created(api: Api) -> None:
    desk = FrontDesk()
    webhook = open_conversation(desk)
    desk.fake.fail("POST /conversations/*/comments", timeout=True)
    assert step_results(route(desk, api, webhook, Note("psst"))) == ["note:failed"]


def test_a_comment_of_another_author_is_not_ours() -> None:
    desk = FrontDesk()
    webhook = open_conversation(desk)
    conversation_id = webhook.conversation_id or ""
    with httpx.Client(transport=desk.fake.transport, headers={"Authorization": "Bearer fake-api-token"}) as client:
        for author in ("tea_9002", None):
            body = {"body": "psst"} | ({"author_id": author} if author else {})
            client.post(f"{BASE_URL}/conversations/{conversation_id}/comments", json=body)
    step = Step(actions=(Note("psst"),))
    assert not asyncio.run(desk.adapter().was_performed(step, Conversation(id=conversation_id), create_send(desk)))


# Webhooks


@pytest.mark.parametrize("bucket", ["urgent", "spam"])
def test_a_rules_webhook_is_routed_like_an_applications(bucket: str, api: Api) -> None:
    desk = FrontDesk(source="rule")
    webhook = desk.fake.customer_writes(f"This is {bucket}.")
    event = parse_event(desk, webhook)
    assert (event.account, event.kind) == ("cmp_4thp0", "created")
    assert event.key == f"front:cmp_4thp0:{webhook.conversation_id}:{event.message_id}"
    outcome = api.handle(desk.router(), webhook.body, webhook.headers).outcome
    assert outcome is not None
    assert outcome.status == ("closed" if bucket == "spam" else "routed")
    agent_reply = desk.fake.agent_writes("Hi", conversation=webhook.conversation_id or "")
    assert parse(desk, agent_reply) == Ignored("event outbound")


def test_a_request_cannot_choose_its_signature_scheme() -> None:
    application, rule = FrontDesk(), FrontDesk(source="rule")
    for sender, receiver in ((application, rule), (rule, application)):
        webhook = sender.fake.customer_writes("Hello")
        assert receiver.router().receive(webhook.body, webhook.headers).status_code == 401


RULE = "rule-api-secret-0123"
R1 = b'{"id":"evt_4ckcra8e","type":"inbound","emitted_at":1764000001.25}'
R2 = (
    '{"id":"evt_4ckcra8f","type":"inbound","conversation":{"id":"cnv_yo1kg5q",'
    '"subject":"Réclamation – größer als erwartet"},"target":{"_meta":{"type":"message"},'
    '"data":{"id":"msg_1q15qmtr","text":"返金してください 💸"}}}'
).encode()
R3 = b'{\n  "id": "evt_4ckcra8g",\n  "type": "inbound",\n  "note": "caf\\u00e9"\n}'


@pytest.mark.parametrize(
    ("body", "signature", "good"),
    [
        (R1, "egN+4KcNH3UuOlLKfwdoL2KLSFg=", True),
        (R2, "JD6EUv4oui4bl3MGvB+xcnA3AJc=", True),
        (R2, "mS8CpUnHvUs/1dztjN02PUmFuTA=", False),  # in ASCII
        (R3, "rl60vK+hEJvgmD03e+g46JiUloA=", True),
        (R3, "mL/Cgmm7W/mHaGbdG8aKULN3mh0=", True),  # of the compact JSON
        (R1 + b" ", "egN+4KcNH3UuOlLKfwdoL2KLSFg=", True),
        (b"", "hwClZGJmLlMat+WeiP5KXHdofRY=", True),
        (b"x", "hwClZGJmLlMat+WeiP5KXHdofRY=", False),  # a body that is not JSON is not verified as an empty one
        (b"{", "egN+4KcNH3UuOlLKfwdoL2KLSFg=", False),
        (b"[" * 50_000, "egN+4KcNH3UuOlLKfwdoL2KLSFg=", False),
        (b'"\\ud800"', "egN+4KcNH3UuOlLKfwdoL2KLSFg=", False),
        (R1, "", False),
    ],
)
def test_a_rule_signs_the_bytes_or_the_compact_json(body: bytes, signature: str, good: bool) -> None:
    adapter = FrontDesk(source="rule").adapter(webhook_secret=RULE)
    delivery = Delivery.create(body, {"X-Front-Signature": signature}, 0)
    if good:
        adapter.verify(delivery)
    else:
        with pytest.raises(InvalidSignature):
            adapter.verify(delivery)


@pytest.mark.parametrize(
    ("stamp", "body", "signature"),
    [
        (1764000000123, SYNC, "TA1uCFHzYpaO0y9BTFAMCeNGQqJYdJh9fBQkUT7hUi0="),  # no separator
        (1764000000123, SYNC, "781/Hx2gDWMZQaR7hzUl1YP0jCIn6qbe2wbwIX7yX3c="),  # a dot
        (1764000000123, SYNC, "BEK5AsMS7bf/Ibv0vR49X15CqFCn8oLNOY+v+qlp61Y="),  # the body alone
        (1764000000123, SYNC, "pXk/LudNMOZQbojqwg6CQBaXt09EdaoBRBNJDdpi6zM="),  # a decoded key
        (1764000000123, SYNC, "yMDltSFUyRvkAKaDaJ4jylC38n0="),  # SHA-1
        (1764000002000, TAGGED, "T37L+x9v8Dp4ELWl3IlnMtxS52yOY0z8Ch9WBCwB9ko="),  # the compact JSON
    ],
)
def test_a_wrong_signature_is_rejected(stamp: int, body: bytes, signature: str) -> None:
    headers = {"X-Front-Signature": signature, "X-Front-Request-Timestamp": str(stamp)}
    with pytest.raises(InvalidSignature):
        FrontDesk().adapter(webhook_secret=KEY).verify(Delivery.create(body, headers, stamp / 1000))


@pytest.mark.parametrize(("late", "accepted"), [(-300, True), (300, True), (-300.1, False), (300.1, False)])
def test_an_applications_delivery_may_be_five_minutes_old(late: float, accepted: bool) -> None:
    desk = FrontDesk()
    webhook = desk.fake.customer_writes("Hello")
    desk.clock.now += late
    assert desk.router().receive(webhook.body, webhook.headers).status_code == (200 if accepted else 401)


def test_a_challenge_is_echoed_as_json(api: Api) -> None:
    desk = FrontDesk()
    webhook = desk.fake.ping()
    answer = api.handle(desk.router(), webhook.body, webhook.headers)
    assert (answer.status_code, json.loads(answer.body)) == (200, {"challenge": webhook.headers["X-Front-Challenge"]})
    assert answer.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("challenge", [None, "", "<script>", "a b", "x" * 257, "é", "a\r\nSet-Cookie: b"])
def test_a_challenge_that_is_not_a_plain_word_is_not_echoed(challenge: str | None) -> None:
    desk = FrontDesk()
    webhook = desk.fake.ping()
    del webhook.headers["X-Front-Challenge"]
    if challenge is not None:
        webhook.headers["X-Front-Challenge"] = challenge
    handshake = parse(desk, webhook)
    assert isinstance(handshake, Handshake)
    assert handshake.body == {}


def test_an_unsigned_challenge_is_not_echoed(api: Api) -> None:
    headers = {"X-Front-Challenge": "echo-me"}
    answer = api.handle(FrontDesk().router(), SYNC, headers)
    assert (answer.status_code, b"echo-me" in answer.body) == (401, False)


# Events


def test_later_messages_are_triaged_only_on_request(api: Api) -> None:
    desk = FrontDesk()
    first = desk.fake.customer_writes("Hello")
    desk.clock.now += 60
    soon = desk.fake.customer_writes("It is order 7", conversation=first.conversation_id)
    assert parse_event(desk, soon).kind == "created", "a second message within a minute belongs to the first one"
    desk.clock.now += 1
    later = desk.fake.customer_writes("Still there?", conversation=first.conversation_id)
    assert parse(desk, later) == Ignored("a later message of the conversation")
    assert parse_event(desk, later, messages="all").kind == "replied"
    assert collect_classified_texts(desk, api, later, vendor=desk.adapter(messages="all")) == ["Still there?"]


@pytest.mark.parametrize("name", ["created_at", "conversation.created_at"])
def test_a_message_without_times_is_triaged(name: str) -> None:
    desk = FrontDesk()
    payload = json.loads(desk.fake.customer_writes("Hello").body)
    happening = payload["payload"]
    del (happening["conversation"] if name.startswith("conv") else happening["target"]["data"])["created_at"]
    assert parse_event(desk, desk.sign_payload(payload)).kind == "created"


def test_a_preview_is_read_from_the_api(api: Api) -> None:
    desk = FrontDesk(source="rule")
    webhook = desk.fake.customer_writes("Hello", subject="Parcel")
    payload = json.loads(webhook.body)
    del payload["target"]
    event = parse_event(desk, desk.sign_payload(payload))
    assert (event.message_id, event.conversation.messages) == (payload["id"], ())
    assert collect_classified_texts(desk, api, desk.sign_payload(payload)) == ["Parcel\n\nHello"]


def test_a_preview_of_a_message_is_read_from_the_api(api: Api) -> None:
    desk = FrontDesk()
    payload = json.loads(desk.fake.customer_writes("Hello").body)
    message = payload["payload"]["target"]["data"]
    for name in ("body", "blurb", "text"):
        message.pop(name, None)
    assert collect_classified_texts(desk, api, desk.sign_payload(payload)) == ["Hello"]


def test_only_the_configured_inboxes_are_triaged(api: Api) -> None:
    desk = FrontDesk()
    webhook = desk.fake.customer_writes("Hello")
    assert parse_event(desk, webhook, inboxes=["inb_other", "inb_1in"]).kind == "created"
    assert parse(desk, webhook, inboxes=["inb_other"]) == Ignored("in another inbox")


@pytest.mark.parametrize("created_at", [1e300, -1e300, "2026-11-24T09:00:00", "soon"])
def test_an_invalid_time_is_dropped(created_at: object) -> None:
    desk = FrontDesk()
    payload = json.loads(desk.fake.customer_writes("Hello").body)
    payload["payload"]["target"]["data"]["created_at"] = created_at
    assert parse_event(desk, desk.sign_payload(payload), messages="all").occurred_at is None


def test_an_event_has_its_time_and_its_customer() -> None:
    desk = FrontDesk()
    event = parse_event(desk, desk.fake.customer_writes("Hello", name="Mira", email="mira@example.com"))
    assert event.occurred_at == datetime(2026, 11, 24, 9, 0, 0, 250000, UTC)
    customer = event.conversation.customer
    assert (customer.id, customer.name, customer.email) == ("crd_1", "Mira", "mira@example.com")


# Conversations


def create_send(desk: FrontDesk, **changes: Any) -> Any:
    """Return a `Send` without retries; `changes` replaces parts of the responses."""

    async def send(request: Request) -> Response:
        async with httpx.AsyncClient(transport=desk.fake.transport, headers=dict(request.headers)) as client:
            response = await client.request(request.method, request.url, json=request.json)
        data = response.json()
        data |= {name: value for name, value in changes.items() if name in data}
        return Response(response.status_code, dict(response.headers), json.dumps(data).encode())

    return send


def fetch(desk: FrontDesk, webhook: Webhook, **changes: Any) -> Conversation:
    return asyncio.run(desk.adapter().fetch(parse_event(desk, webhook), create_send(desk, **changes)))


def test_every_author_has_a_role() -> None:
    desk = FrontDesk()
    webhook = desk.fake.customer_writes("One")
    messages = [
        {"id": "msg_a", "is_inbound": True, "created_at": 1, "text": "One"},
        {"id": "msg_b", "is_inbound": False, "created_at": 2, "text": "Two", "author": {"id": "tea_9001"}},
        {"id": "msg_c", "is_inbound": False, "created_at": 3, "text": "Three", "author": {"id": "tea_9002"}},
        {"id": "msg_d", "is_inbound": False, "created_at": 4, "text": "Four", "author": {"id": "x", "type": "rule"}},
        {"id": "msg_e", "is_inbound": False, "created_at": 5, "text": "Five", "author": None},
        {"id": "msg_f", "is_inbound": False, "created_at": 6, "text": "Six", "is_draft": True},
    ]
    conversation = fetch(desk, webhook, _results=messages[::-1])
    assert [(message.role, message.text) for message in conversation.messages] == [
        ("customer", "One"),
        ("bot", "Two"),
        ("agent", "Three"),
        ("bot", "Four"),
        ("bot", "Five"),
        ("customer", "One"),  # the event's own message, which is missing from this response
    ]
    assert (conversation.has_automatic_reply, conversation.has_human) == (True, True)


def test_the_text_comes_from_text_body_or_blurb() -> None:
    desk = FrontDesk()
    webhook = desk.fake.customer_writes("One")
    inbound: dict[str, Any] = {"is_inbound": True}
    messages = [
        {"id": "msg_a", "text": "text", "body": "<b>body</b>", "blurb": "blurb"} | inbound,
        {"id": "msg_b", "body": "<b>body</b><img src='https://example.com/a.png'>", "blurb": "blurb"} | inbound,
        {"id": "msg_c", "text": None, "blurb": "blurb"} | inbound,
        {"id": "msg_d", "attachments": [{"filename": "scan.pdf"}, {}]} | inbound,
    ]
    parsed = fetch(desk, webhook, _results=messages).messages[:4]
    assert [message.text for message in parsed] == ["text", "body", "blurb", ""]
    assert [message.attachments for message in parsed] == [(), ("image",), (), ("scan.pdf", "file")]


@pytest.mark.parametrize(
    ("recipient", "customer"),
    [
        ({"handle": "a@example.com", "name": "A"}, (None, "A", "a@example.com")),
        ({"_links": None, "handle": "a@example.com"}, (None, None, "a@example.com")),
        ({"_links": {"related": None}}, (None, None, None)),
        ({"_links": {"related": {"contact": "https://x/contacts/crd_7"}}}, ("crd_7", None, None)),
        ({"_links": {"related": {"contact": "https://x/contacts/../me"}}}, (None, None, None)),
        (None, (None, None, None)),
    ],
)
def test_the_customer_is_parsed_from_the_recipient(recipient: Any, customer: Any) -> None:
    desk = FrontDesk()
    payload = json.loads(desk.fake.customer_writes("Hello").body)
    payload["payload"]["conversation"]["recipient"] = recipient
    payload["payload"]["target"]["data"]["recipients"] = None
    parsed = parse_event(desk, desk.sign_payload(payload)).conversation.customer
    assert (parsed.id, parsed.name, parsed.email) == customer


def test_a_long_conversation_is_read_page_by_page(api: Api) -> None:
    desk = FrontDesk(rate_limit=None)
    webhook = desk.fake.customer_writes("0")
    for number in range(1, 640):
        desk.clock.now += 0.01
        desk.fake.customer_writes(str(number), conversation=webhook.conversation_id)
    conversation = fetch(desk, webhook)
    assert len(conversation.messages) == 501, "the 500 newest, and the event's own message"
    pages = [call.query.get("page_token") for call in desk.fake.calls if call.path.endswith("messages")]
    assert pages == [None, "64", "c8", "12c", "190"]


@pytest.mark.parametrize(
    "address",
    [
        "https://evil.example.com/?page_token=",
        "https://evil.example.com/",
        "https://evil.example.com/?page_token=a/../b",
        "http://[::1",
        7,
        None,
    ],
)
def test_the_next_page_is_never_read_from_another_address(address: Any) -> None:
    desk = FrontDesk()
    webhook = desk.fake.customer_writes("Hello")
    conversation = fetch(desk, webhook, _pagination={"next": address})
    assert [message.text for message in conversation.messages] == ["Hello"]
    assert len(desk.fake.calls) == 2


def test_endless_pages_are_cut_off() -> None:
    desk = FrontDesk(rate_limit=None)
    webhook = desk.fake.customer_writes("Hello")
    fetch(desk, webhook, _pagination={"next": "https://evil.example.com/?page_token=1"})
    assert len(desk.fake.calls) == 6


def test_a_merged_conversation_is_read_and_written_under_its_new_id(api: Api) -> None:
    desk = FrontDesk()
    old = open_conversation(desk, "I was charged twice")
    new = desk.fake.customer_writes("Me again")
    desk.fake.merge(old.conversation_id or "", into=new.conversation_id or "")
    assert step_results(route(desk, api, old, Reply("Hi"))) == ["reply:done"]
    assert len(desk.fake.replies(new.conversation_id or "")) == 1


def test_a_conversation_that_is_merged_after_it_was_read_is_not_changed(api: Api) -> None:
    desk = FrontDesk()
    old, new = open_conversation(desk), desk.fake.customer_writes("Me again")

    def classify(text: str) -> str:
        desk.fake.merge(old.conversation_id or "", into=new.conversation_id or "")
        return "general"

    outcome = route(desk, api, old, Reply("Hi"), classifier=classify)
    assert step_results(outcome) == ["reply:failed"]
    assert "was merged into another one in the meantime (status 301" in outcome.reason


@pytest.mark.parametrize(
    "location",
    ["https://evil.example.com/conversations/cnv_2", "/conversations/cnv_2/../../me", "/teammates/tea_1", "", None],
)
def test_a_redirect_to_anything_but_a_conversation_is_an_error(location: str | None, api: Api) -> None:
    desk = FrontDesk()
    webhook = open_conversation(desk)
    headers = {} if location is None else {"Location": location}
    desk.fake.fail("GET /conversations/*", status=301, headers=headers)
    assert route(desk, api, webhook, Close()).status == "failed"
    assert len(desk.fake.calls) == 1


@pytest.mark.parametrize("base", ["", BASE_URL, "https://api2.frontapp.com", "https://acme.api.frontapp.com"])
def test_a_redirect_is_followed_at_our_own_address_only(base: str, api: Api) -> None:
    desk = FrontDesk()
    webhook = open_conversation(desk)
    desk.fake.fail("GET /conversations/*", status=301, headers={"Location": f"{base}/conversations/cnv_1"}, times=9)
    assert route(desk, api, webhook, Close()).status == "failed"
    assert [call.headers["host"] for call in desk.fake.calls] == ["desk.example.com"] * 3


@pytest.mark.parametrize("assignee", [None, "tea_9001"])
def test_a_conversation_of_nobody_or_of_our_own_teammate_is_assigned(assignee: str | None, api: Api) -> None:
    desk = FrontDesk()
    webhook = open_conversation(desk)
    desk.fake.conversations[webhook.conversation_id or ""].assignee = assignee
    assert step_results(route(desk, api, webhook, Assign(team="inb_billing"))) == ["assign:done"]


@pytest.mark.parametrize("answer", [b"[]", b"{}", b"<html>", b'{"_results": 7}'])
def test_a_response_that_cannot_be_parsed_is_an_error(answer: bytes, api: Api) -> None:
    for call in ("GET /conversations/*", "GET /conversations/*/messages"):
        desk = FrontDesk()
        webhook = open_conversation(desk)
        desk.fake.fail(call, status=200, body=answer)
        outcome = route(desk, api, webhook, Close())
        assert outcome.status == "failed"
        assert "cannot parse the response" in outcome.reason


# Errors and limits


@pytest.mark.parametrize(
    ("status", "body", "hint"),
    [
        (
            401,
            {"_error": {"status": 401, "title": "Unauthenticated", "message": "Invalid token"}},
            "check api_token (FRONT_API_TOKEN) (status 401, code unauthenticated",
        ),
        (400, {"_error": {"status": 400, "title": "Bad request", "message": "x"}}, "status 400, code bad_request"),
        (403, {"_error": {}}, "lacks a scope"),
        (404, {"_error": "odd"}, "no such conversation"),
        (500, "text", "refused"),
        (400, {"_error": {"title": "<odd>"}}, "code ?"),
    ],
)
def test_an_error_carries_a_hint(status: int, body: Any, hint: str) -> None:
    response = Response(status, {}, json.dumps(body).encode())
    error = FrontDesk().adapter().error(Request("PATCH", f"{BASE_URL}/conversations/cnv_1"), response, 0)
    assert isinstance(error, VendorError)
    assert hint in str(error)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "5"}, 5.0),
        ({"retry-after": "600"}, 600.0),
        ({"retry-after": "5000"}, 5.0),
        ({"x-ratelimit-reset": "1008.5"}, 8.5),
        ({"x-ratelimit-reset": "10"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ],
)
def test_a_rate_limit_says_how_long_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    error = FrontDesk().adapter().error(Request("GET", BASE_URL), Response(429, headers, b""), 1000)
    assert error.retry_after == seconds


def test_the_reset_time_counts_only_if_the_limit_was_exhausted() -> None:
    response = Response(503, {"x-ratelimit-reset": "1008"}, b"")
    assert FrontDesk().adapter().error(Request("GET", BASE_URL), response, 1000).retry_after is None


# Settings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"api_token": " "}, "api_token is empty"),
        ({"company_id": "4thp0"}, "company_id must be an id such as cmp_4thp0, not '4thp0'"),
        ({"author_id": "cmp_1"}, "author_id must be a teammate's id such as tea_"),
        ({"channel_id": ""}, "channel_id must be an id such as cha_"),
        ({"inboxes": ["Support"]}, "inboxes must be ids of inboxes such as inb_1ix6, not 'Support'"),
        ({"source": "both"}, "source must be 'application' or 'rule', not 'both'"),
        ({"messages": "some"}, "messages must be 'first' or 'all'"),
        ({"teams": "groups"}, "teams must be 'inboxes' or 'tags'"),
        ({"spam_tag": " "}, "spam_tag is empty"),
        ({"spam_tag": "x" * 65}, "spam_tag must be a name of 1 to 64 characters"),
    ],
)
def test_an_invalid_setting_is_rejected(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        FrontDesk().adapter(**settings)


def test_the_default_address_is_fronts_own() -> None:
    adapter = FrontDesk().adapter(base_url=None)
    assert repr(adapter) == "Front('https://api2.frontapp.com', company_id='cmp_4thp0', source='application')"


def test_from_env_reads_source_channel_inboxes_and_teams(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = FrontDesk(source="rule")
    variables = {"FRONT_CHANNEL_ID": "cha_1in", "FRONT_INBOXES": "inb_a,inb_b", "FRONT_TEAMS": "tags"}
    for name, value in (desk.fake.env(BASE_URL) | variables).items():
        monkeypatch.setenv(name, value)
    adapter = Front.from_env(messages="all")
    webhook = desk.fake.customer_writes("Hello")
    delivery = Delivery.create(webhook.body, webhook.headers, desk.clock())
    adapter.verify(delivery)
    assert adapter.parse(delivery) == Ignored("in another inbox")
    assert adapter.plan([Assign(team="Any tag")])
    monkeypatch.setenv("FRONT_SOURCE", "both")
    with pytest.raises(ConfigurationError, match=r"source \(FRONT_SOURCE\) must be 'application' or 'rule'"):
        Front.from_env()


# Front's OpenAPI description


def test_every_call_matches_fronts_openapi_description(api: Api) -> None:
    document = load_document("front-core.json")
    description = load_description("front-core.json")
    desk = FrontDesk()
    adapter = desk.adapter(channel_id="cha_1in")
    actions = [action for action, _ in ACTIONS.values()]
    assert route(desk, api, open_conversation(desk), *actions, Tag("new"), vendor=adapter).status == "closed"
    assert len(desk.fake.calls) > 8
    bodies = {
        "PATCH": "UpdateConversation",
        "/messages": "OutboundReplyMessage",
        "/comments": "CreateComment",
        "/company/tags": "CreateTag",
    }
    for call in desk.fake.calls:
        request = MockRequest(
            "https://api2.frontapp.com",
            call.method.lower(),
            call.path,
            args=dict(call.query),
            headers=dict(call.headers),
            data=json.dumps(call.body).encode() if call.body is not None else b"",
            content_type="application/json",
        )
        description.validate_request(request)
        for end, schema in bodies.items():
            if call.body is not None and (call.method == end or call.path.endswith(end)):
                assert call.body.keys() <= set(document["components"]["schemas"][schema]["properties"])
