"""Zendesk: event subscriptions and triggers, the single safe update, its credentials and errors."""

import asyncio
import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openapi_core import OpenAPI
from openapi_core.testing import MockRequest

from tests.helpers.api import Api
from tests.helpers.desks import BASE_URL, ZendeskDesk
from tests.helpers.desks.zendesk import PUBLIC
from tests.helpers.paths import DOCS
from tests.helpers.routing import collect_classified_texts, handle, parse, parse_event, route, step_results
from tests.helpers.specs import load_description
from tests.unit.text.common import takes_linear_time
from triage import (
    Action,
    Assign,
    Bucket,
    Close,
    ConfigurationError,
    Conversation,
    Event,
    InvalidSignature,
    MalformedPayload,
    MarkSpam,
    Note,
    Reply,
    SetFields,
    SetPriority,
    Tag,
    VendorError,
    Verdict,
)
from triage.inbox import MemoryInbox
from triage.models import Delivery, Handshake, Ignored, Request, Response
from triage.testing import RateLimit, Webhook
from triage.testing.desks.records import Person
from triage.testing.desks.zendesk import TRIGGER_BODY
from triage.vendors import Zendesk

STAMP = {"updated_stamp": "2026-11-24T09:00:00Z", "safe_update": True}
ALL: Any = ["ticket.created", "ticket.comment_added", "messaging_ticket.message_added"]

ACTIONS: Mapping[str, tuple[Action, dict[str, Any]]] = {
    "assign to a group": (Assign(team="98702"), {"group_id": 98702} | STAMP),
    "assign to a user": (Assign(user="9002"), {"assignee_id": 9002} | STAMP),
    "reply": (
        Reply("Hi <you>,\n\nfine & well."),
        {"comment": {"html_body": "<p>Hi &lt;you&gt;,</p><p>fine &amp; well.</p>", "public": True, "author_id": 9001}}
        | STAMP,
    ),
    "note": (Note("psst"), {"comment": {"html_body": "<p>psst</p>", "public": False, "author_id": 9001}}),
    "tag": (Tag("vip", "refund"), {"tags": ["web", "vip", "refund"]} | STAMP),
    "set fields": (
        SetFields({"27642": "billing", "27648": None}),
        {"custom_fields": [{"id": 27642, "value": "billing"}, {"id": 27648, "value": None}]} | STAMP,
    ),
    "set the priority": (SetPriority("urgent"), {"priority": "urgent"} | STAMP),
    "close": (Close(), {"status": "solved", "assignee_id": 9001} | STAMP),
    "mark as spam": (MarkSpam(), {"status": "solved", "assignee_id": 9001, "tags": ["web", "spam"]} | STAMP),
}


def open_ticket(desk: ZendeskDesk, text: str = "Hello", **details: Any) -> Webhook:
    """Open a ticket with a tag that somebody else set."""
    webhook = desk.fake.customer_writes(text, **details)
    desk.fake.conversations[webhook.conversation_id or ""].tags[:] = ["web"]
    return webhook


def list_updates(desk: ZendeskDesk) -> list[Any]:
    return [call.body["ticket"] for call in desk.fake.calls if call.method == "PUT"]


def list_calls(desk: ZendeskDesk) -> list[str]:
    return [f"{call.method} {call.path}" for call in desk.fake.calls]


# Actions


@pytest.mark.parametrize("name", ACTIONS)
def test_each_action_is_one_update(name: str, api: Api) -> None:
    desk = ZendeskDesk()
    action, expected = ACTIONS[name]
    webhook = open_ticket(desk)
    assert step_results(route(desk, api, webhook, action)) == [f"{action.type}:done"]
    ticket = f"/api/v2/tickets/{webhook.conversation_id}"
    assert list_calls(desk) == ["POST /oauth/tokens", f"GET {ticket}", f"GET {ticket}/comments", f"PUT {ticket}"]
    assert list_updates(desk) == [expected]


def test_all_actions_share_one_update_except_tags_with_fields_and_a_note_with_a_reply(api: Api) -> None:
    desk = ZendeskDesk()
    webhook = open_ticket(desk)
    outcome = route(desk, api, webhook, Close(), *(action for action, _ in ACTIONS.values()), Tag("VIP", "Web"))
    assert step_results(outcome) == [
        "close+assign+assign+reply+set_fields+set_priority+close:done",
        "tag+tag:done",
        "note:done",
        "mark_spam:done",
    ]
    assert list_updates(desk)[0].keys() == {
        "status",
        "group_id",
        "assignee_id",
        "comment",
        "custom_fields",
        "priority",
        "updated_stamp",
        "safe_update",
    }
    ticket = desk.fake.conversations[webhook.conversation_id or ""]
    assert (ticket.team, ticket.assignee, ticket.priority) == ("98702", "9002", "urgent")
    assert ticket.tags == ["web", "vip", "refund", "spam"], "no tag is duplicated or lost"
    assert ticket.fields == {"27642": "billing", "27648": None}
    assert desk.fake.replies(ticket.id) == ["<p>Hi &lt;you&gt;,</p><p>fine &amp; well.</p>"]
    assert desk.fake.notes(ticket.id) == ["<p>psst</p>"]
    assert desk.fake.status(ticket.id) == "solved"


def test_several_notes_become_one_comment(api: Api) -> None:
    desk = ZendeskDesk()
    webhook = open_ticket(desk)
    assert step_results(route(desk, api, webhook, Note("One"), Note("Two"))) == ["note+note:done"]
    assert desk.fake.notes(webhook.conversation_id or "") == ["<p>One</p><p>Two</p>"]


def test_existing_tags_are_not_written_again(api: Api) -> None:
    desk = ZendeskDesk()
    assert step_results(route(desk, api, open_ticket(desk), Tag("WEB"))) == ["tag:done"]
    assert list_updates(desk) == []


def test_zendesk_fills_in_the_placeholders_of_the_policy_but_no_liquid(api: Api) -> None:
    desk = ZendeskDesk()
    webhook = open_ticket(desk)
    route(desk, api, webhook, Reply("Number {{{{ticket.id}}}}{{{{dc.signature}}}}. {{%if 1%}} {{{{a | b}}}}"))
    (reply,) = desk.fake.replies(webhook.conversation_id or "")
    assert reply.replace("\u200b", "") == f"<p>Number {webhook.conversation_id}. {{%if 1%}} {{{{a | b}}}}</p>"


def test_placeholders_can_be_switched_off(api: Api) -> None:
    desk = ZendeskDesk()
    webhook = open_ticket(desk, email="mira@example.com")
    text = Reply("Dear {{{{ticket.requester.email}}}} {{{{{{ticket.id}}}}}}")
    route(desk, api, webhook, text, vendor=desk.adapter(placeholders=False))
    (reply,) = desk.fake.replies(webhook.conversation_id or "")
    assert reply.replace("\u200b", "") == "<p>Dear {{ticket.requester.email}} {{{ticket.id}}}</p>"


def test_placeholders_of_a_customer_or_a_model_are_never_filled_in(api: Api) -> None:
    desk = ZendeskDesk()
    webhook = open_ticket(desk, name="{{ticket.requester.email}}", email="mira@example.com")

    def classify(conversation: Conversation, buckets: Any) -> Verdict:
        return Verdict(bucket="general", reason="{{ticket.requester.email}} {%raw%}")

    actions = Reply("Hi {{{customer_name}}}, {{{{ticket.id}}}}"), Note("{reason}{{{{ticket.requester.email}}}}")
    route(desk, api, webhook, *actions, classifier=Fixed(classify))
    ticket_id = webhook.conversation_id or ""
    texts = [*desk.fake.replies(ticket_id), *desk.fake.notes(ticket_id)]
    assert len(texts) == 2
    assert not any("mira@example.com" in text for text in texts)
    assert ticket_id in texts[0]


@dataclass
class Fixed:
    """A classifier that is a function of the conversation."""

    function: Callable[[Conversation, Any], Verdict]

    def classify(self, conversation: Conversation, buckets: Any) -> Verdict:
        return self.function(conversation, buckets)

    async def classify_async(self, conversation: Conversation, buckets: Any) -> Verdict:
        return self.function(conversation, buckets)


