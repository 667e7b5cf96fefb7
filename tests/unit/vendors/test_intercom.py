"""Intercom: the payloads of its API versions, the calls of each action, its errors and settings."""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import httpx
import pytest
from openapi_core.testing import MockRequest

from tests.helpers.api import Api
from tests.helpers.desks import BASE_URL, IntercomDesk
from tests.helpers.routing import route
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
from triage.models import Request, Response
from triage.testing import FakeIntercom, Webhook
from triage.vendors import Intercom

VERSIONS = ["2.13", "2.14", "2.15", "2.16"]
TOPICS = ["conversation.user.created", "conversation.user.replied"]
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


def parse(webhook: Webhook, **options: Any) -> Conversation:
    event = IntercomDesk().router(vendor=IntercomDesk().adapter(**options)).receive(webhook.body, webhook.headers).event
    assert event is not None
    return event.conversation


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


def _exchange(action: Action, answer: dict[str, Any]) -> Any:
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
    assert (event.kind, event.conversation.text) == ("replied", "It is broken again")


def test_the_first_message_does_not_count_in_a_replys_notification() -> None:
    desk = IntercomDesk()
    first = desk.fake.customer_writes("Hello")
    payload = json.loads(desk.fake.customer_writes("More", conversation=first.conversation_id).body)
    payload["data"]["item"]["conversation_parts"]["conversation_parts"] = []
    body = json.dumps(payload).encode()
    answer = desk.router(vendor=desk.adapter(topics=TOPICS)).receive(body, desk.sign(body))
    assert answer.outcome is not None
    assert answer.outcome.reason == "not written by a customer"


def test_an_image_without_text_goes_to_the_fallback_bucket(api: Api) -> None:
    desk = IntercomDesk()
    webhook = desk.fake.customer_writes('<img src="https://files.example.com/1.png">', html=True)
    outcome = route(desk, api, webhook, Assign(team="12345"))
    assert outcome.verdict is not None
    assert outcome.verdict.fallback
    assert outcome.verdict.reason == "the message has no text, only 1 attachment(s)"


def test_the_quoted_history_of_an_email_is_removed() -> None:
    answer = "<p>Thanks, but it is still broken.</p>"
    quoted = "<p>On Mon, Nov 23, 2026, Support wrote:</p><blockquote>Try again</blockquote>"
    webhook = IntercomDesk().fake.customer_writes(answer + quoted, html=True, subject="Re: Broken")
    assert parse(webhook).text == "Re: Broken\n\nThanks, but it is still broken."


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
    assert not conversation.has_human


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


def test_a_conversation_without_a_customers_message_is_ignored(api: Api) -> None:
    desk = IntercomDesk()
    webhook = desk.fake.customer_writes("Hello")
    router = desk.router()
    event = router.receive(webhook.body, webhook.headers).event
    assert event is not None
    desk.fake.conversations[event.conversation_id].messages[0].body = None
    empty = event.model_copy(update={"conversation": Conversation(id=event.conversation_id)})
    assert api.process(router, empty).reason == "the conversation has no message from a customer"


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
