"""What is particular to Front: its two webhook systems, archiving, inboxes as teams, tags by id, queued replies."""

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
from tests.helpers.routing import classified, route, said
from tests.helpers.specs import load_description, load_document
from triage import (
    Action,
    Assign,
    Bucket,
    Close,
    ConfigurationError,
    Conversation,
    Event,
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


def opened(desk: FrontDesk, text: str = "Hello", **how: Any) -> Webhook:
    """A conversation with a custom field, in a company with three tags."""
    webhook = desk.fake.customer_writes(text, **how)
    desk.fake.conversations[webhook.conversation_id or ""].fields["Plan"] = "pro"
    desk.fake.tags |= {"tag_a": "VIP", "tag_b": "refund", "tag_c": "spam"}
    return webhook


def writes(desk: FrontDesk) -> list[tuple[str, str, Any]]:
    """The calls about the conversation after it was read, in the order in which they were made."""
    calls = [(call.method, re.sub(r"^/conversations/[^/]+", "", call.path), call.body) for call in desk.fake.calls]
    assert [(method, path) for method, path, _ in calls[:2]] == [("GET", ""), ("GET", "/messages")]
    return [call for call in calls[2:] if call[1] != "/company/tags"]


def parsed(desk: FrontDesk, webhook: Webhook, **settings: Any) -> Any:
    adapter = desk.adapter(**settings)
    delivery = Delivery.create(webhook.body, webhook.headers, desk.clock())
    adapter.verify(delivery)
    return adapter.parse(delivery)


def event(desk: FrontDesk, webhook: Webhook, **settings: Any) -> Event:
    got = parsed(desk, webhook, **settings)
    assert isinstance(got, Event)
    return got


# Actions


@pytest.mark.parametrize("name", ACTIONS)
def test_an_action_is_these_calls(name: str, api: Api) -> None:
    desk = FrontDesk()
    action, expected = ACTIONS[name]
    assert said(route(desk, api, opened(desk), action)) == [f"{action.type}:done"]
    assert writes(desk) == expected


def test_the_actions_leave_the_conversation_as_wanted(api: Api) -> None:
    desk = FrontDesk()
    webhook = opened(desk)
    actions = [action for action, _ in ACTIONS.values() if not isinstance(action, MarkSpam)]
    outcome = route(desk, api, webhook, Close(), *actions)
    assert said(outcome) == ["assign+assign+tag+set_fields:done", "note:done", "reply+close+close:done"]
    conversation = desk.fake.conversations[webhook.conversation_id or ""]
    assert (conversation.team, conversation.assignee) == ("inb_billing", "tea_9002")
    assert (conversation.tags, conversation.fields) == (["VIP", "refund"], {"Plan": "pro", "triage": "billing"})
    assert desk.fake.replies(conversation.id) == [HTML]
    assert desk.fake.notes(conversation.id) == ["psst [x](y)"]
    assert desk.fake.status(conversation.id) == "archived"


def test_a_reply_archives_only_where_the_policy_closes(api: Api) -> None:
    for actions, status in (([Reply("Hi")], "unassigned"), ([Close(), Reply("Hi")], "archived")):
        desk = FrontDesk()
        webhook = opened(desk)
        route(desk, api, webhook, *actions)
        assert [call[2]["options"] for call in writes(desk)] == [{"archive": status == "archived"}]
        assert desk.fake.status(webhook.conversation_id or "") == status


def test_closing_after_a_note_is_a_call_of_its_own(api: Api) -> None:
    desk = FrontDesk()
    assert said(route(desk, api, opened(desk), Close(), Note("x"), Tag("tag_a"))) == [
        "tag:done",
        "note:done",
        "close:done",
    ]


def test_a_reply_to_what_is_marked_as_spam_does_not_archive_and_the_mark_comes_last(api: Api) -> None:
    desk = FrontDesk()
    assert said(route(desk, api, opened(desk), MarkSpam(), Reply("x"), Close())) == [
        "reply:done",
        "mark_spam+close:done",
    ]


def test_the_status_of_spam_is_an_opt_in(api: Api) -> None:
    desk = FrontDesk()
    webhook = opened(desk)
    adapter = desk.adapter(spam_status=True)
    route(desk, api, webhook, Close(), MarkSpam(), Close(), vendor=adapter)
    assert writes(desk) == [("PATCH", "", {"status": "spam"})]


def test_a_team_may_be_a_tag(api: Api) -> None:
    desk = FrontDesk()
    webhook = opened(desk)
    adapter = desk.adapter(teams="tags")
    assert said(route(desk, api, webhook, Assign(team="Team Billing"), Tag("vip"), vendor=adapter)) == [
        "assign+tag:done"
    ]
    conversation = desk.fake.conversations[webhook.conversation_id or ""]
    assert (conversation.team, conversation.tags) == (None, ["Team Billing", "VIP"])


def test_a_tag_that_is_not_there_yet_is_made_once(api: Api) -> None:
    desk = FrontDesk()
    webhook = opened(desk)
    route(desk, api, webhook, Tag(" new ", "VIP", "new"))
    assert list(desk.fake.tags.values()) == ["VIP", "refund", "spam", "new"]
    assert desk.fake.conversations[webhook.conversation_id or ""].tags == ["new", "VIP"]


def test_tags_named_by_id_need_no_list(api: Api) -> None:
    desk = FrontDesk()
    route(desk, api, opened(desk), Tag("tag_a"))
    assert [call.path for call in desk.fake.calls if "company" in call.path] == []


def test_of_two_tags_of_one_name_the_first_is_taken(api: Api) -> None:
    desk = FrontDesk(rate_limit=None)
    webhook = opened(desk)
    desk.fake.tags |= {f"tag_{number}": f"Tag {number}" for number in range(150)} | {"tag_twice": "vip"}
    route(desk, api, webhook, Tag("vip", "tag 149"))
    assert writes(desk) == [("POST", "/tags", {"tag_ids": ["tag_a", "tag_149"]})]


def test_a_reply_goes_out_by_the_channel_that_is_set(api: Api) -> None:
    desk = FrontDesk()
    route(desk, api, opened(desk), Reply(TEXT), vendor=desk.adapter(channel_id="cha_1in"))
    assert writes(desk) == [("POST", "/messages", REPLY | {"options": {"archive": False}, "channel_id": "cha_1in"})]


def test_a_customers_name_makes_no_link_in_a_comment_and_mentions_nobody(api: Api) -> None:
    desk = FrontDesk()
    webhook = opened(desk, name="[Click](https://evil.example) @ada")
    route(desk, api, webhook, Note("From {customer_name}"))
    assert desk.fake.notes(webhook.conversation_id or "") == ["From [Click](https://evil.example) @ada"]
    assert writes(desk)[0][2]["body"] == r"From \[Click\](https://evil.example) \@ada"


def test_fields_that_cannot_be_read_are_not_overwritten(api: Api) -> None:
    desk = FrontDesk()
    webhook = opened(desk)
    desk.fake.fail("GET /conversations/*", status=200, body=b'{"id": "cnv_1", "custom_fields": null}', skip=1)
    outcome = route(desk, api, webhook, SetFields({"a": 1}))
    assert said(outcome) == ["set_fields:failed"]
    assert desk.fake.conversations[webhook.conversation_id or ""].fields == {"Plan": "pro"}


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (Assign(team="Billing"), "inboxes, inb_…"),
        (Assign(team="tea_1"), "inboxes, inb_…"),
        (Assign(user="ada"), "teammates are tea_…"),
        (Tag("x" * 65), "1 to 64 characters"),
    ],
)
def test_what_front_cannot_express_is_refused_when_the_router_is_made(action: Action, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        FrontDesk().router(buckets=[Bucket("general", "x", [action])])


# A reply or a comment whose fate is unknown


def test_a_reply_that_is_not_there_may_still_come_so_it_is_never_sent_again(api: Api) -> None:
    desk = FrontDesk()
    desk.fake.fail("POST /conversations/*/messages", status=502)
    outcome = route(desk, api, opened(desk), Reply("Hi"))
    assert said(outcome) == ["reply:unknown"]


def test_a_signature_that_is_added_to_a_reply_does_not_hide_it(api: Api) -> None:
    desk = FrontDesk()
    webhook = opened(desk)
    conversation = desk.fake.conversations[webhook.conversation_id or ""]
    desk.fake.fail("POST /conversations/*/messages", timeout=True, after=True)
    real = desk.fake.respond

    def signing(request: Any) -> Any:
        if request.method == "GET":
            for message in conversation.messages:
                if message.via_api:
                    message.body = f"{message.body}<br>--<br>Sent by triage"
        return real(request)

    desk.fake.respond = signing  # type: ignore[method-assign]
    assert said(route(desk, api, webhook, Reply("Hi"))) == ["reply:done"]


def test_a_comment_that_is_not_there_was_not_made(api: Api) -> None:
    desk = FrontDesk()
    webhook = opened(desk)
    desk.fake.fail("POST /conversations/*/comments", timeout=True)
    assert said(route(desk, api, webhook, Note("psst"))) == ["note:failed"]


def test_somebody_elses_words_are_not_taken_for_ours() -> None:
    desk = FrontDesk()
    webhook = opened(desk)
    conversation_id = webhook.conversation_id or ""
    with httpx.Client(transport=desk.fake.transport, headers={"Authorization": "Bearer fake-api-token"}) as client:
        for author in ("tea_9002", None):
            body = {"body": "psst"} | ({"author_id": author} if author else {})
            client.post(f"{BASE_URL}/conversations/{conversation_id}/comments", json=body)
    step = Step(actions=(Note("psst"),))
    assert not asyncio.run(desk.adapter().was_performed(step, Conversation(id=conversation_id), send_to(desk)))


# The ways to be connected


@pytest.mark.parametrize("bucket", ["urgent", "spam"])
def test_a_rule_leads_to_the_same(bucket: str, api: Api) -> None:
    desk = FrontDesk(source="rule")
    webhook = desk.fake.customer_writes(f"This is {bucket}.")
    got = event(desk, webhook)
    assert (got.account, got.kind) == ("cmp_4thp0", "created")
    assert got.key == f"front:cmp_4thp0:{webhook.conversation_id}:{got.message_id}"
    outcome = api.handle(desk.router(), webhook.body, webhook.headers).outcome
    assert outcome is not None
    assert outcome.status == ("closed" if bucket == "spam" else "routed")
    answered = desk.fake.agent_writes("Hi", conversation=webhook.conversation_id or "")
    assert parsed(desk, answered) == Ignored("event outbound")


def test_the_request_does_not_choose_how_it_is_signed() -> None:
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
        (R3, "mL/Cgmm7W/mHaGbdG8aKULN3mh0=", True),  # of the JSON without white space
        (R1 + b" ", "egN+4KcNH3UuOlLKfwdoL2KLSFg=", True),
        (b"", "hwClZGJmLlMat+WeiP5KXHdofRY=", True),
        (b"x", "hwClZGJmLlMat+WeiP5KXHdofRY=", False),  # what is no JSON does not stand for nothing
        (b"{", "egN+4KcNH3UuOlLKfwdoL2KLSFg=", False),
        (b"[" * 50_000, "egN+4KcNH3UuOlLKfwdoL2KLSFg=", False),
        (b'"\\ud800"', "egN+4KcNH3UuOlLKfwdoL2KLSFg=", False),
        (R1, "", False),
    ],
)
def test_a_rule_signs_the_bytes_or_the_json(body: bytes, signature: str, good: bool) -> None:
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
        (1764000002000, TAGGED, "T37L+x9v8Dp4ELWl3IlnMtxS52yOY0z8Ch9WBCwB9ko="),  # the JSON without white space
    ],
)
def test_a_known_wrong_signature_is_refused(stamp: int, body: bytes, signature: str) -> None:
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
def test_a_challenge_that_is_no_plain_word_is_not_reflected(challenge: str | None) -> None:
    desk = FrontDesk()
    webhook = desk.fake.ping()
    del webhook.headers["X-Front-Challenge"]
    if challenge is not None:
        webhook.headers["X-Front-Challenge"] = challenge
    got = parsed(desk, webhook)
    assert isinstance(got, Handshake)
    assert got.body == {}