def test_a_reply_whose_placeholders_were_filled_in_is_found_again(api: Api) -> None:
    desk = ZendeskDesk()
    webhook = open_ticket(desk)
    desk.fake.fail("PUT /api/v2/tickets/*", timeout=True, after=True)
    assert step_results(route(desk, api, webhook, Reply("Your number is {{{{ticket.id}}}}."))) == ["reply:done"]
    assert len(desk.fake.replies(webhook.conversation_id or "")) == 1


def test_mark_spam_suspends_nobody_by_default(api: Api) -> None:
    desk = ZendeskDesk()
    webhook = open_ticket(desk)
    route(desk, api, webhook, MarkSpam())
    assert desk.fake.suspended == set()
    assert desk.fake.conversations[webhook.conversation_id or ""].tags == ["web", "spam"]


def test_zendesks_own_spam_mark_is_opt_in_and_comes_last(api: Api) -> None:
    desk = ZendeskDesk()
    webhook = open_ticket(desk)
    adapter = desk.adapter(suspend_spammers=True)
    outcome = route(desk, api, webhook, MarkSpam(), Tag("junk"), Close(), vendor=adapter)
    assert step_results(outcome) == ["tag+close:done", "mark_spam:done"]
    ticket = desk.fake.conversations[webhook.conversation_id or ""]
    assert list_calls(desk)[-1] == f"PUT /api/v2/tickets/{ticket.id}/mark_as_spam"
    assert (ticket.extra["deleted"], desk.fake.suspended) == (True, {ticket.contact.id})


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (Assign(team="Billing"), "team and user ids are numbers"),
        (Assign(user="Ada"), "team and user ids are numbers"),
        (SetFields({"triage": "x"}), "named by their numbers"),
        (Tag("two words"), "single words"),
        (Tag("a,b"), "single words"),
    ],
)
def test_ids_and_names_that_cannot_exist_are_rejected_when_the_router_is_created(action: Action, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        ZendeskDesk().router(buckets=[Bucket("general", "x", [action])])


# The safe update


def test_a_concurrent_change_is_kept(api: Api) -> None:
    """A trigger tags the ticket while the message is being classified."""
    desk = ZendeskDesk()
    webhook = open_ticket(desk)
    ticket = desk.fake.conversations[webhook.conversation_id or ""]

    def classify(text: str) -> str:
        ticket.tags.append("sla_gold")
        ticket.updated_at += 1
        return "general"

    outcome = route(desk, api, webhook, Tag("vip"), Reply("Hi"), classifier=classify)
    assert step_results(outcome) == ["tag+reply:done"]
    assert ticket.tags == ["web", "sla_gold", "vip"]
    assert len(desk.fake.replies(ticket.id)) == 1
    assert [update["updated_stamp"] for update in list_updates(desk)] == [
        "2026-11-24T09:00:00Z",
        "2026-11-24T09:00:01Z",
    ]


def test_a_ticket_that_was_assigned_to_a_human_since_the_read_is_left_alone(api: Api) -> None:
    desk = ZendeskDesk()
    webhook = open_ticket(desk)

    def classify(text: str) -> str:
        desk.fake.assign(webhook.conversation_id or "")
        return "general"

    outcome = route(desk, api, webhook, Assign(team="98702"), Reply("Hi"), classifier=classify)
    assert (outcome.status, step_results(outcome)) == ("failed", ["assign+reply:failed"])
    assert "somebody else has changed the ticket (status 409, code UpdateConflict" in outcome.reason
    ticket = desk.fake.conversations[webhook.conversation_id or ""]
    assert (ticket.team, desk.fake.replies(ticket.id)) == (None, [])


def test_labels_are_added_although_a_human_was_assigned(api: Api) -> None:
    desk = ZendeskDesk()
    webhook = open_ticket(desk)

    def classify(text: str) -> str:
        desk.fake.assign(webhook.conversation_id or "")
        return "general"

    assert step_results(route(desk, api, webhook, Tag("vip"), SetPriority("low"), classifier=classify)) == [
        "tag+set_priority:done"
    ]


def test_two_processes_cannot_both_reply(api: Api) -> None:
    """The second process finds that its stamp is outdated and that a reply exists."""
    desk = ZendeskDesk()
    webhook = open_ticket(desk)

    def classify(text: str) -> str:
        route(desk, Api("sync"), webhook, Reply("First"))
        return "general"

    outcome = route(desk, api, webhook, Reply("Second"), classifier=classify)
    assert step_results(outcome) == ["reply:failed"]
    assert desk.fake.replies(webhook.conversation_id or "") == ["<p>First</p>"]


def test_an_update_that_conflicts_three_times_is_an_error(api: Api) -> None:
    desk = ZendeskDesk()
    webhook = open_ticket(desk)
    desk.fake.fail("PUT /api/v2/tickets/*", status=409, code="UpdateConflict", times=None)
    outcome = route(desk, api, webhook, Close())
    assert step_results(outcome) == ["close:failed"]
    assert len(list_updates(desk)) == 3


def test_a_database_collision_is_retried(api: Api) -> None:
    desk = ZendeskDesk()
    desk.fake.fail("PUT /api/v2/tickets/*", status=409, code="DatabaseConflict")
    assert step_results(route(desk, api, open_ticket(desk), Close())) == ["close:done"]


def test_an_update_was_performed_if_its_comment_exists(api: Api) -> None:
    desk = ZendeskDesk()
    webhook = open_ticket(desk)
    desk.fake.fail("PUT /api/v2/tickets/*", timeout=True, after=True)
    outcome = route(desk, api, webhook, Reply("Hi {{{{you}}}}"), Tag("vip"), Assign(team="98701"))
    assert step_results(outcome) == ["reply+tag+assign:done"]
    assert len(list_updates(desk)) == 1


# Event subscriptions and triggers


def test_an_event_has_the_time_and_the_key_of_its_message() -> None:
    desk = ZendeskDesk()
    webhook = desk.fake.customer_writes("Hello", subject="Parcel")
    event = parse_event(desk, webhook)
    assert event.key == f"zendesk:acme:{webhook.conversation_id}:first"
    assert event.occurred_at == datetime(2026, 11, 24, 9, 0, 0, 672717, UTC)
    assert (event.account, event.customer.id) == ("acme", "844700001")


def test_a_later_comment_is_triaged_if_the_event_is_enabled(api: Api) -> None:
    desk = ZendeskDesk()
    first = desk.fake.customer_writes("Hello")
    later = desk.fake.customer_writes("It still fails", conversation=first.conversation_id)
    adapter = desk.adapter(events=ALL)
    event = parse_event(desk, later, events=ALL)
    assert (event.kind, event.message_id) == ("replied", json.loads(later.body)["event"]["comment"]["id"])
    assert collect_classified_texts(desk, api, later, vendor=adapter) == ["Hello\n\nIt still fails"]


def test_the_event_of_the_first_comment_is_a_duplicate_of_the_tickets_event() -> None:
    desk = ZendeskDesk()
    created = desk.fake.customer_writes("Hello")
    added = desk.fake.report_first_comment(created.conversation_id or "")
    details = [json.loads(webhook.body)["detail"]["updated_at"] for webhook in (created, added)]
    assert details == ["2026-11-24T09:00:00Z", "2026-11-24T09:00:01Z"]
    assert parse_event(desk, added, events=ALL).key == parse_event(desk, created).key


@pytest.mark.parametrize(
    ("detail", "body", "is_first"),
    [
        ({}, "  Hello\n", True),
        ({"description": "Hello " * 50}, "Hello " * 60, True),
        ({"description": "Hello"}, "Hello, and also", False),
        ({"description": ""}, "", True),
        ({"description": None}, None, True),
        ({"description": ""}, "Hello", False),
        ({}, "Another comment", False),
        ({"updated_at": "2026-11-24T09:02:00Z"}, "Hello", False),
        ({"updated_at": None}, "Hello", False),
    ],
)
def test_a_comment_is_the_first_one_if_the_ticket_is_new_and_has_its_text(
    detail: dict[str, Any], body: str | None, is_first: bool
) -> None:
    desk = ZendeskDesk()
    created = desk.fake.customer_writes("Hello")
    payload = json.loads(desk.fake.report_first_comment(created.conversation_id or "").body)
    payload["detail"] |= detail
    payload["event"]["comment"]["body"] = body
    event = parse_event(desk, desk.sign_payload(payload), events=ALL)
    assert (event.message_id == "first", event.kind == "created") == (is_first, is_first)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"is_public": False}, "not a public comment of a customer"),
        ({"is_public": None}, "not a public comment of a customer"),
        ({"author": {"id": "1", "is_staff": True}}, "not a public comment of a customer"),
        ({"author": {"id": "1"}}, "not a public comment of a customer"),
        ({"author": {"id": "9001", "is_staff": False}}, "not a public comment of a customer"),
        ({"author": None}, None),
        ({"author": "Mira"}, None),
    ],
)
def test_only_public_comments_of_customers_become_events(change: dict[str, Any], reason: str | None) -> None:
    desk = ZendeskDesk()
    first = desk.fake.customer_writes("Hello")
    payload = json.loads(desk.fake.customer_writes("More", conversation=first.conversation_id).body)
    payload["event"]["comment"] |= change
    if reason is None:
        with pytest.raises(MalformedPayload, match="author"):
            parse(desk, desk.sign_payload(payload), events=ALL)
    else:
        assert parse(desk, desk.sign_payload(payload), events=ALL) == Ignored(reason)


