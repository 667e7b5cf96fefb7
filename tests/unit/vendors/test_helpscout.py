"""Help Scout: its token, tags and fields that are written as whole lists, statuses, merged conversations, errors."""

import asyncio
import hashlib
import json
import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.helpers.api import Api
from tests.helpers.desks import BASE_URL, HelpScoutDesk
from tests.helpers.desks.helpscout import ESCAPED, KEY, RAW, SIDEBAR, SPACED
from tests.helpers.routing import collect_classified_texts, route, step_results
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
    Outcome,
    Reply,
    Router,
    SetFields,
    Snooze,
    Tag,
    VendorError,
    WebhookResponse,
)
from triage.io.ports import run
from triage.models import Customer, Delivery, Request, Response, Step
from triage.testing import Call, FakeHelpScout, Webhook, create_webhook
from triage.vendors import HelpScout

EVENTS: Any = ["convo.created", "convo.customer.reply.created"]
CREATED = "convo.created"
USER = 771000

ACTIONS: Mapping[str, tuple[Action, list[tuple[str, str, Any]]]] = {
    "assign to a team": (
        Assign(team="771202"),
        [("PATCH", "", {"op": "replace", "path": "/assignTo", "value": 771202})],
    ),
    "assign to a user": (
        Assign(user="634102"),
        [("PATCH", "", {"op": "replace", "path": "/assignTo", "value": 634102})],
    ),
    "reply": (
        Reply("Hi <you>,\n\nfine & well."),
        [
            (
                "POST",
                "/reply",
                {
                    "text": "<p>Hi &lt;you&gt;,</p><p>fine &amp; well.</p>",
                    "user": USER,
                    "status": "active",
                    "customer": {"id": 501000001},
                },
            )
        ],
    ),
    "note": (Note("psst"), [("POST", "/notes", {"text": "<p>psst</p>", "user": USER, "status": "active"})]),
    "tag": (Tag("vip", "refund"), [("PUT", "/tags", {"tags": ["vip", "refund"]})]),
    "set fields": (
        SetFields({"triage": "Billing", "105": "asked twice", "Score": 7.0, "Due": "2026-12-01"}),
        [
            (
                "PUT",
                "/fields",
                {
                    "fields": [
                        {"id": 104, "value": "169"},
                        {"id": 105, "value": "asked twice"},
                        {"id": 107, "value": "7"},
                        {"id": 108, "value": "2026-12-01"},
                    ]
                },
            )
        ],
    ),
    "snooze": (
        Snooze(timedelta(hours=1)),
        [("PUT", "/snooze", {"snoozedUntil": "2026-11-24T10:00:00Z", "unsnoozeOnCustomerReply": True})],
    ),
    "close": (Close(), [("PATCH", "", {"op": "replace", "path": "/status", "value": "closed"})]),
    "mark as spam": (MarkSpam(), [("PATCH", "", {"op": "replace", "path": "/status", "value": "spam"})]),
}


def list_writes(desk: HelpScoutDesk, conversation_id: str | None) -> list[tuple[str, str, Any]]:
    """Return method, path (relative to the conversation) and body of every call that writes."""
    one = f"/v2/conversations/{conversation_id}"
    return [
        (call.method, call.path.removeprefix(one), call.body)
        for call in desk.fake.calls
        if call.method != "GET" and "/oauth2/" not in call.path
    ]


def list_reads(desk: HelpScoutDesk) -> list[str]:
    return [call.path for call in desk.fake.calls if call.method == "GET"]


def list_grants(fake: FakeHelpScout) -> list[Call]:
    return [call for call in fake.calls if call.path == "/v2/oauth2/token"]


def parse(webhook: Webhook, **options: Any) -> Event:
    desk = HelpScoutDesk()
    answer = desk.router(vendor=desk.adapter(**options)).receive(webhook.body, webhook.headers)
    assert answer.event is not None, answer.outcome
    return answer.event


def read(webhook: Webhook, **options: Any) -> Conversation:
    """Return the conversation that a webhook shows."""
    return HelpScoutDesk().adapter(**options).read_delivery(parse(webhook, **options))


def threads(desk: HelpScoutDesk, *changes: Mapping[str, Any], **conversation: Any) -> Webhook:
    """Return a webhook of a new conversation, with threads that differ from a customer's in `changes`."""
    payload = json.loads(desk.fake.customer_writes("Hello").body)
    first = payload["_embedded"]["threads"][0]
    payload["_embedded"]["threads"] = [{**first, "id": at, **change} for at, change in enumerate(changes, 1)]
    return desk.sign_payload(payload | conversation)


# Actions


@pytest.mark.parametrize("name", ACTIONS)
def test_each_action_makes_the_expected_calls(name: str, api: Api) -> None:
    desk = HelpScoutDesk()
    action, expected = ACTIONS[name]
    webhook = desk.fake.customer_writes("Hello")
    outcome = route(desk, api, webhook, action)
    assert [step.status for step in outcome.steps] == ["done"]
    assert list_writes(desk, webhook.conversation_id) == expected
    token, reading = desk.fake.calls[:2]
    assert (token.path, token.body["grant_type"]) == ("/v2/oauth2/token", "client_credentials")
    assert (reading.path, reading.query) == (f"/v2/conversations/{webhook.conversation_id}", {"embed": "threads"})


def test_all_actions_together_change_the_conversation(api: Api) -> None:
    desk = HelpScoutDesk()
    webhook = desk.fake.customer_writes("Hello")
    actions = [action for action, _ in ACTIONS.values() if not isinstance(action, Snooze | MarkSpam)]
    outcome = route(desk, api, webhook, Close(), *actions[:-1])
    assert step_results(outcome) == [
        "assign:done",
        "assign:done",
        "reply:done",
        "tag+set_fields:done",
        "note:done",
        "close:done",
    ]
    conversation = desk.fake.conversations[webhook.conversation_id or ""]
    assert (conversation.team, conversation.assignee) == (None, "634102"), "a team and a user share one field"
    assert conversation.tags == ["vip", "refund"]
    assert conversation.fields == {"104": "169", "105": "asked twice", "107": "7", "108": "2026-12-01"}
    assert desk.fake.replies(conversation.id) == ["<p>Hi &lt;you&gt;,</p><p>fine &amp; well.</p>"]
    assert desk.fake.notes(conversation.id) == ["<p>psst</p>"]
    assert desk.fake.status(conversation.id) == "closed"


def test_a_typical_conversation_costs_five_units_of_the_limit(api: Api) -> None:
    desk = HelpScoutDesk()
    route(desk, api, desk.fake.customer_writes("Hello"), Assign(team="771202"), Reply("We are on it."))
    units = [desk.fake.get_cost(call) for call in desk.fake.calls if "/oauth2/" not in call.path]
    assert units == [1, 2, 2]


@pytest.mark.parametrize("message", [Reply("Done."), Note("Done.")])
def test_a_reply_or_note_before_closing_carries_the_status(message: Reply | Note, api: Api) -> None:
    desk = HelpScoutDesk()
    webhook = desk.fake.customer_writes("Hello")
    outcome = route(desk, api, webhook, Close(), message)
    assert (outcome.status, step_results(outcome)) == ("closed", [f"{message.type}+close:done"])
    ((_, _, body),) = list_writes(desk, webhook.conversation_id)
    assert body["status"] == "closed"
    assert desk.fake.status(webhook.conversation_id or "") == "closed"


@pytest.mark.parametrize(
    ("status", "message"),
    [
        ("active", Reply("Seen.")),
        ("pending", Reply("Seen.")),
        ("active", Note("Seen.")),
        ("pending", Note("Seen.")),
        ("closed", Note("Seen.")),
    ],
)
def test_a_reply_or_note_preserves_the_status(message: Reply | Note, status: str, api: Api) -> None:
    desk = HelpScoutDesk()
    webhook = desk.fake.customer_writes("Hello")
    desk.fake._set_status(desk.fake.conversations[webhook.conversation_id or ""], status)
    assert route(desk, api, webhook, message).status == "routed"
    assert desk.fake.status(webhook.conversation_id or "") == status