def test_an_unsigned_challenge_is_not_echoed(api: Api) -> None:
    headers = {"X-Front-Challenge": "echo-me"}
    answer = api.handle(FrontDesk().router(), SYNC, headers)
    assert (answer.status_code, b"echo-me" in answer.body) == (401, False)


# Events


def test_later_messages_are_triaged_where_it_is_asked_for(api: Api) -> None:
    desk = FrontDesk()
    first = desk.fake.customer_writes("Hello")
    desk.clock.now += 60
    soon = desk.fake.customer_writes("It is order 7", conversation=first.conversation_id)
    assert event(desk, soon).kind == "created", "who writes in two goes means one thing"
    desk.clock.now += 1
    later = desk.fake.customer_writes("Still there?", conversation=first.conversation_id)
    assert parsed(desk, later) == Ignored("a later message of the conversation")
    assert event(desk, later, messages="all").kind == "replied"
    assert classified(desk, api, later, vendor=desk.adapter(messages="all")) == ["Still there?"]


@pytest.mark.parametrize("name", ["created_at", "conversation.created_at"])
def test_a_message_without_times_is_triaged(name: str) -> None:
    desk = FrontDesk()
    payload = json.loads(desk.fake.customer_writes("Hello").body)
    happening = payload["payload"]
    del (happening["conversation"] if name.startswith("conv") else happening["target"]["data"])["created_at"]
    assert event(desk, desk.signed(payload)).kind == "created"