def test_a_messaging_message_is_triaged(api: Api) -> None:
    desk = ZendeskDesk()
    greeting = desk.fake.bot_greets()
    adapter = desk.adapter(events=ALL)
    assert parse(desk, greeting, events=ALL) == Ignored("not written by a customer")
    webhook = desk.fake.customer_messages("Where is my parcel?", conversation=greeting.conversation_id or "")
    assert collect_classified_texts(desk, api, webhook, vendor=adapter) == ["Where is my parcel?"]
    payload = json.loads(webhook.body)
    payload["event"]["message"] = None
    with pytest.raises(MalformedPayload, match=r"event\.message"):
        parse(desk, desk.sign_payload(payload), events=ALL)


@pytest.mark.parametrize("bucket", ["urgent", "spam"])
def test_a_trigger_routes_like_an_event(bucket: str, api: Api) -> None:
    desk = ZendeskDesk(connection="trigger")
    webhook = desk.fake.customer_writes(f"This is {bucket}.", name="Mira")
    event = parse_event(desk, webhook)
    assert (event.account, event.kind, event.key) == (
        "acme",
        "created",
        f"zendesk:acme:{webhook.conversation_id}:{desk.fake.conversations[event.conversation_id].messages[0].id}",
    )
    outcome = api.handle(desk.router(), webhook.body, webhook.headers).outcome
    assert outcome is not None
    assert outcome.status == ("closed" if bucket == "spam" else "routed")


def test_a_trigger_on_updates_reports_a_later_comment(api: Api) -> None:
    desk = ZendeskDesk(connection="trigger")
    first = desk.fake.customer_writes("Hello")
    later = desk.fake.customer_writes("Still there?", conversation=first.conversation_id)
    assert parse_event(desk, later).kind == "replied"
    assert parse_event(desk, later).key != parse_event(desk, first).key
    assert collect_classified_texts(desk, api, later) == ["Hello\n\nStill there?"]
    answered = desk.fake.agent_writes("Yes.", conversation=first.conversation_id or "")
    assert parse(desk, answered) == Ignored("not a public comment of a customer")


def test_an_automation_needs_no_user(api: Api) -> None:
    desk = ZendeskDesk(connection="trigger")
    body = desk.fake.customer_writes("Hello").body
    payload = json.loads(body) | {"actor_id": "", "actor_role": ""}
    assert collect_classified_texts(desk, api, desk.sign_payload(payload)) == ["Hello"]


def test_the_template_is_the_documented_one() -> None:
    page = (DOCS / "vendors" / "zendesk.md").read_text()
    documented = page.partition("```json")[2].partition("```")[0]
    assert json.loads(documented) == json.loads(TRIGGER_BODY)


@pytest.mark.parametrize(
    "tail",
    [
        '"text": "He said "hi""}',
        '"text": "a\nb"}',
        '"text": "", "ticket_id": "666", "x": ""}',
        '"text": "", "\\u0074icket_id": "666", "x": ""}',
        '"text": "' + "9" * 5000 + '", "n": ' + "9" * 5000 + "}",
        '"text": ' + "[" * 50_000,
    ],
)
def test_text_that_breaks_a_triggers_json_cannot_change_the_ticket_id(tail: str) -> None:
    desk = ZendeskDesk()
    head = '{"ticket_id": "35001", "updated_at": "2026-11-24T09:00:00Z", '
    event = parse_event(desk, desk.sign_payload((head + tail).encode()))
    assert (event.conversation_id, event.message_id) == ("35001", "2026-11-24T09:00:00Z")


def rewrite(desk: ZendeskDesk, webhook: Webhook, **changes: Any) -> Webhook:
    """Change the payload of a trigger, and remove the names whose new value is None."""
    payload = json.loads(webhook.body) | changes
    signed = desk.sign_payload({name: value for name, value in payload.items() if value is not None})
    return Webhook(signed.body, webhook.headers | signed.headers, webhook.conversation_id)


def test_two_comments_of_the_same_second_are_two_messages_to_a_trigger() -> None:
    desk = ZendeskDesk(connection="trigger")
    first = desk.fake.customer_writes("Hello")
    later = [desk.fake.customer_writes(text, conversation=first.conversation_id) for text in ("One", "Two")]
    stamp = "2026-11-24T09:00:00Z"
    keys = {parse_event(desk, rewrite(desk, webhook, updated_at=stamp)).key for webhook in (first, *later)}
    assert len(keys) == 3


def test_an_old_template_identifies_the_message_by_the_time_of_the_change(caplog: pytest.LogCaptureFixture) -> None:
    desk = ZendeskDesk(connection="trigger")
    webhook = desk.fake.customer_writes("Hello")
    assert parse_event(desk, rewrite(desk, webhook, comment_id=None)).message_id == "2026-11-24T09:00:00Z"
    assert caplog.text == ""


def test_the_message_of_an_old_template_is_read_from_the_api(api: Api) -> None:
    desk = ZendeskDesk(connection="trigger")
    webhook = rewrite(desk, desk.fake.customer_writes("Hello"), comment_id=None)
    assert collect_classified_texts(desk, api, webhook) == ["Hello"]


def test_an_empty_comment_id_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    desk = ZendeskDesk(connection="trigger")
    webhook = desk.fake.customer_writes("Hello")
    assert parse_event(desk, rewrite(desk, webhook, comment_id="")).message_id == "2026-11-24T09:00:00Z"
    assert "{{ticket.latest_comment.id}}" in caplog.text