def test_a_conversation_that_was_never_read_is_active() -> None:
    conversation = Conversation(id="1", customer=Customer(id="7"))
    (request,) = _requests(Reply("x"), conversation)
    assert request.json["status"] == "active"


def test_a_conversation_without_a_customer_cannot_be_answered(api: Api) -> None:
    desk = HelpScoutDesk()
    with pytest.raises(VendorError, match="names no customer to answer"):
        _requests(Reply("x"), Conversation(id="1"))
    assert not _requests(Note("x"), Conversation(id="1"))[0].idempotent
    assert desk.fake.calls == []


def _requests(action: Action, conversation: Conversation) -> list[Request]:
    sent: list[Request] = []

    async def send(request: Request) -> Response:
        sent.append(request)
        return Response(201, {}, b"")

    run(HelpScoutDesk().adapter().perform(Step(actions=(action,)), conversation, send))
    return sent


def test_closing_comes_last_and_spam_takes_precedence() -> None:
    adapter = HelpScoutDesk().adapter()

    def name_steps(*actions: Action) -> list[str]:
        return [step.name for step in adapter.plan(actions)]

    snooze = Snooze(datetime(2026, 12, 1, tzinfo=UTC))
    assert name_steps() == []
    assert name_steps(Close()) == ["close"]
    assert name_steps(snooze, Reply("x")) == ["reply", "snooze"]
    assert name_steps(Close(), snooze, Reply("x")) == ["reply", "snooze", "close"]
    assert name_steps(MarkSpam(), Reply("x"), Close()) == ["reply", "mark_spam+close"]
    assert name_steps(Close(), Note("y"), Tag("a"), Reply("x"), Assign(team="1")) == [
        "assign",
        "reply",
        "tag",
        "note",
        "close",
    ]
    assert name_steps(Reply("x"), Tag("a"), Note("y"), SetFields({"b": 1}), Tag("c")) == [
        "reply",
        "tag+set_fields+tag",
        "note",
    ]


def test_spam_and_close_are_one_call(api: Api) -> None:
    desk = HelpScoutDesk()
    webhook = desk.fake.customer_writes("Hello")
    assert route(desk, api, webhook, MarkSpam(), Close()).status == "closed"
    assert list_writes(desk, webhook.conversation_id) == ACTIONS["mark as spam"][1]
    assert desk.fake.status(webhook.conversation_id or "") == "spam"


def test_variables_of_saved_replies_are_not_expanded(api: Api) -> None:
    desk = HelpScoutDesk()
    webhook = desk.fake.customer_writes("Hello")
    route(desk, api, webhook, Note("Hi {{%user.email%}}"))
    assert desk.fake.notes(webhook.conversation_id or "") == ["<p>Hi &#123;%user.email%}</p>"]


def test_a_snoozed_conversation_wakes_when_the_customer_writes(api: Api) -> None:
    desk = HelpScoutDesk()
    webhook = desk.fake.customer_writes("Hello")
    until = datetime(2026, 11, 25, 12, tzinfo=UTC)
    route(desk, api, webhook, Snooze(until))
    conversation = desk.fake.conversations[webhook.conversation_id or ""]
    assert (conversation.state, conversation.snoozed_until) == ("snoozed", int(until.timestamp()))
    desk.fake.customer_writes("Are you there?", conversation=conversation.id)
    assert (conversation.state, conversation.snoozed_until) == ("open", None)


# Tags and fields, which are written as whole lists


def test_tags_that_were_added_concurrently_are_kept(api: Api) -> None:
    desk = HelpScoutDesk()
    webhook = desk.fake.customer_writes("Hello")
    conversation = desk.fake.conversations[webhook.conversation_id or ""]

    def classify(text: str) -> str:
        conversation.tags += ["VIP", "workflow"]
        return "general"

    route(desk, api, webhook, Tag("vip", "billing"), Tag("billing", "new"), classifier=classify)
    assert conversation.tags == ["VIP", "workflow", "billing", "new"]


def test_existing_tags_are_not_written_again(api: Api) -> None:
    desk = HelpScoutDesk()
    webhook = desk.fake.customer_writes("Hello")
    desk.fake.conversations[webhook.conversation_id or ""].tags += ["VIP"]
    assert step_results(route(desk, api, webhook, Tag("vip"))) == ["tag:done"]
    assert list_writes(desk, webhook.conversation_id) == []


def test_fields_are_merged_and_empty_text_clears_one(api: Api) -> None:
    desk = HelpScoutDesk()
    webhook = desk.fake.customer_writes("Hello")
    conversation = desk.fake.conversations[webhook.conversation_id or ""]
    conversation.fields |= {"104": "168", "105": "old", "106": "kept", "107": "1"}
    fields = SetFields({"Triage": None, "reason": "", "Score": True, "Due": "2026-12-01"})
    outcome = route(desk, api, webhook, SetFields({"Score": 2}), Tag("a"), fields, dry_run=True)
    assert step_results(outcome) == ["set_fields+tag+set_fields:planned"]
    fields = SetFields({"Triage": None, "reason": "", "Due": "2026-12-01"})
    outcome = route(desk, api, webhook, SetFields({"Score": 2, "Due": "2025-01-01"}), fields)
    assert step_results(outcome) == ["set_fields+set_fields:done"]
    assert conversation.fields == {"106": "kept", "107": "2", "108": "2026-12-01"}


def test_fields_may_hold_the_verdict_and_are_truncated(api: Api) -> None:
    desk = HelpScoutDesk()
    webhook = desk.fake.customer_writes("Hello")
    route(desk, api, webhook, SetFields({"Triage": "{bucket}", "Reason": "x" * 300, "Story": "x" * 300}))
    assert desk.fake.conversations[webhook.conversation_id or ""].fields == {
        "104": "170",
        "105": "x" * 255,
        "106": "x" * 300,
    }


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"Mood": "good"}, "the inbox has no custom field 'Mood'"),
        ({"Triage": "spam"}, "the custom field 'Triage' has no such option"),
        ({"Score": 7.5}, "the custom field 'Score' needs an integer"),
        ({"Score": True}, "the custom field 'Score' needs an integer"),
        ({"Due": "soon"}, "the custom field 'Due' needs a date such as 2026-12-01"),
    ],
)
def test_a_field_that_does_not_fit_is_named_and_stops_nothing_else(
    fields: dict[str, Any], message: str, api: Api
) -> None:
    desk = HelpScoutDesk()
    webhook = desk.fake.customer_writes("Hello")
    outcome = route(desk, api, webhook, SetFields({"Reason": "late", **fields}), Tag("a"), Assign(team="771202"))
    assert outcome.status == "partial"
    assert step_results(outcome) == ["assign:done", "set_fields:rejected", "tag:done"]
    assert message in outcome.reason
    conversation = desk.fake.conversations[webhook.conversation_id or ""]
    assert (conversation.fields, conversation.tags, conversation.team) == ({"105": "late"}, ["a"], "771202")


def test_fields_are_not_written_if_none_fits(api: Api) -> None:
    desk = HelpScoutDesk()
    webhook = desk.fake.customer_writes("Hello")
    outcome = route(desk, api, webhook, SetFields({"Mood": "good", "Score": "high"}))
    expected = "the inbox has no custom field 'Mood'; the custom field 'Score' needs an integer: correct the policy"
    assert expected in outcome.reason
    assert list_writes(desk, webhook.conversation_id) == []


@pytest.mark.parametrize(
    ("action", "call", "message"),
    [
        (Tag("vip"), "PUT **/tags", "one of the tags 'vip' was rejected"),
        (SetFields({"Reason": "late"}), "PUT **/fields", "one of the custom fields 'Reason' was rejected"),
    ],
)
def test_a_rejected_label_is_named(action: Action, call: str, message: str, api: Api) -> None:
    desk = HelpScoutDesk()
    desk.fake.fail(call, status=400)
    outcome = route(desk, api, desk.fake.customer_writes("Hello"), action)
    assert (outcome.status, message in outcome.reason) == ("partial", True)