def test_a_preview_is_read_from_the_api(api: Api) -> None:
    desk = FrontDesk(source="rule")
    webhook = desk.fake.customer_writes("Hello", subject="Parcel")
    payload = json.loads(webhook.body)
    del payload["target"]
    got = event(desk, desk.signed(payload))
    assert (got.message_id, got.conversation.messages) == (payload["id"], ())
    assert classified(desk, api, desk.signed(payload)) == ["Parcel\n\nHello"]


def test_a_preview_of_a_message_is_read_from_the_api(api: Api) -> None:
    desk = FrontDesk()
    payload = json.loads(desk.fake.customer_writes("Hello").body)
    message = payload["payload"]["target"]["data"]
    for name in ("body", "blurb", "text"):
        message.pop(name, None)
    assert classified(desk, api, desk.signed(payload)) == ["Hello"]


def test_only_the_inboxes_that_are_named_are_triaged(api: Api) -> None:
    desk = FrontDesk()
    webhook = desk.fake.customer_writes("Hello")
    assert event(desk, webhook, inboxes=["inb_other", "inb_1in"]).kind == "created"
    assert parsed(desk, webhook, inboxes=["inb_other"]) == Ignored("in another inbox")


@pytest.mark.parametrize("created_at", [1e300, -1e300])
def test_a_time_that_is_none_is_left_out(created_at: float) -> None:
    desk = FrontDesk()
    payload = json.loads(desk.fake.customer_writes("Hello").body)
    payload["payload"]["target"]["data"]["created_at"] = created_at
    assert event(desk, desk.signed(payload), messages="all").occurred_at is None