@pytest.mark.parametrize("stamp", [None, "", "yesterday", "2026-11-24T09:00Z"])
def test_without_a_usable_time_the_delivery_identifies_the_message(
    stamp: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    desk = ZendeskDesk(connection="trigger")
    first = desk.fake.customer_writes("Hello")
    later = desk.fake.customer_writes("More", conversation=first.conversation_id)
    empty = [rewrite(desk, webhook, comment_id=None, updated_at=stamp) for webhook in (first, later)]
    keys = {parse_event(desk, webhook).key for webhook in (*empty, desk.fake.redeliver(empty[0]))}
    assert len(keys) == 2
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 3


@pytest.mark.parametrize("invocation", [None, "not a word"])
def test_a_payload_that_does_not_identify_its_message_is_malformed(invocation: str | None) -> None:
    desk = ZendeskDesk()
    webhook = desk.sign_payload({"ticket_id": "1", "comment_id": "", "updated_at": ""})
    if invocation:
        webhook.headers["X-Zendesk-Webhook-Invocation-Id"] = invocation
    with pytest.raises(MalformedPayload, match="nothing identifies the message"):
        parse(desk, webhook)


@pytest.mark.parametrize(
    "payload",
    [
        '{"kind": "created", "updated_at": "2026-11-24T09:00:00Z", "ticket_id": "35001"}',
        '{"text": "Hello", "ticket_id": 35001, "updated_at": "2026-11-24T09:00:00Z"}',
        '{"id": "35001", "title": "Invoice", "updated_at": "2026-11-24T09:00:00Z"}',
        '{"type": "question", "ticket_id": "35001", "updated_at": "2026-11-24T09:00:00Z"}',
        '{"updated_at": "2026-11-24T09:00:00Z", "ticket_id": 35001, "text": "He said "hi""}',
    ],
)
def test_the_names_of_a_payload_may_have_any_order(payload: str) -> None:
    desk = ZendeskDesk()
    event = parse_event(desk, desk.sign_payload(payload.encode()))
    assert (event.conversation_id, event.message_id) == ("35001", "2026-11-24T09:00:00Z")


AT = '"updated_at": "2026-11-24T09:00:00Z"'


@pytest.mark.parametrize(
    "payload",
    [
        f'{{"text": "", "ticket_id": "666", "x": "", "ticket_id": "35001", {AT}}}',
        f'{{"text": "", "ticket_id": "666", "x": {{"y": "", "ticket_id": "35001", "z": ""}}, {AT}}}',
        f'{{"id": "35001", "text": "", "ticket_id": "666", "x": "", {AT}}}',
        f'{{"text": "", "id": "666", "x": "", "id": "35001", {AT}}}',
        f'{{"text": {"9" * 5000}, "ticket_id": "666", {AT}}}',
        f'{{"ticket_id": "x", {AT}, ',
        '{"ticket_id": "1" "',
    ],
)
def test_a_payload_that_may_name_the_wrong_ticket_is_malformed(payload: str) -> None:
    desk = ZendeskDesk()
    with pytest.raises(MalformedPayload, match="documented template"):
        parse(desk, desk.sign_payload(payload.encode()))


def test_a_payload_with_customer_text_is_never_taken_for_an_event() -> None:
    desk = ZendeskDesk()
    body = {"type": "zen:event-type:ticket.created", "detail": {"id": "666"}, "ticket_id": "35001", "comment_id": "7"}
    assert parse_event(desk, desk.sign_payload(body)).conversation_id == "35001"


@pytest.mark.parametrize(
    ("changes", "is_event"),
    [
        ({"actor_id": "9001"}, True),  # a form created the ticket as our user
        ({"actor_id": "9001", "kind": "replied"}, False),
        ({"actor_id": "9001", "requester_id": ""}, False),
        ({"actor_role": "agent", "comment_author_id": "5", "requester_id": "5"}, True),  # an employee asks
        ({"actor_role": "agent", "comment_author_id": "5"}, False),
        ({"actor_role": "agent", "requester_id": "", "comment_author_id": ""}, False),
        ({"comment_public": False}, False),
        ({"comment_public": ""}, True),
    ],
)
def test_a_trigger_reports_who_wrote(changes: dict[str, Any], is_event: bool) -> None:
    desk = ZendeskDesk(connection="trigger")
    webhook = rewrite(desk, desk.fake.customer_writes("Hello"), **changes)
    assert isinstance(parse(desk, webhook), Event) == is_event


@given(st.text())
def test_random_text_in_a_triggers_body_never_raises_or_changes_the_ticket(text: str) -> None:
    desk = ZendeskDesk()
    head = '{"ticket_id": "35001", "updated_at": "2026-11-24T09:00:00Z", "text": "'
    parsed = parse(desk, desk.sign_payload((head + text + '"}').encode("utf-8", "replace")))
    assert not isinstance(parsed, Event) or parsed.conversation_id == "35001"


# What the response to an update shows


def test_an_unknown_option_of_a_drop_down_field_is_reported(api: Api) -> None:
    desk = ZendeskDesk(dropdowns={"27642": ["cat_billing"]})
    outcome = route(desk, api, open_ticket(desk), SetFields({"27642": "Center City", "27648": "kept"}))
    assert (outcome.status, step_results(outcome)[0].partition(" ")[0]) == ("partial", "set_fields:done")
    (problem,) = outcome.warnings
    assert problem.startswith("the field 27642 does not have the new value")
    assert "Center City" not in problem, "a field may contain text by a model"


def test_the_tag_of_an_old_option_is_not_sent_back(api: Api) -> None:
    desk = ZendeskDesk(dropdowns={"27642": ["cat_general", "cat_billing"]})
    webhook = open_ticket(desk)
    ticket = desk.fake.conversations[webhook.conversation_id or ""]
    ticket.tags[:], ticket.fields["27642"] = ["web", "cat_general"], "cat_general"
    outcome = route(desk, api, webhook, SetFields({"27642": "cat_billing"}), Tag("triaged"))
    assert step_results(outcome) == ["set_fields:done", "tag:done"]
    assert ticket.tags == ["web", "cat_billing", "triaged"]
    assert len([call for call in desk.fake.calls if call.method == "GET"]) == 2, "the ticket is not read again"


def answer_update(desk: ZendeskDesk, **ticket: Any) -> None:
    """Let the next update take effect, with other values of the ticket in its response."""
    put = desk.fake._put_ticket  # pyright: ignore[reportPrivateUsage]

    def respond(call: Any, conversation_id: str) -> Any:
        answer = put(call, conversation_id)
        return {**answer, "ticket": {**answer["ticket"], **ticket}}

    desk.fake._put_ticket = respond  # type: ignore[method-assign]  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parametrize(
    ("action", "ticket", "status", "words"),
    [
        (Tag("vip"), {"tags": ["web"]}, "partial", "the tag 'vip' was dropped"),
        (Tag("vip"), {"tags": None}, "routed", ""),
        (SetFields({"27642": "x"}), {"custom_fields": []}, "partial", "the field 27642 was dropped"),
        (SetFields({"27642": "x"}), {"custom_fields": "odd"}, "routed", ""),
        (SetPriority("low"), {"priority": "urgent"}, "partial", "the priority was not changed"),
        (SetPriority("low"), {"priority": None}, "routed", ""),
        (Assign(team="98702"), {"group_id": 98703}, "failed", "the group_id of the ticket is another one"),
        (Assign(user="9002"), {"assignee_id": None}, "failed", "the assignee_id of the ticket is another one"),
        (Close(), {"status": "open"}, "failed", "the ticket is not solved"),
        (MarkSpam(), {"status": "open"}, "failed", "the ticket is not solved"),
        (Close(), {"status": "closed"}, "closed", ""),
    ],
)
def test_an_action_without_effect_is_reported(
    action: Action, ticket: dict[str, Any], status: str, words: str, api: Api
) -> None:
    desk = ZendeskDesk()
    answer_update(desk, **ticket)
    outcome = route(desk, api, open_ticket(desk), action)
    assert outcome.status == status
    assert words in outcome.reason


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (5, "5"),
        ("5.50", 5.5),
        (True, "true"),
        (False, None),
        (None, ""),
        (None, []),
        ("a", ["a"]),
        (" Some  text ", "some text"),
        ("007", "7"),
    ],
)
def test_a_field_that_zendesk_stores_in_another_form_is_no_problem(value: Any, stored: Any, api: Api) -> None:
    desk = ZendeskDesk()
    answer_update(desk, custom_fields=[{"id": 27642, "value": stored}])
    assert route(desk, api, open_ticket(desk), SetFields({"27642": value})).status == "routed"


def test_a_response_with_only_an_id_shows_no_problem(api: Api) -> None:
    desk = ZendeskDesk()
    for body in (b'{"ticket": {"id": 1}, "audit": {"id": 1}}', b"[]", b"odd"):
        webhook = open_ticket(desk)
        desk.fake.fail("PUT /api/v2/tickets/*", status=200, body=body)
        outcome = route(desk, api, webhook, Assign(team="98702"), Reply("Hi"), Tag("x"), SetFields({"27642": "y"}))
        assert outcome.status == "routed"


def test_a_reply_that_becomes_a_private_comment_has_failed_and_is_not_repeated(api: Api) -> None:
    desk = ZendeskDesk()
    desk.fake.light_agents.add("9001")
    webhook = open_ticket(desk)
    outcome = route(desk, api, webhook, Assign(team="98702"), Reply("Hi"), Tag("vip"))
    assert (outcome.status, step_results(outcome)) == ("failed", ["assign+tag:done", "reply:rejected"])
    assert "reply: the reply became a private comment" in outcome.reason
    assert desk.fake.notes(webhook.conversation_id or "") == ["<p>Hi</p>"]


