"""Front: its two webhook systems, archiving, inboxes as teams, tags by id, queued replies."""

import asyncio
import base64
import hashlib
import hmac
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
from tests.helpers.routing import collect_classified_texts, parse, parse_event, read_delivery, route, step_results
from tests.helpers.specs import load_description, load_document
from triage import (
    Action,
    Assign,
    Bucket,
    Buckets,
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
    Verdict,
)
from triage.models import Delivery, Handshake, Ignored, Request, Response, Step
from triage.testing import RateLimit, Webhook
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
    lookups = [("GET", "/tags"), ("GET", "/inboxes"), ("POST", "/company/tags")]
    return [call for call in calls[2:] if call[:2] not in lookups]


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
    assert step_results(outcome) == [
        "assign+assign:done",
        "reply:done",
        "set_fields:done",
        "tag:done",
        "note:done",
        "close+close:done",
    ]
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


def test_closing_comes_after_the_labels(api: Api) -> None:
    desk = FrontDesk()
    assert step_results(route(desk, api, open_conversation(desk), Close(), Note("x"), Tag("tag_a"), Reply("Hi"))) == [
        "reply:done",
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
        "assign:done",
        "tag:done",
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
    assert [call.path for call in desk.fake.calls if call.path == "/tags"] == []


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


def test_a_reason_cannot_create_a_link_or_a_mention_in_a_comment(api: Api) -> None:
    desk = FrontDesk()
    webhook = open_conversation(desk)
    reason = "[Click](https://evil.example) @ada"

    class Classifier:
        def classify(self, conversation: Conversation, buckets: Buckets) -> Verdict:
            return Verdict(bucket="general", reason=reason)

        async def classify_async(self, conversation: Conversation, buckets: Buckets) -> Verdict:
            return self.classify(conversation, buckets)

    route(desk, api, webhook, Note("Why: {reason}"), classifier=Classifier())
    assert desk.fake.notes(webhook.conversation_id or "") == [f"Why: {reason}"]
    assert list_writes(desk)[0][2]["body"] == r"Why: \[Click\](https://evil.example) \@ada"


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


def test_the_ids_of_what_was_written_are_returned() -> None:
    desk = FrontDesk()
    conversation_id = desk.fake.customer_writes("Hello").conversation_id or ""
    conversation = Conversation(id=conversation_id)
    adapter, send = desk.adapter(), create_send(desk)
    reply = asyncio.run(adapter.perform(Step(actions=(Reply("Hi"),)), conversation, send))
    note = asyncio.run(adapter.perform(Step(actions=(Note("psst"),)), conversation, send))
    close = asyncio.run(adapter.perform(Step(actions=(Close(),)), conversation, send))
    assert reply is not None
    assert [message.id for message in read(desk, conversation_id).messages if message.is_ours] == [*reply.message_ids]
    (comment,) = [message for message in desk.fake.conversations[conversation_id].messages if message.role == "note"]
    assert note is not None
    assert note.message_ids == (comment.id,)
    assert close is None


def test_a_reply_was_sent_even_if_the_response_is_odd(api: Api) -> None:
    desk = FrontDesk()
    desk.fake.fail("POST /conversations/*/messages", status=202, body=b"<html>", after=True)
    assert step_results(route(desk, api, open_conversation(desk), Reply("Hi"))) == ["reply:done"]


# Tags and workspaces


@pytest.mark.parametrize(
    ("owners", "expected"),
    [
        ({"tag_w": "tim_1"}, "tag_w"),  # the conversation's workspace before the company
        ({"tag_w": "tim_2"}, "tag_c"),  # the company before another workspace
        ({"tag_w": "tea_9002"}, "tag_c"),  # never a teammate's own tag
        ({"tag_w": "tim_2", "tag_c": "tim_1"}, "tag_c"),
        ({"tag_w": "tim_2", "tag_c": "tea_9002"}, "tag_w"),  # another workspace before a new tag
        ({}, "tag_w"),
    ],
)
def test_a_tag_of_the_conversations_workspace_comes_first(owners: dict[str, str], expected: str, api: Api) -> None:
    desk = FrontDesk()
    webhook = desk.fake.customer_writes("Hello")
    desk.fake.tags |= {"tag_w": "Billing", "tag_c": "billing"}
    desk.fake.tag_owners |= owners
    route(desk, api, webhook, Tag("billing"))
    assert list_writes(desk) == [("POST", "/tags", {"tag_ids": [expected]})]
    assert len(desk.fake.tags) == 2


def test_a_tag_is_created_if_only_a_teammate_has_it(api: Api) -> None:
    desk = FrontDesk()
    webhook = desk.fake.customer_writes("Hello")
    desk.fake.tags["tag_a"] = "vip"
    desk.fake.tag_owners["tag_a"] = "tea_9002"
    route(desk, api, webhook, Tag("vip"))
    assert list_writes(desk) == [("POST", "/tags", {"tag_ids": ["tag_4"]})]


@pytest.mark.parametrize(("status", "result"), [(403, "tag:done"), (404, "tag:done"), (500, "tag:unknown")])
def test_without_access_to_inboxes_any_workspaces_tag_is_used(status: int, result: str, api: Api) -> None:
    desk = FrontDesk()
    webhook = desk.fake.customer_writes("Hello")
    desk.fake.tags |= {"tag_c": "billing", "tag_w": "billing"}
    desk.fake.tag_owners["tag_w"] = "tim_2"
    desk.fake.fail("GET /conversations/*/inboxes", status=status, times=None)
    assert step_results(route(desk, api, webhook, Tag("billing"))) == [result]
    expected = [("POST", "/tags", {"tag_ids": ["tag_w"]})] if status < 500 else []
    assert [write for write in list_writes(desk) if write[0] == "POST"] == expected


# Rejected calls


@pytest.mark.parametrize(
    ("action", "call", "text"),
    [
        (Tag("vip"), "POST /conversations/*/tags", "the tag 'vip': there is no such conversation"),
        (SetFields({"plan": "pro"}), "PATCH /conversations/*", "the field 'plan': there is no such"),
        (Assign(team="inb_billing"), "PATCH /conversations/*", "inbox_id 'inb_billing': there is no such"),
        (Assign(user="tea_9002"), "PATCH /conversations/*", "assignee_id 'tea_9002': there is no such"),
    ],
)
def test_an_error_names_what_was_rejected(action: Action, call: str, text: str, api: Api) -> None:
    desk = FrontDesk()
    webhook = open_conversation(desk)
    desk.fake.fail(call, status=404, times=None)
    outcome = route(desk, api, webhook, action)
    assert text in outcome.reason


def test_a_passing_error_names_only_the_call(api: Api) -> None:
    desk = FrontDesk()
    webhook = open_conversation(desk)
    desk.fake.fail("PATCH /conversations/*", status=500, times=None)
    assert "inb_billing" not in route(desk, api, webhook, Assign(team="inb_billing")).reason


def test_a_rejected_label_does_not_stop_the_routing(api: Api) -> None:
    desk = FrontDesk()
    webhook = open_conversation(desk)
    desk.fake.fail("POST /conversations/*/tags", status=400, times=None)
    outcome = route(desk, api, webhook, Tag("vip"), Assign(team="inb_billing"), Reply("Hi"), Close())
    assert (outcome.status, step_results(outcome)) == (
        "partial",
        ["assign:done", "reply:done", "tag:rejected", "close:skipped"],
    )


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


@pytest.mark.parametrize(
    ("source", "event_type"),
    [("application", "message_delivery_failed"), ("rule", "sending_error"), ("rule", "message_bounce_error")],
)
def test_a_reply_that_could_not_be_delivered_is_a_warning(
    source: Any, event_type: str, api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    desk = FrontDesk(source=source)
    conversation = desk.fake.customer_writes("Hello").conversation_id or ""
    desk.fake.agent_writes("Hi", conversation=conversation)
    payload = json.loads(desk.fake.fail_delivery(conversation, "mailbox_full").body) | {"type": event_type}
    webhook = desk.sign_payload(payload)
    outcome = api.handle(desk.router(), webhook.body, webhook.headers).outcome
    assert outcome is not None
    assert (outcome.status, outcome.conversation_id) == ("ignored", conversation)
    assert outcome.warnings == ("a message to the customer could not be delivered (mailbox_full)",)
    (record,) = caplog.records
    assert (record.levelname, conversation in record.getMessage()) == ("WARNING", True)


def test_a_failed_delivery_is_a_warning_whatever_the_event_shows(api: Api) -> None:
    desk = FrontDesk()
    envelope = {"type": "message_delivery_failed", "authorization": {"id": "cmp_4thp0"}}
    for event in ({}, {"conversation": {"id": "../etc"}, "target": {"data": {"error_type": "<odd>"}}}):
        parsed = parse(desk, desk.sign_payload(envelope | {"payload": event}))
        assert isinstance(parsed, Ignored)
        assert parsed.is_problem
        assert "<odd>" not in parsed.reason


def test_a_large_delivery_is_accepted(api: Api) -> None:
    desk = FrontDesk()
    picture = f'<p>All is down!</p><img src="data:image/png;base64,{"A" * 2_000_000}">'
    webhook = desk.fake.customer_writes(picture, html=True, subject="Outage")
    assert len(webhook.body) > 4_000_000
    assert collect_classified_texts(desk, api, webhook) == ["Outage\n\nAll is down!"]


def test_the_other_systems_delivery_is_named() -> None:
    application, rule = FrontDesk(), FrontDesk(source="rule")
    for sender, receiver, source in ((application, rule, "application"), (rule, application, "rule")):
        webhook = sender.fake.customer_writes("Hello")
        with pytest.raises(InvalidSignature, match=f"pass source='{source}'"):
            receiver.adapter().verify(Delivery.create(webhook.body, webhook.headers, sender.clock()))


@pytest.mark.parametrize(
    ("stamp", "reason"), [("yesterday", "is not a time"), ("1000", "s before our time, and 300 s are allowed")]
)
def test_a_time_that_is_rejected_is_explained(stamp: str, reason: str) -> None:
    desk = FrontDesk()
    secret = str(desk.fake.settings()["webhook_secret"]).encode()
    digest = hmac.new(secret, f"{stamp}:{{}}".encode(), hashlib.sha256).digest()
    headers = {"X-Front-Signature": base64.b64encode(digest).decode(), "X-Front-Request-Timestamp": stamp}
    with pytest.raises(InvalidSignature, match=reason):
        desk.adapter().verify(Delivery.create(b"{}", headers, desk.clock()))


@pytest.mark.parametrize(("source", "status_code"), [("application", 503), ("rule", 200)])
def test_only_an_application_delivers_again(source: Any, status_code: int, api: Api) -> None:
    desk = FrontDesk(source=source)
    webhook = desk.fake.customer_writes("Hello")
    desk.fake.fail("GET /conversations/*", status=500, times=None)
    assert api.handle(desk.router(), webhook.body, webhook.headers).status_code == status_code


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
        (R1 + b" " * 64 * 1024, "egN+4KcNH3UuOlLKfwdoL2KLSFg=", False),  # too large to be parsed on suspicion
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


def test_only_the_first_message_is_triaged_on_request(api: Api) -> None:
    desk = FrontDesk()
    first = desk.fake.customer_writes("Hello")
    desk.clock.now += 60
    soon = desk.fake.customer_writes("It is order 7", conversation=first.conversation_id)
    assert parse_event(desk, soon, messages="first").kind == "created", "it belongs to the first message"
    desk.clock.now += 1
    later = desk.fake.customer_writes("Still there?", conversation=first.conversation_id)
    assert parse(desk, later, messages="first") == Ignored("a later message of the conversation")
    assert parse_event(desk, later).kind == "replied"


@pytest.mark.parametrize("previews", [False, True])
def test_a_later_message_is_ignored_on_request_even_if_it_is_a_preview(previews: bool, api: Api) -> None:
    desk = FrontDesk(previews=previews)
    first = desk.fake.customer_writes("Hello")
    adapter = desk.adapter(messages="first")
    assert collect_classified_texts(desk, api, first, vendor=adapter) == ["Hello"]
    desk.clock.now += 61
    later = desk.fake.customer_writes("Still there?", conversation=first.conversation_id)
    assert route(desk, api, later, Close(), vendor=adapter).reason == "a later message of the conversation"


# Reopened conversations


def answer(desk: FrontDesk, webhook: Webhook, *, archive: bool) -> str:
    """Let a human answer a minute later and perhaps archive the conversation, and return its id."""
    conversation_id = webhook.conversation_id or ""
    desk.clock.now += 60
    desk.fake.agent_writes("I have it.", conversation=conversation_id)
    if archive:
        desk.clock.now += 60
        desk.fake.archive(conversation_id)
    desk.clock.now += 60
    return conversation_id


def test_what_reopens_an_archived_conversation_is_new_work(api: Api) -> None:
    desk = FrontDesk()
    conversation = answer(desk, desk.fake.customer_writes("Order 1"), archive=True)
    again = desk.fake.customer_writes("Order 2", conversation=conversation)
    assert collect_classified_texts(desk, api, again) == ["Order 2"]
    desk.clock.now += 120
    more = desk.fake.customer_writes("Hello??", conversation=conversation)
    assert collect_classified_texts(desk, api, more) == ["Order 2\n\nHello??"], "nobody has answered"


def test_what_a_human_has_answered_is_left_to_the_human(api: Api) -> None:
    desk = FrontDesk()
    conversation = answer(desk, desk.fake.customer_writes("Order 1"), archive=False)
    again = desk.fake.customer_writes("Thanks", conversation=conversation)
    outcome = route(desk, api, again, Tag("tag_a"))
    assert (outcome.status, outcome.reason) == ("ignored", "a human has answered since the conversation was opened")


def test_all_messages_are_labeled_on_request(api: Api) -> None:
    desk = FrontDesk()
    conversation = answer(desk, open_conversation(desk), archive=False)
    again = desk.fake.customer_writes("Thanks", conversation=conversation)
    outcome = route(desk, api, again, Tag("tag_a"), Reply("Hi"), vendor=desk.adapter(messages="all"))
    assert step_results(outcome) == ["tag:done", "reply:skipped"]


def test_a_message_that_a_human_answers_before_its_turn_is_labeled(api: Api) -> None:
    desk = FrontDesk()
    webhook = open_conversation(desk)
    answer(desk, webhook, archive=False)
    assert step_results(route(desk, api, webhook, Tag("tag_a"), Reply("Hi"))) == ["tag:done", "reply:skipped"]


def test_a_human_does_not_have_the_conversation_forever(api: Api) -> None:
    desk = FrontDesk()
    conversation = answer(desk, desk.fake.customer_writes("Order 1"), archive=False)
    desk.clock.now += 8 * 86400
    again = desk.fake.customer_writes("Order 2", conversation=conversation)
    assert collect_classified_texts(desk, api, again) == ["Order 2"]


def read(desk: FrontDesk, conversation_id: str) -> Conversation:
    return asyncio.run(desk.adapter().read(conversation_id, create_send(desk)))


def test_a_conversation_that_a_human_has_reopened_is_still_the_humans() -> None:
    desk = FrontDesk()
    conversation = answer(desk, desk.fake.customer_writes("Order 1"), archive=True)
    call(desk, "PATCH", f"/conversations/{conversation}", {"status": "open"})
    desk.clock.now += 60
    desk.fake.customer_writes("Thanks", conversation=conversation)
    assert read(desk, conversation).closed_at is None


def test_a_customer_may_reopen_a_conversation_with_an_event() -> None:
    desk = FrontDesk()
    conversation = answer(desk, desk.fake.customer_writes("Order 1"), archive=True)
    call(desk, "PATCH", f"/conversations/{conversation}", {"status": "open"})
    desk.fake.customer_writes("Order 2", conversation=conversation)
    assert [message.text for message in read(desk, conversation).turn] == ["Order 2"]


def test_what_is_sent_right_after_archiving_belongs_to_the_earlier_episode() -> None:
    desk = FrontDesk()
    conversation = desk.fake.customer_writes("Order 1").conversation_id or ""
    desk.fake.archive(conversation)
    desk.clock.now += 15
    desk.fake.agent_writes("Done.", conversation=conversation)
    desk.clock.now += 3600
    desk.fake.customer_writes("Order 2", conversation=conversation)
    conversation_read = read(desk, conversation)
    assert conversation_read.last_human_answer() is None
    assert [message.text for message in conversation_read.turn] == ["Order 2"]


def test_a_message_that_was_written_before_the_conversation_was_archived_may_reopen_it() -> None:
    desk = FrontDesk()
    conversation = answer(desk, desk.fake.customer_writes("Order 1"), archive=True)
    desk.clock.now -= 90  # it was delivered late
    desk.fake.customer_writes("Order 2", conversation=conversation)
    assert [message.text for message in read(desk, conversation).turn] == ["Order 2"]


def test_a_conversation_that_was_never_archived_has_no_earlier_episode() -> None:
    desk = FrontDesk()
    conversation = answer(desk, desk.fake.customer_writes("Order 1"), archive=False)
    desk.fake.customer_writes("Thanks", conversation=conversation)
    assert read(desk, conversation).closed_at is None


@pytest.mark.parametrize("status", [403, 404])
def test_without_access_to_events_a_conversation_counts_as_never_archived(
    status: int, api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    desk = FrontDesk()
    webhook = desk.fake.customer_writes("Order 1")
    desk.clock.now += 120
    again = desk.fake.customer_writes("Order 2", conversation=webhook.conversation_id)
    desk.fake.fail("GET /conversations/*/events", status=status, times=None)
    assert collect_classified_texts(desk, api, again) == ["Order 1\n\nOrder 2"]
    assert "it is unknown when cnv_1 was archived" in caplog.text


def test_events_that_cannot_be_read_now_are_read_later(api: Api) -> None:
    desk = FrontDesk()
    webhook = desk.fake.customer_writes("Order 1")
    desk.clock.now += 120
    again = desk.fake.customer_writes("Order 2", conversation=webhook.conversation_id)
    desk.fake.fail("GET /conversations/*/events", status=500, times=None)
    assert route(desk, api, again, Close()).status == "failed"


@pytest.mark.parametrize(
    ("changes", "is_closed"),
    [
        ({"status": "archived"}, True),
        ({"status": "deleted"}, True),
        ({"status": "assigned"}, False),
        ({"status": "assigned", "status_category": "resolved"}, True),
        ({"status": "assigned", "status_category": "waiting"}, False),
        ({"status": 7}, False),
    ],
)
def test_archived_deleted_and_resolved_conversations_are_closed(changes: dict[str, Any], is_closed: bool) -> None:
    desk = FrontDesk()
    payload = json.loads(desk.fake.customer_writes("Hello").body)
    payload["payload"]["conversation"] |= changes
    assert read_delivery(desk, desk.sign_payload(payload)).is_closed == is_closed


@pytest.mark.parametrize("name", ["created_at", "conversation.created_at"])
def test_a_message_without_times_is_triaged(name: str) -> None:
    desk = FrontDesk()
    payload = json.loads(desk.fake.customer_writes("Hello").body)
    happening = payload["payload"]
    del (happening["conversation"] if name.startswith("conv") else happening["target"]["data"])["created_at"]
    assert parse_event(desk, desk.sign_payload(payload)).kind == "created"


@pytest.mark.parametrize("target", [None, {"_meta": {"type": "message"}}, {"data": None}, {"data": []}])
def test_an_event_without_its_message_is_completed_from_the_api(target: Any, api: Api) -> None:
    desk = FrontDesk(source="rule")
    webhook = desk.fake.customer_writes("Hello", subject="Parcel")
    payload = json.loads(webhook.body) | {"target": target}
    event = parse_event(desk, desk.sign_payload(payload))
    assert (event.message_id, desk.adapter().read_delivery(event).messages) == (payload["id"], ())
    assert collect_classified_texts(desk, api, desk.sign_payload(payload)) == ["Parcel\n\nHello"]


def test_a_message_without_an_id_is_identified_by_its_event(api: Api) -> None:
    desk = FrontDesk()
    webhook = desk.change_message(id=None)
    event_id = json.loads(webhook.body)["payload"]["id"]
    assert parse_event(desk, webhook).message_id == event_id
    assert collect_classified_texts(desk, api, webhook) == ["Hello"]


@pytest.mark.parametrize("source", ["application", "rule"])
def test_a_preview_is_completed_from_the_api(source: Any, api: Api) -> None:
    desk = FrontDesk(source=source, previews=True)
    webhook = desk.fake.customer_writes("Hello", subject="Parcel")
    event = parse_event(desk, webhook)
    shown = desk.adapter().read_delivery(event)
    assert (event.message_id, shown.messages, shown.inbox) == ("msg_2", (), "inb_1in")
    assert collect_classified_texts(desk, api, webhook) == ["Parcel\n\nHello"]


def test_a_preview_whose_message_is_not_listed_yet_is_read_by_its_id(api: Api) -> None:
    desk = FrontDesk(previews=True)
    webhook = desk.fake.customer_writes("Hello")
    desk.fake.fail("GET /conversations/*/messages", status=200, body=b'{"_results": []}', times=None)
    assert collect_classified_texts(desk, api, webhook) == ["Hello"]
    desk.fake.fail("GET /messages/*", status=404, times=None)
    outcome = route(desk, api, webhook, Close())
    assert (outcome.status, outcome.retryable) == ("failed", True)


def test_a_message_may_be_the_only_element_of_a_list(api: Api) -> None:
    desk = FrontDesk()
    payload = json.loads(desk.fake.customer_writes("Hello").body)
    target = payload["payload"]["target"]
    target["data"] = [target["data"]]
    assert parse_event(desk, desk.sign_payload(payload)).message_id == "msg_2"


def test_a_message_does_not_need_to_say_that_it_is_inbound(api: Api) -> None:
    desk = FrontDesk()
    assert read_delivery(desk, desk.change_message(is_inbound=None)).text == "Hello"
    visitor = desk.change_message(author={"id": "tea_7", "type": "visitor"})
    assert read_delivery(desk, visitor).text == "Hello"


def test_only_the_configured_inboxes_are_triaged(api: Api) -> None:
    desk = FrontDesk()
    webhook = desk.fake.customer_writes("Hello")
    assert parse_event(desk, webhook, inboxes=["inb_other", "inb_1in"]).kind == "created"
    assert parse(desk, webhook, inboxes=["inb_other"]) == Ignored("in another inbox")


@pytest.mark.parametrize(
    "source",
    [
        {"data": {"id": "inb_1in"}},
        {"data": [{"id": "inb_other"}, {"id": "inb_1in"}, {"name": "without an id"}, 7]},
        {"data": {"id": "rul_1"}},  # it names no inbox, so the API is asked
        {"data": None},
        None,
    ],
)
def test_the_source_of_an_event_may_be_a_list_or_an_object(source: Any, api: Api) -> None:
    desk = FrontDesk()
    payload = json.loads(desk.fake.customer_writes("Hello").body)
    payload["payload"]["source"] = source
    webhook = desk.sign_payload(payload)
    seen: list[Conversation] = []
    route(desk, api, webhook, Close(), vendor=desk.adapter(inboxes=["inb_1in"]), when=seen.append)
    assert [(conversation.inbox, conversation.team) for conversation in seen] == [("inb_1in", "inb_1in")]


def test_the_api_says_whether_the_inbox_is_triaged(api: Api) -> None:
    desk = FrontDesk()
    payload = json.loads(desk.fake.customer_writes("Hello").body)
    payload["payload"]["source"] = {"_meta": {"type": "api"}}
    webhook = desk.sign_payload(payload)
    outcome = route(desk, api, webhook, Close(), vendor=desk.adapter(inboxes=["inb_other"]))
    assert (outcome.status, outcome.reason) == ("ignored", "in another inbox")
    desk.fake.fail("GET /conversations/*/inboxes", status=403, times=None)
    assert route(desk, api, webhook, Close(), vendor=desk.adapter(inboxes=["inb_1in"])).status == "failed"
    assert route(desk, api, webhook, Close()).status == "closed", "without `inboxes`, it makes no difference"
    desk.fake.recover()
    desk.fake.fail("GET /conversations/*/inboxes", status=500, times=None)
    assert route(desk, api, webhook, Close()).status == "failed"


def test_inboxes_are_no_teams_if_tags_are(api: Api) -> None:
    desk = FrontDesk()
    seen: list[Conversation] = []
    route(desk, api, open_conversation(desk), vendor=desk.adapter(teams="tags"), when=seen.append)
    assert [(conversation.inbox, conversation.team) for conversation in seen] == [("inb_1in", None)]


def test_a_webhook_says_where_the_customer_wrote() -> None:
    desk = FrontDesk()
    conversation = read_delivery(desk, desk.fake.customer_writes("Hello", subject="Parcel"))
    assert (conversation.channel, conversation.inbox) == ("email", "inb_1in")


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
    customer = event.customer
    assert (customer.id, customer.name, customer.email) == ("crd_1", "Mira", "mira@example.com")


# Conversations


def create_send(desk: FrontDesk, **changes: Any) -> Any:
    """Return a `Send` without retries; `changes` replaces parts of the responses."""

    async def send(request: Request) -> Response:
        async with httpx.AsyncClient(transport=desk.fake.transport, headers=dict(request.headers)) as client:
            response = await client.request(request.method, request.url, json=request.json)
        data: Any = response.json() if response.content else {}
        data |= {name: value for name, value in changes.items() if name in data}
        return Response(response.status_code, dict(response.headers), json.dumps(data).encode())

    return send


def call(desk: FrontDesk, method: str, path: str, body: Any) -> None:
    """Call the API as another client does."""
    with httpx.Client(transport=desk.fake.transport, headers={"Authorization": "Bearer fake-api-token"}) as client:
        client.request(method, BASE_URL + path, json=body).raise_for_status()


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
    answer = conversation.last_human_answer()
    assert answer is not None
    assert answer.text == "Three"


@pytest.mark.parametrize(
    ("message", "role"),
    [
        ({"author": {"id": "tea_9002", "type": "ai"}}, "bot"),
        ({"author": {"id": "tea_9002", "type": "macro"}}, "bot"),
        ({"author": {"id": "tea_7"}}, "bot"),  # one of `machines`
        ({"author": {"id": "tea_9002"}, "type": "internal"}, "note"),
        ({"author": {"id": "tea_9001"}, "type": "email"}, "bot"),
        ({"author": {"id": "tea_8", "type": "visitor"}, "is_inbound": True}, "customer"),
        ({"author": {"id": "tea_8", "type": "visitor"}}, "agent"),
        ({"author": "odd", "is_inbound": True}, "customer"),
    ],
)
def test_machines_and_colleagues_do_not_answer_customers(message: dict[str, Any], role: str) -> None:
    desk = FrontDesk()
    webhook = desk.fake.customer_writes("One")
    sent = {"id": "msg_x", "is_inbound": False, "created_at": 2, "text": "Two"} | message
    event = parse_event(desk, webhook)
    adapter = desk.adapter(machines=["tea_7"])
    conversation = asyncio.run(adapter.fetch(event, create_send(desk, _results=[sent])))
    assert conversation.messages[0].role == role


@pytest.mark.parametrize(
    ("assignee", "expected"),
    [
        ({"id": "tea_9002"}, "tea_9002"),
        ({"id": "tea_9002", "type": "user"}, "tea_9002"),
        ({"id": "tea_9002", "type": "ai"}, None),
        ({"id": "tea_7"}, None),
        ({"id": "tea_9001"}, None),
        (None, None),
        ("tea_9002", None),
    ],
)
def test_a_machine_is_nobody(assignee: Any, expected: str | None) -> None:
    desk = FrontDesk()
    payload = json.loads(desk.fake.customer_writes("Hello").body)
    payload["payload"]["conversation"]["assignee"] = assignee
    assert read_delivery(desk, desk.sign_payload(payload), machines=["tea_7"]).assignee == expected


def test_drafts_are_not_sent_yet() -> None:
    desk = FrontDesk()
    webhook = desk.fake.customer_writes("One")
    draft = {"id": "msg_x", "is_inbound": False, "created_at": 2, "text": "Two", "author": {"id": "tea_9002"}}
    for mark in ({"is_draft": True}, {"draft_mode": "shared"}):
        assert [message.text for message in fetch(desk, webhook, _results=[draft | mark]).messages] == ["One"]


def test_a_list_may_contain_something_odd() -> None:
    desk = FrontDesk()
    webhook = desk.fake.customer_writes("One")
    good = {"id": "msg_2", "is_inbound": True, "text": "One", "attachments": {"filename": "scan.pdf"}}
    (message,) = fetch(desk, webhook, _results=[7, {"text": []}, good]).messages
    assert (message.text, message.attachments) == ("One", ("scan.pdf",))


def test_a_message_without_an_id_has_a_stable_one() -> None:
    desk = FrontDesk()
    webhook = desk.fake.customer_writes("One")
    messages = [
        {"is_inbound": True, "text": "A", "created_at": 1.5},
        {"is_inbound": True, "text": "B", "message_uid": "1eab"},
        {"is_inbound": True, "text": "C"},
    ]
    ids = {message.text: message.id for message in fetch(desk, webhook, _results=messages).messages}
    assert ids == {"A": "cnv_1-19700101T000001.500000", "B": "1eab", "C": "cnv_1-unknown", "One": "msg_2"}


def test_headers_of_partner_channels_show_automatic_messages() -> None:
    desk = FrontDesk()
    headers = {"Auto-Submitted": "auto-replied", "X-Odd": 7}
    automatic, usual = desk.change_message(metadata={"headers": headers}), desk.change_message(metadata=None)
    assert read_delivery(desk, automatic).is_automatic
    assert not read_delivery(desk, usual).is_automatic


def test_a_plain_body_keeps_its_lines_and_angle_brackets() -> None:
    desk = FrontDesk()
    webhook = desk.change_message(body="Is 3 < 5?\nI use <T> a lot.", type="sms")
    assert read_delivery(desk, webhook).text == "Is 3 < 5?\nI use <T> a lot."


def test_a_quotation_that_only_html_shows_is_removed_from_a_reply() -> None:
    desk = FrontDesk()
    first = desk.fake.customer_writes("Hello", subject="Parcel")
    desk.clock.now += 120
    quoted = (
        '<div>Where is it?</div><div class="gmail_quote"><div>Erst neulich:</div><blockquote>Old</blockquote></div>'
    )
    reply = desk.fake.customer_writes(quoted, html=True, conversation=first.conversation_id)
    (message,) = read_delivery(desk, reply).messages
    assert message.text == "Where is it?"


def test_the_subject_of_the_message_is_used_if_the_conversation_has_none() -> None:
    desk = FrontDesk()
    payload = json.loads(desk.fake.customer_writes("Hello", subject="Parcel").body)
    payload["payload"]["conversation"]["subject"] = None
    assert read_delivery(desk, desk.sign_payload(payload)).subject == "Parcel"


def test_the_text_comes_from_body_text_or_blurb() -> None:
    desk = FrontDesk()
    webhook = desk.fake.customer_writes("One")
    inbound: dict[str, Any] = {"is_inbound": True}
    messages = [
        {"id": "msg_a", "text": "text", "body": "<style>b {}</style>", "blurb": "blurb"} | inbound,
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
        ({"handle": "a@example.com", "name": "Ada"}, (None, "Ada", "a@example.com")),
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
    parsed = read_delivery(desk, desk.sign_payload(payload)).customer
    assert (parsed.id, parsed.name, parsed.email) == customer


FORM = {"name": "Acme Form", "handle": "forms@acme.example", "role": "from"}
MIRA = {"name": "Mira Probe", "handle": "mira@example.com", "role": "reply-to"}
OURS = {"name": None, "handle": "support@acme.example", "role": "to"}


@pytest.mark.parametrize(
    ("recipients", "customer"),
    [
        ([FORM, MIRA, OURS], ("Mira Probe", "mira@example.com")),
        ([MIRA, OURS], ("Mira Probe", "mira@example.com")),
        ([FORM, OURS], ("Acme Form", "forms@acme.example")),
        ([FORM, MIRA | {"handle": None}], ("Acme Form", "forms@acme.example")),
        ([FORM, MIRA | {"handle": "support@acme.example"}, OURS], ("Acme Form", "forms@acme.example")),
        ([FORM | {"name": None}, MIRA | {"handle": "Forms@acme.example"}], ("Mira Probe", "forms@acme.example")),
        (MIRA, ("Mira Probe", "mira@example.com")),
        ([], ("Mira", "mira@front.example")),
    ],
)
def test_the_customer_of_a_contact_form_is_in_reply_to(recipients: Any, customer: Any) -> None:
    desk = FrontDesk()
    payload = json.loads(desk.fake.customer_writes("Hello", name="Mira", email="mira@front.example").body)
    payload["payload"]["target"]["data"]["recipients"] = recipients
    parsed = read_delivery(desk, desk.sign_payload(payload)).customer
    assert (parsed.name, parsed.email) == customer


def test_a_long_conversation_is_read_page_by_page(api: Api) -> None:
    desk = FrontDesk(rate_limit=None)
    webhook = desk.fake.customer_writes("0")
    for number in range(1, 640):
        desk.clock.now += 0.01
        desk.fake.customer_writes(str(number), conversation=webhook.conversation_id)
    conversation = fetch(desk, webhook)
    assert len(conversation.messages) == 501, "the 500 newest, and the event's own message"
    pages = [call.query.get("page_token") for call in desk.fake.calls if call.path.endswith("/messages")]
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


def test_calls_go_on_while_a_burst_is_allowed(api: Api) -> None:
    desk = FrontDesk(rate_limit=RateLimit(2, 60), burst=2)
    outcome = route(desk, api, open_conversation(desk), Assign(team="inb_billing"), Reply("Hi"))
    assert step_results(outcome) == ["assign:done", "reply:done"]


@pytest.mark.parametrize(
    ("status", "burst", "seconds"), [(200, "20", None), (200, "0", 8.0), (200, "odd", 8.0), (429, "20", 8.0)]
)
def test_an_exhausted_limit_pauses_once_the_burst_is_used_up(status: int, burst: str, seconds: float | None) -> None:
    limit = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1008"}
    response = Response(status, limit | {"x-ratelimit-burst-remaining": burst}, b"")
    assert FrontDesk().adapter().pause(response, 1000) == seconds


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
        ({"messages": "some"}, "messages must be 'first', 'new' or 'all'"),
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