def test_a_label_whose_conversation_is_gone_names_the_conversation(api: Api) -> None:
    desk = HelpScoutDesk()
    desk.fake.fail("PUT **/tags", status=404)
    outcome = route(desk, api, desk.fake.customer_writes("Hello"), Tag("vip"))
    assert "tag: helpscout: PUT" in outcome.reason
    assert "there is no such conversation" in outcome.reason


_ABSENT = {"id": 1, "mailboxId": 215533}


def _label(desk: HelpScoutDesk, api: Api, item: Mapping[str, Any], action: Action) -> tuple[Outcome, list[Any]]:
    """Label a conversation whose second read returns `item`, and return what was written."""
    webhook = desk.fake.customer_writes("Hello")

    def answer(request: httpx.Request) -> httpx.Response:
        is_second = request.method == "GET" and request.url.path.endswith(str(webhook.conversation_id))
        if is_second and not request.url.query:
            return httpx.Response(200, json=item)
        return desk.fake.transport.handle_request(request)

    transport = httpx.MockTransport(answer)
    clients = {"http": httpx.Client(transport=transport), "async_http": httpx.AsyncClient(transport=transport)}
    outcome = route(desk, api, webhook, action, **clients)
    return outcome, [body for _, _, body in list_writes(desk, webhook.conversation_id)]


@pytest.mark.parametrize("item", [_ABSENT, {**_ABSENT, "tags": None, "customFields": None}])
def test_a_list_that_is_absent_is_empty(item: dict[str, Any], api: Api) -> None:
    """Help Scout leaves out empty lists elsewhere."""
    assert _label(HelpScoutDesk(), api, item, Tag("a"))[1] == [{"tags": ["a"]}]
    written = _label(HelpScoutDesk(), api, item, SetFields({"Reason": "x"}))[1]
    assert written == [{"fields": [{"id": 105, "value": "x"}]}]


@pytest.mark.parametrize(
    ("item", "action", "part"),
    [
        ({"tags": 7}, Tag("a"), "tags"),
        ({"tags": ["a", {"name": "b"}]}, Tag("a"), "tags"),
        ({"customFields": "x"}, SetFields({"Reason": "x"}), "customFields"),
        ({"customFields": [{"id": 1, "value": ["x"]}]}, SetFields({"Reason": "x"}), "customFields.0.value"),
    ],
)
def test_a_list_that_cannot_be_parsed_is_not_overwritten(
    item: dict[str, Any], action: Action, part: str, api: Api
) -> None:
    outcome, written = _label(HelpScoutDesk(), api, {**_ABSENT, **item}, action)
    assert f"cannot parse the response: {part}" in outcome.reason
    assert written == []


def test_one_list_that_cannot_be_parsed_does_not_concern_the_other(api: Api) -> None:
    item = {"tags": ["a"], "customFields": 7}
    assert _label(HelpScoutDesk(), api, item, Tag("b"))[1] == [{"tags": ["a", "b"]}]


def test_tags_may_be_plain_names(api: Api) -> None:
    item = {**_ABSENT, "tags": ["a", {"tag": "b"}]}
    assert _label(HelpScoutDesk(), api, item, Tag("c"))[1] == [{"tags": ["a", "b", "c"]}]


# Deliveries


@pytest.mark.parametrize(
    ("secret", "body", "header"),
    [
        (KEY, RAW, "L3BUQHYlUtGK9Qh87ELOqU7wV0c="),  # the signature of the same JSON value, escaped
        (KEY, ESCAPED, "LfkrFxQyrpJkQhC6bGPX00IyfoI="),
        ("your secret key", SIDEBAR, "2352a5bc6a6962abc54c9809f637b37503038b22"),
        ("your secret key", SIDEBAR, "sha1=I1KlvGppYqvFTJgJ9jezdQMDiyI="),
        ("your secret key", SIDEBAR, "sha1=2352a5bc6a6962abc54c9809f637b37503038b22"),
        ("your secret key", SIDEBAR, "I1KlvGppYqvFTJgJ9jezdQMDiyI\u00bd"),
        ("your secret key", SIDEBAR, ""),
        ("webhook-secret", SPACED.rstrip("\n"), "8nIrE4Hu2m4oRi/4Emja7dJhTDE="),
    ],
)
def test_a_wrong_signature_is_rejected(secret: str, body: str, header: str) -> None:
    delivery = Delivery.create(body.encode(), {"X-HelpScout-Signature": header}, 0.0)
    with pytest.raises(InvalidSignature):
        HelpScoutDesk().adapter(webhook_secret=secret).verify(delivery)


def test_a_request_without_an_event_is_malformed_and_a_sidebar_apps_is_named() -> None:
    desk = HelpScoutDesk()

    def reason(body: str) -> str:
        headers = desk.sign(body.encode())
        del headers["X-HelpScout-Event"]
        answer = desk.router().receive(body.encode(), headers)
        assert answer.outcome is not None
        assert (answer.status_code, answer.outcome.status) == (200, "malformed")
        return answer.outcome.reason

    assert reason('{"id": 1}') == "X-HelpScout-Event: missing"
    assert reason(SIDEBAR) == "a sidebar app's request: this address belongs under Webhooks, not under Apps"
    assert reason("[]") == "the body is JSON, but not an object"


def test_the_event_header_may_have_any_case(api: Api) -> None:
    desk = HelpScoutDesk()
    webhook = desk.fake.customer_writes("Hello")
    headers = {name.upper(): value for name, value in webhook.headers.items()}
    assert api.handle(desk.router(), webhook.body, headers).status_code == 200


def test_the_key_consists_of_account_conversation_and_message(api: Api) -> None:
    desk = HelpScoutDesk()
    webhook = desk.fake.customer_writes("Hello")
    event = parse(webhook)
    assert event.key == f"helpscout:default:{webhook.conversation_id}:{event.message_id}"
    assert parse(webhook, account="shop-2").key == f"helpscout:shop-2:{webhook.conversation_id}:{event.message_id}"
    assert event.occurred_at == datetime(2026, 11, 24, 9, tzinfo=UTC)


def test_a_reply_is_triaged_if_the_event_is_enabled(api: Api) -> None:
    desk = HelpScoutDesk()
    first = desk.fake.customer_writes("Hello")
    desk.clock.now += 60
    webhook = desk.fake.customer_writes("Still no refund!", conversation=first.conversation_id)
    event = parse(webhook, events=EVENTS)
    assert (event.kind, read(webhook, events=EVENTS).text) == ("replied", "Hello\n\nStill no refund!")
    assert event.key != parse(first).key
    assert route(desk, api, webhook, Assign(team="771202"), vendor=desk.adapter(events=EVENTS)).status == "routed"


def test_threads_are_sorted_by_time() -> None:
    desk = HelpScoutDesk()
    webhook = threads(
        desk,
        {"id": 30, "body": "second", "createdAt": "2026-11-24T09:00:01Z"},
        {"id": 9, "body": "zeroth", "createdAt": None},
        {"id": 100, "body": "fourth", "createdAt": "2026-11-24T09:00:02Z"},
        {"id": 40, "body": "third", "createdAt": "2026-11-24T09:00:02Z"},
        {"id": 50, "body": "first", "createdAt": "2026-11-24T09:00:00Z"},
    )
    texts = [message.text for message in read(webhook).messages]
    assert texts == ["zeroth", "first", "second", "third", "fourth"]