def test_a_note_of_a_light_agent_is_no_problem(api: Api) -> None:
    desk = ZendeskDesk()
    desk.fake.light_agents.add("9001")
    assert route(desk, api, open_ticket(desk), Note("psst")).status == "routed"


def test_the_ids_of_comments_are_reported(api: Api) -> None:
    desk = ZendeskDesk()
    webhook = open_ticket(desk)
    inbox = MemoryInbox(clock=desk.clock)
    router = desk.router(inbox=inbox, buckets=[Bucket("general", "All", [Reply("Hi"), Note("psst")])])
    event = parse_event(desk, webhook)
    api.process(router, event)
    entry = inbox.get_entry(event.key)
    assert entry is not None
    ids = [message.id for message in desk.fake.conversations[event.conversation_id].messages if message.via_api]
    assert list(entry.ledger.written) == ids


def test_an_action_that_is_rejected_does_not_stop_the_others(api: Api) -> None:
    """The combined update is split. Our own assignment is no reason to stand aside, or to change the assignee."""
    desk = ZendeskDesk()
    webhook = open_ticket(desk)
    actions = Assign(user="9002"), Reply("Hi"), SetFields({"99999": "x"}), Close()
    outcome = route(desk, api, webhook, *actions)
    assert step_results(outcome) == ["assign:done", "reply:done", "set_fields:rejected", "close:skipped"]
    ticket = desk.fake.conversations[webhook.conversation_id or ""]
    assert (outcome.status, ticket.assignee) == ("partial", "9002")
    assert [update.get("updated_stamp") for update in list_updates(desk)][1:] == [
        "2026-11-24T09:00:00Z",
        "2026-11-24T09:00:01Z",
        "2026-11-24T09:00:02Z",
    ]