def test_an_event_is_read_with_its_time() -> None:
    desk = FrontDesk()
    got = event(desk, desk.fake.customer_writes("Hello", name="Mira", email="mira@example.com"))
    assert got.occurred_at == datetime(2026, 11, 24, 9, 0, 0, 250000, UTC)
    customer = got.conversation.customer
    assert (customer.id, customer.name, customer.email) == ("crd_1", "Mira", "mira@example.com")


# The conversation


def send_to(desk: FrontDesk, **answers: Any) -> Any:
    """A port without retries; `answers` replaces parts of conversations and lists."""

    async def send(request: Request) -> Response:
        async with httpx.AsyncClient(transport=desk.fake.transport, headers=dict(request.headers)) as client:
            got = await client.request(request.method, request.url, json=request.json)
        data = got.json()
        data |= {name: value for name, value in answers.items() if name in data}
        return Response(got.status_code, dict(got.headers), json.dumps(data).encode())

    return send


def conversation(desk: FrontDesk, webhook: Webhook, **answers: Any) -> Conversation:
    return asyncio.run(desk.adapter().fetch(event(desk, webhook), send_to(desk, **answers)))


def test_everybody_has_a_role() -> None:
    desk = FrontDesk()
    webhook = desk.fake.customer_writes("One")
    conversation_id = webhook.conversation_id or ""
    desk.clock.now += 1
    desk.fake.agent_writes("Two", conversation=conversation_id, agent="tea_9001")
    desk.clock.now += 1
    desk.fake.agent_writes("Three", conversation=conversation_id)
    desk.clock.now += 1
    said_by_rule = desk.fake.agent_writes("Four", conversation=conversation_id)
    assert said_by_rule.conversation_id == conversation_id
    messages = [
        {"id": "msg_a", "is_inbound": True, "created_at": 1, "text": "One"},
        {"id": "msg_b", "is_inbound": False, "created_at": 2, "text": "Two", "author": {"id": "tea_9001"}},
        {"id": "msg_c", "is_inbound": False, "created_at": 3, "text": "Three", "author": {"id": "tea_9002"}},
        {"id": "msg_d", "is_inbound": False, "created_at": 4, "text": "Four", "author": {"id": "x", "type": "rule"}},
        {"id": "msg_e", "is_inbound": False, "created_at": 5, "text": "Five", "author": None},
        {"id": "msg_f", "is_inbound": False, "created_at": 6, "text": "Six", "is_draft": True},
    ]
    read = conversation(desk, webhook, _results=messages[::-1])
    roles = [(message.role, message.text) for message in read.messages if message.id.startswith("msg_") and message.at]
    assert roles[:5] == [
        ("customer", "One"),
        ("bot", "Two"),
        ("agent", "Three"),
        ("bot", "Four"),
        ("bot", "Five"),
    ]
    assert (read.has_automatic_reply, read.has_human) == (True, True)
    assert "Six" not in [message.text for message in read.messages]