def test_each_thread_has_a_role() -> None:
    desk = HelpScoutDesk()
    user, ours, ai = {"type": "user", "id": 634102}, {"type": "user", "id": USER}, {"type": "system_user", "id": 9}
    expected: list[tuple[str, dict[str, Any]]] = [
        ("customer", {}),
        ("customer", {"createdBy": None}),
        ("customer", {"type": "beaconchat"}),
        ("agent", {"type": "message", "createdBy": user}),
        ("agent", {"type": "message", "createdBy": None}),
        ("agent", {"type": "chat", "createdBy": user}),
        ("agent", {"type": "phone", "createdBy": user}),
        ("agent", {"createdBy": user}),
        ("agent", {"type": "message", "createdBy": user, "state": "bounced"}),
        ("agent", {"type": "message", "createdBy": user, "source": {"type": "notification", "via": "user"}}),
        ("customer", {"type": "phone"}),
        ("customer", {"type": "phone", "createdBy": None}),
        ("agent", {"type": "phone", "createdBy": None, "source": {"type": "api", "via": "user"}}),
        ("customer", {"state": "review"}),
        ("bot", {"type": "message", "createdBy": ours}),
        ("bot", {"type": "message", "createdBy": {"type": "user", "id": 1, "first": "Help", "last": "Scout"}}),
        ("bot", {"type": "message", "createdBy": user, "source": {"type": "workflow", "via": "user"}}),
        ("bot", {"type": "message", "createdBy": user, "source": {"type": "workflows", "via": "user"}}),
        ("bot", {"type": "message", "createdBy": user, "source": {"type": "email", "via": "autoresponder"}}),
        ("bot", {"type": "beaconchat", "createdBy": user, "source": {"type": "ai", "via": "user"}}),
        ("bot", {"type": "message", "createdBy": {"type": "user", "id": 555}}),
        ("bot", {"type": "message", "createdBy": ai}),
        ("bot", {"type": "chat", "createdBy": {}}),
        ("bot", {"type": None, "createdBy": None}),
        ("note", {"type": "note", "createdBy": user}),
        ("note", {"type": "note", "createdBy": ours}),
        ("note", {"type": "forwardchild", "createdBy": user}),
    ]
    unsaid: list[dict[str, Any]] = [
        {"type": "lineitem"},
        {"state": "draft"},
        {"state": "hidden"},
        {"type": "message", "createdBy": user, "state": "review"},
    ]
    webhook = threads(desk, *(change for _, change in expected), *unsaid)
    assert [message.role for message in read(webhook, machines=["555"]).messages] == [role for role, _ in expected]


@pytest.mark.parametrize(
    ("assignee", "human"),
    [
        (None, None),
        ({}, None),
        ({"id": 0}, None),
        ({"id": 1, "type": "user"}, None),
        ({"id": USER, "type": "user"}, None),
        ({"id": 771203, "type": "team"}, None),
        ({"id": 634102, "type": "user"}, "634102"),
        ({"id": 634102}, "634102"),
        ({"id": 9, "type": "system_user"}, None),
        ({"id": 555, "type": "user"}, None),
        ("Ada", None),
    ],
)
def test_only_a_human_counts_as_the_assignee(assignee: object, human: str | None) -> None:
    assert read(threads(HelpScoutDesk(), {}, assignee=assignee), machines=[555]).assignee == human


def test_a_conversation_has_team_channel_inbox_and_tags() -> None:
    conversation = read(
        threads(HelpScoutDesk(), {}, assignee={"id": 771203, "type": "team"}, type="phone", tags=[{"tag": "vip"}, 7])
    )
    assert (conversation.team, conversation.channel, conversation.inbox) == ("771203", "phone", "215533")
    assert conversation.tags == ("vip", "7")


def test_an_older_payload_names_its_inbox_and_customer_differently() -> None:
    payload = json.loads(threads(HelpScoutDesk(), {}).body)
    del payload["mailboxId"], payload["primaryCustomer"]
    payload |= {"mailbox": {"id": 85}, "customer": {"id": 7, "firstName": "Vera", "lastName": "Baer"}}
    conversation = read(HelpScoutDesk().sign_payload(payload))
    assert (conversation.inbox, conversation.customer.name) == ("85", "Vera Baer")


# Machines, archives and episodes


def test_a_workflows_reply_is_not_a_humans(api: Api) -> None:
    desk = HelpScoutDesk()
    first = desk.fake.customer_writes("Hello")
    desk.fake.workflow_replies("We usually answer within minutes.", conversation=first.conversation_id or "")
    webhook = desk.fake.customer_writes("I was charged twice", conversation=first.conversation_id)
    outcome = route(desk, api, webhook, Assign(team="771202"), vendor=desk.adapter(events=EVENTS))
    assert step_results(outcome) == ["assign:done"]


@pytest.mark.parametrize("source", ["autoreply", "bounce", "workflow"])
def test_a_message_that_a_machine_wrote_for_a_customer_is_not_answered(source: str, api: Api) -> None:
    desk = HelpScoutDesk()
    webhook = desk.fake.customer_writes("I am out of the office")
    conversation = desk.fake.conversations[webhook.conversation_id or ""]
    conversation.messages[0].extra["source"] = {"type": source, "via": "customer"}
    assert step_results(route(desk, api, webhook, Reply("Hi"), Assign(team="771202"))) == [
        "assign:done",
        "reply:skipped",
    ]


@pytest.mark.parametrize(
    ("thread", "is_automatic"),
    [
        ({"createdBy": {"type": "customer", "id": 8, "email": "mailer-daemon@mx.example"}}, True),
        ({"createdBy": {"type": "customer", "id": 8, "first": "Mail Delivery", "last": "Subsystem"}}, True),
        ({"createdBy": {"type": "customer", "id": 8, "email": "mira@example.com"}}, False),
        ({"createdBy": {"type": "user", "id": 634102, "email": "no-reply@shop.example"}, "type": "message"}, False),
    ],
)
def test_the_author_of_each_message_may_be_a_machine(thread: dict[str, Any], is_automatic: bool) -> None:
    """A bounce joins the conversation of the customer to whom we wrote."""
    conversation = read(threads(HelpScoutDesk(), {}, thread))
    assert [message.is_automatic for message in conversation.messages] == [False, is_automatic]


@pytest.mark.parametrize("source", ["zendesk", "csv", "desk.com", "Desk", "imap-import", "uservoice"])
@pytest.mark.parametrize(("age", "status"), [(0, "closed"), (2 * 86_400, "active")])
def test_an_imported_archive_is_ignored(source: str, age: int, status: str, api: Api) -> None:
    desk = HelpScoutDesk()
    webhook = threads(desk, {}, source={"type": source, "via": "customer"}, status=status)
    desk.clock.now += age
    outcome = route(desk, api, webhook, Assign(team="771202"))
    assert (outcome.status, outcome.reason) == ("ignored", f"imported from {source}")
    assert desk.fake.calls == []


@pytest.mark.parametrize("source", ["zendesk", "api", "email"])
def test_a_new_message_in_an_imported_conversation_is_triaged(source: str) -> None:
    assert parse(threads(HelpScoutDesk(), {}, source={"type": source, "via": "customer"})).kind == "created"


def test_an_old_conversation_that_was_not_imported_is_left_to_the_limits(api: Api) -> None:
    desk = HelpScoutDesk()
    webhook = desk.fake.customer_writes("Where is my invoice?")
    desk.clock.now += 2 * 86_400
    assert route(desk, api, webhook, Assign(team="771202")).status == "routed"


def test_a_conversation_that_the_customer_reopens_is_nobodys(api: Api) -> None:
    """Closing ends the episode, although a human has just answered."""
    desk = HelpScoutDesk()
    first = desk.fake.customer_writes("How do I export?")
    desk.fake.agent_writes("Like this. Bye!", conversation=first.conversation_id or "")
    desk.clock.now += 60
    assert desk.fake.close(first.conversation_id or "").headers["X-HelpScout-Event"] == "convo.status"
    desk.clock.now += 60
    webhook = desk.fake.customer_writes("My account was hacked", conversation=first.conversation_id)
    vendor = desk.adapter(events=EVENTS)
    assert read(webhook, events=EVENTS).text == "My account was hacked"
    assert step_results(route(desk, api, webhook, Assign(team="771201"), vendor=vendor)) == ["assign:done"]