def test_credentials_of_another_user_are_reported_with_both_numbers(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    desk = ZendeskDesk()
    webhook = open_ticket(desk)
    route(desk, api, webhook, Close(), vendor=desk.adapter(user_id="9002"))
    assert "belong to user 9001, but user_id is 9002" in caplog.text
    assert desk.fake.conversations[webhook.conversation_id or ""].assignee == "9002"


def test_a_ticket_that_was_moved_to_a_team_keeps_its_assignee_when_it_is_solved(api: Api) -> None:
    desk = ZendeskDesk()
    webhook = open_ticket(desk)
    desk.fake.conversations[webhook.conversation_id or ""].team = "98701"
    route(desk, api, webhook, Close())
    assert "assignee_id" not in list_updates(desk)[0]


# Signatures


def test_the_public_secret_signs_only_tests() -> None:
    desk = ZendeskDesk()
    body = desk.fake.customer_writes("Hello").body
    webhook = Webhook(body, desk.sign(body, PUBLIC))
    assert isinstance(parse(desk, webhook), Handshake)
    for secret in (PUBLIC, ["secret", PUBLIC]):
        with pytest.raises(ConfigurationError, match="anybody could sign"):
            Zendesk(subdomain="acme", signing_secret=secret, user_id="1", access_token="token")


@pytest.mark.parametrize(
    ("secret", "stamp", "body", "signature"),
    [
        # The timestamp after the body, as in an older copy of the vendor's page, with its only published vector.
        (PUBLIC, "2026-11-24T09:30:00Z", '{"ticket_id":"35436"}', "N49bm6LHYKdWSRI41qzQXS4q9WlpKUsTJwUxKTtMuIY="),
        (
            "HRkRd4BeOAoUkfZr-mhauJT64rvBASlJRoIyPsd3zeA=",
            "2021-07-25T10:00:00Z",
            '{"say": "hello"}',
            "tRDSF7URY8BLCDlaBcQ7FHu051Zk+aAB0NKMP53teMw=",
        ),
        # A decoded secret.
        (PUBLIC, "2026-11-24T09:30:00Z", '{"ticket_id":"35436"}', "xHajXrMpKVlssiNjcqFn5d3rp/EIum/LKieXqZ0/NVI="),
        # A re-serialized body.
        (
            PUBLIC,
            "2026-11-24T09:30:00Z",
            '{"ticket_id":"35436","text":"Größe 38 passt nicht – 日本語 😀"}',
            "ROX8RslkhtnyXdgexmpSqycK240XMfMv/bOGFjyYmTA=",
        ),
    ],
)
def test_a_wrong_signature_is_rejected(secret: str, stamp: str, body: str, signature: str) -> None:
    headers = {"X-Zendesk-Webhook-Signature": signature, "X-Zendesk-Webhook-Signature-Timestamp": stamp}
    delivery = Delivery.create(body.encode(), headers, datetime.fromisoformat(stamp).timestamp())
    with pytest.raises(InvalidSignature):
        ZendeskDesk().adapter(signing_secret=secret).verify(delivery)


@pytest.mark.parametrize(("late", "accepted"), [(-300, True), (300, True), (-301, False), (301, False)])
def test_a_delivery_may_be_at_most_five_minutes_early_or_late(late: float, accepted: bool) -> None:
    desk = ZendeskDesk()
    webhook = desk.fake.customer_writes("Hello")
    desk.clock.now += late
    answer = desk.router().receive(webhook.body, webhook.headers)
    assert answer.status_code == (200 if accepted else 401)


def test_the_timestamp_may_have_fractions() -> None:
    desk = ZendeskDesk()
    headers = desk.sign(b"{}", stamp="2026-11-24T09:00:00.123456789Z")
    desk.adapter().verify(Delivery.create(b"{}", headers, desk.clock()))


# The conversation


def test_each_author_has_a_role(api: Api) -> None:
    desk = ZendeskDesk()
    webhook = desk.fake.customer_writes("One", name="Mira", email="mira@example.com")
    ticket = desk.fake.conversations[webhook.conversation_id or ""]
    desk.fake.agent_writes("Two", conversation=ticket.id, agent="9001")
    desk.fake.agent_writes("Three", conversation=ticket.id)
    desk.fake.agent_writes("Four", conversation=ticket.id)
    ticket.messages[-1].role = "note"
    desk.fake.agent_writes("Five", conversation=ticket.id)
    ticket.messages[-1].extra["channel"] = "rule"
    read = fetch(desk, webhook)
    assert [(message.role, message.text) for message in read.messages] == [
        ("customer", "One"),
        ("bot", "Two"),
        ("agent", "Three"),
        ("note", "Four"),
        ("bot", "Five"),
    ]
    assert (read.customer.name, read.customer.email) == ("Mira", "mira@example.com")
    assert [message.is_ours for message in read.messages] == [False, True, False, False, False]
    answer = read.last_human_answer()
    assert answer is not None
    assert answer.text == "Three"


def fetch(desk: ZendeskDesk, webhook: Webhook, answers: Mapping[str, Any] | None = None) -> Conversation:
    """Fetch the conversation; `answers` replaces parts of the responses with comments."""

    async def send(request: Request) -> Response:
        headers = {"Authorization": "Bearer fake-access-token"}
        async with httpx.AsyncClient(transport=desk.fake.transport, headers=headers) as client:
            response = await client.get(request.url)
        data = response.json()
        if "comments" in data:
            data |= answers or {}
        return Response(response.status_code, dict(response.headers), json.dumps(data).encode())

    return asyncio.run(desk.adapter().fetch(parse_event(desk, webhook), send))


def test_without_users_only_the_requester_counts_as_a_customer() -> None:
    desk = ZendeskDesk()
    webhook = desk.fake.customer_writes("One")
    desk.fake.agent_writes("Two", conversation=webhook.conversation_id or "", agent="9001")
    desk.fake.agent_writes("Three", conversation=webhook.conversation_id or "")
    for users in (None, [], "no", [{"id": 9002}]):
        read = fetch(desk, webhook, {"users": users})
        assert [message.role for message in read.messages] == ["customer", "bot", "agent"]


def make_staff_requester(desk: ZendeskDesk, webhook: Webhook, **changes: Any) -> Webhook:
    """Let an employee with an agent's seat be the requester, and return the webhook of the new ticket."""
    ticket = desk.fake.conversations[webhook.conversation_id or ""]
    ticket.contact = ticket.messages[0].author = Person("9002", "agent", "Ada Probe", "ada@example.com")
    for name, value in changes.items():
        setattr(ticket, name, value)
    return desk.fake.report_message(ticket, ticket.messages[0], is_new=True)


def test_the_requester_is_the_customer_even_with_an_agents_seat(api: Api) -> None:
    desk = ZendeskDesk()
    first = make_staff_requester(desk, desk.fake.customer_writes("My laptop does not start"))
    assert collect_classified_texts(desk, api, first) == ["My laptop does not start"]
    later = desk.fake.customer_writes("It does now", conversation=first.conversation_id)
    assert parse_event(desk, later, events=ALL).kind == "replied"


def test_the_child_ticket_of_a_side_conversation_is_left_alone(api: Api) -> None:
    desk = ZendeskDesk()
    webhook = make_staff_requester(desk, desk.fake.customer_writes("Please check"), channel="side_conversation")
    outcome = route(desk, api, webhook, Reply("Hi"))
    assert (outcome.status, outcome.reason) == ("ignored", "the conversation has no message from a customer")
    comment = desk.fake.report_first_comment(webhook.conversation_id or "")
    assert parse(desk, comment, events=ALL) == Ignored("not a public comment of a customer")


@pytest.mark.parametrize(
    ("author", "channel", "is_customer"),
    [
        ("9001", "api", True),
        ("9001", "web_form", True),
        ("9001", "web", False),
        ("9002", "web_form", True),
        ("9002", "api", False),
    ],
)
def test_a_request_that_a_form_creates_as_a_staff_member_is_a_customers(
    author: str, channel: str, is_customer: bool, api: Api
) -> None:
    desk = ZendeskDesk()
    first = desk.fake.customer_writes("I need help")
    ticket = desk.fake.conversations[first.conversation_id or ""]
    ticket.channel, ticket.messages[0].author = channel, desk.fake.get_user(author)
    webhook = desk.fake.report_message(ticket, ticket.messages[0], is_new=True)
    assert bool(collect_classified_texts(desk, api, webhook)) == is_customer


def test_our_later_comments_are_ours_even_if_we_are_the_requester() -> None:
    desk = ZendeskDesk()
    first = desk.fake.customer_writes("A form posted this")
    ticket = desk.fake.conversations[first.conversation_id or ""]
    ticket.contact = ticket.messages[0].author = desk.fake.get_user("9001")
    webhook = desk.fake.report_message(ticket, ticket.messages[0], is_new=True)
    desk.fake.agent_writes("We are on it", conversation=ticket.id, agent="9001")
    assert [message.role for message in fetch(desk, webhook).messages] == ["customer", "bot"]


def test_the_conversation_has_the_state_of_the_ticket() -> None:
    desk = ZendeskDesk()
    webhook = desk.fake.customer_writes("Hello", subject="Parcel")
    ticket = desk.fake.conversations[webhook.conversation_id or ""]
    ticket.team, ticket.extra["recipient"] = "98702", "help@example.com"
    read = fetch(desk, webhook)
    assert (read.team, read.channel, read.inbox, read.brand, read.is_closed) == (
        "98702",
        "email",
        "help@example.com",
        "8447346621310",
        False,
    )
    ticket.extra["status"] = "closed"
    assert fetch(desk, webhook).is_closed


def test_what_a_human_answered_before_the_ticket_was_solved_is_past(api: Api) -> None:
    desk = ZendeskDesk()
    first = desk.fake.customer_writes("Hello")
    ticket = desk.fake.conversations[first.conversation_id or ""]
    desk.fake.agent_writes("Done.", conversation=ticket.id)
    desk.clock.now += 60
    ticket.extra["solved_at"] = desk.clock()
    desk.clock.now += 60
    later = desk.fake.customer_writes("Another question", conversation=ticket.id)
    assert collect_classified_texts(desk, api, later, vendor=desk.adapter(events=ALL)) == ["Another question"]
    # Without the time, the human's answer still counts.
    desk.fake.fail("GET /api/v2/tickets/*/metrics", status=403)
    outcome = route(desk, api, later, Assign(team="98702"), vendor=desk.adapter(events=ALL))
    assert (outcome.status, outcome.reason) == ("ignored", "a human has answered")


def test_a_sample_event_does_not_touch_a_real_ticket(api: Api) -> None:
    desk = ZendeskDesk()
    webhook = desk.fake.customer_writes("An old question")
    payload = json.loads(webhook.body)
    payload["detail"]["created_at"] = "2022-11-06T00:00:00Z"
    outcome = route(desk, api, desk.sign_payload(payload), Tag("x"))
    assert (outcome.status, outcome.reason) == (
        "ignored",
        "the event is a sample: the ticket was created at another time",
    )


def test_redacted_text_is_left_out_and_a_voicemail_is_read() -> None:
    desk = ZendeskDesk()
    webhook = desk.fake.customer_writes("One")
    comments = [
        {"id": 1, "author_id": 844700001, "body": "My card is \u2587\u2587\u2587\u2587 thanks"},
        {"id": 2, "author_id": 844700001, "body": "A call", "data": {"transcription_text": "Please call back"}},
        {"id": 3, "author_id": 844700001, "body": "Said: call back", "data": {"transcription_text": "call back"}},
    ]
    read = fetch(desk, webhook, {"comments": comments})
    assert [message.text for message in read.messages] == [
        "My card is  thanks",
        "A call\n\nPlease call back",
        "Said: call back",
    ]


def test_odd_elements_do_not_hide_the_others() -> None:
    desk = ZendeskDesk()
    webhook = desk.fake.customer_writes("One")
    comments = [
        "odd",
        {"author_id": 844700001, "body": "no id", "attachments": [{"file_name": None}, 7], "metadata": {"flags": "4"}},
        {"id": 3, "author_id": 844700001, "body": "three", "metadata": {"flags": ["x", 4]}},
    ]
    answers = {"comments": comments, "users": [7, {"id": 844700001, "role": "end-user"}]}
    read, again = fetch(desk, webhook, answers), fetch(desk, webhook, answers)
    assert [(message.text, message.attachments) for message in read.messages] == [("three", ()), ("no id", ("file",))]
    assert [message.is_automatic for message in read.messages] == [True, False]
    assert read.messages == again.messages


@pytest.mark.parametrize(
    "metadata",
    [{"flags": [2, 4]}, {"system": {"machine_generated": True}}, {"suspension_type_id": 12}, {"suspended": True}],
)
def test_what_zendesk_marks_as_automatic_or_blocks_is_not_answered(metadata: dict[str, Any]) -> None:
    desk = ZendeskDesk()
    webhook = desk.fake.customer_writes("One")
    comments = [{"id": 1, "author_id": 844700001, "body": "One", "metadata": metadata}]
    users = [{"id": 844700001, "role": "end-user", "suspended": "suspended" in metadata}]
    assert fetch(desk, webhook, {"comments": comments, "users": users}).is_automatic


def test_unknown_roles_and_the_system_count_as_machines() -> None:
    desk = ZendeskDesk()
    webhook = desk.fake.customer_writes("One")
    comments = [
        {"id": 1, "author_id": 5, "public": True, "body": "from a robot"},
        {"id": 2, "author_id": -1, "public": True, "body": "from the system"},
    ]
    read = fetch(desk, webhook, {"comments": comments, "users": [{"id": 5, "role": "robot"}]})
    assert [message.role for message in read.messages] == ["bot", "bot"]
    assert read.latest is None


def test_html_quotes_images_and_files_are_parsed() -> None:
    desk = ZendeskDesk()
    body = "<p>Hi<br>there</p><img src='https://example.com/a.png'><blockquote>old</blockquote>"
    webhook = desk.fake.customer_writes("Hello")
    ticket = desk.fake.conversations[webhook.conversation_id or ""]
    desk.fake.customer_writes(body, html=True, attachments=["scan.pdf"], conversation=ticket.id)
    _, message = fetch(desk, webhook).messages
    assert (message.text, message.attachments) == ("Hi\nthere", ("scan.pdf", "image"))
    comments = [{"id": 1, "author_id": 844700001, "plain_body": "plain"}, {"id": 2, "author_id": 7, "body": "body"}]
    assert [m.text for m in fetch(desk, webhook, {"comments": comments}).messages] == ["plain", "body"]


def test_comments_of_the_same_second_are_sorted_by_their_ids() -> None:
    desk = ZendeskDesk()
    webhook = desk.fake.customer_writes("One")
    comments = [
        {"id": id_, "author_id": 1, "body": str(id_), "created_at": "2026-11-24T09:00:00Z"} for id_ in (10, 9, 2)
    ]
    read = fetch(desk, webhook, {"comments": comments})
    assert [message.text for message in read.messages] == ["2", "9", "10"]


def test_an_automatic_email_is_routed_but_not_answered(api: Api) -> None:
    desk = ZendeskDesk()
    webhook = desk.fake.customer_writes("I am out of office", subject="Re")
    desk.fake.conversations[webhook.conversation_id or ""].messages[-1].extra["flags"] = [4]
    outcome = route(desk, api, webhook, Assign(team="98703"), Reply("Hi"))
    assert step_results(outcome) == ["assign:done", "reply:skipped"]
    assert outcome.steps[1].detail == "a machine sent the message"


def test_a_long_ticket_is_read_page_by_page_newest_first(api: Api) -> None:
    desk = ZendeskDesk(rate_limit=None)
    webhook = desk.fake.customer_writes("0")
    for number in range(1, 640):
        desk.fake.customer_writes(str(number), conversation=webhook.conversation_id)
    read = fetch(desk, webhook)
    assert [message.text for message in read.messages] == [str(number) for number in range(140, 640)]
    pages = [call.query.get("page[after]") for call in desk.fake.calls if call.path.endswith("comments")]
    assert len(pages) == 5
    assert len(set(pages)) == 5


def test_a_comment_that_the_api_does_not_show_yet_is_added_from_the_event(api: Api) -> None:
    desk = ZendeskDesk()
    webhook = desk.fake.customer_writes("Hello")
    ticket = desk.fake.conversations[webhook.conversation_id or ""]
    ticket.messages.clear()
    assert collect_classified_texts(desk, api, webhook) == ["Hello"]


@pytest.mark.parametrize("assignee", [None, "9001"])
def test_a_ticket_may_be_unassigned_or_assigned_to_us(assignee: str | None, api: Api) -> None:
    desk = ZendeskDesk()
    webhook = desk.fake.customer_writes("Hello")
    desk.fake.conversations[webhook.conversation_id or ""].assignee = assignee
    assert step_results(route(desk, api, webhook, Assign(team="98701"))) == ["assign:done"]


@pytest.mark.parametrize("answer", [{"ticket": {"id": 1}}, {"ticket": None}, {}, [], "x"])
def test_a_response_that_cannot_be_parsed_is_an_error(answer: Any, api: Api) -> None:
    desk = ZendeskDesk()
    webhook = desk.fake.customer_writes("Hello")
    desk.fake.fail("GET /api/v2/tickets/*", status=200, body=json.dumps(answer).encode())
    outcome = route(desk, api, webhook, Close())
    assert outcome.status == "failed"
    assert "cannot parse the response" in outcome.reason


# Credentials


@pytest.mark.parametrize(
    ("credentials", "header"),
    [
        ({"access_token": "fake-access-token"}, "Bearer fake-access-token"),
        (
            {"email": "staff-9001@example.com", "api_token": "fake-api-token"},
            "Basic " + base64.b64encode(b"staff-9001@example.com/token:fake-api-token").decode(),
        ),
    ],
)
def test_static_credentials_are_sent_with_each_call(credentials: dict[str, str], header: str, api: Api) -> None:
    desk = ZendeskDesk()
    adapter = desk.adapter(client_id=None, client_secret=None, **credentials)
    assert step_results(route(desk, api, desk.fake.customer_writes("Hello"), Close(), vendor=adapter)) == ["close:done"]
    assert {call.headers["authorization"] for call in desk.fake.calls} == {header}
    assert not any(value in repr(adapter) for value in credentials.values())


def test_a_client_fetches_a_token_once_and_again_after_it_was_revoked(api: Api) -> None:
    desk = ZendeskDesk()
    router = desk.router()
    for text in ("One", "Two"):
        webhook = desk.fake.customer_writes(text)
        api.handle(router, webhook.body, webhook.headers)
    grants = [call for call in desk.fake.calls if call.path == "/oauth/tokens"]
    assert [grant.body for grant in grants] == [
        {
            "grant_type": "client_credentials",
            "client_id": "fake-client-id",
            "client_secret": "fake-client-secret",
            "scope": "read write",
            "expires_in": 7200,
        }
    ]
    desk.fake.withdraw_tokens()
    webhook = desk.fake.customer_writes("Three")
    outcome = api.handle(router, webhook.body, webhook.headers).outcome
    assert outcome is not None
    assert outcome.status == "routed"


def test_wrong_credentials_are_reported_with_the_settings_to_check(api: Api) -> None:
    desk = ZendeskDesk()
    adapter = desk.adapter(client_secret="wrong")
    outcome = route(desk, api, desk.fake.customer_writes("Hello"), Close(), vendor=adapter)
    assert (
        "check client_id (ZENDESK_CLIENT_ID) and client_secret (ZENDESK_CLIENT_SECRET) (status 401, code invalid_client"
        in outcome.reason
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"subdomain": "https://acme.zendesk.com"}, "acme of acme.zendesk.com"),
        ({"subdomain": ""}, "acme of acme.zendesk.com"),
        ({"user_id": "Ada"}, "user_id must be the number"),
        ({"client_id": None}, "one of the three"),
        ({"client_secret": " "}, "client_secret is empty"),
        ({"client_id": None, "client_secret": None}, "one of the three"),
        ({"access_token": "token"}, "one of the three"),
        ({"client_id": None, "client_secret": None, "access_token": ""}, "access_token is empty"),
        ({"client_id": None, "client_secret": None, "email": "a@example.com"}, "one of the three"),
        ({"client_id": None, "client_secret": None, "email": "a@example.com", "api_token": ""}, "api_token is empty"),
        ({"events": ["ticket.updated"]}, "events must be .*, not 'ticket.updated'"),
        ({"spam_tag": "two words"}, "spam_tag must be one word"),
    ],
)
def test_an_invalid_setting_is_rejected(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        ZendeskDesk().adapter(**settings)


def test_the_default_address_is_that_of_the_account() -> None:
    adapter = ZendeskDesk().adapter(base_url=None)
    assert repr(adapter) == "Zendesk('https://acme.zendesk.com', user_id='9001')"


def test_a_trigger_needs_no_events(api: Api) -> None:
    desk = ZendeskDesk(connection="trigger")
    assert isinstance(parse(desk, desk.fake.customer_writes("Hello"), events=[]), Event)


# Errors and limits


@pytest.mark.parametrize(
    ("status", "body", "hint"),
    [
        (401, {"error": "Couldn't authenticate you"}, "check Zendesk's credentials"),
        (403, {"error": {"title": "Forbidden", "message": "You do not have access"}}, "lacks a right"),
        (404, {"error": "RecordNotFound", "description": "Not found"}, "no such ticket"),
        (
            422,
            {
                "error": "RecordInvalid",
                "description": "Record validation errors",
                "details": {"status": [{"description": "Status closed prevents ticket update"}]},
            },
            "refused for status; a closed ticket cannot be changed",
        ),
        (422, {"error": "RecordInvalid", "details": {"base": [{"description": "Priority: x"}]}}, "refused for base"),
        (422, {"error": "RecordInvalid", "details": {"base": []}}, "refused for base"),
        (422, {"errors": "odd"}, "refused"),
        (400, "text", "refused"),
        (413, {}, "too long"),
    ],
)
def test_an_error_says_what_to_check(status: int, body: Any, hint: str) -> None:
    request = Request("PUT", f"{BASE_URL}/api/v2/tickets/1")
    answer = Response(status, {"x-zendesk-request-id": "abc-1"}, json.dumps(body).encode())
    error = ZendeskDesk().adapter().error(request, answer, 0)
    assert hint in str(error)
    assert "request_id abc-1" in str(error)
    assert "prevents" not in str(error), "the vendor's message may quote the customer"


def test_the_vendors_message_is_kept_out_of_the_error_text() -> None:
    body = {"error": "RecordInvalid", "details": {"status": [{"description": "Status closed prevents ticket update"}]}}
    error = ZendeskDesk().adapter().error(Request("PUT", BASE_URL), Response(422, {}, json.dumps(body).encode()), 0)
    assert (error.code, error.vendor_message) == ("RecordInvalid", "Status closed prevents ticket update")


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "93"}, 93.0),
        ({"ratelimit-reset": "41"}, 41.0),
        ({"zendesk-ratelimit-tickets-update": "total=100; remaining=0; resets=7"}, 7.0),
        ({"ratelimit-reset": "3", "zendesk-ratelimit-x": "total=100; remaining=0; resets=7"}, 7.0),
        ({"zendesk-ratelimit-tickets-index": "total=100; remaining=99; resets=41"}, None),
        ({"zendesk-ratelimit-x": "junk"}, None),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ],
)
def test_the_pause_is_parsed_from_the_headers(headers: dict[str, str], seconds: float | None) -> None:
    error = ZendeskDesk().adapter().error(Request("PUT", BASE_URL), Response(429, headers, b"<html>"), 0)
    assert error.retry_after == seconds