def test_text_is_taken_from_wherever_it_is() -> None:
    desk = FrontDesk()
    webhook = desk.fake.customer_writes("One")
    told: dict[str, Any] = {"is_inbound": True}
    messages = [
        {"id": "msg_a", "text": "text", "body": "<b>body</b>", "blurb": "blurb"} | told,
        {"id": "msg_b", "body": "<b>body</b><img src='https://example.com/a.png'>", "blurb": "blurb"} | told,
        {"id": "msg_c", "text": None, "blurb": "blurb"} | told,
        {"id": "msg_d", "attachments": [{"filename": "scan.pdf"}, {}]} | told,
    ]
    read = conversation(desk, webhook, _results=messages).messages
    assert [message.text for message in read[:4]] == ["text", "body", "blurb", ""]
    assert [message.attachments for message in read[:4]] == [(), ("image",), (), ("scan.pdf", "file")]


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
def test_a_customer_has_what_is_told(recipient: Any, customer: Any) -> None:
    desk = FrontDesk()
    payload = json.loads(desk.fake.customer_writes("Hello").body)
    payload["payload"]["conversation"]["recipient"] = recipient
    payload["payload"]["target"]["data"]["recipients"] = None
    read = event(desk, desk.signed(payload)).conversation.customer
    assert (read.id, read.name, read.email) == customer