def test_the_time_of_closing_is_help_scouts_own_if_it_shows_one() -> None:
    webhook = threads(HelpScoutDesk(), {}, closedAt="2026-11-20T08:00:00Z")
    assert read(webhook).closed_at == datetime(2026, 11, 20, 8, tzinfo=UTC)
    assert read(threads(HelpScoutDesk(), {})).closed_at is None
    closing = {"type": "lineitem", "status": "closed", "createdBy": {"type": "user", "id": 634102}}
    assert read(threads(HelpScoutDesk(), {}, closing)).closed_at == datetime(2026, 11, 24, 9, tzinfo=UTC)
    assert read(threads(HelpScoutDesk(), {}, closing | {"createdAt": None})).closed_at is None


def test_a_closed_conversation_is_not_answered(api: Api) -> None:
    desk = HelpScoutDesk()
    webhook = desk.fake.customer_writes("Hello")
    desk.fake.close(webhook.conversation_id or "")
    assert step_results(route(desk, api, webhook, Reply("Hi"), Tag("a"))) == ["tag:done", "reply:skipped"]


def test_a_conversation_may_be_assigned_to_a_team_or_to_us(api: Api) -> None:
    desk = HelpScoutDesk()
    for assignee, status in (("771203", "routed"), (str(USER), "routed"), ("634102", "ignored")):
        webhook = desk.fake.customer_writes("Hello")
        desk.fake._assign(desk.fake.conversations[webhook.conversation_id or ""], assignee)
        assert route(desk, api, webhook, Assign(team="771201")).status == status


@pytest.mark.parametrize(
    ("changes", "name", "email"),
    [
        (
            {"primaryCustomer": {"id": 7, "first": "Zoë", "last": "Müller", "email": "zoe@example.org"}},
            "Zoë Müller",
            True,
        ),
        ({"primaryCustomer": {"id": 7, "first": "", "last": "Müller", "email": ""}}, "Müller", False),
        ({"primaryCustomer": {"id": 7}}, None, False),
        ({"primaryCustomer": None}, None, False),
    ],
)
def test_the_customer_has_the_names_of_the_payload(changes: dict[str, Any], name: str | None, email: bool) -> None:
    customer = read(threads(HelpScoutDesk(), {}, **changes)).customer
    assert (customer.name, customer.email is not None) == (name, email)


def test_an_older_payload_is_parsed() -> None:
    """In version 1 the customer has another name, a count is a list, and types are missing."""
    desk = HelpScoutDesk()
    payload = json.loads(threads(desk, {}).body)
    payload["customer"] = payload.pop("primaryCustomer")
    payload |= {"threads": [], "tags": ["vip"], "mailbox": {"id": 85, "name": "Support"}}
    assert parse(desk.sign_payload(payload)).customer.name == "Mira Probe"


def test_a_thread_without_an_id_gets_the_same_one_each_time() -> None:
    desk = HelpScoutDesk()
    webhook = threads(desk, {"id": None})
    event = parse(webhook)
    assert event.message_id.startswith("sha256-")
    changed = json.loads(webhook.body) | {"preview": "Hello again"}
    assert parse(desk.sign_payload(changed)).key == event.key


def test_one_odd_thread_does_not_hide_the_rest() -> None:
    desk = HelpScoutDesk()
    webhook = threads(desk, {}, {"body": ["odd"]})
    payload = json.loads(webhook.body)
    payload["_embedded"]["threads"].append("odd")
    assert [message.text for message in read(desk.sign_payload(payload)).messages] == ["Hello", ""]


def test_only_a_first_message_keeps_what_looks_like_history() -> None:
    desk = HelpScoutDesk()
    line = "On Mon, Nov 23, 2026 at 10:00, Bob &lt;bob@example.com&gt; wrote:"
    text = f"See below.<br><br>{line}<blockquote>It broke</blockquote>"
    assert "It broke" in read(threads(desk, {"body": text})).text
    reply = desk.sign_payload(json.loads(threads(desk, {"body": text}).body), "convo.customer.reply.created")
    assert "It broke" not in read(reply, events=EVENTS).text
    later = threads(desk, {"body": text}, threads=3)
    assert "It broke" not in read(later).text


def test_html_quotes_images_and_files_are_parsed() -> None:
    desk = HelpScoutDesk()
    body = (
        '<div id="ex-1">Thanks, but <b>no</b>.</div><img src="https://files.example.com/1.png">'
        "<div>On Mon, Nov 23, 2026 at 10:00, Support &lt;support@example.com&gt; wrote:</div>"
        "<blockquote>Try again</blockquote>"
    )
    files = {"attachments": [{"filename": "a.pdf"}, {"fileName": "b.pdf"}, {}, {"filename": None}, 7]}
    later = {"body": body, "_embedded": files, "createdAt": "2026-11-24T09:00:01Z"}
    conversation = read(threads(desk, {}, later, subject="Broken"))
    assert conversation.text == "Broken\n\nHello\n\nThanks, but no."
    assert conversation.messages[1].attachments == ("a.pdf", "b.pdf", "file", "file", "image")


def test_unknown_fields_and_nulls_are_ignored() -> None:
    desk = HelpScoutDesk()
    nulls = dict.fromkeys(("subject", "status", "state", "threads", "assignee", "createdBy", "tags", "customFields"))
    webhook = threads(desk, {"createdBy": None, "createdAt": "soon", "_embedded": None}, **nulls, new={"a": [1]})
    shown = read(webhook)
    assert (shown.text, parse(webhook).occurred_at, shown.version) == ("Hello", None, None)


@pytest.mark.parametrize("embedded", [None, {}, {"threads": []}, [], {"threads": [{"id": None}]}, {"threads": 7}])
def test_without_threads_the_key_is_a_hash_and_the_text_is_read_from_the_api(embedded: object, api: Api) -> None:
    desk = HelpScoutDesk()
    webhook = desk.fake.customer_writes("Where is my invoice?")
    payload = json.loads(webhook.body) | {"_embedded": embedded}
    bare = desk.sign_payload(payload)
    event = parse(bare)
    assert event.message_id == f"sha256-{hashlib.sha256(bare.body).hexdigest()[:32]}"
    assert read(bare).messages == ()
    assert collect_classified_texts(desk, api, bare) == ["Where is my invoice?"]
    reply = desk.sign_payload(payload | {"createdBy": {"type": "user"}}, "convo.customer.reply.created")
    assert parse(reply, events=EVENTS).kind == "replied"


def test_a_message_that_the_api_does_not_show_yet_is_added_from_the_webhook(api: Api) -> None:
    desk = HelpScoutDesk()
    webhook = desk.fake.customer_writes("I was charged twice")
    conversation = desk.fake.conversations[webhook.conversation_id or ""]
    conversation.messages[0].extra["state"] = "hidden"
    assert collect_classified_texts(desk, api, webhook) == ["I was charged twice"]


@pytest.mark.parametrize("kind", ["created", "replied"])
def test_create_webhooks_are_accepted(kind: Any) -> None:
    webhook = create_webhook("helpscout", kind, secret=HelpScoutDesk.secret, text="Hello")
    assert parse(webhook, events=EVENTS).kind == kind


# Reading


def test_a_long_conversation_is_read_page_by_page(api: Api) -> None:
    desk = HelpScoutDesk()
    webhook = desk.fake.customer_writes("Number 0")
    for number in range(1, 60):
        desk.fake.customer_writes(f"Number {number}", conversation=webhook.conversation_id)
    event = parse(webhook)
    conversation = _fetch(desk, event)
    assert [message.text for message in conversation.messages] == [f"Number {number}" for number in range(60)]
    path = f"/v2/conversations/{webhook.conversation_id}"
    assert list_reads(desk) == [path, *[f"{path}/threads"] * 3]
    assert [call.query.get("page") for call in desk.fake.calls if call.path.endswith("/threads")] == ["1", "2", "3"]


def test_notes_and_line_items_do_not_count_as_missing(api: Api) -> None:
    desk = HelpScoutDesk()
    webhook = desk.fake.customer_writes("Hello")
    desk.fake.assign(webhook.conversation_id or "")
    route(desk, api, webhook, Note("Seen"))
    before = len(desk.fake.calls)
    conversation = _fetch(desk, parse(webhook))
    assert [message.role for message in conversation.messages] == ["customer", "note"]
    assert len(list_reads(desk)) == 2
    assert len(desk.fake.calls) == before + 2, "a token and one reading"