def test_a_header_with_many_limits_takes_linear_time() -> None:
    adapter = ZendeskDesk().adapter()

    def parse_pause(value: str) -> float | None:
        return adapter.pause(Response(429, {"zendesk-ratelimit-x": value}, b""), 0)

    assert takes_linear_time(parse_pause, "remaining=0 ")


def test_the_reset_time_counts_only_if_the_limit_was_exhausted() -> None:
    response = Response(503, {"ratelimit-reset": "41"}, b"")
    assert ZendeskDesk().adapter().error(Request("PUT", BASE_URL), response, 0).retry_after is None


@pytest.mark.parametrize(
    ("status", "headers", "pause", "retry_after"),
    [
        # Seen on a successful update of one ticket.
        (200, {"zendesk-ratelimit-per-ticket-updates": "total=30; remaining=0; resets=468"}, None, None),
        (429, {"zendesk-ratelimit-per-ticket-updates": "total=30; remaining=0; resets=468"}, None, 468.0),
        (429, {"ratelimit-remaining": "396", "ratelimit-reset": "9", "retry-after": "468"}, None, 468.0),
        (429, {"ratelimit-remaining": "0", "ratelimit-reset": "9"}, 9.0, 9.0),
        (429, {"retry-after": "30"}, 30.0, 30.0),
        (200, {"rate-limit-remaining": "0", "rate-limit-reset": "59"}, 59.0, None),
        (200, {"zendesk-rate-limit-tickets-update": "total=20; remaining=0; resets=7"}, 7.0, None),
    ],
)
def test_a_limit_of_one_ticket_pauses_only_that_ticket(
    status: int, headers: dict[str, str], pause: float | None, retry_after: float | None
) -> None:
    adapter, response = ZendeskDesk().adapter(), Response(status, headers, b"")
    assert adapter.pause(response, 0) == pause
    if status == 429:
        assert adapter.error(Request("PUT", f"{BASE_URL}/api/v2/tickets/1"), response, 0).retry_after == retry_after


