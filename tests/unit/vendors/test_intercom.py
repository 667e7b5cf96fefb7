"""Intercom: the payloads of its API versions, the calls of each action, its errors and settings."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from openapi_core.testing import MockRequest

from tests.helpers.api import Api
from tests.helpers.desks import BASE_URL, IntercomDesk
from tests.helpers.routing import collect_classified_texts, handle, read_delivery, route
from tests.helpers.specs import load_description
from triage import (
    Action,
    Assign,
    Bucket,
    Close,
    ConfigurationError,
    Conversation,
    Note,
    Reply,
    SetFields,
    Snooze,
    Step,
    StepResult,
    Tag,
    VendorError,
)
from triage.io.ports import run
from triage.models import Received, Request, Response
from triage.testing import FakeIntercom, Webhook
from triage.vendors import Intercom

VERSIONS = ["2.13", "2.14", "2.15", "2.16"]
TOPICS = ["conversation.user.created", "conversation.user.replied"]
TICKETS = ["ticket.created", "ticket.contact.replied"]
ADMIN = "99999"

ACTIONS: Mapping[str, tuple[Action, list[tuple[str, str, Any]]]] = {
    "assign to a team": (
        Assign(team="67890"),
        [("POST", "/parts", {"message_type": "assignment", "type": "team", "assignee_id": "67890", "admin_id": ADMIN})],
    ),
    "assign to a teammate": (
        Assign(user="88888"),
        [
            (
                "POST",
                "/parts",
                {"message_type": "assignment", "type": "admin", "assignee_id": "88888", "admin_id": ADMIN},
            )
        ],
    ),
    "reply": (
        Reply("Hi <you>,\n\nfine & well."),
        [
            (
                "POST",
                "/reply",
                {
                    "message_type": "comment",
                    "type": "admin",
                    "admin_id": ADMIN,
                    "body": "<p>Hi &lt;you&gt;,</p><p>fine &amp; well.</p>",
                },
            )
        ],
    ),
    "note": (
        Note("psst"),
        [("POST", "/reply", {"message_type": "note", "type": "admin", "admin_id": ADMIN, "body": "<p>psst</p>"})],
    ),
    "tag": (
        Tag("vip", "refund"),
        [
            ("POST", "tags", {"name": "vip"}),
            ("POST", "/tags", {"id": "7520004", "admin_id": ADMIN}),
            ("POST", "tags", {"name": "refund"}),
            ("POST", "/tags", {"id": "7520005", "admin_id": ADMIN}),
        ],
    ),
    "set fields": (
        SetFields({"triage": "{bucket}", "plan": "pro"}),
        [("PUT", "", {"custom_attributes": {"triage": "general", "plan": "pro"}})],
    ),
    "snooze": (
        Snooze(timedelta(hours=1)),
        [("POST", "/parts", {"message_type": "snoozed", "snoozed_until": 1795514400, "admin_id": ADMIN})],
    ),
    "close": (Close(), [("POST", "/parts", {"message_type": "close", "type": "admin", "admin_id": ADMIN})]),
}


def list_writes(desk: IntercomDesk, conversation_id: str | None) -> list[tuple[str, str, Any]]:
    """Return method, path (relative to the conversation) and body of every call that writes."""
    one = f"/conversations/{conversation_id}"
    return [
        (call.method, call.path.removeprefix(one) if call.path.startswith(one) else call.path[1:], call.body)
        for call in desk.fake.calls
        if call.method != "GET"
    ]


def sign(desk: IntercomDesk, payload: Any) -> Webhook:
    body = json.dumps(payload).encode()
    return Webhook(body, desk.sign(body), payload["data"]["item"].get("id"))


def receive(desk: IntercomDesk, payload: Any, **options: Any) -> Received:
    webhook = sign(desk, payload)
    return desk.router(vendor=desk.adapter(**options)).receive(webhook.body, webhook.headers)


def part(**values: Any) -> dict[str, Any]:
    """Return a part of a conversation, by default a comment of a teammate."""
    author = {"type": "admin", "id": "88888", "name": "Ada", "email": "ada@example.com"}
    return {"id": "3", "part_type": "comment", "body": "Hi", "created_at": 1795510801, "author": author} | values


def translate(*parts: dict[str, Any], source: Mapping[str, Any] = {}, **item: Any) -> Conversation:
    """Return a conversation as the API shows it, in plain text."""
    author = {"type": "user", "id": "7", "name": "Mira"}
    first: dict[str, Any] = {"id": "2", "type": "conversation", "body": "Hello", "author": author, **source}
    shown = {"id": "1", "source": first, "conversation_parts": {"conversation_parts": parts}} | item
    admins: dict[str, Any] = {"admins": []}

    async def send(request: Request) -> Response:
        return Response(200, {}, json.dumps(admins if request.url.endswith("/admins") else shown).encode())

    conversation: Conversation = run(IntercomDesk().adapter().read("1", send))
    return conversation


def parse(webhook: Webhook, **options: Any) -> Conversation:
    return read_delivery(IntercomDesk(), webhook, **options)


# Actions


@pytest.mark.parametrize("name", ACTIONS)
def test_each_action_makes_the_expected_calls(name: str, api: Api) -> None:
    desk = IntercomDesk()
    action, expected = ACTIONS[name]
    webhook = desk.fake.customer_writes("Hello")
    outcome = route(desk, api, webhook, action)
    assert [step.status for step in outcome.steps] == ["done"]
    assert list_writes(desk, webhook.conversation_id) == expected
    reading = desk.fake.calls[0]
    assert (reading.method, reading.query) == ("GET", {"display_as": "plaintext"})


def test_all_actions_together_change_the_conversation(api: Api) -> None:
    desk = IntercomDesk()
    webhook = desk.fake.customer_writes("Hello")
    actions = [action for action, _ in ACTIONS.values() if not isinstance(action, Snooze)]
    route(desk, api, webhook, Close(), *actions[:-1])
    conversation = desk.fake.conversations[webhook.conversation_id or ""]
    assert (conversation.team, conversation.assignee) == ("67890", "88888")
    assert conversation.tags == ["vip", "refund"]
    assert conversation.fields == {"triage": "general", "plan": "pro"}
    assert desk.fake.notes(conversation.id) == ["<p>psst</p>"]
    assert conversation.state == "closed", "the assignment would have reopened it if closing were not the last call"


def test_snooze_sets_the_time_at_which_the_conversation_wakes(api: Api) -> None:
    desk = IntercomDesk()
    webhook = desk.fake.customer_writes("Hello")
    route(desk, api, webhook, Snooze(timedelta(hours=1)))
    conversation = desk.fake.conversations[webhook.conversation_id or ""]
    assert (conversation.state, conversation.snoozed_until) == ("snoozed", 1795514400)


@pytest.mark.parametrize("version", ["2.13", "2.16"])
@pytest.mark.parametrize("name", ACTIONS)
def test_every_call_matches_intercoms_openapi_description(name: str, version: str) -> None:
    desk = IntercomDesk()
    webhook = desk.fake.customer_writes("Hello")
    route(desk, Api("sync"), webhook, ACTIONS[name][0], vendor=desk.adapter(api_version=version))
    api = load_description(f"intercom-{version}.yaml")
    # Our copy of the description leaves out the path of tags.
    for call in (call for call in desk.fake.calls if call.path != "/tags"):
        assert call.headers["intercom-version"] == version
        api.validate_request(
            MockRequest(
                "https://api.intercom.io",
                call.method.lower(),
                call.path,
                args=dict(call.query),
                headers={"Intercom-Version": version, "Authorization": "Bearer x"},
                data=None if call.body is None else json.dumps(call.body).encode(),
            )
        )


def test_an_assignment_that_intercom_ignored_is_an_error() -> None:
    request, answer = _exchange(Assign(team="67890"), {"team_assignee_id": 11111})
    with pytest.raises(VendorError, match="accepted, but not assigned to 67890"):
        run(answer)
    assert request[0].json["assignee_id"] == "67890"
    run(_exchange(Assign(team="67890"), {"team_assignee_id": 67890})[1])
    run(_exchange(Assign(team="67890"), {"type": "conversation"})[1])


def _exchange(action: Action, answer: Any) -> Any:
    requests: list[Request] = []

    async def send(request: Request) -> Response:
        requests.append(request)
        return Response(200, {}, json.dumps(answer).encode())

    adapter = IntercomDesk().adapter()
    return requests, adapter.perform(Step(actions=(action,)), Conversation(id="1"), send)


# Webhooks of every API version


@pytest.mark.parametrize("version", VERSIONS)
def test_a_message_is_parsed_alike_in_every_version(version: str, api: Api) -> None:
    desk = IntercomDesk(version)
    webhook = desk.fake.customer_writes(
        "<p>Hi, I was charged twice for <b>order 1042</b> &amp; more.</p><p>Refund?<br>Bye</p>", html=True
    )
    expected = "Hi, I was charged twice for order 1042 & more.\n\nRefund?\nBye"
    assert parse(webhook).text == expected
    seen: list[str] = []

    def remember(text: str) -> str:
        seen.append(text)
        return "general"

    route(desk, api, webhook, classifier=remember)
    assert seen == [expected]


@pytest.mark.parametrize("version", VERSIONS)
def test_the_assignee_is_parsed_alike_in_every_version(version: str, api: Api) -> None:
    desk = IntercomDesk(version)
    vendor = desk.adapter(api_version=version)
    for assignee, status in ((None, "routed"), (ADMIN, "routed"), ("88888", "ignored")):
        webhook = desk.fake.customer_writes("Hello")
        if assignee:
            desk.fake.assign(webhook.conversation_id or "", assignee)
        assert route(desk, api, webhook, Assign(team="12345"), vendor=vendor).status == status


def test_a_less_than_sign_in_plain_text_is_not_markup() -> None:
    webhook = IntercomDesk("2.16").fake.customer_writes("<p>if a &lt;b&gt; c</p>", html=True)
    assert parse(webhook).text == "if a <b> c"


def test_a_customers_message_after_a_bots_greeting_is_triaged(api: Api) -> None:
    desk = IntercomDesk()
    greeting = desk.fake.bot_greets()
    webhook = desk.fake.customer_writes("Where is my invoice?", conversation=greeting.conversation_id)
    outcome = route(desk, api, webhook, Assign(team="12345"), vendor=desk.adapter(topics=TOPICS))
    assert outcome.status == "routed"
    assert parse(webhook, topics=TOPICS).text == "Where is my invoice?"


def test_a_reply_that_reopens_a_conversation_is_triaged(api: Api) -> None:
    desk = IntercomDesk()
    first = desk.fake.customer_writes("Hello")
    desk.fake.conversations[first.conversation_id or ""].state = "closed"
    webhook = desk.fake.customer_writes("It is broken again", conversation=first.conversation_id)
    assert (
        json.loads(webhook.body)["data"]["item"]["conversation_parts"]["conversation_parts"][0]["part_type"] == "open"
    )
    vendor = desk.adapter(topics=TOPICS)
    event = desk.router(vendor=vendor).receive(webhook.body, webhook.headers).event
    assert event is not None
    latest = vendor.read_delivery(event).latest
    assert latest is not None
    assert (event.kind, latest.text) == ("replied", "It is broken again")


def test_the_first_message_does_not_count_in_a_replys_notification() -> None:
    desk = IntercomDesk()
    first = desk.fake.customer_writes("Hello")
    answer = desk.fake.agent_writes("Hi", conversation=first.conversation_id or "")
    payload = json.loads(answer.body) | {"topic": "conversation.user.replied"}
    response = receive(desk, payload, topics=TOPICS)
    assert response.outcome is not None
    assert response.outcome.reason == "not written by a customer"


def test_a_reply_that_is_not_shown_is_read_from_the_api(api: Api) -> None:
    desk = IntercomDesk()
    first = desk.fake.customer_writes("Hello")
    payload = json.loads(desk.fake.customer_writes("More", conversation=first.conversation_id).body)
    payload["data"]["item"]["conversation_parts"]["conversation_parts"] = []
    texts = collect_classified_texts(desk, api, sign(desk, payload), vendor=desk.adapter(topics=TOPICS))
    assert texts == ["Hello\n\nMore"]


def test_a_reply_that_is_not_shown_and_has_no_time_is_malformed() -> None:
    desk = IntercomDesk()
    first = desk.fake.customer_writes("Hello")
    payload = json.loads(desk.fake.customer_writes("More", conversation=first.conversation_id).body)
    payload["data"]["item"]["conversation_parts"]["conversation_parts"] = []
    del payload["data"]["item"]["updated_at"]
    response = receive(desk, payload, topics=TOPICS)
    assert (response.status_code, response.outcome.status) == (200, "malformed")
    assert response.outcome.reason == "updated_at: missing"
    assert response.outcome.event_id == payload["id"]


def test_a_reply_without_a_readable_part_is_malformed() -> None:
    desk = IntercomDesk()
    first = desk.fake.customer_writes("Hello")
    payload = json.loads(desk.fake.customer_writes("More", conversation=first.conversation_id).body)
    payload["data"]["item"]["conversation_parts"]["conversation_parts"] = ["text"]
    response = receive(desk, payload, topics=TOPICS)
    assert response.outcome is not None
    assert response.outcome.status == "malformed"


@pytest.mark.parametrize("version", VERSIONS)
def test_an_image_without_text_goes_to_the_fallback_bucket(version: str, api: Api) -> None:
    """Plain text does not show it, neither in the notification nor in the API."""
    desk = IntercomDesk(version)
    webhook = desk.fake.customer_writes('<img src="https://files.example.com/1.png">', html=True)
    outcome = route(desk, api, webhook, Assign(team="12345"))
    assert outcome.verdict is not None
    assert outcome.verdict.fallback
    assert outcome.verdict.reason == "the message has no text, only 1 attachment(s)"


def test_the_quoted_history_of_a_reply_is_removed() -> None:
    desk = IntercomDesk()
    first = desk.fake.customer_writes("It is broken", subject="Broken")
    answer = "<p>Thanks, but it is still broken.</p>"
    quoted = "<p>On Mon, Nov 23, 2026, Support wrote:</p><blockquote>Try again</blockquote>"
    webhook = desk.fake.customer_writes(answer + quoted, html=True, conversation=first.conversation_id)
    assert parse(webhook, topics=TOPICS).messages[-1].text == "Thanks, but it is still broken."


def test_notes_have_their_own_role_and_campaigns_count_as_automatic(api: Api) -> None:
    desk = IntercomDesk()
    webhook = desk.fake.customer_writes("Hello")
    payload = json.loads(webhook.body)
    item = payload["data"]["item"]
    admin = {"type": "admin", "id": "88888"}
    item["source"] |= {"author": admin, "delivered_as": "automated", "body": "<p>We have news</p>"}
    note = {"id": "2", "part_type": "note", "body": "<p>secret</p>", "author": admin}
    reply = {"id": "3", "part_type": "comment", "body": "<p>Tell me more</p>", "author": {"type": "lead", "id": "7"}}
    item["conversation_parts"]["conversation_parts"] = [note, reply]
    body = json.dumps(payload).encode()
    conversation = parse(Webhook(body, desk.sign(body)))
    assert [message.role for message in conversation.messages] == ["bot", "note", "customer"]
    assert conversation.last_human_answer() is None


def test_a_message_that_the_api_does_not_show_yet_is_added_from_the_webhook(api: Api) -> None:
    desk = IntercomDesk()
    webhook = desk.fake.customer_writes("I was charged twice")
    conversation = desk.fake.conversations[webhook.conversation_id or ""]
    conversation.messages[0].body = None
    seen: list[str] = []

    def remember(text: str) -> str:
        seen.append(text)
        return "general"

    route(desk, api, webhook, classifier=remember)
    assert seen == ["I was charged twice"]


def test_a_first_message_after_a_greeting_is_added_from_the_webhook(api: Api) -> None:
    """The API shows another first message, so it is not the same one under another id."""
    desk = IntercomDesk()
    payload = json.loads(desk.fake.customer_writes("Hello").body)
    item = payload["data"]["item"]
    part = item["source"] | {"id": "99", "part_type": "comment", "body": "I was charged twice"}
    item["conversation_parts"] = {"conversation_parts": [part]}
    item["source"] |= {"id": "98", "author": {"type": "bot", "id": "1"}, "body": "How can we help?"}
    texts = collect_classified_texts(desk, api, sign(desk, payload))
    assert texts == ["Hello\n\nI was charged twice"]


def test_a_conversation_without_a_customers_message_is_ignored(api: Api) -> None:
    desk = IntercomDesk()
    webhook = desk.fake.customer_writes("Hello")
    router = desk.router()
    event = router.receive(webhook.body, webhook.headers).event
    assert event is not None
    desk.fake.conversations[event.conversation_id].messages[0].body = None
    empty = event.model_copy(
        update={"raw": json.dumps({"app_id": "a", "data": {"item": {"id": event.conversation_id}}}).encode()}
    )
    assert api.process(router, empty).reason == "the message is empty"


# Other shapes of messages


def test_a_first_message_without_an_id_is_named_by_the_conversation(api: Api) -> None:
    for missing in ("", None):
        desk = IntercomDesk()
        webhook = desk.fake.customer_writes("I was charged twice")
        payload = json.loads(webhook.body)
        payload["data"]["item"]["source"]["id"] = missing
        response = receive(desk, payload)
        assert response.event is not None
        assert response.event.message_id == webhook.conversation_id
        assert collect_classified_texts(desk, api, sign(desk, payload)) == ["I was charged twice"]


def test_a_part_without_an_id_is_named_by_its_time() -> None:
    desk = IntercomDesk()
    first = desk.fake.customer_writes("Hello")
    payload = json.loads(desk.fake.customer_writes("More", conversation=first.conversation_id).body)
    part = payload["data"]["item"]["conversation_parts"]["conversation_parts"][0]
    for time, name in ((1795510800, "1795510800"), (None, "0")):
        part |= {"id": None, "created_at": time}
        event = receive(desk, payload, topics=TOPICS).event
        assert event is not None
        assert event.message_id == f"{first.conversation_id}.{name}"


def test_a_file_without_a_name_is_a_file(api: Api) -> None:
    desk = IntercomDesk()
    payload = json.loads(desk.fake.customer_writes("", attachments=["a.png", "b.png"]).body)
    payload["data"]["item"]["source"]["attachments"][0]["name"] = None
    assert parse(sign(desk, payload)).messages[0].attachments == ("file", "b.png")
    outcome = route(desk, api, sign(desk, payload), Assign(team="12345"))
    assert outcome.verdict is not None
    assert outcome.verdict.fallback_reason == "no_text"


def test_html_is_recognized_by_the_body_rather_than_by_the_statistics() -> None:
    desk = IntercomDesk()
    payload = json.loads(desk.fake.customer_writes("Hi").body)
    payload["data"]["item"]["statistics"] = {"first_contact_reply_at": 1539897200}
    assert parse(sign(desk, payload)).text == "Hi"


@pytest.mark.parametrize(
    "kind", ["note", "note_and_reopen", "note_and_close", "note_and_snooze", "note_and_unsnooze", "note_and_more"]
)
def test_every_kind_of_note_is_a_note(kind: str, api: Api) -> None:
    desk = IntercomDesk()
    first = desk.fake.customer_writes("Hello")
    conversation = desk.fake.conversations[first.conversation_id or ""]
    desk.fake.add_message(conversation, "note", "<p>VIP, legal case</p>", desk.fake.get_human(), kind=kind)
    webhook = desk.fake.customer_writes("Anybody there?", conversation=conversation.id)
    (text,) = collect_classified_texts(desk, api, webhook, vendor=desk.adapter(topics=TOPICS))
    assert text.endswith("Anybody there?")
    assert "legal" not in text


@pytest.mark.parametrize("author", [{"type": "admin", "id": "5", "name": None, "email": None}, {"id": "5"}, {}, None])
def test_an_answer_of_a_deleted_teammate_is_a_humans(author: Any) -> None:
    conversation = translate(part(body="I am on it", author=author))
    assert [message.role for message in conversation.messages] == ["customer", "agent"]


@pytest.mark.parametrize(
    "author",
    [
        {"type": "admin", "id": "274", "name": "Operator", "email": "operator+abc123de@intercom.io"},
        {"type": "admin", "id": "274", "name": "Shop bot", "email": "operator+abc123de@intercom.io"},
        {"type": "admin", "id": "274", "name": "Operator", "email": None},
        {"type": "admin", "id": "274", "name": "Fin", "from_ai_agent": True},
        {"type": "admin", "id": "274", "name": "Fin", "is_ai_answer": True},
        {"type": "bot", "id": "274"},
        {"type": "team", "id": "274"},
        {"type": "robot", "id": "274"},
    ],
)
def test_a_machine_that_writes_is_not_a_human(author: Any) -> None:
    conversation = translate(part(body="We usually answer within minutes.", author=author))
    assert [message.role for message in conversation.messages] == ["customer", "bot"]


@pytest.mark.parametrize(
    "kind",
    [
        "conversation_rating_changed",
        "conversation_rating_remark_added",
        "conversation_attribute_updated_by_user",
        "conversation_sla_target_missed",
        "ticket_state_updated_by_admin",
        "language_detection_details",
        "participant_added",
    ],
)
def test_a_notice_is_not_text_of_the_customer(kind: str) -> None:
    conversation = translate(part(part_type=kind, body="Amazing", author={"type": "user", "id": "7"}))
    assert conversation.text == "Hello"


def test_an_event_without_text_is_not_a_message() -> None:
    conversation = translate(part(part_type="open", body=None, author={"type": "user", "id": "7"}))
    assert len(conversation.messages) == 1


def test_a_redacted_message_is_not_classified(api: Api) -> None:
    """The webhook still contains the text, but somebody has deleted it since."""
    desk = IntercomDesk()
    webhook = desk.fake.customer_writes("my card is 4111", attachments=["card.png"], subject="4111")
    desk.fake.redact(webhook.conversation_id or "")
    assert collect_classified_texts(desk, api, webhook) == []
    assert route(desk, api, desk.fake.redeliver(webhook)).reason == "the message is empty"


def test_a_redacted_reply_is_not_classified(api: Api) -> None:
    desk = IntercomDesk()
    first = desk.fake.customer_writes("Hello")
    webhook = desk.fake.customer_writes("my card is 4111", conversation=first.conversation_id)
    desk.fake.redact(webhook.conversation_id or "")
    assert collect_classified_texts(desk, api, webhook, vendor=desk.adapter(topics=TOPICS)) == ["Hello"]


def test_a_post_on_x_whose_text_is_withheld_goes_to_the_fallback_bucket(api: Api) -> None:
    desk = IntercomDesk()
    notice = "We've removed this part of the conversation to comply with Twitter's terms and conditions."
    webhook = desk.fake.customer_writes(notice, subject=notice)
    outcome = route(desk, api, webhook, Assign(team="12345"))
    assert outcome.verdict is not None
    assert outcome.verdict.fallback_reason == "no_text"
    assert outcome.status == "routed"


def test_a_blank_author_of_the_customers_message_is_the_customer() -> None:
    desk = IntercomDesk()
    payload = json.loads(desk.fake.customer_writes("Hello").body)
    payload["data"]["item"]["source"] |= {"author": None, "delivered_as": None}
    assert parse(sign(desk, payload)).text == "Hello"


def test_a_call_is_classified_by_its_transcript() -> None:
    call = {"type": "phone_call", "body": ""}
    assert translate(source=call).messages[0].attachments == ("phone call",)
    assert translate(source=call | {"transcript": "My order is lost"}).text == "My order is lost"
    spoken = [{"speaker": "customer", "text": "My order"}, {"text": None}, {"text": "is lost"}]
    assert translate(source=call | {"call_transcript": spoken}).text == "My order\nis lost"
    assert not translate(source=call | {"transcript": "My order is lost"}).messages[0].attachments


@pytest.mark.parametrize("kind", ["call_summary", "call_transcript", "voicemail"])
def test_the_text_that_a_bot_writes_about_a_call_is_the_customers(kind: str) -> None:
    summary = part(part_type=kind, body="The customer lost an order", author={"type": "bot", "id": "278"})
    conversation = translate(summary, source={"type": "phone_call", "body": ""})
    assert conversation.text == "The customer lost an order"
    assert conversation.customer.id == "7"


def test_a_forwarded_email_that_intercom_cuts_off_is_part_of_the_first_message() -> None:
    """Since API version 2.16."""
    history = {"history": "<div>From: Bob</div><blockquote>I was charged twice</blockquote>"}
    conversation = translate(source={"body": "Please see below", "email_message_metadata": history})
    assert conversation.text == "Please see below\n\nFrom: Bob\n\n> I was charged twice"


def test_an_answer_goes_to_the_address_that_the_email_names() -> None:
    author = {"type": "user", "id": "7", "name": "Web form", "email": "form@shop.example"}
    reply_to = translate(source={"author": author, "reply_to": [{"email": "mira@example.com", "name": "Mira"}]})
    assert (reply_to.customer.name, reply_to.customer.email) == ("Mira", "mira@example.com")
    headers = [{"type": "from", "email_address": "a@b.example"}, {"type": "reply-to", "email_address": "c@d.example"}]
    conversation = translate(source={"author": author, "email_message_metadata": {"email_address_headers": headers}})
    assert (conversation.customer.name, conversation.customer.email) == ("Web form", "c@d.example")


def test_a_bounce_in_the_conversation_of_a_human_is_automatic() -> None:
    daemon = {"type": "user", "id": "8", "name": "Mail Delivery System", "email": "mailer-daemon@example.com"}
    bounce = part(body="It could not be delivered", author=daemon)
    human = part(id="4", body="Hello again", author={"type": "user", "id": "7", "email": "mira@example.com"})
    absence = part(
        id="5",
        body="Back on Monday",
        author=human["author"],
        email_message_metadata={"subject": "Automatic reply: Order"},
    )
    conversation = translate(bounce, human, absence)
    assert [message.is_automatic for message in conversation.messages] == [False, True, False, True]


def test_the_state_of_a_conversation_is_read() -> None:
    item: dict[str, Any] = {
        "team_assignee_id": 12345,
        "state": "closed",
        "statistics": {"last_close_at": "2026-11-24T09:00:00.000Z"},
        "tags": {"tags": [{"name": "vip"}, {"name": None}]},
        "channel": {"initial": "whatsapp"},
        "updated_at": 1795510800,
    }
    conversation = translate(**item)
    assert (conversation.team, conversation.is_closed, conversation.tags) == ("12345", True, ("vip",))
    assert (conversation.channel, conversation.version) == ("whatsapp", "1795510800")
    assert conversation.closed_at == datetime(2026, 11, 24, 9, tzinfo=UTC)
    older = translate(part(part_type="close", body=None, created_at=1795510800), open=False)
    assert (older.is_closed, older.closed_at, older.channel) == (True, conversation.closed_at, "conversation")
    assert translate(open=True, state="snoozed").is_closed is False


def test_a_conversation_that_was_closed_and_reopened_is_triaged_again(api: Api) -> None:
    desk = IntercomDesk()
    first = desk.fake.customer_writes("How do I export?")
    conversation = desk.fake.conversations[first.conversation_id or ""]
    desk.fake.agent_writes("Like this.", conversation=conversation.id)
    desk.fake.add_message(conversation, "event", None, desk.fake.get_human(), kind="close")
    conversation.state = "closed"
    desk.clock.now += 3600
    webhook = desk.fake.customer_writes("My account was hacked", conversation=conversation.id)
    outcome = route(desk, api, webhook, Assign(team="12345"), vendor=desk.adapter(topics=TOPICS))
    assert outcome.status == "routed"


# API version 1.x


def test_an_app_of_api_version_1_is_completed_through_the_api_and_reported(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    desk = IntercomDesk()
    payload = json.loads(desk.fake.customer_writes("I was charged twice").body)
    item = payload["data"]["item"]
    source = item.pop("source")
    author = {"type": "user", "id": source["author"]["id"]}
    item["conversation_message"] = {"id": "331494000", "subject": "", "body": source["body"], "author": author}
    vendor = desk.adapter()
    texts = collect_classified_texts(desk, api, sign(desk, payload), vendor=vendor)
    collect_classified_texts(desk, api, sign(desk, payload), vendor=vendor)
    assert texts == ["I was charged twice"]
    assert caplog.text.count("the app uses API version 1.x; choose a version from 2.11 to 2.16") == 1


# Workspaces


def test_a_delivery_of_another_workspace_is_ignored() -> None:
    desk = IntercomDesk()
    for options in ({}, {"after_ai": True}):
        response = receive(desk, json.loads(desk.fake.customer_writes("Hi").body) | {"app_id": "test0001"}, **options)
        assert response.outcome is not None
        assert response.outcome.reason == "workspace test0001, not abc123de"


def test_without_a_setting_the_api_says_to_which_workspace_the_token_belongs(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    ours, other = IntercomDesk(), FakeIntercom(app_id="test0001", client_secret=IntercomDesk.secret)
    stranger = ours.fake.customer_writes("A customer of production")
    vendor = ours.adapter(workspace_id=None)
    webhook = other.customer_writes("Somebody tries the test workspace")
    assert webhook.conversation_id == stranger.conversation_id, "ids repeat in other workspaces"
    outcome = route(ours, api, webhook, Reply("Hi"), vendor=vendor)
    assert outcome.status == "ignored"
    assert outcome.reason == "workspace test0001, not abc123de"
    assert ours.fake.replies(stranger.conversation_id or "") == []
    warning = "deliveries of workspace test0001 are ignored, because abc123de is the one to act on"
    assert caplog.text.count(warning) == 1
    assert route(ours, api, stranger, Reply("Hi"), vendor=vendor).status == "routed"
    later = route(ours, api, other.customer_writes("Again"), vendor=vendor)
    assert later.reason == "workspace test0001, not abc123de"
    assert [call.path for call in ours.fake.calls].count("/me") == 1


def test_deliveries_of_several_workspaces_are_reported(caplog: pytest.LogCaptureFixture) -> None:
    desk = IntercomDesk()
    router = desk.router(vendor=desk.adapter(workspace_id=None))
    payload = json.loads(desk.fake.customer_writes("Hi").body)
    for workspace in ("abc123de", "abc123de", "test0001", "test0001"):
        webhook = sign(desk, payload | {"app_id": workspace})
        assert router.receive(webhook.body, webhook.headers).event is not None
    assert caplog.text.count("deliveries of several workspaces arrive: abc123de, test0001; set workspace_id") == 1


@pytest.mark.parametrize("status", [404, 503])
def test_a_workspace_that_cannot_be_found_out_stops_nothing_for_good(status: int, api: Api) -> None:
    desk = IntercomDesk()
    desk.fake.fail("GET /me", status=status, times=None)
    outcome = route(desk, api, desk.fake.customer_writes("Hi"), vendor=desk.adapter(workspace_id=None))
    assert outcome.status == ("routed" if status == 404 else "failed")


# Assignees that are no humans


def test_a_conversation_that_a_bot_has_is_nobodys(api: Api) -> None:
    desk = IntercomDesk()
    webhook = desk.fake.customer_writes("Hello")
    desk.fake.conversations[webhook.conversation_id or ""].assignee = desk.fake.bot.id
    assert route(desk, api, webhook, Assign(team="12345")).status == "routed"


def test_a_bot_is_looked_up_once(api: Api) -> None:
    desk = IntercomDesk()
    vendor = desk.adapter()
    for _ in range(2):
        webhook = desk.fake.customer_writes("Hello")
        desk.fake.conversations[webhook.conversation_id or ""].assignee = desk.fake.bot.id
        assert route(desk, api, webhook, Assign(team="12345"), vendor=vendor).status == "routed"
    assert [call.path for call in desk.fake.calls].count("/admins") == 1


def test_a_conversation_that_a_human_has_is_left_alone(api: Api) -> None:
    desk = IntercomDesk()
    vendor = desk.adapter()
    for _ in range(2):
        webhook = desk.fake.customer_writes("Hello")
        desk.fake.assign(webhook.conversation_id or "")
        outcome = route(desk, api, webhook, Assign(team="12345"), vendor=vendor)
        assert outcome.reason == "the conversation is assigned to a human"
    assert [call.path for call in desk.fake.calls].count("/admins") == 1


@pytest.mark.parametrize(("status", "result"), [(403, "ignored"), (404, "ignored"), (503, "failed")])
def test_an_assignee_counts_as_a_human_if_the_api_does_not_say(status: int, result: str, api: Api) -> None:
    desk = IntercomDesk()
    webhook = desk.fake.customer_writes("Hello")
    desk.fake.conversations[webhook.conversation_id or ""].assignee = desk.fake.bot.id
    desk.fake.fail("GET /admins", status=status, times=None)
    assert route(desk, api, webhook, Assign(team="12345")).status == result


def test_an_assignee_who_has_answered_is_a_human_without_a_call(api: Api) -> None:
    desk = IntercomDesk()
    webhook = desk.fake.customer_writes("Hello")
    desk.fake.agent_writes("Hi", conversation=webhook.conversation_id or "")
    desk.fake.assign(webhook.conversation_id or "")
    route(desk, api, webhook, Assign(team="12345"))
    assert "/admins" not in [call.path for call in desk.fake.calls]


def test_an_assignee_that_a_part_calls_a_bot_is_nobody() -> None:
    assigned = part(part_type="assignment", body=None, assigned_to={"type": "bot", "id": 274})
    assert translate(assigned, admin_assignee_id=274).assignee is None
    assert translate(admin_assignee_id=274).assignee == "274"


# Fin


def test_fin_is_left_alone_until_it_hands_over(api: Api) -> None:
    desk = IntercomDesk("2.16")
    vendor = desk.adapter(topics=TOPICS, after_ai=True)
    router = desk.router(vendor=vendor, buckets=[Bucket("general", "Everything", [Assign(team="67890")])])
    first = desk.fake.customer_writes("I was charged twice")
    conversation = desk.fake.conversations[first.conversation_id or ""]
    answer = desk.fake.ai_answers(conversation.id)
    second = desk.fake.customer_writes("That does not help", conversation=conversation.id)
    for webhook in (first, second):
        outcome = handle(api, router, webhook)[1]
        assert outcome.reason == "the AI agent still handles the conversation"
    assert handle(api, router, answer)[1].reason == "the AI agent did not hand the conversation over"
    assert conversation.team is None
    handover = desk.fake.ai_hands_over(conversation.id, "12345")
    outcome = handle(api, router, handover)[1]
    assert outcome.status == "routed"
    assert desk.fake.conversations[conversation.id].team == "67890"
    assert handle(api, router, desk.fake.redeliver(handover))[1].status == "duplicate"


def test_our_own_assignment_is_not_a_hand_over() -> None:
    desk = IntercomDesk()
    conversation = desk.fake.customer_writes("Hello").conversation_id or ""
    payload = json.loads(desk.fake.ai_hands_over(conversation, "12345").body)
    payload["data"]["item"]["conversation_parts"]["conversation_parts"][0]["author"] = {"type": "admin", "id": ADMIN}
    response = receive(desk, payload, after_ai=True)
    assert response.outcome is not None
    assert response.outcome.reason == "we assigned the conversation"
    payload["data"]["item"]["conversation_parts"]["conversation_parts"] = []
    assert receive(desk, payload, after_ai=True).event is not None


def test_a_hand_over_needs_the_setting() -> None:
    desk = IntercomDesk()
    conversation = desk.fake.customer_writes("Hello").conversation_id or ""
    response = receive(desk, json.loads(desk.fake.ai_hands_over(conversation, "12345").body))
    assert response.outcome is not None
    assert response.outcome.reason == "topic conversation.admin.assigned"


# Tickets


@pytest.mark.parametrize("version", VERSIONS)
def test_a_customer_ticket_is_triaged(version: str, api: Api) -> None:
    desk = IntercomDesk(version)
    vendor = desk.adapter(topics=TICKETS, api_version=version)
    webhook = desk.fake.customer_opens_ticket("Printer", "It is <broken>")
    actions: list[Action] = [
        Close(),
        Note("psst"),
        SetFields({"plan": "pro"}),
        Tag("vip"),
        Assign(team="67890"),
        Assign(user="88888"),
        Reply("Hi"),
    ]
    texts: list[str] = []

    def classify(text: str) -> str:
        texts.append(text)
        return "general"

    outcome = route(desk, api, webhook, *actions, vendor=vendor, classifier=classify)
    assert texts == ["Printer\n\nIt is <broken>"]
    assert outcome.status == "closed"
    ticket = desk.fake.conversations[webhook.conversation_id or ""]
    assert (ticket.team, ticket.assignee, ticket.tags, ticket.state) == ("67890", "88888", ["vip"], "closed")
    assert ticket.fields["plan"] == "pro"
    assert desk.fake.replies(ticket.id) == ["<p>Hi</p>"]
    assert desk.fake.notes(ticket.id) == ["<p>psst</p>"]
    assert {call.path.split("/")[1] for call in desk.fake.calls} == {"tickets", "tags"}


def test_a_ticket_can_be_snoozed(api: Api) -> None:
    desk = IntercomDesk()
    webhook = desk.fake.customer_opens_ticket("Printer", "It is broken")
    route(desk, api, webhook, Snooze(timedelta(hours=1)), vendor=desk.adapter(topics=TICKETS))
    ticket = desk.fake.conversations[webhook.conversation_id or ""]
    assert (ticket.state, ticket.snoozed_until) == ("snoozed", 1795514400)


def test_a_reply_to_a_ticket_is_triaged(api: Api) -> None:
    desk = IntercomDesk()
    first = desk.fake.customer_opens_ticket("Printer", "It is broken")
    webhook = desk.fake.customer_writes("It smokes", conversation=first.conversation_id)
    vendor = desk.adapter(topics=TICKETS)
    assert collect_classified_texts(desk, api, webhook, vendor=vendor) == ["Printer\n\nIt is broken\n\nIt smokes"]
    event = desk.router(vendor=vendor).receive(webhook.body, webhook.headers).event
    assert event is not None
    assert (event.kind, event.conversation_id) == ("replied", f"ticket:{first.conversation_id}")


def test_a_teammates_reply_to_a_ticket_is_ignored() -> None:
    desk = IntercomDesk()
    first = desk.fake.customer_opens_ticket("Printer", "It is broken")
    webhook = desk.fake.agent_writes("Hi", conversation=first.conversation_id or "")
    assert receive(desk, json.loads(webhook.body), topics=TICKETS).event is None


def test_an_internal_ticket_or_one_of_another_workspace_is_ignored() -> None:
    desk = IntercomDesk()
    payload = json.loads(desk.fake.customer_opens_ticket("Printer", "It is broken").body)
    response = receive(desk, payload | {"app_id": "test0001"}, topics=TICKETS)
    assert response.outcome is not None
    assert response.outcome.reason == "workspace test0001, not abc123de"
    payload["data"]["item"] |= {"category": "Back-office"}
    response = receive(desk, payload, topics=TICKETS)
    assert response.outcome is not None
    assert response.outcome.reason == "the ticket is internal"


def test_a_ticket_without_a_description_shows_the_messages_of_its_conversation() -> None:
    desk = IntercomDesk()
    payload = json.loads(desk.fake.customer_opens_ticket("", "").body)
    comment = part(body="<p>Where is it?</p>", author={"type": "user", "id": "7"})
    payload["data"]["item"] |= {"ticket_state": {"category": "resolved"}, "ticket_parts": {"ticket_parts": [comment]}}
    conversation = parse(sign(desk, payload), topics=TICKETS)
    assert (conversation.text, conversation.is_closed) == ("Where is it?", True)


# Responses to writes


def test_the_id_of_a_reply_or_note_is_reported() -> None:
    new = {"id": "3", "part_type": "comment", "body": "Hi", "author": {"id": ADMIN}}
    examples: list[tuple[Action, Any, tuple[str, ...]]] = [
        (Reply("Hi"), {"id": "1", "conversation_parts": {"conversation_parts": [part(), new]}}, ("3",)),
        (Note("Hi"), {"id": "4", "part_type": "note"}, ("4",)),
        (Reply("Hi"), {"id": "1", "ok": True}, ()),
        (Reply("Hi"), [], ()),
    ]
    for action, answer, ids in examples:
        assert run(_exchange(action, answer)[1]).message_ids == ids


def test_a_reply_that_became_a_note_is_an_error() -> None:
    with pytest.raises(VendorError, match="the reply became a note, which the customer does not see") as error:
        run(_exchange(Reply("Hi"), {"id": "4", "part_type": "note"})[1])
    assert error.value.is_rejection


def test_a_teammate_who_is_away_does_not_stop_the_rest() -> None:
    """Intercom hands the conversation on."""
    for answer, holder in (
        ({"admin_assignee_id": 0, "team_assignee_id": 11111}, "team 11111"),
        ({"admin_assignee_id": 77777, "team_assignee_id": 11111}, "teammate 77777"),
    ):
        performed = run(_exchange(Assign(user="88888"), answer)[1])
        assert performed.problems == (f"assigned to {holder} instead of teammate 88888, who may be away",)
    with pytest.raises(VendorError, match="accepted, but not assigned to 88888: check that it is the id of a teammate"):
        run(_exchange(Assign(user="88888"), {"admin_assignee_id": 0, "team_assignee_id": None})[1])


def test_an_attribute_that_was_dropped_is_reported() -> None:
    examples: list[tuple[Any, tuple[str, ...] | None]] = [
        ({"custom_attributes": {"plan": "pro"}}, ()),
        ({"custom_attributes": {}}, ("the attribute 'plan' was dropped: check that it exists",)),
        ({"type": "conversation"}, None),
        ([], None),
    ]
    for answer, problems in examples:
        performed = run(_exchange(SetFields({"plan": "pro"}), answer)[1])
        assert (performed and performed.problems) == (problems or None)


def test_an_ambiguous_attribute_stops_neither_the_others_nor_the_rest(api: Api) -> None:
    desk = IntercomDesk()
    desk.fake.ambiguous_attributes = {"triage"}
    webhook = desk.fake.customer_writes("Hello")
    outcome = route(desk, api, webhook, SetFields({"triage": "x", "plan": "pro"}), Assign(team="12345"), Reply("Hi"))
    conversation = desk.fake.conversations[webhook.conversation_id or ""]
    assert (conversation.team, conversation.fields) == ("12345", {"plan": "pro"})
    assert outcome.status == "partial"
    assert "the attribute 'triage' was rejected: check that it exists once" in outcome.reason


def test_labels_that_are_all_rejected_are_named_in_the_error(api: Api) -> None:
    desk = IntercomDesk()
    desk.fake.fail("POST /tags", status=422, times=None)
    webhook = desk.fake.customer_writes("Hello")
    outcome = route(desk, api, webhook, Tag("vip", "refund"), Assign(team="12345"))
    assert outcome.status == "partial"
    assert "the tag 'vip' was rejected" in outcome.reason
    assert "the tag 'refund' was rejected" in outcome.reason


@pytest.mark.parametrize("action", [SetFields({"a": "x", "b": "y"}), Tag("vip")])
def test_a_call_that_may_succeed_later_is_not_a_rejection_of_a_label(action: Action) -> None:
    desk = IntercomDesk()
    for call in ("PUT /conversations/*", "POST /tags"):
        desk.fake.fail(call, status=403, times=None)
    assert "lacks a permission" in route(desk, Api("sync"), desk.fake.customer_writes("Hello"), action).reason


def test_routing_comes_before_labels_and_closing_last() -> None:
    actions: list[Action] = [Close(), Note("n"), Tag("t"), SetFields({"x": "y"}), Reply("r"), Assign(team="1")]
    steps = IntercomDesk().adapter().plan(actions)
    assert [step.name for step in steps] == ["assign", "reply", "set_fields", "tag", "note", "close"]


def test_a_note_with_a_link_is_recognized_when_its_response_was_lost(api: Api) -> None:
    """In plain text, Intercom shows a link as its label and its address."""
    desk = IntercomDesk()
    webhook = desk.fake.customer_writes("Hello")
    link = "https://wiki.shop.example/triage"
    desk.fake.fail(desk.note, timeout=True, after=True)
    router = desk.router(buckets=[Bucket("general", "Everything", [Note(f"Runbook: {link}.")])])
    written = desk.fake.conversations[webhook.conversation_id or ""].messages
    render = desk.fake.find_conversation

    def show_links(conversation_id: str) -> Any:
        for message in written:
            message.body = (message.body or "").replace(f": {link}.", f': <a href="{link}">{link}</a>.')
        return render(conversation_id)

    desk.fake.find_conversation = show_links  # type: ignore[method-assign]
    assert handle(api, router, webhook)[1].status == "routed"
    assert len(desk.fake.notes(webhook.conversation_id or "")) == 1


# Errors and limits


def test_an_error_names_status_code_request_id_and_the_setting_to_check(api: Api) -> None:
    desk = IntercomDesk()
    outcome = route(desk, api, desk.fake.customer_writes("Hello"), vendor=desk.adapter(access_token="old"))
    assert outcome.status == "failed"
    assert (
        "check access_token (INTERCOM_ACCESS_TOKEN) and the region (status 401, code unauthorized, request_id 0"
        in outcome.reason
    )


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"errors": []}', b'{"errors": 7}', b'{"errors": [{}]}'])
def test_an_error_with_an_undocumented_body_is_still_an_error(body: bytes) -> None:
    request = Request("GET", f"{BASE_URL}/conversations/1")
    error = IntercomDesk().adapter().error(request, Response(500, {}, body), 0.0)
    assert (error.status, error.code, error.outcome_unknown) == (500, None, True)


def test_a_rate_limited_reply_is_sent_once_after_the_wait() -> None:
    desk = IntercomDesk()
    webhook = desk.fake.customer_writes("Hello")
    desk.fake.fail(desk.reply, status=429, headers={"X-RateLimit-Reset": str(int(desk.clock()) - 5)})
    outcome = route(desk, Api("sync"), webhook, Reply("Hi"))
    assert [step.status for step in outcome.steps] == ["done"]
    assert [call.status for call in desk.fake.calls] == [200, 429, 200]
    assert len(desk.fake.replies(webhook.conversation_id or "")) == 1


def test_the_reset_time_counts_only_if_the_limit_was_exhausted() -> None:
    adapter = IntercomDesk().adapter()
    request = Request("GET", f"{BASE_URL}/me")
    headers = {"x-ratelimit-reset": "1003"}
    assert adapter.error(request, Response(429, headers, b""), 1000.0).retry_after == 3.0
    assert adapter.error(request, Response(429, {**headers, "retry-after": "7"}, b""), 1000.0).retry_after == 7.0
    assert adapter.error(request, Response(503, headers, b""), 1000.0).retry_after is None


def test_a_response_that_cannot_be_parsed_is_an_error(api: Api) -> None:
    desk = IntercomDesk()
    transport = httpx.MockTransport(lambda request: httpx.Response(200, text="<html>"))
    clients = {"http": httpx.Client(transport=transport), "async_http": httpx.AsyncClient(transport=transport)}
    outcome = route(desk, api, desk.fake.customer_writes("Hello"), **clients)
    assert outcome.status == "failed"
    assert "cannot parse the response" in outcome.reason


def test_the_outcome_lists_every_step(api: Api) -> None:
    desk = IntercomDesk()
    outcome = route(desk, api, desk.fake.customer_writes("Hello"), Close(), Tag("a"))
    assert outcome.steps == tuple(StepResult(step=Step(actions=(a,)), status="done") for a in (Tag("a"), Close()))


# Settings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"access_token": " "}, "access_token is empty"),
        ({"admin_id": "ada"}, "admin_id must be the number of a teammate, not 'ada'"),
        ({"admin_id": ""}, "admin_id must be the number of a teammate"),
        ({"region": "mars"}, "region must be 'us', 'eu' or 'au', not 'mars'"),
        ({"topics": ["conversation.admin.replied"]}, "topics must be .*, not 'conversation.admin.replied'"),
        ({"topics": []}, "topics is empty"),
    ],
)
def test_an_invalid_setting_is_rejected(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        IntercomDesk().adapter(**settings)


@pytest.mark.parametrize("action", [Assign(team="billing"), Assign(user="ada@example.com")])
def test_assigning_to_a_name_instead_of_an_id_is_rejected(action: Action) -> None:
    with pytest.raises(ConfigurationError, match="ids are numbers"):
        IntercomDesk().router(buckets=[Bucket("general", "Everything", [action])])


@pytest.mark.parametrize(
    ("region", "host"),
    [("us", "https://api.intercom.io"), ("eu", "https://api.eu.intercom.io"), ("au", "https://api.au.intercom.io")],
)
def test_each_region_has_its_address(region: Any, host: str) -> None:
    adapter = Intercom(client_secret="s", access_token="t", admin_id="1", region=region)
    assert host in repr(adapter)


def test_from_env_reads_region_secrets_and_topics(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeIntercom()
    for name, value in fake.env().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("INTERCOM_CLIENT_SECRET", f"new,{fake.client_secret}")
    monkeypatch.setenv("INTERCOM_REGION", "eu")
    monkeypatch.delenv("INTERCOM_BASE_URL")
    assert Intercom.from_env(topics=TOPICS).topics == tuple(TOPICS)
    monkeypatch.setenv("INTERCOM_TOPICS", ", ".join(TOPICS))
    adapter = Intercom.from_env()
    assert (adapter.url, adapter.client_secret) == ("https://api.eu.intercom.io", ("new", fake.client_secret))
    assert adapter.topics == tuple(TOPICS)
    monkeypatch.setenv("INTERCOM_REGION", "mars")
    with pytest.raises(ConfigurationError, match="mars"):
        Intercom.from_env()