def test_endless_pages_are_cut_off() -> None:
    desk = HelpScoutDesk()
    webhook = desk.fake.customer_writes("Hello")
    asked: list[str] = []

    async def send(request: Request) -> Response:
        asked.append(request.url.removeprefix(BASE_URL))
        body: dict[str, Any] = {"id": 1, "threads": 10_000, "page": {"totalPages": 10_000}}
        return Response(200, {}, json.dumps(body).encode())

    conversation = run(desk.adapter().fetch(parse(webhook), send))
    assert len(asked) == 1 + 8
    assert [message.text for message in conversation.messages] == ["Hello"]


def _fetch(desk: HelpScoutDesk, event: Event, **options: Any) -> Conversation:
    seen: list[Conversation] = []

    class Remember(HelpScout):
        async def fetch(self, event: Event, send: Any) -> Conversation:
            seen.append(await super().fetch(event, send))
            return seen[0]

    settings: dict[str, Any] = {**desk.fake.settings(BASE_URL), **options}
    desk.router(vendor=Remember(**settings), dry_run=True).process(event)
    return seen[0]


def test_version_3_distinguishes_an_ais_messages_from_a_teammates(api: Api) -> None:
    desk = HelpScoutDesk()
    greeting = desk.fake.bot_greets()
    webhook = desk.fake.customer_writes("A human, please", conversation=greeting.conversation_id)
    for version, role, status in (("v2", "agent", "ignored"), ("v3", "bot", "routed")):
        vendor = desk.adapter(events=EVENTS, api_version=version)
        assert route(desk, api, webhook, Assign(team="771202"), vendor=vendor).status == status
        event = parse(webhook, events=EVENTS)
        conversation = _fetch(desk, event, api_version=version)
        assert [message.role for message in conversation.messages] == [role, "customer"]
    assert f"/v3/conversations/{webhook.conversation_id}" in list_reads(desk)
    assert json.loads(webhook.body)["_embedded"]["threads"][1]["createdBy"]["type"] == "user"
    newer = FakeHelpScout(payload_version="V3").bot_greets()
    assert json.loads(newer.body)["_embedded"]["threads"][0]["createdBy"]["type"] == "system_user"


def test_labels_are_read_in_the_chosen_version_and_written_in_version_2(api: Api) -> None:
    desk = HelpScoutDesk()
    webhook = desk.fake.customer_writes("Hello")
    route(desk, api, webhook, Tag("a"), vendor=desk.adapter(api_version="v3"))
    assert list_reads(desk) == [f"/v3/conversations/{webhook.conversation_id}"] * 2
    assert list_writes(desk, webhook.conversation_id) == [("PUT", "/tags", {"tags": ["a"]})]


# Merged conversations


def test_a_merged_conversation_is_read_and_written_under_its_new_id(api: Api) -> None:
    desk = HelpScoutDesk()
    kept = desk.fake.customer_writes("First")
    webhook = desk.fake.customer_writes("Second")
    desk.fake.merge(webhook.conversation_id or "", into=kept.conversation_id or "")
    outcome = route(desk, api, webhook, Reply("Hi"))
    assert step_results(outcome) == ["reply:done"]
    assert [path.rpartition("/")[2] for path in list_reads(desk)] == [webhook.conversation_id, kept.conversation_id]
    assert list_writes(desk, kept.conversation_id)[0][:2] == ("POST", "/reply")


def test_a_conversation_that_was_merged_into_a_humans_is_left_to_the_human(api: Api) -> None:
    desk = HelpScoutDesk()
    kept = desk.fake.customer_writes("First")
    desk.fake.assign(kept.conversation_id or "")
    webhook = desk.fake.customer_writes("Second")
    desk.fake.merge(webhook.conversation_id or "", into=kept.conversation_id or "")
    assert route(desk, api, webhook, Assign(team="771201"), Reply("Hi")).status == "ignored"


@pytest.mark.parametrize(
    ("action", "hint", "result"),
    [
        (Tag("a"), "the conversation has been merged into another one (status 301", "tag:failed"),
        (
            Close(),
            "there is no such conversation (or it was merged), inbox, user or team (status 404",
            "close:rejected",
        ),
    ],
)
def test_a_conversation_that_is_merged_after_the_read_is_not_changed(
    action: Action, hint: str, result: str, api: Api
) -> None:
    """Merging it shows that a human is working on it."""
    desk = HelpScoutDesk()
    kept, webhook = desk.fake.customer_writes("First"), desk.fake.customer_writes("Second")

    def classify(text: str) -> str:
        desk.fake.merge(webhook.conversation_id or "", into=kept.conversation_id or "")
        return "general"

    outcome = route(desk, api, webhook, action, classifier=classify)
    assert step_results(outcome) == [result]
    assert hint in outcome.reason
    kept_one = desk.fake.conversations[kept.conversation_id or ""]
    assert (kept_one.tags, kept_one.state) == ([], "open")


@pytest.mark.parametrize(
    "location",
    [
        "https://elsewhere.example.com/v2/conversations/2",
        "//elsewhere.example.com/v2/conversations/2",
        f"{BASE_URL}.example.org/v2/conversations/2",
        "https://api.helpscout.net@elsewhere.example.com/v2/conversations/2",
        "/v2/customers/2",
        "/v2/conversations/../customers",
        "",
    ],
)
def test_a_redirect_to_anything_but_a_conversation_is_an_error(location: str, api: Api) -> None:
    hosts, outcome = _redirect(location, api)
    assert outcome.status == "failed"
    assert "status 301" in outcome.reason
    assert hosts == {"desk.example.com"}


@pytest.mark.parametrize("base", [BASE_URL, "https://api.helpscout.net", ""])
def test_the_token_is_only_sent_to_the_configured_address(base: str, api: Api) -> None:
    """Each redirect leads to a further one, so following them must end."""
    hosts, outcome = _redirect(f"{base}/v2/conversations/2?embed=threads", api)
    assert outcome.reason.startswith(
        "helpscout: GET /v2/conversations/2: the conversation has been merged into another one"
    )
    assert hosts == {"desk.example.com"}


def _redirect(location: str, api: Api) -> tuple[set[str], Outcome]:
    desk = HelpScoutDesk()
    hosts: set[str] = set()

    def answer(request: httpx.Request) -> httpx.Response:
        hosts.add(request.url.host)
        if request.method == "POST":
            return desk.fake.transport.handle_request(request)
        return httpx.Response(301, headers={"Location": location})

    transport = httpx.MockTransport(answer)
    clients = {"http": httpx.Client(transport=transport), "async_http": httpx.AsyncClient(transport=transport)}
    return hosts, route(desk, api, desk.fake.customer_writes("Hello"), **clients)


# The token


def test_a_token_is_fetched_once_and_shared(api: Api) -> None:
    desk = HelpScoutDesk()
    router = desk.router()
    for _ in range(3):
        webhook = desk.fake.customer_writes("Hello")
        assert _handle(api, router, webhook).status == "routed"
    assert len(list_grants(desk.fake)) == 1
    (token,) = desk.fake.tokens
    assert {call.headers.get("authorization") for call in desk.fake.calls} == {None, f"Bearer {token}"}
    assert list_grants(desk.fake)[0].body == {
        "grant_type": "client_credentials",
        "client_id": "fake-app-id",
        "client_secret": "fake-app-secret",
    }


def test_a_token_is_renewed_shortly_before_it_expires(api: Api) -> None:
    desk = HelpScoutDesk()
    router = desk.router()
    for days in (0, 1, 2 - 30 / 86_400):
        desk.clock.now = 1_795_510_800 + days * 86_400
        assert _handle(api, router, desk.fake.customer_writes("Hello")).status == "routed"
    assert len(list_grants(desk.fake)) == 2
    assert {call.status for call in desk.fake.calls} == {200, 201, 204}