def test_a_ticket_that_was_updated_too_often_does_not_hold_back_others(api: Api) -> None:
    desk = ZendeskDesk()
    webhooks = [open_ticket(desk), open_ticket(desk)]
    router = desk.router(buckets=[Bucket("general", "All", [SetPriority("low")])])
    for _ in range(30):
        desk.fake._count_update(webhooks[0].conversation_id or "")  # pyright: ignore[reportPrivateUsage]
    first, second = [handle(api, router, webhook)[1] for webhook in webhooks]
    assert (first.status, second.status) == ("failed", "routed")
    assert "the ticket has been updated too often" in first.reason


def test_a_renamed_account_is_named(api: Api) -> None:
    desk = ZendeskDesk()
    hosts: list[str] = []

    def redirect(request: httpx.Request) -> httpx.Response:
        hosts.append(request.url.host)
        return httpx.Response(301, headers={"Location": "https://acme-new.zendesk.com/api"})

    transport = httpx.MockTransport(redirect)
    clients = {"http": httpx.Client(transport=transport), "async_http": httpx.AsyncClient(transport=transport)}
    outcome = route(desk, api, desk.fake.customer_writes("Hello"), Close(), **clients)
    assert "moved to acme-new.zendesk.com: correct subdomain (ZENDESK_SUBDOMAIN)" in outcome.reason
    assert set(hosts) == {"desk.example.com"}, "the token is sent nowhere else"


def test_a_missing_ticket_is_looked_for_once_more_and_then_given_up(api: Api) -> None:
    desk = ZendeskDesk()
    inbox = MemoryInbox(clock=desk.clock)
    router = desk.router(inbox=inbox)
    webhook = desk.fake.customer_writes("Hello")
    api.handle(router, webhook.body, webhook.headers)
    desk.fake.conversations[webhook.conversation_id or ""].extra["deleted"] = True
    for _ in range(10):
        api.process(router, f"zendesk:acme:{webhook.conversation_id}:first")
        desk.clock.now += 30
    assert inbox.count_states()["dead"] == 1
    assert len([call for call in desk.fake.calls if call.path.startswith("/api")]) == 2


def test_an_exhausted_rate_limit_is_reported(api: Api) -> None:
    desk = ZendeskDesk(rate_limit=RateLimit(3, 60))
    outcome = route(desk, api, desk.fake.customer_writes("Hello"), Close())
    assert outcome.status == "failed"
    assert "not called for another 60 s: its rate limit is used up" in outcome.reason, (
        "the headers of an earlier response said so"
    )


def test_updating_a_closed_ticket_is_an_error(api: Api) -> None:
    desk = ZendeskDesk()
    webhook = desk.fake.customer_writes("Hello")
    desk.fake.conversations[webhook.conversation_id or ""].extra["status"] = "closed"
    outcome = route(desk, api, webhook, Tag("x"))
    assert step_results(outcome) == ["tag:rejected"]
    assert "a closed ticket cannot be changed" in outcome.reason


# Zendesk's OpenAPI description


def test_every_request_matches_zendesks_openapi_description(api: Api) -> None:
    description = load_description("zendesk-support.yaml")
    desk = ZendeskDesk()
    # The description lists no other authentication.
    basic = {"client_id": None, "client_secret": None, "email": "staff-9001@example.com", "api_token": "fake-api-token"}
    adapter = desk.adapter(suspend_spammers=True, **basic)
    # It describes the custom fields of an update as their definitions, unlike the page on updating tickets.
    actions = [action for action, _ in ACTIONS.values() if not isinstance(action, SetFields)]
    outcome = route(desk, api, open_ticket(desk), *actions, vendor=adapter)
    assert outcome.status == "closed"
    assert len(desk.fake.calls) == 5
    for call in desk.fake.calls:
        body = json.dumps(call.body).encode() if call.body is not None else b""
        request = MockRequest(
            "https://example.zendesk.com",
            call.method.lower(),
            call.path,
            args=dict(call.query),
            headers=dict(call.headers),
            data=body,
            content_type="application/json",
        )
        description.validate_request(request)
        if call.body is not None and call.path.startswith("/api"):
            assert call.body["ticket"].keys() <= list_described_fields(description)


def list_described_fields(description: OpenAPI) -> set[str]:
    """Return the fields of an update that are described. The description itself allows any others."""
    schemas = description.spec / "components" / "schemas"
    fields = set((schemas / "TicketUpdateInput" / "properties").read_value())
    return fields | {"metadata"}


def test_an_update_conflict_is_final() -> None:
    body = json.dumps({"error": "UpdateConflict", "description": "Safe Update prevented the update"}).encode()
    error = ZendeskDesk().adapter().error(Request("PUT", BASE_URL), Response(409, {}, body), 0)
    assert isinstance(error, VendorError)
    assert error.final