def test_a_long_conversation_is_read_page_by_page(api: Api) -> None:
    desk = FrontDesk(rate_limit=None)
    webhook = desk.fake.customer_writes("0")
    for number in range(1, 640):
        desk.clock.now += 0.01
        desk.fake.customer_writes(str(number), conversation=webhook.conversation_id)
    read = conversation(desk, webhook)
    assert len(read.messages) == 501, "the newest, and the one that the event tells"
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
def test_the_next_page_is_never_read_elsewhere(address: Any) -> None:
    desk = FrontDesk()
    webhook = desk.fake.customer_writes("Hello")
    read = conversation(desk, webhook, _pagination={"next": address})
    assert [message.text for message in read.messages] == ["Hello"]
    assert len(desk.fake.calls) == 2


def test_a_page_that_never_ends_is_left() -> None:
    desk = FrontDesk(rate_limit=None)
    webhook = desk.fake.customer_writes("Hello")
    conversation(desk, webhook, _pagination={"next": "https://evil.example.com/?page_token=1"})
    assert len(desk.fake.calls) == 6


def test_a_merged_conversation_is_read_and_written_under_its_new_id(api: Api) -> None:
    desk = FrontDesk()
    old = opened(desk, "I was charged twice")
    new = desk.fake.customer_writes("Me again")
    desk.fake.merge(old.conversation_id or "", into=new.conversation_id or "")
    assert said(route(desk, api, old, Reply("Hi"))) == ["reply:done"]
    assert len(desk.fake.replies(new.conversation_id or "")) == 1


def test_one_that_is_merged_before_it_is_written_is_not_touched(api: Api) -> None:
    desk = FrontDesk()
    old, new = opened(desk), desk.fake.customer_writes("Me again")

    def classify(text: str) -> str:
        desk.fake.merge(old.conversation_id or "", into=new.conversation_id or "")
        return "general"

    outcome = route(desk, api, old, Reply("Hi"), classifier=classify)
    assert said(outcome) == ["reply:failed"]
    assert "was merged into another one meanwhile (status 301" in outcome.reason


@pytest.mark.parametrize(
    "location",
    ["https://evil.example.com/conversations/cnv_2", "/conversations/cnv_2/../../me", "/teammates/tea_1", "", None],
)
def test_a_redirect_to_anything_but_a_conversation_is_an_error(location: str | None, api: Api) -> None:
    desk = FrontDesk()
    webhook = opened(desk)
    headers = {} if location is None else {"Location": location}
    desk.fake.fail("GET /conversations/*", status=301, headers=headers)
    assert route(desk, api, webhook, Close()).status == "failed"
    assert len(desk.fake.calls) == 1


@pytest.mark.parametrize("base", ["", BASE_URL, "https://api2.frontapp.com", "https://acme.api.frontapp.com"])
def test_a_redirect_is_followed_to_our_own_address_only(base: str, api: Api) -> None:
    desk = FrontDesk()
    webhook = opened(desk)
    desk.fake.fail("GET /conversations/*", status=301, headers={"Location": f"{base}/conversations/cnv_1"}, times=9)
    assert route(desk, api, webhook, Close()).status == "failed"
    assert [call.headers["host"] for call in desk.fake.calls] == ["desk.example.com"] * 3


@pytest.mark.parametrize("assignee", [None, "tea_9001"])
def test_nobody_or_ourselves_may_have_the_conversation(assignee: str | None, api: Api) -> None:
    desk = FrontDesk()
    webhook = opened(desk)
    desk.fake.conversations[webhook.conversation_id or ""].assignee = assignee
    assert said(route(desk, api, webhook, Assign(team="inb_billing"))) == ["assign:done"]


@pytest.mark.parametrize("answer", [b"[]", b"{}", b"<html>", b'{"_results": 7}'])
def test_an_answer_that_cannot_be_read_is_a_failure(answer: bytes, api: Api) -> None:
    for call in ("GET /conversations/*", "GET /conversations/*/messages"):
        desk = FrontDesk()
        webhook = opened(desk)
        desk.fake.fail(call, status=200, body=answer)
        outcome = route(desk, api, webhook, Close())
        assert outcome.status == "failed"
        assert "cannot parse the response" in outcome.reason