def test_a_revoked_token_is_renewed_and_the_call_repeated(api: Api) -> None:
    desk = HelpScoutDesk()

    def classify(text: str) -> str:
        desk.fake.withdraw_tokens()
        return "general"

    webhook = desk.fake.customer_writes("Hello")
    assert step_results(route(desk, api, webhook, Reply("Hi"), classifier=classify)) == ["reply:done"]
    assert [call.status for call in desk.fake.calls] == [200, 200, 401, 200, 201]
    assert len(desk.fake.replies(webhook.conversation_id or "")) == 1


def test_many_threads_share_one_token_and_one_renewal() -> None:
    desk = HelpScoutDesk(rate_limit=None)
    with desk.fake.serve() as base_url, httpx.Client() as http:
        router = desk.router(vendor=desk.adapter(base_url=base_url), http=http)
        for expected in (1, 2):
            webhooks = [desk.fake.customer_writes("Hello") for _ in range(8)]
            together = threading.Barrier(len(webhooks))
            outcomes: list[Outcome] = []

            def work(webhook: Webhook, together: threading.Barrier, outcomes: list[Outcome]) -> None:
                together.wait()
                outcomes.append(_handle(Api("sync"), router, webhook))

            workers = [threading.Thread(target=work, args=(webhook, together, outcomes)) for webhook in webhooks]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
            assert [outcome.status for outcome in outcomes] == ["routed"] * 8
            assert len(list_grants(desk.fake)) == expected
            desk.fake.withdraw_tokens()


def test_many_tasks_share_one_token_and_one_renewal() -> None:
    desk = HelpScoutDesk(rate_limit=None)

    async def work(base_url: str) -> None:
        async with httpx.AsyncClient() as http:
            router = desk.router(vendor=desk.adapter(base_url=base_url), async_http=http)
            for expected in (1, 2):
                webhooks = [desk.fake.customer_writes("Hello") for _ in range(8)]
                handling = (router.handle_async(webhook.body, webhook.headers) for webhook in webhooks)
                answers: list[WebhookResponse] = await asyncio.gather(*handling)
                assert [answer.outcome.status for answer in answers] == ["routed"] * 8
                assert len(list_grants(desk.fake)) == expected
                desk.fake.withdraw_tokens()

    with desk.fake.serve() as base_url:
        asyncio.run(work(base_url))


def test_wrong_credentials_are_reported_with_the_settings_to_check(api: Api) -> None:
    desk = HelpScoutDesk()
    outcome = route(desk, api, desk.fake.customer_writes("Hello"), vendor=desk.adapter(app_secret="old"))
    assert outcome.status == "failed"
    expected = "check app_id (HELPSCOUT_APP_ID) and app_secret (HELPSCOUT_APP_SECRET) (status 401, code invalid_client"
    assert expected in outcome.reason
    assert len(desk.fake.calls) == 1


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"access_token": "abc", "expires_in": 172800}, 172801.0),
        ({"access_token": "abc", "expires_in": "60"}, 61.0),
        ({"access_token": "abc"}, 3601.0),
    ],
)
def test_a_grant_is_parsed(answer: object, expected: float) -> None:
    auth = HelpScoutDesk().adapter().auth
    token = auth.token(auth.request(), Response(200, {}, json.dumps(answer).encode()), 1.0)
    assert (token.value, token.expires_at) == ("abc", expected)


@pytest.mark.parametrize(
    "answer", [{}, {"access_token": None}, {"access_token": ""}, {"access_token": "a\r\nX: b"}, []]
)
def test_a_grant_without_a_usable_token_is_an_error(answer: object) -> None:
    auth = HelpScoutDesk().adapter().auth
    with pytest.raises(VendorError, match=r"POST /v2/oauth2/token: cannot parse the response"):
        auth.token(auth.request(), Response(200, {}, json.dumps(answer).encode()), 0.0)


def _handle(api: Api, router: Router, webhook: Webhook) -> Outcome:
    outcome = api.handle(router, webhook.body, webhook.headers).outcome
    assert outcome is not None
    return outcome


# A reply with an unknown outcome


@pytest.mark.parametrize("message", [Reply("Hi {customer_name}, {{%x%}} & <b>"), Note("Hi {customer_name}")])
@pytest.mark.parametrize("after", [True, False])
def test_a_message_whose_response_was_lost_is_looked_up(message: Reply | Note, after: bool, api: Api) -> None:
    desk = HelpScoutDesk()
    webhook = desk.fake.customer_writes("Hello")
    desk.fake.fail(f"POST /v2/conversations/*/{'reply' if isinstance(message, Reply) else 'notes'}", after=after)
    outcome = route(desk, api, webhook, message, Close())
    assert step_results(outcome) == [f"{message.type}+close:{'done' if after else 'failed'}"]
    written = [*desk.fake.replies(webhook.conversation_id or ""), *desk.fake.notes(webhook.conversation_id or "")]
    assert len(written) == after


def test_a_reply_is_found_although_a_signature_was_appended(api: Api) -> None:
    desk = HelpScoutDesk()
    webhook = desk.fake.customer_writes("Hello")
    conversation = desk.fake.conversations[webhook.conversation_id or ""]
    desk.fake.agent_writes("Hello", conversation=conversation.id, agent=str(USER))
    before = desk.fake.redeliver(webhook)
    adapter = desk.adapter()

    async def send(request: Request) -> Response:
        renderer = desk.fake._get_renderer(conversation, ai=False)
        return Response(200, {}, json.dumps(renderer.render_conversation(with_threads=True)).encode())

    earlier = run(adapter.fetch(parse(before), send))
    step = Step(actions=(Reply("We are on it."),))
    assert not run(adapter.was_performed(step, earlier, send))
    desk.fake.agent_writes("We are on it.\n\nThe team", conversation=conversation.id, agent="634102")
    assert not run(adapter.was_performed(step, earlier, send)), "a teammate wrote it"
    desk.fake.agent_writes("We are on it.\n\nThe team", conversation=conversation.id, agent=str(USER))
    assert run(adapter.was_performed(step, earlier, send))
    assert not run(adapter.was_performed(Step(actions=(Note("We are on it."),)), earlier, send)), (
        "a reply is not a note"
    )


# Errors and limits


def test_an_error_names_status_code_field_and_request_id(api: Api) -> None:
    desk = HelpScoutDesk()
    outcome = route(desk, api, desk.fake.customer_writes("Hello"), Assign(team="999"))
    assert step_results(outcome) == ["assign:rejected"]
    assert "the team '999' was rejected (refused for value); correct the policy" in outcome.reason
    assert "(status 400, code NotFound, request_id 0" in outcome.reason


@pytest.mark.parametrize("action", [Reply("Hi"), Note("Seen")])
@pytest.mark.parametrize(
    ("headers", "ids"), [({"resource-id": "7730013010"}, ("7730013010",)), ({"resource-id": ""}, ()), ({}, ())]
)
def test_a_reply_or_note_returns_the_id_of_its_thread(
    action: Action, headers: dict[str, str], ids: tuple[str, ...]
) -> None:
    """The message was written even if the response names no id."""

    async def send(request: Request) -> Response:
        return Response(201, headers, b"")

    conversation = Conversation(id="1", customer=Customer(id="7"))
    performed = run(HelpScoutDesk().adapter().perform(Step(actions=(action,)), conversation, send))
    assert performed is not None
    assert performed.message_ids == ids


def test_a_human_who_writes_with_our_account_has_the_conversation(api: Api) -> None:
    desk = HelpScoutDesk()
    first = desk.fake.customer_writes("Hello")
    router = desk.router(
        vendor=desk.adapter(events=EVENTS), buckets=[Bucket("general", "x", [Reply("We are on it."), Tag("a")])]
    )
    assert step_results(_handle(api, router, first)) == ["reply:done", "tag:done"]
    desk.fake.agent_writes("Hi, this is Ada.", conversation=first.conversation_id or "", agent=str(USER))
    later = desk.fake.customer_writes("Thanks", conversation=first.conversation_id)
    assert "a human has answered" in [result.detail for result in _handle(api, router, later).steps]


@pytest.mark.parametrize(
    ("status", "hint"),
    [
        (401, "the user who created the app must be active"),
        (403, "the plan has no API"),
        (404, "there is no such conversation"),
        (412, "it has 100 threads or is too old"),
        (423, "the customer is locked"),
    ],
)
def test_an_error_says_what_to_check(status: int, hint: str, api: Api) -> None:
    desk = HelpScoutDesk()
    desk.fake.fail(desk.read, status=status, times=None)
    outcome = route(desk, api, desk.fake.customer_writes("Hello"))
    assert hint in outcome.reason
    assert f"status {status}" in outcome.reason


def test_a_locked_conversation_is_an_error(api: Api) -> None:
    desk = HelpScoutDesk()
    webhook = desk.fake.customer_writes("Hello")
    for _ in range(99):
        desk.fake.customer_writes("And?", conversation=webhook.conversation_id)
    outcome = route(desk, api, webhook, Reply("Hi"))
    assert step_results(outcome) == ["reply:failed"]
    assert "the conversation is locked" in outcome.reason


_FORMS: Mapping[str, tuple[bytes, str | None, str | None, str | None]] = {
    "nothing": (b"", None, None, None),
    "a page": (b"<html>", None, None, None),
    "a list": (b"[]", None, None, None),
    "wrong parts": (b'{"logRef": [], "message": 7, "_embedded": {"errors": 7}}', None, None, "7"),
    "no faults": (b'{"message": "no", "_embedded": {"errors": []}}', None, None, "no"),
    "no links": (b'{"message": "no", "_embedded": {"errors": [{"path": "a", "message": "b"}]}}', None, None, "b"),
    "links as a list": (
        (
            b'{"logRef": "cb73aad3-9a81-44fd-bf70-48250ea256ff#12", "message": "Validation error", "_embedded": '
            b'{"errors": [{"path": "country", "message": "may not be empty", '
            b'"links": [{"rel": "about", "href": "x#1"}]}]}}'
        ),
        None,
        "cb73aad3-9a81-44fd-bf70-48250ea256ff",
        "may not be empty",
    ),
    "links": (
        (
            b'{"logRef": "cb73aad3", "message": "Bad request", "_embedded": {"errors": [{"path": "status", '
            b'"message": "m", "rejectedValue": "a secret", "_links": {"about": {"href": "https://example.com/errors#EnumValue"}}}]}}'
        ),
        "EnumValue",
        "cb73aad3",
        "m",
    ),
}


@pytest.mark.parametrize("form", _FORMS)
def test_an_error_with_any_body_is_an_error(form: str) -> None:
    body, code, request_id, message = _FORMS[form]
    request = Request("GET", f"{BASE_URL}/v2/conversations/1")
    error = HelpScoutDesk().adapter().error(request, Response(500, {}, body), 0.0)
    assert (error.status, error.code, error.request_id, error.outcome_unknown) == (500, code, request_id, True)
    assert error.vendor_message == message
    assert "secret" not in str(error)


def test_the_correlation_id_replaces_a_missing_request_id() -> None:
    request = Request("GET", f"{BASE_URL}/v2/conversations/1")
    error = HelpScoutDesk().adapter().error(request, Response(502, {"correlation-id": "64bb72b4"}, b""), 0.0)
    assert error.request_id == "64bb72b4"


def test_a_rate_limited_reply_is_sent_once_after_the_wait() -> None:
    desk = HelpScoutDesk()
    webhook = desk.fake.customer_writes("Hello")
    desk.fake.fail(desk.reply, status=429, headers={"X-RateLimit-Retry-After": "0"})
    outcome = route(desk, Api("sync"), webhook, Reply("Hi"))
    assert step_results(outcome) == ["reply:done"]
    assert [call.status for call in desk.fake.calls] == [200, 200, 429, 201]
    assert len(desk.fake.replies(webhook.conversation_id or "")) == 1


def test_a_rate_limit_that_lasts_too_long_is_an_error(api: Api) -> None:
    desk = HelpScoutDesk()
    desk.fake.fail(desk.read, status=429)
    outcome = route(desk, api, desk.fake.customer_writes("Hello"))
    assert (outcome.status, "status 429" in outcome.reason) == ("failed", True)
    assert len(desk.fake.calls) == 2


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"x-ratelimit-retry-after": "3"}, 3.0),
        ({"x-ratelimit-retry-after": "0", "retry-after": "7"}, 0.0),
        ({"retry-after": "7"}, 7.0),
        ({"x-ratelimit-retry-after": "soon"}, None),
    ],
)
def test_the_pause_is_parsed_from_the_headers(headers: dict[str, str], seconds: float | None) -> None:
    request = Request("GET", f"{BASE_URL}/v2/conversations/1")
    assert HelpScoutDesk().adapter().error(request, Response(429, headers, b""), 1000.0).retry_after == seconds


def test_a_response_that_cannot_be_parsed_is_an_error(api: Api) -> None:
    desk = HelpScoutDesk()

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            return desk.fake.transport.handle_request(request)
        return httpx.Response(200, text="<html>")

    transport = httpx.MockTransport(answer)
    clients = {"http": httpx.Client(transport=transport), "async_http": httpx.AsyncClient(transport=transport)}
    outcome = route(desk, api, desk.fake.customer_writes("Hello"), **clients)
    assert outcome.status == "failed"
    assert "cannot parse the response" in outcome.reason


# Settings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"app_id": " "}, "app_id is empty"),
        ({"app_secret": ""}, "app_secret is empty"),
        ({"user_id": "ada"}, "number of a user, not 'ada'"),
        ({"user_id": ""}, "number of a user"),
        ({"api_version": "v1"}, "api_version must be 'v2' or 'v3', not 'v1'"),
        ({"account": "a/b"}, "short word"),
        ({"account": ""}, "account must be a short word"),
        ({"events": ["convo.agent.reply.created"]}, "events must be .*, not 'convo.agent.reply.created'"),
        ({"events": []}, "events is empty"),
    ],
)
def test_an_invalid_setting_is_rejected(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        HelpScoutDesk().adapter(**settings)


@pytest.mark.parametrize("action", [Assign(team="billing"), Assign(user="ada@example.com")])
def test_assigning_to_a_name_instead_of_an_id_is_rejected(action: Action) -> None:
    with pytest.raises(ConfigurationError, match="ids are numbers"):
        HelpScoutDesk().router(buckets=[Bucket("general", "Everything", [action])])


def test_the_default_address_is_help_scouts() -> None:
    adapter = HelpScout(webhook_secret="s", app_id="a", app_secret="b", user_id="1")
    assert repr(adapter) == "HelpScout('https://api.helpscout.net', user_id='1')"
    assert adapter.auth.request().url == "https://api.helpscout.net/v2/oauth2/token"
    assert "client_secret" not in repr(adapter.auth.request())


def test_from_env_reads_version_account_and_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeHelpScout(webhook_secret="old")
    for name, value in fake.env().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HELPSCOUT_WEBHOOK_SECRET", "new,old")
    monkeypatch.setenv("HELPSCOUT_ACCOUNT", "shop-2")
    monkeypatch.delenv("HELPSCOUT_BASE_URL")
    adapter = HelpScout.from_env(events=EVENTS)
    assert "api.helpscout.net" in repr(adapter)
    fake.customer_writes("Hello")
    webhook = fake.customer_writes("Hello", conversation=next(iter(fake.conversations)))
    delivery = Delivery.create(webhook.body, webhook.headers, 0.0)
    adapter.verify(delivery)
    event = adapter.parse(delivery)
    assert isinstance(event, Event)
    assert (event.account, event.kind) == ("shop-2", "replied")
    monkeypatch.setenv("HELPSCOUT_API_VERSION", "v9")
    with pytest.raises(ConfigurationError, match="v9"):
        HelpScout.from_env()
    monkeypatch.delenv("HELPSCOUT_USER_ID")
    with pytest.raises(ConfigurationError, match="Set HELPSCOUT_USER_ID in the environment"):
        HelpScout.from_env()