# Errors and limits


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (
            401,
            {"_error": {"status": 401, "title": "Unauthenticated", "message": "Invalid token"}},
            "check FRONT_API_TOKEN (status 401, code unauthenticated",
        ),
        (400, {"_error": {"status": 400, "title": "Bad request", "message": "x"}}, "status 400, code bad_request"),
        (403, {"_error": {}}, "lacks a scope"),
        (404, {"_error": "odd"}, "no such conversation"),
        (500, "text", "refused"),
        (400, {"_error": {"title": "<odd>"}}, "code ?"),
    ],
)
def test_an_error_says_what_to_look_at(status: int, body: Any, told: str) -> None:
    response = Response(status, {}, json.dumps(body).encode())
    error = FrontDesk().adapter().error(Request("PATCH", f"{BASE_URL}/conversations/cnv_1"), response, 0)
    assert isinstance(error, VendorError)
    assert told in str(error)


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
def test_how_long_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    error = FrontDesk().adapter().error(Request("GET", BASE_URL), Response(429, headers, b""), 1000)
    assert error.retry_after == seconds


def test_the_time_of_the_limit_is_no_reason_to_wait_otherwise() -> None:
    response = Response(503, {"x-ratelimit-reset": "1008"}, b"")
    assert FrontDesk().adapter().error(Request("GET", BASE_URL), response, 1000).retry_after is None


# Settings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"api_token": " "}, "api_token is empty"),
        ({"company_id": "4thp0"}, "company_id looks like cmp_"),
        ({"author_id": "cmp_1"}, "author_id looks like tea_"),
        ({"channel_id": ""}, "channel_id looks like cha_"),
        ({"inboxes": ["Support"]}, "inboxes looks like inb_"),
        ({"source": "both"}, "application, rule, not 'both'"),
        ({"messages": "some"}, "first or all"),
        ({"teams": "groups"}, "inboxes or tags"),
        ({"spam_tag": " "}, "spam_tag"),
        ({"spam_tag": "x" * 65}, "spam_tag"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        FrontDesk().adapter(**settings)


def test_it_calls_front_unless_told_otherwise() -> None:
    adapter = FrontDesk().adapter(base_url=None)
    assert repr(adapter) == "Front('https://api2.frontapp.com', company_id='cmp_4thp0', source='application')"


def test_the_environment_chooses_source_channel_inboxes_and_teams(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = FrontDesk(source="rule")
    chosen = {"FRONT_CHANNEL_ID": "cha_1in", "FRONT_INBOXES": "inb_a,inb_b", "FRONT_TEAMS": "tags"}
    for name, value in (desk.fake.env(BASE_URL) | chosen).items():
        monkeypatch.setenv(name, value)
    adapter = Front.from_env(messages="all")
    webhook = desk.fake.customer_writes("Hello")
    delivery = Delivery.create(webhook.body, webhook.headers, desk.clock())
    adapter.verify(delivery)
    assert adapter.parse(delivery) == Ignored("in another inbox")
    assert adapter.plan([Assign(team="Any tag")])
    monkeypatch.setenv("FRONT_SOURCE", "both")
    with pytest.raises(ConfigurationError, match="application, rule"):
        Front.from_env()


# The vendor's own description


def test_every_request_fits_fronts_description(api: Api) -> None:
    document, description = load_document("front-core.json"), load_description("front-core.json")
    desk = FrontDesk()
    adapter = desk.adapter(channel_id="cha_1in")
    actions = [action for action, _ in ACTIONS.values()]
    assert route(desk, api, opened(desk), *actions, Tag("new"), vendor=adapter).status == "closed"
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
        for place, schema in bodies.items():
            if call.body is not None and (call.method == place or call.path.endswith(place)):
                assert call.body.keys() <= set(document["components"]["schemas"][schema]["properties"])
